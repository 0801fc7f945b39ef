// Package kvtest is the contract of kv.Store as tests, which every engine must pass, and a benchmark
// that compares engines.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
)

const (
	racers = 64
	// long is a ttl that no test outlives, short one that each can wait for.
	long  = time.Minute
	short = 20 * time.Millisecond
	// tick allows for engines whose clock is a step behind.
	tick = 2 * time.Millisecond
)

// Run tests that what open returns is a kv.Store. Each call of open gives an empty store that is also
// an io.Closer; the suite closes one of them itself, and open must bear that at cleanup.
func Run(t *testing.T, open func(t *testing.T) kv.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, kv.Store)
	}{
		{"verbs", testVerbs},
		{"text", testText},
		{"refused calls", testRefused},
		{"expired", testExpired},
		{"expiry to the millisecond", testExpiryPrecision},
		{"counter window", testCounterWindow},
		{"race to add", testRaceAdd},
		{"race to add over expired", testRaceAddExpired},
		{"race to take", testRaceTake},
		{"race to swap", testRaceSwap},
		{"race of read and swap", testRaceReadSwap},
		{"race to increment", testRaceIncrement},
		{"mixed load", testMixedLoad},
		{"cancelled", testCancelled},
		{"closed", testClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

func testVerbs(t *testing.T, s kv.Store) {
	absent := func(key string) {
		t.Helper()
		wantGone(t, s, key)
		if ok, err := s.CompareAndSwap(t.Context(), key, "", "new", long); ok || err != nil {
			t.Errorf("swap of an absent value: %v, %v", ok, err)
		}
		wantGone(t, s, key)
	}
	absent("a")

	set(t, s, "a", "one", long)
	wantValue(t, s, "a", "one")
	set(t, s, "a", "two", long)
	wantValue(t, s, "a", "two")
	wantAdd(t, s, "a", "three", false)
	wantValue(t, s, "a", "two")
	wantSwap(t, s, "a", "one", "three", false)
	wantSwap(t, s, "a", "TWO", "three", false)
	wantSwap(t, s, "a", "two ", "three", false)
	wantValue(t, s, "a", "two")
	wantSwap(t, s, "a", "two", "three", true)
	wantValue(t, s, "a", "three")
	wantSwap(t, s, "a", "three", "three", true)
	wantValue(t, s, "A", "")
	if v, err := s.Take(t.Context(), "a"); v != "three" || err != nil {
		t.Errorf("take: %q, %v", v, err)
	}
	absent("a")
	wantAdd(t, s, "a", "four", true)
	wantValue(t, s, "a", "four")

	for want := range int64(3) {
		wantCount(t, s, "n", want+1)
	}
	wantValue(t, s, "n", "3")
	set(t, s, "n", "41", long)
	wantCount(t, s, "n", 42)
	wantSwap(t, s, "n", "42", "0", true)
	wantCount(t, s, "n", 1)
	for _, word := range []string{"word", "", "1x", "1.5", "९"} {
		set(t, s, "n", word, long)
		if n, err := s.Increment(t.Context(), "n", long); !errors.Is(err, kv.ErrNotCount) {
			t.Errorf("increment of %q: %d, %v, want ErrNotCount", word, n, err)
		} else if word != "" && strings.Contains(err.Error(), word) {
			t.Errorf("the error gives the value away: %v", err)
		}
		if v, err := s.Get(t.Context(), "n"); v != word || err != nil {
			t.Errorf("after an increment that failed: %q, %v, want %q", v, err, word)
		}
	}
}

// testText stores texts that an engine or a protocol might change.
func testText(t *testing.T, s kv.Store) {
	texts := []string{
		"", " ", "  two  ", "\r\n", "\t", "'; DROP TABLE kv; --", `"\u0000"`, `\x00`, `%s $1 ? {}`, "\ufeffmark", "\u2028",
		"0", "007", "1e3", "nil", "NULL", "(nil)", "true",
		"한글 이름", "\u1112\u1161\u11ab", "가각갂", "👩‍👩‍👧‍👦", "ﬁ", "e\u0301", "é", "\U0010ffff", "\ufffd",
		`{"이름":"홍길동","수":[1,2.50],"끝":null}`,
		strings.Repeat("x", 64<<10), strings.Repeat("가", 64<<10/3), strings.Repeat("\n", 64<<10),
	}
	for i, text := range texts {
		key := fmt.Sprintf("v%d", i)
		set(t, s, key, text, long)
		wantText(t, s, key, text)
		wantSwap(t, s, key, text+"!", "other", false)
		wantSwap(t, s, key, text, text+"!", true)
		wantText(t, s, key, text+"!")
		if v, err := s.Take(t.Context(), key); v != text+"!" || err != nil {
			t.Errorf("take gave %d bytes and %v, want %d", len(v), err, len(text)+1)
		}
		if ok, err := s.Add(t.Context(), key, text, long); !ok || err != nil {
			t.Errorf("add: %v, %v", ok, err)
		}
		wantText(t, s, key, text)
	}
	keys := []string{" ", "code:", "a b", "a\nb", "{tag}x", "{}", "*", "%", "_", "'", "키", "키 ", "e\u0301", "é", strings.Repeat("k", 200), strings.Repeat("k", 199) + "l"}
	for i, key := range keys {
		set(t, s, key, strconv.Itoa(i), long)
	}
	for i, key := range keys {
		wantText(t, s, key, strconv.Itoa(i))
	}
}

// testRefused makes every call that is outside the contract.
func testRefused(t *testing.T, s kv.Store) {
	ctx := t.Context()
	set(t, s, "a", "1", long)
	calls := map[string]func(key, value string, ttl time.Duration) error{
		"set": func(key, value string, ttl time.Duration) error { return s.Set(ctx, key, value, ttl) },
		"add": func(key, value string, ttl time.Duration) error {
			_, err := s.Add(ctx, key, value, ttl)
			return err
		},
		"swap": func(key, value string, ttl time.Duration) error {
			_, err := s.CompareAndSwap(ctx, key, "1", value, ttl)
			return err
		},
		"swap from": func(key, value string, ttl time.Duration) error {
			_, err := s.CompareAndSwap(ctx, key, value, "2", ttl)
			return err
		},
		"increment": func(key, value string, ttl time.Duration) error {
			if value != "v" {
				return errors.New("it takes no value")
			}
			_, err := s.Increment(ctx, key, ttl)
			return err
		},
		"get": func(key, value string, ttl time.Duration) error {
			if value != "v" || ttl != long {
				return errors.New("it takes a key only")
			}
			_, err := s.Get(ctx, key)
			return err
		},
		"take": func(key, value string, ttl time.Duration) error {
			if value != "v" || ttl != long {
				return errors.New("it takes a key only")
			}
			_, err := s.Take(ctx, key)
			return err
		},
	}
	for _, c := range []struct {
		name, key, value string
		ttl              time.Duration
	}{
		{"empty key", "", "v", long},
		{"long key", strings.Repeat("k", 201), "v", long},
		{"broken key", "a\xff", "v", long},
		{"key with NUL", "a\x00", "v", long},
		{"broken value", "a", "v\xc0\x80", long},
		{"value with NUL", "a", "v\x00", long},
		{"no ttl", "a", "v", 0},
		{"past ttl", "a", "v", -time.Second},
	} {
		for verb, call := range calls {
			err := call(c.key, c.value, c.ttl)
			if err == nil || errors.Is(err, kv.ErrNotFound) || fault.CodeOf(err) != fault.Internal {
				t.Errorf("%s with %s: %v, want a refusal", verb, c.name, err)
			}
		}
	}
	wantValue(t, s, "a", "1")
}

// testExpired lets a value expire for each verb, which must find nothing.
func testExpired(t *testing.T, s kv.Store) {
	keys := []string{"get", "take", "add", "swap", "set", "increment"}
	for _, key := range keys {
		set(t, s, key, "7", short)
	}
	set(t, s, "kept", "v", short)
	set(t, s, "kept", "v", long)
	set(t, s, "shortened", "v", long)
	set(t, s, "shortened", "v", short)
	for ok := false; !ok; { // the machine may be too slow to swap before it expires
		set(t, s, "swapped", "v", short)
		var err error
		if ok, err = s.CompareAndSwap(t.Context(), "swapped", "v", "w", long); err != nil {
			t.Fatal(err)
		}
	}
	set(t, s, "cut", "v", long)
	if ok, err := s.CompareAndSwap(t.Context(), "cut", "v", "w", short); !ok || err != nil {
		t.Errorf("swap: %v, %v", ok, err)
	}
	if ok, err := s.Add(t.Context(), "mark", "v", short); !ok || err != nil {
		t.Errorf("add: %v, %v", ok, err)
	}
	time.Sleep(short + tick)

	for _, key := range []string{"get", "shortened", "cut", "mark"} {
		wantValue(t, s, key, "")
	}
	wantValue(t, s, "kept", "v")
	wantValue(t, s, "swapped", "w")
	if v, err := s.Take(t.Context(), "take"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("take: %q, %v, want ErrNotFound", v, err)
	}
	wantAdd(t, s, "add", "new", true)
	wantValue(t, s, "add", "new")
	wantSwap(t, s, "swap", "7", "new", false)
	wantValue(t, s, "swap", "")
	set(t, s, "set", "new", long)
	wantValue(t, s, "set", "new")
	wantCount(t, s, "increment", 1)
	wantCount(t, s, "increment", 2)
	wantAdd(t, s, "mark", "again", true)
}

// testExpiryPrecision reads a value until it is gone. The value must stand in each read that ended
// before its time was over, and be gone in each that began after it.
func testExpiryPrecision(t *testing.T, s kv.Store) {
	writes := map[string]func(key string, ttl time.Duration) error{
		"set": func(key string, ttl time.Duration) error { return s.Set(t.Context(), key, "1", ttl) },
		"add": func(key string, ttl time.Duration) error {
			_, err := s.Add(t.Context(), key, "1", ttl)
			return err
		},
		"swap": func(key string, ttl time.Duration) error {
			if err := s.Set(t.Context(), key, "0", long); err != nil {
				return err
			}
			_, err := s.CompareAndSwap(t.Context(), key, "0", "1", ttl)
			return err
		},
		"increment": func(key string, ttl time.Duration) error {
			_, err := s.Increment(t.Context(), key, ttl)
			return err
		},
	}
	for key, write := range writes {
		for _, ttl := range []time.Duration{1500 * time.Microsecond, 33 * time.Millisecond} {
			before := time.Now()
			if err := write(key, ttl); err != nil {
				t.Fatal(err)
			}
			after := time.Now()
			for {
				begin := time.Now()
				_, err := s.Get(t.Context(), key)
				end := time.Now()
				switch {
				case err != nil && !errors.Is(err, kv.ErrNotFound):
					t.Fatal(err)
				case err != nil && end.Before(before.Add(ttl-tick)):
					t.Fatalf("%s: gone after %s of %s", key, end.Sub(before), ttl)
				case err == nil && begin.After(after.Add(ttl+tick)):
					t.Fatalf("%s: still there %s after it was written for %s", key, begin.Sub(after), ttl)
				}
				if err != nil {
					break
				}
			}
		}
	}
}

// testCounterWindow counts in a window that later increments do not prolong.
func testCounterWindow(t *testing.T, s kv.Store) {
	const window = 60 * time.Millisecond
	before := time.Now()
	if n, err := s.Increment(t.Context(), "n", window); n != 1 || err != nil {
		t.Fatalf("first: %d, %v", n, err)
	}
	after := time.Now()
	for want := int64(2); ; want++ {
		begin := time.Now()
		n, err := s.Increment(t.Context(), "n", long)
		end := time.Now()
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			if end.Before(before.Add(window - tick)) {
				t.Errorf("the window ended after %s of %s", end.Sub(before), window)
			}
			return
		}
		if n != want {
			t.Fatalf("counted %d, want %d", n, want)
		}
		if begin.After(after.Add(window + tick)) {
			t.Fatalf("the window is open %s after its %s began", begin.Sub(after), window)
		}
		time.Sleep(time.Millisecond)
	}
}

func testRaceAdd(t *testing.T, s kv.Store) {
	for round := range 3 {
		key := fmt.Sprintf("a%d", round)
		var winner atomic.Int64
		race(t, &winner, func(n int64) (bool, error) {
			return s.Add(t.Context(), key, strconv.FormatInt(n, 10), long)
		})
		wantValue(t, s, key, strconv.FormatInt(winner.Load(), 10))
	}
}

func testRaceAddExpired(t *testing.T, s kv.Store) {
	for round := range 3 {
		key := fmt.Sprintf("a%d", round)
		set(t, s, key, "old", time.Millisecond)
		time.Sleep(time.Millisecond + tick)
		var winner atomic.Int64
		race(t, &winner, func(n int64) (bool, error) {
			return s.Add(t.Context(), key, strconv.FormatInt(n, 10), long)
		})
		wantValue(t, s, key, strconv.FormatInt(winner.Load(), 10))
	}
}

func testRaceTake(t *testing.T, s kv.Store) {
	for round := range 3 {
		key := fmt.Sprintf("a%d", round)
		set(t, s, key, "prize", long)
		var winner atomic.Int64
		race(t, &winner, func(int64) (bool, error) {
			v, err := s.Take(t.Context(), key)
			if errors.Is(err, kv.ErrNotFound) {
				return false, nil
			}
			if err == nil && v != "prize" {
				err = fmt.Errorf("took %q", v)
			}
			return err == nil, err
		})
		wantValue(t, s, key, "")
	}
}

func testRaceSwap(t *testing.T, s kv.Store) {
	for round := range 3 {
		key := fmt.Sprintf("a%d", round)
		set(t, s, key, "start", long)
		var winner atomic.Int64
		race(t, &winner, func(n int64) (bool, error) {
			return s.CompareAndSwap(t.Context(), key, "start", strconv.FormatInt(n, 10), long)
		})
		wantValue(t, s, key, strconv.FormatInt(winner.Load(), 10))
	}
}

// testRaceReadSwap adds up by read and swap: an update that is lost is missing in the sum.
func testRaceReadSwap(t *testing.T, s kv.Store) {
	const workers, each = 8, 8
	set(t, s, "sum", "0", long)
	together(t, workers, func(int64) error {
		for range each {
			for {
				old, err := s.Get(t.Context(), "sum")
				if err != nil {
					return err
				}
				n, err := strconv.Atoi(old)
				if err != nil {
					return err
				}
				ok, err := s.CompareAndSwap(t.Context(), "sum", old, strconv.Itoa(n+1), long)
				if err != nil {
					return err
				}
				if ok {
					break
				}
			}
		}
		return nil
	})
	wantValue(t, s, "sum", strconv.Itoa(workers*each))
}

func testRaceIncrement(t *testing.T, s kv.Store) {
	const each = 4
	var seen [racers*each + 1]atomic.Bool
	together(t, racers, func(int64) error {
		for range each {
			n, err := s.Increment(t.Context(), "n", long)
			if err != nil {
				return err
			}
			if n < 1 || n > racers*each || seen[n].Swap(true) {
				return fmt.Errorf("count %d twice or out of range", n)
			}
		}
		return nil
	})
	wantValue(t, s, "n", strconv.Itoa(racers*each))
}

// testMixedLoad lets every racer go through all verbs on a key of its own while the others do.
func testMixedLoad(t *testing.T, s kv.Store) {
	together(t, racers, func(n int64) error {
		ctx := t.Context()
		key := fmt.Sprintf("k%d", n)
		for round := range 4 {
			want := fmt.Sprintf("%d/%d", n, round)
			if ok, err := s.Add(ctx, key, "first", long); !ok || err != nil {
				return fmt.Errorf("add: %v, %w", ok, err)
			}
			if ok, err := s.Add(ctx, key, "second", long); ok || err != nil {
				return fmt.Errorf("second add: %v, %w", ok, err)
			}
			if ok, err := s.CompareAndSwap(ctx, key, "first", want, long); !ok || err != nil {
				return fmt.Errorf("swap: %v, %w", ok, err)
			}
			if v, err := s.Get(ctx, key); v != want || err != nil {
				return fmt.Errorf("get: %q, %w", v, err)
			}
			if _, err := s.Increment(ctx, key, long); !errors.Is(err, kv.ErrNotCount) {
				return fmt.Errorf("increment: %w", err)
			}
			if v, err := s.Take(ctx, key); v != want || err != nil {
				return fmt.Errorf("take: %q, %w", v, err)
			}
			if v, err := s.Get(ctx, key); !errors.Is(err, kv.ErrNotFound) {
				return fmt.Errorf("get after take: %q, %w", v, err)
			}
			if err := s.Set(ctx, key, "1", long); err != nil {
				return err
			}
			if c, err := s.Increment(ctx, key, long); c != 2 || err != nil {
				return fmt.Errorf("increment: %d, %w", c, err)
			}
			if _, err := s.Take(ctx, key); err != nil {
				return err
			}
		}
		return nil
	})
}

func testCancelled(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", long)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(ctx, t, s, context.Canceled)
	wantValue(t, s, "a", "1") // and the store goes on
	wantCount(t, s, "a", 2)
}

func testClosed(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", long)
	closer, ok := s.(io.Closer)
	if !ok {
		t.Fatalf("%T is no io.Closer", s)
	}
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t.Context(), t, s, nil)
}

