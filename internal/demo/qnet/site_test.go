package qnet_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/qnet"
)

var ci = strings.Repeat("C", 86) + "=="

// world is a site, its provider and the clock of both.
type world struct {
	t        *testing.T
	url, dir string
	provider *optest.Provider
	clock    *optest.Clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), clock: optest.NewClock()}
	w.provider = optest.New(t, w.clock.Now)
	w.provider.Set(optest.Knobs{Claims: newcomer()})
	w.serve()
	return w
}

// serve starts the site on w.dir, as after a restart.
func (w *world) serve() {
	w.t.Helper()
	w.url = optest.Serve(w.t, func(base string) http.Handler {
		site, err := qnet.New(qnet.Config{
			BaseURL: base, Issuer: w.provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret,
			DataDir: w.dir, Now: w.clock.Now,
			Members: []qnet.Member{
				{ID: "Kim2020", Password: "korea123@", Name: "김철수", BirthDate: "1980-03-01", Gender: "male", Nationality: "domestic", CI: ci},
				{ID: "school01", Password: "group456!", Name: "한빛고등학교", Group: true},
			},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		return site
	})
}

// newcomer is someone whom Q-Net does not know.
func newcomer() map[string]any {
	return map[string]any{"sub": "subject-9", "name": "홍길동", "birthdate": "1995-01-12", "gender": "male", "phone_number": "+821012345678", "ci": strings.Repeat("N", 86) + "=="}
}

type answer struct {
	status int
	path   string
	body   string
	header http.Header
}

func (w *world) do(b *http.Client, r *http.Request) answer {
	w.t.Helper()
	res, err := b.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Request.URL.RequestURI(), string(body), res.Header}
}

func (w *world) get(b *http.Client, path string) answer {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.do(b, r)
}

func (w *world) post(b *http.Client, path string, form url.Values) answer {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(b, r)
}

func (w *world) postSignup(b *http.Client, path string, fields map[string]string, photo []byte) answer {
	w.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range fields {
		if err := form.WriteField(name, value); err != nil {
			w.t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("photo", "me.jpg")
	if err == nil {
		_, err = part.Write(photo)
	}
	if err != nil || form.Close() != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, w.url+path, &body)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	return w.do(b, r)
}

func (a answer) want(t *testing.T, status int, path string, texts ...string) {
	t.Helper()
	if a.status != status || a.path != path {
		t.Errorf("got %d at %s, want %d at %s", a.status, a.path, status, path)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("page lacks %q:\n%s", text, a.body)
		}
	}
}

func picture(t testing.TB, width, height int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, width, height))
	for x := range width {
		img.Set(x, x%height, color.White)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func goodForm() map[string]string {
	return map[string]string{
		"user-id": "Hong2026", "birthdate": "19700101", "nationality": "domestic", "gender": "female", "name": "남의 이름",
		"name-en": "HONG GILDONG", "password": "korea123@", "password-confirm": "korea123@",
	}
}

const signedIn = `id="signed-in-name">`

func TestNewcomerSignsUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	w.get(b, "/anyid/start").want(t, 200, "/signup", `id="signup-form"`, `value="홍길동"`, `value="1995-01-12"`, "readonly")
	if got := w.provider.Last("authorize").Get("scope"); got != "openid profile ci phone" {
		t.Errorf("scope %q", got)
	}
	w.postSignup(b, "/signup", goodForm(), picture(t, 300, 400)).want(t, 200, "/my?news=joined", signedIn+"홍길동<", "hong2026", "1995-01-12", "남자", "urn:anyid:acr:3", `src="/my/photo"`)
	w.get(b, "/my").want(t, 200, "/my", signedIn+"홍길동<", ">15:30<", `data-seconds="3600"`)
	if got := w.get(b, "/my/photo"); got.header.Get("Content-Type") != "image/jpeg" || got.body != string(picture(t, 300, 400)) {
		t.Errorf("photo: %v", got.header)
	}
	// The next login goes straight in, also after a restart, and also by ID and password.
	w.serve()
	w.get(optest.Browser(t), "/anyid/start").want(t, 200, "/my", signedIn+"홍길동<")
	w.post(optest.Browser(t), "/login", url.Values{"login-id": {"HONG2026"}, "login-password": {"korea123@"}}).want(t, 200, "/my", signedIn+"홍길동<", "아이디와 비밀번호")
	// Nowhere does the site keep the CI or the password.
	err := filepath.Walk(w.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte("NNNNNNNN")) || bytes.Contains(content, []byte("korea123")) {
			t.Errorf("%s holds a CI or a password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifiedFactsCannotBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims := newcomer()
	claims["nationality"], claims["updated_at"] = "foreign", w.clock.Now().Unix()
	w.provider.Set(optest.Knobs{Claims: claims})
	b := optest.Browser(t)
	w.get(b, "/anyid/start").want(t, 200, "/signup", `value="domestic" required disabled`, `value="foreign" required checked`, `value="female" required disabled`)
	// The form claims another name, day, gender and nationality; the broker's word stands.
	w.postSignup(b, "/signup", goodForm(), nil).want(t, 200, "/my?news=joined", "홍길동 (HONG GILDONG)", "<dd>1995-01-12</dd>", "<dd>남자</dd>", "<dd>외국인</dd>", "2026-11-22 14:30")
}

func TestSignUpNeedsAProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	w.get(b, "/signup").want(t, 200, "/signup", `id="anyid-login"`)
	w.postSignup(b, "/signup", goodForm(), nil).want(t, 200, "/signup", `id="anyid-login"`)
	w.get(b, "/anyid/start").want(t, 200, "/signup", `id="signup-form"`)
	w.clock.Add(30 * time.Minute)
	w.postSignup(b, "/signup", goodForm(), nil).want(t, 200, "/signup", "30분이 지났습니다")
	w.post(b, "/login", url.Values{"login-id": {"hong2026"}, "login-password": {"korea123@"}}).want(t, 422, "/login")
}

func TestSignUpErrorsKeepWhatWasTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	w.get(b, "/anyid/start")
	form := goodForm()
	form["user-id"], form["password-confirm"] = "kim2020", "other123@"
	got := w.postSignup(b, "/signup", form, picture(t, 200, 400))
	got.want(t, 422, "/signup", "이미 사용 중인 아이디", `id="photo-error"`, `id="user-id-error"`, `id="password-confirm-error"`,
		`value="kim2020"`, `value="HONG GILDONG"`, `value="domestic" required checked`, `aria-describedby="user-id-hint user-id-error"`)
	if strings.Contains(got.body, "korea123@\"") || strings.Contains(got.body, "other123@") {
		t.Error("a password came back")
	}
	if at := regexp.MustCompile(`id="([a-z-]+)"[^>]* autofocus`).FindAllStringSubmatch(got.body, -1); len(at) != 1 || at[0][1] != "photo" {
		t.Errorf("focus: %v", at)
	}
	form["user-id"] = "hong2026"
	w.postSignup(b, "/signup/check-id", form, nil).want(t, 200, "/signup/check-id", "사용할 수 있는 아이디입니다", `value="hong2026"`, `value="HONG GILDONG"`)
	form["user-id"] = "kim2020"
	w.postSignup(b, "/signup/check-id", form, nil).want(t, 422, "/signup/check-id", "이미 사용 중인 아이디")
	w.postSignup(b, "/signup", goodForm(), bytes.Repeat([]byte{1}, 5<<20)).want(t, 422, "/signup", "사진은 200KB 이하")
	w.postSignup(b, "/signup", goodForm(), nil).want(t, 200, "/my?news=joined")
}

func TestTwoTabsMakeOneMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := optest.Browser(t), optest.Browser(t)
	w.get(one, "/anyid/start")
	w.get(two, "/anyid/start")
	w.postSignup(one, "/signup", goodForm(), nil).want(t, 200, "/my?news=joined")
	form := goodForm()
	form["user-id"] = "another1"
	w.postSignup(two, "/signup", form, nil).want(t, 409, "/signup", "이미 가입한 회원")
}

func TestExistingMemberIsMatchedByCI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "name": "김철수", "ci": ci}})
	b := optest.Browser(t)
	w.get(b, "/anyid/start").want(t, 200, "/my", signedIn+"김철수<", "kim2020", "연계정보(CI)")
	if page := w.get(b, "/my").body; strings.Contains(page, "CCCC") {
		t.Error("the page shows the CI")
	}
	// Known by subject from now on, and again by CI under a new subject.
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "name": "김철수"}})
	w.get(optest.Browser(t), "/anyid/start").want(t, 200, "/my", "kim2020")
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-2", "name": "김철수", "ci": ci}})
	w.get(optest.Browser(t), "/anyid/start").want(t, 200, "/my", "kim2020")
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "name": "김철수"}})
	w.get(optest.Browser(t), "/anyid/start").want(t, 200, "/signup")
	// A subject whose CI is another person's is nobody.
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-2", "name": "김철수", "ci": newcomer()["ci"]}})
	other := optest.Browser(t)
	if got := w.get(other, "/anyid/start"); got.status != 409 || strings.Contains(got.body, signedIn) {
		t.Errorf("another person's CI: %d", got.status)
	}
}

