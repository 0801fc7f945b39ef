package oidc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/kv/sqlkv"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
	"github.com/anyid/anyid/internal/web"
)

// clock is the time of a world. It moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Now().Truncate(time.Second).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()) }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

// switchable is a kv.Store that can be away.
type switchable struct {
	kv.Store
	down  atomic.Bool
	gets  atomic.Int64
	sets  atomic.Int64
	other atomic.Int64
}

var errDown = fault.New(fault.Unavailable, `test: kv at "10.0.0.1" is away`)

func (s *switchable) Get(ctx context.Context, key string) (string, error) {
	s.gets.Add(1)
	if s.down.Load() {
		return "", errDown
	}
	return s.Store.Get(ctx, key)
}

func (s *switchable) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	s.sets.Add(1)
	if s.down.Load() {
		return errDown
	}
	return s.Store.Set(ctx, key, value, ttl)
}

func (s *switchable) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	s.other.Add(1)
	if s.down.Load() {
		return false, errDown
	}
	return s.Store.Add(ctx, key, value, ttl)
}

func (s *switchable) Increment(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	s.other.Add(1)
	return s.Store.Increment(ctx, key, ttl)
}

func (s *switchable) calls() int64 { return s.gets.Load() + s.sets.Load() + s.other.Load() }

