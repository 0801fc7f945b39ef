package account

import (
	"context"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// SiteUse is a person's use of a site (이용사이트).
type SiteUse struct {
	ID     string           // client id
	Site   *site.Registered // nil: it is registered no more
	Since  time.Time        // first login
	LastAt time.Time        // last login
	Logins int64
	Items  []string // what it receives by consent, or may receive by law, as claim names, sorted
	// Consent is the newest consent that holds; nil: there is none. Basis is the law by
	// which the site receives what it requires, whether there is a consent or not; empty: none.
	Consent *consent.Record
	Basis   string
	Active  bool // a session is in use there now
}

// Sites lists the sites that the visitor uses, the last used first.
func (s *Service) Sites(ctx context.Context, v Visitor) ([]SiteUse, error) {
	connections, err := s.Grants.Store.Connections(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	consents, err := s.People.Consents(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	live, err := s.live(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	list := make([]SiteUse, 0, len(connections))
	for _, c := range connections {
		use := SiteUse{ID: c.Site, Since: c.FirstAt, LastAt: c.LastAt, Logins: c.Logins}
		use.Consent, use.Items = holds(consents, c.Site)
		if registered, err := s.Directory.Lookup(c.Site); err == nil {
			use.Site, use.Basis = registered, registered.HandOver.Basis
		}
		if use.Consent == nil && use.Basis != "" {
			lawful := grant.Request{Scopes: use.Site.Scopes}
			use.Items = grant.Items(lawful.Asked(nil))
		}
		use.Active = slices.ContainsFunc(live, func(l liveSession) bool { return slices.Contains(l.Sites, c.Site) })
		list = append(list, use)
	}
	return list, nil
}

// holds returns the newest consent to the site that was not withdrawn, or nil, and the items of all that hold in its
// terms, sorted. Consents come newest first.
func holds(consents []consent.Record, to string) (newest *consent.Record, items []string) {
	for i, c := range consents {
		if c.Recipient != to || c.Kind != consent.HandOver || !c.WithdrawnAt.IsZero() {
			continue
		}
		if newest == nil {
			newest = &consents[i]
		}
		if c.Version == newest.Version {
			items = append(items, c.Items...)
		}
	}
	slices.Sort(items)
	return newest, slices.Compact(items)
}

// RevokeSite ends the visitor's use of the site: consents are withdrawn, tokens die, its place in their sessions is
// forgotten, and it is told. The batch names who is told (logout.Service.Receipt).
func (s *Service) RevokeSite(ctx context.Context, v Visitor, id string) (batch string, err error) {
	ctx, done := undisturbed(ctx)
	defer done()
	switch _, err := s.Grants.Store.Connection(ctx, v.Person, id); {
	case fault.Is(err, fault.NotFound):
		return "", s.denied(ctx, v, "site")
	case err != nil:
		return "", err
	}
	entries, err := s.Sessions.Sessions(ctx, v.Person)
	if err != nil {
		return "", err
	}
	var at []session.Entry // as far as this site is concerned
	for _, e := range entries {
		if slices.Contains(e.Sites, id) {
			e.Sites = []string{id}
			at = append(at, e)
		}
	}
	batch = secret.NewID()
	items, err := s.told(v.Person, []string{id}, at, batch)
	if err != nil {
		return "", err
	}
	// Before, so that a crash leaves no token that outlives the connection; after, for what was issued meanwhile.
	if err := s.cutSite(ctx, v.Person, id, at); err != nil {
		return "", err
	}
	event := s.event(v, audit.SiteRevoked)
	event.Site = id
	err = s.Grants.Store.Disconnect(ctx, grant.Disconnection{Person: v.Person, Site: id, At: event.At, Items: items, Event: event})
	if err != nil {
		return "", err
	}
	s.Logout.Runner.Kick()
	return batch, s.cutSite(ctx, v.Person, id, at)
}

// told makes what sites are told when a person uses them no more: the sites, and those of the sessions. The subject
// alone ends whatever a site has of the person, also what no session of ours vouches for; only where a site wants to
// know each session by its sid, it is told so.
func (s *Service) told(person string, sites []string, entries []session.Entry, batch string) ([]outbox.Item, error) {
	sites = slices.Clone(sites)
	named := make([]session.Entry, 0, len(entries))
	for _, e := range entries {
		sites = append(sites, e.Sites...)
		e.Sites = slices.DeleteFunc(slices.Clone(e.Sites), func(id string) bool {
			registered, err := s.Directory.Lookup(id)
			return err != nil || !registered.BackchannelLogoutSessionRequired
		})
		named = append(named, e)
	}
	slices.Sort(sites)
	return s.Logout.Tell(person, slices.Compact(sites), named, batch)
}

// cutSite lets the person's sessions forget the site, so that the next login there asks for consent again, and kills
// what it holds of them. In this order: what was granted by a session until then is killed too.
func (s *Service) cutSite(ctx context.Context, person, id string, at []session.Entry) error {
	for _, e := range at {
		if err := s.Logout.Sessions.Forget(ctx, e.Key, id); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return s.Grants.Revoke(ctx, person, grant.Revocation{Site: id})
}
