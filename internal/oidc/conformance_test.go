package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/text/language"

	"github.com/anyid/anyid/internal/method"
)

// module is a module of an OpenID certification plan.
type module struct {
	name string
	run  func(t *testing.T, w *world, c *rp)
}

// The modules of the Basic OP plan, in its order. Those about request objects are not skipped but
// answered: none is supported, and that is said.
var basicModules = []module{
	{"oidcc-server", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid profile")
		if l.claims["name"] != nil {
			t.Error("name is in the ID token")
		}
	}},
	{"oidcc-response-type-missing", func(t *testing.T, w *world, c *rp) {
		request := c.request("response_type", "")
		c.wantError(request, c.authorize(w.browser(), request), "invalid_request")
	}},
	{"oidcc-idtoken-signature", func(t *testing.T, w *world, c *rp) {
		for _, c := range []*rp{c, w.second.in(c.mode)} {
			l := c.login(w.browser())
			jws, err := jose.ParseSignedCompact(l.idToken(), []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			h := jws.Signatures[0].Header
			if h.KeyID == "" || h.Algorithm != must(w.sites.Lookup(c.id)).SigningAlg || h.ExtraHeaders["typ"] != "JWT" {
				t.Errorf("header %+v", h)
			}
		}
	}},
	{"oidcc-idtoken-unsigned", func(t *testing.T, w *world, _ *rp) {
		if slices.Contains(texts(discover(t, w)["id_token_signing_alg_values_supported"]), "none") {
			t.Error("alg none is offered")
		}
	}},
	{"oidcc-userinfo-get", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid profile phone")
		checkUserinfo(t, l, w.userinfo(l.access()))
	}},
	{"oidcc-userinfo-post-header", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid profile phone")
		checkUserinfo(t, l, w.postForm(userinfoPath, nil, func(r *http.Request) {
			r.Header.Set("Authorization", "bearer "+l.access())
			r.Header.Del("Content-Type")
		}))
	}},
	{"oidcc-userinfo-post-body", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid profile phone")
		checkUserinfo(t, l, w.postForm(userinfoPath, url.Values{"access_token": {l.access()}}, nil))
	}},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", func(_ *testing.T, w *world, c *rp) {
		c.login(w.browser(), "nonce", "")
	}},
	{"oidcc-scope-profile", func(t *testing.T, w *world, c *rp) {
		// Of the fourteen profile claims those that somebody verified.
		l := c.login(w.browser(), "scope", "openid profile")
		info := w.userinfo(l.access())
		wantClaims(t, info.json, "sub", "name", "gender", "birthdate", "nationality", "updated_at")
	}},
	{"oidcc-scope-email", func(t *testing.T, w *world, c *rp) { unsupportedScope(t, w, c, "email") }},
	{"oidcc-scope-address", func(t *testing.T, w *world, c *rp) { unsupportedScope(t, w, c, "address") }},
	{"oidcc-scope-phone", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid phone")
		info := w.userinfo(l.access())
		wantClaims(t, info.json, "sub", "phone_number", "phone_number_verified")
		if info.json["phone_number"] != "+821012345678" || info.json["phone_number_verified"] != true {
			t.Error(info.body)
		}
	}},
	{"oidcc-scope-all", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid profile email address phone")
		wantClaims(t, w.userinfo(l.access()).json, "sub", "name", "gender", "birthdate", "nationality", "updated_at", "phone_number", "phone_number_verified")
		if got := l.tokens.text("scope"); got != "openid profile phone" {
			t.Errorf("granted scope %q", got)
		}
	}},
	{"oidcc-alternate-happy-flow", func(t *testing.T, w *world, c *rp) {
		request := c.request("scope", "profile openid")
		names := strings.Split(request.Encode(), "&")
		slices.Reverse(names)
		res := c.response(w.browser().do(must(http.NewRequest(http.MethodGet, w.srv.URL+authorizePath+"?"+strings.Join(names, "&"), nil))))
		c.finish(request, res)
	}},
	{"oidcc-display-page", func(_ *testing.T, w *world, c *rp) { c.login(w.browser(), "display", "page") }},
	{"oidcc-display-popup", func(_ *testing.T, w *world, c *rp) { c.login(w.browser(), "display", "popup") }},
	{"oidcc-prompt-login", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		first := c.login(b)
		w.clock.Advance(2 * time.Second)
		shown := w.journey.count()
		second := c.login(b, "prompt", "login")
		if w.journey.count() != shown+1 || second.claims["auth_time"].(float64) <= first.claims["auth_time"].(float64) {
			t.Error("prompt=login did not ask again")
		}
	}},
	{"oidcc-prompt-none-not-logged-in", func(_ *testing.T, w *world, c *rp) {
		request := c.request("prompt", "none")
		c.wantError(request, c.authorize(w.browser(), request), "login_required")
	}},
	{"oidcc-prompt-none-logged-in", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		first := c.login(b)
		w.clock.Advance(2 * time.Second)
		wantSame(t, w, first, func() loggedIn { return c.login(b, "prompt", "none") })
	}},
	{"oidcc-max-age-1", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		first := c.login(b)
		w.clock.Advance(2 * time.Second)
		shown := w.journey.count()
		second := c.login(b, "max_age", "1")
		if w.journey.count() != shown+1 || second.claims["auth_time"].(float64) != first.claims["auth_time"].(float64)+2 {
			t.Error("max_age=1 did not ask again")
		}
	}},
	{"oidcc-max-age-10000", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		first := c.login(b, "max_age", "15000")
		w.clock.Advance(2 * time.Second)
		wantSame(t, w, first, func() loggedIn { return c.login(b, "max_age", "10000") })
	}},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", func(_ *testing.T, w *world, c *rp) {
		c.login(w.browser(), "extra", "foobar")
	}},
	{"oidcc-id-token-hint", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		first := c.login(b)
		w.clock.Advance(2 * time.Second)
		wantSame(t, w, first, func() loggedIn { return c.login(b, "prompt", "none", "id_token_hint", first.idToken()) })
	}},
	{"oidcc-login-hint", func(_ *testing.T, w *world, c *rp) { c.login(w.browser(), "login_hint", "bob@example.com") }},
	{"oidcc-ui-locales", func(_ *testing.T, w *world, c *rp) { c.login(w.browser(), "ui_locales", "se en-US-x-- _ 한국어") }},
	{"oidcc-claims-locales", func(_ *testing.T, w *world, c *rp) { c.login(w.browser(), "claims_locales", "se") }},
	{"oidcc-ensure-request-with-acr-values-succeeds", func(t *testing.T, w *world, c *rp) {
		supported := texts(discover(t, w)["acr_values_supported"])
		l := c.login(w.browser(), "acr_values", strings.Join(supported, " "))
		if !slices.Contains(supported, l.claims["acr"].(string)) {
			t.Errorf("acr %v", l.claims["acr"])
		}
		c.login(w.browser(), "acr_values", "1 2")
	}},
	{"oidcc-codereuse", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser())
		wantAPI(t, c.exchange(l.values.Get("code")), 400, "invalid_grant")
	}},
	{"oidcc-codereuse-30seconds", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser())
		w.clock.Advance(30 * time.Second)
		wantAPI(t, c.exchange(l.values.Get("code")), 400, "invalid_grant")
		wantAPI(t, w.userinfo(l.access()), 401, "invalid_token")
	}},
	{"oidcc-ensure-registered-redirect-uri", func(t *testing.T, w *world, c *rp) {
		wantPage(t, w.browser().get(authorizePath, c.request("redirect_uri", "https://first.example/other")), 400, CodeRedirect)
	}},
	{"oidcc-ensure-post-request-succeeds", func(_ *testing.T, w *world, c *rp) {
		request := c.request()
		c.finish(request, c.response(w.browser().post(authorizePath, request)))
	}},
	{"oidcc-server-client-secret-post", func(_ *testing.T, w *world, c *rp) {
		w.second.in(c.mode).login(w.browser())
	}},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", func(_ *testing.T, w *world, c *rp) {
		request := c.request("request_uri", "https://first.example/request.jwt")
		c.wantError(request, c.authorize(w.browser(), request), "request_uri_not_supported")
	}},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", func(t *testing.T, w *world, c *rp) {
		request := c.request("request", "eyJhbGciOiJub25lIn0.e30.")
		c.wantError(request, c.authorize(w.browser(), request), "request_not_supported")
		if _, listed := discover(t, w)["request_object_signing_alg_values_supported"]; listed {
			t.Error("algorithms of request objects are listed, but request objects are not supported")
		}
	}},
	{"oidcc-claims-essential", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "claims", `{"userinfo":{"name":{"essential":true}}}`)
		wantClaims(t, w.userinfo(l.access()).json, "sub", "name")
	}},
	{"oidcc-ensure-request-object-with-redirect-uri", func(t *testing.T, w *world, c *rp) {
		request := c.request("request", "eyJhbGciOiJub25lIn0.e30.", "redirect_uri", "https://first.example/bad")
		wantPage(t, w.browser().get(authorizePath, request), 400, CodeRedirect)
	}},
	{"oidcc-refresh-token", func(t *testing.T, w *world, c *rp) {
		l := c.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
		first := l.tokens.text("refresh_token")
		if len(first) < 43 {
			t.Fatalf("refresh token %q", first)
		}
		var ids []map[string]any
		for range 2 {
			refreshed := c.refresh(first)
			if refreshed.status != 200 || refreshed.header.Get("Cache-Control") != "no-store" || refreshed.text("token_type") != "Bearer" ||
				refreshed.json["expires_in"] != 600. || refreshed.header.Get("Content-Type") != "application/json" || refreshed.text("access_token") == l.access() {
				t.Fatalf("%d %v %s", refreshed.status, refreshed.header, refreshed.body)
			}
			ids = append(ids, c.claims(refreshed.text("id_token")))
			first = refreshed.text("refresh_token")
			w.clock.Advance(time.Second)
		}
		for _, again := range ids {
			for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
				if again[same] != l.claims[same] {
					t.Errorf("%s: %v, was %v", same, again[same], l.claims[same])
				}
			}
			if again["iat"] == l.claims["iat"] || again["nonce"] != nil || again["azp"] != nil {
				t.Errorf("iat %v, was %v; nonce %v", again["iat"], l.claims["iat"], again["nonce"])
			}
		}
		other := w.second.in(c.mode).login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
		wantAPI(t, c.refresh(other.tokens.text("refresh_token")), 400, "invalid_grant")
		if again := w.second.refresh(other.tokens.text("refresh_token")); again.status != 200 {
			t.Errorf("another site's try cost the owner the token: %s", again.body)
		}
	}},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", func(_ *testing.T, w *world, c *rp) {
		c.login(w.browser(), "code_challenge", s256(testVerifier), "code_challenge_method", "S256")
	}},
}

