package agency

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/browse"
)

func ci(seed byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{seed}, 64))
}

var people = []Person{
	{Name: "홍길동", BirthDate: "1890-03-15", Phone: "01000000001", Gender: "male", CI: ci('a')},
	{Name: "정순자", BirthDate: "1848-02-08", Gender: "female", CI: ci('b'), IPIN: IPIN{"soonja", "pass"}},
}

// client is an institution with its citizen, written for the tests from the package comment.
type client struct {
	t        testing.TB
	sim      *Simulator
	api, web string

	mu    sync.Mutex
	shift time.Duration
}

func start(t testing.TB) *client {
	t.Helper()
	c := &client{t: t}
	s, err := New(Config{People: people, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ido/", s.APIHandler())
	mux.Handle("/uas/", s.APIHandler())
	mux.Handle("/", s.WindowHandler())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.sim, c.api, c.web = s, server.URL, server.URL
	return c
}

func (c *client) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.shift)
}

func (c *client) wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift += d
}

// call makes a call to NICE and returns its result code and answer.
func (c *client) call(operation, authorization string, body any) (string, map[string]any) {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.api+"/ido/intc/v1.0/auth/"+operation, bytes.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("X-Intc-DevLang", "Linux/Go")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		c.t.Fatal(err)
	}
	code, _ := out["result_code"].(string)
	return code, out
}

const number = "REQ-0123456789-0123456789"

func (c *client) token() string {
	c.t.Helper()
	basic := "Basic " + base64.RawURLEncoding.EncodeToString([]byte(c.sim.ClientID()+":"+c.sim.ClientSecret()))
	code, out := c.call("token", basic, object{"grant_type": "client_credentials", "request_no": number})
	if code != "0000" {
		c.t.Fatal(out)
	}
	return "Bearer " + out["access_token"].(string)
}

func order(service string) object {
	return object{
		"request_no": number, "return_url": "http://localhost:1/back", "close_url": "http://localhost:1/back?closed=1",
		"svc_types": []string{service}, "method_type": "GET", "exp_mods": []string{},
	}
}

