package storage

import (
	"context"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
)

type events struct{ *DB }

var _ audit.Store = events{}

// insertEvents adds events to the transaction of the change that they tell of.
func insertEvents(ctx context.Context, tx tx, events ...audit.Event) error {
	const insert = `
		INSERT INTO audit_events (id, at, action, actor, person, site, attempt, address, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	for _, e := range events {
		detail, err := encodeDetail(e.Detail)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insert, e.ID, millis(e.At), string(e.Action), e.Actor, e.Person, e.Site, e.Attempt, e.Address, detail); err != nil {
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
	return s.failed("record events", s.engine.record(ctx, record{events: events}))
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
	const query = `
		SELECT id, at, action, actor, person, site, attempt, address, detail
		FROM audit_events WHERE position IS NULL ORDER BY at, id LIMIT $1`
	list, err := all(ctx, s.engine.reader(), func(r row) (e audit.Event, err error) {
		err = r.Scan(eventFields(&e)...)
		return e, err
	}, query, limit)
	return list, s.failed("list unsealed events", err)
}

// eventFields are the targets of an event's columns, in their order.
func eventFields(e *audit.Event) []any {
	return []any{&e.ID, (*stamp)(&e.At), &e.Action, &e.Actor, &e.Person, &e.Site, &e.Attempt, &e.Address, document{&e.Detail}}
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
	const query = `
		SELECT position, hash, id, at, action, actor, person, site, attempt, address, detail
		FROM audit_events WHERE position > $1 ORDER BY position LIMIT $2`
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

// Backlog implements audit.Store.
func (s events) Backlog(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.engine.reader(), number, `SELECT count(*) FROM audit_events WHERE position IS NULL`)
	return n, s.failed("count unsealed events", err)
}
