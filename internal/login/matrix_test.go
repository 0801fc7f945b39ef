package login

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// links lists the links of the person behind an outcome.
func (b *broker) links(t *testing.T, id string) []person.Link {
	t.Helper()
	links, err := b.People.Links(t.Context(), id)
	check(t, err)
	return links
}

// TestLinkingMatrix goes through every cell: registered first by one method, come back by another.
func TestLinkingMatrix(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		b := newWorld(t, open).instance()
		for i, cell := range method.DefaultLinkPolicy().Cells() {
			t.Run(fmt.Sprintf("%s then %s", cell.First, cell.Now), func(t *testing.T) {
				who := someone(fmt.Sprintf("010000001%02d", i))
				b.with[cell.First].proves(who)
				b.with[cell.Now].proves(who)
				a := b.prove(t, b.begin(t, asks(siteA)), cell.First, who, ordinary)
				want(t, a, Registering)
				if _, adds, err := b.Pending(t.Context(), a); err != nil || adds {
					t.Errorf("a new citizen adds a method: %t, %v", adds, err)
				}
				_, o := b.through(t, a, ordinary)
				id := b.code(t, o).Authentication.Person
				linkedBefore := len(b.events(t, audit.MethodLinked))
				b.clock.Advance(time.Second)

				a = b.prove(t, b.begin(t, asks(siteA)), cell.Now, who, ordinary)
				rule := cell.Rule
				if rule == method.Register {
					want(t, a, Registering)
					if n := len(b.links(t, id)); n != 1 {
						t.Errorf("%d links before the citizen agreed", n)
					}
					e, adds, err := b.Pending(t.Context(), a)
					if err != nil || !adds || e.Method != cell.Now {
						t.Errorf("pending %s, adds %t, %v", e.Method, adds, err)
					}
					a, err = b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
					check(t, err)
				}
				want(t, a, Done)
				o, err := b.Outcome(a)
				check(t, err)
				code := b.code(t, o)
				if code.Authentication.Person != id || code.Authentication.Method != cell.Now || code.Authentication.Level != b.with[cell.Now].level {
					t.Errorf("logged in as %+v, want %s", code.Authentication, id)
				}
				links := b.links(t, id)
				if rule == method.Own {
					if len(links) != 1 || links[0].Rule != method.Own || len(b.events(t, audit.MethodLinked)) != linkedBefore {
						t.Errorf("links %+v", links)
					}
					return
				}
				if len(links) != 2 {
					t.Fatalf("links %+v, want two", links)
				}
				evidence := b.with[cell.Now].evidence[who.phone]
				if links[1] != (person.Link{
					Person: id, Method: cell.Now, Subject: b.subjectIndex(evidence), Provider: "kakao", Rule: rule, Policy: 1,
					Binding: "signed", Digest: evidence.Digest, Attempt: secret.Hash(a.ID), LinkedAt: b.clock.Now(),
				}) {
					t.Errorf("link %+v", links[1])
				}
				linked := b.events(t, audit.MethodLinked)
				if len(linked) != linkedBefore+1 {
					t.Fatalf("%d links on record, want %d", len(linked), linkedBefore+1)
				}
				event := linked[len(linked)-1]
				if event.Subject != storagetest.Veil.Subject(id) || event.Attempt != secret.Hash(a.ID) || event.Detail["rule"] != string(rule) ||
					event.Detail["policy"] != "1" || event.Detail["method"] != string(cell.Now) {
					t.Errorf("event %+v", event)
				}

				// The method is the person's own from now on.
				a = b.prove(t, b.begin(t, asks(siteA)), cell.Now, who, ordinary)
				want(t, a, Done)
			})
		}
		b.count(t, audit.PersonRegistered, 16)
		b.count(t, audit.LoginConflict, 0)
	})
}

