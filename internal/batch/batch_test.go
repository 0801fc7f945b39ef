package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroupTakesWhatHasQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		release := make(chan struct{})
		odd := errors.New("odd")
		g := New(Config{Workers: 1, Limit: 4}, func(batch []*Call[int]) {
			<-release
			sizes = append(sizes, len(batch))
			for _, c := range batch {
				if c.Value%2 == 1 {
					c.Answer(odd)
				} else {
					c.Answer(nil)
				}
			}
		})
		var wg sync.WaitGroup
		call := func(n int) {
			wg.Go(func() {
				if err := g.Do(context.Background(), n); (err != nil) != (n%2 == 1) {
					t.Errorf("call %d: %v", n, err)
				}
			})
		}
		call(0)
		synctest.Wait() // the worker has it
		for n := range 7 {
			call(n)
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		g.Close()
		if len(sizes) != 3 || sizes[0] != 1 || sizes[1] != 4 || sizes[2] != 3 {
			t.Errorf("the batches had %v calls, want 1, 4 and 3", sizes)
		}
	})
}

func TestGroupCallerMayLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		worked := 0
		g := New(Config{Workers: 1, Limit: 1}, func(batch []*Call[int]) {
			<-release
			worked++
			batch[0].Answer(nil)
		})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 5 { // one under way, one queued, three at the door
			wg.Go(func() {
				if err := g.Do(ctx, 0); !errors.Is(err, context.Canceled) {
					t.Errorf("a caller who left got %v", err)
				}
			})
			synctest.Wait()
		}
		cancel()
		wg.Wait()
		close(release)
		g.Close()
		g.Close()
		if worked != 2 {
			t.Errorf("%d calls were worked on, want the one under way and the one queued", worked)
		}
		if err := g.Do(context.Background(), 0); !errors.Is(err, ErrClosed) {
			t.Errorf("a call after close got %v", err)
		}
	})
}

// TestGroupBeginsBesideALateBatch: with patience one batch is under way, until it is late.
func TestGroupBeginsBesideALateBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const quick, stuck = time.Millisecond, time.Second
		begun := time.Now()
		var mu sync.Mutex
		var batches [][2]time.Duration // when each began, and its calls
		g := New(Config{Workers: 2, Limit: 8, Patience: 5 * time.Millisecond}, func(batch []*Call[time.Duration]) {
			mu.Lock()
			batches = append(batches, [2]time.Duration{time.Since(begun), time.Duration(len(batch))})
			mu.Unlock()
			time.Sleep(batch[0].Value)
			for _, c := range batch {
				c.Answer(nil)
			}
		})
		var wg sync.WaitGroup
		call := func(takes time.Duration) {
			wg.Go(func() {
				if err := g.Do(context.Background(), takes); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		call(quick) // alone, at once
		for range 3 {
			call(stuck) // together, when that one has ended
		}
		time.Sleep(2 * quick)
		for range 2 {
			call(stuck) // together, when that is late
		}
		time.Sleep(2 * 5 * time.Millisecond)
		call(quick) // when a worker is free: there are two
		wg.Wait()
		g.Close()
		want := [][2]time.Duration{{0, 1}, {quick, 3}, {quick + 5*time.Millisecond, 2}, {quick + stuck, 1}}
		if !slices.Equal(batches, want) {
			t.Errorf("batches began, with so many calls: %v; want %v", batches, want)
		}
	})
}
