package rp

import (
	"context"
	"net/url"
)

// SessionCheck is what the site's iframe needs to ask the broker's whether the login there has changed (OIDC
// Session Management §3.1).
type SessionCheck struct {
	Frame   string // address of the broker's iframe
	Origin  string // of Frame: whom the question goes to, and from whom the answer must come
	Message string // client id, space, session state
}

// SessionCheck returns how to check on the session; ok is false if the broker offers no such checks, or cannot
// be reached.
func (c *Client) SessionCheck(ctx context.Context, s Session) (check SessionCheck, ok bool) {
	if s.vouched == nil || s.vouched.SessionState == "" {
		return SessionCheck{}, false
	}
	p, err := c.discover(ctx)
	if err != nil || p.checkSession == "" {
		return SessionCheck{}, false
	}
	frame, err := url.Parse(p.checkSession)
	if err != nil || frame.Host == "" {
		return SessionCheck{}, false
	}
	return SessionCheck{
		Frame: p.checkSession, Origin: frame.Scheme + "://" + frame.Host, Message: c.cfg.ClientID + " " + s.vouched.SessionState,
	}, true
}
