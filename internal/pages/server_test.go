package pages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage/storagetest"
	"github.com/anyid/anyid/internal/web"
)

// phone is a counterpart whose citizen answers as the test says.
type phone struct {
	mu    sync.Mutex
	state authn.State
	err   error
	level method.Level
	ci    string // of who answers; empty: citizenCI
}

const citizenName, citizenBirth, citizenPhone = "홍길동", "1990-03-01", "01000000001"

var citizenCI = strings.Repeat("C", 86) + "=="

func (p *phone) set(state authn.State, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.err = state, err
}

// held hands the phone to somebody.
func (p *phone) held(ci string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ci = ci
}

func (p *phone) Method() method.Method       { return method.Simple }
func (p *phone) Providers() []authn.Provider { return providers }

func (p *phone) Begin(context.Context, authn.Attempt, authn.Input) (authn.Started, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = authn.Pending
	return authn.Started{Private: []byte("receipt"), ExpiresAt: time.Now().Add(5 * time.Minute)}, p.err
}

func (p *phone) Status(context.Context, authn.Attempt) (authn.Progress, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return authn.Progress{State: p.state}, p.err
}

func (p *phone) Complete(context.Context, authn.Attempt) (authn.Evidence, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ci := cmp.Or(p.ci, citizenCI)
	return authn.Evidence{
		Method: method.Simple, Provider: "kakao", Label: "카카오 인증", Subject: ci, CI: ci, Level: p.level, At: time.Now(),
		Attributes: authn.Attributes{Name: citizenName, BirthDate: citizenBirth, Gender: "male", Nationality: "domestic", Phone: "+821000000001"},
		AMR:        []string{"pop"}, Binding: authn.Signed, Digest: "00",
	}, nil
}

// moody is a kv.Store that can be away.
type moody struct {
	kv.Store
	mu   sync.Mutex
	down bool
}

func (m *moody) set(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

func (m *moody) Get(ctx context.Context, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return "", fault.New(fault.Unavailable, "test: away")
	}
	return m.Store.Get(ctx, key)
}

// people is a person.Store that can be away.
type people struct {
	person.Store
	down atomic.Bool
}

func (p *people) ByLink(ctx context.Context, m method.Method, subject string) (person.Person, error) {
	if p.down.Load() {
		return person.Person{}, fault.New(fault.Unavailable, "test: away")
	}
	return p.Store.ByLink(ctx, m, subject)
}

// journey is the handlers on real stores behind the real edge, and an authorization endpoint that asks for
// what the test wants.
type journey struct {
	server *Server
	http   *httptest.Server
	phone  *phone
	kv     *moody
	people *people
	log    *syncBuffer
	stack  storagetest.Stack
	later  atomic.Int64 // by how much the clock is fast
	told   *telephone
	posted *letters
	// request is what the next GET /authorize asks for.
	request grant.Request
}

// now is the journey's time.
func (j *journey) now() time.Time { return time.Now().Add(time.Duration(j.later.Load())) }

// pass lets time pass.
func (j *journey) pass(d time.Duration) { j.later.Add(int64(d)) }

// telephone tells sites of sign-outs: some answer, and some do not.
type telephone struct {
	mu   sync.Mutex
	dead map[string]bool
}

func (p *telephone) Deliver(_ context.Context, i outbox.Item) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead[i.Target] {
		return errors.New("test: nobody answers")
	}
	return nil
}

// letters keeps the messages that people are sent.
type letters struct {
	mu   sync.Mutex
	sent []notice.Message
}

func (l *letters) Send(_ context.Context, m notice.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = append(l.sent, m)
	return nil
}

