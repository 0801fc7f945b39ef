package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	cspHeader  = "Content-Security-Policy"
	formAction = "form-action 'self'"
	scriptSrc  = "script-src 'self'"
	connectSrc = "connect-src 'self'"

	// csp allows our own files and nothing inline. data: images are QR codes and the institution's logo.
	csp = "default-src 'none'; style-src 'self'; " + scriptSrc + "; img-src 'self' data:; font-src 'self'; " +
		connectSrc + "; " + formAction + "; frame-ancestors 'none'; base-uri 'none'"

	permissions = "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), " +
		"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

	hsts = "max-age=63072000; includeSubDomains"
)

// SecurityHeaders sets the headers that every answer carries; a handler may replace one before it
// writes. No referrer is sent anywhere, because addresses of the journey carry attempt ids.
func SecurityHeaders(https bool) Middleware {
	headers := map[string]string{
		cspHeader:                    csp,
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
		"Permissions-Policy":         permissions,
	}
	if https {
		headers["Strict-Transport-Security"] = hsts
	}
	// All answers share the values: whoever replaces one sets another slice, and whoever adds to one gets a copy.
	values := make(http.Header, len(headers))
	for name, value := range headers {
		values[name] = []string{value}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), values)
			next.ServeHTTP(w, r)
		})
	}
}

// AllowFormAction lets the forms of this answer end at one more place: browsers hold form-action
// against every redirect that follows a POST, so a page whose form can end at a site names that site.
// The target is an origin or any absolute URL on it, such as the redirect URI; a URL of a private-use
// scheme (RFC 8252 §7.1) allows that scheme. Call it before the answer is written.
func AllowFormAction(w http.ResponseWriter, target string) error {
	source, err := cspSource(target)
	if err != nil {
		return err
	}
	widen(w, formAction, source)
	return nil
}

// AllowWebAssembly lets the scripts of this answer compile WebAssembly (CSP3 §4.4), and evaluate nothing
// else. Call it before the answer is written.
func AllowWebAssembly(w http.ResponseWriter) { widen(w, scriptSrc, "'wasm-unsafe-eval'") }

// AllowSigner lets the page of this answer run scripts from other origins, show frames of theirs, and ask
// them: a signer that somebody else serves. Each of the URLs names one origin, http or https, by a host
// that is no IPv6 address. Call it before the answer is written.
func AllowSigner(w http.ResponseWriter, urls ...string) error {
	var sources []string
	for _, u := range urls {
		source, err := cspSource(u)
		if err != nil || !strings.Contains(source, "://") {
			return fmt.Errorf("web: signer is not at a URL that CSP can name")
		}
		sources = append(sources, source)
	}
	all := strings.Join(sources, " ")
	widen(w, scriptSrc, all)
	widen(w, connectSrc, all)
	w.Header().Set(cspHeader, w.Header().Get(cspHeader)+"; frame-src "+all)
	return nil
}

// AllowFrames lets the page of this answer show frames from the origins of the URLs, and from no other: those of
// sites that are signed out of in the browser (OIDC Front-Channel Logout 1.0). Call it before the answer is
// written.
func AllowFrames(w http.ResponseWriter, urls ...string) error {
	var sources []string
	for _, u := range urls {
		source, err := cspSource(u)
		if err != nil || !strings.Contains(source, "://") {
			return fmt.Errorf("web: frame is not at a URL that CSP can name")
		}
		if !slices.Contains(sources, source) {
			sources = append(sources, source)
		}
	}
	h := w.Header()
	h.Set(cspHeader, cmp.Or(h.Get(cspHeader), csp)+"; frame-src "+strings.Join(sources, " "))
	return nil
}

// widen adds a source to one directive of this answer's policy.
func widen(w http.ResponseWriter, directive, source string) {
	h := w.Header()
	policy := h.Get(cspHeader)
	if policy == "" {
		policy = csp
	}
	h.Set(cspHeader, strings.Replace(policy, directive, directive+" "+source, 1))
}

// cspSource turns a URL into the CSP source expression that matches its origin (CSP3 §2.3.1).
func cspSource(target string) (string, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("web: form target is not an absolute URL")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return u.Scheme + ":", nil // url.Parse admits only letters, digits, + - . in a scheme
	}
	nameless := false
	for _, c := range []byte(u.Host) {
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '.', c == ':':
		case c == '[' || c == ']':
			return u.Scheme + ":", nil // CSP has no syntax for an IPv6 host
		case c == '_':
			nameless = true // nor for a host with an underscore, which DNS and browsers take
		default:
			return "", fmt.Errorf("web: form target has a host that CSP cannot name")
		}
	}
	if u.Hostname() == "" {
		return "", fmt.Errorf("web: form target has no host")
	}
	if nameless {
		return u.Scheme + ":", nil
	}
	return u.Scheme + "://" + u.Host, nil
}

// BodyLimit refuses bodies of more than limit bytes: at once when the length is announced, else when
// the reader gets there (*http.MaxBytesError).
func BodyLimit(limit int64, fail FailFunc) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				w.Header().Set("Connection", "close")
				fail(w, r, http.StatusRequestEntityTooLarge, CodeTooLarge)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, limit) // in place: a copy would hide r.Pattern from the log
			next.ServeHTTP(w, r)
		})
	}
}

// CrossOrigin refuses state-changing requests that a browser sends from another origin
// (Sec-Fetch-Site, Origin), except to the exempt ServeMux patterns. Requests without those headers
// are no browser's and pass. It panics on a malformed pattern.
func CrossOrigin(fail FailFunc, exempt ...string) Middleware {
	protection := http.NewCrossOriginProtection()
	for _, pattern := range exempt {
		protection.AddInsecureBypassPattern(pattern)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, r, http.StatusForbidden, CodeCrossOrigin)
	}))
	return protection.Handler
}

// Unmatched answers in the caller's form, instead of the mux's plain text, when no route matches: 404, or
// 405 with Allow when the path has a route for another method.
func Unmatched(mux *http.ServeMux, fail FailFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var answer discarded
		h.ServeHTTP(&answer, r)
		if location := answer.Header().Get("Location"); location != "" { // a path that is not in its canonical form
			http.Redirect(w, r, location, answer.status)
			return
		}
		if allow := answer.Header().Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			fail(w, r, http.StatusMethodNotAllowed, CodeMethod)
			return
		}
		fail(w, r, http.StatusNotFound, CodeNotFound)
	})
}

// discarded is an answer of which only the header matters.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header {
	if d.header == nil {
		d.header = make(http.Header)
	}
	return d.header
}

func (d *discarded) WriteHeader(status int) { d.status = status }

func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
