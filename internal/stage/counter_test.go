package stage

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
)

// counter is a third site, which does as a test says: it takes who comes, and may not take it that their session has
// ended.
type counter struct {
	*httptest.Server
	mu     sync.Mutex
	broken map[string]bool        // subjects of which it does not want to hear
	told   map[string][]logoutJWT // by subject: what it has confirmed
	failed map[string]int         // by subject: how often it did not want to hear
}

// logoutJWT is what a logout token says (OIDC Back-Channel Logout §2.4).
type logoutJWT struct {
	Issuer   string                    `json:"iss"`
	Audience string                    `json:"aud"`
	Subject  string                    `json:"sub"`
	SID      string                    `json:"sid"`
	ID       string                    `json:"jti"`
	Events   map[string]map[string]any `json:"events"`
}

func openCounter() *counter {
	c := &counter{broken: map[string]bool{}, told: map[string][]logoutJWT{}, failed: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="ko"><title>창구</title><link rel="icon" href="data:,"><p id="counter-%s">창구`, map[bool]string{true: "in", false: "out"}[r.FormValue("code") != ""])
	})
	mux.HandleFunc("POST /backchannel", c.hear)
	c.Server = httptest.NewServer(mux)
	return c
}

func (c *counter) document() site.Document {
	return site.Document{Secret: secret.NewHandle(), Site: site.Site{
		ID: "counter", Name: "창구", Institution: site.Institution{ID: "counter", Name: "창구(시연)"},
		RedirectURIs: []string{c.URL + "/callback"}, HomeURL: c.URL + "/", LoginURL: c.URL + "/", Sector: "counter",
		BackchannelLogoutURI: c.URL + "/backchannel", BackchannelLogoutSessionRequired: true,
		Scopes:   []string{site.ScopeOpenID, site.ScopeProfile},
		HandOver: site.HandOver{Version: "2026-11-01", Purpose: "방문 예약", Retention: "하루", Basis: "시연용 문구"},
	}}
}

// hear takes a logout token, or answers 500.
func (c *counter) hear(w http.ResponseWriter, r *http.Request) {
	var token logoutJWT
	if err := decodeJWT(r.PostFormValue("logout_token"), &token); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken[token.Subject] {
		c.failed[token.Subject]++
		http.Error(w, "not today", http.StatusInternalServerError)
		return
	}
	c.told[token.Subject] = append(c.told[token.Subject], token)
}

// breaks lets the counter not want to hear of the subject, or hear again.
func (c *counter) breaks(subject string, broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken[subject] = broken
}

// heard is what the counter has confirmed of the subject, and how often it did not.
func (c *counter) heard(subject string) ([]logoutJWT, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told[subject], c.failed[subject]
}

// decodeJWT reads a token's claims, and trusts whoever made it.
func decodeJWT(token string, into any) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	return json.Unmarshal(claims, into)
}

// goToCounter goes to the broker as somebody who logs in at the counter, or through it.
func (a *actor) goToCounter() {
	a.t.Helper()
	query := url.Values{
		"client_id": {"counter"}, "redirect_uri": {a.p.counter.URL + "/callback"}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {secret.NewHandle()}, "nonce": {secret.NewHandle()},
	}
	a.Open(a.s.BrokerURL + "/authorize?" + query.Encode())
}

// issued is what the broker has answered at its token endpoint.
type issued struct {
	AccessToken      string `json:"access_token"`
	IDToken          string `json:"id_token"`
	SessionExpiresIn int    `json:"session_expires_in"`

	claims struct {
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
	}
}

// ear hears what the broker answers the sites.
type ear struct {
	through http.RoundTripper
	mu      sync.Mutex
	all     []issued
}

// listen lets an ear hear what goes through the client.
func listen(client *http.Client) *ear {
	e := &ear{through: client.Transport}
	client.Transport = e
	return e
}

// RoundTrip implements http.RoundTripper.
func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := e.through.RoundTrip(r)
	if err != nil || r.URL.Path != "/token" || answer.StatusCode != http.StatusOK {
		return answer, err
	}
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return answer, nil
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	var i issued
	if json.Unmarshal(body, &i) == nil && decodeJWT(i.IDToken, &i.claims) == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, i)
	}
	return answer, nil
}

// last is the last answer to the site about the subject.
func (e *ear) last(t *testing.T, site, subject string) issued {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.all) - 1; i >= 0; i-- {
		if c := e.all[i].claims; c.Audience == site && c.Subject == subject {
			return e.all[i]
		}
	}
	t.Fatalf("the broker has told %s nothing about %q", site, subject)
	return issued{}
}

// subject is how the site knows the person.
func (s *Stage) subject(t *testing.T, who Person, at string) string {
	t.Helper()
	id, _ := s.kept(t, who, at)
	if id == "" {
		t.Fatal("the person is not registered")
	}
	registered, err := s.App.Sites.Lookup(at)
	must(t, err)
	return registered.Subject(s.App.Login.Subjects, id)
}

// userinfo is the status with which the broker answers who comes with the token.
func (s *Stage) userinfo(t *testing.T, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.BrokerURL+"/userinfo", nil)
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := s.Client.Do(request)
	must(t, err)
	must(t, answer.Body.Close())
	return answer.StatusCode
}

// approve presses 승인 on the phone, without looking at it.
func (a *actor) approve() {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		for _, w := range a.s.Phones.Waiting(a.Phone) {
			must(a.t, a.s.Phones.Approve(w.ReceiptID))
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatal("nothing came to the phone")
		}
	}
}

// says fails the test unless the page shows the texts, however they are broken into lines and elements.
func (a *actor) says(texts ...string) {
	a.t.Helper()
	shown := unspaced(a.Value("document.body.innerText"))
	for _, text := range texts {
		if !strings.Contains(shown, unspaced(text)) {
			a.t.Errorf("%s does not say %q, but %s", a.URL(), text, shown)
		}
	}
}

// reads fails the test unless the element shows the texts.
func (a *actor) reads(id string, texts ...string) {
	a.t.Helper()
	shown := unspaced(a.Text(id))
	for _, text := range texts {
		if !strings.Contains(shown, unspaced(text)) {
			a.t.Errorf("#%s does not say %q, but %s", id, text, shown)
		}
	}
}

// eventually waits until an expression of JavaScript has the value.
func (a *actor) eventually(expression, want string) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got := a.Value(expression)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%s is %s, want %s", expression, got, want)
		}
	}
}

// unspaced is a text without white space, and with the quotation marks of typewriters.
func unspaced(text string) string {
	return strings.NewReplacer("‘", "'", "’", "'", "“", `"`, "”", `"`, "\u200b", "").Replace(strings.Join(strings.Fields(text), ""))
}

// join registers with Any-ID and logs in at Q-Net as a member, by simple authentication.
func (a *actor) join() {
	a.t.Helper()
	a.goToQNet()
	a.request("kakao")
	a.approve()
	a.Wait("register")
	a.agree()
	a.Follow("consent-allow")
	a.signedIn(a.s.QNetURL)
}

// login logs in at Q-Net as somebody who is known there and at Any-ID, by simple authentication.
func (a *actor) login() {
	a.t.Helper()
	a.goToQNet()
	a.asked()
	a.request("kakao")
	a.approve()
	a.Wait("signed-in-name")
	a.signedIn(a.s.QNetURL)
}

// identify proves who the person is, by simple authentication, and shows a page of 사용자 관리.
func (a *actor) identify(page string) {
	a.t.Helper()
	a.Open(a.s.BrokerURL + "/manage" + page)
	a.Follow("verify-simple")
	a.proveSelf()
	a.at(a.s.BrokerURL + "/manage" + page)
}

// proveSelf goes through simple authentication, from its form to the page that was asked for.
func (a *actor) proveSelf() {
	a.t.Helper()
	a.Click("provider-toss")
	a.Fill("name", a.Name)
	a.Fill("birthdate", a.BirthDate)
	a.Fill("phone", a.Phone)
	a.Follow("request-auth")
	a.Wait("auth-complete")
	a.approve()
	a.Wait("session") // by itself
}

// signedOutElsewhere fails the test unless the site says that it was told of the end.
func (a *actor) signedOutElsewhere(site string) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		a.Open(site + "/my")
		if !a.Has("signed-in-name") {
			break
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("still signed in at %s", site)
		}
	}
	a.says("정부 통합로그인이나 다른 화면에서 로그아웃하여")
}

// receipt waits until the page with a receipt, loaded again and again, shows these states by the sites' names.
func (a *actor) receipt(want map[string]string) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		a.Wait("main")
		var shown map[string]string
		must(a.t, json.Unmarshal([]byte(a.Value(`JSON.stringify(Object.fromEntries([...document.querySelectorAll(".deliveries li")].map(e =>
			[e.querySelector("span").innerText, e.querySelector(".krds-tag").innerText])))`)), &shown))
		same := len(shown) == len(want)
		for site, state := range want {
			same = same && shown[site] == state
		}
		if same {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the receipt says %v, want %v", shown, want)
		}
		a.Reload()
	}
}
