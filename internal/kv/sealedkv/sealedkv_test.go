package sealedkv

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/kvtest"
	"github.com/anyid/anyid/internal/kv/rediskv"
	"github.com/anyid/anyid/internal/kv/sqlkv"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/testserver"
)

func key(id string, b byte) secret.Key {
	return secret.Key{ID: id, Bytes: bytes.Repeat([]byte{b}, secret.KeySize)}
}

var older, newer, newest = key("k1", 1), key("k2", 2), key("k3", 3)

func wrap(tb testing.TB, inner kv.Store, keys ...secret.Key) *Store {
	tb.Helper()
	s, err := New(inner, keys...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func openSQL(tb testing.TB) kv.Store {
	tb.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(tb.TempDir(), "kv.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=busy_timeout(5000)")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	closeAfter(tb, db.Close)
	s, err := sqlkv.Open(tb.Context(), db, sqlkv.SQLite, time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, s.Close)
	return s
}

func openRedis(tb testing.TB) kv.Store {
	tb.Helper()
	addr, db := testserver.Redis(tb)
	s, err := rediskv.Dial(rediskv.Config{Addrs: []string{addr}, DB: db})
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, s.Close)
	return s
}

func closeAfter(tb testing.TB, closing func() error) {
	tb.Cleanup(func() {
		if err := closing(); err != nil {
			tb.Error(err)
		}
	})
}

var engines = map[string]func(testing.TB) kv.Store{"sqlite": openSQL, "redis": openRedis}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kvtest.Run(t, func(t *testing.T) kv.Store { return wrap(t, open(t), newer) })
		})
		t.Run(name+" with an older key", func(t *testing.T) {
			t.Parallel()
			kvtest.Run(t, func(t *testing.T) kv.Store { return wrap(t, open(t), newer, older) })
		})
	}
}

func BenchmarkStore(b *testing.B) {
	for name, open := range engines {
		b.Run(name, func(b *testing.B) { kvtest.Bench(b, func(b *testing.B) kv.Store { return wrap(b, open(b), newer) }) })
	}
}

// each runs a test on a store of each engine.
func each(t *testing.T, test func(t *testing.T, inner kv.Store)) {
	t.Helper()
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// TestHidden: nothing of a value stands in the other store, and equal values stand there alike under one key only.
func TestHidden(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, inner kv.Store) {
		s, ctx := wrap(t, inner, newer, older), t.Context()
		const value = `{"person":"p-12345","name":"홍길동"}`
		write := map[string]func(key string) error{
			"set": func(key string) error { return s.Set(ctx, key, value, time.Minute) },
			"add": func(key string) error {
				_, err := s.Add(ctx, key, value, time.Minute)
				return err
			},
			"swap": func(key string) error {
				if err := s.Set(ctx, key, "old", time.Minute); err != nil {
					return err
				}
				_, err := s.CompareAndSwap(ctx, key, "old", value, time.Minute)
				return err
			},
		}
		seen := map[string]bool{}
		for verb, do := range write {
			for range 2 {
				if err := do(verb); err != nil {
					t.Fatal(err)
				}
				if verb == "add" {
					continue
				}
				stored, err := inner.Get(ctx, verb)
				if err != nil || strings.Contains(stored, "p-12345") || strings.Contains(stored, "홍") || !strings.HasPrefix(stored, "k2.") {
					t.Errorf("%s stores %q, %v", verb, stored, err)
				}
				seen[stored] = true
			}
		}
		if len(seen) != 2 {
			t.Errorf("one value under two keys is stored in %d ways", len(seen))
		}
	})
}

