package pages

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/signer"
	"github.com/anyid/anyid/internal/web"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// signerPage is a service that has nothing but the joint certificate's page.
type signerPage struct {
	base, host string
	recipient  *npkitest.Holder // whom R is sent to
	request    authn.SignRequest
	ucpid      npki.UCPIDRequest

	mu   sync.Mutex
	sent []string     // every request as it came, with its header and body
	form []url.Values // what was posted
}

const signPassword = "pass-Phrase!은하수9"

func newSignerPage(t testing.TB, pki *npkitest.PKI, remaining time.Duration) *signerPage {
	t.Helper()
	s := &signerPage{}
	kica, err := pki.CA(npkitest.KICA, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	if s.recipient, err = kica.Enroll(npkitest.Applicant{Name: "정부 통합인증", Policy: "1.2.410.200004.5.2.1.1", Encipherment: true}); err != nil {
		t.Fatal(err)
	}
	s.ucpid = npki.UCPIDRequest{
		Nonce: bytes.Repeat([]byte{7}, 16), Agreement: "본인확인을 위하여 이름, 생년월일, 성별, 내·외국인 여부, 연계정보(CI)를 login.example.kr에 제공하는 데 동의합니다.",
		Items: npki.UCPIDAll, Module: "anyid", Vendor: "anyid", Version: npki.UCPIDVersion{Major: 1}, Site: "login.example.kr",
	}
	request, err := s.ucpid.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.request = authn.SignRequest{
		Content: `anyid-login;v=1;iss=https://login.example.kr;txn=t1;nonce=n1;iat=1;aud="큐넷"`, UCPID: base64.RawURLEncoding.EncodeToString(request), Agreement: s.ucpid.Agreement,
		Policies:  []string{"1.2.410.200005.1.1.1", "1.2.410.200005.1.1.4", "1.2.410.200004.5.2.1.2", "1.2.410.200004.5.4.1.101"},
		Recipient: base64.StdEncoding.EncodeToString(s.recipient.Certificate.Raw),
	}
	v := newViews(t, sampleBranding())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/a1/joint-cert", func(w http.ResponseWriter, r *http.Request) {
		v.JointCert(w, r, http.StatusOK, SignView{
			Site: qnet, Request: s.request, Remaining: remaining,
			SignURL: "/login/a1/joint-cert", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
		})
	})
	mux.HandleFunc("POST /login/a1/joint-cert", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.form = append(s.form, r.PostForm)
		s.mu.Unlock()
		v.LoggedOut(w, r, http.StatusOK, LoggedOutView{Site: &qnet, ReturnURL: "/"})
	})
	mux.Handle("GET "+web.AssetPrefix, web.Assets())
	edge := web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var whole strings.Builder
		whole.WriteString(r.Method + " " + r.URL.String() + "\n")
		if err := r.Header.Write(&whole); err != nil {
			t.Error(err)
		}
		whole.Write(body)
		s.mu.Lock()
		s.sent = append(s.sent, whole.String())
		s.mu.Unlock()
		edge.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.base, s.host = server.URL+"/login/a1/joint-cert", u.Host
	return s
}

// citizen is somebody with certificates in files.
type citizen struct {
	folder   string           // NPKI
	personal *npkitest.Holder // in the folder, from yessign
	general  *npkitest.Holder // in the folder, from KICA; its key under PBES2
	p12, two string           // files: personal; personal and general
}

