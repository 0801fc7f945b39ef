// Package revocation answers whether a certificate of the Korean PKI has been revoked or suspended: by the
// CRL at its distribution point, by OCSP, or both. It opens no connection itself: a Fetcher does.
//
// It fails closed. A certificate without a fresh and authentic answer is refused, unless the operator allows
// a bounded grace; then the evidence says how old the answer was.
package revocation

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// A Fetcher gets bytes from the outside. It bounds time and size, and follows no redirect to another host.
type Fetcher interface {
	// FetchCRL gets a certificate revocation list in DER. The URL has the scheme ldap (RFC 4516, with the
	// attribute after the question mark), http or https.
	FetchCRL(ctx context.Context, url string) ([]byte, error)
	// QueryOCSP posts an OCSP request and gives the response, both in DER.
	QueryOCSP(ctx context.Context, url string, request []byte) ([]byte, error)
}

// Config says whom to ask, and what to do without an answer.
type Config struct {
	Fetcher Fetcher
	// Hosts are the directories and responders, as host:port, from which an address in a certificate may be
	// fetched. The address comes from whoever shows the certificate; nothing else is ever asked.
	Hosts []string
	// Responders are the OCSP responders by the organization of the CA. Where there is one it is asked
	// first, and the CRL only if it gives no answer that holds.
	Responders map[string]Responder
	// Grace is how long after its nextUpdate the last known answer may still be used when no fresh one is
	// to be had. Zero refuses at once.
	Grace time.Duration
	// Retry is how long to leave alone an address that has just failed; 0 is 30 seconds.
	Retry time.Duration
	// Authorities asks for the status of the CA too, and of the OCSP responder, in the root's list.
	Authorities bool
	// MaxList is how long a CRL may be, in bytes; 0 is npki.MaxFile.
	MaxList int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Responder says how to ask a CA's OCSP responder.
type Responder struct {
	URL   string      // where it is; empty: as the certificate says
	Nonce bool        // send a nonce, and refuse an answer without it
	Hash  crypto.Hash // of the CertID: SHA1 or SHA256; 0 is SHA1
	// Signer and Certificate sign the requests, for responders that answer only those who have a contract.
	Signer      crypto.Signer
	Certificate *x509.Certificate
	// Reuse is for how long an answer serves for the same certificate; it never serves after its nextUpdate.
	Reuse time.Duration
}

// A Method is a way of learning a certificate's status.
type Method string

// The methods.
const (
	CRL  Method = "crl"
	OCSP Method = "ocsp"
)

// Evidence is what a decision rests on, to be kept with it.
type Evidence struct {
	Method     Method
	URL        string
	ThisUpdate time.Time
	NextUpdate time.Time // zero: an OCSP answer made for this question
	CheckedAt  time.Time
	// Overdue is for how long, at CheckedAt, the answer, or that about the CA, should have been replaced:
	// more than zero only where Config.Grace has let it pass. Then the login deserves less trust, and a note in the audit log.
	Overdue time.Duration
	Answer  []byte // the CRL or the OCSP response in DER
	Delta   []byte // the delta CRL that completed it, if any
}

// Age is how old the answer was when it was used.
func (e *Evidence) Age() time.Duration { return e.CheckedAt.Sub(e.ThisUpdate) }

// StatusError says that the certificate is revoked (npki.ErrRevoked) or suspended (npki.ErrHeld).
type StatusError struct {
	Code   npki.Code
	At     time.Time
	Reason int // RFC 5280 §5.3.1; 0 is unspecified
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%v since %s, reason %d", e.Code, e.At.UTC().Format(time.DateOnly), e.Reason)
}

// Unwrap gives the code.
func (e *StatusError) Unwrap() error { return e.Code }

// skew is how far a clock over there may differ from ours.
const skew = 5 * time.Minute

// bounds of what a Checker remembers
const (
	maxLists   = 4096
	maxAnswers = 65536
)

// Checker checks certificates, and remembers lists and answers for as long as they hold. It is safe for
// concurrent use.
type Checker struct {
	config Config
	hosts  map[string]bool

	mu      sync.RWMutex
	lists   map[string]*source
	answers map[string]*reply
}

// source is a place with a list.
type source struct {
	issuer *x509.Certificate

	lock   chan struct{} // of one place: held while fetching
	list   atomic.Pointer[List]
	failed time.Time // the last try, if it failed
	err    error
}

// reply is an OCSP answer that may serve again.
type reply struct {
	answer *Answer
	at     time.Time
}

// New makes a Checker. The code of its error is npki.ErrInput.
func New(config Config) (*Checker, error) {
	if config.Fetcher == nil {
		return nil, fail(npki.ErrInput, "no fetcher")
	}
	if config.Grace < 0 || config.Retry < 0 || config.MaxList < 0 {
		return nil, fail(npki.ErrInput, "a negative duration or size")
	}
	config.Retry = cmp.Or(config.Retry, 30*time.Second)
	config.MaxList = cmp.Or(config.MaxList, npki.MaxFile)
	if config.Now == nil {
		config.Now = time.Now
	}
	c := &Checker{config: config, hosts: map[string]bool{}, lists: map[string]*source{}, answers: map[string]*reply{}}
	for _, host := range config.Hosts {
		if _, port, err := net.SplitHostPort(host); err != nil || port == "" {
			return nil, fail(npki.ErrInput, "host without port: "+host)
		}
		c.hosts[strings.ToLower(host)] = true
	}
	for organization, r := range config.Responders {
		if (r.Signer == nil) != (r.Certificate == nil) || r.Hash != 0 && r.Hash != crypto.SHA1 && r.Hash != crypto.SHA256 {
			return nil, fail(npki.ErrInput, "responder of "+organization)
		}
	}
	return c, nil
}

// Check gives the evidence that the certificate of a verified chain is good. A *StatusError says that it is
// revoked or on hold, and then the evidence is of that; every other error has the code npki.ErrStatus and says
// in its text what was tried.
func (c *Checker) Check(ctx context.Context, chain *npki.Chain) (*Evidence, error) {
	now := c.config.Now()
	if !c.config.Authorities {
		return c.check(ctx, chain, now)
	}
	above, err := c.checkList(ctx, chain.CA, chain.Root, true, now)
	if err != nil {
		return above, err
	}
	evidence, err := c.check(ctx, chain, now)
	if evidence != nil {
		evidence.Overdue = max(evidence.Overdue, above.Overdue)
	}
	return evidence, err
}

// check checks the certificate without its CA.
func (c *Checker) check(ctx context.Context, chain *npki.Chain, now time.Time) (*Evidence, error) {
	leaf := chain.Certificate.Certificate
	r, ok := c.config.Responders[organization(chain.CA)]
	if !ok {
		return c.checkList(ctx, leaf, chain.CA, false, now)
	}
	evidence, err := c.checkOCSP(ctx, chain, r, now)
	if err == nil || final(err) {
		return evidence, err
	}
	evidence, other := c.checkList(ctx, leaf, chain.CA, false, now)
	if final(other) {
		return evidence, other
	}
	// What the responder has said last, an older list does not take back, and no list does if it was revoked for good.
	last := c.lastAnswer(chain)
	if last != nil && (errors.Is(last.Status(), npki.ErrRevoked) ||
		last.Status() != nil && other == nil && last.ThisUpdate.After(evidence.ThisUpdate)) {
		return last.evidence(now), last.Status()
	}
	if other == nil && evidence.Overdue == 0 {
		return evidence, nil
	}
	// The last answer of the responder may serve under the grace, and may be younger than the last list.
	if old, status := c.oldAnswer(last, now); old != nil && (other != nil || old.Overdue < evidence.Overdue) {
		return old, status
	}
	if other != nil {
		return nil, unknown(err, other)
	}
	return evidence, nil
}

// final says that an error is an answer.
func final(err error) bool {
	var status *StatusError
	return errors.As(err, &status)
}

// unknown makes one error of what has gone wrong. The causes are in its text only: a responder whose
// certificate has expired must not look like a citizen whose certificate has.
func unknown(problems ...error) error {
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = problem.Error()
	}
	return fail(npki.ErrStatus, strings.Join(texts, "; "))
}

