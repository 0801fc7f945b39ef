// Package person is who someone is here: a random id, the verified attributes, and the methods linked
// to them with the proof of each link. The linking information CI is kept sealed, and found by a keyed
// hash; it is the only thing that joins two methods.
package person

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// Person is a registered citizen.
type Person struct {
	ID           string        // random (secret.NewID); the subject of audit events and the root of every sub
	First        method.Method // of the first registration: the row of the linking matrix
	CIIndex      string        // keyed hash of the CI, or empty
	SealedCI     string        // bound to the ID; empty without a CI
	Sealed       string        // JSON of authn.Attributes, bound to the ID
	Settings     string        // JSON of Settings, sealed, bound to the ID; empty: none
	Terms        string        // versions of the broker's texts that were agreed to (consent.Versions)
	Blocks       []Block       // oldest first
	Browsers     []string      // keyed hashes of the browsers in which they logged in, newest last; at most MaxBrowsers
	RegisteredAt time.Time
	UpdatedAt    time.Time
}

// MaxBrowsers bounds Person.Browsers: the one not seen for longest goes.
const MaxBrowsers = 20

// Settings are what people say about themselves; nobody has verified it.
type Settings struct {
	Email  string `json:"email,omitempty"`
	Locale string `json:"locale,omitempty"` // "ko" or "en"; empty: as the browser says
	// Quiet are the kinds of notices (notice.Kind) that they do not want. The end of a registration is always
	// told.
	Quiet []string `json:"quiet,omitempty"`
}

// OpenSettings opens the person's settings; the zero Settings if there are none.
func (p *Person) OpenSettings(box *secret.Box) (s Settings, err error) {
	if p.Settings == "" {
		return s, nil
	}
	text, err := box.Open(p.Settings, "settings:"+p.ID)
	if err != nil {
		return s, fmt.Errorf("person: settings: %w", err)
	}
	if json.Unmarshal(text, &s) != nil { // whose error could quote them
		return s, errors.New("person: settings do not decode")
	}
	return s, nil
}

// SealSettings seals the settings into the person.
func (p *Person) SealSettings(box *secret.Box, s Settings) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("person: encode settings: %w", err)
	}
	p.Settings = box.Seal(text, "settings:"+p.ID)
	return nil
}

// Block is a method, or one provider of it, by which a person wants nobody to log in as them, whether it is
// linked or not.
type Block struct {
	Method   method.Method `json:"method"`
	Provider string        `json:"provider,omitempty"` // empty: all of them
	Case     string        `json:"case,omitempty"`     // the dispute that set it; it is lifted with the case only
	At       time.Time     `json:"at"`
}

// Blocked reports whether the person wants no login by the method at the provider.
func (p *Person) Blocked(m method.Method, provider string) bool {
	return slices.ContainsFunc(p.Blocks, func(b Block) bool {
		return b.Method == m && (b.Provider == "" || b.Provider == provider)
	})
}

// MayLose reports whether the person, whose links are all given, can do without one of them: another is left, and
// one that is not blocked if this one is not.
func (p *Person) MayLose(links []Link, m method.Method, subject string) bool {
	var rest, open int
	var blocked bool
	for _, l := range links {
		switch at := p.Blocked(l.Method, l.Provider); {
		case l.Method == m && l.Subject == subject:
			blocked = at
		case at:
			rest++
		default:
			rest, open = rest+1, open+1
		}
	}
	return open > 0 || (blocked && rest > 0)
}

// Link is a method that is a person's own, and why.
type Link struct {
	Person   string
	Method   method.Method
	Subject  string // keyed hash of authn.Evidence.Subject; unique within Method
	Provider string // of the proof
	Rule     method.Rule
	Policy   int    // version of the linking matrix that allowed it
	Binding  string // authn.Binding of the proof
	Digest   string // SHA-256 of the signed evidence
	Attempt  string // hash of the login attempt that proved both ends
	LinkedAt time.Time
}

