package agency_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/agency"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/sim"
	simulated "github.com/anyid/anyid/internal/sim/agency"
)

var apis = []string{nice, checkPlus, kcb, danal}

// providers are the agencies' ids in evidence.
var providers = map[string]string{nice: "nice", checkPlus: "nice", kcb: "kcb", danal: "danal"}

func TestPhone(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		for _, who := range []simulated.Person{hong, smith} {
			t.Run(api+" "+who.Name, func(t *testing.T) {
				t.Parallel()
				b := start(t, options{api: api})
				at, returned := b.proved(who)
				e, err := b.Finish(t.Context(), at, returned)
				if err != nil {
					t.Fatal(err)
				}
				if raw, err := hex.DecodeString(e.Digest); err != nil || len(raw) != 32 {
					t.Errorf("digest %q", e.Digest)
				}
				if time.Since(e.At) > time.Minute {
					t.Errorf("at %s", e.At)
				}
				want := authn.Evidence{
					Method: method.Phone, Provider: providers[api], Label: "휴대폰 인증", Subject: who.CI, CI: who.CI,
					Attributes: authn.Attributes{
						Name: who.Name, BirthDate: who.BirthDate, Gender: who.Gender, Nationality: "domestic", Phone: "+82" + who.Phone[1:],
					},
					Level: 2, AMR: []string{"mca"}, Binding: authn.Transport, At: e.At, Digest: e.Digest,
				}
				if who.Foreigner {
					want.Attributes.Nationality = "foreign"
				}
				if api == danal { // does not tell
					want.Attributes.Nationality = ""
				}
				if !reflect.DeepEqual(e, want) {
					t.Errorf("evidence %+v\nwant %+v", e, want)
				}
			})
		}
	}
}

func TestIPIN(t *testing.T) {
	t.Parallel()
	b := start(t, options{method: method.IPIN})
	at, returned := b.proved(hong)
	e, err := b.Finish(t.Context(), at, returned)
	if err != nil {
		t.Fatal(err)
	}
	want := authn.Attributes{Name: hong.Name, BirthDate: hong.BirthDate, Gender: "male", Nationality: "domestic"}
	if e.Method != method.IPIN || e.Label != "아이핀(i-PIN)" || e.CI != hong.CI || e.Attributes != want || !reflect.DeepEqual(e.AMR, []string{"pwd"}) {
		t.Errorf("evidence %+v", e)
	}
	if b.Method() != method.IPIN || b.Providers()[0].ID != "nice" {
		t.Error("method or provider")
	}
}

// TestSwitches has every switch of the simulator that spoils a verification, and what becomes of it.
func TestSwitches(t *testing.T) {
	t.Parallel()
	const all = ""
	for _, tt := range []struct {
		fault string
		api   string // empty: every one
		code  authn.Code
	}{
		{simulated.FaultServerError, nice, authn.Indeterminate},
		{simulated.FaultServerError, kcb, authn.Indeterminate},
		{simulated.FaultServerError, danal, authn.Indeterminate},
		{simulated.FaultUnreachable, nice, authn.Indeterminate},
		{simulated.FaultUnreachable, kcb, authn.Indeterminate},
		{simulated.FaultUnreachable, danal, authn.Indeterminate},
		{simulated.FaultMalformed, nice, authn.Indeterminate},
		{simulated.FaultMalformed, kcb, authn.Indeterminate},
		{simulated.FaultAnswerLost, nice, authn.Indeterminate},
		{simulated.FaultAnswerLost, kcb, authn.Indeterminate},
		{simulated.FaultAnswerLost, danal, authn.Indeterminate},
		{simulated.FaultUnregistered, nice, authn.ProviderAuth},
		{simulated.FaultTokenRefused, kcb, authn.ProviderAuth},
		{simulated.FaultTokenExpired, nice, authn.ProviderAuth}, // again and again
		{simulated.FaultFetchedBefore, nice, authn.AlreadyUsed},
		{simulated.FaultWrongIntegrity, nice, authn.BadEvidence},
		{simulated.FaultWrongIntegrity, checkPlus, authn.BadEvidence},
		{simulated.FaultWrongTag, nice, authn.BadEvidence},
		{simulated.FaultWrongTag, checkPlus, authn.BadEvidence},
		{simulated.FaultOtherKeySlices, nice, authn.BadEvidence},
		{simulated.FaultOtherService, checkPlus, authn.BadEvidence},
		{simulated.FaultOtherReturn, nice, authn.BadRequest},
		{simulated.FaultOtherReturn, checkPlus, authn.BadEvidence},
		{simulated.FaultOtherReturn, kcb, authn.BadEvidence},
		{simulated.FaultOtherReturn, danal, authn.BadEvidence},
		{simulated.FaultOtherRequest, all, authn.BadEvidence},
		{simulated.FaultMalformedCI, all, authn.BadEvidence},
		{simulated.FaultMissingCI, all, authn.BadEvidence},
		{simulated.FaultMissingName, all, authn.BadEvidence},
		{simulated.FaultMalformedBirth, all, authn.BadEvidence},
		{simulated.FaultUnknownResultCode, all, authn.BadRequest},
		{simulated.FaultClosedWindow, all, authn.UserCancelled},
	} {
		for _, api := range apis {
			if tt.api != all && tt.api != api {
				continue
			}
			t.Run(api+" "+tt.fault, func(t *testing.T) {
				t.Parallel()
				b := start(t, options{api: api})
				var at authn.Attempt
				var returned url.Values
				switch tt.fault {
				case simulated.FaultClosedWindow, simulated.FaultOtherReturn:
					b.fault(sim.Switch{Name: tt.fault})
					at, returned = b.proved(hong)
				default:
					at, returned = b.provedWith(tt.fault, api)
				}
				e, err := b.Finish(t.Context(), at, returned)
				wantCode(t, err, tt.code)
				if e.CI != "" || e.Subject != "" {
					t.Error("there is evidence")
				}
			})
		}
	}
}