// Respond implements Responder as package oidc does for response_mode=query.
func (j *journey) Respond(w http.ResponseWriter, r *http.Request, req grant.Request, params url.Values) {
	http.Redirect(w, r, req.RedirectURI+"?"+params.Encode(), http.StatusSeeOther)
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

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newJourney(t *testing.T, limit int64) *journey {
	t.Helper()
	ctx := t.Context()
	j := &journey{phone: &phone{level: 2}, log: new(syncBuffer)}
	log := slog.New(slog.NewTextHandler(j.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	stack := storagetest.Embedded(t, t.TempDir(), j.now)
	j.stack, j.told, j.posted = stack, &telephone{dead: map[string]bool{}}, new(letters)
	j.kv, j.people = &moody{Store: stack.KV}, &people{Store: stack.DB.People()}
	registered := site.Site{
		ID: "qnet", Name: "큐넷", NameEnglish: "Q-Net", RedirectURIs: []string{"https://qnet.example/cb"}, HomeURL: "https://qnet.example/",
		Institution: site.Institution{ID: "hrdk", Name: "한국산업인력공단", NameEnglish: "HRD Korea"}, BackchannelLogoutURI: "https://qnet.example/logout",
		Scopes: []string{"openid", "profile"}, HandOver: site.HandOver{Version: "1", Purpose: "시험", Retention: "1년"},
	}.WithDefaults()
	other := site.Site{
		ID: "minwon", Name: "민원마당", RedirectURIs: []string{"https://minwon.example/cb"}, BackchannelLogoutURI: "https://minwon.example/logout",
		Level: 3, Scopes: []string{"openid"}, HandOver: site.HandOver{Version: "1", Purpose: "민원", Retention: "1년"},
	}.WithDefaults()
	for _, s := range []site.Site{registered, other} {
		check(t, stack.DB.Sites().PutSite(ctx, s, j.now(), audit.New(j.now(), audit.SiteApplied, audit.System)))
	}
	sites, err := site.NewDirectory(ctx, stack.DB.Sites())
	check(t, err)
	matrix, err := login.NewMatrix(ctx, stack.DB.LinkPolicies())
	check(t, err)
	box, err := secret.NewBox(secret.Key{ID: "test", Bytes: make([]byte, secret.KeySize)})
	check(t, err)
	index, err := secret.NewIndex(make([]byte, secret.KeySize))
	check(t, err)
	limiter, err := web.NewLimiter(j.kv, []byte("key"), map[string]web.Limit{LimitClass: {Count: limit, Window: time.Hour}}, j.now)
	check(t, err)
	views, err := NewViews(sampleBranding(), DefaultDocuments(), web.Cookies{}, log)
	check(t, err)
	grants := &grant.Service{KV: j.kv, Store: stack.DB.Grants(), Now: j.now, Lifetimes: grant.Lifetimes{
		Code: time.Minute, Access: time.Minute, RefreshIdle: time.Hour, RefreshAbsolute: time.Hour,
	}}
	sessions := &session.Service{KV: j.kv, Now: j.now, Policy: session.Policy{Idle: time.Hour, Absolute: time.Hour}}
	ports := notice.Ports{notice.Mail: j.posted}
	runner := &outbox.Runner{
		Store: stack.DB.Outbox(), Handlers: map[outbox.Kind]outbox.Handler{outbox.Logout: j.told, outbox.Notice: &notice.Handler{Box: box, Ports: ports}}, Now: j.now, Log: log,
	}
	running, stop := context.WithCancel(context.Background())
	var runs sync.WaitGroup
	runs.Go(func() { runner.Run(running) })
	t.Cleanup(func() { stop(); runs.Wait() })
	notices := &notice.Service{Box: box, Ports: ports, Issuer: "https://anyid.example", ServiceName: notice.Name{Korean: "정부 통합인증(Any-ID)"}, Now: j.now}
	out := &logout.Service{
		Issuer: "https://anyid.example", Store: stack.DB.Sessions(), Sessions: sessions, Grants: grants, Sites: sites, Subjects: index, Box: box, Runner: runner, Now: j.now, Log: log,
	}
	j.server = NewServer(Config{
		Views: views, Sites: sites, Limiter: limiter, Documents: DefaultDocuments(), Logout: out, Log: log,
		Account: &account.Service{
			People: j.people, Grants: grants, Sessions: stack.DB.Sessions(), Logout: out, Audit: stack.DB.Audit(), Veil: storagetest.Veil,
			Alerts: stack.DB.Notices(), Notice: notices, Directory: sites, Box: box, Now: j.now, Log: log,
			Retention: account.Retention{Consents: 24 * time.Hour, ConsentBasis: "법"},
		},
		Login: &login.Service{
			KV: j.kv, People: j.people, Matrix: matrix, Sites: sites, Audit: stack.DB.Audit(), Box: box, Index: index, Subjects: index,
			Grants: grants, Sessions: sessions, Logout: out, Notices: notices, Terms: consent.Versions(DefaultDocuments().Texts(web.Korean)), Issuer: "https://anyid.example",
			Methods: map[method.Method]authn.Authenticator{
				method.Simple: j.phone, method.JointCert: pen{method.JointCert}, method.FinancialCert: pen{method.FinancialCert},
			}, Levels: method.DefaultLevels(), Now: j.now, Log: log,
			Limits: login.Limits{Attempt: time.Hour, PushesPerPhone: 100, PushWindow: time.Hour},
		},
	})
	j.request = grant.Request{Site: "qnet", RedirectURI: "https://qnet.example/cb", Scopes: []string{"openid", "profile"}}
	mux := http.NewServeMux()
	j.server.Serve(mux, j)
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		var known *session.Known
		if handle := j.server.Cookies.Get(r, session.Cookie); handle != "" {
			if s, err := j.server.Login.Sessions.Find(r.Context(), handle); err == nil {
				known = &session.Known{Handle: handle, Session: s}
			}
		}
		j.server.Begin(w, r, j.request, j.request.Asked(registered.Scopes), known)
	})
	j.http = httptest.NewServer(web.Edge{Log: log, MaxBody: 4 << 10, Exempt: Exempt(), Fail: views.Fail}.Handler(web.Unmatched(mux, views.Fail)))
	t.Cleanup(j.http.Close)
	return j
}

// visitor is a browser that shows each answer, redirects included.
type visitor struct {
	t      *testing.T
	j      *journey
	client *http.Client
	locale string
}

func (j *journey) visitor(t *testing.T, locale string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	return &visitor{t, j, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, locale}
}

// answer is what came back.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (v *visitor) do(r *http.Request) answer {
	v.t.Helper()
	if r.Header.Get("Accept-Language") == "" {
		r.Header.Set("Accept-Language", v.locale)
	}
	resp, err := v.client.Do(r)
	check(v.t, err)
	defer func() { check(v.t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	check(v.t, err)
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(body)}
}

func (v *visitor) request(verb, path string, body io.Reader) *http.Request {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), verb, v.j.http.URL+path, body)
	check(v.t, err)
	return r
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	return v.do(v.request(http.MethodGet, path, nil))
}

