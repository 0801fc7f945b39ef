package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// unchanged does what the frame of check_session_iframe does, from the specification (Session Management §3.2).
func unchanged(t *testing.T, client, origin, state, browserState string) bool {
	t.Helper()
	hash, salt, ok := strings.Cut(state, ".")
	if !ok || len(salt) < 16 || strings.Contains(state, " ") {
		t.Errorf("session_state %q", state)
	}
	sum := sha256.Sum256([]byte(client + " " + origin + " " + browserState + " " + salt))
	return hash == base64.RawURLEncoding.EncodeToString(sum[:])
}

// A site that watches the session is told a state, which holds until the session in the browser is another one.
func TestSessionState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change("first", func(s *site.Site) { s.SessionManagement = true })
	b := w.browser()
	ask := func(overrides ...string) string {
		t.Helper()
		request := w.first.request(overrides...)
		res := w.first.authorize(b, request)
		if res.values.Get("code") == "" && res.values.Get("error") == "" {
			t.Fatalf("%d %s", res.status, res.body)
		}
		if state := res.values["session_state"]; len(state) != 1 {
			t.Fatalf("session_state %v", state)
		}
		return res.values.Get("session_state")
	}
	holds := func(state string) bool {
		return unchanged(t, "first", "https://first.example", state, b.cookie(session.StateCookie))
	}

	nobody := ask("prompt", "none")
	if !holds(nobody) || b.cookie(session.StateCookie) != "" {
		t.Error("the state of nobody does not hold")
	}
	in := ask()
	if !holds(in) || holds(nobody) {
		t.Error("a session that begins is no change")
	}
	for _, other := range []string{ask("prompt", "none"), ask("prompt", "none", "max_age", "0"), ask("prompt", "none", "response_mode", query)} {
		if !holds(other) || other == in {
			t.Error("the same session has another state, or the salt is the same")
		}
	}
	w.second.login(b) // which does not watch it
	w.first.authorize(b, w.first.request())
	if !holds(in) {
		t.Error("a login at another site is a change")
	}
	w.journey.as(w.lee, method.Simple, 2)
	lee := ask("prompt", "login")
	if !holds(lee) || holds(in) {
		t.Error("another person is no change")
	}
	_, values := b.get(endSessionPath, nil).form()
	wantPage(t, b.post(logoutPath, values), 200, "signed out")
	if b.cookie(session.StateCookie) != "" || holds(lee) || !holds(nobody) {
		t.Error("the end is no change")
	}
	// A session that has ended elsewhere is a change as soon as the browser comes by.
	again := ask()
	w.clock.Advance(6 * time.Hour)
	if over := ask("prompt", "none"); !holds(over) || holds(again) {
		t.Error("a session that is over is no change")
	}
	// Those who do not ask for it are not told.
	if l := w.second.login(b); l.values.Has("session_state") {
		t.Error("a site that watches nothing is told a state")
	}
}

// The cookie can be read by the script in frames of other sites, and says nothing of the session's handle.
func TestStateCookie(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{true, false} {
		s := &Server{Config: Config{Cookies: web.Cookies{Secure: secure}}}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		w := httptest.NewRecorder()
		state := s.syncState(w, r, "handle")
		set := w.Result().Cookies()
		want := http.SameSiteNoneMode
		if !secure {
			want = http.SameSiteLaxMode
		}
		if len(set) != 1 || set[0].Name != s.Cookies.Name(session.StateCookie) || set[0].Value != state || set[0].HttpOnly || set[0].Secure != secure ||
			set[0].SameSite != want || set[0].Path != "/" || set[0].Domain != "" || set[0].MaxAge != 0 || strings.Contains(state, "handle") {
			t.Errorf("secure %t: %v", secure, set)
		}
		// It is set when it changes, and not before.
		r.AddCookie(set[0])
		w = httptest.NewRecorder()
		if s.syncState(w, r, "handle") != state || len(w.Result().Cookies()) != 0 {
			t.Errorf("secure %t: set again", secure)
		}
		w = httptest.NewRecorder()
		if s.syncState(w, r, "another") == state || len(w.Result().Cookies()) != 1 {
			t.Errorf("secure %t: %v", secure, w.Result().Cookies())
		}
		w = httptest.NewRecorder()
		if s.syncState(w, r, "") != "" || len(w.Result().Cookies()) != 1 || w.Result().Cookies()[0].MaxAge != -1 {
			t.Errorf("secure %t: %v", secure, w.Result().Cookies())
		}
		// A cookie that the answer sets or clears counts already.
		r.AddCookie(&http.Cookie{Name: s.Cookies.Name(session.Cookie), Value: "before"})
		w = httptest.NewRecorder()
		if got := s.handle(w, r); got != "before" {
			t.Errorf("the handle that came is %q", got)
		}
		s.Cookies.Set(w, session.Cookie, "now", 0)
		s.Cookies.Set(w, session.ToggleCookie, session.ToggleOff, 0)
		if got := s.handle(w, r); got != "now" {
			t.Errorf("the handle that is set is %q", got)
		}
		s.Cookies.Clear(w, session.Cookie)
		if got := s.handle(w, r); got != "" {
			t.Errorf("the handle that is cleared is %q", got)
		}
	}
}