// world is a broker on a real database, behind real TLS, with two sites and two people.
type world struct {
	tb       testing.TB
	clock    *clock
	db       *storage.DB
	kv       *switchable
	srv      *httptest.Server
	server   *Server
	grants   *grant.Service
	sessions *session.Service
	logout   *logout.Service
	sites    *site.Directory
	terms    atomic.Value // string: versions of the broker's texts
	journey  *journey
	log      *syncBuffer
	kim, lee string // person ids
	first    *rp    // confidential, client_secret_basic, ES256, pairwise, all scopes
	second   *rp    // confidential, client_secret_post, RS256, pairwise
	public   *rp    // public client
	provider *gooidc.Provider
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

const testCI = "Q0kgb2YgYSB0ZXN0IHBlcnNvbiwgODggY2hhcmFjdGVycyBsb25nLCBhcyBldmVyeSBDSSBpcyBsb25nLiBUaGUgZW5kIQ=="

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testKeys makes the signing keys once for all tests: RSA keys are slow to make.
var testKeys = sync.OnceValue(func() *keys.Ring {
	folder := must(os.MkdirTemp("", "oidc-test-keys"))
	defer os.RemoveAll(folder)
	db := must(storage.Open(context.Background(), storage.Config{Driver: storage.SQLite, Path: folder, AutoMigrate: true, Veil: storagetest.Veil}))
	defer db.Close()
	return must(keys.Open(context.Background(), db.Keys(), testBox(), keys.Rotation{Publish: time.Hour, Retire: time.Hour}, time.Now))
})

var testBox = sync.OnceValue(func() *secret.Box {
	return must(secret.NewBox(secret.Key{ID: "test", Bytes: bytes.Repeat([]byte{1}, secret.KeySize)}))
})

func newWorld(tb testing.TB) *world {
	tb.Helper()
	ctx := tb.Context()
	w := &world{tb: tb, clock: newClock(), log: new(syncBuffer)}
	w.terms.Store("terms=1")
	w.db = must(storage.Open(ctx, storage.Config{Driver: storage.SQLite, Path: tb.TempDir(), AutoMigrate: true, Now: w.clock.Now, Veil: storagetest.Veil}))
	tb.Cleanup(func() { w.db.Close() })
	store := must(sqlkv.Open(ctx, must(w.db.KV()), sqlkv.SQLite, w.clock.Now))
	tb.Cleanup(func() { store.Close() })
	w.kv = &switchable{Store: store}

	w.sessions = &session.Service{KV: w.kv, Policy: session.Policy{Idle: 5 * time.Hour, Absolute: 8 * time.Hour}, Now: w.clock.Now}
	w.grants = &grant.Service{KV: w.kv, Store: w.db.Grants(), Now: w.clock.Now, Lifetimes: grant.Lifetimes{
		Code: time.Minute, Access: 10 * time.Minute, RefreshIdle: 24 * time.Hour, RefreshAbsolute: 30 * 24 * time.Hour,
	}}
	w.sites = must(site.NewDirectory(ctx, w.db.Sites()))
	w.journey = &journey{w: w}

	var handler http.Handler
	w.srv = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	w.srv.EnableHTTP2 = false
	w.srv.StartTLS()
	tb.Cleanup(w.srv.Close)
	log := slog.New(slog.NewTextHandler(w.log, nil))
	subjects := must(secret.NewIndex(bytes.Repeat([]byte{2}, secret.KeySize)))
	w.logout = &logout.Service{
		Issuer: w.srv.URL, Store: w.db.Sessions(), Sessions: w.sessions, Grants: w.grants, Sites: w.sites, Subjects: subjects, Box: testBox(),
		Runner: &outbox.Runner{Store: w.db.Outbox(), Now: w.clock.Now, Log: slog.New(slog.DiscardHandler)}, Now: w.clock.Now, Log: log,
	}
	w.server = must(New(Config{
		Issuer: w.srv.URL, Keys: testKeys(), Sites: w.sites, Sessions: w.sessions, Logout: w.logout, Grants: w.grants,
		People: w.db.People(), Audit: w.db.Audit(), Box: testBox(), Subjects: subjects, Terms: func() string { return w.terms.Load().(string) },
		Cookies: web.Cookies{Secure: true},
		Limiter: must(web.NewLimiter(w.kv, []byte("test"), map[string]web.Limit{LimitClass: {Count: 20, Window: time.Minute}}, w.clock.Now)),
		Pages:   pages{}, Journey: w.journey, IDTokenLifetime: 5 * time.Minute, Now: w.clock.Now, Log: log,
	}))
	handler = web.Edge{Log: slog.New(slog.DiscardHandler), HTTPS: true, Exempt: Exempt()}.Handler(endpoints(w.server))

	w.kim = w.register("김하나", testCI)
	w.lee = w.register("이둘", "")
	w.journey.person = w.kim
	all := []string{"openid", "profile", "phone", "ci", "offline_access"}
	w.first = w.addSite(site.Site{
		ID: "first", Name: "첫째", RedirectURIs: []string{"https://first.example/cb", "https://first.example/cb2?tenant=1&x"},
		PostLogoutRedirectURIs: []string{"https://first.example/bye", "https://first.example/bye?from=anyid"},
		AuthMethod:             site.SecretBasic, GrantTypes: []string{site.AuthorizationCode, site.RefreshToken}, Scopes: all, SigningAlg: "ES256",
		HandOver: site.HandOver{CIBasis: "test act 1"},
	})
	w.second = w.addSite(site.Site{
		ID: "second", Name: "둘째", RedirectURIs: []string{"https://second.example/cb"}, PostLogoutRedirectURIs: []string{"https://second.example/bye"},
		AuthMethod: site.SecretPost, GrantTypes: []string{site.AuthorizationCode, site.RefreshToken},
		Scopes: []string{"openid", "profile", "offline_access"}, SigningAlg: "RS256",
	})
	w.public = w.addSite(site.Site{
		ID: "public", Name: "공개", RedirectURIs: []string{"https://public.example/cb"}, AuthMethod: site.Public,
		GrantTypes: []string{site.AuthorizationCode}, Scopes: []string{"openid"}, SubjectType: site.PublicSubject,
	})
	w.provider = must(gooidc.NewProvider(w.clientContext(), w.srv.URL))
	return w
}

// clientContext carries an HTTP client that trusts the broker, for go-oidc and x/oauth2.
func (w *world) clientContext() context.Context {
	return gooidc.ClientContext(w.tb.Context(), w.srv.Client())
}

func (w *world) register(name, ci string) string {
	w.tb.Helper()
	id := secret.NewID()
	now := w.clock.Now()
	attributes := must(json.Marshal(authn.Attributes{Name: name, BirthDate: "1990-01-02", Gender: "female", Nationality: "domestic", Phone: "+821012345678"}))
	p := person.Person{ID: id, First: method.Simple, Sealed: testBox().Seal(attributes, "person:"+id), RegisteredAt: now, UpdatedAt: now}
	if ci != "" {
		p.CIIndex, p.SealedCI = "ci-index-of-"+id, testBox().Seal([]byte(ci), "ci:"+id)
	}
	link := person.Link{Person: id, Method: method.Simple, Subject: "subject-of-" + id, Provider: "kakao", Rule: method.Own, Policy: 1, Binding: "signed", Digest: "00", Attempt: id, LinkedAt: now}
	if err := w.db.People().Register(w.tb.Context(), person.Registration{Person: p, Link: link}, audit.New(now, audit.PersonRegistered, audit.Citizen)); err != nil {
		w.tb.Fatal(err)
	}
	return id
}

// withdraw ends a person's registration.
func (w *world) withdraw(id string) {
	w.tb.Helper()
	event := audit.New(w.clock.Now(), audit.PersonWithdrawn, audit.Citizen)
	must(0, w.db.People().Withdraw(w.tb.Context(), person.Withdrawal{Person: id, Event: event, Tell: func([]string, []session.Entry) ([]outbox.Item, error) {
		return nil, nil
	}}))
}

// leave signs the browser out of one site.
func (w *world) leave(b *browser, at string) {
	w.tb.Helper()
	w.clock.Advance(time.Second)
	must(w.logout.Leave(w.tb.Context(), b.cookie(session.Cookie), at, logout.Why{Cause: logout.Site}))
	w.clock.Advance(time.Second)
}

// addSite registers a site, with a secret unless it is public.
func (w *world) addSite(s site.Site) *rp {
	w.tb.Helper()
	s = s.WithDefaults()
	if err := s.Validate(); err != nil {
		w.tb.Fatal(err)
	}
	w.put(s)
	c := &rp{w: w, id: s.ID, redirect: s.RedirectURIs[0], auth: s.AuthMethod}
	if s.AuthMethod != site.Public {
		c.secret = w.addSecret(s.ID, time.Time{})
	}
	return c
}

func (w *world) put(s site.Site) {
	w.tb.Helper()
	if err := w.db.Sites().PutSite(w.tb.Context(), s, w.clock.Now(), audit.New(w.clock.Now(), audit.SiteApplied, audit.System)); err != nil {
		w.tb.Fatal(err)
	}
	w.refresh()
}

func (w *world) refresh() {
	w.tb.Helper()
	if err := w.sites.Refresh(w.tb.Context()); err != nil {
		w.tb.Fatal(err)
	}
}

// change edits a registered site.
func (w *world) change(id string, edit func(*site.Site)) {
	w.tb.Helper()
	s := must(w.sites.Lookup(id)).Site
	edit(&s)
	w.put(s)
}

func (w *world) addSecret(id string, retireOthers time.Time) string {
	w.tb.Helper()
	plain := secret.NewHandle()
	event := audit.New(w.clock.Now(), audit.SiteSecret, audit.System)
	if err := w.db.Sites().AddSecret(w.tb.Context(), id, site.Secret{Hash: secret.Hash(plain), CreatedAt: w.clock.Now()}, retireOthers, event); err != nil {
		w.tb.Fatal(err)
	}
	w.refresh()
	return plain
}

func (w *world) events(action audit.Action) (found []audit.Event) {
	w.tb.Helper()
	for _, e := range must(w.db.Audit().Unsealed(w.tb.Context(), 10000)) {
		if e.Action != action {
			continue
		}
		for _, who := range []string{w.kim, w.lee} {
			if e.Subject == storagetest.Veil.Subject(who) {
				e = must(storagetest.Veil.Reveal(e, who))
			}
		}
		found = append(found, e)
	}
	return found
}

// journey logs the person in at once and agrees to everything.
type journey struct {
	w  *world
	mu sync.Mutex

	person string
	method method.Method
	level  method.Level
	deny   bool
	begun  []begun
}

type begun struct {
	req   grant.Request
	asked []string
	known *session.Known
}

func (j *journey) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.begun)
}

