package stage

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/sim/mobileid"
)

// The choices of a wallet that is asked over OpenID4VP, best first: each ID as an SD-JWT VC, and the driving
// licence as an mdoc.
const (
	residentVC = iota
	licenceVC
	licenceMdoc
)

// TestWalkWithMobileID goes from Q-Net through the wallet in each way in which a wallet can be reached, and in
// each format in which it can answer, to a new member who is signed in.
func TestWalkWithMobileID(t *testing.T) {
	t.Parallel()
	walk := func(provider string, mode authn.Mode, choice int) func(*testing.T, *play) {
		return func(t *testing.T, p *play) {
			a := p.actor(t, newcomer, chromium.Options{})
			a.goToQNet()
			a.askWallet(provider, mode)
			if provider == "openid4vp" && mode == authn.App {
				a.Follow("open-app")
				a.at(a.s.WalletURL + "/open?")
				a.Follow("open-" + a.Phone)
				a.present(a, choice) // and the wallet sends the browser back
			} else {
				a.openWallet(mode).present(a, choice)
			}
			if got := a.s.MobileID.History(a.Phone)[0]; got.Result != mobileid.ResultSent {
				t.Errorf("the wallet says %q (%s)", got.Result, got.Error)
			}
			a.Wait("register") // by itself
			a.at(a.s.BrokerURL + "/register/")
			born, err := time.Parse(time.DateOnly, a.BirthDate)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Text("register-birthdate"); got != born.Format("2006년 1월 2일") {
				t.Errorf("the birth date is %q", got)
			}
			if a.Has("rrn-front") {
				t.Error("the resident number is asked for")
			}
			a.agree()
			a.at(a.s.BrokerURL + "/consent/")
			a.Follow("consent-allow")
			a.signUp()
			a.signedIn(a.s.QNetURL)
			a.goToPortal() // no question
			a.signedIn(a.s.PetitionURL)
		}
	}
	t.Run("push", func(t *testing.T) { onEach(t, walk("mip", authn.Push, 0)) })
	t.Run("QR", func(t *testing.T) { onOne(t, walk("mip", authn.QR, 1)) })
	t.Run("app link", func(t *testing.T) { onOne(t, walk("mip", authn.App, 0)) })
	t.Run("SD-JWT by QR", func(t *testing.T) { onOne(t, walk("openid4vp", authn.QR, residentVC)) })
	t.Run("mdoc by QR", func(t *testing.T) { onOne(t, walk("openid4vp", authn.QR, licenceMdoc)) })
	t.Run("SD-JWT on the same device", func(t *testing.T) { onOne(t, walk("openid4vp", authn.App, licenceVC)) })
	t.Run("mdoc on the same device", func(t *testing.T) { onOne(t, walk("openid4vp", authn.App, licenceMdoc)) })
}

// askWallet goes from the choice of a method to the wait for a wallet of the provider that is reached in that way.
func (a *actor) askWallet(provider string, mode authn.Mode) {
	a.t.Helper()
	a.Follow("method-mobile-id")
	a.Click("provider-" + provider)
	if mode == authn.Push {
		a.Fill("name", a.Name)
		a.Fill("birthdate", a.BirthDate)
		a.Fill("phone", a.Phone)
	}
	a.Follow("mobile-" + string(mode))
	a.Wait("auth-complete")
	a.at(a.s.BrokerURL + "/proof/")
}

// openWallet shows the citizen's wallet in a tab of its own, with the request in it: from the push, or from what
// the page shows.
func (a *actor) openWallet(mode authn.Mode) *actor {
	a.t.Helper()
	text := ""
	switch mode {
	case authn.QR:
		a.Click("qr-text-show")
		text = a.Text("qr-text")
		a.drawn(text)
	case authn.App:
		text = a.Value(`document.getElementById("open-app").getAttribute("href")`)
	}
	wallet := &actor{Tab: a.browser.Tab(), Person: a.Person, t: a.t, p: a.p, s: a.s, browser: a.browser}
	if mode != authn.Push {
		wallet.Open(a.s.MobileID.WalletURL(a.Phone) + "/scan")
		wallet.Fill("scan-text", text)
		wallet.Follow("scan")
		return wallet
	}
	for deadline := time.Now().Add(30 * time.Second); len(a.s.MobileID.Waiting(a.Phone)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatal("nothing came to the wallet")
		}
	}
	wallet.Open(a.s.MobileID.WalletURL(a.Phone))
	return wallet
}

