package pages

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/method"
)

// methods is 인증수단.
func (s *Server) methods(w http.ResponseWriter, r *http.Request, m managed) {
	own, err := s.Account.Methods(r.Context(), m.visitor)
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	view := MethodsView{Page: s.page(m), Done: done(r, Removed, Added, BlockSet, BlockLifted), Addable: true}
	n := 0
	for _, known := range method.All() {
		state := MethodState{
			Method: known, Auto: s.auto(own.First, known), BlockURL: managePath + "/methods/" + string(known) + "/block",
		}
		for _, c := range own.Linked {
			if c.Method == known {
				n++
				state.Credentials = append(state.Credentials, s.credential(c, n))
			}
		}
		for i, b := range own.Blocks {
			if b.Method != known {
				continue
			}
			state.Blocks = append(state.Blocks, BlockState{N: i + 1, Provider: s.named(known, b.Provider), At: b.At, Liftable: b.Liftable})
			if b.Provider == "" {
				state.BlockURL = ""
			}
		}
		if s.Login.Methods[known] != nil || len(state.Credentials) > 0 || len(state.Blocks) > 0 {
			view.Methods = append(view.Methods, state)
		}
	}
	s.Views.Methods(w, r, http.StatusOK, view)
}

// auto reports whether the matrix links the method by itself to whoever registered by the first one.
func (s *Server) auto(first, now method.Method) bool {
	return s.Login.Matrix.Policy().Rule(first, now) == method.Auto
}

func (s *Server) credential(c account.Credential, n int) CredentialState {
	state := CredentialState{
		N: n, Provider: s.named(c.Method, c.Provider), Rule: c.Rule, Binding: c.Binding, LinkedAt: c.LinkedAt, First: c.First,
	}
	if c.Removable {
		state.RemoveURL = removePath(c.Method, c.ID)
	}
	return state
}

func removePath(m method.Method, id string) string {
	return managePath + "/methods/" + string(m) + "/" + url.PathEscape(id) + "/remove"
}

// askRemove asks whether a credential is to be removed. One that is not the visitor's is not known here; one that is
// their last leads back to where it says so.
func (s *Server) askRemove(w http.ResponseWriter, r *http.Request, m managed) {
	own, err := s.Account.Methods(r.Context(), m.visitor)
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	for _, c := range own.Linked {
		if string(c.Method) != r.PathValue("method") || c.ID != r.PathValue("credential") {
			continue
		}
		if !c.Removable {
			http.Redirect(w, r, pageOf(m.name), http.StatusSeeOther)
			return
		}
		s.Views.Remove(w, r, http.StatusOK, RemoveView{
			Page: s.page(m), Method: c.Method, Credential: s.credential(c, 1), Auto: s.auto(own.First, c.Method), Action: removePath(c.Method, c.ID),
		})
		return
	}
	s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound, ReturnURL: pageOf(m.name)})
}

// removeMethod takes a credential away.
func (s *Server) removeMethod(w http.ResponseWriter, r *http.Request, m managed) {
	err := s.Account.RemoveMethod(r.Context(), m.visitor, method.Method(r.PathValue("method")), r.PathValue("credential"))
	s.changedMethods(w, r, m, Removed, err)
}

// changedMethods leads back to the methods, with a word on what was done. What their rules forbid (fault.Conflict) is
// said there.
func (s *Server) changedMethods(w http.ResponseWriter, r *http.Request, m managed, what Done, err error) {
	to := pageOf(m.name) + "?done=" + string(what)
	switch {
	case fault.Is(err, fault.Conflict):
		to = pageOf(m.name)
	case err != nil:
		s.fail(w, r, nil, err)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// addMethod begins the registration of a further method. Nobody but the visitor may prove it.
func (s *Server) addMethod(w http.ResponseWriter, r *http.Request, m managed) {
	s.beginSelf(w, r, login.Start{Goal: login.ForRegister, Expect: m.self.Person, Next: m.name})
}

// askBlock asks whether a method, or which provider of it, is to be blocked.
func (s *Server) askBlock(w http.ResponseWriter, r *http.Request, m managed) {
	s.showBlock(w, r, m, http.StatusOK, r.PathValue("method"), false)
}

func (s *Server) showBlock(w http.ResponseWriter, r *http.Request, m managed, status int, name string, inUse bool) {
	known, err := method.Parse(name)
	if err != nil {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound, ReturnURL: pageOf(m.name)})
		return
	}
	page := s.page(m)
	page.Here = managePath + "/methods/" + name + "/block"
	view := BlockView{Page: page, Method: known, InUse: inUse}
	if providers := s.providersOf(known); len(providers) > 1 {
		view.Providers = providers
	}
	s.Views.Block(w, r, status, view)
}

func (s *Server) providersOf(m method.Method) []authn.Provider {
	if adapter := s.Login.Methods[m]; adapter != nil {
		return adapter.Providers()
	}
	return nil
}

// block blocks it. What the visitor has just verified with is not blocked, so that nobody locks themselves out.
func (s *Server) block(w http.ResponseWriter, r *http.Request, m managed) {
	known, err := method.Parse(r.PostForm.Get("method"))
	provider := r.PostForm.Get("provider")
	if err != nil || provider != "" && !slices.ContainsFunc(s.providersOf(known), func(p authn.Provider) bool { return p.ID == provider }) {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Page: Page{Here: pageOf(m.name)}, Code: ErrRequest, ReturnURL: pageOf(m.name)})
		return
	}
	err = s.Account.Block(r.Context(), m.visitor, known, provider)
	if fault.Is(err, fault.Conflict) {
		s.showBlock(w, r, m, http.StatusConflict, string(known), true)
		return
	}
	s.changedMethods(w, r, m, BlockSet, err)
}

// unblock lifts a block of the visitor's own.
func (s *Server) unblock(w http.ResponseWriter, r *http.Request, m managed) {
	err := s.Account.Unblock(r.Context(), m.visitor, method.Method(r.PostForm.Get("method")), r.PostForm.Get("provider"))
	s.changedMethods(w, r, m, BlockLifted, err)
}
