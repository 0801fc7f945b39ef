package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

const (
	// maxRecords bounds the records that share a transaction.
	maxRecords = 512
	// maxFinds bounds the queries that share a round trip.
	maxFinds = 64
	// batches bounds the transactions, and the round trips, that run at once. The next begins when the one before has ended,
	// or is late: the more gather, the less each of them costs.
	batches = 4
	late    = 5 * time.Millisecond
	// batchTimeout bounds a batch, which belongs to no single caller.
	batchTimeout = 10 * time.Second
	// maxTries bounds how often a transaction is run that PostgreSQL undoes for others' sake, and a query
	// that it never got.
	maxTries = 6
)

// postgresEngine runs the shared SQL through database/sql, and what pays through pgx itself, on one
// pool.
type postgresEngine struct {
	pool    *pgxpool.Pool
	db      *sql.DB // on pool
	records *batch.Group[record]
	finds   *batch.Group[find]

	config *pgxpool.Config
	kvOnce sync.Once
	kvPool *pgxpool.Pool
	kvDB   *sql.DB // on kvPool
	kvErr  error
}

func parsePostgres(c Config) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(c.DSN)
	if err != nil {
		// The parser's message may quote the string, and that may hold a password.
		return nil, fault.New(fault.Invalid, "storage: the connection string is not one of PostgreSQL")
	}
	return config, nil
}

func openPostgres(c Config) (*postgresEngine, error) {
	config, err := parsePostgres(c)
	if err != nil {
		return nil, err
	}
	if c.MaxConns > 0 {
		config.MaxConns = int32(min(c.MaxConns, math.MaxInt32))
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "anyid"
	}
	e := &postgresEngine{config: config}
	if e.pool, err = pgxpool.NewWithConfig(context.Background(), config.Copy()); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	e.db = stdlib.OpenDBFromPool(e.pool)
	e.records = batch.New(batch.Config{Workers: batches, Limit: maxRecords, Patience: late}, e.writeRecords)
	e.finds = batch.New(batch.Config{Workers: batches, Limit: maxFinds, Patience: late}, e.findAll)
	return e, nil
}

// scrub has nothing to do: VACUUM, which the server runs by itself, gives the place of deleted rows to others.
func (e *postgresEngine) scrub(context.Context) error { return nil }

func (e *postgresEngine) write(ctx context.Context, change func(context.Context, tx) error) error {
	return retry(ctx, func() error {
		tx, err := e.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after Commit it does nothing
		if err := change(ctx, tx); err != nil {
			return err
		}
		return tx.Commit()
	})
}

// retry runs transact again when PostgreSQL undid it for others' sake, after a growing random wait.
func retry(ctx context.Context, transact func() error) error {
	for try := 1; ; try++ {
		err := transact()
		if try == maxTries || !retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(time.Millisecond << try)): //nolint:gosec // nobody gains by guessing it
		}
	}
}

func (e *postgresEngine) record(ctx context.Context, r record) error {
	if r.alone() {
		return e.write(ctx, r.write)
	}
	return e.records.Do(ctx, r)
}

// writeRecords writes a batch in one transaction. When the database objects to something in it, each half is
// written alone, and so on, so that one record does not harm the others.
func (e *postgresEngine) writeRecords(calls []*batch.Call[record]) {
	calls = slices.DeleteFunc(calls, (*batch.Call[record]).Left)
	err := e.insertRecords(calls...)
	if err == nil || len(calls) == 1 || unavailable(err) {
		for _, c := range calls {
			c.Answer(err)
		}
		return
	}
	half := len(calls) / 2
	e.writeRecords(calls[:half])
	e.writeRecords(calls[half:])
}

// The statements of a batch. It has one row for each connection and session, since ON CONFLICT updates a row
// only once, and all batches have theirs in the same order, so that no two of them deadlock.
const (
	upsertConnections = `
		INSERT INTO connections (person, site, first_at, last_at, logins)
		SELECT l.person, l.site, l.first_at, l.last_at, l.logins
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) AS l (person, site, first_at, last_at, logins)
		ON CONFLICT (person, site) DO UPDATE SET
			first_at = least(connections.first_at, excluded.first_at),
			last_at  = greatest(connections.last_at, excluded.last_at),
			logins   = connections.logins + excluded.logins`
	upsertSessions = `
		INSERT INTO sessions (` + entryNames + `)
		SELECT ` + entryNames + `
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[])
			AS s (` + entryNames + `)` + replaceEntry
	insertManyAlerts = `
		INSERT INTO alerts (` + alertNames + `)
		SELECT ` + alertNames + `
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[])
			AS a (` + alertNames + `)`
	insertManyEvents = `
		INSERT INTO audit_events (` + eventNames + `)
		SELECT ` + eventNames + `
		FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
			AS e (` + eventNames + `)`
)

