package agency

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// NICE is a contract for NICE 통합인증, the current interface (auth-guide.niceid.co.kr).
type NICE struct {
	// URL is the base of the service; empty: "https://auth.niceid.co.kr". Plain http is taken for loopback
	// hosts only.
	URL string
	// ClientID and ClientSecret identify the institution, whose address NICE must have registered.
	ClientID, ClientSecret string
	// PhoneService and IPINService are the svc_types of the two methods; empty: "M", and none, since that of
	// the i-PIN is not public. Without one the method is not served.
	PhoneService, IPINService string
	// RawKeys slices the keys out of the derived bytes. False slices them out of their base64url text, as a
	// client does that was verified against the service.
	RawKeys bool
	// Male and Foreign are which of "0" and "1" stands for a man and for a foreigner; empty: "1".
	Male, Foreign string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
}

const (
	niceURL     = "https://auth.niceid.co.kr"
	nicePath    = "/ido/intc/v1.0/auth/"
	niceSuccess = "0000"
	// niceMargin keeps a window from outliving the token with whose ticket its result is encrypted.
	niceMargin    = 15 * time.Minute
	maxTokenLife  = 365 * 24 * time.Hour
	maxIterations = 1_000_000
)

var theNICE = authn.Provider{ID: "nice", Korean: "나이스평가정보", English: "NICE"}

// nice drives NICE 통합인증.
type nice struct {
	cfg     NICE
	calls   caller
	tokens  tokens
	genders codes
	nations codes
}

