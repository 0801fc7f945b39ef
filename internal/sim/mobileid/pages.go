package mobileid

import (
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

//go:embed *.html *.css
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"date":  func(t time.Time) string { return t.In(korea).Format("2006.01.02") },
	"time":  func(t time.Time) string { return t.In(korea).Format("2006.01.02 15:04:05") },
	"clock": func(t time.Time) string { return t.In(korea).Format("15:04:05") },
}).ParseFS(files, "*.html"))

const (
	// maxListed bounds the people on a page; everybody else's wallet has an address of its own.
	maxListed = 50
	maxForm   = 64 << 10
)

// Handler is everything that the package comment lists.
func (s *Simulator) Handler() http.Handler {
	people := http.NewServeMux()
	people.HandleFunc("GET /{$}", s.serveIndex)
	people.HandleFunc("GET /open", s.serveOpen)
	people.HandleFunc("GET /wallets/{phone}", s.serveWallet)
	people.HandleFunc("GET /wallets/{phone}/scan", s.serveScanner)
	people.HandleFunc("POST /wallets/{phone}/scan", s.serveScan)
	people.HandleFunc("GET /wallets/{phone}/history", s.serveHistory)
	people.HandleFunc("POST /requests/{id}/{decision}", s.servePress)
	people.HandleFunc("GET /wallet.css", func(w http.ResponseWriter, _ *http.Request) {
		content, _ := files.ReadFile("wallet.css") // embedded
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(content)
	})
	s.serveTests(people)

	mux := http.NewServeMux()
	mux.Handle("/", sim.Pages(people))
	mux.HandleFunc("POST /api/sendVPAPI.do", s.call("push", s.servePush))
	mux.HandleFunc("GET /status/{list}", s.call("status-list", s.serveStatusList))
	s.servePorts(mux)
	return mux
}

// serveTests serves the JSON API for tests.
func (s *Simulator) serveTests(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/requests", func(w http.ResponseWriter, r *http.Request) {
		sim.WriteJSON(w, http.StatusOK, map[string][]Waiting{"requests": s.Waiting(r.URL.Query().Get("phone"))})
	})
	mux.HandleFunc("POST /api/scan", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Phone string `json:"phone"`
			Text  string `json:"text"`
		}
		if err := sim.ReadJSON(w, r, &in); err != nil {
			sim.WriteError(w, http.StatusBadRequest, err.Error())
			return
		}
		waiting, err := s.Scan(r.Context(), in.Phone, in.Text)
		if err != nil {
			sim.WriteError(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		sim.WriteJSON(w, http.StatusOK, waiting)
	})
	mux.HandleFunc("POST /api/requests/{id}/{decision}", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Choice int `json:"choice"`
		}
		if r.ContentLength != 0 {
			if err := sim.ReadJSON(w, r, &in); err != nil {
				sim.WriteError(w, http.StatusBadRequest, err.Error())
				return
			}
		}
		switch out, err := s.decide(r, in.Choice); {
		case errors.Is(err, ErrNotWaiting), errors.Is(err, ErrNoChoice):
			sim.WriteError(w, http.StatusConflict, err.Error())
		case err != nil:
			sim.WriteError(w, http.StatusNotFound, err.Error())
		default:
			sim.WriteJSON(w, http.StatusOK, out)
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
}

// errDecision is for an address that is neither approve nor deny.
var errDecision = errors.New("sim/mobileid: approve or deny")

// decide does what a button of a waiting request says.
func (s *Simulator) decide(r *http.Request, choice int) (Outcome, error) {
	switch id := r.PathValue("id"); r.PathValue("decision") {
	case "approve":
		return s.Approve(r.Context(), id, choice)
	case "deny":
		return s.Deny(r.Context(), id)
	}
	return Outcome{}, errDecision
}

// servePress answers a button. The browser goes on to where who asked wants it, or back to the wallet.
func (s *Simulator) servePress(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	id, phone := r.PathValue("id"), r.PostFormValue("phone")
	choice, err := strconv.Atoi(r.PostFormValue("choice"))
	if err != nil {
		choice = 0
	}
	out, err := s.decide(r, choice)
	switch {
	case errors.Is(err, errDecision):
		http.NotFound(w, r)
	case err == nil && out.RedirectURI != "":
		http.Redirect(w, r, out.RedirectURI, http.StatusSeeOther)
	default: // what no longer waits is gone from the page, which tells what came of it
		http.Redirect(w, r, "/wallets/"+url.PathEscape(phone)+"?request="+url.QueryEscape(id), http.StatusSeeOther)
	}
}

// listed is a wallet in a list of people.
type listed struct {
	Name, Phone string
	Foreigner   bool
	Waiting     int
}

