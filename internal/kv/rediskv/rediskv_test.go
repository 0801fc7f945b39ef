package rediskv

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/kvtest"
	"github.com/anyid/anyid/internal/testserver"
)

// kinds are the three ways to run Redis. Each call of config gives a part that nobody else uses.
var kinds = []struct {
	name   string
	config func(tb testing.TB) Config
}{
	{"single", func(tb testing.TB) Config {
		addr, db := testserver.Redis(tb)
		return Config{Addrs: []string{addr}, DB: db}
	}},
	{"sentinel", func(tb testing.TB) Config {
		addrs, master, db := testserver.RedisSentinel(tb)
		return Config{Addrs: addrs, MasterName: master, DB: db}
	}},
	{"cluster", func(tb testing.TB) Config {
		addrs, prefix := testserver.RedisCluster(tb)
		return Config{Addrs: addrs[:1], Cluster: true, Prefix: prefix}
	}},
}

func dial(tb testing.TB, c Config) *Store {
	tb.Helper()
	s, err := Dial(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			kvtest.Run(t, func(t *testing.T) kv.Store { return dial(t, kind.config(t)) })
		})
	}
}

func BenchmarkStore(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			kvtest.Bench(b, func(b *testing.B) kv.Store { return dial(b, kind.config(b)) })
		})
	}
}

// lossy breaks the connection on which a command with the marked key was sent, after the server did it
// and before its answer is read.
type lossy struct {
	net.Conn
	key    string
	losses *atomic.Int64 // how many answers are still to be lost
	sent   *atomic.Int64 // how often the key was sent
	marked bool
	lost   bool
}

func (c *lossy) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(c.key)) {
		c.sent.Add(1)
		c.marked = true
	}
	return c.Conn.Write(b)
}

