package fincert_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/authn/fincert"
	"github.com/anyid/anyid/internal/authn/yeskey"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/internal/sim"
	signer "github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const issuer = "https://login.example.kr"

func ci(seed string) string {
	sum := sha512.Sum512([]byte(seed))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var people = []signer.Person{
	{Name: "홍길동", English: "HONG GILDONG", BirthDate: "1890-01-01", Gender: "male", Number: "9001019000007", CI: ci("a"), PIN: "135790"},
	{Name: "SMITH JANE", BirthDate: "1801-01-01", Gender: "female", Foreigner: true, Number: "0101010000003", CI: ci("b"), CI2: ci("b2"), PIN: "246802"},
}

// world is an adapter before the simulator and a directory, over real HTTP.
type world struct {
	t         testing.TB
	now       atomic.Int64
	sim       *signer.Simulator
	directory *httptest.Server
	signer    string
	tokens    atomic.Int64 // access tokens asked for
	trust     certificate.Config
	client    *http.Client
	account   yeskey.Config
	ucpid     *yeskey.Client
	*fincert.Adapter
}

func (w *world) clock() time.Time { return time.Unix(w.now.Load(), 0) }

// start builds a world; edit changes the adapter's configuration.
func start(t testing.TB, edit func(*fincert.Config)) *world {
	t.Helper()
	w := &world{t: t}
	w.now.Store(time.Now().Unix())
	var pki *npkitest.PKI
	w.directory = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		list, err := pki.FetchCRL(r.Context(), w.directory.URL+r.RequestURI)
		if err != nil {
			http.Error(rw, "no list", http.StatusServiceUnavailable)
			return
		}
		_, _ = rw.Write(list)
	}))
	t.Cleanup(w.directory.Close)
	pki = npkitest.New(npkitest.Options{Now: w.clock, Directory: w.directory.URL})
	var err error
	if w.sim, err = signer.New(signer.Config{PKI: pki, People: people, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	pages, api := httptest.NewServer(w.sim.SignerHandler()), w.sim.APIHandler()
	rest := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/token") {
			w.tokens.Add(1)
		}
		api.ServeHTTP(rw, r)
	}))
	t.Cleanup(pages.Close)
	t.Cleanup(rest.Close)
	w.signer = pages.URL
	roots, authorities, err := pki.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	w.trust = certificate.Config{
		Roots: write(t, "roots.pem", roots), Authorities: write(t, "authorities.pem", authorities), Test: true,
		Hosts: []string{strings.TrimPrefix(w.directory.URL, "http://")},
	}
	loopback := outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 5 * time.Second}
	w.client = outbound.Client(loopback)
	t.Cleanup(w.client.CloseIdleConnections)
	verifier, err := certificate.New(w.trust, w.client, outbound.Dial(loopback), w.clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w.account = yeskey.Config{
		URL: rest.URL, ClientID: w.sim.ClientID(), ClientSecret: w.sim.ClientSecret(), ServerID: w.sim.ServerID(), CPCode: w.sim.CPCode(), Male: "1",
		Timeout: 3 * time.Second,
	}
	if w.ucpid, err = yeskey.New(w.account, w.client, w.clock); err != nil {
		t.Fatal(err)
	}
	cfg := fincert.Config{Issuer: issuer, Script: w.signer + "/v1/fincert.js", OrgCode: w.sim.OrgCode(), APIKey: w.sim.ClientID()}
	if edit != nil {
		edit(&cfg)
	}
	if w.Adapter, err = fincert.New(cfg, verifier, w.ucpid, w.clock); err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t testing.TB, name string, certificates []*x509.Certificate) string {
	t.Helper()
	var out bytes.Buffer
	for _, c := range certificates {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) fault(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if err := w.sim.Faults().Set(sim.Switch{Name: name}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// begin makes a challenge.
func (w *world) begin() authn.Attempt {
	w.t.Helper()
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	at := authn.Attempt{ID: "attempt", Nonce: hex.EncodeToString(nonce[:]), Site: "qnet", Locale: "ko"}
	started, err := w.Begin(w.t.Context(), at, authn.Input{})
	if err != nil {
		w.t.Fatal(err)
	}
	at.Private, at.ExpiresAt = started.Private, started.ExpiresAt
	return at
}

type object = map[string]any

// post sends JSON or a form and decodes the JSON that comes back.
func (w *world) post(path, contentType, body string, into any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.signer+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Accept", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		w.t.Fatalf("%s: %q", path, answer)
	}
}

// sign has the first person sign as the script of the page does.
func (w *world) sign(format string, content object, edit func(object)) (signed, certificate string) {
	w.t.Helper()
	request := object{
		"signFormat": object{"type": format, "CMSInfo": object{"ssn": "dummy", "time": w.clock().UTC().Format("20060102150405"), "generalSyntax": true}},
		"content":    content, "algorithms": "RSASSA-PKCS1-v1_5_SHA256",
		"view": object{"oid": object{"1.2.410.200005.1.1.1.10": true}}, "info": object{"signType": "01"},
	}
	if edit != nil {
		edit(request)
	}
	body, err := json.Marshal(object{"origin": issuer, "orgCode": w.sim.OrgCode(), "apiKey": w.sim.ClientID(), "request": request})
	if err != nil {
		w.t.Fatal(err)
	}
	var started struct{ ID string }
	w.post("/v1/requests", "application/json", string(body), &started)
	var out struct {
		Result struct {
			SignedVals  []string
			Certificate string
		}
		Error json.RawMessage
	}
	w.post("/v1/requests/"+started.ID, "application/x-www-form-urlencoded", url.Values{"certificate": {"1"}, "pin": {people[0].PIN}}.Encode(), &out)
	if len(out.Result.SignedVals) != 1 {
		w.t.Fatalf("the signer: %s", out.Error)
	}
	return out.Result.SignedVals[0], out.Result.Certificate
}

// answer answers a challenge.
func (w *world) answer(at authn.Attempt, edit func(object)) authn.Answer {
	w.t.Helper()
	asked, err := w.Request(at)
	if err != nil {
		w.t.Fatal(err)
	}
	identity := object{"ucpidInfo": object{
		"ispUrlInfo": asked.Cloud.Site, "ucpidNonce": asked.Cloud.Nonce, "userAgreement": asked.Agreement,
		"userAgreeInfo": object{"realName": true, "gender": true, "nationalInfo": true, "birthDate": true, "ci": true},
	}}
	if asked.Cloud.Format == "CMS" {
		signed, _ := w.sign("CMS", identity, edit)
		return authn.Answer{Signed: signed}
	}
	var out authn.Answer
	out.Signed, out.Certificate = w.sign("PKCS1", object{"plainText": object{"plainTexts": []string{asked.Content}, "encoding": "UTF-8"}}, edit)
	out.UCPID, _ = w.sign("CMS", identity, nil)
	return out
}

func codeOf(err error) authn.Code {
	if e, ok := errors.AsType[*authn.Error](err); ok {
		return e.Code
	}
	return authn.Code(fmt.Sprint(err))
}

// discreet fails the test if an error tells who somebody is.
func discreet(t *testing.T, err error) {
	t.Helper()
	for _, p := range people {
		for _, secret := range []string{p.Name, p.CI, p.Number, p.BirthDate, strings.ReplaceAll(p.BirthDate, "-", "")} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error tells %q: %v", secret, err)
			}
		}
	}
}

