package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/site"
)

// userinfo is the UserInfo endpoint (OIDC Core §5.3), protected by RFC 6750.
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) {
	noStore(w.Header())
	token, refused := bearer(w, r)
	if refused != nil {
		refuseBearer(w, http.StatusBadRequest, refused)
		return
	}
	if token == "" {
		// RFC 6750 §3.1: who shows nothing is told no error.
		w.Header().Set("WWW-Authenticate", "Bearer "+realm)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	access, err := s.Grants.Access(r.Context(), token)
	if err != nil {
		s.failUserinfo(w, r, err)
		return
	}
	registered, err := s.Sites.Lookup(access.Site)
	if err != nil {
		s.failUserinfo(w, r, err)
		return
	}
	if !slices.Contains(access.Scopes, site.ScopeOpenID) {
		refuseBearer(w, http.StatusForbidden, refuse("insufficient_scope", "the token lacks the scope openid"))
		return
	}
	// What the site may no longer have is not given to tokens of earlier days either.
	asked := grant.Request{
		Scopes: slices.DeleteFunc(slices.Clone(access.Scopes), func(scope string) bool { return !slices.Contains(registered.Scopes, scope) }),
		Claims: grant.Claims{UserInfo: access.Claims.UserInfo},
	}
	about, err := s.about(r.Context(), registered, access, asked.Asked(registered.Scopes))
	if err != nil {
		s.failUserinfo(w, r, err)
		return
	}
	body, err := json.Marshal(struct {
		Subject string `json:"sub"`
		personClaims
	}{registered.Subject(s.Subjects, access.Authentication.Person), about})
	if err != nil {
		s.failUserinfo(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// bearer returns the access token of the request: from the header or a form, and from one of them only
// (RFC 6750 §2). A token in the query ends in logs, so it is refused. An empty token means that none was
// shown.
func bearer(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	if strings.Contains(r.URL.RawQuery, "access_token") {
		return "", invalidRequest("an access token does not belong in the query")
	}
	var form string
	if r.Method == http.MethodPost && isForm(r.Header) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil || len(r.PostForm["access_token"]) > 1 {
			return "", invalidRequest("the form is malformed, too large, or has two tokens")
		}
		form = r.PostForm.Get("access_token")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return form, nil
	}
	if len(headers) > 1 || form != "" {
		return "", invalidRequest("more than one access token")
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token = strings.TrimLeft(token, " "); token == "" {
		return "", invalidRequest("the access token is empty")
	}
	return token, nil
}

// refuseBearer sends an error of RFC 6750 §3, in the header and as JSON.
func refuseBearer(w http.ResponseWriter, status int, refused *refusal) {
	w.Header().Set("WWW-Authenticate", `Bearer `+realm+`, error="`+refused.code+`", error_description="`+refused.description+`"`)
	writeError(w, status, refused)
}

func (s *Server) failUserinfo(w http.ResponseWriter, r *http.Request, err error) {
	switch fault.CodeOf(err) {
	case fault.NotFound:
		refuseBearer(w, http.StatusUnauthorized, refuse("invalid_token", "the access token is unknown, expired or revoked"))
	case fault.Unavailable:
		s.noteFailure(r.Context(), "answer userinfo", err)
		w.Header().Set("Retry-After", retryAfter)
		writeError(w, http.StatusServiceUnavailable, refuse("temporarily_unavailable", ""))
	default:
		s.noteFailure(r.Context(), "answer userinfo", err)
		writeError(w, http.StatusInternalServerError, refuse("server_error", ""))
	}
}
