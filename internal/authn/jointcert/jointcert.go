// Package jointcert is the joint certificate (공동인증서, once 공인인증서): the citizen opens their key from
// a file in the page, and it signs the attempt's challenge there. Who they are says the authority that
// issued the certificate (UCPID); the resident registration number ties the certificate to its holder
// through the VID in it, where the deployment has a law that lets it ask for the number.
//
// The private key, its password and R never come here in clear. The number and R are in memory for one
// call, and neither they nor the VID are stored, logged or put in an error.
package jointcert

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
)

// Config says which certificates are taken, and how their holders are known.
type Config struct {
	// Issuer is the broker's issuer identifier. It stands in what is signed, and its host in the request for
	// the holder's identity.
	Issuer string
	// Level is what a proof reaches; 0 means 3.
	Level method.Level
	// Policies are the certificate policies that are taken, in dotted decimals: of persons' joint
	// certificates. Empty means those for every purpose, and for banking and its like, of all authorities.
	// What a site takes narrows them.
	Policies []string
	// ResidentNumberBasis is the law by which the resident registration number may be asked for. Empty: it
	// is not.
	ResidentNumberBasis string
	// RecipientCertificate and RecipientKey are PEM files: the certificate to which the page encrypts R, with
	// an RSA key of 2048 to 4096 bits that is used for nothing else. Needed where the number is asked for.
	RecipientCertificate, RecipientKey string
	// ResolverURL is the base URL of the connector that turns a number into the CI: https, or http on a
	// loopback host. Empty: nobody does. ResolverKey is the key for it.
	ResolverURL, ResolverKey string
	// Timeout bounds each call of the connector; 0 means 5 seconds.
	Timeout time.Duration
}

// Adapter verifies logins. It is safe for concurrent use and keeps nothing between calls.
type Adapter struct {
	cfg      Config
	verifier *certificate.Verifier
	ucpid    map[string]certificate.UCPIDClient
	site     string
	policies []npki.Policy
	number   bool
	resolver *resolver
	now      func() time.Time

	recipient    *x509.Certificate // nil without number
	recipientKey *rsa.PrivateKey
	encoded      string // recipient in DER, base64
}

var (
	_ authn.NumberChecker = (*Adapter)(nil)
	_ authn.Checker       = (*Adapter)(nil)
)

const (
	defaultTimeout = 5 * time.Second
	expiryNotice   = 30 * 24 * time.Hour // how early Check tells of the recipient's end
)

// New checks the configuration and returns its adapter. ucpid are the clients of the authorities that can
// be asked, by the O of their certificates. client calls the connector; redirects are not followed,
// whatever it says. now is the clock; nil means time.Now.
func New(cfg Config, verifier *certificate.Verifier, ucpid map[string]certificate.UCPIDClient, client *http.Client, now func() time.Time) (*Adapter, error) {
	if verifier == nil || client == nil {
		return nil, errors.New("jointcert: a verifier and an HTTP client are needed")
	}
	if now == nil {
		now = time.Now
	}
	if cfg.Level == 0 {
		cfg.Level = method.DefaultLevels()[method.JointCert]
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	a := &Adapter{cfg: cfg, verifier: verifier, ucpid: ucpid, number: strings.TrimSpace(cfg.ResidentNumberBasis) != "", now: now}
	if err := errors.Join(a.useIssuer(), a.usePolicies(), a.useRecipient(), a.useResolver(client), a.useLimits()); err != nil {
		return nil, fmt.Errorf("jointcert: configuration: %w", err)
	}
	return a, nil
}

// useIssuer finds the host by which authorities know us.
func (a *Adapter) useIssuer() error {
	u, err := url.Parse(a.cfg.Issuer)
	if err != nil || u.Hostname() == "" || strings.ContainsAny(a.cfg.Issuer, "; \r\n") {
		return errors.New("the Issuer is no URL")
	}
	a.site = u.Hostname()
	return nil
}

// usePolicies finds what is taken.
func (a *Adapter) usePolicies() error {
	if len(a.cfg.Policies) == 0 {
		for _, p := range npki.Policies() {
			if p.Joint && !p.CA.Defunct {
				a.policies = append(a.policies, p)
			}
		}
		return nil
	}
	var errs []error
	for _, oid := range a.cfg.Policies {
		p, known := npki.PolicyByOID(oid)
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("policy %s is not known", oid))
		case p.Holder != npki.Person || p.CA.Defunct || !slices.Contains(kindsOfJoint, p.Kind):
			errs = append(errs, fmt.Errorf("policy %s (%s) is not of persons' joint certificates", oid, p.Label()))
		default:
			a.policies = append(a.policies, p)
		}
	}
	return errors.Join(errs...)
}

