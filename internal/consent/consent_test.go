package consent

import "testing"

// TestDigest: the digest on record is plain SHA-256, so that anybody can check it (FIPS 180-4).
func TestDigest(t *testing.T) {
	t.Parallel()
	for words, digest := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	} {
		if got := Digest(words); got != digest {
			t.Errorf("Digest(%q) = %s", words, got)
		}
	}
	if Digest("동의") == Digest("동의 ") {
		t.Error("two texts have one digest")
	}
}
