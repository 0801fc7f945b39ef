package storage_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
	"github.com/anyid/anyid/internal/testserver"
)

func TestStores(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		storagetest.Run(t, func(t *testing.T) storagetest.Stores {
			return storagetest.Of(storagetest.Open(t, storage.Config{Driver: storage.SQLite, Path: t.TempDir(), AutoMigrate: true}))
		})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		storagetest.Run(t, func(t *testing.T) storagetest.Stores {
			return storagetest.Of(storagetest.Open(t, storage.Config{Driver: storage.Postgres, DSN: testserver.Postgres(t), AutoMigrate: true}))
		})
	})
}

func TestDataOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		first := storagetest.Open(t, c)
		l := login(storagetest.Person(t, first.People()))
		if err := first.Grants().RecordLogin(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
		c.AutoMigrate = false
		second := storagetest.Open(t, c)
		if _, err := second.Grants().Connection(t.Context(), l.Person, l.Site); err != nil {
			t.Error(err)
		}
	})
}

func TestInstancesStartingAtOnceMigrateAndSeedOnce(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				db, err := storage.Open(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		db := storagetest.Open(t, c)
		if n, err := db.Audit().Backlog(t.Context()); err != nil || n != 1 {
			t.Errorf("%d policy events, %v; want 1", n, err)
		}
		if p, err := db.LinkPolicies().LinkPolicy(t.Context()); err != nil || p.Version != 1 {
			t.Errorf("policy version %d, %v", p.Version, err)
		}
	})
}

func TestMigrateByHand(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		c.AutoMigrate = false
		if c.Driver == storage.SQLite {
			c.Path = filepath.Join(c.Path, "not", "there")
		}
		status := func(applied bool) {
			t.Helper()
			list, err := storage.Status(t.Context(), c)
			if err != nil || len(list) == 0 {
				t.Fatalf("status %v, %v", list, err)
			}
			for i, m := range list {
				if m.Version != i+1 || m.Name == "" || m.AppliedAt.IsZero() == applied {
					t.Errorf("migration %+v, want applied %t", m, applied)
				}
			}
		}
		status(false)
		if _, err := os.Stat(c.Path); c.Driver == storage.SQLite && !os.IsNotExist(err) {
			t.Errorf("Status made the folder: %v", err)
		}
		if _, err := storage.Open(t.Context(), c); !fault.Is(err, fault.Conflict) {
			t.Errorf("Open of an old schema: %v", err)
		}
		status(false)
		taken, err := storage.Migrate(t.Context(), c)
		if err != nil || len(taken) == 0 {
			t.Fatalf("migrations taken: %v, %v", taken, err)
		}
		status(true)
		if taken, err := storage.Migrate(t.Context(), c); err != nil || len(taken) != 0 {
			t.Errorf("migrations taken again: %v, %v", taken, err)
		}
		storagetest.Open(t, c)
	})
}

func TestOpenRefusesBadConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []storage.Config{
		{},
		{Driver: "oracle"},
		{Driver: storage.Postgres, DSN: "postgres://user:hunter2@host:port/db"},
	} {
		_, err := storage.Open(t.Context(), c)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("Open(%+v): %v", c, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(t.Context(), storage.Config{Driver: storage.SQLite, Path: file}); err == nil {
		t.Error("a file was opened as a folder")
	}
}

func TestFilesAreTheirOwnersOnly(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "folder with #, ? and %")
	db := storagetest.Open(t, storage.Config{Driver: storage.SQLite, Path: folder, AutoMigrate: true})
	kv, err := db.KV()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Exec(`CREATE TABLE t (x INTEGER)`); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"anyid.db", "anyid.db-wal", "anyid.db-shm", "kv.db", "kv.db-wal"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
		} else if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", name, mode)
		}
	}
}

func TestKVWaitsForNoDisk(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		db := storagetest.Open(t, c)
		kv, err := db.KV()
		if err != nil {
			t.Fatal(err)
		}
		query, want := `SHOW synchronous_commit`, "off"
		if c.Driver == storage.SQLite {
			query, want = `PRAGMA synchronous`, "1" // NORMAL
		}
		var got string
		if err := kv.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", query, got, err, want)
		}
		if again, err := db.KV(); again != kv || err != nil {
			t.Errorf("the second call opened another database, or failed: %v", err)
		}
	})
}

