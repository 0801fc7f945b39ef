package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// Policy is how stubborn a Runner is. A zero field means the default.
type Policy struct {
	First     time.Duration // between the first try and the second; default 2 s
	Most      time.Duration // the longest between two tries; default 15 min
	Try       time.Duration // the longest that one try may take; default 5 s
	Workers   int           // tries at once; default 64
	PerTarget int           // tries at once at one target; default 2
	Keep      time.Duration // how long settled items are kept; default 1 h
}

func (p Policy) withDefaults() Policy {
	return Policy{
		First: cmp.Or(p.First, 2*time.Second), Most: cmp.Or(p.Most, 15*time.Minute), Try: cmp.Or(p.Try, 5*time.Second),
		Workers: cmp.Or(p.Workers, 64), PerTarget: cmp.Or(p.PerTarget, 2), Keep: cmp.Or(p.Keep, time.Hour),
	}
}

const (
	poll       = time.Second            // between two looks for what is due, when nobody kicks
	look       = 200 * time.Millisecond // between two looks of Await, which other instances' runners cannot wake
	settleTime = 5 * time.Second        // for writing down how a try ended, and what a lease lasts longer than a try
	sweepEvery = 10 * time.Minute
	sweepLimit = 1000
)

// Runner delivers what waits in a store. Any number of runners, in any number of processes, may share one. An item
// is delivered once as a rule, more than once where a confirmation or a process was lost, and never zero times:
// one whose runner died comes again when its lease ends, and one that nobody has tried yet is tried even when its
// time is over.
type Runner struct {
	Store    Store
	Handlers map[Kind]Handler
	// GivenUp and Delivered are called when an item is settled, at most once each; the payload is gone by then.
	// Either may be nil.
	GivenUp   func(ctx context.Context, i Item)
	Delivered func(ctx context.Context, i Item)
	Policy    Policy
	Now       func() time.Time
	Log       *slog.Logger

	once   sync.Once
	policy Policy
	kick   chan struct{}

	mu      sync.Mutex // guards what follows
	running int
	targets map[string]int             // tries that run, by target
	waiting map[string][]chan struct{} // the callers of Await, by batch
}

func (r *Runner) init() {
	r.once.Do(func() {
		r.policy = r.Policy.withDefaults()
		r.kick = make(chan struct{}, 1)
		r.targets, r.waiting = map[string]int{}, map[string][]chan struct{}{}
	})
}

