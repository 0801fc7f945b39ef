package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/anyid/anyid/internal/batch"
)

func (e *postgresEngine) reader() source { return native{e.pool} }

func (e *postgresEngine) finder() source { return finder{e.finds} }

// native is a source on pgx itself: for a query that stands alone, database/sql costs as much again.
type native struct{ pool *pgxpool.Pool }

// rows runs the query again when its connection turns out to be gone before anything was sent, as
// database/sql does.
func (n native) rows(ctx context.Context, each func(row) error, query string, args ...any) error {
	return sent(func() error {
		rows, err := n.pool.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		return pass(rows, each)
	})
}

// sent runs do until what it sends leaves this machine, or maxTries times.
func sent(do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if try == maxTries || !pgconn.SafeToRetry(err) {
			return err
		}
	}
}

// finder is a source whose queries share round trips: a journey's look-ups cost the server and this process more by the
// messages than by what they find.
type finder struct{ group *batch.Group[find] }

// find is a query under way.
type find struct {
	each  func(row) error
	query string
	args  []any
	begun bool // a row has been passed on
}

func (f finder) rows(ctx context.Context, each func(row) error, query string, args ...any) error {
	return f.group.Do(ctx, find{each: each, query: query, args: args})
}

// findAll answers a batch. What comes after a query that the server refuses it leaves; that is asked again.
func (e *postgresEngine) findAll(calls []*batch.Call[find]) {
	calls = slices.DeleteFunc(calls, (*batch.Call[find]).Left)
	for len(calls) > 1 {
		var err error
		calls, err = e.findMany(calls)
		if len(calls) == 0 {
			return
		}
		if _, refused := errors.AsType[*pgconn.PgError](err); !refused {
			for _, c := range calls {
				c.Answer(err)
			}
			return
		}
		if c := calls[0]; c.Value.begun {
			c.Answer(err)
		} else {
			e.findOne(c) // was it refused, or one behind it that could not be prepared?
		}
		calls = calls[1:]
	}
	for _, c := range calls {
		e.findOne(c)
	}
}

func (e *postgresEngine) findOne(c *batch.Call[find]) {
	c.Answer(e.reader().rows(c.Ctx, c.Value.each, c.Value.query, c.Value.args...))
}

// findMany answers queries in one round trip, and returns those that it has no answer to, and why.
func (e *postgresEngine) findMany(calls []*batch.Call[find]) (rest []*batch.Call[find], err error) {
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	queries := new(pgx.Batch)
	for _, c := range calls {
		queries.Queue(c.Value.query, c.Value.args...)
	}
	err = sent(func() error {
		results := e.pool.SendBatch(ctx, queries)
		defer func() { _ = results.Close() }() // what it says, a query has said
		for len(calls) > 0 {
			c := calls[0]
			var own error // of what the caller makes of a row
			rows, err := results.Query()
			if err != nil {
				return err
			}
			err = pass(rows, func(r row) error {
				c.Value.begun = true
				own = c.Value.each(r)
				return own
			})
			rows.Close() // also of rows that the caller wants no more of
			if err != nil && own == nil {
				return err
			}
			c.Answer(own)
			calls = calls[1:]
		}
		return nil
	})
	return calls, err
}
