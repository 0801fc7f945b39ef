package stage

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/person"
)

// TestAccessibleJourneys goes every way of a citizen on a phone's screen with the keyboard alone, and holds each page on
// it, the sites' too, to WCAG 2.2 AA.
func TestAccessibleJourneys(t *testing.T) {
	t.Parallel()
	judged := new(sync.Map)
	for name, journey := range map[string]struct {
		of   role
		walk func(*seat)
	}{
		"log in and register": {newcomer, (*seat).registers}, "sites, sessions and history": {member, (*seat).looksAfterSites},
		"methods and settings": {newcomer, (*seat).looksAfterMethods}, "the warning before the end": {newcomer, (*seat).isWarned},
		"export and withdraw": {newcomer, (*seat).withdraws}, "log out": {member, (*seat).logsOut}, "not me": {member, (*seat).disputes},
		"mobile ID": {newcomer, (*seat).showsQR}, "joint certificate": {holder, (*seat).signsWithFile}, "financial certificate": {holder, (*seat).signsInCloud},
	} {
		t.Run(name, func(t *testing.T) {
			onOne(t, func(t *testing.T, p *play) {
				k := &seat{p.actor(t, journey.of, chromium.Options{}), judged}
				k.Size(390, 844)
				journey.walk(k)
			})
		})
	}
}

// seat is a person who has no pointer.
type seat struct {
	*actor
	judged *sync.Map // pages of all journeys
}

// kind tells pages apart that do not differ in their words alone: by address, title and headings, and by what one can do.
const kind = `location.host + location.pathname.replace(/[^/]{20,}/g, "*") + " " + document.title + " " +
	[...document.querySelectorAll("h1,h2,dialog[open],[role=alert],[role=status],.krds-critical-alerts")].map(e => e.localName + e.className + (e.checkVisibility() ? "" : "?")).join()`

// judge holds the page to WCAG 2.2 AA, once for all journeys: as axe-core sees it, and as somebody does who walks through
// it by the tab key, forwards and back. The first stop skips what all pages begin with.
func (k *seat) judge() {
	k.t.Helper()
	k.Wait("main")
	page := k.Value(kind)
	if _, known := k.judged.LoadOrStore(page, true); known {
		return
	}
	for _, v := range k.Axe() {
		k.t.Errorf("%s: %s", k.URL(), v)
	}
	if width := k.Value("document.documentElement.scrollWidth + ' ' + innerWidth"); width != "390 390" {
		k.t.Errorf("%s is %s pixels wide where there are 390", k.URL(), width)
	}
	stops, faults := k.Walk()
	if len(stops) == 0 || stops[0].Name != "본문 바로가기" {
		faults = append(faults, fmt.Sprintf("the first of %v does not skip to the content", stops))
	}
	for _, fault := range faults {
		k.t.Errorf("%s: %s", k.URL(), fault)
	}
	k.backwards(stops)
}

// backwards goes through the stops from the last to the first.
func (k *seat) backwards(stops []chromium.Focus) {
	k.t.Helper()
	left := len(stops)
	same := func(a, b chromium.Focus) bool {
		return a.ID == b.ID && a.Tag == b.Tag && a.Role == b.Role && a.Name == b.Name
	}
	const parts = 8 // of one control, and of what is no page
	for pressed := 0; left > 0 && pressed < (len(stops)+1)*parts; pressed++ {
		k.Press("Shift+Tab")
		f := k.Focused()
		switch {
		case same(f, stops[left-1]):
			left--
		case left < len(stops) && same(f, stops[left]), f.Tag == "body", f.Tag == "html": // a part of the same, or the browser's own
		case left == len(stops): // the walk begins in the middle
		default:
			k.t.Errorf("%s: Shift+Tab goes from %s to %s, and not to %s", k.URL(), stops[left], f, stops[left-1])
			return
		}
	}
	if left > 0 {
		k.t.Errorf("%s: Shift+Tab does not reach %s", k.URL(), stops[left-1])
	}
}

// push goes to a link or button, presses the enter key, and waits for the page that comes of it.
func (k *seat) push(id string) {
	k.t.Helper()
	k.TabTo(id)
	k.Enter()
	k.Wait("main")
}

