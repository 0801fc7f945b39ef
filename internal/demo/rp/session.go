package rp

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
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

	ttl     time.Duration // from opening or extension to the deadline
	vouched *Identity     // the newest, from the login or a proof
	sids    []string      // of the broker's sessions that vouched for this one
	proof   proof
}

// proof is a login within a session that confirms one thing.
type proof struct {
	purpose string
	at      time.Time
}

// Vouched is the identity for the logout at the broker: that of the login, or of a later proof; nil if the
// broker has never been asked.
func (s Session) Vouched() *Identity { return s.vouched }

// Remaining is the time until the session ends, zero if it has.
func (s Session) Remaining(now time.Time) time.Duration { return max(0, s.Expires.Sub(now)) }

// Final tells whether no extension moves the end any further.
func (s Session) Final() bool { return !s.Expires.Before(s.Latest) }

// Proved tells whether there is a proof for this purpose that is not older than since.
func (s Session) Proved(purpose string, since time.Time) bool {
	return s.proof.purpose == purpose && !s.proof.at.Before(since)
}

// Ending is how a browser's session ended.
type Ending string

// The endings.
const (
	NotEnded  Ending = ""          // it lasts, or the browser had none
	TimedOut  Ending = "expired"   // by the deadline, or by a restart of the site
	Elsewhere Ending = "elsewhere" // by the broker, or by the citizen in another browser
)

type sessionKey [sha256.Size]byte

// Sessions keeps a site's sessions in memory, by the SHA-256 of the 256 random bits in the browser's
// cookie. A restart signs everyone out. It is safe for concurrent use.
type Sessions struct {
	cookie   string
	secure   bool
	ttl, max time.Duration
	now      func() time.Time

	mu        sync.Mutex
	open      map[sessionKey]Session
	bySID     index
	bySubject index
	ended     map[sessionKey]time.Time // ended elsewhere; until when the browser is told so
}

// index finds sessions by something that several may share.
type index map[string]map[sessionKey]struct{}

func (x index) add(name string, key sessionKey) {
	if x[name] == nil {
		x[name] = map[sessionKey]struct{}{}
	}
	x[name][key] = struct{}{}
}

func (x index) remove(name string, key sessionKey) {
	delete(x[name], key)
	if len(x[name]) == 0 {
		delete(x, name)
	}
}

// NewSessions returns sessions that live for ttl after opening or extension, or for a shorter time that
// the broker sets, and not beyond limit in all. The cookie's name is without prefix.
func NewSessions(cookie string, secure bool, ttl, limit time.Duration, now func() time.Time) *Sessions {
	return &Sessions{
		cookie: cookie, secure: secure, ttl: ttl, max: limit, now: now,
		open: map[sessionKey]Session{}, bySID: index{}, bySubject: index{}, ended: map[sessionKey]time.Time{},
	}
}

// put stores a session under its key, and drop deletes it. The caller holds mu.
func (ss *Sessions) put(key sessionKey, s Session) {
	ss.drop(key)
	ss.open[key] = s
	if s.vouched != nil {
		ss.bySubject.add(s.vouched.Subject, key)
	}
	for _, sid := range s.sids {
		ss.bySID.add(sid, key)
	}
}

func (ss *Sessions) drop(key sessionKey) {
	s, ok := ss.open[key]
	if !ok {
		return
	}
	delete(ss.open, key)
	if s.vouched != nil {
		ss.bySubject.remove(s.vouched.Subject, key)
	}
	for _, sid := range s.sids {
		ss.bySID.remove(sid, key)
	}
}

// vouch notes who is behind s, and the broker's session with which s ends.
func (s *Session) vouch(id *Identity) {
	s.vouched = id
	if id != nil && id.SessionID != "" && !slices.Contains(s.sids, id.SessionID) {
		s.sids = append(slices.Clone(s.sids), id.SessionID)
	}
}

// Open signs the browser in under a new session id and ends the session it had, so that an id planted
// or seen before the login is worth nothing. The times of s are set here.
func (ss *Sessions) Open(w http.ResponseWriter, r *http.Request, s Session) Session {
	now := ss.now()
	s.ttl = ss.ttl
	if s.Identity != nil && s.Identity.SessionTime > 0 {
		s.ttl = min(s.ttl, s.Identity.SessionTime)
	}
	s.Opened, s.Expires, s.Latest = now, now.Add(s.ttl), now.Add(ss.max)
	s.vouch(s.Identity)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for key, other := range ss.open {
		if !other.Expires.After(now) {
			ss.drop(key)
		}
	}
	maps.DeleteFunc(ss.ended, func(_ sessionKey, until time.Time) bool { return !until.After(now) })
	if key, ok := ss.key(r); ok {
		ss.drop(key)
	}
	ss.issue(w, s)
	return s
}

