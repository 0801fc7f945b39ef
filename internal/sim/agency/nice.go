package agency

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token is an access token of NICE's. The old interface's has no ticket.
type token struct {
	ticket     string
	iterations int
	expires    time.Time
	old        bool
}

const (
	tokenLife    = 24 * time.Hour
	oldTokenLife = 50 * 365 * 24 * time.Hour
)

// The result codes. 0000, 1003, 1004, 1006, 1007 and 3033 are NICE's; the others are this package's.
const (
	resultDone         = "0000"
	resultRequest      = "1001"
	resultAccount      = "1002"
	resultExpired      = "1003"
	resultUnknownToken = "1004"
	resultPermission   = "1006"
	resultAddress      = "1007"
	resultNoWindow     = "3031"
	resultUnfinished   = "3032"
	resultTwice        = "3033"
	resultNobodys      = "9876"
)

// refusal is an answer without a result.
type refusal struct {
	Code    string `json:"result_code"`
	Message string `json:"result_message"`
	Number  string `json:"request_no,omitempty"`
}

var refusals = map[string]string{
	resultRequest: "요청 항목 오류", resultAccount: "이용기관 정보 오류", resultExpired: "접근토큰 만료", resultUnknownToken: "접근토큰 오류",
	resultPermission: "서비스 이용 권한 없음", resultAddress: "등록되지 않은 IP", resultNoWindow: "인증 요청 없음", resultUnfinished: "인증 미완료",
	resultTwice: "이미 조회된 인증결과", resultNobodys: "기타 오류",
}

func (s *Simulator) refuse(w http.ResponseWriter, operation, code, number string) {
	s.answerJSON(w, niceAPI, operation, refusal{code, refusals[code], number})
}

// issue makes a token.
func (s *Simulator) issue(life time.Duration, old bool) (string, *token) {
	text := rand.Text() + rand.Text()
	t := &token{ticket: rand.Text() + rand.Text(), iterations: 50 + len(text)%50, expires: s.now().Add(life), old: old}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= maxTokens {
		clear(s.tokens) // whoever held one is told 1004 and asks again
	}
	s.tokens[text] = t
	return text, t
}

// bearer finds the token of a call, or the code that refuses it.
func (s *Simulator) bearer(r *http.Request, operation string) (*token, string) {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, expired := s.faults.Strike(FaultTokenExpired, niceAPI, operation)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[text]
	switch {
	case kind != "Bearer" || t == nil || t.old:
		return nil, resultUnknownToken
	case expired || !s.now().Before(t.expires):
		delete(s.tokens, text)
		return nil, resultExpired
	}
	return t, ""
}

// numberOK reports whether a request number has 20 to 50 bytes.
func numberOK(number string) bool { return len(number) >= 20 && len(number) <= 50 }

// serveToken is POST /auth/token.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, niceAPI, opToken) {
		return
	}
	var in struct {
		Grant  string `json:"grant_type"`
		Number string `json:"request_no"`
	}
	_, refused := s.faults.Strike(FaultTokenRefused, niceAPI, opToken)
	want := "Basic " + base64.RawURLEncoding.EncodeToString([]byte(s.clientID+":"+s.clientSecret))
	switch {
	case !s.registered(r, niceAPI):
		s.refuse(w, opToken, resultAddress, "")
	case !readJSON(w, r, &in) || in.Grant != "client_credentials" || !numberOK(in.Number) || r.Header.Get("X-Intc-DevLang") == "":
		s.refuse(w, opToken, resultRequest, "")
	case refused || !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte(want)):
		s.refuse(w, opToken, resultAccount, in.Number)
	default:
		text, t := s.issue(tokenLife, false)
		s.answerJSON(w, niceAPI, opToken, struct {
			refusal
			Token      string `json:"access_token"`
			Type       string `json:"token_type"`
			Expires    int64  `json:"expires_in"`
			Iterations int    `json:"iterators"`
			Ticket     string `json:"ticket"`
		}{refusal{resultDone, "응답성공", in.Number}, text, "Bearer", t.expires.UnixMilli(), t.iterations, t.ticket})
	}
}

