package account

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

// subject is the id of a method that the world has linked.
func subject(c *citizen, m method.Method, provider string) string {
	return "subject-" + string(m) + "-" + provider + "-" + c.Person
}

func TestMethods(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		list, err := w.svc.Methods(ctx, c.Visitor)
		w.check(err)
		if list.First != method.Simple || len(list.Linked) != 1 || list.Linked[0].Removable || !list.Linked[0].First || len(list.Blocks) != 0 {
			w.t.Errorf("methods %+v", list)
		}
		w.want(w.svc.RemoveMethod(ctx, c.Visitor, method.Simple, subject(c, method.Simple, "kakao")), fault.Conflict)

		w.adds(c, method.MobileID, "mip")
		in := w.login(c, method.MobileID, "mip", "qnet", true)
		other := w.login(c, method.Simple, "kakao", "qnet", true)
		if list, err = w.svc.Methods(ctx, c.Visitor); err != nil || len(list.Linked) != 2 {
			w.t.Fatalf("methods %+v, %v", list, err)
		}
		for _, l := range list.Linked {
			if !l.Removable || l.Blocked || l.Binding != "signed" || l.Rule != method.Own || !l.LinkedAt.Equal(l.LinkedAt.UTC()) || l.First != (l.Method == method.Simple) {
				w.t.Errorf("method %+v", l)
			}
		}
		w.check(w.svc.RemoveMethod(ctx, c.Visitor, method.MobileID, subject(c, method.MobileID, "mip")))
		if session, _ := w.lives(in); session {
			w.t.Error("a session of the method that was removed lives")
		}
		if session, _ := w.lives(other); !session {
			w.t.Error("another session ended")
		}
		if n := w.actions(c.Person)[audit.MethodUnlinked]; n != 1 {
			w.t.Errorf("%d events", n)
		}
		w.want(w.svc.RemoveMethod(ctx, c.Visitor, method.MobileID, subject(c, method.MobileID, "mip")), fault.NotFound)

		// Of two credentials of one provider, the other still vouches for the session.
		w.check(w.svc.People.AddLink(ctx, person.Link{
			Person: c.Person, Method: method.Simple, Subject: "second", Provider: "kakao", Rule: method.Own, LinkedAt: w.clock(),
		}, person.Along{}))
		w.check(w.svc.RemoveMethod(ctx, c.Visitor, method.Simple, "second"))
		if session, _ := w.lives(other); !session {
			w.t.Error("the session ended, though the provider's other credential is linked")
		}
	})
}

func TestBlock(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		w.adds(c, method.MobileID, "mip")
		mobile := w.login(c, method.MobileID, "mip", "qnet", true)
		naver := w.login(c, method.Simple, "naver", "qnet", true)
		kakao := w.login(c, method.Simple, "kakao", "qnet", true)

		for _, row := range []struct {
			m        method.Method
			provider string
			code     fault.Code
		}{
			{method.Simple, "", fault.Conflict}, // verified with just now
			{method.Simple, "kakao", fault.Conflict},
			{method.Phone, "", fault.Invalid}, // does not log in
			{"", "", fault.Invalid},
			{method.MobileID, "Mobile ID", fault.Invalid},
		} {
			w.want(w.svc.Block(ctx, c.Visitor, row.m, row.provider), row.code)
		}
		unsure := c.Visitor
		unsure.Provider = ""
		w.want(w.svc.Block(ctx, unsure, method.Simple, "naver"), fault.Conflict)

		w.check(w.svc.Block(ctx, c.Visitor, method.Simple, "naver"))
		w.check(w.svc.Block(ctx, c.Visitor, method.JointCert, "")) // which is not linked
		w.check(w.svc.Block(ctx, c.Visitor, method.JointCert, ""))
		if session, _ := w.lives(naver); session {
			w.t.Error("a session of the blocked provider lives")
		}
		for _, in := range []login{mobile, kakao} {
			if session, _ := w.lives(in); !session {
				w.t.Error("another session ended")
			}
		}
		w.check(w.svc.Block(ctx, c.Visitor, method.MobileID, ""))
		if session, _ := w.lives(mobile); session {
			w.t.Error("a session of the blocked method lives")
		}
		if n := w.actions(c.Person)[audit.MethodBlocked]; n != 3 {
			w.t.Errorf("%d events of blocks", n)
		}
		list, err := w.svc.Methods(ctx, c.Visitor)
		w.check(err)
		if len(list.Blocks) != 3 || !list.Blocks[0].Liftable || list.Blocks[0].Provider != "naver" || list.Linked[0].Blocked || !list.Linked[1].Blocked {
			w.t.Errorf("methods %+v", list)
		}
		// The last one that is not blocked stays; a blocked one beside it may go.
		w.want(w.svc.RemoveMethod(ctx, c.Visitor, method.Simple, subject(c, method.Simple, "kakao")), fault.Conflict)
		if list.Linked[0].Removable || !list.Linked[1].Removable {
			w.t.Errorf("removable: %+v", list.Linked)
		}

		w.check(w.svc.Unblock(ctx, c.Visitor, method.MobileID, ""))
		w.want(w.svc.Unblock(ctx, c.Visitor, method.MobileID, ""), fault.NotFound)
		w.want(w.svc.Unblock(ctx, c.Visitor, method.Simple, ""), fault.NotFound) // only one provider is
		p, err := w.svc.People.ByID(ctx, c.Person)
		w.check(err)
		if p.Blocked(method.MobileID, "mip") || !p.Blocked(method.Simple, "naver") || !p.Blocked(method.JointCert, "yessign") {
			w.t.Errorf("blocks %+v", p.Blocks)
		}
		if n := w.actions(c.Person)[audit.MethodUnblocked]; n != 1 {
			w.t.Errorf("%d events of lifted blocks", n)
		}

		for i := range maxBlocks {
			err = errors.Join(err, w.svc.Block(ctx, c.Visitor, method.JointCert, "ca"+strconv.Itoa(i)))
		}
		w.want(err, fault.Limited)
	})
}

// However two of the last methods are removed at once, one that can log in stays.
func TestRemoveLastMethodsRace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx := w.t.Context()
		for range 8 {
			for _, blocked := range []bool{false, true} {
				c := w.register("홍길동")
				w.adds(c, method.MobileID, "mip")
				if blocked { // a third one, which nobody can log in by
					w.adds(c, method.FinancialCert, "yeskey")
					w.check(w.svc.Block(ctx, c.Visitor, method.FinancialCert, ""))
				}
				var won atomic.Int64
				remove := func(m method.Method, provider string) func() {
					return func() {
						switch err := w.svc.RemoveMethod(ctx, c.Visitor, m, subject(c, m, provider)); {
						case err == nil:
							won.Add(1)
						case !fault.Is(err, fault.Conflict):
							w.t.Error(err)
						}
					}
				}
				atOnce(remove(method.Simple, "kakao"), remove(method.MobileID, "mip"))
				list, err := w.svc.Methods(ctx, c.Visitor)
				w.check(err)
				open := 0
				for _, l := range list.Linked {
					if !l.Blocked {
						open++
					}
				}
				if won.Load() != 1 || open != 1 {
					w.t.Fatalf("%d were removed, left is %+v", won.Load(), list.Linked)
				}
			}
		}
	})
}
