package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

type people struct{ *DB }

var _ person.Store = people{}

const (
	personNames  = `id, first_method, ci_index, sealed_ci, sealed, settings, terms, blocks, browsers, registered_at, updated_at`
	selectPerson = `SELECT ` + personNames + ` FROM persons`
)

func scanPerson(r row) (p person.Person, err error) {
	err = r.Scan(&p.ID, &p.First, &p.CIIndex, &p.SealedCI, &p.Sealed, &p.Settings, &p.Terms, document{&p.Blocks}, (*browsers)(&p.Browsers),
		(*stamp)(&p.RegisteredAt), (*stamp)(&p.UpdatedAt))
	return p, err
}

// ByID implements person.Store.
func (s people) ByID(ctx context.Context, id string) (person.Person, error) {
	p, err := one(ctx, s.engine.finder(), scanPerson, selectPerson+` WHERE id = $1`, id)
	return p, s.found("person", err)
}

// ByCI implements person.Store.
func (s people) ByCI(ctx context.Context, index string) (person.Person, error) {
	// The second condition is that of the partial index, and keeps people without a CI out.
	p, err := one(ctx, s.engine.finder(), scanPerson, selectPerson+` WHERE ci_index = $1 AND ci_index <> ''`, index)
	return p, s.found("person", err)
}

// ByLink implements person.Store.
func (s people) ByLink(ctx context.Context, m method.Method, subject string) (person.Person, error) {
	p, err := one(ctx, s.engine.finder(), scanPerson,
		selectPerson+` WHERE id = (SELECT person FROM links WHERE method = $1 AND subject = $2)`, string(m), subject)
	return p, s.found("person", err)
}

const selectLinks = `
	SELECT person, method, subject, provider, rule, policy, binding, digest, attempt, linked_at
	FROM links WHERE person = $1 ORDER BY linked_at, method, subject`

func scanLink(r row) (l person.Link, err error) {
	err = r.Scan(&l.Person, &l.Method, &l.Subject, &l.Provider, &l.Rule, &l.Policy, &l.Binding, &l.Digest, &l.Attempt, (*stamp)(&l.LinkedAt))
	return l, err
}

// Links implements person.Store.
func (s people) Links(ctx context.Context, id string) ([]person.Link, error) {
	links, err := all(ctx, s.engine.reader(), scanLink, selectLinks, id)
	return links, s.failed("list links", err)
}

// Register implements person.Store.
func (s people) Register(ctx context.Context, r person.Registration, events ...audit.Event) error {
	hidden, err := s.hide(events...)
	if err == nil {
		err = s.engine.record(ctx, record{registered: &r, consents: r.Consents, events: hidden})
	}
	return s.failed("register a person", err)
}

