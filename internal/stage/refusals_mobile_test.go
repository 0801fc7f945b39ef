package stage

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/mobileid"
)

// The ends of a walk that no failure is, beside pages.Failure.
const (
	passes   = pages.Failure("")         // the proof is taken
	waits    = pages.Failure("waits")    // the page goes on waiting
	recovers = pages.Failure("recovers") // the page goes on waiting, and who approves once more gets in
	lost     = pages.Failure("lost")     // the browser comes back with a code that was used; the page goes on waiting
)

// misbehaviour is a switch of the wallets, and how a walk with it ends.
type misbehaviour struct {
	fault    string
	only     string // instead of the person's phone
	delay    time.Duration
	provider string
	mode     authn.Mode
	choice   int
	deny     bool
	want     pages.Failure
}

// TestWalletSwitches goes from the choice of a method through a wallet that misbehaves, with each switch that the
// simulator has. Nothing that is wrong with a presentation gets past the broker, what fails is told in words of
// its own and can be tried again, and nobody is registered.
func TestWalletSwitches(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	s.MobileID.SetAutoApprove(false)
	faults := s.MobileID.Faults()
	who := s.People[0]

	rows := []misbehaviour{
		// First what can only be seen while nobody has the status list yet.
		{fault: mobileid.FaultSlow, only: "status-list", provider: "openid4vp", mode: authn.QR, want: waits},
		{fault: mobileid.FaultServerError, only: "status-list", provider: "openid4vp", mode: authn.QR, choice: licenceMdoc, want: waits},
		{fault: mobileid.FaultUnreachable, only: "status-list", provider: "openid4vp", mode: authn.App, want: recovers},

		{fault: mobileid.FaultSlow, only: "push", provider: "mip", mode: authn.Push, want: pages.ProviderDown},
		{fault: mobileid.FaultServerError, only: "push", provider: "mip", mode: authn.Push, want: pages.ProviderDown},
		{fault: mobileid.FaultUnreachable, only: "push", provider: "mip", mode: authn.Push, want: pages.ProviderDown},
		{fault: mobileid.FaultNoReceiver, provider: "mip", mode: authn.Push, want: pages.NoCredential},
		{fault: mobileid.FaultPushFails, provider: "mip", mode: authn.Push, want: pages.ProviderDown},
		{fault: mobileid.FaultSlow, only: "documents", provider: "mip", mode: authn.QR, want: pages.ProviderDown},
		{fault: mobileid.FaultServerError, only: "statuses", provider: "mip", mode: authn.QR, want: pages.ProviderDown},
		{fault: mobileid.FaultUnreachable, only: "decrypt", provider: "mip", mode: authn.QR, want: pages.ProviderDown},
		{fault: mobileid.FaultServerError, only: "profile", provider: "mip", mode: authn.QR, want: pages.ProviderDown},

		{fault: mobileid.FaultPresentFirst, provider: "mip", mode: authn.QR, want: passes},
		{fault: mobileid.FaultProfileTwice, provider: "mip", mode: authn.QR, want: passes},
		{fault: mobileid.FaultStringCode, provider: "mip", mode: authn.QR, deny: true, want: pages.Rejected},
		{fault: mobileid.FaultCancel, provider: "mip", mode: authn.Push, want: pages.Rejected},
		{fault: mobileid.FaultLate, delay: 50 * time.Millisecond, provider: "mip", mode: authn.App, want: passes},
		{fault: mobileid.FaultTwice, provider: "mip", mode: authn.QR, want: passes},
		{fault: mobileid.FaultReplay, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultWrongNonce, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultNonceContains, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultWrongSignature, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultOtherHolder, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultMixedParent, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultExpired, provider: "mip", mode: authn.QR, want: pages.NoCredential},
		{fault: mobileid.FaultOtherIssuer, provider: "mip", mode: authn.QR, want: pages.NoCredential},
		{fault: mobileid.FaultRevoked, provider: "mip", mode: authn.QR, want: pages.NoCredential},
		{fault: mobileid.FaultNeedRenew, provider: "mip", mode: authn.QR, want: pages.NoCredential},
		{fault: mobileid.FaultNeedRenewAddress, provider: "mip", mode: authn.QR, want: passes},
		{fault: mobileid.FaultMissingCI, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultMalformedCI, provider: "mip", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultUndecryptable, provider: "mip", mode: authn.QR, want: pages.NotVerified},

		{fault: mobileid.FaultAlgNone, provider: "openid4vp", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultBareAudience, provider: "openid4vp", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultWrongSDHash, provider: "openid4vp", mode: authn.App, want: pages.NotVerified},
		{fault: mobileid.FaultDuplicateDigest, provider: "openid4vp", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultUnknownDisclosure, provider: "openid4vp", mode: authn.QR, want: pages.NotVerified},
		{fault: mobileid.FaultReencoded, provider: "openid4vp", mode: authn.QR, choice: licenceMdoc, want: pages.NotVerified},
		{fault: mobileid.FaultWrongTranscript, provider: "openid4vp", mode: authn.App, choice: licenceMdoc, want: pages.NotVerified},
		{fault: mobileid.FaultWrongThumbprint, provider: "openid4vp", mode: authn.QR, choice: licenceMdoc, want: pages.NotVerified},
		{fault: mobileid.FaultCodeTwice, provider: "openid4vp", mode: authn.App, want: lost},
		{fault: mobileid.FaultPlainError, provider: "openid4vp", mode: authn.QR, deny: true, want: pages.Rejected},
		{fault: mobileid.FaultCancel, provider: "openid4vp", mode: authn.App, want: pages.Rejected},
		{fault: mobileid.FaultTwice, provider: "openid4vp", mode: authn.QR, want: passes},
	}
	for _, choice := range []int{residentVC, licenceMdoc} {
		for fault, want := range map[string]pages.Failure{
			mobileid.FaultWrongNonce: pages.NotVerified, mobileid.FaultOtherAudience: pages.NotVerified, mobileid.FaultWrongSignature: pages.NotVerified,
			mobileid.FaultOtherHolder: pages.NotVerified, mobileid.FaultReplay: pages.NotVerified, mobileid.FaultUndecryptable: pages.NotVerified,
			mobileid.FaultMissingCI: pages.NotVerified, mobileid.FaultMalformedCI: pages.NotVerified, mobileid.FaultBomb: pages.NotVerified,
			mobileid.FaultExpired: pages.NoCredential, mobileid.FaultOtherIssuer: pages.NoCredential, mobileid.FaultRevoked: pages.NoCredential,
		} {
			row := rows[0]
			row.fault, row.only, row.choice, row.want = fault, "", choice, want
			rows = append(rows, row)
		}
	}

	for _, row := range rows {
		t.Run(row.fault+" "+row.provider+" "+string(row.mode)+row.only, func(t *testing.T) {
			w := &atWallet{t: t, s: s, Citizen: s.atPortal(t, who), provider: row.provider, mode: row.mode}
			if row.fault == mobileid.FaultReplay { // of what was taken before
				w.ask()
				w.answer(row.choice, false)
				if w.Citizen = s.atPortal(t, who); t.Failed() {
					return
				}
			}
			on := sim.Switch{Name: row.fault, Uses: 1, Only: who.Phone, DelayMS: int(row.delay / time.Millisecond)}
			if row.only != "" {
				on.Only = row.only
			}
			must(t, faults.Set(on))
			w.ask()
			if !w.Has("error-code") {
				w.answer(row.choice, row.deny)
			}
			if left := faults.On(); len(left) != 0 {
				faults.Clear()
				t.Fatalf("nobody met the fault: %v", left)
			}
			switch row.want {
			case passes:
				for deadline := time.Now().Add(30 * time.Second); !w.Has("register"); time.Sleep(20 * time.Millisecond) {
					if !w.Has("auth-complete") || time.Now().After(deadline) {
						t.Fatalf("at %s (%d): %s", w.URL().Path, w.Status(), w.Text("main"))
					}
					must(t, w.Click(t.Context(), "auth-complete"))
				}
				return
			case lost:
				if w.Status() != 410 || w.Text("error-code") != string(pages.ErrExpired) {
					t.Errorf("at %s (%d): %s", w.URL().Path, w.Status(), w.Text("main"))
				}
				must(t, w.Open(t.Context(), w.page))
				must(t, w.Click(t.Context(), "auth-complete"))
				if !w.Has("proof-not-yet") {
					t.Fatalf("at %s (%d): %s", w.URL().Path, w.Status(), w.Text("main"))
				}
				must(t, w.Click(t.Context(), "auth-cancel"))
			case waits, recovers:
				if !w.Has("proof-not-yet") {
					t.Fatalf("at %s (%d): %s", w.URL().Path, w.Status(), w.Text("main"))
				}
				if row.want == recovers {
					if w.answer(row.choice, false); !w.Has("register") {
						t.Errorf("at %s (%d): %s", w.URL().Path, w.Status(), w.Text("main"))
					}
					return
				}
				must(t, w.Click(t.Context(), "auth-cancel"))
			default:
				if got := w.Text("error-code"); got != string(row.want) || w.Title() == "" {
					t.Fatalf("at %s (%d): %q, want %q: %s", w.URL().Path, w.Status(), got, row.want, w.Text("main"))
				}
				must(t, w.Click(t.Context(), "retry"))
			}
			if !w.Has("mobile-qr") && !w.Has("method-mobile-id") {
				t.Errorf("the way back leads to %s (%d)", w.URL().Path, w.Status())
			}
		})
	}
	for _, known := range faults.Table() {
		if !slices.ContainsFunc(rows, func(row misbehaviour) bool { return row.fault == known.Name }) {
			t.Errorf("%s was not tried", known.Name)
		}
	}
	if id, _ := s.kept(t, who, "minwon"); id != "" {
		t.Error("somebody was registered")
	}
}

