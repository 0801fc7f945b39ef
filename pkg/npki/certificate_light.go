package npki

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxExtensions is how many extensions of a certificate, or policies in it, are read.
const maxExtensions = 64

var (
	oidKeyUsage         = oid("2.5.29.15")
	oidSubjectKeyID     = oid("2.5.29.14")
	oidBasicConstraints = oid("2.5.29.19")
	oidPolicies         = oid("2.5.29.32")
)

// readLight reads of a certificate what a signer needs to show it and to sign with its key: names, serial
// number, validity, RSA key, key usage, policies, whether it is an authority's. All extensions are in Extensions,
// and critical ones beyond these in UnhandledCriticalExtensions, so that nobody takes it for more.
//
// It stands for x509.ParseCertificate in browsers, where that alone costs a third of the megabyte that a page
// can be asked to load. The data has passed checkDER.
func readLight(data []byte) (*x509.Certificate, error) {
	const what = "Certificate"
	c := &x509.Certificate{Raw: data, Version: 1, SerialNumber: new(big.Int), PublicKeyAlgorithm: x509.RSA}
	s := cryptobyte.String(data)
	var tbs, element, version, validity, key cryptobyte.String
	var some bool
	var inner, outer algorithm
	explicit := der.Tag(0).ContextSpecific().Constructed()
	if !s.ReadASN1(&s, der.SEQUENCE) || !s.ReadASN1Element(&element, der.SEQUENCE) || !readAlgorithm(&s, &outer) ||
		!s.ReadASN1BitStringAsBytes(&c.Signature) || !s.Empty() {
		return nil, fail(ErrMalformed, what)
	}
	c.RawTBSCertificate = element
	if !element.ReadASN1(&tbs, der.SEQUENCE) || !tbs.ReadOptionalASN1(&version, &some, explicit) ||
		some && (!version.ReadASN1Integer(&c.Version) || !version.Empty() || c.Version < 1 || c.Version > 2) {
		return nil, fail(ErrMalformed, what+": version")
	}
	if some {
		c.Version++
	}
	if !tbs.ReadASN1Integer(c.SerialNumber) || !readAlgorithm(&tbs, &inner) || !inner.OID.Equal(outer.OID) ||
		string(inner.Parameters) != string(outer.Parameters) ||
		!readElement(&tbs, &c.RawIssuer) || !tbs.ReadASN1(&validity, der.SEQUENCE) ||
		!readTime(&validity, &c.NotBefore) || !readTime(&validity, &c.NotAfter) || !validity.Empty() ||
		!readElement(&tbs, &c.RawSubject) || !readElement(&tbs, &c.RawSubjectPublicKeyInfo) {
		return nil, fail(ErrMalformed, what)
	}
	key = c.RawSubjectPublicKeyInfo
	if c.PublicKey = readRSAPublic(key); c.PublicKey == nil {
		return nil, fail(ErrUnsupported, what+": public key")
	}
	c.SignatureAlgorithm = signatureAlgorithm(outer)
	if !tbs.SkipOptionalASN1(der.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(der.Tag(2).ContextSpecific()) {
		return nil, fail(ErrMalformed, what)
	}
	if !tbs.Empty() {
		if c.Version != 3 || !readExtensions(&tbs, c) || !tbs.Empty() {
			return nil, fail(ErrMalformed, what+": extensions")
		}
	}
	return c, nil
}

// readElement reads a SEQUENCE with its header.
func readElement(s *cryptobyte.String, out *[]byte) bool {
	var element cryptobyte.String
	ok := s.ReadASN1Element(&element, der.SEQUENCE)
	*out = element
	return ok
}

// readTime reads a Time (RFC 5280 section 4.1.2.5).
func readTime(s *cryptobyte.String, out *time.Time) bool {
	if s.PeekASN1Tag(der.UTCTime) {
		return s.ReadASN1UTCTime(out)
	}
	return s.ReadASN1GeneralizedTime(out)
}

// readRSAPublic reads a SubjectPublicKeyInfo; nil (of no type) says that it is none of RSA.
func readRSAPublic(s cryptobyte.String) any {
	var bits, pair cryptobyte.String
	var a algorithm
	key := &rsa.PublicKey{N: new(big.Int)}
	if !s.ReadASN1(&s, der.SEQUENCE) || !readAlgorithm(&s, &a) || !a.OID.Equal(oidRSA) || !a.plain() ||
		!s.ReadASN1(&bits, der.BIT_STRING) || !s.Empty() || !bits.Skip(1) || !bits.ReadASN1(&pair, der.SEQUENCE) ||
		!bits.Empty() || !pair.ReadASN1Integer(key.N) || !pair.ReadASN1Integer(&key.E) || !pair.Empty() ||
		key.N.Sign() <= 0 || key.N.BitLen() > maxModulus || key.E <= 0 {
		return nil
	}
	return key
}

func signatureAlgorithm(a algorithm) x509.SignatureAlgorithm {
	for _, known := range []struct {
		id        asn1.ObjectIdentifier
		algorithm x509.SignatureAlgorithm
	}{{oidSHA256RSA, x509.SHA256WithRSA}, {oidSHA384RSA, x509.SHA384WithRSA}, {oidSHA512RSA, x509.SHA512WithRSA}} {
		if known.id.Equal(a.OID) && a.plain() {
			return known.algorithm
		}
	}
	return x509.UnknownSignatureAlgorithm
}

func readExtensions(s *cryptobyte.String, c *x509.Certificate) bool {
	var list cryptobyte.String
	if !s.ReadASN1(&list, der.Tag(3).ContextSpecific().Constructed()) || !list.ReadASN1(&list, der.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		var one, value cryptobyte.String
		var e pkix.Extension
		if len(c.Extensions) == maxExtensions || !list.ReadASN1(&one, der.SEQUENCE) || !readOID(&one, &e.Id) {
			return false
		}
		if one.PeekASN1Tag(der.BOOLEAN) && !one.ReadASN1Boolean(&e.Critical) {
			return false
		}
		if !one.ReadASN1(&value, der.OCTET_STRING) || !one.Empty() {
			return false
		}
		for _, other := range c.Extensions {
			if other.Id.Equal(e.Id) {
				return false
			}
		}
		e.Value = value
		c.Extensions = append(c.Extensions, e)
		known, ok := readExtension(e.Id, value, c)
		if !ok {
			return false
		}
		if e.Critical && !known {
			c.UnhandledCriticalExtensions = append(c.UnhandledCriticalExtensions, e.Id)
		}
	}
	return true
}

// readExtension reads the extensions that the signer understands.
func readExtension(id asn1.ObjectIdentifier, s cryptobyte.String, c *x509.Certificate) (known, ok bool) {
	known = true
	if id.Equal(oidKeyUsage) || id.Equal(oidSubjectKeyID) || id.Equal(oidBasicConstraints) || id.Equal(oidPolicies) {
		if checkDER("extension", s, MaxCertificate) != nil {
			return known, false
		}
	}
	switch {
	case id.Equal(oidKeyUsage):
		var bits asn1.BitString
		ok = s.ReadASN1BitString(&bits)
		for i := range 9 {
			if bits.At(i) != 0 {
				c.KeyUsage |= 1 << i
			}
		}
	case id.Equal(oidSubjectKeyID):
		ok = s.ReadASN1Bytes(&c.SubjectKeyId, der.OCTET_STRING)
	case id.Equal(oidBasicConstraints):
		c.BasicConstraintsValid, c.MaxPathLen = true, -1
		ok = s.ReadASN1(&s, der.SEQUENCE) && (!s.PeekASN1Tag(der.BOOLEAN) || s.ReadASN1Boolean(&c.IsCA)) &&
			(!s.PeekASN1Tag(der.INTEGER) || s.ReadASN1Integer(&c.MaxPathLen))
		c.MaxPathLenZero = c.MaxPathLen == 0
	case id.Equal(oidPolicies):
		ok = readPolicyOIDs(&s, c)
	default:
		return id.Equal(oidSAN), true // which ParseIdentity reads
	}
	return known, ok && s.Empty()
}

func readPolicyOIDs(s *cryptobyte.String, c *x509.Certificate) bool {
	var list cryptobyte.String
	if !s.ReadASN1(&list, der.SEQUENCE) || list.Empty() {
		return false
	}
	for !list.Empty() {
		var one cryptobyte.String
		var id asn1.ObjectIdentifier
		if len(c.Policies) == maxExtensions || !list.ReadASN1(&one, der.SEQUENCE) || !readOID(&one, &id) {
			return false
		}
		arcs := make([]uint64, len(id))
		for i, arc := range id {
			arcs[i] = uint64(arc)
		}
		policy, err := x509.OIDFromInts(arcs)
		if err != nil {
			return false
		}
		c.Policies = append(c.Policies, policy)
		c.PolicyIdentifiers = append(c.PolicyIdentifiers, id)
	}
	return true
}
