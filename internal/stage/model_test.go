package stage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// TestManageModel plays two people at two browsers, in every order in which the steps of the one can fall between those
// of the other: proving who they are, looking, acting, trying what the other has, proving anew, closing, and leaving for
// good. A model says whom each browser may be shown. After every answer nobody else is in it, and after every step
// nothing has changed for anybody who has not acted.
//
// What is looked at, done and tried takes turns, so that each of it meets each of the other browser's states. On the first
// stores every order is played, on the others some.
func TestManageModel(t *testing.T) {
	t.Parallel()
	visit := script{begin, prove, manage, leave}
	renew := script{enter, renewal, tryOther, proveAgain}
	withdraw := script{enter, askWithdraw, withdrawal}
	one, two := [2]int{0, 0}, [2]int{0, 1}
	runs := slices.Concat(
		interleave("visits of two people", visit, visit, two), interleave("visits of one person", visit, visit, one),
		interleave("proving anew beside another person", renew, visit, two), interleave("proving anew beside the same person", renew, visit, one),
		interleave("withdrawal beside another person", withdraw, visit, two), interleave("withdrawal beside the same person", withdraw, visit, one),
	)
	assign(t, runs)
	for i, p := range plays {
		runs := runs
		if i > 0 {
			runs = nth(runs, 5)
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := Config{AutoApprove: true, Sites: []site.Document{ownSite(0), ownSite(1)}}
			const pairs = 4
			for n := range 2 * pairs {
				c.People = append(c.People, modelPerson(n))
			}
			stop, err := p.stores(&c)
			must(t, err)
			t.Cleanup(stop)
			s := certified(t, c)
			s.App.Login.Limits.PushesPerPhone = 1_000_000
			for pair := range pairs {
				t.Run(strconv.Itoa(pair), func(t *testing.T) {
					t.Parallel()
					m := newModel(t, s, c.People[2*pair], c.People[2*pair+1])
					for i := pair; i < len(runs) && !t.Failed(); i += pairs {
						m.play(runs[i])
					}
				})
			}
		})
	}
}

// step is one thing that somebody does at a browser.
type step string

const (
	begin       step = "begin"        // goes to 사용자 관리, and asks for a proof
	prove       step = "prove"        // ends the proof
	enter       step = "enter"        // both at once
	manage      step = "manage"       // looks at a page, does something, and tries what is another's
	renewal     step = "renewal"      // begins to prove anew who they are
	tryOther    step = "try other"    // lets the other person prove it
	proveAgain  step = "prove again"  // proves it
	askWithdraw step = "ask withdraw" // goes as far as the last question
	withdrawal  step = "withdraw"
	leave       step = "leave" // closes, and tries to go on
)

type script []step

// move is a step at one of the browsers.
type move struct {
	browser int
	step    step
	beside  step // the last one at the other browser; empty: none
	task    int  // which of the step's tasks
}

// run is one order of all steps of both browsers.
type run struct {
	name   string
	people [2]int // whom each browser proves
	moves  []move
}

// interleave lists all orders of two scripts.
func interleave(name string, first, second script, people [2]int) (runs []run) {
	scripts := [2]script{first, second}
	var order func(done [2]int, moves []move)
	order = func(done [2]int, moves []move) {
		if len(moves) == len(first)+len(second) {
			runs = append(runs, run{name, people, moves})
		}
		for b, s := range scripts {
			if done[b] == len(s) {
				continue
			}
			var beside step
			if n := done[1-b]; n > 0 {
				beside = scripts[1-b][n-1]
			}
			next := done
			next[b]++
			order(next, append(slices.Clip(moves), move{browser: b, step: s[done[b]], beside: beside}))
		}
	}
	order([2]int{}, nil)
	return runs
}

// nth is every nth of them.
func nth(runs []run, n int) (some []run) {
	for i := 0; i < len(runs); i += n {
		some = append(some, runs[i])
	}
	return some
}

// assign gives the moves their tasks by turns, so that all of them meet each state of the other browser.
func assign(t *testing.T, runs []run) {
	t.Helper()
	turn := map[[2]step]int{}
	for r := range runs {
		for i := range runs[r].moves {
			m := &runs[r].moves[i]
			met := [2]step{m.step, m.beside}
			m.task = turn[met]
			turn[met]++
		}
	}
	for _, beside := range []step{"", begin, prove, manage, leave, enter, renewal, tryOther} {
		if n := turn[[2]step{manage, beside}]; n < max(len(looks), len(acts), len(trespasses)) {
			t.Errorf("only %d tasks meet a browser after %q", n, beside)
		}
	}
}

