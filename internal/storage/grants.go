package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/grant"
)

type grants struct{ *DB }

var _ grant.Store = grants{}

// RecordLogin implements grant.Store.
func (s grants) RecordLogin(ctx context.Context, l grant.Login) error {
	return s.failed("record a login", s.engine.record(ctx, record{login: &l, events: []audit.Event{l.Event}}))
}

// Connection implements grant.Store.
func (s grants) Connection(ctx context.Context, person, site string) (grant.Connection, error) {
	const query = `SELECT person, site, first_at, last_at, logins FROM connections WHERE person = $1 AND site = $2`
	c, err := one(ctx, s.engine.reader(), func(r row) (c grant.Connection, err error) {
		err = r.Scan(&c.Person, &c.Site, (*stamp)(&c.FirstAt), (*stamp)(&c.LastAt), &c.Logins)
		return c, err
	}, query, person, site)
	return c, s.found("connection", err)
}

// HandOver implements grant.Store.
func (s grants) HandOver(ctx context.Context, person, site string) (consent.Record, error) {
	const query = `
		SELECT id, person, recipient, kind, version, digest, locale, basis, purpose, items, retention, attempt, given_at
		FROM consents WHERE person = $1 AND recipient = $2 AND kind = $3
		ORDER BY given_at DESC, id DESC LIMIT 1`
	c, err := one(ctx, s.engine.reader(), func(r row) (c consent.Record, err error) {
		err = r.Scan(&c.ID, &c.Person, &c.Recipient, &c.Kind, &c.Version, &c.Digest, &c.Locale, &c.Basis, &c.Purpose,
			document{&c.Items}, &c.Retention, &c.Attempt, (*stamp)(&c.At))
		return c, err
	}, query, person, site, string(consent.HandOver))
	return c, s.found("consent", err)
}

// AddConsent implements grant.Store.
func (s grants) AddConsent(ctx context.Context, c consent.Record, event audit.Event) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		added, err := insertConsent(ctx, tx, c)
		if err != nil || !added {
			return err
		}
		return insertEvents(ctx, tx, event)
	})
	return s.failed("add a consent", err)
}

// insertConsent reports false when the attempt has a consent of that kind for the recipient already.
func insertConsent(ctx context.Context, tx tx, c consent.Record) (bool, error) {
	const insert = `
		INSERT INTO consents (id, person, recipient, kind, version, digest, locale, basis, purpose, items, retention, attempt, given_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (attempt, recipient, kind) DO NOTHING`
	items, err := encode(c.Items)
	if err != nil {
		return false, err
	}
	n, err := exec(ctx, tx, insert, c.ID, c.Person, c.Recipient, string(c.Kind), c.Version, c.Digest, c.Locale, c.Basis, c.Purpose,
		items, c.Retention, c.Attempt, millis(c.At))
	return n > 0, err
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
	f, err := one(ctx, s.engine.reader(), func(r row) (f grant.Family, err error) {
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
		return n, insertEvents(ctx, tx, event)
	})
}

// changes runs a change and reports whether it changed a row.
func (s grants) changes(ctx context.Context, doing string, change func(context.Context, tx) (int64, error)) (bool, error) {
	var n int64
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) (err error) {
		n, err = change(ctx, tx)
		return err
	})
	if err != nil {
		return false, s.failed(doing, err)
	}
	return n > 0, nil
}

// RevokeGrant implements grant.Store.
func (s grants) RevokeGrant(ctx context.Context, grant string, at time.Time, event audit.Event) error {
	const revoke = `UPDATE refresh_families SET revoked_at = $1 WHERE grant_id = $2 AND revoked_at = 0`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		if _, err := exec(ctx, tx, revoke, millis(at), grant); err != nil {
			return err
		}
		return insertEvents(ctx, tx, event)
	})
	return s.failed("revoke a grant", err)
}

// SweepFamilies implements grant.Store.
func (s grants) SweepFamilies(ctx context.Context, before time.Time, limit int) (int, error) {
	const sweep = `
		DELETE FROM refresh_families
		WHERE id IN (SELECT id FROM refresh_families WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)`
	var n int64
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) (err error) {
		n, err = exec(ctx, tx, sweep, millis(before), limit)
		return err
	})
	if err != nil {
		return 0, s.failed("sweep refresh token families", err)
	}
	return int(n), nil
}
