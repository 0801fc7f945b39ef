package storage

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/notice"
)

type notices struct{ *DB }

var _ notice.Store = notices{}

const (
	alertNames = `id, person, kind, method, provider, site, session, origin, at, case_id`
	caseNames  = `id, person, state, kind, method, provider, site, opened_at, closed_at, closed_by, note`
)

func scanAlert(r row) (a notice.Alert, err error) {
	err = r.Scan(&a.ID, &a.Person, &a.Kind, &a.Method, &a.Provider, &a.Site, &a.Session, &a.Origin, (*stamp)(&a.At), &a.Case)
	return a, err
}

func scanCase(r row) (c notice.Case, err error) {
	err = r.Scan(&c.ID, &c.Person, &c.State, &c.Kind, &c.Method, &c.Provider, &c.Site, (*stamp)(&c.OpenedAt), (*stamp)(&c.ClosedAt), &c.ClosedBy, &c.Note)
	return c, err
}

func insertAlerts(ctx context.Context, tx tx, alerts []notice.Alert) error {
	const insert = `INSERT INTO alerts (` + alertNames + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	for _, a := range alerts {
		if _, err := exec(ctx, tx, insert, a.ID, a.Person, string(a.Kind), string(a.Method), a.Provider, a.Site, a.Session, a.Origin, millis(a.At), a.Case); err != nil {
			return err
		}
	}
	return nil
}

// Alert implements notice.Store.
func (s notices) Alert(ctx context.Context, id string) (notice.Alert, error) {
	a, err := one(ctx, s.engine.finder(), scanAlert, `SELECT `+alertNames+` FROM alerts WHERE id = $1`, id)
	return a, s.found("alert", err)
}

// Alerts implements notice.Store.
func (s notices) Alerts(ctx context.Context, person string) ([]notice.Alert, error) {
	list, err := all(ctx, s.engine.reader(), scanAlert, `SELECT `+alertNames+` FROM alerts WHERE person = $1 ORDER BY at DESC, id DESC`, person)
	return list, s.failed("list alerts", err)
}

// Dispute implements notice.Store. An unknown alert, or another person's, is fault.NotFound.
func (s notices) Dispute(ctx context.Context, c notice.Case, alert string, events ...audit.Event) error {
	const (
		insert = `INSERT INTO cases (` + caseNames + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING`
		answer = `UPDATE alerts SET case_id = $1 WHERE id = $2 AND person = $3 AND case_id = ''`
		known  = `SELECT count(*) FROM alerts WHERE id = $1 AND person = $2`
	)
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		// The case comes first, and with it the person's row, which a withdrawal takes before the alerts.
		n, err := exec(ctx, tx, insert, c.ID, c.Person, string(c.State), string(c.Kind), string(c.Method), c.Provider, c.Site,
			millis(c.OpenedAt), millis(c.ClosedAt), c.ClosedBy, c.Note)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "storage: the case is open already")
		}
		if alert != "" {
			n, err := exec(ctx, tx, answer, c.ID, alert, c.Person)
			if err != nil {
				return err
			}
			if n == 0 {
				if n, err = one(ctx, standard{tx}, number, known, alert, c.Person); err != nil {
					return err
				}
				if n == 0 {
					return fault.New(fault.NotFound, "storage: there is no such alert")
				}
				return fault.New(fault.Conflict, "storage: the alert is answered already")
			}
		}
		return s.insertEvents(ctx, tx, events...)
	})
	return s.failed("open a case", err)
}

// Case implements notice.Store.
func (s notices) Case(ctx context.Context, id string) (notice.Case, error) {
	c, err := one(ctx, s.engine.finder(), scanCase, `SELECT `+caseNames+` FROM cases WHERE id = $1`, id)
	return c, s.found("case", err)
}

// Cases implements notice.Store.
func (s notices) Cases(ctx context.Context, state notice.CaseState, limit int) ([]notice.Case, error) {
	query, args := `SELECT `+caseNames+` FROM cases WHERE state = $2 ORDER BY opened_at, id LIMIT $1`, []any{limit, string(state)}
	if state == "" {
		query, args = `SELECT `+caseNames+` FROM cases ORDER BY opened_at, id LIMIT $1`, []any{limit}
	}
	list, err := all(ctx, s.engine.reader(), scanCase, query, args...)
	return list, s.failed("list cases", err)
}

// CasesOf implements notice.Store.
func (s notices) CasesOf(ctx context.Context, person string) ([]notice.Case, error) {
	list, err := all(ctx, s.engine.reader(), scanCase, `SELECT `+caseNames+` FROM cases WHERE person = $1 ORDER BY opened_at DESC, id DESC`, person)
	return list, s.failed("list a person's cases", err)
}

// CloseCase implements notice.Store. The event's actor is who closed it.
func (s notices) CloseCase(ctx context.Context, id, note string, at time.Time, event audit.Event) (bool, error) {
	const shut = `UPDATE cases SET state = $1, closed_at = $2, closed_by = $3, note = $4 WHERE id = $5 AND state = $6`
	return s.changes(ctx, "close a case", func(ctx context.Context, tx tx) (int64, error) {
		n, err := exec(ctx, tx, shut, string(notice.Closed), millis(at), event.Actor, note, id, string(notice.Open))
		if err != nil || n == 0 {
			return 0, err
		}
		return n, s.insertEvents(ctx, tx, event)
	})
}

// SweepAlerts implements notice.Store.
func (s notices) SweepAlerts(ctx context.Context, before time.Time, limit int) (int, error) {
	const sweep = `DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE at < $1 ORDER BY at LIMIT $2)`
	return s.count(ctx, "sweep alerts", func(ctx context.Context, tx tx) (int64, error) {
		return exec(ctx, tx, sweep, millis(before), limit)
	})
}
