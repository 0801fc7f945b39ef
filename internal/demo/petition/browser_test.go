package petition_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/petition"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// person is a signed-in citizen's browser at the site.
type person struct {
	*chromium.Tab
	t        *testing.T
	base     string
	clock    *optest.Clock // of site and provider
	provider *optest.Provider
	browser  *chromium.Browser
}

// sit opens a real browser at a site, and signs it in.
func sit(t *testing.T, options chromium.Options, knobs optest.Knobs, change func(*petition.Config)) *person {
	t.Helper()
	p := &person{t: t, clock: optest.NewClock()}
	p.provider = optest.New(t, p.clock.Now)
	knobs.Alg, knobs.Claims = jose.RS256, map[string]any{"sub": "s", "name": "홍길동"}
	p.provider.Set(knobs)
	p.base = optest.Serve(t, func(base string) http.Handler {
		cfg := petition.Config{BaseURL: base, Issuer: p.provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret, Now: p.clock.Now}
		if change != nil {
			change(&cfg)
		}
		site, err := petition.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return site
	})
	for _, address := range []string{p.base, p.provider.URL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		options.Hosts = append(options.Hosts, u.Host)
	}
	p.browser = chromium.New(t, options)
	p.Tab = p.browser.Tab()
	p.Open(p.base + "/anyid/start")
	p.at("/my")
	return p
}

// at waits until the tab shows the address.
func (p *person) at(path string) {
	p.t.Helper()
	p.until(p.Tab, "location.pathname + location.search", path)
}

// until waits for the value of an expression.
func (p *person) until(tab *chromium.Tab, expression, want string) {
	p.t.Helper()
	var got string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = tab.Value(expression); got == want {
			return
		}
	}
	p.t.Fatalf("%s is %q, want %q", expression, got, want)
}

const (
	warned = `String(document.getElementById("session-warning").open)`
	focus  = `document.activeElement.id`
	left   = `document.getElementById("session-remaining").textContent.slice(0, 2)`
)

// shift moves the page's clock forward, and stops it there, so that a slow machine changes nothing.
func (p *person) shift(by time.Duration) {
	p.t.Helper()
	p.Value(fmt.Sprintf(`(() => { const then = Date.now() + %d; Date.now = () => then; return ""; })()`, by.Milliseconds()))
}

func TestWarningBeforeTheEnd(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{}, func(c *petition.Config) { c.WarnBefore = 10 * time.Minute })
	if p.Value(warned) != "false" {
		t.Error("warned an hour before the end")
	}
	for range 10 {
		p.clock.Add(51 * time.Minute)
		p.Reload()
		p.until(p.Tab, warned, "true")
		p.until(p.Tab, focus, "session-extend")
		p.Click("session-extend")
		p.until(p.Tab, warned, "false")
		p.until(p.Tab, `document.getElementById("session-announce").textContent`, "로그인 시간을 60분으로 연장했습니다.")
	}
	for range 4 { // to the limit of twelve hours
		p.clock.Add(51 * time.Minute)
		p.Reload()
		p.until(p.Tab, warned, "true")
		p.Click("session-extend")
		p.until(p.Tab, `String(!document.getElementById("session-warning").open || document.getElementById("session-warning-problem").textContent !== "")`, "true")
	}
	if got := p.Text("session-warning-problem"); !strings.Contains(got, "더 연장할 수 없습니다") {
		t.Errorf("at the limit: %s", got)
	}
	p.shift(5*time.Minute + 10*time.Second)
	p.until(p.Tab, `document.getElementById("session-warning-announce").textContent.slice(-8)`, "초 남았습니다.")
	if text := p.Text("session-warning-time"); !strings.HasPrefix(text, "00:") {
		t.Errorf("time left: %s", text)
	}
	p.Follow("session-logout")
	if got := p.Text("logout-result"); !strings.Contains(got, "로그아웃했습니다") {
		t.Errorf("after the logout: %s", got)
	}
}

func TestFocusComesBackFromTheWarning(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{}, func(c *petition.Config) { c.WarnBefore = 10 * time.Minute })
	p.Value(`(document.getElementById("logout").focus(), "")`)
	p.clock.Add(55 * time.Minute)
	p.shift(55 * time.Minute)
	p.until(p.Tab, warned, "true")
	p.until(p.Tab, focus, "session-extend")
	p.Click("session-extend")
	p.until(p.Tab, warned, "false")
	p.until(p.Tab, focus, "logout")
}

func TestAnotherTabExtends(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{}, nil)
	other := p.browser.Tab()
	p.clock.Add(10 * time.Minute)
	other.Open(p.base + "/my")
	other.Click("session-extend-now")
	p.until(other, `document.getElementById("session-announce").textContent`, "로그인 시간을 60분으로 연장했습니다.")
	p.clock.Add(20 * time.Minute)
	p.shift(59*time.Minute + 30*time.Second) // half a minute before the end that the page knows of
	p.until(p.Tab, left, "40")
	if p.Value(warned) != "false" {
		t.Error("warned of an end that was put off")
	}
}

func TestTheEndIsTheServers(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{}, nil)
	p.clock.Add(59*time.Minute + 57*time.Second)
	p.Reload()
	p.until(p.Tab, warned, "true")
	p.clock.Add(3 * time.Second)
	p.at("/?notice=expired")
}

func TestExtendingWithoutScript(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{NoScript: true}, optest.Knobs{}, nil)
	if got := p.Text("session-remaining"); got != "15:30" {
		t.Errorf("ends at %s", got)
	}
	p.clock.Add(30 * time.Minute)
	p.Follow("session-extend-now")
	if got := p.Text("session-remaining"); got != "16:00" {
		t.Errorf("extended to %s", got)
	}
}

func TestLogoutInAFrame(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{}, nil)
	frame := p.base + "/logout/frontchannel?" + url.Values{"iss": {p.provider.URL}, "sid": {"sid-1"}}.Encode()
	op := p.browser.Tab()
	op.Open(p.provider.URL + "/frame?" + url.Values{"src": {frame}}.Encode())
	p.until(op.Frame("iframe"), `document.body.textContent`, "로그아웃했습니다.")
	p.Reload()
	// The frame took the cookie too, as both are of one site here.
	p.at("/?notice=needed")
}

func TestTheLoginIsWatched(t *testing.T) {
	t.Parallel()
	p := sit(t, chromium.Options{}, optest.Knobs{Check: "state-1"}, func(c *petition.Config) { c.CheckSession = true })
	p.until(p.Tab, `String(document.querySelector("iframe").contentDocument.querySelector("iframe") !== null)`, "true")
	p.provider.Set(optest.Knobs{Alg: jose.RS256, Check: "state-2", Answer: func(a url.Values) { a.Del("code"); a.Set("error", "login_required") }})
	p.at("/?notice=elsewhere")
}
