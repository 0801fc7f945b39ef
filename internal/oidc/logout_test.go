package oidc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/site"
)

const bye = "https://first.example/bye"

func TestLogout(t *testing.T) {
	t.Parallel()
	t.Run("by an expired hint, with client_id, keeping the address's own query", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		l := w.first.login(b)
		w.clock.Advance(2 * time.Hour)
		p := b.get(endSessionPath, url.Values{"id_token_hint": {l.idToken()}, "client_id": {"first"}, "post_logout_redirect_uri": {bye + "?from=anyid"}, "state": {"a b+c&"}})
		if p.location != bye+"?from=anyid&state=a+b%2Bc%26" {
			t.Error(p.location)
		}
		events := w.events(audit.SessionEnded)
		if len(events) != 1 || events[0].Person != w.kim || events[0].Site != "first" || events[0].Address != "127.0.0.1" {
			t.Errorf("%+v", events)
		}
		wantSignedOut(t, w.first, b)
		// Once more: there is nothing to end, and the site's wish is fulfilled all the same.
		if p := b.get(endSessionPath, url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {bye}}); p.location != bye {
			t.Errorf("%d to %q", p.status, p.location)
		}
		if n := len(w.events(audit.SessionEnded)); n != 1 {
			t.Errorf("%d events", n)
		}
	})
	t.Run("a logout token is no hint", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		l := w.first.login(b)
		d := Deliverer{Issuer: w.srv.URL, Keys: testKeys(), Now: w.clock.Now}
		told := logout.Told{Site: "first", SID: l.claims["sid"].(string), Subject: l.claims["sub"].(string)}
		token := must(d.token(must(w.sites.Lookup("first")), told))
		wantConfirm(t, b, url.Values{"id_token_hint": {token}, "post_logout_redirect_uri": {bye}})
	})
	t.Run("a hint of another session asks, then goes where it said", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		old := w.first.login(w.browser())
		b := w.browser()
		w.journey.as(w.lee, method.Simple, 2)
		w.first.login(b)
		p := b.get(endSessionPath, url.Values{"id_token_hint": {old.idToken()}, "post_logout_redirect_uri": {bye}, "state": {"s"}, "extra": {"x"}})
		action, values := p.form()
		if p.status != 200 || action != logoutPath || len(values) != 3 {
			t.Fatalf("%d %s", p.status, p.body)
		}
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://first.example;") {
			t.Errorf("the form's end is not allowed: %s", csp)
		}
		if p = b.post(action, values); p.status != http.StatusSeeOther || p.location != bye+"?state=s" {
			t.Errorf("%d to %q", p.status, p.location)
		}
		wantSignedOut(t, w.first, b)
	})
	t.Run("a hint for another client than client_id says proves nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		l := w.first.login(b)
		wantConfirm(t, b, url.Values{"id_token_hint": {l.idToken()}, "client_id": {"second"}, "post_logout_redirect_uri": {bye}})
	})
	t.Run("a hint for a site that is no more proves nothing", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		l := w.first.login(b)
		w.change("first", func(s *site.Site) { s.Disabled = true })
		wantConfirm(t, b, url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {bye}})
	})
	t.Run("by POST from the site, which brings no cookie", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		l := w.first.login(b)
		bare := w.browser()
		bare.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		form := url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {bye}}
		p := bare.post(endSessionPath, form)
		if p.status != http.StatusSeeOther || !strings.HasPrefix(p.location, endSessionPath+"?") {
			t.Fatalf("%d to %q", p.status, p.location)
		}
		p = b.do(must(http.NewRequest(http.MethodGet, w.srv.URL+p.location, nil)))
		if p.location != bye {
			t.Errorf("%d to %q", p.status, p.location)
		}
		wantSignedOut(t, w.first, b)
		form.Set("state", strings.Repeat("s", maxReentry))
		wantPage(t, bare.post(endSessionPath, form), 200, "logout confirm")
		// With the cookie it is done in place.
		l = w.first.login(b)
		if p := b.post(endSessionPath, url.Values{"id_token_hint": {l.idToken()}, "post_logout_redirect_uri": {bye}}); p.status != http.StatusSeeOther || p.location != bye {
			t.Errorf("%d to %q", p.status, p.location)
		}
	})
	t.Run("a parameter twice", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		wantPage(t, w.browser().get(endSessionPath, url.Values{"post_logout_redirect_uri": {bye, "https://evil.example"}}), 400, CodeRequest)
	})
	t.Run("nobody signed in", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		wantPage(t, w.browser().get(endSessionPath, nil), 200, "signed out, from nobody")
	})
	t.Run("the confirmation comes from our page only", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		b := w.browser()
		w.first.login(b)
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			r := must(http.NewRequest(http.MethodPost, w.srv.URL+logoutPath, nil))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(name, value)
			// Behind the edge, and without it.
			wantPage(t, b.do(r), 403, "")
		}
		if a := w.call(must(http.NewRequest(http.MethodGet, w.srv.URL+logoutPath, nil))); a.status != 405 {
			t.Errorf("GET: %d", a.status)
		}
		w.first.login(b, "prompt", "none")
	})
}