// window orders one, and opens it.
func (c *client) window(service string) (*browse.Browser, string) {
	c.t.Helper()
	code, out := c.call("url", c.token(), order(service))
	if code != "0000" {
		c.t.Fatal(out)
	}
	b, err := browse.New(&http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Port() == "1" {
			return http.ErrUseLastResponse
		}
		return nil
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.must(b.Open(c.t.Context(), out["auth_url"].(string)))
	return b, out["transaction_id"].(string)
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) press(b *browse.Browser, id string) {
	c.t.Helper()
	c.must(b.Click(c.t.Context(), id))
}

// owner fills in the first page.
func (c *client) owner(b *browse.Browser, carrier, name, birth, phone string) {
	c.t.Helper()
	c.must(b.Check("carrier-" + carrier))
	for id, text := range map[string]string{"name": name, "birth": birth, "phone": phone} {
		c.must(b.Fill(id, text))
	}
	c.must(b.Check("agree"))
	c.press(b, "send-code")
}

func (c *client) code() string {
	c.t.Helper()
	list := c.sim.Messages("01000000001")
	if len(list) == 0 {
		c.t.Fatal("no message")
	}
	return list[len(list)-1].Code
}

func TestOwner(t *testing.T) {
	t.Parallel()
	c := start(t)
	b, _ := c.window("M")
	for _, wrong := range [][4]string{
		{"kt", "홍길동", "18900315", "01000000001"}, {"skt", "홍길순", "18900315", "01000000001"},
		{"skt", "홍길동", "18900316", "01000000001"}, {"skt", "홍길동", "18900315", "01000000002"},
	} {
		c.owner(b, wrong[0], wrong[1], wrong[2], wrong[3])
		if b.Status() != http.StatusUnprocessableEntity || !b.Has("window-error") || b.Attribute("name", "value") != wrong[1] {
			t.Errorf("%v: %d", wrong, b.Status())
		}
	}
	if len(c.sim.Messages("")) != 0 {
		t.Error("a code was sent")
	}
	c.owner(b, "skt", "홍길동", "1890-03-15", "010-0000-0001")
	if !b.Has("code") {
		t.Errorf("%s", b.URL())
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	c := start(t)
	b, transaction := c.window("M")
	c.owner(b, "skt", "홍길동", "18900315", "01000000001")
	first := c.code()
	c.press(b, "send-again")
	if n := len(c.sim.Messages("")); n != 1 || len(first) != 6 {
		t.Error("the first code is still there")
	}
	c.wait(3 * time.Minute)
	if len(c.sim.Messages("")) != 0 {
		t.Error("the code does not expire")
	}
	c.must(b.Fill("code", "000000"))
	c.press(b, "confirm-code")
	if !strings.Contains(b.Text("window-error"), "시간") {
		t.Errorf("%q", b.Text("window-error"))
	}
	c.press(b, "change-owner")
	c.owner(b, "skt", "홍길동", "18900315", "01000000001")
	c.must(b.Fill("code", c.code()))
	c.press(b, "confirm-code")
	if b.Status() != http.StatusSeeOther || len(c.sim.Messages("")) != 0 {
		t.Fatalf("%d at %s", b.Status(), b.URL())
	}
	if v, code := c.sim.fetch(niceAPI, transaction); code != "" || v.person.Name != "홍길동" {
		t.Errorf("code %s", code)
	}
}

func TestFiveWrong(t *testing.T) {
	t.Parallel()
	c := start(t)
	b, transaction := c.window("I")
	for n := range maxWrong {
		if !b.Has("confirm-ipin") {
			t.Fatalf("closed after %d", n)
		}
		c.must(b.Fill("ipin-id", "soonja"))
		c.must(b.Fill("ipin-password", "wrong"))
		c.press(b, "confirm-ipin")
	}
	if b.Status() != http.StatusSeeOther {
		t.Errorf("%d", b.Status())
	}
	if _, code := c.sim.fetch(niceAPI, transaction); code != resultUnfinished {
		t.Errorf("code %s", code)
	}
}

// TestRefusals has what NICE's interface refuses.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := start(t)
	bearer := c.token()
	edit := func(name string, value any) object {
		o := order("M")
		o[name] = value
		return o
	}
	for _, tt := range []struct {
		operation, authorization string
		body                     any
		code                     string
	}{
		{"token", "Basic eA", object{"grant_type": "client_credentials", "request_no": number}, resultAccount},
		{"token", "Basic eA", object{"grant_type": "password", "request_no": number}, resultRequest},
		{"token", "Basic eA", object{"grant_type": "client_credentials", "request_no": "short"}, resultRequest},
		{"url", "", order("M"), resultUnknownToken},
		{"url", "Bearer x", order("M"), resultUnknownToken},
		{"url", bearer, order("C"), resultPermission},
		{"url", bearer, edit("svc_types", []string{}), resultRequest},
		{"url", bearer, edit("return_url", "http://a.example/"+strings.Repeat("x", 250)), resultRequest},
		{"url", bearer, edit("return_url", "javascript:alert(1)"), resultRequest},
		{"url", bearer, edit("close_url", "x"), resultRequest},
		{"url", bearer, edit("more", "x"), resultRequest},
		{"result", "Bearer x", object{}, resultUnknownToken},
		{"result", bearer, object{"web_transaction_id": "x", "transaction_id": "x", "request_no": number}, resultNoWindow},
	} {
		if code, _ := c.call(tt.operation, tt.authorization, tt.body); code != tt.code {
			t.Errorf("%s %v: %s, want %s", tt.operation, tt.body, code, tt.code)
		}
	}
	_, transaction := c.window("M")
	unfinished := object{"web_transaction_id": "", "transaction_id": transaction, "request_no": number}
	if code, _ := c.call("result", bearer, unfinished); code != resultUnfinished {
		t.Errorf("unfinished: %s", code)
	}
	c.wait(windowLife)
	if code, _ := c.call("result", bearer, unfinished); code != resultNoWindow {
		t.Errorf("too late: %s", code)
	}
	c.wait(tokenLife)
	if code, _ := c.call("url", bearer, order("M")); code != resultExpired {
		t.Errorf("an old token: %s", code)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	c := start(t)
	get := func(method, path, body string, edit func(*http.Request)) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, c.web+path, strings.NewReader(body))
		c.must(err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if edit != nil {
			edit(req)
		}
		resp, err := http.DefaultClient.Do(req)
		c.must(err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		c.must(err)
		return resp, string(text)
	}
	if _, page := get("GET", "/", "", nil); !strings.Contains(page, "ipin01") || !strings.Contains(page, "soonja") || !strings.Contains(page, "SKT") {
		t.Error("the first page does not list the people")
	}
	for path, want := range map[string]int{
		"/phones/01000000001": 200, "/phones/01000000009": 404, "/window/x": 404, "/api/messages": 200, "/window.css": 200, "/sim.css": 200, "/x": 404,
	} {
		if resp, _ := get("GET", path, "", nil); resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	for _, path := range []string{"/CheckPlusSafeModel/service.cb", "/Danal/WebAuth/Web/Start.php", "/CommonSvl"} {
		if resp, _ := get("POST", path, "TID=x&mdl_tkn=x&token_version_id=x", nil); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if resp, _ := get("GET", "/", "", func(r *http.Request) { r.Host = "evil.example" }); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", resp.StatusCode)
	}
	b, _ := c.window("M")
	if resp, _ := get("POST", b.URL().Path, "step=close", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
	resp, _ := get("GET", b.URL().Path, "", nil)
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' http://localhost:1;") {
		t.Errorf("policy %q", policy)
	}
}

func TestDanal(t *testing.T) {
	t.Parallel()
	c := start(t)
	send := func(form url.Values) string {
		resp, err := http.PostForm(c.api+"/uas/", form)
		c.must(err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		c.must(err)
		return string(text)
	}
	good := func() url.Values {
		return url.Values{
			"TXTYPE": {"ITEMSEND"}, "SERVICE": {"UAS"}, "AUTHTYPE": {"36"}, "CPID": {c.sim.ClientID()}, "CPPWD": {c.sim.ClientSecret()}, "CPTITLE": {"x"},
			"TARGETURL": {"http://localhost:1/back"}, "ORDERID": {"o"},
		}
	}
	if got := send(good()); !strings.HasPrefix(got, "RETURNCODE=0000&") {
		t.Error(got)
	}
	for _, field := range []string{"TXTYPE", "SERVICE", "CPPWD", "TARGETURL", "CPTITLE"} {
		form := good()
		form.Del(field)
		if got := send(form); strings.HasPrefix(got, "RETURNCODE=0000&") {
			t.Errorf("without %s: %s", field, got)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*Person){
		"no name":       func(p *Person) { p.Name = "" },
		"no birth date": func(p *Person) { p.BirthDate = "1890-02-30" },
		"no gender":     func(p *Person) { p.Gender = "" },
		"short CI":      func(p *Person) { p.CI = "x" },
		"no number":     func(p *Person) { p.Phone = "02-123-4567" },
		"carrier":       func(p *Person) { p.Carrier = "NTT" },
		"half an i-PIN": func(p *Person) { p.IPIN = IPIN{ID: "x"} },
	} {
		p := people[0]
		edit(&p)
		if _, err := New(Config{People: []Person{p}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(Config{People: []Person{people[0], people[0]}}); err == nil {
		t.Error("one number for two: no error")
	}
}
