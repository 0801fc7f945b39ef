package pages

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/web"
)

// The paths of registering, and of managing a registration.
const (
	registerPath   = "/register"
	registeredPath = "/registered"
	managePath     = "/manage"
	closedPath     = "/manage/closed"
	withdrawnPath  = "/manage/withdrawn"
	notMePath      = "/not-me"
)

// managePages are the pages of 사용자 관리, by the names that lead back to them.
var managePages = []string{"", "profile", "sites", "history", "methods", "sessions", "export", "withdraw"}

// pageOf is the address of one of these pages; that of the overview where there is no such name.
func pageOf(name string) string {
	if name == "" || !slices.Contains(managePages, name) {
		return managePath
	}
	return managePath + "/" + name
}

// hour is how long a browser can ask for a receipt, in seconds.
const hour = 60 * 60

// patience is how long a citizen waits for the sites that are told.
const patience = 2 * time.Second

// managed is a request of somebody who has proved who they are.
type managed struct {
	self    login.Self
	visitor account.Visitor
	name    string // of the page
}

// page is the surroundings of a page that m sees.
func (s *Server) page(m managed) Page {
	return Page{Verified: &Verification{
		Seconds: max(1, int(m.self.ExpiresAt.Sub(s.Login.Now())/time.Second)), Ends: clock(m.self.ExpiresAt), Page: m.name,
	}}
}

// managed puts identity verification (본인 확인) in front of a page of 사용자 관리: who has not proved who they are,
// or too long ago, does that first and comes back.
func (s *Server) managed(name string, h func(http.ResponseWriter, *http.Request, managed)) http.HandlerFunc {
	begin := func(w http.ResponseWriter, r *http.Request) {
		s.beginSelf(w, r, login.Start{Goal: login.ForSelf, Next: name})
	}
	return s.verified(name, s.limited(http.HandlerFunc(begin)), h)
}

// verified leads who has proved who they are to the page, and everybody else elsewhere.
func (s *Server) verified(name string, elsewhere http.Handler, h func(http.ResponseWriter, *http.Request, managed)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		self, err := s.Login.FindSelf(r.Context(), s.self(r))
		if fault.Is(err, fault.NotFound) {
			elsewhere.ServeHTTP(w, r)
			return
		}
		var visitor account.Visitor
		if err == nil {
			visitor, err = s.visitor(r, self)
		}
		if err != nil {
			s.fail(w, r, nil, err)
			return
		}
		h(w, r, managed{self, visitor, name})
	}
}

// fresh puts a proof that is minutes old at most in front of what cannot be undone.
func (s *Server) fresh(h func(http.ResponseWriter, *http.Request, managed)) func(http.ResponseWriter, *http.Request, managed) {
	return func(w http.ResponseWriter, r *http.Request, m managed) {
		if !s.Login.Fresh(m.self) {
			s.beginSelf(w, r, login.Start{Goal: login.ForSelf, Expect: m.self.Person, Next: m.name})
			return
		}
		h(w, r, m)
	}
}

// self is the handle of what the browser has verified, or empty.
func (s *Server) self(r *http.Request) string { return s.Cookies.Get(r, login.SelfCookie) }

// visitor is who comes, and from where.
func (s *Server) visitor(r *http.Request, self login.Self) (account.Visitor, error) {
	v := account.Visitor{
		Person: self.Person, Method: self.Method, Provider: self.Provider, At: self.At,
		Address: web.ClientAddrText(r.Context()), Browser: web.Browser(r), Locale: web.Locale(r, nil),
	}
	known, err := s.Login.Sessions.Find(r.Context(), s.Cookies.Get(r, session.Cookie))
	if err == nil && known.Person == self.Person { // else it is somebody else's, who has signed in here
		v.Session = known.ID
	}
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return v, err
}

// beginSelf begins an attempt that no site has asked for.
func (s *Server) beginSelf(w http.ResponseWriter, r *http.Request, start login.Start) {
	if start.Goal == login.ForSelf && len(s.Login.Verifying()) == 0 {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
		return
	}
	start.Browser, start.Address = s.secret(w, r), web.ClientAddrText(r.Context())
	a, err := s.Login.Begin(r.Context(), start)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, path(a), http.StatusSeeOther)
}

// beginRegister is 사용자 등록 on its own.
func (s *Server) beginRegister(w http.ResponseWriter, r *http.Request) {
	s.beginSelf(w, r, login.Start{Goal: login.ForRegister})
}

