package pages

import (
	"net/http"
	"slices"

	"github.com/anyid/anyid/internal/account"
)

// uses is 이용사이트 현황.
func (s *Server) uses(w http.ResponseWriter, r *http.Request, m managed) {
	list, err := s.Account.Sites(r.Context(), m.visitor)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	view := UsesView{Page: s.page(m), Done: done(r, SiteRevoked)}
	for _, use := range list {
		view.Sites = append(view.Sites, useView(use))
	}
	if view.Done != "" {
		if view.Receipt, err = s.lastReceipt(r, pageOf(m.name)+"?done="+string(SiteRevoked)); err != nil {
			s.fail(w, r, nil, err)
			return
		}
	}
	s.Views.Uses(w, r, http.StatusOK, view)
}

// useView is a use of a site as pages show it.
func useView(use account.SiteUse) SiteUse {
	view := SiteUse{ID: use.ID, Site: Site{Name: Text{Korean: use.ID}}, Since: use.Since, LastAt: use.LastAt, Logins: use.Logins, Basis: use.Basis, Active: use.Active}
	if use.Site != nil {
		view.Site = siteView(use.Site)
	}
	if use.Consent != nil {
		view.Version, view.AgreedAt = use.Consent.Version, use.Consent.At
	}
	for _, c := range consentClaims {
		if slices.Contains(use.Items, c.claim) {
			view.Items = append(view.Items, c.label)
		}
	}
	return view
}

// askRevoke asks whether the use of a site is to end. Of sites that the visitor does not use nothing is said.
func (s *Server) askRevoke(w http.ResponseWriter, r *http.Request, m managed) {
	list, err := s.Account.Sites(r.Context(), m.visitor)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	for _, use := range list {
		if use.ID == r.PathValue("site") {
			s.Views.Revoke(w, r, http.StatusOK, RevokeView{Page: s.page(m), Use: useView(use)})
			return
		}
	}
	s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound, ReturnURL: pageOf(m.name)})
}

// revoke ends the use of a site.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, m managed) {
	batch, err := s.Account.RevokeSite(r.Context(), m.visitor, r.PathValue("site"))
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.told(w, r, batch)
	http.Redirect(w, r, pageOf(m.name)+"?done="+string(SiteRevoked), http.StatusSeeOther)
}
