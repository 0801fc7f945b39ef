package logout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// clock is a time that moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Now().Truncate(time.Second).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), code)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	subjects  = must(secret.NewIndex(bytes.Repeat([]byte{2}, secret.KeySize)))
	policy    = session.Policy{Idle: time.Hour, Absolute: 8 * time.Hour}
	lifetimes = grant.Lifetimes{Code: time.Minute, Access: 10 * time.Minute, RefreshIdle: 24 * time.Hour, RefreshAbsolute: 48 * time.Hour}
	agreed    = session.AtSite{Consent: "1", Items: []string{"name"}}
)

const issuer = "https://anyid.example"

// listener is the sites: it takes what is delivered, or refuses it from those that are down.
type listener struct {
	open func(outbox.Item) (logout.Told, error)
	mu   sync.Mutex
	told []logout.Told
	down map[string]bool
}

func (l *listener) Deliver(_ context.Context, i outbox.Item) error {
	told, err := l.open(i)
	if err != nil {
		return outbox.Permanent("unreadable", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down[told.Site] {
		return outbox.Temporary("refused", errors.New("down"))
	}
	l.told = append(l.told, told)
	return nil
}

// heard returns what the sites were told so far, by site and sid.
func (l *listener) heard() []logout.Told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(slices.Values(l.told), func(a, b logout.Told) int {
		return bytes.Compare([]byte(a.Site+" "+a.SID), []byte(b.Site+" "+b.SID))
	})
}

// rig is one instance of the service on real stores.
type rig struct {
	t *testing.T
	*logout.Service
	stack storagetest.Stack
	sites *listener
}

// sites is how many sites there are that want to be called: site-0, site-1 and so on.
const sites = 66

// newRig opens an instance. The first registers the sites and the people kim and lee.
func newRig(t *testing.T, stack storagetest.Stack, now func() time.Time, first bool) *rig {
	t.Helper()
	ctx := t.Context()
	if first {
		put := func(s site.Site) {
			t.Helper()
			s = s.WithDefaults()
			check(t, s.Validate())
			check(t, stack.DB.Sites().PutSite(ctx, s, now(), audit.New(now(), audit.SiteApplied, audit.System)))
		}
		for i := range sites {
			id := fmt.Sprintf("site-%d", i)
			put(site.Site{
				ID: id, Name: id, RedirectURIs: []string{"https://" + id + ".example/cb"}, BackchannelLogoutURI: "https://" + id + ".example/out",
			})
		}
		put(site.Site{ID: "quiet", Name: "quiet", RedirectURIs: []string{"https://quiet.example/cb"}})
		put(site.Site{
			ID: "framed", Name: "framed", RedirectURIs: []string{"https://framed.example/cb"}, FrontchannelLogoutURI: "https://framed.example/out?a=%20b",
			FrontchannelLogoutSessionRequired: true,
		})
		put(site.Site{ID: "framed-plain", Name: "framed", RedirectURIs: []string{"https://plain.example/cb"}, FrontchannelLogoutURI: "https://plain.example/out"})
		for _, id := range []string{"kim", "lee"} {
			check(t, stack.DB.People().Register(ctx, person.Registration{
				Person: person.Person{ID: id, First: method.Simple, RegisteredAt: now(), UpdatedAt: now()},
				Link:   person.Link{Person: id, Method: method.Simple, Subject: id, Provider: "kakao", Rule: method.Own, Binding: "signed", LinkedAt: now()},
			}))
		}
	}
	heard := &listener{down: make(map[string]bool)}
	log := slog.New(slog.DiscardHandler)
	r := &rig{t: t, stack: stack, sites: heard, Service: &logout.Service{
		Issuer: issuer, Store: stack.DB.Sessions(), Sessions: &session.Service{KV: stack.KV, Policy: policy, Now: now},
		Grants:   &grant.Service{KV: stack.KV, Store: stack.DB.Grants(), Lifetimes: lifetimes, Now: now},
		Sites:    must(site.NewDirectory(ctx, stack.DB.Sites())),
		Subjects: subjects, Box: must(secret.NewBox(secret.Key{ID: "test", Bytes: bytes.Repeat([]byte{1}, secret.KeySize)})),
		Runner: &outbox.Runner{Store: stack.DB.Outbox(), Handlers: map[outbox.Kind]outbox.Handler{outbox.Logout: heard}, Now: now, Log: log},
		Now:    now, Log: log,
	}}
	heard.open = r.Open
	return r
}

// run lets the instance deliver until the test ends.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Runner.Run(ctx) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

// embedded is one instance on SQLite, which delivers.
func embedded(t *testing.T) (*rig, *clock) {
	t.Helper()
	c := newClock()
	r := newRig(t, storagetest.Embedded(t, t.TempDir(), c.Now), c.Now, true)
	r.run()
	return r, c
}

// prove is a login with a proof: a session, which goes on with that of the previous handle, used at the site.
func (r *rig) prove(person, previous, at string) (session.Known, error) {
	ctx := r.t.Context()
	who := session.Authentication{Person: person, Method: method.Simple, Provider: "kakao", Level: 2, At: r.Now()}
	p, err := r.Sessions.Prepare(ctx, who, previous, at, agreed, "")
	if err != nil {
		return session.Known{}, err
	}
	if err := r.Grants.RecordLogin(ctx, grant.Login{Event: r.login(at), Session: &p.Entry}, who); err != nil {
		return session.Known{}, err
	}
	return session.Known{Handle: p.Handle, Session: p.Session}, r.Sessions.Put(ctx, p)
}

func (r *rig) login(at string) audit.Event {
	event := audit.New(r.Now(), audit.SiteLogin, audit.Citizen)
	event.Site = at
	return event
}

// join is a silent login by the session at the site, as far as a code.
func (r *rig) join(handle, at string) (code string, err error) {
	ctx := r.t.Context()
	found, err := r.Sessions.Find(ctx, handle)
	if err != nil {
		return "", err
	}
	if err := r.Grants.RecordLogin(ctx, grant.Login{Event: r.login(at), Joins: found.Joins(at)}, found.Authentication); err != nil {
		return "", err
	}
	if !r.Sessions.Noted(found, at, agreed, "") {
		if found, err = r.Sessions.Join(ctx, session.Known{Handle: handle, Session: found}, at, agreed, ""); err != nil {
			return "", err
		}
	}
	return r.Grants.IssueCode(ctx, grant.Code{Request: grant.Request{Site: at}}, found)
}

// signedIn is a session of the person that is used at the sites.
func (r *rig) signedIn(person string, at ...string) session.Known {
	r.t.Helper()
	known, err := r.prove(person, "", at[0])
	check(r.t, err)
	for _, id := range at[1:] {
		_, err := r.join(known.Handle, id)
		check(r.t, err)
	}
	known.Session, err = r.Sessions.Find(r.t.Context(), known.Handle)
	check(r.t, err)
	return known
}

// token is an access token of the session at the site.
func (r *rig) token(known session.Known, at string) string {
	r.t.Helper()
	code, err := r.join(known.Handle, at)
	check(r.t, err)
	c, err := r.Grants.RedeemCode(r.t.Context(), code, func(grant.Code) error { return nil })
	check(r.t, err)
	token, _, err := r.Grants.IssueAccess(r.t.Context(), grant.Access{
		Grant: c.Grant, Site: at, Authentication: c.Authentication, Session: c.Session, GrantedAt: c.GrantedAt,
	})
	check(r.t, err)
	return token
}

// alive reports whether the code can be redeemed.
func (r *rig) alive(code string) bool {
	_, err := r.Grants.RedeemCode(context.WithoutCancel(r.t.Context()), code, func(grant.Code) error { return nil })
	if err != nil && !fault.Is(err, fault.NotFound) {
		r.t.Error(err)
	}
	return err == nil
}

// told is what a site is told of the end of the session.
func told(person string, id, at string) logout.Told {
	s := site.Site{ID: at, RedirectURIs: []string{"https://" + at + ".example/cb"}}.WithDefaults()
	return logout.Told{Site: at, SID: session.SID(id, at), Subject: s.Subject(subjects, person)}
}

// ends are the ends on record, oldest first.
func (r *rig) ends() []audit.Event {
	r.t.Helper()
	events, err := r.stack.DB.Audit().Unsealed(r.t.Context(), 1_000_000)
	check(r.t, err)
	return slices.DeleteFunc(events, func(e audit.Event) bool { return e.Action != audit.SessionEnded })
}

// await waits until the sites of the batch were told, or could not be.
func (r *rig) await(batch string) []logout.Delivery {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	list, err := r.Await(ctx, batch)
	check(r.t, err)
	return list
}
