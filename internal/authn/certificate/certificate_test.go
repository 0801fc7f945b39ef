package certificate

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const (
	policy = "1.2.410.200005.1.1.1"
	name   = "홍길동"
)

var (
	noon      = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	challenge = []byte("anyid-login;v=1;iss=https://id.example.go.kr;txn=1;nonce=2;iat=3;aud=qnet")
	proof     = Proof{Method: method.JointCert, Level: 3, AMR: []string{"swk"}}
)

// world is a PKI with its directory on LDAP and its responder on HTTP.
type world struct {
	t         testing.TB
	pki       *npkitest.PKI
	ca        *npkitest.Authority
	clock     atomic.Int64
	dir       string
	directory *directory
	responder *httptest.Server
	asked     atomic.Int64 // questions to the responder
	config    Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), directory: newDirectory(t)}
	w.responder = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		request, err := io.ReadAll(r.Body)
		var answer []byte
		if err == nil {
			answer, err = w.pki.QueryOCSP(r.Context(), w.responder.URL, request)
		}
		if err != nil {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = rw.Write(answer)
	}))
	t.Cleanup(w.responder.Close)
	w.pki = npkitest.New(npkitest.Options{Now: w.now, Directory: "ldap://" + w.directory.address(), Responder: w.responder.URL})
	w.directory.lists(w.pki.FetchCRL)
	var err error
	if w.ca, err = w.pki.CA(npkitest.Yessign, npkitest.RSA2048); err != nil {
		t.Fatal(err)
	}
	w.config = Config{
		Roots: w.pem("roots.pem", w.ca.Root().Certificate), Authorities: w.pem("authorities.pem", w.ca.Certificate), Test: true,
		Hosts: []string{w.directory.address()},
	}
	return w
}

func (w *world) now() time.Time { return noon.Add(time.Duration(w.clock.Load())) }

func (w *world) pem(file string, list ...*x509.Certificate) string {
	var out bytes.Buffer
	for _, c := range list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return w.file(file, out.Bytes())
}

func (w *world) file(name string, data []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) new() (*Verifier, error) {
	return New(w.config, outbound.Client(loopback), outbound.Dial(loopback), w.now, slog.New(slog.DiscardHandler))
}

func (w *world) open() *Verifier {
	w.t.Helper()
	v, err := w.new()
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) person() *npkitest.Holder {
	w.t.Helper()
	who, err := w.ca.Enroll(npkitest.Applicant{Name: name, Number: "0101019000007", Policy: policy})
	if err != nil {
		w.t.Fatal(err)
	}
	return who
}

