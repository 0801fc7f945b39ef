package stage

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/simple"
)

// TestWalk is the product's main job: from Q-Net through the phone, registration and consent to the
// sign-up, and on to a second site without a question.
func TestWalk(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.asked()
		a.request("kakao")
		a.answer("approve")
		a.Wait("register") // by itself
		a.at(a.s.BrokerURL + "/register/")
		a.agree()
		a.at(a.s.BrokerURL + "/consent/")
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)

		a.goToPortal() // no question
		a.signedIn(a.s.PetitionURL)

		a.Open(a.s.QNetURL)
		a.Follow("logout")
		a.Click("logout-all")
		a.Wait("logout-result") // by way of the page that tells the portal
		a.at(a.s.QNetURL + "/logged-out")
		if a.Has("signed-in-name") {
			t.Error("still signed in at Q-Net")
		}
		another := p.actor(t, newcomer, chromium.Options{}) // whom the first browser's session means nothing
		another.goToPortal()
		another.asked()
		a.Open(a.s.PetitionURL + "/anyid/start")
		a.asked()
	})
}

func TestWalkWithoutScript(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{NoScript: true})
		a.goToQNet()
		a.request("toss")
		a.answer("approve")
		a.Follow("auth-complete")
		a.Wait("register")
		a.agree()
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)
		a.Follow("logout")
		a.at(a.s.QNetURL + "/logged-out")
	})
}

func TestToggleOff(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.Follow("sso-toggle")
		if got := a.Value(`document.getElementById("sso-toggle").getAttribute("aria-checked")`); got != "false" {
			t.Fatalf("the toggle is %s", got)
		}
		a.request("pass")
		a.answer("approve")
		a.Wait("register")
		a.agree()
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)
		// The other site asks, nothing is joined, and the choice is remembered.
		a.goToPortal()
		a.asked()
		if got := a.Value(`document.getElementById("sso-toggle").getAttribute("aria-checked")`); got != "false" {
			t.Errorf("the toggle is %s", got)
		}
		a.request("pass")
		a.answer("approve")
		a.Wait("signed-in-name")
		a.signedIn(a.s.PetitionURL)
		// Not even at the same site again.
		a.Follow("logout")
		a.Open(a.s.PetitionURL + "/anyid/start")
		a.asked()
	})
}

func TestMemberIsRecognised(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, member, chromium.Options{})
		a.goToQNet()
		a.request("kakao")
		a.answer("approve")
		a.Wait("register")
		a.agree()
		a.Follow("consent-allow")
		a.signedIn(a.s.QNetURL)
		if got := a.Text("member-id"); got != a.QNetID {
			t.Errorf("signed in as the member %q, want %q", got, a.QNetID)
		}
	})
}

func TestRegisteredPersonIsNotAskedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, familiar, chromium.Options{})
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if id, _ := a.s.kept(t, a.Person, "minwon"); id != "" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the play does not register its people")
			}
		}
		a.goToQNet()
		a.request("toss") // another provider than at the registration: the method is the same
		a.answer("approve")
		a.Wait("consent-allow")
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)
	})
}

// TestTwins: name and birth date make nobody the same person.
func TestTwins(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		first, second := p.person(t, newcomer), p.person(t, newcomer)
		registered := map[string]bool{}
		for _, twin := range []Person{first, second} {
			waiting := twin
			c, err := p.stage.Citizen(waiting)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []func() error{
				func() error { return c.Open(t.Context(), p.stage.PetitionURL) },
				func() error { return c.Click(t.Context(), "anyid-login") },
				func() error { return c.Prove(t.Context(), "kakao") },
				func() error { return c.Agree(t.Context()) },
			} {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if got := c.Text("signed-in-name"); got != twin.Name {
				t.Fatalf("signed in as %q", got)
			}
			id, connected := p.stage.kept(t, twin, "minwon")
			if id == "" || !connected {
				t.Fatal("not registered")
			}
			registered[id] = true
		}
		if len(registered) != 2 {
			t.Error("two people became one")
		}
	})
}

