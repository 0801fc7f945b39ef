package login

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

// Matrix is the linking matrix in memory, as the store has it.
type Matrix struct {
	store  person.PolicyStore
	policy atomic.Pointer[method.LinkPolicy]
}

// NewMatrix loads the newest version.
func NewMatrix(ctx context.Context, store person.PolicyStore) (*Matrix, error) {
	m := &Matrix{store: store}
	if err := m.Refresh(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Policy returns the matrix.
func (m *Matrix) Policy() method.LinkPolicy { return *m.policy.Load() }

// Refresh reads the newest version.
func (m *Matrix) Refresh(ctx context.Context) error {
	p, err := m.store.LinkPolicy(ctx)
	if err != nil {
		return err
	}
	m.policy.Store(&p)
	return nil
}

// Run refreshes every interval until the context ends.
func (m *Matrix) Run(ctx context.Context, interval time.Duration, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.Refresh(ctx); err != nil && ctx.Err() == nil {
				log.LogAttrs(ctx, slog.LevelWarn, "login: matrix refresh failed; it stays as it was", slog.Any("error", err))
			}
		}
	}
}
