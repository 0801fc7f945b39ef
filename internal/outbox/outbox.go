// Package outbox delivers messages to others at least once. A message is written in the transaction of the change
// that it tells of, so that a crash loses neither; a Runner delivers it at once, and again, more and more rarely,
// until its target confirms it or its time is over. A target that is slow, wrong or hostile delays its own
// messages only.
package outbox

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/secret"
)

// Kind says what a message is, and with it who delivers it.
type Kind string

// The kinds.
const (
	Logout Kind = "logout" // a site is told that a session has ended (OIDC Back-Channel Logout 1.0)
	Notice Kind = "notice" // a person is told of something that was done in their name
)

// State is how far a message has come.
type State string

// The states.
const (
	Waiting   State = "waiting"
	Delivered State = "delivered"
	GivenUp   State = "given_up"
)

// Item is one message to one target.
type Item struct {
	ID        string // random
	Kind      Kind
	Target    string // whom it goes to, such as a client id; one target's trouble is its own
	Batch     string // what caused it, for its receipt; may be empty
	Payload   string // sealed by its kind, bound to the ID; emptied when the item is settled for good
	State     State
	Attempts  int    // deliveries begun
	Error     string // code of the last failure; a word of ours
	CreatedAt time.Time
	NextAt    time.Time // when it may be tried (again)
	GiveUpAt  time.Time // from then on it is not tried again
	DoneAt    time.Time // zero while it waits
}

// New returns an item that is due at once, and tried for the time.
func New(kind Kind, target, batch string, now time.Time, within time.Duration) Item {
	return Item{
		ID: secret.NewID(), Kind: kind, Target: target, Batch: batch, State: Waiting,
		CreatedAt: now, NextAt: now, GiveUpAt: now.Add(within),
	}
}

// Store keeps items. Those of a change are added by that change's own store method.
type Store interface {
	// Add stores items that belong to no other change.
	Add(ctx context.Context, items ...Item) error
	// Lease returns up to limit waiting items that are due, the longest due first and at most perTarget of each
	// target, counts an attempt for each, and puts them off until the time: until then they are nobody else's.
	Lease(ctx context.Context, now, until time.Time, limit, perTarget int) ([]Item, error)
	// Settle stores State, Error, NextAt and DoneAt of an item that was leased until the time, and empties the
	// payload of one that waits no longer. It reports false when the lease was lost.
	Settle(ctx context.Context, i Item, leased time.Time) (bool, error)
	// Batch returns the items of a batch, ordered by target.
	Batch(ctx context.Context, batch string) ([]Item, error)
	// Sweep deletes up to limit items that were settled before the time, and returns how many.
	Sweep(ctx context.Context, before time.Time, limit int) (int, error)
}

// Handler delivers the items of one kind.
type Handler interface {
	// Deliver delivers the item, or says why not; a Permanent error is not tried again. The context ends when
	// a try has taken too long.
	Deliver(ctx context.Context, i Item) error
}
