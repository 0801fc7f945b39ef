package ca

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

//go:embed *.html
var pageFiles embed.FS

//go:embed ca.css
var stylesheet []byte

// stylesheetPath is where the desk's own styles are, which come after the simulators'.
const stylesheetPath = "/ca.css"

var korea = time.FixedZone("KST", 9*60*60)

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"day":   func(t time.Time) string { return t.In(korea).Format("2006-01-02") },
	"time":  func(t time.Time) string { return t.In(korea).Format("2006-01-02 15:04") },
	"state": func(s State) string { return states[s] },
	"name":  organizationName,
	"split": func(number string) string { return number[:6] + "-" + number[6:] },
	"fours": fours,
	"parts": parts,
}).ParseFS(pageFiles, "*.html"))

var states = map[State]string{Good: "유효", Held: "효력정지", Revoked: "폐지", Expired: "만료", Future: "유효기간 전"}

// organizationName is who an organization is, in Korean.
func organizationName(organization string) string {
	for _, ca := range npki.CAs() {
		if ca.Organization == organization {
			return ca.Name
		}
	}
	return organization
}

// fours parts digits for reading.
func fours(digits string) string {
	var parts []string
	for part := range slices.Chunk([]byte(digits), 4) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, " ")
}

// parts cuts a path or an address where a line may break.
func parts(text string) []string {
	var list []string
	for {
		cut := strings.IndexAny(text, "/,?") + 1
		if cut == 0 {
			return append(list, text)
		}
		list, text = append(list, text[:cut]), text[cut:]
	}
}

// Limits of the desk.
const (
	maxForm   = 16 << 10
	maxListed = 50   // people on a page
	maxKept   = 1000 // tickets
	maxParcel = 100  // issued files that can still be fetched
)

// What npkitest says of tickets.
const (
	ticketLife  = 14 * 24 * time.Hour
	ticketTries = 5
)

// ticket is what the desk knows of what it has handed out.
type ticket struct {
	npkitest.Ticket
	Authority *npkitest.Authority
	Applicant npkitest.Applicant
	Kind      string // in words
	Until     time.Time
	pair      bool // a second certificate, to decrypt, is wanted too
	wrong     int
	used      bool
}

// parcel is an issued certificate on its way to its holder.
type parcel struct {
	Handle       string
	Certificate  Certificate
	Folder       string // of the files
	archive, pfx []byte
}

// desk is the pages and the JSON API for tests.
func (s *Simulator) desk() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+stylesheetPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(stylesheet)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.show(w, http.StatusOK, "authorities.html", npki.CAs()[:len(organizations)])
	})
	mux.HandleFunc("GET /apply/{organization}", s.serveApply)
	mux.HandleFunc("POST /apply/{organization}", s.serveApply)
	mux.HandleFunc("GET /tickets/{reference}", s.serveTicket)
	mux.HandleFunc("GET /issue", s.serveIssue)
	mux.HandleFunc("POST /issue", s.serveIssue)
	mux.HandleFunc("GET /issued/{handle}", s.serveParcel)
	mux.HandleFunc("GET /issued/{handle}/{file}", s.serveFile)
	mux.HandleFunc("GET /certificates", s.serveCertificates)
	mux.HandleFunc("GET /certificates/{id}", s.serveCertificate)
	mux.HandleFunc("POST /certificates/{id}/renew", s.serveRenew)
	mux.HandleFunc("POST /certificates/{id}/{change}", s.serveChange)
	mux.HandleFunc("GET /people", func(w http.ResponseWriter, _ *http.Request) {
		s.show(w, http.StatusOK, "people.html", s.demo[:min(len(s.demo), maxListed)])
	})
	mux.HandleFunc("GET /api/certificates", func(w http.ResponseWriter, _ *http.Request) {
		list, err := s.Certificates()
		if err != nil {
			sim.WriteError(w, http.StatusInternalServerError, err.Error())
			return
		}
		sim.WriteJSON(w, http.StatusOK, map[string][]Certificate{"certificates": list})
	})
	mux.HandleFunc("POST /api/certificates/{id}/{change}", func(w http.ResponseWriter, r *http.Request) {
		switch err := s.Change(r.PathValue("id"), r.PathValue("change")); {
		case errors.Is(err, npkitest.ErrState):
			sim.WriteError(w, http.StatusConflict, err.Error())
		case err != nil:
			sim.WriteError(w, http.StatusNotFound, err.Error())
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.Handle("/api/faults", s.faults.Handler())
	return mux
}

// show answers with a page.
func (s *Simulator) show(w http.ResponseWriter, status int, page string, model any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, page, model); err != nil {
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
