package seed

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 4269 appendix B.
var vectors = []struct{ key, plain, crypt string }{
	{"00000000000000000000000000000000", "000102030405060708090A0B0C0D0E0F", "5EBAC6E0054E166819AFF1CC6D346CDB"},
	{"000102030405060708090A0B0C0D0E0F", "00000000000000000000000000000000", "C11F22F20140505084483597E4370F43"},
	{"4706480851E61BE85D74BFB3FD956185", "83A2F8A288641FB9A4E9A5CC2F131C7D", "EE54D13EBCAE706D226BC3142CD40D4A"},
	{"28DBC3BC49FFD87DCFA509B11D422BE7", "B41E6BE2EBA84A148E2EED84593C5EC7", "9B9B7BFCD1813CB95D0B3618F40F5122"},
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		c, err := New(unhex(t, v.key))
		if err != nil {
			t.Fatal(err)
		}
		plain, crypt := unhex(t, v.plain), unhex(t, v.crypt)
		got := make([]byte, BlockSize)
		if c.Encrypt(got, plain); !bytes.Equal(got, crypt) {
			t.Errorf("encrypt under %s: %X, want %s", v.key, got, v.crypt)
		}
		if c.Decrypt(got, got); !bytes.Equal(got, plain) { // in place
			t.Errorf("decrypt under %s: %X, want %s", v.key, got, v.plain)
		}
	}
}

// RFC 4269 appendix A lists the S-boxes; their first entries and that each is a permutation pin them down.
func TestBoxes(t *testing.T) {
	t.Parallel()
	for j, want := range [][]byte{{0xA9, 0x85, 0xD6, 0xD3}, {0x38, 0xE8, 0x2D, 0xA6}} {
		var seen [256]bool
		for v := range 256 {
			var y byte
			for i := range 4 {
				y |= byte(tables[j][v] >> (8 * i))
			}
			seen[y] = true
			if v < len(want) && y != want[v] {
				t.Errorf("S%d[%d] = %02X, want %02X", j, v, y, want[v])
			}
		}
		for v, ok := range seen {
			if !ok {
				t.Errorf("S%d never gives %02X", j, v)
			}
		}
	}
}

func TestCBC(t *testing.T) {
	t.Parallel()
	key, iv := unhex(t, "8a5f0c3e1d9b4726f0e1d2c3b4a59687"), unhex(t, "00112233445566778899aabbccddeeff")
	c, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ plain, crypt string }{
		{"", "cea731ed7c0b1ba8e4376c8c656a431f"},
		{"0123456789abcdef", "337a0258c9654baa8f782734ccb18ca0aebd87fd576c85db90a9a61aa9705c10"},
		{"공동인증서 시험 문장입니다.", "4ecee4ab4fa6c028c58b24d8e2f3f89c3c063c27bb2af719b802b6e1147bcbf1c59da47763cd969b89b4b6802c8cdfba"},
	} {
		n := BlockSize - len(v.plain)%BlockSize
		padded := append([]byte(v.plain), bytes.Repeat([]byte{byte(n)}, n)...)
		cipher.NewCBCEncrypter(c, iv).CryptBlocks(padded, padded)
		if got := hex.EncodeToString(padded); got != v.crypt {
			t.Errorf("CBC of %q: %s, want %s", v.plain, got, v.crypt)
		}
	}
}

func TestKeySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 15, 17, 24, 32} {
		_, err := New(make([]byte, n))
		if size, ok := errors.AsType[KeySizeError](err); !ok || int(size) != n {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestShortBlocksPanic(t *testing.T) {
	t.Parallel()
	c, err := New(make([]byte, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(){
		"short source":      func() { c.Encrypt(make([]byte, 16), make([]byte, 15)) },
		"short destination": func() { c.Decrypt(make([]byte, 15), make([]byte, 16)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			run()
		})
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	c, err := New(bytes.Repeat([]byte{7}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	c.Wipe()
	if c.keys != [rounds][2]uint32{} {
		t.Error("round keys are still there")
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	var key, plain, got [16]byte
	for range 1000 {
		_, _ = random.Read(key[:])
		_, _ = random.Read(plain[:])
		c, err := New(key[:])
		if err != nil {
			t.Fatal(err)
		}
		c.Encrypt(got[:], plain[:])
		c.Decrypt(got[:], got[:])
		if got != plain {
			t.Fatalf("key %x: %x became %x", key, plain, got)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	c, err := New(make([]byte, KeySize))
	if err != nil {
		b.Fatal(err)
	}
	var block [BlockSize]byte
	b.SetBytes(BlockSize)
	for b.Loop() {
		c.Encrypt(block[:], block[:])
	}
}

func BenchmarkCBCDecrypt(b *testing.B) {
	c, err := New(make([]byte, KeySize))
	if err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 1280) // about a private key
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		cipher.NewCBCDecrypter(c, make([]byte, BlockSize)).CryptBlocks(text, text)
	}
}

func BenchmarkNew(b *testing.B) {
	key := make([]byte, KeySize)
	for b.Loop() {
		if _, err := New(key); err != nil {
			b.Fatal(err)
		}
	}
}
