package oidc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
)

// The tests of this file hold on to what zitadel/oidc v3.49.4 does wrong as shipped, and this package
// does right. They are to be read again with each new version of the library.

// foreignJWS signs a payload (base64url) with a key that is not ours but says that it is.
func foreignJWS(t *testing.T, payload string) string {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	kid := testKeys().List()[0].ID
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil))
	jws := must(signer.Sign(must(base64.RawURLEncoding.DecodeString(payload))))
	return must(jws.CompactSerialize())
}

// As shipped: a confidential client may leave the code verifier out.
func TestLibraryPKCEDowngrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	with := []string{"code_challenge", s256(testVerifier), "code_challenge_method", "S256"}
	for name, test := range map[string]struct {
		c        *rp
		request  []string
		verifier string
	}{
		"verifier left out by a confidential client": {w.first, with, ""},
		"wrong verifier":                       {w.first, with, testVerifier + "x"},
		"challenge as verifier":                {w.first, with, s256(testVerifier)},
		"too short a verifier":                 {w.first, []string{"code_challenge", s256("short"), "code_challenge_method", "S256"}, "short"},
		"verifier without challenge":           {w.first, nil, testVerifier},
		"verifier left out by a public client": {w.public, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := test.c.request(test.request...)
			code := test.c.authorize(w.browser(), request).values.Get("code")
			wantAPI(t, test.c.exchange(code, "code_verifier", test.verifier), 400, "invalid_grant")
			// A try that fails does not cost the owner the code.
			right := testVerifier
			switch {
			case test.request == nil && test.c == w.first:
				right = ""
			case test.verifier == "short":
				return
			}
			if a := test.c.exchange(code, "code_verifier", right); a.status != 200 {
				t.Errorf("with the right verifier: %s", a.body)
			}
		})
	}
	for name, request := range map[string]url.Values{
		"plain":          w.first.request("code_challenge", testVerifier, "code_challenge_method", "plain"),
		"no method":      w.first.request("code_challenge", testVerifier),
		"unknown method": w.first.request("code_challenge", testVerifier, "code_challenge_method", "S512"),
		"method alone":   w.first.request("code_challenge_method", "S256"),
		"short":          w.first.request("code_challenge", "short", "code_challenge_method", "S256"),
		"no unreserved":  w.first.request("code_challenge", strings.Repeat("+", 43), "code_challenge_method", "S256"),
	} {
		t.Run(name, func(t *testing.T) {
			w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_request")
		})
	}
	request := w.public.request("code_challenge", "", "code_challenge_method", "")
	w.public.wantError(request, w.public.authorize(w.browser(), request), "invalid_request")
}

// As shipped: /authorize/callback?id= hands a fresh code to whoever knows the id.
func TestLibraryCallbackReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/authorize/callback?id=1", "/healthz", "/ready", "/keys", "/oauth/token", "/device_authorization"} {
		if a := w.call(must(http.NewRequest(http.MethodGet, w.srv.URL+path, nil))); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
}

const racers = 64

// race runs f from many goroutines at once.
func race(f func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range racers {
		done.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	done.Wait()
}

// As shipped: a code is found, used and deleted in three steps, and its second use revokes nothing.
func TestLibraryCodeSingleUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := w.first.request("scope", "openid offline_access", "prompt", "consent")
	code := w.first.authorize(w.browser(), request).values.Get("code")
	answers := make([]answer, racers)
	race(func(i int) { answers[i] = w.first.exchange(code) })
	won := 0
	for _, a := range answers {
		if a.status == 200 {
			won++
			wantAPI(t, w.userinfo(a.text("access_token")), 401, "invalid_token")
			wantAPI(t, w.first.refresh(a.text("refresh_token")), 400, "invalid_grant")
			continue
		}
		wantAPI(t, a, 400, "invalid_grant")
	}
	if won > 1 { // none, if the replay was faster than the winner's refresh token
		t.Errorf("%d racers got tokens", won)
	}
	if len(w.events(audit.CodeReplayed)) == 0 {
		t.Error("no replay was written down")
	}
}

func TestRefreshTokenSingleUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.first.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
	answers := make([]answer, racers)
	race(func(i int) { answers[i] = w.first.refresh(l.tokens.text("refresh_token")) })
	won := 0
	for _, a := range answers {
		if a.status == 200 {
			won++
			wantAPI(t, w.userinfo(a.text("access_token")), 401, "invalid_token")
			wantAPI(t, w.first.refresh(a.text("refresh_token")), 400, "invalid_grant")
			continue
		}
		wantAPI(t, a, 400, "invalid_grant")
	}
	if won != 1 {
		t.Errorf("%d racers got tokens", won)
	}
	if len(w.events(audit.RefreshReused)) == 0 {
		t.Error("no reuse was written down")
	}
}

