package site_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

var now = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func valid() site.Site {
	return site.Site{
		ID: "qnet", Name: "큐넷", NameEnglish: "Q-Net", Institution: site.Institution{ID: "hrdk", Name: "한국산업인력공단", NameEnglish: "HRD Korea"},
		RedirectURIs: []string{"https://q-net.example/cb", "https://q-net.example/other?x=1"}, PostLogoutRedirectURIs: []string{"https://q-net.example/out"},
		LoginURL: "https://q-net.example/login", HomeURL: "https://q-net.example/", RequirePKCE: true,
		BackchannelLogoutURI: "https://back.q-net.example/out", BackchannelLogoutSessionRequired: true,
		FrontchannelLogoutURI: "https://q-net.example/out?x=1", FrontchannelLogoutSessionRequired: true, SessionManagement: true, SessionLifetime: 3600,
		Scopes: []string{"openid", "profile", "ci"}, Methods: []method.Method{method.Simple}, Certificates: []method.CertificateKind{method.General}, Level: 2,
		HandOver: site.HandOver{Version: "2026-11-01", Purpose: "원서접수", Retention: "1년", CIBasis: "시행령 제1조"},
	}.WithDefaults()
}

// TestValidateURI: the addresses that browsers may be sent to.
func TestValidateURI(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://a.example/cb", "https://a.example", "https://a.example/", "https://a.example:8443/cb?x=1&y=%20", "https://a.example/%ED%95%9C",
		"http://localhost/cb", "http://localhost:8081/cb", "http://127.0.0.1:1/cb", "http://127.1.2.3/", "http://[::1]:8080/cb",
		"https://xn--3e0b707e.example/cb", "https://10.0.0.1/cb", "https://a.example/~x/@y",
	} {
		if err := site.ValidateURI(good); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "relative": "/cb", "no scheme": "a.example/cb", "scheme-relative": "//a.example/cb", "no host": "https:///cb", "port only": "https://:443/cb",
		"opaque": "https:a.example", "javascript": "javascript:alert(1)", "data": "data:text/html,x", "private-use scheme": "com.example.app:/cb", "ftp": "ftp://a.example/",
		"http": "http://a.example/cb", "http, looks like loopback": "http://localhost.evil.example/cb", "http, 127 in the name": "http://127.0.0.1.evil.example/cb",
		"http, zero address": "http://0.0.0.0/cb", "http, private": "http://10.0.0.1/cb", "http, decimal address": "http://2130706433/cb",
		"fragment": "https://a.example/cb#x", "empty fragment": "https://a.example/cb#", "wildcard host": "https://*.a.example/cb", "wildcard path": "https://a.example/*",
		"user": "https://user@a.example/cb", "user and password": "https://user:pw@a.example/cb", "empty user": "https://@a.example/cb",
		"loopback as user": "http://localhost@evil.example/cb", "loopback as user and port": "http://localhost:80@evil.example/",
		"backslash": `https://a.example\cb`, "backslash host": `https://a.example\@evil.example/`, "space": "https://a.example/c b", "leading space": " https://a.example/cb",
		"tab": "https://a.example/c\tb", "newline": "https://a.example/cb\n", "carriage return": "https://a.example/\rcb", "NUL": "https://a.example/\x00", "control": "https://a.example/\x7f",
		"quotes": `https://a.example/"x`, "single quote": "https://a.example/'x", "angle": "https://a.example/<x>", "brace": "https://a.example/{x}", "pipe": "https://a.example/|",
		"semicolon": "https://a.example/a;b", "comma": "https://a.example/a,b", "caret": "https://a.example/^", "grave": "https://a.example/`",
		"bad escape": "https://a.example/%zz", "bad port": "https://a.example:port/", "escaped host": "https://a%2eexample/cb",
		"uppercase scheme": "HTTPS://a.example/cb", "uppercase host": "https://A.example/cb", "not ASCII": "https://한국.example/cb", "path not ASCII": "https://a.example/한",
		"invalid UTF-8": "https://a.example/\xff", "zone": "http://[::1%25eth0]/cb", "port 0": "https://a.example:0/", "port too large": "https://a.example:65536/",
	} {
		if err := site.ValidateURI(bad); err == nil {
			t.Errorf("%s: %q is accepted", name, bad)
		}
	}
}