// Registration is everything that comes into being when a citizen registers: one transaction.
type Registration struct {
	Person   Person
	Link     Link
	Consents []consent.Record
}

// Along is what goes with a change of a person into its transaction.
type Along struct {
	Consents []consent.Record
	Alerts   []notice.Alert
	Items    []outbox.Item
	Events   []audit.Event
}

// Retained is what a law makes the broker keep after a withdrawal. It stands apart, and nothing in it or beside it
// says whose it is: it is found by the number of the receipt that the citizen was shown, and by nothing else.
type Retained struct {
	ID        string // hash of the receipt's number and the class
	Class     string // retention class, such as "consent"
	Basis     string // the law
	Content   string // JSON, sealed, bound to the ID
	KeptAt    time.Time
	DestroyAt time.Time
}

// Withdrawal is the end of a registration.
type Withdrawal struct {
	Person   string
	Retained []Retained
	Items    []outbox.Item // who is told besides the sites
	// Tell makes what the sites are told: those to which the person is connected, and those of their sessions, as
	// they are in the transaction, so that no site that joins at the last moment is forgotten. It may run again.
	Tell  func(sites []string, sessions []session.Entry) ([]outbox.Item, error)
	Event audit.Event
}

// Store keeps people. Every change comes with its audit events and commits with them.
type Store interface {
	// ByID returns the person, or fault.NotFound.
	ByID(ctx context.Context, id string) (Person, error)
	// ByCI returns the person with that CI index, or fault.NotFound.
	ByCI(ctx context.Context, index string) (Person, error)
	// ByLink returns the person to whom the method's subject is linked, or fault.NotFound.
	ByLink(ctx context.Context, m method.Method, subject string) (Person, error)
	// Links lists a person's links, oldest first.
	Links(ctx context.Context, id string) ([]Link, error)
	// Register stores a new person with the events. When the person's CI index or the link's subject is registered
	// already it changes nothing and returns fault.Conflict: the caller resolves again.
	Register(ctx context.Context, r Registration, events ...audit.Event) error
	// AddLink links a further method, with what goes with it. When the subject is linked already it
	// changes nothing and returns fault.Conflict.
	AddLink(ctx context.Context, l Link, with Along) error
	// RemoveLink takes a method's subject from the person: fault.NotFound when it is not theirs,
	// fault.Conflict when they cannot do without it (Person.MayLose).
	RemoveLink(ctx context.Context, id string, m method.Method, subject string, with Along) error
	// Update changes Settings, Terms, Blocks and Browsers of a person as change does, which may run again, and
	// stores what goes with it, in one transaction: of concurrent changes none is lost. An error of change
	// ends it; an unknown person is fault.NotFound.
	Update(ctx context.Context, id string, change func(*Person) error, with Along) error
	// Withdraw deletes everything of the person: registration, links, consents, connections, tokens, sessions,
	// alerts, cases, all in one transaction with what is retained and who is told. An unknown person is
	// fault.NotFound.
	Withdraw(ctx context.Context, w Withdrawal) error
	// Retained returns what is kept under the id, or fault.NotFound.
	Retained(ctx context.Context, id string) (Retained, error)
	// SweepRetained destroys up to limit records whose time has come, and returns how many.
	SweepRetained(ctx context.Context, now time.Time, limit int) (int, error)
	// Consents lists what the person agreed to, newest first; withdrawn consents too.
	Consents(ctx context.Context, id string) ([]consent.Record, error)
	// Refresh replaces the sealed attributes by those of a newer proof.
	Refresh(ctx context.Context, id, sealed string, at time.Time) error
}

// PolicyStore keeps the linking matrix in its versions.
type PolicyStore interface {
	// LinkPolicy returns the newest version.
	LinkPolicy(ctx context.Context) (method.LinkPolicy, error)
	// SetLinkPolicy stores the next version: p.Version is the current one plus one, or
	// fault.Conflict.
	SetLinkPolicy(ctx context.Context, p method.LinkPolicy, event audit.Event) error
}
