package simple

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

//go:embed *.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "*.html"))

// maxListed bounds the people on the first page; everybody else has an address of their own.
const maxListed = 50

// Waiting is a request that waits on a phone.
type Waiting struct {
	ReceiptID string    `json:"receiptID"`
	Provider  string    `json:"provider"` // kakao, naver, pass, toss
	Phone     string    `json:"phone"`
	Title     string    `json:"title"`
	Message   string    `json:"message"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ErrNotWaiting means that a receipt is unknown, or its request no longer waits for the citizen.
var ErrNotWaiting = errors.New("sim/simple: no such request waits")

// Waiting lists what waits on the phone with that number, oldest first; on all phones if it is empty.
func (s *Simulator) Waiting(phone string) []Waiting {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Waiting{}
	for _, req := range s.requests {
		if phone != "" && req.person.Phone != phone {
			continue
		}
		if req.state == statePending && now.Before(req.expires) {
			list = append(list, Waiting{req.receipt, req.provider.id, req.person.Phone, req.title, req.message, req.expires})
		}
	}
	slices.SortFunc(list, func(a, b Waiting) int { return strings.Compare(a.ReceiptID, b.ReceiptID) })
	return list
}

// Approve signs on the phone what waits under the receipt. It returns ErrNotWaiting if nothing does.
func (s *Simulator) Approve(receipt string) error { return s.decide(receipt, stateComplete) }

// Deny refuses on the phone what waits under the receipt. It returns ErrNotWaiting if nothing does.
func (s *Simulator) Deny(receipt string) error { return s.decide(receipt, stateRejected) }

func (s *Simulator) decide(receipt string, state int) error {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[receipt]
	if req == nil {
		return ErrNotWaiting
	}
	s.settle(req, now)
	if req.state != statePending {
		return ErrNotWaiting
	}
	req.state, req.finished = state, now
	return nil
}

// PhoneHandler is the phones, one page for each number with what waits on it, and the JSON API for
// tests:
//
//	GET    /api/requests?phone=…              the waiting requests: {"requests":[Waiting…]}
//	POST   /api/requests/{receiptID}/approve  sign; 409 if it does not wait
//	POST   /api/requests/{receiptID}/deny     refuse; 409 if it does not wait
//	GET, POST, DELETE /api/faults             the registry of faults; see [sim.Faults.Handler]
//	POST   /api/auto-approve                  {"on":true}
func (s *Simulator) PhoneHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePhone)
	mux.HandleFunc("POST /requests/{receipt}/{decision}", s.servePress)
	mux.HandleFunc("GET /api/requests", func(w http.ResponseWriter, r *http.Request) {
		sim.WriteJSON(w, http.StatusOK, map[string][]Waiting{"requests": s.Waiting(r.URL.Query().Get("phone"))})
	})
	mux.HandleFunc("POST /api/requests/{receipt}/{decision}", func(w http.ResponseWriter, r *http.Request) {
		switch err := s.press(r); {
		case errors.Is(err, ErrNotWaiting):
			sim.WriteError(w, http.StatusConflict, err.Error())
		case err != nil:
			sim.WriteError(w, http.StatusNotFound, err.Error())
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	mux.Handle("/api/faults", s.faults.Handler())
	mux.HandleFunc("POST /api/auto-approve", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			On bool `json:"on"`
		}
		if err := sim.ReadJSON(w, r, &in); err != nil {
			sim.WriteError(w, http.StatusBadRequest, err.Error())
			return
		}
		s.SetAutoApprove(in.On)
		w.WriteHeader(http.StatusNoContent)
	})
	return sim.Pages(mux)
}

// press does what a button of a waiting request says.
func (s *Simulator) press(r *http.Request) error {
	switch r.PathValue("decision") {
	case "approve":
		return s.Approve(r.PathValue("receipt"))
	case "deny":
		return s.Deny(r.PathValue("receipt"))
	}
	return errors.New("sim/simple: approve or deny")
}

// servePress answers a form on a phone's page with that page again: what no longer waits is gone from it.
func (s *Simulator) servePress(w http.ResponseWriter, r *http.Request) {
	if err := s.press(r); err != nil && !errors.Is(err, ErrNotWaiting) {
		http.NotFound(w, r)
		return
	}
	http.Redirect(w, r, "/?phone="+url.QueryEscape(r.FormValue("phone")), http.StatusSeeOther)
}

// listedPhone is a line of the first page.
type listedPhone struct {
	Name, Phone string
	Waiting     int
}

// heldRequest is a request on a phone's page.
type heldRequest struct {
	Waiting
	ProviderName string
	Left         int // seconds
}

// servePhone shows one phone, or whose phones there are.
func (s *Simulator) servePhone(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	person := s.byPhone[r.URL.Query().Get("phone")]
	if person == nil {
		waiting := map[string]int{}
		for _, held := range s.Waiting("") {
			waiting[held.Phone]++
		}
		list := []listedPhone{}
		for _, p := range s.people {
			if p.Phone != "" && len(list) < maxListed {
				list = append(list, listedPhone{p.Name, p.Phone, waiting[p.Phone]})
			}
		}
		_ = pages.ExecuteTemplate(w, "people.html", list)
		return
	}
	held := []heldRequest{}
	for _, waiting := range s.Waiting(person.Phone) {
		h := heldRequest{Waiting: waiting, Left: int(waiting.ExpiresAt.Sub(s.now()).Seconds())}
		for _, p := range providers {
			if p.id == waiting.Provider {
				h.ProviderName = p.korean
			}
		}
		held = append(held, h)
	}
	_ = pages.ExecuteTemplate(w, "phone.html", struct {
		Person   *Person
		Requests []heldRequest
	}{person, held})
}
