package mobileid_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/mobileid"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage/storagetest"
	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

// deps are another broker's on the same counterparts.
func (w *world) deps(t testing.TB) mobileid.Deps {
	box, err := secret.NewBox(secret.Key{ID: "test", Bytes: make([]byte, secret.KeySize)})
	check(t, err)
	port, err := mobileid.NewSidecar(w.institution.server.URL, portKey, 0, http.DefaultClient)
	check(t, err)
	return mobileid.Deps{
		Store: w.store, Box: box, HTTP: http.DefaultClient, Ports: mobileid.Ports{Ledger: port, Profiles: port, Decrypter: port}, Now: w.now,
		Log: slog.New(slog.DiscardHandler),
	}
}

func serve(t testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// spyStore notes all that is written.
type spyStore struct {
	kv.Store
	mu      sync.Mutex
	written strings.Builder
}

func (s *spyStore) note(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written.WriteString(strings.Join(texts, "\n") + "\n")
}

func (s *spyStore) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written.String()
}

func (s *spyStore) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	s.note(key, value)
	return s.Store.Set(ctx, key, value, ttl)
}

func (s *spyStore) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	s.note(key, value)
	return s.Store.Add(ctx, key, value, ttl)
}

func (s *spyStore) CompareAndSwap(ctx context.Context, key, from, to string, ttl time.Duration) (bool, error) {
	s.note(key, to)
	return s.Store.CompareAndSwap(ctx, key, from, to, ttl)
}

// authority is a root with one certificate below it.
type authority struct {
	root *x509.Certificate
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, uri string) authority {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name + " root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"login.example.kr"},
	}
	if uri != "" {
		u, err := url.Parse(uri)
		check(t, err)
		leaf.URIs = []*url.URL{u}
	}
	a := authority{key: leafKey}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	check(t, err)
	a.root, err = x509.ParseCertificate(der)
	check(t, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, a.root, &leafKey.PublicKey, rootKey)
	check(t, err)
	a.leaf, err = x509.ParseCertificate(der)
	check(t, err)
	return a
}

func inPEM(certificates ...*x509.Certificate) (out []byte) {
	for _, c := range certificates {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

const (
	vct      = "urn:example:residentid:1"
	docType  = "org.iso.18013.5.1.mDL"
	mdlSpace = "org.iso.18013.5.1"
	iss      = "https://issuer.example.kr"
)

// standard is the world of OpenID4VP: issuers, their status list, and the broker's own certificate.
type standard struct {
	world  *world
	client authority
	issuer authority
	iaca   *mdoctest.Authority
	signer *mdoctest.Signer
	lists  *httptest.Server

	mu       sync.Mutex
	statuses []statuslist.Status
	fail     func(w http.ResponseWriter) bool
	fetched  int
}

func newStandard(t testing.TB, w *world) *standard {
	t.Helper()
	s := &standard{world: w, client: newAuthority(t, "Any-ID", ""), issuer: newAuthority(t, "Issuer", iss), statuses: make([]statuslist.Status, 4096)}
	s.statuses[revoked], s.statuses[suspended] = statuslist.Invalid, statuslist.Suspended
	var err error
	s.iaca, err = mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "Test IACA", Country: "KR", NotBefore: w.now().Add(-2 * time.Hour)})
	check(t, err)
	s.signer, err = s.iaca.NewSigner(mdoctest.SignerOptions{Name: "Test DS", NotBefore: w.now().Add(-2 * time.Hour)})
	check(t, err)
	s.lists = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetched++
		if s.fail != nil && s.fail(out) {
			return
		}
		text, err := statuslist.Token{
			URI: s.lists.URL + r.URL.Path, Statuses: s.statuses, Bits: 2, IssuedAt: w.now(), Expires: w.now().Add(time.Hour), TTL: time.Minute,
			Key: s.issuer.key, Chain: []*x509.Certificate{s.issuer.leaf},
		}.Sign()
		if err != nil {
			out.WriteHeader(http.StatusInternalServerError)
			return
		}
		out.Header().Set("Content-Type", statuslist.MediaType)
		_, _ = io.WriteString(out, text)
	}))
	t.Cleanup(s.lists.Close)
	return s
}

func (s *standard) config() *mobileid.OpenID4VP {
	return &mobileid.OpenID4VP{
		Key: s.client.key, Chain: inPEM(s.client.leaf, s.client.root), CrossDevice: true,
		IssuerRoots: inPEM(s.issuer.root), MdocRoots: inPEM(s.iaca.Certificate), StatusRoots: inPEM(s.issuer.root),
		Credentials: []mobileid.Credential{
			{ID: "resident", Format: oid4vp.FormatSDJWT, Type: vct, Label: "디지털 주민등록증", Nationality: "domestic", Claims: mobileid.ClaimNames{
				Name: []string{"family_name", "given_name"}, BirthDate: "birthdate", Gender: "sex", CI: "kr/ci",
			}},
			{ID: "mdl", Format: oid4vp.FormatMdoc, Type: docType, Label: "국제 운전면허증", Level: 2, Claims: mobileid.ClaimNames{
				Name: []string{mdlSpace + "/family_name", mdlSpace + "/given_name"}, BirthDate: mdlSpace + "/birth_date",
				Gender: mdlSpace + "/sex", Key: mdlSpace + "/document_number",
			}},
		},
	}
}

