package petition_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/petition"
)

func TestSite(t *testing.T) {
	t.Parallel()
	clock := optest.NewClock()
	provider := optest.New(t, clock.Now)
	base := optest.Serve(t, func(base string) http.Handler {
		site, err := petition.New(petition.Config{BaseURL: base, Issuer: provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret, SigningAlg: "ES256", Now: clock.Now})
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
	step(http.MethodPost, "/logout", nil, 200, "/logged-out?state=", "민원마당에서 로그아웃했습니다", `href="/anyid/start">로그인`)
	get("/logged-out?state=forged", 400, "/logged-out")
	provider.Set(optest.Knobs{Claims: map[string]any{"sub": "s"}})
	get("/anyid/start", 200, "/my", `id="signed-in-name">이용자<`)
	clock.Add(time.Hour)
	get("/my", 200, "/?notice=expired", "자동으로 로그아웃")
}

// open starts a site with a provider that signs as the portal is registered, and signs a browser in.
func open(t *testing.T, knobs optest.Knobs, change func(*petition.Config)) (base string, provider *optest.Provider, b *http.Client) {
	t.Helper()
	clock := optest.NewClock()
	provider = optest.New(t, clock.Now)
	knobs.Alg = jose.RS256
	if knobs.Claims == nil {
		knobs.Claims = map[string]any{"sub": "s", "name": "홍길동"}
	}
	provider.Set(knobs)
	base = optest.Serve(t, func(base string) http.Handler {
		cfg := petition.Config{BaseURL: base, Issuer: provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret, Now: clock.Now}
		if change != nil {
			change(&cfg)
		}
		site, err := petition.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return site
	})
	b = optest.Browser(t)
	if at, _ := get(t, b, base+"/anyid/start"); at != "/my" {
		t.Fatalf("not signed in: at %s", at)
	}
	return base, provider, b
}

func get(t *testing.T, b *http.Client, address string) (at, body string) {
	t.Helper()
	res, err := b.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Request.URL.RequestURI(), string(content)
}

func TestLogoutThatBeginsElsewhere(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(base string, p *optest.Provider) (*http.Response, error){
		"back channel": func(base string, p *optest.Provider) (*http.Response, error) {
			return http.PostForm(base+"/logout/backchannel", url.Values{"logout_token": {p.LogoutToken("s", "")}})
		},
		"front channel": func(base string, p *optest.Provider) (*http.Response, error) {
			return http.Get(base + "/logout/frontchannel?" + url.Values{"iss": {p.URL}, "sid": {"sid-1"}}.Encode())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, provider, b := open(t, optest.Knobs{}, nil)
			res, err := tell(base, provider)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Errorf("status %d", res.StatusCode)
			}
			if csp := res.Header.Get("Content-Security-Policy"); name == "front channel" && !strings.Contains(csp, "frame-ancestors "+provider.URL) {
				t.Errorf("CSP %q", csp)
			}
			if at, body := get(t, b, base+"/my"); at != "/?notice=elsewhere" || !strings.Contains(body, "다른 화면에서 로그아웃") {
				t.Errorf("at %s", at)
			}
		})
	}
}

func TestDeadlineForTheScript(t *testing.T) {
	t.Parallel()
	base, _, b := open(t, optest.Knobs{SessionTime: 90}, nil)
	for _, tc := range []struct {
		browser      *http.Client
		method, path string
		status       int
		said         string
	}{
		{b, "GET", "/session", 200, `{"seconds": 90, "final": false}`},
		{b, "POST", "/session/extend", 200, `{"seconds": 90, "final": false}`},
		{optest.Browser(t), "GET", "/session", 401, `{"seconds": 0, "final": true}`},
		{optest.Browser(t), "POST", "/session/extend", 401, `{"seconds": 0, "final": true}`},
	} {
		r, err := http.NewRequest(tc.method, base+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/json")
		res, err := tc.browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != tc.status || strings.TrimSpace(string(body)) != tc.said || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d %q %v", tc.method, tc.path, res.StatusCode, body, err)
		}
	}
	if at, _ := get(t, b, base+"/session/ended?back=/"); at != "/" {
		t.Errorf("a session that lasts: at %s", at)
	}
	if at, _ := get(t, optest.Browser(t), base+"/session/ended?back=/"); at != "/?notice=needed" {
		t.Errorf("without a session: at %s", at)
	}
}

func TestSessionCheck(t *testing.T) {
	t.Parallel()
	base, provider, b := open(t, optest.Knobs{Check: "state-1"}, func(c *petition.Config) { c.CheckSession = true })
	if _, body := get(t, b, base+"/my"); !strings.Contains(body, `<iframe hidden src="/session/check"`) {
		t.Error("the page does not watch the login")
	}
	res, err := b.Get(base + "/session/check")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	csp := res.Header.Get("Content-Security-Policy")
	if err != nil || !strings.Contains(string(body), `data-message="site state-1"`) || !strings.Contains(csp, "frame-src "+provider.URL+";") || !strings.HasSuffix(csp, "frame-ancestors 'self'") {
		t.Errorf("%s, CSP %q, %v", body, csp, err)
	}
	if res, err = http.Get(base + "/session/check"); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("for a visitor: %d", res.StatusCode)
	}
	claims := map[string]any{"sub": "s", "name": "홍길동"}
	// The login changed and lasts: so does the session, with the new state.
	provider.Set(optest.Knobs{Alg: jose.RS256, Check: "state-2", Claims: claims})
	if at, _ := get(t, b, base+"/anyid/check"); at != "/my" || provider.Last("authorize").Get("prompt") != "none" {
		t.Errorf("a changed login: at %s", at)
	}
	if _, body := get(t, b, base+"/session/check"); !strings.Contains(body, `data-message="site state-2"`) {
		t.Errorf("state after the change: %s", body)
	}
	// It is over.
	provider.Set(optest.Knobs{Alg: jose.RS256, Check: "state-3", Claims: claims, Answer: func(a url.Values) { a.Del("code"); a.Set("error", "login_required") }})
	if at, _ := get(t, b, base+"/anyid/check"); at != "/?notice=elsewhere" {
		t.Errorf("a login that is over: at %s", at)
	}
	if at, _ := get(t, b, base+"/my"); at != "/?notice=needed" {
		t.Errorf("still signed in: at %s", at)
	}
}

func TestWarningIsNotTooLate(t *testing.T) {
	t.Parallel()
	cfg := petition.Config{BaseURL: "https://minwon.example", Issuer: "https://op.example", ClientID: "c", ClientSecret: "s", WarnBefore: 19 * time.Second}
	if _, err := petition.New(cfg); err == nil {
		t.Error("a warning 19 s before the end is taken")
	}
	cfg.WarnBefore = 20 * time.Second
	if _, err := petition.New(cfg); err != nil {
		t.Error(err)
	}
}
