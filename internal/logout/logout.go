// Package logout ends sessions and sees to it that sites hear of it: whoever ends a session, wherever its browser
// is, its tokens die at once, and the sites at which it was used are told by messages in the outbox that are written
// in the same transaction (OIDC Back-Channel Logout 1.0), and by frames in the browser (Front-Channel Logout 1.0).
package logout

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// ReceiptCookie is the browser's cookie (web.Cookies) with the batch of its last logout, for the receipt.
const ReceiptCookie = "receipt"

// Cause says why a session ended.
type Cause string

// The causes.
const (
	Citizen   Cause = "citizen"   // its citizen ended it here
	Site      Cause = "site"      // its citizen signed out at a site
	Expired   Cause = "expired"   // nobody used it any more, or its time was over
	Replaced  Cause = "replaced"  // another person signed in at its browser
	Operator  Cause = "operator"  // an operator ended it
	Dispute   Cause = "dispute"   // its citizen says that it was not them
	Withdrawn Cause = "withdrawn" // the registration ended
	Revoked   Cause = "revoked"   // its citizen ended their use of a site
)

// Why is what is written down of an end.
type Why struct {
	Cause   Cause
	Actor   string // an audit actor; empty: audit.System
	Site    string // client id of the site that asked for it; may be empty
	Address string // client address; may be empty
	Browser string // web.Browser; may be empty
	Batch   string // receipt to which it belongs; empty: one of its own
}

// Service ends sessions. Every field is needed but Within.
type Service struct {
	Issuer   string // iss of what sites are told
	Store    session.Store
	Sessions *session.Service
	Grants   *grant.Service
	Sites    *site.Directory
	Subjects *secret.Index // of what sites know people by
	Box      *secret.Box
	Runner   *outbox.Runner
	Within   time.Duration // for how long a site is told; 0: 72 hours
	Now      func() time.Time
	Log      *slog.Logger
}

const defaultWithin = 72 * time.Hour

// undisturbed is the context of what ends in several steps. It goes on when the citizen presses the button again or
// closes the page: of what is half ended nobody would be told until it is over by itself.
func undisturbed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// End ends the session with the id, wherever its browser is, and returns the batch of those who are told. One that
// has ended already gives fault.NotFound.
func (s *Service) End(ctx context.Context, id string, why Why) (batch string, err error) {
	ctx, done := undisturbed(ctx)
	defer done()
	entry, err := s.Store.Session(ctx, id) // first, so that nothing is half done when the store is away
	if err != nil {
		return "", err
	}
	if err := s.stop(ctx, entry); err != nil {
		return "", err
	}
	why.Batch = cmp.Or(why.Batch, secret.NewID())
	last := entry
	ended, err := s.Store.End(ctx, id, func(e session.Entry) (session.Ending, error) {
		last = e
		return s.ending(e, why)
	})
	switch {
	case err != nil:
		return "", err
	case !ended:
		return "", fault.New(fault.NotFound, "logout: the session has ended already")
	}
	s.Runner.Kick()
	if last.Key != entry.Key { // its person proved themselves again in the meantime
		return why.Batch, s.stop(ctx, last)
	}
	return why.Batch, nil
}

// stop takes the session from its browser, and then marks dead what it was granted. The order matters: what is
// granted counts from when the session was seen alive, so the mark is later than all of it.
func (s *Service) stop(ctx context.Context, e session.Entry) error {
	if _, err := s.Sessions.EndByKey(ctx, e.Key); err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return s.Grants.Revoke(ctx, e.Person, grant.Revocation{Session: e.ID})
}

// ending is what goes with the end of the session.
func (s *Service) ending(e session.Entry, why Why) (session.Ending, error) {
	items, err := s.Tell(e.Person, e.Sites, []session.Entry{e}, why.Batch)
	return session.Ending{Items: items, Events: []audit.Event{s.event(e.Person, why)}}, err
}

func (s *Service) event(person string, why Why) audit.Event {
	event := audit.New(s.Now(), audit.SessionEnded, cmp.Or(why.Actor, audit.System))
	event.Person, event.Site, event.Address, event.Browser = person, why.Site, why.Address, why.Browser
	event.Detail = map[string]string{"cause": string(why.Cause)}
	return event
}

// EndAll ends the person's sessions except the one with that id, which may be empty, and returns how many there
// were, and the batch of all who are told.
func (s *Service) EndAll(ctx context.Context, person, except string, why Why) (batch string, n int, err error) {
	ctx, done := undisturbed(ctx)
	defer done()
	entries, err := s.Store.Sessions(ctx, person)
	if err != nil {
		return "", 0, err
	}
	why.Batch = cmp.Or(why.Batch, secret.NewID())
	for _, e := range entries {
		if e.ID == except {
			continue
		}
		switch _, err := s.End(ctx, e.ID, why); {
		case err == nil:
			n++
		case !fault.Is(err, fault.NotFound):
			return "", n, err
		}
	}
	return why.Batch, n, nil
}