func (j *journey) last() begun {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.begun[len(j.begun)-1]
}

// as sets who logs in from now on, and how.
func (j *journey) as(person string, m method.Method, level method.Level) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.person, j.method, j.level = person, m, level
}

func (j *journey) Begin(w http.ResponseWriter, r *http.Request, req grant.Request, asked []string, known *session.Known) {
	j.mu.Lock()
	j.begun = append(j.begun, begun{req, asked, known})
	who := session.Authentication{Person: j.person, Method: j.method, Provider: "kakao", Level: j.level, AMR: []string{"pop"}, At: j.w.clock.Now().Truncate(time.Second)}
	deny := j.deny
	j.mu.Unlock()
	if deny {
		j.w.server.Respond(w, r, req, url.Values{"error": {"access_denied"}})
		return
	}
	if who.Method == "" {
		who.Method, who.Level = method.Simple, 2
	}
	ctx := r.Context()
	to := must(j.w.sites.Lookup(req.Site))
	items := grant.Items(asked)
	at := session.AtSite{Consent: to.HandOver.Version, Items: items}
	used := &session.Session{ID: secret.NewID(), Authentication: who}
	terms := j.w.terms.Load().(string)
	event := audit.New(j.w.clock.Now(), audit.SiteLogin, audit.Citizen)
	event.Site = to.ID
	login := grant.Login{Event: event}
	var made session.Prepared
	switch {
	case known != nil:
		used, login.Joins = known.Session, known.Session.Joins(to.ID)
	case !to.NoSSO && j.w.server.Cookies.Get(r, session.ToggleCookie) != session.ToggleOff:
		made = must(j.w.sessions.Prepare(ctx, who, j.w.server.Cookies.Get(r, session.Cookie), to.ID, at, terms))
		used, login.Session = made.Session, &made.Entry
	}
	record := consent.Record{
		ID: secret.NewID(), Person: used.Person, Recipient: to.ID, Kind: consent.HandOver, Version: to.HandOver.Version, Digest: "00",
		Locale: "ko", Items: items, Attempt: secret.NewID(), At: j.w.clock.Now(),
	}
	if len(items) > 0 {
		must(0, j.w.grants.Store.AddConsent(ctx, record, nil, audit.New(j.w.clock.Now(), audit.ConsentGiven, audit.Citizen)))
	}
	must(0, j.w.grants.RecordLogin(ctx, login, used.Authentication))
	switch {
	case known != nil:
		must(j.w.sessions.Join(ctx, *known, to.ID, at, terms))
	case login.Session != nil:
		must(0, j.w.sessions.Put(ctx, made))
		j.w.server.Cookies.Set(w, session.Cookie, made.Handle, 0)
	}
	code := must(j.w.grants.IssueCode(ctx, grant.Code{Request: req, Items: items}, used))
	j.w.server.Respond(w, r, req, url.Values{"code": {code}})
}