// sees waits for what a page says, and judges the page.
func (k *seat) sees(id string) {
	k.t.Helper()
	k.Wait(id)
	k.judge()
}

// types puts a text in place of what a field holds.
func (k *seat) types(id, text string) {
	k.t.Helper()
	k.TabTo(id)
	k.Insert(text)
	if got := k.Value(`document.getElementById("` + id + `").value`); got != text {
		k.t.Errorf("%s holds %q, want %q", id, got, text)
	}
}

// picks chooses among radio buttons, from the one that the tab key stops at, by the arrow keys and the space bar.
func (k *seat) picks(stop, want string) {
	k.t.Helper()
	k.TabTo(stop)
	if stop == want {
		k.Press("Space")
	}
	for pressed := 0; k.Focused().ID != want; pressed++ {
		if pressed == 20 {
			k.t.Fatalf("the arrow keys do not reach %s", want)
		}
		k.Press("ArrowDown")
	}
	if k.Value(`document.getElementById("`+want+`").checked`) != "true" {
		k.t.Fatalf("%s is not chosen", want)
	}
}

// proves goes through simple authentication, from its form to the wait for the phone.
func (k *seat) proves() {
	k.t.Helper()
	k.picks(k.Value(`document.querySelector("[name=provider]").id`), "provider-toss")
	k.types("name", k.Name)
	k.types("birthdate", k.BirthDate)
	k.types("phone", k.Phone)
	k.push("request-auth")
	k.sees("auth-complete")
}

// identifies proves who the person is, and goes to a page of 사용자 관리.
func (k *seat) identifies(page string) {
	k.t.Helper()
	k.Open(k.s.BrokerURL + "/manage" + page)
	k.sees("verify-simple")
	k.push("verify-simple")
	k.sees("request-auth")
	k.proves()
	k.approve()
	k.Wait("session") // by itself
}

// pushFresh is push where a proof is asked for again that has become old on a slow machine.
func (k *seat) pushFresh(id string) {
	k.t.Helper()
	k.push(id)
	if !k.Has("verify-simple") {
		return
	}
	k.sees("verify-simple")
	k.push("verify-simple")
	k.proves()
	k.approve()
	k.Wait("session")
	if k.Has(id) {
		k.push(id)
	}
}

// registers logs in by simple authentication for the first time: every page from the site and back, with what can go
// wrong on the way.
func (k *seat) registers() {
	k.Open(k.s.QNetURL)
	k.judge()
	k.Open(k.s.QNetURL + "/guide")
	k.judge()
	k.Open(k.s.QNetURL + "/login")
	k.judge()
	k.push("anyid-login")
	k.sees("method-simple")
	k.TabTo("sso-toggle")
	k.Press("Space")
	k.eventually(`document.getElementById("sso-toggle")?.getAttribute("aria-checked") + document.readyState`, "falsecomplete")
	k.judge()
	k.push("sso-toggle")
	k.push("link-register")
	k.sees("method-simple")
	k.push("auth-cancel")
	k.judge()
	k.Open(k.s.QNetURL + "/login")
	k.push("anyid-login")
	k.push("method-simple")
	k.sees("request-auth")
	k.push("request-auth") // with nothing in it
	k.Wait("phone-error")
	if f := k.Focused(); !strings.HasPrefix(f.ID, "provider-") {
		k.t.Errorf("the focus is at %s", f)
	}
	k.judge()
	k.proves()
	k.push("auth-complete") // too early
	k.sees("proof-not-yet")
	for _, w := range k.s.Phones.Waiting(k.Phone) {
		must(k.t, k.s.Phones.Deny(w.ReceiptID))
	}
	k.sees("error-code")
	k.push("choose-method")
	k.push("method-simple")
	k.proves()
	k.approve()
	k.sees("register")
	k.push("register") // without an agreement
	k.sees("register-error")
	for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
		k.picks(id+"-no", id)
	}
	k.push("register")
	k.sees("consent-allow")
	k.push("consent-allow")
	k.sees("signup-form")
	k.signUp() // the site's form; a file cannot be chosen by keys that a test presses
	k.Wait("signed-in-name")
	k.judge()
	for _, page := range []string{"/find", "/exams", "/my/certificates", "/my/password", "/my/profile"} {
		k.Open(k.s.QNetURL + page)
		k.judge()
	}
	k.push("step-up")
	k.sees("method-simple")
	k.push("auth-cancel")
	k.judge()
	k.Open(k.s.PetitionURL)
	k.judge()
	k.push("anyid-login") // and through the broker without a question
	k.sees("signed-in-name")
	k.signedIn(k.s.PetitionURL)
}

