package pages

import (
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/login"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// browserCookie binds attempts to this browser, until it closes.
const browserCookie = "browser"

// Responder answers authorization requests; package oidc is one.
type Responder interface {
	// Respond sends the parameters to the request's redirect URI in its response mode, with state
	// and iss added.
	Respond(w http.ResponseWriter, r *http.Request, req grant.Request, params url.Values)
}

// Config is what the journey's pages need.
type Config struct {
	Views     *Views
	Login     *login.Service
	Account   *account.Service
	Logout    *logout.Service
	Sites     *site.Directory
	Cookies   web.Cookies
	Limiter   *web.Limiter
	Documents Documents
	Log       *slog.Logger
}

// Server is the handlers of the login journey. Each is thin: read the request, call package login, show
// the page of the state that the attempt is in now.
type Server struct {
	Config
	responder Responder
}

// NewServer returns the handlers; Serve puts them on a mux.
func NewServer(c Config) *Server { return &Server{Config: c} }

// LimitClass is the limiter's class of the routes that take what somebody could guess or flood.
const LimitClass = "credential"

// Serve puts the journey's routes on the mux. Finished attempts are answered through the responder.
func (s *Server) Serve(mux *http.ServeMux, responder Responder) {
	s.responder = responder
	for _, r := range s.routes() {
		var h http.Handler = r.handle
		if strings.HasPrefix(r.pattern, "POST ") {
			h = s.posted(h)
		}
		if r.limited {
			h = s.limited(h)
		}
		mux.Handle(r.pattern, h)
	}
}

// route is one of the journey's routes. Those that take what somebody could guess, flood a phone with or
// probe people by are limited; those behind identity verification count where they begin one (Server.managed).
type route struct {
	pattern string
	handle  http.HandlerFunc
	limited bool
}

func (s *Server) routes() []route {
	// Who has withdrawn is nobody any more who could be asked who they are: a second click is shown what the first
	// one did.
	done := http.RedirectHandler(withdrawnPath, http.StatusSeeOther)
	return []route{
		{"GET /login/{id}", s.choose, false},
		{"POST /login/{id}/sso", s.toggle, false},
		{"POST /login/{id}/cancel", s.decline, false},
		{"GET /login/{id}/simple", s.simpleForm, false},
		{"POST /login/{id}/simple", s.simple, true},
		{"GET /login/{id}/mobile-id", s.mobileIDForm, false},
		{"POST /login/{id}/mobile-id", s.mobileID, true},
		{"GET /login/{id}/joint-cert", s.signer(method.JointCert), false},
		{"POST /login/{id}/joint-cert", s.sign(method.JointCert), true},
		{"GET /login/{id}/financial-cert", s.signer(method.FinancialCert), false},
		{"POST /login/{id}/financial-cert", s.sign(method.FinancialCert), true},
		{"GET /proof/{id}", s.proof, false},
		{"POST /proof/{id}", s.complete, true},
		{"GET /proof/{id}/status", s.status, false}, // asked every few seconds, by all who share an address
		{"POST /proof/{id}/cancel", s.withdraw, false},
		{"GET /register/{id}", s.registration, false},
		{"POST /register/{id}", s.register, true},
		{"POST /register/{id}/again", s.withdraw, false},
		{"POST /register/{id}/decline", s.decline, false},
		{"GET /consent/{id}", s.consent, false},
		{"POST /consent/{id}", s.allow, false},
		{"POST /consent/{id}/deny", s.decline, false},
		{"GET /account/{id}", s.account, false},
		{"POST /account/{id}", s.continueAs, false},
		{"POST /account/{id}/other", s.withdraw, false},
		{"GET " + registerPath, s.beginRegister, true},
		{"GET " + registeredPath, s.registered, false},
		{"GET " + managePath, s.managed("", s.manage), false},
		{"POST " + managePath + "/close", s.closeManage, false},
		{"GET " + closedPath, s.manageClosed, false},
		{"POST " + managePath + "/extend", s.extend, false},
		{"POST " + managePath + "/verify", s.verifyAgain, true},
		{"GET " + managePath + "/profile", s.managed("profile", s.profile), false},
		{"POST " + managePath + "/profile", s.managed("profile", s.saveProfile), true},
		{"GET " + managePath + "/sites", s.managed("sites", s.uses), false},
		{"GET " + managePath + "/sites/{site}/revoke", s.managed("sites", s.askRevoke), false},
		{"POST " + managePath + "/sites/{site}/revoke", s.managed("sites", s.revoke), true},
		{"GET " + managePath + "/history", s.managed("history", s.history), false},
		{"GET " + managePath + "/history.csv", s.managed("history", s.download(account.CSV)), true},
		{"GET " + managePath + "/history.json", s.managed("history", s.download(account.JSON)), true},
		{"GET " + managePath + "/history/{event}/not-me", s.managed("history", s.askDispute), false},
		{"POST " + managePath + "/history/{event}/not-me", s.managed("history", s.dispute), true},
		{"GET " + managePath + "/methods", s.managed("methods", s.methods), false},
		{"POST " + managePath + "/methods/add", s.managed("methods", s.fresh(s.addMethod)), true},
		{"GET " + managePath + "/methods/{method}/{credential}/remove", s.managed("methods", s.fresh(s.askRemove)), false},
		{"POST " + managePath + "/methods/{method}/{credential}/remove", s.managed("methods", s.fresh(s.removeMethod)), true},
		{"GET " + managePath + "/methods/{method}/block", s.managed("methods", s.askBlock), false},
		{"POST " + managePath + "/methods/block", s.managed("methods", s.block), true},
		{"POST " + managePath + "/methods/unblock", s.managed("methods", s.fresh(s.unblock)), true},
		{"GET " + managePath + "/sessions", s.managed("sessions", s.sessions), false},
		{"POST " + managePath + "/sessions/end", s.managed("sessions", s.endSession), true},
		{"POST " + managePath + "/sessions/end-others", s.managed("sessions", s.endOthers), true},
		{"GET " + managePath + "/export", s.managed("export", s.export), false},
		{"POST " + managePath + "/export", s.managed("export", s.fresh(s.exported)), true},
		{"GET " + managePath + "/withdraw", s.managed("withdraw", s.fresh(s.withdrawal)), false},
		{"POST " + managePath + "/withdraw", s.managed("withdraw", s.fresh(s.askWithdraw)), true},
		{"GET " + managePath + "/withdraw/confirm", s.managed("withdraw", s.fresh(s.confirmWithdraw)), false},
		{"POST " + managePath + "/withdraw/confirm", s.verified("withdraw", done, s.fresh(s.endRegistration)), true},
		{"GET " + withdrawnPath, s.withdrawn, false},
		{"GET " + notMePath, s.askNotMe, true},
		{"POST " + notMePath, s.notMe, true},
		{"GET " + receiptPath, s.receipt, false},
		{"POST /login/{id}/phone", s.agency(method.Phone), true},
		{"POST /login/{id}/ipin", s.agency(method.IPIN), true},
		{"GET /window/{reference}", s.windowReturn, true},
		{"POST /window/{reference}", s.windowPosted, true},
		{"GET /wallet/return", s.walletReturn, true},
		{"POST " + stayPath, s.stay, false},
		{"GET /terms/{document}", s.document, false},
	}
}

// limited puts the one limiter in front of a route.
func (s *Server) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, retry, err := s.Limiter.Allow(r.Context(), LimitClass, web.AddrKey(web.ClientAddr(r.Context())))
		switch {
		case err != nil:
			s.fail(w, r, nil, err)
		case !ok:
			w.Header().Set("Retry-After", strconv.Itoa(int(retry/time.Second)+1))
			s.Views.Error(w, r, http.StatusTooManyRequests, ErrorView{Code: ErrLimited})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// claimParameter is the one that a form may hold several times: the optional claims that are ticked.
const claimParameter = "claim"

// posted reads the form of a POST before its handler does, or answers the request itself: what is no form,
// is too large or names a parameter twice reaches no handler.
func (s *Server) posted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(status int, code ErrorCode) { s.Views.Error(w, r, status, ErrorView{Code: code}) }
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			refuse(http.StatusUnsupportedMediaType, ErrRequest)
			return
		}
		if err := r.ParseForm(); err != nil {
			if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
				refuse(http.StatusRequestEntityTooLarge, ErrTooLarge)
				return
			}
			refuse(http.StatusBadRequest, ErrRequest)
			return
		}
		for name, values := range r.PostForm {
			if len(values) > 1 && name != claimParameter {
				refuse(http.StatusBadRequest, ErrRequest)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Begin starts a journey for a validated authorization request and leads to its first page. known is the
// browser's SSO session when it will do and only consent or, with prompt=select_account, the choice of
// account is missing.
func (s *Server) Begin(w http.ResponseWriter, r *http.Request, req grant.Request, asked []string, known *session.Known) {
	start := login.Start{Browser: s.secret(w, r), Request: req, Asked: asked, Address: web.ClientAddrText(r.Context())}
	if known != nil {
		start.Session = known.Session
		start.SelectAccount = slices.Contains(req.Prompts, "select_account")
	}
	a, err := s.Login.Begin(r.Context(), start)
	if err != nil {
		s.Log.LogAttrs(r.Context(), slog.LevelError, "journey not begun", slog.Any("error", err))
		s.responder.Respond(w, r, req, url.Values{"error": {oauthError(err)}})
		return
	}
	http.Redirect(w, r, path(a), http.StatusSeeOther)
}

func oauthError(err error) string {
	if fault.Is(err, fault.Unavailable) {
		return "temporarily_unavailable"
	}
	return "server_error"
}

// path is the address of the page of the attempt's state.
func path(a *login.Attempt) string {
	if signing(a) {
		return "/login/" + a.ID + "/" + signPaths[a.Proof.Method]
	}
	switch a.State {
	case login.Proving, login.Verifying, login.Proved, login.Failed, login.Conflicted:
		return "/proof/" + a.ID
	case login.Registering, login.Renewing:
		return "/register/" + a.ID
	case login.Consenting:
		return "/consent/" + a.ID
	case login.Selecting:
		return "/account/" + a.ID
	}
	return "/login/" + a.ID
}

// secret is the browser's secret, made at its first attempt.
func (s *Server) secret(w http.ResponseWriter, r *http.Request) string {
	browser := s.browser(r)
	if browser == "" {
		browser = secret.NewHandle()
		s.Cookies.Set(w, browserCookie, browser, 0)
	}
	return browser
}

func (s *Server) browser(r *http.Request) string { return s.Cookies.Get(r, browserCookie) }

func (s *Server) sso(r *http.Request) bool {
	return s.Cookies.Get(r, session.ToggleCookie) != session.ToggleOff
}

func (s *Server) locale(r *http.Request, a *login.Attempt) string {
	return web.Locale(r, a.Request.UILocales)
}

// twoYears is how long a browser is known by its cookie, in seconds.
const twoYears = 2 * year

// visit is what the browser brings. One that has no long-lived cookie yet gets it with the answer.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, a *login.Attempt) login.Visit {
	device := s.Cookies.Get(r, session.DeviceCookie)
	if device == "" {
		device = secret.NewHandle()
		s.Cookies.Set(w, session.DeviceCookie, device, twoYears)
	}
	v := login.Visit{
		SSO: s.sso(r), Session: s.Cookies.Get(r, session.Cookie), Device: device,
		Address: web.ClientAddrText(r.Context()), Browser: web.Browser(r),
	}
	if a != nil {
		v.Locale = s.locale(r, a)
	} else {
		v.Locale = web.Locale(r, nil)
	}
	return v
}

// load returns the request's attempt, or answers the request itself. The page's forms may end at the
// site, so the answer's policy names it.
func (s *Server) load(w http.ResponseWriter, r *http.Request) (*login.Attempt, *site.Registered, bool) {
	a, err := s.Login.Load(r.Context(), r.PathValue("id"), s.browser(r))
	if err != nil {
		s.fail(w, r, nil, err)
		return nil, nil, false
	}
	registered, err := s.Login.Site(a)
	if err != nil {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrSite})
		return nil, nil, false
	}
	if a.Goal != login.ForSite {
		return a, registered, true
	}
	if err := web.AllowFormAction(w, a.Request.RedirectURI); err != nil {
		s.fail(w, r, a, err)
		return nil, nil, false
	}
	return a, registered, true
}

