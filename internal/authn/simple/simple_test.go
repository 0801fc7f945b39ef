package simple_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/simple"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/sim"
	provider "github.com/anyid/anyid/internal/sim/simple"
)

var (
	hong = provider.Person{
		Name: "홍길동", BirthDate: "1990-03-15", Phone: "01012345678", Gender: "male", CI: ci(1), Telco: "SKT", Email: "hong@example.kr",
	}
	smith = provider.Person{
		Name: "SMITH JANE", BirthDate: "1985-12-01", Phone: "01098765432", Gender: "female", Foreigner: true, CI: ci(2), Telco: "KT",
		Providers: []string{"kakao"},
	}
)

func ci(seed byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+seed)), 64)))
}

// bench is the adapter before a simulator on real HTTP.
type bench struct {
	*simple.Adapter
	sim     *provider.Simulator
	cfg     simple.Config
	tokens  atomic.Int64 // session tokens asked for
	verifys atomic.Int64 // verifications asked for
}

func start(t testing.TB, edit func(*provider.Config, *simple.Config), now func() time.Time) *bench {
	t.Helper()
	pc := provider.Config{People: []provider.Person{hong, smith}, Now: now}
	sc := simple.Config{Providers: []string{"kakao", "naver", "pass", "toss"}, CallCenter: "1600-0000"}
	if edit != nil {
		edit(&pc, &sc)
	}
	s, err := provider.New(pc)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{sim: s}
	auth, api := s.AuthHandler(), s.APIHandler()
	authServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.tokens.Add(1)
		auth.ServeHTTP(w, r)
	}))
	apiServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.Count(r.URL.Path, "/") > 3 {
			b.verifys.Add(1)
		}
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(authServer.Close)
	t.Cleanup(apiServer.Close)
	sc.AuthURL, sc.APIURL = authServer.URL, apiServer.URL
	sc.LinkID, sc.SecretKey, sc.ClientCode = s.LinkID(), s.SecretKey(), s.ClientCode()
	if sc.TrustedRoots == nil {
		sc.TrustedRoots = s.Roots()
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	b.cfg = sc
	if b.Adapter, err = simple.New(sc, &http.Client{Transport: transport}, now); err != nil {
		t.Fatal(err)
	}
	return b
}

func attempt(providerID string) (authn.Attempt, authn.Input) {
	var nonce [16]byte
	for i := range nonce {
		nonce[i] = byte(rand.Uint32())
	}
	return authn.Attempt{ID: "attempt", Nonce: hex.EncodeToString(nonce[:]), SiteName: "큐넷", Locale: "ko", Provider: providerID},
		authn.Input{Provider: providerID, Name: hong.Name, BirthDate: hong.BirthDate, Phone: hong.Phone}
}

// begun is an attempt whose request is on its way.
func (b *bench) begun(t testing.TB, providerID string) authn.Attempt {
	t.Helper()
	at, in := attempt(providerID)
	started, err := b.Begin(t.Context(), at, in)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	at.Private = started.Private
	return at
}

func receipt(t testing.TB, at authn.Attempt) string {
	t.Helper()
	var private struct {
		R string `json:"r"`
	}
	if err := json.Unmarshal(at.Private, &private); err != nil {
		t.Fatal(err)
	}
	return private.R
}

// approved is an attempt that the citizen has signed.
func (b *bench) approved(t testing.TB, providerID string) authn.Attempt {
	t.Helper()
	at := b.begun(t, providerID)
	if err := b.sim.Approve(receipt(t, at)); err != nil {
		t.Fatal(err)
	}
	return at
}

func (b *bench) fault(t testing.TB, s sim.Switch) {
	t.Helper()
	if err := b.sim.Faults().Set(s); err != nil {
		t.Fatal(err)
	}
}