func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	r := v.request(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return v.do(r)
}

// begin starts an attempt and returns its id.
func (v *visitor) begin() string {
	v.t.Helper()
	a := v.get("/authorize")
	if a.status != http.StatusSeeOther {
		v.t.Fatalf("authorize: %d", a.status)
	}
	return a.location[strings.LastIndex(a.location, "/")+1:]
}

var (
	typed  = url.Values{"provider": {"kakao"}, "name": {citizenName}, "birthdate": {"19900301"}, "phone": {"010-0000-0001"}}
	agrees = url.Values{"terms": {"agree"}, "privacy": {"agree"}, "unique_id": {"agree"}}
)

// leads fails the test unless the answer redirects to the path.
func (v *visitor) leads(a answer, to string) {
	v.t.Helper()
	if a.status != http.StatusSeeOther || a.location != to {
		v.t.Fatalf("answer %d to %q, want a redirect to %s\n%.600s", a.status, a.location, to, a.body)
	}
}

var errorCode = regexp.MustCompile(`id="error-code">([^<]*)<`)

// shows fails the test unless the answer is a page with the status and error code (empty: no error page).
func (v *visitor) shows(what string, a answer, status int, code ErrorCode) {
	v.t.Helper()
	var got string
	if m := errorCode.FindStringSubmatch(a.body); m != nil {
		got = m[1]
	}
	if a.status != status || got != string(code) {
		v.t.Errorf("%s: %d with code %q, want %d with %q", what, a.status, got, status, code)
	}
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || a.header.Get("Cache-Control") != "no-store" {
		v.t.Errorf("%s: Content-Type %q, Cache-Control %q", what, a.header.Get("Content-Type"), a.header.Get("Cache-Control"))
	}
	if _, err := html.Parse(strings.NewReader(a.body)); err != nil || len(a.body) < 500 {
		v.t.Errorf("%s: the page has %d bytes, %v", what, len(a.body), err)
	}
	language := `<html lang="ko"`
	if v.locale == "en" {
		language = `<html lang="en"`
	}
	if !strings.Contains(a.body, language) {
		v.t.Errorf("%s: the page is not in %s", what, v.locale)
	}
}

