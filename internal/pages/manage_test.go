package pages

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/consent"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/web"
)

// neighbour is somebody else with a phone of the same kind.
var neighbourCI = strings.Repeat("N", 86) + "=="

// desks gives the journey an agency at which the phone's number is proved.
func (j *journey) desks() *desk {
	d := &desk{method: method.Phone}
	j.server.Login.Methods[method.Phone] = d
	return d
}

// proves goes through the agency's window, as the person, from the page to which a request for the address leads.
func (v *visitor) proves(d *desk, first answer, who string) answer {
	v.t.Helper()
	if first.status != http.StatusSeeOther || !strings.HasPrefix(first.location, "/login/") {
		v.t.Fatalf("%d to %q, want the choice of a proof\n%.500s", first.status, first.location, first.body)
	}
	v.leads(v.post(first.location+"/phone", nil), strings.Replace(first.location, "/login/", "/proof/", 1))
	return v.get(d.path() + "?who=" + who)
}

// manages is a citizen who is registered, and logged in at the site, and has proved who they are.
func (j *journey) manages(t *testing.T, d *desk, locale string) *visitor {
	t.Helper()
	v := j.visitor(t, locale)
	v.at("done")
	v.leads(v.proves(d, v.get("/manage"), "me"), "/manage")
	return v
}

// managePage fails the test unless the page is one of 사용자 관리, with its deadline in it.
func (v *visitor) managePage(path string) answer {
	v.t.Helper()
	a := v.get(path)
	v.shows(path, a, 200, "")
	for _, want := range []string{`id="session"`, `data-seconds="`, `id="session-extend-now"`, `id="session-warning"`, `id="session-extend"`, `id="session-logout"`} {
		if !strings.Contains(a.body, want) {
			v.t.Errorf("%s has no %s", path, want)
		}
	}
	return a
}

func (v *visitor) says(what string, a answer, words ...string) {
	v.t.Helper()
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			v.t.Errorf("%s does not say %q", what, w)
		}
	}
}

// TestManagePages walks the pages of 사용자 관리 in both languages.
func TestManagePages(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"ko", "en"} {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, 1000)
			v := j.manages(t, j.desks(), locale)
			v.says("the overview", v.managePage("/manage"), citizenName, `id="manage-profile"`, `id="manage-sites"`, `id="manage-history"`, `id="manage-methods"`,
				`id="manage-sessions"`, `id="manage-export"`, `id="manage-withdraw"`, `id="manage-close"`)
			v.says("the profile", v.managePage("/manage/profile"), citizenName, "010-0000-0001", `id="profile-prove"`, `id="profile-save"`)
			v.says("the sites", v.managePage("/manage/sites"), `id="site-qnet-revoke"`, `href="/manage/sites/qnet/revoke"`)
			v.says("the revocation", v.managePage("/manage/sites/qnet/revoke"), `id="revoke-confirm"`, `id="revoke-cancel"`)
			history := v.managePage("/manage/history")
			v.says("the history", history, `id="not-me"`, `id="not-me-2"`, `id="history-csv"`, `id="history-json"`, "127.0.0.1")
			v.says("the methods", v.managePage("/manage/methods"), `id="method-last-1"`, `id="method-simple-block"`, `id="method-add"`)
			v.says("a block", v.managePage("/manage/methods/simple/block"), `id="block-confirm"`, `id="block-toss"`)
			v.says("the sessions", v.managePage("/manage/sessions"), `id="session-current"`, `id="session-end-1"`)
			v.says("the export", v.managePage("/manage/export"), `id="export-download"`)
			v.says("the withdrawal", v.managePage("/manage/withdraw"), `id="withdraw"`)
			v.says("the question", v.managePage("/manage/withdraw/confirm"), `id="withdraw-confirm"`, `id="withdraw-cancel"`)
			logged := j.log.String()
			for _, personal := range []string{citizenName, citizenBirth, "010-0000-0001", "1000000001", citizenCI} {
				if strings.Contains(logged, personal) {
					t.Errorf("the log tells %q", personal)
				}
			}
		})
	}
}

// TestManageNeedsProof: nothing of 사용자 관리 is shown or done for a browser that has proved nothing, and who has
// proved who they are comes back to where they wanted to go.
func TestManageNeedsProof(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	owner := j.manages(t, d, "ko")
	for _, r := range j.server.routes() {
		verb, path, _ := strings.Cut(r.pattern, " ")
		if !strings.HasPrefix(path, "/manage/") || path == closedPath || path == withdrawnPath {
			continue
		}
		stranger := j.visitor(t, "ko")
		path = strings.NewReplacer("{site}", "qnet", "{event}", "x", "{method}", "simple", "{credential}", "x").Replace(path)
		var a answer
		if verb == http.MethodGet {
			a = stranger.get(path)
		} else {
			a = stranger.post(path, url.Values{"page": {"sites"}})
		}
		switch path {
		case "/manage/close":
			stranger.leads(a, closedPath)
		case "/manage/extend":
			stranger.leads(a, lapsed("sites"))
		case "/manage/withdraw/confirm":
			if verb == http.MethodPost { // perhaps a second click
				stranger.leads(a, withdrawnPath)
				stranger.leads(stranger.get(withdrawnPath), lapsed("withdraw"))
				continue
			}
			fallthrough
		default:
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login/") || strings.Contains(a.body, citizenName) {
				t.Errorf("%s: %d to %q", r.pattern, a.status, a.location)
			}
		}
	}
	owner.managePage("/manage/sites") // nothing happened to it

	for _, name := range managePages {
		v := j.visitor(t, "ko")
		v.leads(v.proves(d, v.get(pageOf(name)), "me"), pageOf(name))
	}
}

