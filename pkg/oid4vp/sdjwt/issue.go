package sdjwt

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
)

// Hidden marks a claim, or an element of an array, that the holder may withhold. It may stand wherever a value may,
// in another Hidden too.
type Hidden struct{ Value any }

// Issuance is what an issuer writes. It is for tests and simulators.
type Issuance struct {
	// Claims are the payload: maps, slices of any, values that encoding/json knows, and Hidden.
	Claims map[string]any
	Holder crypto.PublicKey // goes into cnf; nil leaves cnf out
	Type   string           // header typ; empty is the constant Type
	Hash   string           // _sd_alg: sha-256, sha-384 or sha-512; empty is sha-256
	Decoys int              // digests of nothing in each _sd

	Key   crypto.Signer       // P-256, P-384 or Ed25519
	Chain []*x509.Certificate // of the key, without the anchor; nil leaves x5c out

	// Edit changes header and payload before they are signed, for issuers that must misbehave.
	Edit func(header, payload map[string]any)
}

// Issue writes an SD-JWT with all its disclosures: what a wallet gets. The code of its errors is oid4vp.ErrInput.
func Issue(i Issuance) (string, error) {
	name := i.Hash
	if name == "" {
		name = "sha-256"
	}
	hash, err := hashOf(name)
	if err != nil {
		return "", oid4vp.Fail(oid4vp.ErrInput, "hash")
	}
	w := writer{hash: hash, decoys: i.Decoys}
	payload, err := w.object(i.Claims)
	if err != nil {
		return "", err
	}
	payload["_sd_alg"] = name
	if i.Holder != nil {
		payload["cnf"] = map[string]any{"jwk": jose.JSONWebKey{Key: i.Holder}}
	}
	header := map[string]any{"typ": i.Type}
	if i.Type == "" {
		header["typ"] = Type
	}
	if i.Edit != nil {
		i.Edit(header, payload)
	}
	signed, err := jws.Sign(header, payload, i.Key, i.Chain)
	if err != nil {
		return "", err
	}
	return strings.Join(append([]string{signed}, w.disclosures...), "~") + "~", nil
}

// writer turns hidden values into digests.
type writer struct {
	hash        crypto.Hash
	decoys      int
	disclosures []string
}

