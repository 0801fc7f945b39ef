package simple

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/anyid/anyid/internal/sim"
)

var people = []Person{
	{Name: "홍길동", BirthDate: "1990-03-15", Phone: "01012345678", Gender: "male", CI: strings.Repeat("A", 86) + "==", Telco: "SKT", Email: "hong@example.kr"},
	{Name: "김영희", BirthDate: "2001-11-02", Phone: "01087654321", Gender: "female", CI: strings.Repeat("B", 86) + "==", Providers: []string{"naver"}},
	{Name: "SMITH JANE", BirthDate: "1985-12-01", Gender: "female", Foreigner: true, CI: strings.Repeat("C", 86) + "=="},
}

// client is an institution's side of the contract, written for the tests from the specification.
type client struct {
	t     testing.TB
	sim   *Simulator
	key   []byte
	auth  string
	api   string
	token string
	edit  func(*http.Request) // a last change to each request
}

func start(t testing.TB, edit func(*Config)) *client {
	t.Helper()
	cfg := Config{People: people}
	if edit != nil {
		edit(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auth, api := httptest.NewServer(s.AuthHandler()), httptest.NewServer(s.APIHandler())
	t.Cleanup(auth.Close)
	t.Cleanup(api.Close)
	key, err := base64.StdEncoding.DecodeString(s.SecretKey())
	if err != nil {
		t.Fatal(err)
	}
	return &client{t: t, sim: s, key: key, auth: auth.URL, api: api.URL}
}

func (c *client) sign(text string) string {
	h := hmac.New(sha256.New, c.key)
	_, _ = io.WriteString(h, text)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func hash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func (c *client) do(method, address, body string, header map[string]string) (int, map[string]any, *http.Response) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	if c.edit != nil {
		c.edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil
	}
	defer resp.Body.Close()
	var r io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if r, err = gzip.NewReader(resp.Body); err != nil {
			c.t.Fatal(err)
		}
	}
	raw, err := io.ReadAll(r)
	if err != nil {
		c.t.Fatal(err)
	}
	var out map[string]any
	_ = json.Unmarshal(raw, &out)
	return resp.StatusCode, out, resp
}

// login fetches a session token with these scopes.
func (c *client) login(scopes ...string) int {
	c.t.Helper()
	body, _ := json.Marshal(map[string]any{"access_id": "", "scope": scopes})
	date := c.sim.now().UTC().Format(time.RFC3339)
	status, out, _ := c.do("POST", c.auth+"/BAROCERT/Token", string(body), map[string]string{
		"x-lh-date": date, "x-lh-version": "2.0",
		"Authorization": "LINKHUB " + c.sim.LinkID() + " " + c.sign("POST\n"+hash(string(body))+"\n"+date+"\n2.0\n/BAROCERT/Token"),
	})
	if status == 200 {
		c.token = out["session_token"].(string)
	}
	return status
}

func (c *client) post(path, body string) (int, map[string]any) {
	c.t.Helper()
	date := c.sim.now().UTC().Format(time.RFC3339)
	target := "POST\n"
	if body != "" {
		target += hash(body) + "\n"
	}
	status, out, _ := c.do("POST", c.api+path, body, map[string]string{
		"Authorization": "Bearer " + c.token, "Content-Type": "application/json; charset=utf8", "x-bc-date": date, "x-bc-version": "2.1",
		"x-bc-encryptionmode": "GCM", "x-bc-auth": c.sign(target + date + "\n" + path + "\n"),
	})
	return status, out
}

func (c *client) get(path string) (int, map[string]any) {
	c.t.Helper()
	status, out, _ := c.do("GET", c.api+path, "", map[string]string{"Authorization": "Bearer " + c.token, "x-pb-version": "2.1"})
	return status, out
}

func (c *client) seal(plain string) string {
	block, err := aes.NewCipher(c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		c.t.Fatal(err)
	}
	iv := make([]byte, 12)
	rand.Read(iv)
	return base64.StdEncoding.EncodeToString(aead.Seal(iv, iv, []byte(plain), nil))
}

// fields is a good request at a provider.
func (c *client) fields(p *provider) map[string]any {
	out := map[string]any{
		"receiverHP": c.seal("01012345678"), "receiverName": c.seal("홍길동"), "receiverBirthday": c.seal("19900315"), "expireIn": 300, "appUseYN": false,
	}
	if p.token {
		out["token"] = c.seal("abababababababababababababababab")
	}
	if p.callCenter {
		out["callCenterNum"] = "1600-0000"
	}
	switch p.id {
	case "kakao":
		out["reqTitle"], out["extraMessage"] = "큐넷 로그인", c.seal("큐넷에 로그인합니다.")
	case "pass":
		out["reqTitle"], out["reqMessage"], out["receiverInfoYN"], out["userAgreementYN"] = "큐넷 로그인", c.seal("큐넷에 로그인합니다."), true, true
	}
	return out
}

func (c *client) request(p *provider, fields map[string]any) (int, map[string]any) {
	c.t.Helper()
	body, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.post("/"+p.path+"/Identity/"+c.sim.ClientCode(), string(body))
}

// requested sends a good request and returns its receipt.
func (c *client) requested(p *provider) string {
	c.t.Helper()
	status, out := c.request(p, c.fields(p))
	receipt, _ := out["receiptID"].(string)
	if status != 200 || len(receipt) != 32 {
		c.t.Fatalf("request: %d %v", status, out)
	}
	return receipt
}

func (c *client) verifyBody(p *provider) string {
	if p.id != "pass" {
		return ""
	}
	return fmt.Sprintf(`{"receiverHP":%q,"receiverName":%q}`, c.seal("01012345678"), c.seal("홍길동"))
}

func (c *client) verify(p *provider, receipt string) (int, map[string]any) {
	c.t.Helper()
	return c.post("/"+p.path+"/Identity/Verify/"+c.sim.ClientCode()+"/"+receipt, c.verifyBody(p))
}

func (c *client) code(out map[string]any) int64 {
	n, _ := out["code"].(float64)
	return int64(n)
}

func TestFlow(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	if status := c.login("partner", "401", "421", "441", "461"); status != 200 {
		t.Fatal(status)
	}
	for _, p := range providers {
		for _, path := range []string{"/" + p.path + "/Identity/Verify/", "/" + p.path + "/Identity/"} {
			receipt := c.requested(p)
			statusPath := "/" + p.path + "/Identity/" + c.sim.ClientCode() + "/" + receipt
			if status, out := c.get(statusPath); status != 200 || fmt.Sprint(out["state"]) != "0" || out["receiptID"] != receipt {
				t.Fatalf("%s: %d %v", p.id, status, out)
			}
			if status, out := c.verify(p, receipt); status != 400 || c.code(out) != -(p.code*1_000_000+300016) {
				t.Errorf("%s: early verification: %d %v", p.id, status, out)
			}
			if err := c.sim.Approve(receipt); err != nil {
				t.Fatal(err)
			}
			_, out := c.get(statusPath)
			_, text := out["state"].(string)
			if fmt.Sprint(out["state"]) != "1" || text != (p.id == "naver") {
				t.Errorf("%s: %v", p.id, out)
			}
			status, out := c.post(path+c.sim.ClientCode()+"/"+receipt, c.verifyBody(p))
			if status != 200 || out["ci"] != people[0].CI || out["receiverName"] != "홍길동" || out["receiverYear"] != "1990" || out["receiverDay"] != "0315" ||
				out["receiverGender"] != "M" || out["receiverForeign"] != "N" {
				t.Errorf("%s: %d %v", p.id, status, out)
			}
			der, err := base64.StdEncoding.DecodeString(out["signedData"].(string))
			if err != nil {
				t.Fatal(err)
			}
			signed, err := pkcs7.Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := signed.Verify(); err != nil {
				t.Errorf("%s: %v", p.id, err)
			}
			if got := string(signed.Content) == "abababababababababababababababab"; got != p.token {
				t.Errorf("%s: signed %q", p.id, signed.Content)
			}
			if indefinite := bytes.HasPrefix(der, []byte{0x30, 0x80}); indefinite != (p.id == "naver") {
				t.Errorf("%s: encoding % x", p.id, der[:8])
			}
			if status, out := c.verify(p, receipt); status != 400 || c.code(out) != -(p.code*1_000_000+300004) {
				t.Errorf("%s: second verification: %d %v", p.id, status, out)
			}
		}
	}
}

func TestIdentification(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	kakao := providers[0]
	for name, row := range map[string]struct {
		edit   func(*http.Request)
		status int
	}{
		"good":          {func(*http.Request) {}, 200},
		"no HMAC":       {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"other link id": {func(r *http.Request) { r.Header.Set("Authorization", "LINKHUB X y") }, 401},
		"other date":    {func(r *http.Request) { r.Header.Set("x-lh-date", "2020-01-01T00:00:00Z") }, 401},
		"forwarded":     {func(r *http.Request) { r.Header.Set("x-lh-forwarded", "*") }, 401}, // it is not in the HMAC
		"version":       {func(r *http.Request) { r.Header.Set("x-lh-version", "1.0") }, 401},
	} {
		c.edit = row.edit
		if status := c.login("partner", "401"); status != row.status {
			t.Errorf("token, %s: %d, want %d", name, status, row.status)
		}
	}
	c.edit = nil
	for name, row := range map[string]struct {
		scopes []string
		edit   func(*http.Request)
		status int
	}{
		"good":           {[]string{"partner", "401"}, nil, 200},
		"other scope":    {[]string{"partner", "421"}, nil, 403},
		"no partner":     {[]string{"401"}, nil, 403},
		"no token":       {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"invented token": {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401},
		"no HMAC":        {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Del("x-bc-auth") }, 401},
		"old date":       {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Set("x-bc-date", "2020-01-01T00:00:00Z") }, 401},
		"CBC":            {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Set("x-bc-encryptionmode", "CBC") }, 400},
		"other version":  {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Set("x-bc-version", "2.0") }, 400},
		"a form":         {[]string{"partner", "401"}, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 400},
	} {
		c.edit = nil
		if c.login(row.scopes...) != 200 {
			t.Fatal("no token")
		}
		c.edit = row.edit
		if status, out := c.request(kakao, c.fields(kakao)); status != row.status {
			t.Errorf("API, %s: %d %v, want %d", name, status, out, row.status)
		}
	}
	c.edit = nil
	if c.login("partner", "401") != 200 {
		t.Fatal("no token")
	}
	if status, _ := c.post("/KAKAO/Identity/999999999999", "{}"); status != 400 {
		t.Errorf("another client code: %d", status)
	}
}

