// Package storage keeps everything that must survive: it implements the stores of packages person, site,
// keys, grant, session, notice, outbox and audit on SQLite or PostgreSQL.
//
// One hand-written SQL text serves both engines: numbered parameters, ON CONFLICT, and compare-and-swap
// in WHERE, so that no statement reads what another then writes. Times are stored as milliseconds since
// 1970 (0 for none), documents as JSON text. Each domain has one file here.
//
// Whatever is a person's references their row and goes with it. A change for somebody who has withdrawn is
// fault.NotFound.
//
// A change is durable when its call returns. On SQLite concurrent changes share one commit; on
// PostgreSQL concurrent registrations, consents and logins do, and events that come alone, while look-ups by a key share
// round trips. A database that does not answer is fault.Unavailable.
package storage

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// Driver names a database engine.
type Driver string

// The engines.
const (
	SQLite   Driver = "sqlite"
	Postgres Driver = "postgres"
)

// Config says which database to open.
type Config struct {
	Driver Driver
	// Path is the folder of the SQLite files anyid.db and kv.db; both are made if they are missing,
	// readable by their owner only.
	Path string
	// DSN is the PostgreSQL connection string, as URL or as keywords and values.
	DSN string
	// MaxConns bounds the connections of each of PostgreSQL's two pools (stores and KV). 0 means what the DSN says
	// (pool_max_conns) or pgx's default.
	MaxConns int
	// AutoMigrate lets Open bring an older schema up to date; without it Open refuses one.
	AutoMigrate bool
	// Now is the clock, time.Now if nil. It decides which client secrets are live.
	Now func() time.Time
	// Veil hides what is personal in an event before it is stored. Without one no event about a person can be.
	Veil *audit.Veil
}

// DB is an open database.
type DB struct {
	engine engine
	veil   *audit.Veil
	now    func() time.Time
	closed atomic.Bool
}

// engine is what the two databases do differently.
type engine interface {
	// reader runs single statements that read.
	reader() source
	// finder runs those that find the little that a key has: the hot path. They may share a round trip.
	finder() source
	// write runs change in a transaction and returns when it is committed and on disk, or has left
	// no trace. It may run change more than once, and may return with an error while change still
	// runs: what change computes counts only after a nil error.
	write(ctx context.Context, change func(ctx context.Context, tx tx) error) error
	// record writes what the steps of registrations and logins leave: it is the hot path.
	record(ctx context.Context, r record) error
	// seal gives unsealed events their positions and hashes, and returns how many it found.
	seal(ctx context.Context, tx tx, links []audit.Link) (int64, error)
	// due is the query for the ids of the outbox's items to lease at time $1, the longest due first: at most $2,
	// and of each target as many as are not under lease of $3.
	due() string
	// lease counts an attempt for each of the items that is still due now, puts it off until the time, and returns it.
	lease(ctx context.Context, tx tx, ids []string, now, until int64) ([]outbox.Item, error)
	// scrub overwrites what deleted rows leave in files, as far as that is the engine's to do.
	scrub(ctx context.Context) error
	// exclusively ends a SELECT whose rows nothing is to reference until the transaction ends.
	exclusively() string
	// readOnly reports whether the database refuses changes.
	readOnly(ctx context.Context) (bool, error)
	// migrations returns those that have been applied, in order.
	migrations(ctx context.Context) ([]Migration, error)
	// lock waits until no other transaction has the lock; the transaction's end gives it back.
	lock(ctx context.Context, tx tx, which int64) error
	// kv opens the database of package sqlkv.
	kv() (*sql.DB, error)
	close() error
}

// The locks, each some letters of its name.
const (
	migrationLock = 0x616e796964   // "anyid": one instance migrates
	leaseLock     = 0x6f7574626f78 // "outbox": one instance leases
)

