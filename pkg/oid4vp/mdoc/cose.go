package mdoc

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512 of crypto.Hash
	"crypto/x509"
	"math/big"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/anyid/anyid/pkg/oid4vp"
)

// COSE algorithms (RFC 9053, RFC 9864).
const (
	ES256  = -7  // ECDSA with SHA-256, here on P-256 only
	ESP256 = -9  // the same, fully specified
	ES384  = -35 // ECDSA with SHA-384, here on P-384 only
	ESP384 = -51 // the same, fully specified

	hmac256 = 5 // HMAC 256/256
)

// maxChain is how many certificates an x5chain may have.
const maxChain = 4

// scheme is what an algorithm stands for.
type scheme struct {
	curve elliptic.Curve
	hash  crypto.Hash
}

// schemeOf knows the algorithms that are taken.
func schemeOf(algorithm cose.Algorithm, p384 bool) (scheme, bool) {
	switch algorithm {
	case ES256, ESP256:
		return scheme{elliptic.P256(), crypto.SHA256}, true
	case ES384, ESP384:
		return scheme{elliptic.P384(), crypto.SHA384}, p384
	}
	return scheme{}, false
}

// verifier is a cose.Verifier for the fully specified algorithms too, which binds the algorithm to its curve.
type verifier struct {
	algorithm cose.Algorithm
	hash      crypto.Hash
	key       *ecdsa.PublicKey
}

var _ cose.Verifier = (*verifier)(nil)

func (v *verifier) Algorithm() cose.Algorithm { return v.algorithm }

func (v *verifier) Verify(content, signature []byte) error {
	size := (v.key.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return cose.ErrVerification
	}
	hash := v.hash.New()
	hash.Write(content)
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	if !ecdsa.Verify(v.key, hash.Sum(nil), r, s) {
		return cose.ErrVerification
	}
	return nil
}

// readSign1 reads an untagged COSE_Sign1 (RFC 9052 §4.2), whose protected header has the algorithm, and
// nothing that must be understood.
func readSign1(raw []byte, what string) (*cose.UntaggedSign1Message, error) {
	message := new(cose.UntaggedSign1Message)
	if err := message.UnmarshalCBOR(raw); err != nil {
		return nil, malformed(what)
	}
	headers := message.Headers
	for label := range headers.Protected {
		if _, both := headers.Unprotected[label]; both {
			return nil, malformed(what + ": a header in both places")
		}
	}
	if _, critical := headers.Protected[cose.HeaderLabelCritical]; critical {
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": crit")
	}
	return message, nil
}

// verifySign1 verifies a signature with a key, which must fit the message's algorithm. The code is for a signature
// that is not the key's.
func verifySign1(message *cose.UntaggedSign1Message, key *ecdsa.PublicKey, p384 bool, code oid4vp.Code, what string) error {
	algorithm, err := message.Headers.Protected.Algorithm()
	if err != nil {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what+": alg")
	}
	scheme, ok := schemeOf(algorithm, p384)
	if !ok || key.Curve != scheme.curve {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what+": alg")
	}
	if err := message.Verify(nil, &verifier{algorithm, scheme.hash, key}); err != nil {
		return oid4vp.Because(code, what, err)
	}
	return nil
}

// chainOf reads the x5chain (RFC 9360 §2) from the unprotected header: one certificate, or several of
// which the first has signed.
func chainOf(message *cose.UntaggedSign1Message) ([][]byte, error) {
	switch chain := message.Headers.Unprotected[cose.HeaderLabelX5Chain].(type) {
	case nil:
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "issuerAuth: x5chain")
	case []byte:
		return [][]byte{chain}, nil
	case []any:
		if len(chain) == 0 {
			return nil, malformed("issuerAuth: x5chain")
		}
		if len(chain) > maxChain {
			return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "issuerAuth: x5chain")
		}
		certificates := make([][]byte, len(chain))
		for i, c := range chain {
			var ok bool
			if certificates[i], ok = c.([]byte); !ok {
				return nil, malformed("issuerAuth: x5chain")
			}
		}
		return certificates, nil
	}
	return nil, malformed("issuerAuth: x5chain")
}

// signerOf finds the document signer and its root. Since no certification authority stands between the two, whatever
// else is in the chain must be that root.
func signerOf(message *cose.UntaggedSign1Message, want *Want) ([]*x509.Certificate, error) {
	chain, err := chainOf(message)
	if err != nil {
		return nil, err
	}
	signer, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, malformed("document signer certificate")
	}
	root, err := want.Anchors.verify(signer, want.Now)
	if err != nil {
		return nil, err
	}
	for _, other := range chain[1:] {
		if !bytes.Equal(other, root.Raw) {
			return nil, oid4vp.Fail(oid4vp.ErrUntrusted, "issuerAuth: x5chain: another certificate")
		}
	}
	return []*x509.Certificate{signer, root}, nil
}

