package yeskey

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
)

var (
	nonce = []byte("0123456789abcdef")
	ci    = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("c", 64)))
	ci2   = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("d", 64)))
	di    = "MC0GCCqGSIb3DQIJAyEANBDB1GxPebJMV9afG4X7OwCZkiBCsIJHq6eC/AQlt5k="
)

const dn = "cn=홍길동()008804600000001,ou=personal4IB,o=yessign,c=kr"

// service is KFTC as a script of answers.
type service struct {
	*Client
	t       testing.TB
	now     atomic.Int64 // seconds
	tokens  atomic.Int64 // how many were asked for
	persons atomic.Int64
	token   func(n int64, r *http.Request) (int, string)
	person  func(n int64, r *http.Request) (int, string)
}

func good() string {
	return fmt.Sprintf(`{"api_tran_id":"t","dn":%q,"ci":%q,"ci2":%q,"ci_update":"1","di":%q,"real_name":"홍길동","gender":"1","national_info":"0","birth_date":"18900131"}`, dn, ci, ci2, di)
}

func granted(text string, seconds any) string {
	return fmt.Sprintf(`{"access_token":%q,"token_type":"bearer","expires_in":%v,"scope":"ucpid","api_tran_id":"t","server_id":"server"}`, text, seconds)
}

func start(t testing.TB, edit func(*Config)) *service {
	t.Helper()
	s := &service{t: t}
	s.now.Store(1_800_000_000)
	s.token = func(n int64, _ *http.Request) (int, string) { return 200, granted(fmt.Sprintf("token-%d", n), 3600) }
	s.person = func(int64, *http.Request) (int, string) { return 200, good() }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, counter := s.person, &s.persons
		if r.URL.Path == tokenPath {
			answer, counter = s.token, &s.tokens
		}
		status, body := answer(counter.Add(1), r)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	cfg := Config{URL: server.URL + "/", ClientID: "7e57-id", ClientSecret: "secret", ServerID: "server", CPCode: "ANYIDTEST001", Male: "1", Timeout: 2 * time.Second}
	if edit != nil {
		edit(&cfg)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	s.Client, err = New(cfg, &http.Client{Transport: transport}, func() time.Time { return time.Unix(s.now.Load(), 0) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *service) ask() (certificate.UCPIDPerson, error) {
	return s.Person(s.t.Context(), "c2lnbmVk", nonce)
}

func codeOf(err error) authn.Code {
	if e, ok := errors.AsType[*authn.Error](err); ok {
		return e.Code
	}
	return authn.Code(fmt.Sprint(err))
}

func TestPerson(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.token = func(_ int64, r *http.Request) (int, string) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if got := r.PostForm.Encode(); got != "client_secret=secret&grant_type=client_credentials&reissue=n&scope=ucpid&server_id=server" {
			t.Errorf("the token is asked for with %s", got)
		}
		if r.Header.Get("client_id") != "7e57-id" {
			t.Errorf("%v", r.Header)
		}
		return 200, granted("token", `"3600"`)
	}
	s.person = func(_ int64, r *http.Request) (int, string) {
		var in map[string]string
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if len(in) != 3 || in["ucpid_request_info"] != "c2lnbmVk" || in["cp_code"] != "ANYIDTEST001" || in["ucpid_nonce"] != "30313233343536373839616263646566" {
			t.Errorf("%v", in)
		}
		if r.Header.Get("Authorization") != "bearer token" || r.URL.Path != personPath {
			t.Errorf("%v %s", r.Header, r.URL)
		}
		return 200, good()
	}
	got, err := s.ask()
	want := certificate.UCPIDPerson{DN: dn, CI: ci, CI2: ci2, DI: di, RealName: "홍길동", Gender: "male", National: "domestic", BirthDate: "1890-01-31"}
	if err != nil || got != want {
		t.Errorf("%#v, %v", got.DN, err)
	}
	if _, err := s.ask(); err != nil || s.tokens.Load() != 1 {
		t.Errorf("%v, %d tokens", err, s.tokens.Load())
	}
}

func TestWhatTheAnswerMeans(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		male, answer string
		want         certificate.UCPIDPerson
	}{
		"a woman":         {"1", `{"dn":"x","gender":"0"}`, certificate.UCPIDPerson{DN: "x", Gender: "female"}},
		"0 is a man":      {"0", `{"dn":"x","gender":0}`, certificate.UCPIDPerson{DN: "x", Gender: "male"}},
		"unknown meaning": {"", `{"dn":"x","gender":"0"}`, certificate.UCPIDPerson{DN: "x"}},
		"a foreigner":     {"1", `{"dn":"x","national_info":"1"}`, certificate.UCPIDPerson{DN: "x", National: "foreign"}},
		"nothing else":    {"1", `{"dn":"x","ci2":null}`, certificate.UCPIDPerson{DN: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *Config) { c.Male = tt.male })
			s.person = func(int64, *http.Request) (int, string) { return 200, tt.answer }
			if got, err := s.ask(); err != nil || got != tt.want {
				t.Errorf("%s %s %s, %v", got.Gender, got.National, got.BirthDate, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	const secret = "홍길동 " + dn
	long := strings.Repeat(" ", maxAnswer+1)
	refused := func(code string) string { return fmt.Sprintf(`{"err_code":%q,"err_msg":%q}`, code, secret) }
	for name, tt := range map[string]struct {
		status int
		answer string
		code   authn.Code
		own    string
	}{
		"signature":           {400, refused("900401"), authn.BadEvidence, "900401"},
		"refused with 200":    {200, refused("900401"), authn.BadEvidence, "900401"},
		"code as a number":    {400, `{"err_code":900403}`, authn.BadEvidence, "900403"},
		"token refused":       {401, refused("900101"), authn.ProviderAuth, "900101"},
		"token always dead":   {401, refused("900102"), authn.ProviderAuth, "900102"},
		"another code":        {400, refused("900999"), authn.BadRequest, "900999"},
		"another code, 200":   {200, refused("900999"), authn.ProviderDown, "900999"},
		"a code that speaks":  {400, refused(secret), authn.BadRequest, "unreadable"},
		"a code of objects":   {400, `{"err_code":{"a":"홍길동"}}`, authn.BadRequest, "unreadable"},
		"unauthorized":        {401, "", authn.ProviderAuth, ""},
		"forbidden":           {403, "<html>", authn.ProviderAuth, ""},
		"not found":           {404, "<html>", authn.BadRequest, ""},
		"too many":            {429, "", authn.ProviderDown, ""},
		"broken":              {500, secret, authn.ProviderDown, ""},
		"a redirect":          {302, "", authn.ProviderDown, ""},
		"nothing":             {200, "", authn.BadEvidence, ""},
		"no JSON":             {200, secret, authn.BadEvidence, ""},
		"no object":           {200, `["` + secret + `"]`, authn.BadEvidence, ""},
		"two objects":         {200, good() + good(), authn.BadEvidence, ""},
		"no dn":               {200, `{"ci":"` + ci + `"}`, authn.BadEvidence, ""},
		"a short CI":          {200, strings.Replace(good(), ci, ci[:80], 1), authn.BadEvidence, ""},
		"a CI with spaces":    {200, strings.Replace(good(), ci, " "+ci[1:], 1), authn.BadEvidence, ""},
		"an odd birth date":   {200, strings.Replace(good(), "18900131", "18900231", 1), authn.BadEvidence, ""},
		"an odd gender":       {200, strings.Replace(good(), `"gender":"1"`, `"gender":"M"`, 1), authn.BadEvidence, ""},
		"a nested name":       {200, strings.Replace(good(), `"홍길동"`, `["홍길동"]`, 1), authn.BadEvidence, ""},
		"more than 64 KiB":    {200, good() + long, authn.ProviderDown, ""},
		"more, and a refusal": {400, refused("900401") + long, authn.ProviderDown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.person = func(int64, *http.Request) (int, string) { return tt.status, tt.answer }
			got, err := s.ask()
			e, ok := errors.AsType[*authn.Error](err)
			if !ok || e.Code != tt.code || e.Provider != tt.own || got != (certificate.UCPIDPerson{}) {
				t.Errorf("%v, want %s (%s)", err, tt.code, tt.own)
			}
			for _, told := range []string{"홍길동", ci[:20], "1890", "yessign"} {
				if strings.Contains(fmt.Sprint(err), told) {
					t.Errorf("the error tells %q: %v", told, err)
				}
			}
		})
	}
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		answer string
		code   authn.Code
	}{
		"refused":       {401, `{"err_code":"900101","err_msg":"secret"}`, authn.ProviderAuth},
		"our request":   {400, `{"err_code":"900402"}`, authn.ProviderAuth},
		"broken":        {503, "", authn.ProviderDown},
		"no JSON":       {200, "x", authn.ProviderDown},
		"no token":      {200, granted("", 3600), authn.ProviderDown},
		"odd token":     {200, granted("a\\r\\nb", 3600), authn.ProviderDown},
		"spaced token":  {200, granted("a b", 3600), authn.ProviderDown},
		"over":          {200, granted("a", 0), authn.ProviderDown},
		"negative":      {200, granted("a", -1), authn.ProviderDown},
		"endless":       {200, granted("a", "1e30"), authn.ProviderDown},
		"no number":     {200, granted("a", `"soon"`), authn.ProviderDown},
		"another type":  {200, strings.Replace(granted("a", 1), "bearer", "mac", 1), authn.ProviderDown},
		"too much":      {200, granted("a", 1) + strings.Repeat(" ", maxAnswer), authn.ProviderDown},
		"two answers":   {200, granted("a", 1) + granted("b", 1), authn.ProviderDown},
		"empty refusal": {200, `{"err_code":""}`, authn.ProviderDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			s.token = func(int64, *http.Request) (int, string) { return tt.status, tt.answer }
			if err := s.Check(t.Context()); codeOf(err) != tt.code {
				t.Errorf("Check: %v, want %s", err, tt.code)
			}
			if _, err := s.ask(); codeOf(err) != tt.code || s.persons.Load() != 0 {
				t.Errorf("Person: %v, want %s", err, tt.code)
			}
		})
	}
}

func TestTokenIsKeptUntilItExpires(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, step := range []struct {
		after int64 // seconds
		want  int64 // tokens so far
	}{{0, 1}, {3539, 1}, {1, 2}, {3600, 3}} {
		s.now.Add(step.after)
		if _, err := s.ask(); err != nil || s.tokens.Load() != step.want {
			t.Errorf("after %d s: %v, %d tokens", step.after, err, s.tokens.Load())
		}
	}
	// A lifetime beyond all bounds is cut.
	s.token = func(int64, *http.Request) (int, string) { return 200, granted("long", int64(1)<<62) }
	s.now.Add(3600)
	for range 2 {
		if _, err := s.ask(); err != nil || s.tokens.Load() != 4 {
			t.Errorf("%v, %d tokens", err, s.tokens.Load())
		}
	}
	s.now.Add(int64(maxTokenLife / time.Second))
	if _, err := s.ask(); err != nil || s.tokens.Load() != 5 {
		t.Errorf("%v, %d tokens", err, s.tokens.Load())
	}
}

// TestExpiredTokenIsReplacedOnce has the service refuse the first token only.
func TestExpiredTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.person = func(_ int64, r *http.Request) (int, string) {
		if r.Header.Get("Authorization") == "bearer token-1" {
			return 401, `{"err_code":"900102","err_msg":"expired"}`
		}
		return 200, good()
	}
	if _, err := s.ask(); err != nil || s.tokens.Load() != 2 || s.persons.Load() != 2 {
		t.Errorf("%v, %d tokens, %d questions", err, s.tokens.Load(), s.persons.Load())
	}
	if _, err := s.ask(); err != nil || s.tokens.Load() != 2 || s.persons.Load() != 3 {
		t.Errorf("%v, %d tokens, %d questions", err, s.tokens.Load(), s.persons.Load())
	}
}