func pkcs1(c *fincert.Config) { c.Format = "pkcs1" }

func TestLogin(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config func(*fincert.Config)
		edit   func(object)
	}{
		"CMS":          {nil, nil},
		"bare":         {nil, func(r object) { r["signFormat"].(object)["CMSInfo"].(object)["generalSyntax"] = false }},
		"PSS":          {nil, func(r object) { r["algorithms"] = "RSASSA-PSS_SHA256_MGF_SHA256" }},
		"PKCS1":        {pkcs1, nil},
		"level of two": {func(c *fincert.Config) { c.Level = 2 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, tt.config)
			at := w.begin()
			answer := w.answer(at, tt.edit)
			e, err := w.Verify(t.Context(), at, answer)
			if err != nil {
				t.Fatal(err)
			}
			level := method.Level(3)
			if name == "level of two" {
				level = 2
			}
			if e.Method != method.FinancialCert || e.Provider != "yessign" || e.Label != "금융인증서 (금융결제원)" || e.Level != level || e.CI != "" ||
				e.Number || e.VIDDigest != "" || e.Binding != authn.Signed || e.Attributes != (authn.Attributes{Name: "홍길동"}) || len(e.Digest) != 64 {
				t.Errorf("%+v", e)
			}
			if got := w.tokens.Load(); got != 0 {
				t.Errorf("a known credential is asked about: %d tokens", got)
			}
			full, err := w.Identify(t.Context(), at, answer, e)
			if err != nil {
				t.Fatal(err)
			}
			want := authn.Attributes{Name: "홍길동", BirthDate: "1890-01-01", Gender: "male", Nationality: "domestic"}
			if full.CI != people[0].CI || full.Attributes != want || full.Subject != e.Subject || full.Digest != e.Digest || full.Number {
				t.Errorf("%+v", full.Attributes)
			}
			// The same certificate at the next login is the same credential.
			again := w.begin()
			next, err := w.Verify(t.Context(), again, w.answer(again, tt.edit))
			if err != nil || next.Subject != e.Subject || next.Digest == e.Digest {
				t.Errorf("%q after %q: %v", next.Subject, e.Subject, err)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	at := w.begin()
	r, err := w.Request(at)
	if err != nil {
		t.Fatal(err)
	}
	if r.Content != "" || r.UCPID != "" || r.Recipient != "" || len(r.Policies) != 1 || r.Policies[0] != "1.2.410.200005.1.1.1.10" ||
		!strings.Contains(r.Agreement, "login.example.kr") || r.Cloud.Format != "CMS" || r.Cloud.Nonce != at.Nonce || r.Cloud.Site != "login.example.kr" ||
		r.Cloud.Script != w.signer+"/v1/fincert.js" || r.Cloud.OrgCode != w.sim.OrgCode() || r.Cloud.APIKey != w.sim.ClientID() || r.Cloud.Origins != nil {
		t.Errorf("%+v %+v", r, r.Cloud)
	}
	if left := at.ExpiresAt.Sub(w.clock()); left != 5*time.Minute {
		t.Errorf("it lasts %v", left)
	}
	at.Private, at.ExpiresAt = nil, w.clock().Add(time.Minute)
	if s, err := w.Begin(t.Context(), at, authn.Input{}); err != nil || !s.ExpiresAt.Equal(at.ExpiresAt) {
		t.Errorf("%v, %v", s.ExpiresAt, err)
	}
	two := start(t, pkcs1)
	line, err := two.Request(two.begin())
	if err != nil || line.Cloud.Format != "PKCS1" || !strings.HasPrefix(line.Content, "anyid-login;v=1;iss="+issuer+";txn=") || !strings.HasSuffix(line.Content, ";aud=qnet") {
		t.Errorf("%+v, %v", line, err)
	}
	// KFTC's own script loads its parts from elsewhere.
	for script, want := range map[string]string{
		"https://4user.yeskey.or.kr/v1/fincert.js":   "[https://sdk.yeskey.or.kr https://sdk2.yeskey.or.kr]",
		"https://t-4user.yeskey.or.kr/v1/fincert.js": "[https://t-sdk.yeskey.or.kr https://t-sdk2.yeskey.or.kr]",
	} {
		kftc := start(t, func(c *fincert.Config) { c.Script = script })
		if r, err := kftc.Request(kftc.begin()); err != nil || fmt.Sprint(r.Cloud.Origins) != want {
			t.Errorf("%s: %v, %v", script, r.Cloud.Origins, err)
		}
	}
	for name, spoil := range map[string]func(*authn.Attempt){
		"nonce":   func(at *authn.Attempt) { at.Nonce = "5a" },
		"no hex":  func(at *authn.Attempt) { at.Nonce = strings.Repeat("x", 32) },
		"expired": func(at *authn.Attempt) { at.ExpiresAt = w.clock() },
	} {
		at := authn.Attempt{ID: "a", Nonce: strings.Repeat("5a", 16)}
		spoil(&at)
		if _, err := w.Begin(t.Context(), at, authn.Input{}); codeOf(err) != authn.BadRequest && codeOf(err) != authn.TooLate {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, private := range []string{"", "{}", "x", `{"n":"AAAA"}`, `{"n":"AAAAAAAAAAAAAAAAAAAAAA==","c":"x","e":1}`} {
		if _, err := w.Request(authn.Attempt{Private: []byte(private)}); codeOf(err) != authn.BadRequest {
			t.Errorf("%q: %v", private, err)
		}
	}
}

// TestRefusals has the signer do each thing wrong that it can.
func TestRefusals(t *testing.T) {
	t.Parallel()
	both := []func(*fincert.Config){nil, pkcs1}
	for _, tt := range []struct {
		fault   string
		code    authn.Code
		formats []func(*fincert.Config)
	}{
		{signer.FaultWrongSignature, authn.BadEvidence, both},
		{signer.FaultOtherNonce, authn.WrongChallenge, both[:1]},
		{signer.FaultOtherNonce, authn.BadEvidence, both[1:]}, // the signature does not fit our copy of the line
		{signer.FaultOtherSite, authn.WrongChallenge, both[:1]},
		{signer.FaultOtherAgreement, authn.WrongChallenge, both[:1]},
		{signer.FaultExpired, authn.CertificateExpired, both},
		{signer.FaultNotYetValid, authn.CertificateNotYet, both},
		{signer.FaultRevoked, authn.CertificateRevoked, both},
		{signer.FaultHeld, authn.CertificateHeld, both},
		{signer.FaultJoint, authn.CertificateRefused, both},
		{signer.FaultBusiness, authn.CertificateRefused, both},
		{signer.FaultOtherAuthority, authn.CertificateRefused, both},
		{signer.FaultForgedAuthority, authn.CertificateUntrusted, both},
	} {
		for _, config := range tt.formats {
			name := tt.fault + "/cms"
			if config != nil {
				name = tt.fault + "/pkcs1"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := start(t, config)
				w.fault(tt.fault)
				at := w.begin()
				_, err := w.Verify(t.Context(), at, w.answer(at, nil))
				if codeOf(err) != tt.code {
					t.Errorf("%v, want %s", err, tt.code)
				}
				discreet(t, err)
			})
		}
	}
	t.Run("replay", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		first := w.begin()
		w.answer(first, nil)
		w.fault(signer.FaultReplay)
		at := w.begin()
		if _, err := w.Verify(t.Context(), at, w.answer(at, nil)); codeOf(err) != authn.WrongChallenge {
			t.Error(err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		answer := w.answer(at, nil)
		w.directory.Close()
		if _, err := w.Verify(t.Context(), at, answer); codeOf(err) != authn.StatusUnknown {
			t.Error(err)
		}
		if err := w.Check(t.Context()); codeOf(err) != authn.ProviderDown {
			t.Error(err)
		}
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		answer := w.answer(at, nil)
		w.now.Add(301)
		if _, err := w.Verify(t.Context(), at, answer); codeOf(err) != authn.TooLate {
			t.Error(err)
		}
	})
	t.Run("no signed attributes", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		answer := w.answer(at, func(r object) { r["signFormat"].(object)["CMSInfo"].(object)["time"] = "" })
		if _, err := w.Verify(t.Context(), at, answer); codeOf(err) != authn.BadEvidence {
			t.Error(err)
		}
	})
	t.Run("content apart", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		answer := w.answer(at, func(r object) { r["signFormat"].(object)["CMSInfo"].(object)["withoutContent"] = true })
		if _, err := w.Verify(t.Context(), at, answer); codeOf(err) != authn.WrongChallenge {
			t.Error(err)
		}
	})
	t.Run("a signature of something else", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		signed, _ := w.sign("CMS", object{"plainText": object{"plainTexts": []string{"anyid-login;nonce=" + at.Nonce}, "encoding": "UTF-8"}}, nil)
		if _, err := w.Verify(t.Context(), at, authn.Answer{Signed: signed}); codeOf(err) != authn.BadEvidence {
			t.Error(err)
		}
	})
	t.Run("the certificate of another", func(t *testing.T) {
		t.Parallel()
		w := start(t, pkcs1)
		at := w.begin()
		answer := w.answer(at, nil)
		w.fault(signer.FaultBusiness)
		other := w.answer(at, nil)
		answer.Certificate = other.Certificate
		if _, err := w.Verify(t.Context(), at, answer); codeOf(err) != authn.BadEvidence {
			t.Error(err)
		}
	})
}

// TestIdentifyRefusals has KFTC do each thing wrong that it can.
func TestIdentifyRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		faults []sim.Switch
		code   authn.Code
		own    string // KFTC's code
	}{
		"refused":              {[]sim.Switch{{Name: signer.FaultRefused}}, authn.BadEvidence, "900401"},
		"another certificate":  {[]sim.Switch{{Name: signer.FaultWrongDN}}, authn.BadEvidence, ""},
		"another name":         {[]sim.Switch{{Name: signer.FaultWrongName}}, authn.BadEvidence, ""},
		"malformed CI":         {[]sim.Switch{{Name: signer.FaultMalformedCI}}, authn.BadEvidence, ""},
		"no CI":                {[]sim.Switch{{Name: signer.FaultMissingCI}}, authn.BadEvidence, ""},
		"half an answer":       {[]sim.Switch{{Name: signer.FaultMalformed, Only: "ucpid"}}, authn.BadEvidence, ""},
		"half a token":         {[]sim.Switch{{Name: signer.FaultMalformed, Only: "token"}}, authn.ProviderDown, ""},
		"token refused":        {[]sim.Switch{{Name: signer.FaultTokenRefused}}, authn.ProviderAuth, "900101"},
		"token expires always": {[]sim.Switch{{Name: signer.FaultTokenExpired}}, authn.ProviderAuth, "900102"},
		"broken":               {[]sim.Switch{{Name: signer.FaultServerError, Only: "ucpid"}}, authn.ProviderDown, ""},
		"no token service":     {[]sim.Switch{{Name: signer.FaultServerError, Only: "token"}}, authn.ProviderDown, ""},
		"unreachable":          {[]sim.Switch{{Name: signer.FaultUnreachable}}, authn.ProviderDown, ""},
		"slow":                 {[]sim.Switch{{Name: signer.FaultSlow, Only: "ucpid", DelayMS: 4500}}, authn.ProviderDown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			at := w.begin()
			answer := w.answer(at, nil)
			e, err := w.Verify(t.Context(), at, answer)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tt.faults {
				if err := w.sim.Faults().Set(s); err != nil {
					t.Fatal(err)
				}
			}
			got, err := w.Identify(t.Context(), at, answer, e)
			if codeOf(err) != tt.code || got.CI != "" {
				t.Errorf("%v, want %s", err, tt.code)
			}
			if f, ok := errors.AsType[*authn.Error](err); ok && f.Provider != tt.own {
				t.Errorf("KFTC's code %q", f.Provider)
			}
			discreet(t, err)
		})
	}
	for name, fault := range map[string]string{"no second CI": signer.FaultMissingCI2, "more items than were asked for": signer.FaultMoreItems} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			w.fault(fault)
			at := w.begin()
			answer := w.answer(at, nil)
			e, err := w.Verify(t.Context(), at, answer)
			if err != nil {
				t.Fatal(err)
			}
			if e, err = w.Identify(t.Context(), at, answer, e); err != nil || e.CI != people[0].CI {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("the second signature by another", func(t *testing.T) {
		t.Parallel()
		w := start(t, pkcs1)
		at := w.begin()
		answer := w.answer(at, nil)
		e, err := w.Verify(t.Context(), at, answer)
		if err != nil {
			t.Fatal(err)
		}
		w.fault(signer.FaultJoint)
		answer.UCPID = w.answer(at, nil).UCPID
		if _, err := w.Identify(t.Context(), at, answer, e); codeOf(err) != authn.BadEvidence {
			t.Error(err)
		}
		answer.UCPID = ""
		if _, err := w.Identify(t.Context(), at, answer, e); codeOf(err) != authn.BadEvidence {
			t.Error(err)
		}
	})
	t.Run("evidence of another signature", func(t *testing.T) {
		t.Parallel()
		w := start(t, nil)
		at := w.begin()
		answer := w.answer(at, nil)
		e, err := w.Verify(t.Context(), at, answer)
		if err != nil {
			t.Fatal(err)
		}
		w.now.Add(1) // or both would be the same signature
		if _, err := w.Identify(t.Context(), at, w.answer(at, nil), e); codeOf(err) != authn.BadRequest {
			t.Error(err)
		}
	})
}

func TestTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	at := w.begin()
	answer := w.answer(at, nil)
	e, err := w.Verify(t.Context(), at, answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Faults().Set(sim.Switch{Name: signer.FaultTokenExpired, Uses: 1}); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Identify(t.Context(), at, answer, e); err != nil || got.CI != people[0].CI || w.tokens.Load() != 2 {
		t.Errorf("%v, %d tokens", err, w.tokens.Load())
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	if err := w.Check(t.Context()); err != nil {
		t.Error(err)
	}
	w.fault(signer.FaultTokenRefused)
	if err := w.Check(t.Context()); codeOf(err) != authn.ProviderAuth {
		t.Error(err)
	}
	if w.Method() != method.FinancialCert || len(w.Providers()) != 1 || w.Providers()[0].ID != "yessign" {
		t.Errorf("%v", w.Providers())
	}
}

// nobody is a UCPID client that is never asked.
type nobody struct{}

func (nobody) Person(context.Context, string, []byte) (certificate.UCPIDPerson, error) {
	return certificate.UCPIDPerson{}, errors.New("asked")
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	verifier, err := certificate.New(w.trust, w.client, outbound.Dial(outbound.Config{}), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	good := fincert.Config{Issuer: issuer, Script: "https://4user.yeskey.or.kr/v1/fincert.js", OrgCode: "R000000001", APIKey: "k"}
	if _, err := fincert.New(good, verifier, nobody{}, nil); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*fincert.Config){
		"issuer":        func(c *fincert.Config) { c.Issuer = "login" },
		"odd issuer":    func(c *fincert.Config) { c.Issuer = "https://login.example.kr/;v=2" },
		"script":        func(c *fincert.Config) { c.Script = "/v1/fincert.js" },
		"plain http":    func(c *fincert.Config) { c.Script = "http://4user.yeskey.or.kr/v1/fincert.js" },
		"javascript":    func(c *fincert.Config) { c.Script = "javascript:alert(1)" },
		"org code":      func(c *fincert.Config) { c.OrgCode = "R1" },
		"API key":       func(c *fincert.Config) { c.APIKey = "" },
		"format":        func(c *fincert.Config) { c.Format = "xml" },
		"level":         func(c *fincert.Config) { c.Level = 4 },
		"script's user": func(c *fincert.Config) { c.Script = "https://a:b@4user.yeskey.or.kr/v1/fincert.js" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := fincert.New(cfg, verifier, nobody{}, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := fincert.New(good, nil, nobody{}, nil); err == nil {
		t.Error("no verifier: accepted")
	}
	if _, err := fincert.New(good, verifier, nil, nil); err == nil {
		t.Error("no client: accepted")
	}
}

// FuzzVerify brings hostile answers: each is refused, by an *authn.Error, and nothing of it is told.
func FuzzVerify(f *testing.F) {
	cms, two := start(f, nil), start(f, pkcs1)
	at, line := cms.begin(), two.begin()
	good, pair := cms.answer(at, nil), two.answer(line, nil)
	f.Add(good.Signed[:len(good.Signed)-8]+"AAAAAAAA", "", "")
	f.Add(pair.Signed[1:], "", pair.Certificate[:len(pair.Certificate)-8])
	f.Add(strings.ReplaceAll(pair.Signed, "-", " "), pair.UCPID, pair.Certificate)
	f.Add("-----BEGIN PKCS7-----\nAAAA\n-----END PKCS7-----", "30", "MIIB")
	f.Add("3080060960864801", "", "")
	f.Fuzz(func(t *testing.T, signed, ucpid, signer string) {
		answer := authn.Answer{Signed: signed, UCPID: ucpid, Certificate: signer}
		for _, signature := range []string{good.Signed, pair.Signed} { // in another spelling it may serve
			a, errA := npki.DecodeMessage(signed)
			b, errB := npki.DecodeMessage(signature)
			if errA == nil && errB == nil && bytes.Equal(a, b) {
				return
			}
		}
		for _, err := range []error{
			func() error { _, err := cms.Verify(t.Context(), at, answer); return err }(),
			func() error { _, err := two.Verify(t.Context(), line, answer); return err }(),
			func() error { _, err := cms.Identify(t.Context(), at, answer, authn.Evidence{}); return err }(),
		} {
			e, ok := errors.AsType[*authn.Error](err)
			if !ok {
				t.Fatalf("%T %v", err, err)
			}
			if len(signed) > 20 && strings.Contains(e.Error(), signed) {
				t.Fatal("the error tells the answer")
			}
		}
	})
}

// A login with the financial certificate, when its list is known already.
func BenchmarkVerify(b *testing.B) {
	w := start(b, nil)
	at := w.begin()
	answer := w.answer(at, nil)
	if _, err := w.Verify(b.Context(), at, answer); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.Verify(b.Context(), at, answer); err != nil {
			b.Fatal(err)
		}
	}
}
