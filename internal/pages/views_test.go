package pages

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/web"
)

// page is a parsed answer.
type parsedPage struct {
	*html.Node
	byID map[string]*html.Node
}

func (p parsedPage) all(name string) (found []*html.Node) {
	for n := range p.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// parse reads a page and checks that ids are unique.
func parse(t *testing.T, body string) parsedPage {
	t.Helper()
	root, err := html.ParseWithOptions(strings.NewReader(body), html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	p := parsedPage{root, map[string]*html.Node{}}
	for n := range root.Descendants() {
		if id, ok := attr(n, "id"); ok {
			if p.byID[id] != nil {
				t.Errorf("id %q stands twice", id)
			}
			p.byID[id] = n
		}
	}
	return p
}

// TestPagesAreSound walks every page in both languages and both brandings. With -artifacts it leaves
// the pages as files.
func TestPagesAreSound(t *testing.T) {
	t.Parallel()
	for _, branding := range []Branding{sampleBranding(), officialBranding(), {}} {
		v := newViews(t, branding)
		for _, locale := range []string{web.Korean, web.English} {
			for _, s := range samples() {
				t.Run(fmt.Sprintf("%s/%s/official=%t", s.name, locale, branding.OfficialGovernment), func(t *testing.T) {
					w := show(v, s, "?lang="+locale)
					body := w.Body.String()
					if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "page.html"), w.Body.Bytes(), 0o600); err != nil {
						t.Fatal(err)
					}
					checkPage(t, body, locale, branding)
				})
			}
		}
	}
}

func checkPage(t *testing.T, body, locale string, branding Branding) {
	t.Helper()
	if strings.Contains(body, string(templ.FailedSanitizationURL)) || !strings.HasPrefix(body, "<!doctype html>") {
		t.Errorf("template trouble: %.80q", body)
	}
	checkNesting(t, body)
	p := parse(t, body)
	if lang, _ := attr(p.all("html")[0], "lang"); lang != locale {
		t.Errorf("lang %q", lang)
	}
	titles, h1 := p.all("title"), p.all("h1")
	if len(titles) != 1 || len(h1) != 1 || len(p.all("main")) != 1 {
		t.Fatalf("%d titles, %d h1, %d main", len(titles), len(h1), len(p.all("main")))
	}
	if title := textOf(titles[0]); !strings.Contains(title, textOf(h1[0])) || !strings.Contains(title, " | ") {
		t.Errorf("title %q does not tell the page %q", title, textOf(h1[0]))
	}
	if first := p.all("a")[0]; textOf(first) == "" || first.Attr[0].Val != "#main" {
		t.Error("the first link does not skip to the content")
	}
	checkHeadings(t, p)
	focused := 0
	for n := range p.Descendants() {
		if n.Type == html.TextNode && place.MatchString(n.Data) {
			if _, ok := attr(n.Parent, "data-word"); !ok { // whose places a script fills
				t.Errorf("nothing stands in the place of %q", n.Data)
			}
		}
		if n.Type != html.ElementNode {
			continue
		}
		checkReferences(t, p, n, branding)
		if _, ok := attr(n, "autofocus"); ok {
			focused++
		}
		switch n.Data {
		case "style":
			t.Error("inline style")
		case "script":
			if src, _ := attr(n, "src"); !strings.HasPrefix(src, web.AssetPrefix) && src != cloudScript || n.FirstChild != nil {
				t.Errorf("script from %q", src)
			}
		case "input":
			checkInput(t, p, n)
		case "button":
			if id, _ := attr(n, "id"); id == "" || textOf(n) == "" {
				t.Errorf("button %q %q needs id and words", id, textOf(n))
			}
			if kind, _ := attr(n, "type"); kind != "submit" {
				t.Errorf("button of type %q", kind)
			}
		case "form":
			m, _ := attr(n, "method")
			a, _ := attr(n, "action")
			if a == "" || m != "post" && (m != "get" || a != "/manage/history") { // which only looks
				t.Errorf("form with method %q to %q", m, a)
			}
		case "iframe":
			if title, _ := attr(n, "title"); title == "" {
				t.Error("frame without title")
			}
		case "select":
			checkInput(t, p, n)
		case "img":
			if _, ok := attr(n, "alt"); !ok {
				t.Error("image without alt")
			}
		case "a":
			if textOf(n) == "" {
				t.Error("link without words")
			}
		}
	}
	if focused > 1 {
		t.Errorf("%d elements want the focus", focused)
	}
	masthead := p.byID["krds-masthead"] != nil
	identifier := strings.Contains(body, "krds-identifier")
	if masthead != branding.OfficialGovernment || identifier != branding.OfficialGovernment {
		t.Errorf("banner %t, identifier %t, official %t", masthead, identifier, branding.OfficialGovernment)
	}
	if masthead && locale == web.Korean {
		if !strings.Contains(body, "이 누리집은 대한민국 공식 전자정부 누리집입니다.") || !strings.Contains(body, "이 누리집은 행정안전부에서 운영하는 누리집입니다.") {
			t.Error("banner or identifier has other words than KRDS prescribes")
		}
	}
	if !strings.Contains(body, `href="https://www.krds.go.kr"`) {
		t.Error("KRDS is not attributed")
	}
}

