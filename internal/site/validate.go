package site

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

// Scopes that exist. CI needs a legal basis of the site.
const (
	ScopeOpenID        = "openid"
	ScopeProfile       = "profile"
	ScopePhone         = "phone"
	ScopeCI            = "ci"
	ScopeOfflineAccess = "offline_access"
)

// AllScopes lists the scopes that a site can be allowed to ask for.
func AllScopes() []string {
	return []string{ScopeOpenID, ScopeProfile, ScopePhone, ScopeCI, ScopeOfflineAccess}
}

// SigningAlgs lists the ID token signing algorithms, the default first (RFC 7518 §3.1).
func SigningAlgs() []string { return []string{"ES256", "RS256"} }

var idPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// WithDefaults fills what a document may leave out: confidential by client_secret_basic, code grant,
// the openid scope, ES256, pairwise subjects in the sector of the first redirect URI's host.
func (s Site) WithDefaults() Site {
	if s.AuthMethod == "" {
		s.AuthMethod = SecretBasic
	}
	if len(s.GrantTypes) == 0 {
		s.GrantTypes = []string{AuthorizationCode}
	}
	if len(s.Scopes) == 0 {
		s.Scopes = []string{ScopeOpenID}
	}
	if s.SigningAlg == "" {
		s.SigningAlg = SigningAlgs()[0]
	}
	if s.SubjectType == "" {
		s.SubjectType = Pairwise
	}
	if s.Sector == "" && len(s.RedirectURIs) > 0 {
		if u, err := url.Parse(s.RedirectURIs[0]); err == nil {
			s.Sector = u.Hostname()
		}
	}
	if s.HandOver.Version == "" {
		s.HandOver.Version = "1"
	}
	return s
}

// Validate returns every fault of the document, joined in one fault.Invalid, or nil.
func (s Site) Validate() error {
	var faults []string
	fail := func(key, format string, args ...any) {
		faults = append(faults, key+": "+fmt.Sprintf(format, args...))
	}
	if !idPattern.MatchString(s.ID) {
		fail("client_id", "%q is not 1 to 64 of letters, digits, '.', '_', '-'", s.ID)
	}
	if strings.TrimSpace(s.Name) == "" {
		fail("client_name", "is missing")
	}
	if len(s.RedirectURIs) == 0 {
		fail("redirect_uris", "needs at least one")
	}
	hosts := make(map[string]bool)
	for _, uri := range s.RedirectURIs {
		if err := ValidateURI(uri); err != nil {
			fail("redirect_uris", "%s", err)
		} else if u, err := url.Parse(uri); err == nil {
			hosts[u.Hostname()] = true
		}
	}
	for _, uri := range s.PostLogoutRedirectURIs {
		if err := ValidateURI(uri); err != nil {
			fail("post_logout_redirect_uris", "%s", err)
		}
	}
	for _, page := range []struct{ key, uri string }{
		{"login_url", s.LoginURL}, {"client_uri", s.HomeURL},
		{"backchannel_logout_uri", s.BackchannelLogoutURI}, {"frontchannel_logout_uri", s.FrontchannelLogoutURI},
	} {
		if page.uri == "" {
			continue
		}
		if err := ValidateURI(page.uri); err != nil {
			fail(page.key, "%s", err)
		}
	}
	s.validateLogout(fail)
	if !slices.Contains([]AuthMethod{SecretBasic, SecretPost, Public}, s.AuthMethod) {
		fail("token_endpoint_auth_method", "%q is none of client_secret_basic, client_secret_post, none", s.AuthMethod)
	}
	for _, g := range s.GrantTypes {
		if g != AuthorizationCode && g != RefreshToken {
			fail("grant_types", "%q is none of authorization_code, refresh_token", g)
		}
	}
	if !slices.Contains(s.GrantTypes, AuthorizationCode) {
		fail("grant_types", "authorization_code is missing")
	}
	for _, scope := range s.Scopes {
		if !slices.Contains(AllScopes(), scope) {
			fail("scopes", "%q is none of %s", scope, strings.Join(AllScopes(), ", "))
		}
	}
	if !slices.Contains(s.Scopes, ScopeOpenID) {
		fail("scopes", "openid is missing")
	}
	if slices.Contains(s.Scopes, ScopeCI) && s.HandOver.CIBasis == "" {
		fail("hand_over.ci_basis", "the scope ci needs the legal basis on which the site may receive the CI")
	}
	if slices.Contains(s.Scopes, ScopeOfflineAccess) && !slices.Contains(s.GrantTypes, RefreshToken) {
		fail("scopes", "offline_access needs the grant type refresh_token")
	}
	if !slices.Contains(SigningAlgs(), s.SigningAlg) {
		fail("id_token_signed_response_alg", "%q is none of %s", s.SigningAlg, strings.Join(SigningAlgs(), ", "))
	}
	switch s.SubjectType {
	case PublicSubject:
	case Pairwise:
		if s.Sector == "" {
			fail("sector_identifier", "is missing")
		}
		// OIDC Core §8.1: several hosts need a sector of their own choice, not the first one's by chance.
		if len(hosts) > 1 && hosts[s.Sector] {
			fail("sector_identifier", "the redirect URIs have several hosts; name a sector that is none of them")
		}
	default:
		fail("subject_type", "%q is none of pairwise, public", s.SubjectType)
	}
	for _, m := range s.Methods {
		if _, err := method.Parse(string(m)); err != nil {
			fail("methods", "%q is none of the methods", m)
		}
	}
	for _, k := range s.Certificates {
		if !slices.Contains(method.CertificateKinds(), k) {
			fail("certificates", "%q is none of %s", k, joined(method.CertificateKinds()))
		}
	}
	if s.Level < 0 || s.Level > 3 {
		fail("minimum_level", "%d is not 0 to 3", s.Level)
	}
	if len(faults) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "site %q: %s", s.ID, strings.Join(faults, "; "))
}