func (e *postgresEngine) insertRecords(calls ...*batch.Call[record]) error {
	var (
		registered []*person.Registration
		consents   []*consent.Record
		ends       []ending
		logins     []*grant.Login
		entries    []*session.Entry
		alerts     []notice.Alert
		items      []outbox.Item
		events     []*stored
	)
	for _, c := range calls {
		if r := c.Value.registered; r != nil {
			registered = append(registered, r)
		}
		for i := range c.Value.consents {
			consents = append(consents, &c.Value.consents[i])
		}
		for _, id := range c.Value.replaced {
			ends = append(ends, ending{id, millis(c.Value.consents[0].At)})
		}
		if l := c.Value.login; l != nil {
			logins = append(logins, l)
			if l.Session != nil {
				entries = append(entries, l.Session)
			}
			alerts, items = append(alerts, l.Alerts...), append(items, l.Items...)
		}
		for i := range c.Value.events {
			events = append(events, &c.Value.events[i])
		}
	}
	// By what can be there already, so that two batches wait for each other in one order.
	slices.SortFunc(registered, func(a, b *person.Registration) int {
		return cmp.Or(cmp.Compare(a.Link.Method, b.Link.Method), cmp.Compare(a.Link.Subject, b.Link.Subject))
	})
	slices.SortFunc(consents, func(a, b *consent.Record) int {
		return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Recipient, b.Recipient), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(ends, func(a, b ending) int { return cmp.Compare(a.id, b.id) })
	newPeople, err := columnsOf(registered, func(r *person.Registration) ([]any, error) { return personColumns(r.Person) })
	if err != nil {
		return err
	}
	agreements, err := columnsOf(consents, func(c *consent.Record) ([]any, error) { return consentColumns(*c) })
	if err != nil {
		return err
	}
	connections := connectionColumns(logins)
	sessions, err := entryColumns(entries)
	if err != nil {
		return err
	}
	columns, err := eventColumns(events)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	return retry(ctx, func() error {
		// What a pgx.Batch sends is one transaction (PostgreSQL manual, "Pipelining"): it ends at the one Sync, and
		// Close waits for the answer to that.
		statements := new(pgx.Batch)
		for i, r := range registered {
			statements.Queue(insertPerson, newPeople[i]...)
			statements.Queue(insertLink, linkColumns(r.Link)...)
		}
		if len(logins) > 0 {
			statements.Queue(upsertConnections, connections...)
		}
		for _, l := range logins { // in the order of connections
			if l.Browser != "" {
				statements.Queue(addBrowser, browserColumns(l)...)
			}
		}
		for _, columns := range agreements {
			statements.Queue(insertConsent, columns...)
		}
		for _, e := range ends {
			statements.Queue(endConsent, e.at, e.id)
		}
		if len(entries) > 0 {
			statements.Queue(upsertSessions, sessions...)
		}
		if len(alerts) > 0 {
			statements.Queue(insertManyAlerts, alertColumns(alerts)...)
		}
		for _, i := range items {
			statements.Queue(insertItem, itemColumns(i)...)
		}
		if len(events) > 0 {
			statements.Queue(insertManyEvents, columns...)
		}
		if statements.Len() == 0 {
			return nil // every caller had left
		}
		return e.pool.SendBatch(ctx, statements).Close()
	})
}

// ending is of a consent that was replaced.
type ending struct {
	id string
	at int64
}

// columnsOf returns the arguments of a statement for each of the list.
func columnsOf[T any](list []T, columns func(T) ([]any, error)) ([][]any, error) {
	all := make([][]any, len(list))
	for i, v := range list {
		var err error
		if all[i], err = columns(v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// connectionColumns returns the arguments of upsertConnections. It sorts the logins.
func connectionColumns(logins []*grant.Login) []any {
	slices.SortFunc(logins, func(a, b *grant.Login) int {
		return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Site, b.Site))
	})
	n := len(logins)
	people, sites := make([]string, 0, n), make([]string, 0, n)
	firsts, lasts, counts := make([]int64, 0, n), make([]int64, 0, n), make([]int64, 0, n)
	for _, l := range logins {
		at, last := millis(l.At), len(people)-1
		if last >= 0 && people[last] == l.Person && sites[last] == l.Site {
			firsts[last], lasts[last] = min(firsts[last], at), max(lasts[last], at)
			counts[last]++
			continue
		}
		people, sites = append(people, l.Person), append(sites, l.Site)
		firsts, lasts, counts = append(firsts, at), append(lasts, at), append(counts, 1)
	}
	return []any{people, sites, firsts, lasts, counts}
}

// entryColumns returns the arguments of upsertSessions. It sorts the entries; of two of one session the later counts.
func entryColumns(entries []*session.Entry) ([]any, error) {
	slices.SortFunc(entries, func(a, b *session.Entry) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), b.At.Compare(a.At))
	})
	entries = slices.CompactFunc(entries, func(a, b *session.Entry) bool { return a.ID == b.ID })
	n := len(entries)
	ids, people, keys := make([]string, n), make([]string, n), make([]string, n)
	methods, providers, levels := make([]string, n), make([]string, n), make([]int64, n)
	origins, sites, ats, checks := make([]string, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, s := range entries {
		ids[i], people[i], keys[i], methods[i], providers[i], levels[i] = s.ID, s.Person, s.Key, string(s.Method), s.Provider, int64(s.Level)
		origins[i], ats[i], checks[i] = s.Origin, millis(s.At), millis(s.CheckAt)
		var err error
		if sites[i], err = encodeSites(s.Sites); err != nil {
			return nil, err
		}
	}
	return []any{ids, people, keys, methods, providers, levels, origins, sites, ats, checks}, nil
}

