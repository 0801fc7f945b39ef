package pages

import (
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/internal/web"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// cloudPage is a service that has nothing but the financial certificate's page, before a cloud signer.
type cloudPage struct {
	sim        *fincert.Simulator
	signer     string
	base       string
	hosts      []string
	holder     string // certSeqNum of the person that signs
	model      SignView
	mu         sync.Mutex
	form       []url.Values // what was posted
	signerDown atomic.Bool
}

const cloudPIN = "135790"

func newCloudPage(t *testing.T, format string, remaining time.Duration) *cloudPage {
	t.Helper()
	p := &cloudPage{holder: "1"}
	linking := func(b byte) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(b), 64))) }
	var err error
	p.sim, err = fincert.New(fincert.Config{PKI: npkitest.New(npkitest.Options{}), People: []fincert.Person{
		{Name: "김하늘", BirthDate: "1895-01-12", Gender: "female", Phone: "010-0000-0001", Number: "9501129000001", CI: linking('a'), PIN: cloudPIN},
		{Name: "이도윤", BirthDate: "1888-07-30", Gender: "male", Phone: "010-0000-0002", Number: "8807309000002", CI: linking('b'), PIN: "246802"},
		{Name: "NGUYEN THI LAN", BirthDate: "1892-09-14", Gender: "female", Foreigner: true, Phone: "010-0000-0006", Number: "9209140000006", CI: linking('c'), PIN: "112233"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	pages := p.sim.SignerHandler()
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.signerDown.Load() {
			panic(http.ErrAbortHandler)
		}
		pages.ServeHTTP(w, r)
	}))
	t.Cleanup(cloud.Close)
	p.signer = cloud.URL
	p.model = cloudSign(format)
	p.model.Remaining = remaining
	p.model.Request.Cloud.Script, p.model.Request.Cloud.Origins = cloud.URL+"/v1/fincert.js", nil
	p.model.Request.Cloud.OrgCode, p.model.Request.Cloud.APIKey = p.sim.OrgCode(), p.sim.ClientID()

	v := newViews(t, sampleBranding())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/a1/financial-cert", func(w http.ResponseWriter, r *http.Request) { v.FinancialCert(w, r, http.StatusOK, p.model) })
	mux.HandleFunc("POST /login/a1/financial-cert", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.form = append(p.form, r.PostForm)
		p.mu.Unlock()
		v.LoggedOut(w, r, http.StatusOK, LoggedOutView{Site: &qnet, ReturnURL: "/"})
	})
	mux.Handle("GET "+web.AssetPrefix, web.Assets())
	server := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
	t.Cleanup(server.Close)
	p.base = server.URL + "/login/a1/financial-cert"
	for _, address := range []string{server.URL, cloud.URL} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		p.hosts = append(p.hosts, u.Host)
	}
	return p
}

// posted is the one form that has come.
func (p *cloudPage) posted(t *testing.T) url.Values {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.form) != 1 {
		t.Fatalf("%d forms have come", len(p.form))
	}
	return p.form[0]
}

const signerFrame = "dialog iframe"

// enter chooses the certificate and enters a PIN.
func (p *cloudPage) enter(frame *chromium.Tab, pin string) {
	frame.Click("fincert-cert-" + p.holder)
	frame.Fill("fincert-pin", pin)
}

