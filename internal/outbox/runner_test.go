package outbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Store whose clock is the test's: what a Runner does over hours is tested in a moment. It counts each
// lease for itself, so that a target is crowded more than with the real ones.
type memory struct {
	mu    sync.Mutex
	items map[string]Item
	fail  map[string]error // by method
	calls map[string]int
}

func newMemory(items ...Item) *memory {
	m := &memory{items: map[string]Item{}, fail: map[string]error{}, calls: map[string]int{}}
	_ = m.Add(context.Background(), items...)
	return m
}

func (m *memory) begin(ctx context.Context, method string) error {
	m.calls[method]++
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.fail[method]
}

func (m *memory) Add(_ context.Context, items ...Item) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range items {
		m.items[i.ID] = i
	}
	return nil
}

func (m *memory) Lease(ctx context.Context, now, until time.Time, limit, perTarget int) ([]Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "lease"); err != nil {
		return nil, err
	}
	var due []Item
	for _, i := range m.items {
		if i.State == Waiting && !i.NextAt.After(now) {
			due = append(due, i)
		}
	}
	slices.SortFunc(due, func(a, b Item) int { return cmp.Or(a.NextAt.Compare(b.NextAt), strings.Compare(a.ID, b.ID)) })
	var leased []Item
	of := map[string]int{}
	for _, i := range due {
		if len(leased) == limit || of[i.Target] == perTarget {
			continue
		}
		of[i.Target]++
		i.Attempts++
		i.NextAt = until
		m.items[i.ID] = i
		leased = append(leased, i)
	}
	return leased, nil
}

func (m *memory) Settle(ctx context.Context, i Item, leased time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "settle"); err != nil {
		return false, err
	}
	old := m.items[i.ID]
	if old.State != Waiting || !old.NextAt.Equal(leased) {
		return false, nil
	}
	old.State, old.Error, old.NextAt, old.DoneAt = i.State, i.Error, i.NextAt, i.DoneAt
	if old.State != Waiting {
		old.Payload = ""
	}
	m.items[i.ID] = old
	return true, nil
}

func (m *memory) Batch(ctx context.Context, batch string) ([]Item, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "batch"); err != nil {
		return nil, err
	}
	var items []Item
	for _, i := range m.items {
		if i.Batch == batch {
			items = append(items, i)
		}
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Target, b.Target) })
	return items, nil
}

func (m *memory) Sweep(ctx context.Context, before time.Time, limit int) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(ctx, "sweep"); err != nil {
		return 0, err
	}
	for id, i := range m.items {
		if i.State != Waiting && i.DoneAt.Before(before) && n < limit {
			delete(m.items, id)
			n++
		}
	}
	return n, nil
}

func (m *memory) get(id string) Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.items[id]
}

func (m *memory) set(method string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail[method] = err
}

func (m *memory) count(method string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[method]
}

// try is one delivery that a target saw.
type try struct {
	item Item
	at   time.Time
}

// targets is a Handler that does at each target what the test says, and keeps what it saw.
type targets struct {
	do map[string]func(ctx context.Context, i Item) error // by target; nil: it takes the item

	mu    sync.Mutex
	tries []try
	busy  map[string]int
	most  map[string]int // the most tries at once
}

func (h *targets) Deliver(ctx context.Context, i Item) error {
	h.mu.Lock()
	if h.busy == nil {
		h.busy, h.most = map[string]int{}, map[string]int{}
	}
	h.tries = append(h.tries, try{i, time.Now()})
	h.busy[i.Target]++
	h.most[i.Target] = max(h.most[i.Target], h.busy[i.Target])
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.busy[i.Target]--
		h.mu.Unlock()
	}()
	if do := h.do[i.Target]; do != nil {
		return do(ctx, i)
	}
	return nil
}

// of lists the tries at a target.
func (h *targets) of(target string) (tries []try) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.tries {
		if t.item.Target == target {
			tries = append(tries, t)
		}
	}
	return tries
}

func hang(ctx context.Context, _ Item) error {
	<-ctx.Done()
	return ctx.Err()
}

func refuse(context.Context, Item) error { return Temporary("status_503", errors.New("busy")) }

