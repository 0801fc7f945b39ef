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
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/site"
)

// TestOffers: who may be chosen.
func TestOffers(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	acr := func(values ...string) func(*grant.Request) {
		return func(r *grant.Request) { r.ACRValues = values }
	}
	all := "mobile_id simple joint_cert financial_cert"
	for _, row := range []struct {
		name    string
		request grant.Request
		sso     bool
		want    string
	}{
		{"everything", asks(siteA), true, all},
		{"without SSO no joint certificate", asks(siteA), false, "mobile_id simple financial_cert"},
		{"what the site takes", asks(siteMobile), true, "mobile_id"},
		{"the site's level", asks(siteStrong), true, "mobile_id joint_cert financial_cert"},
		{"a weaker wish does not lower it", asks(siteStrong, acr(method.Level(1).ACR())), true, "mobile_id joint_cert financial_cert"},
		{"an essential level", asks(siteA, func(r *grant.Request) { r.Claims.IDToken = essential(3) }), true, "mobile_id joint_cert financial_cert"},
		{"a wished level", asks(siteA, acr(method.Level(3).ACR())), true, "mobile_id joint_cert financial_cert"},
		{"any of the wished levels", asks(siteA, acr(method.Level(3).ACR(), method.Level(1).ACR())), true, all},
		{"somebody else's level", asks(siteA, acr("urn:mace:incommon:iap:silver")), true, all},
		{"an unknown site", asks("nobody"), true, ""},
	} {
		a := &Attempt{Request: row.request}
		var names []string
		for _, m := range b.Offers(a, row.sso) {
			names = append(names, string(m))
		}
		if got := strings.Join(names, " "); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	// A wish that nothing reaches does not empty the page; what must be, does.
	b.Levels = map[method.Method]method.Level{method.MobileID: 2, method.Simple: 2, method.JointCert: 2, method.FinancialCert: 1}
	if got := b.Offers(&Attempt{Request: asks(siteA, acr(method.Level(3).ACR()))}, true); len(got) != 4 {
		t.Errorf("a wish leaves %v", got)
	}
	if got := b.Offers(&Attempt{Request: asks(siteA, func(r *grant.Request) { r.Claims.IDToken = essential(3) })}, true); len(got) != 0 {
		t.Errorf("an essential level is passed by %v", got)
	}
	delete(b.Methods, method.MobileID)
	if got := b.Offers(&Attempt{Request: asks(siteA)}, true); slices.Contains(got, method.MobileID) {
		t.Error("a method without adapter is offered")
	}
}

// TestTooWeak: what a proof reached counts, not what its method promises.
func TestTooWeak(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		request grant.Request
		level   method.Level
		ok      bool
	}{
		{"site's level missed", asks(siteStrong), 2, false},
		{"site's level reached", asks(siteStrong), 3, true},
		{"essential level missed", asks(sitePlain, func(r *grant.Request) { r.Claims.IDToken = essential(3) }), 2, false},
		{"essential level reached", asks(sitePlain, func(r *grant.Request) { r.Claims.IDToken = essential(3) }), 3, true},
		{"wished level missed", asks(sitePlain, func(r *grant.Request) { r.ACRValues = []string{method.Level(3).ACR()} }), 1, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.MobileID].proves(kim, func(e *authn.Evidence) { e.Level = row.level })
			a := b.prove(t, b.begin(t, row.request), method.MobileID, kim, ordinary)
			if row.ok {
				_, o := b.through(t, a, ordinary)
				if code := b.code(t, o); code.Authentication.Level != row.level {
					t.Errorf("the site is told of level %d", code.Authentication.Level)
				}
				return
			}
			want(t, a, Failed)
			if a.Failure != TooWeak {
				t.Errorf("failure %q", a.Failure)
			}
			b.count(t, audit.SiteLogin, 0)
		})
	}
}

