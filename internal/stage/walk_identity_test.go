package stage

import (
	"errors"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/agency"
)

// TestVerifyByPhone goes from the page of methods to the agency's window, gets a code on the phone, and sees
// what is registered. Who closes it is asked again.
func TestVerifyByPhone(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		p.stage.registered(t, a.Person)
		a.goToQNet()
		a.Follow("link-manage")
		a.Follow("verify-phone")
		a.Wait("send-code") // by itself
		a.at(a.s.AgencyURL + "/window/")
		a.Click("carrier-" + p.stage.atCarrier(t, a.Person).Carrier.Slug())
		a.Fill("name", a.Name)
		a.Fill("birth", strings.ReplaceAll(a.BirthDate, "-", ""))
		a.Fill("phone", a.Phone)
		a.Click("agree")
		a.Follow("send-code")
		phone := a.browser.Tab()
		phone.Open(a.s.AgencyURL + "/phones/" + a.Phone)
		phone.Wait("sms-code")
		phone.Close() // it would load itself again for ever
		a.Fill("code", "000000")
		a.Follow("confirm-code")
		a.Wait("window-error")
		a.Fill("code", a.s.Agency.Messages(a.Phone)[0].Code)
		a.Follow("confirm-code")
		a.manages()
	})
}

func TestVerifyByIPIN(t *testing.T) {
	onOne(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		p.stage.registered(t, a.Person)
		a.Open(a.s.BrokerURL + "/manage")
		a.Follow("verify-ipin")
		a.Wait("confirm-ipin") // by itself
		a.at(a.s.AgencyURL + "/window/")
		of := p.stage.atCarrier(t, a.Person).IPIN
		a.Fill("ipin-id", of.ID)
		a.Fill("ipin-password", of.Password)
		a.Follow("confirm-ipin")
		a.manages()
	})
}

// TestVerifyWindowClosed: the agency's own button leads back to the choice.
func TestVerifyWindowClosed(t *testing.T) {
	onOne(t, func(t *testing.T, p *play) {
		a := p.actor(t, newcomer, chromium.Options{})
		a.Open(a.s.BrokerURL + "/manage")
		a.Follow("verify-phone")
		a.Wait("send-code")
		a.Follow("close-window")
		a.Wait("error-code")
		if got := a.Text("error-code"); got != string(pages.Rejected) {
			t.Errorf("error code %q", got)
		}
		a.Follow("choose-method")
		a.Wait("verify-ipin")
		a.Follow("verify-ipin")
		a.Wait("confirm-ipin")
		a.Back() // with the agency's window still open
		a.at(a.s.BrokerURL)
	})
}

// manages fails the test unless the page shows the person what is registered, which ends with the button on it.
func (a *actor) manages() {
	a.t.Helper()
	a.Wait("manage-name")
	a.at(a.s.BrokerURL + "/manage")
	if got := a.Text("manage-name"); got != a.Name {
		a.t.Errorf("shows the registration of %q", got)
	}
	a.Reload()
	a.Follow("manage-close")
	a.at(a.s.BrokerURL + "/manage/closed")
	a.Open(a.s.BrokerURL + "/manage")
	a.Wait("verify-phone")
}

// registered lets a person register, by a phone and at the petition portal.
func (s *Stage) registered(t *testing.T, who Person) {
	t.Helper()
	c := s.atPortal(t, who)
	must(t, errors.Join(c.Prove(t.Context(), "kakao"), c.Agree(t.Context())))
	if id, _ := s.kept(t, who, "minwon"); id == "" {
		t.Fatalf("not registered: at %s (%d)", c.URL().Path, c.Status())
	}
}

// atCarrier is the person as the agencies know them.
func (s *Stage) atCarrier(t *testing.T, who Person) agency.Person {
	t.Helper()
	for _, p := range s.Agency.People() {
		if p.Phone == who.Phone && p.Name == who.Name {
			return p
		}
	}
	t.Fatal("no agency knows the person")
	return agency.Person{}
}

