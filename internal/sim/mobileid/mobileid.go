// Package mobileid simulates mobile IDs (모바일 신분증): the wallets of the demo's people as web pages, their issuers,
// and what stands around them. A wallet speaks MIP 1.0.0, as the national service's do, and OpenID4VP 1.0 with
// HAIP 1.0. It follows the public message specification v1.8.0 of MIP and the OpenID specifications. Where those
// are silent it is this package that decides, and says so. It misbehaves on request; see the table of faults.
//
// # Addresses
//
// Handler serves, for people:
//
//	GET  /                              whose wallets there are
//	GET  /wallets/{phone}               one wallet: what waits, and the IDs in it
//	GET  /wallets/{phone}/scan          the camera: a field for a QR code's text, or for a link
//	POST /wallets/{phone}/scan          form: text
//	GET  /wallets/{phone}/history       what was sent to whom
//	POST /requests/{id}/approve         form: choice, the number of the ID that is sent
//	POST /requests/{id}/deny
//	GET  /open?link=…                   a link that no browser opens by itself, such as mobileid://…
//	GET  /open?client_id=…&request_uri=…  a claimed link of OpenID4VP; both ask whose wallet it is for
//
// for tests, as JSON:
//
//	GET    /api/requests?phone=…        what waits: {"requests":[Waiting…]}
//	POST   /api/scan                    {"phone","text"}: a Waiting, or 422 {"error"}
//	POST   /api/requests/{id}/approve   {"choice":0} or nothing: an Outcome; 409 if it does not wait
//	POST   /api/requests/{id}/deny      the same
//	GET, POST, DELETE /api/faults       the registry of faults; see [sim.Faults.Handler]
//	POST   /api/auto-approve            {"on":true}
//
// and for programs:
//
//	POST /api/sendVPAPI.do              the push service: {"data":"<base64 of the push message>"}
//	GET  /ports/health, POST /ports/{documents,statuses,profile,decrypt}   what a registered institution has
//	GET  /status/{list}                 Token Status Lists
//
// # MIP where the specification is silent
//
// Documents are signed over SHA-256 of canonical JSON (RFC 8785): a VC without its proof; a VP without proof, proofs
// and uncommitted, but with the proof that is made, less its signatureValue; a profile in the same way. Signatures are
// ECDSA in compact form, 65 bytes: those of VPs (secp256r1) and profiles (secp256k1) in base58, those of VCs
// (secp256r1) as SIG_R1_ with a checksum.
//
// vp.data is hex of: the length of the wrapped key (two bytes, big-endian), an AES key wrapped by RSA-OAEP with SHA-256
// and no label, a nonce of 12 bytes, and the presentation in AES-GCM with its tag. The AES key has 16 or 32 bytes, as
// encryptType says. publicKey in the profile is base58 of the RSA key's SubjectPublicKeyInfo.
package mobileid

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
)

// Person is a citizen with mobile IDs. Who has no phone has no wallet.
type Person struct {
	Name      string
	English   string // may be empty
	BirthDate string // YYYY-MM-DD
	Gender    string // "male" or "female"
	Foreigner bool   // registered as a foreigner
	CI        string // 88 characters
	Phone     string // digits, 010…
	Number    string // the front of the registration number and the digit of the sex, 7 digits; shown on the IDs
	// IDs are the codes of the cards in the wallet; nil means what such a person usually has: an alien
	// registration card, or else a resident card and, from 18 on, a driving licence.
	IDs []string
}

// Config is what the simulator starts with. URL and People are needed; every other field has a use when empty.
type Config struct {
	URL         string // base URL under which Handler is reached: status lists lie below it
	People      []Person
	Service     string           // the institution's svcCode; empty: "anyid.login.1"
	ServiceName string           // as wallets show it; empty: "정부 통합로그인"
	AuthTypes   []string         // what the profile asks for, among pin, bio, face; nil: pin
	PushCode    string           // its mscode at the push service; empty: "ANYID01"
	PortKey     string           // its key at the ports; empty: a fresh one
	KeyName     string           // the name of its private key; empty: "sp.rsa.1"
	HTTP        *http.Client     // reaches who asks; nil: a client of its own
	Now         func() time.Time // nil: time.Now
	AutoApprove bool             // every request is approved without anybody touching a phone
}

// Simulator is the wallets, their issuers, and the services around them. It is safe for concurrent use.
type Simulator struct {
	url         string
	serviceName string
	authTypes   []string

	service, pushCode, portKey, keyName string

	client *http.Client
	now    func() time.Time
	faults *sim.Faults

	wallets []*wallet // in the order of the people
	byPhone map[string]*wallet
	ledger  *ledger
	issuers *issuers // of OpenID4VP

	mu       sync.Mutex // guards what follows, and what wallets keep
	auto     bool
	pushes   int
	requests map[string]*request
}

// wallet is the app on one person's phone.
type wallet struct {
	person Person
	index  uint64 // in status lists
	did    string
	keys   map[string]*ecdsa.PrivateKey // by the words of authType
	cards  []*issued

	history []*Entry          // newest first
	last    map[string]sealed // what was presented last, by protocol
}

