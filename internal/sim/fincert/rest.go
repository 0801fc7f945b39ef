package fincert

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const (
	maxBody    = 64 << 10
	tokenLife  = 90 * 24 * time.Hour
	maxTokens  = 1000
	usualDelay = 10 * time.Second
)

// The REST interface's error codes. 900101 and 900102 are KFTC's; what 900401 and its neighbours mean is
// this package's.
const (
	errTokenRefused = "900101"
	errTokenExpired = "900102"
	errRefused      = "900401" // the signature, or what is signed, is not in order
	errRequest      = "900402" // the request itself is not
	errSubscriber   = "900403" // the certificate is not of one of our subscribers, or does not hold any more
)

// token is an access token's right to call.
type token struct {
	scopes  []string
	expires time.Time
}

// restError is a refusal.
type restError struct {
	Code        string `json:"err_code"`
	Message     string `json:"err_msg"`
	Transaction string `json:"api_tran_id"`
}

// refuse answers with an error. KFTC's statuses are not public; clients go by the code.
func refuse(w http.ResponseWriter, status int, code, message string) {
	sim.WriteJSON(w, status, restError{code, message, transaction()})
}

// transaction is a fresh api_tran_id.
func transaction() string { return strings.ToLower(rand.Text()) }

// disturb does what a fault about the whole call says; then the call is over.
func (s *Simulator) disturb(w http.ResponseWriter, r *http.Request, operation string) bool {
	if f, struck := s.faults.Strike(FaultSlow, operation); struck {
		select {
		case <-r.Context().Done():
			return true
		case <-time.After(f.Delay(usualDelay)):
		}
	}
	if _, struck := s.faults.Strike(FaultUnreachable, operation); struck {
		panic(http.ErrAbortHandler)
	}
	if _, struck := s.faults.Strike(FaultServerError, operation); struck {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return true
	}
	return false
}

// answer sends the result, or half of it.
func (s *Simulator) answer(w http.ResponseWriter, operation string, v any) {
	if _, struck := s.faults.Strike(FaultMalformed, operation); !struck {
		sim.WriteJSON(w, http.StatusOK, v)
		return
	}
	body, _ := json.Marshal(v) // strings and numbers only
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body[:len(body)/2])
}

// read reads the body if it has that media type.
func read(w http.ResponseWriter, r *http.Request, mediaType string) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	given, _, typeErr := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || typeErr != nil || given != mediaType {
		refuse(w, http.StatusBadRequest, errRequest, "요청을 읽을 수 없습니다.")
		return nil, false
	}
	return body, true
}

// serveToken hands out an access token.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	const operation = "token"
	if s.disturb(w, r, operation) {
		return
	}
	body, ok := read(w, r, "application/x-www-form-urlencoded")
	if !ok {
		return
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || form.Get("grant_type") != "client_credentials" || form.Get("reissue") != "y" && form.Get("reissue") != "n" {
		refuse(w, http.StatusBadRequest, errRequest, "요청 항목이 올바르지 않습니다.")
		return
	}
	scopes := strings.Split(form.Get("scope"), "|")
	known := !slices.ContainsFunc(scopes, func(scope string) bool {
		return !slices.Contains([]string{"ucpid", "verification", "status", "ocsp"}, scope)
	})
	_, struck := s.faults.Strike(FaultTokenRefused, operation)
	if struck || !known || r.Header.Get("client_id") != s.clientID || form.Get("server_id") != s.serverID ||
		!hmac.Equal([]byte(form.Get("client_secret")), []byte(s.clientSecret)) {
		refuse(w, http.StatusUnauthorized, errTokenRefused, "토큰을 발급할 수 없습니다.")
		return
	}
	text, left := s.issue(scopes, form.Get("reissue") == "y")
	s.answer(w, operation, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
		Transaction string `json:"api_tran_id"`
		ServerID    string `json:"server_id"`
	}{text, "bearer", int(left / time.Second), strings.Join(scopes, "|"), transaction(), s.serverID})
}

// issue gives the token that holds for these scopes, or another one in its place.
func (s *Simulator) issue(scopes []string, another bool) (text string, left time.Duration) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for text, held := range s.tokens {
		if left := held.expires.Sub(now); slices.Equal(held.scopes, scopes) && left > 0 && !another {
			return text, left
		}
		if slices.Equal(held.scopes, scopes) {
			delete(s.tokens, text)
		}
	}
	if len(s.tokens) >= maxTokens {
		clear(s.tokens) // whoever held one is told 900102 and asks again
	}
	text = rand.Text() + rand.Text()
	s.tokens[text] = token{scopes, now.Add(tokenLife)}
	return text, tokenLife
}

// authorized reports whether the call carries a token for the scope, and answers it if not.
func (s *Simulator) authorized(w http.ResponseWriter, r *http.Request, scope string) bool {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	s.mu.Lock()
	held, known := s.tokens[text]
	if _, struck := s.faults.Strike(FaultTokenExpired, "ucpid"); struck {
		delete(s.tokens, text)
		known = false
	}
	s.mu.Unlock()
	switch {
	case !strings.EqualFold(kind, "bearer") || !known || !s.now().Before(held.expires):
		refuse(w, http.StatusUnauthorized, errTokenExpired, "토큰이 만료되었습니다.")
	case !slices.Contains(held.scopes, scope):
		refuse(w, http.StatusForbidden, errTokenRefused, "이용 권한이 없습니다.")
	default:
		return true
	}
	return false
}