// NewNICE checks the contract and returns its driver. Redirects are not followed whatever the client says. now
// is the clock; nil means time.Now.
func NewNICE(cfg NICE, client *http.Client, now func() time.Time) (Driver, error) {
	if now == nil {
		now = time.Now
	}
	cfg.URL = strings.TrimRight(orElse(cfg.URL, niceURL), "/")
	cfg.PhoneService, cfg.Male, cfg.Foreign = orElse(cfg.PhoneService, "M"), orElse(cfg.Male, "1"), orElse(cfg.Foreign, "1")
	calls, err := newCaller(client, cfg.Timeout)
	errs := []error{err, base("URL", cfg.URL), digit("Male", cfg.Male), digit("Foreign", cfg.Foreign)}
	if cfg.ClientID == "" || cfg.ClientSecret == "" || strings.Contains(cfg.ClientID, ":") {
		errs = append(errs, errors.New("ClientID and ClientSecret are needed"))
	}
	if cfg.PhoneService == cfg.IPINService {
		errs = append(errs, errors.New("PhoneService and IPINService are the same"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("agency: NICE: configuration: %w", err)
	}
	d := &nice{cfg: cfg, calls: calls, genders: either(cfg.Male, male, female), nations: either(cfg.Foreign, foreign, domestic)}
	d.tokens.now, d.tokens.fetch = now, func(ctx context.Context) (*token, error) { return d.fetchToken(ctx, now()) }
	return d, nil
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// digit checks the code of one of two values.
func digit(name, code string) error {
	if code != "0" && code != "1" {
		return fmt.Errorf(`%s is neither "0" nor "1"`, name)
	}
	return nil
}

func (d *nice) agency() authn.Provider { return theNICE }

func (d *nice) serves(m method.Method) bool { return d.service(m) != "" }

// service is the svc_type of the method.
func (d *nice) service(m method.Method) string {
	if m == method.IPIN {
		return d.cfg.IPINService
	}
	return d.cfg.PhoneService
}

// niceHandle is what the result needs.
type niceHandle struct {
	Transaction string `json:"t"`
	Token       string `json:"b"`
	Ticket      string `json:"k"`
	Iterations  int    `json:"i"`
}

// niceReply is any answer of NICE's.
type niceReply struct {
	Code        scalar `json:"result_code"`
	Number      scalar `json:"request_no"`
	Token       string `json:"access_token"`
	Expires     scalar `json:"expires_in"` // when it expires, in milliseconds since 1970
	Iterations  scalar `json:"iterators"`
	Ticket      string `json:"ticket"`
	URL         string `json:"auth_url"`
	Transaction string `json:"transaction_id"`
	Data        string `json:"enc_data"`
	Integrity   string `json:"integrity_value"`
}

// niceCodes are the codes that NICE's clients know.
var niceCodes = map[string]authn.Code{
	"1003": authn.ProviderAuth, // the token has expired
	"1004": authn.ProviderAuth, // the token is not known
	"1006": authn.ProviderAuth, // the contract does not cover what was asked for
	"1007": authn.ProviderAuth, // our address is not registered
	"3033": authn.AlreadyUsed,  // the result was handed out before
}

// deadToken reports whether NICE wants another token. A call that was refused so had no effect.
func deadToken(err error) bool {
	e, ok := errors.AsType[*authn.Error](err)
	return ok && (e.Provider == "1003" || e.Provider == "1004")
}

// post makes one call. oneShot says that its answer is handed out once. Errors are an *authn.Error.
func (d *nice) post(ctx context.Context, operation, authorization string, body any, oneShot bool) (niceReply, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return niceReply{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	answer, failed := d.calls.call(ctx, http.MethodPost, d.cfg.URL+nicePath+operation, http.Header{
		"Content-Type": {"application/json"}, "Authorization": {authorization}, "X-Intc-Devlang": {"Linux/Go"},
	}, text)
	if failed != nil {
		answer = failed.body // which may say more than its status
	}
	reply, err := parseNICE(answer)
	code := coded(string(reply.Code))
	if known, ok := niceCodes[code]; ok {
		return niceReply{}, &authn.Error{Code: known, Provider: code, Err: errors.New("agency: NICE refuses")}
	}
	switch {
	case failed != nil && oneShot:
		return niceReply{}, failed.oneShot(code)
	case failed != nil:
		return niceReply{}, failed.neutral(code)
	case err != nil && oneShot:
		return niceReply{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	case err != nil:
		return niceReply{}, &authn.Error{Code: authn.ProviderDown, Err: err}
	case code != niceSuccess:
		return niceReply{}, &authn.Error{Code: authn.BadRequest, Provider: code, Err: errors.New("agency: NICE refuses")}
	}
	return reply, nil
}

// parseNICE reads an answer.
func parseNICE(answer []byte) (niceReply, error) {
	var reply niceReply
	if json.Unmarshal(answer, &reply) != nil || reply.Code == "" {
		return niceReply{}, errors.New("agency: NICE's answer is not readable")
	}
	return reply, nil
}

// fetchToken asks for an access token.
func (d *nice) fetchToken(ctx context.Context, now time.Time) (*token, error) {
	basic := base64.RawURLEncoding.EncodeToString([]byte(d.cfg.ClientID + ":" + d.cfg.ClientSecret))
	reply, err := d.post(ctx, "token", "Basic "+basic, struct {
		Grant  string `json:"grant_type"`
		Number string `json:"request_no"`
	}{"client_credentials", rand.Text()}, false)
	if err != nil {
		if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.BadRequest {
			e.Code = authn.ProviderAuth // our account is all that it can refuse
		}
		return nil, err
	}
	return reply.token(now)
}

// token reads the token in an answer.
func (r niceReply) token(now time.Time) (*token, error) {
	ms, err := json.Number(r.Expires).Int64()
	iterations, iterationsErr := json.Number(r.Iterations).Int64()
	left := min(time.UnixMilli(ms).Sub(now), maxTokenLife)
	if err != nil || iterationsErr != nil || left <= 0 || iterations < 1 || iterations > maxIterations ||
		!bearer.MatchString(r.Token) || !handed.MatchString(r.Ticket) {
		return nil, refuse(authn.ProviderDown, "NICE's answer holds no usable token")
	}
	return &token{r.Token, now.Add(left - min(niceMargin, left/2)), r.Ticket, int(iterations)}, nil
}

func (d *nice) check(ctx context.Context) error {
	_, err := d.fetchToken(ctx, d.tokens.now())
	return err
}

func (d *nice) begin(ctx context.Context, o order) (opening, error) {
	body := struct {
		Number   string   `json:"request_no"`
		Return   string   `json:"return_url"`
		Close    string   `json:"close_url"`
		Services []string `json:"svc_types"`
		Verb     string   `json:"method_type"`
		Modes    []string `json:"exp_mods"`
	}{o.number, o.returnURL, o.closeURL(), []string{d.service(o.method)}, http.MethodGet, []string{"closeButtonOn"}}
	t, err := d.tokens.get(ctx, "")
	if err != nil {
		return opening{}, err
	}
	reply, err := d.post(ctx, "url", "Bearer "+t.text, body, false)
	if deadToken(err) {
		if t, err = d.tokens.get(ctx, t.text); err != nil {
			return opening{}, err
		}
		reply, err = d.post(ctx, "url", "Bearer "+t.text, body, false)
	}
	if err != nil {
		return opening{}, err
	}
	window, err := url.Parse(reply.URL)
	switch {
	case err != nil || !secure(window) || window.Host == "" || window.User != nil || !handed.MatchString(reply.Transaction):
		return opening{}, refuse(authn.ProviderDown, "NICE's answer holds no window")
	case reply.Number != "" && string(reply.Number) != o.number:
		return opening{}, refuse(authn.ProviderDown, "NICE's answer is another request's")
	}
	return opening{
		window: authn.Destination{URL: reply.URL}, life: windowLife,
		private: niceHandle{reply.Transaction, t.text, t.ticket, t.iterations},
	}, nil
}

// finish fetches the result with the token whose ticket encrypts it. Should NICE no longer take that token,
// another one fetches; the ticket stays that of the order.
func (d *nice) finish(ctx context.Context, o order, private []byte, returned url.Values) (result, error) {
	var h niceHandle
	if json.Unmarshal(private, &h) != nil || h.Transaction == "" || h.Ticket == "" || h.Iterations < 1 || h.Iterations > maxIterations {
		return result{}, refuse(authn.BadRequest, "the attempt is not one of NICE's")
	}
	web := returned.Get("web_transaction_id")
	if len(returned["web_transaction_id"]) != 1 || !handed.MatchString(web) {
		return result{}, refuse(authn.BadEvidence, "the browser brought no transaction of NICE's")
	}
	body := struct {
		Web         string `json:"web_transaction_id"`
		Transaction string `json:"transaction_id"`
		Number      string `json:"request_no"`
	}{web, h.Transaction, o.number}
	reply, err := d.post(ctx, "result", "Bearer "+h.Token, body, true)
	if deadToken(err) {
		var t *token
		if t, err = d.tokens.get(ctx, h.Token); err != nil {
			return result{}, err
		}
		reply, err = d.post(ctx, "result", "Bearer "+t.text, body, true)
	}
	if err != nil {
		return result{}, err
	}
	plain, err := openNICE(reply.Data, reply.Integrity, h.Ticket, h.Transaction, h.Iterations, d.cfg.RawKeys)
	if err != nil {
		return result{}, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	r, err := d.read(plain)
	if err != nil {
		return result{}, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	// NICE may repeat the request number in its answer and in the result. Where neither does, the key is what ties
	// the result to the request: that of the transaction which NICE made for the number.
	if reply.Number != "" && string(reply.Number) != o.number {
		return result{}, refuse(authn.BadEvidence, "the answer is another request's")
	}
	r.number = orElse(r.number, o.number)
	sum := sha256.Sum256([]byte(reply.Data))
	r.digest = hex.EncodeToString(sum[:])
	return r, nil
}

// read reads a decrypted result.
func (d *nice) read(plain []byte) (result, error) {
	var in struct {
		Number    scalar `json:"request_no"`
		Name      string `json:"name"`
		BirthDate scalar `json:"birthdate"`
		Gender    scalar `json:"gender"`
		National  scalar `json:"national_info"`
		Phone     scalar `json:"mobile_no"`
		CI        string `json:"ci"`
	}
	if json.Unmarshal(plain, &in) != nil {
		return result{}, errors.New("agency: NICE's result is not readable")
	}
	return result{
		number: string(in.Number), ci: in.CI, name: in.Name, birthDate: string(in.BirthDate),
		gender: d.genders[string(in.Gender)], nation: d.nations[string(in.National)], phone: string(in.Phone),
	}, nil
}

// niceNonce and niceTag are the lengths of the nonce before a result's ciphertext and of the tag behind it.
const niceNonce, niceTag = 16, 16

// openNICE verifies and decrypts a result of NICE's. K is PBKDF2-HMAC-SHA256 of the ticket with the
// transaction's id as salt; the AES key begins at 0 of K's base64url text and the MAC key at 48, 32 characters
// each, used as ASCII. raw takes both from the bytes of K instead. The integrity value is the HMAC-SHA256 of the
// data as sent, in base64url, and is compared before anything is decrypted: AES-256-GCM, with the nonce before
// the ciphertext and the tag behind it.
func openNICE(data, integrity, ticket, transaction string, iterations int, raw bool) ([]byte, error) {
	const keyLength, macAt = 32, 48
	length := 64
	if raw {
		length = macAt + keyLength
	}
	k, err := pbkdf2.Key(sha256.New, ticket, []byte(transaction), iterations, length)
	if err != nil {
		return nil, errors.New("agency: NICE's result: no key")
	}
	if !raw {
		k = []byte(base64.RawURLEncoding.EncodeToString(k))
	}
	mac := hmac.New(sha256.New, k[macAt:macAt+keyLength])
	mac.Write([]byte(data))
	claimed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(integrity, "="))
	if err != nil || !hmac.Equal(claimed, mac.Sum(nil)) {
		return nil, errors.New("agency: NICE's result: the integrity value is wrong")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(data, "="))
	if err != nil || len(sealed) < niceNonce+niceTag {
		return nil, errors.New("agency: NICE's result: the data has not its form")
	}
	block, err := aes.NewCipher(k[:keyLength])
	if err != nil {
		return nil, errors.New("agency: NICE's result: no key")
	}
	aead, err := cipher.NewGCMWithNonceSize(block, niceNonce)
	if err != nil {
		return nil, errors.New("agency: NICE's result: no cipher")
	}
	plain, err := aead.Open(nil, sealed[:niceNonce], sealed[niceNonce:], nil)
	if err != nil {
		return nil, errors.New("agency: NICE's result does not decrypt")
	}
	return bytes.TrimSpace(plain), nil
}
