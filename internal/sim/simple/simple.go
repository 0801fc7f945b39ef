// Package simple simulates Barocert, the REST contract over which the certificates of Kakao, Naver,
// PASS and Toss are asked for a proof of identity: a token service, the identity calls of the four
// providers, and the citizen's phone as a web page. It follows Linkhub's published SDKs and developer
// pages. Where those are silent it is this package that decides, and says so: the error codes of
// Kakao, Naver and PASS repeat Toss's published ones under their own first two digits.
package simple

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
)

// Person is a citizen whom the simulated providers know.
type Person struct {
	Name      string
	BirthDate string   // YYYY-MM-DD
	Phone     string   // digits, 010…; empty: no phone, so nobody can ask them
	Gender    string   // "male" or "female"
	Foreigner bool     // registered as a foreigner
	CI        string   // 88 characters
	Telco     string   // SKT, KT or LGU
	Email     string   // told by Naver only; may be empty
	Providers []string // kakao, naver, pass, toss: where they hold a certificate; nil means everywhere
}

// Config is what the simulator starts with. The zero value of each field but People has a use.
type Config struct {
	People       []Person
	LinkID       string           // the institution's id at the token service; empty: "ANYID"
	SecretKey    string           // its key, base64 of 32 bytes; empty: a fresh one
	ClientCode   string           // 12 digits; empty: "025090000001"
	Now          func() time.Time // the providers' clock; nil: time.Now
	AutoApprove  bool             // every request is approved without anybody touching a phone
	ApproveAfter time.Duration    // how long AutoApprove waits
	SealAnswers  bool             // answers carry personal fields in AES-256-GCM, as requests do
	MaxRequests  int              // requests kept at once; 0: 200,000
}

// Simulator is the four providers, their token service and the phones. It is safe for concurrent use.
type Simulator struct {
	linkID, clientCode string
	secret             []byte
	aead               cipher.AEAD
	now                func() time.Time
	approveAfter       time.Duration
	sealAnswers        bool
	maxRequests        int
	people             []Person
	byPhone            map[string]*Person
	authority          *sim.Authority
	faults             *sim.Faults

	mu       sync.Mutex // guards what follows
	auto     bool
	sessions map[string]session
	requests map[string]*request
	sequence int64
	swept    time.Time
	latest   map[*provider]answer

	signerMu sync.Mutex
	signers  map[signerID]*signer
}

var (
	clientCodePattern = regexp.MustCompile(`^[0-9]{12}$`)
	phonePattern      = regexp.MustCompile(`^01[0-9]{8,9}$`)
)

// New returns a simulator with fresh keys.
func New(cfg Config) (*Simulator, error) {
	s := &Simulator{
		linkID: cfg.LinkID, clientCode: cfg.ClientCode, now: cfg.Now, auto: cfg.AutoApprove, approveAfter: cfg.ApproveAfter,
		sealAnswers: cfg.SealAnswers, maxRequests: cfg.MaxRequests, people: slices.Clone(cfg.People),
		byPhone: map[string]*Person{}, faults: sim.NewFaults(faultTable...), sessions: map[string]session{},
		requests: map[string]*request{}, latest: map[*provider]answer{}, signers: map[signerID]*signer{},
	}
	if s.linkID == "" {
		s.linkID = "ANYID"
	}
	if s.clientCode == "" {
		s.clientCode = "025090000001"
	}
	if !clientCodePattern.MatchString(s.clientCode) {
		return nil, errors.New("sim/simple: the client code has 12 digits")
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.maxRequests == 0 {
		s.maxRequests = 200_000
	}
	if cfg.SecretKey == "" {
		s.secret = make([]byte, 32)
		rand.Read(s.secret)
	} else {
		secret, err := base64.StdEncoding.DecodeString(cfg.SecretKey)
		if err != nil || len(secret) != 32 {
			return nil, errors.New("sim/simple: the secret key is base64 of 32 bytes")
		}
		s.secret = secret
	}
	block, err := aes.NewCipher(s.secret)
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		return nil, fmt.Errorf("sim/simple: %w", err)
	}
	if err := s.admit(); err != nil {
		return nil, err
	}
	// A receipt of an earlier run is never one of this run.
	s.sequence = mrand.Int64N(1e12) //nolint:gosec // a receipt is no secret
	if s.authority, err = sim.NewAuthority("Simple authentication simulator root"); err != nil {
		return nil, err
	}
	return s, nil
}

// admit checks the people and finds each by phone number.
func (s *Simulator) admit() error {
	for i := range s.people {
		p := &s.people[i]
		p.Name = norm.NFC.String(p.Name)
		_, err := time.Parse(time.DateOnly, p.BirthDate)
		switch {
		case p.Name == "" || err != nil || len(p.CI) != 88:
			return fmt.Errorf("sim/simple: person %d: a name, a birth date and a CI of 88 characters are needed", i)
		case p.Phone == "":
			continue
		case !phonePattern.MatchString(p.Phone):
			return fmt.Errorf("sim/simple: person %d: the phone number is no Korean mobile number in digits", i)
		case s.byPhone[p.Phone] != nil:
			return fmt.Errorf("sim/simple: person %d: the phone number is another person's", i)
		}
		for _, id := range p.Providers {
			if !slices.ContainsFunc(providers, func(known *provider) bool { return known.id == id }) {
				return fmt.Errorf("sim/simple: person %d: unknown provider %q", i, id)
			}
		}
		s.byPhone[p.Phone] = p
	}
	return nil
}

