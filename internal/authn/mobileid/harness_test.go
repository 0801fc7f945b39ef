package mobileid_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	k1 "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // the signature's own format

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/mobileid"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

type doc = map[string]any

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a broker with the adapter, an institution's verifier, and a push service, all over HTTP.
type world struct {
	t           testing.TB
	offset      atomic.Int64
	store       kv.Store
	server      *httptest.Server
	adapter     *mobileid.Adapter
	institution *institution
	push        *pushService
	standard    *standard
	log         *bytes.Buffer
	patience    time.Duration // with a port
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.offset.Load())) }
func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

const (
	portKey = "port-key-0123456789"
	issuer  = "did:kr:mobileid:issuer1"
	service = "anyid.login"
)

// newWorld opens a broker; with edits the configuration is changed, and with a store it stands on that one.
func newWorld(t testing.TB, store kv.Store, edits ...func(*mobileid.Config)) *world {
	t.Helper()
	w := &world{t: t, store: store, institution: newInstitution(t), push: newPushService(t), log: new(bytes.Buffer), patience: 30 * time.Second}
	if store == nil {
		w.store = storagetest.Embedded(t, t.TempDir(), w.now).KV
	}
	w.standard = newStandard(t, w)
	mux := http.NewServeMux()
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	w.adapter = w.open(t, edits...)
	w.adapter.Serve(mux)
	return w
}

// open is one more instance on the same stores and counterparts.
func (w *world) open(t testing.TB, edits ...func(*mobileid.Config)) *mobileid.Adapter {
	t.Helper()
	box, err := secret.NewBox(secret.Key{ID: "test", Bytes: bytes.Repeat([]byte{7}, secret.KeySize)})
	check(t, err)
	port, err := mobileid.NewSidecar(w.institution.server.URL, portKey, w.patience, http.DefaultClient)
	check(t, err)
	cfg := mobileid.Config{
		Issuer: w.server.URL, Level: 3, PINLevel: 2,
		MIP: &mobileid.MIP{
			Service: service, Issuers: []string{issuer, "did:kr:mobileid:issuer2"}, Key: "rsa1",
			Cards: []mobileid.Card{
				{Code: "driverlicen", Label: "모바일 운전면허증"}, {Code: "residence", Label: "모바일 외국인등록증", Nationality: "foreign"},
			},
			PushURL: w.push.server.URL + "/api/sendVPAPI.do", PushCode: "MS1", Image: []byte("a picture"),
		},
		OpenID4VP: w.standard.config(),
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	a, err := mobileid.New(cfg, mobileid.Deps{
		Store: w.store, Box: box, HTTP: http.DefaultClient, Ports: mobileid.Ports{Ledger: port, Profiles: port, Decrypter: port},
		Now: w.now, Log: slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, nil)),
	})
	check(t, err)
	return a
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// attempt is a login under way.
type attempt struct {
	authn.Attempt
	started authn.Started
	world   *world
}

var attempts atomic.Int64

func (w *world) attempt(provider string) authn.Attempt {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:])
	return authn.Attempt{ID: "attempt" + hex.EncodeToString(nonce[:4]), Nonce: hex.EncodeToString(nonce[:]), Provider: provider, SiteName: "큐넷", ExpiresAt: w.now().Add(10 * time.Minute)}
}

func (w *world) begin(t testing.TB, in authn.Input) *attempt {
	t.Helper()
	at := w.attempt(in.Provider)
	started, err := w.adapter.Begin(t.Context(), at, in)
	check(t, err)
	at.Private = started.Private
	return &attempt{Attempt: at, started: started, world: w}
}

func (a *attempt) status(t testing.TB) authn.State {
	t.Helper()
	p, err := a.world.adapter.Status(t.Context(), a.Attempt)
	check(t, err)
	return p.State
}

// outcome asks as the journey does: what the states say, or what complete says.
func (a *attempt) outcome(t testing.TB) (authn.Evidence, authn.Code) {
	t.Helper()
	switch s := a.status(t); s {
	case authn.Approved:
	case authn.Rejected:
		return authn.Evidence{}, authn.UserCancelled
	case authn.Expired:
		return authn.Evidence{}, authn.TooLate
	case authn.Pending:
		return authn.Evidence{}, authn.NotReady
	default:
		return authn.Evidence{}, authn.Code(s)
	}
	e, err := a.world.adapter.Complete(t.Context(), a.Attempt)
	return e, codeOf(t, err)
}

