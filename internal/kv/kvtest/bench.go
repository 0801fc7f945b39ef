package kvtest

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anyid/anyid/internal/kv"
)

// Bench measures the verbs of a login on one store, as many callers at once as a busy broker has: 32
// for each processor. Values have the size of a stored login attempt, 700 bytes.
func Bench(b *testing.B, open func(b *testing.B) kv.Store) {
	s := open(b)
	value := strings.Repeat("0123456789", 70)
	var last atomic.Int64
	next := func() string { return "k" + strconv.FormatInt(last.Add(1), 10) }
	parallel := func(name string, f func(b *testing.B, key string) error) {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				key := next()
				for pb.Next() {
					if err := f(b, key); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
	if err := s.Set(b.Context(), "shared", value, long); err != nil {
		b.Fatal(err)
	}
	parallel("Get", func(b *testing.B, _ string) error {
		_, err := s.Get(b.Context(), "shared")
		return err
	})
	parallel("Set", func(b *testing.B, key string) error { return s.Set(b.Context(), key, value, long) })
	parallel("Add", func(b *testing.B, _ string) error {
		_, err := s.Add(b.Context(), next(), value, long)
		return err
	})
	parallel("AddTake", func(b *testing.B, _ string) error {
		key := next()
		if _, err := s.Add(b.Context(), key, value, long); err != nil {
			return err
		}
		_, err := s.Take(b.Context(), key)
		return err
	})
	parallel("Increment", func(b *testing.B, key string) error {
		_, err := s.Increment(b.Context(), "n"+key, long)
		return err
	})
}
