package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/testserver"
)

// fillOutbox makes a target with ten thousand messages that are due, and a hundred targets with one each.
func fillOutbox(t *testing.T, db *DB) {
	t.Helper()
	const insert = `
		WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < %d)
		INSERT INTO outbox (` + itemNames + `, leased_until)
		SELECT %s || n, 'logout', %s, 'batch', 'payload', 'waiting', 0, '', 1, %s, 1000000, 0, 0 FROM counter`
	if err := db.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
		if _, err := exec(ctx, tx, fmt.Sprintf(insert, 10_000, "'dead-'", "'dead'", "n")); err != nil {
			return err
		}
		_, err := exec(ctx, tx, fmt.Sprintf(insert, 100, "'live-'", "'site-' || n", "20000 + n"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestFullTargetDelaysNobody: what waits for one target costs the others nothing.
func TestFullTargetDelaysNobody(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		db := open(t, c)
		fillOutbox(t, db)
		now, until := time.UnixMilli(500_000), time.UnixMilli(600_000)
		items, err := db.Outbox().Lease(t.Context(), now, until, 102, 2)
		if err != nil {
			t.Fatal(err)
		}
		count := make(map[string]int)
		for _, i := range items {
			count[i.Target]++
		}
		if len(items) != 102 || len(count) != 101 || count["dead"] != 2 || items[0].ID != "dead-1" || items[2].ID != "live-1" {
			t.Errorf("%d items of %d targets are leased, %d of the full one; first %+v", len(items), len(count), count["dead"], items[0])
		}
	})
}

// planned runs the look for what is due, and tells how the engine does it.
func planned(t *testing.T, db *DB, prepare ...string) (lines []string) {
	t.Helper()
	if err := db.engine.write(t.Context(), func(ctx context.Context, tx tx) (err error) {
		for _, statement := range prepare {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		if _, lite := db.engine.(*sqliteEngine); lite {
			lines, err = all(ctx, standard{tx}, func(r row) (line string, err error) {
				var id, parent, unused int64
				err = r.Scan(&id, &parent, &unused, &line)
				return line, err
			}, `EXPLAIN QUERY PLAN `+sqliteDue, int64(500_000), 64, 2)
			return err
		}
		lines, err = all(ctx, standard{tx}, text, `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE due (500000, 64, 2)`)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DEALLOCATE due`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestDueIsFoundByIndexOnSQLite(t *testing.T) {
	t.Parallel()
	db, _ := openTestEngine(t)
	fillOutbox(t, db)
	for _, prepare := range [][]string{nil, {`ANALYZE`}} {
		searches := 0
		for _, line := range planned(t, db, prepare...) {
			if strings.HasPrefix(line, "SEARCH") && strings.Contains(line, "INDEX") {
				searches++
			}
			for _, table := range []string{"outbox", "o", "d", "l"} {
				if line == "SCAN "+table || strings.HasPrefix(line, "SCAN "+table+" ") {
					t.Errorf("after %v: %s", prepare, line)
				}
			}
		}
		if searches < 5 {
			t.Errorf("after %v: %d searches by index", prepare, searches)
		}
	}
}

// plan is a node of PostgreSQL's EXPLAIN.
type plan struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Removed  float64 `json:"Rows Removed by Filter"`
	Loops    float64 `json:"Actual Loops"`
	Plans    []plan  `json:"Plans"`
}

// read is how many rows of the outbox were looked at.
func (p plan) read() (n float64) {
	for _, below := range p.Plans {
		n += below.read()
	}
	if p.Relation == "outbox" {
		n += (p.Rows + p.Removed) * p.Loops
	}
	return n
}

func TestDueIsFoundByIndexOnPostgreSQL(t *testing.T) {
	t.Parallel()
	db := open(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	fillOutbox(t, db)
	for _, prepare := range [][]string{
		{`SET LOCAL plan_cache_mode = force_custom_plan`}, {`SET LOCAL plan_cache_mode = force_generic_plan`},
		{`ANALYZE outbox`, `SET LOCAL plan_cache_mode = force_custom_plan`}, {`SET LOCAL plan_cache_mode = force_generic_plan`},
	} {
		lines := planned(t, db, append(prepare, `PREPARE due (bigint, bigint, bigint) AS `+postgresDue)...)
		var explained []struct{ Plan plan }
		if err := json.Unmarshal([]byte(strings.Join(lines, "")), &explained); err != nil || len(explained) != 1 {
			t.Fatalf("plan %v: %v", lines, err)
		}
		// A step and two looks for each of 101 targets, and the two rows that the full one may have.
		if n := explained[0].Plan.read(); n < 100 || n > 500 {
			t.Errorf("after %v: %v rows are read\n%s", prepare, n, lines)
		}
	}
}
