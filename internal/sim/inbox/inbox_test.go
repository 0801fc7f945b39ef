package inbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// patience is for what takes milliseconds on a machine that has time.
const patience = time.Minute

func newSimulator(t testing.TB, cfg Config) *Simulator {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveMail returns the address of the simulator's mail server.
func serveMail(t *testing.T, s *Simulator) string {
	t.Helper()
	ln, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.ServeMail(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

const mailText = "From: =?UTF-8?B?7KCV67aA?= <no-reply@id.example>\r\n" +
	"To: <hong@example.kr>\r\nSubject: =?UTF-8?B?7IOI66Gc7Jq0?=\r\nDate: Sun, 22 Nov 2026 20:05:00 +0900\r\nMessage-ID: <m1@id.example>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"7JWI64WV7ZWY7IS47JqULg0KaHR0cHM6Ly9pZC5leGFtcGxlL25vdC1tZT9jb2RlPXg=\r\n"

// send sends the text as Go's own client does.
func send(addr, to, text string, auth smtp.Auth, secure *tls.Config) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if secure != nil {
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if auth != nil {
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail("no-reply@id.example"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	e, ok := errors.AsType[*textproto.Error](err)
	if !ok || e.Code != code {
		t.Errorf("answer %v, want %d", err, code)
	}
}

func TestMail(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{Username: "anyid", Password: "pass"})
	addr := serveMail(t, s)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.RootPEM())
	secure := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	wantCode(t, send(addr, "hong@example.kr", mailText, nil, secure), 530)
	wantCode(t, send(addr, "hong@example.kr", mailText, smtp.PlainAuth("", "anyid", "wrong", "127.0.0.1"), secure), 535)
	if err := send(addr, "hong@example.kr", mailText, smtp.PlainAuth("", "anyid", "pass", "127.0.0.1"), secure); err != nil {
		t.Fatal(err)
	}
	got := s.Messages("Hong@example.kr")
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	if m.Channel != "mail" || m.ID != "m1@id.example" || m.From != "정부 <no-reply@id.example>" || m.To != "hong@example.kr" || m.Subject != "새로운" ||
		m.Text != "안녕하세요.\nhttps://id.example/not-me?code=x" || !m.At.Equal(time.Date(2026, 11, 22, 11, 5, 0, 0, time.UTC)) || m.Times != 1 || !m.TLS || m.Account != "anyid" || m.Envelope != "no-reply@id.example" {
		t.Errorf("%+v", m)
	}
	wantCode(t, send(addr, "kim@example.kr", mailText, smtp.PlainAuth("", "anyid", "pass", "127.0.0.1"), secure), 554)
	wantCode(t, send(addr, "hong@example.kr", "Subject: x\r\n\r\nx\r\n", smtp.PlainAuth("", "anyid", "pass", "127.0.0.1"), secure), 554)
}

func TestMailFaults(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{NoTLS: true})
	addr := serveMail(t, s)
	try := func(fault sim.Switch) error {
		t.Helper()
		if err := s.Faults().Set(fault); err != nil {
			t.Fatal(err)
		}
		defer s.Faults().Clear()
		return send(addr, "hong@example.kr", mailText, nil, nil)
	}
	wantCode(t, try(sim.Switch{Name: FaultRefuse}), 550)
	wantCode(t, try(sim.Switch{Name: FaultServerError, Only: "mail"}), 451)
	if err := try(sim.Switch{Name: FaultDrop, Only: "hong@example.kr"}); err == nil {
		t.Error("dropped, and taken")
	}
	if len(s.Messages("")) != 0 {
		t.Error("something was taken")
	}
	if err := try(sim.Switch{Name: FaultTwice}); err == nil {
		t.Error("taken, and answered")
	}
	if err := try(sim.Switch{Name: FaultSlow, DelayMS: 1}); err != nil {
		t.Error(err)
	}
	if err := try(sim.Switch{Name: FaultRefuse, Only: "webhook"}); err != nil {
		t.Error(err)
	}
	if got := s.Messages("hong@example.kr"); len(got) != 1 || got[0].Times != 3 {
		t.Errorf("%+v", got)
	}
	if err := send(addr, "hong@example.kr", mailText, nil, &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("TLS where there is none")
	}
}

func TestMailHangs(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{})
	addr := serveMail(t, s)
	if err := s.Faults().Set(sim.Switch{Name: FaultHang}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "EHLO x\r\nMAIL FROM:<a@b.kr>\r\nRCPT TO:<hong@example.kr>\r\nDATA\r\n%s.\r\n", mailText)
	_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	answers, err := io.ReadAll(conn)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", answers, err)
	}
	_ = conn.Close()
	if strings.Contains(string(answers), "250 2.0.0 OK: queued") || len(s.Messages("")) != 0 {
		t.Errorf("%q", answers)
	}
}

