package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

func TestAuthorizeRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	foreign := w.second.login(w.browser()).idToken()
	own := w.first.login(w.browser()).idToken()
	long := strings.Repeat("x", maxState+1)
	for name, test := range map[string]struct {
		request []string
		code    string
	}{
		"nonce with control character": {[]string{"nonce", "a\nb"}, "invalid_request"},
		"nonce not UTF-8":              {[]string{"nonce", "a\xffb"}, "invalid_request"},
		"nonce too long":               {[]string{"nonce", long}, "invalid_request"},
		"registration":                 {[]string{"registration", "{}"}, "registration_not_supported"},
		"prompt none and login":        {[]string{"prompt", "none login"}, "invalid_request"},
		"prompt none and unknown":      {[]string{"prompt", "none create"}, "invalid_request"},
		"max_age negative":             {[]string{"max_age", "-1"}, "invalid_request"},
		"max_age no number":            {[]string{"max_age", "1s"}, "invalid_request"},
		"max_age no number, and huge":  {[]string{"max_age", "99999999999999999999s"}, "invalid_request"},
		"claims no JSON":               {[]string{"claims", "{"}, "invalid_request"},
		"claims of a wrong type":       {[]string{"claims", `{"userinfo":["name"]}`}, "invalid_request"},
		"sub no text":                  {[]string{"claims", `{"id_token":{"sub":{"value":1}}}`}, "invalid_request"},
		"essential acr unknown":        {[]string{"claims", `{"id_token":{"acr":{"essential":true,"value":"urn:other"}}}`}, "unmet_authentication_requirements"},
		"hint no token":                {[]string{"id_token_hint", "x"}, "invalid_request"},
		"hint of another client":       {[]string{"id_token_hint", foreign}, "invalid_request"},
		"hint and sub differ":          {[]string{"id_token_hint", own, "claims", `{"id_token":{"sub":{"value":"other"}}}`}, "invalid_request"},
	} {
		for _, mode := range []string{"", formPost} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				c := w.first.in(mode)
				request := c.request(test.request...)
				c.wantError(request, c.authorize(w.browser(), request), test.code)
			})
		}
	}
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"response_type", "scope", "nonce", "response_mode", "prompt", "anything"} {
			request := w.first.request()
			request[name] = []string{"code", "code"}
			res := w.first.authorize(w.browser(), request)
			request.Del("response_mode")
			w.first.wantError(request, res, "invalid_request")
		}
		request := w.first.request()
		request["state"] = []string{"a", "b"}
		res := w.first.authorize(w.browser(), request)
		if res.values.Get("error") != "invalid_request" || res.values.Has("state") {
			t.Error(res.location)
		}
	})
	t.Run("state that cannot come back as it is", func(t *testing.T) {
		t.Parallel()
		for _, state := range []string{long, "a\x00b", "a\xff", "a\r\nb"} {
			res := w.first.authorize(w.browser(), w.first.request("state", state))
			if res.values.Get("error") != "invalid_request" || res.values.Has("state") {
				t.Errorf("%.10q: %s", state, res.location)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		t.Parallel()
		w.change("public", func(s *site.Site) { s.Disabled = true })
		for name, test := range map[string]struct {
			request url.Values
			code    string
		}{
			"no client":       {w.first.request("client_id", ""), CodeSite},
			"unknown client":  {w.first.request("client_id", "third"), CodeSite},
			"disabled client": {w.public.request(), CodeSite},
			"two clients":     {url.Values{"client_id": {"first", "first"}, "redirect_uri": {w.first.redirect}}, CodeSite},
			"no redirect":     {w.first.request("redirect_uri", ""), CodeRedirect},
			"two redirects":   {url.Values{"client_id": {"first"}, "redirect_uri": {w.first.redirect, w.first.redirect}}, CodeRedirect},
			"another's":       {w.first.request("redirect_uri", w.second.redirect), CodeRedirect},
		} {
			wantPage(t, w.browser().get(authorizePath, test.request), 400, test.code)
			if t.Failed() {
				t.Fatal(name)
			}
		}
	})
	t.Run("no form", func(t *testing.T) {
		t.Parallel()
		send := func(method, target, kind, body string) page {
			r := must(http.NewRequest(method, w.srv.URL+target, strings.NewReader(body)))
			r.Header.Set("Content-Type", kind)
			return w.browser().do(r)
		}
		form := "application/x-www-form-urlencoded"
		request := w.first.request().Encode()
		wantPage(t, send("POST", authorizePath, "application/json", "{}"), 400, CodeRequest)
		wantPage(t, send("POST", authorizePath, "multipart/form-data; boundary=x", request), 400, CodeRequest)
		wantPage(t, send("POST", authorizePath+"?"+request, form, request), 400, CodeRequest)
		wantPage(t, send("POST", authorizePath, form, request+"&x=%zz"), 400, CodeRequest)
		wantPage(t, send("GET", authorizePath+"?"+request+"&x=%zz", "", ""), 400, CodeRequest)
		wantPage(t, send("GET", authorizePath+"?"+request+";x=y", "", ""), 400, CodeRequest)
		if p := send("POST", authorizePath, form, request+"&x="+strings.Repeat("x", maxBody)); p.location != "" || p.status < 400 {
			t.Errorf("a long body: %d", p.status)
		}
		// The body of a GET means nothing.
		if p := send("GET", authorizePath+"?"+request, form, "redirect_uri=https://evil.example/"); !strings.HasPrefix(p.location, w.first.redirect+"?") {
			t.Errorf("to %q", p.location)
		}
	})
}

func TestAuthorizeParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, state := range map[string]string{
		"none": "", "long": strings.Repeat("s", maxState), "all of ASCII": ascii(), "Korean": "상태 값 \u2028",
		"markup": `"><script>alert(1)</script>&amp;`, "encoded": "%2F+%20 +",
	} {
		for _, mode := range []string{"", formPost} {
			t.Run("state "+name+" "+mode, func(t *testing.T) {
				t.Parallel()
				c := w.first.in(mode)
				request := c.request("state", state, "nonce", ascii(), "prompt", "login")
				c.finish(request, c.authorize(w.browser(), request))
			})
		}
	}
	t.Run("an address with a query of its own", func(t *testing.T) {
		t.Parallel()
		l := w.first.login(w.browser(), "redirect_uri", "https://first.example/cb2?tenant=1&x")
		if !strings.HasPrefix(l.location, "https://first.example/cb2?tenant=1&x&code=") {
			t.Error(l.location)
		}
	})
	t.Run("what the journey is told", func(t *testing.T) {
		// Alone with the journey: the other subtests are parallel, so they have not begun.
		request := w.first.request(
			"scope", "openid profile unknown profile", "prompt", "create login", "acr_values", "urn:other "+method.Level(2).ACR()+" "+method.Level(2).ACR(),
			"login_hint", "01012345678", "ui_locales", "ko-KR en", "max_age", "600",
			"claims", `{"userinfo":{"ci":null,"email":null,"phone_number":{"essential":true}},"id_token":{"auth_time":{"essential":true},"name":null},"other":{}}`)
		w.first.finishAnyClaims(request, w.first.authorize(w.browser(), request))
		got := w.journey.last()
		if !slices.Equal(got.req.Scopes, []string{"openid", "profile"}) || !slices.Equal(got.req.Prompts, []string{"login"}) ||
			!slices.Equal(got.req.ACRValues, []string{method.Level(2).ACR()}) ||
			!slices.Equal(got.req.UILocales, []string{"ko-KR", "en"}) || *got.req.MaxAge != 600 || got.known != nil ||
			len(got.req.Claims.UserInfo) != 2 || len(got.req.Claims.IDToken) != 1 {
			t.Errorf("%+v", got)
		}
		if want := []string{"birthdate", "ci", "gender", "name", "nationality", "phone_number", "updated_at"}; !slices.Equal(got.asked, want) {
			t.Errorf("asked %v, want %v", got.asked, want)
		}
	})
	t.Run("offline_access counts with prompt=consent only", func(t *testing.T) {
		t.Parallel()
		if l := w.first.login(w.browser(), "scope", "openid offline_access"); l.tokens.json["refresh_token"] != nil || l.tokens.text("scope") != "openid" {
			t.Error(l.tokens.body)
		}
	})
}

