package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// Lifetimes of what is granted.
type Lifetimes struct {
	Code            time.Duration // at most 60 s (FAPI 2.0 Security Profile §5.3.2.1)
	Access          time.Duration
	RefreshIdle     time.Duration // since the last rotation
	RefreshAbsolute time.Duration // since the login
}

// Service issues, redeems and revokes.
type Service struct {
	KV        kv.Store
	Store     Store
	Lifetimes Lifetimes
	Now       func() time.Time
}

// Key prefixes in kv. A code, its mark and a token are found by the hash of what the site holds.
const (
	codeKey   = "code:"   // Code
	spentKey  = "spent:"  // of a redeemed Code what a replay is judged by; outlives all access tokens of the grant
	accessKey = "access:" // Access
)

// RecordLogin writes for good that the site of the event is told of the authentication: the connection
// moves on, and the event says who came and how. Person, Site and At of the login are those of the event and
// the authentication. fault.NotFound: the session or the person is no more, and the site is told nothing.
func (s *Service) RecordLogin(ctx context.Context, l Login, a session.Authentication) error {
	l.Person, l.Site, l.At = a.Person, l.Event.Site, l.Event.At
	l.Event.Person = a.Person
	if l.Event.Detail == nil {
		l.Event.Detail = make(map[string]string, 3)
	}
	l.Event.Detail["method"], l.Event.Detail["provider"], l.Event.Detail["level"] = string(a.Method), a.Provider, strconv.Itoa(int(a.Level))
	return s.Store.RecordLogin(ctx, l)
}

// IssueCode stores what the site may have by the code, and returns the code: 256 random bits, single use. Its
// authentication, session and time are those of the session that was used.
func (s *Service) IssueCode(ctx context.Context, c Code, used *session.Session) (string, error) {
	handle, now := secret.NewHandle(), s.Now()
	c.Grant, c.Authentication, c.Session, c.GrantedAt = secret.NewID(), used.Authentication, used.ID, used.FoundAt
	if c.GrantedAt.IsZero() { // a login that makes no session
		c.GrantedAt = now
	}
	c.ExpiresAt = now.Add(s.Lifetimes.Code)
	return handle, kv.SetJSON(ctx, s.KV, codeKey+secret.Hash(handle), c, s.Lifetimes.Code)
}

// ErrReplayed says that a single-use artefact came twice. All that came from it is revoked.
var ErrReplayed = fault.New(fault.Denied, "grant: used before")

// RedeemCode returns the content of the code if check agrees to hand it out, and spends the code. Of
// any number of callers one gets it. A code that was spent before, even long ago, revokes all that came
// from it (RFC 6749 §4.1.2) and gives ErrReplayed; an unknown or expired one gives fault.NotFound. A
// code that check refuses is not spent, and if it was, revokes nothing: whoever stole it without the site's
// credentials and the code verifier cannot take it, or what came from it, from its owner. Of a spent code check
// sees no more than site, redirect URI and challenge.
func (s *Service) RedeemCode(ctx context.Context, code string, check func(Code) error) (Code, error) {
	hash := secret.Hash(code)
	c, _, err := kv.GetJSON[Code](ctx, s.KV, codeKey+hash)
	if errors.Is(err, kv.ErrNotFound) {
		return Code{}, s.replayed(ctx, hash, check)
	}
	if err != nil {
		return Code{}, err
	}
	if !s.Now().Before(c.ExpiresAt) {
		return Code{}, s.replayed(ctx, hash, check)
	}
	if err := check(c); err != nil {
		return Code{}, err
	}
	if err := s.stands(ctx, c.issued()); err != nil {
		if fault.Is(err, fault.NotFound) { // for a replay, perhaps
			err = s.replayed(ctx, hash, check)
		}
		return Code{}, err
	}
	spent, err := json.Marshal(Code{
		Grant: c.Grant, Authentication: session.Authentication{Person: c.Authentication.Person},
		Request: Request{Site: c.Request.Site, RedirectURI: c.Request.RedirectURI, CodeChallenge: c.Request.CodeChallenge},
	})
	if err != nil {
		return Code{}, fmt.Errorf("grant: encode a spent code: %w", err)
	}
	first, err := s.KV.Add(ctx, spentKey+hash, string(spent), s.Lifetimes.Code+s.Lifetimes.Access)
	if err != nil {
		return Code{}, err
	}
	if !first {
		return Code{}, s.replayed(ctx, hash, check)
	}
	return c, nil
}