// atWallet is a person whose wallet is asked.
type atWallet struct {
	*Citizen
	t        *testing.T
	s        *Stage
	provider string
	mode     authn.Mode
	page     string // where the answer is awaited
	shown    string // what the page shows for the wallet
}

// ask goes from the choice of a method, to log in or to verify who it is, to the wait for the wallet, or to why it
// is not asked.
func (w *atWallet) ask() {
	w.t.Helper()
	ctx := w.t.Context()
	way := "method-mobile-id"
	if w.Has("verify-mobile-id") {
		way = "verify-mobile-id"
	}
	must(w.t, errors.Join(w.Click(ctx, way), w.Check("provider-"+w.provider)))
	if w.mode == authn.Push {
		must(w.t, errors.Join(w.Fill("name", w.Name), w.Fill("birthdate", w.BirthDate), w.Fill("phone", w.Phone)))
	}
	must(w.t, w.Click(ctx, "mobile-"+string(w.mode)))
	w.page = w.URL().String()
	switch w.mode {
	case authn.QR:
		w.shown = w.Text("qr-text")
	case authn.App:
		w.shown = w.Attribute("open-app", "href")
	}
}

// answer lets the wallet answer, and goes on to whatever comes of it.
func (w *atWallet) answer(choice int, deny bool) {
	w.t.Helper()
	ctx := w.t.Context()
	wallets := w.s.MobileID
	for deadline := time.Now().Add(30 * time.Second); len(wallets.Waiting(w.Phone)) == 0; time.Sleep(10 * time.Millisecond) {
		if w.mode != authn.Push {
			if _, err := wallets.Scan(ctx, w.Phone, w.shown); err != nil {
				w.t.Fatal(err)
			}
		} else if time.Now().After(deadline) {
			w.t.Fatal("nothing came to the wallet")
		}
	}
	id := wallets.Waiting(w.Phone)[0].ID
	var out mobileid.Outcome
	var err error
	if deny {
		out, err = wallets.Deny(ctx, id)
	} else {
		out, err = wallets.Approve(ctx, id, choice)
	}
	must(w.t, err)
	if out.RedirectURI != "" {
		must(w.t, w.Open(ctx, out.RedirectURI))
	}
	if w.Has("auth-complete") {
		must(w.t, w.Click(ctx, "auth-complete"))
	}
}
