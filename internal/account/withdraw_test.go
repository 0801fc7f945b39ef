package account

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/person"
)

// messages takes what waits for people.
func (w *world) messages() (list []notice.Message) {
	w.t.Helper()
	items, err := w.db.Outbox().Lease(w.t.Context(), w.clock(), w.clock().Add(time.Minute), 1000, 1000)
	w.check(err)
	for _, i := range items {
		if i.Kind == outbox.Notice {
			list = append(list, w.message(i))
		}
	}
	return list
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		w.check(w.svc.SetSettings(ctx, c.Visitor, person.Settings{Email: "gildong@example.com", Locale: "en", Quiet: []string{"new_browser", "new_method"}}))
		w.check(w.agree(c, "qnet"))
		code := w.adds(c, method.MobileID, "mip")
		_, err := w.svc.Dispute(ctx, w.adds(c, method.FinancialCert, "yeskey"), Visitor{})
		w.check(err)
		w.pass(time.Second)
		logins := []login{
			w.login(c, method.Simple, "kakao", "qnet", true), w.login(c, method.MobileID, "mip", "minwon", true),
			w.login(c, method.Simple, "kakao", "quiet", false), w.login(c, method.Simple, "kakao", "qnet", false),
		}
		theirs := w.login(other, method.Simple, "kakao", "qnet", true)
		w.messages()
		before := len(w.events(c.Person))

		receipt, err := w.svc.Withdraw(ctx, c.Visitor)
		w.check(err)
		if !receipt.At.Equal(w.clock()) {
			w.t.Errorf("receipt %+v", receipt)
		}
		if told := w.told(receipt.Batch); !slices.Equal(told, []string{"minwon sid", "qnet sub"}) {
			w.t.Errorf("told %v", told)
		}
		farewell := w.messages()
		if len(farewell) != 1 || farewell[0].Kind != notice.Withdrawn || farewell[0].To != "gildong@example.com" || farewell[0].Locale != "en" || farewell[0].Link != "" {
			w.t.Errorf("farewell %+v", farewell)
		}
		for _, in := range logins {
			if session, tokens := w.lives(in); session || tokens {
				w.t.Errorf("a session (%t) or a token (%t) lives", session, tokens)
			}
		}
		if session, tokens := w.lives(theirs); !session || !tokens {
			w.t.Error("somebody else's session ended")
		}
		_, err = w.svc.Profile(ctx, c.Visitor)
		w.want(err, fault.NotFound)
		for what, n := range map[string]func() (int, error){
			"links":       func() (int, error) { l, err := w.svc.People.Links(ctx, c.Person); return len(l), err },
			"consents":    func() (int, error) { l, err := w.svc.People.Consents(ctx, c.Person); return len(l), err },
			"connections": func() (int, error) { l, err := w.svc.Grants.Store.Connections(ctx, c.Person); return len(l), err },
			"sessions":    func() (int, error) { l, err := w.svc.Sessions.Sessions(ctx, c.Person); return len(l), err },
			"alerts":      func() (int, error) { l, err := w.svc.Alerts.Alerts(ctx, c.Person); return len(l), err },
			"cases":       func() (int, error) { l, err := w.svc.Alerts.CasesOf(ctx, c.Person); return len(l), err },
		} {
			if n, err := n(); n != 0 || err != nil {
				w.t.Errorf("%d %s are left, %v", n, what, err)
			}
		}
		_, err = w.svc.Alert(ctx, code)
		w.want(err, fault.NotFound)
		_, err = w.svc.Dispute(ctx, code, Visitor{})
		w.want(err, fault.NotFound)
		if n := len(w.events(c.Person)); n != before+1 || w.events(c.Person)[0].Action != audit.PersonWithdrawn {
			w.t.Errorf("%d events, of them %+v", n-before, w.events(c.Person)[0])
		}
		_, err = w.svc.Withdraw(ctx, c.Visitor)
		w.want(err, fault.NotFound)

		// What is retained is found by the number only, and does not say whose it is.
		w.pass(100 * 24 * time.Hour)
		kept, err := w.svc.Retained(ctx, strings.ToLower(strings.ReplaceAll(receipt.Number, "-", " ")))
		w.check(err)
		if len(kept) != 1 || kept[0].Class != "consent" || kept[0].Basis != "보존하게 하는 법" || !kept[0].KeptAt.Equal(receipt.At) || !kept[0].DestroyAt.Equal(receipt.At.Add(365*24*time.Hour)) {
			w.t.Fatalf("retained %+v", kept)
		}
		var consents []keptConsent
		w.check(json.Unmarshal(kept[0].Content, &consents))
		if len(consents) != 2 || consents[0].Kind != consent.HandOver || consents[0].Recipient != "qnet" || consents[0].Digest != consent.Digest("제공") ||
			!consents[0].WithdrawnAt.Equal(receipt.At) || consents[1].Kind != consent.Terms || consents[1].Basis != "전자정부법" || consents[1].GivenAt.IsZero() {
			w.t.Errorf("consents %+v", consents)
		}
		if text := string(kept[0].Content); strings.Contains(text, c.Person) || strings.Contains(text, "홍길동") {
			w.t.Errorf("what is retained says whose it is: %s", text)
		}
		stored, err := w.svc.People.Retained(ctx, retainedID(receipt.Number, "consent"))
		if err != nil || strings.Contains(stored.Content, "qnet") || strings.Contains(stored.ID, receipt.Number) {
			w.t.Errorf("stored %+v, %v", stored, err)
		}
		_, err = w.svc.Retained(ctx, newNumber())
		w.want(err, fault.NotFound)
		_, err = w.svc.Retained(ctx, "7F3K")
		w.want(err, fault.Invalid)
		w.pass(265 * 24 * time.Hour)
		_, err = w.svc.Retained(ctx, receipt.Number)
		w.want(err, fault.NotFound)
	})
}

