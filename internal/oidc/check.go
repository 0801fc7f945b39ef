package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// browserState is the browser state while the session under the handle is in the browser. It gives away nothing of
// the handle.
func browserState(handle string) string {
	if handle == "" {
		return ""
	}
	return secret.Hash("browser state\n" + handle)
}

// handle is the handle of the session that the browser has after this answer: that in a cookie which w sets or
// clears, or else the one that came.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) string {
	handle := s.Cookies.Get(r, session.Cookie)
	for _, line := range w.Header()["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil && c.Name == s.Cookies.Name(session.Cookie) {
			handle = c.Value
		}
	}
	return handle
}

// syncState makes the browser state follow the session under the handle, and returns it.
func (s *Server) syncState(w http.ResponseWriter, r *http.Request, handle string) string {
	state := browserState(handle)
	if state == s.Cookies.Get(r, session.StateCookie) {
		return state
	}
	c := &http.Cookie{Name: s.Cookies.Name(session.StateCookie), Value: state, Path: "/", Secure: s.Cookies.Secure, SameSite: http.SameSiteNoneMode}
	if !c.Secure { // a loopback host: other ports of it are the same site, and None is for secure cookies only
		c.SameSite = http.SameSiteLaxMode
	}
	if state == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
	return state
}

// tellState adds the session state to an answer for a site that watches the session (Session Management §2).
func (s *Server) tellState(req grant.Request, params url.Values, state string) {
	registered, err := s.Sites.Lookup(req.Site)
	if err != nil || !registered.SessionManagement {
		return
	}
	params.Set("session_state", sessionState(req.Site, webOrigin(req.RedirectURI), state, secret.NewID()))
}

// sessionState is what the site compares with (Session Management §3.2); assets/check-session.js does the same.
func sessionState(client, origin, state, salt string) string {
	sum := sha256.Sum256([]byte(client + " " + origin + " " + state + " " + salt))
	return base64.RawURLEncoding.EncodeToString(sum[:]) + "." + salt
}

// webOrigin is the origin of a registered address as browsers write it: without the scheme's own port.
func webOrigin(uri string) string {
	origin := site.Origin(uri)
	if strings.HasPrefix(origin, "https:") {
		return strings.TrimSuffix(origin, ":443")
	}
	return strings.TrimSuffix(origin, ":80")
}

// checkPolicy lets any site frame the page. It shows nothing and can do nothing but answer a site with one word about
// what it knows already.
const checkPolicy = "default-src 'none'; script-src 'self'; frame-ancestors *; form-action 'none'; base-uri 'none'"

// checkPage is the page of check_session_iframe (Session Management §3.3).
func (s *Server) checkPage() (string, error) {
	script, err := web.Asset("check-session.js")
	if err != nil {
		return "", err
	}
	return `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Session</title><script src="` + script +
		`" data-cookie="` + s.Cookies.Name(session.StateCookie) + `"></script></html>`, nil
}

func (s *Server) checkSession(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", checkPolicy)
	h.Set("Cache-Control", "no-cache")
	_, _ = w.Write([]byte(s.check)) // an error means that the browser has gone
}