// FuzzValidateURI: an address that is accepted reads the same to everybody.
func FuzzValidateURI(f *testing.F) {
	for _, seed := range []string{"https://a.example/cb?x=1", "http://localhost:1/", "https://a@b/", `https://a\b`, "https://a/#", "http://[::1]/", "https://a.example/%41"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if site.ValidateURI(uri) != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.User != nil || u.Fragment != "" || u.Host == "" {
			t.Fatalf("%q: %+v, %v", uri, u, err)
		}
		if u.String() != uri {
			t.Errorf("%q is written as %q", uri, u)
		}
		if origin := site.Origin(uri); origin != u.Scheme+"://"+u.Host {
			t.Errorf("%q has origin %q", uri, origin)
		}
	})
}

func TestWithQuery(t *testing.T) {
	t.Parallel()
	params := url.Values{"b": {"1 &"}, "a": {"x"}}
	for uri, want := range map[string]string{
		"https://a.example/cb": "https://a.example/cb?a=x&b=1+%26", "https://a.example/cb?": "https://a.example/cb?a=x&b=1+%26",
		"https://a.example/cb?x=%20": "https://a.example/cb?x=%20&a=x&b=1+%26", "https://a.example/cb?x&": "https://a.example/cb?x&a=x&b=1+%26",
	} {
		if got := site.WithQuery(uri, params); got != want {
			t.Errorf("%q becomes %q, want %q", uri, got, want)
		}
		if got := site.WithQuery(uri, nil); got != uri {
			t.Errorf("%q becomes %q", uri, got)
		}
	}
}

