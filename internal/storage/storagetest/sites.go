package storagetest

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/site"
)

func aSite(id string) site.Site {
	return site.Site{
		ID: id, Name: "큐넷", NameEnglish: "Q-Net", Institution: site.Institution{ID: "hrdk", Name: "한국산업인력공단"},
		RedirectURIs: []string{"https://" + id + ".example/cb"}, Methods: []method.Method{method.Simple, method.MobileID},
		Level: 2, HandOver: site.HandOver{Version: "2", Purpose: "원서 접수", CIBasis: "국가기술자격법"},
	}.WithDefaults()
}

func testSites(t *testing.T, s Stores) {
	ctx := t.Context()
	get := func(t *testing.T, id string) (site.Registered, bool) {
		t.Helper()
		list, _, err := s.Sites.Sites(ctx)
		check(t, err)
		i := slices.IndexFunc(list, func(r site.Registered) bool { return r.ID == id })
		if i < 0 {
			return site.Registered{}, false
		}
		return list[i], true
	}
	revision := func(t *testing.T) int64 {
		t.Helper()
		n, err := s.Sites.SitesRevision(ctx)
		check(t, err)
		return n
	}
	// changes fails the test unless change moves the revision and writes its event.
	changes := func(t *testing.T, change func(e audit.Event) error) {
		t.Helper()
		before, e := revision(t), event(audit.SiteApplied)
		check(t, change(e))
		if after := revision(t); after == before {
			t.Errorf("the revision is still %d", before)
		}
		wantEvents(t, s, true, e)
	}
	// refuses fails the test unless change is refused without a trace.
	refuses := func(t *testing.T, code fault.Code, change func(e audit.Event) error) {
		t.Helper()
		before, e := revision(t), event(audit.SiteApplied)
		wantCode(t, change(e), code)
		if after := revision(t); after != before {
			t.Errorf("the revision moved from %d to %d", before, after)
		}
		wantEvents(t, s, false, e)
	}
	put := func(one site.Site, minute int) func(audit.Event) error {
		return func(e audit.Event) error { return s.Sites.PutSite(ctx, one, at(minute), e) }
	}

	t.Run("a new database has no site", func(t *testing.T) {
		list, n, err := s.Sites.Sites(ctx)
		check(t, err)
		if len(list) != 0 || n != revision(t) {
			t.Errorf("sites %+v of revision %d, want none of %d", list, n, revision(t))
		}
	})

	t.Run("a site comes back as it was put", func(t *testing.T) {
		one := aSite("qnet")
		changes(t, put(one, 1))
		got, _ := get(t, "qnet")
		if want := (site.Registered{Site: one, UpdatedAt: at(1)}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})

	t.Run("sites are ordered by id and of the revision", func(t *testing.T) {
		for _, id := range []string{"b", "B", "a.b", "ab", "a-b"} {
			changes(t, put(aSite(id), 1))
		}
		list, n, err := s.Sites.Sites(ctx)
		check(t, err)
		var ids []string
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		if !slices.IsSorted(ids) || len(ids) != 6 {
			t.Errorf("the sites are %v", ids)
		}
		if n != revision(t) {
			t.Errorf("the revision of the list is %d, want %d", n, revision(t))
		}
	})

	t.Run("a new secret lets the others expire", func(t *testing.T) {
		now := time.Now().UTC().Truncate(time.Millisecond)
		changes(t, put(aSite("secrets"), 1))
		add := func(x site.Secret, retire time.Time) {
			t.Helper()
			changes(t, func(e audit.Event) error { return s.Sites.AddSecret(ctx, "secrets", x, retire, e) })
		}
		want := func(secrets ...site.Secret) {
			t.Helper()
			if got, _ := get(t, "secrets"); !reflect.DeepEqual(got.Secrets, secrets) {
				t.Errorf("the secrets are %+v, want %+v", got.Secrets, secrets)
			}
		}
		first := site.Secret{Hash: "hash-1", CreatedAt: now.Add(-time.Hour)}
		second := site.Secret{Hash: "hash-2", CreatedAt: now.Add(-time.Minute)}
		third := site.Secret{Hash: "hash-3", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		add(first, now)
		want(first)
		add(second, now.Add(30*time.Minute))
		first.ExpiresAt = now.Add(30 * time.Minute)
		want(first, second)

		// A new document keeps them.
		changes(t, put(aSite("secrets"), 2))
		want(first, second)

		// A secret that would go sooner still does.
		add(third, now.Add(45*time.Minute))
		second.ExpiresAt = now.Add(45 * time.Minute)
		want(first, second, third)

		// Expired secrets are not returned.
		fourth := site.Secret{Hash: "hash-4", CreatedAt: now.Add(time.Second)}
		add(fourth, now.Add(-time.Second))
		want(fourth)
		fifth := site.Secret{Hash: "hash-5", CreatedAt: now.Add(time.Second)}
		add(fifth, time.Time{})
		want(fifth)
	})

	t.Run("a secret needs its site", func(t *testing.T) {
		refuses(t, fault.NotFound, func(e audit.Event) error {
			return s.Sites.AddSecret(ctx, "nowhere", site.Secret{Hash: "hash", CreatedAt: at(1)}, at(2), e)
		})
	})

	t.Run("a removed site takes its secrets along", func(t *testing.T) {
		changes(t, put(aSite("gone"), 1))
		changes(t, func(e audit.Event) error {
			return s.Sites.AddSecret(ctx, "gone", site.Secret{Hash: "hash", CreatedAt: at(1)}, at(2), e)
		})
		changes(t, func(e audit.Event) error { return s.Sites.RemoveSite(ctx, "gone", e) })
		if got, ok := get(t, "gone"); ok {
			t.Errorf("the site is still there: %+v", got)
		}
		refuses(t, fault.NotFound, func(e audit.Event) error { return s.Sites.RemoveSite(ctx, "gone", e) })
		changes(t, put(aSite("gone"), 3))
		if got, _ := get(t, "gone"); len(got.Secrets) != 0 {
			t.Errorf("the site came back with secrets %+v", got.Secrets)
		}
	})

	t.Run("every change counts", func(t *testing.T) {
		before := revision(t)
		if n := race(t, func(int) (bool, error) {
			err := s.Sites.PutSite(ctx, aSite("busy"), at(1), event(audit.SiteApplied))
			return err == nil, err
		}); n != racers {
			t.Errorf("%d changes, want %d", n, racers)
		}
		if got := revision(t); got != before+racers {
			t.Errorf("the revision moved from %d to %d, want by %d", before, got, racers)
		}
	})
}
