package revocation_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

const policy = "1.2.410.200005.1.1.1"

var (
	noon  = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)
	hosts = []string{"directory.invalid:389", "ocsp.invalid:4612"}
)

// world is a PKI whose clock a test moves, with one person, and what was fetched.
type world struct {
	*npkitest.PKI
	t       testing.TB
	ca      *npkitest.Authority
	anchors *npki.Anchors
	person  *npkitest.Holder
	chain   *npki.Chain

	now         *atomic.Int64 // seconds after noon
	lists, asks *atomic.Int64 // how often something was fetched
}

func (w *world) clock() time.Time { return noon.Add(time.Duration(w.now.Load()) * time.Second) }

func (w *world) advance(d time.Duration) { w.now.Add(int64(d / time.Second)) }

// FetchCRL counts.
func (w *world) FetchCRL(ctx context.Context, url string) ([]byte, error) {
	w.lists.Add(1)
	return w.PKI.FetchCRL(ctx, url)
}

// QueryOCSP counts.
func (w *world) QueryOCSP(ctx context.Context, url string, request []byte) ([]byte, error) {
	w.asks.Add(1)
	return w.PKI.QueryOCSP(ctx, url, request)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: new(atomic.Int64), lists: new(atomic.Int64), asks: new(atomic.Int64)}
	w.PKI = npkitest.New(npkitest.Options{Now: w.clock})
	var err error
	if w.ca, err = w.CA(npkitest.Yessign, npkitest.RSA2048); err != nil {
		t.Fatal(err)
	}
	roots, authorities := []*x509.Certificate{w.ca.Root().Certificate}, []*x509.Certificate{w.ca.Certificate}
	if w.anchors, err = npki.NewTestAnchors(roots, authorities); err != nil {
		t.Fatal(err)
	}
	w.person, w.chain = w.enroll(w.ca)
	return w
}

func (w *world) enroll(ca *npkitest.Authority) (*npkitest.Holder, *npki.Chain) {
	w.t.Helper()
	person, err := ca.Enroll(npkitest.Applicant{Name: "홍길동", Number: "0101019000007", Policy: policy})
	if err != nil {
		w.t.Fatal(err)
	}
	return person, w.verify(person.Certificate)
}

func (w *world) verify(c *npki.Certificate) *npki.Chain {
	w.t.Helper()
	chain, err := w.anchors.VerifyChain(c, npki.ChainOptions{Policies: []string{policy}, Time: w.clock()})
	if err != nil {
		w.t.Fatal(err)
	}
	return chain
}

