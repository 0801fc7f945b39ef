package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
)

const (
	// maxRecords bounds the records that share a transaction.
	maxRecords = 512
	// recorders is how many such transactions run at once: one collects while the other commits.
	recorders = 2
	// recordTimeout bounds such a transaction, which belongs to no single caller.
	recordTimeout = 10 * time.Second
	// maxTries bounds how often a transaction is run that PostgreSQL undoes for others' sake, and a query
	// that it never got.
	maxTries = 6
	// migrationLock is the advisory lock under which instances migrate, the letters "anyid".
	migrationLock = 0x616e796964
)

// postgresEngine runs the shared SQL through database/sql, and what pays through pgx itself, on one
// pool.
type postgresEngine struct {
	pool    *pgxpool.Pool
	db      *sql.DB // on pool
	records *batch.Group[record]

	config *pgxpool.Config
	kvOnce sync.Once
	kvPool *pgxpool.Pool
	kvDB   *sql.DB // on kvPool
	kvErr  error
}

func openPostgres(c Config) (*postgresEngine, error) {
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		// The parser's message may quote the string, and that may hold a password.
		return nil, fault.New(fault.Invalid, "storage: the connection string is not one of PostgreSQL")
	}
	if c.MaxConns > 0 {
		config.MaxConns = int32(min(c.MaxConns, math.MaxInt32))
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "anyid"
	}
	e := &postgresEngine{config: config}
	if e.pool, err = pgxpool.NewWithConfig(context.Background(), config.Copy()); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	e.db = stdlib.OpenDBFromPool(e.pool)
	e.records = batch.New(recorders, maxRecords, e.writeRecords)
	return e, nil
}

func (e *postgresEngine) reader() source { return native{e.pool} }

// native is a source on pgx itself: for a query that stands alone, database/sql costs as much again.
type native struct{ pool *pgxpool.Pool }

// rows runs the query again when its connection turns out to be gone before anything was sent, as
// database/sql does.
func (n native) rows(ctx context.Context, each func(row) error, query string, args ...any) error {
	for try := 1; ; try++ {
		err := n.once(ctx, each, query, args...)
		if try == maxTries || !pgconn.SafeToRetry(err) {
			return err
		}
	}
}

