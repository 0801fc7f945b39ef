package simple

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	maxAnswer    = 64 << 10
	dateFormat   = "2006-01-02T15:04:05Z"
	tokenPath    = "/BAROCERT/Token"
	tokenVersion = "2.0"
	apiVersion   = "2.1"
	tokenMargin  = time.Minute // a session token is renewed this long before it expires
)

// failure is a call that brought no result. It says whether the provider can have acted on it.
type failure struct {
	status int    // of the answer, 0 if there was none
	code   string // the provider's own, "" if it gave none
	unsent bool   // the request never left this machine
	err    error  // what went wrong below HTTP; nil for a refusal
}

func (f *failure) Error() string {
	switch {
	case f.err != nil:
		return "call: " + f.err.Error()
	default:
		return "call: status " + strconv.Itoa(f.status)
	}
}

func (f *failure) Unwrap() error { return f.err }

// session is the token with which the API is called.
type session struct {
	token string
	renew time.Time
}

// call sends one API request and returns the body of its answer of 200. On 401 it fetches a new
// session token and sends the request once more: a refused token has had no effect. Errors are a
// *failure.
func (a *Adapter) call(ctx context.Context, verb, path string, body []byte) ([]byte, error) {
	var refused *session
	for {
		s, err := a.token(ctx, refused)
		if err != nil {
			return nil, err
		}
		answer, err := a.callWith(ctx, s, verb, path, body)
		f, failed := errors.AsType[*failure](err)
		if !failed || f.status != http.StatusUnauthorized || refused != nil {
			return answer, err
		}
		refused = s
	}
}

// callWith sends one API request under a session token.
func (a *Adapter) callWith(ctx context.Context, s *session, verb, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, a.cfg.APIURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{unsent: true, err: err}
	}
	h := req.Header
	h.Set("Authorization", "Bearer "+s.token)
	h.Set("x-bc-version", apiVersion)
	if verb == http.MethodPost {
		date := a.now().UTC().Format(dateFormat)
		target := "POST\n"
		if len(body) > 0 {
			target += digest(body) + "\n"
		}
		h.Set("Content-Type", "application/json; charset=utf8")
		h.Set("x-bc-date", date)
		h.Set("x-bc-encryptionmode", "GCM")
		h.Set("x-bc-auth", a.mac(target+date+"\n"+path+"\n"))
	}
	return a.send(req)
}

// token returns a session token other than the refused one. Its error is a *failure.
func (a *Adapter) token(ctx context.Context, refused *session) (*session, error) {
	s, err := a.session.Get(ctx, func(s *session) bool { return s != refused && a.now().Before(s.renew) }, a.fetchToken)
	if _, told := errors.AsType[*failure](err); err != nil && !told { // the caller has left
		return nil, &failure{unsent: true, err: err}
	}
	return s, err
}

// fetchToken asks the token service for a session token. Its error is a *failure.
func (a *Adapter) fetchToken(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Timeout)
	defer cancel()
	body, err := json.Marshal(struct {
		AccessID string   `json:"access_id"`
		Scope    []string `json:"scope"`
	}{"", a.scopes})
	if err != nil {
		return nil, &failure{unsent: true, err: err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.cfg.AuthURL+tokenPath, bytes.NewReader(body))
	if err != nil {
		return nil, &failure{unsent: true, err: err}
	}
	date := a.now().UTC().Format(dateFormat)
	// "*" lifts the restriction of the token to one address: outbound addresses change.
	const forwarded = "*"
	h := req.Header
	h.Set("Content-Type", "application/json; charset=utf8")
	h.Set("x-lh-date", date)
	h.Set("x-lh-version", tokenVersion)
	h.Set("x-lh-forwarded", forwarded)
	h.Set("Authorization", "LINKHUB "+a.cfg.LinkID+" "+
		a.mac("POST\n"+digest(body)+"\n"+date+"\n"+forwarded+"\n"+tokenVersion+"\n"+tokenPath))
	answer, err := a.send(req)
	if err != nil {
		if f, ok := errors.AsType[*failure](err); ok {
			f.unsent = true // no API request has been sent yet, whatever became of this one
			if f.status >= 400 && f.status < 500 && f.status != http.StatusTooManyRequests {
				f.status = http.StatusForbidden // our credentials, and no new token would help
			}
		}
		return nil, err
	}
	s, err := parseToken(answer, a.now())
	if err != nil {
		return nil, &failure{unsent: true, err: err}
	}
	return s, nil
}

