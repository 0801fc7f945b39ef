package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/site"
)

// A site authenticates by the one method that it is registered with, and by no other.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"https://x.example/"}}
	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, secret) }
	}
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	in := func(pairs ...string) url.Values {
		v := url.Values{}
		for k := range form {
			v.Set(k, form.Get(k))
		}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	for name, test := range map[string]struct {
		form   url.Values
		header func(*http.Request)
		status int
		code   string
	}{
		"basic":                      {form, basic("first", w.first.secret), 400, "invalid_grant"},
		"basic, with the id again":   {in("client_id", "first"), basic("first", w.first.secret), 400, "invalid_grant"},
		"post":                       {in("client_id", "second", "client_secret", w.second.secret), nil, 400, "invalid_grant"},
		"public":                     {in("client_id", "public"), nil, 400, "invalid_grant"},
		"basic for a post site":      {form, basic("second", w.second.secret), 401, "invalid_client"},
		"post for a basic site":      {in("client_id", "first", "client_secret", w.first.secret), nil, 401, "invalid_client"},
		"none for a basic site":      {in("client_id", "first"), nil, 401, "invalid_client"},
		"none for a post site":       {in("client_id", "second"), nil, 401, "invalid_client"},
		"basic for a public site":    {form, basic("public", ""), 401, "invalid_client"},
		"post for a public site":     {in("client_id", "public", "client_secret", "x"), nil, 401, "invalid_client"},
		"public, without a value":    {in("client_id", "public", "client_secret", "", "client_assertion", ""), nil, 400, "invalid_grant"},
		"basic, without a value":     {in("client_secret", "", "client_assertion_type", ""), basic("first", w.first.secret), 400, "invalid_grant"},
		"post, without a value":      {in("client_id", "second", "client_secret", ""), nil, 401, "invalid_client"},
		"wrong secret":               {form, basic("first", "wrong"), 401, "invalid_client"},
		"empty secret":               {form, basic("first", ""), 401, "invalid_client"},
		"another's secret":           {form, basic("first", w.second.secret), 401, "invalid_client"},
		"the hash for the secret":    {form, basic("first", must(w.sites.Lookup("first")).Secrets[0].Hash), 401, "invalid_client"},
		"unknown site":               {form, basic("third", w.first.secret), 401, "invalid_client"},
		"unknown site, empty secret": {form, basic("third", ""), 401, "invalid_client"},
		"unknown public site":        {in("client_id", "third"), nil, 401, "invalid_client"},
		"nobody":                     {form, nil, 401, "invalid_client"},
		"bearer":                     {in("client_id", "first"), header("Bearer x"), 401, "invalid_client"},
		"basic of nothing":           {form, header("Basic"), 401, "invalid_client"},
		"basic of no base64":         {form, header("Basic %%%"), 401, "invalid_client"},
		"basic of no form encoding":  {form, basic("first", "%zz"), 401, "invalid_client"},
		"id of no form encoding":     {form, basic("%zz", "x"), 401, "invalid_client"},
		"basic and post":             {in("client_id", "first", "client_secret", w.first.secret), basic("first", w.first.secret), 400, "invalid_request"},
		"basic and the secret alone": {in("client_secret", w.first.secret), basic("first", w.first.secret), 400, "invalid_request"},
		"basic, and another id":      {in("client_id", "second"), basic("first", w.first.secret), 400, "invalid_request"},
		"assertion":                  {in("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "x.y.z", "client_id", "public"), nil, 401, "invalid_client"},
		"assertion instead of an id": {in("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "x.y.z"), nil, 401, "invalid_client"},
		"basic and assertion":        {in("client_assertion", "x.y.z"), basic("first", w.first.secret), 400, "invalid_request"},
		"an odd assertion type":      {in("client_id", "public", "client_assertion", "x", "client_assertion_type", "\"x\""), nil, 401, "invalid_client"},
		"two authorization headers": {form, func(r *http.Request) {
			r.Header["Authorization"] = []string{"Basic Zmlyc3Q6eA==", "Basic Zmlyc3Q6eA=="}
		}, 401, "invalid_client"},
		"secret longer than any":       {form, basic("first", strings.Repeat("x", 4096)), 401, "invalid_client"},
		"secret with the right prefix": {form, basic("first", w.first.secret+"x"), 401, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantAPI(t, w.postForm(tokenPath, test.form, test.header), test.status, test.code)
		})
	}
}

// A spent code, however old, ends what came from it only in the hands of the site that could have redeemed it.
func TestReplayByOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := w.first.request()
	code := w.first.authorize(w.browser(), request).values.Get("code")
	access := w.first.exchange(code).text("access_token")
	for range 2 {
		wantAPI(t, w.second.exchange(code), 400, "invalid_grant")
		wantAPI(t, w.first.exchange(code, "redirect_uri", "https://other.example/"), 400, "invalid_grant")
		wantAPI(t, w.first.exchange(code, "code_verifier", strings.Repeat("x", 43)), 400, "invalid_grant")
		wantAPI(t, w.userinfo(access), 200, "")
		w.clock.Advance(time.Minute) // the code itself is gone
	}
	wantAPI(t, w.first.exchange(code), 400, "invalid_grant")
	wantAPI(t, w.userinfo(access), 401, "invalid_token")
}

// While a site changes its secret over, both are good; then the old one is not.
func TestSecretRollover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := *w.first
	renewed := *w.first
	renewed.secret = w.addSecret("first", w.clock.Now().Add(time.Hour))
	for _, c := range []*rp{&old, &renewed} {
		c.login(w.browser())
	}
	w.clock.Advance(time.Hour)
	renewed.login(w.browser())
	wantAPI(t, old.exchange("x"), 401, "invalid_client")
}

// Failures are counted and told of in time; success is neither counted nor refused.
func TestFailedAuthenticationIsLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := *w.first
	wrong.secret = "wrong"
	for range 20 {
		wantAPI(t, wrong.exchange("x"), 401, "invalid_client")
	}
	for _, path := range []string{tokenPath, introspectPath, revokePath} {
		form := url.Values{"token": {"x"}}
		if path == tokenPath {
			form = url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"x"}}
		}
		a := wrong.api(path, form)
		wantAPI(t, a, 429, "invalid_client")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	w.first.login(w.browser())
	if e := w.kv.other.Load(); e < 20 {
		t.Errorf("%d counts", e)
	}
	other := *w.second
	other.secret = "wrong"
	wantAPI(t, other.exchange("x"), 401, "invalid_client")
	// Names that are guessed share one counter.
	for i := range 20 {
		guess := *w.first
		guess.id = "guess" + string(rune('a'+i))
		wantAPI(t, guess.exchange("x"), 401, "invalid_client")
	}
	guess := *w.first
	guess.id = "another"
	wantAPI(t, guess.exchange("x"), 429, "invalid_client")
	w.clock.Advance(time.Minute)
	wantAPI(t, wrong.exchange("x"), 401, "invalid_client")
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.first.authorize(w.browser(), w.first.request()).values.Get("code")
	w.clock.Advance(time.Minute)
	wantAPI(t, w.first.exchange(code), 400, "invalid_grant")
	if len(w.events(audit.CodeReplayed)) != 0 {
		t.Error("an expired code was taken for a replay")
	}
	wantAPI(t, w.first.api(tokenPath, url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {w.first.redirect}}), 400, "invalid_request")
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.first.login(w.browser(), "scope", "openid profile offline_access", "prompt", "consent")
	token := l.tokens.text("refresh_token")
	wantAPI(t, w.first.refresh(token, "scope", "openid phone"), 400, "invalid_scope")
	wantAPI(t, w.first.refresh("x"), 400, "invalid_grant")
	wantAPI(t, w.first.refresh(""), 400, "invalid_request")

	narrowed := w.first.refresh(token, "scope", "offline_access  openid")
	if narrowed.status != 200 || narrowed.text("scope") != "openid offline_access" {
		t.Fatal(narrowed.body)
	}
	wantClaims(t, w.userinfo(narrowed.text("access_token")).json, "sub")
	full := w.first.refresh(narrowed.text("refresh_token"))
	if full.text("scope") != "openid profile offline_access" {
		t.Fatal(full.body)
	}
	if info := w.userinfo(full.text("access_token")); info.json["name"] != "김하나" {
		t.Error(info.body)
	}
	t.Run("reuse ends the family", func(t *testing.T) {
		wantAPI(t, w.first.refresh(token), 400, "invalid_grant")
		wantAPI(t, w.first.refresh(full.text("refresh_token")), 400, "invalid_grant")
		wantAPI(t, w.userinfo(full.text("access_token")), 401, "invalid_token")
	})
	t.Run("ends idle", func(t *testing.T) {
		l := w.first.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
		w.clock.Advance(24 * time.Hour)
		wantAPI(t, w.first.refresh(l.tokens.text("refresh_token")), 400, "invalid_grant")
	})
	t.Run("ends with the site's right to it", func(t *testing.T) {
		l := w.first.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
		w.change("first", func(s *site.Site) {
			s.GrantTypes = []string{site.AuthorizationCode}
			s.Scopes = []string{"openid", "profile"}
		})
		wantAPI(t, w.first.refresh(l.tokens.text("refresh_token")), 400, "unauthorized_client")
	})
}