// looksAfterSites ends the use of a site and a session elsewhere, and looks for what was done.
func (k *seat) looksAfterSites() {
	k.join()
	k.goToPortal()
	k.signedIn(k.s.PetitionURL)
	k.elsewhere().login()

	k.identifies("")
	k.sees("manage-name")
	k.push("manage-sites")
	k.sees("site-minwon-revoke")
	k.push("site-minwon-revoke")
	k.sees("revoke-confirm")
	k.push("revoke-cancel")
	k.push("site-minwon-revoke")
	k.push("revoke-confirm")
	k.sees("revoked")
	if id, connected := k.s.kept(k.t, k.Person, "minwon"); id == "" || connected {
		k.t.Error("still connected")
	}
	k.push("manage-home")

	k.push("manage-sessions")
	k.sees("sessions-end-others")
	k.push(k.Value(`[...document.querySelectorAll("section.entry")].find(e => !e.querySelector("#session-current")).querySelector("button").id`))
	k.sees("ended")
	if k.Has("sessions-end-others") {
		k.t.Error("the session elsewhere is there still")
	}
	k.push("manage-home")

	k.push("manage-history")
	k.sees("history-filter")
	k.TabTo("history-filter")
	k.Press("Space")
	k.eventually(`document.querySelector("details").open`, "true")
	k.judgeOpened()
	k.TabTo("outcome")
	k.Press("ArrowDown")
	k.eventually(`document.getElementById("outcome").value`, "success")
	k.push("history-apply")
	k.sees("history-reset")
	k.push("history-reset")
	k.push("not-me")
	k.sees("not-me-confirm")
	k.push("not-me-cancel")
	k.push("manage-close")
	k.judge()
}

// judgeOpened judges a page again on which something was opened.
func (k *seat) judgeOpened() {
	k.t.Helper()
	for _, v := range k.Axe() {
		k.t.Errorf("%s, opened: %s", k.URL(), v)
	}
	_, faults := k.Walk()
	for _, fault := range faults {
		k.t.Errorf("%s, opened: %s", k.URL(), fault)
	}
}

// looksAfterMethods blocks a method and lifts the block, and changes the settings.
func (k *seat) looksAfterMethods() {
	k.s.registered(k.t, k.Person)
	k.identifies("/methods")
	k.sees("method-add")
	k.push("method-simple-block")
	k.sees("block-confirm")
	k.picks("block-all", "block-naver")
	k.push("block-confirm")
	k.sees("done")
	k.pushFresh("method-unblock-1")
	k.sees("done")
	k.push("method-financial-cert-block")
	k.sees("block-confirm")
	k.push("block-confirm")
	k.sees("done")
	k.pushFresh("method-unblock-1")
	k.Wait("done")
	if held, _ := k.s.known(k.t, k.Person); len(held.Blocks) != 0 {
		k.t.Errorf("blocks left: %+v", held.Blocks)
	}
	k.pushFresh("method-add")
	k.sees("method-simple")
	k.push("auth-cancel")
	k.Wait("main")

	k.Open(k.s.BrokerURL + "/manage/profile")
	k.sees("profile-save")
	k.types("email", "nobody at all")
	k.push("profile-save")
	k.Wait("email-error")
	if f := k.Focused(); f.ID != "email" {
		k.t.Errorf("the focus is at %s", f)
	}
	k.judge()
	k.types("email", "k"+k.Phone+"@example.kr")
	k.picks("locale-none", "locale-ko")
	k.TabTo("notice-new-browser")
	k.Press("Space")
	k.push("profile-save")
	k.sees("saved")
	held, err := k.s.App.Account.Profile(k.t.Context(), k.s.visitor(k.t, k.Person))
	must(k.t, err)
	if s := held.Settings; s.Email != "k"+k.Phone+"@example.kr" || s.Locale != "ko" || !slices.Equal(s.Quiet, []string{"new_browser"}) {
		k.t.Errorf("settings: %+v", s)
	}
	k.push("profile-prove")
	k.sees("verify-simple")
	k.push("auth-cancel")
	k.judge()
}