func signature(secret string, at time.Time, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

const posting = `{"id":"m1","kind":"new_browser","locale":"ko","to":"hong@example.kr","phone":"+821012345678","subject":"제목","text":"본문\nhttps://id.example/not-me?code=x&y=<z>","link":"https://id.example/not-me?code=x","at":"2026-11-22T11:05:00Z"}`

func TestWebhook(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{Secret: "s3cret"})
	server := httptest.NewServer(s.WebhookHandler())
	defer server.Close()
	// A client that keeps connections sends again by itself what has an Idempotency-Key, and hides what it met.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(key, signed, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/messages", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", key)
		if signed != "" {
			req.Header.Set("Anyid-Signature", signed)
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	now := time.Now()
	good := signature("s3cret", now, posting)
	for name, row := range map[string]struct {
		key, signed, body string
		status            int
	}{
		"no signature":        {"m1", "", posting, 401},
		"another secret":      {"m1", signature("secret", now, posting), posting, 401},
		"another body":        {"m1", signature("s3cret", now, posting+" "), posting, 401},
		"old":                 {"m1", signature("s3cret", now.Add(-6*time.Minute), posting), posting, 401},
		"from the future":     {"m1", signature("s3cret", now.Add(6*time.Minute), posting), posting, 401},
		"another time":        {"m1", strings.Replace(good, "t=", "t=0", 1), posting, 401},
		"another form":        {"m1", strings.Replace(good, ",", ", ", 1), posting, 401},
		"upper case":          {"m1", strings.ToUpper(good), posting, 401},
		"two signatures":      {"m1", good + "," + good, posting, 401},
		"another key":         {"m2", good, posting, 400},
		"no key":              {"", good, posting, 400},
		"no JSON":             {"m1", signature("s3cret", now, "x"), "x", 400},
		"more than a message": {"m1", signature("s3cret", now, posting+"{}"), posting + "{}", 400},
		"unknown field":       {"m1", signature("s3cret", now, `{"x":1}`), `{"x":1}`, 400},
		"nobody":              {"m1", signature("s3cret", now, `{"id":"m1","subject":"s","text":"t","at":"2026-11-22T11:05:00Z"}`), `{"id":"m1","subject":"s","text":"t","at":"2026-11-22T11:05:00Z"}`, 400},
		"endless":             {"m1", good, strings.Repeat("x", maxPosted+1), 400},
	} {
		if got := post(row.key, row.signed, row.body); got != row.status {
			t.Errorf("%s: %d, want %d", name, got, row.status)
		}
	}
	resp, err := http.Get(server.URL)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}
	for fault, status := range map[string]int{FaultRefuse: 422, FaultServerError: 500, FaultDrop: 0} {
		if err := s.Faults().Set(sim.Switch{Name: fault, Uses: 1, Only: "01012345678"}); err != nil {
			t.Fatal(err)
		}
		if got := post("m1", good, posting); got != status {
			t.Errorf("%s: %d", fault, got)
		}
	}
	if len(s.Messages("")) != 0 {
		t.Error("something was taken")
	}
	for fault, status := range map[string]int{FaultTwice: 0, FaultSlow: 202} {
		if err := s.Faults().Set(sim.Switch{Name: fault, Uses: 1, DelayMS: 1, Only: "webhook"}); err != nil {
			t.Fatal(err)
		}
		if got := post("m1", good, posting); got != status {
			t.Errorf("%s: %d", fault, got)
		}
	}
	if got := post("m1", good, posting); got != http.StatusAccepted {
		t.Errorf("answer %d", got)
	}
	got := s.Messages("010-1234-5678")
	if len(got) != 1 || got[0].Times != 3 || got[0].Kind != "new_browser" || got[0].Link != "https://id.example/not-me?code=x" || got[0].Phone != "+821012345678" {
		t.Errorf("%+v", got)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{People: []Person{{Name: "홍길동", Email: "hong@example.kr", Phone: "01012345678"}, {Name: "이몽룡", Phone: "01099998888"}, {Name: "성춘향"}}})
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	get := func(path string) string {
		t.Helper()
		resp, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
		}
		return string(body)
	}
	want := func(page string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if !strings.Contains(page, part) {
				t.Errorf("%q is not on the page:\n%s", part, page)
			}
		}
	}
	want(get("/?to=hong@example.kr"), "홍길동님의 알림", "아직 도착한 알림이 없습니다.")
	s.take(Message{Channel: "mail", ID: "1", To: "HONG@example.kr", Subject: "첫째 <b>", Text: "하나\n둘 https://id.example/not-me?code=x&y=1 셋\n\n넷"})
	s.take(Message{Channel: "webhook", ID: "2", Phone: "+821012345678", Subject: "둘째", Text: "javascript:alert(1) http://127.0.0.1:1/<script>"})
	s.take(Message{Channel: "webhook", ID: "2", Phone: "+821012345678", Subject: "둘째", Text: "x"})
	s.take(Message{Channel: "mail", ID: "3", To: "somebody@example.kr", Subject: "셋째", Text: "x"})
	want(get("/"), `<a class="card" href="/?to=hong%40example.kr"><span>홍길동</span> <span class="count" role="img" aria-label="받은 알림 2건">2</span>`,
		`<span>이몽룡</span>`, `<span>somebody@example.kr</span> <span class="count"`)
	for _, to := range []string{"hong@example.kr", "01012345678", "%2B82-10-1234-5678"} {
		page := get("/?to=" + to)
		want(page, "홍길동님의 알림", `id="inbox-message-1"`, `id="inbox-message-2"`, "첫째 &lt;b&gt;",
			`<p>하나<br>둘 <a href="https://id.example/not-me?code=x&amp;y=1">https://id.example/not-me?code=x&amp;y=1</a> 셋</p>`, "<p>넷</p>",
			`2번 도착`, `<a href="http://127.0.0.1:1/">`)
		if strings.Index(page, "둘째") > strings.Index(page, "첫째") || strings.Contains(page, "inbox-message-3") || strings.Contains(page, "<script") || strings.Contains(page, `href="javascript`) {
			t.Errorf("page of %s:\n%s", to, page)
		}
	}
	var list struct{ Messages []Message }
	if err := json.Unmarshal([]byte(get("/api/messages?to=hong@example.kr")), &list); err != nil || len(list.Messages) != 2 || list.Messages[1].Times != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	want(get("/api/messages?to=nobody"), `{"messages":[]}`)
	want(get("/api/faults"), FaultHang)
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := newSimulator(t, Config{Most: 4})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got := make(chan []Message)
	go func() {
		list, err := s.Wait(ctx, "a@b.kr", 2)
		if err != nil {
			t.Error(err)
		}
		got <- list
	}()
	for n := range 5 {
		s.take(Message{Channel: "mail", ID: fmt.Sprint(n), To: []string{"c@d.kr", "a@b.kr"}[n%2]})
	}
	if list := <-got; len(list) != 2 || list[0].ID != "1" || list[1].ID != "3" {
		t.Errorf("%+v", list)
	}
	if n := len(s.Messages("")); n != 4 {
		t.Errorf("%d messages are kept", n)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if list, err := s.Wait(ended, "", 10); !errors.Is(err, context.Canceled) || len(list) != 4 {
		t.Errorf("%v, %v", list, err)
	}
}

// FuzzParseMail: whatever is sent, what is read holds no line end or control character where a page or a test would
// take it for another field.
func FuzzParseMail(f *testing.F) {
	f.Add([]byte(mailText))
	f.Add([]byte(strings.Replace(mailText, "base64", "quoted-printable", 1)))
	f.Add([]byte(strings.Replace(mailText, "Subject", "Bcc: x@y.kr\r\nSubject", 1)))
	f.Add([]byte(strings.ReplaceAll(mailText, "\r\n", "\n")))
	f.Add([]byte("\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMail(raw)
		if err != nil {
			return
		}
		if m.To == "" || strings.ContainsAny(m.To, "\r\n") || strings.ContainsAny(m.ID, "\r\n <>") {
			t.Errorf("%+v", m)
		}
		if len(m.Headers) < 8 {
			t.Errorf("%d fields", len(m.Headers))
		}
	})
}