// checkNesting compares the page's own tags with their closing tags, which the parser would repair.
func checkNesting(t *testing.T, body string) {
	t.Helper()
	void := []string{"meta", "link", "input", "img", "br"}
	var open []string
	for z := html.NewTokenizer(strings.NewReader(body)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) != 0 {
				t.Errorf("not closed: %v", open)
			}
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			if !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func checkHeadings(t *testing.T, p parsedPage) {
	t.Helper()
	level := 0
	for n := range p.Descendants() {
		if n.Type == html.ElementNode && len(n.Data) == 2 && n.Data[0] == 'h' && '1' <= n.Data[1] && n.Data[1] <= '6' {
			next := int(n.Data[1] - '0')
			if level > 0 && next > level+1 || textOf(n) == "" {
				t.Errorf("heading %d %q after %d", next, textOf(n), level)
			}
			level = next
		}
	}
}

// checkReferences looks at addresses, ids referred to, and inline code.
func checkReferences(t *testing.T, p parsedPage, n *html.Node, branding Branding) {
	t.Helper()
	for _, a := range n.Attr {
		switch a.Key {
		case "style":
			t.Errorf("inline style on %s", n.Data)
		case "aria-labelledby", "aria-describedby", "for", "form":
			for id := range strings.FieldsSeq(a.Val) {
				if p.byID[id] == nil {
					t.Errorf("%s of %s refers to missing %q", a.Key, n.Data, id)
				}
			}
		case "href", "src", "action":
			switch {
			case strings.HasPrefix(a.Val, "https://www.krds.go.kr"), strings.HasPrefix(a.Val, "https://site.example/"):
				if n.Data != "a" && n.Data != "form" && n.Data != "iframe" {
					t.Errorf("%s loads %s", n.Data, a.Val)
				}
			case a.Val == branding.Logo && n.Data == "img":
			case a.Val == cloudScript && n.Data == "script":
			case p.byID["qr-image"] == n && strings.HasPrefix(a.Val, "data:image/png;base64,"):
			case p.byID["open-app"] == n && strings.HasPrefix(a.Val, "mobileid://"):
			case strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "//"), a.Val == "#main":
			default:
				t.Errorf("%s of %s is %q", a.Key, n.Data, a.Val)
			}
			if file, ok := strings.CutPrefix(a.Val, web.AssetPrefix); ok {
				w := httptest.NewRecorder()
				name, fragment, _ := strings.Cut(file, "#")
				web.Assets().ServeHTTP(w, httptest.NewRequest("GET", web.AssetPrefix+name, nil))
				if w.Code != 200 || fragment != "" && !strings.Contains(w.Body.String(), `id="`+fragment+`"`) {
					t.Errorf("asset %s is missing", a.Val)
				}
			}
		}
		if strings.HasPrefix(a.Key, "on") {
			t.Errorf("inline handler %s", a.Key)
		}
	}
}

