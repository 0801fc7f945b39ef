// Package bench measures the service as it is shipped: the real program as a process of its own, on real
// stores that wait for the disk, driven over HTTP by citizens and a relying site that do as little as
// they can, beside it on the same processors. docs/performance.md says how to read the figures.
package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/anyid/anyid/internal/testserver"
)

// The stores that can be measured.
const (
	SQLite        = "sqlite"         // everything on SQLite
	Postgres      = "postgres"       // everything on PostgreSQL
	PostgresRedis = "postgres-redis" // what expires on Redis, the rest on PostgreSQL
)

// Stores are all of them.
func Stores() []string { return []string{SQLite, Postgres, PostgresRedis} }

// The loads.
const (
	Silent  = "silent"  // single sign-on by a session that the browser has
	Journey = "journey" // simple authentication of registered people, from the site back to the site
)

// Loads are both of them.
func Loads() []string { return []string{Silent, Journey} }

// Config says what to measure, and for how long.
type Config struct {
	Binary    string   // the program that is shipped: its size
	Serve     []string // the command that serves under load, given --config; nil: Binary's
	Providers []string // the command that runs Providers
	Data      string   // folder for everything that is written; empty: a temporary one
	Stores    []string
	Loads     []string
	Workers   int           // citizens at the same time
	People    int           // citizens that there are; at least Workers
	Duration  time.Duration // of each load in each round
	Rounds    int           // of the loads, which take turns
	Starts    int           // of each kind
	Progress  io.Writer
}

// Result is what was measured.
type Result struct {
	BinarySize int64
	ES256      time.Duration // a signature, for scale
	Sync       time.Duration // an fsync after writing a page, for scale
	Stores     []StoreResult
}

// StoreResult is what was measured on one kind of store.
type StoreResult struct {
	Store                 string
	Empty, Existing       []time.Duration // from exec to the first answer, sorted
	Idle, Loaded          int64           // resident memory in bytes: a second after the start; at most
	Silent, Journey       []Run
	Recorded, LoginsTotal int64 // events in the audit trail at the end; logins that were answered
}

// Run measures.
func (c Config) Run(ctx context.Context) (r Result, err error) {
	for _, name := range c.Loads {
		if !slices.Contains(Loads(), name) {
			return r, fmt.Errorf("bench: there is no load %q; there are %v", name, Loads())
		}
	}
	if c.Workers < 1 || c.Workers > c.People || c.People > 1<<16 || c.Rounds < 1 || c.Starts < 1 || c.Duration <= 0 {
		return r, errors.New("bench: at least one worker, one round and one start, and no more workers than people (65536)")
	}
	temporary, err := os.MkdirTemp(c.Data, "anyid-bench-")
	if err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	c.Data = temporary
	if c.Binary, err = filepath.Abs(c.Binary); err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	info, err := os.Stat(c.Binary)
	if err != nil {
		return r, fmt.Errorf("bench: %w", err)
	}
	r.BinarySize = info.Size()
	if r.ES256, r.Sync, err = yardsticks(temporary); err != nil {
		return r, err
	}
	s := &session{Config: c}
	s.say("starting the providers")
	if s.providers, err = startProviders(ctx, append(s.Providers, strconv.Itoa(s.People))); err != nil {
		return r, err
	}
	defer s.providers.stop()
	for _, name := range c.Stores {
		measured, err := s.measure(ctx, name)
		if err != nil {
			return r, err
		}
		r.Stores = append(r.Stores, measured)
	}
	return r, nil
}

// session is a benchmark under way.
type session struct {
	Config
	providers *providers
	postgres  *testserver.PostgresServer // of the store that is measured, as is redis
	redis     *testserver.RedisServer
	databases int // that were made
}

// prepared is a broker that people have registered with.
type prepared struct {
	broker
	idle      int64
	signedIn  []*citizen // each with a session
	signedOut []*citizen // each without, at the browsers of the same people
}

func (s *session) say(format string, args ...any) {
	fmt.Fprintf(s.Progress, format+"\n", args...)
}

// measure measures one kind of store. Its servers are its own and stop at the end: what a database does long after a load,
// such as VACUUM, must not be the price of another's.
func (s *session) measure(ctx context.Context, name string) (r StoreResult, err error) {
	if name == Postgres || name == PostgresRedis {
		// As it comes out of the box: a commit is on the disk when it returns.
		if s.postgres, err = testserver.StartPostgres("fsync=on", "full_page_writes=on"); err != nil {
			return r, err
		}
		defer s.postgres.Stop()
	}
	if name == PostgresRedis {
		if s.redis, err = testserver.StartRedis(); err != nil {
			return r, err
		}
		defer s.redis.Stop()
	}
	if r, err = s.starts(ctx, name); err != nil {
		return r, err
	}
	p, err := s.prepare(ctx, name)
	if p != nil {
		defer func() { err = errors.Join(err, s.finish(p)) }()
	}
	if err != nil {
		return r, err
	}
	r.Idle = p.idle
	for round := range s.Rounds {
		if err := s.round(ctx, round, p, &r); err != nil {
			return r, err
		}
	}
	err = s.check(ctx, p, &r)
	return r, err
}

// finish ends the broker.
func (s *session) finish(p *prepared) error {
	for _, c := range append(p.signedIn, p.signedOut...) {
		c.close()
	}
	err := p.stop()
	if p.log.Len() > 0 { // an overloaded machine makes it complain, which is no reason to hide the figures
		s.say("%s: the service logged: %.2000s", p.name, p.log)
	}
	return err
}

