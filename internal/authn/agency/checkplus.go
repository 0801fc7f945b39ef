package agency

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// CheckPlus is a contract for NICE's older interface (본인확인 통합형), whose results the browser brings,
// encrypted. It knows the phone, and no i-PIN.
type CheckPlus struct {
	// URL is the base of the service; empty: "https://svc.niceapi.co.kr:22001". WindowURL is the window; empty:
	// "https://nice.checkplus.co.kr/CheckPlusSafeModel/service.cb". Plain http is taken for loopback hosts only.
	URL, WindowURL string
	// ClientID and ClientSecret identify the institution, ProductID the product under contract.
	ClientID, ClientSecret, ProductID string
	// Male and Foreign are which of "0" and "1" stands for a man and for a foreigner; empty: "1".
	Male, Foreign string
	// Cancelled lists the result codes that mean that the citizen cancelled, which the contract tells.
	Cancelled []string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
}

const (
	checkPlusURL     = "https://svc.niceapi.co.kr:22001"
	checkPlusWindow  = "https://nice.checkplus.co.kr/CheckPlusSafeModel/service.cb"
	checkPlusToken   = "/digital/niceid/oauth/oauth/token"
	checkPlusCrypto  = "/digital/niceid/api/v1.0/common/crypto/token"
	checkPlusPhone   = "M"
	checkPlusGateway = "1200"
	checkPlusDone    = "P000"
	checkPlusMargin  = time.Minute
	maxPeriod        = 24 * time.Hour
	wireTime         = "20060102150405"
)

// checkPlus drives NICE's older interface.
type checkPlus struct {
	cfg     CheckPlus
	calls   caller
	tokens  tokens
	genders codes
	nations codes
}

