// Package oidc is the OpenID Connect endpoints: authorization, tokens, userinfo, introspection,
// revocation, logout, and the metadata that tells of them.
//
// The token, introspection and revocation endpoints run on zitadel/oidc's op.Server, with this package's
// own policy in front (form.go) and behind (token.go). What the library cannot express is done here in
// full: the authorization request has one validator (request.go) and one way to be answered
// (respond.go), tokens are minted in idtoken.go. The library's types stop at this package's edge.
//
// Specifications: OpenID Connect Core 1.0, Discovery 1.0, RP-Initiated Logout 1.0, Back-Channel Logout 1.0,
// Front-Channel Logout 1.0 and Session Management 1.0; OAuth 2.0 Form Post
// Response Mode; RFC 6749, 6750, 7009, 7636, 7662, 8414, 9207 and 9700.
package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// Config is what the endpoints work with. Every field is needed.
type Config struct {
	Issuer          string // https://host, or http on a loopback host; no path, no trailing slash
	Keys            *keys.Ring
	Sites           *site.Directory
	Sessions        *session.Service
	Logout          *logout.Service
	Grants          *grant.Service
	People          person.Store
	Audit           audit.Store
	Box             *secret.Box   // opens people's attributes
	Subjects        *secret.Index // makes sub; its key never changes
	Cookies         web.Cookies
	Limiter         *web.Limiter // knows LimitClass
	Pages           Pages
	Journey         Journey
	Terms           func() string // versions of the broker's texts at present (consent.Versions); a session of other ones asks
	IDTokenLifetime time.Duration
	Now             func() time.Time
	Log             *slog.Logger
}

// LimitClass is the limiter's class of failed client authentications. Those that succeed are not
// counted.
const LimitClass = "client"

// Journey is the login journey.
type Journey interface {
	// Begin starts a journey for a validated request and answers the browser. asked is
	// grant.Request.Asked of it. known is the browser's session if the site accepts it: then only the
	// consent, or with prompt=select_account the choice of account, is missing. A nil known asks for a
	// proof. The journey ends with Server.Respond.
	Begin(w http.ResponseWriter, r *http.Request, req grant.Request, asked []string, known *session.Known)
}

// Pages are what a browser is shown when it is sent nowhere else.
type Pages interface {
	// Error shows an error that must not go to a site. The codes are those of this package and of
	// package web.
	Error(w http.ResponseWriter, r *http.Request, status int, code string)
	// FormPost shows a form to the request's redirect URI with the values in it, which sends itself
	// and has a button. The answer's policy allows the redirect URI as form target already.
	FormPost(w http.ResponseWriter, r *http.Request, req grant.Request, values url.Values)
	// LogoutConfirm asks whether to sign out, and where there is a choice from where. Its form posts the values to
	// the action: by the button logout-confirm, or by logout-this with ScopeThis, or logout-all with ScopeAll. The
	// answer's policy allows the address to which that may lead already.
	LogoutConfirm(w http.ResponseWriter, r *http.Request, ask LogoutAsk)
	// LoggedOut says that the session has ended, or was left at one site, and shows who was told. Where there are
	// frames it allows and loads them, and then goes on.
	LoggedOut(w http.ResponseWriter, r *http.Request, done LogoutDone)
}

// LogoutAsk is what the citizen is asked before they are signed out.
type LogoutAsk struct {
	Site   *site.Registered   // that they come from; nil if unknown
	Others []*site.Registered // where else the session is used: with a Site there is a choice then; by name
	Action string
	Values url.Values
}

// ScopeField is the form field of the choice, and its values.
const (
	ScopeField = "scope"
	ScopeThis  = "this" // of the site only
	ScopeAll   = "all"
)

// LogoutDone is what has been done.
type LogoutDone struct {
	Site       *site.Registered // that they come from; nil if unknown
	Left       bool             // only this site was left, and the session goes on
	Deliveries []logout.Delivery
	Frames     []string // addresses to load in frames
	Continue   string   // where to go then, registered by the site; empty: nowhere
}

// The codes of Pages.Error.
const (
	CodeRequest     = "invalid_request"      // no request that could be answered
	CodeSite        = "unknown_site"         // client_id is missing, unknown, or of a disabled site
	CodeRedirect    = "invalid_redirect_uri" // the address is missing or not registered
	CodeUnavailable = "unavailable"          // a store is away
)

// The endpoints' paths, below the issuer.
const (
	discoveryPath  = "/.well-known/openid-configuration"
	metadataPath   = "/.well-known/oauth-authorization-server"
	jwksPath       = "/jwks.json"
	authorizePath  = "/authorize"
	tokenPath      = "/token"
	userinfoPath   = "/userinfo"
	introspectPath = "/introspect"
	revokePath     = "/revoke"
	endSessionPath = "/end_session"
	logoutPath     = "/logout"
	checkPath      = "/check_session"
)