// kinds are a site's words for the purposes of certificates.
var kinds = map[method.CertificateKind]npki.Kind{
	method.General: npki.General, method.Bank: npki.Bank, method.Securities: npki.Securities, method.Card: npki.Card, method.Special: npki.Special,
}

var kindsOfJoint = []npki.Kind{npki.General, npki.Bank, npki.Securities, npki.Card, npki.Special}

// taken are the policies that a site takes, of those that the deployment takes.
func (a *Adapter) taken(site []method.CertificateKind) []string {
	oids := make([]string, 0, len(a.policies))
	for _, p := range a.policies {
		if len(site) == 0 || slices.ContainsFunc(site, func(k method.CertificateKind) bool { return kinds[k] == p.Kind }) {
			oids = append(oids, p.OID)
		}
	}
	return oids
}

// useRecipient reads the key for R.
func (a *Adapter) useRecipient() error {
	if !a.number {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(a.cfg.RecipientCertificate, a.cfg.RecipientKey)
	if err != nil {
		return fmt.Errorf("recipient: %w", err)
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	switch {
	case !ok || key.N.BitLen() < 2048 || key.N.BitLen() > 4096:
		return errors.New("recipient: the key is not RSA of 2048 to 4096 bits")
	case pair.Leaf.KeyUsage != 0 && pair.Leaf.KeyUsage&x509.KeyUsageKeyEncipherment == 0:
		return errors.New("recipient: the certificate is not for encrypting keys")
	}
	a.recipient, a.recipientKey, a.encoded = pair.Leaf, key, base64.StdEncoding.EncodeToString(pair.Leaf.Raw)
	return nil
}

// useResolver checks who is asked for the CI.
func (a *Adapter) useResolver(client *http.Client) (err error) {
	switch {
	case a.cfg.ResolverURL != "" && !a.number:
		return errors.New("the resolver needs the ResidentNumberBasis")
	case a.cfg.ResolverURL != "":
		a.resolver, err = newResolver(a.cfg.ResolverURL, a.cfg.ResolverKey, a.cfg.Timeout, client)
		return err
	case len(a.ucpid) == 0:
		return errors.New("nobody can tell who a certificate's holder is: no authority to ask, and no resolver")
	}
	return nil
}

// useLimits checks the numbers.
func (a *Adapter) useLimits() error {
	if a.cfg.Level < 1 || a.cfg.Level > 3 || a.cfg.Timeout < 0 {
		return errors.New("the Level goes from 1 to 3, and the Timeout is not negative")
	}
	return nil
}

// Method implements authn.Authenticator.
func (a *Adapter) Method() method.Method { return method.JointCert }

// Providers implements authn.Authenticator. Which authority has issued the certificate shows only when it
// signs.
func (a *Adapter) Providers() []authn.Provider {
	return []authn.Provider{{ID: "npki", Korean: method.JointCert.Korean(), English: method.JointCert.English()}}
}

// Provider implements authn.Namer: the authority that has issued a certificate.
func (a *Adapter) Provider(id string) (authn.Provider, bool) {
	for _, ca := range npki.CAs() {
		if strings.EqualFold(ca.ID, id) {
			return authn.Provider{ID: id, Korean: ca.Name, English: ca.English}, true
		}
	}
	return authn.Provider{}, false
}

// Check implements authn.Checker: the anchors last, directories, responders and the connector answer, and
// the recipient's certificate is valid.
func (a *Adapter) Check(ctx context.Context) error {
	if now := a.now(); a.recipient != nil && (now.Before(a.recipient.NotBefore) || a.recipient.NotAfter.Sub(now) < expiryNotice) {
		return &authn.Error{Code: authn.CertificateExpired,
			Err: fmt.Errorf("jointcert: the recipient's certificate holds from %s to %s", a.recipient.NotBefore.UTC().Format(time.DateOnly), a.recipient.NotAfter.UTC().Format(time.DateOnly))}
	}
	if err := a.verifier.Check(ctx); err != nil {
		return err
	}
	if a.resolver != nil {
		return a.resolver.check(ctx)
	}
	return nil
}