// wantCode fails unless err is an *authn.Error with that code, and carries nothing personal.
func wantCode(t testing.TB, err error, code authn.Code) {
	t.Helper()
	e, ok := errors.AsType[*authn.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("got error %v, want %s", err, code)
	}
	for _, personal := range []string{hong.Name, hong.Phone, hong.Phone[1:], "1990", "홍", hong.CI} {
		if strings.Contains(err.Error(), personal) {
			t.Errorf("the error carries personal data: %v", err)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"verify", "identity"} {
		for _, sealed := range []bool{false, true} {
			b := start(t, func(p *provider.Config, a *simple.Config) {
				a.VerifyPath, p.SealAnswers = path, sealed
			}, nil)
			for _, p := range b.Providers() {
				t.Run(path+"/"+p.ID, func(t *testing.T) {
					at, in := attempt(p.ID)
					before := time.Now()
					started, err := b.Begin(t.Context(), at, in)
					if err != nil {
						t.Fatal(err)
					}
					if d := started.ExpiresAt.Sub(before); d < 299*time.Second || d > 301*time.Second {
						t.Errorf("expires in %v", d)
					}
					at.Private = started.Private
					if got, err := b.Status(t.Context(), at); err != nil || got.State != authn.Pending {
						t.Fatalf("status %v, %v", got, err)
					}
					_, err = b.Complete(t.Context(), at)
					wantCode(t, err, authn.NotReady)
					if err := b.sim.Approve(receipt(t, at)); err != nil {
						t.Fatal(err)
					}
					if got, err := b.Status(t.Context(), at); err != nil || got.State != authn.Approved {
						t.Fatalf("status %v, %v", got, err)
					}
					got, err := b.Complete(t.Context(), at)
					if err != nil {
						t.Fatal(err)
					}
					want := authn.Attributes{Name: "홍길동", BirthDate: "1990-03-15", Gender: "male", Nationality: "domestic", Phone: "+821012345678"}
					binding, level := authn.Signed, method.Level(2)
					if p.ID == "naver" {
						want.Email, binding, level = hong.Email, authn.Transport, 1
					}
					if got.Attributes != want {
						t.Errorf("attributes %+v, want %+v", got.Attributes, want)
					}
					if got.Binding != binding || got.Level != level || got.CI != hong.CI || got.Subject != hong.CI ||
						got.Method != method.Simple || got.Provider != p.ID || got.Label != p.Korean+" 인증" ||
						len(got.Digest) != 64 || len(got.AMR) == 0 || time.Since(got.At) > time.Minute {
						t.Errorf("evidence %+v", got)
					}
					_, err = b.Complete(t.Context(), at)
					wantCode(t, err, authn.AlreadyUsed)
				})
			}
		}
	}
}

func TestForeigner(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	at, in := attempt("kakao")
	in.Name, in.BirthDate, in.Phone = smith.Name, smith.BirthDate, smith.Phone
	started, err := b.Begin(t.Context(), at, in)
	if err != nil {
		t.Fatal(err)
	}
	at.Private = started.Private
	if err := b.sim.Approve(receipt(t, at)); err != nil {
		t.Fatal(err)
	}
	got, err := b.Complete(t.Context(), at)
	want := authn.Attributes{Name: "SMITH JANE", BirthDate: "1985-12-01", Gender: "female", Nationality: "foreign", Phone: "+821098765432"}
	if err != nil || got.Attributes != want {
		t.Errorf("%+v, %v", got.Attributes, err)
	}
	at, in = attempt("toss")
	in.Name, in.BirthDate, in.Phone = smith.Name, smith.BirthDate, smith.Phone
	_, err = b.Begin(t.Context(), at, in)
	wantCode(t, err, authn.NoCredential)
}

func TestBeginRefused(t *testing.T) {
	t.Parallel()
	b := start(t, func(_ *provider.Config, a *simple.Config) { a.Providers = []string{"toss", "kakao"} }, nil)
	for name, row := range map[string]struct {
		edit func(*authn.Attempt, *authn.Input)
		want authn.Code
	}{
		"unknown phone":         {func(_ *authn.Attempt, in *authn.Input) { in.Phone = "01000000000" }, authn.NoCredential},
		"unknown name":          {func(_ *authn.Attempt, in *authn.Input) { in.Name = "임꺽정" }, authn.NoCredential},
		"other birth date":      {func(_ *authn.Attempt, in *authn.Input) { in.BirthDate = "1990-03-16" }, authn.NoCredential},
		"no such date":          {func(_ *authn.Attempt, in *authn.Input) { in.BirthDate = "1990-02-30" }, authn.BadRequest},
		"no name":               {func(_ *authn.Attempt, in *authn.Input) { in.Name = "" }, authn.BadRequest},
		"phone with hyphens":    {func(_ *authn.Attempt, in *authn.Input) { in.Phone = "010-1234-5678" }, authn.BadRequest},
		"nonce of another kind": {func(at *authn.Attempt, _ *authn.Input) { at.Nonce = "short" }, authn.BadRequest},
		"provider not offered":  {func(_ *authn.Attempt, in *authn.Input) { in.Provider = "pass" }, authn.BadRequest},
		"attempt over":          {func(at *authn.Attempt, _ *authn.Input) { at.ExpiresAt = time.Now() }, authn.TooLate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, id := range []string{"kakao", "toss"} {
				at, in := attempt(id)
				row.edit(&at, &in)
				_, err := b.Begin(t.Context(), at, in)
				wantCode(t, err, row.want)
			}
		})
	}
}

