package mobileid_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

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

// BenchmarkMIP verifies a presentation of three credentials with one proof, on secp256r1, beside the four signature
// checks and the hashes that it cannot do without. Both are measured in turn, and their medians, so that a busy
// machine matters little.
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

	private := c.keys[0].private.(*ecdsa.PrivateKey)
	digest := sha256.Sum256(ports.plain)
	signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
	check(b, err)
	bare := func() {
		digest := sha256.Sum256(ports.plain) // the VP, with all that is in it
		if !ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature) {
			b.Fatal("does not verify")
		}
		for range 3 { // a credential's share of it, for which this is no signature, and takes as long to find out
			digest := sha256.Sum256(ports.plain[:len(ports.plain)/4])
			ecdsa.VerifyASN1(&private.PublicKey, digest[:], signature)
		}
	}

	b.ReportAllocs()
	var whole, least []time.Duration
	for b.Loop() {
		start := time.Now()
		check(b, a.VerifyMIP(b.Context(), nonce, message))
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
