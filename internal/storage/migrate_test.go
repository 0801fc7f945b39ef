package storage

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/testserver"
)

// engines runs a test with the configuration of an empty database on each engine.
func engines(t *testing.T, test func(t *testing.T, c Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, Config{Driver: SQLite, Path: t.TempDir(), AutoMigrate: true})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true})
	})
}

func open(t *testing.T, c Config) *DB {
	t.Helper()
	db, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// column is a column of the schema.
type column struct{ table, name, kind string }

// columns lists the columns of an open database.
func columns(t *testing.T, db *DB) []column {
	t.Helper()
	query := `
		SELECT table_name, column_name, CASE data_type WHEN 'bigint' THEN 'integer' ELSE data_type END || CASE is_nullable WHEN 'NO' THEN '' ELSE ' null' END
		FROM information_schema.columns WHERE table_schema = 'public'`
	if _, lite := db.engine.(*sqliteEngine); lite {
		query = `
			SELECT t.name, c.name, CASE c.type WHEN 'TEXT' THEN 'text' ELSE 'integer' END || CASE c."notnull" WHEN 1 THEN '' ELSE ' null' END
			FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`
	}
	list, err := all(t.Context(), db.engine.reader(), func(r row) (c column, err error) {
		err = r.Scan(&c.table, &c.name, &c.kind)
		return c, err
	}, query)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b column) int { return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.name, b.name)) })
	return list
}

// register registers somebody and returns their id.
func register(t *testing.T, db *DB) string {
	t.Helper()
	id := secret.NewID()
	if err := db.People().Register(t.Context(), person.Registration{
		Person: person.Person{ID: id, First: method.Simple},
		Link:   person.Link{Person: id, Method: method.Simple, Subject: "subject of " + id},
	}); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestMigrationsArePaired(t *testing.T) {
	t.Parallel()
	names := make(map[Driver][]Migration)
	for _, d := range []Driver{SQLite, Postgres} {
		list, err := knownMigrations(d)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %d migrations, %v", d, len(list), err)
		}
		for _, m := range list {
			names[d] = append(names[d], m.Migration)
		}
	}
	if !reflect.DeepEqual(names[SQLite], names[Postgres]) {
		t.Errorf("SQLite has %+v, PostgreSQL %+v", names[SQLite], names[Postgres])
	}
}

func TestEnginesHaveTheSameColumns(t *testing.T) {
	t.Parallel()
	lite := columns(t, open(t, Config{Driver: SQLite, Path: t.TempDir(), AutoMigrate: true}))
	pg := columns(t, open(t, Config{Driver: Postgres, DSN: testserver.Postgres(t), AutoMigrate: true}))
	for _, c := range lite {
		if !slices.Contains(pg, c) {
			t.Errorf("only SQLite has %s", c)
		}
	}
	for _, c := range pg {
		if !slices.Contains(lite, c) {
			t.Errorf("only PostgreSQL has %s", c)
		}
	}
	if len(lite) < 120 {
		t.Errorf("only %d columns were compared", len(lite))
	}
}

func TestSchemaOfAnotherReleaseIsRefused(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		db := open(t, c)
		known, err := knownMigrations(c.Driver)
		if err != nil {
			t.Fatal(err)
		}
		change := func(statement string, args ...any) {
			t.Helper()
			if err := db.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
				_, err := tx.ExecContext(ctx, statement, args...)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(say string) {
			t.Helper()
			_, opened := Open(t.Context(), c)
			_, migrated := Migrate(t.Context(), c)
			for _, err := range []error{opened, migrated} {
				if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), say) {
					t.Errorf("got %v, want a conflict that says %q", err, say)
				}
			}
		}
		change(insertMigration, len(known)+1, "future", millis(time.Now()))
		refused("future")
		list, err := Status(t.Context(), c)
		if err != nil || list[len(list)-1].Name != "future" {
			t.Errorf("status %+v, %v", list, err)
		}
		change(`DELETE FROM schema_migrations WHERE version = $1`, len(known)+1)
		change(`UPDATE schema_migrations SET version = $1 WHERE version = 1`, 99)
		refused("99")
	})
}

func TestHalfMigrationIsRolledBack(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, c Config) {
		db := open(t, c)
		good := migration{Migration{Version: 98, Name: "good"}, `CREATE TABLE good (x INTEGER); INSERT INTO good (x) VALUES (1);`}
		broken := migration{Migration{Version: 99, Name: "broken"}, `CREATE TABLE half (x INTEGER); CREATE TABLE half (x INTEGER);`}
		err := db.migrate(t.Context(), []migration{good, broken})
		if err == nil || !strings.Contains(err.Error(), "99_broken") {
			t.Fatalf("migrate: %v", err)
		}
		if n, err := one(t.Context(), db.engine.reader(), number, `SELECT x FROM good`); err != nil || n != 1 {
			t.Errorf("the good migration left %d, %v", n, err)
		}
		if _, err := one(t.Context(), db.engine.reader(), number, `SELECT count(*) FROM half`); err == nil {
			t.Error("the broken migration left its table")
		}
		list, err := db.engine.migrations(t.Context())
		if err != nil || list[len(list)-1].Version != 98 {
			t.Errorf("applied are %+v, %v", list, err)
		}
		// A migration that another instance took meanwhile is not taken again.
		if err := db.migrate(t.Context(), []migration{good}); err != nil {
			t.Error(err)
		}
	})
}

func TestReadMigrations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		files []string
		ok    bool
	}{
		{[]string{"0001_init.sql", "0002_more_of_it.sql"}, true},
		{[]string{"0002_init.sql"}, false},
		{[]string{"0001_init.sql", "0003_gap.sql"}, false},
		{[]string{"0001_init.sql", "0001_twice.sql"}, false},
		{[]string{"init.sql"}, false},
		{[]string{"0001.sql"}, false},
		{nil, false},
	} {
		files := fstest.MapFS{}
		for _, f := range c.files {
			files["m/"+f] = &fstest.MapFile{Data: []byte("-- " + f)}
		}
		list, err := readMigrations(files, "m")
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.files, err)
		}
		if c.ok && (len(list) != 2 || list[1].Name != "more_of_it" || list[1].text != "-- 0002_more_of_it.sql") {
			t.Errorf("%v: %+v", c.files, list)
		}
	}
}
