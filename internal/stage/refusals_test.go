package stage

import (
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/ca"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// TestCertificateRefusals: each way in which a certificate or its signature does not serve, as a browser
// would bring it. Each ends with a message of its own, registers nobody, and can be tried again.
func TestCertificateRefusals(t *testing.T) {
	t.Parallel()
	const (
		general     = "1.2.410.200005.1.1.1"   // of the authority that tells who holds a certificate
		kicaGeneral = "1.2.410.200004.5.2.1.2" // of one that does not
	)
	s := certified(t, Config{People: []Person{}})
	authority := func(organization string) *npkitest.Authority {
		a, err := s.PKI.CA(organization, npkitest.RSA2048)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	enroll := func(t *testing.T, organization, policy string) *npkitest.Holder {
		t.Helper()
		h, err := authority(organization).Enroll(npkitest.Applicant{Name: "홍길동", Number: "9001011234568", Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	// odd issues a certificate that no desk would.
	odd := func(t *testing.T, change func(*npkitest.Template)) *npkitest.Holder {
		t.Helper()
		h := enroll(t, npkitest.Yessign, general)
		identity, err := h.Certificate.Identity()
		if err != nil {
			t.Fatal(err)
		}
		name, err := h.Certificate.SubjectName()
		if err != nil {
			t.Fatal(err)
		}
		template := npkitest.Template{Subject: name, PublicKey: publicKey(t, h), Policies: []string{general}, Identity: &identity}
		change(&template)
		if h.Certificate, err = h.Authority.Sign(template); err != nil {
			t.Fatal(err)
		}
		return h
	}
	changed := func(change func(*npki.Pair, *authn.SignRequest)) func(*testing.T, *Citizen, npki.Pair, authn.SignRequest) Signature {
		return func(t *testing.T, _ *Citizen, p npki.Pair, r authn.SignRequest) Signature {
			change(&p, &r)
			return signed(t, p, r)
		}
	}
	asIs := changed(func(*npki.Pair, *authn.SignRequest) {})

	titles := map[string]string{}
	for _, row := range []struct {
		name   string
		holder func(t *testing.T) *npkitest.Holder
		sign   func(t *testing.T, c *Citizen, p npki.Pair, r authn.SignRequest) Signature
		code   authn.Code
	}{
		{"revoked", func(t *testing.T) *npkitest.Holder {
			h := enroll(t, npkitest.Yessign, general)
			must(t, h.Authority.Revoke(h.Certificate.SerialNumber, 1))
			return h
		}, asIs, authn.CertificateRevoked},
		{"held", func(t *testing.T) *npkitest.Holder {
			h := enroll(t, npkitest.Yessign, general)
			must(t, h.Authority.Hold(h.Certificate.SerialNumber))
			return h
		}, asIs, authn.CertificateHeld},
		{"expired", func(t *testing.T) *npkitest.Holder {
			return odd(t, func(o *npkitest.Template) {
				o.NotBefore, o.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
			})
		}, asIs, authn.CertificateExpired},
		{"not yet valid", func(t *testing.T) *npkitest.Holder {
			return odd(t, func(o *npkitest.Template) {
				o.NotBefore, o.NotAfter = time.Now().AddDate(0, 1, 0), time.Now().AddDate(1, 0, 0)
			})
		}, asIs, authn.CertificateNotYet},
		{"wrong policy: securities only", func(t *testing.T) *npkitest.Holder {
			return enroll(t, npkitest.KICA, "1.2.410.200004.5.2.1.7.2")
		}, asIs, authn.CertificateRefused},
		{"wrong policy: a company's", func(t *testing.T) *npkitest.Holder {
			return enroll(t, npkitest.Yessign, "1.2.410.200005.1.1.5")
		}, asIs, authn.CertificateRefused},
		{"wrong policy: financial", func(t *testing.T) *npkitest.Holder {
			return enroll(t, npkitest.Yessign, "1.2.410.200005.1.1.1.10")
		}, asIs, authn.CertificateRefused},
		{"wrong chain: the government's PKI", func(t *testing.T) *npkitest.Holder {
			h := odd(t, func(*npkitest.Template) {})
			template := npkitest.Template{PublicKey: publicKey(t, h), Policies: []string{general}, Serial: big.NewInt(77)}
			identity, err := h.Certificate.Identity()
			must(t, err)
			template.Identity = &identity
			template.Subject, err = h.Certificate.SubjectName()
			must(t, err)
			h.Certificate, err = authority(npkitest.Government).Sign(template)
			must(t, err)
			return h
		}, asIs, authn.CertificateUntrusted},
		{"wrong nonce", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.Yessign, general) },
			changed(func(_ *npki.Pair, r *authn.SignRequest) {
				r.Content = strings.Replace(r.Content, ";nonce=", ";nonce=A", 1)
			}), authn.WrongChallenge},
		{"for another site", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.Yessign, general) },
			changed(func(_ *npki.Pair, r *authn.SignRequest) {
				r.Content = strings.Replace(r.Content, ";aud=minwon", ";aud=qnet", 1)
			}), authn.WrongChallenge},
		{"a constant text", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.Yessign, general) },
			changed(func(_ *npki.Pair, r *authn.SignRequest) { r.Content = "공동인증서로그인" }), authn.WrongChallenge},
		{"replayed", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.KICA, kicaGeneral) },
			func(t *testing.T, _ *Citizen, p npki.Pair, _ authn.SignRequest) Signature {
				first, r := s.atSigner(t)
				used := signed(t, p, r)
				must(t, first.SendJoint(t.Context(), used))
				if !first.Has("register") {
					t.Fatalf("the first use did not serve: %s", first.Text("main"))
				}
				return used
			}, authn.AlreadyUsed},
		{"a signature that does not fit", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.Yessign, general) },
			func(t *testing.T, _ *Citizen, p npki.Pair, r authn.SignRequest) Signature {
				out := signed(t, p, r)
				message, err := npki.DecodeMessage(out.Signed)
				must(t, err)
				message[len(message)-1] ^= 1
				out.Signed = hex.EncodeToString(message)
				return out
			}, "failed"},
		{"nobody tells the status", func(t *testing.T) *npkitest.Holder { return enroll(t, npkitest.TradeSign, "1.2.410.200012.1.1.1") },
			func(t *testing.T, _ *Citizen, p npki.Pair, r authn.SignRequest) Signature {
				// This authority is this row's alone.
				must(t, s.CA.Faults().Set(sim.Switch{Name: ca.FaultServerError, Only: npkitest.TradeSign}))
				return signed(t, p, r)
			}, authn.StatusUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, r := s.atSigner(t)
			h := row.holder(t)
			pair := npki.Pair{Certificate: h.Certificate, Key: h.Key}
			must(t, c.SendJoint(t.Context(), row.sign(t, c, pair, r)))
			if got := c.Text("error-code"); got != string(row.code) {
				t.Fatalf("%s (%d): code %q, want %q: %s", c.URL().Path, c.Status(), got, row.code, c.Text("main"))
			}
			title := c.Title()
			if other, taken := titles[title]; taken && other != string(row.code) {
				t.Errorf("%s and %s have one message: %s", row.code, other, title)
			}
			titles[title] = string(row.code)
			must(t, c.Click(t.Context(), "retry"))
			if !c.Has("cert-sign") {
				t.Errorf("no way to try again: %s", c.URL().Path)
			}
		})
	}

	t.Run("another person's number", func(t *testing.T) {
		c, r := s.atSigner(t)
		h := enroll(t, npkitest.KICA, kicaGeneral)
		must(t, c.SendJoint(t.Context(), signed(t, npki.Pair{Certificate: h.Certificate, Key: h.Key}, r)))
		for try := range 5 {
			for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
				must(t, c.Check(id))
			}
			must(t, errors.Join(c.Fill("rrn-front", "900101"), c.Fill("rrn-back", "1234569"), c.Click(t.Context(), "register")))
			if try < 4 && !c.Has("rrn-error") {
				t.Fatalf("try %d: %s (%d)", try, c.URL().Path, c.Status())
			}
		}
		if got := c.Text("error-code"); got != string(authn.NumberMismatch) {
			t.Errorf("code %q: %s", got, c.Text("main"))
		}
	})
	t.Run("another person's R", func(t *testing.T) {
		c, r := s.atSigner(t)
		h, other := enroll(t, npkitest.KICA, kicaGeneral), enroll(t, npkitest.SignKorea, "1.2.410.200004.5.1.1.5")
		signature := signed(t, npki.Pair{Certificate: h.Certificate, Key: h.Key}, r)
		signature.VID = signed(t, npki.Pair{Certificate: other.Certificate, Key: other.Key}, r).VID
		must(t, c.SendJoint(t.Context(), signature))
		for _, id := range []string{"agree-terms", "agree-privacy", "agree-unique-id"} {
			must(t, c.Check(id))
		}
		must(t, errors.Join(c.Fill("rrn-front", "900101"), c.Fill("rrn-back", "1234568"), c.Click(t.Context(), "register")))
		if !c.Has("rrn-error") {
			t.Errorf("registered: %s", c.URL().Path)
		}
	})
}

// atSigner brings a stranger to the signer for files, and reads what it is to sign.
func (s *Stage) atSigner(t *testing.T) (*Citizen, authn.SignRequest) {
	t.Helper()
	c := s.atPortal(t, Person{Name: "홍길동"})
	r, err := c.ChooseJoint(t.Context())
	must(t, err)
	return c, r
}

func signed(t *testing.T, p npki.Pair, r authn.SignRequest) Signature {
	t.Helper()
	out, err := Sign(p, r)
	must(t, err)
	return out
}

// publicKey is the holder's.
func publicKey(t *testing.T, h *npkitest.Holder) *rsa.PublicKey {
	t.Helper()
	key, ok := h.Certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		t.Fatal("the key is not RSA")
	}
	return key
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