// checker makes a checker of a configuration; what is not in it is set for this world.
func (w *world) checker(config revocation.Config) *revocation.Checker {
	w.t.Helper()
	if config.Fetcher == nil {
		config.Fetcher = w
	}
	if config.Hosts == nil {
		config.Hosts = hosts
	}
	config.Now = w.clock
	c, err := revocation.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// check checks the person.
func (w *world) check(c *revocation.Checker) (*revocation.Evidence, error) {
	return c.Check(w.t.Context(), w.chain)
}

func (w *world) want(c *revocation.Checker, code npki.Code) *revocation.Evidence {
	w.t.Helper()
	evidence, err := w.check(c)
	switch {
	case code == "" && err != nil:
		w.t.Errorf("error %v, want none", err)
	case code != "" && !errors.Is(err, code):
		w.t.Errorf("error %v, want %q", err, code)
	}
	return evidence
}

var asked = map[string]revocation.Responder{npkitest.Yessign: {Nonce: true}}

// The way of a certificate through hold, release and revocation, by each method.
func TestStatus(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]revocation.Config{
		"crl":                 {},
		"crl, authorities":    {Authorities: true},
		"ocsp":                {Responders: asked},
		"ocsp, authorities":   {Responders: asked, Authorities: true},
		"ocsp, SHA-256":       {Responders: map[string]revocation.Responder{npkitest.Yessign: {Hash: crypto.SHA256}}},
		"ocsp, fixed address": {Responders: map[string]revocation.Responder{npkitest.Yessign: {URL: "http://elsewhere.invalid"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			serial := w.person.Certificate.SerialNumber
			for _, step := range []struct {
				do   func() error
				code npki.Code
			}{
				{func() error { return nil }, ""},
				{func() error { return w.ca.Hold(serial) }, npki.ErrHeld},
				{func() error { return w.ca.Release(serial) }, ""},
				{func() error { return w.ca.Revoke(serial, 1) }, npki.ErrRevoked},
			} {
				if err := step.do(); err != nil {
					t.Fatal(err)
				}
				c := w.checker(config)
				evidence := w.want(c, step.code)
				method := revocation.CRL
				if config.Responders != nil {
					method = revocation.OCSP
				}
				if evidence == nil || evidence.Method != method || len(evidence.Answer) == 0 || evidence.Overdue != 0 || evidence.Age() <= 0 ||
					evidence.Age() > 2*time.Hour || !evidence.CheckedAt.Equal(noon) || evidence.NextUpdate.Before(noon) || evidence.URL == "" {
					t.Errorf("evidence %+v", evidence)
				}
				if step.code != "" {
					_, err := w.check(c)
					if status, ok := errors.AsType[*revocation.StatusError](err); !ok || !status.At.Equal(noon) || status.Reason != map[npki.Code]int{npki.ErrHeld: 6, npki.ErrRevoked: 1}[step.code] {
						t.Errorf("status %v", err)
					}
				}
			}
		})
	}
}

// Every way of misbehaving is refused when there is no other source.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range npkitest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ca.Misbehave(fault)
			byList, byOCSP := w.checker(revocation.Config{}), w.checker(revocation.Config{Responders: asked})
			ocsp := strings.HasPrefix(string(fault), "ocsp")
			if !ocsp {
				w.want(byList, npki.ErrStatus)
				w.want(byOCSP, "") // asked first, and good
				return
			}
			w.want(byList, "")
			// The list answers in the responder's place.
			if evidence := w.want(byOCSP, ""); evidence == nil || evidence.Method != revocation.CRL {
				t.Errorf("evidence %+v", evidence)
			}
			w.ca.Misbehave(fault, npkitest.CRLDown)
			_, err := w.check(w.checker(revocation.Config{Responders: asked}))
			if e, ok := errors.AsType[*npki.Error](err); !ok || e.Code != npki.ErrStatus || !strings.Contains(err.Error(), "ocsp http://ocsp.invalid:4612: ") {
				t.Errorf("error %v", err)
			}
			// What is wrong with a responder must not look as if it were wrong with the citizen's certificate.
			for _, code := range []npki.Code{npki.ErrExpired, npki.ErrRevoked, npki.ErrUntrusted, npki.ErrPolicy, npki.ErrNonce} {
				if errors.Is(err, code) {
					t.Errorf("%v is %q", err, code)
				}
			}
		})
	}
}

// An answer is fetched once and remembered for as long as it holds.
func TestCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(revocation.Config{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() { w.want(c, "") })
	}
	wait.Wait()
	if n := w.lists.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	if err := w.ca.Revoke(w.person.Certificate.SerialNumber, 1); err != nil {
		t.Fatal(err)
	}
	w.advance(22 * time.Hour)
	w.want(c, "") // as the list said that holds until the next one
	w.advance(2 * time.Hour)
	w.want(c, npki.ErrRevoked)
	if n := w.lists.Load(); n != 2 {
		t.Errorf("fetched %d times", n)
	}
	c.Forget()
	w.want(c, npki.ErrRevoked)
	if n := w.lists.Load(); n != 3 {
		t.Errorf("fetched %d times", n)
	}
}

func TestReuseOfAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(revocation.Config{Responders: map[string]revocation.Responder{npkitest.Yessign: {Nonce: true, Reuse: 10 * time.Minute}}})
	w.want(c, "")
	w.advance(9 * time.Minute)
	if evidence := w.want(c, ""); evidence.Age() != 10*time.Minute {
		t.Errorf("age %v", evidence.Age())
	}
	if n := w.asks.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	w.advance(2 * time.Minute)
	w.want(c, "")
	if n := w.asks.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	// Without Reuse every check asks.
	c = w.checker(revocation.Config{Responders: asked})
	w.want(c, "")
	w.want(c, "")
	if n := w.asks.Load(); n != 4 {
		t.Errorf("asked %d times", n)
	}
}