// TestSubject: a request that names somebody is answered for nobody else.
func TestSubject(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	handle := b.sessionOf(t, kim)
	b.with[method.Simple].proves(lee)
	_, o := b.login(t, asks(sitePlain), method.Simple, lee, ordinary)
	other := b.code(t, o).Authentication.Person
	registered, err := b.Sites.Lookup(siteA)
	check(t, err)
	forLee := asks(siteA, func(r *grant.Request) { r.Subject = registered.Subject(b.Subjects, other) })

	b.with[method.Simple].proves(kim)
	a := b.prove(t, b.begin(t, forLee), method.Simple, kim, ordinary)
	want(t, a, Failed)
	if a.Failure != OtherPerson || a.Authentication != nil {
		t.Errorf("failure %q, %+v", a.Failure, a.Authentication)
	}
	a, err = b.Select(t.Context(), b.joined(t, handle, forLee, true).ID, browserA, Visit{SSO: true, Session: handle})
	check(t, err)
	want(t, a, Failed)
	if a.Failure != OtherPerson {
		t.Errorf("failure %q", a.Failure)
	}
	a = b.prove(t, b.begin(t, forLee), method.Simple, lee, ordinary)
	want(t, a, Consenting)
	forLee.Subject = other // the broker's own id names nobody to a site
	a = b.prove(t, b.begin(t, forLee), method.Simple, lee, ordinary)
	want(t, a, Failed)
}

// voluntary lets a request ask for the claims by their names, some of them essential.
func voluntary(essential []string, names ...string) func(*grant.Request) {
	return func(r *grant.Request) {
		r.Scopes = []string{"openid"}
		r.Claims.UserInfo = make(map[string]*grant.Claim)
		for _, n := range names {
			r.Claims.UserInfo[n] = nil
		}
		for _, n := range essential {
			r.Claims.UserInfo[n] = &grant.Claim{Essential: true}
		}
	}
}

// TestConsentAsked: when the citizen is asked, and what goes to the site.
func TestConsentAsked(t *testing.T) {
	t.Parallel()
	profile := "birthdate gender name nationality"
	for _, row := range []struct {
		name   string
		first  grant.Request
		ticked []string
		items  string // handed over at the first login
		then   grant.Request
		change func(*site.Site)
		asked  bool   // again
		after  string // handed over without asking
	}{
		{"scopes, once", asks(siteA), nil, profile, asks(siteA), nil, false, profile},
		{"ticks cannot take away what is required", asks(siteA), []string{"name"}, profile, asks(siteA), nil, false, profile},
		{"prompt=consent", asks(siteA), nil, profile, asks(siteA, func(r *grant.Request) { r.Prompts = []string{"consent"} }), nil, true, ""},
		{"less is covered", asks(siteA), nil, profile, asks(siteA, voluntary([]string{"name"})), nil, false, profile},
		{"more is asked for", asks(siteA), nil, profile, asks(siteA, func(r *grant.Request) { r.Scopes = append(r.Scopes, "phone") }), nil, true, ""},
		{"new terms", asks(siteA), nil, profile, asks(siteA), func(s *site.Site) { s.HandOver.Version = "2" }, true, ""},
		{"another purpose in the same terms", asks(siteA), nil, profile, asks(siteA), func(s *site.Site) { s.HandOver.Purpose = "다른" }, false, profile},
		{"voluntary, ticked", asks(siteA, voluntary([]string{"name"}, "gender", "birthdate")), []string{"gender"}, "gender name",
			asks(siteA, voluntary([]string{"name"}, "gender", "birthdate")), nil, false, "gender name"},
		{"voluntary, not ticked", asks(siteA, voluntary([]string{"name"}, "gender")), nil, "name",
			asks(siteA, voluntary([]string{"name"}, "gender")), nil, false, "name"},
		{"voluntary, not ticked, then essential", asks(siteA, voluntary([]string{"name"}, "gender")), nil, "name",
			asks(siteA, voluntary([]string{"name", "gender"})), nil, true, ""},
		{"ticked but not asked for", asks(siteA, voluntary([]string{"name"}, "gender")), []string{"phone_number", "ci", "gender"}, "gender name",
			asks(siteA, voluntary([]string{"name"})), nil, false, "gender name"},
		{"what the site's scopes do not allow", asks(siteA, voluntary([]string{"name", "ci"})), []string{"ci"}, "name",
			asks(siteA, voluntary([]string{"name"})), nil, false, "name"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := b.prove(t, b.begin(t, row.first), method.Simple, kim, ordinary)
			a, err := b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
			check(t, err)
			want(t, a, Consenting)
			a, err = b.Consent(t.Context(), a.ID, browserA, row.ticked, ordinary)
			check(t, err)
			o, err := b.Outcome(a)
			check(t, err)
			code := b.code(t, o)
			if got := strings.Join(code.Items, " "); got != row.items {
				t.Errorf("handed over: %q, want %q", got, row.items)
			}
			records, err := b.Grants.Store.HandOvers(t.Context(), code.Authentication.Person, siteA)
			check(t, err)
			record := records[0]
			if strings.Join(record.Items, " ") != row.items || record.Version != "1" || record.Kind != consent.HandOver ||
				record.Digest == "" || record.Purpose != "시험" || record.Retention != "1년" || record.Locale != "ko" {
				t.Errorf("on record: %+v", record)
			}
			if row.change != nil {
				changed := sites()[0]
				row.change(&changed)
				check(t, b.db.Sites().PutSite(t.Context(), changed, b.clock.Now(), audit.New(b.clock.Now(), audit.SiteApplied, audit.System)))
				check(t, b.Sites.Refresh(t.Context()))
			}
			a = b.prove(t, b.begin(t, row.then), method.Simple, kim, ordinary)
			if row.asked {
				want(t, a, Consenting)
				return
			}
			want(t, a, Done)
			o, err = b.Outcome(a)
			check(t, err)
			if got := strings.Join(b.code(t, o).Items, " "); got != row.after {
				t.Errorf("handed over without asking: %q, want %q", got, row.after)
			}
		})
	}
}

