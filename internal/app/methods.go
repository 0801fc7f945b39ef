package app

import (
	"cmp"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/agency"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/authn/fincert"
	"github.com/anyid/anyid/internal/authn/jointcert"
	"github.com/anyid/anyid/internal/authn/mobileid"
	"github.com/anyid/anyid/internal/authn/simple"
	"github.com/anyid/anyid/internal/authn/yeskey"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
)

// openMethods makes an adapter for each method that is configured.
func (a *App) openMethods() error {
	a.Methods = make(map[method.Method]authn.Authenticator)
	roots, err := a.roots()
	if err != nil {
		return err
	}
	guard := func(timeout time.Duration) outbound.Config {
		return outbound.Config{Allow: a.Config.Outbound.Allow, RootCAs: roots, Timeout: timeout}
	}
	var errs []error
	if a.Config.Simple.Enabled {
		errs = append(errs, a.openSimple(outbound.Client(guard(a.Config.Simple.Timeout))))
	}
	if a.Config.MobileID.Enabled {
		errs = append(errs, a.openMobileID(outbound.Client(guard(a.Config.MobileID.MIP.Timeout))))
	}
	errs = append(errs, a.openAgencies(outbound.Client(guard(a.Config.Identity.Timeout))))
	if a.Config.JointCert.Enabled || a.Config.FinancialCert.Enabled {
		errs = append(errs, a.openCertificates(guard))
	}
	return errors.Join(errs...)
}

// openMobileID makes the adapter of mobile IDs.
func (a *App) openMobileID(client *http.Client) error {
	c := a.Config.MobileID
	settings := mobileid.Config{Issuer: a.Config.Issuer, ExpireIn: c.ExpireIn, Level: a.Config.Levels[method.MobileID], PINLevel: c.PINLevel}
	deps := mobileid.Deps{Store: a.KV, Box: a.box, HTTP: client, Now: time.Now, Log: a.log}
	if c.MIP.Service != "" {
		settings.MIP = &mobileid.MIP{
			Service: c.MIP.Service, Issuers: c.MIP.Issuers, AuthTypes: c.MIP.AuthTypes, Key: c.MIP.KeyName,
			PushURL: c.MIP.PushURL, PushCode: c.MIP.PushCode,
		}
		for _, entry := range c.MIP.Cards {
			card, err := config.ParseCard(entry)
			if err != nil {
				return err
			}
			settings.MIP.Cards = append(settings.MIP.Cards, mobileid.Card{Code: card.Code, Label: card.Name, Nationality: card.Nationality})
		}
		port := func(address string) (*mobileid.Sidecar, error) {
			return mobileid.NewSidecar(cmp.Or(address, c.MIP.LedgerURL), string(c.MIP.PortKey), c.MIP.Timeout, client)
		}
		ledger, ledgerErr := port("")
		profiles, profilesErr := port(c.MIP.ProfileURL)
		decrypter, decrypterErr := port(c.MIP.DecrypterURL)
		if err := errors.Join(ledgerErr, profilesErr, decrypterErr); err != nil {
			return fmt.Errorf("app: mobile_id.mip: %w", err)
		}
		deps.Ports = mobileid.Ports{Ledger: ledger, Profiles: profiles, Decrypter: decrypter}
	}
	if c.OpenID4VP.Credentials != "" {
		var err error
		if settings.OpenID4VP, err = openID4VP(c.OpenID4VP); err != nil {
			return fmt.Errorf("app: mobile_id.openid4vp: %w", err)
		}
	}
	adapter, err := mobileid.New(settings, deps)
	if err != nil {
		return err
	}
	a.Methods[method.MobileID] = adapter
	return nil
}