func TestNoPhone(t *testing.T) {
	onOne(t, func(t *testing.T, p *play) {
		a := p.actor(t, phoneless, chromium.Options{})
		a.goToQNet()
		a.fillIn("kakao")
		a.Follow("request-auth")
		if a.Status() != 422 || a.Text("phone-error") == "" {
			t.Errorf("status %d", a.Status())
		}
		if focus := a.Value("document.activeElement.id"); focus != "phone" {
			t.Errorf("the focus is on %q", focus)
		}
		if kept := a.Value(`document.getElementById("name").value`); kept != a.Name {
			t.Errorf("the name is %q now", kept)
		}
		// Somebody else's phone helps nobody.
		a.Fill("phone", p.person(t, newcomer).Phone)
		a.Follow("request-auth")
		if got := a.Text("error-code"); got != "no_credential" {
			t.Errorf("error code %q", got)
		}
		a.Follow("auth-cancel")
		a.at(a.s.QNetURL + "/login?notice=denied")
	})
}

func TestDeclining(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.request("kakao")
		a.answer("approve")
		a.Wait("register")
		// Not without an agreement: what is missing is said, and nothing is lost.
		a.Click("agree-terms")
		a.Click("agree-privacy-no")
		a.Follow("register")
		if a.Status() != 422 || a.Text("register-error") == "" || a.Value(`document.getElementById("agree-terms").checked`) != "true" {
			t.Errorf("status %d", a.Status())
		}
		a.Follow("register-decline")
		a.at(a.s.QNetURL + "/login?notice=denied")
		if text := a.Value("document.body.innerText"); !strings.Contains(text, "취소했습니다") {
			t.Errorf("Q-Net says %q", text)
		}
		if id, _ := a.s.kept(t, a.Person, "qnet"); id != "" {
			t.Error("the person was registered all the same")
		}

		// The registration alone hands nothing to the site.
		a.goToQNet()
		a.request("kakao")
		a.answer("approve")
		a.Wait("register")
		a.agree()
		a.Follow("consent-deny")
		a.at(a.s.QNetURL + "/login?notice=denied")
		if id, connected := a.s.kept(t, a.Person, "qnet"); id == "" || connected {
			t.Errorf("registered %q, connected %t", id, connected)
		}
		// Nor does it open a session.
		a.goToPortal()
		a.asked()
	})
}

func TestPhoneRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.request("kakao")
		a.answer("deny")
		a.Wait("error-code") // by itself
		if got := a.Text("error-code"); got != "rejected" {
			t.Fatalf("error code %q", got)
		}
		a.Follow("choose-method")
		a.asked()
		a.request("toss")
		a.answer("approve")
		a.Wait("register")
	})
}

func TestRequestExpires(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.request("kakao")
		if err := a.s.Phones.Faults().Set(sim.Switch{Name: simple.FaultExpire, Only: a.Phone, Uses: 1}); err != nil {
			t.Fatal(err)
		}
		a.Wait("error-code")
		if got := a.Text("error-code"); got != "expired" {
			t.Fatalf("error code %q", got)
		}
		a.Follow("retry")
		a.Wait("request-auth")
		a.Follow("auth-cancel")
		a.at(a.s.QNetURL + "/login?notice=denied")
	})
}

func TestProviderDownAndBack(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		// Nobody else of the cast goes to Naver.
		down := sim.Switch{Name: simple.FaultServerError, Only: "naver"}
		faults := p.stage.Phones.Faults()
		a := p.actor(t, newcomer, chromium.Options{NoScript: true})
		a.goToQNet()
		a.fillIn("naver")
		if err := faults.Set(down); err != nil {
			t.Fatal(err)
		}
		a.Follow("request-auth")
		if got := a.Text("error-code"); got != "provider_down" {
			t.Fatalf("error code %q", got)
		}
		faults.Clear(simple.FaultServerError)
		a.Follow("choose-method")
		a.request("naver")

		// Away again while the phone is being answered: the request stays alive.
		if err := faults.Set(down); err != nil {
			t.Fatal(err)
		}
		a.answer("approve")
		a.Follow("auth-complete") // nothing else leads on while the provider is away
		if got := a.Text("error-code"); got != "provider_down" || a.Status() != 503 {
			t.Fatalf("error code %q, status %d", got, a.Status())
		}
		faults.Clear(simple.FaultServerError)
		a.Click("retry")
		a.Wait("register")
	})
}