// pages shows what it is told in a form that tests can read.
type pages struct{}

func (pages) Error(w http.ResponseWriter, _ *http.Request, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "error page: %s", code)
}

func showForm(w http.ResponseWriter, kind, action string, values url.Values) {
	fmt.Fprintf(w, "<p>%s</p><form method=\"post\" action=\"%s\">\n", kind, html.EscapeString(action))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(w, "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", html.EscapeString(name), html.EscapeString(values.Get(name)))
	}
	fmt.Fprint(w, "</form>")
}

func (pages) FormPost(w http.ResponseWriter, _ *http.Request, req grant.Request, values url.Values) {
	showForm(w, "form post", req.RedirectURI, values)
}

func (pages) LogoutConfirm(w http.ResponseWriter, _ *http.Request, ask LogoutAsk) {
	kind := "logout confirm"
	for _, other := range ask.Others {
		kind += ", or all with " + other.ID
	}
	showForm(w, kind, ask.Action, ask.Values)
}

func (pages) LoggedOut(w http.ResponseWriter, _ *http.Request, done LogoutDone) {
	name := "nobody"
	if done.Site != nil {
		name = done.Site.ID
	}
	kind := "signed out"
	if done.Left {
		kind = "left"
	}
	fmt.Fprintf(w, "%s, from %s", kind, name)
	for _, d := range done.Deliveries {
		fmt.Fprintf(w, "\n%s: %s", d.Site, d.State)
	}
	for _, f := range done.Frames {
		fmt.Fprintf(w, "\nframe %s", f)
	}
	if done.Continue != "" {
		fmt.Fprintf(w, "\non to %s", done.Continue)
	}
}

// browser keeps cookies, and stops before it leaves the broker.
type browser struct {
	w    *world
	http *http.Client
}