func TestSessionEnd(t *testing.T) {
	t.Parallel()
	s := valid()
	if end := s.SessionEnd(now); !end.Equal(now.Add(time.Hour)) {
		t.Errorf("a session of an hour ends at %s", end)
	}
	s.SessionLifetime = 0
	if end := s.SessionEnd(now); !end.IsZero() {
		t.Errorf("a session that nobody knows of ends at %s", end)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for uri, origin := range map[string]string{
		"https://a.example/cb": "https://a.example", "https://a.example:8443": "https://a.example:8443", "https://a.example?x=/": "https://a.example",
		"http://[::1]:80/x": "http://[::1]:80", "a.example": "",
	} {
		if got := site.Origin(uri); got != origin {
			t.Errorf("Origin(%q) = %q, want %q", uri, got, origin)
		}
	}
}

// TestValidate: one row per rule; each names its key.
func TestValidate(t *testing.T) {
	t.Parallel()
	check(t, valid().Validate())
	for name, row := range map[string]struct {
		change func(*site.Site)
		key    string // empty: allowed
	}{
		"no id":                    {func(s *site.Site) { s.ID = "" }, "client_id"},
		"id with slash":            {func(s *site.Site) { s.ID = "a/b" }, "client_id"},
		"id with newline":          {func(s *site.Site) { s.ID = "a\n" }, "client_id"},
		"long id":                  {func(s *site.Site) { s.ID = strings.Repeat("a", 65) }, "client_id"},
		"longest id":               {func(s *site.Site) { s.ID = strings.Repeat("a", 64) }, ""},
		"blank name":               {func(s *site.Site) { s.Name = " " }, "client_name"},
		"no redirect":              {func(s *site.Site) { s.RedirectURIs = nil }, "redirect_uris"},
		"bad redirect":             {func(s *site.Site) { s.RedirectURIs[1] = "https://*.example/" }, "redirect_uris"},
		"bad post-logout redirect": {func(s *site.Site) { s.PostLogoutRedirectURIs[0] = "javascript:x" }, "post_logout_redirect_uris"},
		"bad login page":           {func(s *site.Site) { s.LoginURL = "javascript:x" }, "login_url"},
		"bad home page":            {func(s *site.Site) { s.HomeURL = "http://a.example/" }, "client_uri"},
		"bad back channel":         {func(s *site.Site) { s.BackchannelLogoutURI = "http://a.example/out" }, "backchannel_logout_uri"},
		"back channel, fragment":   {func(s *site.Site) { s.BackchannelLogoutURI = "https://a.example/out#x" }, "backchannel_logout_uri"},
		"back channel elsewhere":   {func(s *site.Site) { s.BackchannelLogoutURI = "https://back.example/out" }, ""},
		"back channel, loopback":   {func(s *site.Site) { s.BackchannelLogoutURI = "http://127.0.0.1:9/out" }, ""},
		"no back channel for sid":  {func(s *site.Site) { s.BackchannelLogoutURI = "" }, "backchannel_logout_session_required"},
		"bad front channel":        {func(s *site.Site) { s.FrontchannelLogoutURI = "javascript:x" }, "frontchannel_logout_uri"},
		"front channel elsewhere":  {func(s *site.Site) { s.FrontchannelLogoutURI = "https://other.example/out" }, "frontchannel_logout_uri"},
		"front channel, port":      {func(s *site.Site) { s.FrontchannelLogoutURI = "https://q-net.example:8443/out" }, "frontchannel_logout_uri"},
		"no front channel for sid": {func(s *site.Site) { s.FrontchannelLogoutURI = "" }, "frontchannel_logout_session_required"},
		"front channel, IPv6": {func(s *site.Site) {
			s.RedirectURIs = []string{"http://[::1]:8080/cb"}
			s.FrontchannelLogoutURI = "http://[::1]:8080/out"
		}, "frontchannel_logout_uri"},
		"session of an hour":      {func(s *site.Site) { s.SessionLifetime = 3600 }, ""},
		"session of no time":      {func(s *site.Site) { s.SessionLifetime = 59 }, "session_lifetime"},
		"session before its time": {func(s *site.Site) { s.SessionLifetime = -3600 }, "session_lifetime"},
		"session for ever":        {func(s *site.Site) { s.SessionLifetime = 1 << 40 }, "session_lifetime"},
		"no pages":                {func(s *site.Site) { s.HomeURL, s.LoginURL = "", "" }, ""},
		"unknown authentication":  {func(s *site.Site) { s.AuthMethod = "tls" }, "token_endpoint_auth_method"},
		"public":                  {func(s *site.Site) { s.AuthMethod = site.Public }, ""},
		"implicit":                {func(s *site.Site) { s.GrantTypes = append(s.GrantTypes, "implicit") }, "grant_types"},
		"refresh only":            {func(s *site.Site) { s.GrantTypes = []string{site.RefreshToken} }, "grant_types"},
		"unknown scope":           {func(s *site.Site) { s.Scopes = append(s.Scopes, "email") }, "scopes"},
		"no openid":               {func(s *site.Site) { s.Scopes = []string{"profile"} }, "scopes"},
		"CI without basis":        {func(s *site.Site) { s.HandOver.CIBasis = "" }, "hand_over.ci_basis"},
		"offline without refresh": {func(s *site.Site) { s.Scopes = append(s.Scopes, "offline_access") }, "scopes"},
		"offline with refresh": {func(s *site.Site) {
			s.Scopes = append(s.Scopes, "offline_access")
			s.GrantTypes = append(s.GrantTypes, site.RefreshToken)
		}, ""},
		"alg none":                    {func(s *site.Site) { s.SigningAlg = "none" }, "id_token_signed_response_alg"},
		"unknown subject type":        {func(s *site.Site) { s.SubjectType = "shared" }, "subject_type"},
		"public subjects, no sector":  {func(s *site.Site) { s.SubjectType, s.Sector = site.PublicSubject, "" }, ""},
		"pairwise without sector":     {func(s *site.Site) { s.Sector = "" }, "sector_identifier"},
		"two hosts, sector by chance": {func(s *site.Site) { s.RedirectURIs[1] = "https://other.example/cb" }, "sector_identifier"},
		"two hosts, sector of choice": {func(s *site.Site) { s.RedirectURIs[1] = "https://other.example/cb"; s.Sector = "sector.example" }, ""},
		"level too high":              {func(s *site.Site) { s.Level = 4 }, "minimum_level"},
		"negative level":              {func(s *site.Site) { s.Level = -1 }, "minimum_level"},
		"unknown method":              {func(s *site.Site) { s.Methods = []method.Method{"phone"} }, "methods"},
		"certificates of two kinds":   {func(s *site.Site) { s.Certificates = []method.CertificateKind{method.General, method.Bank} }, ""},
		"unknown certificate":         {func(s *site.Site) { s.Certificates = []method.CertificateKind{"gold"} }, "certificates"},
		"method twice":                {func(s *site.Site) { s.Methods = []method.Method{method.Simple, method.Simple} }, ""},
	} {
		s := valid()
		s.RedirectURIs, s.PostLogoutRedirectURIs = slices.Clone(s.RedirectURIs), slices.Clone(s.PostLogoutRedirectURIs)
		row.change(&s)
		err := s.Validate()
		if row.key == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), row.key+": ") {
			t.Errorf("%s: %v, want a fault of %s", name, err, row.key)
		}
	}
	// All faults at once.
	err := site.Site{}.Validate()
	for _, key := range []string{"client_id", "client_name", "redirect_uris", "token_endpoint_auth_method", "grant_types", "scopes", "id_token_signed_response_alg", "subject_type"} {
		if !strings.Contains(err.Error(), key+": ") {
			t.Errorf("%s is not among the faults: %v", key, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	s := site.Site{ID: "a", Name: "가", RedirectURIs: []string{"https://a.example:8443/cb"}}.WithDefaults()
	check(t, s.Validate())
	if s.AuthMethod != site.SecretBasic || !slices.Equal(s.GrantTypes, []string{"authorization_code"}) || !slices.Equal(s.Scopes, []string{"openid"}) ||
		s.SigningAlg != "ES256" || s.SubjectType != site.Pairwise || s.Sector != "a.example" || s.HandOver.Version != "1" || s.Level != 0 || s.RequirePKCE {
		t.Errorf("defaults %+v", s)
	}
	if !reflect.DeepEqual(s, s.WithDefaults()) {
		t.Error("defaults change what has them")
	}
	if s.NeedsPKCE() || !s.Accepts(method.JointCert) || s.LocalName("en") != "가" {
		t.Errorf("site %+v", s)
	}
	s.AuthMethod, s.Methods, s.NameEnglish = site.Public, []method.Method{method.Simple}, "A"
	if !s.NeedsPKCE() || s.Accepts(method.JointCert) || !s.Accepts(method.Simple) || s.LocalName("en") != "A" || s.LocalName("ko") != "가" {
		t.Errorf("site %+v", s)
	}
	i := site.Institution{Name: "기관"}
	if i.LocalName("en") != "기관" {
		t.Error("an institution without English name has one")
	}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	x, err := secret.NewIndex(make([]byte, secret.KeySize))
	check(t, err)
	a, b, c := valid(), valid(), valid()
	b.ID, c.Sector = "other", "another.example"
	public := valid()
	public.SubjectType = site.PublicSubject
	seen := make(map[string]bool)
	for _, sub := range []string{a.Subject(x, "kim"), c.Subject(x, "kim"), public.Subject(x, "kim"), a.Subject(x, "lee")} {
		if len(sub) != 43 || seen[sub] {
			t.Errorf("sub %q", sub)
		}
		seen[sub] = true
	}
	if a.Subject(x, "kim") != b.Subject(x, "kim") {
		t.Error("two sites of a sector know a person by two subjects")
	}
}

const file = `
sites:
  - client_id: qnet
    client_name: 큐넷
    institution: {id: hrdk, name: 한국산업인력공단}
    redirect_uris: [https://q-net.example/cb]
    hand_over: {purpose: 원서접수, retention: 1년}
`

func noEnv(string) (string, bool) { return "", false }

func TestParseFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(path, []byte(" a-secret-from-a-file-of-enough-length \n"), 0o600))
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"GOOD": "a-secret-from-the-environment", "SHORT": "short", "EMPTY": "", "REF": "file:" + path}[name]
		return value, ok
	}
	for name, row := range map[string]struct{ line, secret, says string }{
		"none":             {"", "", ""},
		"literal":          {"client_secret: a-secret-of-enough-length-", "a-secret-of-enough-length-", ""},
		"environment":      {"client_secret: env:GOOD", "a-secret-from-the-environment", ""},
		"file":             {"client_secret: file:" + path, "a-secret-from-a-file-of-enough-length", ""},
		"short":            {"client_secret: short", "", "want at least 22"},
		"short by env":     {"client_secret: env:SHORT", "", "want at least 22"},
		"empty by env":     {"client_secret: env:EMPTY", "", "want at least 22"},
		"unset":            {"client_secret: env:NOTHING", "", "NOTHING is not set"},
		"no file":          {"client_secret: file:/nowhere/at/all", "", "no such file"},
		"env names a file": {"client_secret: env:REF", "file:" + path, ""}, // no reference to a reference
		"of a public":      {"client_secret: a-secret-of-enough-length-\n    token_endpoint_auth_method: none", "", "a public client has none"},
		"unknown field":    {"client_uris: x", "", "client_uris"},
		"wrong type":       {"minimum_level: high", "", "method.Level"},
		"field twice":      {"client_name: 큐넷", "", "already defined"},
		"bad site":         {"scopes: [email]", "", "scopes"},
		"wrong in nested":  {"login_url: https://q-net.example/\n    client_uri: {x: y}", "", "cannot unmarshal"},
	} {
		documents, err := site.ParseFile([]byte(strings.TrimRight(file, "\n")+"\n    "+row.line+"\n"), env)
		switch {
		case row.says != "":
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%s: %v, want %q", name, err, row.says)
			}
			if err != nil && strings.Contains(err.Error(), "short\"") {
				t.Errorf("%s: the error tells the secret: %v", name, err)
			}
		case err != nil || len(documents) != 1 || documents[0].Secret != row.secret || documents[0].Sector != "q-net.example":
			t.Errorf("%s: %+v, %v", name, documents, err)
		}
	}
	for name, bad := range map[string]string{
		"no YAML": "\t", "a list": "- x", "text": "x", "unknown key": "site: []", "twice": file + strings.TrimPrefix(file, "\nsites:\n"),
		"two documents": file + "---\nsites: []\n", "sites is a map": "sites: {a: b}", "alias bomb": "a: &a [x]\nsites: *a",
	} {
		if documents, err := site.ParseFile([]byte(bad), noEnv); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %+v, %v", name, documents, err)
		}
	}
	for name, empty := range map[string]string{"nothing": "", "a comment": "# x\n", "no sites": "sites: []"} {
		if documents, err := site.ParseFile([]byte(empty), noEnv); err != nil || len(documents) != 0 {
			t.Errorf("%s: %+v, %v", name, documents, err)
		}
	}
}