// openID4VP reads the files of the standard's part.
func openID4VP(c config.OpenID4VP) (*mobileid.OpenID4VP, error) {
	o := &mobileid.OpenID4VP{DNSName: c.DNSName, Wallet: c.Wallet, CrossDevice: c.CrossDevice}
	credentials, err := config.ReadCredentials(c.Credentials)
	if err != nil {
		return nil, err
	}
	for _, k := range credentials {
		o.Credentials = append(o.Credentials, mobileid.Credential{
			ID: k.ID, Format: k.Format, Type: k.Type, Label: k.Name, Nationality: k.Nationality, Level: method.Level(k.Level),
			Claims: mobileid.ClaimNames{
				Name: k.Claims.Name, BirthDate: k.Claims.BirthDate, Gender: k.Claims.Gender, Nationality: k.Claims.Nationality, CI: k.Claims.CI, Key: k.Claims.Key,
			},
		})
	}
	for path, into := range map[string]*[]byte{c.Chain: &o.Chain, c.IssuerRoots: &o.IssuerRoots, c.MdocRoots: &o.MdocRoots, c.StatusRoots: &o.StatusRoots} {
		if path != "" {
			if *into, err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
	}
	pair, err := tls.LoadX509KeyPair(c.Chain, c.Key)
	if err != nil {
		return nil, err
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	o.Key = signer
	return o, nil
}

// openAgencies makes the adapters of identity verification in an agency's window.
func (a *App) openAgencies(client *http.Client) error {
	c := a.Config.Identity
	drivers := map[string]func() (agency.Driver, error){
		"nice": func() (agency.Driver, error) {
			return agency.NewNICE(agency.NICE{
				URL: c.NICE.URL, ClientID: c.NICE.ClientID, ClientSecret: string(c.NICE.ClientSecret), PhoneService: c.NICE.PhoneService,
				IPINService: c.NICE.IPINService, RawKeys: c.NICE.RawKeys, Male: c.NICE.Male, Foreign: c.NICE.Foreign, Timeout: c.Timeout,
			}, client, time.Now)
		},
		"checkplus": func() (agency.Driver, error) {
			return agency.NewCheckPlus(agency.CheckPlus{
				URL: c.CheckPlus.URL, WindowURL: c.CheckPlus.WindowURL, ClientID: c.CheckPlus.ClientID, ClientSecret: string(c.CheckPlus.ClientSecret),
				ProductID: c.CheckPlus.ProductID, Male: c.CheckPlus.Male, Foreign: c.CheckPlus.Foreign, Cancelled: c.CheckPlus.Cancelled, Timeout: c.Timeout,
			}, client, time.Now)
		},
		"kcb": func() (agency.Driver, error) {
			return agency.NewKCB(agency.KCB{
				URL: c.KCB.URL, WindowURL: c.KCB.WindowURL, Key: string(c.KCB.Key), Member: c.KCB.Member, SiteName: c.KCB.SiteName,
				SiteURL: c.KCB.SiteURL, Cancelled: c.KCB.Cancelled, Timeout: c.Timeout,
			}, client)
		},
		"danal": func() (agency.Driver, error) {
			return agency.NewDanal(agency.Danal{
				URL: c.Danal.URL, WindowURL: c.Danal.WindowURL, Member: c.Danal.Member, Password: string(c.Danal.Password),
				SiteURL: c.Danal.SiteURL, Cancelled: c.Danal.Cancelled, Timeout: c.Timeout,
			}, client)
		},
	}
	for m, name := range map[method.Method]string{method.Phone: c.Phone, method.IPIN: c.IPIN} {
		if name == "" {
			continue
		}
		driver, err := drivers[name]()
		if err != nil {
			return fmt.Errorf("app: identity.%s: %w", name, err)
		}
		if a.Methods[m], err = agency.New(m, 0, driver, time.Now); err != nil {
			return fmt.Errorf("app: identity.%s: %w", m, err)
		}
	}
	return nil
}

func (a *App) openSimple(client *http.Client) (err error) {
	c := a.Config
	var trusted []byte
	if c.Simple.TrustedRoots != "" {
		if trusted, err = os.ReadFile(c.Simple.TrustedRoots); err != nil {
			return fmt.Errorf("app: simple.trusted_roots: %w", err)
		}
	}
	a.Methods[method.Simple], err = simple.New(simple.Config{
		AuthURL: c.Simple.AuthURL, APIURL: c.Simple.APIURL, LinkID: c.Simple.LinkID, SecretKey: string(c.Simple.SecretKey),
		ClientCode: c.Simple.ClientCode, Providers: c.Simple.Providers, ExpireIn: c.Simple.ExpireIn,
		CallCenter: c.Branding.CallCenter, VerifyPath: c.Simple.VerifyPath, Timeout: c.Simple.Timeout, TrustedRoots: trusted,
		Level: c.Levels[method.Simple], TransportLevel: c.Simple.TransportLevel,
	}, client, time.Now)
	return err
}

// openCertificates makes the adapters of joint and financial certificates, which share whom they trust and
// the account that tells who holds a certificate.
func (a *App) openCertificates(guard func(time.Duration) outbound.Config) error {
	c := a.Config
	responders := make(map[string]string, len(c.Certificates.OCSP))
	for _, entry := range c.Certificates.OCSP {
		authority, address, _ := strings.Cut(entry, "=")
		responders[authority] = address
	}
	status := guard(c.Certificates.Timeout)
	verifier, err := certificate.New(certificate.Config{
		Roots: c.Certificates.Roots, Authorities: c.Certificates.Authorities, Test: c.Certificates.Test,
		Hosts: c.Certificates.Directories, Responders: responders, Nonce: c.Certificates.OCSPNonce,
		Grace: c.Certificates.Grace, GraceLevel: c.Certificates.GraceLevel, Timeout: c.Certificates.Timeout,
	}, outbound.Client(status), outbound.Dial(status), time.Now, a.log)
	if err != nil {
		return err
	}
	client := outbound.Client(guard(c.Yeskey.Timeout))
	var account *yeskey.Client
	if c.Yeskey.ClientID != "" {
		account, err = yeskey.New(yeskey.Config{
			URL: c.Yeskey.APIURL, ClientID: c.Yeskey.ClientID, ClientSecret: string(c.Yeskey.ClientSecret), ServerID: c.Yeskey.ServerID,
			CPCode: c.Yeskey.CPCode, Male: c.Yeskey.Male, Timeout: c.Yeskey.Timeout,
		}, client, time.Now)
		if err != nil {
			return err
		}
	}
	if c.JointCert.Enabled {
		ucpid := make(map[string]certificate.UCPIDClient, len(c.JointCert.UCPID))
		for _, authority := range c.JointCert.UCPID { // the configuration has the account then
			ucpid[authority] = account
		}
		a.Methods[method.JointCert], err = jointcert.New(jointcert.Config{
			Issuer: c.Issuer, Level: c.Levels[method.JointCert], ResidentNumberBasis: c.JointCert.ResidentNumberBasis, Policies: c.JointCert.Policies,
			RecipientCertificate: c.JointCert.RecipientCert, RecipientKey: c.JointCert.RecipientKey,
			ResolverURL: c.JointCert.ResolverURL, ResolverKey: string(c.JointCert.ResolverKey), Timeout: c.Yeskey.Timeout,
		}, verifier, ucpid, client, time.Now)
		if err != nil {
			return err
		}
	}
	if c.FinancialCert.Enabled {
		a.Methods[method.FinancialCert], err = fincert.New(fincert.Config{
			Issuer: c.Issuer, Script: c.FinancialCert.Script, OrgCode: c.FinancialCert.OrgCode, APIKey: c.FinancialCert.APIKey,
			Format: c.FinancialCert.Format, Level: c.Levels[method.FinancialCert],
		}, verifier, account, time.Now)
	}
	return err
}
