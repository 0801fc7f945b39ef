package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/outbox"
)

// busyTimeout is how long SQLite waits for a lock that another process holds.
const busyTimeout = 15 * time.Second

const (
	// maxCommit bounds the changes that share a commit, and with it how long the first of them waits.
	maxCommit = 256
	// sqliteReaders is how many connections read, of each of the two files.
	sqliteReaders = 8
	// sqliteCache is how many KiB of pages a connection keeps.
	sqliteCache = 256
)

// sqliteEngine has one connection that writes, driven by one goroutine, and a pool that reads beside it
// (WAL). A commit waits for the disk (synchronous=FULL), so concurrent changes share commits.
type sqliteEngine struct {
	folder   string
	writers  *sql.DB // of one connection
	readers  *sql.DB
	prepared *prepared // on readers
	changes  *batch.Group[change]

	conn    *sql.Conn // the writing connection; the writer's goroutine only
	writing *prepared // on conn

	kvOnce sync.Once
	kvDB   *sql.DB
	kvErr  error
}

// change is a caller's part of a commit.
type change func(ctx context.Context, tx tx) error

func openSQLite(c Config) (*sqliteEngine, error) {
	if err := os.MkdirAll(c.Path, 0o700); err != nil {
		return nil, fmt.Errorf("storage: make the folder: %w", err)
	}
	// synchronous=FULL: a commit is on the disk when it returns (sqlite.org/pragma.html).
	// secure_delete: a deleted row leaves zeros, also on pages that are free then.
	writers, err := openFile(c.Path, "anyid.db", "synchronous(FULL)", "foreign_keys(ON)", "secure_delete(ON)")
	if err != nil {
		return nil, err
	}
	writers.SetMaxOpenConns(1)
	readers, err := openFile(c.Path, "anyid.db", "query_only(ON)")
	if err != nil {
		return nil, errors.Join(err, writers.Close())
	}
	readers.SetMaxOpenConns(sqliteReaders)
	readers.SetMaxIdleConns(sqliteReaders)
	e := &sqliteEngine{folder: c.Path, writers: writers, readers: readers, prepared: &prepared{on: readers}}
	e.changes = batch.New(batch.Config{Workers: 1, Limit: maxCommit}, e.commit)
	return e, nil
}

// openFile returns a pool on a file in the folder. It makes the file, so that SQLite's own umask does
// not decide who may read it; the files beside it (-wal, -shm) take over its mode.
func openFile(folder, name string, pragmas ...string) (*sql.DB, error) {
	path, err := filepath.Abs(filepath.Join(folder, name))
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	// Each connection has a cache of pages of its own, of up to 2 MB unless told otherwise; the system's, behind them, is
	// one for all and nearly as fast.
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": append([]string{
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "journal_mode(WAL)", fmt.Sprintf("cache_size(-%d)", sqliteCache),
		}, pragmas...),
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+settings.Encode())
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return db, connectOnce(db)
}

// connectOnce makes the first connection. To turn a new file to WAL takes a lock for which SQLite's busy_timeout
// does not wait, so of several instances that start at once the others come again.
func connectOnce(db *sql.DB) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*busyTimeout)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlitecode.SQLITE_BUSY || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("storage: %w", err), db.Close())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// readOnly: the store is not opened where it cannot be written.
func (e *sqliteEngine) readOnly(context.Context) (bool, error) { return false, nil }

func (e *sqliteEngine) reader() source { return standard{e.prepared} }

func (e *sqliteEngine) finder() source { return e.reader() }

func (e *sqliteEngine) write(ctx context.Context, c func(context.Context, tx) error) error {
	return e.changes.Do(ctx, c)
}

// commit runs a batch of changes in one transaction. A change that fails is undone alone. When the
// commit fails, every change has failed, also one that had its own error: that may have been a
// neighbour's doing, who is gone now.
func (e *sqliteEngine) commit(calls []*batch.Call[change]) {
	errs := make([]error, len(calls))
	err := e.transact(calls, errs)
	if err != nil {
		e.disconnect()
	}
	for i, c := range calls {
		if err != nil {
			errs[i] = err
		}
		c.Answer(errs[i])
	}
}

// transact fills errs with the changes' own errors. An error of its own means that nothing was
// committed and that the connection cannot be used again.
func (e *sqliteEngine) transact(calls []*batch.Call[change], errs []error) error {
	// No caller's context may interrupt what the others share.
	ctx := context.Background()
	if err := e.connect(ctx); err != nil {
		return err
	}
	run := func(statement string) error {
		_, err := e.writing.ExecContext(ctx, statement)
		return err
	}
	if err := run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for i, c := range calls {
		if errs[i] = c.Ctx.Err(); errs[i] != nil {
			continue // nobody waits for it
		}
		if err := run("SAVEPOINT change"); err != nil {
			return err
		}
		if errs[i] = c.Value(ctx, e.writing); errs[i] != nil {
			if err := run("ROLLBACK TO change"); err != nil {
				return errors.Join(errs[i], err)
			}
		}
		if err := run("RELEASE change"); err != nil {
			return err
		}
	}
	return run("COMMIT")
}

func (e *sqliteEngine) connect(ctx context.Context) error {
	if e.conn != nil {
		return nil
	}
	conn, err := e.writers.Conn(ctx)
	if err != nil {
		return err
	}
	e.conn, e.writing = conn, &prepared{on: conn}
	return nil
}

