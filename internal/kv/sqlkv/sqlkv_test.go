package sqlkv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/kvtest"
	"github.com/anyid/anyid/internal/testserver"
)

const sqliteParams = "?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=busy_timeout(5000)"

func openDB(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func openStore(tb testing.TB, db *sql.DB, engine Engine, now func() time.Time) *Store {
	tb.Helper()
	s, err := Open(tb.Context(), db, engine, now)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func sqliteDSN(tb testing.TB) string {
	return "file:" + filepath.Join(tb.TempDir(), "kv.db") + sqliteParams
}

func openSQLite(tb testing.TB) kv.Store {
	return openStore(tb, openDB(tb, "sqlite", sqliteDSN(tb)), SQLite, time.Now)
}

func openPostgres(tb testing.TB) kv.Store {
	dsn := testserver.Postgres(tb) + "&synchronous_commit=off"
	return openStore(tb, openDB(tb, "pgx", dsn), Postgres, time.Now)
}

// engines opens both, for the tests that need more than a kv.Store.
var engines = []struct {
	engine Engine
	open   func(testing.TB) *sql.DB
}{
	{SQLite, func(tb testing.TB) *sql.DB { return openDB(tb, "sqlite", sqliteDSN(tb)) }},
	{Postgres, func(tb testing.TB) *sql.DB { return openDB(tb, "pgx", testserver.Postgres(tb)) }},
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) kv.Store { return openSQLite(t) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) kv.Store { return openPostgres(t) })
}

func BenchmarkSQLite(b *testing.B) {
	kvtest.Bench(b, func(b *testing.B) kv.Store { return openSQLite(b) })
}

func BenchmarkPostgres(b *testing.B) {
	kvtest.Bench(b, func(b *testing.B) kv.Store { return openPostgres(b) })
}

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.UnixMilli(1_700_000_000_000)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestExpiryIsExact(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e.engine), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s := openStore(t, e.open(t), e.engine, c.Now)
			if err := s.Set(t.Context(), "a", "v", time.Second); err != nil {
				t.Fatal(err)
			}
			c.forward(time.Second - time.Millisecond)
			if v, err := s.Get(t.Context(), "a"); v != "v" || err != nil {
				t.Errorf("one millisecond before: %q, %v", v, err)
			}
			if ok, err := s.Add(t.Context(), "a", "w", time.Second); ok || err != nil {
				t.Errorf("add one millisecond before: %v, %v", ok, err)
			}
			c.forward(time.Millisecond)
			if v, err := s.Get(t.Context(), "a"); !errors.Is(err, kv.ErrNotFound) {
				t.Errorf("on time: %q, %v", v, err)
			}
			if ok, err := s.Add(t.Context(), "a", "w", time.Second); !ok || err != nil {
				t.Errorf("add on time: %v, %v", ok, err)
			}
		})
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e.engine), func(t *testing.T) {
			t.Parallel()
			c := newClock()
			db := e.open(t)
			s := openStore(t, db, e.engine, c.Now)
			for i := range 25 {
				if err := s.Set(t.Context(), fmt.Sprintf("old%d", i), "v", time.Second); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 5 {
				if err := s.Set(t.Context(), fmt.Sprintf("new%d", i), "v", time.Minute); err != nil {
					t.Fatal(err)
				}
			}
			sweep := func(want int) {
				t.Helper()
				if n, err := s.Sweep(t.Context(), 10); n != want || err != nil {
					t.Errorf("swept %d, %v, want %d", n, err, want)
				}
			}
			sweep(0)
			c.forward(time.Second)
			for _, want := range []int{10, 10, 5, 0} {
				sweep(want)
			}
			var left int
			if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM kv`).Scan(&left); err != nil || left != 5 {
				t.Errorf("%d rows are left, %v, want 5", left, err)
			}
		})
	}
}

// TestSweepersAndWriters lets sweepers run against writers that bring expired keys back to life: what
// was written must not be swept.
func TestSweepersAndWriters(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e.engine), func(t *testing.T) {
			t.Parallel()
			s := openStore(t, e.open(t), e.engine, time.Now)
			ctx, stop := context.WithCancel(t.Context())
			var sweepers, writers sync.WaitGroup
			for range 2 {
				sweepers.Go(func() {
					for ctx.Err() == nil {
						if _, err := s.Sweep(ctx, 50); err != nil && ctx.Err() == nil {
							t.Errorf("sweep: %v", err)
							return
						}
					}
				})
			}
			for w := range 8 {
				writers.Go(func() {
					for i := range 25 {
						key := fmt.Sprintf("%d/%d", w, i%5)
						if err := s.Set(ctx, key, "old", time.Millisecond); err != nil {
							t.Error(err)
						}
						time.Sleep(1100 * time.Microsecond)
						if ok, err := s.Add(ctx, key, "new", time.Minute); !ok || err != nil {
							t.Errorf("add: %v, %v", ok, err)
						}
						if v, err := s.Take(ctx, key); v != "new" || err != nil {
							t.Errorf("take: %q, %v", v, err)
						}
					}
				})
			}
			writers.Wait()
			stop()
			sweepers.Wait()
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	c := newClock()
	db := openDB(t, "sqlite", sqliteDSN(t))
	s := openStore(t, db, SQLite, c.Now)
	var wg sync.WaitGroup
	for i := range 1100 { // more than two batches
		wg.Go(func() {
			if err := s.Set(t.Context(), fmt.Sprint(i), "v", time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c.forward(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for left := -1; left != 0; time.Sleep(time.Millisecond) {
		if err := db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM kv`).Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
}

