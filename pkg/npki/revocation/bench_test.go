package revocation_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

var login = []byte("anyid-login;v=1;iss=https://login.example.kr;txn=1;nonce=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA;iat=1795143600;aud=qnet")

// BenchmarkLogin is what a login with a certificate costs: signature, chain, policy, and remembered
// revocation.
func BenchmarkLogin(b *testing.B) {
	w := newWorld(b)
	c := w.checker(revocation.Config{})
	message, err := w.person.Sign(login, npki.SignOptions{Time: noon})
	if err != nil {
		b.Fatal(err)
	}
	options := npki.ChainOptions{
		Policies: []string{"1.2.410.200004.5.2.1.2", "1.2.410.200004.5.2.1.7.1", policy, "1.2.410.200005.1.1.4"}, Holder: npki.Person, Time: noon,
	}
	for b.Loop() {
		signed, err := npki.VerifySignedData(message, npki.Want{Content: login, Attributes: npki.Required})
		if err != nil {
			b.Fatal(err)
		}
		chain, err := w.anchors.VerifyChain(signed.Certificate, options)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Check(b.Context(), chain); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoginBare is what BenchmarkLogin cannot do without: the RSA verifications of the signature and of
// the certificate, and the hashes of the content, the attributes and the certificate.
func BenchmarkLoginBare(b *testing.B) {
	w := newWorld(b)
	message, err := w.person.Sign(login, npki.SignOptions{Time: noon})
	if err != nil {
		b.Fatal(err)
	}
	tree, err := dertree.Parse(message)
	if err != nil {
		b.Fatal(err)
	}
	attributes := tree.At(1, 0, 4, 0, 3)
	attributes.Tag = 0x31
	type step struct {
		key               *rsa.PublicKey
		signed, signature []byte
	}
	of := func(c, issuer *x509.Certificate) step {
		return step{issuer.PublicKey.(publicKey), c.RawTBSCertificate, c.Signature}
	}
	leaf := w.chain.Certificate.Certificate
	steps := []step{
		{leaf.PublicKey.(publicKey), attributes.Bytes(), tree.At(1, 0, 4, 0, 5).Body}, of(leaf, w.chain.CA),
	}
	for b.Loop() {
		sha256.Sum256(login)
		for _, s := range steps {
			sum := sha256.Sum256(s.signed)
			if err := rsa.VerifyPKCS1v15(s.key, crypto.SHA256, sum[:], s.signature); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkParseList is what a new list costs.
func BenchmarkParseList(b *testing.B) {
	w := newWorld(b)
	raw, err := w.FetchCRL(b.Context(), w.person.Certificate.CRLDistributionPoints[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := revocation.ParseList(raw, w.ca.Certificate); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyAnswer is what an OCSP answer costs.
func BenchmarkVerifyAnswer(b *testing.B) {
	w := newWorld(b)
	q := w.question()
	raw := w.answer(q)
	for b.Loop() {
		if _, err := q.Verify(raw, noon); err != nil {
			b.Fatal(err)
		}
	}
}
