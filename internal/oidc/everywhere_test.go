package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// The modules of the back-channel plan, and what they do not ask for.
func TestBackChannelPlan(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"first", "second"} { // ES256 and RS256
		t.Run("oidcc-backchannel-rp-initiated-logout, "+id, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := map[string]*rp{"first": w.first, "second": w.second}[id]
			ears := c.listen(t)
			w.deliver()
			b := w.browser()
			l := c.login(b)
			after := "https://" + id + ".example/bye"
			p := b.get(endSessionPath, signOutOf(l, after))
			if p.location != after+"?state=s" {
				t.Errorf("%d to %q %s", p.status, p.location, p.body)
			}
			c.wantLogoutToken(t, ears.next(t), l.claims["sub"], l.claims["sid"])
			wantSignedOut(t, c, b)
			if b.cookie(logout.ReceiptCookie) == "" {
				t.Error("no receipt")
			}
		})
	}
	t.Run("discovery", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d := discover(t, w)
		for _, name := range []string{
			"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported", "frontchannel_logout_session_supported",
		} {
			if d[name] != true {
				t.Errorf("%s is %v", name, d[name])
			}
		}
		if d["check_session_iframe"] != w.srv.URL+checkPath {
			t.Errorf("check_session_iframe is %v", d["check_session_iframe"])
		}
		if acrs := fmt.Sprint(d["acr_values_supported"]); !strings.Contains(acrs, method.JointCert.ACR()) || !strings.Contains(acrs, method.Level(1).ACR()) {
			t.Errorf("acr_values_supported is %s", acrs)
		}
	})
}

