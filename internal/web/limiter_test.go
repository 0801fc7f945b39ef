package web

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/kv"
)

// counters is a kv.Store of which the limiter uses Increment only.
type counters struct {
	kv.Store
	mu   sync.Mutex
	n    map[string]int64
	down error
}

func (c *counters) Increment(_ context.Context, key string, _ time.Duration) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down != nil {
		return 0, c.down
	}
	c.n[key]++
	return c.n[key], nil
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	store := &counters{n: map[string]int64{}}
	now := time.Date(2026, 11, 1, 12, 0, 10, 0, time.UTC)
	l, err := NewLimiter(store, []byte("key"), map[string]Limit{
		"push": {Count: 2, Window: time.Minute}, "page": {},
	}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	allow := func(class, key string) (bool, time.Duration) {
		t.Helper()
		ok, after, err := l.Allow(t.Context(), class, key)
		if err != nil {
			t.Fatal(err)
		}
		return ok, after
	}
	for range 2 {
		if ok, _ := allow("push", "203.0.113.7"); !ok {
			t.Error("refused within the limit")
		}
	}
	if ok, after := allow("push", "203.0.113.7"); ok || after != 50*time.Second {
		t.Errorf("third: %t, retry after %s", ok, after)
	}
	if ok, _ := allow("push", "203.0.113.8"); !ok {
		t.Error("another caller is refused")
	}
	now = now.Add(50 * time.Second)
	if ok, _ := allow("push", "203.0.113.7"); !ok {
		t.Error("refused in the next window")
	}
	for range 100 {
		if ok, _ := allow("page", "203.0.113.7"); !ok {
			t.Error("refused without a limit")
		}
	}
	for key := range store.n {
		if strings.Contains(key, "203.0.113") || len(key) > 200 {
			t.Errorf("key %q", key)
		}
	}
	if _, _, err := l.Allow(t.Context(), "unknown", "k"); err == nil {
		t.Error("unknown class passes")
	}
	store.down = errors.New("down")
	if ok, _, err := l.Allow(t.Context(), "push", "k"); ok || !errors.Is(err, store.down) {
		t.Errorf("store down: %t %v", ok, err)
	}
	if _, err := NewLimiter(store, nil, map[string]Limit{"x": {Count: 1}}, time.Now); err == nil {
		t.Error("a limit without window is accepted")
	}
}

func TestAddrKey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"203.0.113.7": "203.0.113.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64"} {
		if got := AddrKey(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
