// Package agency simulates the agencies that verify an identity (본인확인기관): their windows, in which a citizen
// proves by phone or i-PIN who they are, the interfaces over which an institution orders a window and fetches the
// result, and the phones on which the codes arrive. It follows the agencies' public documents and clients; where
// these are silent it is this package that decides, and says so.
//
// For institutions, [Simulator.APIHandler]:
//
//	NICE 통합인증          POST /ido/intc/v1.0/auth/token, …/url, …/result
//	NICE, older interface  POST /digital/niceid/oauth/oauth/token, /digital/niceid/api/v1.0/common/crypto/token
//	Danal                  POST /uas/
//	KCB                    POST /okcert/v1/okcert, GET /okcert/v1/health: in the place of the sidecar, not of the module
//
// For browsers, [Simulator.WindowHandler]: the windows /window/{id}, /CheckPlusSafeModel/service.cb,
// /Danal/WebAuth/Web/Start.php and /CommonSvl; who has which phone and i-PIN at /, the phones at /phones/{number}; and
// for tests
//
//	GET /api/messages?phone=…     the codes that are good now, oldest first: {"messages":[Message…]}
//	GET, POST, DELETE /api/faults the registry of faults; see [sim.Faults.Handler]
package agency

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
)

// Person is a citizen whom the agencies know.
type Person struct {
	Name      string
	BirthDate string  // YYYY-MM-DD
	Gender    string  // "male" or "female"
	Foreigner bool    // registered as a foreigner
	Phone     string  // digits, 010…; empty: no phone
	Carrier   Carrier // empty: SKT
	CI        string  // 88 characters
	IPIN      IPIN    // empty: made up
}

// IPIN is what a person types in the i-PIN's window.
type IPIN struct{ ID, Password string }

// Carrier is whose customer a phone's owner is.
type Carrier string

// The carriers; MVNO (알뜰폰) stands for all that use another's network.
const (
	SKT  Carrier = "SKT"
	KT   Carrier = "KT"
	LGU  Carrier = "LGU"
	MVNO Carrier = "MVNO"
)

// Config is what the simulator starts with. Every field but People has a use when empty.
type Config struct {
	People []Person
	// ClientID and ClientSecret are the institution's account with NICE, for both interfaces, and with Danal;
	// empty: fresh ones.
	ClientID, ClientSecret string
	// Services are the svc_types that the contract with NICE covers; nil: phone and i-PIN.
	Services []string
	// Callers are the addresses that NICE has registered; nil: every one.
	Callers []netip.Prefix
	// RawKeys has NICE slice the keys out of the derived bytes instead of their text.
	RawKeys bool
	Now     func() time.Time // the agencies' clock; nil: time.Now
}

// Simulator is the agencies, and the phones. It is safe for concurrent use.
type Simulator struct {
	clientID, clientSecret string
	services               []string
	callers                []netip.Prefix
	rawKeys                bool
	now                    func() time.Time
	faults                 *sim.Faults
	people                 []Person
	byPhone, byIPIN        map[string]*Person

	mu            sync.Mutex // guards what follows, and what windows hold
	tokens        map[string]*token
	crypto        map[string]*cryptoToken
	windows       map[string]*window
	byTransaction map[string]*window
	messages      []Message
}

// What the institution's accounts are called. None is a secret, or a real one's.
const (
	ProductID = "2101979031"   // of NICE's older interface
	MemberKCB = "V00000000000" // CP_CD
	siteCode  = "ANYID00000001"
)

// The svc_types. That of the i-PIN is this package's, since NICE does not publish it.
const (
	PhoneService = "M"
	IPINService  = "I"
)

// CancelledKCB and CancelledDanal are this package's result codes for a citizen who cancelled.
const (
	CancelledKCB   = "B901"
	CancelledDanal = "5001"
)

// CancelledCheckPlus is the older interface's.
const CancelledCheckPlus = "9901"

const (
	windowLife = 10 * time.Minute
	codeLife   = 3 * time.Minute
	maxWrong   = 5
	maxWindows = 50_000
	maxTokens  = 1000
	maxListed  = 50
)

var (
	phonePattern = regexp.MustCompile(`^01[0-9]{8,9}$`)
	carriers     = []Carrier{SKT, KT, LGU, MVNO}
)

// New returns a simulator with fresh keys.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{
		clientID: cmp.Or(cfg.ClientID, strings.ToLower(rand.Text())), clientSecret: cmp.Or(cfg.ClientSecret, rand.Text()),
		services: cfg.Services, callers: cfg.Callers, rawKeys: cfg.RawKeys, now: cfg.Now, faults: sim.NewFaults(faultTable...),
		people: slices.Clone(cfg.People), byPhone: map[string]*Person{}, byIPIN: map[string]*Person{},
		tokens: map[string]*token{}, crypto: map[string]*cryptoToken{}, windows: map[string]*window{}, byTransaction: map[string]*window{},
	}
	if s.services == nil {
		s.services = []string{PhoneService, IPINService}
	}
	if s.now == nil {
		s.now = time.Now
	}
	for i := range s.people {
		if err := s.admit(i); err != nil {
			return nil, fmt.Errorf("sim/agency: person %d: %w", i, err)
		}
	}
	return s, nil
}