func TestPressedEarly(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.request("kakao")
		a.Follow("auth-complete")
		a.Wait("proof-not-yet")
		a.FollowTwice("auth-complete")
		a.Wait("proof-not-yet")
		if waiting := a.s.Phones.Waiting(a.Phone); len(waiting) != 1 {
			t.Fatalf("%d requests wait", len(waiting))
		}
		a.answer("approve")
		a.Wait("register")
	})
}

func TestDoubleClicks(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		a.fillIn("kakao")
		a.FollowTwice("request-auth")
		a.Wait("auth-complete")
		if waiting := a.s.Phones.Waiting(a.Phone); len(waiting) != 1 {
			t.Fatalf("%d requests came to the phone", len(waiting))
		}
		a.FollowTwice("auth-complete")
		a.answer("approve")
		a.Wait("register")
		for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
			a.Click(id)
		}
		a.FollowTwice("register")
		a.Wait("consent-allow")
		a.FollowTwice("consent-allow")
		a.Wait("signup-form")
		if id, connected := a.s.kept(t, a.Person, "qnet"); id == "" || !connected {
			t.Error("not registered")
		}
	})
}

// TestDoubleClicksWithoutScript: nothing holds the second click back.
func TestDoubleClicksWithoutScript(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{NoScript: true})
		a.goToQNet()
		a.fillIn("kakao")
		a.FollowTwice("request-auth")
		a.Wait("auth-complete")
		if waiting := a.s.Phones.Waiting(a.Phone); len(waiting) != 1 {
			t.Fatalf("%d requests came to the phone", len(waiting))
		}
		a.answer("approve")
		a.Try("auth-complete")
		a.Try("auth-complete")
		a.Wait("register")
		for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
			a.Click(id)
		}
		a.FollowTwice("register")
		a.Wait("consent-allow")
		a.FollowTwice("consent-allow")
		a.Wait("main")
		if a.Has("error-code") {
			// The second click came when the site had used the code, and broke its answer off. The page
			// leads to the site, where the login is found or joined without a question.
			if got := a.Text("error-code"); got != "already_done" {
				t.Fatalf("error code %q", got)
			}
			a.Follow("return-to-site")
			a.goToQNet()
		}
		a.Wait("signup-form")
		if id, connected := a.s.kept(t, a.Person, "qnet"); id == "" || !connected {
			t.Error("not registered")
		}
	})
}

// TestBackReloadAndTabs does what people do in the middle of something.
func TestBackReloadAndTabs(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{NoScript: true})
		a.goToQNet()
		other := &actor{Tab: a.browser.Tab(), Person: a.Person, t: t, p: p, s: a.s, browser: a.browser}
		other.goToQNet()
		if a.URL() == other.URL() {
			t.Fatal("two tabs share one attempt")
		}

		a.Reload()
		a.request("kakao")
		a.Reload()
		a.Wait("auth-complete")
		// Back to the form as the browser kept it: sending it again leads to the request under way.
		a.Back()
		a.Follow("request-auth")
		a.Wait("auth-complete")
		if waiting := a.s.Phones.Waiting(a.Phone); len(waiting) != 1 {
			t.Fatalf("%d requests came to the phone", len(waiting))
		}
		a.answer("approve")
		a.Try("auth-complete")
		a.Wait("register")
		// Back to the wait for the phone, or to the form if that page went on by itself: both lead here.
		a.Reload()
		a.Back()
		a.Try("auth-complete")
		a.Try("request-auth")
		a.Wait("register")
		a.agree()
		attempt := strings.TrimPrefix(a.URL(), a.s.BrokerURL+"/consent/")
		a.Reload()
		a.Follow("consent-allow")
		a.Wait("signup-form")
		a.Back()
		if a.Status() != 409 || a.Text("error-code") != "already_done" {
			t.Errorf("after the end, back shows %s (%d)", a.URL(), a.Status())
		}
		// Every page of an attempt that is over says so, with a way to the site.
		for _, page := range []string{"/login/", "/login/" + attempt + "/simple#", "/proof/", "/register/", "/consent/"} {
			a.Open(a.s.BrokerURL + strings.TrimSuffix(page+attempt, "#"+attempt))
			if a.Status() != 409 || a.Text("error-code") != "already_done" {
				t.Errorf("%s: %s (%d)", page, a.Text("error-code"), a.Status())
			}
		}
		a.Follow("return-to-site")
		a.at(a.s.QNetURL)

		// The other tab goes on where it was.
		other.Reload()
		other.request("kakao")
		other.answer("approve")
		other.Try("auth-complete")
		other.Wait("signup-form")
	})
}

