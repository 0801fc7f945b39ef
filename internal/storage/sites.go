package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/site"
)

type sites struct{ *DB }

var _ site.Store = sites{}

// Sites implements site.Store. It is one statement, so that sites, secrets and revision are of one
// moment.
func (s sites) Sites(ctx context.Context) ([]site.Registered, int64, error) {
	const query = `
		SELECT r.n, coalesce(s.id, ''), coalesce(s.document, ''), coalesce(s.updated_at, 0),
			coalesce(x.hash, ''), coalesce(x.created_at, 0), coalesce(x.expires_at, 0)
		FROM revisions r
		LEFT JOIN sites s ON TRUE
		LEFT JOIN site_secrets x ON x.site = s.id AND (x.expires_at = 0 OR x.expires_at > $1)
		WHERE r.name = 'sites'
		ORDER BY s.id, x.created_at, x.hash`
	var (
		revision int64
		list     []site.Registered
	)
	_, err := all(ctx, s.engine.reader(), func(r row) (none struct{}, err error) {
		var next site.Registered
		var x site.Secret
		err = r.Scan(&revision, &next.ID, document{&next.Site}, (*stamp)(&next.UpdatedAt), &x.Hash, (*stamp)(&x.CreatedAt), (*stamp)(&x.ExpiresAt))
		if err != nil || next.ID == "" {
			return none, err
		}
		if len(list) == 0 || list[len(list)-1].ID != next.ID {
			list = append(list, next)
		}
		if last := &list[len(list)-1]; x.Hash != "" {
			last.Secrets = append(last.Secrets, x)
		}
		return none, nil
	}, query, millis(s.now()))
	if err != nil {
		return nil, 0, s.failed("list sites", err)
	}
	return list, revision, nil
}

// SitesRevision implements site.Store.
func (s sites) SitesRevision(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.engine.reader(), number, `SELECT n FROM revisions WHERE name = 'sites'`)
	return n, s.failed("read the sites' revision", err)
}

// PutSite implements site.Store. The site's secrets stay.
func (s sites) PutSite(ctx context.Context, one site.Site, at time.Time, event audit.Event) error {
	const upsert = `
		INSERT INTO sites (id, document, updated_at) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		text, err := encode(one)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, upsert, one.ID, text, millis(at)); err != nil {
			return err
		}
		return s.changed(ctx, tx, event)
	})
	return s.failed("store a site", err)
}

// RemoveSite implements site.Store. The foreign key takes the secrets along.
func (s sites) RemoveSite(ctx context.Context, id string, event audit.Event) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, `DELETE FROM sites WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "storage: there is no such site")
		}
		return s.changed(ctx, tx, event)
	})
	return s.failed("remove a site", err)
}

// AddSecret implements site.Store. A secret that would expire before retire still does.
func (s sites) AddSecret(ctx context.Context, id string, secret site.Secret, retire time.Time, event audit.Event) error {
	const (
		touch  = `UPDATE sites SET updated_at = $1 WHERE id = $2`
		expire = `UPDATE site_secrets SET expires_at = $1 WHERE site = $2 AND (expires_at = 0 OR expires_at > $1)`
		insert = `INSERT INTO site_secrets (site, hash, created_at, expires_at) VALUES ($1, $2, $3, $4)`
	)
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, touch, millis(secret.CreatedAt), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "storage: there is no such site")
		}
		// Stored, 0 means never; a zero retire is a moment in the past like any other.
		if _, err := exec(ctx, tx, expire, max(1, millis(retire)), id); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insert, id, secret.Hash, millis(secret.CreatedAt), millis(secret.ExpiresAt)); err != nil {
			return err
		}
		return s.changed(ctx, tx, event)
	})
	return s.failed("add a client secret", err)
}

// changed closes every change of a site.
func (s sites) changed(ctx context.Context, tx tx, event audit.Event) error {
	if _, err := exec(ctx, tx, `UPDATE revisions SET n = n + 1 WHERE name = 'sites'`); err != nil {
		return err
	}
	return s.insertEvents(ctx, tx, event)
}
