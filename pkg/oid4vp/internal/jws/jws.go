// Package jws reads and writes the signed tokens of OpenID4VP, SD-JWT and status lists: compact JWS (RFC 7515)
// with a type, an algorithm from a list, and in part a certificate chain in x5c. The signatures are go-jose's.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// maxChain is how many certificates an x5c may have.
const maxChain = 6

// A Token is a compact JWS whose payload is a JSON object. Until Verify has said so, nobody has signed it.
type Token struct {
	Header  map[string]any
	Payload map[string]any

	what      string // how errors call it
	protected string // the header as it stood there, in base64url
	signature jose.Signature
	content   []byte // the payload's JSON
}

// Parse reads a compact JWS. The algorithm must be one of the list, of which nil means ES256; crit is refused, because nothing that it could
// name is understood here. What is how errors call the token. The codes of its errors are oid4vp.ErrMalformed,
// ErrTooLarge, ErrUnsupported, and ErrInput for a list that is no good.
func Parse(what, text string, names []string) (*Token, error) {
	algorithms, err := algorithmsOf(names)
	if err != nil {
		return nil, err
	}
	encoded, rest, _ := strings.Cut(text, ".")
	body, last, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(last, ".") {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, what+": not a compact JWS")
	}
	protected, err := strict.Base64(encoded)
	if err != nil {
		return nil, oid4vp.Because(oid4vp.ErrMalformed, what+": header", err)
	}
	header, err := strict.Object(protected)
	if err != nil {
		return nil, oid4vp.Because(CodeOf(err), what+": header", err)
	}
	algorithm, _ := header["alg"].(string)
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(algorithm)) {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": alg")
	}
	if _, ok := header["crit"]; ok {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": crit")
	}
	if chain, ok := header["x5c"].([]any); ok && len(chain) > maxChain {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, what+": x5c")
	}
	content, err := strict.Base64(body)
	if err != nil {
		return nil, oid4vp.Because(oid4vp.ErrMalformed, what+": payload", err)
	}
	value, err := strict.Base64(last)
	if err != nil {
		return nil, oid4vp.Because(oid4vp.ErrMalformed, what+": signature", err)
	}
	signature, known := seen.get(encoded)
	if !known { // a JWS of the header alone, as all of the rest is known to be base64url
		parsed, err := jose.ParseSignedCompact(encoded+"..", algorithms)
		if err != nil {
			return nil, oid4vp.Fail(oid4vp.ErrMalformed, what+": header") // the cause may quote what was sent
		}
		signature = parsed.Signatures[0]
	}
	signature.Signature = value
	payload, err := strict.Object(content)
	if err != nil {
		return nil, oid4vp.Because(CodeOf(err), what+": payload", err)
	}
	return &Token{Header: header, Payload: payload, what: what, protected: encoded, signature: signature, content: content}, nil
}

// algorithmsOf takes signatures that a public key verifies, and nothing else.
func algorithmsOf(names []string) ([]jose.SignatureAlgorithm, error) {
	if names == nil {
		return []jose.SignatureAlgorithm{jose.ES256}, nil
	}
	out := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		out[i] = jose.SignatureAlgorithm(name)
		switch out[i] {
		case jose.ES256, jose.ES384, jose.EdDSA:
		default:
			return nil, oid4vp.Fail(oid4vp.ErrInput, "algorithms: not ES256, ES384 or EdDSA")
		}
	}
	return out, nil
}

// CodeOf is the code for an error of package strict.
func CodeOf(err error) oid4vp.Code {
	if errors.Is(err, strict.ErrDepth) {
		return oid4vp.ErrTooLarge
	}
	return oid4vp.ErrMalformed
}

// CheckType says whether the header has one of these types, as they stand there.
func (t *Token) CheckType(types ...string) error {
	got, _ := t.Header["typ"].(string)
	if !slices.Contains(types, got) {
		return oid4vp.Fail(oid4vp.ErrMalformed, t.what+": typ")
	}
	return nil
}

// Verify verifies the signature with a key that fits the algorithm. Its code is oid4vp.ErrSignature, or
// ErrUnsupported for another kind of key.
func (t *Token) Verify(key crypto.PublicKey) error {
	algorithm, _ := t.Header["alg"].(string)
	if fits, ok := AlgorithmOf(key); !ok || string(fits) != algorithm {
		return oid4vp.Fail(oid4vp.ErrUnsupported, t.what+": key of another algorithm")
	}
	signed := jose.JSONWebSignature{Signatures: []jose.Signature{t.signature}}
	if err := signed.DetachedVerify(t.content, key); err != nil {
		return oid4vp.Fail(oid4vp.ErrSignature, t.what)
	}
	seen.put(t.protected, t.signature)
	return nil
}