// admit checks a person, and gives them an i-PIN.
func (s *Simulator) admit(i int) error {
	p := &s.people[i]
	p.Name = norm.NFC.String(p.Name)
	p.Carrier = cmp.Or(p.Carrier, SKT)
	if p.IPIN.ID == "" {
		p.IPIN = IPIN{fmt.Sprintf("ipin%02d", i+1), fmt.Sprintf("ipin%02d!", i+1)}
	}
	_, err := time.Parse(time.DateOnly, p.BirthDate)
	switch {
	case p.Name == "" || err != nil || len(p.CI) != 88 || p.Gender != "male" && p.Gender != "female":
		return errors.New("a name, a birth date, a gender and a CI of 88 characters are needed")
	case p.Phone != "" && (!phonePattern.MatchString(p.Phone) || s.byPhone[p.Phone] != nil):
		return errors.New("the phone number is another person's, or no Korean mobile number in digits")
	case !slices.Contains(carriers, p.Carrier):
		return errors.New("unknown carrier")
	case p.IPIN.Password == "" || s.byIPIN[p.IPIN.ID] != nil:
		return errors.New("the i-PIN is another person's, or has no password")
	}
	if p.Phone != "" {
		s.byPhone[p.Phone] = p
	}
	s.byIPIN[p.IPIN.ID] = p
	return nil
}

// ClientID is the institution's account with NICE and Danal.
func (s *Simulator) ClientID() string { return s.clientID }

// ClientSecret is what belongs to ClientID, and the key of KCB's sidecar.
func (s *Simulator) ClientSecret() string { return s.clientSecret }

// People lists who is known, each with a carrier and an i-PIN.
func (s *Simulator) People() []Person { return slices.Clone(s.people) }

// Faults is the registry of what the simulator does wrong.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// APIHandler is what institutions call.
func (s *Simulator) APIHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ido/intc/v1.0/auth/token", s.serveToken)
	mux.HandleFunc("POST /ido/intc/v1.0/auth/url", s.serveURL)
	mux.HandleFunc("POST /ido/intc/v1.0/auth/result", s.serveResult)
	mux.HandleFunc("POST /digital/niceid/oauth/oauth/token", s.serveOldToken)
	mux.HandleFunc("POST /digital/niceid/api/v1.0/common/crypto/token", s.serveCryptoToken)
	mux.HandleFunc("POST /uas/", s.serveDanal)
	mux.HandleFunc("POST /okcert/v1/okcert", s.serveOkCert)
	mux.HandleFunc("GET /okcert/v1/health", s.serveHealth)
	return mux
}

// facts is what a result says.
type facts struct {
	name, birthDate string // birthDate: yyyyMMdd
	male, foreign   bool
	phone           string
	carrier         Carrier
	ci, di, number  string
	resident        string // resident registration number; empty, but for a fault
	unknown         bool   // the result has a code that nobody knows
}

// result says who a window has verified.
func (s *Simulator) result(w window) facts {
	p := w.person
	struck := func(name string) bool {
		_, is := s.faults.Strike(name, w.api, opResult, p.Phone)
		return is
	}
	f := facts{
		name: p.Name, birthDate: strings.ReplaceAll(p.BirthDate, "-", ""), male: p.Gender == "male", foreign: p.Foreigner,
		carrier: p.Carrier, ci: p.CI, di: s.di(p.CI), number: w.number,
	}
	if w.service == PhoneService {
		f.phone = p.Phone
	}
	if struck(FaultOtherPerson) {
		f.ci = s.otherCI(p)
	}
	if struck(FaultMalformedCI) {
		f.ci = f.ci[:80]
	}
	if struck(FaultMissingCI) {
		f.ci = ""
	}
	if struck(FaultMissingName) {
		f.name = ""
	}
	if struck(FaultMalformedBirth) {
		f.birthDate = "19900230"
	}
	if struck(FaultForeigner) {
		f.foreign = true
	}
	if struck(FaultMVNO) {
		f.carrier = MVNO
	}
	if struck(FaultOtherRequest) {
		f.number = rand.Text()
	}
	if struck(FaultResidentNumber) {
		f.resident = f.birthDate[2:] + "9999999"
	}
	f.unknown = struck(FaultUnknownResultCode)
	return f
}

// otherCI is the CI of the first person who is another one, or of nobody.
func (s *Simulator) otherCI(p *Person) string {
	for i := range s.people {
		if s.people[i].CI != p.CI {
			return s.people[i].CI
		}
	}
	return base64.StdEncoding.EncodeToString(make([]byte, 64))
}

// di is the person's DI at the institution, 64 characters, with a key that is clearly nobody's.
func (s *Simulator) di(ci string) string {
	mac := hmac.New(sha256.New, []byte("anyid-simulator-dev-key"))
	mac.Write([]byte(siteCode + ci))
	return hex.EncodeToString(mac.Sum(nil))
}

// digits is a random number of n digits.
func digits(n int) string {
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
	number, err := rand.Int(rand.Reader, limit)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return fmt.Sprintf("%0*d", n, number)
}
