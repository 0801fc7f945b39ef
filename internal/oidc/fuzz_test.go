package oidc

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/web"
)

// serve answers a request without network.
func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	endpoints(w.server).ServeHTTP(rec, r)
	return rec
}

// unregistered is what redirect URIs have been mistaken for (CVE-2023-6291, CVE-2024-1132,
// CVE-2026-3872, CVE-2026-28512 and the like).
var unregistered = []string{
	"", "https://first.example", "https://first.example/", "https://first.example/cb/", "https://first.example/cb?", "https://first.example/cb#",
	"https://first.example/cb#x", "https://first.example/cb?x=y", "https://first.example/CB", "HTTPS://first.example/cb", "https://FIRST.example/cb",
	"http://first.example/cb", "https://first.example:443/cb", "https://first.example./cb", "https://first.example/cb/../cb", "https://first.example//cb",
	"https://first.example/%63b", "https://first.example/cb%00", "https://first.example/cb%2f..", "https://first.example/cb;x", "https://first.example/*",
	"https://user@first.example/cb", "https://first.example@evil.example/cb", "https://evil.example/https://first.example/cb", "//first.example/cb",
	"https://first.example.evil.example/cb", "https://evil.example#https://first.example/cb", "https://evil.example?https://first.example/cb",
	"https:\\\\first.example\\cb", "https:/first.example/cb", "javascript:alert(1)", "data:text/html,x", " https://first.example/cb", "https://first.example/cb ",
	"https://first.example/cb\r\nLocation: https://evil.example", "https://second.example/cb", "https://first.example/bye", "\x00", "/", "cb",
	"https%3A%2F%2Ffirst.example%2Fcb", "https://first.example/cb2", "https://first.example/cb2?x&tenant=1", "https://ﬁrst.example/cb",
}

// checkNoRedirect fails if an answer sends a browser anywhere but to a registered address.
func checkNoRedirect(t *testing.T, rec *httptest.ResponseRecorder, uri string, registered []string) {
	t.Helper()
	for _, r := range registered {
		if uri == r {
			return
		}
	}
	action, _ := page{body: rec.Body.String()}.form()
	if action == logoutPath {
		action = ""
	}
	if rec.Header().Get("Location") != "" || action != "" || rec.Header().Get("Refresh") != "" || rec.Code < 200 || rec.Code >= 300 && rec.Code < 400 {
		t.Errorf("%q: %d, Location %q, form to %q", uri, rec.Code, rec.Header().Get("Location"), action)
	}
}