func checkInput(t *testing.T, p parsedPage, n *html.Node) {
	t.Helper()
	if kind, _ := attr(n, "type"); kind == "hidden" {
		return
	}
	id, _ := attr(n, "id")
	labels := 0
	for _, label := range p.all("label") {
		if target, _ := attr(label, "for"); target == id && textOf(label) != "" {
			labels++
		}
	}
	if labels != 1 {
		t.Errorf("input %q has %d labels", id, labels)
	}
	if _, ok := attr(n, "placeholder"); ok {
		t.Errorf("input %q has a placeholder for a label", id)
	}
	if invalid, _ := attr(n, "aria-invalid"); invalid == "true" {
		described, _ := attr(n, "aria-describedby") // two fields of one number share an error
		if !slices.ContainsFunc(strings.Fields(described), func(id string) bool { return strings.HasSuffix(id, "-error") }) {
			t.Errorf("input %q does not name its error", id)
		}
	}
}

// find returns the sample of that name.
func find(t *testing.T, name string) sample {
	t.Helper()
	i := slices.IndexFunc(samples(), func(s sample) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no sample %q", name)
	}
	return samples()[i]
}

// TestPagesKeepTheirWordsAndIDs pins what guides, tests and scripts of others rely on.
func TestPagesKeepTheirWordsAndIDs(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	tests := map[string]struct {
		ids     string
		missing string
		words   []string
	}{
		"login": {"sso-toggle method-mobile-id method-simple method-joint-cert method-financial-cert method-site-login link-register link-manage auth-cancel", "", []string{
			"로그인 방식을 선택해주세요.", "정부 통합로그인은 한 번의 로그인으로 연계된 모든 공공 웹서비스를 이용할 수 있는 인증 서비스입니다.",
			"모바일 신분증 스마트폰의 모바일 신분증으로 로그인", "간편인증 네이버, 카카오, 금융기관 등의 전자서명으로 로그인",
			"공동인증서 개인 컴퓨터, USB 등에 보관되어 있는 인증서로 로그인", "금융인증서 은행 앱 또는 인터넷뱅킹 사이트에서 발급한 금융결제원 인증서로 로그인",
			"이용기관 로그인", "아이디 로그인 이용기관 큐넷(Q-Net) 로그인 페이지로 이동 합니다.(회원가입, 아이디,비밀번호 찾기)",
			"사용자 등록", "정부 통합인증(Any-ID) 사용자 관리",
		}},
		"login-off":  {"sso-toggle method-simple", "method-joint-cert", []string{"미사용"}},
		"login-bare": {"method-simple auth-cancel", "method-mobile-id method-site-login link-register link-manage", nil},
		"simple":     {"provider-kakao provider-naver provider-pass provider-toss name birthdate phone request-auth choose-method auth-cancel", "name-error", nil},
		"simple-wrong": {"birthdate-error phone-error", "name-error provider-error", []string{
			"생년월일을 연, 월, 일 순서의 숫자 8자리로 입력해 주세요.",
		}},
		"proof": {"auth-complete auth-cancel proof-status proof-remaining retry", "proof-not-yet", []string{
			"인증을 진행해 주세요.", "입력하신 휴대폰으로 인증요청메시지를 보냈습니다. 메시지를 받지 못했다면 사용자정보(이름, 생년월일 또는 주민등록번호, 휴대폰번호)를 확인 후 다시 시도해주세요.",
			"STEP1 카카오 앱에서 인증요청 확인", "STEP3 인증 완료 후 하단의 인증 완료 클릭", "문제 발생시 조치방법", "문제가 계속된다면 [콜센터: 1688-0990]로 연락해 주세요.", "남은 시간 4분 52초",
		}},
		"proof-mobile": {"auth-complete", "retry", []string{
			"STEP1 모바일 신분증 발급앱에서 인증요청 확인", "STEP2 제출 정보 확인 및 정보 보내기 인증", "[모바일 신분증 앱>더보기>사용이력]에서 인증 요청내용을 확인할 수 있습니다.",
		}},
		"proof-not-yet":   {"proof-not-yet", "", []string{"아직 휴대폰에서 응답이 오지 않았습니다."}},
		"failed-rejected": {"error-code retry choose-method auth-cancel", "", nil},
		"register": {"agree-terms agree-terms-no agree-privacy agree-privacy-no agree-unique-id agree-unique-id-no register register-decline register-birthdate", "resident-number register-error", []string{
			"정부 통합인증(Any-ID) 사용자 등록", "본인이 원하는 어떠한(Any) 민간, 공공의 인증수단으로 다양한 디지털정부 서비스를 1회의 인증만으로도 이용할 수 있습니다.",
			"동의안함", "동의함", "※ 처리근거: 전자정부법 시행령 제49조제3항(인증정보 및 고유식별정보의 처리)", "등록 안함", "등록 완료", "1995년 1월 12일", "시행일: 2026-11-01",
		}},
		"register-further":     {"rrn-front rrn-back register", "register-birthdate", []string{"주민등록번호(외국인등록번호)", "전자정부법 시행령 제49조제3항"}},
		"register-number-lost": {"rrn-front rrn-back rrn-error sign-again", "register-error", nil},
		"register-incomplete":  {"register-error", "", nil},
		"joint-cert": {"cert-files cert-folder cert-list cert-password cert-sign choose-method auth-cancel", "cert-agreement", []string{
			"공동인증서로 로그인", "큐넷(Q-Net) 로그인에 필요한 전자서명", "남은 시간 4분 52초", "자바스크립트를 켜 주세요.",
		}},
		"joint-cert-agreement": {"cert-agreement", "", []string{"본인확인을 위하여 <이름>과 연계정보를 제공하는 데 동의합니다."}},
		"consent":              {"consent-allow consent-deny claim-phone_number claim-gender", "claim-name", []string{"한국산업인력공단", "회원 탈퇴 시까지", "동의하지 않을 권리", "1995년 1월 12일"}},
		"financial-cert":       {"fincert-start choose-method auth-cancel", "", []string{"금융인증서로 로그인", "남은 시간 4분 52초", "연계정보(CI)를 login.example.kr에 제공하는 것에 동의합니다."}},
		"account":              {"account-continue account-other auth-cancel", "", []string{"홍*동 님으로 계속"}},
		"logout":               {"logout-confirm logout-cancel", "", []string{"민원마당"}},
		"logged-out":           {"return-to-site", "", []string{"로그아웃되었습니다."}},
		"form-post":            {"form-post-submit", "auth-cancel", nil},
		"error-detail":         {"error-code error-detail return-to-site", "", []string{"scope: openid is missing"}},
		"login-step-up":        {"step-up method-mobile-id", "", []string{"필요한 인증: 인증 수준 3 이상", "이미 확인된 인증: 간편인증(인증 수준 2)"}},
		"register-choose":      {"method-mobile-id method-simple method-joint-cert method-financial-cert auth-cancel", "sso-toggle method-site-login link-manage", []string{"정부 통합인증(Any-ID) 사용자 등록"}},
		"register-renew":       {"agree-privacy agree-privacy-no register register-decline", "agree-terms agree-unique-id", nil},
		"registered":           {"registered link-manage manage-close", "", []string{"등록이 완료되었습니다."}},
		"manage": {"manage-name manage-profile manage-sites manage-history manage-methods manage-sessions manage-export manage-withdraw manage-close session-extend session-logout", "", []string{
			"정부 통합인증(Any-ID) 사용자 관리", "사용자 정보와 이용사이트 등록 정보를 확인하세요.", "정보 수정", "이용사이트 현황", "인증 이력", "등록 해지", "닫기",
		}},
		"profile":  {"profile-prove email profile-save", "saved", []string{"새 인증으로만 바뀝니다."}},
		"uses":     {"site-qnet-revoke site-minwon-revoke", "revoked", []string{"이름, 생년월일, 휴대폰번호", "본인 동의 (2026년 11월 2일) 동의서 2026-11-01판", "법령: 민원 처리에 관한 법률", "받을 수 있는 정보이름, 연계정보(CI)"}},
		"history":  {"not-me not-me-2 history-csv history-json history-older from to site method outcome history-apply", "history-newest", nil},
		"methods":  {"method-remove-1 method-remove-2 method-unblock-1 method-simple-block method-add", "method-last-1 method-financial-cert-block method-unblock-2", nil},
		"sessions": {"session-current session-end-1 session-end-2 sessions-end-others", "ended", nil},
		"withdraw": {"withdraw", "", []string{
			"사용자 등록 해지는 즉시 처리되며, 정부 통합인증(Any-ID) 이용정보는 모두 삭제됩니다.", "해지 후 정부 통합인증(Any-ID) 이용 시 사용자 등록을 다시 하셔야 합니다.",
		}},
		"withdraw-confirm":  {"withdraw-confirm withdraw-cancel", "", []string{"등록해지하시겠습니까?", "확인", "취소"}},
		"withdrawn":         {"withdraw-done withdraw-number manage-close", "session", []string{"사용자 등록 해지 완료", "사용자 등록 해지가 정상적으로 처리되었습니다.", "닫기"}},
		"revoke-law":        {"revoke-confirm revoke-cancel", "", []string{"바로 폐기됩니다.사이트에 로그아웃을 알립니다.사이트에 가입한"}},
		"not-me":            {"not-me", "", []string{"신고하면 이렇게 됩니다."}},
		"not-me-again":      {"", "not-me", []string{"이미 신고하셨습니다."}},
		"logout-choice":     {"logout-this logout-all logout-cancel", "logout-confirm", nil},
		"logged-out-frames": {"logout-done logout-continue", "return-to-site", nil},
		"logged-out-left":   {"logout-done return-to-site", "logout-continue", []string{"이 사이트에서 로그아웃되었습니다."}},
		"failed-too_young":  {"error-code choose-method", "retry", []string{"법정대리인의 동의가 필요합니다", "콜센터 1688-0990", "이 화면에서는 법정대리인의 동의를 받을 수 없습니다."}},
		"failed-window":     {"error-code choose-method", "retry", []string{"인증을 취소하셨습니다.", "인증 화면에서 인증을 마치지 않으셨습니다."}},
		"failed-mobile-id":  {"error-code choose-method", "", []string{"사용할 수 있는 모바일 신분증이 없습니다."}},
		"failed-blocked":    {"error-code choose-method", "retry", []string{"본인이 차단한 인증수단입니다."}},
		"error-other":       {"error-code", "", []string{"no_words_of_its_own", "처리하는 중에 문제가 생겼습니다."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, show(v, find(t, name), "?lang=ko").Body.String())
			for id := range strings.FieldsSeq(tt.ids) {
				if p.byID[id] == nil {
					t.Errorf("no #%s", id)
				}
			}
			for id := range strings.FieldsSeq(tt.missing) {
				if p.byID[id] != nil {
					t.Errorf("#%s is shown", id)
				}
			}
			text := textOf(p.Node)
			for _, w := range tt.words {
				if !strings.Contains(text, w) {
					t.Errorf("no %q", w)
				}
			}
		})
	}
}