// disconnect closes the writing connection, which rolls back whatever it was at. SQLite keeps a
// connection open, with its locks, while it has statements.
func (e *sqliteEngine) disconnect() {
	if e.conn == nil {
		return
	}
	e.writing.close()
	_ = e.conn.Raw(func(any) error { return driver.ErrBadConn }) // database/sql closes a bad connection
	_ = e.conn.Close()
	e.conn, e.writing = nil, nil
}

func (e *sqliteEngine) record(ctx context.Context, r record) error {
	return e.write(ctx, r.write)
}

func (e *sqliteEngine) seal(ctx context.Context, tx tx, links []audit.Link) (sealed int64, err error) {
	const place = `UPDATE audit_events SET position = $1, hash = $2 WHERE at = $3 AND id = $4 AND position IS NULL`
	for _, l := range links {
		n, err := exec(ctx, tx, place, l.Position, l.Hash, millis(l.Event.At), l.Event.ID)
		if err != nil {
			return 0, err
		}
		sealed += n
	}
	return sealed, nil
}

// scrub empties the log of changes, which still holds what was deleted, into the file, where zeros stand for it.
// Readers can be in the way for longer than it waits; then the log's place is used again by what comes after.
func (e *sqliteEngine) scrub(ctx context.Context) error {
	db, err := openFile(e.folder, "anyid.db")
	if err != nil {
		return err
	}
	var busy, pages, moved int
	err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	return errors.Join(err, db.Close())
}

// exclusively has nothing to add: there is one writer.
func (e *sqliteEngine) exclusively() string { return "" }

func (e *sqliteEngine) due() string { return sqliteDue }

// In SQLite a list in IN can depend on another table and have a limit; the window then leaves room for what is
// under lease.
const sqliteDue = waitingTargets + `
	SELECT id
	FROM (
		SELECT o.id, o.next_at, row_number() OVER (PARTITION BY o.target ORDER BY o.next_at, o.id) AS place,
			(SELECT count(*) FROM outbox l WHERE l.target = o.target AND l.leased_until > 0 AND l.leased_until > $1) AS leased
		FROM targets t CROSS JOIN outbox o
		WHERE o.id IN (
			SELECT d.id FROM outbox d WHERE d.state = 'waiting' AND d.target = t.target AND d.next_at <= $1
			ORDER BY d.next_at, d.id LIMIT $3)
	) AS candidates
	WHERE place <= $3 - leased
	ORDER BY next_at, id LIMIT $2`

func (e *sqliteEngine) lease(ctx context.Context, tx tx, ids []string, now, until int64) ([]outbox.Item, error) {
	var items []outbox.Item
	for _, id := range ids {
		item, err := all(ctx, standard{tx}, scanItem, leaseItems+` AND id = $3 RETURNING `+itemNames, now, until, id)
		if err != nil {
			return nil, err
		}
		items = append(items, item...)
	}
	return items, nil
}

func (e *sqliteEngine) migrations(ctx context.Context) ([]Migration, error) {
	// An absent table has no result code of its own in SQLite.
	n, err := one(ctx, standard{e.readers}, number, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'`)
	if err != nil || n == 0 {
		return nil, err
	}
	return all(ctx, standard{e.readers}, scanMigration, selectMigrations)
}

// lock has nothing to do: BEGIN IMMEDIATE holds the only write lock.
func (e *sqliteEngine) lock(context.Context, tx, int64) error { return nil }

func (e *sqliteEngine) kv() (*sql.DB, error) {
	e.kvOnce.Do(func() {
		if e.kvDB, e.kvErr = openFile(e.folder, "kv.db", "synchronous(NORMAL)"); e.kvErr == nil {
			e.kvDB.SetMaxOpenConns(sqliteReaders + 1) // sqlkv keeps one to write
			e.kvDB.SetMaxIdleConns(sqliteReaders + 1)
		}
	})
	return e.kvDB, e.kvErr
}

func (e *sqliteEngine) close() error {
	e.changes.Close()
	e.disconnect()
	e.kvOnce.Do(func() { e.kvErr = errClosed })
	err := errors.Join(e.readers.Close(), e.writers.Close())
	if e.kvDB != nil {
		err = errors.Join(err, e.kvDB.Close())
	}
	return err
}

// prepared runs statements on a SQLite pool or connection and has each text parsed once. The texts are
// this package's constants, so there are few.
type prepared struct {
	on interface {
		PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	}
	statements sync.Map // text to *sql.Stmt
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := p.statements.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, ok := p.statements.LoadOrStore(query, s); ok { // another caller was faster
		defer func() { _ = s.Close() }()
		return first.(*sql.Stmt), nil
	}
	return s, nil
}

// close forgets the statements. Those of a pool end with it, those of a *sql.Conn do not.
func (p *prepared) close() {
	p.statements.Range(func(text, s any) bool {
		_ = s.(*sql.Stmt).Close() // on a broken connection there is nothing to save
		p.statements.Delete(text)
		return true
	})
}

// ExecContext implements tx.
func (p *prepared) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.statement(ctx, query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext implements tx.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := p.statement(ctx, query) //nolint:sqlclosecheck // kept for the next time
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}