func newCitizen(t testing.TB, pki *npkitest.PKI) citizen {
	t.Helper()
	c := citizen{folder: filepath.Join(t.TempDir(), "NPKI")}
	enroll := func(pki *npkitest.PKI, ca string, a npkitest.Applicant) *npkitest.Holder {
		authority, err := pki.CA(ca, npkitest.RSA2048)
		if err != nil {
			t.Fatal(err)
		}
		h, err := authority.Enroll(a)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	write := func(path string, data []byte) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep := func(h *npkitest.Holder, e npki.Encryption) {
		folder, err := h.Folder()
		if err != nil {
			t.Fatal(err)
		}
		files, err := h.Files([]byte(signPassword), e)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range files {
			write(filepath.Join(c.folder, filepath.FromSlash(folder), name), data)
		}
	}
	hong := npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: "9501121234567", Policy: "1.2.410.200005.1.1.4"}
	c.personal = enroll(pki, npkitest.Yessign, hong)
	hong.Policy = "1.2.410.200004.5.2.1.2"
	c.general = enroll(pki, npkitest.KICA, hong)
	keep(c.personal, npki.Encryption{})
	keep(c.general, npki.Encryption{Scheme: npki.SchemePBES2})
	keep(enroll(pki, npkitest.KICA, npkitest.Applicant{Name: "주식회사 하늘", Number: "1234567891", Policy: "1.2.410.200004.5.2.1.1"}), npki.Encryption{})
	hong.Policy = "1.2.410.200005.1.1.6.2"
	keep(enroll(pki, npkitest.Yessign, hong), npki.Encryption{})
	past := npkitest.New(npkitest.Options{Now: func() time.Time { return time.Now().AddDate(-2, 0, 0) }})
	hong.Policy = "1.2.410.200004.5.4.1.101"
	keep(enroll(past, npkitest.CrossCert, hong), npki.Encryption{})
	authority, err := pki.CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(c.folder, "yessign", "ca.der"), authority.Certificate.Raw)
	pair := func(h *npkitest.Holder) npki.Pair { return npki.Pair{Certificate: h.Certificate, Key: h.Key} }
	c.p12, c.two = filepath.Join(t.TempDir(), "홍길동.p12"), filepath.Join(t.TempDir(), "둘.pfx")
	for path, b := range map[string]npki.Bundle{c.p12: {Pairs: []npki.Pair{pair(c.personal)}}, c.two: {Pairs: []npki.Pair{pair(c.personal), pair(c.general)}}} {
		data, err := b.MarshalPFX(npki.Encryption{}, []byte(signPassword))
		if err != nil {
			t.Fatal(err)
		}
		write(path, data)
	}
	return c
}

// check verifies what the page has posted, as the server will, and that no secret was sent with it.
func (s *signerPage) check(t *testing.T, h *npkitest.Holder) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.form) != 1 {
		t.Fatalf("%d forms posted", len(s.form))
	}
	form := s.form[0]
	s.form = nil
	names := make([]string, 0, len(form))
	for name := range form {
		names = append(names, name)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"signed", "ucpid", "vid"}) {
		t.Errorf("fields %q", names)
	}
	message, err := npki.DecodeMessage(form.Get("signed"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := npki.VerifySignedData(message, npki.Want{Content: []byte(s.request.Content), Attributes: npki.Required})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signed.Certificate.Raw, h.Certificate.Raw) {
		t.Error("signed with another certificate")
	}
	if message, err = npki.DecodeMessage(form.Get("ucpid")); err != nil {
		t.Fatal(err)
	}
	signed, _, err = npki.VerifyUCPIDRequest(message, npki.Want{}, npki.UCPIDWant{
		Nonce: s.ucpid.Nonce, Site: s.ucpid.Site, Agreement: s.ucpid.Agreement, Items: s.ucpid.Items,
	})
	if err != nil || !bytes.Equal(signed.Certificate.Raw, h.Certificate.Raw) {
		t.Errorf("UCPID: %v", err)
	}
	vid, err := npki.OpenVIDMsg(s.recipient.Key.Key.(*rsa.PrivateKey), form.Get("vid"))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := h.Certificate.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := vid.VerifyVID(*identity.VID, []byte("9501121234567")); err != nil || len(vid.IDN) != 0 || !bytes.Equal(vid.R, h.Key.R) {
		t.Errorf("VidMsg: %v", err)
	}
	key := h.Key.Key.(*rsa.PrivateKey)
	for name, secret := range map[string][]byte{"password": []byte(signPassword), "R": h.Key.R, "d": key.D.Bytes(), "p": key.Primes[0].Bytes(), "q": key.Primes[1].Bytes()} {
		for _, written := range []string{
			string(secret), url.QueryEscape(string(secret)), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
			// Base64 at each of its three phases, without the letters that neighbours decide.
			base64.StdEncoding.EncodeToString(secret[:len(secret)/3*3]), base64.StdEncoding.EncodeToString(secret[1 : 1+(len(secret)-1)/3*3]), base64.StdEncoding.EncodeToString(secret[2 : 2+(len(secret)-2)/3*3]),
			base64.URLEncoding.EncodeToString(secret[:len(secret)/3*3]), base64.URLEncoding.EncodeToString(secret[1 : 1+(len(secret)-1)/3*3]), base64.URLEncoding.EncodeToString(secret[2 : 2+(len(secret)-2)/3*3]),
		} {
			for _, request := range s.sent {
				plain, err := url.QueryUnescape(request)
				if strings.Contains(request, written) || err == nil && strings.Contains(plain, written) {
					t.Errorf("%s is in a request", name)
				}
			}
		}
	}
}

