package simple

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	maxBody      = 16 << 10
	maxSkew      = 5 * time.Minute // between the institution's clock and ours
	sessionLife  = 30 * time.Minute
	maxSessions  = 1000
	utcFormat    = "2006-01-02T15:04:05Z"
	milliFormat  = "2006-01-02T15:04:05.000Z"
	codeGateway  = -99999999 // what the SDKs report for a service that is out of order
	codeIdentify = -11000001 // ours: Linkhub's codes for a refused identification are not published
)

// session is a session token's right to call.
type session struct {
	scopes  map[string]bool
	expires time.Time
}

func (s *Simulator) serveTime(w http.ResponseWriter, r *http.Request) {
	if s.disturb(w, r, "token") {
		return
	}
	_, _ = io.WriteString(w, s.now().UTC().Format(utcFormat))
}

// serveToken identifies the institution by its HMAC over the request and hands out a session token.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	body, read := s.read(w, r)
	if !read || s.disturb(w, r, "token") {
		return
	}
	date, version := r.Header.Get("x-lh-date"), r.Header.Get("x-lh-version")
	lines := []string{"POST", digest(body), date}
	if forwarded := r.Header.Get("x-lh-forwarded"); forwarded != "" {
		lines = append(lines, forwarded)
	}
	lines = append(lines, version, r.URL.Path)
	want := "LINKHUB " + s.linkID + " " + s.mac(strings.Join(lines, "\n"))
	var asked struct {
		AccessID string   `json:"access_id"`
		Scope    []string `json:"scope"`
	}
	switch {
	case !hmac.Equal([]byte(want), []byte(r.Header.Get("Authorization"))), version != "2.0", !s.onTime(date):
		s.write(w, r, http.StatusUnauthorized, failure{codeIdentify, "인증 정보가 올바르지 않습니다."})
		return
	case json.Unmarshal(body, &asked) != nil || len(asked.Scope) == 0:
		s.write(w, r, http.StatusBadRequest, failure{codeIdentify, "요청을 읽을 수 없습니다."})
		return
	}
	token, expires := rand.Text()+rand.Text(), s.now().Add(sessionLife)
	scopes := map[string]bool{}
	for _, scope := range asked.Scope {
		scopes[scope] = true
	}
	s.mu.Lock()
	if len(s.sessions) >= maxSessions {
		clear(s.sessions) // whoever held one is told 401 and asks again
	}
	s.sessions[token] = session{scopes, expires}
	s.mu.Unlock()
	s.write(w, r, http.StatusOK, struct {
		SessionToken string   `json:"session_token"`
		ServiceID    string   `json:"serviceID"`
		LinkID       string   `json:"linkID"`
		UserCode     string   `json:"usercode"`
		IPAddress    string   `json:"ipaddress"`
		Expiration   string   `json:"expiration"`
		Scope        []string `json:"scope"`
	}{token, "BAROCERT", s.linkID, s.linkID, "*", expires.UTC().Format(milliFormat), asked.Scope})
}

// call wraps a provider's operation with what all of them check: the session token and its scope, the
// client code, the versions, and on POST the HMAC over the request.
func (s *Simulator) call(p *provider, operation string, do func(*callContext) (any, *apiError)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		receipt := r.PathValue("receipt")
		body, read := s.read(w, r)
		if !read || s.disturb(w, r, operation, p.id, receipt) {
			return
		}
		if refused := s.identify(r, p, body, operation, receipt); refused != nil {
			s.write(w, r, refused.status, failure{refused.code, refused.message})
			return
		}
		result, refused := do(&callContext{provider: p, receipt: receipt, body: body})
		if refused != nil {
			s.write(w, r, refused.status, failure{refused.code, refused.message})
			return
		}
		s.write(w, r, http.StatusOK, result)
	})
}

// callContext is one identified call.
type callContext struct {
	provider *provider
	receipt  string
	body     []byte
}