// TestManageTime: the deadline moves with every page, can be extended, and is the server's.
func TestManageTime(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	extend := func(accept string) answer {
		r := v.request(http.MethodPost, "/manage/extend", strings.NewReader("page=history"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set("Accept", accept)
		return v.do(r)
	}
	for range 11 { // KRDS: at least ten times
		j.pass(9 * time.Minute)
		a := extend("application/json")
		var told struct {
			Seconds int
			Ends    string
		}
		if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.status != 200 || a.header.Get("Content-Type") != "application/json" || told.Seconds < 60 ||
			!regexp.MustCompile(`^[0-2][0-9]:[0-5][0-9]$`).MatchString(told.Ends) {
			t.Fatalf("%d %s: %v", a.status, a.body, err)
		}
	}
	v.leads(extend("text/html"), "/manage/history")
	v.leads(v.get(lapsed("history")), "/manage/history") // another tab has gone on
	j.pass(30 * time.Minute)
	if a := extend("application/json"); a.status != http.StatusGone {
		t.Errorf("too late, by script: %d", a.status)
	}
	v.leads(extend("text/html"), lapsed("history"))
	a := v.get(lapsed("history"))
	v.shows("lapsed", a, 200, "")
	v.says("lapsed", a, `id="manage-again" href="/manage/history"`)
	v.says("an unknown page", v.get(lapsed("https://evil.example")), `id="manage-again" href="/manage"`)
}

func TestProfile(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	wrong := v.post("/manage/profile", url.Values{"email": {`"><b>@`}, "locale": {"en"}, "new_browser": {"yes"}})
	v.shows("a wrong address", wrong, 422, "")
	v.says("a wrong address", wrong, `id="email-error"`, `value="&#34;&gt;&lt;b&gt;@"`, `id="locale-en" name="locale" value="en" checked`)
	v.shows("a wrong language", v.post("/manage/profile", url.Values{"locale": {"fr"}}), 400, ErrRequest)
	for range 2 { // a second click changes nothing
		v.leads(v.post("/manage/profile", url.Values{"email": {" hong@example.kr "}, "locale": {""}, "new_method": {"yes"}}), "/manage/profile?done=saved")
	}
	a := v.managePage("/manage/profile?done=saved")
	v.says("the profile", a, `id="saved"`, `value="hong@example.kr"`, `id="notice-new-method" name="new_method" value="yes" checked`)
	if strings.Contains(a.body, `name="new_browser" value="yes" checked`) {
		t.Error("a notice that is not wanted is ticked")
	}
	if strings.Contains(v.get("/manage/profile?done=withdrawn").body, `id="saved"`) {
		t.Error("what was not done is said to be")
	}
	v.leads(v.post("/manage/profile", url.Values{"locale": {"en"}}), "/manage/profile?done=saved&lang=en")
	v.locale = "en"
	v.managePage("/manage/profile?done=saved&lang=en")
	v.managePage("/manage") // remembered
}

// TestProveAnew: 새로 인증하기 comes back to the profile, by a proof of the same person only.
func TestProveAnew(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	v.shows("an unknown page", v.post("/manage/verify", url.Values{"page": {"elsewhere"}}), 400, ErrRequest)
	v.leads(v.proves(d, v.post("/manage/verify", url.Values{"page": {"profile"}}), "me"), "/manage/profile")
	first := v.post("/manage/verify", url.Values{"page": {"profile"}})
	v.says("the choice", v.get(first.location), "하던 화면으로 돌아갑니다")
	a := v.proves(d, first, "stranger")
	failed := v.get(a.location)
	v.shows("somebody else", failed, 200, ErrorCode(OtherPerson))
	v.says("somebody else", failed, "지금 사용자와 다른 사람의 인증입니다.")
	id := a.location[strings.LastIndex(a.location, "/")+1:]
	v.leads(v.post("/login/"+id+"/cancel", nil), "/manage/profile") // still who they were
	v.managePage("/manage/profile")
}

func TestRevokeSite(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	for _, foreign := range []string{"minwon", "nothing", "..%2Fqnet"} { // not used, or not there
		v.shows(foreign, v.get("/manage/sites/"+foreign+"/revoke"), 404, ErrNotFound)
		v.shows(foreign, v.post("/manage/sites/"+foreign+"/revoke", nil), 404, ErrNotFound)
	}
	v.leads(v.post("/manage/sites/qnet/revoke", nil), "/manage/sites?done=revoked")
	a := v.managePage("/manage/sites?done=revoked")
	v.says("what was done", a, `id="revoked"`, "큐넷", "로그아웃 확인", `id="no-sites"`)
	v.shows("a second click", v.post("/manage/sites/qnet/revoke", nil), 404, ErrNotFound)
	receipt := v.get("/logout/receipt")
	v.shows("the receipt", receipt, 200, "")
	v.says("the receipt", receipt, "큐넷", "로그아웃 확인")
	v.shows("somebody else's receipt", j.visitor(t, "ko").get("/logout/receipt"), 404, ErrNotFound)
	if !j.recorded(t, audit.AccessDenied) || !j.recorded(t, audit.SiteRevoked) {
		t.Error("not audited")
	}
}

// recorded reports whether there is an event of the action.
func (j *journey) recorded(t *testing.T, action audit.Action) bool {
	t.Helper()
	events, err := j.stack.DB.Audit().Unsealed(t.Context(), 1000)
	check(t, err)
	return slices.ContainsFunc(events, func(e audit.Event) bool { return e.Action == action })
}

func TestHistory(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	for i := range perPage + 5 {
		v.leads(v.post("/manage/profile", url.Values{"email": {fmt.Sprintf("hong%d@example.kr", i)}}), "/manage/profile?done=saved")
	}
	older := regexp.MustCompile(`id="history-older" href="([^"]+)"`)
	entries := func(a answer) int { return strings.Count(a.body, `class="when"`) }
	a := v.managePage("/manage/history")
	m := older.FindStringSubmatch(a.body)
	if m == nil || entries(a) != perPage {
		t.Fatalf("the first page has %d entries, and no way to the next", entries(a))
	}
	second := v.managePage(strings.ReplaceAll(m[1], "&amp;", "&"))
	v.says("the second page", second, `id="history-newest" href="/manage/history"`, "사용자 등록", "이용사이트 로그인")
	if entries(second) < 7 || strings.Contains(second.body, `id="history-older"`) {
		t.Errorf("the second page has %d entries", entries(second))
	}
	filtered := v.managePage("/manage/history?site=qnet&method=simple&outcome=success")
	v.says("filtered", filtered, "이용사이트 로그인", `<option value="qnet" selected>큐넷</option>`, `href="/manage/history.csv?method=simple&amp;outcome=success&amp;site=qnet"`)
	if strings.Contains(filtered.body, "<b>설정 변경</b>") {
		t.Error("the filter does not choose")
	}
	v.says("a site that is not used", v.managePage("/manage/history?site=minwon"), `id="no-history"`, `<option value="minwon" selected>민원마당</option>`)
	today := j.now().In(authn.Korea).Format(time.DateOnly)
	if a := v.managePage("/manage/history?from=" + today + "&to=" + today); entries(a) != perPage {
		t.Errorf("today has %d entries", entries(a))
	}
	v.says("another year", v.managePage("/manage/history?to=2020-01-01"), `id="no-history"`)
	for query, errors := range map[string]string{"from=2026-13-01": "from-error", "to=tomorrow": "to-error", "from=2026-11-02&to=2026-10-01": "to-error", "from=1999-01-01": "from-error"} {
		a := v.get("/manage/history?" + query)
		v.shows(query, a, 422, "")
		v.says(query, a, `id="`+errors+`"`)
		v.shows("a file of "+query, v.get("/manage/history.csv?"+query), 400, ErrRequest)
	}
	for _, query := range []string{"after=x", "after=!!", "method=password", "outcome=fine", "site=" + strings.Repeat("x", maxSiteID+1)} {
		v.shows(query, v.get("/manage/history?"+query), 400, ErrRequest)
	}

	file := v.get("/manage/history.csv")
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(file.body, "\ufeff"))).ReadAll()
	if err != nil || len(rows) < perPage+8 || file.header.Get("Content-Type") != "text/csv; charset=utf-8" || file.header.Get("Cache-Control") != "no-store" ||
		!strings.HasPrefix(file.header.Get("Content-Disposition"), `attachment; filename="anyid-history-2`) {
		t.Errorf("%d rows, %v, %v", len(rows), err, file.header)
	}
	var records []account.Record
	file = v.get("/manage/history.json?outcome=success")
	if err := json.Unmarshal([]byte(file.body), &records); err != nil || len(records) == 0 || len(records) > 5 || file.header.Get("Content-Type") != "application/json" {
		t.Errorf("%d records, %v, %v", len(records), err, file.header)
	}
}

