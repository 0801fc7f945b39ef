package login

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// at is a visit with a browser of the citizen's.
func at(device, session string) Visit {
	return Visit{SSO: true, Locale: "ko", Device: device, Session: session, Address: "192.0.2.7", Browser: "Chrome, Windows"}
}

// known registers the citizen by a login, and returns their person.
func (b *broker) known(t *testing.T, who citizen, v Visit) person.Person {
	t.Helper()
	b.with[method.Simple].proves(who)
	_, o := b.login(t, asks(siteA), method.Simple, who, v)
	p, err := b.People.ByID(t.Context(), b.code(t, o).Authentication.Person)
	check(t, err)
	return p
}

// begins begins an attempt that no site asked for.
func (b *broker) begins(t *testing.T, start Start) *Attempt {
	t.Helper()
	start.Browser = browserA
	a, err := b.Begin(t.Context(), start)
	check(t, err)
	return a
}

// refused expects one refusal, written down about the person.
func (b *broker) refused(t *testing.T, a *Attempt, code authn.Code, about string) {
	t.Helper()
	want(t, a, Failed)
	if a.Failure != code {
		t.Errorf("failed by %q, want %q", a.Failure, code)
	}
	events := b.events(t, audit.LoginRefused)
	if len(events) != 1 || events[0].Detail["code"] != string(code) || events[0].Subject != storagetest.Veil.Subject(about) {
		t.Errorf("events %+v", events)
	}
}

// TestBlocked: a method that a person wants nobody to log in by opens neither a site nor their registration, by the
// one provider or by all.
func TestBlocked(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]person.Block{"the method": {Method: method.Simple}, "the provider": {Method: method.Simple, Provider: "kakao"}} {
		for _, goal := range []Goal{ForSite, ForSelf, ForRegister} {
			t.Run(name+" "+string(goal), func(t *testing.T) {
				t.Parallel()
				b := onSQLite(t)
				p := b.known(t, kim, ordinary)
				check(t, b.People.Update(t.Context(), p.ID, func(p *person.Person) error {
					p.Blocks = append(p.Blocks, block)
					return nil
				}, person.Along{}))
				start := Start{Goal: goal}
				if goal == ForSite {
					start.Request = asks(sitePlain)
				}
				b.refused(t, b.prove(t, b.begins(t, start), method.Simple, kim, ordinary), Blocked, p.ID)
			})
		}
	}
	t.Run("another provider", func(t *testing.T) {
		t.Parallel()
		b := onSQLite(t)
		p := b.known(t, kim, ordinary)
		check(t, b.People.Update(t.Context(), p.ID, func(p *person.Person) error {
			p.Blocks = []person.Block{{Method: method.Simple, Provider: "toss"}, {Method: method.MobileID}}
			return nil
		}, person.Along{}))
		want(t, b.prove(t, b.begin(t, asks(sitePlain)), method.Simple, kim, ordinary), Done)
	})
}

// TestBlockedMeanwhile: a block reaches who was proved before it, on their way to a site, and in 사용자 관리.
func TestBlockedMeanwhile(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	p := b.known(t, kim, ordinary)
	a := b.prove(t, b.begin(t, asks(siteA, func(r *grant.Request) { r.Prompts = []string{"consent"} })), method.Simple, kim, ordinary)
	want(t, a, Consenting)
	own := b.prove(t, b.begins(t, Start{Goal: ForSelf}), method.Simple, kim, ordinary)
	o, err := b.Outcome(own)
	check(t, err)
	if _, err := b.FindSelf(t.Context(), o.Self); err != nil {
		t.Error(err)
	}
	check(t, b.People.Update(t.Context(), p.ID, func(p *person.Person) error {
		p.Blocks = []person.Block{{Method: method.Simple}}
		return nil
	}, person.Along{}))
	a, err = b.Consent(t.Context(), a.ID, browserA, nil, ordinary)
	check(t, err)
	b.refused(t, a, Blocked, p.ID)
	if _, err := b.FindSelf(t.Context(), o.Self); !fault.Is(err, fault.NotFound) {
		t.Errorf("still verified: %v", err)
	}
}

// TestExpected: where one person is expected nobody else is let through, known or not, and the one who was expected
// reads of it.
func TestExpected(t *testing.T) {
	t.Parallel()
	for _, goal := range []Goal{ForSelf, ForRegister} {
		for name, other := range map[string]citizen{"known": someone("01000000003"), "stranger": someone("01000000004")} {
			t.Run(string(goal)+" "+name, func(t *testing.T) {
				t.Parallel()
				b := onSQLite(t)
				p := b.known(t, kim, ordinary)
				if name == "known" {
					b.known(t, other, ordinary)
				}
				b.with[method.Simple].proves(other)
				a := b.begins(t, Start{Goal: goal, Expect: p.ID, Next: "withdraw"})
				b.refused(t, b.prove(t, a, method.Simple, other, ordinary), OtherPerson, p.ID)

				a, err := b.Choose(t.Context(), a.ID, browserA)
				check(t, err)
				b.with[method.Simple].proves(kim)
				a = b.prove(t, a, method.Simple, kim, ordinary)
				want(t, a, Done)
				if o, err := b.Outcome(a); err != nil || o.Self == "" || a.Next != "withdraw" || a.Expect != p.ID {
					t.Errorf("%+v, %v, next %q, expect %q", o, err, a.Next, a.Expect)
				}
			})
		}
	}
}

