package storage

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/session"
)

// counting counts statements.
type counting struct {
	tx
	statements int
}

func (c *counting) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.statements++
	return c.tx.ExecContext(ctx, query, args...)
}

func (c *counting) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	c.statements++
	return c.tx.QueryContext(ctx, query, args...)
}

// TestLoginCost: a silent login is one upsert and one event, and shares its transaction; only what reads
// before it writes takes one alone.
func TestLoginCost(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		c.Veil = testVeil(t)
		db := open(t, c)
		id := register(t, db)
		entry := session.Entry{ID: "session", Person: id, At: time.Now(), CheckAt: time.Now()}
		for _, row := range []struct {
			name       string
			fill       func(*grant.Login)
			statements int
			alone      bool
		}{
			{"silent", func(*grant.Login) {}, 2, false},
			{"with a session", func(l *grant.Login) { l.Session = &entry }, 3, false},
			{"that joins", func(l *grant.Login) { l.Joins = "session" }, 4, true},
			{"that joins again", func(l *grant.Login) { l.Joins = "session" }, 3, true},
			{"in a new browser", func(l *grant.Login) { l.Browser = "browser" }, 3, false},
			{"with an alert", func(l *grant.Login) { l.Alerts = []notice.Alert{{ID: "alert", Person: id}} }, 3, false},
			{"with a message", func(l *grant.Login) { l.Items = []outbox.Item{{ID: "item"}} }, 3, false},
		} {
			l := grant.Login{Person: id, Site: "qnet", At: time.Now(), Event: audit.New(time.Now(), audit.SiteLogin, audit.Citizen)}
			l.Event.Person = id
			row.fill(&l)
			hidden, err := db.hide(l.Event)
			if err != nil {
				t.Fatal(err)
			}
			r := record{login: &l, events: hidden}
			if r.alone() != row.alone {
				t.Errorf("a login %s takes a transaction alone: %t", row.name, r.alone())
			}
			var statements int
			if err := db.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
				counted := &counting{tx: tx}
				err := r.write(ctx, counted)
				statements = counted.statements
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if statements != row.statements {
				t.Errorf("a login %s takes %d statements, want %d", row.name, statements, row.statements)
			}
		}
	})
}
