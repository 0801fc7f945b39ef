package npki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxMessage is how long, in bytes, a SignedData may be when Want does not say otherwise. A login
// signature has about 2 KB plus its content.
const MaxMessage = 64 << 10

// maxParts bounds how many certificates, attributes or algorithms a message may list.
const maxParts = 32

// A Presence says whether something may, must or must not be there.
type Presence int

// The values of Presence.
const (
	Optional Presence = iota
	Required
	Forbidden
)

// Want is what a SignedData is expected to be.
type Want struct {
	// Content is the verifier's own copy of what was to be signed, the nonce in it. What was signed is
	// compared with it byte for byte, and never parsed.
	Content []byte
	// AnyContent takes whatever was signed and returns it, in place of Content. The caller must then check
	// all of it, as UCPIDRequest.Check does.
	AnyContent bool
	// Detached wants a message without the content in it; Content says what was signed. Otherwise the
	// content must be inside.
	Detached bool
	// Attributes says whether the signed attributes must be there. One protocol should settle on one.
	Attributes Presence
	// AllowBare takes a SignedData without the ContentInfo around it, as the financial certificate's
	// signer sends it.
	AllowBare bool
	// NonRepudiation demands this key usage too, for signatures on documents.
	NonRepudiation bool
	// MaxSize is how long the message may be, in bytes; 0 is MaxMessage, and more than MaxFile is MaxFile.
	MaxSize int
}

// A SignatureScheme is how RSA was used.
type SignatureScheme string

// The two schemes of RFC 8017.
const (
	PKCS1v15 SignatureScheme = "RSASSA-PKCS1-v1_5"
	PSS      SignatureScheme = "RSASSA-PSS"
)

// Signed is what a verified SignedData says. Only the signature has been verified: whether the
// certificate is to be trusted is the question of Anchors.VerifyChain and of package revocation.
type Signed struct {
	Content       []byte
	Certificate   *Certificate
	SigningTime   time.Time // as the signer claims; zero if it does not. Never a reason to trust
	HadAttributes bool
	Hash          crypto.Hash
	Scheme        SignatureScheme
}

// VerifySignedData verifies a CMS SignedData (RFC 5652) strictly: DER without a byte too many, exactly
// one signer, named by issuer and serial number, whose certificate is in the message exactly once; SHA-256,
// SHA-384 or SHA-512 and RSA of 2048 to 4096 bits, PKCS #1 v1.5 or PSS; a certificate that may sign; and
// the content that the caller wants. Every other certificate in the message is ignored, and so are CRLs
// and unsigned attributes.
//
// The codes of its errors are ErrTooLarge, ErrMalformed, ErrUnsupported, ErrMissing (no signer or no
// certificate), ErrUsage, ErrSignature, ErrContent, and ErrInput for a Want that says nothing about the
// content. To the signer all of them should look the same.
func VerifySignedData(message []byte, want Want) (*Signed, error) {
	if want.AnyContent == (len(want.Content) > 0) || want.AnyContent && want.Detached {
		return nil, fail(ErrInput, "Want: content")
	}
	limit := want.MaxSize
	if limit == 0 {
		limit = MaxMessage
	}
	if err := checkDER("SignedData", message, limit); err != nil {
		return nil, err
	}
	m, err := readSignedData(message, want.AllowBare)
	if err != nil {
		return nil, err
	}
	content := []byte(m.content)
	switch {
	case want.Detached && m.hasContent:
		return nil, fail(ErrContent, "SignedData: content inside a detached signature")
	case want.Detached:
		content = want.Content
	case !m.hasContent:
		return nil, fail(ErrContent, "SignedData: no content inside")
	case !want.AnyContent && !bytes.Equal(content, want.Content):
		return nil, fail(ErrContent, "SignedData")
	}

	signer := m.signer
	hash, ok := digestOf(signer.digest)
	if !ok {
		return nil, fail(ErrUnsupported, "SignerInfo: digest algorithm")
	}
	if !m.listsDigest(signer.digest.OID) {
		return nil, fail(ErrMalformed, "SignedData: digest algorithm of the signer not listed")
	}
	certificate, err := m.certificateOf(signer)
	if err != nil {
		return nil, err
	}
	if err := mayVerify(certificate.Certificate, want.NonRepudiation); err != nil {
		return nil, err
	}

	out := &Signed{
		Content: bytes.Clone(content), Certificate: certificate, Hash: hash, HadAttributes: signer.attributes != nil,
	}
	signed := content
	switch {
	case signer.attributes == nil && want.Attributes == Required:
		return nil, fail(ErrUnsupported, "SignerInfo: no signed attributes")
	case signer.attributes == nil:
		// Such a signature can be taken from a message whose attributes are this content (RFC 5652 §11).
		if len(content) > 0 && content[0] == byte(der.SET) {
			return nil, fail(ErrSignature, "SignerInfo: content that reads as signed attributes")
		}
	case want.Attributes == Forbidden:
		return nil, fail(ErrUnsupported, "SignerInfo: signed attributes")
	default:
		attributes, err := readSignedAttributes(signer.attributes)
		if err != nil {
			return nil, err
		}
		if !attributes.contentType.Equal(oidData) {
			return nil, fail(ErrContent, "signed attribute contentType")
		}
		if !bytes.Equal(attributes.messageDigest, digest(hash, content)) {
			return nil, fail(ErrSignature, "signed attribute messageDigest")
		}
		out.SigningTime = attributes.signingTime
		// As received, not as DER would order it; only the tag changes back from [0] to SET (RFC 5652 §5.4).
		signed = signer.attributes
	}
	scheme, salt, err := schemeOf(signer.algorithm, hash)
	if err != nil {
		return nil, err
	}
	out.Scheme = scheme
	if err := verifyRSA(certificate.Certificate, scheme, hash, salt, signed, signer.signature); err != nil {
		return nil, err
	}
	return out, nil
}