// alertColumns returns the arguments of insertManyAlerts.
func alertColumns(alerts []notice.Alert) []any {
	n := len(alerts)
	ids, people, kinds, methods, providers := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	sites, sessions, origins, ats, cases := make([]string, n), make([]string, n), make([]string, n), make([]int64, n), make([]string, n)
	for i, a := range alerts {
		ids[i], people[i], kinds[i], methods[i], providers[i] = a.ID, a.Person, string(a.Kind), string(a.Method), a.Provider
		sites[i], sessions[i], origins[i], ats[i], cases[i] = a.Site, a.Session, a.Origin, millis(a.At), a.Case
	}
	return []any{ids, people, kinds, methods, providers, sites, sessions, origins, ats, cases}
}

// eventColumns returns the arguments of insertManyEvents.
func eventColumns(events []*stored) ([]any, error) {
	n := len(events)
	ids, ats := make([]string, n), make([]int64, n)
	actions, actors, subjects, sites := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	attempts, addresses, hidden, details := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, e := range events {
		ids[i], ats[i], actions[i], actors[i] = e.ID, millis(e.At), string(e.Action), e.Actor
		subjects[i], sites[i], attempts[i], addresses[i], hidden[i] = e.Subject, e.Site, e.Attempt, e.Address, e.Hidden
		var err error
		if details[i], err = encodeDetail(e.Detail); err != nil {
			return nil, err
		}
	}
	return []any{ids, ats, actions, actors, subjects, sites, attempts, addresses, hidden, details}, nil
}

func (e *postgresEngine) seal(ctx context.Context, tx tx, links []audit.Link) (int64, error) {
	const place = `
		UPDATE audit_events SET position = l.position, hash = l.hash
		FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[]) AS l (at, id, position, hash)
		WHERE audit_events.at = l.at AND audit_events.id = l.id AND audit_events.position IS NULL`
	n := len(links)
	ats, ids, positions, hashes := make([]int64, n), make([]string, n), make([]int64, n), make([]string, n)
	for i, l := range links {
		ats[i], ids[i], positions[i], hashes[i] = millis(l.Event.At), l.Event.ID, l.Position, l.Hash
	}
	return exec(ctx, tx, place, ats, ids, positions, hashes)
}

func (e *postgresEngine) exclusively() string { return ` FOR UPDATE` }

func (e *postgresEngine) due() string { return postgresDue }

const postgresDue = waitingTargets + `
	SELECT d.id
	FROM targets t
	CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM outbox l WHERE l.target = t.target AND l.leased_until > 0 AND l.leased_until > $1) leased
	CROSS JOIN LATERAL (
		SELECT o.id, o.next_at FROM outbox o WHERE o.state = 'waiting' AND o.target = t.target AND o.next_at <= $1
		ORDER BY o.next_at, o.id LIMIT greatest($3 - leased.n, 0)) d
	ORDER BY d.next_at, d.id LIMIT $2`

func (e *postgresEngine) lease(ctx context.Context, tx tx, ids []string, now, until int64) ([]outbox.Item, error) {
	items, err := all(ctx, standard{tx}, scanItem, leaseItems+` AND id = ANY($3::text[]) RETURNING `+itemNames, now, until, ids)
	slices.SortFunc(items, func(a, b outbox.Item) int { return cmp.Compare(slices.Index(ids, a.ID), slices.Index(ids, b.ID)) })
	return items, err
}

func (e *postgresEngine) readOnly(ctx context.Context) (bool, error) {
	n, err := one(ctx, e.reader(), number, `SELECT CASE current_setting('transaction_read_only') WHEN 'on' THEN 1 ELSE 0 END`)
	return n == 1, err
}

func (e *postgresEngine) migrations(ctx context.Context) ([]Migration, error) {
	applied, err := all(ctx, e.reader(), scanMigration, selectMigrations)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "42P01" { // undefined table
		return nil, nil
	}
	return applied, err
}

func (e *postgresEngine) lock(ctx context.Context, tx tx, which int64) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, which)
	return err
}

func (e *postgresEngine) kv() (*sql.DB, error) {
	e.kvOnce.Do(func() {
		config := e.config.Copy()
		config.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
		if e.kvPool, e.kvErr = pgxpool.NewWithConfig(context.Background(), config); e.kvErr == nil {
			e.kvDB = stdlib.OpenDBFromPool(e.kvPool)
		}
	})
	return e.kvDB, e.kvErr
}

func (e *postgresEngine) close() error {
	e.records.Close()
	e.finds.Close()
	e.kvOnce.Do(func() { e.kvErr = errClosed })
	err := e.db.Close()
	e.pool.Close()
	if e.kvDB != nil {
		err = errors.Join(err, e.kvDB.Close())
		e.kvPool.Close()
	}
	return err
}