func TestDisputeRecord(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	link := regexp.MustCompile(`id="not-me-2" href="([^"]+)"`).FindStringSubmatch(v.managePage("/manage/history").body)
	if link == nil {
		t.Fatal("the login cannot be disputed")
	}
	path := link[1]

	j.phone.held(neighbourCI)
	neighbour := j.visitor(t, "ko")
	neighbour.at("done")
	neighbour.leads(neighbour.provesByPhone(neighbour.get("/manage/history")), "/manage/history")
	neighbour.shows("another's entry", neighbour.get(path), 404, ErrNotFound)
	neighbour.shows("another's entry", neighbour.post(path, nil), 404, ErrNotFound)
	j.phone.held("")

	a := v.managePage(path)
	v.says("the question", a, `id="not-me-confirm"`, `id="not-me-cancel"`, "큐넷")
	done := v.post(path, nil)
	v.shows("reported", done, 200, "")
	v.says("reported", done, `id="not-me-done"`, `id="case-number"`, "간편인증")
	v.leads(v.post(path, nil), "/manage/history?done=reported")
	v.says("again", v.managePage("/manage/history?done=reported"), `id="not-me-done"`)
	v.says("the methods", v.managePage("/manage/methods"), "차단됨")
	v.says("the sessions", v.managePage("/manage/sessions"), `id="no-sessions"`)

	// The method is blocked, for the whole of the broker.
	id := v.begin()
	v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id)
	j.phone.set(authn.Approved, nil)
	v.leads(v.post("/proof/"+id, nil), "/proof/"+id)
	blocked := v.get("/proof/" + id)
	v.shows("blocked", blocked, 200, ErrorCode(Blocked))
	if strings.Contains(blocked.body, `id="retry"`) {
		t.Error("a blocked method is offered again")
	}
}

