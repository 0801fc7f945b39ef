package account

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// world is a broker without its pages, on real stores, and what people do at it.
type world struct {
	t        *testing.T
	db       *storage.DB
	kv       kv.Store
	log      *lines
	svc      *Service
	sessions *session.Service
	now      *atomic.Int64
}

// lines is a log that can be read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// deaf is a channel for messages that are looked at in the outbox.
type deaf struct{}

func (deaf) Send(context.Context, notice.Message) error { return nil }

// everywhere runs a test in a world on each stack of stores.
func everywhere(t *testing.T, test func(w *world)) {
	t.Helper()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		now := new(atomic.Int64)
		now.Store(time.Now().Truncate(time.Second).UnixMilli())
		w := &world{t: t, now: now}
		stack := open(w.clock)
		w.found(stack.DB, stack.KV)
		test(w)
	})
}

// here runs a test in a world on the embedded stores.
func here(t *testing.T, test func(w *world)) {
	t.Helper()
	now := new(atomic.Int64)
	now.Store(time.Now().Truncate(time.Second).UnixMilli())
	w := &world{t: t, now: now}
	stack := storagetest.Embedded(t, t.TempDir(), w.clock)
	w.found(stack.DB, stack.KV)
	test(w)
}

func (w *world) clock() time.Time { return time.UnixMilli(w.now.Load()).UTC() }

// pass lets time pass.
func (w *world) pass(d time.Duration) { w.now.Add(d.Milliseconds()) }

func (w *world) found(db *storage.DB, values kv.Store) {
	box, err := secret.NewBox(secret.Key{ID: "k1", Bytes: []byte("0123456789abcdef0123456789abcdef")})
	w.check(err)
	index, err := secret.NewIndex([]byte("fedcba9876543210fedcba9876543210"))
	w.check(err)
	w.db, w.kv, w.log = db, values, new(lines)
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	for _, id := range []string{"qnet", "minwon", "quiet"} {
		registered := site.Site{
			ID: id, Name: id + " 사이트", NameEnglish: id + " site", Institution: site.Institution{ID: "hrdk", Name: "한국산업인력공단"},
			RedirectURIs: []string{"https://" + id + ".example/callback"}, HandOver: site.HandOver{Purpose: "본인 확인", Retention: "1년"},
		}
		switch id {
		case "qnet":
			registered.BackchannelLogoutURI = "https://qnet.example/logout"
		case "minwon":
			registered.BackchannelLogoutURI, registered.BackchannelLogoutSessionRequired = "https://minwon.example/logout", true
			registered.HandOver.Basis, registered.Scopes = "민원 처리에 관한 법률", []string{site.ScopeOpenID, site.ScopeProfile}
		}
		event := audit.New(w.clock(), audit.SiteApplied, audit.System)
		w.check(db.Sites().PutSite(w.t.Context(), registered.WithDefaults(), w.clock(), event))
	}
	directory, err := site.NewDirectory(w.t.Context(), db.Sites())
	w.check(err)
	w.sessions = &session.Service{KV: values, Policy: session.Policy{Idle: 30 * time.Minute, Absolute: 8 * time.Hour}, Now: w.clock}
	grants := &grant.Service{
		KV: values, Store: db.Grants(), Now: w.clock,
		Lifetimes: grant.Lifetimes{Code: time.Minute, Access: 5 * time.Minute, RefreshIdle: time.Hour, RefreshAbsolute: 24 * time.Hour},
	}
	runner := &outbox.Runner{Store: db.Outbox(), Now: w.clock, Log: logger}
	w.svc = &Service{
		People: db.People(), Grants: grants, Sessions: db.Sessions(), Audit: db.Audit(), Veil: storagetest.Veil,
		Alerts: db.Notices(), Directory: directory, Box: box, Now: w.clock, Log: logger,
		Notice: &notice.Service{
			Box: box, Ports: notice.Ports{notice.Mail: deaf{}}, Issuer: "https://anyid.example",
			ServiceName: notice.Name{Korean: "정부 통합인증(Any-ID)", English: "Any-ID"}, Now: w.clock,
		},
		Logout: &logout.Service{
			Issuer: "https://anyid.example", Store: db.Sessions(), Sessions: w.sessions, Grants: grants, Sites: directory,
			Subjects: index, Box: box, Runner: runner, Now: w.clock, Log: logger,
		},
		Retention: Retention{Consents: 365 * 24 * time.Hour, ConsentBasis: "보존하게 하는 법"},
	}
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, code fault.Code) {
	w.t.Helper()
	if !fault.Is(err, code) {
		w.t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), code)
	}
}

// citizen is a person and their visit.
type citizen struct {
	Visitor
	attributes authn.Attributes
}