// As shipped: the code is looked up before the client is authenticated.
func TestLibraryCodeBehindAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	code := w.first.authorize(w.browser(), w.first.request()).values.Get("code")
	thief := *w.first
	thief.secret = "guessed"
	wantAPI(t, thief.exchange(code), 401, "invalid_client")
	thief = *w.second
	thief.redirect = w.first.redirect
	wantAPI(t, thief.exchange(code), 400, "invalid_grant")
	wantAPI(t, w.first.exchange(code, "redirect_uri", "https://first.example/cb2?tenant=1&x"), 400, "invalid_grant")
	wantAPI(t, w.first.exchange(code, "redirect_uri", ""), 400, "invalid_request")
	if a := w.first.exchange(code); a.status != 200 {
		t.Errorf("the owner came too late: %s", a.body)
	}
}

// As shipped: an ID token is taken for an access token.
func TestLibraryTokenConfusion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.first.login(w.browser(), "scope", "openid offline_access", "prompt", "consent")
	for _, token := range []string{l.idToken(), l.tokens.text("refresh_token"), l.values.Get("code"), "x"} {
		wantAPI(t, w.userinfo(token), 401, "invalid_token")
	}
	// Nor is an access token good for anything else.
	wantAPI(t, w.first.refresh(l.access()), 400, "invalid_grant")
	wantAPI(t, w.first.exchange(l.access()), 400, "invalid_grant")
	request := w.first.request("id_token_hint", l.access())
	w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_request")
	// Not everything that the broker signs is an ID token.
	checkpoint := must(testKeys().SignJWS([]byte(`{"position":1,"hash":"x","at":1}`)))
	request = w.first.request("id_token_hint", checkpoint)
	w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_request")
}

// As shipped: access tokens are decrypted without authentication, so they can be altered.
func TestLibraryTokensAreHandles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.first.login(w.browser()).access()
	raw := must(base64.RawURLEncoding.DecodeString(token))
	if len(raw) != 32 {
		t.Fatalf("an access token of %d bytes", len(raw))
	}
	for i := range raw {
		altered := bytes.Clone(raw)
		altered[i] ^= 1
		wantAPI(t, w.userinfo(base64.RawURLEncoding.EncodeToString(altered)), 401, "invalid_token")
	}
}

