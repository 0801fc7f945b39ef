package qnet

import (
	"bytes"
	"errors"
	"image/jpeg"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/demo/rp"
)

const (
	maxPhoto       = 200 << 10  // bytes
	maxPhotoPixels = 12_000_000 // decoded, what a file of 200 KB may unfold to
	minPhotoWidth  = 300
	minPhotoHeight = 400
)

// fields are the ids of the form's inputs in the order of the page.
var fields = []string{"photo", "user-id", "birthdate", "nationality", "gender", "name", "name-en", "phone", "email", "password", "password-confirm"}

// problems are what is wrong with a form, for the citizen, by the input's id.
type problems map[string]string

// First is the id of the first input with a problem.
func (p problems) First() string {
	for _, id := range fields {
		if p[id] != "" {
			return id
		}
	}
	return ""
}

// List returns the problems in the order of the page.
func (p problems) List() []row {
	var list []row
	for _, id := range fields {
		if p[id] != "" {
			list = append(list, row{Name: id, Value: p[id]})
		}
	}
	return list
}

// password checks a new password and its repetition.
func (p problems) password(password, confirm string) {
	if problem := passwordProblem(password); problem != "" {
		p["password"] = problem
	} else if password != confirm {
		p["password-confirm"] = "비밀번호가 서로 다릅니다. 같은 비밀번호를 다시 입력해 주세요."
	}
}

// signupForm is what the citizen sent.
type signupForm struct {
	ID, BirthDate, Gender, Nationality, Name, NameEnglish string
	Password, Confirm                                     string
	Photo                                                 []byte // nil if none was chosen
	PhotoTooBig                                           bool
}

// signupView is the sign-up page's data. Verified fields came from the broker and cannot be changed.
type signupView struct {
	Form                                                                 signupForm
	NameVerified, BirthDateVerified, GenderVerified, NationalityVerified bool
	Problems                                                             problems
	Free                                                                 bool   // the ID was checked and nobody has it
	Focus                                                                string // the input to begin with; "" for none
}

// normalID returns an ID in the form in which it is stored, and what is wrong with it or "".
func normalID(id string) (normal, problem string) {
	normal = strings.ToLower(strings.TrimSpace(id))
	if normal == "" {
		return "", "아이디를 입력해 주세요."
	}
	for i, c := range []byte(normal) {
		letter, digit := 'a' <= c && c <= 'z', '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return "", "아이디는 영문자로 시작하고 영문자와 숫자만 쓸 수 있습니다."
		}
	}
	if len(normal) < 4 || len(normal) > 20 {
		return "", "아이디는 4~20자리로 입력해 주세요."
	}
	return normal, ""
}

// parseBirthDate reads eight digits, with or without hyphens or dots between year, month and day, as
// a day that is not in the future, and returns it as YYYY-MM-DD.
func parseBirthDate(s string, now time.Time) (string, bool) {
	s = strings.TrimSpace(s)
	for _, layout := range []string{"20060102", time.DateOnly, "2006.01.02"} {
		day, err := time.Parse(layout, s)
		if err == nil && day.Year() >= 1900 && day.Before(now) {
			return day.Format(time.DateOnly), true
		}
	}
	return "", false
}

// personName tells whether s can be a name: 1 to 50 characters that are shown, none of them an angle
// bracket or the like. Names have no shorter limit and may hold any letters (KRDS).
func personName(s string) bool {
	if !utf8.ValidString(s) || s == "" || utf8.RuneCountInString(s) > 50 {
		return false
	}
	letters := 0
	for _, c := range s {
		switch {
		case unicode.IsLetter(c):
			letters++
		case unicode.IsMark(c), strings.ContainsRune(" -'’.·,()", c):
		default:
			return false
		}
	}
	return letters > 0
}

