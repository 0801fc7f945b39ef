package agency

import (
	"bytes"
	"context"
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
	"github.com/anyid/anyid/internal/batch"
	"github.com/anyid/anyid/internal/outbound"
)

const (
	maxAnswer      = 64 << 10
	defaultTimeout = 5 * time.Second
)

// caller makes the calls to an agency.
type caller struct {
	client  *http.Client
	timeout time.Duration
}

func newCaller(client *http.Client, timeout time.Duration) (caller, error) {
	switch {
	case client == nil:
		return caller{}, errors.New("an HTTP client is needed")
	case timeout < 0:
		return caller{}, errors.New("the Timeout is negative")
	case timeout == 0:
		timeout = defaultTimeout
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // no answer is one
	return caller{&own, timeout}, nil
}

// failure is a call that brought no answer of 200. It says whether the agency can have acted on it.
type failure struct {
	status int  // of the answer, 0 if there was none
	unsent bool // the request never left this machine
	body   []byte
	err    error
}

func (f *failure) Error() string {
	if f.err != nil {
		return "agency: call: " + f.err.Error()
	}
	return fmt.Sprintf("agency: call: status %d", f.status)
}

func (f *failure) Unwrap() error { return f.err }

// call sends a request and returns the body of its answer of 200. Errors are a *failure.
func (c caller) call(ctx context.Context, verb, address string, header http.Header, body []byte) ([]byte, *failure) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, address, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{unsent: true, err: errors.New("the address is no URL")}
	}
	req.Header = header
	resp, err := c.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		op, ok := errors.AsType[*net.OpError](err)
		return nil, &failure{unsent: ok && op.Op == "dial", err: err}
	}
	defer resp.Body.Close()
	answer, err := outbound.ReadAll(resp, maxAnswer)
	switch {
	case err != nil:
		return nil, &failure{status: resp.StatusCode, err: err}
	case resp.StatusCode != http.StatusOK:
		return nil, &failure{status: resp.StatusCode, body: answer}
	}
	return answer, nil
}

// neutral translates a failed call that handed nothing out.
func (f *failure) neutral(code string) *authn.Error {
	out := &authn.Error{Code: authn.BadRequest, Provider: code, Err: f}
	switch {
	case f.status == http.StatusUnauthorized || f.status == http.StatusForbidden:
		out.Code = authn.ProviderAuth
	case f.status < 400, f.status == http.StatusTooManyRequests, f.status >= 500, f.err != nil:
		out.Code = authn.ProviderDown
	}
	return out
}

// oneShot translates a failed call that may have handed a result out behind the failure: no answer, or a
// gateway's.
func (f *failure) oneShot(code string) *authn.Error {
	out := f.neutral(code)
	if out.Code == authn.ProviderDown && !f.unsent && f.status != http.StatusTooManyRequests {
		out.Code = authn.Indeterminate
	}
	return out
}

// codeShape keeps everything but codes out of the logs.
var codeShape = regexp.MustCompile(`^[A-Za-z0-9_-]{1,16}$`)

// coded returns an agency's code as it may be logged.
func coded(code string) string {
	if code == "" || codeShape.MatchString(code) {
		return code
	}
	return "unreadable"
}

// scalar is a JSON string, number or boolean, as text: agencies differ in how they write one field.
type scalar string

// UnmarshalJSON implements json.Unmarshaler.
func (s *scalar) UnmarshalJSON(data []byte) error {
	switch {
	case data[0] == '"':
		return json.Unmarshal(data, (*string)(s))
	case data[0] == '{' || data[0] == '[':
		return errors.New("neither string, number nor boolean")
	case string(data) == "null":
		return nil
	}
	*s = scalar(data)
	return nil
}

// token is the right to call an agency.
type token struct {
	text       string
	renew      time.Time
	ticket     string // what results are encrypted under; NICE only
	iterations int
}

// tokens holds the token that serves all calls.
type tokens struct {
	fetch func(context.Context) (*token, error) // errors are an *authn.Error
	now   func() time.Time
	held  batch.Held[token]
}

// get returns a token other than the refused one. Its error is an *authn.Error.
func (t *tokens) get(ctx context.Context, refused string) (*token, error) {
	held, err := t.held.Get(ctx, func(held *token) bool { return held.text != refused && t.now().Before(held.renew) }, t.fetch)
	if _, told := errors.AsType[*authn.Error](err); err != nil && !told { // the caller has left
		return nil, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	return held, err
}

// bearer is what a token may look like in a header (RFC 6750 §2.1).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]+$`)

// handed is what an agency gives us to hand on: transaction ids, tickets, tokens of a window.
var handed = regexp.MustCompile(`^[\x21-\x7e]{1,1000}$`)

// base checks the base URL of an agency, or the address of its window: https, or http on a loopback host.
func base(name, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%s is not a base URL", name)
	case !secure(u):
		return fmt.Errorf("%s needs https", name)
	}
	return nil
}

// secure reports whether the URL is https, or http on this machine.
func secure(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback())
}
