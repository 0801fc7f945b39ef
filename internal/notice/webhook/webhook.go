// Package webhook hands notices to an institution's own messaging system over HTTP. A message is posted as JSON
// (notice.Message) with two headers:
//
//	Idempotency-Key: <Message.ID>                the same at every try
//	Anyid-Signature: t=<unix>,v1=<signature>     when it was sent, in seconds, and the signature
//
// The signature is the HMAC-SHA-256 of "<unix>.<body>" under the shared secret, in lower-case hex. A receiver compares
// it in constant time, refuses an old t (five minutes are usual), and keeps the key to tell repeats.
//
// A status of 2xx says that the message is taken. 408, 429, 5xx and redirects are tried again; every other status
// refuses the message for good.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
)

// Config says where messages go.
type Config struct {
	URL    string       // https, or http on a loopback host
	Secret string       // signs messages; not empty
	Client *http.Client // should follow no redirect, as outbound.Client
	Now    func() time.Time
}

// Port is a notice.Port.
type Port struct{ c Config }

var _ notice.Port = (*Port)(nil)

// New returns a port, or an error that says what is wrong with the config.
func New(c Config) (*Port, error) {
	if err := checkURL(c.URL); err != nil {
		return nil, err
	}
	if c.Secret == "" {
		return nil, errors.New("webhook: the secret is empty")
	}
	return &Port{c}, nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("webhook: the URL is not one to post to")
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback(u.Hostname()):
	default:
		return errors.New("webhook: the URL is neither https nor http on a loopback host")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxAnswer is how much of an answer is read, so that its connection serves again.
const maxAnswer = 4 << 10

// Send implements notice.Port.
func (p *Port) Send(ctx context.Context, m notice.Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return outbox.Permanent("malformed", errors.New("webhook: the message does not encode"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.c.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Any-ID")
	req.Header.Set("Idempotency-Key", m.ID)
	req.Header.Set("Anyid-Signature", sign(p.c.Secret, p.c.Now(), body))
	resp, err := p.c.Client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || timedOut(err) {
			return outbox.Temporary("timeout", fmt.Errorf("webhook: %w", err))
		}
		return outbox.Temporary("unreachable", fmt.Errorf("webhook: %w", err))
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	switch status := resp.StatusCode; {
	case status/100 == 2:
		return nil
	case status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		return outbox.Permanent(code(status), errors.New("webhook: refused"))
	default:
		return outbox.Temporary(code(status), errors.New("webhook: not taken"))
	}
}

func code(status int) string { return "status_" + strconv.Itoa(status) }

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// sign returns the header's value.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(t + "."))
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
