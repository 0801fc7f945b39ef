package grant_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// granted is everything that a site got by one login.
type granted struct{ person, session, site, code, token, refresh, renewed string }

// login grants a person's session codes and tokens at a site.
func login(t *testing.T, s *grant.Service, person, sessionID, site string) granted {
	t.Helper()
	ctx := t.Context()
	by := &session.Session{ID: sessionID, Authentication: session.Authentication{Person: person, At: s.Now()}, FoundAt: s.Now()}
	g := granted{person: person, session: sessionID, site: site}
	var err error
	g.code, err = s.IssueCode(ctx, grant.Code{Request: grant.Request{Site: site}}, by)
	check(t, err)
	redeemed, err := s.IssueCode(ctx, grant.Code{Request: grant.Request{Site: site}}, by)
	check(t, err)
	c, err := s.RedeemCode(ctx, redeemed, yes)
	check(t, err)
	a := grant.Access{Grant: c.Grant, Site: site, Authentication: c.Authentication, Session: c.Session, GrantedAt: c.GrantedAt}
	g.token, _, err = s.IssueAccess(ctx, a)
	check(t, err)
	first, err := s.IssueRefresh(ctx, a)
	check(t, err)
	var f grant.Family
	g.refresh, f, err = s.Rotate(ctx, site, first, yes)
	check(t, err)
	g.renewed, _, err = s.IssueAccess(ctx, f.Access)
	check(t, err)
	return g
}

// alive lists which parts of a grant still count. It redeems the code.
func (g granted) alive(t *testing.T, s *grant.Service) string {
	t.Helper()
	var parts []string
	note := func(part string, err error) {
		t.Helper()
		if err == nil {
			parts = append(parts, part)
		} else if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", part, err)
		}
	}
	_, err := s.RedeemCode(t.Context(), g.code, yes)
	note("code", err)
	_, err = s.Access(t.Context(), g.token)
	note("token", err)
	_, err = s.Access(t.Context(), g.renewed)
	note("renewed", err)
	_, err = s.Refresh(t.Context(), g.refresh)
	note("refresh", err)
	return strings.Join(parts, " ")
}

const everything = "code token renewed refresh"

func TestRevoke(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		revoked                            grant.Revocation
		here, otherSite, otherSession, lee string
	}{
		"all":                          {grant.Revocation{All: true}, "", "", "", everything},
		"a site":                       {grant.Revocation{Site: "a"}, "", everything, "", everything},
		"a session":                    {grant.Revocation{Session: "1"}, "refresh", "refresh", everything, everything},
		"a session at a site":          {grant.Revocation{Session: "1", Site: "a"}, "refresh", everything, everything, everything},
		"a session that is not theirs": {grant.Revocation{Session: "3"}, everything, everything, everything, everything},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c, _ := service(t)
			here, otherSite, otherSession := login(t, s, "kim", "1", "a"), login(t, s, "kim", "1", "b"), login(t, s, "kim", "2", "a")
			lee := login(t, s, "lee", "3", "a")
			c.Advance(time.Millisecond)
			check(t, s.Revoke(t.Context(), "kim", row.revoked))
			for what, pair := range map[string][2]string{
				"here": {here.alive(t, s), row.here}, "at another site": {otherSite.alive(t, s), row.otherSite},
				"in another session": {otherSession.alive(t, s), row.otherSession}, "of another person": {lee.alive(t, s), row.lee},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s lives %q, want %q", what, pair[0], pair[1])
				}
			}
			if strings.Contains(row.here, "refresh") { // offline access goes on (OIDC Back-Channel Logout §2.7)
				c.Advance(time.Millisecond)
				_, f, err := s.Rotate(t.Context(), "a", here.refresh, yes)
				check(t, err)
				token, _, err := s.IssueAccess(t.Context(), f.Access)
				check(t, err)
				_, err = s.Access(t.Context(), token)
				check(t, err)
			}
			// What comes after it is alive, also while the mark lasts.
			c.Advance(3 * time.Second)
			if again := login(t, s, "kim", "1", "a").alive(t, s); again != everything {
				t.Errorf("afterwards lives %q", again)
			}
		})
	}
}

// TestRevokeOnItsWay: what was granted before an end and issued after it is dead all the same.
func TestRevokeOnItsWay(t *testing.T) {
	t.Parallel()
	for _, revoked := range []grant.Revocation{{All: true}, {Site: "a"}, {Session: "1"}, {Session: "1", Site: "a"}} {
		t.Run(fmt.Sprintf("%+v", revoked), func(t *testing.T) {
			t.Parallel()
			s, c, _ := service(t)
			ctx := t.Context()
			by := &session.Session{ID: "1", Authentication: session.Authentication{Person: "kim", At: c.Now()}, FoundAt: c.Now()}
			redeemed, err := s.IssueCode(ctx, grant.Code{Request: grant.Request{Site: "a"}}, by)
			check(t, err)
			content, err := s.RedeemCode(ctx, redeemed, yes)
			check(t, err)
			c.Advance(time.Second)
			check(t, s.Revoke(ctx, "kim", revoked))
			c.Advance(time.Second)

			late, err := s.IssueCode(ctx, grant.Code{Request: grant.Request{Site: "a"}}, by)
			check(t, err)
			_, err = s.RedeemCode(ctx, late, yes)
			wantCode(t, err, fault.NotFound)
			a := grant.Access{Grant: content.Grant, Site: "a", Authentication: by.Authentication, Session: "1", GrantedAt: content.GrantedAt}
			token, _, err := s.IssueAccess(ctx, a)
			check(t, err)
			_, err = s.Access(ctx, token)
			wantCode(t, err, fault.NotFound)
			_, err = s.IssueRefresh(ctx, a)
			wantCode(t, err, fault.NotFound)
			// The mark is there for as long as a token of that time can live.
			c.Advance(lifetimes.Access - time.Millisecond)
			_, err = s.Access(ctx, token)
			wantCode(t, err, fault.NotFound)
		})
	}
}