func TestSessionExpires(t *testing.T) {
	t.Parallel()
	now := &atomic.Pointer[time.Time]{}
	begin := time.Now()
	now.Store(&begin)
	c := start(t, func(cfg *Config) { cfg.Now = func() time.Time { return *now.Load() } })
	if c.login("partner", "401") != 200 {
		t.Fatal("no token")
	}
	later := begin.Add(30 * time.Minute)
	now.Store(&later)
	if status, _ := c.request(providers[0], c.fields(providers[0])); status != 401 {
		t.Errorf("an expired session: %d", status)
	}
}

func TestRequestErrors(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	if c.login("partner", "401", "421", "441", "461") != 200 {
		t.Fatal("no token")
	}
	for name, row := range map[string]struct {
		edit func(map[string]any)
		code int64
	}{
		"no phone":        {func(f map[string]any) { delete(f, "receiverHP") }, 301001},
		"hyphens":         {func(f map[string]any) { f["receiverHP"] = c.seal("010-1234-5678") }, 301003},
		"plain phone":     {func(f map[string]any) { f["receiverHP"] = "01012345678" }, 301000},
		"no name":         {func(f map[string]any) { delete(f, "receiverName") }, 301004},
		"long name":       {func(f map[string]any) { f["receiverName"] = c.seal(strings.Repeat("가", 81)) }, 301005},
		"no birthday":     {func(f map[string]any) { delete(f, "receiverBirthday") }, 301006},
		"birthday":        {func(f map[string]any) { f["receiverBirthday"] = c.seal("1990-03-15") }, 301007},
		"no expireIn":     {func(f map[string]any) { delete(f, "expireIn") }, 301009},
		"expireIn 0":      {func(f map[string]any) { f["expireIn"] = 0 }, 301010},
		"expireIn 1801":   {func(f map[string]any) { f["expireIn"] = 1801 }, 301011},
		"expireIn text":   {func(f map[string]any) { f["expireIn"] = "300" }, 301000},
		"unknown field":   {func(f map[string]any) { f["nonce"] = "x" }, 301000},
		"app without URL": {func(f map[string]any) { f["appUseYN"] = true }, 301014},
		"unknown person":  {func(f map[string]any) { f["receiverHP"] = c.seal("01000000000") }, 300002},
		"other name":      {func(f map[string]any) { f["receiverName"] = c.seal("홍길순") }, 300002},
		"no certificate": {func(f map[string]any) {
			f["receiverHP"], f["receiverName"], f["receiverBirthday"] = c.seal("01087654321"), c.seal("김영희"), c.seal("20011102")
		}, 300002},
		"no token":          {func(f map[string]any) { delete(f, "token") }, 301012},
		"long token":        {func(f map[string]any) { f["token"] = c.seal(strings.Repeat("a", 51)) }, 301013},
		"no call centre":    {func(f map[string]any) { delete(f, "callCenterNum") }, 301000},
		"long title":        {func(f map[string]any) { f["reqTitle"] = strings.Repeat("가", 41) }, 301000},
		"web address":       {func(f map[string]any) { f["returnURL"] = "https://example.kr" }, 301014},
		"token for nothing": {func(f map[string]any) { f["token"] = c.seal("x") }, 301000},
	} {
		for _, p := range providers {
			only := map[string][]string{
				"no token": {"kakao", "pass", "toss"}, "long token": {"kakao", "pass", "toss"}, "no call centre": {"naver", "pass"}, "long title": {"kakao", "pass"},
				"web address": {"naver"}, "token for nothing": {"naver"}, "no certificate": {"kakao", "pass", "toss"},
			}[name]
			if only != nil && !strings.Contains(strings.Join(only, " "), p.id) {
				continue
			}
			fields := c.fields(p)
			row.edit(fields)
			code := row.code
			if p.id == "toss" && code == 300002 {
				code = 300001
			}
			if status, out := c.request(p, fields); status != 400 || c.code(out) != -(p.code*1_000_000+code) {
				t.Errorf("%s at %s: %d %v", name, p.id, status, out)
			}
		}
	}
}

