package storage

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

type policies struct{ *DB }

var _ person.PolicyStore = policies{}

// LinkPolicy implements person.PolicyStore.
func (s policies) LinkPolicy(ctx context.Context) (method.LinkPolicy, error) {
	const query = `
		SELECT version, first_method, now_method, rule
		FROM link_policy_cells WHERE version = (SELECT max(version) FROM link_policies)`
	var version int
	cells, err := all(ctx, s.engine.reader(), func(r row) (c method.Cell, err error) {
		err = r.Scan(&version, &c.First, &c.Now, &c.Rule)
		return c, err
	}, query)
	if err == nil && len(cells) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		return method.LinkPolicy{}, s.found("linking matrix", err)
	}
	p, err := method.NewLinkPolicy(version, cells)
	if err != nil {
		return method.LinkPolicy{}, fmt.Errorf("storage: the stored linking matrix: %w", err)
	}
	return p, nil
}

// SetLinkPolicy implements person.PolicyStore.
func (s policies) SetLinkPolicy(ctx context.Context, p method.LinkPolicy, event audit.Event) error {
	const (
		insertPolicy = `
			INSERT INTO link_policies (version, set_at)
			SELECT new.version, new.set_at
			FROM (SELECT CAST($1 AS INTEGER) AS version, CAST($2 AS BIGINT) AS set_at) AS new
			WHERE new.version = (SELECT coalesce(max(version), 0) + 1 FROM link_policies)
			ON CONFLICT (version) DO NOTHING`
		insertCell = `INSERT INTO link_policy_cells (version, first_method, now_method, rule) VALUES ($1, $2, $3, $4)`
	)
	err := s.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := exec(ctx, tx, insertPolicy, p.Version, millis(event.At))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "storage: %d is not the next version of the linking matrix", p.Version)
		}
		for _, c := range p.Cells() {
			if _, err := exec(ctx, tx, insertCell, p.Version, string(c.First), string(c.Now), string(c.Rule)); err != nil {
				return err
			}
		}
		return s.insertEvents(ctx, tx, event)
	})
	return s.failed("set the linking matrix", err)
}