func fail(code npki.Code, what string) error { return &npki.Error{Code: code, What: what} }

// organization is the O of a certificate that has exactly one.
func organization(certificate *x509.Certificate) string {
	if len(certificate.Subject.Organization) != 1 {
		return ""
	}
	return certificate.Subject.Organization[0]
}

// allowed says whether an address from a certificate may be asked.
func (c *Checker) allowed(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Fragment != "" {
		return false
	}
	port, known := map[string]string{"ldap": "389", "http": "80", "https": "443"}[u.Scheme]
	if !known {
		return false
	}
	return c.hosts[strings.ToLower(net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))]
}

// checkList checks a certificate by the list at one of its distribution points.
func (c *Checker) checkList(ctx context.Context, certificate, issuer *x509.Certificate, authority bool, now time.Time) (*Evidence, error) {
	points, err := pointsOf(certificate)
	if err != nil {
		return nil, unknown(err)
	}
	if len(points) == 0 {
		return nil, fail(npki.ErrStatus, "crl: the certificate names no distribution point")
	}
	var problems []error
	var stale *Evidence
	for _, point := range points {
		for _, address := range point.urls {
			evidence, err := c.checkPoint(ctx, certificate, issuer, point, address, authority, now)
			switch {
			case err == nil && evidence.Overdue == 0, final(err):
				return evidence, err
			case err != nil:
				problems = append(problems, fmt.Errorf("crl %s: %w", address, err))
			case stale == nil || evidence.Overdue < stale.Overdue:
				stale = evidence
			}
		}
	}
	if stale != nil {
		return stale, nil
	}
	return nil, unknown(problems...)
}