// Without an answer it is refused at once, or served for a bounded time, which the evidence says.
func TestGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hard, soft := w.checker(revocation.Config{}), w.checker(revocation.Config{Grace: 6 * time.Hour})
	w.want(hard, "")
	w.want(soft, "")
	w.ca.Misbehave(npkitest.CRLDown)
	w.advance(25 * time.Hour) // two hours after nextUpdate
	w.want(hard, npki.ErrStatus)
	if evidence := w.want(soft, ""); evidence == nil || evidence.Overdue != 2*time.Hour || evidence.Age() != 26*time.Hour {
		t.Errorf("evidence %+v", evidence)
	}
	w.advance(5 * time.Hour)
	w.want(soft, npki.ErrStatus)
	w.ca.Misbehave()
	w.advance(time.Minute)
	if evidence := w.want(soft, ""); evidence == nil || evidence.Overdue != 0 {
		t.Errorf("evidence %+v", evidence)
	}
	// A first list that is overdue serves as well, for as long as the grace lasts.
	w.ca.Misbehave(npkitest.CRLStale)
	if evidence := w.want(w.checker(revocation.Config{Grace: 25 * time.Hour}), ""); evidence == nil || evidence.Overdue != 24*time.Hour {
		t.Errorf("evidence %+v", evidence)
	}
	w.want(w.checker(revocation.Config{Grace: 23 * time.Hour}), npki.ErrStatus)
}

// Under the grace, an old list that says revoked is believed.
func TestGraceDoesNotForgive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.ca.Revoke(w.person.Certificate.SerialNumber, 4); err != nil {
		t.Fatal(err)
	}
	for _, grace := range []time.Duration{0, 48 * time.Hour} {
		c := w.checker(revocation.Config{Grace: grace})
		w.want(c, npki.ErrRevoked)
		w.ca.Misbehave(npkitest.CRLDown)
		w.advance(30 * time.Hour)
		w.want(c, npki.ErrRevoked)
		w.ca.Misbehave()
	}
}

// With a grace, the last answer of a responder serves, or the last list, whichever is younger.
func TestGraceOfAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(revocation.Config{Responders: asked, Grace: 6 * time.Hour})
	w.want(c, "")
	w.ca.Misbehave(npkitest.OCSPDown, npkitest.CRLDown)
	w.advance(3 * time.Hour)
	evidence := w.want(c, "")
	if evidence == nil || evidence.Method != revocation.OCSP || evidence.Overdue != 2*time.Hour+time.Minute {
		t.Errorf("evidence %+v", evidence)
	}
	w.advance(6 * time.Hour)
	w.want(c, npki.ErrStatus)

	both := newWorld(t)
	c = both.checker(revocation.Config{Responders: asked, Grace: 48 * time.Hour})
	both.ca.Misbehave(npkitest.OCSPDown)
	both.want(c, "") // by the list
	both.ca.Misbehave()
	both.advance(20 * time.Hour)
	both.want(c, "") // by the responder
	both.ca.Misbehave(npkitest.OCSPDown, npkitest.CRLDown)
	both.advance(10 * time.Hour) // the list is overdue for 7 hours, the answer for 9
	if evidence := both.want(c, ""); evidence == nil || evidence.Method != revocation.CRL {
		t.Errorf("evidence %+v", evidence)
	}
}

