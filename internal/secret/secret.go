// Package secret holds the broker's small uses of cryptography for its own secrets: a box that seals
// what is stored, a keyed index that finds a sealed value again, and opaque handles. Signing is package
// keys; nothing else in the broker touches a cipher.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// KeySize is the length in bytes of every key in this package.
const KeySize = 32

// Key is one sealing key. The ID stands in front of everything that it seals, so that keys can be
// rotated: lower-case letters, digits and hyphens, at most 32 characters.
type Key struct {
	ID    string
	Bytes []byte // KeySize bytes
}

// Box seals and opens short texts with AES-256-GCM (NIST SP 800-38D). It is safe for concurrent use.
type Box struct {
	sealing string
	aeads   map[string]cipher.AEAD
}

// NewBox returns a box that seals with the first key and opens what any of the keys sealed.
func NewBox(keys ...Key) (*Box, error) {
	if len(keys) == 0 {
		return nil, errors.New("secret: a box needs a key")
	}
	b := &Box{sealing: keys[0].ID, aeads: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if k.ID == "" || len(k.ID) > 32 || strings.Trim(k.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, fmt.Errorf("secret: %q is no key id", k.ID)
		}
		if _, twice := b.aeads[k.ID]; twice {
			return nil, fmt.Errorf("secret: key id %q stands twice", k.ID)
		}
		if len(k.Bytes) != KeySize {
			return nil, fmt.Errorf("secret: key %q has %d bytes, want %d", k.ID, len(k.Bytes), KeySize)
		}
		block, err := aes.NewCipher(k.Bytes)
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", k.ID, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", k.ID, err)
		}
		b.aeads[k.ID] = aead
	}
	return b, nil
}

// Seal returns plain sealed as "keyid.base64url", bound to the record that it belongs to: it opens
// only with the same record.
func (b *Box) Seal(plain []byte, record string) string {
	sealed := b.aeads[b.sealing].Seal(nil, nil, plain, []byte(record))
	return b.sealing + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// ErrSealed says that a sealed text does not open: altered, moved to another record, or sealed with a
// key that the box does not have.
var ErrSealed = errors.New("secret: sealed text does not open")

// Open returns what Seal sealed for the record, or ErrSealed.
func (b *Box) Open(sealed, record string) ([]byte, error) {
	id, text, ok := strings.Cut(sealed, ".")
	aead := b.aeads[id]
	if !ok || aead == nil || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, ErrSealed
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrSealed
	}
	plain, err := aead.Open(nil, nil, raw, []byte(record))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Index is a keyed hash (HMAC-SHA-256) under which a secret value is found without being readable.
type Index struct{ key []byte }

// NewIndex returns an index with a key of KeySize bytes.
func NewIndex(key []byte) (*Index, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("secret: index key has %d bytes, want %d", len(key), KeySize)
	}
	return &Index{key: key}, nil
}

// Of returns the 43 character index of the parts. Parts are delimited, so that no two lists of parts
// collide, and the first names the use, so that one value has another index in each.
func (x *Index) Of(use string, parts ...string) string {
	mac := hmac.New(sha256.New, x.key)
	var text [128]byte // most lists fit: no garbage on the way of a login
	list := appendPart(text[:0], use)
	for _, p := range parts {
		list = appendPart(list, p)
	}
	mac.Write(list)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// appendPart appends the part with its length in front.
func appendPart(list []byte, part string) []byte {
	list = strconv.AppendInt(list, int64(len(part)), 10)
	list = append(list, ':')
	list = append(list, part...)
	return append(list, ',')
}

// NewHandle returns an opaque handle: 256 random bits as 43 base64url characters.
func NewHandle() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand.Read)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// NewID returns an identifier that is unique and not guessable, but no secret: 130 random bits as
// 26 lower-case characters.
func NewID() string { return strings.ToLower(rand.Text()) }

// Hash is how a handle is stored: its SHA-256 as 43 base64url characters. A handle is random, so it
// needs neither salt nor a slow hash.
func Hash(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Equal compares two texts in time that depends on their lengths only.
func Equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