// VerifySignature verifies a raw RSA signature with SHA-256 over content, as the financial certificate's
// signer returns it in its PKCS1 mode; the certificate comes apart from it. The codes of its errors are
// ErrUnsupported, ErrUsage and ErrSignature.
func VerifySignature(certificate *x509.Certificate, scheme SignatureScheme, content, signature []byte) error {
	if scheme != PKCS1v15 && scheme != PSS {
		return fail(ErrUnsupported, "signature scheme")
	}
	if err := mayVerify(certificate, false); err != nil {
		return err
	}
	return verifyRSA(certificate, scheme, crypto.SHA256, crypto.SHA256.Size(), content, signature)
}

// DecodeMessage decodes a message as clients send it in a form field: hexadecimal, Base64, Base64 for
// URLs with or without padding, in one line or several, or PEM. A Base64 text in which a plus sign has become a space is refused,
// not repaired. The codes of its errors are ErrTooLarge and ErrMalformed.
func DecodeMessage(text string) ([]byte, error) {
	if len(text) > 2*MaxFile {
		return nil, fail(ErrTooLarge, "message")
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----BEGIN ") {
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(bytes.TrimSpace(rest)) != 0 || len(block.Headers) != 0 ||
			block.Type != "PKCS7" && block.Type != "CMS" {
			return nil, fail(ErrMalformed, "message: PEM")
		}
		return block.Bytes, nil
	}
	if text == "" {
		return nil, fail(ErrMalformed, "message: empty")
	}
	if _, err := hex.DecodeString(text[:min(len(text), 16)]); err == nil { // most fail here, at no cost
		if out, err := hex.DecodeString(text); err == nil {
			return out, nil
		}
	}
	if strings.Contains(text, " ") {
		return nil, fail(ErrMalformed, "message: a space, where a form has turned a plus sign into one")
	}
	if strings.Contains(text, "\n") || strings.Contains(text, "\r") { // lines of 64 or 76 letters
		text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
	}
	encoding := strictBase64
	if strings.Contains(text, "-") || strings.Contains(text, "_") {
		encoding = strictBase64URL
	}
	if body := strings.TrimRight(text, "="); len(body) != len(text) {
		if len(text)%4 != 0 || len(text)-len(body) > 2 {
			return nil, fail(ErrMalformed, "message: Base64 padding")
		}
		text = body
	}
	out, err := encoding.DecodeString(text)
	if err != nil {
		return nil, fail(ErrMalformed, "message: Base64")
	}
	return out, nil
}

