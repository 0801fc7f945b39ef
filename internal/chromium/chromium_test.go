package chromium_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/chromium"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// recorder is a test that keeps what would fail it.
type recorder struct {
	*testing.T
	errors   []string
	cleanups []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() string {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return strings.Join(r.errors, "\n")
}

// pages serves each body, or whole document, at its path.
func pages(t *testing.T, bodies map[string]string) (base, host string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasPrefix(r.URL.Path, "/strict") {
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		}
		if strings.HasPrefix(body, "<!doctype") {
			fmt.Fprint(w, body)
			return
		}
		fmt.Fprintf(w, "<!doctype html><html lang=ko><title>t</title><link rel=icon href=data:,><body>%s", body)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return server.URL, u.Host
}

func TestFaultsAreRecorded(t *testing.T) {
	t.Parallel()
	base, host := pages(t, map[string]string{
		"/fine":      `<p id=p>x</p>`,
		"/console":   `<script>console.error("oh", 1)</script>`,
		"/exception": `<script>nothing.at.all</script>`,
		"/foreign":   `<img src="http://elsewhere.example/x.png">`,
		"/missing":   `<img src="/none.png">`,
		"/strict":    `<script>document.title = "ran"</script>`,
		"/strict2":   `<img src="/none.png">`,
	})
	for path, want := range map[string]string{
		"/fine": "", "/console": "console error", "/exception": "exception", "/foreign": "another host: http://elsewhere.example",
		"/missing": "none.png answered 404", "/strict": "Content Security Policy", "/strict2": "blocked: csp",
	} {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			r := &recorder{T: t}
			tab := chromium.New(r, chromium.Options{Hosts: []string{host}}).Tab()
			tab.Open(base + path)
			if got := r.end(); (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("recorded %q, want %q", got, want)
			}
		})
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	t.Parallel()
	base, host := pages(t, map[string]string{
		"/":       `<form method=post action="/next"><input id=a name=a><button id=go>go</button></form><iframe src="/inner"></iframe>`,
		"/inner":  `<script>document.cookie = "crumb=c1"; fetch("/told?q=1#part", {method: "POST", headers: {"X-Word": "w1"}, body: new Uint8Array(100000).fill(66)}).then(() => document.body.append(Object.assign(document.createElement("p"), {id: "told"})))</script>`,
		"/next":   `<form method=post enctype=multipart/form-data action="/file"><input type=file id=f name=f><button id=go>go</button></form>`,
		"/file":   `<form method=post action="/empty"><button id=go>go</button></form>`,
		"/empty":  `<p id=q>end</p>`,
		"/told":   `x`,
		"/socket": `<script>try { new WebSocket("ws://" + location.host + "/") } catch {}</script>`,
	})
	b := chromium.New(t, chromium.Options{Hosts: []string{host}, Record: true})
	tab := b.Tab()
	tab.Open(base)
	tab.Frame("iframe").Wait("told")
	file := t.TempDir() + "/x.txt"
	if err := os.WriteFile(file, []byte("inside"), 0o600); err != nil {
		t.Fatal(err)
	}
	tab.Fill("a", "김하늘")
	tab.Follow("go")
	tab.Upload("f", file)
	tab.Follow("go")
	tab.Follow("go")
	tab.Wait("q")
	found := map[string]chromium.Request{}
	for _, r := range b.Requests() {
		found[r.Method+" "+strings.TrimPrefix(r.URL, base)] = r
	}
	told, sent := found["POST /told?q=1#part"], found["POST /next"]
	if len(told.Body) != 100000 || strings.Trim(string(told.Body), "B") != "" || told.Untold || !slices.Contains(told.Header, "X-Word: w1") || !slices.Contains(told.Header, "Cookie: crumb=c1") {
		t.Errorf("told %d bytes with %q", len(told.Body), told.Header)
	}
	if string(sent.Body) != "a="+url.QueryEscape("김하늘") || sent.Untold || !slices.Contains(sent.Header, "Cookie: crumb=c1") {
		t.Errorf("sent %q with %q", sent.Body, sent.Header)
	}
	if _, ok := found["GET /inner"]; !ok || len(found) != 6 || !found["POST /file"].Untold || found["POST /empty"].Untold {
		t.Errorf("%d requests: %v", len(found), found)
	}

	r := &recorder{T: t}
	chromium.New(r, chromium.Options{Hosts: []string{host}}).Tab().Open(base + "/socket")
	if got := r.end(); !strings.Contains(got, "a web socket: ws://") {
		t.Errorf("recorded %q", got)
	}
}

func TestPersonAtThePage(t *testing.T) {
	t.Parallel()
	base, host := pages(t, map[string]string{
		"/": `<form action="/next"><label for=a>a</label><input id=a name=a value=old><input type=checkbox id=c name=c><label for=c>c</label>
			<input type=file id=f><button id=go>go</button></form><p id=s></p><noscript id=n>off</noscript><script>document.getElementById("s").textContent = "on"</script>`,
		"/next":   `<p id=q>next</p>`,
		"/framed": `<p>page</p><iframe src="/" style="margin:50px"></iframe>`,
		"/blind":  `<style>*{outline:0 !important}</style><a id=l href="/next">x</a>`,
		"/wide":   `<div style="width:2000px">x</div>`,
	})
	b := chromium.New(t, chromium.Options{Hosts: []string{host}})
	tab := b.Tab()
	tab.Open(base)
	tab.Fill("a", "김하늘")
	tab.Click("c")
	file := t.TempDir() + "/x.txt"
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	tab.Upload("f", file)
	if name := tab.Value(`document.getElementById("f").files[0].name`); name != "x.txt" || tab.Text("s") != "on" {
		t.Errorf("file %q, script %q", name, tab.Text("s"))
	}
	tab.Follow("go")
	if u, err := url.Parse(tab.URL()); err != nil || u.Query().Get("a") != "김하늘" || u.Query().Get("c") != "on" || tab.Status() != 200 {
		t.Errorf("sent %s (%d)", tab.URL(), tab.Status())
	}
	tab.Back()
	tab.TabTo("go")
	tab.Enter()
	tab.Wait("q")
	tab.Reload()
	if !tab.Has("q") || tab.Has("a") {
		t.Error("reload went elsewhere")
	}

	framed := chromium.New(t, chromium.Options{Hosts: []string{host}}).Tab()
	framed.Open(base + "/framed")
	inner := framed.Frame("iframe")
	inner.Fill("a", "이도윤")
	inner.Follow("go")
	if u, err := url.Parse(inner.URL()); err != nil || u.Path != "/next" || u.Query().Get("a") != "이도윤" || framed.Has("q") || !inner.Has("q") {
		t.Errorf("the frame shows %s, the page %s", inner.URL(), framed.URL())
	}

	off := chromium.New(t, chromium.Options{Hosts: []string{host}, NoScript: true}).Tab()
	off.Open(base)
	if off.Text("s") != "" || off.Text("n") != "off" {
		t.Error("scripts run")
	}

	r := &recorder{T: t}
	blind := chromium.New(r, chromium.Options{Hosts: []string{host}}).Tab()
	blind.Open(base + "/blind")
	blind.TabTo("l")
	blind.Open(base + "/wide")
	blind.Screenshot(390, 844)
	if got := r.end(); !strings.Contains(got, "shows no focus") || !strings.Contains(got, "pixels wide") {
		t.Errorf("recorded %q", got)
	}
}