// page is the surroundings of an attempt's page.
func page(a *login.Attempt, here string) Page {
	return Page{UILocales: a.Request.UILocales, Here: here}
}

// siteView is the site as pages show it.
func siteView(registered *site.Registered) Site {
	return Site{
		Name:        Text{registered.Name, registered.NameEnglish},
		Institution: Text{registered.Institution.Name, registered.Institution.NameEnglish},
		Own:         login.IsSelf(registered),
	}
}

// siteOf is where the attempt leads, as pages show it.
func siteOf(a *login.Attempt, registered *site.Registered) Site {
	view := siteView(registered)
	view.Registers = a.Goal == login.ForRegister
	return view
}

// next shows what comes after a step: the page of the new state, or the answer to the site. A step that
// found the attempt elsewhere leads there too, so a second click ends where the first one did.
func (s *Server) next(w http.ResponseWriter, r *http.Request, a *login.Attempt, err error) {
	switch {
	case err != nil && !(errors.Is(err, login.ErrMoved) && a != nil):
		s.fail(w, r, a, err)
	case a.State == login.Done:
		s.answer(w, r, a, err == nil)
	default:
		http.Redirect(w, r, path(a), http.StatusSeeOther)
	}
}

// answer sends a finished attempt's outcome to the site. An outcome whose code the site has redeemed is
// not sent again: to the site it would look like a stolen code. One of a step that this very request took is
// fresh: nobody can have redeemed it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, a *login.Attempt, fresh bool) {
	outcome, err := s.Login.Outcome(a)
	if err != nil {
		s.fail(w, r, a, err)
		return
	}
	if a.Goal != login.ForSite {
		s.answerSelf(w, r, a, outcome)
		return
	}
	if outcome.Error != "" {
		s.responder.Respond(w, r, a.Request, url.Values{"error": {outcome.Error}})
		return
	}
	if !fresh {
		spent, err := s.Login.Grants.Spent(r.Context(), outcome.Code)
		if err != nil {
			s.fail(w, r, a, err)
			return
		}
		if spent {
			s.over(w, r, a)
			return
		}
	}
	if outcome.Session != "" {
		s.Cookies.Set(w, session.Cookie, outcome.Session, 0)
	}
	s.responder.Respond(w, r, a.Request, url.Values{"code": {outcome.Code}})
}

