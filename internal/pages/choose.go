package pages

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
)

// choosable are the states in which a method may be chosen.
func choosable(a *login.Attempt) bool {
	return a.State == login.Choosing || a.State == login.Failed || a.State == login.Conflicted || signing(a)
}

const year = 365 * 24 * 60 * 60 // seconds

// choose shows S1.
func (s *Server) choose(w http.ResponseWriter, r *http.Request) {
	a, registered, ok := s.load(w, r)
	if !ok {
		return
	}
	switch {
	case a.State == login.Done:
		s.over(w, r, a)
		return
	case !choosable(a):
		http.Redirect(w, r, path(a), http.StatusSeeOther)
		return
	}
	base := "/login/" + a.ID
	view := LoginView{
		Page: page(a, base), Site: siteOf(a, registered), Methods: s.Login.Offers(a, s.sso(r)), MethodURL: base, CancelURL: base + "/cancel",
	}
	switch a.Goal {
	case login.ForSelf:
		s.showVerify(w, r, a)
		return
	case login.ForRegister:
		view.Registers, view.Further = true, a.Expect != ""
		s.Views.Login(w, r, http.StatusOK, view)
		return
	}
	view.SSO, view.ToggleURL, view.SiteLoginURL, view.RegisterURL = s.sso(r), base+"/sso", registered.LoginURL, registerPath
	if len(s.Login.Verifying()) > 0 {
		view.ManageURL = managePath
	}
	if handle := s.Cookies.Get(r, session.Cookie); handle != "" && view.SSO && !registered.NoSSO {
		view.Again = true
		known, err := s.Login.Sessions.Find(r.Context(), handle)
		switch {
		case err == nil:
			view.StepUp = s.stepUp(a, registered, known, view.Methods)
		case !fault.Is(err, fault.NotFound):
			s.fail(w, r, a, err)
			return
		default:
			view.Again = false
		}
	}
	s.Views.Login(w, r, http.StatusOK, view)
}

// stepUp is what the site asks for beyond the session; nil: only that somebody proves who they are.
func (s *Server) stepUp(a *login.Attempt, registered *site.Registered, known *session.Session, offered []method.Method) *StepUp {
	up := &StepUp{Have: known.Method, HaveLevel: int(known.Level)}
	if !registered.Accepts(known.Method) || known.Level < registered.Level || !a.Request.Prefers(known.Method, known.Level) {
		if _, wanted, _ := a.Request.Levels(); known.Level < max(wanted, registered.Level) {
			up.Level = int(max(wanted, registered.Level))
		} else {
			up.Methods = offered
		}
	}
	if age := a.Request.MaxAge; age != nil && s.Login.Now().Unix()-known.At.Unix() > *age || slices.Contains(a.Request.Prompts, "login") {
		up.Recent = true
	}
	if up.Level == 0 && up.Methods == nil && !up.Recent {
		return nil
	}
	return up
}

// toggle remembers the choice 정부 통합로그인 [사용] on this browser.
func (s *Server) toggle(w http.ResponseWriter, r *http.Request) {
	a, _, ok := s.load(w, r)
	if !ok {
		return
	}
	switch r.PostForm.Get("sso") {
	case "on":
		s.Cookies.Clear(w, session.ToggleCookie)
	case session.ToggleOff:
		s.Cookies.Set(w, session.ToggleCookie, session.ToggleOff, year)
	default:
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
		return
	}
	http.Redirect(w, r, "/login/"+a.ID, http.StatusSeeOther)
}

// decline goes back to the site with access_denied, and keeps nothing.
func (s *Server) decline(w http.ResponseWriter, r *http.Request) {
	a, err := s.Login.Decline(r.Context(), r.PathValue("id"), s.browser(r), "access_denied")
	if s.Cookies.Get(r, vidCookie) != "" {
		s.Cookies.Clear(w, vidCookie)
	}
	s.next(w, r, a, err)
}

// withdraw gives up a proof, a request that is under way, or the person signed in here, and leads back to the
// choice of a method.
func (s *Server) withdraw(w http.ResponseWriter, r *http.Request) {
	a, err := s.Login.Choose(r.Context(), r.PathValue("id"), s.browser(r))
	s.next(w, r, a, err)
}

