package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"time"
)

// Store keeps events and the chain. An event that tells of a change is written by that change's own
// store method; Record is for what happened without one.
type Store interface {
	// Record writes events that belong to no other change, in one transaction.
	Record(ctx context.Context, events ...Event) error
	// Head returns the last link.
	Head(ctx context.Context) (Head, error)
	// Unsealed returns up to limit events that have no position yet, oldest first.
	Unsealed(ctx context.Context, limit int) ([]Event, error)
	// Append gives the events of links their positions and hashes, moves the head from one to the
	// other and stores the checkpoint, in one transaction. It reports false and changes nothing when
	// the head is no longer from: another instance was faster.
	Append(ctx context.Context, from Head, links []Link, c Checkpoint) (bool, error)
	// Links returns up to limit links after the position, in order.
	Links(ctx context.Context, after Position, limit int) ([]Link, error)
	// Checkpoints returns up to limit checkpoints after the position, in order.
	Checkpoints(ctx context.Context, after Position, limit int) ([]Checkpoint, error)
	// History returns up to limit events about the subject (Veil.Subject), in the chain or still waiting for it,
	// newest first: those after the cursor, and not older than since.
	History(ctx context.Context, subject string, since time.Time, after Cursor, limit int) ([]Event, error)
	// Backlog counts the events without a position.
	Backlog(ctx context.Context) (int64, error)
}

// Cursor is a place in a history, which runs from the newest event back: that of the last event seen. The zero
// Cursor is the beginning.
type Cursor struct {
	At time.Time
	ID string
}

// Signer signs checkpoints as compact JWS, and opens them again.
type Signer interface {
	SignJWS(payload []byte) (string, error)
	OpenJWS(jws string) (payload []byte, err error)
}

// batch bounds a checkpoint's events, and with it the transaction that seals them.
const batch = 1000

// Sealer chains events. Any number of sealers may run on one store: the head is moved by
// compare-and-swap, so one of them wins each batch.
type Sealer struct {
	Store  Store
	Signer Signer
	Now    func() time.Time
	Log    *slog.Logger
}

