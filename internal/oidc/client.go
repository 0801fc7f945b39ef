package oidc

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// VerifyClient authenticates the site that calls, by the one method that it is registered with. An
// unknown site, a wrong secret and a wrong method get one answer in one time.
func (p *provider) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	registered := p.s.authenticated(r)
	if registered == nil {
		return nil, p.s.refuseClient(ctx, r.Data.ClientID)
	}
	if g := r.Form.Get("grant_type"); g != "" && !slices.Contains(registered.GrantTypes, g) {
		return nil, badRequest(oidc.ErrUnauthorizedClient(), "the site is not registered for this grant type")
	}
	return client{registered}, nil
}

// authenticated returns the site if its credentials are right, or nil.
func (s *Server) authenticated(r *op.Request[op.ClientCredentials]) *site.Registered {
	presented := site.Public
	switch {
	case r.Header.Get("Authorization") != "":
		presented = site.SecretBasic
	case r.Form.Has("client_secret"):
		presented = site.SecretPost
	}
	registered, err := s.Sites.Lookup(r.Data.ClientID)
	if err != nil {
		registered = nobody
	}
	match := holds(registered, r.Data.ClientSecret, s.Now())
	if registered == nobody || presented != registered.AuthMethod {
		return nil
	}
	if registered.AuthMethod == site.Public || match {
		return registered
	}
	return nil
}

// nobody stands in for a site that there is not, so that asking for one takes the same time.
var nobody = &site.Registered{Secrets: []site.Secret{{Hash: secret.Hash("")}}}

// holds reports whether one of the site's live secrets was presented. It looks at all of them.
func holds(registered *site.Registered, presented string, now time.Time) bool {
	hash, match := secret.Hash(presented), false
	for _, kept := range registered.Secrets {
		live := kept.ExpiresAt.IsZero() || now.Before(kept.ExpiresAt)
		match = secret.Equal(hash, kept.Hash) && live || match
	}
	return match
}

// refuseClient counts the failure, per address and site, and says so: 401, or 429 when there were too
// many. Whoever knows the secret is let in all the same, so nobody can lock a site out.
func (s *Server) refuseClient(ctx context.Context, clientID string) error {
	if _, err := s.Sites.Lookup(clientID); err != nil {
		clientID = "" // guessed names share one counter
	}
	h := answerHeader(ctx)
	allowed, wait, err := s.Limiter.Allow(ctx, LimitClass, web.AddrKey(web.ClientAddr(ctx))+" "+clientID)
	if err != nil {
		s.noteFailure(ctx, "count a failed client authentication", err)
	} else if !allowed {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		return op.NewStatusError(oidc.ErrInvalidClient().WithDescription("too many failed attempts"), http.StatusTooManyRequests)
	}
	challenge(h)
	return op.NewStatusError(oidc.ErrInvalidClient().WithDescription("client authentication failed"), http.StatusUnauthorized)
}

// client shows a site to the library. What the library asks beyond the id and the grant types belongs
// to flows of its that are not used here.
type client struct{ *site.Registered }

var _ op.Client = client{}

func (c client) GetID() string                    { return c.ID }
func (c client) RedirectURIs() []string           { return c.Registered.RedirectURIs }
func (c client) PostLogoutRedirectURIs() []string { return c.Registered.PostLogoutRedirectURIs }
func (c client) AuthMethod() oidc.AuthMethod      { return oidc.AuthMethod(c.Registered.AuthMethod) }
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

func (c client) GrantTypes() []oidc.GrantType {
	types := make([]oidc.GrantType, len(c.Registered.GrantTypes))
	for i, g := range c.Registered.GrantTypes {
		types[i] = oidc.GrantType(g)
	}
	return types
}

func (c client) ApplicationType() op.ApplicationType                          { return op.ApplicationTypeWeb }
func (c client) LoginURL(string) string                                       { return "" }
func (c client) AccessTokenType() op.AccessTokenType                          { return op.AccessTokenTypeBearer }
func (c client) IDTokenLifetime() time.Duration                               { return 0 }
func (c client) DevMode() bool                                                { return false }
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return nil } //nolint:staticcheck // the library's spelling
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return nil }
func (c client) IsScopeAllowed(scope string) bool                             { return slices.Contains(c.Scopes, scope) }
func (c client) IDTokenUserinfoClaimsAssertion() bool                         { return false }
func (c client) ClockSkew() time.Duration                                     { return 0 }
