package sqlkv

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
)

// groupLimit is how many writes share a transaction at most.
const groupLimit = 128

// writer is the one writer of a SQLite file. While a transaction commits, the next writes queue up,
// and they share the next one: what a transaction costs is paid once for all of them.
type writer struct {
	db      *sql.DB
	queue   chan *write
	closing chan struct{}
	closed  chan struct{}

	// The goroutine's own.
	conn          *sql.Conn
	stmts         [verbs]*sql.Stmt
	begin, commit *sql.Stmt
}

// write is one verb on its way through the writer.
type write struct {
	ctx    context.Context
	verb   verb
	args   []any
	answer answer
	err    error
	done   chan struct{}
}

func newWriter(db *sql.DB) *writer {
	w := &writer{
		db:      db,
		queue:   make(chan *write, groupLimit),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	go w.loop()
	return w
}

// submit queues a write and waits for its transaction. If ctx ends while it waits, the write may
// happen still.
func (w *writer) submit(ctx context.Context, v verb, args []any) (answer, error) {
	o := &write{ctx: ctx, verb: v, args: args, done: make(chan struct{})}
	select {
	case w.queue <- o:
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-w.closing:
		return answer{}, errClosed
	}
	select {
	case <-o.done:
		return o.answer, o.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-w.closed:
	}
	select { // it may have been in the last group
	case <-o.done:
		return o.answer, o.err
	default:
		return answer{}, errClosed
	}
}

func (w *writer) close() {
	close(w.closing)
	<-w.closed
}

func (w *writer) loop() {
	defer close(w.closed)
	defer w.disconnect()
	group := make([]*write, 0, groupLimit)
	for {
		select {
		case o := <-w.queue:
			group = append(group[:0], o)
		case <-w.closing:
			return
		}
	gather:
		for len(group) < groupLimit {
			select {
			case o := <-w.queue:
				group = append(group, o)
			default:
				break gather
			}
		}
		w.execute(group)
		for _, o := range group {
			close(o.done)
		}
		clear(group)
	}
}

// execute runs the group in one transaction. If one of them fails, it is undone, and each runs in a
// transaction of its own, so that a failing write does not take its neighbours with it.
func (w *writer) execute(group []*write) {
	if len(group) > 1 && w.together(group) {
		return
	}
	for _, o := range group {
		w.alone(o)
	}
}

// The writer's statements do not end with the context of one of those they serve: an interrupt would
// hit the neighbours. It is looked at before, and by submit.
var background = context.Background()

// together reports whether the group is done with, well or not; false leaves no trace of it.
func (w *writer) together(group []*write) bool {
	if w.connect() != nil {
		return false
	}
	if _, err := w.begin.ExecContext(background); err != nil {
		w.disconnect()
		return false
	}
	for _, o := range group {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		o.answer, o.err = run(background, w.stmts[o.verb], o.verb, o.args)
		if o.err != nil {
			w.disconnect()
			return false
		}
	}
	if _, err := w.commit.ExecContext(background); err != nil {
		// Whether it is on disk is not known, so it must not run again.
		w.disconnect()
		for _, o := range group {
			o.answer, o.err = answer{}, fmt.Errorf("commit: %w", err)
		}
	}
	return true
}

func (w *writer) alone(o *write) {
	if o.err = o.ctx.Err(); o.err != nil {
		return
	}
	if o.err = w.connect(); o.err != nil {
		return
	}
	o.answer, o.err = run(background, w.stmts[o.verb], o.verb, o.args)
	if o.err != nil {
		w.disconnect()
	}
}

// connect takes a connection out of the pool, unless the writer has one, and prepares on it.
func (w *writer) connect() (err error) {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(background)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	prepare := func(text string) (stmt *sql.Stmt) {
		if err == nil {
			stmt, err = conn.PrepareContext(background, text)
		}
		return stmt
	}
	for v := range verbs {
		w.stmts[v] = prepare(statements[v].text)
	}
	w.begin, w.commit = prepare(`BEGIN IMMEDIATE`), prepare(`COMMIT`)
	w.conn = conn
	if err != nil {
		w.disconnect()
		return fmt.Errorf("prepare: %w", err)
	}
	return nil
}

// disconnect drops the connection for good: that undoes what is open on it, and the pool must not hand
// a connection in an unknown state to a reader.
func (w *writer) disconnect() {
	if w.conn == nil {
		return
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // gives back what it was told
	w.conn = nil
}
