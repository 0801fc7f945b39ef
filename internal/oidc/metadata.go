package oidc

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

var (
	acrs        = append(method.ACRs(), method.ACRsOfMethods()...)
	personNames = grant.PersonClaims()
)

// metadata is the discovery document (OIDC Discovery §3, RFC 8414 §2): everything that is true of this
// server, and nothing that is not. Request objects are not supported in any way, so there is no list of
// their algorithms.
func (s *Server) metadata() ([]byte, error) {
	secretMethods := []site.AuthMethod{site.SecretBasic, site.SecretPost}
	return json.Marshal(map[string]any{
		"issuer":                                         s.Issuer,
		"authorization_endpoint":                         s.Issuer + authorizePath,
		"token_endpoint":                                 s.Issuer + tokenPath,
		"userinfo_endpoint":                              s.Issuer + userinfoPath,
		"introspection_endpoint":                         s.Issuer + introspectPath,
		"revocation_endpoint":                            s.Issuer + revokePath,
		"end_session_endpoint":                           s.Issuer + endSessionPath,
		"check_session_iframe":                           s.Issuer + checkPath,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"frontchannel_logout_supported":                  true,
		"frontchannel_logout_session_supported":          true,
		"jwks_uri":                                       s.Issuer + jwksPath,
		"scopes_supported":                               site.AllScopes(),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{query, formPost},
		"grant_types_supported":                          []string{site.AuthorizationCode, site.RefreshToken},
		"subject_types_supported":                        []site.SubjectType{site.Pairwise, site.PublicSubject},
		"id_token_signing_alg_values_supported":          site.SigningAlgs(),
		"token_endpoint_auth_methods_supported":          append(slices.Clone(secretMethods), site.Public),
		"revocation_endpoint_auth_methods_supported":     append(slices.Clone(secretMethods), site.Public),
		"introspection_endpoint_auth_methods_supported":  secretMethods,
		"claims_supported":                               append([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, personNames...),
		"claim_types_supported":                          []string{"normal"},
		"claims_parameter_supported":                     true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"code_challenge_methods_supported":               []string{"S256"},
		"acr_values_supported":                           acrs,
		"ui_locales_supported":                           []string{web.Korean, web.English},
		"display_values_supported":                       []string{"page"},
		"prompt_values_supported":                        prompts(),
		"authorization_response_iss_parameter_supported": true,
	})
}

// How long others may keep what is published, in seconds. A new key stands in the JWKS for longer than
// that before it signs.
const (
	discoveryAge = 3600
	jwksAge      = 300
)

func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	publish(w, s.discovery, discoveryAge)
}

func (s *Server) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	publish(w, s.Keys.JWKS(), jwksAge)
}

// publish serves a document that scripts of any origin may read, without credentials.
func publish(w http.ResponseWriter, document []byte, age int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(age))
	h.Set("Access-Control-Allow-Origin", "*")
	w.Write(document)
}
