package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	sealing "github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/testserver"
)

// receiver is a site that is told of logouts, in a mood.
type receiver struct {
	mu     sync.Mutex
	mood   string          // "", "failing", "dropping" or "hanging"
	called chan struct{}   // gets one for every call
	freed  chan struct{}   // closed when hanging calls may go
	told   map[string]bool // the sids of those that were confirmed
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	text := strings.Split(q.PostFormValue("logout_token"), ".")
	r.mu.Lock()
	mood := r.mood
	r.mu.Unlock()
	select {
	case r.called <- struct{}{}:
	default:
	}
	switch mood {
	case "failing":
		http.Error(w, "no", http.StatusInternalServerError)
		return
	case "dropping":
		panic(http.ErrAbortHandler)
	case "hanging":
		<-r.freed
		panic(http.ErrAbortHandler)
	}
	var claims struct {
		SID    string         `json:"sid"`
		Events map[string]any `json:"events"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(text[min(1, len(text)-1)])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		http.Error(w, "no logout token", http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told[claims.SID] = true
}

func (r *receiver) heard(sid string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told[sid]
}

// child is an anyid serve in a process of its own.
type child struct {
	cmd     *exec.Cmd
	address string
}

func serveChild(t *testing.T, env []string) *child {
	t.Helper()
	path, err := exec.LookPath("anyid")
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(path, "serve", "--listen", "127.0.0.1:0")}
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "ANYID_") {
			c.cmd.Env = append(c.cmd.Env, line)
		}
	}
	c.cmd.Env = append(c.cmd.Env, env...)
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	address := make(chan string, 1)
	go func() {
		defer close(address)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
	}()
	var ok bool
	if c.address, ok = <-address; !ok {
		t.Fatal("the service did not start")
	}
	return c
}

// kill leaves the process no time for anything.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// TestLogoutReachesSites ends sessions in every way there is, kills the service while it tells the sites, and lets it
// come back: every site hears of every end, also those that failed, dropped the call or hung in the meantime.
func TestLogoutReachesSites(t *testing.T) {
	t.Parallel()
	for name, stores := range map[string]func(t *testing.T) []string{
		"sqlite": func(*testing.T) []string { return nil },
		"postgres and redis": func(t *testing.T) []string {
			addr, db := testserver.Redis(t)
			return []string{
				"ANYID_STORAGE_DRIVER=postgres", "ANYID_STORAGE_POSTGRES_DSN=" + testserver.Postgres(t),
				"ANYID_KV_DRIVER=redis", "ANYID_KV_REDIS_ADDRESSES=" + addr, fmt.Sprintf("ANYID_KV_REDIS_DB=%d", db),
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLogoutReachesSites(t, stores(t))
		})
	}
}

func testLogoutReachesSites(t *testing.T, stores []string) {
	ctx := t.Context()
	key := func(b byte) []byte {
		sum := sha256.Sum256([]byte{b})
		return sum[:]
	}
	text := base64.StdEncoding.EncodeToString
	env := append([]string{
		"ANYID_ISSUER=http://127.0.0.1:1", "ANYID_DATA=" + t.TempDir(), "ANYID_OUTBOUND_ALLOW=127.0.0.0/8", "ANYID_LOGOUT_TIMEOUT=2s",
		"ANYID_SECRETS_SEALING=t:" + text(key(1)), "ANYID_SECRETS_CI_INDEX=" + text(key(3)), "ANYID_SECRETS_SUBJECT=" + text(key(5)),
	}, stores...)
	settings, err := config.Load(config.Options{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(ctx, settings, slog.New(slog.DiscardHandler)) // as the commands do: it runs no jobs
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	box, err := sealing.NewBox(sealing.Key{ID: "t", Bytes: key(1)})
	if err != nil {
		t.Fatal(err)
	}

	receivers := map[string]*receiver{}
	var documents []site.Document
	freed := make(chan struct{})
	for _, mood := range []string{"fine", "failing", "dropping", "hanging"} {
		r := &receiver{mood: mood, called: make(chan struct{}, 1), freed: freed, told: map[string]bool{}}
		if mood == "fine" {
			r.mood = ""
		}
		receivers[mood] = r
		server := httptest.NewServer(r)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		t.Cleanup(server.Close)
		documents = append(documents, site.Document{Site: site.Site{
			ID: mood, Name: mood, Institution: site.Institution{ID: "i", Name: "기관"}, RedirectURIs: []string{server.URL + "/cb"},
			Scopes: []string{site.ScopeOpenID}, BackchannelLogoutURI: server.URL + "/logout", BackchannelLogoutSessionRequired: true,
			HandOver: site.HandOver{Version: "1", Purpose: "시험", Retention: "1년"},
		}.WithDefaults()})
	}
	t.Cleanup(sync.OnceFunc(func() {
		select {
		case <-freed:
		default:
			close(freed)
		}
	}))
	if _, err := site.Apply(ctx, a.DB.Sites(), documents, false, false, audit.System, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := a.Sites.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	service := serveChild(t, env)

	// One person for each way in which a session can end, signed in at all sites.
	type signedIn struct{ person, session, handle string }
	signIn := func(sessions *session.Service) signedIn {
		t.Helper()
		p := person.Person{ID: sealing.NewID(), First: method.Simple, RegisteredAt: time.Now(), UpdatedAt: time.Now()}
		attributes, err := json.Marshal(authn.Attributes{Name: "김하늘", BirthDate: "1995-01-12"})
		check(t, err)
		p.Sealed = box.Seal(attributes, "person:"+p.ID)
		check(t, a.DB.People().Register(ctx, person.Registration{Person: p, Link: person.Link{
			Person: p.ID, Method: method.Simple, Subject: sealing.NewHandle(), Rule: method.Own, LinkedAt: time.Now(),
		}}))
		proof := session.Authentication{Person: p.ID, Method: method.Simple, Provider: "kakao", Level: 2, At: time.Now()}
		made, err := sessions.Prepare(ctx, proof, "", documents[0].ID, session.AtSite{}, "")
		check(t, err)
		record := func(l grant.Login, at string) {
			t.Helper()
			l.Event = audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
			l.Event.Site = at
			check(t, a.Grants.RecordLogin(ctx, l, proof))
		}
		record(grant.Login{Session: &made.Entry}, documents[0].ID)
		check(t, sessions.Put(ctx, made))
		for _, d := range documents[1:] {
			record(grant.Login{Joins: made.Session.ID}, d.ID)
			_, err := sessions.Join(ctx, session.Known{Handle: made.Handle, Session: made.Session}, d.ID, session.AtSite{}, "")
			check(t, err)
		}
		return signedIn{p.ID, made.Session.ID, made.Handle}
	}
	short := *a.Sessions
	short.Policy = session.Policy{Idle: 2 * time.Second, Absolute: 2 * time.Second}
	ends := map[string]signedIn{}
	for _, how := range []string{"logout", "operator", "revocation", "withdrawal"} {
		ends[how] = signIn(a.Sessions)
	}
	ends["expiry"] = signIn(&short)
	visitor := func(s signedIn) account.Visitor {
		return account.Visitor{Person: s.person, Method: method.Simple, Provider: "kakao", At: time.Now(), Locale: "ko"}
	}
	for how, end := range map[string]func(s signedIn) error{
		"logout": func(s signedIn) error {
			q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+service.address+"/logout", strings.NewReader(url.Values{"scope": {"all"}}.Encode()))
			if err != nil {
				return err
			}
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			q.AddCookie(&http.Cookie{Name: "anyid-" + session.Cookie, Value: s.handle})
			answer, err := http.DefaultClient.Do(q)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("POST /logout: %s", answer.Status)
			}
			return nil
		},
		"operator": func(s signedIn) error {
			cmd := exec.Command(service.cmd.Path, "session", "end", "--person", s.person)
			cmd.Env = service.cmd.Env
			out, err := cmd.CombinedOutput()
			if err == nil && !strings.HasPrefix(string(out), "1 sessions have ended") {
				err = fmt.Errorf("anyid session end: %s", out)
			}
			return err
		},
		"revocation": func(s signedIn) error {
			for _, d := range documents {
				if _, err := a.Account.RevokeSite(ctx, visitor(s), d.ID); err != nil {
					return err
				}
			}
			return nil
		},
		"withdrawal": func(s signedIn) error {
			_, err := a.Account.Withdraw(ctx, visitor(s))
			return err
		},
	} {
		if err := end(ends[how]); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
	}

	// The service dies while a site keeps it waiting.
	waitFor(t, "a call that hangs", receivers["hanging"].called)
	service.kill()
	for _, r := range receivers {
		r.mu.Lock()
		r.mood = ""
		r.mu.Unlock()
	}
	close(freed)
	serveChild(t, env)
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var missing []string
		for how, s := range ends {
			for _, d := range documents {
				if !receivers[d.ID].heard(session.SID(s.session, d.ID)) {
					missing = append(missing, how+" at "+d.ID)
				}
			}
		}
		if len(missing) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not told of: %s", strings.Join(missing, ", "))
		}
	}
	report, err := audit.Verify(context.WithoutCancel(ctx), a.DB.Audit(), a.Keys)
	if err != nil || report.Links == 0 {
		t.Errorf("audit: %+v, %v", report, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(time.Minute):
		t.Fatalf("waited in vain for %s", what)
	}
}