// register makes a person, who has verified by simple authentication as they registered.
func (w *world) register(name string) *citizen {
	w.t.Helper()
	c := &citizen{attributes: authn.Attributes{Name: name, BirthDate: "1990-03-01", Phone: "+821012345678"}}
	c.Visitor = Visitor{
		Person: secret.NewID(), Method: method.Simple, Provider: "kakao", At: w.clock(), Address: "192.0.2.7",
		Browser: "Chrome, " + name, Locale: "ko",
	}
	sealed, err := json.Marshal(c.attributes)
	w.check(err)
	box := w.svc.Box
	p := person.Person{
		ID: c.Person, First: method.Simple, CIIndex: "ci-of-" + c.Person, SealedCI: box.Seal([]byte("the-ci"), "ci:"+c.Person),
		Sealed: box.Seal(sealed, "person:"+c.Person), Terms: "terms=1", RegisteredAt: w.clock(), UpdatedAt: w.clock(),
	}
	event := audit.New(w.clock(), audit.PersonRegistered, audit.Citizen)
	event.Person, event.Address, event.Browser = c.Person, c.Address, c.Browser
	event.Detail = map[string]string{"method": "simple", "provider": "kakao"}
	attempt := secret.NewID()
	w.check(w.svc.People.Register(w.t.Context(), person.Registration{
		Person: p, Link: w.link(c, method.Simple, "kakao"),
		Consents: []consent.Record{{
			ID: secret.NewID(), Person: c.Person, Recipient: consent.Broker, Kind: consent.Terms, Version: "1", Digest: consent.Digest("약관"),
			Locale: "ko", Basis: "전자정부법", Attempt: attempt, Method: "simple", At: w.clock(),
		}},
	}, event))
	w.pass(time.Second)
	return c
}

func (w *world) link(c *citizen, m method.Method, provider string) person.Link {
	return person.Link{
		Person: c.Person, Method: m, Subject: "subject-" + string(m) + "-" + provider + "-" + c.Person, Provider: provider, Rule: method.Own,
		Policy: 1, Binding: string(authn.Signed), Digest: "digest", Attempt: "attempt", LinkedAt: w.clock(),
	}
}

// adds links a further method, with the alert that its person is told of, and returns the alert's code.
func (w *world) adds(c *citizen, m method.Method, provider string) (code string) {
	w.t.Helper()
	event := audit.New(w.clock(), audit.MethodLinked, audit.Citizen)
	event.Person, event.Detail = c.Person, map[string]string{"method": string(m), "provider": provider, "rule": "register"}
	alert, items, code := w.alert(c, notice.NewMethod, m, provider, "")
	w.check(w.svc.People.AddLink(w.t.Context(), w.link(c, m, provider), person.Along{
		Events: []audit.Event{event}, Alerts: []notice.Alert{alert}, Items: items,
	}))
	return code
}

// alert makes an alert for the person, and returns the code of its message.
func (w *world) alert(c *citizen, kind notice.Kind, m method.Method, provider, at string) (notice.Alert, []outbox.Item, string) {
	w.t.Helper()
	alert, items, err := w.svc.Notice.Tell(notice.News{
		Kind: kind, Person: c.Person, Method: m, Provider: provider, Site: at, Origin: session.Origin{Address: "198.51.100.9", Browser: "Firefox, Linux"},
		At: w.clock(), Email: "hong@example.com", Locale: "ko",
	})
	w.check(err)
	link := w.message(items[0]).Link
	return alert, items, link[strings.Index(link, "code=")+len("code="):]
}

// message opens a message to a person.
func (w *world) message(i outbox.Item) notice.Message {
	w.t.Helper()
	text, err := w.svc.Box.Open(i.Payload, "notice:"+i.ID)
	w.check(err)
	var m notice.Message
	w.check(json.Unmarshal(text, &m))
	return m
}

// login is a browser that came to a site.
type login struct {
	handle  string // empty: without single sign-on
	session *session.Session
	access  string
	refresh string
	alert   string // code
	err     error
}

