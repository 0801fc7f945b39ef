package batch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func TestGroupTakesWhatHasQueued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		release := make(chan struct{})
		odd := errors.New("odd")
		g := New(1, 4, func(batch []*Call[int]) {
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
		g := New(1, 1, func(batch []*Call[int]) {
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
