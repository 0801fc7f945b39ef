package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/keys"
)

type signingKeys struct{ *DB }

var _ keys.Store = signingKeys{}

// Keys implements keys.Store.
func (s signingKeys) Keys(ctx context.Context) ([]keys.Key, error) {
	const query = `
		SELECT id, algorithm, generation, sealed, publish_at, active_at, retire_at
		FROM signing_keys ORDER BY publish_at, algorithm, generation`
	list, err := all(ctx, s.engine.reader(), func(r row) (k keys.Key, err error) {
		err = r.Scan(&k.ID, &k.Algorithm, &k.Generation, &k.Sealed, (*stamp)(&k.PublishAt), (*stamp)(&k.ActiveAt), (*stamp)(&k.RetireAt))
		return k, err
	}, query)
	return list, s.failed("list signing keys", err)
}

// AddKey implements keys.Store.
func (s signingKeys) AddKey(ctx context.Context, k keys.Key, retireOlder time.Time, event audit.Event) error {
	const (
		insert = `
			INSERT INTO signing_keys (id, algorithm, generation, sealed, publish_at, active_at, retire_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (algorithm, generation) DO NOTHING`
		retire = `UPDATE signing_keys SET retire_at = $1 WHERE algorithm = $2 AND generation < $3 AND (retire_at = 0 OR retire_at > $1)`
	)
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, insert, k.ID, string(k.Algorithm), k.Generation, k.Sealed, millis(k.PublishAt), millis(k.ActiveAt), millis(k.RetireAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "storage: there is a signing key %s of generation %d already", k.Algorithm, k.Generation)
		}
		if _, err := exec(ctx, tx, retire, millis(retireOlder), string(k.Algorithm), k.Generation); err != nil {
			return err
		}
		return s.insertEvents(ctx, tx, event)
	})
	return s.failed("add a signing key", err)
}
