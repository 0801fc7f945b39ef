package ca

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

const password = "Haneul!2345"

var people = []Person{
	{Name: "김하늘", English: "KIM HANEUL", Number: "9501122000011", CI: inventedCI("a"), Wallet: Wallet{Folder: "/people/김하늘", PFX: "/people/김하늘.p12", Password: password, PIN: "950112"}},
	{Name: "이도윤", English: "LEE DOYUN", Number: "8807301000021", CI: inventedCI("b")},
}

// setting is a simulator at work.
type setting struct {
	*Simulator
	t    *testing.T
	pki  *npkitest.PKI
	http string // URL
	ldap string // host:port
	now  time.Time
}

// set opens the listeners, makes a PKI that names them, and serves. The directory is where CRLs are: "ldap" or
// "http".
func set(t *testing.T, directory string) *setting {
	t.Helper()
	x := &setting{t: t, now: time.Now()}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	listener, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.http, x.ldap = server.URL, listener.Addr().String()
	address := map[string]string{"ldap": "ldap://" + x.ldap, "http": x.http}[directory]
	clock := func() time.Time { return x.now }
	x.pki = npkitest.New(npkitest.Options{Now: clock, Directory: address, Responder: x.http + "/ocsp"})
	if x.Simulator, err = New(Config{PKI: x.pki, People: people, Now: clock}); err != nil {
		t.Fatal(err)
	}
	handler = x.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- x.ServeLDAP(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return x
}

func (x *setting) browser() *browse.Browser {
	x.t.Helper()
	b, err := browse.New(&http.Client{Timeout: 10 * time.Second})
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

// do fails the test at the first step that goes wrong.
func (x *setting) do(steps ...error) {
	x.t.Helper()
	if err := errors.Join(steps...); err != nil {
		x.t.Fatal(err)
	}
}

// apply goes from the choice of an authority to the ticket.
func (x *setting) apply(b *browse.Browser, organization, policy, who string, more ...string) (reference, authorization string) {
	x.t.Helper()
	ctx := x.t.Context()
	x.do(b.Open(ctx, x.http+"/"), b.Click(ctx, "ca-"+organization))
	x.do(b.Check("kind-"+policy), b.Check("person-"+who))
	for _, box := range more {
		x.do(b.Check(box))
	}
	x.do(b.Click(ctx, "apply"))
	return b.Text("reference-number"), b.Text("authorization-code")
}

// issue enters a ticket and a password.
func (x *setting) issue(b *browse.Browser, reference, authorization, password string) {
	x.t.Helper()
	x.do(b.Open(x.t.Context(), x.http+"/issue"))
	x.do(b.Fill("reference", reference), b.Fill("authorization", authorization), b.Fill("password", password), b.Fill("password-again", password))
	x.do(b.Click(x.t.Context(), "issue"))
}

// fetch reads what is behind an address.
func (x *setting) fetch(address string) []byte {
	x.t.Helper()
	r, err := http.Get(address)
	if err != nil {
		x.t.Fatal(err)
	}
	defer r.Body.Close()
	content, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		x.t.Fatalf("%s: %s, %v", address, r.Status, err)
	}
	return content
}

func TestFromApplicationToFiles(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	anchors, err := x.pki.Anchors()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		organization, policy string
		more                 []string
	}{
		{npkitest.Yessign, "1.2.410.200005.1.1.4", nil},
		{npkitest.KICA, "1.2.410.200004.5.2.1.2", []string{"key-3072"}},
		{npkitest.SignKorea, "1.2.410.200004.5.1.1.9", []string{"pair"}},
		{npkitest.CrossCert, "1.2.410.200004.5.4.1.103", nil},
		{npkitest.TradeSign, "1.2.410.200012.1.1.103", []string{"pair", "key-3072"}},
	} {
		t.Run(c.organization, func(t *testing.T) {
			t.Parallel()
			x := &setting{Simulator: x.Simulator, t: t, pki: x.pki, http: x.http, now: x.now}
			b := x.browser()
			reference, authorization := x.apply(b, c.organization, c.policy, "0", c.more...)
			x.issue(b, reference, authorization, password)
			if !b.Has("download-p12") {
				t.Fatalf("issued nothing: %s", b.Text("issue-error"))
			}
			base := b.URL().String()

			bundle, err := npki.ParsePFX(x.fetch(base+"/certificate.p12"), []byte(password))
			if err != nil {
				t.Fatal(err)
			}
			pair, err := bundle.Signing()
			if err != nil {
				t.Fatal(err)
			}
			chain, err := anchors.VerifyChain(pair.Certificate, npki.ChainOptions{Policies: []string{c.policy}, Holder: npki.Person, Time: x.now.Add(time.Second), NonRepudiation: true})
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 3072, false: 2048}[slices.Contains(c.more, "key-3072")]; chain.CA.PublicKey.(interface{ Size() int }).Size()*8 != want {
				t.Error("the chain is of the other generation")
			}
			identity, err := pair.Certificate.Identity()
			if err != nil {
				t.Fatal(err)
			}
			if err := identity.VID.Verify([]byte(people[0].Number), pair.Key.R); err != nil || identity.RealName != "김하늘" {
				t.Errorf("%q, %v", identity.RealName, err)
			}
			openedByOpenSSL(t, x.fetch(base+"/certificate.p12"))

			content := x.fetch(base + "/NPKI.zip")
			files, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
			if err != nil {
				t.Fatal(err)
			}
			found := map[string][]byte{}
			folders := map[string]bool{}
			for _, f := range files.File {
				r, err := f.Open()
				if err != nil {
					t.Fatal(err)
				}
				if found[filepath.Base(f.Name)], err = io.ReadAll(r); err != nil {
					t.Fatal(err)
				}
				folders[filepath.Dir(f.Name)] = true
				if want := regexp.MustCompile(`^NPKI/` + c.organization + `/USER/cn=김하늘\(KIM HANEUL\)[^/]*,o=` + c.organization + `,c=(kr|KR)/[^/]+$`); !want.MatchString(f.Name) {
					t.Errorf("file %s", f.Name)
				}
			}
			again, err := npki.ParsePair(found["signCert.der"], found["signPri.key"], []byte(password))
			if err != nil || !again.Certificate.Equal(pair.Certificate.Certificate) {
				t.Errorf("the folder holds another pair: %v", err)
			}
			wanted := 2
			if slices.Contains(c.more, "pair") {
				wanted = 4
				second, err := npki.ParsePair(found["kmCert.der"], found["kmPri.key"], []byte(password))
				if err != nil || second.Certificate.Signs() || !bytes.Equal(second.Certificate.RawSubject, pair.Certificate.RawSubject) {
					t.Errorf("the second pair: %v", err)
				}
			}
			if len(found) != wanted || len(folders) != 1 {
				t.Errorf("%d files in %d folders", len(found), len(folders))
			}
		})
	}
}