// Leave signs out of one site only: the next login there by the session asks its citizen, what it was granted there
// is dead, and that site is told. It returns the batch; fault.NotFound when there is no session under the handle, or
// it is not used at the site.
func (s *Service) Leave(ctx context.Context, handle, site string, why Why) (batch string, err error) {
	ctx, done := undisturbed(ctx)
	defer done()
	known, err := s.Sessions.Find(ctx, handle)
	if err != nil {
		return "", err
	}
	notUsed := fault.New(fault.NotFound, "logout: the session is not used at the site")
	if !known.Uses(site) {
		return "", notUsed
	}
	if _, err := s.Store.Session(ctx, known.ID); err != nil { // first, as in End
		return "", err
	}
	why.Batch, why.Site = cmp.Or(why.Batch, secret.NewID()), site
	items, err := s.Tell(known.Person, []string{site}, []session.Entry{{ID: known.ID, Sites: []string{site}}}, why.Batch)
	if err != nil {
		return "", err
	}
	event := s.event(known.Person, why)
	event.Detail["scope"] = "site"
	// Before, so that a crash leaves nothing that is used and not told of; after, for a login that saw it left while
	// the entry still held the site.
	if err := s.leave(ctx, handle, site, known); err != nil {
		return "", err
	}
	left, err := s.Store.Leave(ctx, known.ID, site, session.Ending{Items: items, Events: []audit.Event{event}})
	switch {
	case err != nil:
		return "", err
	case !left:
		return "", notUsed
	}
	s.Runner.Kick()
	if err := s.leave(ctx, handle, site, known); err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	return why.Batch, nil
}

// leave lets the browser's session leave the site, and then marks dead what the site was granted; see stop.
func (s *Service) leave(ctx context.Context, handle, site string, known *session.Session) error {
	if err := s.Sessions.Leave(ctx, handle, site); err != nil {
		return err
	}
	return s.Grants.Revoke(ctx, known.Person, grant.Revocation{Session: known.ID, Site: site})
}

// Told is what a site is told: that the session is over, or, without a SID, all of the subject's.
type Told struct {
	Site    string `json:"site"` // client id
	SID     string `json:"sid,omitempty"`
	Subject string `json:"sub"`
}

// Tell returns the messages to the sites, those that can be called, for a change that is somebody else's
// transaction: with the sid where the site is in one of the entries, one message for each, and with the subject
// alone where it is in none.
func (s *Service) Tell(person string, sites []string, entries []session.Entry, batch string) ([]outbox.Item, error) {
	var items []outbox.Item
	for _, id := range sites {
		registered, err := s.Sites.Lookup(id)
		if err != nil || registered.BackchannelLogoutURI == "" {
			continue
		}
		told := Told{Site: id, Subject: registered.Subject(s.Subjects, person)}
		var all []Told
		for _, e := range entries {
			if slices.Contains(e.Sites, id) {
				all = append(all, Told{Site: id, SID: session.SID(e.ID, id), Subject: told.Subject})
			}
		}
		if len(all) == 0 {
			all = []Told{told}
		}
		for _, t := range all {
			item, err := s.item(t, batch)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
	}
	return items, nil
}

func (s *Service) item(t Told, batch string) (outbox.Item, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return outbox.Item{}, fmt.Errorf("logout: encode message: %w", err)
	}
	item := outbox.New(outbox.Logout, t.Site, batch, s.Now(), cmp.Or(s.Within, defaultWithin))
	item.Payload = s.Box.Seal(text, record(item.ID))
	return item, nil
}

func record(item string) string { return "outbox:" + item }

// Open returns what an item tells its site.
func (s *Service) Open(i outbox.Item) (Told, error) {
	var t Told
	text, err := s.Box.Open(i.Payload, record(i.ID))
	if err != nil {
		return t, fmt.Errorf("logout: message %s: %w", i.ID, err)
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("logout: message %s does not decode", i.ID)
	}
	return t, nil
}

// Delivery is how far a site was told.
type Delivery struct {
	Site     string // client id
	State    outbox.State
	Attempts int
	NextAt   time.Time // when it is told again, while it waits
}

// Receipt returns how far the sites of a batch were told, ordered by site.
func (s *Service) Receipt(ctx context.Context, batch string) ([]Delivery, error) {
	return deliveries(s.Runner.Store.Batch(ctx, batch))
}

// Await is Receipt after every site was told once, well or not, or the context has ended.
func (s *Service) Await(ctx context.Context, batch string) ([]Delivery, error) {
	return deliveries(s.Runner.Await(ctx, batch))
}

func deliveries(items []outbox.Item, err error) ([]Delivery, error) {
	if err != nil {
		return nil, err
	}
	list := make([]Delivery, len(items))
	for i, item := range items {
		list[i] = Delivery{Site: item.Target, State: item.State, Attempts: item.Attempts, NextAt: item.NextAt}
	}
	return list, nil
}

// Frames returns the addresses that a browser loads in frames so that those of the sites that want it sign out the
// session with the id (Front-Channel Logout §2): with iss and sid where the site requires them.
func (s *Service) Frames(id string, sites []string) []string {
	var frames []string
	for _, client := range sites {
		registered, err := s.Sites.Lookup(client)
		if err != nil || registered.FrontchannelLogoutURI == "" {
			continue
		}
		frame := registered.FrontchannelLogoutURI
		if registered.FrontchannelLogoutSessionRequired {
			frame = site.WithQuery(frame, url.Values{"iss": {s.Issuer}, "sid": {session.SID(id, client)}})
		}
		frames = append(frames, frame)
	}
	return frames
}
