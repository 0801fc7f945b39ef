// Package fincert simulates the financial certificate (금융인증서) of KFTC: the script that a relying party's
// page loads, the cloud signer behind it with its page and PIN, and the REST interface that tells who a
// certificate's holder is. It follows KFTC's developer pages as far as they are public. Where these are
// silent it is this package that decides, and says so.
//
// # The signer
//
// SignerHandler serves /v1/fincert.js, which defines FinCert.Sdk with init, sign, getSignerCertFromSignedVal,
// convertBase64UrlToBase64 and abort. It opens the signer's page in a frame of its own origin and talks to it
// by postMessage. That page does what any client can do over HTTP, without a script:
//
//	POST /v1/requests        JSON {"origin", "orgCode", "apiKey", "request"}: the origin of the relying
//	                         party's page, and the argument of FinCert.Sdk.sign without its functions.
//	                         200 {"id"}, or 400 {"error": {"code", "message", "cause"}}
//	GET  /v1/requests/{id}   the page: choose a certificate, read what is signed, enter the PIN
//	POST /v1/requests/{id}   form: certificate (a certSeqNum) and pin, or cancel=1. With "Accept:
//	                         application/json" the answer is 200 {"result": {"signedVals", "certSeqNum",
//	                         "rValue", "certificate"}} or {"error": {…}} with the request being over, or
//	                         422 {"error": {…, "left"}} for a wrong PIN, which may be tried again
//
// Besides, for tests and for the demonstration:
//
//	GET  /                                who has a certificate, with the PIN
//	POST /certificates/{certSeqNum}/unlock  after five wrong PINs
//	GET  /api/certificates                the same as JSON: {"certificates": [Certificate…]}
//	GET, POST, DELETE /api/faults         the registry of faults; see [sim.Faults.Handler]
//
// # REST
//
// APIHandler serves POST /oauth/2.0/api/token and POST /v1/ucpid/ucpid-info. It answers for every
// certificate that yessign has issued in the shared PKI, financial or joint.
package fincert

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// Person is a citizen whom KFTC knows.
type Person struct {
	Name      string
	English   string // may be empty
	BirthDate string // YYYY-MM-DD
	Gender    string // "male" or "female"
	Foreigner bool   // registered as a foreigner
	Phone     string // digits; shown beside the name, may be empty
	Number    string // resident (or foreigner's) registration number, 13 digits
	CI        string // 88 characters
	CI2       string // the second CI, after a change; may be empty
	PIN       string // 6 digits; empty: has no financial certificate
}

// Config is what the simulator starts with. PKI and People are needed; every other field has a use when empty.
type Config struct {
	PKI          *npkitest.PKI       // whose yessign issues the certificates
	Generation   npkitest.Generation // of yessign's two authorities
	People       []Person
	OrgCode      string           // 10 characters; empty: "D000000001"
	ClientID     string           // API key and client_id; empty: a fresh one
	ClientSecret string           // empty: a fresh one
	ServerID     string           // empty: "anyid-server-1"
	CPCode       string           // 12 characters; empty: "ANYIDTEST001"
	Now          func() time.Time // nil: time.Now
}

// Simulator is KFTC. It is safe for concurrent use.
type Simulator struct {
	orgCode, clientID, clientSecret, serverID, cpCode string

	now       func() time.Time
	pki       *npkitest.PKI
	authority *npkitest.Authority
	issuers   []*npkitest.Authority // yessign's two, for whose certificates REST answers
	faults    *sim.Faults
	people    []Person
	accounts  []*account // in the order of the people

	mu       sync.Mutex // guards what follows, and the tries and last answers of accounts
	byNumber map[string]*Person
	tokens   map[string]token
	requests map[string]*request
}

// account is a financial certificate in the cloud.
type account struct {
	seq    string // certSeqNum
	person *Person
	holder *npkitest.Holder
	wrong  int
	last   []string // signedVals of the last signature
}

// Certificate is a line of what lies in the cloud.
type Certificate struct {
	CertSeqNum string    `json:"certSeqNum"`
	Name       string    `json:"name"`
	BirthDate  string    `json:"birth_date"`
	Phone      string    `json:"phone"`
	PIN        string    `json:"pin"`
	NotAfter   time.Time `json:"not_after"`
	Locked     bool      `json:"locked"`
}

var (
	pinPattern    = regexp.MustCompile(`^[0-9]{6}$`)
	numberPattern = regexp.MustCompile(`^[0-9]{13}$`)
)

// policyPerson is a person's financial certificate, policyBusiness a business's.
const (
	policyPerson   = "1.2.410.200005.1.1.1.10"
	policyBusiness = "1.2.410.200005.1.1.8.11"
	policyJoint    = "1.2.410.200005.1.1.4"
	certificateAge = 3 // years
)

