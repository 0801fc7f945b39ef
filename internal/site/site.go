// Package site is the relying sites (이용기관의 이용사이트) and what each may do: addresses, keys,
// methods, attributes, assurance. A site is an OIDC client with what a government site adds. Field names
// in documents are those of RFC 7591 where it has one.
package site

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
)

// Site is one relying site.
type Site struct {
	ID          string      `json:"client_id" yaml:"client_id"`     // 1 to 64 of a-z A-Z 0-9 . _ -
	Name        string      `json:"client_name" yaml:"client_name"` // Korean, as the citizen knows it
	NameEnglish string      `json:"client_name#en,omitempty" yaml:"client_name#en,omitempty"`
	Institution Institution `json:"institution" yaml:"institution"` // who runs it

	RedirectURIs           []string `json:"redirect_uris" yaml:"redirect_uris"` // compared byte by byte
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty" yaml:"post_logout_redirect_uris,omitempty"`
	LoginURL               string   `json:"login_url,omitempty" yaml:"login_url,omitempty"` // its own login page (아이디 로그인)
	HomeURL                string   `json:"client_uri,omitempty" yaml:"client_uri,omitempty"`

	// How it hears that a session has ended: by a call (OIDC Back-Channel Logout §2.2), by a frame in the citizen's
	// browser (Front-Channel Logout §2), or by asking (Session Management §2). SessionRequired wants the sid told.
	BackchannelLogoutURI              string `json:"backchannel_logout_uri,omitempty" yaml:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSessionRequired  bool   `json:"backchannel_logout_session_required,omitempty" yaml:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI             string `json:"frontchannel_logout_uri,omitempty" yaml:"frontchannel_logout_uri,omitempty"`
	FrontchannelLogoutSessionRequired bool   `json:"frontchannel_logout_session_required,omitempty" yaml:"frontchannel_logout_session_required,omitempty"`
	SessionManagement                 bool   `json:"session_management,omitempty" yaml:"session_management,omitempty"` // answers carry session_state
	// SessionLifetime is how long its own session lasts, in seconds from the login; 0: nobody here knows. No token
	// of the login outlives it.
	SessionLifetime int64 `json:"session_lifetime,omitempty" yaml:"session_lifetime,omitempty"`

	AuthMethod  AuthMethod  `json:"token_endpoint_auth_method" yaml:"token_endpoint_auth_method"`
	GrantTypes  []string    `json:"grant_types" yaml:"grant_types"`
	Scopes      []string    `json:"scopes" yaml:"scopes"`             // what it may ask for
	RequirePKCE bool        `json:"require_pkce" yaml:"require_pkce"` // always so for a public client
	SigningAlg  string      `json:"id_token_signed_response_alg" yaml:"id_token_signed_response_alg"`
	SubjectType SubjectType `json:"subject_type" yaml:"subject_type"`
	Sector      string      `json:"sector_identifier,omitempty" yaml:"sector_identifier,omitempty"` // host; sites of one sector see one pairwise sub

	Methods []method.Method `json:"methods,omitempty" yaml:"methods,omitempty"`             // accepted methods; empty accepts all
	Level   method.Level    `json:"minimum_level,omitempty" yaml:"minimum_level,omitempty"` // 0 asks for none
	// Certificates are the kinds of joint certificates that it takes (용도제한); empty takes what the
	// deployment takes.
	Certificates []method.CertificateKind `json:"certificates,omitempty" yaml:"certificates,omitempty"`

	NoSSO bool `json:"no_sso,omitempty" yaml:"no_sso,omitempty"` // every login asks, no session is joined

	HandOver HandOver `json:"hand_over" yaml:"hand_over"`
	Disabled bool     `json:"disabled,omitempty" yaml:"disabled,omitempty"`
}

// Institution is the body that runs a site.
type Institution struct {
	ID          string `json:"id" yaml:"id"`
	Name        string `json:"name" yaml:"name"`
	NameEnglish string `json:"name#en,omitempty" yaml:"name#en,omitempty"`
}

// HandOver is what the citizen is told before attributes go to the site (개인정보 보호법 17조 2항).
type HandOver struct {
	Version   string `json:"version" yaml:"version"` // a new version asks every citizen again
	Purpose   string `json:"purpose" yaml:"purpose"`
	Retention string `json:"retention" yaml:"retention"`
	// The same in English, for those who read the pages in it; the Korean text is the record.
	PurposeEnglish   string `json:"purpose#en,omitempty" yaml:"purpose#en,omitempty"`
	RetentionEnglish string `json:"retention#en,omitempty" yaml:"retention#en,omitempty"`
	// Basis is the law by which the site may have what it requires without a consent (개인정보 보호법 17조
	// 1항 2호, 15조 1항 3호); empty: the citizen is asked.
	Basis string `json:"basis,omitempty" yaml:"basis,omitempty"`
	// CIBasis is the legal basis on which the site may receive the CI; the scope ci needs it.
	CIBasis string `json:"ci_basis,omitempty" yaml:"ci_basis,omitempty"`
}

