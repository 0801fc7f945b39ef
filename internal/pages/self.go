package pages

import (
	"net/http"
	"net/url"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

// verifyPaths are where the ways of identity verification begin, below /login/{id}.
var verifyPaths = map[method.Method]string{method.MobileID: "mobile-id", method.Simple: "simple", method.Phone: "phone", method.IPIN: "ipin"}

// VerifyView asks how the citizen proves who they are, before they manage their registration (본인 확인).
type VerifyView struct {
	Page
	Again     bool // who they are is known, and to be proved anew
	Ways      []VerifyWay
	CancelURL string // POST
}

// VerifyWay is one of the ways.
type VerifyWay struct {
	Method method.Method
	Path   string // also the end of its id
	URL    string
	Post   bool // the way leads to an agency's window at once
}

// Verify shows the ways of identity verification.
func (v *Views) Verify(w http.ResponseWriter, r *http.Request, status int, m VerifyView) {
	render(v, w, r, status, verifyPage, &m)
}

// WindowView leads to an agency's window.
type WindowView struct {
	Page
	Method    method.Method
	URL       string
	Fields    []Field // sent there by POST; none: GET
	CancelURL string  // POST, back to the choice
}

// Window shows the way to an agency's window, and goes there.
func (v *Views) Window(w http.ResponseWriter, r *http.Request, status int, m WindowView) {
	render(v, w, r, status, windowPage, &m)
}

// showVerify shows the ways of identity verification.
func (s *Server) showVerify(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	base := "/login/" + a.ID
	view := VerifyView{Page: page(a, base), Again: a.Expect != "", CancelURL: base + "/cancel"}
	for _, m := range s.Login.Offers(a, true) {
		_, window := s.Login.Methods[m].(authn.Window)
		view.Ways = append(view.Ways, VerifyWay{Method: m, Path: verifyPaths[m], URL: base + "/" + verifyPaths[m], Post: window})
	}
	s.Views.Verify(w, r, http.StatusOK, view)
}

// agency asks an agency for its window.
func (s *Server) agency(m method.Method) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, _, ok := s.load(w, r)
		if !ok {
			return
		}
		providers := s.providers(r, a, m)
		if len(providers) == 0 {
			s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
			return
		}
		after, err := s.Login.Prove(r.Context(), a, s.browser(r), m, authn.Input{Provider: providers[0].ID}, true, s.locale(r, a))
		s.next(w, r, after, err)
	}
}

// showWindow leads to the agency's window.
func (s *Server) showWindow(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	to := a.Proof.Window
	if err := web.AllowFormAction(w, to.URL); err != nil {
		s.fail(w, r, a, err)
		return
	}
	base := "/proof/" + a.ID
	s.Views.Window(w, r, http.StatusOK, WindowView{
		Page: page(a, base), Method: a.Proof.Method, URL: to.URL, Fields: hidden(to.Fields), CancelURL: base + "/cancel",
	})
}

// Exempt lists the patterns to which another site's page may post (web.Edge): agencies send browsers back
// so. What is posted decides nothing until the browser comes again with its cookies.
func Exempt() []string { return []string{"POST /window/{reference}"} }

// maxReturned is how many values a window may send back.
const maxReturned = 32

// windowPosted keeps what a browser brings from an agency by POST: from another site, it brings none of our
// cookies. It comes again by GET.
func (s *Server) windowPosted(w http.ResponseWriter, r *http.Request) {
	if len(r.PostForm) > maxReturned {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
		return
	}
	values := r.PostForm
	if values == nil {
		values = url.Values{}
	}
	if err := s.Login.Bring(r.Context(), r.PathValue("reference"), values); err != nil {
		s.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, "/window/"+r.PathValue("reference"), http.StatusSeeOther)
}

// windowReturn takes the browser back from an agency's window.
func (s *Server) windowReturn(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(values) > maxReturned {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
		return
	}
	a, err := s.Login.Finish(r.Context(), r.PathValue("reference"), s.browser(r), values, s.visit(w, r, nil))
	s.next(w, r, a, err)
}
