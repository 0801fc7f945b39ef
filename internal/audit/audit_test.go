package audit_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// signer signs with HMAC; package keys signs with the broker's keys.
type signer struct{ key []byte }

var ours = signer{[]byte("0123456789abcdef0123456789abcdef")}

func (s signer) SignJWS(payload []byte) (string, error) {
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: s.key}, nil)
	if err != nil {
		return "", err
	}
	jws, err := made.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

func (s signer) OpenJWS(text string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return nil, err
	}
	return jws.Verify(s.key)
}

func sealer(store audit.Store) *audit.Sealer {
	return &audit.Sealer{Store: store, Signer: ours, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// full returns an event as it is stored, with every field of that set.
func full() audit.Event {
	return audit.Event{
		ID: "abcdefghijklmnopqrstuvwxyz", At: time.Date(2026, 11, 1, 18, 0, 0, 123456789, time.FixedZone("KST", 9*3600)), Action: audit.SiteLogin,
		Actor: audit.Citizen, Subject: "subject", Site: "site", Attempt: "attempt", Address: "192.0.2.1", Hidden: "1.hidden",
		Detail: map[string]string{"b": "2", "a": "한글 <\"1\">"},
	}
}

// TestChainVector: the hash of a link is fixed for ever, or no old chain verifies.
func TestChainVector(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		previous string
		position audit.Position
		event    audit.Event
		hash     string
	}{
		{"", 1, full(), "Hfm2nwqq92bOH0Y-xE6KXyWZl2tcpbcO1MggOZX0raM"},
		{"Hfm2nwqq92bOH0Y-xE6KXyWZl2tcpbcO1MggOZX0raM", 2, audit.Event{ID: "x", At: time.UnixMilli(0), Action: audit.KeyCreated, Actor: audit.System}, "AuZ1bKTZkWZIoCh09yclDlDrfblCxGe-y42psq5RrQE"},
	} {
		got, err := audit.Chain(row.previous, row.position, row.event)
		check(t, err)
		if got != row.hash {
			t.Errorf("the link at %d has hash %s, want %s", row.position, got, row.hash)
		}
	}
	// The time counts as it is stored: in UTC, to the millisecond.
	e := full()
	e.At = e.At.UTC().Truncate(time.Millisecond)
	if got, err := audit.Chain("", 1, e); err != nil || got != "Hfm2nwqq92bOH0Y-xE6KXyWZl2tcpbcO1MggOZX0raM" {
		t.Errorf("stored time: %s, %v", got, err)
	}
}

// TestChainCoversEverything: no part of a link can change without its hash, and nothing personal is part of it.
func TestChainCoversEverything(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	add := func(name, previous string, position audit.Position, change func(*audit.Event)) {
		e := full()
		change(&e)
		hash, err := audit.Chain(previous, position, e)
		check(t, err)
		if before, twice := seen[hash]; twice {
			t.Errorf("%s and %s have one hash", before, name)
		}
		seen[hash] = name
	}
	same := func(*audit.Event) {}
	add("as it is", "p", 1, same)
	add("previous", "q", 1, same)
	add("position", "p", 2, same)
	add("previous and position run together", "p\n1", 1, same)
	add("ID", "p", 1, func(e *audit.Event) { e.ID += "x" })
	add("At", "p", 1, func(e *audit.Event) { e.At = e.At.Add(time.Millisecond) })
	add("Action", "p", 1, func(e *audit.Event) { e.Action = audit.SiteDenied })
	add("Actor", "p", 1, func(e *audit.Event) { e.Actor = audit.System })
	add("Subject", "p", 1, func(e *audit.Event) { e.Subject = "" })
	add("Site", "p", 1, func(e *audit.Event) { e.Site += "x" })
	add("Subject and Site swapped", "p", 1, func(e *audit.Event) { e.Subject, e.Site = e.Site, e.Subject })
	add("Hidden", "p", 1, func(e *audit.Event) { e.Hidden += "x" })
	add("Hidden and Address swapped", "p", 1, func(e *audit.Event) { e.Hidden, e.Address = e.Address, e.Hidden })
	add("Attempt", "p", 1, func(e *audit.Event) { e.Attempt = "" })
	add("Address", "p", 1, func(e *audit.Event) { e.Address = "192.0.2.2" })
	add("Detail value", "p", 1, func(e *audit.Event) { e.Detail = map[string]string{"a": e.Detail["a"], "b": "3"} })
	add("Detail key", "p", 1, func(e *audit.Event) { e.Detail = map[string]string{"a": e.Detail["a"], "c": "2"} })
	add("no Detail", "p", 1, func(e *audit.Event) { e.Detail = nil })
	known := full()
	known.Person, known.Browser = "person", "Chrome, Windows"
	hash, err := audit.Chain("p", 1, known)
	check(t, err)
	if seen[hash] != "as it is" {
		t.Error("the chain has a person's id or browser in it")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 1, 18, 0, 0, 999_999_999, time.FixedZone("KST", 9*3600))
	a, b := audit.New(at, audit.SiteLogin, audit.Site("x")), audit.New(at, audit.SiteLogin, audit.Operator("y"))
	if a.ID == b.ID || len(a.ID) != 26 || a.Actor != "site:x" || b.Actor != "operator:y" || a.At.Format(time.RFC3339Nano) != "2026-11-01T09:00:00.999Z" {
		t.Errorf("events %+v, %+v", a, b)
	}
}

// raw opens the database behind the stores' back.
func raw(t *testing.T, c storage.Config) *sql.DB {
	t.Helper()
	driver, dsn := "pgx", c.DSN
	if c.Driver == storage.SQLite {
		driver, dsn = "sqlite", "file:"+filepath.Join(c.Path, "anyid.db")+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	return db
}

// record writes events and seals them in batches of the given sizes.
func record(t *testing.T, store audit.Store, batches ...int) {
	t.Helper()
	for _, n := range batches {
		for i := range n {
			e := audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
			e.Person, e.Site, e.Attempt, e.Address, e.Browser = "person", "site", "attempt", "192.0.2.1", "Chrome, Windows"
			e.Detail = map[string]string{"i": fmt.Sprint(i), "한": "글"}
			check(t, store.Record(t.Context(), e))
		}
		sealed, err := sealer(store).Seal(t.Context())
		check(t, err)
		if sealed != n {
			t.Fatalf("%d events sealed, want %d", sealed, n)
		}
	}
}

// TestTampering: whatever is changed in the stored chain, the verifier finds it.
func TestTampering(t *testing.T) {
	t.Parallel()
	forged, err := json.Marshal(map[string]any{"position": 8, "hash": "x", "at": 1})
	check(t, err)
	stolen, err := signer{[]byte("another key of thirty-two bytes.")}.SignJWS(forged)
	check(t, err)
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		store := storagetest.Open(t, c).Audit()
		_, err := sealer(store).Seal(t.Context()) // the linking matrix's own event, at 1
		check(t, err)
		record(t, store, 3, 5, 2)
		db := raw(t, c)
		report, err := audit.Verify(t.Context(), store, ours)
		check(t, err)
		last := report.Head.Position
		if report.Links != last || report.Checkpoints != 4 || last != 11 {
			t.Fatalf("report %+v", report)
		}
		type row struct {
			name      string
			statement string
			says      string
		}
		plant := func(at audit.Position) string {
			return fmt.Sprintf(`INSERT INTO audit_events (id, at, action, actor, subject, site, attempt, address, hidden, detail, position, hash)
				SELECT 'planted', at, action, actor, subject, site, attempt, address, hidden, detail, %d, hash FROM audit_events WHERE position = 5`, at)
		}
		rows := []row{
			{"event gone", "DELETE FROM audit_events WHERE position = 4", "position 4 is missing"},
			{"first event gone", "DELETE FROM audit_events WHERE position = 1", "position 1 is missing"},
			{"last event gone", fmt.Sprintf("DELETE FROM audit_events WHERE position = %d", last), "is missing"},
			{"event unsealed", "UPDATE audit_events SET position = NULL WHERE position = 5", "position 5 is missing"},
			{"event moved behind", fmt.Sprintf("UPDATE audit_events SET position = %d WHERE position = 5", last+1), "position 5 is missing"},
			{"event planted behind the end", plant(last + 1), fmt.Sprintf("an event stands at position %d, outside the chain", last+1)},
			{"event planted before the beginning", plant(-1), "an event stands at position -1, outside the chain"},
			{"link's hash", "UPDATE audit_events SET hash = 'x' WHERE position = 2", "at position 2 was altered"},
			{"head's hash", "UPDATE audit_head SET hash = 'x'", "another hash than its head says"},
			{"head moved back", "UPDATE audit_head SET position = 4, hash = (SELECT hash FROM audit_events WHERE position = 4)", "outside the chain"},
			{"head moved on", fmt.Sprintf("UPDATE audit_head SET position = %d", last+1), "is missing"},
			{"chain cut off", "UPDATE audit_head SET position = 0, hash = ''", "outside the chain"},
			{"checkpoint's hash", "UPDATE audit_checkpoints SET hash = 'x' WHERE position = 4", "checkpoint at position 4"},
			{"checkpoint's time", "UPDATE audit_checkpoints SET at = at + 1 WHERE position = 4", "checkpoint at position 4"},
			{"checkpoint moved", "UPDATE audit_checkpoints SET position = 5 WHERE position = 4", "checkpoint at position 5"},
			{"checkpoint's signature", "UPDATE audit_checkpoints SET jws = jws || 'x' WHERE position = 4", "checkpoint at position 4"},
			{"checkpoint of another", "UPDATE audit_checkpoints SET jws = (SELECT jws FROM audit_checkpoints WHERE position = 9) WHERE position = 4", "checkpoint at position 4"},
			{"checkpoint by another key", "UPDATE audit_checkpoints SET jws = '" + stolen + "' WHERE position = 9", "checkpoint at position 9"},
			{"last checkpoint gone", fmt.Sprintf("DELETE FROM audit_checkpoints WHERE position = %d", last), "no checkpoint signs its end"},
			{"all checkpoints gone", "DELETE FROM audit_checkpoints", "no checkpoint signs its end"},
			{"last checkpoint before the beginning", fmt.Sprintf("UPDATE audit_checkpoints SET position = -1 WHERE position = %d", last), "no checkpoint signs its end"},
			{"checkpoint behind the end", fmt.Sprintf("UPDATE audit_checkpoints SET position = %d WHERE position = %d", last+5, last), "outside the chain"},
		}
		for column, value := range map[string]string{
			"id": "'x'", "at": "at + 1", "action": "'site.denied'", "actor": "'system'", "subject": "'other'", "site": "'other'",
			"attempt": "''", "address": "'192.0.2.2'", "hidden": "(SELECT hidden FROM audit_events WHERE position = 7)", "detail": `'{"i":"7"}'`,
		} {
			rows = append(rows, row{"event's " + column, "UPDATE audit_events SET " + column + " = " + value + " WHERE position = 6", "at position 6 was altered"})
		}
		for _, row := range rows {
			undo := snapshot(t, db)
			_, err := db.ExecContext(t.Context(), row.statement)
			check(t, err)
			_, err = audit.Verify(t.Context(), store, ours)
			if !errors.Is(err, audit.ErrBroken) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: %v, want %q", row.name, err, row.says)
			}
			undo()
		}
		if _, err := audit.Verify(t.Context(), store, ours); err != nil {
			t.Errorf("put back: %v", err)
		}
		// Somebody who owns the database and rewrites the whole chain lacks the key.
		if _, err := audit.Verify(t.Context(), store, signer{[]byte("another key of thirty-two bytes.")}); !errors.Is(err, audit.ErrBroken) {
			t.Errorf("signed by another: %v", err)
		}
	})
}

