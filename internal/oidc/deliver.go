package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
)

// Deliverer tells sites of the ends of sessions (OIDC Back-Channel Logout §2.5): it delivers items of the kind
// outbox.Logout.
type Deliverer struct {
	Issuer string
	Keys   *keys.Ring
	Sites  *site.Directory
	Logout *logout.Service // opens the items
	Client *http.Client    // outbound.Client: the addresses are the sites'
	Now    func() time.Time
}

var _ outbox.Handler = (*Deliverer)(nil)

const (
	logoutType     = "logout+jwt" // §2.4
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	logoutLifetime = 2 * time.Minute
	maxReply       = 4 << 10
)

// logoutToken is a logout token (§2.4). It has no nonce, so that nobody takes it for an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub,omitempty"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"` // another at every try: a site may refuse one that it has seen (§2.6), though its answer was lost
	Events   map[string]struct{} `json:"events"`
	SID      string              `json:"sid,omitempty"`
}

// Deliver posts a fresh logout token to the site. Every answer but 200 and 204 is a failure (§2.8), redirects among
// them; it is tried again, whatever it says, since a site that is mended shall hear of it. The codes are
// "refused" for a 400, "status_" and the number for any other, "unreachable", and "no_site" for a site that is
// not registered, or has no address, any more.
func (d *Deliverer) Deliver(ctx context.Context, i outbox.Item) error {
	told, err := d.Logout.Open(i)
	if err != nil {
		return outbox.Permanent("unreadable", err)
	}
	registered, err := d.Sites.Lookup(told.Site)
	if err != nil || registered.BackchannelLogoutURI == "" {
		return outbox.Permanent("no_site", fmt.Errorf("oidc: site %q is told of no logouts any more", told.Site))
	}
	token, err := d.token(registered, told)
	if err != nil {
		return err
	}
	form := url.Values{"logout_token": {token}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, registered.BackchannelLogoutURI, strings.NewReader(form.Encode()))
	if err != nil {
		return outbox.Permanent("no_site", fmt.Errorf("oidc: backchannel_logout_uri of %q: %w", told.Site, err))
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "*/*")
	answer, err := d.Client.Do(r)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return outbox.Temporary("timeout", err)
	case err != nil:
		return outbox.Temporary("unreachable", err)
	}
	defer answer.Body.Close()
	// What is read keeps the connection for the next message; a longer body costs the site its connection.
	_, _ = io.CopyN(io.Discard, answer.Body, maxReply)
	switch answer.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		return nil
	case http.StatusBadRequest:
		return outbox.Temporary("refused", fmt.Errorf("oidc: site %q refused the logout token", told.Site))
	}
	return outbox.Temporary(fmt.Sprintf("status_%d", answer.StatusCode), fmt.Errorf("oidc: site %q answered %d", told.Site, answer.StatusCode))
}

// token mints the logout token.
func (d *Deliverer) token(registered *site.Registered, told logout.Told) (string, error) {
	now := d.Now()
	claims, err := json.Marshal(logoutToken{
		Issuer: d.Issuer, Subject: told.Subject, Audience: registered.ID, IssuedAt: now.Unix(), Expires: now.Add(logoutLifetime).Unix(),
		ID: secret.NewID(), Events: map[string]struct{}{logoutEvent: {}}, SID: told.SID,
	})
	if err != nil {
		return "", fmt.Errorf("oidc: encode logout token: %w", err)
	}
	return d.Keys.SignAs(keys.Algorithm(registered.SigningAlg), logoutType, claims)
}
