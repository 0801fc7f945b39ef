// Package yeskey asks KFTC's certificate service (yeskey) who holds a certificate of yessign, financial or
// joint: UCPID over REST. The citizen has signed the question; the service answers with the CI, which it
// has without any resident registration number of ours.
//
// The interface is KFTC's as far as it is public. What that leaves open is said where it is decided.
package yeskey

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/pkg/npki"
)

// Config is an institution's account.
type Config struct {
	// URL is the base of the service, such as "https://certapi.yeskey.or.kr". Plain http is taken for
	// loopback hosts only.
	URL string
	// ClientID and ClientSecret identify the institution, ServerID its server.
	ClientID, ClientSecret, ServerID string
	// CPCode is the institution's code for DI, 12 characters.
	CPCode string
	// Male is which of "0" and "1" stands for a man, which KFTC does not say in public. Empty: the gender is
	// left out.
	Male string
	// Timeout bounds each HTTP call; 0 means 5 seconds.
	Timeout time.Duration
}

// Client asks the service. It is safe for concurrent use and keeps nothing but the access token.
type Client struct {
	cfg  Config
	http *http.Client
	now  func() time.Time
	held batch.Held[token]
}

var (
	_ certificate.UCPIDClient = (*Client)(nil)
	_ authn.Checker           = (*Client)(nil)
)

const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 64 << 10
	tokenPath      = "/oauth/2.0/api/token"
	personPath     = "/v1/ucpid/ucpid-info"
	tokenMargin    = time.Minute // a token is renewed this long before it expires
	maxTokenLife   = 365 * 24 * time.Hour
	wireDate       = "20060102"
)

// The service's codes that a client acts on.
const (
	codeTokenRefused = "900101"
	codeTokenExpired = "900102"
	refusalPrefix    = "9004" // what was sent is refused
)

// New checks the account and returns its client. Redirects are not followed whatever the HTTP client says.
// now is the clock; nil means time.Now.
func New(cfg Config, client *http.Client, now func() time.Time) (*Client, error) {
	if client == nil {
		return nil, errors.New("yeskey: an HTTP client is needed")
	}
	if now == nil {
		now = time.Now
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("yeskey: configuration: %w", err)
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{cfg: cfg, http: &own, now: now}, nil
}

// header is what may stand in a header field.
var header = regexp.MustCompile(`^[\x21-\x7e]+$`)

func (c Config) check() error {
	var errs []error
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		errs = append(errs, errors.New("URL is not a base URL"))
	case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		errs = append(errs, errors.New("URL needs https"))
	}
	if !header.MatchString(c.ClientID) || c.ClientSecret == "" || c.ServerID == "" {
		errs = append(errs, errors.New("ClientID, ClientSecret and ServerID are needed"))
	}
	if len(c.CPCode) != 12 {
		errs = append(errs, errors.New("CPCode has not 12 characters"))
	}
	if c.Male != "" && c.Male != "0" && c.Male != "1" {
		errs = append(errs, errors.New(`the value of Male is neither "0" nor "1"`))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("the Timeout is negative"))
	}
	return errors.Join(errs...)
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// token is the right to call.
type token struct {
	text  string
	renew time.Time
}

// Check implements authn.Checker: the service answers and gives us a token.
func (c *Client) Check(ctx context.Context) error {
	if _, err := c.fetch(ctx, false); err != nil {
		return err
	}
	return nil
}

