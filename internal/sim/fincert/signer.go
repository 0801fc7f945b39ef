package fincert

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

//go:embed *.html *.js *.css
var files embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"date": func(t time.Time) string { return t.In(korea).Format("2006.01.02") },
	"json": func(v any) (string, error) {
		text, err := json.Marshal(v)
		return string(text), err
	},
}).ParseFS(files, "*.html"))

var korea = time.FixedZone("KST", 9*60*60)

const (
	maxWrong    = 5 // PINs, until the certificate is locked
	maxListed   = 50
	maxRequests = 10_000
	requestLife = 10 * time.Minute
)

// The codes that FinCert.Sdk hands to fail. The first two are KFTC's.
const (
	codeCancelled = "800000"
	codeBusy      = "100008"
	codeRequest   = "100001" // ours, as are the following
	codeGone      = "100002"
	codeLocked    = "100003"
	codePIN       = "100004"
	codeInternal  = "100009"
)

// failure is what FinCert.Sdk hands to fail.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Cause   string `json:"cause"`
	Left    int    `json:"left,omitempty"` // tries that are left for a PIN
}

// outcome is how a request ended.
type outcome struct {
	Result *result  `json:"result,omitempty"`
	Error  *failure `json:"error,omitempty"`
}

// request is what a relying party wants to have signed.
type request struct {
	id     string
	origin string // of its page: who gets the outcome
	site   string // its host, for the citizen
	job    *job
	ends   time.Time
}

// serveFile answers with an embedded file.
func serveFile(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		content, err := files.ReadFile(name)
		if err != nil {
			http.Error(w, "no such file", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		_, _ = w.Write(content)
	}
}

// show renders a page of the signer, which runs its own script only and may stand in the given origin's
// frame; in anybody's as long as nobody is known.
func show(w http.ResponseWriter, status int, page, origin string, model any) {
	if origin == "" {
		origin = "http: https:"
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "+origin)
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, page, model)
}

// serveIndex shows who has a certificate.
func (s *Simulator) serveIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	list := s.Certificates()
	_ = pages.ExecuteTemplate(w, "index.html", list[:min(len(list), maxListed)])
}

// serveUnlock lets a certificate be used again.
func (s *Simulator) serveUnlock(w http.ResponseWriter, r *http.Request) {
	a := s.account(r.PathValue("seq"))
	if a == nil {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	a.wrong = 0
	s.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// serveSigner is what the frame shows until the script in it has been told what to sign.
func (s *Simulator) serveSigner(w http.ResponseWriter, _ *http.Request) {
	show(w, http.StatusOK, "signer.html", "", nil)
}

// serveRequest takes a request.
func (s *Simulator) serveRequest(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Origin  string      `json:"origin"`
		OrgCode string      `json:"orgCode"`
		APIKey  string      `json:"apiKey"`
		Request signRequest `json:"request"`
	}
	fail := func(cause string) {
		sim.WriteJSON(w, http.StatusBadRequest, outcome{Error: &failure{Code: codeRequest, Message: "요청 항목이 올바르지 않습니다.", Cause: cause}})
	}
	if err := sim.ReadJSON(w, r, &in); err != nil {
		fail(err.Error())
		return
	}
	origin, err := url.Parse(in.Origin)
	switch {
	case err != nil || origin.Scheme != "http" && origin.Scheme != "https" || origin.Host == "" || origin.Scheme+"://"+origin.Host != in.Origin ||
		strings.ContainsAny(in.Origin, " ;,'\""):
		fail("origin")
		return
	case in.OrgCode != s.orgCode || in.APIKey != s.clientID:
		fail("orgCode, apiKey")
		return
	}
	j, err := in.Request.plan()
	if err != nil {
		fail(err.Error())
		return
	}
	if _, struck := s.faults.Strike(FaultBusy, "sign"); struck {
		sim.WriteJSON(w, http.StatusBadRequest, outcome{Error: &failure{Code: codeBusy, Message: "다른 작업이 진행 중입니다."}})
		return
	}
	req := &request{id: rand.Text(), origin: in.Origin, site: origin.Hostname(), job: j, ends: s.now().Add(requestLife)}
	s.mu.Lock()
	if len(s.requests) >= maxRequests {
		clear(s.requests)
	}
	s.requests[req.id] = req
	s.mu.Unlock()
	sim.WriteJSON(w, http.StatusOK, map[string]string{"id": req.id})
}

// request finds what waits for a citizen, nil if nothing does.
func (s *Simulator) request(id string) *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[id]
	if req == nil || !s.now().Before(req.ends) {
		delete(s.requests, id)
		return nil
	}
	return req
}

// end takes a request away; only the first call reports that it was there.
func (s *Simulator) end(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.requests[id]
	delete(s.requests, id)
	return there
}

// view is what the pages of a request show.
type view struct {
	ID, Site, Purpose string
	Texts             []string
	Items             []string
	Certificates      []Certificate // to choose from
	Chosen            *Certificate
	Error             string
	Left              int
}