// card is what a wallet of the standard holds.
type card struct {
	world  *world
	key    *ecdsa.PrivateKey
	ci     string
	status int // index in the status list
	claims map[string]any
	issue  func(*sdjwt.Issuance)
	bind   func(*sdjwt.KeyBinding)
	// whole changes the presentation after all.
	whole func(string) string
	// mdoc makes it one.
	mdoc   bool
	edit   func(*mdoctest.Template)
	device func(*mdoctest.Presentation)
}

func (w *world) newCard(t testing.TB, isMdoc bool) *card {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	var b [64]byte
	_, _ = rand.Read(b[:])
	c := &card{world: w, key: private, ci: base64.StdEncoding.EncodeToString(b[:]), status: int(attempts.Add(1)), mdoc: isMdoc}
	c.claims = map[string]any{
		"iss": iss, "vct": vct, "exp": w.now().AddDate(1, 0, 0).Unix(), "iat": w.now().Unix(), "family_name": sdjwt.Hidden{Value: "홍"},
		"given_name": sdjwt.Hidden{Value: "길동"}, "birthdate": sdjwt.Hidden{Value: "1990-03-01"}, "sex": sdjwt.Hidden{Value: 1},
		"kr":     map[string]any{"ci": sdjwt.Hidden{Value: c.ci}, "rrn": sdjwt.Hidden{Value: "…"}},
		"status": map[string]any{"status_list": map[string]any{"idx": c.status, "uri": w.standard.lists.URL + "/1"}},
	}
	return c
}

// asked is a request object as the wallet reads it.
type asked struct {
	ClientID    string `json:"client_id"`
	Nonce       string `json:"nonce"`
	State       string `json:"state"`
	ResponseURI string `json:"response_uri"`
	Mode        string `json:"response_mode"`
	WalletNonce string `json:"wallet_nonce"`
	Metadata    struct {
		Keys struct {
			Keys []jose.JSONWebKey `json:"keys"`
		} `json:"jwks"`
	} `json:"client_metadata"`
}

// present makes one presentation for a request.
func (c *card) present(t testing.TB, q asked) (id, text string) {
	t.Helper()
	s := c.world.standard
	if c.mdoc {
		id = "mdl"
		template := mdoctest.Template{
			DocType: docType, DeviceKey: &c.key.PublicKey, ValidFrom: c.world.now().Add(-time.Hour), Signed: c.world.now().Add(-time.Hour),
			Status: &mdoctest.Status{URI: s.lists.URL + "/1", Index: uint64(c.status)},
			Elements: []mdoctest.Element{
				{Namespace: mdlSpace, Name: "family_name", Value: "HONG"}, {Namespace: mdlSpace, Name: "given_name", Value: "Gildong"},
				{Namespace: mdlSpace, Name: "birth_date", Value: mdoctest.Date("1990-03-01")}, {Namespace: mdlSpace, Name: "sex", Value: 1},
				{Namespace: mdlSpace, Name: "document_number", Value: "11-90-123456-78"}, {Namespace: mdlSpace, Name: "issuing_country", Value: "KR"},
			},
		}
		if c.edit != nil {
			c.edit(&template)
		}
		credential, err := s.signer.Issue(template)
		check(t, err)
		var thumbprint []byte
		if len(q.Metadata.Keys.Keys) > 0 {
			thumbprint, err = q.Metadata.Keys.Keys[0].Thumbprint(crypto.SHA256)
			check(t, err)
		}
		transcript, err := mdoctest.Transcript(q.ClientID, q.Nonce, thumbprint, q.ResponseURI)
		check(t, err)
		p := mdoctest.Presentation{Key: c.key, Transcript: transcript, Elements: map[string][]string{mdlSpace: {"family_name", "given_name", "birth_date", "sex", "document_number"}}}
		if c.device != nil {
			c.device(&p)
		}
		response, err := credential.Present(p)
		check(t, err)
		text = base64.RawURLEncoding.EncodeToString(response)
	} else {
		id = "resident"
		i := sdjwt.Issuance{Claims: c.claims, Holder: &c.key.PublicKey, Decoys: 2, Key: s.issuer.key, Chain: []*x509.Certificate{s.issuer.leaf}}
		if c.issue != nil {
			c.issue(&i)
		}
		issued, err := sdjwt.Issue(i)
		check(t, err)
		issued, err = sdjwt.Select(issued, oid4vp.Path{"family_name"}, oid4vp.Path{"given_name"}, oid4vp.Path{"birthdate"}, oid4vp.Path{"sex"}, oid4vp.Path{"kr", "ci"})
		check(t, err)
		k := sdjwt.KeyBinding{Key: c.key, Nonce: q.Nonce, Audience: q.ClientID, IssuedAt: c.world.now()}
		if c.bind != nil {
			c.bind(&k)
		}
		text, err = sdjwt.Bind(issued, k)
		check(t, err)
	}
	if c.whole != nil {
		text = c.whole(text)
	}
	return id, text
}