// over says that the attempt was answered before, with a way to the site.
func (s *Server) over(w http.ResponseWriter, r *http.Request, a *login.Attempt) {
	view := ErrorView{Page: page(a, path(a)), Code: ErrDone}
	if registered, err := s.Login.Site(a); err == nil {
		shown := siteOf(a, registered)
		view.Site, view.ReturnURL = &shown, registered.HomeURL
		if shown.Own {
			view.ReturnURL = managePath
		}
	}
	s.Views.Error(w, r, http.StatusConflict, view)
}

// fail shows an error that no page of the journey has.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, a *login.Attempt, err error) {
	if _, ok := errors.AsType[*authn.Error](err); ok && a != nil {
		s.failed(w, r, a, http.StatusServiceUnavailable, ProviderDown)
		return
	}
	switch {
	case errors.Is(err, login.ErrGone):
		s.Views.Error(w, r, http.StatusGone, ErrorView{Code: ErrExpired})
	case errors.Is(err, login.ErrOtherBrowser):
		s.Views.OtherBrowser(w, r, http.StatusForbidden, OtherBrowserView{})
	case errors.Is(err, login.ErrBusy), fault.Is(err, fault.Unavailable):
		s.Log.LogAttrs(r.Context(), slog.LevelWarn, "journey waits", slog.Any("error", err))
		w.Header().Set("Retry-After", "5")
		s.Views.Error(w, r, http.StatusServiceUnavailable, ErrorView{Code: ErrUnavailable})
	case fault.Is(err, fault.NotFound):
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Code: ErrNotFound})
	case fault.Is(err, fault.Invalid):
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest})
	default:
		s.Log.LogAttrs(r.Context(), slog.LevelError, "journey failed", slog.Any("error", err), slog.String("request_id", web.RequestID(r.Context())))
		s.Views.Error(w, r, http.StatusInternalServerError, ErrorView{Code: ErrInternal})
	}
}