// readKey reads the device's key, a COSE_Key of type EC2 (RFC 9053 §7.1.1). It may be limited to an algorithm or to
// operations, which must then be the one for which it is used here.
func readKey(raw []byte, want *Want) (*deviceKey, error) {
	const what = "deviceKey"
	var keyType, alg, keyOps, crv, rawX, rawY, d []byte
	err := readOpen(raw, what, numbered(1, &keyType), numbered(3, &alg), numbered(4, &keyOps),
		numbered(cose.KeyLabelEC2Curve, &crv), numbered(cose.KeyLabelEC2X, &rawX), numbered(cose.KeyLabelEC2Y, &rawY), numbered(cose.KeyLabelEC2D, &d))
	if err != nil {
		return nil, err
	}
	if d != nil {
		return nil, malformed(what + ": private")
	}
	kind, ok1 := unsigned(keyType)
	curveID, ok2 := unsigned(crv)
	x, ok3 := byteString(rawX)
	if !ok1 || !ok2 || !ok3 {
		return nil, malformed(what)
	}
	var curve elliptic.Curve
	switch {
	case kind == uint64(cose.KeyTypeEC2) && curveID == uint64(cose.CurveP256):
		curve = elliptic.P256()
	case kind == uint64(cose.KeyTypeEC2) && curveID == uint64(cose.CurveP384) && want.AllowP384:
		curve = elliptic.P384()
	default:
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": curve")
	}
	y, ok := byteString(rawY)
	if !ok { // a boolean: a compressed point
		return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": y")
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) != size || len(y) != size {
		return nil, malformed(what + ": point")
	}
	point, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, malformed(what + ": point")
	}
	key := &deviceKey{PublicKey: point}
	if alg != nil {
		algorithm, name, ok := readLabel(alg)
		if !ok || name != nil {
			return nil, oid4vp.Fail(oid4vp.ErrUnsupported, what+": alg")
		}
		key.algorithm = algorithm.number
	}
	if keyOps != nil {
		items, err := readArray(keyOps, what+": key_ops")
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			operation, ok := unsigned(item)
			if !ok {
				return nil, malformed(what + ": key_ops")
			}
			key.operations = append(key.operations, cose.KeyOp(operation))
		}
	}
	return key, nil
}

type deviceKey struct {
	*ecdsa.PublicKey
	algorithm  int64        // zero: not limited
	operations []cose.KeyOp // empty: not limited
}

// may says whether the key may be used with an algorithm for one of the operations.
func (k *deviceKey) may(algorithm int64, operations ...cose.KeyOp) bool {
	return (k.algorithm == 0 || k.algorithm == algorithm) && (len(k.operations) == 0 ||
		slices.ContainsFunc(operations, func(o cose.KeyOp) bool { return slices.Contains(k.operations, o) }))
}

// verifyMAC verifies a COSE_Mac0 without payload (RFC 9052 §6.2) whose key comes out of the verifier's and the
// device's (ISO/IEC 18013-5 §9.1.3.5).
func verifyMAC(raw []byte, device *deviceKey, reader *ecdh.PrivateKey, transcript SessionTranscript, payload []byte) error {
	const what = "deviceMac"
	if reader == nil {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what)
	}
	parts, err := readArray(raw, what)
	if err != nil {
		return err
	}
	if len(parts) != 4 {
		return malformed(what)
	}
	protected, ok := byteString(parts[0])
	tag, isTag := byteString(parts[3])
	if !ok || !isTag || len(parts[2]) != 1 || parts[2][0] != 0xf6 { // null: the payload is detached
		return malformed(what)
	}
	if err := wellFormed(protected, what+": protected header"); err != nil {
		return err
	}
	var alg []byte
	if err := readClosed(protected, what+": protected header", numbered(cose.HeaderLabelAlgorithm, &alg)); err != nil {
		return err
	}
	if err := readClosed(parts[1], what+": unprotected header"); err != nil {
		return err
	}
	if algorithm, ok := unsigned(alg); !ok || algorithm != hmac256 {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what+": alg")
	}
	if !device.may(hmac256, cose.KeyOpDeriveKey, cose.KeyOpDeriveBits) {
		return oid4vp.Fail(oid4vp.ErrUnsupported, "deviceKey: not for a MAC")
	}
	public, err := device.ECDH()
	if err != nil {
		return oid4vp.Fail(oid4vp.ErrUnsupported, what)
	}
	secret, err := reader.ECDH(public)
	if err != nil { // another curve
		return oid4vp.Fail(oid4vp.ErrUnsupported, what+": curve")
	}
	salt := sha256.Sum256(marshal(cbor.Tag{Number: tagEmbedded, Content: []byte(transcript)}))
	key, err := hkdf.Key(sha256.New, secret, salt[:], "EMacKey", sha256.Size)
	if err != nil {
		return oid4vp.Because(oid4vp.ErrUnsupported, what, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(marshal([]any{"MAC0", protected, []byte{}, payload}))
	if !hmac.Equal(mac.Sum(nil), tag) {
		return oid4vp.Fail(oid4vp.ErrKeyBinding, what)
	}
	return nil
}
