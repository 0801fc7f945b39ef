// Package qnet is a demo relying site: the portal of an exam authority, with its own members,
// sign-up, sessions and ID/password login, where citizens can also log in with Any-ID. It joins the
// broker as any site would, by OpenID Connect, and imports nothing of it.
//
// Members are found by the subject that the broker uses for this site, or at their first Any-ID login
// by their linking information (CI), of which the site keeps a keyed hash only.
package qnet

import (
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/anyid/anyid/internal/demo/frame"
	"github.com/anyid/anyid/internal/demo/rp"
)

//go:embed pages assets
var files embed.FS

const (
	sessionTTL   = 60 * time.Minute   // the guide: a login at Q-Net is valid for 60 minutes
	sessionLimit = 12 * time.Hour     // leaves room for eleven full extensions; KRDS asks for ten
	signupTTL    = 30 * time.Minute   // between the proof and the finished sign-up
	freshFor     = 10 * time.Minute   // how long a proof counts for what it was made for
	maxBody      = 20 << 20           // a phone's photo is read to its end, to say kindly that it is too big
	maxForm      = 16 << 10           // every other form
	savedIDFor   = 365 * 24 * 60 * 60 // seconds that 아이디 저장 lasts
)

// Config is what the site needs to run.
type Config struct {
	BaseURL      string       // the site's own origin, such as https://qnet.example
	Issuer       string       // the broker's issuer identifier
	ClientID     string       //
	ClientSecret string       //
	Scopes       []string     // default: openid profile ci phone
	SigningAlg   string       // as registered with the broker; default ES256
	DataDir      string       // the site's own folder, made if it is missing
	HTTPClient   *http.Client // for calls to the broker, such as with a private CA
	Members      []Member     // members from before Any-ID; those already in DataDir stay as they are
	// WarnBefore is how long before its end a session is offered to be extended; default a minute, and 20
	// seconds at least.
	WarnBefore time.Duration
	Now        func() time.Time
	Log        *slog.Logger
}

// Site is the running site.
type Site struct {
	rp       *rp.Client
	sessions *rp.Sessions
	signups  *rp.Sessions // proved at the broker, not a member yet
	members  *members
	limiter  *limiter
	frame    *frame.Frame
	now      func() time.Time
	log      *slog.Logger
	handler  http.Handler
}

