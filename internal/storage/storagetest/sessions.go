package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/session"
)

// entry returns a fresh session of the person with every field set.
func entry(id string, minute int, sites ...string) session.Entry {
	return session.Entry{
		ID: unique("session"), Person: id, Key: unique("key"), Method: method.Simple, Provider: "kakao", Level: 2,
		Origin: "k1.origin", Sites: sites, At: at(minute), CheckAt: at(minute + 20),
	}
}

// signIn stores a session by the login that makes it.
func signIn(t *testing.T, s Stores, e session.Entry) session.Entry {
	t.Helper()
	check(t, s.Grants.RecordLogin(t.Context(), grant.Login{Person: e.Person, Site: "qnet", At: e.At, Event: event(audit.SiteLogin), Session: &e}))
	return e
}

func wantSession(t *testing.T, s Stores, want session.Entry) {
	t.Helper()
	got, err := s.Sessions.Session(t.Context(), want.ID)
	check(t, err)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the session is %+v, want %+v", got, want)
	}
}

func testSessions(t *testing.T, s Stores) {
	ctx := t.Context()

	t.Run("a session comes back as its login made it, and is replaced by the next", func(t *testing.T) {
		p := Person(t, s.People)
		e := entry(p, 0, "qnet", "a", "qnet")
		signIn(t, s, e)
		e.Sites = []string{"a", "qnet"} // sorted, each once
		wantSession(t, s, e)
		next := entry(p, 9)
		next.ID, next.Method, next.Provider, next.Level, next.Origin = e.ID, method.MobileID, "", 3, "k1.other"
		signIn(t, s, next)
		wantSession(t, s, next)
		_, err := s.Sessions.Session(ctx, "nothing")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("every concurrent login has its session", func(t *testing.T) {
		entries := make([]session.Entry, racers)
		for i := range entries {
			entries[i] = entry(Person(t, s.People), i%50, "qnet")
		}
		race(t, func(i int) (bool, error) {
			return true, s.Grants.RecordLogin(ctx, grant.Login{Person: entries[i].Person, Site: "qnet", At: at(0), Event: event(audit.SiteLogin), Session: &entries[i]})
		})
		for _, e := range entries {
			wantSession(t, s, e)
		}
	})

	t.Run("one session made by many logins at once is one", func(t *testing.T) {
		e := entry(Person(t, s.People), 0, "qnet")
		race(t, func(i int) (bool, error) {
			mine := e
			mine.Key = fmt.Sprintf("key-%d", i)
			return true, s.Grants.RecordLogin(ctx, grant.Login{Person: e.Person, Site: "qnet", At: at(0), Event: event(audit.SiteLogin), Session: &mine})
		})
		list, err := s.Sessions.Sessions(ctx, e.Person)
		check(t, err)
		if len(list) != 1 {
			t.Errorf("there are %d sessions", len(list))
		}
	})

	t.Run("a person's sessions are listed newest first", func(t *testing.T) {
		p := Person(t, s.People)
		a, b, c := signIn(t, s, entry(p, 1)), signIn(t, s, entry(p, 3)), signIn(t, s, entry(p, 2))
		signIn(t, s, entry(Person(t, s.People), 4))
		got, err := s.Sessions.Sessions(ctx, p)
		check(t, err)
		if want := []session.Entry{b, c, a}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})

	t.Run("what is due is listed oldest first", func(t *testing.T) {
		p := Person(t, s.People)
		var want []session.Entry
		for i := range 4 {
			e := entry(p, 0)
			e.CheckAt = time.Date(2020, 1, 1, 0, 4-i, 0, 0, time.UTC)
			want = slices.Insert(want, 0, signIn(t, s, e))
		}
		due := func(now time.Time, limit int, want []session.Entry) {
			t.Helper()
			got, err := s.Sessions.Due(ctx, now, limit)
			check(t, err)
			if !slices.EqualFunc(got, want, func(a, b session.Entry) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("due are %+v, want %+v", got, want)
			}
		}
		due(want[0].CheckAt.Add(-time.Millisecond), 10, nil)
		due(want[2].CheckAt, 10, want[:3])
		due(want[3].CheckAt, 2, want[:2])

		moved, err := s.Sessions.Move(ctx, want[0].ID, want[1].CheckAt, at(0))
		if err != nil || moved {
			t.Errorf("moved from where it did not stand: %t, %v", moved, err)
		}
		moved, err = s.Sessions.Move(ctx, "nothing", want[0].CheckAt, at(0))
		if err != nil || moved {
			t.Errorf("moved what is not there: %t, %v", moved, err)
		}
		if n := race(t, func(int) (bool, error) { return s.Sessions.Move(ctx, want[0].ID, want[0].CheckAt, at(7)) }); n != 1 {
			t.Errorf("one move was made %d times", n)
		}
		due(want[3].CheckAt, 10, want[1:])
		want[0].CheckAt = at(7)
		wantSession(t, s, want[0])
	})

	join := func(e session.Entry, site string) (grant.Login, error) {
		l := grant.Login{Person: e.Person, Site: site, At: at(1), Event: event(audit.SiteLogin), Joins: e.ID}
		return l, s.Grants.RecordLogin(ctx, l)
	}

	t.Run("a site joins once", func(t *testing.T) {
		e := signIn(t, s, entry(Person(t, s.People), 0, "qnet"))
		for range 2 {
			l, err := join(e, "a")
			check(t, err)
			wantEvents(t, s, true, l.Event)
		}
		e.Sites = []string{"a", "qnet"}
		wantSession(t, s, e)
	})

	t.Run("nobody joins a session that has ended, or is another's", func(t *testing.T) {
		e := signIn(t, s, entry(Person(t, s.People), 0, "qnet"))
		for name, joined := range map[string]session.Entry{
			"ended":     {ID: "nothing", Person: e.Person},
			"another's": {ID: e.ID, Person: Person(t, s.People)},
		} {
			l, err := join(joined, "a")
			wantCode(t, err, fault.NotFound)
			wantEvents(t, s, false, l.Event)
			if c, err := s.Grants.Connection(ctx, joined.Person, "a"); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: connection %+v, %v", name, c, err)
			}
		}
		wantSession(t, s, e)
	})

	t.Run("of sites that join at once none is lost", func(t *testing.T) {
		e := signIn(t, s, entry(Person(t, s.People), 0))
		race(t, func(i int) (bool, error) {
			_, err := join(e, fmt.Sprintf("site-%02d", i))
			return true, err
		})
		for i := range racers {
			e.Sites = append(e.Sites, fmt.Sprintf("site-%02d", i))
		}
		wantSession(t, s, e)
	})

	t.Run("a site leaves once, with what goes with it", func(t *testing.T) {
		e := signIn(t, s, entry(Person(t, s.People), 0, "a", "b", "c"))
		leave := func(id, site string) (session.Ending, bool, error) {
			with := session.Ending{Items: []outbox.Item{item(site, unique("batch"), 0)}, Events: []audit.Event{event(audit.SessionEnded)}}
			left, err := s.Sessions.Leave(ctx, id, site, with)
			return with, left, err
		}
		for _, c := range []struct {
			id, site string
			want     bool
		}{{"nothing", "a", false}, {e.ID, "d", false}, {e.ID, "b", true}, {e.ID, "b", false}} {
			with, left, err := leave(c.id, c.site)
			check(t, err)
			if left != c.want {
				t.Errorf("%s left %s: %t", c.site, c.id, left)
			}
			wantEvents(t, s, c.want, with.Events...)
			wantItems(t, s, c.want, with.Items...)
		}
		e.Sites = []string{"a", "c"}
		wantSession(t, s, e)
		if n := race(t, func(int) (bool, error) {
			_, left, err := leave(e.ID, "a")
			return left, err
		}); n != 1 {
			t.Errorf("the site left %d times", n)
		}
		_, left, err := leave(e.ID, "c")
		check(t, err)
		e.Sites = nil // the session itself goes on
		wantSession(t, s, e)
		if !left {
			t.Error("the last site did not leave")
		}
	})

	t.Run("one caller ends a session", func(t *testing.T) {
		e := signIn(t, s, entry(Person(t, s.People), 0, "a", "b"))
		no := errors.New("no")
		ended, err := s.Sessions.End(ctx, e.ID, func(session.Entry) (session.Ending, error) { return session.Ending{}, no })
		if ended || !errors.Is(err, no) {
			t.Errorf("ended is %t, %v", ended, err)
		}
		wantSession(t, s, e)
		batch, told := unique("batch"), event(audit.SessionEnded)
		if n := race(t, func(int) (bool, error) {
			return s.Sessions.End(ctx, e.ID, func(got session.Entry) (session.Ending, error) {
				if !reflect.DeepEqual(got, e) {
					t.Errorf("told of %+v, want %+v", got, e)
				}
				return session.Ending{Items: []outbox.Item{item("a", batch, 0)}, Events: []audit.Event{told}}, nil
			})
		}); n != 1 {
			t.Errorf("the session ended %d times", n)
		}
		_, err = s.Sessions.Session(ctx, e.ID)
		wantCode(t, err, fault.NotFound)
		wantEvents(t, s, true, told)
		items, err := s.Outbox.Batch(ctx, batch)
		check(t, err)
		if len(items) != 1 {
			t.Errorf("%d items tell of one end", len(items))
		}
	})

	t.Run("an end forgets no site that joins at the last moment", func(t *testing.T) {
		for range 5 {
			e := signIn(t, s, entry(Person(t, s.People), 0))
			var told []string
			joined := make([]bool, racers)
			race(t, func(i int) (bool, error) {
				if i == racers/2 {
					return s.Sessions.End(ctx, e.ID, func(got session.Entry) (session.Ending, error) {
						told = got.Sites
						return session.Ending{}, nil
					})
				}
				_, err := join(e, fmt.Sprintf("site-%02d", i))
				if fault.Is(err, fault.NotFound) {
					return false, nil
				}
				joined[i] = err == nil
				return true, err
			})
			for i, joined := range joined {
				if site := fmt.Sprintf("site-%02d", i); joined != slices.Contains(told, site) {
					t.Errorf("%s joined: %t; told are %v", site, joined, told)
				}
			}
		}
	})
}