// drawn fails the test unless the code on the page is that of the text.
func (a *actor) drawn(text string) {
	a.t.Helper()
	if got := a.Value(`document.getElementById("qr-image").complete && document.getElementById("qr-image").naturalWidth > 0`); got != "true" {
		a.t.Error("the code is not shown")
	}
	_, encoded, _ := strings.Cut(a.Value(`document.getElementById("qr-image").src`), ",")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		a.t.Fatal(err)
	}
	shown, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		a.t.Fatal(err)
	}
	want, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		a.t.Fatal(err)
	}
	modules := want.Bounds().Dx()
	size := shown.Bounds().Dx() / modules
	for y := range modules {
		for x := range modules {
			if dark(shown, x*size+size/2, y*size+size/2) != dark(want, x, y) {
				a.t.Fatalf("the code is another one, at %d, %d", x, y)
			}
		}
	}
}

func dark(picture image.Image, x, y int) bool {
	r, g, b, _ := picture.At(x, y).RGBA()
	return r+g+b < 3*0x8000
}

// waits is the one request in the wallet.
func (a *actor) waits() mobileid.Waiting {
	a.t.Helper()
	waiting := a.s.MobileID.Waiting(a.Phone)
	if len(waiting) != 1 {
		a.t.Fatalf("%d requests wait in the wallet", len(waiting))
	}
	return waiting[0]
}

// present chooses an ID in the wallet, and approves. The number to match is the one on the page.
func (a *actor) present(page *actor, choice int) {
	a.t.Helper()
	request := a.waits()
	shown := ""
	if page.Has("match-code") {
		shown = page.Text("match-code")
	}
	if shown != request.Code || (shown == "") != (request.Protocol == "openid4vp") {
		a.t.Errorf("the page shows the number %q, the wallet %q", shown, request.Code)
	}
	a.Click("request-" + request.ID + "-choice-" + strconv.Itoa(choice))
	a.Follow("request-" + request.ID + "-approve")
}

// refuses presses 거절 in the wallet.
func (a *actor) refuses() {
	a.t.Helper()
	a.Follow("request-" + a.waits().ID + "-deny")
}

// TestWalletRefuses: on each way, who refuses in the wallet is told so, and can begin again.
func TestWalletRefuses(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		provider string
		mode     authn.Mode
	}{{"mip", authn.Push}, {"openid4vp", authn.QR}, {"openid4vp", authn.App}} {
		t.Run(way.provider+" "+string(way.mode), func(t *testing.T) {
			onOne(t, func(t *testing.T, p *play) {
				a := p.actor(t, newcomer, chromium.Options{})
				a.goToQNet()
				a.askWallet(way.provider, way.mode)
				a.Follow("auth-complete") // too early
				a.Wait("proof-not-yet")
				a.openWallet(way.mode).refuses()
				a.Wait("error-code") // by itself
				if got := a.Text("error-code"); got != "rejected" {
					t.Fatalf("error code %q", got)
				}
				a.Follow("retry")
				a.Wait("mobile-qr")
				a.Follow("choose-method")
				a.asked()
			})
		})
	}
}

// TestWalletInAnotherBrowser: what a wallet sends on the same device counts in the browser that began, and in no
// other one, whoever that belongs to.
func TestWalletInAnotherBrowser(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		thief := p.actor(t, newcomer, chromium.Options{})
		thief.goToQNet()
		thief.askWallet("openid4vp", authn.App)
		link := thief.Value(`document.getElementById("open-app").getAttribute("href")`)

		a := p.actor(t, newcomer, chromium.Options{}) // who is led to open it
		a.Open(a.s.WalletURL + "/wallets/" + a.Phone + "/scan")
		a.Fill("scan-text", link)
		a.Follow("scan")
		a.Follow("request-" + a.waits().ID + "-approve")
		if a.Status() != 403 || a.Text("error-code") != "other_browser" {
			t.Errorf("%s: %s (%d)", a.URL(), a.Text("error-code"), a.Status())
		}
		back, err := url.Parse(a.URL())
		if err != nil || back.Query().Get("response_code") == "" {
			t.Fatalf("at %s: %v", a.URL(), err)
		}

		thief.Follow("auth-complete")
		thief.Wait("proof-not-yet")
		thief.Open(a.URL()) // the code was good once
		if thief.Status() != 410 || thief.Text("error-code") != "login_expired" {
			t.Errorf("%s: %s (%d)", thief.URL(), thief.Text("error-code"), thief.Status())
		}
		for _, who := range []*actor{a, thief} {
			if id, _ := p.stage.kept(t, who.Person, "qnet"); id != "" {
				t.Error("somebody was registered")
			}
		}
	})
}
