package rp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
)

// refusal is why a logout token is not accepted, in a text for the broker's log.
type refusal string

// Error implements error.
func (r refusal) Error() string { return string(r) }

// BackChannelLogout is the handler for BackChannelPath, for all methods: the broker says by a logout token
// that a session has ended (OIDC Back-Channel Logout §2.5), and those of the site that came from it end, by
// sid if the token has one, otherwise all of the subject's. A token is taken once; one that finds nothing to
// end is as good as any. Answers are 200, 400 with a JSON error for a bad token, 405, and 503 while the
// broker's keys cannot be fetched.
func (c *Client) BackChannelLogout(sessions ...*Sessions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			answerJSON(w, http.StatusMethodNotAllowed, "invalid_request", "a logout token comes by POST")
			return
		}
		token, err := c.takeLogoutToken(w, r)
		if err != nil {
			c.cfg.Log.WarnContext(r.Context(), "logout token not accepted", "error", err)
			why, refused := errors.AsType[refusal](err)
			if !refused {
				w.Header().Set("Retry-After", "5")
				answerJSON(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the token cannot be checked now")
				return
			}
			answerJSON(w, http.StatusBadRequest, "invalid_request", string(why))
			return
		}
		ended := 0
		for _, ss := range sessions {
			ended += ss.EndAtBroker(token.SessionID, token.Subject)
		}
		c.cfg.Log.InfoContext(r.Context(), "sessions ended by the provider", "channel", "back", "count", ended)
		w.WriteHeader(http.StatusOK)
	})
}

// takeLogoutToken returns the request's logout token after all checks of OIDC Back-Channel Logout §2.6. The
// error wraps a refusal, or is ErrUnavailable.
func (c *Client) takeLogoutToken(w http.ResponseWriter, r *http.Request) (logoutToken, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return logoutToken{}, refusal("the request is no form")
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*maxLogoutToken)
	if err := r.ParseForm(); err != nil {
		return logoutToken{}, refusal("the form cannot be read")
	}
	raw := r.PostForm["logout_token"] // not from the address, which logs keep
	if len(raw) != 1 {
		return logoutToken{}, refusal("the form has not exactly one logout_token")
	}
	token, err := parseLogoutToken(raw[0], c.cfg.SigningAlg)
	if err != nil {
		return logoutToken{}, refusal(err.Error())
	}
	if token.Issuer != c.cfg.Issuer || token.Audience != c.cfg.ClientID {
		return logoutToken{}, refusal("the logout token is another provider's or for another client")
	}
	now := c.cfg.Now()
	if now.After(token.Expires.Add(leeway)) || token.IssuedAt.After(now.Add(leeway)) {
		return logoutToken{}, refusal("the logout token is expired or not valid yet")
	}
	if err := c.checkSignature(r.Context(), raw[0]); err != nil {
		return logoutToken{}, err
	}
	if !c.used.take(token.ID, token.Expires.Add(leeway), now) {
		return logoutToken{}, refusal("the logout token was used before")
	}
	return token, nil
}

// checkSignature verifies the logout token against the broker's keys. go-oidc checks its claims once more.
func (c *Client) checkSignature(ctx context.Context, raw string) error {
	p, err := c.discover(ctx)
	if err != nil {
		return err
	}
	keys := &keysOnce{KeySet: p.keys}
	_, err = oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		ClientID: c.cfg.ClientID, SupportedSigningAlgs: []string{c.cfg.SigningAlg}, SkipExpiryCheck: true,
	}).VerifyLogout(c.context(ctx), raw)
	switch {
	case err != nil && keys.away:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err != nil:
		return fmt.Errorf("%w: %w", refusal("the logout token's signature does not fit"), err)
	}
	return nil
}

func answerJSON(w http.ResponseWriter, status int, code, description string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A connection that is gone is the sender's to notice.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}

// FrontChannelLogout is the handler for FrontChannelPath: the broker shows it in an iframe of its logout page
// (OIDC Front-Channel Logout §3), with its iss and the sid of the session that ended. Browsers keep the site's
// cookie out of frames of other sites, so the session is found by the sid, which nobody can guess. The cookie
// goes where the browser takes part.
func (c *Client) FrontChannelLogout(sessions ...*Sessions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors "+c.IssuerOrigin())
		h.Set("Content-Type", "text/html; charset=utf-8")
		query, err := singleValued(r.URL.RawQuery)
		if err != nil || query["iss"] != c.cfg.Issuer || query["sid"] == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(framed("로그아웃 요청을 확인하지 못했습니다.")))
			return
		}
		ended := 0
		for _, ss := range sessions {
			ended += ss.EndAtBroker(query["sid"], "")
			if ss.Ended(r) == Elsewhere {
				ss.Close(w, r)
			}
		}
		c.cfg.Log.InfoContext(r.Context(), "sessions ended by the provider", "channel", "front", "count", ended)
		_, _ = w.Write([]byte(framed("로그아웃했습니다.")))
	})
}

// framed is a page that nobody looks at.
func framed(text string) string {
	return `<!doctype html><html lang="ko"><meta charset="utf-8"><title>로그아웃</title><p>` + text + `</p></html>`
}
