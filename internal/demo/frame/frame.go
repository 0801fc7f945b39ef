// Package frame is the look and the edge that the demo sites share: layout, stylesheet, session
// countdown, security headers and body limits. What is on a page belongs to the site.
package frame

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed layout.html check.html assets
var own embed.FS

// minWarning is KRDS's rule for how early the end of a session is announced.
const minWarning = 20 * time.Second

// Seoul is the time zone of the times that citizens read. Korea has no daylight saving time.
var Seoul = time.FixedZone("KST", 9*60*60)

// Link is an entry of the navigation or the footer.
type Link struct{ Text, Href string }

// Site is what all pages of one demo site have in common.
type Site struct {
	Name    string // "Q-Net"
	Purpose string // beside the name, in the header
	Notice  string // in the footer: what this site is and is not
	Login   string // where the login link of every page leads
	Nav     []Link
	Help    []Link // in the footer, at the same place on every page
	// FormOrigin is allowed in form-action beside the site itself: where the redirect after a logout
	// form leads.
	FormOrigin string
	// WarnBefore is how long before the end of the session a window over the page offers to extend it: 20
	// seconds or more, as KRDS demands; 0 means a minute.
	WarnBefore time.Duration
	// CheckSession puts the page of Frame.CheckSession, at /session/check, into every page of a signed-in
	// citizen.
	CheckSession bool
	Log          *slog.Logger
}

// WarnSeconds is WarnBefore for the script.
func (s Site) WarnSeconds() int { return int(s.WarnBefore / time.Second) }

// Frame renders the pages of one site.
type Frame struct {
	site   Site
	pages  map[string]*template.Template
	assets map[string]asset // by their path below /static/
	names  map[string]string
	check  *template.Template
	csp    string
}

type asset struct {
	body []byte
	kind string
}

// Page is what one page shows.
type Page struct {
	Title  string
	Path   string  // the page's own path: where to come back after extending the session
	Signed *Signed // nil for a visitor
	Body   any     // the page's own data
}

// Signed is the signed-in citizen, as the header shows it.
type Signed struct {
	Name      string
	Remaining time.Duration
	Until     time.Time
}

// Seconds is the remaining time in whole seconds, for the countdown.
func (s Signed) Seconds() int { return int(s.Remaining / time.Second) }

// Clock is the end of the session as HH:MM in Seoul.
func (s Signed) Clock() string { return s.Until.In(Seoul).Format("15:04") }