// What the responder has said of a certificate, a list from before does not take back when the responder is down.
func TestAnswerOutlastsOlderList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	serial := w.person.Certificate.SerialNumber
	c := w.checker(revocation.Config{Responders: asked})
	said := func(do func(*big.Int) error, code npki.Code) {
		t.Helper()
		w.ca.Misbehave()
		if err := do(serial); err != nil {
			t.Fatal(err)
		}
		w.want(c, code)
		w.ca.Misbehave(npkitest.OCSPDown)
	}
	w.ca.Misbehave(npkitest.OCSPDown)
	w.want(c, "") // by the list, which is then kept for a day
	w.advance(2 * time.Hour)
	said(w.ca.Hold, npki.ErrHeld)
	if evidence := w.want(c, npki.ErrHeld); evidence == nil || evidence.Method != revocation.OCSP {
		t.Errorf("evidence %+v", evidence)
	}
	w.advance(24 * time.Hour)
	if err := w.ca.Release(serial); err != nil {
		t.Fatal(err)
	}
	w.want(c, "") // by a list from after the hold
	said(func(serial *big.Int) error { return w.ca.Revoke(serial, 1) }, npki.ErrRevoked)
	w.want(c, npki.ErrRevoked)
	w.ca.Misbehave(npkitest.OCSPDown, npkitest.CRLDown)
	w.advance(48 * time.Hour)
	w.want(c, npki.ErrRevoked)
}

// An address that has failed is left alone for a while.
func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(revocation.Config{Retry: time.Minute})
	w.ca.Misbehave(npkitest.CRLDown)
	w.want(c, npki.ErrStatus)
	w.ca.Misbehave()
	w.want(c, npki.ErrStatus)
	if n := w.lists.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	w.advance(2 * time.Minute)
	w.want(c, "")
}

// A caller who goes away does not spoil the address for the others, and does not wait.
func TestContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := &slowFetcher{world: w, started: make(chan struct{}), release: make(chan struct{})}
	c := w.checker(revocation.Config{Fetcher: slow})
	first := make(chan error, 1)
	go func() {
		_, err := c.Check(t.Context(), w.chain)
		first <- err
	}()
	<-slow.started
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Check(ctx, w.chain); !errors.Is(err, npki.ErrStatus) {
		t.Errorf("error %v", err)
	}
	close(slow.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	c.Forget()
	if _, err := c.Check(ctx, w.chain); !errors.Is(err, npki.ErrStatus) {
		t.Errorf("error %v", err)
	}
	w.want(c, "")
}

type slowFetcher struct {
	*world
	once             sync.Once
	started, release chan struct{}
}