// modelPerson is somebody of whom nothing is in what is told of anybody else.
func modelPerson(n int) Person {
	names := []string{"독고탁희", "제갈윤슬", "선우가온", "남궁여름", "황보다빛", "사공한결", "서문새봄", "동방해솔"}
	return Person{
		Name: names[n], NameEnglish: "NOBODY", BirthDate: fmt.Sprintf("19%d-1%d-2%d", 61+4*n, n%3, n), Gender: "female", Phone: fmt.Sprintf("0100000%04d", 7631+17*n),
	}
}

// ownSite is a site that one person of each pair uses.
func ownSite(n int) site.Document {
	id, name := []string{"forest", "harbor"}[n], []string{"산림누리(시연)", "항만누리(시연)"}[n]
	return site.Document{Secret: secret.NewHandle(), Site: site.Site{
		ID: id, Name: name, Institution: site.Institution{ID: id, Name: name + " 기관"},
		RedirectURIs: []string{"http://127.0.0.1:1/" + id}, Scopes: []string{site.ScopeOpenID},
		HandOver: site.HandOver{Purpose: "시연", Retention: "없음", Basis: "시연용 문구"},
	}}
}

// model is what is to be expected of two people and two browsers.
type model struct {
	t        *testing.T
	s        *Stage
	people   [2]*party
	browsers [2]*desk
	veil     *audit.Veil
	trace    []string // the run so far
}

// party is one of the people, with what only they have.
type party struct {
	Person
	id, site, siteName, email string
	linked, blocked           method.Method

	// As it is now.
	before   map[string]string // everything that they could be shown, by kinds
	sessions []string          // ids
	events   []audit.Event
	subject  string // id of the linked method
}

// desk is one of the browsers.
type desk struct {
	*Citizen
	m     *model
	n     int
	who   *party // who has proved who they are here
	typed *party // whose data were typed into the page that waits for an answer
	next  *party // who may be known after the next answer that says so
	body  string // of the last answer
	begun string // path of the attempt under way
	agent string // reference of an agency's window that was opened here
}

func newModel(t *testing.T, s *Stage, a, b Person) *model {
	t.Helper()
	m := &model{t: t, s: s, veil: audit.NewVeil(s.App.Login.Index)}
	for n, who := range []Person{a, b} {
		m.people[n] = &party{
			Person: who, site: ownSite(n).ID, siteName: ownSite(n).Name, email: fmt.Sprintf("%s@person.example", who.Phone),
			linked: method.JointCert, blocked: []method.Method{method.MobileID, method.FinancialCert}[n],
		}
		d := &desk{m: m, n: n}
		client := *s.Client
		client.Transport = &tap{d, s.Client.Transport, 0}
		browser, err := browse.New(&client)
		must(t, err)
		d.Citizen = &Citizen{Browser: browser, Person: who, stage: s}
		m.browsers[n] = d
	}
	// Each signs in at a browser, which has a single sign-on session of theirs from then on.
	for n, d := range m.browsers {
		m.register(d, m.people[n])
	}
	m.look()
	return m
}

// register lets a person register by the portal, at a browser, and have something of everything.
func (m *model) register(d *desk, p *party) {
	m.t.Helper()
	ctx := m.t.Context()
	d.Person, d.typed = p.Person, p
	must(m.t, errors.Join(d.Open(ctx, m.s.PetitionURL+"/anyid/start"), d.Prove(ctx, "kakao"), d.Agree(ctx)))
	d.typed = nil
	if p.id, _ = m.s.kept(m.t, p.Person, "minwon"); p.id == "" {
		m.t.Fatalf("%s is not registered: at %s (%d)", p.Name, d.URL().Path, d.Status())
	}
	must(m.t, m.s.App.Account.SetSettings(ctx, m.visitor(p), person.Settings{Email: p.email}))
	must(m.t, m.s.App.Account.Block(ctx, m.visitor(p), p.blocked, ""))
	m.restore(p)
}

func (m *model) visitor(p *party) account.Visitor {
	return account.Visitor{Person: p.id, Method: method.Simple, Provider: "kakao", At: time.Now(), Browser: "model", Locale: "ko"}
}