// Person implements certificate.UCPIDClient. Where the service says that the token has expired, another is
// fetched and the question asked once more.
func (c *Client) Person(ctx context.Context, ucpid string, nonce []byte) (certificate.UCPIDPerson, error) {
	body, err := json.Marshal(struct {
		Signed string `json:"ucpid_request_info"`
		CPCode string `json:"cp_code"`
		Nonce  string `json:"ucpid_nonce"`
	}{ucpid, c.cfg.CPCode, hex.EncodeToString(nonce)})
	if err != nil {
		return certificate.UCPIDPerson{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	t, err := c.token(ctx, nil)
	if err != nil {
		return certificate.UCPIDPerson{}, err
	}
	answer, err := c.ask(ctx, t, body)
	if e, ok := errors.AsType[*authn.Error](err); ok && e.Provider == codeTokenExpired {
		if t, err = c.token(ctx, t); err != nil {
			return certificate.UCPIDPerson{}, err
		}
		answer, err = c.ask(ctx, t, body)
	}
	if err != nil {
		return certificate.UCPIDPerson{}, err
	}
	return c.person(answer), nil
}

// person translates what the service says.
func (c *Client) person(a *npki.UCPIDResponse) certificate.UCPIDPerson {
	p := certificate.UCPIDPerson{DN: a.DN, CI: a.CI, CI2: a.CI2, DI: a.DI, RealName: a.RealName}
	if c.cfg.Male != "" && a.Gender != "" {
		p.Gender = "female"
		if a.Gender == c.cfg.Male {
			p.Gender = "male"
		}
	}
	switch a.National {
	case "0":
		p.National = "domestic"
	case "1":
		p.National = "foreign"
	}
	if born, err := time.Parse(wireDate, a.BirthDate); err == nil {
		p.BirthDate = born.Format(time.DateOnly)
	}
	return p
}

// ask puts the question under a token.
func (c *Client) ask(ctx context.Context, t *token, body []byte) (*npki.UCPIDResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL+personPath, bytes.NewReader(body))
	if err != nil {
		return nil, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "bearer "+t.text)
	answer, err := c.send(req)
	if err != nil {
		return nil, err
	}
	person, err := npki.ParseUCPIDResponse(answer)
	if err != nil {
		return nil, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	return person, nil
}

// token returns a token that is not the refused one. Its error is an *authn.Error.
func (c *Client) token(ctx context.Context, refused *token) (*token, error) {
	good := func(t *token) bool { return t != refused && c.now().Before(t.renew) }
	t, err := c.held.Get(ctx, good, func(ctx context.Context) (*token, error) {
		t, err := c.fetch(ctx, false)
		// The service gives out the token that it holds to be good. Another is asked for only if that is the
		// one it has just refused: a new one ends those of our other instances.
		if err == nil && refused != nil && t.text == refused.text {
			t, err = c.fetch(ctx, true)
		}
		return t, err
	})
	if _, told := errors.AsType[*authn.Error](err); err != nil && !told { // the caller has left
		return nil, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	return t, err
}

// fetch asks for a token.
func (c *Client) fetch(ctx context.Context, reissue bool) (*token, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	form := url.Values{
		"client_secret": {c.cfg.ClientSecret}, "server_id": {c.cfg.ServerID}, "scope": {"ucpid"},
		"grant_type": {"client_credentials"}, "reissue": {"n"},
	}
	if reissue {
		form.Set("reissue", "y")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.URL+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header["client_id"] = []string{c.cfg.ClientID} // as KFTC writes it
	answer, err := c.send(req)
	if err != nil {
		if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.BadEvidence {
			e.Code = authn.ProviderAuth // our account is what it refuses
		}
		return nil, err
	}
	return readToken(answer, c.now())
}

// bearer is what a token may look like in a header (RFC 6750 §2.1).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]+$`)

// readToken reads the token service's answer.
func readToken(answer []byte, now time.Time) (*token, error) {
	var in struct {
		Token   string      `json:"access_token"`
		Type    string      `json:"token_type"`
		Expires json.Number `json:"expires_in"` // in seconds; a string in some of KFTC's examples
	}
	err := json.Unmarshal(answer, &in)
	seconds, numberErr := in.Expires.Int64()
	if err != nil || numberErr != nil || seconds <= 0 || !strings.EqualFold(in.Type, "bearer") || !bearer.MatchString(in.Token) {
		return nil, &authn.Error{Code: authn.ProviderDown, Err: errors.New("yeskey: the answer holds no usable token")}
	}
	left := min(time.Duration(min(seconds, int64(maxTokenLife/time.Second)))*time.Second, maxTokenLife)
	return &token{in.Token, now.Add(left - min(tokenMargin, left/2))}, nil
}

// send performs the request and returns the body of an answer of 200 that reports no error. Errors are an
// *authn.Error; none holds anything of the body but the service's own code.
func (c *Client) send(req *http.Request) ([]byte, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return nil, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	defer resp.Body.Close()
	body, err := outbound.ReadAll(resp, maxAnswer)
	if err != nil {
		return nil, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	code := refusal(body)
	out := &authn.Error{Provider: code, Err: fmt.Errorf("yeskey: status %d", resp.StatusCode)}
	switch {
	case code == codeTokenRefused || code == codeTokenExpired:
		out.Code = authn.ProviderAuth
	case strings.HasPrefix(code, refusalPrefix):
		out.Code = authn.BadEvidence
	case resp.StatusCode == http.StatusOK && code == "":
		return body, nil
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		out.Code = authn.ProviderAuth
	case resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests:
		out.Code = authn.BadRequest
	default:
		out.Code = authn.ProviderDown
	}
	return nil, out
}

// codeShape keeps everything but codes out of the logs.
var codeShape = regexp.MustCompile(`^[A-Za-z0-9-]{1,12}$`)

// refusal returns the code of an error answer, "" if it has none. The message is not kept: it may speak of
// the person.
func refusal(body []byte) string {
	var in struct {
		Code any `json:"err_code"` // a string, or a number
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&in) != nil || in.Code == nil {
		return ""
	}
	code := fmt.Sprint(in.Code)
	switch {
	case code == "":
		return ""
	case !codeShape.MatchString(code):
		return "unreadable"
	}
	return code
}
