package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
)

// provider is what runs on the library. Its other methods stay unimplemented: they refuse.
type provider struct {
	op.UnimplementedServer
	s *Server
}

var _ op.Server = (*provider)(nil)

// CodeExchange redeems an authorization code (OIDC Core §3.1.3).
func (p *provider) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	registered := r.Client.(client).Registered
	code, err := p.s.Grants.RedeemCode(ctx, r.Data.Code, func(c grant.Code) error {
		return checkCode(c, registered, r.Data)
	})
	if err != nil {
		return nil, p.s.tokenError(ctx, "redeem a code", err)
	}
	access := grant.Access{
		Grant: code.Grant, Site: registered.ID, Scopes: code.Request.Scopes, Claims: code.Request.Claims,
		Authentication: code.Authentication, Session: code.Session, Items: code.Items,
		ACR:       code.Request.ACR(code.Authentication.Method, code.Authentication.Level),
		GrantedAt: code.GrantedAt, EndsAt: registered.SessionEnd(code.GrantedAt),
	}
	answer, err := p.s.tokens(ctx, registered, access, code.Request.Nonce, p.s.Now())
	if err != nil {
		return nil, p.s.tokenError(ctx, "answer a code", err)
	}
	if slices.Contains(access.Scopes, site.ScopeOfflineAccess) && slices.Contains(registered.GrantTypes, site.RefreshToken) {
		if answer.RefreshToken, err = p.s.Grants.IssueRefresh(ctx, access); err != nil {
			return nil, p.s.tokenError(ctx, "issue a refresh token", err)
		}
	}
	return op.NewResponse(answer), nil
}

// checkCode refuses a code that is another site's, was asked for with another redirect URI, or comes
// without the verifier that its challenge needs, or with one although there was no challenge (RFC 9700
// §2.1.1). The answer does not say which.
func checkCode(c grant.Code, registered *site.Registered, r *oidc.AccessTokenRequest) error {
	if c.Request.Site != registered.ID || c.Request.RedirectURI != r.RedirectURI {
		return errMismatch
	}
	if c.Request.CodeChallenge == "" {
		if r.CodeVerifier != "" {
			return errMismatch
		}
		return nil
	}
	sum := sha256.Sum256([]byte(r.CodeVerifier))
	if !isVerifier(r.CodeVerifier) || !secret.Equal(base64.RawURLEncoding.EncodeToString(sum[:]), c.Request.CodeChallenge) {
		return errMismatch
	}
	return nil
}

var errMismatch = fault.New(fault.Denied, "oidc: the code was given for another request")

// RefreshToken replaces a refresh token (OIDC Core §12).
func (p *provider) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	registered := r.Client.(client).Registered
	var scopes []string
	next, family, err := p.s.Grants.Rotate(ctx, registered.ID, r.Data.RefreshToken, func(f grant.Family) (err error) {
		scopes, err = narrow(f.Access.Scopes, r.Data.Scopes)
		return err
	})
	if errors.Is(err, errWider) {
		return nil, badRequest(oidc.ErrInvalidScope(), "the scope goes beyond what was granted")
	}
	if err != nil {
		return nil, p.s.tokenError(ctx, "rotate a refresh token", err)
	}
	access := family.Access
	access.Scopes = scopes
	// The new ID token was issued at another time than the last one, even within one second.
	issued := p.s.Now()
	if issued.Unix() <= family.UsedAt.Unix() {
		issued = family.UsedAt.Truncate(time.Second).Add(time.Second)
	}
	// It has no nonce: that belongs to the authorization request (OIDC Core §12.2).
	answer, err := p.s.tokens(ctx, registered, access, "", issued)
	if err != nil {
		return nil, p.s.tokenError(ctx, "answer a refresh token", err)
	}
	answer.RefreshToken = next
	return op.NewResponse(answer), nil
}

var errWider = fault.New(fault.Invalid, "oidc: scope goes beyond the grant")

// narrow returns the scopes asked for, all of them if none is, in the order of the grant. What was not
// granted gives errWider (RFC 6749 §6).
func narrow(granted []string, asked []string) ([]string, error) {
	asked = strings.Fields(strings.Join(asked, " "))
	if len(asked) == 0 {
		return granted, nil
	}
	for _, scope := range asked {
		if !slices.Contains(granted, scope) {
			return nil, errWider
		}
	}
	return slices.DeleteFunc(slices.Clone(granted), func(scope string) bool { return !slices.Contains(asked, scope) }), nil
}

// tokenAnswer is a token response (OIDC Core §3.1.3.3).
type tokenAnswer struct {
	oidc.AccessTokenResponse
	SessionExpiresIn int64 `json:"session_expires_in,omitempty"` // seconds until the site's own session is over
}

// tokens issues an access token and, within the scope openid, the ID token that goes with it.
func (s *Server) tokens(ctx context.Context, registered *site.Registered, access grant.Access, nonce string, issued time.Time) (*tokenAnswer, error) {
	token, access, err := s.Grants.IssueAccess(ctx, access)
	if err != nil {
		return nil, err
	}
	answer := &tokenAnswer{AccessTokenResponse: oidc.AccessTokenResponse{
		AccessToken: token,
		TokenType:   oidc.BearerToken,
		ExpiresIn:   uint64(access.ExpiresAt.Sub(access.IssuedAt) / time.Second),
		Scope:       access.Scopes,
	}}
	if !access.EndsAt.IsZero() {
		answer.SessionExpiresIn = int64(access.EndsAt.Sub(access.IssuedAt) / time.Second)
	}
	if slices.Contains(access.Scopes, site.ScopeOpenID) {
		answer.IDToken, err = s.idToken(ctx, registered, access, token, nonce, issued)
	}
	return answer, err
}

// badRequest is a 400 with a description that holds nothing of the request.
func badRequest(err *oidc.Error, description string) error {
	err.Description = description
	return op.NewStatusError(err, http.StatusBadRequest)
}

// tokenError is the library's error for one of ours. What a grant is refused for is not told apart.
func (s *Server) tokenError(ctx context.Context, doing string, err error) error {
	switch fault.CodeOf(err) {
	case fault.NotFound, fault.Denied, fault.Expired, fault.Invalid:
		return badRequest(oidc.ErrInvalidGrant(), "the grant is unknown, used, expired or not for this request")
	}
	return s.apiError(ctx, doing, err)
}

// apiError logs what went wrong with us, and tells that something did.
func (s *Server) apiError(ctx context.Context, doing string, err error) error {
	s.noteFailure(ctx, doing, err)
	if fault.Is(err, fault.Unavailable) {
		answerHeader(ctx).Set("Retry-After", retryAfter)
		return op.NewStatusError(&oidc.Error{ErrorType: "temporarily_unavailable"}, http.StatusServiceUnavailable)
	}
	return op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
}
