package pages

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/web"
)

// outside are the hosts in the samples' addresses. The test stands in for them.
var outside = regexp.MustCompile(`https://(parts\.)?(site|signer)\.example`)

// sampleServer serves each sample at /plain/ or /official/, by the branding, and its name: as the service would, with
// its headers and assets, at real addresses. What a page leads to has no content, so that the browser stays where it is.
func sampleServer(t *testing.T, list []sample) (base string) {
	t.Helper()
	mux := http.NewServeMux()
	for path, branding := range map[string]Branding{"plain": sampleBranding(), "official": officialBranding()} {
		v := newViews(t, branding)
		for _, s := range list {
			mux.HandleFunc("GET /"+path+"/"+s.name, func(w http.ResponseWriter, r *http.Request) {
				page := httptest.NewRecorder()
				maps.Copy(page.Header(), w.Header())
				s.show(v, page, r)
				self := "http://" + r.Host
				body := outside.ReplaceAllString(page.Body.String(), self)
				for name, values := range page.Header() {
					w.Header().Set(name, outside.ReplaceAllString(values[0], self))
				}
				w.Header().Del("Content-Length")
				if strings.Contains(body, "<iframe") { // as the handler of the one page that has frames
					if err := web.AllowFrames(w, self); err != nil {
						t.Error(err)
					}
				}
				w.WriteHeader(page.Code)
				w.Write([]byte(body))
			})
		}
	}
	mux.Handle("GET "+web.AssetPrefix, web.Assets())
	mux.HandleFunc("GET /login/a1/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"done":false,"remaining":292}`))
	})
	mux.HandleFunc("GET /v1/fincert.js", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/javascript") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
	t.Cleanup(server.Close)
	return server.URL
}

// reveal opens and shows everything that the page may come to show.
const reveal = `(() => {
	document.querySelectorAll("details").forEach(e => e.open = true);
	document.querySelectorAll("[hidden]").forEach(e => e.hidden = false);
	document.querySelectorAll("body noscript").forEach(e => { e.outerHTML = e.textContent });
})()`

// words are what stands between two tags.
var words = regexp.MustCompile(`>[^<]+<`)

// TestPagesAreAccessible holds every sample to WCAG 2.2 AA in a browser, in Korean on a desk, on a phone and in high
// contrast, and walks it by the keyboard; in English, where the words are longer, on a phone.
// Samples that differ in their words alone, as most errors do, are one.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	for _, locale := range []string{web.Korean, web.English} {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			list := samples()
			base := sampleServer(t, list)
			u, err := url.Parse(base)
			if err != nil {
				t.Fatal(err)
			}
			tab := chromium.New(t, chromium.Options{Hosts: []string{u.Host}}).Tab()
			examine := func(path string) {
				judge := func(how string) {
					for _, v := range tab.Axe() {
						t.Errorf("%s %s: %s", path, how, v)
					}
				}
				tab.Size(1280, 800)
				tab.Open(base + path + "?lang=" + locale)
				if locale == web.Korean {
					stops, faults := tab.Walk()
					if len(stops) == 0 || stops[0].Name != "본문 바로가기" {
						faults = append(faults, "the first stop does not skip to the content")
					}
					for _, fault := range faults {
						t.Errorf("%s by the keyboard: %s", path, fault)
					}
				}
				tab.Value(reveal)
				if locale == web.Korean {
					judge("on a desk")
					tab.Value(`document.documentElement.dataset.krdsMode = "high-contrast"`)
					judge("in high contrast")
					tab.Value(`delete document.documentElement.dataset.krdsMode`)
				}
				tab.Size(390, 800)
				judge("on a phone")
				tab.Size(320, 800) // WCAG §1.4.10
				if width := tab.Value("document.documentElement.scrollWidth"); width != "320" {
					t.Errorf("%s is %s pixels wide where there are 320", path, width)
				}
			}
			seen := map[string]bool{}
			v := newViews(t, sampleBranding())
			for _, s := range list {
				markup := words.ReplaceAllString(show(v, s, "?lang="+locale).Body.String(), "><")
				if !seen[markup] {
					seen[markup] = true
					examine("/plain/" + s.name)
				}
			}
			examine("/official/login")
		})
	}
}

// TestEveryPageHasASample: what has no sample is not looked at by the tests of this package.
func TestEveryPageHasASample(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	v := newViews(t, sampleBranding())
	v.log = slog.New(slog.NewTextHandler(&log, nil))
	for _, l := range v.languages {
		l.words = nil
	}
	for _, s := range samples() {
		show(v, s, "") // fails, and names the page
	}
	sources, err := filepath.Glob("*.templ")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pages := regexp.MustCompile(`(?m)^templ (\w+)\(.*\{\n(?:\t\{\{.*\n|\tif .*\n\t\t\{\{.*\n\t\}\n)*\t@layout\(`).FindAllStringSubmatch(string(source), -1)
		for _, page := range pages {
			if !strings.Contains(log.String(), " page="+page[1]+" ") {
				t.Errorf("%s: no sample shows %s", name, page[1])
			}
		}
		if strings.Count(string(source), "@layout(") != len(pages) {
			t.Errorf("%s: a page that does not begin with its layout", name)
		}
	}
}
