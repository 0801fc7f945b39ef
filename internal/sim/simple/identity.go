package simple

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The states of a request on the wire.
const (
	statePending     = 0
	stateComplete    = 1
	stateExpired     = 2
	stateRejected    = 3
	stateUnprocessed = 5
)

const (
	verifyWindow  = 10 * time.Minute // how long after signing Kakao may be asked
	keepFinished  = time.Minute      // how long a finished request answers before it is forgotten
	sweepEvery    = 5 * time.Second
	wireTime      = "20060102150405" // in Korean time
	codeFull      = 300099           // ours: no room for another request
	maxNameRunes  = 80
	maxTitleRunes = 40
)

var korea = time.FixedZone("KST", 9*60*60)

// request is one proof asked of one person.
type request struct {
	receipt  string
	provider *provider
	person   *Person
	name     string // as the institution wrote it
	title    string
	message  string
	token    string
	info     bool // PASS: the institution asked for the person's data
	expireIn int
	made     time.Time
	expires  time.Time
	approves time.Time // when it approves itself; zero: never
	finished time.Time // when it left statePending
	verified time.Time
	state    int
}

// wanted is a request as it stands on the wire, decrypted.
type wanted struct {
	Phone, Name, Birthday, Title, Message, Token string
	ExpireIn                                     int
	AppToApp, Info                               bool
}

