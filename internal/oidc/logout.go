package oidc

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// logout is a request to sign out (OIDC RP-Initiated Logout §2), as far as it can be believed.
type logout struct {
	site  *site.Registered // who asks; nil if that is not proved
	sid   string           // of the session that the hint is from
	after string           // where to go then: registered, and asked for with a good hint; or empty
	state string
}

// logoutFields are the parameters that survive the confirmation page.
var logoutFields = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

// parseLogout believes nothing without an ID token of ours: without one there is neither a site nor an
// address to go to. An address that the site has not registered is refused.
func (s *Server) parseLogout(values url.Values) (logout, *refusal) {
	for _, v := range values {
		if len(v) > 1 {
			return logout{}, refuse(CodeRequest, "a parameter stands twice")
		}
	}
	h, registered := s.believed(values)
	if registered == nil {
		return logout{}, nil
	}
	l := logout{site: registered, sid: h.SID}
	if after := values.Get("post_logout_redirect_uri"); after != "" {
		if !slices.Contains(registered.PostLogoutRedirectURIs, after) {
			return logout{}, refuse(CodeRedirect, "post_logout_redirect_uri is not registered")
		}
		l.after = after
	}
	if state := values.Get("state"); len(state) <= maxState && verbatim(state) {
		l.state = state
	}
	return l, nil
}

// believed returns what the hint says and the site that it was issued to; no site without a good hint.
func (s *Server) believed(values url.Values) (hint, *site.Registered) {
	h, err := s.openHint(values.Get("id_token_hint"))
	if id := values.Get("client_id"); err != nil || (id != "" && id != h.Audience) {
		return hint{}, nil
	}
	registered, err := s.Sites.Lookup(h.Audience)
	if err != nil {
		return hint{}, nil
	}
	return h, registered
}

// endSession is the end session endpoint. A session ends at once when the request comes with one of its
// own ID tokens; else the citizen is asked, because anybody can send a browser here.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	values, l, ok := s.logoutRequest(w, r)
	if !ok {
		return
	}
	handle := s.Cookies.Get(r, session.Cookie)
	if s.reenter(w, r, handle, endSessionPath, values) {
		return
	}
	if handle == "" && r.Method == http.MethodPost {
		// Too long to come back as a GET. The cookie comes with the confirmation, if there is one.
		s.confirmLogout(w, r, l, values)
		return
	}
	known, err := s.Sessions.Find(r.Context(), handle)
	switch {
	case fault.Is(err, fault.NotFound):
		s.loggedOut(w, r, l)
	case err != nil:
		s.failPage(w, r, err)
	case l.site == nil, l.sid != known.SID(l.site.ID):
		s.confirmLogout(w, r, l, values)
	default:
		s.end(w, r, l, handle, known)
	}
}

// confirmedLogout is where the confirmation page posts to.
func (s *Server) confirmedLogout(w http.ResponseWriter, r *http.Request) {
	_, l, ok := s.logoutRequest(w, r)
	if !ok {
		return
	}
	handle := s.Cookies.Get(r, session.Cookie)
	known, err := s.Sessions.Find(r.Context(), handle)
	switch {
	case fault.Is(err, fault.NotFound):
		s.loggedOut(w, r, l)
	case err != nil:
		s.failPage(w, r, err)
	default:
		s.end(w, r, l, handle, known)
	}
}

// logoutRequest reads and validates the request, or answers it with a page.
func (s *Server) logoutRequest(w http.ResponseWriter, r *http.Request) (url.Values, logout, bool) {
	noStore(w.Header())
	values, err := formValues(w, r)
	if err != nil {
		s.Pages.Error(w, r, http.StatusBadRequest, CodeRequest)
		return nil, logout{}, false
	}
	l, refused := s.parseLogout(values)
	if refused != nil {
		s.Pages.Error(w, r, http.StatusBadRequest, refused.code)
		return nil, logout{}, false
	}
	return values, l, true
}

func (s *Server) confirmLogout(w http.ResponseWriter, r *http.Request, l logout, values url.Values) {
	if l.after != "" {
		if err := web.AllowFormAction(w, l.after); err != nil {
			s.failPage(w, r, err)
			return
		}
	}
	kept := make(url.Values)
	for _, field := range logoutFields {
		if v := values.Get(field); v != "" {
			kept.Set(field, v)
		}
	}
	s.Pages.LogoutConfirm(w, r, l.site, logoutPath, kept)
}

// end ends the session, which is written down first, and shows the citizen out.
func (s *Server) end(w http.ResponseWriter, r *http.Request, l logout, handle string, known *session.Session) {
	event := audit.New(s.Now(), audit.SessionEnded, audit.Citizen)
	event.Person = known.Person
	if l.site != nil {
		event.Site = l.site.ID
	}
	event.Address = web.ClientAddrText(r.Context())
	if err := s.Audit.Record(r.Context(), event); err != nil {
		s.failPage(w, r, err)
		return
	}
	if _, err := s.Sessions.End(r.Context(), handle); err != nil && !fault.Is(err, fault.NotFound) {
		s.failPage(w, r, err)
		return
	}
	s.loggedOut(w, r, l)
}

// loggedOut clears the cookie and goes where the site asked, or says that it is done.
func (s *Server) loggedOut(w http.ResponseWriter, r *http.Request, l logout) {
	s.Cookies.Clear(w, session.Cookie)
	if l.after == "" {
		s.Pages.LoggedOut(w, r, l.site)
		return
	}
	params := url.Values{}
	if l.state != "" {
		params.Set("state", l.state)
	}
	redirect(w, r, withQuery(l.after, params))
}

// failPage tells the citizen that the broker cannot answer.
func (s *Server) failPage(w http.ResponseWriter, r *http.Request, err error) {
	s.noteFailure(r.Context(), "answer a logout", err)
	if fault.Is(err, fault.Unavailable) {
		w.Header().Set("Retry-After", retryAfter)
		s.Pages.Error(w, r, http.StatusServiceUnavailable, CodeUnavailable)
		return
	}
	s.Pages.Error(w, r, http.StatusInternalServerError, web.CodeInternal)
}