// provesByPhone goes on from the choice of a proof by simple authentication.
func (v *visitor) provesByPhone(first answer) answer {
	v.t.Helper()
	id := first.location[strings.LastIndex(first.location, "/")+1:]
	v.leads(v.post("/login/"+id+"/simple", typed), "/proof/"+id)
	v.j.phone.set(authn.Approved, nil)
	return v.post("/proof/"+id, nil)
}

func TestMethods(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	page := v.managePage("/manage/methods")
	v.says("the methods", page, "마지막 인증수단이라 삭제할 수 없습니다", `id="method-last-1"`, "카카오", "최초 사용자 등록")

	// What is not there, or the last, is not removed.
	v.shows("unknown", v.get("/manage/methods/simple/x/remove"), 404, ErrNotFound)
	v.shows("unknown", v.post("/manage/methods/simple/x/remove", nil), 404, ErrNotFound)
	own, err := j.server.Account.Methods(t.Context(), account.Visitor{Person: j.person(t)})
	check(t, err)
	last := removePath(method.Simple, own.Linked[0].ID)
	v.leads(v.get(last), "/manage/methods")
	v.leads(v.post(last, nil), "/manage/methods")
	v.says("the methods", v.managePage("/manage/methods"), `id="method-last-1"`)

	// Another one is added, by the same person only.
	begun := v.post("/manage/methods/add", nil)
	if begun.status != 303 || !strings.HasPrefix(begun.location, "/login/") {
		t.Fatalf("adding: %d %q", begun.status, begun.location)
	}
	choice := v.get(begun.location)
	v.shows("what can be added", choice, 200, "")
	v.says("what can be added", choice, "인증수단 추가 등록", `id="method-simple"`)
	if strings.Contains(choice.body, "sso-toggle") {
		t.Error("the toggle is shown where no site asks")
	}
	j.phone.held(neighbourCI)
	a := v.provesByPhone(begun)
	v.shows("somebody else's", v.get(a.location), 200, ErrorCode(OtherPerson))
	j.phone.held("")
	v.leads(v.provesByPhone(v.post("/manage/methods/add", nil)), "/manage/methods?done=added")
	v.says("added", v.managePage("/manage/methods?done=added"), `id="done"`)
	declined := v.post("/manage/methods/add", nil).location
	v.leads(v.post(declined+"/cancel", nil), "/manage/methods")

	// Blocks.
	v.shows("unknown", v.get("/manage/methods/phone/block"), 404, ErrNotFound)
	for _, wrong := range []url.Values{{}, {"method": {"ipin"}}, {"method": {"simple"}, "provider": {"nobody"}}} {
		v.shows("nonsense", v.post("/manage/methods/block", wrong), 400, ErrRequest)
	}
	for range 2 {
		v.leads(v.post("/manage/methods/block", url.Values{"method": {"simple"}, "provider": {"toss"}}), "/manage/methods?done=blocked")
	}
	v.leads(v.post("/manage/methods/block", url.Values{"method": {"financial_cert"}}), "/manage/methods?done=blocked")
	page = v.managePage("/manage/methods?done=blocked")
	v.says("blocked", page, `id="done"`, "토스", `id="method-unblock-1"`, `id="method-unblock-2"`)
	if strings.Contains(page.body, `id="method-financial-cert-block"`) || !strings.Contains(page.body, `id="method-simple-block"`) {
		t.Error("what is blocked whole can be blocked again, or what is not cannot")
	}
	v.leads(v.post("/manage/methods/unblock", url.Values{"method": {"financial_cert"}}), "/manage/methods?done=unblocked")
	v.leads(v.post("/manage/methods/unblock", url.Values{"method": {"simple"}, "provider": {"toss"}}), "/manage/methods?done=unblocked")
	v.shows("a block that is not there", v.post("/manage/methods/unblock", url.Values{"method": {"simple"}, "provider": {"toss"}}), 404, ErrNotFound)

	// What one has just verified with is not blocked.
	other := j.visitor(t, "ko")
	other.leads(other.provesByPhone(other.get("/manage/methods")), "/manage/methods")
	inUse := other.post("/manage/methods/block", url.Values{"method": {"simple"}})
	other.shows("in use", inUse, 409, "")
	other.says("in use", inUse, `id="block-in-use"`)
}

// person is the only one who is registered, or the last.
func (j *journey) person(t *testing.T) string {
	t.Helper()
	p, err := j.stack.DB.People().ByCI(t.Context(), j.server.Login.Index.Of("ci", citizenCI))
	check(t, err)
	return p.ID
}