// TestVerifiedAnew: what is verified about a person changes by a new proof of theirs, without a site.
func TestVerifiedAnew(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	p := b.known(t, kim, ordinary)
	b.with[method.Simple].proves(kim, func(e *authn.Evidence) { e.Attributes.Name, e.Attributes.Gender = "김새봄", "" })
	want(t, b.prove(t, b.begins(t, Start{Goal: ForSelf, Expect: p.ID}), method.Simple, kim, ordinary), Done)
	p, err := b.People.ByID(t.Context(), p.ID)
	check(t, err)
	if held, err := b.attributes(p); err != nil || held.Name != "김새봄" || held.Gender != "male" {
		t.Errorf("attributes %+v, %v", held, err)
	}
}

// TestRegisterOnItsOwn: somebody registers without a site, and is known then; a second time they are only proved.
func TestRegisterOnItsOwn(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := b.prove(t, b.begins(t, Start{Goal: ForRegister}), method.Simple, kim, ordinary)
	want(t, a, Registering)
	a, o := b.through(t, a, ordinary)
	if o.Self == "" || o.Code != "" || o.Session != "" {
		t.Errorf("outcome %+v", o)
	}
	v, err := b.FindSelf(t.Context(), o.Self)
	check(t, err)
	if to, err := b.Site(a); err != nil || !IsSelf(to) {
		t.Errorf("leads to %v, %v", to, err)
	}
	links, err := b.People.Links(t.Context(), v.Person)
	check(t, err)
	connections, err := b.Grants.Store.Connections(t.Context(), v.Person)
	check(t, err)
	if len(links) != 1 || len(connections) != 0 {
		t.Errorf("%d links, %d connections", len(links), len(connections))
	}

	again := b.prove(t, b.begins(t, Start{Goal: ForRegister}), method.Simple, kim, ordinary)
	want(t, again, Done)
	b.count(t, audit.PersonRegistered, 1)
}

// TestFurtherMethod: a method that the matrix does not link by itself is added on its own, and its person told.
func TestFurtherMethod(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	p := b.known(t, kim, ordinary)
	b.with[method.JointCert].proves(kim)
	a := b.prove(t, b.begins(t, Start{Goal: ForRegister, Expect: p.ID}), method.JointCert, kim, ordinary)
	want(t, a, Registering)
	b.through(t, a, ordinary)
	links, err := b.People.Links(t.Context(), p.ID)
	check(t, err)
	alerts, err := b.db.Notices().Alerts(t.Context(), p.ID)
	check(t, err)
	if len(links) != 2 || len(alerts) != 1 || alerts[0].Kind != notice.NewMethod || alerts[0].Method != method.JointCert {
		t.Errorf("links %+v, alerts %+v", links, alerts)
	}
}

// TestRenewing: new versions of the texts ask at the next login, by a proof or by a session, once.
func TestRenewing(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	device := at("device", "")
	b.with[method.Simple].proves(kim)
	_, first := b.login(t, asks(siteA), method.Simple, kim, device)
	session, err := b.Sessions.Find(t.Context(), first.Session)
	check(t, err)

	renewed := slices.Clone(agreed)
	renewed[1].Version = "2"
	b.Terms = consent.Versions(renewed)
	byProof := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, device)
	want(t, byProof, Renewing)
	bySession := b.begin(t, asks(siteA), func(s *Start) { s.Session = session })
	want(t, bySession, Renewing)
	kinds, err := b.Renewals(t.Context(), byProof)
	check(t, err)
	if !slices.Equal(kinds, []consent.Kind{consent.Privacy}) {
		t.Errorf("to be renewed: %v", kinds)
	}

	shown, err := b.Renew(t.Context(), byProof.ID, browserA, agreed, device) // the words of before
	wantErr(t, err, ErrMoved)
	want(t, shown, Renewing)
	done, err := b.Renew(t.Context(), byProof.ID, browserA, renewed, device)
	check(t, err)
	want(t, done, Done)
	kinds, err = b.Renewals(t.Context(), bySession) // agreed to in the other tab
	if err != nil || len(kinds) != 0 {
		t.Errorf("to be renewed: %v, %v", kinds, err)
	}
	o, err := b.Outcome(done)
	check(t, err)
	made, err := b.Sessions.Find(t.Context(), o.Session)
	check(t, err)
	if made.Terms != b.Terms {
		t.Errorf("the session is of the terms %q", made.Terms)
	}
	records, err := b.People.Consents(t.Context(), session.Person)
	check(t, err)
	n := 0
	for _, r := range records {
		if r.Kind == consent.Privacy && r.Version == "2" && r.Method == string(method.Simple) {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d records of the new version", n)
	}
	want(t, b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, device), Done)
}

