package session_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// clock is a time that moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Now().Truncate(time.Second).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

// counting counts writes.
type counting struct {
	kv.Store
	writes atomic.Int64
}

func (c *counting) CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error) {
	c.writes.Add(1)
	return c.Store.CompareAndSwap(ctx, key, old, new, ttl)
}

func service(t *testing.T) (*session.Service, *clock, *counting) {
	t.Helper()
	c := newClock()
	store := &counting{Store: storagetest.Embedded(t, t.TempDir(), c.Now).KV}
	return &session.Service{KV: store, Now: c.Now, Policy: session.Policy{Idle: time.Hour, Absolute: 3 * time.Hour}}, c, store
}

func proof(person string, c *clock) session.Authentication {
	return session.Authentication{Person: person, Method: method.Simple, Provider: "kakao", Level: 2, AMR: []string{"pop"}, At: c.Now()}
}

var terms = session.AtSite{Consent: "1", Items: []string{"name"}}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prepare(t *testing.T, s *session.Service, a session.Authentication, previous, site string) session.Prepared {
	t.Helper()
	p, err := s.Prepare(t.Context(), a, previous, site, terms, "terms=1")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func create(t *testing.T, s *session.Service, a session.Authentication, previous, site string) (string, *session.Session) {
	t.Helper()
	p := prepare(t, s, a, previous, site)
	if err := s.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p.Handle, p.Session
}

// known is the session of the browser with the handle.
func known(t *testing.T, s *session.Service, handle string) session.Known {
	t.Helper()
	found, err := s.Find(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	return session.Known{Handle: handle, Session: found}
}

func gone(t *testing.T, s *session.Service, handle string) {
	t.Helper()
	if _, err := s.Find(t.Context(), handle); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session is found: %v", err)
	}
	nobody := session.Known{Handle: handle, Session: new(session.Session)}
	if _, err := s.Join(t.Context(), nobody, "elsewhere", terms, "terms=1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session is joined: %v", err)
	}
	if err := s.Leave(t.Context(), handle, "a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session is left: %v", err)
	}
	if until, alive, err := s.Alive(t.Context(), session.Key(handle)); alive || err != nil {
		t.Errorf("the session lives until %s, %v", until, err)
	}
}

