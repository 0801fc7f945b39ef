package stage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/pages"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/web"
)

var update = flag.Bool("update", false, "take the pictures of docs/images again")

const imageFolder = "../../docs/images"

// widths are a phone's and a desktop's, in CSS pixels, with the height of the window.
var widths = map[int64]int64{390: 844, 1280: 800}

// fromJourney are the pages that TestScreenshots meets on its way, by the names of their pictures.
var fromJourney = []string{
	"qnet-home", "qnet-login", "qnet-guide", "qnet-signup", "qnet-signup-errors", "qnet-my", "qnet-logged-out", "qnet-denied",
	"minwon-home", "minwon-my", "minwon-logged-out", "phone-people", "phone-request",
	"login", "login-sso-off", "login-high-contrast", "simple", "simple-errors", "proof", "proof-not-yet",
	"register", "register-incomplete", "consent", "account", "form-post", "logout", "logged-out", "stayed", "other-browser",
	"terms", "privacy", "unique-id", "error-already-done", "error-login-expired",
	"login-en", "simple-en", "proof-en", "register-en", "consent-en", "error-login-expired-en",
	"joint-cert", "joint-cert-list", "joint-cert-error", "joint-cert-en", "register-number", "register-number-wrong",
	"failed-certificate-revoked", "financial-cert", "financial-cert-signer", "financial-cert-pin", "financial-cert-en", "financial-cert-cloud",
	"ca-desk", "ca-apply", "ca-ticket", "ca-issued", "ca-certificates", "ca-people",
	"registered", "verify", "manage", "manage-profile", "manage-profile-error", "manage-sites", "manage-revoke", "manage-revoked",
	"manage-history", "manage-history-filter", "manage-dispute", "manage-methods", "manage-block", "manage-blocked", "manage-sessions", "manage-sessions-en",
	"manage-export", "manage-warning", "manage-closed", "withdraw", "withdraw-confirm", "withdrawn",
	"logout-choice", "logout-receipt", "account-left", "not-me", "not-me-done", "inbox-people", "inbox-message",
	"qnet-certificates", "qnet-confirm", "qnet-profile", "qnet-password", "qnet-exams", "qnet-find",
}

// fromViews are the pages that need more misfortune than a play can arrange.
func fromViews() map[string]func(*pages.Views, http.ResponseWriter, *http.Request) {
	shown := map[string]func(*pages.Views, http.ResponseWriter, *http.Request){}
	qnet := pages.Site{Name: pages.Text{Korean: "큐넷(Q-Net)", English: "Q-Net"}, Institution: pages.Text{Korean: "한국산업인력공단(시연)"}}
	kakao := authn.Provider{ID: "kakao", Korean: "카카오", English: "Kakao"}
	for _, reason := range []pages.Failure{
		pages.Rejected, pages.TimedOut, pages.NotVerified, pages.ProviderDown, pages.Indeterminate, pages.NoCredential,
		pages.Mismatch, pages.Limited, pages.TooWeak, pages.OtherPerson, pages.TooYoung, pages.Blocked, pages.NotRegistered,
		pages.FailureOf(authn.CertificateHeld), pages.FailureOf(authn.StatusUnknown),
	} {
		view := pages.ProofFailedView{
			Site: qnet, Method: method.Simple, Provider: kakao, Reason: reason, RetryURL: "/", ChooseURL: "/", CancelURL: "/",
		}
		if reason == pages.Limited {
			view.RetryAfter = 10 * time.Minute
		}
		switch reason {
		case pages.TooWeak, pages.TooYoung, pages.Blocked:
			view.RetryURL = ""
		case pages.NotRegistered:
			view.Site, view.RetryURL, view.RegisterURL = pages.Site{Name: pages.Text{Korean: "정부 통합인증(Any-ID) 사용자 관리"}, Own: true}, "", "/"
		}
		if strings.HasPrefix(string(reason), "certificate_") {
			view.Method, view.Provider = method.JointCert, authn.Provider{}
		}
		shown["failed-"+file(string(reason))] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) {
			v.ProofFailed(w, r, http.StatusOK, view)
		}
	}
	for _, code := range []pages.ErrorCode{
		pages.ErrRequest, pages.ErrSite, pages.ErrRedirect, pages.ErrNotFound, pages.ErrMethod, pages.ErrLimited, pages.ErrUnavailable,
		pages.ErrTooLarge, pages.ErrCrossOrigin, pages.ErrInternal, pages.ErrCode,
	} {
		shown["error-"+file(string(code))] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) {
			v.Error(w, r, http.StatusOK, pages.ErrorView{Code: code})
		}
	}
	wallets := []authn.Provider{{ID: "mip", Korean: "모바일 신분증", English: "Mobile ID"}, {ID: "openid4vp", Korean: "국제표준 지갑", English: "Other wallet"}}
	mobile := pages.MobileIDView{
		Site: qnet, Providers: wallets, Push: true, QR: true, App: true, Values: pages.SimpleFields{Provider: "mip"}, RequestURL: "/", ChooseURL: "/", CancelURL: "/",
	}
	shown["mobile-id"] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, http.StatusOK, mobile) }
	proof := pages.ProofView{
		Site: qnet, Method: method.MobileID, Provider: wallets[0], Remaining: 4*time.Minute + 52*time.Second, PollEvery: time.Hour,
		StatusURL: "/", CompleteURL: "/", CancelURL: "/",
	}
	scanned, opened := proof, proof
	scanned.Mode, scanned.Match = "qr", "47"
	scanned.QR = base64.RawURLEncoding.EncodeToString([]byte(`{"type":"mip","version":"1.0.0","cmd":"520","trxcode":"20261122090000123A4B5C6D7","mode":"direct","host":"https://login.example.kr/mip/vp"}`))
	scanned.QRImage = qrCode(scanned.QR)
	opened.Mode, opened.Link = "app", "mobileid://verify?data="+scanned.QR
	shown["proof-qr"] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, http.StatusOK, scanned) }
	shown["proof-app"] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, http.StatusOK, opened) }
	shown["conflict"] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) {
		v.Conflict(w, r, http.StatusOK, pages.ConflictView{Site: qnet, Method: method.Simple, ChooseURL: "/", CancelURL: "/"})
	}
	shown["register-further"] = func(v *pages.Views, w http.ResponseWriter, r *http.Request) {
		v.Register(w, r, http.StatusOK, pages.RegisterView{Site: qnet, Method: method.Simple, Further: true, Name: "김하늘", BirthDate: "1995-01-12", RegisterURL: "/", DeclineURL: "/"})
	}
	return shown
}