// TestAnotherTokenIsMadeOnlyWhereTheOldOneIsGivenAgain has a service that gives out what it holds to be good.
func TestAnotherTokenIsMadeOnlyWhereTheOldOneIsGivenAgain(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var asked []string
	s.token = func(n int64, r *http.Request) (int, string) {
		asked = append(asked, r.FormValue("reissue"))
		return 200, granted(map[int64]string{1: "old", 2: "old", 3: "new"}[n], 3600)
	}
	s.person = func(_ int64, r *http.Request) (int, string) {
		if r.Header.Get("Authorization") == "bearer old" {
			return 401, `{"err_code":"900102"}`
		}
		return 200, good()
	}
	if _, err := s.ask(); err != nil || fmt.Sprint(asked) != "[n n y]" {
		t.Errorf("%v, %v", asked, err)
	}
}

func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.token = func(n int64, _ *http.Request) (int, string) {
		time.Sleep(50 * time.Millisecond)
		return 200, granted(fmt.Sprintf("token-%d", n), 3600)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.ask(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.tokens.Load(); n != 1 {
		t.Errorf("%d tokens", n)
	}
}

func TestWhoLeavesDoesNotSpoilTheTokenForOthers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.token = func(int64, *http.Request) (int, string) {
		cancel()
		time.Sleep(20 * time.Millisecond)
		return 200, granted("token", 3600)
	}
	if _, err := s.Person(ctx, "c2lnbmVk", nonce); codeOf(err) != authn.ProviderDown {
		t.Error(err)
	}
	if _, err := s.ask(); err != nil || s.tokens.Load() != 1 {
		t.Errorf("%v, %d tokens", err, s.tokens.Load())
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	s.person = func(_ int64, r *http.Request) (int, string) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices who leaves
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
			t.Error("asked for too long")
		}
		return 200, good()
	}
	if _, err := s.ask(); codeOf(err) != authn.ProviderDown {
		t.Error(err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{URL: "https://certapi.yeskey.or.kr", ClientID: "c", ClientSecret: "s", ServerID: "v", CPCode: "ANYIDTEST001"}
	if c, err := New(good, http.DefaultClient, nil); err != nil || c.cfg.Timeout != defaultTimeout {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"URL":       func(c *Config) { c.URL = "certapi" },
		"query":     func(c *Config) { c.URL += "?x=1" },
		"plain":     func(c *Config) { c.URL = "http://certapi.yeskey.or.kr" },
		"ftp":       func(c *Config) { c.URL = "ftp://certapi.yeskey.or.kr" },
		"client":    func(c *Config) { c.ClientID = "" },
		"odd":       func(c *Config) { c.ClientID = "a\r\nb" },
		"secret":    func(c *Config) { c.ClientSecret = "" },
		"server":    func(c *Config) { c.ServerID = "" },
		"cp code":   func(c *Config) { c.CPCode = "short" },
		"male":      func(c *Config) { c.Male = "M" },
		"timeout":   func(c *Config) { c.Timeout = -1 },
		"user info": func(c *Config) { c.URL = "https://a:b@certapi.yeskey.or.kr" },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := New(cfg, http.DefaultClient, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good, nil, nil); err == nil {
		t.Error("no HTTP client: accepted")
	}
}

// FuzzAnswers has the service answer anything: a person in form, or an *authn.Error that tells nothing of it.
func FuzzAnswers(f *testing.F) {
	f.Add(200, granted("a", 3600), 200, good())
	f.Add(200, granted("a", 3600), 401, `{"err_code":"900102","err_msg":"x"}`)
	f.Add(200, `{"access_token":"a","token_type":"BEARER","expires_in":9223372036854775807}`, 200, `{"dn":"x","ci":"y"}`)
	f.Add(401, `{"err_code":900101}`, 200, "")
	f.Add(200, granted("a", 1), 200, `{"dn":"x","birth_date":20000229,"gender":1,"national_info":0}`)
	s := start(f, nil)
	f.Fuzz(func(t *testing.T, tokenStatus int, token string, status int, answer string) {
		if tokenStatus < 200 || tokenStatus > 599 || status < 200 || status > 599 {
			return
		}
		s.now.Add(int64(maxTokenLife / time.Second)) // no token lives that long
		s.token = func(int64, *http.Request) (int, string) { return tokenStatus, token }
		s.person = func(int64, *http.Request) (int, string) { return status, answer }
		got, err := s.Person(t.Context(), "c2lnbmVk", nonce)
		if err == nil {
			if got.DN == "" || got.CI != "" && len(got.CI) != 88 || got.BirthDate != "" && len(got.BirthDate) != 10 {
				t.Fatalf("%d characters of CI, %d of birth date", len(got.CI), len(got.BirthDate))
			}
			return
		}
		e, ok := errors.AsType[*authn.Error](err)
		if !ok || len(e.Provider) > 12 || got != (certificate.UCPIDPerson{}) {
			t.Fatalf("%T %v", err, err)
		}
		if len(answer) > 40 && strings.Contains(e.Error(), answer) {
			t.Fatal("the error tells the answer")
		}
	})
}
