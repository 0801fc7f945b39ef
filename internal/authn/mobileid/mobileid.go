// Package mobileid is the mobile ID (모바일 신분증): an adapter for the wallets of the national service, which speak
// MIP 1.0.0, and for the wallets of the standard, which speak OpenID4VP 1.0 with HAIP 1.0.
//
// A wallet fetches from the broker what it is asked for, and brings a presentation, which is verified before
// the wallet is answered. What comes of it lies sealed in the short-lived store until the journey takes it, once.
// Two identifiers keep the two sides apart: the wallet knows the one under which its request is stored, the
// journey the other, and neither leads to the result alone.
//
// What a wallet says is judged from the bytes that were signed and from nothing else. The MIP documents that are
// public leave some encodings open; what is decided about them is said where it is decided, and in
// docs/mobile-id.md.
package mobileid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
)

// The providers: which kind of wallet is asked.
const (
	ProviderMIP       = "mip"
	ProviderOpenID4VP = "openid4vp"
)

// Config is what the method is to do. At least one of MIP and OpenID4VP is set.
type Config struct {
	// Issuer is the base URL under which wallets reach the broker, https, or http on a loopback host.
	Issuer string
	// ExpireIn is the time in which the wallet must have answered; 0 means 3 minutes.
	ExpireIn time.Duration
	// Level is what a proof reaches; 0 means 3. PINLevel is what it reaches when the wallet shows nothing
	// stronger than a PIN; 0 means Level.
	Level, PINLevel method.Level

	MIP       *MIP
	OpenID4VP *OpenID4VP
}

// Adapter asks wallets. It is safe for concurrent use, and keeps nothing but what lies in the store.
type Adapter struct {
	drivers []driver
}

var (
	_ authn.Receiver = (*Adapter)(nil)
	_ authn.Checker  = (*Adapter)(nil)
)

// driver is one kind of wallet.
type driver interface {
	provider() authn.Provider
	modes() []authn.Mode
	begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error)
	status(ctx context.Context, at authn.Attempt) (authn.Progress, error)
	complete(ctx context.Context, at authn.Attempt) (authn.Evidence, error)
	check(ctx context.Context) error
	serve(mux *http.ServeMux)
}

// Deps is what the adapter works with.
type Deps struct {
	Store kv.Store     // requests under way
	Box   *secret.Box  // seals keys and results in it
	HTTP  *http.Client // for the push service and for status lists; redirects are not followed, whatever it says
	Ports Ports        // for MIP
	Now   func() time.Time
	Log   *slog.Logger // failures that no journey hears of; nothing personal
}

const (
	defaultExpireIn = 3 * time.Minute
	maxExpireIn     = 15 * time.Minute
	// pickUp is how long an answer that came in time waits for the citizen.
	pickUp    = time.Minute
	pollAfter = time.Second
)

// New checks the configuration and returns its adapter.
func New(cfg Config, deps Deps) (*Adapter, error) {
	if deps.Store == nil || deps.Box == nil || deps.HTTP == nil || deps.Now == nil || deps.Log == nil {
		return nil, errors.New("mobileid: a dependency is missing")
	}
	own := *deps.HTTP
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	deps.HTTP = &own
	cfg = cfg.withDefaults()
	a := &Adapter{}
	err := cfg.check()
	if cfg.MIP != nil {
		m, mipErr := newMIP(cfg, deps)
		err = errors.Join(err, mipErr)
		a.drivers = append(a.drivers, m)
	}
	if cfg.OpenID4VP != nil {
		o, vpErr := newOpenID4VP(cfg, deps)
		err = errors.Join(err, vpErr)
		a.drivers = append(a.drivers, o)
	}
	if err != nil {
		return nil, fmt.Errorf("mobileid: configuration: %w", err)
	}
	return a, nil
}

func (c Config) withDefaults() Config {
	c.Issuer = strings.TrimRight(c.Issuer, "/")
	if c.ExpireIn == 0 {
		c.ExpireIn = defaultExpireIn
	}
	if c.Level == 0 {
		c.Level = method.DefaultLevels()[method.MobileID]
	}
	if c.PINLevel == 0 {
		c.PINLevel = c.Level
	}
	return c
}

