// Package sdjwt reads, verifies and writes SD-JWT (RFC 9901) and, on top of it, SD-JWT VC: credentials in the form
// of a JWT, of whose claims the holder discloses those that it wants.
//
// [Verifier] is what package oid4vp takes for the format dc+sd-jwt. [Parse] and the methods of [Token] are the
// steps that it consists of, for who needs them apart: [Token.Chain] and [Token.VerifySignature] for the issuer,
// [Token.Claims] for the disclosures, [Token.VerifyKeyBinding] for the holder.
//
// [Issue], [Select] and [Bind] are the other side, issuer and wallet. They are for tests and for simulators: they
// keep no keys safe, and can be made to misbehave.
//
// Only the compact serialization is read (RFC 9901 §4), and only SHA-2. Errors are *oid4vp.Error.
//
// # Sources
//
// RFC 9901 (SD-JWT), SD-JWT VC (draft-ietf-oauth-sd-jwt-vc), RFC 7519 (JWT), RFC 7800 (cnf), HAIP 1.0 §6.1.
package sdjwt

import (
	"crypto"
	"crypto/sha256"
	_ "crypto/sha512" // for _sd_alg
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// Limits of what comes from a wallet, beside oid4vp.MaxPresentation.
const (
	MaxDisclosures = 256  // in a presentation
	MaxDigests     = 4096 // in a payload and all that is disclosed, decoys among them
	MaxDepth       = 32   // of the claims, once all is disclosed
)

// DefaultSkew is how far the clocks of issuer, wallet and verifier may be apart.
const DefaultSkew = 5 * time.Minute

// A Disclosure is one claim, or one element of an array, that the holder has disclosed (RFC 9901 §4.2).
type Disclosure struct {
	Encoded string // as it stood in the SD-JWT, which is what the digest is over
	Salt    string
	Name    string // empty for an element
	Element bool   // of an array
	Value   any
}

// ParseDisclosure reads a disclosure. The codes of its errors are oid4vp.ErrMalformed and ErrTooLarge.
func ParseDisclosure(text string) (Disclosure, error) {
	data, err := strict.Base64(text)
	if err != nil {
		return Disclosure{}, oid4vp.Because(oid4vp.ErrMalformed, "disclosure", err)
	}
	value, err := strict.Value(data)
	if err != nil {
		return Disclosure{}, oid4vp.Because(jws.CodeOf(err), "disclosure", err)
	}
	list, _ := value.([]any)
	if len(list) != 2 && len(list) != 3 {
		return Disclosure{}, oid4vp.Fail(oid4vp.ErrMalformed, "disclosure: not an array of two or three")
	}
	out := Disclosure{Encoded: text, Element: len(list) == 2, Value: list[len(list)-1]}
	var ok bool
	if out.Salt, ok = list[0].(string); !ok {
		return Disclosure{}, oid4vp.Fail(oid4vp.ErrMalformed, "disclosure: salt")
	}
	if !out.Element {
		if out.Name, ok = list[1].(string); !ok || out.Name == "_sd" || out.Name == "..." {
			return Disclosure{}, oid4vp.Fail(oid4vp.ErrMalformed, "disclosure: name")
		}
	}
	return out, nil
}

// A Token is an SD-JWT, or an SD-JWT+KB, taken apart. Nothing of it is true until VerifySignature and Claims
// have said so.
type Token struct {
	Header      map[string]any // of the issuer-signed JWT
	Payload     map[string]any // the same, digests and all
	Disclosures []Disclosure
	// KeyBinding is the key binding JWT; empty if there is none.
	KeyBinding string

	issuer *jws.Token
	bound  string // what sd_hash is over: all up to the last tilde
	hash   crypto.Hash
}

// Parse takes an SD-JWT or SD-JWT+KB in compact form apart (RFC 9901 §4). The algorithms are those that the issuer
// may have used, among ES256, ES384 and EdDSA; nil is ES256. The codes of its errors are oid4vp.ErrTooLarge,
// ErrMalformed and ErrUnsupported.
func Parse(text string, algorithms []string) (*Token, error) {
	if len(text) > oid4vp.MaxPresentation {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "SD-JWT")
	}
	last := strings.LastIndexByte(text, '~')
	if last < 0 {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: no tilde")
	}
	parts := strings.Split(text[:last], "~")
	if len(parts)-1 > MaxDisclosures {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "SD-JWT: number of disclosures")
	}
	issuer, err := jws.Parse("SD-JWT", parts[0], algorithms)
	if err != nil {
		return nil, err
	}
	t := &Token{
		Disclosures: make([]Disclosure, 0, len(parts)-1), Header: issuer.Header, Payload: issuer.Payload, KeyBinding: text[last+1:], issuer: issuer, bound: text[:last+1],
	}
	if t.hash, err = hashOf(t.Payload["_sd_alg"]); err != nil {
		return nil, err
	}
	for _, part := range parts[1:] {
		disclosure, err := ParseDisclosure(part)
		if err != nil {
			return nil, err
		}
		t.Disclosures = append(t.Disclosures, disclosure)
	}
	return t, nil
}

