package account

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
)

func TestExport(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c, other := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		w.check(w.svc.SetSettings(ctx, c.Visitor, person.Settings{Email: "gildong@example.com"}))
		w.check(w.agree(c, "qnet"))
		w.check(w.agree(other, "minwon"))
		_, err := w.svc.Dispute(ctx, w.adds(c, method.FinancialCert, "yeskey"), Visitor{})
		w.check(err)
		w.check(w.svc.Block(ctx, c.Visitor, method.JointCert, ""))
		w.pass(time.Second)
		in := w.login(c, method.Simple, "kakao", "qnet", true)
		w.login(other, method.Simple, "kakao", "minwon", true)

		text, err := w.svc.Export(ctx, c.Visitor)
		w.check(err)
		var all export
		w.check(json.Unmarshal(text, &all))
		if all.Format != "anyid-export/1" || !all.MadeAt.Equal(w.clock()) || !all.RegisteredAt.Equal(c.At) || all.Profile != c.attributes ||
			all.Settings.Email != "gildong@example.com" || all.FirstMethod != method.Simple {
			w.t.Errorf("profile: %s", text)
		}
		if !all.CI.Held || all.CI.Exported || !strings.Contains(all.CI.Reason, "연계정보") {
			w.t.Errorf("CI: %+v", all.CI)
		}
		if len(all.Methods) != 2 || all.Methods[0].Provider != "kakao" || all.Methods[1].Binding != "signed" || len(all.Blocks) != 2 {
			w.t.Errorf("methods %+v, blocks %+v", all.Methods, all.Blocks)
		}
		if len(all.Consents) != 2 || len(all.Consents[0].Items) != 2 || all.Consents[0].Purpose == "" || !all.Consents[0].WithdrawnAt.IsZero() {
			w.t.Errorf("consents %+v", all.Consents)
		}
		if len(all.Sites) != 1 || all.Sites[0].Name != "qnet 사이트" || all.Sites[0].Institution != "한국산업인력공단" || all.Sites[0].Logins != 1 || len(all.Sites[0].Items) != 2 {
			w.t.Errorf("sites %+v", all.Sites)
		}
		if len(all.Sessions) != 1 || all.Sessions[0].Origin.Address != c.Address || len(all.Sessions[0].Sites) != 1 {
			w.t.Errorf("sessions %+v", all.Sessions)
		}
		if len(all.Alerts) != 2 || all.Alerts[0].Origin.Browser == "" || len(all.Cases) != 1 || all.Cases[0].State != notice.Open || all.Alerts[1].Case != all.Cases[0].ID {
			w.t.Errorf("alerts %+v, cases %+v", all.Alerts, all.Cases)
		}
		counts := w.actions(c.Person)
		if len(all.History) != len(w.events(c.Person)) || counts[audit.DataExported] != 1 || w.event(c, audit.DataExported).Detail["format"] != all.Format {
			w.t.Errorf("history of %d, events %v", len(all.History), counts)
		}

		stored, err := w.svc.People.ByID(ctx, c.Person)
		w.check(err)
		for what, hidden := range map[string]string{
			"the CI": "the-ci", "the CI's index": stored.CIIndex, "sealed text": "k1.", "the person's id": c.Person, "a credential's index": "subject-",
			"a session's id": in.session.ID, "a session's handle": in.handle, "an alert's code": in.alert, "somebody else": "성춘향", "their site": "minwon",
		} {
			if strings.Contains(string(text), hidden) {
				w.t.Errorf("%s is in the export", what)
			}
		}

		// Nothing is null where there is nothing.
		bare := w.register("임꺽정")
		bare.Locale = "en"
		if text, err = w.svc.Export(ctx, bare.Visitor); err != nil || strings.Contains(string(text), "null") || !strings.Contains(string(text), "linking information (CI)") {
			w.t.Errorf("of a new person: %s, %v", text, err)
		}
		_, err = w.svc.Export(ctx, Visitor{Person: "nobody"})
		w.want(err, fault.NotFound)
	})
}