// settled keeps what a runner reports.
type settled struct {
	mu    sync.Mutex
	items []Item
}

func (s *settled) add(_ context.Context, i Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = append(s.items, i)
}

func (s *settled) ids() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.items {
		ids = append(ids, i.ID)
	}
	return ids
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// play is a runner on a store with what it reports.
type play struct {
	*Runner
	store              *memory
	targets            *targets
	delivered, givenUp settled
	log                syncBuffer
	stop               func()
}

// start runs a runner in the test's bubble.
func start(t *testing.T, store *memory, do map[string]func(context.Context, Item) error) *play {
	t.Helper()
	p := &play{store: store, targets: &targets{do: do}}
	p.Runner = &Runner{
		Store: store, Handlers: map[Kind]Handler{Logout: p.targets}, Now: time.Now,
		Delivered: p.delivered.add, GivenUp: p.givenUp.add, Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); p.Run(ctx) }()
	p.stop = func() { cancel(); <-done }
	t.Cleanup(p.stop)
	return p
}

func item(target, batch string, within time.Duration) Item {
	i := New(Logout, target, batch, time.Now(), within)
	i.Payload = "sealed"
	return i
}

// sleep lets the bubble's time pass, and what follows from it happen.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDelivers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := item("a", "", time.Hour)
		p := start(t, newMemory(first), nil)
		synctest.Wait()
		got := p.store.get(first.ID)
		if got.State != Delivered || got.Payload != "" || got.Attempts != 1 || got.Error != "" || got.DoneAt.IsZero() {
			t.Errorf("stored: %+v", got)
		}
		if seen := p.targets.of("a"); len(seen) != 1 || seen[0].item.Payload != "sealed" {
			t.Errorf("the target saw %v", seen)
		}
		second := item("a", "", time.Hour)
		_ = p.store.Add(t.Context(), second)
		p.Kick()
		synctest.Wait()
		if p.store.get(second.ID).State != Delivered {
			t.Error("a kick brings nothing")
		}
		third := item("a", "", time.Hour)
		_ = p.store.Add(t.Context(), third)
		sleep(time.Second)
		if p.store.get(third.ID).State != Delivered {
			t.Error("polling brings nothing")
		}
		if ids := p.delivered.ids(); !slices.Equal(ids, []string{first.ID, second.ID, third.ID}) || len(p.givenUp.ids()) != 0 {
			t.Errorf("reported: %v", ids)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const within = 3 * time.Hour
		i := item("a", "", within)
		p := start(t, newMemory(i), map[string]func(context.Context, Item) error{"a": refuse})
		sleep(within + time.Hour)
		tries := p.targets.of("a")
		wait := 2 * time.Second
		for n := 1; n < len(tries); n++ {
			gap := tries[n].at.Sub(tries[n-1].at)
			if gap < wait*4/5 || gap > wait+poll {
				t.Errorf("try %d came after %s, want about %s", n+1, gap, wait)
			}
			if tries[n].item.Attempts != n+1 || tries[n].item.Error != "status_503" {
				t.Errorf("try %d: %+v", n+1, tries[n].item)
			}
			wait = min(2*wait, 15*time.Minute)
		}
		if len(tries) < 18 || tries[len(tries)-1].at.Sub(i.CreatedAt) < within-16*time.Minute {
			t.Errorf("%d tries, the last after %s", len(tries), tries[len(tries)-1].at.Sub(i.CreatedAt))
		}
		got := p.store.get(i.ID)
		if got.State != "" { // swept
			t.Errorf("stored: %+v", got)
		}
		p.givenUp.mu.Lock()
		defer p.givenUp.mu.Unlock()
		if len(p.givenUp.items) != 1 || p.givenUp.items[0].Error != "status_503" || p.givenUp.items[0].Payload != "" || p.givenUp.items[0].DoneAt.After(i.GiveUpAt) {
			t.Errorf("given up: %+v", p.givenUp.items)
		}
	})
}