// hashOf reads _sd_alg (RFC 9901 §4.1.1).
func hashOf(name any) (crypto.Hash, error) {
	switch name {
	case nil, "sha-256":
		return crypto.SHA256, nil
	case "sha-384":
		return crypto.SHA384, nil
	case "sha-512":
		return crypto.SHA512, nil
	}
	return 0, oid4vp.Fail(oid4vp.ErrUnsupported, "SD-JWT: _sd_alg")
}

// digest is the base64url form of the hash of a text.
func digest(hash crypto.Hash, text string) string {
	var encoded [86]byte // of 64 bytes, the longest
	if hash == crypto.SHA256 {
		sum := sha256.Sum256([]byte(text))
		return string(base64.RawURLEncoding.AppendEncode(encoded[:0], sum[:]))
	}
	h := hash.New()
	h.Write([]byte(text))
	return string(base64.RawURLEncoding.AppendEncode(encoded[:0], h.Sum(nil)))
}

// Chain verifies the x5c header of the issuer-signed JWT: a path from its first certificate to one of the
// roots, which comes last, valid now. The first must not be an anchor itself, and must be allowed to sign. The
// codes of its errors are oid4vp.ErrMissing, ErrUntrusted, ErrExpired, ErrNotYetValid, and ErrInput without
// roots.
func (t *Token) Chain(roots *x509.CertPool, now time.Time) ([]*x509.Certificate, error) {
	return t.issuer.Chain(roots, now)
}

// VerifySignature verifies the issuer's signature with its key. The codes of its errors are oid4vp.ErrSignature
// and, for a key of another algorithm, ErrUnsupported.
func (t *Token) VerifySignature(key crypto.PublicKey) error { return t.issuer.Verify(key) }

// Claims gives the processed payload (RFC 9901 §7.1): the issuer's claims with the disclosed ones in their places,
// without digests. Every disclosure must belong to exactly one digest, every digest must occur once, and no
// disclosed claim may take the place of another. The codes of its errors are oid4vp.ErrDigest, ErrMalformed
// and ErrTooLarge.
func (t *Token) Claims() (map[string]any, error) {
	p := processor{places: make(map[string]int, 2*len(t.Disclosures)+16), disclosures: t.Disclosures}
	for i, disclosure := range t.Disclosures {
		p.places[digest(t.hash, disclosure.Encoded)] = i
	}
	if len(p.places) != len(t.Disclosures) {
		return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: a disclosure twice")
	}
	claims, err := p.object(t.Payload, 1)
	if err != nil {
		return nil, err
	}
	if p.used != len(t.Disclosures) {
		return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: a disclosure without its digest")
	}
	delete(claims, "_sd_alg")
	return claims, nil
}

// processor puts disclosures into their places.
type processor struct {
	disclosures []Disclosure
	places      map[string]int // digest to its disclosure, or to met once the payload has named it
	used        int            // disclosures whose digest was met
	digests     int            // met so far
}

// met stands in processor.places for a digest that must not come again.
const met = -1

func (p *processor) value(value any, depth int) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		return p.object(value, depth)
	case []any:
		return p.array(value, depth)
	}
	return value, nil
}