func TestLongSiteName(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	for _, locale := range []string{"ko", "en"} {
		for _, id := range []string{"kakao", "pass"} {
			at, in := attempt(id)
			at.SiteName, at.Locale = strings.Repeat("국가자격시험 큐넷\n", 60), locale
			if _, err := b.Begin(t.Context(), at, in); err != nil {
				t.Fatalf("%s: %v", id, err)
			}
		}
	}
	for _, w := range b.sim.Waiting(hong.Phone) {
		if !strings.Contains(w.Title, "국가자격시험 큐넷") || strings.Contains(w.Title, "\n") || len([]rune(w.Title)) > 40 {
			t.Errorf("title %q", w.Title)
		}
	}
}

// TestFaultsOfStatus has one row for each fault that a poll sees.
func TestFaultsOfStatus(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault string
		state authn.State
		code  authn.Code
		then  authn.Code // of Complete, if it is called all the same
	}{
		"reject":      {provider.FaultReject, authn.Rejected, "", authn.UserCancelled},
		"expire":      {provider.FaultExpire, authn.Expired, "", authn.TooLate},
		"state 5":     {provider.FaultUnprocessed, authn.Failed, "", authn.BadEvidence},
		"early":       {provider.FaultEarlyComplete, authn.Approved, "", authn.NotReady},
		"5xx":         {provider.FaultServerError, "", authn.ProviderDown, ""},
		"unreachable": {provider.FaultUnreachable, "", authn.ProviderDown, ""},
		"slow":        {provider.FaultSlow, "", authn.ProviderDown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, impatientWith(row.fault), nil)
			for _, p := range b.Providers() {
				at := b.begun(t, p.ID)
				uses := 1
				if row.code != "" {
					uses = 0 // HTTP sends a GET again by itself when a kept connection breaks
				}
				b.fault(t, sim.Switch{Name: row.fault, Only: receipt(t, at), Uses: uses})
				got, err := b.Status(t.Context(), at)
				if row.code != "" {
					wantCode(t, err, row.code)
					continue
				}
				if err != nil || got.State != row.state {
					t.Fatalf("%s: %v, %v", p.ID, got, err)
				}
				_, err = b.Complete(t.Context(), at)
				wantCode(t, err, row.then)
			}
		})
	}
}

// impatientWith does not wait long for a provider that is slow. Everything else has the time that a busy machine takes.
func impatientWith(fault string) func(*provider.Config, *simple.Config) {
	return func(_ *provider.Config, a *simple.Config) {
		if fault == provider.FaultSlow {
			a.Timeout = time.Second
		}
	}
}

// TestFaultsOfComplete has one row for each fault of the one-shot verification.
func TestFaultsOfComplete(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault string
		code  authn.Code
		naver authn.Code // where Naver, whose signature carries no text of ours, differs
		again authn.Code // of a second Complete
	}{
		"5xx":             {fault: provider.FaultServerError, code: authn.Indeterminate, again: "ok"},
		"unreachable":     {fault: provider.FaultUnreachable, code: authn.Indeterminate, again: "ok"},
		"slow":            {fault: provider.FaultSlow, code: authn.Indeterminate, again: "ok"},
		"answer lost":     {fault: provider.FaultAnswerLost, code: authn.Indeterminate, again: authn.AlreadyUsed},
		"wrong signature": {fault: provider.FaultWrongSignature, code: authn.BadEvidence, again: authn.AlreadyUsed},
		"foreign token":   {fault: provider.FaultForeignToken, code: authn.BadEvidence, naver: "ok", again: authn.AlreadyUsed},
		"replay":          {fault: provider.FaultReplay, code: authn.BadEvidence, again: authn.AlreadyUsed},
		"malformed CI":    {fault: provider.FaultMalformedCI, code: authn.BadEvidence, again: authn.AlreadyUsed},
		"wrong tag":       {fault: provider.FaultWrongTag, code: authn.BadEvidence, again: authn.AlreadyUsed},
		"verify twice":    {fault: provider.FaultVerifyTwice, code: "ok", again: "ok"},
		"token expired":   {fault: provider.FaultTokenExpired, code: "ok", again: authn.AlreadyUsed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, impatientWith(row.fault), nil)
			check := func(err error, code authn.Code) {
				t.Helper()
				if code != "ok" {
					wantCode(t, err, code)
				} else if err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range b.Providers() {
				if _, err := b.Complete(t.Context(), b.approved(t, p.ID)); err != nil { // what a replay replays
					t.Fatal(err)
				}
				at := b.approved(t, p.ID)
				b.fault(t, sim.Switch{Name: row.fault, Only: receipt(t, at), Uses: 1})
				_, err := b.Complete(t.Context(), at)
				if p.ID == "naver" && row.naver != "" {
					check(err, row.naver)
				} else {
					check(err, row.code)
				}
				_, err = b.Complete(t.Context(), at)
				check(err, row.again)
			}
		})
	}
}

