package oid4vp

import (
	"crypto"
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// Limits of what comes from a wallet.
const (
	// MaxResponse is how long the body of an answer may be, in bytes. The caller should read no more than one byte
	// beyond it.
	MaxResponse = 1 << 20
	// MaxPresentation is how long one presentation may be, in bytes. A portrait has some 30 KB.
	MaxPresentation = 256 << 10
)

// A Response is what a wallet has posted to a response_uri, not yet opened (OpenID4VP §8).
type Response struct {
	form map[string]string
}

// ParseResponse reads the body of a POST to a response_uri. The codes of its errors are ErrMalformed and ErrTooLarge.
func ParseResponse(contentType string, body []byte) (*Response, error) {
	form, err := parseForm(contentType, body, MaxResponse)
	if err != nil {
		return nil, err
	}
	r := &Response{form: form}
	kinds := 0
	for _, name := range []string{"response", "vp_token", "error"} {
		if r.has(name) {
			kinds++
		}
	}
	if kinds != 1 {
		return nil, Fail(ErrMalformed, "answer: not exactly one of response, vp_token and error")
	}
	return r, nil
}

// State is the state outside of an encryption, which tells the request if its address does not. It is empty in most
// encrypted answers.
func (r *Response) State() string { return r.form["state"] }

func (r *Response) has(name string) bool { _, ok := r.form[name]; return ok }

// parseForm reads application/x-www-form-urlencoded without doubled names.
func parseForm(contentType string, body []byte, limit int) (map[string]string, error) {
	if len(body) > limit {
		return nil, Fail(ErrTooLarge, "form")
	}
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, Fail(ErrMalformed, "form: content type")
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, Fail(ErrMalformed, "form")
	}
	out := make(map[string]string, len(values))
	for name, list := range values {
		if len(list) != 1 {
			return nil, Fail(ErrMalformed, "form: a parameter twice")
		}
		out[name] = list[0]
	}
	return out, nil
}

// A WalletError is the answer of a wallet that presents nothing (OpenID4VP §8.5). It ends the transaction, and the
// wallet gets the answer of Accepted.
type WalletError struct {
	Code        string // such as access_denied; "invalid" if it is none
	Description string // printable ASCII; empty if it is something else. The wallet's words: never a reason to trust
}

func (e *WalletError) Error() string { return "oid4vp: the wallet answered " + e.Code }

// opened is an answer in the clear.
type opened struct {
	token      map[string][]string
	thumbprint []byte // of the key that it was encrypted to
}