// TestFormat: what is shown of a site can be applied again, and is the same.
func TestFormat(t *testing.T) {
	t.Parallel()
	public := valid()
	public.ID, public.AuthMethod, public.Disabled, public.NoSSO, public.Level = "public", site.Public, true, true, 0
	for _, s := range []site.Site{valid(), public, site.Site{ID: "a", Name: "가 # \"나\"", RedirectURIs: []string{"https://a.example/"}}.WithDefaults()} {
		text, err := site.Format(s)
		check(t, err)
		documents, err := site.ParseFile([]byte(text), noEnv)
		check(t, err)
		if len(documents) != 1 || !reflect.DeepEqual(documents[0], site.Document{Site: s}) {
			t.Errorf("%+v is read back as %+v", s, documents)
		}
	}
}

// FuzzParseFile: what is accepted is valid, and is read back from what we write of it.
func FuzzParseFile(f *testing.F) {
	f.Add([]byte(file))
	f.Add([]byte("sites: []"))
	f.Add([]byte(file + "    client_secret: a-secret-of-enough-length-\n    scopes: [openid, ci]\n"))
	f.Add([]byte("sites: [{client_id: a, client_name: \"\\u0000\", redirect_uris: [https://a.example/]}]"))
	f.Add([]byte("a: &a [1]\nsites: [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Contains(string(text), "file:") {
			return // the file system is nobody's to fuzz
		}
		documents, err := site.ParseFile(text, noEnv)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("error %v", err)
			}
			return
		}
		for _, d := range documents {
			if err := d.Validate(); err != nil {
				t.Errorf("accepted: %v", err)
			}
			written, err := site.Format(d.Site)
			if err != nil {
				t.Fatal(err)
			}
			again, err := site.ParseFile([]byte(written), noEnv)
			if err != nil || len(again) != 1 {
				t.Fatalf("%q is not read back: %v", written, err)
			}
			d.Secret = ""
			twice, err := site.Format(again[0].Site)
			if err != nil || twice != written {
				t.Errorf("%q is read back as %q", written, twice)
			}
		}
	})
}