// finishAnyClaims is finish for ID tokens that hold claims about the person.
func (c *rp) finishAnyClaims(request url.Values, res response) map[string]any {
	c.w.tb.Helper()
	a := c.exchange(res.values.Get("code"))
	if a.status != 200 {
		c.w.tb.Fatal(a.body)
	}
	return c.claims(a.text("id_token"))
}

func ascii() string {
	var b strings.Builder
	for c := byte(0x20); c < 0x7f; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

// A session that exists is used or not, as the request and the site want.
// essentialACR is a claims parameter that insists on one of the acr values.
func essentialACR(acrs ...string) string {
	return string(must(json.Marshal(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": acrs}}})))
}

func TestSilentLogin(t *testing.T) {
	t.Parallel()
	acr := func(l method.Level) string { return l.ACR() }
	essential := func(l method.Level) string { return essentialACR(l.ACR()) }
	for name, test := range map[string]struct {
		before  func(w *world, b *browser) // after a login at the second site, by simple authentication, level 2
		request []string
		none    string // error with prompt=none; empty: silent
		shown   bool   // a page is shown without prompt=none
		known   bool   // and it is told of the session
	}{
		"fits":                      {},
		"fits, with max_age":        {request: []string{"max_age", "3600"}},
		"fits, with a huge max_age": {request: []string{"max_age", "99999999999999999999"}},
		"too old":                   {request: []string{"max_age", "5"}, none: "login_required", shown: true},
		"max_age=0":                 {request: []string{"max_age", "0"}, none: "login_required", shown: true},
		"acr reached":               {request: []string{"acr_values", acr(3) + " " + acr(1)}},
		"acr wished for":            {request: []string{"acr_values", acr(3)}, shown: true},
		"acr insisted on":           {request: []string{"claims", essential(3)}, none: "interaction_required", shown: true},
		"acr insisted on, reached":  {request: []string{"claims", essential(1)}},
		"consent needed":            {request: []string{"scope", "openid phone"}, none: "consent_required", shown: true, known: true},
		"somebody else by claim":    {request: []string{"claims", `{"id_token":{"sub":{"value":"somebody"}}}`}, none: "login_required", shown: true},
		"no session":                {before: func(_ *world, b *browser) { b.setCookie("session", "") }, none: "login_required", shown: true},
		"a handle that is none":     {before: func(_ *world, b *browser) { b.setCookie("session", "planted") }, none: "login_required", shown: true},
		"toggle off":                {before: func(_ *world, b *browser) { b.setCookie("sso", "off") }, none: "login_required", shown: true},
		"idle for too long":         {before: func(w *world, _ *browser) { w.clock.Advance(5 * time.Hour) }, none: "login_required", shown: true},
		"site without SSO":          {before: func(w *world, _ *browser) { w.change("first", func(s *site.Site) { s.NoSSO = true }) }, none: "login_required", shown: true},
		"site that wants another way": {before: func(w *world, _ *browser) {
			w.change("first", func(s *site.Site) { s.Methods = []method.Method{method.MobileID} })
		}, none: "interaction_required", shown: true},
		"site that takes it": {before: func(w *world, _ *browser) {
			w.change("first", func(s *site.Site) { s.Methods = []method.Method{method.Simple} })
		}},
		"method wished for, reached":   {request: []string{"acr_values", method.Simple.ACR() + " " + acr(3)}},
		"method wished for":            {request: []string{"acr_values", method.MobileID.ACR()}, shown: true},
		"method insisted on":           {request: []string{"claims", essentialACR(method.MobileID.ACR())}, none: "interaction_required", shown: true},
		"method insisted on, reached":  {request: []string{"claims", essentialACR(method.MobileID.ACR(), method.Simple.ACR())}},
		"method or level insisted on":  {request: []string{"claims", essentialACR(method.MobileID.ACR(), acr(2))}},
		"texts of other versions":      {before: func(w *world, _ *browser) { w.terms.Store("terms=2") }, none: "interaction_required", shown: true, known: true},
		"signed out of this site only": {before: func(w *world, b *browser) { w.first.login(b); w.leave(b, "first") }, none: "login_required", shown: true, known: true},
		"signed out of another site":   {before: func(w *world, b *browser) { w.leave(b, "second") }},
		"ended elsewhere": {before: func(w *world, _ *browser) {
			_, n, err := w.logout.EndAll(w.tb.Context(), w.kim, "", logout.Why{Cause: logout.Citizen})
			must(n, err)
		}, none: "login_required", shown: true},
		"withdrawn": {before: func(w *world, _ *browser) {
			w.withdraw(w.kim)
			w.journey.as(w.lee, method.Simple, 2)
		}, none: "login_required", shown: true},
		"site that wants a level":      {before: func(w *world, _ *browser) { w.change("first", func(s *site.Site) { s.Level = 3 }) }, none: "interaction_required", shown: true},
		"prompt=login":                 {request: []string{"prompt", "login"}, shown: true},
		"prompt=consent":               {request: []string{"prompt", "consent"}, shown: true, known: true},
		"prompt=select_account":        {request: []string{"prompt", "select_account"}, shown: true, known: true},
		"prompt=login consent":         {request: []string{"prompt", "login consent"}, shown: true},
		"prompt=select_account, level": {request: []string{"prompt", "select_account", "claims", essential(3)}, shown: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.browser()
			w.second.login(b)
			w.clock.Advance(10 * time.Second)
			if test.before != nil {
				test.before(w, b)
			}
			ask := w.first.request(test.request...)
			if !ask.Has("prompt") {
				ask.Set("prompt", "none")
				res := w.first.authorize(b, ask)
				if w.journey.count() != 1 {
					t.Error("a page was shown with prompt=none")
				}
				if test.none != "" {
					w.first.wantError(ask, res, test.none)
				} else {
					w.first.finishAnyClaims(ask, res)
				}
				ask.Del("prompt")
			}
			res := w.first.authorize(b, ask)
			if shown := w.journey.count() > 1; shown != test.shown {
				t.Fatalf("page shown: %t", shown)
			}
			if test.shown && (w.journey.last().known != nil) != test.known {
				t.Errorf("known: %+v", w.journey.last().known)
			}
			w.first.finishAnyClaims(ask, res)
		})
	}
}

// Whoever the hint names must be who is signed in.
func TestHintOfAnotherPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	kim := w.first.login(b)
	w.journey.as(w.lee, method.Simple, 2)
	lee := w.first.login(b, "prompt", "login")
	if kim.claims["sub"] == lee.claims["sub"] || kim.claims["sid"] == lee.claims["sid"] {
		t.Error("two people look like one")
	}
	request := w.first.request("prompt", "none", "id_token_hint", kim.idToken())
	w.first.wantError(request, w.first.authorize(b, request), "login_required")
	w.first.login(b, "prompt", "none", "id_token_hint", lee.idToken())
	w.first.login(b, "id_token_hint", kim.idToken())
	if got := w.journey.last(); got.known != nil || got.req.Subject != kim.claims["sub"] {
		t.Errorf("%+v", got)
	}
	// A hint that has expired names a person as well as before.
	w.clock.Advance(time.Hour)
	w.first.login(b, "prompt", "none", "id_token_hint", lee.idToken())
}

// Consent is remembered by the session, then by its record, until the site's terms change.
func TestConsentRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b, "scope", "openid profile")
	w.first.login(b, "prompt", "none", "scope", "openid profile")
	w.first.login(b, "prompt", "none", "claims", `{"userinfo":{"name":null}}`)

	other := w.browser() // another session: the record counts
	w.second.login(other)
	l := w.first.login(other, "prompt", "none", "scope", "openid profile")
	wantClaims(t, w.userinfo(l.access()).json, "sub", "name", "gender", "birthdate", "nationality", "updated_at")

	request := w.first.request("prompt", "none", "scope", "openid profile phone")
	w.first.wantError(request, w.first.authorize(b, request), "consent_required")
	w.change("first", func(s *site.Site) { s.HandOver.Version = "2" })
	request = w.first.request("prompt", "none", "scope", "openid profile")
	for _, b := range []*browser{b, other} {
		w.first.wantError(request, w.first.authorize(b, request), "consent_required")
	}
	w.clock.Advance(time.Second) // the newest record is the one that counts
	w.clock.Advance(time.Second) // the newest record counts
	w.first.login(b, "scope", "openid profile")
	w.first.login(other, "prompt", "none", "scope", "openid profile")
}

