// Package rediskv is a kv.Store on Redis 6.2 or later: a single server, a master behind Sentinels, or a
// Cluster. Each verb is one command or one small script on one key, so it is atomic everywhere.
//
// Redis answers before replicas have what was written, so a failover may forget the last writes, a
// single-use mark too. min-replicas-to-write on the server narrows that; only SQL excludes it.
package rediskv

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
)

// Store is a kv.Store.
type Store struct {
	client redis.UniversalClient
	prefix string
}

var _ kv.Store = (*Store)(nil)

// New returns the store on the client's Redis whose keys begin with prefix. Closing the store closes
// the client.
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client: client, prefix: prefix}
}

// script is kept by the servers and called by its hash.
type script struct{ source, hash string }

func newScript(source string) script { return script{source, redis.NewScript(source).Hash()} }

var (
	swapScript = newScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`)
	incrementScript = newScript(`
local n = redis.call('INCR', KEYS[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return n`)
)

// Get implements kv.Store.
func (s *Store) Get(ctx context.Context, key string) (string, error) {
	if err := kv.CheckKey(key); err != nil {
		return "", err
	}
	v, err := s.client.Get(ctx, s.prefix+key).Result()
	return v, wrap("get", err)
}

// Set implements kv.Store.
func (s *Store) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return err
	}
	return wrap("set", s.do(ctx, "set", s.prefix+key, value, "px", ms).Err())
}

// Add implements kv.Store.
func (s *Store) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return false, err
	}
	err = s.do(ctx, "set", s.prefix+key, value, "px", ms, "nx").Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, wrap("add", err)
}

// Take implements kv.Store.
func (s *Store) Take(ctx context.Context, key string) (string, error) {
	if err := kv.CheckKey(key); err != nil {
		return "", err
	}
	v, err := s.do(ctx, "getdel", s.prefix+key).Text()
	return v, wrap("take", err)
}

// CompareAndSwap implements kv.Store.
func (s *Store) CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error) {
	ms, err := kv.CheckWrite(key, ttl, old, new)
	if err != nil {
		return false, err
	}
	n, err := s.run(ctx, swapScript, key, old, new, ms)
	return n == 1, wrap("compare-and-swap", err)
}

// Increment implements kv.Store.
func (s *Store) Increment(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	ms, err := kv.CheckWrite(key, ttl)
	if err != nil {
		return 0, err
	}
	n, err := s.run(ctx, incrementScript, key, ms)
	if err != nil && strings.Contains(err.Error(), "value is not an integer") {
		return 0, kv.ErrNotCount
	}
	return n, wrap("increment", err)
}

// Ping reports whether Redis answers.
func (s *Store) Ping(ctx context.Context) error {
	return wrap("ping", s.client.Ping(ctx).Err())
}

// Close closes the client; every later call gives fault.Unavailable.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return wrap("close", err)
	}
	return nil
}

// once is a command that is sent at most once. When an answer is lost, go-redis sends again; then an Add
// that won would say that it lost, a Take would lose the value, a Set would bring back what another had
// taken. That a server refused (MOVED, READONLY) is no lost answer, and is still followed.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func (s *Store) do(ctx context.Context, args ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx, args...)
	_ = s.client.Process(ctx, once{cmd}) // the command keeps the error
	return cmd
}

func (s *Store) run(ctx context.Context, lua script, key string, args ...any) (int64, error) {
	args = append([]any{"evalsha", lua.hash, 1, s.prefix + key}, args...)
	cmd := s.do(ctx, args...)
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") { // not run, so it may be sent again
		args[0], args[1] = "eval", lua.source
		cmd = s.do(ctx, args...)
	}
	return cmd.Int64()
}

func wrap(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, redis.Nil):
		return kv.ErrNotFound
	}
	// A server that does not know a command quotes the arguments.
	if said, _, quoted := strings.Cut(err.Error(), ", with args"); quoted {
		err = errors.New(said)
	}
	return fault.New(fault.Unavailable, "kv: redis %s: %w", verb, err)
}
