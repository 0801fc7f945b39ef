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
)

// Prove asks a counterpart to prove the person at in. What the citizen typed is an address to send to:
// it is handed to the adapter and not stored. The attempt comes back proving, or failed. A request
// that is under way already is replaced only from the states that allow to choose again.
func (s *Service) Prove(ctx context.Context, id, browser string, m method.Method, in authn.Input, sso bool, locale string) (*Attempt, error) {
	a, err := s.Load(ctx, id, browser)
	if err != nil {
		return nil, err
	}
	adapter := s.Methods[m]
	if adapter == nil || !slices.Contains(s.Offers(a, sso), m) {
		return a, fault.New(fault.Invalid, "login: method %q is not offered", m)
	}
	if !slices.ContainsFunc(adapter.Providers(), func(p authn.Provider) bool { return p.ID == in.Provider }) {
		return a, fault.New(fault.Invalid, "login: provider is not offered")
	}
	registered, err := s.Sites.Lookup(a.Request.Site)
	if err != nil {
		return a, err
	}
	c, err := s.claim(ctx, id, browser, nil, Choosing, Failed, Conflicted)
	if err != nil {
		return c.Attempt, err
	}
	allowed, err := s.mayPush(ctx, in.Phone)
	if err != nil {
		s.release(ctx, c)
		return nil, err
	}
	if !allowed {
		return c.Attempt, s.fail(ctx, c, TooManyPushes)
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	proof := &Proof{Method: m, Provider: in.Provider, Nonce: hex.EncodeToString(nonce[:])}
	started, err := adapter.Begin(ctx, authn.Attempt{
		ID: c.ID, Nonce: proof.Nonce, SiteName: registered.LocalName(locale), Locale: locale,
		Provider: in.Provider, ExpiresAt: c.ExpiresAt,
	}, in)
	if err != nil {
		return c.Attempt, s.fail(ctx, c, s.codeOf(ctx, err))
	}
	if proof.Private, err = s.seal(c.Attempt, "private", started.Private); err != nil {
		return nil, err
	}
	proof.AskedAt, proof.ExpiresAt, proof.PollAfter = s.Now(), started.ExpiresAt, started.PollAfter
	c.State, c.Proof, c.Failure = Proving, proof, ""
	return c.Attempt, s.settle(ctx, c)
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
	case authn.BadEvidence, authn.ProviderAuth, authn.BadRequest:
		s.Log.LogAttrs(ctx, slog.LevelError, "login: counterpart", slog.Any("error", err))
	case authn.ProviderDown, authn.Indeterminate:
		s.Log.LogAttrs(ctx, slog.LevelWarn, "login: counterpart", slog.Any("error", err))
	}
	return e.Code
}

// fail settles the attempt as failed, and writes the event.
func (s *Service) fail(ctx context.Context, c claimed, code authn.Code) error {
	event := s.event(c.Attempt, audit.LoginFailed)
	event.Detail = map[string]string{"code": string(code)}
	if c.Proof != nil {
		event.Detail["method"], event.Detail["provider"] = string(c.Proof.Method), c.Proof.Provider
	}
	c.State, c.Failure, c.Evidence, c.Authentication = Failed, code, "", nil
	if err := s.Audit.Record(ctx, event); err != nil {
		s.release(ctx, c)
		return err
	}
	return s.settle(ctx, c)
}

// forAdapter is the attempt as its adapter knows it.
func (s *Service) forAdapter(a *Attempt) (authn.Attempt, authn.Poller, error) {
	poller, ok := s.Methods[a.Proof.Method].(authn.Poller)
	if !ok {
		return authn.Attempt{}, nil, fault.New(fault.Internal, "login: method %q is not polled", a.Proof.Method)
	}
	var private []byte
	if err := s.open(a, "private", a.Proof.Private, &private); err != nil {
		return authn.Attempt{}, nil, err
	}
	return authn.Attempt{
		ID: a.ID, Nonce: a.Proof.Nonce, Provider: a.Proof.Provider, Private: private, ExpiresAt: a.Proof.ExpiresAt,
	}, poller, nil
}

// Peek asks whether there is anything new for an attempt that is proving: the phone has answered, or
// the state has moved on. It changes nothing, so a page may poll it. An unreachable counterpart is
// nothing new, and right after the request nobody is asked.
func (s *Service) Peek(ctx context.Context, a *Attempt) (moved bool) {
	if a.State != Proving || !a.BusySince.IsZero() {
		return a.State != Proving && a.State != Verifying
	}
	if s.Now().Sub(a.Proof.AskedAt) < a.Proof.PollAfter {
		return false
	}
	state, err := s.progress(ctx, a)
	return err == nil && state != authn.Pending
}

// Complete asks whether the phone has answered, and goes on if it has: fetches and verifies the proof,
// finds the person, and leads to registration, consent or the end. While the phone has not answered the
// attempt stays as it is, and ready is false; so it does, with the *authn.Error, when the counterpart
// does not tell.
func (s *Service) Complete(ctx context.Context, id, browser string, visit Visit) (ready bool, _ *Attempt, err error) {
	a, err := s.Load(ctx, id, browser)
	if err != nil {
		return false, nil, err
	}
	if a.State == Proved {
		return s.takeUp(ctx, id, browser, visit)
	}
	state := authn.Approved
	if a.State == Proving && a.BusySince.IsZero() {
		if state, err = s.progress(ctx, a); err != nil {
			return false, nil, err
		}
	}
	if state == authn.Pending {
		return false, a, nil
	}
	c, err := s.claim(ctx, id, browser, func(a *Attempt) {
		if state == authn.Approved {
			a.State = Verifying
		}
	}, Proving)
	if err != nil {
		return true, c.Attempt, err
	}
	if code, over := terminal[state]; over {
		return true, c.Attempt, s.fail(ctx, c, code)
	}
	attempt, poller, err := s.forAdapter(c.Attempt)
	if err != nil {
		return true, c.Attempt, err
	}
	// The citizen may close the page; the proof is handed out once, so it is fetched to the end.
	evidence, err := poller.Complete(context.WithoutCancel(ctx), attempt)
	if err != nil {
		switch code := s.codeOf(ctx, err); code {
		case authn.NotReady:
			c.State = Proving
			return false, c.Attempt, s.settle(ctx, c)
		default:
			return true, c.Attempt, s.fail(ctx, c, code)
		}
	}
	return true, c.Attempt, s.proved(ctx, c, evidence, visit)
}

// takeUp goes on with a proof that was kept.
func (s *Service) takeUp(ctx context.Context, id, browser string, visit Visit) (bool, *Attempt, error) {
	c, err := s.claim(ctx, id, browser, nil, Proved)
	if err != nil {
		return true, c.Attempt, err
	}
	var e authn.Evidence
	if err := s.open(c.Attempt, "evidence", c.Evidence, &e); err != nil {
		return true, c.Attempt, s.fail(ctx, c, authn.Indeterminate)
	}
	return true, c.Attempt, s.proved(ctx, c, e, visit)
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
	attempt, poller, err := s.forAdapter(a)
	if err != nil {
		return "", err
	}
	p, err := poller.Status(ctx, attempt)
	if err != nil {
		code := s.codeOf(ctx, err)
		if code == authn.NotReady {
			return authn.Pending, nil
		}
		return "", err
	}
	return p.State, nil
}

// truncated is the time to the second, as auth_time is told.
func truncated(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }
