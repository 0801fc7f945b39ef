package logout_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// TestEnd: of a session that has ended nothing is left, and all of its sites that want to be called are told once.
func TestEnd(t *testing.T) {
	t.Parallel()
	r, c := embedded(t)
	ctx := t.Context()
	known := r.signedIn("kim", "site-0", "site-1", "quiet")
	other := r.signedIn("kim", "site-0")
	token, kept := r.token(known, "site-1"), r.token(other, "site-0")
	code, err := r.join(known.Handle, "site-0")
	check(t, err)
	c.Advance(time.Second)

	batch, err := r.End(ctx, known.Session.ID, logout.Why{
		Cause: logout.Site, Actor: audit.Citizen, Site: "site-0", Address: "192.0.2.1", Browser: "Firefox, Linux",
	})
	check(t, err)
	_, err = r.Sessions.Find(ctx, known.Handle)
	wantCode(t, err, fault.NotFound)
	_, err = r.Store.Session(ctx, known.Session.ID)
	wantCode(t, err, fault.NotFound)
	_, err = r.Grants.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	if r.alive(code) {
		t.Error("the code of a session that has ended is redeemed")
	}
	_, err = r.Grants.Access(ctx, kept)
	check(t, err)
	_, err = r.Sessions.Find(ctx, other.Handle)
	check(t, err)

	list := r.await(batch)
	if len(list) != 2 || list[0].Site != "site-0" || list[1].Site != "site-1" || list[0].State != outbox.Delivered || list[1].State != outbox.Delivered || list[0].Attempts != 1 {
		t.Errorf("receipt %+v", list)
	}
	if heard, want := r.sites.heard(), []logout.Told{told("kim", known.Session.ID, "site-0"), told("kim", known.Session.ID, "site-1")}; !slices.Equal(heard, want) {
		t.Errorf("heard %+v, want %+v", heard, want)
	}
	events := r.ends()
	if len(events) != 1 {
		t.Fatalf("%d ends on record", len(events))
	}
	e, err := storagetest.Veil.Reveal(events[0], "kim")
	check(t, err)
	if e.Actor != audit.Citizen || e.Site != "site-0" || e.Address != "192.0.2.1" || e.Browser != "Firefox, Linux" || !reflect.DeepEqual(e.Detail, map[string]string{"cause": "site"}) {
		t.Errorf("event %+v", e)
	}

	_, err = r.End(ctx, known.Session.ID, logout.Why{Cause: logout.Operator})
	wantCode(t, err, fault.NotFound)
	_, err = r.End(ctx, "nobody's", logout.Why{Cause: logout.Operator})
	wantCode(t, err, fault.NotFound)
	if n := len(r.ends()); n != 1 {
		t.Errorf("%d ends on record", n)
	}
}

// TestReceipt: a site that cannot be reached is retried while the others have heard.
func TestReceipt(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	r.sites.down["site-1"] = true
	known := r.signedIn("kim", "site-0", "site-1")
	batch, err := r.End(t.Context(), known.Session.ID, logout.Why{Cause: logout.Citizen})
	check(t, err)
	list := r.await(batch)
	if len(list) != 2 || list[0].State != outbox.Delivered || list[1].State != outbox.Waiting || list[1].Attempts != 1 || !list[1].NextAt.After(r.Now()) {
		t.Errorf("receipt %+v", list)
	}
	again, err := r.Receipt(t.Context(), batch)
	check(t, err)
	if !reflect.DeepEqual(again, list) {
		t.Errorf("later %+v", again)
	}
	if none, err := r.Receipt(t.Context(), "nobody's"); err != nil || len(none) != 0 {
		t.Errorf("nobody's receipt: %v, %v", none, err)
	}
}

// TestReplaced: the sites of the session of another person hear of its end, though its record is gone already.
func TestReplaced(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	ctx := t.Context()
	kim := r.signedIn("kim", "site-0", "site-1")
	_, err := r.prove("lee", kim.Handle, "site-0")
	check(t, err)
	batch, err := r.End(ctx, kim.Session.ID, logout.Why{Cause: logout.Replaced, Actor: audit.Citizen})
	check(t, err)
	r.await(batch)
	if heard := r.sites.heard(); len(heard) != 2 || heard[0] != told("kim", kim.Session.ID, "site-0") {
		t.Errorf("heard %+v", heard)
	}
}