// check returns the record that the form describes and what is wrong with it. The record is usable
// only if nothing is.
func (f signupForm) check(now time.Time) (member, problems) {
	p := problems{}
	m := member{Name: f.Name, NameEnglish: f.NameEnglish, Gender: f.Gender, Nationality: f.Nationality, Joined: now}
	// The guide marks what it requires with a bullet, and the photo, which an applicant can hand in
	// with the application, has none: it is checked when it is there.
	if f.PhotoTooBig {
		p["photo"] = "사진은 200KB 이하여야 합니다."
	} else if f.Photo != nil {
		if problem := photoProblem(f.Photo); problem != "" {
			p["photo"] = problem
		}
	}
	var problem string
	if m.ID, problem = normalID(f.ID); problem != "" {
		p["user-id"] = problem
	}
	var ok bool
	if m.BirthDate, ok = parseBirthDate(f.BirthDate, now); !ok {
		p["birthdate"] = "생년월일을 19950112처럼 여덟 자리 숫자로 입력해 주세요."
	}
	if f.Nationality != "domestic" && f.Nationality != "foreign" {
		p["nationality"] = "내국인과 외국인 중에서 선택해 주세요."
	}
	if !slices.Contains([]string{"male", "female", "none"}, f.Gender) {
		p["gender"] = "성별을 선택해 주세요."
	} else if f.Gender == "none" {
		m.Gender = ""
	}
	if !personName(f.Name) {
		p["name"] = "이름을 50자 이하의 글자로 입력해 주세요."
	}
	if f.NameEnglish != "" && !englishName(f.NameEnglish) {
		p["name-en"] = "영문 이름은 여권과 같이 영문자로 입력해 주세요."
	}
	p.password(f.Password, f.Confirm)
	return m, p
}

// englishName tells whether s can be a name as in a passport's visual zone.
func englishName(s string) bool {
	for _, c := range s {
		if c > unicode.MaxASCII {
			return false
		}
	}
	return personName(s)
}

// photoProblem decodes the picture and returns what is wrong with it, or "".
func photoProblem(content []byte) string {
	if len(content) > maxPhoto {
		return "사진은 200KB 이하여야 합니다."
	}
	config, err := jpeg.DecodeConfig(bytes.NewReader(content))
	if err != nil {
		return "JPG 파일만 등록할 수 있습니다."
	}
	if config.Width < minPhotoWidth || config.Height < minPhotoHeight {
		return "사진의 크기는 가로 300픽셀, 세로 400픽셀 이상이어야 합니다."
	}
	if config.Width*config.Height > maxPhotoPixels { // before decoding takes the memory
		return "사진의 가로세로 크기가 너무 큽니다."
	}
	if _, err := jpeg.Decode(bytes.NewReader(content)); err != nil {
		return "사진 파일이 손상되었습니다. 다른 파일을 선택해 주세요."
	}
	return ""
}

// readSignup reads the multipart form part by part, so that no part takes more memory than its field
// may have, however large a photo the citizen picked.
func readSignup(r *http.Request) (signupForm, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return signupForm{}, err
	}
	var f signupForm
	values := url.Values{}
	for range 32 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			clean := func(name string) string { return strings.TrimSpace(values.Get(name)) }
			f.ID, f.BirthDate, f.Gender, f.Nationality = clean("user-id"), clean("birthdate"), clean("gender"), clean("nationality")
			f.Name, f.NameEnglish = clean("name"), clean("name-en")
			f.Password, f.Confirm = values.Get("password"), values.Get("password-confirm")
			return f, nil
		}
		if err != nil {
			return signupForm{}, err
		}
		limit := int64(1 << 10)
		if part.FormName() == "photo" {
			limit = maxPhoto
		}
		content, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return signupForm{}, err
		}
		tooBig := int64(len(content)) > limit
		switch {
		case part.FormName() == "photo" && tooBig:
			f.PhotoTooBig = true
		case part.FormName() == "photo" && len(content) > 0:
			f.Photo = content
		case tooBig:
			return signupForm{}, errors.New("qnet: a field of the form is too long")
		default:
			values.Add(part.FormName(), string(content))
		}
	}
	return signupForm{}, errors.New("qnet: the form has too many parts")
}

