package mdoc_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

// licence is a credential of usual size: twelve elements and a portrait, all of them disclosed.
func licence(b *testing.B) []byte {
	w := shared()
	return w.present(b, w.issue(b, func(t *mdoctest.Template) {
		t.Elements = nil
		for _, name := range []string{"family_name", "given_name", "document_number", "issuing_authority", "resident_address", "nationality", "sex", "age_over_19"} {
			t.Elements = append(t.Elements, mdoctest.Element{Namespace: mDLNamespace, Name: name, Value: "홍길동"})
		}
		for _, name := range []string{"birth_date", "issue_date", "expiry_date"} {
			t.Elements = append(t.Elements, mdoctest.Element{Namespace: mDLNamespace, Name: name, Value: mdoctest.Date("2020-01-12")})
		}
		t.Elements = append(t.Elements, mdoctest.Element{Namespace: mDLNamespace, Name: "portrait", Value: make([]byte, 20_000)})
	}), nil)
}

// BenchmarkVerify measures a verification, and how many times as long it takes as what it cannot do without: three
// signatures, and the hashes of what they and the digests are over.
func BenchmarkVerify(b *testing.B) {
	w := shared()
	response, want := licence(b), w.want(b)
	bare := bare(b, response)
	b.ReportAllocs()
	var whole, least []time.Duration // in turn, and the median, so that a busy machine matters little
	for b.Loop() {
		start := time.Now()
		if _, err := mdoc.Verify(response, want); err != nil {
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
	b.ReportMetric(float64(time.Second)/float64(whole[half]), "presentations/s")
}

// bare does the indispensable part of verifying a response.
func bare(b *testing.B, raw []byte) func() {
	w := shared()
	response, _ := parseItem(raw)
	issuer := response.at("documents", 0, "issuerSigned")
	type check struct {
		key                *ecdsa.PublicKey
		content, signature []byte
	}
	auth := issuer.at("issuerAuth")
	content := list(text("Signature1"), auth.at(0), octets(nil), auth.at(2)).bytes()
	checks := []check{{&w.signer.Key.PublicKey, content, auth.at(3).content}}
	device := response.at("documents", 0, "deviceSigned", "deviceAuth", "deviceSignature")
	transcript, _ := parseItem(w.want(b).Transcript)
	payload := tagged(24, octets(list(text("DeviceAuthentication"), transcript, text(mDL), response.at("documents", 0, "deviceSigned", "nameSpaces")).bytes())).bytes()
	content = list(text("Signature1"), device.at(0), octets(nil), octets(payload)).bytes()
	checks = append(checks, check{&w.device.PublicKey, content, device.at(3).content})
	var items [][]byte
	for _, i := range issuer.at("nameSpaces", mDLNamespace).items {
		items = append(items, i.bytes())
	}
	certificate := w.signer.Certificate
	return func() {
		for _, c := range checks {
			sum := sha256.Sum256(c.content)
			if !ecdsa.Verify(c.key, sum[:], new(big.Int).SetBytes(c.signature[:32]), new(big.Int).SetBytes(c.signature[32:])) {
				b.Fatal("signature")
			}
		}
		tbs := sha256.Sum256(certificate.RawTBSCertificate)
		if !ecdsa.VerifyASN1(&w.authority.Key.PublicKey, tbs[:], certificate.Signature) {
			b.Fatal("certificate")
		}
		for _, i := range items {
			sha256.Sum256(i)
		}
	}
}
