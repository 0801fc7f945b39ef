package jointcert_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"
)

// BenchmarkVerify is a login with a joint certificate whose revocation list is known: what it costs from
// the form's field to the evidence.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, withNumber, withResolver)
	at := w.begin()
	answer := w.sign(at, w.person(general))
	if _, err := w.Verify(b.Context(), at, answer); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Verify(b.Context(), at, answer); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyBare is what BenchmarkVerify cannot do without: two RSA verifications, of the signature
// and of the certificate, and the hashes of the content, the attributes, the certificate and the message.
func BenchmarkVerifyBare(b *testing.B) {
	w := newWorld(b, withNumber, withResolver)
	at := w.begin()
	who := w.person(general)
	message, err := base64.RawURLEncoding.DecodeString(w.sign(at, who).Signed)
	if err != nil {
		b.Fatal(err)
	}
	request, err := w.Request(at)
	if err != nil {
		b.Fatal(err)
	}
	content := []byte(request.Content)
	// The shape without attributes gives a signature over known bytes, as long as the attributes are.
	signed := content[:107]
	sum := sha256.Sum256(signed)
	signature, err := rsa.SignPKCS1v15(nil, who.Key.Key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	leaf, ca := who.Certificate.Certificate, w.ca.Certificate
	if leaf.PublicKey.(*rsa.PublicKey).Size() != 256 {
		b.Fatal("not RSA-2048")
	}
	for b.Loop() {
		sha256.Sum256(content)
		sha256.Sum256(message)
		for _, step := range []struct {
			key               *rsa.PublicKey
			signed, signature []byte
		}{{leaf.PublicKey.(*rsa.PublicKey), signed, signature}, {ca.PublicKey.(*rsa.PublicKey), leaf.RawTBSCertificate, leaf.Signature}} {
			sum := sha256.Sum256(step.signed)
			if err := rsa.VerifyPKCS1v15(step.key, crypto.SHA256, sum[:], step.signature); err != nil {
				b.Fatal(err)
			}
		}
	}
}
