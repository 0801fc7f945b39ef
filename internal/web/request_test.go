package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		remote    string
		forwarded []string
		want      string
	}{
		{"no proxy", "203.0.113.7:4711", nil, "203.0.113.7"},
		{"header from a stranger is not believed", "203.0.113.7:4711", []string{"198.51.100.1"}, "203.0.113.7"},
		{"one proxy", "10.0.0.1:80", []string{"198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:80", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"forged left part", "10.0.0.1:80", []string{"1.2.3.4, 198.51.100.1"}, "198.51.100.1"},
		{"several header lines", "10.0.0.1:80", []string{"1.2.3.4", "198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"all trusted", "10.0.0.1:80", []string{"10.0.0.3", "10.0.0.2"}, "10.0.0.3"},
		{"garbage stops the walk", "10.0.0.1:80", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty element stops the walk", "10.0.0.1:80", []string{"198.51.100.1,"}, "10.0.0.1"},
		{"with ports", "[fd00::1]:80", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"mapped IPv4", "[::ffff:10.0.0.1]:80", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"zone is dropped", "[fe80::1%eth0]:80", nil, "fe80::1"},
		{"Unix socket", "@", []string{"198.51.100.1"}, "invalid IP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = tt.remote
			r.Header["X-Forwarded-For"] = tt.forwarded
			var got netip.Addr
			h := ClientAddresses(proxies)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = ClientAddr(r.Context()) }))
			h.ServeHTTP(httptest.NewRecorder(), r)
			if got.String() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzClientAddr(f *testing.F) {
	f.Add("10.0.0.1:80", "1.2.3.4, 198.51.100.1", "10.0.0.2")
	f.Add("[fd00::1]:80", "[2001:db8::1]:443,,", "unknown")
	f.Add("203.0.113.7:1", "", ",")
	f.Fuzz(func(t *testing.T, remote, first, second string) {
		got := clientAddr(remote, []string{first, second}, proxies)
		peer := parseAddr(remote)
		if !contains(proxies, peer) && got != peer {
			t.Fatalf("%q %q %q: believed a stranger: %s", remote, first, second, got)
		}
		if got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q %q %q: not normal: %s", remote, first, second, got)
		}
		// The address was read off one of the inputs, nothing in between.
		if got != peer {
			found := false
			for part := range strings.SplitSeq(first+","+second, ",") {
				found = found || parseAddr(strings.TrimSpace(part)) == got
			}
			if !found {
				t.Fatalf("%q %q %q: %s stands nowhere", remote, first, second, got)
			}
		}
	})
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	h := RequestIDs()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[RequestID(r.Context())] = true }))
	for range 2 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "forged")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if id := w.Header().Get("X-Request-Id"); !seen[id] || len(id) < 26 || id == "forged" {
			t.Errorf("answer has id %q", id)
		}
	}
	if len(seen) != 2 {
		t.Errorf("ids: %v", seen)
	}
	if id := RequestID(t.Context()); id != "" {
		t.Errorf("id without request: %q", id)
	}
}
