package stage

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/pages"
)

// TestManage is 사용자 관리, page by page, as a citizen uses it.
func TestManage(t *testing.T) {
	t.Parallel()
	for name, walk := range map[string]func(*testing.T, *play){
		"register": registerOnItsOwn, "profile": manageProfile, "sites and sessions": manageSites, "history and export": manageHistory,
		"methods": manageMethods, "warning": warnBeforeTheEnd,
	} {
		t.Run(name, func(t *testing.T) { onEach(t, walk) })
	}
}

// registerOnItsOwn is 사용자 등록 on the page of methods: afterwards a login asks for nothing but what the site is given.
func registerOnItsOwn(t *testing.T, p *play) {
	a := p.actor(t, member, chromium.Options{})
	a.goToQNet()
	a.Follow("link-register")
	a.says("정부 통합인증(Any-ID) 사용자 등록", "본인이 원하는 어떠한(Any) 민간, 공공의 인증수단으로 다양한 디지털정부 서비스를 1회의 인증만으로도 이용할 수 있습니다.")
	if a.Has("method-site-login") || a.Has("sso-toggle") {
		t.Error("the page is a login's")
	}
	a.request("kakao")
	a.approve()
	a.Wait("register")
	a.says("서비스 이용약관", "개인정보처리방침", "등록 안함", "등록 완료")
	a.agree()
	a.Wait("registered")
	a.at(a.s.BrokerURL + "/registered")
	if id, connected := a.s.kept(t, a.Person, "qnet"); id == "" || connected {
		t.Errorf("registered %q, connected %t", id, connected)
	}
	a.Follow("link-manage") // the proof serves
	if got := a.Text("manage-name"); got != a.Name {
		t.Errorf("shows the registration of %q", got)
	}
	a.goToQNet()
	a.asked() // but is no login
	a.request("toss")
	a.approve()
	a.Wait("consent-allow")
	a.Follow("consent-allow")
	a.signedIn(a.s.QNetURL)
}

// manageProfile is 정보 수정.
func manageProfile(t *testing.T, p *play) {
	a := p.actor(t, newcomer, chromium.Options{})
	a.s.registered(t, a.Person)
	a.identify("/profile")
	a.says("정보 수정", a.Name)
	a.reads("profile-name", a.Name)
	a.Fill("email", "nobody at all")
	a.Follow("profile-save")
	if a.Status() != http.StatusUnprocessableEntity || a.Text("email-error") == "" {
		t.Errorf("status %d", a.Status())
	}
	email := "m" + a.Phone + "@example.kr"
	a.Fill("email", email)
	a.Click("notice-new-method")
	a.Click("locale-en")
	a.Follow("profile-save")
	a.Wait("saved")
	if got := a.Value("document.documentElement.lang"); got != "en" {
		t.Errorf("the next page is in %q", got)
	}
	held, err := a.s.App.Account.Profile(t.Context(), a.s.visitor(t, a.Person))
	must(t, err)
	if s := held.Settings; s.Email != email || s.Locale != "en" || !slices.Equal(s.Quiet, []string{"new_method"}) {
		t.Errorf("settings: %+v", s)
	}
	a.Click("locale-ko")
	a.Follow("profile-save")
	a.says("정보 수정")
	if got := a.Value(`[document.getElementById("email").value, document.getElementById("notice-new-browser").checked, document.getElementById("notice-new-method").checked].join()`); got != email+",true,false" {
		t.Errorf("the page shows %s", got)
	}

	// What was verified changes by a proof, and only one's own.
	stranger := p.person(t, newcomer)
	a.Follow("profile-prove")
	a.Follow("verify-simple")
	own := a.Person
	a.Person = stranger
	a.Click("provider-toss")
	a.Fill("name", stranger.Name)
	a.Fill("birthdate", stranger.BirthDate)
	a.Fill("phone", stranger.Phone)
	a.Follow("request-auth")
	a.Wait("auth-complete")
	a.approve()
	a.Wait("error-code") // by itself
	if got := a.Text("error-code"); got != string(pages.OtherPerson) {
		t.Errorf("error code %q", got)
	}
	if strings.Contains(a.Value("document.body.innerText"), own.Name) {
		t.Error("the page says whom it expected")
	}
	a.Person = own
	a.Follow("choose-method")
	a.Follow("verify-simple")
	a.proveSelf()
	a.at(a.s.BrokerURL + "/manage/profile")
	a.reads("profile-name", own.Name)
}

