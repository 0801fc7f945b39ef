package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/mobileid"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/oidc"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/web"
)

// Handler is the whole service over HTTP: the citizen's pages and the OIDC endpoints, each kind behind
// its own edge, the assets, and health.
func (a *App) Handler() (http.Handler, error) {
	c := a.Config
	https := strings.HasPrefix(c.Issuer, "https://")
	cookies := web.Cookies{Secure: https}
	branding, err := a.branding()
	if err != nil {
		return nil, err
	}
	views, err := pages.NewViews(branding, a.documents, cookies, a.log)
	if err != nil {
		return nil, err
	}
	limit := web.Limit{Count: int64(c.Limits.Credential), Window: c.Limits.Window}
	key, err := c.Secrets.CIIndexKey()
	if err != nil {
		return nil, err
	}
	limiter, err := web.NewLimiter(a.KV, key, map[string]web.Limit{pages.LimitClass: limit, oidc.LimitClass: limit}, time.Now)
	if err != nil {
		return nil, err
	}
	journey := pages.NewServer(pages.Config{
		Views: views, Login: a.Login, Account: a.Account, Logout: a.Logout, Sites: a.Sites, Cookies: cookies, Limiter: limiter, Documents: a.documents, Log: a.log,
	})
	endpoints, err := oidc.New(oidc.Config{
		Issuer: c.Issuer, Keys: a.Keys, Sites: a.Sites, Sessions: a.Sessions, Grants: a.Grants, People: a.DB.People(),
		Audit: a.DB.Audit(), Logout: a.Logout, Terms: a.terms, Box: a.box, Subjects: a.subjects, Cookies: cookies, Limiter: limiter,
		Pages: pages.Answers{Views: views, Sites: a.Sites}, Journey: journey, IDTokenLifetime: c.Tokens.ID,
		Now: time.Now, Log: a.log,
	})
	if err != nil {
		return nil, err
	}

	// For browsers: pages, and errors as pages.
	forBrowsers := http.NewServeMux()
	journey.Serve(forBrowsers, endpoints)
	endpoints.ServeBrowsers(forBrowsers)
	forBrowsers.Handle("GET "+web.AssetPrefix, web.Assets())
	browsers := web.Edge{Log: a.log, Trusted: c.TrustedProxies, HTTPS: https, Exempt: append(oidc.Exempt(), pages.Exempt()...), Fail: views.Fail}
	// For programs: JSON, and errors as JSON. No cookie means anything here.
	forPrograms := http.NewServeMux()
	endpoints.ServePrograms(forPrograms)
	forPrograms.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok") })
	forPrograms.HandleFunc("GET /readyz", a.ready)
	programs := web.Edge{Log: a.log, Trusted: c.TrustedProxies, HTTPS: https, Exempt: oidc.Exempt(), Fail: web.FailProblem}

	mux := http.NewServeMux()
	mux.Handle("/", browsers.Handler(web.Unmatched(forBrowsers, views.Fail)))
	for _, path := range append(oidc.ProgramPaths(), "/healthz", "/readyz") {
		mux.Handle(path, programs.Handler(web.Unmatched(forPrograms, web.FailProblem)))
	}
	a.serveWallets(mux, limiter, web.Edge{Log: a.log, Trusted: c.TrustedProxies, HTTPS: https, MaxBody: mobileid.MaxBody, Fail: web.FailProblem})
	return mux, nil
}

// serveWallets puts what wallets call on the mux, behind the limiter. They send no cookie and come from
// anywhere.
func (a *App) serveWallets(mux *http.ServeMux, limiter *web.Limiter, edge web.Edge) {
	receiver, ok := a.Methods[method.MobileID].(authn.Receiver)
	if !ok {
		return
	}
	for _, path := range mobileid.Paths() {
		edge.Exempt = append(edge.Exempt, "POST "+path)
	}
	called := http.NewServeMux()
	receiver.Serve(called)
	unmatched := web.Unmatched(called, web.FailProblem)
	limited := edge.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ok, retry, err := limiter.Allow(r.Context(), pages.LimitClass, web.AddrKey(web.ClientAddr(r.Context())))
		switch {
		case err != nil:
			web.FailProblem(w, r, http.StatusServiceUnavailable, web.CodeInternal)
		case !ok:
			w.Header().Set("Retry-After", strconv.Itoa(int(retry/time.Second)+1))
			web.FailProblem(w, r, http.StatusTooManyRequests, "limited")
		default:
			unmatched.ServeHTTP(w, r)
		}
	}))
	for _, path := range mobileid.Paths() {
		mux.Handle(path, limited)
	}
}

// ready tells whether the stores answer.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.DB.Ping(ctx); err != nil {
		writeStatus(w, http.StatusServiceUnavailable, "storage does not answer")
		return
	}
	if err := a.KV.Set(ctx, "ready", "1", time.Second); err != nil {
		writeStatus(w, http.StatusServiceUnavailable, "kv does not answer")
		return
	}
	writeStatus(w, http.StatusOK, "ok")
}

func writeStatus(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// branding reads what the pages show of the institution.
func (a *App) branding() (pages.Branding, error) {
	b := a.Config.Branding
	branding := pages.Branding{
		ServiceName: pages.Text{Korean: b.Name, English: b.NameEn}, CallCentre: b.CallCenter,
		OfficialGovernment: b.OfficialGovernment, Institution: pages.Text{Korean: b.Institution, English: b.InstitutionEn},
		TermsURL: "/terms/" + pages.DocTerms, PrivacyURL: "/terms/" + pages.DocPrivacy,
	}
	if b.Logo != "" {
		image, err := os.ReadFile(b.Logo)
		if err != nil {
			return branding, fmt.Errorf("app: branding.logo: %w", err)
		}
		kind := "image/png"
		if strings.EqualFold(filepath.Ext(b.Logo), ".svg") {
			kind = "image/svg+xml"
		}
		branding.Logo = "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(image)
	}
	return branding, nil
}