// Run delivers until the context ends, and returns when nothing of it runs any more.
func (r *Runner) Run(ctx context.Context) {
	r.init()
	var tasks sync.WaitGroup
	defer tasks.Wait()
	tasks.Go(func() { r.sweep(ctx) })
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for down := false; ; {
		err := r.round(ctx, &tasks)
		if (err != nil) != down && ctx.Err() == nil { // once, not every second
			if down = err != nil; down {
				r.Log.ErrorContext(ctx, "outbox: cannot lease", "error", err)
			} else {
				r.Log.InfoContext(ctx, "outbox: leasing again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.kick:
		}
	}
}

// Kick makes the runner look for what is due now.
func (r *Runner) Kick() {
	r.init()
	select {
	case r.kick <- struct{}{}:
	default: // it will look anyway
	}
}

// round starts what is due, as far as there are workers.
func (r *Runner) round(ctx context.Context, tasks *sync.WaitGroup) error {
	for ctx.Err() == nil {
		r.mu.Lock()
		free := r.policy.Workers - r.running
		r.mu.Unlock()
		if free <= 0 {
			return nil // the next try that ends kicks
		}
		now := r.Now()
		leased := now.Add(r.policy.Try + settleTime).Truncate(time.Millisecond)
		items, err := r.Store.Lease(ctx, now, leased, free, r.policy.PerTarget)
		if err != nil {
			return err
		}
		var crowded []Item
		for _, i := range items {
			if !r.enter(i.Target) {
				crowded = append(crowded, i)
				continue
			}
			tasks.Go(func() {
				r.try(ctx, i, leased)
				r.leave(i.Target)
			})
		}
		for _, i := range crowded {
			r.putOff(ctx, i, leased)
		}
		if len(items) < free {
			return nil
		}
	}
	return nil
}

// enter takes a worker for the target, and reports whether it may have one more.
func (r *Runner) enter(target string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.targets[target] >= r.policy.PerTarget {
		return false
	}
	r.targets[target]++
	r.running++
	return true
}

// leave gives the worker back, and looks for more where that may have been waited for.
func (r *Runner) leave(target string) {
	r.mu.Lock()
	r.targets[target]--
	more := r.targets[target] == 0 || r.running == r.policy.Workers
	if r.targets[target] == 0 {
		delete(r.targets, target)
	}
	r.running--
	r.mu.Unlock()
	if more {
		r.Kick()
	}
}

// putOff hands back an item whose target has all the workers that it gets: the try of an earlier lease goes on after
// its time, or a store does not count what is leased. If this fails the item comes again when its lease ends.
func (r *Runner) putOff(ctx context.Context, i Item, leased time.Time) {
	i.NextAt = r.Now().Add(poll)
	if _, err := r.settle(ctx, i, leased); err != nil {
		r.Log.WarnContext(ctx, "outbox: cannot put off", "kind", i.Kind, "target", i.Target, "item", i.ID, "error", err)
	}
}

// try delivers one item, and settles it or puts it off.
func (r *Runner) try(ctx context.Context, i Item, leased time.Time) {
	var err error
	if i.Error != "" && !r.Now().Before(i.GiveUpAt) {
		err = Permanent(i.Error, errors.New("outbox: its time is over"))
	} else {
		err = r.deliver(ctx, i)
		if err != nil && ctx.Err() != nil {
			return // we are shutting down, which is not the target's fault: it comes again after its lease
		}
	}
	now := r.Now()
	if err == nil {
		i.State, i.Error, i.DoneAt = Delivered, "", now
	} else {
		var permanent bool
		i.Error, permanent = Outcome(err)
		i.NextAt = now.Add(r.policy.pause(i, now))
		if permanent || !i.NextAt.Before(i.GiveUpAt) {
			i.State, i.DoneAt = GivenUp, now
		}
	}
	held, err := r.settle(ctx, i, leased)
	// The error of a handler may repeat what its counterpart said, of a person perhaps: codes are logged only.
	log := r.Log.With("kind", i.Kind, "target", i.Target, "item", i.ID, "attempts", i.Attempts, "code", i.Error)
	switch {
	case err != nil:
		log.ErrorContext(ctx, "outbox: cannot settle", "error", err)
		return
	case !held:
		log.WarnContext(ctx, "outbox: the lease was over before the try") // somebody else settles it
		return
	}
	i.Payload = ""
	switch i.State {
	case Waiting:
		log.InfoContext(ctx, "outbox: not delivered yet", "next", i.NextAt)
	case GivenUp:
		log.WarnContext(ctx, "outbox: given up")
		call(ctx, r.GivenUp, i)
	case Delivered:
		call(ctx, r.Delivered, i)
	}
	r.wake(i.Batch)
}

func call(ctx context.Context, f func(context.Context, Item), i Item) {
	if f != nil {
		f(context.WithoutCancel(ctx), i)
	}
}

// settle writes the item down, at the end of the service too.
func (r *Runner) settle(ctx context.Context, i Item, leased time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	return r.Store.Settle(ctx, i, leased)
}

// deliver is one try. A handler that panics has failed: what made it is durable, and would end the process again
// at every start.
func (r *Runner) deliver(ctx context.Context, i Item) (err error) {
	h := r.Handlers[i.Kind]
	if h == nil {
		return Temporary("no_handler", fmt.Errorf("outbox: nobody delivers %s", i.Kind))
	}
	ctx, cancel := context.WithTimeout(ctx, r.policy.Try)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.Log.ErrorContext(ctx, "outbox: panic", "kind", i.Kind, "target", i.Target, "item", i.ID, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = Temporary("panic", errors.New("outbox: the handler panicked"))
		}
	}()
	return h.Deliver(ctx, i)
}

// pause is how long to wait after the item's latest try: twice as long after each, and never more than twice its age,
// since attempts also count those that a crash or a crowd cut short.
func (p Policy) pause(i Item, now time.Time) time.Duration {
	wait := p.First
	for range i.Attempts - 1 {
		if wait >= p.Most {
			break
		}
		wait *= 2
	}
	return spread(min(wait, p.Most, max(p.First, 2*now.Sub(i.CreatedAt))))
}

// spread takes up to a fifth off, so that what failed together does not come again together.
func spread(d time.Duration) time.Duration {
	return d - rand.N(d/5+1) //nolint:gosec // no secret
}

// Await kicks, and waits until every item of the batch has been tried, or the context ends. It returns the items as
// they are then, and an error only if it could not read them at all.
func (r *Runner) Await(ctx context.Context, batch string) ([]Item, error) {
	r.init()
	woken := make(chan struct{}, 1)
	r.mu.Lock()
	r.waiting[batch] = append(r.waiting[batch], woken)
	r.mu.Unlock()
	defer r.forget(batch, woken)

	r.Kick()
	tick := time.NewTicker(look)
	defer tick.Stop()
	var items []Item
	for read := false; ; {
		now, err := r.Store.Batch(ctx, batch)
		switch {
		case err == nil:
			items, read = now, true
		case !read:
			return nil, err
		}
		if err == nil && tried(items) {
			return items, nil
		}
		select {
		case <-ctx.Done():
			return items, nil
		case <-tick.C:
		case <-woken:
		}
	}
}

// tried reports whether each item was tried to an end. Attempts says only that a try was begun.
func tried(items []Item) bool {
	for _, i := range items {
		if i.State == Waiting && i.Error == "" {
			return false
		}
	}
	return true
}

func (r *Runner) wake(batch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, woken := range r.waiting[batch] {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
}

func (r *Runner) forget(batch string, woken chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var others []chan struct{}
	for _, w := range r.waiting[batch] {
		if w != woken {
			others = append(others, w)
		}
	}
	if r.waiting[batch] = others; others == nil {
		delete(r.waiting, batch)
	}
}

// sweep deletes what was settled a while ago, now and then.
func (r *Runner) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		for n := sweepLimit; n == sweepLimit && ctx.Err() == nil; {
			var err error
			if n, err = r.Store.Sweep(ctx, r.Now().Add(-r.policy.Keep), sweepLimit); err != nil && ctx.Err() == nil {
				r.Log.WarnContext(ctx, "outbox: cannot sweep", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
