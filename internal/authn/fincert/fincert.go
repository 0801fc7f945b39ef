// Package fincert is the financial certificate (금융인증서): key and certificate of the citizen lie in the
// cloud of KFTC, whose script in the page (FinCert.Sdk) has them sign there, with a PIN that the broker
// never sees.
//
// In the format "cms" the citizen enters the PIN once. What is signed is a request for their identity
// (UCPID): it holds the attempt's nonce and our host, so it is the login's signature as well, and only where
// nobody here has the certificate it is shown to KFTC, which answers with the CI. In the format "pkcs1" a
// line of ours is signed first, and the request is a second signature.
package fincert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
)

// Config is an institution's contract with KFTC, as far as the browser needs it.
type Config struct {
	// Issuer is the broker's issuer identifier. Its host stands in what is signed.
	Issuer string
	// Script is the URL of the signer's script, such as "https://4user.yeskey.or.kr/v1/fincert.js": https, or
	// http on a loopback host.
	Script string
	// OrgCode is the institution's code, 10 characters, and APIKey its key for the script, which is no secret.
	OrgCode, APIKey string
	// Format is what the signer gives back: "cms", which is the default, or "pkcs1".
	Format string
	// Level is what a proof reaches; 0 means 3.
	Level method.Level
}

// Adapter verifies logins. It is safe for concurrent use and keeps nothing between calls.
type Adapter struct {
	cfg      Config
	verifier *certificate.Verifier
	ucpid    certificate.UCPIDClient
	site     string
	format   string   // of FinCert.Sdk
	origins  []string // from which the script loads its parts
	policies []string
	now      func() time.Time
}

var (
	_ authn.Signer  = (*Adapter)(nil)
	_ authn.Checker = (*Adapter)(nil)
)

// The formats of FinCert.Sdk.
const (
	formatCMS   = "CMS"
	formatPKCS1 = "PKCS1"
)

// New checks the contract and returns its adapter. ucpid tells who holds a certificate. now is the clock;
// nil means time.Now.
func New(cfg Config, verifier *certificate.Verifier, ucpid certificate.UCPIDClient, now func() time.Time) (*Adapter, error) {
	if verifier == nil || ucpid == nil {
		return nil, errors.New("fincert: a verifier and a UCPID client are needed")
	}
	if now == nil {
		now = time.Now
	}
	if cfg.Level == 0 {
		cfg.Level = method.DefaultLevels()[method.FinancialCert]
	}
	a := &Adapter{cfg: cfg, verifier: verifier, ucpid: ucpid, now: now}
	for _, p := range npki.Policies() {
		if p.Cloud && p.Holder == npki.Person {
			a.policies = append(a.policies, p.OID)
		}
	}
	if err := errors.Join(a.useAddresses(), a.useContract()); err != nil {
		return nil, fmt.Errorf("fincert: configuration: %w", err)
	}
	return a, nil
}

// useAddresses finds the host by which KFTC knows us, and checks where its script is.
func (a *Adapter) useAddresses() error {
	var errs []error
	if u, err := url.Parse(a.cfg.Issuer); err != nil || u.Hostname() == "" || strings.ContainsAny(a.cfg.Issuer, "; \r\n") {
		errs = append(errs, errors.New("the Issuer is no URL"))
	} else {
		a.site = u.Hostname()
	}
	switch u, err := url.Parse(a.cfg.Script); {
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		errs = append(errs, errors.New("the Script is no URL"))
	case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, errors.New("the Script needs https"))
	default:
		// KFTC's own script loads the rest from two hosts beside its own, in the test environment as well.
		if environment, ok := strings.CutSuffix(u.Host, "4user.yeskey.or.kr"); ok {
			a.origins = []string{"https://" + environment + "sdk.yeskey.or.kr", "https://" + environment + "sdk2.yeskey.or.kr"}
		}
	}
	return errors.Join(errs...)
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// useContract checks codes and choices.
func (a *Adapter) useContract() error {
	var errs []error
	if len(a.cfg.OrgCode) != 10 || a.cfg.APIKey == "" {
		errs = append(errs, errors.New("an OrgCode of 10 characters and an APIKey are needed"))
	}
	switch a.cfg.Format {
	case "", "cms":
		a.format = formatCMS
	case "pkcs1":
		a.format = formatPKCS1
	default:
		errs = append(errs, errors.New(`the Format is neither "cms" nor "pkcs1"`))
	}
	if a.cfg.Level < 1 || a.cfg.Level > 3 {
		errs = append(errs, errors.New("the Level goes from 1 to 3"))
	}
	return errors.Join(errs...)
}

// Method implements authn.Authenticator.
func (a *Adapter) Method() method.Method { return method.FinancialCert }

// Providers implements authn.Authenticator.
func (a *Adapter) Providers() []authn.Provider {
	return []authn.Provider{{ID: "yessign", Korean: "금융결제원", English: "KFTC"}}
}

// Check implements authn.Checker: the anchors last, directories and responders answer, and so does KFTC.
func (a *Adapter) Check(ctx context.Context) error {
	if err := a.verifier.Check(ctx); err != nil {
		return err
	}
	if checker, ok := a.ucpid.(authn.Checker); ok {
		return checker.Check(ctx)
	}
	return nil
}
