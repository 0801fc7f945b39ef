package rp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/internal/demo/optest"
	"github.com/anyid/anyid/internal/demo/rp"
)

// site is the smallest relying party: it says what happened in words that the tests read.
type site struct {
	url      string
	provider *optest.Provider
	clock    *optest.Clock
	sessions *rp.Sessions
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newSiteWith(t, "")
}

// newSiteWith is newSite for a registered signing algorithm.
func newSiteWith(t *testing.T, alg string) *site {
	t.Helper()
	clock := optest.NewClock()
	s := &site{provider: optest.New(t, clock.Now), clock: clock}
	s.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "subject-1", "name": "홍길동"}})
	s.url = optest.Serve(t, func(base string) http.Handler {
		client, err := rp.New(rp.Config{
			Name: "test", BaseURL: base, Issuer: s.provider.URL, ClientID: optest.ClientID, ClientSecret: optest.ClientSecret,
			Scopes: []string{"openid", "profile"}, SigningAlg: alg, Now: clock.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.sessions = rp.NewSessions("test-session", client.Secure(), time.Hour, 12*time.Hour, clock.Now)
		say := func(w http.ResponseWriter, err error) {
			answer, _ := errors.AsType[*rp.AnswerError](err)
			switch {
			case answer != nil:
				fmt.Fprintf(w, "answer %s notice %q", answer.Code, rp.Notice(err))
			case errors.Is(err, rp.ErrUnavailable):
				fmt.Fprint(w, "unavailable")
			case errors.Is(err, rp.ErrUnknownRequest):
				fmt.Fprint(w, "unknown request")
			case errors.Is(err, rp.ErrNotFresh):
				fmt.Fprint(w, "not fresh")
			case errors.Is(err, rp.ErrOtherACR):
				fmt.Fprint(w, "other acr")
			default:
				fmt.Fprint(w, "refused: ", err)
			}
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/start", func(w http.ResponseWriter, r *http.Request) {
			want := rp.Request{Prompt: r.FormValue("prompt"), Next: r.FormValue("next"), Fresh: r.FormValue("fresh") != "", ACR: r.FormValue("acr")}
			if err := client.Start(w, r, want); err != nil {
				say(w, err)
			}
		})
		mux.HandleFunc(rp.CallbackPath, func(w http.ResponseWriter, r *http.Request) {
			id, next, err := client.Callback(w, r)
			if err != nil {
				say(w, err)
				return
			}
			if purpose, ok := strings.CutPrefix(next, "prove-"); ok {
				fmt.Fprint(w, "proved ", s.sessions.Prove(w, r, id, purpose))
				return
			}
			s.sessions.Open(w, r, rp.Session{Identity: &id})
			fmt.Fprintf(w, "welcome %s next=%s sid=%s acr=%s amr=%v auth=%d claims=%v", id.Text("name"), next, id.SessionID, id.ACR, id.AMR, id.AuthTime.Unix(), id.Claims)
		})
		mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
			if session, ok := s.sessions.Get(r); ok {
				fmt.Fprint(w, session.Identity.Subject)
			}
		})
		mux.HandleFunc("/logout", func(w http.ResponseWriter, r *http.Request) {
			session, _ := s.sessions.Close(w, r)
			client.Logout(w, r, session.Vouched())
		})
		mux.HandleFunc(rp.LoggedOutPath, func(w http.ResponseWriter, r *http.Request) {
			outcome, ok := client.LoggedOut(r)
			fmt.Fprintf(w, "logged out %s %t", outcome, ok)
		})
		mux.Handle(rp.BackChannelPath, client.BackChannelLogout(s.sessions))
		mux.Handle(rp.FrontChannelPath, client.FrontChannelLogout(s.sessions))
		return mux
	})
	return s
}