const insertPerson = `
	INSERT INTO persons (` + personNames + `)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

func personColumns(p person.Person) ([]any, error) {
	blocks, err := encodeList(p.Blocks)
	return []any{
		p.ID, string(p.First), p.CIIndex, p.SealedCI, p.Sealed, p.Settings, p.Terms, blocks, encodeBrowsers(p.Browsers...),
		millis(p.RegisteredAt), millis(p.UpdatedAt),
	}, err
}

// browsers is Person.Browsers as stored: with a space before each, so that one is added without reading the others. All are
// of one length. A browser can stand there twice, of which the later counts, and one more than count is kept.
type browsers []string

// Scan implements sql.Scanner.
func (b *browsers) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("browsers are stored as %T", src)
	}
	var newestFirst []string
	for _, browser := range slices.Backward(strings.Fields(text)) {
		if len(newestFirst) < person.MaxBrowsers && !slices.Contains(newestFirst, browser) {
			newestFirst = append(newestFirst, browser)
		}
	}
	slices.Reverse(newestFirst)
	*b = newestFirst
	return nil
}

func encodeBrowsers(list ...string) string {
	if len(list) == 0 {
		return ""
	}
	return " " + strings.Join(list, " ")
}

// AddLink implements person.Store.
func (s people) AddLink(ctx context.Context, l person.Link, with person.Along) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		if _, err := exec(ctx, tx, insertLink, linkColumns(l)...); err != nil {
			return err
		}
		return s.insertAlong(ctx, tx, with)
	})
	return s.failed("add a link", err)
}

func (s people) insertAlong(ctx context.Context, tx tx, with person.Along) error {
	for _, c := range with.Consents {
		columns, err := consentColumns(c)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, insertConsent+orNothing, columns...); err != nil {
			return err
		}
	}
	if err := insertAlerts(ctx, tx, with.Alerts); err != nil {
		return err
	}
	if err := insertItems(ctx, tx, with.Items); err != nil {
		return err
	}
	return s.insertEvents(ctx, tx, with.Events...)
}

const insertLink = `
	INSERT INTO links (person, method, subject, provider, rule, policy, binding, digest, attempt, linked_at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

func linkColumns(l person.Link) []any {
	return []any{l.Person, string(l.Method), l.Subject, l.Provider, string(l.Rule), l.Policy, l.Binding, l.Digest, l.Attempt, millis(l.LinkedAt)}
}

// lockPerson returns the person, or fault.NotFound, and holds their row until the transaction ends. An update of
// nothing is a lock in both engines, and lets what references the row go on.
func lockPerson(ctx context.Context, tx tx, id string) (person.Person, error) {
	p, err := one(ctx, standard{tx}, scanPerson, `UPDATE persons SET updated_at = updated_at WHERE id = $1 RETURNING `+personNames, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "storage: there is no such person")
	}
	return p, err
}

// RemoveLink implements person.Store.
func (s people) RemoveLink(ctx context.Context, id string, m method.Method, subject string, with person.Along) error {
	const remove = `DELETE FROM links WHERE person = $1 AND method = $2 AND subject = $3`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		// Of two that take a link each, the later sees what the earlier has left.
		p, err := lockPerson(ctx, tx, id)
		if err != nil {
			return err
		}
		links, err := all(ctx, standard{tx}, scanLink, selectLinks, id)
		switch {
		case err != nil:
			return err
		case !slices.ContainsFunc(links, func(l person.Link) bool { return l.Method == m && l.Subject == subject }):
			return fault.New(fault.NotFound, "storage: there is no such link")
		case !p.MayLose(links, m, subject):
			return fault.New(fault.Conflict, "storage: the person cannot do without the link")
		}
		if _, err := exec(ctx, tx, remove, id, string(m), subject); err != nil {
			return err
		}
		return s.insertAlong(ctx, tx, with)
	})
	return s.failed("remove a link", err)
}

// Update implements person.Store.
func (s people) Update(ctx context.Context, id string, change func(*person.Person) error, with person.Along) error {
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		p, err := lockPerson(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := change(&p); err != nil {
			return err
		}
		p.ID = id
		if err := savePerson(ctx, tx, p); err != nil {
			return err
		}
		return s.insertAlong(ctx, tx, with)
	})
	return s.failed("update a person", err)
}

// savePerson stores what Update may change of a person who is locked.
func savePerson(ctx context.Context, tx tx, p person.Person) error {
	const update = `UPDATE persons SET settings = $1, terms = $2, blocks = $3, browsers = $4 WHERE id = $5`
	blocks, err := encodeList(p.Blocks)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, update, p.Settings, p.Terms, blocks, encodeBrowsers(p.Browsers...), p.ID)
	return err
}

// addBrowser notes that a person logged in in a browser. Of those before, it keeps as many characters as MaxBrowsers have.
const addBrowser = `
	UPDATE persons SET browsers = CASE WHEN length(browsers) > $3 THEN substr(browsers, length(browsers) - $3 + 1) ELSE browsers END || $2
	WHERE id = $1`

// browserColumns returns the arguments of addBrowser.
func browserColumns(l *grant.Login) []any {
	return []any{l.Person, encodeBrowsers(l.Browser), person.MaxBrowsers * (len(l.Browser) + 1)}
}

