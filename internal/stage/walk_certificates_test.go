package stage

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// TestWalkWithJointCertificate goes from Q-Net through a certificate in the person's files and the registration
// to the sign-up, and then in again with the same certificate in one file. What opens or is the key stays in the
// page, and what the number could be searched for with is kept nowhere.
func TestWalkWithJointCertificate(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, holder, chromium.Options{Record: true})
		w := a.s.Wallet(a.Person)
		a.goToQNet()
		a.pickFolder()
		a.choose("개인 은행/보험/카드/민원")
		a.Fill("cert-password", a.Password+"?")
		a.Click("cert-sign")
		a.shows("cert-password-error", "비밀번호가 맞지 않습니다. (1회 시도)")
		a.Fill("cert-password", a.Password)
		a.Follow("cert-sign")
		a.Wait("register")
		a.at(a.s.BrokerURL + "/register/")

		wrong := w.Number[:12] + string('0'+('9'-w.Number[12]))
		a.number(wrong)
		a.agree()
		if got := a.Text("rrn-error"); a.Status() != 422 || !strings.Contains(got, "명의자의 번호와 일치하지 않습니다.") {
			t.Fatalf("status %d, %q", a.Status(), got)
		}
		if kept := a.Value(`document.getElementById("rrn-front").value + document.getElementById("rrn-back").value`); kept != "" {
			t.Error("the page shows the number again")
		}
		a.number(w.Number)
		a.agree()
		a.at(a.s.BrokerURL + "/consent/")
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)

		// Whoever is known is asked nothing more.
		a.Follow("logout")
		a.goToQNet()
		a.asked()
		a.Follow("method-joint-cert")
		a.Upload("cert-files", w.PFX)
		a.shows("cert-entries", filepath.Base(w.PFX))
		a.Fill("cert-password", a.Password)
		a.Follow("cert-sign")
		a.Wait("signed-in-name")
		a.signedIn(a.s.QNetURL)

		pair, err := w.Open(0)
		if err != nil {
			t.Fatal(err)
		}
		sent := a.sent([]string{"ucpid", "vid"}, a.s.BrokerURL+"/login/", a.s.BrokerURL+"/login/")
		secrets := map[string][]byte{"PKCS #8": pair.Key.PKCS8(), "R": pair.Key.R, "password": []byte(a.Password)}
		for _, path := range []string{w.PFX, filepath.Join(w.Folder, "NPKI", "*", "USER", "*", "signPri.key")} {
			files, err := filepath.Glob(path)
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %v", path, err)
			}
			for _, file := range files {
				if secrets[filepath.Base(file)], err = os.ReadFile(file); err != nil {
					t.Fatal(err)
				}
			}
		}
		sent.keepSecret(t, pair.Key.Key.(*rsa.PrivateKey), secrets)
		for _, r := range sent {
			if strings.Contains(r.text, "rrn_back=") != (strings.HasPrefix(r.URL, a.s.BrokerURL+"/register/") && r.Method == "POST") {
				t.Errorf("the number is asked for by %s %s", r.Method, r.URL)
			}
			if strings.Contains(r.text, w.Number) || strings.Contains(r.text, a.ci()) {
				t.Errorf("number or CI are in %s %s", r.Method, r.URL)
			}
		}
		p.keepsNone(t, append(identifying(t, w, a.Person), wrong, a.Password, string(pair.Key.PKCS8()))...)
	})
}

