package account

import (
	"regexp"
	"strings"
	"testing"
)

func TestNumber(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^([2-9A-HJ-NP-Z]{4}-){5}[2-9A-HJ-NP-Z]{4}$`)
	seen := map[string]bool{}
	for range 1000 {
		n := newNumber()
		if !form.MatchString(n) || seen[n] {
			t.Fatalf("number %q", n)
		}
		seen[n] = true
		for _, typed := range []string{n, strings.ToLower(n), strings.ReplaceAll(n, "-", ""), strings.ReplaceAll(n, "-", " "), "  " + n + "\n"} {
			if got, ok := parseNumber(typed); !ok || got != n {
				t.Fatalf("%q is read as %q, %t", typed, got, ok)
			}
		}
	}
	for _, typed := range []string{"", "-", "7F3K-9QWM-2XTA", "0000-0000-0000-0000-0000-0000", strings.Repeat("A", 25), strings.Repeat("가", 24), strings.Repeat("-", 10_000)} {
		if got, ok := parseNumber(typed); ok {
			t.Errorf("%q is read as %q", typed, got)
		}
	}
	if retainedID("a", "consent") == retainedID("a", "other") {
		t.Error("two classes lie under one id")
	}
}

// FuzzParseNumber holds that what is read is what would have been written.
func FuzzParseNumber(f *testing.F) {
	for _, typed := range []string{newNumber(), "", "7f3k9qwm2xta7f3k9qwm2xta", "７F3K-9QWM-2XTA-7F3K-9QWM-2XTA", "ıııı-ssss-ſſſſ-KKKK-2222-3333", "\x80"} {
		f.Add(typed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		number, ok := parseNumber(typed)
		if !ok {
			if number != "" {
				t.Fatalf("%q is refused, and read as %q", typed, number)
			}
			return
		}
		again, ok := parseNumber(number)
		if !ok || again != number || len(number) != numberLength+5 || strings.Trim(number, numberAlphabet+"-") != "" {
			t.Fatalf("%q is read as %q, and that as %q", typed, number, again)
		}
	})
}