// ByLaw reports whether the law settles the hand-over of the items: the site has a basis, and requires all
// of them. What is voluntary always takes a consent.
func (h HandOver) ByLaw(items, required []string) bool {
	return h.Basis != "" && len(items) == len(required)
}

// AuthMethod is how a site authenticates at the token endpoint (RFC 7591 §2).
type AuthMethod string

// The client authentication methods.
const (
	SecretBasic AuthMethod = "client_secret_basic"
	SecretPost  AuthMethod = "client_secret_post"
	Public      AuthMethod = "none"
)

// SubjectType is how a person is named to the site (OIDC Core §8).
type SubjectType string

// The subject types.
const (
	Pairwise      SubjectType = "pairwise"
	PublicSubject SubjectType = "public"
)

// The grant types that a site may use.
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
)

// Secret is a client secret as stored. A site may hold two while it changes over.
type Secret struct {
	Hash      string // secret.Hash of the secret
	CreatedAt time.Time
	ExpiresAt time.Time // zero: until removed
}

// Registered is a site together with its live secrets, as the broker works with it.
type Registered struct {
	Site
	Secrets   []Secret
	UpdatedAt time.Time
}

// LocalName is the name in the locale, Korean where there is no other.
func (s *Site) LocalName(locale string) string {
	if locale == "en" && s.NameEnglish != "" {
		return s.NameEnglish
	}
	return s.Name
}

// LocalName is the institution's name in the locale.
func (i Institution) LocalName(locale string) string {
	if locale == "en" && i.NameEnglish != "" {
		return i.NameEnglish
	}
	return i.Name
}

// Accepts reports whether the site takes logins by the method.
func (s *Site) Accepts(m method.Method) bool {
	return len(s.Methods) == 0 || slices.Contains(s.Methods, m)
}

// NeedsPKCE reports whether an authorization request without a code challenge is refused.
func (s *Site) NeedsPKCE() bool { return s.RequirePKCE || s.AuthMethod == Public }

// Subject is how the site knows the person (OIDC Core §8.1): 43 characters, another for every sector
// unless the site is registered for public subjects, and the same for ever.
func (s *Site) Subject(subjects *secret.Index, person string) string {
	if s.SubjectType == PublicSubject {
		return subjects.Of("sub", "", person)
	}
	return subjects.Of("sub", s.Sector, person)
}

// SessionEnd is when the site's own session is over that begins with a login at the time; zero: never.
func (s *Site) SessionEnd(login time.Time) time.Time {
	if s.SessionLifetime == 0 {
		return time.Time{}
	}
	return login.Add(time.Duration(s.SessionLifetime) * time.Second)
}

// Origin returns the origin of a redirect URI, scheme://host:port, for a form-action directive.
func Origin(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, "?")
	return scheme + "://" + host
}

// WithQuery adds parameters to an address, whose own bytes stay as they are (RFC 6749 §3.1.2).
func WithQuery(uri string, params url.Values) string {
	switch {
	case len(params) == 0:
		return uri
	case !strings.Contains(uri, "?"):
		return uri + "?" + params.Encode()
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + params.Encode()
	}
	return uri + "&" + params.Encode()
}

// Store keeps sites. Changes come with their audit event and bump Revision in the same transaction.
type Store interface {
	// Sites returns every site with its live secrets, ordered by id, and the revision they are of.
	Sites(ctx context.Context) (sites []Registered, revision int64, err error)
	// SitesRevision returns the current revision: it changes whenever a site does.
	SitesRevision(ctx context.Context) (int64, error)
	// PutSite creates or replaces a site.
	PutSite(ctx context.Context, s Site, at time.Time, event audit.Event) error
	// RemoveSite deletes a site and its secrets, or returns fault.NotFound.
	RemoveSite(ctx context.Context, id string, event audit.Event) error
	// AddSecret adds a secret to a site and lets its other secrets expire at retire, or returns
	// fault.NotFound.
	AddSecret(ctx context.Context, id string, s Secret, retire time.Time, event audit.Event) error
}
