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
	Terms     string            `json:"terms,omitempty"` // versions of the broker's texts agreed to (consent.Versions)

	// FoundAt is when it was known to live. What is granted on its strength counts as granted then, so that an
	// end that comes in between still catches it.
	FoundAt time.Time `json:"-"`
}

// AtSite is what the session remembers of a site, so that a silent login reads no SQL.
type AtSite struct {
	Consent string   `json:"consent"` // hand-over version agreed to
	Items   []string `json:"items"`   // claims agreed to, sorted
	// Left says that the citizen signed out of this site only: its next login asks them first. Forgotten says that
	// they ended their use of the site: its next login is the first again.
	Left      bool `json:"left,omitempty"`
	Forgotten bool `json:"forgotten,omitempty"`
	// Round counts how often it was left or forgotten: a login that began in one round does not join in the next.
	Round int `json:"round,omitempty"`
}

// Uses reports whether the session is used at the site: it is told when the session ends.
func (s *Session) Uses(site string) bool {
	at, known := s.Sites[site]
	return known && !at.Left && !at.Forgotten
}

// Used lists the sites at which the session is used, sorted.
func (s *Session) Used() []string {
	var used []string
	for site := range s.Sites {
		if s.Uses(site) {
			used = append(used, site)
		}
	}
	slices.Sort(used)
	return used
}