// New returns a simulator and has yessign issue the certificates.
func New(cfg Config) (*Simulator, error) {
	if cfg.PKI == nil {
		return nil, errors.New("sim/fincert: a PKI is needed")
	}
	authority, err := cfg.PKI.CA(npkitest.Yessign, cfg.Generation)
	if err != nil {
		return nil, fmt.Errorf("sim/fincert: %w", err)
	}
	s := &Simulator{
		orgCode: cmp.Or(cfg.OrgCode, "D000000001"), clientID: cmp.Or(cfg.ClientID, freshID()), clientSecret: cmp.Or(cfg.ClientSecret, rand.Text()),
		serverID: cmp.Or(cfg.ServerID, "anyid-server-1"), cpCode: cmp.Or(cfg.CPCode, "ANYIDTEST001"),
		now: cfg.Now, pki: cfg.PKI, authority: authority, faults: sim.NewFaults(faultTable...),
		people: slices.Clone(cfg.People), byNumber: map[string]*Person{}, tokens: map[string]token{}, requests: map[string]*request{},
	}
	if s.now == nil {
		s.now = time.Now
	}
	if len(s.orgCode) != 10 || len(s.cpCode) != 12 {
		return nil, errors.New("sim/fincert: OrgCode has 10 characters, and CPCode 12")
	}
	for _, generation := range []npkitest.Generation{npkitest.RSA2048, npkitest.RSA3072} {
		issuer, err := cfg.PKI.CA(npkitest.Yessign, generation)
		if err != nil {
			return nil, fmt.Errorf("sim/fincert: %w", err)
		}
		s.issuers = append(s.issuers, issuer)
	}
	for i := range s.people {
		if err := s.admit(&s.people[i]); err != nil {
			return nil, fmt.Errorf("sim/fincert: person %d: %w", i, err)
		}
	}
	return s, nil
}

// freshID is a random UUID.
func freshID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Meet makes somebody known who has got a certificate of yessign's since the start, so that the REST interface
// tells who that is. A financial certificate they cannot get.
func (s *Simulator) Meet(p Person) error {
	p.PIN = ""
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.admit(&p); err != nil {
		return fmt.Errorf("sim/fincert: %w", err)
	}
	return nil
}

// admit checks a person, and issues their certificate.
func (s *Simulator) admit(p *Person) error {
	p.Name = norm.NFC.String(p.Name)
	_, err := time.Parse(time.DateOnly, p.BirthDate)
	switch {
	case p.Name == "" || err != nil || p.Gender != "male" && p.Gender != "female":
		return errors.New("a name, a birth date and a gender are needed")
	case !npki.ValidCI(p.CI) || p.CI2 != "" && !npki.ValidCI(p.CI2):
		return errors.New("a CI of 88 characters is needed")
	case !numberPattern.MatchString(p.Number) || s.byNumber[p.Number] != nil:
		return errors.New("a registration number of 13 digits that nobody else has is needed")
	case p.PIN != "" && !pinPattern.MatchString(p.PIN):
		return errors.New("the PIN has 6 digits")
	}
	s.byNumber[p.Number] = p
	if p.PIN == "" {
		return nil
	}
	holder, err := s.authority.Enroll(s.applicant(p, policyPerson))
	if err != nil {
		return err
	}
	s.accounts = append(s.accounts, &account{seq: strconv.Itoa(len(s.accounts) + 1), person: p, holder: holder})
	return nil
}

// applicant is the person at yessign's desk.
func (s *Simulator) applicant(p *Person, policy string) npkitest.Applicant {
	return npkitest.Applicant{Name: p.Name, English: p.English, Number: p.Number, Policy: policy, Years: certificateAge}
}

// OrgCode is the relying party's code for FinCert.Sdk.
func (s *Simulator) OrgCode() string { return s.orgCode }

// ClientID is the relying party's API key in the browser, and client_id towards the REST interface.
func (s *Simulator) ClientID() string { return s.clientID }

// ClientSecret is what belongs to ClientID.
func (s *Simulator) ClientSecret() string { return s.clientSecret }

// ServerID names the relying party's server.
func (s *Simulator) ServerID() string { return s.serverID }

// CPCode is the relying party's code for DI.
func (s *Simulator) CPCode() string { return s.cpCode }

// Faults is the registry of what the simulator does wrong.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// Certificates lists what lies in the cloud, in the order of the people.
func (s *Simulator) Certificates() []Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Certificate, 0, len(s.accounts))
	for _, a := range s.accounts {
		list = append(list, Certificate{
			CertSeqNum: a.seq, Name: a.person.Name, BirthDate: a.person.BirthDate, Phone: a.person.Phone, PIN: a.person.PIN,
			NotAfter: a.holder.Certificate.NotAfter, Locked: a.wrong >= maxWrong,
		})
	}
	return list
}

// account finds a certificate in the cloud, nil if there is none.
func (s *Simulator) account(seq string) *account {
	for _, a := range s.accounts {
		if a.seq == seq {
			return a
		}
	}
	return nil
}

// SignerHandler is the script, the signer's pages, and what tests ask for.
func (s *Simulator) SignerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveIndex)
	mux.HandleFunc("POST /certificates/{seq}/unlock", s.serveUnlock)
	mux.HandleFunc("GET /v1/fincert.js", serveFile("fincert.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /v1/signer.js", serveFile("signer.js", "text/javascript; charset=utf-8"))
	mux.HandleFunc("GET /v1/signer.css", serveFile("signer.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /v1/signer", s.serveSigner)
	mux.HandleFunc("POST /v1/requests", s.serveRequest)
	mux.HandleFunc("GET /v1/requests/{id}", s.serveChoice)
	mux.HandleFunc("POST /v1/requests/{id}", s.serveDecision)
	mux.HandleFunc("GET /api/certificates", func(w http.ResponseWriter, _ *http.Request) {
		sim.WriteJSON(w, http.StatusOK, map[string][]Certificate{"certificates": s.Certificates()})
	})
	mux.Handle("/api/faults", s.faults.Handler())
	return sim.Pages(mux)
}

// APIHandler is the REST interface.
func (s *Simulator) APIHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /oauth/2.0/api/token", s.serveToken)
	mux.HandleFunc("POST /v1/ucpid/ucpid-info", s.serveUCPID)
	return mux
}