// TestFailures: what each kind of failure becomes, and what the log says of it.
func TestFailures(t *testing.T) {
	t.Parallel()
	const personal = "hong@example.kr"
	for _, row := range []struct {
		name string
		do   func(context.Context, Item) error
		code string
		ends bool
	}{
		{"permanent", func(context.Context, Item) error { return Permanent("status_404", errors.New(personal)) }, "status_404", true},
		{"wrapped", func(context.Context, Item) error {
			return fmt.Errorf("x: %w", Permanent("refused", errors.New(personal)))
		}, "refused", true},
		{"temporary", func(context.Context, Item) error { return Temporary("status_500", errors.New(personal)) }, "status_500", false},
		{"no code", func(context.Context, Item) error { return errors.New(personal) }, "failed", false},
		{"hangs", hang, "timeout", false},
		{"panics", func(context.Context, Item) error { panic(personal) }, "panic", false},
		{"panics with an error", func(context.Context, Item) error { panic(errors.New(personal)) }, "panic", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				i := item("a", "", 20*time.Second)
				p := start(t, newMemory(i), map[string]func(context.Context, Item) error{"a": row.do})
				sleep(5 * time.Second)
				got := p.store.get(i.ID)
				if got.Error != row.code || (got.State == GivenUp) != row.ends || row.ends && (got.Payload != "" || len(p.targets.of("a")) != 1) {
					t.Errorf("after the first try: %+v", got)
				}
				sleep(20 * time.Second)
				if got = p.store.get(i.ID); got.State != GivenUp || got.Error != row.code {
					t.Errorf("at the end: %+v", got)
				}
				if log := p.log.String(); strings.Contains(log, personal) || strings.Contains(log, "sealed") || !strings.Contains(log, row.code) {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
	t.Run("no handler", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			i := New(Notice, "a", "", time.Now(), time.Hour)
			p := start(t, newMemory(i), nil)
			synctest.Wait()
			if got := p.store.get(i.ID); got.State != Waiting || got.Error != "no_handler" {
				t.Errorf("%+v", got)
			}
		})
	})
}

// TestDeadTarget: 64 items of a target that does not answer stand in line before one of a target that does.
func TestDeadTarget(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]func(context.Context, Item) error{
		"hangs":           hang,
		"refuses at once": refuse,
		"ignores that its time is over": func(context.Context, Item) error {
			time.Sleep(30 * time.Second)
			return Temporary("slow", errors.New("slow"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var items []Item
				for range 64 {
					items = append(items, item("dead", "", time.Hour))
				}
				time.Sleep(time.Second) // the others have been due for longer
				live := item("live", "", time.Hour)
				p := start(t, newMemory(append(items, live)...), map[string]func(context.Context, Item) error{"dead": dead})
				synctest.Wait()
				if got := p.store.get(live.ID); got.State != Delivered || got.Attempts != 1 {
					t.Errorf("the live target's: %+v", got)
				}
				// And so it stays while the dead one is tried.
				for range 120 {
					time.Sleep(500 * time.Millisecond)
					more := item("live", "", time.Hour)
					_ = p.store.Add(t.Context(), more)
					p.Kick()
					synctest.Wait()
					if got := p.store.get(more.ID); got.State != Delivered {
						t.Fatalf("a later one: %+v", got)
					}
				}
				p.targets.mu.Lock()
				if most := p.targets.most["dead"]; most > 2 {
					t.Errorf("%d workers at the dead target at once", most)
				}
				p.targets.mu.Unlock()
				sleep(3 * time.Hour)
				seen := map[string]bool{}
				for _, try := range p.targets.of("dead") {
					seen[try.item.ID] = true
				}
				if len(seen) != len(items) {
					t.Errorf("%d of %d items of the dead target were tried", len(seen), len(items))
				}
			})
		})
	}
}

// TestManyDead: as many targets hang as there are workers for. Others wait for one try of theirs, no longer.
func TestManyDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, do := newMemory(), map[string]func(context.Context, Item) error{}
		for n := range 100 {
			target := fmt.Sprintf("dead-%d", n)
			do[target] = hang
			for range 8 {
				_ = store.Add(t.Context(), item(target, "", time.Hour))
			}
		}
		time.Sleep(time.Second)
		live := item("live", "", time.Hour)
		_ = store.Add(t.Context(), live)
		p := start(t, store, do)
		sleep(time.Minute)
		if p.store.get(live.ID).State != Delivered {
			t.Error("not delivered in a minute")
		}
		h := p.targets
		h.mu.Lock()
		total := 0
		for _, n := range h.busy {
			total += n
		}
		h.mu.Unlock()
		if total > 64 {
			t.Errorf("%d workers", total)
		}
	})
}

