// Package account is what citizens do with their own registration: see and change what is held of them, their
// sites, methods and sessions; see what was done in their name, and say that it was not them; take their data
// with them; and leave.
//
// Every call is made for a Visitor, who has just proved who they are. What is not the visitor's own does not exist
// for them: fault.NotFound, and an access.denied event. A change and its event commit together.
package account

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// Visitor is a citizen who has proved who they are (본인 확인), and the browser in which they did.
type Visitor struct {
	Person   string        // person id
	Method   method.Method // of the proof
	Provider string        // of the proof, where it is known
	At       time.Time     // of the proof
	Session  string        // session.Session.ID of this browser's single sign-on; empty: none
	Address  string        // the client's
	Browser  string        // such as "Chrome, Windows"
	Locale   string        // "ko" or "en"
}

// Retention is how long things are kept that outlive their use.
type Retention struct {
	History  time.Duration // how far back the history goes (인증 이력); 0: 365 days
	Consents time.Duration // consent records after a withdrawal; 0: not at all
	// ConsentBasis is the law by which consent records are kept, as it is shown to the citizen.
	ConsentBasis string
}

// historyDefault is Retention.History where nothing is said.
const historyDefault = 365 * 24 * time.Hour

// Service does what citizens ask for.
type Service struct {
	People    person.Store
	Grants    *grant.Service
	Sessions  session.Store
	Logout    *logout.Service
	Audit     audit.Store
	Veil      *audit.Veil
	Alerts    notice.Store
	Notice    *notice.Service
	Directory *site.Directory
	Box       *secret.Box
	Retention Retention
	Now       func() time.Time
	Log       *slog.Logger
}

// event starts an audit event about what the visitor does with their own registration.
func (s *Service) event(v Visitor, action audit.Action) audit.Event {
	e := audit.New(s.Now(), action, audit.Citizen)
	e.Person, e.Address, e.Browser = v.Person, v.Address, v.Browser
	return e
}

// denied answers who asked for what is not theirs: the event says for what kind of thing, and the answer is the
// same whether there is one or not.
func (s *Service) denied(ctx context.Context, v Visitor, what string) error {
	event := s.event(v, audit.AccessDenied)
	event.Detail = map[string]string{"what": what}
	if err := s.Audit.Record(ctx, event); err != nil {
		return err
	}
	return fault.New(fault.NotFound, "account: the visitor has no such %s", what)
}

// open opens a sealed document. What does not decode is not quoted.
func (s *Service) open(sealed, record string, into any) error {
	text, err := s.Box.Open(sealed, record)
	if err != nil {
		return err
	}
	if json.Unmarshal(text, into) != nil {
		return errors.New("the sealed text does not decode")
	}
	return nil
}

// why says that the visitor ends something, for the events of the sessions that end with it.
func (v Visitor) why(cause logout.Cause) logout.Why {
	return logout.Why{Cause: cause, Actor: audit.Citizen, Address: v.Address, Browser: v.Browser}
}

// undisturbed is the context of a change that takes several steps. It goes on when the citizen closes the page: what
// is half done would stay so.
func undisturbed(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

// errUnchanged ends a change that changes nothing, so that nothing is written of it.
var errUnchanged = errors.New("account: nothing to change")

// named is a site as the citizen knows it: by its name in the locale, or by its id once it is registered no more.
func (s *Service) named(id, locale string) string {
	if registered, err := s.Directory.Lookup(id); err == nil {
		return registered.LocalName(locale)
	}
	return id
}