// wantUnavailable makes every call, each of which must fail with fault.Unavailable because of cause.
func wantUnavailable(ctx context.Context, t *testing.T, s kv.Store, cause error) {
	t.Helper()
	const secret = "not-for-the-log"
	results := map[string]error{}
	_, results["get"] = s.Get(ctx, "a")
	results["set"] = s.Set(ctx, "a", secret, long)
	_, results["add"] = s.Add(ctx, "b", secret, long)
	_, results["take"] = s.Take(ctx, "a")
	_, results["swap"] = s.CompareAndSwap(ctx, "a", "1", secret, long)
	_, results["increment"] = s.Increment(ctx, "a", long)
	for verb, err := range results {
		if !fault.Is(err, fault.Unavailable) || cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s: %v, want unavailable because of %v", verb, err, cause)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error gives the value away: %v", verb, err)
		}
	}
}

// race lets all racers try at once; exactly one must win, and winner tells which.
func race(t *testing.T, winner *atomic.Int64, try func(n int64) (bool, error)) {
	t.Helper()
	var wins atomic.Int64
	together(t, racers, func(n int64) error {
		won, err := try(n)
		if won {
			wins.Add(1)
			winner.Store(n)
		}
		return err
	})
	if wins.Load() != 1 {
		t.Errorf("%d of %d won", wins.Load(), racers)
	}
}