// NewCheckPlus checks the contract and returns its driver. Redirects are not followed whatever the client says.
// now is the clock; nil means time.Now.
func NewCheckPlus(cfg CheckPlus, client *http.Client, now func() time.Time) (Driver, error) {
	if now == nil {
		now = time.Now
	}
	cfg.URL, cfg.WindowURL = strings.TrimRight(orElse(cfg.URL, checkPlusURL), "/"), orElse(cfg.WindowURL, checkPlusWindow)
	cfg.Male, cfg.Foreign = orElse(cfg.Male, "1"), orElse(cfg.Foreign, "1")
	calls, err := newCaller(client, cfg.Timeout)
	errs := []error{err, base("URL", cfg.URL), base("WindowURL", cfg.WindowURL), digit("Male", cfg.Male), digit("Foreign", cfg.Foreign)}
	if !handed.MatchString(cfg.ClientID) || strings.Contains(cfg.ClientID, ":") || cfg.ClientSecret == "" || !handed.MatchString(cfg.ProductID) {
		errs = append(errs, errors.New("ClientID, ClientSecret and ProductID are needed"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("agency: CheckPlus: configuration: %w", err)
	}
	d := &checkPlus{cfg: cfg, calls: calls, genders: either(cfg.Male, male, female), nations: either(cfg.Foreign, foreign, domestic)}
	d.tokens.now, d.tokens.fetch = now, func(ctx context.Context) (*token, error) { return d.fetchToken(ctx, now()) }
	return d, nil
}

func (d *checkPlus) agency() authn.Provider { return theNICE }

func (d *checkPlus) serves(m method.Method) bool { return m == method.Phone }

// checkPlusReply is any answer of the service's.
type checkPlusReply struct {
	Header struct {
		Code scalar `json:"GW_RSLT_CD"`
	} `json:"dataHeader"`
	Body struct {
		Token   string `json:"access_token"`
		Expires scalar `json:"expires_in"` // seconds
		Code    scalar `json:"rsp_cd"`
		Result  scalar `json:"result_cd"`
		Site    string `json:"site_code"`
		Version string `json:"token_version_id"`
		Value   string `json:"token_val"`
		Period  scalar `json:"period"` // seconds
	} `json:"dataBody"`
}

// parseCheckPlus reads an answer, of which the gateway says that it is one.
func parseCheckPlus(answer []byte) (checkPlusReply, error) {
	var reply checkPlusReply
	switch {
	case json.Unmarshal(answer, &reply) != nil || reply.Header.Code == "":
		return checkPlusReply{}, refuse(authn.ProviderDown, "NICE's answer is not readable")
	case reply.Header.Code != checkPlusGateway:
		return checkPlusReply{}, &authn.Error{Code: authn.BadRequest, Provider: coded(string(reply.Header.Code)), Err: errors.New("agency: NICE's gateway refuses")}
	}
	return reply, nil
}

// fetchToken asks for an access token, which lives for decades.
func (d *checkPlus) fetchToken(ctx context.Context, now time.Time) (*token, error) {
	basic := base64.StdEncoding.EncodeToString([]byte(d.cfg.ClientID + ":" + d.cfg.ClientSecret))
	answer, failed := d.calls.call(ctx, http.MethodPost, d.cfg.URL+checkPlusToken, http.Header{
		"Content-Type": {"application/x-www-form-urlencoded;charset=utf-8"}, "Authorization": {"Basic " + basic},
	}, []byte(url.Values{"grant_type": {"client_credentials"}, "scope": {"default"}}.Encode()))
	if failed != nil {
		return nil, failed.neutral("")
	}
	reply, err := parseCheckPlus(answer)
	if err != nil {
		if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.BadRequest {
			e.Code = authn.ProviderAuth // our account is all that it can refuse
		}
		return nil, err
	}
	seconds, err := json.Number(reply.Body.Expires).Int64()
	if err != nil || seconds <= 0 || !bearer.MatchString(reply.Body.Token) || strings.Contains(reply.Body.Token, ":") {
		return nil, refuse(authn.ProviderDown, "NICE's answer holds no usable token")
	}
	left := time.Duration(min(seconds, int64(maxTokenLife/time.Second))) * time.Second
	return &token{text: reply.Body.Token, renew: now.Add(left - min(checkPlusMargin, left/2))}, nil
}

func (d *checkPlus) check(ctx context.Context) error {
	_, err := d.fetchToken(ctx, d.tokens.now())
	return err
}

// checkPlusHandle is what the result needs.
type checkPlusHandle struct {
	Version string `json:"v"` // token_version_id
	Site    string `json:"s"`
	Secret  string `json:"k"` // 44 characters, of which the keys are slices
}

// secret is the key material of a request: SHA-256 of its time, its number and the token's value, in base64.
func secret(at, number, value string) string {
	sum := sha256.Sum256([]byte(at + number + value))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// secretLength is that of secret's text.
const secretLength = 44

// sealCheckPlus encrypts a request for the window and returns it with its integrity value, both in base64.
// AES-128-CBC with PKCS #7: the key is the first 16 characters of the secret, the IV its last 16, and the HMAC key
// its first 32.
func sealCheckPlus(plain []byte, secret string) (data, integrity string, err error) {
	block, err := aes.NewCipher([]byte(secret[:16]))
	if err != nil {
		return "", "", fmt.Errorf("agency: CheckPlus: %w", err)
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	sealed := append(slices.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, []byte(secret[secretLength-16:])).CryptBlocks(sealed, sealed)
	data = base64.StdEncoding.EncodeToString(sealed)
	return data, base64.StdEncoding.EncodeToString(checkPlusMAC(data, secret)), nil
}

func checkPlusMAC(data, secret string) []byte {
	mac := hmac.New(sha256.New, []byte(secret[:32]))
	mac.Write([]byte(data))
	return mac.Sum(nil)
}

// openCheckPlus opens a result. CBC protects nothing, so the integrity value is verified before anything is
// decrypted.
func openCheckPlus(data, integrity, secret string) ([]byte, error) {
	claimed, err := base64.StdEncoding.Strict().DecodeString(integrity)
	if err != nil || !hmac.Equal(claimed, checkPlusMAC(data, secret)) {
		return nil, errors.New("agency: CheckPlus: the integrity value is wrong")
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(data)
	if err != nil || len(plain) == 0 || len(plain)%aes.BlockSize != 0 {
		return nil, errors.New("agency: CheckPlus: the data has not its form")
	}
	block, err := aes.NewCipher([]byte(secret[:16]))
	if err != nil {
		return nil, errors.New("agency: CheckPlus: no key")
	}
	cipher.NewCBCDecrypter(block, []byte(secret[secretLength-16:])).CryptBlocks(plain, plain)
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("agency: CheckPlus: the data does not decrypt")
	}
	return plain[:len(plain)-pad], nil
}

// checkPlusResults translates result_cd of the crypto token.
var checkPlusResults = map[string]authn.Code{
	"0003": authn.ProviderAuth, // no contract for this
	"0099": authn.ProviderDown,
}

// cryptoToken asks for the key material of one request.
func (d *checkPlus) cryptoToken(ctx context.Context, at, number string, now time.Time) (checkPlusReply, error) {
	body, err := json.Marshal(map[string]any{
		"dataHeader": map[string]string{"CNTY_CD": "ko"},
		"dataBody":   map[string]string{"req_dtim": at, "req_no": number, "enc_mode": "1"},
	})
	if err != nil {
		return checkPlusReply{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	refused := ""
	for {
		t, err := d.tokens.get(ctx, refused)
		if err != nil {
			return checkPlusReply{}, err
		}
		authorization := base64.StdEncoding.EncodeToString([]byte(t.text + ":" + strconv.FormatInt(now.Unix(), 10) + ":" + d.cfg.ClientID))
		answer, failed := d.calls.call(ctx, http.MethodPost, d.cfg.URL+checkPlusCrypto, http.Header{
			"Content-Type": {"application/json"}, "Authorization": {"bearer " + authorization}, "ProductID": {d.cfg.ProductID},
		}, body)
		if failed != nil {
			if failed.status == http.StatusUnauthorized && refused == "" {
				refused = t.text
				continue
			}
			return checkPlusReply{}, failed.neutral("")
		}
		reply, err := parseCheckPlus(answer)
		if err != nil {
			return checkPlusReply{}, err
		}
		if reply.Body.Code != checkPlusDone || reply.Body.Result != niceSuccess {
			code := coded(orElse(string(reply.Body.Result), string(reply.Body.Code)))
			known, ok := checkPlusResults[code]
			if !ok {
				known = authn.BadRequest
			}
			return checkPlusReply{}, &authn.Error{Code: known, Provider: code, Err: errors.New("agency: NICE refuses a crypto token")}
		}
		return reply, nil
	}
}

func (d *checkPlus) begin(ctx context.Context, o order) (opening, error) {
	at := o.now.In(authn.Korea).Format(wireTime)
	reply, err := d.cryptoToken(ctx, at, o.number, o.now)
	if err != nil {
		return opening{}, err
	}
	b := reply.Body
	seconds, err := json.Number(b.Period).Int64()
	if err != nil || seconds <= 0 || !handed.MatchString(b.Site) || !handed.MatchString(b.Version) || !handed.MatchString(b.Value) {
		return opening{}, refuse(authn.ProviderDown, "NICE's answer holds no crypto token")
	}
	h := checkPlusHandle{b.Version, b.Site, secret(at, o.number, b.Value)}
	plain, err := json.Marshal(map[string]string{
		"requestno": o.number, "returnurl": o.returnURL, "sitecode": b.Site, "authtype": checkPlusPhone, "methodtype": "get", "popupyn": "N",
	})
	if err != nil {
		return opening{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	data, integrity, err := sealCheckPlus(plain, h.Secret)
	if err != nil {
		return opening{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return opening{
		window: authn.Destination{URL: d.cfg.WindowURL, Fields: url.Values{
			"m": {"service"}, "token_version_id": {b.Version}, "enc_data": {data}, "integrity_value": {integrity},
		}},
		private: h, life: min(windowLife, time.Duration(min(seconds, int64(maxPeriod/time.Second)))*time.Second),
	}, nil
}

func (d *checkPlus) finish(_ context.Context, _ order, private []byte, returned url.Values) (result, error) {
	var h checkPlusHandle
	if json.Unmarshal(private, &h) != nil || len(h.Secret) != secretLength {
		return result{}, refuse(authn.BadRequest, "the attempt is not one of CheckPlus's")
	}
	if returned.Get("token_version_id") != h.Version {
		return result{}, refuse(authn.BadEvidence, "the result is under another token")
	}
	data := returned.Get("enc_data")
	plain, err := openCheckPlus(data, returned.Get("integrity_value"), h.Secret)
	if err != nil {
		return result{}, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	r, err := d.read(plain, h.Site)
	if err != nil {
		return result{}, err
	}
	sum := sha256.Sum256([]byte(data))
	r.digest = hex.EncodeToString(sum[:])
	return r, nil
}

// read reads a decrypted result: JSON in UTF-8 or EUC-KR, the name once more in utf8_name, percent-encoded. Errors
// are an *authn.Error.
func (d *checkPlus) read(plain []byte, site string) (result, error) {
	if !utf8.Valid(plain) {
		decoded, err := korean.EUCKR.NewDecoder().Bytes(plain)
		if err != nil {
			return result{}, refuse(authn.BadEvidence, "NICE's result is no text")
		}
		plain = decoded
	}
	var in struct {
		Code      scalar `json:"resultcode"`
		Number    scalar `json:"requestno"`
		Site      scalar `json:"sitecode"`
		Type      scalar `json:"authtype"`
		Name      string `json:"name"`
		UTF8Name  string `json:"utf8_name"`
		BirthDate scalar `json:"birthdate"`
		Gender    scalar `json:"gender"`
		National  scalar `json:"nationalinfo"`
		Phone     scalar `json:"mobileno"`
		CI        string `json:"ci"`
	}
	if json.Unmarshal(plain, &in) != nil {
		return result{}, refuse(authn.BadEvidence, "NICE's result is not readable")
	}
	switch code := string(in.Code); {
	case slices.Contains(d.cfg.Cancelled, code):
		return result{}, &authn.Error{Code: authn.UserCancelled, Provider: coded(code)}
	case code != niceSuccess:
		return result{}, &authn.Error{Code: authn.BadRequest, Provider: coded(code), Err: errors.New("agency: NICE's result is none")}
	case string(in.Site) != site:
		return result{}, refuse(authn.BadEvidence, "the result is another site's")
	case in.Type != checkPlusPhone:
		return result{}, refuse(authn.BadEvidence, "the result is not of a phone")
	}
	name := in.Name
	if in.UTF8Name != "" {
		decoded, err := url.QueryUnescape(in.UTF8Name)
		if err != nil {
			return result{}, refuse(authn.BadEvidence, "the name in NICE's result is no text")
		}
		name = decoded
	}
	return result{
		number: string(in.Number), ci: in.CI, name: name, birthDate: string(in.BirthDate),
		gender: d.genders[string(in.Gender)], nation: d.nations[string(in.National)], phone: string(in.Phone),
	}, nil
}
