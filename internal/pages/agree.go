package pages

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// registration shows S3.
func (s *Server) registration(w http.ResponseWriter, r *http.Request) {
	s.showRegistration(w, r, http.StatusOK, choices{}, "")
}

// choices are the answers on the registration page.
type choices struct{ terms, privacy, uniqueID Choice }

func (s *Server) showRegistration(w http.ResponseWriter, r *http.Request, status int, chosen choices, wrong NumberError) {
	a, registered, ok := s.load(w, r)
	if !ok {
		return
	}
	if a.State == login.Renewing {
		s.showRenewal(w, r, a, registered, status, chosen)
		return
	}
	if a.State != login.Registering {
		s.elsewhere(w, r, a)
		return
	}
	evidence, adds, err := s.Login.Pending(r.Context(), a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	base := "/register/" + a.ID
	s.Views.Register(w, r, status, RegisterView{
		Page: page(a, base), Site: siteOf(a, registered), Method: evidence.Method, Further: adds,
		Name: evidence.Attributes.Name, BirthDate: evidence.Attributes.BirthDate, Number: evidence.Number, NumberError: wrong,
		Terms: chosen.terms, Privacy: chosen.privacy, UniqueID: chosen.uniqueID, Incomplete: status != http.StatusOK && wrong == "",
		RegisterURL: base, AgainURL: base + "/again", DeclineURL: base + "/decline",
	})
}

// changed are the documents that have new versions for the person of a renewing attempt.
func (s *Server) changed(r *http.Request, a *login.Attempt) ([]string, error) {
	renewed, err := s.Login.Renewals(r.Context(), a)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, id := range []string{DocTerms, DocPrivacy, DocUniqueID} {
		if slices.Contains(renewed, documentKinds[id]) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// showRenewal asks a registered person for what has changed, and for nothing else.
func (s *Server) showRenewal(w http.ResponseWriter, r *http.Request, a *login.Attempt, registered *site.Registered, status int, chosen choices) {
	ids, err := s.changed(r, a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	if len(ids) == 0 { // they have agreed meanwhile, elsewhere
		after, err := s.Login.Renew(r.Context(), a.ID, s.browser(r), nil, s.visit(w, r, a))
		s.next(w, r, cmp.Or(after, a), err)
		return
	}
	base := "/register/" + a.ID
	view := RegisterView{
		Page: page(a, base), Site: siteOf(a, registered), Changed: ids, Incomplete: status != http.StatusOK,
		Terms: chosen.terms, Privacy: chosen.privacy, UniqueID: chosen.uniqueID, RegisterURL: base, DeclineURL: base + "/decline",
	}
	if a.Authentication != nil {
		view.Method = a.Authentication.Method
	}
	s.Views.Register(w, r, status, view)
}

// renew makes the agreement to what has changed the person's.
func (s *Server) renew(w http.ResponseWriter, r *http.Request, a *login.Attempt, chosen choices) {
	ids, err := s.changed(r, a)
	if err != nil {
		s.next(w, r, a, err)
		return
	}
	answers := map[string]Choice{DocTerms: chosen.terms, DocPrivacy: chosen.privacy, DocUniqueID: chosen.uniqueID}
	for _, id := range ids {
		if answers[id] != Agree {
			s.showRegistration(w, r, http.StatusUnprocessableEntity, chosen, "")
			return
		}
	}
	visit := s.agreeing(w, r, a)
	after, err := s.Login.Renew(r.Context(), a.ID, s.browser(r), s.Documents.Texts(visit.Locale, ids...), visit)
	if after == nil {
		after = a
	}
	s.next(w, r, after, err)
}

// agreeing is the visit of somebody who agrees to texts, in the locale in which they were shown.
func (s *Server) agreeing(w http.ResponseWriter, r *http.Request, a *login.Attempt) login.Visit {
	visit := s.visit(w, r, a)
	if shown := r.PostForm.Get("locale"); shown == web.Korean || shown == web.English {
		visit.Locale = shown
	}
	return visit
}

// elsewhere leads a GET to the page of the attempt's state.
func (s *Server) elsewhere(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	if a.State == login.Done {
		s.over(w, r, a)
		return
	}
	http.Redirect(w, r, path(a), http.StatusSeeOther)
}

// register is 등록 완료.
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	chosen := choices{Choice(form.Get("terms")), Choice(form.Get("privacy")), Choice(form.Get("unique_id"))}
	asked := form.Has("rrn_front")
	number, wrong := s.residentNumber(r)
	defer clear(number.Digits)
	a, _, ok := s.load(w, r)
	switch {
	case !ok:
		return
	case a.State == login.Renewing:
		s.renew(w, r, a, chosen)
		return
	case chosen != (choices{Agree, Agree, Agree}):
		s.showRegistration(w, r, http.StatusUnprocessableEntity, chosen, "")
		return
	case asked && wrong != "":
		s.showRegistration(w, r, http.StatusUnprocessableEntity, chosen, wrong)
		return
	}
	visit := s.agreeing(w, r, a)
	after, err := s.Login.Register(r.Context(), a.ID, s.browser(r), s.Documents.Texts(visit.Locale), number, visit)
	if after == nil {
		after = a
	}
	if errors.Is(err, login.ErrNumber) {
		if after.State == login.Registering {
			s.showRegistration(w, r, http.StatusUnprocessableEntity, chosen, NumberWrong)
			return
		}
		err = nil
	}
	if err == nil && asked {
		s.Cookies.Clear(w, vidCookie)
	}
	s.next(w, r, after, err)
}

// consent shows what would go to the site.
func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	a, registered, ok := s.load(w, r)
	if !ok {
		return
	}
	if a.State != login.Consenting {
		s.elsewhere(w, r, a)
		return
	}
	held, err := s.Login.Person(r.Context(), a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	base := "/consent/" + a.ID
	view := ConsentView{
		Page: page(a, base), Site: siteOf(a, registered), AllowURL: base, DenyURL: base + "/deny",
		Purpose:   Text{registered.HandOver.Purpose, registered.HandOver.PurposeEnglish},
		Retention: Text{registered.HandOver.Retention, registered.HandOver.RetentionEnglish},
	}
	required := a.Request.Required(a.Asked)
	asked := grant.Items(a.Asked)
	for _, c := range consentClaims {
		if !slices.Contains(asked, c.claim) {
			continue
		}
		item := ConsentItem{ID: c.claim, Label: c.label, Value: claimValue(c.claim, held, s.locale(r, a))}
		if slices.Contains(required, c.claim) {
			view.Required = append(view.Required, item)
		} else {
			view.Optional = append(view.Optional, item)
		}
	}
	s.Views.Consent(w, r, http.StatusOK, view)
}

// consentClaims name the claims to the citizen, in the order in which people introduce themselves. A test
// holds it to grant.PersonClaims.
var consentClaims = []struct {
	claim string
	label Text
}{
	{"name", Text{"이름", "Name"}},
	{"birthdate", Text{"생년월일", "Date of birth"}},
	{"gender", Text{"성별", "Gender"}},
	{"nationality", Text{"내·외국인 구분", "Korean or foreign national"}},
	{"phone_number", Text{"휴대폰번호", "Mobile phone number"}},
	{"ci", Text{"연계정보(CI)", "Linking information (CI)"}},
}

// claimValue is a claim's value as the citizen reads it. The CI is nothing to read: it is told what it is
// for.
func claimValue(claim string, held authn.Attributes, locale string) string {
	switch claim {
	case "name":
		return held.Name
	case "birthdate":
		return held.BirthDate
	case "gender":
		return valueWords[held.Gender].In(locale)
	case "nationality":
		return valueWords[held.Nationality].In(locale)
	case "phone_number":
		return national(held.Phone)
	case "ci":
		return valueWords[claim].In(locale)
	}
	return ""
}

// national is a Korean number as it is dialled: 010-1234-5678.
func national(e164 string) string {
	digits, korean := strings.CutPrefix(e164, "+82")
	if !korean || len(digits) < 9 {
		return e164
	}
	digits = "0" + digits
	return digits[:3] + "-" + digits[3:len(digits)-4] + "-" + digits[len(digits)-4:]
}

var valueWords = map[string]Text{
	"male": {"남", "Male"}, "female": {"여", "Female"},
	"ci":       {"기관 사이에서 같은 사람임을 확인하는 값", "tells agencies that you are the same person"},
	"domestic": {"내국인", "Korean national"}, "foreign": {"외국인", "Foreign national"},
}

// allow is the consent.
func (s *Server) allow(w http.ResponseWriter, r *http.Request) {
	a, _, ok := s.load(w, r)
	if !ok {
		return
	}
	after, err := s.Login.Consent(r.Context(), a.ID, s.browser(r), r.PostForm[claimParameter], s.visit(w, r, a))
	s.next(w, r, after, err)
}

// account asks whether to go on as the person signed in here (prompt=select_account).
func (s *Server) account(w http.ResponseWriter, r *http.Request) {
	a, registered, ok := s.load(w, r)
	if !ok {
		return
	}
	if a.State != login.Selecting {
		s.elsewhere(w, r, a)
		return
	}
	held, err := s.Login.Person(r.Context(), a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	base := "/account/" + a.ID
	s.Views.Account(w, r, http.StatusOK, AccountView{
		Page: page(a, base), Site: siteOf(a, registered), Name: masked(held.Name), Method: a.Authentication.Method,
		ContinueURL: base, OtherURL: base + "/other", CancelURL: "/login/" + a.ID + "/cancel",
	})
}

// masked keeps the first and the last character of a name: 홍*동.
func masked(name string) string {
	runes := []rune(name)
	switch len(runes) {
	case 0, 1:
		return "*"
	case 2:
		return string(runes[0]) + "*"
	}
	for i := 1; i < len(runes)-1; i++ {
		runes[i] = '*'
	}
	return string(runes)
}

// continueAs goes on as the person signed in here.
func (s *Server) continueAs(w http.ResponseWriter, r *http.Request) {
	a, _, ok := s.load(w, r)
	if !ok {
		return
	}
	after, err := s.Login.Select(r.Context(), a.ID, s.browser(r), s.visit(w, r, a))
	s.next(w, r, after, err)
}

// document shows one of the documents.
func (s *Server) document(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("document")
	if s.Documents.Get(id, web.Korean).ID == "" {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
		return
	}
	s.Views.Document(w, r, http.StatusOK, DocumentView{ID: id})
}
