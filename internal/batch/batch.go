// Package batch lets concurrent calls share one piece of work, such as a commit or a round trip: while one
// batch is under way the next calls queue, and are the next batch. No timer makes a lone call wait.
package batch

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// ErrClosed says that a Group takes no more calls.
var ErrClosed = errors.New("batch: closed")

// Group collects calls into batches. It is safe for concurrent use.
type Group[T any] struct {
	queue   chan *Call[T]
	limit   int
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

// Wait returns the answer, or the context's error if that ends first: the work may still be done.
func (c *Call[T]) Wait() error {
	select {
	case err := <-c.done:
		return err
	case <-c.Ctx.Done():
		return c.Ctx.Err()
	}
}

// New starts workers that pass batches of up to limit calls to run. Close ends them.
func New[T any](workers, limit int, run func([]*Call[T])) *Group[T] {
	g := &Group[T]{queue: make(chan *Call[T], limit), limit: limit, run: run}
	for range workers {
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
	for c := range g.queue {
		runtime.Gosched() // callers that the last batch woke come along, instead of one batch later
		batch := []*Call[T]{c}
	fill:
		for len(batch) < g.limit {
			select {
			case c, ok := <-g.queue:
				if !ok {
					break fill
				}
				batch = append(batch, c)
			default:
				break fill
			}
		}
		g.run(batch)
	}
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