// record is events, with what they tell of: who registered, what was consented to, or the login that moves a
// connection. Where one of these is there already, nothing of the record is written: fault.Conflict.
type record struct {
	registered *person.Registration // its Consents are among consents
	consents   []consent.Record
	replaced   []string     // ids of consents that hold no longer
	login      *grant.Login // its Event is among events
	events     []stored
}

// Open connects to the database, checks its schema, and seeds the linking matrix. A schema that is newer
// than this program, or older and not to be migrated, is fault.Conflict.
func Open(ctx context.Context, c Config) (*DB, error) {
	db, err := connect(c)
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx, c); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Check says what Open would refuse of a configuration without looking at the database.
func Check(c Config) error {
	if c.Driver != Postgres {
		return nil
	}
	_, err := parsePostgres(c)
	return err
}

func (db *DB) prepare(ctx context.Context, c Config) error {
	pending, err := db.pending(ctx, c.Driver)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		if !c.AutoMigrate {
			return fault.New(fault.Conflict, "storage: the schema lacks migration %d_%s: migrate first", pending[0].Version, pending[0].Name)
		}
		if err := db.migrate(ctx, pending); err != nil {
			return err
		}
	}
	return db.seed(ctx)
}

// seed stores the default linking matrix in a new database. Of several instances one does.
func (db *DB) seed(ctx context.Context) error {
	policies := db.LinkPolicies()
	_, err := policies.LinkPolicy(ctx)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	p := method.DefaultLinkPolicy()
	err = policies.SetLinkPolicy(ctx, p, audit.New(db.now(), audit.PolicyChanged, audit.System))
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// connect makes the DB without talking to the database more than the engine needs.
func connect(c Config) (*DB, error) {
	db := &DB{now: c.Now, veil: c.Veil}
	if db.now == nil {
		db.now = time.Now
	}
	var err error
	switch c.Driver {
	case SQLite:
		db.engine, err = openSQLite(c)
	case Postgres:
		db.engine, err = openPostgres(c)
	default:
		return nil, fault.New(fault.Invalid, "storage: driver %q is neither sqlite nor postgres", c.Driver)
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// People returns the store of registered people.
func (db *DB) People() person.Store { return people{db} }

// LinkPolicies returns the store of the linking matrix.
func (db *DB) LinkPolicies() person.PolicyStore { return policies{db} }

// Sites returns the store of relying sites.
func (db *DB) Sites() site.Store { return sites{db} }

// Keys returns the store of signing keys.
func (db *DB) Keys() keys.Store { return signingKeys{db} }

// Grants returns the store of what grants leave.
func (db *DB) Grants() grant.Store { return grants{db} }

// Sessions returns the store of sessions.
func (db *DB) Sessions() session.Store { return sessions{db} }

// Notices returns the store of alerts and cases.
func (db *DB) Notices() notice.Store { return notices{db} }

// Outbox returns the store of messages to others.
func (db *DB) Outbox() outbox.Store { return messages{db} }

// Audit returns the store of events.
func (db *DB) Audit() audit.Store { return events{db} }

// KV returns the database for package sqlkv: on SQLite the file kv.db beside the stores' own, on
// PostgreSQL the same database. Neither waits for the disk at a commit. The first call opens it; Close
// closes it.
func (db *DB) KV() (*sql.DB, error) { return db.engine.kv() }

// Ping reads from the database, and returns fault.Unavailable if that fails, or if the server takes no changes: it was
// made a standby, or read-only.
func (db *DB) Ping(ctx context.Context) error {
	if _, err := db.Audit().Head(ctx); err != nil {
		return err
	}
	readOnly, err := db.engine.readOnly(ctx)
	if err == nil && readOnly {
		return fault.New(fault.Unavailable, "storage: the database is read-only")
	}
	return db.failed("ask whether the database is read-only", err)
}

// Close finishes the changes under way, refuses new ones, and disconnects.
func (db *DB) Close() error {
	if db.closed.Swap(true) {
		return nil
	}
	return db.engine.close()
}
