package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Run is what one load on one broker came to.
type Run struct {
	Logins int
	Took   time.Duration // of the load
	P50    time.Duration // how long a login took: the middle, and all but one in a hundred
	P99    time.Duration
	Spent  Spent   // by everybody's processes, until the broker was quiet again
	Others float64 // share of the machine's processors that others used during the load
}

// PerSecond is the rate of logins.
func (r Run) PerSecond() float64 { return float64(r.Logins) / r.Took.Seconds() }

// Alone is about the rate that there would be if nobody else had used the machine.
func (r Run) Alone() float64 { return r.PerSecond() / max(0.05, 1-r.Others) }

// CPU is a part's processor time for one login, in milliseconds.
func (r Run) CPU(part time.Duration) float64 {
	return part.Seconds() * 1000 / float64(max(1, r.Logins))
}

// load lets the citizens log in again and again for a while, all at once.
func (s *session) load(ctx context.Context, p *prepared, citizens []*citizen, login func(worker, turn int, c *citizen) error) (r Run, err error) {
	if err := each(citizens, func(_ int, c *citizen) error { return c.connect() }); err != nil {
		return r, err
	}
	before, machineBefore, err := s.usage(p)
	if err != nil {
		return r, err
	}
	begun := time.Now()
	end := begun.Add(s.Duration)
	perWorker := make([][]time.Duration, len(citizens))
	err = each(citizens, func(i int, c *citizen) error {
		for turn := 0; ctx.Err() == nil; turn++ {
			at := time.Now()
			if at.After(end) {
				return nil
			}
			if err := login(i, turn, c); err != nil {
				return fmt.Errorf("login %d of worker %d: %w", turn, i, err)
			}
			perWorker[i] = append(perWorker[i], time.Since(at))
		}
		return ctx.Err()
	})
	if err != nil {
		return r, err
	}
	r.Took = time.Since(begun)
	after, machineAfter, err := s.usage(p)
	if err != nil {
		return r, err
	}
	r.Others = machineAfter.minus(machineBefore).others(after.minus(before))
	times := slices.Concat(perWorker...)
	slices.Sort(times)
	r.Logins, r.P50, r.P99 = len(times), percentile(times, 0.50), percentile(times, 0.99)
	r.Spent, err = s.quiet(ctx, p, before)
	return r, err
}

// quiet waits until the broker has done what the load left it to do, such as chaining the audit trail,
// and returns what everybody has spent since before: a debt must not be the next load's, nor nobody's.
func (s *session) quiet(ctx context.Context, p *prepared, before Spent) (Spent, error) {
	const pause, patience = 300 * time.Millisecond, 50
	last := before
	for range patience {
		now, _, err := s.usage(p)
		if err != nil {
			return last, err
		}
		still := now.Broker-last.Broker <= tick && now.Postgres-last.Postgres <= tick
		last = now
		if still {
			break
		}
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case <-time.After(pause):
		}
	}
	return last.minus(before), nil
}

// each runs do for every citizen at once, and returns the first error.
func each(citizens []*citizen, do func(i int, c *citizen) error) error {
	errs := make([]error, len(citizens))
	var all sync.WaitGroup
	for i, c := range citizens {
		all.Go(func() { errs[i] = do(i, c) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// percentile is the value that the share p of the sorted times does not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