// TestRecovers: a target that comes back gets all that waited, and the workers of a good one.
func TestRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		for range 32 {
			_ = store.Add(t.Context(), item("a", "", 2*time.Hour))
		}
		back := time.Now().Add(time.Minute)
		p := start(t, store, map[string]func(context.Context, Item) error{"a": func(ctx context.Context, i Item) error {
			if time.Now().Before(back) {
				return hang(ctx, i)
			}
			return nil
		}})
		sleep(time.Hour)
		if n := len(p.delivered.ids()); n != 32 {
			t.Errorf("%d of 32 delivered", n)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.Runner.targets) != 0 || p.running != 0 {
			t.Errorf("the runner still holds %d targets, %d workers", len(p.Runner.targets), p.running)
		}
	})
}

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, newMemory(), map[string]func(context.Context, Item) error{
			"bad": refuse,
			"slow": func(context.Context, Item) error {
				time.Sleep(time.Second)
				return nil
			},
			"hangs": hang,
		})
		sleep(100 * time.Millisecond)
		await := func(batch string, most time.Duration) (map[string]State, time.Duration) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), most)
			defer cancel()
			items, err := p.Await(ctx, batch)
			if err != nil {
				t.Error(err)
			}
			states := map[string]State{}
			for _, i := range items {
				states[i.Target] = i.State
			}
			return states, time.Since(began)
		}
		_ = p.store.Add(t.Context(), item("good", "b1", time.Hour), item("bad", "b1", time.Hour), item("slow", "b1", time.Hour), item("other", "b0", time.Hour))
		states, took := await("b1", 2*time.Second)
		if took != time.Second || len(states) != 3 || states["good"] != Delivered || states["slow"] != Delivered || states["bad"] != Waiting {
			t.Errorf("after %s: %v", took, states)
		}
		_ = p.store.Add(t.Context(), item("good", "b2", time.Hour), item("hangs", "b2", time.Hour))
		states, took = await("b2", 2*time.Second)
		if took != 2*time.Second || len(states) != 2 || states["good"] != Delivered || states["hangs"] != Waiting {
			t.Errorf("after %s: %v", took, states)
		}
		if states, took = await("nothing", 2*time.Second); took != 0 || len(states) != 0 {
			t.Errorf("after %s: %v", took, states)
		}
		p.store.set("batch", errors.New("down"))
		if _, err := p.Await(t.Context(), "b1"); err == nil {
			t.Error("a store that is down says nothing")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.waiting) != 0 {
			t.Errorf("%d batches are still waited for", len(p.waiting))
		}
	})
}

// TestAwaitOthers: another instance's runner delivers.
func TestAwaitOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, newMemory(item("a", "b", time.Hour)), nil)
		here := &Runner{Store: p.store, Now: time.Now}
		items, err := here.Await(t.Context(), "b")
		if err != nil || len(items) != 1 || items[0].State != Delivered {
			t.Errorf("%v, %v", items, err)
		}
	})
}

// TestShutdown: what is under way when a runner ends is not held against its target, and comes again after the lease.
func TestShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := item("a", "", time.Hour)
		p := start(t, newMemory(i), map[string]func(context.Context, Item) error{"a": hang})
		sleep(time.Second)
		p.stop()
		if got := p.store.get(i.ID); got.State != Waiting || got.Error != "" {
			t.Errorf("after the first runner: %+v", got)
		}
		next := start(t, p.store, nil)
		synctest.Wait()
		if got := next.store.get(i.ID); got.State != Waiting {
			t.Errorf("within the lease: %+v", got)
		}
		sleep(11 * time.Second)
		if got := next.store.get(i.ID); got.State != Delivered || got.Attempts != 2 {
			t.Errorf("after the lease: %+v", got)
		}
	})
}