// Run seals until the context ends: at once while there is a backlog, else every interval.
func (s *Sealer) Run(ctx context.Context, interval time.Duration) {
	for {
		n, err := s.Seal(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "audit: sealing stopped; trying again", slog.Any("error", err))
		}
		wait := interval
		if n < batch || err != nil {
			wait += rand.N(interval/4 + 1) //nolint:gosec // several instances do not march in step; guessing it gains nothing
		} else {
			wait = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Seal chains one batch and returns how many events it sealed.
func (s *Sealer) Seal(ctx context.Context) (int, error) {
	events, err := s.Store.Unsealed(ctx, batch)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	from, err := s.Store.Head(ctx)
	if err != nil {
		return 0, err
	}
	head := from
	links := make([]Link, 0, len(events))
	for _, e := range events {
		hash, err := Chain(head.Hash, head.Position+1, e)
		if err != nil {
			return 0, err
		}
		head = Head{Position: head.Position + 1, Hash: hash}
		links = append(links, Link{Position: head.Position, Event: e, Hash: hash})
	}
	c := Checkpoint{Head: head, At: s.Now().UTC().Truncate(time.Millisecond)}
	payload, err := c.payload()
	if err != nil {
		return 0, err
	}
	if c.JWS, err = s.Signer.SignJWS(payload); err != nil {
		return 0, fmt.Errorf("audit: sign checkpoint: %w", err)
	}
	won, err := s.Store.Append(ctx, from, links, c)
	if err != nil || !won {
		return 0, err
	}
	return len(links), nil
}

func (c Checkpoint) payload() ([]byte, error) {
	return json.Marshal(struct {
		Position Position `json:"position"`
		Hash     string   `json:"hash"`
		At       int64    `json:"at"`
	}{c.Position, c.Hash, c.At.UnixMilli()})
}

// Report is the verifier's finding.
type Report struct {
	Links       int64 // links whose hash holds
	Checkpoints int64 // checkpoints whose signature and hash hold
	Backlog     int64 // events that wait to be chained
	Head        Head
}

// ErrBroken says that the chain does not hold; the wrapping error says where.
var ErrBroken = errors.New("audit: the chain is broken")

// Verify walks the whole chain, recomputes every hash, and checks every checkpoint's signature. It
// returns an error that wraps ErrBroken at the first thing that does not hold. Sealers may go on
// meanwhile: the chain is verified up to the head that it had.
func Verify(ctx context.Context, store Store, signer Signer) (Report, error) {
	var r Report
	stored, err := store.Head(ctx)
	if err != nil {
		return r, err
	}
	marks, err := store.Checkpoints(ctx, 0, batch)
	if err != nil {
		return r, err
	}
	var signed Position // of the last checkpoint
	for r.Head.Position < stored.Position {
		links, err := store.Links(ctx, r.Head.Position, batch)
		if err != nil {
			return r, err
		}
		if len(links) == 0 {
			return r, fmt.Errorf("%w: position %d is missing", ErrBroken, r.Head.Position+1)
		}
		for _, l := range links {
			if r.Head.Position == stored.Position {
				break // sealed since
			}
			if l.Position != r.Head.Position+1 {
				return r, fmt.Errorf("%w: position %d is missing", ErrBroken, r.Head.Position+1)
			}
			hash, err := Chain(r.Head.Hash, l.Position, l.Event)
			if err != nil {
				return r, err
			}
			if hash != l.Hash {
				return r, fmt.Errorf("%w: event %s at position %d was altered", ErrBroken, l.Event.ID, l.Position)
			}
			r.Head = Head{l.Position, l.Hash}
			r.Links++
			if len(marks) > 0 && marks[0].Position == l.Position {
				if err := marks[0].verify(l.Hash, signer); err != nil {
					return r, err
				}
				r.Checkpoints++
				signed = l.Position
				if marks = marks[1:]; len(marks) == 0 {
					if marks, err = store.Checkpoints(ctx, l.Position, batch); err != nil {
						return r, err
					}
				}
			}
		}
	}
	if r.Head != stored {
		return r, fmt.Errorf("%w: the chain ends at position %d with another hash than its head says", ErrBroken, r.Head.Position)
	}
	if len(marks) > 0 && marks[0].Position > stored.Position {
		if stored, err = store.Head(ctx); err != nil {
			return r, err
		}
	}
	if len(marks) > 0 && (marks[0].Position <= r.Head.Position || marks[0].Position > stored.Position) {
		return r, fmt.Errorf("%w: a checkpoint stands at position %d, outside the chain", ErrBroken, marks[0].Position)
	}
	if signed != r.Head.Position {
		return r, fmt.Errorf("%w: no checkpoint signs its end at position %d", ErrBroken, r.Head.Position)
	}
	if err := noneOutside(ctx, store, r.Head.Position); err != nil {
		return r, err
	}
	r.Backlog, err = store.Backlog(ctx)
	return r, err
}

// noneOutside looks for events that have a position before the chain's beginning or behind its end: no hash is over them.
func noneOutside(ctx context.Context, store Store, end Position) error {
	before, err := store.Links(ctx, math.MinInt64, 1)
	if err != nil {
		return err
	}
	behind, err := store.Links(ctx, end, 1)
	if err != nil {
		return err
	}
	stored, err := store.Head(ctx) // read last: sealers may have gone on
	if err != nil {
		return err
	}
	for _, l := range append(before, behind...) {
		if l.Position < 1 || l.Position > stored.Position {
			return fmt.Errorf("%w: an event stands at position %d, outside the chain", ErrBroken, l.Position)
		}
	}
	return nil
}

func (c Checkpoint) verify(hash string, signer Signer) error {
	want, err := c.payload()
	if err != nil {
		return err
	}
	got, err := signer.OpenJWS(c.JWS)
	if err != nil {
		return fmt.Errorf("%w: checkpoint at position %d: %w", ErrBroken, c.Position, err)
	}
	if !bytes.Equal(got, want) || c.Hash != hash {
		return fmt.Errorf("%w: checkpoint at position %d signs another chain", ErrBroken, c.Position)
	}
	return nil
}
