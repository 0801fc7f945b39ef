package pages

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
)

// signPaths are the pages of the methods whose proof is a signature that the browser makes.
var signPaths = map[method.Method]string{method.JointCert: "joint-cert", method.FinancialCert: "financial-cert"}

// signing reports whether the attempt waits for a signature from the page: nobody else was asked, so
// another method may be chosen at any time.
func signing(a *login.Attempt) bool {
	return a.State == login.Proving && a.Proof != nil && signPaths[a.Proof.Method] != ""
}

// vidCookie keeps the VIDMsg, which carries R to the registration page, in the citizen's browser: encrypted
// to the server by the page, and never stored by the server. Its value is the attempt's id, a dot and
// the message.
const vidCookie = "vid"

// maxVID is how long a VIDMsg may be: 384 bytes of RSA and three blocks of SEED, in hex.
const maxVID = 2 * (384 + 3*16)

// signer shows the page that makes a signature, with a challenge that is made when the page is first asked
// for. It is made again when it is too old.
func (s *Server) signer(m method.Method) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, registered, ok := s.load(w, r)
		if !ok {
			return
		}
		if a.State == login.Done {
			s.over(w, r, a)
			return
		}
		if !choosable(a) {
			http.Redirect(w, r, path(a), http.StatusSeeOther)
			return
		}
		if !signing(a) || a.Proof.Method != m || s.Login.Peek(r.Context(), a) {
			providers := s.providers(r, a, m)
			if len(providers) == 0 {
				s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
				return
			}
			after, err := s.Login.Prove(r.Context(), a, s.browser(r), m, authn.Input{Provider: providers[0].ID}, s.sso(r), s.locale(r, a))
			if err != nil || !signing(after) {
				s.next(w, r, after, err)
				return
			}
			a = after
		}
		request, err := s.Login.SignRequest(a)
		if err != nil {
			s.fail(w, r, a, err)
			return
		}
		base := "/login/" + a.ID
		view := SignView{
			Page: page(a, base+"/"+signPaths[m]), Site: siteOf(a, registered), Request: request,
			Remaining: a.Proof.ExpiresAt.Sub(s.Login.Now()), SignURL: base + "/" + signPaths[m],
			ChooseURL: base, CancelURL: base + "/cancel",
		}
		if m == method.JointCert {
			s.Views.JointCert(w, r, http.StatusOK, view)
		} else {
			s.Views.FinancialCert(w, r, http.StatusOK, view)
		}
	}
}

// sign takes the signature that the page has made.
func (s *Server) sign(m method.Method) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := authn.Answer{
			Signed: r.PostForm.Get("signed"), UCPID: r.PostForm.Get("ucpid"), Certificate: r.PostForm.Get("certificate"),
		}
		vid := r.PostForm.Get("vid")
		if _, err := hex.DecodeString(vid); answer.Signed == "" || err != nil || len(vid) > maxVID {
			s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
			return
		}
		a, _, ok := s.load(w, r)
		if !ok {
			return
		}
		if signing(a) && a.Proof.Method != m {
			http.Redirect(w, r, path(a), http.StatusSeeOther)
			return
		}
		after, err := s.Login.Sign(r.Context(), a, s.browser(r), answer, s.visit(w, r, a))
		if after != nil && after.State == login.Registering && vid != "" {
			// A second click brings the same message, and may be the one whose answer the browser reads.
			left := int(after.ExpiresAt.Sub(s.Login.Now()) / time.Second)
			s.Cookies.Set(w, vidCookie, after.ID+"."+strings.ToLower(vid), max(left, 1))
		}
		s.next(w, r, after, err)
	}
}

// residentNumber reads the number of the registration form, and the VIDMsg that the browser has kept for
// this attempt. The digits are the caller's to wipe.
func (s *Server) residentNumber(r *http.Request) (authn.ResidentNumber, NumberError) {
	front, back := strip(r.PostForm.Get("rrn_front"), " -"), strip(r.PostForm.Get("rrn_back"), " -")
	delete(r.PostForm, "rrn_front")
	delete(r.PostForm, "rrn_back")
	number := authn.ResidentNumber{Digits: []byte(front + back)}
	switch {
	case front == "" && back == "":
		return number, NumberMissing
	case len(front) != 6 || len(back) != 7 || strings.Trim(front+back, "0123456789") != "":
		return number, NumberInvalid
	}
	id, message, _ := strings.Cut(s.Cookies.Get(r, vidCookie), ".")
	if id != r.PathValue("id") || message == "" {
		return number, NumberLost
	}
	number.Message = message
	return number, ""
}