// TestJourney walks a whole registration and what comes after it, in both languages, and looks what was
// logged at the finest level.
func TestJourney(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"ko", "en"} {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, 1000)
			v := j.visitor(t, locale)
			id := v.begin()
			v.shows("choice", v.get("/login/"+id), 200, "")
			v.leads(v.post("/login/"+id+"/sso", url.Values{"sso": {"off"}}), "/login/"+id)
			v.leads(v.post("/login/"+id+"/sso", url.Values{"sso": {"on"}}), "/login/"+id)
			v.shows("form", v.get("/login/"+id+"/simple"), 200, "")
			v.shows("form left empty", v.post("/login/"+id+"/simple", url.Values{}), 422, "")
			wrong := url.Values{"provider": {"nobody"}, "name": {"\xff"}, "birthdate": {"1990-02-30"}, "phone": {"0212345678"}}
			v.shows("form with nonsense", v.post("/login/"+id+"/simple", wrong), 422, "")
			v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id)
			v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id) // twice
			for _, elsewhere := range []string{"/login/", "/register/", "/consent/", "/account/"} {
				v.leads(v.get(elsewhere+id), "/proof/"+id)
			}
			v.leads(v.get("/login/"+id+"/simple"), "/proof/"+id)
			v.shows("wait", v.get("/proof/"+id), 200, "")
			v.shows("too early", v.post("/proof/"+id, nil), 200, "")
			if a := v.get("/proof/" + id + "/status"); a.status != 200 || !strings.Contains(a.body, `"done":false`) {
				t.Errorf("status %d %s", a.status, a.body)
			}
			j.phone.set(authn.Pending, &authn.Error{Code: authn.ProviderDown})
			v.shows("provider down", v.post("/proof/"+id, nil), 503, ErrorCode(ProviderDown))
			j.phone.set(authn.Approved, nil)
			if a := v.get("/proof/" + id + "/status"); a.status != 200 || !strings.Contains(a.body, `"done":true`) {
				t.Errorf("status %d %s", a.status, a.body)
			}
			v.leads(v.post("/proof/"+id, nil), "/register/"+id)
			v.leads(v.get("/proof/"+id), "/register/"+id)
			v.shows("registration", v.get("/register/"+id), 200, "")
			v.shows("not agreed", v.post("/register/"+id, url.Values{"terms": {"agree"}, "privacy": {"disagree"}}), 422, "")
			v.leads(v.post("/register/"+id, agrees), "/consent/"+id)
			v.shows("consent", v.get("/consent/"+id), 200, "")
			first := v.post("/consent/"+id, nil)
			second := v.post("/consent/"+id, nil)
			code := func(a answer) string {
				u, err := url.Parse(a.location)
				check(t, err)
				return u.Query().Get("code")
			}
			if first.status != 303 || code(first) == "" || code(first) != code(second) || !strings.HasPrefix(first.location, "https://qnet.example/cb?") {
				t.Fatalf("the site is sent %q, then %q", first.location, second.location)
			}
			if _, err := j.server.Login.Grants.RedeemCode(t.Context(), code(first), func(grant.Code) error { return nil }); err != nil {
				t.Fatal(err)
			}
			v.shows("again, when the site has redeemed the code", v.post("/consent/"+id, nil), 409, ErrDone)
			for _, page := range []string{"/login/", "/proof/", "/register/", "/consent/", "/account/"} {
				v.shows(page+" when it is over", v.get(page+id), 409, ErrDone)
			}

			// The session is used: consent once more, then the choice of account.
			j.request.Prompts = []string{"consent"}
			id = v.begin()
			v.shows("consent", v.get("/consent/"+id), 200, "")
			if a := v.post("/consent/"+id+"/deny", nil); !strings.HasSuffix(a.location, "?error=access_denied") {
				t.Errorf("denied: %q", a.location)
			}
			j.request.Prompts = []string{"select_account"}
			id = v.begin()
			v.shows("account", v.get("/account/"+id), 200, "")
			if a := v.post("/account/"+id, nil); code(a) == "" {
				t.Errorf("going on: %q", a.location)
			}
			id = v.begin()
			v.leads(v.post("/account/"+id+"/other", nil), "/login/"+id)
			if a := v.post("/login/"+id+"/cancel", nil); !strings.HasSuffix(a.location, "?error=access_denied") {
				t.Errorf("cancelled: %q", a.location)
			}

			logged := j.log.String()
			for _, personal := range []string{citizenName, "19900301", citizenBirth, citizenPhone, "010-0000-0001", "1000000001", citizenCI, code(first), id} {
				if strings.Contains(logged, personal) {
					t.Errorf("the log tells %q", personal)
				}
			}
			if !strings.Contains(logged, "route=") {
				t.Error("nothing was logged")
			}
		})
	}
}

