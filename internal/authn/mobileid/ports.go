package mobileid

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/outbound"
)

// Ports is what only a registered institution has. Errors of all three are an *authn.Error.
type Ports struct {
	Ledger    Ledger
	Profiles  ProfileMaker
	Decrypter Decrypter
}

// Ledger knows what only the permissioned ledger knows.
type Ledger interface {
	// Documents returns the documents of these DIDs with the keys that may sign. One that is unknown is
	// left out.
	Documents(ctx context.Context, dids []string) ([]Document, error)
	// Statuses returns the statuses of the credentials with these ids. One that is unknown is left out.
	Statuses(ctx context.Context, ids []string) ([]Status, error)
}

// Document is a DID document.
type Document struct {
	ID   string
	Keys []Key
}

// Key is a public key of a DID document: an *ecdsa.PublicKey on P-256 or a *secp256k1.PublicKey.
type Key struct {
	ID     string // the document's id, #, and a name
	Public crypto.PublicKey
}

// Status is what the ledger says of a credential.
type Status struct {
	ID     string // of the VC
	Status string // ACTIVE, NEED_RENEW, PAUSE, REVOKE …
	Memo   string
}

// ProfileMaker signs requests. It needs the ledger's definition of the service.
type ProfileMaker interface {
	// MakeProfile returns the signed profile, JSON text.
	MakeProfile(ctx context.Context, p ProfileRequest) ([]byte, error)
}

// ProfileRequest is what a profile is to hold.
type ProfileRequest struct {
	Service  string // svcCode
	Nonce    string // 64 hex digits
	Callback string // where the presentation is to go
	Code     string // the number to match, two digits
}

// Decrypter opens what a wallet has encrypted to the institution.
type Decrypter interface {
	// Decrypt returns the plain text of a container, or an error that wraps ErrUndecryptable.
	Decrypt(ctx context.Context, c Container) ([]byte, error)
}

// Container is an encrypted presentation.
type Container struct {
	Key         string // which private key, as configured
	KeyType     int
	EncryptType int
	Data        string // hex
}

// ErrUndecryptable says that a container is not encrypted to us.
var ErrUndecryptable = errors.New("mobileid: the data does not decrypt")

// Sidecar reaches an institution's licensed verifier over HTTP, as docs/mobile-id.md defines it. It is all
// three ports; an institution that has them in three places makes three.
type Sidecar struct {
	base, key string
	client    *http.Client
	timeout   time.Duration
}

var (
	_ Ledger       = (*Sidecar)(nil)
	_ ProfileMaker = (*Sidecar)(nil)
	_ Decrypter    = (*Sidecar)(nil)
)

const (
	defaultPortTimeout = 3 * time.Second
	maxPortAnswer      = 512 << 10
	maxDocumentKeys    = 64
)