// TestFresh: what cannot be undone asks for a proof that is minutes old at most, of the same person, and comes back.
func TestFresh(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	j.pass(6 * time.Minute)
	for request, page := range map[string]string{
		"GET /manage/withdraw": "withdraw", "POST /manage/withdraw": "withdraw", "GET /manage/withdraw/confirm": "withdraw", "POST /manage/withdraw/confirm": "withdraw",
		"POST /manage/export": "export", "POST /manage/methods/add": "methods", "POST /manage/methods/unblock": "methods",
		"GET /manage/methods/simple/x/remove": "methods", "POST /manage/methods/simple/x/remove": "methods",
	} {
		verb, path, _ := strings.Cut(request, " ")
		var a answer
		if verb == http.MethodGet {
			a = v.get(path)
		} else {
			a = v.post(path, nil)
		}
		if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login/") {
			t.Errorf("%s: %d to %q", request, a.status, a.location)
			continue
		}
		v.shows(request+" as another", v.get(v.proves(d, a, "stranger").location), 200, ErrorCode(OtherPerson))
		if page == "withdraw" && verb == http.MethodGet {
			continue // below
		}
		if a, err := j.server.Login.Load(t.Context(), a.location[len("/login/"):], v.secret()); err != nil || a.Next != page || a.Expect == "" {
			t.Errorf("%s: %v, leads on to %q", request, err, a.Next)
		}
	}
	v.managePage("/manage/methods") // reading asks for nothing more
	v.leads(v.proves(d, v.get("/manage/withdraw"), "me"), "/manage/withdraw")
	v.managePage("/manage/withdraw")
	v.leads(v.post("/manage/withdraw", nil), "/manage/withdraw/confirm")
}

// secret is the browser's secret.
func (v *visitor) secret() string {
	u, err := url.Parse(v.j.http.URL)
	check(v.t, err)
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == "anyid-"+browserCookie {
			return c.Value
		}
	}
	return ""
}

func TestSessions(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	j.phone.held(neighbourCI)
	neighbour := j.visitor(t, "ko")
	neighbour.at("done")
	neighbour.leads(neighbour.provesByPhone(neighbour.get("/manage/sessions")), "/manage/sessions")
	j.phone.held("")
	foreign := sessionID(t, neighbour.managePage("/manage/sessions"))
	elsewhere := j.visitor(t, "ko")
	elsewhere.at("done")
	third := j.visitor(t, "ko")
	third.at("done")

	page := v.managePage("/manage/sessions")
	v.says("the sessions", page, `id="session-end-3"`, `id="sessions-end-others"`, "큐넷")
	if strings.Count(page.body, `id="session-current"`) != 1 {
		t.Error("this browser's session is not marked")
	}
	for _, id := range []string{foreign, "", "nothing"} {
		v.shows("not theirs", v.post("/manage/sessions/end", url.Values{"session": {id}}), 404, ErrNotFound)
	}
	// Those that began within one second come in any order, so the one that is this browser's is left out.
	sections := slices.DeleteFunc(strings.Split(page.body, "<section")[1:], func(s string) bool { return strings.Contains(s, `id="session-current"`) })
	first := sessionID(t, answer{body: sections[0]})
	v.leads(v.post("/manage/sessions/end", url.Values{"session": {first}}), "/manage/sessions?done=ended")
	a := v.managePage("/manage/sessions?done=ended")
	v.says("ended", a, `id="ended"`, "로그아웃 확인")
	v.shows("a second click", v.post("/manage/sessions/end", url.Values{"session": {first}}), 404, ErrNotFound)
	for range 2 { // the second ends none
		v.leads(v.post("/manage/sessions/end-others", nil), "/manage/sessions?done=ended")
	}
	a = v.managePage("/manage/sessions?done=ended")
	if strings.Contains(a.body, `id="session-end-2"`) || strings.Contains(a.body, `id="sessions-end-others"`) || !strings.Contains(a.body, `id="session-current"`) {
		t.Error("not all others, or this one too, have ended")
	}
	neighbour.says("the neighbour's", neighbour.managePage("/manage/sessions"), `id="session-current"`)
}

// sessionID is the first session of the page.
func sessionID(t *testing.T, a answer) string {
	t.Helper()
	m := regexp.MustCompile(`name="session" value="([^"]+)"`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatal("no session")
	}
	return m[1]
}

