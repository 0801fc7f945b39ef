package stage

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
)

// TestFAQ walks each answer of the frequently asked questions of Q-Net's guide, whose page has the answer.
func TestFAQ(t *testing.T) {
	t.Parallel()
	for _, faq := range []struct {
		n                int
		question, answer string
		of               role
		walk             func(*actor)
	}{
		{1, "신규 회원은 왜 Any-ID 사용자 등록 이후에 회원가입을 또 해야하나요?",
			"타기관의 홈페이지와는 다르게 큐넷은 회원가입 시 서비스와 관련된 고유정보를 생성하고 있으므로, 회원정보를 필수적으로 작성해야 합니다.",
			newcomer, (*actor).signsUpBesides},
		{2, "Any-ID 로그인 시 로그인 유효시간은 어떻게 되나요?",
			"큐넷 로그인 유효시간과 같으며, 60분입니다.",
			member, (*actor).staysAnHour},
		{3, "정부 통합로그인 사용/미사용 버튼은 어떤 역할을 하나요?",
			"정부 통합로그인 사용 버튼은 Any-ID의 메인 기능으로 큐넷 사이트 이용 중 타기관의 Any-ID 적용 사이트를 이용해야 할 경우 해당 버튼이 '사용'으로 되어있어야 동일 ID로 로그인을 할 수 있습니다. " +
				"해당 버튼을 '미사용'으로 할 경우 공동인증서 로그인 방식이 사라지게 되며, 타기관 사이트에서 별도로 Any-ID 로그인을 진행해야 합니다.",
			member, (*actor).switchesOff},
		{4, "기존 회원은 Any-ID 로그인 시에 간편인증 및 공동인증서, 금융인증서를 사용할 수 있나요?",
			"Any-ID 로그인 시 사용자 등록만 진행할 경우 바로 로그인이 가능합니다. 다만 신규 회원은 공동인증서 및 금융인증서로 회원가입을 할 경우 가입 완료 이후 별도로 해당 인증서를 큐넷에서 등록해야 합니다.",
			holder, (*actor).registersTheCertificate},
		{5, "Any-ID 로그인 페이지에서 큐넷 일반 로그인을 이용하려면 어떻게 해야 하나요?",
			"해당 페이지에서 '이용기관 로그인'을 선택하면 됩니다.",
			member, (*actor).logsInAtTheSite},
		{6, "Any-ID 회원가입 이용자가 개인정보수정, 원서접수 후 취소는 어떻게 할 수 있나요?",
			"간편인증으로 진행할 수 있습니다.",
			member, (*actor).provesOnceMore},
		{7, "Any-ID 로그인 시 한 가지 인증 수단에 대해 사용자 등록을 하면 나머지 인증 수단(간편인증 등)에 대해서는 사용자 등록 없이 자동으로 로그인이 되나요?",
			"케이스 별로 상이하며,",
			holder, (*actor).goesThroughTheMatrix},
	} {
		t.Run(strconv.Itoa(faq.n), func(t *testing.T) {
			onEach(t, func(t *testing.T, p *play) {
				a := p.actor(t, faq.of, chromium.Options{})
				a.Open(a.s.QNetURL + "/guide")
				a.reads("faq-"+strconv.Itoa(faq.n), faq.question, faq.answer)
				faq.walk(a)
			})
		})
	}
}

// signsUpBesides is the first answer: who is registered with Any-ID by now signs up at Q-Net all the same.
func (a *actor) signsUpBesides() {
	a.s.registered(a.t, a.Person) // at the portal, which asks for nothing more
	a.goToQNet()
	a.request("pass")
	a.approve()
	a.Wait("consent-allow")
	a.Follow("consent-allow")
	a.at(a.s.QNetURL + "/signup")
	a.Open(a.s.QNetURL + "/my")
	if a.Has("signed-in-name") {
		a.t.Error("signed in without a sign-up")
	}
	a.Open(a.s.QNetURL + "/signup")
	a.signUp()
	a.signedIn(a.s.QNetURL)
}

// staysAnHour is the second: the page shows 60 minutes, because the broker has said so.
func (a *actor) staysAnHour() {
	a.join()
	said := a.p.heard.last(a.t, "qnet", a.s.subject(a.t, a.Person, "qnet"))
	for where, seconds := range map[string]string{
		"the page": a.Value(`document.getElementById("session-remaining").dataset.seconds`), "the token answer": strconv.Itoa(said.SessionExpiresIn),
	} {
		if n, err := strconv.Atoi(seconds); err != nil || n > 3600 || n < 3000 { // on a machine that is busy
			a.t.Errorf("%s says %s seconds, want 3600", where, seconds)
		}
	}
	a.says("로그아웃까지", "시간 연장")
	a.goToPortal() // whose time is its own
	said = a.p.heard.last(a.t, "minwon", a.s.subject(a.t, a.Person, "minwon"))
	if said.SessionExpiresIn != 0 {
		a.t.Errorf("the portal is told %d seconds", said.SessionExpiresIn)
	}
}