func TestWebOrigin(t *testing.T) {
	t.Parallel()
	for uri, origin := range map[string]string{
		"https://a.example/cb": "https://a.example", "https://a.example:443/cb": "https://a.example", "https://a.example:8443/cb": "https://a.example:8443",
		"https://a.example:80/cb": "https://a.example:80", "http://localhost:80/cb": "http://localhost", "http://localhost:443/cb": "http://localhost:443",
		"https://a.example:1443/": "https://a.example:1443", "http://[::1]/": "http://[::1]",
	} {
		if got := webOrigin(uri); got != origin {
			t.Errorf("%s is at %s, want %s", uri, got, origin)
		}
	}
}

// The page may be framed by anybody, and nothing else of ours may.
func TestCheckPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.browser().get(checkPath, nil)
	script := must(web.Asset("check-session.js"))
	if p.status != 200 || p.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(p.body, `<script src="`+script+`" data-cookie="__Host-anyid-state">`) {
		t.Errorf("%d %v %s", p.status, p.header, p.body)
	}
	if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors *") || !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe") ||
		p.header.Get("X-Frame-Options") != "" || p.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", p.header)
	}
	if p := w.browser().get(endSessionPath, nil); !strings.Contains(p.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%v", p.header)
	}
}

// The script, in a real browser, agrees with the specification, and answers whoever asks as themselves only.
func TestCheckSessionInBrowser(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	op := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
	t.Cleanup(op.Close)
	s := must(New(Config{Issuer: op.URL, Pages: pages{}}))
	mux.HandleFunc("GET "+checkPath, s.checkSession)
	mux.Handle("GET "+web.AssetPrefix, web.Assets())
	mux.HandleFunc("GET /as/{handle}", func(w http.ResponseWriter, r *http.Request) {
		handle := strings.TrimPrefix(r.PathValue("handle"), "nobody")
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>x</title><link rel="icon" href="data:,"><p id="state">%s.</p>`, s.syncState(w, r, handle))
	})
	// A site frames the page, sends it a message, and shows the answer.
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>x</title><link rel="icon" href="data:,"><iframe id="op" title="op" src="%s" data-message="%s"></iframe><script>
			const op = document.getElementById("op");
			addEventListener("message", (e) => {
				const p = document.createElement("p");
				p.id = "answer";
				p.textContent = e.origin + " says " + e.data;
				document.body.append(p);
			});
			op.addEventListener("load", () => op.contentWindow.postMessage(op.dataset.message, new URL(op.src).origin));
		</script>`, op.URL+checkPath, html.EscapeString(r.URL.Query().Get("m")))
	}))
	t.Cleanup(rp.Close)
	hosts := []string{must(url.Parse(op.URL)).Host, must(url.Parse(rp.URL)).Host}
	tab := chromium.New(t, chromium.Options{Hosts: hosts}).Tab()
	as := func(handle string) {
		t.Helper()
		tab.Open(op.URL + "/as/" + handle)
		tab.Wait("state")
	}
	says := func(message, want string) {
		t.Helper()
		tab.Open(rp.URL + "/?" + url.Values{"m": {message}}.Encode())
		if got := tab.Text("answer"); got != op.URL+" says "+want {
			t.Errorf("%q: %s, want %s", message, got, want)
		}
	}
	told := func(handle string) string {
		return sessionState("first", rp.URL, browserState(handle), "salt-of-some-length")
	}

	as("one")
	says("first "+told("one"), "unchanged")
	says("second "+told("one"), "changed")
	says("first "+told("two"), "changed")
	says("first "+sessionState("first", "https://other.example", browserState("one"), "salt"), "changed")
	for _, bad := range []string{"first", "first ", " " + told("one"), "first " + told("one") + " x", "first abc", "first a.b.c", "first .x", "first x."} {
		says(bad, "error")
	}
	as("two")
	says("first "+told("one"), "changed")
	says("first "+told("two"), "unchanged")
	as("nobody")
	says("first "+told("two"), "changed")
	says("first "+told(""), "unchanged")
}
