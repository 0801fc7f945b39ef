package oidc

import (
	"context"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/site"
)

// introspection is the answer of RFC 7662 §2.2.
type introspection struct {
	Active    bool   `json:"active"`
	Scope     string `json:"scope,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	TokenType string `json:"token_type,omitempty"` // of access tokens only
	Expires   int64  `json:"exp,omitempty"`
	IssuedAt  int64  `json:"iat,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	Issuer    string `json:"iss,omitempty"`
	AuthTime  int64  `json:"auth_time,omitempty"` // RFC 9470 §6.2
	ACR       string `json:"acr,omitempty"`
}

// Introspect tells a confidential site about a token of its own. Other sites' tokens are as good as
// none.
func (p *provider) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	verified, err := p.VerifyClient(ctx, &op.Request[op.ClientCredentials]{
		Method: r.Method, URL: r.URL, Header: r.Header, Form: r.Form, Data: r.Data.ClientCredentials,
	})
	if err != nil {
		return nil, err
	}
	registered := verified.(client).Registered
	answer, err := p.s.introspect(ctx, registered, r.Data.Token)
	switch {
	case fault.Is(err, fault.NotFound):
		return op.NewResponse(introspection{}), nil
	case err != nil: // never taken for an inactive token
		return nil, p.s.apiError(ctx, "introspect a token", err)
	}
	return op.NewResponse(answer), nil
}

// introspect returns fault.NotFound for what is no live token of the site.
func (s *Server) introspect(ctx context.Context, registered *site.Registered, token string) (introspection, error) {
	access, err := s.Grants.Access(ctx, token)
	kind := oidc.BearerToken
	if fault.Is(err, fault.NotFound) {
		var f grant.Family
		if f, err = s.Grants.Refresh(ctx, token); err == nil {
			access, kind = f.Access, ""
			access.IssuedAt, access.ExpiresAt = f.UsedAt, f.ExpiresAt
		}
	}
	if err != nil {
		return introspection{}, err
	}
	if access.Site != registered.ID {
		return introspection{}, fault.New(fault.NotFound, "oidc: the token is another site's")
	}
	return introspection{
		Active: true, Scope: strings.Join(access.Scopes, " "), ClientID: access.Site, TokenType: kind,
		Expires: access.ExpiresAt.Unix(), IssuedAt: access.IssuedAt.Unix(), AuthTime: access.Authentication.At.Unix(),
		Subject:  registered.Subject(s.Subjects, access.Authentication.Person),
		Audience: access.Site, Issuer: s.Issuer, ACR: access.ACR,
	}, nil
}

// Revocation ends a token of the site, whatever kind the hint says (RFC 7009 §2.1): an access token
// alone, a refresh token with all that came from its grant. What is no token of the site is no error.
func (p *provider) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	registered := r.Client.(client).Registered
	ours, err := p.s.Grants.RevokeRefresh(ctx, registered.ID, r.Data.Token)
	if err == nil && !ours {
		err = p.s.Grants.RevokeAccess(ctx, registered.ID, r.Data.Token)
	}
	if err != nil {
		return nil, p.s.apiError(ctx, "revoke a token", err)
	}
	return op.NewResponse(nil), nil
}
