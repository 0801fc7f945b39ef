package logout

import (
	"context"

	"github.com/anyid/anyid/internal/session"
)

// ExpireDue is one look of Run.
func (s *Service) ExpireDue(ctx context.Context) (int, error) { return s.expireDue(ctx) }

// Expire is what Run does about one session.
func (s *Service) Expire(ctx context.Context, due session.Entry) error { return s.expire(ctx, due) }