// at leads a new attempt to the page of a path's first part and returns its id.
func (v *visitor) at(stage string) string {
	v.t.Helper()
	if stage == "account" {
		v.at("done")
		v.j.request.Prompts = []string{"select_account"}
		defer func() { v.j.request.Prompts = nil }()
		return v.begin()
	}
	id := v.begin()
	if stage == "login" {
		return id
	}
	v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id)
	if stage == "proof" {
		return id
	}
	v.j.phone.set(authn.Approved, nil)
	a := v.post("/proof/"+id, nil)
	if stage == "register" {
		return id
	}
	if a.location == "/register/"+id {
		a = v.post("/register/"+id, agrees)
	}
	if stage == "consent" {
		return id
	}
	if a.location == "/consent/"+id {
		v.post("/consent/"+id, nil)
	}
	return id
}

// TestBadRequests sends to every POST route what is wrong in each way: the right 4xx and a page, and the
// attempt is where it was.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"ko", "en"} {
		for _, r := range newJourney(t, 1000).server.routes() {
			verb, pattern, _ := strings.Cut(r.pattern, " ")
			if verb != http.MethodPost || !strings.Contains(pattern, "{id}") {
				continue
			}
			t.Run(locale+" "+pattern, func(t *testing.T) {
				t.Parallel()
				j := newJourney(t, 1000)
				v := j.visitor(t, locale)
				stage, _, _ := strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
				id := v.at(stage)
				path := strings.ReplaceAll(pattern, "{id}", id)
				before := j.stored(t, id)
				post := func(body io.Reader, change func(*http.Request)) answer {
					t.Helper()
					r := v.request(http.MethodPost, path, body)
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Header.Set("Sec-Fetch-Site", "same-origin")
					if change != nil {
						change(r)
					}
					return v.do(r)
				}
				large := strings.Repeat("x=1234567&", 1000)
				v.shows("malformed", post(strings.NewReader("name=%zz"), nil), 400, ErrRequest)
				v.shows("separated by semicolons", post(strings.NewReader("name=a;phone=b"), nil), 400, ErrRequest)
				v.shows("malformed query", post(strings.NewReader(""), func(r *http.Request) { r.URL.RawQuery = "x=%zz" }), 400, ErrRequest)
				v.shows("twice", post(strings.NewReader("name=a&name=b"), nil), 400, ErrRequest)
				v.shows("too large", post(strings.NewReader(large), nil), 413, ErrTooLarge)
				v.shows("too large, unannounced", post(struct{ io.Reader }{strings.NewReader(large)}, nil), 413, ErrTooLarge)
				for _, kind := range []string{"", "text/plain", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded-not", "nonsense/;"} {
					v.shows("as "+kind, post(strings.NewReader("{}"), func(r *http.Request) { r.Header.Set("Content-Type", kind) }), 415, ErrRequest)
				}
				for _, origin := range []string{"https://evil.example", "null", "https://qnet.example"} {
					a := post(strings.NewReader(typed.Encode()), func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", origin) })
					v.shows("from "+origin, a, 403, ErrCrossOrigin)
				}
				for _, sender := range []string{"cross-site", "same-site"} {
					v.shows(sender, post(nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", sender) }), 403, ErrCrossOrigin)
				}
				unknown := strings.ReplaceAll(pattern, "{id}", "unknown")
				v.shows("unknown attempt", v.post(unknown, formFor(pattern)), 410, ErrExpired)
				other := j.visitor(t, locale)
				a := other.post(path, formFor(pattern))
				if a.status != 403 || errorCode.MatchString(a.body) && !strings.Contains(a.body, "other_browser") {
					t.Errorf("another browser: %d", a.status)
				}
				for _, verb := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
					r := v.request(verb, path, nil)
					r.Header.Set("Sec-Fetch-Site", "same-origin")
					a := v.do(r)
					v.shows(verb, a, 405, ErrMethod)
					if !strings.Contains(a.header.Get("Allow"), "POST") {
						t.Errorf("%s: Allow %q", verb, a.header.Get("Allow"))
					}
				}
				if after := j.stored(t, id); after != before {
					t.Errorf("the attempt changed from %s to %s", before, after)
				}
			})
		}
	}
}