// provedWith is proved with a fault that is on before the result is made: in the window, for the interface whose
// result the browser brings; else after it.
func (b *bench) provedWith(fault, api string) (authn.Attempt, url.Values) {
	b.t.Helper()
	at, browser := b.begun()
	if api == checkPlus {
		b.fault(sim.Switch{Name: fault})
		return at, b.prove(browser, hong)
	}
	returned := b.prove(browser, hong)
	b.fault(sim.Switch{Name: fault})
	return at, returned
}

// TestOrderSwitches has the switches that spoil an order.
func TestOrderSwitches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault string
		apis  []string
		code  authn.Code
	}{
		{simulated.FaultServerError, apis, authn.ProviderDown},
		{simulated.FaultUnreachable, apis, authn.ProviderDown},
		{simulated.FaultMalformed, apis, authn.ProviderDown},
		{simulated.FaultTokenRefused, []string{nice, checkPlus, kcb}, authn.ProviderAuth},
		{simulated.FaultTokenRefused, []string{danal}, authn.BadRequest}, // what its code means only the contract tells
		{simulated.FaultTokenExpired, []string{nice, checkPlus}, authn.ProviderAuth},
		{simulated.FaultNoPermission, []string{nice, checkPlus}, authn.ProviderAuth},
		{simulated.FaultUnregistered, []string{nice}, authn.ProviderAuth},
	} {
		for _, api := range tt.apis {
			t.Run(api+" "+tt.fault, func(t *testing.T) {
				t.Parallel()
				b := start(t, options{api: api})
				b.fault(sim.Switch{Name: tt.fault})
				_, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
				wantCode(t, err, tt.code)
			})
		}
	}
}

func TestSlow(t *testing.T) {
	t.Parallel()
	for _, api := range []string{nice, kcb, danal} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			b := start(t, options{api: api, wait: time.Second})
			at, returned := b.proved(hong)
			b.fault(sim.Switch{Name: simulated.FaultSlow, DelayMS: 3000})
			_, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
			wantCode(t, err, authn.ProviderDown)
			_, err = b.Finish(t.Context(), at, returned)
			wantCode(t, err, authn.Indeterminate)
		})
	}
}