func TestCreateAndFind(t *testing.T) {
	t.Parallel()
	s, c, store := service(t)
	handle, made := create(t, s, proof("kim", c), "", "a")
	found, err := s.Find(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	if found.ID != made.ID || found.Person != "kim" || found.Level != 2 || !found.At.Equal(c.Now()) || found.Sites["a"].Consent != "1" {
		t.Errorf("found %+v", found)
	}
	if len(handle) != 43 || found.ID == handle {
		t.Errorf("handle %q of session %q", handle, found.ID)
	}
	if _, err := store.Get(t.Context(), "session:"+handle); err == nil {
		t.Error("the handle itself is stored")
	}
	gone(t, s, "")
	gone(t, s, found.ID)
	gone(t, s, handle+"x")
}

// TestEnds: a session ends so long after its last use, and so long after the proof however it is used.
func TestEnds(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	handle, _ := create(t, s, proof("kim", c), "", "a")
	c.Advance(time.Hour - time.Millisecond)
	if _, err := s.Find(t.Context(), handle); err != nil {
		t.Errorf("a moment before idle: %v", err)
	}
	c.Advance(time.Millisecond)
	gone(t, s, handle)

	handle, _ = create(t, s, proof("kim", c), "", "a")
	for range 5 { // 2 h 30 min
		c.Advance(30 * time.Minute)
		if _, err := s.Join(t.Context(), known(t, s, handle), "a", terms, "terms=1"); err != nil {
			t.Fatal(err)
		}
	}
	c.Advance(30*time.Minute - time.Millisecond)
	if _, err := s.Find(t.Context(), handle); err != nil {
		t.Errorf("a moment before the absolute end: %v", err)
	}
	c.Advance(time.Millisecond)
	gone(t, s, handle)
}

// TestEndsWithoutExpiry: the store need not be on time.
func TestEndsWithoutExpiry(t *testing.T) {
	t.Parallel()
	c, store := newClock(), newClock() // the store's clock stands still
	s := &session.Service{KV: storagetest.Embedded(t, t.TempDir(), store.Now).KV, Now: c.Now, Policy: session.Policy{Idle: time.Hour, Absolute: 3 * time.Hour}}
	handle, _ := create(t, s, proof("kim", c), "", "a")
	c.Advance(time.Hour)
	gone(t, s, handle)
}

// TestJoin: a session is written when there is something new to remember, and not before.
func TestJoin(t *testing.T) {
	t.Parallel()
	s, c, store := service(t)
	handle, made := create(t, s, proof("kim", c), "", "a")
	for _, step := range []struct {
		name    string
		advance time.Duration
		site    string
		at      session.AtSite
		texts   string // the broker's
		writes  int64
	}{
		{"the same site again", 0, "a", terms, "terms=1", 0},
		{"within the touch step", time.Minute - time.Millisecond, "a", terms, "terms=1", 0},
		{"at the touch step", time.Millisecond, "a", terms, "terms=1", 1},
		{"another site", 0, "b", terms, "terms=1", 1},
		{"that site again", 0, "b", terms, "terms=1", 0},
		{"other items", 0, "b", session.AtSite{Consent: "1", Items: []string{"gender", "name"}}, "terms=1", 1},
		{"other terms", 0, "b", session.AtSite{Consent: "2", Items: []string{"gender", "name"}}, "terms=1", 1},
		{"no items", 0, "c", session.AtSite{Consent: "1"}, "terms=1", 1},
		{"no items again", 0, "c", session.AtSite{Consent: "1", Items: []string{}}, "terms=1", 0},
		{"other texts", 0, "c", session.AtSite{Consent: "1"}, "terms=2", 1},
	} {
		c.Advance(step.advance)
		before := store.writes.Load()
		found, err := s.Find(t.Context(), handle)
		if err != nil {
			t.Fatal(err)
		}
		if noted := s.Noted(found, step.site, step.at, step.texts); noted != (step.writes == 0) {
			t.Errorf("%s: noted is %t", step.name, noted)
		}
		joined, err := s.Join(t.Context(), session.Known{Handle: handle, Session: found}, step.site, step.at, step.texts)
		if err != nil {
			t.Fatal(err)
		}
		if joined.ID != made.ID || joined.Sites[step.site].Consent != step.at.Consent || joined.Terms != step.texts {
			t.Errorf("%s: joined %+v", step.name, joined)
		}
		if n := store.writes.Load() - before; n != step.writes {
			t.Errorf("%s: %d writes, want %d", step.name, n, step.writes)
		}
	}
	found, err := s.Find(t.Context(), handle)
	if err != nil || len(found.Sites) != 3 || !found.SeenAt.Equal(c.Now()) {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestPrevious: a proof ends the browser's session before it; only the same person's id and sites live on.
func TestPrevious(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	first, kim := create(t, s, proof("kim", c), "", "a")
	c.Advance(30 * time.Minute)
	second, again := create(t, s, proof("kim", c), first, "b")
	gone(t, s, first)
	if again.ID != kim.ID || len(again.Sites) != 2 || !again.CreatedAt.Equal(c.Now()) {
		t.Errorf("the same person's session is %+v", again)
	}
	prepared := prepare(t, s, proof("lee", c), second, "b")
	gone(t, s, second)
	gone(t, s, prepared.Handle) // not yet
	third, lee := prepared.Handle, prepared.Session
	if lee.ID == kim.ID || len(lee.Sites) != 1 || prepared.Replaced == nil || prepared.Replaced.ID != kim.ID || len(prepared.Replaced.Sites) != 2 {
		t.Errorf("another person's session is %+v instead of %+v", lee, prepared.Replaced)
	}
	if err := s.Put(t.Context(), prepared); err != nil {
		t.Fatal(err)
	}
	fourth, _ := create(t, s, proof("lee", c), "planted", "b") // a handle of nobody's
	for _, handle := range []string{third, fourth} {
		if _, err := s.Find(t.Context(), handle); err != nil {
			t.Error(err)
		}
	}
}

// TestEntry: what is recorded of a session is what finds it, and the sites that are told of its end.
func TestEntry(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	p := prepare(t, s, proof("kim", c), "", "b")
	want := session.Entry{
		ID: p.Session.ID, Person: "kim", Key: session.Key(p.Handle), Method: method.Simple, Provider: "kakao", Level: 2,
		Sites: []string{"b"}, At: c.Now(), CheckAt: c.Now().Add(time.Hour),
	}
	if !reflect.DeepEqual(p.Entry, want) || p.Replaced != nil {
		t.Errorf("entry %+v", p.Entry)
	}
	if err := s.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, site := range []string{"a", "c"} {
		if _, err := s.Join(t.Context(), known(t, s, p.Handle), site, terms, "terms=1"); err != nil {
			t.Fatal(err)
		}
	}
	check(t, s.Leave(t.Context(), p.Handle, "c"))
	again := prepare(t, s, proof("kim", c), p.Handle, "b")
	if again.Entry.ID != want.ID || again.Entry.Key == want.Key || !slices.Equal(again.Entry.Sites, []string{"a", "b"}) {
		t.Errorf("entry %+v", again.Entry)
	}
}

// TestLeave: a site that was left is not used any more, until a login joins it again, and a login that was under way
// when it was left gets nothing.
func TestLeave(t *testing.T) {
	t.Parallel()
	s, c, store := service(t)
	ctx := t.Context()
	handle, made := create(t, s, proof("kim", c), "", "a")
	if _, err := s.Join(ctx, known(t, s, handle), "b", terms, "terms=1"); err != nil {
		t.Fatal(err)
	}
	before := known(t, s, handle)
	if before.Session.Joins("a") != "" || before.Session.Joins("c") != made.ID || !slices.Equal(before.Session.Used(), []string{"a", "b"}) {
		t.Errorf("%+v", before.Session)
	}
	for range 2 { // the second time changes nothing but the round
		check(t, s.Leave(ctx, handle, "a"))
		if now := known(t, s, handle).Session; now.Uses("a") || !now.Sites["a"].Left || !now.Uses("b") || now.Joins("a") != made.ID || !slices.Equal(now.Used(), []string{"b"}) {
			t.Fatalf("%+v", now)
		}
	}
	check(t, s.Leave(ctx, handle, "c")) // where it never was
	if _, err := s.Join(ctx, before, "a", terms, "terms=1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a login under way: %v", err)
	}
	now := known(t, s, handle)
	if s.Noted(now.Session, "a", terms, "terms=1") {
		t.Error("a site that was left is noted")
	}
	writes := store.writes.Load()
	back, err := s.Join(ctx, now, "a", terms, "terms=1")
	if err != nil || !back.Uses("a") || store.writes.Load() != writes+1 {
		t.Errorf("%+v, %v", back, err)
	}
	// What has seen it left once does not join when it was left again since.
	check(t, s.Leave(ctx, handle, "a"))
	if _, err := s.Join(ctx, now, "a", terms, "terms=1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a login under way: %v", err)
	}
	// A site that is forgotten is one where the session never was, but for logins that are under way.
	for range 2 {
		now = known(t, s, handle)
		check(t, s.Forget(ctx, session.Key(handle), "a"))
		if now := known(t, s, handle).Session; now.Uses("a") || now.Sites["a"].Left || now.Sites["a"].Consent != "" || !slices.Equal(now.Used(), []string{"b"}) {
			t.Errorf("%+v", now)
		}
		if _, err := s.Join(ctx, now, "a", terms, "terms=1"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a login under way: %v", err)
		}
		if back, err = s.Join(ctx, known(t, s, handle), "a", terms, "terms=1"); err != nil || !back.Uses("a") {
			t.Errorf("%+v, %v", back, err)
		}
	}
	check(t, s.Forget(ctx, session.Key(handle), "c"))
	if err := s.Forget(ctx, "session:none", "a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody's session: %v", err)
	}
	// A login that knew the session before it was proved anew in its browser.
	next, _ := create(t, s, proof("lee", c), handle, "a")
	now = known(t, s, next)
	now.Session.ID = made.ID
	if _, err := s.Join(ctx, now, "b", terms, "terms=1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another person's session: %v", err)
	}
}