// install makes a broker on empty stores.
func (s *session) install(name string) (*broker, error) {
	s.databases++
	st := stores{name: name}
	var err error
	switch name {
	case SQLite:
	case PostgresRedis:
		st.redis = s.redis.Addrs[0]
		fallthrough
	case Postgres:
		if st.postgres, err = s.postgres.Create(fmt.Sprintf("bench%d", s.databases)); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("bench: there is no store %q; there are %v", name, Stores())
	}
	return install(filepath.Join(s.Data, strconv.Itoa(s.databases)), st, s.Binary, s.providers)
}

// starts starts brokers on empty stores, and each again on what is there then.
func (s *session) starts(ctx context.Context, name string) (r StoreResult, err error) {
	s.say("%s: starting", name)
	r.Store = name
	for range s.Starts {
		b, err := s.install(name)
		if err != nil {
			return r, err
		}
		for _, into := range []*[]time.Duration{&r.Empty, &r.Existing} {
			took, err := b.start(ctx)
			if err != nil {
				return r, err
			}
			if err := b.stop(); err != nil {
				return r, err
			}
			*into = append(*into, took)
		}
	}
	slices.Sort(r.Empty)
	slices.Sort(r.Existing)
	return r, nil
}

// prepare starts a broker for the loads and lets all people register there. A broker that runs is returned with an error too.
func (s *session) prepare(ctx context.Context, name string) (*prepared, error) {
	s.say("%s: registering %d people", name, s.People)
	b, err := s.install(name)
	if err != nil {
		return nil, err
	}
	if s.Serve != nil {
		b.serve = s.Serve
	}
	if _, err := b.run(ctx, "site", "apply", "-f", filepath.Join(b.folder, "sites.yaml")); err != nil {
		return nil, err
	}
	if _, err := b.start(ctx); err != nil {
		return nil, err
	}
	p := &prepared{broker: *b}
	time.Sleep(time.Second)
	if p.idle, _, err = memory(p.pid()); err != nil {
		return p, err
	}
	for i := range s.Workers {
		browsers := make(map[int][]cookie)
		p.signedIn = append(p.signedIn, citizenAt(p.host, p.secret, i, browsers))
		p.signedOut = append(p.signedOut, citizenAt(p.host, p.secret, s.Workers+i, browsers))
	}
	err = each(p.signedIn, func(i int, c *citizen) error {
		if err := c.connect(); err != nil {
			return err
		}
		last := i
		for who := i; who < s.People; who += s.Workers {
			c.be(who)
			if err := c.register(); err != nil {
				return fmt.Errorf("register: %w", err)
			}
			last = who
		}
		c.be(last)
		return c.journey() // which leaves a session
	})
	return p, err
}

// round runs the loads on one broker.
func (s *session) round(ctx context.Context, round int, p *prepared, r *StoreResult) error {
	for _, name := range s.Loads {
		citizens, into := p.signedIn, &r.Silent
		login := func(_, _ int, c *citizen) error { return c.silent() }
		if name == Journey {
			citizens, into = p.signedOut, &r.Journey
			login = func(worker, turn int, c *citizen) error {
				c.be((worker + turn*s.Workers) % s.People)
				return c.journey()
			}
		}
		run, err := s.load(ctx, p, citizens, login)
		if err != nil {
			return fmt.Errorf("%s, %s: %w: the service logged: %s", p.name, name, err, p.log)
		}
		s.say("%s: round %d: %s: %.0f a second, %.2f ms of the service's CPU each", p.name, round+1, name, run.PerSecond(), run.CPU(run.Spent.Broker))
		*into = append(*into, run)
		r.LoginsTotal += int64(run.Logins)
	}
	return nil
}

// check holds the audit trail against what was answered: every login must have left its event, and the
// chain over all of them must hold.
func (s *session) check(ctx context.Context, p *prepared, r *StoreResult) error {
	s.say("%s: verifying the audit trail", p.name)
	var err error
	if _, r.Loaded, err = memory(p.pid()); err != nil {
		return err
	}
	text, err := p.run(ctx, "audit", "verify")
	if err != nil {
		return err
	}
	if r.Recorded, err = recorded(text); err != nil {
		return err
	}
	if r.Recorded < r.LoginsTotal {
		return fmt.Errorf("bench: %s: %d logins were answered, but only %d events are recorded", p.name, r.LoginsTotal, r.Recorded)
	}
	return nil
}

var report = regexp.MustCompile(`^(\d+) events and \d+ checkpoints hold; (\d+) events wait`)

// recorded reads how many events there are from what anyid audit verify says.
func recorded(text string) (int64, error) {
	m := report.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("bench: audit verify said %.200q", text)
	}
	sealed, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	waiting, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	return sealed + waiting, nil
}

// yardsticks measures what a machine gives: the processor time of an ES256 signature, and the wait for
// the disk after a page is written to a file in the folder.
func yardsticks(folder string) (signature, sync time.Duration, err error) {
	const signatures, syncs = 500, 50
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	digest := make([]byte, 32)
	signature, err = median(signatures, func() error {
		_, err := ecdsa.SignASN1(rand.Reader, private, digest)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	file, err := os.CreateTemp(folder, "sync")
	if err != nil {
		return 0, 0, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = file.Close() }() // what it holds is nothing
	page := make([]byte, 4096)
	sync, err = median(syncs, func() error {
		if _, err := file.Write(page); err != nil {
			return err
		}
		return file.Sync()
	})
	return signature, sync, err
}

// median is the middle of how long n calls took.
func median(n int, do func() error) (time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		begun := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		times[i] = time.Since(begun)
	}
	slices.Sort(times)
	return times[n/2], nil
}