func get(t *testing.T, b *http.Client, address string) string {
	t.Helper()
	res, err := b.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, alg := range []jose.SignatureAlgorithm{jose.ES256, jose.RS256} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			s := newSiteWith(t, string(alg))
			s.provider.Set(optest.Knobs{Alg: alg, Claims: map[string]any{"sub": "subject-1", "name": "홍길동"}})
			b := optest.Browser(t)
			got := get(t, b, s.url+"/start?prompt=login&next=there")
			want := fmt.Sprintf("welcome 홍길동 next=there sid=sid-1 acr=urn:anyid:acr:3 amr=[pop pin] auth=%d claims=map[name:홍길동]", s.clock.Now().Unix())
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			sent := s.provider.Last("authorize")
			if sent.Get("scope") != "openid profile" || sent.Get("prompt") != "login" || sent.Get("redirect_uri") != s.url+rp.CallbackPath {
				t.Errorf("authorization request: %v", sent)
			}
			if who := get(t, b, s.url+"/who"); who != "subject-1" {
				t.Errorf("signed in as %q", who)
			}
		})
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"sub": "subject-1"}
	for name, tc := range map[string]struct {
		knobs optest.Knobs
		want  string
	}{
		"wrong nonce":            {optest.Knobs{IDToken: func(c map[string]any) { c["nonce"] = "other" }}, "refused: rp: ID token: the nonce"},
		"no nonce":               {optest.Knobs{IDToken: func(c map[string]any) { delete(c, "nonce") }}, "refused: rp: ID token: the nonce"},
		"token's iss":            {optest.Knobs{IDToken: func(c map[string]any) { c["iss"] = "https://other.example" }}, "refused: rp: ID token: oidc: id token issued by a different provider"},
		"wrong aud":              {optest.Knobs{IDToken: func(c map[string]any) { c["aud"] = "other" }}, "refused: rp: ID token: oidc: expected audience"},
		"two auds no azp":        {optest.Knobs{IDToken: func(c map[string]any) { c["aud"] = []string{optest.ClientID, "other"} }}, "refused: rp: ID token: issued to another party"},
		"azp of another":         {optest.Knobs{IDToken: func(c map[string]any) { c["azp"] = "other" }}, "refused: rp: ID token: issued to another party"},
		"expired":                {optest.Knobs{IDToken: func(c map[string]any) { c["exp"] = 1 }}, "refused: rp: ID token: oidc: token is expired"},
		"no exp":                 {optest.Knobs{IDToken: func(c map[string]any) { delete(c, "exp") }}, "refused: rp: ID token: oidc: token is expired"},
		"wrong at_hash":          {optest.Knobs{IDToken: func(c map[string]any) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }}, "refused: rp: ID token: at_hash"},
		"no sub":                 {optest.Knobs{IDToken: func(c map[string]any) { delete(c, "sub") }}, "refused: rp: ID token: no subject"},
		"unknown key":            {optest.Knobs{WrongKey: true}, "refused: rp: ID token: failed to verify signature"},
		"userinfo's sub":         {optest.Knobs{UserInfo: func(c map[string]any) { c["sub"] = "subject-2" }}, "refused: rp: userinfo is about another subject"},
		"answer's iss":           {optest.Knobs{Answer: func(a url.Values) { a.Set("iss", "https://other.example") }}, "refused: rp: the answer's iss"},
		"no iss":                 {optest.Knobs{Answer: func(a url.Values) { a.Del("iss") }}, "refused: rp: the answer's iss"},
		"other state":            {optest.Knobs{Answer: func(a url.Values) { a.Set("state", "other") }}, "unknown request"},
		"no state":               {optest.Knobs{Answer: func(a url.Values) { a.Del("state") }}, "unknown request"},
		"two codes":              {optest.Knobs{Answer: func(a url.Values) { a.Add("code", "other") }}, "refused: rp: a parameter of the answer comes twice"},
		"wrong code":             {optest.Knobs{Answer: func(a url.Values) { a.Set("code", "other") }}, "refused: rp: token endpoint: status 400"},
		"no code":                {optest.Knobs{Answer: func(a url.Values) { a.Del("code") }}, "refused: rp: the answer has neither"},
		"denied":                 {optest.Knobs{Answer: func(a url.Values) { a.Del("code"); a.Set("error", "access_denied") }}, `answer access_denied notice "denied"`},
		"denied by other":        {optest.Knobs{Answer: func(a url.Values) { a.Set("error", "access_denied"); a.Set("iss", "x") }}, "refused: rp: the answer's iss"},
		"login required":         {optest.Knobs{Answer: func(a url.Values) { a.Set("error", "login_required") }}, `answer login_required notice "silent"`},
		"server error":           {optest.Knobs{Answer: func(a url.Values) { a.Set("error", "server_error") }}, `answer server_error notice ""`},
		"error with code":        {optest.Knobs{Answer: func(a url.Values) { a.Set("error", "server_error") }}, "answer server_error"},
		"strange error":          {optest.Knobs{Answer: func(a url.Values) { a.Set("error", "<script>\"") }}, "answer invalid"},
		"token endpoint refuses": {optest.Knobs{TokenStatus: 400}, `refused: rp: token endpoint: status 400, error "invalid_grant"`},
		"token endpoint broken":  {optest.Knobs{TokenStatus: 500}, "unavailable"},
		"down":                   {optest.Knobs{Down: true}, "unavailable"},
		"keys down":              {optest.Knobs{KeysDown: true}, "unavailable"},
		"another alg":            {optest.Knobs{Alg: jose.RS256}, "refused: rp: ID token: oidc: malformed jwt"},
		"time of 0 s":            {optest.Knobs{SessionTime: 0}, "refused: rp: session_expires_in"},
		"time below 0":           {optest.Knobs{SessionTime: -1}, "refused: rp: session_expires_in"},
		"time in words":          {optest.Knobs{SessionTime: "3600"}, "refused: rp: session_expires_in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			tc.knobs.Claims = claims
			s.provider.Set(tc.knobs)
			b := optest.Browser(t)
			if got := get(t, b, s.url+"/start"); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if who := get(t, b, s.url+"/who"); who != "" {
				t.Errorf("signed in as %q", who)
			}
			// The same browser gets in as soon as the provider behaves.
			s.provider.Set(optest.Knobs{Claims: claims})
			if got := get(t, b, s.url+"/start"); !strings.HasPrefix(got, "welcome ") {
				t.Errorf("afterwards: %s", got)
			}
		})
	}
}

