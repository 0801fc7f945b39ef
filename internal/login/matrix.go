package login

import (
	"context"
	"sync/atomic"

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