// stored lists the sites of a store by id.
func stored(t *testing.T, store site.Store) map[string]site.Registered {
	t.Helper()
	list, _, err := store.Sites(t.Context())
	check(t, err)
	byID := make(map[string]site.Registered)
	for _, s := range list {
		byID[s.ID] = s
	}
	return byID
}

func TestApply(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		store := db.Sites()
		given := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
		public := valid()
		public.ID, public.AuthMethod = "public", site.Public
		other := valid()
		other.ID = "other"
		documents := []site.Document{{Site: valid()}, {Site: public}, {Site: other, Secret: given}}
		apply := func(documents []site.Document, prune, dry bool) map[string]site.Change {
			t.Helper()
			_, before, err := store.Sites(t.Context())
			check(t, err)
			changes, err := site.Apply(t.Context(), store, documents, prune, dry, audit.Operator("test"), time.Now())
			check(t, err)
			byID := make(map[string]site.Change)
			changed := false
			for _, c := range changes {
				byID[c.ID] = c
				changed = changed || c.Kind != site.Unchanged || c.AddSecret
			}
			_, after, err := store.Sites(t.Context())
			check(t, err)
			if (after != before) != (changed && !dry) {
				t.Errorf("revision %d, then %d, with changes %+v", before, after, changes)
			}
			if !slices.IsSortedFunc(changes, func(a, b site.Change) int { return strings.Compare(a.ID, b.ID) }) {
				t.Errorf("changes are not sorted: %+v", changes)
			}
			return byID
		}

		dry := apply(documents, true, true)
		if len(dry) != 3 || dry["qnet"].Kind != site.Created || dry["qnet"].NewSecret != "" || !dry["qnet"].AddSecret || len(stored(t, store)) != 0 {
			t.Errorf("dry: %+v", dry)
		}
		first := apply(documents, false, false)
		if c := first["qnet"]; c.Kind != site.Created || len(c.NewSecret) != 43 || !c.AddSecret {
			t.Errorf("created: %+v", c)
		}
		if c := first["public"]; c.NewSecret != "" || c.AddSecret {
			t.Errorf("a public client gets a secret: %+v", c)
		}
		if c := first["other"]; c.NewSecret != "" || !c.AddSecret {
			t.Errorf("brought along: %+v", c)
		}
		now := stored(t, store)
		if !reflect.DeepEqual(now["qnet"].Site, valid()) || now["qnet"].Secrets[0].Hash != secret.Hash(first["qnet"].NewSecret) ||
			now["other"].Secrets[0].Hash != secret.Hash(given) || len(now["public"].Secrets) != 0 {
			t.Errorf("stored %+v", now)
		}

		for id, c := range apply(documents, true, false) { // idempotent
			if c.Kind != site.Unchanged || c.AddSecret || c.NewSecret != "" || len(c.Fields) != 0 {
				t.Errorf("%s applied again: %+v", id, c)
			}
		}

		changed := valid()
		changed.Name, changed.Level, changed.LoginURL = "새 이름", 3, ""
		next := []site.Document{{Site: changed, Secret: "another-secret-of-enough-length"}, documents[2]}
		for _, isDry := range []bool{true, false} {
			c := apply(next, true, isDry)
			fields := c["qnet"].Fields
			if c["qnet"].Kind != site.Updated || !c["qnet"].AddSecret || c["public"].Kind != site.Removed || c["other"].Kind != site.Unchanged ||
				!slices.Equal(fields, []site.FieldChange{
					{"client_name", `"큐넷"`, `"새 이름"`}, {"login_url", `"https://q-net.example/login"`, ""}, {"minimum_level", "2", "3"},
				}) {
				t.Errorf("dry %t: %+v", isDry, c)
			}
		}
		now = stored(t, store)
		if now["qnet"].Name != "새 이름" || len(now["qnet"].Secrets) != 2 || len(now) != 2 {
			t.Errorf("stored %+v", now)
		}
		live := 0
		for _, s := range now["qnet"].Secrets {
			if s.ExpiresAt.IsZero() {
				live++
			}
		}
		if live != 1 {
			t.Errorf("%d secrets live for ever", live)
		}
		value, err := site.NewSecret(t.Context(), store, "qnet", time.Hour, audit.Operator("test"), time.Now())
		check(t, err)
		if !slices.ContainsFunc(stored(t, store)["qnet"].Secrets, func(s site.Secret) bool { return s.Hash == secret.Hash(value) }) {
			t.Error("the new secret is not stored")
		}
		if _, err := site.NewSecret(t.Context(), store, "nobody", time.Hour, audit.System, time.Now()); !fault.Is(err, fault.NotFound) {
			t.Errorf("a secret for nobody: %v", err)
		}
		events, err := db.Audit().Unsealed(t.Context(), 1000)
		check(t, err)
		counts := make(map[audit.Action]int)
		for _, e := range events {
			counts[e.Action]++
			if text := fmt.Sprint(e); strings.Contains(text, given) || strings.Contains(text, first["qnet"].NewSecret) {
				t.Error("an event tells a secret")
			}
		}
		if want := map[audit.Action]int{audit.SiteApplied: 4, audit.SiteRemoved: 1, audit.SiteSecret: 4, audit.PolicyChanged: 1}; !maps.Equal(counts, want) {
			t.Errorf("on record %v, want %v", counts, want)
		}
	})
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		store := db.Sites()
		event := func() audit.Event { return audit.New(time.Now(), audit.SiteApplied, audit.System) }
		check(t, store.PutSite(t.Context(), valid(), now, event()))
		d, err := site.NewDirectory(t.Context(), store)
		check(t, err)
		found, err := d.Lookup("qnet")
		check(t, err)
		if found.Name != "큐넷" || d.Len() != 1 {
			t.Errorf("found %+v", found)
		}
		if _, err := d.Lookup("QNET"); !fault.Is(err, fault.NotFound) {
			t.Errorf("unknown: %v", err)
		}
		refreshed := func(what string, ok func() bool) {
			t.Helper()
			if ok() {
				t.Errorf("the directory sees that the site is %s before it looked", what)
			}
			check(t, d.Refresh(t.Context()))
			if !ok() {
				t.Errorf("the directory does not see that the site is %s", what)
			}
		}
		changed := valid()
		changed.Name = "새 이름"
		check(t, store.PutSite(t.Context(), changed, now, event()))
		refreshed("changed", func() bool { s, err := d.Lookup("qnet"); return err == nil && s.Name == "새 이름" })
		if found.Name != "큐넷" {
			t.Error("what was found before changes")
		}
		changed.Disabled = true
		check(t, store.PutSite(t.Context(), changed, now, event()))
		refreshed("disabled", func() bool { _, err := d.Lookup("qnet"); return fault.Is(err, fault.NotFound) && d.Len() == 1 })
		check(t, store.RemoveSite(t.Context(), "qnet", event()))
		refreshed("removed", func() bool { return d.Len() == 0 })
	})
}