func codeOf(t testing.TB, err error) authn.Code {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*authn.Error](err)
	if !ok {
		t.Fatalf("not an *authn.Error: %v", err)
	}
	return e.Code
}

// key is a key of a DID document: *ecdsa.PrivateKey on P-256, or *secp256k1.PrivateKey.
type key struct {
	id      string
	private any
}

func r1Key(t testing.TB, id string) key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key{id, private}
}

func k1Key(t testing.TB, id string) key {
	private, err := secp256k1.GeneratePrivateKey()
	check(t, err)
	return key{id, private}
}

func (k key) entry(t testing.TB, compressed bool) doc {
	switch p := k.private.(type) {
	case *ecdsa.PrivateKey:
		point, err := p.PublicKey.Bytes()
		check(t, err)
		if compressed {
			point = elliptic.MarshalCompressed(elliptic.P256(), new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:]))
		}
		return doc{"id": k.id, "curve": "secp256r1", "point": base64.RawURLEncoding.EncodeToString(point)}
	case *secp256k1.PrivateKey:
		point := p.PubKey().SerializeUncompressed()
		if compressed {
			point = p.PubKey().SerializeCompressed()
		}
		return doc{"id": k.id, "curve": "secp256k1", "point": base64.RawURLEncoding.EncodeToString(point)}
	}
	t.Fatal("no such key")
	return nil
}

func (k key) proofType() string {
	if _, ok := k.private.(*ecdsa.PrivateKey); ok {
		return "Secp256r1VerificationKey2018"
	}
	return "Secp256k1VerificationKey2018"
}

// compact signs a digest: 31 + recovery id, r, s.
func (k key) compact(t testing.TB, digest []byte) []byte {
	if p, ok := k.private.(*secp256k1.PrivateKey); ok {
		return k1.SignCompact(p, digest, true)
	}
	r, s, err := ecdsa.Sign(rand.Reader, k.private.(*ecdsa.PrivateKey), digest)
	check(t, err)
	out := make([]byte, 65)
	out[0] = 31
	r.FillBytes(out[1:33])
	s.FillBytes(out[33:])
	return out
}