// serveURL is POST /auth/url: it makes a window.
func (s *Simulator) serveURL(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, niceAPI, opOrder) {
		return
	}
	t, code := s.bearer(r, opOrder)
	var in struct {
		Number   string   `json:"request_no"`
		Return   string   `json:"return_url"`
		Close    string   `json:"close_url"`
		Services []string `json:"svc_types"`
		Verb     string   `json:"method_type"`
		Modes    []string `json:"exp_mods"`
	}
	_, denied := s.faults.Strike(FaultNoPermission, niceAPI, opOrder)
	switch {
	case !s.registered(r, niceAPI):
		code = resultAddress
	case code != "":
	case !readJSON(w, r, &in) || !numberOK(in.Number) || len(in.Services) != 1 || in.Verb != "GET" || !returnable(in.Return, 250) || in.Close != "" && !returnable(in.Close, 250):
		code = resultRequest
	case denied || !slices.Contains(s.services, in.Services[0]):
		code = resultPermission
	}
	if code != "" {
		s.refuse(w, opOrder, code, in.Number)
		return
	}
	v := &window{
		api: niceAPI, title: "NICE 본인확인", service: in.Services[0], number: in.Number, transaction: rand.Text(), returnURL: in.Return, closeURL: in.Close, token: t,
	}
	s.open(v)
	s.answerJSON(w, niceAPI, opOrder, struct {
		refusal
		URL         string `json:"auth_url"`
		Transaction string `json:"transaction_id"`
	}{refusal{resultDone, "응답성공", in.Number}, scheme(r) + "://" + r.Host + "/window/" + v.id, v.transaction})
}

// returnable reports whether an address can be returned to.
func returnable(address string, longest int) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && len(address) <= longest
}

// serveResult is POST /auth/result, which answers once. The ticket is that of the token under which the window was
// ordered, whichever token fetches.
func (s *Simulator) serveResult(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, niceAPI, opResult) {
		return
	}
	_, code := s.bearer(r, opResult)
	var in struct {
		Web         string `json:"web_transaction_id"`
		Transaction string `json:"transaction_id"`
		Number      string `json:"request_no"`
	}
	var v window
	switch {
	case !s.registered(r, niceAPI):
		code = resultAddress
	case code != "":
	case !readJSON(w, r, &in):
		code = resultRequest
	default:
		v, code = s.fetch(niceAPI, in.Transaction)
		if code == "" && (v.web != in.Web || v.number != in.Number) {
			code = resultNoWindow
		}
		if code == "" {
			code = s.take(v.transaction)
		}
	}
	if code != "" {
		s.refuse(w, opResult, code, in.Number)
		return
	}
	f := s.result(v)
	if f.unknown {
		s.refuse(w, opResult, resultNobodys, in.Number)
		return
	}
	data, integrity, err := s.seal(v, f)
	if err != nil {
		http.Error(w, "no result", http.StatusInternalServerError)
		return
	}
	s.answerJSON(w, niceAPI, opResult, struct {
		refusal
		Data      string `json:"enc_data"`
		Integrity string `json:"integrity_value"`
	}{refusal{resultDone, "응답성공", f.number}, data, integrity})
}

// binary is "1" for true.
func binary(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// niceCarriers are NICE's codes, as far as clients tell; 5 is SKT's MVNO.
var niceCarriers = map[Carrier]string{SKT: "1", KT: "2", LGU: "3", MVNO: "5"}

// seal encrypts the result under the window's transaction.
func (s *Simulator) seal(v window, f facts) (data, integrity string, err error) {
	members := map[string]string{
		"name": f.name, "birthdate": f.birthDate, "gender": binary(f.male), "national_info": binary(f.foreign), "ci": f.ci, "di": f.di,
	}
	if f.phone != "" {
		members["mobile_no"], members["mobile_co"] = f.phone, niceCarriers[f.carrier]
	}
	if v.service == IPINService {
		members["vno"] = digits(13) // the i-PIN's own number
	}
	if f.resident != "" {
		members["jumin_no"] = f.resident
	}
	plain, err := json.Marshal(members)
	if err != nil {
		return "", "", err
	}
	derived, err := pbkdf2.Key(sha256.New, v.token.ticket, []byte(v.transaction), v.token.iterations, 96)
	if err != nil {
		return "", "", err
	}
	_, other := s.faults.Strike(FaultOtherKeySlices, niceAPI, opResult)
	material := derived
	if s.rawKeys == other { // neither, or both
		material = []byte(base64.RawURLEncoding.EncodeToString(derived[:64]))
	}
	block, err := aes.NewCipher(material[:32])
	if err != nil {
		return "", "", err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, 16)
	if err != nil {
		return "", "", err
	}
	sealed := make([]byte, 16, 32+len(plain))
	rand.Read(sealed)
	sealed = gcm.Seal(sealed, sealed, plain, nil)
	if _, struck := s.faults.Strike(FaultWrongTag, niceAPI, opResult); struck {
		sealed[len(sealed)-1] ^= 1
	}
	data = base64.RawURLEncoding.EncodeToString(sealed)
	mac := hmac.New(sha256.New, material[48:80])
	mac.Write([]byte(data))
	sum := mac.Sum(nil)
	if _, struck := s.faults.Strike(FaultWrongIntegrity, niceAPI, opResult); struck {
		sum[0] ^= 1
	}
	return data, base64.RawURLEncoding.EncodeToString(sum), nil
}

// seconds is a number of seconds, as text.
func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
