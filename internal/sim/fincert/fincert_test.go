package fincert

import (
	"bytes"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

func ci(seed string) string {
	sum := sha512.Sum512([]byte(seed))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var people = []Person{
	{Name: "홍길동", English: "HONG GILDONG", BirthDate: "1890-01-01", Gender: "male", Phone: "01000000001", Number: "9001019000007", CI: ci("a"), PIN: "135790"},
	{Name: "SMITH JANE", BirthDate: "1801-01-01", Gender: "female", Foreigner: true, Number: "0101010000003", CI: ci("b"), CI2: ci("b2"), PIN: "246802"},
	{Name: "정순자", BirthDate: "1848-02-08", Gender: "female", Number: "4802080000001", CI: ci("c")},
}

const (
	origin    = "https://login.example.kr"
	agreement = "이름을 제공하는 것에 동의합니다."
	nonce     = "000102030405060708090a0b0c0d0e0f"
)

// client is a relying party and its citizen, written for the tests from the package comment.
type client struct {
	t           testing.TB
	sim         *Simulator
	signer, api string
	pki         *npkitest.PKI
}

func start(t testing.TB, edit func(*Config)) *client {
	t.Helper()
	cfg := Config{PKI: npkitest.New(npkitest.Options{}), People: people}
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	signer, api := httptest.NewServer(s.SignerHandler()), httptest.NewServer(s.APIHandler())
	t.Cleanup(signer.Close)
	t.Cleanup(api.Close)
	return &client{t: t, sim: s, signer: signer.URL, api: api.URL, pki: cfg.PKI}
}

func (c *client) fault(names ...string) {
	c.t.Helper()
	for _, name := range names {
		if err := c.sim.Faults().Set(sim.Switch{Name: name}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// do sends a request and decodes the JSON of its answer.
func (c *client) do(method, address, contentType, body string, header map[string]string, into any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	for name, value := range header {
		req.Header[name] = []string{value}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		c.t.Fatalf("%s %s: %d %q: %v", method, address, resp.StatusCode, answer, err)
	}
	return resp.StatusCode
}

// object is JSON.
type object = map[string]any

func ucpidContent() object {
	return object{"ucpidInfo": object{
		"ispUrlInfo": "login.example.kr", "ucpidNonce": nonce, "userAgreement": agreement,
		"userAgreeInfo": object{"realName": true, "gender": true, "nationalInfo": true, "birthDate": true, "ci": true},
	}}
}

func textContent(texts ...string) object {
	return object{"plainText": object{"plainTexts": texts, "encoding": "UTF-8"}}
}

// ask is the argument of FinCert.Sdk.sign.
func ask(format string, content object) object {
	return object{
		"signFormat": object{"type": format, "CMSInfo": object{
			"ssn": "dummy", "time": "20261122010203", "withoutContent": false, "includeR": false, "generalSyntax": true,
		}},
		"content": content, "algorithms": algorithmPKCS1,
		"view": object{"oid": object{policyPerson: true}}, "info": object{"signType": "01"},
	}
}

// request asks for a signature.
func (c *client) request(request object) (id string, f *failure) {
	c.t.Helper()
	body, err := json.Marshal(object{"origin": origin, "orgCode": c.sim.OrgCode(), "apiKey": c.sim.ClientID(), "request": request})
	if err != nil {
		c.t.Fatal(err)
	}
	var out struct {
		ID    string   `json:"id"`
		Error *failure `json:"error"`
	}
	c.do("POST", c.signer+"/v1/requests", "application/json", string(body), nil, &out)
	return out.ID, out.Error
}

// decide does what the page's form does.
func (c *client) decide(id string, form url.Values) (int, outcome) {
	c.t.Helper()
	var out outcome
	status := c.do("POST", c.signer+"/v1/requests/"+id, "application/x-www-form-urlencoded", form.Encode(), map[string]string{"Accept": "application/json"}, &out)
	return status, out
}

// sign goes all the way with the first certificate.
func (c *client) sign(request object) *result {
	c.t.Helper()
	id, f := c.request(request)
	if f != nil {
		c.t.Fatalf("refused: %+v", f)
	}
	status, out := c.decide(id, url.Values{"certificate": {"1"}, "pin": {people[0].PIN}})
	if status != http.StatusOK || out.Result == nil {
		c.t.Fatalf("%d %+v", status, out.Error)
	}
	return out.Result
}

func decoded(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestShapesOfSignatures(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	info := func(request object) object { return request["signFormat"].(object)["CMSInfo"].(object) }
	for name, tt := range map[string]struct {
		edit func(object)
		want npki.Want
		attr bool
	}{
		"general":      {func(object) {}, npki.Want{Attributes: npki.Required}, true},
		"bare":         {func(r object) { info(r)["generalSyntax"] = false }, npki.Want{AllowBare: true}, true},
		"PSS":          {func(r object) { r["algorithms"] = algorithmPSS }, npki.Want{}, true},
		"no time":      {func(r object) { info(r)["time"] = "" }, npki.Want{Attributes: npki.Forbidden}, false},
		"detached":     {func(r object) { info(r)["withoutContent"] = true }, npki.Want{Detached: true}, true},
		"bare and PSS": {func(r object) { info(r)["generalSyntax"] = false; r["algorithms"] = algorithmPSS }, npki.Want{AllowBare: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := ask("CMS", textContent("로그인"))
			tt.edit(request)
			got := c.sign(request)
			tt.want.Content = []byte("로그인")
			signed, err := npki.VerifySignedData(decoded(t, got.SignedVals[0]), tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if signed.HadAttributes != tt.attr || !bytes.Equal(signed.Certificate.Raw, decoded(t, got.Certificate)) || len(decoded(t, got.RValue)) != npki.RSize {
				t.Errorf("attributes %t, certificate, or R of %d bytes", signed.HadAttributes, len(decoded(t, got.RValue)))
			}
			if p, _ := signed.Certificate.Policy(); p.Kind != npki.Financial || p.Holder != npki.Person {
				t.Errorf("policy %+v", p)
			}
		})
	}
	for _, scheme := range []struct {
		algorithm string
		scheme    npki.SignatureScheme
	}{{algorithmPKCS1, npki.PKCS1v15}, {algorithmPSS, npki.PSS}} {
		request := ask("PKCS1", textContent("가", "나"))
		request["algorithms"] = scheme.algorithm
		got := c.sign(request)
		certificate, err := x509.ParseCertificate(decoded(t, got.Certificate))
		if err != nil || len(got.SignedVals) != 2 {
			t.Fatal(err, got.SignedVals)
		}
		for i, content := range []string{"가", "나"} {
			if err := npki.VerifySignature(certificate, scheme.scheme, []byte(content), decoded(t, got.SignedVals[i])); err != nil {
				t.Error(err)
			}
		}
	}
	binary := c.sign(ask("CMS", object{"binary": object{"binaries": []string{"AAEC"}}}))
	if _, err := npki.VerifySignedData(decoded(t, binary.SignedVals[0]), npki.Want{Content: []byte{0, 1, 2}}); err != nil {
		t.Error(err)
	}
	identity := c.sign(ask("CMS", ucpidContent()))
	want, err := hex.DecodeString(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := npki.VerifyUCPIDRequest(decoded(t, identity.SignedVals[0]), npki.Want{}, npki.UCPIDWant{
		Nonce: want, Site: "login.example.kr", Agreement: agreement, Items: npki.UCPIDAll,
	}); err != nil {
		t.Error(err)
	}
}

func TestRequestsAreChecked(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for name, edit := range map[string]func(object){
		"format":       func(r object) { r["signFormat"].(object)["type"] = "XML" },
		"time":         func(r object) { r["signFormat"].(object)["CMSInfo"].(object)["time"] = "2026" },
		"R inside":     func(r object) { r["signFormat"].(object)["CMSInfo"].(object)["includeR"] = true },
		"algorithm":    func(r object) { r["algorithms"] = "SHA1" },
		"purpose":      func(r object) { r["info"] = object{"signType": "77"} },
		"no content":   func(r object) { r["content"] = object{} },
		"two contents": func(r object) { r["content"].(object)["plainText"] = textContent("x")["plainText"] },
		"no texts":     func(r object) { r["content"] = textContent() },
		"empty text":   func(r object) { r["content"] = textContent("") },
		"EUC-KR": func(r object) {
			r["content"] = object{"plainText": object{"plainTexts": []string{"x"}, "encoding": "EUC-KR"}}
		},
		"binaries":           func(r object) { r["content"] = object{"binary": object{"binaries": []string{"!"}}} },
		"nonce":              func(r object) { r["content"].(object)["ucpidInfo"].(object)["ucpidNonce"] = "xyz" },
		"no agreement":       func(r object) { r["content"].(object)["ucpidInfo"].(object)["userAgreement"] = "" },
		"identity in PKCS1":  func(r object) { r["signFormat"].(object)["type"] = "PKCS1" },
		"a field of nowhere": func(r object) { r["extra"] = 1 },
	} {
		request := ask("CMS", ucpidContent())
		edit(request)
		if id, f := c.request(request); id != "" || f == nil || f.Code != codeRequest {
			t.Errorf("%s: %q %+v", name, id, f)
		}
	}
	for name, body := range map[string]object{
		"org code":   {"origin": origin, "orgCode": "D000000002", "apiKey": c.sim.ClientID(), "request": ask("CMS", ucpidContent())},
		"API key":    {"origin": origin, "orgCode": c.sim.OrgCode(), "apiKey": "x", "request": ask("CMS", ucpidContent())},
		"origin":     {"origin": "https://login.example.kr/x", "orgCode": c.sim.OrgCode(), "apiKey": c.sim.ClientID(), "request": ask("CMS", ucpidContent())},
		"no origin":  {"origin": "", "orgCode": c.sim.OrgCode(), "apiKey": c.sim.ClientID(), "request": ask("CMS", ucpidContent())},
		"null":       {"origin": "null", "orgCode": c.sim.OrgCode(), "apiKey": c.sim.ClientID(), "request": ask("CMS", ucpidContent())},
		"directives": {"origin": "https://a;script-src", "orgCode": c.sim.OrgCode(), "apiKey": c.sim.ClientID(), "request": ask("CMS", ucpidContent())},
	} {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var out outcome
		if status := c.do("POST", c.signer+"/v1/requests", "application/json", string(text), nil, &out); status != http.StatusBadRequest || out.Error == nil {
			t.Errorf("%s: %d", name, status)
		}
	}
}

func TestPIN(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	right := url.Values{"certificate": {"1"}, "pin": {people[0].PIN}}
	wrong := url.Values{"certificate": {"1"}, "pin": {"000000"}}
	id, _ := c.request(ask("CMS", ucpidContent()))
	for left := 4; left >= 1; left-- {
		if status, out := c.decide(id, wrong); status != 422 || out.Error.Code != codePIN || out.Error.Left != left {
			t.Fatalf("%d %+v", status, out.Error)
		}
	}
	if status, out := c.decide(id, wrong); status != 422 || out.Error.Code != codeLocked {
		t.Fatalf("%d %+v", status, out.Error)
	}
	if _, out := c.decide(id, right); out.Result != nil || out.Error.Code != codeLocked {
		t.Fatalf("a locked certificate signs: %+v", out)
	}
	if locked := c.sim.Certificates()[0].Locked; !locked {
		t.Error("it is not shown as locked")
	}
	// Another one is not locked, and the relying party may insist on one.
	if _, out := c.decide(id, url.Values{"certificate": {"2"}, "pin": {people[1].PIN}}); out.Result == nil {
		t.Errorf("%+v", out.Error)
	}
	resp, err := http.PostForm(c.signer+"/certificates/1/unlock", nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	request := ask("CMS", ucpidContent())
	request["view"].(object)["certSeqNum"] = "1"
	id, _ = c.request(request)
	if _, out := c.decide(id, url.Values{"certificate": {"2"}, "pin": {people[1].PIN}}); out.Error == nil || out.Error.Code != codeRequest {
		t.Errorf("%+v", out)
	}
	if _, out := c.decide(id, right); out.Result == nil {
		t.Errorf("%+v", out.Error)
	}
	if _, out := c.decide(id, right); out.Result != nil || out.Error.Code != codeGone {
		t.Errorf("a request is signed twice: %+v", out)
	}
	// A relying party that takes other certificates only.
	request = ask("CMS", ucpidContent())
	request["view"] = object{"oid": object{policyBusiness: true}}
	id, _ = c.request(request)
	if _, out := c.decide(id, right); out.Result != nil {
		t.Error("a certificate that is not taken signs")
	}
	id, _ = c.request(ask("CMS", ucpidContent()))
	if _, out := c.decide(id, url.Values{"cancel": {"1"}}); out.Error == nil || out.Error.Code != codeCancelled {
		t.Errorf("%+v", out)
	}
	if _, out := c.decide(id, right); out.Result != nil {
		t.Error("signed after it was cancelled")
	}
}

func TestRequestsEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := start(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	id, _ := c.request(ask("CMS", ucpidContent()))
	now = now.Add(requestLife)
	if _, out := c.decide(id, url.Values{"certificate": {"1"}, "pin": {people[0].PIN}}); out.Error == nil || out.Error.Code != codeGone {
		t.Errorf("%+v", out)
	}
}

func (c *client) get(path string) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.Get(c.signer + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

func TestPages(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	id, _ := c.request(ask("CMS", ucpidContent()))
	for path, want := range map[string]string{
		"/": people[0].PIN, "/v1/fincert.js": "FinCert", "/v1/signer.js": "postMessage", "/v1/signer.css": ".card", "/v1/signer": "fincert-connecting",
		"/v1/requests/" + id:                    `id="fincert-cert-2"`,
		"/v1/requests/" + id + "?certificate=1": agreement,
		"/v1/requests/gone":                     codeGone,
	} {
		resp, body := c.get(path)
		if resp.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, resp.StatusCode, body)
		}
	}
	resp, body := c.get("/v1/requests/" + id + "?certificate=1")
	policy := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "frame-ancestors "+origin) || !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	for _, want := range []string{`id="fincert-pin"`, `id="fincert-confirm"`, `id="fincert-cancel"`, "login.example.kr", "로그인", "연계정보(CI)"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s", want)
		}
	}
	answer, err := http.PostForm(c.signer+"/v1/requests/"+id, url.Values{"certificate": {"1"}, "pin": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 422 || !strings.Contains(string(page), "4번 더 입력할 수 있습니다.") {
		t.Errorf("%d %s %v", answer.StatusCode, page, err)
	}
	var list struct{ Certificates []Certificate }
	if c.do("GET", c.signer+"/api/certificates", "", "", nil, &list); len(list.Certificates) != 2 || list.Certificates[0].CertSeqNum != "1" || list.Certificates[0].PIN != people[0].PIN {
		t.Errorf("%+v", list)
	}
}

// token asks for an access token.
func (c *client) token(edit func(form url.Values, header map[string]string)) (int, object) {
	c.t.Helper()
	form := url.Values{
		"client_secret": {c.sim.ClientSecret()}, "server_id": {c.sim.ServerID()}, "scope": {"ucpid"}, "grant_type": {"client_credentials"}, "reissue": {"n"},
	}
	header := map[string]string{"client_id": c.sim.ClientID()}
	if edit != nil {
		edit(form, header)
	}
	var out object
	status := c.do("POST", c.api+"/oauth/2.0/api/token", "application/x-www-form-urlencoded", form.Encode(), header, &out)
	return status, out
}

// ucpid asks who has signed.
func (c *client) ucpid(token, signed string, edit func(body object)) (int, object) {
	c.t.Helper()
	body := object{"ucpid_request_info": signed, "cp_code": c.sim.CPCode(), "ucpid_nonce": nonce}
	if edit != nil {
		edit(body)
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	var out object
	status := c.do("POST", c.api+"/v1/ucpid/ucpid-info", "application/json; charset=utf-8", string(text), map[string]string{"Authorization": "bearer " + token}, &out)
	return status, out
}

func TestToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := start(t, func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	_, first := c.token(nil)
	if first["token_type"] != "bearer" || first["server_id"] != c.sim.ServerID() || first["expires_in"] != tokenLife.Seconds() {
		t.Errorf("%v", first)
	}
	_, again := c.token(nil)
	_, another := c.token(func(form url.Values, _ map[string]string) { form.Set("reissue", "y") })
	if first["access_token"] != again["access_token"] || first["access_token"] == another["access_token"] {
		t.Error("reissue is not followed")
	}
	if status, out := c.ucpid(first["access_token"].(string), "x", nil); status != 401 || out["err_code"] != errTokenExpired {
		t.Errorf("%d %v", status, out)
	}
	now = now.Add(tokenLife)
	if status, out := c.ucpid(another["access_token"].(string), "x", nil); status != 401 || out["err_code"] != errTokenExpired {
		t.Errorf("%d %v", status, out)
	}
	for name, edit := range map[string]func(form url.Values, header map[string]string){
		"client":  func(_ url.Values, header map[string]string) { header["client_id"] = "x" },
		"secret":  func(form url.Values, _ map[string]string) { form.Set("client_secret", "x") },
		"server":  func(form url.Values, _ map[string]string) { form.Set("server_id", "x") },
		"scope":   func(form url.Values, _ map[string]string) { form.Set("scope", "ucpid|everything") },
		"grant":   func(form url.Values, _ map[string]string) { form.Set("grant_type", "password") },
		"reissue": func(form url.Values, _ map[string]string) { form.Del("reissue") },
	} {
		if status, out := c.token(edit); status < 400 || out["access_token"] != nil || out["err_code"] == "" {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
	_, status := c.token(func(form url.Values, _ map[string]string) { form.Set("scope", "status") })
	if code, out := c.ucpid(status["access_token"].(string), "x", nil); code != 403 {
		t.Errorf("%d %v", code, out)
	}
}

func TestUCPID(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	_, out := c.token(nil)
	token := out["access_token"].(string)
	signed := c.sign(ask("CMS", ucpidContent()))
	name, err := c.sim.account("1").holder.Certificate.SubjectName()
	if err != nil {
		t.Fatal(err)
	}
	status, got := c.ucpid(token, signed.SignedVals[0], nil)
	for field, want := range map[string]any{
		"dn": name.String(), "ci": people[0].CI, "ci2": "", "ci_update": "1", "real_name": "홍길동", "gender": "1", "national_info": "0", "birth_date": "18900101",
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v (%d)", field, got[field], want, status)
		}
	}
	if !npki.ValidDI(got["di"].(string)) {
		t.Errorf("di %v", got["di"])
	}
	// A foreigner with a second CI, who tells less.
	request := ask("CMS", ucpidContent())
	request["content"].(object)["ucpidInfo"].(object)["userAgreeInfo"] = object{"ci": true, "nationalInfo": true}
	id, _ := c.request(request)
	_, second := c.decide(id, url.Values{"certificate": {"2"}, "pin": {people[1].PIN}})
	if _, got := c.ucpid(token, second.Result.SignedVals[0], nil); got["ci2"] != people[1].CI2 || got["ci_update"] != "2" || got["national_info"] != "1" || got["real_name"] != nil || got["birth_date"] != nil {
		t.Errorf("%v", got)
	}
	for name, edit := range map[string]func(object){
		"other nonce":   func(b object) { b["ucpid_nonce"] = strings.Repeat("00", 16) },
		"odd nonce":     func(b object) { b["ucpid_nonce"] = "x" },
		"other cp_code": func(b object) { b["cp_code"] = "ANYIDTEST002" },
		"no base64":     func(b object) { b["ucpid_request_info"] = "!" },
		"text":          func(b object) { b["ucpid_request_info"] = c.sign(ask("CMS", textContent("x"))).SignedVals[0] },
		"no field":      func(b object) { b["extra"] = true },
		"changed": func(b object) {
			b["ucpid_request_info"] = signed.SignedVals[0][:len(signed.SignedVals[0])-4] + "AAAA"
		},
	} {
		if status, got := c.ucpid(token, signed.SignedVals[0], edit); status != 400 || got["ci"] != nil || !strings.HasPrefix(got["err_code"].(string), "9004") {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
}

// TestUCPIDOfJointCertificates asks about certificates that yessign has issued elsewhere in the PKI.
func TestUCPIDOfJointCertificates(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	_, out := c.token(nil)
	token := out["access_token"].(string)
	request := &npki.UCPIDRequest{Agreement: agreement, Items: npki.UCPIDAll, Module: "m", Vendor: "v", Version: npki.UCPIDVersion{Major: 1}, Site: "login.example.kr"}
	request.Nonce, _ = hex.DecodeString(nonce)
	generation := npkitest.RSA2048
	ask := func(organization, number string, spoil func(*npkitest.Holder) error) object {
		authority, err := c.pki.CA(organization, generation)
		if err != nil {
			t.Fatal(err)
		}
		holder, err := authority.Enroll(npkitest.Applicant{Name: people[2].Name, Number: number, Policy: policyJoint})
		if err != nil {
			t.Fatal(err)
		}
		if spoil != nil {
			if err := spoil(holder); err != nil {
				t.Fatal(err)
			}
		}
		message, err := npki.SignUCPIDRequest(holder.Key.Key, holder.Certificate.Raw, request, npki.SignOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, got := c.ucpid(token, base64.RawURLEncoding.EncodeToString(message), nil)
		return got
	}
	if got := ask(npkitest.Yessign, people[2].Number, nil); got["ci"] != people[2].CI {
		t.Errorf("%v", got)
	}
	for name, got := range map[string]object{
		"another authority": ask(npkitest.KICA, people[2].Number, nil),
		"nobody we know":    ask(npkitest.Yessign, "0101019000007", nil),
		"revoked":           ask(npkitest.Yessign, people[2].Number, func(h *npkitest.Holder) error { return h.Authority.Revoke(h.Certificate.SerialNumber, 1) }),
		"suspended":         ask(npkitest.Yessign, people[2].Number, func(h *npkitest.Holder) error { return h.Authority.Hold(h.Certificate.SerialNumber) }),
	} {
		if got["err_code"] == nil || got["ci"] != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	// The other one of yessign's authorities, and somebody who came later.
	generation = npkitest.RSA3072
	late := people[0]
	late.Name, late.Number = "늦은사람", "0101019000007"
	if err := c.sim.Meet(late); err != nil {
		t.Fatal(err)
	}
	if got := ask(npkitest.Yessign, late.Number, nil); got["ci"] != late.CI || got["real_name"] != late.Name {
		t.Errorf("%v", got)
	}
	if err := c.sim.Meet(late); err == nil || len(c.sim.Certificates()) != 2 {
		t.Errorf("met twice: %v, %d certificates", err, len(c.sim.Certificates()))
	}
}

// TestDI is the vector of the form that DIs have.
func TestDI(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	if got := c.sim.di("9001011234568"); got != "MC0GCCqGSIb3DQIJAyEANBDB1GxPebJMV9afG4X7OwCZkiBCsIJHq6eC/AQlt5k=" {
		t.Error(got)
	}
}

// TestFaultsOfSignatures shows that each fault does what its table says.
func TestFaultsOfSignatures(t *testing.T) {
	t.Parallel()
	verify := func(t *testing.T, signed *result) (*npki.Signed, *npki.UCPIDRequest, error) {
		message := decoded(t, signed.SignedVals[0])
		got, err := npki.VerifySignedData(message, npki.Want{AnyContent: true})
		if err != nil {
			return nil, nil, err
		}
		request, err := npki.ParseUCPIDRequest(got.Content)
		return got, request, err
	}
	for name, check := range map[string]func(t *testing.T, c *client, s *npki.Signed, r *npki.UCPIDRequest, err error) bool{
		FaultWrongSignature: func(_ *testing.T, _ *client, _ *npki.Signed, _ *npki.UCPIDRequest, err error) bool {
			return errors.Is(err, npki.ErrSignature)
		},
		FaultOtherNonce: func(_ *testing.T, _ *client, _ *npki.Signed, r *npki.UCPIDRequest, _ error) bool {
			return hex.EncodeToString(r.Nonce) != nonce
		},
		FaultOtherSite: func(_ *testing.T, _ *client, _ *npki.Signed, r *npki.UCPIDRequest, _ error) bool {
			return r.Site != "login.example.kr"
		},
		FaultOtherAgreement: func(_ *testing.T, _ *client, _ *npki.Signed, r *npki.UCPIDRequest, _ error) bool {
			return r.Agreement != agreement
		},
		FaultExpired: func(_ *testing.T, _ *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return time.Now().After(s.Certificate.NotAfter) && s.SigningTime.Before(s.Certificate.NotAfter)
		},
		FaultNotYetValid: func(_ *testing.T, _ *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return time.Now().Before(s.Certificate.NotBefore)
		},
		FaultRevoked: func(_ *testing.T, c *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return c.sim.subscriber(s.Certificate) == nil
		},
		FaultHeld: func(_ *testing.T, c *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return c.sim.subscriber(s.Certificate) == nil
		},
		FaultJoint: func(_ *testing.T, _ *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			p, _ := s.Certificate.Policy()
			return p.OID == policyJoint
		},
		FaultBusiness: func(_ *testing.T, _ *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			p, _ := s.Certificate.Policy()
			return p.OID == policyBusiness && p.Holder == npki.Business
		},
		FaultOtherAuthority: func(_ *testing.T, _ *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return s.Certificate.Issuer.Organization[0] == npkitest.KICA
		},
		FaultForgedAuthority: func(_ *testing.T, c *client, s *npki.Signed, _ *npki.UCPIDRequest, _ error) bool {
			return s.Certificate.Issuer.String() == c.sim.authority.Certificate.Subject.String() && s.Certificate.CheckSignatureFrom(c.sim.authority.Certificate) != nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, nil)
			c.fault(name)
			got, request, err := verify(t, c.sign(ask("CMS", ucpidContent())))
			if !check(t, c, got, request, err) {
				t.Errorf("%+v %v", request, err)
			}
			c.sim.Faults().Clear()
			if s, _, err := verify(t, c.sign(ask("CMS", ucpidContent()))); err != nil || c.sim.subscriber(s.Certificate) != &c.sim.people[0] {
				t.Errorf("the certificate is spoiled for good: %v", err)
			}
		})
	}
	t.Run(FaultReplay, func(t *testing.T) {
		t.Parallel()
		c := start(t, nil)
		before := c.sign(ask("CMS", ucpidContent()))
		c.fault(FaultReplay)
		if got := c.sign(ask("CMS", textContent("x"))); got.SignedVals[0] != before.SignedVals[0] {
			t.Error("another signature")
		}
	})
	t.Run("nonce in a text", func(t *testing.T) {
		t.Parallel()
		c := start(t, nil)
		c.fault(FaultOtherNonce)
		got, err := npki.VerifySignedData(decoded(t, c.sign(ask("CMS", textContent("a;nonce=1;b"))).SignedVals[0]), npki.Want{AnyContent: true})
		if err != nil || string(got.Content) == "a;nonce=1;b" || !strings.HasSuffix(string(got.Content), ";b") {
			t.Errorf("%s %v", got.Content, err)
		}
	})
	t.Run(FaultMoreItems, func(t *testing.T) {
		t.Parallel()
		c := start(t, nil)
		c.fault(FaultMoreItems)
		request := ask("CMS", ucpidContent())
		request["content"].(object)["ucpidInfo"].(object)["userAgreeInfo"] = object{"ci": true}
		if _, r, err := verify(t, c.sign(request)); err != nil || r.Items != npki.UCPIDAll {
			t.Errorf("%v %v", r, err)
		}
	})
	t.Run("the page", func(t *testing.T) {
		t.Parallel()
		c := start(t, nil)
		c.fault(FaultBusy)
		if _, f := c.request(ask("CMS", ucpidContent())); f == nil || f.Code != codeBusy {
			t.Errorf("%+v", f)
		}
		c.sim.Faults().Clear()
		c.fault(FaultUserCancel)
		id, _ := c.request(ask("CMS", ucpidContent()))
		if _, out := c.decide(id, url.Values{"certificate": {"1"}, "pin": {people[0].PIN}}); out.Error == nil || out.Error.Code != codeCancelled {
			t.Errorf("%+v", out)
		}
	})
}

func TestFaultsOfREST(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	_, out := c.token(nil)
	token := out["access_token"].(string)
	signed := c.sign(ask("CMS", ucpidContent())).SignedVals[0]
	_, good := c.ucpid(token, signed, nil)
	for name, check := range map[string]func(object) bool{
		FaultRefused:     func(o object) bool { return o["err_code"] == errRefused },
		FaultWrongDN:     func(o object) bool { return o["dn"] != good["dn"] },
		FaultWrongCI:     func(o object) bool { return o["ci"] == people[1].CI },
		FaultMalformedCI: func(o object) bool { return len(o["ci"].(string)) == 80 },
		FaultMissingCI:   func(o object) bool { return o["ci"] == nil },
		FaultMissingCI2:  func(o object) bool { _, there := o["ci2"]; return !there },
		FaultWrongName:   func(o object) bool { return o["real_name"] != "홍길동" },
	} {
		c.fault(name)
		if _, got := c.ucpid(token, signed, nil); !check(got) {
			t.Errorf("%s: %v", name, got)
		}
		c.sim.Faults().Clear()
	}
	c.fault(FaultTokenExpired)
	if _, got := c.ucpid(token, signed, nil); got["err_code"] != errTokenExpired {
		t.Errorf("%v", got)
	}
	c.sim.Faults().Clear()
	if _, got := c.ucpid(token, signed, nil); got["err_code"] != errTokenExpired {
		t.Errorf("the token lives on: %v", got)
	}
	c.fault(FaultTokenRefused)
	if _, got := c.token(nil); got["err_code"] != errTokenRefused {
		t.Errorf("%v", got)
	}
	c.sim.Faults().Clear()
	post := func() (*http.Response, error) {
		resp, err := http.Post(c.api+"/oauth/2.0/api/token", "application/x-www-form-urlencoded", nil)
		if err == nil {
			defer resp.Body.Close()
		}
		return resp, err
	}
	c.fault(FaultServerError)
	if resp, err := post(); err != nil || resp.StatusCode != 500 {
		t.Error(resp, err)
	}
	c.sim.Faults().Clear()
	c.fault(FaultUnreachable)
	if resp, err := post(); err == nil {
		t.Error(resp)
	}
	c.sim.Faults().Clear()
	if err := c.sim.Faults().Set(sim.Switch{Name: FaultSlow, DelayMS: 50}); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if _, err := post(); err != nil || time.Since(before) < 50*time.Millisecond {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	for name, edit := range map[string]func(*Config){
		"no PKI":         func(c *Config) { c.PKI = nil },
		"generation":     func(c *Config) { c.Generation = 7 },
		"org code":       func(c *Config) { c.OrgCode = "x" },
		"cp code":        func(c *Config) { c.CPCode = "x" },
		"name":           func(c *Config) { c.People[0].Name = "" },
		"birth date":     func(c *Config) { c.People[0].BirthDate = "1990" },
		"gender":         func(c *Config) { c.People[0].Gender = "" },
		"CI":             func(c *Config) { c.People[0].CI = "x" },
		"CI2":            func(c *Config) { c.People[0].CI2 = "x" },
		"number":         func(c *Config) { c.People[0].Number = "1" },
		"same number":    func(c *Config) { c.People[1].Number = c.People[0].Number },
		"PIN":            func(c *Config) { c.People[0].PIN = "12345" },
		"PIN of letters": func(c *Config) { c.People[0].PIN = "abcdef" },
	} {
		cfg := Config{PKI: pki, People: append([]Person(nil), people...)}
		edit(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
