package storage

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"

	"github.com/anyid/anyid/internal/fault"
)

// together makes changes share one commit, by queueing them while the writer is held up, and returns
// their errors.
func together(t *testing.T, e *sqliteEngine, changes ...change) []error {
	t.Helper()
	held, release := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.write(t.Context(), func(context.Context, tx) error {
			close(held)
			<-release
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	<-held
	errs := make([]error, len(changes))
	for i, c := range changes {
		wg.Go(func() { errs[i] = e.write(t.Context(), c) })
		for e.changes.Queued() <= i { // in order
			time.Sleep(time.Millisecond)
		}
	}
	close(release)
	wg.Wait()
	return errs
}

func insertRevision(name string) change {
	return func(ctx context.Context, tx tx) error {
		_, err := exec(ctx, tx, `INSERT INTO revisions (name, n) VALUES ($1, 1)`, name)
		return err
	}
}

func openTestEngine(t *testing.T) (*DB, *sqliteEngine) {
	t.Helper()
	db := open(t, Config{Driver: SQLite, Path: t.TempDir(), AutoMigrate: true})
	return db, db.engine.(*sqliteEngine)
}

// wantRevisions fails the test unless those stand in the table, beside the one of the first migration.
func wantRevisions(t *testing.T, e *sqliteEngine, names ...string) {
	t.Helper()
	n, err := one(t.Context(), e.reader(), number, `SELECT count(*) FROM revisions`)
	if err != nil || n != int64(len(names)+1) {
		t.Errorf("%d revisions, %v; want %d", n, err, len(names)+1)
	}
	for _, name := range names {
		if n, err := one(t.Context(), e.reader(), number, `SELECT count(*) FROM revisions WHERE name = $1`, name); err != nil || n != 1 {
			t.Errorf("%d revisions %s, %v", n, name, err)
		}
	}
}

func TestFailingChangeHarmsNoNeighbour(t *testing.T) {
	t.Parallel()
	_, e := openTestEngine(t)
	late := errors.New("after all no")
	first := insertRevision("a")
	again := first // the name is taken then
	errs := together(t, e,
		first,
		again,
		func(ctx context.Context, tx tx) error {
			return errors.Join(insertRevision("b")(ctx, tx), late)
		},
		insertRevision("c"),
	)
	var constraint *sqlite.Error
	if errs[0] != nil || !errors.As(errs[1], &constraint) || constraint.Code() != sqlitecode.SQLITE_CONSTRAINT_PRIMARYKEY || !errors.Is(errs[2], late) || errs[3] != nil {
		t.Errorf("errors %v", errs)
	}
	wantRevisions(t, e, "a", "c")
}

func TestFailingCommitFailsEveryChange(t *testing.T) {
	t.Parallel()
	db, e := openTestEngine(t)
	errs := together(t, e,
		insertRevision("a"),
		func(ctx context.Context, tx tx) error { // breaks a foreign key at the commit only
			if _, err := tx.ExecContext(ctx, `PRAGMA defer_foreign_keys = ON`); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO site_secrets (site, hash, created_at, expires_at) VALUES ('none', 'h', 1, 0)`)
			return err
		},
		func(context.Context, tx) error { return fault.New(fault.Conflict, "seen in what a neighbour wrote") },
	)
	for i, err := range errs {
		if sql, ok := errors.AsType[*sqlite.Error](err); !ok || sql.Code()&0xff != sqlitecode.SQLITE_CONSTRAINT {
			t.Errorf("change %d: %v", i, err)
		}
	}
	wantRevisions(t, e)
	// The writer goes on.
	if err := db.failed("", e.write(t.Context(), insertRevision("b"))); err != nil {
		t.Error(err)
	}
	wantRevisions(t, e, "b")
}

func TestFullDiskIsUnavailable(t *testing.T) {
	t.Parallel()
	db, e := openTestEngine(t)
	errs := together(t, e,
		insertRevision("a"),
		func(ctx context.Context, tx tx) error {
			if _, err := tx.ExecContext(ctx, `PRAGMA max_page_count = 1`); err != nil { // as many as there are
				return err
			}
			for i := range 1000 {
				if _, err := exec(ctx, tx, `INSERT INTO revisions (name, n) VALUES ($1, 1)`, string(rune('가'+i))); err != nil {
					return err
				}
			}
			return nil
		},
	)
	if err := db.failed("fill the disk", errs[1]); !fault.Is(err, fault.Unavailable) {
		t.Errorf("filling the disk: %v", err)
	}
	if errs[0] == nil {
		wantRevisions(t, e, "a")
	} else {
		wantRevisions(t, e)
	}
}

func TestLockedFileIsUnavailable(t *testing.T) {
	t.Parallel()
	db, e := openTestEngine(t)
	other, err := openFile(e.folder, "anyid.db", "busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	lock, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Begin(); !unavailable(err) { // SQLITE_BUSY itself
		t.Errorf("a second lock: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.failed("write", e.write(ctx, insertRevision("a"))); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a change behind a lock: %v", err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("a read beside a lock: %v", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := e.write(t.Context(), insertRevision("b")); err != nil {
		t.Errorf("a change after the lock: %v", err)
	}
	wantRevisions(t, e, "b") // nobody waited for a
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	_, e := openTestEngine(t)
	if _, err := e.prepared.ExecContext(t.Context(), `DELETE FROM revisions`); err == nil {
		t.Error("a reader wrote")
	}
	err := e.write(t.Context(), func(ctx context.Context, tx tx) error {
		for pragma, want := range map[string]int64{"synchronous": 2, "foreign_keys": 1, "busy_timeout": busyTimeout.Milliseconds()} {
			if n, err := one(ctx, standard{tx}, number, `PRAGMA `+pragma); err != nil || n != want {
				t.Errorf("%s is %d, %v; want %d", pragma, n, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
