package account

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

func TestSites(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		first := w.clock()
		w.check(w.agree(c, "qnet"))
		w.check(w.agree(c, "qnet", "name", "phone_number"))
		w.login(c, method.Simple, "kakao", "qnet", true)
		w.login(c, method.Simple, "kakao", "qnet", false)
		w.login(c, method.Simple, "kakao", "minwon", false)
		w.login(other, method.Simple, "kakao", "quiet", true)
		w.login(c, method.Simple, "kakao", "gone", false)
		uses, err := w.svc.Sites(ctx, c.Visitor)
		w.check(err)
		if len(uses) != 3 || uses[0].ID != "gone" || uses[1].ID != "minwon" || uses[2].ID != "qnet" {
			w.t.Fatalf("sites %+v", uses)
		}
		if uses[0].Site != nil || uses[0].Active || uses[0].Items != nil || uses[0].Basis != "" {
			w.t.Errorf("a site that is registered no more: %+v", uses[0])
		}
		if uses[1].Site == nil || uses[1].Basis != "민원 처리에 관한 법률" || uses[1].Consent != nil || uses[1].Active ||
			!slices.Equal(uses[1].Items, []string{"birthdate", "gender", "name", "nationality"}) {
			w.t.Errorf("a site with a basis in law: %+v", uses[1])
		}
		q := uses[2]
		if q.Logins != 2 || !q.Since.Equal(first) || !q.LastAt.Equal(first.Add(time.Second)) || !q.Active || q.Basis != "" ||
			q.Consent == nil || q.Consent.Version != "1" || !slices.Equal(q.Items, []string{"birthdate", "name", "phone_number"}) {
			w.t.Errorf("a site in use: %+v", q)
		}
		w.pass(time.Hour) // the session is over, though nobody has looked
		if uses, err = w.svc.Sites(ctx, c.Visitor); err != nil || uses[2].Active {
			w.t.Errorf("an hour later: %+v, %v", uses, err)
		}
	})
}

func TestRevokeSite(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		w.check(w.agree(c, "qnet"))
		w.check(w.agree(other, "qnet"))
		one := w.login(c, method.Simple, "kakao", "qnet", true)
		bare := w.login(c, method.Simple, "kakao", "qnet", false)
		elsewhere := w.login(c, method.Simple, "kakao", "minwon", true)
		theirs := w.login(other, method.Simple, "kakao", "qnet", true)

		batch, err := w.svc.RevokeSite(ctx, c.Visitor, "qnet")
		w.check(err)
		if told := w.told(batch); !slices.Equal(told, []string{"qnet sub"}) {
			w.t.Errorf("told %v", told)
		}
		for _, in := range []login{one, bare} {
			if _, tokens := w.lives(in); tokens {
				w.t.Error("a token outlives the connection")
			}
		}
		live, err := w.sessions.Find(ctx, one.handle)
		w.check(err)
		if at := live.Sites["qnet"]; live.Uses("qnet") || at.Consent != "" || at.Items != nil {
			w.t.Error("the session remembers the site, and would not ask for consent")
		}
		for _, in := range []login{elsewhere, theirs} {
			if session, tokens := w.lives(in); !session || !tokens {
				w.t.Error("something else ended too")
			}
		}
		if list, err := w.svc.Grants.Store.HandOvers(ctx, c.Person, "qnet"); err != nil || len(list) != 0 {
			w.t.Errorf("the consents hold still: %+v, %v", list, err)
		}
		if list, err := w.svc.Grants.Store.HandOvers(ctx, other.Person, "qnet"); err != nil || len(list) != 1 {
			w.t.Errorf("another's consents: %+v, %v", list, err)
		}
		uses, err := w.svc.Sites(ctx, c.Visitor)
		if err != nil || len(uses) != 1 || uses[0].ID != "minwon" {
			w.t.Errorf("sites %+v, %v", uses, err)
		}
		e := w.events(c.Person)[0]
		if e.Action != audit.SiteRevoked || e.Site != "qnet" || e.Actor != audit.Citizen || e.Address != c.Address || e.Browser != c.Browser {
			w.t.Errorf("event %+v", e)
		}

		_, err = w.svc.RevokeSite(ctx, c.Visitor, "qnet")
		w.want(err, fault.NotFound)
		if n := w.actions(c.Person)[audit.AccessDenied]; n != 1 {
			w.t.Errorf("%d times denied", n)
		}

		// A site that wants to know each session is told each.
		w.login(c, method.Simple, "kakao", "minwon", true)
		batch, err = w.svc.RevokeSite(ctx, c.Visitor, "minwon")
		w.check(err)
		if told := w.told(batch); !slices.Equal(told, []string{"minwon sid", "minwon sid"}) {
			w.t.Errorf("told %v", told)
		}
		// One that cannot be called, or is registered no more, is left without a word.
		w.login(c, method.Simple, "kakao", "quiet", true)
		w.login(c, method.Simple, "kakao", "gone", true)
		for _, id := range []string{"quiet", "gone"} {
			if batch, err = w.svc.RevokeSite(ctx, c.Visitor, id); err != nil || len(w.told(batch)) > 0 {
				w.t.Errorf("%s: told %v, %v", id, w.told(batch), err)
			}
		}
	})
}

// Of many clicks one revokes; the next login makes a new connection.
func TestRevokeSiteRace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		w.login(c, method.Simple, "kakao", "qnet", true)
		var won atomic.Int64
		click := func() {
			switch _, err := w.svc.RevokeSite(ctx, c.Visitor, "qnet"); {
			case err == nil:
				won.Add(1)
			case !fault.Is(err, fault.NotFound):
				w.t.Error(err)
			}
		}
		atOnce(click, click, click, click, click, click, click, click)
		if won.Load() != 1 || w.actions(c.Person)[audit.SiteRevoked] != 1 {
			w.t.Errorf("%d won, %d events", won.Load(), w.actions(c.Person)[audit.SiteRevoked])
		}
		w.pass(time.Second)
		in := w.login(c, method.Simple, "kakao", "qnet", true)
		if session, tokens := w.lives(in); !session || !tokens {
			w.t.Error("a later login is dead")
		}
		uses, err := w.svc.Sites(ctx, c.Visitor)
		if err != nil || len(uses) != 1 || uses[0].Logins != 1 || uses[0].Site.LocalName("en") != "qnet site" {
			w.t.Errorf("sites %+v, %v", uses, err)
		}
	})
}
