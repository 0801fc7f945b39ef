// Package sqlkv is a kv.Store on a SQL database: the embedded default, on which nothing is lost by a
// restart. Each verb is one statement, the same text for SQLite and PostgreSQL.
//
// The caller opens the database, for this store alone, so that it need not be as durable as the rest:
//
//   - SQLite: a file of its own with journal_mode=WAL, synchronous=NORMAL and a busy_timeout on every
//     connection, and a pool of at least two connections. A commit then waits for no disk; the process
//     may die at any time without loss, and a power cut loses the last moments only. The store keeps one
//     connection for writing, by a single goroutine that puts all writes waiting at that time into one
//     transaction, so writers in this process never meet a locked file.
//   - PostgreSQL: a pool whose connections have synchronous_commit=off (append it to the URL) and the
//     default isolation, read committed. A commit then does not wait for the log to be flushed; a crash
//     of the server, not of this process, loses at most three times wal_writer_delay, 0.6 s by default.
package sqlkv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
)

// Engine says which database stands behind a *sql.DB.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// verb is one of the statements.
type verb int

const (
	get verb = iota
	set
	add
	take
	swap
	increment
	sweep
	verbs
)

// A statement returns one text column, or else counts the rows it changed. A row stands while
// expires_at > now; both are Unix milliseconds.
type statement struct {
	name, text string
	returns    bool
}

var statements = [verbs]statement{
	get: {"get", `SELECT value FROM kv WHERE key = $1 AND expires_at > $2`, true},
	set: {"set", `INSERT INTO kv (key, value, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at`, false},
	add: {"add", `INSERT INTO kv (key, value, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
		WHERE kv.expires_at <= $4`, false},
	take: {"take", `DELETE FROM kv WHERE key = $1 AND expires_at > $2 RETURNING value`, true},
	swap: {"compare-and-swap", `UPDATE kv SET value = $3, expires_at = $4
		WHERE key = $1 AND value = $2 AND expires_at > $5`, false},
	// The last condition lets only counts through to the CAST, which SQLite would make 0 of anything
	// and PostgreSQL would refuse with the value in its message.
	increment: {"increment", `INSERT INTO kv (key, value, expires_at) VALUES ($1, '1', $2)
		ON CONFLICT (key) DO UPDATE SET
			value = CASE WHEN kv.expires_at <= $3 THEN '1' ELSE CAST(CAST(kv.value AS BIGINT) + 1 AS TEXT) END,
			expires_at = CASE WHEN kv.expires_at <= $3 THEN excluded.expires_at ELSE kv.expires_at END
		WHERE kv.expires_at <= $3
			OR (kv.value <> '' AND length(kv.value) <= 18 AND ltrim(kv.value, '0123456789') = '')
		RETURNING value`, true},
	// The outer condition spares a row that was written anew between the two steps.
	sweep: {"sweep", `DELETE FROM kv WHERE expires_at <= $1 AND key IN (
		SELECT key FROM kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, false},
}

// sweepPostgres lets several instances sweep at once: each takes rows that the others have not locked.
const sweepPostgres = `DELETE FROM kv WHERE expires_at <= $1 AND key IN (
	SELECT key FROM kv WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// schemas differ in what only one engine has: byte order for keys is faster than PostgreSQL's
// locales, and the old rows of a table that lives on churn should be reclaimed early.
var schemas = map[Engine][]string{
	SQLite: {
		`CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT`,
		`CREATE INDEX IF NOT EXISTS kv_expires_at ON kv (expires_at)`,
	},
	Postgres: {
		`CREATE TABLE IF NOT EXISTS kv (key TEXT COLLATE "C" PRIMARY KEY, value TEXT NOT NULL, expires_at BIGINT NOT NULL)
			WITH (autovacuum_vacuum_scale_factor = 0.05)`,
		`CREATE INDEX IF NOT EXISTS kv_expires_at ON kv (expires_at)`,
	},
}

// answer is what a statement gave: rows returned or changed, and the text of the returned one.
type answer struct {
	text string
	rows int64
}

// Store is a kv.Store. Close it before its database.
type Store struct {
	now    func() time.Time
	do     func(ctx context.Context, v verb, args ...any) (answer, error)
	stop   func() error
	closed atomic.Bool
}

var _ kv.Store = (*Store)(nil)

// Open creates the table if it is missing and returns the store on it. Values expire by the clock now;
// where several hosts share a database, their clocks must differ by less than any ttl that matters.
func Open(ctx context.Context, db *sql.DB, engine Engine, now func() time.Time) (*Store, error) {
	schema, ok := schemas[engine]
	if !ok {
		return nil, fmt.Errorf("sqlkv: unknown engine %q", engine)
	}
	if err := migrate(ctx, db, engine, schema); err != nil {
		return nil, err
	}
	s := &Store{now: now}
	if engine == Postgres {
		// The driver prepares each text once per connection.
		s.do = func(ctx context.Context, v verb, args ...any) (answer, error) {
			text := statements[v].text
			if v == sweep {
				text = sweepPostgres
			}
			return run(ctx, direct{db, text}, v, args)
		}
		s.stop = func() error { return nil }
		return s, nil
	}
	if err := checkSQLite(ctx, db); err != nil {
		return nil, err
	}
	read, err := db.PrepareContext(ctx, statements[get].text)
	if err != nil {
		return nil, fmt.Errorf("sqlkv: prepare: %w", err)
	}
	w := newWriter(db)
	s.do = func(ctx context.Context, v verb, args ...any) (answer, error) {
		if v == get {
			return run(ctx, read, v, args)
		}
		return w.submit(ctx, v, args)
	}
	s.stop = func() error {
		w.close()
		return read.Close()
	}
	return s, nil
}

// migrate creates the table. PostgreSQL does not guard IF NOT EXISTS against several instances that
// start at once, so one after the other goes through it.
func migrate(ctx context.Context, db *sql.DB, engine Engine, schema []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fault.New(fault.Unavailable, "sqlkv: create the table: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if engine == Postgres {
		schema = append([]string{`SELECT pg_advisory_xact_lock(hashtext('anyid kv'))`}, schema...)
	}
	for _, text := range schema {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fault.New(fault.Unavailable, "sqlkv: create the table: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fault.New(fault.Unavailable, "sqlkv: create the table: %w", err)
	}
	return nil
}

// checkSQLite refuses a database on which the store would block instead of work.
func checkSQLite(ctx context.Context, db *sql.DB) error {
	if n := db.Stats().MaxOpenConnections; n == 1 {
		return errors.New("sqlkv: the SQLite pool needs two connections or more: one is kept for writing")
	}
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return fault.New(fault.Unavailable, "sqlkv: read the journal mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("sqlkv: the SQLite file must be opened with journal_mode=WAL, not %s", mode)
	}
	return nil
}

// Close ends the store; every later call gives fault.Unavailable. It leaves the database open.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return s.stop()
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) (string, error) {
	return s.one(ctx, get, key)
}

// Take implements kv.Store.
func (s *Store) Take(ctx context.Context, key string) (string, error) {
	return s.one(ctx, take, key)
}

func (s *Store) one(ctx context.Context, v verb, key string) (string, error) {
	if err := kv.CheckKey(key); err != nil {
		return "", err
	}
	a, err := s.call(ctx, v, key, s.now().UnixMilli())
	if err == nil && a.rows == 0 {
		err = kv.ErrNotFound
	}
	return a.text, err
}

// Set implements kv.Store.
func (s *Store) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return err
	}
	_, err = s.call(ctx, set, key, value, s.now().UnixMilli()+ms)
	return err
}

// Add implements kv.Store.
func (s *Store) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return false, err
	}
	now := s.now().UnixMilli()
	a, err := s.call(ctx, add, key, value, now+ms, now)
	return a.rows == 1, err
}