// TestPolicyChanged: a link says which version of the matrix allowed it.
func TestPolicyChanged(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	b.with[method.MobileID].proves(kim)
	_, o := b.login(t, asks(sitePlain), method.Simple, kim, ordinary)
	cells := method.DefaultLinkPolicy().Cells()
	for i := range cells {
		if cells[i].First == method.Simple && cells[i].Now == method.MobileID {
			cells[i].Rule = method.Register
		}
	}
	policy, err := method.NewLinkPolicy(2, cells)
	check(t, err)
	check(t, b.db.LinkPolicies().SetLinkPolicy(t.Context(), policy, audit.New(b.clock.Now(), audit.PolicyChanged, audit.System)))
	check(t, b.Matrix.Refresh(t.Context()))
	b.clock.Advance(time.Second)
	a := b.prove(t, b.begin(t, asks(sitePlain)), method.MobileID, kim, ordinary)
	want(t, a, Registering)
	b.through(t, a, ordinary)
	links := b.links(t, b.code(t, o).Authentication.Person)
	if len(links) != 2 || links[1].Rule != method.Register || strconv.Itoa(links[1].Policy) != "2" {
		t.Errorf("links %+v", links)
	}
}

// TestConflict: a proof whose credential and CI belong to two people logs nobody in, links and merges
// nothing.
func TestConflict(t *testing.T) {
	t.Parallel()
	stranger := someone("01000000003")
	for _, row := range []struct {
		name   string
		change func(*authn.Evidence)
	}{
		{"another registered person's CI", func(e *authn.Evidence) { e.CI = lee.ci }},
		{"a stranger's CI", func(e *authn.Evidence) { e.CI = stranger.ci }},
		{"another registered person's credential", func(e *authn.Evidence) { e.Subject = "simple of " + lee.ci }},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			phone := b.with[method.Simple]
			ids := make(map[citizen]string)
			for _, who := range []citizen{kim, lee} {
				phone.proves(who)
				_, o := b.login(t, asks(sitePlain), method.Simple, who, ordinary)
				ids[who] = b.code(t, o).Authentication.Person
			}
			phone.proves(kim, row.change)
			a := b.prove(t, b.begin(t, asks(sitePlain)), method.Simple, kim, ordinary)
			want(t, a, Conflicted)
			b.count(t, audit.LoginConflict, 1)
			b.count(t, audit.PersonRegistered, 2)
			b.count(t, audit.SiteLogin, 2)
			if a.Evidence != "" || a.Authentication != nil {
				t.Error("the attempt keeps the proof")
			}
			for who, id := range ids {
				if links := b.links(t, id); len(links) != 1 || links[0].Rule != method.Own {
					t.Errorf("%s has links %+v", who.phone, links)
				}
			}
			// The proof that is right goes on from here.
			phone.proves(kim)
			a = b.prove(t, a, method.Simple, kim, ordinary)
			want(t, a, Done)
		})
	}
}

// TestConflictWhileRegistering: what is registered while the registration page is open counts.
func TestConflictWhileRegistering(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	// Two proofs by one credential with two CIs: both citizens are new.
	phone.proves(kim)
	first := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
	phone.proves(lee, func(e *authn.Evidence) { e.Subject = "simple of " + kim.ci })
	second := b.prove(t, b.begin(t, asks(siteA)), method.Simple, lee, ordinary)
	want(t, first, Registering)
	want(t, second, Registering)
	first, err := b.Register(t.Context(), first.ID, browserA, agreed, noNumber, ordinary)
	check(t, err)
	want(t, first, Consenting)
	second, err = b.Register(t.Context(), second.ID, browserA, agreed, noNumber, ordinary)
	check(t, err)
	want(t, second, Conflicted)
	b.count(t, audit.PersonRegistered, 1)
	b.count(t, audit.MethodLinked, 0)
}

// TestLinkedToAnotherMeanwhile: a credential that becomes somebody else's between look-up and link joins
// nobody.
func TestLinkedToAnotherMeanwhile(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	for _, who := range []citizen{kim, lee} {
		b.with[method.Simple].proves(who)
		b.login(t, asks(sitePlain), method.Simple, who, ordinary)
	}
	mobile := b.with[method.MobileID]
	mobile.proves(kim)
	evidence := mobile.evidence[kim.phone]
	b.People = slow{people: b.People.(people), before: func() {
		other, err := b.db.People().ByCI(t.Context(), b.Index.Of("ci", lee.ci))
		check(t, err)
		l := person.Link{Person: other.ID, Method: method.MobileID, Subject: b.subjectIndex(evidence), Rule: method.Auto, LinkedAt: b.clock.Now()}
		check(t, b.db.People().AddLink(t.Context(), l, person.Along{}))
	}}
	a := b.prove(t, b.begin(t, asks(sitePlain)), method.MobileID, kim, ordinary)
	want(t, a, Conflicted)
}