// stop makes the browser hand out the address of the callback instead of going there.
func stop(t *testing.T, b *http.Client, address string) string {
	t.Helper()
	still := *b
	still.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == rp.CallbackPath {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := still.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.Header.Get("Location")
}

func TestAnAnswerBelongsToItsBrowserOnceAndForHalfAnHour(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mine, theirs := optest.Browser(t), optest.Browser(t)
	callback := stop(t, mine, s.url+"/start")
	if got := get(t, theirs, callback); got != "unknown request" {
		t.Errorf("in another browser: %s", got)
	}
	// Another browser with a login of its own open is no better.
	stop(t, theirs, s.url+"/start")
	if got := get(t, theirs, callback); got != "unknown request" {
		t.Errorf("in another browser with a flow: %s", got)
	}
	if got := get(t, mine, callback); !strings.HasPrefix(got, "welcome ") {
		t.Errorf("in its browser: %s", got)
	}
	if got := get(t, mine, callback); got != "unknown request" {
		t.Errorf("again: %s", got)
	}
	late := stop(t, mine, s.url+"/start")
	s.clock.Add(31 * time.Minute)
	if got := get(t, mine, late); got != "unknown request" {
		t.Errorf("late: %s", got)
	}
}

func TestTabsDoNotDisturbEachOtherAndAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := optest.Browser(t)
	first := stop(t, b, s.url+"/start")
	s.clock.Add(time.Second)
	second := stop(t, b, s.url+"/start")
	if got := get(t, b, first); !strings.HasPrefix(got, "welcome ") {
		t.Errorf("first tab: %s", got)
	}
	if got := get(t, b, second); !strings.HasPrefix(got, "welcome ") {
		t.Errorf("second tab: %s", got)
	}
	var tabs []string
	for range 12 {
		s.clock.Add(time.Second)
		tabs = append(tabs, stop(t, b, s.url+"/start"))
	}
	flows := 0
	u, _ := url.Parse(s.url)
	for _, ck := range b.Jar.Cookies(u) {
		if strings.HasPrefix(ck.Name, "test-flow-") {
			flows++
		}
	}
	if flows != 8 {
		t.Errorf("%d flow cookies, want 8", flows)
	}
	if got := get(t, b, tabs[0]); got != "unknown request" {
		t.Errorf("the oldest of twelve: %s", got)
	}
	if got := get(t, b, tabs[11]); !strings.HasPrefix(got, "welcome ") {
		t.Errorf("the newest of twelve: %s", got)
	}
}

func TestProviderDownAtStartAndBackLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := optest.Browser(t)
	s.provider.Set(optest.Knobs{Down: true})
	for range 2 {
		if got := get(t, b, s.url+"/start"); got != "unavailable" {
			t.Errorf("down: %s", got)
		}
	}
	s.provider.Set(optest.Knobs{Claims: map[string]any{"sub": "s"}})
	callback := stop(t, b, s.url+"/start")
	s.provider.Set(optest.Knobs{Down: true})
	if got := get(t, b, callback); got != "unavailable" {
		t.Errorf("down at the token endpoint: %s", got)
	}
}