func (c Config) check() error {
	var errs []error
	if err := checkURL("Issuer", c.Issuer); err != nil {
		errs = append(errs, err)
	}
	if c.MIP == nil && c.OpenID4VP == nil {
		errs = append(errs, errors.New("neither MIP nor OpenID4VP is configured"))
	}
	if c.ExpireIn < time.Second || c.ExpireIn > maxExpireIn {
		errs = append(errs, fmt.Errorf("ExpireIn is not between 1s and %s", maxExpireIn))
	}
	if c.Level < 1 || c.Level > 3 || c.PINLevel < 1 || c.PINLevel > c.Level {
		errs = append(errs, errors.New("the Level goes from 1 to 3, and the PINLevel from 1 to the Level"))
	}
	return errors.Join(errs...)
}

// checkURL refuses what is no base URL with https, or with http on a loopback host.
func checkURL(name, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%s is not a base URL", name)
	case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s needs https", name)
	}
	return nil
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// Paths lists the path prefixes of what wallets call. They are for programs, take no cookie and may be
// called from anywhere.
func Paths() []string { return []string{"/mip/", "/wallet/request/", "/wallet/response/"} }

// MaxBody is the longest body that a wallet may send, in bytes.
const MaxBody = 512 << 10

// Method implements authn.Authenticator.
func (a *Adapter) Method() method.Method { return method.MobileID }

// Providers implements authn.Authenticator.
func (a *Adapter) Providers() []authn.Provider {
	providers := make([]authn.Provider, len(a.drivers))
	for i, d := range a.drivers {
		providers[i] = d.provider()
	}
	return providers
}

// Modes lists how the provider's wallets can be reached.
func (a *Adapter) Modes(provider string) []authn.Mode {
	if d := a.driver(provider); d != nil {
		return slices.Clone(d.modes())
	}
	return nil
}

func (a *Adapter) driver(provider string) driver {
	for _, d := range a.drivers {
		if d.provider().ID == provider {
			return d
		}
	}
	return nil
}

// Begin implements authn.Authenticator. What in names beside the provider and the mode is where to send a
// push, and no more; but a name or a birth date that was typed must be those of who answers.
func (a *Adapter) Begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error) {
	d := a.driver(in.Provider)
	if d == nil || !slices.Contains(d.modes(), in.Mode) || len(at.Nonce) != 32 {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: errors.New("mobileid: no such provider or mode, or no nonce")}
	}
	return d.begin(ctx, at, in)
}

// Status implements authn.Poller.
func (a *Adapter) Status(ctx context.Context, at authn.Attempt) (authn.Progress, error) {
	d := a.driver(at.Provider)
	if d == nil {
		return authn.Progress{}, errNoProvider
	}
	return d.status(ctx, at)
}

// Complete implements authn.Poller.
func (a *Adapter) Complete(ctx context.Context, at authn.Attempt) (authn.Evidence, error) {
	d := a.driver(at.Provider)
	if d == nil {
		return authn.Evidence{}, errNoProvider
	}
	return d.complete(ctx, at)
}

// errNoProvider meets attempts that began under another configuration.
var errNoProvider = &authn.Error{Code: authn.BadRequest, Err: errors.New("mobileid: no such provider")}

// Check implements authn.Checker: the ports work and take our keys, and so does the store.
func (a *Adapter) Check(ctx context.Context) error {
	for _, d := range a.drivers {
		if err := d.check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Serve implements authn.Receiver.
func (a *Adapter) Serve(mux *http.ServeMux) {
	for _, d := range a.drivers {
		d.serve(mux)
	}
}

// Returned implements authn.Receiver.
func (a *Adapter) Returned(ctx context.Context, responseCode string) (string, error) {
	for _, d := range a.drivers {
		if o, ok := d.(*openID4VP); ok {
			return o.returned(ctx, responseCode)
		}
	}
	return "", fault.New(fault.NotFound, "mobileid: no such response code")
}
