package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// Authority is a certification authority that lives as long as its simulator: a fresh P-256 key and a
// self-signed root.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// certificateLife is how long the simulators' certificates are valid, from a day ago.
const certificateLife = 10 * 365 * 24 * time.Hour

// NewAuthority makes an authority with that common name.
func NewAuthority(name string) (*Authority, error) {
	template, err := template(pkix.Name{Country: []string{"KR"}, Organization: []string{"Any-ID simulator"}, CommonName: name})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sim: authority: %w", err)
	}
	cert, err := sign(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &Authority{Certificate: cert, key: key}, nil
}

// Issue makes a fresh P-256 key and a certificate for it that may sign. The edits change the certificate before
// it is signed: names, usage.
func (a *Authority) Issue(subject pkix.Name, edits ...func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	template, err := template(subject)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	for _, edit := range edits {
		edit(template)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("sim: issue: %w", err)
	}
	cert, err := sign(template, a.Certificate, key, a.key)
	if err != nil {
		return nil, nil, err
	}
	return cert, key, nil
}

// PEM is the root certificate in PEM, as a counterpart publishes its trust anchor.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

func template(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("sim: serial number: %w", err)
	}
	from := time.Now().Add(-24 * time.Hour)
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: from, NotAfter: from.Add(certificateLife)}, nil
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("sim: certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sim: certificate: %w", err)
	}
	return cert, nil
}
