package logout_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// look lets each instance look once for what is over.
func look(t *testing.T, rigs ...*rig) {
	t.Helper()
	var wg sync.WaitGroup
	for _, r := range rigs {
		wg.Go(func() {
			if _, err := r.ExpireDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestExpire: the sites of a session that nobody uses any more hear of its end, once, from whichever instance; one that is
// used lives on.
func TestExpire(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		c := newClock()
		a := newRig(t, open(c.Now), c.Now, true)
		b := newRig(t, open(c.Now), c.Now, false)
		ctx := t.Context()
		used, idle := a.signedIn("kim", "site-0", "site-1"), a.signedIn("lee", "site-0", "quiet")
		c.Advance(30 * time.Minute)
		_, err := a.join(used.Handle, "site-0")
		check(t, err)
		token := a.token(idle, "quiet")
		look(t, a, b)
		if n := len(a.ends()); n != 0 {
			t.Fatalf("%d ended before their time", n)
		}
		c.Advance(30 * time.Minute)
		entries, err := a.Store.Due(ctx, c.Now(), 10)
		check(t, err)
		if len(entries) != 2 {
			t.Fatalf("%d are due", len(entries))
		}
		_, err = a.join(used.Handle, "site-0")
		check(t, err)
		c.Advance(29 * time.Minute)
		_, err = a.join(used.Handle, "site-0")
		check(t, err)
		c.Advance(2 * time.Minute) // the token was granted by a use
		look(t, a, b, a, b)
		if events := a.ends(); len(events) != 1 || events[0].Actor != audit.System || events[0].Detail["cause"] != "expired" || events[0].Subject != storagetest.Veil.Subject("lee") {
			t.Errorf("events %+v", events)
		}
		_, err = b.Grants.Access(ctx, token)
		wantCode(t, err, fault.NotFound)
		entry, err := b.Store.Session(ctx, used.Session.ID)
		check(t, err)
		if want := c.Now().Add(58 * time.Minute); !entry.CheckAt.Equal(want) {
			t.Errorf("it is looked at again at %s, want %s", entry.CheckAt, want)
		}
		a.run()
		b.run()
		deadline := time.Now().Add(time.Minute)
		for len(a.sites.heard())+len(b.sites.heard()) == 0 && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		if heard := append(a.sites.heard(), b.sites.heard()...); len(heard) != 1 || heard[0] != told("lee", idle.Session.ID, "site-0") {
			t.Errorf("heard %+v", heard)
		}
	})
}

// TestExpireInUse: a session that its citizen proves anew, or uses, just when it seems to be over does not end.
func TestExpireInUse(t *testing.T) {
	t.Parallel()
	r, c := embedded(t)
	ctx := t.Context()
	known := r.signedIn("kim", "site-0")
	c.Advance(policy.Idle - time.Minute)
	due, err := r.Store.Session(ctx, known.Session.ID)
	check(t, err)
	due.Key = session.Key("that was there before")
	check(t, r.Expire(ctx, due)) // its handle has changed since
	due.Key = session.Key(known.Handle)
	due.CheckAt = due.CheckAt.Add(-time.Minute)
	_, err = r.Sessions.End(ctx, known.Handle)
	check(t, err)
	check(t, r.Expire(ctx, due)) // it was put off since
	if n := len(r.ends()); n != 0 {
		t.Errorf("%d ended", n)
	}
	due.CheckAt = due.CheckAt.Add(time.Minute)
	check(t, r.Expire(ctx, due))
	check(t, r.Expire(ctx, due))
	if n := len(r.ends()); n != 1 {
		t.Errorf("%d ended", n)
	}
}

// TestRun: sessions that are over end by themselves.
func TestRun(t *testing.T) {
	t.Parallel()
	r, c := embedded(t)
	r.signedIn("kim", "site-0")
	c.Advance(2 * policy.Idle)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	deadline := time.Now().Add(time.Minute)
	for len(r.sites.heard()) == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	running.Wait()
	if heard := r.sites.heard(); len(heard) != 1 {
		t.Errorf("heard %+v", heard)
	}
}
