package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// Receipt is what a person has in hand after their withdrawal.
type Receipt struct {
	Number string    // finds what is retained, and is kept by nobody else; empty: nothing is retained
	Batch  string    // who is told (logout.Service.Receipt)
	At     time.Time // of the withdrawal
}

// Withdraw ends the visitor's registration and deletes everything of it (등록 해지), at once and irrecoverably
// (개인정보 보호법 21조). The caller has seen to it that the proof is fresh. Of two that come at once the second finds
// nobody: fault.NotFound. Whoever registers again is a new person.
//
// A crash before the one transaction leaves a person whose tokens are dead; one after it leaves tokens and sessions
// of nobody, which nothing accepts and which expire.
func (s *Service) Withdraw(ctx context.Context, v Visitor) (Receipt, error) {
	ctx, done := undisturbed(ctx)
	defer done()
	p, err := s.People.ByID(ctx, v.Person)
	if err != nil {
		return Receipt{}, err
	}
	event := s.event(v, audit.PersonWithdrawn)
	receipt := Receipt{Batch: secret.NewID(), At: event.At}
	w := person.Withdrawal{Person: p.ID, Event: event}
	if w.Items, err = s.farewell(&p, v, event.At); err != nil {
		return Receipt{}, err
	}
	var entries []session.Entry
	w.Tell = func(sites []string, last []session.Entry) ([]outbox.Item, error) {
		entries = last
		return s.told(p.ID, sites, last, receipt.Batch)
	}
	if receipt.Number, w.Retained, err = s.retain(ctx, p.ID, event.At); err != nil {
		return Receipt{}, err
	}
	if err := s.Grants.Revoke(ctx, p.ID, grant.Revocation{All: true}); err != nil {
		return Receipt{}, err
	}
	if err := s.People.Withdraw(ctx, w); err != nil {
		return Receipt{}, err
	}
	s.Logout.Runner.Kick()
	// It is done, and only now is the number shown. What fails from here on expires by itself.
	if err := s.swept(ctx, p.ID, entries); err != nil {
		s.Log.LogAttrs(ctx, slog.LevelError, "account: after a withdrawal, not everything is cleared; it expires", slog.Any("error", err))
	}
	return receipt, nil
}

// farewell tells the person of the end of their registration, whatever notices they want.
func (s *Service) farewell(p *person.Person, v Visitor, at time.Time) ([]outbox.Item, error) {
	held, err := s.profile(p)
	if err != nil {
		return nil, err
	}
	_, items, err := s.Notice.Tell(notice.News{
		Kind: notice.Withdrawn, Person: p.ID, Method: v.Method, Provider: v.Provider,
		Origin: session.Origin{Address: v.Address, Browser: v.Browser}, At: at,
		Email: held.Settings.Email, Phone: held.Attributes.Phone, Locale: cmp.Or(held.Settings.Locale, v.Locale),
	})
	return items, err
}

// swept clears what a person who is no more has left in kv: sessions first, so that what they granted until then is
// killed too.
func (s *Service) swept(ctx context.Context, person string, entries []session.Entry) error {
	var failed error
	for _, e := range entries {
		if _, err := s.Logout.Sessions.EndByKey(ctx, e.Key); err != nil && !fault.Is(err, fault.NotFound) {
			failed = errors.Join(failed, err)
		}
	}
	return errors.Join(failed, s.Grants.Revoke(ctx, person, grant.Revocation{All: true}))
}

// consentClass is the retention class of consent records.
const consentClass = "consent"

// keptConsent is a consent as it is retained: what was agreed to and when, and not by whom.
type keptConsent struct {
	Kind        consent.Kind `json:"kind"`
	Recipient   string       `json:"recipient"`
	Version     string       `json:"version"`
	Digest      string       `json:"digest"`
	Basis       string       `json:"basis,omitempty"`
	GivenAt     time.Time    `json:"given_at"`
	WithdrawnAt time.Time    `json:"withdrawn_at"`
}

// retain makes the records that are kept, and the number by which they are found.
func (s *Service) retain(ctx context.Context, id string, at time.Time) (number string, _ []person.Retained, _ error) {
	if s.Retention.Consents <= 0 {
		return "", nil, nil
	}
	consents, err := s.People.Consents(ctx, id)
	if err != nil || len(consents) == 0 {
		return "", nil, err
	}
	list := make([]keptConsent, 0, len(consents))
	for _, c := range consents {
		withdrawn := c.WithdrawnAt
		if withdrawn.IsZero() { // it ends with the registration
			withdrawn = at
		}
		list = append(list, keptConsent{c.Kind, c.Recipient, c.Version, c.Digest, c.Basis, c.At.UTC(), withdrawn.UTC()})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "", nil, fmt.Errorf("account: encode consents: %w", err)
	}
	number = newNumber()
	kept := person.Retained{
		ID: retainedID(number, consentClass), Class: consentClass, Basis: s.Retention.ConsentBasis,
		KeptAt: at, DestroyAt: at.Add(s.Retention.Consents),
	}
	kept.Content = s.Box.Seal(text, "retained:"+kept.ID)
	return number, []person.Retained{kept}, nil
}

// Kept is what is retained of a registration that has ended.
type Kept struct {
	Class     string // "consent"
	Basis     string // the law
	KeptAt    time.Time
	DestroyAt time.Time
	Content   json.RawMessage
}

// Retained returns what is kept under the number of a receipt, which may be written in lower case and without
// hyphens: fault.NotFound where nothing is, fault.Invalid for what is no number.
func (s *Service) Retained(ctx context.Context, number string) ([]Kept, error) {
	number, ok := parseNumber(number)
	if !ok {
		return nil, fault.New(fault.Invalid, "account: that is not the number of a receipt")
	}
	kept, err := s.People.Retained(ctx, retainedID(number, consentClass))
	if err != nil {
		return nil, err
	}
	if !s.Now().Before(kept.DestroyAt) {
		return nil, fault.New(fault.NotFound, "account: nothing is retained any more")
	}
	view := Kept{Class: kept.Class, Basis: kept.Basis, KeptAt: kept.KeptAt, DestroyAt: kept.DestroyAt}
	if err := s.open(kept.Content, "retained:"+kept.ID, &view.Content); err != nil {
		return nil, fmt.Errorf("account: retained record: %w", err)
	}
	return []Kept{view}, nil
}
