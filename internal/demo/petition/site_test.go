package petition_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/petition"
)

func TestSite(t *testing.T) {
	t.Parallel()
	clock := optest.NewClock()
	provider := optest.New(t, clock.Now)
	base := optest.Serve(t, func(base string) http.Handler {
		site, err := petition.New(petition.Config{BaseURL: base, Issuer: provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret, Now: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		return site
	})
	b := optest.Browser(t)
	step := func(method, path string, form url.Values, status int, at string, texts ...string) {
		t.Helper()
		r, err := http.NewRequest(method, base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != status || !strings.HasPrefix(res.Request.URL.RequestURI(), at) {
			t.Errorf("%s %s: %d at %s, want %d at %s", method, path, res.StatusCode, res.Request.URL.RequestURI(), status, at)
		}
		for _, text := range append(texts, `<html lang="ko">`, "<h1") {
			if !strings.Contains(string(body), text) {
				t.Errorf("%s %s lacks %q:\n%s", method, path, text, body)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "form-action 'self' "+provider.URL) {
			t.Errorf("%s: CSP %q", path, csp)
		}
	}
	get := func(path string, status int, at string, texts ...string) {
		t.Helper()
		step(http.MethodGet, path, nil, status, at, texts...)
	}

	provider.Set(optest.Knobs{Down: true})
	get("/anyid/start", 503, "/anyid/start", "연결할 수 없습니다")
	get("/", 200, "/", `id="anyid-login"`)
	get("/my", 200, "/?notice=needed", "로그인이 필요한")
	get("/nothing", 404, "/nothing")
	provider.Set(optest.Knobs{Answer: func(a url.Values) { a.Set("error", "access_denied") }})
	get("/anyid/start", 200, "/?notice=denied", "취소했습니다")
	provider.Set(optest.Knobs{IDToken: func(c map[string]any) { c["aud"] = "other" }, Claims: map[string]any{"sub": "s"}})
	get("/anyid/start", 400, "/anyid/callback", "확인하지 못했습니다")
	get("/anyid/callback?state=x", 400, "/anyid/callback", "처음부터 다시")

	provider.Set(optest.Knobs{Claims: map[string]any{"sub": "s", "name": "홍길동"}})
	get("/anyid/start", 200, "/my", `id="signed-in-name">홍길동<`, `id="logout"`, "urn:anyid:acr:3")
	if scope := provider.Last("authorize").Get("scope"); scope != "openid profile" {
		t.Errorf("scope %q", scope)
	}
	clock.Add(30 * time.Minute)
	step(http.MethodPost, "/session/extend", url.Values{"back": {"/"}}, 200, "/", `data-seconds="3600"`)
	step(http.MethodPost, "/logout", nil, 200, "/logged-out?state=", "로그아웃을 요청했습니다", `href="/anyid/start">로그인`)
	get("/logged-out?state=forged", 400, "/logged-out")
	provider.Set(optest.Knobs{Claims: map[string]any{"sub": "s"}})
	get("/anyid/start", 200, "/my", `id="signed-in-name">이용자<`)
	clock.Add(time.Hour)
	get("/my", 200, "/?notice=expired", "자동으로 로그아웃")
}