// itemNames are the items of a UCPID request, in the order of their bits.
var itemNames = []string{"성명", "성별", "내·외국인 여부", "생년월일", "연계정보(CI)"}

// view describes the request to the citizen.
func (s *Simulator) view(req *request, seq string) view {
	v := view{ID: req.id, Site: req.site, Purpose: req.job.purpose, Texts: req.job.texts}
	if asked := req.job.ucpid; asked != nil {
		for i, name := range itemNames {
			if asked.Items>>i&1 == 1 {
				v.Items = append(v.Items, name)
			}
		}
	}
	for _, c := range s.Certificates() {
		if len(v.Certificates) < maxListed && req.job.takes(s.account(c.CertSeqNum)) {
			v.Certificates = append(v.Certificates, c)
		}
		if c.CertSeqNum == seq && req.job.takes(s.account(seq)) {
			v.Chosen = &c
		}
	}
	if len(v.Certificates) == 1 && v.Chosen == nil {
		v.Chosen = &v.Certificates[0]
	}
	return v
}

// serveChoice shows the certificates, or the one that was chosen with what is to be signed.
func (s *Simulator) serveChoice(w http.ResponseWriter, r *http.Request) {
	req := s.request(r.PathValue("id"))
	if req == nil {
		s.finish(w, r, "", outcome{Error: &failure{Code: codeGone, Message: "요청이 없거나 시간이 지났습니다."}})
		return
	}
	v := s.view(req, r.URL.Query().Get("certificate"))
	page := "choose.html"
	if v.Chosen != nil {
		page = "confirm.html"
	}
	show(w, http.StatusOK, page, req.origin, v)
}

// serveDecision takes the PIN, or the word that the citizen does not want to sign.
func (s *Simulator) serveDecision(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	req := s.request(r.PathValue("id"))
	if req == nil {
		s.finish(w, r, "", outcome{Error: &failure{Code: codeGone, Message: "요청이 없거나 시간이 지났습니다."}})
		return
	}
	seq := r.PostFormValue("certificate")
	_, struck := s.faults.Strike(FaultUserCancel, "sign", seq)
	if struck || r.PostFormValue("cancel") != "" {
		s.end(req.id)
		s.finish(w, r, req.origin, outcome{Error: &failure{Code: codeCancelled, Message: "사용자가 취소하였습니다."}})
		return
	}
	a := s.account(seq)
	if a == nil || !req.job.takes(a) {
		s.finish(w, r, req.origin, outcome{Error: &failure{Code: codeRequest, Message: "사용할 수 없는 인증서입니다.", Cause: "certificate"}})
		return
	}
	if f := s.check(a, r.PostFormValue("pin")); f != nil {
		s.wrong(w, r, req, seq, f)
		return
	}
	if !s.end(req.id) { // two presses of one button
		s.finish(w, r, req.origin, outcome{Error: &failure{Code: codeGone, Message: "이미 처리된 요청입니다."}})
		return
	}
	signed, err := s.sign(req.job, a)
	if err != nil {
		s.finish(w, r, req.origin, outcome{Error: &failure{Code: codeInternal, Message: "서명하지 못했습니다.", Cause: err.Error()}})
		return
	}
	s.finish(w, r, req.origin, outcome{Result: signed})
}

// check compares the PIN, and counts the wrong ones.
func (s *Simulator) check(a *account, pin string) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case a.wrong >= maxWrong:
		return &failure{Code: codeLocked, Message: "간편비밀번호를 5번 잘못 입력하여 인증서가 잠겼습니다."}
	case pin == a.person.PIN:
		a.wrong = 0
		return nil
	}
	a.wrong++
	if a.wrong >= maxWrong {
		return &failure{Code: codeLocked, Message: "간편비밀번호를 5번 잘못 입력하여 인증서가 잠겼습니다."}
	}
	return &failure{Code: codePIN, Message: "간편비밀번호가 맞지 않습니다.", Left: maxWrong - a.wrong}
}

// asksForJSON says that a program drives the signer.
func asksForJSON(r *http.Request) bool {
	return slices.Contains(strings.Split(r.Header.Get("Accept"), ","), "application/json")
}

// wrong lets the citizen try again.
func (s *Simulator) wrong(w http.ResponseWriter, r *http.Request, req *request, seq string, f *failure) {
	if asksForJSON(r) {
		sim.WriteJSON(w, http.StatusUnprocessableEntity, outcome{Error: f})
		return
	}
	v := s.view(req, seq)
	v.Error, v.Left = f.Message, f.Left
	show(w, http.StatusUnprocessableEntity, "confirm.html", req.origin, v)
}

// finish hands the outcome over: as JSON, or by the script of the page to the relying party's page, and to
// no other origin's.
func (s *Simulator) finish(w http.ResponseWriter, r *http.Request, origin string, o outcome) {
	if asksForJSON(r) {
		sim.WriteJSON(w, http.StatusOK, o)
		return
	}
	message := ""
	if o.Error != nil {
		message = o.Error.Message
	}
	show(w, http.StatusOK, "done.html", origin, struct {
		Origin, Message string
		Outcome         outcome
	}{origin, message, o})
}