// A citizen who comes from one of several sites chooses which to leave.
func TestThisSiteOrAll(t *testing.T) {
	t.Parallel()
	// setting is a session that is used at three sites, of which two want to be called.
	setting := func(t *testing.T) (w *world, b *browser, first, second loggedIn, ears, others *listener) {
		w = newWorld(t)
		ears, others = w.first.listen(t), w.second.listen(t)
		w.deliver()
		b = w.browser()
		first, second = w.first.login(b), w.second.login(b)
		w.public.login(b)
		w.clock.Advance(time.Second)
		return w, b, first, second, ears, others
	}
	ask := func(t *testing.T, b *browser, l loggedIn) url.Values {
		t.Helper()
		p := b.get(endSessionPath, signOutOf(l, bye))
		action, values := p.form()
		if p.status != 200 || p.location != "" || action != logoutPath || !strings.Contains(p.body, "or all with public, or all with second") && !strings.Contains(p.body, "or all with second, or all with public") {
			t.Fatalf("%d to %q: %s", p.status, p.location, p.body)
		}
		if csp := p.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://first.example;") {
			t.Errorf("the form's end is not allowed: %s", csp)
		}
		return values
	}
	t.Run("this", func(t *testing.T) {
		t.Parallel()
		w, b, first, second, ears, others := setting(t)
		values := ask(t, b, first)
		values.Set(ScopeField, ScopeThis)
		if p := b.post(logoutPath, values); p.status != http.StatusSeeOther || p.location != bye+"?state=s" {
			t.Fatalf("%d to %q: %s", p.status, p.location, p.body)
		}
		w.first.wantLogoutToken(t, ears.next(t), first.claims["sub"], first.claims["sid"])
		if n := len(others.heard); n != 0 {
			t.Errorf("another site heard %d times", n)
		}
		wantAPI(t, w.userinfo(first.access()), 401, "invalid_token")
		if a := w.userinfo(second.access()); a.status != 200 {
			t.Error(a.body)
		}
		w.second.login(b, "prompt", "none")
		// The next login here asks who it is to be.
		request := w.first.request("prompt", "none")
		w.first.wantError(request, w.first.authorize(b, request), "login_required")
		journeys := w.journey.count()
		w.clock.Advance(time.Second)
		again := w.first.login(b)
		if last := w.journey.last(); w.journey.count() != journeys+1 || last.known == nil || !slices.Contains(last.req.Prompts, promptAccount) {
			t.Errorf("%+v", last)
		}
		if again.claims["sid"] != first.claims["sid"] {
			t.Error("the session is another one")
		}
		w.first.login(b, "prompt", "none")
		// Whoever presses twice ends no more than that.
		values.Set(ScopeField, ScopeThis)
		if p := b.post(logoutPath, values); p.location != bye+"?state=s" {
			t.Errorf("%d to %q: %s", p.status, p.location, p.body)
		}
		w.first.wantLogoutToken(t, ears.next(t), first.claims["sub"], first.claims["sid"])
		if p := b.post(logoutPath, values); p.location != bye+"?state=s" {
			t.Errorf("%d to %q: %s", p.status, p.location, p.body)
		}
		w.second.login(b, "prompt", "none")
		if events := w.events(audit.SessionEnded); len(events) != 2 || events[0].Site != "first" || events[0].Detail["scope"] != "site" {
			t.Errorf("%+v", events)
		}
	})
	t.Run("this, without an address to go to", func(t *testing.T) {
		t.Parallel()
		_, b, first, _, _, _ := setting(t)
		values := ask(t, b, first)
		values.Del("post_logout_redirect_uri")
		values.Set(ScopeField, ScopeThis)
		wantPage(t, b.post(logoutPath, values), 200, "left, from first\nfirst: delivered")
	})
	t.Run("all", func(t *testing.T) {
		t.Parallel()
		w, b, first, second, ears, others := setting(t)
		values := ask(t, b, first)
		values.Set(ScopeField, ScopeAll)
		values.Del("post_logout_redirect_uri")
		wantPage(t, b.post(logoutPath, values), 200, "signed out, from first\nfirst: delivered\nsecond: delivered")
		w.first.wantLogoutToken(t, ears.next(t), first.claims["sub"], first.claims["sid"])
		w.second.wantLogoutToken(t, others.next(t), second.claims["sub"], second.claims["sid"])
		wantSignedOut(t, w.first, b)
		for _, l := range []loggedIn{first, second} {
			wantAPI(t, w.userinfo(l.access()), 401, "invalid_token")
		}
	})
	t.Run("this, at a site that is not proved, ends all", func(t *testing.T) {
		t.Parallel()
		w, b, _, _, _, _ := setting(t)
		wantPage(t, b.post(logoutPath, url.Values{ScopeField: {ScopeThis}, "client_id": {"first"}}), 200, "signed out, from nobody")
		wantSignedOut(t, w.first, b)
	})
	t.Run("a hint of an earlier session at a site that is used again", func(t *testing.T) {
		t.Parallel()
		w, b, _, _, _, _ := setting(t)
		old := w.first.login(w.browser())
		ask(t, b, old)
		// Where this session was never used there is nothing to choose.
		other := w.browser()
		w.second.login(other)
		p := other.get(endSessionPath, signOutOf(old, bye))
		if action, _ := p.form(); action != logoutPath || strings.Contains(p.body, "or all with") {
			t.Errorf("%s", p.body)
		}
	})
	t.Run("a site that was left comes again", func(t *testing.T) {
		t.Parallel()
		w, b, first, _, ears, _ := setting(t)
		w.leave(b, "first")
		ears.next(t)
		values := ask(t, b, first)
		values.Set(ScopeField, ScopeThis)
		if p := b.post(logoutPath, values); p.location != bye+"?state=s" {
			t.Errorf("%d to %q: %s", p.status, p.location, p.body)
		}
		w.second.login(b, "prompt", "none")
	})
	t.Run("a session of which nothing is left but the handle", func(t *testing.T) {
		t.Parallel()
		w, b, first, _, _, _ := setting(t)
		handle := b.cookie(session.Cookie)
		id := must(w.sessions.Find(t.Context(), handle)).ID
		must(w.db.Sessions().End(t.Context(), id, func(session.Entry) (session.Ending, error) { return session.Ending{}, nil }))
		values := ask(t, b, first)
		if p := b.post(logoutPath, values); p.location != bye+"?state=s" || b.cookie(session.Cookie) != "" {
			t.Errorf("%d to %q: %s", p.status, p.location, p.body)
		}
		if _, err := w.sessions.Find(t.Context(), handle); !fault.Is(err, fault.NotFound) {
			t.Errorf("it lives on: %v", err)
		}
	})
	t.Run("sites that are no more, or were left, are no choice", func(t *testing.T) {
		t.Parallel()
		w, b, first, _, _, _ := setting(t)
		w.leave(b, "second")
		w.change("public", func(s *site.Site) { s.Disabled = true })
		if p := b.get(endSessionPath, signOutOf(first, bye)); p.location != bye+"?state=s" {
			t.Errorf("%d to %q: %s", p.status, p.location, p.body)
		}
	})
}

