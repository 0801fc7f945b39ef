package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
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

// liveSession is a session that has not ended.
type liveSession struct {
	session.Entry
	until time.Time
}

// live lists a person's sessions that have not ended, newest first. An entry may outlive its session a while, until
// its sites are told.
func (s *Service) live(ctx context.Context, person string) ([]liveSession, error) {
	entries, err := s.Sessions.Sessions(ctx, person)
	if err != nil {
		return nil, err
	}
	list := make([]liveSession, 0, len(entries))
	for _, e := range entries {
		until, alive, err := s.Logout.Sessions.Alive(ctx, e.Key)
		if err != nil {
			return nil, err
		}
		if alive {
			list = append(list, liveSession{e, until})
		}
	}
	return list, nil
}

// shown is the id by which a session is shown to its person. Its own id is shown to nobody, and at no site is the
// session known by this one.
func shown(id string) string { return session.SID(id, "") }

// ListSessions lists the visitor's live sessions, newest first.
func (s *Service) ListSessions(ctx context.Context, v Visitor) ([]SessionView, error) {
	live, err := s.live(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	list := make([]SessionView, 0, len(live))
	for _, l := range live {
		view := SessionView{
			ID: shown(l.ID), Current: l.ID == v.Session, Method: l.Method, Provider: l.Provider, Level: l.Level,
			At: l.At, Until: l.until, Sites: make([]SiteName, 0, len(l.Sites)),
		}
		if l.Origin != "" {
			if err := s.open(l.Origin, "session:"+l.ID, &view.Origin); err != nil {
				return nil, fmt.Errorf("account: origin of a session: %w", err)
			}
		}
		for _, id := range l.Sites {
			view.Sites = append(view.Sites, SiteName{id, s.named(id, v.Locale)})
		}
		list = append(list, view)
	}
	return list, nil
}

// EndSession ends one of the visitor's sessions (SessionView.ID). The batch names who is told.
func (s *Service) EndSession(ctx context.Context, v Visitor, id string) (batch string, err error) {
	entries, err := s.Sessions.Sessions(ctx, v.Person)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(entries, func(e session.Entry) bool { return shown(e.ID) == id })
	if i < 0 {
		return "", s.denied(ctx, v, "session")
	}
	return s.Logout.End(ctx, entries[i].ID, v.why(logout.Citizen))
}

// EndOthers ends all of the visitor's sessions but that of this browser, and returns how many.
func (s *Service) EndOthers(ctx context.Context, v Visitor) (batch string, n int, err error) {
	return s.Logout.EndAll(ctx, v.Person, v.Session, v.why(logout.Citizen))
}

// endMadeBy ends the visitor's sessions that which chooses.
func (s *Service) endMadeBy(ctx context.Context, v Visitor, which func(session.Entry) bool) error {
	entries, err := s.Sessions.Sessions(ctx, v.Person)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !which(e) {
			continue
		}
		if _, err := s.Logout.End(ctx, e.ID, v.why(logout.Citizen)); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}