func TestExport(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	a := v.post("/manage/export", nil)
	var all map[string]any
	if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 || a.header.Get("Content-Type") != "application/json" ||
		!strings.HasPrefix(a.header.Get("Content-Disposition"), `attachment; filename="anyid-2`) || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.body, citizenName) {
		t.Errorf("%d %v: %v", a.status, a.header, err)
	}
	if !j.recorded(t, audit.DataExported) {
		t.Error("not audited")
	}
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	d := j.desks()
	v := j.manages(t, d, "ko")
	elsewhere := j.visitor(t, "ko")
	elsewhere.at("done")
	elsewhere.leads(elsewhere.proves(d, elsewhere.get("/manage"), "me"), "/manage")
	j.told.dead["qnet"] = true
	page := v.managePage("/manage/withdraw")
	v.says("the page", page, "사용자 등록 해지는 즉시 처리되며, 정부 통합인증(Any-ID) 이용정보는 모두 삭제됩니다.", "해지 후 정부 통합인증(Any-ID) 이용 시 사용자 등록을 다시 하셔야 합니다.")
	v.leads(v.post("/manage/withdraw", nil), "/manage/withdraw/confirm")
	v.says("the question", v.managePage("/manage/withdraw/confirm"), "등록해지하시겠습니까?", ">확인<", ">취소<")
	person := j.person(t)
	for range 2 { // a second click is shown what the first one did
		v.leads(v.post("/manage/withdraw/confirm", nil), "/manage/withdrawn")
	}
	done := v.get("/manage/withdrawn")
	v.shows("done", done, 200, "")
	v.says("done", done, `id="withdraw-done"`, "사용자 등록 해지 완료", "사용자 등록 해지가 정상적으로 처리되었습니다.", `id="withdraw-number"`, "큐넷", "시도 중")
	number := regexp.MustCompile(`id="withdraw-number">([^<]+)<`).FindStringSubmatch(done.body)
	kept, err := j.server.Account.Retained(t.Context(), number[1])
	if err != nil || len(kept) != 1 {
		t.Errorf("nothing is kept under the number: %v", err)
	}
	if _, err := j.stack.DB.People().ByID(t.Context(), person); err == nil {
		t.Error("the person is there")
	}
	u, err := url.Parse(j.http.URL)
	check(t, err)
	for _, c := range v.client.Jar.Cookies(u) {
		switch c.Name {
		case "anyid-" + login.SelfCookie, "anyid-" + session.Cookie, "anyid-" + session.DeviceCookie:
			t.Errorf("the browser keeps %s", c.Name)
		}
	}
	a := v.proves(d, v.get("/manage"), "me")
	failed := v.get(a.location)
	v.shows("who has withdrawn", failed, 200, ErrorCode(NotRegistered))
	v.says("who has withdrawn", failed, `id="link-register" href="/register"`)

	// What another browser has verified is about nobody.
	for _, path := range []string{"/manage", "/manage/profile", "/manage/withdraw"} {
		if a := elsewhere.get(path); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login/") {
			t.Errorf("elsewhere, %s: %d to %q", path, a.status, a.location)
		}
	}
	elsewhere.shows("elsewhere", elsewhere.get(lapsed("")), 200, "")
	if logged := j.log.String(); strings.Contains(logged, number[1]) {
		t.Error("the log tells the number")
	}
}

// TestWithdrawOnce: of many at once one withdraws, and nobody gets an error.
func TestWithdrawOnce(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	var group sync.WaitGroup
	answers := make([]answer, 8)
	for i := range answers {
		group.Go(func() { answers[i] = v.post("/manage/withdraw/confirm", nil) })
	}
	group.Wait()
	for _, a := range answers {
		if a.status != http.StatusSeeOther || a.location != withdrawnPath && a.location != lapsed("withdraw") {
			t.Errorf("%d to %q", a.status, a.location)
		}
	}
	v.says("done", v.get("/manage/withdrawn"), `id="withdraw-number"`)
}

// TestNotMe follows the link of a message about a login from a new browser.
func TestNotMe(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	v.leads(v.post("/manage/profile", url.Values{"email": {"hong@example.kr"}, "new_browser": {"yes"}}), "/manage/profile?done=saved")
	thief := j.visitor(t, "ko")
	thief.at("done")
	link := j.link(t)
	mail := j.visitor(t, "ko") // some other browser, which need not know anybody
	for range 3 {              // mail programs open links
		a := mail.get(link)
		mail.shows("the question", a, 200, "")
		mail.says("the question", a, `id="not-me"`, "큐넷", "간편인증", "처음 보는 브라우저에서 로그인")
		if strings.Contains(a.body, citizenName) {
			t.Error("the page tells whose it is")
		}
	}
	r := mail.request(http.MethodHead, link, nil)
	if a := mail.do(r); a.status != 200 {
		t.Errorf("HEAD: %d", a.status)
	}
	if j.recorded(t, audit.DisputeOpened) {
		t.Fatal("looking has disputed it")
	}
	code := link[strings.Index(link, "code=")+len("code="):]
	done := mail.post("/not-me", url.Values{"code": {code}})
	mail.shows("done", done, 200, "")
	mail.says("done", done, `id="not-me-done"`, `id="case-number"`, "간편인증")
	again := mail.post("/not-me", url.Values{"code": {code}})
	mail.shows("again", again, 409, "")
	mail.says("again", again, "이미 신고하셨습니다.")
	mail.says("again", mail.get(link), "이미 신고하셨습니다.")
	for _, unknown := range []string{"", "x", code + "x", strings.Repeat("x", 2000)} {
		mail.shows("unknown", mail.get("/not-me?code="+unknown), 404, ErrCode)
		mail.shows("unknown", mail.post("/not-me", url.Values{"code": {unknown}}), 404, ErrCode)
	}
	v.says("the sessions", v.managePage("/manage/sessions"), `id="no-sessions"`)
	if strings.Contains(j.log.String(), code) {
		t.Error("the log tells the code")
	}
}

// link waits for the message about a login, and returns the path of its link.
func (j *journey) link(t *testing.T) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		j.posted.mu.Lock()
		for _, m := range j.posted.sent {
			if path, ok := strings.CutPrefix(m.Link, "https://anyid.example"); ok && m.Kind == notice.NewBrowser {
				j.posted.mu.Unlock()
				return path
			}
		}
		j.posted.mu.Unlock()
	}
	t.Fatal("no message came")
	return ""
}

