package sim

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fault is one way in which a simulator can misbehave.
type Fault struct {
	Name    string `json:"name"`    // lower case with hyphens: "wrong-signature"
	Meaning string `json:"meaning"` // what the counterpart does while it is on
}

// Switch is a fault that is on.
type Switch struct {
	Name string `json:"name"`
	// Uses is after how many strikes it goes off by itself; 0 means never.
	Uses int `json:"uses,omitempty"`
	// Only limits it to calls with that key: a receipt, a phone number, a provider or an operation,
	// as the simulator's table says; empty means every call.
	Only string `json:"only,omitempty"`
	// DelayMS is how long a fault that is about time takes, in milliseconds; 0 means the fault's own.
	DelayMS int `json:"delay_ms,omitempty"`
}

// Delay is DelayMS, or usual where it is 0.
func (s Switch) Delay(usual time.Duration) time.Duration {
	return cmp.Or(time.Duration(s.DelayMS)*time.Millisecond, usual)
}

// Faults is a simulator's table of faults and which of them are on. It is safe for concurrent use, and
// costs one atomic load per question while none is on.
type Faults struct {
	table []Fault
	some  atomic.Bool
	mu    sync.Mutex
	on    map[string]*Switch
}

// NewFaults returns a registry of the faults in table, all off.
func NewFaults(table ...Fault) *Faults {
	return &Faults{table: table, on: map[string]*Switch{}}
}

// Table lists every fault that the simulator knows, in the order of its documentation.
func (f *Faults) Table() []Fault { return slices.Clone(f.table) }

// On lists the faults that are on, by name.
func (f *Faults) On() []Switch {
	f.mu.Lock()
	defer f.mu.Unlock()
	on := make([]Switch, 0, len(f.on))
	for _, name := range slices.Sorted(maps.Keys(f.on)) {
		on = append(on, *f.on[name])
	}
	return on
}

// Set switches a fault on, or changes the one that is on.
func (f *Faults) Set(s Switch) error {
	if !slices.ContainsFunc(f.table, func(known Fault) bool { return known.Name == s.Name }) {
		return fmt.Errorf("sim: unknown fault %q", s.Name)
	}
	if s.Uses < 0 || s.DelayMS < 0 {
		return fmt.Errorf("sim: fault %q: uses and delay_ms are not negative", s.Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on[s.Name] = &s
	f.some.Store(true)
	return nil
}

// Clear switches the named faults off, or all of them when none is named.
func (f *Faults) Clear(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(names) == 0 {
		clear(f.on)
	}
	for _, name := range names {
		delete(f.on, name)
	}
	f.some.Store(len(f.on) > 0)
}

// Strike reports whether the fault hits a call with these keys, and counts the use.
func (f *Faults) Strike(name string, keys ...string) (Switch, bool) {
	if !f.some.Load() {
		return Switch{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, on := f.on[name]
	if !on || s.Only != "" && !slices.Contains(keys, s.Only) {
		return Switch{}, false
	}
	struck := *s
	if s.Uses > 0 {
		if s.Uses--; s.Uses == 0 {
			delete(f.on, name)
			f.some.Store(len(f.on) > 0)
		}
	}
	return struck, true
}

// Handler is the JSON API of the registry. GET answers {"table":[Fault…],"on":[Switch…]}, POST takes a
// Switch and turns it on, DELETE turns all off, or the one in the query's name. POST and DELETE answer
// like GET.
func (f *Faults) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPost:
			var s Switch
			err := ReadJSON(w, r, &s)
			if err == nil {
				err = f.Set(s)
			}
			if err != nil {
				WriteError(w, http.StatusBadRequest, err.Error())
				return
			}
		case http.MethodDelete:
			if name := r.URL.Query().Get("name"); name != "" {
				f.Clear(name)
			} else {
				f.Clear()
			}
		default:
			w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
			WriteError(w, http.StatusMethodNotAllowed, "method not allowed")
			return
		}
		WriteJSON(w, http.StatusOK, struct {
			Table []Fault  `json:"table"`
			On    []Switch `json:"on"`
		}{f.table, f.On()})
	})
}