// TestDeliveredAtShutdown: a delivery that ends while the runner does is written down.
func TestDeliveredAtShutdown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := item("a", "", time.Hour)
		p := start(t, newMemory(i), map[string]func(context.Context, Item) error{"a": func(context.Context, Item) error {
			time.Sleep(2 * time.Second)
			return nil
		}})
		sleep(time.Second)
		p.stop()
		if got := p.store.get(i.ID); got.State != Delivered || len(p.delivered.ids()) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestLate: an item whose time ran out while nobody ran is tried once if it never was, and otherwise given up.
func TestLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fresh, failing, failed := item("fresh", "", time.Minute), item("failing", "", time.Minute), item("failed", "", time.Minute)
		failed.Error, failed.Attempts = "status_500", 3
		time.Sleep(time.Hour)
		p := start(t, newMemory(fresh, failing, failed), map[string]func(context.Context, Item) error{"failing": refuse})
		synctest.Wait()
		if got := p.store.get(fresh.ID); got.State != Delivered {
			t.Errorf("never tried: %+v", got)
		}
		if got := p.store.get(failing.ID); got.State != GivenUp || got.Error != "status_503" || got.Attempts != 1 {
			t.Errorf("never tried, and fails: %+v", got)
		}
		if got := p.store.get(failed.ID); got.State != GivenUp || got.Error != "status_500" || len(p.targets.of("failed")) != 0 {
			t.Errorf("tried before: %+v", got)
		}
	})
}

// TestStoreDown: a store that fails for a while loses nothing, and does not fill the log.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := item("a", "", time.Hour)
		store := newMemory(i)
		store.set("lease", errors.New("down"))
		store.set("sweep", errors.New("down"))
		p := start(t, store, nil)
		sleep(time.Minute)
		if n := strings.Count(p.log.String(), "cannot lease"); n != 1 {
			t.Errorf("%d lines", n)
		}
		store.set("settle", errors.New("down"))
		store.set("lease", nil)
		sleep(30 * time.Second)
		if n := len(p.targets.of("a")); n < 2 || len(p.delivered.ids()) != 0 {
			t.Errorf("%d deliveries that cannot be settled", n)
		}
		store.set("settle", nil)
		sleep(11 * time.Second)
		if got := store.get(i.ID); got.State != Delivered || len(p.delivered.ids()) != 1 || !strings.Contains(p.log.String(), "leasing again") {
			t.Errorf("%+v", got)
		}
	})
}

func TestSweeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		for range 2*sweepLimit + 1 {
			i := item("a", "", time.Hour)
			i.State, i.DoneAt = Delivered, time.Now()
			_ = store.Add(t.Context(), i)
		}
		start(t, store, nil)
		left := func() int {
			store.mu.Lock()
			defer store.mu.Unlock()
			return len(store.items)
		}
		sleep(59 * time.Minute)
		if left() != 2*sweepLimit+1 {
			t.Errorf("%d left before the hour", left())
		}
		sleep(12 * time.Minute)
		if left() != 0 {
			t.Errorf("%d left", left())
		}
	})
}

// TestIdle: a runner that has nothing to do asks once a second, not more.
func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, newMemory(), nil)
		sleep(time.Minute)
		if n := p.store.count("lease"); n < 59 || n > 61 {
			t.Errorf("%d leases in a minute", n)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := Policy{}.withDefaults()
	for _, row := range []struct {
		attempts int
		age      time.Duration
		want     time.Duration
	}{
		{1, 0, 2 * time.Second},
		{2, time.Hour, 4 * time.Second},
		{5, time.Hour, 32 * time.Second},
		{9, time.Hour, 512 * time.Second},
		{10, time.Hour, 15 * time.Minute},
		{1_000_000, time.Hour, 15 * time.Minute},
		{30, time.Second, 2 * time.Second}, // counted up by leases that came to nothing
		{30, time.Minute, 2 * time.Minute},
	} {
		for range 100 {
			if got := p.pause(Item{Attempts: row.attempts, CreatedAt: now.Add(-row.age)}, now); got > row.want || got < row.want*4/5-1 {
				t.Errorf("%d attempts, %s old: %s, want %s less a fifth at most", row.attempts, row.age, got, row.want)
			}
		}
	}
}