func (c *lossy) Read(b []byte) (int, error) {
	if c.lost {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(b)
	if err == nil && c.marked && c.losses.Add(-1) >= 0 {
		c.lost = true
		return 0, io.EOF
	}
	c.marked = false
	return n, err
}

// TestLostAnswer loses the answer to each verb: what changes something must be sent once and say that it
// does not know; Get may ask again.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	const key = "the-key"
	verbs := []struct {
		name  string
		want  string // what stands there afterwards
		fault bool
		call  func(ctx context.Context, s *Store) error
	}{
		{"get", "7", false, func(ctx context.Context, s *Store) error {
			v, err := s.Get(ctx, key)
			if err == nil && v != "7" {
				err = errors.New("got " + v)
			}
			return err
		}},
		{"set", "8", true, func(ctx context.Context, s *Store) error { return s.Set(ctx, key, "8", time.Minute) }},
		{"add", "7", true, func(ctx context.Context, s *Store) error {
			_, err := s.Add(ctx, key, "8", time.Minute)
			return err
		}},
		{"take", "", true, func(ctx context.Context, s *Store) error {
			_, err := s.Take(ctx, key)
			return err
		}},
		{"swap", "8", true, func(ctx context.Context, s *Store) error {
			_, err := s.CompareAndSwap(ctx, key, "7", "8", time.Minute)
			return err
		}},
		{"increment", "8", true, func(ctx context.Context, s *Store) error {
			_, err := s.Increment(ctx, key, time.Minute)
			return err
		}},
	}
	for _, kind := range kinds {
		for _, verb := range verbs {
			t.Run(kind.name+"/"+verb.name, func(t *testing.T) {
				t.Parallel()
				config := kind.config(t)
				plain := dial(t, config)
				options, err := config.options()
				if err != nil {
					t.Fatal(err)
				}
				var losses, sent atomic.Int64
				options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return &lossy{Conn: c, key: config.Prefix + key, losses: &losses, sent: &sent}, err
				}
				s := New(redis.NewUniversalClient(options), config.Prefix)
				defer s.Close()
				// The scripts are loaded first: a lost NOSCRIPT would be no loss.
				if _, err := s.Increment(t.Context(), "n", time.Minute); err != nil {
					t.Fatal(err)
				}
				for ok := false; !ok; {
					if err := s.Set(t.Context(), key, "6", time.Minute); err != nil {
						t.Fatal(err)
					}
					if ok, err = s.CompareAndSwap(t.Context(), key, "6", "7", time.Minute); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := s.Increment(t.Context(), key, time.Minute); err != nil {
					t.Fatal(err)
				}
				if err := s.Set(t.Context(), key, "7", time.Minute); err != nil {
					t.Fatal(err)
				}
				sent.Store(0)
				losses.Store(1)

				err = verb.call(t.Context(), s)
				if verb.fault {
					if !fault.Is(err, fault.Unavailable) || !errors.Is(err, io.EOF) || sent.Load() != 1 {
						t.Errorf("sent %d times, %v; want once, and unavailable", sent.Load(), err)
					}
				} else if err != nil || sent.Load() != 2 {
					t.Errorf("sent %d times, %v; want twice, and the value", sent.Load(), err)
				}
				v, err := plain.Get(t.Context(), key)
				if v != verb.want || (err != nil) != (verb.want == "") {
					t.Errorf("afterwards %q stands there, %v; want %q", v, err, verb.want)
				}
				// The next call works, on a new connection.
				if err := s.Set(t.Context(), key, "again", time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestLostSharedAnswer loses the connection under many calls at once: of those that change something each
// is sent once, and all that read get their answer.
func TestLostSharedAnswer(t *testing.T) {
	t.Parallel()
	const calls = 40
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			config := kind.config(t)
			options, err := config.options()
			if err != nil {
				t.Fatal(err)
			}
			var losses, sent atomic.Int64
			options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &lossy{Conn: c, key: config.Prefix + "{n}", losses: &losses, sent: &sent}, err
			}
			s := New(redis.NewUniversalClient(options), config.Prefix)
			defer s.Close()
			if err := s.Set(t.Context(), "{n}value", "here", time.Minute); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Increment(t.Context(), "{n}count", time.Minute); err != nil {
				t.Fatal(err)
			}
			losses.Store(2)
			var failed atomic.Int64
			var all sync.WaitGroup
			for range calls {
				all.Go(func() {
					switch _, err := s.Increment(t.Context(), "{n}count", time.Minute); {
					case fault.Is(err, fault.Unavailable):
						failed.Add(1)
					case err != nil:
						t.Error(err)
					}
				})
				all.Go(func() {
					if v, err := s.Get(t.Context(), "{n}value"); v != "here" || err != nil {
						t.Errorf("get: %q, %v", v, err)
					}
				})
			}
			all.Wait()
			n, err := s.Increment(t.Context(), "{n}count", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			// The first and the last are counted too. What failed may have happened or not, but not twice.
			if counted := n - 2; counted > calls || counted < calls-failed.Load() {
				t.Errorf("%d calls, of which %d failed, counted to %d", calls, failed.Load(), counted)
			}
		})
	}
}

// TestScriptsAreLoadedAgain takes the scripts away, as a restart of the server does.
func TestScriptsAreLoadedAgain(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	s := dial(t, Config{Addrs: server.Addrs})
	for want := range int64(3) {
		if n, err := s.Increment(t.Context(), "n", time.Minute); n != want+1 || err != nil {
			t.Errorf("increment: %d, %v, want %d", n, err, want+1)
		}
		if err := s.client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEvicts(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			if policy, err := dial(t, kind.config(t)).Evicts(t.Context()); policy != "" || err != nil {
				t.Errorf("%q, %v, want none", policy, err)
			}
		})
	}
	server, err := testserver.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	s := dial(t, Config{Addrs: server.Addrs})
	for _, step := range []struct{ name, value, want string }{
		{"maxmemory-policy", "volatile-ttl", ""}, // there is no limit yet
		{"maxmemory", "100mb", "volatile-ttl"},
		{"maxmemory-policy", "noeviction", ""},
	} {
		if err := s.client.ConfigSet(t.Context(), step.name, step.value).Err(); err != nil {
			t.Fatal(err)
		}
		if policy, err := s.Evicts(t.Context()); policy != step.want || err != nil {
			t.Errorf("with %s %s: %q, %v, want %q", step.name, step.value, policy, err, step.want)
		}
	}
}

func TestServerGone(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	s := dial(t, Config{Addrs: server.Addrs, Timeout: 100 * time.Millisecond})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := s.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ping: %v, want unavailable", err)
	}
	if _, err := s.Get(t.Context(), "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("get: %v, want unavailable", err)
	}
}

// TestSentinelKnowsNoMaster: when the Sentinels know nothing of the master, the store is away; no key counts as missing or taken.
func TestSentinelKnowsNoMaster(t *testing.T) {
	t.Parallel()
	addrs, _, _ := testserver.RedisSentinel(t)
	s := dial(t, Config{Addrs: addrs, MasterName: "another"})
	if _, err := s.Get(t.Context(), "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("get: %v, want unavailable", err)
	}
	if _, err := s.Take(t.Context(), "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("take: %v, want unavailable", err)
	}
	if added, err := s.Add(t.Context(), "a", "1", time.Minute); added || !fault.Is(err, fault.Unavailable) {
		t.Errorf("add: %t, %v, want unavailable", added, err)
	}
}

// TestPassword connects as a user who may touch the keys under one prefix only.
func TestPassword(t *testing.T) {
	t.Parallel()
	server, err := testserver.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	operator := dial(t, Config{Addrs: server.Addrs})
	if err := operator.client.Do(t.Context(), "ACL", "SETUSER", "broker", "on", ">secret", "~anyid:*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, password, prefix, want string
	}{
		{"right", "secret", "anyid:", ""},
		{"wrong password", "guess", "anyid:", "WRONGPASS"},
		{"another prefix", "secret", "other:", "NOPERM"},
	} {
		s := dial(t, Config{Addrs: server.Addrs, Username: "broker", Password: c.password, Prefix: c.prefix})
		err := s.Set(t.Context(), "a", "v", time.Minute)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.password) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if v, err := operator.Get(t.Context(), "anyid:a"); v != "v" || err != nil {
		t.Errorf("under the prefix: %q, %v", v, err)
	}
}

// TestTLS connects through a TLS front, once with and once without its certificate.
func TestTLS(t *testing.T) {
	t.Parallel()
	addr, db := testserver.Redis(t)
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	front, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				server, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, c) }() // it ends with either side
				_, _ = io.Copy(c, server)
			}()
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	trusting := dial(t, Config{Addrs: []string{front.Addr().String()}, DB: db, TLS: &tls.Config{RootCAs: roots}})
	if err := trusting.Set(t.Context(), "a", "v", time.Minute); err != nil {
		t.Errorf("with the certificate: %v", err)
	}
	doubting := dial(t, Config{Addrs: []string{front.Addr().String()}, DB: db, TLS: &tls.Config{RootCAs: x509.NewCertPool()}})
	if err := doubting.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without the certificate: %v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	one, two := []string{"a:1"}, []string{"a:1", "b:2"}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "no address"},
		{Config{Addrs: two}, "several addresses"},
		{Config{Addrs: one, Cluster: true, MasterName: "m"}, "exclude"},
		{Config{Addrs: one, Cluster: true, DB: 1}, "database 0"},
		{Config{Addrs: one, PoolSize: -1}, "negative"},
		{Config{Addrs: one, Timeout: -1}, "negative"},
		{Config{Addrs: one, DB: -1}, "negative"},
	} {
		if _, err := Dial(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

func TestErrorsDoNotQuoteArguments(t *testing.T) {
	t.Parallel()
	addr, db := testserver.Redis(t)
	s := dial(t, Config{Addrs: []string{addr}, DB: db})
	_, err := s.do(t.Context(), "no-such-command", "key", "not-for-the-log")
	err = wrap("set", err)
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "not-for-the-log") || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("the error is %v", err)
	}
}
