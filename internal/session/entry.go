package session

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
)

// Entry is what is durable of a session: it finds a person's sessions, from other browsers too, and outlives the
// session itself, so that its sites are told of an end that nobody brought about.
type Entry struct {
	ID       string // Session.ID
	Person   string
	Key      string // where the session lies in kv
	Method   method.Method
	Provider string
	Level    method.Level
	Origin   string   // JSON of Origin, sealed, bound to the ID
	Sites    []string // client ids, sorted: who is told of its end
	At       time.Time
	CheckAt  time.Time // when it is over, unless it was used since
}

// Origin is where a session was begun from.
type Origin struct {
	Address string `json:"address,omitempty"`
	Browser string `json:"browser,omitempty"` // such as "Chrome, Windows"
}

// Ending is what goes with the end of a session into its transaction.
type Ending struct {
	Items  []outbox.Item
	Events []audit.Event
}

// Store keeps entries. A login adds them, and the sites that join (grant.Login).
type Store interface {
	// Sessions lists a person's sessions, newest first.
	Sessions(ctx context.Context, person string) ([]Entry, error)
	// Session returns one, or fault.NotFound.
	Session(ctx context.Context, id string) (Entry, error)
	// Due returns up to limit sessions whose CheckAt has come, oldest first.
	Due(ctx context.Context, now time.Time, limit int) ([]Entry, error)
	// Move puts CheckAt off, from one time to another, and reports whether it stood there.
	Move(ctx context.Context, id string, from, to time.Time) (bool, error)
	// Leave takes a site out of a session, with what goes with it; false when it was not in it.
	Leave(ctx context.Context, id, site string, with Ending) (bool, error)
	// End deletes the session together with what tell makes of it, in one transaction, so that no site that
	// joins at the last moment is forgotten. Of any number of callers one ends it; the others get false.
	End(ctx context.Context, id string, tell func(Entry) (Ending, error)) (bool, error)
}
