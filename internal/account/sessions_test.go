package account

import (
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
)

func TestSessions(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		old := w.login(c, method.Simple, "kakao", "gone", true)
		here := w.login(c, method.MobileID, "mip", "minwon", true)
		third := w.login(c, method.Simple, "naver", "qnet", true)
		w.login(c, method.Simple, "naver", "qnet", false) // makes no session
		theirs := w.login(other, method.Simple, "kakao", "qnet", true)
		c.Session = here.session.ID

		list, err := w.svc.ListSessions(ctx, c.Visitor)
		w.check(err)
		if len(list) != 3 || list[0].Provider != "naver" || list[1].Method != method.MobileID || !list[1].Current || list[0].Current || list[2].Current {
			w.t.Fatalf("sessions %+v", list)
		}
		want := SessionView{
			ID: list[0].ID, Method: method.Simple, Provider: "naver", Level: 2, Origin: session.Origin{Address: c.Address, Browser: c.Browser},
			At: third.session.At, Until: third.session.CreatedAt.Add(30 * time.Minute), Sites: []SiteName{{"qnet", "qnet 사이트"}},
		}
		if got := list[0]; got.Origin != want.Origin || !got.At.Equal(want.At) || !got.Until.Equal(want.Until) || got.Level != 2 || !slices.Equal(got.Sites, want.Sites) {
			w.t.Errorf("session %+v, want %+v", got, want)
		}
		if !slices.Equal(list[2].Sites, []SiteName{{"gone", "gone"}}) {
			w.t.Errorf("sites %+v", list[2].Sites)
		}
		for _, l := range list {
			if slices.Contains([]string{old.session.ID, here.session.ID, third.session.ID, third.session.SID("qnet")}, l.ID) {
				w.t.Error("a session is shown by an id that is known elsewhere")
			}
		}

		batch, err := w.svc.EndSession(ctx, c.Visitor, list[0].ID)
		w.check(err)
		if told := w.told(batch); !slices.Equal(told, []string{"qnet sid"}) {
			w.t.Errorf("told %v", told)
		}
		if session, _ := w.lives(third); session {
			w.t.Error("the session lives")
		}
		e := w.events(c.Person)[0]
		if e.Action != audit.SessionEnded || e.Detail["cause"] != "citizen" || e.Address != c.Address {
			w.t.Errorf("event %+v", e)
		}
		_, err = w.svc.EndSession(ctx, c.Visitor, list[0].ID)
		w.want(err, fault.NotFound)

		batch, n, err := w.svc.EndOthers(ctx, c.Visitor)
		if err != nil || n != 1 || len(w.told(batch)) != 0 {
			w.t.Errorf("ended %d, told %v, %v", n, w.told(batch), err)
		}
		if session, _ := w.lives(old); session {
			w.t.Error("another session lives")
		}
		for _, in := range []login{here, theirs} {
			if session, tokens := w.lives(in); !session || !tokens {
				w.t.Error("this browser's session, or somebody else's, ended too")
			}
		}
		c.Session = ""
		if _, n, err = w.svc.EndOthers(ctx, c.Visitor); n != 1 || err != nil {
			w.t.Errorf("without a session of this browser: ended %d, %v", n, err)
		}
		w.pass(time.Hour)
		if list, err = w.svc.ListSessions(ctx, other.Visitor); err != nil || len(list) != 0 {
			w.t.Errorf("a session is listed that is over: %+v, %v", list, err)
		}
	})
}