// manageSites is 이용사이트 현황 and 로그인 기기: a session elsewhere is ended, then the use of a site.
func manageSites(t *testing.T, p *play) {
	a := p.actor(t, member, chromium.Options{})
	a.join()
	b := a.elsewhere()
	b.login()
	token := p.heard.last(t, "qnet", a.s.subject(t, a.Person, "qnet")).AccessToken

	a.identify("/sessions")
	a.says("로그인 기기", "지금 이 브라우저", "큐넷(Q-Net)")
	sessions, err := a.s.App.Account.ListSessions(t.Context(), a.s.visitor(t, a.Person))
	must(t, err)
	if len(sessions) != 2 {
		t.Fatalf("%d sessions", len(sessions))
	}
	other := a.Value(`[...document.querySelectorAll("section.entry")].find(e => !e.querySelector("#session-current")).querySelector("button").id`)
	a.Follow(other)
	a.Wait("ended")
	a.receipt(map[string]string{"큐넷(Q-Net)": "로그아웃 확인"})
	b.signedOutElsewhere(b.s.QNetURL)
	b.Open(b.s.PetitionURL + "/anyid/start?prompt=none")
	b.at(b.s.PetitionURL)
	b.says("진행 중인 정부 통합로그인이 없습니다.")
	b.goToQNet()
	b.asked()
	if status := a.s.userinfo(t, token); status != http.StatusUnauthorized {
		t.Errorf("the token of the other session: userinfo answers %d", status)
	}
	a.goToPortal() // this one goes on
	a.signedIn(a.s.PetitionURL)
	a.Open(a.s.QNetURL + "/my")
	a.signedIn(a.s.QNetURL)

	a.goToQNet() // a token of this session
	a.signedIn(a.s.QNetURL)
	token = p.heard.last(t, "qnet", a.s.subject(t, a.Person, "qnet")).AccessToken
	if status := a.s.userinfo(t, token); status != http.StatusOK {
		t.Errorf("userinfo answers %d before", status)
	}
	a.Open(a.s.BrokerURL + "/manage/sites")
	a.says("이용사이트 현황", "큐넷(Q-Net)", "한국산업인력공단(시연)", "민원마당", "고용노동부(시연)", "이름")
	a.Follow("site-qnet-revoke")
	a.says("이 사이트의 이용을 해지하시겠습니까?")
	a.Follow("revoke-confirm")
	a.Wait("revoked")
	a.receipt(map[string]string{"큐넷(Q-Net)": "로그아웃 확인"})
	if a.Has("site-qnet-revoke") || !a.Has("site-minwon-revoke") {
		t.Error("the list has another site less")
	}
	if status := a.s.userinfo(t, token); status != http.StatusUnauthorized {
		t.Errorf("userinfo answers %d afterwards", status)
	}
	a.signedOutElsewhere(a.s.QNetURL)
	a.Open(a.s.PetitionURL + "/my")
	a.signedIn(a.s.PetitionURL)
	a.goToQNet() // the session goes on, the consent does not
	a.Wait("consent-allow")
	a.at(a.s.BrokerURL + "/consent/")
	a.Follow("consent-allow")
	a.signedIn(a.s.QNetURL)
}

