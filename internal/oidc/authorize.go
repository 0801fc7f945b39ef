package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/session"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// authorize is the authorization endpoint (OIDC Core §3.1.2).
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	noStore(w.Header())
	values, err := formValues(w, r)
	if err != nil {
		s.Pages.Error(w, r, http.StatusBadRequest, CodeRequest)
		return
	}
	req, registered, redirectable, err := s.parseRequest(values)
	if refused, ok := errors.AsType[*refusal](err); ok {
		if redirectable {
			s.Respond(w, r, req, refused.params())
			return
		}
		s.Pages.Error(w, r, http.StatusBadRequest, refused.code)
		return
	}
	handle := s.Cookies.Get(r, session.Cookie)
	if s.reenter(w, r, handle, authorizePath, values) {
		return
	}
	s.decide(w, r, req, registered, handle)
}

// maxReentry is how long an address may become that browsers and proxies pass on.
const maxReentry = 6 << 10

// reenter sends a POST without session cookie back as a GET, and reports whether it did. The cookie is
// SameSite=Lax, so a POST from a site never brings it, but the GET does.
func (s *Server) reenter(w http.ResponseWriter, r *http.Request, handle, path string, values url.Values) bool {
	if r.Method != http.MethodPost || handle != "" {
		return false
	}
	location := site.WithQuery(path, values)
	if len(location) > maxReentry {
		return false
	}
	redirect(w, r, location)
	return true
}

// decide answers at once if the browser's session and earlier consent allow it, and else starts a
// journey, or refuses with prompt=none.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, req grant.Request, registered *site.Registered, handle string) {
	silent := slices.Contains(req.Prompts, promptNone)
	asked := req.Asked(registered.Scopes)
	journey := func(known *session.Known, refused *refusal) {
		if silent {
			s.respond(w, r, req, refused.params(), handle)
			return
		}
		s.Journey.Begin(w, r, req, asked, known)
	}

	used := handle
	if s.Cookies.Get(r, session.ToggleCookie) == session.ToggleOff {
		used = ""
	}
	known, refused, err := s.usable(r.Context(), &req, registered, used)
	switch {
	case err != nil:
		s.fail(w, r, req, err)
		return
	case known == nil:
		if refused == sessionOver {
			handle = ""
		}
		journey(nil, refused)
		return
	case !known.Session.Uses(registered.ID) && known.Session.Sites[registered.ID].Left:
		// Signed out of this site only: who came back here may want to be somebody else.
		if !slices.Contains(req.Prompts, promptAccount) {
			req.Prompts = append(slices.Clone(req.Prompts), promptAccount)
		}
		journey(known, loginRequired)
		return
	case known.Session.Terms != s.Terms():
		journey(known, refuse("interaction_required", "the person has not agreed to the present terms of the service"))
		return
	case slices.Contains(req.Prompts, promptConsent), slices.Contains(req.Prompts, promptAccount):
		s.Journey.Begin(w, r, req, asked, known)
		return
	}

	required := req.Required(asked)
	items := required
	if !silent {
		items = grant.Items(asked)
	}
	at, err := s.agreed(r.Context(), known.Session, registered, items, required)
	switch {
	case err != nil:
		s.fail(w, r, req, err)
		return
	case at == nil:
		journey(known, refuse("consent_required", "the person has not agreed to hand over what is asked"))
		return
	}
	code, err := s.join(r, req, registered, known, *at)
	switch {
	case fault.Is(err, fault.NotFound): // it ended just now, or its person withdrew
		handle = ""
		journey(nil, sessionOver)
	case err != nil:
		s.fail(w, r, req, err)
	default:
		s.Respond(w, r, req, url.Values{"code": {code}})
	}
}

// Refusals of prompt=none (OIDC Core §3.1.2.6). sessionOver says that the cookie's session is no more.
var (
	loginRequired       = refuse("login_required", "nobody is signed in who fits the request")
	sessionOver         = refuse(loginRequired.code, loginRequired.description)
	interactionRequired = refuse("interaction_required", "the session does not reach what is asked")
)

// usable returns the session under the handle if it answers the request, or what prompt=none is told.
func (s *Server) usable(ctx context.Context, req *grant.Request, registered *site.Registered, handle string) (*session.Known, *refusal, error) {
	if handle == "" || registered.NoSSO || slices.Contains(req.Prompts, promptLogin) || (req.MaxAge != nil && *req.MaxAge == 0) {
		return nil, loginRequired, nil
	}
	found, err := s.Sessions.Find(ctx, handle)
	if fault.Is(err, fault.NotFound) {
		return nil, sessionOver, nil
	}
	if err != nil {
		return nil, nil, err
	}
	suffices := req.Prefers // acr_values are a wish: asked for, but not a reason to refuse
	if slices.Contains(req.Prompts, promptNone) {
		suffices = req.Admits
	}
	switch {
	case req.Subject != "" && req.Subject != registered.Subject(s.Subjects, found.Person):
		return nil, loginRequired, nil
	case req.MaxAge != nil && s.Now().Unix()-found.At.Unix() > *req.MaxAge:
		return nil, loginRequired, nil
	case !registered.Accepts(found.Method), found.Level < registered.Level, !suffices(found.Method, found.Level):
		return nil, interactionRequired, nil
	}
	return &session.Known{Handle: handle, Session: found}, nil, nil
}

// agreed returns what the person agreed to hand over to the site, or the law lets the site have, and under
// which terms: as the session remembers, or as the consent's record says. It is nil if the consent is of
// other terms or does not cover what is required, and also if the person was never asked for any of the
// items.
func (s *Server) agreed(ctx context.Context, known *session.Session, registered *site.Registered, items, required []string) (*session.AtSite, error) {
	version := registered.HandOver.Version
	if at, ok := known.Sites[registered.ID]; ok && at.Consent == version && grant.Covers(at.Items, required) && (len(at.Items) > 0 || len(items) == 0) {
		return &at, nil
	}
	if registered.HandOver.ByLaw(items, required) {
		return &session.AtSite{Consent: version, Items: required}, nil
	}
	agreed, decided, err := s.Grants.Agreed(ctx, known.Person, registered.ID, version, items, required)
	if err != nil || !decided {
		return nil, err
	}
	return &session.AtSite{Consent: version, Items: agreed}, nil
}

// join logs the session's person in at the site without a page, and returns the code. What the login
// leaves behind is durable before the code is out, so that a site that has got one is told of the session's end.
// fault.NotFound: the session has ended, or its person has withdrawn, in the meantime.
func (s *Server) join(r *http.Request, req grant.Request, registered *site.Registered, known *session.Known, at session.AtSite) (string, error) {
	ctx, used := r.Context(), known.Session
	event := audit.New(s.Now(), audit.SiteLogin, audit.Citizen)
	event.Site, event.Address, event.Browser = registered.ID, web.ClientAddrText(ctx), web.Browser(r)
	event.Detail = map[string]string{"sso": "joined"}
	if err := s.Grants.RecordLogin(ctx, grant.Login{Event: event, Joins: used.Joins(registered.ID)}, used.Authentication); err != nil {
		return "", err
	}
	if !s.Sessions.Noted(used, registered.ID, at, used.Terms) {
		joined, err := s.Sessions.Join(ctx, *known, registered.ID, at, used.Terms)
		if err != nil {
			return "", err
		}
		used = joined
	}
	req.State = "" // it has done its work, and can be long
	return s.Grants.IssueCode(ctx, grant.Code{Request: req, Items: at.Items}, used)
}
