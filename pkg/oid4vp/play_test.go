package oid4vp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

// The play has a verifier with a server, issuers, and a wallet. What follows is a small service of the kind that this
// package is for: it has sessions, one record for each transaction, and the five addresses that a wallet and a
// browser see.
const (
	base     = "https://login.example.com" // httptest leads names below example.com to its server
	host     = "login.example.com"
	vct      = "urn:eudi:pid:1"
	mDL      = "org.iso.18013.5.1.mDL"
	mDLSpace = "org.iso.18013.5.1"
)

// A record is one transaction. The wallet knows the request's state, the browser only the transaction's own id.
type record struct {
	request    *oid4vp.Request
	sameDevice bool
	done       bool // an answer was taken
	result     *oid4vp.Result
	refusal    string // the wallet's error
	code       string // response_code, until it was used
	released   bool   // on the same device: the browser came back with the code
}

// play is the server and the issuers.
type play struct {
	t        testing.TB
	server   *httptest.Server
	verifier *oid4vp.Verifier
	mode     oid4vp.ResponseMode
	query    oid4vp.Query
	post     bool // request_uri_method=post

	mu        sync.Mutex
	byState   map[string]*record
	byBrowser map[string]*record
	statuses  []statuslist.Status
	bomb      bool

	issuance  sdjwt.Issuance
	holder    *ecdsa.PrivateKey
	statusKey *ecdsa.PrivateKey
	statusCA  *testca.CA
	signer    *mdoctest.Signer
}

func queryOf(format string) oid4vp.Query {
	if format == oid4vp.FormatMdoc {
		return oid4vp.Query{Credentials: []oid4vp.CredentialQuery{{
			ID: "mdl", Format: format, Meta: oid4vp.Meta{DoctypeValue: mDL},
			Claims: []oid4vp.ClaimQuery{{Path: oid4vp.Path{mDLSpace, "family_name"}}, {Path: oid4vp.Path{mDLSpace, "birth_date"}}},
		}}}
	}
	return oid4vp.Query{Credentials: []oid4vp.CredentialQuery{{
		ID: "pid", Format: format, Meta: oid4vp.Meta{VCTValues: []string{vct}},
		Claims: []oid4vp.ClaimQuery{
			{Path: oid4vp.Path{"family_name"}}, {Path: oid4vp.Path{"nationalities", nil}, Values: []any{"KR"}},
			{Path: oid4vp.Path{"place_of_birth", "locality"}},
		},
	}}}
}