// TestConsentsSideBySide: a site that asks now for one thing and now for another has a consent to each. What is asked for
// anew is decided anew.
func TestConsentsSideBySide(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	phone := asks(siteA, func(r *grant.Request) { r.Scopes = []string{"openid", "phone"} })
	gender := asks(siteA, voluntary([]string{"name"}, "gender"))
	again := asks(siteA, voluntary([]string{"name"}, "gender"), func(r *grant.Request) { r.Prompts = []string{"consent"} })
	login := func(what string, r grant.Request, ticked []string, asked bool, items string) {
		t.Helper()
		b.clock.Advance(time.Hour) // so that the phone gets no more requests than it may
		a := b.prove(t, b.begin(t, r), method.Simple, kim, ordinary)
		var err error
		if a.State == Registering {
			a, err = b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
			check(t, err)
		}
		if (a.State == Consenting) != asked {
			t.Fatalf("%s: %s", what, a.State)
		}
		if asked {
			a, err = b.Consent(t.Context(), a.ID, browserA, ticked, ordinary)
			check(t, err)
		}
		o, err := b.Outcome(a)
		check(t, err)
		if got := strings.Join(b.code(t, o).Items, " "); got != items {
			t.Errorf("%s: handed over %q, want %q", what, got, items)
		}
	}
	login("the first", gender, []string{"gender"}, true, "gender name")
	login("another", phone, nil, true, "phone_number")
	login("the first again", gender, nil, false, "gender name")
	login("the other again", phone, nil, false, "phone_number")
	login("anew, not ticked", again, nil, true, "name")
	login("the other yet again", phone, nil, false, "phone_number")
	login("what was taken back", asks(siteA, voluntary([]string{"name", "gender"})), nil, true, "gender name")
}

