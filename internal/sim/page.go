package sim

import (
	_ "embed"
	"net"
	"net/http"
)

//go:embed sim.css
var stylesheet []byte

// StylesheetPath is where Pages serves the stylesheet that the simulators' pages share.
const StylesheetPath = "/sim.css"

// Pages guards what a person's browser opens on a simulator: pages, forms and the JSON API for tests.
// It serves the shared stylesheet, refuses requests under a name that is not this machine's (DNS
// rebinding) and changes that another site's page sends, and answers with a policy under which a page
// loads nothing but that stylesheet, runs no script and posts only to itself.
func Pages(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StylesheetPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(stylesheet)
	})
	mux.Handle("/", next)
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !loopback(host) {
			http.Error(w, "a simulator answers under loopback names only", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		guarded.ServeHTTP(w, r)
	})
}