// Who registers again is somebody else; where nothing is retained there is no number.
func TestWithdrawAndRegisterAgain(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		w.svc.Retention.Consents = 0
		in := w.login(c, method.Simple, "kakao", "qnet", true)
		receipt, err := w.svc.Withdraw(ctx, c.Visitor)
		if err != nil || receipt.Number != "" || receipt.Batch == "" {
			w.t.Errorf("receipt %+v, %v", receipt, err)
		}
		again := w.register("홍길동")
		if list, _, err := w.svc.History(ctx, again.Visitor, Filter{}, audit.Cursor{}, 10); err != nil || len(list) != 1 {
			w.t.Errorf("the history of a new person: %+v, %v", list, err)
		}
		if uses, err := w.svc.Sites(ctx, again.Visitor); err != nil || len(uses) != 0 {
			w.t.Errorf("the sites of a new person: %+v, %v", uses, err)
		}
		if session, tokens := w.lives(in); session || tokens {
			w.t.Error("what the old person had is back")
		}
	})
}

// Whatever happens in somebody's name at the moment of their withdrawal comes before it and is undone, or comes after
// it and is refused. Every site that got anything is told. One of two withdrawals wins.
func TestWithdrawRace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx := w.t.Context()
		for round := range 6 {
			c := w.register(fmt.Sprintf("홍길동 %d", round))
			before := w.login(c, method.Simple, "kakao", "quiet", true)
			var (
				mu       sync.Mutex
				receipts []Receipt
				logins   []login
			)
			withdraw := func() {
				receipt, err := w.svc.Withdraw(ctx, c.Visitor)
				if err != nil {
					w.want(err, fault.NotFound)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				receipts = append(receipts, receipt)
			}
			comes := func(at string, sso bool) func() {
				return func() {
					in := w.tryLogin(c, method.Simple, "kakao", at, sso)
					if in.err != nil {
						w.want(in.err, fault.NotFound)
					}
					mu.Lock()
					defer mu.Unlock()
					logins = append(logins, in)
				}
			}
			may := func(do func() error) func() {
				return func() {
					if err := do(); err != nil {
						w.want(err, fault.NotFound)
					}
				}
			}
			link := w.link(c, method.MobileID, "mip")
			atOnce(withdraw, withdraw, comes("qnet", true), comes("qnet", false), comes("minwon", true), comes("minwon", true),
				may(func() error { return w.agree(c, "qnet") }),
				may(func() error { return w.svc.People.AddLink(ctx, link, person.Along{}) }),
				may(func() error { return w.svc.Block(ctx, c.Visitor, method.JointCert, "") }),
				may(func() error { return w.svc.SetSettings(ctx, c.Visitor, person.Settings{Locale: "en"}) }),
				may(func() error {
					_, err := w.svc.Logout.End(ctx, before.session.ID, logout.Why{Cause: logout.Citizen})
					return err
				}),
			)
			if len(receipts) != 1 {
				w.t.Fatalf("%d withdrawals succeeded", len(receipts))
			}
			told := w.told(receipts[0].Batch)
			for _, in := range append(logins, before) {
				if session, tokens := w.lives(in); session || tokens {
					w.t.Errorf("of a login a session (%t) or a token (%t) lives", session, tokens)
				}
			}
			for _, in := range logins {
				if in.session == nil { // it was not recorded, or its browser never got it
					continue
				}
				for _, at := range in.session.Used() {
					if !slices.Contains(told, at+" sid") && !slices.Contains(told, at+" sub") {
						w.t.Errorf("%s had a login, told were %v", at, told)
					}
				}
			}
			if n := w.actions(c.Person)[audit.PersonWithdrawn]; n != 1 {
				w.t.Errorf("%d events of the withdrawal", n)
			}
			_, err := w.svc.People.ByLink(ctx, method.MobileID, link.Subject)
			w.want(err, fault.NotFound)
			w.pass(time.Minute)
		}
		if text := w.log.String(); text != "" {
			w.t.Errorf("log: %s", text)
		}
	})
}
