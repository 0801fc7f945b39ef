package mobileid

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/sim"
)

func ci(seed string) string {
	sum := sha512.Sum512([]byte(seed))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var people = []Person{
	{Name: "홍길동", English: "HONG GILDONG", BirthDate: "1990-03-15", Gender: "male", CI: ci("a"), Phone: "01000000001", Number: "9003151"},
	{Name: "김영희", BirthDate: "2001-11-02", Gender: "female", CI: ci("b"), Phone: "01000000002"},
	{Name: "SMITH JANE", BirthDate: "1985-12-01", Gender: "female", Foreigner: true, CI: ci("c"), Phone: "01000000003", Number: "8512016"},
	{Name: "정순자", BirthDate: "1948-02-08", Gender: "female", CI: ci("d")},
}

const (
	hong  = "01000000001"
	smith = "01000000003"
)

type object = map[string]any

// start opens a simulator behind HTTP.
func start(t testing.TB, edit func(*Config)) *Simulator {
	t.Helper()
	var s *Simulator
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	cfg := Config{URL: server.URL, People: people}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if s, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return s
}

func fault(t testing.TB, s *Simulator, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := s.Faults().Set(sim.Switch{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// verifier is an institution's side of MIP, written for the tests from docs/mobile-id.md and the reference of the
// messages. It follows the order of the messages and remembers everything.
type verifier struct {
	t     testing.TB
	sim   *Simulator
	host  string
	nonce string

	mu     sync.Mutex
	state  string
	log    []string // commands, with the number of the answer's M900
	vp     object
	code   any      // errcode of the wallet's M900
	plain  []object // presentations
	refuse int      // what M400 is answered with, 0: nothing
}

const trxcode = "20261122010203456" + "00112233445566778899aabbccddeeff"

func newVerifier(t testing.TB, s *Simulator) *verifier {
	t.Helper()
	v := &verifier{t: t, sim: s, nonce: strings.Repeat("0123456789abcdef", 4), state: "0001"}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.host = server.URL
	return v
}

// port asks a port.
func (v *verifier) port(path string, question any) (int, object) {
	v.t.Helper()
	return v.portWith(v.sim.PortKey(), path, question)
}

func (v *verifier) portWith(key, path string, question any) (int, object) {
	v.t.Helper()
	body, err := json.Marshal(question)
	if err != nil {
		v.t.Fatal(err)
	}
	verb := http.MethodPost
	if question == nil {
		verb = http.MethodGet
	}
	req, err := http.NewRequestWithContext(context.Background(), verb, v.sim.PortsURL()+path, bytes.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	var out object
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, out
}

func (v *verifier) profile() string {
	status, out := v.port("/profile", object{"service": v.sim.Service(), "nonce": v.nonce, "callback": v.host + "/mip/vp", "code": "27"})
	if status != http.StatusOK {
		v.t.Errorf("profile: %d %v", status, out)
		return ""
	}
	return out["profile"].(string)
}

// qr is the text of the QR code.
func (v *verifier) qr() string {
	return v.encode(object{"type": "mip", "version": "1.0.0", "cmd": "200", "trxcode": trxcode, "mode": "direct", "ci": true, "host": v.host})
}

func (v *verifier) encode(message object) string {
	text, err := json.Marshal(message)
	if err != nil {
		v.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// ServeHTTP is what a wallet calls.
func (v *verifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var envelope struct {
		Data string `json:"data"`
	}
	var message object
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &envelope) != nil {
		v.t.Errorf("body %q", body)
	}
	raw, err := base64.RawURLEncoding.DecodeString(envelope.Data)
	if err != nil || json.Unmarshal(raw, &message) != nil {
		v.t.Errorf("data %q", envelope.Data)
	}
	if message["type"] != "mip" || message["version"] != "1.0.0" || message["trxcode"] != trxcode {
		v.t.Errorf("message %v", message)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	command, _ := message["cmd"].(string)
	reply, number := v.handle(r.URL.Path, command, message)
	if number != 0 {
		v.log = append(v.log, command+" refused")
		reply = object{"type": "mip", "version": "1.0.0", "cmd": "900", "trxcode": trxcode, "errcode": number, "errmsg": "no"}
	} else {
		v.log = append(v.log, command)
	}
	answer := object{"result": number == 0}
	if reply != nil {
		answer["data"] = v.encode(reply)
	}
	sim.WriteJSON(w, http.StatusOK, answer)
}

func (v *verifier) handle(path, command string, message object) (reply object, number int) {
	switch path + " " + command {
	case "/mip/profile 310":
		if v.state != "0001" {
			return nil, 10201
		}
		v.state = "0002"
		return object{"trxcode": trxcode, "profile": v.profile()}, 0
	case "/mip/vp 400":
		if v.state != "0002" {
			return nil, 10201
		}
		v.state = "0003"
		v.vp = message["vp"].(object)
		status, out := v.port("/decrypt", object{"key": v.sim.KeyName(), "key_type": 2, "encrypt_type": 2, "data": v.vp["data"]})
		if status != http.StatusOK {
			return nil, 10100
		}
		plain, err := base64.RawURLEncoding.DecodeString(out["data"].(string))
		var presentation object
		if err != nil || json.Unmarshal(plain, &presentation) != nil {
			v.t.Errorf("presentation %q", plain)
		}
		v.plain = append(v.plain, presentation)
		return nil, v.refuse
	case "/mip/error 900":
		v.state, v.code = "0005", message["errcode"]
		return nil, 0
	}
	v.t.Errorf("%s with cmd %s", path, command)
	return nil, 10103
}

// scan has Hong's wallet read the QR code.
func (v *verifier) scan() Waiting {
	v.t.Helper()
	waiting, err := v.sim.Scan(v.t.Context(), hong, v.qr())
	if err != nil {
		v.t.Fatal(err)
	}
	return waiting
}

func (v *verifier) approve(choice int) Outcome {
	v.t.Helper()
	out, err := v.sim.Approve(v.t.Context(), v.scan().ID, choice)
	if err != nil {
		v.t.Fatal(err)
	}
	return out
}

// keys asks the ledger for the keys of DIDs.
func (v *verifier) keys(dids ...string) map[string]*ecdsa.PublicKey {
	v.t.Helper()
	_, out := v.port("/documents", object{"ids": dids})
	keys := map[string]*ecdsa.PublicKey{}
	for _, d := range out["documents"].([]any) {
		for _, k := range d.(object)["keys"].([]any) {
			k := k.(object)
			point, err := base64.RawURLEncoding.DecodeString(k["point"].(string))
			if err != nil || k["curve"] != "secp256r1" {
				continue
			}
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
			if err != nil {
				v.t.Fatal(err)
			}
			keys[k["id"].(string)] = key
		}
	}
	return keys
}

// verifies checks a signature over what docs/mobile-id.md says is signed. The members of a map are marshalled sorted.
func verifies(t testing.TB, document, proof object, own bool, key *ecdsa.PublicKey) bool {
	t.Helper()
	signed := object{}
	for name, value := range document {
		if name != "proof" && (!own || name != "proofs" && name != "uncommitted") {
			signed[name] = value
		}
	}
	if own {
		unsigned := object{}
		for name, value := range proof {
			if name != "signatureValue" {
				unsigned[name] = value
			}
		}
		signed["proof"] = unsigned
	}
	text, err := json.Marshal(signed)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.TrimPrefix(proof["signatureValue"].(string), "SIG_R1_")
	signature := decode58(value)
	if len(signature) != 65 && len(signature) != 69 {
		t.Errorf("a signature of %d bytes", len(signature))
		return false
	}
	digest := sha256.Sum256(text)
	return key != nil && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[1:33]), new(big.Int).SetBytes(signature[33:65]))
}

// decode58 decodes base58 of what does not begin with a zero.
func decode58(text string) []byte {
	n := new(big.Int)
	for _, c := range text {
		n.Mul(n, big.NewInt(58)).Add(n, big.NewInt(int64(strings.IndexRune("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", c))))
	}
	return n.Bytes()
}

func TestPresentation(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, start(t, nil))
	waiting := v.scan()
	if waiting.Asker != "정부 통합로그인" || waiting.Code != "27" || waiting.Protocol != "mip" || len(waiting.Choices) != 2 ||
		waiting.Choices[1].Label != "모바일 운전면허증" || !slices.Equal(waiting.Choices[1].Items, []string{"이름", "생년월일", "성별", "국적", "연계정보(CI)"}) {
		t.Errorf("%+v", waiting)
	}
	out, err := v.sim.Approve(t.Context(), waiting.ID, 1)
	if err != nil || out != (Outcome{Result: ResultSent}) {
		t.Fatalf("%+v, %v; %v", out, err, v.log)
	}
	if !slices.Equal(v.log, []string{"310", "400"}) {
		t.Error(v.log)
	}
	if v.vp["presentType"] != 1.0 || v.vp["encryptType"] != 2.0 || v.vp["keyType"] != 2.0 || v.vp["type"] != "VERIFY" || v.vp["nonce"] != v.nonce {
		t.Errorf("%v", v.vp)
	}
	vp := v.plain[0]
	proof := vp["proof"].(object)
	holder := v.vp["did"].(string)
	if proof["creator"] != holder+"#PIN1" || proof["nonce"] != v.nonce+hex.EncodeToString([]byte(people[0].CI)) {
		t.Errorf("%v", proof)
	}
	keys := v.keys(append(v.sim.IssuerDIDs(), holder)...)
	if !verifies(t, vp, proof, true, keys[proof["creator"].(string)]) {
		t.Error("the holder's proof does not verify")
	}
	said, ids := map[string]string{}, []string{}
	for _, c := range vp["verifiableCredential"].([]any) {
		vc := c.(object)
		subject := vc["credentialSubject"].(object)
		privacy := subject["privacy"].([]any)
		if subject["id"] != holder || len(privacy) != 1 || vc["assertion"].(object)["code"] != "driverlicen" || vc["parentId"] != vp["verifiableCredential"].([]any)[0].(object)["parentId"] {
			t.Errorf("%v", vc)
		}
		said[privacy[0].(object)["type"].(string)] = privacy[0].(object)["value"].(string)
		ids = append(ids, vc["id"].(string))
		issuer := vc["issuer"].(object)["id"].(string)
		proof := vc["proof"].(object)
		if !strings.HasPrefix(proof["signatureValue"].(string), "SIG_R1_") || !verifies(t, vc, proof, false, keys[issuer+"#"+vc["signKeyId"].(string)]) {
			t.Error("a credential's proof does not verify")
		}
	}
	if want := map[string]string{"name": "홍길동", "birth": "19900315", "sex": "M", "nationality": "KOR"}; len(said) != len(want) || said["name"] != want["name"] || said["birth"] != want["birth"] || said["sex"] != want["sex"] {
		t.Error(said)
	}
	_, statuses := v.port("/statuses", object{"ids": append(ids, "nobody's")})
	for i, s := range statuses["statuses"].([]any) {
		want := "ACTIVE"
		if i == len(ids) {
			want = "NOT_EXIST"
		}
		if got := s.(object)["status"]; got != want {
			t.Errorf("status %v, want %s", got, want)
		}
	}
	if _, err := v.sim.Approve(t.Context(), waiting.ID, 0); !errors.Is(err, ErrNotWaiting) {
		t.Errorf("approved twice: %v", err)
	}
	history := v.sim.History(hong)
	if len(history) != 1 || history[0].Result != ResultSent || history[0].Choice.Label != "모바일 운전면허증" {
		t.Errorf("%+v", history)
	}
}

func TestSeveralProofs(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, start(t, func(c *Config) { c.AuthTypes = []string{"pin", "face"} }))
	v.approve(0)
	proofs := v.plain[0]["proofs"].([]any)
	keys := v.keys(v.vp["did"].(string))
	if len(proofs) != 2 || len(keys) != 3 || v.plain[0]["proof"] != nil {
		t.Fatalf("%v", proofs)
	}
	for i, name := range []string{"#PIN1", "#FACE1"} {
		proof := proofs[i].(object)
		if !strings.HasSuffix(proof["creator"].(string), name) || !verifies(t, v.plain[0], proof, true, keys[proof["creator"].(string)]) {
			t.Errorf("%s does not verify", name)
		}
	}
}

func TestRefusalsOfTheWallet(t *testing.T) {
	t.Parallel()
	t.Run("the citizen", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		out, err := v.sim.Deny(t.Context(), v.scan().ID)
		if err != nil || out.Result != ResultDenied || v.code != 20901.0 {
			t.Errorf("%+v, %v, %v", out, err, v.code)
		}
	})
	t.Run("as a string", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		fault(t, v.sim, FaultStringCode)
		if _, err := v.sim.Deny(t.Context(), v.scan().ID); err != nil || v.code != "20901" {
			t.Errorf("%v, %v", err, v.code)
		}
	})
	t.Run("no such ID", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, func(c *Config) {
			c.People = []Person{{Name: "홍길동", BirthDate: "1990-03-15", Gender: "male", CI: ci("a"), Phone: hong, IDs: []string{}}}
		}))
		if _, err := v.sim.Scan(t.Context(), hong, v.qr()); err == nil || v.code != 20301.0 {
			t.Errorf("%v, %v", err, v.code)
		}
	})
	t.Run("a profile of another institution", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		here := start(t, nil)
		if _, err := here.Scan(t.Context(), hong, v.qr()); err == nil || v.code != 20307.0 || !strings.Contains(problem(err), "20307") {
			t.Errorf("%v, %v", err, v.code)
		}
	})
	t.Run("an answer of the verifier's", func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		v.refuse = 10111
		if out := v.approve(0); out != (Outcome{Result: ResultRefused, Error: "10111"}) {
			t.Errorf("%+v", out)
		}
	})
	for name, text := range map[string]string{
		"nothing": "", "words": "안녕하세요", "JSON": "{}", "another link": "kakao://verify?data=00", "no host": base64.RawURLEncoding.EncodeToString([]byte(`{"type":"mip","version":"1.0.0","cmd":"200","trxcode":"1","mode":"direct"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			if _, err := s.Scan(t.Context(), hong, text); err == nil || len(s.Waiting("")) != 0 {
				t.Error("taken")
			}
		})
	}
}

// TestTamperedProfile: the wallet believes no profile that its institution did not sign.
func TestTamperedProfile(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	v := newVerifier(t, s)
	raw, err := base64.RawURLEncoding.DecodeString(v.profile())
	if err != nil {
		t.Fatal(err)
	}
	j := &mipJob{s: s, w: s.byPhone[hong]}
	if err := j.readProfile(raw); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string][2]string{
		"nonce":     {v.nonce, strings.Repeat("f", 64)},
		"name":      {"정부", "정보"},
		"signature": {`"signatureValue":"`, `"signatureValue":"1`},
		"proof":     {`"proof"`, `"prof"`},
		"creator":   {"#sp.1", "#sp.2"},
	} {
		changed := strings.Replace(string(raw), edit[0], edit[1], 1)
		if changed == string(raw) {
			t.Errorf("%s: nothing changed", name)
		}
		if j.readProfile([]byte(changed)) == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFaultsOfPresentations(t *testing.T) {
	t.Parallel()
	last := func(vp object) object { list := vp["verifiableCredential"].([]any); return list[len(list)-1].(object) }
	first := func(vp object) object { return vp["verifiableCredential"].([]any)[0].(object) }
	nonce := func(vp object) string { return vp["proof"].(object)["nonce"].(string) }
	for _, c := range []struct {
		fault string
		shows func(v *verifier, vp object) bool
	}{
		{FaultWrongNonce, func(v *verifier, vp object) bool {
			return !strings.Contains(nonce(vp), v.nonce) && v.vp["nonce"] == v.nonce
		}},
		{FaultNonceContains, func(v *verifier, vp object) bool {
			return strings.Contains(nonce(vp), v.nonce) && !strings.HasPrefix(nonce(vp), v.nonce)
		}},
		{FaultMissingCI, func(v *verifier, vp object) bool { return nonce(vp) == v.nonce }},
		{FaultMalformedCI, func(v *verifier, vp object) bool { return len(nonce(vp)) == 64+160 }},
		{FaultOtherHolder, func(v *verifier, vp object) bool {
			return last(vp)["credentialSubject"].(object)["id"] != v.vp["did"] && first(vp)["credentialSubject"].(object)["id"] == v.vp["did"]
		}},
		{FaultMixedParent, func(_ *verifier, vp object) bool { return last(vp)["parentId"] != first(vp)["parentId"] }},
		{FaultExpired, func(_ *verifier, vp object) bool {
			return last(vp)["expirationDate"].(string) < time.Now().In(korea).Format(mipTime) && first(vp)["expirationDate"].(string) > time.Now().Format(mipTime)
		}},
		{FaultOtherIssuer, func(v *verifier, vp object) bool {
			issuer := last(vp)["issuer"].(object)["id"].(string)
			return !slices.Contains(v.sim.IssuerDIDs(), issuer) && verifies(v.t, last(vp), last(vp)["proof"].(object), false, v.keys(issuer)[issuer+"#assert.1"])
		}},
		{FaultWrongSignature, func(v *verifier, vp object) bool {
			proof := vp["proof"].(object)
			return !verifies(v.t, vp, proof, true, v.keys(v.vp["did"].(string))[proof["creator"].(string)])
		}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, start(t, nil))
			fault(t, v.sim, c.fault)
			v.approve(0)
			if !c.shows(v, v.plain[0]) {
				t.Errorf("does not show: %v", v.plain[0])
			}
			if keys := v.keys(append(v.sim.IssuerDIDs(), v.vp["did"].(string))...); c.fault != FaultWrongSignature {
				proof := v.plain[0]["proof"].(object)
				if !verifies(t, v.plain[0], proof, true, keys[proof["creator"].(string)]) {
					t.Error("something else is wrong too")
				}
			}
		})
	}
}

func TestFaultsOfTheOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		log   []string
		out   Outcome
	}{
		{FaultPresentFirst, []string{"400 refused", "310", "400"}, Outcome{Result: ResultSent}},
		{FaultProfileTwice, []string{"310", "310 refused", "400"}, Outcome{Result: ResultSent}},
		{FaultTwice, []string{"310", "400", "400 refused"}, Outcome{Result: ResultSent}},
		{FaultCancel, []string{"310", "900"}, Outcome{Result: ResultDenied}},
		{FaultUndecryptable, []string{"310", "400 refused"}, Outcome{Result: ResultRefused, Error: "10100"}},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, start(t, nil))
			fault(t, v.sim, c.fault)
			if out := v.approve(0); out != c.out || !slices.Equal(v.log, c.log) {
				t.Errorf("%+v, %v", out, v.log)
			}
		})
	}
	t.Run(FaultReplay, func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		v.approve(0)
		fault(t, v.sim, FaultReplay)
		before, nonce := v.vp["data"], v.nonce
		v.state, v.nonce = "0001", strings.Repeat("f", 64)
		v.approve(0)
		if v.vp["data"] != before || v.vp["nonce"] != nonce {
			t.Error("not the one before")
		}
	})
	t.Run(FaultLate, func(t *testing.T) {
		t.Parallel()
		v := newVerifier(t, start(t, nil))
		if err := v.sim.Faults().Set(sim.Switch{Name: FaultLate, DelayMS: 50}); err != nil {
			t.Fatal(err)
		}
		if out := v.approve(0); out.Result != ResultLater {
			t.Errorf("%+v", out)
		}
		for v.sim.History(hong)[0].Result == ResultLater {
			time.Sleep(5 * time.Millisecond)
		}
		if e := v.sim.History(hong)[0]; e.Result != ResultSent {
			t.Errorf("%+v", e)
		}
	})
}

func TestPorts(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, start(t, nil))
	good := object{"service": v.sim.Service(), "nonce": v.nonce, "callback": v.host, "code": ""}
	for _, c := range []struct {
		key, path string
		question  any
		status    int
	}{
		{v.sim.PortKey(), "/health", nil, 200},
		{"another", "/health", nil, 401},
		{"", "/documents", object{"ids": []string{}}, 401},
		{v.sim.PortKey(), "/documents", object{"ids": []string{"did:kr:mobileid:nobody"}}, 200},
		{v.sim.PortKey(), "/documents", object{"id": "x"}, 400},
		{v.sim.PortKey(), "/statuses", object{"ids": slices.Repeat([]string{"x"}, maxIDs+1)}, 400},
		{v.sim.PortKey(), "/profile", good, 200},
		{v.sim.PortKey(), "/profile", object{"service": "another", "nonce": v.nonce, "callback": v.host, "code": ""}, 400},
		{v.sim.PortKey(), "/profile", object{"service": v.sim.Service(), "nonce": "0", "callback": v.host, "code": ""}, 400},
		{v.sim.PortKey(), "/decrypt", object{"key": "another", "key_type": 2, "encrypt_type": 2, "data": "00"}, 400},
		{v.sim.PortKey(), "/decrypt", object{"key": v.sim.KeyName(), "key_type": 2, "encrypt_type": 2, "data": "00"}, 422},
		{v.sim.PortKey(), "/decrypt", object{"key": v.sim.KeyName(), "key_type": 2, "encrypt_type": 2, "data": "zz"}, 422},
	} {
		if status, out := v.portWith(c.key, c.path, c.question); status != c.status {
			t.Errorf("%s %v: %d %v, want %d", c.path, c.question, status, out, c.status)
		}
	}
	for fault, want := range map[string]object{
		FaultRevoked:          {"status": "REVOKE", "memo": ""},
		FaultNeedRenew:        {"status": "NEED_RENEW", "memo": "갱신필요"},
		FaultNeedRenewAddress: {"status": "NEED_RENEW", "memo": "주소변경"},
	} {
		if err := v.sim.Faults().Set(sim.Switch{Name: fault, Uses: 1, Only: hong}); err != nil {
			t.Fatal(err)
		}
		card := v.sim.byPhone[hong].cards[0]
		_, out := v.port("/statuses", object{"ids": []string{card.vcs["name"], card.vcs["birth"]}})
		list := out["statuses"].([]any)
		if last := list[1].(object); list[0].(object)["status"] != "ACTIVE" || last["status"] != want["status"] || last["memo"] != want["memo"] {
			t.Errorf("%s: %v", fault, list)
		}
	}
	fault(t, v.sim, FaultServerError)
	if status, _ := v.port("/documents", object{"ids": []string{}}); status != 500 {
		t.Errorf("%s: %d", FaultServerError, status)
	}
	v.sim.Faults().Clear()
	fault(t, v.sim, FaultUnreachable)
	if status, _ := v.port("/documents", object{"ids": []string{}}); status != 0 {
		t.Errorf("%s: %d", FaultUnreachable, status)
	}
	v.sim.Faults().Clear()
	if err := v.sim.Faults().Set(sim.Switch{Name: FaultSlow, DelayMS: 30, Only: "decrypt"}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	v.port("/decrypt", object{})
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("%s: %v", FaultSlow, took)
	}
}

func (v *verifier) push(edit func(object)) object {
	v.t.Helper()
	message := object{"mscode": v.sim.PushCode(), "pushType": "MIP-USP-001", "telno": hong, "name": "홍길동", "birth": "19900315", "data": v.qr()}
	if edit != nil {
		edit(message)
	}
	text, err := json.Marshal(message)
	if err != nil {
		v.t.Fatal(err)
	}
	body, err := json.Marshal(object{"data": base64.URLEncoding.EncodeToString(text)})
	if err != nil {
		v.t.Fatal(err)
	}
	resp, err := http.Post(v.sim.PushURL(), "application/json; charset=UTF-8", bytes.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out object
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatal(resp.StatusCode, err)
	}
	return out
}

func TestPush(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, start(t, nil))
	if out := v.push(nil); out["result"] != true || out["key"] != 1.0 || out["errcode"] != 0.0 || out["resultMsg"] != "SUCCESS" {
		t.Fatalf("%v", out)
	}
	for len(v.sim.Waiting(hong)) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if out, err := v.sim.Approve(t.Context(), v.sim.Waiting(hong)[0].ID, 0); err != nil || out.Result != ResultSent {
		t.Errorf("%+v, %v", out, err)
	}
	// The transaction is over: the second push opens nothing.
	v.push(nil)
	for len(v.sim.History(hong)) < 2 {
		time.Sleep(5 * time.Millisecond)
	}
	if e := v.sim.History(hong)[0]; e.Result != ResultRefused || e.Error != "10201" {
		t.Errorf("%+v", e)
	}
	for code, edit := range map[float64]func(object){
		10301: func(m object) { m["mscode"] = "another" },
		10302: func(m object) { m["pushType"] = "MIP-USP-002" },
		10303: func(m object) { m["telno"] = "010-0000-0001" },
		10304: func(m object) { m["data"] = "0" },
		10305: func(m object) { m["telno"] = "01000000099" },
	} {
		if out := v.push(edit); out["result"] != false || out["errcode"] != code {
			t.Errorf("%v, want %v", out, code)
		}
	}
	for name, code := range map[string]float64{FaultNoReceiver: 10305, FaultPushFails: 10399} {
		if err := v.sim.Faults().Set(sim.Switch{Name: name, Uses: 1, Only: hong}); err != nil {
			t.Fatal(err)
		}
		if out := v.push(nil); out["result"] != false || out["errcode"] != code {
			t.Errorf("%s: %v", name, out)
		}
	}
	for range maxWaiting {
		v.mu.Lock()
		v.state = "0001"
		v.mu.Unlock()
		v.scan()
	}
	if out := v.push(nil); out["errcode"] != 10306.0 {
		t.Errorf("a full phone: %v", out)
	}
}

// TestPages walks as a citizen does.
func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	v := newVerifier(t, s)
	b, err := browse.New(http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(b.Open(t.Context(), s.url))
	do(b.Click(t.Context(), "wallet-"+hong))
	do(b.Click(t.Context(), "to-scan"))
	do(b.Fill("scan-text", "nothing"))
	do(b.Click(t.Context(), "scan"))
	if b.Status() != http.StatusUnprocessableEntity || !b.Has("scan-problem") {
		t.Errorf("%d %s", b.Status(), b.Title())
	}
	do(b.Fill("scan-text", "mobileid://verify?data_type=byte&mode=direct&data="+v.qr()))
	do(b.Click(t.Context(), "scan"))
	id := s.Waiting(hong)[0].ID
	if text := b.Text("request-" + id); !strings.Contains(text, "정부 통합로그인") || !strings.Contains(text, "27") || !strings.Contains(text, "모바일 주민등록증") {
		t.Errorf("%q", text)
	}
	do(b.Check("request-" + id + "-choice-1"))
	do(b.Click(t.Context(), "request-"+id+"-approve"))
	if text := b.Text("result"); !strings.Contains(text, "제출 완료") {
		t.Errorf("%q", text)
	}
	do(b.Click(t.Context(), "to-history"))
	if text := b.Text("history"); !strings.Contains(text, "모바일 운전면허증") {
		t.Errorf("%q", text)
	}

	// The link of a page that no browser can open itself.
	v.state = "0001"
	do(b.Open(t.Context(), s.url+"/open?link="+url.QueryEscape("mobileid://verify?data_type=byte&mode=direct&data="+v.qr())))
	do(b.Click(t.Context(), "open-"+smith))
	id = s.Waiting(smith)[0].ID
	do(b.Click(t.Context(), "request-"+id+"-deny"))
	if text := b.Text("result"); !strings.Contains(text, "거절함") || v.code != 20901.0 {
		t.Errorf("%q, %v", text, v.code)
	}
	do(b.Open(t.Context(), s.url+"/wallets/01000000099"))
	if b.Status() != http.StatusNotFound {
		t.Errorf("nobody's wallet: %d", b.Status())
	}
}

func TestAutoApprove(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, start(t, func(c *Config) { c.AutoApprove = true }))
	v.scan()
	if len(v.sim.Waiting("")) != 0 || len(v.plain) != 1 {
		t.Error("not approved")
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	person := people[0]
	for name, edit := range map[string]func(*Config){
		"no URL":      func(c *Config) { c.URL = "" },
		"authType":    func(c *Config) { c.AuthTypes = []string{"iris"} },
		"CI":          func(c *Config) { person := person; person.CI = "short"; c.People = []Person{person} },
		"phone":       func(c *Config) { person := person; person.Phone = "02-123"; c.People = []Person{person} },
		"twice":       func(c *Config) { c.People = []Person{person, person} },
		"ID":          func(c *Config) { person := person; person.IDs = []string{"passport"}; c.People = []Person{person} },
		"birth date":  func(c *Config) { person := person; person.BirthDate = "19900315"; c.People = []Person{person} },
		"the number":  func(c *Config) { person := person; person.Number = "900315-1"; c.People = []Person{person} },
		"the gender":  func(c *Config) { person := person; person.Gender = ""; c.People = []Person{person} },
		"no name yet": func(c *Config) { person := person; person.Name = ""; c.People = []Person{person} },
	} {
		cfg := Config{URL: "http://127.0.0.1", People: people}
		edit(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestContainer(t *testing.T) {
	t.Parallel()
	l, err := newLedger()
	if err != nil {
		t.Fatal(err)
	}
	for encryptType := range keySizes {
		text, err := seal(&l.opening.PublicKey, encryptType, []byte("words"))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := unseal(l.opening, encryptType, text); err != nil || string(plain) != "words" {
			t.Errorf("%q, %v", plain, err)
		}
		if _, err := unseal(l.opening, 3-encryptType, text); err == nil {
			t.Error("opened with another encryptType")
		}
	}
	if _, err := seal(&l.opening.PublicKey, 0, nil); err == nil {
		t.Error("sealed without encryption")
	}
}

func FuzzUnseal(f *testing.F) {
	l, err := newLedger()
	if err != nil {
		f.Fatal(err)
	}
	good, err := seal(&l.opening.PublicKey, 2, []byte("words"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add("")
	f.Add("ffff00")
	f.Fuzz(func(t *testing.T, text string) {
		if plain, err := unseal(l.opening, 2, text); err == nil && string(plain) != "words" {
			t.Errorf("opened %q", text)
		}
	})
}

func FuzzParseStart(f *testing.F) {
	v := &verifier{t: f, host: "http://127.0.0.1:1"}
	f.Add(v.qr())
	f.Add("mobileid://verify?data_type=byte&mode=direct&data=" + v.qr())
	f.Add("mobileid:%zz")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if m, err := parseStart(text); err == nil && (m.Trxcode == "" || m.Host == "" || m.Command != cmdStart) {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzBase58(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1})
	f.Add(make([]byte, 65))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 512 {
			return
		}
		text := base58(data)
		if got, err := parseBase58(text); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%x → %q → %x, %v", data, text, got, err)
		}
	})
}