// providers are the counterparts of a method that is offered.
func (s *Server) providers(r *http.Request, a *login.Attempt, m method.Method) []authn.Provider {
	if !slices.Contains(s.Login.Offers(a, s.sso(r)), m) {
		return nil
	}
	return s.Login.Methods[m].Providers()
}

// simpleForm asks for what reaches the citizen's phone.
func (s *Server) simpleForm(w http.ResponseWriter, r *http.Request) {
	s.showSimple(w, r, http.StatusOK, SimpleFields{}, SimpleErrors{})
}

func (s *Server) showSimple(w http.ResponseWriter, r *http.Request, status int, values SimpleFields, errs SimpleErrors) {
	a, registered, ok := s.load(w, r)
	if !ok {
		return
	}
	switch {
	case a.State == login.Done:
		s.over(w, r, a)
		return
	case !choosable(a):
		http.Redirect(w, r, path(a), http.StatusSeeOther)
		return
	}
	providers := s.providers(r, a, method.Simple)
	if len(providers) == 0 {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
		return
	}
	base := "/login/" + a.ID
	s.Views.Simple(w, r, status, SimpleView{
		Page: page(a, base+"/simple"), Site: siteOf(a, registered), Providers: providers,
		Values: values, Errors: errs, RequestURL: base + "/simple", ChooseURL: base, CancelURL: base + "/cancel",
	})
}

// simple sends the request to the citizen's phone.
func (s *Server) simple(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	values := SimpleFields{Provider: form.Get("provider"), Name: form.Get("name"), BirthDate: form.Get("birthdate"), Phone: form.Get("phone")}
	a, err := s.Login.Load(r.Context(), r.PathValue("id"), s.browser(r))
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	in, errs := values.input(s.providers(r, a, method.Simple), time.Now())
	if errs.Any() {
		s.showSimple(w, r, http.StatusUnprocessableEntity, values, errs)
		return
	}
	a, err = s.Login.Prove(r.Context(), a, s.browser(r), method.Simple, in, s.sso(r), s.locale(r, a))
	s.next(w, r, a, err)
}

// input reads what was typed as people type it: spaces and hyphens do not matter.
func (f SimpleFields) input(providers []authn.Provider, now time.Time) (in authn.Input, errs SimpleErrors) {
	in.Provider = f.Provider
	if !slices.ContainsFunc(providers, func(p authn.Provider) bool { return p.ID == f.Provider }) {
		errs.Provider = missingOr(f.Provider)
	}
	in.Name = strings.Join(strings.Fields(norm.NFC.String(f.Name)), " ")
	if n := utf8.RuneCountInString(in.Name); n == 0 || n > 50 || !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, unicode.IsControl) {
		errs.Name = missingOr(in.Name)
	}
	var ok bool
	if in.BirthDate, ok = parseBirthDate(f.BirthDate, now); !ok {
		errs.BirthDate = missingOr(f.BirthDate)
	}
	if in.Phone, ok = parsePhone(f.Phone); !ok {
		errs.Phone = missingOr(f.Phone)
	}
	return in, errs
}

func missingOr(value string) FieldError {
	if strings.TrimSpace(value) == "" {
		return Missing
	}
	return Invalid
}

// parseBirthDate reads YYYYMMDD with any of ". - /" and spaces between, and returns YYYY-MM-DD of a day
// that was.
func parseBirthDate(text string, now time.Time) (string, bool) {
	digits := strip(text, " .-/")
	t, err := time.Parse("20060102", digits)
	if err != nil || t.After(now) || t.Year() < 1900 {
		return "", false
	}
	return t.Format(time.DateOnly), true
}

// parsePhone reads a Korean mobile number with or without country code and separators, and returns its
// digits from 01 on.
func parsePhone(text string) (string, bool) {
	digits := strip(text, " -.()")
	if rest, international := strings.CutPrefix(digits, "+82"); international {
		digits = "0" + strings.TrimPrefix(rest, "0")
	}
	if len(digits) < 10 || len(digits) > 11 || !strings.HasPrefix(digits, "01") || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return digits, true
}

// strip removes the characters.
func strip(text, characters string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(characters, r) {
			return -1
		}
		return r
	}, strings.TrimSpace(text))
}