// Chain verifies the x5c header (RFC 7515 §4.1.6): a path from its first certificate over the others to one of
// the roots, valid now. The first must be allowed to sign and must not be self-signed (HAIP §6.1.1). The
// path ends with the root; its certificates may be those of other tokens too. The codes of its errors are
// oid4vp.ErrMissing, ErrUntrusted, ErrExpired, ErrNotYetValid, and ErrInput without roots.
func (t *Token) Chain(roots *x509.CertPool, now time.Time) ([]*x509.Certificate, error) {
	if roots == nil { // crypto/x509 would take those of the operating system
		return nil, oid4vp.Fail(oid4vp.ErrInput, t.what+": no trust anchors")
	}
	if _, ok := t.Header["x5c"]; !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMissing, t.what+": x5c")
	}
	chains, err := t.signature.Protected.Certificates(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, oid4vp.Because(chainCode(err, now), t.what+": x5c", reason(err))
	}
	chain := chains[0]
	if len(chain) < 2 {
		return nil, oid4vp.Fail(oid4vp.ErrUntrusted, t.what+": x5c: the certificate is itself an anchor")
	}
	if usage := chain[0].KeyUsage; usage != 0 && usage&x509.KeyUsageDigitalSignature == 0 {
		return nil, oid4vp.Fail(oid4vp.ErrUntrusted, t.what+": x5c: key usage")
	}
	return chain, nil
}

func chainCode(err error, now time.Time) oid4vp.Code {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
			return oid4vp.ErrNotYetValid
		}
		return oid4vp.ErrExpired
	}
	return oid4vp.ErrUntrusted
}

// reason is err without the names in the certificate that those of crypto/x509 may quote.
func reason(err error) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("unknown authority")
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return errors.New("certificate not valid here")
	}
	return errors.New("no valid path")
}

// AlgorithmOf is the one algorithm for a key: ES256, ES384 or EdDSA.
func AlgorithmOf(key crypto.PublicKey) (jose.SignatureAlgorithm, bool) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, true
		case elliptic.P384():
			return jose.ES384, true
		}
	case ed25519.PublicKey:
		return jose.EdDSA, len(key) == ed25519.PublicKeySize
	}
	return "", false
}

// Time reads a NumericDate (RFC 7519 §2); zero and no error if the member is not there. Its code is
// oid4vp.ErrMalformed.
func (t *Token) Time(name string) (time.Time, error) {
	value, ok := t.Payload[name]
	if !ok {
		return time.Time{}, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, oid4vp.Fail(oid4vp.ErrMalformed, t.what+": "+name)
	}
	if seconds, err := strconv.ParseInt(string(number), 10, 64); err == nil && 0 <= seconds && seconds <= maxDate {
		return time.Unix(seconds, 0), nil
	}
	seconds, err := number.Float64()
	if err != nil || !(0 <= seconds && seconds <= maxDate) {
		return time.Time{}, oid4vp.Fail(oid4vp.ErrMalformed, t.what+": "+name)
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), nil
}

// Validity reads nbf and exp and checks them, where they are, with some tolerance both ways. The codes of its errors
// are oid4vp.ErrMalformed, ErrExpired and ErrNotYetValid.
func (t *Token) Validity(now time.Time, skew time.Duration) (from, until time.Time, err error) {
	if from, err = t.Time("nbf"); err != nil {
		return from, until, err
	}
	if until, err = t.Time("exp"); err != nil {
		return from, until, err
	}
	switch {
	case from.After(now.Add(skew)):
		err = oid4vp.Fail(oid4vp.ErrNotYetValid, t.what+": nbf")
	case !until.IsZero() && !now.Add(-skew).Before(until):
		err = oid4vp.Fail(oid4vp.ErrExpired, t.what+": exp")
	}
	return from, until, err
}

// maxDate is the end of the year 9999, in seconds.
const maxDate = 253402300799

// Sign makes a compact JWS with the algorithm of the key. The header gets x5c from the chain unless it has one.
func Sign(header, payload map[string]any, key crypto.Signer, chain []*x509.Certificate) (string, error) {
	if len(chain) > 0 && header["x5c"] == nil {
		header["x5c"] = X5C(chain)
	}
	content, err := json.Marshal(payload)
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "payload", err)
	}
	if key == nil {
		return "", oid4vp.Fail(oid4vp.ErrInput, "key: none")
	}
	algorithm, ok := AlgorithmOf(key.Public())
	if !ok {
		return "", oid4vp.Fail(oid4vp.ErrInput, "key: not P-256, P-384 or Ed25519")
	}
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: cryptosigner.Opaque(key)}, options)
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "key", err)
	}
	signed, err := signer.Sign(content)
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "key", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "signature", err)
	}
	return text, nil
}

// X5C is the header parameter for a chain (RFC 7515 §4.1.6): base64, not base64url.
func X5C(chain []*x509.Certificate) []string {
	out := make([]string, len(chain))
	for i, certificate := range chain {
		out[i] = base64.StdEncoding.EncodeToString(certificate.Raw)
	}
	return out
}