// signature is a verified one of a person.
func (w *world) signature(v *Verifier, who *npkitest.Holder) *Signature {
	w.t.Helper()
	raw, err := who.Sign(challenge, npki.SignOptions{Time: w.now()})
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := v.CMS(hex.EncodeToString(raw), npki.Want{Content: challenge, Attributes: npki.Required}, []string{policy})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func codeOf(err error) authn.Code {
	if e, ok := errors.AsType[*authn.Error](err); ok {
		return e.Code
	}
	if err != nil {
		return authn.Code("not an *authn.Error: " + err.Error())
	}
	return ""
}

// TestLDAP is a login whose list comes from a directory.
func TestLDAP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.open()
	who := w.person()
	e, err := v.Evidence(t.Context(), w.signature(v, who), proof)
	if err != nil || e.Provider != "yessign" || e.Level != 3 || e.Attributes.Name != name {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := w.ca.Revoke(who.Certificate.SerialNumber, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Evidence(t.Context(), w.signature(v, who), proof); err != nil {
		t.Errorf("while the list holds: %v", err)
	}
	w.clock.Add(int64(25 * time.Hour))
	if _, err := v.Evidence(t.Context(), w.signature(v, who), proof); codeOf(err) != authn.CertificateRevoked {
		t.Errorf("with the next list: %v", err)
	}
	if w.asked.Load() != 0 {
		t.Error("a responder was asked that is not configured")
	}
}

// TestResponder asks the responder first, and the directory where it gives no answer that holds.
func TestResponder(t *testing.T) {
	t.Parallel()
	for _, nonce := range []bool{false, true} {
		w := newWorld(t)
		w.config.Responders, w.config.Nonce = map[string]string{npkitest.Yessign: w.responder.URL}, nonce
		v := w.open()
		who := w.person()
		w.directory.answer = nil // nobody may ask
		if _, err := v.Evidence(t.Context(), w.signature(v, who), proof); err != nil || w.asked.Load() != 1 {
			t.Errorf("good: %v", err)
		}
		if err := w.ca.Hold(who.Certificate.SerialNumber); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Evidence(t.Context(), w.signature(v, who), proof); codeOf(err) != authn.CertificateHeld {
			t.Errorf("on hold: %v", err)
		}
		if err := w.ca.Revoke(who.Certificate.SerialNumber, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Evidence(t.Context(), w.signature(v, who), proof); codeOf(err) != authn.CertificateRevoked {
			t.Errorf("revoked: %v", err)
		}
	}
}

// TestFaults lets the responder misbehave in every way there is, first beside a directory that works, then
// beside one that does not.
func TestFaults(t *testing.T) {
	t.Parallel()
	traps := map[npkitest.Fault]string{
		npkitest.OCSPOtherIssuer: "trap 3: ", npkitest.OCSPBare: "trap 4: ", npkitest.OCSPOtherCA: "trap 35: ",
	}
	for _, fault := range npkitest.Faults() {
		if !strings.HasPrefix(string(fault), "ocsp-") {
			continue
		}
		t.Run(traps[fault]+string(fault), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.Responders, w.config.Nonce = map[string]string{npkitest.Yessign: w.responder.URL}, true
			s := w.signature(w.open(), w.person())
			w.ca.Misbehave(fault)
			if _, err := w.open().Evidence(t.Context(), s, proof); err != nil {
				t.Errorf("beside the directory: %v", err)
			}
			w.ca.Misbehave(fault, npkitest.CRLDown)
			if _, err := w.open().Evidence(t.Context(), s, proof); codeOf(err) != authn.StatusUnknown || strings.Contains(err.Error(), name) {
				t.Errorf("alone: %v", err)
			}
		})
	}
}

func TestBare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.open()
	who := w.person()
	key := who.Key.Key.(*rsa.PrivateKey)
	sum := sha256.Sum256(challenge)
	pkcs, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signer := encode(who.Certificate.Raw)
	s, err := v.Bare(signer, encode(pkcs), npki.PKCS1v15, challenge, []string{policy})
	if err != nil {
		t.Fatal(err)
	}
	if digest := sha256.Sum256(slices.Concat(who.Certificate.Raw, pkcs)); s.Digest != hex.EncodeToString(digest[:]) || s.RealName != name {
		t.Errorf("%+v", s)
	}
	if _, err := v.Bare(signer, encode(pss), npki.PSS, challenge, []string{policy}); err != nil {
		t.Errorf("PSS: %v", err)
	}
	for _, tt := range []struct {
		name, certificate, signature string
		scheme                       npki.SignatureScheme
		content                      []byte
		code                         authn.Code
	}{
		{"other content", signer, encode(pkcs), npki.PKCS1v15, challenge[1:], authn.BadEvidence},
		{"other scheme", signer, encode(pkcs), npki.PSS, challenge, authn.BadEvidence},
		{"other certificate", encode(w.person().Certificate.Raw), encode(pkcs), npki.PKCS1v15, challenge, authn.BadEvidence},
		{"no certificate", "", encode(pkcs), npki.PKCS1v15, challenge, authn.BadEvidence},
		{"certificate of text", "AAAA", encode(pkcs), npki.PKCS1v15, challenge, authn.BadEvidence},
		{"no signature", signer, "", npki.PKCS1v15, challenge, authn.BadEvidence},
		{"the authority's own", encode(w.ca.Certificate.Raw), encode(pkcs), npki.PKCS1v15, challenge, authn.CertificateRefused},
	} {
		if _, err := v.Bare(tt.certificate, tt.signature, tt.scheme, tt.content, []string{policy}); codeOf(err) != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := v.Bare(signer, encode(pkcs), npki.PKCS1v15, challenge, nil); codeOf(err) != authn.BadRequest {
		t.Errorf("no policy: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"as it is", func(*world) {}, ""},
		{"trap 17: test roots in production", func(w *world) { w.config.Test = false }, "test root"},
		{"no file", func(w *world) { w.config.Roots = filepath.Join(w.dir, "none") }, "roots"},
		{"empty file", func(w *world) { w.config.Authorities = w.file("empty", nil) }, "holds no certificate"},
		{"large file", func(w *world) { w.config.Roots = w.file("large", make([]byte, maxAnchorFile+1)) }, "too large"},
		{"a key", func(w *world) {
			w.config.Roots = w.file("key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0}}))
		}, "holds a PRIVATE KEY"},
		{"no certificate", func(w *world) {
			w.config.Roots = w.file("odd", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0}}))
		}, "certificate 1"},
		{"a folder", func(w *world) { w.config.Roots = w.dir }, "roots"},
		{"an authority under another root", func(w *world) {
			other, err := w.pki.CA(npkitest.Yessign, npkitest.RSA3072)
			if err != nil {
				w.t.Fatal(err)
			}
			w.config.Authorities = w.pem("other.pem", other.Certificate)
		}, "no trusted chain"},
		{"a root as authority", func(w *world) { w.config.Authorities = w.config.Roots }, "no trusted chain"},
		{"responder", func(w *world) { w.config.Responders = map[string]string{"yessign": "ldap://ds"} }, "no http URL"},
		{"host without port", func(w *world) { w.config.Hosts = []string{"ds.yessign.or.kr"} }, "host without port"},
		{"grace", func(w *world) { w.config.Grace = -1 }, "negative"},
		{"grace level", func(w *world) { w.config.GraceLevel = 4 }, "GraceLevel"},
		{"timeout", func(w *world) { w.config.Timeout = -1 }, "Timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.change(w)
			if _, err := w.new(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := New(Config{}, nil, nil, nil, nil); err == nil {
		t.Error("without a client")
	}
	w := newWorld(t)
	w.config.Timeout = 0
	v, err := New(w.config, http.DefaultClient, outbound.Dial(loopback), nil, slog.New(slog.DiscardHandler))
	if err != nil || v.cfg.Timeout != 5*time.Second || v.cfg.GraceLevel != 2 || time.Since(v.now()) > time.Minute {
		t.Errorf("defaults: %+v, %v", v, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Responders = map[string]string{npkitest.Yessign: w.responder.URL}
	v := w.open()
	if err := v.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	address := w.responder.Listener.Addr().String()
	w.responder.Close()
	if err := v.Check(t.Context()); codeOf(err) != authn.ProviderDown || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), w.directory.address()) {
		t.Errorf("responder down: %v", err)
	}
	for _, tt := range []struct {
		at time.Time
		ok bool
	}{
		{w.ca.Certificate.NotAfter.Add(-31 * 24 * time.Hour), true}, {w.ca.Certificate.NotAfter.Add(-29 * 24 * time.Hour), false},
		{w.ca.Certificate.NotAfter.Add(time.Hour), false},
	} {
		if err := v.lasting(tt.at); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.at, err)
		}
	}
	w.clock.Store(int64(w.ca.Certificate.NotAfter.Sub(noon)))
	if err := v.Check(t.Context()); codeOf(err) != authn.CertificateExpired || !strings.Contains(err.Error(), "yessign") {
		t.Errorf("expired: %v", err)
	}
}

// TestUCPIDPersonDoesNotPrint keeps the answer out of whatever formats it.
func TestUCPIDPersonDoesNotPrint(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := UCPIDPerson{RealName: name, CI: "secret"}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "p", p)
	out.WriteString(p.GoString())
	if strings.Contains(out.String(), name) || strings.Contains(out.String(), "secret") {
		t.Error(out.String())
	}
}
