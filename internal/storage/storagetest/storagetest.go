// Package storagetest is the contract of the stores in package storage as tests, and gives other
// packages' tests a ready database.
package storagetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/testserver"
)

// Stores are the stores of one database.
type Stores struct {
	People       person.Store
	LinkPolicies person.PolicyStore
	Sites        site.Store
	Keys         keys.Store
	Grants       grant.Store
	Sessions     session.Store
	Notices      notice.Store
	Outbox       outbox.Store
	Audit        audit.Store
}

// Of returns the stores of a database.
func Of(db *storage.DB) Stores {
	return Stores{db.People(), db.LinkPolicies(), db.Sites(), db.Keys(), db.Grants(), db.Sessions(), db.Notices(), db.Outbox(), db.Audit()}
}

// Veil is the veil of every database that Open opens without another.
var Veil = newVeil()

func newVeil() *audit.Veil {
	index, err := secret.NewIndex([]byte("storagetest: a key of 32 bytes.."))
	if err != nil {
		panic(err)
	}
	return audit.NewVeil(index)
}

// Run tests stores against their contracts. Each call of open returns the stores of an empty database, with Veil.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	for _, suite := range []struct {
		name string
		run  func(*testing.T, Stores)
	}{
		{"People", testPeople},
		{"LinkPolicies", testLinkPolicies},
		{"Sites", testSites},
		{"Keys", testKeys},
		{"Links", testLinks},
		{"Updates", testUpdates},
		{"Withdrawals", testWithdrawals},
		{"Connections", testConnections},
		{"Disconnections", testDisconnections},
		{"Consents", testConsents},
		{"Families", testFamilies},
		{"Sessions", testSessions},
		{"Notices", testNotices},
		{"Cases", testCases},
		{"Audit", testAudit},
		{"History", testHistory},
	} {
		t.Run(suite.name, func(t *testing.T) {
			t.Parallel()
			suite.run(t, open(t))
		})
	}
	t.Run("Outbox", func(t *testing.T) {
		t.Parallel()
		testOutbox(t, open)
	})
}

// Each runs a test on a ready SQLite and a ready PostgreSQL database, in parallel. Both are empty and end
// with the test.
func Each(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Helper()
	EachConfig(t, func(t *testing.T, c storage.Config) { test(t, Open(t, c)) })
}

// EachConfig is Each for tests that open the database themselves.
func EachConfig(t *testing.T, test func(t *testing.T, c storage.Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, storage.Config{Driver: storage.SQLite, Path: t.TempDir(), AutoMigrate: true})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, storage.Config{Driver: storage.Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	})
}

// Open opens a database that is closed when the test ends. Without a veil it gets Veil.
func Open(tb testing.TB, c storage.Config) *storage.DB {
	tb.Helper()
	if c.Veil == nil {
		c.Veil = Veil
	}
	db, err := storage.Open(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

// racers is how many goroutines want what one of them gets.
const racers = 64

// race calls f from all racers at once and returns how many calls were true. Errors fail the test.
func race(t *testing.T, f func(i int) (bool, error)) int {
	t.Helper()
	var (
		won   atomic.Int64
		wg    sync.WaitGroup
		start = make(chan struct{})
	)
	for i := range racers {
		wg.Go(func() {
			<-start
			ok, err := f(i)
			if err != nil {
				t.Errorf("racer %d: %v", i, err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

// newest returns the newest hand-over consent that holds, or fault.NotFound.
func newest(ctx context.Context, s Stores, person, site string) (consent.Record, error) {
	list, err := s.Grants.HandOvers(ctx, person, site)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "storagetest: no consent")
	}
	if err != nil {
		return consent.Record{}, err
	}
	return list[0], nil
}

// wins turns a change that fails with fault.Conflict for all but one into a racer's answer.
func wins(err error) (bool, error) {
	if fault.Is(err, fault.Conflict) {
		return false, nil
	}
	return err == nil, err
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode fails the test unless err carries the code.
func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), code)
	}
}

// event returns a fresh event with every field set.
func event(action audit.Action) audit.Event {
	e := audit.New(time.Now(), action, audit.System)
	e.Person, e.Site, e.Attempt, e.Address, e.Browser = "a-person", "a-site", "an-attempt", "192.0.2.1", "Chrome, Windows"
	e.Detail = map[string]string{"b": "2", "a": "한글 \"1\""}
	return e
}

// wantEvents fails the test unless exactly the written ones among the events stand in the store.
func wantEvents(t *testing.T, s Stores, written bool, events ...audit.Event) {
	t.Helper()
	stored, err := s.Audit.Unsealed(t.Context(), 1_000_000)
	check(t, err)
	for _, e := range events {
		if got := slices.ContainsFunc(stored, func(x audit.Event) bool { return x.ID == e.ID }); got != written {
			t.Errorf("event %s: stored is %t, want %t", e.Action, got, written)
		}
	}
}

// reveal undoes the veil of stored events about a person, as event makes them.
func reveal(t *testing.T, events []audit.Event) []audit.Event {
	t.Helper()
	var list []audit.Event
	for _, e := range events {
		if e.Subject != "" {
			if e.Person != "" || e.Address != "" || e.Browser != "" {
				t.Errorf("event %+v is stored without its veil", e)
			}
			var err error
			e, err = Veil.Reveal(e, "a-person")
			check(t, err)
		}
		list = append(list, e)
	}
	return list
}

// Person registers somebody and returns their id: nothing can be stored of anybody else.
func Person(tb testing.TB, people person.Store) string {
	tb.Helper()
	r := registration()
	r.Person.ID = secret.NewID()
	r.Link.Person, r.Consents = r.Person.ID, nil
	if err := people.Register(tb.Context(), r); err != nil {
		tb.Fatal(err)
	}
	return r.Person.ID
}

// at returns a time of day on a fixed date, to the millisecond.
func at(minute int) time.Time {
	return time.Date(2026, 11, 1, 9, minute, 0, 123_000_000, time.UTC)
}

var lastID atomic.Int64

// unique returns a text that no other call has returned.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, lastID.Add(1)) }
