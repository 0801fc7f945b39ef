// Package web is the HTTP edge that every browser-facing and machine-facing route of the broker
// shares: request ids, client addresses, the access log, panic recovery, security headers,
// cross-origin defence, cookies, language, rate limits, error answers, page rendering, and the static
// assets (style sheets, fonts, icons, scripts), which are embedded.
//
// Nothing here knows a route or a page. Edge composes the pieces that stand in front of a mux, in the
// order that they need; the rest are values and functions for handlers.
package web

import (
	"log/slog"
	"net/http"
	"net/netip"
)

// Middleware wraps a handler.
type Middleware func(http.Handler) http.Handler

// FailFunc answers a request that the edge itself refuses or that broke, with one of the codes below:
// as a page for browsers (package pages has one), or as FailProblem does for APIs.
type FailFunc func(w http.ResponseWriter, r *http.Request, status int, code string)

// The codes that the edge passes to a FailFunc.
const (
	CodeInternal    = "internal"           // 500: a handler panicked
	CodeNotFound    = "not_found"          // 404: no route
	CodeMethod      = "method_not_allowed" // 405: a route for other methods
	CodeTooLarge    = "too_large"          // 413: the body is announced as larger than allowed
	CodeCrossOrigin = "cross_origin"       // 403: a state-changing request came from another origin
)

// Edge is what stands in front of a mux. The zero value of each field is safe.
type Edge struct {
	Log *slog.Logger // receives the access log and panics; slog.Default() if nil
	// Trusted are the networks of the reverse proxies whose X-Forwarded-For is believed.
	Trusted []netip.Prefix
	HTTPS   bool  // the issuer is https: send HSTS
	MaxBody int64 // limit of a request body in bytes; 64 KiB if zero
	// Exempt lists ServeMux patterns that other origins may POST to, such as "POST /authorize"
	// (OIDC Core §3.1.2.1 demands it) and the token endpoint.
	Exempt []string
	Fail   FailFunc // FailProblem if nil
}

const defaultMaxBody = 64 << 10

// Handler puts the edge in front of h. Request id and client address make a new request, so they come
// before the access log, which reads the pattern that the mux sets on the request it gets.
func (e Edge) Handler(h http.Handler) http.Handler {
	log, fail, maxBody := e.Log, e.Fail, e.MaxBody
	if log == nil {
		log = slog.Default()
	}
	if fail == nil {
		fail = FailProblem
	}
	if maxBody == 0 {
		maxBody = defaultMaxBody
	}
	return Chain(h,
		RequestIDs(),
		ClientAddresses(e.Trusted),
		AccessLog(log),
		SecurityHeaders(e.HTTPS),
		Recover(log, fail),
		BodyLimit(maxBody, fail),
		CrossOrigin(fail, e.Exempt...),
	)
}

// Chain wraps h so that the first middleware is the outermost.
func Chain(h http.Handler, mw ...Middleware) http.Handler {
	for i := len(mw) - 1; i >= 0; i-- {
		h = mw[i](h)
	}
	return h
}