// wallet sends requests as a wallet does; the key of the request is fetched with the request.
func (a *attempt) request(t testing.TB) asked {
	t.Helper()
	link := a.started.Shown.QR + a.started.Shown.Link
	u, err := url.Parse(link)
	check(t, err)
	if u.Scheme != "openid4vp" || u.Query().Get("request_uri_method") != "post" {
		t.Fatalf("link %s", link)
	}
	q := a.object(t, u.Query().Get("request_uri"), nil)
	if q.ClientID != u.Query().Get("client_id") {
		t.Fatal("another client")
	}
	return q
}

// object fetches a request object, with POST where there is a form.
func (a *attempt) object(t testing.TB, uri string, form url.Values) asked {
	t.Helper()
	status, header, body := send(t, uri, form)
	if status != http.StatusOK || header.Get("Content-Type") != oid4vp.RequestObjectType || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("request object: %d %v %s", status, header, body)
	}
	signed, err := jose.ParseSignedCompact(string(body), []jose.SignatureAlgorithm{jose.ES256})
	check(t, err)
	client := a.world.standard.client
	payload, err := signed.Verify(&client.key.PublicKey)
	check(t, err)
	hash := sha256.Sum256(client.leaf.Raw)
	var q asked
	check(t, json.Unmarshal(payload, &q))
	if q.ClientID != "x509_hash:"+base64.RawURLEncoding.EncodeToString(hash[:]) || q.Mode != "direct_post.jwt" || len(q.Metadata.Keys.Keys) != 1 {
		t.Fatalf("request object %s", payload)
	}
	return q
}

// send sends GET, or POST of a form.
func send(t testing.TB, uri string, form url.Values) (int, http.Header, []byte) {
	t.Helper()
	verb, body := http.MethodGet, ""
	if form != nil {
		verb, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(context.Background(), verb, uri, strings.NewReader(body))
	check(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, resp.Header, out
}

// sealed encrypts an answer to the request's key.
func (q asked) sealed(t testing.TB, payload any) url.Values {
	t.Helper()
	k := q.Metadata.Keys.Keys[0]
	e, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: k.Key, KeyID: k.KeyID}, nil)
	check(t, err)
	text, err := json.Marshal(payload)
	check(t, err)
	jwe, err := e.Encrypt(text)
	check(t, err)
	out, err := jwe.CompactSerialize()
	check(t, err)
	return url.Values{"response": {out}}
}

// answer presents the card, and returns the status and the body of the answer.
func (c *card) answer(t testing.TB, a *attempt) (int, doc) {
	t.Helper()
	q := a.request(t)
	id, text := c.present(t, q)
	return respond(t, q, q.sealed(t, doc{"vp_token": doc{id: []string{text}}, "state": q.State}))
}

func respond(t testing.TB, q asked, form url.Values) (int, doc) {
	t.Helper()
	status, header, body := send(t, q.ResponseURI, form)
	var out doc
	if err := json.Unmarshal(body, &out); err != nil || header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("answer %d %v %s", status, header, body)
	}
	return status, out
}

var (
	vpByQR  = authn.Input{Provider: mobileid.ProviderOpenID4VP, Mode: authn.QR}
	vpByApp = authn.Input{Provider: mobileid.ProviderOpenID4VP, Mode: authn.App}
)

// TestOpenID4VP: both formats on the same device and across devices.
func TestOpenID4VP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, isMdoc := range []bool{false, true} {
		for _, in := range []authn.Input{vpByQR, vpByApp} {
			c := w.newCard(t, isMdoc)
			a := w.begin(t, in)
			if s := a.status(t); s != authn.Pending {
				t.Errorf("before: %s", s)
			}
			status, body := c.answer(t, a)
			if status != http.StatusOK {
				t.Fatalf("mdoc %v, %s: %d %v", isMdoc, in.Mode, status, body)
			}
			if in.Mode == authn.App {
				a.comeBack(t, body)
			} else if len(body) != 0 {
				t.Errorf("across devices the wallet is sent to %v", body)
			}
			got, code := a.outcome(t)
			want := authn.Evidence{
				Method: method.MobileID, Provider: "openid4vp", Label: "디지털 주민등록증", Subject: c.ci, CI: c.ci, Level: 3, AMR: []string{"pop"},
				Binding: authn.Signed, At: got.At, Digest: got.Digest,
				Attributes: authn.Attributes{Name: citizenName, BirthDate: "1990-03-01", Gender: "male", Nationality: "domestic"},
			}
			if isMdoc {
				want.Label, want.Level, want.CI, want.Subject = "국제 운전면허증", 2, "", got.Subject
				want.Attributes = authn.Attributes{Name: "HONG Gildong", BirthDate: "1990-03-01", Gender: "male"}
				if !strings.HasPrefix(got.Subject, "openid4vp:") || !strings.HasSuffix(got.Subject, ":11-90-123456-78") || !strings.Contains(got.Subject, "Test IACA") {
					t.Errorf("subject %q", got.Subject)
				}
			}
			if in.Mode == authn.QR {
				want.AMR = append(want.AMR, "mca")
			}
			if code != "" || !reflect.DeepEqual(got, want) || len(got.Digest) != 64 {
				t.Errorf("mdoc %v, %s: %q\n got %+v\nwant %+v", isMdoc, in.Mode, code, got, want)
			}
			if _, code := a.outcome(t); code != authn.AlreadyUsed {
				t.Errorf("again: %q", code)
			}
		}
	}
}

