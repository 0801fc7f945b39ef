package storagetest

import (
	"reflect"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
)

// along returns what may go with a change of the person.
func along(id string) person.Along {
	return person.Along{
		Consents: []consent.Record{record(id, unique("site"), consent.HandOver, 0)},
		Alerts:   []notice.Alert{alert(id, 0)},
		Items:    []outbox.Item{item("mail", unique("batch"), 0)},
		Events:   []audit.Event{event(audit.MethodLinked), event(audit.ConsentGiven)},
	}
}

// wantAlong fails the test unless all that went with a change of the person is stored, or nothing.
func wantAlong(t *testing.T, s Stores, written bool, with person.Along) {
	t.Helper()
	wantEvents(t, s, written, with.Events...)
	wantItems(t, s, written, with.Items...)
	for _, a := range with.Alerts {
		if _, err := s.Notices.Alert(t.Context(), a.ID); (err == nil) != written || err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("alert: %v, want it stored: %t", err, written)
		}
	}
	for _, c := range with.Consents {
		if _, err := newest(t.Context(), s, c.Person, c.Recipient); (err == nil) != written || err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("consent: %v, want it stored: %t", err, written)
		}
	}
}

func testLinks(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("links are listed oldest first", func(t *testing.T) {
		r := registration()
		check(t, s.People.Register(ctx, r))
		newest, middle := link(r.Person.ID, method.JointCert, 9), link(r.Person.ID, method.MobileID, 5)
		given, e := record(r.Person.ID, consent.Broker, consent.UniqueID, 5), event(audit.MethodLinked)
		check(t, s.People.AddLink(ctx, newest, person.Along{}))
		check(t, s.People.AddLink(ctx, middle, person.Along{Consents: []consent.Record{given}, Events: []audit.Event{e}}))
		wantEvents(t, s, true, e)
		links, err := s.People.Links(ctx, r.Person.ID)
		check(t, err)
		if want := []person.Link{r.Link, middle, newest}; !reflect.DeepEqual(links, want) {
			t.Errorf("Links returned %+v, want %+v", links, want)
		}
	})

	t.Run("a linked subject is not linked again", func(t *testing.T) {
		a, b := registration(), registration()
		check(t, s.People.Register(ctx, a))
		check(t, s.People.Register(ctx, b))
		again, e := link(b.Person.ID, a.Link.Method, 5), event(audit.MethodLinked)
		again.Subject = a.Link.Subject
		given := record(b.Person.ID, unique("site"), consent.HandOver, 1)
		wantCode(t, s.People.AddLink(ctx, again, person.Along{Consents: []consent.Record{given}, Events: []audit.Event{e}}), fault.Conflict)
		wantEvents(t, s, false, e)
		_, err := newest(ctx, s, b.Person.ID, given.Recipient)
		wantCode(t, err, fault.NotFound)
		owner, err := s.People.ByLink(ctx, again.Method, again.Subject)
		check(t, err)
		if owner.ID != a.Person.ID {
			t.Errorf("the link is %s's now, want %s's", owner.ID, a.Person.ID)
		}
	})

	t.Run("consents come with the change", func(t *testing.T) {
		r := registration()
		r.Consents = []consent.Record{record(r.Person.ID, unique("site"), consent.HandOver, 1)}
		check(t, s.People.Register(ctx, r))
		l := link(r.Person.ID, method.JointCert, 3)
		later := record(r.Person.ID, r.Consents[0].Recipient, consent.HandOver, 2)
		got, err := newest(ctx, s, r.Person.ID, later.Recipient)
		check(t, err)
		if !reflect.DeepEqual(got, r.Consents[0]) {
			t.Errorf("after Register the consent is %+v, want %+v", got, r.Consents[0])
		}
		check(t, s.People.AddLink(ctx, l, person.Along{Consents: []consent.Record{later}}))
		got, err = newest(ctx, s, r.Person.ID, later.Recipient)
		check(t, err)
		if !reflect.DeepEqual(got, later) {
			t.Errorf("after AddLink the consent is %+v, want %+v", got, later)
		}
	})

	t.Run("all that goes with a link commits with it", func(t *testing.T) {
		p := Person(t, s.People)
		l, with := link(p, method.JointCert, 1), along(p)
		check(t, s.People.AddLink(ctx, l, with))
		wantAlong(t, s, true, with)
		again := along(p)
		wantCode(t, s.People.AddLink(ctx, l, again), fault.Conflict)
		wantAlong(t, s, false, again)
		nobodys := along(p)
		wantCode(t, s.People.AddLink(ctx, link("nobody", method.JointCert, 1), nobodys), fault.NotFound)
		wantAlong(t, s, false, nobodys)
	})

	// two registers somebody with two links.
	two := func(t *testing.T) (person.Registration, person.Link) {
		t.Helper()
		r := registration()
		r.Person.Blocks = nil
		l := link(r.Person.ID, method.JointCert, 5)
		check(t, s.People.Register(ctx, r))
		check(t, s.People.AddLink(ctx, l, person.Along{}))
		return r, l
	}

	t.Run("a link is removed, the last one not", func(t *testing.T) {
		r, l := two(t)
		other, _ := two(t)
		for name, c := range map[string]person.Link{
			"unknown subject":   {Person: r.Person.ID, Method: l.Method, Subject: "nothing"},
			"another method":    {Person: r.Person.ID, Method: method.FinancialCert, Subject: l.Subject},
			"another's subject": {Person: other.Person.ID, Method: l.Method, Subject: l.Subject},
			"nobody's":          {Person: "nobody", Method: l.Method, Subject: l.Subject},
		} {
			with := along(r.Person.ID)
			if err := s.People.RemoveLink(ctx, c.Person, c.Method, c.Subject, with); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
			wantAlong(t, s, false, with)
		}
		with := along(r.Person.ID)
		check(t, s.People.RemoveLink(ctx, r.Person.ID, l.Method, l.Subject, with))
		wantAlong(t, s, true, with)
		_, err := s.People.ByLink(ctx, l.Method, l.Subject)
		wantCode(t, err, fault.NotFound)
		with = along(r.Person.ID)
		wantCode(t, s.People.RemoveLink(ctx, r.Person.ID, r.Link.Method, r.Link.Subject, with), fault.Conflict)
		wantAlong(t, s, false, with)
		links, err := s.People.Links(ctx, r.Person.ID)
		if err != nil || !reflect.DeepEqual(links, []person.Link{r.Link}) {
			t.Errorf("links are %+v, %v", links, err)
		}
		check(t, s.People.AddLink(ctx, l, person.Along{})) // what was removed is free
	})

	t.Run("a link whose other is blocked stays", func(t *testing.T) {
		r, l := two(t)
		check(t, s.People.Update(ctx, r.Person.ID, func(p *person.Person) error {
			p.Blocks = []person.Block{{Method: l.Method, At: at(1)}}
			return nil
		}, person.Along{}))
		wantCode(t, s.People.RemoveLink(ctx, r.Person.ID, r.Link.Method, r.Link.Subject, person.Along{}), fault.Conflict)
		check(t, s.People.RemoveLink(ctx, r.Person.ID, l.Method, l.Subject, person.Along{}))
	})

	t.Run("of the last two links one stays", func(t *testing.T) {
		r, l := two(t)
		both := []person.Link{r.Link, l}
		if n := race(t, func(i int) (bool, error) {
			err := s.People.RemoveLink(ctx, r.Person.ID, both[i%2].Method, both[i%2].Subject, person.Along{})
			if fault.Is(err, fault.NotFound) {
				return false, nil
			}
			return wins(err)
		}); n != 1 {
			t.Errorf("%d links were removed", n)
		}
		links, err := s.People.Links(ctx, r.Person.ID)
		if err != nil || len(links) != 1 {
			t.Errorf("links are %+v, %v", links, err)
		}
	})
}