var (
	strictBase64    = base64.RawStdEncoding.Strict()
	strictBase64URL = base64.RawURLEncoding.Strict()
)

// signedData is a SignedData taken apart; its parts lie in the message.
type signedData struct {
	digests      []algorithm
	content      cryptobyte.String
	hasContent   bool
	certificates []cryptobyte.String
	signer       signerInfo
}

type signerInfo struct {
	issuer, serial cryptobyte.String // complete values
	digest         algorithm
	attributes     []byte // the complete value with the tag of a SET, or nil
	algorithm      algorithm
	signature      []byte
}

// readSignedData takes a message that checkDER has passed apart.
func readSignedData(message []byte, allowBare bool) (*signedData, error) {
	malformed := func(what string) (*signedData, error) { return nil, fail(ErrMalformed, "SignedData: "+what) }
	s := cryptobyte.String(message)
	var body cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) {
		return malformed("no SEQUENCE")
	}
	if !body.PeekASN1Tag(der.INTEGER) { // a ContentInfo
		var oid asn1.ObjectIdentifier
		var wrapped, inner cryptobyte.String
		if !readOID(&body, &oid) || !body.ReadASN1(&wrapped, explicit0) || !body.Empty() {
			return malformed("ContentInfo")
		}
		if !oid.Equal(oidSignedData) {
			return nil, fail(ErrUnsupported, "ContentInfo: not a SignedData")
		}
		if !wrapped.ReadASN1(&inner, der.SEQUENCE) || !wrapped.Empty() {
			return malformed("ContentInfo")
		}
		body = inner
	} else if !allowBare {
		return nil, fail(ErrUnsupported, "SignedData: no ContentInfo around it")
	}

	var m signedData
	var version int
	if !body.ReadASN1Integer(&version) {
		return malformed("version")
	}
	if version != 1 && version != 3 {
		return nil, fail(ErrUnsupported, "SignedData: version")
	}
	var digests, encapsulated cryptobyte.String
	if !body.ReadASN1(&digests, der.SET) {
		return malformed("digestAlgorithms")
	}
	for !digests.Empty() {
		var a algorithm
		if len(m.digests) == maxParts || !readAlgorithm(&digests, &a) || m.listsDigest(a.OID) {
			return malformed("digestAlgorithms")
		}
		m.digests = append(m.digests, a)
	}
	var contentType asn1.ObjectIdentifier
	if !body.ReadASN1(&encapsulated, der.SEQUENCE) || !readOID(&encapsulated, &contentType) {
		return malformed("encapContentInfo")
	}
	if !contentType.Equal(oidData) {
		return nil, fail(ErrUnsupported, "SignedData: content type")
	}
	if !encapsulated.Empty() {
		var wrapped cryptobyte.String
		if !encapsulated.ReadASN1(&wrapped, explicit0) || !encapsulated.Empty() ||
			!wrapped.ReadASN1(&m.content, der.OCTET_STRING) || !wrapped.Empty() {
			return malformed("eContent")
		}
		m.hasContent = true
	}
	var certificates, crls, signers cryptobyte.String
	var has bool
	if !body.ReadOptionalASN1(&certificates, &has, explicit0) {
		return malformed("certificates")
	}
	for !certificates.Empty() {
		var certificate cryptobyte.String
		if len(m.certificates) == maxParts || !certificates.ReadASN1Element(&certificate, der.SEQUENCE) {
			return malformed("certificates")
		}
		m.certificates = append(m.certificates, certificate)
	}
	if !body.ReadOptionalASN1(&crls, &has, explicit0+1) || !body.ReadASN1(&signers, der.SET) || !body.Empty() {
		return malformed("signerInfos")
	}
	if signers.Empty() {
		return nil, fail(ErrMissing, "SignedData: no signer")
	}
	if !readSigner(&signers, &m.signer) {
		return malformed("SignerInfo")
	}
	if !signers.Empty() {
		return nil, fail(ErrUnsupported, "SignedData: several signers")
	}
	return &m, nil
}

