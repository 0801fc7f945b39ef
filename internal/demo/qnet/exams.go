package qnet

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/anyid/anyid/internal/demo/frame"
)

// exam is one that citizens can apply for.
type exam struct{ ID, Name, Round, Day string }

var examList = []exam{
	{"information", "정보처리기사", "2027년 정기 1회 필기", "2027-02-20"},
	{"electricity", "전기기사", "2027년 정기 1회 필기", "2027-02-27"},
	{"cooking", "한식조리기능사", "2027년 상시 3회 필기", "2027-03-06"},
}

var (
	errApplied       = errors.New("qnet: there is an application for this exam")
	errNoApplication = errors.New("qnet: there is no such application, or it was cancelled")
)

// active is the member's application for an exam that was not cancelled.
func (m member) active(exam string) (application, bool) {
	i := slices.IndexFunc(m.Applications, func(a application) bool { return a.Exam == exam && a.Canceled.IsZero() })
	if i < 0 {
		return application{}, false
	}
	return m.Applications[i], true
}

// examRow is one exam on the page.
type examRow struct {
	exam
	Applied bool
}

func (s *Site) exams(w http.ResponseWriter, r *http.Request) {
	var m member
	if session, ok := s.sessions.Get(r); ok {
		m, _ = s.members.byID(session.User)
	}
	var rows []examRow
	for _, e := range examList {
		_, applied := m.active(e.ID)
		rows = append(rows, examRow{exam: e, Applied: applied})
	}
	s.render(w, r, http.StatusOK, "exams", "원서접수", rows)
}

func (s *Site) apply(w http.ResponseWriter, r *http.Request) {
	_, m, ok := s.personal(w, r)
	if !ok {
		return
	}
	id := r.PathValue("exam")
	if !slices.ContainsFunc(examList, func(e exam) bool { return e.ID == id }) {
		s.problem(w, r, http.StatusNotFound, "시험을 찾을 수 없습니다", "원서접수 화면에서 시험을 다시 골라 주세요.")
		return
	}
	err := s.members.change(m.ID, func(m *member) error {
		if _, applied := m.active(id); applied {
			return errApplied
		}
		m.Applications = append(slices.Clone(m.Applications), application{Number: len(m.Applications) + 1, Exam: id, Applied: s.now()})
		return nil
	})
	switch {
	case errors.Is(err, errApplied): // pressed twice
	case err != nil:
		s.internal(w, r, "store the application", err)
		return
	}
	http.Redirect(w, r, "/my?news=applied", http.StatusSeeOther)
}

const (
	cancelTitle = "원서접수 취소"
	cancelWhy   = "원서접수를 취소하기 전에 본인 확인을 한 번 더 합니다."
)

// ownApplication is the member's application that the address names. Numbers are the member's own, so that
// nobody can name another's.
func (s *Site) ownApplication(w http.ResponseWriter, r *http.Request, m member) (application, bool) {
	number, err := strconv.Atoi(r.PathValue("number"))
	i := slices.IndexFunc(m.Applications, func(a application) bool { return a.Number == number && a.Canceled.IsZero() })
	if err != nil || i < 0 {
		s.problem(w, r, http.StatusNotFound, "접수한 원서를 찾을 수 없습니다", "이미 취소했거나 없는 원서입니다. 마이페이지에서 접수 내역을 확인해 주세요.")
		return application{}, false
	}
	return m.Applications[i], true
}

// cancelView is the data of the page that cancels an application.
type cancelView struct {
	Title   string
	Applied string
	Path    string
}

func (s *Site) cancelPage(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.personal(w, r)
	if !ok {
		return
	}
	a, ok := s.ownApplication(w, r, m)
	if !ok || !s.askProof(w, r, session, cancelling(a.Number), cancelTitle, cancelWhy) {
		return
	}
	s.render(w, r, http.StatusOK, "cancel", cancelTitle, cancelView{
		Title: a.Title(), Applied: a.Applied.In(frame.Seoul).Format("2006-01-02 15:04"), Path: cancelling(a.Number).page,
	})
}

func (s *Site) cancel(w http.ResponseWriter, r *http.Request) {
	session, m, ok := s.personal(w, r)
	if !ok {
		return
	}
	a, ok := s.ownApplication(w, r, m)
	if !ok || !s.askProof(w, r, session, cancelling(a.Number), cancelTitle, cancelWhy) {
		return
	}
	if !s.sessions.Spend(r, cancelling(a.Number).name, s.freshSince()) {
		http.Redirect(w, r, cancelling(a.Number).page, http.StatusSeeOther)
		return
	}
	err := s.members.change(m.ID, func(m *member) error {
		m.Applications = slices.Clone(m.Applications)
		i := slices.IndexFunc(m.Applications, func(o application) bool { return o.Number == a.Number && o.Canceled.IsZero() })
		if i < 0 {
			return errNoApplication
		}
		m.Applications[i].Canceled = s.now()
		return nil
	})
	if err != nil && !errors.Is(err, errNoApplication) {
		s.internal(w, r, "cancel the application", err)
		return
	}
	http.Redirect(w, r, "/my?news=canceled", http.StatusSeeOther)
}