func TestVerifyBodies(t *testing.T) {
	t.Parallel()
	c := start(t, func(cfg *Config) { cfg.AutoApprove = true })
	if c.login("partner", "401", "441") != 200 {
		t.Fatal("no token")
	}
	kakao, pass := providers[0], providers[2]
	receipt := c.requested(kakao)
	if status, out := c.post("/KAKAO/Identity/"+c.sim.ClientCode()+"/"+receipt, `{"x":1}`); status != 400 {
		t.Errorf("a body: %d %v", status, out)
	}
	if status, out := c.post("/KAKAO/Identity/"+c.sim.ClientCode()+"/"+receipt, `""`); status != 200 {
		t.Errorf("the Java SDK's body: %d %v", status, out)
	}
	receipt = c.requested(pass)
	for _, body := range []string{"", `{}`, fmt.Sprintf(`{"receiverHP":%q,"receiverName":%q}`, c.seal("01012345678"), c.seal("홍길순"))} {
		if status, out := c.post("/PASS/Identity/Verify/"+c.sim.ClientCode()+"/"+receipt, body); status != 400 {
			t.Errorf("%s: %d %v", body, status, out)
		}
	}
	if status, out := c.verify(pass, receipt); status != 200 {
		t.Errorf("%d %v", status, out)
	}
	fields := c.fields(pass)
	delete(fields, "receiverInfoYN")
	_, out := c.request(pass, fields)
	if status, out := c.verify(pass, out["receiptID"].(string)); status != 200 || out["receiverName"] != nil || out["ci"] == "" {
		t.Errorf("without receiverInfoYN: %d %v", status, out)
	}
	if status, _ := c.verify(kakao, receipt); status != 400 {
		t.Errorf("another provider's receipt: %d", status)
	}
}

