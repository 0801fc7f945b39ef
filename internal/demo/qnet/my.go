package qnet

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/demo/frame"
	"github.com/anyid/anyid/internal/demo/rp"
)

// required returns the session and its member, or sends the citizen to the login page.
func (s *Site) required(w http.ResponseWriter, r *http.Request) (rp.Session, member, bool) {
	session, ok := s.sessions.Get(r)
	if ok {
		if m, known := s.members.byID(session.User); known {
			return session, m, true
		}
	}
	s.signedOut(w, r)
	return rp.Session{}, member{}, false
}

// signedOut sends someone to the login page who needs a session for what they asked.
func (s *Site) signedOut(w http.ResponseWriter, r *http.Request) {
	notice := "needed"
	if how := s.sessions.Ended(r); how != rp.NotEnded {
		notice = string(how)
		s.sessions.Close(w, r)
	}
	http.Redirect(w, r, "/login?notice="+notice, http.StatusSeeOther)
}

// personal is required for what only a person can do: groups have no Any-ID, and so no proof.
func (s *Site) personal(w http.ResponseWriter, r *http.Request) (rp.Session, member, bool) {
	session, m, ok := s.required(w, r)
	if ok && m.Group {
		s.problem(w, r, http.StatusForbidden, "개인 회원이 이용하는 화면입니다", "단체 아이디로는 이용할 수 없습니다. 개인 아이디나 정부 통합로그인(Any-ID)으로 로그인해 주세요.")
		return rp.Session{}, member{}, false
	}
	return session, m, ok
}

// myView is the data of the page of one's own.
type myView struct {
	Member      member
	Gender      string
	Nationality string
	Method      string // how this login was made
	Any         bool   // it was made with Any-ID
	ACR, When   string
	AMR         []row
	Claims      []row
	News        string // what has just been done
}

type row struct{ Label, Name, Value string }

var words = map[string]string{
	"male": "남자", "female": "여자", "domestic": "내국인", "foreign": "외국인",
}

// knownClaims are the claims that have a Korean name here, in the order of the page.
var knownClaims = []row{
	{Name: "name", Label: "이름"}, {Name: "birthdate", Label: "생년월일"}, {Name: "gender", Label: "성별"},
	{Name: "nationality", Label: "내국인/외국인"}, {Name: "phone_number", Label: "휴대전화번호"},
	{Name: "phone_number_verified", Label: "휴대전화번호 확인"}, {Name: "email", Label: "전자우편"},
	{Name: "email_verified", Label: "전자우편 확인"}, {Name: "ci", Label: "연계정보(CI)"},
	{Name: "updated_at", Label: "정보를 확인한 때"},
}

// amrLabels are the values of RFC 8176 that a citizen may meet.
var amrLabels = map[string]string{
	"pin": "비밀번호(PIN)", "pwd": "비밀번호", "fpt": "지문", "face": "얼굴", "hwk": "기기에 보관한 열쇠", "swk": "소프트웨어에 보관한 열쇠",
	"sms": "문자", "tel": "전화", "otp": "일회용 비밀번호", "mfa": "두 가지 이상의 수단", "mca": "두 가지 이상의 경로", "user": "본인의 확인 동작", "pop": "전자서명",
}

// news are the messages that a finished form leaves on the page.
var news = map[string]string{
	"joined":   "회원가입이 끝나고 로그인했습니다. 공동인증서나 금융인증서로 가입했다면 아래 ‘개인정보관리’의 ‘인증서 등록’에서 그 인증서를 등록해 주세요.",
	"password": "비밀번호를 바꾸었습니다. 다른 기기의 로그인은 모두 끝냈습니다.",
	"profile":  "개인정보를 수정했습니다.",
	"applied":  "원서를 접수했습니다.",
	"canceled": "원서접수를 취소했습니다.",
}

func (s *Site) my(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.required(w, r)
	if !ok {
		return
	}
	view := myView{Member: m, Gender: words[m.Gender], Nationality: words[m.Nationality], Method: "아이디와 비밀번호", News: news[r.FormValue("news")]}
	if id := session.Identity; id != nil {
		view.Any, view.Method, view.ACR = true, "정부 통합로그인(Any-ID)", id.ACR
		if !id.AuthTime.IsZero() {
			view.When = id.AuthTime.In(frame.Seoul).Format("2006-01-02 15:04")
		}
		for _, v := range id.AMR {
			view.AMR = append(view.AMR, row{Label: amrLabels[v], Value: v})
		}
		view.Claims = claimRows(id.Claims)
	}
	s.render(w, r, http.StatusOK, "my", "마이페이지", view)
}

