// Package rp is what the demo sites have in common as OpenID Connect relying parties: the
// authorization request, the checks on the answer, the site's own sessions, and logout. It is an
// ordinary client built on go-oidc and oauth2; it knows nothing of the broker but its issuer.
//
// A site mounts its own handlers, calls [Client.Start], [Client.Callback], [Client.Logout] and
// [Client.LoggedOut] from them, and decides by the returned error which page the citizen sees. Logout that
// begins elsewhere comes to [Client.BackChannelLogout] and [Client.FrontChannelLogout].
package rp

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// The paths of a site that the broker knows: they are registered with the client, as
// redirect_uri, post_logout_redirect_uri, backchannel_logout_uri and frontchannel_logout_uri.
const (
	CallbackPath     = "/anyid/callback"
	LoggedOutPath    = "/logged-out"
	BackChannelPath  = "/logout/backchannel"
	FrontChannelPath = "/logout/frontchannel"
)

// ErrUnavailable says that the broker could not be reached or failed; the same request may work later.
var ErrUnavailable = errors.New("rp: the OpenID provider is unavailable")

// ErrUnknownRequest says that an answer belongs to no request that this browser has open: a foreign
// state, a request that took too long, or one answered before.
var ErrUnknownRequest = errors.New("rp: the answer belongs to no open request of this browser")

// ErrNotFresh says that the login answers a Request with Fresh, and its proof is older than the request.
var ErrNotFresh = errors.New("rp: the proof is older than the request for a fresh one")

// ErrOtherACR says that the login answers a Request with an ACR, and was made in another way.
var ErrOtherACR = errors.New("rp: the login's acr is not the one that was asked for")

// AnswerError is an error answer of the broker to an authorization request (RFC 6749 §4.1.2.1,
// OIDC Core §3.1.2.6).
type AnswerError struct {
	Code string // such as access_denied; "invalid" where the answer's code is none by RFC 6749's grammar
}

// Error implements error.
func (e *AnswerError) Error() string { return "rp: the provider answered " + e.Code }

// Config is one site's registration at the broker. Every field without a default is required.
type Config struct {
	Name         string       // short, lower case; the start of each cookie's name, since the cookies of localhost reach every port
	BaseURL      string       // the site's own origin, such as https://qnet.example
	Issuer       string       // the broker's issuer identifier, exactly
	ClientID     string       //
	ClientSecret string       // sent by client_secret_basic
	Scopes       []string     // with openid among them
	SigningAlg   string       // id_token_signed_response_alg, of ID tokens and logout tokens; default ES256
	HTTPClient   *http.Client // for a private CA; default: one with a time limit of 10 s
	Now          func() time.Time
	Log          *slog.Logger
}

// Client is the site's side of OpenID Connect. It is safe for concurrent use.
type Client struct {
	cfg    Config
	secure bool
	flows  cipher.AEAD
	used   usedTokens // logout tokens

	mu       sync.Mutex
	provider *provider // nil until discovery worked
}

// provider is the broker as its discovery document describes it.
type provider struct {
	*oidc.Provider
	keys         oidc.KeySet
	endSession   string
	checkSession string
	issInAnswer  bool // RFC 9207 §3: iss comes with every answer
}

// New checks cfg and returns the client. It does not call the broker: discovery waits for the first
// need, so that site and broker can start in any order.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("rp: base URL %q is no origin", cfg.BaseURL)
	}
	cfg.BaseURL = base.Scheme + "://" + base.Host
	var missing []string
	for field, v := range map[string]string{"Name": cfg.Name, "Issuer": cfg.Issuer, "ClientID": cfg.ClientID, "ClientSecret": cfg.ClientSecret} {
		if v == "" {
			missing = append(missing, field)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("rp: missing in the configuration: %s", strings.Join(missing, ", "))
	}
	if cfg.SigningAlg == "" {
		cfg.SigningAlg = oidc.ES256
	}
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	key, err := hkdf.Key(sha256.New, []byte(cfg.ClientSecret), nil, "anyid demo rp: flow cookie", 32)
	if err != nil {
		return nil, fmt.Errorf("rp: derive the cookie key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("rp: flow cookie cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("rp: flow cookie cipher: %w", err)
	}
	return &Client{cfg: cfg, secure: base.Scheme == "https", flows: aead}, nil
}

// Secure tells whether the site is served over HTTPS, and so whether its cookies are Secure.
func (c *Client) Secure() bool { return c.secure }

// IssuerOrigin is the scheme and host of the broker. A page with a logout form allows it in its CSP
// form-action, because browsers apply that to the redirects after the POST too.
func (c *Client) IssuerOrigin() string {
	u, err := url.Parse(c.cfg.Issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// discover returns the broker's metadata, fetching it unless an earlier call succeeded.
func (c *Client) discover(ctx context.Context) (*provider, error) {
	c.mu.Lock()
	p := c.provider
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	// Not under the lock: requests that come while the broker is slow wait for it side by side.
	found, err := oidc.NewProvider(c.context(ctx), c.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: discovery: %w", ErrUnavailable, err)
	}
	var more struct {
		Keys         string `json:"jwks_uri"`
		EndSession   string `json:"end_session_endpoint"`
		CheckSession string `json:"check_session_iframe"`
		IssInAnswer  bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, fmt.Errorf("%w: discovery: %w", ErrUnavailable, err)
	}
	p = &provider{
		Provider: found, keys: oidc.NewRemoteKeySet(c.context(ctx), more.Keys),
		endSession: more.EndSession, checkSession: more.CheckSession, issInAnswer: more.IssInAnswer,
	}
	c.mu.Lock()
	c.provider = p
	c.mu.Unlock()
	return p, nil
}

func (c *Client) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, c.cfg.HTTPClient)
}

func (c *Client) oauth(p *provider) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // client_secret_basic; guessing would cost a failed call
	return &oauth2.Config{
		ClientID:     c.cfg.ClientID,
		ClientSecret: c.cfg.ClientSecret,
		Endpoint:     endpoint,
		RedirectURL:  c.cfg.BaseURL + CallbackPath,
		Scopes:       c.cfg.Scopes,
	}
}

// keysOnce is the provider's key set for one verification: it tells whether the keys could not be
// fetched, which the verifier's error does not.
type keysOnce struct {
	oidc.KeySet
	away bool
}

// VerifySignature implements oidc.KeySet. What goes wrong with the fetching wraps its cause; a signature
// that does not fit has none.
func (k *keysOnce) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	k.away = errors.Unwrap(err) != nil
	return payload, err
}

// verifyIDToken checks signature, iss, aud and exp. The error is ErrUnavailable if the provider's keys
// could not be fetched.
func (c *Client) verifyIDToken(ctx context.Context, p *provider, raw string) (*oidc.IDToken, error) {
	keys := &keysOnce{KeySet: p.keys}
	token, err := oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		ClientID: c.cfg.ClientID, SupportedSigningAlgs: []string{c.cfg.SigningAlg}, Now: c.cfg.Now,
	}).Verify(ctx, raw)
	switch {
	case err != nil && keys.away:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		return nil, fmt.Errorf("rp: ID token: %w", err)
	}
	return token, nil
}

// cookie returns a cookie with the attributes that all of the site's cookies share. Over HTTPS its
// name gets the __Host- prefix, which no sibling domain can set (RFC 6265bis §4.1.3.2).
func cookie(name, value string, secure bool) *http.Cookie {
	return &http.Cookie{Name: cookieName(name, secure), Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}
}

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// random returns 256 random bits in base32, which is 52 characters that suit URLs and cookies.
func random() string { return rand.Text() + rand.Text() }
