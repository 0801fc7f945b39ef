package account

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

func TestDispute(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		w.adds(c, method.MobileID, "mip")
		at := w.clock()
		stranger := w.login(c, method.Simple, "naver", "qnet", true)
		bare := w.login(c, method.MobileID, "mip", "minwon", false)
		theirs := w.login(other, method.Simple, "naver", "qnet", true)

		view, err := w.svc.Alert(ctx, stranger.alert)
		w.check(err)
		want := AlertView{
			Kind: notice.NewBrowser, Method: method.Simple, Provider: "naver", Site: "qnet", At: at, Origin: session.Origin{Address: "198.51.100.9", Browser: "Firefox, Linux"},
		}
		if !reflect.DeepEqual(view, want) {
			w.t.Errorf("alert %+v, want %+v", view, want)
		}
		for _, code := range []string{"", "nothing", stranger.alert + "x"} {
			_, err = w.svc.Alert(ctx, code)
			w.want(err, fault.NotFound)
			_, err = w.svc.Dispute(ctx, code, Visitor{})
			w.want(err, fault.NotFound)
		}

		opened, err := w.svc.Dispute(ctx, stranger.alert, Visitor{Person: other.Person, Address: "203.0.113.5", Browser: "Safari, iPhone"})
		w.check(err)
		if opened.ID == "" || opened.Person != "" || opened.State != notice.Open || opened.Method != method.Simple || opened.Site != "qnet" || opened.Kind != notice.NewBrowser {
			w.t.Errorf("case %+v", opened)
		}
		for _, in := range []login{stranger, bare} {
			if session, tokens := w.lives(in); session || tokens {
				w.t.Errorf("a session (%t) or a token (%t) lives", session, tokens)
			}
		}
		if session, tokens := w.lives(theirs); !session || !tokens {
			w.t.Error("somebody else's session ended")
		}
		p, err := w.svc.People.ByID(ctx, c.Person)
		w.check(err)
		if len(p.Blocks) != 1 || p.Blocks[0].Case != opened.ID || !p.Blocked(method.Simple, "kakao") || p.Blocked(method.MobileID, "mip") {
			w.t.Errorf("blocks %+v", p.Blocks)
		}
		e := w.event(c, audit.DisputeOpened)
		if e.Detail["case"] != opened.ID || e.Address != "203.0.113.5" || e.Browser != "Safari, iPhone" || e.Site != "qnet" {
			w.t.Errorf("event %+v", e)
		}
		if e := w.event(c, audit.SessionEnded); e.Detail["cause"] != "dispute" || e.Browser != "Safari, iPhone" {
			w.t.Errorf("event %+v", e)
		}
		if view, err = w.svc.Alert(ctx, stranger.alert); err != nil || !view.Disputed {
			w.t.Errorf("alert %+v, %v", view, err)
		}
		_, err = w.svc.Dispute(ctx, stranger.alert, Visitor{})
		w.want(err, fault.Conflict)

		// The block goes with the case only.
		w.want(w.svc.Unblock(ctx, c.Visitor, method.Simple, ""), fault.Conflict)
		list, err := w.svc.Methods(ctx, c.Visitor)
		if err != nil || len(list.Blocks) != 1 || list.Blocks[0].Liftable {
			w.t.Errorf("methods %+v, %v", list, err)
		}
		mobile := c.Visitor
		mobile.Method, mobile.Provider = method.MobileID, "mip"
		w.check(w.svc.Block(ctx, mobile, method.Simple, "")) // for themselves too, beyond the case
		w.check(w.svc.Unblock(ctx, mobile, method.Simple, ""))
		w.want(w.svc.Unblock(ctx, mobile, method.Simple, ""), fault.Conflict)
		w.check(w.svc.Block(ctx, mobile, method.Simple, ""))

		w.want(w.svc.CloseCase(ctx, "kim", opened.ID, strings.Repeat("가", maxNote+1)), fault.Invalid)
		w.want(w.svc.CloseCase(ctx, "kim", "nothing", ""), fault.NotFound)
		w.check(w.svc.CloseCase(ctx, "kim", opened.ID, "본인과 통화함"))
		w.want(w.svc.CloseCase(ctx, "lee", opened.ID, ""), fault.Conflict)
		if p, err = w.svc.People.ByID(ctx, c.Person); err != nil || len(p.Blocks) != 1 || p.Blocks[0].Case != "" {
			w.t.Errorf("blocks %+v, %v", p.Blocks, err)
		}
		w.check(w.svc.Unblock(ctx, mobile, method.Simple, ""))
		closed, err := w.svc.Alerts.Case(ctx, opened.ID)
		if err != nil || closed.State != notice.Closed || closed.ClosedBy != "operator:kim" || closed.Note != "본인과 통화함" || closed.Person != c.Person {
			w.t.Errorf("case %+v, %v", closed, err)
		}
		counts := w.actions(c.Person)
		if counts[audit.DisputeClosed] != 1 || counts[audit.MethodUnblocked] != 3 {
			w.t.Errorf("events %v", counts)
		}
		w.pass(time.Second)
		if session, tokens := w.lives(w.login(c, method.Simple, "kakao", "qnet", true)); !session || !tokens {
			w.t.Error("a later login is dead")
		}
	})
}