func TestTogglePostsTheStateWanted(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for name, want := range map[string][2]string{"login": {"true", "off"}, "login-off": {"false", "on"}} {
		toggle := parse(t, show(v, find(t, name), "").Body.String()).byID["sso-toggle"]
		checked, _ := attr(toggle, "aria-checked")
		value, _ := attr(toggle, "value")
		if role, _ := attr(toggle, "role"); role != "switch" || checked != want[0] || value != want[1] {
			t.Errorf("%s: %v", name, toggle.Attr)
		}
	}
}

func TestNothingIsTickedBeforehand(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for _, name := range []string{"simple", "register", "register-further", "consent"} {
		for _, n := range parse(t, show(v, find(t, name), "").Body.String()).all("input") {
			if _, ticked := attr(n, "checked"); ticked {
				t.Errorf("%s: %v is ticked", name, n.Attr)
			}
		}
	}
}

func TestFormsKeepValuesAndFocusTheFirstError(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	p := parse(t, show(v, find(t, "simple-wrong"), "").Body.String())
	for id, want := range map[string]string{"name": `홍 "길동" <b>`, "birthdate": "1995-13-01", "phone": "02 123 4567"} {
		if got, _ := attr(p.byID[id], "value"); got != want {
			t.Errorf("%s: %q", id, got)
		}
	}
	if _, ok := attr(p.byID["provider-naver"], "checked"); !ok {
		t.Error("the provider chosen is forgotten")
	}
	for name, id := range map[string]string{
		"simple-wrong": "birthdate", "simple-empty": "provider-kakao", "simple-name": "name",
		"register-none": "agree-terms-no", "register-incomplete": "agree-privacy-no", "register-last": "agree-unique-id-no",
	} {
		p := parse(t, show(v, find(t, name), "").Body.String())
		if _, ok := attr(p.byID[id], "autofocus"); !ok {
			t.Errorf("%s: the focus is not on %s", name, id)
		}
	}
}

