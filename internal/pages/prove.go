package pages

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
)

// proof shows S2: the wait for the phone, or why the proof did not come about. When the phone has
// answered a GET goes on as the button does, so that a page that only loads itself again gets there.
func (s *Server) proof(w http.ResponseWriter, r *http.Request) {
	a, _, ok := s.load(w, r)
	if !ok {
		return
	}
	switch {
	case signing(a) && !s.Login.Peek(r.Context(), a):
		http.Redirect(w, r, path(a), http.StatusSeeOther)
	case a.State == login.Proving && a.Proof.Window != nil && !s.Login.Peek(r.Context(), a):
		s.showWindow(w, r, a)
	case a.State == login.Proving && !s.Login.Peek(r.Context(), a):
		s.showProof(w, r, a, http.StatusOK, false)
	case a.State == login.Proving, a.State == login.Verifying, a.State == login.Proved:
		s.proceed(w, r, a)
	case a.State == login.Failed:
		s.failed(w, r, a, http.StatusOK, failureOf(a.Failure))
	case a.State == login.Conflicted:
		s.conflicted(w, r, a)
	case a.State == login.Done:
		s.over(w, r, a)
	default:
		http.Redirect(w, r, path(a), http.StatusSeeOther)
	}
}

// complete is the button 인증 완료.
func (s *Server) complete(w http.ResponseWriter, r *http.Request) {
	if a, _, ok := s.load(w, r); ok {
		s.proceed(w, r, a)
	}
}

// proceed goes on if the phone has answered, and says so if it has not.
func (s *Server) proceed(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	ready, after, err := s.Login.Complete(r.Context(), a, s.browser(r), s.visit(w, r, a))
	if after == nil {
		after = a
	}
	if err == nil && !ready {
		s.showProof(w, r, after, http.StatusOK, r.Method == http.MethodPost)
		return
	}
	s.next(w, r, after, err)
}

// status tells the page's script whether there is anything new.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	a, err := s.Login.Load(r.Context(), r.PathValue("id"), s.browser(r))
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	answer := struct {
		Done      bool `json:"done"`
		Remaining int  `json:"remaining"` // seconds
	}{Done: s.Login.Peek(r.Context(), a)}
	if a.Proof != nil {
		answer.Remaining = max(0, int(a.Proof.ExpiresAt.Sub(s.Login.Now())/time.Second))
	}
	body, err := json.Marshal(answer)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

func (s *Server) showProof(w http.ResponseWriter, r *http.Request, a *login.Attempt, status int, notYet bool) {
	registered, err := s.Login.Site(a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	base := "/proof/" + a.ID
	view := ProofView{
		Page: page(a, base), Site: siteOf(a, registered), NotYet: notYet,
		StatusURL: base + "/status", CompleteURL: base, CancelURL: base + "/cancel",
	}
	if a.Proof != nil {
		view.Method, view.Provider, view.Mode = a.Proof.Method, s.provider(a), a.Proof.Mode
		view.QR, view.Link, view.Match = a.Proof.Shown.QR, a.Proof.Shown.Link, a.Proof.Shown.Code
		if view.QR != "" {
			if view.QRImage, err = qrImage(view.QR); err != nil {
				s.fail(w, r, a, err)
				return
			}
		}
		view.Remaining, view.PollEvery = a.Proof.ExpiresAt.Sub(s.Login.Now()), a.Proof.PollAfter
	}
	s.Views.Proof(w, r, status, view)
}

// provider is the attempt's counterpart by name.
func (s *Server) provider(a *login.Attempt) authn.Provider {
	if a.Proof != nil && s.Login.Methods[a.Proof.Method] != nil {
		for _, p := range s.Login.Methods[a.Proof.Method].Providers() {
			if p.ID == a.Proof.Provider {
				return p
			}
		}
	}
	return authn.Provider{}
}

// failureOf is the words for an attempt's failure.
func failureOf(code authn.Code) Failure {
	switch code {
	case login.TooManyPushes:
		return Limited
	case login.TooWeak:
		return TooWeak
	case login.OtherPerson:
		return OtherPerson
	case login.TooYoung:
		return TooYoung
	case login.Blocked:
		return Blocked
	case login.NotRegistered:
		return NotRegistered
	}
	return FailureOf(code)
}

// failed shows why a proof did not come about, and the ways on.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, a *login.Attempt, status int, reason Failure) {
	registered, err := s.Login.Site(a)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	view := ProofFailedView{
		Page: page(a, path(a)), Site: siteOf(a, registered), Provider: s.provider(a), Reason: reason,
		ChooseURL: "/login/" + a.ID, CancelURL: "/login/" + a.ID + "/cancel",
	}
	if reason == NotRegistered {
		view.RegisterURL = registerPath
	}
	if reason == Limited {
		view.RetryAfter = s.Login.Limits.PushWindow
	}
	again := "/simple"
	if a.Proof != nil {
		view.Method = a.Proof.Method
		if view.Method == method.MobileID {
			again = "/mobile-id"
		}
		if p := signPaths[a.Proof.Method]; p != "" {
			again = "/" + p
			if reason == TimedOut {
				view.Reason = ChallengeExpired
			}
		}
	}
	switch {
	case a.State == login.Proving || a.State == login.Registering:
		view.RetryURL, view.ChooseURL = path(a), "" // the request is alive: ask again, do not send again
	case a.Proof != nil && a.Proof.Window == nil && reason != TooWeak && reason != TooYoung && reason != Blocked && reason != NotRegistered:
		view.RetryURL = "/login/" + a.ID + again
	}
	s.Views.ProofFailed(w, r, status, view)
}

func (s *Server) conflicted(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	registered, err := s.Login.Site(a)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	view := ConflictView{Page: page(a, path(a)), Site: siteOf(a, registered), ChooseURL: "/login/" + a.ID, CancelURL: "/login/" + a.ID + "/cancel"}
	if a.Proof != nil {
		view.Method = a.Proof.Method
	}
	s.Views.Conflict(w, r, http.StatusOK, view)
}
