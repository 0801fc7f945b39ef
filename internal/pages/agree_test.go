package pages

import (
	"slices"
	"testing"

	"github.com/anyid/anyid/internal/grant"
)

// TestEveryItemIsNamed: whatever a site can be given, the citizen is told of it in words.
func TestEveryItemIsNamed(t *testing.T) {
	t.Parallel()
	var named []string
	for _, c := range consentClaims {
		named = append(named, c.claim)
		if c.label.Korean == "" || c.label.English == "" {
			t.Errorf("%s has no name in a language", c.claim)
		}
	}
	slices.Sort(named)
	if items := grant.Items(grant.PersonClaims()); !slices.Equal(named, items) {
		t.Errorf("named %v, handed over %v", named, items)
	}
}

func TestNational(t *testing.T) {
	t.Parallel()
	for e164, want := range map[string]string{
		"+821012345678": "010-1234-5678", "+82111234567": "011-123-4567", "": "", "+12025550123": "+12025550123", "+8210": "+8210",
	} {
		if got := national(e164); got != want {
			t.Errorf("%s: %s, want %s", e164, got, want)
		}
	}
}
