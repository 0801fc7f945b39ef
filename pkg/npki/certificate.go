package npki

import (
	"bytes"
	"crypto/x509"
)

// MaxCertificate is the size of the largest certificate, in bytes; real ones have about 1,500.
const MaxCertificate = 64 << 10

// Certificate is a certificate of the Korean PKI. It is parsed, not verified.
//
// In a browser (GOOS=js) only certificates with an RSA key are read, and of these what a signer needs: names,
// serial number, validity, key, key usage, policies and the extensions in DER. Subject and Issuer are empty there.
type Certificate struct {
	*x509.Certificate
}

// ParseCertificate reads a certificate in DER, as in signCert.der.
func ParseCertificate(data []byte) (*Certificate, error) {
	const what = "Certificate"
	if err := checkDER(what, data, MaxCertificate); err != nil {
		return nil, err
	}
	c, err := readCertificate(bytes.Clone(data))
	if err != nil {
		return nil, err
	}
	return &Certificate{c}, nil
}

// Identity is the holder's true name and VID: [IdentityOf].
func (c *Certificate) Identity() (Identity, error) { return IdentityOf(c.Certificate) }

// SubjectName is the holder's distinguished name; unlike Subject it keeps units apart.
func (c *Certificate) SubjectName() (Name, error) { return ParseName(c.RawSubject) }

// IssuerName is the issuer's distinguished name.
func (c *Certificate) IssuerName() (Name, error) { return ParseName(c.RawIssuer) }

// Policy is what the certificate is for: [PolicyOf].
func (c *Certificate) Policy() (Policy, bool) { return PolicyOf(c.Certificate) }

// Signs says that the certificate's key usage lets it sign (signCert.der), and not only decrypt (kmCert.der).
func (c *Certificate) Signs() bool { return c.KeyUsage&x509.KeyUsageDigitalSignature != 0 }
