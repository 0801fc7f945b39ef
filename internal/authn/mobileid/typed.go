package mobileid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
)

// typedPerson is whom the citizen typed, as keyed hashes: enough to see later whether the verified person is the
// same. What was not typed is empty.
type typedPerson struct {
	Name      string `json:"name,omitempty"`
	BirthDate string `json:"birth_date,omitempty"`
}

func typedBy(at authn.Attempt, in authn.Input) typedPerson {
	return typedPerson{Name: typedHash(at, "name", nameKey(in.Name)), BirthDate: typedHash(at, "birth date", in.BirthDate)}
}

func typedHash(at authn.Attempt, what, value string) string {
	if value == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(at.Nonce))
	_, _ = mac.Write([]byte(what + " " + value))
	return hex.EncodeToString(mac.Sum(nil))
}

// nameKey is a name as it is compared: spaces and case make no difference.
func nameKey(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, norm.NFC.String(name))
}

// agrees reports whether the verified person is the one that was typed, as far as one was.
func (p typedPerson) agrees(at authn.Attempt, a authn.Attributes) bool {
	return (p.Name == "" || hmac.Equal([]byte(p.Name), []byte(typedHash(at, "name", nameKey(a.Name))))) &&
		(p.BirthDate == "" || hmac.Equal([]byte(p.BirthDate), []byte(typedHash(at, "birth date", a.BirthDate))))
}