// A credential's code of sex is that of ISO/IEC 5218, or that of a PID of the EU, which has more: none is the digit of a
// resident number.
func TestCodesOfSex(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, isMdoc := range []bool{false, true} {
		for code, want := range map[int]string{0: "", 1: "male", 2: "female", 3: "", 4: "", 5: "", 6: "", 9: ""} {
			c := w.newCard(t, isMdoc)
			c.claims["sex"] = sdjwt.Hidden{Value: code}
			c.edit = func(template *mdoctest.Template) {
				template.Elements[3].Value = code
			}
			a := w.begin(t, vpByQR)
			if status, body := c.answer(t, a); status != http.StatusOK {
				t.Fatalf("mdoc %v, %d: %d %v", isMdoc, code, status, body)
			}
			if got, refused := a.outcome(t); refused != "" || got.Attributes.Gender != want {
				t.Errorf("mdoc %v, %d: %q, gender %q, want %q", isMdoc, code, refused, got.Attributes.Gender, want)
			}
		}
	}
}

// comeBack is the browser on the way back from the wallet: not before it, nor with another code, is there a result.
func (a *attempt) comeBack(t testing.TB, body doc) {
	t.Helper()
	u, err := url.Parse(body["redirect_uri"].(string))
	check(t, err)
	code := u.Query().Get("response_code")
	if !strings.HasPrefix(u.String(), a.world.server.URL+"/wallet/return?") || len(code) < 22 {
		t.Fatalf("redirect %s", u)
	}
	for _, other := range []string{"", "x", code[1:], oid4vp.Random()} {
		a.ResponseCode = other
		if s := a.status(t); s != authn.Pending {
			t.Errorf("with the code %q: %s", other, s)
		}
		if _, err := a.world.adapter.Complete(t.Context(), a.Attempt); codeOf(t, err) != authn.NotReady {
			t.Errorf("with the code %q: %v", other, err)
		}
		if _, err := a.world.adapter.Returned(t.Context(), other); !fault.Is(err, fault.NotFound) {
			t.Errorf("with the code %q: %v", other, err)
		}
	}
	id, err := a.world.adapter.Returned(t.Context(), code)
	if err != nil || id != a.ID {
		t.Errorf("returned %q, %v", id, err)
	}
	if _, err := a.world.adapter.Returned(t.Context(), code); !fault.Is(err, fault.NotFound) {
		t.Errorf("returned twice: %v", err)
	}
	a.ResponseCode = code
}