// sealed is a presentation that may be replayed.
type sealed struct {
	vp    map[string]any
	token map[string][]string
}

var (
	phonePattern  = regexp.MustCompile(`^01[0-9]{8,9}$`)
	numberPattern = regexp.MustCompile(`^[0-9]{7}$`)
)

// New returns a simulator with fresh keys, and has the IDs issued.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{
		url: strings.TrimRight(cfg.URL, "/"), serviceName: cmp.Or(cfg.ServiceName, "정부 통합로그인"), authTypes: cfg.AuthTypes,
		service: cmp.Or(cfg.Service, "anyid.login.1"), pushCode: cmp.Or(cfg.PushCode, "ANYID01"),
		portKey: cmp.Or(cfg.PortKey, rand.Text()), keyName: cmp.Or(cfg.KeyName, "sp.rsa.1"),
		now: cfg.Now, faults: sim.NewFaults(faultTable...), byPhone: map[string]*wallet{}, auto: cfg.AutoApprove, requests: map[string]*request{},
	}
	if s.url == "" {
		return nil, errors.New("sim/mobileid: the URL is needed")
	}
	if s.authTypes == nil {
		s.authTypes = []string{pin}
	}
	for _, kind := range s.authTypes {
		if !slices.Contains(authTypes, kind) {
			return nil, fmt.Errorf("sim/mobileid: authType %q is not known", kind)
		}
	}
	if s.now == nil {
		s.now = time.Now
	}
	client := http.Client{Timeout: sendTimeout}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.client = &client
	var err error
	if s.ledger, err = newLedger(); err != nil {
		return nil, err
	}
	if s.issuers, err = newIssuers(); err != nil {
		return nil, err
	}
	for i := range cfg.People {
		if err := s.admit(cfg.People[i]); err != nil {
			return nil, fmt.Errorf("sim/mobileid: person %d: %w", i, err)
		}
	}
	return s, nil
}

// admit checks a person, and puts their IDs into their wallet.
func (s *Simulator) admit(p Person) error {
	if p.Phone == "" {
		return nil
	}
	p.Name = norm.NFC.String(p.Name)
	born, err := time.Parse(time.DateOnly, p.BirthDate)
	switch {
	case p.Name == "" || err != nil || p.Gender != "male" && p.Gender != "female":
		return errors.New("a name, a birth date and a gender are needed")
	case !validCI(p.CI):
		return errors.New("a CI of 88 characters is needed")
	case !phonePattern.MatchString(p.Phone) || s.byPhone[p.Phone] != nil:
		return errors.New("a Korean mobile number in digits that nobody else has is needed")
	case p.Number != "" && !numberPattern.MatchString(p.Number):
		return errors.New("the front of the registration number has 7 digits")
	}
	if p.IDs == nil {
		switch {
		case p.Foreigner:
			p.IDs = []string{alienCard.Code}
		case born.AddDate(18, 0, 0).After(s.now()):
			p.IDs = []string{residentCard.Code}
		default:
			p.IDs = []string{residentCard.Code, drivingLicence.Code}
		}
	}
	w := &wallet{person: p, index: uint64(len(s.wallets)), keys: map[string]*ecdsa.PrivateKey{}, last: map[string]sealed{}}
	for _, kind := range authTypes {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		w.keys[kind] = key
	}
	if w.did, err = s.ledger.enroll(w.keys); err != nil {
		return err
	}
	for _, code := range p.IDs {
		card := cardOf(code)
		if card == nil {
			return fmt.Errorf("there is no ID %q", code)
		}
		w.cards = append(w.cards, s.ledger.issue(w, card, s.now()))
	}
	s.wallets = append(s.wallets, w)
	s.byPhone[p.Phone] = w
	return nil
}

// validCI reports whether a text has the form of a CI: 64 bytes in base64.
func validCI(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 64
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Service is the institution's svcCode.
func (s *Simulator) Service() string { return s.service }

// PushCode is the institution's mscode.
func (s *Simulator) PushCode() string { return s.pushCode }

// PushURL is the address of the push service.
func (s *Simulator) PushURL() string { return s.url + "/api/sendVPAPI.do" }

// PortsURL is the base URL of the three ports.
func (s *Simulator) PortsURL() string { return s.url + "/ports" }

// PortKey is the institution's key at the ports.
func (s *Simulator) PortKey() string { return s.portKey }

// KeyName is the name of the private key that opens presentations.
func (s *Simulator) KeyName() string { return s.keyName }

// IssuerDIDs are the DIDs of the issuers of MIP's credentials.
func (s *Simulator) IssuerDIDs() []string { return s.ledger.issuerDIDs() }

// Faults is the registry of what the simulator does wrong.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// WalletURL is the address of somebody's wallet; empty if they have none.
func (s *Simulator) WalletURL(phone string) string {
	if s.byPhone[phone] == nil {
		return ""
	}
	return s.url + "/wallets/" + phone
}

// SetAutoApprove turns the approval of new requests without a phone on or off.
func (s *Simulator) SetAutoApprove(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auto = on
}
