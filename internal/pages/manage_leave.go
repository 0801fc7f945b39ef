package pages

import (
	"net/http"
	"strings"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/session"
)

// sessions is 로그인 기기.
func (s *Server) sessions(w http.ResponseWriter, r *http.Request, m managed) {
	list, err := s.Account.ListSessions(r.Context(), m.visitor)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	view := SessionsView{Page: s.page(m), Done: done(r, Ended)}
	for i, l := range list {
		state := SessionState{
			N: i + 1, ID: l.ID, Current: l.Current, Method: l.Method, Provider: s.named(l.Method, l.Provider), Level: l.Level,
			Address: l.Origin.Address, Browser: l.Origin.Browser, At: l.At, Until: l.Until,
		}
		for _, at := range l.Sites {
			state.Sites = append(state.Sites, at.Name)
		}
		if !l.Current {
			view.Others++
		}
		view.Sessions = append(view.Sessions, state)
	}
	if view.Done != "" {
		if view.Receipt, err = s.lastReceipt(r, pageOf(m.name)+"?done="+string(Ended)); err != nil {
			s.fail(w, r, nil, err)
			return
		}
	}
	s.Views.Sessions(w, r, http.StatusOK, view)
}

// endSession ends one of the visitor's sessions.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request, m managed) {
	batch, err := s.Account.EndSession(r.Context(), m.visitor, r.PostForm.Get("session"))
	s.endedSessions(w, r, m, batch, err)
}

// endOthers ends all but this browser's.
func (s *Server) endOthers(w http.ResponseWriter, r *http.Request, m managed) {
	batch, _, err := s.Account.EndOthers(r.Context(), m.visitor)
	s.endedSessions(w, r, m, batch, err)
}

func (s *Server) endedSessions(w http.ResponseWriter, r *http.Request, m managed, batch string, err error) {
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.told(w, r, batch)
	http.Redirect(w, r, pageOf(m.name)+"?done="+string(Ended), http.StatusSeeOther)
}

// export is 내 정보 내려받기.
func (s *Server) export(w http.ResponseWriter, r *http.Request, m managed) {
	s.Views.Export(w, r, http.StatusOK, ExportView{Page: s.page(m)})
}

// exported is the file.
func (s *Server) exported(w http.ResponseWriter, r *http.Request, m managed) {
	content, err := s.Account.Export(r.Context(), m.visitor)
	if err != nil {
		s.lost(w, r, m, err)
		return
	}
	file := &attachment{w: w, name: "anyid-" + s.Login.Now().In(authn.Korea).Format("20060102") + ".json", kind: "application/json"}
	_, _ = file.Write(content) // an error means that the browser has gone
}

// withdrawal is 등록 해지.
func (s *Server) withdrawal(w http.ResponseWriter, r *http.Request, m managed) {
	s.Views.Withdraw(w, r, http.StatusOK, WithdrawView{Page: s.page(m)})
}

// askWithdraw leads to the question.
func (s *Server) askWithdraw(w http.ResponseWriter, r *http.Request, _ managed) {
	http.Redirect(w, r, managePath+"/withdraw/confirm", http.StatusSeeOther)
}

// confirmWithdraw asks for the last time.
func (s *Server) confirmWithdraw(w http.ResponseWriter, r *http.Request, m managed) {
	s.Views.Withdraw(w, r, http.StatusOK, WithdrawView{Page: s.page(m), Confirm: true})
}

// withdrawnCookie holds the receipt of a withdrawal for the browser in which it was made: its number and batch. There
// is nobody left whom it could be kept for elsewhere.
const withdrawnCookie = "withdrawn"

// endRegistration ends the registration. The browser forgets who it was too.
func (s *Server) endRegistration(w http.ResponseWriter, r *http.Request, m managed) {
	receipt, err := s.Account.Withdraw(r.Context(), m.visitor)
	if fault.Is(err, fault.NotFound) { // a second click
		http.Redirect(w, r, withdrawnPath, http.StatusSeeOther)
		return
	}
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.Cookies.Set(w, withdrawnCookie, receipt.Number+"."+receipt.Batch, hour)
	s.Cookies.Clear(w, session.DeviceCookie)
	if m.visitor.Session != "" {
		s.Cookies.Clear(w, session.Cookie)
		s.Cookies.Clear(w, session.StateCookie)
	}
	if err := s.endSelf(w, r); err != nil { // it expires
		s.Log.WarnContext(r.Context(), "verification of a withdrawn person not forgotten", "error", err)
	}
	s.await(r, receipt.Batch)
	http.Redirect(w, r, withdrawnPath, http.StatusSeeOther)
}

// withdrawn is 사용자 등록 해지 완료.
func (s *Server) withdrawn(w http.ResponseWriter, r *http.Request) {
	number, batch, ok := strings.Cut(s.Cookies.Get(r, withdrawnCookie), ".")
	if !ok {
		http.Redirect(w, r, lapsed("withdraw"), http.StatusSeeOther)
		return
	}
	deliveries, err := s.Logout.Receipt(r.Context(), batch)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.Views.Withdrawn(w, r, http.StatusOK, WithdrawnView{Number: number, Receipt: receiptOf(s.Sites, deliveries, withdrawnPath)})
}
