package storagetest

import (
	"reflect"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

func testLinkPolicies(t *testing.T, s Stores) {
	ctx := t.Context()
	// version returns the default matrix with one cell turned, under a version.
	version := func(n int, rule method.Rule) method.LinkPolicy {
		cells := method.DefaultLinkPolicy().Cells()
		for i, c := range cells {
			if c.First == method.MobileID && c.Now == method.JointCert {
				cells[i].Rule = rule
			}
		}
		p, err := method.NewLinkPolicy(n, cells)
		check(t, err)
		return p
	}

	t.Run("a new database has the default matrix", func(t *testing.T) {
		p, err := s.LinkPolicies.LinkPolicy(ctx)
		check(t, err)
		want := method.DefaultLinkPolicy()
		if !reflect.DeepEqual(p, want) {
			t.Errorf("version %d:\n%s\nwant version %d:\n%s", p.Version, p.Markdown(), want.Version, want.Markdown())
		}
		t.Logf("version %d\n%s", p.Version, p.Markdown())
		events, err := s.Audit.Unsealed(ctx, 10)
		check(t, err)
		if len(events) != 1 || events[0].Action != audit.PolicyChanged || events[0].Actor != audit.System {
			t.Errorf("the events of a new database are %+v", events)
		}
	})

	t.Run("the newest version counts", func(t *testing.T) {
		e := event(audit.PolicyChanged)
		want := version(2, method.Auto)
		check(t, s.LinkPolicies.SetLinkPolicy(ctx, want, e))
		wantEvents(t, s, true, e)
		p, err := s.LinkPolicies.LinkPolicy(ctx)
		check(t, err)
		if !reflect.DeepEqual(p, want) {
			t.Errorf("version %d:\n%s\nwant version 2:\n%s", p.Version, p.Markdown(), want.Markdown())
		}
	})

	t.Run("only the next version is taken", func(t *testing.T) {
		for _, n := range []int{0, 1, 2, 4} {
			e := event(audit.PolicyChanged)
			wantCode(t, s.LinkPolicies.SetLinkPolicy(ctx, version(n, method.Register), e), fault.Conflict)
			wantEvents(t, s, false, e)
		}
		p, err := s.LinkPolicies.LinkPolicy(ctx)
		check(t, err)
		if p.Version != 2 || p.Rule(method.MobileID, method.JointCert) != method.Auto {
			t.Errorf("version %d is there:\n%s", p.Version, p.Markdown())
		}
	})

	t.Run("one version is set once", func(t *testing.T) {
		p := version(3, method.Register)
		if n := race(t, func(int) (bool, error) {
			return wins(s.LinkPolicies.SetLinkPolicy(ctx, p, event(audit.PolicyChanged)))
		}); n != 1 {
			t.Errorf("version 3 was set %d times", n)
		}
	})
}