func TestCloudSignatureInABrowser(t *testing.T) {
	t.Parallel()
	p := newCloudPage(t, "CMS", 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: p.hosts}).Tab()
	tab.Open(p.base)
	tab.Click("fincert-start")
	frame := tab.Frame(signerFrame)
	p.enter(frame, "000000")
	frame.Click("fincert-confirm")
	if got := frame.Text("fincert-error"); !strings.Contains(got, "4번 더 입력할 수 있습니다.") {
		t.Errorf("a wrong PIN is answered by %q", got)
	}
	frame.Fill("fincert-pin", cloudPIN)
	frame.Click("fincert-confirm")
	tab.Wait("return-to-site")

	form := p.posted(t)
	if form.Get("ucpid") != "" || form.Get("certificate") != "" || len(form) != 3 {
		t.Errorf("fields %v", form)
	}
	message, err := npki.DecodeMessage(form.Get("signed"))
	if err != nil {
		t.Fatal(err)
	}
	asked := p.model.Request
	nonce, err := hex.DecodeString(asked.Cloud.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := npki.VerifyUCPIDRequest(message, npki.Want{Attributes: npki.Required}, npki.UCPIDWant{
		Nonce: nonce, Site: asked.Cloud.Site, Agreement: asked.Agreement, Items: npki.UCPIDAll,
	})
	if err != nil {
		t.Fatal(err)
	}
	identity, err := signed.Certificate.Identity()
	if err != nil || identity.RealName != "김하늘" {
		t.Errorf("%v %v", identity.RealName, err)
	}
	if age := time.Since(signed.SigningTime); age < -time.Minute || age > time.Minute {
		t.Errorf("signed %v ago", age)
	}
}

