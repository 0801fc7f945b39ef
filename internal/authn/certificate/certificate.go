// Package certificate is what the joint and the financial certificate have in common: a login is a
// signature by a certificate of the Korean PKI. It verifies the signature, the chain to the configured
// authorities, the kind of certificate and that it has not been revoked, and turns the result into
// evidence. It fetches revocation lists, asks responders, and defines how an authority is asked who a
// certificate's holder is.
package certificate

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

// Config says whom to trust, and how to learn what was revoked.
type Config struct {
	// Roots and Authorities are PEM files: the trusted root certificates, and the certificates of the
	// authorities below them that issue to citizens.
	Roots, Authorities string
	// Test takes the roots of test hierarchies, whose certificates are given to anybody.
	Test bool
	// Hosts are the directories and responders, as host:port, that may be asked when a certificate names
	// them.
	Hosts []string
	// Responders are URLs of OCSP responders by the O of the authority's certificate. They are asked before
	// the revocation list.
	Responders map[string]string
	// Nonce sends a nonce to the responders, and refuses an answer without it.
	Nonce bool
	// Grace is how long after its end the last known answer still serves; 0 means not at all.
	Grace time.Duration
	// GraceLevel caps a proof that rests on such an answer; 0 means 2.
	GraceLevel method.Level
	// Timeout bounds each question to a directory or responder; 0 means 5 seconds.
	Timeout time.Duration
}

const (
	defaultTimeout    = 5 * time.Second
	defaultGraceLevel = method.Level(2)
	maxAnchorFile     = 4 << 20
	expiryNotice      = 30 * 24 * time.Hour // how early Check tells of an authority's end
)

// Verifier verifies what citizens have signed. It is safe for concurrent use, and remembers revocation
// lists for as long as they hold.
type Verifier struct {
	cfg         Config
	roots       []*x509.Certificate
	authorities []*x509.Certificate
	anchors     *npki.Anchors
	checker     *revocation.Checker
	dial        Dial
	now         func() time.Time
	log         *slog.Logger
}

// New reads the trust anchors and returns their verifier. It connects to nobody. client asks responders
// and fetches lists over HTTP, dial reaches directories: both should refuse addresses inside the broker's
// own network. now is the clock; nil means time.Now.
func New(cfg Config, client *http.Client, dial Dial, now func() time.Time, log *slog.Logger) (*Verifier, error) {
	if client == nil || dial == nil || log == nil {
		return nil, errors.New("certificate: an HTTP client, a dialer and a log are needed")
	}
	if now == nil {
		now = time.Now
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.GraceLevel == 0 {
		cfg.GraceLevel = defaultGraceLevel
	}
	if cfg.Timeout < 0 || cfg.GraceLevel < 1 || cfg.GraceLevel > 3 {
		return nil, errors.New("certificate: configuration: the Timeout is negative, or the GraceLevel not from 1 to 3")
	}
	v := &Verifier{cfg: cfg, dial: dial, now: now, log: log}
	if err := v.useAnchors(); err != nil {
		return nil, fmt.Errorf("certificate: configuration: %w", err)
	}
	responders := make(map[string]revocation.Responder, len(cfg.Responders))
	for organization, address := range cfg.Responders {
		if u, err := url.Parse(address); err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("certificate: configuration: responder of %q is no http URL", organization)
		}
		responders[organization] = revocation.Responder{URL: address, Nonce: cfg.Nonce}
	}
	var err error
	v.checker, err = revocation.New(revocation.Config{
		Fetcher: newFetcher(client, dial, cfg.Timeout), Hosts: cfg.Hosts, Responders: responders, Grace: cfg.Grace, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("certificate: configuration: %w", err)
	}
	return v, nil
}

// useAnchors reads the trusted certificates.
func (v *Verifier) useAnchors() (err error) {
	if v.roots, err = readCertificates(v.cfg.Roots); err != nil {
		return fmt.Errorf("roots: %w", err)
	}
	if v.authorities, err = readCertificates(v.cfg.Authorities); err != nil {
		return fmt.Errorf("authorities: %w", err)
	}
	if v.cfg.Test {
		v.anchors, err = npki.NewTestAnchors(v.roots, v.authorities)
	} else {
		v.anchors, err = npki.NewAnchors(v.roots, v.authorities)
	}
	return err
}

// readCertificates reads a PEM file of certificates and of nothing else. Text between them is skipped.
func readCertificates(path string) ([]*x509.Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxAnchorFile {
		return nil, fmt.Errorf("%s is too large", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s holds a %s", path, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s, certificate %d: %w", path, len(list)+1, err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return list, nil
}

// Check says whether the anchors last, and whether the directories and responders take connections.
// Errors are an *authn.Error.
func (v *Verifier) Check(ctx context.Context) error {
	if err := v.lasting(v.now()); err != nil {
		return &authn.Error{Code: authn.CertificateExpired, Err: err}
	}
	if err := v.reachable(ctx); err != nil {
		return &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	return nil
}

// lasting looks at each organization's last authority, which ends with its root at the latest.
func (v *Verifier) lasting(now time.Time) error {
	rootEnds := map[string]time.Time{}
	for _, root := range v.roots {
		if end := rootEnds[string(root.RawSubject)]; root.NotAfter.After(end) {
			rootEnds[string(root.RawSubject)] = root.NotAfter
		}
	}
	var order []string
	ends := map[string]time.Time{}
	for _, ca := range v.authorities {
		name := strings.Join(ca.Subject.Organization, " ")
		end := ca.NotAfter
		if root := rootEnds[string(ca.RawIssuer)]; root.Before(end) {
			end = root
		}
		last, known := ends[name]
		if !known {
			order = append(order, name)
		}
		if end.After(last) {
			ends[name] = end
		}
	}
	var errs []error
	for _, name := range order {
		if end := ends[name]; end.Sub(now) < expiryNotice {
			errs = append(errs, fmt.Errorf("certificate: the last authority of %s ends on %s", name, end.UTC().Format(time.DateOnly)))
		}
	}
	return errors.Join(errs...)
}

// reachable connects to every host at once.
func (v *Verifier) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, v.cfg.Timeout)
	defer cancel()
	var addresses []string
	seen := map[string]bool{}
	add := func(address string) {
		if !seen[address] {
			seen[address] = true
			addresses = append(addresses, address)
		}
	}
	for _, host := range v.cfg.Hosts {
		add(host)
	}
	for _, responder := range v.cfg.Responders {
		if u, err := url.Parse(responder); err == nil {
			add(net.JoinHostPort(u.Hostname(), portOf(u)))
		}
	}
	errs := make([]error, len(addresses))
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			conn, err := v.dial(ctx, "tcp", address)
			if err != nil {
				errs[i] = fmt.Errorf("certificate: reach %s: %w", address, err)
				return
			}
			errs[i] = conn.Close()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