func readSigner(s *cryptobyte.String, signer *signerInfo) bool {
	var body, sid, signature, unsigned cryptobyte.String
	var version int
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Integer(&version) || version != 1 ||
		!body.ReadASN1(&sid, der.SEQUENCE) || !sid.ReadASN1Element(&signer.issuer, der.SEQUENCE) ||
		!sid.ReadASN1Element(&signer.serial, der.INTEGER) || !sid.Empty() ||
		!readAlgorithm(&body, &signer.digest) {
		return false
	}
	if body.PeekASN1Tag(explicit0) {
		var attributes cryptobyte.String
		if !body.ReadASN1Element(&attributes, explicit0) {
			return false
		}
		signer.attributes = bytes.Clone(attributes)
		signer.attributes[0] = byte(der.SET)
	}
	var has bool
	if !readAlgorithm(&body, &signer.algorithm) || !body.ReadASN1(&signature, der.OCTET_STRING) ||
		!body.ReadOptionalASN1(&unsigned, &has, explicit0+1) || !body.Empty() {
		return false
	}
	signer.signature = signature
	return !has || eachAttribute(unsigned, func(asn1.ObjectIdentifier, cryptobyte.String) bool { return true })
}

// listsDigest says whether the algorithm stands in digestAlgorithms.
func (m *signedData) listsDigest(oid asn1.ObjectIdentifier) bool {
	for _, a := range m.digests {
		if a.OID.Equal(oid) {
			return true
		}
	}
	return false
}

// certificateOf finds the one certificate that the signer names, comparing the issuer's DER.
func (m *signedData) certificateOf(signer signerInfo) (*Certificate, error) {
	var found []byte
	for _, raw := range m.certificates {
		o, err := readOutline(raw)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(o.issuer, signer.issuer) || !bytes.Equal(o.serial, signer.serial) {
			continue
		}
		if found != nil {
			return nil, fail(ErrMalformed, "SignedData: the signer's certificate twice")
		}
		found = raw
	}
	if found == nil {
		return nil, fail(ErrMissing, "SignedData: the signer's certificate")
	}
	if len(found) > MaxCertificate {
		return nil, fail(ErrTooLarge, "certificate")
	}
	certificate, err := x509.ParseCertificate(found) // DER, as the whole message is
	if err != nil {
		return nil, because(ErrMalformed, "certificate", err)
	}
	return &Certificate{certificate}, nil
}

// eachAttribute walks a SET OF Attribute, whose types must differ; it stops where f does.
func eachAttribute(s cryptobyte.String, f func(oid asn1.ObjectIdentifier, values cryptobyte.String) bool) bool {
	seen := make([]asn1.ObjectIdentifier, 0, 8)
	for !s.Empty() {
		var attribute, values cryptobyte.String
		var oid asn1.ObjectIdentifier
		if len(seen) == maxParts || !s.ReadASN1(&attribute, der.SEQUENCE) ||
			!readOID(&attribute, &oid) || !attribute.ReadASN1(&values, der.SET) || !attribute.Empty() {
			return false
		}
		for _, other := range seen {
			if oid.Equal(other) {
				return false
			}
		}
		seen = append(seen, oid)
		if !f(oid, values) {
			return false
		}
	}
	return true
}

type attributes struct {
	contentType   asn1.ObjectIdentifier
	messageDigest cryptobyte.String
	signingTime   time.Time
}

