package grant_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// clock is a time that moves when it is told to.
type clock struct{ now atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.now.Store(time.Now().Truncate(time.Second).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.now.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.now.Add(d.Milliseconds()) }

var lifetimes = grant.Lifetimes{Code: 30 * time.Second, Access: 5 * time.Minute, RefreshIdle: time.Hour, RefreshAbsolute: 3 * time.Hour}

func service(t *testing.T) (*grant.Service, *clock, audit.Store) {
	t.Helper()
	c := newClock()
	stack := storagetest.Embedded(t, t.TempDir(), c.Now)
	register(t, stack, c, "person", "kim", "lee", "p")
	return &grant.Service{KV: stack.KV, Store: stack.DB.Grants(), Lifetimes: lifetimes, Now: c.Now}, c, stack.DB.Audit()
}

// register makes the people known.
func register(t *testing.T, stack storagetest.Stack, c *clock, ids ...string) {
	t.Helper()
	for _, id := range ids {
		check(t, stack.DB.People().Register(t.Context(), person.Registration{
			Person: person.Person{ID: id, First: method.Simple, RegisteredAt: c.Now(), UpdatedAt: c.Now()},
			Link:   person.Link{Person: id, Method: method.Simple, Subject: id, Provider: "kakao", Rule: method.Own, Binding: string(authn.Signed), LinkedAt: c.Now()},
		}))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), code)
	}
}

func yes[T any](T) error { return nil }

var errNo = errors.New("no")

func no[T any](T) error { return errNo }

// used is the session that is used, without a time: now.
var used = &session.Session{ID: "session", Authentication: session.Authentication{Person: "person"}}

// access is what a token of the grant says.
func access(grantID string) grant.Access {
	return grant.Access{
		Grant: grantID, Site: "site", Scopes: []string{"openid"}, Items: []string{"name"},
		Authentication: session.Authentication{Person: "person"}, Session: "session",
	}
}

func count(t *testing.T, s audit.Store, action audit.Action) (n int) {
	t.Helper()
	events, err := s.Unsealed(t.Context(), 1_000_000)
	check(t, err)
	for _, e := range events {
		if e.Action == action {
			n++
		}
	}
	return n
}

