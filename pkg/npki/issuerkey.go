package npki

import (
	"bytes"
	"crypto"
	"crypto/rsa"

	"filippo.io/bigmod"
)

// issuerKey is an authority's RSA key, prepared once for the many certificates that it has signed. A third of what crypto/rsa
// takes for a verification depends on the key alone.
type issuerKey struct {
	modulus  *bigmod.Modulus
	exponent uint
}

// newIssuerKey prepares a key of 2048 to 4096 bits.
func newIssuerKey(key *rsa.PublicKey) (*issuerKey, error) {
	if key.E < 3 || key.E&1 == 0 || key.E > 1<<31-1 || key.N.Bit(0) == 0 {
		return nil, fail(ErrUnsupported, "RSA: key")
	}
	modulus, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, because(ErrUnsupported, "RSA: key", err)
	}
	return &issuerKey{modulus, uint(key.E)}, nil
}

// verify is RSASSA-PKCS1-v1_5-VERIFY (RFC 8017 §8.2.2) of a digest. It makes the one encoding that the digest has and
// compares all of it; nothing of what was signed is parsed.
func (k *issuerKey) verify(hash crypto.Hash, digest, signature []byte) bool {
	size := k.modulus.Size()
	prefix, known := digestInfo[hash]
	if !known || len(digest) != hash.Size() || len(signature) != size {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature, k.modulus)
	if err != nil {
		return false // not below the modulus
	}
	found := bigmod.NewNat().ExpShortVarTime(s, k.exponent, k.modulus).Bytes(k.modulus)

	padding := size - 3 - len(prefix) - len(digest)
	want := make([]byte, 0, size)
	want = append(want, 0, 1)
	for range padding {
		want = append(want, 0xff)
	}
	want = append(want, 0)
	want = append(append(want, prefix...), digest...)
	return bytes.Equal(found, want)
}

// digestInfo holds what stands before each digest (RFC 8017 §9.2, note 1).
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}