// Withdraw implements person.Store. Whatever references the person goes with their row, by the foreign keys: also
// what is being written at this moment, which waits for this transaction or is waited for by it.
func (s people) Withdraw(ctx context.Context, w person.Withdrawal) error {
	const insert = `INSERT INTO retained (id, class, basis, content, kept_at, destroy_at) VALUES ($1, $2, $3, $4, $5, $6)`
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		sites, entries, err := s.clear(ctx, tx, w.Person)
		if err != nil {
			return err
		}
		n, err := exec(ctx, tx, `DELETE FROM persons WHERE id = $1`, w.Person)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "storage: there is no such person")
		}
		if w.Tell != nil {
			items, err := w.Tell(sites, entries)
			if err != nil {
				return err
			}
			if err := insertItems(ctx, tx, items); err != nil {
				return err
			}
		}
		for _, r := range w.Retained {
			if _, err := exec(ctx, tx, insert, r.ID, r.Class, r.Basis, r.Content, millis(r.KeptAt), millis(r.DestroyAt)); err != nil {
				return err
			}
		}
		if err := insertItems(ctx, tx, w.Items); err != nil {
			return err
		}
		return s.insertEvents(ctx, tx, w.Event)
	})
	if err != nil {
		return s.failed("withdraw a person", err)
	}
	// The withdrawal stands, however this ends; the next one tries again.
	_ = s.engine.scrub(context.WithoutCancel(ctx))
	return nil
}

// clear deletes a person's connections and sessions, and returns them, the sites sorted and the sessions newest first:
// all that will ever have been, because from here on nothing that references the person is written.
func (s people) clear(ctx context.Context, tx tx, id string) (sites []string, entries []session.Entry, err error) {
	connections := func() error {
		more, err := all(ctx, standard{tx}, text, `DELETE FROM connections WHERE person = $1 RETURNING site`, id)
		sites = append(sites, more...)
		return err
	}
	// A login holds its connection when it comes to the person, so this takes them in the same order; and once more
	// those of logins that were under way.
	if err := connections(); err != nil {
		return nil, nil, err
	}
	if _, err := all(ctx, standard{tx}, text, `SELECT id FROM persons WHERE id = $1`+s.engine.exclusively(), id); err != nil {
		return nil, nil, err
	}
	if err := connections(); err != nil {
		return nil, nil, err
	}
	slices.Sort(sites)
	entries, err = all(ctx, standard{tx}, scanEntry, `DELETE FROM sessions WHERE person = $1 RETURNING `+entryNames, id)
	slices.SortFunc(entries, func(a, b session.Entry) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return sites, entries, err
}

// Retained implements person.Store.
func (s people) Retained(ctx context.Context, id string) (person.Retained, error) {
	const query = `SELECT id, class, basis, content, kept_at, destroy_at FROM retained WHERE id = $1`
	kept, err := one(ctx, s.engine.finder(), func(r row) (k person.Retained, err error) {
		err = r.Scan(&k.ID, &k.Class, &k.Basis, &k.Content, (*stamp)(&k.KeptAt), (*stamp)(&k.DestroyAt))
		return k, err
	}, query, id)
	return kept, s.found("retained record", err)
}

// SweepRetained implements person.Store.
func (s people) SweepRetained(ctx context.Context, now time.Time, limit int) (int, error) {
	const sweep = `DELETE FROM retained WHERE id IN (SELECT id FROM retained WHERE destroy_at <= $1 ORDER BY destroy_at LIMIT $2)`
	return s.count(ctx, "destroy retained records", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, sweep, millis(now), limit)
	})
}

// Consents implements person.Store.
func (s people) Consents(ctx context.Context, id string) ([]consent.Record, error) {
	list, err := all(ctx, s.engine.reader(), scanConsent, selectConsents+` WHERE person = $1 ORDER BY given_at DESC, id DESC`, id)
	return list, s.failed("list consents", err)
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