// TestUnsent: what never left this machine cost nothing.
func TestUnsent(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	d, err := agency.NewNICE(agency.NICE{URL: gone.URL, ClientID: "a", ClientSecret: "b"}, http.DefaultClient, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agency.New(method.Phone, 0, d, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Begin(t.Context(), authn.Attempt{ReturnURL: "https://a.example/window/1"}, authn.Input{})
	wantCode(t, err, authn.ProviderDown)
	private := `{"a":"nice","n":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","e":99999999999,"p":{"t":"T","b":"B","k":"K","i":50}}`
	_, err = a.Finish(t.Context(), authn.Attempt{Private: []byte(private)}, url.Values{"web_transaction_id": {"w"}})
	wantCode(t, err, authn.ProviderDown)
}

// TestTokenExpiresMidFlow: a token that dies is replaced once, and the ticket of the order still opens the result.
func TestTokenExpiresMidFlow(t *testing.T) {
	t.Parallel()
	b := start(t, options{})
	at, returned := b.proved(hong)
	b.fault(sim.Switch{Name: simulated.FaultTokenExpired, Uses: 1})
	if e, err := b.Finish(t.Context(), at, returned); err != nil || e.CI != hong.CI {
		t.Fatal(err)
	}
	b.fault(sim.Switch{Name: simulated.FaultTokenExpired, Uses: 1})
	at, returned = b.proved(smith)
	if e, err := b.Finish(t.Context(), at, returned); err != nil || e.CI != smith.CI {
		t.Fatal(err)
	}
	old := start(t, options{api: checkPlus})
	old.fault(sim.Switch{Name: simulated.FaultTokenExpired, Uses: 1})
	at, returned = old.proved(hong)
	if _, err := old.Finish(t.Context(), at, returned); err != nil {
		t.Fatal(err)
	}
}

// TestOneToken: all verifications share the token.
func TestOneToken(t *testing.T) {
	t.Parallel()
	b := start(t, options{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := b.Begin(t.Context(), b.attempt(), authn.Input{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := b.count("/ido/intc/v1.0/auth/token"); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

// TestOnce: NICE hands a result out once, and says so to every other call. That of concurrent returns one only gets
// here is the journey's affair.
func TestOnce(t *testing.T) {
	t.Parallel()
	b := start(t, options{})
	at, returned := b.proved(hong)
	var mu sync.Mutex
	outcomes := map[authn.Code]int{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			code := authn.Code("")
			if _, err := b.Finish(t.Context(), at, returned); err != nil {
				code = err.(*authn.Error).Code //nolint:errorlint,forcetypeassert // the contract
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[code]++
		})
	}
	all.Wait()
	if outcomes[""] != 1 || outcomes[authn.AlreadyUsed] != 7 {
		t.Errorf("outcomes %v", outcomes)
	}
}

// TestOtherAttempt: what one browser brings back finishes no other attempt.
func TestOtherAttempt(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			b := start(t, options{api: api})
			_, stolen := b.proved(smith)
			at, mine := b.proved(hong)
			_, err := b.Finish(t.Context(), at, stolen)
			switch e, _ := err.(*authn.Error); { //nolint:errorlint // the contract
			case e == nil, e.Code != authn.BadEvidence && e.Code != authn.BadRequest:
				t.Fatalf("error is %v", err)
			}
			if e, err := b.Finish(t.Context(), at, mine); err != nil || e.CI != hong.CI {
				t.Fatalf("its own afterwards: %v", err)
			}
		})
	}
}

// TestNumbers: each order has a request number of its own, and none in the address.
func TestNumbers(t *testing.T) {
	t.Parallel()
	b := start(t, options{})
	seen := map[string]bool{}
	for range 3 {
		started, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
		if err != nil {
			t.Fatal(err)
		}
		var h struct {
			Number string `json:"n"`
		}
		if err := json.Unmarshal(started.Private, &h); err != nil || len(h.Number) != 26 || seen[h.Number] {
			t.Fatalf("number %q, %v", h.Number, err)
		}
		seen[h.Number] = true
		if strings.Contains(started.Window.URL, h.Number) || bytes.Contains([]byte(started.Window.URL), []byte("attempt")) {
			t.Error("the window's address tells what is ours")
		}
		if left := time.Until(started.ExpiresAt); left > 10*time.Minute || left < 9*time.Minute {
			t.Errorf("expires in %s", left)
		}
	}
}

func TestSecretsStayHere(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		b := start(t, options{api: api})
		started, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
		if err != nil {
			t.Fatal(err)
		}
		var h struct {
			P map[string]any `json:"p"`
		}
		if err := json.Unmarshal(started.Private, &h); err != nil {
			t.Fatal(err)
		}
		browser, err := json.Marshal(started.Window)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"k", "b"} { // ticket or key, and token
			if secret, ok := h.P[name].(string); ok && strings.Contains(string(browser), secret) {
				t.Errorf("%s: the browser gets %q", api, name)
			}
		}
		if strings.Contains(string(browser), b.sim.ClientSecret()) {
			t.Errorf("%s: the browser gets the account's secret", api)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	shift := time.Duration(0)
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(shift)
	}
	b := start(t, options{now: now})
	at := b.attempt()
	at.ExpiresAt = time.Now().Add(5 * time.Minute)
	started, err := b.Begin(t.Context(), at, authn.Input{Provider: "nice"})
	if err != nil || !started.ExpiresAt.Equal(at.ExpiresAt) {
		t.Fatalf("%v, %v", started.ExpiresAt, err)
	}
	at.Private = started.Private
	mu.Lock()
	shift = 5 * time.Minute
	mu.Unlock()
	_, err = b.Finish(t.Context(), at, url.Values{"web_transaction_id": {"x"}})
	wantCode(t, err, authn.TooLate)
	_, err = b.Begin(t.Context(), at, authn.Input{})
	wantCode(t, err, authn.TooLate)
}

// TestSkew: the agencies' clocks may be five minutes ahead of ours, or behind.
func TestSkew(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
			b := start(t, options{api: api, now: func() time.Time { return time.Now().Add(skew) }})
			at, returned := b.proved(hong)
			if _, err := b.Finish(t.Context(), at, returned); err != nil {
				t.Errorf("%s, %s: %v", api, skew, err)
			}
		}
	}
}

