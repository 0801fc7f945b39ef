package frame_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/anyid/anyid/internal/demo/frame"
)

func TestFrame(t *testing.T) {
	t.Parallel()
	f, err := frame.New(frame.Site{Name: "누리집", Login: "/in", Nav: []frame.Link{{Text: "홈", Href: "/"}, {Text: "좋은 곳", Href: "/good"}}, FormOrigin: "https://op.example", Log: slog.New(slog.DiscardHandler)}, fstest.MapFS{
		"pages/good.html":  {Data: []byte(`{{define "main"}}<h1>{{.Body}}</h1>{{end}}`)},
		"pages/bad.html":   {Data: []byte(`{{define "main"}}secret{{.Body.Missing}}{{end}}`)},
		"assets/theme.css": {Data: []byte(`:root{}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /good", func(w http.ResponseWriter, r *http.Request) {
		f.Render(w, r, http.StatusOK, "good", frame.Page{Title: "t", Path: "/good", Body: "<b>", Signed: &frame.Signed{
			Name: "<i>", Remaining: 90500 * time.Millisecond, Until: time.Date(2026, 11, 22, 15, 5, 0, 0, time.UTC),
		}})
	})
	mux.HandleFunc("GET /good/below", func(w http.ResponseWriter, r *http.Request) {
		f.Render(w, r, http.StatusOK, "good", frame.Page{Path: "/good/below"})
	})
	mux.HandleFunc("GET /bad", func(w http.ResponseWriter, r *http.Request) {
		f.Render(w, r, http.StatusOK, "bad", frame.Page{Body: "x"})
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
		_, _ = w.Write(body)
	})
	h := f.Handler(mux, 8, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "cross", http.StatusForbidden) }))
	for name, tc := range map[string]struct {
		method, path, body, fetchSite string
		status                        int
		texts                         []string
	}{
		"page":              {"GET", "/good", "", "", 200, []string{"&lt;b&gt;", "&lt;i&gt;", ">00:05<", `data-seconds="90"`, "/static/frame.", "/static/session.", `data-warn="60"`, `<a href="/">`, `<a href="/good" aria-current="page">`}},
		"page below it":     {"GET", "/good/below", "", "", 200, []string{`<a href="/">`, `<a href="/good" aria-current="true">`, `href="/in">로그인`}},
		"broken page":       {"GET", "/bad", "", "", 500, nil},
		"no such asset":     {"GET", "/static/frame.css", "", "", 404, nil},
		"same origin write": {"POST", "/echo", "12345678", "same-origin", 200, []string{"12345678"}},
		"no browser":        {"POST", "/echo", "12345678", "", 200, nil},
		"cross site write":  {"POST", "/echo", "1", "cross-site", 403, []string{"cross"}},
		"too large":         {"POST", "/echo", "123456789", "", 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			if tc.fetchSite != "" {
				r.Header.Set("Sec-Fetch-Site", tc.fetchSite)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d", w.Code, tc.status)
			}
			for _, text := range tc.texts {
				if !strings.Contains(w.Body.String(), text) {
					t.Errorf("lacks %q: %s", text, w.Body)
				}
			}
			if strings.Contains(w.Body.String(), "secret") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "form-action 'self' https://op.example;") {
				t.Errorf("body or headers: %s %v", w.Body, w.Header())
			}
		})
	}
}

func TestBackTo(t *testing.T) {
	t.Parallel()
	for wanted, want := range map[string]string{
		"/my": "/my", "/my?x=1": "/my", "/other": "/home", "//my": "/home", "https://evil.example/my": "/home", "/\\evil": "/home", "": "/home", "%zz": "/home",
	} {
		if got := frame.BackTo(wanted, "/home", "/my", "/"); got != want {
			t.Errorf("%q leads to %q, want %q", wanted, got, want)
		}
	}
}
