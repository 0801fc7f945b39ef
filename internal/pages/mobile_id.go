package pages

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
)

// MobileIDView asks which wallet, and how it is to be reached.
type MobileIDView struct {
	Page
	Site          Site
	Providers     []authn.Provider
	Push, QR, App bool // what is offered
	Values        SimpleFields
	Errors        SimpleErrors
	RequestURL    string // POST provider, mode; with mode push also name, birthdate, phone
	ChooseURL     string // GET, back to the choice of a method
	CancelURL     string // POST
}

// MobileID shows the ways to a mobile ID.
func (v *Views) MobileID(w http.ResponseWriter, r *http.Request, status int, m MobileIDView) {
	render(v, w, r, status, mobileIDPage, &m)
}

// modes are the ways in which one of the wallets can be reached.
func (s *Server) modes(providers ...authn.Provider) map[authn.Mode]bool {
	all := map[authn.Mode]bool{}
	if receiver, ok := s.Login.Methods[method.MobileID].(authn.Receiver); ok {
		for _, p := range providers {
			for _, mode := range receiver.Modes(p.ID) {
				all[mode] = true
			}
		}
	}
	return all
}

// mobileIDForm asks how the wallet is to be reached.
func (s *Server) mobileIDForm(w http.ResponseWriter, r *http.Request) {
	s.showMobileID(w, r, http.StatusOK, SimpleFields{}, SimpleErrors{})
}

func (s *Server) showMobileID(w http.ResponseWriter, r *http.Request, status int, values SimpleFields, errs SimpleErrors) {
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
	providers := s.providers(r, a, method.MobileID)
	if len(providers) == 0 {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
		return
	}
	if values.Provider == "" {
		values.Provider = providers[0].ID
	}
	modes := s.modes(providers...)
	base := "/login/" + a.ID
	s.Views.MobileID(w, r, status, MobileIDView{
		Page: page(a, base+"/mobile-id"), Site: siteOf(a, registered), Providers: providers, Push: modes[authn.Push], QR: modes[authn.QR], App: modes[authn.App],
		Values: values, Errors: errs, RequestURL: base + "/mobile-id", ChooseURL: base, CancelURL: base + "/cancel",
	})
}

// mobileID asks the wallet.
func (s *Server) mobileID(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	values := SimpleFields{Provider: form.Get("provider"), Name: form.Get("name"), BirthDate: form.Get("birthdate"), Phone: form.Get("phone")}
	mode := authn.Mode(form.Get("mode"))
	a, err := s.Login.Load(r.Context(), r.PathValue("id"), s.browser(r))
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	providers := s.providers(r, a, method.MobileID)
	if !s.modes(providers...)[mode] {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
		return
	}
	in, errs := values.input(providers, time.Now())
	if mode != authn.Push {
		in, errs = authn.Input{Provider: values.Provider}, SimpleErrors{Provider: errs.Provider}
	}
	if errs.Provider == "" && !s.modes(authn.Provider{ID: values.Provider})[mode] {
		errs.Provider = Invalid
	}
	if errs.Any() {
		s.showMobileID(w, r, http.StatusUnprocessableEntity, values, errs)
		return
	}
	in.Mode = mode
	a, err = s.Login.Prove(r.Context(), a, s.browser(r), method.MobileID, in, s.sso(r), s.locale(r, a))
	s.next(w, r, a, err)
}

// walletReturn is where a wallet on the citizen's device sends the browser. In another browser than the one
// that began the login, it ends there.
func (s *Server) walletReturn(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("response_code")
	for _, m := range method.All() {
		receiver, ok := s.Login.Methods[m].(authn.Receiver)
		if !ok {
			continue
		}
		id, err := receiver.Returned(r.Context(), code)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			s.fail(w, r, nil, err)
			return
		}
		a, err := s.Login.Return(r.Context(), id, s.browser(r), code)
		if err != nil && !(errors.Is(err, login.ErrMoved) && a != nil) {
			s.fail(w, r, nil, err)
			return
		}
		http.Redirect(w, r, path(a), http.StatusSeeOther)
		return
	}
	s.Views.Error(w, r, http.StatusGone, ErrorView{Code: ErrExpired})
}

// qrScale is how many pixels a module of the code has; the page shows it smaller, so that it is sharp on a
// screen of any density.
const qrScale = 4

// qrImage draws the code (ISO/IEC 18004, level M) as an image for the page itself.
func qrImage(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("pages: QR code: %w", err)
	}
	side := code.Bounds().Dx() * qrScale
	scaled, err := barcode.Scale(code, side, side)
	if err != nil {
		return "", fmt.Errorf("pages: QR code: %w", err)
	}
	var image bytes.Buffer
	if err := png.Encode(&image, scaled); err != nil {
		return "", fmt.Errorf("pages: QR code: %w", err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(image.Bytes()), nil
}
