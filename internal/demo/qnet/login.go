package qnet

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/anyid/anyid/internal/demo/rp"
)

// notices are the messages that another page sends the citizen to the login page with.
var notices = map[string]string{
	"denied":    "정부 통합로그인을 취소했습니다. 다시 로그인하거나 아이디로 로그인해 주세요.",
	"silent":    "진행 중인 정부 통합로그인이 없습니다. 로그인해 주세요.",
	"expired":   "로그인 시간이 끝나 자동으로 로그아웃되었습니다. 다시 로그인해 주세요.",
	"needed":    "로그인이 필요한 페이지입니다.",
	"elsewhere": "정부 통합로그인이나 다른 화면에서 로그아웃하여 Q-Net에서도 로그아웃되었습니다.",
}

// loginView is the login page's data.
type loginView struct {
	Group   bool
	Notice  string
	Problem string
	ID      string
	Save    bool
}

const savedIDCookie = "qnet-saved-id"

func (s *Site) loginPage(w http.ResponseWriter, r *http.Request) {
	view := loginView{Group: r.FormValue("tab") == "group", Notice: notices[r.FormValue("notice")]}
	if ck, err := r.Cookie(savedIDCookie); err == nil && !view.Group {
		if id, problem := normalID(ck.Value); problem == "" {
			view.ID, view.Save = id, true
		}
	}
	s.render(w, r, http.StatusOK, "login", "로그인", view)
}

// login is the site's own login, by ID and password.
func (s *Site) login(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	view := loginView{Group: r.PostForm.Get("tab") == "group", Save: r.PostForm.Get("save-id") != "", ID: strings.TrimSpace(r.PostForm.Get("login-id"))}
	password := r.PostForm.Get("login-password")
	if view.ID == "" || password == "" {
		view.Problem = "아이디와 비밀번호를 모두 입력해 주세요."
		s.render(w, r, http.StatusUnprocessableEntity, "login", "로그인", view)
		return
	}
	id, _ := normalID(view.ID)
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	if !s.limiter.take("client "+address, failsPerClient) || (id != "" && !s.limiter.take("id "+id, failsPerID)) {
		w.Header().Set("Retry-After", "300")
		view.Problem = "로그인을 여러 번 시도했습니다. 5분 뒤에 다시 시도하거나 정부 통합로그인(Any-ID)을 이용해 주세요."
		s.render(w, r, http.StatusTooManyRequests, "login", "로그인", view)
		return
	}
	m, known := s.members.byID(id)
	hash := nobody
	if known && m.Password != nil && m.Group == view.Group {
		hash = *m.Password
	}
	if !hash.matches(password) {
		view.Problem = "아이디 또는 비밀번호가 맞지 않습니다."
		s.render(w, r, http.StatusUnprocessableEntity, "login", "로그인", view)
		return
	}
	s.limiter.giveBack("client " + address)
	s.limiter.forget("id " + id)
	saved := &http.Cookie{Name: savedIDCookie, Value: m.ID, Path: "/login", MaxAge: savedIDFor, HttpOnly: true, Secure: s.rp.Secure(), SameSite: http.SameSiteLaxMode}
	if !view.Save {
		saved.Value, saved.MaxAge = "", -1
	}
	if !view.Group {
		http.SetCookie(w, saved)
	}
	s.sessions.Open(w, r, rp.Session{User: m.ID})
	http.Redirect(w, r, "/my", http.StatusSeeOther)
}

// nextPassword is where a login may want to go on, beside the page of one's own.
const nextPassword = "password"

// start begins a login at the broker.
func (s *Site) start(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	want := rp.Request{Prompt: query.Get("prompt")}
	if query.Get("next") == nextPassword { // nothing else: what comes back in Next is trusted
		want.Next, want.Fresh = nextPassword, true
	}
	if err := s.rp.Start(w, r, want); err != nil {
		s.anyIDFailed(w, r, err)
	}
}

// callback takes the broker's answer: a member is signed in, a newcomer goes on to the sign-up.
func (s *Site) callback(w http.ResponseWriter, r *http.Request) {
	id, next, err := s.rp.Callback(w, r)
	if confirmed, ok := purposeOf(next); ok {
		s.confirmed(w, r, confirmed, id, err)
		return
	}
	if err != nil {
		s.anyIDFailed(w, r, err)
		return
	}
	m, known, err := s.who(id)
	switch {
	case errors.Is(err, errOtherself):
		s.log.WarnContext(r.Context(), "any-id login refused", "error", err)
		s.problem(w, r, http.StatusConflict, "회원 정보를 확인해야 합니다", "정부 통합로그인의 본인 정보가 가입할 때의 정보와 다릅니다. 아이디로 로그인하거나 고객센터에 문의해 주세요.")
	case err != nil:
		s.internal(w, r, "recognise the member", err)
	case known:
		s.sessions.Open(w, r, rp.Session{User: m.ID, Identity: &id})
		target := "/my"
		if next == nextPassword {
			target = "/my/password"
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
	default:
		s.signups.Open(w, r, rp.Session{Identity: &id})
		http.Redirect(w, r, "/signup", http.StatusSeeOther)
	}
}

// who finds the member whom the broker vouches for; see members.recognise. From here on the claim is the
// site's own keyed hash: the value itself is kept nowhere.
func (s *Site) who(id rp.Identity) (member, bool, error) {
	ci := s.members.hashCI(id.Text("ci"))
	delete(id.Claims, "ci")
	if ci != "" {
		id.Claims["ci"] = ci
	}
	return s.members.recognise(id.Subject, ci)
}

// anyIDFailed answers for a login at the broker that did not work.
func (s *Site) anyIDFailed(w http.ResponseWriter, r *http.Request, err error) {
	if notice := rp.Notice(err); notice != "" {
		http.Redirect(w, r, "/login?notice="+notice, http.StatusSeeOther)
		return
	}
	s.log.WarnContext(r.Context(), "any-id login failed", "error", err)
	switch {
	case errors.Is(err, rp.ErrUnavailable):
		w.Header().Set("Retry-After", "30")
		s.problem(w, r, http.StatusServiceUnavailable, "정부 통합로그인에 연결할 수 없습니다",
			"정부 통합로그인(Any-ID) 서비스가 응답하지 않습니다. 잠시 후 다시 시도하거나 아이디로 로그인해 주세요.")
	case errors.Is(err, rp.ErrUnknownRequest):
		s.problem(w, r, http.StatusBadRequest, "로그인을 처음부터 다시 해 주세요",
			"이미 처리했거나 너무 오래된 로그인 요청입니다. 로그인 화면에서 정부 통합로그인(Any-ID)을 다시 선택해 주세요.")
	default:
		s.problem(w, r, http.StatusBadRequest, "로그인을 확인하지 못했습니다",
			"정부 통합로그인의 응답을 확인하지 못해 로그인하지 않았습니다. 다시 시도해 주세요.")
	}
}
