package stage

import (
	"testing"

	"github.com/anyid/anyid/internal/authn"
)

// TestWallets: everybody gets in with their mobile ID, in whichever way and format, without a browser's scripts.
func TestWallets(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	s.MobileID.SetAutoApprove(false)
	citizen, foreigner := s.People[0], s.People[5]
	for _, c := range []struct {
		name     string
		person   Person
		provider string
		mode     authn.Mode
		choice   int
		code     bool // a number to match
	}{
		{"push", citizen, "mip", authn.Push, 0, true},
		{"QR", citizen, "mip", authn.QR, 1, true},
		{"app", foreigner, "mip", authn.App, 0, true},
		{"SD-JWT by QR", citizen, "openid4vp", authn.QR, 0, false},
		{"SD-JWT on the same device", foreigner, "openid4vp", authn.App, 0, false},
		{"mdoc by QR", citizen, "openid4vp", authn.QR, 2, false},
		{"mdoc on the same device", citizen, "openid4vp", authn.App, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			browser := s.atPortal(t, c.person)
			waiting, err := browser.AskWallet(t.Context(), c.provider, c.mode)
			if err != nil {
				t.Fatal(err)
			}
			if waiting.Asker != "정부 통합로그인" || waiting.Code != browser.Text("match-code") || c.code != (waiting.Code != "") {
				t.Errorf("%+v, and the page shows %q", waiting, browser.Text("match-code"))
			}
			if _, err := s.MobileID.Deny(t.Context(), waiting.ID); err != nil {
				t.Error(err)
			}
			browser = s.atPortal(t, c.person)
			if err := browser.ProveMobile(t.Context(), c.provider, c.mode, c.choice); err != nil {
				t.Fatal(err)
			}
			s.ends(t, browser, "")
		})
	}
}

// TestOthersWallet: a push that was typed for one person does not log another in.
func TestOthersWallet(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	s.MobileID.SetAutoApprove(false)
	twin := s.People[3]
	browser := s.atPortal(t, twin)
	browser.Phone = s.People[0].Phone
	if err := browser.ProveMobile(t.Context(), "mip", authn.Push, 0); err != nil {
		t.Fatal(err)
	}
	if browser.Has("register") || browser.Has("signed-in-name") {
		t.Errorf("ended at %s", browser.URL())
	}
}
