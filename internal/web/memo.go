package web

import "sync"

// memo remembers values by text, such as what was worked out for it before. It never holds more than limit
// of them: when it is full it forgets all, which is rare where the texts are few, and harmless elsewhere.
type memo struct {
	limit int
	mu    sync.RWMutex
	held  map[string]string
}

func (m *memo) get(text string) (value string, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok = m.held[text]
	return value, ok
}

func (m *memo) put(text, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil || len(m.held) >= m.limit {
		m.held = make(map[string]string)
	}
	m.held[text] = value
}
