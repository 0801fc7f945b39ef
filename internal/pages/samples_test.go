package pages

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

var (
	qnet = Site{Name: Text{"큐넷(Q-Net)", "Q-Net"}, Institution: Text{"한국산업인력공단", "HRD Korea"}}
	cert = Site{Name: Text{"민원마당", "Petition Portal"}, Institution: Text{Korean: "행정안전부"}}

	kakao     = authn.Provider{ID: "kakao", Korean: "카카오", English: "Kakao"}
	providers = []authn.Provider{
		kakao, {ID: "naver", Korean: "네이버", English: "Naver"},
		{ID: "pass", Korean: "PASS", English: "PASS"}, {ID: "toss", Korean: "토스", English: "Toss"},
	}
)

// sample is one page with data.
type sample struct {
	name string
	show func(v *Views, w http.ResponseWriter, r *http.Request)
}

// samples covers every template and every branch of it.
func samples() []sample {
	login := LoginView{
		Site: qnet, SSO: true, Methods: method.All(), MethodURL: "/login/a1/method", ToggleURL: "/login/a1/sso", SiteLoginURL: "https://site.example/login",
		RegisterURL: "/login/a1/register", ManageURL: "/account", CancelURL: "/login/a1/cancel",
	}
	off := login
	off.SSO, off.Methods = false, []method.Method{method.MobileID, method.Simple, method.FinancialCert}
	bare := LoginView{Site: cert, SSO: true, Again: true, Methods: []method.Method{method.Simple}, MethodURL: "/m", ToggleURL: "/t", CancelURL: "/c"}
	simple := SimpleView{Site: qnet, Providers: providers, RequestURL: "/login/a1/simple", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"}
	wrong := simple
	wrong.Values = SimpleFields{Provider: "naver", Name: `홍 "길동" <b>`, BirthDate: "1995-13-01", Phone: "02 123 4567"}
	wrong.Errors = SimpleErrors{BirthDate: Invalid, Phone: Invalid}
	empty := simple
	empty.Errors = SimpleErrors{Provider: Missing, Name: Missing, BirthDate: Missing, Phone: Missing}
	named := simple
	named.Values, named.Errors = SimpleFields{Provider: "kakao"}, SimpleErrors{Name: Invalid}
	proof := ProofView{
		Site: qnet, Method: method.Simple, Provider: kakao, Remaining: 4*time.Minute + 52*time.Second, PollEvery: 2 * time.Second,
		StatusURL: "/login/a1/status", CompleteURL: "/login/a1/complete", RetryURL: "/login/a1/simple", CancelURL: "/login/a1/cancel",
	}
	early := proof
	early.NotYet = true
	mobile := proof
	mobile.Method, mobile.RetryURL = method.MobileID, ""
	scanned := mobile
	scanned.Mode, scanned.QR, scanned.Match, scanned.QRImage = "qr", "eyJ0eXBlIjoibWlwIn0", "47", "data:image/png;base64,iVBORw0KGgo="
	opened := mobile
	opened.Mode, opened.Link = "app", "mobileid://verify?data=eyJ0eXBlIjoibWlwIn0"
	wallets := MobileIDView{
		Site: qnet, Providers: []authn.Provider{{ID: "mip", Korean: "모바일 신분증", English: "Mobile ID"}, {ID: "openid4vp", Korean: "국제표준 지갑", English: "Other wallet"}},
		Push: true, QR: true, App: true, Values: SimpleFields{Provider: "mip"}, RequestURL: "/login/a1/mobile-id", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
	}
	unreached := wallets
	unreached.Values, unreached.Errors = SimpleFields{Name: "홍길동"}, SimpleErrors{Provider: Missing, Name: Invalid, BirthDate: Missing, Phone: Invalid}
	elsewhere := wallets
	elsewhere.Push, elsewhere.Errors = false, SimpleErrors{Provider: Invalid}
	unnamed := wallets
	unnamed.Providers, unnamed.Errors = wallets.Providers[:1], SimpleErrors{Name: Missing, BirthDate: Invalid, Phone: Missing}
	register := RegisterView{Site: qnet, Method: method.Simple, Name: "홍길동", BirthDate: "1995-01-12", RegisterURL: "/login/a1/register", DeclineURL: "/login/a1/decline"}
	incomplete := register
	incomplete.Incomplete, incomplete.Terms, incomplete.Privacy = true, Agree, Disagree
	further := register
	further.Further, further.Method, further.Number, further.BirthDate = true, method.JointCert, true, ""
	wrongNumber, lostNumber := further, further
	wrongNumber.NumberError, wrongNumber.Terms, wrongNumber.Privacy, wrongNumber.UniqueID = NumberWrong, Agree, Agree, Agree
	lostNumber.NumberError, lostNumber.AgainURL = NumberLost, "/register/a1/again"
	last := register
	last.Incomplete, last.Terms, last.Privacy = true, Agree, Agree
	first := register
	first.Incomplete = true
	consent := ConsentView{
		Site: qnet, Purpose: Text{"국가자격시험 원서접수와 자격증 발급", "Exam applications and certificates"},
		Retention: Text{"회원 탈퇴 시까지", "Until you close your account"},
		Required:  []ConsentItem{{"name", Text{"이름", "Name"}, "홍길동"}, {"birthdate", Text{"생년월일", "Date of birth"}, "1995-01-12"}},
		Optional:  []ConsentItem{{"phone_number", Text{"휴대폰번호", "Phone number"}, "010-****-5678"}, {"gender", Text{Korean: "성별"}, "남자"}},
		AllowURL:  "/login/a1/consent", DenyURL: "/login/a1/deny",
	}
	minimal := ConsentView{Site: Site{Name: Text{Korean: "민원마당"}}, Purpose: Text{Korean: "민원"}, Retention: Text{Korean: "1년"}, AllowURL: "/a", DenyURL: "/d"}
	sign := SignView{
		Site: qnet, Request: authn.SignRequest{Content: `anyid-login;v=1;x="<>'&";nonce=n`, Policies: []string{"1.2.410.200005.1.1.1"}}, Remaining: 4*time.Minute + 52*time.Second,
		SignURL: "/login/a1/joint-cert", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
	}
	agreed := sign
	agreed.Request.UCPID, agreed.Request.Agreement, agreed.Request.Recipient = "MAA", "본인확인을 위하여 <이름>과 연계정보를 제공하는 데 동의합니다.", "MAA="
	verify := VerifyView{CancelURL: "/login/a1/cancel"}
	for _, m := range method.Verifying() {
		verify.Ways = append(verify.Ways, VerifyWay{m, verifyPaths[m], "/login/a1/" + verifyPaths[m], m == method.Phone || m == method.IPIN})
	}
	window := WindowView{Method: method.Phone, URL: "https://site.example/window?t=1", CancelURL: "/proof/a1/cancel"}
	posting := window
	posting.Fields = []Field{{"token", "t1"}}
	receipt := sampleReceipt()
	list := []sample{
		{"verify", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Verify(w, r, 200, verify) }},
		{"window", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Window(w, r, 200, window) }},
		{"window-post", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Window(w, r, 200, posting) }},
		{"login", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, login) }},
		{"login-off", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, off) }},
		{"login-bare", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, bare) }},
		{"simple", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Simple(w, r, 200, simple) }},
		{"simple-wrong", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Simple(w, r, 422, wrong) }},
		{"simple-empty", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Simple(w, r, 422, empty) }},
		{"simple-name", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Simple(w, r, 422, named) }},
		{"proof", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, 200, proof) }},
		{"proof-not-yet", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, 200, early) }},
		{"proof-mobile", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, 200, mobile) }},
		{"proof-qr", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, 200, scanned) }},
		{"proof-app", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Proof(w, r, 200, opened) }},
		{"mobile-id", func(v *Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, 200, wallets) }},
		{"mobile-id-wrong", func(v *Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, 422, unreached) }},
		{"mobile-id-elsewhere", func(v *Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, 422, elsewhere) }},
		{"mobile-id-unnamed", func(v *Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, 422, unnamed) }},
		{"register", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 200, register) }},
		{"register-incomplete", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, incomplete) }},
		{"register-none", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, first) }},
		{"register-last", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, last) }},
		{"register-number-wrong", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, wrongNumber) }},
		{"register-number-lost", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, lostNumber) }},
		{"register-further", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 200, further) }},
		{"consent", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Consent(w, r, 200, consent) }},
		{"consent-minimal", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Consent(w, r, 200, minimal) }},
		{"conflict", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Conflict(w, r, 409, ConflictView{Site: qnet, Method: method.FinancialCert, ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"})
		}},
		{"account", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Account(w, r, 200, AccountView{Site: qnet, Name: "홍*동", Method: method.Simple, ContinueURL: "/login/a1/continue", OtherURL: "/login/a1/other", CancelURL: "/login/a1/cancel"})
		}},
		{"joint-cert", func(v *Views, w http.ResponseWriter, r *http.Request) { v.JointCert(w, r, 200, sign) }},
		{"joint-cert-agreement", func(v *Views, w http.ResponseWriter, r *http.Request) { v.JointCert(w, r, 200, agreed) }},
		{"financial-cert", func(v *Views, w http.ResponseWriter, r *http.Request) { v.FinancialCert(w, r, 200, cloudSign("CMS")) }},
		{"financial-cert-twice", func(v *Views, w http.ResponseWriter, r *http.Request) { v.FinancialCert(w, r, 200, cloudSign("PKCS1")) }},
		{"logout", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Logout(w, r, 200, LogoutView{Site: &qnet, Sites: []Site{qnet, cert}, ConfirmURL: "/logout/confirm", StayURL: "/logout/stay", Fields: []Field{{"ticket", "x1"}}})
		}},
		{"logout-unknown", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Logout(w, r, 200, LogoutView{ConfirmURL: "/logout/confirm", StayURL: "/logout/stay"})
		}},
		{"logged-out", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.LoggedOut(w, r, 200, LoggedOutView{Site: &qnet, ReturnURL: "https://site.example/", Receipt: receipt})
		}},
		{"logged-out-plain", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.LoggedOut(w, r, 200, LoggedOutView{ReturnURL: "/"})
		}},
		{"stayed", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.LoggedOut(w, r, 200, LoggedOutView{Stayed: true})
		}},
		{"form-post", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.FormPost(w, r, 200, FormPostView{Site: qnet, Action: "https://site.example/cb", Fields: []Field{{"code", "c1"}, {"state", `s"><script>`}}})
		}},
		{"other-browser", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.OtherBrowser(w, r, 400, OtherBrowserView{Site: &qnet, ReturnURL: "https://site.example/"})
		}},
		{"error-detail", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Error(w, r, 400, ErrorView{Site: &qnet, Code: ErrRequest, Detail: "scope: openid is missing", ReturnURL: "https://site.example/"})
		}},
		{"error-other", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Fail(w, r, 500, "no_words_of_its_own") }},
	}
	failures := []Failure{Rejected, TimedOut, NotVerified, ProviderDown, Indeterminate, NoCredential, Mismatch, Limited, TooWeak, OtherPerson, TooYoung, Blocked, NotRegistered, ChallengeExpired}
	for _, code := range certificateFailures {
		failures = append(failures, FailureOf(code))
	}
	for _, f := range failures {
		list = append(list, sample{"failed-" + string(f), func(v *Views, w http.ResponseWriter, r *http.Request) {
			m := ProofFailedView{Site: qnet, Method: method.Simple, Provider: kakao, Reason: f, RetryURL: "/login/a1/simple", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"}
			if f == TooYoung || f == Blocked {
				m.RetryURL = ""
			}
			if f == NotRegistered {
				m.RetryURL, m.RegisterURL = "", "/register"
			}
			if f == Limited {
				m.RetryAfter, m.RetryURL = 95*time.Second, ""
			}
			v.ProofFailed(w, r, 200, m)
		}})
	}
	for _, c := range []ErrorCode{
		ErrRequest, ErrSite, ErrRedirect, ErrExpired, ErrDone, ErrCode, ErrNotFound, ErrMethod, ErrLimited, ErrUnavailable, ErrTooLarge, ErrCrossOrigin, ErrInternal,
	} {
		list = append(list, sample{"error-" + string(c), func(v *Views, w http.ResponseWriter, r *http.Request) { v.Fail(w, r, 400, string(c)) }})
	}
	for _, id := range []string{DocTerms, DocPrivacy, DocUniqueID} {
		list = append(list, sample{"document-" + id, func(v *Views, w http.ResponseWriter, r *http.Request) { v.Document(w, r, 200, DocumentView{ID: id}) }})
	}
	return append(list, manageSamples()...)
}

func sampleBranding() Branding {
	return Branding{CallCentre: "1688-0990", TermsURL: "/terms", PrivacyURL: "/privacy"}
}

func officialBranding() Branding {
	b := sampleBranding()
	b.OfficialGovernment, b.Institution, b.Logo = true, Text{"행정안전부", "Ministry of the Interior and Safety"}, "data:image/png;base64,AAAA"
	return b
}

func newViews(t testing.TB, b Branding) *Views {
	t.Helper()
	v, err := NewViews(b, DefaultDocuments(), web.Cookies{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// show renders one sample in one language.
func show(v *Views, s sample, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.show(v, w, httptest.NewRequest("GET", "/login/a1"+query, nil))
	return w
}