func TestPagesAnswer(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	w := show(v, find(t, "simple-wrong"), "?lang=en&contrast=high&x=%EA%B0%80")
	if w.Code != 422 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	p := parse(t, w.Body.String())
	if mode, _ := attr(p.all("html")[0], "data-krds-mode"); mode != "high-contrast" {
		t.Errorf("mode %q", mode)
	}
	var hrefs []string
	for _, a := range p.all("a") {
		if href, _ := attr(a, "href"); strings.HasPrefix(href, "/login/a1?") {
			hrefs = append(hrefs, href)
		}
	}
	want := []string{"/login/a1?contrast=normal&lang=en&x=%EA%B0%80", "/login/a1?contrast=high&lang=ko&x=%EA%B0%80"}
	if !slices.Equal(hrefs, want) {
		t.Errorf("links %q", hrefs)
	}
	// A page shown by a POST elsewhere links to where a GET shows it.
	w = httptest.NewRecorder()
	v.Conflict(w, httptest.NewRequest("POST", "/proof/a1", nil), 200, ConflictView{Page: Page{Here: "/login/a1?k=v", UILocales: []string{"en"}}})
	if !strings.Contains(w.Body.String(), `href="/login/a1?k=v&amp;lang=ko"`) || !strings.Contains(w.Body.String(), "different people") {
		t.Error("Here or UILocales is not followed")
	}
}

