package rp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/rp"
)

// tell posts a form to the site's back-channel address and checks what every answer has.
func (s *site) tell(t *testing.T, form url.Values) (status int, said string) {
	t.Helper()
	res, err := http.PostForm(s.url+rp.BackChannelPath, form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
	}
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, ""
	}
	var problem struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(body, &problem); err != nil || problem.Error == "" || problem.Description == "" || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("error answer %q of type %q: %v", body, res.Header.Get("Content-Type"), err)
	}
	return res.StatusCode, problem.Error
}

func TestBackChannelLogout(t *testing.T) {
	t.Parallel()
	type claims = map[string]any
	for name, tc := range map[string]struct {
		change func(claims)
		status int
		ended  bool
	}{
		"by sid and sub":        {func(claims) {}, 200, true},
		"by sub":                {func(c claims) { delete(c, "sid") }, 200, true},
		"by sid":                {func(c claims) { delete(c, "sub") }, 200, true},
		"aud in a list":         {func(c claims) { c["aud"] = []string{optest.ClientID} }, 200, true},
		"more claims":           {func(c claims) { c["trace"] = "x" }, 200, true},
		"another session":       {func(c claims) { c["sid"] = "sid-2" }, 200, false},
		"another subject":       {func(c claims) { c["sub"] = "subject-2"; delete(c, "sid") }, 200, false},
		"another's session":     {func(c claims) { c["sub"] = "subject-2" }, 200, false},
		"neither":               {func(c claims) { delete(c, "sub"); delete(c, "sid") }, 400, false},
		"empty sid":             {func(c claims) { c["sid"] = "" }, 400, false},
		"sid a number":          {func(c claims) { c["sid"] = 1 }, 400, false},
		"for another site":      {func(c claims) { c["aud"] = "other" }, 400, false},
		"for two sites":         {func(c claims) { c["aud"] = []string{optest.ClientID, "other"} }, 400, false},
		"for nobody":            {func(c claims) { c["aud"] = []string{} }, 400, false},
		"of another provider":   {func(c claims) { c["iss"] = "https://other.example" }, 400, false},
		"no iss":                {func(c claims) { delete(c, "iss") }, 400, false},
		"no jti":                {func(c claims) { delete(c, "jti") }, 400, false},
		"no iat":                {func(c claims) { delete(c, "iat") }, 400, false},
		"no exp":                {func(c claims) { delete(c, "exp") }, 400, false},
		"exp null":              {func(c claims) { c["exp"] = nil }, 400, false},
		"exp a text":            {func(c claims) { c["exp"] = "tomorrow" }, 400, false},
		"expired":               {func(c claims) { c["iat"], c["exp"] = 1, 2 }, 400, false},
		"from tomorrow":         {func(c claims) { c["iat"], c["exp"] = int64(4e9), int64(4e9+60) }, 400, false},
		"ends before it begins": {func(c claims) { c["exp"] = c["iat"] }, 400, false},
		"with a nonce":          {func(c claims) { c["nonce"] = "n" }, 400, false},
		"with a null nonce":     {func(c claims) { c["nonce"] = nil }, 400, false},
		"no events":             {func(c claims) { delete(c, "events") }, 400, false},
		"another event":         {func(c claims) { c["events"] = claims{"https://other.example": claims{}} }, 400, false},
		"two events":            {func(c claims) { c["events"].(claims)["https://other.example"] = claims{} }, 400, false},
		"event not empty":       {func(c claims) { c["events"] = claims{optest.LogoutEvent: claims{"x": 1}} }, 400, false},
		"event null":            {func(c claims) { c["events"] = claims{optest.LogoutEvent: nil} }, 400, false},
		"event a list":          {func(c claims) { c["events"] = claims{optest.LogoutEvent: []int{}} }, 400, false},
		"events a list":         {func(c claims) { c["events"] = []string{optest.LogoutEvent} }, 400, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := optest.Browser(t)
			get(t, b, s.url+"/start")
			c := s.provider.LogoutClaims("subject-1", "sid-1")
			tc.change(c)
			status, said := s.tell(t, url.Values{"logout_token": {s.provider.Sign("logout+jwt", c)}})
			if ended := get(t, b, s.url+"/who") == ""; status != tc.status || ended != tc.ended {
				t.Errorf("status %d, ended %t; want %d, %t", status, ended, tc.status, tc.ended)
			}
			if status != 200 && said != "invalid_request" {
				t.Errorf("error %q", said)
			}
			how := s.sessions.Ended(s.request(b))
			if tc.ended && how != rp.Elsewhere || !tc.ended && how != rp.NotEnded {
				t.Errorf("ended %q", how)
			}
		})
	}
}