// tryLogin logs a person in at a site as the login journey does, and redeems the code as the site does.
func (w *world) tryLogin(c *citizen, m method.Method, provider, at string, sso bool) (in login) {
	ctx := context.WithoutCancel(w.t.Context())
	a := session.Authentication{Person: c.Person, Method: m, Provider: provider, Level: 2, AMR: []string{"pop"}, At: w.clock()}
	event := audit.New(w.clock(), audit.SiteLogin, audit.Citizen)
	event.Site, event.Address, event.Browser = at, c.Address, c.Browser
	l := grant.Login{Event: event}
	used := &session.Session{ID: secret.NewID(), Authentication: a}
	var prepared session.Prepared
	if sso {
		if prepared, in.err = w.sessions.Prepare(ctx, a, "", at, session.AtSite{Consent: "1", Items: []string{"name"}}, "terms=1"); in.err != nil {
			return in
		}
		origin, err := json.Marshal(session.Origin{Address: c.Address, Browser: c.Browser})
		if err != nil {
			return login{err: err}
		}
		prepared.Entry.Origin = w.svc.Box.Seal(origin, "session:"+prepared.Entry.ID)
		used, l.Session = prepared.Session, &prepared.Entry
	}
	alert, items, code := w.alert(c, notice.NewBrowser, m, provider, at)
	l.Alerts, l.Items = []notice.Alert{alert}, items
	if in.err = w.svc.Grants.RecordLogin(ctx, l, a); in.err != nil {
		return in
	}
	if sso {
		if in.err = w.sessions.Put(ctx, prepared); in.err != nil {
			return in
		}
	}
	in.handle, in.session, in.alert = prepared.Handle, used, code
	handle, err := w.svc.Grants.IssueCode(ctx, grant.Code{Request: grant.Request{Site: at}, Items: []string{"name"}}, used)
	if in.err = err; err != nil {
		return in
	}
	redeemed, err := w.svc.Grants.RedeemCode(ctx, handle, func(grant.Code) error { return nil })
	if in.err = err; err != nil {
		return in
	}
	access := grant.Access{
		Grant: redeemed.Grant, Site: at, Authentication: redeemed.Authentication, Session: redeemed.Session, Items: redeemed.Items, GrantedAt: redeemed.GrantedAt,
	}
	if in.access, access, in.err = w.svc.Grants.IssueAccess(ctx, access); in.err != nil {
		return in
	}
	in.refresh, in.err = w.svc.Grants.IssueRefresh(ctx, access)
	return in
}

// login logs a person in at a site.
func (w *world) login(c *citizen, m method.Method, provider, at string, sso bool) login {
	w.t.Helper()
	in := w.tryLogin(c, m, provider, at, sso)
	w.check(in.err)
	w.pass(time.Second)
	return in
}

// agree gives the site the person's consent to these items, or to name and date of birth.
func (w *world) agree(c *citizen, to string, items ...string) error {
	if items == nil {
		items = []string{"birthdate", "name"}
	}
	event := audit.New(w.clock(), audit.ConsentGiven, audit.Citizen)
	event.Person, event.Site, event.Detail = c.Person, to, map[string]string{"items": strings.Join(items, " "), "version": "1"}
	return w.svc.Grants.Store.AddConsent(context.WithoutCancel(w.t.Context()), consent.Record{
		ID: secret.NewID(), Person: c.Person, Recipient: to, Kind: consent.HandOver, Version: "1", Digest: consent.Digest("제공"), Locale: "ko",
		Purpose: "본인 확인", Items: items, Retention: "1년", Attempt: secret.NewID(), Method: "simple", At: w.clock(),
	}, nil, event)
}

// lives reports whether anything of the login is worth something.
func (w *world) lives(in login) (session, tokens bool) {
	w.t.Helper()
	ctx := w.t.Context()
	if in.handle != "" {
		_, err := w.sessions.Find(ctx, in.handle)
		if session = err == nil; !session {
			w.want(err, fault.NotFound)
		}
	}
	if in.access != "" {
		_, err := w.svc.Grants.Access(ctx, in.access)
		tokens = err == nil
	}
	if in.refresh != "" {
		_, err := w.svc.Grants.Refresh(ctx, in.refresh)
		tokens = tokens || err == nil
	}
	return session, tokens
}

// told is what the sites of a batch are told, as "site sid" or "site sub", sorted.
func (w *world) told(batch string) []string {
	w.t.Helper()
	items, err := w.db.Outbox().Batch(w.t.Context(), batch)
	w.check(err)
	var list []string
	for _, i := range items {
		told, err := w.svc.Logout.Open(i)
		w.check(err)
		by := " sub"
		if told.SID != "" {
			by = " sid"
		}
		list = append(list, told.Site+by)
	}
	slices.Sort(list)
	return list
}

// actions counts the person's events by action.
func (w *world) actions(person string) map[audit.Action]int {
	w.t.Helper()
	count := make(map[audit.Action]int)
	for _, e := range w.events(person) {
		count[e.Action]++
	}
	return count
}

// events are the person's events, newest first.
func (w *world) events(person string) []audit.Event {
	w.t.Helper()
	list, err := w.svc.Audit.History(w.t.Context(), w.svc.Veil.Subject(person), time.Time{}, audit.Cursor{}, 100_000)
	w.check(err)
	for i := range list {
		list[i], err = w.svc.Veil.Reveal(list[i], person)
		w.check(err)
	}
	return list
}

// event is the person's only event of the action.
func (w *world) event(c *citizen, action audit.Action) (only audit.Event) {
	w.t.Helper()
	n := 0
	for _, e := range w.events(c.Person) {
		if e.Action == action {
			only = e
			n++
		}
	}
	if n != 1 {
		w.t.Errorf("%d events %s", n, action)
	}
	return only
}

// atOnce runs them all, from one start.
func atOnce(all ...func()) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, f := range all {
		wg.Go(func() {
			<-start
			f()
		})
	}
	close(start)
	wg.Wait()
}
