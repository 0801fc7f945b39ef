package agency

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// result is what an agency says, as it says it. Drivers fill in these fields and drop all others at once: DI,
// carrier, the i-PIN's number, and a resident registration number, should one come.
type result struct {
	number    string // request number
	ci        string
	name      string
	birthDate string // yyyyMMdd
	gender    string // translated: male, female, or empty
	nation    string // translated: domestic, foreign, or empty
	phone     string // digits, with or without marks
	digest    string // SHA-256 of the result as it came, hex
}

const (
	ciLength = 88 // of 64 bytes in base64
	maxName  = 100
	wireDate = "20060102"
)

// attributes checks and normalises the result. A CI, a name and a birth date are needed; what else is missing or
// not understood stays empty. Errors quote nothing.
func (r result) attributes(m method.Method, now time.Time) (authn.Attributes, error) {
	if raw, err := base64.StdEncoding.Strict().DecodeString(r.ci); err != nil || len(r.ci) != ciLength || len(raw) != 64 {
		return authn.Attributes{}, errors.New("agency: the CI has not its shape")
	}
	name := norm.NFC.String(strings.Join(strings.Fields(r.name), " "))
	if name == "" || !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, unwritten) {
		return authn.Attributes{}, errors.New("agency: the result names nobody")
	}
	born, err := time.Parse(wireDate, r.birthDate)
	if err != nil || born.After(now) {
		return authn.Attributes{}, errors.New("agency: the result has no birth date")
	}
	out := authn.Attributes{Name: name, BirthDate: born.Format(time.DateOnly), Gender: r.gender, Nationality: r.nation}
	if m == method.Phone {
		out.Phone = phone(r.phone)
	}
	return out, nil
}

// unwritten reports what no name has: control characters, and what stands for bytes that were no text.
func unwritten(c rune) bool { return c == utf8.RuneError || unicode.IsControl(c) }

// The agencies' codes of gender and nationality.
type codes map[string]string

// either is the table of a code of which one value has the first meaning, and the other of "0" and "1" the
// second.
func either(value, first, second string) codes {
	other := "0"
	if value == "0" {
		other = "1"
	}
	return codes{value: first, other: second}
}

const (
	male, female      = "male", "female"
	domestic, foreign = "domestic", "foreign"
)

var (
	phoneMarks   = strings.NewReplacer("-", "", " ", "", "+", "")
	phonePattern = regexp.MustCompile(`^01[0-9]{8,9}$`)
)

// phone turns a Korean mobile number, 010… or +82 10…, with or without hyphens and spaces, into E.164.
func phone(text string) string {
	digits := phoneMarks.Replace(text)
	if national, ok := strings.CutPrefix(digits, "82"); ok {
		digits = "0" + strings.TrimPrefix(national, "0")
	}
	if !phonePattern.MatchString(digits) {
		return ""
	}
	return "+82" + digits[1:]
}