// verifying brings a person to the choice of how to prove who they are.
func (s *Stage) verifying(t *testing.T, who Person) *Citizen {
	t.Helper()
	c, err := s.Citizen(who)
	must(t, err)
	must(t, c.Open(t.Context(), s.BrokerURL+"/manage"))
	return c
}

// verify proves who the person is, in one of the four ways, up to whatever comes after it.
func (c *Citizen) verify(t *testing.T, by method.Method) {
	t.Helper()
	ctx := t.Context()
	switch by {
	case method.MobileID:
		w := &atWallet{t: t, s: c.stage, Citizen: c, provider: "openid4vp", mode: authn.QR}
		w.ask()
		w.answer(residentVC, false)
	case method.Simple:
		must(t, errors.Join(c.Click(ctx, "verify-simple"), c.Check("provider-toss"), c.Fill("name", c.Name), c.Fill("birthdate", c.BirthDate), c.Fill("phone", c.Phone)))
		must(t, errors.Join(c.Click(ctx, "request-auth"), c.Approve(ctx)))
		for c.Has("auth-complete") {
			must(t, c.Click(ctx, "auth-complete"))
		}
	default:
		if c.Click(ctx, "verify-"+string(by)) != nil || c.Has("error-code") {
			return
		}
		must(t, c.Click(ctx, "window-open"))
		c.atWindow(t, by)
	}
}

// atWindow goes through an agency's window.
func (c *Citizen) atWindow(t *testing.T, by method.Method) {
	t.Helper()
	ctx := t.Context()
	of := c.stage.atCarrier(t, c.Person)
	if by == method.IPIN {
		must(t, errors.Join(c.Fill("ipin-id", of.IPIN.ID), c.Fill("ipin-password", of.IPIN.Password), c.Click(ctx, "confirm-ipin")))
		return
	}
	must(t, errors.Join(c.Check("carrier-"+of.Carrier.Slug()), c.Fill("name", c.Name), c.Fill("birth", c.BirthDate), c.Fill("phone", c.Phone), c.Check("agree")))
	must(t, c.Click(ctx, "send-code"))
	if messages := c.stage.Agency.Messages(c.Phone); len(messages) > 0 {
		must(t, errors.Join(c.Fill("code", messages[len(messages)-1].Code), c.Click(ctx, "confirm-code")))
	}
}

// TestVerify: each of the four ways opens the registration of whoever has one, whichever way it was made, and
// tells everybody else that there is none. None of them registers anybody, or joins a method to anybody.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, p := range plays {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := Config{}
			stop, err := p.stores(&c)
			must(t, err)
			t.Cleanup(stop)
			s := certified(t, c)
			s.MobileID.SetAutoApprove(false)
			known, stranger := s.People[1], s.People[0]
			_, links := s.known(t, known)
			for _, by := range method.Verifying() {
				t.Run(string(by), func(t *testing.T) {
					c := s.verifying(t, known)
					c.verify(t, by)
					if got := c.Text("manage-name"); got != known.Name {
						t.Errorf("%s at %s (%d): %s", got, c.URL().Path, c.Status(), c.Text("main"))
					}
					must(t, c.Click(t.Context(), "manage-close"))
					must(t, c.Open(t.Context(), s.BrokerURL+"/manage"))
					if !c.Has("verify-phone") {
						t.Errorf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
					}
					if _, now := s.known(t, known); len(now) != len(links) {
						t.Errorf("%d methods now, %d before", len(now), len(links))
					}

					c = s.verifying(t, stranger)
					c.verify(t, by)
					if got := c.Text("error-code"); got != string(pages.NotRegistered) || c.Has("manage-name") {
						t.Errorf("%q at %s (%d): %s", got, c.URL().Path, c.Status(), c.Text("main"))
					}
					if id, _ := s.kept(t, stranger, "minwon"); id != "" {
						t.Error("the stranger was registered")
					}
					must(t, c.Click(t.Context(), "choose-method"))
					if !c.Has("verify-phone") {
						t.Errorf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
					}
					ended := c.URL().String()
					must(t, c.Click(t.Context(), "auth-cancel"))
					if got := c.URL().String(); got != s.BrokerURL+"/manage/closed" {
						t.Errorf("the way out leads to %s", got)
					}
					must(t, c.Open(t.Context(), ended)) // which is over, with a way to begin again
					if got := c.Text("error-code"); got != string(pages.ErrDone) {
						t.Errorf("error code %q at %s (%d)", got, c.URL().Path, c.Status())
					}
					must(t, c.Click(t.Context(), "return-to-site"))
					if !c.Has("verify-phone") {
						t.Errorf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
					}
				})
			}
		})
	}
}