// canonical is a document as it is signed.
func canonical(t testing.TB, v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	check(t, e.Encode(v))
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func base58(b []byte) string {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n, m, base := new(big.Int).SetBytes(b), new(big.Int), big.NewInt(58)
	var out []byte
	for n.Sign() > 0 {
		n.DivMod(n, base, m)
		out = append(out, alphabet[m.Int64()])
	}
	for i := 0; i < len(b) && b[i] == 0; i++ {
		out = append(out, '1')
	}
	slices.Reverse(out)
	return string(out)
}

// tagged is a signature as issuers write it.
func tagged(raw []byte, suffix string) string {
	h := ripemd160.New()
	h.Write(raw)
	h.Write([]byte(suffix))
	return "SIG_" + suffix + "_" + base58(append(slices.Clone(raw), h.Sum(nil)[:4]...))
}

// signCredential puts the issuer's proof on.
func signCredential(t testing.TB, c doc, k key) {
	delete(c, "proof")
	digest := sha256.Sum256(canonical(t, c))
	suffix := "R1"
	if k.proofType() == "Secp256k1VerificationKey2018" {
		suffix = "K1"
	}
	c["proof"] = doc{"type": k.proofType(), "creator": k.id, "created": "2026-01-02T03:04:05", "signatureValue": tagged(k.compact(t, digest[:]), suffix)}
}

// holderProof is the holder's proof of a presentation, edited before it is signed.
func holderProof(t testing.TB, vp doc, k key, nonce string, edit func(doc)) doc {
	p := doc{"type": k.proofType(), "creator": k.id, "created": "2026-01-02T03:04:05", "nonce": nonce}
	if edit != nil {
		edit(p)
	}
	signed := maps.Clone(vp)
	delete(signed, "proofs")
	delete(signed, "uncommitted")
	signed["proof"] = p
	digest := sha256.Sum256(canonical(t, signed))
	p["signatureValue"] = base58(k.compact(t, digest[:]))
	return p
}

// institution is the licensed verifier of an institution, with the ledger that it knows.
type institution struct {
	server *httptest.Server
	rsa    *rsa.PrivateKey
	issuer key

	mu       sync.Mutex
	keys     map[string][]doc // by DID
	statuses map[string]doc   // by VC id
	// fail answers in place of the port, if it says true.
	fail  func(w http.ResponseWriter, r *http.Request) bool
	asked map[string]int
	edit  func(profile doc) // before it is handed out
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newInstitution(t testing.TB) *institution {
	private, err := rsaKey()
	check(t, err)
	i := &institution{rsa: private, issuer: r1Key(t, issuer+"#key.1"), keys: map[string][]doc{}, statuses: map[string]doc{}, asked: map[string]int{}}
	i.register(t, issuer, i.issuer)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { reply(w, doc{}) })
	mux.HandleFunc("POST /documents", func(w http.ResponseWriter, r *http.Request) {
		out := []doc{}
		for _, id := range ask(r)["ids"].([]any) {
			if keys := i.keys[id.(string)]; keys != nil {
				out = append(out, doc{"id": id, "keys": keys})
			}
		}
		reply(w, doc{"documents": out})
	})
	mux.HandleFunc("POST /statuses", func(w http.ResponseWriter, r *http.Request) {
		out := []doc{}
		for _, id := range ask(r)["ids"].([]any) {
			if s := i.statuses[id.(string)]; s != nil {
				out = append(out, s)
			}
		}
		reply(w, doc{"statuses": out})
	})
	mux.HandleFunc("POST /profile", i.profile)
	mux.HandleFunc("POST /decrypt", func(w http.ResponseWriter, r *http.Request) {
		q := ask(r)
		raw, err := hex.DecodeString(q["data"].(string))
		if err != nil || q["key"] != "rsa1" || q["key_type"] != 2.0 || q["encrypt_type"] != 2.0 || len(raw) < 300 {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		plain, err := i.decrypt(raw)
		if err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		reply(w, doc{"data": base64.RawURLEncoding.EncodeToString(plain)})
	})
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked[r.URL.Path]++
		switch {
		case r.Header.Get("Authorization") != "Bearer "+portKey:
			w.WriteHeader(http.StatusUnauthorized)
		case i.fail != nil && i.fail(w, r):
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(i.server.Close)
	return i
}

func ask(r *http.Request) (q doc) {
	_ = json.NewDecoder(r.Body).Decode(&q)
	return q
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *institution) register(t testing.TB, did string, keys ...key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, k := range keys {
		i.keys[did] = append(i.keys[did], k.entry(t, n%2 == 0))
	}
}

func (i *institution) set(id, status, memo string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.statuses[id] = doc{"id": id, "status": status, "memo": memo}
}

func (i *institution) failing(fail func(w http.ResponseWriter, r *http.Request) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fail = fail
}

func (i *institution) profile(w http.ResponseWriter, r *http.Request) {
	q := ask(r)
	p := doc{
		"encoding": "UTF-8", "id": "did:kr:mobileid:sp", "version": "3.0",
		"profile": doc{
			"type": "VERIFY", "spCode": "sp", "svcCode": q["service"], "name": "정부 통합로그인 [" + q["code"].(string) + "]",
			"callBackUrl": q["callback"], "presentType": 1, "encryptType": 2, "keyType": 2, "authType": nil, "nonce": q["nonce"],
			"publicKey": "…", "filter": doc{"requiredPrivacyList": []string{"name", "birth"}},
		},
		"proof": doc{"type": "Secp256k1VerificationKey2018", "creator": "did:kr:mobileid:sp#key", "signatureValue": "…"},
	}
	if i.edit != nil {
		i.edit(p["profile"].(doc))
	}
	text, _ := json.Marshal(p)
	reply(w, doc{"profile": base64.RawURLEncoding.EncodeToString(text)})
}

// encrypt is a framing of this test's own: RSA-OAEP of an AES key, then AES-GCM.
func (i *institution) encrypt(t testing.TB, plain []byte) string {
	aesKey := make([]byte, 32)
	_, _ = rand.Read(aesKey)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &i.rsa.PublicKey, aesKey, nil)
	check(t, err)
	return hex.EncodeToString(append(wrapped, gcm(aesKey).Seal(nil, nil, plain, nil)...))
}

func (i *institution) decrypt(raw []byte) ([]byte, error) {
	aesKey, err := rsa.DecryptOAEP(sha256.New(), nil, i.rsa, raw[:256], nil)
	if err != nil {
		return nil, err
	}
	return gcm(aesKey).Open(nil, nil, raw[256:], nil)
}

func gcm(aesKey []byte) cipher.AEAD {
	block, err := aes.NewCipher(aesKey)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// pushService hands messages to phones.
type pushService struct {
	server   *httptest.Server
	mu       sync.Mutex
	messages []doc
	answer   string // in place of success
	status   int
}

func newPushService(t testing.TB) *pushService {
	p := new(pushService)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		var body struct {
			Data string `json:"data"`
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || len(body.Data)%4 != 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		text, err := base64.URLEncoding.DecodeString(body.Data)
		var message doc
		if err != nil || json.Unmarshal(text, &message) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.messages = append(p.messages, message)
		if p.status != 0 {
			w.WriteHeader(p.status)
		}
		if p.answer != "" {
			_, _ = io.WriteString(w, p.answer)
			return
		}
		reply(w, doc{"key": 1, "result": true, "resultMsg": "SUCCESS", "errcode": 0, "errmsg": "success"})
	}))
	t.Cleanup(p.server.Close)
	return p
}

// post sends JSON as a wallet does.
func post(t testing.TB, url, body string) (int, doc) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	var out doc
	check(t, json.NewDecoder(resp.Body).Decode(&out))
	return resp.StatusCode, out
}