// formFor is a form that the route's handler takes.
func formFor(pattern string) url.Values {
	switch {
	case strings.HasSuffix(pattern, "/simple"):
		return typed
	case pattern == "/register/{id}":
		return agrees
	case strings.HasSuffix(pattern, "-cert"):
		return url.Values{"signed": {"00"}}
	case strings.HasSuffix(pattern, "/sso"):
		return url.Values{"sso": {"off"}}
	}
	return nil
}

// stored is the attempt as stored.
func (j *journey) stored(t *testing.T, id string) string {
	t.Helper()
	text, err := j.kv.Get(t.Context(), "attempt:"+secret.Hash(id))
	check(t, err)
	return text
}

// TestForeignAndUnknownPages: no page of an attempt is shown to another browser.
func TestForeignAndUnknownPages(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v, other := j.visitor(t, "ko"), j.visitor(t, "ko")
	id := v.at("register")
	other.begin()
	for _, page := range []string{"/login/%s", "/login/%s/simple", "/proof/%s", "/proof/%s/status", "/register/%s", "/consent/%s", "/account/%s"} {
		if a := other.get(strings.ReplaceAll(page, "%s", id)); a.status != 403 || strings.Contains(a.body, citizenName) || strings.Contains(a.body, "1990") {
			t.Errorf("%s: %d", page, a.status)
		}
		if a := v.get(strings.ReplaceAll(page, "%s", "unknown")); a.status != 410 {
			t.Errorf("%s of nothing: %d", page, a.status)
		}
	}
	v.shows("sso=maybe", v.post("/login/"+id+"/sso", url.Values{"sso": {"maybe"}}), 400, ErrRequest)
	v.shows("unknown document", v.get("/terms/nothing"), 404, ErrNotFound)
	v.shows("unknown page", v.get("/nothing"), 404, ErrNotFound)
}

