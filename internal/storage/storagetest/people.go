package storagetest

import (
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

// registration is of a new person with a CI, a link and two consents.
func registration() person.Registration {
	id := unique("person")
	return person.Registration{
		Person: person.Person{
			ID: id, First: method.Simple, CIIndex: unique("ci"), SealedCI: "k1.sealedci", Sealed: "k1.sealed",
			Settings: "k1.settings", Terms: "privacy=1 terms=1",
			Blocks:       []person.Block{{Method: method.JointCert, At: at(0)}, {Method: method.Simple, Provider: "naver", Case: "a-case", At: at(1)}},
			Browsers:     []string{"browser-1", "browser-2"},
			RegisteredAt: at(0), UpdatedAt: at(1),
		},
		Link:     link(id, method.Simple, 0),
		Consents: []consent.Record{record(id, consent.Broker, consent.Terms, 0), record(id, consent.Broker, consent.Privacy, 0)},
	}
}

func link(id string, m method.Method, minute int) person.Link {
	return person.Link{
		Person: id, Method: m, Subject: unique("subject"), Provider: "kakao", Rule: method.Auto, Policy: 3,
		Binding: "signed", Digest: "00ff", Attempt: unique("attempt"), LinkedAt: at(minute),
	}
}

func record(id, recipient string, kind consent.Kind, minute int) consent.Record {
	return consent.Record{
		ID: unique("consent"), Person: id, Recipient: recipient, Kind: kind, Version: "2026-11-01", Digest: "abcd",
		Locale: "ko", Basis: "개인정보 보호법 제15조", Purpose: "시험 접수", Items: []string{"name", "phone_number"},
		Retention: "1년", Attempt: unique("attempt"), Method: "simple", At: at(minute),
	}
}

func testPeople(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("a registered person is found by id, CI and link", func(t *testing.T) {
		r, e1, e2 := registration(), event(audit.PersonRegistered), event(audit.ConsentGiven)
		check(t, s.People.Register(ctx, r, e1, e2))
		wantEvents(t, s, true, e1, e2)
		byID, err := s.People.ByID(ctx, r.Person.ID)
		check(t, err)
		byCI, err := s.People.ByCI(ctx, r.Person.CIIndex)
		check(t, err)
		byLink, err := s.People.ByLink(ctx, r.Link.Method, r.Link.Subject)
		check(t, err)
		for by, got := range map[string]person.Person{"ByID": byID, "ByCI": byCI, "ByLink": byLink} {
			if !reflect.DeepEqual(got, r.Person) {
				t.Errorf("%s returned %+v, want %+v", by, got, r.Person)
			}
		}
		links, err := s.People.Links(ctx, r.Person.ID)
		check(t, err)
		if want := []person.Link{r.Link}; !reflect.DeepEqual(links, want) {
			t.Errorf("Links returned %+v, want %+v", links, want)
		}
	})

	t.Run("who is not registered is not found", func(t *testing.T) {
		_, err := s.People.ByID(ctx, "nobody")
		wantCode(t, err, fault.NotFound)
		_, err = s.People.ByCI(ctx, "nobody")
		wantCode(t, err, fault.NotFound)
		_, err = s.People.ByLink(ctx, method.MobileID, "nobody")
		wantCode(t, err, fault.NotFound)
		links, err := s.People.Links(ctx, "nobody")
		check(t, err)
		if len(links) != 0 {
			t.Errorf("Links returned %+v, want none", links)
		}
	})

	t.Run("a subject is one method's", func(t *testing.T) {
		a, b := registration(), registration()
		b.Link.Method, b.Link.Subject = method.JointCert, a.Link.Subject
		check(t, s.People.Register(ctx, a))
		check(t, s.People.Register(ctx, b))
		for _, r := range []person.Registration{a, b} {
			got, err := s.People.ByLink(ctx, r.Link.Method, r.Link.Subject)
			check(t, err)
			if got.ID != r.Person.ID {
				t.Errorf("ByLink %s returned %s, want %s", r.Link.Method, got.ID, r.Person.ID)
			}
		}
	})

	t.Run("people without a CI do not collide", func(t *testing.T) {
		a, b := registration(), registration()
		a.Person.CIIndex, b.Person.CIIndex = "", ""
		check(t, s.People.Register(ctx, a))
		check(t, s.People.Register(ctx, b))
		_, err := s.People.ByCI(ctx, "")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("a subject is registered once, and those beside it are not disturbed", func(t *testing.T) {
		wanted := registration()
		var others atomic.Int64
		if n := race(t, func(i int) (bool, error) {
			r := registration()
			if i%4 > 0 {
				r.Link.Subject = wanted.Link.Subject
				return wins(s.People.Register(ctx, r, event(audit.PersonRegistered)))
			}
			if err := s.People.Register(ctx, r, event(audit.PersonRegistered)); err != nil {
				return false, err
			}
			others.Add(1)
			return false, nil
		}); n != 1 || others.Load() != racers/4 {
			t.Errorf("%d registered the subject, among %d others", n, others.Load())
		}
	})

	t.Run("a taken CI or subject changes nothing", func(t *testing.T) {
		first := registration()
		check(t, s.People.Register(ctx, first))
		ci, subject := registration(), registration()
		ci.Person.CIIndex = first.Person.CIIndex
		subject.Link.Subject = first.Link.Subject
		for name, r := range map[string]person.Registration{"CI": ci, "subject": subject} {
			e := event(audit.PersonRegistered)
			wantCode(t, s.People.Register(ctx, r, e), fault.Conflict)
			wantEvents(t, s, false, e)
			if _, err := s.People.ByID(ctx, r.Person.ID); !fault.Is(err, fault.NotFound) {
				t.Errorf("taken %s: the person was stored (%v)", name, err)
			}
			links, err := s.People.Links(ctx, r.Person.ID)
			check(t, err)
			if len(links) != 0 {
				t.Errorf("taken %s: links %+v were stored", name, links)
			}
		}
	})

	t.Run("one CI registers once", func(t *testing.T) {
		ci := unique("ci")
		if n := race(t, func(int) (bool, error) {
			r := registration()
			r.Person.CIIndex = ci
			return wins(s.People.Register(ctx, r, event(audit.PersonRegistered)))
		}); n != 1 {
			t.Errorf("%d registrations of one CI, want 1", n)
		}
	})

	t.Run("one subject registers once", func(t *testing.T) {
		subject := unique("subject")
		if n := race(t, func(int) (bool, error) {
			r := registration()
			r.Person.CIIndex, r.Link.Subject = "", subject
			return wins(s.People.Register(ctx, r, event(audit.PersonRegistered)))
		}); n != 1 {
			t.Errorf("%d registrations of one subject, want 1", n)
		}
	})

	t.Run("refresh replaces the attributes only", func(t *testing.T) {
		r := registration()
		check(t, s.People.Register(ctx, r))
		check(t, s.People.Refresh(ctx, r.Person.ID, "k2.newer", at(30)))
		want := r.Person
		want.Sealed, want.UpdatedAt = "k2.newer", at(30)
		got, err := s.People.ByID(ctx, r.Person.ID)
		check(t, err)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("after Refresh %+v, want %+v", got, want)
		}
		wantCode(t, s.People.Refresh(ctx, "nobody", "k2.newer", at(30)), fault.NotFound)
	})
}
