package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
)

type grants struct{ *DB }

var _ grant.Store = grants{}

// RecordLogin implements grant.Store.
func (s grants) RecordLogin(ctx context.Context, l grant.Login) error {
	hidden, err := s.hide(l.Event)
	if err == nil {
		err = s.engine.record(ctx, record{login: &l, events: hidden})
	}
	return s.failed("record a login", err)
}

// alone reports whether the record needs a transaction of its own: one that reads before it writes.
func (r record) alone() bool { return r.login != nil && r.login.Joins != "" }

// write writes the record by itself.
func (r record) write(ctx context.Context, tx tx) error {
	// Of a login the connection comes first: what locks it and the person takes them in this order.
	const upsert = `
		INSERT INTO connections (person, site, first_at, last_at, logins) VALUES ($1, $2, $3, $3, 1)
		ON CONFLICT (person, site) DO UPDATE SET
			first_at = CASE WHEN excluded.first_at < connections.first_at THEN excluded.first_at ELSE connections.first_at END,
			last_at  = CASE WHEN excluded.last_at > connections.last_at THEN excluded.last_at ELSE connections.last_at END,
			logins   = connections.logins + 1`
	if r.registered != nil {
		columns, err := personColumns(r.registered.Person)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insertPerson, columns...); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insertLink, linkColumns(r.registered.Link)...); err != nil {
			return err
		}
	}
	for _, c := range r.consents {
		columns, err := consentColumns(c)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insertConsent, columns...); err != nil {
			return err
		}
	}
	for _, id := range r.replaced {
		if _, err := exec(ctx, tx, endConsent, millis(r.consents[0].At), id); err != nil {
			return err
		}
	}
	if l := r.login; l != nil {
		if _, err := exec(ctx, tx, upsert, l.Person, l.Site, millis(l.At)); err != nil {
			return err
		}
		if l.Browser != "" {
			if _, err := exec(ctx, tx, addBrowser, browserColumns(l)...); err != nil {
				return err
			}
		}
		if err := upsertEntry(ctx, tx, l.Session); err != nil {
			return err
		}
		if err := joinSession(ctx, tx, l.Person, l.Joins, l.Site); err != nil {
			return err
		}
		if err := insertAlerts(ctx, tx, l.Alerts); err != nil {
			return err
		}
		if err := insertItems(ctx, tx, l.Items); err != nil {
			return err
		}
	}
	return insertStored(ctx, tx, r.events)
}

// Connection implements grant.Store.
func (s grants) Connection(ctx context.Context, person, site string) (grant.Connection, error) {
	c, err := one(ctx, s.engine.finder(), scanConnection, selectConnections+` WHERE person = $1 AND site = $2`, person, site)
	return c, s.found("connection", err)
}

const selectConnections = `SELECT person, site, first_at, last_at, logins FROM connections`

func scanConnection(r row) (c grant.Connection, err error) {
	err = r.Scan(&c.Person, &c.Site, (*stamp)(&c.FirstAt), (*stamp)(&c.LastAt), &c.Logins)
	return c, err
}

// Connections implements grant.Store.
func (s grants) Connections(ctx context.Context, person string) ([]grant.Connection, error) {
	list, err := all(ctx, s.engine.reader(), scanConnection, selectConnections+` WHERE person = $1 ORDER BY last_at DESC, site`, person)
	return list, s.failed("list connections", err)
}

// Disconnect implements grant.Store.
func (s grants) Disconnect(ctx context.Context, d grant.Disconnection) error {
	const (
		remove   = `DELETE FROM connections WHERE person = $1 AND site = $2`
		withdraw = `UPDATE consents SET withdrawn_at = $1 WHERE person = $2 AND recipient = $3 AND withdrawn_at = 0`
	)
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, remove, d.Person, d.Site)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "storage: there is no such connection")
		}
		if _, err := exec(ctx, tx, withdraw, millis(d.At), d.Person, d.Site); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, revokeFamilies, millis(d.At), d.Person, d.Site); err != nil {
			return err
		}
		if err := leaveSessions(ctx, tx, d.Person, d.Site); err != nil {
			return err
		}
		if err := insertItems(ctx, tx, d.Items); err != nil {
			return err
		}
		return s.insertEvents(ctx, tx, d.Event)
	})
	return s.failed("end a connection", err)
}

// HandOvers implements grant.Store.
func (s grants) HandOvers(ctx context.Context, person, site string) ([]consent.Record, error) {
	const query = selectConsents + ` WHERE person = $1 AND recipient = $2 AND kind = $3 AND withdrawn_at = 0 ORDER BY given_at DESC, id DESC`
	list, err := all(ctx, s.engine.finder(), scanConsent, query, person, site, string(consent.HandOver))
	return list, s.failed("list consents", err)
}

const selectConsents = `SELECT ` + consentNames + ` FROM consents`

func scanConsent(r row) (c consent.Record, err error) {
	err = r.Scan(&c.ID, &c.Person, &c.Recipient, &c.Kind, &c.Version, &c.Digest, &c.Locale, &c.Basis, &c.Purpose,
		document{&c.Items}, &c.Retention, &c.Attempt, &c.Method, (*stamp)(&c.At), (*stamp)(&c.WithdrawnAt))
	return c, err
}

