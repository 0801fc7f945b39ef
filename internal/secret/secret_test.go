package secret

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
)

func key(id string, b byte) Key { return Key{ID: id, Bytes: bytes.Repeat([]byte{b}, KeySize)} }

func box(t testing.TB, keys ...Key) *Box {
	t.Helper()
	b, err := NewBox(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBox(t *testing.T) {
	t.Parallel()
	b := box(t, key("k1", 1))
	for _, plain := range []string{"", "x", "비밀", strings.Repeat("long ", 10_000)} {
		sealed := b.Seal([]byte(plain), "record:1")
		if again := b.Seal([]byte(plain), "record:1"); again == sealed {
			t.Error("one text is sealed alike twice")
		}
		got, err := b.Open(sealed, "record:1")
		if err != nil || string(got) != plain {
			t.Errorf("opened %.20q, %v", got, err)
		}
		for _, record := range []string{"", "record:2", "record:1 ", "Record:1"} {
			if _, err := b.Open(sealed, record); !errors.Is(err, ErrSealed) {
				t.Errorf("opens for record %q: %v", record, err)
			}
		}
	}
}

const vector = "k1.7pRjtlpuLur5-PaUG52mEppZVEEbbUusB8BipKo4xV-N3I6V6w"

// TestBoxVector: what an earlier version sealed opens for ever. Key: 32 times 0x07; AES-256-GCM with the
// nonce in front and the record as associated data (NIST SP 800-38D).
func TestBoxVector(t *testing.T) {
	t.Parallel()
	got, err := box(t, key("k2", 9), key("k1", 7)).Open(vector, "person:abc")
	if err != nil || string(got) != "홍길동" {
		t.Errorf("opened %q, %v", got, err)
	}
}

// TestKeyRotation: the first key seals, every key opens, a key that is gone opens nothing.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	old := box(t, key("k1", 1))
	both := box(t, key("k2", 2), key("k1", 1))
	next := box(t, key("k2", 2))
	sealed := old.Seal([]byte("x"), "r")
	resealed := both.Seal([]byte("x"), "r")
	if !strings.HasPrefix(sealed, "k1.") || !strings.HasPrefix(resealed, "k2.") {
		t.Errorf("sealed %s, %s", sealed, resealed)
	}
	for _, row := range []struct {
		box    *Box
		sealed string
		ok     bool
	}{{both, sealed, true}, {both, resealed, true}, {next, resealed, true}, {next, sealed, false}, {old, resealed, false}} {
		if _, err := row.box.Open(row.sealed, "r"); (err == nil) != row.ok {
			t.Errorf("%s: %v", row.sealed, err)
		}
	}
	// The key's id chooses the key, and another key under that id opens nothing.
	if _, err := box(t, key("k1", 3)).Open(sealed, "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("another key: %v", err)
	}
	if _, err := both.Open("k2"+strings.TrimPrefix(sealed, "k1"), "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("another id: %v", err)
	}
}

func TestAltered(t *testing.T) {
	t.Parallel()
	b := box(t, key("k1", 1))
	sealed := b.Seal([]byte("some text"), "r")
	for i := range len(sealed) {
		for _, c := range []byte("A1.=+/ \n-_z") {
			altered := sealed[:i] + string(c) + sealed[i+1:]
			if altered == sealed {
				continue
			}
			if plain, err := b.Open(altered, "r"); !errors.Is(err, ErrSealed) || plain != nil {
				t.Errorf("%q opens: %q, %v", altered, plain, err)
			}
		}
	}
	for _, bad := range []string{"", ".", "k1", "k1.", "k1.AAAA", sealed + "A", sealed[:len(sealed)-1], sealed + "=", sealed + "\n", "." + sealed, strings.Replace(sealed, ".", "..", 1)} {
		if _, err := b.Open(bad, "r"); !errors.Is(err, ErrSealed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNewBoxRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]Key{
		"none":      nil,
		"no id":     {key("", 1)},
		"bad id":    {key("K1", 1)},
		"dot in id": {key("k.1", 1)},
		"long id":   {key(strings.Repeat("k", 33), 1)},
		"twice":     {key("k1", 1), key("k1", 2)},
		"short":     {{ID: "k1", Bytes: make([]byte, 16)}},
		"long":      {{ID: "k1", Bytes: make([]byte, 33)}},
	} {
		if _, err := NewBox(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	x, err := NewIndex(bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewIndex(bytes.Repeat([]byte{2}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	// HMAC-SHA-256 over "2:ci,5:value,".
	if got := x.Of("ci", "value"); got != "OB4Ki327kWBi6ydauECZ7gWHyl42qMtOHYNlWbQkHTo" {
		t.Errorf("index %s", got)
	}
	seen := make(map[string][]string)
	for _, parts := range [][]string{
		{"a"}, {"a", ""}, {"a", "", ""}, {"a", "b"}, {"ab"}, {"a,1:b"}, {"a", "b", "c"}, {"a", "bc"}, {"ab", "c"}, {"a", "1:b,"}, {"a", "b,1:c"}, {""}, {"", ""}, {"a", "\n"}, {"A"},
	} {
		index := x.Of(parts[0], parts[1:]...)
		if len(index) != 43 || index == other.Of(parts[0], parts[1:]...) {
			t.Errorf("%q: %q", parts, index)
		}
		if before, twice := seen[index]; twice {
			t.Errorf("%q and %q have one index", before, parts)
		}
		seen[index] = parts
	}
	for _, size := range []int{0, 31, 33} {
		if _, err := NewIndex(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes is accepted", size)
		}
	}
}

func TestRandom(t *testing.T) {
	t.Parallel()
	handle, id := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), regexp.MustCompile(`^[a-z2-7]{26}$`)
	seen := make(map[string]bool)
	for range 100 {
		h, i := NewHandle(), NewID()
		if !handle.MatchString(h) || !id.MatchString(i) || seen[h] || seen[i] {
			t.Fatalf("handle %q, id %q", h, i)
		}
		seen[h], seen[i] = true, true
	}
	if Hash("abc") != "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0" { // FIPS 180-4, base64url
		t.Errorf("Hash: %s", Hash("abc"))
	}
	if !Equal("a", "a") || Equal("a", "b") || Equal("a", "aa") || !Equal("", "") {
		t.Error("Equal is wrong")
	}
}

// FuzzBoxOpen: nothing opens but what was sealed, byte for byte.
func FuzzBoxOpen(f *testing.F) {
	b := box(f, key("k1", 7), key("k0", 2))
	const sealed, of = vector, "person:abc"
	for _, seed := range []string{"", ".", "k1.", "k0." + sealed[3:], sealed, sealed + "A", sealed[:20]} {
		f.Add(seed, of)
	}
	f.Add(sealed, "s")
	f.Fuzz(func(t *testing.T, text, record string) {
		plain, err := b.Open(text, record)
		if (err == nil) != (text == sealed && record == of) {
			t.Errorf("%q for %q opens to %q, %v", text, record, plain, err)
		}
	})
}
