package stage

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/anyid/anyid/internal/testserver"
)

// held is somewhere that the broker keeps things.
type held struct{ where, what string }

// TestNothingPersonalIsHeldInClear lets citizens fail, register, log in, come back and log out, and at every
// step reads all that the broker keeps: every column of every table, every short-lived key and value, the files
// themselves, and the log at its finest. Nobody who reads them learns a citizen's name, birth date, phone
// number, resident number, CI, or what the number could be searched for with, or gets a secret that would let
// him in.
func TestNothingPersonalIsHeldInClear(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"sqlite", "postgres", "sqlite+redis", "postgres+redis"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			log := new(buffer)
			config := Config{
				Data: t.TempDir(), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				People: []Person{{
					Name: "독고탁희", BirthDate: "1983-07-29", Phone: "01000007531", Gender: "female",
					CI: base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("linking information of Dokgo "), 3)[:64]),
				}, { // whose CI the number resolves to
					Name: "제갈윤슬", BirthDate: "1976-10-08", Phone: "01000007532", Gender: "male", Password: "yunseul#1976",
					Certificates: []Certificate{{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.2"}},
				}, { // whose CI the authority tells
					Name: "선우가온", BirthDate: "2002-11-23", Phone: "01000007533", Gender: "female", Password: "gaon#2002", PIN: "973164",
					Certificates: []Certificate{{Authority: "yessign", Policy: "1.2.410.200005.1.1.4"}},
				}},
			}
			if strings.HasPrefix(engine, "postgres") {
				config.Postgres = testserver.Postgres(t)
			}
			if strings.HasSuffix(engine, "redis") {
				config.Redis, config.RedisDB = testserver.Redis(t)
			}
			play, err := Open(t.Context(), config)
			check(t, err)
			ctx, stop := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- play.Serve(ctx) }()
			t.Cleanup(func() {
				stop()
				check(t, errors.Join(<-served, play.Close()))
			})
			p := play.People[0]
			var personal []string
			for _, p := range play.People {
				personal = append(personal, inForms(p.Name, p.BirthDate, strings.ReplaceAll(p.BirthDate, "-", ""), strings.ReplaceAll(p.BirthDate, "-", "")[2:],
					p.Phone, p.Phone[1:], p.Phone[:3]+"-"+p.Phone[3:7]+"-"+p.Phone[7:])...)
				personal = append(personal, inForms(identifying(t, play.Wallet(p), p)...)...)
			}
			citizen, err := play.Citizen(p)
			check(t, err)
			looked := 0
			look := func(step string) {
				t.Helper()
				secrets := make(map[string]string)
				for _, address := range []string{play.BrokerURL, play.BrokerURL + "/authorize"} {
					u, err := url.Parse(address)
					check(t, err)
					for _, cookie := range citizen.Cookies(u) {
						if len(cookie.Value) > 20 {
							secrets["cookie "+cookie.Name] = cookie.Value
						}
					}
				}
				all := append(dump(t, config), held{"the log", log.String()})
				if len(secrets) == 0 {
					t.Errorf("%s: the browser has no cookies", step)
				}
				for _, public := range []string{"qnet", "attempt:", "ES256", "route="} { // does this look at all?
					if !slices.ContainsFunc(all, func(h held) bool { return strings.Contains(h.what, public) }) {
						t.Errorf("%s: %q is held nowhere", step, public)
					}
				}
				for _, h := range all {
					looked++
					for _, form := range personal {
						if strings.Contains(h.what, form) {
							t.Errorf("%s: %s tells %q", step, h.where, form)
						}
					}
					for name, value := range secrets {
						if strings.Contains(h.what, value) {
							t.Errorf("%s: %s holds the %s", step, h.where, name)
						}
					}
				}
			}
			do := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatalf("%v\n%s", err, citizen.URL())
				}
			}
			do(citizen.Open(ctx, play.QNetURL+"/login"))
			do(citizen.Click(ctx, "anyid-login"))
			look("choosing")
			do(citizen.Request(ctx, "kakao"))
			look("waiting for the phone")
			waiting := play.Phones.Waiting(p.Phone)
			if len(waiting) != 1 {
				t.Fatalf("%d requests wait on the phone", len(waiting))
			}
			do(play.Phones.Deny(waiting[0].ReceiptID))
			do(citizen.Click(ctx, "auth-complete"))
			look("rejected")
			do(citizen.Open(ctx, play.QNetURL+"/login"))
			do(citizen.Click(ctx, "anyid-login"))
			do(citizen.Prove(ctx, "pass"))
			if !citizen.Has("register") {
				t.Fatalf("at %s", citizen.URL())
			}
			look("registering")
			do(citizen.Agree(ctx))
			look("registered at Q-Net")
			do(citizen.Open(ctx, play.PetitionURL+"/"))
			do(citizen.Click(ctx, "anyid-login"))
			do(citizen.Agree(ctx))
			look("at the second site")
			if citizen.Status() >= 400 || !strings.HasPrefix(citizen.URL().String(), play.PetitionURL) {
				t.Fatalf("ended at %s with %d", citizen.URL(), citizen.Status())
			}
			for i, prove := range []func(*Citizen) error{
				func(c *Citizen) error { return c.ProveJoint(ctx, 0) },
				func(c *Citizen) error { return c.ProveFinancial(ctx) },
			} {
				p = play.People[1+i]
				if citizen, err = play.Citizen(p); err != nil {
					t.Fatal(err)
				}
				do(citizen.Open(ctx, play.PetitionURL+"/"))
				do(citizen.Click(ctx, "anyid-login"))
				do(prove(citizen))
				look("proved with a certificate")
				if i == 0 {
					number, wrong := p.ResidentNumber(), "761008"+"1999999"
					personal = append(personal, inForms(wrong)...)
					for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
						do(citizen.Check(id))
					}
					do(errors.Join(citizen.Fill("rrn-front", number[:6]), citizen.Fill("rrn-back", wrong[6:])))
					do(citizen.Click(ctx, "register"))
					if !citizen.Has("rrn-error") {
						t.Fatalf("at %s", citizen.URL())
					}
					look("not the number")
				}
				do(citizen.Agree(ctx))
				if got := citizen.Text("signed-in-name"); got != p.Name {
					t.Fatalf("signed in as %q at %s", got, citizen.URL())
				}
				look("registered with a certificate")
			}
			if looked < 100 {
				t.Errorf("only %d things were looked at", looked)
			}
		})
	}
}