// Exempt lists the ServeMux patterns that other origins may POST to, for web.Edge. The logout
// confirmation is not among them.
func Exempt() []string {
	var patterns []string
	for _, path := range []string{authorizePath, tokenPath, userinfoPath, introspectPath, revokePath, endSessionPath} {
		patterns = append(patterns, "POST "+path)
	}
	return patterns
}

// Server is the endpoints.
type Server struct {
	Config
	discovery []byte
	check     string       // the page of check_session_iframe
	library   http.Handler // the endpoints that run on the library
}

// New returns the endpoints, or what is wrong with the issuer.
func New(c Config) (*Server, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || site.ValidateURI(c.Issuer) != nil || u.Path != "" || strings.Contains(c.Issuer, "?") {
		return nil, fault.New(fault.Invalid, "oidc: issuer %q is not https://host without path", c.Issuer)
	}
	s := &Server{Config: c}
	if s.discovery, err = s.metadata(); err != nil {
		return nil, err
	}
	if s.check, err = s.checkPage(); err != nil {
		return nil, err
	}
	s.library = register(&provider{s: s})
	return s, nil
}

// ServeBrowsers puts the endpoints to which browsers are sent on the mux.
func (s *Server) ServeBrowsers(mux *http.ServeMux) {
	mux.HandleFunc("GET "+authorizePath, s.authorize)
	mux.HandleFunc("POST "+authorizePath, s.authorize)
	mux.HandleFunc("GET "+endSessionPath, s.endSession)
	mux.HandleFunc("POST "+endSessionPath, s.endSession)
	mux.HandleFunc("GET "+checkPath, s.checkSession)
	mux.Handle("POST "+logoutPath, web.CrossOrigin(s.Pages.Error)(http.HandlerFunc(s.confirmedLogout)))
}

// ServePrograms puts the endpoints that sites call on the mux; ProgramPaths are their paths.
func (s *Server) ServePrograms(mux *http.ServeMux) {
	mux.Handle("POST "+tokenPath, s.form(s.library, tokenRules))
	mux.Handle("POST "+introspectPath, s.form(s.library, introspectRules))
	mux.Handle("POST "+revokePath, s.form(s.library, revokeRules))
	mux.HandleFunc("GET "+userinfoPath, s.userinfo)
	mux.HandleFunc("POST "+userinfoPath, s.userinfo)
	mux.HandleFunc("GET "+discoveryPath, s.serveMetadata)
	mux.HandleFunc("GET "+metadataPath, s.serveMetadata)
	mux.HandleFunc("GET "+jwksPath, s.serveJWKS)
}

// ProgramPaths are the paths of ServePrograms.
func ProgramPaths() []string {
	return []string{tokenPath, introspectPath, revokePath, userinfoPath, discoveryPath, metadataPath, jwksPath}
}

var registering sync.Mutex

// register builds the library's router for the endpoints that run on it.
func register(p *provider) http.Handler {
	// The library tells slog.Default of every route that it registers. That is no news to anybody.
	registering.Lock()
	defer registering.Unlock()
	defer slog.SetLogLoggerLevel(slog.SetLogLoggerLevel(slog.LevelWarn))
	if log := slog.Default(); log.Enabled(context.Background(), slog.LevelInfo) {
		slog.SetDefault(slog.New(slog.DiscardHandler))
		defer slog.SetDefault(log)
	}
	return op.RegisterServer(p, op.Endpoints{
		Token:         op.NewEndpoint(tokenPath),
		Introspection: op.NewEndpoint(introspectPath),
		Revocation:    op.NewEndpoint(revokePath),
	}, op.WithServerCORSOptions(nil))
}

// refusal is why a request is refused: an OAuth or OIDC error code, or a page's, and a description of
// ours for the site's developer: ASCII without quotes and backslashes (RFC 6749 §4.1.2.1).
type refusal struct {
	code, description string
}

func (e *refusal) Error() string { return "oidc: " + e.code + ": " + e.description }

func refuse(code, description string) *refusal { return &refusal{code, description} }

func invalidRequest(description string) *refusal { return refuse("invalid_request", description) }

// params is the refusal as an authorization response.
func (e *refusal) params() url.Values {
	p := url.Values{"error": {e.code}}
	if e.description != "" {
		p.Set("error_description", e.description)
	}
	return p
}

// noteFailure logs what is nobody's business outside. Requests that the client gave up are no failure.
func (s *Server) noteFailure(ctx context.Context, doing string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	s.Log.LogAttrs(ctx, slog.LevelError, "oidc: failed", slog.String("doing", doing), slog.Any("error", err), slog.String("request_id", web.RequestID(ctx)))
}

// maxBody bounds the body of a request.
const maxBody = 64 << 10

// noStore keeps an answer out of every cache (RFC 6749 §5.1).
func noStore(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
}

// retryAfter is what a client is told to wait when a store is away, in seconds.
const retryAfter = "5"