// Joins is what a login at the site by the session is recorded with (grant.Login.Joins): the session's id if
// its entry does not hold the site yet.
func (s *Session) Joins(site string) string {
	if s.Uses(site) {
		return ""
	}
	return s.ID
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

// The browser's cookies (web.Cookies): the session's handle; the toggle 정부 통합로그인, which is absent while
// the citizen uses single sign-on; a handle that outlives sessions, by which a browser is known again; and the browser
// state of OIDC Session Management §3.2, another value for every session and none without one, which a script reads inside of
// frames of other sites.
const (
	Cookie       = "session"
	ToggleCookie = "sso"
	ToggleOff    = "off"
	DeviceCookie = "device"
	StateCookie  = "state"
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

// Key is where the session under the handle lies in kv.
func Key(handle string) string { return "session:" + secret.Hash(handle) }

// ended lies in kv for a while where a session was, or was about to be put, when its end came from elsewhere. It
// reads as a session that is over.
const (
	ended    = "{}"
	endedFor = 2 * time.Minute // longer than any login works between Prepare and Put
)

// Prepared is a session that a login is about to make.
type Prepared struct {
	Handle  string // for the browser's cookie
	Session *Session
	Entry   Entry // without Origin, which the caller seals for the record "session:"+ID
	// Replaced is another person's session that was in the browser until now; nil: none. Its entry is still
	// there: the caller ends it (logout.Service.End), so that its sites are told.
	Replaced *Session
}

// Prepare makes a session for the authentication, used first at the site, of a person who agreed to the terms. The
// caller records the login with the entry, and then calls Put.
// Every proof makes a new handle, so one planted before the proof is worth nothing. The session under the
// browser's previous handle, if any, is over from here on; when it was the same person's, its id and sites live
// on, so that those sites are still told of a logout. Nothing else is written.
func (s *Service) Prepare(ctx context.Context, a Authentication, previous, site string, at AtSite, terms string) (Prepared, error) {
	now := s.Now()
	p := Prepared{
		Handle:  secret.NewHandle(),
		Session: &Session{ID: secret.NewID(), Authentication: a, CreatedAt: now, SeenAt: now, Terms: terms, FoundAt: now},
	}
	if previous != "" {
		old, err := s.End(ctx, previous)
		switch {
		case fault.Is(err, fault.NotFound):
		case err != nil:
			return Prepared{}, err
		case old.Person == a.Person:
			p.Session.ID, p.Session.Sites = old.ID, old.Sites
		default:
			p.Replaced = old
		}
	}
	if p.Session.Sites == nil {
		p.Session.Sites = make(map[string]AtSite, 1)
	}
	p.Session.Sites[site] = at
	p.Entry = Entry{
		ID: p.Session.ID, Person: a.Person, Key: Key(p.Handle), Method: a.Method, Provider: a.Provider, Level: a.Level,
		Sites: p.Session.Used(), At: a.At, CheckAt: s.until(p.Session),
	}
	return p, nil
}

// Put stores a session whose entry is recorded. When it was ended in the meantime: fault.NotFound.
func (s *Service) Put(ctx context.Context, p Prepared) error {
	text, err := json.Marshal(p.Session)
	if err != nil {
		return err
	}
	added, err := s.KV.Add(ctx, Key(p.Handle), string(text), s.ttl(p.Session))
	if err == nil && !added {
		err = fault.New(fault.NotFound, "session: ended before it began")
	}
	return err
}

// until is when the session is over, unless it is used.
func (s *Service) until(session *Session) time.Time {
	idle, absolute := session.SeenAt.Add(s.Policy.Idle), session.CreatedAt.Add(s.Policy.Absolute)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// ttl is how long the session may still live, at least a moment.
func (s *Service) ttl(session *Session) time.Duration {
	return max(time.Millisecond, s.until(session).Sub(s.Now()))
}

// Find returns the live session under the handle, or fault.NotFound.
func (s *Service) Find(ctx context.Context, handle string) (*Session, error) {
	session, _, err := s.find(ctx, Key(handle))
	return session, err
}

func (s *Service) find(ctx context.Context, key string) (*Session, string, error) {
	now := s.Now()
	session, text, err := kv.GetJSON[Session](ctx, s.KV, key)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil, "", fault.New(fault.NotFound, "session: none under this handle")
	case err != nil:
		return nil, "", err
	case session.ID == "", !now.Before(s.until(&session)):
		return nil, "", fault.New(fault.NotFound, "session: over")
	}
	session.FoundAt = now
	return &session, text, nil
}

// change lets do alter the session under the key, and stores it. A do that returns false leaves it as it is.
func (s *Service) change(ctx context.Context, key string, do func(*Session) (bool, error)) (*Session, error) {
	for {
		session, text, err := s.find(ctx, key)
		if err != nil {
			return nil, err
		}
		if changed, err := do(session); err != nil || !changed {
			return session, err
		}
		next, err := json.Marshal(session)
		if err != nil {
			return nil, err
		}
		swapped, err := s.KV.CompareAndSwap(ctx, key, text, string(next), s.ttl(session))
		if err != nil {
			return nil, err
		}
		if swapped {
			return session, nil
		}
	}
}

// Join notes that the known session was used at the site by a person who agreed to the terms, and returns it as it
// is now. It comes after the login was recorded with known.Session.Joins(site): so no crash in between leaves the
// session with a site that its entry does not hold. It writes only when there is something new to remember. When
// the session has ended, is another one by now, or was signed out of at the site meanwhile: fault.NotFound, and the
// site is told nothing.
func (s *Service) Join(ctx context.Context, known Known, site string, at AtSite, terms string) (*Session, error) {
	return s.change(ctx, Key(known.Handle), func(session *Session) (bool, error) {
		switch {
		case session.ID != known.Session.ID:
			return false, fault.New(fault.NotFound, "session: another one by now")
		case known.Session.Sites[site].Round != session.Sites[site].Round:
			return false, fault.New(fault.NotFound, "session: left at this site")
		case s.Noted(session, site, at, terms):
			return false, nil
		}
		if session.Sites == nil {
			session.Sites = make(map[string]AtSite)
		}
		at.Round = session.Sites[site].Round
		session.Sites[site], session.Terms, session.SeenAt = at, terms, s.Now()
		return true, nil
	})
}

// Noted reports whether Join would find nothing new to remember, so that who has just found the session
// can do without it.
func (s *Service) Noted(session *Session, site string, at AtSite, terms string) bool {
	known := session.Sites[site]
	return session.Uses(site) && session.Terms == terms && known.Consent == at.Consent && slices.Equal(known.Items, at.Items) &&
		s.Now().Sub(session.SeenAt) < touch
}

// Leave notes that the citizen signed out of the site only. Logins there that are under way join no more, whether it
// was left before or not. fault.NotFound: there is no such session.
func (s *Service) Leave(ctx context.Context, handle, site string) error {
	_, err := s.change(ctx, Key(handle), func(session *Session) (bool, error) {
		at, known := session.Sites[site]
		at.Left = true
		at.Round++
		if known {
			session.Sites[site] = at
		}
		return known, nil
	})
	return err
}

// Forget lets the session under the key forget that it was ever used at the site, so that its next login there asks
// for consent again; logins there that are under way join no more. fault.NotFound: there is no such session.
func (s *Service) Forget(ctx context.Context, key, site string) error {
	_, err := s.change(ctx, key, func(session *Session) (bool, error) {
		at, known := session.Sites[site]
		if known {
			session.Sites[site] = AtSite{Forgotten: true, Round: at.Round + 1}
		}
		return known, nil
	})
	return err
}

// Alive reports whether a session lives under the key, and until when if it is not used.
func (s *Service) Alive(ctx context.Context, key string) (until time.Time, ok bool, err error) {
	session, _, err := s.find(ctx, key)
	switch {
	case fault.Is(err, fault.NotFound):
		return time.Time{}, false, nil
	case err != nil:
		return time.Time{}, false, err
	}
	return s.until(session), true, nil
}

// End ends the session under the handle and returns it, or fault.NotFound. Of any number of callers one
// ends it.
func (s *Service) End(ctx context.Context, handle string) (*Session, error) {
	return s.take(ctx, Key(handle))
}

// EndByKey ends the session under the key, whosever browser it is in, and returns it, or fault.NotFound. A login
// that is about to put its session there finds that it has ended.
func (s *Service) EndByKey(ctx context.Context, key string) (*Session, error) {
	var taken *Session
	for {
		session, err := s.take(ctx, key)
		switch {
		case err == nil:
			taken = session
		case !fault.Is(err, fault.NotFound):
			return nil, err
		}
		added, err := s.KV.Add(ctx, key, ended, endedFor)
		switch {
		case err != nil:
			return nil, err
		case !added:
		case taken == nil:
			return nil, fault.New(fault.NotFound, "session: none under this key")
		default:
			return taken, nil
		}
	}
}

// take removes what stands under the key.
func (s *Service) take(ctx context.Context, key string) (*Session, error) {
	text, err := s.KV.Take(ctx, key)
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
	if session.ID == "" {
		return nil, fault.New(fault.NotFound, "session: over")
	}
	return &session, nil
}