// TestOneWinner: of 64 verifications at once, one is answered.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	c := start(t, func(cfg *Config) { cfg.AutoApprove = true })
	if c.login("partner", "461") != 200 {
		t.Fatal("no token")
	}
	toss := providers[3]
	receipt := c.requested(toss)
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			if status, _ := c.verify(toss, receipt); status == 200 {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d answers", won.Load())
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	for _, tt := range []struct{ accept, answer, want string }{
		{"gzip", strings.Repeat("long ", 1000), "gzip"}, {"identity", strings.Repeat("long ", 1000), ""}, {"gzip", "short", ""},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", tt.accept)
		c.sim.write(w, r, 200, tt.answer)
		var body io.Reader = w.Body
		if got := w.Header().Get("Content-Encoding"); got != tt.want {
			t.Errorf("%s: %q", tt.accept, got)
		} else if got == "gzip" {
			var err error
			if body, err = gzip.NewReader(w.Body); err != nil {
				t.Fatal(err)
			}
		}
		var answer string
		if err := json.NewDecoder(body).Decode(&answer); err != nil || answer != tt.answer {
			t.Errorf("%s: %v, %.20q", tt.accept, err, answer)
		}
	}
	resp, err := http.Get(c.auth + "/Time")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if at, perr := time.Parse(time.RFC3339, string(text)); err != nil || perr != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("time %q", text)
	}
}

