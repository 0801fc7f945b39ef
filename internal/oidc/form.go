package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"github.com/anyid/anyid/internal/site"
)

// isForm reports whether the body is an HTML form's.
func isForm(h http.Header) bool {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == "application/x-www-form-urlencoded"
}

// rules is what an endpoint asks of a form beyond what all ask.
type rules func(r *http.Request) *refusal

// form stands in front of the library's endpoints. It lets through what they can be trusted with: one
// form of moderate size, in the body alone, without a parameter that stands twice, with well-formed
// client credentials of one kind. The rest of the answer's headers is set here too.
func (s *Server) form(next http.Handler, also rules) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noStore(w.Header())
		refused := checkForm(w, r)
		if refused == nil {
			refused = checkCredentials(r)
		}
		if refused == nil {
			refused = also(r)
		}
		if refused != nil {
			status := http.StatusBadRequest
			if refused.code == invalidClient {
				status = http.StatusUnauthorized
				challenge(w.Header())
			}
			writeError(w, status, refused)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), headerKey{}, w.Header())))
	})
}

func checkForm(w http.ResponseWriter, r *http.Request) *refusal {
	if r.URL.RawQuery != "" {
		return invalidRequest("parameters belong in the body")
	}
	if !isForm(r.Header) {
		return invalidRequest("the body is not application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return invalidRequest("the form is malformed or too large")
	}
	for name, v := range r.PostForm {
		if len(v) > 1 {
			return invalidRequest("a parameter stands twice")
		}
		if v[0] == "" { // RFC 6749 §3.2: as if it were not there
			delete(r.PostForm, name)
			delete(r.Form, name)
		}
	}
	return nil
}

const invalidClient = "invalid_client"

// checkCredentials refuses what the library would take for something else: a header that is no basic
// credentials, credentials of two kinds (RFC 6749 §2.3), and none at all.
func checkCredentials(r *http.Request) *refusal {
	headers := r.Header.Values("Authorization")
	asserted := r.PostForm.Has("client_assertion") || r.PostForm.Has("client_assertion_type")
	if len(headers) == 0 {
		if asserted || r.PostForm.Get("client_id") == "" {
			return refuse(invalidClient, "client authentication is missing or of a kind that is not supported")
		}
		return nil
	}
	id, password, ok := r.BasicAuth()
	if !ok || len(headers) > 1 {
		return refuse(invalidClient, "the authorization header is not one of basic credentials")
	}
	// RFC 6749 §2.3.1: both halves are form encoded.
	id, err := url.QueryUnescape(id)
	if err != nil {
		return refuse(invalidClient, "the client id is not form encoded")
	}
	if _, err := url.QueryUnescape(password); err != nil {
		return refuse(invalidClient, "the client secret is not form encoded")
	}
	if asserted || r.PostForm.Has("client_secret") {
		return invalidRequest("client authentication of two kinds")
	}
	if also := r.PostForm.Get("client_id"); also != "" && also != id {
		return invalidRequest("two client ids")
	}
	return nil
}

// tokenRules answers for the grants that do not exist, whose names the library would echo.
func tokenRules(r *http.Request) *refusal {
	switch r.PostForm.Get("grant_type") {
	case site.AuthorizationCode, site.RefreshToken:
		return nil
	case "":
		return invalidRequest("grant_type is missing")
	}
	return refuse("unsupported_grant_type", "the grant types are authorization_code and refresh_token")
}

// introspectRules wants a secret: public clients cannot introspect (RFC 7662 §2.1).
func introspectRules(r *http.Request) *refusal {
	if _, password, _ := r.BasicAuth(); password == "" && r.PostForm.Get("client_secret") == "" {
		return refuse(invalidClient, "client authentication is missing")
	}
	return revokeRules(r)
}

// revokeRules: a grant type would be the token endpoint's business.
func revokeRules(r *http.Request) *refusal {
	if r.PostForm.Has("grant_type") {
		return invalidRequest("grant_type does not belong here")
	}
	if r.PostForm.Get("token") == "" {
		return invalidRequest("token is missing")
	}
	return nil
}

// headerKey leads to the answer's header, which the library does not show to its server.
type headerKey struct{}

func answerHeader(ctx context.Context) http.Header {
	h, ok := ctx.Value(headerKey{}).(http.Header)
	if !ok {
		panic(errors.New("oidc: library endpoint outside of form"))
	}
	return h
}

// realm names the protection space of the broker's APIs (RFC 9110 §11.5).
const realm = `realm="anyid"`

// challenge is the header that a 401 needs (RFC 6749 §5.2).
func challenge(h http.Header) { h.Set("WWW-Authenticate", "Basic "+realm) }

// writeError sends an OAuth error as JSON (RFC 6749 §5.2).
func writeError(w http.ResponseWriter, status int, refused *refusal) {
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{refused.code, refused.description})
	if err != nil { // two strings always encode
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