// Spent reports whether the code was redeemed.
func (s *Service) Spent(ctx context.Context, code string) (bool, error) {
	_, err := s.KV.Get(ctx, spentKey+secret.Hash(code))
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// replayed revokes what came from a spent code, if check would have let it be redeemed; a code that was never
// spent is just not found.
func (s *Service) replayed(ctx context.Context, hash string, check func(Code) error) error {
	spent, _, err := kv.GetJSON[Code](ctx, s.KV, spentKey+hash)
	if errors.Is(err, kv.ErrNotFound) {
		return fault.New(fault.NotFound, "grant: no such code")
	}
	if err != nil {
		return err
	}
	if err := check(spent); err != nil {
		return err
	}
	event := audit.New(s.Now(), audit.CodeReplayed, audit.System)
	event.Detail = map[string]string{"grant": spent.Grant}
	if err := s.revokeGrant(ctx, spent.Authentication.Person, spent.Grant, event); err != nil {
		return err
	}
	return ErrReplayed
}

// IssueAccess stores an access token's content and returns the token: 256 random bits. It lives no longer than
// the site's own session; when that is over: fault.Expired.
func (s *Service) IssueAccess(ctx context.Context, a Access) (token string, _ Access, err error) {
	token = secret.NewHandle()
	a.IssuedAt = s.Now()
	a.ExpiresAt = a.endsBy(a.IssuedAt.Add(s.Lifetimes.Access))
	ttl := a.ExpiresAt.Sub(a.IssuedAt)
	if ttl <= 0 {
		return "", Access{}, fault.New(fault.Expired, "grant: the site's own session is over")
	}
	return token, a, kv.SetJSON(ctx, s.KV, accessKey+secret.Hash(token), a, ttl)
}

// endsBy is the time, or the end of the site's own session if that comes first.
func (a *Access) endsBy(t time.Time) time.Time {
	if !a.EndsAt.IsZero() && a.EndsAt.Before(t) {
		return a.EndsAt
	}
	return t
}

// Access returns the content of a live access token, or fault.NotFound.
func (s *Service) Access(ctx context.Context, token string) (Access, error) {
	a, _, err := kv.GetJSON[Access](ctx, s.KV, accessKey+secret.Hash(token))
	if errors.Is(err, kv.ErrNotFound) || (err == nil && !s.Now().Before(a.ExpiresAt)) {
		return Access{}, fault.New(fault.NotFound, "grant: no such access token")
	}
	if err != nil {
		return Access{}, err
	}
	if err := s.stands(ctx, a.issued()); err != nil {
		return Access{}, err
	}
	return a, nil
}

// RevokeAccess forgets one access token if it belongs to the site. An unknown token is no error
// (RFC 7009 §2.2).
func (s *Service) RevokeAccess(ctx context.Context, site, token string) error {
	a, err := s.Access(ctx, token)
	if fault.Is(err, fault.NotFound) || (err == nil && a.Site != site) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.KV.Take(ctx, accessKey+secret.Hash(token)); err != nil && !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	return nil
}

// refreshSeparator stands between a refresh token's family id and its secret.
const refreshSeparator = "."

// IssueRefresh starts a family and returns its first token. When the grant was revoked in the meantime, by a
// replay of its code for one, the family ends at once: fault.NotFound.
func (s *Service) IssueRefresh(ctx context.Context, a Access) (string, error) {
	now := s.Now()
	handle := secret.NewHandle()
	f := Family{
		ID: secret.NewID(), Current: secret.Hash(handle), Grant: a.Grant, Site: a.Site, Person: a.Authentication.Person,
		Access: a, CreatedAt: now, UsedAt: now,
	}
	f.ExpiresAt = s.familyEnd(f)
	if err := s.Store.AddFamily(ctx, f); err != nil {
		return "", err
	}
	// A revocation leaves its mark before it ends the families. So a family that is added without
	// seeing the mark is seen by the revocation.
	gone := s.stands(ctx, a.issued())
	if !fault.Is(gone, fault.NotFound) {
		return f.ID + refreshSeparator + handle, gone
	}
	event := audit.New(now, audit.GrantRevoked, audit.System)
	event.Person, event.Site = f.Person, f.Site
	if _, err := s.Store.RevokeFamily(ctx, f.ID, now, event); err != nil {
		return "", err
	}
	return "", gone
}

// familyEnd is the earliest of the idle and the absolute end, from now, and that of the site's own session.
func (s *Service) familyEnd(f Family) time.Time {
	idle, absolute := s.Now().Add(s.Lifetimes.RefreshIdle), f.CreatedAt.Add(s.Lifetimes.RefreshAbsolute)
	if idle.Before(absolute) {
		return f.Access.endsBy(idle)
	}
	return f.Access.endsBy(absolute)
}

// Rotate replaces a refresh token by the next of its family, if it belongs to the site and check agrees,
// and returns the family. Of any number of callers one gets the next token; a token that is no longer
// current revokes the family (RFC 9700 §4.14.2) and gives ErrReplayed. Everything else that is wrong
// gives fault.NotFound, and changes nothing.
func (s *Service) Rotate(ctx context.Context, site, token string, check func(Family) error) (next string, _ Family, err error) {
	id, handle, ok := strings.Cut(token, refreshSeparator)
	if !ok {
		return "", Family{}, fault.New(fault.NotFound, "grant: no such refresh token")
	}
	f, err := s.Store.Family(ctx, id)
	if err != nil {
		return "", Family{}, err
	}
	now := s.Now()
	if f.Site != site || !f.RevokedAt.IsZero() || !now.Before(f.ExpiresAt) {
		return "", Family{}, fault.New(fault.NotFound, "grant: no such refresh token")
	}
	old := secret.Hash(handle)
	if secret.Equal(old, f.Current) {
		if err := check(f); err != nil {
			return "", Family{}, err
		}
		nextHandle := secret.NewHandle()
		rotated, err := s.Store.RotateFamily(ctx, id, old, secret.Hash(nextHandle), now, s.familyEnd(f))
		if err != nil {
			return "", Family{}, err
		}
		if rotated {
			f.Access.RenewedAt = now
			return id + refreshSeparator + nextHandle, f, nil
		}
	}
	event := audit.New(now, audit.RefreshReused, audit.Site(site))
	event.Person, event.Site = f.Person, site
	event.Detail = map[string]string{"grant": f.Grant}
	if err := s.revokeGrant(ctx, f.Person, f.Grant, event); err != nil {
		return "", Family{}, err
	}
	return "", Family{}, ErrReplayed
}

// RevokeRefresh ends the family of a refresh token and its access tokens, if it belongs to the site.
// It reports whether the token was one of ours.
func (s *Service) RevokeRefresh(ctx context.Context, site, token string) (bool, error) {
	f, err := s.Refresh(ctx, token)
	if fault.Is(err, fault.NotFound) || (err == nil && f.Site != site) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	event := audit.New(s.Now(), audit.GrantRevoked, audit.Site(site))
	event.Person, event.Site = f.Person, site
	return true, s.revokeGrant(ctx, f.Person, f.Grant, event)
}

// Refresh returns the live family of which the token is current, or fault.NotFound.
func (s *Service) Refresh(ctx context.Context, token string) (Family, error) {
	id, handle, ok := strings.Cut(token, refreshSeparator)
	if !ok {
		return Family{}, fault.New(fault.NotFound, "grant: no such refresh token")
	}
	f, err := s.Store.Family(ctx, id)
	if err != nil {
		return Family{}, err
	}
	if !secret.Equal(secret.Hash(handle), f.Current) || !f.RevokedAt.IsZero() || !s.Now().Before(f.ExpiresAt) {
		return Family{}, fault.New(fault.NotFound, "grant: no such refresh token")
	}
	return f, nil
}

// Agreed returns which of its attributes the person lets the site have, and whether that was decided: in
// the site's present terms, with everything that is required among them. A site that asks now for these attributes
// and now for those has a consent to each, of which the newest that fits counts. Where nothing is asked for there
// is nothing to decide.
func (s *Service) Agreed(ctx context.Context, person, site, version string, items, required []string) (agreed []string, decided bool, err error) {
	if len(items) == 0 {
		return nil, true, nil
	}
	records, err := s.Store.HandOvers(ctx, person, site)
	if err != nil {
		return nil, false, err
	}
	for _, r := range records {
		if r.Version == version && Covers(r.Items, required) {
			return r.Items, true, nil
		}
	}
	return nil, false, nil
}