// FuzzRedirectURI: whatever is not registered, byte for byte, is never gone to: by no response mode, in
// no order of mistakes, and not after a logout either.
func FuzzRedirectURI(f *testing.F) {
	for _, uri := range unregistered {
		f.Add(uri, "")
		f.Add("https://first.example/cb", "&redirect_uri="+url.QueryEscape(uri))
	}
	f.Add("https://first.example/cb", "")
	f.Add("https://first.example/bye?", ScopeThis)
	w := newWorld(f)
	l := w.first.login(w.browser())
	registered := must(w.sites.Lookup("first"))
	f.Fuzz(func(t *testing.T, uri, more string) {
		for _, mode := range []string{"", query, formPost, "fragment", "form_post.jwt"} {
			for _, change := range [][]string{nil, {"prompt", "none"}, {"response_type", ""}, {"scope", ""}, {"state", "\x00"}, {"request", "x"}} {
				values := w.first.request(append(change, "response_mode", mode)...)
				values.Set("redirect_uri", uri)
				r := httptest.NewRequest(http.MethodGet, authorizePath, nil)
				r.URL.RawQuery = values.Encode() + more
				allowed := registered.RedirectURIs
				if strings.Contains(more, "redirect_uri") {
					allowed = nil // twice is never
					if parsed, err := url.ParseQuery(r.URL.RawQuery); err == nil && len(parsed["redirect_uri"]) == 1 {
						allowed = registered.RedirectURIs
					}
				}
				checkNoRedirect(t, w.serve(r), uri, allowed)
				r = httptest.NewRequest(http.MethodPost, authorizePath, strings.NewReader(values.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				checkNoRedirect(t, w.serve(r), uri, registered.RedirectURIs)
			}
		}
		for _, hint := range []string{l.idToken(), "", "x.y.z"} {
			values := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {uri}, "client_id": {"first"}, ScopeField: {more}}
			for _, path := range []string{endSessionPath, logoutPath} {
				method, body := http.MethodGet, ""
				if path == logoutPath {
					method, body = http.MethodPost, values.Encode()
				}
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				if method == http.MethodGet {
					r.URL.RawQuery = values.Encode()
				} else {
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				allowed := registered.PostLogoutRedirectURIs
				if hint != l.idToken() {
					allowed = nil
				}
				checkNoRedirect(t, w.serve(r), uri, allowed)
			}
		}
	})
}

// FuzzParseRequest: whatever a request holds, it is refused as it should be, or what is accepted can be
// told again and is accepted again.
func FuzzParseRequest(f *testing.F) {
	w := newWorld(f)
	for _, seed := range []url.Values{
		w.first.request(), w.public.request(), w.first.request("response_mode", formPost, "prompt", "none"),
		w.first.request("max_age", "0", "acr_values", "urn:anyid:acr:2", "ui_locales", "ko en"),
		w.first.request("claims", `{"userinfo":{"name":null},"id_token":{"acr":{"essential":true,"values":["urn:anyid:acr:2"]},"sub":{"value":"x"}}}`),
		w.first.request("request", "x"), w.first.request("id_token_hint", "x.y.z"),
	} {
		f.Add(seed.Encode())
	}
	f.Fuzz(func(t *testing.T, raw string) {
		values, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		req, registered, redirectable, err := w.server.parseRequest(values)
		if refused, ok := errors.AsType[*refusal](err); ok {
			checkDescription(t, refused.description)
			if redirectable && (registered == nil || req.RedirectURI != values.Get("redirect_uri")) {
				t.Errorf("redirectable without an address: %+v", req)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if req.State != values.Get("state") || req.Nonce != values.Get("nonce") || req.Site != values.Get("client_id") || req.Scopes[0] == "" {
			t.Errorf("%+v", req)
		}
		again := url.Values{
			"client_id": {req.Site}, "redirect_uri": {req.RedirectURI}, "response_type": {"code"}, "response_mode": {req.ResponseMode},
			"scope": {strings.Join(req.Scopes, " ")}, "prompt": {strings.Join(req.Prompts, " ")}, "acr_values": {strings.Join(req.ACRValues, " ")},
			"ui_locales": {strings.Join(req.UILocales, " ")}, "state": {req.State}, "nonce": {req.Nonce},
		}
		if req.CodeChallenge != "" {
			again.Set("code_challenge", req.CodeChallenge)
			again.Set("code_challenge_method", "S256")
		}
		if _, _, _, err := w.server.parseRequest(again); err != nil {
			t.Errorf("accepted once, then %v: %+v", err, req)
		}
	})
}

// BenchmarkSilentLogin is authorize and token of a login that shows no page, without network.
func BenchmarkSilentLogin(b *testing.B) {
	w := newWorld(b)
	br := w.browser()
	w.first.login(br)
	w.second.login(br)
	cookie := w.server.Cookies.Name("session") + "=" + br.cookie("session")
	handler := web.Chain(endpoints(w.server), web.ClientAddresses(nil))
	for _, alg := range []string{"ES256", "RS256"} {
		c := map[string]*rp{"ES256": w.first, "RS256": w.second}[alg]
		b.Run(alg, func(b *testing.B) {
			target := authorizePath + "?" + c.request("prompt", "none", "code_challenge", s256(testVerifier), "code_challenge_method", "S256").Encode()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest(http.MethodGet, target, nil)
					r.Header.Set("Cookie", cookie)
					rec := httptest.NewRecorder()
					handler.ServeHTTP(rec, r)
					location, err := url.Parse(rec.Header().Get("Location"))
					if err != nil || location.Query().Get("code") == "" {
						b.Errorf("%d %s", rec.Code, rec.Body)
						return
					}
					form := url.Values{
						"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {c.redirect}, "code_verifier": {testVerifier},
					}
					if c == w.second {
						form.Set("client_id", c.id)
						form.Set("client_secret", c.secret)
					}
					r = httptest.NewRequest(http.MethodPost, tokenPath, strings.NewReader(form.Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					if c == w.first {
						r.SetBasicAuth(c.id, c.secret)
					}
					rec = httptest.NewRecorder()
					handler.ServeHTTP(rec, r)
					if rec.Code != http.StatusOK {
						b.Errorf("%d %s", rec.Code, rec.Body)
						return
					}
				}
			})
		})
	}
}

// BenchmarkParseRequest is the validator alone.
func BenchmarkParseRequest(b *testing.B) {
	w := newWorld(b)
	values := w.first.request("prompt", "none", "code_challenge", s256(testVerifier), "code_challenge_method", "S256")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := w.server.parseRequest(values); err != nil {
			b.Fatal(err)
		}
	}
}