func TestRenderFailureIsLoggedAndPlain(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	v, err := NewViews(sampleBranding(), Documents{}, web.Cookies{}, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	v.Document(w, httptest.NewRequest("GET", "/", nil), 200, DocumentView{ID: "none"})
	if w.Code != 500 || strings.Contains(w.Body.String(), "<") || !strings.Contains(log.String(), `"page":"documentPage"`) {
		t.Errorf("%d %q %s", w.Code, w.Body, &log)
	}
}

// TestBrowserThatHasGone: it is no error of the page.
func TestBrowserThatHasGone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	v, err := NewViews(sampleBranding(), DefaultDocuments(), web.Cookies{}, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	w := httptest.NewRecorder()
	v.Document(w, httptest.NewRequestWithContext(gone, "GET", "/", nil), 200, DocumentView{ID: DocTerms})
	if w.Code != 200 || log.Len() > 0 {
		t.Errorf("%d %s", w.Code, &log)
	}
}

func TestBrandingIsChecked(t *testing.T) {
	t.Parallel()
	for _, b := range []Branding{
		{OfficialGovernment: true},
		{OfficialGovernment: true, Institution: Text{Korean: "행정안전부"}},
		{OfficialGovernment: true, Logo: "/logo.png"},
		{Logo: "https://cdn.example/logo.png"}, {Logo: "//cdn.example/logo.png"}, {Logo: "javascript:alert(1)"},
	} {
		if _, err := NewViews(b, DefaultDocuments(), web.Cookies{}, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("accepted %+v", b)
		}
	}
}

var (
	place   = regexp.MustCompile(`\{[a-z_]+\}`)
	dynamic = regexp.MustCompile(`^(failed|error|document|register\.number|verify|(joint|financial)_cert\.says|history\.(action|outcome|code)|mobile_id\.wallet)\.` +
		`|^login\.((mobile_id|simple|joint_cert|financial_cert)(\.register)?|sso\.(on|off)(\.hint)?)$|^step\.[123]$|^simple\.(name|birthdate|phone)\.(hint|missing|invalid)$`)
	asked = regexp.MustCompile(`(?:\.t\(|@calling\(f, )"([a-z0-9_.]+)"((?:, "[a-z_]+", [^"]+?)*)\)`)
	given = regexp.MustCompile(`, "([a-z_]+)", `)
)

// TestTextsAreComplete compares the languages and looks for what nobody uses.
func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	var used strings.Builder
	for _, glob := range []string{"*.templ", "*.go"} {
		names, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			used.Write(b)
		}
	}
	texts := map[string]map[string]string{}
	for _, locale := range []string{web.Korean, web.English} {
		words, err := readTexts(locale)
		if err != nil {
			t.Fatal(err)
		}
		texts[locale] = words
		// A key that stands twice in a file would hide the first.
		b, err := textFiles.ReadFile("texts/" + locale + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(b, []byte("\n  \"")); n != len(words) {
			t.Errorf("%s: %d lines, %d keys", locale, n, len(words))
		}
	}
	for key, ko := range texts[web.Korean] {
		en, ok := texts[web.English][key]
		if !ok {
			t.Errorf("%s is not in English", key)
		}
		a, b := place.FindAllString(ko, -1), place.FindAllString(en, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s: places differ: %v and %v", key, a, b)
		}
		if strings.ContainsAny(ko+en, `<"&`) || ko == "" || en == "" {
			t.Errorf("%s: %q, %q: empty, or with markup", key, ko, en)
		}
		if !dynamic.MatchString(key) && !strings.Contains(used.String(), `"`+key+`"`) {
			t.Errorf("%s is not used", key)
		}
	}
	// What the pages ask for by name is there, with the places that they fill.
	calls := asked.FindAllStringSubmatch(used.String(), -1)
	if len(calls) < 400 {
		t.Errorf("%d texts are asked for by name", len(calls))
	}
	for _, call := range calls {
		if _, ok := texts[web.Korean][call[1]]; !ok {
			t.Errorf("there is no text %q", call[1])
		}
		for _, name := range given.FindAllStringSubmatch(call[2], -1) {
			if !strings.Contains(texts[web.Korean][call[1]], "{"+name[1]+"}") {
				t.Errorf("%s has no place for %s", call[1], name[1])
			}
		}
	}
	if len(texts[web.English]) != len(texts[web.Korean]) {
		for key := range texts[web.English] {
			if _, ok := texts[web.Korean][key]; !ok {
				t.Errorf("%s is not in Korean", key)
			}
		}
	}
}