func TestLoginByPassword(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	try := func(b *http.Client, tab, id, password string) answer {
		return w.post(b, "/login", url.Values{"tab": {tab}, "login-id": {id}, "login-password": {password}, "save-id": {"1"}})
	}
	try(b, "", "kim2020", "wrong").want(t, 422, "/login", "맞지 않습니다", `value="kim2020"`)
	try(b, "", "nobody1", "wrong").want(t, 422, "/login", "맞지 않습니다")
	try(b, "", "kim2020", "").want(t, 422, "/login", "모두 입력")
	try(b, "group", "kim2020", "korea123@").want(t, 422, "/login", "맞지 않습니다", "단체 아이디")
	try(b, "", "school01", "group456!").want(t, 422, "/login", "맞지 않습니다")
	try(b, "group", "school01", "group456!").want(t, 200, "/my", signedIn+"한빛고등학교<")
	try(b, "", "Kim2020", "korea123@").want(t, 200, "/my", signedIn+"김철수<")
	w.post(b, "/logout", nil)
	w.get(b, "/login").want(t, 200, "/login", `value="kim2020"`, `value="1" checked`)
	for range 5 {
		try(b, "", "kim2020", "wrong").want(t, 422, "/login")
	}
	got := try(b, "", "kim2020", "korea123@")
	got.want(t, 429, "/login", "5분 뒤에")
	w.clock.Add(5 * time.Minute)
	try(b, "", "kim2020", "korea123@").want(t, 200, "/my")
}

func TestSessionAndLogout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "ci": ci}})
	b := optest.Browser(t)
	w.get(b, "/anyid/start").want(t, 200, "/my")
	w.clock.Add(50 * time.Minute)
	w.get(b, "/my").want(t, 200, "/my", `data-seconds="600"`)
	w.post(b, "/session/extend", url.Values{"back": {"/guide"}}).want(t, 200, "/guide", `data-seconds="3600"`)
	w.post(b, "/session/extend", url.Values{"back": {"//evil.example/my"}}).want(t, 200, "/my")
	w.post(b, "/logout", nil)
	w.get(b, "/my").want(t, 200, "/login?notice=needed", "로그인이 필요한")
	if sent := w.provider.Last("end-session"); sent.Get("id_token_hint") == "" {
		t.Errorf("the provider was not asked to end its session: %v", sent)
	}
	w.get(b, "/anyid/start").want(t, 200, "/my")
	w.clock.Add(time.Hour)
	w.get(b, "/my").want(t, 200, "/login?notice=expired", "자동으로 로그아웃")
	w.post(b, "/session/extend", nil).want(t, 200, "/login?notice=needed")
	w.get(b, "/logged-out?state=x").want(t, 400, "/logged-out?state=x", "확인하지 못했습니다")
	w.post(b, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"korea123@"}}).want(t, 200, "/my")
	if got := w.post(b, "/logout", nil); got.status != 200 || !strings.Contains(got.body, "안전하게 로그아웃") {
		t.Errorf("logout of a local session: %d at %s", got.status, got.path)
	}
}

func TestPasswordReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "ci": ci}})
	old, b := optest.Browser(t), optest.Browser(t)
	w.post(old, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"korea123@"}}).want(t, 200, "/my")
	w.get(old, "/my/password").want(t, 200, "/my/password", `id="anyid-login"`)
	again := url.Values{"password": {"Seoul#2026"}, "password-confirm": {"Seoul#2026"}}
	w.post(old, "/my/password", again).want(t, 403, "/my/password")
	w.get(b, "/anyid/start?prompt=login&next=password").want(t, 200, "/my/password", `id="password-submit"`)
	if got := w.provider.Last("authorize").Get("prompt"); got != "login" {
		t.Errorf("prompt %q", got)
	}
	w.post(b, "/my/password", url.Values{"password": {"Seoul#2026"}, "password-confirm": {"x"}}).want(t, 422, "/my/password", `id="password-confirm-error"`)
	w.post(b, "/my/password", again).want(t, 200, "/my?news=password", "비밀번호를 바꾸었습니다")
	w.get(old, "/my").want(t, 200, "/login?notice=elsewhere")
	w.post(old, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"korea123@"}}).want(t, 422, "/login")
	w.post(old, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"Seoul#2026"}}).want(t, 200, "/my")
	w.clock.Add(11 * time.Minute)
	w.post(b, "/my/password", again).want(t, 403, "/my/password")
}

