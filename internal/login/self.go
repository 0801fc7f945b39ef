package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// own is the broker as the destination of a proof: what a phone's message names where it would name the
// relying site.
var own = map[Goal]*site.Registered{
	ForSelf:     {Site: site.Site{ID: "anyid", Name: "정부 통합인증(Any-ID) 사용자 관리", NameEnglish: "Any-ID account management"}},
	ForRegister: {Site: site.Site{ID: "anyid", Name: "정부 통합인증(Any-ID) 사용자 등록", NameEnglish: "Any-ID registration"}},
}

// IsSelf reports whether a proof leads to the broker itself.
func IsSelf(to *site.Registered) bool { return to == own[ForSelf] || to == own[ForRegister] }

// Site is where the attempt's proof leads: a relying site, or the broker itself.
func (s *Service) Site(a *Attempt) (*site.Registered, error) {
	if to := own[a.Goal]; to != nil {
		return to, nil
	}
	return s.Sites.Lookup(a.Request.Site)
}

// Verifying lists the ways of identity verification that are configured.
func (s *Service) Verifying() (list []method.Method) {
	for _, m := range method.Verifying() {
		if s.Methods[m] != nil {
			list = append(list, m)
		}
	}
	return list
}

// Self is what a citizen has verified, to manage their registration. It lives in kv under the hash of a
// handle that only the browser knows.
type Self struct {
	Person    string        `json:"person"` // person id
	Method    method.Method `json:"method"`
	Provider  string        `json:"provider"`
	At        time.Time     `json:"at"`
	ExpiresAt time.Time     `json:"-"` // unless it is used before
}

// A verification serves for selfIdle without use, and for selfAbsolute at most, so that it can be extended more
// than ten times (KRDS, session expiry). What cannot be undone wants one that is not older than selfFresh.
const (
	selfIdle     = 10 * time.Minute
	selfAbsolute = 2 * time.Hour
	selfFresh    = 5 * time.Minute
)

// Fresh reports whether the verification is recent enough for what cannot be undone.
func (s *Service) Fresh(v Self) bool { return s.Now().Sub(v.At) <= selfFresh }

// SelfCookie is the browser's cookie (web.Cookies) with the handle.
const SelfCookie = "self"

func selfKey(handle string) string { return "self:" + secret.Hash(handle) }

// errUnverified says that a browser has verified nothing, or too long ago.
var errUnverified = fault.New(fault.NotFound, "login: nothing is verified")

// verified ends an attempt whose goal is oneself. Whose CI was proved is known by it, whether the method is
// linked or not; nothing is linked here. What the proof says about the person replaces what was known.
func (s *Service) verified(ctx context.Context, c claimed, e authn.Evidence, who found, err error, v Visit) error {
	switch {
	case errors.Is(err, errConflict):
		return s.conflict(ctx, c, e)
	case fault.Is(err, fault.NotFound) && c.Expect != "":
		return s.refuse(ctx, c, OtherPerson, c.Expect, e, v)
	case fault.Is(err, fault.NotFound):
		return s.fail(ctx, c, NotRegistered)
	case err != nil:
		return err
	}
	if err := s.refresh(ctx, who.person, e); err != nil {
		return err
	}
	return s.prove(ctx, c, authentication(who.person.ID, e), v)
}

// prove remembers for the browser who was proved, and ends the attempt.
func (s *Service) prove(ctx context.Context, c claimed, who *session.Authentication, v Visit) error {
	c.Authentication = who
	event := s.event(c.Attempt, audit.IdentityVerified)
	event.Browser = v.Browser
	event.Detail = map[string]string{"method": string(who.Method), "provider": who.Provider}
	if err := s.Audit.Record(ctx, event); err != nil {
		return err
	}
	handle := secret.NewHandle()
	if err := kv.SetJSON(ctx, s.KV, selfKey(handle), Self{Person: who.Person, Method: who.Method, Provider: who.Provider, At: s.Now()}, selfIdle); err != nil {
		return err
	}
	return s.conclude(ctx, c, Outcome{Self: handle})
}

