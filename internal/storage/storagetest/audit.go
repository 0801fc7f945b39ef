package storagetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
)

// plain is a signer that signs by writing down.
type plain struct{}

func (plain) SignJWS(payload []byte) (string, error) { return "signed:" + string(payload), nil }

func (plain) OpenJWS(jws string) ([]byte, error) {
	payload, ok := strings.CutPrefix(jws, "signed:")
	if !ok {
		return nil, errors.New("unsigned")
	}
	return []byte(payload), nil
}

// chain returns the links of events behind a head, and the checkpoint that closes them.
func chain(t *testing.T, from audit.Head, events ...audit.Event) ([]audit.Link, audit.Checkpoint) {
	t.Helper()
	head := from
	var links []audit.Link
	for _, e := range events {
		hash, err := audit.Chain(head.Hash, head.Position+1, e)
		check(t, err)
		head = audit.Head{Position: head.Position + 1, Hash: hash}
		links = append(links, audit.Link{Position: head.Position, Event: e, Hash: hash})
	}
	jws, err := plain{}.SignJWS(fmt.Appendf(nil, `{"position":%d,"hash":%q,"at":%d}`, head.Position, head.Hash, at(1).UnixMilli()))
	check(t, err)
	return links, audit.Checkpoint{Head: head, At: at(1), JWS: jws}
}

// waiting returns the events as they are stored while they wait for their places, the others as given.
func waiting(t *testing.T, s Stores, events ...audit.Event) []audit.Event {
	t.Helper()
	stored, err := s.Audit.Unsealed(t.Context(), 1_000_000)
	check(t, err)
	list := slices.Clone(events)
	for i, e := range list {
		if at := slices.IndexFunc(stored, func(x audit.Event) bool { return x.ID == e.ID }); at >= 0 {
			list[i] = stored[at]
		}
	}
	return list
}

