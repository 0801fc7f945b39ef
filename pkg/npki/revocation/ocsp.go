package revocation

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // the CertID of RFC 6960, where it is only a name
	_ "crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"time"

	"github.com/anyid/anyid/pkg/npki"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// maxResponse is how long an OCSP response may be, in bytes; real ones have about 2,000.
const maxResponse = 64 << 10

// A Question is what an OCSP responder is asked about one certificate.
type Question struct {
	Certificate *x509.Certificate
	Issuer      *x509.Certificate
	Root        *x509.Certificate // under which the responder must be, as the issuer is
	Hash        crypto.Hash       // of the CertID: SHA1 or SHA256; 0 is SHA1
	Nonce       []byte            // 1 to 32 bytes (RFC 9654), or nil to ask without one
}

// An Answer is an authentic OCSP answer to a Question.
type Answer struct {
	ThisUpdate time.Time
	NextUpdate time.Time         // zero: the answer holds for the moment in which it was made
	Responder  *x509.Certificate // who signed it
	Raw        []byte            // DER

	status error // nil is good
	issuer *x509.Certificate
	url    string
}

// Status is nil for a certificate that is good, or a *StatusError.
func (a *Answer) Status() error { return a.status }

// fresh says whether an answer may serve again.
func (a *Answer) fresh(now time.Time) bool { return !a.NextUpdate.IsZero() && !now.After(a.NextUpdate) }

func (a *Answer) evidence(now time.Time) *Evidence {
	until := a.NextUpdate
	if until.IsZero() {
		until = a.ThisUpdate
	}
	overdue := now.Sub(until)
	if overdue <= skew {
		overdue = 0
	}
	return &Evidence{
		Method: OCSP, URL: a.url, ThisUpdate: a.ThisUpdate, NextUpdate: a.NextUpdate, CheckedAt: now,
		Overdue: overdue, Answer: a.Raw,
	}
}

var (
	oidNonce    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSHA256RS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
)

var hashes = map[crypto.Hash]asn1.ObjectIdentifier{
	crypto.SHA1:   {1, 3, 14, 3, 2, 26},
	crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
}

func (q *Question) hash() crypto.Hash {
	if q.Hash == 0 {
		return crypto.SHA1
	}
	return q.Hash
}

// id is the CertID: names of the hash, and the three things that it identifies the certificate by.
func (q *Question) id() (oid asn1.ObjectIdentifier, name, key []byte, err error) {
	oid, ok := hashes[q.hash()]
	if !ok {
		return nil, nil, nil, fail(npki.ErrInput, "OCSP: hash of the CertID")
	}
	s := cryptobyte.String(q.Issuer.RawSubjectPublicKeyInfo)
	var body, bits cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.SkipASN1(der.SEQUENCE) || !body.ReadASN1(&bits, der.BIT_STRING) || !bits.Skip(1) {
		return nil, nil, nil, fail(npki.ErrInput, "OCSP: issuer")
	}
	return oid, sum(q.hash(), q.Issuer.RawSubject), sum(q.hash(), bits), nil
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// Request gives the request in DER (RFC 6960 §4.1). With a signer, an RSA key, and its certificate it is
// signed with SHA-256, and names the certificate's subject as the requestor. The code of its errors is
// npki.ErrInput.
func (q *Question) Request(signer crypto.Signer, certificate *x509.Certificate) ([]byte, error) {
	oid, name, key, err := q.id()
	if err != nil {
		return nil, err
	}
	if len(q.Nonce) > 32 || (signer == nil) != (certificate == nil) {
		return nil, fail(npki.ErrInput, "OCSP request")
	}
	var t cryptobyte.Builder
	t.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		if certificate != nil {
			b.AddASN1(constructed(1), func(b *cryptobyte.Builder) {
				b.AddASN1(constructed(4), func(b *cryptobyte.Builder) { b.AddBytes(certificate.RawSubject) })
			})
		}
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oid)
						b.AddASN1NULL()
					})
					b.AddASN1OctetString(name)
					b.AddASN1OctetString(key)
					b.AddASN1BigInt(q.Certificate.SerialNumber)
				})
			})
		})
		if q.Nonce != nil {
			b.AddASN1(constructed(2), func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1(der.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(q.Nonce) })
					})
				})
			})
		}
	})
	tbs, err := t.Bytes()
	if err != nil {
		return nil, &npki.Error{Code: npki.ErrInput, What: "OCSP request", Err: err}
	}
	var signature []byte
	if signer != nil {
		if _, ok := signer.Public().(*rsa.PublicKey); !ok {
			return nil, fail(npki.ErrInput, "OCSP request: the key is not RSA")
		}
		if signature, err = signer.Sign(rand.Reader, sum(crypto.SHA256, tbs), crypto.SHA256); err != nil {
			return nil, &npki.Error{Code: npki.ErrInput, What: "OCSP request", Err: err}
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		if signature == nil {
			return
		}
		b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidSHA256RS)
					b.AddASN1NULL()
				})
				b.AddASN1BitString(signature)
				b.AddASN1(constructed(0), func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(certificate.Raw) })
				})
			})
		})
	})
	return b.BytesOrPanic(), nil
}