// isWarned meets the warning before the end, by a clock that is set forward: it takes the focus, keeps it, and gives it back.
func (k *seat) isWarned() {
	k.s.registered(k.t, k.Person)
	k.identifies("")
	k.Wait("manage-name")
	const at = "manage-sites"
	dialog := `document.getElementById("session-warning").open`
	forward := func(seconds int) {
		k.Value(fmt.Sprintf(`(now => { Date.now = () => now() + %d })(Date.now.bind(Date))`, seconds*1000))
	}
	k.TabTo(at)
	var seconds int
	remaining := k.Value(`document.getElementById("session").dataset.seconds`)
	if _, err := fmt.Sscan(remaining, &seconds); err != nil {
		k.t.Fatalf("the page has %s seconds", remaining)
	}
	const left = 58
	forward(seconds - left)
	k.eventually(dialog, "true")
	if f := k.Focused(); !f.Visible || k.Value(`document.activeElement.closest("dialog") !== null`) != "true" {
		k.t.Errorf("%s: the warning leaves the focus at %s", k.URL(), f)
	}
	k.TabTo("session-logout")
	k.TabTo("session-extend")
	for _, v := range k.Axe() {
		k.t.Errorf("%s, warning: %s", k.URL(), v)
	}
	k.Press("Enter")
	k.eventually(dialog, "false")
	if f := k.Focused(); f.ID != at || !f.Visible {
		k.t.Errorf("%s: after the warning the focus is at %s", k.URL(), f)
	}
}

// withdraws takes everything along, and ends the registration.
func (k *seat) withdraws() {
	k.s.registered(k.t, k.Person)
	k.identifies("")
	k.push("manage-export")
	k.sees("export-download")
	k.TabTo("export-download")
	k.Press("Enter")
	k.exported()
	k.push("manage-home")
	k.pushFresh("manage-withdraw")
	k.sees("withdraw")
	k.pushFresh("withdraw")
	k.sees("withdraw-confirm")
	k.push("withdraw-cancel")
	k.pushFresh("withdraw")
	k.pushFresh("withdraw-confirm")
	k.sees("withdraw-done")
	if id, _ := k.s.kept(k.t, k.Person, "minwon"); id != "" {
		k.t.Error("still registered")
	}
	k.push("manage-close")
	k.judge()
}

// exported waits until the history says that the person took their data along.
func (k *seat) exported() {
	k.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		records, _, err := k.s.App.Account.History(k.t.Context(), k.s.visitor(k.t, k.Person), account.Filter{}, audit.Cursor{}, 5)
		must(k.t, err)
		if slices.ContainsFunc(records, func(r account.Record) bool { return r.Action == audit.DataExported }) {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("nothing was exported: at %s", k.URL())
		}
	}
}

// logsOut signs out of one site, then of all of them, and at the broker.
func (k *seat) logsOut() {
	k.join()
	k.goToPortal()
	k.signedIn(k.s.PetitionURL)
	k.Open(k.s.QNetURL)
	k.push("logout")
	k.sees("logout-this")
	k.TabTo("logout-this")
	k.Press("Enter")
	k.sees("logout-result")
	k.at(k.s.QNetURL)

	k.Open(k.s.QNetURL + "/login")
	k.push("anyid-login") // asks who left it
	k.sees("account-continue")
	k.push("account-continue")
	k.Wait("signed-in-name")
	k.Open(k.s.PetitionURL)
	k.push("logout")
	k.Wait("logout-all")
	k.TabTo("logout-all")
	k.Press("Space")
	k.sees("logout-result") // by way of the page with the portal's frame
	k.at(k.s.PetitionURL)
	k.Open(k.s.BrokerURL + "/logout/receipt")
	k.judge()

	k.login()
	k.Open(k.s.BrokerURL + "/end_session")
	k.sees("logout-confirm")
	k.push("logout-cancel")
	k.judge()
	k.Open(k.s.BrokerURL + "/end_session")
	k.push("logout-confirm")
	k.sees("logout-done")
}