// bearer is what a token may look like in a header (RFC 6750 §2.1).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]+$`)

// parseToken reads the token service's answer.
func parseToken(answer []byte, now time.Time) (*session, error) {
	var out struct {
		SessionToken string    `json:"session_token"`
		Expiration   time.Time `json:"expiration"`
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, errors.New("the token service's answer is not readable")
	}
	left := out.Expiration.Sub(now)
	if !bearer.MatchString(out.SessionToken) || left <= 0 {
		return nil, errors.New("the token service's answer holds no usable token")
	}
	return &session{out.SessionToken, out.Expiration.Add(-min(tokenMargin, left/2))}, nil
}

// send performs the request and returns the body of an answer of 200.
func (a *Adapter) send(req *http.Request) ([]byte, error) {
	// A proof is mostly random in base64: to pack and unpack it takes longer than to send it as it is. The SDKs
	// ask for gzip, so an answer that comes in it all the same is read.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := a.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address, which holds the receipt
		}
		op, ok := errors.AsType[*net.OpError](err)
		return nil, &failure{unsent: ok && op.Op == "dial", err: err}
	}
	defer resp.Body.Close()
	body, err := readAnswer(resp.Body, resp.Header.Get("Content-Encoding"))
	switch {
	case err != nil:
		return nil, &failure{status: resp.StatusCode, err: err}
	case resp.StatusCode != http.StatusOK:
		return nil, &failure{status: resp.StatusCode, code: parseRefusal(body)}
	}
	return body, nil
}

var unzippers = sync.Pool{New: func() any { return new(gzip.Reader) }}

// readAnswer reads an answer of up to maxAnswer bytes, counted again after they are decompressed.
func readAnswer(body io.Reader, encoding string) ([]byte, error) {
	answer, err := readUpTo(body)
	if err != nil || encoding != "gzip" {
		return answer, err
	}
	zr := unzippers.Get().(*gzip.Reader)
	defer unzippers.Put(zr)
	if err := zr.Reset(bytes.NewReader(answer)); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return readUpTo(zr)
}

func readUpTo(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	}
	return b, nil
}

// codeShape keeps everything but numbers out of the logs.
var codeShape = regexp.MustCompile(`^-?[0-9]{1,12}$`)

// parseRefusal returns the code of an error answer, "" if it has none. The message is not kept: it may
// speak of the person.
func parseRefusal(body []byte) string {
	var out struct {
		Code scalar `json:"code"`
	}
	if json.Unmarshal(body, &out) != nil || !codeShape.MatchString(string(out.Code)) {
		return ""
	}
	return string(out.Code)
}

// scalar is a JSON string, number or boolean, as text: providers differ in how they write one field.
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

// mac is the HMAC-SHA256 of target under the secret key, in base64.
func (a *Adapter) mac(target string) string {
	h := hmac.New(sha256.New, a.secret)
	h.Write([]byte(target))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// digest is the SHA-256 of b in base64.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// seal encrypts a personal field: base64 of a random 12-byte IV, the AES-256-GCM ciphertext, its tag.
func (a *Adapter) seal(plain string) string {
	iv := make([]byte, a.aead.NonceSize(), a.aead.NonceSize()+len(plain)+a.aead.Overhead())
	rand.Read(iv)
	return base64.StdEncoding.EncodeToString(a.aead.Seal(iv, iv, []byte(plain), nil))
}

// errField is a personal field whose encryption does not verify.
var errField = errors.New("a personal field does not decrypt")

// open returns a personal field of an answer. The SDKs take the answer's fields as they come, so a
// field may be plain; one that has the form of an encrypted field must decrypt.
func (a *Adapter) open(field string) (string, error) {
	sealed, err := base64.StdEncoding.DecodeString(field)
	if err != nil || len(sealed) <= a.aead.NonceSize()+a.aead.Overhead() {
		return field, nil //nolint:nilerr // what is no base64 is plain
	}
	plain, err := a.aead.Open(nil, sealed[:a.aead.NonceSize()], sealed[a.aead.NonceSize():], nil)
	if err != nil {
		return "", errField
	}
	return string(plain), nil
}