// manageHistory is 인증 이력 and 내 정보 내려받기.
func manageHistory(t *testing.T, p *play) {
	a := p.actor(t, member, chromium.Options{})
	a.join()
	a.goToPortal()
	a.signedIn(a.s.PetitionURL)
	browser := a.Value(`navigator.userAgent.includes("Chrome") ? "Chrome" : ""`)
	a.identify("/history")
	a.says("인증 이력", "사이트 로그인", "큐넷(Q-Net)", "민원마당", "사용자 등록", "간편인증", "카카오", "127.0.0.1", browser, "성공", "변경")
	a.Click("history-filter")
	a.Value(`document.getElementById("site").value = "qnet"`)
	a.Value(`document.getElementById("outcome").value = "success"`)
	a.Follow("history-apply")
	if rows := a.Value(`document.querySelector("tbody").innerText`); !strings.Contains(rows, "큐넷(Q-Net)") || strings.Contains(rows, "민원마당") || strings.Contains(rows, "사용자 등록") {
		t.Errorf("the filter lets through %s", rows)
	}
	chosen := a.Value(`location.search`)

	// fetched is a file that the page links to, without its being laid into a folder.
	fetched := func(link string) string {
		return a.Value(`(r => { r.open("GET", document.getElementById("` + link + `").href, false); r.send(); return r.status + "\n" + r.getResponseHeader("Content-Disposition") + "\n" + r.responseText })(new XMLHttpRequest())`)
	}
	head := func(file, kind string) string {
		t.Helper()
		lines := strings.SplitN(file, "\n", 3)
		if len(lines) != 3 || lines[0] != "200" || !strings.Contains(lines[1], "attachment") || !strings.Contains(lines[1], "."+kind) {
			t.Fatalf("%s: %.200s", kind, file)
		}
		return lines[2]
	}
	var records []account.Record
	must(t, json.Unmarshal([]byte(head(fetched("history-json"), "json")), &records))
	table, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(head(fetched("history-csv"), "csv"), "\ufeff"))).ReadAll()
	must(t, err)
	if len(records) == 0 || len(table) != len(records)+1 {
		t.Fatalf("%d records, %d lines, by %s", len(records), len(table), chosen)
	}
	for _, r := range records {
		if r.Site != "qnet" || r.Outcome != account.Success {
			t.Errorf("the filter lets through %+v", r)
		}
	}
	if !slices.ContainsFunc(records, func(r account.Record) bool {
		return r.Action == audit.SiteLogin && r.SiteName == "큐넷(Q-Net)" && r.Method == method.Simple && r.Provider == "kakao" && r.Address == "127.0.0.1" && strings.Contains(r.Browser, browser)
	}) {
		t.Errorf("no login at Q-Net in %+v", records)
	}
	for _, line := range table[1:] {
		if text := strings.Join(line, "|"); !strings.Contains(text, "큐넷(Q-Net)") || strings.Contains(text, "민원마당") {
			t.Errorf("the table has %s", text)
		}
	}
	if text := fmt.Sprint(table); !strings.Contains(text, "간편인증") || !strings.Contains(text, browser) {
		t.Errorf("the table lacks method or browser: %s", text)
	}
	a.Follow("history-reset")
	a.says("민원마당")

	a.Open(a.s.BrokerURL + "/manage/export")
	a.says("내 정보 내려받기", "JSON")
	file := head(a.Value(`(r => { r.open("POST", "/manage/export", false); r.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); r.send(); return r.status + "\n" + r.getResponseHeader("Content-Disposition") + "\n" + r.responseText })(new XMLHttpRequest())`), "json")
	var exported struct {
		Format  string
		Profile struct{ Name string }
		Methods []any
		Sites   []struct{ ID string }
		History []account.Record
	}
	must(t, json.Unmarshal([]byte(file), &exported))
	if exported.Format == "" || exported.Profile.Name != a.Name || len(exported.Methods) != 1 || len(exported.Sites) != 2 || len(exported.History) < len(records) {
		t.Errorf("exported: %+v", exported)
	}
	held, _ := a.s.known(t, a.Person)
	for _, secret := range append(inForms(a.ci()), held.ID, held.CIIndex, held.SealedCI) {
		if strings.Contains(file, secret) {
			t.Errorf("the file has %q", secret)
		}
	}
	a.Open(a.s.BrokerURL + "/manage/history")
	a.says("내 정보 내려받기") // is history too
}