func newPlay(t testing.TB, prefix string, mode oid4vp.ResponseMode, format string) *play {
	t.Helper()
	p := &play{
		t: t, mode: mode, query: queryOf(format), byState: map[string]*record{}, byBrowser: map[string]*record{},
		holder: testca.Key(t), statusKey: testca.Key(t), statusCA: testca.New(t, "Status CA"), statuses: make([]statuslist.Status, 100),
	}
	ours, key := testca.New(t, "Access CA"), testca.Key(t)
	chain := append(ours.Issue(t, key.Public(), host, ""), ours.Certificate)
	var client *oid4vp.Client
	var err error
	switch prefix {
	case "x509_hash":
		client, err = oid4vp.X509Hash(key, chain)
	case "x509_san_dns":
		client, err = oid4vp.X509SANDNS(host, key, chain)
	default:
		client = oid4vp.RedirectURI()
	}
	if err != nil {
		t.Fatal(err)
	}
	issuers, issuerKey := testca.New(t, "Issuer CA"), testca.Key(t)
	p.issuance = sdjwt.Issuance{
		Claims: map[string]any{
			"iss": "https://issuer.example/a", "vct": vct, "sub": "1234", "iat": testca.Now.Unix(), "exp": testca.Now.AddDate(0, 0, 14).Unix(),
			"given_name": sdjwt.Hidden{Value: "길동"}, "family_name": sdjwt.Hidden{Value: "홍"}, "birthdate": sdjwt.Hidden{Value: "1995-01-12"},
			"nationalities":  []any{sdjwt.Hidden{Value: "KR"}},
			"place_of_birth": sdjwt.Hidden{Value: map[string]any{"locality": sdjwt.Hidden{Value: "서울"}, "country": sdjwt.Hidden{Value: "KR"}}},
			"status":         map[string]any{"status_list": map[string]any{"idx": 42, "uri": base + "/status/1"}},
		},
		Holder: p.holder.Public(), Decoys: 3, Key: issuerKey, Chain: issuers.Issue(t, issuerKey.Public(), "issuer.example", ""),
	}
	authority, err := mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "IACA", NotBefore: testca.Now.AddDate(-1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if p.signer, err = authority.NewSigner(mdoctest.SignerOptions{Name: "DS", NotBefore: testca.Now.AddDate(0, -1, 0)}); err != nil {
		t.Fatal(err)
	}
	anchors, err := mdoc.NewAnchors(authority.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	p.verifier = &oid4vp.Verifier{
		Client: client, Formats: []oid4vp.FormatVerifier{&sdjwt.Verifier{Roots: issuers.Pool()}, &mdoc.Verifier{Anchors: anchors}},
		Status: &statuslist.Checker{Lists: p},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /start", p.start)
	mux.HandleFunc("GET /request/{state}", p.request)
	mux.HandleFunc("POST /request/{state}", p.request)
	mux.HandleFunc("POST /response/{state}", p.response)
	mux.HandleFunc("GET /return", p.comeBack)
	mux.HandleFunc("GET /poll", p.poll)
	mux.HandleFunc("GET /status/1", p.statusList)
	p.server = httptest.NewTLSServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

// FetchStatusList gets and verifies a list, each time anew.
func (p *play) FetchStatusList(ctx context.Context, uri string) (*statuslist.List, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", statuslist.MediaType)
	response, err := p.server.Client().Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, statuslist.MaxToken+1))
	if err != nil {
		return nil, err
	}
	verifier := statuslist.Verifier{Roots: p.statusCA.Pool(), MaxList: 1 << 16}
	return verifier.Verify(string(body), uri, testca.Now)
}

func (p *play) statusList(rw http.ResponseWriter, _ *http.Request) {
	token := statuslist.Token{
		URI: base + "/status/1", Statuses: p.statuses, Bits: 2, IssuedAt: testca.Now, TTL: time.Hour,
		Key: p.statusKey, Chain: p.statusCA.Issue(p.t, p.statusKey.Public(), "status.example", ""),
	}
	if p.bomb {
		token.Statuses = make([]statuslist.Status, 16<<20)
	}
	text, err := token.Sign()
	if err != nil {
		p.t.Error(err)
	}
	rw.Header().Set("Content-Type", statuslist.MediaType)
	_, _ = io.WriteString(rw, text)
}

// start makes a transaction for a browser, and tells it the link, or what is in the QR code.
func (p *play) start(rw http.ResponseWriter, r *http.Request) {
	state, transaction := oid4vp.Random(), oid4vp.Random()
	request, err := p.verifier.NewRequest(oid4vp.RequestOptions{
		Query: p.query, ResponseURI: base + "/response/" + state, State: state, Mode: p.mode, Now: testca.Now,
	})
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	// Kept as a store would keep it.
	kept, err := json.Marshal(request)
	if err == nil {
		request = new(oid4vp.Request)
		err = json.Unmarshal(kept, request)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	var link string
	if p.verifier.Client.Signs() {
		link, err = oid4vp.RequestURILink(oid4vp.HAIPScheme, request, base+"/request/"+state, p.post)
	} else {
		link, err = oid4vp.ParameterLink(oid4vp.WalletScheme, request)
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	transactionRecord := &record{request: request, sameDevice: r.FormValue("device") == "same"}
	p.byState[state], p.byBrowser[transaction] = transactionRecord, transactionRecord
	http.SetCookie(rw, &http.Cookie{Name: "transaction", Value: transaction, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	_, _ = io.WriteString(rw, link)
}

// request serves the request object, as often as the wallet asks.
func (p *play) request(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.byState[r.PathValue("state")]
	if found == nil {
		http.NotFound(rw, r)
		return
	}
	nonce := ""
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(http.MaxBytesReader(rw, r.Body, 1<<16))
		asked, err := oid4vp.ParseWalletRequest(r.Header.Get("Content-Type"), body)
		if err == nil {
			err = asked.Metadata.Supports(found.request)
		}
		if err != nil {
			refuse(rw, err)
			return
		}
		nonce = asked.Nonce
	}
	object, err := p.verifier.RequestObject(found.request, nonce)
	if err != nil {
		refuse(rw, err)
		return
	}
	rw.Header().Set("Content-Type", oid4vp.RequestObjectType)
	rw.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(rw, object)
}

func refuse(rw http.ResponseWriter, err error) {
	fault, ok := errors.AsType[*oid4vp.Error](err)
	if !ok {
		fault = &oid4vp.Error{Code: oid4vp.ErrInput}
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("X-Code", string(fault.Code)) // for the tests
	rw.WriteHeader(fault.Status())
	_, _ = rw.Write(fault.Answer())
}

// response takes a wallet's answer, verifies it while the wallet waits, and moves the transaction on once.
func (p *play) response(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	found := p.byState[r.PathValue("state")]
	if found == nil || found.done {
		p.mu.Unlock()
		refuse(rw, oid4vp.Fail(oid4vp.ErrState, "no such request, or answered before"))
		return
	}
	p.mu.Unlock()
	body, _ := io.ReadAll(http.MaxBytesReader(rw, r.Body, oid4vp.MaxResponse+1))
	response, err := oid4vp.ParseResponse(r.Header.Get("Content-Type"), body)
	var result *oid4vp.Result
	if err == nil {
		result, err = p.verifier.Verify(r.Context(), found.request, response, testca.Now)
	}
	refusal, refused := errors.AsType[*oid4vp.WalletError](err)
	if err != nil && !refused {
		refuse(rw, err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if found.done {
		refuse(rw, oid4vp.Fail(oid4vp.ErrState, "answered in the meantime"))
		return
	}
	found.done, found.result = true, result
	if refused {
		found.refusal = refusal.Code
	}
	back := ""
	if found.sameDevice {
		found.code = oid4vp.Random()
		back = base + "/return?response_code=" + found.code
	}
	answer, err := oid4vp.Accepted(back)
	if err != nil {
		p.t.Error(err)
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	_, _ = rw.Write(answer)
}

// comeBack is where the wallet's redirect leads on the same device: to the browser that began, or to nobody.
func (p *play) comeBack(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.ofBrowser(r)
	if found == nil || found.code == "" || r.FormValue("response_code") != found.code {
		http.Error(rw, "not yours", http.StatusForbidden)
		return
	}
	found.code, found.released = "", true
	_, _ = io.WriteString(rw, p.outcome(found))
}

// poll is what a page with a QR code asks.
func (p *play) poll(rw http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.ofBrowser(r)
	if found == nil {
		http.Error(rw, "not yours", http.StatusForbidden)
		return
	}
	_, _ = io.WriteString(rw, p.outcome(found))
}

func (p *play) ofBrowser(r *http.Request) *record {
	cookie, err := r.Cookie("transaction")
	if err != nil {
		return nil
	}
	return p.byBrowser[cookie.Value]
}

func (p *play) outcome(r *record) string {
	switch {
	case !r.done || r.sameDevice && !r.released:
		return "pending"
	case r.refusal != "":
		return "refused: " + r.refusal
	}
	c := r.result.Credentials[0]
	var values []string
	for _, claim := range c.Matched {
		values = append(values, fmt.Sprint(claim.Value))
	}
	return fmt.Sprintf("%s of %s: %s", c.Type, c.Issuer.ID, strings.Join(values, ", "))
}

// browser is one with cookies of its own.
func (p *play) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &http.Client{Transport: p.server.Client().Transport, Jar: jar}
}

func get(t testing.TB, client *http.Client, address string) (int, string) {
	t.Helper()
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// begin opens a transaction in a browser and gives the link to the wallet.
func (p *play) begin(browser *http.Client, device string) string {
	p.t.Helper()
	status, link := get(p.t, browser, base+"/start?device="+device)
	if status != http.StatusOK {
		p.t.Fatalf("start: %d %s", status, link)
	}
	return link
}

// A wallet has one credential, and does as it should, unless it is told otherwise.
type wallet struct {
	p       *play
	client  *http.Client
	decline string // an error, in place of an answer
	clear   bool   // send the error unencrypted

	issue     func(*sdjwt.Issuance)
	selected  func(string) string
	bind      func(*sdjwt.KeyBinding)
	presented func(string) string

	template   func(*mdoctest.Template)
	faults     []mdoctest.Fault
	transcript func(clientID, nonce, uri *string, thumbprint *[]byte)

	encrypt func(jwk *jose.JSONWebKey)

	// What it has seen.
	outer url.Values     // of the link
	inner map[string]any // the request
	typ   string
	chain []*x509.Certificate
}

func (p *play) wallet() *wallet {
	return &wallet{p: p, client: &http.Client{Transport: p.server.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect to a wallet") }}}
}

// answered is how the response_uri answered.
type answered struct {
	status   int
	code     string // of the error, by a header that only these tests have
	header   http.Header
	body     map[string]any
	redirect string
}

// follow does what a wallet does with a link: fetch the request, look at it, answer.
func (w *wallet) follow(link string) answered {
	w.p.t.Helper()
	w.fetch(link)
	return w.respond()
}

// fetch reads the request behind a link, by reference or by value.
func (w *wallet) fetch(link string) {
	t := w.p.t
	t.Helper()
	parsed, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	w.outer = parsed.Query()
	address := w.outer.Get("request_uri")
	if address == "" {
		w.inner = map[string]any{}
		for name := range w.outer {
			w.inner[name] = w.outer.Get(name)
		}
		for _, name := range []string{"dcql_query", "client_metadata"} {
			var value any
			if err := json.Unmarshal([]byte(w.outer.Get(name)), &value); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			w.inner[name] = value
		}
		return
	}
	nonce := ""
	var request *http.Request
	if w.outer.Get("request_uri_method") == "post" {
		nonce = oid4vp.Random()
		form := url.Values{"wallet_nonce": {nonce}, "wallet_metadata": {`{"vp_formats_supported":{"dc+sd-jwt":{},"mso_mdoc":{}},
			"client_id_prefixes_supported":["x509_hash","x509_san_dns"],"response_modes_supported":["direct_post.jwt","direct_post"],
			"request_object_signing_alg_values_supported":["ES256"]}`}}
		request, err = http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		request, err = http.NewRequest(http.MethodGet, address, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", oid4vp.RequestObjectType)
	response, err := w.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/oauth-authz-req+jwt" {
		t.Fatalf("request_uri: %d %s %v", response.StatusCode, response.Header, err)
	}
	jws, err := jose.ParseSignedCompact(string(body), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	header := jws.Signatures[0].Protected
	w.typ, _ = header.ExtraHeaders["typ"].(string)
	w.chain = chainOf(t, string(body))
	payload, err := jws.Verify(w.chain[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &w.inner); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.inner["wallet_nonce"].(string); got != nonce {
		t.Errorf("wallet_nonce %q, want %q", got, nonce)
	}
}

// chainOf reads x5c without verifying it, as a wallet that only knows x509_hash would.
func chainOf(t testing.TB, jws string) []*x509.Certificate {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(jws, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ X5C [][]byte }
	if err := json.Unmarshal(data, &header); err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, raw := range header.X5C {
		certificate, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, certificate)
	}
	return chain
}

func (w *wallet) parameter(name string) string {
	text, _ := w.inner[name].(string)
	return text
}

// respond presents what the request asks for.
func (w *wallet) respond() answered {
	t := w.p.t
	t.Helper()
	payload := map[string]any{"state": w.parameter("state")}
	var key *jose.JSONWebKey
	if w.parameter("response_mode") == "direct_post.jwt" {
		text, err := json.Marshal(w.inner["client_metadata"].(map[string]any)["jwks"])
		if err != nil {
			t.Fatal(err)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("jwks %s: %v", text, err)
		}
		key = &set.Keys[0]
	}
	if w.decline != "" {
		payload["error"] = w.decline
		if w.clear {
			key = nil
		}
	} else {
		payload["vp_token"] = map[string]any{w.p.query.Credentials[0].ID: []string{w.present(key)}}
	}
	form := url.Values{}
	if key != nil {
		if w.encrypt != nil {
			w.encrypt(key)
		}
		text, err := json.Marshal(payload)
		if err != nil {
			t.Fatal(err)
		}
		encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: key.Key, KeyID: key.KeyID}, nil)
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := encrypter.Encrypt(text)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jwe.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		form.Set("response", compact)
	} else {
		for name, value := range payload {
			text, ok := value.(string)
			if !ok {
				data, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				text = string(data)
			}
			form.Set(name, text)
		}
	}
	return w.send(form)
}

func (w *wallet) send(form url.Values) answered {
	t := w.p.t
	t.Helper()
	response, err := w.client.PostForm(w.parameter("response_uri"), form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	out := answered{status: response.StatusCode, code: response.Header.Get("X-Code"), header: response.Header}
	if err := json.NewDecoder(response.Body).Decode(&out.body); err != nil {
		t.Fatalf("answer %d: %v", response.StatusCode, err)
	}
	out.redirect, _ = out.body["redirect_uri"].(string)
	return out
}

// present makes the presentation for the query.
func (w *wallet) present(key *jose.JSONWebKey) string {
	t := w.p.t
	t.Helper()
	query := w.p.query.Credentials[0]
	clientID, nonce, uri := w.parameter("client_id"), w.parameter("nonce"), w.parameter("response_uri")
	if query.Format == oid4vp.FormatMdoc {
		return w.presentMdoc(clientID, nonce, uri, key)
	}
	issuance := w.p.issuance
	issuance.Claims = maps.Clone(issuance.Claims)
	if w.issue != nil {
		w.issue(&issuance)
	}
	text, err := sdjwt.Issue(issuance)
	if err != nil {
		t.Fatal(err)
	}
	var paths []oid4vp.Path
	for _, claim := range query.Claims {
		paths = append(paths, claim.Path)
	}
	if text, err = sdjwt.Select(text, paths...); err != nil {
		t.Fatal(err)
	}
	if w.selected != nil {
		text = w.selected(text)
	}
	kb := sdjwt.KeyBinding{Key: w.p.holder, Nonce: nonce, Audience: clientID, IssuedAt: testca.Now}
	if w.bind != nil {
		w.bind(&kb)
	}
	if text, err = sdjwt.Bind(text, kb); err != nil {
		t.Fatal(err)
	}
	if w.presented != nil {
		text = w.presented(text)
	}
	return text
}

func (w *wallet) presentMdoc(clientID, nonce, uri string, key *jose.JSONWebKey) string {
	t := w.p.t
	t.Helper()
	template := mdoctest.Template{
		DocType: mDL, DeviceKey: &w.p.holder.PublicKey, Signed: testca.Now.Add(-time.Hour), ValidUntil: testca.Now.AddDate(0, 0, 14),
		Elements: []mdoctest.Element{
			{Namespace: mDLSpace, Name: "family_name", Value: "홍"},
			{Namespace: mDLSpace, Name: "birth_date", Value: mdoctest.Date("1995-01-12")},
			{Namespace: mDLSpace, Name: "issuing_country", Value: "KR"},
		},
		Status: &mdoctest.Status{URI: base + "/status/1", Index: 42},
	}
	if w.template != nil {
		w.template(&template)
	}
	credential, err := w.p.signer.Issue(template)
	if err != nil {
		t.Fatal(err)
	}
	var thumbprint []byte
	if key != nil {
		if thumbprint, err = key.Thumbprint(crypto.SHA256); err != nil {
			t.Fatal(err)
		}
	}
	if w.transcript != nil {
		w.transcript(&clientID, &nonce, &uri, &thumbprint)
	}
	transcript, err := mdoctest.Transcript(clientID, nonce, thumbprint, uri)
	if err != nil {
		t.Fatal(err)
	}
	response, err := credential.Present(mdoctest.Presentation{
		Key: w.p.holder, Transcript: transcript, Faults: w.faults,
		Elements: map[string][]string{mDLSpace: {"family_name", "birth_date"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(response)
}
