package storagetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

func testUpdates(t *testing.T, s Stores) {
	ctx := t.Context()
	byID := func(t *testing.T, id string) person.Person {
		t.Helper()
		p, err := s.People.ByID(ctx, id)
		check(t, err)
		return p
	}

	t.Run("an update changes what is the person's to change", func(t *testing.T) {
		r := registration()
		check(t, s.People.Register(ctx, r))
		with := along(r.Person.ID)
		check(t, s.People.Update(ctx, r.Person.ID, func(p *person.Person) error {
			if !reflect.DeepEqual(*p, r.Person) {
				t.Errorf("the change is shown %+v, want %+v", *p, r.Person)
			}
			p.Settings, p.Terms, p.Browsers = "k2.settings", "privacy=2 terms=2", nil
			p.Blocks = append(p.Blocks, person.Block{Method: method.MobileID, At: at(7)})
			p.ID, p.CIIndex, p.Sealed, p.First, p.UpdatedAt = "another", "another", "another", method.MobileID, at(9)
			return nil
		}, with))
		wantAlong(t, s, true, with)
		want := r.Person
		want.Settings, want.Terms, want.Browsers = "k2.settings", "privacy=2 terms=2", nil
		want.Blocks = append(slices.Clone(want.Blocks), person.Block{Method: method.MobileID, At: at(7)})
		if got := byID(t, r.Person.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("the person is %+v, want %+v", got, want)
		}
	})

	t.Run("a change that fails changes nothing", func(t *testing.T) {
		p, with, no := Person(t, s.People), person.Along{Events: []audit.Event{event(audit.SettingsChanged)}}, errors.New("no")
		before := byID(t, p)
		if err := s.People.Update(ctx, p, func(p *person.Person) error { p.Settings = "k2.settings"; return no }, with); !errors.Is(err, no) {
			t.Errorf("update: %v", err)
		}
		if err := s.People.Update(ctx, p, func(*person.Person) error { return fault.New(fault.Denied, "no") }, with); !fault.Is(err, fault.Denied) {
			t.Errorf("update: %v", err)
		}
		wantCode(t, s.People.Update(ctx, "nobody", func(*person.Person) error { return nil }, with), fault.NotFound)
		wantAlong(t, s, false, with)
		if got := byID(t, p); !reflect.DeepEqual(got, before) {
			t.Errorf("the person is %+v, want %+v", got, before)
		}
	})

	t.Run("of concurrent updates none is lost", func(t *testing.T) {
		p := Person(t, s.People)
		race(t, func(i int) (bool, error) {
			return true, s.People.Update(ctx, p, func(p *person.Person) error {
				p.Blocks = append(p.Blocks, person.Block{Method: method.Simple, Provider: fmt.Sprintf("provider-%d", i), At: at(0)})
				return nil
			}, person.Along{})
		})
		got := byID(t, p)
		for i := range racers {
			if !got.Blocked(method.Simple, fmt.Sprintf("provider-%d", i)) {
				t.Errorf("block %d is lost", i)
			}
		}
	})

	t.Run("the browsers seen last are kept", func(t *testing.T) {
		p := Person(t, s.People)
		login := func(browser string) error {
			return s.Grants.RecordLogin(ctx, grant.Login{Person: p, Site: "qnet", At: at(0), Event: event(audit.SiteLogin), Browser: browser})
		}
		check(t, login("browser-1")) // known already: now the newest
		if got := byID(t, p).Browsers; !slices.Equal(got, []string{"browser-2", "browser-1"}) {
			t.Errorf("browsers %v", got)
		}
		var want []string
		for i := range person.MaxBrowsers {
			want = append(want, fmt.Sprintf("new-%02d", i))
			check(t, login(want[i]))
		}
		if got := byID(t, p).Browsers; !slices.Equal(got, want) {
			t.Errorf("browsers %v, want %v", got, want)
		}
		race(t, func(i int) (bool, error) { return true, login(fmt.Sprintf("raced-%02d", i)) })
		got := byID(t, p).Browsers
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != person.MaxBrowsers || !strings.HasPrefix(got[0], "raced-") {
			t.Errorf("browsers %v", got)
		}
		wantCode(t, s.Grants.RecordLogin(ctx, grant.Login{Person: "nobody", Site: "qnet", At: at(0), Event: event(audit.SiteLogin), Browser: "b"}), fault.NotFound)
	})

	t.Run("consents are listed newest first, the withdrawn too", func(t *testing.T) {
		r := registration()
		check(t, s.People.Register(ctx, r))
		a, b := record(r.Person.ID, "qnet", consent.HandOver, 5), record(r.Person.ID, "petition", consent.HandOver, 7)
		a.WithdrawnAt = at(6)
		for _, c := range []consent.Record{b, a} {
			check(t, s.Grants.AddConsent(ctx, c, nil, event(audit.ConsentGiven)))
		}
		got, err := s.People.Consents(ctx, r.Person.ID)
		check(t, err)
		if len(got) != 4 || !reflect.DeepEqual(got[:2], []consent.Record{b, a}) {
			t.Errorf("the consents are %+v", got)
		}
	})
}

