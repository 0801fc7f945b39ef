package pages

import (
	"net/http"
	"net/url"

	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/site"
)

// Answers are the pages that the OIDC endpoints show when they send the browser nowhere else.
type Answers struct {
	Views *Views
	Sites *site.Directory
}

// Error shows an error that must not go to a site.
func (p Answers) Error(w http.ResponseWriter, r *http.Request, status int, code string) {
	p.Views.Error(w, r, status, ErrorView{Code: ErrorCode(code)})
}

// FormPost hands the values to the request's redirect URI by POST.
func (p Answers) FormPost(w http.ResponseWriter, r *http.Request, req grant.Request, values url.Values) {
	view := FormPostView{Page: Page{UILocales: req.UILocales}, Action: req.RedirectURI, Fields: hidden(values)}
	if registered, err := p.Sites.Lookup(req.Site); err == nil {
		view.Site = siteView(registered)
	}
	p.Views.FormPost(w, r, http.StatusOK, view)
}

// LogoutConfirm asks whether to sign out; its form posts the values to action.
func (p Answers) LogoutConfirm(w http.ResponseWriter, r *http.Request, to *site.Registered, action string, values url.Values) {
	view := LogoutView{ConfirmURL: action, StayURL: stayPath, Fields: hidden(values)}
	if to != nil {
		shown := siteView(to)
		view.Site, view.StayURL = &shown, stayPath+"?"+url.Values{"site": {to.ID}}.Encode()
	}
	p.Views.Logout(w, r, http.StatusOK, view)
}

// LoggedOut says that the session has ended.
func (p Answers) LoggedOut(w http.ResponseWriter, r *http.Request, to *site.Registered) {
	var view LoggedOutView
	if to != nil {
		shown := siteView(to)
		view.Site, view.ReturnURL = &shown, to.HomeURL
	}
	p.Views.LoggedOut(w, r, http.StatusOK, view)
}

// stayPath is where the page that asks whether to sign out posts a no to.
const stayPath = "/logout/stay"

// stay says that nobody was signed out, with a way to the site that the citizen came from.
func (s *Server) stay(w http.ResponseWriter, r *http.Request) {
	view := LoggedOutView{Stayed: true}
	if from, err := s.Sites.Lookup(r.URL.Query().Get("site")); err == nil {
		shown := siteView(from)
		view.Site, view.ReturnURL = &shown, from.HomeURL
	}
	s.Views.LoggedOut(w, r, http.StatusOK, view)
}

// hidden are the values as hidden fields.
func hidden(values url.Values) []Field {
	fields := make([]Field, 0, len(values))
	for name, all := range values {
		for _, value := range all {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}