// checkPoint checks a certificate by one list. Under the grace, the last known list serves.
func (c *Checker) checkPoint(ctx context.Context, certificate, issuer *x509.Certificate, at point, address string, authority bool, now time.Time) (*Evidence, error) {
	list, problem := c.list(ctx, address, issuer, now)
	if list == nil {
		return nil, problem
	}
	if list.Base != nil {
		return nil, errors.New("a delta CRL where a complete one was expected")
	}
	if err := list.covers(at, authority); err != nil {
		return nil, err
	}
	evidence := &Evidence{
		Method: CRL, URL: address, ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate, CheckedAt: now, Answer: list.Raw,
		Overdue: max(0, now.Sub(list.NextUpdate)),
	}
	state, listed := list.lookup(certificate.SerialNumber)
	freshest, err := list.freshest, error(nil)
	if own, problem := freshestOf(certificate); problem != nil {
		err = problem
	} else if len(freshest) == 0 {
		freshest = own
	}
	if err == nil && len(freshest) > 0 {
		var delta *List
		if delta, err = c.delta(ctx, freshest, list, issuer, at, authority, now); err == nil {
			evidence.Delta = delta.Raw
			if change, has := delta.lookup(certificate.SerialNumber); has {
				state, listed = change, change.reason != removeFromCRL
			}
			evidence.ThisUpdate, evidence.NextUpdate = delta.ThisUpdate, delta.NextUpdate
			evidence.Overdue = max(0, now.Sub(delta.NextUpdate))
		}
	}
	switch {
	case listed && state.reason == certificateHold && err == nil:
		return evidence, &StatusError{Code: npki.ErrHeld, At: state.at, Reason: state.reason}
	case listed && state.reason != certificateHold:
		return evidence, &StatusError{Code: npki.ErrRevoked, At: state.at, Reason: state.reason}
	case err != nil:
		// The list announces changes that could not be had: it is as old as it is, whatever its nextUpdate.
		if evidence.Overdue = now.Sub(list.ThisUpdate); listed || evidence.Overdue > c.config.Grace {
			return nil, err
		}
	case evidence.Overdue > c.config.Grace:
		return nil, cmpError(problem, errors.New("out of date"))
	}
	return evidence, nil
}

