package agency

import (
	"crypto/hmac"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/sim"
)

//go:embed *.html window.css
var files embed.FS

var pages = template.Must(template.New("").ParseFS(files, "*.html"))

var korea = time.FixedZone("KST", 9*60*60)

// window is one verification: what an institution has ordered, and how far the citizen is.
type window struct {
	id          string // in its address
	api         string // interface that ordered it
	title       string
	site        string // shown to the citizen; may be empty
	service     string
	number      string // the institution's request number
	transaction string // what the agency calls it
	returnURL   string
	closeURL    string // where the close button leads; empty: to the returnURL, with a result that says so
	byPost      bool   // the browser returns by POST
	token       *token
	crypto      *cryptoToken
	ends        time.Time

	candidate *Person // whose phone got a code
	code      string
	codeEnds  time.Time
	wrong     int
	person    *Person // who was verified; set once
	web       string  // web_transaction_id of the return
	closed    bool
	fetched   bool
}

// over reports whether nothing is left to do in it.
func (v *window) over() bool { return v.closed || v.person != nil }

// Message is a text message with a code.
type Message struct {
	Phone string    `json:"phone"`
	Text  string    `json:"text"`
	Code  string    `json:"code"`
	At    time.Time `json:"at"`
}

// open makes the window known.
func (s *Simulator) open(v *window) {
	v.id, v.ends = rand.Text(), s.now().Add(windowLife)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.windows) >= maxWindows {
		clear(s.windows)
		clear(s.byTransaction)
	}
	s.windows[v.id], s.byTransaction[v.transaction] = v, v
}

// fetch finds the window of a transaction that is done, as it is now, or the code that refuses its result.
func (s *Simulator) fetch(api, transaction string) (window, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byTransaction[transaction]
	switch {
	case v == nil || v.api != api || !s.now().Before(v.ends):
		return window{}, resultNoWindow
	case v.person == nil:
		return *v, resultUnfinished
	}
	return *v, ""
}

// take hands the result out, once; then it returns the code that refuses it.
func (s *Simulator) take(transaction string) string {
	_, before := s.faults.Strike(FaultFetchedBefore, opResult)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.byTransaction[transaction]
	if v == nil || v.fetched || before {
		return resultTwice
	}
	v.fetched = true
	return ""
}

// Messages lists the codes that are good now and were sent to the phone, oldest first; to any phone if it is empty.
func (s *Simulator) Messages(phone string) []Message {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Message{}
	s.messages = slices.DeleteFunc(s.messages, func(m Message) bool { return now.Sub(m.At) >= codeLife })
	for _, m := range s.messages {
		if phone == "" || m.Phone == phone {
			list = append(list, m)
		}
	}
	return list
}

// WindowHandler is what browsers open.
func (s *Simulator) WindowHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveIndex)
	mux.HandleFunc("GET /window.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "window.css") })
	mux.HandleFunc("GET /phones/{number}", s.servePhone)
	mux.HandleFunc("GET /window/{id}", s.serveWindow)
	mux.HandleFunc("POST /window/{id}", s.serveStep)
	mux.HandleFunc("GET /api/messages", func(w http.ResponseWriter, r *http.Request) {
		sim.WriteJSON(w, http.StatusOK, map[string][]Message{"messages": s.Messages(r.URL.Query().Get("phone"))})
	})
	mux.Handle("/api/faults", s.faults.Handler())
	// Forms of institutions' pages open these three, which another origin's page may do.
	all := http.NewServeMux()
	all.HandleFunc("POST /CheckPlusSafeModel/service.cb", s.serveCheckPlus)
	all.HandleFunc("POST /Danal/WebAuth/Web/Start.php", s.serveStart)
	all.HandleFunc("POST /CommonSvl", s.serveCommon)
	all.Handle("/", sim.Pages(mux))
	return all
}

// enter opens the window that an institution has ordered under the transaction.
func (s *Simulator) enter(w http.ResponseWriter, r *http.Request, api, transaction, closeURL string) {
	s.mu.Lock()
	v := s.byTransaction[transaction]
	id := ""
	if v != nil && v.api == api && !v.over() {
		id = v.id
		if returnable(closeURL, 1024) {
			v.closeURL = closeURL
		}
	}
	s.mu.Unlock()
	if id == "" {
		s.lost(w)
		return
	}
	http.Redirect(w, r, "/window/"+id, http.StatusSeeOther)
}

// view is what a page of a window shows.
type view struct {
	ID, Title, Site string
	Carriers        []Carrier
	Carrier         Carrier // as chosen
	Name, Birth     string  // as typed
	Phone           string
	Agreed          bool
	Error           string
	Return          string
	Fields          url.Values
}

// view describes the window.
func (s *Simulator) view(v *window) view {
	return view{ID: v.id, Title: v.title, Site: v.site, Carriers: carriers}
}