// TestLimited walks the routes: every POST is behind the limiter, unless it takes nothing that could be
// guessed or flooded and stands here with its reason.
func TestLimited(t *testing.T) {
	t.Parallel()
	free := map[string]string{
		"POST /login/{id}/sso":        "sets a preference of this browser",
		"POST /login/{id}/cancel":     "ends an attempt of this browser",
		"POST /proof/{id}/cancel":     "withdraws a request of this browser",
		"POST /register/{id}/again":   "leads back to the choice",
		"POST /register/{id}/decline": "ends an attempt of this browser",
		"POST /consent/{id}":          "takes no credential; the attempt is proved",
		"POST /consent/{id}/deny":     "ends an attempt of this browser",
		"POST /account/{id}":          "takes no credential; the session is this browser's",
		"POST /account/{id}/other":    "leads back to the choice",
		"POST " + stayPath:            "shows a page",
		"POST /manage/close":          "forgets what this browser has verified",
		"POST /manage/extend":         "asks for as long as the citizen reads",
	}
	j := newJourney(t, 1)
	v := j.visitor(t, "ko")
	id := v.begin()
	v.post("/proof/"+id, nil) // the one that is allowed
	for _, r := range j.server.routes() {
		verb, pattern, _ := strings.Cut(r.pattern, " ")
		path := strings.ReplaceAll(pattern, "{id}", id)
		switch _, exempt := free[r.pattern]; {
		case verb != http.MethodPost && !r.limited:
		case exempt:
			delete(free, r.pattern)
			if a := v.post(path, formFor(pattern)); a.status == http.StatusTooManyRequests {
				t.Errorf("%s is limited and stands among those that are not", r.pattern)
			}
		case verb == http.MethodPost:
			a := v.post(path, formFor(pattern))
			v.shows(r.pattern, a, http.StatusTooManyRequests, ErrLimited)
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", r.pattern)
			}
		default:
			if a := v.get(path); a.status != http.StatusTooManyRequests {
				t.Errorf("%s: %d", r.pattern, a.status)
			}
		}
	}
	if len(free) > 0 {
		t.Errorf("no such routes: %v", free)
	}
}

// TestStoreDown: a page that says so, and the journey goes on when the store is back.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.visitor(t, "ko")
	id := v.at("register")
	j.kv.set(true)
	for _, a := range []answer{v.get("/register/" + id), v.post("/register/"+id, agrees), v.post("/register/"+id+"/decline", nil)} {
		v.shows("store down", a, 503, ErrUnavailable)
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	j.kv.set(false)
	v.leads(v.post("/register/"+id, agrees), "/consent/"+id)
}

// TestStoreDownAfterProof: the proof is fetched once and kept; loading the page again is enough to go on.
func TestStoreDownAfterProof(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.visitor(t, "ko")
	id := v.at("proof")
	j.phone.set(authn.Approved, nil)
	j.people.down.Store(true)
	v.shows("button", v.post("/proof/"+id, nil), 503, ErrUnavailable)
	v.shows("page", v.get("/proof/"+id), 503, ErrUnavailable)
	if a := v.get("/proof/" + id + "/status"); !strings.Contains(a.body, `"done":true`) {
		t.Errorf("status %s", a.body)
	}
	j.phone.set(authn.Failed, nil) // it is not asked again
	j.people.down.Store(false)
	v.leads(v.get("/proof/"+id), "/register/"+id)
}

// TestFailures: each way in which a proof fails has its page and a way back.
func TestFailures(t *testing.T) {
	t.Parallel()
	for state, reason := range map[authn.State]Failure{authn.Rejected: FailureOf(authn.UserCancelled), authn.Expired: FailureOf(authn.TooLate), authn.Failed: FailureOf(login.Unproved)} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, 1000)
			v := j.visitor(t, "ko")
			id := v.at("proof")
			j.phone.set(state, nil)
			v.leads(v.post("/proof/"+id, nil), "/proof/"+id)
			a := v.get("/proof/" + id)
			v.shows(string(state), a, 200, ErrorCode(reason))
			v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id)
			v.shows("asked again", v.get("/proof/"+id), 200, "")
			v.leads(v.post("/proof/"+id+"/cancel", nil), "/login/"+id)
		})
	}
}

func TestParseBirthDate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for text, date := range map[string]string{
		"19900301": "1990-03-01", "1990-03-01": "1990-03-01", "1990.03.01": "1990-03-01", "1990. 03. 01": "1990-03-01", " 1990/03/01 ": "1990-03-01",
		"20000229": "2000-02-29", "19000101": "1900-01-01", "20261101": "2026-11-01",
		"": "", "900301": "", "1990-3-1": "", "19900230": "", "19000229": "", "19901301": "", "00000000": "", "18991231": "", "20261102": "", "29900101": "",
		"199003011": "", "1990030a": "", "１９９００３０１": "", "+19900301": "", "1990-03-01T00:00": "", "-19900301x": "", "1990년03월01일": "",
	} {
		got, ok := parseBirthDate(text, now)
		if ok != (date != "") || got != date {
			t.Errorf("parseBirthDate(%q) = %q, %t, want %q", text, got, ok, date)
		}
	}
}