func TestLogoutTokensThatAreNone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := optest.Browser(t)
	get(t, b, s.url+"/start")
	good := s.provider.LogoutClaims("subject-1", "sid-1")
	header, payload, _ := strings.Cut(s.provider.Sign("logout+jwt", good), ".")
	body, _, _ := strings.Cut(payload, ".")
	s.provider.Set(optest.Knobs{Alg: jose.RS256})
	otherAlg := s.provider.Sign("logout+jwt", good)
	s.provider.Set(optest.Knobs{WrongKey: true})
	otherKey := s.provider.Sign("logout+jwt", good)
	s.provider.Set(optest.Knobs{})
	token := s.provider.Sign("logout+jwt", good)
	for name, form := range map[string]url.Values{
		"nothing":           {},
		"empty":             {"logout_token": {""}},
		"two":               {"logout_token": {token, token}},
		"no JWT":            {"logout_token": {"x"}},
		"typ JWT":           {"logout_token": {s.provider.Sign("JWT", good)}},
		"no typ":            {"logout_token": {s.provider.Sign("", good)}},
		"another alg":       {"logout_token": {otherAlg}},
		"another key":       {"logout_token": {otherKey}},
		"alg none":          {"logout_token": {"eyJhbGciOiJub25lIiwidHlwIjoibG9nb3V0K2p3dCJ9." + body + "."}},
		"no signature":      {"logout_token": {header + "." + body + "."}},
		"another signature": {"logout_token": {header + "." + body + ".AAAA"}},
		"padding":           {"logout_token": {header + "=." + payload}},
		"too long":          {"logout_token": {strings.Repeat("x", 17<<10)}},
		"a flood":           {"logout_token": {strings.Repeat("x", 64<<10)}},
	} {
		if status, said := s.tell(t, form); status != 400 || said != "invalid_request" {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	res, err := http.Post(s.url+rp.BackChannelPath, "text/plain", strings.NewReader("logout_token="+token))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 400 {
		t.Errorf("no form: %d", res.StatusCode)
	}
	if res, err = http.Get(s.url + rp.BackChannelPath + "?logout_token=" + token); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	if get(t, b, s.url+"/who") == "" {
		t.Error("a bad token ended the session")
	}
	if status, _ := s.tell(t, url.Values{"logout_token": {token}, "more": {"x"}}); status != 200 || get(t, b, s.url+"/who") != "" {
		t.Errorf("the good one afterwards: %d", status)
	}
}

func TestLogoutTokenCountsOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.provider.LogoutToken("subject-1", "sid-1")
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if status, _ := s.tell(t, url.Values{"logout_token": {token}}); status == 200 {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
	// The same end in a new token, as a retry is, finds nothing to end and is fine.
	if status, _ := s.tell(t, url.Values{"logout_token": {s.provider.LogoutToken("subject-1", "sid-1")}}); status != 200 {
		t.Errorf("a second token: %d", status)
	}
	s.clock.Add(3 * time.Minute)
	if status, _ := s.tell(t, url.Values{"logout_token": {token}}); status != 400 {
		t.Errorf("after its end: %d", status)
	}
}

func TestLogoutTokenWaitsForTheKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.provider.LogoutToken("subject-1", "sid-1")
	for _, knobs := range []optest.Knobs{{Down: true}, {KeysDown: true}} {
		s.provider.Set(knobs)
		if status, said := s.tell(t, url.Values{"logout_token": {token}}); status != 503 || said != "temporarily_unavailable" {
			t.Errorf("%+v: %d %s", knobs, status, said)
		}
	}
	s.provider.Set(optest.Knobs{})
	if status, _ := s.tell(t, url.Values{"logout_token": {token}}); status != 200 {
		t.Errorf("with the keys: %d", status)
	}
}

// TestLogoutReachesWhomItNames: two people, one of them in two browsers.
func TestLogoutReachesWhomItNames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sub, sid string
		left     string
	}{
		"one browser":   {"", "sid-a", "b c"},
		"one person":    {"subject-1", "", "c"},
		"other browser": {"subject-1", "sid-b", "a c"},
		"other person":  {"subject-2", "", "a b"},
		"nobody":        {"subject-3", "", "a b c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			people := []struct{ name, sub string }{{"a", "subject-1"}, {"b", "subject-1"}, {"c", "subject-2"}}
			browsers := map[string]*http.Client{}
			for _, p := range people {
				s.provider.Set(optest.Knobs{Claims: map[string]any{"sub": p.sub}, IDToken: func(c map[string]any) { c["sid"] = "sid-" + p.name }})
				browsers[p.name] = optest.Browser(t)
				get(t, browsers[p.name], s.url+"/start")
			}
			if status, _ := s.tell(t, url.Values{"logout_token": {s.provider.LogoutToken(tc.sub, tc.sid)}}); status != 200 {
				t.Fatalf("status %d", status)
			}
			var left []string
			for _, p := range people {
				if get(t, browsers[p.name], s.url+"/who") == p.sub {
					left = append(left, p.name)
				}
			}
			if got := strings.Join(left, " "); got != tc.left {
				t.Errorf("signed in: %s, want %s", got, tc.left)
			}
		})
	}
}

