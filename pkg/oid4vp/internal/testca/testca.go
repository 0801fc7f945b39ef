// Package testca is a certificate authority for the tests of the packages around it.
package testca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"
)

// Now is the time of tests that bring their own.
var Now = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// A CA issues certificates that are valid around Now.
type CA struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// New makes a self-signed CA.
func New(tb testing.TB, name string) *CA {
	tb.Helper()
	key := Key(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Country: []string{"KR"}},
		NotBefore: Now.AddDate(-1, 0, 0), NotAfter: Now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return &CA{Certificate: create(tb, template, template, key.Public(), key), Key: key}
}

// Pool is the CA as a trust anchor.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Certificate)
	return pool
}

// Issue makes a certificate with these names, DNS names or URIs, after the edits. It returns the chain without the
// anchor.
func (c *CA) Issue(tb testing.TB, public crypto.PublicKey, dns, uri string, edits ...func(*x509.Certificate)) []*x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "leaf", Country: []string{"KR"}},
		NotBefore: Now.AddDate(0, -1, 0), NotAfter: Now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if dns != "" {
		template.DNSNames = []string{dns}
	}
	if uri != "" {
		parsed, err := url.Parse(uri)
		if err != nil {
			tb.Fatal(err)
		}
		template.URIs = []*url.URL{parsed}
	}
	for _, edit := range edits {
		edit(template)
	}
	return []*x509.Certificate{create(tb, template, c.Certificate, public, c.Key)}
}

// Intermediate makes a CA under this one.
func (c *CA) Intermediate(tb testing.TB, name string) *CA {
	tb.Helper()
	key := Key(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: Now.AddDate(-1, 0, 0), NotAfter: Now.AddDate(8, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &CA{Certificate: create(tb, template, c.Certificate, key.Public(), c.Key), Key: key}
}

// Key makes a P-256 key.
func Key(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func create(tb testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	tb.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		tb.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return certificate
}
