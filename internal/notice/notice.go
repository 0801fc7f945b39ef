// Package notice tells people of what is done in their name: a login from a browser that was not seen before, a
// further method, the end of their registration. Each alert carries a code by which its person can say that it was
// not them (내가 아님), which opens a case for the operators.
package notice

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/method"
)

// Kind is what an alert is about.
type Kind string

// The kinds.
const (
	NewBrowser Kind = "new_browser" // a login from a browser in which the person never logged in before
	NewMethod  Kind = "new_method"  // a further method is linked
	Withdrawn  Kind = "withdrawn"   // the registration has ended; nothing is left to dispute, so it has no code and no Alert
)

// Alert is one thing of which a person is told.
type Alert struct {
	ID       string // secret.Hash of the code that its person is told
	Person   string
	Kind     Kind
	Method   method.Method
	Provider string
	Site     string // client id; may be empty
	Session  string // session.Entry.ID; may be empty
	Origin   string // JSON of session.Origin, sealed, bound to the ID
	At       time.Time
	Case     string // of the dispute that answered it; empty: nobody disputed it
}

// CaseState is how far a case has come.
type CaseState string

// The states of a case.
const (
	Open   CaseState = "open"
	Closed CaseState = "closed"
)

// Case is a dispute: the person says that it was not them. Until it is closed the method is blocked.
type Case struct {
	ID       string
	Person   string
	State    CaseState
	Kind     Kind
	Method   method.Method
	Provider string
	Site     string
	OpenedAt time.Time
	ClosedAt time.Time
	ClosedBy string // an audit actor
	Note     string // the operator's; nothing personal
}

// Store keeps alerts and cases. An alert is added by the change that it tells of.
type Store interface {
	// Alert returns the alert with the id, or fault.NotFound.
	Alert(ctx context.Context, id string) (Alert, error)
	// Alerts lists a person's alerts, newest first.
	Alerts(ctx context.Context, person string) ([]Alert, error)
	// Dispute stores the case, and the alert's answer if alert is not empty, with the events. When the case is
	// stored, or the alert answered, already, it changes nothing and returns fault.Conflict.
	Dispute(ctx context.Context, c Case, alert string, events ...audit.Event) error
	// Case returns one, or fault.NotFound.
	Case(ctx context.Context, id string) (Case, error)
	// Cases lists cases in the state, all for the empty one, oldest first, at most limit.
	Cases(ctx context.Context, state CaseState, limit int) ([]Case, error)
	// CasesOf lists a person's cases, newest first.
	CasesOf(ctx context.Context, person string) ([]Case, error)
	// CloseCase closes an open case, and reports whether it was open.
	CloseCase(ctx context.Context, id, note string, at time.Time, event audit.Event) (bool, error)
	// SweepAlerts deletes up to limit alerts from before the time, and returns how many.
	SweepAlerts(ctx context.Context, before time.Time, limit int) (int, error)
}

// Message is a notice as it goes out, in the person's language. Address and text are personal: they are sealed
// until they are delivered, and never logged.
type Message struct {
	ID      string    `json:"id"` // the same at every try, so that a receiver can tell repeats
	Kind    Kind      `json:"kind"`
	Locale  string    `json:"locale"`
	To      string    `json:"to"` // e-mail address; may be empty where only a webhook is told
	Phone   string    `json:"phone,omitempty"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"` // plain text, with the link that disputes it
	Link    string    `json:"link,omitempty"`
	At      time.Time `json:"at"`
}

// Port hands messages to a channel: a mail server, or an institution's own messaging system.
type Port interface {
	// Send hands the message over. Its errors are of outbox.Permanent or outbox.Temporary where it can tell, and
	// say nothing about the person.
	Send(ctx context.Context, m Message) error
}