func TestParsePhone(t *testing.T) {
	t.Parallel()
	for text, digits := range map[string]string{
		"01012345678": "01012345678", "010-1234-5678": "01012345678", " 010 1234 5678 ": "01012345678", "010.1234.5678": "01012345678", "(010)1234-5678": "01012345678",
		"+82 10-1234-5678": "01012345678", "+82(0)10-1234-5678": "01012345678", "0111234567": "0111234567",
		"": "", "0212345678": "", "1012345678": "", "010123456789": "", "010123456": "", "+1 10 1234 5678": "", "82 10 1234 5678": "", "0101234567a": "", "０１０１２３４５６７８": "",
		"+8210+12345678": "", "010-1234-5678;": "", "+82": "",
	} {
		got, ok := parsePhone(text)
		if ok != (digits != "") || got != digits {
			t.Errorf("parsePhone(%q) = %q, %t, want %q", text, got, ok, digits)
		}
	}
}

func FuzzParseBirthDate(f *testing.F) {
	for _, seed := range []string{"19900301", "1990-03-01", "", "1990.2.30", "00010101"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		date, ok := parseBirthDate(text, now)
		if !ok {
			return
		}
		if again, ok := parseBirthDate(date, now); !ok || again != date || len(date) != 10 {
			t.Errorf("%q is read as %q, and that as %q", text, date, again)
		}
	})
}

func FuzzParsePhone(f *testing.F) {
	for _, seed := range []string{"010-1234-5678", "+82 10 1234 5678", "", "+8201", "()"} {
		f.Add(seed)
	}
	digits := regexp.MustCompile(`^01[0-9]{8,9}$`)
	f.Fuzz(func(t *testing.T, text string) {
		phone, ok := parsePhone(text)
		if !ok {
			return
		}
		if again, ok := parsePhone(phone); !ok || again != phone || !digits.MatchString(phone) {
			t.Errorf("%q is read as %q, and that as %q", text, phone, again)
		}
	})
}

// TestInput: names as people type them, and nothing that is no name.
func TestInput(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	fields := SimpleFields{Provider: "kakao", BirthDate: "19900301", Phone: "01012345678"}
	for name, want := range map[string]string{
		"홍길동": "홍길동", "  홍  길동 ": "홍 길동", "\u1112\u1169\u11bc": "홍", "NGUYEN THI LAN": "NGUYEN THI LAN", "홍\t길동": "홍 길동", "O'Neil": "O'Neil",
		strings.Repeat("가", 50): strings.Repeat("가", 50),
		"":                      "", "   ": "", strings.Repeat("가", 51): "", "홍\x00길동": "", "홍\x7f": "", "\xff\xfe": "", "홍\u0085길동\u009f": "",
	} {
		fields.Name = name
		in, errs := fields.input(providers, now)
		if errs.Any() != (want == "") || want != "" && in != (authn.Input{Provider: "kakao", Name: want, BirthDate: "1990-03-01", Phone: "01012345678"}) {
			t.Errorf("%q: %+v, %+v", name, in, errs)
		}
	}
	_, errs := SimpleFields{}.input(providers, now)
	if errs != (SimpleErrors{Missing, Missing, Missing, Missing}) {
		t.Errorf("nothing typed: %+v", errs)
	}
	_, errs = SimpleFields{Provider: "x", Name: "홍", BirthDate: "x", Phone: "x"}.input(providers, now)
	if errs != (SimpleErrors{Provider: Invalid, BirthDate: Invalid, Phone: Invalid}) {
		t.Errorf("nonsense typed: %+v", errs)
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "*", "김": "*", "김철": "김*", "홍길동": "홍*동", "남궁민수": "남**수", "ABC": "A*C"} {
		if got := masked(name); got != want {
			t.Errorf("masked(%q) = %q", name, got)
		}
	}
}
