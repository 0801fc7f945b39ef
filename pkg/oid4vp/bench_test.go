package oid4vp_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
)

// BenchmarkAnswer verifies whole answers as HAIP has them, encrypted and with one SD-JWT VC, beside what that cannot do
// without: one key agreement and decryption, three signatures (certificate, credential, key binding), and the
// hashes of the answer.
func BenchmarkAnswer(b *testing.B) {
	p := newPlay(b, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	delete(p.issuance.Claims, "status")
	request, err := p.verifier.NewRequest(oid4vp.RequestOptions{Query: p.query, ResponseURI: base + "/response/1", Now: testca.Now})
	if err != nil {
		b.Fatal(err)
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(request.Key); err != nil {
		b.Fatal(err)
	}
	w := p.wallet()
	w.inner = map[string]any{"client_id": request.ClientID, "nonce": request.Nonce, "response_uri": request.ResponseURI}
	presentation := w.present(nil)
	plain, err := json.Marshal(map[string]any{"vp_token": map[string]any{"pid": []string{presentation}}, "state": request.State})
	if err != nil {
		b.Fatal(err)
	}
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: key.Public().Key, KeyID: key.KeyID}, nil)
	if err != nil {
		b.Fatal(err)
	}
	jwe, err := encrypter.Encrypt(plain)
	if err != nil {
		b.Fatal(err)
	}
	compact, err := jwe.CompactSerialize()
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(url.Values{"response": {compact}}.Encode())
	private := key.Key.(*ecdsa.PrivateKey)
	ours, err := private.ECDH()
	if err != nil {
		b.Fatal(err)
	}
	theirs, err := testca.Key(b).ECDH()
	if err != nil {
		b.Fatal(err)
	}
	hash := sha256.Sum256([]byte(presentation))
	signature, err := ecdsa.SignASN1(rand.Reader, p.holder, hash[:])
	if err != nil {
		b.Fatal(err)
	}
	ciphertext := make([]byte, 0, len(plain)+16)
	bare := func() {
		secret, err := ours.ECDH(theirs.PublicKey())
		if err != nil {
			b.Fatal(err)
		}
		block, err := aes.NewCipher(secret)
		if err != nil {
			b.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			b.Fatal(err)
		}
		gcm.Seal(ciphertext, make([]byte, 12), plain, nil)
		for range 3 {
			hash := sha256.Sum256([]byte(presentation))
			if !ecdsa.VerifyASN1(&p.holder.PublicKey, hash[:], signature) {
				b.Fatal("signature")
			}
		}
	}

	b.ReportAllocs()
	var whole, least []time.Duration // in turn, and the median, so that a busy machine matters little
	for b.Loop() {
		start := time.Now()
		response, err := oid4vp.ParseResponse("application/x-www-form-urlencoded", body)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.verifier.Verify(b.Context(), request, response, testca.Now); err != nil {
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
	b.ReportMetric(float64(time.Second)/float64(whole[half]), "answers/s")
}