// What a site merely likes to know is asked for once, and is no reason to refuse.
func TestVoluntaryClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	like := []string{"claims", `{"userinfo":{"phone_number":null}}`}
	l := w.first.login(b, append(like, "prompt", "none")...)
	wantClaims(t, w.userinfo(l.access()).json, "sub")
	l = w.first.login(b, like...)
	if w.journey.count() != 2 || w.journey.last().known == nil {
		t.Error("the person was not asked")
	}
	wantClaims(t, w.userinfo(l.access()).json, "sub", "phone_number")
	l = w.first.login(b, like...)
	if w.journey.count() != 2 {
		t.Error("the person was asked twice")
	}
	wantClaims(t, w.userinfo(l.access()).json, "sub", "phone_number")
}

// A silent login is as durable as any other.
func TestSilentLoginIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.second.login(b)
	w.first.login(b, "prompt", "none")
	c := must(w.grants.Store.Connection(t.Context(), w.kim, "first"))
	if c.Logins != 1 {
		t.Errorf("%+v", c)
	}
	events := w.events(audit.SiteLogin)
	e := events[slices.IndexFunc(events, func(e audit.Event) bool { return e.Site == "first" })]
	if e.Person != w.kim || e.Address != "127.0.0.1" || e.Detail["method"] != "simple" || e.Detail["level"] != "2" || e.Detail["sso"] != "joined" {
		t.Errorf("%+v", e)
	}
	found := must(w.sessions.Find(t.Context(), b.cookie("session")))
	if _, ok := found.Sites["first"]; !ok {
		t.Error("the session does not know of the site")
	}
}