// TestVerifyInAnotherBrowser: what is proved in an agency's window counts in the browser that opened it, and in no
// other one.
func TestVerifyInAnotherBrowser(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	ctx := t.Context()
	known := s.People[1]
	thief, c := s.verifying(t, s.People[0]), s.verifying(t, known)
	must(t, thief.Click(ctx, "verify-phone"))
	begun := thief.URL().String()
	must(t, c.Open(ctx, thief.Attribute("window-open", "href"))) // who is led there
	c.atWindow(t, method.Phone)
	if c.Status() != 403 || c.Text("error-code") != "other_browser" {
		t.Errorf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
	}
	for _, browser := range []*Citizen{c, thief} {
		must(t, browser.Open(ctx, s.BrokerURL+"/manage"))
		if browser.Has("manage-name") {
			t.Errorf("opens the registration of %s", browser.Text("manage-name"))
		}
	}
	must(t, thief.Open(ctx, begun))
	if !thief.Has("window-open") {
		t.Errorf("at %s (%d): %s", thief.URL().Path, thief.Status(), thief.Text("main"))
	}
}

// TestAgencyFails: what goes wrong at an agency ends in a message of its own, opens nothing, and can be tried again.
func TestAgencyFails(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	faults := s.Agency.Faults()
	for _, row := range []struct {
		fault, only string
		want        pages.Failure
	}{
		{agency.FaultSlow, "order", pages.ProviderDown},
		{agency.FaultServerError, "order", pages.ProviderDown},
		{agency.FaultUnregistered, "nice", pages.ProviderDown},
		{agency.FaultClosedWindow, "window", pages.Rejected},
		{agency.FaultOtherReturn, "window", pages.NotVerified},
		{agency.FaultServerError, "result", pages.Indeterminate},
		{agency.FaultAnswerLost, "result", pages.Indeterminate},
		{agency.FaultFetchedBefore, "result", pages.FailureOf(authn.AlreadyUsed)},
		{agency.FaultWrongIntegrity, "nice", pages.NotVerified},
		{agency.FaultWrongTag, "nice", pages.NotVerified},
		{agency.FaultOtherRequest, "result", pages.NotVerified},
		{agency.FaultMissingCI, "result", pages.NotVerified},
		{agency.FaultMalformedCI, "result", pages.NotVerified},
	} {
		t.Run(row.fault+" "+row.only, func(t *testing.T) {
			must(t, faults.Set(sim.Switch{Name: row.fault, Only: row.only, Uses: 1}))
			c := s.verifying(t, s.People[1])
			c.verify(t, method.Phone)
			if left := faults.On(); len(left) != 0 {
				faults.Clear()
				t.Fatalf("nobody met the fault: %v", left)
			}
			if got := c.Text("error-code"); got != string(row.want) {
				t.Errorf("%q, want %q, at %s (%d): %s", got, row.want, c.URL().Path, c.Status(), c.Text("main"))
			}
			must(t, c.Open(t.Context(), s.BrokerURL+"/manage"))
			if c.Has("manage-name") {
				t.Error("opens the registration")
			}
			c.verify(t, method.IPIN)
			if c.Text("manage-name") != s.People[1].Name {
				t.Errorf("afterwards at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
			}
		})
	}
}