// open decrypts, where that was asked for, compares the state, and reads vp_token.
func (r *Response) open(request *Request) (*opened, error) {
	if state, ok := r.form["state"]; ok && !same(state, request.State) {
		return nil, Fail(ErrState, "answer")
	}
	if code, ok := r.form["error"]; ok { // may come unencrypted (OpenID4VP §8.3)
		if r.State() == "" {
			return nil, Fail(ErrState, "answer: error without state")
		}
		return nil, walletError(code, r.form["error_description"])
	}
	if request.Mode == DirectPost {
		if !r.has("vp_token") {
			return nil, Fail(ErrMalformed, "answer: encrypted, though a clear one was asked for")
		}
		if r.State() == "" {
			return nil, Fail(ErrState, "answer: no state")
		}
		object, err := strict.Object([]byte(r.form["vp_token"]))
		if err != nil {
			return nil, Because(codeOf(err), "vp_token", err)
		}
		token, err := readToken(object)
		if err != nil {
			return nil, err
		}
		return &opened{token: token}, nil
	}
	if !r.has("response") {
		return nil, Fail(ErrMalformed, "answer: not encrypted")
	}
	payload, thumbprint, err := decrypt(r.form["response"], request)
	if err != nil {
		return nil, err
	}
	if state, _ := payload["state"].(string); !same(state, request.State) {
		return nil, Fail(ErrState, "encrypted answer")
	}
	if code, ok := payload["error"]; ok {
		if _, ok := payload["vp_token"]; ok {
			return nil, Fail(ErrMalformed, "encrypted answer: error and vp_token")
		}
		code, _ := code.(string)
		description, _ := payload["error_description"].(string)
		return nil, walletError(code, description)
	}
	object, ok := payload["vp_token"].(map[string]any)
	if !ok {
		return nil, Fail(ErrMalformed, "encrypted answer: vp_token")
	}
	token, err := readToken(object)
	if err != nil {
		return nil, err
	}
	return &opened{token: token, thumbprint: thumbprint}, nil
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// decrypt opens a JWE to the key of the request (OpenID4VP §8.3): ECDH-ES, one of the two encryptions, this kid, and
// no compression.
func decrypt(text string, request *Request) (map[string]any, []byte, error) {
	key, err := request.key()
	if err != nil {
		return nil, nil, err
	}
	if key == nil {
		return nil, nil, Fail(ErrInput, "request: no key")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 5 {
		return nil, nil, Fail(ErrMalformed, "answer: not a compact JWE")
	}
	for _, part := range parts {
		if !strict.IsBase64(part) {
			return nil, nil, Because(ErrMalformed, "answer: JWE", strict.ErrBase64)
		}
	}
	protected, _ := strict.Base64(parts[0])
	header, err := strict.Object(protected)
	if err != nil {
		return nil, nil, Because(codeOf(err), "answer: JWE header", err)
	}
	if header["alg"] != string(jose.ECDH_ES) ||
		header["enc"] != string(jose.A128GCM) && header["enc"] != string(jose.A256GCM) {
		return nil, nil, Fail(ErrUnsupported, "answer: alg or enc of the JWE")
	}
	for _, name := range []string{"zip", "crit"} {
		if _, ok := header[name]; ok {
			return nil, nil, Fail(ErrUnsupported, "answer: "+name+" of the JWE")
		}
	}
	if header["kid"] != key.KeyID {
		return nil, nil, Fail(ErrDecrypt, "answer: kid of the JWE")
	}
	jwe, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.ECDH_ES}, contentEncryptions)
	if err != nil {
		return nil, nil, Fail(ErrMalformed, "answer: JWE")
	}
	plain, err := jwe.Decrypt(key.Key)
	if err != nil {
		return nil, nil, Fail(ErrDecrypt, "answer")
	}
	payload, err := strict.Object(plain)
	if err != nil {
		return nil, nil, Because(codeOf(err), "encrypted answer", err)
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, nil, Because(ErrInput, "request: key", err)
	}
	return payload, thumbprint, nil
}

// readToken reads vp_token: an object of arrays of presentations, none of them empty (OpenID4VP §8.1).
func readToken(object map[string]any) (map[string][]string, error) {
	out := make(map[string][]string, len(object))
	count := 0
	for id, value := range object {
		list, ok := value.([]any)
		if !ok || len(list) == 0 {
			return nil, Fail(ErrMalformed, "vp_token: not an array of presentations")
		}
		if count += len(list); count > maxCredentials {
			return nil, Fail(ErrTooLarge, "vp_token: number of presentations")
		}
		for _, element := range list {
			text, ok := element.(string)
			if !ok || text == "" {
				return nil, Fail(ErrMalformed, "vp_token: a presentation that is no string")
			}
			if len(text) > MaxPresentation {
				return nil, Fail(ErrTooLarge, "vp_token: presentation")
			}
			out[id] = append(out[id], text)
		}
	}
	return out, nil
}

func walletError(code, description string) error {
	if !isID(code) {
		code = "invalid"
	}
	for _, c := range []byte(description) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' { // RFC 6749 §5.2
			description = ""
			break
		}
	}
	if len(description) > 256 {
		description = ""
	}
	return &WalletError{Code: code, Description: description}
}

// Accepted is the JSON body, application/json, that answers a wallet whose answer was taken, errors of its own too
// (OpenID4VP §8.2), to be sent with status 200 and Cache-Control: no-store. The redirect URI brings the holder back on
// the same device, with a fresh response_code in it; on another device it is empty. The code of its error is
// ErrInput, for a URI that is not an absolute https one (http on the loopback only); it may have a fragment.
func Accepted(redirectURI string) ([]byte, error) {
	if redirectURI == "" {
		return []byte("{}"), nil
	}
	if base, _, _ := strings.Cut(redirectURI, "#"); !strict.WebURL(base) {
		return nil, Fail(ErrInput, "redirect_uri")
	}
	return json.Marshal(map[string]string{"redirect_uri": redirectURI})
}