// qrCode is a code as an image in a page.
func qrCode(text string) string {
	drawn, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		panic(err) // what is drawn is in this file
	}
	side := drawn.Bounds().Dx() * 4
	scaled, err := barcode.Scale(drawn, side, side)
	if err != nil {
		panic(err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, scaled); err != nil {
		panic(err)
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.Bytes())
}

// file is a code as part of a file's name.
func file(code string) string { return strings.ReplaceAll(code, "_", "-") }

// TestScreenshots checks that there is a picture of every page for both widths. With -update it takes
// them again.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	if *update {
		if err := os.RemoveAll(imageFolder); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(imageFolder, 0o755); err != nil {
			t.Fatal(err)
		}
		photographJourney(t)
		photographViews(t)
	}
	wanted := append(slices.Collect(maps.Keys(fromViews())), fromJourney...)
	var total int64
	for _, name := range wanted {
		for width := range widths {
			path := picture(name, width)
			content, err := os.ReadFile(path)
			if err != nil {
				t.Errorf("%v: run go test ./internal/stage -run TestScreenshots -update", err)
				continue
			}
			total += int64(len(content))
			config, err := png.DecodeConfig(bytes.NewReader(content))
			if err != nil || int64(config.Width) != width || config.Height < 300 {
				t.Errorf("%s: %d by %d pixels, %v", path, config.Width, config.Height, err)
			}
		}
	}
	if total > 12<<20 {
		t.Errorf("the pictures take %d bytes", total)
	}
	entries, err := os.ReadDir(imageFolder)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(wanted) * len(widths); len(entries) != want {
		t.Errorf("%d files in %s, want %d", len(entries), imageFolder, want)
	}
}

func picture(name string, width int64) string {
	return filepath.Join(imageFolder, fmt.Sprintf("%s-%d.png", name, width))
}

// photograph takes the pictures of the page in the tab.
func photograph(t *testing.T, tab *chromium.Tab, name string) {
	t.Helper()
	for width, height := range widths {
		raw, err := png.Decode(bytes.NewReader(tab.Screenshot(width, height)))
		if err != nil {
			t.Fatal(err)
		}
		var small bytes.Buffer
		encoder := png.Encoder{CompressionLevel: png.BestCompression}
		if err := encoder.Encode(&small, paletted(raw)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(picture(name, width), small.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// paletted reduces a picture to its 256 most frequent colours: pages have few beside the edges of
// letters.
func paletted(raw image.Image) image.Image {
	count := map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(raw.At(x, y)).(color.RGBA) }
	bounds := raw.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	frequent := slices.SortedFunc(maps.Keys(count), func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(uint(a.R)<<16|uint(a.G)<<8|uint(a.B), uint(b.R)<<16|uint(b.G)<<8|uint(b.B)))
	})
	var palette color.Palette
	for _, c := range frequent[:min(256, len(frequent))] {
		palette = append(palette, c)
	}
	nearest := map[color.RGBA]uint8{}
	small := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			index, known := nearest[c]
			if !known {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			small.SetColorIndex(x, y, index)
		}
	}
	return small
}

