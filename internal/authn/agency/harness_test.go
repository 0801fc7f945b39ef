package agency_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/agency"
	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/sim"
	simulated "github.com/anyid/anyid/internal/sim/agency"
)

func ci(seed byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+seed)), 64)))
}

var (
	hong = simulated.Person{
		Name: "홍길동", BirthDate: "1890-03-15", Phone: "01000000001", Gender: "male", CI: ci(1), IPIN: simulated.IPIN{ID: "gildong", Password: "sesame!"},
	}
	smith = simulated.Person{
		Name: "SMITH JANE", BirthDate: "1885-12-01", Phone: "01000000002", Gender: "female", Foreigner: true, CI: ci(2), Carrier: simulated.MVNO,
	}
)

// The interfaces.
const (
	nice      = "nice"
	checkPlus = "checkplus"
	kcb       = "kcb"
	danal     = "danal"
)

// bench is an adapter before the simulated agencies, with the place where browsers return.
type bench struct {
	*agency.Adapter
	t          testing.TB
	sim        *simulated.Simulator
	url        string
	site       string // of the institution
	client     *http.Client
	calls      sync.Map // path to *atomic.Int64
	lastReturn atomic.Pointer[url.Values]
}

// options are what a bench differs in.
type options struct {
	api    string // empty: NICE's current interface
	method method.Method
	now    func() time.Time // the adapter's
	sim    func(*simulated.Config)
	nice   func(*agency.NICE)
	wait   time.Duration // timeout of a call
}

