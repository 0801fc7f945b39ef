package login

import (
	"context"
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// agency is an adapter with a window of its own; what it sends back says who was there.
type agency struct {
	method   method.Method
	now      func() time.Time
	people   map[string]citizen // by what the window sends back
	finished atomic.Int64
}

var _ authn.Window = (*agency)(nil)

func (g *agency) Method() method.Method       { return g.method }
func (g *agency) Providers() []authn.Provider { return []authn.Provider{{ID: "nice"}} }

func (g *agency) Begin(_ context.Context, a authn.Attempt, _ authn.Input) (authn.Started, error) {
	return authn.Started{
		Private: []byte(a.ReturnURL), ExpiresAt: g.now().Add(time.Minute), Window: &authn.Destination{URL: "https://agency.example/?back=" + a.ReturnURL},
	}, nil
}

func (g *agency) Finish(_ context.Context, a authn.Attempt, values url.Values) (authn.Evidence, error) {
	g.finished.Add(1)
	who, ok := g.people[values.Get("who")]
	if !ok || len(a.Private) == 0 {
		return authn.Evidence{}, &authn.Error{Code: authn.UserCancelled}
	}
	return authn.Evidence{
		Method: g.method, Provider: "nice", Subject: who.ci, CI: who.ci, Attributes: authn.Attributes{Name: who.name, BirthDate: who.birthDate},
		Level: 2, At: g.now(), Binding: authn.Transport,
	}, nil
}

// verifying gives the broker an agency for phones, with these people.
func verifying(b *broker, people map[string]citizen) *agency {
	g := &agency{method: method.Phone, now: b.clock.Now, people: people}
	b.Methods[method.Phone], b.Issuer = g, "https://id.example"
	return g
}

// toWindow begins an attempt for oneself and goes to the agency, and returns the reference to come back with.
func toWindow(t *testing.T, b *broker) (*Attempt, string) {
	t.Helper()
	a, err := b.Begin(t.Context(), Start{Browser: browserA, Goal: ForSelf})
	check(t, err)
	a, err = b.Prove(t.Context(), a.ID, browserA, method.Phone, authn.Input{Provider: "nice"}, true, "ko")
	check(t, err)
	want(t, a, Proving)
	const prefix = "https://agency.example/?back=https://id.example/window/"
	if a.Proof.Window == nil || len(a.Proof.Window.URL) <= len(prefix) || a.Proof.Window.URL[:len(prefix)] != prefix {
		t.Fatalf("the browser is sent to %+v", a.Proof.Window)
	}
	return a, a.Proof.Window.URL[len(prefix):]
}

// TestVerified: who is registered is recognised by the CI, whatever way it was proved; nothing is linked, and
// nobody else is told whether they are known.
func TestVerified(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	kim, lee := someone("01000000001"), someone("01000000002")
	verifying(b, map[string]citizen{"kim": kim, "lee": lee})
	b.with[method.Simple].proves(kim)
	id := b.code(t, second(b.through(t, b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary), ordinary))).Authentication.Person

	a, reference := toWindow(t, b)
	if b.Peek(t.Context(), a) {
		t.Error("something is new before the browser is back")
	}
	a, err := b.Finish(t.Context(), reference, browserA, url.Values{"who": {"kim"}}, ordinary)
	check(t, err)
	want(t, a, Done)
	o, err := b.Outcome(a)
	check(t, err)
	v, err := b.FindSelf(t.Context(), o.Self)
	check(t, err)
	if v.Person != id || v.Method != method.Phone || o.Code != "" || o.Session != "" {
		t.Errorf("verified %+v, outcome %+v", v, o)
	}
	b.count(t, audit.IdentityVerified, 1)

	b.clock.Advance(selfIdle - time.Second)
	if _, err := b.FindSelf(t.Context(), o.Self); err != nil {
		t.Errorf("within its time: %v", err)
	}
	check(t, b.EndSelf(t.Context(), o.Self))
	check(t, b.EndSelf(t.Context(), o.Self))
	for _, gone := range []string{o.Self, "", "unknown"} {
		if _, err := b.FindSelf(t.Context(), gone); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", gone, err)
		}
	}

	_, reference = toWindow(t, b)
	a, err = b.Finish(t.Context(), reference, browserA, url.Values{"who": {"lee"}}, ordinary)
	check(t, err)
	if a.State != Failed || a.Failure != NotRegistered {
		t.Errorf("a stranger: %s %s", a.State, a.Failure)
	}
	b.count(t, audit.PersonRegistered, 1)

	// A method that logs in verifies as well.
	a, err = b.Begin(t.Context(), Start{Browser: browserA, Goal: ForSelf})
	check(t, err)
	a = b.prove(t, a, method.Simple, kim, ordinary)
	want(t, a, Done)
}

