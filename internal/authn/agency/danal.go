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

	"golang.org/x/text/encoding/korean"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// Danal is a contract for Danal's UAS (휴대폰 본인인증). It knows the phone, and no i-PIN.
type Danal struct {
	// URL is the service; empty: "https://uas.teledit.com/uas/". WindowURL is the window; empty:
	// "https://wauth.teledit.com/Danal/WebAuth/Web/Start.php". Plain http is taken for loopback hosts only.
	URL, WindowURL string
	// Member and Password identify the institution (CPID, CPPWD).
	Member, Password string
	// SiteURL is the address that the carriers' message shows (CPTITLE).
	SiteURL string
	// Cancelled lists the result codes that mean that the citizen cancelled, which the contract tells.
	Cancelled []string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
}

const (
	danalURL    = "https://uas.teledit.com/uas/"
	danalWindow = "https://wauth.teledit.com/Danal/WebAuth/Web/Start.php"
	danalDone   = "0000"
	danalType   = "36"
)

var theDanal = authn.Provider{ID: "danal", Korean: "다날", English: "Danal"}

// danal drives UAS.
type danal struct {
	cfg   Danal
	calls caller
}

// NewDanal checks the contract and returns its driver. Redirects are not followed whatever the client says.
func NewDanal(cfg Danal, client *http.Client) (Driver, error) {
	cfg.URL, cfg.WindowURL = orElse(cfg.URL, danalURL), orElse(cfg.WindowURL, danalWindow)
	calls, err := newCaller(client, cfg.Timeout)
	errs := []error{err, base("URL", cfg.URL), base("WindowURL", cfg.WindowURL)}
	if u, err := url.Parse(cfg.SiteURL); err != nil || u.Host == "" {
		errs = append(errs, errors.New("SiteURL is no URL"))
	}
	if cfg.Member == "" || cfg.Password == "" {
		errs = append(errs, errors.New("the Member and its Password are needed"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("agency: Danal: configuration: %w", err)
	}
	return &danal{cfg, calls}, nil
}

func (d *danal) agency() authn.Provider { return theDanal }

func (d *danal) serves(m method.Method) bool { return m == method.Phone }

// send makes one call: a form there, a form back.
func (d *danal) send(ctx context.Context, form url.Values) ([]byte, *failure) {
	form.Set("CHARSET", "UTF-8")
	return d.calls.call(ctx, http.MethodPost, d.cfg.URL, http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}}, []byte(form.Encode()))
}

// order is an ITEMSEND, which makes a transaction.
func (d *danal) order(ctx context.Context, number, target string) (map[string]string, error) {
	answer, failed := d.send(ctx, url.Values{
		"TXTYPE": {"ITEMSEND"}, "SERVICE": {"UAS"}, "AUTHTYPE": {danalType}, "CPID": {d.cfg.Member}, "CPPWD": {d.cfg.Password},
		"TARGETURL": {target}, "CPTITLE": {d.cfg.SiteURL}, "USERID": {""}, "ORDERID": {number},
	})
	if failed != nil {
		return nil, failed.neutral("")
	}
	reply, err := parseDanal(answer)
	code := coded(reply["RETURNCODE"])
	switch {
	case err != nil:
		return nil, &authn.Error{Code: authn.ProviderDown, Err: err}
	case code != danalDone:
		return nil, &authn.Error{Code: authn.BadRequest, Provider: code, Err: errors.New("agency: Danal refuses")}
	case !handed.MatchString(reply["TID"]):
		return nil, refuse(authn.ProviderDown, "Danal's answer holds no transaction")
	}
	return reply, nil
}

// check orders a window that nobody will open: UAS has no call that does less.
func (d *danal) check(ctx context.Context) error {
	_, err := d.order(ctx, "CHECK", d.cfg.SiteURL)
	return err
}

// danalHandle is what the result needs.
type danalHandle struct {
	Transaction string `json:"t"`
}

func (d *danal) begin(ctx context.Context, o order) (opening, error) {
	reply, err := d.order(ctx, o.number, o.returnURL)
	if err != nil {
		return opening{}, err
	}
	return opening{
		window: authn.Destination{URL: d.cfg.WindowURL, Fields: url.Values{
			"TID": {reply["TID"]}, "BackURL": {o.closeURL()}, "IsCharSet": {"UTF-8"},
		}},
		private: danalHandle{reply["TID"]}, life: windowLife,
	}, nil
}

var danalGenders = codes{"1": male, "2": female}

// finish confirms the transaction. Danal compares the order's number with its own, and so do we where the answer
// repeats it. Nationality it does not tell.
func (d *danal) finish(ctx context.Context, o order, private []byte, returned url.Values) (result, error) {
	var h danalHandle
	if json.Unmarshal(private, &h) != nil || h.Transaction == "" {
		return result{}, refuse(authn.BadRequest, "the attempt is not one of Danal's")
	}
	if returned.Get("TID") != h.Transaction {
		return result{}, refuse(authn.BadEvidence, "the browser brought another transaction")
	}
	answer, failed := d.send(ctx, url.Values{
		"TXTYPE": {"CONFIRM"}, "TID": {h.Transaction}, "CONFIRMOPTION": {"1"}, "CPID": {d.cfg.Member}, "ORDERID": {o.number}, "IDENOPTION": {"1"},
	})
	if failed != nil {
		return result{}, failed.oneShot("")
	}
	reply, err := parseDanal(answer)
	code := coded(reply["RETURNCODE"])
	switch {
	case err != nil:
		return result{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	case slices.Contains(d.cfg.Cancelled, code):
		return result{}, &authn.Error{Code: authn.UserCancelled, Provider: code}
	case code != danalDone:
		return result{}, &authn.Error{Code: authn.BadRequest, Provider: code, Err: errors.New("agency: Danal's result is none")}
	case reply["TID"] != h.Transaction:
		return result{}, refuse(authn.BadEvidence, "the result is another transaction's")
	}
	sum := sha256.Sum256(answer)
	return result{
		number: orElse(reply["ORDERID"], o.number), ci: reply["CI"], name: reply["NAME"], birthDate: reply["DOB"],
		gender: danalGenders[reply["SEX"]], phone: reply["PHONE"], digest: hex.EncodeToString(sum[:]),
	}, nil
}

// parseDanal reads an answer: NAME=value pairs with & between them, percent-encoded or not, in UTF-8 or EUC-KR. A
// plus sign stays one in the CI, whose base64 has them, and stands for a space elsewhere.
func parseDanal(answer []byte) (map[string]string, error) {
	out := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSpace(string(answer)), "&") {
		name, value, found := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			continue
		}
		if _, twice := out[name]; twice {
			return nil, errors.New("agency: Danal's answer says something twice")
		}
		unescape := url.QueryUnescape
		if name == "CI" {
			unescape = url.PathUnescape
		}
		decoded, err := unescape(value)
		if err == nil && !utf8.ValidString(decoded) {
			decoded, err = korean.EUCKR.NewDecoder().String(decoded)
		}
		if err != nil {
			return nil, errors.New("agency: Danal's answer is not readable")
		}
		out[name] = strings.TrimSpace(decoded)
	}
	if out["RETURNCODE"] == "" {
		return nil, errors.New("agency: Danal's answer is not readable")
	}
	return out, nil
}