// TestSessions: which logins make a session.
func TestSessions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, site string
		sso, made  bool
	}{
		{"toggle on", sitePlain, true, true},
		{"toggle off", sitePlain, false, false},
		{"a site without SSO", siteNoSSO, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			_, o := b.login(t, asks(row.site), method.Simple, kim, Visit{SSO: row.sso})
			code := b.code(t, o)
			if (o.Session != "") != row.made || code.Session == "" {
				t.Fatalf("session %q, in the code %q", o.Session, code.Session)
			}
			if !row.made {
				return
			}
			s, err := b.Sessions.Find(t.Context(), o.Session)
			check(t, err)
			if s.ID != code.Session || s.Person != code.Authentication.Person || s.Sites[row.site].Consent != "1" {
				t.Errorf("session %+v, code %+v", s, code)
			}
		})
	}
}

// TestSessionBefore: a proof ends the session that the browser has; its sites live on only if it was the
// same person's.
func TestSessionBefore(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	handle := b.sessionOf(t, kim)
	old, err := b.Sessions.Find(t.Context(), handle)
	check(t, err)
	_, o := b.login(t, asks(siteA), method.Simple, kim, Visit{SSO: true, Session: handle})
	same, err := b.Sessions.Find(t.Context(), o.Session)
	check(t, err)
	if same.ID != old.ID || len(same.Sites) != 2 || o.Session == handle {
		t.Errorf("the same person's session: %+v", same)
	}
	if _, err := b.Sessions.Find(t.Context(), handle); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old handle is good: %v", err)
	}
	b.with[method.Simple].proves(lee)
	_, other := b.login(t, asks(siteA), method.Simple, lee, Visit{SSO: true, Session: o.Session})
	s, err := b.Sessions.Find(t.Context(), other.Session)
	check(t, err)
	if s.ID == same.ID || len(s.Sites) != 1 {
		t.Errorf("another person's session: %+v", s)
	}
	if _, err := b.Sessions.Find(t.Context(), o.Session); !fault.Is(err, fault.NotFound) {
		t.Errorf("the other person's handle is good: %v", err)
	}
}

// TestSessionAfterOutage: a login that cannot be put on record is taken up later, and makes its session then. The one
// before is over: its entry may have been replaced, whatever the store said.
func TestSessionAfterOutage(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	handle := b.sessionOf(t, kim)
	a := b.proving(t, b.begin(t, asks(sitePlain)), method.Simple, kim)
	b.with[method.Simple].answer(authn.Approved)
	b.down.set("login")
	v := Visit{SSO: true, Session: handle}
	if _, _, err := b.Complete(t.Context(), a.ID, browserA, v); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error %v", err)
	}
	want(t, b.stored(t, a.ID), Proved)
	if _, err := b.Sessions.Find(t.Context(), handle); !fault.Is(err, fault.NotFound) {
		t.Errorf("the session before lives: %v", err)
	}
	b.down.set()
	_, a, err := b.Complete(t.Context(), a.ID, browserA, v)
	check(t, err)
	want(t, a, Done)
	o, err := b.Outcome(a)
	check(t, err)
	_, err = b.Sessions.Find(t.Context(), o.Session)
	check(t, err)
}