// TestWalkWithFinancialCertificate goes from Q-Net through the cloud signer, which the browser tells the PIN and
// which tells it R.
func TestWalkWithFinancialCertificate(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, holder, chromium.Options{Record: true})
		a.goToQNet()
		a.Follow("method-financial-cert")
		a.Wait("fincert-start")
		a.Value(`addEventListener("message", ({data}) => { if (data.outcome) sessionStorage.setItem("outcome", JSON.stringify(data.outcome)) })`)
		a.Click("fincert-start")
		frame := a.Frame("dialog iframe")
		frame.Click("fincert-cert-" + a.atSigner())
		frame.Fill("fincert-pin", "000000")
		frame.Click("fincert-confirm")
		if got := frame.Text("fincert-error"); !strings.Contains(got, "간편비밀번호가 맞지 않습니다.") {
			t.Errorf("the signer says %q", got)
		}
		frame.Fill("fincert-pin", a.PIN)
		frame.Click("fincert-confirm")
		a.Wait("register")
		a.at(a.s.BrokerURL + "/register/")
		if a.Has("rrn-front") {
			t.Error("the resident number is asked for")
		}
		var outcome struct {
			Result struct{ RValue, Certificate string }
		}
		if err := json.Unmarshal([]byte(a.Value(`sessionStorage.getItem("outcome")`)), &outcome); err != nil {
			t.Fatal(err)
		}
		a.agree()
		a.Follow("consent-allow")
		a.signUp()
		a.signedIn(a.s.QNetURL)

		r, err := base64.RawURLEncoding.DecodeString(outcome.Result.RValue)
		if err != nil || len(r) != npki.RSize {
			t.Fatalf("R has %d bytes, %v", len(r), err)
		}
		der, err := base64.RawURLEncoding.DecodeString(outcome.Result.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := npki.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := certificate.Identity()
		if err != nil || identity.VID.Verify([]byte(a.ResidentNumber()), r) != nil {
			t.Fatalf("not the person's: %v", err)
		}
		key := keyOf(t, certificate)
		der, err = x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		sent := a.sent(nil, a.s.BrokerURL+"/login/")
		sent.keepSecret(t, key, map[string][]byte{"PKCS #8": der, "R": r})
		for _, r := range sent {
			pin := strings.Contains(r.text, "pin="+a.PIN)
			if pin && !strings.HasPrefix(r.URL, a.s.FinCertURL+"/") || !pin && strings.Contains(string(r.Body), a.PIN) {
				t.Errorf("the PIN is in %s %s", r.Method, r.URL)
			}
		}
		p.keepsNone(t, append(identifying(t, a.s.Wallet(a.Person), a.Person), string(r), string(identity.VID.Value))...)
	})
}

// TestCertificatesThatDoNotServe: what a page can see of a certificate it says at once, and the rest is said after the
// signature. Every time the person can go on.
func TestCertificatesThatDoNotServe(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, holder, chromium.Options{})
		a.goToQNet()
		a.pickFolder()
		for kind, why := range map[string]string{
			"개인 범용": "유효기간이 지난 인증서입니다.", "개인 증권": "이 사이트에서는 사용할 수 없는 종류의 인증서입니다.",
			"개인 은행/보험/카드/민원": "", "한국정보인증 · 개인 은행/보험": "",
		} {
			row := a.Value(a.row(kind) + ".innerText")
			if closed := a.Value(a.row(kind) + ".querySelector('input').disabled"); !strings.Contains(row, why) || closed != fmt.Sprint(why != "") {
				t.Errorf("%s: %q, disabled %s", kind, row, closed)
			}
		}
		a.choose("한국정보인증 · 개인 은행/보험")
		a.Fill("cert-password", a.Password)
		a.Follow("cert-sign")
		if got := a.Text("error-code"); got != "certificate_revoked" {
			t.Fatalf("error code %q", got)
		}
		if text := a.Text("main"); !strings.Contains(text, "폐지된 인증서입니다.") {
			t.Errorf("the page says %q", text)
		}
		a.Follow("retry")
		a.pickFolder()
		a.choose("개인 은행/보험/카드/민원")
		a.Fill("cert-password", a.Password)
		a.Follow("cert-sign")
		a.Wait("register")
		a.number(a.ResidentNumber())
		a.agree()
		a.Wait("consent-allow")
	})
}

// pickFolder goes from the choice of a method, or from the signer's page, to the list of the four certificates.
func (a *actor) pickFolder() {
	a.t.Helper()
	a.Wait("main")
	if a.Has("method-joint-cert") {
		a.Follow("method-joint-cert")
	}
	a.Upload("cert-folder", filepath.Join(a.s.Wallet(a.Person).Folder, "NPKI"))
	a.shows("cert-state", "인증서 4개를 찾았습니다.")
}

// row is an expression that finds a certificate in the list by its words.
func (a *actor) row(words string) string {
	return `[...document.querySelectorAll("#cert-entries .certificate")].find(e => e.innerText.includes(` + fmt.Sprintf("%q", words) + `))`
}

// choose chooses a certificate of the list.
func (a *actor) choose(words string) {
	a.t.Helper()
	a.Click(a.Value(a.row(words) + `.querySelector("input").id`))
}

// shows waits until the element shows the text.
func (a *actor) shows(id, text string) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(a.Text(id), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Fatalf("#%s shows %q, not %q, in:\n%s", id, a.Text(id), text, a.Text("main"))
		}
	}
}

// number types a resident number at the registration.
func (a *actor) number(digits string) {
	a.t.Helper()
	a.Fill("rrn-front", digits[:6])
	a.Fill("rrn-back", digits[6:])
}

