package stage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/sim/mobileid"
)

// openWallets starts the wallets with the mobile IDs, their issuers, the push service, and the ports of a
// registered institution, on one listener.
func (s *Stage) openWallets() (err error) {
	var people []mobileid.Person
	for _, p := range s.People {
		people = append(people, p.atWallet())
	}
	if s.MobileID, err = mobileid.New(mobileid.Config{URL: s.WalletURL, People: people, HTTP: s.Client, AutoApprove: s.auto}); err != nil {
		return fmt.Errorf("stage: mobile IDs: %w", err)
	}
	s.handlers[walletPart] = s.MobileID.Handler()
	return nil
}

func (p Person) atWallet() mobileid.Person {
	number := p.ResidentNumber()
	return mobileid.Person{
		Name: p.Name, English: p.NameEnglish, BirthDate: p.BirthDate, Gender: p.Gender, Foreigner: p.Foreigner, CI: p.ci(), Phone: p.Phone,
		Number: number[:min(len(number), 7)],
	}
}

// trustWallets configures the broker for both kinds of wallets: as an institution that is registered with the
// national service, and as a relying party that the standard's wallets know.
func (s *Stage) trustWallets(settings *config.Config) error {
	m := &settings.MobileID
	m.Enabled = true
	m.MIP.Service, m.MIP.Issuers, m.MIP.KeyName = s.MobileID.Service(), s.MobileID.IssuerDIDs(), s.MobileID.KeyName()
	m.MIP.PushURL, m.MIP.PushCode = s.MobileID.PushURL(), s.MobileID.PushCode()
	m.MIP.LedgerURL, m.MIP.PortKey = s.MobileID.PortsURL(), config.Secret(s.MobileID.PortKey())

	broker, err := url.Parse(s.BrokerURL)
	if err != nil {
		return fmt.Errorf("stage: mobile IDs: %w", err)
	}
	chain, key, err := s.MobileID.AccessCertificate("정부 통합로그인", broker.Hostname())
	if err != nil {
		return err
	}
	folder := filepath.Join(s.data, "wallets")
	for _, file := range []struct {
		path    *string
		name    string
		content []byte
	}{
		{&m.OpenID4VP.Credentials, "credentials.yaml", credentials()},
		{&m.OpenID4VP.Chain, "chain.pem", chain},
		{&m.OpenID4VP.Key, "key.pem", key},
		{&m.OpenID4VP.IssuerRoots, "issuers.pem", s.MobileID.Roots()},
		{&m.OpenID4VP.MdocRoots, "iaca.pem", s.MobileID.DocumentRoots()},
		{&m.OpenID4VP.StatusRoots, "status.pem", s.MobileID.Roots()},
	} {
		*file.path = filepath.Join(folder, file.name)
		if err := lay(*file.path, file.content); err != nil {
			return fmt.Errorf("stage: mobile IDs: %w", err)
		}
	}
	m.OpenID4VP.CrossDevice, m.OpenID4VP.Wallet = true, s.WalletURL+"/open"
	return nil
}

// credentials is the file of those that are taken over OpenID4VP: each kind of ID as an SD-JWT VC, and those that
// are mdocs too.
func credentials() []byte {
	var out strings.Builder
	out.WriteString("credentials:\n")
	for _, c := range mobileid.Cards() {
		fmt.Fprintf(&out, "  - {id: %s, format: dc+sd-jwt, type: %q, name: %q, claims: {name: [name], birth_date: birthdate, gender: gender, nationality: nationality, ci: ci}}\n",
			c.Code, c.VCT, c.Label)
		if c.DocType != "" {
			const iso, korean = "org.iso.18013.5.1", "org.iso.18013.5.1.KR"
			fmt.Fprintf(&out, "  - {id: %s-mdoc, format: mso_mdoc, type: %q, name: %q, claims: {name: [%s/name], birth_date: %s/birth_date, gender: %s/sex, ci: %s/ci}}\n",
				c.Code, c.DocType, c.Label, korean, iso, iso, korean)
		}
	}
	return []byte(out.String())
}

// AskWallet goes from the choice of a method to the wait for a wallet of the provider ("mip", "openid4vp"), which is
// reached in that way. It returns what came to the wallet; of one that answers by itself, the id alone, and nothing
// if the page is one of an error.
func (c *Citizen) AskWallet(ctx context.Context, provider string, mode authn.Mode) (mobileid.Waiting, error) {
	if err := errors.Join(c.Click(ctx, "method-mobile-id"), c.Check("provider-"+provider)); err != nil {
		return mobileid.Waiting{}, err
	}
	if mode == authn.Push {
		if err := errors.Join(c.Fill("name", c.Name), c.Fill("birthdate", c.BirthDate), c.Fill("phone", c.Phone)); err != nil {
			return mobileid.Waiting{}, err
		}
	}
	wallets := c.stage.MobileID
	before := len(wallets.History(c.Phone))
	if err := c.Click(ctx, "mobile-"+string(mode)); err != nil || c.Has("error-code") {
		return mobileid.Waiting{}, err
	}
	switch mode {
	case authn.QR:
		return wallets.Scan(ctx, c.Phone, c.Text("qr-text"))
	case authn.App:
		return wallets.Scan(ctx, c.Phone, c.Attribute("open-app", "href"))
	}
	for {
		if waiting := wallets.Waiting(c.Phone); len(waiting) > 0 {
			return waiting[0], nil
		}
		if answered := wallets.History(c.Phone); len(answered) > before {
			return mobileid.Waiting{ID: answered[0].ID}, nil
		}
		select {
		case <-ctx.Done():
			return mobileid.Waiting{}, fmt.Errorf("stage: nothing came to the wallet: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ProveMobile goes from the choice of a method through a mobile ID, reached in that way, to whatever comes after
// it. The provider is "mip" or "openid4vp"; choice is which of the IDs that fit is shown, 0 the best. On the same
// device, the browser goes where the wallet sends it.
func (c *Citizen) ProveMobile(ctx context.Context, provider string, mode authn.Mode, choice int) error {
	waiting, err := c.AskWallet(ctx, provider, mode)
	if err != nil || waiting.ID == "" {
		return err
	}
	out, err := c.stage.MobileID.Approve(ctx, waiting.ID, choice)
	if errors.Is(err, mobileid.ErrNotWaiting) { // it answers by itself
		for _, e := range c.stage.MobileID.History(c.Phone) {
			if e.ID == waiting.ID {
				out, err = e.Outcome, nil
			}
		}
	}
	if err != nil {
		return err
	}
	if out.RedirectURI != "" {
		if err := c.Open(ctx, out.RedirectURI); err != nil {
			return err
		}
	}
	for c.Has("auth-complete") { // a wallet that answers by itself may not have done so yet
		if err := errors.Join(ctx.Err(), c.Click(ctx, "auth-complete")); err != nil {
			return err
		}
	}
	return nil
}
