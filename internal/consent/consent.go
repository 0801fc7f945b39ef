// Package consent records what a person agreed to, in which words, and on which legal basis
// (개인정보 보호법 15, 17, 22, 24조). Records are only ever added; a withdrawal dates
// the record.
package consent

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Kind says what a consent is about. Each is asked for separately (개인정보 보호법 22조 1항).
type Kind string

// The kinds: three at registration with the broker, and one per relying site.
const (
	Terms    Kind = "terms"     // 서비스 이용약관
	Privacy  Kind = "privacy"   // 개인정보 수집·이용
	UniqueID Kind = "unique_id" // 고유식별정보 처리
	HandOver Kind = "hand_over" // 제3자 제공: attributes to a relying site
)

// Broker is the recipient of consents that are given to the broker itself.
const Broker = "broker"

// Text is one version of the words that a person agrees to, in one locale.
type Text struct {
	Kind    Kind
	Version string // such as "2026-11-01"
	Locale  string
	Digest  string // Digest of the words as shown
	// Basis is the legal-basis line (처리근거), part of the version; empty where consent itself is
	// the basis.
	Basis string
}

// Digest is the SHA-256 of words, hex: what a record keeps so that it can be shown later which words
// they were.
func Digest(words string) string {
	sum := sha256.Sum256([]byte(words))
	return hex.EncodeToString(sum[:])
}

// Record is one decision.
type Record struct {
	ID          string
	Person      string // person id
	Recipient   string // Broker, or the relying site's client id
	Kind        Kind
	Version     string // of the text, or of the site's hand-over terms
	Digest      string // of the text as shown
	Locale      string
	Basis       string
	Purpose     string
	Items       []string // what is collected or handed over: claim names, sorted
	Retention   string
	Attempt     string // hash of the login attempt in which it was decided; one record per attempt, recipient and kind
	Method      string // by which proof it was given: method.Method
	At          time.Time
	WithdrawnAt time.Time // zero while it holds
}

// Versions names the versions of several texts in one word, sorted by kind: what a person's agreement is compared
// by.
func Versions(texts []Text) string {
	words := make([]string, 0, len(texts))
	for _, t := range texts {
		words = append(words, string(t.Kind)+"="+t.Version)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// Renewed lists the kinds of texts whose version in now is not the one in agreed, both as Versions has them.
func Renewed(agreed, now string) (kinds []Kind) {
	had := versions(agreed)
	for kind, version := range versions(now) {
		if had[kind] != version {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Merge is what is agreed to once the texts are too.
func Merge(agreed string, texts []Text) string {
	all := versions(agreed)
	for _, t := range texts {
		all[t.Kind] = t.Version
	}
	merged := make([]Text, 0, len(all))
	for kind, version := range all {
		merged = append(merged, Text{Kind: kind, Version: version})
	}
	return Versions(merged)
}

func versions(text string) map[Kind]string {
	all := make(map[Kind]string)
	for _, word := range strings.Fields(text) {
		kind, version, _ := strings.Cut(word, "=")
		all[Kind(kind)] = version
	}
	return all
}
