package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
)

var message = notice.Message{
	ID: "message-1", Kind: notice.NewBrowser, Locale: "ko", To: "hong@example.kr", Phone: "+821012345678",
	Subject: "제목", Text: "본문 <&>\n", Link: "https://id.example/not-me?code=x", At: time.Unix(1_790_000_000, 0).UTC(),
}

func newPort(t *testing.T, url string) *Port {
	t.Helper()
	p, err := New(Config{URL: url, Secret: "s3cret", Client: &http.Client{}, Now: func() time.Time { return time.Unix(1_790_000_001, 999) }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSend(t *testing.T) {
	t.Parallel()
	var got notice.Message
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &got) != nil {
			t.Errorf("body %q, %v", body, err)
		}
		h := r.Header
		if r.Method != http.MethodPost || r.URL.RequestURI() != "/hook?x=1" || h.Get("Idempotency-Key") != "message-1" || h.Get("Content-Type") != "application/json; charset=utf-8" ||
			h.Get("Anyid-Signature") != sign("s3cret", time.Unix(1_790_000_001, 0), body) {
			t.Errorf("%s %s %v", r.Method, r.URL, h)
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "thanks")
	}))
	defer server.Close()
	if err := newPort(t, server.URL+"/hook?x=1").Send(t.Context(), message); err != nil || got != message {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSignature: HMAC-SHA-256 of `1790000001.{"a":1}` under "s3cret".
func TestSignature(t *testing.T) {
	t.Parallel()
	if got := sign("s3cret", time.Unix(1_790_000_001, 0), []byte(`{"a":1}`)); got != "t=1790000001,v1=b2f9542465e1d497dd1abfe899b820373c7a0e1d1e2477da1ec76c4f0239a934" {
		t.Error(got)
	}
}

// TestAnswers: what becomes of a message by its answer.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "", 202: "", 204: "", 299: "",
		301: "status_301", 302: "status_302", 307: "status_307",
		400: "status_400!", 401: "status_401!", 404: "status_404!", 410: "status_410!", 422: "status_422!",
		408: "status_408", 429: "status_429", 500: "status_500", 502: "status_502", 503: "status_503", 599: "status_599",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(status)
		}))
		p := newPort(t, server.URL)
		p.c.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		wantOutcome(t, p.Send(t.Context(), message), want)
		server.Close()
	}
}

// wantOutcome wants the code, with a mark of exclamation when it is permanent, and none of the message in the text.
func wantOutcome(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		code, permanent := outbox.Outcome(err)
		if got = code; permanent {
			got += "!"
		}
		for _, hidden := range []string{"hong", "1012345678", "not-me", "본문"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error says %s: %v", hidden, err)
			}
		}
	}
	if got != want {
		t.Errorf("outcome %q, want %q: %v", got, want, err)
	}
}

// TestHostile: a receiver that is not there, hangs, breaks off, or answers without end.
func TestHostile(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + ln.Addr().String()
	_ = ln.Close()
	wantOutcome(t, newPort(t, nobody).Send(t.Context(), message), "unreachable")

	for name, row := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"hangs":      {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
		"breaks off": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable"},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, ""},
		"drips": {func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
				row.answer(w, r)
			}))
			defer server.Close()
			// A machine so slow that nothing is answered in this time sees hanging only.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := newPort(t, server.URL).Send(ctx, message)
			if name == "hangs" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if name == "hangs" || ctx.Err() == nil {
				wantOutcome(t, err, row.want)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://hook.example/x?y=1", "http://127.0.0.1:80/", "http://localhost/x", "http://[::1]:8080", "https://127.0.0.1"} {
		if _, err := New(Config{URL: url, Secret: "s"}); err != nil {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := New(Config{URL: url}); err == nil {
			t.Errorf("%q without a secret", url)
		}
	}
	for _, url := range []string{"", "hook.example", "/x", "http://hook.example", "http://10.0.0.1", "http://127.0.0.1.example", "http://localhost.example", "ftp://127.0.0.1", "https://", "https:///x", "https://u:p@hook.example", "https://hook.example/#x", "https://hook.example:x", "http://[::1", "javascript:x"} {
		if _, err := New(Config{URL: url, Secret: "s"}); err == nil || url != "" && strings.Contains(err.Error(), url) {
			t.Errorf("%q: %v", url, err)
		}
	}
}