// identifying is what tells or would tell the person's number, and the CI.
func identifying(t *testing.T, w Wallet, p Person) []string {
	t.Helper()
	texts := []string{p.ci(), w.Number, w.Number[:6] + "-" + w.Number[6:]}
	for _, h := range w.Certificates {
		identity, err := h.Certificate.Identity()
		check(t, err)
		texts = append(texts, string(h.Key.R), string(identity.VID.Value))
	}
	return texts
}

// inForms are the texts as themselves and in encodings that are no protection.
func inForms(texts ...string) []string {
	var forms []string
	for _, s := range texts {
		quoted, ascii := strconv.Quote(s), strconv.QuoteToASCII(s)
		forms = append(forms, s, quoted[1:len(quoted)-1], ascii[1:len(ascii)-1], url.QueryEscape(s), url.PathEscape(s),
			hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s))))
		for phase := range min(3, len(s)) { // without the letters that neighbours decide
			inner := []byte(s[phase:])
			inner = inner[:len(inner)/3*3]
			forms = append(forms, base64.StdEncoding.EncodeToString(inner), base64.URLEncoding.EncodeToString(inner))
		}
	}
	slices.Sort(forms)
	return slices.DeleteFunc(slices.Compact(forms), func(s string) bool { return len(s) < 6 })
}

// dump is all that the broker keeps, and has kept in its files.
func dump(t *testing.T, c Config) []held {
	t.Helper()
	all := stored(t, c)
	if c.Postgres != "" {
		return all
	}
	files, err := filepath.Glob(filepath.Join(c.Data, "broker", "*"))
	check(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		check(t, err)
		all = append(all, held{"the file " + filepath.Base(file), string(content)})
	}
	return all
}

// stored is all that is in the broker's stores: every column of every table, and every key and value.
func stored(t *testing.T, c Config) []held {
	t.Helper()
	var all []held
	if c.Postgres != "" {
		all = append(all, tables(t, "pgx", c.Postgres, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")...)
	} else {
		files, err := filepath.Glob(filepath.Join(c.Data, "broker", "*.db"))
		check(t, err)
		for _, file := range files {
			all = append(all, tables(t, "sqlite", "file:"+file+"?mode=ro&_pragma=busy_timeout(60000)", "SELECT name FROM sqlite_master WHERE type = 'table'")...)
		}
	}
	if c.Redis != "" {
		all = append(all, values(t, c)...)
	}
	if len(all) == 0 {
		t.Fatal("nothing is kept")
	}
	return all
}

// tables are the rows of all tables of a database.
func tables(t *testing.T, driver, dsn, list string) []held {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	check(t, err)
	defer func() { check(t, db.Close()) }()
	var all []held
	for _, table := range rows(t, db, list) {
		all = append(all, rows(t, db, `SELECT * FROM "`+table.what+`"`)...)
	}
	return all
}

// rows are the cells that a query finds.
func rows(t *testing.T, db *sql.DB, query string) []held {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	check(t, err)
	defer func() { check(t, found.Close()) }()
	columns, err := found.Columns()
	check(t, err)
	var all []held
	for found.Next() {
		cells, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		check(t, found.Scan(into...))
		for i, cell := range cells {
			if b, ok := cell.([]byte); ok {
				cell = string(b)
			}
			all = append(all, held{"the column " + columns[i] + " of " + query, fmt.Sprint(cell)})
		}
	}
	check(t, found.Err())
	return all
}

// values are the keys and values on Redis. The broker has strings there only: another type is an error.
func values(t *testing.T, c Config) []held {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: c.Redis, DB: c.RedisDB})
	defer func() { check(t, client.Close()) }()
	var all []held
	keys := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for keys.Next(t.Context()) {
		value, err := client.Get(t.Context(), keys.Val()).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		all = append(all, held{"a key on Redis", keys.Val()}, held{"the value of " + keys.Val(), value})
	}
	check(t, keys.Err())
	return all
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
}

// buffer collects a log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
