package stage

import (
	"testing"

	"github.com/anyid/anyid/internal/chromium"
)

// TestLogoutEverywhere signs out where a session is used at several sites: at this one, or at all of them, with a
// receipt of who has confirmed.
func TestLogoutEverywhere(t *testing.T) {
	t.Parallel()
	t.Run("this site", func(t *testing.T) { onEach(t, logoutHere) })
	t.Run("all sites", func(t *testing.T) { onEach(t, logoutEverywhere) })
}

// logoutHere: 이 사이트만. The session goes on, and the next login at the site asks first.
func logoutHere(t *testing.T, p *play) {
	a := p.actor(t, member, chromium.Options{})
	a.join()
	a.goToPortal()
	a.signedIn(a.s.PetitionURL)
	token := p.heard.last(t, "qnet", a.s.subject(t, a.Person, "qnet")).AccessToken

	a.Open(a.s.QNetURL)
	a.Follow("logout")
	a.at(a.s.BrokerURL + "/end_session")
	a.says("로그아웃하시겠습니까?", "큐넷(Q-Net)", "민원마당", "모든 사이트에서 로그아웃")
	a.reads("logout-this", "큐넷(Q-Net)에서만 로그아웃")
	a.Click("logout-this")
	a.Wait("logout-result")
	a.at(a.s.QNetURL + "/logged-out")
	a.Open(a.s.QNetURL + "/my")
	a.at(a.s.QNetURL + "/login")
	a.Open(a.s.PetitionURL + "/my")
	a.signedIn(a.s.PetitionURL)
	if status := a.s.userinfo(t, token); status != 401 {
		t.Errorf("Q-Net's token: userinfo answers %d", status)
	}
	a.Open(a.s.QNetURL + "/anyid/start?prompt=none")
	a.says("진행 중인 정부 통합로그인이 없습니다.")
	a.goToQNet()
	a.Wait("account-continue")
	a.says("어떤 계정으로 계속할까요?", string([]rune(a.Name)[:1])+"*"+string([]rune(a.Name)[2:])+" 님으로 계속")
	a.Follow("account-continue")
	a.Wait("signed-in-name")
	a.signedIn(a.s.QNetURL)
}

// logoutEverywhere: 모든 사이트. One of them does not want to hear of it: nobody waits for it, the receipt says that it is
// told again, and later it is.
func logoutEverywhere(t *testing.T, p *play) {
	a := p.actor(t, member, chromium.Options{})
	a.join()
	a.goToPortal()
	a.signedIn(a.s.PetitionURL)
	a.goToCounter()
	a.Wait("counter-in")
	subject := a.s.subject(t, a.Person, "counter")
	p.counter.breaks(subject, true)
	defer p.counter.breaks(subject, false)

	a.Open(a.s.PetitionURL)
	a.Follow("logout")
	a.says("로그아웃하시겠습니까?", "큐넷(Q-Net)", "민원마당", "창구")
	a.Click("logout-all")
	a.Wait("logout-result") // by way of the page with the portal's frame
	a.at(a.s.PetitionURL + "/logged-out")
	a.signedOutElsewhere(a.s.QNetURL)
	a.Open(a.s.PetitionURL + "/anyid/start")
	a.asked()

	a.Open(a.s.BrokerURL + "/logout/receipt")
	a.receipt(map[string]string{"큐넷(Q-Net)": "로그아웃 확인", "민원마당": "로그아웃 확인", "창구": "다시 시도 중"})
	a.says("사이트 알림 현황", "다음 시도", "자동으로 다시 알립니다.")
	if told, failed := p.counter.heard(subject); len(told) != 0 || failed == 0 {
		t.Errorf("the counter has confirmed %d, and refused %d", len(told), failed)
	}
	p.counter.breaks(subject, false)
	a.receipt(map[string]string{"큐넷(Q-Net)": "로그아웃 확인", "민원마당": "로그아웃 확인", "창구": "로그아웃 확인"})
	told, _ := p.counter.heard(subject)
	if len(told) == 0 {
		t.Fatal("the counter was not told")
	}
	token := told[0]
	if _, ok := token.Events["http://schemas.openid.net/event/backchannel-logout"]; !ok || token.Issuer != a.s.BrokerURL || token.Audience != "counter" || token.SID == "" || token.ID == "" {
		t.Errorf("told by %+v", token)
	}
}