// traces fails the test if anything of a person who has withdrawn can be found.
func traces(t *testing.T, s Stores, id string, families ...string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.People.ByID(ctx, id)
	wantCode(t, err, fault.NotFound)
	for _, f := range families {
		_, err := s.Grants.Family(ctx, f)
		wantCode(t, err, fault.NotFound)
	}
	links, e1 := s.People.Links(ctx, id)
	consents, e2 := s.People.Consents(ctx, id)
	connections, e3 := s.Grants.Connections(ctx, id)
	sessions, e4 := s.Sessions.Sessions(ctx, id)
	alerts, e5 := s.Notices.Alerts(ctx, id)
	cases, e6 := s.Notices.CasesOf(ctx, id)
	check(t, errors.Join(e1, e2, e3, e4, e5, e6))
	if n := len(links) + len(consents) + len(connections) + len(sessions) + len(alerts) + len(cases); n != 0 {
		t.Errorf("left are %d links, %d consents, %d connections, %d sessions, %d alerts and %d cases",
			len(links), len(consents), len(connections), len(sessions), len(alerts), len(cases))
	}
}

func retained(class string, minute int) person.Retained {
	return person.Retained{ID: unique("retained"), Class: class, Basis: "전자서명법", Content: "k1.content", KeptAt: at(0), DestroyAt: at(minute)}
}