// say sends a MIP message, and returns the data of the answer and the error code, 0 for none.
func say(t testing.TB, url string, message doc) (data doc, code int) {
	t.Helper()
	text, err := json.Marshal(message)
	check(t, err)
	body, err := json.Marshal(doc{"data": base64.RawURLEncoding.EncodeToString(text)})
	check(t, err)
	return said(t, url, string(body))
}

func said(t testing.TB, url, body string) (data doc, code int) {
	t.Helper()
	status, out := post(t, url, body)
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if text, ok := out["data"].(string); ok {
		data = decode(t, text)
	}
	if out["result"] == true {
		return data, 0
	}
	if data["cmd"] != "900" || data["type"] != "mip" || data["version"] != "1.0.0" || data["errmsg"] == "" {
		t.Fatalf("not M900: %v", data)
	}
	return data, int(data["errcode"].(float64))
}

func decode(t testing.TB, text string) (out doc) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	check(t, err)
	check(t, json.Unmarshal(raw, &out))
	return out
}

// citizen is a holder of a mobile ID.
type citizen struct {
	did, id, ci string
	keys        []key
	attributes  []doc
	card        string
	issuer      key
}

const citizenName = "홍길동"

// newCitizen issues an ID; the first key signs presentations.
func (w *world) newCitizen(t testing.TB) *citizen {
	n := attempts.Add(1)
	var b [64]byte
	_, _ = rand.Read(b[:])
	did := "did:kr:mobileid:holder" + hex.EncodeToString(b[:4])
	c := &citizen{
		did: did, id: "vc-" + hex.EncodeToString(b[:8]), ci: base64.StdEncoding.EncodeToString(b[:]), card: "driverlicen", issuer: w.institution.issuer,
		attributes: []doc{{"type": "name", "value": citizenName}, {"type": "birth", "value": "19900301"}, {"type": "sex", "value": "남"}},
	}
	c.keys = []key{r1Key(t, did+"#PIN1"), r1Key(t, did+"#FACE1")}
	if n%2 == 0 {
		c.keys[0] = k1Key(t, did+"#PIN1")
	}
	w.institution.register(t, did, c.keys...)
	w.institution.set(c.id, "ACTIVE", "")
	return c
}

// switches are what a wallet can do wrong, stage by stage.
type switches struct {
	skipProfile bool
	credentials func(list []doc)           // before the issuer signs
	stolen      func(list []doc)           // after
	nonce       func(nonce, ci string) any // in the proof
	proof       func(p doc)                // before the holder signs
	keys        []int                      // which keys sign; more than one makes proofs
	vp          func(vp doc)               // before the holder signs
	signed      func(vp doc)               // after
	plain       func(text []byte) []byte   // what is encrypted
	message     func(vp doc)               // vp of M400
}

