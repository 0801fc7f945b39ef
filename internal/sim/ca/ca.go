// Package ca simulates the certification authorities that issue joint certificates (공동인증서), with what
// stands around them: the registration desk as web pages, the OCSP responder, the directory with the
// revocation lists over LDAP and HTTP, and an institution's resolver that turns a resident registration number
// into the CI. The authorities themselves are a [npkitest.PKI], which is handed in: it must have been told this
// simulator's addresses, so that its certificates name them.
//
// The desk's pages also play the applicant's program: they make the key and R, and give the files away.
package ca

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// Person is a citizen whom the desk and the resolver know.
type Person struct {
	Name    string
	English string // may be empty
	Number  string // resident (or foreigner's) registration number, 13 digits
	CI      string // 88 characters
	Wallet  Wallet // shown on the page of the people
}

// Wallet is where somebody's certificates lie and how they are opened. Empty fields are not shown.
type Wallet struct {
	Folder   string // with NPKI in it
	PFX      string // file
	Password string
	PIN      string // of the financial certificate
	Note     string // what is in it
}

// Config is what the simulator starts with.
type Config struct {
	PKI         *npkitest.PKI
	People      []Person
	ResolverKey string           // the caller's key at the CI resolver; empty: a fresh one
	Now         func() time.Time // nil: time.Now; the PKI has a clock of its own
	Met         func(Person)     // told who has come to the desk that nobody knew; may be nil
}

// Simulator is the authorities and their surroundings. It is safe for concurrent use.
type Simulator struct {
	pki         *npkitest.PKI
	now         func() time.Time
	resolverKey string
	faults      *sim.Faults
	met         func(Person)
	demo        []Person // in the order of the page

	answering sync.RWMutex // held for writing while an authority misbehaves

	mu      sync.Mutex         // guards what follows
	people  map[string]Person  // by number; who applies joins them
	tickets map[string]*ticket // by reference number
	parcels map[string]*parcel // by handle
	order   []string           // handles, oldest first
}