// answerSelf leads on from an attempt that no site has asked for. What the browser has verified before is
// forgotten.
func (s *Server) answerSelf(w http.ResponseWriter, r *http.Request, a *login.Attempt, outcome login.Outcome) {
	to := pageOf(a.Next)
	switch {
	case outcome.Self == "" && a.Expect != "": // still who they were
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	case outcome.Self == "" && a.Goal == login.ForRegister:
		http.Redirect(w, r, closedPath+"?why="+string(Declined), http.StatusSeeOther)
		return
	case outcome.Self == "":
		http.Redirect(w, r, closedPath, http.StatusSeeOther)
		return
	case a.Goal == login.ForRegister && a.Expect != "":
		to += "?done=" + string(Added)
	case a.Goal == login.ForRegister:
		to = registeredPath
	}
	if before := s.self(r); before != "" && before != outcome.Self {
		if err := s.Login.EndSelf(r.Context(), before); err != nil {
			s.fail(w, r, a, err)
			return
		}
	}
	s.Cookies.Set(w, login.SelfCookie, outcome.Self, 0)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// registered says that the registration is made.
func (s *Server) registered(w http.ResponseWriter, r *http.Request) {
	s.Views.Registered(w, r, http.StatusOK, RegisteredView{})
}

// manage shows the overview.
func (s *Server) manage(w http.ResponseWriter, r *http.Request, m managed) {
	profile, err := s.Account.Profile(r.Context(), m.visitor)
	var own account.Methods
	if err == nil {
		own, err = s.Account.Methods(r.Context(), m.visitor)
	}
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	view := ManageView{Page: s.page(m), Name: profile.Attributes.Name, RegisteredAt: profile.RegisteredAt}
	for _, c := range own.Linked { // several certificates are one method
		if !slices.Contains(view.Methods, c.Method) {
			view.Methods = append(view.Methods, c.Method)
		}
	}
	s.Views.Manage(w, r, http.StatusOK, view)
}

// lost answers where not even the person is found: they have withdrawn elsewhere. Everything else is an error of its
// own.
func (s *Server) lost(w http.ResponseWriter, r *http.Request, m managed, err error) {
	if !fault.Is(err, fault.NotFound) {
		s.fail(w, r, nil, err)
		return
	}
	if err := s.endSelf(w, r); err != nil {
		s.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, lapsed(m.name), http.StatusSeeOther)
}

// lapsed is the page that says that the time for one of the pages is over.
func lapsed(name string) string { return closedPath + "?lapsed=" + name }

// endSelf forgets what the browser has verified.
func (s *Server) endSelf(w http.ResponseWriter, r *http.Request) error {
	if err := s.Login.EndSelf(r.Context(), s.self(r)); err != nil {
		return err
	}
	s.Cookies.Clear(w, login.SelfCookie)
	return nil
}

// closeManage is 닫기, and 로그아웃 in the warning before the end.
func (s *Server) closeManage(w http.ResponseWriter, r *http.Request) {
	if err := s.endSelf(w, r); err != nil {
		s.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, closedPath, http.StatusSeeOther)
}

// manageClosed says that managing has ended. Where a page says that its time is over, and another tab has gone on
// meanwhile, it is not so.
func (s *Server) manageClosed(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	view := ManageClosedView{}
	switch {
	case query.Has("lapsed"):
		view.Why, view.AgainURL = Lapsed, pageOf(query.Get("lapsed"))
		_, err := s.Login.FindSelf(r.Context(), s.self(r))
		switch {
		case err == nil:
			http.Redirect(w, r, view.AgainURL, http.StatusSeeOther)
			return
		case !fault.Is(err, fault.NotFound):
			s.fail(w, r, nil, err)
			return
		}
	case query.Get("why") == string(Declined):
		view.Why = Declined
	}
	s.Views.ManageClosed(w, r, http.StatusOK, view)
}

// extend is 연장. The script of the page is told the new end; a browser without one is led back.
func (s *Server) extend(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("page")
	byScript := strings.Contains(r.Header.Get("Accept"), "application/json")
	self, err := s.Login.FindSelf(r.Context(), s.self(r))
	switch {
	case err != nil && !fault.Is(err, fault.NotFound):
		s.fail(w, r, nil, err)
	case err != nil && byScript:
		s.Views.Error(w, r, http.StatusGone, ErrorView{Code: ErrExpired})
	case err != nil:
		http.Redirect(w, r, lapsed(name), http.StatusSeeOther)
	case byScript:
		body, err := json.Marshal(struct {
			Seconds int    `json:"seconds"` // from now to the end
			Ends    string `json:"ends"`    // the time of day
		}{int(self.ExpiresAt.Sub(s.Login.Now()) / time.Second), clock(self.ExpiresAt)})
		if err != nil {
			s.fail(w, r, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(body)
	default:
		http.Redirect(w, r, pageOf(name), http.StatusSeeOther)
	}
}

// verifyAgain lets people prove anew who they are, so that what was verified about them is replaced.
func (s *Server) verifyAgain(w http.ResponseWriter, r *http.Request) {
	name := r.PostForm.Get("page")
	if !slices.Contains(managePages, name) {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
		return
	}
	s.managed(name, func(w http.ResponseWriter, r *http.Request, m managed) {
		s.beginSelf(w, r, login.Start{Goal: login.ForSelf, Expect: m.self.Person, Next: name})
	})(w, r)
}

// done is what the page's address says was done; nothing where it says what cannot be.
func done(r *http.Request, of ...Done) Done {
	if d := Done(r.URL.Query().Get("done")); slices.Contains(of, d) {
		return d
	}
	return ""
}

// named is a provider as the citizen knows it.
func (s *Server) named(m method.Method, id string) authn.Provider {
	if id == "" {
		return authn.Provider{}
	}
	if adapter := s.Login.Methods[m]; adapter != nil {
		if namer, ok := adapter.(authn.Namer); ok {
			if p, ok := namer.Provider(id); ok {
				return p
			}
		}
		for _, p := range adapter.Providers() {
			if p.ID == id {
				return p
			}
		}
	}
	return authn.Provider{ID: id, Korean: id, English: id}
}

// siteNamed is a site as the citizen knows it, by its id where it is registered no more.
func (s *Server) siteNamed(id string) Site {
	if registered, err := s.Sites.Lookup(id); err == nil {
		return siteView(registered)
	}
	return Site{Name: Text{Korean: id}}
}