// Of 64 clicks on one link one opens the one case; the others learn that it is open.
func TestDisputeRace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		code := w.login(c, method.Simple, "naver", "qnet", true).alert
		event := w.events(c.Person)[0].ID
		for what, dispute := range map[string]func() error{
			"code":  func() error { _, err := w.svc.Dispute(ctx, code, Visitor{}); return err },
			"event": func() error { _, err := w.svc.DisputeRecord(ctx, c.Visitor, event); return err },
		} {
			before, err := w.svc.Alerts.CasesOf(ctx, c.Person)
			w.check(err)
			var won atomic.Int64
			clicks := make([]func(), 64)
			for i := range clicks {
				clicks[i] = func() {
					switch err := dispute(); {
					case err == nil:
						won.Add(1)
					case !fault.Is(err, fault.Conflict):
						w.t.Errorf("%s: %v", what, err)
					}
				}
			}
			atOnce(clicks...)
			after, err := w.svc.Alerts.CasesOf(ctx, c.Person)
			w.check(err)
			if won.Load() != 1 || len(after) != len(before)+1 {
				w.t.Errorf("%s: %d won, %d cases", what, won.Load(), len(after)-len(before))
			}
		}
		p, err := w.svc.People.ByID(ctx, c.Person)
		if err != nil || len(p.Blocks) != 2 || w.actions(c.Person)[audit.DisputeOpened] != 2 {
			w.t.Errorf("blocks %+v, %v; events %v", p.Blocks, err, w.actions(c.Person))
		}
	})
}

func TestDisputeRecord(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		in := w.login(c, method.MobileID, "mip", "qnet", true)
		w.adds(c, method.JointCert, "yessign")
		list, _, err := w.svc.History(ctx, c.Visitor, Filter{}, audit.Cursor{}, 10)
		w.check(err)
		if len(list) != 3 || !list[0].Disputable || !list[1].Disputable || list[2].Disputable {
			w.t.Fatalf("history %+v", list)
		}
		opened, err := w.svc.DisputeRecord(ctx, c.Visitor, list[1].ID)
		w.check(err)
		if opened.Kind != InHistory || opened.Method != method.MobileID || opened.Provider != "mip" || opened.Site != "qnet" {
			w.t.Errorf("case %+v", opened)
		}
		if session, tokens := w.lives(in); session || tokens {
			w.t.Error("the session that was disputed lives")
		}
		_, err = w.svc.DisputeRecord(ctx, c.Visitor, list[1].ID)
		w.want(err, fault.Conflict)
		_, err = w.svc.DisputeRecord(ctx, c.Visitor, list[2].ID)
		w.want(err, fault.Invalid)
		if opened, err = w.svc.DisputeRecord(ctx, c.Visitor, list[0].ID); err != nil || opened.Kind != notice.NewMethod || opened.Method != method.JointCert {
			w.t.Errorf("case %+v, %v", opened, err)
		}
		w.check(w.svc.CloseCase(ctx, "kim", opened.ID, ""))
		_, err = w.svc.DisputeRecord(ctx, c.Visitor, list[0].ID)
		w.want(err, fault.Conflict)
	})
}

// A dispute that a crash has interrupted goes on by the same code; until then its block is the person's to lift.
func TestDisputeInterrupted(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		in := w.login(c, method.JointCert, "yessign", "qnet", true)
		alert, err := w.svc.Alerts.Alerts(ctx, c.Person)
		w.check(err)
		block := func() {
			w.check(w.svc.People.Update(ctx, c.Person, func(p *person.Person) error {
				p.Blocks = append(p.Blocks, person.Block{Method: method.JointCert, Case: caseID("alert", alert[0].ID), At: w.clock()})
				return nil
			}, person.Along{}))
		}
		block()
		w.check(w.svc.Unblock(ctx, c.Visitor, method.JointCert, ""))
		block()
		opened, err := w.svc.Dispute(ctx, in.alert, Visitor{})
		w.check(err)
		p, err := w.svc.People.ByID(ctx, c.Person)
		if err != nil || len(p.Blocks) != 1 || p.Blocks[0].Case != opened.ID {
			w.t.Errorf("blocks %+v, %v", p.Blocks, err)
		}
		w.want(w.svc.Unblock(ctx, c.Visitor, method.JointCert, ""), fault.Conflict)
	})
}
