package web

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPrecompressedAssetsMatchTheirSources(t *testing.T) {
	t.Parallel()
	for hashed, a := range assets().files {
		if a.unpacked != nil {
			continue // TestSignerMatchesItsSource
		}
		text := strings.HasSuffix(hashed, ".css") || strings.HasSuffix(hashed, ".js") || strings.HasSuffix(hashed, ".svg")
		if !text {
			if a.br != nil || a.gz != nil {
				t.Errorf("%s is not to be compressed again", hashed)
			}
			continue
		}
		if a.br == nil || a.gz == nil {
			t.Errorf("%s: run go generate ./internal/web", hashed)
			continue
		}
		if !bytes.Equal(readAll(t, brotli.NewReader(bytes.NewReader(a.br))), a.plain) {
			t.Errorf("%s: .br is stale, run go generate ./internal/web", hashed)
		}
		gz, err := gzip.NewReader(bytes.NewReader(a.gz))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, gz), a.plain) {
			t.Errorf("%s: .gz is stale, run go generate ./internal/web", hashed)
		}
	}
}

func TestAssetSizes(t *testing.T) {
	t.Parallel()
	var plain, gz, js int
	for name, a := range assets().files {
		switch {
		case strings.HasPrefix(name, "wasm_exec."): // with the signer
		case strings.HasPrefix(name, "signer."):
			// 1 MB over the wire is what the page may ask a citizen to load, its scripts included.
			if all := len(a.br) + len(readAsset("wasm_exec.js.br")) + len(readAsset("joint-cert.js.br")); all > 1_000_000 || all < 500_000 {
				t.Errorf("the signer has %d bytes", all)
			}
		case strings.HasPrefix(name, "check-session."): // in sites' frames, on no page of ours
			if len(a.plain) > 2<<10 {
				t.Errorf("%s has %d bytes", name, len(a.plain))
			}
		case strings.HasPrefix(name, "joint-cert."), strings.HasPrefix(name, "financial-cert."):
			if len(a.plain) > 12<<10 {
				t.Errorf("%s has %d bytes", name, len(a.plain))
			}
		case strings.HasPrefix(name, "anyid."):
			plain, gz = len(a.plain), len(a.gz)
		case strings.HasSuffix(name, ".js"):
			js += len(a.plain)
		case strings.HasSuffix(name, ".woff2") && len(a.plain) > 300<<10:
			t.Errorf("%s has %d bytes", name, len(a.plain))
		}
	}
	if plain == 0 || plain > 60<<10 || gz > 12<<10 {
		t.Errorf("anyid.css: %d bytes, %d compressed; want at most 60 and 12 KiB", plain, gz)
	}
	if js == 0 || js > 5<<10 {
		t.Errorf("scripts: %d bytes, want at most 5 KiB", js)
	}
}

var (
	cssURL     = regexp.MustCompile(`url\("([^"]+)"\)`)
	cssVar     = regexp.MustCompile(`var\((--[a-z0-9-]+)\)`)
	cssDefined = regexp.MustCompile(`(--[a-z0-9-]+):\s*([^;}]+)`)
)

func TestStyleSheetRefersOnlyToWhatIsThere(t *testing.T) {
	t.Parallel()
	css, tokens := string(readAsset("anyid.css")), string(readAsset("krds_tokens.css"))
	urls := cssURL.FindAllStringSubmatch(css, -1)
	if len(urls) != 2 {
		t.Errorf("%d font files, want 2", len(urls))
	}
	for _, m := range urls {
		if _, ok := assets().files[m[1]]; !ok {
			t.Errorf("anyid.css refers to %s, which is no asset", m[1])
		}
	}
	defined := map[string]bool{}
	for _, m := range cssDefined.FindAllStringSubmatch(css+tokens, -1) {
		defined[m[1]] = true
	}
	for _, m := range cssVar.FindAllStringSubmatch(css, -1) {
		if !defined[m[1]] {
			t.Errorf("anyid.css uses %s, which is not defined", m[1])
		}
	}
	for name, a := range assets().files {
		if strings.HasSuffix(name, ".txt") || strings.HasPrefix(name, "wasm_exec.") { // a comment there
			continue
		}
		text := strings.ReplaceAll(string(a.plain), `xmlns="http://www.w3.org/2000/svg"`, "")
		if i := strings.Index(text, "://"); i >= 0 && !strings.HasSuffix(name, ".woff2") {
			t.Errorf("%s refers to another host: %q", name, text[max(0, i-10):i+20])
		}
	}
}

// colours resolves the names of anyid.css in one mode to what the tokens say.
func colours(t *testing.T, highContrast bool) map[string]string {
	t.Helper()
	css, tokens := string(readAsset("anyid.css")), string(readAsset("krds_tokens.css"))
	values := map[string]string{}
	for _, m := range cssDefined.FindAllStringSubmatch(tokens, -1) {
		values[m[1]] = m[2]
	}
	light, rest, ok := strings.Cut(css, `[data-krds-mode="high-contrast"]{`)
	if !ok {
		t.Fatal("no high-contrast mode")
	}
	high, _, _ := strings.Cut(rest, "}")
	for _, m := range cssDefined.FindAllStringSubmatch(light, -1) {
		values[m[1]] = m[2]
	}
	if highContrast {
		for _, m := range cssDefined.FindAllStringSubmatch(high, -1) {
			values[m[1]] = m[2]
		}
	}
	out := map[string]string{}
	for name := range values {
		v := "var(" + name + ")"
		for range 10 {
			m := cssVar.FindStringSubmatch(v)
			if m == nil {
				break
			}
			v = values[m[1]]
		}
		out[name] = v
	}
	return out
}

