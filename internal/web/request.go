package web

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/netip"
	"strings"
)

// origin is what the edge finds out about a request. It stands in the request's context once, since each addition
// there copies the request.
type origin struct {
	id   string
	addr netip.Addr
}

type originKey struct{}

// originOf returns what is known of the request that ctx belongs to, or nil.
func originOf(ctx context.Context) *origin {
	o, _ := ctx.Value(originKey{}).(*origin)
	return o
}

// withOrigin returns the request with room for what is found out about it.
func withOrigin(r *http.Request) (*http.Request, *origin) {
	if o := originOf(r.Context()); o != nil {
		return r, o
	}
	o := new(origin)
	return r.WithContext(context.WithValue(r.Context(), originKey{}, o)), o
}

// RequestIDs gives every request a random id of 128 bits, in the context and in X-Request-Id of the
// answer. An id sent by the client is not taken over: it could forge the log.
func RequestIDs() Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r, o := withOrigin(r)
			o.id = rand.Text()
			w.Header().Set("X-Request-Id", o.id)
			next.ServeHTTP(w, r)
		})
	}
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	if o := originOf(ctx); o != nil {
		return o.id
	}
	return ""
}

// ClientAddresses finds out who is calling and puts the address in the context. The peer's own
// address counts, unless it is a trusted proxy: then X-Forwarded-For is read from right to left up to
// the first address that no trusted proxy has.
func ClientAddresses(trusted []netip.Prefix) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r, o := withOrigin(r)
			o.addr = clientAddr(r.RemoteAddr, r.Header.Values("X-Forwarded-For"), trusted)
			next.ServeHTTP(w, r)
		})
	}
}

// ClientAddr returns the client's address, without zone and with IPv4 as IPv4. It is the invalid
// netip.Addr when the connection has none (a Unix socket) or ClientAddresses did not run.
func ClientAddr(ctx context.Context) netip.Addr {
	if o := originOf(ctx); o != nil {
		return o.addr
	}
	return netip.Addr{}
}

// ClientAddrText is ClientAddr as text, or "" when there is none.
func ClientAddrText(ctx context.Context) string {
	if addr := ClientAddr(ctx); addr.IsValid() {
		return addr.String()
	}
	return ""
}

// clientAddr applies the rule of ClientAddresses. An element that is no address ends the walk:
// whatever stands left of it was not written by a proxy that we trust to write addresses.
func clientAddr(remote string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	addr := parseAddr(remote)
	for i := len(forwarded) - 1; i >= 0; i-- {
		rest := forwarded[i]
		for more := true; more; {
			if !addr.IsValid() || !contains(trusted, addr) {
				return addr
			}
			var last string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, last = rest[:cut], rest[cut+1:]
			} else {
				rest, last, more = "", rest, false
			}
			hop := parseAddr(strings.TrimSpace(last))
			if !hop.IsValid() {
				return addr
			}
			addr = hop
		}
	}
	return addr
}

// parseAddr reads an IP address with or without a port, the forms that proxies write.
func parseAddr(s string) netip.Addr {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone("")
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