// TestNewBrowser: a person is told of a login in a browser that is new to them, and of no other; where they gave an
// address a message goes out.
func TestNewBrowser(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	p := b.known(t, kim, at("mine", ""))
	check(t, b.People.Update(t.Context(), p.ID, func(p *person.Person) error {
		return p.SealSettings(b.Box, person.Settings{Email: "kim@example.kr"})
	}, person.Along{}))
	alerts := func() []notice.Alert {
		t.Helper()
		list, err := b.db.Notices().Alerts(t.Context(), p.ID)
		check(t, err)
		return list
	}
	for _, step := range []struct {
		device string
		alerts int
	}{{"mine", 0}, {"another's", 1}, {"another's", 1}, {"mine", 1}, {"", 1}, {"a third", 2}} {
		b.clock.Advance(b.Limits.PushWindow)
		b.login(t, asks(siteA), method.Simple, kim, at(step.device, ""))
		if got := alerts(); len(got) != step.alerts {
			t.Errorf("%d alerts after a login in %q, want %d", len(got), step.device, step.alerts)
		}
	}
	if got := alerts(); got[0].Kind != notice.NewBrowser || got[0].Site != siteA || got[0].Session == "" {
		t.Errorf("alert %+v", got[0])
	}
	now := b.clock.Now()
	items, err := b.db.Outbox().Lease(t.Context(), now, now.Add(time.Minute), 10, 10)
	check(t, err)
	messages := 0
	for _, i := range items {
		if i.Kind == outbox.Notice {
			messages++
		}
		if strings.Contains(i.Payload, "kim@") {
			t.Error("an address lies open in the outbox")
		}
	}
	if messages != 2 {
		t.Errorf("%d messages", messages)
	}
	p, err = b.People.ByID(t.Context(), p.ID)
	check(t, err)
	if len(p.Browsers) != 3 || slices.Contains(p.Browsers, "mine") {
		t.Errorf("browsers %v", p.Browsers)
	}
}

// TestEntries: a session is durable with its sites as long as it lives, and ends for the next person in the browser.
func TestEntries(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	v := at("device", "")
	p := b.known(t, kim, v)
	_, o := b.login(t, asks(siteA), method.Simple, kim, v)
	session, err := b.Sessions.Find(t.Context(), o.Session)
	check(t, err)

	joined := b.begin(t, asks(sitePlain), func(s *Start) { s.Session, s.SelectAccount = session, true })
	done, err := b.Select(t.Context(), joined.ID, browserA, at("device", o.Session))
	check(t, err)
	want(t, done, Done)
	entry, err := b.db.Sessions().Session(t.Context(), session.ID)
	check(t, err)
	if !slices.Equal(entry.Sites, []string{siteA, sitePlain}) || entry.Person != p.ID || !strings.Contains(openOrigin(t, b, entry.ID, entry.Origin), "Chrome, Windows") {
		t.Errorf("entry %+v", entry)
	}

	lee := someone("01000000003")
	b.with[method.Simple].proves(lee)
	b.login(t, asks(siteA), method.Simple, lee, at("device", o.Session))
	if left, err := b.db.Sessions().Sessions(t.Context(), p.ID); err != nil || slices.ContainsFunc(left, sameID(entry.ID)) {
		t.Errorf("sessions %+v, %v", left, err)
	}
	ended := b.events(t, audit.SessionEnded)
	if len(ended) != 1 || ended[0].Detail["cause"] != string(logout.Replaced) {
		t.Errorf("events %+v", ended)
	}

	off := v
	off.SSO = false
	before, err := b.db.Sessions().Sessions(t.Context(), p.ID)
	check(t, err)
	b.login(t, asks(siteA), method.Simple, kim, off)
	if after, err := b.db.Sessions().Sessions(t.Context(), p.ID); err != nil || len(after) != len(before) {
		t.Errorf("%d sessions without single sign-on, %v", len(after)-len(before), err)
	}
}

// TestWithdrawnMeanwhile: who withdraws while they are on their way to a site does not arrive.
func TestWithdrawnMeanwhile(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]Visit{"with a session": at("device", ""), "without": {Locale: "ko"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			p := b.known(t, kim, v)
			a := b.prove(t, b.begin(t, asks(siteA, func(r *grant.Request) { r.Prompts = []string{"consent"} })), method.Simple, kim, v)
			want(t, a, Consenting)
			event := audit.New(b.clock.Now(), audit.PersonWithdrawn, audit.Citizen)
			event.Person = p.ID
			check(t, b.People.Withdraw(t.Context(), person.Withdrawal{Person: p.ID, Event: event}))
			a, err := b.Consent(t.Context(), a.ID, browserA, nil, v)
			if err == nil {
				want(t, a, Choosing)
			}
			if _, err := b.Outcome(b.stored(t, a.ID)); err == nil {
				t.Error("the site was answered")
			}
		})
	}
}

func openOrigin(t *testing.T, b *broker, id, sealed string) string {
	t.Helper()
	text, err := b.Box.Open(sealed, "session:"+id)
	check(t, err)
	return string(text)
}

func sameID(id string) func(session.Entry) bool {
	return func(e session.Entry) bool { return e.ID == id }
}