// choose clicks on the certificate whose row holds the text.
func choose(tab *chromium.Tab, text string) {
	id := tab.Value(`[...document.querySelectorAll("#cert-entries .certificate")].find(e => e.innerText.includes("` + text + `")).querySelector("input").id`)
	tab.Click(id)
}

// await waits until the element shows the text.
func await(t testing.TB, tab *chromium.Tab, id, text string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(tab.Text(id), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("#%s shows %q, not %q", id, tab.Text(id), text)
		}
	}
}

func picture(t *testing.T, tab *chromium.Tab, name string) {
	t.Helper()
	for size, width := range map[string]int64{"phone": 390, "desk": 1280} {
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+"-"+size+".png"), tab.Screenshot(width, 844), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSignInTheBrowser(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	c := newCitizen(t, pki)
	s := newSignerPage(t, pki, 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}}).Tab()

	// A folder, a wrong password, then the right one.
	tab.Open(s.base)
	await(t, tab, "cert-state", "준비되었습니다.")
	picture(t, tab, "start")
	tab.Upload("cert-folder", c.folder)
	await(t, tab, "cert-state", "인증서 5개를 찾았습니다.")
	list := tab.Text("cert-entries")
	for _, want := range []string{
		"홍길동\n금융결제원 · 개인 은행/보험/카드/민원\n", "한국정보인증 · 개인 범용", "유효기간이 지난 인증서입니다.",
		"주식회사 하늘\n한국정보인증 · 법인 범용\n", "법인·사업자용 인증서로는", "사용할 수 없는 종류의 인증서입니다.",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q:\n%s", want, list)
		}
	}
	if n := tab.Value(`document.querySelectorAll("#cert-entries input:enabled").length + "/" + document.querySelectorAll("#cert-entries input").length`); n != "2/5" {
		t.Errorf("%s can be chosen", n)
	}
	tab.Click("cert-sign")
	await(t, tab, "cert-list-error", "사용할 인증서를 선택해 주세요.")
	choose(tab, "금융결제원 · 개인 은행")
	tab.Click("cert-sign")
	await(t, tab, "cert-password-error", "인증서 비밀번호를 입력해 주세요.")
	for n, word := range []string{"1회", "2회"} {
		tab.Fill("cert-password", "wrong"+word)
		tab.Click("cert-sign")
		await(t, tab, "cert-password-error", word)
		if focus := tab.Value("document.activeElement.id"); focus != "cert-password" {
			t.Errorf("try %d: the focus is on %q", n, focus)
		}
	}
	picture(t, tab, "wrong-password")
	tab.Fill("cert-password", signPassword)
	tab.Follow("cert-sign")
	tab.Wait("return-to-site")
	s.check(t, c.personal)

	// A file with one certificate, by keyboard.
	tab.Open(s.base)
	tab.Upload("cert-files", c.p12)
	await(t, tab, "cert-entries", "비밀번호를 넣으면 보입니다.")
	tab.TabTo("cert-password")
	tab.Insert(signPassword)
	tab.Enter()
	s.check(t, c.personal)

	// A file with two.
	tab.Open(s.base)
	tab.Upload("cert-files", c.two)
	await(t, tab, "cert-entries", "둘.pfx")
	tab.Fill("cert-password", signPassword)
	tab.Click("cert-sign")
	await(t, tab, "cert-list-error", "인증서가 2개 들어 있습니다.")
	choose(tab, "한국정보인증")
	tab.Fill("cert-password", signPassword)
	tab.Follow("cert-sign")
	s.check(t, c.general)
}