// second drops the first of two results.
func second[A, B any](_ A, b B) B { return b }

// TestWindow: who comes back with what.
func TestWindow(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	g := verifying(b, map[string]citizen{})
	_, reference := toWindow(t, b)
	if _, err := b.Finish(t.Context(), reference, browserB, nil, ordinary); !errors.Is(err, ErrOtherBrowser) {
		t.Errorf("another browser: %v", err)
	}
	if _, err := b.Finish(t.Context(), "unknown", browserA, nil, ordinary); !errors.Is(err, ErrGone) {
		t.Errorf("an unknown reference: %v", err)
	}
	if err := b.Bring(t.Context(), "unknown", url.Values{}); !errors.Is(err, ErrGone) {
		t.Errorf("brought to an unknown reference: %v", err)
	}
	a, later := toWindow(t, b)
	_, err := b.Choose(t.Context(), a.ID, browserA)
	check(t, err)
	a, err = b.Load(t.Context(), a.ID, browserA)
	check(t, err)
	_, err = b.Prove(t.Context(), a.ID, browserA, method.Phone, authn.Input{Provider: "nice"}, true, "ko")
	check(t, err)
	if _, err := b.Finish(t.Context(), later, browserA, nil, ordinary); !errors.Is(err, ErrMoved) {
		t.Errorf("from a window that another took the place of: %v", err)
	}
	if g.finished.Load() != 0 {
		t.Error("a result was fetched")
	}

	a, err = b.Finish(t.Context(), reference, browserA, nil, ordinary)
	check(t, err)
	if a.Failure != authn.UserCancelled {
		t.Errorf("closed: %s %s", a.State, a.Failure)
	}
	if _, err := b.Finish(t.Context(), reference, browserA, nil, ordinary); !errors.Is(err, ErrMoved) {
		t.Errorf("twice: %v", err)
	}

	a, reference = toWindow(t, b)
	b.clock.Advance(time.Minute)
	if !b.Peek(t.Context(), a) {
		t.Error("the end of the window's time is no news")
	}
	a, err = b.Finish(t.Context(), reference, browserA, nil, ordinary)
	check(t, err)
	if a.Failure != authn.TooLate {
		t.Errorf("too late: %s %s", a.State, a.Failure)
	}
}

// TestOneWinnerWindow: of 64 returns one fetches the result, on every stack; what a POST brought is there.
func TestOneWinnerWindow(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		g := verifying(both[0], map[string]citizen{"kim": someone("01000000001")})
		both[1].Methods[method.Phone] = g
		_, reference := toWindow(t, both[0])
		check(t, both[0].Bring(t.Context(), reference, url.Values{"who": {"kim"}}))
		check(t, both[0].Bring(t.Context(), reference, url.Values{"who": {"lee"}})) // the first stays
		if n := race(t, both, Failed, func(_ int, b *broker) (*Attempt, error) {
			return b.Finish(t.Context(), reference, browserA, nil, ordinary)
		}); n != 1 || g.finished.Load() != 1 {
			t.Errorf("%d winners, %d fetched", n, g.finished.Load())
		}
	})
}