// readSignedAttributes reads a SET OF Attribute; each of ours has exactly one value.
func readSignedAttributes(set []byte) (*attributes, error) {
	s := cryptobyte.String(set)
	var body cryptobyte.String
	var a attributes
	ok := s.ReadASN1(&body, der.SET) && eachAttribute(body, func(oid asn1.ObjectIdentifier, values cryptobyte.String) bool {
		switch {
		case oid.Equal(oidContentType):
			return readOID(&values, &a.contentType) && values.Empty()
		case oid.Equal(oidMessageDigest):
			return values.ReadASN1(&a.messageDigest, der.OCTET_STRING) && values.Empty()
		case oid.Equal(oidSigningTime):
			if values.PeekASN1Tag(der.UTCTime) {
				return values.ReadASN1UTCTime(&a.signingTime) && values.Empty()
			}
			return values.ReadASN1GeneralizedTime(&a.signingTime) && values.Empty()
		}
		return true
	})
	if !ok || a.contentType == nil || a.messageDigest == nil {
		return nil, fail(ErrMalformed, "signed attributes")
	}
	return &a, nil
}

// digestOf is the hash of a digest algorithm, whose parameters may be absent or NULL.
func digestOf(a algorithm) (crypto.Hash, bool) {
	hash, ok := hashOf(a)
	if _, strong := suites[hash]; !ok || !strong {
		return 0, false
	}
	return hash, true
}

// schemeOf reads the signature algorithm, which must use the hash of the digest algorithm.
func schemeOf(a algorithm, hash crypto.Hash) (scheme SignatureScheme, salt int, err error) {
	switch {
	case (a.OID.Equal(oidRSA) || a.OID.Equal(suites[hash].withRSA)) && a.plain():
		return PKCS1v15, 0, nil
	case a.OID.Equal(oidRSAPSS):
		if salt, ok := readPSS(a.Parameters, hash); ok {
			return PSS, salt, nil
		}
	}
	return "", 0, fail(ErrUnsupported, "SignerInfo: signature algorithm")
}

// readPSS reads RSASSA-PSS-params (RFC 4055 §3.1). The defaults are SHA-1 and a salt of 20, which are
// never enough: hash, mask and salt must be stated.
func readPSS(parameters cryptobyte.String, hash crypto.Hash) (salt int, ok bool) {
	var body, field, mask cryptobyte.String
	var a, m, inner algorithm
	if !parameters.ReadASN1(&body, der.SEQUENCE) ||
		!body.ReadASN1(&field, explicit0) || !readAlgorithm(&field, &a) || !field.Empty() ||
		!body.ReadASN1(&mask, explicit0+1) || !readAlgorithm(&mask, &m) || !mask.Empty() ||
		!m.OID.Equal(oidMGF1) || !readAlgorithm(&m.Parameters, &inner) ||
		!body.ReadASN1(&field, explicit0+2) || !field.ReadASN1Integer(&salt) || !field.Empty() {
		return 0, false
	}
	if !body.Empty() { // the default trailer, spelled out
		var trailer int
		if !body.ReadASN1(&field, explicit0+3) || !field.ReadASN1Integer(&trailer) || !field.Empty() || trailer != 1 || !body.Empty() {
			return 0, false
		}
	}
	one, known := digestOf(a)
	two, same := digestOf(inner)
	return salt, known && same && one == hash && two == hash && salt >= hash.Size() && salt <= maxRSA/8
}

// mayVerify says whether the certificate's key may verify a signature.
func mayVerify(certificate *x509.Certificate, nonRepudiation bool) error {
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSA || key.N.BitLen() > maxRSA {
		return fail(ErrUnsupported, "certificate: key")
	}
	if certificate.IsCA || certificate.KeyUsage&x509.KeyUsageDigitalSignature == 0 ||
		nonRepudiation && certificate.KeyUsage&x509.KeyUsageContentCommitment == 0 {
		return fail(ErrUsage, "certificate")
	}
	return nil
}

// verifyRSA verifies one signature by a certificate that mayVerify has passed.
func verifyRSA(certificate *x509.Certificate, scheme SignatureScheme, hash crypto.Hash, salt int, signed, signature []byte) error {
	key := certificate.PublicKey.(*rsa.PublicKey)
	sum := digest(hash, signed)
	var err error
	if scheme == PSS {
		err = rsa.VerifyPSS(key, hash, sum, signature, &rsa.PSSOptions{SaltLength: salt})
	} else {
		err = rsa.VerifyPKCS1v15(key, hash, sum, signature)
	}
	if err != nil {
		return because(ErrSignature, "RSA", err)
	}
	return nil
}
