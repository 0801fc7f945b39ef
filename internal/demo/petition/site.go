// Package petition is the second demo relying site, 민원마당. It keeps no members: whoever the broker
// vouches for is signed in under the name that comes with the login. Beside Q-Net it shows single
// sign-on: its login request is answered without a page while the broker's session lasts.
package petition

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
	sessionTTL   = 60 * time.Minute
	sessionLimit = 12 * time.Hour // leaves room for eleven full extensions; KRDS asks for ten
	maxBody      = 64 << 10
)

// Config is what the site needs to run.
type Config struct {
	BaseURL      string       // the site's own origin, such as https://minwon.example
	Issuer       string       // the broker's issuer identifier
	ClientID     string       //
	ClientSecret string       //
	Scopes       []string     // default: openid profile
	SigningAlg   string       // as registered with the broker; default RS256
	HTTPClient   *http.Client // for calls to the broker, such as with a private CA
	// WarnBefore is how long before its end a session is offered to be extended; default a minute, and 20
	// seconds at least.
	WarnBefore time.Duration
	// CheckSession watches the login at the broker by iframes (OIDC Session Management), where the broker
	// offers that.
	CheckSession bool
	Now          func() time.Time
	Log          *slog.Logger
}

// Site is the running site.
type Site struct {
	rp       *rp.Client
	sessions *rp.Sessions
	frame    *frame.Frame
	now      func() time.Time
	log      *slog.Logger
	handler  http.Handler
}

// New returns the site. It does not call the broker.
func New(cfg Config) (*Site, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes = []string{"openid", "profile"}
	}
	if cfg.SigningAlg == "" {
		cfg.SigningAlg = "RS256"
	}
	client, err := rp.New(rp.Config{
		Name: "minwon", BaseURL: cfg.BaseURL, Issuer: cfg.Issuer, ClientID: cfg.ClientID, ClientSecret: cfg.ClientSecret,
		Scopes: cfg.Scopes, SigningAlg: cfg.SigningAlg, HTTPClient: cfg.HTTPClient, Now: cfg.Now, Log: cfg.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("petition: %w", err)
	}
	fr, err := frame.New(frame.Site{
		Name: "민원마당", Purpose: "온라인 민원 창구", Login: "/anyid/start",
		Notice:     "정부 통합로그인(Any-ID) 연동을 보여 주는 시연용 사이트입니다. 실제 민원을 접수하지 않습니다.",
		Nav:        []frame.Link{{Text: "홈", Href: "/"}, {Text: "나의 민원마당", Href: "/my"}},
		Help:       []frame.Link{{Text: "로그인 도움말", Href: "/#login-help"}},
		FormOrigin: client.IssuerOrigin(), WarnBefore: cfg.WarnBefore, CheckSession: cfg.CheckSession, Log: cfg.Log,
	}, files)
	if err != nil {
		return nil, fmt.Errorf("petition: %w", err)
	}
	s := &Site{
		rp: client, frame: fr, now: cfg.Now, log: cfg.Log,
		sessions: rp.NewSessions("minwon-session", client.Secure(), sessionTTL, sessionLimit, cfg.Now),
	}
	s.handler = fr.Handler(s.routes(), maxBody, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusForbidden, "요청을 처리하지 않았습니다", "다른 사이트에서 보낸 요청이어서 처리하지 않았습니다. 민원마당 화면에서 다시 시도해 주세요.")
	}))
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /my", s.my)
	mux.HandleFunc("GET /anyid/start", s.start)
	mux.HandleFunc("GET /anyid/check", s.check)
	mux.HandleFunc("GET "+rp.CallbackPath, s.callback)
	mux.Handle(rp.BackChannelPath, s.rp.BackChannelLogout(s.sessions))
	mux.Handle("GET "+rp.FrontChannelPath, s.rp.FrontChannelLogout(s.sessions))
	mux.HandleFunc("GET /session", s.deadline)
	mux.HandleFunc("GET /session/ended", s.ended)
	mux.HandleFunc("GET /session/check", s.checkSession)
	mux.HandleFunc("POST /session/extend", s.extend)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET "+rp.LoggedOutPath, s.loggedOut)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusNotFound, "페이지를 찾을 수 없습니다", "주소가 바뀌었거나 없는 페이지입니다. 주소를 확인해 주세요.")
	})
	return mux
}

func (s *Site) render(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	page := frame.Page{Title: title, Path: r.URL.Path, Body: body}
	if session, ok := s.sessions.Get(r); ok {
		page.Signed = &frame.Signed{Name: displayName(session), Remaining: session.Remaining(s.now()), Until: session.Expires}
	}
	s.frame.Render(w, r, status, name, page)
}

// displayName is the name that came with the login. A person may have none to give to this site.
func displayName(session rp.Session) string {
	if name := session.Identity.Text("name"); name != "" {
		return name
	}
	return "이용자"
}

func (s *Site) problem(w http.ResponseWriter, r *http.Request, status int, title, advice string) {
	s.render(w, r, status, "problem", title, advice)
}

// notices are the messages that another page sends the citizen home with.
var notices = map[string]string{
	"denied":    "정부 통합로그인을 취소했습니다.",
	"silent":    "진행 중인 정부 통합로그인이 없습니다. 로그인해 주세요.",
	"expired":   "로그인 시간이 끝나 자동으로 로그아웃되었습니다. 다시 로그인해 주세요.",
	"needed":    "로그인이 필요한 페이지입니다.",
	"elsewhere": "정부 통합로그인이나 다른 화면에서 로그아웃하여 민원마당에서도 로그아웃되었습니다.",
}