func TestForeignAndStaleAttempts(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.goToQNet()
		thief := p.actor(t, newcomer, chromium.Options{})
		thief.Open(a.URL())
		if thief.Status() != 403 || thief.Text("error-code") != "other_browser" {
			t.Errorf("a browser without cookies: %s (%d)", thief.Text("error-code"), thief.Status())
		}
		thief.goToQNet()
		u, err := url.Parse(a.URL())
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{u.Path, u.Path + "/simple", strings.Replace(u.Path, "/login/", "/proof/", 1), strings.Replace(u.Path, "/login/", "/consent/", 1)} {
			thief.Open(a.s.BrokerURL + page)
			if thief.Status() != 403 || thief.Text("error-code") != "other_browser" {
				t.Errorf("%s: %s (%d)", page, thief.Text("error-code"), thief.Status())
			}
		}
		a.Reload()
		a.asked() // undisturbed
		for _, page := range []string{"/login/none", "/proof/none", "/register/none", "/consent/none", "/account/none"} {
			a.Open(a.s.BrokerURL + page)
			if a.Status() != 410 || a.Text("error-code") != "login_expired" {
				t.Errorf("%s: %s (%d)", page, a.Text("error-code"), a.Status())
			}
		}
	})
}

func TestEnglish(t *testing.T) {
	onOne(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{Language: "en-GB,en;q=0.9"})
		a.goToQNet()
		lang := func(want string) {
			t.Helper()
			a.Wait("main")
			if got := a.Value("document.documentElement.lang"); got != want {
				t.Errorf("%s is in %q, want %q", a.URL(), got, want)
			}
			hangul := a.Value(`/[가-힣]/.test([...document.querySelectorAll("main, footer")].map(e => e.innerText).join(" "))`)
			if want == "en" && hangul == "true" && !a.Has("name") && !a.Has("register") && !a.Has("consent-allow") {
				t.Errorf("%s has Korean words", a.URL())
			}
		}
		lang("en")
		a.request("kakao")
		lang("en")
		a.answer("approve")
		a.Wait("register")
		lang("en")
		a.agree()
		lang("en")

		// The choice is remembered, against what the browser prefers.
		b := p.actor(t, newcomer, chromium.Options{})
		b.goToQNet()
		b.Open(b.URL() + "?lang=en")
		b.Follow("method-simple")
		if got := b.Value("document.documentElement.lang"); got != "en" {
			t.Errorf("after ?lang=en the next page is in %q", got)
		}
		b.FollowSelector(`a[hreflang="ko"]`)
		if got := b.Value("document.documentElement.lang"); got != "ko" {
			t.Errorf("after the link to Korean the page is in %q", got)
		}
	})
}

// TestKeyboardOnly walks the whole way by tab, enter, space and arrows.
func TestKeyboardOnly(t *testing.T) {
	onOne(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		push := func(id string) {
			t.Helper()
			a.TabTo(id)
			a.Enter()
		}
		a.Open(a.s.QNetURL + "/login")
		push("anyid-login")
		a.asked()
		a.TabTo("sso-toggle")
		a.Enter()
		push("sso-toggle")
		push("method-simple")
		a.TabTo("provider-kakao")
		a.Type(" ")
		for _, field := range [][2]string{{"name", a.Name}, {"birthdate", a.BirthDate}, {"phone", a.Phone}} {
			a.TabTo(field[0])
			a.Insert(field[1])
		}
		push("request-auth")
		a.answer("approve")
		a.Wait("register")
		for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
			a.TabTo(id + "-no")
			a.Type(kb.ArrowDown)
			if a.Value(`document.getElementById("`+id+`").checked`) != "true" {
				t.Fatalf("%s is not chosen", id)
			}
		}
		push("register")
		a.Wait("consent-allow")
		push("consent-allow")
		a.Wait("signup-form")
	})
}