// TestEndByKey: an end from elsewhere also meets a session that is about to be put.
func TestEndByKey(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	ctx := t.Context()
	handle, made := create(t, s, proof("kim", c), "", "a")
	ended, err := s.EndByKey(ctx, session.Key(handle))
	if err != nil || ended.ID != made.ID {
		t.Errorf("%+v, %v", ended, err)
	}
	gone(t, s, handle)
	if _, err := s.EndByKey(ctx, session.Key(handle)); !fault.Is(err, fault.NotFound) {
		t.Errorf("twice: %v", err)
	}
	if _, err := s.End(ctx, handle); !fault.Is(err, fault.NotFound) {
		t.Errorf("and by its handle: %v", err)
	}
	p := prepare(t, s, proof("kim", c), "", "a")
	if _, err := s.EndByKey(ctx, p.Entry.Key); !fault.Is(err, fault.NotFound) {
		t.Errorf("before it was put: %v", err)
	}
	if err := s.Put(ctx, p); !fault.Is(err, fault.NotFound) {
		t.Errorf("put after its end: %v", err)
	}
	gone(t, s, p.Handle)
}

func TestSID(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	_, one := create(t, s, proof("kim", c), "", "a")
	_, two := create(t, s, proof("kim", c), "", "a")
	seen := make(map[string]bool)
	for _, sid := range []string{one.SID("a"), one.SID("b"), two.SID("a"), two.SID("b")} {
		if len(sid) != 32 || seen[sid] || sid == one.ID {
			t.Errorf("sid %q", sid)
		}
		seen[sid] = true
	}
	if one.SID("a") != session.SID(one.ID, "a") {
		t.Error("a session's sid at one site changes")
	}
}

