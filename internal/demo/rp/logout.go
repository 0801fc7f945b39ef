package rp

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Outcome is how far a logout reached.
type Outcome string

// The outcomes of a logout.
const (
	LocalOnly Outcome = "local"   // the session was the site's alone
	AtBroker  Outcome = "broker"  // the broker was asked, and sent the browser back
	Partial   Outcome = "partial" // the site's session ended; the broker could not be asked
)

const logoutTTL = time.Hour // the broker may ask the citizen before it ends its own session

// Logout sends the browser on after the site has closed its own session: to the broker's
// end_session_endpoint (OIDC RP-Initiated Logout §2) if id is the identity that the session came
// from, otherwise straight to LoggedOutPath.
func (c *Client) Logout(w http.ResponseWriter, r *http.Request, id *Identity) {
	state := random()
	target := c.cfg.BaseURL + LoggedOutPath + "?" + url.Values{"state": {state}}.Encode()
	outcome := LocalOnly
	if id != nil {
		outcome = Partial
		if p, err := c.discover(r.Context()); err != nil {
			c.cfg.Log.WarnContext(r.Context(), "logout does not reach the provider", "error", err)
		} else if end, err := url.Parse(p.endSession); err == nil && p.endSession != "" {
			outcome = AtBroker
			query := end.Query()
			query.Set("id_token_hint", id.IDToken)
			query.Set("client_id", c.cfg.ClientID)
			query.Set("post_logout_redirect_uri", c.cfg.BaseURL+LoggedOutPath)
			query.Set("state", state)
			end.RawQuery = query.Encode()
			target = end.String()
		}
	}
	ck := cookie(c.cfg.Name+"-logout", string(outcome)+"."+state, c.secure)
	ck.MaxAge = int(logoutTTL / time.Second)
	http.SetCookie(w, ck)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// LoggedOut reads the return from a logout. ok is false if the state is not that of this browser's
// last logout: the visit then says nothing about a session.
func (c *Client) LoggedOut(r *http.Request) (outcome Outcome, ok bool) {
	ck, err := r.Cookie(cookieName(c.cfg.Name+"-logout", c.secure))
	if err != nil {
		return "", false
	}
	kept, state, _ := strings.Cut(ck.Value, ".")
	given := r.URL.Query().Get("state")
	if state == "" || subtle.ConstantTimeCompare([]byte(state), []byte(given)) != 1 {
		return "", false
	}
	switch outcome := Outcome(kept); outcome {
	case LocalOnly, AtBroker, Partial:
		return outcome, true
	}
	return "", false
}

// BackChannelLogout is the handler for BackChannelPath: it verifies the broker's logout token (OIDC
// Back-Channel Logout §2.6) and ends the sessions that it names, by sid if there is one, otherwise
// all of the subject's. Tokens are not remembered: one that comes again, as a retry does, only asks for
// the same end.
func (c *Client) BackChannelLogout(ss *Sessions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 32<<10)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "invalid_request", http.StatusBadRequest)
			return
		}
		p, err := c.discover(r.Context())
		if err != nil {
			c.cfg.Log.WarnContext(r.Context(), "logout token not checked", "error", err)
			http.Error(w, "temporarily_unavailable", http.StatusServiceUnavailable)
			return
		}
		token, err := c.verifier(p).VerifyLogout(c.context(r.Context()), r.PostForm.Get("logout_token"))
		if err != nil {
			c.cfg.Log.WarnContext(r.Context(), "logout token refused", "error", err)
			http.Error(w, "invalid_request", http.StatusBadRequest)
			return
		}
		ended := ss.End(func(s Session) bool {
			if s.Identity == nil || (token.Subject != "" && s.Identity.Subject != token.Subject) {
				return false
			}
			return token.SessionID == "" || s.Identity.SessionID == token.SessionID
		})
		c.cfg.Log.InfoContext(r.Context(), "sessions ended by the provider", "count", ended)
		w.WriteHeader(http.StatusOK)
	})
}
