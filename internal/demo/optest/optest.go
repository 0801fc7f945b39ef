// Package optest is a small OpenID provider for the demo sites' tests. It answers every login at once
// with one person, checks what a relying party must send, and misbehaves on demand.
package optest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// The client that the provider knows.
const (
	ClientID     = "site"
	ClientSecret = "a secret with / and : in it"
)

// Provider is a running provider. The knobs are set before a request; they may be changed between two.
type Provider struct {
	URL string // the issuer

	mu    sync.Mutex
	knobs Knobs
	codes map[string]code
	keys  map[jose.SignatureAlgorithm]jose.SigningKey
	jwks  jose.JSONWebKeySet
	seen  map[string]url.Values
	now   func() time.Time
}

// Knobs is how the provider behaves. The zero value behaves well, for a person named nothing.
type Knobs struct {
	Down        bool                    // 503 on everything
	TokenStatus int                     // the token endpoint fails with this status
	Alg         jose.SignatureAlgorithm // default ES256
	WrongKey    bool                    // sign with a key that is not published
	NoLogout    bool                    // no end_session_endpoint in the metadata
	Claims      map[string]any          // of userinfo; sub is that of the ID token too
	SessionTime any                     // session_expires_in of the token answer; nil: not there
	Check       string                  // session_state of answers, and what the check_session_iframe takes for unchanged
	KeysDown    bool                    // 503 on the keys only
	Answer      func(url.Values)        // changes the authorization answer
	IDToken     func(map[string]any)    // changes the ID token's claims
	UserInfo    func(map[string]any)    // changes userinfo
}

type code struct {
	redirect, nonce, challenge, acr string
}

