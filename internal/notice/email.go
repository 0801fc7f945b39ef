package notice

import (
	"strings"

	"github.com/anyid/anyid/internal/fault"
)

const (
	maxEmail = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	maxLocal = 64  // RFC 5321 §4.5.3.1.1
	maxLabel = 63  // RFC 1035 §2.3.4
)

// atext are the characters of an atom beside letters and digits (RFC 5322 §3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~"

// ParseEmail returns an e-mail address as it is stored, without space around it and with the domain in lower case, or
// fault.Invalid, whose message does not repeat it. It takes what every mail server does: a dot-atom and a domain name
// with a dot (RFC 5321 §4.1.2). Quoted local parts, address literals, comments and characters outside ASCII are refused.
func ParseEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	local, domain, ok := strings.Cut(text, "@")
	domain = strings.ToLower(domain)
	if !ok || len(text) > maxEmail || !isDotAtom(local) || !isDomain(domain) {
		return "", fault.New(fault.Invalid, "notice: not an e-mail address")
	}
	return local + "@" + domain, nil
}

func isDotAtom(s string) bool {
	if s == "" || len(s) > maxLocal {
		return false
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune(atext, r) }) {
			return false
		}
	}
	return true
}

func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.ContainsFunc(label, func(r rune) bool { return !isAlphanumeric(r) && r != '-' }) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) > 1 && strings.Trim(last, "0123456789") != "" // an IPv4 address is no domain
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