// A silent login goes to the kv store as seldom as can be.
func TestSilentLoginRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	before := w.kv.calls()
	code := w.first.authorize(b, w.first.request("prompt", "none")).values.Get("code")
	if n := w.kv.calls() - before; n != 2 {
		t.Errorf("authorize: %d calls of kv, want to get the session and to set the code", n)
	}
	before = w.kv.calls()
	if a := w.first.exchange(code); a.status != 200 {
		t.Fatal(a.body)
	}
	if n := w.kv.calls() - before; n != 4 {
		t.Errorf("token: %d calls of kv, want to get and to spend the code, to see that it stands, and to set the token", n)
	}
}

// A POST from a site brings no cookie. It comes back as a GET, which does.
func TestCrossSitePost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	request := w.first.request("prompt", "none")
	r := must(http.NewRequest(http.MethodPost, w.srv.URL+authorizePath, strings.NewReader(request.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://first.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	bare := w.browser()
	bare.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p := bare.do(r)
	if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, authorizePath+"?") {
		t.Fatalf("%d to %q", p.status, p.location)
	}
	again := must(http.NewRequest(http.MethodGet, w.srv.URL+p.location, nil))
	w.first.finish(request, w.first.response(b.do(again)))

	// With the cookie there is no need to, and the answer to a POST is a 303.
	r = must(http.NewRequest(http.MethodPost, w.srv.URL+authorizePath, strings.NewReader(w.first.request("prompt", "none").Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p := b.do(r); p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, w.first.redirect) {
		t.Errorf("%d to %q", p.status, p.location)
	}
	// What is too long for an address is answered as it stands.
	long := w.first.request("prompt", "none", "state", strings.Repeat("s", maxReentry))
	w.first.wantError(long, w.first.response(w.browser().post(authorizePath, long)), "login_required")
}

func TestJourneyDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.journey.deny = true
	for _, mode := range []string{"", formPost} {
		c := w.first.in(mode)
		request := c.request()
		c.wantError(request, c.authorize(w.browser(), request), "access_denied")
	}
}

// acr is told so that a site that compares texts finds what it asked for.
func TestACR(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.journey.as(w.kim, method.MobileID, 3)
	acr := func(overrides ...string) any { return w.first.login(w.browser(), overrides...).claims["acr"] }
	if got := acr(); got != method.Level(3).ACR() {
		t.Errorf("unasked: %v", got)
	}
	if got := acr("acr_values", method.Level(2).ACR()); got != method.Level(2).ACR() {
		t.Errorf("level 2 asked for: %v", got)
	}
	for _, asked := range [][]string{
		{"acr_values", method.MobileID.ACR()}, {"acr_values", method.Level(2).ACR() + " " + method.MobileID.ACR()},
		{"claims", essentialACR(method.MobileID.ACR())}, {"claims", essentialACR(method.MobileID.ACR(), method.Level(3).ACR())},
	} {
		l := w.first.login(w.browser(), append(asked, "scope", "openid offline_access", "prompt", "consent")...)
		if got := l.claims["acr"]; got != method.MobileID.ACR() {
			t.Errorf("%v: %v", asked, got)
		}
		refreshed := w.first.refresh(l.tokens.text("refresh_token"))
		if got := w.first.claims(refreshed.text("id_token"))["acr"]; got != method.MobileID.ACR() {
			t.Errorf("%v, refreshed: %v", asked, got)
		}
		if a := w.first.api(introspectPath, url.Values{"token": {l.access()}}); a.json["acr"] != method.MobileID.ACR() {
			t.Errorf("%v, introspected: %s", asked, a.body)
		}
	}
	if got := acr("acr_values", method.Simple.ACR()); got != method.Level(3).ACR() {
		t.Errorf("another method asked for: %v", got)
	}
	for _, acr := range []string{method.Phone.ACR(), "urn:other"} { // which does not log in, and is none of ours
		request := w.first.request("claims", essentialACR(acr))
		w.first.wantError(request, w.first.authorize(w.browser(), request), "unmet_authentication_requirements")
	}
	w.change("second", func(s *site.Site) { s.Methods = []method.Method{method.MobileID} })
	request := w.second.request("claims", essentialACR(method.Simple.ACR()))
	w.second.wantError(request, w.second.authorize(w.browser(), request), "unmet_authentication_requirements")
	w.second.login(w.browser(), "claims", essentialACR(method.Simple.ACR(), method.MobileID.ACR()))

	l := w.first.login(w.browser(), "acr_values", method.Level(1).ACR(), "scope", "openid offline_access", "prompt", "consent")
	refreshed := w.first.claims(w.first.refresh(l.tokens.text("refresh_token")).text("id_token"))
	if refreshed["acr"] != method.Level(1).ACR() {
		t.Errorf("refreshed: %v", refreshed["acr"])
	}
}

// Two sites of one sector know a person by one name, others by another; public subjects are a third.
func TestSubjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sibling := w.addSite(site.Site{ID: "sibling", Name: "자매", RedirectURIs: []string{"https://first.example/sibling"}, SigningAlg: "ES256"})
	sub := func(c *rp) any { return c.login(w.browser()).claims["sub"] }
	first, second, public := sub(w.first), sub(w.second), sub(w.public)
	if first == second || first == public || second == public || first != sub(sibling) || first != sub(w.first) {
		t.Errorf("%v %v %v", first, second, public)
	}
}

func TestNewChecksTheIssuer(t *testing.T) {
	t.Parallel()
	for _, issuer := range []string{"", "anyid", "http://anyid.example", "https://anyid.example/", "https://anyid.example/path", "https://anyid.example?x", "https://u@anyid.example"} {
		if _, err := New(Config{Issuer: issuer, Pages: pages{}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	for _, issuer := range []string{"https://anyid.example", "http://localhost:8080", "http://127.0.0.1:1"} {
		if _, err := New(Config{Issuer: issuer, Pages: pages{}}); err != nil {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

// The code keeps nothing of the state, which may be long.
func TestCodeIsSmall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	code := w.first.authorize(b, w.first.request("prompt", "none", "state", strings.Repeat("s", maxState))).values.Get("code")
	got := must(w.grants.RedeemCode(t.Context(), code, func(grant.Code) error { return nil }))
	if got.Request.State != "" || got.Session != must(w.sessions.Find(t.Context(), b.cookie(session.Cookie))).ID {
		t.Errorf("%+v", got)
	}
}