// TestRequestObject: by GET and POST, as often as it is wanted, until it is answered or too late; another one for
// every attempt.
func TestRequestObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a, b := w.begin(t, vpByQR), w.begin(t, vpByQR)
	first, again, other := a.request(t), a.request(t), b.request(t)
	if !reflect.DeepEqual(first.Metadata, again.Metadata) || first.Nonce != again.Nonce {
		t.Error("asked twice, there are two requests")
	}
	if first.Metadata.Keys.Keys[0].KeyID == other.Metadata.Keys.Keys[0].KeyID || first.Nonce == other.Nonce || first.State == other.State || reflect.DeepEqual(first.Metadata, other.Metadata) {
		t.Error("two attempts share a request")
	}
	uri := w.server.URL + "/wallet/request/" + first.State
	if q := a.object(t, uri, url.Values{"wallet_nonce": {"abc123"}, "wallet_metadata": {`{"vp_formats_supported":{"dc+sd-jwt":{},"mso_mdoc":{}}}`}}); q.WalletNonce != "abc123" {
		t.Errorf("wallet_nonce %q", q.WalletNonce)
	}
	for name, c := range map[string]struct {
		uri   string
		form  url.Values
		want  int
		error string
	}{
		"incompatible":  {uri, url.Values{"wallet_metadata": {`{"vp_formats_supported":{"jwt_vc_json":{}}}`}}, 400, "vp_formats_not_supported"},
		"bad nonce":     {uri, url.Values{"wallet_nonce": {"<>"}}, 400, "invalid_request"},
		"twice":         {uri, url.Values{"wallet_nonce": {"a", "b"}}, 400, "invalid_request"},
		"huge":          {uri, url.Values{"wallet_metadata": {strings.Repeat("x", 100<<10)}}, 413, "invalid_request"},
		"unknown":       {w.server.URL + "/wallet/request/" + oid4vp.Random(), nil, 400, "invalid_request"},
		"no request id": {w.server.URL + "/wallet/request/x", nil, 400, "invalid_request"},
	} {
		status, _, body := send(t, c.uri, c.form)
		var out doc
		check(t, json.Unmarshal(body, &out))
		if status != c.want || out["error"] != c.error {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _ := w.newCard(t, false).answer(t, a); status != http.StatusOK {
		t.Fatalf("answer: %d", status)
	}
	_, _, unknown := send(t, w.server.URL+"/wallet/request/"+oid4vp.Random(), nil)
	if status, _, body := send(t, uri, nil); status != 400 || !bytes.Equal(body, unknown) {
		t.Errorf("answered: %d %s", status, body)
	}
	w.advance(4 * time.Minute)
	if status, _, body := send(t, w.server.URL+"/wallet/request/"+other.State, nil); status != 400 || !bytes.Equal(body, unknown) {
		t.Errorf("late: %d %s", status, body)
	}
	if _, code := b.outcome(t); code != authn.TooLate {
		t.Errorf("late: %q", code)
	}
	if status, _ := respond(t, other, url.Values{"error": {"access_denied"}, "state": {other.State}}); status != 400 {
		t.Errorf("late answer: %d", status)
	}
	if _, err := w.adapter.Complete(t.Context(), b.Attempt); codeOf(t, err) != authn.TooLate {
		t.Errorf("late: %v", err)
	}
}

// TestOpenID4VPRefuses: each thing that a wallet or an issuer can do wrong, what the wallet is told, and what the
// journey hears.
func TestOpenID4VPRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	other := newAuthority(t, "Other", iss)
	stranger, err := mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "Stranger", NotBefore: w.now().Add(-2 * time.Hour)})
	check(t, err)
	strangerSigner, err := stranger.NewSigner(mdoctest.SignerOptions{Name: "Stranger DS", NotBefore: w.now().Add(-2 * time.Hour)})
	check(t, err)
	for name, c := range map[string]struct {
		mdoc  bool
		edit  func(c *card)
		error string
		code  authn.Code
	}{
		"nothing wrong":       {},
		"nothing wrong, mdoc": {mdoc: true},
		"alg none": {edit: func(c *card) {
			c.whole = func(s string) string {
				parts := strings.SplitN(s, ".", 3)
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"dc+sd-jwt"}`)) + "." + parts[1] + "." + strings.SplitN(parts[2], "~", 2)[1]
			}
		}, error: "vp_formats_not_supported", code: authn.BadEvidence},
		"another nonce":      {edit: func(c *card) { c.bind = func(k *sdjwt.KeyBinding) { k.Nonce = "other" } }, error: "invalid_request", code: authn.BadEvidence},
		"aud without prefix": {edit: func(c *card) { c.bind = func(k *sdjwt.KeyBinding) { _, k.Audience, _ = strings.Cut(k.Audience, ":") } }, error: "invalid_request", code: authn.BadEvidence},
		"another aud":        {edit: func(c *card) { c.bind = func(k *sdjwt.KeyBinding) { k.Audience = "https://other.example" } }, error: "invalid_request", code: authn.BadEvidence},
		"sd_hash of other": {edit: func(c *card) {
			c.bind = func(k *sdjwt.KeyBinding) { k.Edit = func(_, p map[string]any) { p["sd_hash"] = "AAAA" } }
		}, error: "invalid_request", code: authn.BadEvidence},
		"key of another holder": {edit: func(c *card) { c.bind = func(k *sdjwt.KeyBinding) { k.Key = other.key } }, error: "invalid_request", code: authn.BadEvidence},
		"bound long ago":        {edit: func(c *card) { c.bind = func(k *sdjwt.KeyBinding) { k.IssuedAt = k.IssuedAt.Add(-time.Hour) } }, error: "invalid_request", code: authn.BadEvidence},
		"no key binding":        {edit: func(c *card) { c.whole = func(s string) string { return s[:strings.LastIndexByte(s, '~')+1] } }, error: "invalid_request", code: authn.BadEvidence},
		"a disclosure twice": {edit: func(c *card) {
			c.whole = func(s string) string { p := strings.Split(s, "~"); return strings.Join(slices.Insert(p, 1, p[1]), "~") }
		}, error: "invalid_request", code: authn.BadEvidence},
		"a digest twice": {edit: func(c *card) {
			c.issue = func(i *sdjwt.Issuance) {
				i.Edit = func(_, p map[string]any) { sd := p["_sd"].([]string); p["_sd"] = append(sd, sd[0]) }
			}
		}, error: "invalid_request", code: authn.BadEvidence},
		"an unknown disclosure": {edit: func(c *card) {
			c.whole = func(s string) string {
				d, _ := sdjwt.EncodeDisclosure("salt", "family_name", "임")
				return strings.Replace(s, "~", "~"+d+"~", 1)
			}
		}, error: "invalid_request", code: authn.BadEvidence},
		"another issuer's key": {edit: func(c *card) {
			c.issue = func(i *sdjwt.Issuance) { i.Key, i.Chain = other.key, []*x509.Certificate{other.leaf} }
		}, error: "access_denied", code: authn.NoCredential},
		"forged":             {edit: func(c *card) { c.issue = func(i *sdjwt.Issuance) { i.Key = other.key } }, error: "invalid_request", code: authn.BadEvidence},
		"another vct":        {edit: func(c *card) { c.claims["vct"] = "urn:other" }, error: "invalid_request", code: authn.BadEvidence},
		"expired":            {edit: func(c *card) { c.claims["exp"] = w.now().AddDate(0, 0, -1).Unix() }, error: "access_denied", code: authn.NoCredential},
		"no CI":              {edit: func(c *card) { c.claims["kr"] = map[string]any{} }, error: "invalid_request", code: authn.BadEvidence},
		"CI of another form": {edit: func(c *card) { c.claims["kr"] = map[string]any{"ci": sdjwt.Hidden{Value: "x"}} }, error: "invalid_request", code: authn.BadEvidence},
		"CI an object":       {edit: func(c *card) { c.claims["kr"] = map[string]any{"ci": sdjwt.Hidden{Value: doc{}}} }, error: "invalid_request", code: authn.BadEvidence},
		"no birth date":      {edit: func(c *card) { c.claims["birthdate"] = sdjwt.Hidden{Value: "soon"} }, error: "invalid_request", code: authn.BadEvidence},
		"revoked":            {edit: func(c *card) { c.at(revoked) }, error: "access_denied", code: authn.NoCredential},
		"suspended":          {edit: func(c *card) { c.at(suspended) }, error: "access_denied", code: authn.NoCredential},
		"revoked, mdoc":      {mdoc: true, edit: func(c *card) { c.at(revoked) }, error: "access_denied", code: authn.NoCredential},
		"re-encoded": {mdoc: true, edit: func(c *card) {
			c.device = func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.Reencoded} }
		}, error: "invalid_request", code: authn.BadEvidence},
		"altered": {mdoc: true, edit: func(c *card) {
			c.device = func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.Altered} }
		}, error: "invalid_request", code: authn.BadEvidence},
		"unsigned element": {mdoc: true, edit: func(c *card) {
			c.device = func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.Unsigned} }
		}, error: "invalid_request", code: authn.BadEvidence},
		"another device's key": {mdoc: true, edit: func(c *card) {
			c.device = func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.OtherKey} }
		}, error: "invalid_request", code: authn.BadEvidence},
		"wrong transcript": {mdoc: true, edit: func(c *card) {
			c.device = func(p *mdoctest.Presentation) {
				p.Transcript, _ = mdoctest.Transcript("x509_hash:other", "nonce", nil, "https://other.example")
			}
		}, error: "invalid_request", code: authn.BadEvidence},
		"another doctype": {mdoc: true, edit: func(c *card) { c.edit = func(t *mdoctest.Template) { t.DocType = "org.iso.23220.photoid.1" } }, error: "invalid_request", code: authn.BadEvidence},
		"expired, mdoc": {mdoc: true, edit: func(c *card) {
			c.edit = func(t *mdoctest.Template) { t.ValidUntil = w.now().Add(-30 * time.Minute) }
		}, error: "access_denied", code: authn.NoCredential},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, held := w.begin(t, vpByApp), w.newCard(t, c.mdoc)
			if c.edit != nil {
				c.edit(held)
			}
			status, body := held.answer(t, a)
			if c.error == "" {
				if status != http.StatusOK {
					t.Fatalf("refused: %d %v", status, body)
				}
				return
			}
			if status < 400 || status >= 500 || body["error"] != c.error {
				t.Errorf("the wallet is told %d %v, want %s", status, body, c.error)
			}
			if _, code := a.outcome(t); code != c.code {
				t.Errorf("the journey is told %q, want %q", code, c.code)
			}
		})
	}
	// A signer whom nobody knows.
	t.Run("another document signer", func(t *testing.T) {
		t.Parallel()
		foreign := &world{t: t, store: w.store, institution: w.institution, push: w.push, server: w.server, adapter: w.adapter, log: w.log}
		foreign.standard = &standard{world: foreign, client: w.standard.client, signer: strangerSigner, lists: w.standard.lists}
		a, held := w.begin(t, vpByApp), w.newCard(t, true)
		held.world = foreign
		if status, body := held.answer(t, a); status != http.StatusForbidden || body["error"] != "access_denied" {
			t.Errorf("the wallet is told %d %v", status, body)
		}
	})
}

// Places in the status list.
const (
	revoked   = 4000
	suspended = 4001
)

// at puts the card at a place in the status list.
func (c *card) at(index int) {
	c.status = index
	c.claims["status"].(map[string]any)["status_list"].(map[string]any)["idx"] = index
}

func (s *standard) failing(fail func(w http.ResponseWriter) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// TestAnswers: what a wallet can post that is no presentation.
func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		form   func(t *testing.T, q asked) url.Values
		status int
		code   authn.Code
	}{
		"denied": {func(_ *testing.T, q asked) url.Values {
			return url.Values{"error": {"access_denied"}, "state": {q.State}}
		}, 200, authn.UserCancelled},
		"denied, encrypted": {func(t *testing.T, q asked) url.Values {
			return q.sealed(t, doc{"error": "access_denied", "state": q.State})
		}, 200, authn.UserCancelled},
		"formats": {func(_ *testing.T, q asked) url.Values {
			return url.Values{"error": {"vp_formats_not_supported"}, "state": {q.State}}
		}, 200, authn.NoCredential},
		"our request": {func(_ *testing.T, q asked) url.Values {
			return url.Values{"error": {"invalid_request"}, "state": {q.State}}
		}, 200, authn.BadRequest},
		"wallet unavailable": {func(_ *testing.T, q asked) url.Values {
			return url.Values{"error": {"wallet_unavailable"}, "state": {q.State}}
		}, 200, authn.ProviderDown},
		"error, another state": {func(*testing.T, asked) url.Values { return url.Values{"error": {"access_denied"}, "state": {"x"}} }, 400, authn.BadEvidence},
		"error without state":  {func(*testing.T, asked) url.Values { return url.Values{"error": {"access_denied"}} }, 400, authn.BadEvidence},
		"not encrypted": {func(_ *testing.T, q asked) url.Values {
			return url.Values{"vp_token": {`{"resident":["x"]}`}, "state": {q.State}}
		}, 400, authn.BadEvidence},
		"no JWE":          {func(*testing.T, asked) url.Values { return url.Values{"response": {"a.b.c"}} }, 400, authn.BadEvidence},
		"nothing":         {func(*testing.T, asked) url.Values { return url.Values{} }, 400, authn.NotReady},
		"two kinds":       {func(_ *testing.T, q asked) url.Values { return url.Values{"error": {"x"}, "response": {"y"}} }, 400, authn.NotReady},
		"huge":            {func(*testing.T, asked) url.Values { return url.Values{"response": {strings.Repeat("x", 600<<10)}} }, 413, authn.NotReady},
		"no presentation": {func(t *testing.T, q asked) url.Values { return q.sealed(t, doc{"vp_token": doc{}, "state": q.State}) }, 400, authn.BadEvidence},
		"an id not asked for": {func(t *testing.T, q asked) url.Values {
			return q.sealed(t, doc{"vp_token": doc{"x": []string{"y"}}, "state": q.State})
		}, 400, authn.BadEvidence},
		"both that would do": {func(t *testing.T, q asked) url.Values {
			return q.sealed(t, doc{"vp_token": doc{"resident": []string{"x"}, "mdl": []string{"y"}}, "state": q.State})
		}, 400, authn.BadEvidence},
		"another state, sealed": {func(t *testing.T, q asked) url.Values {
			return q.sealed(t, doc{"vp_token": doc{"resident": []string{"x"}}, "state": "x"})
		}, 400, authn.BadEvidence},
	} {
		a := w.begin(t, vpByApp)
		q := a.request(t)
		status, body := respond(t, q, c.form(t, q))
		if status != c.status || (status == 200) != (body["redirect_uri"] != nil) {
			t.Errorf("%s: %d %v", name, status, body)
		}
		if _, code := a.outcome(t); code != c.code {
			t.Errorf("%s: the journey is told %q, want %q", name, code, c.code)
		}
	}
	// An encrypted answer to another request's key.
	a, b := w.begin(t, vpByQR), w.begin(t, vpByQR)
	q, other := a.request(t), b.request(t)
	id, text := w.newCard(t, false).present(t, q)
	status, _ := respond(t, q, other.sealed(t, doc{"vp_token": doc{id: []string{text}}, "state": q.State}))
	if _, code := a.outcome(t); status != 400 || code != authn.BadEvidence {
		t.Errorf("another key: %d, %q", status, code)
	}
	// A presentation for one request, in another.
	status, _ = respond(t, other, other.sealed(t, doc{"vp_token": doc{id: []string{text}}, "state": other.State}))
	if _, code := b.outcome(t); status != 400 || code != authn.BadEvidence {
		t.Errorf("another request's: %d, %q", status, code)
	}
	// A handle of another attempt.
	mixed := w.begin(t, vpByQR)
	var h, theirs doc
	check(t, json.Unmarshal(mixed.Private, &h))
	check(t, json.Unmarshal(a.Private, &theirs))
	h["request"] = theirs["request"]
	mixed.Private, _ = json.Marshal(h)
	if _, err := w.adapter.Status(t.Context(), mixed.Attempt); codeOf(t, err) != authn.BadEvidence {
		t.Errorf("another attempt's: %v", err)
	}
}

// TestStatusLists: a list is fetched once and kept; when it cannot be had, the wallet may answer again.
func TestStatusLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 3 {
		a := w.begin(t, vpByQR)
		if status, body := w.newCard(t, false).answer(t, a); status != 200 {
			t.Fatalf("%d %v", status, body)
		}
	}
	if w.standard.fetched != 1 {
		t.Errorf("fetched %d times", w.standard.fetched)
	}
	w.advance(61 * time.Second) // past its ttl
	failures := map[string]struct {
		fail   func(out http.ResponseWriter) bool
		status int
		code   authn.Code
	}{
		"down": {func(out http.ResponseWriter) bool { out.WriteHeader(500); return true }, 503, authn.NotReady},
		"redirected": {func(out http.ResponseWriter) bool {
			out.Header().Set("Location", "/2")
			out.WriteHeader(302)
			return true
		}, 503, authn.NotReady},
		"not a list": {func(out http.ResponseWriter) bool { _, _ = io.WriteString(out, "x"); return true }, 503, authn.NotReady},
		"forged": {func(out http.ResponseWriter) bool {
			out.Header().Set("Content-Type", statuslist.MediaType)
			_, _ = io.WriteString(out, "a.b.c")
			return true
		}, 400, authn.BadEvidence},
		"a bomb": {func(out http.ResponseWriter) bool {
			text, err := statuslist.Token{
				URI: w.standard.lists.URL + "/1", Statuses: make([]statuslist.Status, 9<<20), Bits: 1, IssuedAt: w.now(),
				Key: w.standard.issuer.key, Chain: []*x509.Certificate{w.standard.issuer.leaf},
			}.Sign()
			check(t, err)
			out.Header().Set("Content-Type", statuslist.MediaType)
			_, _ = io.WriteString(out, text)
			return true
		}, 413, authn.BadEvidence},
		"huge": {func(out http.ResponseWriter) bool {
			out.Header().Set("Content-Type", statuslist.MediaType)
			_, _ = io.WriteString(out, strings.Repeat("x", statuslist.MaxToken+1))
			return true
		}, 413, authn.BadEvidence},
	}
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		c := failures[name]
		w.standard.failing(c.fail)
		a, held := w.begin(t, vpByQR), w.newCard(t, true)
		if status, body := held.answer(t, a); status != c.status {
			t.Errorf("%s: %d %v", name, status, body)
		}
		if _, code := a.outcome(t); code != c.code {
			t.Errorf("%s: the journey is told %q", name, code)
		}
		w.standard.failing(nil)
		if c.code == authn.NotReady {
			if status, body := held.answer(t, a); status != 200 {
				t.Errorf("%s, again: %d %v", name, status, body)
			}
			w.advance(61 * time.Second)
		}
	}
}

// TestCrossDevice is off unless it is switched on.
func TestCrossDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(c *mobileid.Config) { c.OpenID4VP.CrossDevice = false })
	if got := w.adapter.Modes(mobileid.ProviderOpenID4VP); !slices.Equal(got, []authn.Mode{authn.App}) {
		t.Errorf("modes %q", got)
	}
	if _, err := w.adapter.Begin(t.Context(), w.attempt(mobileid.ProviderOpenID4VP), vpByQR); codeOf(t, err) != authn.BadRequest {
		t.Errorf("by QR code: %v", err)
	}
}

// TestOneAnswer: of many answers to one request, on every kind of store and on two instances, one wins.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open(time.Now).KV)
		w2 := &world{t: t, store: open(time.Now).KV, institution: w.institution, push: w.push, standard: w.standard, server: w.server, log: w.log, patience: w.patience}
		instances := []*mobileid.Adapter{w.adapter, w2.open(t)}
		second := http.NewServeMux()
		instances[1].Serve(second)
		hosts := []string{w.server.URL, serve(t, second)}

		a, c := w.begin(t, vpByQR), w.newCard(t, false)
		q := a.request(t)
		id, text := c.present(t, q)
		form := q.sealed(t, doc{"vp_token": doc{id: []string{text}}, "state": q.State})
		if n := race(func(i int) bool {
			status, _, body := send(t, strings.Replace(q.ResponseURI, hosts[0], hosts[i%2], 1), form)
			if status != 200 && status != 400 {
				t.Errorf("%d %s", status, body)
			}
			return status == 200
		}); n != 1 {
			t.Errorf("%d answers", n)
		}
		if n := race(func(i int) bool {
			_, err := instances[i%2].Complete(t.Context(), a.Attempt)
			if code := codeOf(t, err); code != "" && code != authn.AlreadyUsed {
				t.Errorf("complete: %v", err)
			}
			return err == nil
		}); n != 1 {
			t.Errorf("%d results", n)
		}
	})
}

// TestKeysSealed: no key of a request, and no result, lies in the store in the clear.
func TestKeysSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	spy := &spyStore{Store: w.store}
	w.store = spy
	mux := http.NewServeMux()
	w.adapter = w.open(t)
	w.adapter.Serve(mux)
	w.server.Config.Handler = mux
	c := w.newCard(t, false)
	a := w.begin(t, vpByApp)
	status, body := c.answer(t, a)
	if status != 200 {
		t.Fatalf("%d %v", status, body)
	}
	u, err := url.Parse(body["redirect_uri"].(string))
	check(t, err)
	a.ResponseCode = u.Query().Get("response_code")
	if _, code := a.outcome(t); code != "" {
		t.Fatalf("outcome %q", code)
	}
	kept := spy.text() + w.log.String()
	var h doc
	check(t, json.Unmarshal(a.Private, &h))
	for what, text := range map[string]string{
		"a private key": `"d":`, "the CI": c.ci, "the name": citizenName, "the birth date": "1990-03-01", "the response code": a.ResponseCode,
		"the transaction": h["transaction"].(string), "the request": h["request"].(string),
	} {
		if strings.Contains(kept, text) {
			t.Errorf("%s is kept", what)
		}
	}
}