// slow is a store in which something happens before each link.
type slow struct {
	people
	before func()
}

func (s slow) AddLink(ctx context.Context, l person.Link, with person.Along) error {
	s.before()
	return s.people.AddLink(ctx, l, with)
}

// TestNoCI: without a CI nothing joins two methods, and nobody is joined by name and birth date.
func TestNoCI(t *testing.T) {
	t.Parallel()
	without := func(e *authn.Evidence) { e.CI = "" }
	b := onSQLite(t)
	twin := someone("01000000009") // same name and birth date
	for i, step := range []struct {
		method method.Method
		who    citizen
		change func(*authn.Evidence)
		people int
	}{
		{method.Simple, kim, func(*authn.Evidence) {}, 1},
		{method.Simple, twin, func(*authn.Evidence) {}, 2},    // another CI
		{method.MobileID, kim, without, 3},                    // auto, but nothing to join on
		{method.FinancialCert, kim, without, 4},               // nor here
		{method.MobileID, kim, without, 4},                    // found again by the credential
		{method.JointCert, twin, func(*authn.Evidence) {}, 4}, // by the CI
	} {
		b.with[step.method].proves(step.who, step.change)
		_, o := b.login(t, asks(sitePlain), step.method, step.who, ordinary)
		if o.Code == "" {
			t.Errorf("step %d: no code", i)
		}
		b.count(t, audit.PersonRegistered, step.people)
	}
}

// TestRegistration: what a registration leaves behind.
func TestRegistration(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := in[Registering](t, b)
	a, err := b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
	check(t, err)
	p, err := b.People.ByCI(t.Context(), b.Index.Of("ci", kim.ci))
	check(t, err)
	if p.ID != a.Authentication.Person || p.First != method.Simple || !p.RegisteredAt.Equal(b.clock.Now()) {
		t.Errorf("person %+v", p)
	}
	ci, err := b.Box.Open(p.SealedCI, "ci:"+p.ID)
	if err != nil || string(ci) != kim.ci {
		t.Errorf("sealed CI: %q, %v", ci, err)
	}
	held, err := b.Person(t.Context(), a)
	if err != nil || held.Name != kim.name || held.BirthDate != kim.birthDate {
		t.Errorf("attributes %+v, %v", held, err)
	}
	if links := b.links(t, p.ID); len(links) != 1 || links[0].Attempt != secret.Hash(a.ID) || links[0].Binding != "signed" || links[0].Digest == "" || links[0].Policy != 1 {
		t.Errorf("links %+v", links)
	}
	registered := b.events(t, audit.PersonRegistered)
	if len(registered) != 1 {
		t.Fatalf("events %+v", registered)
	}
	if e, err := storagetest.Veil.Reveal(registered[0], p.ID); err != nil || e.Address != "192.0.2.7" || e.Attempt != secret.Hash(a.ID) {
		t.Errorf("event %+v, %v", e, err)
	}
}

// TestDeclineKeepsNothing: 등록 안함 leaves nothing of the citizen behind.
func TestDeclineKeepsNothing(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := in[Registering](t, b)
	a, err := b.Decline(t.Context(), a.ID, browserA, "access_denied")
	check(t, err)
	o, err := b.Outcome(a)
	check(t, err)
	if o != (Outcome{Error: "access_denied"}) || a.Evidence != "" || a.Proof != nil || a.Authentication != nil {
		t.Errorf("outcome %+v of %+v", o, a)
	}
	if _, err := b.People.ByCI(t.Context(), b.Index.Of("ci", kim.ci)); !fault.Is(err, fault.NotFound) {
		t.Errorf("the citizen is on record: %v", err)
	}
}