// cmpError is the first error that is one.
func cmpError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// delta gets the delta CRL that completes a list.
func (c *Checker) delta(ctx context.Context, addresses []point, base *List, issuer *x509.Certificate, at point, authority bool, now time.Time) (*List, error) {
	problem := errors.New("delta: no address")
	for _, p := range addresses {
		for _, address := range p.urls {
			list, err := c.list(ctx, address, issuer, now)
			switch {
			case list == nil:
				problem = fmt.Errorf("delta: %w", err)
			case now.After(list.NextUpdate):
				problem = cmpError(err, errors.New("delta: out of date"))
			case list.Base == nil:
				problem = errors.New("delta: not a delta CRL")
			case base.Number == nil || list.Base.Cmp(base.Number) > 0 || list.Number.Cmp(base.Number) < 0:
				problem = errors.New("delta: to another list")
			default:
				if problem = list.covers(at, authority); problem == nil {
					return list, nil
				}
			}
		}
	}
	return nil, problem
}

// list gives the list at an address: a fresh one, from memory or from there, or else the last known one with
// the reason why there is none fresher, or nil with that reason.
func (c *Checker) list(ctx context.Context, address string, issuer *x509.Certificate, now time.Time) (*List, error) {
	s, err := c.source(address, issuer)
	if err != nil {
		return nil, err
	}
	if list := s.list.Load(); list != nil && !now.After(list.NextUpdate) {
		return list, nil
	}
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return s.list.Load(), ctx.Err()
	}
	old := s.list.Load()
	if old != nil && !now.After(old.NextUpdate) {
		return old, nil
	}
	if s.err != nil && now.Sub(s.failed).Abs() < c.config.Retry {
		return old, s.err
	}
	list, err := c.fetch(ctx, address, issuer, now, old)
	if err != nil {
		if ctx.Err() == nil { // not because the caller has gone
			s.failed, s.err = now, err
		}
		return old, err
	}
	s.err = nil
	s.list.Store(list)
	return list, nil
}