// show renders a page whose forms may end at the institution as well, since browsers hold form-action against
// redirects too.
func show(w http.ResponseWriter, status int, page, institution string, model any) {
	action := "'self'"
	if u, err := url.Parse(institution); err == nil && u.Host != "" && !strings.ContainsAny(u.Host, " ;,'\"") {
		action += " " + u.Scheme + "://" + u.Host
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action "+action+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pages.ExecuteTemplate(w, page, model)
}

// lost answers a browser for which there is no window.
func (s *Simulator) lost(w http.ResponseWriter) { show(w, http.StatusNotFound, "gone.html", "", nil) }

// window finds a window that is not over, nil if there is none.
func (s *Simulator) window(id string) *window {
	v := s.windows[id]
	if v == nil || v.over() || !s.now().Before(v.ends) {
		return nil
	}
	return v
}

// serveWindow shows a window: the phone's owner, the code, or the i-PIN.
func (s *Simulator) serveWindow(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.window(r.PathValue("id"))
	if v == nil {
		s.lost(w)
		return
	}
	m := s.view(v)
	if v.candidate != nil {
		m.Phone = v.candidate.Phone
	}
	show(w, http.StatusOK, v.page(), v.returnURL, m)
}

// page is the template of the window's step.
func (v *window) page() string {
	switch {
	case v.service != PhoneService:
		return "ipin.html"
	case v.code != "":
		return "code.html"
	}
	return "owner.html"
}

// serveStep takes a form of a window.
func (s *Simulator) serveStep(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.window(r.PathValue("id"))
	if v == nil {
		s.lost(w)
		return
	}
	_, closes := s.faults.Strike(FaultClosedWindow, v.api, opWindow)
	switch step := r.PostFormValue("step"); {
	case closes || step == "close":
		v.closed = true
		s.leave(w, r, v)
	case step == "owner" && v.service == PhoneService:
		s.takeOwner(w, r, v)
	case step == "back" && v.service == PhoneService:
		v.candidate, v.code = nil, ""
		http.Redirect(w, r, "/window/"+v.id, http.StatusSeeOther)
	case step == "again" && v.code != "":
		s.send(v)
		http.Redirect(w, r, "/window/"+v.id, http.StatusSeeOther)
	case step == "code" && v.code != "":
		s.takeCode(w, r, v)
	case step == "ipin" && v.service == IPINService:
		s.takeIPIN(w, r, v)
	default:
		http.Redirect(w, r, "/window/"+v.id, http.StatusSeeOther)
	}
}

// again shows the step once more, with what is wrong.
func (s *Simulator) again(w http.ResponseWriter, v *window, m view, message string) {
	m.Error = message
	show(w, http.StatusUnprocessableEntity, v.page(), v.returnURL, m)
}

// takeOwner compares what the citizen says with what the carrier has, and sends a code.
func (s *Simulator) takeOwner(w http.ResponseWriter, r *http.Request, v *window) {
	m := s.view(v)
	m.Carrier = Carrier(r.PostFormValue("carrier"))
	m.Name = norm.NFC.String(strings.TrimSpace(r.PostFormValue("name")))
	m.Birth = strings.ReplaceAll(strings.TrimSpace(r.PostFormValue("birth")), "-", "")
	m.Phone = strings.ReplaceAll(strings.TrimSpace(r.PostFormValue("phone")), "-", "")
	m.Agreed = r.PostFormValue("agree") != ""
	p := s.byPhone[m.Phone]
	switch {
	case !slices.Contains(carriers, m.Carrier):
		s.again(w, v, m, "통신사를 선택해 주세요.")
	case p == nil || p.Carrier != m.Carrier || p.Name != m.Name || strings.ReplaceAll(p.BirthDate, "-", "") != m.Birth:
		s.again(w, v, m, "입력하신 정보가 통신사에 등록된 정보와 다릅니다. 통신사, 이름, 생년월일과 휴대폰번호를 확인해 주세요.")
	case !m.Agreed:
		s.again(w, v, m, "본인확인 이용약관에 동의해 주세요.")
	default:
		v.candidate = p
		s.send(v)
		http.Redirect(w, r, "/window/"+v.id, http.StatusSeeOther)
	}
}

// send has a code arrive on the phone.
func (s *Simulator) send(v *window) {
	now := s.now()
	s.forget(v)
	v.code, v.codeEnds = digits(6), now.Add(codeLife)
	text := "[" + v.title + "] 인증번호는 " + v.code + "입니다. 다른 사람에게 알려 주지 마세요."
	if v.site != "" {
		text = "[" + v.title + "] " + v.site + " 인증번호는 " + v.code + "입니다. 다른 사람에게 알려 주지 마세요."
	}
	s.messages = append(s.messages, Message{v.candidate.Phone, text, v.code, now})
	if len(s.messages) > maxWindows {
		s.messages = slices.Delete(s.messages, 0, maxWindows/2)
	}
}

// forget deletes the message with the window's code.
func (s *Simulator) forget(v *window) {
	s.messages = slices.DeleteFunc(s.messages, func(m Message) bool { return m.Phone == v.candidate.Phone && m.Code == v.code })
}

// takeCode compares the code.
func (s *Simulator) takeCode(w http.ResponseWriter, r *http.Request, v *window) {
	m := s.view(v)
	m.Phone = v.candidate.Phone
	switch {
	case !s.now().Before(v.codeEnds):
		s.again(w, v, m, "입력 시간이 지났습니다. 인증번호를 다시 받아 주세요.")
	case hmac.Equal([]byte(strings.TrimSpace(r.PostFormValue("code"))), []byte(v.code)):
		s.forget(v)
		s.verified(w, r, v, v.candidate)
	default:
		s.wrong(w, r, v, m, "인증번호가 맞지 않습니다.")
	}
}

// takeIPIN compares the ID and the password.
func (s *Simulator) takeIPIN(w http.ResponseWriter, r *http.Request, v *window) {
	m := s.view(v)
	m.Name = strings.TrimSpace(r.PostFormValue("id"))
	p := s.byIPIN[m.Name]
	if p == nil || !hmac.Equal([]byte(r.PostFormValue("password")), []byte(p.IPIN.Password)) {
		s.wrong(w, r, v, m, "아이핀 아이디나 비밀번호가 맞지 않습니다.")
		return
	}
	s.verified(w, r, v, p)
}

// wrong counts, and closes the window after too many.
func (s *Simulator) wrong(w http.ResponseWriter, r *http.Request, v *window, m view, message string) {
	if v.wrong++; v.wrong >= maxWrong {
		v.closed = true
		s.leave(w, r, v)
		return
	}
	s.again(w, v, m, fmt.Sprintf("%s %d번 더 입력할 수 있습니다.", message, maxWrong-v.wrong))
}

// verified ends the window well.
func (s *Simulator) verified(w http.ResponseWriter, r *http.Request, v *window, p *Person) {
	v.person, v.web = p, rand.Text()
	s.leave(w, r, v)
}

// leave sends the browser back.
func (s *Simulator) leave(w http.ResponseWriter, r *http.Request, v *window) {
	if v.person == nil && v.closeURL != "" {
		http.Redirect(w, r, v.closeURL, http.StatusSeeOther)
		return
	}
	_, other := s.faults.Strike(FaultOtherReturn, v.api, opWindow)
	otherwise := func(text string) url.Values {
		if other {
			text = rand.Text()
		}
		return url.Values{v.returns(): {text}}
	}
	var values url.Values
	switch {
	case v.api == checkPlusAPI:
		var err error
		if values, err = s.checkPlusReturn(*v); err != nil {
			http.Error(w, "no result", http.StatusInternalServerError)
			return
		}
		if other {
			values.Set("token_version_id", rand.Text())
		}
	case v.api == niceAPI && v.person == nil:
		show(w, http.StatusOK, "closed.html", "", s.view(v))
		return
	case v.api == niceAPI:
		values = otherwise(v.web)
	default:
		values = otherwise(v.transaction)
	}
	if !v.byPost {
		http.Redirect(w, r, v.returnURL+"?"+values.Encode(), http.StatusSeeOther)
		return
	}
	m := s.view(v)
	m.Return, m.Fields = v.returnURL, values
	page := "done.html"
	if v.person == nil {
		page = "closed.html"
	}
	show(w, http.StatusOK, page, v.returnURL, m)
}

// returns is the parameter that the browser brings back.
func (v *window) returns() string {
	switch v.api {
	case danalAPI:
		return "TID"
	case kcbAPI:
		return "mdl_tkn"
	}
	return "web_transaction_id"
}

// serveIndex shows who has which phone and i-PIN.
func (s *Simulator) serveIndex(w http.ResponseWriter, _ *http.Request) {
	waiting := map[string]int{}
	for _, m := range s.Messages("") {
		waiting[m.Phone]++
	}
	type line struct {
		Person
		Waiting int
	}
	var list []line
	for _, p := range s.people[:min(len(s.people), maxListed)] {
		list = append(list, line{p, waiting[p.Phone]})
	}
	show(w, http.StatusOK, "index.html", "", list)
}

// servePhone shows a phone with its messages, newest first.
func (s *Simulator) servePhone(w http.ResponseWriter, r *http.Request) {
	p := s.byPhone[r.PathValue("number")]
	if p == nil {
		http.NotFound(w, r)
		return
	}
	messages := s.Messages(p.Phone)
	slices.Reverse(messages)
	show(w, http.StatusOK, "phone.html", "", struct {
		Person   *Person
		Messages []Message
	}{p, messages})
}

// scheme is the one under which the simulator is called.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Korean is the carrier as its customers know it.
func (c Carrier) Korean() string {
	switch c {
	case LGU:
		return "LG U+"
	case MVNO:
		return "알뜰폰"
	}
	return string(c)
}

// Slug is the carrier in the id of its control.
func (c Carrier) Slug() string { return strings.ToLower(string(c)) }