func TestTwoCloudSignaturesInABrowser(t *testing.T) {
	t.Parallel()
	p := newCloudPage(t, "PKCS1", 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: p.hosts}).Tab()
	tab.Open(p.base)
	tab.Click("fincert-start")
	frame := tab.Frame(signerFrame)
	p.enter(frame, cloudPIN)
	if got := frame.Value("document.querySelector('.signed').innerText.trim()"); got != p.model.Request.Content {
		t.Errorf("to be signed: %q", got)
	}
	frame.Click("fincert-confirm")
	frame.Wait("fincert-cert-" + p.holder)
	if got := tab.Text("fincert-state"); !strings.Contains(got, "두 번째") {
		t.Errorf("the page says %q", got)
	}
	p.enter(frame, cloudPIN)
	frame.Click("fincert-confirm")
	tab.Wait("return-to-site")

	form := p.posted(t)
	raw, err := npki.DecodeMessage(form.Get("certificate"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := npki.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := npki.DecodeMessage(form.Get("signed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := npki.VerifySignature(certificate.Certificate, npki.PKCS1v15, []byte(p.model.Request.Content), signature); err != nil {
		t.Error(err)
	}
	message, err := npki.DecodeMessage(form.Get("ucpid"))
	if err != nil {
		t.Fatal(err)
	}
	if signed, err := npki.VerifySignedData(message, npki.Want{AnyContent: true}); err != nil || !slices.Equal(signed.Certificate.Raw, raw) {
		t.Errorf("the second signature: %v", err)
	}
}

func TestWhatTheSignerSaysInABrowser(t *testing.T) {
	t.Parallel()
	p := newCloudPage(t, "CMS", 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: p.hosts}).Tab()
	tab.Open(p.base)
	problem := func(want string) {
		t.Helper()
		if tab.Wait("fincert-problem"); want != "" {
			for range 100 {
				if strings.Contains(tab.Value(`document.getElementById("fincert-problem").innerText`), want) {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Errorf("no %q but %q", want, tab.Text("fincert-problem"))
		}
	}
	// The citizen thinks better of it, by the signer's button and by the escape key.
	tab.Click("fincert-start")
	frame := tab.Frame(signerFrame)
	frame.Click("fincert-cancel")
	problem("서명을 취소하셨습니다.")
	if tab.Value(`document.querySelector("dialog")`) != "null" {
		t.Error("the signer's window stays")
	}
	tab.Click("fincert-start")
	frame.Wait("fincert-cert-1")
	tab.Value(`document.querySelector("dialog").dispatchEvent(new Event("cancel", {cancelable: true}))`)
	problem("서명을 취소하셨습니다.")
	// The signer is busy, then does not know us.
	if err := p.sim.Faults().Set(sim.Switch{Name: fincert.FaultBusy, Uses: 1}); err != nil {
		t.Fatal(err)
	}
	p.model.Request.Cloud.APIKey = "nobody"
	expected := chromium.New(quiet{t}, chromium.Options{Hosts: p.hosts}) // Chromium reports answers of 400 on its own
	tab = expected.Tab()
	tab.Open(p.base)
	tab.Click("fincert-start")
	problem("금융인증서 오류 코드 100001")
	p.model.Request.Cloud.APIKey = p.sim.ClientID()
	tab.Reload()
	tab.Click("fincert-start")
	problem("이미 열려 있거나")
	if p.mu.Lock(); len(p.form) != 0 {
		t.Error("something was sent")
	}
	p.mu.Unlock()
}

// quiet is a test that does not fail for what a browser records.
type quiet struct{ *testing.T }

func (quiet) Errorf(string, ...any) {}

func TestNoSignerInABrowser(t *testing.T) {
	t.Parallel()
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		p := newCloudPage(t, "CMS", 5*time.Minute)
		p.signerDown.Store(true)
		tab := chromium.New(quiet{t}, chromium.Options{Hosts: p.hosts}).Tab()
		tab.Open(p.base)
		tab.Click("fincert-start")
		for range 300 {
			if strings.Contains(tab.Value(`document.getElementById("fincert-problem").innerText`), "연결할 수 없습니다") {
				p.signerDown.Store(false)
				tab.Follow("fincert-again")
				tab.Click("fincert-start")
				tab.Frame(signerFrame).Wait("fincert-cert-1")
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Error("the page does not say that the signer is away")
	})
	t.Run("no script", func(t *testing.T) {
		t.Parallel()
		p := newCloudPage(t, "CMS", 5*time.Minute)
		tab := chromium.New(t, chromium.Options{Hosts: p.hosts, NoScript: true}).Tab()
		tab.Open(p.base)
		if got := tab.Value(`document.querySelector("main").innerText`); !strings.Contains(got, "자바스크립트를 켜 주세요.") || strings.Contains(got, "STEP1") || !tab.Has("choose-method") {
			t.Errorf("%s", got)
		}
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		p := newCloudPage(t, "CMS", 3*time.Second)
		tab := chromium.New(t, chromium.Options{Hosts: p.hosts}).Tab()
		tab.Open(p.base)
		tab.Click("fincert-start")
		tab.Click("fincert-again") // which waits until it is there
		tab.Wait("fincert-start")
		if p.mu.Lock(); len(p.form) != 0 {
			t.Error("something was sent")
		}
		p.mu.Unlock()
	})
}

// TestPicturesOfTheCloudSigner leaves pictures with -artifacts.
func TestPicturesOfTheCloudSigner(t *testing.T) {
	t.Parallel()
	p := newCloudPage(t, "CMS", 5*time.Minute)
	tab := chromium.New(t, chromium.Options{Hosts: p.hosts}).Tab()
	take := func(name string) {
		t.Helper()
		for _, width := range []int64{390, 1280} {
			picture := tab.Screenshot(width, 844)
			path := filepath.Join(t.ArtifactDir(), name+"-"+map[int64]string{390: "phone", 1280: "desktop"}[width]+".png")
			if err := os.WriteFile(path, picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, query := range []string{"?lang=ko", "?lang=en", "?lang=ko&contrast=high"} {
		tab.Open(p.base + query)
		take("page" + strings.NewReplacer("?", "-", "=", "-", "&", "-").Replace(query))
	}
	tab.Open(p.base + "?lang=ko&contrast=normal")
	tab.Click("fincert-start")
	frame := tab.Frame(signerFrame)
	frame.Wait("fincert-cert-1")
	take("window")
	frame.Click("fincert-cert-1")
	frame.Fill("fincert-pin", "000000")
	frame.Click("fincert-confirm")
	frame.Wait("fincert-error")
	take("confirm")
	frame.Click("fincert-cancel")
	for range 100 { // the window closes with the next message
		if tab.Value(`document.querySelector("dialog")`) == "null" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	take("cancelled")
	tab.Open(p.signer + "/")
	take("cloud")
}
