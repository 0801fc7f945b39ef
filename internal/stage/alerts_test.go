package stage

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/sim/inbox"
)

// TestAlerts: a login from another browser is told of, by mail and by the institution's messaging system; who says 내가 아님
// by the code in the message ends all sessions, blocks the method, and opens a case, which lifts the block when it is
// closed.
func TestAlerts(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, member, chromium.Options{})
		a.join()
		email := "a" + a.Phone + "@example.kr"
		must(t, a.s.App.Account.SetSettings(t.Context(), a.s.visitor(t, a.Person), person.Settings{Email: email}))
		b := a.elsewhere()
		b.login()
		mail, hook := a.told(email, "mail"), a.told(a.Phone, "webhook")
		for _, m := range []inbox.Message{mail, hook} {
			if !strings.Contains(m.Subject, "새로운 브라우저") || !strings.Contains(m.Text, "큐넷(Q-Net)") || !strings.Contains(m.Text, "간편인증") || !strings.Contains(m.Text, a.s.BrokerURL+"/not-me?code=") {
				t.Errorf("told by %s: %s\n%s", m.Channel, m.Subject, m.Text)
			}
			for _, personal := range []string{a.Name, a.BirthDate, a.ci()} {
				if strings.Contains(m.Subject+m.Text, personal) {
					t.Errorf("the message tells %q", personal)
				}
			}
		}

		// Whoever reads the mail, at a browser where nobody is signed in.
		reader := a.elsewhere()
		reader.Open(a.s.InboxURL + "/?to=" + email)
		reader.FollowSelector(`#inbox-message-1 a[href*="/not-me?code="]`)
		reader.at(a.s.BrokerURL + "/not-me?code=")
		link := reader.URL()
		reader.says("본인이 한 일인지 확인해 주세요.", "처음 보는 브라우저에서 로그인", "큐넷(Q-Net)", "간편인증", "127.0.0.1", "신고하면 이렇게 됩니다.")
		if shown := reader.Value("document.body.innerText"); strings.Contains(shown, a.Name) || strings.Contains(shown, a.Phone) {
			t.Error("the page tells whose it is")
		}
		reader.Reload()
		reader.Wait("not-me") // looking has done nothing
		for _, c := range []*actor{a, b} {
			c.Open(c.s.QNetURL + "/my")
			c.signedIn(c.s.QNetURL)
		}
		id, _ := a.s.kept(t, a.Person, "qnet")
		if cases, err := a.s.App.DB.Notices().CasesOf(t.Context(), id); err != nil || len(cases) != 0 {
			t.Errorf("%d cases, %v", len(cases), err)
		}

		reader.Follow("not-me")
		reader.Wait("not-me-done")
		reader.says("신고를 접수했습니다.", "간편인증")
		number := reader.Text("case-number")
		for _, c := range []*actor{a, b} {
			c.signedOutElsewhere(c.s.QNetURL)
			c.Open(c.s.PetitionURL + "/anyid/start")
			c.asked()
		}
		a.request("pass")
		a.approve()
		a.Wait("error-code")
		if got := a.Text("error-code"); got != string(pages.Blocked) {
			t.Errorf("error code %q", got)
		}
		open, err := a.s.App.DB.Notices().Cases(t.Context(), notice.Open, 1000)
		must(t, err)
		at := slices.IndexFunc(open, func(c notice.Case) bool { return c.ID == number })
		if at < 0 || open[at].Person != id || open[at].Kind != notice.NewBrowser || open[at].Site != "qnet" {
			t.Fatalf("the case %s is not among %+v", number, open)
		}

		// The code serves once.
		reader.Open(link)
		reader.says("이미 신고하셨습니다.")
		if reader.Has("not-me") {
			t.Error("it could be said again")
		}
		if status := a.s.notMe(t, link); status != http.StatusConflict {
			t.Errorf("said again: %d", status)
		}
		if status := a.s.notMe(t, link[:len(link)-3]+"abc"); status != http.StatusNotFound {
			t.Errorf("said with another code: %d", status)
		}
		if again, err := a.s.App.DB.Notices().CasesOf(t.Context(), id); err != nil || len(again) != 1 {
			t.Errorf("%d cases, %v", len(again), err)
		}

		must(t, a.s.App.Account.CloseCase(t.Context(), audit.Operator("kim"), number, "looked into"))
		a.Follow("choose-method")
		a.request("pass")
		a.approve()
		a.Wait("signed-in-name")
		a.signedIn(a.s.PetitionURL)
	})
}

// told waits for the message that came on the channel for an address.
func (a *actor) told(to, channel string) inbox.Message {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	for n := 1; ; n++ {
		messages, err := a.s.Inbox.Wait(ctx, to, n)
		must(a.t, err)
		for _, m := range messages {
			if m.Channel == channel {
				return m
			}
		}
	}
}

// notMe says 내가 아님 by a link, without looking, and returns the status.
func (s *Stage) notMe(t *testing.T, link string) int {
	t.Helper()
	page, code, _ := strings.Cut(link, "?")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, page, strings.NewReader(code))
	must(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.Client.Do(request)
	must(t, err)
	must(t, answer.Body.Close())
	return answer.StatusCode
}
