package simple

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/authn"
)

// handle is Started.Private.
type handle struct {
	Receipt string `json:"r"`
	// PASS is told again at verification whom the request was for.
	Name  string `json:"n,omitempty"`
	Phone string `json:"p,omitempty"`
}

var (
	receiptPattern = regexp.MustCompile(`^[0-9]{32}$`)
	noncePattern   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	phonePattern   = regexp.MustCompile(`^01[0-9]{8,9}$`)
)

const (
	maxNameRunes  = 80
	maxTitleRunes = 40
	maxSiteRunes  = 200 // in the message, which may have 500
)

// identityRequest is the body of a request; every provider takes its own selection of the fields.
type identityRequest struct {
	ReceiverHP       string `json:"receiverHP"`
	ReceiverName     string `json:"receiverName"`
	ReceiverBirthday string `json:"receiverBirthday"`
	ReqTitle         string `json:"reqTitle,omitempty"`
	ExtraMessage     string `json:"extraMessage,omitempty"`
	ReqMessage       string `json:"reqMessage,omitempty"`
	CallCenterNum    string `json:"callCenterNum,omitempty"`
	ExpireIn         int    `json:"expireIn"`
	Token            string `json:"token,omitempty"`
	UserAgreementYN  bool   `json:"userAgreementYN,omitempty"`
	ReceiverInfoYN   bool   `json:"receiverInfoYN,omitempty"`
	AppUseYN         bool   `json:"appUseYN"` // false: the provider pushes, nothing returns to us
}

// Begin implements authn.Authenticator: it has the provider push a request to the citizen's phone.
func (a *Adapter) Begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error) {
	p := a.provider(in.Provider)
	if p == nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: errors.New("simple: the provider is not offered")}
	}
	born, err := time.Parse(time.DateOnly, in.BirthDate)
	if err != nil || in.Name == "" || utf8.RuneCountInString(in.Name) > maxNameRunes ||
		!phonePattern.MatchString(in.Phone) || !noncePattern.MatchString(at.Nonce) {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: errors.New("simple: name, birth date, phone or nonce out of form")}
	}
	now := a.now()
	expireIn := a.expireIn(p, at, now)
	if expireIn < time.Second {
		return authn.Started{}, &authn.Error{Code: authn.TooLate}
	}
	body, err := json.Marshal(a.request(p, at, in, born, expireIn))
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	answer, err := a.call(ctx, http.MethodPost, "/"+p.path+"/Identity/"+a.cfg.ClientCode, body)
	if err != nil {
		return authn.Started{}, beginError(err)
	}
	receipt, err := parseReceipt(answer)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	h := handle{Receipt: receipt}
	if p.ID == "pass" {
		h.Name, h.Phone = in.Name, in.Phone
	}
	private, err := json.Marshal(h)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return authn.Started{Private: private, ExpiresAt: now.Add(expireIn), PollAfter: pollAfter}, nil
}

// expireIn is how long the citizen may take: as configured, but no longer than the attempt lives, nor
// than the provider answers.
func (a *Adapter) expireIn(p *provider, at authn.Attempt, now time.Time) time.Duration {
	expireIn := a.cfg.ExpireIn
	if !at.ExpiresAt.IsZero() {
		expireIn = min(expireIn, at.ExpiresAt.Sub(now))
	}
	if p.dayOnly {
		y, m, d := now.In(authn.Korea).Date()
		expireIn = min(expireIn, time.Date(y, m, d, 23, 59, 59, 0, authn.Korea).Sub(now))
	}
	return expireIn.Truncate(time.Second)
}

// request makes the body for a provider.
func (a *Adapter) request(p *provider, at authn.Attempt, in authn.Input, born time.Time, expireIn time.Duration) identityRequest {
	out := identityRequest{
		ReceiverHP: a.seal(in.Phone), ReceiverName: a.seal(in.Name), ReceiverBirthday: a.seal(born.Format("20060102")),
		ExpireIn: int(expireIn / time.Second),
	}
	if p.token {
		out.Token = a.seal(at.Nonce)
	}
	title, message := texts(at)
	switch p.ID {
	case "kakao":
		out.ReqTitle, out.ExtraMessage = title, a.seal(message)
	case "naver":
		out.CallCenterNum = a.cfg.CallCenter
	case "pass":
		out.ReqTitle, out.ReqMessage, out.CallCenterNum = title, a.seal(message), a.cfg.CallCenter
		out.UserAgreementYN, out.ReceiverInfoYN = true, true // without them the answer names nobody
	}
	return out
}

