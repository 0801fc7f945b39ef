package oidc

import (
	"net/http"
	"net/url"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// Respond answers an authorization request at its redirect URI, in its response mode: with params, which
// hold a code or an error, the request's state, iss (RFC 9207), and session_state where the site watches the
// session. A session cookie that w sets already counts.
func (s *Server) Respond(w http.ResponseWriter, r *http.Request, req grant.Request, params url.Values) {
	s.respond(w, r, req, params, s.handle(w, r))
}

// respond is Respond with the handle of the browser's session.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, req grant.Request, params url.Values, handle string) {
	noStore(w.Header())
	if req.State != "" {
		params.Set("state", req.State)
	}
	params.Set("iss", s.Issuer)
	s.tellState(req, params, s.syncState(w, r, handle))
	if req.ResponseMode == formPost {
		if err := web.AllowFormAction(w, req.RedirectURI); err != nil {
			s.noteFailure(r.Context(), "allow the form's target", err)
			s.Pages.Error(w, r, http.StatusInternalServerError, web.CodeInternal)
			return
		}
		s.Pages.FormPost(w, r, req, params)
		return
	}
	redirect(w, r, site.WithQuery(req.RedirectURI, params))
}

// redirect sends the browser on by GET. After a POST that takes a 303: a 302 or 307 could carry the form
// along (RFC 9700 §4.12).
func redirect(w http.ResponseWriter, r *http.Request, location string) {
	w.Header().Set("Location", location)
	if r.Method == http.MethodGet {
		w.WriteHeader(http.StatusFound)
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}

// fail tells the site that the broker cannot answer, and nothing of why.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, req grant.Request, err error) {
	s.noteFailure(r.Context(), "answer an authorization request", err)
	code := "server_error"
	if fault.Is(err, fault.Unavailable) {
		code = "temporarily_unavailable"
	}
	s.Respond(w, r, req, refuse(code, "").params())
}
