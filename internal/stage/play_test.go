package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/testserver"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// People wait for pages, phones and each other more than they work.
	if own := flag.Lookup("test.parallel"); own.Value.String() == own.DefValue {
		if err := own.Value.Set("8"); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	chromium.Stop()
	for _, p := range plays {
		if err := p.end(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// play is a stage on one set of stores, shared by all tests, with a cast that is large enough to give
// every test people of its own.
type play struct {
	name   string
	stores func(*Config) (stop func(), err error)

	once    sync.Once
	stage   *Stage
	counter *counter
	heard   *ear
	config  Config
	log     *buffer
	failed  error
	end     func() error
	mu      sync.Mutex
	waiting map[role][]Person
}

// plays are the sets of stores that everything is played on. On one of them the broker is to keep of a withdrawal what a
// law might want.
var plays = []*play{
	{name: "sqlite", end: nothing, stores: func(*Config) (func(), error) { return func() {}, nil }},
	{name: "postgres+redis", end: nothing, stores: onServers},
}

func nothing() error { return nil }

func onServers(c *Config) (func(), error) {
	postgres, err := testserver.StartPostgres()
	if err != nil {
		return nil, err
	}
	redis, err := testserver.StartRedis()
	if err != nil {
		postgres.Stop()
		return nil, err
	}
	stop := func() {
		redis.Stop()
		postgres.Stop()
	}
	c.Retention = config.Retention{Consents: 5 * 365 * 24 * time.Hour, ConsentsBasis: "시연용 문구"}
	c.Redis = redis.Addrs[0]
	if c.Postgres, err = postgres.Create("anyid"); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// role is what a test needs a person for.
type role string

const (
	newcomer  role = "newcomer"  // nobody knows them
	member    role = "member"    // Q-Net knows them, Any-ID does not
	familiar  role = "familiar"  // Any-ID knows them from the start
	phoneless role = "phoneless" // has no phone
	holder    role = "holder"    // has certificates: see cast
)

// cast is everybody who can be in a test, by their role.
func cast() map[role][]Person {
	people := map[role][]Person{}
	add := func(of role, n int, more func(*Person, int)) {
		for i := range n {
			serial := 0
			for _, others := range people {
				serial += len(others)
			}
			p := Person{
				Name: "김" + string(rune('가'+28*(i%300))) + "람", NameEnglish: "KIM GARAM", Gender: []string{"female", "male"}[i%2],
				BirthDate: fmt.Sprintf("19%02d-%02d-%02d", 50+serial%50, 1+serial%12, 1+serial%28), Phone: fmt.Sprintf("0100000%04d", serial+1),
			}
			more(&p, i)
			people[of] = append(people[of], p)
		}
	}
	add(newcomer, 90, func(*Person, int) {})
	add(member, 20, func(p *Person, i int) { p.QNetID, p.QNetSecret = fmt.Sprintf("member%d", i), "korea123@" })
	add(familiar, 1, func(p *Person, _ int) { p.Registered = true })
	add(phoneless, 1, func(p *Person, _ int) { p.Phone = "" })
	add(holder, 14, func(p *Person, i int) {
		p.Password, p.PIN = fmt.Sprintf("은하수 %d&=+%%", i), fmt.Sprintf("9731%02d", i)
		p.Certificates = []Certificate{
			{Authority: "yessign", Policy: "1.2.410.200005.1.1.4"},
			{Authority: "yessign", Policy: "1.2.410.200005.1.1.1", State: Expired},
			{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.7.1", State: Revoked}, // which the broker learns
			{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.7.2"},                 // for securities only
		}
	})
	return people
}

// open begins the play, if it has not begun.
func (p *play) open(t *testing.T) *Stage {
	t.Helper()
	p.once.Do(func() { p.failed = p.begin() })
	if p.failed != nil {
		t.Fatal(p.failed)
	}
	return p.stage
}

func (p *play) begin() error {
	p.waiting = cast()
	p.log = new(buffer)
	c := Config{Log: slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, of := range []role{newcomer, member, familiar, phoneless, holder} {
		c.People = append(c.People, p.waiting[of]...)
	}
	stop, err := p.stores(&c)
	if err != nil {
		return err
	}
	p.counter = openCounter()
	c.Sites = append(c.Sites, p.counter.document())
	ctx, cancel := context.WithCancel(context.Background())
	if p.stage, err = Open(ctx, c); err != nil {
		cancel()
		p.counter.Close()
		stop()
		return err
	}
	p.heard = listen(p.stage.Client)
	p.config = c
	p.config.Data = p.stage.data
	served := make(chan error, 1)
	go func() { served <- p.stage.Serve(ctx) }()
	p.end = func() error {
		cancel()
		err := errors.Join(<-served, p.stage.Close())
		p.counter.Close()
		stop()
		return err
	}
	return nil
}

// person takes somebody of the role out of the cast.
func (p *play) person(t *testing.T, of role) Person {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting[of]) == 0 {
		t.Fatalf("the cast has nobody left for the role %q", of)
	}
	someone := p.waiting[of][0]
	p.waiting[of] = p.waiting[of][1:]
	return someone
}

// onEach plays a scene on every set of stores.
func onEach(t *testing.T, scene func(t *testing.T, p *play)) {
	t.Helper()
	t.Parallel()
	for _, p := range plays {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.open(t)
			p.tellIfFailed(t)
			scene(t, p)
		})
	}
}

// onOne plays a scene that is about the browser and not about what is stored, on the default stores.
func onOne(t *testing.T, scene func(t *testing.T, p *play)) {
	t.Helper()
	t.Parallel()
	plays[0].open(t)
	plays[0].tellIfFailed(t)
	scene(t, plays[0])
}

// tellIfFailed has a scene that failed end with what the parts complained of meanwhile, those of others included.
func (p *play) tellIfFailed(t *testing.T) {
	t.Helper()
	before := len(p.log.String())
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for line := range strings.Lines(p.log.String()[before:]) {
			if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
}

// actor is a person in front of a real browser.
type actor struct {
	*chromium.Tab
	Person
	t       *testing.T
	p       *play
	s       *Stage
	browser *chromium.Browser
}

// hosts are where the pages of the play may ask for anything.
func (s *Stage) hosts(t *testing.T) []string {
	t.Helper()
	var hosts []string
	for _, address := range []string{s.BrokerURL, s.QNetURL, s.PetitionURL, s.PhoneURL, s.CAURL, s.FinCertURL, s.WalletURL, s.AgencyURL, s.InboxURL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, u.Host)
	}
	return hosts
}

// actor puts somebody of the role in front of a new browser.
func (p *play) actor(t *testing.T, of role, o chromium.Options) *actor {
	t.Helper()
	a := &actor{Person: p.person(t, of), t: t, p: p, s: p.stage}
	a.sits(o)
	return a
}

// sits puts the person in front of a new browser.
func (a *actor) sits(o chromium.Options) {
	a.t.Helper()
	o.Hosts = append(o.Hosts, a.s.hosts(a.t)...)
	o.Hosts = append(o.Hosts, hostOf(a.p.counter.URL))
	a.browser = chromium.New(a.t, o)
	a.Tab = a.browser.Tab()
}

// elsewhere is the same person in front of another browser.
func (a *actor) elsewhere() *actor {
	a.t.Helper()
	other := &actor{Person: a.Person, t: a.t, p: a.p, s: a.s}
	other.sits(chromium.Options{})
	return other
}

// goToQNet goes from Q-Net's login page to the broker.
func (a *actor) goToQNet() {
	a.t.Helper()
	a.Open(a.s.QNetURL + "/login")
	a.Follow("anyid-login")
}

// goToPortal goes from the petition portal to the broker, or through it.
func (a *actor) goToPortal() {
	a.t.Helper()
	a.Open(a.s.PetitionURL)
	a.Follow("anyid-login")
}

// fillIn fills in the form of simple authentication.
func (a *actor) fillIn(provider string) {
	a.t.Helper()
	a.Follow("method-simple")
	a.Click("provider-" + provider)
	a.Fill("name", a.Name)
	a.Fill("birthdate", a.BirthDate)
	a.Fill("phone", a.Phone)
}

// request goes from the choice of a method to the wait for the phone.
func (a *actor) request(provider string) {
	a.t.Helper()
	a.fillIn(provider)
	a.Follow("request-auth")
	a.Wait("auth-complete")
}

// answer presses 승인 (approve) or 거절 (deny) on the phone, in a tab of its own.
func (a *actor) answer(decision string) {
	a.t.Helper()
	phone := a.browser.Tab()
	defer phone.Close() // it would load itself again for ever
	phone.Open(a.s.PhoneURL + "/?phone=" + a.Phone)
	waiting := a.s.Phones.Waiting(a.Phone)
	if len(waiting) != 1 {
		a.t.Fatalf("%d requests wait on the phone", len(waiting))
	}
	button := decision + "-" + waiting[0].ReceiptID
	// The page loads itself again every other second, under the finger too.
	for deadline := time.Now().Add(time.Minute); len(a.s.Phones.Waiting(a.Phone)) != 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("%s on the phone had no effect", decision)
		}
		phone.Try(button)
	}
}

// agree agrees to everything at the registration.
func (a *actor) agree() {
	a.t.Helper()
	for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
		a.Click(id)
	}
	a.Follow("register")
}

// signUp becomes a member of Q-Net.
func (a *actor) signUp() {
	a.t.Helper()
	a.Wait("signup-form")
	a.Upload("photo", portrait(a.t))
	a.Fill("user-id", "u"+a.Phone)
	if a.Value(`document.querySelector("[name=nationality]:checked") === null`) == "true" {
		a.Click("nationality-domestic")
	}
	if a.Value(`document.querySelector("[name=gender]:checked") === null`) == "true" {
		a.Click("gender-" + a.Gender)
	}
	a.Fill("name-en", a.NameEnglish)
	a.Fill("password", "korea123@")
	a.Fill("password-confirm", "korea123@")
	a.Follow("signup-submit")
}

// portrait is the path of a photo as Q-Net wants it: JPEG, at least 300 by 400, at most 200 KB.
func portrait(t *testing.T) string {
	t.Helper()
	picture := image.NewRGBA(image.Rect(0, 0, 300, 400))
	for y := range 400 {
		for x := range 300 {
			shade := color.RGBA{199, 221, 245, 255}
			if head, body := (x-150)*(x-150)+(y-150)*(y-150), (x-150)*(x-150)/2+(y-420)*(y-420); head < 70*70 || body < 150*150 {
				shade = color.RGBA{70, 84, 110, 255}
			}
			picture.SetRGBA(x, y, shade)
		}
	}
	path := filepath.Join(t.TempDir(), "portrait.jpg")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(jpeg.Encode(file, picture, nil), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// at fails the test unless the page's address begins like this.
func (a *actor) at(prefix string) {
	a.t.Helper()
	if got := a.URL(); !strings.HasPrefix(got, prefix) {
		a.t.Fatalf("at %s, want %s", got, prefix)
	}
}

// signedIn fails the test unless the page says who is signed in, and for how long.
func (a *actor) signedIn(site string) {
	a.t.Helper()
	a.at(site)
	if got := a.Text("signed-in-name"); got != a.Name {
		a.t.Fatalf("signed in as %q, want %q", got, a.Name)
	}
	if got := a.Text("session-remaining"); got == "" {
		a.t.Fatal("the page does not say how long the login lasts")
	}
}

// asked fails the test unless the broker asks for a method.
func (a *actor) asked() {
	a.t.Helper()
	a.Wait("method-simple")
	a.at(a.s.BrokerURL + "/login/")
}

// kept reports what the broker knows of a person: whether they are registered, and connected with a site.
func (s *Stage) kept(t *testing.T, p Person, site string) (id string, connected bool) {
	t.Helper()
	held, err := s.App.DB.People().ByCI(t.Context(), s.App.Login.Index.Of("ci", p.ci()))
	switch {
	case fault.Is(err, fault.NotFound):
		return "", false
	case err != nil:
		t.Fatal(err)
	}
	_, err = s.App.DB.Grants().Connection(t.Context(), held.ID, site)
	if err != nil && !fault.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	return held.ID, err == nil
}