// present makes M400's vp.
func (c *citizen) present(t testing.TB, w *world, nonce string, s switches) doc {
	t.Helper()
	list := make([]doc, len(c.attributes))
	for i, a := range c.attributes {
		list[i] = doc{
			"@context": []string{"https://www.w3.org/2018/credentials/v1"}, "id": c.id, "parentId": c.id, "version": "3.0",
			"type": []string{"VerifiableCredential", "OmniOneCredential"}, "issuer": doc{"id": issuer, "name": "발급기관 <&>"},
			"issuanceDate": "2026-01-02T03:04:05", "expirationDate": w.now().AddDate(3, 0, 0).Format("2006-01-02T15:04:05"),
			"assertion": doc{"code": c.card, "name": "운전면허증"}, "signKeyId": "key.1", "vcDef": "x.vc",
			"credentialSubject": doc{"id": c.did, "privacy": []any{a}}, "evidence": []doc{{"type": "DocumentVerification"}},
		}
	}
	if s.credentials != nil {
		s.credentials(list)
	}
	for _, v := range list {
		signCredential(t, v, c.issuer)
	}
	if s.stolen != nil {
		s.stolen(list)
	}
	vp := doc{
		"@context": []string{"https://www.w3.org/2018/credentials/v1"}, "id": "vp1", "type": []string{"VerifiablePresentation"},
		"expirationDate": w.now().Add(12 * time.Hour).UTC().Format(time.RFC3339), "verifiableCredential": list,
		"uncommitted": doc{"caInfo": doc{"caAppId": "", "walletId": "w"}},
	}
	if s.vp != nil {
		s.vp(vp)
	}
	covered := any(nonce + hex.EncodeToString([]byte(c.ci)))
	if s.nonce != nil {
		covered = s.nonce(nonce, c.ci)
	}
	if s.keys == nil {
		s.keys = []int{0}
	}
	var proofs []doc
	for _, k := range s.keys {
		proofs = append(proofs, holderProof(t, vp, c.keys[k], "", func(p doc) {
			p["nonce"] = covered
			if s.proof != nil {
				s.proof(p)
			}
		}))
	}
	if len(proofs) == 1 {
		vp["proof"] = proofs[0]
	} else {
		vp["proofs"] = proofs
	}
	if s.signed != nil {
		s.signed(vp)
	}
	text, err := json.Marshal(vp)
	check(t, err)
	if s.plain != nil {
		text = s.plain(text)
	}
	out := doc{
		"presentType": 1, "encryptType": 2, "keyType": 2, "authType": []string{"pin"}, "did": c.did, "nonce": nonce, "type": "VERIFY",
		"data": w.institution.encrypt(t, text),
	}
	if s.message != nil {
		s.message(out)
	}
	return out
}

// message is a MIP message with its header.
func message(cmd, trxcode string, more doc) doc {
	m := doc{"type": "mip", "version": "1.0.0", "cmd": cmd, "trxcode": trxcode}
	maps.Copy(m, more)
	return m
}

// scanned is M200 as the citizen's wallet got it.
func (a *attempt) scanned(t testing.TB) (host, trxcode string) {
	t.Helper()
	text := a.started.Shown.QR
	if link := a.started.Shown.Link; link != "" {
		_, text, _ = strings.Cut(link, "data=")
		text, _, _ = strings.Cut(text, "&")
	}
	if text == "" {
		a.world.push.mu.Lock()
		defer a.world.push.mu.Unlock()
		text = a.world.push.messages[len(a.world.push.messages)-1]["data"].(string)
	}
	m := decode(t, text)
	if m["cmd"] != "200" || m["type"] != "mip" || m["version"] != "1.0.0" || m["mode"] != "direct" || m["ci"] != true || m["profile"] != nil {
		t.Fatalf("M200: %v", m)
	}
	return m["host"].(string), m["trxcode"].(string)
}

// fetch is M310: the profile's content.
func fetch(t testing.TB, host, trxcode string) (profile doc, code int) {
	t.Helper()
	data, code := say(t, host+"/mip/profile", message("310", trxcode, doc{"request": "profile"}))
	if code != 0 {
		return nil, code
	}
	return decode(t, data["profile"].(string))["profile"].(doc), 0
}

// answer goes the wallet's way to the end, and returns MIP's error code, 0 for none.
func (c *citizen) answer(t testing.TB, a *attempt, s switches) int {
	t.Helper()
	host, trxcode := a.scanned(t)
	nonce := strings.Repeat("0", 64)
	if !s.skipProfile {
		profile, code := fetch(t, host, trxcode)
		if code != 0 {
			t.Fatalf("M310: %d", code)
		}
		nonce = profile["nonce"].(string)
	}
	_, code := say(t, host+"/mip/vp", message("400", trxcode, doc{"request": "presentation", "vp": c.present(t, a.world, nonce, s)}))
	return code
}

var _ crypto.Signer = (*ecdsa.PrivateKey)(nil)