// AddConsent implements grant.Store.
func (s grants) AddConsent(ctx context.Context, c consent.Record, replaced []string, event audit.Event) error {
	hidden, err := s.hide(event)
	if err == nil {
		err = s.engine.record(ctx, record{consents: []consent.Record{c}, replaced: replaced, events: hidden})
	}
	err = s.failed("add a consent", err)
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// The attempt may have one consent of a kind for a recipient. What is tried again leaves the one that is there.
const (
	insertConsent = `
	INSERT INTO consents (` + consentNames + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	orNothing    = ` ON CONFLICT (attempt, recipient, kind) DO NOTHING`
	consentNames = `id, person, recipient, kind, version, digest, locale, basis, purpose, items, retention, attempt, method, given_at, withdrawn_at`
)

// endConsent lets a consent hold no longer, from the time of the one that replaces it.
const endConsent = `UPDATE consents SET withdrawn_at = $1 WHERE id = $2 AND withdrawn_at = 0`

func consentColumns(c consent.Record) ([]any, error) {
	items, err := encode(c.Items)
	return []any{
		c.ID, c.Person, c.Recipient, string(c.Kind), c.Version, c.Digest, c.Locale, c.Basis, c.Purpose,
		items, c.Retention, c.Attempt, c.Method, millis(c.At), millis(c.WithdrawnAt),
	}, err
}

// AddFamily implements grant.Store.
func (s grants) AddFamily(ctx context.Context, f grant.Family) error {
	const insert = `
		INSERT INTO refresh_families (id, current_token, rotations, grant_id, site, person, access, created_at, used_at, expires_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		access, err := encode(f.Access)
		if err != nil {
			return err
		}
		_, err = exec(ctx, tx, insert, f.ID, f.Current, f.Rotations, f.Grant, f.Site, f.Person, access,
			millis(f.CreatedAt), millis(f.UsedAt), millis(f.ExpiresAt), millis(f.RevokedAt))
		return err
	})
	return s.failed("add a refresh token family", err)
}

// Family implements grant.Store.
func (s grants) Family(ctx context.Context, id string) (grant.Family, error) {
	const query = `
		SELECT id, current_token, rotations, grant_id, site, person, access, created_at, used_at, expires_at, revoked_at
		FROM refresh_families WHERE id = $1`
	f, err := one(ctx, s.engine.finder(), func(r row) (f grant.Family, err error) {
		err = r.Scan(&f.ID, &f.Current, &f.Rotations, &f.Grant, &f.Site, &f.Person, document{&f.Access},
			(*stamp)(&f.CreatedAt), (*stamp)(&f.UsedAt), (*stamp)(&f.ExpiresAt), (*stamp)(&f.RevokedAt))
		return f, err
	}, query, id)
	return f, s.found("refresh token family", err)
}

// RotateFamily implements grant.Store.
func (s grants) RotateFamily(ctx context.Context, id, old, next string, at, expires time.Time) (bool, error) {
	const rotate = `
		UPDATE refresh_families SET current_token = $1, rotations = rotations + 1, used_at = $2, expires_at = $3
		WHERE id = $4 AND current_token = $5 AND revoked_at = 0 AND expires_at > $2`
	return s.changes(ctx, "rotate a refresh token", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, rotate, next, millis(at), millis(expires), id, old)
	})
}

// RevokeFamily implements grant.Store. A family that was not alive gets no event.
func (s grants) RevokeFamily(ctx context.Context, id string, at time.Time, event audit.Event) (bool, error) {
	const revoke = `UPDATE refresh_families SET revoked_at = $1 WHERE id = $2 AND revoked_at = 0 AND expires_at > $1`
	return s.changes(ctx, "revoke a refresh token family", func(ctx context.Context, tx tx) (int64, error) {
		n, err := exec(ctx, tx, revoke, millis(at), id)
		if err != nil || n == 0 {
			return 0, err
		}
		return n, s.insertEvents(ctx, tx, event)
	})
}

// RevokeGrant implements grant.Store.
func (s grants) RevokeGrant(ctx context.Context, grant string, at time.Time, event audit.Event) error {
	const revoke = `UPDATE refresh_families SET revoked_at = $1 WHERE grant_id = $2 AND revoked_at = 0`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		if _, err := exec(ctx, tx, revoke, millis(at), grant); err != nil {
			return err
		}
		return s.insertEvents(ctx, tx, event)
	})
	return s.failed("revoke a grant", err)
}

// revokeFamilies ends a person's families at one site, or at all.
const revokeFamilies = `UPDATE refresh_families SET revoked_at = $1 WHERE person = $2 AND (site = $3 OR $3 = '') AND revoked_at = 0`

// RevokeFamilies implements grant.Store.
func (s grants) RevokeFamilies(ctx context.Context, person, site string, at time.Time) error {
	_, err := s.changes(ctx, "revoke refresh token families", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, revokeFamilies, millis(at), person, site)
	})
	return err
}

// SweepFamilies implements grant.Store.
func (s grants) SweepFamilies(ctx context.Context, before time.Time, limit int) (int, error) {
	const sweep = `
		DELETE FROM refresh_families
		WHERE id IN (SELECT id FROM refresh_families WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`
	return s.count(ctx, "sweep refresh token families", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, sweep, millis(before), limit)
	})
}
