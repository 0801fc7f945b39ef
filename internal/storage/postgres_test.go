package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/testserver"
)

// TestDeadlockIsRetried lets two changes take two rows in opposite order.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	write := func(run func(ctx context.Context, tx tx) error) error {
		return db.engine.write(t.Context(), run)
	}
	if err := write(func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO revisions (name, n) VALUES ('a', 0), ('b', 0)`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var met, wg sync.WaitGroup
	met.Add(2)
	tries := make([]int, 2)
	for i, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			if err := write(func(ctx context.Context, tx tx) error {
				if _, err := tx.ExecContext(ctx, `SET LOCAL deadlock_timeout = '10ms'`); err != nil {
					return err
				}
				for _, name := range order {
					if _, err := tx.ExecContext(ctx, `UPDATE revisions SET n = n + 1 WHERE name = $1`, name); err != nil {
						return err
					}
					if tries[i] == 0 {
						tries[i]++
						met.Done()
						met.Wait()
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a", "b"} {
		if n, err := one(t.Context(), db.engine.reader(), number, `SELECT n FROM revisions WHERE name = $1`, name); err != nil || n != 2 {
			t.Errorf("%s is %d, %v; want 2", name, n, err)
		}
	}
}

func TestRetryGivesUp(t *testing.T) {
	t.Parallel()
	deadlock := fmt.Errorf("commit: %w", &pgconn.PgError{Code: "40P01"})
	tries := 0
	err := retry(t.Context(), func() error { tries++; return deadlock })
	if !errors.Is(err, deadlock) || tries != maxTries {
		t.Errorf("%d tries ended with %v", tries, err)
	}
	if err := new(DB).failed("test", err); !fault.Is(err, fault.Unavailable) {
		t.Errorf("then the fault is %v", err)
	}
	tries = 0
	if err := retry(t.Context(), func() error { tries++; return errClosed }); !errors.Is(err, errClosed) || tries != 1 {
		t.Errorf("%d tries of what cannot be retried ended with %v", tries, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := retry(ctx, func() error { return deadlock }); err == nil {
		t.Error("retry went on after its context")
	}
}

// TestBadLoginHarmsNoNeighbour puts a login that PostgreSQL refuses among good ones.
func TestBadLoginHarmsNoNeighbour(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	e := db.engine.(*postgresEngine)
	person := register(t, db)
	var calls []*batch.Call[record]
	for i := range 7 {
		l := &grant.Login{Person: person, Site: "qnet", At: time.Now(), Event: audit.New(time.Now(), audit.SiteLogin, audit.Citizen)}
		ctx := t.Context()
		switch i {
		case 2:
			l.Event.Address = "\x00" // no text for PostgreSQL
		case 3:
			gone, leave := context.WithCancel(ctx)
			leave()
			ctx = gone
		case 5:
			l.Person = "who has withdrawn"
		}
		calls = append(calls, batch.NewCall(ctx, record{login: l, events: []stored{stored(l.Event)}}))
	}
	e.writeRecords(slices.Clone(calls))
	for i, c := range calls {
		err := c.Wait()
		if (err != nil) != (i == 2 || i == 3 || i == 5) {
			t.Errorf("login %d: %v", i, err)
		}
		if err := db.failed("record a login", err); i == 5 && !fault.Is(err, fault.NotFound) {
			t.Errorf("the login of nobody: %v", err)
		}
	}
	c, err := db.Grants().Connection(t.Context(), person, "qnet")
	if err != nil || c.Logins != 4 {
		t.Errorf("connection %+v, %v; want 4 logins", c, err)
	}
}

// TestBadQueryHarmsNoNeighbour puts queries that fail, each in its way, among good ones.
func TestBadQueryHarmsNoNeighbour(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	e := db.engine.(*postgresEngine)
	const series = `SELECT n FROM generate_series(1, 3) n WHERE $1 <> ''`
	odd := errors.New("odd")
	for _, tc := range []struct {
		name  string
		query string
		each  func(row) error // nil: count
		arg   string
		left  bool // the caller has
		want  func(error) bool
	}{
		{"no text", series, nil, "\x00", false, unwritable},
		{"no table", `SELECT n FROM nowhere WHERE $1 <> ''`, nil, "x", false, func(err error) bool { return !unavailable(err) }},
		{"refused after two rows", `SELECT 1 / (3 - n) FROM generate_series(1, 3) n WHERE $1 <> ''`, nil, "x", false, func(err error) bool { return !unavailable(err) }},
		{"refused by the caller", series, func(row) error { return odd }, "x", false, func(err error) bool { return errors.Is(err, odd) }},
		{"left", series, nil, "x", true, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, place := range []int{0, 2, 4} {
				var calls []*batch.Call[find]
				counts := make([]int, 5)
				for i := range counts {
					f := find{each: func(row) error { counts[i]++; return nil }, query: series, args: []any{"x"}}
					ctx := t.Context()
					if i == place {
						f.query, f.args = tc.query, []any{tc.arg}
						if tc.each != nil {
							f.each = tc.each
						}
						if tc.left {
							gone, leave := context.WithCancel(ctx)
							leave()
							ctx = gone
						}
					}
					calls = append(calls, batch.NewCall(ctx, f))
				}
				e.findAll(slices.Clone(calls))
				for i, c := range calls {
					err := c.Wait()
					switch {
					case i != place && (err != nil || counts[i] != 3):
						t.Errorf("beside it at %d: query %d: %d rows, %v", place, i, counts[i], err)
					case i == place && (err == nil || !tc.want(err)):
						t.Errorf("at %d: %v", place, err)
					case i == place && counts[i] > 2:
						t.Errorf("at %d: %d rows", place, counts[i])
					}
				}
			}
		})
	}
}

// TestQueriesOutliveTheirConnection ends all connections between two batches, as a server that starts again does.
func TestQueriesOutliveTheirConnection(t *testing.T) {
	t.Parallel()
	dsn := testserver.Postgres(t)
	db := open(t, Config{Driver: Postgres, DSN: dsn, AutoMigrate: true})
	e := db.engine.(*postgresEngine)
	ask := func() {
		t.Helper()
		var calls []*batch.Call[find]
		for range 3 {
			calls = append(calls, batch.NewCall(t.Context(), find{each: func(row) error { return nil }, query: `SELECT 1`}))
		}
		e.findAll(slices.Clone(calls))
		for i, c := range calls {
			if err := c.Wait(); err != nil {
				t.Errorf("query %d: %v", i, err)
			}
		}
	}
	ask()
	other := open(t, Config{Driver: Postgres, DSN: dsn})
	const end = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`
	if _, err := one(t.Context(), other.engine.reader(), number, end); err != nil {
		t.Fatal(err)
	}
	ask()
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"08006": true, "53300": true, "57P01": true, "58030": true, "25006": true, "55P03": true, "40001": true, "40P01": true,
		"23505": false, "42P01": false, "22021": false, "": false,
	} {
		err := fmt.Errorf("query: %w", &pgconn.PgError{Code: code})
		if got := unavailable(err); got != want {
			t.Errorf("code %q: unavailable is %t", code, got)
		}
	}
}
