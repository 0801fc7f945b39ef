package storage

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
		g := newGroup(1, 4, func(batch []*call[int]) {
			<-release
			sizes = append(sizes, len(batch))
			for _, c := range batch {
				if c.value%2 == 1 {
					c.done <- odd
				} else {
					c.done <- nil
				}
			}
		})
		var wg sync.WaitGroup
		call := func(n int) {
			wg.Go(func() {
				if err := g.do(context.Background(), n); (err != nil) != (n%2 == 1) {
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
		g.close()
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
		g := newGroup(1, 1, func(batch []*call[int]) {
			<-release
			worked++
			batch[0].done <- nil
		})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range 5 { // one under way, one queued, three at the door
			wg.Go(func() {
				if err := g.do(ctx, 0); !errors.Is(err, context.Canceled) {
					t.Errorf("a caller who left got %v", err)
				}
			})
			synctest.Wait()
		}
		cancel()
		wg.Wait()
		close(release)
		g.close()
		g.close()
		if worked != 2 {
			t.Errorf("%d calls were worked on, want the one under way and the one queued", worked)
		}
		if err := g.do(context.Background(), 0); !errors.Is(err, errClosed) {
			t.Errorf("a call after close got %v", err)
		}
	})
}
