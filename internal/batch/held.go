package batch

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/singleflight"
)

// Held is a value that one caller fetches for all that need it, such as the token of a service. The zero Held holds
// nothing. It is safe for concurrent use.
type Held[T any] struct {
	value  atomic.Pointer[T]
	flight singleflight.Group
}

// Get returns the value that is held if it is good, and otherwise one that is fetched, and held from then on. Callers who
// come at the same time share one fetch. That goes on when the caller who began it leaves, since the others wait for it
// too. The error is the context's or fetch's.
func (h *Held[T]) Get(ctx context.Context, good func(*T) bool, fetch func(context.Context) (*T, error)) (*T, error) {
	if v := h.value.Load(); v != nil && good(v) {
		return v, nil
	}
	shared := context.WithoutCancel(ctx)
	fetched := h.flight.DoChan("", func() (any, error) {
		if v := h.value.Load(); v != nil && good(v) { // the last flight brought it
			return v, nil
		}
		v, err := fetch(shared)
		if err == nil {
			h.value.Store(v)
		}
		return v, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-fetched:
		v, _ := r.Val.(*T)
		return v, r.Err
	}
}
