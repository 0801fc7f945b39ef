package outbound

import (
	"compress/gzip"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func get(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func TestAddressClasses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		class, addr string
		ok          bool
	}{
		{"public", "1.1.1.1", true},
		{"public", "203.0.112.255", true},
		{"public", "172.32.0.1", true},
		{"public", "100.128.0.1", true},
		{"public", "2606:4700:4700::1111", true},
		{"public", "2001:4860:4860::8888", true},
		{"public, mapped", "::ffff:1.1.1.1", true},
		{"unspecified", "0.0.0.0", false},
		{"unspecified", "::", false},
		{"this network", "0.1.2.3", false},
		{"loopback", "127.0.0.1", false},
		{"loopback", "127.255.255.254", false},
		{"loopback", "::1", false},
		{"loopback, mapped", "::ffff:127.0.0.1", false},
		{"loopback, compatible", "::127.0.0.1", false},
		{"private", "10.0.0.1", false},
		{"private", "172.16.0.1", false},
		{"private", "172.31.255.255", false},
		{"private", "192.168.1.1", false},
		{"private, mapped", "::ffff:10.0.0.1", false},
		{"unique local", "fd00::1", false},
		{"unique local", "fc00::1", false},
		{"link-local", "169.254.169.254", false},
		{"link-local", "fe80::1", false},
		{"link-local with zone", "fe80::1%eth0", false},
		{"site-local", "fec0::1", false},
		{"carrier-grade NAT", "100.64.0.1", false},
		{"multicast", "224.0.0.1", false},
		{"multicast", "239.255.255.255", false},
		{"multicast", "ff02::1", false},
		{"broadcast", "255.255.255.255", false},
		{"reserved", "240.0.0.1", false},
		{"protocol assignments", "192.0.0.1", false},
		{"benchmark", "198.18.0.1", false},
		{"benchmark", "198.19.255.255", false},
		{"documentation", "192.0.2.1", false},
		{"documentation", "198.51.100.1", false},
		{"documentation", "203.0.113.1", false},
		{"documentation", "2001:db8::1", false},
		{"documentation", "3fff::1", false},
		{"6to4 relay", "192.88.99.1", false},
		{"6to4 of 10.0.0.1", "2002:a00:1::", false},
		{"NAT64 of 127.0.0.1", "64:ff9b::7f00:1", false},
		{"NAT64, local", "64:ff9b:1::1", false},
		{"Teredo", "2001:0:1::1", false},
		{"ORCHID", "2001:20::1", false},
		{"discard", "100::1", false},
		{"segment routing", "5f00::1", false},
	} {
		err := Config{}.check(netip.AddrPortFrom(netip.MustParseAddr(tt.addr), 443).String())
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v", tt.class, tt.addr, err)
		}
	}
	for _, address := range []string{"", "localhost:80", "127.0.0.1", "@abstract"} {
		if err := (Config{}).check(address); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	c := Config{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("64:ff9b::/96")}}
	for addr, ok := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fd00:1::1": true, "fd00:2::1": false,
		"64:ff9b::7f00:1": true, "127.0.0.1": false, "1.1.1.1": true,
	} {
		if err := c.check(netip.AddrPortFrom(netip.MustParseAddr(addr), 80).String()); (err == nil) != ok {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestLoopbackNeedsAllow(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	closed := Client(Config{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		if _, err := get(t, closed, "http://"+host+":"+port); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v, want ErrRefused", host, err)
		}
	}
	resp, err := get(t, Client(Config{Allow: loopback}), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := ReadAll(resp, 5); err != nil || string(body) != "hello" {
		t.Errorf("%q, %v", body, err)
	}
}

// TestRebinding has a name server that gives a name a public address first and the loopback address
// ever after. Only a check of the address that is really dialled holds.
func TestRebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resolver := rebinder(t, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1"))
	first, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.test.")
	if err != nil || first[0].String() != "192.0.2.1" {
		t.Fatalf("first answer %v, %v", first, err)
	}
	_, err = get(t, Client(Config{resolver: resolver}), "http://rebind.test.:"+port)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("error is %v, want ErrRefused at 127.0.0.1", err)
	}
	if reached.Load() {
		t.Error("the service behind the name was reached")
	}
	// The same name through the same name server reaches the service once the range is allowed: it is
	// the guard that refused, not a broken resolver.
	if _, err := get(t, Client(Config{resolver: resolver, Allow: loopback}), "http://rebind.test.:"+port); err != nil || !reached.Load() {
		t.Errorf("allowed: %v, reached %t", err, reached.Load())
	}
}

// rebinder starts a DNS server (RFC 1035) on loopback that answers the first query for an A record with
// first and the others with then, and returns a resolver that asks it.
func rebinder(t *testing.T, first, then netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		asked := false
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			end := 12 // after the header: one question, a name of length-prefixed labels
			for end < n && buf[end] != 0 {
				end += int(buf[end]) + 1
			}
			end += 5 // the root label, type and class
			if end > n {
				continue
			}
			answer := append([]byte{}, buf[:end]...)
			binary.BigEndian.PutUint16(answer[2:], 0x8180) // response, recursion available
			for i, count := range []uint16{1, 0, 0, 0} {   // counts of questions, answers, authority, additional
				binary.BigEndian.PutUint16(answer[4+2*i:], count)
			}
			if binary.BigEndian.Uint16(buf[end-4:]) == 1 { // type A
				addr := then
				if !asked {
					addr, asked = first, true
				}
				binary.BigEndian.PutUint16(answer[6:], 1)
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name again, A, IN, ttl 0
				answer = append(answer, addr.AsSlice()...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/target" {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/target", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	resp, err := get(t, Client(Config{Allow: loopback}), server.URL)
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"file:///etc/passwd", "ftp://1.1.1.1/", "gopher://1.1.1.1/", "unix:///x"} {
		if _, err := get(t, Client(Config{}), url); err == nil || !strings.Contains(err.Error(), "unsupported protocol scheme") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestProxyOfTheEnvironmentIsNotUsed cannot be parallel: it sets variables. Go reads them once in a
// process, so it looks at the transport, too.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	client := Client(Config{})
	if transport, ok := client.Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Error("the client asks for a proxy")
	}
}

func TestRootCAs(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	if _, err := get(t, Client(Config{Allow: loopback}), server.URL); err == nil {
		t.Error("an unknown authority is trusted")
	}
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	resp, err := get(t, Client(Config{Allow: loopback, RootCAs: pool}), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := ReadAll(resp, 100); err != nil || string(body) != "HTTP/2.0" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select { // headers come, the body never
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(done) })
	resp, err := get(t, Client(Config{Allow: loopback, Timeout: 100 * time.Millisecond}), server.URL)
	if err == nil {
		_, err = ReadAll(resp, 100)
	}
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("error is %v, want a timeout", err)
	}
}

func TestReadAllStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Encoding", "gzip") // a small answer that unfolds
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, strings.Repeat("x", size))
		_ = z.Close()
	}))
	t.Cleanup(server.Close)
	client := Client(Config{Allow: loopback})
	for _, tt := range []struct {
		size int
		ok   bool
	}{{0, true}, {1000, true}, {1001, false}, {1 << 20, false}} {
		resp, err := get(t, client, server.URL+"/"+strconv.Itoa(tt.size))
		if err != nil {
			t.Fatal(err)
		}
		body, err := ReadAll(resp, 1000)
		if tt.ok && (err != nil || len(body) != tt.size) || !tt.ok && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: got %d, %v", tt.size, len(body), err)
		}
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if _, err := Dial(Config{})(t.Context(), "tcp", listener.Addr().String()); !errors.Is(err, ErrRefused) {
		t.Errorf("loopback: %v", err)
	}
	conn, err := Dial(Config{Allow: loopback})(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatalf("loopback, allowed: %v", err)
	}
	_ = conn.Close()
}