// TestLogoutAfterAProof: the broker may make a session of its own for the proof; the end of either ends the
// site's.
func TestLogoutAfterAProof(t *testing.T) {
	t.Parallel()
	for _, sid := range []string{"sid-1", "sid-2"} {
		s := newSite(t)
		b := optest.Browser(t)
		get(t, b, s.url+"/start")
		s.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1"}, IDToken: func(c map[string]any) { c["sid"] = "sid-2" }})
		if got := get(t, b, s.url+"/start?fresh=1&next=prove-it"); got != "proved true" {
			t.Fatal(got)
		}
		s.tell(t, url.Values{"logout_token": {s.provider.LogoutToken("", sid)}})
		if who := get(t, b, s.url+"/who"); who != "" {
			t.Errorf("%s: still signed in", sid)
		}
	}
}

func TestEndUserKeepsTheOwnBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := optest.Browser(t), optest.Browser(t)
	get(t, a, s.url+"/start")
	get(t, b, s.url+"/start")
	s.sessions.EndUser(s.request(a), "")
	if get(t, a, s.url+"/who") == "" || get(t, b, s.url+"/who") != "" || s.sessions.Ended(s.request(b)) != rp.Elsewhere {
		t.Error("not the other browser's session ended, or not it alone")
	}
}

func TestFrontChannelLogout(t *testing.T) {
	t.Parallel()
	const session = "test-session"
	for name, tc := range map[string]struct {
		query   func(iss string) string
		cookie  bool // the browser sends it, as in a frame of its own site
		status  int
		ended   bool
		cleared bool
	}{
		"in a foreign frame": {func(iss string) string { return "iss=" + iss + "&sid=sid-1" }, false, 200, true, false},
		"with the cookie":    {func(iss string) string { return "iss=" + iss + "&sid=sid-1" }, true, 200, true, true},
		"another session":    {func(iss string) string { return "iss=" + iss + "&sid=sid-2" }, true, 200, false, false},
		"another issuer":     {func(string) string { return "iss=https://other.example&sid=sid-1" }, true, 400, false, false},
		"no issuer":          {func(string) string { return "sid=sid-1" }, true, 400, false, false},
		"no sid":             {func(iss string) string { return "iss=" + iss }, true, 400, false, false},
		"empty sid":          {func(iss string) string { return "iss=" + iss + "&sid=" }, true, 400, false, false},
		"two sids":           {func(iss string) string { return "iss=" + iss + "&sid=sid-1&sid=sid-2" }, true, 400, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := optest.Browser(t)
			get(t, b, s.url+"/start")
			kept := s.request(b)
			frame := b
			if !tc.cookie {
				frame = optest.Browser(t)
			}
			for range 2 { // once more is as good
				res, err := frame.Get(s.url + rp.FrontChannelPath + "?" + tc.query(url.QueryEscape(s.provider.URL)))
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				csp := res.Header.Get("Content-Security-Policy")
				if res.StatusCode != tc.status || res.Header.Get("Cache-Control") != "no-store" || !strings.HasSuffix(csp, "frame-ancestors "+s.provider.URL) {
					t.Errorf("%d, headers %v", res.StatusCode, res.Header)
				}
			}
			if _, open := s.sessions.Get(kept); open == tc.ended {
				t.Errorf("open %t", open)
			}
			_, err := s.request(b).Cookie(session)
			if cleared := err != nil; cleared != tc.cleared {
				t.Errorf("cookie cleared %t", cleared)
			}
		})
	}
}

func TestSessionCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client, err := rp.New(rp.Config{Name: "n", BaseURL: s.url, Issuer: s.provider.URL, ClientID: optest.ClientID, ClientSecret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	s.provider.Set(optest.Knobs{Check: "state-1", Claims: map[string]any{"sub": "subject-1"}})
	b := optest.Browser(t)
	get(t, b, s.url+"/start")
	session, _ := s.sessions.Get(s.request(b))
	want := rp.SessionCheck{Frame: s.provider.URL + "/check-session", Origin: s.provider.URL, Message: optest.ClientID + " state-1"}
	if got, ok := client.SessionCheck(t.Context(), session); !ok || got != want {
		t.Errorf("%+v %t", got, ok)
	}
	if _, ok := client.SessionCheck(t.Context(), rp.Session{}); ok {
		t.Error("a check for a session that the broker knows nothing of")
	}
}
