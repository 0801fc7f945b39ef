package oid4vp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josecipher "github.com/go-jose/go-jose/v4/cipher"
)

const formType = "application/x-www-form-urlencoded"

var now = time.Date(2026, time.November, 22, 9, 0, 0, 0, time.UTC)

// echo is a format whose presentations are JSON objects of claims. It is for what Verifier does itself.
type echo struct {
	format string
	seen   *Binding // the last one
}

func (e echo) Format() string { return e.format }
func (e echo) Metadata() any  { return map[string]any{"alg_values": []string{"ES256"}} }

func (e echo) Verify(_ context.Context, presentation string, query *CredentialQuery, binding Binding) (*Credential, error) {
	if e.seen != nil {
		*e.seen = binding
	}
	if presentation == "bad" {
		return nil, Fail(ErrSignature, query.ID)
	}
	c := &Credential{Format: e.format}
	if err := json.Unmarshal([]byte(presentation), &c.Claims); err != nil {
		return nil, Because(ErrMalformed, "echo", err)
	}
	if uri, ok := c.Claims["status"].(string); ok {
		c.Status = &StatusReference{URI: uri}
	}
	return c, nil
}

// revoked knows which lists have one revoked credential.
type revoked map[string]bool

func (r revoked) CheckStatus(_ context.Context, reference StatusReference, _ time.Time) error {
	if r[reference.URI] {
		return Fail(ErrRevoked, reference.URI)
	}
	return nil
}

func testQuery() Query {
	no := false
	return Query{
		Credentials: []CredentialQuery{
			{ID: "one", Format: FormatSDJWT, Meta: Meta{VCTValues: []string{"v"}}, Claims: []ClaimQuery{{Path: Path{"name"}}}},
			{ID: "many", Format: FormatSDJWT, Multiple: true, Meta: Meta{VCTValues: []string{"v"}}},
		},
		CredentialSets: []CredentialSet{{Options: [][]string{{"one"}}}, {Options: [][]string{{"many"}}, Required: &no}},
	}
}

