package agency

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// KCB is a contract for KCB's OkCert3, whose module runs in a sidecar of the institution's: the vendor's library
// and licence file never come near this service. docs/identity-verification.md has the sidecar's interface. It
// knows the phone, and no i-PIN.
type KCB struct {
	// URL is the base of the sidecar; plain http is taken for loopback hosts only. WindowURL is the window; empty:
	// "https://safe.ok-name.co.kr/CommonSvl".
	URL, WindowURL string
	// Key is the sidecar's bearer key.
	Key string
	// Member is the institution's code (CP_CD), 12 characters.
	Member string
	// SiteName is what the citizen reads in the window, at most 24 bytes in EUC-KR, and SiteURL what they find in
	// their history.
	SiteName, SiteURL string
	// Cancelled lists the result codes that mean that the citizen cancelled, which the contract tells.
	Cancelled []string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
}

const (
	kcbWindow  = "https://safe.ok-name.co.kr/CommonSvl"
	kcbCommand = "kcb.oknm.online.safehscert.popup.cmd.P931_CertChoiceCmd"
	kcbStart   = "IDS_HS_POPUP_START"
	kcbResult  = "IDS_HS_POPUP_RESULT"
	kcbDone    = "B000"
	kcbReason  = "02"      // 회원정보수정
	maxKCBSite = 24        // bytes in EUC-KR, where a Korean character has two
	tokenField = "mdl_tkn" // in the window's form, and in the return
)

var theKCB = authn.Provider{ID: "kcb", Korean: "코리아크레딧뷰로", English: "KCB"}

// kcb drives OkCert3.
type kcb struct {
	cfg   KCB
	calls caller
}

// NewKCB checks the contract and returns its driver. Redirects are not followed whatever the client says.
func NewKCB(cfg KCB, client *http.Client) (Driver, error) {
	cfg.URL, cfg.WindowURL = strings.TrimRight(cfg.URL, "/"), orElse(cfg.WindowURL, kcbWindow)
	calls, err := newCaller(client, cfg.Timeout)
	errs := []error{err, base("URL", cfg.URL), base("WindowURL", cfg.WindowURL)}
	if !bearer.MatchString(cfg.Key) || len(cfg.Member) != 12 || !handed.MatchString(cfg.Member) || cfg.SiteURL == "" {
		errs = append(errs, errors.New("a Key, a SiteURL and a Member of 12 characters are needed"))
	}
	if n := eucLength(cfg.SiteName); n == 0 || n > maxKCBSite {
		errs = append(errs, fmt.Errorf("SiteName has not 1 to %d bytes in EUC-KR", maxKCBSite))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("agency: KCB: configuration: %w", err)
	}
	return &kcb{cfg, calls}, nil
}

// eucLength is the length of the text in EUC-KR, in bytes.
func eucLength(text string) int {
	n := 0
	for _, c := range text {
		n += min(utf8.RuneLen(c), 2)
	}
	return n
}

func (d *kcb) agency() authn.Provider { return theKCB }

func (d *kcb) serves(m method.Method) bool { return m == method.Phone }

func (d *kcb) header() http.Header {
	return http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + d.cfg.Key}}
}

func (d *kcb) check(ctx context.Context) error {
	if _, failed := d.calls.call(ctx, http.MethodGet, d.cfg.URL+"/v1/health", d.header(), nil); failed != nil {
		return failed.neutral("")
	}
	return nil
}

// kcbReply is what the module returns.
type kcbReply struct {
	Code      scalar `json:"RSLT_CD"`
	Token     string `json:"MDL_TKN"`
	Member    scalar `json:"CP_CD"`
	Message   string `json:"RETURN_MSG"` // our request number
	Name      string `json:"RSLT_NAME"`
	BirthDate scalar `json:"RSLT_BIRTHDAY"`
	Gender    scalar `json:"RSLT_SEX_CD"`
	National  scalar `json:"RSLT_NTV_FRNR_CD"`
	Phone     scalar `json:"TEL_NO"`
	CI        string `json:"CI"`
}

