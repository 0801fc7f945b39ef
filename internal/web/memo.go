package web

import "sync"

// memo remembers values by text, such as what was worked out for it before. It never holds more than limit
// of them: when it is full it forgets all, which is rare where the texts are few, and harmless elsewhere.
type memo[V any] struct {
	limit int
	mu    sync.RWMutex
	held  map[string]V
}

func (m *memo[V]) get(text string) (v V, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok = m.held[text]
	return v, ok
}

func (m *memo[V]) put(text string, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil || len(m.held) >= m.limit {
		m.held = make(map[string]V)
	}
	m.held[text] = v
}
