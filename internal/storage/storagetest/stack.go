package storagetest

import (
	"testing"
	"time"

	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/rediskv"
	"github.com/anyid/anyid/internal/kv/sqlkv"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/testserver"
)

// Stack is what one instance of the service stands on: the stores that survive, and the short-lived values.
type Stack struct {
	DB *storage.DB
	KV kv.Store
}

// EachStack runs a test on each database with each store of short-lived values that it can have, in
// parallel: SQLite and PostgreSQL, with the values on the database itself or on Redis. Every call of open is
// one more instance on the same stores, with a clock; the values on Redis expire by Redis's own.
func EachStack(t *testing.T, test func(t *testing.T, open func(now func() time.Time) Stack)) {
	t.Helper()
	for _, values := range []string{"sqlkv", "redis"} {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			EachConfig(t, func(t *testing.T, c storage.Config) {
				c.MaxConns = 8
				store := func(db *storage.DB, now func() time.Time) kv.Store { return openSQLKV(t, db, c.Driver, now) }
				if values == "redis" {
					addr, number := testserver.Redis(t)
					store = func(*storage.DB, func() time.Time) kv.Store { return openRedis(t, addr, number) }
				}
				test(t, func(now func() time.Time) Stack {
					c.Now = now
					db := Open(t, c)
					return Stack{DB: db, KV: store(db, now)}
				})
			})
		})
	}
}

// Embedded opens one more instance on the SQLite files in a folder; it closes when the test ends.
func Embedded(tb testing.TB, folder string, now func() time.Time) Stack {
	tb.Helper()
	db := Open(tb, storage.Config{Driver: storage.SQLite, Path: folder, AutoMigrate: true, Now: now})
	return Stack{DB: db, KV: openSQLKV(tb, db, storage.SQLite, now)}
}

func openSQLKV(tb testing.TB, db *storage.DB, driver storage.Driver, now func() time.Time) kv.Store {
	tb.Helper()
	pool, err := db.KV()
	if err != nil {
		tb.Fatal(err)
	}
	store, err := sqlkv.Open(tb.Context(), pool, sqlkv.Engine(driver), now)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, store.Close)
	return store
}

func openRedis(tb testing.TB, addr string, number int) kv.Store {
	tb.Helper()
	store, err := rediskv.Dial(rediskv.Config{Addrs: []string{addr}, DB: number})
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, store.Close)
	return store
}

func closeAfter(tb testing.TB, closing func() error) {
	tb.Cleanup(func() {
		if err := closing(); err != nil {
			tb.Error(err)
		}
	})
}