func TestCode(t *testing.T) {
	t.Parallel()
	s, c, events := service(t)
	ctx := t.Context()
	request := grant.Request{Site: "site", RedirectURI: "https://site.example/", CodeChallenge: "challenge", Nonce: "n"}
	code, err := s.IssueCode(ctx, grant.Code{Request: request, Items: []string{"name"}}, used)
	check(t, err)
	if len(code) != 43 {
		t.Errorf("code %q", code)
	}
	if spent, err := s.Spent(ctx, code); spent || err != nil {
		t.Errorf("spent %t, %v", spent, err)
	}
	if _, err := s.RedeemCode(ctx, code, no); !errors.Is(err, errNo) {
		t.Errorf("refused: %v", err)
	}
	c.Advance(lifetimes.Code - time.Millisecond)
	content, err := s.RedeemCode(ctx, code, yes)
	check(t, err)
	if content.Request.Nonce != "n" || content.Grant == "" || !slices.Equal(content.Items, []string{"name"}) || content.Session != "session" ||
		content.Authentication.Person != "person" || !content.GrantedAt.Equal(c.Now().Add(time.Millisecond-lifetimes.Code)) {
		t.Errorf("content %+v", content)
	}
	if spent, err := s.Spent(ctx, code); !spent || err != nil {
		t.Errorf("spent %t, %v", spent, err)
	}
	token, _, err := s.IssueAccess(ctx, access(content.Grant))
	check(t, err)
	refresh, err := s.IssueRefresh(ctx, access(content.Grant))
	check(t, err)
	c.Advance(time.Minute) // the code itself is long gone
	judged := func(c grant.Code) error {
		if c.Request.Site != "site" || c.Request.RedirectURI != "https://site.example/" || c.Request.CodeChallenge != "challenge" {
			t.Errorf("a replay is judged by %+v", c.Request)
		}
		return errNo
	}
	if _, err := s.RedeemCode(ctx, code, judged); !errors.Is(err, errNo) {
		t.Errorf("refused the second time: %v", err)
	}
	if _, err = s.Access(ctx, token); err != nil {
		t.Errorf("after a replay that was refused: %v", err)
	}
	if _, err := s.RedeemCode(ctx, code, yes); !errors.Is(err, grant.ErrReplayed) {
		t.Errorf("second time: %v", err)
	}
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	_, err = s.Refresh(ctx, refresh)
	wantCode(t, err, fault.NotFound)
	if n := count(t, events, audit.CodeReplayed); n != 1 {
		t.Errorf("%d replays on record", n)
	}

	// Expired, and never redeemed.
	code, err = s.IssueCode(ctx, grant.Code{}, used)
	check(t, err)
	c.Advance(lifetimes.Code)
	_, err = s.RedeemCode(ctx, code, yes)
	wantCode(t, err, fault.NotFound)
	for _, unknown := range []string{"", "x", strings.Repeat("x", 5000), code + "x"} {
		_, err = s.RedeemCode(ctx, unknown, yes)
		wantCode(t, err, fault.NotFound)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	ctx := t.Context()
	token, issued, err := s.IssueAccess(ctx, access("g"))
	check(t, err)
	c.Advance(lifetimes.Access - time.Millisecond)
	a, err := s.Access(ctx, token)
	check(t, err)
	if a.Site != "site" || !a.ExpiresAt.Equal(issued.ExpiresAt) || issued.ExpiresAt.Sub(issued.IssuedAt) != lifetimes.Access {
		t.Errorf("access %+v", a)
	}
	check(t, s.RevokeAccess(ctx, "another", token))
	_, err = s.Access(ctx, token)
	check(t, err)
	check(t, s.RevokeAccess(ctx, "site", "unknown"))
	check(t, s.RevokeAccess(ctx, "site", token))
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	check(t, s.RevokeAccess(ctx, "site", token))

	token, _, err = s.IssueAccess(ctx, access("g"))
	check(t, err)
	c.Advance(lifetimes.Access)
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	s, c, events := service(t)
	ctx := t.Context()
	rotate := func(token string) string {
		t.Helper()
		next, f, err := s.Rotate(ctx, "site", token, yes)
		check(t, err)
		if f.Person != "person" || f.Access.Session != "session" || next == token {
			t.Errorf("family %+v", f)
		}
		return next
	}
	first, err := s.IssueRefresh(ctx, access("g"))
	check(t, err)

	// Wrong in some way: changes nothing.
	for name, call := range map[string]func() error{
		"another site": func() error { _, _, err := s.Rotate(ctx, "another", first, yes); return err },
		"no separator": func() error { _, _, err := s.Rotate(ctx, "site", strings.ReplaceAll(first, ".", ""), yes); return err },
		"unknown":      func() error { _, _, err := s.Rotate(ctx, "site", "x."+first, yes); return err },
		"empty":        func() error { _, _, err := s.Rotate(ctx, "site", "", yes); return err },
	} {
		if err := call(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := s.Rotate(ctx, "site", first, no); !errors.Is(err, errNo) {
		t.Errorf("refused: %v", err)
	}

	// Idle end, moved by every rotation, up to the absolute end.
	c.Advance(lifetimes.RefreshIdle - time.Millisecond)
	current := rotate(first)
	for range 3 {
		c.Advance(40 * time.Minute)
		current = rotate(current)
	}
	f, err := s.Refresh(ctx, current)
	check(t, err)
	if f.Rotations != 4 || !f.ExpiresAt.Equal(f.CreatedAt.Add(lifetimes.RefreshAbsolute)) && f.ExpiresAt.Sub(f.UsedAt) != lifetimes.RefreshIdle {
		t.Errorf("family %+v", f)
	}
	c.Advance(f.ExpiresAt.Sub(c.Now()))
	_, _, err = s.Rotate(ctx, "site", current, yes)
	wantCode(t, err, fault.NotFound)
	_, err = s.Refresh(ctx, current)
	wantCode(t, err, fault.NotFound)
	if n := count(t, events, audit.RefreshReused); n != 0 {
		t.Errorf("%d reuses on record", n)
	}

	idle, err := s.IssueRefresh(ctx, access("h"))
	check(t, err)
	c.Advance(lifetimes.RefreshIdle)
	_, _, err = s.Rotate(ctx, "site", idle, yes)
	wantCode(t, err, fault.NotFound)
}

// TestReuse: an old refresh token ends the family and the grant's access tokens, and another's nothing.
func TestReuse(t *testing.T) {
	t.Parallel()
	s, _, events := service(t)
	ctx := t.Context()
	old, err := s.IssueRefresh(ctx, access("g"))
	check(t, err)
	other, err := s.IssueRefresh(ctx, access("other"))
	check(t, err)
	current, _, err := s.Rotate(ctx, "site", old, yes)
	check(t, err)
	token, _, err := s.IssueAccess(ctx, access("g"))
	check(t, err)
	if _, _, err := s.Rotate(ctx, "another", old, yes); !fault.Is(err, fault.NotFound) {
		t.Errorf("another site's reuse: %v", err)
	}
	_, err = s.Refresh(ctx, old)
	wantCode(t, err, fault.NotFound)
	_, err = s.Refresh(ctx, current)
	check(t, err)

	if _, _, err := s.Rotate(ctx, "site", old, yes); !errors.Is(err, grant.ErrReplayed) {
		t.Errorf("reuse: %v", err)
	}
	_, err = s.Refresh(ctx, current)
	wantCode(t, err, fault.NotFound)
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	_, err = s.Refresh(ctx, other)
	check(t, err)
	if n := count(t, events, audit.RefreshReused); n != 1 {
		t.Errorf("%d reuses on record", n)
	}
}

func TestRevokeRefresh(t *testing.T) {
	t.Parallel()
	s, _, events := service(t)
	ctx := t.Context()
	refresh, err := s.IssueRefresh(ctx, access("g"))
	check(t, err)
	token, _, err := s.IssueAccess(ctx, access("g"))
	check(t, err)
	for _, bad := range []struct{ site, token string }{{"another", refresh}, {"site", "x"}, {"site", "x.y"}, {"site", refresh + "x"}} {
		if ours, err := s.RevokeRefresh(ctx, bad.site, bad.token); ours || err != nil {
			t.Errorf("%+v: %t, %v", bad, ours, err)
		}
	}
	_, err = s.Refresh(ctx, refresh)
	check(t, err)
	if ours, err := s.RevokeRefresh(ctx, "site", refresh); !ours || err != nil {
		t.Errorf("revoked: %t, %v", ours, err)
	}
	_, err = s.Refresh(ctx, refresh)
	wantCode(t, err, fault.NotFound)
	_, err = s.Access(ctx, token)
	wantCode(t, err, fault.NotFound)
	if n := count(t, events, audit.GrantRevoked); n != 1 {
		t.Errorf("%d revocations on record", n)
	}
}

func TestAgreed(t *testing.T) {
	t.Parallel()
	s, c, _ := service(t)
	ctx := t.Context()
	if items, ok, err := s.Agreed(ctx, "p", "site", "1", nil, nil); len(items) != 0 || !ok || err != nil {
		t.Errorf("nothing asked: %v, %t, %v", items, ok, err)
	}
	if _, ok, err := s.Agreed(ctx, "p", "site", "1", []string{"name"}, nil); ok || err != nil {
		t.Errorf("never asked: %t, %v", ok, err)
	}
	add := func(id, version string, items ...string) {
		t.Helper()
		c.Advance(time.Second)
		check(t, s.Store.AddConsent(ctx, consent.Record{
			ID: id, Person: "p", Recipient: "site", Kind: consent.HandOver, Version: version, Items: items, Attempt: id, At: c.Now(),
		}, nil, audit.New(c.Now(), audit.ConsentGiven, audit.Citizen)))
	}
	add("1", "1", "gender", "name")
	for _, row := range []struct {
		version  string
		required []string
		ok       bool
	}{
		{"1", nil, true}, {"1", []string{"name"}, true}, {"1", []string{"name", "ci"}, false}, {"2", []string{"name"}, false},
	} {
		items, ok, err := s.Agreed(ctx, "p", "site", row.version, []string{"name", "ci"}, row.required)
		if ok != row.ok || err != nil || ok && !slices.Equal(items, []string{"gender", "name"}) {
			t.Errorf("%+v: %v, %t, %v", row, items, ok, err)
		}
	}
	add("other", "1", "email") // what the site asks for at other times
	for _, required := range []string{"name", "email"} {
		if items, ok, err := s.Agreed(ctx, "p", "site", "1", []string{required}, []string{required}); !ok || err != nil || !slices.Contains(items, required) {
			t.Errorf("%s, of two consents: %v, %t, %v", required, items, ok, err)
		}
	}
	if _, ok, _ := s.Agreed(ctx, "p", "site", "1", []string{"email", "name"}, []string{"email", "name"}); ok {
		t.Error("two consents count as one to both")
	}
	add("2", "2", "name") // the newest counts
	if items, ok, _ := s.Agreed(ctx, "p", "site", "2", []string{"name"}, []string{"name"}); !ok || len(items) != 1 {
		t.Errorf("newest: %v, %t", items, ok)
	}
	if _, ok, _ := s.Agreed(ctx, "p", "another", "2", []string{"name"}, nil); ok {
		t.Error("a consent to one site counts at another")
	}
}

const racers = 64

// TestRaces: of 64 callers on two instances one redeems a code and one rotates a refresh token. The others
// are replays, so that all that came of either is dead.
func TestRaces(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		c := newClock()
		var both []*grant.Service
		for range 2 {
			stack := open(c.Now)
			if both == nil {
				register(t, stack, c, "person")
			}
			both = append(both, &grant.Service{KV: stack.KV, Store: stack.DB.Grants(), Lifetimes: lifetimes, Now: c.Now})
		}
		ctx := t.Context()
		race := func(f func(s *grant.Service) (string, error)) (won []string) {
			var (
				wg    sync.WaitGroup
				mu    sync.Mutex
				start = make(chan struct{})
			)
			for i := range racers {
				wg.Go(func() {
					<-start
					got, err := f(both[i%2])
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won = append(won, got)
					case !errors.Is(err, grant.ErrReplayed) && !fault.Is(err, fault.NotFound):
						t.Errorf("racer %d: %v", i, err)
					}
				})
			}
			close(start)
			wg.Wait()
			return won
		}

		code, err := both[0].IssueCode(ctx, grant.Code{}, used)
		check(t, err)
		// The winner goes on at once, as the token endpoint does, while the others replay.
		tokens := make(chan string, 2)
		won := race(func(s *grant.Service) (string, error) {
			content, err := s.RedeemCode(ctx, code, yes)
			if err != nil {
				return "", err
			}
			token, _, err := s.IssueAccess(ctx, access(content.Grant))
			if err != nil {
				return "", err
			}
			tokens <- token
			if refresh, err := s.IssueRefresh(ctx, access(content.Grant)); err == nil {
				tokens <- refresh
			} else if !fault.Is(err, fault.NotFound) {
				t.Error(err)
			}
			return content.Grant, nil
		})
		close(tokens)
		if len(won) != 1 {
			t.Fatalf("%d racers redeemed the code, want one", len(won))
		}
		for token := range tokens {
			if strings.Contains(token, ".") {
				_, err = both[1].Refresh(ctx, token)
			} else {
				_, err = both[1].Access(ctx, token)
			}
			wantCode(t, err, fault.NotFound)
		}

		refresh, err := both[0].IssueRefresh(ctx, access("g2"))
		check(t, err)
		token, _, err := both[0].IssueAccess(ctx, access("g2"))
		check(t, err)
		won = race(func(s *grant.Service) (string, error) {
			next, _, err := s.Rotate(ctx, "site", refresh, yes)
			return next, err
		})
		if len(won) != 1 {
			t.Fatalf("%d racers rotated the token, want one", len(won))
		}
		_, err = both[1].Refresh(ctx, won[0])
		wantCode(t, err, fault.NotFound)
		_, err = both[1].Access(ctx, token)
		wantCode(t, err, fault.NotFound)

		// A refresh token that is issued while its grant is revoked is dead, or was never given.
		for range 8 {
			code, err := both[0].IssueCode(ctx, grant.Code{}, used)
			check(t, err)
			content, err := both[0].RedeemCode(ctx, code, yes)
			check(t, err)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := both[1].RedeemCode(context.WithoutCancel(ctx), code, yes); !errors.Is(err, grant.ErrReplayed) {
					t.Errorf("replay: %v", err)
				}
			})
			refresh, err := both[0].IssueRefresh(ctx, access(content.Grant))
			wg.Wait()
			switch {
			case err == nil:
				_, err = both[0].Refresh(ctx, refresh)
				wantCode(t, err, fault.NotFound)
			case !fault.Is(err, fault.NotFound):
				t.Error(err)
			}
		}
	})
}
