package jointcert_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/authn/jointcert"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const (
	issuer   = "https://id.example.go.kr"
	general  = "1.2.410.200005.1.1.1"    // yessign, a person's, for every purpose
	bank     = "1.2.410.200005.1.1.4"    // yessign, a person's, for banking
	cloud    = "1.2.410.200005.1.1.1.10" // a financial certificate
	company  = "1.2.410.200005.1.1.5"
	number   = "0101019000007" // nobody's: born in 1801, with a check digit of the new kind
	name     = "홍길동"
	hexNonce = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
	resolved = "resolver-key"
)

// noon is when the tests happen.
var noon = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

// ci is a CI in form.
func ci(seed byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{seed}, 64)) }

// world is a PKI with its directory on HTTP, and an adapter that trusts it.
type world struct {
	t         testing.TB
	pki       *npkitest.PKI
	ca        *npkitest.Authority
	clock     *atomic.Int64 // seconds after noon
	client    *http.Client
	dir       string // with the PEM files
	directory *httptest.Server
	verifier  *certificate.Verifier
	config    jointcert.Config
	trust     certificate.Config
	ucpid     map[string]certificate.UCPIDClient
	recipient *rsa.PublicKey
	log       *bytes.Buffer
	*jointcert.Adapter
}

// setup changes a world before its adapter is made.
type setup func(*world)

func newWorld(t testing.TB, setups ...setup) *world {
	t.Helper()
	w := &world{t: t, clock: new(atomic.Int64), dir: t.TempDir(), log: new(bytes.Buffer)}
	w.client = outbound.Client(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 5 * time.Second})
	t.Cleanup(w.client.CloseIdleConnections)
	w.directory = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		raw, err := w.pki.FetchCRL(r.Context(), w.directory.URL+r.RequestURI)
		if err != nil {
			http.Error(rw, "no list", http.StatusServiceUnavailable)
			return
		}
		_, _ = rw.Write(raw)
	}))
	t.Cleanup(w.directory.Close)
	w.pki = npkitest.New(npkitest.Options{Now: w.now, Directory: w.directory.URL})
	w.ca = w.authority(npkitest.Yessign, npkitest.RSA2048)
	w.trust = certificate.Config{
		Roots:       w.pem("roots.pem", w.ca.Root().Certificate),
		Authorities: w.pem("authorities.pem", w.ca.Certificate, w.authority(npkitest.KICA, npkitest.RSA2048).Certificate), Test: true,
		Hosts: []string{strings.TrimPrefix(w.directory.URL, "http://")},
	}
	w.config = jointcert.Config{Issuer: issuer}
	w.ucpid = map[string]certificate.UCPIDClient{npkitest.Yessign: answers(func(p *certificate.UCPIDPerson) {})}
	for _, change := range setups {
		change(w)
	}
	w.open()
	return w
}

