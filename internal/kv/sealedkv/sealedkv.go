// Package sealedkv is a kv.Store around another one that seals what is written: who can read that other store, its
// files or its network, learns nothing from the values, and who can write it cannot make up a session or a login, nor
// move one from key to key. What they can still do is put an older value of a key back, delete, and see when.
//
// A value is sealed with AES-256-GCM under a nonce made of key and value (secret.SIV, which says how), so that equal
// values under one key are stored alike and CompareAndSwap compares them where they lie.
//
// Counters stay plain text, because the other store counts: every value of 1 to 18 decimal digits is written as it
// is. So a number is neither hidden nor vouched for; nothing may depend on one that its writer could not choose.
package sealedkv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
)

// Store is the sealing kv.Store.
type Store struct {
	inner kv.Store
	siv   *secret.SIV
}

var _ kv.Store = (*Store)(nil)

// New returns a store that seals with the first key what it writes to inner, and opens what any of the keys sealed.
// The keys are 32 bytes each, as for secret.NewBox, and may be the same.
func New(inner kv.Store, keys ...secret.Key) (*Store, error) {
	siv, err := secret.NewSIV(keys...)
	if err != nil {
		return nil, fmt.Errorf("sealedkv: %w", err)
	}
	return &Store{inner: inner, siv: siv}, nil
}

// Close closes the store inside, if that can be closed.
func (s *Store) Close() error {
	if closer, ok := s.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// maxCount is how many digits every engine still counts.
const maxCount = 18

func isCount(value string) bool {
	return value != "" && len(value) <= maxCount && strings.Trim(value, "0123456789") == ""
}

func (s *Store) seal(key, value string) string {
	if isCount(value) {
		return value
	}
	return s.siv.Seal(value, key)
}

// open returns the value that was stored under key. Its error has no fault code, says nothing of what is stored, and
// of the key only what it is for: the rest may be a handle's hash.
func (s *Store) open(key, stored string) (string, error) {
	if isCount(stored) {
		return stored, nil
	}
	value, err := s.siv.Open(stored, key)
	if err != nil {
		use, _, _ := strings.Cut(key, ":")
		return "", fmt.Errorf("sealedkv: value of a key %.16q: %w", use, err)
	}
	return value, nil
}

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) (string, error) {
	stored, err := s.inner.Get(ctx, key)
	if err != nil {
		return "", err
	}
	return s.open(key, stored)
}

// Set implements kv.Store.
func (s *Store) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	if _, err := kv.CheckWrite(key, ttl, value); err != nil {
		return err
	}
	return s.inner.Set(ctx, key, s.seal(key, value), ttl)
}

// Add implements kv.Store.
func (s *Store) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	if _, err := kv.CheckWrite(key, ttl, value); err != nil {
		return false, err
	}
	return s.inner.Add(ctx, key, s.seal(key, value), ttl)
}

// Take implements kv.Store. A value that does not open is gone with the error.
func (s *Store) Take(ctx context.Context, key string) (string, error) {
	stored, err := s.inner.Take(ctx, key)
	if err != nil {
		return "", err
	}
	return s.open(key, stored)
}

// CompareAndSwap implements kv.Store. The value may still be sealed by an older key: where there are several keys, a
// swap that fails reads what stands there, and tries again from that if it says the same.
func (s *Store) CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error) {
	if _, err := kv.CheckWrite(key, ttl, old, new); err != nil {
		return false, err
	}
	for from, to := s.seal(key, old), s.seal(key, new); ; {
		ok, err := s.inner.CompareAndSwap(ctx, key, from, to, ttl)
		if ok || err != nil || s.siv.Keys() == 1 {
			return ok, err
		}
		switch from, err = s.inner.Get(ctx, key); {
		case errors.Is(err, kv.ErrNotFound):
			return false, nil
		case err != nil:
			return false, err
		}
		if value, err := s.open(key, from); err != nil || value != old {
			return false, nil //nolint:nilerr // what does not open is not old
		}
	}
}

// Increment implements kv.Store.
func (s *Store) Increment(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	return s.inner.Increment(ctx, key, ttl)
}