func TestFilesThatDoNotServe(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	c := newCitizen(t, pki)
	s := newSignerPage(t, pki, 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}}).Tab()
	folder := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large, broken, other := file("large.p12", make([]byte, 1<<20+1)), file("broken.pfx", []byte("no")), file("x.key", []byte("none"))
	certificate := file("signCert.der", c.personal.Certificate.Raw)
	keys, err := c.general.Files([]byte(signPassword), npki.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	key := file("signPri.key", keys["signPri.key"])

	tab.Open(s.base)
	tab.Upload("cert-files", large)
	await(t, tab, "cert-files-error", "1MB가 넘는 파일은 인증서가 아니므로 읽지 않았습니다: large.p12")
	await(t, tab, "cert-state", "서명할 수 있는 인증서를 찾지 못했습니다.")
	tab.Upload("cert-files", other)
	tab.Upload("cert-files", broken)
	await(t, tab, "cert-entries", "인증서 파일 broken.pfx\n손상된 파일입니다.")
	tab.Upload("cert-files", certificate)
	await(t, tab, "cert-entries", "개인키 파일(signPri.key)이 없습니다.")
	tab.Upload("cert-files", key) // of another certificate
	await(t, tab, "cert-entries", "홍길동\n금융결제원 · 개인 은행/보험/카드/민원\n유효기간 20")
	tab.Fill("cert-password", signPassword)
	tab.Click("cert-sign")
	await(t, tab, "cert-list-error", "개인키가 이 인증서의 것이 아닙니다.")
	picture(t, tab, "mismatch")
	if len(s.form) != 0 {
		t.Error("something was sent")
	}

	// More files than are read.
	many := t.TempDir()
	for i := range 70 {
		if err := os.WriteFile(filepath.Join(many, "ca"+strconv.Itoa(i)+".der"), []byte(strconv.Itoa(i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tab.Open(s.base)
	tab.Upload("cert-folder", many)
	await(t, tab, "cert-files-error", "파일이 너무 많아 64개만 읽었습니다.")
}

func TestDropAFolder(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	c := newCitizen(t, pki)
	s := newSignerPage(t, pki, 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}, Language: "en"}).Tab()
	tab.Open(s.base + "?contrast=high")
	tab.Drop("cert-drop", c.folder)
	await(t, tab, "cert-state", "Certificates found: 5.")
	choose(tab, "(KICA) · general use (person)")
	tab.Click("cert-where")
	picture(t, tab, "english")
	tab.Fill("cert-password", signPassword)
	tab.Follow("cert-sign")
	s.check(t, c.general)
}

func TestSigningTakesTooLong(t *testing.T) {
	t.Parallel()
	s := newSignerPage(t, npkitest.New(npkitest.Options{}), 2*time.Second)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}}).Tab()
	tab.Open(s.base)
	if text := tab.Text("main"); !strings.Contains(text, "비밀번호 표시") || strings.Contains(text, "시간이 지났습니다.") {
		t.Errorf("at first:\n%s", text)
	}
	await(t, tab, "main", "서명할 수 있는 시간이 지났습니다.")
	if text := tab.Text("main"); strings.Contains(text, "비밀번호 표시") || !strings.Contains(text, "다른 인증수단 선택") {
		t.Errorf("too late:\n%s", text)
	}
	tab.Follow("cert-again")
	await(t, tab, "main", "비밀번호 표시")
}

func TestSignerNeedsScripts(t *testing.T) {
	t.Parallel()
	s := newSignerPage(t, npkitest.New(npkitest.Options{}), 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: []string{s.host}, NoScript: true}).Tab()
	tab.Open(s.base)
	if text := tab.Text("main"); !strings.Contains(text, "자바스크립트를 켜 주세요.") || !strings.Contains(text, "다른 인증수단 선택") || strings.Contains(text, "비밀번호 표시") {
		t.Errorf("without scripts:\n%s", text)
	}
	picture(t, tab, "no-script")
}

// TestTheSignersCodesHaveWords ties the codes of package signer to the page's words.
func TestTheSignersCodesHaveWords(t *testing.T) {
	t.Parallel()
	for _, code := range []signer.Code{
		signer.Expired, signer.NotYetValid, signer.NotAccepted, signer.Corporate, signer.NoKey, signer.Broken,
		signer.Password, signer.Unsupported, signer.Mismatch, signer.Several, signer.NoCertificate, signer.Failed,
	} {
		if !slices.Contains(jointCertWords, string(code)) {
			t.Errorf("no words for %s", code)
		}
	}
}

func TestOnlyTheSignersPageMayCompile(t *testing.T) {
	t.Parallel()
	v := newViews(t, sampleBranding())
	for _, s := range samples() {
		allowed := strings.Contains(show(v, s, "").Header().Get("Content-Security-Policy"), "'wasm-unsafe-eval'")
		if allowed != strings.HasPrefix(s.name, "joint-cert") {
			t.Errorf("%s: %t", s.name, allowed)
		}
	}
}
