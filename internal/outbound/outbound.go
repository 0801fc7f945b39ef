// Package outbound is the one HTTP client for URLs that somebody else has given to the broker: a relying
// site's keys and logout address, a counterpart's base URL; and the one way to connect for what is not
// HTTP. Such a URL may name a host inside the broker's own network, so the address is checked at the last
// moment, after name resolution and right before the connection: a name that resolves differently the
// second time gains nothing.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrRefused says that a host resolved to an address that is not public and not allowed. Errors of the
// client's methods wrap it.
var ErrRefused = errors.New("outbound: address is not public")

// ErrTooLarge says that an answer is longer than ReadAll was asked to take.
var ErrTooLarge = errors.New("outbound: answer is too large")

// Config is what a client may be told. The zero value reaches public addresses and trusts the system's
// certificate authorities.
type Config struct {
	Allow   []netip.Prefix // ranges that may be reached though they are not public
	RootCAs *x509.CertPool // nil: the system's
	Timeout time.Duration  // for a whole request with its answer; 0: 10 seconds

	resolver *net.Resolver // a test's own; nil: the system's
}

const (
	defaultTimeout = 10 * time.Second
	dialTimeout    = 5 * time.Second
	idleTimeout    = 90 * time.Second
	idlePerHost    = 64 // a login server asks few hosts, and each of them often
	idleTotal      = 512
	maxHeaderBytes = 64 << 10
)

// Client returns a client that connects to public addresses and to c.Allow only, over http and https.
// It follows no redirect (the caller gets the 3xx answer), uses no proxy, whatever the environment says,
// and speaks TLS 1.2 or later.
func Client(c Config) *http.Client {
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	return &http.Client{
		Timeout: c.Timeout,
		Transport: &http.Transport{
			DialContext:            Dial(c),
			TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           idleTotal,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Dial returns a function that opens connections as the client does, to public addresses and to c.Allow
// only, for what does not speak HTTP.
func Dial(c Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{
		Timeout:   dialTimeout,
		KeepAlive: 30 * time.Second,
		Resolver:  c.resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			return c.check(address)
		},
	}
	return dialer.DialContext
}

// check decides about the address of one connection, host:port with the host resolved.
func (c Config) check(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, address)
	}
	addr := to.Addr().Unmap().WithZone("")
	if public(addr) {
		return nil
	}
	for _, p := range c.Allow {
		if p.Contains(addr) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s", ErrRefused, addr)
}

// notPublic lists what the IANA special-purpose address registries (RFC 6890) and the multicast
// registries keep from the public internet, and the ranges that carry an IPv4 address inside, through
// which the ranges above them could be reached.
var notPublic = prefixes(
	"0.0.0.0/8",         // this network
	"10.0.0.0/8",        // private
	"100.64.0.0/10",     // carrier-grade NAT
	"127.0.0.0/8",       // loopback
	"169.254.0.0/16",    // link-local, and the metadata services of clouds
	"172.16.0.0/12",     // private
	"192.0.0.0/24",      // protocol assignments
	"192.0.2.0/24",      // documentation
	"192.31.196.0/24",   // AS112
	"192.52.193.0/24",   // AMT relays
	"192.88.99.0/24",    // 6to4 relays
	"192.168.0.0/16",    // private
	"192.175.48.0/24",   // AS112
	"198.18.0.0/15",     // benchmarks
	"198.51.100.0/24",   // documentation
	"203.0.113.0/24",    // documentation
	"224.0.0.0/4",       // multicast
	"240.0.0.0/4",       // reserved, and broadcast
	"2001::/23",         // protocol assignments, Teredo and ORCHID among them
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4, with an IPv4 address inside
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation
)

// unicast6 is all that is assigned for the public use of IPv6 (RFC 4291 §2.4). Loopback, link-local,
// unique local, NAT64, discard-only and multicast addresses lie outside.
var unicast6 = netip.MustParsePrefix("2000::/3")

// public reports whether the address belongs to the public internet; an IPv4 address comes unmapped.
func public(addr netip.Addr) bool {
	if addr.Is6() && !unicast6.Contains(addr) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return addr.IsValid()
}

func prefixes(texts ...string) []netip.Prefix {
	ps := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		ps[i] = netip.MustParsePrefix(text)
	}
	return ps
}

// ReadAll returns the body, ErrTooLarge if it has more than limit bytes after decompression. The caller
// closes the body.
func ReadAll(resp *http.Response, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("outbound: read answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return body, nil
}