// fix puts what the broker verified over what was sent, and marks it as such.
func (v *signupView) fix(id *rp.Identity, now time.Time) {
	if name := id.Text("name"); personName(name) {
		v.Form.Name, v.NameVerified = name, true
	}
	if day, ok := parseBirthDate(id.Text("birthdate"), now); ok {
		v.Form.BirthDate, v.BirthDateVerified = day, true
	}
	if gender := id.Text("gender"); gender == "male" || gender == "female" {
		v.Form.Gender, v.GenderVerified = gender, true
	}
	if n := id.Text("nationality"); n == "domestic" || n == "foreign" {
		v.Form.Nationality, v.NationalityVerified = n, true
	}
}

// proved returns the proof that the sign-up stands on, or shows the page that says how to begin.
func (s *Site) proved(w http.ResponseWriter, r *http.Request) (*rp.Identity, bool) {
	pending, ok := s.signups.Get(r)
	if !ok {
		s.render(w, r, http.StatusOK, "signup-start", "회원가입", string(s.signups.Ended(r)))
		return nil, false
	}
	return pending.Identity, true
}

func (s *Site) signupPage(w http.ResponseWriter, r *http.Request) {
	id, ok := s.proved(w, r)
	if !ok {
		return
	}
	var view signupView
	view.fix(id, s.now())
	s.render(w, r, http.StatusOK, "signup", "회원가입", view)
}

// checkID answers the button beside the ID: the same page again, with what was typed.
func (s *Site) checkID(w http.ResponseWriter, r *http.Request) {
	id, view, ok := s.readView(w, r)
	if !ok {
		return
	}
	view.fix(id, s.now())
	view.Problems, view.Focus = problems{}, "user-id"
	normal, problem := normalID(view.Form.ID)
	if problem == "" {
		if _, taken := s.members.byID(normal); taken {
			problem = idTaken
		}
	}
	status := http.StatusOK
	if problem != "" {
		view.Problems["user-id"], status = problem, http.StatusUnprocessableEntity
	}
	view.Free = problem == ""
	s.render(w, r, status, "signup", "회원가입", view)
}

const idTaken = "이미 사용 중인 아이디입니다. 다른 아이디를 입력해 주세요."

func (s *Site) readView(w http.ResponseWriter, r *http.Request) (*rp.Identity, signupView, bool) {
	id, ok := s.proved(w, r)
	if !ok {
		return nil, signupView{}, false
	}
	form, err := readSignup(r)
	if err != nil {
		s.badForm(w, r, err)
		return nil, signupView{}, false
	}
	return id, signupView{Form: form}, true
}

// signup makes the citizen a member and signs them in.
func (s *Site) signup(w http.ResponseWriter, r *http.Request) {
	id, view, ok := s.readView(w, r)
	if !ok {
		return
	}
	view.fix(id, s.now())
	m, wrong := view.Form.check(s.now())
	if _, taken := s.members.byID(m.ID); taken {
		wrong["user-id"] = idTaken
	}
	if len(wrong) == 0 {
		m.Subject, m.CI = id.Subject, id.Text("ci")
		hash := hashPassword(view.Form.Password)
		m.Password = &hash
		err := s.members.create(m, view.Form.Photo)
		switch {
		case err == nil:
			if _, ok := s.signups.Close(w, r); !ok { // logged out at the broker meanwhile
				http.Redirect(w, r, "/login?notice="+string(rp.Elsewhere), http.StatusSeeOther)
				return
			}
			s.sessions.Open(w, r, rp.Session{User: m.ID, Identity: id})
			http.Redirect(w, r, "/my?news=joined", http.StatusSeeOther)
			return
		case errors.Is(err, errIsMember): // signed up in another tab
			s.signups.Close(w, r)
			s.problem(w, r, http.StatusConflict, "이미 가입한 회원입니다", "로그인 화면에서 정부 통합로그인(Any-ID)으로 로그인해 주세요.")
			return
		case errors.Is(err, errIDTaken):
			wrong["user-id"] = idTaken
		default:
			s.internal(w, r, "create the member", err)
			return
		}
	}
	view.Problems, view.Focus = wrong, wrong.First()
	s.render(w, r, http.StatusUnprocessableEntity, "signup", "회원가입", view)
}
