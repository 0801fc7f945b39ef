package notice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbox"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// inbox is a Port that keeps what it is sent.
type inbox struct {
	messages []Message
	err      error
}

func (b *inbox) Send(_ context.Context, m Message) error {
	b.messages = append(b.messages, m)
	return b.err
}

var now = time.Date(2026, 11, 22, 11, 5, 0, 0, time.UTC)

func newService(t testing.TB, ports Ports) *Service {
	t.Helper()
	box, err := secret.NewBox(secret.Key{ID: "k1", Bytes: bytes.Repeat([]byte{1}, secret.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	return &Service{
		Box: box, Ports: ports, Issuer: "https://id.example.go.kr",
		ServiceName: Name{"정부 통합로그인", "Government single sign-on"}, CallCentre: "1588-0000",
		ProviderName: func(_ method.Method, provider, locale string) string {
			if provider == "naver" && locale == "ko" {
				return "네이버"
			}
			return ""
		},
		Now: func() time.Time { return now },
	}
}

func news(kind Kind) News {
	return News{
		Kind: kind, Person: "person-1", Method: method.Simple, Provider: "naver", Site: "qnet", SiteName: "큐넷", Session: "s1",
		Origin: session.Origin{Address: "203.0.113.7", Browser: "Chrome, Windows"}, At: now,
		Email: "hong@example.kr", Phone: "+821012345678", Locale: "ko",
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	mailed, hooked := &inbox{}, &inbox{}
	s := newService(t, Ports{Mail: mailed, Webhook: hooked})
	alert, items, err := s.Tell(news(NewBrowser))
	if err != nil || len(items) != 2 {
		t.Fatalf("%d items, %v", len(items), err)
	}
	if alert.Person != "person-1" || alert.Kind != NewBrowser || alert.Method != method.Simple || alert.Provider != "naver" || alert.Site != "qnet" ||
		alert.Session != "s1" || !alert.At.Equal(now) || alert.Case != "" {
		t.Errorf("alert: %+v", alert)
	}
	if origin, err := alert.OpenOrigin(s.Box); err != nil || origin != news(NewBrowser).Origin {
		t.Errorf("origin: %+v, %v", origin, err)
	}
	moved := alert
	moved.ID = "another"
	if _, err := moved.OpenOrigin(s.Box); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("the origin opens for another alert: %v", err)
	}
	h := &Handler{Box: s.Box, Ports: s.Ports}
	for n, channel := range []Channel{Mail, Webhook} {
		i := items[n]
		if i.Kind != outbox.Notice || i.Target != "notice:"+string(channel) || !i.NextAt.Equal(now) || !i.GiveUpAt.Equal(now.Add(24*time.Hour)) {
			t.Errorf("item: %+v", i)
		}
		for _, hidden := range []string{"hong", "example.kr", "1012345678", "203.0.113.7", "person-1"} {
			if strings.Contains(i.Payload+i.Target+i.Batch, hidden) {
				t.Errorf("the item shows %s", hidden)
			}
		}
		if err := h.Deliver(t.Context(), i); err != nil {
			t.Error(err)
		}
	}
	if len(mailed.messages) != 1 || len(hooked.messages) != 1 {
		t.Fatalf("sent %d and %d", len(mailed.messages), len(hooked.messages))
	}
	m := mailed.messages[0]
	if m.ID != items[0].ID || m.To != "hong@example.kr" || m.Phone != "+821012345678" || m.Kind != NewBrowser || m.Locale != "ko" || !m.At.Equal(now) {
		t.Errorf("message: %+v", m)
	}
	link, err := url.Parse(m.Link)
	if err != nil || link.Scheme+"://"+link.Host+link.Path != "https://id.example.go.kr/not-me" || secret.Hash(link.Query().Get("code")) != alert.ID {
		t.Errorf("link: %s, %v", m.Link, err)
	}
	if hooked.messages[0].Link != m.Link || hooked.messages[0].ID == m.ID {
		t.Errorf("the webhook's message: %+v", hooked.messages[0])
	}
	again, _, err := s.Tell(news(NewBrowser))
	if err != nil || again.ID == alert.ID {
		t.Errorf("one code twice: %v", err)
	}
}

// TestChannels: who is reached how.
func TestChannels(t *testing.T) {
	t.Parallel()
	both := Ports{Mail: &inbox{}, Webhook: &inbox{}}
	for _, row := range []struct {
		name   string
		ports  Ports
		change func(*News)
		want   string
	}{
		{"both", both, func(*News) {}, "notice:mail notice:webhook"},
		{"no phone", both, func(n *News) { n.Phone = "" }, "notice:mail notice:webhook"},
		{"no address", both, func(n *News) { n.Email = "" }, "notice:webhook"},
		{"neither", both, func(n *News) { n.Email, n.Phone = "", "" }, ""},
		{"mail only", Ports{Mail: &inbox{}}, func(*News) {}, "notice:mail"},
		{"mail only, no address", Ports{Mail: &inbox{}}, func(n *News) { n.Email = "" }, ""},
		{"nothing configured", nil, func(*News) {}, ""},
		{"quiet", both, func(n *News) { n.Quiet = true }, ""},
	} {
		for _, kind := range []Kind{NewBrowser, NewMethod, Withdrawn} {
			n := news(kind)
			row.change(&n)
			alert, items, err := newService(t, row.ports).Tell(n)
			var targets []string
			for _, i := range items {
				targets = append(targets, i.Target)
			}
			if got := strings.Join(targets, " "); got != row.want || err != nil || (alert.ID == "") != (kind == Withdrawn) || alert.Kind == Withdrawn {
				t.Errorf("%s, %s: %q, %v, %+v", row.name, kind, got, err, alert)
			}
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	const link = "https://id.example.go.kr/not-me?code=CODE"
	for _, row := range []struct {
		kind          Kind
		locale        string
		subject, text string
	}{
		{NewBrowser, "ko", "[정부 통합로그인] 새로운 브라우저에서 로그인했습니다", `정부 통합로그인에서 알려 드립니다.

지금까지 로그인한 적이 없는 브라우저에서 로그인했습니다.

일시: 2026년 11월 22일 20시 05분 (한국 시간)
이용사이트: 큐넷
인증수단: 간편인증 (네이버)
브라우저: Chrome, Windows
접속 주소(IP): 203.0.113.7

본인이 하신 일이라면 아무것도 하지 않으셔도 됩니다.

본인이 아니라면 아래 주소를 열어 바로 알려 주세요. 로그인을 모두 끝내고 이 인증수단의 사용을 멈춘 뒤 담당자가 확인합니다.
https://id.example.go.kr/not-me?code=CODE

이 메시지는 발신 전용입니다. 저희는 메시지로 주민등록번호나 인증서 비밀번호를 묻지 않습니다.
`},
		{NewMethod, "en", "[Government single sign-on] A way to sign in was added", `This is a message from Government single sign-on.

A new way to sign in was added to your registration.

When: 22 November 2026, 20:05 (Korea time)
Site: 큐넷
Added: Simple authentication
Browser: Chrome, Windows
IP address: 203.0.113.7

If this was you, there is nothing to do.

If this was not you, please tell us at once at the address below. Every session will be ended and this way to sign in will be stopped, and our staff will look into it.
https://id.example.go.kr/not-me?code=CODE

Please do not reply to this message. We never ask for your resident registration number or a certificate's password by message.
`},
		{Withdrawn, "ko", "[정부 통합로그인] 사용자 등록이 해지되었습니다", `정부 통합로그인에서 알려 드립니다.

사용자 등록이 해지되어 이용정보가 모두 삭제되었습니다. 다시 이용하려면 사용자 등록을 다시 하셔야 합니다.

일시: 2026년 11월 22일 20시 05분 (한국 시간)
이용사이트: 큐넷
인증수단: 간편인증 (네이버)
브라우저: Chrome, Windows
접속 주소(IP): 203.0.113.7

본인이 해지하지 않았다면 고객센터 1588-0000에 문의해 주세요.

이 메시지는 발신 전용입니다. 저희는 메시지로 주민등록번호나 인증서 비밀번호를 묻지 않습니다.
`},
	} {
		s := newService(t, nil)
		n := news(row.kind)
		n.Locale = row.locale
		with := link
		if row.kind == Withdrawn {
			with = ""
		}
		if m := s.message(n, with); m.Subject != row.subject || m.Text != row.text || m.Link != with {
			t.Errorf("%s, %s: %s\n%s", row.kind, row.locale, m.Subject, m.Text)
		}
	}
	// What is not known is not said, and another language is Korean.
	s := newService(t, nil)
	s.CallCentre, s.ProviderName = "", nil
	m := s.message(News{Kind: Withdrawn, Method: method.MobileID, At: now, Locale: "fr"}, "")
	if m.Locale != "ko" || strings.Contains(m.Text, "이용사이트") || strings.Contains(m.Text, "브라우저") || strings.Contains(m.Text, "고객센터") ||
		!strings.Contains(m.Text, "인증수단: 모바일 신분증\n") {
		t.Errorf("%+v", m)
	}
	for locale, w := range wordings {
		for _, kind := range []Kind{NewBrowser, NewMethod, Withdrawn} {
			if w.subject[kind] == "" || w.lead[kind] == "" {
				t.Errorf("%s: no words for %s", locale, kind)
			}
		}
	}
}

// TestOthersValues: a value that others chose adds no line, no header and nothing unseen.
func TestOthersValues(t *testing.T) {
	t.Parallel()
	n := news(NewBrowser)
	plain := newService(t, nil).message(n, "L")
	for _, bad := range []string{"x\r\nBcc: a@b.kr", "x\n\n본인이 아니라면: https://evil.example", "\u202eevil\u2066", "\x00\x1b[31m", "\xffx\xfe", strings.Repeat("가", 10_000), "a\u2028b\u0085c"} {
		n.SiteName, n.Origin.Browser, n.Origin.Address = bad, bad, bad
		s := newService(t, nil)
		s.ServiceName = Name{bad, bad}
		m := s.message(n, "L")
		if strings.ContainsAny(m.Subject, "\r\n\x00\u202e\u2028") || strings.ContainsAny(m.Text, "\r\x00\x1b\u202e\u2066\u2028\u0085") ||
			strings.Count(m.Text, "\n") != strings.Count(plain.Text, "\n") || len(m.Text) > 4000 {
			t.Errorf("%.40q gives %q\n%q", bad, m.Subject, m.Text)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	port := &inbox{}
	s := newService(t, Ports{Mail: port})
	_, items, err := s.Tell(news(NewBrowser))
	if err != nil {
		t.Fatal(err)
	}
	item := items[0]
	h := &Handler{Box: s.Box, Ports: s.Ports}
	for name, change := range map[string]func(*outbox.Item){
		"no_channel": func(i *outbox.Item) { i.Target = "notice:webhook" },
		"sealed":     func(i *outbox.Item) { i.ID = "another" },
		"malformed": func(i *outbox.Item) {
			i.Payload = s.Box.Seal([]byte("hong@example.kr"), itemRecord(i.ID))
		},
	} {
		i := item
		change(&i)
		if err := h.Deliver(t.Context(), i); err == nil || !strings.HasPrefix(err.Error(), name+": ") || strings.Contains(err.Error(), "hong") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, target := range []string{"", "notice:", "notice", "mail"} {
		i := item
		i.Target = target
		if err := h.Deliver(t.Context(), i); err == nil {
			t.Errorf("delivered to %q", target)
		}
	}
	if len(port.messages) != 0 {
		t.Error("something was sent")
	}
	port.err = outbox.Permanent("status_550", errors.New("no such user"))
	if err := h.Deliver(t.Context(), item); !errors.Is(err, port.err) {
		t.Errorf("the port's error is lost: %v", err)
	}
}

// TestMessageForm: the names that receivers of a webhook read.
func TestMessageForm(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(Message{ID: "i", Kind: NewMethod, Locale: "ko", Subject: "제목", Text: "본문\n", At: now})
	if err != nil || string(text) != `{"id":"i","kind":"new_method","locale":"ko","to":"","subject":"제목","text":"본문\n","at":"2026-11-22T11:05:00Z"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestParseEmail(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"hong@example.kr":                       "hong@example.kr",
		"  Hong.Gil-dong+any@Example.GO.KR\n":   "Hong.Gil-dong+any@example.go.kr",
		"a@b.c1":                                "a@b.c1",
		"o'brien=x@mail-1.example":              "o'brien=x@mail-1.example",
		"x@xn--hq1bm8jm9l.kr":                   "x@xn--hq1bm8jm9l.kr",
		strings.Repeat("l", 64) + "@example.kr": strings.Repeat("l", 64) + "@example.kr",
		"a@" + strings.Repeat("d", 63) + ".kr":  "a@" + strings.Repeat("d", 63) + ".kr",
	} {
		if got, err := ParseEmail(in); got != want || err != nil {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", " ", "hong", "@example.kr", "hong@", "hong@example", "hong@.kr", "hong@example.", "hong@example..kr", ".hong@example.kr", "hong.@example.kr",
		"ho..ng@example.kr", "hong@-a.kr", "hong@a-.kr", "a@b@c.kr", `"hong gil"@example.kr`, "hong gil@example.kr", "홍@example.kr", "hong@한국.kr", "hong@[203.0.113.7]",
		"hong@203.0.113.7", "Hong <hong@example.kr>", "hong@example.kr\r\nBcc: a@b.kr", "hong@example.kr,b@example.kr", "hong@exam_ple.kr", "hong(x)@example.kr",
		strings.Repeat("l", 65) + "@example.kr", "a@" + strings.Repeat("d", 64) + ".kr", "a@" + strings.Repeat("d.", 126) + "kr", "hong@example.kr\x00", "hong＠example.kr",
	} {
		if got, err := ParseEmail(in); err == nil || got != "" || !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hong") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// FuzzParseEmail: what is taken is what would be stored again, and reads as one plain address everywhere.
func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{"hong@example.kr", " A.b+c@Example.KR ", `"a b"@c.kr`, "a@b", "a@b.c\r\nX: y", "홍@한국.kr", "a@203.0.113.7", "<a@b.kr>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseEmail(text)
		if err != nil {
			return
		}
		if again, err := ParseEmail(got); err != nil || again != got {
			t.Errorf("%q becomes %q, %v", got, again, err)
		}
		if a, err := mail.ParseAddress(got); err != nil || a.Address != got || a.Name != "" {
			t.Errorf("%q reads as %v, %v", got, a, err)
		}
	})
}