// photographViews shows the views with data of their own.
func photographViews(t *testing.T) {
	t.Helper()
	branding := pages.Branding{CallCentre: "1688-0990", TermsURL: "/terms", PrivacyURL: "/privacy"}
	views, err := pages.NewViews(branding, pages.DefaultDocuments(), web.Cookies{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(web.AssetPrefix, web.Assets())
	for name, show := range fromViews() {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) { show(views, w, r) })
	}
	server := httptest.NewServer(web.Edge{Log: slog.New(slog.DiscardHandler)}.Handler(mux))
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	tab := chromium.New(t, chromium.Options{Hosts: []string{u.Host}}).Tab()
	for name := range fromViews() {
		tab.Open(server.URL + "/" + name)
		photograph(t, tab, name)
	}
}

// photographJourney plays the demonstration with its own people.
func photographJourney(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Open(ctx, Config{Retention: config.Retention{Consents: 5 * 365 * 24 * time.Hour, ConsentsBasis: "시연용 문구"}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-served, s.Close()); err != nil {
			t.Error(err)
		}
	}()
	visitor := func(p Person, o chromium.Options) *actor {
		o.Hosts = s.hosts(t)
		b := chromium.New(t, o)
		return &actor{Tab: b.Tab(), Person: p, t: t, s: s, browser: b}
	}
	a := visitor(s.People[0], chromium.Options{})
	shoot := func(name string) { photograph(t, a.Tab, name) }

	a.Open(s.QNetURL)
	shoot("qnet-home")
	a.Open(s.QNetURL + "/guide")
	shoot("qnet-guide")
	a.Open(s.PetitionURL)
	shoot("minwon-home")
	for _, document := range []string{pages.DocTerms, pages.DocPrivacy, pages.DocUniqueID} {
		a.Open(s.BrokerURL + "/terms/" + document)
		shoot(document)
	}
	a.Open(s.BrokerURL + "/login/none")
	shoot("error-login-expired")

	a.Open(s.QNetURL + "/login")
	shoot("qnet-login")
	a.Follow("anyid-login")
	a.Follow("auth-cancel")
	shoot("qnet-denied")
	a.Follow("anyid-login")
	shoot("login")
	choice := a.URL()
	other := visitor(s.People[1], chromium.Options{})
	other.Open(choice)
	photograph(t, other.Tab, "other-browser")
	a.Open(choice + "?contrast=high")
	shoot("login-high-contrast")
	a.Open(choice + "?contrast=normal")
	a.Follow("sso-toggle")
	shoot("login-sso-off")
	a.Follow("sso-toggle")
	a.Follow("method-simple")
	shoot("simple")
	a.Fill("name", a.Name)
	a.Fill("birthdate", "1995-13-01")
	a.Follow("request-auth")
	shoot("simple-errors")
	a.Open(choice)
	a.request("kakao")
	shoot("proof")
	a.Follow("auth-complete")
	shoot("proof-not-yet")
	phone := a.browser.Tab()
	phone.Open(s.PhoneURL)
	photograph(t, phone, "phone-people")
	phone.Open(s.PhoneURL + "/?phone=" + a.Phone)
	photograph(t, phone, "phone-request")
	a.answer("approve")
	a.Wait("register")
	shoot("register")
	a.Click("agree-terms")
	a.Click("agree-privacy-no")
	a.Follow("register")
	shoot("register-incomplete")
	a.agree()
	shoot("consent")
	over := a.URL()
	a.Follow("consent-allow")
	a.Wait("signup-form")
	shoot("qnet-signup")
	a.Follow("signup-submit")
	shoot("qnet-signup-errors")
	a.signUp()
	shoot("qnet-my")
	a.Open(over)
	shoot("error-already-done")
	a.goToPortal()
	a.signedIn(s.PetitionURL)
	shoot("minwon-my")

	request := url.Values{
		"client_id": {"qnet"}, "redirect_uri": {s.QNetURL + "/anyid/callback"}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"s"}, "nonce": {"n"}, "code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	request.Set("prompt", "select_account")
	a.Open(s.BrokerURL + "/authorize?" + request.Encode())
	shoot("account")
	a.Open(s.QNetURL)
	a.Follow("logout")
	shoot("logout-choice")
	a.Click("logout-this")
	a.Wait("logout-result")
	shoot("qnet-logged-out")
	a.goToQNet()
	shoot("account-left")
	a.Follow("account-continue")
	a.signedIn(s.QNetURL)
	photographSite(a)
	must(t, s.App.Account.SetSettings(ctx, s.visitor(t, a.Person), person.Settings{Email: a.Email}))
	elsewhere := visitor(a.Person, chromium.Options{})
	elsewhere.login() // which they are told of
	photographManagement(a, elsewhere)

	a.Open(s.BrokerURL + "/end_session")
	shoot("logout")
	a.Follow("logout-cancel")
	shoot("stayed")
	a.Open(s.BrokerURL + "/end_session")
	a.Follow("logout-confirm")
	shoot("logged-out")
	a.goToPortal()
	a.request("kakao")
	a.approve()
	a.Wait("signed-in-name")
	a.goToQNet()
	a.signedIn(s.QNetURL)
	a.Open(s.PetitionURL)
	a.Follow("logout")
	a.Click("logout-all")
	a.Wait("logout-result")
	shoot("minwon-logged-out")
	a.Open(s.BrokerURL + "/logout/receipt")
	shoot("logout-receipt")
	photographEnd(a)

	still := visitor(s.People[1], chromium.Options{NoScript: true})
	request.Set("prompt", "none")
	request.Set("response_mode", "form_post")
	still.Open(s.BrokerURL + "/authorize?" + request.Encode())
	photograph(t, still.Tab, "form-post")

	a = visitor(s.People[1], chromium.Options{})
	a.goToQNet()
	a.Follow("method-joint-cert")
	a.shows("cert-state", "준비되었습니다.")
	shoot("joint-cert")
	a.Upload("cert-folder", filepath.Join(s.Wallet(a.Person).Folder, "NPKI"))
	a.shows("cert-state", "인증서 3개를 찾았습니다.")
	a.choose("한국정보인증")
	shoot("joint-cert-list")
	a.Fill("cert-password", "?")
	a.Click("cert-sign")
	a.shows("cert-password-error", "비밀번호가 맞지 않습니다.")
	shoot("joint-cert-error")
	a.Fill("cert-password", a.Password)
	a.Follow("cert-sign")
	shoot("failed-certificate-revoked")
	a.Follow("choose-method")
	a.Follow("method-financial-cert")
	shoot("financial-cert")
	a.Click("fincert-start")
	frame := a.Frame("dialog iframe")
	frame.Wait("fincert-cert-" + a.atSigner())
	// What is behind the window needs no picture.
	a.Value(`(document.documentElement.style.overflow = "hidden", document.body.style.cssText = "height: 100vh; overflow: hidden")`)
	shoot("financial-cert-signer")
	frame.Click("fincert-cert-" + a.atSigner())
	frame.Fill("fincert-pin", a.PIN)
	shoot("financial-cert-pin")
	a.Open(s.FinCertURL)
	shoot("financial-cert-cloud")

	a = visitor(s.People[2], chromium.Options{})
	a.goToQNet()
	a.Follow("method-joint-cert")
	a.Upload("cert-files", s.Wallet(a.Person).PFX)
	a.shows("cert-entries", ".p12")
	a.Fill("cert-password", a.Password)
	a.Follow("cert-sign")
	a.Wait("register")
	shoot("register-number")
	a.number(s.People[1].ResidentNumber())
	a.agree()
	shoot("register-number-wrong")

	a.Open(s.CAURL)
	shoot("ca-desk")
	a.Follow("ca-KICA")
	shoot("ca-apply")
	a.Click("kind-1.2.410.200004.5.2.1.2")
	a.Click("person-other")
	a.Fill("name", "홍길동")
	a.Fill("number", "9001011234560")
	a.Follow("apply")
	shoot("ca-ticket")
	code := a.Text("authorization-code")
	a.Follow("issue-start")
	a.Fill("authorization", code)
	a.Fill("password", "gildong#1990")
	a.Fill("password-again", "gildong#1990")
	a.Follow("issue")
	shoot("ca-issued")
	a.Open(s.CAURL + "/certificates")
	shoot("ca-certificates")
	a.Open(s.CAURL + "/people")
	shoot("ca-people")

	a = visitor(s.People[5], chromium.Options{Language: "en"})
	a.Open(s.BrokerURL + "/login/none")
	shoot("error-login-expired-en")
	a.goToQNet()
	shoot("login-en")
	a.Follow("method-joint-cert")
	a.shows("cert-state", "Ready.")
	shoot("joint-cert-en")
	a.Follow("choose-method")
	a.Follow("method-financial-cert")
	shoot("financial-cert-en")
	a.Follow("choose-method")
	a.Follow("method-simple")
	shoot("simple-en")
	a.Follow("choose-method")
	a.request("naver")
	shoot("proof-en")
	a.answer("approve")
	a.Wait("register")
	shoot("register-en")
	a.agree()
	shoot("consent-en")
}