// New reads the site's page templates (pages/*.html, each defining "main") and its assets
// (assets/*) from files.
func New(site Site, files fs.FS) (*Frame, error) {
	if site.WarnBefore == 0 {
		site.WarnBefore = time.Minute
	}
	if site.WarnBefore < minWarning {
		return nil, fmt.Errorf("frame: a warning %s before the end is too late, KRDS asks for %s", site.WarnBefore, minWarning)
	}
	f := &Frame{site: site, pages: map[string]*template.Template{}, assets: map[string]asset{}, names: map[string]string{}}
	for _, source := range []fs.FS{own, files} {
		if err := f.readAssets(source); err != nil {
			return nil, err
		}
	}
	layout, err := template.New("layout.html").Funcs(template.FuncMap{"asset": f.assetPath, "within": within}).ParseFS(own, "layout.html")
	if err != nil {
		return nil, fmt.Errorf("frame: layout: %w", err)
	}
	if f.check, err = template.New("check.html").Funcs(template.FuncMap{"asset": f.assetPath}).ParseFS(own, "check.html"); err != nil {
		return nil, fmt.Errorf("frame: check: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("frame: pages: %w", err)
	}
	for _, name := range names {
		page, err := layout.Clone()
		if err == nil {
			page, err = page.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("frame: page %s: %w", name, err)
		}
		f.pages[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	formAction := "'self'"
	if site.FormOrigin != "" {
		formAction += " " + site.FormOrigin
	}
	f.csp = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action " + formAction +
		"; base-uri 'none'; frame-ancestors 'none'"
	if site.CheckSession {
		f.csp += "; frame-src 'self'"
	}
	return f, nil
}

// readAssets takes the files of assets/, each under a name with its content's hash in it, so that
// browsers may keep it for ever.
func (f *Frame) readAssets(files fs.FS) error {
	names, err := fs.Glob(files, "assets/*")
	if err != nil {
		return fmt.Errorf("frame: assets: %w", err)
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	for _, name := range names {
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return fmt.Errorf("frame: asset %s: %w", name, err)
		}
		ext := path.Ext(name)
		base := strings.TrimSuffix(path.Base(name), ext)
		sum := sha256.Sum256(body)
		hashed := base + "." + hex.EncodeToString(sum[:6]) + ext
		f.assets[hashed] = asset{body: body, kind: kinds[ext]}
		f.names[base+ext] = hashed
	}
	return nil
}

func (f *Frame) assetPath(name string) (string, error) {
	hashed, ok := f.names[name]
	if !ok {
		return "", fmt.Errorf("frame: no asset %q", name)
	}
	return "/static/" + hashed, nil
}

// within tells whether the page at path lies below the one at href.
func within(path, href string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(href, "/")+"/") && href != "/"
}

// Render writes a page. A template that fails is answered with 500 and nothing of the page.
func (f *Frame) Render(w http.ResponseWriter, r *http.Request, status int, name string, page Page) {
	var out bytes.Buffer
	t, ok := f.pages[name]
	err := fmt.Errorf("frame: no page %q", name)
	if ok {
		err = t.ExecuteTemplate(&out, "layout.html", struct {
			Site Site
			Page
		}{f.site, page})
	}
	if err != nil {
		f.site.Log.ErrorContext(r.Context(), "page not rendered", "page", name, "error", err)
		http.Error(w, "internal server error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := out.WriteTo(w); err != nil {
		f.site.Log.DebugContext(r.Context(), "page not sent", "page", name, "error", err)
	}
}

// CheckSession writes the page that watches the login at the broker: it shows the broker's iframe, at the
// origin, and sends the message there.
func (f *Frame) CheckSession(w http.ResponseWriter, r *http.Request, iframe, origin, message string) {
	var out bytes.Buffer
	if err := f.check.Execute(&out, struct{ Frame, Origin, Message string }{iframe, origin, message}); err != nil {
		f.site.Log.ErrorContext(r.Context(), "page not rendered", "page", "check", "error", err)
		http.Error(w, "internal server error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; frame-src "+origin+"; base-uri 'none'; frame-ancestors 'self'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if _, err := out.WriteTo(w); err != nil {
		f.site.Log.DebugContext(r.Context(), "page not sent", "page", "check", "error", err)
	}
}

// Handler puts the edge around the site's routes: the assets under /static/, security headers,
// refusal of cross-origin writes (which leaves calls that come from no browser, such as back-channel
// logout, alone), and a limit on the request body.
func (f *Frame) Handler(routes http.Handler, maxBody int64, refused http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{name}", f.serveAsset)
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(refused)
	mux.Handle("/", guard.Handler(routes))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", f.csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

func (f *Frame) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := f.assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
}

// FromScript tells whether the page's script asks, which wants the deadline and no page.
func FromScript(r *http.Request) bool { return r.Header.Get("Accept") == "application/json" }

// Deadline tells the page's script how long the session lasts, and whether no extension goes beyond that:
// {"seconds": N, "final": false}, with 401 when it is over.
func Deadline(w http.ResponseWriter, remaining time.Duration, final bool) {
	w.Header().Set("Content-Type", "application/json")
	if remaining <= 0 {
		w.WriteHeader(http.StatusUnauthorized)
	}
	// A connection that is gone asks again.
	_, _ = fmt.Fprintf(w, "{\"seconds\": %d, \"final\": %t}\n", int(remaining/time.Second), final)
}

// BackTo returns wanted if it is one of the site's pages, otherwise fallback: a redirect by form
// input must not lead elsewhere.
func BackTo(wanted, fallback string, pages ...string) string {
	if u, err := url.Parse(wanted); err == nil && u.Host == "" && u.Scheme == "" && slices.Contains(pages, u.Path) {
		return u.Path
	}
	return fallback
}
