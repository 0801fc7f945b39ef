package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/oidc"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// TestAnswers shows what the OIDC endpoints ask of the pages.
func TestAnswers(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	answers := Answers{Views: j.server.Views, Sites: j.server.Sites}
	qnet, err := j.server.Sites.Lookup("qnet")
	check(t, err)
	minwon, err := j.server.Sites.Lookup("minwon")
	check(t, err)
	shown := func(show func(w http.ResponseWriter, r *http.Request)) (parsedPage, *httptest.ResponseRecorder) {
		w := httptest.NewRecorder()
		web.Chain(http.HandlerFunc(show), web.SecurityHeaders(false)).ServeHTTP(w, httptest.NewRequest("GET", "/logout", nil))
		return parse(t, w.Body.String()), w
	}
	confirm := func(ask oidc.LogoutAsk) parsedPage {
		p, _ := shown(func(w http.ResponseWriter, r *http.Request) { answers.LogoutConfirm(w, r, ask) })
		return p
	}
	has := func(p parsedPage, ids string, not string) {
		t.Helper()
		for id := range strings.FieldsSeq(ids) {
			if p.byID[id] == nil {
				t.Errorf("no #%s", id)
			}
		}
		for id := range strings.FieldsSeq(not) {
			if p.byID[id] != nil {
				t.Errorf("#%s is shown", id)
			}
		}
	}
	values := url.Values{"id_token_hint": {"hint"}, "state": {"s"}}
	has(confirm(oidc.LogoutAsk{Action: "/logout", Values: values}), "logout-confirm logout-cancel", "logout-this logout-all")
	has(confirm(oidc.LogoutAsk{Site: qnet, Action: "/logout", Values: values}), "logout-confirm", "logout-this")
	p := confirm(oidc.LogoutAsk{Site: qnet, Others: []*site.Registered{minwon}, Action: "/logout", Values: values})
	has(p, "logout-this logout-all logout-cancel", "logout-confirm")
	for id, scope := range map[string]string{"logout-this": oidc.ScopeThis, "logout-all": oidc.ScopeAll} {
		sent := url.Values{}
		for n := range p.byID[id].Parent.Descendants() {
			if n.Data == "input" {
				name, _ := attr(n, "name")
				value, _ := attr(n, "value")
				sent.Set(name, value)
			}
		}
		if sent.Get(oidc.ScopeField) != scope || sent.Get("id_token_hint") != "hint" || sent.Get("state") != "s" {
			t.Errorf("%s sends %v", id, sent)
		}
	}
	for _, name := range []string{"큐넷", "민원마당"} {
		if !strings.Contains(textOf(p.Node), name) {
			t.Errorf("%s is not named", name)
		}
	}

	done := func(d oidc.LogoutDone) (parsedPage, *httptest.ResponseRecorder) {
		return shown(func(w http.ResponseWriter, r *http.Request) { answers.LoggedOut(w, r, d) })
	}
	p, w := done(oidc.LogoutDone{Site: qnet})
	has(p, "logout-done return-to-site", "logout-continue")
	if strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-src") {
		t.Error("frames are allowed where there are none")
	}
	p, w = done(oidc.LogoutDone{
		Site: qnet, Deliveries: []logout.Delivery{{Site: "qnet", State: outbox.Delivered}, {Site: "gone", State: outbox.Waiting, Attempts: 1}},
		Frames: []string{"https://qnet.example/front?sid=1", "https://minwon.example/front"}, Continue: "https://qnet.example/out?state=1",
	})
	has(p, "logout-done logout-continue told", "return-to-site")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "; frame-src https://qnet.example https://minwon.example") || len(p.all("iframe")) != 2 {
		t.Errorf("%d frames, %s", len(p.all("iframe")), policy)
	}
	if text := textOf(p.Node); !strings.Contains(text, "gone") || !strings.Contains(text, "다시 시도 중") {
		t.Error("who was told is not shown")
	}
	p, _ = done(oidc.LogoutDone{Left: true, Site: qnet})
	if !strings.Contains(textOf(p.Node), "이 사이트에서 로그아웃되었습니다.") {
		t.Error("leaving one site is shown as leaving all")
	}
	// An address that no policy can name loads no frame; the page is shown.
	p, w = done(oidc.LogoutDone{Frames: []string{"https://[::1]/front"}})
	if has(p, "logout-done", ""); len(p.all("iframe")) != 0 || strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-src") {
		t.Error("a frame is shown that cannot be allowed")
	}
}

func TestRegisteredURL(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://site.example/out": "https://site.example/out", "kr.go.app:/out?state=1": "kr.go.app:/out?state=1", "": "",
		"javascript:alert(1)": "", "JavaScript:alert(1)": "", "data:text/html,x": "", "vbscript:x": "", "blob:x": "", "file:///etc": "",
	} {
		if got := registeredURL(address); string(got) != want {
			t.Errorf("%q: %q", address, got)
		}
	}
	v := newViews(t, sampleBranding())
	w := httptest.NewRecorder()
	v.LoggedOut(w, httptest.NewRequest("GET", "/", nil), 200, LoggedOutView{ContinueURL: registeredURL("kr.go.app:/out")})
	if !strings.Contains(w.Body.String(), `id="logout-continue" href="kr.go.app:/out"`) {
		t.Error("an app's own address is not let through")
	}
}
