package site

import "testing"

func TestByLaw(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		basis           string
		items, required []string
		want            bool
	}{
		"a law and what it covers":     {"법", []string{"name", "birthdate"}, []string{"name", "birthdate"}, true},
		"no law":                       {"", []string{"name"}, []string{"name"}, false},
		"something voluntary among it": {"법", []string{"name", "phone_number"}, []string{"name"}, false},
		"nothing at all":               {"법", nil, nil, true},
	}
	for name, tt := range tests {
		if got := (HandOver{Basis: tt.basis}).ByLaw(tt.items, tt.required); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