func TestValuesOutliveTheStore(t *testing.T) {
	t.Parallel()
	dsn := sqliteDSN(t)
	first := openDB(t, "sqlite", dsn)
	s, err := Open(t.Context(), first, SQLite, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "a", "v", time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	again := openStore(t, openDB(t, "sqlite", dsn), SQLite, time.Now)
	if v, err := again.Get(t.Context(), "a"); v != "v" || err != nil {
		t.Errorf("after a restart: %q, %v", v, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	one := openDB(t, "sqlite", sqliteDSN(t))
	one.SetMaxOpenConns(1)
	for _, c := range []struct {
		name   string
		db     *sql.DB
		engine Engine
		want   string
	}{
		{"unknown engine", one, "mysql", "unknown engine"},
		{"one connection", one, SQLite, "two connections"},
		{"rollback journal", openDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "kv.db")), SQLite, "journal_mode=WAL"},
	} {
		if _, err := Open(t.Context(), c.db, c.engine, time.Now); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	unreachable := openDB(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "no", "such", "kv.db")+sqliteParams)
	if _, err := Open(t.Context(), unreachable, SQLite, time.Now); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a folder that is missing: %v", err)
	}
}

// TestOpenTogether lets several instances start on one empty database.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e.engine), func(t *testing.T) {
			t.Parallel()
			db := e.open(t)
			db.SetMaxOpenConns(20)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					s, err := Open(t.Context(), db, e.engine, time.Now)
					if err == nil {
						err = s.Close()
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestTwoProcessesOnOneFile writes through two stores with a pool each, as two processes would.
func TestTwoProcessesOnOneFile(t *testing.T) {
	t.Parallel()
	dsn := sqliteDSN(t)
	var wg sync.WaitGroup
	for range 2 {
		s := openStore(t, openDB(t, "sqlite", dsn), SQLite, time.Now)
		for range 16 {
			wg.Go(func() {
				for range 10 {
					if _, err := s.Increment(t.Context(), "n", time.Minute); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	s := openStore(t, openDB(t, "sqlite", dsn), SQLite, time.Now)
	if v, err := s.Get(t.Context(), "n"); v != "320" || err != nil {
		t.Errorf("counted %q, %v, want 320", v, err)
	}
}

// TestGroup runs groups with a write in them that fails or that nobody waits for any more.
func TestGroup(t *testing.T) {
	t.Parallel()
	db := openDB(t, "sqlite", sqliteDSN(t))
	s := openStore(t, db, SQLite, time.Now)
	// A trigger makes one write fail and not another, and undoes the whole transaction as a full disk does.
	if _, err := db.ExecContext(t.Context(), `CREATE TRIGGER refuse BEFORE INSERT ON kv WHEN NEW.key = 'bad'
		BEGIN SELECT RAISE(ROLLBACK, 'refused'); END`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := &writer{db: db}
	defer w.disconnect()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	expires := time.Now().Add(time.Minute).UnixMilli()
	up := func(ctx context.Context, key string) *write {
		return &write{ctx: ctx, verb: increment, args: []any{key, expires, expires - 1000}}
	}
	for round := range int64(3) {
		group := []*write{up(t.Context(), "a"), up(cancelled, "a"), up(t.Context(), "bad"), up(t.Context(), "a")}
		if round == 2 {
			group[2] = up(t.Context(), "a")
		}
		w.execute(group)
		if !errors.Is(group[1].err, context.Canceled) {
			t.Errorf("the write nobody waits for: %v", group[1].err)
		}
		if err := group[2].err; (round < 2) != (err != nil && strings.Contains(err.Error(), "refused")) {
			t.Errorf("round %d, third write: %v", round, err)
		}
		for i, want := range map[int]int64{0: 2*round + 1, 3: 2*round + 2 + round/2} {
			if a := group[i].answer; group[i].err != nil || a.text != fmt.Sprint(want) {
				t.Errorf("round %d, write %d: %q, %v, want %d", round, i, a.text, group[i].err, want)
			}
		}
	}
}