// openedByOpenSSL lets another implementation open the file, where there is one.
func openedByOpenSSL(t *testing.T, pfx []byte) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("there is no openssl")
		return
	}
	file := filepath.Join(t.TempDir(), "certificate.p12")
	if err := os.WriteFile(file, pfx, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), openssl, "pkcs12", "-in", file, "-passin", "pass:"+password, "-nodes").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("BEGIN CERTIFICATE")) || !bytes.Contains(out, []byte("BEGIN PRIVATE KEY")) {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// TestTickets says in words what is wrong with a ticket.
func TestTickets(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	b := x.browser()
	const policy = "1.2.410.200005.1.1.1"
	refused := func(want string) {
		t.Helper()
		if b.Status() != http.StatusUnprocessableEntity || !strings.Contains(b.Text("issue-error"), want) {
			t.Errorf("%d: %q, want %q", b.Status(), b.Text("issue-error"), want)
		}
	}
	x.issue(b, "0000000000", strings.Repeat("0", 20), password)
	refused("그런 참조번호가 없습니다")
	x.issue(b, "1", "2", "short")
	refused("참조번호 10자리")
	refused("인가코드 20자리")
	refused("10자 이상")

	reference, authorization := x.apply(b, npkitest.Yessign, policy, "1")
	for _, left := range []string{"4번", "3번", "2번", "1번"} {
		x.issue(b, reference, strings.Repeat("0", 20), password)
		refused(left + " 더")
	}
	x.issue(b, reference, strings.Repeat("0", 20), password)
	refused("5번 잘못")
	x.issue(b, reference, authorization, password)
	refused("5번 잘못")

	reference, authorization = x.apply(b, npkitest.Yessign, policy, "1")
	x.issue(b, reference, authorization, "한글비밀번호1!")
	refused("영문, 숫자, 특수문자만")
	x.do(b.Fill("password", password), b.Fill("password-again", password+"x"), b.Click(t.Context(), "issue"))
	refused("서로 다릅니다")
	x.do(b.Fill("password", password), b.Fill("password-again", password), b.Click(t.Context(), "issue"))
	if !b.Has("download-folder") {
		t.Fatal("the ticket does not serve after mistakes with the password")
	}
	x.issue(b, reference, authorization, password)
	refused("이미 인증서를 발급받은")
	x.do(b.Open(t.Context(), x.http+"/tickets/"+strings.ReplaceAll(reference, " ", "")))
	if b.Status() != http.StatusNotFound {
		t.Error("a used ticket is still shown")
	}

	reference, authorization = x.apply(b, npkitest.Yessign, policy, "1")
	x.now = x.now.Add(ticketLife)
	x.issue(b, reference, authorization, password)
	refused("14일이 지난")
}

func TestApplicants(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	const person, company = "1.2.410.200005.1.1.1", "1.2.410.200005.1.1.5"
	for name, c := range map[string]struct {
		kind, who, name, english, number string
		fault                            string // what the page says; empty: a ticket
	}{
		"somebody of the demonstration": {kind: person, who: "0"},
		"somebody new":                  {kind: person, who: "other", name: "홍길동", number: "010101-9000007"},
		"a company":                     {kind: company, who: "other", name: "주식회사 애니아이디 (시험)", english: "Anyid Co.", number: "123-45-67891"},
		"no number":                     {kind: person, who: "other", name: "홍길동", number: "010101-1", fault: "13자리"},
		"no such day":                   {kind: person, who: "other", name: "홍길동", number: "010230-3000000", fault: "13자리"},
		"no name":                       {kind: person, who: "other", number: "010101-9000007", fault: "이름을 글자와"},
		"a name that leads elsewhere":   {kind: person, who: "other", name: "../../etc", number: "010101-9000007", fault: "이름을 글자와"},
		"no English":                    {kind: person, who: "other", name: "홍길순", english: "홍길순", number: "010101-0000001", fault: "로마자"},
		"somebody else's number":        {kind: person, who: "other", name: "홍길순", number: "950112-2000011", fault: "다른 사람의 번호"},
		"a person's number":             {kind: company, who: "other", name: "회사", number: "010101-9000007", fault: "사업자등록번호 10자리"},
		"a person for a company":        {kind: company, who: "0", fault: "법인 인증서는"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &setting{Simulator: x.Simulator, t: t, http: x.http}
			b := x.browser()
			ctx := t.Context()
			x.do(b.Open(ctx, x.http+"/apply/yessign"))
			x.do(b.Check("kind-"+c.kind), b.Check("person-"+c.who), b.Fill("name", c.name), b.Fill("english", c.english), b.Fill("number", c.number))
			x.do(b.Click(ctx, "apply"))
			if c.fault == "" {
				if !b.Has("reference-number") {
					t.Errorf("no ticket: %s", b.Text("apply-form"))
				}
				return
			}
			if b.Status() != http.StatusUnprocessableEntity || !b.Has("apply-error") || !strings.Contains(b.Text("apply-form"), c.fault) {
				t.Errorf("%d: %s", b.Status(), b.Text("apply-form"))
			}
		})
	}
	for address, want := range map[string]int{"/apply/nobody": 404, "/issued/none": 404, "/issued/none/NPKI.zip": 404, "/certificates/none": 404, "/tickets/1": 404, "/people": 200, "/certificates": 200, "/ca.css": 200, "/sim.css": 200, "/ou=none?certificateRevocationList": 404} {
		r, err := http.Get(x.http + address)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d", address, r.StatusCode)
		}
	}
}

