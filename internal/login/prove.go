package login

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/site"
)

// Prove asks a counterpart to prove the person at in. What the citizen typed is an address to send to:
// it is handed to the adapter and not stored. The attempt comes back proving, or failed. A request on a
// phone that is under way already is replaced only from the states that allow to choose again; a
// challenge that the page has not answered is replaced at any time.
//
// The attempt is as Load returned it for the browser, here and in Complete and Sign.
func (s *Service) Prove(ctx context.Context, a *Attempt, browser string, m method.Method, in authn.Input, sso bool, locale string) (*Attempt, error) {
	adapter := s.Methods[m]
	if adapter == nil || !slices.Contains(s.Offers(a, sso), m) {
		return a, fault.New(fault.Invalid, "login: method %q is not offered", m)
	}
	if !slices.ContainsFunc(adapter.Providers(), func(p authn.Provider) bool { return p.ID == in.Provider }) {
		return a, fault.New(fault.Invalid, "login: provider is not offered")
	}
	registered, err := s.Site(a)
	if err != nil {
		return a, err
	}
	from := []State{Choosing, Failed, Conflicted}
	if s.signer(a) != nil {
		from = append(from, Proving)
	}
	c, err := s.claimLoaded(ctx, a, browser, nil, from...)
	if err != nil {
		return c.Attempt, err
	}
	if c.State == Proving && s.signer(c.Attempt) == nil { // a phone was asked meanwhile
		s.release(ctx, c)
		return c.Attempt, ErrMoved
	}
	if err := s.asked(ctx, c, adapter, &registered.Site, locale, in); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// asked asks the counterpart and goes on, or returns an error and leaves the attempt claimed.
func (s *Service) asked(ctx context.Context, c claimed, adapter authn.Authenticator, to *site.Site, locale string, in authn.Input) error {
	ctx, done := undisturbed(ctx)
	defer done()
	c.Proof = &Proof{Method: adapter.Method(), Provider: in.Provider, Mode: in.Mode}
	if in.Phone != "" {
		allowed, err := s.mayPush(ctx, in.Phone)
		if err != nil {
			return err
		}
		if !allowed {
			return s.fail(ctx, c, TooManyPushes)
		}
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	c.Proof.Nonce = hex.EncodeToString(nonce[:])
	reference, err := s.reference(ctx, c, adapter)
	if err != nil {
		return err
	}
	started, err := adapter.Begin(ctx, authn.Attempt{
		ID: c.ID, Nonce: c.Proof.Nonce, SiteName: to.LocalName(locale), Locale: locale, Provider: in.Provider,
		Site: to.ID, Certificates: to.Certificates, ReturnURL: reference, ExpiresAt: c.ExpiresAt,
	}, in)
	if err != nil {
		return s.fail(ctx, c, s.codeOf(ctx, err))
	}
	if c.Proof.Private, err = s.seal(c.Attempt, "private", started.Private); err != nil {
		return err
	}
	c.Proof.AskedAt, c.Proof.ExpiresAt, c.Proof.PollAfter = s.Now(), started.ExpiresAt, started.PollAfter
	c.Proof.Shown, c.Proof.Window = started.Shown, started.Window
	c.State, c.Failure = Proving, ""
	return s.settle(ctx, c)
}

// mayPush counts one request to the phone against its cap, across all attempts and browsers.
func (s *Service) mayPush(ctx context.Context, phone string) (bool, error) {
	n, err := s.KV.Increment(ctx, "push:"+s.Index.Of("phone", phone), s.Limits.PushWindow)
	return n <= s.Limits.PushesPerPhone, err
}

// codeOf is the neutral code of an adapter's error. What the citizen cannot mend is logged: the codes
// say which side to look at, and none of them is personal.
func (s *Service) codeOf(ctx context.Context, err error) authn.Code {
	e, ok := errors.AsType[*authn.Error](err)
	if !ok {
		s.Log.LogAttrs(ctx, slog.LevelError, "login: adapter failed", slog.Any("error", err))
		return authn.ProviderDown
	}
	switch e.Code {
	case authn.BadEvidence, authn.WrongChallenge, authn.ProviderAuth, authn.BadRequest:
		s.Log.LogAttrs(ctx, slog.LevelError, "login: counterpart", slog.Any("error", err))
	case authn.ProviderDown, authn.StatusUnknown, authn.Indeterminate:
		s.Log.LogAttrs(ctx, slog.LevelWarn, "login: counterpart", slog.Any("error", err))
	}
	return e.Code
}

// fail settles the attempt as failed, and writes the event. When the event cannot be written the attempt
// is left claimed in its state.
func (s *Service) fail(ctx context.Context, c claimed, code authn.Code) error {
	event := s.event(c.Attempt, audit.LoginFailed)
	event.Detail = map[string]string{"code": string(code)}
	if c.Proof != nil {
		event.Detail["method"], event.Detail["provider"] = string(c.Proof.Method), c.Proof.Provider
	}
	return s.failed(ctx, c, code, event)
}

// failed is fail with another event.
func (s *Service) failed(ctx context.Context, c claimed, code authn.Code, event audit.Event) error {
	c.Failure = code
	if err := s.Audit.Record(ctx, event); err != nil {
		return err
	}
	c.State, c.Evidence, c.Authentication = Failed, "", nil
	return s.settle(ctx, c)
}

// forAdapter is the attempt as its adapter knows it.
func (s *Service) forAdapter(a *Attempt) (authn.Attempt, error) {
	var private []byte
	if err := s.open(a, "private", a.Proof.Private, &private); err != nil {
		return authn.Attempt{}, err
	}
	attempt := authn.Attempt{
		ID: a.ID, Nonce: a.Proof.Nonce, Provider: a.Proof.Provider, Site: a.Request.Site, Private: private, ExpiresAt: a.Proof.ExpiresAt,
		ResponseCode: a.Proof.ResponseCode,
	}
	if registered, err := s.Sites.Lookup(a.Request.Site); err == nil {
		attempt.Certificates = registered.Certificates
	}
	return attempt, nil
}

// forPoller is the attempt for an adapter that is polled.
func (s *Service) forPoller(a *Attempt) (authn.Attempt, authn.Poller, error) {
	poller, ok := s.Methods[a.Proof.Method].(authn.Poller)
	if !ok {
		return authn.Attempt{}, nil, fault.New(fault.Internal, "login: method %q is not polled", a.Proof.Method)
	}
	attempt, err := s.forAdapter(a)
	return attempt, poller, err
}

// Peek asks whether there is anything new for an attempt that is proving: the phone has answered, or
// the state has moved on. It changes nothing, so a page may poll it. An unreachable counterpart is
// nothing new, and right after the request nobody is asked.
func (s *Service) Peek(ctx context.Context, a *Attempt) (moved bool) {
	switch {
	case a.State != Proving && a.State != Verifying:
		return true
	case s.busy(a):
		return false
	case a.State == Verifying: // its caller died
		return true
	case s.signer(a) != nil, s.window(a) != nil:
		return !s.Now().Before(a.Proof.ExpiresAt)
	case s.Now().Sub(a.Proof.AskedAt) < a.Proof.PollAfter:
		return false
	}
	state, err := s.progress(ctx, a)
	return err == nil && state != authn.Pending
}

// Return notes that a wallet on the citizen's device has sent the browser back, with the response code that
// the wallet was given. The next Complete tells the adapter.
func (s *Service) Return(ctx context.Context, id, browser, responseCode string) (*Attempt, error) {
	c, err := s.claim(ctx, id, browser, func(a *Attempt) { a.Proof.ResponseCode = responseCode }, Proving)
	if err != nil {
		return c.Attempt, err
	}
	if err := s.settle(ctx, c); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// Complete asks whether the phone has answered, and goes on if it has: fetches and verifies the proof,
// finds the person, and leads to registration, consent or the end. While the phone has not answered the
// attempt stays as it is, and ready is false; so it does, with the *authn.Error, when the counterpart
// does not tell.
func (s *Service) Complete(ctx context.Context, a *Attempt, browser string, visit Visit) (ready bool, _ *Attempt, err error) {
	state := authn.Approved // so said the counterpart to the caller that is verifying
	switch a.State {
	case Proved:
		a, err := s.takeUp(ctx, a, browser, visit)
		return true, a, err
	case Proving:
		if state, err = s.progress(ctx, a); err != nil {
			now, loadErr := s.Load(ctx, a.ID, browser)
			if loadErr != nil || now.State == Proving {
				return false, nil, err
			}
		}
	case Verifying:
	default:
		return true, a, ErrMoved
	}
	if state == authn.Pending {
		return false, a, nil
	}
	asked := a.Proof.Nonce
	c, err := s.claimLoaded(ctx, a, browser, func(a *Attempt) {
		if state == authn.Approved && a.Proof.Nonce == asked {
			a.State = Verifying
		}
	}, Proving)
	if err != nil {
		return true, c.Attempt, err
	}
	ready, err = s.answered(ctx, c, asked, state, visit)
	if err != nil {
		a, err := s.undo(ctx, c, browser, err)
		return true, a, err
	}
	return ready, c.Attempt, nil
}

// answered goes on with what the counterpart says of the request with that nonce, or returns an error and
// leaves the attempt claimed.
func (s *Service) answered(ctx context.Context, c claimed, asked string, state authn.State, visit Visit) (ready bool, err error) {
	ctx, done := undisturbed(ctx)
	defer done()
	if c.Proof.Nonce != asked { // another request is under way by now
		return false, s.settle(ctx, c)
	}
	if code, over := terminal[state]; over {
		return true, s.fail(ctx, c, code)
	}
	attempt, poller, err := s.forPoller(c.Attempt)
	if err != nil {
		c.State = Proving // nobody was asked
		return true, err
	}
	evidence, err := poller.Complete(ctx, attempt)
	switch {
	case err == nil:
		return true, s.proved(ctx, c, evidence, visit)
	case isCode(err, authn.NotReady):
		c.State = Proving
		return false, s.settle(ctx, c)
	}
	return true, s.fail(ctx, c, s.codeOf(ctx, err))
}

// isCode reports whether err is an adapter's with the code.
func isCode(err error, code authn.Code) bool {
	e, ok := errors.AsType[*authn.Error](err)
	return ok && e.Code == code
}

// takeUp goes on with a proof that was kept.
func (s *Service) takeUp(ctx context.Context, a *Attempt, browser string, visit Visit) (*Attempt, error) {
	c, err := s.claimLoaded(ctx, a, browser, nil, Proved)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	var e authn.Evidence
	if err = s.open(c.Attempt, "evidence", c.Evidence, &e); err == nil {
		err = s.proved(ctx, c, e, visit)
	} else {
		err = s.fail(ctx, c, authn.Indeterminate)
	}
	if err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// terminal maps a counterpart's final states to what is shown.
var terminal = map[authn.State]authn.Code{
	authn.Rejected: authn.UserCancelled,
	authn.Expired:  authn.TooLate,
	authn.Failed:   Unproved,
}

// progress asks the counterpart, within the request's own time.
func (s *Service) progress(ctx context.Context, a *Attempt) (authn.State, error) {
	if !s.Now().Before(a.Proof.ExpiresAt) {
		return authn.Expired, nil
	}
	if s.signer(a) != nil || s.window(a) != nil { // nobody else is to be asked
		return authn.Pending, nil
	}
	attempt, poller, err := s.forPoller(a)
	if err != nil {
		return "", err
	}
	p, err := poller.Status(ctx, attempt)
	if err != nil {
		if isCode(err, authn.NotReady) {
			return authn.Pending, nil
		}
		s.codeOf(ctx, err)
		return "", err
	}
	return p.State, nil
}

// truncated is the time to the second, as auth_time is told.
func truncated(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
