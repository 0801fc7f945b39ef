// Package simple is simple authentication (간편인증): the certificates of Kakao, Naver, PASS and Toss,
// asked over Barocert's REST contract. A request is pushed to the citizen's phone, polled, and its
// result is fetched once. The citizen's app signs the attempt's nonce, and the proof is accepted only
// if that signature verifies; Naver signs no text of ours, so its proof is bound by the channel alone.
//
// The contract is Linkhub's, as its published SDKs and developer pages have it. What they leave open
// is said where it is decided.
package simple

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/method"
)

// Config is an institution's contract with Barocert.
type Config struct {
	// AuthURL is the base of the token service, such as "https://auth.linkhub.co.kr"; APIURL is the base
	// of the API, such as "https://barocert.linkhub.co.kr". Plain http is taken for loopback hosts only.
	AuthURL, APIURL string
	// LinkID and SecretKey identify the institution; the key is 32 bytes in base64. It signs requests
	// and encrypts personal fields.
	LinkID, SecretKey string
	// ClientCode is the institution's code in the API's paths, 12 digits.
	ClientCode string
	// Providers lists who can be chosen, in the order of the page: "kakao", "naver", "pass", "toss".
	Providers []string
	// ExpireIn is how long the citizen may take, in whole seconds up to 1000; 0 means 300 seconds.
	ExpireIn time.Duration
	// CallCenter is the number that the citizen sees in the app, up to 12 characters. Naver and PASS
	// require it.
	CallCenter string
	// VerifyPath names the path of the one-shot verification, over which Linkhub's SDKs disagree:
	// "verify" is POST /{P}/Identity/Verify/{clientCode}/{receiptID} and the default, "identity" is
	// POST /{P}/Identity/{clientCode}/{receiptID}.
	VerifyPath string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
	// Level is what a proof over the signed nonce reaches; 0 means 2.
	Level method.Level
	// TransportLevel caps a proof that only the channel binds (Naver's); 0 means 1. It never raises one
	// above Level.
	TransportLevel method.Level
	// TrustedRoots are the providers' certification authorities in PEM, to one of which the signer's
	// certificate must chain. Empty means that the chain is not checked: then the channel to Barocert
	// vouches for the certificate, and the signature shows only that this certificate's key signed.
	TrustedRoots []byte
}

// Adapter asks Barocert. It is safe for concurrent use and keeps nothing but the session token.
type Adapter struct {
	cfg       Config
	client    *http.Client
	now       func() time.Time
	secret    []byte
	aead      cipher.AEAD
	roots     *x509.CertPool
	providers []*provider
	public    []authn.Provider
	scopes    []string
	session   batch.Held[session]
}

var (
	_ authn.Poller  = (*Adapter)(nil)
	_ authn.Checker = (*Adapter)(nil)
)

const (
	defaultExpireIn = 300 * time.Second
	maxExpireIn     = 1000 * time.Second
	defaultTimeout  = 5 * time.Second
	pollAfter       = 2 * time.Second
	maxCallCenter   = 12
)

var clientCodePattern = regexp.MustCompile(`^[0-9]{12}$`)

