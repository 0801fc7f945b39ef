package account

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/site"
)

// SiteUse is a person's use of a site (이용사이트).
type SiteUse struct {
	ID     string           // client id
	Site   *site.Registered // nil: it is registered no more
	Since  time.Time        // first login
	LastAt time.Time        // last login
	Logins int64
	Items  []string // what it receives, as claim names, sorted; empty: that somebody came, and nothing about them
	// Consent is the consent that holds, under which it receives Items; nil: there is none, and Basis, where it
	// is not empty, is the law by which the site receives what it requires.
	Consent *consent.Record
	Basis   string
	Active  bool // a session is in use there now
}

// Sites lists the sites that the visitor uses, the last used first.
func (s *Service) Sites(ctx context.Context, v Visitor) ([]SiteUse, error) {
	return nil, errPending
}

// RevokeSite ends the visitor's use of the site: consents are withdrawn, tokens die, its place in their sessions is
// forgotten, and it is told. The batch names who is told (logout.Service.Receipt).
func (s *Service) RevokeSite(ctx context.Context, v Visitor, id string) (batch string, err error) {
	return "", errPending
}
