package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/inbox"
)

var message = notice.Message{
	ID: "abcdefghijklmnopqrstuvwxyz", Kind: notice.NewBrowser, Locale: "ko", To: "hong@example.kr",
	Subject: "[정부 통합로그인] 새로운 브라우저에서 로그인했습니다. 제목이 아주 길어도 나뉘어 인코딩되어 그대로 도착합니다",
	Text:    "정부 통합로그인에서 알려 드립니다.\n\n.\n..점으로 시작하는 줄\nhttps://id.example/not-me?code=" + strings.Repeat("x", 200) + "\n",
	Link:    "https://id.example/not-me?code=x", At: time.Date(2026, 11, 22, 11, 5, 0, 0, time.UTC),
}

var direct = new(net.Dialer).DialContext

// serve runs a simulated mail server and returns a port to it.
func serve(t *testing.T, cfg inbox.Config, way TLS, edits ...func(*Config)) (*Port, *inbox.Simulator) {
	t.Helper()
	s, err := inbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if way == Implicit {
		ln = tls.NewListener(ln, s.TLS())
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
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.RootPEM())
	c := Config{
		Address: address, TLS: way, Username: cfg.Username, Password: cfg.Password, From: "no-reply@id.example",
		Name: notice.Name{Korean: `정부 "통합" 로그인`, English: "Sign-on"}, RootCAs: roots, Dial: direct,
	}
	for _, edit := range edits {
		edit(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

// wantOutcome wants the code, with a mark of exclamation when it is permanent, and nothing of the person in the text.
func wantOutcome(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		code, permanent := outbox.Outcome(err)
		if got = code; permanent {
			got += "!"
		}
		if strings.Contains(err.Error(), "hong") || strings.Contains(err.Error(), "not-me") {
			t.Errorf("the error says too much: %v", err)
		}
	}
	if got != want {
		t.Errorf("outcome %q, want %q: %v", got, want, err)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	for _, way := range []TLS{StartTLS, Implicit, None} {
		for _, account := range []string{"", "anyid"} {
			t.Run(string(way)+account, func(t *testing.T) {
				t.Parallel()
				cfg := inbox.Config{Username: account, NoTLS: way == None}
				if account != "" {
					cfg.Password = "pass wörd"
				}
				p, s := serve(t, cfg, way)
				wantOutcome(t, p.Send(t.Context(), message), "")
				got := s.Messages("hong@example.kr")
				if len(got) != 1 {
					t.Fatalf("%d messages", len(got))
				}
				m := got[0]
				if m.ID != message.ID+"@id.example" || m.From != `정부 "통합" 로그인 <no-reply@id.example>` || m.To != message.To || m.Subject != message.Subject || m.Text != message.Text ||
					!m.At.Equal(message.At) || m.TLS != (way != None) || m.Account != account || m.Envelope != "no-reply@id.example" {
					t.Errorf("%+v", m)
				}
				if got := strings.Join(m.Headers, " "); got != "Auto-Submitted Content-Language Content-Transfer-Encoding Content-Type Date From Message-Id Mime-Version Subject To" {
					t.Errorf("fields: %s", got)
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p, s := serve(t, inbox.Config{}, StartTLS)
	for fault, want := range map[string]string{
		inbox.FaultRefuse: "smtp_550!", inbox.FaultServerError: "smtp_451", inbox.FaultDrop: "unreachable", inbox.FaultTwice: "unreachable",
	} {
		if err := s.Faults().Set(sim.Switch{Name: fault}); err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, p.Send(t.Context(), message), want)
		s.Faults().Clear()
	}
	wantOutcome(t, p.Send(t.Context(), message), "")
	if got := s.Messages(""); len(got) != 1 || got[0].Times != 2 {
		t.Errorf("%+v", got)
	}
	english := message
	english.ID, english.Locale = "another", "en"
	wantOutcome(t, p.Send(t.Context(), english), "")
	if got := s.Messages(""); len(got) != 2 || got[1].From != "Sign-on <no-reply@id.example>" {
		t.Errorf("%+v", got)
	}
}

// TestLogin: a server that does not know us, or that we do not know, says nothing against the message.
func TestLogin(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		cfg  inbox.Config
		way  TLS
		edit func(*Config)
		want string
	}{
		"no STARTTLS":          {inbox.Config{NoTLS: true}, StartTLS, func(*Config) {}, "unreachable"},
		"unknown authority":    {inbox.Config{}, StartTLS, func(c *Config) { c.RootCAs = x509.NewCertPool() }, "unreachable"},
		"the same, implicit":   {inbox.Config{}, Implicit, func(c *Config) { c.RootCAs = x509.NewCertPool() }, "unreachable"},
		"wrong password":       {inbox.Config{Username: "anyid", Password: "pass"}, StartTLS, func(c *Config) { c.Password = "hong" }, "smtp_535"},
		"no account":           {inbox.Config{Username: "anyid", Password: "pass"}, StartTLS, func(c *Config) { c.Username, c.Password = "", "" }, "smtp_530"},
		"no account to be had": {inbox.Config{}, StartTLS, func(c *Config) { c.Username, c.Password = "anyid", "pass" }, "unreachable"},
		"plain to TLS":         {inbox.Config{}, Implicit, func(c *Config) { c.TLS = None }, "timeout"},
		"TLS to plain":         {inbox.Config{}, StartTLS, func(c *Config) { c.TLS = Implicit }, "unreachable"},
		"cannot connect": {inbox.Config{}, StartTLS, func(c *Config) {
			c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("refused, hong") }
		}, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, s := serve(t, row.cfg, row.way, row.edit)
			ctx := t.Context()
			if row.want == "timeout" { // both sides wait for the other
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
				defer cancel()
			}
			wantOutcome(t, p.Send(ctx, message), row.want)
			if len(s.Messages("")) != 0 {
				t.Error("the message arrived")
			}
		})
	}
}

// script is a mail server that says what the test wants, and reports when its client has gone.
func script(t *testing.T, serve func(w io.Writer, next func() string)) (address string, gone <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	left := make(chan struct{})
	go func() {
		defer close(left)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		lines := bufio.NewReader(conn)
		serve(conn, func() string {
			line, _ := lines.ReadString('\n')
			return line
		})
		_, _ = io.Copy(io.Discard, conn)
	}()
	return ln.Addr().String(), left
}

// TestHostile: a server that hangs at any point is left when the context ends, and the connection ends with it.
func TestHostile(t *testing.T) {
	t.Parallel()
	type talk func(w io.Writer, next func() string, end func())
	say := func(w io.Writer, text string) { _, _ = io.WriteString(w, text+"\r\n") }
	greet := func(w io.Writer, next func() string) {
		say(w, "220 x")
		next() // EHLO
		say(w, "250 x")
		next() // MAIL
	}
	accept := func(w io.Writer, next func() string) {
		greet(w, next)
		say(w, "250 ok")
		next() // RCPT
		say(w, "250 ok")
		next() // DATA
		say(w, "354 go")
		for line := next(); line != ".\r\n" && line != ""; {
			line = next()
		}
	}
	for name, row := range map[string]struct {
		talk talk
		want string
	}{
		"no greeting": {func(_ io.Writer, _ func() string, end func()) { end() }, "timeout"},
		"endless greeting": {func(w io.Writer, _ func() string, end func()) {
			say(w, strings.Repeat("220-x\r\n", 1000))
			end()
		}, "timeout"},
		"no answer to MAIL": {func(w io.Writer, next func() string, end func()) {
			greet(w, next)
			end()
		}, "timeout"},
		"no answer to the mail": {func(w io.Writer, next func() string, end func()) {
			accept(w, next)
			end()
		}, "timeout"},
		"takes the mail and hangs": {func(w io.Writer, next func() string, end func()) {
			accept(w, next)
			say(w, "250 taken")
			next() // RSET: the answer was read
			end()
		}, ""},
		"takes the mail and leaves": {func(w io.Writer, next func() string, _ func()) {
			accept(w, next)
			say(w, "250 taken")
			next()
			say(w, "421 bye")
		}, ""},
		"no service": {func(w io.Writer, _ func() string, _ func()) { say(w, "554 hong@example.kr is not welcome") }, "smtp_554"},
		"no SMTP":    {func(w io.Writer, _ func() string, _ func()) { say(w, "HTTP/1.1 200 OK hong\r\n") }, "unreachable"},
		"refuses after DATA": {func(w io.Writer, next func() string, _ func()) {
			accept(w, next)
			say(w, "552-hong@example.kr\r\n552 is over quota")
		}, "smtp_552!"},
		"sender refused": {func(w io.Writer, next func() string, _ func()) {
			greet(w, next)
			say(w, "553 hong")
			next() // RSET
			say(w, "250 reset")
		}, "smtp_553!"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			address, gone := script(t, func(w io.Writer, next func() string) { row.talk(w, next, cancel) })
			p, err := New(Config{Address: address, TLS: None, From: "no-reply@id.example", Name: notice.Name{Korean: "x"}, Dial: direct})
			if err != nil {
				t.Fatal(err)
			}
			wantOutcome(t, p.Send(ctx, message), row.want)
			select {
			case <-gone:
			case <-time.After(time.Minute):
				t.Error("the connection stays open")
			}
		})
	}
}

// TestHostileValues: no value of a message or of the config becomes a field, a command or another recipient.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	const inject = "x\r\nBcc: eve@example.kr\r\n\r\n.\r\nMAIL FROM:<eve@example.kr>\r\n"
	p, s := serve(t, inbox.Config{}, StartTLS, func(c *Config) { c.Name = notice.Name{Korean: inject} })
	m := message
	m.Subject, m.Text, m.Locale = inject, inject, "ko\r\nBcc: eve@example.kr"
	wantOutcome(t, p.Send(t.Context(), m), "")
	got := s.Messages("")
	if len(got) != 1 || got[0].Subject != inject || got[0].Text != strings.ReplaceAll(inject, "\r\n", "\n") || got[0].To != "hong@example.kr" || strings.Contains(strings.Join(got[0].Headers, " "), "Bcc") {
		t.Errorf("%+v", got)
	}
	for _, to := range []string{"", "hong", "hong@example.kr, eve@example.kr", "hong@example.kr\r\nRCPT TO:<eve@example.kr>", "<hong@example.kr>", "hong@example.kr> NOTIFY=NEVER", `"hong"@example.kr`} {
		m := message
		m.To = to
		wantOutcome(t, p.Send(t.Context(), m), "address!")
	}
	for _, id := range []string{"", "a b", "a>\r\nBcc: x", "a@b", "가"} {
		m := message
		m.ID = id
		wantOutcome(t, p.Send(t.Context(), m), "malformed!")
	}
	if len(s.Messages("")) != 1 {
		t.Error("something more was sent")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Config{Address: "mail.example:587", TLS: StartTLS, From: "no-reply@id.example"}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no address":          func(c *Config) { c.Address = "" },
		"no port":             func(c *Config) { c.Address = "mail.example" },
		"port 0":              func(c *Config) { c.Address = "mail.example:0" },
		"no number":           func(c *Config) { c.Address = "mail.example:smtp" },
		"large port":          func(c *Config) { c.Address = "mail.example:65536" },
		"no host":             func(c *Config) { c.Address = ":587" },
		"plain text":          func(c *Config) { c.TLS = None },
		"unknown way":         func(c *Config) { c.TLS = "ssl" },
		"no way":              func(c *Config) { c.TLS = "" },
		"no sender":           func(c *Config) { c.From = "" },
		"a name as sender":    func(c *Config) { c.From = "Any-ID <no-reply@id.example>" },
		"only a password":     func(c *Config) { c.Password = "x" },
		"only a username":     func(c *Config) { c.Username = "x" },
		"loopback look-alike": func(c *Config) { c.Address, c.TLS = "localhost.example:25", None },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