// New returns a simulator.
func New(cfg Config) (*Simulator, error) {
	if cfg.PKI == nil {
		return nil, errors.New("sim/ca: a PKI is needed")
	}
	s := &Simulator{
		pki: cfg.PKI, now: cfg.Now, resolverKey: cmp.Or(cfg.ResolverKey, rand.Text()), faults: sim.NewFaults(faultTable...), met: cfg.Met,
		demo: slices.Clone(cfg.People), people: map[string]Person{}, tickets: map[string]*ticket{}, parcels: map[string]*parcel{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	for i := range s.demo {
		p := &s.demo[i]
		p.Name = norm.NFC.String(p.Name)
		_, err := npki.CheckResident([]byte(p.Number), s.now())
		if p.Name == "" || err != nil || !npki.ValidCI(p.CI) {
			return nil, fmt.Errorf("sim/ca: person %d: a name, a resident number and a CI are needed", i)
		}
		if _, taken := s.people[p.Number]; taken {
			return nil, fmt.Errorf("sim/ca: person %d: the resident number is another person's", i)
		}
		s.people[p.Number] = *p
	}
	return s, nil
}

// ResolverKey is the caller's key at the CI resolver.
func (s *Simulator) ResolverKey() string { return s.resolverKey }

// Faults is the registry of what the simulator does wrong.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// Handler is everything that speaks HTTP:
//
//	GET  /                                   the registration desk
//	POST /ocsp                               the OCSP responder (RFC 6960 appendix A.1)
//	GET  /ou=…?certificateRevocationList     a list of the directory, by its entry's name and attribute
//	POST /v1/ci                              the CI resolver: {"resident_number", "name"} to {"ci"}
//	GET  /api/certificates                   what was issued: {"certificates": [Certificate…]}
//	POST /api/certificates/{id}/{change}     hold, release or revoke; 409 if the state forbids it
//	GET, POST, DELETE /api/faults            the registry of faults; see [sim.Faults.Handler]
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ocsp", s.serveOCSP)
	mux.HandleFunc("/v1/ci", s.serveCI)
	mux.HandleFunc("GET /{entry}", s.serveList)
	desk := sim.Pages(s.desk())
	mux.Handle("/", desk)
	for _, path := range []string{sim.StylesheetPath, stylesheetPath, "/issue", "/certificates", "/people"} {
		mux.Handle("GET "+path, desk) // more exact than the entries of the directory
	}
	return mux
}

// State is a certificate's status in one word.
type State string

// The states.
const (
	Good    State = "good"
	Held    State = "held"
	Revoked State = "revoked"
	Expired State = "expired"
	Future  State = "not-yet-valid"
)

// Certificate is a line in the books of the authorities.
type Certificate struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`      // whose it is
	Authority string    `json:"authority"` // organization: "yessign"
	Kind      string    `json:"kind"`      // in words: "개인 범용"
	Policy    string    `json:"policy"`    // dotted
	Serial    string    `json:"serial"`    // hex
	Signs     bool      `json:"signs"`     // signCert, not kmCert
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	State     State     `json:"state"`
	ChangedAt time.Time `json:"changed_at,omitzero"` // when it was revoked or put on hold

	authority *npkitest.Authority
	record    npkitest.Record
	renewable bool // at the desk: the key is the holder's own, and not the cloud's
}

// ID names a certificate at the desk: the beginning of its SHA-256, in hex.
func ID(c *npki.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:8])
}

// organizations are the authorities in the order of the pages.
var organizations = []string{npkitest.Yessign, npkitest.KICA, npkitest.SignKorea, npkitest.CrossCert, npkitest.TradeSign}

// Certificates lists everything that was issued, the latest first.
func (s *Simulator) Certificates() ([]Certificate, error) {
	list := []Certificate{}
	for _, organization := range organizations {
		for _, generation := range []npkitest.Generation{npkitest.RSA2048, npkitest.RSA3072} {
			a, err := s.pki.CA(organization, generation)
			if err != nil {
				return nil, fmt.Errorf("sim/ca: %w", err)
			}
			for _, r := range a.Records() {
				list = append(list, s.line(a, r))
			}
		}
	}
	slices.SortStableFunc(list, func(x, y Certificate) int { return y.NotBefore.Compare(x.NotBefore) })
	return list, nil
}

// line is a record for the desk.
func (s *Simulator) line(a *npkitest.Authority, r npkitest.Record) Certificate {
	c := Certificate{
		ID: ID(r.Certificate), Authority: a.Organization, Serial: r.Certificate.SerialNumber.Text(16), Signs: r.Certificate.Signs(),
		NotBefore: r.Certificate.NotBefore, NotAfter: r.Certificate.NotAfter, ChangedAt: r.Revoked, authority: a, record: r,
	}
	if identity, err := r.Certificate.Identity(); err == nil {
		c.Name = identity.RealName
	}
	if policy, ok := r.Certificate.Policy(); ok {
		c.Kind, c.Policy = policy.Label(), policy.OID
		c.renewable = r.Applicant.Name != "" && policy.Kind != npki.Financial
	}
	const hold = 6 // RFC 5280 §5.3.1
	switch now := s.now(); {
	case !r.Revoked.IsZero() && r.Reason == hold:
		c.State = Held
	case !r.Revoked.IsZero():
		c.State = Revoked
	case now.After(r.Certificate.NotAfter):
		c.State = Expired
	case now.Before(r.Certificate.NotBefore):
		c.State = Future
	default:
		c.State = Good
	}
	return c
}

// find finds a certificate by its ID.
func (s *Simulator) find(id string) (Certificate, error) {
	list, err := s.Certificates()
	if err != nil {
		return Certificate{}, err
	}
	i := slices.IndexFunc(list, func(c Certificate) bool { return c.ID == id })
	if i < 0 {
		return Certificate{}, npkitest.ErrUnknown
	}
	return list[i], nil
}

// What can be done to a certificate.
const (
	Hold    = "hold"    // 효력정지
	Release = "release" // 효력회복
	Revoke  = "revoke"  // 폐지
)

// keyCompromise is the reason that the desk gives (RFC 5280 §5.3.1).
const keyCompromise = 1

// Change holds, releases or revokes the certificate with the ID. npkitest.ErrUnknown says that there is no such
// certificate or change, npkitest.ErrState that its state forbids it.
func (s *Simulator) Change(id, change string) error {
	c, err := s.find(id)
	if err != nil {
		return err
	}
	serial := c.record.Certificate.SerialNumber
	switch change {
	case Hold:
		return c.authority.Hold(serial)
	case Release:
		return c.authority.Release(serial)
	case Revoke:
		return c.authority.Revoke(serial, keyCompromise)
	}
	return npkitest.ErrUnknown
}

// known returns the person with the number, who is to have the name.
func (s *Simulator) known(number, name string) (Person, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.people[number]
	return p, ok && p.Name == norm.NFC.String(strings.TrimSpace(name))
}

// meet makes a person whom nobody knew known, with a CI. It reports whether the number is theirs.
func (s *Simulator) meet(number, name, english string) bool {
	s.mu.Lock()
	p, known := s.people[number]
	if !known {
		p = Person{Name: name, English: english, Number: number, CI: inventedCI(number)}
		s.people[number] = p
	}
	s.mu.Unlock()
	if !known && s.met != nil {
		s.met(p)
	}
	return p.Name == name
}

// inventedCI is a CI that no real institution could give: the key is public.
func inventedCI(number string) string {
	mac := hmac.New(sha512.New, []byte("anyid-simulator-dev-key"))
	mac.Write([]byte("CI" + number))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