func TestSessionTimes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := optest.Browser(t)
	get(t, b, s.url+"/start")
	u, _ := url.Parse(s.url)
	request := func() *http.Request {
		r, _ := http.NewRequest(http.MethodGet, s.url, nil)
		for _, ck := range b.Jar.Cookies(u) {
			r.AddCookie(ck)
		}
		return r
	}
	session, ok := s.sessions.Get(request())
	if !ok || session.Remaining(s.clock.Now()) != time.Hour {
		t.Fatalf("fresh session: %v %v", session.Remaining(s.clock.Now()), ok)
	}
	extended := 0
	for {
		s.clock.Add(59 * time.Minute)
		session, ok := s.sessions.Extend(request())
		if !ok || session.Remaining(s.clock.Now()) < time.Hour {
			break
		}
		extended++
	}
	if extended < 10 {
		t.Errorf("only %d full extensions", extended)
	}
	s.clock.Add(time.Hour)
	if _, ok := s.sessions.Extend(request()); ok {
		t.Error("a session was extended beyond its limit")
	}
	if s.sessions.Ended(request()) != rp.TimedOut {
		t.Error("the browser's session does not count as ended")
	}
	get(t, b, s.url+"/start")
	before := request()
	get(t, b, s.url+"/start")
	if _, ok := s.sessions.Get(before); ok {
		t.Error("the session id from before a login still works")
	}
	if _, ok := s.sessions.Get(request()); !ok {
		t.Error("the session id from the login does not work")
	}
	if s.sessions.Ended(before) != rp.TimedOut || s.sessions.Ended(request()) != rp.NotEnded {
		t.Error("how the sessions ended")
	}
}

func TestTheShorterSessionTimeHolds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		told any
		want time.Duration
	}{
		"not told":    {nil, time.Hour},
		"as long":     {3600, time.Hour},
		"longer":      {36000, time.Hour},
		"for ever":    {1e300, time.Hour},
		"shorter":     {600, 10 * time.Minute},
		"with digits": {90.9, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.provider.Set(optest.Knobs{SessionTime: tc.told, Claims: map[string]any{"sub": "subject-1"}})
			b := optest.Browser(t)
			get(t, b, s.url+"/start")
			if session, ok := s.sessions.Get(s.request(b)); !ok || session.Remaining(s.clock.Now()) != tc.want {
				t.Errorf("opened for %v %t, want %v", session.Remaining(s.clock.Now()), ok, tc.want)
			}
			s.clock.Add(tc.want - time.Second)
			for range 10 {
				session, ok := s.sessions.Extend(s.request(b))
				if !ok || session.Remaining(s.clock.Now()) != tc.want {
					t.Fatalf("extended to %v %t, want %v", session.Remaining(s.clock.Now()), ok, tc.want)
				}
			}
			s.clock.Add(tc.want)
			if _, ok := s.sessions.Get(s.request(b)); ok {
				t.Error("the session outlives its time")
			}
		})
	}
}

// request is one of the browser's.
func (s *site) request(b *http.Client) *http.Request {
	r, _ := http.NewRequest(http.MethodGet, s.url, nil)
	for _, ck := range b.Jar.Cookies(r.URL) {
		r.AddCookie(ck)
	}
	return r
}