// TestKeySlices: both readings of NICE's documents work, when both sides have the same.
func TestKeySlices(t *testing.T) {
	t.Parallel()
	b := start(t, options{sim: func(c *simulated.Config) { c.RawKeys = true }, nice: func(n *agency.NICE) { n.RawKeys = true }})
	at, returned := b.proved(hong)
	if e, err := b.Finish(t.Context(), at, returned); err != nil || e.CI != hong.CI {
		t.Fatal(err)
	}
}

// TestAttributeSwitches has the switches that change what a result says.
func TestAttributeSwitches(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		for _, fault := range []string{
			simulated.FaultOtherPerson, simulated.FaultForeigner, simulated.FaultMVNO, simulated.FaultEUCKR, simulated.FaultResidentNumber,
		} {
			t.Run(api+" "+fault, func(t *testing.T) {
				t.Parallel()
				b := start(t, options{api: api})
				at, returned := b.provedWith(fault, api)
				e, err := b.Finish(t.Context(), at, returned)
				if err != nil {
					t.Fatal(err)
				}
				wantCI, wantNation := hong.CI, "domestic"
				if fault == simulated.FaultOtherPerson { // whose it is the journey compares with the person
					wantCI = smith.CI
				}
				if fault == simulated.FaultForeigner {
					wantNation = "foreign"
				}
				if api == danal {
					wantNation = ""
				}
				a := e.Attributes
				if e.CI != wantCI || a.Nationality != wantNation || a.Name != hong.Name || a.Phone != "+821000000001" {
					t.Errorf("evidence %+v", e)
				}
				text, err := json.Marshal(e)
				if err != nil || strings.Contains(string(text), "9999999") {
					t.Errorf("the evidence keeps the resident number: %v", err)
				}
			})
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		b := start(t, options{api: api})
		at, browser := b.begun()
		b.click(browser, "close-window")
		_, err := b.Finish(t.Context(), at, b.returned(browser))
		wantCode(t, err, authn.UserCancelled)
		_, err = b.Finish(t.Context(), at, url.Values{})
		wantCode(t, err, authn.UserCancelled)
	}
}

// TestGarbage: what browsers bring that no agency sent costs no call.
func TestGarbage(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		b := start(t, options{api: api})
		at, browser := b.begun()
		for _, returned := range []url.Values{
			{"web_transaction_id": {""}}, {"web_transaction_id": {"a b"}}, {"web_transaction_id": {"a", "b"}}, {"web_transaction_id": {strings.Repeat("a", 2000)}},
			{"token_version_id": {""}, "enc_data": {""}, "integrity_value": {""}}, {"mdl_tkn": {"x"}}, {"TID": {"x"}}, {"x": {"y"}},
		} {
			_, err := b.Finish(t.Context(), at, returned)
			wantCode(t, err, authn.BadEvidence)
		}
		returned := b.prove(browser, hong)
		if _, err := b.Finish(t.Context(), at, returned); err != nil {
			t.Errorf("%s: %v", api, err)
		}
	}
}

func TestForeignAttempts(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		b := start(t, options{api: api})
		for _, private := range []string{
			"", "{}", "nonsense", `{"a":"other","n":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","e":99999999999}`, `{"a":"nice","n":"x","e":99999999999}`,
			`{"a":"` + providers[api] + `","n":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","e":99999999999,"p":{}}`,
			`{"a":"` + providers[api] + `","n":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","e":99999999999,"p":"x"}`,
		} {
			_, err := b.Finish(t.Context(), authn.Attempt{Private: []byte(private)}, url.Values{"TID": {"x"}})
			wantCode(t, err, authn.BadRequest)
		}
	}
}

