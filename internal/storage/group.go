package storage

import (
	"context"
	"runtime"
	"sync"
)

// group lets concurrent calls share one piece of work: while a batch is under way the next calls queue,
// and are the next batch. No timer makes a lone call wait.
type group[T any] struct {
	queue   chan *call[T]
	limit   int
	run     func([]*call[T])
	workers sync.WaitGroup

	closing sync.RWMutex // held for reading while a call joins the queue
	closed  bool
}

// call is one caller's part of a batch. Whoever runs the batch answers every call once.
type call[T any] struct {
	ctx   context.Context
	value T
	done  chan error // room for the answer, so that it waits for nobody
}

// newGroup starts workers that pass batches of up to limit calls to run.
func newGroup[T any](workers, limit int, run func([]*call[T])) *group[T] {
	g := &group[T]{queue: make(chan *call[T], limit), limit: limit, run: run}
	for range workers {
		g.workers.Go(g.work)
	}
	return g
}

// do has value worked on and returns the answer. When ctx ends first, do returns its error: the work
// may still be done.
func (g *group[T]) do(ctx context.Context, value T) error {
	c := &call[T]{ctx: ctx, value: value, done: make(chan error, 1)}
	if err := g.join(c); err != nil {
		return err
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *group[T]) join(c *call[T]) error {
	g.closing.RLock()
	defer g.closing.RUnlock()
	if g.closed {
		return errClosed
	}
	select {
	case g.queue <- c:
		return nil
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
}

func (g *group[T]) work() {
	for c := range g.queue {
		runtime.Gosched() // callers that the last batch woke come along, instead of one batch later
		batch := []*call[T]{c}
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

// close refuses further calls and returns when the queue is worked off.
func (g *group[T]) close() {
	g.closing.Lock()
	if !g.closed {
		g.closed = true
		close(g.queue)
	}
	g.closing.Unlock()
	g.workers.Wait()
}
