package secret

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func siv(t testing.TB, keys ...Key) *SIV {
	t.Helper()
	s, err := NewSIV(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSIV(t *testing.T) {
	t.Parallel()
	s, again := siv(t, key("k1", 1)), siv(t, key("k1", 1), key("k0", 2))
	seen := map[string]string{}
	for _, plain := range []string{"", "x", "비밀", "r", strings.Repeat("long ", 10_000)} {
		for _, record := range []string{"", "r", "rr", "비", "record:1"} {
			sealed := s.Seal(plain, record)
			if sealed != s.Seal(plain, record) || sealed != again.Seal(plain, record) {
				t.Errorf("%.10q for %q is sealed in two ways", plain, record)
			}
			// The nonce stands in front: 16 characters behind the key's id.
			nonce := sealed[:len("k1.")+16]
			if before, twice := seen[nonce]; twice {
				t.Errorf("%.10q for %q has the nonce of %s", plain, record, before)
			}
			seen[nonce] = fmt.Sprintf("%.10q for %q", plain, record)
			if got, err := again.Open(sealed, record); err != nil || got != plain {
				t.Errorf("opened %.20q, %v", got, err)
			}
			if _, err := s.Open(sealed, record+" "); !errors.Is(err, ErrSealed) {
				t.Errorf("opens for another record: %v", err)
			}
		}
	}
	// A box and an SIV on one key open nothing of each other's.
	if _, err := s.Open(box(t, key("k1", 1)).Seal([]byte("x"), "r"), "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("opens what a box sealed: %v", err)
	}
	if _, err := box(t, key("k1", 1)).Open(s.Seal("x", "r"), "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("a box opens it: %v", err)
	}
}

const sivVector = "k1.l3LIv4UbZgOHqEwEHCwBdiv1R2W3u7sLxQlGm_XTd8OvXRZ2nQ"

// TestSIVVector: the form is fixed, since what one version stored another compares. Key: 32 times 0x07; subkeys by
// HKDF-SHA-256 with the info "anyid siv": 32 bytes for AES-256-GCM, then 32 for HMAC-SHA-256.
func TestSIVVector(t *testing.T) {
	t.Parallel()
	s := siv(t, key("k1", 7))
	if got := s.Seal("홍길동", "person:abc"); got != sivVector {
		t.Errorf("sealed %s", got)
	}
	if got, err := siv(t, key("k2", 9), key("k1", 7)).Open(sivVector, "person:abc"); err != nil || got != "홍길동" {
		t.Errorf("opened %q, %v", got, err)
	}
}

func TestSIVRotation(t *testing.T) {
	t.Parallel()
	old, both, next := siv(t, key("k1", 1)), siv(t, key("k2", 2), key("k1", 1)), siv(t, key("k2", 2))
	sealed, resealed := old.Seal("x", "r"), both.Seal("x", "r")
	if !strings.HasPrefix(sealed, "k1.") || !strings.HasPrefix(resealed, "k2.") || both.Keys() != 2 {
		t.Errorf("sealed %s, %s", sealed, resealed)
	}
	for _, row := range []struct {
		siv    *SIV
		sealed string
		ok     bool
	}{{both, sealed, true}, {both, resealed, true}, {next, resealed, true}, {next, sealed, false}, {old, resealed, false}, {siv(t, key("k1", 3)), sealed, false}} {
		if _, err := row.siv.Open(row.sealed, "r"); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.sealed, err)
		}
	}
	for name, keys := range map[string][]Key{"none": nil, "twice": {key("k1", 1), key("k1", 2)}, "short": {{ID: "k1", Bytes: make([]byte, 16)}}, "bad id": {key("k.1", 1)}} {
		if _, err := NewSIV(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSIVConcurrent(t *testing.T) {
	t.Parallel()
	s := siv(t, key("k1", 1))
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			plain := strings.Repeat(string(rune('a'+n)), 100)
			want := s.Seal(plain, "r")
			for range 200 {
				if got := s.Seal(plain, "r"); got != want {
					t.Error("sealed in two ways")
				}
				if got, err := s.Open(want, "r"); err != nil || got != plain {
					t.Errorf("opened %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzSIVOpen: nothing opens but what was sealed, byte for byte.
func FuzzSIVOpen(f *testing.F) {
	s := siv(f, key("k1", 7), key("k0", 2))
	for _, seed := range []string{"", ".", "k1.", "k1.AAAA", "k0." + sivVector[3:], sivVector, sivVector + "A", sivVector + "\n", vector} {
		f.Add(seed, "person:abc")
	}
	f.Add(sivVector, "s")
	f.Fuzz(func(t *testing.T, text, record string) {
		plain, err := s.Open(text, record)
		if (err == nil) != (text == sivVector && record == "person:abc") {
			t.Errorf("%q for %q opens to %q, %v", text, record, plain, err)
		}
		if got, err := s.Open(s.Seal(text, record), record); err != nil || got != text {
			t.Errorf("%q comes back as %q, %v", text, got, err)
		}
	})
}

func BenchmarkSIV(b *testing.B) {
	s := siv(b, key("k1", 1))
	plain := strings.Repeat("0123456789abcdef", 64)
	sealed := s.Seal(plain, "session:x")
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Seal(plain, "session:x")
		}
	})
	b.Run("Open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Open(sealed, "session:x"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