// New opens the site's storage, adds cfg.Members to it and returns the site. It does not call the
// broker.
func New(cfg Config) (*Site, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"openid", "profile", "ci", "phone"}
	}
	client, err := rp.New(rp.Config{
		Name: "qnet", BaseURL: cfg.BaseURL, Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
		Scopes: cfg.Scopes, SigningAlg: cfg.SigningAlg, HTTPClient: cfg.HTTPClient, Now: cfg.Now, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("qnet: %w", err)
	}
	fr, err := frame.New(frame.Site{
		Name: "Q-Net", Purpose: "국가자격시험 원서접수",
		Notice:     "정부 통합로그인(Any-ID) 연동을 보여 주는 시연용 사이트입니다. 실제 원서접수는 하지 않습니다.",
		Login:      "/login",
		Nav:        []frame.Link{{Text: "홈", Href: "/"}, {Text: "원서접수", Href: "/exams"}, {Text: "마이페이지", Href: "/my"}, {Text: "로그인 안내", Href: "/guide"}},
		Help:       []frame.Link{{Text: "Any-ID 사용자 가이드", Href: "/guide"}, {Text: "자주 묻는 질문", Href: "/guide#faq"}, {Text: "아이디 찾기/비밀번호 재설정", Href: "/find"}},
		FormOrigin: client.IssuerOrigin(), WarnBefore: cfg.WarnBefore, Log: cfg.Log,
	}, files)
	if err != nil {
		return nil, fmt.Errorf("qnet: %w", err)
	}
	store, err := openMembers(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	for _, m := range cfg.Members {
		if err := store.seed(m, cfg.Now()); err != nil {
			return nil, fmt.Errorf("qnet: member of the configuration: %w", err)
		}
	}
	s := &Site{
		rp: client, members: store, limiter: newLimiter(cfg.Now), frame: fr, now: cfg.Now, log: cfg.Log,
		sessions: rp.NewSessions("qnet-session", client.Secure(), sessionTTL, sessionLimit, cfg.Now),
		signups:  rp.NewSessions("qnet-signup", client.Secure(), signupTTL, signupTTL, cfg.Now),
	}
	s.handler = fr.Handler(s.routes(), maxBody, http.HandlerFunc(s.refused))
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.plain("home", "국가자격시험 원서접수"))
	mux.HandleFunc("GET /guide", s.plain("guide", "Any-ID 사용자 가이드"))
	mux.HandleFunc("GET /find", s.plain("find", "아이디 찾기·비밀번호 재설정"))
	mux.HandleFunc("GET /did", s.plain("did", "DID 로그인"))
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("GET /anyid/start", s.start)
	mux.HandleFunc("GET "+rp.CallbackPath, s.callback)
	mux.HandleFunc("GET /anyid/confirm", s.confirm)
	mux.Handle(rp.BackChannelPath, s.rp.BackChannelLogout(s.sessions, s.signups))
	mux.HandleFunc("GET /signup", s.signupPage)
	mux.HandleFunc("POST /signup", s.signup)
	mux.HandleFunc("POST /signup/check-id", s.checkID)
	mux.HandleFunc("GET /signup/check-id", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/signup", http.StatusSeeOther) // a reload of the answer by its address
	})
	mux.HandleFunc("GET /my", s.my)
	mux.HandleFunc("GET /my/photo", s.photo)
	mux.HandleFunc("GET /my/password", s.passwordPage)
	mux.HandleFunc("POST /my/password", s.setPassword)
	mux.HandleFunc("GET /my/profile", s.profilePage)
	mux.HandleFunc("POST /my/profile", s.setProfile)
	mux.HandleFunc("GET /my/certificates", s.certificates)
	mux.HandleFunc("GET /exams", s.exams)
	mux.HandleFunc("POST /exams/{exam}/apply", s.apply)
	mux.HandleFunc("GET /my/applications/{number}/cancel", s.cancelPage)
	mux.HandleFunc("POST /my/applications/{number}/cancel", s.cancel)
	mux.HandleFunc("GET /session", s.deadline)
	mux.HandleFunc("GET /session/ended", s.ended)
	mux.HandleFunc("POST /session/extend", s.extend)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET "+rp.LoggedOutPath, s.loggedOut)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusNotFound, "페이지를 찾을 수 없습니다", "주소가 바뀌었거나 없는 페이지입니다. 주소를 확인해 주세요.")
	})
	return mux
}

// render writes a page with the header of whoever is signed in.
func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	page := frame.Page{Title: title, Path: r.URL.Path, Body: body}
	if session, ok := s.sessions.Get(r); ok {
		page.Signed = s.signed(session)
	}
	s.frame.Render(w, r, status, name, page)
}

func (s *Site) signed(session rp.Session) *frame.Signed {
	member, _ := s.members.byID(session.User)
	return &frame.Signed{Name: member.Name, Remaining: session.Remaining(s.now()), Until: session.Expires}
}

// plain is the handler of a page without data of its own.
func (s *Site) plain(name, title string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.render(w, r, http.StatusOK, name, title, nil) }
}

// problem writes an error page: what happened, and what the citizen can do now.
func (s *Site) problem(w http.ResponseWriter, r *http.Request, status int, title, advice string) {
	s.render(w, r, status, "problem", title, problemView{Advice: advice})
}

// problemView is the data of an error page.
type problemView struct {
	Advice string
	Again  frame.Link // a way to try again, or none
}

func (s *Site) refused(w http.ResponseWriter, r *http.Request) {
	s.problem(w, r, http.StatusForbidden, "요청을 처리하지 않았습니다", "다른 사이트에서 보낸 요청이어서 처리하지 않았습니다. Q-Net 화면에서 다시 시도해 주세요.")
}

// form reads a small url-encoded form. It answers the request itself and returns false if that fails.
func (s *Site) form(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.badForm(w, r, err)
		return false
	}
	return true
}

func (s *Site) badForm(w http.ResponseWriter, r *http.Request, err error) {
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		s.problem(w, r, http.StatusRequestEntityTooLarge, "보낸 내용이 너무 큽니다", "입력한 내용이나 사진의 크기를 줄여 다시 시도해 주세요.")
		return
	}
	s.problem(w, r, http.StatusBadRequest, "요청을 읽을 수 없습니다", "입력 화면으로 돌아가 다시 시도해 주세요.")
}

func (s *Site) internal(w http.ResponseWriter, r *http.Request, doing string, err error) {
	s.log.ErrorContext(r.Context(), "request failed", "doing", doing, "error", err)
	s.problem(w, r, http.StatusInternalServerError, "일시적인 오류가 발생했습니다", "잠시 후 다시 시도해 주세요.")
}
