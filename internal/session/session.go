// Package session is the single sign-on sessions: who is signed in at this browser, how strongly, at
// which sites, until when. A session lives in kv under the hash of a handle that only the browser knows.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
)

// Authentication is one act of proving identity, as relying sites are told of it.
type Authentication struct {
	Person   string        `json:"person"` // person id
	Method   method.Method `json:"method"`
	Provider string        `json:"provider"`
	Level    method.Level  `json:"level"`
	AMR      []string      `json:"amr"`
	At       time.Time     `json:"at"` // to the second: auth_time
}

// Session is a browser's single sign-on.
type Session struct {
	ID string `json:"id"` // random, never shown to anybody; see SID
	Authentication
	CreatedAt time.Time         `json:"created_at"`
	SeenAt    time.Time         `json:"seen_at"` // moves in steps of touch
	Sites     map[string]AtSite `json:"sites,omitempty"`
}

// AtSite is what the session remembers of a site, so that a silent login reads no SQL.
type AtSite struct {
	Consent string   `json:"consent"` // hand-over version agreed to
	Items   []string `json:"items"`   // claims agreed to, sorted
}

// SID is the session's id as the site knows it: OIDC Back-Channel Logout §2.1 wants it the same for a
// session at one site, and sites shall not tell one citizen by it between them.
func (s *Session) SID(site string) string { return SID(s.ID, site) }

// SID derives a session id for a site from a session's own id.
func SID(id, site string) string { return secret.Hash("sid\n" + id + "\n" + site)[:32] }

// Known is the session of a browser that asks, together with the handle in its cookie.
type Known struct {
	Handle  string
	Session *Session
}

// The browser's cookies (web.Cookies): the session's handle, and the toggle 정부 통합로그인, which is
// absent while the citizen uses single sign-on.
const (
	Cookie       = "session"
	ToggleCookie = "sso"
	ToggleOff    = "off"
)

// Policy is how long sessions live.
type Policy struct {
	Idle     time.Duration // since the last login at any site
	Absolute time.Duration // since the proof
}

// touch is how far SeenAt may lag, so that not every silent login writes.
const touch = time.Minute

// Service makes, finds and ends sessions.
type Service struct {
	KV     kv.Store
	Policy Policy
	Now    func() time.Time
}

func key(handle string) string { return "session:" + secret.Hash(handle) }

// Create stores a new session for the authentication, used first at the site, and returns the handle for
// the browser's cookie.
// Every proof makes a new handle, so one planted before the proof is worth nothing. The session under
// the browser's previous handle, if any, ends; when it was the same person's, its id and sites live on,
// so that those sites are still told of a logout.
func (s *Service) Create(ctx context.Context, a Authentication, previous, site string, at AtSite) (handle string, _ *Session, err error) {
	now := s.Now()
	session := &Session{ID: secret.NewID(), Authentication: a, CreatedAt: now, SeenAt: now}
	if previous != "" {
		old, err := s.End(ctx, previous)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return "", nil, err
		case old.Person == a.Person:
			session.ID, session.Sites = old.ID, old.Sites
		}
	}
	if session.Sites == nil {
		session.Sites = make(map[string]AtSite, 1)
	}
	session.Sites[site] = at
	handle = secret.NewHandle()
	return handle, session, kv.SetJSON(ctx, s.KV, key(handle), session, s.ttl(session))
}

// ttl is how long the session may still live, at least a moment.
func (s *Service) ttl(session *Session) time.Duration {
	now := s.Now()
	return max(time.Millisecond, min(session.SeenAt.Add(s.Policy.Idle).Sub(now), session.CreatedAt.Add(s.Policy.Absolute).Sub(now)))
}

// Find returns the live session under the handle, or fault.NotFound.
func (s *Service) Find(ctx context.Context, handle string) (*Session, error) {
	session, _, err := s.find(ctx, handle)
	return session, err
}

func (s *Service) find(ctx context.Context, handle string) (*Session, string, error) {
	session, text, err := kv.GetJSON[Session](ctx, s.KV, key(handle))
	now := s.Now()
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil, "", fault.New(fault.NotFound, "session: none under this handle")
	case err != nil:
		return nil, "", err
	case now.Sub(session.SeenAt) >= s.Policy.Idle, now.Sub(session.CreatedAt) >= s.Policy.Absolute:
		return nil, "", fault.New(fault.NotFound, "session: over")
	}
	return &session, text, nil
}

// Join notes that the session was used at the site, and returns it as it is now. It writes only when
// there is something new to remember. The session may end in the meantime: fault.NotFound.
func (s *Service) Join(ctx context.Context, handle, site string, at AtSite) (*Session, error) {
	for {
		session, text, err := s.find(ctx, handle)
		if err != nil {
			return nil, err
		}
		if s.Noted(session, site, at) {
			return session, nil
		}
		if session.Sites == nil {
			session.Sites = make(map[string]AtSite)
		}
		session.Sites[site] = at
		session.SeenAt = s.Now()
		next, err := json.Marshal(session)
		if err != nil {
			return nil, err
		}
		swapped, err := s.KV.CompareAndSwap(ctx, key(handle), text, string(next), s.ttl(session))
		if err != nil {
			return nil, err
		}
		if swapped {
			return session, nil
		}
	}
}

// Noted reports whether Join would find nothing new to remember, so that who has just found the session
// can do without it.
func (s *Service) Noted(session *Session, site string, at AtSite) bool {
	known, joined := session.Sites[site]
	return joined && known.Consent == at.Consent && slices.Equal(known.Items, at.Items) && s.Now().Sub(session.SeenAt) < touch
}

// End ends the session under the handle and returns it, or fault.NotFound. Of any number of callers one
// ends it.
func (s *Service) End(ctx context.Context, handle string) (*Session, error) {
	text, err := s.KV.Take(ctx, key(handle))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fault.New(fault.NotFound, "session: none under this handle")
	}
	if err != nil {
		return nil, err
	}
	var session Session
	if err := json.Unmarshal([]byte(text), &session); err != nil {
		return nil, err
	}
	return &session, nil
}