// What was granted in a session is worth nothing when it has ended, wherever that was; what is to outlive it does.
func TestEndedTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	l := w.first.login(b, "scope", "openid offline_access", "prompt", "consent")
	unspent := w.first.authorize(b, w.first.request("prompt", "none")).values.Get("code")
	elsewhere := w.first.login(w.browser())
	w.clock.Advance(time.Second)
	id := must(w.sessions.Find(t.Context(), b.cookie(session.Cookie))).ID
	must(w.logout.End(t.Context(), id, logout.Why{Cause: logout.Operator, Actor: audit.Operator("kim")}))

	wantAPI(t, w.userinfo(l.access()), 401, "invalid_token")
	if a := w.first.api(introspectPath, url.Values{"token": {l.access()}}); a.json["active"] != false {
		t.Error(a.body)
	}
	wantAPI(t, w.first.exchange(unspent), 400, "invalid_grant")
	request := w.first.request("prompt", "none")
	w.first.wantError(request, w.first.authorize(b, request), "login_required")
	if a := w.userinfo(elsewhere.access()); a.status != 200 {
		t.Error(a.body)
	}
	w.clock.Advance(time.Second)
	renewed := w.first.refresh(l.tokens.text("refresh_token"))
	if a := w.userinfo(renewed.text("access_token")); a.status != 200 {
		t.Error(a.body)
	}
	if sid := w.first.claims(renewed.text("id_token"))["sid"]; sid != l.claims["sid"] {
		t.Errorf("sid %v", sid)
	}
}

// The modules of the front-channel plan: the sites' frames are loaded before the browser goes on.
func TestFrontChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change("first", func(s *site.Site) {
		s.FrontchannelLogoutURI, s.FrontchannelLogoutSessionRequired = "https://first.example/frame?x=1", true
	})
	w.change("second", func(s *site.Site) { s.FrontchannelLogoutURI = "https://second.example/frame" })
	frame := func(l loggedIn) string {
		return "\nframe https://first.example/frame?x=1&" + url.Values{"iss": {w.srv.URL}, "sid": {l.claims["sid"].(string)}}.Encode()
	}
	b := w.browser()
	l := w.first.login(b)
	p := b.get(endSessionPath, signOutOf(l, bye))
	wantPage(t, p, 200, "signed out, from first"+frame(l)+"\non to "+bye+"?state=s")
	wantSignedOut(t, w.first, b)

	l = w.first.login(b)
	w.second.login(b)
	_, values := b.get(endSessionPath, url.Values{"id_token_hint": {l.idToken()}}).form()
	p = b.post(logoutPath, values)
	wantPage(t, p, 200, "signed out, from first"+frame(l)+"\nframe https://second.example/frame")
	if strings.Contains(p.body, "on to") {
		t.Error(p.body)
	}

	l = w.first.login(b)
	w.second.login(b)
	values = signOutOf(l, bye)
	values.Set(ScopeField, ScopeThis)
	w.clock.Advance(time.Second)
	p = b.post(logoutPath, values)
	wantPage(t, p, 200, "left, from first"+frame(l)+"\non to "+bye+"?state=s")
	if strings.Contains(p.body, "second") {
		t.Error(p.body)
	}
}