func TestDefaultDocuments(t *testing.T) {
	t.Parallel()
	docs := DefaultDocuments()
	for _, id := range []string{DocTerms, DocPrivacy, DocUniqueID} {
		ko, en := docs.Get(id, web.Korean), docs.Get(id, web.English)
		if ko.Version == "" || ko.Version != en.Version || len(ko.SHA256) != 64 || ko.SHA256 == en.SHA256 || ko.ID != id || en.Locale != web.English {
			t.Errorf("%s: %+v %+v", id, ko, en)
		}
		if id == DocTerms {
			continue
		}
		// 개인정보 보호법 제15조제2항: purpose, items, retention, and the right to refuse.
		for _, point := range []string{"목적", "항목", "보유·이용 기간", "거부할 권리와 불이익"} {
			if !strings.Contains(ko.Body, point) {
				t.Errorf("%s does not tell: %s", id, point)
			}
		}
	}
	// Article 22(3): what is processed without consent stands apart, with its basis.
	if !strings.Contains(docs.Get(DocPrivacy, web.Korean).Body, "동의 없이 처리하는 항목과 근거") {
		t.Error("what needs no consent is not told")
	}
	if basis := docs.Get(DocUniqueID, web.Korean).Basis; basis != "※ 처리근거: 전자정부법 시행령 제49조제3항(인증정보 및 고유식별정보의 처리)" {
		t.Errorf("basis %q", basis)
	}
	if doc := docs.Get("none", web.Korean); doc.ID != "" {
		t.Errorf("unknown document: %+v", doc)
	}
}