// TestAnotherCI: the adapter cannot know whose CI is right; it reports the one that was verified, and
// the journey compares.
func TestAnotherCI(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	b.fault(t, sim.Switch{Name: provider.FaultWrongCI})
	got, err := b.Complete(t.Context(), b.approved(t, "kakao"))
	if err != nil || got.CI != smith.CI {
		t.Errorf("%v, %v", got.CI == smith.CI, err)
	}
}

func TestFaultsOfBegin(t *testing.T) {
	t.Parallel()
	b := start(t, impatientWith(provider.FaultSlow), nil)
	for _, row := range []struct{ fault, at string }{
		{provider.FaultServerError, "token"}, {provider.FaultUnreachable, "token"}, {provider.FaultSlow, "token"},
		{provider.FaultServerError, "request"}, {provider.FaultUnreachable, "request"}, {provider.FaultSlow, "request"},
	} {
		b.fault(t, sim.Switch{Name: row.fault, Only: row.at, Uses: 1})
		at, in := attempt("pass")
		_, err := b.Begin(t.Context(), at, in)
		wantCode(t, err, authn.ProviderDown)
		if on := b.sim.Faults().On(); len(on) != 0 {
			t.Errorf("%s at %s did not strike", row.fault, row.at)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	for name, edit := range map[string]func(*simple.Config){
		"key":     func(c *simple.Config) { c.SecretKey = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
		"link id": func(c *simple.Config) { c.LinkID = "SOMEBODY" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := b.cfg
			edit(&cfg)
			a, err := simple.New(cfg, http.DefaultClient, nil)
			if err != nil {
				t.Fatal(err)
			}
			at, in := attempt("kakao")
			_, err = a.Begin(t.Context(), at, in)
			wantCode(t, err, authn.ProviderAuth)
		})
	}
	t.Run("client code", func(t *testing.T) {
		t.Parallel()
		cfg := b.cfg
		cfg.ClientCode = "000000000000"
		a, err := simple.New(cfg, http.DefaultClient, nil)
		if err != nil {
			t.Fatal(err)
		}
		at, in := attempt("kakao")
		_, err = a.Begin(t.Context(), at, in)
		wantCode(t, err, authn.BadRequest)
	})
}

// TestTokenRefusedTwice: a second 401 is the end, not a loop.
func TestTokenRefusedTwice(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	b.fault(t, sim.Switch{Name: provider.FaultTokenExpired})
	at, in := attempt("kakao")
	_, err := b.Begin(t.Context(), at, in)
	wantCode(t, err, authn.ProviderAuth)
	if n := b.tokens.Load(); n != 2 {
		t.Errorf("%d session tokens, want 2", n)
	}
}

// TestOneToken: callers who arrive together share one fetch, and the token serves until shortly before
// it expires.
func TestOneToken(t *testing.T) {
	t.Parallel()
	clock := &clock{now: time.Now()}
	b := start(t, nil, clock.Now)
	at, in := attempt("kakao")
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if _, err := b.Begin(t.Context(), at, in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := b.tokens.Load(); n != 1 {
		t.Errorf("%d session tokens, want 1", n)
	}
	for i, step := range []struct {
		forward time.Duration
		want    int64
	}{{28 * time.Minute, 1}, {90 * time.Second, 2}, {time.Hour, 3}} {
		clock.Forward(step.forward)
		if _, err := b.Begin(t.Context(), at, in); err != nil {
			t.Fatal(err)
		}
		if n := b.tokens.Load(); n != step.want {
			t.Errorf("step %d: %d session tokens, want %d", i, n, step.want)
		}
	}
}

// TestClockSkew: the provider's clock may be five minutes off.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for skew, code := range map[time.Duration]authn.Code{
		4*time.Minute + 50*time.Second: "", -4*time.Minute - 50*time.Second: "", 6 * time.Minute: authn.ProviderAuth, -6 * time.Minute: authn.ProviderAuth,
	} {
		b := start(t, func(p *provider.Config, _ *simple.Config) {
			p.Now = func() time.Time { return time.Now().Add(skew) }
		}, nil)
		at, in := attempt("toss")
		if _, err := b.Begin(t.Context(), at, in); code != "" {
			wantCode(t, err, code)
		} else if err != nil {
			t.Errorf("%v: %v", skew, err)
		}
	}
}

// TestExpiry: a request lapses by the provider's clock, and never outlives the attempt or, at PASS,
// the day.
func TestExpiry(t *testing.T) {
	t.Parallel()
	seoul := time.FixedZone("KST", 9*60*60)
	y, m, d := time.Now().In(seoul).Date()
	clock := &clock{now: time.Date(y, m, d, 23, 58, 0, 0, seoul)}
	b := start(t, nil, clock.Now)
	at, in := attempt("pass")
	started, err := b.Begin(t.Context(), at, in)
	if err != nil || started.ExpiresAt.Sub(clock.Now()) != 119*time.Second {
		t.Errorf("PASS expires in %v, %v", started.ExpiresAt.Sub(clock.Now()), err)
	}
	at, in = attempt("kakao")
	at.ExpiresAt = clock.Now().Add(40 * time.Second)
	started, err = b.Begin(t.Context(), at, in)
	if err != nil || !started.ExpiresAt.Equal(at.ExpiresAt) {
		t.Fatalf("expires %v, %v", started.ExpiresAt, err)
	}
	at.Private = started.Private
	clock.Forward(41 * time.Second)
	if got, err := b.Status(t.Context(), at); err != nil || got.State != authn.Expired {
		t.Errorf("%v, %v", got, err)
	}
}

func TestProviderGone(t *testing.T) {
	t.Parallel()
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	b := start(t, nil, nil)
	at := b.approved(t, "kakao")
	cfg := b.cfg
	cfg.APIURL = dead.URL
	a, err := simple.New(cfg, http.DefaultClient, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Status(t.Context(), at)
	wantCode(t, err, authn.ProviderDown)
	_, err = a.Complete(t.Context(), at)
	wantCode(t, err, authn.ProviderDown) // nothing was sent, so the proof is still there
	if _, err := b.Complete(t.Context(), at); err != nil {
		t.Error(err)
	}
}

// TestOddAnswers: what is not the contract's answer is never taken for one.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	at := b.begun(t, "kakao")
	for name, row := range map[string]struct {
		answer           http.HandlerFunc
		status, complete authn.Code
	}{
		"not JSON":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, authn.ProviderDown, authn.Indeterminate},
		"too large": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 65<<10)) }, authn.ProviderDown, authn.Indeterminate},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, authn.ProviderDown, authn.Indeterminate},
		"too many":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, authn.ProviderDown, authn.ProviderDown},
		"forbidden": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, authn.ProviderAuth, authn.ProviderAuth},
		"other state": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"receiptID":"` + receipt(t, at) + `","state":9}`))
		}, authn.ProviderDown, authn.BadEvidence},
		"personal data in the refusal": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"code":"홍길동 01012345678","message":"홍길동 01012345678"}`))
		}, authn.BadRequest, authn.Indeterminate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			odd := httptest.NewServer(row.answer)
			t.Cleanup(odd.Close)
			cfg := b.cfg
			cfg.APIURL = odd.URL
			a, err := simple.New(cfg, odd.Client(), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Status(t.Context(), at)
			wantCode(t, err, row.status)
			_, err = a.Complete(t.Context(), at)
			wantCode(t, err, row.complete)
		})
	}
}