// restore gives a person back what they have done away with.
func (m *model) restore(p *party) {
	m.t.Helper()
	ctx := m.t.Context()
	app := m.s.App
	cases, err := app.DB.Notices().CasesOf(ctx, p.id)
	must(m.t, err)
	for _, c := range cases {
		if err := app.Account.CloseCase(ctx, "model", c.ID, ""); err != nil && !fault.Is(err, fault.Conflict) {
			m.t.Fatal(err)
		}
	}
	links, err := app.DB.People().Links(ctx, p.id)
	must(m.t, err)
	if !slices.ContainsFunc(links, func(l person.Link) bool { return l.Method == p.linked }) {
		event := audit.New(time.Now(), audit.MethodLinked, audit.Citizen)
		event.Person, event.Detail = p.id, map[string]string{"method": string(p.linked), "provider": "yessign"}
		must(m.t, app.DB.People().AddLink(ctx, person.Link{
			Person: p.id, Method: p.linked, Subject: secret.NewID(), Provider: "yessign", Rule: method.Own, Policy: 1, Binding: string(authn.Signed), LinkedAt: time.Now(),
		}, person.Along{Events: []audit.Event{event}}))
	}
	sessions, err := app.DB.Sessions().Sessions(ctx, p.id)
	must(m.t, err)
	_, err = app.DB.Grants().Connection(ctx, p.id, p.site)
	if err != nil && !fault.Is(err, fault.NotFound) {
		m.t.Fatal(err)
	}
	if err != nil || !slices.ContainsFunc(sessions, func(e session.Entry) bool { return slices.Contains(e.Sites, p.site) }) {
		m.arrive(p)
	}
}

// arrive logs a person in at their own site, at a browser that nobody sees.
func (m *model) arrive(p *party) {
	m.t.Helper()
	ctx := m.t.Context()
	app := m.s.App
	given := audit.New(time.Now(), audit.ConsentGiven, audit.Citizen)
	given.Person, given.Site = p.id, p.site
	must(m.t, app.DB.Grants().AddConsent(ctx, consent.Record{
		ID: secret.NewID(), Person: p.id, Recipient: p.site, Kind: consent.HandOver, Version: "1", Digest: consent.Digest("제공"), Locale: "ko",
		Items: []string{"name"}, Attempt: secret.NewID(), Method: string(method.Simple), At: time.Now(),
	}, nil, given))
	a := session.Authentication{Person: p.id, Method: method.Simple, Provider: "kakao", Level: 2, At: time.Now().Truncate(time.Second)}
	prepared, err := app.Sessions.Prepare(ctx, a, "", p.site, session.AtSite{Consent: "1", Items: []string{"name"}}, "")
	must(m.t, err)
	login := audit.New(time.Now(), audit.SiteLogin, audit.Citizen)
	login.Site = p.site
	must(m.t, app.Grants.RecordLogin(ctx, grant.Login{Event: login, Session: &prepared.Entry}, a))
	must(m.t, app.Sessions.Put(ctx, prepared))
}

// look reads what everybody has, as they could be shown it.
func (m *model) look() {
	m.t.Helper()
	ctx := m.t.Context()
	db := m.s.App.DB
	for _, p := range m.people {
		if p.before = map[string]string{}; p.id == "" {
			continue
		}
		held, err := db.People().ByID(ctx, p.id)
		must(m.t, err)
		links, err := db.People().Links(ctx, p.id)
		must(m.t, err)
		consents, err := db.People().Consents(ctx, p.id)
		must(m.t, err)
		connections, err := db.Grants().Connections(ctx, p.id)
		must(m.t, err)
		sessions, err := db.Sessions().Sessions(ctx, p.id)
		must(m.t, err)
		cases, err := db.Notices().CasesOf(ctx, p.id)
		must(m.t, err)
		const recent = 12
		p.events, err = db.Audit().History(ctx, m.veil.Subject(p.id), time.Now().Add(-time.Hour), audit.Cursor{}, recent)
		must(m.t, err)
		p.sessions = nil
		for _, s := range sessions {
			p.sessions = append(p.sessions, session.SID(s.ID, "")) // as it is shown
		}
		for _, l := range links {
			if l.Method == p.linked {
				p.subject = l.Subject
			}
		}
		for kind, has := range map[string]any{
			"registration": held, "methods": links, "consents": consents, "sites": connections, "sessions": sessions, "cases": cases, "events": p.events,
		} {
			text, err := json.Marshal(has)
			must(m.t, err)
			p.before[kind] = string(text)
		}
	}
}