// LinkID is the institution's id that the token service knows.
func (s *Simulator) LinkID() string { return s.linkID }

// SecretKey is the institution's key, base64 of 32 bytes.
func (s *Simulator) SecretKey() string { return base64.StdEncoding.EncodeToString(s.secret) }

// ClientCode is the institution's code in the paths of the API.
func (s *Simulator) ClientCode() string { return s.clientCode }

// Roots is the trust anchor of the signatures, in PEM.
func (s *Simulator) Roots() []byte { return s.authority.PEM() }

// Faults is the registry of what the simulator does wrong.
func (s *Simulator) Faults() *sim.Faults { return s.faults }

// SetAutoApprove turns the approval of new requests without a phone on or off.
func (s *Simulator) SetAutoApprove(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auto = on
}

// AuthHandler is the token service: GET /Time and POST /BAROCERT/Token.
func (s *Simulator) AuthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /Time", s.serveTime)
	mux.HandleFunc("POST /BAROCERT/Token", s.serveToken)
	return mux
}

// APIHandler is the API of the four providers.
func (s *Simulator) APIHandler() http.Handler {
	mux := http.NewServeMux()
	for _, p := range providers {
		base := "/" + p.path + "/Identity/{client}"
		mux.Handle("POST "+base, s.call(p, "request", s.request))
		mux.Handle("GET "+base+"/{receipt}", s.call(p, "status", s.status))
		// The SDKs disagree on the path of the verification; both work.
		mux.Handle("POST "+base+"/{receipt}", s.call(p, "verify", s.verify))
		mux.Handle("POST /"+p.path+"/Identity/Verify/{client}/{receipt}", s.call(p, "verify", s.verify))
	}
	return mux
}

// provider is what differs between the four.
type provider struct {
	id, path, korean string
	scope            string   // the token's scope for identity
	code             int64    // the first two digits of its error codes
	fields           []string // the request's fields beside those that all have
	token            bool     // the citizen signs a text of the institution's
	callCenter       bool     // callCenterNum is required
	brief            bool     // status tells the state and little else
	stateText        bool     // state is a JSON string
	maxExpire        int      // seconds
	maxToken         int      // characters
}

var providers = []*provider{
	{id: "kakao", path: "KAKAO", korean: "카카오", scope: "401", code: 40, token: true, maxExpire: 1000, maxToken: 40,
		fields: []string{"reqTitle", "extraMessage", "token"}},
	{id: "naver", path: "NAVER", korean: "네이버", scope: "421", code: 42, callCenter: true, brief: true, stateText: true, maxExpire: 1000,
		fields: []string{"callCenterNum", "deviceOSType"}},
	{id: "pass", path: "PASS", korean: "PASS", scope: "441", code: 44, token: true, callCenter: true, maxExpire: 1000, maxToken: 40,
		fields: []string{"reqTitle", "reqMessage", "callCenterNum", "token", "userAgreementYN", "receiverInfoYN", "telcoType", "deviceOSType", "useTssYN"}},
	{id: "toss", path: "TOSS", korean: "토스", scope: "461", code: 46, token: true, brief: true, maxExpire: 1800, maxToken: 50,
		fields: []string{"token", "deviceOSType"}},
}

// commonFields are the request fields of every provider.
var commonFields = []string{"receiverHP", "receiverName", "receiverBirthday", "expireIn", "returnURL", "appUseYN"}

// apiError is what the API answers when it refuses: a status, a negative code, and a text.
type apiError struct {
	status  int
	code    int64
	message string
}

// The codes below the providers' own: 300xxx about a request, 301xxx about a field of it.
const (
	codePrepare   = 300001
	codeRequest   = 300002
	codeStatus    = 300003
	codeVerify    = 300004
	codePending   = 300016
	codeField     = 301000
	codeNoPhone   = 301001
	codePhone     = 301003
	codeNoName    = 301004
	codeLongName  = 301005
	codeNoBirth   = 301006
	codeBirth     = 301007
	codeNoExpire  = 301009
	codeLowExpire = 301010
	codeExpire    = 301011
	codeNoToken   = 301012
	codeToken     = 301013
	codeReturnURL = 301014
)

// refuse makes an error of the provider's own.
func (p *provider) refuse(code int64, message string) *apiError {
	return &apiError{http.StatusBadRequest, -(p.code*1_000_000 + code), message}
}

// holds reports whether the person has a certificate at the provider.
func (p *Person) holds(at *provider) bool {
	return p.Providers == nil || slices.Contains(p.Providers, at.id)
}

// matches reports whether a request names this person. The birth date comes as yyyyMMdd.
func (p *Person) matches(name, birthday string) bool {
	return norm.NFC.String(strings.TrimSpace(name)) == p.Name && strings.ReplaceAll(p.BirthDate, "-", "") == birthday
}
