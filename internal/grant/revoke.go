package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
)

// Revocation says what of a person's grants is over.
type Revocation struct {
	Grant   string `json:"grant,omitempty"`   // all that came from one code
	Session string `json:"session,omitempty"` // what was granted in a session: at Site, or where that is empty at every site
	Site    string `json:"site,omitempty"`    // without Session: whatever was granted to the site
	All     bool   `json:"all,omitempty"`     // everything
}

// mark is a revocation at a time.
type mark struct {
	Revocation
	At time.Time `json:"at"`
}

// issued is a code or an access token, as revocations see it.
type issued struct {
	person, grant, session, site string
	granted, renewed             time.Time
}

func (c *Code) issued() issued {
	return issued{
		person: c.Authentication.Person, grant: c.Grant, session: c.Session, site: c.Request.Site, granted: c.GrantedAt,
	}
}

func (a *Access) issued() issued {
	return issued{
		person: a.Authentication.Person, grant: a.Grant, session: a.Session, site: a.Site,
		granted: a.GrantedAt, renewed: a.RenewedAt,
	}
}

// catches reports whether the mark is about it. What counts is when the login was, not when the token was issued:
// what is on its way while the mark is made is caught too. A token that a refresh token brought after a session's
// end is not that session's any more (OIDC Back-Channel Logout §2.7).
func (m mark) catches(i issued) bool {
	switch {
	case m.Grant != "":
		return m.Grant == i.grant
	case m.All:
		return !i.granted.After(m.At)
	case m.Session == "":
		return m.Site == i.site && !i.granted.After(m.At)
	case m.Session != i.session, m.Site != "" && m.Site != i.site:
		return false
	case !i.renewed.IsZero():
		return !i.renewed.After(m.At)
	case m.Site == "": // nothing comes of a session after its end, but clocks of two instances may differ
		return !i.granted.After(m.At.Add(skew))
	}
	return !i.granted.After(m.At)
}

// goneKey is where the marks of a person lie, as a JSON list.
func goneKey(person string) string { return "gone:" + secret.Hash(person) }

// working is longer than a login works between looking at the session and issuing the code.
const working = time.Minute

// skew is how far the clocks of two instances may be apart.
const skew = 2 * time.Second

// remembered is how long a mark is kept: until no access token that it catches can live any more.
func (s *Service) remembered() time.Duration {
	return s.Lifetimes.Access + s.Lifetimes.Code + working
}

// stands returns fault.NotFound if it is revoked.
func (s *Service) stands(ctx context.Context, i issued) error {
	marks, _, err := kv.GetJSON[[]mark](ctx, s.KV, goneKey(i.person))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		return nil
	case err != nil:
		return err
	case slices.ContainsFunc(marks, func(m mark) bool { return m.catches(i) }):
		return fault.New(fault.NotFound, "grant: revoked")
	}
	return nil
}

// Revoke ends what the person was granted up to now: codes and access tokens at once, and for a site or everything
// the refresh families too. Those outlive their session, as offline access does.
// Whoever ends a session takes it from its browser first: what its sites were granted until then is caught.
func (s *Service) Revoke(ctx context.Context, person string, r Revocation) error {
	at := s.Now()
	if err := s.mark(ctx, person, mark{r, at}); err != nil {
		return err
	}
	if r.All || (r.Site != "" && r.Session == "") {
		return s.Store.RevokeFamilies(ctx, person, r.Site, at)
	}
	return nil
}

// mark adds a mark to the person's.
func (s *Service) mark(ctx context.Context, person string, m mark) error {
	for {
		marks, text, err := kv.GetJSON[[]mark](ctx, s.KV, goneKey(person))
		absent := errors.Is(err, kv.ErrNotFound)
		if err != nil && !absent {
			return err
		}
		marks = slices.DeleteFunc(marks, func(old mark) bool {
			return old.Revocation == m.Revocation && !old.At.After(m.At) || m.At.Sub(old.At) > s.remembered()
		})
		next, err := json.Marshal(append(marks, m))
		if err != nil {
			return fmt.Errorf("grant: encode marks: %w", err)
		}
		var done bool
		if absent {
			done, err = s.KV.Add(ctx, goneKey(person), string(next), s.remembered())
		} else {
			done, err = s.KV.CompareAndSwap(ctx, goneKey(person), text, string(next), s.remembered())
		}
		if err != nil || done {
			return err
		}
	}
}

// revokeGrant ends every refresh family and every access token of the grant.
func (s *Service) revokeGrant(ctx context.Context, person, grant string, event audit.Event) error {
	at := s.Now()
	if err := s.mark(ctx, person, mark{Revocation{Grant: grant}, at}); err != nil {
		return err
	}
	return s.Store.RevokeGrant(ctx, grant, at, event)
}