// TestClocks: requests expire, verification windows close, and what is over is forgotten.
func TestClocks(t *testing.T) {
	t.Parallel()
	now := &atomic.Pointer[time.Time]{}
	begin := time.Date(2026, 3, 2, 14, 0, 0, 0, korea)
	now.Store(&begin)
	forward := func(d time.Duration) { at := now.Load().Add(d); now.Store(&at) }
	c := start(t, func(cfg *Config) { cfg.Now = func() time.Time { return *now.Load() } })
	scopes := []string{"partner", "401", "421", "441", "461"}
	kakao, naver, pass := providers[0], providers[1], providers[2]
	for _, row := range []struct {
		name    string
		p       *provider
		approve time.Duration // after the request
		verify  time.Duration // after the approval
		code    int64         // 0: answered
	}{
		{"Kakao within ten minutes", kakao, 0, 10 * time.Minute, 0},
		{"Kakao later", kakao, 0, 10*time.Minute + time.Second, 300004},
		{"Naver before expiry", naver, 100 * time.Second, 199 * time.Second, 0},
		{"Naver after expiry", naver, 100 * time.Second, 200 * time.Second, 300004},
		{"PASS the same day", pass, 0, 9 * time.Minute, 0},
		{"expired", kakao, 300 * time.Second, 0, 300004},
	} {
		now.Store(&begin)
		if c.login(scopes...) != 200 {
			t.Fatal("no token")
		}
		receipt := c.requested(row.p)
		forward(row.approve)
		err := c.sim.Approve(receipt)
		if (err != nil) != (row.name == "expired") {
			t.Errorf("%s: %v", row.name, err)
		}
		forward(row.verify)
		status, out := c.verify(row.p, receipt)
		if row.code == 0 && status != 200 || row.code != 0 && c.code(out) != -(row.p.code*1_000_000+row.code) {
			t.Errorf("%s: %d %v", row.name, status, out)
		}
	}
	midnight := time.Date(2026, 3, 2, 23, 59, 0, 0, korea)
	now.Store(&midnight)
	if c.login(scopes...) != 200 {
		t.Fatal("no token")
	}
	receipt := c.requested(pass)
	if err := c.sim.Approve(receipt); err != nil {
		t.Fatal(err)
	}
	forward(time.Minute)
	if status, _ := c.verify(pass, receipt); status != 400 {
		t.Errorf("PASS the next day: %d", status)
	}
	forward(20 * time.Minute)
	c.requested(kakao) // sweeps
	c.sim.mu.Lock()
	held := len(c.sim.requests)
	c.sim.mu.Unlock()
	if held != 1 {
		t.Errorf("%d requests kept", held)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	c := start(t, func(cfg *Config) { cfg.MaxRequests = 3 })
	if c.login("partner", "401") != 200 {
		t.Fatal("no token")
	}
	kakao := providers[0]
	for range 3 {
		c.requested(kakao)
	}
	if status, _ := c.request(kakao, c.fields(kakao)); status != 503 {
		t.Errorf("a request too many: %d", status)
	}
}

func TestAutoApproveWaits(t *testing.T) {
	t.Parallel()
	now := &atomic.Pointer[time.Time]{}
	begin := time.Now()
	now.Store(&begin)
	c := start(t, func(cfg *Config) {
		cfg.AutoApprove, cfg.ApproveAfter, cfg.Now = true, time.Minute, func() time.Time { return *now.Load() }
	})
	if c.login("partner", "401") != 200 {
		t.Fatal("no token")
	}
	receipt := c.requested(providers[0])
	for _, row := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Second, "0"}, {time.Minute, "1"}} {
		at := begin.Add(row.after)
		now.Store(&at)
		if _, out := c.get("/KAKAO/Identity/" + c.sim.ClientCode() + "/" + receipt); fmt.Sprint(out["state"]) != row.want {
			t.Errorf("after %v: %v", row.after, out)
		}
	}
}