// TestMarks: marks do not pile up, and none is lost among many that are made at once.
func TestMarks(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		c := newClock()
		stack := open(c.Now)
		register(t, stack, c, "kim")
		s := &grant.Service{KV: stack.KV, Store: stack.DB.Grants(), Lifetimes: lifetimes, Now: c.Now}
		ctx := t.Context()
		length := func() int {
			text, err := stack.KV.Get(ctx, "gone:"+secret.Hash("kim"))
			check(t, err)
			return len(text)
		}
		check(t, s.Revoke(ctx, "kim", grant.Revocation{Session: "x"}))
		one := length()
		for range 5 {
			c.Advance(time.Minute)
			check(t, s.Revoke(ctx, "kim", grant.Revocation{Session: "x"}))
		}
		if n := length(); n != one {
			t.Errorf("six marks of one session have %d characters, one has %d", n, one)
		}
		c.Advance(time.Hour)
		var all []granted
		for i := range 16 {
			all = append(all, login(t, s, "kim", fmt.Sprint(i), "a"))
		}
		c.Advance(time.Second)
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() { check(t, s.Revoke(ctx, "kim", grant.Revocation{Session: fmt.Sprint(i)})) })
		}
		wg.Wait()
		for _, g := range all {
			if left := g.alive(t, s); left != "refresh" {
				t.Errorf("session %s lives %q", g.session, left)
			}
		}
		c.Advance(time.Hour)
		check(t, s.Revoke(ctx, "kim", grant.Revocation{Session: "x"}))
		if n := length(); n != one {
			t.Errorf("old marks are kept: %d characters, one has %d", n, one)
		}
	})
}

// TestSiteSession: no token of a login outlives the site's own session.
func TestSiteSession(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	ctx := t.Context()
	a := access("g")
	a.GrantedAt, a.EndsAt = c.Now(), c.Now().Add(7*time.Minute)
	refresh, err := s.IssueRefresh(ctx, a)
	check(t, err)
	_, first, err := s.IssueAccess(ctx, a)
	check(t, err)
	if !first.ExpiresAt.Equal(c.Now().Add(lifetimes.Access)) {
		t.Errorf("the first token ends at %s", first.ExpiresAt)
	}
	c.Advance(4 * time.Minute)
	next, f, err := s.Rotate(ctx, "site", refresh, yes)
	check(t, err)
	token, second, err := s.IssueAccess(ctx, f.Access)
	check(t, err)
	if !second.ExpiresAt.Equal(a.EndsAt) {
		t.Errorf("the second token ends at %s, want %s", second.ExpiresAt, a.EndsAt)
	}
	c.Advance(3*time.Minute - time.Millisecond)
	_, err = s.Access(ctx, token)
	check(t, err)
	_, err = s.Refresh(ctx, next)
	check(t, err)
	c.Advance(time.Millisecond)
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	_, _, err = s.Rotate(ctx, "site", next, yes)
	wantCode(t, err, fault.NotFound)
	_, _, err = s.IssueAccess(ctx, a)
	wantCode(t, err, fault.Expired)
}

// TestRecordLogin: the event says who came and how, and what goes with the login is recorded with it.
func TestRecordLogin(t *testing.T) {
	t.Parallel()
	c := newClock()
	stack := storagetest.Embedded(t, t.TempDir(), c.Now)
	s := &grant.Service{KV: stack.KV, Store: stack.DB.Grants(), Lifetimes: lifetimes, Now: c.Now}
	ctx := t.Context()
	id := "person"
	register(t, stack, c, id)
	event := audit.New(c.Now(), audit.SiteLogin, audit.Citizen)
	event.Site = "a"
	entry := session.Entry{ID: "1", Person: id, Key: "session:k", Method: method.Simple, Sites: []string{"a"}, At: c.Now(), CheckAt: c.Now().Add(time.Hour)}
	who := session.Authentication{Person: id, Method: method.Simple, Provider: "kakao", Level: 2, At: c.Now()}
	check(t, s.RecordLogin(ctx, grant.Login{Event: event, Session: &entry}, who))
	event = audit.New(c.Now(), audit.SiteLogin, audit.Citizen)
	event.Site, event.Detail = "b", map[string]string{"sso": "joined"}
	check(t, s.RecordLogin(ctx, grant.Login{Event: event, Joins: "1"}, who))
	kept, err := stack.DB.Sessions().Session(ctx, "1")
	check(t, err)
	if !slices.Equal(kept.Sites, []string{"a", "b"}) {
		t.Errorf("entry %+v", kept)
	}
	wantCode(t, s.RecordLogin(ctx, grant.Login{Event: event, Joins: "2"}, who), fault.NotFound)
	events, err := stack.DB.Audit().Unsealed(ctx, 100)
	check(t, err)
	seen := 0
	for _, e := range events {
		if e.Action != audit.SiteLogin {
			continue
		}
		seen++
		if e.Subject != storagetest.Veil.Subject(id) || e.Detail["method"] != "simple" || e.Detail["provider"] != "kakao" || e.Detail["level"] != "2" {
			t.Errorf("event %+v", e)
		}
	}
	if seen != 2 {
		t.Errorf("%d logins on record", seen)
	}
	if n, err := s.Store.Connection(ctx, id, "b"); err != nil || n.Logins != 1 {
		t.Errorf("connection %+v, %v", n, err)
	}
}
