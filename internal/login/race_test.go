package login

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// racers is how many callers want to move one attempt, spread over two instances.
const racers = 64

// race lets every racer call step, on one of the instances, at once. A racer that found another at work for
// too long comes again, as its page tells the citizen to. It returns how many moved the attempt on; the others must
// have been shown where it is.
func race(t *testing.T, instances []*broker, state State, step func(i int, b *broker) (*Attempt, error)) int {
	t.Helper()
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		moved int
		start = make(chan struct{})
	)
	for i := range racers {
		wg.Go(func() {
			<-start
			a, err := step(i, instances[i%len(instances)])
			for errors.Is(err, ErrBusy) {
				a, err = step(i, instances[i%len(instances)])
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil && !errors.Is(err, ErrMoved):
				t.Errorf("racer %d: %v", i, err)
			case a == nil:
				t.Errorf("racer %d is shown no attempt", i)
			case a.State != state:
				t.Errorf("racer %d is shown %s (%s), want %s", i, a.State, a.Failure, state)
			case err == nil:
				moved++
			}
		})
	}
	close(start)
	wg.Wait()
	return moved
}

// TestOneWinner lets racers on two instances take every step of one new citizen's journey: each step
// happens once, and everybody ends with the same outcome.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		b, phone := both[0], w.with[method.Simple]
		kim := someone("01000000001")
		phone.proves(kim)
		a := b.begin(t, asks(siteA))

		one := func(what string, n int64) {
			t.Helper()
			if n != 1 {
				t.Errorf("%s: %d times, want once", what, n)
			}
		}
		one("moved on to the wait", int64(race(t, both, Proving, func(_ int, b *broker) (*Attempt, error) {
			return b.Prove(t.Context(), a.ID, browserA, method.Simple, input(kim), true, "ko")
		})))
		one("sent to the phone", phone.begun.Load())

		phone.answer(authn.Approved)
		one("moved on to the registration", int64(race(t, both, Registering, func(_ int, b *broker) (*Attempt, error) {
			_, a, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
			return a, err
		})))
		one("fetched the proof", phone.fetched.Load())

		one("registered", int64(race(t, both, Consenting, func(_ int, b *broker) (*Attempt, error) {
			return b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
		})))
		b.count(t, audit.PersonRegistered, 1)

		codes := make(chan string, racers)
		one("consented", int64(race(t, both, Done, func(_ int, b *broker) (*Attempt, error) {
			a, err := b.Consent(t.Context(), a.ID, browserA, nil, ordinary)
			if a != nil && a.State == Done {
				o, openErr := b.Outcome(a)
				if openErr != nil {
					return a, openErr
				}
				codes <- o.Code
			}
			return a, err
		})))
		close(codes)
		b.count(t, audit.ConsentGiven, 1)
		b.count(t, audit.SiteLogin, 1)
		outcome := make(map[string]bool)
		for c := range codes {
			outcome[c] = true
		}
		one("code", int64(len(outcome)))
		for code := range outcome {
			content := b.code(t, Outcome{Code: code})
			c, err := b.Grants.Store.Connection(t.Context(), content.Authentication.Person, siteA)
			check(t, err)
			one("login at the site", c.Logins)
			links, err := b.People.Links(t.Context(), content.Authentication.Person)
			check(t, err)
			one("link", int64(len(links)))
		}
	})
}

// TestOneWinnerKnownCitizen races on the proof of a citizen who needs no page after it: one proof, one
// login, one session, one code.
func TestOneWinnerKnownCitizen(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		b, phone := both[0], w.with[method.Simple]
		kim := someone("01000000001")
		phone.proves(kim)
		b.login(t, asks(siteA), method.Simple, kim, ordinary)

		a := b.begin(t, asks(siteA))
		b.proving(t, a, method.Simple, kim)
		phone.answer(authn.Approved)
		before := phone.fetched.Load()
		if n := race(t, both, Done, func(_ int, b *broker) (*Attempt, error) {
			_, a, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
			return a, err
		}); n != 1 {
			t.Errorf("%d racers ended the attempt, want one", n)
		}
		if n := phone.fetched.Load() - before; n != 1 {
			t.Errorf("the proof was fetched %d times, want once", n)
		}
		b.count(t, audit.SiteLogin, 2)
		b.count(t, audit.PersonRegistered, 1)
	})
}

