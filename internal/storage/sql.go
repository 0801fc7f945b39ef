package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// tx is what statements run on: a transaction, or a pool for those that stand alone.
type tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
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
func all[T any](ctx context.Context, on tx, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// one runs a query for one row, or returns sql.ErrNoRows.
func one[T any](ctx context.Context, on tx, scan func(*sql.Rows) (T, error), query string, args ...any) (T, error) {
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
func number(rows *sql.Rows) (n int64, err error) {
	err = rows.Scan(&n)
	return n, err
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

// encode is the JSON text of a document.
func encode(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
