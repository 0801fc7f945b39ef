package qnet

import (
	"sync"
	"time"
)

const (
	failWindow     = 5 * time.Minute
	failsPerID     = 5
	failsPerClient = 50
)

// limiter slows the guessing of passwords: it counts failed logins per key in windows of failWindow.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex
	since time.Time
	fails map[string]int
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, since: now(), fails: map[string]int{}}
}

// take counts an attempt under key and tells whether it may go on. Counting first keeps attempts at
// the same time from slipping through; a good password undoes it.
func (l *limiter) take(key string, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= failWindow {
		l.since = now
		clear(l.fails)
	}
	if l.fails[key] >= limit {
		return false
	}
	l.fails[key]++
	return true
}

// giveBack uncounts one attempt. Forgetting all of them would let a client with one good password
// guess at others for ever.
func (l *limiter) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails[key] = max(0, l.fails[key]-1)
}

// forget uncounts all attempts under key.
func (l *limiter) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.fails, key)
}
