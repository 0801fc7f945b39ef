package account

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// AlertView is what whoever holds an alert's code is shown: what happened, and nothing about the person.
type AlertView struct {
	Kind     notice.Kind
	Method   method.Method
	Provider string // authn.Provider.ID
	Site     string // client id; may be empty
	At       time.Time
	Origin   session.Origin
	Disputed bool // the code has served
}

// Alert returns what the code's alert is about, or fault.NotFound.
func (s *Service) Alert(ctx context.Context, code string) (AlertView, error) {
	a, err := s.Alerts.Alert(ctx, secret.Hash(code))
	if err != nil {
		return AlertView{}, err
	}
	view := AlertView{Kind: a.Kind, Method: a.Method, Provider: a.Provider, Site: a.Site, At: a.At, Disputed: a.Case != ""}
	view.Origin, err = a.OpenOrigin(s.Box)
	return view, err
}

// Dispute says for whoever holds an alert's code that it was not them (내가 아님): sessions and tokens end, the method
// is blocked, and a case is opened for the operators. Of v, Address and Browser count only, and the case does not
// say whose it is. A code serves once: then it gives fault.Conflict; an unknown one gives fault.NotFound.
func (s *Service) Dispute(ctx context.Context, code string, v Visitor) (notice.Case, error) {
	a, err := s.Alerts.Alert(ctx, secret.Hash(code))
	if err != nil {
		return notice.Case{}, err
	}
	if a.Case != "" {
		return notice.Case{}, errDisputed
	}
	v.Person = a.Person
	c, err := s.dispute(ctx, v, a.ID, notice.Case{
		ID: caseID("alert", a.ID), Kind: a.Kind, Method: a.Method, Provider: a.Provider, Site: a.Site,
	})
	c.Person = ""
	return c, err
}

// InHistory is the kind of a case that no alert has told of: the person has found it in their history.
const InHistory notice.Kind = "history"

// DisputeRecord says the same of an entry of the visitor's own history (Record.ID). One that is not
// Record.Disputable gives fault.Invalid, one that was disputed before fault.Conflict.
func (s *Service) DisputeRecord(ctx context.Context, v Visitor, event string) (notice.Case, error) {
	for r, err := range s.records(ctx, v, Filter{}, audit.Cursor{}) {
		switch {
		case err != nil:
			return notice.Case{}, err
		case r.ID != event:
			continue
		case !r.Disputable:
			return notice.Case{}, fault.New(fault.Invalid, "account: nobody else can have done this")
		}
		c := notice.Case{ID: caseID("event", r.ID), Kind: InHistory, Method: r.Method, Provider: r.Provider, Site: r.Site}
		if r.Action == audit.MethodLinked {
			c.Kind = notice.NewMethod
		}
		switch _, err := s.Alerts.Case(ctx, c.ID); {
		case err == nil:
			return notice.Case{}, errDisputed
		case !fault.Is(err, fault.NotFound):
			return notice.Case{}, err
		}
		return s.dispute(ctx, v, "", c)
	}
	return notice.Case{}, s.denied(ctx, v, "event")
}

var errDisputed = fault.New(fault.Conflict, "account: it was disputed already")

// caseID is the id of the case about an alert or an event: the same for everybody who disputes it at once.
func caseID(use, id string) string {
	sum := sha256.Sum256([]byte("case\n" + use + "\n" + id))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:26]
}

// dispute freezes what somebody else may hold, and opens the case. The case comes last and uses up the alert, so
// that after a crash the same code goes on; what the first try has frozen stays frozen.
func (s *Service) dispute(ctx context.Context, v Visitor, alert string, c notice.Case) (notice.Case, error) {
	ctx, done := undisturbed(ctx)
	defer done()
	c.Person, c.State, c.OpenedAt = v.Person, notice.Open, s.Now().UTC().Truncate(time.Millisecond)
	// First no login by the method comes in any more, then the sessions end, then what they granted.
	err := s.People.Update(ctx, c.Person, func(p *person.Person) error {
		if slices.ContainsFunc(p.Blocks, func(b person.Block) bool { return b.Case == c.ID }) {
			return errUnchanged
		}
		p.Blocks = append(p.Blocks, person.Block{Method: c.Method, Case: c.ID, At: c.OpenedAt})
		return nil
	}, person.Along{})
	if err != nil && !errors.Is(err, errUnchanged) {
		return notice.Case{}, err
	}
	if _, _, err := s.Logout.EndAll(ctx, c.Person, "", v.why(logout.Dispute)); err != nil {
		return notice.Case{}, err
	}
	if err := s.Grants.Revoke(ctx, c.Person, grant.Revocation{All: true}); err != nil {
		return notice.Case{}, err
	}
	event := s.event(v, audit.DisputeOpened)
	event.Site = c.Site
	event.Detail = map[string]string{"case": c.ID, "method": string(c.Method), "provider": c.Provider}
	if err := s.Alerts.Dispute(ctx, c, alert, event); err != nil {
		return notice.Case{}, err
	}
	return c, nil
}

// maxNote is the longest note on a case, in characters.
const maxNote = 1000

// CloseCase closes a case for an operator, whose name the event has, and lifts what it blocked. One that is closed
// already gives fault.Conflict.
func (s *Service) CloseCase(ctx context.Context, operator, id, note string) error {
	if !utf8.ValidString(note) || utf8.RuneCountInString(note) > maxNote || strings.ContainsRune(note, 0) {
		return fault.New(fault.Invalid, "account: a note has at most %d characters", maxNote)
	}
	c, err := s.Alerts.Case(ctx, id)
	if err != nil {
		return err
	}
	if c.State != notice.Open {
		return errClosed
	}
	// First the block: a case that is still open after a crash is closed by the next try.
	lifted := s.operated(operator, audit.MethodUnblocked, c)
	err = s.People.Update(ctx, c.Person, func(p *person.Person) error {
		before := len(p.Blocks)
		p.Blocks = slices.DeleteFunc(p.Blocks, func(b person.Block) bool { return b.Case == c.ID })
		if len(p.Blocks) == before {
			return errUnchanged
		}
		return nil
	}, person.Along{Events: []audit.Event{lifted}})
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	closed := s.operated(operator, audit.DisputeClosed, c)
	open, err := s.Alerts.CloseCase(ctx, c.ID, note, closed.At, closed)
	if err == nil && !open {
		err = errClosed
	}
	return err
}

var errClosed = fault.New(fault.Conflict, "account: the case is closed already")

// operated starts an event about what an operator does with a case.
func (s *Service) operated(operator string, action audit.Action, c notice.Case) audit.Event {
	e := audit.New(s.Now(), action, audit.Operator(operator))
	e.Person, e.Site = c.Person, c.Site
	e.Detail = map[string]string{"case": c.ID, "method": string(c.Method), "provider": c.Provider}
	return e
}
