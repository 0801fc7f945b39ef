package storagetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
)

func testConnections(t *testing.T, s Stores) {
	ctx := t.Context()
	login := func(person, site string, minute int) grant.Login {
		return grant.Login{Person: person, Site: site, At: at(minute), Event: event(audit.SiteLogin)}
	}

	t.Run("who never came is not connected", func(t *testing.T) {
		_, err := s.Grants.Connection(ctx, "nobody", "nowhere")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("a login makes and moves the connection", func(t *testing.T) {
		p := Person(t, s.People)
		// The third comes late: it counts, and moves neither end back.
		for i, minute := range []int{10, 20, 15} {
			l := login(p, "qnet", minute)
			check(t, s.Grants.RecordLogin(ctx, l))
			wantEvents(t, s, true, l.Event)
			got, err := s.Grants.Connection(ctx, p, "qnet")
			check(t, err)
			want := grant.Connection{Person: p, Site: "qnet", FirstAt: at(10), LastAt: at([]int{10, 20, 20}[i]), Logins: int64(i + 1)}
			if got != want {
				t.Errorf("login %d: %+v, want %+v", i+1, got, want)
			}
		}
		_, err := s.Grants.Connection(ctx, p, "petition")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("every concurrent login counts once", func(t *testing.T) {
		const each = 20
		people := []string{Person(t, s.People), Person(t, s.People), Person(t, s.People)}
		events := make([][]audit.Event, racers)
		if n := race(t, func(i int) (bool, error) {
			for j := range each {
				l := login(people[(i+j)%len(people)], fmt.Sprintf("site-%d", j%2), j)
				events[i] = append(events[i], l.Event)
				if err := s.Grants.RecordLogin(ctx, l); err != nil {
					return false, err
				}
			}
			return true, nil
		}); n != racers {
			t.Fatalf("%d racers came through", n)
		}
		var total int64
		for _, p := range people {
			for j := range 2 {
				c, err := s.Grants.Connection(ctx, p, fmt.Sprintf("site-%d", j))
				check(t, err)
				if c.FirstAt.After(c.LastAt) || c.LastAt.Before(at(each-4)) || c.FirstAt.After(at(3)) {
					t.Errorf("connection %+v", c)
				}
				total += c.Logins
			}
		}
		if want := int64(racers * each); total != want {
			t.Errorf("%d logins are counted, want %d", total, want)
		}
		wantEvents(t, s, true, slices.Concat(events...)...)
	})
}

func testConsents(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("the newest hand-over consent counts", func(t *testing.T) {
		p := Person(t, s.People)
		_, err := s.Grants.HandOver(ctx, p, "qnet")
		wantCode(t, err, fault.NotFound)
		newer, older := record(p, "qnet", consent.HandOver, 20), record(p, "qnet", consent.HandOver, 10)
		newer.Items = nil
		others := []consent.Record{
			record(p, "petition", consent.HandOver, 30), record(p, "qnet", consent.Terms, 30), record(Person(t, s.People), "qnet", consent.HandOver, 30),
		}
		for _, c := range append(others, newer, older) {
			e := event(audit.ConsentGiven)
			check(t, s.Grants.AddConsent(ctx, c, e))
			wantEvents(t, s, true, e)
		}
		got, err := s.Grants.HandOver(ctx, p, "qnet")
		check(t, err)
		if !reflect.DeepEqual(got, newer) {
			t.Errorf("got %+v, want %+v", got, newer)
		}
	})

	t.Run("an attempt decides once for each recipient and kind", func(t *testing.T) {
		p := Person(t, s.People)
		first := record(p, "qnet", consent.HandOver, 10)
		check(t, s.Grants.AddConsent(ctx, first, event(audit.ConsentGiven)))
		again, e := record(p, "qnet", consent.HandOver, 20), event(audit.ConsentGiven)
		again.Attempt = first.Attempt
		check(t, s.Grants.AddConsent(ctx, again, e))
		wantEvents(t, s, false, e)
		got, err := s.Grants.HandOver(ctx, p, "qnet")
		check(t, err)
		if !reflect.DeepEqual(got, first) {
			t.Errorf("got %+v, want %+v", got, first)
		}
		elsewhere := record(p, "petition", consent.HandOver, 20)
		elsewhere.Attempt = first.Attempt
		check(t, s.Grants.AddConsent(ctx, elsewhere, event(audit.ConsentGiven)))
		_, err = s.Grants.HandOver(ctx, p, "petition")
		check(t, err)
	})
}

func family(person string) grant.Family {
	id := unique("family")
	return grant.Family{
		ID: id, Current: id + "-0", Grant: unique("grant"), Site: "qnet", Person: person,
		Access: grant.Access{
			Grant: "a-grant", Site: "qnet", Scopes: []string{"openid", "offline_access"},
			Claims:         grant.Claims{UserInfo: map[string]*grant.Claim{"name": nil, "acr": {Essential: true, Values: []any{"a"}}}},
			Authentication: session.Authentication{Person: person, Method: method.Simple, Provider: "kakao", Level: 2, AMR: []string{"swk"}, At: at(0)},
			Session:        "a-session", Items: []string{"name"},
		},
		CreatedAt: at(0), UsedAt: at(0), ExpiresAt: at(30),
	}
}

func testFamilies(t *testing.T, s Stores) {
	ctx := t.Context()
	p := Person(t, s.People)
	add := func(t *testing.T, f grant.Family) grant.Family {
		t.Helper()
		check(t, s.Grants.AddFamily(ctx, f))
		return f
	}
	want := func(t *testing.T, f grant.Family) {
		t.Helper()
		got, err := s.Grants.Family(ctx, f.ID)
		check(t, err)
		if !reflect.DeepEqual(got, f) {
			t.Errorf("the family is %+v, want %+v", got, f)
		}
	}

	t.Run("a family comes back as it was added", func(t *testing.T) {
		want(t, add(t, family(p)))
		_, err := s.Grants.Family(ctx, "nothing")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("the current token rotates while the family lives", func(t *testing.T) {
		f := add(t, family(p))
		revoked := family(p)
		revoked.RevokedAt = at(1)
		add(t, revoked)
		for _, c := range []struct {
			name, id, old string
			at            time.Time
			want          bool
		}{
			{"an unknown family", "nothing", f.Current, at(5), false},
			{"another token", f.ID, "something", at(5), false},
			{"at the end", f.ID, f.Current, at(30), false},
			{"after the end", f.ID, f.Current, at(31), false},
			{"a revoked family", revoked.ID, revoked.Current, at(5), false},
			{"the current token", f.ID, f.Current, at(5), true},
			{"the token before it", f.ID, f.Current, at(6), false},
		} {
			ok, err := s.Grants.RotateFamily(ctx, c.id, c.old, f.ID+"-1", c.at, c.at.Add(time.Hour))
			check(t, err)
			if ok != c.want {
				t.Errorf("%s: rotated is %t, want %t", c.name, ok, c.want)
			}
		}
		f.Current, f.Rotations, f.UsedAt, f.ExpiresAt = f.ID+"-1", 1, at(5), at(65)
		want(t, f)
		want(t, revoked)
	})

	t.Run("one token rotates once", func(t *testing.T) {
		f := add(t, family(p))
		if n := race(t, func(i int) (bool, error) {
			return s.Grants.RotateFamily(ctx, f.ID, f.Current, fmt.Sprintf("%s-next-%d", f.ID, i), at(1), at(40))
		}); n != 1 {
			t.Errorf("the token was rotated %d times", n)
		}
		got, err := s.Grants.Family(ctx, f.ID)
		check(t, err)
		if got.Rotations != 1 {
			t.Errorf("%d rotations, want 1", got.Rotations)
		}
	})

	t.Run("a family is revoked once", func(t *testing.T) {
		f := add(t, family(p))
		revoke := func(id string, minute int, alive bool) {
			t.Helper()
			e := event(audit.RefreshReused)
			ok, err := s.Grants.RevokeFamily(ctx, id, at(minute), e)
			check(t, err)
			if ok != alive {
				t.Errorf("revoked is %t, want %t", ok, alive)
			}
			wantEvents(t, s, alive, e)
		}
		revoke("nothing", 5, false)
		revoke(f.ID, 30, false) // over already
		revoke(f.ID, 5, true)
		revoke(f.ID, 6, false)
		f.RevokedAt = at(5)
		want(t, f)
		raced := add(t, family(p))
		if n := race(t, func(int) (bool, error) {
			return s.Grants.RevokeFamily(ctx, raced.ID, at(5), event(audit.RefreshReused))
		}); n != 1 {
			t.Errorf("the family was revoked %d times", n)
		}
	})

	t.Run("a grant is revoked with all its families", func(t *testing.T) {
		a, b, other := family(p), family(p), family(p)
		b.Grant = a.Grant
		for _, f := range []grant.Family{a, b, other} {
			add(t, f)
		}
		_, err := s.Grants.RevokeFamily(ctx, b.ID, at(3), event(audit.GrantRevoked))
		check(t, err)
		for range 2 { // the second finds nothing to revoke and is told of too
			e := event(audit.CodeReplayed)
			check(t, s.Grants.RevokeGrant(ctx, a.Grant, at(5), e))
			wantEvents(t, s, true, e)
		}
		a.RevokedAt, b.RevokedAt = at(5), at(3)
		want(t, a)
		want(t, b)
		want(t, other)
	})

	t.Run("expired families are swept", func(t *testing.T) {
		var old []grant.Family
		for i := range 5 {
			f := family(p)
			f.ExpiresAt = time.Date(2020, 1, 1, 0, i, 0, 0, time.UTC)
			old = append(old, add(t, f))
		}
		sweep := func(limit, want int) {
			t.Helper()
			n, err := s.Grants.SweepFamilies(ctx, old[4].ExpiresAt, limit)
			check(t, err)
			if n != want {
				t.Errorf("%d families were swept, want %d", n, want)
			}
		}
		sweep(3, 3)
		sweep(10, 1)
		sweep(10, 0)
		want(t, old[4]) // expires at the time, not before it
	})
}