// disputes follows the link of a message, and says that it was not them.
func (k *seat) disputes() {
	k.join()
	email := "k" + k.Phone + "@example.kr"
	must(k.t, k.s.App.Account.SetSettings(k.t.Context(), k.s.visitor(k.t, k.Person), person.Settings{Email: email}))
	k.elsewhere().login()
	message := k.told(email, "mail").Text
	from := strings.Index(message, k.s.BrokerURL+"/not-me?code=")
	if from < 0 {
		k.t.Fatalf("no link in %s", message)
	}
	link := strings.Fields(message[from:])[0]
	k.Open(link)
	k.sees("not-me")
	k.push("not-me")
	k.sees("not-me-done")
	k.Open(link) // once more
	k.judge()
	k.Open(link + "x")
	k.sees("error-code")
}

// showsQR asks for a wallet, up to the code to scan.
func (k *seat) showsQR() {
	k.Open(k.s.QNetURL + "/login")
	k.push("anyid-login")
	k.push("method-mobile-id")
	k.sees("mobile-qr")
	k.push("mobile-push") // with nothing in it
	k.sees("phone-error")
	k.push("choose-method")
	k.push("method-mobile-id")
	if k.Has("provider-mip") {
		k.picks(k.Value(`(document.querySelector("[name=provider]:checked") || document.querySelector("[name=provider]")).id`), "provider-mip")
	}
	k.push("mobile-qr")
	k.sees("qr-image")
	k.TabTo("qr-text-show")
	k.Press("Enter")
	k.eventually(`document.getElementById("qr-text").checkVisibility()`, "true")
	k.judgeOpened()
	k.push("auth-cancel")
	k.judge()
}

// signsWithFile signs with a certificate in a file, up to the registration that wants the number.
func (k *seat) signsWithFile() {
	k.Open(k.s.QNetURL + "/login")
	k.push("anyid-login")
	k.push("method-joint-cert")
	k.shows("cert-state", "준비되었습니다.")
	k.judge()
	k.TabTo("cert-files") // where the browser's own window opens
	k.Upload("cert-files", k.s.Wallet(k.Person).PFX)
	k.shows("cert-entries", ".p12")
	k.judgeOpened()
	k.types("cert-password", "?")
	k.TabTo("cert-sign")
	k.Press("Enter")
	k.shows("cert-password-error", "비밀번호가 맞지 않습니다.")
	k.judgeOpened()
	k.TabTo("cert-password")
	k.Insert(k.Password)
	k.push("cert-sign")
	k.sees("rrn-front")
	k.push("register-decline")
	k.judge()
}

// signsInCloud opens the signer's window, which takes the focus and gives it back.
func (k *seat) signsInCloud() {
	k.Open(k.s.QNetURL + "/login")
	k.push("anyid-login")
	k.push("method-financial-cert")
	k.sees("fincert-start")
	k.TabTo("fincert-start")
	k.Press("Enter")
	k.eventually(`document.querySelector("dialog")?.open`, "true")
	frame := k.Frame("dialog iframe")
	frame.Wait("fincert-cert-" + k.atSigner())
	if got := k.Value(`document.activeElement.closest("dialog") !== null`); got != "true" {
		k.t.Errorf("the window leaves the focus at %s", k.Focused())
	}
	frame.TabTo("fincert-cancel")
	frame.Press("Enter")
	k.eventually(`document.querySelector("dialog[open]") === null`, "true")
	if f := k.Focused(); f.ID != "fincert-start" || !f.Visible {
		k.t.Errorf("the window leaves the focus at %s", f)
	}
	k.judgeOpened()
}
