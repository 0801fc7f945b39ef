// Package batch lets concurrent calls share one piece of work, such as a commit or a round trip: while one
// batch is under way the next calls queue, and are the next batch. No timer makes a lone call wait.
package batch

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// ErrClosed says that a Group takes no more calls.
var ErrClosed = errors.New("batch: closed")

// Config says how calls become batches.
type Config struct {
	Workers int // batches under way at once, at most
	Limit   int // calls in one
	// Patience is how long a batch is under way before the next one may begin beside it: until then calls gather, and
	// fewer batches do the same work, but none waits for one that is stuck. 0 lets all workers begin at once.
	Patience time.Duration
}

// Group collects calls into batches. It is safe for concurrent use.
type Group[T any] struct {
	Config
	queue   chan *Call[T]
	turns   chan struct{} // holds a turn for each batch that may begin now
	run     func([]*Call[T])
	workers sync.WaitGroup
	closing sync.RWMutex // held for reading while a call joins the queue
	closed  bool
}

// Call is one caller's part of a batch. Whoever runs the batch answers every call once.
type Call[T any] struct {
	Ctx   context.Context // when it is done, nobody waits for the answer any more
	Value T
	done  chan error // room for the answer, so that it waits for nobody
}

// NewCall returns a call that stands in no queue.
func NewCall[T any](ctx context.Context, value T) *Call[T] {
	return &Call[T]{Ctx: ctx, Value: value, done: make(chan error, 1)}
}

// Answer ends the call.
func (c *Call[T]) Answer(err error) { c.done <- err }

// Left answers the call if nobody waits for it any more, and reports whether that is so.
func (c *Call[T]) Left() bool {
	err := c.Ctx.Err()
	if err != nil {
		c.Answer(err)
	}
	return err != nil
}

// Wait returns the answer, or the context's error if that ends first: the work may still be done.
func (c *Call[T]) Wait() error {
	select {
	case err := <-c.done:
		return err
	case <-c.Ctx.Done():
		return c.Ctx.Err()
	}
}

// New starts workers that pass batches to run. Close ends them.
func New[T any](c Config, run func([]*Call[T])) *Group[T] {
	g := &Group[T]{Config: c, queue: make(chan *Call[T], c.Limit), turns: make(chan struct{}, c.Workers), run: run}
	turns := c.Workers
	if c.Patience > 0 {
		turns = 1
	}
	for range turns {
		g.pass()
	}
	for range c.Workers {
		g.workers.Go(g.work)
	}
	return g
}

// Do has value worked on and returns the answer, as Call.Wait does, or ErrClosed.
func (g *Group[T]) Do(ctx context.Context, value T) error {
	c := NewCall(ctx, value)
	if err := g.join(c); err != nil {
		return err
	}
	return c.Wait()
}

// Queued is how many calls wait for the next batch.
func (g *Group[T]) Queued() int { return len(g.queue) }

func (g *Group[T]) join(c *Call[T]) error {
	g.closing.RLock()
	defer g.closing.RUnlock()
	if g.closed {
		return ErrClosed
	}
	select {
	case g.queue <- c:
		return nil
	case <-c.Ctx.Done():
		return c.Ctx.Err()
	}
}

func (g *Group[T]) work() {
	for range g.turns {
		batch := g.gather()
		if batch == nil {
			g.pass() // to the next worker, which ends too
			return
		}
		if g.Patience == 0 {
			g.run(batch)
			g.pass()
			continue
		}
		late := time.AfterFunc(g.Patience, g.pass)
		g.run(batch)
		if late.Stop() {
			g.pass()
		}
	}
}

// pass lets a batch begin.
func (g *Group[T]) pass() { g.turns <- struct{}{} }

// gather waits for a call and returns it with those that have queued behind it; nil after Close.
func (g *Group[T]) gather() []*Call[T] {
	c, ok := <-g.queue
	if !ok {
		return nil
	}
	runtime.Gosched() // callers that the last batch woke come along, instead of one batch later
	batch := []*Call[T]{c}
	for len(batch) < g.Limit {
		select {
		case c, ok := <-g.queue:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// Close refuses further calls and returns when the queue is worked off.
func (g *Group[T]) Close() {
	g.closing.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
	g.closing.Unlock()
	g.workers.Wait()
}
