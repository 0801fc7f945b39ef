// Package person is who someone is here: a random id, the verified attributes, and the methods linked
// to them with the proof of each link. The linking information CI is kept sealed, and found by a keyed
// hash; it is the only thing that joins two methods.
package person

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/method"
)

// Person is a registered citizen.
type Person struct {
	ID           string        // random (secret.NewID); the subject of audit events and the root of every sub
	First        method.Method // of the first registration: the row of the linking matrix
	CIIndex      string        // keyed hash of the CI, or empty
	SealedCI     string        // bound to the ID; empty without a CI
	Sealed       string        // JSON of authn.Attributes, bound to the ID
	RegisteredAt time.Time
	UpdatedAt    time.Time
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
	// Register stores a new person. When the person's CI index or the link's subject is registered
	// already it changes nothing and returns fault.Conflict: the caller resolves again.
	Register(ctx context.Context, r Registration, events ...audit.Event) error
	// AddLink links a further method, with the consents that the citizen gave to it. When the subject
	// is linked already it changes nothing and returns fault.Conflict.
	AddLink(ctx context.Context, l Link, consents []consent.Record, events ...audit.Event) error
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