func TestPhone(t *testing.T) {
	t.Parallel()
	c := start(t, nil)
	if c.login("partner", "401", "421", "441", "461") != 200 {
		t.Fatal("no token")
	}
	phone := httptest.NewServer(c.sim.PhoneHandler())
	t.Cleanup(phone.Close)
	page := func(path string) string {
		t.Helper()
		resp, err := http.Get(phone.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Security-Policy") == "" {
			t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
		}
		return string(body)
	}
	post := func(path, form string) (int, string) {
		t.Helper()
		resp, err := http.Post(phone.URL+path, "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Request.URL.String()
	}
	if people := page("/"); !strings.Contains(people, `lang="ko"`) || !strings.Contains(people, "홍길동") || strings.Contains(people, "SMITH") {
		t.Error(people)
	}
	approve, deny := c.requested(providers[0]), c.requested(providers[1])
	if people := page("/"); !strings.Contains(people, "기다리는 요청 2건") {
		t.Error(people)
	}
	shown := page("/?phone=01012345678")
	for _, want := range []string{`id="approve-` + approve, `id="deny-` + approve, `id="approve-` + deny, "큐넷 로그인", "큐넷에 로그인합니다.", "카카오", "네이버", `http-equiv="refresh" content="2"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(shown, "<script") || strings.Contains(shown, "style=") {
		t.Error("the page needs what its policy forbids")
	}
	if status, at := post("/requests/"+approve+"/approve", url.Values{"phone": {"01012345678"}}.Encode()); status != 200 || !strings.HasSuffix(at, "/?phone=01012345678") {
		t.Errorf("approve: %d at %s", status, at)
	}
	if status, _ := post("/requests/"+deny+"/deny", "phone=01012345678"); status != 200 {
		t.Errorf("deny: %d", status)
	}
	if status, _ := post("/requests/"+deny+"/burn", ""); status != 404 {
		t.Errorf("burn: %d", status)
	}
	if shown := page("/?phone=01012345678"); !strings.Contains(shown, "기다리는 인증 요청이 없습니다.") {
		t.Error(shown)
	}
	for receipt, want := range map[string]string{approve: "1", deny: "3"} {
		path := map[string]string{approve: "KAKAO", deny: "NAVER"}[receipt]
		if _, out := c.get("/" + path + "/Identity/" + c.sim.ClientCode() + "/" + receipt); fmt.Sprint(out["state"]) != want {
			t.Errorf("%v", out)
		}
	}

	waiting := c.requested(providers[3])
	var listed struct{ Requests []Waiting }
	if err := json.Unmarshal([]byte(page("/api/requests?phone=01012345678")), &listed); err != nil || len(listed.Requests) != 1 || listed.Requests[0].ReceiptID != waiting || listed.Requests[0].Provider != "toss" {
		t.Errorf("%+v, %v", listed, err)
	}
	for _, want := range []int{204, 409} {
		if status, _ := post("/api/requests/"+waiting+"/approve", ""); status != want {
			t.Errorf("approve: %d, want %d", status, want)
		}
	}
	if status, _ := post("/api/requests/"+waiting+"/burn", ""); status != 404 {
		t.Errorf("burn: %d", status)
	}
	var faults struct{ Table []sim.Fault }
	if err := json.Unmarshal([]byte(page("/api/faults")), &faults); err != nil || len(faults.Table) != len(faultTable) {
		t.Errorf("%+v, %v", faults, err)
	}
	if status, _ := post("/api/faults", `{"name":"slow","delay_ms":1}`); status != 200 || len(c.sim.Faults().On()) != 1 {
		t.Errorf("fault: %d", status)
	}
	if status, _ := post("/api/auto-approve", `{"on":true}`); status != 204 {
		t.Errorf("auto-approve: %d", status)
	}
	if status, _ := post("/api/auto-approve", `on`); status != 400 {
		t.Errorf("auto-approve: %d", status)
	}
	receipt := c.requested(providers[0])
	if status, out := c.verify(providers[0], receipt); status != 200 {
		t.Errorf("approved by itself: %d %v", status, out)
	}
	if list := c.sim.Waiting(""); len(list) != 0 {
		t.Errorf("still waiting: %v", list)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := people[0]
	with := func(edit func(*Person)) []Person { p := good; edit(&p); return []Person{p} }
	for name, cfg := range map[string]Config{
		"short key":        {SecretKey: "AAAA"},
		"client code":      {ClientCode: "1"},
		"no name":          {People: with(func(p *Person) { p.Name = "" })},
		"birth date":       {People: with(func(p *Person) { p.BirthDate = "19900315" })},
		"CI":               {People: with(func(p *Person) { p.CI = "x" })},
		"phone":            {People: with(func(p *Person) { p.Phone = "010-1234-5678" })},
		"unknown provider": {People: with(func(p *Person) { p.Providers = []string{"payco"} })},
		"one phone twice":  {People: []Person{good, good}},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, b := start(t, nil), start(t, nil)
	if a.sim.SecretKey() == b.sim.SecretKey() || bytes.Equal(a.sim.Roots(), b.sim.Roots()) {
		t.Error("two starts share a key")
	}
}

// TestApart: the simulator must not know its adapter, or both could be wrong together.
func TestApart(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "anyid/internal/"+"authn") {
			t.Errorf("%s imports the adapter's side", file.Name())
		}
	}
}

func FuzzIdentityRequest(f *testing.F) {
	c := start(f, nil)
	for i, p := range providers {
		body, err := json.Marshal(c.fields(p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, body)
	}
	f.Add(0, []byte(`{"receiverHP":"AAAAAAAAAAAAAAAA","expireIn":1e9}`))
	f.Add(2, []byte(`{"receiverHP":1}`))
	f.Fuzz(func(t *testing.T, at int, body []byte) {
		if at < 0 || at >= len(providers) {
			return
		}
		p := providers[at]
		in, refused := c.sim.parseIdentity(p, body)
		if refused == nil && (!phonePattern.MatchString(in.Phone) || in.ExpireIn < 1 || in.ExpireIn > p.maxExpire || p.token == (in.Token == "")) {
			t.Errorf("accepted %+v", in)
		}
		if _, _, refused := c.sim.parseVerify(p, body); refused == nil && p.id == "kakao" && len(bytes.TrimSpace(body)) > 2 {
			t.Error("accepted a body")
		}
	})
}