func TestBasic(t *testing.T) { runBasic(t, "") }

func TestFormPost(t *testing.T) { runBasic(t, formPost) }

// runBasic runs every module in a world of its own, because some of them move the clock.
func runBasic(t *testing.T, mode string) {
	t.Parallel()
	for _, m := range basicModules {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			m.run(t, w, w.first.in(mode))
		})
	}
}

func texts(list any) (out []string) {
	values, _ := list.([]any)
	for _, v := range values {
		out = append(out, v.(string))
	}
	return out
}

func discover(t *testing.T, w *world) map[string]any {
	t.Helper()
	a := w.call(must(http.NewRequest(http.MethodGet, w.srv.URL+discoveryPath, nil)))
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("discovery: %d %v", a.status, a.header)
	}
	return a.json
}

func checkUserinfo(t *testing.T, l loggedIn, a answer) {
	t.Helper()
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.json["sub"] != l.claims["sub"] {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if _, ok := a.json["updated_at"].(float64); !ok || a.json["name"] != "김하나" || a.json["birthdate"] != "1990-01-02" || a.json["phone_number_verified"] != true {
		t.Error(a.body)
	}
}

// wantClaims checks that exactly these claims are there.
func wantClaims(t *testing.T, got map[string]any, want ...string) {
	t.Helper()
	for _, name := range want {
		if got[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// unsupportedScope is what a module does for a scope that is not offered: nothing but to see that asking
// does no harm.
func unsupportedScope(t *testing.T, w *world, c *rp, scope string) {
	t.Helper()
	if slices.Contains(texts(discover(t, w)["scopes_supported"]), scope) {
		t.Errorf("%s is listed", scope)
	}
	l := c.login(w.browser(), "scope", "openid "+scope)
	wantClaims(t, w.userinfo(l.access()).json, "sub")
}

// wantSame checks that a second login was silent and tells of the same act of proving.
func wantSame(t *testing.T, w *world, first loggedIn, again func() loggedIn) {
	t.Helper()
	shown := w.journey.count()
	second := again()
	if w.journey.count() != shown {
		t.Error("a page was shown")
	}
	for _, name := range []string{"sub", "auth_time", "sid"} {
		if first.claims[name] != second.claims[name] {
			t.Errorf("%s: %v, then %v", name, first.claims[name], second.claims[name])
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("oidcc-discovery-endpoint-verification", func(t *testing.T) {
		d := discover(t, w)
		if d["issuer"] != w.srv.URL {
			t.Errorf("issuer %v", d["issuer"])
		}
		for name, value := range d {
			if strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
				if u, err := url.Parse(value.(string)); err != nil || u.Scheme != "https" || !strings.HasPrefix(value.(string), w.srv.URL+"/") {
					t.Errorf("%s is %v", name, value)
				}
			}
			if list, ok := value.([]any); ok && len(list) == 0 {
				t.Errorf("%s is empty", name)
			}
		}
		for name, member := range map[string]string{
			"response_types_supported": "code", "subject_types_supported": "pairwise", "id_token_signing_alg_values_supported": "RS256",
			"scopes_supported": "openid", "grant_types_supported": "authorization_code", "code_challenge_methods_supported": "S256",
			"claims_supported": "sub", "token_endpoint_auth_methods_supported": "client_secret_basic", "response_modes_supported": "form_post",
			"acr_values_supported": method.Level(3).ACR(), "prompt_values_supported": "none", "claim_types_supported": "normal",
			"display_values_supported": "page", "introspection_endpoint_auth_methods_supported": "client_secret_post",
			"revocation_endpoint_auth_methods_supported": "none",
		} {
			if !slices.Contains(texts(d[name]), member) {
				t.Errorf("%s lacks %s: %v", name, member, d[name])
			}
		}
		for name, want := range map[string]bool{
			"claims_parameter_supported": true, "request_parameter_supported": false, "request_uri_parameter_supported": false,
			"authorization_response_iss_parameter_supported": true,
		} {
			if d[name] != want {
				t.Errorf("%s is %v", name, d[name])
			}
		}
		for _, tag := range texts(d["ui_locales_supported"]) {
			if parsed, err := language.Parse(tag); err != nil || parsed.String() != tag {
				t.Errorf("ui_locales_supported: %s", tag)
			}
		}
		a := w.call(must(http.NewRequest(http.MethodGet, d["jwks_uri"].(string), nil)))
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.header.Get("Content-Type") != "application/json" {
			t.Fatal(err)
		}
		kids := make(map[string]bool)
		for _, k := range set.Keys {
			if k.KeyID == "" || kids[k.KeyID] || !k.IsPublic() || !k.Valid() || k.Use != "sig" || k.Algorithm == "" {
				t.Errorf("key %+v", k)
			}
			kids[k.KeyID] = true
		}
		if len(kids) != 2 {
			t.Errorf("%d keys", len(kids))
		}
	})
	t.Run("every endpoint that is told of is there, by both documents", func(t *testing.T) {
		other := w.call(must(http.NewRequest(http.MethodGet, w.srv.URL+metadataPath, nil)))
		d := discover(t, w)
		if other.json["issuer"] != d["issuer"] || len(other.json) != len(d) {
			t.Error("the documents differ")
		}
		for name, value := range d {
			if !strings.HasSuffix(name, "_endpoint") {
				continue
			}
			if a := w.call(must(http.NewRequest(http.MethodPost, value.(string), nil))); a.status == 404 || a.status == 405 {
				t.Errorf("%s: %d", name, a.status)
			}
		}
	})
	t.Run("public documents are cacheable and open to scripts, without credentials", func(t *testing.T) {
		for _, path := range []string{discoveryPath, metadataPath, jwksPath} {
			r := must(http.NewRequest(http.MethodGet, w.srv.URL+path, nil))
			r.Header.Set("Origin", "https://evil.example")
			h := w.call(r).header
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" || !strings.HasPrefix(h.Get("Cache-Control"), "public, max-age=") {
				t.Errorf("%s: %v", path, h)
			}
		}
	})
}

// The modules of the RP-Initiated Logout OP plan.
var logoutModules = []module{
	{"oidcc-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T, w *world, _ *rp) {
		if d := discover(t, w); d["end_session_endpoint"] != w.srv.URL+endSessionPath {
			t.Error(d["end_session_endpoint"])
		}
	}},
	{"oidcc-rp-initiated-logout", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		l := c.login(b)
		state := l.request.Get("state")
		p := b.get(endSessionPath, url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {"https://first.example/bye"}, "state": {state}})
		if p.location != "https://first.example/bye?state="+state {
			t.Errorf("%d to %q", p.status, p.location)
		}
		wantSignedOut(t, c, b)
	}},
	{"oidcc-rp-initiated-logout-no-state", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		p := b.get(endSessionPath, url.Values{"id_token_hint": {c.login(b).idToken()}, "post_logout_redirect_uri": {"https://first.example/bye"}})
		if p.location != "https://first.example/bye" {
			t.Errorf("%d to %q", p.status, p.location)
		}
		wantSignedOut(t, c, b)
	}},
	{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		hint := c.login(b).idToken()
		wantPage(t, b.get(endSessionPath, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://evil.example/bye"}}), 400, CodeRedirect)
	}},
	{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		hint := c.login(b).idToken()
		wantPage(t, b.get(endSessionPath, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://first.example/bye?foo=bar"}}), 400, CodeRedirect)
	}},
	{"oidcc-rp-initiated-logout-modified-id-token-hint", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		parts := strings.Split(c.login(b).idToken(), ".")
		hint := "eyJhbGciOiJub25lIn0." + parts[1] + "."
		wantConfirm(t, b, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://first.example/bye"}})
	}},
	{"oidcc-rp-initiated-logout-bad-id-token-hint", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		parts := strings.Split(c.login(b).idToken(), ".")
		wantConfirm(t, b, url.Values{"id_token_hint": {foreignJWS(t, parts[1])}, "post_logout_redirect_uri": {"https://first.example/bye"}})
	}},
	{"oidcc-rp-initiated-logout-no-id-token-hint", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		c.login(b)
		wantConfirm(t, b, url.Values{"post_logout_redirect_uri": {"https://first.example/bye"}})
	}},
	{"oidcc-rp-initiated-logout-no-params", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		c.login(b)
		wantConfirm(t, b, nil)
		wantSignedOut(t, c, b)
	}},
	{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		wantPage(t, b.get(endSessionPath, url.Values{"id_token_hint": {c.login(b).idToken()}}), 200, "signed out, from first")
		wantSignedOut(t, c, b)
	}},
	{"oidcc-rp-initiated-logout-only-state", func(t *testing.T, w *world, c *rp) {
		b := w.browser()
		c.login(b)
		wantConfirm(t, b, url.Values{"state": {"anything"}})
		wantSignedOut(t, c, b)
	}},
}

func TestLogoutPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, m := range logoutModules {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			m.run(t, w, w.first)
		})
	}
}

// wantConfirm checks that a request to sign out is answered by the confirmation page, which leads to the
// page that says so, and to no other place.
func wantConfirm(t *testing.T, b *browser, query url.Values) {
	t.Helper()
	p := b.get(endSessionPath, query)
	action, values := p.form()
	if p.status != 200 || p.location != "" || action != logoutPath {
		t.Fatalf("%d, location %q, %s", p.status, p.location, p.body)
	}
	if b.cookie("session") == "" {
		t.Error("signed out before the confirmation")
	}
	wantPage(t, b.post(action, values), 200, "signed out, from nobody")
}

func wantSignedOut(t *testing.T, c *rp, b *browser) {
	t.Helper()
	if b.cookie("session") != "" {
		t.Error("the cookie is still there")
	}
	request := c.request("prompt", "none")
	c.wantError(request, c.authorize(b, request), "login_required")
}