// claimRows lists what the broker said, the known claims first.
func claimRows(claims map[string]any) []row {
	var rows []row
	rest := maps.Clone(claims)
	for _, known := range knownClaims {
		if v, ok := rest[known.Name]; ok {
			rows = append(rows, row{Label: known.Label, Name: known.Name, Value: claimText(known.Name, v)})
			delete(rest, known.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rest)) {
		rows = append(rows, row{Name: name, Value: claimText(name, rest[name])})
	}
	return rows
}

func claimText(name string, v any) string {
	switch v := v.(type) {
	case float64:
		if name == "updated_at" { // OIDC Core §5.1: seconds since 1970
			return time.Unix(int64(v), 0).In(frame.Seoul).Format("2006-01-02 15:04")
		}
	case bool:
		if v {
			return "예"
		}
		return "아니요"
	case string:
		if name == "ci" {
			return "받음 (값은 보관하지 않고, 되돌릴 수 없는 값으로 바꾸어 보관)"
		}
		if word, ok := words[v]; ok {
			return word
		}
		return v
	}
	return fmt.Sprint(v)
}

// photo shows the member's own picture.
func (s *Site) photo(w http.ResponseWriter, r *http.Request) {
	_, m, ok := s.required(w, r)
	if !ok {
		return
	}
	if !m.Photo {
		http.NotFound(w, r)
		return
	}
	http.ServeFile(w, r, s.members.photoPath(m.ID))
}

// passwordView is the data of the page for a new password.
type passwordView struct {
	Fresh    bool
	Problems problems
}

// fresh tells whether the citizen proved who they are at the broker just now, which is what setting a
// password without the old one asks for.
func (s *Site) fresh(session rp.Session) bool {
	return session.Identity != nil && s.now().Sub(session.Identity.AuthTime) < freshFor
}

func (s *Site) passwordPage(w http.ResponseWriter, r *http.Request) {
	if session, _, ok := s.required(w, r); ok {
		s.render(w, r, http.StatusOK, "password", "비밀번호 재설정", passwordView{Fresh: s.fresh(session)})
	}
}

func (s *Site) setPassword(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.required(w, r)
	if !ok || !s.form(w, r) {
		return
	}
	view := passwordView{Fresh: s.fresh(session), Problems: problems{}}
	if !view.Fresh {
		s.render(w, r, http.StatusForbidden, "password", "비밀번호 재설정", view)
		return
	}
	password := r.PostForm.Get("password")
	view.Problems.password(password, r.PostForm.Get("password-confirm"))
	if len(view.Problems) > 0 {
		s.render(w, r, http.StatusUnprocessableEntity, "password", "비밀번호 재설정", view)
		return
	}
	hash := hashPassword(password)
	err := s.members.change(m.ID, func(m *member) error { m.Password = &hash; return nil })
	if err != nil {
		s.internal(w, r, "set the password", err)
		return
	}
	// Whoever signed in with the old password is out, and this browser gets a new session id.
	s.sessions.EndUser(r, m.ID)
	s.sessions.Renew(w, r)
	http.Redirect(w, r, "/my?news=password", http.StatusSeeOther)
}

// pages are those to which a citizen can be sent back.
var pages = []string{"/", "/my", "/my/password", "/my/profile", "/my/certificates", "/exams", "/guide", "/find", "/did", "/login", "/signup"}

// deadline tells the page's script how long the session lasts.
func (s *Site) deadline(w http.ResponseWriter, r *http.Request) {
	session, _ := s.sessions.Get(r)
	frame.Deadline(w, session.Remaining(s.now()), session.Final())
}

// ended is where the page's script goes when the session is over.
func (s *Site) ended(w http.ResponseWriter, r *http.Request) {
	if _, _, ok := s.required(w, r); ok {
		http.Redirect(w, r, frame.BackTo(r.FormValue("back"), "/my", pages...), http.StatusSeeOther)
	}
}

func (s *Site) extend(w http.ResponseWriter, r *http.Request) {
	if !s.form(w, r) {
		return
	}
	session, ok := s.sessions.Extend(r)
	switch {
	case frame.FromScript(r):
		frame.Deadline(w, session.Remaining(s.now()), session.Final())
	case !ok:
		s.signedOut(w, r)
	default:
		http.Redirect(w, r, frame.BackTo(r.PostForm.Get("back"), "/my", pages...), http.StatusSeeOther)
	}
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) {
	session, _ := s.sessions.Close(w, r)
	s.signups.Close(w, r)
	s.rp.Logout(w, r, session.Vouched())
}

func (s *Site) loggedOut(w http.ResponseWriter, r *http.Request) {
	outcome, ok := s.rp.LoggedOut(r)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "로그아웃을 확인하지 못했습니다", "이 브라우저에서 진행한 로그아웃이 아닙니다. 로그인 상태는 화면 위쪽에서 볼 수 있습니다.")
		return
	}
	s.render(w, r, http.StatusOK, "logged-out", "로그아웃되었습니다", string(outcome))
}
