package qnet

import (
	"net/http"
	"net/mail"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/demo/frame"
)

// profileView is the data of the page for editing personal data. What was verified is shown only.
type profileView struct {
	Member                    member
	Gender, Nationality       string
	NameEnglish, Phone, Email string
	Problems                  problems
	Focus                     string
}

const (
	profileTitle = "개인정보 수정"
	profileWhy   = "개인정보를 고치기 전에 본인 확인을 한 번 더 합니다."
)

func (s *Site) profilePage(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.personal(w, r)
	if !ok || !s.askProof(w, r, session, profilePurpose, profileTitle, profileWhy) {
		return
	}
	s.render(w, r, http.StatusOK, "profile", profileTitle, profileView{
		Member: m, Gender: words[m.Gender], Nationality: words[m.Nationality], NameEnglish: m.NameEnglish, Phone: m.Phone, Email: m.Email,
	})
}

func (s *Site) setProfile(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.personal(w, r)
	if !ok || !s.form(w, r) || !s.askProof(w, r, session, profilePurpose, profileTitle, profileWhy) {
		return
	}
	sent := func(name string) string { return strings.TrimSpace(r.PostForm.Get(name)) }
	view := profileView{
		Member: m, Gender: words[m.Gender], Nationality: words[m.Nationality],
		NameEnglish: sent("name-en"), Phone: sent("phone"), Email: sent("email"), Problems: problems{},
	}
	if view.NameEnglish != "" && !englishName(view.NameEnglish) {
		view.Problems["name-en"] = "영문 이름은 여권과 같이 영문자로 입력해 주세요."
	}
	phone, ok := phoneNumber(view.Phone)
	if !ok {
		view.Problems["phone"] = "전화번호를 010-0000-0000처럼 숫자로 입력해 주세요."
	}
	if view.Email != "" && !emailAddress(view.Email) {
		view.Problems["email"] = "전자우편 주소를 name@example.kr처럼 입력해 주세요."
	}
	if len(view.Problems) > 0 {
		view.Focus = view.Problems.First()
		s.render(w, r, http.StatusUnprocessableEntity, "profile", profileTitle, view)
		return
	}
	// A proof is good for one change: whoever finds the page open later has to prove themselves.
	if !s.sessions.Spend(r, profilePurpose.name, s.freshSince()) {
		http.Redirect(w, r, profilePurpose.page, http.StatusSeeOther)
		return
	}
	err := s.members.change(m.ID, func(m *member) error {
		m.NameEnglish, m.Phone, m.Email = view.NameEnglish, phone, view.Email
		return nil
	})
	if err != nil {
		s.internal(w, r, "change the personal data", err)
		return
	}
	http.Redirect(w, r, "/my?news=profile", http.StatusSeeOther)
}

// phoneNumber reads a Korean telephone number, with spaces and hyphens as people write them, or with the
// country code, and returns its digits; "" stays "".
func phoneNumber(s string) (digits string, ok bool) {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if s == "" {
		return "", true
	}
	if rest, abroad := strings.CutPrefix(s, "+82"); abroad {
		s = "0" + strings.TrimPrefix(rest, "0")
	}
	if len(s) < 9 || len(s) > 12 || s[0] != '0' || strings.Trim(s, "0123456789") != "" {
		return "", false
	}
	return s, true
}

// emailAddress tells whether s is one address and nothing else.
func emailAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" && len(s) <= 254
}

// certificateRow is one kind of certificate on the page.
type certificateRow struct {
	Kind, Name, Purpose string
	Registered          string // when; empty: is not
}

// certificatesView is the data of the page 인증서 등록.
type certificatesView struct {
	Rows      []certificateRow
	News, Bad string
}

// certificates shows which certificates are registered. Whoever joined by one registers it here, by using it
// once more: the broker checks the certificate, and Q-Net notes that it did.
func (s *Site) certificates(w http.ResponseWriter, r *http.Request) {
	_, m, ok := s.personal(w, r)
	if !ok {
		return
	}
	var view certificatesView
	for _, kind := range []string{jointCert, financialCert} {
		row := certificateRow{Kind: kind, Name: methodNames[kind], Purpose: registering(kind).name}
		for _, c := range m.Certificates {
			if c.Kind == kind {
				row.Registered = c.Registered.In(frame.Seoul).Format("2006-01-02 15:04")
			}
		}
		view.Rows = append(view.Rows, row)
	}
	switch r.FormValue("news") {
	case "registered":
		view.News = "인증서를 등록했습니다."
	case "declined":
		view.Bad = declined
	}
	s.render(w, r, http.StatusOK, "certificates", "인증서 등록", view)
}

// registerCertificate notes that the member has just used a certificate of the kind.
func (s *Site) registerCertificate(id, kind string) error {
	return s.members.change(id, func(m *member) error {
		m.Certificates = slices.DeleteFunc(slices.Clone(m.Certificates), func(c certificate) bool { return c.Kind == kind })
		m.Certificates = append(m.Certificates, certificate{Kind: kind, Registered: s.now()})
		return nil
	})
}