// TestUntrustedSigner: a good signature by somebody else's authority is refused where roots are given,
// and taken on the channel's word where none are.
func TestUntrustedSigner(t *testing.T) {
	t.Parallel()
	other, err := sim.NewAuthority("other root")
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, func(_ *provider.Config, a *simple.Config) { a.TrustedRoots = other.PEM() }, nil)
	_, err = b.Complete(t.Context(), b.approved(t, "toss"))
	wantCode(t, err, authn.BadEvidence)
	b = start(t, func(_ *provider.Config, a *simple.Config) { a.TrustedRoots = []byte{} }, nil)
	if _, err = b.Complete(t.Context(), b.approved(t, "toss")); err != nil {
		t.Error(err)
	}
}

// TestAnotherNonce: a proof signed for one attempt completes no other.
func TestAnotherNonce(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	at := b.approved(t, "kakao")
	other, _ := attempt("kakao")
	other.Private = at.Private
	_, err := b.Complete(t.Context(), other)
	wantCode(t, err, authn.BadEvidence)
}

func TestForeignPrivate(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	for _, private := range []string{"", "{}", `{"r":"1"}`, `{"r":"../../../../../../../../../../../"}`} {
		at, _ := attempt("kakao")
		at.Private = []byte(private)
		_, err := b.Status(t.Context(), at)
		wantCode(t, err, authn.BadRequest)
		_, err = b.Complete(t.Context(), at)
		wantCode(t, err, authn.BadRequest)
	}
}