// source finds or makes the place for an issuer's list; there is none at an address that must not be asked.
func (c *Checker) source(address string, issuer *x509.Certificate) (*source, error) {
	c.mu.RLock()
	s := c.lists[address]
	c.mu.RUnlock()
	if s != nil && sameIssuer(s.issuer, issuer) {
		return s, nil
	}
	if !c.allowed(address) {
		return nil, errors.New("not an allowed host")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.lists[address]; s != nil && sameIssuer(s.issuer, issuer) {
		return s, nil
	}
	if len(c.lists) >= maxLists {
		now := c.config.Now()
		for key, s := range c.lists {
			if list := s.list.Load(); list == nil || now.After(list.NextUpdate.Add(c.config.Grace)) {
				delete(c.lists, key)
			}
		}
		if len(c.lists) >= maxLists {
			return nil, errors.New("too many lists")
		}
	}
	s = &source{issuer: issuer, lock: make(chan struct{}, 1)}
	c.lists[address] = s
	return s, nil
}

// sameIssuer says that what one has signed, the other could have: a renewed certificate of a CA may keep name
// and key.
func sameIssuer(a, b *x509.Certificate) bool {
	return a == b || bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// fetch gets a list and verifies it; it must not be older than the one that is known.
func (c *Checker) fetch(ctx context.Context, address string, issuer *x509.Certificate, now time.Time, old *List) (*List, error) {
	raw, err := c.config.Fetcher.FetchCRL(ctx, address)
	if err != nil {
		return nil, err
	}
	if len(raw) > c.config.MaxList {
		return nil, fail(npki.ErrTooLarge, "CRL")
	}
	list, err := ParseList(raw, issuer)
	switch {
	case err != nil:
		return nil, err
	case list.ThisUpdate.After(now.Add(skew)):
		return nil, errors.New("from the future")
	case now.After(list.NextUpdate):
		// Of use under the grace, if nothing better is known.
		if old != nil || now.Sub(list.NextUpdate) > c.config.Grace {
			return nil, errors.New("out of date")
		}
	case old != nil && (list.ThisUpdate.Before(old.ThisUpdate) || old.Number != nil && (list.Number == nil || list.Number.Cmp(old.Number) < 0)):
		return nil, errors.New("older than the list before it")
	}
	return list, nil
}

// checkOCSP asks the responder of the chain's CA.
func (c *Checker) checkOCSP(ctx context.Context, chain *npki.Chain, r Responder, now time.Time) (*Evidence, error) {
	key := npki.SubjectKey(chain.Certificate.Certificate)
	c.mu.RLock()
	known := c.answers[string(key)]
	c.mu.RUnlock()
	if known != nil && now.Sub(known.at) < r.Reuse && !now.Before(known.at) && known.answer.fresh(now) &&
		bytes.Equal(known.answer.issuer.Raw, chain.CA.Raw) {
		return known.answer.evidence(now), known.answer.Status()
	}
	addresses := chain.Certificate.OCSPServer
	if r.URL != "" {
		addresses = []string{r.URL}
	}
	problem := errors.New("ocsp: the certificate names no responder")
	for _, address := range addresses {
		if r.URL == "" && !c.allowed(address) {
			problem = fmt.Errorf("ocsp %s: not an allowed host", address)
			continue
		}
		answer, err := c.ask(ctx, chain, r, address, now)
		if err != nil {
			problem = fmt.Errorf("ocsp %s: %w", address, err)
			continue
		}
		c.remember(string(key), &reply{answer, now})
		return answer.evidence(now), answer.Status()
	}
	return nil, problem
}

// ask asks one responder.
func (c *Checker) ask(ctx context.Context, chain *npki.Chain, r Responder, address string, now time.Time) (*Answer, error) {
	q := Question{Certificate: chain.Certificate.Certificate, Issuer: chain.CA, Root: chain.Root, Hash: r.Hash}
	if r.Nonce {
		q.Nonce = make([]byte, 16)
		rand.Read(q.Nonce) // never fails
	}
	request, err := q.Request(r.Signer, r.Certificate)
	if err != nil {
		return nil, err
	}
	raw, err := c.config.Fetcher.QueryOCSP(ctx, address, request)
	if err != nil {
		return nil, err
	}
	answer, err := q.Verify(raw, now)
	if err != nil {
		return nil, err
	}
	if c.config.Authorities {
		if evidence, err := c.checkList(ctx, answer.Responder, chain.Root, false, now); err != nil {
			return nil, unknown(err)
		} else if evidence.Overdue > 0 {
			return nil, errors.New("status of the responder out of date")
		}
	}
	answer.url = address
	return answer, nil
}

// remember keeps an answer.
func (c *Checker) remember(key string, r *reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= maxAnswers {
		for old := range c.answers { // any one
			delete(c.answers, old)
			break
		}
	}
	c.answers[key] = r
}

// lastAnswer gives the last answer for a certificate, nil if there is none.
func (c *Checker) lastAnswer(chain *npki.Chain) *Answer {
	key := npki.SubjectKey(chain.Certificate.Certificate)
	c.mu.RLock()
	known := c.answers[string(key)]
	c.mu.RUnlock()
	if known == nil || !bytes.Equal(known.answer.issuer.Raw, chain.CA.Raw) {
		return nil
	}
	return known.answer
}

// oldAnswer makes evidence of an answer, if there is one and the grace lets it serve.
func (c *Checker) oldAnswer(last *Answer, now time.Time) (*Evidence, error) {
	if last == nil {
		return nil, nil
	}
	evidence := last.evidence(now)
	if evidence.Overdue > c.config.Grace {
		return nil, nil
	}
	return evidence, last.Status()
}

// Forget drops what is remembered, so that the next check asks again.
func (c *Checker) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.lists)
	clear(c.answers)
}
