package ca

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// kinds are the policies that a desk issues: keys in files, for people and companies.
func kinds(organization string) (person, company []npki.Policy) {
	for _, p := range npki.Policies() {
		if p.CA.Organization != organization || p.Module || !slices.Contains([]npki.Kind{npki.General, npki.Bank, npki.Securities, npki.Card, npki.Special}, p.Kind) {
			continue
		}
		switch p.Holder {
		case npki.Person:
			person = append(person, p)
		case npki.Corporation, npki.Business:
			company = append(company, p)
		}
	}
	return person, company
}

// applyForm is the page of an application.
type applyForm struct {
	Organization  string
	Persons       []npki.Policy
	Companies     []npki.Policy
	People        []Person
	Kind, Who     string // chosen: the policy, and the number of somebody of the demonstration
	Name, English string
	Number        string
	Large, Pair   bool
	Errors        map[string]string
}

// serveApply is the application for a certificate.
func (s *Simulator) serveApply(w http.ResponseWriter, r *http.Request) {
	f := applyForm{Organization: r.PathValue("organization"), People: s.demo[:min(len(s.demo), maxListed)], Errors: map[string]string{}}
	if !slices.Contains(organizations, f.Organization) {
		http.NotFound(w, r)
		return
	}
	f.Persons, f.Companies = kinds(f.Organization)
	if r.Method != http.MethodPost {
		f.Kind = f.Persons[0].OID
		s.show(w, http.StatusOK, "apply.html", f)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	f.Kind, f.Who, f.Large, f.Pair = r.FormValue("kind"), r.FormValue("person"), r.FormValue("key") == "3072", r.FormValue("pair") != ""
	f.Name, f.English, f.Number = r.FormValue("name"), r.FormValue("english"), r.FormValue("number")
	t, err := s.apply(&f)
	switch {
	case err != nil:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
	case t == nil:
		s.show(w, http.StatusUnprocessableEntity, "apply.html", f)
	default:
		http.Redirect(w, r, "/tickets/"+t.Reference, http.StatusSeeOther)
	}
}

// apply checks an application and hands out a ticket; nil where the form's Errors say what is wrong.
func (s *Simulator) apply(f *applyForm) (*ticket, error) {
	var policy npki.Policy
	for _, p := range slices.Concat(f.Persons, f.Companies) {
		if p.OID == f.Kind {
			policy = p
		}
	}
	if policy.OID == "" {
		f.Errors["kind"] = "인증서 종류를 골라 주십시오."
	}
	applicant := npkitest.Applicant{
		Name: norm.NFC.String(strings.TrimSpace(f.Name)), English: strings.ToUpper(strings.TrimSpace(f.English)),
		Number: onlyDigits(f.Number), Policy: f.Kind, Units: []string{"ANYIDTEST"},
	}
	company := policy.OID != "" && policy.Holder != npki.Person
	switch chosen := slices.IndexFunc(s.demo, func(p Person) bool { return p.Number == f.Who }); {
	case f.Who != "" && chosen < 0:
		f.Errors["person"] = "신청인을 골라 주십시오."
	case chosen >= 0 && company:
		f.Errors["person"] = "법인 인증서는 ‘직접 입력’을 골라 회사 이름과 사업자등록번호로 신청합니다."
	case chosen >= 0:
		applicant.Name, applicant.English, applicant.Number = s.demo[chosen].Name, s.demo[chosen].English, s.demo[chosen].Number
	default:
		s.checkTyped(f, applicant, company)
	}
	if len(f.Errors) > 0 {
		return nil, nil
	}
	generation := npkitest.RSA2048
	if f.Large {
		generation = npkitest.RSA3072
	}
	a, err := s.pki.CA(f.Organization, generation)
	if err != nil {
		return nil, err
	}
	handed, err := a.Apply(applicant)
	if err != nil {
		return nil, err
	}
	t := &ticket{Ticket: handed, Authority: a, Applicant: applicant, Kind: policy.Label(), Until: s.now().Add(ticketLife), pair: f.Pair}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tickets) >= maxKept {
		clear(s.tickets)
	}
	s.tickets[t.Reference] = t
	return t, nil
}

// namePattern is what the desk takes for the name of a person or a company.
var namePattern = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} .·&()㈜-]{0,39}$`)

// checkTyped checks who was typed in, and makes a new person known.
func (s *Simulator) checkTyped(f *applyForm, a npkitest.Applicant, company bool) {
	if !namePattern.MatchString(a.Name) {
		f.Errors["name"] = "이름을 글자와 숫자로 40자까지 입력해 주십시오."
	}
	if a.English != "" && !regexp.MustCompile(`^[A-Z][A-Z .'-]{0,39}$`).MatchString(a.English) {
		f.Errors["english"] = "영문 이름을 로마자로 40자까지 입력해 주십시오."
	}
	if company {
		if npki.CheckBusiness([]byte(a.Number)) != nil {
			f.Errors["number"] = "사업자등록번호 10자리를 확인해 주십시오. 예: 123-45-67891"
		}
		return
	}
	switch _, err := npki.CheckResident([]byte(a.Number), s.now()); {
	case err != nil:
		f.Errors["number"] = "주민등록번호(외국인등록번호) 13자리를 확인해 주십시오. 실제 번호는 입력하지 마십시오."
	case len(f.Errors) == 0 && !s.meet(a.Number, a.Name, a.English):
		f.Errors["number"] = "이 번호는 다른 사람의 번호입니다. 이름과 번호를 확인해 주십시오."
	}
}

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// serveTicket shows a ticket, until it is used.
func (s *Simulator) serveTicket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	known := s.tickets[r.PathValue("reference")]
	var t ticket
	if known != nil {
		t = *known
	}
	s.mu.Unlock()
	if known == nil || t.used {
		s.gone(w, "이 참조번호는 이미 쓰였거나 없는 번호입니다.")
		return
	}
	s.show(w, http.StatusOK, "ticket.html", t)
}

// gone says that there is no such thing.
func (s *Simulator) gone(w http.ResponseWriter, why string) {
	s.show(w, http.StatusNotFound, "gone.html", why)
}
