// Package kv holds what may be forgotten: login attempts, authorization codes, access-token handles,
// SSO sessions, replay marks and rate counters. Everything in it expires.
//
// The interface is six verbs that each engine can do atomically in one round trip. Package sqlkv does
// them on a SQL database (the embedded default, nothing lost on restart), package rediskv on Redis,
// Sentinel or Cluster. Package kvtest is the contract as tests.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrNotFound says that no live value stands under the key: never written, taken, or expired.
var ErrNotFound = errors.New("kv: not found")

// ErrNotCount says that Increment met a value that is not a decimal count.
var ErrNotCount = errors.New("kv: the value is not a count")

// Store is a map from key to text with expiry. All methods are safe for concurrent use, by several
// processes too, and are linearizable per key. A ttl is positive and is kept to the millisecond; an
// expired value is gone for every verb at once. Keys and values are UTF-8 text; a key has at most
// 200 bytes. A call outside that (see CheckKey and CheckWrite) changes nothing and gives an error
// without a fault code. Errors other than these, ErrNotFound and ErrNotCount mean that the store could
// not be reached and carry fault.Unavailable; the operation may or may not have happened.
type Store interface {
	// Get returns the value under key, or ErrNotFound.
	Get(ctx context.Context, key string) (string, error)
	// Set writes the value, whatever stood there before.
	Set(ctx context.Context, key, value string, ttl time.Duration) error
	// Add writes the value if the key is free, and reports whether it did: the single-use mark.
	Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error)
	// Take returns the value and removes it in one step, or ErrNotFound: of any number of callers
	// one gets it. Taking is also how a value is deleted.
	Take(ctx context.Context, key string) (string, error)
	// CompareAndSwap replaces old by new and sets the new ttl if the key still holds exactly old, and
	// reports whether it did. An absent key holds nothing, so it never swaps.
	CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error)
	// Increment adds one to the counter under key and returns the new count. The first increment
	// sets the ttl; later ones leave it, so the counter is a fixed window. The value is decimal text;
	// a value that is not a count is left alone and gives ErrNotCount.
	Increment(ctx context.Context, key string, ttl time.Duration) (int64, error)
}

// CheckKey returns an error unless key is what a Store takes: 1 to 200 bytes of UTF-8 without NUL, which
// PostgreSQL cannot hold. Each engine checks first, so that all refuse the same.
func CheckKey(key string) error {
	if key == "" || len(key) > 200 || !isText(key) {
		return errors.New("kv: a key must be 1 to 200 bytes of UTF-8 without NUL")
	}
	return nil
}

// CheckWrite returns the ttl in whole milliseconds, rounded up, or an error unless key, ttl and values
// are what a Store takes: a ttl is positive, values are UTF-8 without NUL.
func CheckWrite(key string, ttl time.Duration, values ...string) (milliseconds int64, err error) {
	if err := CheckKey(key); err != nil {
		return 0, err
	}
	for _, v := range values {
		if !isText(v) {
			return 0, errors.New("kv: a value must be UTF-8 without NUL")
		}
	}
	if ttl <= 0 {
		return 0, fmt.Errorf("kv: the ttl %s is not positive", ttl)
	}
	milliseconds = int64(ttl / time.Millisecond)
	if ttl%time.Millisecond != 0 {
		milliseconds++
	}
	return milliseconds, nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// GetJSON reads the value under key into a new T, and returns the text too, for CompareAndSwap.
func GetJSON[T any](ctx context.Context, s Store, key string) (v T, text string, err error) {
	text, err = s.Get(ctx, key)
	if err != nil {
		return v, "", err
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, "", fmt.Errorf("kv: value under %q: %w", key, err)
	}
	return v, text, nil
}

// SetJSON writes v as JSON under key.
func SetJSON(ctx context.Context, s Store, key string, v any, ttl time.Duration) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("kv: encode value for %q: %w", key, err)
	}
	return s.Set(ctx, key, string(text), ttl)
}
