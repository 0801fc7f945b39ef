package npki_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// issue makes a certificate of any shape, by a key of its own where nobody is above it.
func issue(t testing.TB, template, parent *x509.Certificate, key, parentKey *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func oids(t testing.TB, texts ...string) []x509.OID {
	t.Helper()
	var list []x509.OID
	for _, text := range texts {
		id, err := x509.ParseOID(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, id)
	}
	return list
}

// TestAnchorShapes holds what a CA or root says of those below it against what is made of it, which is never
// more than crypto/x509 takes.
func TestAnchorShapes(t *testing.T) {
	t.Parallel()
	w := shared()
	const anyPolicy = "2.5.29.32.0"
	extension := func(critical bool, id ...int) pkix.Extension {
		value, err := asn1.Marshal([]asn1.RawValue{})
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: id, Critical: critical, Value: value}
	}
	mappings, err := asn1.Marshal([]struct{ Issuer, Subject asn1.ObjectIdentifier }{
		{asn1.ObjectIdentifier{1, 2, 410, 200005, 1, 1, 1}, asn1.ObjectIdentifier{1, 2, 410, 200005, 1, 1, 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		root    func(*x509.Certificate)
		ca      func(*x509.Certificate)
		anchors npki.Code // refused by NewTestAnchors
		chain   npki.Code // or by VerifyChain
	}{
		{"any policy", nil, nil, "", ""},
		{"the policy", nil, func(c *x509.Certificate) { c.Policies = oids(t, personBank, personGeneral) }, "", ""},
		{"another policy", nil, func(c *x509.Certificate) { c.Policies = oids(t, personBank) }, "", npki.ErrPolicy},
		{"no policy", nil, func(c *x509.Certificate) { c.Policies = nil }, "", npki.ErrPolicy},
		{"CA not yet valid", nil, func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Second) }, "", npki.ErrUntrusted},
		{"CA expired", nil, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }, "", npki.ErrUntrusted},
		{"root not yet valid", func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Second) }, nil, "", npki.ErrUntrusted},
		{"root expired", func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) }, nil, "", npki.ErrUntrusted},
		{"root for one step", func(c *x509.Certificate) { c.MaxPathLenZero = true }, nil, npki.ErrUsage, ""},
		{"CA for one step", nil, func(c *x509.Certificate) { c.MaxPathLenZero = true }, "", ""},
		{"root constrains names", func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"kr"} }, nil, npki.ErrUnsupported, ""},
		{"CA constrains names", nil, func(c *x509.Certificate) { c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"kr"}, true }, npki.ErrUnsupported, ""},
		{"CA maps policies", nil, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 33}, Value: mappings}}
		}, npki.ErrUnsupported, ""},
		{"CA says what nobody knows", nil, func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{extension(true, 1, 2, 410, 99)} }, npki.ErrUnsupported, ""},
		{"CA says it uncritically", nil, func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{extension(false, 1, 2, 410, 99)} }, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var keys [3]*rsa.PrivateKey
			for i := range keys {
				key, err := w.pki.NewKey(2048)
				if err != nil {
					t.Fatal(err)
				}
				keys[i] = key
			}
			authority := func(cn string) *x509.Certificate {
				return &x509.Certificate{
					SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"yessign"}, CommonName: cn},
					NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
					KeyUsage: x509.KeyUsageCertSign, Policies: oids(t, anyPolicy),
				}
			}
			template := authority("Test root")
			if tt.root != nil {
				tt.root(template)
			}
			root := issue(t, template, template, keys[0], keys[0])
			template = authority("Test CA")
			if tt.ca != nil {
				tt.ca(template)
			}
			ca := issue(t, template, root, keys[1], keys[0])
			leaf := issue(t, &x509.Certificate{
				SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "홍길동"}, NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(0, 1, 0),
				KeyUsage: x509.KeyUsageDigitalSignature, Policies: oids(t, personGeneral),
			}, ca, keys[2], keys[1])

			anchors, err := npki.NewTestAnchors([]*x509.Certificate{root}, []*x509.Certificate{ca})
			if tt.anchors != "" {
				if !errors.Is(err, tt.anchors) {
					t.Errorf("anchors: %v, want %q", err, tt.anchors)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = anchors.VerifyChain(&npki.Certificate{Certificate: leaf}, npki.ChainOptions{Policies: []string{personGeneral}, Time: noon})
			if tt.chain == "" && err != nil || tt.chain != "" && !errors.Is(err, tt.chain) {
				t.Errorf("chain: %v, want %q", err, tt.chain)
			}
			roots, subordinates := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(root)
			subordinates.AddCert(ca)
			_, standard := leaf.Verify(x509.VerifyOptions{
				Roots: roots, Intermediates: subordinates, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CertificatePolicies: oids(t, personGeneral),
			})
			// A CA that may not issue under the policy is refused even where nothing demands an explicit policy.
			if err == nil && standard != nil {
				t.Errorf("taken, and not by crypto/x509: %v", standard)
			}
		})
	}
}

// TestRenewedRoot finds the CA under the one of two root certificates with one key that is valid.
func TestRenewedRoot(t *testing.T) {
	t.Parallel()
	w := shared()
	old := *w.yessign.Root().Certificate
	old.NotBefore, old.NotAfter = noon.AddDate(-9, 0, 0), noon.AddDate(-1, 0, 0)
	old.ExtraExtensions = nil
	key := w.yessign.Root().Key
	expired := issue(t, &old, &old, key, key)
	person := w.person.Certificate
	for _, roots := range [][]*x509.Certificate{
		{expired, w.yessign.Root().Certificate}, {w.yessign.Root().Certificate, expired},
	} {
		anchors, err := npki.NewTestAnchors(roots, []*x509.Certificate{w.yessign.Certificate})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := anchors.VerifyChain(person, loginChain)
		if err != nil || !chain.Root.Equal(w.yessign.Root().Certificate) {
			t.Errorf("%v", err)
		}
	}
}
