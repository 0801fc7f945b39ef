package oidc

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// signOut is a request to sign out (OIDC RP-Initiated Logout §2), as far as it can be believed.
type signOut struct {
	site  *site.Registered // who asks; nil if that is not proved
	sid   string           // of the session that the hint is from
	after string           // where to go then: registered, and asked for with a good hint; or empty
	state string
}

// logoutFields are the parameters that survive the confirmation page.
var logoutFields = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

// parseLogout believes nothing without an ID token of ours: without one there is neither a site nor an
// address to go to. An address that the site has not registered is refused.
func (s *Server) parseLogout(values url.Values) (signOut, *refusal) {
	for _, v := range values {
		if len(v) > 1 {
			return signOut{}, refuse(CodeRequest, "a parameter stands twice")
		}
	}
	h, registered := s.believed(values)
	if registered == nil {
		return signOut{}, nil
	}
	o := signOut{site: registered, sid: h.SID}
	if after := values.Get("post_logout_redirect_uri"); after != "" {
		if !slices.Contains(registered.PostLogoutRedirectURIs, after) {
			return signOut{}, refuse(CodeRedirect, "post_logout_redirect_uri is not registered")
		}
		o.after = after
	}
	if state := values.Get("state"); len(state) <= maxState && verbatim(state) {
		o.state = state
	}
	return o, nil
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
// own ID tokens and no other site uses it; else the citizen is asked: anybody can send a browser here, and who leaves
// one site may want to stay at the others.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) {
	values, o, ok := s.logoutRequest(w, r)
	if !ok {
		return
	}
	handle := s.Cookies.Get(r, session.Cookie)
	if s.reenter(w, r, handle, endSessionPath, values) {
		return
	}
	if handle == "" && r.Method == http.MethodPost {
		// Too long to come back as a GET. The cookie comes with the confirmation, if there is one.
		s.confirmLogout(w, r, o, nil, values)
		return
	}
	known, err := s.Sessions.Find(r.Context(), handle)
	switch {
	case fault.Is(err, fault.NotFound):
		s.signedOut(w, r, o)
	case err != nil:
		s.failPage(w, r, err)
	case !o.of(known), len(s.others(known, o.site)) > 0:
		s.confirmLogout(w, r, o, known, values)
	default:
		s.end(w, r, o, handle, known)
	}
}

// confirmedLogout is where the confirmation page posts to.
func (s *Server) confirmedLogout(w http.ResponseWriter, r *http.Request) {
	values, o, ok := s.logoutRequest(w, r)
	if !ok {
		return
	}
	handle := s.Cookies.Get(r, session.Cookie)
	known, err := s.Sessions.Find(r.Context(), handle)
	switch {
	case fault.Is(err, fault.NotFound):
		s.signedOut(w, r, o)
	case err != nil:
		s.failPage(w, r, err)
	case values.Get(ScopeField) == ScopeThis && o.site != nil:
		s.leave(w, r, o, handle, known)
	default:
		s.end(w, r, o, handle, known)
	}
}

// of reports whether the hint is from the session.
func (o signOut) of(known *session.Session) bool {
	return o.site != nil && o.sid == known.SID(o.site.ID)
}

// others are the sites besides the one at which the session is used, by name.
func (s *Server) others(known *session.Session, from *site.Registered) []*site.Registered {
	var others []*site.Registered
	for _, id := range known.Used() {
		if registered, err := s.Sites.Lookup(id); err == nil && id != from.ID {
			others = append(others, registered)
		}
	}
	slices.SortStableFunc(others, func(a, b *site.Registered) int { return strings.Compare(a.Name, b.Name) })
	return others
}

// logoutRequest reads and validates the request, or answers it with a page.
func (s *Server) logoutRequest(w http.ResponseWriter, r *http.Request) (url.Values, signOut, bool) {
	noStore(w.Header())
	values, err := formValues(w, r)
	if err != nil {
		s.Pages.Error(w, r, http.StatusBadRequest, CodeRequest)
		return nil, signOut{}, false
	}
	o, refused := s.parseLogout(values)
	if refused != nil {
		s.Pages.Error(w, r, http.StatusBadRequest, refused.code)
		return nil, signOut{}, false
	}
	return values, o, true
}

