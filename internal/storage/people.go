package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

type people struct{ *DB }

var _ person.Store = people{}

const selectPerson = `
	SELECT p.id, p.first_method, p.ci_index, p.sealed_ci, p.sealed, p.registered_at, p.updated_at
	FROM persons p`

func scanPerson(r row) (p person.Person, err error) {
	err = r.Scan(&p.ID, &p.First, &p.CIIndex, &p.SealedCI, &p.Sealed, (*stamp)(&p.RegisteredAt), (*stamp)(&p.UpdatedAt))
	return p, err
}

// ByID implements person.Store.
func (s people) ByID(ctx context.Context, id string) (person.Person, error) {
	p, err := one(ctx, s.engine.reader(), scanPerson, selectPerson+` WHERE p.id = $1`, id)
	return p, s.found("person", err)
}

// ByCI implements person.Store.
func (s people) ByCI(ctx context.Context, index string) (person.Person, error) {
	// The second condition is that of the partial index, and keeps people without a CI out.
	p, err := one(ctx, s.engine.reader(), scanPerson, selectPerson+` WHERE p.ci_index = $1 AND p.ci_index <> ''`, index)
	return p, s.found("person", err)
}

// ByLink implements person.Store.
func (s people) ByLink(ctx context.Context, m method.Method, subject string) (person.Person, error) {
	p, err := one(ctx, s.engine.reader(), scanPerson,
		selectPerson+` JOIN links l ON l.person = p.id WHERE l.method = $1 AND l.subject = $2`, string(m), subject)
	return p, s.found("person", err)
}

// Links implements person.Store.
func (s people) Links(ctx context.Context, id string) ([]person.Link, error) {
	const query = `
		SELECT person, method, subject, provider, rule, policy, binding, digest, attempt, linked_at
		FROM links WHERE person = $1 ORDER BY linked_at, method, subject`
	links, err := all(ctx, s.engine.reader(), func(r row) (l person.Link, err error) {
		err = r.Scan(&l.Person, &l.Method, &l.Subject, &l.Provider, &l.Rule, &l.Policy, &l.Binding, &l.Digest, &l.Attempt, (*stamp)(&l.LinkedAt))
		return l, err
	}, query, id)
	return links, s.failed("list links", err)
}

// Register implements person.Store.
func (s people) Register(ctx context.Context, r person.Registration, events ...audit.Event) error {
	const insert = `
		INSERT INTO persons (id, first_method, ci_index, sealed_ci, sealed, registered_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT DO NOTHING`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		p := r.Person
		n, err := exec(ctx, tx, insert, p.ID, string(p.First), p.CIIndex, p.SealedCI, p.Sealed, millis(p.RegisteredAt), millis(p.UpdatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "storage: the person is registered already")
		}
		if err := insertLink(ctx, tx, r.Link); err != nil {
			return err
		}
		return insertConsentsAndEvents(ctx, tx, r.Consents, events)
	})
	return s.failed("register a person", err)
}

// AddLink implements person.Store.
func (s people) AddLink(ctx context.Context, l person.Link, consents []consent.Record, events ...audit.Event) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		if err := insertLink(ctx, tx, l); err != nil {
			return err
		}
		return insertConsentsAndEvents(ctx, tx, consents, events)
	})
	return s.failed("add a link", err)
}

func insertConsentsAndEvents(ctx context.Context, tx tx, consents []consent.Record, events []audit.Event) error {
	for _, c := range consents {
		if _, err := insertConsent(ctx, tx, c); err != nil {
			return err
		}
	}
	return insertEvents(ctx, tx, events...)
}

// insertLink returns fault.Conflict when the subject is linked already.
func insertLink(ctx context.Context, tx tx, l person.Link) error {
	const insert = `
		INSERT INTO links (person, method, subject, provider, rule, policy, binding, digest, attempt, linked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (method, subject) DO NOTHING`
	n, err := exec(ctx, tx, insert, l.Person, string(l.Method), l.Subject, l.Provider, string(l.Rule), l.Policy, l.Binding, l.Digest, l.Attempt, millis(l.LinkedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "storage: the subject is linked already")
	}
	return nil
}

// Refresh implements person.Store. An unknown person is fault.NotFound.
func (s people) Refresh(ctx context.Context, id, sealed string, at time.Time) error {
	const update = `UPDATE persons SET sealed = $1, updated_at = $2 WHERE id = $3`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, update, sealed, millis(at), id)
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "storage: there is no such person")
		}
		return err
	})
	return s.failed("refresh a person", err)
}