// As shipped: the jwt-bearer grant is always on, and others answer in their own ways.
func TestLibraryGrantsSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, grant := range []string{
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange",
		"urn:ietf:params:oauth:grant-type:device_code", "password", "implicit", `"quoted\`, "한국어",
	} {
		form := url.Values{"grant_type": {grant}, "assertion": {"x.y.z"}, "subject_token": {"x"}, "subject_token_type": {"x"}, "device_code": {"x"}}
		wantAPI(t, w.first.api(tokenPath, form), 400, "unsupported_grant_type")
	}
	wantAPI(t, w.first.api(tokenPath, url.Values{}), 400, "invalid_request")
	wantAPI(t, w.public.api(tokenPath, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}), 400, "unauthorized_client")
}

// As shipped: op.Server answers what is wrong with an authorization request by JSON, and looks at
// redirect_uri last.
func TestLibraryAuthorizeErrorsGoToTheSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	request := w.first.request("scope", "profile", "prompt", "none login")
	w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_request")
	request.Set("redirect_uri", "https://evil.example/")
	wantPage(t, w.browser().get(authorizePath, request), 400, CodeRedirect)
}

// As shipped: response_mode=query holds for tokens too, unknown modes are taken for the default, and
// form_post is for success only.
func TestLibraryResponseModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, kind := range []string{"token", "id_token", "id_token token", "code id_token", "code token", "none", "Code"} {
		request := w.first.request("response_type", kind, "response_mode", "query")
		w.first.wantError(request, w.first.authorize(w.browser(), request), "unsupported_response_type")
	}
	for _, mode := range []string{"fragment", "web_message", "query.jwt", "form_post.jwt", "jwt", "QUERY"} {
		request := w.first.request("response_mode", mode)
		w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_request")
	}
	request := w.first.request("response_mode", formPost, "prompt", "none")
	res := w.first.authorize(w.browser(), request)
	w.first.wantError(request, res, "login_required")
	if csp := res.header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://first.example;") {
		t.Errorf("the form's target is not allowed: %s", csp)
	}
}

// As shipped: redirect_uri is decoded twice.
func TestLibraryRedirectURIDecodedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change("first", func(s *site.Site) {
		s.RedirectURIs = append(s.RedirectURIs, "https://first.example/a%2Fb?x=1%202+3")
	})
	l := w.first.login(w.browser(), "redirect_uri", "https://first.example/a%2Fb?x=1%202+3")
	if !strings.HasPrefix(l.location, "https://first.example/a%2Fb?x=1%202+3&code=") {
		t.Errorf("sent to %s", l.location)
	}
	for _, uri := range []string{"https://first.example/a/b?x=1%202+3", "https://first.example/a%252Fb?x=1%25202%2B3", "https://first.example/a%2fb?x=1%202+3"} {
		wantPage(t, w.browser().get(authorizePath, w.first.request("redirect_uri", uri)), 400, CodeRedirect)
	}
}

// As shipped: errors of the storage are shown to clients.
func TestLibraryStoreErrorsStayInside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	l := w.first.login(b, "scope", "openid offline_access", "prompt", "consent")
	code := w.first.authorize(b, w.first.request()).values.Get("code")
	w.kv.down.Store(true)
	for name, a := range map[string]answer{
		"token":      w.first.exchange(code),
		"userinfo":   w.userinfo(l.access()),
		"introspect": w.first.api(introspectPath, url.Values{"token": {l.access()}}),
		"revoke":     w.first.api(revokePath, url.Values{"token": {l.access()}}),
		"refresh":    w.first.refresh(l.tokens.text("refresh_token")),
	} {
		t.Run(name, func(t *testing.T) {
			wantAPI(t, a, 503, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "10.0.0.1") {
				t.Errorf("%v %s", a.header, a.body)
			}
		})
	}
	request := w.first.request()
	w.first.wantError(request, w.first.authorize(b, request), "temporarily_unavailable")
	wantPage(t, b.get(endSessionPath, nil), 503, CodeUnavailable)
	if !strings.Contains(w.log.String(), "10.0.0.1") || !strings.Contains(w.log.String(), "request_id=") {
		t.Error("the cause is not in the log")
	}
}

// As shipped: tokens may be cached, nothing is ever challenged, invalid_client is 400, and the token
// endpoint takes GET, secrets in the URL, and parameters twice.
func TestLibraryHeadersAndMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.first.login(w.browser())
	if l.tokens.header.Get("Cache-Control") != "no-store" || l.tokens.header.Get("Pragma") != "no-cache" {
		t.Errorf("token: %v", l.tokens.header)
	}
	for _, path := range []string{tokenPath, introspectPath, revokePath} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
			r := must(http.NewRequest(method, w.srv.URL+path+"?client_id=second&client_secret="+w.second.secret, nil))
			if a := w.call(r); a.status != 405 || a.header.Get("Allow") != "POST" {
				t.Errorf("%s %s: %d %v", method, path, a.status, a.header)
			}
		}
		form := url.Values{"token": {"x"}, "grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"x"}}
		if path != tokenPath {
			form.Del("grant_type")
		}
		wantAPI(t, w.postForm(path+"?client_id=second&client_secret="+w.second.secret, form, nil), 400, "invalid_request")
		wrong := *w.first
		wrong.secret = "wrong"
		a := wrong.api(path, form)
		wantAPI(t, a, 401, "invalid_client")
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic realm=") {
			t.Errorf("%s: %v", path, a.header)
		}
		for name := range form {
			twice := url.Values{}
			for k, v := range form {
				twice[k] = v
			}
			twice[name] = []string{"x", "x"}
			wantAPI(t, w.first.api(path, twice), 400, "invalid_request")
		}
		wantAPI(t, w.first.w.postForm(path, form, func(r *http.Request) {
			r.SetBasicAuth(w.first.id, w.first.secret)
			r.Header.Set("Content-Type", "application/json")
		}), 400, "invalid_request")
		long := url.Values{"token": {strings.Repeat("x", maxBody)}}
		if a := w.first.api(path, long); a.status != 400 && a.status != 413 {
			t.Errorf("%s: a long body: %d", path, a.status)
		}
		// Nothing for scripts of other origins.
		a = w.postForm(path, form, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: CORS %v", path, a.header)
		}
	}
	for _, path := range []string{userinfoPath, authorizePath, endSessionPath} {
		if a := w.call(must(http.NewRequest(http.MethodPut, w.srv.URL+path, nil))); a.status != 405 {
			t.Errorf("PUT %s: %d", path, a.status)
		}
	}
	wantAPI(t, w.call(must(http.NewRequest(http.MethodGet, w.srv.URL+userinfoPath+"?access_token="+l.access(), nil))), 400, "invalid_request")
}

// As shipped: error descriptions quote the request.
func TestLibraryDescriptionsQuoteNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nasty := "\"\\<script>한\x01"
	for _, parameter := range []string{"response_type", "response_mode", "scope", "prompt", "max_age", "code_challenge_method", "claims", "id_token_hint", "acr_values", "display"} {
		request := w.first.request(parameter, nasty)
		res := w.first.authorize(w.browser(), request)
		checkDescription(t, res.values.Get("error_description"))
		if strings.Contains(res.values.Get("error_description"), "<script") {
			t.Errorf("%s is quoted", parameter)
		}
	}
	for _, parameter := range []string{"grant_type", "client_id", "client_assertion_type", "client_assertion", "scope", "token_type_hint"} {
		for _, path := range []string{tokenPath, introspectPath, revokePath} {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"x"}, "token": {"x"}}
			if path != tokenPath {
				form.Del("grant_type")
			}
			form.Set(parameter, nasty)
			a := w.postForm(path, form, func(r *http.Request) { r.SetBasicAuth(w.first.id, w.first.secret) })
			checkDescription(t, a.text("error_description"))
			if strings.Contains(a.body, "script>") {
				t.Errorf("%s %s: %s", path, parameter, a.body)
			}
		}
	}
}

// As shipped: end_session without a hint ends the session and goes to a default address.
func TestLibraryEndSessionAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser()
	w.first.login(b)
	p := b.get(endSessionPath, url.Values{"client_id": {"first"}, "post_logout_redirect_uri": {"https://first.example/bye"}})
	wantPage(t, p, 200, "logout confirm")
	w.first.login(b, "prompt", "none")
}

// As shipped: an ID token is issued without the scope openid, and its sub can be emptied by userinfo.
func TestLibraryIDTokenNeedsOpenID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, scope := range []string{"", "profile", "OPENID", "openidx"} {
		request := w.first.request("scope", scope)
		w.first.wantError(request, w.first.authorize(w.browser(), request), "invalid_scope")
	}
	l := w.first.login(w.browser(), "scope", "openid profile offline_access", "prompt", "consent")
	narrowed := w.first.refresh(l.tokens.text("refresh_token"), "scope", "profile")
	if narrowed.status != 200 || narrowed.json["id_token"] != nil || narrowed.text("scope") != "profile" {
		t.Error(narrowed.body)
	}
	wantAPI(t, w.userinfo(narrowed.text("access_token")), 403, "insufficient_scope")
	if again := w.first.refresh(narrowed.text("refresh_token")); again.text("scope") != "openid profile offline_access" || again.text("id_token") == "" {
		t.Errorf("the refresh token itself was narrowed: %s", again.body)
	}
}

// As shipped: a store that is away makes every token inactive.
func TestLibraryIntrospectionStoreErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	token := w.first.login(w.browser()).access()
	w.kv.down.Store(true)
	a := w.first.api(introspectPath, url.Values{"token": {token}})
	wantAPI(t, a, 503, "temporarily_unavailable")
	if a.json["active"] != nil {
		t.Error(a.body)
	}
}

// As shipped: every route registered is told to slog.Default.
func TestLibraryRegistersQuietly(t *testing.T) {
	// Not parallel: it looks at the default logger.
	var b syncBuffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	defer slog.SetDefault(before)
	mine := slog.Default()
	register(&provider{})
	if slog.Default() != mine {
		t.Error("the default logger was not put back")
	}
	if b.String() != "" {
		t.Error(b.String())
	}
}

// As shipped: a colon in the subject breaks tokens. Ours has none, for either kind.
func TestLibrarySubjectAlphabet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []*rp{w.first, w.public} {
		sub := c.login(w.browser()).claims["sub"].(string)
		if raw, err := base64.RawURLEncoding.DecodeString(sub); err != nil || len(raw) != 32 || sub == secret.Hash(w.kim) {
			t.Errorf("sub %q", sub)
		}
	}
}