func testWithdrawals(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("everything goes at once", func(t *testing.T) {
		r, neighbor := registration(), registration()
		check(t, s.People.Register(ctx, r))
		check(t, s.People.Register(ctx, neighbor))
		id := r.Person.ID
		first, second := entry(id, 1, "a", "b"), entry(id, 2, "c")
		a, f := alert(id, 0), family(id)
		for _, l := range []grant.Login{
			{Person: id, Site: "qnet", At: at(1), Event: event(audit.SiteLogin), Session: &first, Alerts: []notice.Alert{a}},
			{Person: id, Site: "a", At: at(2), Event: event(audit.SiteLogin), Session: &second},
			{Person: neighbor.Person.ID, Site: "qnet", At: at(1), Event: event(audit.SiteLogin)},
		} {
			check(t, s.Grants.RecordLogin(ctx, l))
		}
		check(t, s.Grants.AddFamily(ctx, f))
		check(t, s.Notices.Dispute(ctx, dispute(id, 0), a.ID))
		check(t, s.People.AddLink(ctx, link(id, method.MobileID, 3), person.Along{}))

		kept, no := retained("consent", 30), errors.New("no")
		w := person.Withdrawal{
			Person: id, Retained: []person.Retained{kept}, Items: []outbox.Item{item("mail", unique("batch"), 0)}, Event: event(audit.PersonWithdrawn),
			Tell: func([]string, []session.Entry) ([]outbox.Item, error) { return nil, no },
		}
		if err := s.People.Withdraw(ctx, w); !errors.Is(err, no) {
			t.Errorf("the withdrawal ended with %v", err)
		}
		wantEvents(t, s, false, w.Event)
		wantSession(t, s, first)
		told := item("qnet", unique("batch"), 0)
		w.Tell = func(sites []string, sessions []session.Entry) ([]outbox.Item, error) {
			if !slices.Equal(sites, []string{"a", "qnet"}) || !reflect.DeepEqual(sessions, []session.Entry{second, first}) {
				t.Errorf("to tell of are sites %v and sessions %+v", sites, sessions)
			}
			return []outbox.Item{told}, nil
		}
		check(t, s.People.Withdraw(ctx, w))
		traces(t, s, id, f.ID)
		wantEvents(t, s, true, w.Event)
		wantItems(t, s, true, append(w.Items, told)...)
		got, err := s.People.Retained(ctx, kept.ID)
		if err != nil || got != kept {
			t.Errorf("retained is %+v, %v", got, err)
		}
		_, err = s.People.ByLink(ctx, r.Link.Method, r.Link.Subject)
		wantCode(t, err, fault.NotFound)
		if _, err := s.Grants.Connection(ctx, neighbor.Person.ID, "qnet"); err != nil {
			t.Errorf("the neighbor's connection: %v", err)
		}

		w.Retained, w.Items, w.Event = []person.Retained{retained("consent", 30)}, nil, event(audit.PersonWithdrawn)
		wantCode(t, s.People.Withdraw(ctx, w), fault.NotFound)
		wantEvents(t, s, false, w.Event)
		_, err = s.People.Retained(ctx, w.Retained[0].ID)
		wantCode(t, err, fault.NotFound)

		again := registration() // as a new person
		again.Person.CIIndex, again.Link.Subject = r.Person.CIIndex, r.Link.Subject
		check(t, s.People.Register(ctx, again))
		byCI, err := s.People.ByCI(ctx, r.Person.CIIndex)
		if err != nil || byCI.ID != again.Person.ID {
			t.Errorf("the CI is %s's, %v", byCI.ID, err)
		}
		traces(t, s, id, f.ID)
	})

	t.Run("a person withdraws once", func(t *testing.T) {
		p := Person(t, s.People)
		if n := race(t, func(int) (bool, error) {
			err := s.People.Withdraw(ctx, person.Withdrawal{Person: p, Event: event(audit.PersonWithdrawn)})
			if fault.Is(err, fault.NotFound) {
				return false, nil
			}
			return err == nil, err
		}); n != 1 {
			t.Errorf("the person withdrew %d times", n)
		}
	})

	t.Run("nothing is written of who has withdrawn", func(t *testing.T) {
		r := registration()
		check(t, s.People.Register(ctx, r))
		check(t, s.People.Withdraw(ctx, person.Withdrawal{Person: r.Person.ID, Event: event(audit.PersonWithdrawn)}))
		for i, write := range writers(ctx, s, r.Person.ID, "") {
			if err := write(0); !fault.Is(err, fault.NotFound) {
				t.Errorf("writer %d: %v", i, err)
			}
		}
		traces(t, s, r.Person.ID)
	})

	t.Run("what is written meanwhile goes too, and its sites are told", func(t *testing.T) {
		for range 4 {
			p := Person(t, s.People)
			e := signIn(t, s, entry(p, 0))
			write := writers(ctx, s, p, e.ID)
			var sites []string
			var sessions []session.Entry
			wrote := make([]bool, racers)
			race(t, func(i int) (bool, error) {
				if i == racers/2 {
					return true, s.People.Withdraw(ctx, person.Withdrawal{
						Person: p, Event: event(audit.PersonWithdrawn), Items: []outbox.Item{item("mail", unique("batch"), 0)},
						Tell: func(told []string, ended []session.Entry) ([]outbox.Item, error) {
							sites, sessions = told, ended
							return nil, nil
						},
					})
				}
				err := write[i%len(write)](i)
				if fault.Is(err, fault.NotFound) {
					return false, nil
				}
				wrote[i] = err == nil
				return true, err
			})
			var families []string
			for i, wrote := range wrote {
				families = append(families, fmt.Sprintf("family-%s-%d", p, i))
				if site := siteOf(i); i%len(write) < logins && wrote != slices.Contains(sites, site) {
					t.Errorf("login %d at %s: %t; told are %v", i, site, wrote, sites)
				}
				if i%len(write) == joining && wrote && !slices.ContainsFunc(sessions, func(x session.Entry) bool {
					return x.ID == e.ID && slices.Contains(x.Sites, siteOf(i))
				}) {
					t.Errorf("%s joined and is not told: %+v", siteOf(i), sessions)
				}
			}
			traces(t, s, p, families...)
		}
	})

	t.Run("what is retained is destroyed in its time", func(t *testing.T) {
		p := Person(t, s.People)
		var kept []person.Retained
		for i := range 4 {
			k := retained("consent", 0)
			k.DestroyAt = at(0).AddDate(-1, 0, i)
			kept = append(kept, k)
		}
		check(t, s.People.Withdraw(ctx, person.Withdrawal{Person: p, Retained: kept, Event: event(audit.PersonWithdrawn)}))
		for _, want := range []int{2, 1, 0} {
			n, err := s.People.SweepRetained(ctx, kept[2].DestroyAt, 2)
			check(t, err)
			if n != want {
				t.Errorf("%d records were destroyed, want %d", n, want)
			}
		}
		_, err := s.People.Retained(ctx, kept[2].ID)
		wantCode(t, err, fault.NotFound)
		_, err = s.People.Retained(ctx, kept[3].ID)
		check(t, err)
	})
}

