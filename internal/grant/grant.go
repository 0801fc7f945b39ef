// Package grant is what a relying site is granted: the authorization request, the code that answers it,
// the tokens that come from the code, and the connection between person and site. It stands between the
// OIDC endpoints and the stores; single use, replay and revocation are decided here.
package grant

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/session"
)

// Request is a validated authorization request (OIDC Core §3.1.2.1).
type Request struct {
	Site          string   `json:"site"` // client id
	RedirectURI   string   `json:"redirect_uri"`
	ResponseMode  string   `json:"response_mode"` // "query" or "form_post"
	State         string   `json:"state,omitempty"`
	Nonce         string   `json:"nonce,omitempty"`
	Scopes        []string `json:"scopes"`                   // those that the site may have; openid among them
	CodeChallenge string   `json:"code_challenge,omitempty"` // S256 (RFC 7636)
	Prompts       []string `json:"prompts,omitempty"`
	MaxAge        *int64   `json:"max_age,omitempty"` // seconds
	ACRValues     []string `json:"acr_values,omitempty"`
	Claims        Claims   `json:"claims,omitzero"`
	Subject       string   `json:"subject,omitempty"` // the sub that id_token_hint or claims ask for
	UILocales     []string `json:"ui_locales,omitempty"`
}

// Claims is the claims request parameter (OIDC Core §5.5).
type Claims struct {
	UserInfo map[string]*Claim `json:"userinfo,omitempty"`
	IDToken  map[string]*Claim `json:"id_token,omitempty"`
}

// Claim is how one claim is asked for; nil asks for it as a voluntary claim.
type Claim struct {
	Essential bool  `json:"essential,omitempty"`
	Value     any   `json:"value,omitempty"`
	Values    []any `json:"values,omitempty"`
}

// Code is an authorization code's content.
type Code struct {
	Grant          string                 `json:"grant"` // id of all that comes from this code
	Request        Request                `json:"request"`
	Authentication session.Authentication `json:"authentication"`
	Session        string                 `json:"session"`    // session.Session.ID; also without SSO, then it ends with the code
	Items          []string               `json:"items"`      // claims that the person agreed to hand over
	GrantedAt      time.Time              `json:"granted_at"` // when the session was known to live
	ExpiresAt      time.Time              `json:"expires_at"`
}

// Access is an access token's content.
type Access struct {
	Grant          string                 `json:"grant"`
	Site           string                 `json:"site"`
	Scopes         []string               `json:"scopes"`
	Claims         Claims                 `json:"claims,omitzero"`
	Authentication session.Authentication `json:"authentication"`
	Session        string                 `json:"session"`
	Items          []string               `json:"items"`
	ACR            string                 `json:"acr"`                 // as the site was told at the login
	GrantedAt      time.Time              `json:"granted_at"`          // Code.GrantedAt
	RenewedAt      time.Time              `json:"renewed_at,omitzero"` // when a refresh token brought it; zero: a code did
	EndsAt         time.Time              `json:"ends_at,omitzero"`    // when the site's own session is over; zero: never
	IssuedAt       time.Time              `json:"issued_at"`
	ExpiresAt      time.Time              `json:"expires_at"`
}

// Family is the line of refresh tokens that come from one code; one of them is current. It survives
// restarts, so it is kept in SQL.
type Family struct {
	ID        string // stands in every token of the family
	Current   string // secret.Hash of the current token
	Rotations int
	Grant     string
	Site      string
	Person    string
	Access    Access // what an access token of this family says, without the times of a token
	CreatedAt time.Time
	UsedAt    time.Time
	ExpiresAt time.Time // the earliest of the idle and the absolute end and Access.EndsAt
	RevokedAt time.Time // zero while it lives
}

// Connection is a person's use of a site.
type Connection struct {
	Person  string
	Site    string
	FirstAt time.Time
	LastAt  time.Time
	Logins  int64
}

// Login is what a login leaves behind for good: the connection moves on and the event is written. It
// is durable when RecordLogin returns.
type Login struct {
	Person  string
	Site    string
	At      time.Time
	Event   audit.Event
	Session *session.Entry // the session that the login makes, or goes on with under a new handle; nil: none
	Joins   string         // id of a session that is used at the site for the first time; empty: none
	Alerts  []notice.Alert
	Items   []outbox.Item
	Browser string // keyed hash of a browser that is new to the person (person.Person.Browsers); empty: none
}

// Disconnection is the end of a person's use of a site.
type Disconnection struct {
	Person string
	Site   string
	At     time.Time
	Items  []outbox.Item // who is told
	Event  audit.Event
}

// Store keeps what a grant leaves in SQL.
type Store interface {
	// RecordLogin creates or moves the connection and writes what goes with it. Concurrent calls share one
	// transaction, so that a login costs a fraction of a commit. When the session that Joins names has
	// ended, or the person has withdrawn, nothing is changed and fault.NotFound returned.
	RecordLogin(ctx context.Context, l Login) error
	// Connection returns the connection, or fault.NotFound.
	Connection(ctx context.Context, person, site string) (Connection, error)
	// Connections lists a person's connections, the last used first.
	Connections(ctx context.Context, person string) ([]Connection, error)
	// Disconnect deletes the connection, withdraws the person's consents to the site, ends their refresh
	// families there and takes the site out of their sessions, in one transaction; fault.NotFound when there
	// is no connection.
	Disconnect(ctx context.Context, d Disconnection) error

	// HandOvers lists the hand-over consents of the person to the site that hold, the newest first.
	HandOvers(ctx context.Context, person, site string) ([]consent.Record, error)
	// AddConsent stores a consent with its event; those with the ids that it replaces hold no longer from then on. A
	// second record of the same attempt, recipient and kind changes nothing.
	AddConsent(ctx context.Context, c consent.Record, replaced []string, event audit.Event) error

	// AddFamily stores a new family.
	AddFamily(ctx context.Context, f Family) error
	// Family returns the family, or fault.NotFound.
	Family(ctx context.Context, id string) (Family, error)
	// RotateFamily replaces the current token old by next and moves UsedAt and ExpiresAt, if old is
	// current and the family lives at that time, and reports whether it did.
	RotateFamily(ctx context.Context, id, old, next string, at, expires time.Time) (bool, error)
	// RevokeFamily ends the family with its event, and reports whether it was alive.
	RevokeFamily(ctx context.Context, id string, at time.Time, event audit.Event) (bool, error)
	// RevokeGrant ends every family of the grant with the event, which is written in any case.
	RevokeGrant(ctx context.Context, grant string, at time.Time, event audit.Event) error
	// RevokeFamilies ends all of a person's families, at all sites or, where site is not empty, at one.
	RevokeFamilies(ctx context.Context, person, site string, at time.Time) error
	// SweepFamilies deletes up to limit families that expired before the time, and returns how many.
	SweepFamilies(ctx context.Context, before time.Time, limit int) (int, error)
}