// parseIdentity reads and checks the body of an identity request.
func (s *Simulator) parseIdentity(p *provider, body []byte) (wanted, *apiError) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return wanted{}, p.refuse(codeField, "요청을 읽을 수 없습니다.")
	}
	for name := range fields {
		if !slices.Contains(commonFields, name) && !slices.Contains(p.fields, name) {
			return wanted{}, p.refuse(codeField, "정의되지 않은 항목이 있습니다.")
		}
	}
	var in struct {
		ReceiverHP       string `json:"receiverHP"`
		ReceiverName     string `json:"receiverName"`
		ReceiverBirthday string `json:"receiverBirthday"`
		ReqTitle         string `json:"reqTitle"`
		ReqMessage       string `json:"reqMessage"`
		ExtraMessage     string `json:"extraMessage"`
		CallCenterNum    string `json:"callCenterNum"`
		ExpireIn         *int   `json:"expireIn"`
		Token            string `json:"token"`
		ReturnURL        string `json:"returnURL"`
		DeviceOSType     string `json:"deviceOSType"`
		AppUseYN         bool   `json:"appUseYN"`
		ReceiverInfoYN   bool   `json:"receiverInfoYN"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return wanted{}, p.refuse(codeField, "요청 항목의 형식이 올바르지 않습니다.")
	}
	out := wanted{Title: in.ReqTitle, AppToApp: in.AppUseYN, Info: in.ReceiverInfoYN}
	for _, field := range []struct {
		sealed string
		into   *string
	}{
		{in.ReceiverHP, &out.Phone}, {in.ReceiverName, &out.Name}, {in.ReceiverBirthday, &out.Birthday},
		{in.ReqMessage + in.ExtraMessage, &out.Message}, {in.Token, &out.Token}, // no provider has both messages
	} {
		if field.sealed == "" {
			continue
		}
		plain, err := s.open(field.sealed)
		if err != nil || !utf8.ValidString(plain) {
			return wanted{}, p.refuse(codeField, "암호화된 항목을 복호화할 수 없습니다.")
		}
		*field.into = plain
	}
	if in.ExpireIn != nil {
		out.ExpireIn = *in.ExpireIn
	}
	_, birthErr := time.Parse("20060102", out.Birthday)
	switch {
	case out.Phone == "":
		return wanted{}, p.refuse(codeNoPhone, "수신자 휴대폰번호를 입력하지 않았습니다.")
	case !phonePattern.MatchString(out.Phone):
		return wanted{}, p.refuse(codePhone, "휴대폰번호는 숫자 10자 또는 11자입니다.")
	case out.Name == "":
		return wanted{}, p.refuse(codeNoName, "수신자 성명을 입력하지 않았습니다.")
	case utf8.RuneCountInString(out.Name) > maxNameRunes:
		return wanted{}, p.refuse(codeLongName, "수신자 성명은 80자를 초과할 수 없습니다.")
	case out.Birthday == "":
		return wanted{}, p.refuse(codeNoBirth, "생년월일을 입력하지 않았습니다.")
	case birthErr != nil:
		return wanted{}, p.refuse(codeBirth, "생년월일은 8자입니다.")
	case in.ExpireIn == nil:
		return wanted{}, p.refuse(codeNoExpire, "만료시간을 입력하지 않았습니다.")
	case out.ExpireIn < 1:
		return wanted{}, p.refuse(codeLowExpire, "만료시간은 1초 이상으로 입력해야 합니다.")
	case out.ExpireIn > p.maxExpire:
		return wanted{}, p.refuse(codeExpire, fmt.Sprintf("만료시간은 %d초를 초과할 수 없습니다.", p.maxExpire))
	case p.token && out.Token == "":
		return wanted{}, p.refuse(codeNoToken, "원문(Token)을 입력하지 않았습니다.")
	case utf8.RuneCountInString(out.Token) > p.maxToken:
		return wanted{}, p.refuse(codeToken, fmt.Sprintf("원문(Token)은 %d자를 초과할 수 없습니다.", p.maxToken))
	case p.callCenter && (in.CallCenterNum == "" || len(in.CallCenterNum) > 12):
		return wanted{}, p.refuse(codeField, "고객센터 연락처는 12자까지 입력해야 합니다.")
	case utf8.RuneCountInString(out.Title) > maxTitleRunes, slices.Contains(p.fields, "reqTitle") && out.Title == "":
		return wanted{}, p.refuse(codeField, "인증요청 메시지 제목은 40자까지 입력해야 합니다.")
	case utf8.RuneCountInString(out.Message) > 500:
		return wanted{}, p.refuse(codeField, "인증요청 메시지는 500자를 초과할 수 없습니다.")
	case out.AppToApp && in.ReturnURL == "":
		return wanted{}, p.refuse(codeReturnURL, "복귀 URL을 입력하지 않았습니다.")
	case p.id == "naver" && strings.HasPrefix(strings.ToLower(in.ReturnURL), "http"):
		return wanted{}, p.refuse(codeReturnURL, "복귀 URL은 앱 스킴만 입력할 수 있습니다.")
	}
	return out, nil
}

// request asks a person for a proof.
func (s *Simulator) request(c *callContext) (any, *apiError) {
	p := c.provider
	in, refused := s.parseIdentity(p, c.body)
	if refused != nil {
		return nil, refused
	}
	person := s.byPhone[in.Phone]
	if person == nil || !person.matches(in.Name, in.Birthday) || !person.holds(p) {
		if p.id == "toss" { // Toss looks the person up when it prepares
			return nil, p.refuse(codePrepare, "본인인증 준비가 실패되었습니다.")
		}
		return nil, p.refuse(codeRequest, "본인인증 요청이 실패되었습니다.")
	}
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if len(s.requests) >= s.maxRequests {
		return nil, &apiError{http.StatusServiceUnavailable, -(p.code*1_000_000 + codeFull), "요청이 너무 많습니다."}
	}
	s.sequence++
	req := &request{
		receipt:  "0" + now.In(korea).Format("060102") + s.clientCode + fmt.Sprintf("%013d", s.sequence),
		provider: p, person: person, name: in.Name, title: in.Title, message: in.Message, token: in.Token, info: in.Info,
		expireIn: in.ExpireIn, made: now, expires: now.Add(time.Duration(in.ExpireIn) * time.Second),
	}
	if s.auto {
		req.approves = now.Add(s.approveAfter)
	}
	s.requests[req.receipt] = req
	out := struct {
		ReceiptID string `json:"receiptID"`
		Scheme    string `json:"scheme"`
		MarketURL string `json:"marketUrl,omitempty"`
	}{ReceiptID: req.receipt}
	if in.AppToApp {
		out.Scheme = "simulated-" + p.id + "://identity/" + req.receipt
		if p.id == "naver" {
			out.MarketURL = "https://example.invalid/market"
		}
	}
	return out, nil
}

// sweep forgets requests that have been over for a while. The caller holds the lock.
func (s *Simulator) sweep(now time.Time) {
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for receipt, req := range s.requests {
		over := req.finished
		switch {
		case req.state == statePending:
			over = req.expires
		case req.state == stateComplete && req.verified.IsZero():
			over = req.finished.Add(verifyWindow)
		case req.state == stateComplete:
			over = req.verified
		}
		if now.Sub(over) > keepFinished {
			delete(s.requests, receipt)
		}
	}
}

// settle moves a waiting request on as far as the clock and the faults have it. The caller holds the
// lock.
func (s *Simulator) settle(req *request, now time.Time) {
	if req.state != statePending {
		return
	}
	keys := []string{req.provider.id, req.receipt, req.person.Phone}
	for _, fault := range []struct {
		name  string
		state int
	}{{FaultReject, stateRejected}, {FaultExpire, stateExpired}, {FaultUnprocessed, stateUnprocessed}} {
		if _, struck := s.faults.Strike(fault.name, keys...); struck {
			req.state, req.finished = fault.state, now
			return
		}
	}
	switch {
	case !req.approves.IsZero() && !now.Before(req.approves) && req.approves.Before(req.expires):
		req.state, req.finished = stateComplete, req.approves
	case !now.Before(req.expires):
		req.state, req.finished = stateExpired, req.expires
	}
}

// status tells how far a request is.
func (s *Simulator) status(c *callContext) (any, *apiError) {
	p, now := c.provider, s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[c.receipt]
	if req == nil || req.provider != p || p.id == "pass" && !sameDay(req.made, now) {
		return nil, p.refuse(codeStatus, "본인인증 상태확인이 실패되었습니다.")
	}
	_, early := s.faults.Strike(FaultEarlyComplete, p.id, req.receipt, req.person.Phone)
	if !early {
		s.settle(req, now)
	}
	state := req.state
	if early && state == statePending {
		state = stateComplete
	}
	out := map[string]any{
		"receiptID": req.receipt, "clientCode": s.clientCode, "state": p.stateOf(state),
		"expireDT": req.expires.In(korea).Format(wireTime),
	}
	if p.brief {
		return out, nil
	}
	out["expireIn"] = req.expireIn
	out["reqTitle"] = req.title
	out["requestDT"] = req.made.In(korea).Format(wireTime)
	for name, at := range map[string]time.Time{"completeDT": when(state == stateComplete, req.finished), "rejectDT": when(state == stateRejected, req.finished), "verifyDT": req.verified} {
		if !at.IsZero() {
			out[name] = at.In(korea).Format(wireTime)
		}
	}
	return out, nil
}

// answer is the result of a verification.
type answer struct {
	ReceiptID         string `json:"receiptID"`
	State             any    `json:"state"`
	ReceiverName      string `json:"receiverName,omitempty"`
	ReceiverYear      string `json:"receiverYear,omitempty"`
	ReceiverDay       string `json:"receiverDay,omitempty"`
	ReceiverHP        string `json:"receiverHP,omitempty"`
	ReceiverGender    string `json:"receiverGender,omitempty"`
	ReceiverForeign   string `json:"receiverForeign,omitempty"`
	ReceiverTelcoType string `json:"receiverTelcoType,omitempty"`
	ReceiverEmail     string `json:"receiverEmail,omitempty"`
	ReceiverAgeGroup  string `json:"receiverAgeGroup,omitempty"`
	SignedData        string `json:"signedData"`
	CI                string `json:"ci"`
}

// verify hands out the proof, once.
func (s *Simulator) verify(c *callContext) (any, *apiError) {
	p := c.provider
	phone, name, refused := s.parseVerify(p, c.body)
	if refused != nil {
		return nil, refused
	}
	req, refused := s.claim(p, c.receipt, phone, name)
	if refused != nil {
		return nil, refused
	}
	keys := []string{p.id, req.receipt, req.person.Phone}
	if _, struck := s.faults.Strike(FaultAnswerLost, keys...); struck {
		panic(http.ErrAbortHandler)
	}
	out, err := s.result(req, keys)
	if err != nil {
		return nil, &apiError{http.StatusInternalServerError, codeGateway, "서비스에 장애가 발생했습니다."}
	}
	_, replay := s.faults.Strike(FaultReplay, keys...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if older, ok := s.latest[p]; ok && replay {
		return older, nil
	}
	s.latest[p] = out
	return out, nil
}

// parseVerify reads the body of a verification: PASS wants to hear who was asked, the others want
// nothing or, from the Java SDK, an empty JSON string.
func (s *Simulator) parseVerify(p *provider, body []byte) (phone, name string, refused *apiError) {
	if p.id != "pass" {
		if trimmed := bytes.TrimSpace(body); len(trimmed) != 0 && string(trimmed) != `""` {
			return "", "", p.refuse(codeField, "요청 본문이 없어야 합니다.")
		}
		return "", "", nil
	}
	var in struct {
		ReceiverHP   string `json:"receiverHP"`
		ReceiverName string `json:"receiverName"`
	}
	err := json.Unmarshal(body, &in)
	if err == nil {
		phone, err = s.open(in.ReceiverHP)
	}
	if err == nil {
		name, err = s.open(in.ReceiverName)
	}
	if err != nil {
		return "", "", p.refuse(codeField, "암호화된 항목을 복호화할 수 없습니다.")
	}
	return phone, name, nil
}

// claim marks a completed request as verified, for one caller only, and returns what it was.
func (s *Simulator) claim(p *provider, receipt, phone, name string) (request, *apiError) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[receipt]
	if req == nil || req.provider != p {
		return request{}, p.refuse(codeVerify, "본인인증 검증이 실패되었습니다.")
	}
	s.settle(req, now)
	var late bool
	switch p.id {
	case "kakao":
		late = now.Sub(req.finished) > verifyWindow
	case "naver":
		late = !now.Before(req.expires)
	case "pass":
		late = !sameDay(req.made, now)
		if phone != req.person.Phone || name != req.name {
			return request{}, p.refuse(codeField, "검증 요청 정보가 인증 요청과 다릅니다.")
		}
	}
	switch {
	case req.state == statePending:
		return request{}, p.refuse(codePending, "서명 또는 상태확인이 완료되지 않았습니다.")
	case req.state != stateComplete, late, !req.verified.IsZero():
		return request{}, p.refuse(codeVerify, "본인인증 검증이 실패되었습니다.")
	}
	if _, struck := s.faults.Strike(FaultVerifyTwice, p.id, receipt, req.person.Phone); !struck {
		req.verified = now
	}
	return *req, nil
}

// result makes the answer to a verification, with the faults that spoil it.
func (s *Simulator) result(req request, keys []string) (answer, error) {
	p, person := req.provider, req.person
	text := req.token
	if !p.token {
		text = "본인인증 " + req.receipt // the provider's own text, which nobody's nonce is in
	}
	if _, struck := s.faults.Strike(FaultForeignToken, keys...); struck {
		text = rand.Text()
	}
	_, wrongSignature := s.faults.Strike(FaultWrongSignature, keys...)
	signed, err := s.signedData(p, person, text, wrongSignature)
	if err != nil {
		return answer{}, err
	}
	ci := person.CI
	if _, struck := s.faults.Strike(FaultWrongCI, keys...); struck {
		ci = s.anotherCI(person)
	}
	if _, struck := s.faults.Strike(FaultMalformedCI, keys...); struck {
		ci = ci[:80]
	}
	_, wrongTag := s.faults.Strike(FaultWrongTag, keys...)
	personal := func(plain string) string {
		if plain == "" || !s.sealAnswers && !wrongTag {
			return plain
		}
		return s.seal(plain, wrongTag)
	}
	out := answer{ReceiptID: req.receipt, State: p.stateOf(stateComplete), SignedData: signed, CI: personal(ci)}
	if p.id == "pass" && !req.info {
		return out, nil
	}
	gender, foreign := "M", "N"
	if person.Gender == "female" {
		gender = "F"
	}
	if person.Foreigner {
		foreign = "Y"
	}
	birth := strings.ReplaceAll(person.BirthDate, "-", "")
	out.ReceiverName, out.ReceiverYear, out.ReceiverDay = personal(person.Name), personal(birth[:4]), personal(birth[4:])
	out.ReceiverHP, out.ReceiverGender, out.ReceiverForeign = personal(person.Phone), personal(gender), personal(foreign)
	switch p.id {
	case "kakao", "pass":
		out.ReceiverTelcoType = personal(person.Telco)
	case "naver":
		out.ReceiverEmail = personal(person.Email)
	case "toss":
		born, _ := time.Parse(time.DateOnly, person.BirthDate) // admitted when the simulator started
		out.ReceiverAgeGroup = personal(fmt.Sprintf("%d", s.now().Sub(born)/(10*365*24*time.Hour)*10))
	}
	return out, nil
}

// anotherCI is the CI of somebody else, invented if there is nobody else.
func (s *Simulator) anotherCI(than *Person) string {
	for _, person := range s.people {
		if person.CI != than.CI {
			return person.CI
		}
	}
	return strings.Repeat("A", 86) + "=="
}

// stateOf is a state in the provider's spelling.
func (p *provider) stateOf(state int) any {
	if p.stateText {
		return fmt.Sprintf("%d", state)
	}
	return state
}

// when is t if the condition holds, otherwise no time.
func when(condition bool, t time.Time) time.Time {
	if condition {
		return t
	}
	return time.Time{}
}

// sameDay reports whether two times fall on the same day in Korea.
func sameDay(a, b time.Time) bool {
	return a.In(korea).Format(time.DateOnly) == b.In(korea).Format(time.DateOnly)
}