// photographSite shows what Q-Net asks a proof for.
func photographSite(a *actor) {
	a.t.Helper()
	shoot := func(path, name string) {
		a.Open(a.s.QNetURL + path)
		photograph(a.t, a.Tab, name)
	}
	shoot("/find", "qnet-find")
	shoot("/exams", "qnet-exams")
	shoot("/my/certificates", "qnet-certificates")
	shoot("/my/profile", "qnet-confirm")
	a.Follow("step-up")
	a.request("kakao")
	a.approve()
	a.Wait("profile-form")
	photograph(a.t, a.Tab, "qnet-profile")
	shoot("/my/password", "qnet-password")
}

// photographManagement shows 사용자 관리 of somebody who uses two sites and has signed in in two browsers.
func photographManagement(a, elsewhere *actor) {
	a.t.Helper()
	t, s := a.t, a.s
	shoot := func(name string) { photograph(t, a.Tab, name) }
	a.Open(s.BrokerURL + "/manage")
	shoot("verify")
	a.Follow("verify-simple")
	a.proveSelf()
	shoot("manage")
	a.Follow("manage-profile")
	shoot("manage-profile")
	a.Fill("email", "haneul@")
	a.Follow("profile-save")
	shoot("manage-profile-error")
	a.Open(s.BrokerURL + "/manage/history")
	shoot("manage-history")
	a.Click("history-filter")
	shoot("manage-history-filter")
	a.Follow("not-me")
	shoot("manage-dispute")
	a.Open(s.BrokerURL + "/manage/methods")
	shoot("manage-methods")
	a.Follow("method-simple-block")
	shoot("manage-block")
	a.Click("block-naver")
	a.Follow("block-confirm")
	shoot("manage-blocked")
	a.Follow("method-unblock-1")
	a.Open(s.BrokerURL + "/manage/sessions")
	shoot("manage-sessions")
	a.Open(s.BrokerURL + "/manage/sessions?lang=en")
	shoot("manage-sessions-en")
	a.Open(s.BrokerURL + "/manage/export?lang=ko")
	shoot("manage-export")
	a.Value(`(now => { Date.now = () => now() + 560000 })(Date.now.bind(Date))`)
	a.eventually(`document.getElementById("session-warning").open`, "true")
	a.Value(`(document.documentElement.style.overflow = "hidden", document.body.style.cssText = "height: 100vh; overflow: hidden")`)
	shoot("manage-warning")
	a.Open(s.BrokerURL + "/manage/sites")
	shoot("manage-sites")
	a.Follow("site-minwon-revoke")
	shoot("manage-revoke")
	a.Follow("revoke-confirm")
	shoot("manage-revoked")
	a.Follow("manage-close")
	shoot("manage-closed")

	a.told(a.Email, "mail")
	reader := elsewhere.browser.Tab()
	reader.Open(s.InboxURL)
	photograph(t, reader, "inbox-people")
	reader.Open(s.InboxURL + "/?to=" + a.Email)
	photograph(t, reader, "inbox-message")
	reader.FollowSelector(`#inbox-message-1 a[href*="/not-me?code="]`)
	photograph(t, reader, "not-me")
}

// photographEnd shows the end of a registration, and a new one without a site. Somebody else has said 내가 아님.
func photographEnd(a *actor) {
	a.t.Helper()
	shoot := func(name string) { photograph(a.t, a.Tab, name) }
	a.goToPortal()
	a.request("kakao")
	a.approve()
	a.Wait("signed-in-name")
	a.identify("/withdraw")
	shoot("withdraw")
	a.Follow("withdraw")
	shoot("withdraw-confirm")
	a.Follow("withdraw-confirm")
	shoot("withdrawn")
	a.goToPortal()
	a.Follow("link-register")
	a.request("kakao")
	a.approve()
	a.Wait("register")
	a.agree()
	a.Wait("registered")
	shoot("registered")
	a.Open(a.s.BrokerURL + "/manage/history") // the proof serves
	a.Follow("not-me")
	a.Follow("not-me-confirm")
	shoot("not-me-done")
}
