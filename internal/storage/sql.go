package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// tx is what the statements of a transaction run on.
type tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// source is what queries run on. rows passes the rows of one on, until each returns an error.
type source interface {
	rows(ctx context.Context, each func(row) error, query string, args ...any) error
}

// row is a row of a result, as database/sql and pgx have it.
type row interface{ Scan(into ...any) error }

// standard is a source on database/sql: a transaction, or a pool.
type standard struct {
	on interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s standard) rows(ctx context.Context, each func(row) error, query string, args ...any) error {
	rows, err := s.on.QueryContext(ctx, query, args...) //nolint:rowserrcheck // pass does
	if err != nil {
		return err
	}
	defer rows.Close()
	return pass(rows, each)
}

// result is the rows of a query, as database/sql and pgx have them.
type result interface {
	row
	Next() bool
	Err() error
}

// pass passes rows on, until each returns an error.
func pass(rows result, each func(row) error) error {
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exec runs a statement and returns the number of rows that it changed.
func exec(ctx context.Context, on tx, query string, args ...any) (int64, error) {
	result, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// all runs a query and returns what scan makes of its rows.
func all[T any](ctx context.Context, on source, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := on.rows(ctx, func(r row) error {
		v, err := scan(r)
		list = append(list, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

// one runs a query for one row, or returns sql.ErrNoRows.
func one[T any](ctx context.Context, on source, scan func(row) (T, error), query string, args ...any) (T, error) {
	var none T
	list, err := all(ctx, on, scan, query, args...)
	if err != nil {
		return none, err
	}
	if len(list) == 0 {
		return none, sql.ErrNoRows
	}
	return list[0], nil
}

// number scans a row of one number.
func number(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// text scans a text.
func text(r row) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// millis is a time as it is stored: milliseconds since 1970, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// stamp scans what millis stored, as UTC.
type stamp time.Time

// Scan implements sql.Scanner.
func (s *stamp) Scan(src any) error {
	ms, ok := src.(int64)
	switch {
	case !ok:
		return fmt.Errorf("a time is stored as %T", src)
	case ms == 0:
		*s = stamp{}
	default:
		*s = stamp(time.UnixMilli(ms).UTC())
	}
	return nil
}

// document scans JSON text into what it points to; empty text leaves that as it is.
type document struct{ into any }

// Scan implements sql.Scanner. Its errors do not quote the text.
func (d document) Scan(src any) error {
	text, ok := src.(string)
	switch {
	case !ok:
		return fmt.Errorf("a document is stored as %T", src)
	case text == "":
		return nil
	case json.Unmarshal([]byte(text), d.into) != nil:
		return fmt.Errorf("a stored document is no %T", d.into)
	}
	return nil
}

// changes runs a change and reports whether it changed a row.
func (db *DB) changes(ctx context.Context, doing string, change func(context.Context, tx) (int64, error)) (bool, error) {
	n, err := db.count(ctx, doing, change)
	return n > 0, err
}

// count runs a change and returns how many rows it changed.
func (db *DB) count(ctx context.Context, doing string, change func(context.Context, tx) (int64, error)) (int, error) {
	var n int64
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) (err error) {
		n, err = change(ctx, tx)
		return err
	})
	if err != nil {
		return 0, db.failed(doing, err)
	}
	return int(n), nil
}

// encodeList is the JSON text of a list, empty for an empty one.
func encodeList[T any](list []T) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	return encode(list)
}

// encode is the JSON text of a document.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