// TestRace: of many who complete at once, one gets the proof.
func TestRace(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	for _, p := range b.Providers() {
		at := b.approved(t, p.ID)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				_, err := b.Complete(t.Context(), at)
				if err == nil {
					won.Add(1)
				} else if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.AlreadyUsed {
					lost.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 63 {
			t.Errorf("%s: %d won, %d lost", p.ID, won.Load(), lost.Load())
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	b := start(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at, in := attempt("kakao")
	_, err := b.Begin(ctx, at, in)
	wantCode(t, err, authn.ProviderDown)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say that it was cancelled", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := simple.Config{
		AuthURL: "https://auth.example", APIURL: "http://127.0.0.1:1", LinkID: "ANYID", ClientCode: "025090000001",
		SecretKey: base64.StdEncoding.EncodeToString(make([]byte, 32)), Providers: []string{"toss", "kakao"},
	}
	a, err := simple.New(good, http.DefaultClient, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Providers(); len(got) != 2 || got[0].ID != "toss" || got[1].Korean != "카카오" || a.Method() != method.Simple {
		t.Errorf("providers %v", got)
	}
	for name, edit := range map[string]func(*simple.Config){
		"plain http":         func(c *simple.Config) { c.APIURL = "http://api.example" },
		"no URL":             func(c *simple.Config) { c.AuthURL = "" },
		"no link id":         func(c *simple.Config) { c.LinkID = "" },
		"short key":          func(c *simple.Config) { c.SecretKey = "AAAA" },
		"client code":        func(c *simple.Config) { c.ClientCode = "12" },
		"no provider":        func(c *simple.Config) { c.Providers = nil },
		"unknown provider":   func(c *simple.Config) { c.Providers = []string{"payco"} },
		"twice":              func(c *simple.Config) { c.Providers = []string{"toss", "toss"} },
		"no call centre":     func(c *simple.Config) { c.Providers = []string{"naver"} },
		"long call centre":   func(c *simple.Config) { c.CallCenter = "1600-0000-0000" },
		"long expiry":        func(c *simple.Config) { c.ExpireIn = 1001 * time.Second },
		"split second":       func(c *simple.Config) { c.ExpireIn = 1500 * time.Millisecond },
		"verify path":        func(c *simple.Config) { c.VerifyPath = "/x" },
		"level":              func(c *simple.Config) { c.Level = 4 },
		"roots":              func(c *simple.Config) { c.TrustedRoots = []byte("no PEM") },
		"negative timeout":   func(c *simple.Config) { c.Timeout = -time.Second },
		"credentials in URL": func(c *simple.Config) { c.APIURL = "https://a:b@api.example" },
	} {
		cfg := good
		edit(&cfg)
		if _, err := simple.New(cfg, http.DefaultClient, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := simple.New(good, nil, nil); err == nil {
		t.Error("no client: accepted")
	}
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func BenchmarkJourney(b *testing.B) {
	s := start(b, func(p *provider.Config, _ *simple.Config) { p.AutoApprove = true }, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			at, in := attempt("kakao")
			started, err := s.Begin(b.Context(), at, in)
			if err != nil {
				b.Fatal(err)
			}
			at.Private = started.Private
			if p, err := s.Status(b.Context(), at); err != nil || p.State != authn.Approved {
				b.Fatal(p, err)
			}
			if _, err := s.Complete(b.Context(), at); err != nil {
				b.Fatal(err)
			}
		}
	})
}