// confirmLogout asks whether to end the session, which is nil where it is not known yet, and where it is the site's
// and other sites use it, whether to leave the site only.
func (s *Server) confirmLogout(w http.ResponseWriter, r *http.Request, o signOut, known *session.Session, values url.Values) {
	if o.after != "" {
		if err := web.AllowFormAction(w, o.after); err != nil {
			s.failPage(w, r, err)
			return
		}
	}
	ask := LogoutAsk{Site: o.site, Action: logoutPath, Values: make(url.Values)}
	if known != nil && o.site != nil && (o.of(known) || known.Uses(o.site.ID)) {
		ask.Others = s.others(known, o.site)
	}
	for _, field := range logoutFields {
		if v := values.Get(field); v != "" {
			ask.Values.Set(field, v)
		}
	}
	s.Pages.LogoutConfirm(w, r, ask)
}

// why is what is written down of the end of a session in this browser.
func (o signOut) why(r *http.Request) logout.Why {
	why := logout.Why{Cause: logout.Citizen, Actor: audit.Citizen, Address: web.ClientAddrText(r.Context()), Browser: web.Browser(r)}
	if o.site != nil {
		why.Cause, why.Site = logout.Site, o.site.ID
	}
	return why
}

// end ends the session, and shows the citizen out.
func (s *Server) end(w http.ResponseWriter, r *http.Request, o signOut, handle string, known *session.Session) {
	frames := s.Logout.Frames(known.ID, known.Used())
	batch, err := s.Logout.End(r.Context(), known.ID, o.why(r))
	if err == nil {
		s.Cookies.Clear(w, session.Cookie)
		s.told(w, r, o, batch, LogoutDone{Site: o.site, Frames: frames})
		return
	}
	if fault.Is(err, fault.NotFound) { // somebody else ended it just now, or nothing is left of it but the handle
		_, err = s.Sessions.End(r.Context(), handle)
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		s.failPage(w, r, err)
		return
	}
	s.signedOut(w, r, o)
}

// leave signs out of the site only.
func (s *Server) leave(w http.ResponseWriter, r *http.Request, o signOut, handle string, known *session.Session) {
	frames := s.Logout.Frames(known.ID, []string{o.site.ID})
	batch, err := s.Logout.Leave(r.Context(), handle, o.site.ID, o.why(r))
	done := LogoutDone{Site: o.site, Left: true}
	switch {
	case fault.Is(err, fault.NotFound): // it is not used there any more
		s.shown(w, r, o, done)
	case err != nil:
		s.failPage(w, r, err)
	default:
		done.Frames = frames
		s.told(w, r, o, batch, done)
	}
}

// patience is how long the citizen waits for the sites that are told. Those that take longer are told behind.
const patience = 2 * time.Second

// told waits a moment for the sites of the batch, and shows the citizen out with the receipt.
func (s *Server) told(w http.ResponseWriter, r *http.Request, o signOut, batch string, done LogoutDone) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	deliveries, err := s.Logout.Await(ctx, batch)
	if err != nil { // it is done all the same; the receipt can be had later
		s.noteFailure(r.Context(), "read the receipt of a logout", err)
	}
	done.Deliveries = deliveries
	s.Cookies.Set(w, logout.ReceiptCookie, batch, int(receiptFor/time.Second))
	s.shown(w, r, o, done)
}

// receiptFor is how long the browser can ask for the receipt.
const receiptFor = time.Hour

// signedOut shows out a citizen whose session is over already.
func (s *Server) signedOut(w http.ResponseWriter, r *http.Request, o signOut) {
	s.Cookies.Clear(w, session.Cookie)
	s.shown(w, r, o, LogoutDone{Site: o.site})
}

// shown goes where the site asked, by way of a page where frames are to be loaded, or says that it is done.
func (s *Server) shown(w http.ResponseWriter, r *http.Request, o signOut, done LogoutDone) {
	s.syncState(w, r, s.handle(w, r))
	if o.after != "" {
		params := url.Values{}
		if o.state != "" {
			params.Set("state", o.state)
		}
		done.Continue = site.WithQuery(o.after, params)
		if len(done.Frames) == 0 {
			redirect(w, r, done.Continue)
			return
		}
	}
	s.Pages.LoggedOut(w, r, done)
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