// A library that knows nothing of ours logs in.
func TestOAuth2Library(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, test := range []struct {
		c     *rp
		style oauth2.AuthStyle
	}{{w.first, oauth2.AuthStyleInHeader}, {w.second, oauth2.AuthStyleInParams}, {w.public, oauth2.AuthStyleInParams}} {
		endpoint := w.provider.Endpoint()
		endpoint.AuthStyle = test.style
		conf := oauth2.Config{ClientID: test.c.id, ClientSecret: test.c.secret, Endpoint: endpoint, RedirectURL: test.c.redirect, Scopes: []string{"openid", "profile"}}
		verifier := oauth2.GenerateVerifier()
		address := conf.AuthCodeURL("some state", oauth2.S256ChallengeOption(verifier))
		res := test.c.response(w.browser().do(must(http.NewRequest(http.MethodGet, address, nil))))
		token, err := conf.Exchange(w.clientContext(), res.values.Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		claims := test.c.claims(token.Extra("id_token").(string))
		info, err := w.provider.UserInfo(w.clientContext(), oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != claims["sub"] {
			t.Errorf("userinfo %v, %v", info, err)
		}
	}
}

func TestUserinfoBearer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.first.login(w.browser()).access()
	bearer := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	shown := url.Values{"access_token": {token}}
	for name, test := range map[string]struct {
		form   url.Values
		header func(*http.Request)
		status int
		code   string
	}{
		"header":               {nil, bearer("Bearer " + token), 200, ""},
		"header, lower case":   {nil, bearer("bearer " + token), 200, ""},
		"header, upper case":   {nil, bearer("BEARER  " + token), 200, ""},
		"form":                 {shown, nil, 200, ""},
		"nothing":              {nil, nil, 401, ""},
		"another scheme":       {nil, bearer("Basic " + token), 401, ""},
		"DPoP":                 {nil, bearer("DPoP " + token), 401, ""},
		"no scheme":            {nil, bearer(token), 401, ""},
		"empty":                {nil, bearer("Bearer "), 400, "invalid_request"},
		"unknown":              {nil, bearer("Bearer x"), 401, "invalid_token"},
		"header and form":      {shown, bearer("Bearer " + token), 400, "invalid_request"},
		"two headers":          {nil, bearer("Bearer "+token, "Bearer "+token), 400, "invalid_request"},
		"two in the form":      {url.Values{"access_token": {token, token}}, nil, 400, "invalid_request"},
		"form of another type": {shown, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 401, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := w.postForm(userinfoPath, test.form, test.header)
			if test.code != "" {
				wantAPI(t, a, test.status, test.code)
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="anyid", error="`+test.code+`"`) {
					t.Errorf("WWW-Authenticate %q", got)
				}
				return
			}
			if a.status != test.status {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if got := a.header.Get("WWW-Authenticate"); test.status == 401 && got != `Bearer realm="anyid"` {
				t.Errorf("WWW-Authenticate %q", got)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		w := newWorld(t)
		token := w.first.login(w.browser()).access()
		w.clock.Advance(10 * time.Minute)
		wantAPI(t, w.userinfo(token), 401, "invalid_token")
	})
	t.Run("of a site that is disabled", func(t *testing.T) {
		w := newWorld(t)
		token := w.first.login(w.browser()).access()
		w.change("first", func(s *site.Site) { s.Disabled = true })
		wantAPI(t, w.userinfo(token), 401, "invalid_token")
	})
}

// What is handed over is what was asked, allowed and agreed to, each.
func TestClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("CI, written down each time", func(t *testing.T) {
		l := w.first.login(w.browser(), "scope", "openid ci")
		if disclosed := len(w.events(audit.CIDisclosed)); disclosed != 0 {
			t.Errorf("%d disclosures before userinfo", disclosed)
		}
		if info := w.userinfo(l.access()); info.json["ci"] != testCI {
			t.Error(info.body)
		}
		events := w.events(audit.CIDisclosed)
		if len(events) != 1 || events[0].Person != w.kim || events[0].Site != "first" || events[0].Actor != "site:first" {
			t.Errorf("%+v", events)
		}
	})
	t.Run("in the ID token on demand only", func(t *testing.T) {
		request := w.first.request("claims", `{"id_token":{"name":{"essential":true},"ci":null},"userinfo":{"phone_number":null,"phone_number_verified":null}}`)
		a := w.first.exchange(w.first.authorize(w.browser(), request).values.Get("code"))
		claims := w.first.claims(a.text("id_token"))
		if claims["name"] != "김하나" || claims["ci"] != testCI || claims["phone_number"] != nil {
			t.Errorf("%v", claims)
		}
		wantClaims(t, w.userinfo(a.text("access_token")).json, "sub", "phone_number", "phone_number_verified")
	})
	t.Run("not what the site may not have", func(t *testing.T) {
		request := w.second.request("scope", "openid ci phone", "claims", `{"userinfo":{"ci":null,"phone_number":null,"name":null},"id_token":{"ci":null}}`)
		a := w.second.exchange(w.second.authorize(w.browser(), request).values.Get("code"))
		wantClaims(t, w.userinfo(a.text("access_token")).json, "sub", "name")
		if w.second.claims(a.text("id_token"))["ci"] != nil || a.text("scope") != "openid" {
			t.Error(a.body)
		}
	})
	t.Run("not what was taken from the site since", func(t *testing.T) {
		w := newWorld(t)
		l := w.first.login(w.browser(), "scope", "openid ci phone")
		w.change("first", func(s *site.Site) {
			s.Scopes = []string{"openid", "phone"}
			s.GrantTypes = []string{site.AuthorizationCode}
		})
		wantClaims(t, w.userinfo(l.access()).json, "sub", "phone_number", "phone_number_verified")
	})
	t.Run("no CI of those who have none", func(t *testing.T) {
		w := newWorld(t)
		w.journey.as(w.lee, "simple", 2)
		l := w.first.login(w.browser(), "scope", "openid ci")
		wantClaims(t, w.userinfo(l.access()).json, "sub")
		if len(w.events(audit.CIDisclosed)) != 0 {
			t.Error("nothing was disclosed, but it was written down")
		}
	})
	t.Run("nobody's, when the person is no more", func(t *testing.T) {
		w := newWorld(t)
		l := w.first.login(w.browser(), "scope", "openid profile")
		w.withdraw(w.kim)
		wantAPI(t, w.userinfo(l.access()), 401, "invalid_token")
	})
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.first.login(w.browser(), "scope", "openid profile offline_access", "prompt", "consent")
	ask := func(c *rp, token string, more ...string) answer {
		form := url.Values{"token": {token}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return c.api(introspectPath, form)
	}
	for _, hint := range []string{"access_token", "refresh_token", "unknown"} {
		a := ask(w.first, l.access(), "token_type_hint", hint)
		if a.status != 200 || a.json["active"] != true || a.text("scope") != "openid profile offline_access" || a.text("client_id") != "first" ||
			a.text("token_type") != "Bearer" || a.json["sub"] != l.claims["sub"] || a.text("iss") != w.srv.URL || a.text("aud") != "first" ||
			a.json["exp"].(float64)-a.json["iat"].(float64) != 600 || a.json["acr"] != l.claims["acr"] || a.json["auth_time"] != l.claims["auth_time"] ||
			a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v %s", a.header, a.body)
		}
	}
	a := ask(w.first, l.tokens.text("refresh_token"))
	if a.json["active"] != true || a.json["token_type"] != nil || a.json["sub"] != l.claims["sub"] {
		t.Error(a.body)
	}
	for name, a := range map[string]answer{
		"unknown": ask(w.first, "x"), "another site's": ask(w.second, l.access()), "another site's refresh token": ask(w.second, l.tokens.text("refresh_token")),
		"ID token": ask(w.first, l.idToken()), "code": ask(w.first, l.values.Get("code")),
	} {
		if a.status != 200 || strings.TrimSpace(a.body) != `{"active":false}` {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	wantAPI(t, ask(w.public, l.access()), 401, "invalid_client")
	wantAPI(t, w.postForm(introspectPath, url.Values{"token": {l.access()}}, nil), 401, "invalid_client")
	wantAPI(t, w.postForm(introspectPath, url.Values{"token": {l.access()}}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+l.access()) }), 401, "invalid_client")
	wantAPI(t, w.first.api(introspectPath, url.Values{}), 400, "invalid_request")
	w.clock.Advance(10 * time.Minute)
	if a := ask(w.first, l.access()); a.json["active"] != false {
		t.Error(a.body)
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revoke := func(c *rp, token, hint string) answer {
		return c.api(revokePath, url.Values{"token": {token}, "token_type_hint": {hint}})
	}
	login := func() loggedIn {
		return w.first.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
	}
	for _, hint := range []string{"", "access_token", "refresh_token", "nonsense"} {
		l := login()
		for _, token := range []string{l.access(), l.tokens.text("refresh_token")} {
			if a := revoke(w.second, token, hint); a.status != 200 {
				t.Errorf("another site: %d %s", a.status, a.body)
			}
		}
		if w.userinfo(l.access()).status != 200 {
			t.Error("another site ended the token")
		}
		if a := revoke(w.first, l.access(), hint); a.status != 200 || strings.TrimSpace(a.body) != "" && strings.TrimSpace(a.body) != "null" {
			t.Errorf("%d %q", a.status, a.body)
		}
		wantAPI(t, w.userinfo(l.access()), 401, "invalid_token")
		next := w.first.refresh(l.tokens.text("refresh_token"))
		if next.status != 200 {
			t.Fatalf("the refresh token ended with the access token: %s", next.body)
		}
		if a := revoke(w.first, next.text("refresh_token"), hint); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		wantAPI(t, w.userinfo(next.text("access_token")), 401, "invalid_token")
		wantAPI(t, w.first.refresh(next.text("refresh_token")), 400, "invalid_grant")
		if a := revoke(w.first, next.text("refresh_token"), hint); a.status != 200 {
			t.Errorf("again: %d %s", a.status, a.body)
		}
	}
	for _, token := range []string{"x", "a.b", "a.b.c"} {
		if a := revoke(w.first, token, ""); a.status != 200 {
			t.Errorf("%s: %d %s", token, a.status, a.body)
		}
	}
	l := w.public.login(w.browser())
	if a := revoke(w.public, l.access(), ""); a.status != 200 || w.userinfo(l.access()).status != 401 {
		t.Errorf("public: %d %s", a.status, a.body)
	}
	wantAPI(t, w.first.api(revokePath, url.Values{}), 400, "invalid_request")
	if !slices.ContainsFunc(w.events(audit.GrantRevoked), func(e audit.Event) bool { return e.Site == "first" && e.Person == w.kim }) {
		t.Error("no event")
	}
}