// issue stores the session under a new id and gives that to the browser. The caller holds mu.
func (ss *Sessions) issue(w http.ResponseWriter, s Session) {
	id := random()
	ss.put(sha256.Sum256([]byte(id)), s)
	http.SetCookie(w, cookie(ss.cookie, id, ss.secure))
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

// Ended tells how the session ended of a browser that still comes with its cookie.
func (ss *Sessions) Ended(r *http.Request) Ending {
	key, ok := ss.key(r)
	if !ok {
		return NotEnded
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, ok := ss.live(key); ok {
		return NotEnded
	}
	if _, ok := ss.ended[key]; ok {
		return Elsewhere
	}
	return TimedOut
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
	s.Expires = ss.now().Add(s.ttl)
	if s.Expires.After(s.Latest) {
		s.Expires = s.Latest
	}
	ss.open[key] = s
	return s, true
}

// Prove notes a fresh login of the same person within the session, by which they confirmed one thing: a new
// proof takes the place of an earlier one, and the session goes on under a new id. From now on it ends with
// the broker's session of that login too. ok is false if the session is over.
func (ss *Sessions) Prove(w http.ResponseWriter, r *http.Request, id Identity, purpose string) (ok bool) {
	return ss.renew(w, r, func(s *Session) {
		s.proof = proof{purpose: purpose, at: ss.now()}
		s.vouch(&id)
	})
}

// Renew gives the session a new id; ok is false if it is over.
func (ss *Sessions) Renew(w http.ResponseWriter, r *http.Request) (ok bool) {
	return ss.renew(w, r, func(*Session) {})
}

func (ss *Sessions) renew(w http.ResponseWriter, r *http.Request, change func(*Session)) bool {
	key, ok := ss.key(r)
	if !ok {
		return false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok := ss.live(key)
	if !ok {
		return false
	}
	ss.drop(key)
	change(&s)
	ss.issue(w, s)
	return true
}

// Spend uses the session's proof for a purpose up. It is false unless there is one that is not older than
// since; of two requests at the same time one gets it.
func (ss *Sessions) Spend(r *http.Request, purpose string, since time.Time) bool {
	key, ok := ss.key(r)
	if !ok {
		return false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok := ss.live(key)
	if !ok || !s.Proved(purpose, since) {
		return false
	}
	s.proof = proof{}
	ss.open[key] = s
	return true
}

// Close ends the browser's session, removes its cookie and returns what it was.
func (ss *Sessions) Close(w http.ResponseWriter, r *http.Request) (s Session, ok bool) {
	ss.clear(w)
	key, ok := ss.key(r)
	if !ok {
		return Session{}, false
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	s, ok = ss.live(key)
	ss.drop(key)
	delete(ss.ended, key)
	return s, ok
}

// clear removes the cookie from the browser.
func (ss *Sessions) clear(w http.ResponseWriter) {
	gone := cookie(ss.cookie, "", ss.secure)
	gone.MaxAge = -1
	http.SetCookie(w, gone)
}

// EndUser closes all sessions of the site's account but that of the request's browser.
func (ss *Sessions) EndUser(r *http.Request, user string) {
	own, _ := ss.key(r)
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for key, s := range ss.open {
		if s.User == user && key != own {
			ss.end(key)
		}
	}
}

// EndAtBroker closes the sessions for which the broker's session sid vouched, or, with an empty sid, all
// that are of the subject; with both, a session must be of both. It returns how many those were.
func (ss *Sessions) EndAtBroker(sid, subject string) int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	keys := ss.bySID[sid]
	if sid == "" {
		keys = ss.bySubject[subject]
	}
	ended := 0
	for _, key := range slices.Collect(maps.Keys(keys)) {
		if s := ss.open[key]; subject == "" || s.vouched.Subject == subject {
			ss.end(key)
			ended++
		}
	}
	return ended
}

// end closes a session that its browser knows nothing of. The caller holds mu.
func (ss *Sessions) end(key sessionKey) {
	ss.ended[key] = ss.open[key].Latest
	ss.drop(key)
}

func (ss *Sessions) live(key sessionKey) (Session, bool) {
	s, ok := ss.open[key]
	if !ok || !s.Expires.After(ss.now()) {
		ss.drop(key)
		return Session{}, false
	}
	return s, true
}

func (ss *Sessions) key(r *http.Request) (key sessionKey, ok bool) {
	ck, err := r.Cookie(cookieName(ss.cookie, ss.secure))
	if err != nil || ck.Value == "" {
		return key, false
	}
	return sha256.Sum256([]byte(ck.Value)), true
}