// CompareAndSwap implements kv.Store.
func (s *Store) CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error) {
	ms, err := kv.CheckWrite(key, ttl, old, new)
	if err != nil {
		return false, err
	}
	now := s.now().UnixMilli()
	a, err := s.call(ctx, swap, key, old, new, now+ms, now)
	return a.rows == 1, err
}

// Increment implements kv.Store.
func (s *Store) Increment(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	ms, err := kv.CheckWrite(key, ttl)
	if err != nil {
		return 0, err
	}
	now := s.now().UnixMilli()
	a, err := s.call(ctx, increment, key, now+ms, now)
	if err != nil {
		return 0, err
	}
	if a.rows == 0 {
		return 0, kv.ErrNotCount
	}
	return strconv.ParseInt(a.text, 10, 64)
}

// Sweep deletes at most limit expired rows, the oldest first, and returns how many it deleted. Nobody
// sees a difference but the disk.
func (s *Store) Sweep(ctx context.Context, limit int) (n int, err error) {
	a, err := s.call(ctx, sweep, s.now().UnixMilli(), limit)
	return int(a.rows), err
}

// Run sweeps until ctx ends, at once and then every five seconds, in batches small enough that a login
// behind one does not notice.
func (s *Store) Run(ctx context.Context) {
	const (
		every = 5 * time.Second
		batch = 500
	)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n, err := s.Sweep(ctx, batch)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			slog.WarnContext(ctx, "expired values were not swept", "error", err)
		} else if n == batch { // there may be more
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// call runs a verb and gives what fails the store's code.
func (s *Store) call(ctx context.Context, v verb, args ...any) (answer, error) {
	if s.closed.Load() {
		return answer{}, fault.New(fault.Unavailable, "kv: sql %s: %w", statements[v].name, errClosed)
	}
	a, err := s.do(ctx, v, args...)
	if err != nil {
		return answer{}, fault.New(fault.Unavailable, "kv: sql %s: %w", statements[v].name, err)
	}
	return a, nil
}

var errClosed = errors.New("the store is closed")

// runner is a *sql.Stmt, or a text that the driver prepares.
type runner interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

type direct struct {
	db   *sql.DB
	text string
}

func (d direct) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return d.db.ExecContext(ctx, d.text, args...)
}

func (d direct) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return d.db.QueryRowContext(ctx, d.text, args...)
}

func run(ctx context.Context, r runner, v verb, args []any) (a answer, err error) {
	if statements[v].returns {
		err = r.QueryRowContext(ctx, args...).Scan(&a.text)
		switch {
		case err == nil:
			a.rows = 1
		case errors.Is(err, sql.ErrNoRows):
			err = nil
		}
		return a, err
	}
	result, err := r.ExecContext(ctx, args...)
	if err != nil {
		return a, err
	}
	a.rows, err = result.RowsAffected()
	return a, err
}
