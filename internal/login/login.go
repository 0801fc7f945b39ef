// Package login is the login journey: a state machine over one stored record. Steps never call each
// other; they meet in the Attempt, which lives in kv.
//
// Every transition is a compare-and-swap on the stored text. A step that has effects outside the
// record (a push to a phone, a proof that is handed out once, a registration) first claims the attempt
// by marking it busy, then acts, then settles the next state. So of any number of double clicks, tabs
// and replays one acts; the others wait for the outcome and are shown it. A caller that dies leaves the
// mark behind; after Lease the next one takes over. What the steps write to SQL is found again by its
// attempt, person or CI, so taking over writes nothing twice; only a login whose caller died between its
// record and its code is counted again when the next one ends it.
package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// Limits bound an attempt.
type Limits struct {
	Attempt        time.Duration // from the authorization request to the answer
	PushesPerPhone int64         // requests to one phone number in PushWindow
	PushWindow     time.Duration
}

// Service moves attempts on.
type Service struct {
	KV       kv.Store
	People   person.Store
	Matrix   *Matrix
	Grants   *grant.Service
	Sessions *session.Service
	Sites    *site.Directory
	Logout   *logout.Service
	Notices  *notice.Service
	Terms    string // consent.Versions of the broker's texts as they are now
	Audit    audit.Store
	Box      *secret.Box
	Index    *secret.Index // of CIs, credentials and phone numbers
	Subjects *secret.Index // of what sites know people by
	Issuer   string        // base URL under which agencies send browsers back
	Methods  map[method.Method]authn.Authenticator
	Levels   map[method.Method]method.Level
	Limits   Limits
	Now      func() time.Time
	Log      *slog.Logger
}

// Lease is how long a claimed attempt waits for its caller: longer than any call to a counterpart.
const Lease = 30 * time.Second

// A caller has workWithin to do its work and settleWithin to store the outcome, if need be twice: then
// its Lease is not over.
const (
	workWithin   = Lease - 2*settleWithin
	settleWithin = 5 * time.Second
)

// Faults that a page has its own words for.
var (
	ErrGone         = fault.New(fault.Expired, "login: the attempt is over or never was")
	ErrOtherBrowser = fault.New(fault.Denied, "login: the attempt belongs to another browser")
	ErrBusy         = fault.New(fault.Conflict, "login: another request is at work on the attempt")
	ErrMoved        = fault.New(fault.Conflict, "login: the attempt is in another state")
	ErrNumber       = fault.New(fault.Invalid, "login: the resident number is not that of the certificate's holder")
)

func key(id string) string { return "attempt:" + secret.Hash(id) }

// Start is what an attempt begins with.
type Start struct {
	Browser string // the browser's secret
	Goal    Goal
	Request grant.Request
	Asked   []string
	Address string // client address, for the audit
	// Session is the browser's SSO session that the site accepts, if there is one: only consent, or
	// the choice of account, is missing.
	Session       *session.Session
	SelectAccount bool
	Expect        string // person id: nobody else may be proved; empty: anybody
	Next          string // with ForSelf: name of the page to go on to
}

// Begin stores a new attempt.
func (s *Service) Begin(ctx context.Context, start Start) (*Attempt, error) {
	now := s.Now()
	a := &Attempt{
		ID: secret.NewID(), Browser: secret.Hash(start.Browser), State: Choosing, Goal: start.Goal, Expect: start.Expect, Next: start.Next,
		Request: start.Request, Asked: start.Asked, Address: start.Address,
		CreatedAt: now, ExpiresAt: now.Add(s.Limits.Attempt),
	}
	if start.Session != nil {
		a.Joined = start.Session.ID
		a.Authentication = &start.Session.Authentication
		switch {
		case start.SelectAccount:
			a.State = Selecting
		case start.Session.Terms != s.Terms:
			a.State = Renewing
		default:
			a.State = Consenting
		}
	}
	return a, kv.SetJSON(ctx, s.KV, key(a.ID), a, s.Limits.Attempt)
}

// Load returns the attempt if it belongs to the browser: ErrGone, ErrOtherBrowser.
func (s *Service) Load(ctx context.Context, id, browser string) (*Attempt, error) {
	a, _, err := s.load(ctx, id, browser)
	return a, err
}

func (s *Service) load(ctx context.Context, id, browser string) (*Attempt, string, error) {
	a, text, err := kv.GetJSON[Attempt](ctx, s.KV, key(id))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil, "", ErrGone
	case err != nil:
		return nil, "", err
	case !secret.Equal(a.Browser, secret.Hash(browser)):
		return nil, "", ErrOtherBrowser
	case !s.Now().Before(a.ExpiresAt):
		return nil, "", ErrGone
	}
	a.stored = text
	return &a, text, nil
}