// changed looks again, and lists what has changed of whom.
func (m *model) changed() map[*party][]string {
	m.t.Helper()
	earlier := map[*party]map[string]string{}
	for _, p := range m.people {
		earlier[p] = p.before
	}
	m.look()
	found := map[*party][]string{}
	for _, p := range m.people {
		for _, kind := range slices.Sorted(maps.Keys(p.before)) {
			if p.before[kind] != earlier[p][kind] {
				found[p] = append(found[p], kind)
			}
		}
	}
	return found
}

func (m *model) errorf(format string, args ...any) {
	m.t.Helper()
	m.t.Errorf("%s\nafter %s", fmt.Sprintf(format, args...), strings.Join(m.trace, "; "))
}

// tap looks at every answer of the broker to a browser.
type tap struct {
	d      *desk
	next   http.RoundTripper
	waited time.Duration // for stores that the machine has no time for
}

// patience is how long somebody tries again.
const patience = 30 * time.Second

func (w *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil || !strings.HasPrefix(r.URL.String(), w.d.m.s.BrokerURL) {
		return resp, err
	}
	if resp.StatusCode == http.StatusServiceUnavailable && w.waited < patience { // as the page says
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			if again.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		time.Sleep(time.Second)
		return (&tap{w.d, w.next, w.waited + time.Second}).RoundTrip(again)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	w.d.seen(r, resp, string(body))
	return resp, nil
}

// seen takes the browser to the state that the model gives it, and looks whether the answer shows who is not to be seen in
// that state.
func (d *desk) seen(r *http.Request, resp *http.Response, body string) {
	for _, cookie := range resp.Cookies() {
		if cookie.Name != "anyid-"+login.SelfCookie {
			continue
		}
		if cookie.MaxAge >= 0 && d.next == nil {
			d.m.errorf("%s %s lets the browser be somebody", r.Method, r.URL.Path)
		}
		d.who, d.next = d.next, nil
	}
	d.body = body
	text := strings.ReplaceAll(body, r.URL.Path, "") + "\n" // its own address is what the browser has asked for
	for name, values := range resp.Header {
		text += name + ": " + strings.Join(values, "\n") + "\n"
	}
	for _, p := range d.m.people {
		var tells []string
		if p != d.who && p != d.typed {
			tells = append(tells, p.known()...)
		}
		if p != d.who {
			tells = append(tells, p.has()...)
		}
		for _, own := range tells {
			if own != "" && strings.Contains(text, own) {
				d.m.errorf("%s %s (%d) shows %q of %s to %s", r.Method, r.URL.Path, resp.StatusCode, own, p.Name, d.who.named())
			}
		}
	}
}

func (p *party) named() string {
	if p == nil {
		return "nobody"
	}
	return p.Name
}

// known is what others may know of a person too.
func (p *party) known() []string {
	born := strings.Split(p.BirthDate, "-")
	var list []string
	for _, between := range []string{"-", "", ".", ". "} {
		list = append(list, strings.Join(born, between))
	}
	month, day := strings.TrimPrefix(born[1], "0"), strings.TrimPrefix(born[2], "0")
	return append(list, p.Name, born[0]+"년 "+month+"월 "+day+"일", born[0]+". "+month+". "+day, p.Phone, p.Phone[1:], p.Phone[3:7]+"-"+p.Phone[7:])
}

// has is what is known of a person here only.
func (p *party) has() []string {
	list := []string{p.id, p.email, p.site, p.siteName, p.subject}
	list = append(list, p.sessions...)
	for _, e := range p.events {
		list = append(list, e.ID)
	}
	return list
}

// play goes through a run. Afterwards both browsers are nobody's, and everybody has everything.
func (m *model) play(r run) {
	m.t.Helper()
	m.trace = []string{r.name}
	for _, mv := range r.moves {
		d := m.browsers[mv.browser]
		p, other := m.people[r.people[mv.browser]], m.people[1-r.people[mv.browser]]
		m.trace = append(m.trace, fmt.Sprintf("browser %d (%s): %s %s", mv.browser, d.who.named(), mv.step, p.Name))
		m.do(d, mv, p, other)
		if m.t.Failed() {
			return
		}
	}
	for _, d := range m.browsers {
		if d.who != nil {
			must(m.t, d.Open(m.t.Context(), m.s.BrokerURL+"/manage"))
			must(m.t, d.Click(m.t.Context(), "manage-close"))
		}
		d.begun, d.agent = "", ""
	}
	for n, p := range m.people {
		if p.id == "" {
			m.register(m.browsers[n], p)
		}
		m.restore(p)
	}
	m.look()
}

// may fails the run unless what has changed is of a person, and of certain kinds.
func (m *model) may(whose *party, kinds ...string) []string {
	m.t.Helper()
	found := m.changed()
	for p, changes := range found {
		for _, kind := range changes {
			if p != whose || !slices.Contains(kinds, kind) {
				m.errorf("it changes the %s of %s", kind, p.Name)
			}
		}
	}
	return found[whose]
}

func (m *model) do(d *desk, mv move, p, other *party) {
	m.t.Helper()
	ctx := m.t.Context()
	// Another browser may have withdrawn the person. Then there is nobody, who cannot be proved either.
	gone := p.id == ""
	switch mv.step {
	case begin:
		d.begin(mv.task, p)
		m.may(nil)
	case prove:
		d.finish(p, gone)
		m.may(p, "events", "registration")
	case enter:
		d.begin(mv.task, p)
		d.finish(p, gone)
		m.may(p, "events", "registration")
	case renewal:
		must(m.t, errors.Join(d.Open(ctx, m.s.BrokerURL+"/manage/profile"), d.Click(ctx, "profile-prove")))
		d.begun = d.URL().Path
		m.may(nil)
	case tryOther:
		d.open(d.begun)
		d.choose(mv.task, other)
		d.answer(other)
		if got := d.Text("error-code"); got != string(pages.OtherPerson) || d.who != p {
			m.errorf("%s proves who %s is: %q at %s (%d)", other.Name, p.Name, got, d.URL().Path, d.Status())
		}
		d.typed = nil
		m.may(p, "events")
	case proveAgain:
		d.open(d.begun)
		must(m.t, d.Click(ctx, "choose-method"))
		d.choose(mv.task, p)
		d.finish(p, false)
		m.may(p, "events", "registration")
	case manage:
		d.looks(looks[mv.task%len(looks)], p)
		d.acts(acts[mv.task%len(acts)], p)
		d.tries(trespasses[mv.task%len(trespasses)], p, other)
	case askWithdraw:
		for _, err := range []error{d.Open(ctx, m.s.BrokerURL+"/manage/withdraw"), d.Click(ctx, "withdraw")} {
			must(m.t, err)
		}
		if !d.Has("withdraw-confirm") {
			m.errorf("at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
		}
		m.may(nil)
	case withdrawal:
		d.withdraws(p)
	case leave:
		d.leaves(mv.task, p)
	}
}

// open shows a page of the broker.
func (d *desk) open(path string) {
	d.m.t.Helper()
	must(d.m.t, d.Open(d.m.t.Context(), d.m.s.BrokerURL+path))
}

// begin goes to 사용자 관리, and asks for a proof of a person.
func (d *desk) begin(task int, p *party) {
	d.m.t.Helper()
	d.open("/manage")
	if !d.Has("verify-simple") {
		d.m.errorf("at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
		return
	}
	d.choose(task, p)
}

// choose asks for a proof, by the phone or in an agency's window, which take turns.
func (d *desk) choose(task int, p *party) {
	d.m.t.Helper()
	ctx := d.m.t.Context()
	d.Person, d.agent = p.Person, ""
	if task%4 == 3 {
		must(d.m.t, d.Click(ctx, "verify-ipin"))
		d.agent = d.Attribute("window-open", "href")
	} else {
		d.typed = p
		must(d.m.t, d.Click(ctx, "verify-simple"))
		must(d.m.t, errors.Join(d.Check("provider-kakao"), d.Fill("name", p.Name), d.Fill("birthdate", p.BirthDate), d.Fill("phone", p.Phone), d.Click(ctx, "request-auth")))
	}
	d.begun = d.URL().Path
	if !strings.HasPrefix(d.begun, "/proof/") {
		d.m.errorf("at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	}
}

// answer brings the proof to its end.
func (d *desk) answer(p *party) {
	d.m.t.Helper()
	ctx := d.m.t.Context()
	d.open(d.begun)
	if d.agent != "" {
		of := d.stage.atCarrier(d.m.t, p.Person)
		must(d.m.t, d.Click(ctx, "window-open"))
		must(d.m.t, errors.Join(d.Fill("ipin-id", of.IPIN.ID), d.Fill("ipin-password", of.IPIN.Password), d.Click(ctx, "confirm-ipin")))
	}
	for d.Has("auth-complete") {
		must(d.m.t, d.Click(ctx, "auth-complete"))
	}
}

// finish proves who the person is, after which the browser is theirs; or nobody's, if they have withdrawn.
func (d *desk) finish(p *party, gone bool) {
	d.m.t.Helper()
	if !gone {
		d.next = p
	}
	d.answer(p)
	d.next, d.typed = nil, nil
	switch {
	case gone && (d.who != nil || d.Text("error-code") != string(pages.NotRegistered)):
		d.m.errorf("who has withdrawn is at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	case !gone && (d.who != p || d.Status() != http.StatusOK || !strings.HasPrefix(d.URL().Path, "/manage")):
		d.m.errorf("proved, and at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	}
}

// look is a page, with what it shows of its person.
type look struct {
	path  string
	shows func(p *party) string
}

var looks = []look{
	{"/manage", func(p *party) string { return p.Name }},
	{"/manage/profile", func(p *party) string { return p.Name }},
	{"/manage/sites", func(p *party) string { return p.siteName }},
	{"/manage/history", func(p *party) string { return p.siteName }},
	{"/manage/methods", func(*party) string { return "공동인증서" }},
	{"/manage/sessions", func(p *party) string { return p.siteName }},
	{"/manage/export", func(*party) string { return "" }},
	{"/manage/withdraw", func(*party) string { return "" }},
	{"/manage/history.csv", func(p *party) string { return p.siteName }},
	{"/manage/history.json", func(p *party) string { return p.siteName }},
}

// act is what people do with what is theirs, where it begins, and what it changes.
type act struct {
	name, page string
	do         func(d *desk, p *party) error
	changes    []string
}

var acts = []act{
	{"settings", "/manage/profile", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		language := "locale-ko"
		if strings.Contains(d.body, `id="locale-ko" name="locale" value="ko" checked`) {
			language = "locale-none"
		}
		return errors.Join(d.Check(language), d.Click(ctx, "profile-save"))
	}, []string{"registration", "events"}},
	{"revoke site", "/manage/sites", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		return errors.Join(d.Click(ctx, "site-"+p.site+"-revoke"), d.Click(ctx, "revoke-confirm"))
	}, []string{"sites", "sessions", "consents", "events"}},
	{"remove method", "/manage/methods", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		return errors.Join(d.Open(ctx, d.m.s.BrokerURL+"/manage/methods/"+string(p.linked)+"/"+p.subject+"/remove"), d.Click(ctx, "remove-confirm"))
	}, []string{"methods", "events"}},
	{"block and unblock", "/manage/methods", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		err := errors.Join(d.Click(ctx, "method-simple-block"), d.Check("block-naver"), d.Click(ctx, "block-confirm"))
		return errors.Join(err, d.Click(ctx, "method-unblock-2")) // the first one is always there
	}, []string{"registration", "events"}},
	{"end a session", "/manage/sessions", func(d *desk, p *party) error {
		return d.Click(d.m.t.Context(), "session-end-1")
	}, []string{"sessions", "events"}},
	{"end other sessions", "/manage/sessions", func(d *desk, p *party) error {
		return d.Click(d.m.t.Context(), "sessions-end-others")
	}, []string{"sessions", "events"}},
	{"export", "/manage/export", func(d *desk, p *party) error {
		return d.Click(d.m.t.Context(), "export-download")
	}, []string{"events"}},
	{"dispute", "/manage/history", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		return errors.Join(d.Click(ctx, "not-me"), d.Click(ctx, "not-me-confirm"))
	}, []string{"registration", "sessions", "events", "cases"}},
	{"begin to withdraw", "/manage/withdraw", func(d *desk, p *party) error {
		ctx := d.m.t.Context()
		return errors.Join(d.Click(ctx, "withdraw"), d.Click(ctx, "withdraw-cancel"))
	}, nil},
	{"begin to add a method", "/manage/methods", func(d *desk, p *party) error {
		return d.Click(d.m.t.Context(), "method-add")
	}, nil},
	{"extend", "/manage", func(d *desk, p *party) error {
		return d.Click(d.m.t.Context(), "session-extend-now")
	}, nil},
}

// looks looks at a page.
func (d *desk) looks(at look, p *party) {
	m := d.m
	m.t.Helper()
	m.trace = append(m.trace, at.path)
	d.open(at.path)
	switch {
	case p.id == "":
		d.lost()
	case d.Status() != http.StatusOK || d.URL().Path != at.path || !strings.Contains(d.body, at.shows(p)):
		m.errorf("at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	}
	if strings.HasPrefix(at.path, "/manage/history.") { // the history holds its export
		m.may(p, "events")
	} else {
		m.may(nil)
	}
}

// lost fails the run unless the page is one that is shown to nobody.
func (d *desk) lost() {
	d.m.t.Helper()
	if at := d.URL().Path; !strings.HasPrefix(at, "/login/") && at != "/manage/closed" {
		d.m.errorf("who has withdrawn is at %s (%d): %s", at, d.Status(), d.Text("main"))
	}
}

// acts does something.
func (d *desk) acts(act act, p *party) {
	m := d.m
	m.t.Helper()
	m.trace = append(m.trace, act.name)
	d.open(act.page)
	if p.id == "" {
		d.lost()
		m.may(nil)
		return
	}
	if err := act.do(d, p); err != nil || d.Status() != http.StatusOK {
		m.errorf("%v, at %s (%d): %s", err, d.URL().Path, d.Status(), d.Text("main"))
	}
	if found := m.may(p, act.changes...); len(found) == 0 && len(act.changes) > 0 {
		m.errorf("nothing changes")
	}
	m.restore(p)
	m.look()
}

// attempt is what somebody tries with what is not theirs.
type attempt struct {
	name   string
	method string
	path   func(theirs *party, other *desk) string
	form   func(theirs *party) url.Values
	status []int
	denied bool // it is written down
}

// trespasses are attempts with what is another person's or another browser's.
var trespasses = []attempt{
	{"site page", http.MethodGet, func(p *party, _ *desk) string { return "/manage/sites/" + p.site + "/revoke" }, nil, []int{404}, false},
	{"site", http.MethodPost, func(p *party, _ *desk) string { return "/manage/sites/" + p.site + "/revoke" }, nil, []int{404}, true},
	{"session", http.MethodPost, func(*party, *desk) string { return "/manage/sessions/end" }, func(p *party) url.Values { return url.Values{"session": {p.sessions[0]}} }, []int{404}, true},
	{"method page", http.MethodGet, func(p *party, _ *desk) string { return removal(p) }, nil, []int{404}, false},
	{"method", http.MethodPost, func(p *party, _ *desk) string { return removal(p) }, nil, []int{404}, true},
	{"block", http.MethodPost, func(*party, *desk) string { return "/manage/methods/unblock" }, func(p *party) url.Values { return url.Values{"method": {string(p.blocked)}, "provider": {""}} }, []int{404}, true},
	{"event page", http.MethodGet, func(p *party, _ *desk) string { return "/manage/history/" + p.disputable() + "/not-me" }, nil, []int{404}, false},
	{"event", http.MethodPost, func(p *party, _ *desk) string { return "/manage/history/" + p.disputable() + "/not-me" }, nil, []int{404}, true},
	{"place in the history", http.MethodGet, func(p *party, _ *desk) string {
		last := p.events[0]
		at := base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(last.At.UnixMilli(), 10) + " " + last.ID))
		return "/manage/history?after=" + at
	}, nil, []int{200}, false},
	{"proof page", http.MethodGet, func(_ *party, other *desk) string { return "/proof/" + other.attempt() }, nil, notHere, false},
	{"proof", http.MethodPost, func(_ *party, other *desk) string { return "/proof/" + other.attempt() }, nil, notHere, false},
	{"proof's state", http.MethodGet, func(_ *party, other *desk) string { return "/proof/" + other.attempt() + "/status" }, nil, notHere, false},
	{"proof's end", http.MethodPost, func(_ *party, other *desk) string { return "/proof/" + other.attempt() + "/cancel" }, nil, notHere, false},
	{"choice", http.MethodGet, func(_ *party, other *desk) string { return "/login/" + other.attempt() }, nil, notHere, false},
	{"choice's end", http.MethodPost, func(_ *party, other *desk) string { return "/login/" + other.attempt() + "/cancel" }, nil, notHere, false},
	{"agency's window", http.MethodGet, func(_ *party, other *desk) string { return other.returns() }, nil, notHere, false},
}

// notHere are the answers to who is not in the browser in which something was begun.
var notHere = []int{http.StatusForbidden, http.StatusGone, http.StatusNotFound}

func removal(p *party) string {
	return "/manage/methods/" + string(p.linked) + "/" + p.subject + "/remove"
}

// disputable is an event of theirs that is in no case.
func (p *party) disputable() string {
	for _, e := range p.events {
		if e.Action == audit.SiteLogin {
			return e.ID
		}
	}
	return "none"
}

// attempt is the id of what was begun last at the browser.
func (d *desk) attempt() string {
	if d.begun == "" {
		return "none"
	}
	return path.Base(d.begun)
}

// returns is where the agency's window would send the browser back.
func (d *desk) returns() string {
	window, err := url.Parse(d.agent)
	if err != nil || d.agent == "" {
		return "/window/none"
	}
	for _, values := range window.Query() {
		if _, reference, ok := strings.Cut(values[0], "/window/"); ok {
			return "/window/" + reference
		}
	}
	return "/window/none"
}

// tries tries one of them.
func (d *desk) tries(try attempt, p, other *party) {
	m := d.m
	m.t.Helper()
	m.trace = append(m.trace, try.name)
	if p.id == "" || other.id == "" {
		return
	}
	address := try.path(other, m.browsers[1-d.n])
	earlier := p.events
	form := url.Values{}
	if try.form != nil {
		form = try.form(other)
	}
	status := d.raw(try.method, address, form)
	if !slices.Contains(try.status, status) {
		m.errorf("%s %s answers %d", try.method, address, status)
	}
	if try.denied {
		m.may(p, "events")
		written := slices.DeleteFunc(slices.Clone(p.events), func(e audit.Event) bool {
			return slices.ContainsFunc(earlier, func(before audit.Event) bool { return before.ID == e.ID })
		})
		if len(written) != 1 || written[0].Action != audit.AccessDenied {
			m.errorf("%s %s is written down as %v", try.method, address, written)
		}
	} else {
		m.may(nil)
	}
	d.open("/manage")
	if got := d.Text("manage-name"); got != p.Name {
		m.errorf("afterwards at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	}
}

// raw sends a request with the browser's cookies and others, as no page of it would, and returns the status of the answer.
func (d *desk) raw(verb, path string, form url.Values, more ...*http.Cookie) int {
	m := d.m
	m.t.Helper()
	u, err := url.Parse(m.s.BrokerURL + path)
	must(m.t, err)
	r, err := http.NewRequestWithContext(m.t.Context(), verb, u.String(), strings.NewReader(form.Encode()))
	must(m.t, err)
	r.Header.Set("Origin", m.s.BrokerURL)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range append(d.Cookies(u), more...) {
		r.AddCookie(c)
	}
	resp, err := (&tap{d, m.s.Client.Transport, 0}).RoundTrip(r)
	must(m.t, err)
	must(m.t, resp.Body.Close())
	return resp.StatusCode
}

// withdraws ends the registration. The person is nobody then, in the other browser too.
func (d *desk) withdraws(p *party) {
	m := d.m
	m.t.Helper()
	ctx := m.t.Context()
	must(m.t, errors.Join(d.Open(ctx, m.s.BrokerURL+"/manage/withdraw/confirm"), d.Click(ctx, "withdraw-confirm")))
	if !d.Has("withdraw-done") || d.who != nil {
		m.errorf("at %s (%d): %s", d.URL().Path, d.Status(), d.Text("main"))
	}
	if _, err := m.s.App.DB.People().ByID(ctx, p.id); !fault.Is(err, fault.NotFound) {
		m.errorf("the person is still there: %v", err)
	}
	for _, other := range m.browsers {
		if other.who == p {
			other.who = nil
		}
	}
	p.id, p.before = "", map[string]string{}
	m.may(nil)
}

// leaves closes 사용자 관리, and tries to go on by what the browser still holds.
func (d *desk) leaves(task int, p *party) {
	m := d.m
	m.t.Helper()
	if d.who != nil {
		d.open("/manage")
		before := d.Cookies(d.URL())
		must(m.t, d.Click(m.t.Context(), "manage-close"))
		if status := d.raw(http.MethodGet, "/manage", nil, before...); status != http.StatusSeeOther {
			m.errorf("what the browser was known by still opens 사용자 관리: %d", status)
		}
	}
	if d.who != nil {
		m.errorf("still %s at %s (%d)", d.who.Name, d.URL().Path, d.Status())
	}
	at := looks[task%len(looks)].path
	d.open(at)
	if !d.Has("verify-simple") {
		m.errorf("%s leads to %s (%d): %s", at, d.URL().Path, d.Status(), d.Text("main"))
	}
	if p.id != "" {
		try := trespasses[task%len(trespasses)]
		if address := try.path(p, m.browsers[1-d.n]); strings.HasPrefix(address, "/manage") { // what was theirs a moment ago
			form := url.Values{}
			if try.form != nil {
				form = try.form(p)
			}
			if status := d.raw(try.method, address, form); status != http.StatusSeeOther {
				m.errorf("%s %s answers %d", try.method, address, status)
			}
		}
	}
	m.may(nil)
}