// bearer is what a key may look like in a header (RFC 6750 §2.1).
var bearer = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]{16,512}$`)

// NewSidecar returns the port at a base URL, which takes the key. A timeout of 0 means 3 seconds.
func NewSidecar(base, key string, timeout time.Duration, client *http.Client) (*Sidecar, error) {
	base = strings.TrimRight(base, "/")
	if err := checkURL("the port's URL", base); err != nil {
		return nil, fmt.Errorf("mobileid: %w", err)
	}
	if !bearer.MatchString(key) {
		return nil, errors.New("mobileid: a port's key has 16 to 512 letters, digits and -._~+/=")
	}
	if timeout < 0 || client == nil {
		return nil, errors.New("mobileid: a port needs an HTTP client, and a timeout above zero")
	}
	if timeout == 0 {
		timeout = defaultPortTimeout
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Sidecar{base: base, key: key, client: &own, timeout: timeout}, nil
}

// Check asks whether the port works.
func (s *Sidecar) Check(ctx context.Context) error {
	_, err := s.send(ctx, http.MethodGet, "/health", nil)
	return err
}

// Documents implements Ledger.
func (s *Sidecar) Documents(ctx context.Context, dids []string) ([]Document, error) {
	answer, err := s.ask(ctx, "/documents", struct {
		IDs []string `json:"ids"`
	}{dids})
	if err != nil {
		return nil, err
	}
	documents, err := parseDocuments(answer)
	if err != nil {
		return nil, unreadable(err)
	}
	return documents, nil
}

// Statuses implements Ledger.
func (s *Sidecar) Statuses(ctx context.Context, ids []string) ([]Status, error) {
	answer, err := s.ask(ctx, "/statuses", struct {
		IDs []string `json:"ids"`
	}{ids})
	if err != nil {
		return nil, err
	}
	statuses, err := parseStatuses(answer)
	if err != nil {
		return nil, unreadable(err)
	}
	return statuses, nil
}

// MakeProfile implements ProfileMaker.
func (s *Sidecar) MakeProfile(ctx context.Context, p ProfileRequest) ([]byte, error) {
	answer, err := s.ask(ctx, "/profile", struct {
		Service  string `json:"service"`
		Nonce    string `json:"nonce"`
		Callback string `json:"callback"`
		Code     string `json:"code"`
	}{p.Service, p.Nonce, p.Callback, p.Code})
	if err != nil {
		return nil, err
	}
	return bytesIn(answer, "profile")
}

// Decrypt implements Decrypter.
func (s *Sidecar) Decrypt(ctx context.Context, c Container) ([]byte, error) {
	answer, err := s.ask(ctx, "/decrypt", struct {
		Key         string `json:"key"`
		KeyType     int    `json:"key_type"`
		EncryptType int    `json:"encrypt_type"`
		Data        string `json:"data"`
	}{c.Key, c.KeyType, c.EncryptType, c.Data})
	if e, ok := errors.AsType[*authn.Error](err); ok && e.Provider == "422" {
		return nil, &authn.Error{Code: authn.BadEvidence, Provider: e.Provider, Err: ErrUndecryptable}
	}
	if err != nil {
		return nil, err
	}
	return bytesIn(answer, "data")
}

// ask sends one question, and reads its answer.
func (s *Sidecar) ask(ctx context.Context, path string, question any) (object, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	answer, err := s.send(ctx, http.MethodPost, path, body)
	if err != nil {
		return nil, err
	}
	o, err := parseObject(answer)
	if err != nil {
		return nil, unreadable(err)
	}
	return o, nil
}

func (s *Sidecar) send(ctx context.Context, verb, path string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, verb, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	status, answer, err := do(s.client, req, maxPortAnswer)
	switch {
	case err != nil:
		return nil, &authn.Error{Code: authn.ProviderDown, Err: fmt.Errorf("mobileid: port %s: %w", path, err)}
	case status == http.StatusOK:
		return answer, nil
	}
	out := &authn.Error{Code: authn.ProviderDown, Provider: fmt.Sprint(status), Err: fmt.Errorf("mobileid: port %s refuses", path)}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		out.Code = authn.ProviderAuth
	case http.StatusBadRequest:
		out.Code = authn.BadRequest
	}
	return nil, out
}

// do sends a request and reads an answer of up to limit bytes.
func do(client *http.Client, req *http.Request, limit int64) (status int, body []byte, err error) {
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the address
		}
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = outbound.ReadAll(resp, limit)
	return resp.StatusCode, body, err
}

func unreadable(err error) *authn.Error {
	return &authn.Error{Code: authn.ProviderDown, Err: fmt.Errorf("mobileid: a port's answer: %w", err)}
}

// bytesIn returns a member of an answer that is base64url.
func bytesIn(answer object, name string) ([]byte, error) {
	text, _ := answer.text(name)
	raw, err := strictBase64(text)
	if err != nil || len(raw) == 0 {
		return nil, unreadable(fmt.Errorf("%s is not base64url", name))
	}
	return raw, nil
}

// parseDocuments reads a ledger's answer about documents.
func parseDocuments(answer object) ([]Document, error) {
	list, ok := answer.objects("documents")
	if !ok {
		return nil, errors.New("no list of documents")
	}
	documents := make([]Document, 0, len(list))
	for _, d := range list {
		id, _ := d.text("id")
		keys, ok := d.objects("keys")
		if id == "" || !ok || len(keys) > maxDocumentKeys {
			return nil, errors.New("a document without id or keys, or with too many")
		}
		document := Document{ID: id}
		for _, k := range keys {
			key, err := parseKey(id, k)
			if err != nil {
				return nil, err
			}
			document.Keys = append(document.Keys, key)
		}
		documents = append(documents, document)
	}
	return documents, nil
}

func parseKey(did string, k object) (Key, error) {
	id, _ := k.text("id")
	curve, _ := k.text("curve")
	text, _ := k.text("point")
	if name, ours := strings.CutPrefix(id, did+"#"); !ours || name == "" {
		return Key{}, errors.New("a key whose id does not begin with its document's")
	}
	point, err := strictBase64(text)
	if err != nil {
		return Key{}, errors.New("a key that is not base64url")
	}
	public, err := ParsePoint(curve, point)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, Public: public}, nil
}

// parseStatuses reads a ledger's answer about statuses.
func parseStatuses(answer object) ([]Status, error) {
	list, ok := answer.objects("statuses")
	if !ok {
		return nil, errors.New("no list of statuses")
	}
	statuses := make([]Status, 0, len(list))
	for _, s := range list {
		id, _ := s.text("id")
		status, _ := s.text("status")
		memo, _ := s.text("memo")
		if id == "" || status == "" {
			return nil, errors.New("a status without id or value")
		}
		statuses = append(statuses, Status{ID: id, Status: status, Memo: memo})
	}
	return statuses, nil
}

// strictBase64 decodes base64url without padding, as an encoder writes it.
func strictBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