// Verify reads a response in DER and verifies it by the Korean profile (KCAC.TS.OCSP), in which responders
// are certified by the root, not by the CA: signed by the certificate in it, which the question's root has
// issued for OCSP, under the infrastructure's policy, to the issuer's own organization; about exactly the
// certificate in question, and about no other; now neither before thisUpdate nor after nextUpdate, give or
// take five minutes; and with the question's nonce, if it has one. An answer without nextUpdate is only taken
// with a nonce.
//
// The codes of its errors are npki.ErrTooLarge, npki.ErrMalformed (also for a signature that does not fit),
// npki.ErrUnsupported, npki.ErrUntrusted, npki.ErrMismatch, npki.ErrNonce and, for a refusal, an unknown
// certificate or an answer out of date, npki.ErrStatus. A certificate that is revoked is no error but the answer's Status.
func (q *Question) Verify(raw []byte, now time.Time) (*Answer, error) {
	if len(raw) > maxResponse {
		return nil, fail(npki.ErrTooLarge, "OCSP response")
	}
	parts, err := readResponse(raw)
	if err != nil {
		return nil, err
	}
	// Without an issuer this verifies the signature by the certificate in the response, if there is one.
	response, err := ocsp.ParseResponse(raw, nil)
	if err != nil {
		var refused ocsp.ResponseError
		if errors.As(err, &refused) {
			return nil, fail(npki.ErrStatus, "OCSP: "+refused.Status.String())
		}
		return nil, &npki.Error{Code: npki.ErrMalformed, What: "OCSP response", Err: err}
	}
	if response.Certificate == nil {
		return nil, fail(npki.ErrUntrusted, "OCSP response: no responder's certificate")
	}
	if err := q.authorised(response, now); err != nil {
		return nil, err
	}

	oid, name, key, err := q.id()
	if err != nil {
		return nil, err
	}
	if !parts.hash.Equal(oid) || !bytes.Equal(parts.name, name) || !bytes.Equal(parts.key, key) ||
		parts.serial.Cmp(q.Certificate.SerialNumber) != 0 {
		return nil, fail(npki.ErrMismatch, "OCSP response: of another certificate")
	}
	if q.Nonce != nil {
		wrapped := parts.nonce
		var nonce cryptobyte.String
		if !wrapped.ReadASN1(&nonce, der.OCTET_STRING) || !wrapped.Empty() || subtle.ConstantTimeCompare(nonce, q.Nonce) != 1 {
			return nil, fail(npki.ErrNonce, "OCSP response")
		}
	}
	switch {
	case response.ThisUpdate.After(now.Add(skew)), response.ProducedAt.After(now.Add(skew)):
		return nil, fail(npki.ErrStatus, "OCSP response: from the future")
	case response.NextUpdate.IsZero() && (q.Nonce == nil || now.After(response.ThisUpdate.Add(skew))):
		return nil, fail(npki.ErrStatus, "OCSP response: no nextUpdate")
	case !response.NextUpdate.IsZero() && now.After(response.NextUpdate.Add(skew)):
		return nil, fail(npki.ErrStatus, "OCSP response: out of date")
	}

	answer := &Answer{
		ThisUpdate: response.ThisUpdate, NextUpdate: response.NextUpdate, Responder: response.Certificate,
		Raw: raw, issuer: q.Issuer,
	}
	switch response.Status {
	case ocsp.Good:
	case ocsp.Revoked:
		code := npki.ErrRevoked
		if response.RevocationReason == certificateHold {
			code = npki.ErrHeld
		}
		answer.status = &StatusError{Code: code, At: response.RevokedAt, Reason: response.RevocationReason}
	default:
		return nil, fail(npki.ErrStatus, "OCSP: certificate unknown")
	}
	return answer, nil
}

var infrastructure = mustOID(npki.Infrastructure)

func mustOID(dotted string) x509.OID {
	oid, err := x509.ParseOID(dotted)
	if err != nil {
		panic(err)
	}
	return oid
}

