package batch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func anything(*int) bool { return true }

func TestHeldIsFetchedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			h       Held[int]
			fetches int
			release = make(chan struct{})
			wg      sync.WaitGroup
		)
		fetch := func(ctx context.Context) (*int, error) {
			<-release
			fetches++
			n := fetches
			return &n, ctx.Err()
		}
		first, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if v, err := h.Get(first, anything, fetch); v != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v, %v", v, err)
			}
		})
		synctest.Wait()
		for range 63 {
			wg.Go(func() {
				if v, err := h.Get(t.Context(), anything, fetch); err != nil || *v != 1 {
					t.Errorf("who waited got %v, %v", v, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(release)
		wg.Wait()
		if v, err := h.Get(t.Context(), anything, fetch); err != nil || *v != 1 || fetches != 1 {
			t.Errorf("later %v, %v after %d fetches", v, err, fetches)
		}
		if v, err := h.Get(t.Context(), func(v *int) bool { return *v > 1 }, fetch); err != nil || *v != 2 {
			t.Errorf("who finds it bad got %v, %v", v, err)
		}
	})
}

func TestHeldKeepsNoFailure(t *testing.T) {
	t.Parallel()
	var h Held[int]
	odd := errors.New("odd")
	if v, err := h.Get(t.Context(), anything, func(context.Context) (*int, error) { return nil, odd }); v != nil || !errors.Is(err, odd) {
		t.Errorf("got %v, %v", v, err)
	}
	n := 7
	if v, err := h.Get(t.Context(), anything, func(context.Context) (*int, error) { return &n, nil }); err != nil || *v != 7 {
		t.Errorf("got %v, %v", v, err)
	}
}
