package app

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/authn/fincert"
	"github.com/anyid/anyid/internal/authn/jointcert"
	"github.com/anyid/anyid/internal/authn/simple"
	"github.com/anyid/anyid/internal/authn/yeskey"
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
	if a.Config.Simple.Enabled {
		if err := a.openSimple(outbound.Client(guard(a.Config.Simple.Timeout))); err != nil {
			return err
		}
	}
	if a.Config.JointCert.Enabled || a.Config.FinancialCert.Enabled {
		return a.openCertificates(guard)
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
