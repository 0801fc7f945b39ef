package session_test

import (
	"context"
	"fmt"
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

func create(t *testing.T, s *session.Service, a session.Authentication, previous, site string) (string, *session.Session) {
	t.Helper()
	handle, made, err := s.Create(t.Context(), a, previous, site, terms)
	if err != nil {
		t.Fatal(err)
	}
	return handle, made
}

func gone(t *testing.T, s *session.Service, handle string) {
	t.Helper()
	if _, err := s.Find(t.Context(), handle); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session is found: %v", err)
	}
	if _, err := s.Join(t.Context(), handle, "elsewhere", terms); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session is joined: %v", err)
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
		if _, err := s.Join(t.Context(), handle, "a", terms); err != nil {
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
		writes  int64
	}{
		{"the same site again", 0, "a", terms, 0},
		{"within the touch step", time.Minute - time.Millisecond, "a", terms, 0},
		{"at the touch step", time.Millisecond, "a", terms, 1},
		{"another site", 0, "b", terms, 1},
		{"that site again", 0, "b", terms, 0},
		{"other items", 0, "b", session.AtSite{Consent: "1", Items: []string{"gender", "name"}}, 1},
		{"other terms", 0, "b", session.AtSite{Consent: "2", Items: []string{"gender", "name"}}, 1},
		{"no items", 0, "c", session.AtSite{Consent: "1"}, 1},
		{"no items again", 0, "c", session.AtSite{Consent: "1", Items: []string{}}, 0},
	} {
		c.Advance(step.advance)
		before := store.writes.Load()
		found, err := s.Find(t.Context(), handle)
		if err != nil {
			t.Fatal(err)
		}
		if noted := s.Noted(found, step.site, step.at); noted != (step.writes == 0) {
			t.Errorf("%s: noted is %t", step.name, noted)
		}
		joined, err := s.Join(t.Context(), handle, step.site, step.at)
		if err != nil {
			t.Fatal(err)
		}
		if joined.ID != made.ID || joined.Sites[step.site].Consent != step.at.Consent {
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
	third, lee := create(t, s, proof("lee", c), second, "b")
	gone(t, s, second)
	if lee.ID == kim.ID || len(lee.Sites) != 1 {
		t.Errorf("another person's session is %+v", lee)
	}
	fourth, _ := create(t, s, proof("lee", c), "planted", "b") // a handle of nobody's
	for _, handle := range []string{third, fourth} {
		if _, err := s.Find(t.Context(), handle); err != nil {
			t.Error(err)
		}
	}
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
		if n := race(func(i int, s *session.Service) (bool, error) {
			_, err := s.Join(t.Context(), handle, fmt.Sprintf("site-%d", i/2), terms)
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
				_, err := s.Join(t.Context(), handle, fmt.Sprintf("late-%d", i), terms)
				return false, err
			}
			_, err := s.End(t.Context(), handle)
			return true, err
		}); n != 1 {
			t.Errorf("%d racers ended the session, want one", n)
		}
		gone(t, both[1], handle)
	})
}
