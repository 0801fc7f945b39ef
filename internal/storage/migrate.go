package storage

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/fault"
)

// migrationFiles has a folder per engine with the same files, such as 0001_init.sql.
//
//go:embed migrations
var migrationFiles embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version   int // counts up from 1
	Name      string
	AppliedAt time.Time // zero: pending
}

// migration is a step with its SQL.
type migration struct {
	Migration
	text string
}

// The table of the migrations that have been applied.
const (
	createMigrations = `CREATE TABLE IF NOT EXISTS schema_migrations (
		version    INTEGER NOT NULL PRIMARY KEY,
		name       TEXT    NOT NULL,
		applied_at BIGINT  NOT NULL
	)`
	selectMigrations = `SELECT version, name, applied_at FROM schema_migrations ORDER BY version`
	insertMigration  = `INSERT INTO schema_migrations (version, name, applied_at) VALUES ($1, $2, $3)`
)

func scanMigration(r row) (m Migration, err error) {
	err = r.Scan(&m.Version, &m.Name, (*stamp)(&m.AppliedAt))
	return m, err
}

// Migrate brings the schema up to date and returns the migrations that it took, or fault.Conflict when
// the schema is newer than this program. Any number of instances may call it at once; each migration
// is one transaction.
func Migrate(ctx context.Context, c Config) (taken []Migration, err error) {
	db, err := connect(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	pending, err := db.pending(ctx, c.Driver)
	if err != nil {
		return nil, err
	}
	for _, m := range pending {
		taken = append(taken, m.Migration)
	}
	return taken, db.migrate(ctx, pending)
}

// Status lists the migrations in order: those that have been applied, also by a newer program, and
// those that are pending. It changes nothing.
func Status(ctx context.Context, c Config) (list []Migration, err error) {
	known, err := knownMigrations(c.Driver)
	if err != nil {
		return nil, err
	}
	var applied []Migration
	if _, err := os.Stat(filepath.Join(c.Path, "anyid.db")); c.Driver == Postgres || !errors.Is(err, fs.ErrNotExist) {
		db, err := connect(c)
		if err != nil {
			return nil, err
		}
		applied, err = db.engine.migrations(ctx)
		if err := errors.Join(db.failed("read the schema's version", err), db.Close()); err != nil {
			return nil, err
		}
	}
	for _, m := range known[min(len(applied), len(known)):] {
		applied = append(applied, m.Migration)
	}
	return applied, nil
}

// pending returns the migrations that the database lacks, or fault.Conflict when the schema is newer
// than this program.
func (db *DB) pending(ctx context.Context, d Driver) ([]migration, error) {
	known, err := knownMigrations(d)
	if err != nil {
		return nil, err
	}
	applied, err := db.engine.migrations(ctx)
	if err != nil {
		return nil, db.failed("read the schema's version", err)
	}
	for i, m := range applied {
		if i >= len(known) {
			return nil, fault.New(fault.Conflict, "storage: the schema has migration %d_%s, this program knows %d: start a newer release", m.Version, m.Name, len(known))
		}
		if m.Version != known[i].Version {
			return nil, fault.New(fault.Conflict, "storage: the schema lacks migration %d_%s but has %d_%s", known[i].Version, known[i].Name, m.Version, m.Name)
		}
	}
	return known[len(applied):], nil
}

// migrate takes each migration that is still pending once it holds the lock.
func (db *DB) migrate(ctx context.Context, pending []migration) error {
	for _, m := range pending {
		err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
			if err := db.engine.lock(ctx, tx, migrationLock); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, createMigrations); err != nil {
				return err
			}
			n, err := one(ctx, standard{tx}, number, `SELECT count(*) FROM schema_migrations WHERE version = $1`, m.Version)
			if err != nil || n > 0 {
				return err
			}
			if _, err := tx.ExecContext(ctx, m.text); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, insertMigration, m.Version, m.Name, millis(db.now()))
			return err
		})
		if err != nil {
			return db.failed(fmt.Sprintf("migration %d_%s", m.Version, m.Name), err)
		}
	}
	return nil
}

// knownMigrations returns the engine's migrations in order.
func knownMigrations(d Driver) ([]migration, error) {
	return readMigrations(migrationFiles, "migrations/"+string(d))
}

func readMigrations(files fs.FS, folder string) ([]migration, error) {
	entries, err := fs.ReadDir(files, folder) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("storage: migrations: %w", err)
	}
	list := make([]migration, 0, len(entries))
	for _, entry := range entries {
		number, name, ok := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		version, err := strconv.Atoi(number)
		if !ok || err != nil || version != len(list)+1 {
			return nil, fmt.Errorf("storage: %s is not migration %04d_<name>.sql", entry.Name(), len(list)+1)
		}
		text, err := fs.ReadFile(files, folder+"/"+entry.Name())
		if err != nil {
			return nil, fmt.Errorf("storage: migrations: %w", err)
		}
		list = append(list, migration{Migration{Version: version, Name: name}, string(text)})
	}
	return list, nil
}
