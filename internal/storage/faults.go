package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlitecode "modernc.org/sqlite/lib"

	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/fault"
)

var errClosed = errors.New("the database is closed")

// failed says what was being done when err came, and makes it fault.Unavailable if the database did not
// answer, fault.NotFound if it was about a row that is gone, such as a person who has withdrawn, and fault.Conflict
// if the row is there already. A fault stays the fault that it is; nil stays nil.
func (db *DB) failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if db.closed.Load() || unavailable(err) {
		return fault.New(fault.Unavailable, "storage: %s: %w", doing, err)
	}
	if dangling(err) {
		return fault.New(fault.NotFound, "storage: %s: what it belongs to is gone: %w", doing, err)
	}
	if duplicate(err) {
		return fault.New(fault.Conflict, "storage: %s: it is there already: %w", doing, err)
	}
	return fmt.Errorf("storage: %s: %w", doing, err)
}

// duplicate reports whether a key refused the row.
func duplicate(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlitecode.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlitecode.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505" // unique_violation
}

// dangling reports whether a foreign key refused the row.
func dangling(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlitecode.SQLITE_CONSTRAINT_FOREIGNKEY
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23503" // foreign_key_violation
}

// unwritable reports whether PostgreSQL refused a parameter that is no text of its: no UTF-8, or with a NUL.
func unwritable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "22021" // character_not_in_repertoire
}

// found is failed for a look-up: no row is fault.NotFound, told as what. Under a name that the database cannot write
// there is none; such names come from outside, in refresh tokens for one.
func (db *DB) found(what string, err error) error {
	if errors.Is(err, sql.ErrNoRows) || unwritable(err) {
		return fault.New(fault.NotFound, "storage: there is no such %s", what)
	}
	return db.failed("read "+what, err)
}

// unavailable reports whether err says that the database could not be reached or could not work, so
// that the same call may succeed later.
func unavailable(err error) bool {
	for _, sentinel := range []error{
		errClosed, batch.ErrClosed, driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, pgconn.ErrConnClosed, net.ErrClosed,
		io.EOF, io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the low byte is the primary result code
		case sqlitecode.SQLITE_BUSY, sqlitecode.SQLITE_LOCKED, sqlitecode.SQLITE_NOMEM, sqlitecode.SQLITE_READONLY,
			sqlitecode.SQLITE_INTERRUPT, sqlitecode.SQLITE_IOERR, sqlitecode.SQLITE_FULL, sqlitecode.SQLITE_CANTOPEN,
			sqlitecode.SQLITE_PROTOCOL:
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		// PostgreSQL, appendix A: connection exceptions, insufficient resources, operator intervention,
		// system errors; and by code read-only transaction (a standby), lock not available, and what
		// was retried in vain.
		return slices.Contains([]string{"08", "53", "57", "58"}, e.Code[:min(2, len(e.Code))]) ||
			e.Code == "25006" || e.Code == "55P03" || retryable(err)
	}
	return pgconn.SafeToRetry(err)
}

// retryable reports whether PostgreSQL undid the transaction only because of others that ran at the
// same time: serialization failure or deadlock.
func retryable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}