// manageMethods is 인증수단: a certificate is added to a registration by simple authentication and removed; the last one
// stays; and what is blocked logs nobody in until it is lifted.
func manageMethods(t *testing.T, p *play) {
	a := p.actor(t, holder, chromium.Options{})
	a.s.registered(t, a.Person)
	a.identify("/methods")
	a.says("인증수단", "간편인증", "등록됨", "최초 사용자 등록")
	a.reads("method-last-1", "마지막 인증수단이라 삭제할 수 없습니다.")
	a.Follow("method-simple-block")
	a.Follow("block-confirm")
	a.Wait("block-in-use") // by which they have just proved themselves
	a.Follow("block-cancel")
	a.Follow("method-add")
	a.says("인증수단 추가 등록")
	a.signByFile()
	a.Wait("register")
	a.number(a.ResidentNumber())
	a.agree()
	a.Wait("done")
	a.at(a.s.BrokerURL + "/manage/methods")
	a.says("인증수단을 등록했습니다.", "본인이 추가 등록")
	if _, links := a.s.known(t, a.Person); len(links) != 2 || links[1].Method != method.JointCert {
		t.Fatalf("%+v", links)
	}
	a.Follow("method-remove-2")
	a.says("이 인증수단을 삭제하시겠습니까?", "공동인증서")
	a.Follow("remove-cancel")
	a.Follow("method-remove-2")
	a.Follow("remove-confirm")
	a.Wait("done")
	if _, links := a.s.known(t, a.Person); len(links) != 1 || links[0].Method != method.Simple {
		t.Fatalf("%+v", links)
	}
	a.Wait("method-last-1")

	a.Follow("manage-close")
	a.identifyByIPIN("/methods")
	a.Follow("method-simple-block")
	a.Click("block-all")
	a.Follow("block-confirm")
	a.Wait("done")
	a.says("차단했습니다.", "차단됨")

	b := a.elsewhere()
	b.goToPortal()
	b.request("toss")
	b.approve()
	b.Wait("error-code")
	if got := b.Text("error-code"); got != string(pages.Blocked) {
		t.Errorf("error code %q", got)
	}
	b.says("본인이 차단한 인증수단입니다.")

	a.Reload()
	a.Follow("manage-close")
	a.identifyByIPIN("/methods") // a proof that is minutes old would not do
	a.Follow("method-unblock-1")
	a.Wait("done")
	a.says("차단을 해제했습니다.")
	b.Follow("choose-method")
	b.request("toss")
	b.approve()
	b.Wait("signed-in-name")
	b.signedIn(b.s.PetitionURL)
	a.Open(a.s.BrokerURL + "/manage/history")
	a.says("인증 거부", "차단된 인증수단", "인증수단 등록", "인증수단 삭제", "인증수단 차단", "인증수단 차단 해제")
}

// identifyByIPIN proves who the person is by their i-PIN, and shows a page of 사용자 관리.
func (a *actor) identifyByIPIN(page string) {
	a.t.Helper()
	a.Open(a.s.BrokerURL + "/manage" + page)
	a.Follow("verify-ipin")
	a.Wait("confirm-ipin") // by itself
	of := a.s.atCarrier(a.t, a.Person).IPIN
	a.Fill("ipin-id", of.ID)
	a.Fill("ipin-password", of.Password)
	a.Follow("confirm-ipin")
	a.Wait("session")
	a.at(a.s.BrokerURL + "/manage" + page)
}

// warnBeforeTheEnd sets the page's clock to shortly before the end: the page warns, goes on by 연장, and ends by 로그아웃.
// The broker's time is the truth: a page whose clock is wrong ends nothing.
func warnBeforeTheEnd(t *testing.T, p *play) {
	a := p.actor(t, newcomer, chromium.Options{})
	a.s.registered(t, a.Person)
	a.identify("")
	a.says("정부 통합인증(Any-ID) 사용자 관리")
	var seconds, warn int
	_, err := fmt.Sscan(a.Value(`document.getElementById("session").dataset.seconds + " " + document.getElementById("session").dataset.warn`), &seconds, &warn)
	if err != nil || seconds <= 540 || seconds > 600 || warn < 20 {
		t.Fatalf("%d seconds to the end, with a warning at %d: %v", seconds, warn, err)
	}
	forward := func(seconds int) {
		a.Value(fmt.Sprintf(`(now => { Date.now = () => now() + %d })(Date.now.bind(Date))`, seconds*1000))
	}
	opened := func(want bool) {
		t.Helper()
		a.eventually(`document.getElementById("session-warning").open`, fmt.Sprint(want))
	}
	opened(false)
	forward(seconds - warn + 15)
	opened(true)
	a.says("연장", "로그아웃")
	a.reads("session-left", "초")
	a.Click("session-extend")
	opened(false)
	forward(600 - 30) // the broker has told the page of the new end
	opened(true)
	a.Follow("session-logout")
	a.at(a.s.BrokerURL + "/manage/closed")
	a.Open(a.s.BrokerURL + "/manage")
	a.Follow("verify-simple")
	a.proveSelf()
	a.Value(`document.getElementById("manage-name").id = "manage-name-before"`)
	forward(601)
	a.Wait("manage-name") // on a new page
	a.at(a.s.BrokerURL + "/manage")
}