// TestNothingHalfDone: when the store is away, a session that is to end lives on, and can be ended later.
func TestNothingHalfDone(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	ctx := t.Context()
	known := r.signedIn("kim", "site-0", "site-1")
	store := r.Store
	r.Store = away{store}
	_, err := r.End(ctx, known.Session.ID, logout.Why{Cause: logout.Citizen})
	wantCode(t, err, fault.Unavailable)
	_, err = r.Leave(ctx, known.Handle, "site-0", logout.Why{Cause: logout.Site})
	wantCode(t, err, fault.Unavailable)
	found, err := r.Sessions.Find(ctx, known.Handle)
	if err != nil || len(found.Used()) != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	r.Store = store
	_, err = r.End(ctx, known.Session.ID, logout.Why{Cause: logout.Citizen})
	check(t, err)
}

// TestLeftInTheMiddle: a browser that presses again gives up its first request. What that has begun to end, ends.
func TestLeftInTheMiddle(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	store := r.Store
	why := logout.Why{Cause: logout.Citizen}
	for name, end := range map[string]func(context.Context, session.Known) (string, error){
		"end": func(ctx context.Context, k session.Known) (string, error) { return r.End(ctx, k.Session.ID, why) },
		"leave": func(ctx context.Context, k session.Known) (string, error) {
			return r.Leave(ctx, k.Handle, "site-0", why)
		},
		"end all": func(ctx context.Context, k session.Known) (string, error) {
			batch, _, err := r.EndAll(ctx, k.Session.Person, "", why)
			return batch, err
		},
	} {
		known := r.signedIn("kim", "site-0")
		ctx, leave := context.WithCancel(t.Context())
		r.Store = leaving{store, leave}
		batch, err := end(ctx, known)
		if err != nil || ctx.Err() == nil {
			t.Fatalf("%s: error %v, left: %v", name, err, ctx.Err())
		}
		if told := r.await(batch); len(told) != 1 {
			t.Errorf("%s: %d sites are told", name, len(told))
		}
		r.Store = store
	}
}

// leaving is a store whose caller leaves once a session is read.
type leaving struct {
	session.Store
	leave context.CancelFunc
}

func (l leaving) Session(ctx context.Context, id string) (session.Entry, error) {
	defer l.leave()
	return l.Store.Session(ctx, id)
}

// away is a store that cannot be read.
type away struct{ session.Store }

func (away) Session(context.Context, string) (session.Entry, error) {
	return session.Entry{}, fault.New(fault.Unavailable, "test: away")
}

// TestLeave: one site is told and holds nothing any more; the session and its other sites go on.
func TestLeave(t *testing.T) {
	t.Parallel()
	r, c := embedded(t)
	ctx := t.Context()
	known := r.signedIn("kim", "site-0", "site-1")
	here, there := r.token(known, "site-0"), r.token(known, "site-1")
	c.Advance(time.Second)
	batch, err := r.Leave(ctx, known.Handle, "site-0", logout.Why{Cause: logout.Site, Actor: audit.Citizen})
	check(t, err)
	if list := r.await(batch); len(list) != 1 || list[0].Site != "site-0" || list[0].State != outbox.Delivered {
		t.Errorf("receipt %+v", list)
	}
	if heard := r.sites.heard(); len(heard) != 1 || heard[0] != told("kim", known.Session.ID, "site-0") {
		t.Errorf("heard %+v", heard)
	}
	_, err = r.Grants.Access(ctx, here)
	wantCode(t, err, fault.NotFound)
	_, err = r.Grants.Access(ctx, there)
	check(t, err)
	entry, err := r.Store.Session(ctx, known.Session.ID)
	if err != nil || !slices.Equal(entry.Sites, []string{"site-1"}) {
		t.Errorf("entry %+v, %v", entry, err)
	}
	if events := r.ends(); len(events) != 1 || events[0].Site != "site-0" || events[0].Detail["scope"] != "site" || events[0].Detail["cause"] != "site" {
		t.Errorf("events %+v", events)
	}
	for _, row := range []struct{ handle, site string }{{known.Handle, "site-0"}, {known.Handle, "site-2"}, {"nobody's", "site-0"}} {
		_, err := r.Leave(ctx, row.handle, row.site, logout.Why{Cause: logout.Site})
		wantCode(t, err, fault.NotFound)
	}
	// Once it is used there again, the site hears of its end again.
	c.Advance(time.Second)
	if token := r.token(known, "site-0"); token == "" {
		t.Error("no way back")
	}
	batch, err = r.End(ctx, known.Session.ID, logout.Why{Cause: logout.Citizen})
	check(t, err)
	if list := r.await(batch); len(list) != 2 {
		t.Errorf("receipt %+v", list)
	}
}

