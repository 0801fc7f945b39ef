package storage

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/session"
)

type sessions struct{ *DB }

var _ session.Store = sessions{}

const (
	entryNames    = `id, person, kv_key, method, provider, level, origin, sites, at, check_at`
	selectEntries = `SELECT ` + entryNames + ` FROM sessions`
	// replaceEntry makes an insert replace an entry; whose it is stays.
	replaceEntry = ` ON CONFLICT (id) DO UPDATE SET
		kv_key = excluded.kv_key, method = excluded.method, provider = excluded.provider, level = excluded.level,
		origin = excluded.origin, sites = excluded.sites, at = excluded.at, check_at = excluded.check_at`
)

func scanEntry(r row) (e session.Entry, err error) {
	err = r.Scan(&e.ID, &e.Person, &e.Key, &e.Method, &e.Provider, &e.Level, &e.Origin, document{&e.Sites}, (*stamp)(&e.At), (*stamp)(&e.CheckAt))
	return e, err
}

// encodeSites is the document of a session's sites: sorted, each once.
func encodeSites(sites []string) (string, error) {
	return encodeList(slices.Compact(slices.Sorted(slices.Values(sites))))
}

// upsertEntry stores the session, if there is one.
func upsertEntry(ctx context.Context, tx tx, e *session.Entry) error {
	const upsert = `INSERT INTO sessions (` + entryNames + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)` + replaceEntry
	if e == nil {
		return nil
	}
	sites, err := encodeSites(e.Sites)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, upsert, e.ID, e.Person, e.Key, string(e.Method), e.Provider, int64(e.Level), e.Origin, sites, millis(e.At), millis(e.CheckAt))
	return err
}

// joinSession adds a site to the person's session with the id, if there is an id.
func joinSession(ctx context.Context, tx tx, person, id, site string) error {
	if id == "" {
		return nil
	}
	e, err := lockEntry(ctx, tx, id)
	if errors.Is(err, sql.ErrNoRows) || err == nil && e.Person != person {
		return fault.New(fault.NotFound, "storage: the session has ended")
	}
	if err != nil || slices.Contains(e.Sites, site) {
		return err
	}
	return saveSites(ctx, tx, id, append(e.Sites, site))
}

// lockEntry returns the session and holds its row until the transaction ends; see lockPerson.
func lockEntry(ctx context.Context, tx tx, id string) (session.Entry, error) {
	return one(ctx, standard{tx}, scanEntry, `UPDATE sessions SET check_at = check_at WHERE id = $1 RETURNING `+entryNames, id)
}

func saveSites(ctx context.Context, tx tx, id string, sites []string) error {
	text, err := encodeSites(sites)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, `UPDATE sessions SET sites = $1 WHERE id = $2`, text, id)
	return err
}

// leaveSession takes a site out of a session that is locked, and reports whether it was in it.
func leaveSession(ctx context.Context, tx tx, e session.Entry, site string) (bool, error) {
	i := slices.Index(e.Sites, site)
	if i < 0 {
		return false, nil
	}
	return true, saveSites(ctx, tx, e.ID, slices.Delete(e.Sites, i, i+1))
}

// leaveSessions takes a site out of all sessions of a person.
func leaveSessions(ctx context.Context, tx tx, person, site string) error {
	entries, err := all(ctx, standard{tx}, scanEntry, `UPDATE sessions SET check_at = check_at WHERE person = $1 RETURNING `+entryNames, person)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := leaveSession(ctx, tx, e, site); err != nil {
			return err
		}
	}
	return nil
}

// Sessions implements session.Store.
func (s sessions) Sessions(ctx context.Context, person string) ([]session.Entry, error) {
	list, err := all(ctx, s.engine.reader(), scanEntry, selectEntries+` WHERE person = $1 ORDER BY at DESC, id DESC`, person)
	return list, s.failed("list sessions", err)
}

// Session implements session.Store.
func (s sessions) Session(ctx context.Context, id string) (session.Entry, error) {
	e, err := one(ctx, s.engine.finder(), scanEntry, selectEntries+` WHERE id = $1`, id)
	return e, s.found("session", err)
}

// Due implements session.Store.
func (s sessions) Due(ctx context.Context, now time.Time, limit int) ([]session.Entry, error) {
	list, err := all(ctx, s.engine.reader(), scanEntry, selectEntries+` WHERE check_at <= $1 ORDER BY check_at, id LIMIT $2`, millis(now), limit)
	return list, s.failed("list sessions to check", err)
}

// Move implements session.Store.
func (s sessions) Move(ctx context.Context, id string, from, to time.Time) (bool, error) {
	return s.changes(ctx, "move a session's end", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, `UPDATE sessions SET check_at = $1 WHERE id = $2 AND check_at = $3`, millis(to), id, millis(from))
	})
}

// Leave implements session.Store.
func (s sessions) Leave(ctx context.Context, id, site string, with session.Ending) (bool, error) {
	return s.changes(ctx, "leave a session", func(ctx context.Context, tx tx) (int64, error) {
		e, err := lockEntry(ctx, tx, id)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if left, err := leaveSession(ctx, tx, e, site); err != nil || !left {
			return 0, err
		}
		return 1, s.insertEnding(ctx, tx, with)
	})
}

// End implements session.Store. A site that joins meanwhile is in what the deleted row says, or finds it deleted.
func (s sessions) End(ctx context.Context, id string, tell func(session.Entry) (session.Ending, error)) (bool, error) {
	return s.changes(ctx, "end a session", func(ctx context.Context, tx tx) (int64, error) {
		e, err := one(ctx, standard{tx}, scanEntry, `DELETE FROM sessions WHERE id = $1 RETURNING `+entryNames, id)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		with, err := tell(e)
		if err != nil {
			return 0, err
		}
		return 1, s.insertEnding(ctx, tx, with)
	})
}

func (s sessions) insertEnding(ctx context.Context, tx tx, with session.Ending) error {
	if err := insertItems(ctx, tx, with.Items); err != nil {
		return err
	}
	return s.insertEvents(ctx, tx, with.Events...)
}