// open makes the adapter from what the world has.
func (w *world) open() {
	w.t.Helper()
	var err error
	dial := outbound.Dial(outbound.Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if w.verifier, err = certificate.New(w.trust, w.client, dial, w.now, slog.New(slog.NewTextHandler(w.log, nil))); err != nil {
		w.t.Fatal(err)
	}
	if w.Adapter, err = jointcert.New(w.config, w.verifier, w.ucpid, w.client, w.now); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return noon.Add(time.Duration(w.clock.Load()) * time.Second) }

func (w *world) advance(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

func (w *world) authority(organization string, g npkitest.Generation) *npkitest.Authority {
	w.t.Helper()
	a, err := w.pki.CA(organization, g)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// pem writes certificates to a file.
func (w *world) pem(file string, list ...*x509.Certificate) string {
	w.t.Helper()
	var out bytes.Buffer
	for _, c := range list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	path := filepath.Join(w.dir, file)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// withAll trusts every authority there is.
func withAll(w *world) {
	roots, authorities, err := w.pki.Certificates()
	if err != nil {
		w.t.Fatal(err)
	}
	w.trust.Roots, w.trust.Authorities = w.pem("roots.pem", roots...), w.pem("authorities.pem", authorities...)
}

// withNumber asks for the resident number.
func withNumber(w *world) {
	key, err := w.pki.NewKey(2048)
	if err != nil {
		w.t.Fatal(err)
	}
	w.recipientFiles(key, &x509.Certificate{KeyUsage: x509.KeyUsageKeyEncipherment, NotAfter: noon.AddDate(1, 0, 0)})
	w.config.ResidentNumberBasis = "전자정부법 시행령 제49조제3항"
}

func (w *world) recipientFiles(key *rsa.PrivateKey, template *x509.Certificate) {
	w.t.Helper()
	template.SerialNumber, template.Subject, template.NotBefore = big.NewInt(1), pkix.Name{CommonName: "id.example.go.kr"}, noon.AddDate(0, -1, 0)
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		w.t.Fatal(err)
	}
	w.recipient = &key.PublicKey
	w.config.RecipientCertificate, w.config.RecipientKey = w.pem("recipient.pem", certificate), filepath.Join(w.dir, "recipient.key")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.config.RecipientKey, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// withResolver has a connector that knows one person.
func withResolver(w *world) {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		problem := func(status int) {
			rw.Header().Set("Content-Type", "application/problem+json")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, `{"title":"no"}`)
		}
		var in struct {
			Number string `json:"resident_number"`
			Name   string `json:"name"`
		}
		switch {
		case r.URL.Path != "/ci/v1/ci":
			http.NotFound(rw, r)
		case r.Method != http.MethodPost:
			problem(http.StatusMethodNotAllowed)
		case r.Header.Get("Authorization") != "Bearer "+resolved:
			problem(http.StatusUnauthorized)
		case json.NewDecoder(r.Body).Decode(&in) != nil:
			problem(http.StatusBadRequest)
		case in.Number != number || in.Name != name:
			problem(http.StatusNotFound)
		default:
			_ = json.NewEncoder(rw).Encode(map[string]string{"ci": ci(2)})
		}
	}))
	w.t.Cleanup(server.Close)
	w.config.ResolverURL, w.config.ResolverKey = server.URL+"/ci", resolved
}

// alone has no authority that can be asked.
func alone(w *world) { w.ucpid = nil }

// ucpidFunc is a certification authority's answer.
type ucpidFunc func(ctx context.Context, ucpid string, nonce []byte) (certificate.UCPIDPerson, error)

func (f ucpidFunc) Person(ctx context.Context, ucpid string, nonce []byte) (certificate.UCPIDPerson, error) {
	return f(ctx, ucpid, nonce)
}

// answers is an authority that reads the request as the real ones do, and answers about who has signed it,
// with changes.
func answers(change func(*certificate.UCPIDPerson)) certificate.UCPIDClient {
	return ucpidFunc(func(_ context.Context, ucpid string, nonce []byte) (certificate.UCPIDPerson, error) {
		der, err := base64.RawURLEncoding.DecodeString(ucpid)
		if err != nil {
			return certificate.UCPIDPerson{}, err
		}
		signed, err := npki.VerifySignedData(der, npki.Want{AnyContent: true})
		if err != nil {
			return certificate.UCPIDPerson{}, err
		}
		request, err := npki.ParseUCPIDRequest(signed.Content)
		if err != nil || !bytes.Equal(request.Nonce, nonce) {
			return certificate.UCPIDPerson{}, errors.Join(err, errors.New("another nonce"))
		}
		dn, err := signed.Certificate.SubjectName()
		if err != nil {
			return certificate.UCPIDPerson{}, err
		}
		p := certificate.UCPIDPerson{
			DN: dn.String(), CI: ci(1), RealName: name, Gender: "male", National: "domestic", BirthDate: "1801-01-01",
		}
		change(&p)
		return p, nil
	})
}