// TestForged: whoever writes the other store makes up no value, and moves none to another key.
func TestForged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, inner kv.Store) {
		s, ctx := wrap(t, inner, newer, older), t.Context()
		if err := s.Set(ctx, "session:mine", "a session", time.Minute); err != nil {
			t.Fatal(err)
		}
		mine, err := inner.Get(ctx, "session:mine")
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := secret.NewSIV(key("k2", 9))
		if err != nil {
			t.Fatal(err)
		}
		for name, planted := range map[string]string{
			"plain": "a session", "empty": "", "JSON": `{"person":"p"}`, "of another key": mine, "sealed by others": theirs.Seal("a session", "session:x"),
			"of a key that is unknown": newSealed(t, newest, "a session", "session:x"), "cut off": mine[:len(mine)-1], "minus": "-1", "long number": strings.Repeat("1", 19), "not ASCII": "९",
		} {
			for verb, do := range map[string]func() (string, error){
				"get":  func() (string, error) { return s.Get(ctx, "session:x") },
				"take": func() (string, error) { return s.Take(ctx, "session:x") },
			} {
				if err := inner.Set(ctx, "session:x", planted, time.Minute); err != nil {
					t.Fatal(err)
				}
				got, err := do()
				if got != "" || !errors.Is(err, secret.ErrSealed) || errors.Is(err, kv.ErrNotFound) || fault.CodeOf(err) != fault.Internal {
					t.Errorf("%s of a value that is %s: %q, %v", verb, name, got, err)
				} else if planted != "" && strings.Contains(err.Error(), planted) || strings.Contains(err.Error(), "session:x") {
					t.Errorf("the error says too much: %v", err)
				}
			}
			if err := inner.Set(ctx, "session:x", planted, time.Minute); err != nil {
				t.Fatal(err)
			}
			if ok, err := s.CompareAndSwap(ctx, "session:x", "a session", "another", time.Minute); ok || err != nil {
				t.Errorf("swap of a value that is %s: %v, %v", name, ok, err)
			}
			if stored, err := inner.Get(ctx, "session:x"); stored != planted || err != nil {
				t.Errorf("a swap of a value that is %s leaves %q, %v", name, stored, err)
			}
		}
	})
}

func newSealed(t *testing.T, k secret.Key, plain, record string) string {
	t.Helper()
	siv, err := secret.NewSIV(k)
	if err != nil {
		t.Fatal(err)
	}
	return siv.Seal(plain, record)
}

// TestRotation: while a key is changed, instances that seal with the old one and with the new one work on the same
// values.
func TestRotation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, inner kv.Store) {
		ctx := t.Context()
		before, between, after := wrap(t, inner, older, newer), wrap(t, inner, newer, older), wrap(t, inner, newest, newer, older)
		step := func(s *Store, old, next string, want bool) {
			t.Helper()
			if ok, err := s.CompareAndSwap(ctx, "a", old, next, time.Minute); ok != want || err != nil {
				t.Errorf("swap of %q: %v, %v", old, ok, err)
			}
		}
		if err := before.Set(ctx, "a", "one", time.Minute); err != nil {
			t.Fatal(err)
		}
		step(between, "none", "two", false)
		step(between, "one", "two", true)
		step(before, "one", "three", false)
		step(before, "two", "three", true)
		step(after, "three", "four", true)
		step(between, "four", "five", false) // it does not have that key
		if v, err := after.Get(ctx, "a"); v != "four" || err != nil {
			t.Errorf("get: %q, %v", v, err)
		}
		if _, err := before.Get(ctx, "a"); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("get without the key: %v", err)
		}
		if ok, err := before.Add(ctx, "a", "five", time.Minute); ok || err != nil {
			t.Errorf("add: %v, %v", ok, err)
		}
		if v, err := after.Take(ctx, "a"); v != "four" || err != nil {
			t.Errorf("take: %q, %v", v, err)
		}
		step(after, "four", "five", false)
	})
}

// swapped is a store in which another instance seals the value anew right before a swap.
type swapped struct {
	kv.Store
	before func()
}

func (s *swapped) CompareAndSwap(ctx context.Context, key, old, next string, ttl time.Duration) (bool, error) {
	if before := s.before; before != nil {
		s.before = nil
		before()
	}
	return s.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// TestSealedAnew: a value that never changes is swapped, whoever seals it anew meanwhile.
func TestSealedAnew(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, inner kv.Store) {
		ctx := t.Context()
		before, racing := wrap(t, inner, older), &swapped{Store: inner}
		between := wrap(t, racing, newer, older)
		if err := between.Set(ctx, "a", "one", time.Minute); err != nil {
			t.Fatal(err)
		}
		racing.before = func() {
			if err := before.Set(ctx, "a", "one", time.Minute); err != nil {
				t.Error(err)
			}
		}
		if ok, err := between.CompareAndSwap(ctx, "a", "one", "two", time.Minute); !ok || err != nil {
			t.Errorf("swap: %v, %v", ok, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]secret.Key{"none": nil, "twice": {older, older}, "short": {{ID: "k1", Bytes: []byte("short")}}} {
		if _, err := New(nil, keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