// snapshot copies the audit tables and returns what puts them back.
func snapshot(t *testing.T, db *sql.DB) (undo func()) {
	t.Helper()
	tables := []string{"audit_events", "audit_head", "audit_checkpoints"}
	for _, table := range tables {
		_, err := db.ExecContext(t.Context(), "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
		check(t, err)
	}
	return func() {
		t.Helper()
		for _, table := range tables {
			for _, statement := range []string{"DELETE FROM " + table, "INSERT INTO " + table + " SELECT * FROM kept_" + table, "DROP TABLE kept_" + table} {
				_, err := db.ExecContext(t.Context(), statement)
				check(t, err)
			}
		}
	}
}

// TestSealersTogether: several sealers on several instances seal what comes in meanwhile. The chain has no gap,
// every event has one place, and it verifies.
func TestSealersTogether(t *testing.T) {
	t.Parallel()
	storagetest.EachConfig(t, func(t *testing.T, c storage.Config) {
		stores := []audit.Store{storagetest.Open(t, c).Audit(), storagetest.Open(t, c).Audit()}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var sealing, writing sync.WaitGroup
		for i := range 6 {
			sealing.Go(func() { sealer(stores[i%2]).Run(ctx, time.Millisecond) })
		}
		const writers, each = 8, 40
		ids := make(chan string, writers*each)
		for i := range writers {
			writing.Go(func() {
				for range each {
					e := audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
					if err := stores[i%2].Record(t.Context(), e); err != nil {
						t.Error(err)
					}
					ids <- e.ID
				}
			})
		}
		done := make(chan struct{})
		go func() { writing.Wait(); close(ids); close(done) }()
		for running := true; running; { // the chain holds at every moment
			select {
			case <-done:
				running = false
			default:
			}
			_, err := audit.Verify(t.Context(), stores[0], ours)
			check(t, err)
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			n, err := stores[0].Backlog(t.Context())
			check(t, err)
			if n == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d events wait", n)
			}
		}
		stop()
		sealing.Wait()
		report, err := audit.Verify(t.Context(), stores[1], ours)
		check(t, err)
		place := make(map[string]audit.Position)
		for after := audit.Position(0); ; {
			links, err := stores[0].Links(t.Context(), after, 100)
			check(t, err)
			if len(links) == 0 {
				break
			}
			for _, l := range links {
				if l.Position != after+1 || place[l.Event.ID] != 0 {
					t.Errorf("event %s stands at %d and at %d", l.Event.ID, place[l.Event.ID], l.Position)
				}
				after = l.Position
				place[l.Event.ID] = l.Position
			}
		}
		for id := range ids {
			if place[id] == 0 {
				t.Errorf("event %s has no place", id)
			}
		}
		if int64(len(place)) != report.Links || report.Backlog != 0 {
			t.Errorf("%d places, report %+v", len(place), report)
		}
	})
}

