package account

import (
	"crypto/rand"
	"strings"

	"github.com/anyid/anyid/internal/secret"
)

// A receipt's number is 24 characters of 5 random bits each, in groups of four: 7F3K-9QWM-2XTA-…. Letters and
// digits that look alike (I and 1, O and 0) are not among them.
const (
	numberAlphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	numberLength   = 24
	numberGroup    = 4
)

// newNumber returns the number of a receipt.
func newNumber() string {
	var random [numberLength]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand.Read)
	for i, b := range random {
		random[i] = numberAlphabet[b%byte(len(numberAlphabet))]
	}
	return grouped(string(random[:]))
}

func grouped(digits string) string {
	var b strings.Builder
	for i := 0; i < len(digits); i += numberGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(digits[i:min(i+numberGroup, len(digits))])
	}
	return b.String()
}

// parseNumber returns the number as newNumber wrote it, from what somebody has typed: in either case, with or
// without hyphens and spaces.
func parseNumber(typed string) (string, bool) {
	if len(typed) > 4*numberLength {
		return "", false
	}
	digits := strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(typed)))
	if len(digits) != numberLength || strings.Trim(digits, numberAlphabet) != "" {
		return "", false
	}
	return grouped(digits), true
}

// retainedID is the id under which a class of records is retained. The number is random, so that the id tells
// nothing of it.
func retainedID(number, class string) string {
	return secret.Hash("retained\n" + class + "\n" + number)
}