// TestJoinedSession: consent and choice of account stand on the session that the browser had when it came.
func TestJoinedSession(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(t *testing.T, b *broker, handle string) string // the browser's handle then
		state  State
	}{
		{"still there", func(_ *testing.T, _ *broker, handle string) string { return handle }, Done},
		{"ended", func(t *testing.T, b *broker, handle string) string {
			_, err := b.Sessions.End(t.Context(), handle)
			check(t, err)
			return handle
		}, Choosing},
		{"gone from the browser", func(*testing.T, *broker, string) string { return "" }, Choosing},
		{"another person's", func(t *testing.T, b *broker, handle string) string {
			b.with[method.Simple].proves(lee)
			_, o := b.login(t, asks(sitePlain), method.Simple, lee, Visit{SSO: true, Session: handle})
			return o.Session
		}, Choosing},
		{"proved anew", func(t *testing.T, b *broker, handle string) string {
			_, o := b.login(t, asks(sitePlain), method.Simple, kim, Visit{SSO: true, Session: handle})
			return o.Session
		}, Done},
		{"proved anew more weakly", func(t *testing.T, b *broker, handle string) string {
			b.with[method.Simple].proves(kim, func(e *authn.Evidence) { e.Level = 1 })
			_, o := b.login(t, asks(sitePlain), method.Simple, kim, Visit{SSO: true, Session: handle})
			return o.Session
		}, Choosing},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			handle := b.sessionOf(t, kim)
			a := b.joined(t, handle, asks(siteA, func(r *grant.Request) { r.Claims.IDToken = essential(2) }), false)
			want(t, a, Consenting)
			handle = row.change(t, b, handle)
			logins := len(b.events(t, audit.SiteLogin))
			shown, err := b.Consent(t.Context(), a.ID, browserA, nil, Visit{SSO: true, Session: handle})
			check(t, err)
			want(t, shown, row.state)
			if row.state == Choosing {
				if shown.Authentication != nil || shown.Joined != "" || len(b.events(t, audit.SiteLogin)) != logins {
					t.Errorf("the attempt is %+v", shown)
				}
				return
			}
			o, err := b.Outcome(shown)
			check(t, err)
			if o.Session != "" {
				t.Error("a session was made beside the one that was joined")
			}
			s, err := b.Sessions.Find(t.Context(), handle)
			check(t, err)
			if b.code(t, o).Session != s.ID || s.Sites[siteA].Consent != "1" {
				t.Errorf("session %+v", s)
			}
		})
	}
}

// TestSelect: going on as the person signed in here, or as another.
func TestSelect(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	handle := b.sessionOf(t, kim)
	visit := Visit{SSO: true, Session: handle}
	a, err := b.Select(t.Context(), b.joined(t, handle, asks(sitePlain), true).ID, browserA, visit)
	check(t, err)
	want(t, a, Done)
	a = b.joined(t, handle, asks(siteA), true)
	held, err := b.Person(t.Context(), a)
	if err != nil || held.Name != kim.name {
		t.Errorf("the page names %q, %v", held.Name, err)
	}
	a, err = b.Choose(t.Context(), a.ID, browserA)
	check(t, err)
	want(t, a, Choosing)
	if _, err := b.Person(t.Context(), a); err == nil {
		t.Error("an attempt at its beginning names a person")
	}
	b.with[method.Simple].proves(lee)
	a = b.prove(t, a, method.Simple, lee, visit)
	_, o := b.through(t, a, visit)
	s, err := b.Sessions.Find(t.Context(), o.Session)
	check(t, err)
	if s.Person != b.code(t, o).Authentication.Person || len(s.Sites) != 1 {
		t.Errorf("session %+v", s)
	}
}

// TestOutcomeOnlyWhenDone: an attempt that is under way has no outcome.
func TestOutcomeOnlyWhenDone(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	_, err := b.Outcome(b.begin(t, asks(siteA)))
	wantErr(t, err, ErrMoved)
}

// TestSiteGone: a site that is removed or disabled while a citizen is on the way gets nobody.
func TestSiteGone(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := in[Consenting](t, b)
	check(t, b.db.Sites().RemoveSite(t.Context(), siteA, audit.New(b.clock.Now(), audit.SiteRemoved, audit.System)))
	check(t, b.Sites.Refresh(t.Context()))
	if _, err := b.Consent(t.Context(), a.ID, browserA, nil, ordinary); !fault.Is(err, fault.NotFound) {
		t.Errorf("error %v", err)
	}
	now := b.stored(t, a.ID)
	want(t, now, Consenting)
	if !now.BusySince.IsZero() {
		t.Error("the attempt is left claimed")
	}
	b.count(t, audit.SiteLogin, 0)
	b.count(t, audit.ConsentGiven, 0)
}
