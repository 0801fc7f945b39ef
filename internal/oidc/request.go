package oidc

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/site"
)

// Response modes (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
const (
	query    = "query"
	formPost = "form_post"
)

// Prompt values (OIDC Core §3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptAccount = "select_account"
)

func prompts() []string { return []string{promptNone, promptLogin, promptConsent, promptAccount} }

// Bounds of what is carried through a login.
const (
	maxState   = 8 << 10
	maxLocales = 8
	maxLocale  = 35 // characters (RFC 5646 §4.4.1)
)

// maxAgeCap is more than any session lives, and no seconds beyond it overflow anything.
const maxAgeCap = 1 << 31

// formValues are the parameters of a browser's request: of the query if it is a GET, of the form in its
// body if it is a POST. A POST with a query could say two things at once, so it is refused.
func formValues(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method == http.MethodGet {
		return url.ParseQuery(r.URL.RawQuery)
	}
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || !isForm(r.Header) {
		return nil, invalidRequest("not a form POST without query")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

// parseRequest validates an authorization request, wherever its parameters come from (OIDC Core
// §3.1.2.2). When it is wrong, err is a *refusal; if redirectable, the refusal goes to the site, in the
// response mode and with the state that stand in req, and else to a page.
func (s *Server) parseRequest(values url.Values) (req grant.Request, registered *site.Registered, redirectable bool, err error) {
	// First who asks, and where an answer may go. Nothing else is looked at before that is sure.
	if len(values["client_id"]) != 1 {
		return req, nil, false, refuse(CodeSite, "client_id is needed once")
	}
	registered, lookup := s.Sites.Lookup(values.Get("client_id"))
	if lookup != nil {
		return req, nil, false, refuse(CodeSite, "client_id is not registered")
	}
	if len(values["redirect_uri"]) != 1 || !slices.Contains(registered.RedirectURIs, values.Get("redirect_uri")) {
		return req, registered, false, refuse(CodeRedirect, "redirect_uri is not registered")
	}
	req.Site, req.RedirectURI, req.ResponseMode = registered.ID, values.Get("redirect_uri"), query

	// Then how: what comes now is told by redirect.
	if state := values["state"]; len(state) == 1 && len(state[0]) <= maxState && verbatim(state[0]) {
		req.State = state[0]
	}
	if mode := values["response_mode"]; len(mode) == 1 && mode[0] == formPost {
		req.ResponseMode = formPost
	}
	if refused := s.parseRest(values, registered, &req); refused != nil {
		return req, registered, true, refused
	}
	return req, registered, true, nil
}

func (s *Server) parseRest(values url.Values, registered *site.Registered, req *grant.Request) *refusal {
	for _, v := range values {
		if len(v) > 1 {
			return invalidRequest("a parameter stands twice")
		}
	}
	if values.Get("state") != req.State {
		return invalidRequest("state is too long or holds control characters")
	}
	if mode := values.Get("response_mode"); mode != "" && mode != req.ResponseMode {
		return invalidRequest("response_mode is neither query nor form_post")
	}
	// OIDC Core §3.1.2.6; to go on without them would be to answer another question.
	for _, p := range []string{"request", "request_uri", "registration"} {
		if values.Get(p) != "" {
			return refuse(p+"_not_supported", "")
		}
	}
	switch values.Get("response_type") {
	case "code":
	case "":
		return invalidRequest("response_type is missing")
	default:
		return refuse("unsupported_response_type", "the only response_type is code")
	}
	if req.Nonce = values.Get("nonce"); len(req.Nonce) > maxState || !verbatim(req.Nonce) {
		return invalidRequest("nonce is too long or holds control characters")
	}
	for _, parse := range []func(url.Values, *site.Registered, *grant.Request) *refusal{
		parsePrompt, parseScope, parseChallenge, parseMaxAge, parseClaims, s.parseHint,
	} {
		if refused := parse(values, registered, req); refused != nil {
			return refused
		}
	}
	for acr := range strings.FieldsSeq(values.Get("acr_values")) {
		if slices.Contains(acrs, acr) && !slices.Contains(req.ACRValues, acr) {
			req.ACRValues = append(req.ACRValues, acr)
		}
	}
	if refused := checkACR(req, registered); refused != nil {
		return refused
	}
	for tag := range strings.FieldsSeq(values.Get("ui_locales")) {
		if len(tag) <= maxLocale && len(req.UILocales) < maxLocales && verbatim(tag) {
			req.UILocales = append(req.UILocales, tag)
		}
	}
	return nil
}

// checkACR refuses an essential acr that no login at the site can have (OpenID Connect Core Error Code
// unmet_authentication_requirements §2).
func checkACR(req *grant.Request, registered *site.Registered) *refusal {
	level, _, ok := req.Levels()
	methods, _ := req.Methods()
	if !ok || level == 0 && len(methods) > 0 && !slices.ContainsFunc(methods, registered.Accepts) {
		return refuse("unmet_authentication_requirements", "the essential acr is none that this site takes")
	}
	return nil
}

// parsePrompt ignores prompts that are not ours, so that a later specification's do no harm.
func parsePrompt(values url.Values, _ *site.Registered, req *grant.Request) *refusal {
	asked := strings.Fields(values.Get("prompt"))
	if slices.Contains(asked, promptNone) && len(asked) > 1 {
		return invalidRequest("prompt none stands alone")
	}
	for _, p := range prompts() {
		if slices.Contains(asked, p) {
			req.Prompts = append(req.Prompts, p)
		}
	}
	return nil
}

// parseScope keeps the scopes that the site may have; others are ignored (OIDC Core §3.1.2.1), and the
// token response tells which were granted (RFC 6749 §5.1). offline_access counts with prompt=consent only
// (OIDC Core §11).
func parseScope(values url.Values, registered *site.Registered, req *grant.Request) *refusal {
	for scope := range strings.FieldsSeq(values.Get("scope")) {
		switch {
		case !slices.Contains(registered.Scopes, scope), slices.Contains(req.Scopes, scope):
		case scope == site.ScopeOfflineAccess && !mayRefresh(registered, req):
		default:
			req.Scopes = append(req.Scopes, scope)
		}
	}
	if !slices.Contains(req.Scopes, site.ScopeOpenID) {
		return refuse("invalid_scope", "the scope openid is missing")
	}
	return nil
}

func mayRefresh(registered *site.Registered, req *grant.Request) bool {
	return slices.Contains(registered.GrantTypes, site.RefreshToken) && slices.Contains(req.Prompts, promptConsent)
}

// parseChallenge lets S256 in and nothing else (RFC 9700 §2.1.1): a missing method means plain
// (RFC 7636 §4.3).
func parseChallenge(values url.Values, registered *site.Registered, req *grant.Request) *refusal {
	challenge, method := values.Get("code_challenge"), values.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && registered.NeedsPKCE():
		return invalidRequest("code_challenge is missing")
	case challenge == "" && method == "":
		return nil
	case method != "S256":
		return invalidRequest("the only code_challenge_method is S256")
	case !isVerifier(challenge):
		return invalidRequest("code_challenge is not 43 to 128 unreserved characters")
	}
	req.CodeChallenge = challenge
	return nil
}

// isVerifier reports whether text has the syntax of a code verifier and of a code challenge (RFC 7636
// §4.1, §4.2).
func isVerifier(text string) bool {
	if len(text) < 43 || len(text) > 128 {
		return false
	}
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

func parseMaxAge(values url.Values, _ *site.Registered, req *grant.Request) *refusal {
	text := values.Get("max_age")
	if text == "" {
		return nil
	}
	if strings.Trim(text, "0123456789") != "" {
		return invalidRequest("max_age is not a number of seconds")
	}
	age, _ := strconv.ParseUint(text, 10, 63) // the largest number where it is larger than that
	seconds := int64(min(age, maxAgeCap))
	req.MaxAge = &seconds
	return nil
}

// parseClaims keeps of the claims parameter what can be given.
func parseClaims(values url.Values, _ *site.Registered, req *grant.Request) *refusal {
	text := values.Get("claims")
	if text == "" {
		return nil
	}
	c, err := grant.ParseClaims(text)
	if err != nil {
		return invalidRequest("claims is not a claims request")
	}
	if sub := c.IDToken["sub"]; sub != nil && sub.Value != nil {
		subject, ok := sub.Value.(string)
		if !ok || subject == "" {
			return invalidRequest("the sub in claims is not a text")
		}
		req.Subject = subject
	}
	maps.DeleteFunc(c.UserInfo, func(name string, _ *grant.Claim) bool { return !slices.Contains(personNames, name) })
	maps.DeleteFunc(c.IDToken, func(name string, _ *grant.Claim) bool {
		return name != "acr" && !slices.Contains(personNames, name)
	})
	req.Claims = c
	return nil
}

// parseHint takes from an ID token of ours who must log in.
func (s *Server) parseHint(values url.Values, registered *site.Registered, req *grant.Request) *refusal {
	text := values.Get("id_token_hint")
	if text == "" {
		return nil
	}
	h, err := s.openHint(text)
	switch {
	case err != nil:
		return invalidRequest("id_token_hint is no ID token of ours")
	case h.Audience != registered.ID:
		return invalidRequest("id_token_hint is for another client")
	case req.Subject != "" && req.Subject != h.Subject:
		return invalidRequest("claims and id_token_hint name different subjects")
	}
	req.Subject = h.Subject
	return nil
}

// hint is what an ID token says when it comes back.
type hint struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience string          `json:"aud"`
	SID      string          `json:"sid"`
	Events   json.RawMessage `json:"events"` // of a logout token, which is no hint (Back-Channel Logout §2.4)
}

// openHint verifies an ID token that we issued. One that has expired is as good as before: a hint
// proves no login, it names one (OIDC Core §3.1.2.1, RP-Initiated Logout §2).
func (s *Server) openHint(compact string) (hint, error) {
	var h hint
	payload, err := s.Keys.Verify(compact)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(payload, &h); err != nil || h.Issuer != s.Issuer || h.Subject == "" || h.Audience == "" || h.Events != nil {
		return hint{}, fault.New(fault.Invalid, "oidc: not an ID token of this issuer")
	}
	return h, nil
}

// verbatim reports whether text survives HTML forms and JSON byte for byte: UTF-8 without control
// characters.
func verbatim(text string) bool {
	for _, c := range []byte(text) {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(text)
}