func testAudit(t *testing.T, s Stores) {
	ctx := t.Context()
	sealer := &audit.Sealer{Store: s.Audit, Signer: plain{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	head := func(t *testing.T) audit.Head {
		t.Helper()
		h, err := s.Audit.Head(ctx)
		check(t, err)
		return h
	}
	backlog := func(t *testing.T) int64 {
		t.Helper()
		n, err := s.Audit.Backlog(ctx)
		check(t, err)
		return n
	}
	// seal seals all there is, also while an append is on its way whose caller has left.
	seal := func(t *testing.T) {
		t.Helper()
		for backlog(t) > 0 {
			_, err := sealer.Seal(ctx)
			check(t, err)
		}
	}
	if h := head(t); h != (audit.Head{}) {
		t.Errorf("the head of a new chain is %+v", h)
	}
	seal(t) // what a new database has to tell

	t.Run("events wait oldest first, as they were recorded", func(t *testing.T) {
		var events []audit.Event
		for i := range 5 {
			e := event(audit.LoginConflict)
			e.At = at(i)
			events = append(events, e)
		}
		bare := audit.Event{ID: unique("event"), At: at(5), Action: audit.SessionEnded, Actor: audit.Citizen}
		events = append(events, bare)
		check(t, s.Audit.Record(ctx))
		check(t, s.Audit.Record(ctx, events[5], events[3], events[1]))
		check(t, s.Audit.Record(ctx, events[0], events[4], events[2]))
		got, err := s.Audit.Unsealed(ctx, 100)
		check(t, err)
		if got = reveal(t, got); !reflect.DeepEqual(got, events) {
			t.Errorf("got %+v, want %+v", got, events)
		}
		got, err = s.Audit.Unsealed(ctx, 2)
		check(t, err)
		if got = reveal(t, got); !reflect.DeepEqual(got, events[:2]) {
			t.Errorf("two of them are %+v, want %+v", got, events[:2])
		}
		if n := backlog(t); n != 6 {
			t.Errorf("the backlog is %d, want 6", n)
		}
		seal(t)
		if n := backlog(t); n != 0 {
			t.Errorf("the backlog is %d after sealing", n)
		}
	})

	t.Run("sealed events come back as links", func(t *testing.T) {
		from := head(t)
		a, b, c := event(audit.LoginConflict), event(audit.SiteDenied), event(audit.LoginFailed)
		check(t, s.Audit.Record(ctx, a, b, c))
		links, checkpoint := chain(t, from, waiting(t, s, c, a, b)...)
		ok, err := s.Audit.Append(ctx, from, links, checkpoint)
		check(t, err)
		if !ok {
			t.Fatal("the append was refused")
		}
		if h := head(t); h != checkpoint.Head {
			t.Errorf("the head is %+v, want %+v", h, checkpoint.Head)
		}
		got, err := s.Audit.Links(ctx, from.Position, 100)
		check(t, err)
		if !reflect.DeepEqual(got, links) {
			t.Errorf("the links are %+v, want %+v", got, links)
		}
		got, err = s.Audit.Links(ctx, from.Position+1, 1)
		check(t, err)
		if !reflect.DeepEqual(got, links[1:2]) {
			t.Errorf("the second link is %+v, want %+v", got, links[1:2])
		}
		marks, err := s.Audit.Checkpoints(ctx, from.Position, 100)
		check(t, err)
		if want := []audit.Checkpoint{checkpoint}; !reflect.DeepEqual(marks, want) {
			t.Errorf("the checkpoints are %+v, want %+v", marks, want)
		}
		all, err := s.Audit.Checkpoints(ctx, 0, 2)
		check(t, err)
		if len(all) != 2 || all[0].Position >= all[1].Position {
			t.Errorf("two checkpoints from the start are %+v", all)
		}
	})

	t.Run("an append behind another head, or of sealed events, changes nothing", func(t *testing.T) {
		from := head(t)
		sealed, fresh := event(audit.LoginConflict), event(audit.SiteDenied)
		check(t, s.Audit.Record(ctx, sealed))
		sealed = waiting(t, s, sealed)[0]
		links, checkpoint := chain(t, from, sealed)
		ok, err := s.Audit.Append(ctx, from, links, checkpoint)
		check(t, err)
		if !ok {
			t.Fatal("the append was refused")
		}
		check(t, s.Audit.Record(ctx, fresh))
		now := checkpoint.Head
		for name, c := range map[string]struct {
			from   audit.Head
			events []audit.Event
		}{
			"another position": {from, []audit.Event{fresh}},
			"another hash":     {audit.Head{Position: now.Position, Hash: "other"}, []audit.Event{fresh}},
			"a sealed event":   {now, []audit.Event{fresh, sealed}},
			"an unknown event": {now, []audit.Event{fresh, event(audit.LoginFailed)}},
		} {
			links, checkpoint := chain(t, c.from, waiting(t, s, c.events...)...)
			ok, err := s.Audit.Append(ctx, c.from, links, checkpoint)
			check(t, err)
			if ok {
				t.Errorf("%s: the append was taken", name)
			}
			if h := head(t); h != now {
				t.Errorf("%s: the head is %+v, want %+v", name, h, now)
			}
			if n := backlog(t); n != 1 {
				t.Errorf("%s: the backlog is %d, want 1", name, n)
			}
			if marks, err := s.Audit.Checkpoints(ctx, now.Position, 10); err != nil || len(marks) != 0 {
				t.Errorf("%s: checkpoints %+v, %v", name, marks, err)
			}
		}
	})

	t.Run("one append wins a head", func(t *testing.T) {
		from := head(t)
		events := make([]audit.Event, racers)
		for i := range events {
			events[i] = event(audit.LoginConflict)
		}
		check(t, s.Audit.Record(ctx, events...))
		events = waiting(t, s, events...)
		if n := race(t, func(i int) (bool, error) {
			links, checkpoint := chain(t, from, events[i])
			return s.Audit.Append(ctx, from, links, checkpoint)
		}); n != 1 {
			t.Errorf("%d appends behind one head", n)
		}
	})

	t.Run("sealers and logins at once leave a whole chain", func(t *testing.T) {
		sealing, stop := context.WithCancel(ctx)
		var sealers sync.WaitGroup
		for range 3 {
			sealers.Go(func() { sealer.Run(sealing, time.Millisecond) })
		}
		events := make([][]audit.Event, racers)
		race(t, func(i int) (bool, error) {
			for range 10 {
				e := event(audit.LoginConflict)
				events[i] = append(events[i], e)
				if err := s.Audit.Record(ctx, e); err != nil {
					return false, err
				}
			}
			return true, nil
		})
		stop()
		sealers.Wait()
		seal(t)
		report, err := audit.Verify(ctx, s.Audit, plain{})
		check(t, err)
		links, err := s.Audit.Links(ctx, 0, 1_000_000)
		check(t, err)
		if report.Backlog != 0 || report.Links != int64(len(links)) {
			t.Errorf("the verifier found %+v, the chain has %d links", report, len(links))
		}
		count := make(map[string]int)
		for _, l := range links {
			count[l.Event.ID]++
		}
		for _, e := range slices.Concat(events...) {
			if count[e.ID] != 1 {
				t.Errorf("event %s stands in the chain %d times", e.ID, count[e.ID])
			}
		}
	})
}

func testHistory(t *testing.T, s Stores) {
	ctx := t.Context()
	about := func(id string, minute int) audit.Event {
		e := event(audit.SiteLogin)
		e.Person, e.At = id, at(minute)
		return e
	}
	var mine []audit.Event // newest first
	for i := range 7 {
		mine = append(mine, about("me", 9-i))
	}
	mine[3].At, mine[4].At = mine[2].At, mine[2].At // of one moment: by id
	slices.SortFunc(mine[2:5], func(a, b audit.Event) int { return strings.Compare(b.ID, a.ID) })
	nobodys := event(audit.KeyCreated)
	nobodys.Person, nobodys.At = "", at(5)
	check(t, s.Audit.Record(ctx, append([]audit.Event{about("another", 5), nobodys}, mine[3:]...)...))
	sealer := &audit.Sealer{Store: s.Audit, Signer: plain{}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	_, err := sealer.Seal(ctx)
	check(t, err)
	check(t, s.Audit.Record(ctx, mine[0], mine[2], mine[1])) // and these wait for their places

	cursor := func(e audit.Event) audit.Cursor { return audit.Cursor{At: e.At, ID: e.ID} }
	for _, c := range []struct {
		name  string
		since time.Time
		after audit.Cursor
		limit int
		want  []audit.Event
	}{
		{"all", time.Time{}, audit.Cursor{}, 100, mine},
		{"a page", time.Time{}, audit.Cursor{}, 3, mine[:3]},
		{"the next page", time.Time{}, cursor(mine[2]), 3, mine[3:6]},
		{"the last page", time.Time{}, cursor(mine[5]), 3, mine[6:]},
		{"after the end", time.Time{}, cursor(mine[6]), 3, nil},
		{"since an event", mine[5].At, audit.Cursor{}, 100, mine[:6]},
		{"since, after", mine[5].At, cursor(mine[0]), 100, mine[1:6]},
		{"since later", at(30), audit.Cursor{}, 100, nil},
	} {
		got, err := s.Audit.History(ctx, Veil.Subject("me"), c.since, c.after, c.limit)
		check(t, err)
		for i, e := range got {
			got[i], err = Veil.Reveal(e, "me")
			check(t, err)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
	for _, subject := range []string{Veil.Subject("nobody"), ""} {
		if got, err := s.Audit.History(ctx, subject, time.Time{}, audit.Cursor{}, 100); err != nil || len(got) != 0 {
			t.Errorf("the history of %q is %+v, %v", subject, got, err)
		}
	}
}