// A site that is slow, wrong or hostile costs nobody else anything: it is answered for by a code, and tried again.
func TestHostileListeners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ears := w.first.listen(t)
	d := w.deliverer()
	item := func() outbox.Item {
		items := must(w.logout.Tell(w.kim, []string{"first"}, nil, "batch"))
		return items[0]
	}
	var elsewhere atomic.Int64
	inside := newListener(t)
	inside.answers(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	hangs := make(chan struct{})
	defer close(hangs)
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		code   string // empty: delivered
	}{
		"ok": {nil, ""},
		"ok, with words": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("thanks ", 10_000))
		}, ""},
		"no content": {status(http.StatusNoContent), ""},
		"accepted":   {status(http.StatusAccepted), "status_202"},
		"refused":    {status(http.StatusBadRequest), "refused"},
		"not found":  {status(http.StatusNotFound), "status_404"},
		"broken":     {status(http.StatusInternalServerError), "status_500"},
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		}, "status_307"},
		"hangs up":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
		"huge header":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "unreachable"},
		"never answers": {func(_ http.ResponseWriter, r *http.Request) { <-hangs }, "timeout"},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
					return
				}
			}
		}, ""},
		"trickles": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-hangs
		}, ""},
	} {
		ears.answers(row.answer)
		ctx, cancel := context.WithCancel(t.Context())
		switch name {
		case "never answers":
			ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
		case "trickles": // the time of the try is over once the header has come
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotFirstResponseByte: func() { time.AfterFunc(time.Second, cancel) }})
		}
		err := d.Deliver(ctx, item())
		cancel()
		if name != "never answers" { // which may be over before it is reached
			ears.next(t)
		}
		if row.code == "" && err != nil || row.code != "" && (err == nil || !strings.HasPrefix(err.Error(), row.code+": ")) {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}

	// Addresses inside are not reached.
	err := w.deliverer(netip.MustParsePrefix("192.0.2.0/24")).Deliver(t.Context(), item())
	if !errors.Is(err, outbound.ErrRefused) || !strings.HasPrefix(err.Error(), "unreachable: ") {
		t.Errorf("an address inside: %v", err)
	}
	// Who is registered no more, or has no address any more, or whose message is not ours, is given up.
	forged := item()
	forged.Payload += "x"
	left := item()
	w.change("first", func(s *site.Site) { s.BackchannelLogoutURI = "" })
	noAddress := d.Deliver(t.Context(), left)
	w.change("first", func(s *site.Site) { s.BackchannelLogoutURI, s.Disabled = ears.URL, true })
	for name, row := range map[string]struct {
		err  error
		code string
	}{
		"no address": {noAddress, "no_site"}, "disabled": {d.Deliver(t.Context(), left), "no_site"}, "not ours": {d.Deliver(t.Context(), forged), "unreadable"},
	} {
		if row.err == nil || !strings.HasPrefix(row.err.Error(), row.code+": ") {
			t.Errorf("%s: %v", name, row.err)
		}
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// The citizen waits a moment for a site that does not answer, and no longer; the others have heard by then.
func TestSlowSiteAtLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow, good := w.first.listen(t), w.second.listen(t)
	hangs := make(chan struct{})
	defer close(hangs)
	slow.answers(func(http.ResponseWriter, *http.Request) { <-hangs })
	w.deliver()
	b := w.browser()
	w.first.login(b)
	l := w.second.login(b)
	_, values := b.get(endSessionPath, url.Values{"id_token_hint": {l.idToken()}}).form()
	wantPage(t, b.post(logoutPath, values), 200, "signed out, from second\nfirst: waiting\nsecond: delivered")
	w.second.wantLogoutToken(t, good.next(t), l.claims["sub"], l.claims["sid"])
	slow.next(t)
	// The receipt stands, for this browser and nobody else.
	list := must(w.logout.Receipt(t.Context(), b.cookie(logout.ReceiptCookie)))
	if len(list) != 2 || list[0].State != outbox.Waiting || list[1].State != outbox.Delivered {
		t.Errorf("%+v", list)
	}
}

// A site whose own session is shorter than our tokens gets none that outlive it, and is told how long it lasts.
func TestSiteSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change("first", func(s *site.Site) { s.SessionLifetime = 720 })
	b := w.browser()
	l := w.first.login(b, "scope", "openid offline_access", "prompt", "consent")
	if l.tokens.json["session_expires_in"] != 720. {
		t.Error(l.tokens.body)
	}
	w.clock.Advance(9 * time.Minute)
	renewed := w.first.refresh(l.tokens.text("refresh_token"))
	if renewed.json["session_expires_in"] != 180. || renewed.json["expires_in"] != 180. {
		t.Error(renewed.body)
	}
	claims := w.first.claims(renewed.text("id_token"))
	if end := l.claims["iat"].(float64) + 720; claims["exp"] != end {
		t.Errorf("the ID token ends at %v, the session at %v", claims["exp"], end)
	}
	if a := w.first.api(introspectPath, url.Values{"token": {renewed.text("refresh_token")}}); a.json["exp"] != claims["exp"] {
		t.Errorf("the refresh token: %s", a.body)
	}
	w.clock.Advance(3 * time.Minute)
	wantAPI(t, w.userinfo(renewed.text("access_token")), 401, "invalid_token")
	wantAPI(t, w.first.refresh(renewed.text("refresh_token")), 400, "invalid_grant")
	// A new login begins a new one. Other sites are told nothing of the kind.
	if l := w.first.login(b, "prompt", "none"); l.tokens.json["session_expires_in"] != 720. {
		t.Error(l.tokens.body)
	}
	if l := w.second.login(b); l.tokens.json["session_expires_in"] != nil {
		t.Error(l.tokens.body)
	}
}

// The end is written down once, with who, where and why.
func TestEndIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	_, values := b.get(endSessionPath, nil).form()
	r := must(http.NewRequest(http.MethodPost, w.srv.URL+logoutPath, strings.NewReader(values.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	wantPage(t, b.do(r), 200, "signed out")
	events := w.events(audit.SessionEnded)
	if len(events) != 1 || events[0].Person != w.kim || events[0].Site != "" || events[0].Actor != audit.Citizen || events[0].Browser != "Firefox, Linux" ||
		events[0].Address != "127.0.0.1" || events[0].Detail["cause"] != string(logout.Citizen) {
		t.Errorf("%+v", events)
	}
}
