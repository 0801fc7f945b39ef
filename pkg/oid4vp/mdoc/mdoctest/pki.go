// Package mdoctest is the other side of mdocs: an issuing authority with its document signers, which issues mdocs,
// and a device, which presents them. It is for tests, demonstrations and simulators; it also misbehaves on request.
//
// It shares no code with package mdoc, or both could be wrong in the same way.
package mdoctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"time"
)

// An Authority is an issuing authority certification authority, IACA (ISO/IEC 18013-5 Annex B.1.2).
type Authority struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
}

// AuthorityOptions say what a root is like; zero values stand for KR, P-256, and 20 years from now.
type AuthorityOptions struct {
	Name                string // common name
	Country             string
	Province            string // may be empty
	Curve               elliptic.Curve
	NotBefore, NotAfter time.Time
	Edit                func(*x509.Certificate) // changes the template before it is signed
}

// NewAuthority makes a root.
func NewAuthority(o AuthorityOptions) (*Authority, error) {
	template, err := template(o.Name, o.Country, o.Province, o.NotBefore, o.NotAfter, 20*365*24*time.Hour)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	if o.Edit != nil {
		o.Edit(template)
	}
	key, err := ecdsa.GenerateKey(orP256(o.Curve), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Authority{certificate, key}, nil
}

// A Signer is a document signer (ISO/IEC 18013-5 Annex B.1.4).
type Signer struct {
	Certificate *x509.Certificate
	Key         *ecdsa.PrivateKey
	Authority   *Authority
}

// SignerOptions say what a document signer is like; zero values stand for P-256 and 457 days from now. Country and
// province are the authority's.
type SignerOptions struct {
	Name                string
	Curve               elliptic.Curve
	NotBefore, NotAfter time.Time
	Edit                func(*x509.Certificate)
}

// NewSigner makes a document signer.
func (a *Authority) NewSigner(o SignerOptions) (*Signer, error) {
	var province string
	if len(a.Certificate.Subject.Province) > 0 {
		province = a.Certificate.Subject.Province[0]
	}
	template, err := template(o.Name, a.Certificate.Subject.Country[0], province, o.NotBefore, o.NotAfter, 457*24*time.Hour)
	if err != nil {
		return nil, err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 0, 18013, 5, 1, 2}})
	if err != nil {
		return nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	// By hand, since it is critical.
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	if o.Edit != nil {
		o.Edit(template)
	}
	key, err := ecdsa.GenerateKey(orP256(o.Curve), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := sign(template, a.Certificate, &key.PublicKey, a.Key)
	if err != nil {
		return nil, err
	}
	return &Signer{certificate, key, a}, nil
}

func template(name, country, province string, from, to time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	if from.IsZero() {
		from = time.Now().Add(-time.Minute)
	}
	if to.IsZero() {
		to = from.Add(life)
	}
	if country == "" {
		country = "KR"
	}
	subject := pkix.Name{Country: []string{country}, CommonName: name}
	if province != "" {
		subject.Province = []string{province}
	}
	// The issuer's contact, which Annex B wants as an alternative name.
	contact, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte((&url.URL{Scheme: "https", Host: "iaca.example"}).String())}})
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: from, NotAfter: to,
		CRLDistributionPoints: []string{"https://iaca.example/iaca.crl"},
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 18}, Value: contact}},
	}, nil
}

func sign(template, parent *x509.Certificate, key *ecdsa.PublicKey, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if template.SubjectKeyId == nil && !template.IsCA { // CreateCertificate does it for CAs only
		id, err := keyID(key)
		if err != nil {
			return nil, err
		}
		template.SubjectKeyId = id
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func orP256(curve elliptic.Curve) elliptic.Curve {
	if curve == nil {
		return elliptic.P256()
	}
	return curve
}
