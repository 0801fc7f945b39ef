package logout

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

const (
	expireEvery = 4 * time.Second // and up to half as much more, so that instances do not look together
	expireLimit = 200
)

// Run ends sessions whose time is over, until the context ends, so that their sites hear of it though nobody has
// signed out. Any number of instances may run at once.
func (s *Service) Run(ctx context.Context) {
	failed := false
	for {
		n, err := s.expireDue(ctx)
		if ctx.Err() != nil {
			return
		}
		if (err != nil) != failed { // once, not at every look
			if failed = err != nil; failed {
				s.Log.LogAttrs(ctx, slog.LevelError, "logout: cannot end what is over", slog.Any("error", err))
			} else {
				s.Log.LogAttrs(ctx, slog.LevelInfo, "logout: ending what is over again")
			}
		}
		if err == nil && n == expireLimit {
			continue // there is more
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(expireEvery + rand.N(expireEvery/2)): //nolint:gosec // no secret
		}
	}
}

// expireDue goes through the sessions that are due, and returns how many there were. One that fails does not keep
// the others.
func (s *Service) expireDue(ctx context.Context) (n int, err error) {
	due, err := s.Store.Due(ctx, s.Now(), expireLimit)
	if err != nil {
		return 0, err
	}
	for _, e := range due {
		if one := s.expire(ctx, e); one != nil {
			err = one
		}
	}
	return len(due), err
}

// errInUse says that a session was used or proved again since it was found to be over.
var errInUse = fault.New(fault.Conflict, "logout: the session is in use")

// expire ends the session if it does not live any more, or looks again when its time may be over.
func (s *Service) expire(ctx context.Context, due session.Entry) error {
	until, alive, err := s.Sessions.Alive(ctx, due.Key)
	if err != nil {
		return err
	}
	if alive {
		_, err := s.Store.Move(ctx, due.ID, due.CheckAt, until)
		return err
	}
	why := Why{Cause: Expired, Batch: secret.NewID()}
	ended, err := s.Store.End(ctx, due.ID, func(now session.Entry) (session.Ending, error) {
		if now.Key != due.Key || !now.CheckAt.Equal(due.CheckAt) {
			return session.Ending{}, errInUse
		}
		return s.ending(now, why)
	})
	switch {
	case fault.Is(err, fault.Conflict), err == nil && !ended:
		return nil
	case err != nil:
		return err
	}
	s.Runner.Kick()
	return s.Grants.Revoke(ctx, due.Person, grant.Revocation{Session: due.ID})
}
