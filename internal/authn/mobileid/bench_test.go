package mobileid_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/authn/mobileid"
)

// inProcess are ports that cost nothing.
type inProcess struct {
	documents []mobileid.Document
	statuses  []mobileid.Status
	plain     []byte
}

func (p *inProcess) Documents(context.Context, []string) ([]mobileid.Document, error) {
	return p.documents, nil
}
func (p *inProcess) Statuses(context.Context, []string) ([]mobileid.Status, error) {
	return p.statuses, nil
}
func (p *inProcess) Decrypt(context.Context, mobileid.Container) ([]byte, error) { return p.plain, nil }
func (p *inProcess) MakeProfile(context.Context, mobileid.ProfileRequest) ([]byte, error) {
	return nil, nil
}

// BenchmarkMIP verifies a presentation of three credentials with one proof, on secp256r1; "bare" are the four
// signature checks and the hashes that it cannot do without.
func BenchmarkMIP(b *testing.B) {
	w := newWorld(b, nil)
	c := w.newCitizen(b)
	c.keys[0] = r1Key(b, c.did+"#PIN1")
	nonce := strings.Repeat("0", 64)
	ports := &inProcess{statuses: []mobileid.Status{{ID: c.id, Status: "ACTIVE"}}}
	for _, k := range []key{c.keys[0], c.issuer} {
		did, _, _ := strings.Cut(k.id, "#")
		ports.documents = append(ports.documents, mobileid.Document{ID: did, Keys: []mobileid.Key{{ID: k.id, Public: &k.private.(*ecdsa.PrivateKey).PublicKey}}})
	}
	message, err := json.Marshal(c.present(b, w, nonce, switches{plain: func(text []byte) []byte { ports.plain = text; return nil }}))
	check(b, err)
	deps := w.deps(b)
	deps.Ports = mobileid.Ports{Ledger: ports, Profiles: ports, Decrypter: ports}
	a, err := mobileid.New(mobileid.Config{Issuer: w.server.URL, MIP: &mobileid.MIP{
		Service: service, Key: "rsa1", Issuers: []string{issuer}, Cards: []mobileid.Card{{Code: c.card, Label: "x"}},
	}}, deps)
	check(b, err)

	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			check(b, a.VerifyMIP(b.Context(), nonce, message))
		}
	})
	b.Run("bare", func(b *testing.B) {
		key := c.keys[0].private.(*ecdsa.PrivateKey)
		digest := sha256.Sum256(ports.plain)
		signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		check(b, err)
		for b.Loop() {
			_ = sha256.Sum256(ports.plain) // the VP, with all that is in it
			for i := range 4 {
				digest := sha256.Sum256(ports.plain[:len(ports.plain)/4])
				if i == 0 {
					digest = sha256.Sum256(ports.plain)
				}
				if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) && i == 0 {
					b.Fatal("does not verify")
				}
			}
		}
	})
}