// TestAttributesFollowTheProof: newer attributes replace older ones, and what a counterpart does not tell
// stays.
func TestAttributesFollowTheProof(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	b.login(t, asks(sitePlain), method.Simple, kim, ordinary)
	phone.proves(kim, func(e *authn.Evidence) { e.Attributes.Name, e.Attributes.Phone = "홍새이름", "" })
	a := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
	want(t, a, Consenting)
	held, err := b.Person(t.Context(), a)
	check(t, err)
	if held.Name != "홍새이름" || held.Phone != "+821000000001" || held.Gender != "male" {
		t.Errorf("attributes %+v", held)
	}
}

// TestTooYoung: children under 14 do not register; those who are registered log in.
func TestTooYoung(t *testing.T) {
	t.Parallel()
	for birthDate, state := range map[string]State{
		"2012-11-01": Registering, // 14 today, in Korea
		"2012-11-02": Failed,
		"2020-01-01": Failed,
		"":           Failed,
		"2012-02-30": Failed,
	} {
		t.Run(birthDate, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.clock.now.Store(time.Date(2026, 10, 31, 15, 0, 0, 0, time.UTC).UnixMilli()) // midnight in Seoul
			b.with[method.Simple].proves(kim, func(e *authn.Evidence) { e.Attributes.BirthDate = birthDate })
			a := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
			want(t, a, state)
			if state == Failed && a.Failure != TooYoung {
				t.Errorf("failure %q", a.Failure)
			}
		})
	}
}

// TestPushCap: the requests to one phone are bounded, whoever asks, from whichever browser and instance.
func TestPushCap(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		phone := w.with[method.Simple]
		for i := range 8 {
			b := both[i%2]
			browser := "browser " + strconv.Itoa(i)
			a := b.begin(t, asks(siteA), func(s *Start) { s.Browser = browser })
			in := input(kim)
			in.Name = "이름" + strconv.Itoa(i) // what else is typed does not matter
			a, err := b.Prove(t.Context(), a.ID, browser, method.Simple, in, true, "ko")
			check(t, err)
			if i < 5 {
				want(t, a, Proving)
				continue
			}
			want(t, a, Failed)
			if a.Failure != TooManyPushes {
				t.Errorf("failure %q", a.Failure)
			}
		}
		if n := phone.begun.Load(); n != 5 {
			t.Errorf("%d requests went to the phone, want 5", n)
		}
		a := both[0].begin(t, asks(siteA))
		both[0].proving(t, a, method.Simple, lee)
		both[0].count(t, audit.LoginFailed, 3)
	})
	t.Run("the window passes", func(t *testing.T) {
		t.Parallel()
		b := onSQLite(t)
		a := b.begin(t, asks(siteA))
		for range 6 {
			_, err := b.Prove(t.Context(), a.ID, browserA, method.Simple, input(kim), true, "ko")
			check(t, err)
			if b.stored(t, a.ID).State == Proving {
				_, err = b.Choose(t.Context(), a.ID, browserA)
				check(t, err)
			}
		}
		want(t, b.stored(t, a.ID), Failed)
		b.clock.Advance(b.Limits.PushWindow)
		b.proving(t, a, method.Simple, kim)
	})
}

// TestProofIsBound: what the counterpart is given names the attempt, and its nonce is new every time.
func TestProofIsBound(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	a := b.begin(t, asks(siteA, func(r *grant.Request) {}))
	seen := make(map[string]bool)
	for range 3 {
		b.proving(t, a, method.Simple, kim)
		_, err := b.Choose(t.Context(), a.ID, browserA)
		check(t, err)
	}
	for _, at := range b.with[method.Simple].attempts {
		if at.ID != a.ID || len(at.Nonce) != 32 || seen[at.Nonce] || at.SiteName != "사이트 site-a" || at.Provider != "kakao" || !at.ExpiresAt.Equal(a.ExpiresAt) {
			t.Errorf("attempt %+v", at)
		}
		seen[at.Nonce] = true
	}
}