// parseKCB reads what the module returned.
func parseKCB(answer []byte) (kcbReply, error) {
	var reply kcbReply
	if json.Unmarshal(answer, &reply) != nil || reply.Code == "" {
		return kcbReply{}, errors.New("agency: KCB's answer is not readable")
	}
	return reply, nil
}

// okcert has the sidecar call the module.
func (d *kcb) okcert(ctx context.Context, service string, params map[string]string) ([]byte, *failure) {
	body, err := json.Marshal(struct {
		Service string            `json:"service"`
		Params  map[string]string `json:"params"`
	}{service, params})
	if err != nil {
		return nil, &failure{unsent: true, err: err}
	}
	return d.calls.call(ctx, http.MethodPost, d.cfg.URL+"/v1/okcert", d.header(), body)
}

// kcbHandle is what the result needs.
type kcbHandle struct {
	Token string `json:"t"`
}

func (d *kcb) begin(ctx context.Context, o order) (opening, error) {
	answer, failed := d.okcert(ctx, kcbStart, map[string]string{
		"RETURN_URL": o.returnURL, "SITE_NAME": d.cfg.SiteName, "SITE_URL": d.cfg.SiteURL, "RQST_CAUS_CD": kcbReason, "RETURN_MSG": o.number,
	})
	if failed != nil {
		return opening{}, failed.neutral("")
	}
	reply, err := parseKCB(answer)
	code := coded(string(reply.Code))
	switch {
	case err != nil:
		return opening{}, &authn.Error{Code: authn.ProviderDown, Err: err}
	case code != kcbDone:
		return opening{}, &authn.Error{Code: authn.BadRequest, Provider: code, Err: errors.New("agency: KCB refuses")}
	case !handed.MatchString(reply.Token):
		return opening{}, refuse(authn.ProviderDown, "KCB's answer holds no token of a window")
	}
	return opening{
		window: authn.Destination{URL: d.cfg.WindowURL, Fields: url.Values{
			"tc": {kcbCommand}, "cp_cd": {d.cfg.Member}, tokenField: {reply.Token}, "target_id": {""},
		}},
		private: kcbHandle{reply.Token}, life: windowLife,
	}, nil
}

var (
	kcbGenders = codes{"M": male, "F": female}
	kcbNations = codes{"L": domestic, "F": foreign}
)

func (d *kcb) finish(ctx context.Context, _ order, private []byte, returned url.Values) (result, error) {
	var h kcbHandle
	if json.Unmarshal(private, &h) != nil || h.Token == "" {
		return result{}, refuse(authn.BadRequest, "the attempt is not one of KCB's")
	}
	if returned.Get(tokenField) != h.Token {
		return result{}, refuse(authn.BadEvidence, "the browser brought another token")
	}
	answer, failed := d.okcert(ctx, kcbResult, map[string]string{"MDL_TKN": h.Token})
	if failed != nil {
		return result{}, failed.oneShot("")
	}
	reply, err := parseKCB(answer)
	code := coded(string(reply.Code))
	switch {
	case err != nil:
		return result{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	case slices.Contains(d.cfg.Cancelled, code):
		return result{}, &authn.Error{Code: authn.UserCancelled, Provider: code}
	case code != kcbDone:
		return result{}, &authn.Error{Code: authn.BadRequest, Provider: code, Err: errors.New("agency: KCB's result is none")}
	case reply.Member != "" && string(reply.Member) != d.cfg.Member:
		return result{}, refuse(authn.BadEvidence, "the result is another institution's")
	}
	sum := sha256.Sum256(answer)
	return result{
		number: reply.Message, ci: reply.CI, name: reply.Name, birthDate: string(reply.BirthDate), phone: string(reply.Phone),
		gender: kcbGenders[string(reply.Gender)], nation: kcbNations[string(reply.National)], digest: hex.EncodeToString(sum[:]),
	}, nil
}
