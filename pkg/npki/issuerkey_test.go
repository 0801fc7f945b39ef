package npki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// TestIssuerKey holds the prepared key against crypto/rsa, on signatures that are right and on such as forgers have made.
func TestIssuerKey(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{2048, 2056, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			private, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			key, err := newIssuerKey(&private.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			verify := func(name string, hash crypto.Hash, sum, signature []byte, want bool) {
				t.Helper()
				if got := rsa.VerifyPKCS1v15(&private.PublicKey, hash, sum, signature) == nil; got != want {
					t.Errorf("%s: crypto/rsa says %t", name, got)
				}
				if got := key.verify(hash, sum, signature); got != want {
					t.Errorf("%s: %t, want %t", name, got, want)
				}
			}
			for hash := range digestInfo {
				sum := digest(hash, []byte("tbsCertificate"))
				signature, err := rsa.SignPKCS1v15(nil, private, hash, sum)
				if err != nil {
					t.Fatal(err)
				}
				verify("right", hash, sum, signature, true)
				other := slices.Clone(sum)
				other[0] ^= 1
				verify("another digest", hash, other, signature, false)
				verify("a digest cut off", hash, sum[1:], signature, false)
				for other := range digestInfo {
					if other != hash && other.Size() == len(sum) {
						verify("another hash", other, sum, signature, false)
					}
				}
				for _, i := range []int{0, 1, len(signature) / 2, len(signature) - 1} {
					turned := slices.Clone(signature)
					turned[i] ^= 0x10
					verify(fmt.Sprintf("a bit of byte %d", i), hash, sum, turned, false)
				}
				verify("a byte short", hash, sum, signature[1:], false)
				verify("a zero in front", hash, sum, append([]byte{0}, signature...), false)
				verify("a zero behind", hash, sum, append(slices.Clone(signature), 0), false)
				verify("nothing", hash, sum, nil, false)
				verify("zero", hash, sum, make([]byte, len(signature)), false)
				n := new(big.Int).SetBytes(signature)
				if n.Add(n, private.N); n.BitLen() <= 8*len(signature) {
					verify("not below the modulus", hash, sum, n.FillBytes(make([]byte, len(signature))), false)
				}
				verify("the modulus", hash, sum, private.N.Bytes(), false)
			}
			// What forgers would have encoded, signed by the key itself.
			sum := sha256.Sum256([]byte("tbsCertificate"))
			info := append(slices.Clone(digestInfo[crypto.SHA256]), sum[:]...)
			withoutNull := slices.Concat([]byte{0x30, 0x2f, 0x30, 0x0b}, info[4:15], info[17:])
			size := private.Size()
			fill := func(n int) []byte { return bytes.Repeat([]byte{0xff}, n) }
			for name, encoded := range map[string][]byte{
				"right":               slices.Concat([]byte{0, 1}, fill(size-3-len(info)), []byte{0}, info),
				"type 2":              slices.Concat([]byte{0, 2}, fill(size-3-len(info)), []byte{0}, info),
				"type 0":              slices.Concat([]byte{0, 0}, fill(size-3-len(info)), []byte{0}, info),
				"no separator":        slices.Concat([]byte{0, 1}, fill(size-2-len(info)), info),
				"a hole in it":        slices.Concat([]byte{0, 1}, fill(20), []byte{0xfe}, fill(size-24-len(info)), []byte{0}, info),
				"garbage behind":      slices.Concat([]byte{0, 1}, fill(8), []byte{0}, info, make([]byte, size-11-len(info))),
				"garbage in front":    slices.Concat([]byte{0, 1}, fill(8), []byte{0}, make([]byte, size-11-len(info)), info),
				"parameters absent":   slices.Concat([]byte{0, 1}, fill(size-3-len(withoutNull)), []byte{0}, withoutNull),
				"a digest without it": slices.Concat([]byte{0, 1}, fill(size-3-len(sum)), []byte{0}, sum[:]),
			} {
				if len(encoded) != size {
					t.Fatalf("%s: %d bytes", name, len(encoded))
				}
				raw := new(big.Int).Exp(new(big.Int).SetBytes(encoded), private.D, private.N).FillBytes(make([]byte, size))
				verify(name, crypto.SHA256, sum[:], raw, name == "right")
			}
			if sum := digest(crypto.SHA1, nil); key.verify(crypto.SHA1, sum, make([]byte, size)) {
				t.Error("SHA-1 is taken")
			}
		})
	}
}

func TestIssuerKeyRefusesOddKeys(t *testing.T) {
	t.Parallel()
	odd := new(big.Int).SetBit(big.NewInt(1), 2047, 1)
	for _, key := range []rsa.PublicKey{
		{N: odd, E: 1}, {N: odd, E: 2}, {N: odd, E: 65536}, {N: odd, E: 0}, {N: odd, E: -3},
		{N: new(big.Int).SetBit(new(big.Int), 2047, 1), E: 65537}, {N: big.NewInt(0), E: 65537}, {N: big.NewInt(1), E: 65537},
	} {
		if _, err := newIssuerKey(&key); err == nil {
			t.Errorf("N of %d bits, %d at its end, E %d: taken", key.N.BitLen(), key.N.Bit(0), key.E)
		}
	}
}

// FuzzIssuerKey looks for signatures of which the prepared key and crypto/rsa think differently.
func FuzzIssuerKey(f *testing.F) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	key, err := newIssuerKey(&private.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	right, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, sum[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sum[:], right)
	f.Add(sum[:], private.N.Bytes())
	f.Add(sum[:8], right)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, sum, signature []byte) {
		want := rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, sum, signature) == nil
		if got := key.verify(crypto.SHA256, sum, signature); got != want {
			t.Errorf("%t, and crypto/rsa %t", got, want)
		}
	})
}