func newRequest(tb testing.TB, v *Verifier, mode ResponseMode) *Request {
	tb.Helper()
	r, err := v.NewRequest(RequestOptions{Query: testQuery(), ResponseURI: "https://op.example/r/1", Mode: mode, State: "the-state", Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// encrypt is what a wallet does, with changes to the header.
func encrypt(tb testing.TB, r *Request, payload string, change func(*jose.Recipient, *jose.ContentEncryption, *jose.EncrypterOptions)) string {
	tb.Helper()
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(r.Key); err != nil {
		tb.Fatal(err)
	}
	recipient := jose.Recipient{Algorithm: jose.ECDH_ES, Key: key.Public().Key, KeyID: key.KeyID}
	content, options := jose.A128GCM, &jose.EncrypterOptions{}
	if change != nil {
		change(&recipient, &content, options)
	}
	encrypter, err := jose.NewEncrypter(content, recipient, options)
	if err != nil {
		tb.Fatal(err)
	}
	jwe, err := encrypter.Encrypt([]byte(payload))
	if err != nil {
		tb.Fatal(err)
	}
	text, err := jwe.CompactSerialize()
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func form(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

func answer(v *Verifier, r *Request, body string) (*Result, error) {
	response, err := ParseResponse(formType, []byte(body))
	if err != nil {
		return nil, err
	}
	return v.Verify(context.Background(), r, response, now)
}

const one = `{"one":["{\"name\":\"x\"}"]}`

func TestVerifyAnswer(t *testing.T) {
	t.Parallel()
	seen := new(Binding)
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{FormatSDJWT, seen}}, Status: revoked{}}
	r := newRequest(t, v, DirectPost)
	result, err := answer(v, r, form("vp_token", one, "state", "the-state"))
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Credentials) != 1 || result.Encrypted || result.Credentials[0].QueryID != "one" || result.Credentials[0].Matched[0].Value != "x" {
		t.Errorf("%+v", result)
	}
	if seen.ClientID != "redirect_uri:https://op.example/r/1" || seen.Nonce != r.Nonce || seen.ResponseURI != r.ResponseURI ||
		seen.JWKThumbprint != nil || !seen.Now.Equal(now) {
		t.Errorf("binding %+v", seen)
	}
	result, err = answer(v, r, form("state", "the-state", "vp_token", `{"many":["{}","{\"a\":1}"],"one":["{\"name\":\"x\"}"]}`))
	if err != nil || len(result.Credentials) != 3 || len(result.Of("many")) != 2 || len(result.Of("one")) != 1 || result.Credentials[0].QueryID != "one" {
		t.Errorf("%+v, %v", result, err)
	}

	for name, change := range map[string]func(*jose.Recipient, *jose.ContentEncryption, *jose.EncrypterOptions){
		"A128GCM": nil,
		"A256GCM": func(_ *jose.Recipient, c *jose.ContentEncryption, _ *jose.EncrypterOptions) { *c = jose.A256GCM },
	} {
		r := newRequest(t, v, DirectPostJWT)
		result, err := answer(v, r, form("response", encrypt(t, r, `{"vp_token":`+one+`,"state":"the-state"}`, change)))
		if err != nil || !result.Encrypted || len(result.Credentials) != 1 {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		var key jose.JSONWebKey
		_ = key.UnmarshalJSON(r.Key)
		if thumbprint, err := key.Thumbprint(crypto.SHA256); err != nil || !bytes.Equal(seen.JWKThumbprint, thumbprint) {
			t.Errorf("%s: thumbprint %x, want %x", name, seen.JWKThumbprint, thumbprint)
		}
	}
}

// TestPartyInfo: wallets may put apu and apv into the header, which then go into the key (RFC 7518 §4.6.2). go-jose
// itself writes none, so the JWE is made by hand.
func TestPartyInfo(t *testing.T) {
	t.Parallel()
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{format: FormatSDJWT}}}
	r := newRequest(t, v, DirectPostJWT)
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(r.Key); err != nil {
		t.Fatal(err)
	}
	ephemeral, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	header, err := json.Marshal(map[string]any{
		"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.KeyID, "apu": encode([]byte("wallet")), "apv": encode([]byte(r.Nonce)), "cty": "json",
		"epk": jose.JSONWebKey{Key: ephemeral.Public()},
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := josecipher.DeriveECDHES("A256GCM", []byte("wallet"), []byte(r.Nonce), ephemeral, key.Public().Key.(*ecdsa.PublicKey), 32)
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := make([]byte, gcm.NonceSize())
	out := gcm.Seal(nil, iv, []byte(`{"vp_token":`+one+`,"state":"the-state"}`), []byte(encode(header)))
	tag := len(out) - gcm.Overhead()
	jwe := strings.Join([]string{encode(header), "", encode(iv), encode(out[:tag]), encode(out[tag:])}, ".")
	if result, err := answer(v, r, form("response", jwe)); err != nil || !result.Encrypted {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestVerifyAnswerRefuses(t *testing.T) {
	t.Parallel()
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{format: FormatSDJWT}}, Status: revoked{"https://s.example/bad": true}}
	open, jwt := newRequest(t, v, DirectPost), newRequest(t, v, DirectPostJWT)
	other := newRequest(t, v, DirectPostJWT)
	otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	post := func(token string) string { return form("vp_token", token, "state", "the-state") }
	sealed := func(payload string, change func(*jose.Recipient, *jose.ContentEncryption, *jose.EncrypterOptions)) string {
		return form("response", encrypt(t, jwt, payload, change))
	}
	good := `{"vp_token":` + one + `,"state":"the-state"}`
	compact := encrypt(t, jwt, good, nil)
	header := func(change func(map[string]any)) string {
		parts := strings.Split(compact, ".")
		data, _ := base64.RawURLEncoding.DecodeString(parts[0])
		var members map[string]any
		_ = json.Unmarshal(data, &members)
		change(members)
		data, _ = json.Marshal(members)
		parts[0] = base64.RawURLEncoding.EncodeToString(data)
		return form("response", strings.Join(parts, "."))
	}
	set := func(name string, value any) string { return header(func(h map[string]any) { h[name] = value }) }
	p384, err := ecdh.P384().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request *Request
		body    string
		want    Code
	}{
		// What vp_token may be, against the query.
		"nothing":                       {open, "", ErrMalformed},
		"state only":                    {open, form("state", "the-state"), ErrMalformed},
		"vp_token and error":            {open, form("vp_token", one, "error", "x", "state", "the-state"), ErrMalformed},
		"vp_token and response":         {open, form("vp_token", one, "response", "x", "state", "the-state"), ErrMalformed},
		"vp_token twice":                {open, post(one) + "&" + form("vp_token", one), ErrMalformed},
		"bad percent":                   {open, "vp_token=%zz", ErrMalformed},
		"semicolon":                     {open, "vp_token=x;state=the-state", ErrMalformed},
		"too long":                      {open, strings.Repeat("a", MaxResponse+1), ErrTooLarge},
		"no JSON":                       {open, post("x"), ErrMalformed},
		"a string, as in drafts":        {open, post(`"x"`), ErrMalformed},
		"an array":                      {open, post(`["x"]`), ErrMalformed},
		"no array inside":               {open, post(`{"one":"{\"name\":\"x\"}"}`), ErrMalformed},
		"an object inside":              {open, post(`{"one":[{"name":"x"}]}`), ErrMalformed},
		"empty array":                   {open, post(`{"one":[]}`), ErrMalformed},
		"empty array beside a good one": {open, post(`{"one":["{\"name\":\"x\"}"],"many":[]}`), ErrMalformed},
		"empty presentation":            {open, post(`{"one":[""]}`), ErrMalformed},
		"an id twice":                   {open, post(`{"one":["{\"name\":\"x\"}"],"one":["bad"]}`), ErrMalformed},
		"empty vp_token":                {open, post(`{}`), ErrQuery},
		"an id nobody asked for":        {open, post(`{"one":["{\"name\":\"x\"}"],"two":["{}"]}`), ErrQuery},
		"an id in another case":         {open, post(`{"ONE":["{\"name\":\"x\"}"]}`), ErrQuery},
		"two presentations of one":      {open, post(`{"one":["{\"name\":\"x\"}","{\"name\":\"y\"}"]}`), ErrQuery},
		"the same presentation twice":   {open, post(`{"one":["{\"name\":\"x\"}"],"many":["{}","{}"]}`), ErrQuery},
		"only what is optional":         {open, post(`{"many":["{}"]}`), ErrQuery},
		"a claim missing":               {open, post(`{"one":["{}"]}`), ErrQuery},
		"too many presentations":        {open, post(`{"one":["{\"name\":\"x\"}"],"many":["1"` + strings.Repeat(`,"1"`, maxCredentials) + `]}`), ErrTooLarge},
		"presentation too long":         {open, post(`{"one":["` + strings.Repeat("a", MaxPresentation+1) + `"]}`), ErrTooLarge},
		"too deep":                      {open, post(strings.Repeat(`{"one":`, 50)), ErrTooLarge},
		"one bad presentation":          {open, post(`{"one":["{\"name\":\"x\"}"],"many":["{}","bad"]}`), ErrSignature},
		"a revoked credential":          {open, post(`{"one":["{\"name\":\"x\"}"],"many":["{\"status\":\"https://s.example/bad\"}"]}`), ErrRevoked},
		"another state":                 {open, form("vp_token", one, "state", "other"), ErrState},
		"no state":                      {open, form("vp_token", one), ErrState},
		"state in another case":         {open, form("vp_token", one, "state", "The-state"), ErrState},
		"error without state":           {open, form("error", "access_denied"), ErrState},
		"error with another state":      {jwt, form("error", "access_denied", "state", "x"), ErrState},
		"encrypted, though clear":       {open, form("response", compact, "state", "the-state"), ErrMalformed},

		// Encryption.
		"clear, though encrypted":      {jwt, post(one), ErrMalformed},
		"another state inside":         {jwt, sealed(`{"vp_token":`+one+`,"state":"x"}`, nil), ErrState},
		"no state inside":              {jwt, sealed(`{"vp_token":`+one+`}`, nil), ErrState},
		"another state outside":        {jwt, form("response", compact, "state", "x"), ErrState},
		"state that is no string":      {jwt, sealed(`{"vp_token":`+one+`,"state":1}`, nil), ErrState},
		"vp_token as a string inside":  {jwt, sealed(`{"vp_token":"{}","state":"the-state"}`, nil), ErrMalformed},
		"vp_token and error inside":    {jwt, sealed(`{"vp_token":`+one+`,"state":"the-state","error":"x"}`, nil), ErrMalformed},
		"payload with a doubled name":  {jwt, sealed(`{"state":"the-state","vp_token":`+one+`,"vp_token":`+one+`}`, nil), ErrMalformed},
		"payload that is no JSON":      {jwt, sealed(`x`, nil), ErrMalformed},
		"payload that is a JWS":        {jwt, sealed(`eyJhbGciOiJub25lIn0.e30.`, nil), ErrMalformed},
		"payload of nothing":           {jwt, sealed(``, nil), ErrMalformed},
		"encrypted to another request": {jwt, form("response", encrypt(t, other, good, nil)), ErrDecrypt},
		"encrypted to another key": {jwt, sealed(good, func(r *jose.Recipient, _ *jose.ContentEncryption, _ *jose.EncrypterOptions) {
			r.Key = otherKey.Public()
		}), ErrDecrypt},
		"no kid": {jwt, sealed(good, func(r *jose.Recipient, _ *jose.ContentEncryption, _ *jose.EncrypterOptions) { r.KeyID = "" }), ErrDecrypt},
		"key wrapped": {jwt, sealed(good, func(r *jose.Recipient, _ *jose.ContentEncryption, _ *jose.EncrypterOptions) {
			r.Algorithm = jose.ECDH_ES_A128KW
		}), ErrUnsupported},
		"encryption not offered": {jwt, sealed(good, func(_ *jose.Recipient, c *jose.ContentEncryption, _ *jose.EncrypterOptions) { *c = jose.A128CBC_HS256 }), ErrUnsupported},
		"encryption A192GCM":     {jwt, sealed(good, func(_ *jose.Recipient, c *jose.ContentEncryption, _ *jose.EncrypterOptions) { *c = jose.A192GCM }), ErrUnsupported},
		"compressed": {jwt, sealed(good, func(_ *jose.Recipient, _ *jose.ContentEncryption, o *jose.EncrypterOptions) {
			o.Compression = jose.DEFLATE
		}), ErrUnsupported},
		"crit":                       {jwt, set("crit", []string{"exp"}), ErrUnsupported},
		"alg dir":                    {jwt, set("alg", "dir"), ErrUnsupported},
		"alg none":                   {jwt, set("alg", "none"), ErrUnsupported},
		"alg PBES2":                  {jwt, set("alg", "PBES2-HS256+A128KW"), ErrUnsupported},
		"header changed":             {jwt, set("x", 1), ErrDecrypt},
		"epk missing":                {jwt, header(func(h map[string]any) { delete(h, "epk") }), ErrDecrypt},
		"epk on another curve":       {jwt, set("epk", jwkOf(p384)), ErrDecrypt},
		"epk off the curve":          {jwt, set("epk", map[string]any{"kty": "EC", "crv": "P-256", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", "y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}), ErrDecrypt},
		"tag changed":                {jwt, form("response", compact[:len(compact)-22]+strings.Repeat("A", 22)), ErrDecrypt},
		"tag short":                  {jwt, form("response", compact[:len(compact)-22]), ErrDecrypt},
		"padding":                    {jwt, form("response", compact+"=="), ErrMalformed},
		"line end":                   {jwt, form("response", compact+"\n"), ErrMalformed},
		"four parts":                 {jwt, form("response", "a.b.c.d"), ErrMalformed},
		"header with a doubled name": {jwt, form("response", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ECDH-ES","alg":"ECDH-ES"}`))+"."+strings.SplitN(compact, ".", 2)[1]), ErrMalformed},
		"JWE in JSON form":           {jwt, form("response", `{"protected":""}`), ErrMalformed},
		"JWS in place of a JWE":      {jwt, form("response", "eyJhbGciOiJub25lIn0.e30."), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := answer(v, c.request, c.body)
			if result != nil || !errors.Is(err, c.want) {
				t.Errorf("%+v, %v; want %q", result, err, c.want)
			}
			fault, ok := errors.AsType[*Error](err)
			if !ok || fault.Status()/100 != 4 {
				t.Fatalf("%T %v is not answered with 4xx", err, err)
			}
			var body map[string]string
			if err := json.Unmarshal(fault.Answer(), &body); err != nil || body["error"] == "" || len(body) != 2 {
				t.Errorf("answer %s, %v", fault.Answer(), err)
			}
		})
	}
	if _, err := ParseResponse("application/json", []byte(post(one))); !errors.Is(err, ErrMalformed) {
		t.Errorf("JSON body: %v", err)
	}
	response, err := ParseResponse(formType+"; charset=UTF-8", []byte(post(one)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), open, response, open.Expires); !errors.Is(err, ErrExpired) {
		t.Errorf("too late: %v", err)
	}
	if _, err := (&Verifier{}).Verify(t.Context(), open, response, now); !errors.Is(err, ErrInput) {
		t.Errorf("no format: %v", err)
	}
	without := &Verifier{Client: v.Client, Formats: v.Formats}
	if _, err := answer(without, open, post(`{"one":["{\"name\":\"x\",\"status\":\"https://s.example/good\"}"]}`)); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a status, and nobody to ask: %v", err)
	}
}

func jwkOf(key *ecdh.PrivateKey) map[string]any {
	point := key.PublicKey().Bytes()
	size := len(point) / 2
	return map[string]any{"kty": "EC", "crv": "P-384", "x": base64.RawURLEncoding.EncodeToString(point[1 : 1+size]),
		"y": base64.RawURLEncoding.EncodeToString(point[1+size:])}
}

// TestWalletErrors: a wallet may present nothing, and may say so in the clear though an encrypted answer was asked for.
func TestWalletErrors(t *testing.T) {
	t.Parallel()
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{format: FormatSDJWT}}}
	open, jwt := newRequest(t, v, DirectPost), newRequest(t, v, DirectPostJWT)
	for name, c := range map[string]struct {
		request *Request
		body    string
		want    WalletError
	}{
		"clear":           {open, form("error", "access_denied", "error_description", "No.", "state", "the-state"), WalletError{"access_denied", "No."}},
		"unencrypted":     {jwt, form("error", "vp_formats_not_supported", "state", "the-state"), WalletError{"vp_formats_not_supported", ""}},
		"encrypted":       {jwt, form("response", encrypt(t, jwt, `{"error":"wallet_unavailable","state":"the-state"}`, nil)), WalletError{"wallet_unavailable", ""}},
		"no such code":    {open, form("error", "<b>", "state", "the-state"), WalletError{"invalid", ""}},
		"no printable":    {open, form("error", "x", "error_description", "a\r\nb", "state", "the-state"), WalletError{"x", ""}},
		"long-winded":     {open, form("error", "x", "error_description", strings.Repeat("a", 1000), "state", "the-state"), WalletError{"x", ""}},
		"error no string": {jwt, form("response", encrypt(t, jwt, `{"error":1,"state":"the-state"}`, nil)), WalletError{"invalid", ""}},
	} {
		result, err := answer(v, c.request, c.body)
		if got, ok := errors.AsType[*WalletError](err); result != nil || !ok || *got != c.want {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"":                                    `{}`,
		"https://op.example/return#code=x":    `{"redirect_uri":"https://op.example/return#code=x"}`,
		"http://127.0.0.1:8080/return?code=x": `{"redirect_uri":"http://127.0.0.1:8080/return?code=x"}`,
		"http://op.example/":                  ``,
		"javascript:alert(1)":                 ``,
		"/return":                             ``,
	} {
		got, err := Accepted(uri)
		if string(got) != want || (want == "") != errors.Is(err, ErrInput) {
			t.Errorf("%s: %s, %v", uri, got, err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("why")
	err := Because(ErrNonce, "KB-JWT", cause)
	if !errors.Is(err, ErrNonce) || !errors.Is(err, cause) || errors.Is(err, ErrAudience) || err.Error() != "oid4vp: KB-JWT: nonce mismatch: why" {
		t.Error(err)
	}
	for code, want := range map[Code]struct {
		status int
		oauth  string
	}{
		ErrNonce: {http.StatusBadRequest, "invalid_request"}, ErrTooLarge: {http.StatusRequestEntityTooLarge, "invalid_request"},
		ErrRevoked: {http.StatusForbidden, "access_denied"}, ErrUnsupported: {http.StatusBadRequest, "vp_formats_not_supported"},
		ErrUnavailable: {http.StatusServiceUnavailable, "temporarily_unavailable"}, ErrInput: {http.StatusInternalServerError, "server_error"},
	} {
		e := &Error{Code: code}
		if e.Status() != want.status || e.OAuth() != want.oauth {
			t.Errorf("%q: %d %s", code, e.Status(), e.OAuth())
		}
	}
}

// FuzzResponse throws answers at a request in the clear and at an encrypted one.
func FuzzResponse(f *testing.F) {
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{format: FormatSDJWT}}, Status: revoked{}}
	open, jwt := newRequest(f, v, DirectPost), newRequest(f, v, DirectPostJWT)
	for _, seed := range []string{
		form("vp_token", one, "state", "the-state"), form("error", "access_denied", "state", "the-state"), form("response", "a.b.c.d.e"),
		form("vp_token", `{"one":["x"],"many":["y"]}`, "state", "the-state"), "", "&&", "vp_token=%",
		form("response", encrypt(f, jwt, `{"vp_token":`+one+`,"state":"the-state"}`, nil)),
	} {
		f.Add(formType, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		response, err := ParseResponse(contentType, body)
		if err != nil {
			return
		}
		for _, r := range []*Request{open, jwt} {
			result, err := v.Verify(t.Context(), r, response, now)
			if err != nil {
				_, ours := errors.AsType[*Error](err)
				_, wallets := errors.AsType[*WalletError](err)
				if !ours && !wallets {
					t.Fatalf("%T %v", err, err)
				}
				continue
			}
			for _, c := range result.Credentials {
				query, ok := r.Query.credential(c.QueryID)
				if !ok || len(c.Matched) < len(query.Claims) {
					t.Fatalf("%+v", c)
				}
			}
			if len(result.Of("one")) != 1 {
				t.Fatalf("%+v", result)
			}
		}
	})
}

func FuzzWalletRequest(f *testing.F) {
	f.Add([]byte(form("wallet_nonce", "abc", "wallet_metadata", `{"vp_formats_supported":{"dc+sd-jwt":{}},"response_modes_supported":["direct_post.jwt"]}`)))
	f.Add([]byte(form("wallet_metadata", `{"client_id_prefixes_supported":[1]}`)))
	f.Add([]byte(""))
	v := &Verifier{Client: RedirectURI(), Formats: []FormatVerifier{echo{format: FormatSDJWT}}}
	r := newRequest(f, v, DirectPost)
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := ParseWalletRequest(formType, body)
		if err != nil {
			return
		}
		if w.Nonce != "" && !isURLSafe(w.Nonce, 512) {
			t.Fatalf("%q", w.Nonce)
		}
		if err := w.Metadata.Supports(r); err != nil && !errors.Is(err, ErrIncompatible) {
			t.Fatal(err)
		}
	})
}
