package stage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/sim/ca"
	"github.com/anyid/anyid/pkg/npki"
)

// TestResidentNumbers holds the made-up numbers against what they say, and against the rule that they break.
func TestResidentNumbers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range People() {
		number := p.ResidentNumber()
		r, err := npki.CheckResident([]byte(number), time.Now())
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if born := time.Date(r.Year, r.Month, r.Day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly); born != p.BirthDate || string(r.Sex) != p.Gender || r.Foreigner != p.Foreigner {
			t.Errorf("%s: %+v", p.Name, r)
		}
		if r.OldCheckDigit || seen[number] {
			t.Errorf("%s: the number could be somebody's", p.Name)
		}
		seen[number] = true
	}
	if got := (Person{Number: "9001011234568", BirthDate: "1995-01-12"}).ResidentNumber(); got != "9001011234568" {
		t.Errorf("the number that was given became %s", got)
	}
}

// certified opens a stage of its own with the people of the demonstration.
func certified(t *testing.T, c Config) *Stage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan struct{})
	c.AutoApprove, c.Ready = true, func() { close(ready) }
	s, err := Open(ctx, c)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, s.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the stage is not ready")
	}
	return s
}

// atPortal brings a person to the choice of a method.
func (s *Stage) atPortal(t *testing.T, p Person) *Citizen {
	t.Helper()
	c, err := s.Citizen(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Open(t.Context(), s.PetitionURL), c.Click(t.Context(), "anyid-login")); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCertificates lets everybody of the demonstration use what they have, as the signers' pages would.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{})
	for _, p := range s.People {
		t.Run(p.Name+p.Phone, func(t *testing.T) {
			t.Parallel()
			w := s.Wallet(p)
			if got := len(w.Certificates); got == 0 || w.Number != p.ResidentNumber() {
				t.Fatalf("%d certificates", got)
			}
			n := 0
			for _, c := range p.Certificates {
				pair, err := w.Open(n)
				if err != nil {
					t.Fatal(err)
				}
				identity, err := pair.Certificate.Identity()
				if err != nil || identity.RealName != p.Name || identity.VID.Verify([]byte(w.Number), pair.Key.R) != nil {
					t.Errorf("certificate %d is not %s's: %v", n, p.Name, err)
				}
				citizen := s.atPortal(t, p)
				if err := citizen.ProveJoint(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				want := map[State]string{Expired: "certificate_expired", Revoked: "certificate_revoked", Held: "certificate_held"}[c.State]
				if policy, _ := npki.PolicyByOID(c.Policy); want == "" && !policy.Joint {
					want = "certificate_not_accepted"
				}
				s.ends(t, citizen, want)
				if n++; c.State == Renewed {
					citizen := s.atPortal(t, p)
					if err := citizen.ProveJoint(t.Context(), n); err != nil {
						t.Fatal(err)
					}
					s.ends(t, citizen, "")
					n++
				}
			}
			if p.PIN != "" {
				citizen := s.atPortal(t, p)
				if err := citizen.ProveFinancial(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.ends(t, citizen, "")
			}
			if w.PFX == "" {
				return
			}
			content, err := os.ReadFile(w.PFX)
			if err != nil {
				t.Fatal(err)
			}
			bundle, err := npki.ParsePFX(content, []byte(w.Password))
			if err != nil {
				t.Fatal(err)
			}
			if pair, err := bundle.Signing(); err != nil || s.CAState(t, pair.Certificate) != ca.Good {
				t.Errorf("the file's certificate is not good: %v", err)
			}
		})
	}
}

// CAState is what the authority says of a certificate.
func (s *Stage) CAState(t *testing.T, c *npki.Certificate) ca.State {
	t.Helper()
	list, err := s.CA.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(held ca.Certificate) bool { return held.ID == ca.ID(c) })
	if i < 0 {
		return ""
	}
	return list[i].State
}

// ends goes on from a proof: to the portal, or to the error.
func (s *Stage) ends(t *testing.T, c *Citizen, want string) {
	t.Helper()
	if want != "" {
		if got := c.Text("error-code"); got != want {
			t.Errorf("%s (%d): error code %q, want %q", c.URL().Path, c.Status(), got, want)
		}
		return
	}
	if err := c.Agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.Text("signed-in-name"); got != c.Name || !strings.HasPrefix(c.URL().String(), s.PetitionURL) {
		t.Errorf("%s ended at %s (%d): %s", c.Name, c.URL(), c.Status(), c.Text("main"))
	}
}

// TestCertificatesIssuedAgain: at the next start with the same folder people have other certificates, and are
// known by their CI all the same.
func TestCertificatesIssuedAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p := People()[0]
	var first, key []byte
	t.Run("first", func(t *testing.T) {
		s := certified(t, Config{Data: folder})
		c := s.atPortal(t, p)
		if err := c.ProveJoint(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		s.ends(t, c, "")
		first = s.Wallet(p).Certificates[0].Certificate.Raw
		var err error
		if key, err = os.ReadFile(folder + "/recipient.key"); err != nil {
			t.Fatal(err)
		}
	})
	s := certified(t, Config{Data: folder})
	again, err := s.Wallet(p).Open(0)
	if err != nil {
		t.Fatal(err)
	}
	earlier, err := npki.ParseCertificate(first)
	if err != nil {
		t.Fatal(err)
	}
	if again.Certificate.SerialNumber.Cmp(earlier.SerialNumber) <= 0 {
		t.Error("a serial number was given twice")
	}
	entries, err := os.ReadDir(s.Wallet(p).Folder + "/NPKI/yessign/USER")
	if err != nil || len(entries) != 1 {
		t.Errorf("%d folders, %v", len(entries), err)
	}
	if kept, err := os.ReadFile(folder + "/recipient.key"); err != nil || !bytes.Equal(kept, key) {
		t.Errorf("the recipient's key was not kept: %v", err)
	}
	c := s.atPortal(t, p)
	if err := c.ProveJoint(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if c.Has("register") {
		t.Error("the person is a stranger again")
	}
	s.ends(t, c, "")
}

// TestFromTheDeskToTheLogin: whoever gets a certificate at the desk can register with it, whoever has issued it.
func TestFromTheDeskToTheLogin(t *testing.T) {
	t.Parallel()
	s := certified(t, Config{People: []Person{}})
	for i, c := range []struct{ authority, policy, key string }{
		{"yessign", "1.2.410.200005.1.1.4", "key-3072"}, {"TradeSign", "1.2.410.200012.1.1.101", "key-2048"},
	} {
		p := Person{Name: "홍길동", BirthDate: "1990-01-01", Number: "900101123456" + strconv.Itoa(i), Password: "gildong#1990"}
		ctx := t.Context()
		desk, err := s.Citizen(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []func() error{
			func() error { return desk.Open(ctx, s.CAURL) },
			func() error { return desk.Click(ctx, "ca-"+c.authority) },
			func() error {
				return errors.Join(desk.Check("kind-"+c.policy), desk.Check("person-other"), desk.Check(c.key), desk.Fill("name", p.Name), desk.Fill("number", p.Number))
			},
			func() error { return desk.Click(ctx, "apply") },
			func() error {
				code := desk.Text("authorization-code")
				return errors.Join(desk.Click(ctx, "issue-start"), desk.Fill("authorization", code), desk.Fill("password", p.Password), desk.Fill("password-again", p.Password))
			},
			func() error { return desk.Click(ctx, "issue") },
		} {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		response, err := s.Client.Get(desk.URL().String() + "/certificate.p12")
		if err != nil {
			t.Fatal(err)
		}
		file, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := npki.ParsePFX(file, []byte(p.Password))
		if err != nil {
			t.Fatal(err)
		}
		pair, err := bundle.Signing()
		if err != nil {
			t.Fatal(err)
		}
		citizen := s.atPortal(t, p)
		request, err := citizen.ChooseJoint(ctx)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := Sign(pair, request)
		if err != nil {
			t.Fatal(err)
		}
		if err := citizen.SendJoint(ctx, signature); err != nil {
			t.Fatal(err)
		}
		s.ends(t, citizen, "")
	}
}