// New checks the contract and returns its adapter. The client's transport should keep as many idle
// connections to a host as there are logins under way; redirects are not followed whatever the client
// says, since no answer of this contract is one. now is the clock; nil means time.Now.
func New(cfg Config, client *http.Client, now func() time.Time) (*Adapter, error) {
	if client == nil {
		return nil, errors.New("simple: an HTTP client is needed")
	}
	if now == nil {
		now = time.Now
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := &Adapter{cfg: cfg.withDefaults(), client: &own, now: now}
	if err := errors.Join(a.useEndpoints(), a.useKey(), a.useProviders(), a.useLimits(), a.useRoots()); err != nil {
		return nil, fmt.Errorf("simple: configuration: %w", err)
	}
	return a, nil
}

// withDefaults fills in what the configuration leaves out.
func (c Config) withDefaults() Config {
	c.AuthURL, c.APIURL = strings.TrimRight(c.AuthURL, "/"), strings.TrimRight(c.APIURL, "/")
	if c.ExpireIn == 0 {
		c.ExpireIn = defaultExpireIn
	}
	if c.VerifyPath == "" {
		c.VerifyPath = "verify"
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Level == 0 {
		c.Level = method.DefaultLevels()[method.Simple]
	}
	if c.TransportLevel == 0 {
		c.TransportLevel = 1
	}
	c.TransportLevel = min(c.TransportLevel, c.Level)
	return c
}

// useEndpoints checks where to call, and as whom.
func (a *Adapter) useEndpoints() error {
	var errs []error
	for _, base := range []struct{ name, url string }{{"AuthURL", a.cfg.AuthURL}, {"APIURL", a.cfg.APIURL}} {
		u, err := url.Parse(base.url)
		switch {
		case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			errs = append(errs, fmt.Errorf("%s is not a base URL", base.name))
		case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
			errs = append(errs, fmt.Errorf("%s needs https", base.name))
		}
	}
	if a.cfg.LinkID == "" || strings.ContainsAny(a.cfg.LinkID, " \r\n") {
		errs = append(errs, errors.New("LinkID is needed, in one word"))
	}
	if !clientCodePattern.MatchString(a.cfg.ClientCode) {
		errs = append(errs, errors.New("ClientCode is not 12 digits"))
	}
	if a.cfg.VerifyPath != "verify" && a.cfg.VerifyPath != "identity" {
		errs = append(errs, errors.New(`VerifyPath is neither "verify" nor "identity"`))
	}
	return errors.Join(errs...)
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// useKey prepares the secret key's two uses.
func (a *Adapter) useKey() error {
	secret, err := base64.StdEncoding.DecodeString(a.cfg.SecretKey)
	if err != nil || len(secret) != 32 {
		return errors.New("SecretKey is not 32 bytes in base64")
	}
	block, err := aes.NewCipher(secret)
	if err == nil {
		a.secret = secret
		a.aead, err = cipher.NewGCM(block)
	}
	return err
}

// useProviders finds the configured providers and the scopes that they need.
func (a *Adapter) useProviders() error {
	var errs []error
	a.scopes = []string{"partner"}
	for _, id := range a.cfg.Providers {
		i := slices.IndexFunc(allProviders, func(p *provider) bool { return p.ID == id })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("unknown provider %q", id))
			continue
		case slices.Contains(a.providers, allProviders[i]):
			errs = append(errs, fmt.Errorf("provider %q stands twice", id))
			continue
		}
		p := allProviders[i]
		a.providers = append(a.providers, p)
		a.public = append(a.public, p.Provider)
		a.scopes = append(a.scopes, p.scopes...)
		if p.callCenter && a.cfg.CallCenter == "" {
			errs = append(errs, fmt.Errorf("provider %q needs CallCenter", id))
		}
	}
	if len(a.cfg.Providers) == 0 {
		errs = append(errs, errors.New("no provider"))
	}
	return errors.Join(errs...)
}

// useLimits checks the numbers.
func (a *Adapter) useLimits() error {
	var errs []error
	if e := a.cfg.ExpireIn; e < time.Second || e > maxExpireIn || e%time.Second != 0 {
		errs = append(errs, fmt.Errorf("ExpireIn is not whole seconds from 1 to %d", maxExpireIn/time.Second))
	}
	if a.cfg.Timeout < 0 {
		errs = append(errs, errors.New("the Timeout is negative"))
	}
	if len(a.cfg.CallCenter) > maxCallCenter || strings.Trim(a.cfg.CallCenter, "0123456789-") != "" {
		errs = append(errs, fmt.Errorf("CallCenter is not up to %d digits and hyphens", maxCallCenter))
	}
	if a.cfg.Level < 1 || a.cfg.Level > 3 || a.cfg.TransportLevel < 1 {
		errs = append(errs, errors.New("the Level and the TransportLevel go from 1 to 3"))
	}
	return errors.Join(errs...)
}

// useRoots reads the trust anchors.
func (a *Adapter) useRoots() error {
	if len(a.cfg.TrustedRoots) == 0 {
		return nil
	}
	a.roots = x509.NewCertPool()
	if !a.roots.AppendCertsFromPEM(a.cfg.TrustedRoots) {
		return errors.New("TrustedRoots holds no certificate")
	}
	return nil
}

// Method implements authn.Authenticator.
func (a *Adapter) Method() method.Method { return method.Simple }

// Providers implements authn.Authenticator.
func (a *Adapter) Providers() []authn.Provider { return slices.Clone(a.public) }

// provider is what differs between the four.
type provider struct {
	authn.Provider
	path       string   // in the API's paths
	scopes     []string // of the session token: identity, sign, multi-sign, CMS, login
	token      bool     // the citizen signs a text of ours
	callCenter bool     // needs a call centre number
	dayOnly    bool     // answers until midnight in Korea
}

var allProviders = []*provider{
	{Provider: authn.Provider{ID: "kakao", Korean: "카카오", English: "Kakao"}, path: "KAKAO",
		scopes: []string{"401", "402", "403", "404", "405"}, token: true},
	{Provider: authn.Provider{ID: "naver", Korean: "네이버", English: "Naver"}, path: "NAVER",
		scopes: []string{"421", "422", "423", "424"}, callCenter: true},
	{Provider: authn.Provider{ID: "pass", Korean: "PASS", English: "PASS"}, path: "PASS",
		scopes: []string{"441", "442", "443", "444"}, token: true, callCenter: true, dayOnly: true},
	{Provider: authn.Provider{ID: "toss", Korean: "토스", English: "Toss"}, path: "TOSS",
		scopes: []string{"461", "462", "463", "464", "465"}, token: true},
}

// provider returns the configured provider of that id, nil if there is none.
func (a *Adapter) provider(id string) *provider {
	for _, p := range a.providers {
		if p.ID == id {
			return p
		}
	}
	return nil
}