func (s *Simulator) people() []listed {
	waiting := map[string]int{}
	for _, held := range s.Waiting("") {
		waiting[held.Phone]++
	}
	list := []listed{}
	for _, w := range s.wallets[:min(len(s.wallets), maxListed)] {
		list = append(list, listed{w.person.Name, w.person.Phone, w.person.Foreigner, waiting[w.person.Phone]})
	}
	return list
}

// serveIndex shows whose wallets there are.
func (s *Simulator) serveIndex(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "index.html", s.people())
}

// serveOpen asks for whose wallet a link is, as a device would know.
func (s *Simulator) serveOpen(w http.ResponseWriter, r *http.Request) {
	link := r.URL.Query().Get("link")
	if link == "" {
		link = "openid4vp://?" + r.URL.RawQuery
	}
	show(w, http.StatusOK, "open.html", struct {
		People []listed
		Link   string
	}{s.people(), link})
}

// show renders a page. Buttons on it may end at whoever asked, wherever that is.
func show(w http.ResponseWriter, status int, page string, model any) {
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, page, model)
}

// idView is an ID as the wallet shows it.
type idView struct {
	Code, Label, Issuer, Number string
	From, End                   time.Time
}

// walletView is the model of a wallet's pages.
type walletView struct {
	Person
	Page     string // wallet, scan or history: which is marked in the navigation
	IDs      []idView
	Requests []Waiting
	Last     *Entry // what came of the last decision
	History  []Entry
	Text     string // in the scanner's field
	Problem  string // with it
}

// view is the model of a wallet's pages; false if nobody has it.
func (s *Simulator) view(w http.ResponseWriter, r *http.Request, page string) (*walletView, bool) {
	held := s.byPhone[r.PathValue("phone")]
	if held == nil {
		http.NotFound(w, r)
		return nil, false
	}
	v := &walletView{Person: held.person, Page: page}
	for _, c := range held.cards {
		v.IDs = append(v.IDs, idView{c.Code, c.Label, c.Issuer, c.number, c.from, c.end})
	}
	v.Requests = s.Waiting(held.person.Phone)
	return v, true
}

// serveWallet shows what waits, and the IDs.
func (s *Simulator) serveWallet(w http.ResponseWriter, r *http.Request) {
	v, ok := s.view(w, r, "wallet")
	if !ok {
		return
	}
	v.Last = s.entry(v.Phone, r.URL.Query().Get("request"))
	show(w, http.StatusOK, "wallet.html", v)
}

// entry is what came of a request; nil if nothing did yet.
func (s *Simulator) entry(phone, id string) *Entry {
	for _, e := range s.History(phone) {
		if e.ID == id {
			return &e
		}
	}
	return nil
}

// serveHistory shows what was sent to whom.
func (s *Simulator) serveHistory(w http.ResponseWriter, r *http.Request) {
	if v, ok := s.view(w, r, "history"); ok {
		v.History = s.History(v.Phone)
		show(w, http.StatusOK, "history.html", v)
	}
}

// serveScanner shows the field for a QR code's text.
func (s *Simulator) serveScanner(w http.ResponseWriter, r *http.Request) {
	if v, ok := s.view(w, r, "scan"); ok {
		show(w, http.StatusOK, "scan.html", v)
	}
}

// serveScan reads it.
func (s *Simulator) serveScan(w http.ResponseWriter, r *http.Request) {
	v, ok := s.view(w, r, "scan")
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	v.Text = r.PostFormValue("text")
	waiting, err := s.Scan(r.Context(), v.Phone, v.Text)
	if err != nil {
		v.Problem = problem(err)
		show(w, http.StatusUnprocessableEntity, "scan.html", v)
		return
	}
	if e := s.entry(v.Phone, waiting.ID); e != nil && e.RedirectURI != "" { // it was approved at once
		http.Redirect(w, r, e.RedirectURI, http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/wallets/"+v.Phone+"?request="+waiting.ID, http.StatusSeeOther)
}

// problem is why a request is not taken, in the citizen's words, with the number for whoever asks.
func problem(err error) string {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return "요청을 열지 못했습니다."
	}
	words := "요청을 열지 못했습니다."
	switch r.code {
	case mipFormat, mipMissing, mipData, errRequest:
		words = "모바일 신분증의 QR코드나 앱 링크가 아니거나, 끝난 요청입니다."
	case mipNoVC, mipNoIssuer:
		words = "이 요청에 낼 수 있는 신분증이 없습니다."
	case mipSignature, mipNoDocument, mipNoProof, errClient:
		words = "요청한 기관을 확인할 수 없어 열지 않았습니다."
	case "10104", "10201", "10202":
		words = "이미 처리되었거나 시간이 지난 요청입니다."
	}
	return words + " (" + r.code + ")"
}
