package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

func testConnections(t *testing.T, s Stores) {
	ctx := t.Context()
	login := func(id, site string, minute int) grant.Login {
		return grant.Login{Person: id, Site: site, At: at(minute), Event: event(audit.SiteLogin)}
	}

	t.Run("who never came is not connected", func(t *testing.T) {
		_, err := s.Grants.Connection(ctx, "nobody", "nowhere")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("a login makes and moves the connection", func(t *testing.T) {
		p := Person(t, s.People)
		// The third comes late: it counts, and moves neither end back.
		for i, minute := range []int{10, 20, 15} {
			l := login(p, "qnet", minute)
			check(t, s.Grants.RecordLogin(ctx, l))
			wantEvents(t, s, true, l.Event)
			got, err := s.Grants.Connection(ctx, p, "qnet")
			check(t, err)
			want := grant.Connection{Person: p, Site: "qnet", FirstAt: at(10), LastAt: at([]int{10, 20, 20}[i]), Logins: int64(i + 1)}
			if got != want {
				t.Errorf("login %d: %+v, want %+v", i+1, got, want)
			}
		}
		_, err := s.Grants.Connection(ctx, p, "petition")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("what goes with a login commits with it", func(t *testing.T) {
		p := Person(t, s.People)
		for _, c := range []struct {
			person  string
			written bool
		}{{p, true}, {"nobody", false}} {
			l := login(c.person, "qnet", 1)
			l.Alerts, l.Items = []notice.Alert{alert(c.person, 0)}, []outbox.Item{item("mail", unique("batch"), 0)}
			if err := s.Grants.RecordLogin(ctx, l); (err == nil) != c.written || err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("the login of %s: %v", c.person, err)
			}
			wantAlong(t, s, c.written, person.Along{Alerts: l.Alerts, Items: l.Items, Events: []audit.Event{l.Event}})
		}
	})

	t.Run("connections are listed, the last used first", func(t *testing.T) {
		p := Person(t, s.People)
		for i, site := range []string{"b", "c", "a", "c"} {
			check(t, s.Grants.RecordLogin(ctx, login(p, site, []int{5, 1, 5, 9}[i])))
		}
		got, err := s.Grants.Connections(ctx, p)
		check(t, err)
		want := []grant.Connection{
			{Person: p, Site: "c", FirstAt: at(1), LastAt: at(9), Logins: 2},
			{Person: p, Site: "a", FirstAt: at(5), LastAt: at(5), Logins: 1},
			{Person: p, Site: "b", FirstAt: at(5), LastAt: at(5), Logins: 1},
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})

	t.Run("logins of nobody harm nobody", func(t *testing.T) {
		p, bad := Person(t, s.People), event(audit.SiteLogin)
		race(t, func(i int) (bool, error) {
			l := login(p, "qnet", 0)
			if i%4 == 0 {
				l.Person, l.Event = "nobody", bad
				if err := s.Grants.RecordLogin(ctx, l); !fault.Is(err, fault.NotFound) {
					t.Errorf("the login of nobody: %v", err)
				}
				return false, nil
			}
			return true, s.Grants.RecordLogin(ctx, l)
		})
		c, err := s.Grants.Connection(ctx, p, "qnet")
		if err != nil || c.Logins != racers*3/4 {
			t.Errorf("%d logins, %v", c.Logins, err)
		}
		wantEvents(t, s, false, bad)
	})

	t.Run("every concurrent login counts once", func(t *testing.T) {
		const each = 20
		people := []string{Person(t, s.People), Person(t, s.People), Person(t, s.People)}
		events := make([][]audit.Event, racers)
		if n := race(t, func(i int) (bool, error) {
			for j := range each {
				l := login(people[(i+j)%len(people)], fmt.Sprintf("site-%d", j%2), j)
				events[i] = append(events[i], l.Event)
				if err := s.Grants.RecordLogin(ctx, l); err != nil {
					return false, err
				}
			}
			return true, nil
		}); n != racers {
			t.Fatalf("%d racers came through", n)
		}
		var total int64
		for _, p := range people {
			for j := range 2 {
				c, err := s.Grants.Connection(ctx, p, fmt.Sprintf("site-%d", j))
				check(t, err)
				if c.FirstAt.After(c.LastAt) || c.LastAt.Before(at(each-4)) || c.FirstAt.After(at(3)) {
					t.Errorf("connection %+v", c)
				}
				total += c.Logins
			}
		}
		if want := int64(racers * each); total != want {
			t.Errorf("%d logins are counted, want %d", total, want)
		}
		wantEvents(t, s, true, slices.Concat(events...)...)
	})
}

func testDisconnections(t *testing.T, s Stores) {
	ctx := t.Context()
	disconnect := func(id, site string) (grant.Disconnection, error) {
		d := grant.Disconnection{Person: id, Site: site, At: at(9), Items: []outbox.Item{item(site, unique("batch"), 0)}, Event: event(audit.SiteRevoked)}
		return d, s.Grants.Disconnect(ctx, d)
	}

	t.Run("the end of a connection ends what hangs on it", func(t *testing.T) {
		p, other := Person(t, s.People), Person(t, s.People)
		e := entry(p, 0, "petition", "qnet")
		signIn(t, s, e)
		apart := signIn(t, s, entry(other, 0, "qnet"))
		check(t, s.Grants.RecordLogin(ctx, grant.Login{Person: p, Site: "petition", At: at(1), Event: event(audit.SiteLogin)}))
		given, older, kept, others := record(p, "qnet", consent.HandOver, 2), record(p, "qnet", consent.HandOver, 1), record(p, "petition", consent.HandOver, 1), record(other, "qnet", consent.HandOver, 1)
		older.WithdrawnAt = at(1)
		for _, c := range []consent.Record{given, older, kept, others} {
			check(t, s.Grants.AddConsent(ctx, c, nil, event(audit.ConsentGiven)))
		}
		ended, elsewhere, anothers := family(p), family(p), family(other)
		elsewhere.Site = "petition"
		for _, f := range []grant.Family{ended, elsewhere, anothers} {
			check(t, s.Grants.AddFamily(ctx, f))
		}
		d, err := disconnect(p, "qnet")
		check(t, err)
		wantEvents(t, s, true, d.Event)
		wantItems(t, s, true, d.Items...)

		_, err = s.Grants.Connection(ctx, p, "qnet")
		wantCode(t, err, fault.NotFound)
		_, err = newest(ctx, s, p, "qnet")
		wantCode(t, err, fault.NotFound)
		for site, id := range map[string]string{"petition": p, "qnet": other} {
			if _, err := s.Grants.Connection(ctx, id, site); err != nil {
				t.Errorf("the connection to %s: %v", site, err)
			}
			if _, err := newest(ctx, s, id, site); err != nil {
				t.Errorf("the consent to %s: %v", site, err)
			}
		}
		given.WithdrawnAt = at(9) // the older one keeps its time
		consents, err := s.People.Consents(ctx, p)
		check(t, err)
		for _, want := range []consent.Record{given, older, kept} {
			if !slices.ContainsFunc(consents, func(c consent.Record) bool { return reflect.DeepEqual(c, want) }) {
				t.Errorf("the consents are %+v, without %+v", consents, want)
			}
		}
		e.Sites = []string{"petition"}
		wantSession(t, s, e)
		wantSession(t, s, apart)
		ended.RevokedAt = at(9)
		for _, want := range []grant.Family{ended, elsewhere, anothers} {
			got, err := s.Grants.Family(ctx, want.ID)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("the family is %+v, want %+v (%v)", got, want, err)
			}
		}

		d, err = disconnect(p, "qnet")
		wantCode(t, err, fault.NotFound)
		wantEvents(t, s, false, d.Event)
		wantItems(t, s, false, d.Items...)
	})

	t.Run("a connection ends once", func(t *testing.T) {
		p := Person(t, s.People)
		signIn(t, s, entry(p, 0, "qnet"))
		if n := race(t, func(int) (bool, error) {
			_, err := disconnect(p, "qnet")
			if fault.Is(err, fault.NotFound) {
				return false, nil
			}
			return err == nil, err
		}); n != 1 {
			t.Errorf("the connection ended %d times", n)
		}
	})
}

func testConsents(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("a withdrawn consent does not hold", func(t *testing.T) {
		p := Person(t, s.People)
		newer, older := record(p, "qnet", consent.HandOver, 20), record(p, "qnet", consent.HandOver, 10)
		newer.WithdrawnAt = at(30)
		for _, c := range []consent.Record{newer, older} {
			check(t, s.Grants.AddConsent(ctx, c, nil, event(audit.ConsentGiven)))
		}
		got, err := newest(ctx, s, p, "qnet")
		check(t, err)
		if !reflect.DeepEqual(got, older) {
			t.Errorf("got %+v, want %+v", got, older)
		}
		e := event(audit.ConsentGiven)
		wantCode(t, s.Grants.AddConsent(ctx, record("nobody", "qnet", consent.HandOver, 1), nil, e), fault.NotFound)
		wantEvents(t, s, false, e)
	})

	t.Run("the newest hand-over consent counts", func(t *testing.T) {
		p := Person(t, s.People)
		_, err := newest(ctx, s, p, "qnet")
		wantCode(t, err, fault.NotFound)
		newer, older := record(p, "qnet", consent.HandOver, 20), record(p, "qnet", consent.HandOver, 10)
		newer.Items = nil
		others := []consent.Record{
			record(p, "petition", consent.HandOver, 30), record(p, "qnet", consent.Terms, 30), record(Person(t, s.People), "qnet", consent.HandOver, 30),
		}
		for _, c := range append(others, newer, older) {
			e := event(audit.ConsentGiven)
			check(t, s.Grants.AddConsent(ctx, c, nil, e))
			wantEvents(t, s, true, e)
		}
		got, err := newest(ctx, s, p, "qnet")
		check(t, err)
		if !reflect.DeepEqual(got, newer) {
			t.Errorf("got %+v, want %+v", got, newer)
		}
	})

	t.Run("a consent replaces those that it names", func(t *testing.T) {
		p := Person(t, s.People)
		first, kept, withdrawn, anew := record(p, "qnet", consent.HandOver, 10), record(p, "qnet", consent.HandOver, 20), record(p, "qnet", consent.HandOver, 5), record(p, "qnet", consent.HandOver, 30)
		withdrawn.WithdrawnAt = at(6)
		for _, c := range []consent.Record{first, kept, withdrawn} {
			check(t, s.Grants.AddConsent(ctx, c, nil, event(audit.ConsentGiven)))
		}
		again := record(p, "qnet", consent.HandOver, 25)
		again.Attempt = first.Attempt // so that nothing changes
		check(t, s.Grants.AddConsent(ctx, again, []string{kept.ID}, event(audit.ConsentGiven)))
		check(t, s.Grants.AddConsent(ctx, anew, []string{first.ID, withdrawn.ID}, event(audit.ConsentGiven)))
		got, err := s.Grants.HandOvers(ctx, p, "qnet")
		check(t, err)
		if want := []consent.Record{anew, kept}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		first.WithdrawnAt = anew.At
		all, err := s.People.Consents(ctx, p)
		check(t, err)
		for _, want := range []consent.Record{first, withdrawn} {
			if !slices.ContainsFunc(all, func(c consent.Record) bool { return reflect.DeepEqual(c, want) }) {
				t.Errorf("%+v is not among %+v", want, all)
			}
		}
	})

	t.Run("an attempt decides once for each recipient and kind", func(t *testing.T) {
		p := Person(t, s.People)
		first := record(p, "qnet", consent.HandOver, 10)
		check(t, s.Grants.AddConsent(ctx, first, nil, event(audit.ConsentGiven)))
		again, e := record(p, "qnet", consent.HandOver, 20), event(audit.ConsentGiven)
		again.Attempt = first.Attempt
		check(t, s.Grants.AddConsent(ctx, again, nil, e))
		wantEvents(t, s, false, e)
		got, err := newest(ctx, s, p, "qnet")
		check(t, err)
		if !reflect.DeepEqual(got, first) {
			t.Errorf("got %+v, want %+v", got, first)
		}
		elsewhere := record(p, "petition", consent.HandOver, 20)
		elsewhere.Attempt = first.Attempt
		check(t, s.Grants.AddConsent(ctx, elsewhere, nil, event(audit.ConsentGiven)))
		_, err = newest(ctx, s, p, "petition")
		check(t, err)
	})
}

func family(owner string) grant.Family {
	id := unique("family")
	return grant.Family{
		ID: id, Current: id + "-0", Grant: unique("grant"), Site: "qnet", Person: owner,
		Access: grant.Access{
			Grant: "a-grant", Site: "qnet", Scopes: []string{"openid", "offline_access"},
			Claims:         grant.Claims{UserInfo: map[string]*grant.Claim{"name": nil, "acr": {Essential: true, Values: []any{"a"}}}},
			Authentication: session.Authentication{Person: owner, Method: method.Simple, Provider: "kakao", Level: 2, AMR: []string{"swk"}, At: at(0)},
			Session:        "a-session", Items: []string{"name"},
		},
		CreatedAt: at(0), UsedAt: at(0), ExpiresAt: at(30),
	}
}

func testFamilies(t *testing.T, s Stores) {
	ctx := t.Context()
	p := Person(t, s.People)
	add := func(t *testing.T, f grant.Family) grant.Family {
		t.Helper()
		check(t, s.Grants.AddFamily(ctx, f))
		return f
	}
	want := func(t *testing.T, f grant.Family) {
		t.Helper()
		got, err := s.Grants.Family(ctx, f.ID)
		check(t, err)
		if !reflect.DeepEqual(got, f) {
			t.Errorf("the family is %+v, want %+v", got, f)
		}
	}

	t.Run("a family comes back as it was added", func(t *testing.T) {
		want(t, add(t, family(p)))
		for _, id := range []string{"nothing", "a NUL \x00", "no UTF-8 \xff"} {
			_, err := s.Grants.Family(ctx, id)
			wantCode(t, err, fault.NotFound)
		}
	})

	t.Run("the current token rotates while the family lives", func(t *testing.T) {
		f := add(t, family(p))
		revoked := family(p)
		revoked.RevokedAt = at(1)
		add(t, revoked)
		for _, c := range []struct {
			name, id, old string
			at            time.Time
			want          bool
		}{
			{"an unknown family", "nothing", f.Current, at(5), false},
			{"another token", f.ID, "something", at(5), false},
			{"at the end", f.ID, f.Current, at(30), false},
			{"after the end", f.ID, f.Current, at(31), false},
			{"a revoked family", revoked.ID, revoked.Current, at(5), false},
			{"the current token", f.ID, f.Current, at(5), true},
			{"the token before it", f.ID, f.Current, at(6), false},
		} {
			ok, err := s.Grants.RotateFamily(ctx, c.id, c.old, f.ID+"-1", c.at, c.at.Add(time.Hour))
			check(t, err)
			if ok != c.want {
				t.Errorf("%s: rotated is %t, want %t", c.name, ok, c.want)
			}
		}
		f.Current, f.Rotations, f.UsedAt, f.ExpiresAt = f.ID+"-1", 1, at(5), at(65)
		want(t, f)
		want(t, revoked)
	})

	t.Run("one token rotates once", func(t *testing.T) {
		f := add(t, family(p))
		if n := race(t, func(i int) (bool, error) {
			return s.Grants.RotateFamily(ctx, f.ID, f.Current, fmt.Sprintf("%s-next-%d", f.ID, i), at(1), at(40))
		}); n != 1 {
			t.Errorf("the token was rotated %d times", n)
		}
		got, err := s.Grants.Family(ctx, f.ID)
		check(t, err)
		if got.Rotations != 1 {
			t.Errorf("%d rotations, want 1", got.Rotations)
		}
	})

	t.Run("a family is revoked once", func(t *testing.T) {
		f := add(t, family(p))
		revoke := func(id string, minute int, alive bool) {
			t.Helper()
			e := event(audit.RefreshReused)
			ok, err := s.Grants.RevokeFamily(ctx, id, at(minute), e)
			check(t, err)
			if ok != alive {
				t.Errorf("revoked is %t, want %t", ok, alive)
			}
			wantEvents(t, s, alive, e)
		}
		revoke("nothing", 5, false)
		revoke(f.ID, 30, false) // over already
		revoke(f.ID, 5, true)
		revoke(f.ID, 6, false)
		f.RevokedAt = at(5)
		want(t, f)
		raced := add(t, family(p))
		if n := race(t, func(int) (bool, error) {
			return s.Grants.RevokeFamily(ctx, raced.ID, at(5), event(audit.RefreshReused))
		}); n != 1 {
			t.Errorf("the family was revoked %d times", n)
		}
	})

	t.Run("a grant is revoked with all its families", func(t *testing.T) {
		a, b, other := family(p), family(p), family(p)
		b.Grant = a.Grant
		for _, f := range []grant.Family{a, b, other} {
			add(t, f)
		}
		_, err := s.Grants.RevokeFamily(ctx, b.ID, at(3), event(audit.GrantRevoked))
		check(t, err)
		for range 2 { // the second finds nothing to revoke and is told of too
			e := event(audit.CodeReplayed)
			check(t, s.Grants.RevokeGrant(ctx, a.Grant, at(5), e))
			wantEvents(t, s, true, e)
		}
		a.RevokedAt, b.RevokedAt = at(5), at(3)
		want(t, a)
		want(t, b)
		want(t, other)
	})

	t.Run("a person's families are revoked, at one site or at all", func(t *testing.T) {
		id := Person(t, s.People)
		here, there, before, others := add(t, family(id)), family(id), family(id), add(t, family(p))
		there.Site, before.RevokedAt = "petition", at(1)
		add(t, there)
		add(t, before)
		check(t, s.Grants.RevokeFamilies(ctx, id, "qnet", at(5)))
		here.RevokedAt = at(5)
		for _, f := range []grant.Family{here, there, before, others} {
			want(t, f)
		}
		check(t, s.Grants.RevokeFamilies(ctx, id, "", at(7)))
		there.RevokedAt = at(7)
		for _, f := range []grant.Family{here, there, before, others} {
			want(t, f)
		}
		check(t, s.Grants.RevokeFamilies(ctx, "nobody", "", at(7)))
		wantCode(t, s.Grants.AddFamily(ctx, family("nobody")), fault.NotFound)
	})

	t.Run("expired families are swept", func(t *testing.T) {
		var old []grant.Family
		for i := range 5 {
			f := family(p)
			f.ExpiresAt = time.Date(2020, 1, 1, 0, i, 0, 0, time.UTC)
			old = append(old, add(t, f))
		}
		sweep := func(limit, want int) {
			t.Helper()
			n, err := s.Grants.SweepFamilies(ctx, old[4].ExpiresAt, limit)
			check(t, err)
			if n != want {
				t.Errorf("%d families were swept, want %d", n, want)
			}
		}
		sweep(3, 3)
		sweep(10, 1)
		sweep(10, 0)
		want(t, old[4]) // expires at the time, not before it
	})
}
