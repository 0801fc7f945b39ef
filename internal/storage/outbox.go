package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/outbox"
)

type messages struct{ *DB }

var _ outbox.Store = messages{}

const itemNames = `id, kind, target, batch, payload, state, attempts, error, created_at, next_at, give_up_at, done_at`

func scanItem(r row) (i outbox.Item, err error) {
	err = r.Scan(&i.ID, &i.Kind, &i.Target, &i.Batch, &i.Payload, &i.State, &i.Attempts, &i.Error,
		(*stamp)(&i.CreatedAt), (*stamp)(&i.NextAt), (*stamp)(&i.GiveUpAt), (*stamp)(&i.DoneAt))
	return i, err
}

const insertItem = `
	INSERT INTO outbox (` + itemNames + `, leased_until)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)`

// itemColumns returns the arguments of insertItem.
func itemColumns(i outbox.Item) []any {
	return []any{
		i.ID, string(i.Kind), i.Target, i.Batch, i.Payload, string(i.State), i.Attempts, i.Error,
		millis(i.CreatedAt), millis(i.NextAt), millis(i.GiveUpAt), millis(i.DoneAt),
	}
}

func insertItems(ctx context.Context, tx tx, items []outbox.Item) error {
	for _, i := range items {
		if _, err := exec(ctx, tx, insertItem, itemColumns(i)...); err != nil {
			return err
		}
	}
	return nil
}

// Add implements outbox.Store.
func (s messages) Add(ctx context.Context, items ...outbox.Item) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error { return insertItems(ctx, tx, items) })
	return s.failed("add messages", err)
}

// The statements of a lease. waitingTargets begins the query for what is due: it steps through the index from
// target to target, so that a target costs the same whether it has one item waiting or ten thousand.
const (
	waitingTargets = `
	WITH RECURSIVE targets (target) AS (
		SELECT min(target) FROM outbox WHERE state = 'waiting'
		UNION ALL
		SELECT (SELECT min(o.target) FROM outbox o WHERE o.state = 'waiting' AND o.target > t.target)
		FROM targets t WHERE t.target IS NOT NULL
	)`
	leaseItems = `
	UPDATE outbox SET attempts = attempts + 1, next_at = $2, leased_until = $2
	WHERE state = 'waiting' AND next_at <= $1`
)

// Lease implements outbox.Store. One lease is made at a time, or two of them would not see each other's items when
// they count a target's.
func (s messages) Lease(ctx context.Context, now, until time.Time, limit, perTarget int) ([]outbox.Item, error) {
	due := func(on source) ([]string, error) {
		return all(ctx, on, text, s.engine.due(), millis(now), limit, perTarget)
	}
	ids, err := due(s.engine.reader())
	if err != nil || len(ids) == 0 { // mostly nothing is due: then nothing is locked
		return nil, s.failed("look for messages", err)
	}
	var items []outbox.Item
	err = s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		if err := s.engine.lock(ctx, tx, leaseLock); err != nil {
			return err
		}
		ids, err := due(standard{tx})
		if err != nil {
			return err
		}
		items, err = s.engine.lease(ctx, tx, ids, millis(now), millis(until))
		return err
	})
	if err != nil {
		return nil, s.failed("lease messages", err)
	}
	return items, nil
}

// Settle implements outbox.Store.
func (s messages) Settle(ctx context.Context, i outbox.Item, leased time.Time) (bool, error) {
	const settle = `
		UPDATE outbox SET state = $1, error = $2, next_at = $3, done_at = $4, leased_until = 0,
			payload = CASE WHEN $1 = 'waiting' THEN payload ELSE '' END
		WHERE id = $5 AND state = 'waiting' AND leased_until > 0 AND leased_until = $6`
	return s.changes(ctx, "settle a message", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, settle, string(i.State), i.Error, millis(i.NextAt), millis(i.DoneAt), i.ID, millis(leased))
	})
}

// Batch implements outbox.Store.
func (s messages) Batch(ctx context.Context, batch string) ([]outbox.Item, error) {
	list, err := all(ctx, s.engine.reader(), scanItem, `SELECT `+itemNames+` FROM outbox WHERE batch = $1 ORDER BY target, id`, batch)
	return list, s.failed("list a batch of messages", err)
}

// Sweep implements outbox.Store.
func (s messages) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	const sweep = `DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state <> 'waiting' AND done_at < $1 ORDER BY done_at LIMIT $2)`
	return s.count(ctx, "sweep messages", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, sweep, millis(before), limit)
	})
}
