package revocation_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

// question asks about the person.
func (w *world) question() *revocation.Question {
	return &revocation.Question{
		Certificate: w.chain.Certificate.Certificate, Issuer: w.chain.CA, Root: w.chain.Root, Nonce: []byte("0123456789abcdef"),
	}
}

// answer lets the responder answer, misbehaving.
func (w *world) answer(q *revocation.Question, faults ...npkitest.Fault) []byte {
	w.t.Helper()
	w.ca.Misbehave(faults...)
	request, err := q.Request(nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := w.PKI.QueryOCSP(w.t.Context(), "", request)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func TestVerifyAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	good := w.answer(q)
	for name, c := range map[string]struct {
		raw  []byte
		now  time.Time
		code npki.Code
	}{
		"good":                 {good, noon, ""},
		"our clock is late":    {good, noon.Add(-5 * time.Minute), ""},
		"from the future":      {good, noon.Add(-7 * time.Minute), npki.ErrStatus},
		"last moment":          {good, noon.Add(64 * time.Minute), ""},
		"stale":                {good, noon.Add(65 * time.Minute), npki.ErrStatus},
		"stale from the start": {w.answer(q, npkitest.OCSPStale), noon, npki.ErrStatus},
		"try later":            {w.answer(q, npkitest.OCSPTryLater), noon, npki.ErrStatus},
		"unknown":              {w.answer(q, npkitest.OCSPUnknown), noon, npki.ErrStatus},
		"forged":               {w.answer(q, npkitest.OCSPForged), noon, npki.ErrMalformed},
		"no nonce":             {w.answer(q, npkitest.OCSPNoNonce), noon, npki.ErrNonce},
		"wrong nonce":          {w.answer(q, npkitest.OCSPWrongNonce), noon, npki.ErrNonce},
		"no usage":             {w.answer(q, npkitest.OCSPNoUsage), noon, npki.ErrUntrusted},
		"responder expired":    {good, noon.AddDate(2, 0, 0), npki.ErrUntrusted},
		"other root":           {w.answer(q, npkitest.OCSPOtherRoot), noon, npki.ErrUntrusted},
		"empty":                {nil, noon, npki.ErrMalformed},
		"too large":            {make([]byte, 1<<17), noon, npki.ErrTooLarge},
		"trailing byte":        {append(bytes.Clone(good), 0), noon, npki.ErrMalformed},
	} {
		answer, err := q.Verify(c.raw, c.now)
		switch {
		case c.code == "" && (err != nil || answer.Status() != nil):
			t.Errorf("%s: %v", name, err)
		case c.code != "" && !errors.Is(err, c.code):
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	other, _ := w.enroll(w.ca)
	elsewhere := w.question()
	elsewhere.Certificate = other.Certificate.Certificate
	if _, err := elsewhere.Verify(good, noon); !errors.Is(err, npki.ErrMismatch) {
		t.Errorf("another certificate: %v", err)
	}
	hash := w.question()
	hash.Hash = crypto.SHA256
	if _, err := hash.Verify(good, noon); !errors.Is(err, npki.ErrMismatch) {
		t.Errorf("another hash: %v", err)
	}
}

// Trap 3: serial numbers repeat across CAs, and x/crypto/ocsp compares nothing else.
func TestTrap03AnswerMatchedBySerial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	raw := w.answer(q, npkitest.OCSPOtherIssuer)
	if _, err := ocsp.ParseResponseForCert(raw, q.Certificate, nil); err != nil {
		t.Fatalf("not the trap: %v", err)
	}
	if _, err := q.Verify(raw, noon); !errors.Is(err, npki.ErrMismatch) {
		t.Errorf("error %v", err)
	}
}

// Trap 4: of an answer without a certificate, x/crypto/ocsp verifies nothing.
func TestTrap04AnswerWithoutCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	raw := w.answer(q, npkitest.OCSPBare, npkitest.OCSPForged)
	if _, err := ocsp.ParseResponse(raw, nil); err != nil {
		t.Fatalf("not the trap: %v", err)
	}
	if _, err := q.Verify(raw, noon); !errors.Is(err, npki.ErrUntrusted) {
		t.Errorf("error %v", err)
	}
}

// Trap 35: all responders are the root's, but each is only one CA's.
func TestTrap35ResponderOfAnotherCA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	if _, err := q.Verify(w.answer(q, npkitest.OCSPOtherCA), noon); !errors.Is(err, npki.ErrUntrusted) {
		t.Errorf("error %v", err)
	}
}