// luminance is the relative luminance of #rrggbb (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
	if err != nil || len(hex) != 7 {
		t.Fatalf("not an opaque colour: %q", hex)
	}
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(n>>(16-8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestContrast(t *testing.T) {
	t.Parallel()
	// Text needs 4.5:1, or 3:1 from 24 px; the edge of a control and a meaningful sign need 3:1.
	pairs := []struct {
		foreground  string
		backgrounds string
		ratio       float64
	}{
		{"--text", "--page --surface --subtle --tint --input --danger-surface --warning-surface --info-surface --success-surface", 4.5},
		{"--text-strong", "--page --surface --subtle --tint --danger-surface --warning-surface --info-surface --success-surface", 4.5},
		{"--text-subtle", "--page --surface --subtle --tint", 4.5},
		{"--text-primary", "--surface --subtle --tint", 4.5},
		{"--text-danger", "--surface --danger-surface", 4.5},
		{"--text-success", "--success-surface", 4.5},
		{"--link", "--surface --subtle", 4.5},
		{"--on-fill", "--fill --fill-hover --fill-pressed", 4.5},
		{"--primary", "--page --surface --tint --subtle", 3},
		{"--button-border", "--surface", 3},
		{"--input-border", "--surface", 3},
		{"--input-active", "--input --surface", 3},
		{"--input-error", "--surface", 3},
		{"--off", "--tint --knob", 3},
		{"--fill", "--knob", 3},
		{"--danger-icon", "--danger-surface", 3},
		{"--warning-icon", "--warning-surface", 3},
		{"--success-icon", "--success-surface", 3},
		{"--info-icon", "--info-surface", 3},
	}
	for _, high := range []bool{false, true} {
		values := colours(t, high)
		for _, p := range pairs {
			for bg := range strings.FieldsSeq(p.backgrounds) {
				a, b := luminance(t, values[p.foreground]), luminance(t, values[bg])
				if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < p.ratio {
					t.Errorf("high contrast %t: %s %s on %s %s is %.2f:1, want %.1f:1", high, p.foreground, values[p.foreground], bg, values[bg], ratio, p.ratio)
				}
			}
		}
	}
}

func TestAssetsAreServed(t *testing.T) {
	t.Parallel()
	css, err := Asset("anyid.css")
	if err != nil {
		t.Fatal(err)
	}
	font, err := Asset("PretendardGOV-Regular.subset.woff2")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := Asset("signer.wasm")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		method, path, accept string
		status               int
		encoding, kind       string
	}{
		{"GET", css, "gzip, deflate, br", 200, "br", "text/css; charset=utf-8"},
		{"GET", css, "gzip", 200, "gzip", "text/css; charset=utf-8"},
		{"GET", css, "br;q=0, gzip;q=0.5", 200, "gzip", "text/css; charset=utf-8"},
		{"GET", css, "br;q=x", 200, "", "text/css; charset=utf-8"},
		{"HEAD", css, "", 200, "", "text/css; charset=utf-8"},
		{"GET", font, "gzip, br", 200, "", "font/woff2"},
		{"GET", signer, "gzip, deflate, br, zstd", 200, "br", "application/wasm"},
		{"GET", signer, "gzip, deflate", 200, "gzip", "application/wasm"},
		{"HEAD", signer, "", 200, "", "application/wasm"},
		{"POST", css, "", 405, "", "text/plain; charset=utf-8"},
		{"GET", "/assets/anyid.css", "", 404, "", "text/plain; charset=utf-8"},
		{"GET", "/assets/../web.go", "", 404, "", "text/plain; charset=utf-8"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.method, tt.path, tt.accept), func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header.Set("Accept-Encoding", tt.accept)
			w := httptest.NewRecorder()
			Assets().ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Content-Encoding") != tt.encoding || w.Header().Get("Content-Type") != tt.kind {
				t.Errorf("got %d %v", w.Code, w.Header())
			}
			if cached := w.Header().Get("Cache-Control") == "public, max-age=31536000, immutable"; cached != (w.Code == http.StatusOK) {
				t.Errorf("Cache-Control %q with status %d", w.Header().Get("Cache-Control"), w.Code)
			}
			if tt.method == "HEAD" && w.Body.Len() != 0 {
				t.Error("HEAD has a body")
			}
		})
	}
}

// TestSignerMatchesItsSource builds the page's program again. With another version of Go than the one that made
// it the bytes cannot be the same, but it must still build.
func TestSignerMatchesItsSource(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "buildsigner.go", folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	recorded, err := os.ReadFile("testdata/signer.go-version")
	if err != nil {
		t.Fatal(err)
	}
	running, err := exec.CommandContext(t.Context(), "go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"signer.wasm", "wasm_exec.js"} {
		made, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		path, err := Asset(name)
		if err != nil {
			t.Fatal(err)
		}
		a := assets().files[strings.TrimPrefix(path, AssetPrefix)]
		kept := a.as("")
		if !bytes.Equal(running, recorded) {
			t.Logf("%s is of %s, this is %s: not compared", name, bytes.TrimSpace(recorded), bytes.TrimSpace(running))
		} else if !bytes.Equal(made, kept) {
			t.Errorf("%s is stale: run go generate ./internal/web", name)
		}
		gz, err := gzip.NewReader(bytes.NewReader(a.as("gzip")))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, gz), kept) {
			t.Errorf("%s: gzip differs", name)
		}
	}
}

func TestAssetUnknown(t *testing.T) {
	t.Parallel()
	if path, err := Asset("missing.css"); err == nil {
		t.Errorf("got %q", path)
	}
}