// ucpidAnswer is who the holder is; what was not agreed to stays out.
type ucpidAnswer struct {
	Transaction string  `json:"api_tran_id"`
	DN          string  `json:"dn"`
	CI          string  `json:"ci,omitempty"`
	CI2         *string `json:"ci2,omitempty"`
	CIUpdate    string  `json:"ci_update,omitempty"`
	DI          string  `json:"di,omitempty"`
	RealName    string  `json:"real_name,omitempty"`
	Gender      string  `json:"gender,omitempty"`
	National    string  `json:"national_info,omitempty"`
	BirthDate   string  `json:"birth_date,omitempty"`
}

// serveUCPID tells who has signed a UCPIDRequestInfo.
func (s *Simulator) serveUCPID(w http.ResponseWriter, r *http.Request) {
	const operation = "ucpid"
	if s.disturb(w, r, operation) || !s.authorized(w, r, "ucpid") {
		return
	}
	body, ok := read(w, r, "application/json")
	if !ok {
		return
	}
	var in struct {
		Signed string `json:"ucpid_request_info"`
		CPCode string `json:"cp_code"`
		Nonce  string `json:"ucpid_nonce"`
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil || in.CPCode != s.cpCode {
		refuse(w, http.StatusBadRequest, errRequest, "요청 항목이 올바르지 않습니다.")
		return
	}
	if _, struck := s.faults.Strike(FaultRefused, operation); struck {
		refuse(w, http.StatusBadRequest, errRefused, "서명을 검증할 수 없습니다.")
		return
	}
	signed, request, ok := s.verify(in.Signed, in.Nonce)
	if !ok {
		refuse(w, http.StatusBadRequest, errRefused, "서명을 검증할 수 없습니다.")
		return
	}
	person := s.subscriber(signed.Certificate)
	name, err := signed.Certificate.SubjectName()
	if err != nil || person == nil {
		refuse(w, http.StatusBadRequest, errSubscriber, "유효한 가입자 인증서가 아닙니다.")
		return
	}
	s.answer(w, operation, s.tell(person, name.String(), request.Items))
}

// subscriber is the person to whom yessign has issued the certificate, nil if it holds no more.
func (s *Simulator) subscriber(c *npki.Certificate) *Person {
	now := s.now()
	var records []npkitest.Record
	for _, a := range s.issuers {
		records = append(records, a.Records()...)
	}
	i := slices.IndexFunc(records, func(r npkitest.Record) bool {
		return bytes.Equal(r.Certificate.Raw, c.Raw) && r.Revoked.IsZero() && !now.Before(c.NotBefore) && now.Before(c.NotAfter)
	})
	if i < 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byNumber[records[i].Applicant.Number]
}

// verify verifies the signature of one of yessign's certificates over a request with that nonce.
func (s *Simulator) verify(text, nonce string) (*npki.Signed, *npki.UCPIDRequest, bool) {
	message, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, nil, false
	}
	signed, err := npki.VerifySignedData(message, npki.Want{AnyContent: true, AllowBare: true})
	if err != nil || !slices.ContainsFunc(s.issuers, func(a *npkitest.Authority) bool {
		return signed.Certificate.CheckSignatureFrom(a.Certificate) == nil
	}) {
		return nil, nil, false
	}
	request, err := npki.ParseUCPIDRequest(signed.Content)
	want, hexErr := hex.DecodeString(nonce)
	if err != nil || hexErr != nil || !bytes.Equal(request.Nonce, want) {
		return nil, nil, false
	}
	return signed, request, true
}

// tell says what the holder has agreed to tell.
func (s *Simulator) tell(p *Person, dn string, items npki.UCPIDItems) ucpidAnswer {
	const operation = "ucpid"
	struck := func(name string) bool {
		_, is := s.faults.Strike(name, operation)
		return is
	}
	out := ucpidAnswer{Transaction: transaction(), DN: dn}
	if struck(FaultWrongDN) {
		out.DN = strings.Replace(dn, "cn=", "cn=다른사람", 1)
	}
	if items&npki.UCPIDCI != 0 && !struck(FaultMissingCI) {
		out.CI, out.CI2, out.CIUpdate = p.CI, &p.CI2, "1"
		out.DI = s.di(p.Number)
		if p.CI2 != "" {
			out.CIUpdate = "2"
		}
		if struck(FaultMissingCI2) {
			out.CI2, out.CIUpdate = nil, ""
		}
		if struck(FaultMalformedCI) {
			out.CI = out.CI[:80]
		}
		if struck(FaultWrongCI) {
			out.CI = s.otherCI(p)
		}
	}
	if items&npki.UCPIDRealName != 0 {
		out.RealName = p.Name
		if struck(FaultWrongName) {
			out.RealName = "다른사람"
		}
	}
	if items&npki.UCPIDGender != 0 {
		out.Gender = map[string]string{"male": "1", "female": "0"}[p.Gender] // which is which, KFTC does not say in public
	}
	if items&npki.UCPIDNationality != 0 {
		out.National = "0"
		if p.Foreigner {
			out.National = "1"
		}
	}
	if items&npki.UCPIDBirthDate != 0 {
		out.BirthDate = strings.ReplaceAll(p.BirthDate, "-", "")
	}
	return out
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

// di is the person's DI at the relying party: the DER of SEQUENCE { hmacWithSHA256, BIT STRING } in Base64,
// with a key that is clearly nobody's.
func (s *Simulator) di(number string) string {
	mac := hmac.New(sha256.New, []byte("anyid-simulator-dev-key"))
	mac.Write([]byte(s.cpCode + number))
	head := []byte{0x30, 0x2d, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09, 0x03, 0x21, 0x00}
	return base64.StdEncoding.EncodeToString(mac.Sum(head))
}