// TestVerifyEmpty: an empty chain holds; so does a backlog.
func TestVerifyEmpty(t *testing.T) {
	t.Parallel()
	store := storagetest.Embedded(t, t.TempDir(), time.Now).DB.Audit()
	backlog, err := store.Backlog(t.Context())
	check(t, err)
	check(t, store.Record(t.Context(), audit.New(time.Now(), audit.SiteLogin, audit.Citizen)))
	report, err := audit.Verify(t.Context(), store, ours)
	check(t, err)
	if report != (audit.Report{Backlog: backlog + 1}) {
		t.Errorf("report %+v", report)
	}
}

// TestManyCheckpoints: the verifier reads links and checkpoints in batches.
func TestManyCheckpoints(t *testing.T) {
	t.Parallel()
	c := storage.Config{Driver: storage.SQLite, Path: t.TempDir(), AutoMigrate: true}
	store := storagetest.Open(t, c).Audit()
	events, err := store.Unsealed(t.Context(), 1)
	check(t, err)
	const many = 2100
	for range many - len(events) {
		events = append(events, audit.New(time.Now(), audit.SiteLogin, audit.Citizen))
	}
	check(t, store.Record(t.Context(), events[1:]...))
	tx, err := raw(t, c).BeginTx(t.Context(), nil)
	check(t, err)
	var head audit.Head
	for _, e := range events { // each its own batch, as a slow day would leave them
		head.Hash, err = audit.Chain(head.Hash, head.Position+1, e)
		check(t, err)
		head.Position++
		jws, err := ours.SignJWS(fmt.Appendf(nil, `{"position":%d,"hash":%q,"at":1}`, head.Position, head.Hash))
		check(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE audit_events SET position = $1, hash = $2 WHERE at = $3 AND id = $4 AND position IS NULL",
			head.Position, head.Hash, e.At.UnixMilli(), e.ID)
		check(t, err)
		_, err = tx.ExecContext(t.Context(), "INSERT INTO audit_checkpoints (position, hash, at, jws) VALUES ($1, $2, 1, $3)", head.Position, head.Hash, jws)
		check(t, err)
	}
	_, err = tx.ExecContext(t.Context(), "UPDATE audit_head SET position = $1, hash = $2", head.Position, head.Hash)
	check(t, err)
	check(t, tx.Commit())
	report, err := audit.Verify(t.Context(), store, ours)
	check(t, err)
	if report != (audit.Report{Links: many, Checkpoints: many, Head: head}) {
		t.Errorf("report %+v", report)
	}
}

// TestSignerFails: nothing is sealed without a signature.
func TestSignerFails(t *testing.T) {
	t.Parallel()
	store := storagetest.Embedded(t, t.TempDir(), time.Now).DB.Audit()
	check(t, store.Record(t.Context(), audit.New(time.Now(), audit.SiteLogin, audit.Citizen)))
	s := sealer(store)
	s.Signer = signer{nil}
	if n, err := s.Seal(t.Context()); n != 0 || err == nil {
		t.Errorf("sealed %d, %v", n, err)
	}
	head, err := store.Head(t.Context())
	if err != nil || head != (audit.Head{}) {
		t.Errorf("head %+v, %v", head, err)
	}
}
