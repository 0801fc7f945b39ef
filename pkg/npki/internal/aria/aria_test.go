package aria

import (
	"bytes"
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

// RFC 5794 appendix A.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ key, crypt string }{
		{"000102030405060708090a0b0c0d0e0f", "d718fbd6ab644c739da95f3be6451778"},
		{"000102030405060708090a0b0c0d0e0f1011121314151617", "26449c1805dbe7aa25a468ce263a9e79"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "f92bd7c79fb72e2f2b8f80c1972d24fc"},
	} {
		c, err := New(unhex(t, v.key))
		if err != nil {
			t.Fatal(err)
		}
		plain := unhex(t, "00112233445566778899aabbccddeeff")
		got := make([]byte, BlockSize)
		if c.Encrypt(got, plain); hex.EncodeToString(got) != v.crypt {
			t.Errorf("encrypt under %s: %x, want %s", v.key, got, v.crypt)
		}
		if c.Decrypt(got, got); !bytes.Equal(got, plain) { // in place
			t.Errorf("decrypt under %s: %x", v.key, got)
		}
	}
}

// RFC 5794 section 2.4.2 lists the S-boxes.
func TestBoxes(t *testing.T) {
	t.Parallel()
	for i, want := range []string{"637c777b", "e24e54fc", "52096ad5", "3068991b"} {
		if got := hex.EncodeToString(boxes[i][:4]); got != want {
			t.Errorf("SB%d begins %s, want %s", i+1, got, want)
		}
	}
}

func TestDiffusionIsItsOwnInverse(t *testing.T) {
	t.Parallel()
	for i := range BlockSize {
		var x block
		x[i] = 0x5A
		if diffuse(diffuse(x)) != x {
			t.Errorf("byte %d is not restored", i)
		}
	}
}

func TestKeySize(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 15, 17, 31, 33} {
		_, err := New(make([]byte, n))
		if size, ok := errors.AsType[KeySizeError](err); !ok || int(size) != n {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestShortBlocksPanic(t *testing.T) {
	t.Parallel()
	c, err := New(make([]byte, 16))
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
	c, err := New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	c.Wipe()
	if c.enc != [17]block{} || c.dec != [17]block{} {
		t.Error("round keys are still there")
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	var key [32]byte
	var plain, got block
	for i := range 900 {
		_, _ = random.Read(key[:])
		_, _ = random.Read(plain[:])
		c, err := New(key[:16+8*(i%3)])
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
	c, err := New(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	var text block
	b.SetBytes(BlockSize)
	for b.Loop() {
		c.Encrypt(text[:], text[:])
	}
}
