package account

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
)

// SessionView is one of a person's sessions.
type SessionView struct {
	ID       string // opaque
	Current  bool   // the one of the visitor's browser
	Method   method.Method
	Provider string
	Level    method.Level
	Origin   session.Origin // where it was begun from
	At       time.Time      // when it was begun
	Until    time.Time      // when it ends, unless it is used
	Sites    []SiteName     // sorted by id
}

// SiteName is a site as it is shown.
type SiteName struct {
	ID   string // client id
	Name string // in the visitor's language; the id, where it is registered no more
}

// ListSessions lists the visitor's live sessions, newest first.
func (s *Service) ListSessions(ctx context.Context, v Visitor) ([]SessionView, error) {
	return nil, errPending
}

// EndSession ends one of the visitor's sessions (SessionView.ID). The batch names who is told.
func (s *Service) EndSession(ctx context.Context, v Visitor, id string) (batch string, err error) {
	return "", errPending
}

// EndOthers ends all of the visitor's sessions but that of this browser, and returns how many.
func (s *Service) EndOthers(ctx context.Context, v Visitor) (batch string, n int, err error) {
	return "", 0, errPending
}
