package account

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

// of is what one person has, by the ids that the pages hand out.
type of struct {
	*citizen
	in      login
	site    string
	method  method.Method
	subject string
	session string // SessionView.ID
	blocked string // provider of method
	event   string // Record.ID
}

// Whoever has verified as one person gets nothing by the ids of another, whatever they call: there is no such thing, it
// changes nothing, and it is written down.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx := w.t.Context()
		settle := func(name, at string, m method.Method, provider string) of {
			o := of{citizen: w.register(name), site: at, method: m, blocked: "not-" + provider}
			w.adds(o.citizen, m, provider)
			w.check(w.svc.Block(ctx, o.Visitor, m, o.blocked))
			w.check(w.svc.SetSettings(ctx, o.Visitor, person.Settings{Email: provider + "@example.com"}))
			w.check(w.agree(o.citizen, at))
			w.pass(time.Second)
			o.in = w.login(o.citizen, method.Simple, "kakao", at, true)
			o.Session = o.in.session.ID
			o.subject = subject(o.citizen, m, provider)
			sessions, err := w.svc.ListSessions(ctx, o.Visitor)
			w.check(err)
			o.session = sessions[0].ID
			o.event = w.event(o.citizen, audit.SiteLogin).ID
			return o
		}
		people := []of{settle("홍길동", "qnet", method.MobileID, "mip"), settle("성춘향", "minwon", method.JointCert, "yessign")}

		calls := map[string]func(v Visitor, theirs of) error{
			"RevokeSite":    func(v Visitor, theirs of) error { _, err := w.svc.RevokeSite(ctx, v, theirs.site); return err },
			"EndSession":    func(v Visitor, theirs of) error { _, err := w.svc.EndSession(ctx, v, theirs.session); return err },
			"RemoveMethod":  func(v Visitor, theirs of) error { return w.svc.RemoveMethod(ctx, v, theirs.method, theirs.subject) },
			"Unblock":       func(v Visitor, theirs of) error { return w.svc.Unblock(ctx, v, theirs.method, theirs.blocked) },
			"DisputeRecord": func(v Visitor, theirs of) error { _, err := w.svc.DisputeRecord(ctx, v, theirs.event); return err },
			"EndSession by its own id": func(v Visitor, theirs of) error {
				_, err := w.svc.EndSession(ctx, v, theirs.in.session.ID)
				return err
			},
		}
		for i, me := range people {
			theirs := people[1-i]
			for name, call := range calls {
				before := [2]string{w.everything(people[0]), w.everything(people[1])}
				denied := [2]int{w.actions(me.Person)[audit.AccessDenied], w.actions(theirs.Person)[audit.AccessDenied]}
				err := call(me.Visitor, theirs)
				w.want(err, fault.NotFound)
				if err != nil && strings.Contains(err.Error(), theirs.Person) {
					w.t.Errorf("%s: %v", name, err)
				}
				if after := [2]string{w.everything(people[0]), w.everything(people[1])}; before != after {
					w.t.Errorf("%s changed something:\n%s\n%s", name, before, after)
				}
				if w.actions(me.Person)[audit.AccessDenied] != denied[0]+1 || w.actions(theirs.Person)[audit.AccessDenied] != denied[1] {
					w.t.Errorf("%s left events %v and %v", name, w.actions(me.Person), w.actions(theirs.Person))
				}
				w.pass(time.Millisecond)
				if e := w.events(me.Person)[0]; e.Action != audit.AccessDenied || e.Address != me.Address || e.Detail["what"] == "" {
					w.t.Errorf("%s: event %+v", name, e)
				}
			}
			// What lists or changes by the visitor alone, stays with the visitor.
			before := w.everything(theirs)
			for name, call := range map[string]func(ctx context.Context, v Visitor) error{
				"SetSettings": func(ctx context.Context, v Visitor) error {
					return w.svc.SetSettings(ctx, v, person.Settings{Locale: "en"})
				},
				"Block":     func(ctx context.Context, v Visitor) error { return w.svc.Block(ctx, v, method.FinancialCert, "") },
				"EndOthers": func(ctx context.Context, v Visitor) error { _, _, err := w.svc.EndOthers(ctx, v); return err },
				"Export":    func(ctx context.Context, v Visitor) error { _, err := w.svc.Export(ctx, v); return err },
			} {
				w.check(call(ctx, me.Visitor))
				if after := w.everything(theirs); after != before {
					w.t.Errorf("%s of one person changed another's:\n%s\n%s", name, before, after)
				}
			}
			for _, secret := range []string{theirs.Person, theirs.session, theirs.event, theirs.subject, theirs.attributes.Name, theirs.in.alert} {
				if strings.Contains(w.everything(me), secret) {
					w.t.Errorf("what is %s's is shown to %s", theirs.attributes.Name, me.attributes.Name)
				}
			}
		}
		if text := w.log.String(); text != "" {
			w.t.Errorf("log: %s", text)
		}
	})
}

// everything is what a person is shown, and what of theirs is alive.
func (w *world) everything(o of) string {
	w.t.Helper()
	ctx := w.t.Context()
	profile, err := w.svc.Profile(ctx, o.Visitor)
	w.check(err)
	sites, err := w.svc.Sites(ctx, o.Visitor)
	w.check(err)
	methods, err := w.svc.Methods(ctx, o.Visitor)
	w.check(err)
	sessions, err := w.svc.ListSessions(ctx, o.Visitor)
	w.check(err)
	history, _, err := w.svc.History(ctx, o.Visitor, Filter{}, audit.Cursor{}, 1000)
	w.check(err)
	cases, err := w.svc.Alerts.CasesOf(ctx, o.Person)
	w.check(err)
	session, tokens := w.lives(o.in)
	text, err := json.Marshal([]any{profile, sites, methods, sessions, history, cases, session, tokens})
	w.check(err)
	return string(text)
}
