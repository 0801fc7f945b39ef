package jointcert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/pkg/npki"
)

// maxResolved is the longest answer of the connector, in bytes.
const maxResolved = 4 << 10

// resolver asks the institution's connector to a licensed identity verification agency (본인확인기관), which
// alone may make a CI out of a number. docs/certificates.md has its interface.
type resolver struct {
	url     string // of the resource
	key     string
	timeout time.Duration
	client  *http.Client
}

func newResolver(base, key string, timeout time.Duration, client *http.Client) (*resolver, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("the ResolverURL is not a base URL")
	case u.Scheme == "http" && !loopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the ResolverURL needs https")
	case key == "" || strings.ContainsAny(key, " \t\r\n"):
		return nil, errors.New("the ResolverKey is needed, in one word")
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &resolver{url: strings.TrimRight(base, "/") + "/v1/ci", key: key, timeout: timeout, client: &own}, nil
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ci gives the CI of the person with the number and the name: NumberMismatch where the agency knows no
// such person.
func (r *resolver) ci(ctx context.Context, number []byte, name string) (string, error) {
	quoted, err := json.Marshal(name)
	if err != nil {
		return "", &authn.Error{Code: authn.BadRequest, Err: errors.New("jointcert: resolver: name")}
	}
	// By hand, since encoding/json would leave copies of the number behind.
	const head, middle, tail = `{"resident_number":"`, `","name":`, `}`
	body := slices.Concat([]byte(head), number, []byte(middle), quoted, []byte(tail))
	answer, err := r.call(ctx, http.MethodPost, &passing{left: body, all: body})
	if err != nil {
		return "", err
	}
	defer clear(answer)
	var out struct {
		CI string `json:"ci"`
	}
	if json.Unmarshal(answer, &out) != nil || !npki.ValidCI(out.CI) {
		return "", &authn.Error{Code: authn.ProviderDown, Err: errors.New("jointcert: resolver: the answer is no CI")}
	}
	return out.CI, nil
}

// check asks without a question: the connector that says that GET is no method of this resource is there.
func (r *resolver) check(ctx context.Context) error {
	_, err := r.call(ctx, http.MethodGet, nil)
	if e, ok := errors.AsType[*authn.Error](err); ok && e.Provider == strconv.Itoa(http.StatusMethodNotAllowed) {
		return nil
	}
	return err
}

// call sends one request and reads its answer of 200. The errors hold nothing of either.
func (r *resolver) call(ctx context.Context, verb string, body *passing) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, r.url, nil)
	if err != nil {
		return nil, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+r.key)
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Close = true // a number is sent once, and so not on a connection that may be dead
	if body != nil {
		defer func() { _ = body.Close() }()
		req.Header.Set("Content-Type", "application/json")
		req.Body, req.ContentLength = body, int64(len(body.all))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, &authn.Error{Code: authn.ProviderDown, Err: fmt.Errorf("jointcert: resolver: %w", err)}
	}
	defer func() { _ = resp.Body.Close() }()
	buffer := make([]byte, maxResolved+1)
	n, err := io.ReadFull(resp.Body, buffer)
	answer := buffer[:n]
	code := authn.ProviderDown
	switch status := resp.StatusCode; {
	case status == http.StatusOK && errors.Is(err, io.ErrUnexpectedEOF):
		return answer, nil
	case status == http.StatusNotFound && problem(resp): // and not a wrong address
		code = authn.NumberMismatch
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		code = authn.ProviderAuth
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		code = authn.BadRequest
	}
	clear(answer)
	return nil, &authn.Error{Code: code, Provider: strconv.Itoa(resp.StatusCode), Err: errors.New("jointcert: resolver: refused, or answered with something else")}
}

// problem says that the answer is a problem detail (RFC 9457).
func problem(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/problem+json"
}

// passing is a request body that is wiped when it is closed, which the transport may do late, and the
// caller does for certain.
type passing struct {
	mu   sync.Mutex
	left []byte
	all  []byte
}

// Read implements io.Reader.
func (p *passing) Read(into []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(into, p.left)
	p.left = p.left[n:]
	return n, nil
}

// Close wipes what is left.
func (p *passing) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.all)
	p.left = nil
	return nil
}

var _ io.ReadCloser = (*passing)(nil)