func (p *processor) object(object map[string]any, depth int) (map[string]any, error) {
	if depth > MaxDepth {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "SD-JWT: depth")
	}
	out := make(map[string]any, len(object))
	for name, value := range object {
		if name == "_sd" {
			continue
		}
		if name == "..." {
			return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: ... outside an array")
		}
		var err error
		if out[name], err = p.value(value, depth+1); err != nil {
			return nil, err
		}
	}
	digests, ok := object["_sd"]
	if !ok {
		return out, nil
	}
	list, ok := digests.([]any)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: _sd")
	}
	for _, digest := range list {
		disclosure, err := p.take(digest)
		if err != nil {
			return nil, err
		}
		if disclosure == nil {
			continue
		}
		if disclosure.Element {
			return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: an element disclosed as a claim")
		}
		if _, ok := out[disclosure.Name]; ok || depth == 1 && disclosure.Name == "_sd_alg" {
			return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: a disclosed claim that is there already")
		}
		if out[disclosure.Name], err = p.value(disclosure.Value, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *processor) array(array []any, depth int) ([]any, error) {
	if depth > MaxDepth {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "SD-JWT: depth")
	}
	out := make([]any, 0, len(array))
	for _, value := range array {
		if object, ok := value.(map[string]any); ok && object["..."] != nil {
			if len(object) != 1 {
				return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: ... with neighbours")
			}
			disclosure, err := p.take(object["..."])
			if err != nil {
				return nil, err
			}
			if disclosure == nil {
				continue
			}
			if !disclosure.Element {
				return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: a claim disclosed as an element")
			}
			value = disclosure.Value
		}
		value, err := p.value(value, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

// take gives the disclosure for a digest, or nil for a decoy and for what the holder keeps to itself.
func (p *processor) take(digest any) (*Disclosure, error) {
	text, ok := digest.(string)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: a digest that is not a string")
	}
	if p.digests++; p.digests > MaxDigests {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "SD-JWT: number of digests")
	}
	place, known := p.places[text]
	p.places[text] = met
	switch {
	case !known:
		return nil, nil
	case place == met:
		return nil, oid4vp.Fail(oid4vp.ErrDigest, "SD-JWT: a digest twice")
	}
	p.used++
	return &p.disclosures[place], nil
}

// KeyBindingWant is what a key binding JWT must say.
type KeyBindingWant struct {
	Audience   string // the whole client identifier, with its prefix
	Nonce      string
	Algorithms []string // among ES256, ES384 and EdDSA; nil is ES256
	Now        time.Time
	Skew       time.Duration // how far iat may lie from Now, both ways; 0 is DefaultSkew
}

// VerifyKeyBinding verifies the key binding JWT (RFC 9901 §7.3): that it is there, its type, its signature by the
// key in cnf, nonce, aud, time, and that it is over this SD-JWT with these disclosures. It does not verify
// the issuer's signature, on which cnf depends. The codes of its errors are oid4vp.ErrMissing (no key
// binding, or no key in cnf), ErrMalformed, ErrUnsupported, ErrTooLarge, ErrKeyBinding (signature or sd_hash),
// ErrNonce, ErrAudience, ErrTime, and ErrExpired or ErrNotYetValid for an exp or nbf that it need not have.
func (t *Token) VerifyKeyBinding(want KeyBindingWant) (oid4vp.Holder, error) {
	var none oid4vp.Holder
	if t.KeyBinding == "" {
		return none, oid4vp.Fail(oid4vp.ErrMissing, "KB-JWT")
	}
	key, err := t.holderKey()
	if err != nil {
		return none, err
	}
	kb, err := jws.Parse("KB-JWT", t.KeyBinding, want.Algorithms)
	if err != nil {
		return none, err
	}
	if err := kb.CheckType("kb+jwt"); err != nil {
		return none, err
	}
	if fits, ok := jws.AlgorithmOf(key); !ok || string(fits) != kb.Header["alg"] {
		return none, oid4vp.Fail(oid4vp.ErrKeyBinding, "KB-JWT: key of another algorithm")
	}
	if err := kb.Verify(key); err != nil {
		return none, oid4vp.Fail(oid4vp.ErrKeyBinding, "KB-JWT: signature")
	}
	if nonce, _ := kb.Payload["nonce"].(string); nonce != want.Nonce || nonce == "" {
		return none, oid4vp.Fail(oid4vp.ErrNonce, "KB-JWT")
	}
	if audience, _ := kb.Payload["aud"].(string); audience != want.Audience || audience == "" {
		return none, oid4vp.Fail(oid4vp.ErrAudience, "KB-JWT")
	}
	skew := want.Skew
	if skew == 0 {
		skew = DefaultSkew
	}
	issued, err := kb.Time("iat")
	switch {
	case err != nil:
		return none, err
	case issued.IsZero():
		return none, oid4vp.Fail(oid4vp.ErrMissing, "KB-JWT: iat")
	case issued.Before(want.Now.Add(-skew)) || issued.After(want.Now.Add(skew)):
		return none, oid4vp.Fail(oid4vp.ErrTime, "KB-JWT: iat")
	}
	if _, _, err := kb.Validity(want.Now, skew); err != nil {
		return none, err
	}
	if hash, _ := kb.Payload["sd_hash"].(string); hash != digest(t.hash, t.bound) {
		return none, oid4vp.Fail(oid4vp.ErrKeyBinding, "KB-JWT: sd_hash")
	}
	return oid4vp.Holder{Key: key, Method: "kb+jwt", IssuedAt: issued}, nil
}

// holderKey reads cnf.jwk (RFC 7800 §3.2).
func (t *Token) holderKey() (crypto.PublicKey, error) {
	confirmation, _ := t.Payload["cnf"].(map[string]any)
	member, ok := confirmation["jwk"].(map[string]any)
	if !ok {
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "SD-JWT: cnf.jwk")
	}
	text, err := json.Marshal(member)
	if err != nil {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: cnf.jwk")
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil || !key.Valid() || !key.IsPublic() {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT: cnf.jwk")
	}
	return key.Key, nil
}