func start(t testing.TB, o options) *bench {
	t.Helper()
	sc := simulated.Config{People: []simulated.Person{hong, smith}}
	if o.sim != nil {
		o.sim(&sc)
	}
	s, err := simulated.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, sim: s}
	api, windows := s.APIHandler(), s.WindowHandler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count, _ := b.calls.LoadOrStore(r.URL.Path, new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		for _, prefix := range []string{"/ido/", "/digital/", "/uas/", "/okcert/"} {
			if strings.HasPrefix(r.URL.Path, prefix) {
				api.ServeHTTP(w, r)
				return
			}
		}
		windows.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	institution := httptest.NewServer(http.HandlerFunc(b.serveInstitution))
	t.Cleanup(institution.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	b.url, b.site, b.client = server.URL, institution.URL, &http.Client{Transport: transport}
	if o.method == "" {
		o.method = method.Phone
	}
	if b.Adapter, err = agency.New(o.method, 2, b.driver(o), o.now); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) driver(o options) agency.Driver {
	b.t.Helper()
	var d agency.Driver
	var err error
	id, secret := b.sim.ClientID(), b.sim.ClientSecret()
	switch o.api {
	case checkPlus:
		d, err = agency.NewCheckPlus(agency.CheckPlus{
			URL: b.url, WindowURL: b.url + "/CheckPlusSafeModel/service.cb", ClientID: id, ClientSecret: secret, ProductID: simulated.ProductID,
			Cancelled: []string{simulated.CancelledCheckPlus}, Timeout: o.wait,
		}, b.client, o.now)
	case kcb:
		d, err = agency.NewKCB(agency.KCB{
			URL: b.url + "/okcert", WindowURL: b.url + "/CommonSvl", Key: secret, Member: simulated.MemberKCB, SiteName: "정부 통합인증", SiteURL: b.site,
			Cancelled: []string{simulated.CancelledKCB}, Timeout: o.wait,
		}, b.client)
	case danal:
		d, err = agency.NewDanal(agency.Danal{
			URL: b.url + "/uas/", WindowURL: b.url + "/Danal/WebAuth/Web/Start.php", Member: id, Password: secret, SiteURL: b.site,
			Cancelled: []string{simulated.CancelledDanal}, Timeout: o.wait,
		}, b.client)
	default:
		cfg := agency.NICE{URL: b.url, ClientID: id, ClientSecret: secret, IPINService: simulated.IPINService, Timeout: o.wait}
		if o.nice != nil {
			o.nice(&cfg)
		}
		d, err = agency.NewNICE(cfg, b.client, o.now)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

var goPage = template.Must(template.New("").Parse(
	`<!doctype html><title>go</title><form method="post" action="{{.URL}}">{{range $n, $vs := .Fields}}{{range $vs}}<input type="hidden" name="{{$n}}" value="{{.}}">{{end}}{{end}}<button id="go">go</button></form>`))

// serveInstitution is where browsers set out, and where they return.
func (b *bench) serveInstitution(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/go" {
		var to authn.Destination
		if err := json.Unmarshal([]byte(r.URL.Query().Get("to")), &to); err != nil {
			b.t.Error(err)
		}
		_ = goPage.Execute(w, to)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/window/") {
		w.WriteHeader(http.StatusNoContent) // a browser asks for an icon
		return
	}
	if err := r.ParseForm(); err != nil {
		b.t.Error(err)
	}
	b.lastReturn.Store(&r.Form)
}

// count is how many calls a path got.
func (b *bench) count(path string) int64 {
	if count, ok := b.calls.Load(path); ok {
		return count.(*atomic.Int64).Load()
	}
	return 0
}

func (b *bench) attempt() authn.Attempt {
	return authn.Attempt{ID: "attempt", SiteName: "큐넷", Locale: "ko", ReturnURL: b.site + "/window/0123456789abcdef0123456789abcdef"}
}

// begun is an attempt whose window is open, and the browser before it.
func (b *bench) begun() (authn.Attempt, *browse.Browser) {
	b.t.Helper()
	at := b.attempt()
	started, err := b.Begin(b.t.Context(), at, authn.Input{})
	if err != nil {
		b.t.Fatalf("Begin: %v", err)
	}
	at.Private, at.ReturnURL = started.Private, ""
	browser, err := browse.New(b.client)
	if err != nil {
		b.t.Fatal(err)
	}
	if started.Window.Fields == nil {
		b.must(browser.Open(b.t.Context(), started.Window.URL))
		return at, browser
	}
	to, err := json.Marshal(started.Window)
	b.must(err)
	b.must(browser.Open(b.t.Context(), b.site+"/go?to="+url.QueryEscape(string(to))))
	b.click(browser, "go")
	return at, browser
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) click(browser *browse.Browser, id string) {
	b.t.Helper()
	b.must(browser.Click(b.t.Context(), id))
}

// prove does in the window what a citizen does, up to the return.
func (b *bench) prove(browser *browse.Browser, p simulated.Person) url.Values {
	b.t.Helper()
	if browser.Has("ipin-id") {
		b.must(browser.Fill("ipin-id", p.IPIN.ID))
		b.must(browser.Fill("ipin-password", p.IPIN.Password))
		b.click(browser, "confirm-ipin")
	} else {
		carrier := p.Carrier
		if carrier == "" {
			carrier = simulated.SKT
		}
		b.must(browser.Check("carrier-" + carrier.Slug()))
		b.must(browser.Fill("name", p.Name))
		b.must(browser.Fill("birth", strings.ReplaceAll(p.BirthDate, "-", "")))
		b.must(browser.Fill("phone", p.Phone))
		b.must(browser.Check("agree"))
		b.click(browser, "send-code")
		if browser.Has("code") {
			messages := b.sim.Messages(p.Phone)
			b.must(browser.Fill("code", messages[len(messages)-1].Code))
			b.click(browser, "confirm-code")
		}
	}
	return b.returned(browser)
}

// returned is what the browser brings back.
func (b *bench) returned(browser *browse.Browser) url.Values {
	b.t.Helper()
	if browser.Has("window-return") {
		b.click(browser, "window-return")
	}
	got := b.lastReturn.Swap(nil)
	if got == nil {
		b.t.Fatalf("the browser is at %s, status %d", browser.URL(), browser.Status())
	}
	return *got
}

// proved is an attempt that somebody has proved, and what the browser brought back.
func (b *bench) proved(p simulated.Person) (authn.Attempt, url.Values) {
	b.t.Helper()
	at, browser := b.begun()
	return at, b.prove(browser, p)
}

func (b *bench) fault(s sim.Switch) {
	b.t.Helper()
	b.must(b.sim.Faults().Set(s))
}

// wantCode fails unless err is an *authn.Error with that code that carries nothing personal and no secret.
func wantCode(t testing.TB, err error, code authn.Code) {
	t.Helper()
	e, ok := errors.AsType[*authn.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error is %v, want %s", err, code)
	}
	for _, secret := range []string{hong.Name, hong.Phone, hong.CI, "18900315", "9999999", smith.CI} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error says something personal: %v", err)
		}
	}
}