func (w *world) browser() *browser {
	return &browser{w, &http.Client{
		Transport: w.srv.Client().Transport,
		Jar:       must(cookiejar.New(nil)),
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if "https://"+r.URL.Host != w.srv.URL || len(via) > 5 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (b *browser) cookie(name string) string {
	for _, c := range b.http.Jar.Cookies(must(url.Parse(b.w.srv.URL))) {
		if c.Name == b.w.server.Cookies.Name(name) {
			return c.Value
		}
	}
	return ""
}

func (b *browser) setCookie(name, value string) {
	b.http.Jar.SetCookies(must(url.Parse(b.w.srv.URL)), []*http.Cookie{{Name: b.w.server.Cookies.Name(name), Value: value, Path: "/", Secure: true}})
}

// page is an answer to a browser.
type page struct {
	status   int
	header   http.Header
	location string // of a redirect that leaves the broker
	body     string
}

func (b *browser) do(r *http.Request) page {
	b.w.tb.Helper()
	res, err := b.http.Do(r)
	if err != nil {
		b.w.tb.Fatal(err)
	}
	defer res.Body.Close()
	body := must(io.ReadAll(res.Body))
	return page{res.StatusCode, res.Header, res.Header.Get("Location"), string(body)}
}

func (b *browser) get(path string, query url.Values) page {
	b.w.tb.Helper()
	target := b.w.srv.URL + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return b.do(must(http.NewRequest(http.MethodGet, target, nil)))
}

func (b *browser) post(path string, form url.Values) page {
	b.w.tb.Helper()
	r := must(http.NewRequest(http.MethodPost, b.w.srv.URL+path, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

var (
	formTag  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	inputTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// form reads the form of a page.
func (p page) form() (action string, values url.Values) {
	m := formTag.FindStringSubmatch(p.body)
	if m == nil {
		return "", nil
	}
	values = make(url.Values)
	for _, input := range inputTag.FindAllStringSubmatch(p.body, -1) {
		values.Add(html.UnescapeString(input[1]), html.UnescapeString(input[2]))
	}
	return html.UnescapeString(m[1]), values
}

// response is an authorization response as the site gets it.
type response struct {
	page
	to     string     // the redirect URI that was used; empty for a page
	mode   string     // query or form_post
	values url.Values // without the redirect URI's own
}

func (c *rp) response(p page) response {
	if p.location != "" {
		u := must(url.Parse(p.location))
		values := u.Query()
		for _, uri := range must(c.w.sites.Lookup(c.id)).RedirectURIs {
			if uri == p.location || strings.HasPrefix(p.location, uri+"?") || strings.HasPrefix(p.location, uri+"&") {
				for name := range must(url.Parse(uri)).Query() {
					values.Del(name)
				}
				return response{p, uri, query, values}
			}
		}
		return response{p, p.location, query, values}
	}
	if action, values := p.form(); action != "" && strings.Contains(p.body, "form post") {
		return response{p, action, formPost, values}
	}
	return response{page: p}
}

// rp is a relying site, as a client library would see itself.
type rp struct {
	w        *world
	id       string
	secret   string
	redirect string
	auth     site.AuthMethod
	mode     string // response_mode sent, if any
}

// in returns the site with a response mode.
func (c *rp) in(mode string) *rp {
	d := *c
	d.mode = mode
	return &d
}

const testVerifier = "verifier-verifier-verifier-verifier-verifier"

func s256(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is a plain authorization request, with overrides: a value "" leaves the parameter out.
func (c *rp) request(overrides ...string) url.Values {
	v := url.Values{
		"client_id": {c.id}, "redirect_uri": {c.redirect}, "response_type": {"code"}, "scope": {"openid"},
		"state": {rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()}, "nonce": {rand.Text()},
	}
	if c.auth == site.Public {
		v.Set("code_challenge", s256(testVerifier))
		v.Set("code_challenge_method", "S256")
	}
	if c.mode != "" {
		v.Set("response_mode", c.mode)
	}
	for i := 0; i < len(overrides); i += 2 {
		if overrides[i+1] == "" {
			v.Del(overrides[i])
		} else {
			v.Set(overrides[i], overrides[i+1])
		}
	}
	return v
}

// authorize sends a request by GET.
func (c *rp) authorize(b *browser, request url.Values) response {
	c.w.tb.Helper()
	return c.response(b.get(authorizePath, request))
}

// answer is an answer of an API.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a answer) text(name string) string {
	s, _ := a.json[name].(string)
	return s
}

func (w *world) call(r *http.Request) answer {
	w.tb.Helper()
	res, err := w.srv.Client().Do(r)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer res.Body.Close()
	body := must(io.ReadAll(res.Body))
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	if len(body) > 0 && body[0] == '{' {
		if err := json.Unmarshal(body, &a.json); err != nil {
			w.tb.Fatal(err)
		}
	}
	return a
}

func (w *world) postForm(path string, form url.Values, edit func(*http.Request)) answer {
	w.tb.Helper()
	r := must(http.NewRequest(http.MethodPost, w.srv.URL+path, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if edit != nil {
		edit(r)
	}
	return w.call(r)
}

// api posts a form with the site's credentials.
func (c *rp) api(path string, form url.Values) answer {
	c.w.tb.Helper()
	form = maps.Clone(form)
	switch c.auth {
	case site.SecretBasic:
		return c.w.postForm(path, form, func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret)) })
	case site.SecretPost:
		form.Set("client_secret", c.secret)
	}
	form.Set("client_id", c.id)
	return c.w.postForm(path, form, nil)
}

// exchange redeems a code, with overrides as in request.
func (c *rp) exchange(code string, overrides ...string) answer {
	c.w.tb.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirect}}
	if c.auth == site.Public {
		form.Set("code_verifier", testVerifier)
	}
	for i := 0; i < len(overrides); i += 2 {
		if overrides[i+1] == "" {
			form.Del(overrides[i])
		} else {
			form.Set(overrides[i], overrides[i+1])
		}
	}
	return c.api(tokenPath, form)
}

func (c *rp) refresh(token string, overrides ...string) answer {
	c.w.tb.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for i := 0; i < len(overrides); i += 2 {
		form.Set(overrides[i], overrides[i+1])
	}
	return c.api(tokenPath, form)
}

func (w *world) userinfo(token string) answer {
	w.tb.Helper()
	r := must(http.NewRequest(http.MethodGet, w.srv.URL+userinfoPath, nil))
	r.Header.Set("Authorization", "Bearer "+token)
	return w.call(r)
}

// claims verifies an ID token with go-oidc and returns its claims.
func (c *rp) claims(idToken string) map[string]any {
	c.w.tb.Helper()
	verified, err := c.w.provider.Verifier(&gooidc.Config{ClientID: c.id, Now: c.w.clock.Now}).Verify(c.w.clientContext(), idToken)
	if err != nil {
		c.w.tb.Fatalf("ID token: %v", err)
	}
	var claims map[string]any
	if err := verified.Claims(&claims); err != nil {
		c.w.tb.Fatal(err)
	}
	return claims
}

// loggedIn is everything that a successful login brings.
type loggedIn struct {
	request url.Values
	response
	tokens answer
	claims map[string]any
}

func (l loggedIn) access() string  { return l.tokens.text("access_token") }
func (l loggedIn) idToken() string { return l.tokens.text("id_token") }

// login goes the whole way and fails the test where it does not work out.
func (c *rp) login(b *browser, overrides ...string) loggedIn {
	c.w.tb.Helper()
	request := c.request(overrides...)
	return c.finish(request, c.authorize(b, request))
}

// finish makes the checks of every conformance module on an answer, and redeems the code.
func (c *rp) finish(request url.Values, res response) loggedIn {
	t := c.w.tb
	t.Helper()
	if res.values.Get("code") == "" {
		t.Fatalf("no code: status %d, to %q, body %s", res.status, res.location, res.body)
	}
	wantMode := query
	if m := request.Get("response_mode"); m != "" {
		wantMode = m
	}
	if res.mode != wantMode || res.to != request.Get("redirect_uri") {
		t.Errorf("answered by %s to %s, want %s to %s", res.mode, res.to, wantMode, request.Get("redirect_uri"))
	}
	if res.values.Get("state") != request.Get("state") || res.values.Has("state") != request.Has("state") {
		t.Errorf("state %q, want %q", res.values.Get("state"), request.Get("state"))
	}
	if res.values.Get("iss") != c.w.srv.URL {
		t.Errorf("iss %q", res.values.Get("iss"))
	}
	if len(res.values) > 3 || res.header.Get("Cache-Control") != "no-store" {
		t.Errorf("authorization response has %v, Cache-Control %q", slices.Sorted(maps.Keys(res.values)), res.header.Get("Cache-Control"))
	}
	if n := len(res.values.Get("code")); n < 43 {
		t.Errorf("code has %d characters", n)
	}
	var verifier []string
	if request.Has("code_challenge") {
		verifier = []string{"code_verifier", testVerifier}
	}
	l := loggedIn{request: request, response: res, tokens: c.exchange(res.values.Get("code"), append(verifier, "redirect_uri", request.Get("redirect_uri"))...)}
	if l.tokens.status != http.StatusOK {
		t.Fatalf("token: %d %s", l.tokens.status, l.tokens.body)
	}
	if got := l.tokens.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("token: Cache-Control %q", got)
	}
	if got := l.tokens.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("token: Content-Type %q", got)
	}
	if l.tokens.text("token_type") != "Bearer" || l.tokens.json["expires_in"] != 600. || len(l.access()) < 43 {
		t.Errorf("token: %s", l.tokens.body)
	}
	l.claims = c.claims(l.idToken())
	c.checkClaims(l.claims)
	if want := request.Get("nonce"); want != "" && l.claims["nonce"] != want || want == "" && l.claims["nonce"] != nil {
		t.Errorf("nonce %v, want %q", l.claims["nonce"], want)
	}
	half := sha256.Sum256([]byte(l.access()))
	if l.claims["at_hash"] != base64.RawURLEncoding.EncodeToString(half[:16]) {
		t.Errorf("at_hash is wrong")
	}
	return l
}

func (c *rp) checkClaims(claims map[string]any) {
	t := c.w.tb
	t.Helper()
	for name := range claims {
		if !slices.Contains([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, name) {
			t.Errorf("ID token has %s", name)
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "amr", "at_hash", "sid"} {
		if claims[name] == nil {
			t.Errorf("ID token lacks %s", name)
		}
	}
	if sub := claims["sub"].(string); len(sub) < 20 || len(sub) > 255 {
		t.Errorf("sub %q", sub)
	}
	if claims["iss"] != c.w.srv.URL || claims["aud"] != c.id {
		t.Errorf("iss %v, aud %v", claims["iss"], claims["aud"])
	}
}

// wantError checks an error response at the site: its code, state, iss, and nothing else.
func (c *rp) wantError(request url.Values, res response, code string) {
	t := c.w.tb
	t.Helper()
	wantMode := query
	if request.Get("response_mode") == formPost {
		wantMode = formPost
	}
	if res.to != request.Get("redirect_uri") || res.mode != wantMode {
		t.Fatalf("error went by %q to %q, status %d, %s", res.mode, res.to, res.status, res.body)
	}
	if res.values.Get("error") != code {
		t.Errorf("error %q, want %q", res.values.Get("error"), code)
	}
	if res.values.Get("state") != request.Get("state") || res.values.Get("iss") != c.w.srv.URL {
		t.Errorf("state %q, iss %q", res.values.Get("state"), res.values.Get("iss"))
	}
	checkDescription(t, res.values.Get("error_description"))
	for name := range res.values {
		if !slices.Contains([]string{"error", "error_description", "state", "iss"}, name) {
			t.Errorf("error response has %s", name)
		}
	}
}

var described = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

func checkDescription(t testing.TB, text string) {
	t.Helper()
	if !described.MatchString(text) {
		t.Errorf("error_description %q", text)
	}
}

func wantPage(t testing.TB, p page, status int, text string) {
	t.Helper()
	if p.location != "" || p.status != status || !strings.Contains(p.body, text) {
		t.Errorf("status %d, location %q, body %q; want a page %d with %q", p.status, p.location, p.body, status, text)
	}
}

// wantAPI checks an error of an API.
func wantAPI(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.text("error") != code {
		t.Errorf("%d %s, want %d %s", a.status, a.body, status, code)
	}
	checkDescription(t, a.text("error_description"))
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
}

// endpoints are all of the server's on one mux.
func endpoints(s *Server) http.Handler {
	mux := http.NewServeMux()
	s.ServeBrowsers(mux)
	s.ServePrograms(mux)
	return mux
}
