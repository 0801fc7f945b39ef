package outbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// folderOfChild is set in a process of TestKilled's, which runs a runner on the files there until it is killed.
const folderOfChild = "ANYID_OUTBOX_TEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(folderOfChild); folder != "" {
		child(folder)
	}
	os.Exit(m.Run())
}

// patience is for what takes moments on a machine that has time.
const patience = 2 * time.Minute

// handler is an outbox.Handler that is a function.
type handler func(ctx context.Context, i outbox.Item) error

func (h handler) Deliver(ctx context.Context, i outbox.Item) error { return h(ctx, i) }

// record counts what happens to each item.
type record struct {
	mu                        sync.Mutex
	tries, delivered, givenUp map[string]int
	busy, most                map[string]int // tries at once, by target
}

func newRecord() *record {
	return &record{tries: map[string]int{}, delivered: map[string]int{}, givenUp: map[string]int{}, busy: map[string]int{}, most: map[string]int{}}
}

func (r *record) begin(i outbox.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries[i.ID]++
	r.busy[i.Target]++
	r.most[i.Target] = max(r.most[i.Target], r.busy[i.Target])
}

func (r *record) end(i outbox.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy[i.Target]--
}

func (r *record) settled(in map[string]int) func(context.Context, outbox.Item) {
	return func(_ context.Context, i outbox.Item) {
		r.mu.Lock()
		defer r.mu.Unlock()
		in[i.ID]++
	}
}

func (r *record) count(in map[string]int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(in)
}

// run runs a runner until the test ends or stop is called.
func run(t *testing.T, store outbox.Store, r *record, now func() time.Time, deliver handler) (runner *outbox.Runner, stop func()) {
	t.Helper()
	runner = &outbox.Runner{
		Store: store, Now: now, Log: slog.New(slog.DiscardHandler),
		Handlers: map[outbox.Kind]outbox.Handler{outbox.Logout: handler(func(ctx context.Context, i outbox.Item) error {
			r.begin(i)
			defer r.end(i)
			return deliver(ctx, i)
		})},
		Delivered: r.settled(r.delivered), GivenUp: r.settled(r.givenUp),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); runner.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return runner, stop
}

func add(t *testing.T, store outbox.Store, target, batch string, n int) (items []outbox.Item) {
	t.Helper()
	for range n {
		i := outbox.New(outbox.Logout, target, batch, time.Now(), time.Hour)
		i.Payload = "sealed"
		items = append(items, i)
	}
	if err := store.Add(t.Context(), items...); err != nil {
		t.Fatal(err)
	}
	return items
}

// eventually waits until it is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// TestTwoRunners: two instances share the work; everything is delivered, and settled once.
func TestTwoRunners(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		first, second := storagetest.Open(t, c).Outbox(), storagetest.Open(t, c).Outbox()
		var items []outbox.Item
		for n := range 8 {
			items = append(items, add(t, first, fmt.Sprintf("site-%d", n), "batch", 8)...)
		}
		dead := add(t, first, "dead", "dead", 8)
		r := newRecord()
		deliver := func(ctx context.Context, i outbox.Item) error {
			switch {
			case i.Target == "dead":
				<-ctx.Done()
				return ctx.Err()
			case i.Target == "site-0" && i.Error == "":
				return outbox.Temporary("status_503", errors.New("busy"))
			case i.Target == "site-1":
				return outbox.Permanent("status_404", errors.New("gone"))
			}
			return nil
		}
		here, _ := run(t, first, r, time.Now, deliver)
		run(t, second, r, time.Now, deliver)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		tried, err := here.Await(ctx, "batch")
		if err != nil || len(tried) != len(items) {
			t.Fatalf("%d items, %v", len(tried), err)
		}
		for _, i := range tried {
			if i.State == outbox.Waiting && (i.Target != "site-0" || i.Error != "status_503") {
				t.Errorf("%s waits after %d tries: %s", i.Target, i.Attempts, i.Error)
			}
		}
		eventually(t, "all settled", func() bool { return r.count(r.delivered) == 56 && r.count(r.givenUp) == 8 })
		settled, err := first.Batch(t.Context(), "batch")
		if err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, i := range settled {
			want := outbox.Delivered
			if i.Target == "site-1" {
				want = outbox.GivenUp
			}
			if i.State != want || i.Payload != "" || r.tries[i.ID] < 1 || r.delivered[i.ID]+r.givenUp[i.ID] != 1 {
				t.Errorf("%s: %s after %d tries, settled %d and %d times", i.Target, i.State, r.tries[i.ID], r.delivered[i.ID], r.givenUp[i.ID])
			}
		}
		for _, i := range dead {
			if r.delivered[i.ID]+r.givenUp[i.ID] != 0 {
				t.Error("a dead target's item is settled")
			}
		}
	})
}

