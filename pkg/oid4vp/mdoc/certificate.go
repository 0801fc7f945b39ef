package mdoc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
)

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidDocumentSigner   = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 2} // mdlDS
)

// Anchors are the roots of issuing authorities, IACAs, that the operator trusts. They are configuration: this
// package contains no certificate. The zero value trusts nobody. Anchors do not change, and serve any number of
// callers at once.
type Anchors struct {
	roots map[string][]*x509.Certificate // by the DER of the subject
}

// NewAnchors makes Anchors of IACA root certificates, which the operator has from a source that they trust. Each
// must be as ISO/IEC 18013-5 Annex B.1.2 has it: self-signed, with ECDSA and SHA-2 on P-256, P-384 or P-521, for
// certificates and CRLs only, with a path length of zero, a country, a common name and a subject key
// identifier. Validity is looked at when a document is verified.
//
// The codes of its errors are ErrInput (no root) and ErrUntrusted (a root that does not fit).
func NewAnchors(roots ...*x509.Certificate) (*Anchors, error) {
	if len(roots) == 0 {
		return nil, oid4vp.Fail(oid4vp.ErrInput, "anchors: none")
	}
	a := &Anchors{roots: make(map[string][]*x509.Certificate, len(roots))}
	for _, root := range roots {
		if problem := rootProblem(root); problem != "" {
			return nil, oid4vp.Fail(oid4vp.ErrUntrusted, "anchors: "+root.Subject.CommonName+": "+problem)
		}
		a.roots[string(root.RawSubject)] = append(a.roots[string(root.RawSubject)], root)
	}
	return a, nil
}

func rootProblem(root *x509.Certificate) string {
	switch {
	case root.Version != 3:
		return "version"
	case !root.IsCA || !root.BasicConstraintsValid || root.MaxPathLen != 0 || !root.MaxPathLenZero:
		return "basic constraints"
	case root.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || len(root.ExtKeyUsage)+len(root.UnknownExtKeyUsage) > 0:
		return "key usage"
	case !criticalOnly(root, oidKeyUsage, oidBasicConstraints):
		return "critical extensions"
	case !isECDSA(root, elliptic.P256(), elliptic.P384(), elliptic.P521()):
		return "algorithm"
	case len(root.Subject.Country) != 1 || root.Subject.CommonName == "":
		return "subject"
	case len(root.SubjectKeyId) == 0:
		return "subject key identifier"
	case !bytes.Equal(root.RawIssuer, root.RawSubject) || root.CheckSignatureFrom(root) != nil:
		return "not self-signed"
	}
	return ""
}

// verify says whether the certificate is a document signer's, issued directly by one of the roots, both of them valid
// now (ISO/IEC 18013-5 §9.3.3 and Annex B.1.4). It gives the root.
func (a *Anchors) verify(signer *x509.Certificate, now time.Time) (*x509.Certificate, error) {
	untrusted := func(what string) error {
		return oid4vp.Fail(oid4vp.ErrUntrusted, "document signer certificate: "+what)
	}
	switch {
	case signer.Version != 3:
		return nil, untrusted("version")
	case signer.IsCA:
		return nil, untrusted("basic constraints")
	case signer.KeyUsage != x509.KeyUsageDigitalSignature || !hasCritical(signer, oidKeyUsage):
		return nil, untrusted("key usage")
	case len(signer.ExtKeyUsage) > 0 || len(signer.UnknownExtKeyUsage) != 1 ||
		!signer.UnknownExtKeyUsage[0].Equal(oidDocumentSigner) || !hasCritical(signer, oidExtKeyUsage):
		return nil, untrusted("extended key usage")
	case !criticalOnly(signer, oidKeyUsage, oidExtKeyUsage, oidBasicConstraints):
		return nil, untrusted("critical extensions")
	case !isECDSA(signer, elliptic.P256(), elliptic.P384()):
		return nil, untrusted("algorithm")
	}
	problem := untrusted("issuer")
	for _, root := range a.roots[string(signer.RawIssuer)] {
		if !bytes.Equal(signer.AuthorityKeyId, root.SubjectKeyId) {
			continue
		}
		if err := signer.CheckSignatureFrom(root); err != nil {
			problem = oid4vp.Because(oid4vp.ErrUntrusted, "document signer certificate", err)
			continue
		}
		if !slices.Equal(signer.Subject.Country, root.Subject.Country) {
			return nil, untrusted("country")
		}
		if len(root.Subject.Province) > 0 && !slices.Equal(signer.Subject.Province, root.Subject.Province) {
			return nil, untrusted("state or province")
		}
		if err := validNow(root, now, "IACA certificate"); err != nil {
			return nil, err
		}
		return root, validNow(signer, now, "document signer certificate")
	}
	return nil, problem
}

func validNow(certificate *x509.Certificate, now time.Time, what string) error {
	if now.After(certificate.NotAfter) {
		return oid4vp.Fail(oid4vp.ErrExpired, what)
	}
	if now.Before(certificate.NotBefore) {
		return oid4vp.Fail(oid4vp.ErrNotYetValid, what)
	}
	return nil
}

// isECDSA says whether the certificate has an ECDSA key on one of the curves, and an ECDSA signature with SHA-2.
func isECDSA(certificate *x509.Certificate, curves ...elliptic.Curve) bool {
	switch certificate.SignatureAlgorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return false
	}
	key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	return ok && slices.Contains(curves, key.Curve)
}

// criticalOnly says whether no extension but these is critical.
func criticalOnly(certificate *x509.Certificate, known ...asn1.ObjectIdentifier) bool {
	for _, extension := range certificate.Extensions {
		if extension.Critical && !slices.ContainsFunc(known, extension.Id.Equal) {
			return false
		}
	}
	return true
}

func hasCritical(certificate *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, extension := range certificate.Extensions {
		if extension.Id.Equal(oid) {
			return extension.Critical
		}
	}
	return false
}