func TestFreshProof(t *testing.T) {
	t.Parallel()
	const simple = "urn:anyid:method:simple"
	set := func(claim string, value any) func(map[string]any) {
		return func(c map[string]any) { c[claim] = value }
	}
	for name, tc := range map[string]struct {
		idToken func(now time.Time) func(map[string]any)
		want    string
	}{
		"fresh and as asked":   {nil, "proved true"},
		"a clock that is off":  {func(now time.Time) func(map[string]any) { return set("auth_time", now.Add(-30*time.Second).Unix()) }, "proved true"},
		"an older proof":       {func(now time.Time) func(map[string]any) { return set("auth_time", now.Add(-31*time.Second).Unix()) }, "not fresh"},
		"a proof to come":      {func(now time.Time) func(map[string]any) { return set("auth_time", now.Add(time.Hour).Unix()) }, "not fresh"},
		"no time of the proof": {func(time.Time) func(map[string]any) { return func(c map[string]any) { delete(c, "auth_time") } }, "not fresh"},
		"another method":       {func(time.Time) func(map[string]any) { return set("acr", "urn:anyid:method:mobile_id") }, "other acr"},
		"a level":              {func(time.Time) func(map[string]any) { return set("acr", "urn:anyid:acr:3") }, "other acr"},
		"no acr":               {func(time.Time) func(map[string]any) { return func(c map[string]any) { delete(c, "acr") } }, "other acr"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := optest.Browser(t)
			get(t, b, s.url+"/start")
			before := s.request(b)
			knobs := optest.Knobs{Claims: map[string]any{"sub": "subject-1"}}
			if tc.idToken != nil {
				knobs.IDToken = tc.idToken(s.clock.Now())
			}
			s.provider.Set(knobs)
			if got := get(t, b, s.url+"/start?fresh=1&next=prove-it&acr="+simple); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if sent := s.provider.Last("authorize"); sent.Get("prompt") != "login" || sent.Get("max_age") != "0" || sent.Get("acr_values") != simple {
				t.Errorf("authorization request: %v", sent)
			}
			session, ok := s.sessions.Get(s.request(b))
			now := s.clock.Now()
			if want := tc.want == "proved true"; !ok || session.Proved("it", now) != want || session.Proved("other", now) {
				t.Fatalf("session %t, proved %t", ok, session.Proved("it", now))
			} else if !want {
				return
			}
			if _, ok := s.sessions.Get(before); ok {
				t.Error("the session id from before the proof still works")
			}
			if session.Identity.ACR != "urn:anyid:acr:3" || session.Vouched().ACR != simple {
				t.Errorf("login by %s, proof by %s", session.Identity.ACR, session.Vouched().ACR)
			}
			s.clock.Add(time.Minute)
			if s.sessions.Spend(s.request(b), "it", s.clock.Now()) || s.sessions.Spend(s.request(b), "other", now) {
				t.Error("an old or another proof was spent")
			}
			if !s.sessions.Spend(s.request(b), "it", now) || s.sessions.Spend(s.request(b), "it", now) {
				t.Error("the proof is not spent once")
			}
		})
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"sub": "subject-1"}
	for name, tc := range map[string]struct {
		login  bool
		before optest.Knobs // while signing in
		knobs  optest.Knobs // while signing out
		want   string
	}{
		"with the provider":          {true, optest.Knobs{}, optest.Knobs{}, "logged out broker true"},
		"without a session":          {false, optest.Knobs{}, optest.Knobs{}, "logged out local true"},
		"provider without an end":    {true, optest.Knobs{NoLogout: true}, optest.Knobs{}, "logged out partial true"},
		"provider unreachable since": {true, optest.Knobs{}, optest.Knobs{Down: true}, "down\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := optest.Browser(t)
			tc.before.Claims = claims
			s.provider.Set(tc.before)
			if tc.login {
				get(t, b, s.url+"/start")
			}
			s.provider.Set(tc.knobs)
			if got := get(t, b, s.url+"/logout"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if who := get(t, b, s.url+"/who"); who != "" {
				t.Errorf("still signed in as %s", who)
			}
			if tc.want == "logged out broker true" {
				sent := s.provider.Last("end-session")
				if sent.Get("id_token_hint") == "" || sent.Get("post_logout_redirect_uri") != s.url+rp.LoggedOutPath || sent.Get("client_id") != optest.ClientID {
					t.Errorf("end session request: %v", sent)
				}
			}
			if got := get(t, b, s.url+rp.LoggedOutPath+"?state=forged"); got != "logged out  false" {
				t.Errorf("forged state: %s", got)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := rp.Config{Name: "n", BaseURL: "https://site.example/", Issuer: "https://op.example", ClientID: "c", ClientSecret: "s"}
	client, err := rp.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if !client.Secure() || client.IssuerOrigin() != "https://op.example" {
		t.Errorf("secure %t, origin %s", client.Secure(), client.IssuerOrigin())
	}
	for name, change := range map[string]func(*rp.Config){
		"path in the base URL": func(c *rp.Config) { c.BaseURL = "https://site.example/app" },
		"no base URL":          func(c *rp.Config) { c.BaseURL = "" },
		"other scheme":         func(c *rp.Config) { c.BaseURL = "ftp://site.example" },
		"no secret":            func(c *rp.Config) { c.ClientSecret = "" },
		"no issuer":            func(c *rp.Config) { c.Issuer = "" },
	} {
		bad := good
		change(&bad)
		if _, err := rp.New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