// authorised says whether the certificate in a response may answer for the issuer.
func (q *Question) authorised(response *ocsp.Response, now time.Time) error {
	untrusted := func(what string) error { return fail(npki.ErrUntrusted, "OCSP responder: "+what) }
	responder := response.Certificate
	for _, algorithm := range []x509.SignatureAlgorithm{response.SignatureAlgorithm, responder.SignatureAlgorithm} {
		switch algorithm {
		case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
		default:
			return fail(npki.ErrUnsupported, "OCSP responder: signature algorithm")
		}
	}
	key, ok := responder.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < 2048 || key.N.BitLen() > 4096 {
		return fail(npki.ErrUnsupported, "OCSP responder: key")
	}
	if response.RawResponderName != nil && !bytes.Equal(response.RawResponderName, responder.RawSubject) {
		return untrusted("another name")
	}
	if response.RawResponderName == nil {
		s := cryptobyte.String(responder.RawSubjectPublicKeyInfo)
		var body, bits cryptobyte.String
		if !s.ReadASN1(&body, der.SEQUENCE) || !body.SkipASN1(der.SEQUENCE) || !body.ReadASN1(&bits, der.BIT_STRING) ||
			!bits.Skip(1) || !bytes.Equal(sum(crypto.SHA1, bits), response.ResponderKeyHash) {
			return untrusted("another key")
		}
	}
	switch {
	case responder.IsCA, responder.KeyUsage&x509.KeyUsageDigitalSignature == 0,
		!slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning): // crypto/x509 takes one without any
		return untrusted("not a certificate for OCSP")
	case !slices.ContainsFunc(responder.Policies, infrastructure.Equal):
		return untrusted("policy")
	case organization(q.Issuer) == "" || organization(responder) != organization(q.Issuer):
		return untrusted("of another organization")
	}
	roots := x509.NewCertPool()
	roots.AddCert(q.Root)
	if _, err := responder.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now,
		KeyUsages:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		CertificatePolicies: []x509.OID{infrastructure},
	}); err != nil {
		return &npki.Error{Code: npki.ErrUntrusted, What: "OCSP responder", Err: err}
	}
	return nil
}

// parts is what x/crypto/ocsp does not tell of a response.
type parts struct {
	hash      asn1.ObjectIdentifier
	name, key cryptobyte.String
	serial    *big.Int
	nonce     cryptobyte.String // value of the extension
}

// readResponse reads an OCSP response strictly: one answer, no byte too many, no critical extension. A mere
// refusal gives empty parts.
func readResponse(raw []byte) (*parts, error) {
	malformed := fail(npki.ErrMalformed, "OCSP response")
	s := cryptobyte.String(raw)
	var body, wrapped, bytesOf, octets, basic, data, list, single, id, algorithm, signature cryptobyte.String
	var status int
	var kind asn1.ObjectIdentifier
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadASN1Enum(&status) {
		return nil, malformed
	}
	if status != 0 {
		if !body.Empty() {
			return nil, malformed
		}
		return &parts{}, nil
	}
	if !body.ReadASN1(&wrapped, constructed(0)) || !body.Empty() ||
		!wrapped.ReadASN1(&bytesOf, der.SEQUENCE) || !wrapped.Empty() ||
		!bytesOf.ReadASN1ObjectIdentifier(&kind) || !bytesOf.ReadASN1(&octets, der.OCTET_STRING) || !bytesOf.Empty() {
		return nil, malformed
	}
	if !kind.Equal(oidBasic) {
		return nil, fail(npki.ErrUnsupported, "OCSP response: type")
	}
	if !octets.ReadASN1(&basic, der.SEQUENCE) || !octets.Empty() ||
		!basic.ReadASN1(&data, der.SEQUENCE) || !basic.ReadASN1(&algorithm, der.SEQUENCE) ||
		!basic.ReadASN1(&signature, der.BIT_STRING) || !basic.SkipOptionalASN1(constructed(0)) || !basic.Empty() {
		return nil, malformed
	}
	var responder cryptobyte.String
	var tag der.Tag
	var has bool
	var extensions cryptobyte.String
	if !data.SkipOptionalASN1(constructed(0)) || !data.ReadAnyASN1(&responder, &tag) ||
		!data.SkipASN1(der.GeneralizedTime) || !data.ReadASN1(&list, der.SEQUENCE) ||
		!data.ReadOptionalASN1(&extensions, &has, constructed(1)) || !data.Empty() ||
		!list.ReadASN1(&single, der.SEQUENCE) {
		return nil, malformed
	}
	if !list.Empty() {
		return nil, fail(npki.ErrUnsupported, "OCSP response: several answers")
	}
	out := &parts{serial: new(big.Int)}
	if !single.ReadASN1(&id, der.SEQUENCE) || !id.ReadASN1(&algorithm, der.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&out.hash) ||
		!id.ReadASN1(&out.name, der.OCTET_STRING) || !id.ReadASN1(&out.key, der.OCTET_STRING) ||
		!id.ReadASN1Integer(out.serial) || !id.Empty() {
		return nil, malformed
	}
	if has {
		var items cryptobyte.String
		if !extensions.ReadASN1(&items, der.SEQUENCE) || !extensions.Empty() {
			return nil, malformed
		}
		for !items.Empty() {
			var extension, value cryptobyte.String
			var oid asn1.ObjectIdentifier
			var critical bool
			if !items.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
				!extension.ReadOptionalASN1Boolean(&critical, der.BOOLEAN, false) ||
				!extension.ReadASN1(&value, der.OCTET_STRING) || !extension.Empty() {
				return nil, malformed
			}
			switch {
			case oid.Equal(oidNonce) && out.nonce != nil:
				return nil, malformed
			case oid.Equal(oidNonce):
				out.nonce = value
			case critical:
				return nil, fail(npki.ErrUnsupported, "OCSP response: critical extension")
			}
		}
	}
	return out, nil
}