// claimed is an attempt that this caller alone may move on, until Lease is over.
type claimed struct {
	*Attempt
	text string // as stored by the claim

	person *person.Person // who came, where they were read since the claim
}

// claim marks the attempt busy if it is in one of the states. prepare, if not nil, changes what is
// stored with the mark. When another caller is at work, claim waits for it a while, then returns the
// attempt as that caller left it, with ErrMoved, or ErrBusy if it did not finish.
func (s *Service) claim(ctx context.Context, id, browser string, prepare func(*Attempt), from ...State) (claimed, error) {
	a, err := s.Load(ctx, id, browser)
	if err != nil {
		return claimed{}, err
	}
	return s.claimLoaded(ctx, a, browser, prepare, from...)
}

// claimLoaded is claim for an attempt that was just loaded, and leaves that as it is. If it has moved on
// since, it is loaded again.
func (s *Service) claimLoaded(ctx context.Context, seen *Attempt, browser string, prepare func(*Attempt), from ...State) (claimed, error) {
	patience := time.Now().Add(patience)
	pause := pause
	own := *seen
	a, text := &own, seen.stored
	for ; ; text = "" {
		if text == "" {
			var err error
			if a, text, err = s.load(ctx, seen.ID, browser); err != nil {
				return claimed{}, err
			}
		}
		switch {
		case s.busy(a) && time.Now().After(patience):
			return claimed{Attempt: a}, ErrBusy
		case s.busy(a):
			select {
			case <-ctx.Done():
				return claimed{}, ctx.Err()
			case <-time.After(pause):
			}
			pause = min(2*pause, longestPause)
			continue
		case a.State == Verifying:
			// The caller that fetched the proof died with it.
			if err := s.abandon(ctx, a, text); err != nil {
				return claimed{}, err
			}
			continue
		case !slices.Contains(from, a.State):
			return claimed{Attempt: a}, ErrMoved
		}
		a.Again = a.Again || !a.BusySince.IsZero()
		a.BusySince = s.Now()
		if prepare != nil {
			prepare(a)
		}
		next, swapped, err := s.mark(ctx, a, text)
		if err != nil {
			return claimed{}, err
		}
		if swapped {
			return claimed{Attempt: a, text: next}, nil
		}
	}
}

// mark is swap for a caller who begins to work on the attempt. It waits for the answer though the citizen may have
// pressed again: of a mark that nobody knows of, the second click would wait for the end of the Lease.
func (s *Service) mark(ctx context.Context, a *Attempt, text string) (string, bool, error) {
	ctx, done := undisturbed(ctx)
	defer done()
	return s.swap(ctx, a, text)
}

// How long a second click waits for the first one's outcome, and how often it looks: rarer and rarer.
const (
	patience     = 15 * time.Second
	pause        = 25 * time.Millisecond
	longestPause = 250 * time.Millisecond
)

// busy reports whether a caller is at work on the attempt that may still finish.
func (s *Service) busy(a *Attempt) bool {
	return !a.BusySince.IsZero() && s.Now().Sub(a.BusySince) < Lease
}

// undisturbed is the context of the work on a claimed attempt. It goes on when the citizen presses the
// button again or closes the page: what is half done for the first click cannot be done for the second.
func undisturbed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), workWithin)
}

// abandon turns a fetch that nobody will finish into a failure that the citizen can start over from.
func (s *Service) abandon(ctx context.Context, a *Attempt, text string) error {
	ctx, done := undisturbed(ctx)
	defer done()
	a.BusySince = s.Now()
	next, swapped, err := s.swap(ctx, a, text)
	if err != nil || !swapped {
		return err
	}
	c := claimed{Attempt: a, text: next}
	err = s.fail(ctx, c, cmp.Or(a.Failure, authn.Indeterminate))
	if err != nil {
		s.release(ctx, c)
	}
	return err
}

// settle stores the claimed attempt in its next state. A store that is away for a moment is asked
// again: what a counterpart hands out once shall not be lost to a hiccup.
func (s *Service) settle(ctx context.Context, c claimed) error {
	c.BusySince = time.Time{}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleWithin)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		next, swapped, err := s.swap(ctx, c.Attempt, c.text)
		if err == nil && !swapped {
			// A store that did not answer before may have done what it was asked.
			var stored string
			if stored, err = s.KV.Get(ctx, key(c.ID)); err == nil && stored != next || errors.Is(err, kv.ErrNotFound) {
				return ErrMoved
			}
		}
		if err == nil || !fault.Is(err, fault.Unavailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// swap replaces the stored text by the attempt, and returns the new text.
func (s *Service) swap(ctx context.Context, a *Attempt, text string) (string, bool, error) {
	next, err := json.Marshal(a)
	if err != nil {
		return "", false, fmt.Errorf("login: encode attempt: %w", err)
	}
	ttl := a.ExpiresAt.Sub(s.Now())
	if ttl <= 0 {
		return "", false, ErrGone
	}
	swapped, err := s.KV.CompareAndSwap(ctx, key(a.ID), text, string(next), ttl)
	return string(next), swapped, err
}

// release gives a claim back without moving on.
func (s *Service) release(ctx context.Context, c claimed) {
	c.Again = true
	if err := s.settle(ctx, c); err != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "login: claim not given back; it lapses by itself", slog.Any("error", err))
	}
}