// TestRegisterAlone is 사용자 등록 without a site.
func TestRegisterAlone(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{"ko", "en"} {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			j := newJourney(t, 1000)
			j.desks()
			v := j.visitor(t, locale)
			site := v.get("/login/" + v.begin())
			v.says("the choice", site, `id="link-register" href="/register"`, `id="link-manage" href="/manage"`)
			begun := v.get("/register")
			choice := v.get(begun.location)
			v.shows("the choice of a method", choice, 200, "")
			if strings.Contains(choice.body, "sso-toggle") || strings.Contains(choice.body, "method-site-login") || !strings.Contains(choice.body, `id="method-joint-cert"`) {
				t.Error("the page is that of a site")
			}
			a := v.provesByPhone(begun)
			if !strings.HasPrefix(a.location, "/register/") {
				t.Fatalf("%d to %q", a.status, a.location)
			}
			v.shows("the agreements", v.get(a.location), 200, "")
			first, second := v.post(a.location, agrees), v.post(a.location, agrees)
			v.leads(first, "/registered")
			v.leads(second, "/registered")
			done := v.get("/registered")
			v.shows("registered", done, 200, "")
			v.says("registered", done, `id="link-manage"`, `id="manage-close"`)
			v.managePage("/manage")
			v.leads(v.post("/manage/close", nil), "/manage/closed")

			declined := v.get("/register").location
			v.leads(v.post(declined+"/cancel", nil), "/manage/closed?why=declined")
			v.shows("declined", v.get("/manage/closed?why=declined"), 200, "")
			v.shows("over", v.get(declined), 409, ErrDone)
		})
	}
}

// TestRenewal: a registered person is asked for what has changed, and for nothing else; who declines stays what they
// were.
func TestRenewal(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.visitor(t, "ko")
	v.at("done")
	fsys := fstest.MapFS{}
	names, err := fs.Glob(termFiles, "terms/*")
	check(t, err)
	for _, name := range names {
		b, err := fs.ReadFile(termFiles, name)
		check(t, err)
		if strings.Contains(name, "privacy") {
			b = []byte(strings.Replace(string(b), "version: 2026-11-01", "version: 2027-01-01", 1))
		}
		fsys[strings.TrimPrefix(name, "terms/")] = &fstest.MapFile{Data: b}
	}
	documents, err := ReadDocuments(fsys)
	check(t, err)
	j.server.Documents, j.server.Login.Terms = documents, consent.Versions(documents.Texts(web.Korean))
	j.server.Views, err = NewViews(sampleBranding(), documents, web.Cookies{}, slog.New(slog.DiscardHandler))
	check(t, err)

	j.request.Prompts = []string{"consent"}
	id := v.begin()
	page := v.get("/register/" + id)
	v.shows("what has changed", page, 200, "")
	v.says("what has changed", page, "바뀐 내용을 확인해 주세요.", `id="agree-privacy"`, "시행일: 2027-01-01", `id="register-decline"`)
	if strings.Contains(page.body, `id="agree-terms"`) || strings.Contains(page.body, `id="agree-unique-id"`) || strings.Contains(page.body, " checked") {
		t.Error("what has not changed is asked for, or something is ticked beforehand")
	}
	v.leads(v.get("/consent/"+id), "/register/"+id)
	incomplete := v.post("/register/"+id, url.Values{"privacy": {"disagree"}})
	v.shows("not agreed", incomplete, 422, "")
	v.says("not agreed", incomplete, `id="register-error"`, `id="agree-privacy-no" name="privacy" value="disagree" aria-describedby="privacy-ask" checked autofocus`)
	if a := v.post("/register/"+id+"/decline", nil); !strings.HasSuffix(a.location, "?error=access_denied") {
		t.Errorf("declined: %q", a.location)
	}
	if p, err := j.stack.DB.People().ByID(t.Context(), j.person(t)); err != nil || strings.Contains(p.Terms, "2027") {
		t.Errorf("declining has changed something: %v %q", err, p.Terms)
	}
	id = v.begin()
	v.leads(v.post("/register/"+id, url.Values{"privacy": {"agree"}, "locale": {"ko"}}), "/consent/"+id)
	v.leads(v.post("/register/"+id, url.Values{"privacy": {"agree"}}), "/consent/"+id)
	id = v.begin() // by the session, which knows of nothing
	v.leads(v.get("/register/"+id), "/consent/"+id)
	v.shows("not asked again", v.get("/consent/"+id), 200, "")
}

// TestStepUp: who is logged in, and not strongly or recently enough, is told what the site asks for, and what is there.
func TestStepUp(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	j.phone.level = 2
	v := j.visitor(t, "ko")
	v.at("done")
	asks := func(what string, words ...string) {
		t.Helper()
		// The authorization endpoint would not use the session here.
		a, err := j.server.Login.Begin(t.Context(), login.Start{Browser: v.secret(), Request: j.request, Asked: []string{"name"}})
		check(t, err)
		page := v.get("/login/" + a.ID)
		v.shows(what, page, 200, "")
		v.says(what, page, words...)
	}
	j.request.ACRValues = []string{method.Level(3).ACR()}
	asks("a level", `id="step-up"`, "인증 수준 3 이상", "간편인증(인증 수준 2)", `id="method-joint-cert"`)
	j.request.ACRValues = []string{method.FinancialCert.ACR()}
	asks("a method", "필요한 인증수단: 금융인증서", "간편인증(인증 수준 2)")
	age := int64(60)
	j.request.ACRValues, j.request.MaxAge = nil, &age
	j.pass(2 * time.Minute)
	asks("a recent proof", "방금 한 본인 인증")
	j.request.MaxAge = nil
	asks("nothing in particular", `id="step-up"`, "본인 인증을 한 번 더 해야 합니다")
	j.pass(2 * time.Hour)
	a, err := j.server.Login.Begin(t.Context(), login.Start{Browser: v.secret(), Request: j.request})
	check(t, err)
	if strings.Contains(v.get("/login/"+a.ID).body, `id="step-up"`) {
		t.Error("a session that is over is spoken of")
	}
}