// switchesOff is the third.
func (a *actor) switchesOff() {
	a.join()
	a.goToPortal() // no question
	a.signedIn(a.s.PetitionURL)
	a.Follow("logout")
	a.Click("logout-all")
	a.Wait("logout-result")

	toggle := func(want string) {
		a.t.Helper()
		a.asked()
		if got := a.Value(`document.getElementById("sso-toggle").getAttribute("aria-checked")`); got != want {
			a.t.Errorf("the toggle is %s, want %s", got, want)
		}
		if a.Has("method-joint-cert") != (want == "true") {
			a.t.Errorf("with the toggle %s, the joint certificate is offered: %t", want, a.Has("method-joint-cert"))
		}
	}
	a.goToQNet()
	toggle("true")
	a.says("정부 통합로그인", "사용")
	a.Follow("sso-toggle")
	toggle("false")
	a.says("미사용")
	a.request("kakao")
	a.approve()
	a.Wait("signed-in-name")
	a.signedIn(a.s.QNetURL)
	a.goToPortal()
	toggle("false") // which the browser remembers
	a.Follow("sso-toggle")
	toggle("true")
	a.Follow("sso-toggle")
	a.Follow("auth-cancel")
	a.goToPortal()
	toggle("false")
	elsewhere := a.elsewhere()
	elsewhere.goToPortal()
	if got := elsewhere.Value(`document.getElementById("sso-toggle").getAttribute("aria-checked")`); got != "true" {
		a.t.Errorf("in another browser the toggle is %s", got)
	}
}

// registersTheCertificate is the fourth: a member is logged in right after the registration; who has signed up with a
// certificate registers it under 마이페이지 › 개인정보관리 › 인증서 등록.
func (a *actor) registersTheCertificate() {
	member := a.p.actor(a.t, member, chromium.Options{})
	member.join()
	if got := member.Text("member-id"); got != member.QNetID {
		a.t.Errorf("signed in as the member %q, want %q", got, member.QNetID)
	}

	a.goToQNet()
	a.signByFile()
	a.Wait("register")
	a.number(a.ResidentNumber())
	a.agree()
	a.Follow("consent-allow")
	a.signUp()
	a.signedIn(a.s.QNetURL)
	a.says("공동인증서나 금융인증서로 가입했다면", "개인정보관리", "인증서 등록")
	a.Follow("my-certificates")
	a.says("인증서 등록", "공동인증서", "금융인증서")
	if a.Has("registered-joint_cert") {
		a.t.Error("registered before it was")
	}
	a.Follow("register-joint_cert")
	a.at(a.s.BrokerURL + "/login/")
	a.signByFile()
	a.Wait("registered-joint_cert")
	a.at(a.s.QNetURL + "/my/certificates")
	if a.Has("registered-financial_cert") {
		a.t.Error("the other certificate is registered too")
	}
}

// signByFile goes from the choice of a method through the joint certificate in the person's file.
func (a *actor) signByFile() {
	a.t.Helper()
	w := a.s.Wallet(a.Person)
	a.Follow("method-joint-cert")
	a.Upload("cert-files", w.PFX)
	a.shows("cert-entries", filepath.Base(w.PFX))
	a.Fill("cert-password", a.Password)
	a.Follow("cert-sign")
}

// logsInAtTheSite is the fifth.
func (a *actor) logsInAtTheSite() {
	a.goToQNet()
	a.says("이용기관 로그인", "아이디 로그인", "이용기관 큐넷(Q-Net) 로그인 페이지로 이동 합니다.(회원가입, 아이디,비밀번호 찾기)")
	a.Follow("method-site-login")
	a.at(a.s.QNetURL + "/login")
	a.says("회원가입", "아이디 찾기/비밀번호 재설정")
	a.Fill("login-id", a.QNetID)
	a.Fill("login-password", a.QNetSecret)
	a.Follow("login-submit")
	a.signedIn(a.s.QNetURL)
	a.reads("login-method", "아이디와 비밀번호")
}