// identify checks who calls and whether they may.
func (s *Simulator) identify(r *http.Request, p *provider, body []byte, keys ...string) *apiError {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	held, known := s.sessions[token]
	if _, struck := s.faults.Strike(FaultTokenExpired, append(keys, p.id)...); struck {
		delete(s.sessions, token)
		known = false
	}
	s.mu.Unlock()
	if !bearer || !known || !s.now().Before(held.expires) {
		return &apiError{http.StatusUnauthorized, codeIdentify, "토큰이 유효하지 않습니다."}
	}
	if !held.scopes["partner"] || !held.scopes[p.scope] {
		return &apiError{http.StatusForbidden, codeIdentify, "이용 권한이 없습니다."}
	}
	if r.PathValue("client") != s.clientCode {
		return p.refuse(codeField, "이용기관코드가 올바르지 않습니다.")
	}
	if r.Method == http.MethodGet {
		// One SDK names the header x-pb-version.
		if r.Header.Get("x-bc-version") == "" && r.Header.Get("x-pb-version") == "" {
			return p.refuse(codeField, "API 버전이 없습니다.")
		}
		return nil
	}
	date := r.Header.Get("x-bc-date")
	lines := []string{"POST"}
	if len(body) > 0 {
		lines = append(lines, digest(body))
	}
	lines = append(lines, date, r.URL.Path, "")
	switch {
	case !hmac.Equal([]byte(s.mac(strings.Join(lines, "\n"))), []byte(r.Header.Get("x-bc-auth"))), !s.onTime(date):
		return &apiError{http.StatusUnauthorized, codeIdentify, "서명이 올바르지 않습니다."}
	case r.Header.Get("x-bc-version") != "2.1" || r.Header.Get("x-bc-encryptionmode") != "GCM":
		return p.refuse(codeField, "지원하지 않는 버전 또는 암호화 방식입니다.")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return p.refuse(codeField, "application/json 형식이 아닙니다.")
	}
	return nil
}

// onTime reports whether a request's date is near our clock.
func (s *Simulator) onTime(date string) bool {
	at, err := time.Parse(time.RFC3339, date)
	return err == nil && s.now().Sub(at).Abs() <= maxSkew
}

// mac is the HMAC-SHA256 of text under the institution's key, in base64.
func (s *Simulator) mac(text string) string {
	h := hmac.New(sha256.New, s.secret)
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// digest is the SHA-256 of b in base64.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// read returns the request's body; false means that it was unreadable, and has been answered.
func (s *Simulator) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.write(w, r, http.StatusBadRequest, failure{codeIdentify, "요청을 읽을 수 없습니다."})
	}
	return body, err == nil
}

// disturb applies the faults that hit a call before anything is done; true means that it has been
// answered. The body has been read by then: only so does the server notice a caller who hangs up.
func (s *Simulator) disturb(w http.ResponseWriter, r *http.Request, keys ...string) bool {
	if slow, struck := s.faults.Strike(FaultSlow, keys...); struck {
		select {
		case <-time.After(slow.Delay(10 * time.Second)):
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if _, struck := s.faults.Strike(FaultUnreachable, keys...); struck {
		panic(http.ErrAbortHandler)
	}
	if _, struck := s.faults.Strike(FaultServerError, keys...); struck {
		s.write(w, r, http.StatusInternalServerError, failure{codeGateway, "서비스에 장애가 발생했습니다."})
		return true
	}
	return false
}

// failure is the body of an error answer.
type failure struct {
	Code    int64  `json:"code"`
	Message string `json:"message"`
}

// leastCompressed is from how many bytes on an answer is compressed: fewer would not get smaller.
const leastCompressed = 1 << 10

// write answers in JSON, compressed where the caller takes gzip and it pays.
func (s *Simulator) write(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "unencodable answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if len(body) < leastCompressed || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, _ = w.Write(body) // an error means that the caller has gone
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	compress(w, body)
}