// TestOneWinnerDecline races 동의 against 동의 안 함: the attempt ends one way for all.
func TestOneWinnerDecline(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		b := both[0]
		kim := someone("01000000001")
		w.with[method.Simple].proves(kim)
		a := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
		a, err := b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
		check(t, err)
		want(t, a, Consenting)
		outcomes := make(chan Outcome, racers)
		if n := race(t, both, Done, func(i int, b *broker) (a2 *Attempt, err error) {
			if i%2 == 0 {
				a2, err = b.Consent(t.Context(), a.ID, browserA, nil, ordinary)
			} else {
				a2, err = b.Decline(t.Context(), a.ID, browserA, "access_denied")
			}
			if a2 != nil && a2.State == Done {
				if o, err := b.Outcome(a2); err == nil {
					outcomes <- o
				}
			}
			return a2, err
		}); n != 1 {
			t.Errorf("%d racers ended the attempt, want one", n)
		}
		close(outcomes)
		first, ok := <-outcomes
		if !ok {
			t.Fatal("nobody is shown an outcome")
		}
		for o := range outcomes {
			if o != first {
				t.Errorf("one racer ends with %+v, another with %+v", first, o)
			}
		}
		logins, denials := len(b.events(t, audit.SiteLogin)), len(b.events(t, audit.SiteDenied))
		if logins+denials != 1 || (logins == 1) != (first.Code != "") {
			t.Errorf("%d logins and %d denials are on record for %+v", logins, denials, first)
		}
	})
}

// TestTwoAttemptsOfOneNewCitizen registers the same new citizen from two browsers' attempts at once, by two
// methods: one person comes of it.
func TestTwoAttemptsOfOneNewCitizen(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		for _, second := range []method.Method{method.Simple, method.JointCert} {
			t.Run("simple and "+string(second), func(t *testing.T) {
				w := newWorld(t, open)
				both := []*broker{w.instance(), w.instance()}
				b := both[0]
				kim := someone("0100000" + map[method.Method]string{method.Simple: "0001", method.JointCert: "0002"}[second])
				w.with[method.Simple].proves(kim)
				w.with[second].proves(kim)
				attempts := []*Attempt{
					b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary),
					b.prove(t, b.begin(t, asks(siteA)), second, kim, ordinary),
				}
				for _, a := range attempts {
					want(t, a, Registering)
				}
				registered := len(b.events(t, audit.PersonRegistered))
				race(t, both, Consenting, func(i int, b *broker) (*Attempt, error) {
					return b.Register(t.Context(), attempts[i/2%2].ID, browserA, agreed, noNumber, ordinary)
				})
				b.count(t, audit.PersonRegistered, registered+1)
				first, then := b.stored(t, attempts[0].ID), b.stored(t, attempts[1].ID)
				if first.Authentication.Person != then.Authentication.Person {
					t.Error("two people came of one")
				}
				links, err := b.People.Links(t.Context(), first.Authentication.Person)
				check(t, err)
				if wanted := map[method.Method]int{method.Simple: 1, method.JointCert: 2}[second]; len(links) != wanted {
					t.Errorf("%d links, want %d", len(links), wanted)
				}
			})
		}
	})
}

// TestRedeemed races on the code at the end of a journey: one racer gets the content, and what came of it
// is dead, because the others were replays.
func TestRedeemed(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		kim := someone("01000000001")
		w.with[method.Simple].proves(kim)
		_, o := both[0].login(t, asks(siteA), method.Simple, kim, ordinary)
		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			start = make(chan struct{})
			got   []grant.Code
		)
		for i := range racers {
			wg.Go(func() {
				<-start
				c, err := both[i%2].Grants.RedeemCode(t.Context(), o.Code, func(grant.Code) error { return nil })
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					got = append(got, c)
				case !errors.Is(err, grant.ErrReplayed):
					t.Errorf("racer %d: %v", i, err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(got) != 1 {
			t.Fatalf("%d racers redeemed the code, want one", len(got))
		}
		granted := grant.Access{Grant: got[0].Grant, Site: siteA, Authentication: got[0].Authentication, GrantedAt: got[0].GrantedAt}
		token, _, err := both[0].Grants.IssueAccess(t.Context(), granted)
		check(t, err)
		if _, err := both[1].Grants.Access(t.Context(), token); !fault.Is(err, fault.NotFound) {
			t.Errorf("the access token of a replayed code is good: %v", err)
		}
		if _, err := both[1].Grants.IssueRefresh(t.Context(), granted); !fault.Is(err, fault.NotFound) {
			t.Errorf("a replayed code gives a refresh token: %v", err)
		}
		if n := len(both[0].events(t, audit.CodeReplayed)); n != racers-1 {
			t.Errorf("%d replays are on record, want %d", n, racers-1)
		}
	})
}