// No piece of an answer can be changed without the responder.
func TestAnswerMutations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	raw := w.answer(q)
	outer, err := dertree.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	basic, err := dertree.Parse(outer.At(1, 0, 1).Body)
	if err != nil {
		t.Fatal(err)
	}
	refused, kept := 0, 0
	try := func(path []int, mutant []byte) {
		if bytes.Equal(mutant, raw) {
			return
		}
		answer, err := q.Verify(mutant, noon)
		if err == nil {
			kept++
			if answer.Status() != nil {
				t.Errorf("%v: another status", path)
			}
		} else if _, ok := errors.AsType[*npki.Error](err); !ok {
			t.Errorf("%v: untyped error %v", path, err)
		} else {
			refused++
		}
	}
	mutate := func(tree *dertree.Node, whole func(*dertree.Node) []byte) {
		tree.Walk(func(path []int, node *dertree.Node) {
			for _, change := range []func(root *dertree.Node){
				func(root *dertree.Node) { root.Replace(path) },
				func(root *dertree.Node) { root.Replace(path, node, node) },
				func(root *dertree.Node) { root.At(path...).Tag ^= 1 },
				func(root *dertree.Node) {
					if body := root.At(path...).Body; len(body) > 0 {
						body[len(body)-1] ^= 1
					}
				},
			} {
				root := tree.Clone()
				change(root)
				try(path, whole(root))
			}
		})
	}
	mutate(outer, (*dertree.Node).Bytes)
	mutate(basic, func(root *dertree.Node) []byte {
		whole := outer.Clone()
		whole.At(1, 0, 1).Body = root.Bytes()
		return whole.Bytes()
	})
	// Only the parameters of algorithms, the tag of a NULL and a second certificate go unnoticed.
	if refused < 250 || kept > 8 {
		t.Errorf("%d refused, %d accepted", refused, kept)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.question()
	raw, err := q.Request(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// x/crypto reads ours, and would write the same CertID.
	got, err := ocsp.ParseRequest(raw)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ocsp.CreateRequest(q.Certificate, q.Issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := ocsp.ParseRequest(theirs)
	if err != nil || got.HashAlgorithm != want.HashAlgorithm || !bytes.Equal(got.IssuerNameHash, want.IssuerNameHash) ||
		!bytes.Equal(got.IssuerKeyHash, want.IssuerKeyHash) || got.SerialNumber.Cmp(want.SerialNumber) != 0 {
		t.Errorf("%+v, %+v, %v", got, want, err)
	}
	q.Hash = crypto.MD5
	if _, err := q.Request(nil, nil); !errors.Is(err, npki.ErrInput) {
		t.Errorf("MD5: %v", err)
	}
	q = w.question()
	q.Nonce = make([]byte, 33)
	if _, err := q.Request(nil, nil); !errors.Is(err, npki.ErrInput) {
		t.Errorf("long nonce: %v", err)
	}
	if _, err := w.question().Request(w.ca.Key, nil); !errors.Is(err, npki.ErrInput) {
		t.Errorf("signer without certificate: %v", err)
	}
}

// OpenSSL reads our requests and agrees about the signature.
func TestOpenSSLReadsRequests(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing; install the Debian package openssl (.ci/packages does it)")
	}
	w := newWorld(t)
	server, _ := w.enroll(w.ca)
	raw, err := w.question().Request(server.Key.Key, server.Certificate.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "request.der")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(openssl, "ocsp", "-reqin", path, "-req_text").CombinedOutput()
	for _, part := range []string{"Requestor Name: DirName:", "Hash Algorithm: sha1", "OCSP Nonce", "Signature Algorithm: sha256WithRSAEncryption", "Serial Number: "} {
		if err != nil || !strings.Contains(string(out), part) {
			t.Errorf("no %q: %v\n%s", part, err, out)
		}
	}
	tree, err := dertree.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	h := crypto.SHA256.New()
	h.Write(tree.At(0).Bytes())
	signature := tree.At(1, 0, 1).Body[1:]
	if err := rsa.VerifyPKCS1v15(server.Certificate.PublicKey.(publicKey), crypto.SHA256, h.Sum(nil), signature); err != nil {
		t.Error(err)
	}
}

// An answer that names its responder by key, without a nextUpdate: it holds for now, with a nonce only.
func TestAnswerForNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	responder, err := w.ca.Root().Sign(npkitest.Template{
		Subject:   npki.Name{{{Type: "c", Value: "KR"}}, {{Type: "o", Value: npkitest.Yessign}}, {{Type: "cn", Value: "OCSP"}}},
		PublicKey: &w.person.Key.Key.(*rsa.PrivateKey).PublicKey, Responder: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := ocsp.CreateResponse(w.chain.CA, responder.Certificate, ocsp.Response{
		Status: ocsp.Good, SerialNumber: w.person.Certificate.SerialNumber, ThisUpdate: noon, Certificate: responder.Certificate,
		IssuerHash: crypto.SHA1, SignatureAlgorithm: x509.SHA256WithRSA,
	}, w.person.Key.Key)
	if err != nil {
		t.Fatal(err)
	}
	q := w.question()
	if _, err := q.Verify(raw, time.Now()); !errors.Is(err, npki.ErrNonce) {
		t.Errorf("error %v", err)
	}
	q.Nonce = nil
	if _, err := q.Verify(raw, time.Now()); !errors.Is(err, npki.ErrStatus) {
		t.Errorf("error %v", err)
	}
}