// provesOnceMore is the sixth: personal data and the cancellation of an application want simple authentication, though
// there is a session by it, and each its own.
func (a *actor) provesOnceMore() {
	a.join()
	a.Follow("my-profile")
	a.says("개인정보를 고치기 전에 본인 확인을 한 번 더 합니다.", "간편인증으로 진행할 수 있습니다.")
	a.Follow("step-up")
	a.at(a.s.BrokerURL + "/login/")
	a.Wait("step-up")
	a.says("이 사이트는 추가 인증이 필요합니다.", "간편인증")
	a.request("pass")
	a.approve()
	a.Wait("profile-form")
	a.Fill("email", "member@example.kr")
	a.Follow("profile-submit")
	a.says("개인정보를 수정했습니다.", "member@example.kr")

	a.Open(a.s.QNetURL + "/exams")
	a.Follow("apply-cooking")
	a.Follow("application-1-cancel")
	a.says("원서접수를 취소하기 전에 본인 확인을 한 번 더 합니다.", "간편인증으로 진행할 수 있습니다.")
	a.Follow("step-up")
	a.request("pass")
	a.approve()
	a.Wait("application-cancel")
	a.Follow("application-cancel")
	a.says("원서접수를 취소했습니다.")
	a.reads("application-1-canceled", "취소됨")
}

// goesThroughTheMatrix is the seventh: the page has the guide's four tables, of which a person goes through four cells.
// Through all of them goes TestMatrixCells.
func (a *actor) goesThroughTheMatrix() {
	var rows [][]string
	must(a.t, json.Unmarshal([]byte(a.Value(`JSON.stringify([...document.querySelectorAll("#matrix tr")].map(r => [...r.cells].map(c => c.innerText.trim())))`)), &rows))
	guide := map[string]map[string]string{
		"모바일 신분증": {"간편인증": "불필요", "공동인증서": "필요", "금융인증서": "필요"},
		"간편인증":    {"모바일 신분증": "불필요", "공동인증서": "필요", "금융인증서": "필요"},
		"공동인증서":   {"모바일 신분증": "불필요", "간편인증": "불필요", "금융인증서": "필요"},
		"금융인증서":   {"모바일 신분증": "불필요", "간편인증": "불필요", "공동인증서": "필요"},
	}
	for _, row := range rows[1:] {
		want, ok := guide[row[0]]
		if !ok || len(row) != len(rows[0]) {
			a.t.Fatalf("the page has the row %q", row)
		}
		for i, cell := range row[1:] {
			if now := rows[0][i+1]; now != row[0] && cell != want[now] {
				a.t.Errorf("%s, then %s: %q, want %q", row[0], now, cell, want[now])
			}
		}
		delete(guide, row[0])
	}
	if len(guide) != 0 {
		a.t.Errorf("the page lacks %v", guide)
	}

	other := &actor{Person: a.p.person(a.t, holder), t: a.t, p: a.p, s: a.s}
	other.sits(chromium.Options{})
	for _, walk := range []struct {
		who  *actor
		by   func(*actor)
		asks bool
		link string
	}{
		{a, (*actor).simply, true, "register"},
		{a, (*actor).byWallet, false, "auto"},
		{a, (*actor).signByFile, true, "register"},
		{a, (*actor).signInCloud, true, "register"},
		{other, (*actor).signByFile, true, "register"},
		{other, (*actor).simply, false, "auto"},
	} {
		b := walk.who.elsewhere()
		b.goToPortal()
		b.asked()
		walk.by(b)
		if walk.asks {
			b.Wait("register")
			if b.Has("rrn-front") {
				b.number(b.ResidentNumber())
			}
			b.agree()
		}
		b.Wait("signed-in-name")
		b.signedIn(b.s.PetitionURL)
		_, links := b.s.known(a.t, b.Person)
		if last := links[len(links)-1]; len(links) > 1 && string(last.Rule) != walk.link {
			a.t.Errorf("linked by the rule %s, want %s", last.Rule, walk.link)
		}
	}
	for who, want := range map[*actor]int{a: 4, other: 2} {
		if _, links := a.s.known(a.t, who.Person); len(links) != want {
			a.t.Errorf("%d methods, want %d", len(links), want)
		}
	}
}

// simply goes from the choice of a method through simple authentication.
func (a *actor) simply() {
	a.t.Helper()
	a.request("kakao")
	a.approve()
}

// byWallet goes from the choice of a method through the mobile ID, by a push to the wallet.
func (a *actor) byWallet() {
	a.t.Helper()
	a.askWallet("mip", authn.Push)
	a.openWallet(authn.Push).present(a, 0)
}

// signInCloud goes from the choice of a method through the financial certificate.
func (a *actor) signInCloud() {
	a.t.Helper()
	a.Follow("method-financial-cert")
	a.Wait("fincert-start")
	a.Click("fincert-start")
	frame := a.Frame("dialog iframe")
	frame.Click("fincert-cert-" + a.atSigner())
	frame.Fill("fincert-pin", a.PIN)
	frame.Click("fincert-confirm")
}
