// Package audit is the record of who did what: events, the hash chain that orders them, and its
// verifier. It is a leaf, so that every store can write a change and its event in one transaction: no
// event, no change.
//
// An event is written unchained by the transaction that it belongs to. A Sealer follows right behind,
// gives events their positions and chains them in batches, each closed by a signed checkpoint. No login
// waits for the chain, and no two instances fight over its head.
package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Action names what happened, as subject.verb.
type Action string

// The actions.
const (
	LoginFailed      Action = "login.failed"      // a proof failed; Detail has the neutral code
	LoginConflict    Action = "login.conflict"    // two methods claimed different people
	IdentityVerified Action = "identity.verified" // somebody proved who they are, to manage their registration
	SiteLogin        Action = "site.login"        // a site was told who came
	SiteDenied       Action = "site.denied"       // a site was told that the citizen declined
	PersonRegistered Action = "person.registered" // a person agreed to the terms
	MethodLinked     Action = "method.linked"     // a further method became a person's own
	ConsentGiven     Action = "consent.given"
	LoginRefused     Action = "login.refused"   // a proof was good, and was not let through; Detail has why
	MethodUnlinked   Action = "method.unlinked" // a method is a person's own no more
	MethodBlocked    Action = "method.blocked"  // a person wants no login by a method or provider
	MethodUnblocked  Action = "method.unblocked"
	SettingsChanged  Action = "settings.changed"
	DataExported     Action = "data.exported" // a person took their data with them
	ConsentWithdrawn Action = "consent.withdrawn"
	SiteRevoked      Action = "site.revoked"     // a person ended their use of a site
	PersonWithdrawn  Action = "person.withdrawn" // a person ended their registration: nothing of it is left
	AccessDenied     Action = "access.denied"    // somebody asked for what is not theirs
	SessionEnded     Action = "session.ended"    // Detail has the cause
	LogoutDelivered  Action = "logout.delivered" // a site confirmed that it knows of a session's end
	LogoutGivenUp    Action = "logout.given_up"  // a site could not be told in all the time
	DisputeOpened    Action = "dispute.opened"   // 내가 아님: a person says that it was not them
	DisputeClosed    Action = "dispute.closed"
	CodeReplayed     Action = "code.replayed"  // a code came twice: all that came from it is revoked
	RefreshReused    Action = "refresh.reused" // an old refresh token came: its family is revoked
	GrantRevoked     Action = "grant.revoked"
	CIDisclosed      Action = "ci.disclosed"  // a site was given the linking information
	OperatorRead     Action = "operator.read" // an operator looked at what is a person's; Detail has what
	SiteApplied      Action = "site.applied"
	SiteRemoved      Action = "site.removed"
	SiteSecret       Action = "site.secret"
	KeyCreated       Action = "key.created"
	PolicyChanged    Action = "policy.changed"
)

// Event is one thing that happened. What is personal in it is hidden before it is stored; see Veil.
type Event struct {
	ID      string            `json:"id"` // random; set by New
	At      time.Time         `json:"at"` // to the millisecond, UTC
	Action  Action            `json:"action"`
	Actor   string            `json:"actor"`             // "citizen", "site:<id>", "operator:<name>", "system"
	Person  string            `json:"-"`                 // person id; Subject stands for it in the store
	Subject string            `json:"subject,omitempty"` // the person, as the chain knows them
	Site    string            `json:"site,omitempty"`    // client id
	Attempt string            `json:"attempt,omitempty"` // hash of the login attempt's id
	Address string            `json:"address,omitempty"` // client address; of an event about a person it is hidden
	Browser string            `json:"-"`                 // such as "Chrome, Windows"; hidden
	Hidden  string            `json:"hidden,omitempty"`  // Address and Browser, sealed under the person's key
	Detail  map[string]string `json:"detail,omitempty"`  // codes and names of ours only
}

// Position is an event's place in the chain, from 1.
type Position = int64

// Link is an event in its place.
type Link struct {
	Position Position
	Event    Event
	Hash     string // Chain of the previous hash and the event
}

// Head is the last link of the chain. The zero Head is the empty chain.
type Head struct {
	Position Position
	Hash     string
}

// Checkpoint is a signed statement of a head: whoever kept one can tell whether the chain up to it
// was altered later, even by somebody who owns the database.
type Checkpoint struct {
	Head
	At  time.Time
	JWS string // compact JWS over {"position","hash","at"}
}

// Chain returns the hash of a link: SHA-256 over the previous hash, the position and the event's JSON,
// as 43 base64url characters. encoding/json writes struct fields in order and map keys sorted, so the
// JSON is canonical.
func Chain(previous string, position Position, e Event) (string, error) {
	e.At = e.At.UTC().Truncate(time.Millisecond)
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("audit: encode event %s: %w", e.ID, err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n", previous, position)
	h.Write(text)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}