// texts are the title, of up to 40 characters, and the message on the citizen's phone. Both name the
// site, so that a request that somebody else started can be told.
func texts(at authn.Attempt) (title, message string) {
	site := strings.Join(strings.FieldsFunc(at.SiteName, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if at.Locale == "en" {
		const prefix = "Sign in: "
		return prefix + cut(site, maxTitleRunes-len(prefix)),
			"Signing in to " + cut(site, maxSiteRunes) + " with Any-ID. Refuse if this was not you."
	}
	const suffix = " 로그인"
	return cut(site, maxTitleRunes-utf8.RuneCountInString(suffix)) + suffix,
		"정부 통합로그인(Any-ID)으로 " + cut(site, maxSiteRunes) + "에 로그인합니다. 본인이 요청하지 않았다면 거절해 주세요."
}

// cut shortens text to n characters, the last of which then is an ellipsis.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// Status implements authn.Poller.
func (a *Adapter) Status(ctx context.Context, at authn.Attempt) (authn.Progress, error) {
	p, h, err := a.recall(at)
	if err != nil {
		return authn.Progress{}, err
	}
	state, err := a.status(ctx, p, h)
	if err != nil {
		return authn.Progress{}, statusError(err)
	}
	return authn.Progress{State: state}, nil
}

// status asks for a request's state. Errors are a *failure.
func (a *Adapter) status(ctx context.Context, p *provider, h handle) (authn.State, error) {
	answer, err := a.call(ctx, http.MethodGet, "/"+p.path+"/Identity/"+a.cfg.ClientCode+"/"+h.Receipt, nil)
	if f, ok := errors.AsType[*failure](err); ok && isPending(f.code) {
		return authn.Pending, nil
	}
	if err != nil {
		return "", err
	}
	state, err := parseStatus(answer, h.Receipt)
	if err != nil {
		return "", &failure{status: http.StatusOK, err: err}
	}
	return state, nil
}

// Complete implements authn.Poller: it fetches the proof, which the provider hands out once, and
// verifies it.
func (a *Adapter) Complete(ctx context.Context, at authn.Attempt) (authn.Evidence, error) {
	p, h, err := a.recall(at)
	if err != nil {
		return authn.Evidence{}, err
	}
	path := "/" + p.path + "/Identity/" + a.cfg.ClientCode + "/" + h.Receipt
	if a.cfg.VerifyPath == "verify" {
		path = "/" + p.path + "/Identity/Verify/" + a.cfg.ClientCode + "/" + h.Receipt
	}
	var body []byte
	if p.ID == "pass" {
		body, err = json.Marshal(struct {
			ReceiverHP   string `json:"receiverHP"`
			ReceiverName string `json:"receiverName"`
		}{a.seal(h.Phone), a.seal(h.Name)})
		if err != nil {
			return authn.Evidence{}, &authn.Error{Code: authn.BadRequest, Err: err}
		}
	}
	answer, err := a.call(ctx, http.MethodPost, path, body)
	if err != nil {
		return authn.Evidence{}, a.completeError(ctx, p, h, err)
	}
	out, err := parseResult(answer)
	if err != nil {
		// The proof was handed out, in an answer that nobody can read.
		return authn.Evidence{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	}
	evidence, err := a.verify(p, at, h, out)
	if err != nil {
		return authn.Evidence{}, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	return evidence, nil
}

// recall reads what Begin returned.
func (a *Adapter) recall(at authn.Attempt) (*provider, handle, error) {
	var h handle
	p := a.provider(at.Provider)
	if p == nil || json.Unmarshal(at.Private, &h) != nil || !receiptPattern.MatchString(h.Receipt) {
		return nil, handle{}, &authn.Error{Code: authn.BadRequest, Err: errors.New("simple: the attempt is not one of this adapter's")}
	}
	return p, h, nil
}

// parseReceipt reads the answer to a request.
func parseReceipt(answer []byte) (string, error) {
	var out struct {
		ReceiptID string `json:"receiptID"`
	}
	if json.Unmarshal(answer, &out) != nil || !receiptPattern.MatchString(out.ReceiptID) {
		return "", errors.New("simple: the answer holds no receipt")
	}
	return out.ReceiptID, nil
}

// parseStatus reads the answer to a status call: the state as a number, or as Naver's string.
func parseStatus(answer []byte, receipt string) (authn.State, error) {
	var out struct {
		ReceiptID string `json:"receiptID"`
		State     scalar `json:"state"`
	}
	if json.Unmarshal(answer, &out) != nil {
		return "", errors.New("simple: the status is not readable")
	}
	if out.ReceiptID != receipt {
		return "", errors.New("simple: the status is another request's")
	}
	return out.State.state()
}

// state translates a state of the wire. 5 is PASS's 미처리: the app took the request and nobody will
// answer it any more.
func (s scalar) state() (authn.State, error) {
	switch s {
	case "0":
		return authn.Pending, nil
	case "1":
		return authn.Approved, nil
	case "2":
		return authn.Expired, nil
	case "3":
		return authn.Rejected, nil
	case "4", "5":
		return authn.Failed, nil
	}
	return "", errors.New("simple: an unknown state")
}

// Check fetches a fresh session token: the token service answers and takes our credentials.
func (a *Adapter) Check(ctx context.Context) error {
	if _, err := a.fetchToken(ctx); err != nil {
		return neutral(err)
	}
	return nil
}
