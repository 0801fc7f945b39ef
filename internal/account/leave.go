package account

import (
	"context"
	"encoding/json"
	"time"
)

// Export returns what is held of the visitor, as one JSON document.
func (s *Service) Export(ctx context.Context, v Visitor) ([]byte, error) { return nil, errPending }

// Receipt is what a person has in hand after their withdrawal.
type Receipt struct {
	Number string    // finds what is retained, and is kept by nobody else; empty: nothing is retained
	Batch  string    // who is told (logout.Service.Receipt)
	At     time.Time // of the withdrawal
}

// Withdraw ends the visitor's registration and deletes everything of it (등록 해지). The caller has seen to it that
// the proof is fresh. Whoever comes second finds nobody: fault.NotFound.
func (s *Service) Withdraw(ctx context.Context, v Visitor) (Receipt, error) {
	return Receipt{}, errPending
}

// Kept is what is retained of a registration that has ended.
type Kept struct {
	Class     string // "consent"
	Basis     string // the law
	KeptAt    time.Time
	DestroyAt time.Time
	Content   json.RawMessage
}

// Retained returns what is kept under the number of a receipt, which may be written in lower case and without
// hyphens; fault.NotFound where nothing is.
func (s *Service) Retained(ctx context.Context, number string) ([]Kept, error) {
	return nil, errPending
}
