package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// newEdge serves a small mux behind a whole edge and returns its log.
func newEdge(t *testing.T, e Edge) (*httptest.Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	e.Log = slog.New(slog.NewJSONHandler(&log, nil))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/{id}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
	mux.HandleFunc("POST /login/{id}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
			if !ok || tooLarge.Limit != 100 {
				t.Errorf("read: %v", err)
			}
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	mux.HandleFunc("POST /token", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("홍길동") })
	mux.HandleFunc("GET /bug", func(_ http.ResponseWriter, r *http.Request) { _ = []int{1}[len(r.URL.Path)] })
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half"); panic("late") })
	mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	srv := httptest.NewServer(e.Handler(mux))
	t.Cleanup(srv.Close)
	return srv, &log
}

func do(t *testing.T, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestEdgeHeadersAndLog(t *testing.T) {
	t.Parallel()
	srv, log := newEdge(t, Edge{HTTPS: true})
	res, body := do(t, "GET", srv.URL+"/login/secret-attempt?code=secret-code", nil)
	if res.StatusCode != 200 || body != "page" {
		t.Fatalf("got %d %q", res.StatusCode, body)
	}
	want := map[string]string{
		"Content-Security-Policy":    csp,
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Permissions-Policy":         permissions,
		"Strict-Transport-Security":  hsts,
	}
	for name, value := range want {
		if got := res.Header.Get(name); got != value {
			t.Errorf("%s: %q", name, got)
		}
	}
	var line struct {
		Msg, Method, Route string
		Status             int
		Duration           int64
		RequestID          string `json:"request_id"`
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Msg != "request" || line.Method != "GET" || line.Route != "GET /login/{id}" || line.Status != 200 || line.Duration <= 0 || line.RequestID != res.Header.Get("X-Request-Id") {
		t.Errorf("log: %s", log)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("log tells too much: %s", log)
	}
	plain, _ := newEdge(t, Edge{})
	if res, _ := do(t, "GET", plain.URL+"/login/1", nil); res.Header.Get("Strict-Transport-Security") != "" {
		t.Error("HSTS without https")
	}
}

func TestEdgeRecovers(t *testing.T) {
	t.Parallel()
	srv, log := newEdge(t, Edge{})
	for _, path := range []string{"/panic", "/bug"} {
		res, body := do(t, "GET", srv.URL+path, nil)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 500 || res.Header.Get("Content-Type") != "application/problem+json" || p.Code != CodeInternal ||
			p.RequestID != res.Header.Get("X-Request-Id") || p.Type != "about:blank" || p.Title != "Internal Server Error" {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	for _, path := range []string{"/half", "/abort"} {
		res, err := http.Get(srv.URL + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if err == nil {
			t.Errorf("%s: the answer looks whole", path)
		}
	}
	srv.Close() // the log is complete then
	text := log.String()
	if strings.Contains(text, "홍길동") || strings.Contains(text, `"late"`) {
		t.Error("a panic's own text is in the log")
	}
	for _, want := range []string{`"panic":"string"`, "index out of range", `"route":"GET /bug"`, "edge_test.go"} {
		if !strings.Contains(text, want) {
			t.Errorf("log lacks %s", want)
		}
	}
}

func TestEdgeRefuses(t *testing.T) {
	t.Parallel()
	srv, log := newEdge(t, Edge{MaxBody: 100, Exempt: []string{"POST /token"}})
	small, large := strings.Repeat("a", 100), strings.Repeat("a", 101)
	cross := []string{"Sec-Fetch-Site", "cross-site"}
	tests := []struct {
		name   string
		path   string
		body   io.Reader
		header []string
		status int
		code   string
	}{
		{"body at the limit", "/login/1", strings.NewReader(small), nil, 200, ""},
		{"announced body too large", "/login/1", strings.NewReader(large), nil, 413, CodeTooLarge},
		{"chunked body too large", "/login/1", io.MultiReader(strings.NewReader(large)), nil, 413, ""},
		{"same origin", "/login/1", nil, []string{"Sec-Fetch-Site", "same-origin"}, 200, ""},
		{"cross origin", "/login/1", nil, cross, 403, CodeCrossOrigin},
		{"foreign Origin", "/login/1", nil, []string{"Origin", "https://evil.example"}, 403, CodeCrossOrigin},
		{"exempt", "/token", nil, cross, 200, ""},
	}
	for _, tt := range tests {
		res, body := do(t, "POST", srv.URL+tt.path, tt.body, tt.header...)
		if res.StatusCode != tt.status || tt.code != "" && !strings.Contains(body, `"code":"`+tt.code+`"`) {
			t.Errorf("%s: %d %s", tt.name, res.StatusCode, body)
		}
	}
	srv.Close()
	if got := strings.Count(log.String(), `"status":403`); got != 2 {
		t.Errorf("%d refusals in the log", got)
	}
	if res, _ := do(t, "GET", mustServe(t, Edge{})+"/login/1", nil, cross...); res.StatusCode != 200 {
		t.Errorf("a cross-origin GET is a link: %d", res.StatusCode)
	}
}

func mustServe(t *testing.T, e Edge) string {
	t.Helper()
	srv, _ := newEdge(t, e)
	return srv.URL
}

func TestEdgeFailIsTheCallers(t *testing.T) {
	t.Parallel()
	url := mustServe(t, Edge{Fail: func(w http.ResponseWriter, _ *http.Request, status int, code string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "page for "+code)
	}})
	if res, body := do(t, "GET", url+"/panic", nil); res.StatusCode != 500 || body != "page for internal" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestAllowFormAction(t *testing.T) {
	t.Parallel()
	tests := []struct{ target, source string }{
		{"https://site.example", "https://site.example"},
		{"https://site.example:8443/cb?x=1#f", "https://site.example:8443"},
		{"http://127.0.0.1:9000/cb", "http://127.0.0.1:9000"},
		{"http://[::1]:9000/cb", "http:"},
		{"https://my_site.example:8443/cb", "https:"},
		{"https://my_site.example;script-src *", ""},
		{"kr.go.app:/cb", "kr.go.app:"},
		{"https://user@site.example/", "https://site.example"},
		{"/relative", ""},
		{"", ""},
		{"https://", ""},
		{"https://a.example;script-src *", ""},
		{"https://a'b/", ""},
		{"https://a b/", ""},
		{"://", ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		err := AllowFormAction(w, tt.target)
		got := w.Header().Get(cspHeader)
		if tt.source == "" {
			if err == nil || got != "" {
				t.Errorf("%q: allowed as %q", tt.target, got)
			}
			continue
		}
		want := strings.Replace(csp, "form-action 'self'", "form-action 'self' "+tt.source, 1)
		if err != nil || got != want {
			t.Errorf("%q: %v %q", tt.target, err, got)
		}
	}
}

func TestAllowWebAssembly(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	AllowWebAssembly(w)
	if err := AllowFormAction(w, "https://site.example"); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'", "form-action 'self'", "form-action 'self' https://site.example").Replace(csp)
	if got := w.Header().Get(cspHeader); got != want || strings.Contains(csp, "wasm") {
		t.Errorf("%q", got)
	}
}

func TestAllowSigner(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := AllowSigner(w, "https://signer.example/v1/fincert.js", "http://127.0.0.1:8086"); err != nil {
		t.Fatal(err)
	}
	const both = " https://signer.example http://127.0.0.1:8086"
	want := strings.NewReplacer("script-src 'self'", "script-src 'self'"+both, "connect-src 'self'", "connect-src 'self'"+both).Replace(csp) + "; frame-src" + both
	if got := w.Header().Get(cspHeader); got != want || strings.Contains(csp, "frame-src") {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "signer.example", "kr.go.app:/x", "https://[::1]/", "https://a_b/", "https://a;b", "data:text/javascript,1"} {
		w := httptest.NewRecorder()
		if err := AllowSigner(w, "https://signer.example", bad); err == nil || w.Header().Get(cspHeader) != "" {
			t.Errorf("%q: %v, %q", bad, err, w.Header().Get(cspHeader))
		}
	}
}

func TestAllowFrames(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := AllowFormAction(w, "https://a.example/out"); err != nil {
		t.Fatal(err)
	}
	if err := AllowFrames(w, "https://a.example/logout?sid=1", "https://a.example/again", "http://127.0.0.1:8086/x"); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(csp, formAction, formAction+" https://a.example", 1) + "; frame-src https://a.example http://127.0.0.1:8086"
	if got := w.Header().Get(cspHeader); got != want {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "a.example", "kr.go.app:/x", "https://[::1]/", "https://a;b", "data:text/html,1"} {
		w := httptest.NewRecorder()
		if err := AllowFrames(w, "https://a.example", bad); err == nil || w.Header().Get(cspHeader) != "" {
			t.Errorf("%q: %v, %q", bad, err, w.Header().Get(cspHeader))
		}
	}
}

func FuzzAllowFormAction(f *testing.F) {
	for _, s := range []string{"https://site.example/cb", "http://[::1]/", "kr.go.app:/cb", "https://a;b", "https://a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		source, err := cspSource(target)
		if err != nil {
			return
		}
		if source == "" || strings.ContainsAny(source, " ;,'\"*\r\n\t") {
			t.Fatalf("%q became %q", target, source)
		}
	})
}