func (w *writer) value(value any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		return w.object(value)
	case []any:
		out := make([]any, len(value))
		for i, element := range value {
			hidden, ok := element.(Hidden)
			var err error
			if !ok {
				out[i], err = w.value(element)
			} else {
				var digest string
				digest, err = w.hide(hidden)
				out[i] = map[string]any{"...": digest}
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	case Hidden:
		return nil, oid4vp.Fail(oid4vp.ErrInput, "claims: Hidden in Hidden, or as the whole")
	}
	return value, nil
}

func (w *writer) object(object map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(object)+1)
	var digests []string
	for name, value := range object {
		hidden, ok := value.(Hidden)
		var err error
		if !ok {
			out[name], err = w.value(value)
		} else {
			var digest string
			digest, err = w.hide(hidden, name)
			digests = append(digests, digest)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(digests) > 0 {
		for range w.decoys {
			digests = append(digests, digest(w.hash, rand.Text()))
		}
		slices.Sort(digests) // so that the order tells nothing (RFC 9901 §4.2.4.1)
		out["_sd"] = digests
	}
	return out, nil
}

// hide writes a disclosure, with the claim's name or, for an element, without, and gives its digest.
func (w *writer) hide(hidden Hidden, name ...string) (string, error) {
	value, err := w.value(hidden.Value)
	if err != nil {
		return "", err
	}
	list := []any{rand.Text()}
	for _, name := range name {
		list = append(list, name)
	}
	text, err := EncodeDisclosure(append(list, value)...)
	if err != nil {
		return "", err
	}
	w.disclosures = append(w.disclosures, text)
	return digest(w.hash, text), nil
}

// EncodeDisclosure writes the disclosure that consists of these members: salt, name and value, or salt and value. It
// checks none of them. The code of its error is oid4vp.ErrInput.
func EncodeDisclosure(members ...any) (string, error) {
	data, err := json.Marshal(members)
	if err != nil {
		return "", oid4vp.Because(oid4vp.ErrInput, "disclosure", err)
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

// Select leaves in an SD-JWT the disclosures for these paths: those of the claims themselves, of what they lie in,
// and of what lies in them. It is what a wallet does with a query, and keeps all disclosures that do not belong
// anywhere. Errors are those of Parse.
func Select(issued string, paths ...oid4vp.Path) (string, error) {
	t, err := Parse(issued, []string{"ES256", "ES384", "EdDSA"})
	if err != nil {
		return "", err
	}
	s := selector{paths: paths, found: map[string]int{}, disclosures: t.Disclosures, keep: make([]bool, len(t.Disclosures))}
	for i, disclosure := range t.Disclosures {
		s.found[digest(t.hash, disclosure.Encoded)] = i
		s.keep[i] = true
	}
	s.walk(t.Payload, nil)
	parts := []string{t.bound[:strings.IndexByte(t.bound, '~')]}
	for i, disclosure := range t.Disclosures {
		if s.keep[i] {
			parts = append(parts, disclosure.Encoded)
		}
	}
	return strings.Join(parts, "~") + "~", nil
}

// selector finds out where disclosures belong.
type selector struct {
	paths       []oid4vp.Path
	disclosures []Disclosure
	found       map[string]int
	keep        []bool
}

func (s *selector) walk(value any, at oid4vp.Path) {
	if len(at) > MaxDepth {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		for name, value := range value {
			if name != "_sd" {
				s.walk(value, below(at, name))
			}
		}
		digests, _ := value["_sd"].([]any)
		for _, digest := range digests {
			if i, ok := s.found[text(digest)]; ok {
				path := below(at, s.disclosures[i].Name)
				s.keep[i] = s.wanted(path)
				s.walk(s.disclosures[i].Value, path)
			}
		}
	case []any:
		for place, value := range value {
			path := below(at, place)
			if object, ok := value.(map[string]any); ok && object["..."] != nil {
				i, ok := s.found[text(object["..."])]
				if !ok {
					continue
				}
				s.keep[i] = s.wanted(path)
				value = s.disclosures[i].Value
			}
			s.walk(value, path)
		}
	}
}

// below is a path one longer, which shares nothing with others.
func below(at oid4vp.Path, element any) oid4vp.Path { return append(slices.Clip(at), element) }

func text(value any) string { out, _ := value.(string); return out }

// wanted says whether a place is on the way to one of the paths, or behind it.
func (s *selector) wanted(at oid4vp.Path) bool {
	return slices.ContainsFunc(s.paths, func(path oid4vp.Path) bool {
		for i := range min(len(path), len(at)) {
			if path[i] != at[i] && path[i] != nil {
				return false
			}
		}
		return true
	})
}

// KeyBinding is what a wallet signs for one request. It is for tests and simulators.
type KeyBinding struct {
	Key      crypto.Signer // of cnf
	Nonce    string
	Audience string
	IssuedAt time.Time

	// Edit changes header and payload before they are signed, for wallets that must misbehave.
	Edit func(header, payload map[string]any)
}

// Bind adds a key binding JWT to an SD-JWT, which ends with a tilde. Errors are those of Parse, and
// oid4vp.ErrInput for a key that cannot sign.
func Bind(selected string, k KeyBinding) (string, error) {
	t, err := Parse(selected, []string{"ES256", "ES384", "EdDSA"})
	if err != nil {
		return "", err
	}
	header := map[string]any{"typ": "kb+jwt"}
	payload := map[string]any{
		"iat": k.IssuedAt.Unix(), "aud": k.Audience, "nonce": k.Nonce, "sd_hash": digest(t.hash, t.bound),
	}
	if k.Edit != nil {
		k.Edit(header, payload)
	}
	signed, err := jws.Sign(header, payload, k.Key, nil)
	if err != nil {
		return "", err
	}
	return t.bound + signed, nil
}