// The first of the writers are logins, and one of those joins a session.
const (
	logins  = 4
	joining = 3
)

func siteOf(i int) string { return fmt.Sprintf("site-%02d", i) }

// writers are all ways to write something of a person who has the session; i tells the calls apart.
func writers(ctx context.Context, s Stores, id, open string) []func(i int) error {
	login := func(i int, fill func(*grant.Login)) error {
		l := grant.Login{Person: id, Site: siteOf(i), At: at(0), Event: event(audit.SiteLogin)}
		fill(&l)
		return s.Grants.RecordLogin(ctx, l)
	}
	return []func(i int) error{
		func(i int) error { return login(i, func(*grant.Login) {}) },
		func(i int) error {
			return login(i, func(l *grant.Login) { e := entry(id, 0, l.Site); l.Session = &e })
		},
		func(i int) error {
			return login(i, func(l *grant.Login) {
				l.Alerts, l.Items, l.Browser = []notice.Alert{alert(id, 0)}, []outbox.Item{item("mail", "x", 0)}, unique("browser")
			})
		},
		func(i int) error {
			return login(i, func(l *grant.Login) {
				l.Joins = open
				if open == "" {
					l.Joins = "nothing"
				}
			})
		},
		func(int) error { return s.People.AddLink(ctx, link(id, method.JointCert, 0), along(id)) },
		func(int) error {
			return s.Grants.AddConsent(ctx, record(id, "qnet", consent.HandOver, 0), nil, event(audit.ConsentGiven))
		},
		func(i int) error {
			f := family(id)
			f.ID = fmt.Sprintf("family-%s-%d", id, i)
			return s.Grants.AddFamily(ctx, f)
		},
		func(int) error { return s.Notices.Dispute(ctx, dispute(id, 0), "") },
		func(int) error {
			return s.People.Update(ctx, id, func(p *person.Person) error { p.Settings = "k2.settings"; return nil }, along(id))
		},
	}
}
