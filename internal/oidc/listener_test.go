package oidc

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/site"
)

// listener is a site's back-channel logout endpoint.
type listener struct {
	*httptest.Server
	heard  chan *http.Request // with its form parsed
	mu     sync.Mutex
	answer http.HandlerFunc // nil: 200
}

func newListener(t testing.TB) *listener {
	t.Helper()
	l := &listener{heard: make(chan *http.Request, 100)}
	l.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("the form: %v", err)
		}
		l.heard <- r
		l.mu.Lock()
		answer := l.answer
		l.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// answers sets what is answered from now on.
func (l *listener) answers(h http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = h
}

// next is the next call that comes.
func (l *listener) next(t testing.TB) *http.Request {
	t.Helper()
	select {
	case r := <-l.heard:
		return r
	case <-time.After(time.Minute):
		t.Fatal("nobody has called")
	}
	return nil
}

// deliverer is a deliverer that reaches listeners, or other networks only.
func (w *world) deliverer(allow ...netip.Prefix) *Deliverer {
	roots := x509.NewCertPool()
	roots.AddCert(w.srv.Certificate()) // httptest has one for all
	if allow == nil {
		allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	return &Deliverer{
		Issuer: w.srv.URL, Keys: testKeys(), Sites: w.sites, Logout: w.logout, Now: w.clock.Now,
		Client: outbound.Client(outbound.Config{Allow: allow, RootCAs: roots}),
	}
}

// deliver lets what waits in the outbox be delivered, until the test ends.
func (w *world) deliver() {
	w.tb.Helper()
	w.logout.Runner.Handlers = map[outbox.Kind]outbox.Handler{outbox.Logout: w.deliverer()}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.logout.Runner.Run(ctx) })
	w.tb.Cleanup(func() { cancel(); running.Wait() })
}

// wantLogoutToken checks a call of a back-channel logout endpoint as OIDC Back-Channel Logout §2.4 to §2.6 and the
// conformance modules have it.
func (c *rp) wantLogoutToken(t *testing.T, r *http.Request, sub, sid any) {
	t.Helper()
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" ||
		len(r.PostForm) != 1 || len(r.PostForm["logout_token"]) != 1 || r.TLS == nil || r.Header.Get("Cookie") != "" {
		t.Fatalf("%s %s %v %v", r.Method, r.URL, r.Header, r.PostForm)
	}
	token := r.PostForm.Get("logout_token")
	algs := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(must(c.w.sites.Lookup(c.id)).SigningAlg)}
	parsed, err := jose.ParseSignedCompact(token, algs)
	if err != nil {
		t.Fatal(err)
	}
	if header := parsed.Signatures[0].Header; header.ExtraHeaders[jose.HeaderType] != "logout+jwt" || header.KeyID == "" {
		t.Errorf("header %+v", header)
	}
	// The signature, iss, aud and exp, by an independent library with the published keys.
	verifier := c.w.provider.Verifier(&gooidc.Config{ClientID: c.id, Now: c.w.clock.Now, SupportedSigningAlgs: []string{string(algs[0])}})
	verified, err := verifier.Verify(c.w.clientContext(), token)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	events, err := json.Marshal(claims["events"])
	now := float64(c.w.clock.Now().Unix())
	if err != nil || string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || claims["iss"] != c.w.srv.URL || claims["aud"] != c.id ||
		claims["iat"] != now || claims["exp"] != now+120 || len(claims["jti"].(string)) < 22 || claims["sub"] != sub || claims["sid"] != sid {
		t.Errorf("claims %v; want sub %v, sid %v", claims, sub, sid)
	}
	if _, has := claims["nonce"]; has {
		t.Error("a logout token has a nonce")
	}
}

// listen gives the site a back-channel logout endpoint.
func (c *rp) listen(t testing.TB) *listener {
	t.Helper()
	l := newListener(t)
	c.w.change(c.id, func(s *site.Site) { s.BackchannelLogoutURI = l.URL + "/logout" })
	return l
}

// signOutOf is an end session request with a hint of the login, and where to go then.
func signOutOf(l loggedIn, after string) url.Values {
	return url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {after}, "state": {"s"}}
}
