package login

import (
	"context"
	"errors"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
)

// signer is the adapter of an attempt whose proof is a signature from the page; nil: it is another one's.
func (s *Service) signer(a *Attempt) authn.Signer {
	if a.Proof == nil {
		return nil
	}
	signer, _ := s.Methods[a.Proof.Method].(authn.Signer)
	return signer
}

// SignRequest is what the page is to have signed for an attempt that is proving: ErrMoved where it waits
// for something else.
func (s *Service) SignRequest(a *Attempt) (authn.SignRequest, error) {
	signer := s.signer(a)
	if signer == nil || a.State != Proving {
		return authn.SignRequest{}, ErrMoved
	}
	attempt, err := s.forAdapter(a)
	if err != nil {
		return authn.SignRequest{}, err
	}
	return signer.Request(attempt)
}

// Sign takes the signature that the page brings, and goes on as Complete does. A challenge is answered
// once: with a signature that does not serve the attempt fails, and begins again with another challenge.
func (s *Service) Sign(ctx context.Context, a *Attempt, browser string, answer authn.Answer, v Visit) (*Attempt, error) {
	if s.signer(a) == nil && a.State != Verifying { // which its caller may have left for good
		return a, ErrMoved
	}
	c, err := s.claimLoaded(ctx, a, browser, nil, Proving)
	if err != nil {
		return c.Attempt, err
	}
	ctx, done := undisturbed(ctx)
	defer done()
	if s.signer(c.Attempt) == nil { // another method was chosen meanwhile
		s.release(ctx, c)
		return c.Attempt, ErrMoved
	}
	if err := s.signed(ctx, c, answer, v); err != nil {
		return s.undo(ctx, c, browser, err)
	}
	return c.Attempt, nil
}

// signed goes on from a signature, or returns an error and leaves the attempt claimed.
func (s *Service) signed(ctx context.Context, c claimed, answer authn.Answer, v Visit) error {
	signer := s.signer(c.Attempt)
	if !s.Now().Before(c.Proof.ExpiresAt) {
		return s.fail(ctx, c, authn.TooLate)
	}
	attempt, err := s.forAdapter(c.Attempt)
	if err != nil {
		return err
	}
	// A signature that served before fits no other challenge. It is told apart from one that never did:
	// somebody has taken it away.
	mark := "signature:" + secret.Hash(answer.Signed)
	used, err := s.KV.Get(ctx, mark)
	switch {
	case err == nil && used != secret.Hash(c.ID):
		return s.fail(ctx, c, authn.AlreadyUsed)
	case err != nil && !errors.Is(err, kv.ErrNotFound):
		return err
	}
	e, err := signer.Verify(ctx, attempt, answer)
	if err != nil {
		return s.fail(ctx, c, s.codeOf(ctx, err))
	}
	if _, err := s.KV.Add(ctx, mark, secret.Hash(c.ID), s.Limits.Attempt); err != nil {
		return err
	}
	_, err = s.People.ByLink(ctx, e.Method, s.subjectIndex(e))
	if fault.Is(err, fault.NotFound) {
		if e, err = signer.Identify(ctx, attempt, answer, e); err != nil {
			return s.fail(ctx, c, s.codeOf(ctx, err))
		}
	}
	if err != nil {
		return err
	}
	return s.proved(ctx, c, e, v)
}

// mostTries is how many resident numbers an attempt takes that do not fit.
const mostTries = 5

// numbered ties the evidence to its holder by the resident number. ErrNumber says that the number does
// not fit and the attempt is settled; on other errors it is left claimed.
func (s *Service) numbered(ctx context.Context, c claimed, e authn.Evidence, number authn.ResidentNumber) (authn.Evidence, error) {
	checker, ok := s.Methods[e.Method].(authn.NumberChecker)
	if !ok {
		return e, fault.New(fault.Internal, "login: method %q checks no resident number", e.Method)
	}
	e, err := checker.CheckNumber(ctx, e, number)
	if err == nil || !isCode(err, authn.NumberMismatch) {
		if err != nil {
			s.codeOf(ctx, err)
		}
		return e, err
	}
	c.Tries++
	if c.Tries < mostTries {
		err = s.settle(ctx, c)
	} else {
		err = s.fail(ctx, c, authn.NumberMismatch)
	}
	if err != nil {
		return e, err
	}
	return e, ErrNumber
}
