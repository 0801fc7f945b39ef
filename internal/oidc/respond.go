package oidc

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/web"
)

// Respond answers an authorization request at its redirect URI, in its response mode: with params, which
// hold a code or an error, the request's state, and iss (RFC 9207).
func (s *Server) Respond(w http.ResponseWriter, r *http.Request, req grant.Request, params url.Values) {
	noStore(w.Header())
	if req.State != "" {
		params.Set("state", req.State)
	}
	params.Set("iss", s.Issuer)
	if req.ResponseMode == formPost {
		if err := web.AllowFormAction(w, req.RedirectURI); err != nil {
			s.noteFailure(r.Context(), "allow the form's target", err)
			s.Pages.Error(w, r, http.StatusInternalServerError, web.CodeInternal)
			return
		}
		s.Pages.FormPost(w, r, req, params)
		return
	}
	redirect(w, r, withQuery(req.RedirectURI, params))
}

// withQuery adds params to a URI, whose own bytes stay as they are (RFC 6749 §3.1.2).
func withQuery(uri string, params url.Values) string {
	switch {
	case len(params) == 0:
		return uri
	case !strings.Contains(uri, "?"):
		return uri + "?" + params.Encode()
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + params.Encode()
	}
	return uri + "&" + params.Encode()
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