func (n native) once(ctx context.Context, each func(row) error, query string, args ...any) error {
	rows, err := n.pool.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (e *postgresEngine) write(ctx context.Context, change func(context.Context, tx) error) error {
	return retry(ctx, func() error {
		tx, err := e.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after Commit it does nothing
		if err := change(ctx, tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// retry runs transact again when PostgreSQL undid it for others' sake, after a growing random wait.
func retry(ctx context.Context, transact func() error) error {
	for try := 1; ; try++ {
		err := transact()
		if try == maxTries || !retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(time.Millisecond << try)): //nolint:gosec // nobody gains by guessing it
		}
	}
}

func (e *postgresEngine) record(ctx context.Context, r record) error {
	return e.records.Do(ctx, r)
}

// writeRecords writes a batch in one transaction. When the database objects to something in it, each
// record is written alone, so that one does not harm the others.
func (e *postgresEngine) writeRecords(calls []*batch.Call[record]) {
	calls = slices.DeleteFunc(calls, func(c *batch.Call[record]) bool {
		err := c.Ctx.Err()
		if err != nil {
			c.Answer(err) // nobody waits for it
		}
		return err != nil
	})
	err := e.insertRecords(calls...)
	if err == nil || len(calls) == 1 || unavailable(err) {
		for _, c := range calls {
			c.Answer(err)
		}
		return
	}
	for _, c := range calls {
		c.Answer(e.insertRecords(c))
	}
}

// The two statements of a batch. It has one row for each connection, since ON CONFLICT updates a row
// only once, and all batches have theirs in the same order, so that no two of them deadlock.
const (
	upsertConnections = `
		INSERT INTO connections (person, site, first_at, last_at, logins)
		SELECT l.person, l.site, l.first_at, l.last_at, l.logins
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS l (person, site, first_at, last_at, logins)
		ON CONFLICT (person, site) DO UPDATE SET
			first_at = least(connections.first_at, excluded.first_at),
			last_at  = greatest(connections.last_at, excluded.last_at),
			logins   = connections.logins + excluded.logins`
	insertManyEvents = `
		INSERT INTO audit_events (id, at, action, actor, person, site, attempt, address, detail)
		SELECT e.id, e.at, e.action, e.actor, e.person, e.site, e.attempt, e.address, e.detail
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
			AS e (id, at, action, actor, person, site, attempt, address, detail)`
)

func (e *postgresEngine) insertRecords(calls ...*batch.Call[record]) error {
	var (
		logins []*grant.Login
		events []*audit.Event
	)
	for _, c := range calls {
		if c.Value.login != nil {
			logins = append(logins, c.Value.login)
		}
		for i := range c.Value.events {
			events = append(events, &c.Value.events[i])
		}
	}
	connections := connectionColumns(logins)
	columns, err := eventColumns(events)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
	defer cancel()
	return retry(ctx, func() error {
		// What a pgx.Batch sends is one transaction (PostgreSQL manual, "Pipelining"): it ends at the one Sync, and
		// Close waits for the answer to that.
		statements := new(pgx.Batch)
		if len(logins) > 0 {
			statements.Queue(upsertConnections, connections...)
		}
		if len(events) > 0 {
			statements.Queue(insertManyEvents, columns...)
		}
		if statements.Len() == 0 {
			return nil // every caller had left
		}
		return e.pool.SendBatch(ctx, statements).Close()
	})
}

// connectionColumns returns the arguments of upsertConnections. It sorts the logins.
func connectionColumns(logins []*grant.Login) []any {
	slices.SortFunc(logins, func(a, b *grant.Login) int {
		return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Site, b.Site))
	})
	n := len(logins)
	people, sites := make([]string, 0, n), make([]string, 0, n)
	firsts, lasts, counts := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for _, l := range logins {
		at, last := millis(l.At), len(people)-1
		if last >= 0 && people[last] == l.Person && sites[last] == l.Site {
			firsts[last], lasts[last] = min(firsts[last], at), max(lasts[last], at)
			counts[last]++
			continue
		}
		people, sites = append(people, l.Person), append(sites, l.Site)
		firsts, lasts, counts = append(firsts, at), append(lasts, at), append(counts, 1)
	}
	return []any{people, sites, firsts, lasts, counts}
}

// eventColumns returns the arguments of insertManyEvents.
func eventColumns(events []*audit.Event) ([]any, error) {
	n := len(events)
	ids, ats := make([]string, n), make([]int64, n)
	actions, actors, people, sites := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	attempts, addresses, details := make([]string, n), make([]string, n), make([]string, n)
	for i, e := range events {
		ids[i], ats[i], actions[i], actors[i] = e.ID, millis(e.At), string(e.Action), e.Actor
		people[i], sites[i], attempts[i], addresses[i] = e.Person, e.Site, e.Attempt, e.Address
		var err error
		if details[i], err = encodeDetail(e.Detail); err != nil {
			return nil, err
		}
	}
	return []any{ids, ats, actions, actors, people, sites, attempts, addresses, details}, nil
}

func (e *postgresEngine) seal(ctx context.Context, tx tx, links []audit.Link) (int64, error) {
	const place = `
		UPDATE audit_events SET position = l.position, hash = l.hash
		FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) AS l (at, id, position, hash)
		WHERE audit_events.at = l.at AND audit_events.id = l.id AND audit_events.position IS NULL`
	n := len(links)
	ats, ids, positions, hashes := make([]int64, n), make([]string, n), make([]int64, n), make([]string, n)
	for i, l := range links {
		ats[i], ids[i], positions[i], hashes[i] = millis(l.Event.At), l.Event.ID, l.Position, l.Hash
	}
	return exec(ctx, tx, place, ats, ids, positions, hashes)
}

func (e *postgresEngine) migrations(ctx context.Context) ([]Migration, error) {
	applied, err := all(ctx, e.reader(), scanMigration, selectMigrations)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" { // undefined table
		return nil, nil
	}
	return applied, err
}

func (e *postgresEngine) lockMigrations(ctx context.Context, tx tx) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock))
	return err
}

func (e *postgresEngine) kv() (*sql.DB, error) {
	e.kvOnce.Do(func() {
		config := e.config.Copy()
		config.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
		if e.kvPool, e.kvErr = pgxpool.NewWithConfig(context.Background(), config); e.kvErr == nil {
			e.kvDB = stdlib.OpenDBFromPool(e.kvPool)
		}
	})
	return e.kvDB, e.kvErr
}

func (e *postgresEngine) close() error {
	e.records.Close()
	e.kvOnce.Do(func() { e.kvErr = errClosed })
	err := e.db.Close()
	e.pool.Close()
	if e.kvDB != nil {
		err = errors.Join(err, e.kvDB.Close())
		e.kvPool.Close()
	}
	return err
}
