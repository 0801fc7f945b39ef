package jointcert_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"testing"
	"time"
)

// BenchmarkVerify is a login with a joint certificate whose revocation list is known: what it costs from
// the form's field to the evidence, and how many times as much as what it cannot do without: two RSA
// verifications, of the signature and of the certificate, and the hashes of the content, the attributes, the
// certificate and the message. Both are measured in turn, and their medians, so that a busy machine matters little.
func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, withNumber, withResolver)
	at := w.begin()
	who := w.person(general)
	answer := w.sign(at, who)
	if _, err := w.Verify(b.Context(), at, answer); err != nil {
		b.Fatal(err)
	}
	message, err := base64.RawURLEncoding.DecodeString(answer.Signed)
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
	bare := func() {
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

	b.ReportAllocs()
	var whole, least []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := w.Verify(b.Context(), at, answer); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		bare()
		whole, least = append(whole, middle.Sub(start)), append(least, time.Since(middle))
	}
	slices.Sort(whole)
	slices.Sort(least)
	half := len(whole) / 2
	b.ReportMetric(float64(whole[half])/float64(least[half]), "x-bare")
	b.ReportMetric(float64(time.Second)/float64(whole[half]), "logins/s")
}