func TestReadDocumentsRefuses(t *testing.T) {
	t.Parallel()
	whole := func() fstest.MapFS {
		fsys := fstest.MapFS{}
		entries, err := fs.Glob(termFiles, "terms/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range entries {
			b, err := fs.ReadFile(termFiles, name)
			if err != nil {
				t.Fatal(err)
			}
			fsys[strings.TrimPrefix(name, "terms/")] = &fstest.MapFile{Data: b}
		}
		return fsys
	}
	if _, err := ReadDocuments(whole()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(fstest.MapFS){
		"missing file": func(m fstest.MapFS) { delete(m, "terms.en.html") },
		"no version":   func(m fstest.MapFS) { m["terms.ko.html"].Data = []byte("<p>x</p>") },
		"odd version":  func(m fstest.MapFS) { m["terms.ko.html"].Data = []byte("<!-- version: v1 -->\n<p>x</p>") },
		"no basis":     func(m fstest.MapFS) { m["unique-id.ko.html"].Data = []byte("<!-- version: 2026-11-01 -->\n<p>x</p>") },
		"basis for others": func(m fstest.MapFS) {
			m["terms.ko.html"].Data = []byte("<!-- version: 2026-11-01 -->\n<!-- basis: b -->\n<p>x</p>")
		},
	} {
		fsys := whole()
		change(fsys)
		if _, err := ReadDocuments(fsys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte("<!-- version: 2026-11-01 -->\n<!-- basis: b -->\n<p>x</p>"))
	f.Add([]byte("<!-- version: "))
	f.Fuzz(func(t *testing.T, b []byte) {
		doc := parseDocument(b)
		if !strings.HasSuffix(string(b), doc.Body) {
			t.Fatalf("%q: body %q is not its end", b, doc.Body)
		}
	})
}

func TestFailureOf(t *testing.T) {
	t.Parallel()
	for code, want := range map[authn.Code]Failure{
		authn.UserCancelled: Rejected, authn.TooLate: TimedOut, authn.NoCredential: NoCredential, authn.PersonMismatch: Mismatch,
		authn.ProviderDown: ProviderDown, authn.ProviderAuth: ProviderDown, authn.Indeterminate: Indeterminate,
		authn.BadEvidence: NotVerified, authn.AlreadyUsed: "already_used", authn.CertificateHeld: "certificate_held", authn.BadRequest: NotVerified, "": NotVerified,
	} {
		if got := FailureOf(code); got != want {
			t.Errorf("%s: %s, want %s", code, got, want)
		}
	}
}

func TestTextFallsBackToKorean(t *testing.T) {
	t.Parallel()
	if got := (Text{Korean: "큐넷"}).In(web.English); got != "큐넷" {
		t.Error(got)
	}
	if got := (Text{"큐넷", "Q-Net"}).In(web.English); got != "Q-Net" {
		t.Error(got)
	}
}

func BenchmarkPages(b *testing.B) {
	v := newViews(b, sampleBranding())
	for _, name := range []string{"login", "simple", "proof", "register", "consent"} {
		s := samples()[slices.IndexFunc(samples(), func(s sample) bool { return s.name == name })]
		r := httptest.NewRequest("GET", "/login/a1", nil)
		r.Header.Set("Accept-Language", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7")
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.show(v, httptest.NewRecorder(), r)
			}
		})
	}
}

func BenchmarkNewViews(b *testing.B) {
	for b.Loop() {
		newViews(b, sampleBranding())
	}
}