func TestBrokerTrouble(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := optest.Browser(t)
	w.provider.Set(optest.Knobs{Down: true})
	w.get(b, "/anyid/start").want(t, 503, "/anyid/start", "연결할 수 없습니다")
	w.get(b, "/login").want(t, 200, "/login")
	w.provider.Set(optest.Knobs{Answer: func(a url.Values) { a.Set("error", "access_denied") }})
	w.get(b, "/anyid/start").want(t, 200, "/login?notice=denied", "취소했습니다")
	w.provider.Set(optest.Knobs{Answer: func(a url.Values) { a.Set("error", "login_required") }})
	w.get(b, "/anyid/start?prompt=none").want(t, 200, "/login?notice=silent")
	w.provider.Set(optest.Knobs{Claims: newcomer(), IDToken: func(c map[string]any) { c["nonce"] = "x" }})
	if got := w.get(b, "/anyid/start"); got.status != 400 || !strings.Contains(got.body, "확인하지 못했습니다") {
		t.Errorf("wrong nonce: %d", got.status)
	}
	w.get(b, "/anyid/callback?state=x&code=y").want(t, 400, "/anyid/callback?state=x&code=y", "처음부터 다시")
}

func TestEveryPageAtTheEdge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	visitor, citizen, member := optest.Browser(t), optest.Browser(t), optest.Browser(t)
	w.get(citizen, "/anyid/start")
	w.post(member, "/login", url.Values{"login-id": {"kim2020"}, "login-password": {"korea123@"}})
	w.post(member, "/exams/cooking/apply", nil).want(t, 200, "/my?news=applied")
	ids := regexp.MustCompile(` id="([^"]*)"`)
	refs := regexp.MustCompile(`(?: for="| aria-labelledby="| aria-describedby="| href="#)([^"]*)"`)
	for _, tc := range []struct {
		browser *http.Client
		path    string
		status  int
	}{
		{visitor, "/", 200}, {visitor, "/login", 200}, {visitor, "/login?tab=group", 200}, {visitor, "/guide", 200}, {visitor, "/find", 200},
		{visitor, "/did", 200}, {visitor, "/signup", 200}, {citizen, "/signup", 200}, {member, "/my", 200}, {member, "/", 200},
		{member, "/my/password", 200}, {member, "/my/profile", 200}, {member, "/my/certificates", 200}, {member, "/my/certificates?news=registered", 200},
		{visitor, "/exams", 200}, {member, "/exams", 200}, {member, "/my/applications/1/cancel", 200}, {member, "/my/applications/2/cancel", 404},
		{visitor, "/anyid/confirm?for=nothing", 404}, {visitor, "/nothing", 404}, {visitor, "/logged-out", 400},
	} {
		got := w.get(tc.browser, tc.path)
		if got.status != tc.status {
			t.Errorf("%s: status %d", tc.path, got.status)
		}
		csp := got.header.Get("Content-Security-Policy")
		want := "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self' " + w.provider.URL + "; base-uri 'none'; frame-ancestors 'none'"
		if csp != want || got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tc.path, got.header)
		}
		if strings.Count(got.body, "<h1") != 1 || !strings.Contains(got.body, `<html lang="ko">`) || strings.Contains(got.body, "style=") ||
			strings.Contains(got.body, "http://") || strings.Contains(got.body, "https://") || strings.Contains(got.body, "onclick") {
			t.Errorf("%s: markup:\n%s", tc.path, got.body)
		}
		have := map[string]bool{}
		for _, m := range ids.FindAllStringSubmatch(got.body, -1) {
			if have[m[1]] {
				t.Errorf("%s: id %s stands twice", tc.path, m[1])
			}
			have[m[1]] = true
		}
		for _, m := range refs.FindAllStringSubmatch(got.body, -1) {
			for id := range strings.FieldsSeq(m[1]) {
				if !have[id] {
					t.Errorf("%s: refers to %q, which is not there", tc.path, id)
				}
			}
		}
		for _, m := range regexp.MustCompile(`/static/[^"]+`).FindAllString(got.body, -1) {
			if a := w.get(tc.browser, m); a.status != 200 || !strings.Contains(a.header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d", m, a.status)
			}
		}
	}
	for _, path := range []string{"/login", "/signup", "/signup/check-id", "/my/password", "/my/profile", "/exams/cooking/apply", "/my/applications/1/cancel", "/session/extend", "/logout"} {
		r, err := http.NewRequest(http.MethodPost, w.url+path, strings.NewReader("back=/"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if got := w.do(member, r); got.status != 403 {
			t.Errorf("POST %s from another site: %d", path, got.status)
		}
	}
	w.get(member, "/my").want(t, 200, "/my")
	w.post(visitor, "/login", url.Values{"login-id": {strings.Repeat("x", 20<<10)}}).want(t, 413, "/login", "너무 큽니다")
}