// touchAll calls a method of each kind and returns the errors by name.
func touchAll(ctx context.Context, db *storage.DB) map[string]error {
	_, byID := db.People().ByID(ctx, "someone")
	_, policy := db.LinkPolicies().LinkPolicy(ctx)
	_, _, sites := db.Sites().Sites(ctx)
	_, rotate := db.Grants().RotateFamily(ctx, "family", "old", "next", time.Now(), time.Now())
	return map[string]error{
		"ByID": byID, "LinkPolicy": policy, "Sites": sites, "RotateFamily": rotate,
		"PutSite":     db.Sites().PutSite(ctx, site.Site{ID: "qnet"}, time.Now(), audit.New(time.Now(), audit.SiteApplied, audit.System)),
		"AddKey":      db.Keys().AddKey(ctx, keys.Key{ID: "k", Algorithm: keys.ES256, Generation: 1}, time.Now(), audit.New(time.Now(), audit.KeyCreated, audit.System)),
		"RecordLogin": db.Grants().RecordLogin(ctx, login("somebody")),
		"Record":      db.Audit().Record(ctx, audit.New(time.Now(), audit.LoginConflict, audit.System)),
		"Ping":        db.Ping(ctx),
	}
}

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for name, err := range touchAll(t.Context(), db) {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := db.KV(); err == nil {
			t.Error("KV opened after Close")
		}
	})
}

func TestEndedContextIsUnavailable(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, err := range touchAll(ctx, db) {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestStoppedServerIsUnavailable(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	c := storage.Config{Driver: storage.Postgres, DSN: server.DSN("postgres"), AutoMigrate: true}
	db := storagetest.Open(t, c)
	for name, err := range touchAll(t.Context(), db) {
		if err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server.Stop()
	for range 2 { // over broken connections, then over none
		for name, err := range touchAll(t.Context(), db) {
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := storage.Open(t.Context(), c); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Open: %v", err)
	}
}

func TestCloseFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		db := storagetest.Open(t, c)
		var (
			wg    sync.WaitGroup
			known atomic.Int64
			l     = login(storagetest.Person(t, db.People()))
		)
		for range 32 {
			wg.Go(func() {
				for {
					mine := l
					mine.Event = audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
					if err := db.Grants().RecordLogin(t.Context(), mine); err != nil {
						if !fault.Is(err, fault.Unavailable) {
							t.Error(err)
						}
						return
					}
					known.Add(1)
				}
			})
		}
		for known.Load() < 100 {
			time.Sleep(time.Millisecond)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		got, err := storagetest.Open(t, c).Grants().Connection(t.Context(), l.Person, l.Site)
		if err != nil || got.Logins != known.Load() {
			t.Errorf("%d logins are stored (%v), %d callers were told so", got.Logins, err, known.Load())
		}
	})
}

func login(person string) grant.Login {
	l := grant.Login{Person: person, Site: "qnet", At: time.Now(), Event: audit.New(time.Now(), audit.SiteLogin, audit.Citizen)}
	l.Event.Person, l.Event.Site, l.Event.Attempt, l.Event.Address = l.Person, l.Site, secret.Hash(l.Person), "192.0.2.1"
	l.Event.Detail = map[string]string{"method": "simple", "provider": "kakao", "level": "2"}
	return l
}

// BenchmarkRecordLogin is the hot path with 64 callers on a server that waits for its disk.
func BenchmarkRecordLogin(b *testing.B) {
	server, err := testserver.StartPostgres("fsync=on", "full_page_writes=on")
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop()
	for _, c := range []storage.Config{
		{Driver: storage.SQLite, Path: b.TempDir(), AutoMigrate: true},
		{Driver: storage.Postgres, DSN: server.DSN("postgres"), AutoMigrate: true},
	} {
		db := storagetest.Open(b, c)
		people := make([]string, 1000)
		for i := range people {
			people[i] = storagetest.Person(b, db.People())
		}
		for _, callers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.Driver, callers), func(b *testing.B) {
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ReportAllocs()
				for range callers {
					wg.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							if err := db.Grants().RecordLogin(b.Context(), login(people[n%int64(len(people))])); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
			})
		}
	}
}

// BenchmarkOpen is a start on a database that is up to date.
func BenchmarkOpen(b *testing.B) {
	c := storage.Config{Driver: storage.SQLite, Path: b.TempDir(), AutoMigrate: true}
	storagetest.Open(b, c)
	for b.Loop() {
		db, err := storage.Open(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