func TestReturnURL(t *testing.T) {
	t.Parallel()
	b := start(t, options{})
	for _, address := range []string{"", "/window/1", "https://a.example/w?x=1", "https://a.example/w#x", "https://a.example/" + strings.Repeat("w", 250)} {
		at := b.attempt()
		at.ReturnURL = address
		_, err := b.Begin(t.Context(), at, authn.Input{})
		wantCode(t, err, authn.BadRequest)
	}
	_, err := b.Begin(t.Context(), b.attempt(), authn.Input{Provider: "kcb"})
	wantCode(t, err, authn.BadRequest)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, api := range apis {
		b := start(t, options{api: api})
		if err := b.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", api, err)
		}
		b.fault(sim.Switch{Name: simulated.FaultTokenRefused})
		if err := b.Check(t.Context()); err == nil {
			t.Errorf("%s: a refused account passes", api)
		}
		if len(b.sim.Messages("")) != 0 {
			t.Errorf("%s: a citizen was asked", api)
		}
	}
}

func TestRegisteredAddress(t *testing.T) {
	t.Parallel()
	b := start(t, options{sim: func(c *simulated.Config) { c.Callers = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	_, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
	wantCode(t, err, authn.ProviderAuth)
}

func TestServicesUnderContract(t *testing.T) {
	t.Parallel()
	b := start(t, options{method: method.IPIN, sim: func(c *simulated.Config) { c.Services = []string{"M"} }})
	_, err := b.Begin(t.Context(), b.attempt(), authn.Input{})
	wantCode(t, err, authn.ProviderAuth)
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	good := agency.NICE{ClientID: "a", ClientSecret: "b"}
	for name, edit := range map[string]func(*agency.NICE){
		"no account":     func(c *agency.NICE) { c.ClientID = "" },
		"plain http":     func(c *agency.NICE) { c.URL = "http://nice.example" },
		"a query":        func(c *agency.NICE) { c.URL = "https://nice.example/?x" },
		"gender":         func(c *agency.NICE) { c.Male = "M" },
		"nationality":    func(c *agency.NICE) { c.Foreign = "2" },
		"equal services": func(c *agency.NICE) { c.IPINService = "M" },
		"timeout":        func(c *agency.NICE) { c.Timeout = -1 },
	} {
		cfg := good
		edit(&cfg)
		if _, err := agency.NewNICE(cfg, http.DefaultClient, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := agency.NewNICE(good, nil, nil); err == nil {
		t.Error("no client: no error")
	}
	d, err := agency.NewNICE(good, http.DefaultClient, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agency.New(method.IPIN, 1, d, nil); err == nil {
		t.Error("an i-PIN without a service")
	}
	if _, err := agency.New(method.Simple, 1, d, nil); err == nil {
		t.Error("another method")
	}
	if _, err := agency.New(method.Phone, 4, d, nil); err == nil {
		t.Error("a level of 4")
	}
	if _, err := agency.New(method.Phone, 1, nil, nil); err == nil {
		t.Error("no driver")
	}
	if _, err := agency.NewCheckPlus(agency.CheckPlus{ClientID: "a", ClientSecret: "b"}, http.DefaultClient, nil); err == nil {
		t.Error("CheckPlus without a product")
	}
	sidecar := agency.KCB{URL: "http://localhost:9", Key: "k", Member: simulated.MemberKCB, SiteName: "정부 통합인증", SiteURL: "https://a.example"}
	if _, err := agency.NewKCB(sidecar, http.DefaultClient); err != nil {
		t.Error(err)
	}
	sidecar.SiteName = "정부 통합인증 서비스 누리집 창" // 29 bytes
	if _, err := agency.NewKCB(sidecar, http.DefaultClient); err == nil {
		t.Error("KCB with a long site name")
	}
	if _, err := agency.NewDanal(agency.Danal{Member: "a", Password: "b"}, http.DefaultClient); err == nil {
		t.Error("Danal without a site")
	}
	other, err := agency.NewDanal(agency.Danal{Member: "a", Password: "b", SiteURL: "https://a.example"}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agency.New(method.IPIN, 1, other, nil); err == nil {
		t.Error("an i-PIN at Danal")
	}
}