// undo gives a claim back after a step that failed, and returns what the step returns. An attempt that
// another caller has taken over is shown as that one left it.
func (s *Service) undo(ctx context.Context, c claimed, browser string, err error) (*Attempt, error) {
	if errors.Is(err, ErrMoved) {
		now, _, loadErr := s.load(ctx, c.ID, browser)
		return now, cmp.Or(loadErr, err)
	}
	s.release(ctx, c)
	return nil, err
}

// seal seals a value for the attempt.
func (s *Service) seal(a *Attempt, use string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("login: encode %s: %w", use, err)
	}
	return s.Box.Seal(text, "attempt:"+use+":"+a.ID), nil
}

// open opens what seal sealed.
func (s *Service) open(a *Attempt, use, sealed string, v any) error {
	text, err := s.Box.Open(sealed, "attempt:"+use+":"+a.ID)
	if err != nil {
		return fmt.Errorf("login: %s: %w", use, err)
	}
	return json.Unmarshal(text, v)
}

// event starts an audit event about the attempt.
func (s *Service) event(a *Attempt, action audit.Action) audit.Event {
	e := audit.New(s.Now(), action, audit.Citizen)
	e.Site, e.Attempt, e.Address = a.Request.Site, secret.Hash(a.ID), a.Address
	if a.Authentication != nil {
		e.Person = a.Authentication.Person
	}
	return e
}

// Offers lists the methods that the citizen may choose from: registered here, accepted by the site,
// strong enough. Without SSO the joint certificate is not offered (the Q-Net guide's FAQ).
func (s *Service) Offers(a *Attempt, sso bool) []method.Method {
	switch a.Goal {
	case ForSelf:
		return s.Verifying()
	case ForRegister:
		return slices.DeleteFunc(method.All(), func(m method.Method) bool { return s.Methods[m] == nil })
	}
	registered, err := s.Sites.Lookup(a.Request.Site)
	if err != nil {
		return nil
	}
	offers := func(asked func(method.Method, method.Level) bool) (list []method.Method) {
		for _, m := range method.All() {
			if s.Methods[m] != nil && registered.Accepts(m) && s.Levels[m] >= registered.Level && asked(m, s.Levels[m]) && (sso || m != method.JointCert) {
				list = append(list, m)
			}
		}
		return list
	}
	if list := offers(a.Request.Prefers); len(list) > 0 {
		return list
	}
	return offers(a.Request.Admits) // what is only preferred does not stand in the way
}

// Choose leads back to the choice of a method, from wherever no answer was given yet.
func (s *Service) Choose(ctx context.Context, id, browser string) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Choosing, Selecting, Proving, Proved, Failed, Conflicted, Registering)
	if err != nil {
		return c.Attempt, err
	}
	c.Unseen, c.Alert = "", false
	c.State, c.Proof, c.Evidence, c.Failure, c.Tries, c.Joined, c.Authentication = Choosing, nil, "", "", 0, "", nil
	if err := s.settle(ctx, c); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// Decline ends the attempt with an OAuth error for the site. It keeps nothing of the citizen.
func (s *Service) Decline(ctx context.Context, id, browser, oauthError string) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Choosing, Selecting, Proving, Proved, Failed, Conflicted, Registering, Renewing, Consenting)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	event := s.event(c.Attempt, audit.SiteDenied)
	event.Detail = map[string]string{"error": oauthError}
	err = s.Audit.Record(ctx, event)
	if err == nil {
		err = s.conclude(ctx, c, Outcome{Error: oauthError})
	}
	if err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// conclude settles the attempt as done, with nothing left in it but the outcome.
func (s *Service) conclude(ctx context.Context, c claimed, o Outcome) error {
	sealed, err := s.seal(c.Attempt, "outcome", o)
	if err != nil {
		return err
	}
	c.State, c.Outcome = Done, sealed
	c.Proof, c.Evidence, c.Authentication, c.Failure = nil, "", nil, ""
	c.Unseen, c.Alert = "", false
	return s.settle(ctx, c)
}

// Outcome returns how a finished attempt ended.
func (s *Service) Outcome(a *Attempt) (Outcome, error) {
	var o Outcome
	if a.State != Done {
		return o, ErrMoved
	}
	err := s.open(a, "outcome", a.Outcome, &o)
	return o, err
}
