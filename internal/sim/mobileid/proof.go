package mobileid

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1 "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck,gosec // a checksum of the signature's own format, which gives no security
)

// canonical is JSON as it is signed: members sorted, no white space, the shortest escapes. Values are those of
// encoding/json, with whole numbers only.
func canonical(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("sim/mobileid: canonical JSON: %w", err)
	}
	text := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	// encoding/json escapes these two always.
	text = bytes.ReplaceAll(text, []byte(`\u2028`), []byte("\u2028"))
	return bytes.ReplaceAll(text, []byte(`\u2029`), []byte("\u2029")), nil
}

// signedDigest is what a proof of the document is over. own is the proof itself, for documents whose proof
// covers itself; nil for a VC.
func signedDigest(document, own map[string]any) ([]byte, error) {
	signed := maps.Clone(document)
	delete(signed, "proof")
	if own != nil {
		delete(signed, "proofs")
		delete(signed, "uncommitted")
		unsigned := maps.Clone(own)
		delete(unsigned, "signatureValue")
		signed["proof"] = unsigned
	}
	text, err := canonical(signed)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// compact signs a digest: 65 bytes, of which the first would tell which public keys fit. On secp256r1 it is
// always the same, for nobody needs it.
func compact(key *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: sign: %w", err)
	}
	out := make([]byte, 65)
	out[0] = 31
	r.FillBytes(out[1:33])
	s.FillBytes(out[33:])
	return out, nil
}

// tagged is a signature on secp256r1 in the form of EOSIO.
func tagged(signature []byte) string {
	h := ripemd160.New() //nolint:gosec // see the import
	h.Write(signature)
	h.Write([]byte("R1"))
	return "SIG_R1_" + base58(append(slices.Clip(signature), h.Sum(nil)[:4]...))
}

// signProfile adds the proof of an institution to a profile.
func signProfile(document map[string]any, key *secp256k1.PrivateKey, proof map[string]any) error {
	proof["type"] = "Secp256k1VerificationKey2018"
	digest, err := signedDigest(document, proof)
	if err != nil {
		return err
	}
	proof["signatureValue"] = base58(k1.SignCompact(key, digest, true))
	document["proof"] = proof
	return nil
}

// checkProfile verifies the proof of a profile.
func checkProfile(document, proof map[string]any, key *secp256k1.PublicKey) error {
	digest, err := signedDigest(document, proof)
	if err != nil {
		return err
	}
	text, _ := proof["signatureValue"].(string)
	signature, err := parseBase58(text)
	if err != nil || len(signature) != 65 {
		return errors.New("sim/mobileid: the profile's signature is malformed")
	}
	signer, _, err := k1.RecoverCompact(signature, digest)
	if err != nil || !signer.IsEqual(key) {
		return errors.New("sim/mobileid: the profile's signature does not verify")
	}
	return nil
}

const base58Alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 encodes in the alphabet of Bitcoin.
func base58(data []byte) string {
	var out []byte
	number, base, digit := new(big.Int).SetBytes(data), big.NewInt(58), new(big.Int)
	for number.Sign() > 0 {
		number.DivMod(number, base, digit)
		out = append(out, base58Alphabet[digit.Int64()])
	}
	for _, b := range data {
		if b != 0 {
			break
		}
		out = append(out, base58Alphabet[0])
	}
	slices.Reverse(out)
	return string(out)
}

const maxBase58 = 2048

// parseBase58 decodes it.
func parseBase58(text string) ([]byte, error) {
	if len(text) > maxBase58 {
		return nil, errors.New("sim/mobileid: base58 is too long")
	}
	number, base := new(big.Int), big.NewInt(58)
	zeros, leading := 0, true
	for _, c := range []byte(text) {
		digit := bytes.IndexByte([]byte(base58Alphabet), c)
		if digit < 0 {
			return nil, errors.New("sim/mobileid: not base58")
		}
		if leading = leading && digit == 0; leading {
			zeros++
		}
		number.Add(number.Mul(number, base), big.NewInt(int64(digit)))
	}
	return append(make([]byte, zeros), number.Bytes()...), nil
}