// rsaKey is one for all providers of a test run: it takes long to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// New starts a provider that the test's end stops. now is the clock of its tokens.
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	p := &Provider{codes: map[string]code{}, seen: map[string]url.Values{}, keys: map[jose.SignatureAlgorithm]jose.SigningKey{}, now: now}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]any{jose.ES256: ec, jose.RS256: rsaKey()} {
		jwk := jose.JSONWebKey{Key: key, KeyID: "key-" + string(alg), Algorithm: string(alg), Use: "sig"}
		p.keys[alg] = jose.SigningKey{Algorithm: alg, Key: jwk}
		p.jwks.Keys = append(p.jwks.Keys, jwk.Public())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.metadata)
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		if p.get().KeysDown {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		p.json(w, p.jwks)
	})
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>op</title><link rel="icon" href="data:,"><iframe src="%s"></iframe>`, html.EscapeString(r.FormValue("src")))
	})
	mux.HandleFunc("GET /check-session", p.checkSession)
	mux.HandleFunc("GET /check-session/state", func(w http.ResponseWriter, _ *http.Request) { p.json(w, p.get().Check) })
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.HandleFunc("GET /end-session", p.endSession)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.get().Down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Set changes the knobs.
func (p *Provider) Set(k Knobs) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.knobs = k
}

func (p *Provider) get() Knobs {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.knobs
}

// Last returns the parameters of the latest request to an endpoint, such as "authorize".
func (p *Provider) Last(endpoint string) url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[endpoint]
}

func (p *Provider) saw(endpoint string, v url.Values) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[endpoint] = v
}

func (p *Provider) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func (p *Provider) metadata(w http.ResponseWriter, _ *http.Request) {
	m := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
		"userinfo_endpoint": p.URL + "/userinfo", "jwks_uri": p.URL + "/jwks", "end_session_endpoint": p.URL + "/end-session",
		"id_token_signing_alg_values_supported":          []string{"ES256", "RS256"},
		"authorization_response_iss_parameter_supported": true,
	}
	if p.get().NoLogout {
		delete(m, "end_session_endpoint")
	}
	if p.get().Check != "" {
		m["check_session_iframe"] = p.URL + "/check-session"
	}
	p.json(w, m)
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.saw("authorize", q)
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("state") == "" || q.Get("nonce") == "" ||
		q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256" {
		http.Error(w, "not the request of a careful client", http.StatusBadRequest)
		return
	}
	id := rand.Text()
	p.mu.Lock()
	p.codes[id] = code{redirect: q.Get("redirect_uri"), nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), acr: q.Get("acr_values")}
	p.mu.Unlock()
	answer := url.Values{"code": {id}, "state": {q.Get("state")}, "iss": {p.URL}}
	if state := p.get().Check; state != "" {
		answer.Set("session_state", state)
	}
	if change := p.get().Answer; change != nil {
		change(answer)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	if status := p.get().TokenStatus; status != 0 {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	id, secret, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id) // RFC 6749 §2.3.1
	secret, _ = url.QueryUnescape(secret)
	if !basic || id != ClientID || secret != ClientSecret {
		http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
		return
	}
	p.mu.Lock()
	c, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || c.redirect != r.FormValue("redirect_uri") || c.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
		return
	}
	knobs := p.get()
	access := rand.Text()
	half := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": p.URL, "aud": ClientID, "sub": knobs.Claims["sub"], "nonce": c.nonce,
		"iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix(), "auth_time": p.now().Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
		"acr":     "urn:anyid:acr:3", "amr": []string{"pop", "pin"}, "sid": "sid-1",
	}
	if c.acr != "" {
		claims["acr"] = c.acr
	}
	if knobs.IDToken != nil {
		knobs.IDToken(claims)
	}
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": p.Sign("JWT", claims)}
	if knobs.SessionTime != nil {
		answer["session_expires_in"] = knobs.SessionTime
	}
	p.json(w, answer)
}

// LogoutEvent is the name of the event in a logout token.
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// LogoutClaims are the claims of a good logout token, with a new jti; sub or sid may be empty.
func (p *Provider) LogoutClaims(sub, sid string) map[string]any {
	claims := map[string]any{
		"iss": p.URL, "aud": ClientID, "iat": p.now().Unix(), "exp": p.now().Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{LogoutEvent: map[string]any{}},
	}
	for name, value := range map[string]string{"sub": sub, "sid": sid} {
		if value != "" {
			claims[name] = value
		}
	}
	return claims
}

// LogoutToken is a good logout token.
func (p *Provider) LogoutToken(sub, sid string) string {
	return p.Sign("logout+jwt", p.LogoutClaims(sub, sid))
}

// Sign returns claims as a signed JWT of a type ("" for none), by the knobs' algorithm.
func (p *Provider) Sign(typ string, claims map[string]any) string {
	knobs := p.get()
	if knobs.Alg == "" {
		knobs.Alg = jose.ES256
	}
	key := p.keys[knobs.Alg]
	if knobs.WrongKey {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		key = jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: other, KeyID: "key-ES256"}}
	}
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		panic(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		panic(err)
	}
	return token
}

func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" || r.URL.RawQuery != "" {
		http.Error(w, "no bearer token in the header", http.StatusUnauthorized)
		return
	}
	knobs := p.get()
	claims := maps.Clone(knobs.Claims)
	if knobs.UserInfo != nil {
		knobs.UserInfo(claims)
	}
	p.json(w, claims)
}

func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	p.saw("end-session", q)
	http.Redirect(w, r, q.Get("post_logout_redirect_uri")+"?"+url.Values{"state": {q.Get("state")}}.Encode(), http.StatusFound)
}

// checkSession is the provider's iframe (OIDC Session Management §3.2), which for a test may ask the server.
func (p *Provider) checkSession(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(`<!doctype html><title>op</title><script>
addEventListener("message", async (e) => {
  const state = await (await fetch("/check-session/state")).json();
  e.source.postMessage(e.data === "` + ClientID + ` " + state ? "unchanged" : "changed", e.origin);
});
</script>`))
}

// Serve runs a site on a free port, since a site must know its own address before it can be built.
func Serve(t testing.TB, build func(baseURL string) http.Handler) (baseURL string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	baseURL = "http://" + server.Listener.Addr().(*net.TCPAddr).String()
	server.Config.Handler = build(baseURL)
	server.Start()
	t.Cleanup(server.Close)
	return baseURL
}

// Browser returns a client with a cookie jar that follows redirects.
func Browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second}
}

// Clock is a clock that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock starts a clock in the afternoon of a day in Seoul.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 11, 22, 5, 30, 0, 0, time.UTC)} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
