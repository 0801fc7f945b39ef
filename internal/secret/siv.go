package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"
)

// SIV seals like Box, but one text for one record always alike, so that a sealed text can be compared where it is
// stored. What that gives away is when a record's text is one that it had before.
//
// It is AES-256-GCM with a synthetic nonce: the first 12 bytes of an HMAC-SHA-256 of the record and the text, under
// a key of its own. That is the SIV construction (RFC 5297; RFC 8452 is the same idea with another hash), whose nonce
// comes again with the same record and text only. As with random nonces, two different ones share a nonce by chance
// after 2^32 texts under one key with a probability of 2^-33; a key of a busy service is changed before.
//
// SIV is safe for concurrent use.
type SIV struct {
	keys []*sivKey // the first seals
	byID map[string]*sivKey
}

type sivKey struct {
	prefix string // the id with its dot
	aead   cipher.AEAD
	bench  sync.Pool // of *sivBench
}

// sivBench is what one call works with. Keying a hash costs more than using it, and the buffer saves as much again.
type sivBench struct {
	mac    hash.Hash
	sum    [sha256.Size]byte
	buffer []byte
}

// maxBench bounds the buffers that are kept.
const maxBench = 64 << 10

const (
	sivNonce = 12
	sivTag   = 16
)

// NewSIV returns one that seals with the first key and opens what any of the keys sealed. The keys may be those of a
// Box: what is used here is derived from them (HKDF, RFC 5869).
func NewSIV(keys ...Key) (*SIV, error) {
	if _, err := NewBox(keys...); err != nil { // the rules for keys are the same
		return nil, err
	}
	s := &SIV{byID: make(map[string]*sivKey, len(keys))}
	for _, k := range keys {
		derived, err := hkdf.Key(sha256.New, k.Bytes, nil, "anyid siv", 2*KeySize)
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", k.ID, err)
		}
		block, err := aes.NewCipher(derived[:KeySize])
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", k.ID, err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, fmt.Errorf("secret: key %q: %w", k.ID, err)
		}
		key := &sivKey{prefix: k.ID + ".", aead: aead}
		key.bench.New = func() any { return &sivBench{mac: hmac.New(sha256.New, derived[KeySize:])} }
		s.keys, s.byID[k.ID] = append(s.keys, key), key
	}
	return s, nil
}

// Seal returns plain sealed as "keyid.base64url" and bound to the record, as Box.Seal does: the same text whenever
// it is called.
func (s *SIV) Seal(plain, record string) string { return s.keys[0].seal(plain, record) }

// Keys is how many keys there are: with one, a text and record have one sealed form.
func (s *SIV) Keys() int { return len(s.keys) }

// Open returns what Seal sealed for the record, or ErrSealed.
func (s *SIV) Open(sealed, record string) (string, error) {
	id, text, ok := strings.Cut(sealed, ".")
	k := s.byID[id]
	if !ok || k == nil {
		return "", ErrSealed
	}
	w := k.take()
	defer k.putBack(w)
	w.buffer = slices.Grow(append(w.buffer, record...), len(text)+len(text)) // the text, and less for what it says
	w.buffer = append(w.buffer, text...)
	ad, code := w.buffer[:len(record)], w.buffer[len(record):]
	raw := w.buffer[len(w.buffer):cap(w.buffer)]
	n, err := strictBase64.Decode(raw, code)
	if raw = raw[:n]; err != nil || n < sivNonce+sivTag || n != strictBase64.DecodedLen(len(code)) { // it skips line ends
		return "", ErrSealed
	}
	plain, err := k.aead.Open(raw[sivNonce:sivNonce], raw[:sivNonce], raw[sivNonce:], ad)
	if err != nil {
		return "", ErrSealed
	}
	return string(plain), nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

func (k *sivKey) seal(plain, record string) string {
	w := k.take()
	defer k.putBack(w)
	// The buffer holds the record, what is sealed (nonce, text, tag), and its base64.
	size, start := sivNonce+len(plain)+sivTag, len(record)
	w.buffer = slices.Grow(w.buffer, start+size+len(k.prefix)+base64.RawURLEncoding.EncodedLen(size))
	w.buffer = append(w.buffer, record...)
	w.buffer = append(w.buffer[:start+sivNonce], plain...)
	ad, nonce, text := w.buffer[:start], w.buffer[start:start+sivNonce], w.buffer[start+sivNonce:]
	w.nonce(nonce, text, ad)
	w.buffer = k.aead.Seal(w.buffer[:start+sivNonce], nonce, text, ad)
	w.buffer = append(w.buffer, k.prefix...)
	w.buffer = base64.RawURLEncoding.AppendEncode(w.buffer, w.buffer[start:start+size])
	return string(w.buffer[start+size:])
}

// nonce writes the synthetic nonce: HMAC-SHA-256 of the record's length, the record and the text, cut off.
func (w *sivBench) nonce(nonce, plain, record []byte) {
	w.mac.Reset()
	_, _ = w.mac.Write(binary.BigEndian.AppendUint64(w.sum[:0], uint64(len(record))))
	_, _ = w.mac.Write(record)
	_, _ = w.mac.Write(plain)
	copy(nonce, w.mac.Sum(w.sum[:0]))
}

func (k *sivKey) take() *sivBench {
	w, _ := k.bench.Get().(*sivBench)
	return w
}

// putBack keeps what was worked with for another call, without what was worked on.
func (k *sivKey) putBack(w *sivBench) {
	if cap(w.buffer) > maxBench {
		w.buffer = nil
	}
	clear(w.buffer[:cap(w.buffer)])
	w.buffer = w.buffer[:0]
	k.bench.Put(w)
}