func (s *Site) home(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, "home", "온라인 민원 창구", notices[r.URL.Query().Get("notice")])
}

// myView is the data of the signed-in page.
type myView struct {
	ACR  string
	AMR  []string
	When string
}

func (s *Site) my(w http.ResponseWriter, r *http.Request) {
	session, ok := s.sessions.Get(r)
	if !ok {
		s.signedOut(w, r)
		return
	}
	view := myView{ACR: session.Identity.ACR, AMR: session.Identity.AMR}
	if at := session.Identity.AuthTime; !at.IsZero() {
		view.When = at.In(frame.Seoul).Format("2006-01-02 15:04")
	}
	s.render(w, r, http.StatusOK, "my", "나의 민원마당", view)
}

// signedOut sends someone home who needs a session for what they asked.
func (s *Site) signedOut(w http.ResponseWriter, r *http.Request) {
	notice := "needed"
	if how := s.sessions.Ended(r); how != rp.NotEnded {
		notice = string(how)
		s.sessions.Close(w, r)
	}
	http.Redirect(w, r, "/?notice="+notice, http.StatusSeeOther)
}

// pages are those to which a citizen can be sent back.
var pages = []string{"/", "/my"}

// deadline tells the page's script how long the session lasts.
func (s *Site) deadline(w http.ResponseWriter, r *http.Request) {
	session, _ := s.sessions.Get(r)
	frame.Deadline(w, session.Remaining(s.now()), session.Final())
}

// ended is where the page's script goes when the session is over.
func (s *Site) ended(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.sessions.Get(r); !ok {
		s.signedOut(w, r)
		return
	}
	http.Redirect(w, r, frame.BackTo(r.FormValue("back"), "/my", pages...), http.StatusSeeOther)
}

func (s *Site) start(w http.ResponseWriter, r *http.Request) {
	if err := s.rp.Start(w, r, rp.Request{Prompt: r.URL.Query().Get("prompt")}); err != nil {
		s.failed(w, r, err)
	}
}

// nextCheck marks the question whether the broker's session lasts.
const nextCheck = "check"

// check asks the broker, without a page, whether the citizen is still signed in there.
func (s *Site) check(w http.ResponseWriter, r *http.Request) {
	if err := s.rp.Start(w, r, rp.Request{Prompt: "none", Next: nextCheck}); err != nil {
		s.failed(w, r, err)
	}
}

// checkSession is the page in every page that watches the login at the broker.
func (s *Site) checkSession(w http.ResponseWriter, r *http.Request) {
	session, _ := s.sessions.Get(r)
	check, ok := s.rp.SessionCheck(r.Context(), session)
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.frame.CheckSession(w, r, check.Frame, check.Origin, check.Message)
}

func (s *Site) callback(w http.ResponseWriter, r *http.Request) {
	id, next, err := s.rp.Callback(w, r)
	if next == nextCheck && rp.Notice(err) == "silent" {
		// The broker's session is over, or another person's: so is the one here.
		s.sessions.Close(w, r)
		http.Redirect(w, r, "/?notice="+string(rp.Elsewhere), http.StatusSeeOther)
		return
	}
	if err != nil {
		s.failed(w, r, err)
		return
	}
	s.sessions.Open(w, r, rp.Session{Identity: &id})
	http.Redirect(w, r, "/my", http.StatusSeeOther)
}

// failed answers for a login at the broker that did not work.
func (s *Site) failed(w http.ResponseWriter, r *http.Request, err error) {
	if notice := rp.Notice(err); notice != "" {
		http.Redirect(w, r, "/?notice="+notice, http.StatusSeeOther)
		return
	}
	s.log.WarnContext(r.Context(), "any-id login failed", "error", err)
	switch {
	case errors.Is(err, rp.ErrUnavailable):
		w.Header().Set("Retry-After", "30")
		s.problem(w, r, http.StatusServiceUnavailable, "정부 통합로그인에 연결할 수 없습니다", "정부 통합로그인(Any-ID) 서비스가 응답하지 않습니다. 잠시 후 다시 시도해 주세요.")
	case errors.Is(err, rp.ErrUnknownRequest):
		s.problem(w, r, http.StatusBadRequest, "로그인을 처음부터 다시 해 주세요", "이미 처리했거나 너무 오래된 로그인 요청입니다.")
	default:
		s.problem(w, r, http.StatusBadRequest, "로그인을 확인하지 못했습니다", "정부 통합로그인의 응답을 확인하지 못해 로그인하지 않았습니다. 다시 시도해 주세요.")
	}
}

func (s *Site) extend(w http.ResponseWriter, r *http.Request) {
	session, ok := s.sessions.Extend(r)
	switch {
	case frame.FromScript(r):
		frame.Deadline(w, session.Remaining(s.now()), session.Final())
	case !ok:
		s.signedOut(w, r)
	default:
		http.Redirect(w, r, frame.BackTo(r.PostFormValue("back"), "/my", pages...), http.StatusSeeOther)
	}
}

func (s *Site) logout(w http.ResponseWriter, r *http.Request) {
	session, _ := s.sessions.Close(w, r)
	s.rp.Logout(w, r, session.Vouched())
}

func (s *Site) loggedOut(w http.ResponseWriter, r *http.Request) {
	outcome, ok := s.rp.LoggedOut(r)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "로그아웃을 확인하지 못했습니다", "이 브라우저에서 진행한 로그아웃이 아닙니다. 로그인 상태는 화면 위쪽에서 볼 수 있습니다.")
		return
	}
	s.render(w, r, http.StatusOK, "logged-out", "로그아웃되었습니다", string(outcome))
}