// FindSelf returns what the handle's browser has verified, and lets it live on: fault.NotFound when it has
// ended.
func (s *Service) FindSelf(ctx context.Context, handle string) (Self, error) {
	if handle == "" {
		return Self{}, errUnverified
	}
	v, text, err := kv.GetJSON[Self](ctx, s.KV, selfKey(handle))
	left := v.At.Add(selfAbsolute).Sub(s.Now())
	switch {
	case errors.Is(err, kv.ErrNotFound), err == nil && left <= 0:
		return Self{}, errUnverified
	case err != nil:
		return Self{}, err
	}
	p, err := s.People.ByID(ctx, v.Person)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && p.Blocked(v.Method, v.Provider): // withdrawn, or disputed, elsewhere
		return Self{}, errUnverified
	case err != nil:
		return Self{}, err
	}
	left = min(selfIdle, left)
	v.ExpiresAt = s.Now().Add(left)
	_, err = s.KV.CompareAndSwap(ctx, selfKey(handle), text, text, left)
	return v, err
}

// EndSelf forgets what the handle's browser has verified.
func (s *Service) EndSelf(ctx context.Context, handle string) error {
	_, err := s.KV.Take(ctx, selfKey(handle))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return err
}

// window is the adapter of an attempt whose proof is made in an agency's window; nil: it is another one's.
func (s *Service) window(a *Attempt) authn.Window {
	if a.Proof == nil {
		return nil
	}
	window, _ := s.Methods[a.Proof.Method].(authn.Window)
	return window
}

func referenceKey(reference string) string { return "window:" + secret.Hash(reference) }

// returned is what lies under a reference: the attempt that it leads to, and what a browser has brought.
type returned struct {
	Attempt string     `json:"attempt"`
	Values  url.Values `json:"values,omitempty"`
}

// reference makes the address to which an agency's window sends the browser back. Only the browser that began
// gets anywhere by it.
func (s *Service) reference(ctx context.Context, c claimed, adapter authn.Authenticator) (string, error) {
	if _, ok := adapter.(authn.Window); !ok {
		return "", nil
	}
	reference := secret.NewHandle()
	c.Proof.Reference = secret.Hash(reference)
	err := kv.SetJSON(ctx, s.KV, referenceKey(reference), returned{Attempt: c.ID}, c.ExpiresAt.Sub(s.Now()))
	return s.Issuer + "/window/" + reference, err
}

// Bring keeps what a browser brings from an agency by POST, until it comes again by GET, with the cookies that a
// POST from elsewhere lacks. What came first stays.
func (s *Service) Bring(ctx context.Context, reference string, values url.Values) error {
	r, text, err := kv.GetJSON[returned](ctx, s.KV, referenceKey(reference))
	if errors.Is(err, kv.ErrNotFound) {
		return ErrGone
	}
	if err != nil || r.Values != nil {
		return err
	}
	r.Values = values
	next, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("login: encode what came back: %w", err)
	}
	_, err = s.KV.CompareAndSwap(ctx, referenceKey(reference), text, string(next), s.Limits.Attempt)
	return err
}

// Finish takes what the browser has brought back from an agency's window, and goes on as Complete does.
func (s *Service) Finish(ctx context.Context, reference, browser string, values url.Values, v Visit) (*Attempt, error) {
	r, _, err := kv.GetJSON[returned](ctx, s.KV, referenceKey(reference))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	all := url.Values{}
	maps.Copy(all, r.Values)
	maps.Copy(all, values)
	a, err := s.Load(ctx, r.Attempt, browser)
	if err != nil {
		return nil, err
	}
	asked := secret.Hash(reference)
	if a.State == Proving && !secret.Equal(a.Proof.Reference, asked) {
		return a, ErrMoved // another request took its place
	}
	c, err := s.claimLoaded(ctx, a, browser, func(a *Attempt) {
		if a.Proof.Reference == asked {
			a.State = Verifying
		}
	}, Proving)
	if err != nil {
		return c.Attempt, err
	}
	if err := s.finished(ctx, c, all, v); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// finished goes on from what an agency's window has sent, or returns an error and leaves the attempt claimed.
func (s *Service) finished(ctx context.Context, c claimed, values url.Values, v Visit) error {
	ctx, done := undisturbed(ctx)
	defer done()
	if c.State != Verifying { // another request is under way by now
		return s.settle(ctx, c)
	}
	if !s.Now().Before(c.Proof.ExpiresAt) {
		return s.fail(ctx, c, authn.TooLate)
	}
	attempt, err := s.forAdapter(c.Attempt)
	if err != nil {
		c.State = Proving // nobody was asked
		return err
	}
	e, err := s.window(c.Attempt).Finish(ctx, attempt, values)
	if err != nil {
		return s.fail(ctx, c, s.codeOf(ctx, err))
	}
	return s.proved(ctx, c, e, v)
}
