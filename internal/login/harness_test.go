package login

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
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

// noNumber is for registrations that ask for none.
var noNumber authn.ResidentNumber

// clock is the time of a broker. It moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Now().Truncate(time.Second).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

// citizen is somebody with a credential of each method.
type citizen struct {
	name, birthDate, phone, ci string
}

func someone(phone string) citizen {
	sum := sha256.Sum256([]byte(phone))
	return citizen{
		name: "홍길동", birthDate: "1990-03-01", phone: phone,
		ci: base64.StdEncoding.EncodeToString(slices.Concat(sum[:], sum[:])),
	}
}

// counterpart is an adapter whose citizens answer as the test says. Like the real ones it hands a proof
// out once, and not before the citizen has approved; a journey that asks for it otherwise fails the test.
type counterpart struct {
	tb     testing.TB
	method method.Method
	level  method.Level
	ttl    time.Duration

	mu        sync.Mutex
	now       func() time.Time
	evidence  map[string]authn.Evidence // by phone
	state     map[string]authn.State    // by nonce; pending until the test answers
	handed    map[string]bool           // by nonce
	statusErr error
	beginErr  error
	fetchErr  error // instead of the proof; it is handed out all the same

	begun, asked, fetched atomic.Int64
	returned              atomic.Value  // the response code of the last Status
	holdBegin, holdFetch  chan struct{} // not nil: calls wait for the channel to close
	attempts              []authn.Attempt
}

var _ authn.Poller = (*counterpart)(nil)

func (c *counterpart) Method() method.Method { return c.method }

func (c *counterpart) Providers() []authn.Provider {
	return []authn.Provider{{ID: "kakao", Korean: "카카오", English: "Kakao"}, {ID: "pass", Korean: "패스", English: "PASS"}}
}

