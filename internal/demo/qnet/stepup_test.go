package qnet_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/demo/optest"
)

// memberIn returns a browser in which Kim, a member, is signed in by ID and password.
func (w *world) memberIn() *http.Client {
	w.t.Helper()
	b := optest.Browser(w.t)
	w.post(b, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"korea123@"}}).want(w.t, 200, "/my")
	return b
}

// kim are the claims of the member at the broker.
func kim() map[string]any { return map[string]any{"sub": "subject-1", "name": "김철수", "ci": ci} }

const simple = "urn:anyid:method:simple"

func TestEditingPersonalDataAsksForSimpleAuth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Set(optest.Knobs{Claims: kim()})
	b := w.memberIn()
	form := url.Values{"name-en": {"KIM CHULSOO"}, "phone": {"010-0000-0001"}, "email": {"kim@example.kr"}}
	w.get(b, "/my/profile").want(t, 200, "/my/profile", `id="step-up" href="/anyid/confirm?for=profile"`, "간편인증으로 진행할 수 있습니다.")
	w.post(b, "/my/profile", form).want(t, 403, "/my/profile", `id="step-up"`)
	// Being signed in with Any-ID is no fresh proof.
	other := optest.Browser(t)
	w.get(other, "/anyid/start").want(t, 200, "/my")
	w.get(other, "/my/profile").want(t, 200, "/my/profile", `id="step-up"`)

	w.get(b, "/anyid/confirm?for=profile").want(t, 200, "/my/profile", `id="profile-form"`)
	if sent := w.provider.Last("authorize"); sent.Get("prompt") != "login" || sent.Get("max_age") != "0" || sent.Get("acr_values") != simple {
		t.Errorf("authorization request: %v", sent)
	}
	bad := maps.Clone(form)
	bad["phone"], bad["email"], bad["name-en"] = []string{"12"}, []string{"kim@"}, []string{"김"}
	w.post(b, "/my/profile", bad).want(t, 422, "/my/profile", `id="phone-error"`, `id="email-error"`, `id="name-en-error"`, `value="kim@"`)
	w.post(b, "/my/profile", form).want(t, 200, "/my?news=profile", "개인정보를 수정했습니다", "01000000001", "kim@example.kr", "(KIM CHULSOO)", "아이디와 비밀번호")
	// The proof is used up.
	w.post(b, "/my/profile", form).want(t, 403, "/my/profile", `id="step-up"`)
	// And another one ends by itself.
	w.get(b, "/anyid/confirm?for=profile").want(t, 200, "/my/profile", `id="profile-form"`)
	w.clock.Add(11 * time.Minute)
	w.get(b, "/my/profile").want(t, 200, "/my/profile", `id="step-up"`)
	// The logout of a login by password reaches the broker too, since a proof was made there.
	w.post(b, "/logout", nil)
	if sent := w.provider.Last("end-session"); sent.Get("id_token_hint") == "" {
		t.Error("the broker was not asked to log out")
	}
}

func TestCancellingAnApplicationAsksForSimpleAuth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Set(optest.Knobs{Claims: kim()})
	b := w.memberIn()
	w.post(b, "/exams/cooking/apply", nil).want(t, 200, "/my?news=applied", "한식조리기능사", `id="application-1-cancel"`)
	w.post(b, "/exams/cooking/apply", nil).want(t, 200, "/my?news=applied")
	w.post(b, "/exams/electricity/apply", nil).want(t, 200, "/my?news=applied", `id="application-2-cancel"`)
	w.post(b, "/exams/nothing/apply", nil).want(t, 404, "/exams/nothing/apply")
	w.get(b, "/exams").want(t, 200, "/exams", `id="applied-cooking"`, `id="applied-electricity"`, `id="apply-information"`)
	w.get(b, "/my/applications/1/cancel").want(t, 200, "/my/applications/1/cancel", `for=cancel-1`, "간편인증으로 진행할 수 있습니다.")
	w.post(b, "/my/applications/1/cancel", nil).want(t, 403, "/my/applications/1/cancel", `id="step-up"`)
	w.get(b, "/anyid/confirm?for=cancel-1").want(t, 200, "/my/applications/1/cancel", `id="application-cancel"`)
	// The proof is for this application, and for nothing else.
	w.post(b, "/my/applications/2/cancel", nil).want(t, 403, "/my/applications/2/cancel", `id="step-up"`)
	w.get(b, "/my/profile").want(t, 200, "/my/profile", `id="step-up"`)
	w.post(b, "/my/applications/1/cancel", nil).want(t, 200, "/my?news=canceled", "원서접수를 취소했습니다", `id="application-1-canceled"`, `id="application-2-cancel"`)
	w.post(b, "/my/applications/1/cancel", nil).want(t, 404, "/my/applications/1/cancel", "이미 취소했거나")
	w.serve() // kept over a restart
	b = w.memberIn()
	w.get(b, "/my").want(t, 200, "/my", `id="application-1-canceled"`)
	w.post(b, "/exams/cooking/apply", nil).want(t, 200, "/my?news=applied", `id="application-3-cancel"`)
	// Another member's application is none.
	w.provider.Set(optest.Knobs{Claims: newcomer()})
	other := optest.Browser(t)
	w.get(other, "/anyid/start")
	w.postSignup(other, "/signup", goodForm(), nil).want(t, 200, "/my?news=joined")
	w.get(other, "/my/applications/2/cancel").want(t, 404, "/my/applications/2/cancel")
}

func TestProofsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(claim string, value any) func(map[string]any) {
		return func(c map[string]any) { c[claim] = value }
	}
	failed := func(code string) func(url.Values) {
		return func(a url.Values) { a.Del("code"); a.Set("error", code) }
	}
	for name, tc := range map[string]struct {
		knobs  optest.Knobs
		status int
		at     string
		text   string
	}{
		"another method":   {optest.Knobs{IDToken: set("acr", "urn:anyid:method:mobile_id")}, 403, "/anyid/callback", "간편인증으로 확인하지 않았습니다"},
		"a level":          {optest.Knobs{IDToken: set("acr", "urn:anyid:acr:2")}, 403, "/anyid/callback", "간편인증을 골라"},
		"not met":          {optest.Knobs{Answer: failed("unmet_authentication_requirements")}, 403, "/anyid/callback", "간편인증으로 확인하지 않았습니다"},
		"an older proof":   {optest.Knobs{IDToken: set("auth_time", w.clock.Now().Add(-time.Hour).Unix())}, 403, "/anyid/callback", "본인 확인을 새로 해야 합니다"},
		"another person":   {optest.Knobs{Claims: newcomer()}, 403, "/anyid/callback", "본인이 아닙니다"},
		"subject of other": {optest.Knobs{Claims: map[string]any{"sub": "subject-1", "ci": strings.Repeat("X", 86) + "=="}}, 403, "/anyid/callback", "본인이 아닙니다"},
		"declined":         {optest.Knobs{Answer: failed("access_denied")}, 200, "/my/profile?news=declined", "본인 확인을 취소했습니다"},
		"wrong nonce":      {optest.Knobs{IDToken: set("nonce", "x")}, 400, "/anyid/callback", "확인하지 못했습니다"},
		"broker away":      {optest.Knobs{TokenStatus: 500}, 503, "/anyid/callback", "연결할 수 없습니다"},
	} {
		b := w.memberIn()
		if tc.knobs.Claims == nil {
			tc.knobs.Claims = kim()
		}
		w.provider.Set(tc.knobs)
		got := w.get(b, "/anyid/confirm?for=profile")
		if got.status != tc.status || !strings.HasPrefix(got.path, tc.at) || !strings.Contains(got.body, tc.text) || !strings.Contains(got.body, signedIn+"김철수<") {
			t.Errorf("%s: %d at %s\n%s", name, got.status, got.path, got.body)
		}
		w.get(b, "/my/profile").want(t, 200, "/my/profile", `id="step-up"`)
	}
	// The proof comes back to a session that is over.
	w.provider.Set(optest.Knobs{Claims: kim(), IDToken: func(map[string]any) { w.clock.Add(time.Hour) }})
	w.get(w.memberIn(), "/anyid/confirm?for=profile").want(t, 200, "/login?notice=expired")
	// Without a session there is nothing to confirm, and a plain login cannot pass for a proof.
	w.provider.Set(optest.Knobs{Claims: kim()})
	w.get(optest.Browser(t), "/anyid/confirm?for=profile").want(t, 200, "/login?notice=needed")
	b := w.memberIn()
	w.get(b, "/anyid/start?next=confirm-profile").want(t, 200, "/my")
	w.get(b, "/my/profile").want(t, 200, "/my/profile", `id="step-up"`)
	for _, purpose := range []string{"", "x", "cancel-0", "cancel-01", "cancel-x", "certificate-simple"} {
		if got := w.get(b, "/anyid/confirm?for="+purpose); got.status != 404 {
			t.Errorf("%q: %d", purpose, got.status)
		}
	}
}

func TestGroupsHaveNoPersonalPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	group := w.post(b, "/login", url.Values{"tab": {"group"}, "login-id": {"school01"}, "login-password": {"group456!"}})
	group.want(t, 200, "/my")
	if strings.Contains(group.body, "개인정보관리") {
		t.Error("a group is offered personal pages")
	}
	for _, path := range []string{"/my/profile", "/my/certificates", "/my/applications/1/cancel", "/anyid/confirm?for=profile"} {
		w.get(b, path).want(t, 403, path, "개인 회원이 이용하는")
	}
	w.post(b, "/exams/cooking/apply", nil).want(t, 403, "/exams/cooking/apply")
}

func TestRegisteringACertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	w.get(b, "/anyid/start")
	w.postSignup(b, "/signup", goodForm(), nil).want(t, 200, "/my?news=joined", "그 인증서를 등록해 주세요", "개인정보관리", `id="my-certificates" href="/my/certificates"`)
	w.get(b, "/my/certificates").want(t, 200, "/my/certificates", `id="register-joint_cert"`, `id="register-financial_cert"`, "등록되어 있지 않습니다")
	w.get(b, "/anyid/confirm?for=certificate-joint_cert").want(t, 200, "/my/certificates?news=registered", "인증서를 등록했습니다", `id="registered-joint_cert">2026-11-22 14:30`)
	if got := w.provider.Last("authorize").Get("acr_values"); got != "urn:anyid:method:joint_cert" {
		t.Errorf("acr_values %q", got)
	}
	w.provider.Set(optest.Knobs{Claims: newcomer(), IDToken: func(c map[string]any) { c["acr"] = "urn:anyid:method:joint_cert" }})
	if got := w.get(b, "/anyid/confirm?for=certificate-financial_cert"); got.status != 403 || !strings.Contains(got.body, "금융인증서로 확인하지 않았습니다") {
		t.Errorf("another certificate: %d", got.status)
	}
	w.provider.Set(optest.Knobs{Claims: newcomer(), Answer: func(a url.Values) { a.Del("code"); a.Set("error", "access_denied") }})
	w.get(b, "/anyid/confirm?for=certificate-financial_cert").want(t, 200, "/my/certificates?news=declined", "본인 확인을 취소했습니다")
	// Registering again moves the day.
	w.clock.Add(time.Minute)
	w.provider.Set(optest.Knobs{Claims: newcomer()})
	w.get(b, "/anyid/confirm?for=certificate-joint_cert").want(t, 200, "/my/certificates?news=registered", `id="registered-joint_cert">2026-11-22 14:31`)
	content, err := os.ReadFile(filepath.Join(w.dir, "members.json"))
	if err != nil || strings.Count(string(content), `"joint_cert"`) != 1 || !json.Valid(content) {
		t.Errorf("kept: %s %v", content, err)
	}
}

func TestBackChannelLogoutEndsLoginsAndSignUps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tell := func(sub, sid string) {
		t.Helper()
		res, err := http.PostForm(w.url+"/logout/backchannel", url.Values{"logout_token": {w.provider.LogoutToken(sub, sid)}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	joining := optest.Browser(t)
	w.get(joining, "/anyid/start").want(t, 200, "/signup", `id="signup-form"`)
	tell("subject-9", "")
	w.postSignup(joining, "/signup", goodForm(), nil).want(t, 200, "/signup", "가입을 멈추었습니다", `id="anyid-login"`)

	w.provider.Set(optest.Knobs{Claims: kim()})
	citizen, member := optest.Browser(t), w.memberIn()
	w.get(citizen, "/anyid/start").want(t, 200, "/my")
	tell("", "sid-1")
	w.get(citizen, "/my").want(t, 200, "/login?notice=elsewhere", "Q-Net에서도 로그아웃되었습니다")
	w.get(member, "/my").want(t, 200, "/my") // who came by password is no concern of the broker's
	tell("", "sid-1")
}

// TestGuideAnswersTheFAQ: the guide's seven questions, each at an address of its own.
func TestGuideAnswersTheFAQ(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := w.get(optest.Browser(t), "/guide")
	page.want(t, 200, "/guide", "Any-ID 사용자 가이드")
	for id, texts := range map[string][]string{
		"faq-1": {"회원가입을 또 해야", "고유정보를 생성", "회원정보를 필수적으로 작성해야 합니다."},
		"faq-2": {"로그인 유효시간은", "큐넷 로그인 유효시간과 같으며, 60분입니다."},
		"faq-3": {"사용/미사용 버튼은 어떤 역할", "동일 ID로 로그인을 할 수 있습니다.", "공동인증서 로그인 방식이 사라지게 되며", "별도로 Any-ID 로그인을 진행해야 합니다."},
		"faq-4": {"기존 회원은", "사용자 등록만 진행할 경우 바로 로그인이 가능합니다.", "별도로 해당 인증서를 큐넷에서 등록해야 합니다.", ">마이페이지</a> › ", ">개인정보관리</a> › ", ">인증서 등록</a>"},
		"faq-5": {"큐넷 일반 로그인", "‘이용기관 로그인’"},
		"faq-6": {"원서접수 후 취소", "간편인증으로 진행할 수 있습니다."},
		"faq-7": {"사용자 등록 없이 자동으로 로그인", `href="#matrix"`},
	} {
		_, rest, found := strings.Cut(page.body, `<div id="`+id+`">`)
		answer, _, _ := strings.Cut(rest, "</div>")
		for _, text := range texts {
			if !found || !strings.Contains(answer, text) {
				t.Errorf("%s lacks %q: %s", id, text, answer)
			}
		}
	}
}