// A site's own session lasts a minute at least, so that its code can be redeemed, and a year at most.
const (
	minSessionLifetime = 60
	maxSessionLifetime = 365 * 24 * 60 * 60
)

// framable is an origin that a Content-Security-Policy can name (CSP3 §2.3.1): its host is no IPv6 address and has no
// underscore.
var framable = regexp.MustCompile(`^https?://[a-z0-9.-]+(:[0-9]+)?$`)

func (s Site) validateLogout(fail func(key, format string, args ...any)) {
	if uri := s.FrontchannelLogoutURI; uri != "" {
		// Front-Channel Logout §2: scheme, host and port are those of a registered redirect URI.
		if !slices.ContainsFunc(s.RedirectURIs, func(r string) bool { return Origin(r) == Origin(uri) }) {
			fail("frontchannel_logout_uri", "%q is at no redirect URI's origin", uri)
		}
		if !framable.MatchString(Origin(uri)) {
			fail("frontchannel_logout_uri", "%q has a host that a frame's policy cannot name", uri)
		}
	}
	if s.FrontchannelLogoutURI == "" && s.FrontchannelLogoutSessionRequired {
		fail("frontchannel_logout_session_required", "needs frontchannel_logout_uri")
	}
	if s.BackchannelLogoutURI == "" && s.BackchannelLogoutSessionRequired {
		fail("backchannel_logout_session_required", "needs backchannel_logout_uri")
	}
	if n := s.SessionLifetime; n != 0 && (n < minSessionLifetime || n > maxSessionLifetime) {
		fail("session_lifetime", "%d is neither 0 nor %d to %d seconds", n, minSessionLifetime, maxSessionLifetime)
	}
}

// joined lists the kinds for a reader.
func joined(kinds []method.CertificateKind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// ValidateURI checks an address that a browser may be sent to: absolute, https (http for loopback hosts
// only), with a host, without fragment, user information, wildcard, whitespace or backslash (RFC 6749
// §3.1.2, RFC 9700 §2.1). It is written as every browser writes it, so that nobody reads it otherwise:
// in ASCII, scheme and host in lower case.
func ValidateURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || strings.ContainsAny(uri, " \t\r\n\\*<>\"'`{}|^;,"):
		return fmt.Errorf("%q is not a URI", uri)
	case strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%q is not in ASCII", uri)
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return fmt.Errorf("%q is not an absolute https address", uri)
	case strings.Contains(uri, "#"):
		return fmt.Errorf("%q has a fragment", uri)
	case u.User != nil:
		return fmt.Errorf("%q has user information", uri)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%q must be https; http is for loopback hosts", uri)
	case !strings.HasPrefix(uri, u.Scheme+"://"+strings.ToLower(u.Host)) || u.String() != uri:
		return fmt.Errorf("%q must be written with scheme and host in lower case, as browsers do", uri)
	case !hostPattern.MatchString(u.Host):
		return fmt.Errorf("%q has no host name that browsers take", uri)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port != strconv.FormatUint(n, 10) {
			return fmt.Errorf("%q has no port that exists", uri)
		}
	}
	return nil
}

// hostPattern is a host with an optional port: names and IPv4 addresses, or an IPv6 address in brackets.
var hostPattern = regexp.MustCompile(`^([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?$`)

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
