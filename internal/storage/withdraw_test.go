package storage

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

func testVeil(t *testing.T) *audit.Veil {
	t.Helper()
	index, err := secret.NewIndex(bytes.Repeat([]byte{7}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return audit.NewVeil(index)
}

// references lists the tables that reference persons by their column person, with what happens to their rows when the
// person's goes.
func references(t *testing.T, db *DB) map[string]string {
	t.Helper()
	query := `
		SELECT c.conrelid::regclass::text, CASE c.confdeltype WHEN 'c' THEN 'CASCADE' ELSE c.confdeltype::text END
		FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
		WHERE c.contype = 'f' AND c.confrelid = 'persons'::regclass AND a.attname = 'person'`
	if _, lite := db.engine.(*sqliteEngine); lite {
		query = `
			SELECT t.name, f.on_delete FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
			WHERE t.type = 'table' AND f."table" = 'persons' AND f."from" = 'person'`
	}
	found := make(map[string]string)
	if err := db.engine.reader().rows(t.Context(), func(r row) error {
		var table, then string
		err := r.Scan(&table, &then)
		found[table] = then
		return err
	}, query); err != nil {
		t.Fatal(err)
	}
	return found
}

// mentions lists the columns in which the text stands.
func mentions(t *testing.T, db *DB, list []column, what string) (found []string) {
	t.Helper()
	for _, c := range list {
		if !strings.HasPrefix(c.kind, "text") {
			continue
		}
		n, err := one(t.Context(), db.engine.reader(), number, fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s LIKE $1`, c.table, c.name), "%"+what+"%")
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			found = append(found, c.table+"."+c.name)
		}
	}
	return found
}

// TestWithdrawalReachesEveryTable: what says whose a row is references the person and goes with them; and when every
// such table has a row of a person, no table mentions them after they withdrew.
func TestWithdrawalReachesEveryTable(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		c.Veil = testVeil(t)
		db := open(t, c)
		schema, reference := columns(t, db), references(t, db)
		id := register(t, db)
		var persons []string
		for _, c := range schema {
			if c.name == "person" {
				persons = append(persons, c.table+".person")
				if reference[c.table] != "CASCADE" {
					t.Errorf("table %s has a column person that does not go with the person (%q)", c.table, reference[c.table])
				}
			}
		}

		now := time.Now()
		event := func(action audit.Action) audit.Event {
			e := audit.New(now, action, audit.Citizen)
			e.Person, e.Address, e.Browser = id, "192.0.2.1", "Chrome, Windows"
			return e
		}
		alert := notice.Alert{ID: "alert", Person: id, Kind: notice.NewBrowser, Method: method.Simple, At: now}
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		check(db.People().AddLink(t.Context(), person.Link{Person: id, Method: method.MobileID, Subject: "other"}, person.Along{
			Consents: []consent.Record{{ID: "consent", Person: id, Recipient: "qnet", Kind: consent.HandOver, Attempt: "attempt", At: now}},
			Events:   []audit.Event{event(audit.MethodLinked)},
		}))
		check(db.Grants().RecordLogin(t.Context(), grant.Login{
			Person: id, Site: "qnet", At: now, Event: event(audit.SiteLogin), Alerts: []notice.Alert{alert}, Browser: "browser",
			Session: &session.Entry{ID: "session", Person: id, Sites: []string{"qnet"}, At: now, CheckAt: now},
		}))
		check(db.Grants().AddFamily(t.Context(), grant.Family{ID: "family", Person: id, Site: "qnet", ExpiresAt: now,
			Access: grant.Access{Authentication: session.Authentication{Person: id}}}))
		check(db.Notices().Dispute(t.Context(), notice.Case{ID: "case", Person: id, State: notice.Open, OpenedAt: now}, alert.ID, event(audit.DisputeOpened)))
		before := mentions(t, db, schema, id)
		for _, table := range persons {
			if !strings.Contains(strings.Join(before, " "), table) {
				t.Errorf("this test writes nothing of the person into %s", table)
			}
		}

		check(db.People().Withdraw(t.Context(), person.Withdrawal{
			Person: id, Event: event(audit.PersonWithdrawn),
			Items:    []outbox.Item{outbox.New(outbox.Notice, "mail", "", now, time.Hour)},
			Retained: []person.Retained{{ID: "kept", Class: "consent", KeptAt: now, DestroyAt: now.Add(time.Hour)}},
		}))
		for _, what := range []string{id, "192.0.2.1", "Chrome"} {
			if after := mentions(t, db, schema, what); len(after) > 0 {
				t.Errorf("after the withdrawal %q stands in %v; before, the person in %v", what, after, before)
			}
		}
		if c.Driver == SQLite { // nor do free pages and the log of changes keep it
			for _, name := range []string{"anyid.db", "anyid.db-wal"} {
				content, err := os.ReadFile(filepath.Join(c.Path, name))
				check(err)
				if n := bytes.Count(content, []byte(id)); n > 0 {
					t.Errorf("%s still holds the person's id %d times", name, n)
				}
			}
		}
		subject := c.Veil.Subject(id)
		if kept := mentions(t, db, schema, subject); len(kept) != 1 || kept[0] != "audit_events.subject" {
			t.Errorf("the subject stands in %v", kept)
		}
	})
}

// TestEventOfAPersonNeedsAVeil: without one a database opens, and takes events about nobody only.
func TestEventOfAPersonNeedsAVeil(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		db := open(t, c)
		e := audit.New(time.Now(), audit.LoginFailed, audit.Citizen)
		if err := db.Audit().Record(t.Context(), e); err != nil {
			t.Error(err)
		}
		id := register(t, db)
		e.ID, e.Person = "of a person", id
		for name, err := range map[string]error{
			"Record":      db.Audit().Record(t.Context(), e),
			"RecordLogin": db.Grants().RecordLogin(t.Context(), grant.Login{Person: id, Site: "qnet", At: e.At, Event: e}),
			"Withdraw":    db.People().Withdraw(t.Context(), person.Withdrawal{Person: id, Event: e}),
		} {
			if err == nil || !strings.Contains(err.Error(), "veil") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := db.People().ByID(t.Context(), id); err != nil {
			t.Errorf("the person has gone without an event: %v", err)
		}
		if _, err := db.Grants().Connection(t.Context(), id, "qnet"); err == nil {
			t.Error("the login was recorded without its event")
		}
	})
}