func (f *slowFetcher) FetchCRL(ctx context.Context, url string) ([]byte, error) {
	f.once.Do(func() { close(f.started) })
	select {
	case <-f.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return f.world.FetchCRL(ctx, url)
}

// A revoked CA, or responder, takes its certificates and answers with it, where that is asked.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.checker(revocation.Config{Authorities: true})
	if err := w.ca.Root().Revoke(w.ca.Certificate.SerialNumber, 2); err != nil {
		t.Fatal(err)
	}
	w.want(w.checker(revocation.Config{}), "")
	evidence := w.want(c, npki.ErrRevoked)
	if evidence == nil || !strings.Contains(evidence.URL, "Kisa-Test-RootCA-7") {
		t.Errorf("evidence %+v", evidence)
	}

	// That the root's list is overdue is in the evidence, though the certificate's own is fresh.
	late := newWorld(t)
	soft := late.checker(revocation.Config{Authorities: true, Grace: 6 * time.Hour})
	late.want(soft, "")
	late.ca.Root().Misbehave(npkitest.CRLDown)
	late.advance(25 * time.Hour)
	if evidence := late.want(soft, ""); evidence == nil || evidence.Overdue != 2*time.Hour || evidence.Age() != time.Hour {
		t.Errorf("evidence %+v", evidence)
	}

	other := newWorld(t)
	answer, err := (&revocation.Question{Certificate: other.chain.Certificate.Certificate, Issuer: other.chain.CA, Root: other.chain.Root}).Request(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := other.QueryOCSP(t.Context(), "", answer)
	if err != nil {
		t.Fatal(err)
	}
	q := revocation.Question{Certificate: other.chain.Certificate.Certificate, Issuer: other.chain.CA, Root: other.chain.Root}
	parsed, err := q.Verify(raw, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.ca.Root().Revoke(parsed.Responder.SerialNumber, 1); err != nil {
		t.Fatal(err)
	}
	// The responder is not believed; the list is.
	if evidence := other.want(other.checker(revocation.Config{Authorities: true, Responders: asked}), ""); evidence == nil || evidence.Method != revocation.CRL {
		t.Errorf("evidence %+v", evidence)
	}
	if evidence := other.want(other.checker(revocation.Config{Responders: asked}), ""); evidence == nil || evidence.Method != revocation.OCSP {
		t.Errorf("evidence %+v", evidence)
	}
}

// A responder may demand that requests are signed.
func TestSignedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server, _ := w.enroll(w.ca)
	seen := &recorder{world: w}
	c := w.checker(revocation.Config{Fetcher: seen, Responders: map[string]revocation.Responder{
		npkitest.Yessign: {Nonce: true, Signer: server.Key.Key, Certificate: server.Certificate.Certificate},
	}})
	w.want(c, "")
	if seen.request == nil || !strings.Contains(string(seen.request), string(server.Certificate.Raw)) || !strings.Contains(string(seen.request), string(server.Certificate.RawSubject)) {
		t.Error("the request does not hold the certificate and the name of who asks")
	}
}

type recorder struct {
	*world
	request []byte
}

func (r *recorder) QueryOCSP(ctx context.Context, url string, request []byte) ([]byte, error) {
	r.request = request
	return r.world.QueryOCSP(ctx, url, request)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, config := range map[string]revocation.Config{
		"no fetcher":        {},
		"host without port": {Fetcher: w, Hosts: []string{"directory.invalid"}},
		"negative grace":    {Fetcher: w, Grace: -1},
		"signer alone":      {Fetcher: w, Responders: map[string]revocation.Responder{"x": {Signer: w.ca.Key}}},
		"MD5":               {Fetcher: w, Responders: map[string]revocation.Responder{"x": {Hash: crypto.MD5}}},
	} {
		if _, err := revocation.New(config); !errors.Is(err, npki.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Trap 21: the address of a list comes from whoever shows the certificate; only known hosts are asked.
func TestTrap21AddressesOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, allowed := range [][]string{{}, {"directory.invalid:390"}, {"ocsp.invalid:4612"}, {"invalid:389"}} {
		w.want(w.checker(revocation.Config{Hosts: allowed}), npki.ErrStatus)
		w.want(w.checker(revocation.Config{Hosts: append(allowed, "other.invalid:4612"), Responders: map[string]revocation.Responder{npkitest.Yessign: {}}}),
			map[bool]npki.Code{true: "", false: npki.ErrStatus}[len(allowed) > 0 && allowed[0] == "ocsp.invalid:4612"])
	}
	if n := w.lists.Load(); n != 0 {
		t.Errorf("%d lists fetched", n)
	}
	for _, address := range []string{
		"file:///etc/passwd", "ldap://user@directory.invalid/x", "ftp://directory.invalid:389/x", "http://directory.invalid/x", "://", "ldap://169.254.169.254/x", "",
	} {
		c, err := w.ca.Sign(npkitest.Template{
			Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: w.person.Certificate.PublicKey.(publicKey), Policies: []string{policy},
			Extra: withPoint(address),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.checker(revocation.Config{}).Check(t.Context(), w.verify(c)); !errors.Is(err, npki.ErrStatus) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if n := w.lists.Load(); n != 0 {
		t.Errorf("%d lists fetched", n)
	}
	w.want(w.checker(revocation.Config{Hosts: []string{"Directory.INVALID:389"}}), "")
}

// A certificate without a distribution point has no status.
func TestNoDistributionPoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := w.ca.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: w.person.Certificate.PublicKey.(publicKey), Policies: []string{policy},
		Extra: []extension{{Id: []int{2, 5, 29, 31}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.checker(revocation.Config{}).Check(t.Context(), w.verify(c)); !errors.Is(err, npki.ErrStatus) {
		t.Errorf("error %v", err)
	}
}