// person is somebody with a certificate of a policy, from an authority of the first generation.
func (w *world) person(policy string) *npkitest.Holder {
	w.t.Helper()
	return w.enroll(w.ca, npkitest.Applicant{Name: name, Number: number, Policy: policy})
}

func (w *world) enroll(a *npkitest.Authority, who npkitest.Applicant) *npkitest.Holder {
	w.t.Helper()
	holder, err := a.Enroll(who)
	if err != nil {
		w.t.Fatal(err)
	}
	return holder
}

// odd is somebody with a certificate of an odd shape.
func (w *world) odd(a *npkitest.Authority, template npkitest.Template) *npkitest.Holder {
	w.t.Helper()
	key, err := w.pki.NewKey(2048)
	if err != nil {
		w.t.Fatal(err)
	}
	r := bytes.Repeat([]byte{7}, npki.RSize)
	template.PublicKey = &key.PublicKey
	if template.Subject == nil {
		template.Subject = npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "o", Value: "yessign"}}, {{Type: "cn", Value: name + "()0088"}}}
	}
	if template.Policies == nil {
		template.Policies = []string{general}
	}
	if template.Identity == nil {
		template.Identity = &npki.Identity{RealName: name}
	}
	certificate, err := a.Sign(template)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := npki.NewPrivateKey(key, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return &npkitest.Holder{Authority: a, Certificate: certificate, Key: private}
}

// begin makes an attempt that waits for its signature.
func (w *world) begin(kinds ...method.CertificateKind) authn.Attempt {
	w.t.Helper()
	at := authn.Attempt{ID: "attempt-1", Nonce: hexNonce, Site: "qnet", Certificates: kinds, Locale: "ko"}
	started, err := w.Begin(w.t.Context(), at, authn.Input{})
	if err != nil {
		w.t.Fatal(err)
	}
	at.Private, at.ExpiresAt = started.Private, started.ExpiresAt
	return at
}

// sign answers as the page does.
func (w *world) sign(at authn.Attempt, who *npkitest.Holder) authn.Answer {
	w.t.Helper()
	request, err := w.Request(at)
	if err != nil {
		w.t.Fatal(err)
	}
	answer := authn.Answer{Signed: w.cms(who, []byte(request.Content), npki.SignOptions{})}
	if request.UCPID != "" {
		der, err := base64.RawURLEncoding.DecodeString(request.UCPID)
		if err != nil {
			w.t.Fatal(err)
		}
		answer.UCPID = w.cms(who, der, npki.SignOptions{RSAEncryption: true})
	}
	return answer
}

func (w *world) cms(who *npkitest.Holder, content []byte, options npki.SignOptions) string {
	w.t.Helper()
	if options.Time.IsZero() {
		options.Time = w.now()
	}
	raw, err := who.Sign(content, options)
	if err != nil {
		w.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// login goes through Begin, the page and Verify.
func (w *world) login(who *npkitest.Holder) (authn.Attempt, authn.Answer, authn.Evidence) {
	w.t.Helper()
	at := w.begin()
	answer := w.sign(at, who)
	e, err := w.Verify(w.t.Context(), at, answer)
	if err != nil {
		w.t.Fatal(err)
	}
	return at, answer, e
}

// vid is the VidMsg that the page makes.
func (w *world) vid(who *npkitest.Holder) string {
	w.t.Helper()
	message, err := npki.VIDMsg{R: who.Key.R}.Seal(nil, w.recipient)
	if err != nil {
		w.t.Fatal(err)
	}
	return message
}

// wantCode checks the neutral code of an error, and that its text says nothing of the person.
func wantCode(t testing.TB, err error, code authn.Code) {
	t.Helper()
	if code == "" && err == nil {
		return
	}
	e, ok := errors.AsType[*authn.Error](err)
	if !ok || e.Code != code {
		t.Fatalf("error %v, want %q", err, code)
	}
	for _, secret := range []string{name, number, ci(1), ci(2), hex.EncodeToString([]byte(number))} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error says %q: %v", secret, err)
		}
	}
}