const racers = 64

// TestRaces: of 64 callers one ends a session; 64 sites join it without losing one another; a session that
// ends meanwhile stays ended.
func TestRaces(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		c := newClock()
		policy := session.Policy{Idle: time.Hour, Absolute: 3 * time.Hour}
		both := []*session.Service{{KV: open(c.Now).KV, Now: c.Now, Policy: policy}, {KV: open(c.Now).KV, Now: c.Now, Policy: policy}}
		race := func(f func(i int, s *session.Service) (bool, error)) (n int64) {
			var (
				wg    sync.WaitGroup
				won   atomic.Int64
				start = make(chan struct{})
			)
			for i := range racers {
				wg.Go(func() {
					<-start
					ok, err := f(i, both[i%2])
					if err != nil && !fault.Is(err, fault.NotFound) {
						t.Errorf("racer %d: %v", i, err)
					}
					if ok && err == nil {
						won.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
			return won.Load()
		}
		handle, _ := create(t, both[0], proof("kim", c), "", "first")
		first := known(t, both[0], handle)
		if n := race(func(i int, s *session.Service) (bool, error) {
			_, err := s.Join(t.Context(), first, fmt.Sprintf("site-%d", i/2), terms, "terms=1")
			return true, err
		}); n != racers {
			t.Errorf("%d joined", n)
		}
		found, err := both[0].Find(t.Context(), handle)
		if err != nil || len(found.Sites) != 1+racers/2 {
			t.Errorf("%d sites, %v", len(found.Sites), err)
		}
		if n := race(func(i int, s *session.Service) (bool, error) {
			if i >= racers/2 {
				_, err := s.Join(t.Context(), first, fmt.Sprintf("late-%d", i), terms, "terms=1")
				return false, err
			}
			if i%4 < 2 {
				_, err := s.EndByKey(t.Context(), session.Key(handle))
				return true, err
			}
			_, err := s.End(t.Context(), handle)
			return true, err
		}); n != 1 {
			t.Errorf("%d racers ended the session, want one", n)
		}
		gone(t, both[1], handle)

		// Whichever comes first, a session that is put while it is ended is ended.
		prepared := prepare(t, both[0], proof("kim", c), "", "first")
		if n := race(func(i int, s *session.Service) (bool, error) {
			if i == 0 {
				return false, s.Put(t.Context(), prepared)
			}
			_, err := s.EndByKey(t.Context(), prepared.Entry.Key)
			return true, err
		}); n > 1 {
			t.Errorf("%d racers ended the session, want at most one", n)
		}
		gone(t, both[1], prepared.Handle)
	})
}
