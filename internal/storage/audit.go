package storage

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
)

type events struct{ *DB }

var _ audit.Store = events{}

// stored is an event as it is stored: what is personal in it is hidden. Only hide makes one.
type stored audit.Event

// hide returns events as they are stored.
func (db *DB) hide(events ...audit.Event) ([]stored, error) {
	list := make([]stored, 0, len(events))
	for _, e := range events {
		if e.Person != "" {
			if db.veil == nil {
				return nil, errors.New("storage: an event about a person needs a veil")
			}
			var err error
			if e, err = db.veil.Hide(e); err != nil {
				return nil, err
			}
		}
		list = append(list, stored(e))
	}
	return list, nil
}

// insertEvents adds events to the transaction of the change that they tell of.
func (db *DB) insertEvents(ctx context.Context, tx tx, events ...audit.Event) error {
	hidden, err := db.hide(events...)
	if err != nil {
		return err
	}
	return insertStored(ctx, tx, hidden)
}

func insertStored(ctx context.Context, tx tx, events []stored) error {
	const insert = `
		INSERT INTO audit_events (id, at, action, actor, subject, site, attempt, address, hidden, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	for _, e := range events {
		detail, err := encodeDetail(e.Detail)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insert, e.ID, millis(e.At), string(e.Action), e.Actor, e.Subject, e.Site, e.Attempt, e.Address, e.Hidden, detail); err != nil {
			return err
		}
	}
	return nil
}

// encodeDetail is the JSON text of an event's detail, empty for none.
func encodeDetail(detail map[string]string) (string, error) {
	if len(detail) == 0 {
		return "", nil
	}
	return encode(detail)
}

// Record implements audit.Store. On PostgreSQL concurrent calls share a transaction.
func (s events) Record(ctx context.Context, events ...audit.Event) error {
	hidden, err := s.hide(events...)
	if err == nil {
		err = s.engine.record(ctx, record{events: hidden})
	}
	return s.failed("record events", err)
}

// Head implements audit.Store.
func (s events) Head(ctx context.Context) (audit.Head, error) {
	h, err := one(ctx, s.engine.reader(), func(r row) (h audit.Head, err error) {
		err = r.Scan(&h.Position, &h.Hash)
		return h, err
	}, `SELECT position, hash FROM audit_head`)
	return h, s.failed("read the audit chain's head", err)
}

// Unsealed implements audit.Store.
func (s events) Unsealed(ctx context.Context, limit int) ([]audit.Event, error) {
	const query = `SELECT ` + eventNames + ` FROM audit_events WHERE position IS NULL ORDER BY at, id LIMIT $1`
	list, err := all(ctx, s.engine.reader(), scanEvent, query, limit)
	return list, s.failed("list unsealed events", err)
}

// eventNames are an event's columns, and eventFields their targets.
const eventNames = `id, at, action, actor, subject, site, attempt, address, hidden, detail`

func eventFields(e *audit.Event) []any {
	return []any{&e.ID, (*stamp)(&e.At), &e.Action, &e.Actor, &e.Subject, &e.Site, &e.Attempt, &e.Address, &e.Hidden, document{&e.Detail}}
}

func scanEvent(r row) (e audit.Event, err error) {
	err = r.Scan(eventFields(&e)...)
	return e, err
}

// Append implements audit.Store. It reports false also when an event of links has a position already:
// then too another instance was faster.
func (s events) Append(ctx context.Context, from audit.Head, links []audit.Link, c audit.Checkpoint) (bool, error) {
	const (
		move   = `UPDATE audit_head SET position = $1, hash = $2 WHERE position = $3 AND hash = $4`
		insert = `INSERT INTO audit_checkpoints (position, hash, at, jws) VALUES ($1, $2, $3, $4)`
	)
	lost := fault.New(fault.Conflict, "storage: the audit chain has moved on")
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, move, c.Position, c.Hash, from.Position, from.Hash)
		if err != nil {
			return err
		}
		if n == 0 {
			return lost
		}
		if n, err = s.engine.seal(ctx, tx, links); err != nil {
			return err
		}
		if n != int64(len(links)) {
			return lost
		}
		_, err = exec(ctx, tx, insert, c.Position, c.Hash, millis(c.At), c.JWS)
		return err
	})
	if fault.Is(err, fault.Conflict) {
		return false, nil
	}
	return err == nil, s.failed("append to the audit chain", err)
}

// Links implements audit.Store.
func (s events) Links(ctx context.Context, after audit.Position, limit int) ([]audit.Link, error) {
	const query = `SELECT position, hash, ` + eventNames + ` FROM audit_events WHERE position > $1 ORDER BY position LIMIT $2`
	list, err := all(ctx, s.engine.reader(), func(r row) (l audit.Link, err error) {
		err = r.Scan(append([]any{&l.Position, &l.Hash}, eventFields(&l.Event)...)...)
		return l, err
	}, query, after, limit)
	return list, s.failed("list audit links", err)
}

// Checkpoints implements audit.Store.
func (s events) Checkpoints(ctx context.Context, after audit.Position, limit int) ([]audit.Checkpoint, error) {
	const query = `SELECT position, hash, at, jws FROM audit_checkpoints WHERE position > $1 ORDER BY position LIMIT $2`
	list, err := all(ctx, s.engine.reader(), func(r row) (c audit.Checkpoint, err error) {
		err = r.Scan(&c.Position, &c.Hash, (*stamp)(&c.At), &c.JWS)
		return c, err
	}, query, after, limit)
	return list, s.failed("list audit checkpoints", err)
}

// History implements audit.Store.
func (s events) History(ctx context.Context, subject string, since time.Time, after audit.Cursor, limit int) ([]audit.Event, error) {
	// The first condition is that of the partial index.
	const query = `
		SELECT ` + eventNames + ` FROM audit_events
		WHERE subject <> '' AND subject = $1 AND at >= $2 AND (at, id) < ($3, $4)
		ORDER BY at DESC, id DESC LIMIT $5`
	before := int64(math.MaxInt64)
	if after != (audit.Cursor{}) {
		before = millis(after.At)
	}
	list, err := all(ctx, s.engine.reader(), scanEvent, query, subject, millis(since), before, after.ID, limit)
	return list, s.failed("list a history", err)
}

// Backlog implements audit.Store.
func (s events) Backlog(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.engine.reader(), number, `SELECT count(*) FROM audit_events WHERE position IS NULL`)
	return n, s.failed("count unsealed events", err)
}
