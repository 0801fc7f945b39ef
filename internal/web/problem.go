package web

import (
	"encoding/json"
	"net/http"
)

// Problem is an error answer of an API (RFC 9457). Type is about:blank unless set; Code is our stable
// extension member that programs switch on.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"` // for the caller's developer; nothing personal
	Instance  string `json:"instance,omitempty"`
	Code      string `json:"code,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// Write sends the problem as application/problem+json. Missing type, title and request id are filled
// in.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if p.RequestID == "" {
		p.RequestID = RequestID(r.Context())
	}
	body, err := json.Marshal(p)
	if err != nil { // strings and an int always encode
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	w.Write(body)
}

// FailProblem is the FailFunc of APIs.
func FailProblem(w http.ResponseWriter, r *http.Request, status int, code string) {
	Problem{Status: status, Code: code}.Write(w, r)
}
