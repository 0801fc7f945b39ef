package mobileid

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"math/big"
	"slices"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1 "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck,gosec // a checksum of the signature's own format, which gives no security
)

// The curves of MIP's proofs, as the ports name them.
const (
	Secp256r1 = "secp256r1"
	Secp256k1 = "secp256k1"
)

// proofTypes are the proofs that are taken, and the curve that each is made on.
var proofTypes = map[string]string{
	"Secp256r1VerificationKey2018": Secp256r1,
	"Secp256k1VerificationKey2018": Secp256k1,
}

var errSignature = errors.New("mobileid: a signature does not verify")

// ParsePoint returns the public key that a point on the curve is, compressed or not (SEC 1 §2.3.4): an
// *ecdsa.PublicKey or a *secp256k1.PublicKey.
func ParsePoint(curve string, point []byte) (crypto.PublicKey, error) {
	compressed := len(point) == 33 && (point[0] == 2 || point[0] == 3)
	if !compressed && (len(point) != 65 || point[0] != 4) {
		return nil, errors.New("mobileid: not a point")
	}
	switch curve {
	case Secp256r1:
		if compressed {
			x, y := elliptic.UnmarshalCompressed(elliptic.P256(), point)
			if x == nil {
				return nil, errors.New("mobileid: not a point on secp256r1")
			}
			point = make([]byte, 65)
			point[0] = 4
			x.FillBytes(point[1:33])
			y.FillBytes(point[33:])
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, errors.New("mobileid: not a point on secp256r1")
		}
		return key, nil
	case Secp256k1:
		key, err := secp256k1.ParsePubKey(point)
		if err != nil {
			return nil, errors.New("mobileid: not a point on secp256k1")
		}
		return key, nil
	}
	return nil, errors.New("mobileid: no such curve")
}

// signedBytes is what a proof of a document is over, before SHA-256: the document in canonical JSON without its
// proofs. The proof of a presentation (own is set) covers itself too, without the signature: its
// nonce binds it. What the wallet's app adds uncommitted is not signed.
//
// For credentials, this agrees with real ones. For presentations no specification is public.
func signedBytes(document, own object) ([]byte, error) {
	signed := make(object, 0, len(document))
	for _, m := range document {
		switch m.name {
		case "proof":
			continue
		case "proofs", "uncommitted":
			if own != nil {
				continue
			}
		}
		signed = append(signed, m)
	}
	if own != nil {
		unsigned := slices.DeleteFunc(slices.Clone(own), func(m member) bool { return m.name == "signatureValue" })
		signed = append(signed, member{"proof", unsigned})
		slices.SortFunc(signed, byName)
	}
	return appendCanonical(make([]byte, 0, 2048), signed)
}

// verifyProof checks a proof over the signed bytes with the key, whose curve must be the one that the
// proof names.
func verifyProof(proof object, key crypto.PublicKey, signed []byte) error {
	kind, _ := proof.text("type")
	value, _ := proof.text("signatureValue")
	curve := proofTypes[kind]
	signature, err := parseSignature(value, curve)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(signed)
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if curve == Secp256r1 && key.Curve == elliptic.P256() && ecdsa.Verify(key, digest[:], r, s) {
			return nil
		}
	case *secp256k1.PublicKey:
		var r, s secp256k1.ModNScalar
		over := r.SetByteSlice(signature[:32])
		over = s.SetByteSlice(signature[32:]) || over
		if curve == Secp256k1 && !over && k1.NewSignature(&r, &s).Verify(digest[:], key) {
			return nil
		}
	}
	return errSignature
}

// suffixes are how a signature's text begins and what its checksum covers, by curve.
var suffixes = map[string]string{Secp256r1: "R1", Secp256k1: "K1"}

// parseSignature returns r and s, 64 bytes, of a signature on the curve: base58 of the compact form, or the
// form of EOSIO with a prefix and a checksum.
func parseSignature(text, curve string) ([]byte, error) {
	suffix := suffixes[curve]
	if suffix == "" || len(text) > 128 {
		return nil, errSignature
	}
	coded, tagged := strings.CutPrefix(text, "SIG_"+suffix+"_")
	raw, ok := base58(coded)
	if !ok {
		return nil, errSignature
	}
	if tagged {
		if len(raw) != 69 {
			return nil, errSignature
		}
		h := ripemd160.New() //nolint:gosec // see the import
		h.Write(raw[:65])
		h.Write([]byte(suffix))
		if !bytes.Equal(h.Sum(nil)[:4], raw[65:]) {
			return nil, errSignature
		}
		raw = raw[:65]
	}
	if len(raw) != 65 || raw[0] < 27 || raw[0] > 34 {
		return nil, errSignature
	}
	return raw[1:], nil
}

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Values are the values of the alphabet's bytes, and -1 for all others.
var base58Values = func() (values [256]int8) {
	for i := range values {
		values[i] = int8(strings.IndexByte(base58Alphabet, byte(i)))
	}
	return values
}()

// base58 decodes base58 in the alphabet of Bitcoin.
func base58(text string) ([]byte, bool) {
	zeros := len(text) - len(strings.TrimLeft(text, "1"))
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		carry := int(base58Values[text[i]])
		if carry < 0 {
			return nil, false
		}
		for j := range out { // least significant byte first
			carry += int(out[j]) * 58
			out[j] = byte(carry)
			carry >>= 8
		}
		if carry > 0 {
			out = append(out, byte(carry))
		}
	}
	for range zeros {
		out = append(out, 0)
	}
	slices.Reverse(out)
	return out, true
}
