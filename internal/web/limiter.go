package web

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/anyid/anyid/internal/kv"
)

// Limit is how many requests of a class one caller may make in a window. A Count of 0 is no limit.
type Limit struct {
	Count  int64
	Window time.Duration
}

// Limiter counts requests per class and caller in fixed windows, over all instances that share the
// store. Callers are kept as keyed hashes only.
type Limiter struct {
	store  kv.Store
	key    []byte
	limits map[string]Limit
	now    func() time.Time
}

// NewLimiter returns a limiter with one limit per class. The key hashes callers and is the same on
// all instances; now is time.Now.
func NewLimiter(store kv.Store, key []byte, limits map[string]Limit, now func() time.Time) (*Limiter, error) {
	for class, l := range limits {
		if l.Count < 0 || l.Count > 0 && l.Window < time.Second {
			return nil, fmt.Errorf("web: limit of %q: want a count of 0 or more and a window of at least a second", class)
		}
	}
	return &Limiter{store: store, key: key, limits: limits, now: now}, nil
}

// Allow counts one request of the class by the caller key (an address from AddrKey, a client id) and
// reports whether it is within the limit; if not, when the next window opens. On an error of the
// store nothing is known, and the caller of Allow decides.
func (l *Limiter) Allow(ctx context.Context, class, key string) (ok bool, retryAfter time.Duration, err error) {
	limit, known := l.limits[class]
	if !known {
		return false, 0, fmt.Errorf("web: no limit is set for class %q", class)
	}
	if limit.Count == 0 {
		return true, 0, nil
	}
	now := l.now()
	opened := now.Truncate(limit.Window)
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(class + "\x00" + key))
	name := "rate:" + class + ":" + hex.EncodeToString(mac.Sum(nil)[:16]) + ":" + strconv.FormatInt(opened.Unix(), 36)
	n, err := l.store.Increment(ctx, name, limit.Window)
	if err != nil {
		return false, 0, fmt.Errorf("web: count request: %w", err)
	}
	if n > limit.Count {
		return false, opened.Add(limit.Window).Sub(now), nil
	}
	return true, 0, nil
}

// AddrKey is the caller key of an address: the address itself for IPv4, its /64 network for IPv6,
// because one subscriber has all of that.
func AddrKey(addr netip.Addr) string {
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.String()
		}
	}
	return addr.String()
}
