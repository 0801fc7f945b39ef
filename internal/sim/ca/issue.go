package ca

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// issueForm is the page on which a ticket becomes a certificate.
type issueForm struct {
	Reference, Authorization string
	Errors                   map[string]string
}

// serveIssue issues a certificate to who has a ticket.
func (s *Simulator) serveIssue(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f := issueForm{Reference: onlyDigits(r.FormValue("reference")), Authorization: onlyDigits(r.FormValue("authorization")), Errors: map[string]string{}}
	if r.Method != http.MethodPost {
		s.show(w, http.StatusOK, "issue.html", f)
		return
	}
	password := []byte(r.PostFormValue("password"))
	defer clear(password)
	checkPassword(f.Errors, string(password), r.PostFormValue("password-again"))
	if len(f.Reference) != 10 {
		f.Errors["reference"] = "참조번호 10자리를 입력해 주십시오."
	}
	if len(f.Authorization) != 20 {
		f.Errors["authorization"] = "인가코드 20자리를 입력해 주십시오."
	}
	if len(f.Errors) > 0 {
		s.show(w, http.StatusUnprocessableEntity, "issue.html", f)
		return
	}
	handle, err := s.issue(f, password)
	var refusal *ticketError
	switch {
	case errors.As(err, &refusal):
		f.Errors[refusal.field] = refusal.words
		s.show(w, http.StatusUnprocessableEntity, "issue.html", f)
	case err != nil:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	default:
		http.Redirect(w, r, "/issued/"+handle, http.StatusSeeOther)
	}
}

// ticketError says in words why a ticket does not serve.
type ticketError struct{ field, words string }

func (e *ticketError) Error() string { return "sim/ca: " + e.field }

// issue lets the authority issue what the ticket is for.
func (s *Simulator) issue(f issueForm, password []byte) (handle string, err error) {
	s.mu.Lock()
	known := s.tickets[f.Reference]
	s.mu.Unlock()
	if known == nil {
		return "", &ticketError{"reference", "그런 참조번호가 없습니다. 신청할 때 받은 번호를 확인해 주십시오."}
	}
	holder, err := enroll(s.pki, known.Authority, func(e npkitest.Enrolment) (*npki.Certificate, error) {
		return known.Authority.Issue(npkitest.Ticket{Reference: f.Reference, Authorization: f.Authorization}, e)
	})
	if errors.Is(err, npkitest.ErrTicket) {
		return "", s.refusal(known)
	}
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	known.used = true
	s.mu.Unlock()
	holders := []*npkitest.Holder{holder}
	if known.pair {
		second, err := Encipherment(s.pki, holder)
		if err != nil {
			return "", err
		}
		holders = append(holders, second)
	}
	return s.pack(password, holders)
}

// refusal says why the authority did not take a ticket.
func (s *Simulator) refusal(t *ticket) *ticketError {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.used:
		return &ticketError{"reference", "이미 인증서를 발급받은 참조번호입니다. 새로 신청해 주십시오."}
	case !s.now().Before(t.Until):
		return &ticketError{"reference", "유효기간 14일이 지난 참조번호입니다. 새로 신청해 주십시오."}
	}
	if t.wrong++; t.wrong >= ticketTries {
		return &ticketError{"authorization", "인가코드를 5번 잘못 입력하여 참조번호를 쓸 수 없게 되었습니다. 새로 신청해 주십시오."}
	}
	return &ticketError{"authorization", "인가코드가 맞지 않습니다. " + strconv.Itoa(ticketTries-t.wrong) + "번 더 입력할 수 있습니다."}
}

// checkPassword holds a new password against the rule for certificates.
func checkPassword(faults map[string]string, password, again string) {
	var letter, digit, other bool
	for _, r := range password {
		switch {
		case r < '!' || r > '~':
			faults["password"] = "비밀번호에는 영문, 숫자, 특수문자만 쓸 수 있습니다."
			return
		case unicode.IsLetter(r):
			letter = true
		case unicode.IsDigit(r):
			digit = true
		default:
			other = true
		}
	}
	switch n := utf8.RuneCountInString(password); {
	case n < 10 || n > 56 || !letter || !digit || !other:
		faults["password"] = "비밀번호는 영문, 숫자, 특수문자를 모두 넣어 10자 이상 56자 이하로 정해 주십시오."
	case password != again:
		faults["password-again"] = "비밀번호가 서로 다릅니다."
	}
}

// pack makes the files of an issued certificate and keeps them for their holder.
func (s *Simulator) pack(password []byte, holders []*npkitest.Holder) (handle string, err error) {
	files, err := Files(password, npki.Encryption{}, holders...)
	if err != nil {
		return "", err
	}
	p := &parcel{Handle: rand.Text()}
	if p.Folder, err = Folder(holders[0]); err != nil {
		return "", err
	}
	if p.archive, err = archive(files, s.now()); err != nil {
		return "", err
	}
	if p.pfx, err = PFX(password, holders...); err != nil {
		return "", err
	}
	if p.Certificate, err = s.find(ID(holders[0].Certificate)); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) >= maxParcel {
		delete(s.parcels, s.order[0])
		s.order = s.order[1:]
	}
	s.parcels[p.Handle], s.order = p, append(s.order, p.Handle)
	return p.Handle, nil
}

func (s *Simulator) parcel(r *http.Request) *parcel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parcels[r.PathValue("handle")]
}

// serveParcel says what was issued, and where to fetch it.
func (s *Simulator) serveParcel(w http.ResponseWriter, r *http.Request) {
	p := s.parcel(r)
	if p == nil {
		s.gone(w, "받을 인증서가 없습니다. 오래된 것은 지워집니다.")
		return
	}
	s.show(w, http.StatusOK, "issued.html", p)
}

// serveFile gives the files away.
func (s *Simulator) serveFile(w http.ResponseWriter, r *http.Request) {
	p := s.parcel(r)
	if p == nil {
		http.NotFound(w, r)
		return
	}
	switch file := r.PathValue("file"); file {
	case "NPKI.zip":
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="NPKI.zip"`)
		_, _ = w.Write(p.archive)
	case "certificate.p12":
		w.Header().Set("Content-Type", "application/x-pkcs12")
		w.Header().Set("Content-Disposition", `attachment; filename="certificate.p12"`)
		_, _ = w.Write(p.pfx)
	default:
		http.NotFound(w, r)
	}
}
