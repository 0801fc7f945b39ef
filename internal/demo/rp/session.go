package rp

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// Session is one browser that is signed in at the site.
type Session struct {
	User     string    // the site's own account, where it has one
	Identity *Identity // what the broker said; nil after a login without it
	Opened   time.Time
	Expires  time.Time // the server's deadline; moved only by Extend
	Latest   time.Time // no extension goes beyond this
}

// Remaining is the time until the session ends, zero if it has.
func (s Session) Remaining(now time.Time) time.Duration { return max(0, s.Expires.Sub(now)) }

// Sessions keeps a site's sessions in memory, by the SHA-256 of the 256 random bits in the browser's
// cookie. A restart signs everyone out. It is safe for concurrent use.
type Sessions struct {
	cookie   string
	secure   bool
	ttl, max time.Duration
	now      func() time.Time

	mu   sync.Mutex
	open map[[sha256.Size]byte]Session
}

// NewSessions returns sessions that live for ttl after opening or extension, and not beyond limit in
// all. The cookie's name is without prefix.
func NewSessions(cookie string, secure bool, ttl, limit time.Duration, now func() time.Time) *Sessions {
	return &Sessions{cookie: cookie, secure: secure, ttl: ttl, max: limit, now: now, open: map[[sha256.Size]byte]Session{}}
}

// Open signs the browser in under a new session id and ends the session it had, so that an id planted
// or seen before the login is worth nothing. The times of s are set here.
func (ss *Sessions) Open(w http.ResponseWriter, r *http.Request, s Session) Session {
	now := ss.now()
	s.Opened, s.Expires, s.Latest = now, now.Add(ss.ttl), now.Add(ss.max)
	id := random()
	ss.mu.Lock()
	for key, other := range ss.open {
		if !other.Expires.After(now) {
			delete(ss.open, key)
		}
	}
	if key, ok := ss.key(r); ok {
		delete(ss.open, key)
	}
	ss.open[sha256.Sum256([]byte(id))] = s
	ss.mu.Unlock()
	http.SetCookie(w, cookie(ss.cookie, id, ss.secure))
	return s
}

// Get returns the session of the request's browser; ok is false if there is none, or not any more.
func (ss *Sessions) Get(r *http.Request) (s Session, ok bool) {
	key, ok := ss.key(r)
	if !ok {
		return Session{}, false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.live(key)
}

// Ended tells whether the browser comes with the cookie of a session that is over.
func (ss *Sessions) Ended(r *http.Request) bool {
	_, had := ss.key(r)
	_, has := ss.Get(r)
	return had && !has
}

// Extend moves the deadline to a full lifetime from now, or to the session's latest end.
func (ss *Sessions) Extend(r *http.Request) (s Session, ok bool) {
	key, ok := ss.key(r)
	if !ok {
		return Session{}, false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if s, ok = ss.live(key); !ok {
		return Session{}, false
	}
	s.Expires = ss.now().Add(ss.ttl)
	if s.Expires.After(s.Latest) {
		s.Expires = s.Latest
	}
	ss.open[key] = s
	return s, true
}

// Close ends the browser's session, removes its cookie and returns what it was.
func (ss *Sessions) Close(w http.ResponseWriter, r *http.Request) (s Session, ok bool) {
	gone := cookie(ss.cookie, "", ss.secure)
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	key, ok := ss.key(r)
	if !ok {
		return Session{}, false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok = ss.live(key)
	delete(ss.open, key)
	return s, ok
}

// End closes every session that match selects and returns how many those were.
func (ss *Sessions) End(match func(Session) bool) int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ended := 0
	for key, s := range ss.open {
		if match(s) {
			delete(ss.open, key)
			ended++
		}
	}
	return ended
}

func (ss *Sessions) live(key [sha256.Size]byte) (Session, bool) {
	s, ok := ss.open[key]
	if !ok || !s.Expires.After(ss.now()) {
		delete(ss.open, key)
		return Session{}, false
	}
	return s, true
}

func (ss *Sessions) key(r *http.Request) (key [sha256.Size]byte, ok bool) {
	ck, err := r.Cookie(cookieName(ss.cookie, ss.secure))
	if err != nil || ck.Value == "" {
		return key, false
	}
	return sha256.Sum256([]byte(ck.Value)), true
}