// TestDeadBesideLive: 64 items of a target that hangs, and then one of another.
func TestDeadBesideLive(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		store := db.Outbox()
		add(t, store, "dead", "", 64)
		r := newRecord()
		here, stop := run(t, store, r, time.Now, func(ctx context.Context, i outbox.Item) error {
			if i.Target == "dead" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		eventually(t, "the dead one is tried", func() bool { return r.count(r.tries) > 0 })
		add(t, store, "live", "live", 1)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		items, err := here.Await(ctx, "live")
		if err != nil || len(items) != 1 || items[0].State != outbox.Delivered || items[0].Attempts != 1 {
			t.Errorf("%+v, %v", items, err)
		}
		stop()
		if r.most["dead"] > 2 || r.count(r.delivered) != 1 {
			t.Errorf("%d workers at the dead target at once; %d delivered", r.most["dead"], r.count(r.delivered))
		}
	})
}

// TestKilled: a process is killed while it delivers. What it had settled is not delivered again, and what it held is.
func TestKilled(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := storagetest.Open(t, storage.Config{Driver: storage.SQLite, Path: folder, AutoMigrate: true}).Outbox()
	done, held := add(t, store, "good", "b", 1)[0], add(t, store, "hangs", "b", 1)[0]

	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), folderOfChild+"="+folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	seen := ""
	for !strings.Contains(seen, "delivered good") || !strings.Contains(seen, "trying hangs") {
		if !lines.Scan() {
			t.Fatalf("the process ended by itself after %q", seen)
		}
		seen += lines.Text() + "\n"
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	r := newRecord()
	later := func() time.Time { return time.Now().Add(time.Minute) } // when the lease is over
	here, _ := run(t, store, r, later, func(context.Context, outbox.Item) error { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	items, err := here.Await(ctx, "b")
	if err != nil || len(items) != 2 || items[0].State != outbox.Delivered || items[1].State != outbox.Delivered || items[1].Attempts != 2 {
		t.Errorf("%+v, %v", items, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tries[done.ID] != 0 || r.tries[held.ID] != 1 {
		t.Errorf("tried again: %d and %d times", r.tries[done.ID], r.tries[held.ID])
	}
}

// child delivers to all but one target, and says what it does.
func child(folder string) {
	db, err := storage.Open(context.Background(), storage.Config{Driver: storage.SQLite, Path: folder})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	runner := &outbox.Runner{
		Store: db.Outbox(), Now: time.Now, Log: slog.New(slog.DiscardHandler), Policy: outbox.Policy{Try: 30 * time.Second},
		Handlers: map[outbox.Kind]outbox.Handler{outbox.Logout: handler(func(ctx context.Context, i outbox.Item) error {
			fmt.Println("trying " + i.Target)
			if i.Target == "hangs" {
				<-ctx.Done()
			}
			return nil
		})},
		Delivered: func(_ context.Context, i outbox.Item) { fmt.Println("delivered " + i.Target) },
	}
	runner.Run(context.Background())
}