// together runs f in n goroutines that start at one moment.
func together(t *testing.T, n int, f func(n int64) error) {
	t.Helper()
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			if err := f(int64(i)); err != nil {
				t.Errorf("racer %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
}

func set(t *testing.T, s kv.Store, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, value, ttl); err != nil {
		t.Fatalf("set %q: %v", key, err)
	}
}

// wantValue wants the value to stand under key; the empty value says that none does.
func wantValue(t *testing.T, s kv.Store, key, want string) {
	t.Helper()
	v, err := s.Get(t.Context(), key)
	if want == "" {
		if !errors.Is(err, kv.ErrNotFound) || v != "" {
			t.Errorf("get %q: %q, %v, want ErrNotFound", key, v, err)
		}
	} else if v != want || err != nil {
		t.Errorf("get %q: %q, %v, want %q", key, v, err, want)
	}
}

// wantText is wantValue for any text, the empty one too.
func wantText(t *testing.T, s kv.Store, key, want string) {
	t.Helper()
	if v, err := s.Get(t.Context(), key); v != want || err != nil {
		t.Errorf("get %q: %.40q of %d bytes, %v, want %.40q of %d", key, v, len(v), err, want, len(want))
	}
}

func wantGone(t *testing.T, s kv.Store, key string) {
	t.Helper()
	wantValue(t, s, key, "")
	if v, err := s.Take(t.Context(), key); !errors.Is(err, kv.ErrNotFound) || v != "" {
		t.Errorf("take %q: %q, %v, want ErrNotFound", key, v, err)
	}
}

func wantAdd(t *testing.T, s kv.Store, key, value string, want bool) {
	t.Helper()
	if ok, err := s.Add(t.Context(), key, value, long); ok != want || err != nil {
		t.Errorf("add %q: %v, %v, want %v", key, ok, err, want)
	}
}

func wantSwap(t *testing.T, s kv.Store, key, old, new string, want bool) {
	t.Helper()
	if ok, err := s.CompareAndSwap(t.Context(), key, old, new, long); ok != want || err != nil {
		t.Errorf("swap %q: %v, %v, want %v", key, ok, err, want)
	}
}

func wantCount(t *testing.T, s kv.Store, key string, want int64) {
	t.Helper()
	if n, err := s.Increment(t.Context(), key, long); n != want || err != nil {
		t.Errorf("increment %q: %d, %v, want %d", key, n, err, want)
	}
}