func (c *counterpart) Begin(ctx context.Context, a authn.Attempt, in authn.Input) (authn.Started, error) {
	c.begun.Add(1)
	if c.holdBegin != nil {
		select {
		case <-c.holdBegin:
		case <-ctx.Done():
			return authn.Started{}, &authn.Error{Code: authn.ProviderDown, Err: ctx.Err()}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beginErr != nil {
		return authn.Started{}, c.beginErr
	}
	c.attempts = append(c.attempts, a)
	c.state[a.Nonce] = authn.Pending
	return authn.Started{Shown: authn.Shown{QR: "scan " + string(in.Mode)}, Private: []byte(in.Phone), ExpiresAt: c.now().Add(cmp.Or(c.ttl, 5*time.Minute)), PollAfter: time.Second}, nil
}

func (c *counterpart) Status(_ context.Context, a authn.Attempt) (authn.Progress, error) {
	c.asked.Add(1)
	c.returned.Store(a.ResponseCode)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.statusErr != nil {
		return authn.Progress{}, c.statusErr
	}
	state, ok := c.state[a.Nonce]
	if !ok {
		return authn.Progress{}, &authn.Error{Code: authn.BadRequest}
	}
	return authn.Progress{State: state}, nil
}

func (c *counterpart) Complete(_ context.Context, a authn.Attempt) (authn.Evidence, error) {
	c.fetched.Add(1)
	if c.holdFetch != nil {
		<-c.holdFetch
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state[a.Nonce] != authn.Approved {
		c.tb.Errorf("%s: the proof was fetched before the citizen approved", c.method)
		return authn.Evidence{}, &authn.Error{Code: authn.NotReady}
	}
	if c.handed[a.Nonce] {
		c.tb.Errorf("%s: the proof was fetched twice", c.method)
		return authn.Evidence{}, &authn.Error{Code: authn.AlreadyUsed}
	}
	c.handed[a.Nonce] = true
	if c.fetchErr != nil {
		return authn.Evidence{}, c.fetchErr
	}
	return c.evidence[string(a.Private)], nil
}

// answer is what the citizens press on all requests from now on and until now.
func (c *counterpart) answer(state authn.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for nonce := range c.state {
		c.state[nonce] = state
	}
}

// set changes the counterpart under its lock.
func (c *counterpart) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// proves lets the phone's owner be who the evidence of the citizen says.
func (c *counterpart) proves(who citizen, change ...func(*authn.Evidence)) {
	digest := sha256.Sum256([]byte("signed by " + who.ci))
	e := authn.Evidence{
		Method: c.method, Provider: "kakao", Label: "카카오 인증", Subject: string(c.method) + " of " + who.ci, CI: who.ci,
		Attributes: authn.Attributes{Name: who.name, BirthDate: who.birthDate, Gender: "male", Nationality: "domestic", Phone: "+82" + who.phone[1:]},
		Level:      c.level, AMR: []string{"pop", "mca"}, At: c.now(), Binding: authn.Signed, Digest: hex.EncodeToString(digest[:]),
	}
	for _, f := range change {
		f(&e)
	}
	c.set(func() { c.evidence[who.phone] = e })
}

// broker is one instance of the journey with everything below it.
type broker struct {
	*Service
	clock *clock
	db    *storage.DB
	kv    *moody
	down  *outage
	with  map[method.Method]*counterpart
	log   *syncBuffer
}

// The sites.
const (
	siteA      = "site-a"      // asks for attributes
	sitePlain  = "site-plain"  // asks for nothing
	siteStrong = "site-strong" // wants level 3
	siteNoSSO  = "site-no-sso"
	siteMobile = "site-mobile" // takes mobile IDs only
)

func sites() []site.Site {
	base := func(id string, change func(*site.Site)) site.Site {
		s := site.Site{
			ID: id, Name: "사이트 " + id, NameEnglish: "Site " + id, Institution: site.Institution{ID: "inst", Name: "기관"},
			RedirectURIs: []string{"https://" + id + ".example/cb"}, Scopes: []string{site.ScopeOpenID, site.ScopeProfile, site.ScopePhone},
			HandOver: site.HandOver{Version: "1", Purpose: "시험", Retention: "1년"},
		}
		change(&s)
		return s.WithDefaults()
	}
	return []site.Site{
		base(siteA, func(*site.Site) {}), base(sitePlain, func(*site.Site) {}),
		base(siteStrong, func(s *site.Site) { s.Level = 3 }),
		base(siteNoSSO, func(s *site.Site) { s.NoSSO = true }),
		base(siteMobile, func(s *site.Site) { s.Methods = []method.Method{method.MobileID} }),
	}
}

// world is what the instances of one broker share.
type world struct {
	tb       testing.TB
	clock    *clock
	open     func(now func() time.Time) storagetest.Stack
	with     map[method.Method]*counterpart
	box      *secret.Box
	index    *secret.Index
	subjects *secret.Index
	log      *syncBuffer
}

func newWorld(tb testing.TB, open func(now func() time.Time) storagetest.Stack) *world {
	tb.Helper()
	w := &world{tb: tb, clock: newClock(), open: open, with: make(map[method.Method]*counterpart), log: new(syncBuffer)}
	for _, m := range method.All() {
		w.with[m] = &counterpart{
			tb: tb, method: m, level: method.DefaultLevels()[m], now: w.clock.Now, evidence: make(map[string]authn.Evidence),
			state: make(map[string]authn.State), handed: make(map[string]bool),
		}
	}
	var err error
	if w.box, err = secret.NewBox(secret.Key{ID: "test", Bytes: make([]byte, secret.KeySize)}); err != nil {
		tb.Fatal(err)
	}
	if w.index, err = secret.NewIndex([]byte("0123456789abcdef0123456789abcdef")); err != nil {
		tb.Fatal(err)
	}
	if w.subjects, err = secret.NewIndex([]byte("fedcba9876543210fedcba9876543210")); err != nil {
		tb.Fatal(err)
	}
	return w
}

// instance opens one more instance on the world's stores.
func (w *world) instance() *broker {
	w.tb.Helper()
	ctx := context.Background()
	stack := w.open(w.clock.Now)
	for _, s := range sites() {
		if err := stack.DB.Sites().PutSite(ctx, s, w.clock.Now(), audit.New(w.clock.Now(), audit.SiteApplied, audit.System)); err != nil {
			w.tb.Fatal(err)
		}
	}
	directory, err := site.NewDirectory(ctx, stack.DB.Sites())
	if err != nil {
		w.tb.Fatal(err)
	}
	matrix, err := NewMatrix(ctx, stack.DB.LinkPolicies())
	if err != nil {
		w.tb.Fatal(err)
	}
	b := &broker{clock: w.clock, db: stack.DB, kv: &moody{Store: stack.KV}, down: new(outage), with: w.with, log: w.log}
	b.Service = &Service{
		KV: b.kv, People: people{stack.DB.People(), b.down}, Matrix: matrix, Sites: directory, Audit: events{stack.DB.Audit(), b.down},
		Grants: &grant.Service{KV: b.kv, Store: grants{stack.DB.Grants(), b.down}, Now: w.clock.Now, Lifetimes: grant.Lifetimes{
			Code: 30 * time.Second, Access: 5 * time.Minute, RefreshIdle: time.Hour, RefreshAbsolute: 24 * time.Hour,
		}},
		Sessions: &session.Service{KV: b.kv, Now: w.clock.Now, Policy: session.Policy{Idle: time.Hour, Absolute: 8 * time.Hour}},
		Box:      w.box, Index: w.index, Subjects: w.subjects, Levels: method.DefaultLevels(), Now: w.clock.Now, Terms: consent.Versions(agreed),
		Notices: &notice.Service{Box: w.box, Issuer: "https://id.example", Ports: notice.Ports{notice.Mail: nobody{}}, Now: w.clock.Now},
		Log:     slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Limits:  Limits{Attempt: 30 * time.Minute, PushesPerPhone: 5, PushWindow: 10 * time.Minute},
		Methods: make(map[method.Method]authn.Authenticator),
	}
	for m, c := range w.with {
		b.Methods[m] = c
	}
	b.Logout = &logout.Service{
		Store: stack.DB.Sessions(), Sessions: b.Sessions, Grants: b.Grants, Sites: directory, Subjects: w.subjects, Box: w.box,
		Runner: &outbox.Runner{Store: stack.DB.Outbox(), Now: w.clock.Now, Log: b.Log}, Now: w.clock.Now, Log: b.Log,
	}
	return b
}

// onSQLite runs a test on the embedded stores: for what does not depend on the engine.
func onSQLite(t *testing.T) *broker {
	t.Helper()
	return newWorld(t, sqliteStack(t)).instance()
}

func sqliteStack(tb testing.TB) func(now func() time.Time) storagetest.Stack {
	path := tb.TempDir()
	return func(now func() time.Time) storagetest.Stack {
		return storagetest.Embedded(tb, path, now)
	}
}

// moody is a kv.Store that can be away, or lose the answer to what it did.
type moody struct {
	kv.Store
	away atomic.Int64                       // so many calls fail; negative: all
	lost atomic.Int64                       // so many CompareAndSwaps are done, and fail
	left atomic.Pointer[context.CancelFunc] // the caller's, who leaves during the next CompareAndSwap
}

var errAway = fault.New(fault.Unavailable, "test: the store is away")

func (m *moody) ok() error {
	for {
		n := m.away.Load()
		if n == 0 {
			return nil
		}
		if n < 0 || m.away.CompareAndSwap(n, n-1) {
			return errAway
		}
	}
}

func (m *moody) Get(ctx context.Context, key string) (string, error) {
	if err := cmp.Or(m.ok(), ctx.Err()); err != nil {
		return "", err
	}
	return m.Store.Get(ctx, key)
}

func (m *moody) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	if err := m.ok(); err != nil {
		return err
	}
	return m.Store.Set(ctx, key, value, ttl)
}

func (m *moody) CompareAndSwap(ctx context.Context, key, old, new string, ttl time.Duration) (bool, error) {
	if err := m.ok(); err != nil {
		return false, err
	}
	ok, err := m.Store.CompareAndSwap(ctx, key, old, new, ttl)
	if leave := m.left.Swap(nil); leave != nil {
		(*leave)()
		if err := ctx.Err(); err != nil { // it is done, and nobody waited for the answer
			return false, fault.New(fault.Unavailable, "test: %w", err)
		}
	}
	if m.lost.Load() > 0 {
		m.lost.Add(-1)
		return false, errAway
	}
	return ok, err
}

// outage takes SQL stores away: those whose name stands in it.
type outage struct {
	mu   sync.Mutex
	down []string
}

func (o *outage) set(names ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = names
}

func (o *outage) check(name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Contains(o.down, name) || slices.Contains(o.down, "all") {
		return errAway
	}
	return nil
}

type people struct {
	person.Store
	*outage
}

func (p people) ByLink(ctx context.Context, m method.Method, subject string) (person.Person, error) {
	if err := p.check("people"); err != nil {
		return person.Person{}, err
	}
	return p.Store.ByLink(ctx, m, subject)
}

func (p people) ByID(ctx context.Context, id string) (person.Person, error) {
	if err := p.check("people"); err != nil {
		return person.Person{}, err
	}
	return p.Store.ByID(ctx, id)
}

func (p people) Update(ctx context.Context, id string, change func(*person.Person) error, with person.Along) error {
	if err := p.check("register"); err != nil {
		return err
	}
	return p.Store.Update(ctx, id, change, with)
}

func (p people) Register(ctx context.Context, r person.Registration, e ...audit.Event) error {
	if err := p.check("register"); err != nil {
		return err
	}
	return p.Store.Register(ctx, r, e...)
}

type events struct {
	audit.Store
	*outage
}

func (s events) Record(ctx context.Context, e ...audit.Event) error {
	if err := s.check("audit"); err != nil {
		return err
	}
	return s.Store.Record(ctx, e...)
}

type grants struct {
	grant.Store
	*outage
}

func (s grants) RecordLogin(ctx context.Context, l grant.Login) error {
	if err := s.check("login"); err != nil {
		return err
	}
	return s.Store.RecordLogin(ctx, l)
}

func (s grants) HandOvers(ctx context.Context, personID, site string) ([]consent.Record, error) {
	if err := s.check("consents"); err != nil {
		return nil, err
	}
	return s.Store.HandOvers(ctx, personID, site)
}

// nobody is a channel on which nothing is sent.
type nobody struct{}

func (nobody) Send(context.Context, notice.Message) error { return nil }

// syncBuffer collects a log.
type syncBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// The steps of a citizen at a browser.

const browserA, browserB = "secret-of-browser-a", "secret-of-browser-b"

var ordinary = Visit{SSO: true, Locale: "ko"}

// asks is the authorization request of a site.
func asks(siteID string, change ...func(*grant.Request)) grant.Request {
	r := grant.Request{Site: siteID, RedirectURI: "https://" + siteID + ".example/cb", ResponseMode: "query", Scopes: []string{"openid"}}
	if siteID == siteA {
		r.Scopes = []string{"openid", "profile"}
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

func (b *broker) begin(t *testing.T, r grant.Request, change ...func(*Start)) *Attempt {
	t.Helper()
	registered, err := b.Sites.Lookup(r.Site)
	check(t, err)
	start := Start{Browser: browserA, Request: r, Asked: r.Asked(registered.Scopes), Address: "192.0.2.7"}
	for _, f := range change {
		f(&start)
	}
	a, err := b.Begin(t.Context(), start)
	check(t, err)
	return a
}

// Prove, Complete and Sign load the attempt and take the step, as the pages do.
func (b *broker) Prove(ctx context.Context, id, browser string, m method.Method, in authn.Input, sso bool, locale string) (*Attempt, error) {
	a, err := b.Load(ctx, id, browser)
	if err != nil {
		return nil, err
	}
	return b.Service.Prove(ctx, a, browser, m, in, sso, locale)
}

func (b *broker) Complete(ctx context.Context, id, browser string, v Visit) (bool, *Attempt, error) {
	a, err := b.Load(ctx, id, browser)
	if err != nil {
		return false, nil, err
	}
	return b.Service.Complete(ctx, a, browser, v)
}

func (b *broker) Sign(ctx context.Context, id, browser string, answer authn.Answer, v Visit) (*Attempt, error) {
	a, err := b.Load(ctx, id, browser)
	if err != nil {
		return nil, err
	}
	return b.Service.Sign(ctx, a, browser, answer, v)
}

func input(who citizen) authn.Input {
	return authn.Input{Provider: "kakao", Name: who.name, BirthDate: who.birthDate, Phone: who.phone}
}

// proving brings an attempt to the wait for the phone.
func (b *broker) proving(t *testing.T, a *Attempt, m method.Method, who citizen) *Attempt {
	t.Helper()
	a, err := b.Prove(t.Context(), a.ID, browserA, m, input(who), true, "ko")
	check(t, err)
	want(t, a, Proving)
	return a
}

// prove brings an attempt through a proof, to whatever comes then.
func (b *broker) prove(t *testing.T, a *Attempt, m method.Method, who citizen, v Visit) *Attempt {
	t.Helper()
	b.proving(t, a, m, who)
	b.with[m].answer(authn.Approved)
	ready, a, err := b.Complete(t.Context(), a.ID, browserA, v)
	check(t, err)
	if !ready {
		t.Fatal("the journey still waits for the phone")
	}
	return a
}

var agreed = []consent.Text{
	{Kind: consent.Terms, Version: "1", Locale: "ko", Digest: consent.Digest("약관")},
	{Kind: consent.Privacy, Version: "1", Locale: "ko", Digest: consent.Digest("개인정보")},
}

// login goes all the way, registering and consenting where it is asked to, and returns the attempt's end.
func (b *broker) login(t *testing.T, r grant.Request, m method.Method, who citizen, v Visit) (*Attempt, Outcome) {
	t.Helper()
	a := b.prove(t, b.begin(t, r), m, who, v)
	return b.through(t, a, v)
}

func (b *broker) through(t *testing.T, a *Attempt, v Visit) (*Attempt, Outcome) {
	t.Helper()
	var err error
	if a.State == Registering {
		a, err = b.Register(t.Context(), a.ID, browserA, agreed, noNumber, v)
		check(t, err)
	}
	if a.State == Renewing {
		a, err = b.Renew(t.Context(), a.ID, browserA, agreed, v)
		check(t, err)
	}
	if a.State == Consenting {
		a, err = b.Consent(t.Context(), a.ID, browserA, nil, v)
		check(t, err)
	}
	want(t, a, Done)
	o, err := b.Outcome(a)
	check(t, err)
	return a, o
}

// code returns the content of the outcome's code.
func (b *broker) code(t *testing.T, o Outcome) grant.Code {
	t.Helper()
	var content grant.Code
	stop := errors.New("only looking")
	_, err := b.Grants.RedeemCode(t.Context(), o.Code, func(c grant.Code) error { content = c; return stop })
	if !errors.Is(err, stop) {
		t.Fatalf("the code is no good: %v", err)
	}
	return content
}

// stored is the attempt as it is now.
func (b *broker) stored(t *testing.T, id string) *Attempt {
	t.Helper()
	a, err := b.Load(t.Context(), id, browserA)
	check(t, err)
	return a
}

// store changes the attempt behind the journey's back.
func (b *broker) store(t *testing.T, a *Attempt, change func(*Attempt)) {
	t.Helper()
	change(a)
	check(t, kv.SetJSON(t.Context(), b.kv, key(a.ID), a, time.Hour))
}

// events lists the events of an action, oldest first.
func (b *broker) events(t *testing.T, action audit.Action) []audit.Event {
	t.Helper()
	all, err := b.db.Audit().Unsealed(t.Context(), 1_000_000)
	check(t, err)
	return slices.DeleteFunc(all, func(e audit.Event) bool { return e.Action != action })
}

func (b *broker) count(t *testing.T, action audit.Action, n int) {
	t.Helper()
	if got := b.events(t, action); len(got) != n {
		t.Errorf("%d events %s, want %d", len(got), action, n)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, a *Attempt, state State) {
	t.Helper()
	if a == nil {
		t.Fatalf("no attempt, want it %s", state)
	}
	if a.State != state {
		t.Fatalf("the attempt is %s (%s), want %s", a.State, a.Failure, state)
	}
}

func wantErr(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("error %v, want %v", err, target)
	}
}