// TestLifeOfACertificate walks through hold, release, renewal and revocation, and compares what the desk says
// with what the responder says.
func TestLifeOfACertificate(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	b := x.browser()
	ctx := t.Context()
	reference, authorization := x.apply(b, npkitest.KICA, "1.2.410.200004.5.2.1.7.1", "0")
	x.issue(b, reference, authorization, password)
	x.do(b.Click(ctx, "issued-certificate"))
	address := b.URL().String()
	id := address[strings.LastIndex(address, "/")+1:]
	c, err := x.find(id)
	if err != nil {
		t.Fatal(err)
	}
	is := func(state, button string, want npki.Code) {
		t.Helper()
		if b.Text("state") != state || button != "" && !b.Has(button) {
			t.Errorf("the desk says %q", b.Text("state"))
		}
		if err := x.ask(c.record.Certificate, c.authority); (want == "") != (err == nil) || want != "" && !errors.Is(err, want) {
			t.Errorf("the responder says %v, want %q", err, want)
		}
	}
	is("유효", "hold", "")
	x.do(b.Click(ctx, "hold"))
	is("효력정지", "release", npki.ErrHeld)
	x.do(b.Click(ctx, "release"))
	is("유효", "revoke", "")

	x.do(b.Fill("password", "short"), b.Click(ctx, "renew"))
	if b.Status() != http.StatusUnprocessableEntity || !strings.Contains(b.Text("change-error"), "10자 이상") {
		t.Errorf("a short password: %d", b.Status())
	}
	x.do(b.Fill("password", "Another!2345"), b.Fill("password-again", "Another!2345"), b.Click(ctx, "renew"))
	bundle, err := npki.ParsePFX(x.fetch(b.URL().String()+"/certificate.p12"), []byte("Another!2345"))
	if err != nil {
		t.Fatal(err)
	}
	renewed := bundle.Pairs[0].Certificate
	if renewed.SerialNumber.Cmp(c.record.Certificate.SerialNumber) == 0 || x.ask(renewed, c.authority) != nil {
		t.Error("the renewed certificate is no new one, or not good")
	}

	x.do(b.Open(ctx, address))
	is("유효", "revoke", "")
	x.do(b.Click(ctx, "revoke"))
	is("폐지", "", npki.ErrRevoked)
	if b.Has("renew") || b.Has("hold") || b.Has("release") {
		t.Error("something can be done to a revoked certificate")
	}
	for _, change := range []string{Hold, Release, Revoke} {
		if err := x.Change(id, change); !errors.Is(err, npkitest.ErrState) {
			t.Errorf("%s of a revoked certificate: %v", change, err)
		}
	}
	if err := x.Change(id, "burn"); !errors.Is(err, npkitest.ErrUnknown) {
		t.Errorf("an unknown change: %v", err)
	}
	for path, want := range map[string]int{id + "/revoke": 409, "none/revoke": 404, ID(renewed) + "/hold": 204} {
		r, err := http.Post(x.http+"/api/certificates/"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
	var listed struct{ Certificates []Certificate }
	if err := json.Unmarshal(x.fetch(x.http+"/api/certificates"), &listed); err != nil {
		t.Fatal(err)
	}
	states := map[string]State{}
	for _, c := range listed.Certificates {
		states[c.ID] = c.State
	}
	if states[id] != Revoked || states[ID(renewed)] != Held || len(states) != 2 {
		t.Errorf("the books say %v", states)
	}
	x.now = x.now.AddDate(2, 0, 0)
	if err := x.Change(ID(renewed), Release); err != nil {
		t.Fatal(err)
	}
	if c, err := x.find(ID(renewed)); err != nil || c.State != Expired {
		t.Errorf("after two years: %s, %v", c.State, err)
	}
}

// ask asks the responder over HTTP, as a relying party does.
func (x *setting) ask(c *npki.Certificate, a *npkitest.Authority) error {
	x.t.Helper()
	question := revocation.Question{Certificate: c.Certificate, Issuer: a.Certificate, Root: a.Root().Certificate, Nonce: []byte("0123456789abcdef")}
	request, err := question.Request(nil, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := http.Post(c.OCSPServer[0], "application/ocsp-request", bytes.NewReader(request))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "application/ocsp-response" {
		return errors.New(r.Status)
	}
	answer, err := question.Verify(raw, x.now)
	if err != nil {
		return err
	}
	return answer.Status()
}

// enrolled gives a person of the demonstration a certificate.
func (x *setting) enrolled(organization string) *npkitest.Holder {
	x.t.Helper()
	a, err := x.pki.CA(organization, npkitest.RSA2048)
	if err != nil {
		x.t.Fatal(err)
	}
	policy := map[string]string{npkitest.Yessign: "1.2.410.200005.1.1.4", npkitest.CrossCert: "1.2.410.200004.5.4.1.1"}[organization]
	h, err := a.Enroll(npkitest.Applicant{Name: people[0].Name, Number: people[0].Number, Policy: policy})
	if err != nil {
		x.t.Fatal(err)
	}
	return h
}

// outside fetches as a relying party would, with other people's LDAP client.
type outside struct{}

func (outside) FetchCRL(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "http" {
		return send(ctx, http.MethodGet, address, "", nil)
	}
	connection, err := ldap.DialURL("ldap://"+u.Host, ldap.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if err := connection.UnauthenticatedBind(""); err != nil {
		return nil, err
	}
	found, err := connection.Search(ldap.NewSearchRequest(strings.TrimPrefix(u.Path, "/"), ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 5, false, "(objectClass=*)", []string{u.RawQuery + ";binary"}, nil))
	if err != nil {
		return nil, err
	}
	return found.Entries[0].GetRawAttributeValue(u.RawQuery + ";binary"), nil
}

func (outside) QueryOCSP(ctx context.Context, address string, request []byte) ([]byte, error) {
	return send(ctx, http.MethodPost, address, "application/ocsp-request", request)
}

func send(ctx context.Context, method, address, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// checker is a relying party that asks anew each time.
func (x *setting) checker(byOCSP bool) func(*npkitest.Holder) error {
	x.t.Helper()
	u, err := url.Parse(x.http)
	if err != nil {
		x.t.Fatal(err)
	}
	config := revocation.Config{Fetcher: outside{}, Hosts: []string{u.Host, x.ldap}, Now: func() time.Time { return x.now }, Authorities: true}
	if byOCSP {
		config.Responders = map[string]revocation.Responder{npkitest.Yessign: {Nonce: true}, npkitest.CrossCert: {Nonce: true}}
	}
	anchors, err := x.pki.Anchors()
	if err != nil {
		x.t.Fatal(err)
	}
	return func(h *npkitest.Holder) error {
		checker, err := revocation.New(config)
		if err != nil {
			x.t.Fatal(err)
		}
		policy, _ := h.Certificate.Policy()
		chain, err := anchors.VerifyChain(h.Certificate, npki.ChainOptions{Policies: []string{policy.OID}, Time: x.now.Add(time.Second)})
		if err != nil {
			x.t.Fatal(err)
		}
		_, err = checker.Check(x.t.Context(), chain)
		return err
	}
}

func TestListsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, directory := range []string{"ldap", "http"} {
		t.Run(directory, func(t *testing.T) {
			t.Parallel()
			x := set(t, directory)
			check := x.checker(false)
			good, held := x.enrolled(npkitest.Yessign), x.enrolled(npkitest.Yessign)
			if err := check(good); err != nil {
				t.Error(err)
			}
			if err := x.Change(ID(held.Certificate), Hold); err != nil {
				t.Fatal(err)
			}
			if err := check(held); !errors.Is(err, npki.ErrHeld) {
				t.Error(err)
			}
			if err := check(good); err != nil {
				t.Error(err)
			}
			point := good.Certificate.CRLDistributionPoints[0]
			list, err := outside{}.FetchCRL(t.Context(), point)
			if err != nil {
				t.Fatal(err)
			}
			readByOpenSSL(t, list, "crl", "-noout", "-text")
			// A list can be had over HTTP too, though certificates say LDAP.
			u, err := url.Parse(point)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := revocation.ParseList(x.fetch(x.http+u.RequestURI()), held.Authority.Certificate); err != nil {
				t.Error(err)
			}
		})
	}
}

// readByOpenSSL lets another implementation read DER, where there is one.
func readByOpenSSL(t *testing.T, content []byte, command ...string) {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Log("there is no openssl")
		return
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	in := []string{"-inform", "DER", "-in", file}
	if command[0] == "ocsp" {
		in = []string{"-respin", file}
	}
	if out, err := exec.CommandContext(t.Context(), openssl, slices.Concat(command[:1], in, command[1:])...).CombinedOutput(); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func TestOpenSSLReadsTheResponder(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	h := x.enrolled(npkitest.Yessign)
	question := revocation.Question{Certificate: h.Certificate.Certificate, Issuer: h.Authority.Certificate, Root: h.Authority.Root().Certificate}
	request, err := question.Request(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := outside{}.QueryOCSP(t.Context(), h.Certificate.OCSPServer[0], request)
	if err != nil {
		t.Fatal(err)
	}
	readByOpenSSL(t, answer, "ocsp", "-noverify", "-text")
}

// TestFaults switches each fault on for one authority: its certificates are refused, the neighbours' are not.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range npkitest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			x := set(t, "ldap")
			check := x.checker(strings.HasPrefix(string(fault), "ocsp"))
			one, other := x.enrolled(npkitest.Yessign), x.enrolled(npkitest.CrossCert)
			if strings.HasPrefix(string(fault), "ocsp") {
				// The list would do instead.
				if err := x.Faults().Set(sim.Switch{Name: string(npkitest.CRLDown), Only: npkitest.Yessign}); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.Faults().Set(sim.Switch{Name: string(fault), Only: npkitest.Yessign}); err != nil {
				t.Fatal(err)
			}
			if err := check(one); !errors.Is(err, npki.ErrStatus) {
				t.Errorf("with the fault: %v", err)
			}
			if err := check(other); err != nil {
				t.Errorf("elsewhere: %v", err)
			}
			x.Faults().Clear()
			if err := check(one); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestFaultsOfACall(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	lists, responder := x.checker(false), x.checker(true)
	h, next := x.enrolled(npkitest.Yessign), x.enrolled(npkitest.Yessign)
	for _, name := range []string{FaultServerError, FaultUnreachable} {
		if err := x.Faults().Set(sim.Switch{Name: name}); err != nil {
			t.Fatal(err)
		}
		for _, check := range []func(*npkitest.Holder) error{lists, responder} {
			if err := check(h); !errors.Is(err, npki.ErrStatus) {
				t.Errorf("%s: %v", name, err)
			}
		}
		x.Faults().Clear()
	}
	if err := x.Faults().Set(sim.Switch{Name: FaultSlow, DelayMS: 50, Uses: 1, Only: "crl"}); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := lists(h); err != nil || time.Since(before) < 50*time.Millisecond {
		t.Errorf("slow: %v after %v", err, time.Since(before))
	}

	if err := x.Faults().Set(sim.Switch{Name: FaultRevokedNext, Only: ID(h.Certificate)}); err != nil {
		t.Fatal(err)
	}
	if err := responder(next); err != nil {
		t.Error(err)
	}
	if err := responder(h); err != nil {
		t.Error(err)
	}
	if err := responder(h); !errors.Is(err, npki.ErrRevoked) {
		t.Errorf("revoked between two questions: %v", err)
	}
	if err := responder(next); err != nil {
		t.Error(err)
	}
}

func TestResponderIsStrict(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	for name, c := range map[string]struct {
		kind string
		body []byte
		want int
	}{
		"no media type": {"text/plain", nil, http.StatusUnsupportedMediaType},
		"too long":      {"application/ocsp-request", make([]byte, maxRequest+1), http.StatusRequestEntityTooLarge},
		"no request":    {"application/ocsp-request", []byte("?"), http.StatusOK}, // malformedRequest
	} {
		r, err := http.Post(x.http+"/ocsp", c.kind, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != c.want {
			t.Errorf("%s: %d", name, r.StatusCode)
		}
	}
}

func TestResolver(t *testing.T) {
	t.Parallel()
	x := set(t, "ldap")
	b := x.browser()
	x.do(b.Open(t.Context(), x.http+"/apply/yessign"))
	x.do(b.Check("person-other"), b.Fill("name", "홍길동"), b.Fill("number", "9001011234568"), b.Click(t.Context(), "apply"))
	ask := func(key, body string) (status int, ci, kind string) {
		t.Helper()
		verb := http.MethodPost
		if body == "" {
			verb = http.MethodGet
		}
		r, err := http.NewRequestWithContext(t.Context(), verb, x.http+"/v1/ci", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, "", ""
		}
		defer resp.Body.Close()
		var out struct{ CI, Type string }
		_ = json.NewDecoder(resp.Body).Decode(&out)
		if got, want := resp.Header.Get("Content-Type"), map[bool]string{true: "application/json; charset=utf-8", false: "application/problem+json"}[resp.StatusCode == 200]; got != want && resp.StatusCode != 500 {
			t.Errorf("%d with %s", resp.StatusCode, got)
		}
		return resp.StatusCode, out.CI, out.Type
	}
	known := `{"resident_number":"9501122000011","name":"김하늘"}`
	for _, c := range []struct {
		fault, key, body string
		status           int
		ci, kind         string
	}{
		{"", x.ResolverKey(), known, 200, people[0].CI, ""},
		{"", x.ResolverKey(), `{"resident_number":"9001011234568","name":"홍길동"}`, 200, "Wn68cmM+NwcueFl0Q7JgnRnbCkNUurf1P8dd62kksNZFGZ2cqEj44mVll6C7lx2rcJcmDsvFFWRStgSDzBvuyA==", ""},
		{"", "wrong", known, 401, "", "urn:anyid:resolver:unauthorized"},
		{"", x.ResolverKey(), `{"resident_number":"9501122000011","name":"이도윤"}`, 404, "", "urn:anyid:resolver:unknown-person"},
		{"", x.ResolverKey(), `{"resident_number":"9501122000012","name":"김하늘"}`, 404, "", "urn:anyid:resolver:unknown-person"},
		{"", x.ResolverKey(), `{"number":"9501122000011"}`, 400, "", "urn:anyid:resolver:malformed"},
		{"", x.ResolverKey(), "", 405, "", "urn:anyid:resolver:method"}, // by which a caller finds out that its key is right
		{"", "wrong", "", 401, "", "urn:anyid:resolver:unauthorized"},
		{FaultResolverKey, x.ResolverKey(), known, 401, "", "urn:anyid:resolver:unauthorized"},
		{FaultResolverOther, x.ResolverKey(), known, 200, people[1].CI, ""},
		{FaultResolverBroken, x.ResolverKey(), known, 200, people[0].CI[:80], ""},
		{FaultServerError, x.ResolverKey(), known, 500, "", ""},
		{FaultUnreachable, x.ResolverKey(), known, 0, "", ""},
	} {
		if c.fault != "" {
			if err := x.Faults().Set(sim.Switch{Name: c.fault, Only: people[0].Number, Uses: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if status, ci, kind := ask(c.key, c.body); status != c.status || ci != c.ci || kind != c.kind {
			t.Errorf("%s %s: %d %q %q", c.fault, c.body, status, ci, kind)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	bad := func(change func(*Person)) []Person {
		p := people[0]
		change(&p)
		return []Person{p}
	}
	for name, c := range map[string]Config{
		"no PKI":            {},
		"no name":           {PKI: pki, People: bad(func(p *Person) { p.Name = "" })},
		"no number":         {PKI: pki, People: bad(func(p *Person) { p.Number = "950112" })},
		"no CI":             {PKI: pki, People: bad(func(p *Person) { p.CI = "CI" })},
		"two of one number": {PKI: pki, People: []Person{people[0], people[0]}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestFaultTable: what npkitest can do wrong is all in the table.
func TestFaultTable(t *testing.T) {
	t.Parallel()
	for _, fault := range npkitest.Faults() {
		if !slices.ContainsFunc(faultTable, func(f sim.Fault) bool { return f.Name == string(fault) && f.Meaning != "" }) {
			t.Errorf("the table lacks %s", fault)
		}
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, organization := range organizations {
		person, company := kinds(organization)
		if len(person) == 0 || len(company) == 0 || organizationName(organization) == organization {
			t.Errorf("%s: %d kinds for people, %d for companies", organization, len(person), len(company))
		}
	}
}

var _ revocation.Fetcher = outside{}
