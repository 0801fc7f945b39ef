package pages

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
)

// profile is 정보 수정.
func (s *Server) profile(w http.ResponseWriter, r *http.Request, m managed) {
	profile, err := s.Account.Profile(r.Context(), m.visitor)
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	own := profile.Settings
	s.showProfile(w, r, m, http.StatusOK, profile, SettingsFields{
		Email: own.Email, Locale: own.Locale,
		NewBrowser: !slices.Contains(own.Quiet, string(notice.NewBrowser)), NewMethod: !slices.Contains(own.Quiet, string(notice.NewMethod)),
	}, "")
}

func (s *Server) showProfile(w http.ResponseWriter, r *http.Request, m managed, status int, p account.Profile, values SettingsFields, wrong FieldError) {
	held := p.Attributes
	s.Views.Profile(w, r, status, ProfileView{
		Page: s.page(m), Done: done(r, Saved), Name: held.Name, BirthDate: held.BirthDate, Phone: national(held.Phone),
		Gender: valueWords[held.Gender], Nationality: valueWords[held.Nationality], RegisteredAt: p.RegisteredAt, UpdatedAt: p.UpdatedAt,
		Values: values, EmailError: wrong,
	})
}

// saveProfile stores what people say about themselves. The language that they choose is that of the pages too.
func (s *Server) saveProfile(w http.ResponseWriter, r *http.Request, m managed) {
	form := r.PostForm
	values := SettingsFields{
		Email: strings.TrimSpace(form.Get("email")), Locale: form.Get("locale"), NewBrowser: form.Get("new_browser") != "", NewMethod: form.Get("new_method") != "",
	}
	next := person.Settings{Email: values.Email, Locale: values.Locale}
	if !values.NewBrowser {
		next.Quiet = append(next.Quiet, string(notice.NewBrowser))
	}
	if !values.NewMethod {
		next.Quiet = append(next.Quiet, string(notice.NewMethod))
	}
	err := s.Account.SetSettings(r.Context(), m.visitor, next)
	if wrong, ok := errors.AsType[*account.FieldError](err); ok && wrong.Field == "email" {
		profile, err := s.Account.Profile(r.Context(), m.visitor)
		if err != nil {
			s.lost(w, r, m, err)
			return
		}
		s.showProfile(w, r, m, http.StatusUnprocessableEntity, profile, values, Invalid)
		return
	}
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	query := url.Values{"done": {string(Saved)}}
	if values.Locale != "" {
		query.Set("lang", values.Locale)
	}
	http.Redirect(w, r, pageOf(m.name)+"?"+query.Encode(), http.StatusSeeOther)
}
