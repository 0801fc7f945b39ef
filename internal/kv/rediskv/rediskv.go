// Package rediskv is a kv.Store on Redis 6.2 or later: a single server, a master behind Sentinels, or a
// Cluster. Each verb is one command or one small script on one key, so it is atomic everywhere.
//
// Redis answers before replicas have what was written, so a failover may forget the last writes, a
// single-use mark too. min-replicas-to-write on the server narrows that; only SQL excludes it.
package rediskv

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
)

// Store is a kv.Store. Calls that come while others are on their way share the next round trip: what a
// write and a read of a socket cost is most of what a command costs.
type Store struct {
	client redis.UniversalClient
	prefix string
	trips  *batch.Group[redis.Cmder]
}

const (
	// trips is how many round trips are under way at once. With more, fewer calls meet; with fewer, a
	// call waits longer for the one before.
	trips = 3
	// maxTrip bounds the commands of one.
	maxTrip = 128
)

var _ kv.Store = (*Store)(nil)

// New returns the store on the client's Redis whose keys begin with prefix. Closing the store closes
// the client.
func New(client redis.UniversalClient, prefix string) *Store {
	return &Store{client: client, prefix: prefix, trips: batch.New(batch.Config{Workers: trips, Limit: maxTrip}, trip(client))}
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
	cmd := redis.NewStringCmd(ctx, "get", s.prefix+key)
	if err := s.send(ctx, cmd); err != nil {
		return "", wrap("get", err)
	}
	return cmd.Val(), nil
}

// Set implements kv.Store.
func (s *Store) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return err
	}
	_, err = s.do(ctx, "set", s.prefix+key, value, "px", ms)
	return wrap("set", err)
}

// Add implements kv.Store.
func (s *Store) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	ms, err := kv.CheckWrite(key, ttl, value)
	if err != nil {
		return false, err
	}
	_, err = s.do(ctx, "set", s.prefix+key, value, "px", ms, "nx")
	if isNil(err) {
		return false, nil
	}
	return err == nil, wrap("add", err)
}

// Take implements kv.Store.
func (s *Store) Take(ctx context.Context, key string) (string, error) {
	if err := kv.CheckKey(key); err != nil {
		return "", err
	}
	cmd, err := s.do(ctx, "getdel", s.prefix+key)
	if err != nil {
		return "", wrap("take", err)
	}
	v, err := cmd.Text()
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

// Evicts returns the maxmemory-policy of a server that gives values up before their time when its memory runs short, or "" if
// none does. What was used once could then be used again.
func (s *Store) Evicts(ctx context.Context) (policy string, err error) {
	var mu sync.Mutex
	look := func(ctx context.Context, server *redis.Client) error {
		info, err := server.InfoMap(ctx, "memory").Result()
		if err != nil {
			return err
		}
		if memory := info["Memory"]; memory["maxmemory"] != "0" && memory["maxmemory_policy"] != "noeviction" {
			mu.Lock()
			defer mu.Unlock()
			policy = memory["maxmemory_policy"]
		}
		return nil
	}
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, look)
	case *redis.Client:
		err = look(ctx, client)
	}
	return policy, wrap("info", err)
}

// Close closes the client; every later call gives fault.Unavailable.
func (s *Store) Close() error {
	s.trips.Close()
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

// do sends a command once. On an error the command must not be looked at.
func (s *Store) do(ctx context.Context, args ...any) (*redis.Cmd, error) {
	cmd := redis.NewCmd(ctx, args...)
	return cmd, s.send(ctx, once{cmd})
}

// send sends a command with others that come at the same time, and returns its error. On an error the
// command must not be looked at: after the end of ctx it may be under way still.
func (s *Store) send(ctx context.Context, cmd redis.Cmder) error { return s.trips.Do(ctx, cmd) }

// trip returns what sends a batch. Of a connection that breaks under it, every command has the error that
// it would have alone; none of those that may be sent only once is sent again.
func trip(client redis.UniversalClient) func([]*batch.Call[redis.Cmder]) {
	return func(calls []*batch.Call[redis.Cmder]) {
		calls = slices.DeleteFunc(calls, (*batch.Call[redis.Cmder]).Left)
		if len(calls) == 1 {
			c := calls[0]
			c.Answer(client.Process(c.Ctx, c.Value))
			return
		}
		// No caller's context may end what the others share; the connection's timeouts bound it.
		ctx := context.Background()
		pipeline := client.Pipeline()
		for _, c := range calls {
			_ = pipeline.Process(ctx, c.Value) // it queues
		}
		_, _ = pipeline.Exec(ctx) // each command keeps its own error
		for _, c := range calls {
			c.Answer(alone(client, c))
		}
	}
}

// alone returns the error of a command that was sent with others. One that only reads, and whose answer
// was lost with the others' connection, is sent again, as it would be alone.
func alone(client redis.UniversalClient, c *batch.Call[redis.Cmder]) error {
	err := c.Value.Err()
	if _, said := errors.AsType[redis.Error](err); err == nil || said || c.Value.NoRetry() {
		return err
	}
	c.Value.SetErr(nil)
	return client.Process(c.Ctx, c.Value)
}

func (s *Store) run(ctx context.Context, lua script, key string, args ...any) (int64, error) {
	args = append([]any{"evalsha", lua.hash, 1, s.prefix + key}, args...)
	cmd, err := s.do(ctx, args...)
	if redis.HasErrorPrefix(err, "NOSCRIPT") { // not run, so it may be sent again
		args[0], args[1] = "eval", lua.source
		cmd, err = s.do(ctx, args...)
	}
	if err != nil {
		return 0, err
	}
	return cmd.Int64()
}

// isNil reports whether the server has answered that there is nothing. An error around redis.Nil is something else: Sentinels
// that do not know the master have said it, and nobody has asked for the key.
func isNil(err error) bool { return err == redis.Nil } //nolint:errorlint // itself, not what wraps it

func wrap(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case isNil(err):
		return kv.ErrNotFound
	}
	// A server that does not know a command quotes the arguments.
	if said, _, quoted := strings.Cut(err.Error(), ", with args"); quoted {
		err = errors.New(said)
	}
	return fault.New(fault.Unavailable, "kv: redis %s: %w", verb, err)
}
