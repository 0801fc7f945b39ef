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

// logoutTTL is long, since the broker may ask the citizen, who may be gone for lunch, and tell other sites
// before it sends the browser back.
const logoutTTL = 12 * time.Hour

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