// TestManageBadRequests sends to every POST of 사용자 관리 what is wrong in each way: the right 4xx and a page, and
// nothing is changed.
func TestManageBadRequests(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 100000)
	v := j.manages(t, j.desks(), "ko")
	large := strings.Repeat("x=1234567&", 1000)
	for _, r := range j.server.routes() {
		verb, path, _ := strings.Cut(r.pattern, " ")
		if !strings.HasPrefix(path, "/manage") && !strings.HasPrefix(path, notMePath) && path != registerPath && path != registeredPath && path != receiptPath {
			continue
		}
		path = strings.NewReplacer("{site}", "qnet", "{event}", "x", "{method}", "simple", "{credential}", "x").Replace(path)
		if verb == http.MethodGet {
			a := v.do(v.request(http.MethodDelete, path, nil))
			if a.status != http.StatusMethodNotAllowed {
				t.Errorf("DELETE %s: %d", path, a.status)
			}
			continue
		}
		post := func(body string, change func(*http.Request)) answer {
			t.Helper()
			r := v.request(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if change != nil {
				change(r)
			}
			return v.do(r)
		}
		v.shows(path+" malformed", post("page=%zz", nil), 400, ErrRequest)
		v.shows(path+" twice", post("page=a&page=b", nil), 400, ErrRequest)
		v.shows(path+" too large", post(large, nil), 413, ErrTooLarge)
		v.shows(path+" as JSON", post("{}", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }), 415, ErrRequest)
		for _, origin := range []string{"https://evil.example", "null"} {
			v.shows(path+" from "+origin, post("", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", origin) }), 403, ErrCrossOrigin)
		}
		for _, sender := range []string{"cross-site", "same-site"} {
			v.shows(path+" "+sender, post("", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", sender) }), 403, ErrCrossOrigin)
		}
	}
	v.says("the overview", v.managePage("/manage"), citizenName)
	v.says("the sites", v.managePage("/manage/sites"), "큐넷")
	v.says("the sessions", v.managePage("/manage/sessions"), `id="session-current"`)
}

// TestManageIsLimited: who has proved nothing may not begin proofs without end.
func TestManageIsLimited(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 2)
	j.desks()
	v := j.visitor(t, "ko")
	for i := range 4 {
		a := v.get("/manage/history")
		if i < 2 && a.status != http.StatusSeeOther || i >= 2 && a.status != http.StatusTooManyRequests {
			t.Errorf("request %d: %d", i, a.status)
		}
	}
}

// TestManageStoreDown: a page that says so.
func TestManageStoreDown(t *testing.T) {
	t.Parallel()
	j := newJourney(t, 1000)
	v := j.manages(t, j.desks(), "ko")
	j.kv.set(true)
	for _, path := range []string{"/manage", "/manage/sites", lapsed("sites")} {
		v.shows(path, v.get(path), 503, ErrUnavailable)
	}
	j.kv.set(false)
	v.managePage("/manage/sites")
}

func TestParseCursor(t *testing.T) {
	t.Parallel()
	want := audit.Cursor{At: time.UnixMilli(1793000000123).UTC(), ID: "abcdefghijklmnopqrstuvwxyz"}
	if got, ok := parseCursor(formatCursor(want)); !ok || !got.At.Equal(want.At) || got.ID != want.ID {
		t.Errorf("%+v", got)
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{"", "x", formatCursor(audit.Cursor{At: time.UnixMilli(1), ID: "a"}), "MSA", "MDEgYQ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := parseCursor(text)
		if ok && text != "" && formatCursor(c) != text {
			t.Errorf("%q is read as %+v, which is written %q", text, c, formatCursor(c))
		}
	})
}

func TestParseDay(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-11-01": "2026-11-01", "2026.11.1": "", "20261101": "2026-11-01", "2026. 11. 01": "2026-11-01", "2026-02-30": "", "1999-12-31": "", "x": "", "-": "", "2026-11-01T00:00": "",
	} {
		got, ok := parseDay(text)
		if ok != (want != "") || ok && got.Format(time.DateOnly) != want {
			t.Errorf("parseDay(%q) = %v, %t", text, got, ok)
		}
	}
	if day, ok := parseDay(""); !ok || !day.IsZero() {
		t.Error("an empty day is none, and right")
	}
}

func FuzzParseDay(f *testing.F) {
	for _, seed := range []string{"2026-11-01", "", "2026.11.01", "0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		day, ok := parseDay(text)
		if !ok || day.IsZero() {
			return
		}
		if again, ok := parseDay(day.Format(time.DateOnly)); !ok || !again.Equal(day) {
			t.Errorf("%q is read as %v", text, day)
		}
	})
}