func TestEndAll(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	ctx := t.Context()
	here, there, elsewhere := r.signedIn("kim", "site-0"), r.signedIn("kim", "site-0", "site-1"), r.signedIn("kim", "quiet")
	lee := r.signedIn("lee", "site-0")
	batch, n, err := r.EndAll(ctx, "kim", here.Session.ID, logout.Why{Cause: logout.Citizen, Actor: audit.Citizen})
	if err != nil || n != 2 {
		t.Fatalf("%d, %v", n, err)
	}
	if list := r.await(batch); len(list) != 2 {
		t.Errorf("receipt %+v", list)
	}
	for _, known := range []session.Known{there, elsewhere} {
		_, err := r.Sessions.Find(ctx, known.Handle)
		wantCode(t, err, fault.NotFound)
	}
	for _, known := range []session.Known{here, lee} {
		_, err := r.Sessions.Find(ctx, known.Handle)
		check(t, err)
	}
	if _, n, err = r.EndAll(ctx, "kim", "", logout.Why{Cause: logout.Dispute, Batch: batch}); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if list := r.await(batch); len(list) != 3 {
		t.Errorf("receipt %+v", list)
	}
	if _, n, err = r.EndAll(ctx, "kim", "", logout.Why{Cause: logout.Dispute}); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	r, c := embedded(t)
	r.Within = time.Hour
	one := session.Entry{ID: "one", Sites: []string{"quiet", "site-0", "site-1"}}
	two := session.Entry{ID: "two", Sites: []string{"site-0"}}
	alone := func(at string) logout.Told {
		t := told("kim", "", at)
		t.SID = ""
		return t
	}
	for name, row := range map[string]struct {
		sites   []string
		entries []session.Entry
		want    []logout.Told
	}{
		"nobody":                {nil, []session.Entry{one}, nil},
		"who has no address":    {[]string{"quiet", "framed", "no-such-site"}, []session.Entry{one}, nil},
		"by the subject":        {[]string{"site-0"}, nil, []logout.Told{alone("site-0")}},
		"by the session":        {[]string{"site-1"}, []session.Entry{one, two}, []logout.Told{told("kim", "one", "site-1")}},
		"by two sessions":       {[]string{"site-0"}, []session.Entry{one, two}, []logout.Told{told("kim", "one", "site-0"), told("kim", "two", "site-0")}},
		"one way and the other": {[]string{"site-0", "site-2"}, []session.Entry{two}, []logout.Told{told("kim", "two", "site-0"), alone("site-2")}},
	} {
		items, err := r.Tell("kim", row.sites, row.entries, "batch")
		check(t, err)
		var got []logout.Told
		for _, i := range items {
			open, err := r.Open(i)
			check(t, err)
			got = append(got, open)
			if i.Kind != outbox.Logout || i.Target != open.Site || i.Batch != "batch" || !i.GiveUpAt.Equal(c.Now().Add(time.Hour)) || strings.Contains(i.Payload, open.Subject) {
				t.Errorf("%s: item %+v", name, i)
			}
			i.ID = "another"
			if _, err := r.Open(i); !errors.Is(err, secret.ErrSealed) {
				t.Errorf("%s: a payload opens under another item: %v", name, err)
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	r, _ := embedded(t)
	frames := r.Frames("one", []string{"framed", "framed-plain", "quiet", "site-0", "no-such-site"})
	want := []string{
		"https://framed.example/out?a=%20b&iss=https%3A%2F%2Fanyid.example&sid=" + session.SID("one", "framed"), "https://plain.example/out",
	}
	if !slices.Equal(frames, want) {
		t.Errorf("%v", frames)
	}
	if frames := r.Frames("one", []string{"site-0"}); frames != nil {
		t.Errorf("%v", frames)
	}
}

// TestJoiningWhileEnding: of 64 sites that a session joins while it ends, on two instances, each that got a code is
// told of the end, and its code is worth nothing.
func TestJoiningWhileEnding(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		both := []*rig{newRig(t, open(time.Now), time.Now, true)}
		both = append(both, newRig(t, open(time.Now), time.Now, false))
		known := both[0].signedIn("kim", "site-64")
		codes := make([]string, 64)
		var (
			batch string
			wg    sync.WaitGroup
			start = make(chan struct{})
		)
		for i := range codes {
			wg.Go(func() {
				<-start
				var err error
				at := fmt.Sprintf("site-%d", i)
				if i%8 == 0 {
					at = "site-64" // which uses the session already, so nothing is to be joined
				}
				if codes[i], err = both[i%2].join(known.Handle, at); err != nil && !fault.Is(err, fault.NotFound) {
					t.Errorf("racer %d: %v", i, err)
				}
				if i == 20 {
					if batch, err = both[0].End(t.Context(), known.Session.ID, logout.Why{Cause: logout.Citizen}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		close(start)
		wg.Wait()
		list, err := both[1].Receipt(t.Context(), batch)
		check(t, err)
		for i, code := range codes {
			at := fmt.Sprintf("site-%d", i)
			if i%8 == 0 {
				at = "site-64"
			}
			if code == "" {
				continue
			}
			if !slices.ContainsFunc(list, func(d logout.Delivery) bool { return d.Site == at }) {
				t.Errorf("%s has a code and is not told", at)
			}
			if both[i%2].alive(code) {
				t.Errorf("%s has a code that counts", at)
			}
		}
		if _, err := both[1].join(known.Handle, "site-65"); !fault.Is(err, fault.NotFound) {
			t.Errorf("joined after the end: %v", err)
		}
	})
}

// TestProvingWhileEnding: when a citizen proves themselves anew while another browser ends their session, there is
// either a session whose entry leads to it, or none.
func TestProvingWhileEnding(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		both := []*rig{newRig(t, open(time.Now), time.Now, true)}
		both = append(both, newRig(t, open(time.Now), time.Now, false))
		ctx := t.Context()
		for range 12 {
			known := both[0].signedIn("kim", "site-0")
			var (
				next   session.Known
				proved error
				wg     sync.WaitGroup
				start  = make(chan struct{})
			)
			wg.Go(func() {
				<-start
				next, proved = both[0].prove("kim", known.Handle, "site-1")
			})
			for range 3 {
				wg.Go(func() {
					<-start
					if _, err := both[1].End(ctx, known.Session.ID, logout.Why{Cause: logout.Citizen}); err != nil && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				})
			}
			close(start)
			wg.Wait()
			if proved != nil && !fault.Is(proved, fault.NotFound) {
				t.Fatal(proved)
			}
			found, err := both[0].Sessions.Find(ctx, next.Handle)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			check(t, err)
			entry, err := both[0].Store.Session(ctx, found.ID)
			if err != nil || entry.Key != session.Key(next.Handle) {
				t.Errorf("a session lives that nobody finds: %+v, %v", entry, err)
			}
		}
	})
}

// TestJoiningWhileLeaving: a site that uses a session while its citizen leaves it is left, or told of the session's end
// when that comes.
func TestJoiningWhileLeaving(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		both := []*rig{newRig(t, open(time.Now), time.Now, true)}
		both = append(both, newRig(t, open(time.Now), time.Now, false))
		ctx := t.Context()
		known := both[0].signedIn("kim", "site-0")
		for range 12 {
			var (
				codes [4]string
				wg    sync.WaitGroup
				start = make(chan struct{})
			)
			for i := range codes {
				wg.Go(func() {
					<-start
					var err error
					if codes[i], err = both[i%2].join(known.Handle, "site-0"); err != nil && !fault.Is(err, fault.NotFound) {
						t.Error(err)
					}
				})
			}
			wg.Go(func() {
				<-start
				if _, err := both[1].Leave(ctx, known.Handle, "site-0", logout.Why{Cause: logout.Site}); err != nil && !fault.Is(err, fault.NotFound) {
					t.Error(err)
				}
			})
			close(start)
			wg.Wait()
			entry, err := both[0].Store.Session(ctx, known.Session.ID)
			check(t, err)
			found, err := both[0].Sessions.Find(ctx, known.Handle)
			check(t, err)
			used := slices.Contains(entry.Sites, "site-0")
			if found.Uses("site-0") && !used {
				t.Error("the session is used where nobody is told of its end")
			}
			for i, code := range codes {
				if code != "" && both[i%2].alive(code) && !used {
					t.Error("a code counts where nobody is told of the session's end")
				}
			}
			_, err = both[0].join(known.Handle, "site-0")
			check(t, err)
		}
	})
}