// atSigner is the number of the person's certificate at the cloud signer.
func (a *actor) atSigner() string {
	a.t.Helper()
	for _, held := range a.s.FinCert.Certificates() {
		if held.Name == a.Name && held.Phone == a.Phone {
			return held.CertSeqNum
		}
	}
	a.t.Fatal("the person has no financial certificate")
	return ""
}

// request is one request of the browser.
type request struct {
	chromium.Request
	text string // all of it, and again without the encoding of URLs and forms
}

type requests []request

// sent is what the browser has sent, after a look at whether the log tells it: as many signatures as there are
// addresses must have gone to these, with the further fields.
func (a *actor) sent(fields []string, signedFor ...string) requests {
	a.t.Helper()
	var list requests
	signatures := 0
	for _, r := range a.browser.Requests() {
		if r.Untold && !strings.HasPrefix(r.URL, a.s.QNetURL+"/signup") { // which sends a photo
			a.t.Errorf("the log does not tell the body of %s %s", r.Method, r.URL)
		}
		text := r.Method + " " + r.URL + "\n" + strings.Join(r.Header, "\n") + "\n\n" + string(r.Body)
		for _, part := range append([]string{r.URL, string(r.Body)}, r.Header...) {
			if plain, err := url.QueryUnescape(part); err == nil && plain != part {
				text += "\n" + plain
			}
		}
		list = append(list, request{r, text})
		form, err := url.ParseQuery(string(r.Body))
		if err != nil || form.Get("signed") == "" {
			continue
		}
		if signatures == len(signedFor) || !strings.HasPrefix(r.URL, signedFor[signatures]) {
			a.t.Errorf("a signature goes to %s", r.URL)
		}
		for _, name := range fields {
			if form.Get(name) == "" {
				a.t.Errorf("%s has no %s", r.URL, name)
			}
		}
		if !slices.ContainsFunc(r.Header, func(field string) bool { return strings.HasPrefix(field, "Cookie: ") }) {
			a.t.Errorf("%s is told without cookies", r.URL)
		}
		signatures++
	}
	if signatures != len(signedFor) {
		a.t.Errorf("%d signatures in %d requests, want %d", signatures, len(list), len(signedFor))
	}
	return list
}

// tell lists the requests that something is in, in any form that is no protection.
func (list requests) tell(what []byte) (where []string) {
	for _, form := range inForms(string(what)) {
		for _, r := range list {
			if strings.Contains(r.text, form) {
				where = append(where, r.Method+" "+r.URL)
			}
		}
	}
	return where
}

// keepSecret fails the test if a request tells the key, or one of the other secrets.
func (list requests) keepSecret(t *testing.T, key *rsa.PrivateKey, secrets map[string][]byte) {
	t.Helper()
	if where := list.tell(key.N.Bytes()); len(where) == 0 { // in the certificate, which is sent
		t.Error("not even what is public is found")
	}
	// Each of the numbers gives the key away.
	for name, number := range map[string]*big.Int{"d": key.D, "p": key.Primes[0], "q": key.Primes[1]} {
		secrets[name] = number.Bytes()
	}
	for name, secret := range secrets {
		if where := list.tell(secret); len(where) > 0 {
			t.Errorf("%s is in %q", name, where)
		}
	}
}

// keyOf finds the key of a certificate of the simulated authorities, who have a few for everybody.
func keyOf(t *testing.T, c *npki.Certificate) *rsa.PrivateKey {
	t.Helper()
	pki := npkitest.New(npkitest.Options{})
	for range 100 {
		for _, bits := range []int{2048, 3072} {
			key, err := pki.NewKey(bits)
			if err != nil {
				t.Fatal(err)
			}
			if key.PublicKey.Equal(c.PublicKey) {
				return key
			}
		}
	}
	t.Fatal("the key is not one of the simulated authorities'")
	return nil
}

// keepsNone fails the test if one of the texts is in the stores or in the log.
func (p *play) keepsNone(t *testing.T, texts ...string) {
	t.Helper()
	all := append(dump(t, p.config), held{"the log", p.log.String()})
	for _, public := range []string{"qnet", "ES256", "route="} { // does this look at all?
		if !slices.ContainsFunc(all, func(h held) bool { return strings.Contains(h.what, public) }) {
			t.Errorf("%q is held nowhere", public)
		}
	}
	forms := inForms(texts...)
	for _, h := range all {
		for _, form := range forms {
			if strings.Contains(h.what, form) {
				t.Errorf("%s tells %q", h.where, form)
			}
		}
	}
}
