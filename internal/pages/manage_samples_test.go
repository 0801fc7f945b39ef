package pages

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
)

var (
	sampleDay  = time.Date(2026, 11, 1, 20, 0, 0, 0, time.UTC)
	sampleTime = time.Date(2026, 11, 20, 5, 4, 0, 0, time.UTC)
	naver      = authn.Provider{ID: "naver", Korean: "네이버", English: "Naver"}
)

// sampleSelf is the time that is left for a page of the name.
func sampleSelf(name string) Page {
	return Page{Verified: &Verification{Seconds: 600, Ends: "15:04", Page: name}}
}

func sampleReceipt() *Receipt {
	return &Receipt{AgainURL: "/logout/receipt", Deliveries: []Delivery{
		{Site: qnet, State: outbox.Delivered, Attempts: 1},
		{Site: cert, State: outbox.Waiting, Attempts: 2, NextAt: sampleTime},
		{Site: Site{Name: Text{"운전면허 갱신", "Driving licences"}}, State: outbox.Waiting},
		{Site: Site{Name: Text{Korean: "나라일터"}}, State: outbox.GivenUp, Attempts: 12},
	}}
}

// manageSamples are the pages of 사용자 관리, and those of logging out and of 내가 아님.
func manageSamples() []sample {
	all := sampleReceipt()
	one := &Receipt{Deliveries: all.Deliveries[:1]}
	login := LoginView{
		Site: qnet, SSO: true, Again: true, Methods: []method.Method{method.MobileID}, MethodURL: "/login/a1", ToggleURL: "/login/a1/sso",
		StepUp: &StepUp{Have: method.Simple, HaveLevel: 2, Level: 3}, CancelURL: "/login/a1/cancel",
	}
	byMethod := login
	byMethod.Methods = []method.Method{method.JointCert, method.FinancialCert}
	byMethod.StepUp = &StepUp{Have: method.Simple, HaveLevel: 2, Methods: byMethod.Methods, Recent: true}
	registering := LoginView{Registers: true, Site: Site{Name: Text{"정부 통합인증(Any-ID) 사용자 등록", "Any-ID registration"}, Own: true, Registers: true},
		Methods: method.All(), MethodURL: "/login/a1", CancelURL: "/login/a1/cancel"}
	adding := registering
	adding.Further = true
	renew := RegisterView{Site: qnet, Method: method.Simple, Changed: []string{DocPrivacy}, RegisterURL: "/register/a1", DeclineURL: "/register/a1/decline"}
	renewAll := renew
	renewAll.Changed, renewAll.Incomplete, renewAll.Terms = []string{DocTerms, DocUniqueID}, true, Agree
	alone := RegisterView{Site: registering.Site, Method: method.MobileID, Name: "홍길동", BirthDate: "1995-01-12", RegisterURL: "/register/a1", DeclineURL: "/register/a1/decline"}
	wrongPerson := ProofFailedView{Site: Site{Name: Text{"정부 통합인증(Any-ID) 사용자 관리", "Any-ID account management"}, Own: true},
		Method: method.Simple, Provider: kakao, Reason: OtherPerson, RetryURL: "/login/a1/simple", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"}
	sign := SignView{
		Site: registering.Site, Request: authn.SignRequest{Content: "anyid-login;v=1;nonce=n", Policies: []string{"1.2.410.200005.1.1.1"}}, Remaining: 4 * time.Minute,
		SignURL: "/login/a1/joint-cert", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
	}
	cloud := cloudSign("CMS")
	cloud.Site = registering.Site
	wallets := MobileIDView{
		Site: wrongPerson.Site, Providers: []authn.Provider{{ID: "mip", Korean: "모바일 신분증", English: "Mobile ID"}}, QR: true, App: true,
		Values: SimpleFields{Provider: "mip"}, RequestURL: "/login/a1/mobile-id", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel",
	}

	profile := ProfileView{
		Page: sampleSelf("profile"), Name: "홍길동", BirthDate: "1995-01-12", Phone: "010-1234-5678", Gender: Text{"남", "Male"}, Nationality: Text{"내국인", "Korean national"},
		RegisteredAt: sampleDay, UpdatedAt: sampleTime, Values: SettingsFields{Email: "hong@example.kr", NewBrowser: true, NewMethod: true},
	}
	saved := profile
	saved.Done, saved.BirthDate, saved.Phone, saved.Gender, saved.Nationality, saved.Values = Saved, "", "", Text{}, Text{}, SettingsFields{Locale: "en"}
	wrongEmail := profile
	wrongEmail.EmailError, wrongEmail.Values.Email, wrongEmail.Values.Locale = Invalid, `hong"@`, "ko"

	uses := []SiteUse{
		{ID: "qnet", Site: qnet, Since: sampleDay, LastAt: sampleTime, Logins: 12, Active: true, Version: "2026-11-01", AgreedAt: sampleDay,
			Items: []Text{{"이름", "Name"}, {"생년월일", "Date of birth"}, {"휴대폰번호", "Mobile phone number"}}},
		{ID: "minwon", Site: cert, Since: sampleDay, LastAt: sampleDay, Logins: 1, Basis: "민원 처리에 관한 법률 제10조의2", Items: []Text{{"이름", "Name"}, {"연계정보(CI)", "Linking information (CI)"}}},
		{ID: "gone", Site: Site{Name: Text{Korean: "gone"}}, Since: sampleDay, LastAt: sampleDay, Logins: 2},
	}

	entries := []HistoryEntry{
		{At: sampleTime, Action: audit.SiteLogin, Outcome: account.Success, SiteName: "큐넷(Q-Net)", Method: method.Simple, Provider: kakao, Level: 2, Address: "203.0.113.7", Browser: "Chrome, Windows", DisputeURL: disputePath("e1"), DisputeID: "not-me"},
		{At: sampleTime, Action: audit.IdentityVerified, Outcome: account.Success, Method: method.Phone, Address: "2001:db8:85a3:8d3:1319:8a2e:370:7348", Browser: "Safari, iOS", DisputeURL: disputePath("e2"), DisputeID: "not-me-2"},
		{At: sampleTime, Action: audit.LoginRefused, Code: string(Blocked), Outcome: account.Refused, SiteName: "민원마당", Method: method.FinancialCert, Address: "198.51.100.23"},
		{At: sampleTime, Action: audit.SettingsChanged, Outcome: account.Change, Address: "203.0.113.7", Browser: "Samsung Internet, Android"},
		{At: sampleDay, Action: audit.SessionEnded, Outcome: account.Change},
		{At: sampleDay, Action: audit.PolicyChanged, Outcome: account.Change},
	}
	for _, action := range slices.Sorted(maps.Keys(historyWords)) {
		entries = append(entries, HistoryEntry{At: sampleDay, Action: action, Outcome: account.Change})
	}
	history := HistoryView{
		Page: sampleSelf("history"), Entries: entries, Outcomes: outcomes, Methods: method.All(), Sites: []HistorySite{{"qnet", qnet.Name}, {"minwon", cert.Name}},
		OlderURL: "/manage/history?after=x", CSVURL: "/manage/history.csv", JSONURL: "/manage/history.json",
	}
	filtered := history
	filtered.Entries, filtered.OlderURL, filtered.NewerURL, filtered.Done = entries[:3], "", "/manage/history?site=qnet", Reported
	filtered.Values = HistoryFields{From: "2026-11-01", To: "2026-11-20", Site: "qnet", Method: method.Simple, Outcome: account.Success}
	nothing := filtered
	nothing.Entries, nothing.Done, nothing.NewerURL, nothing.Errors = nil, "", "", HistoryErrors{From: Invalid, To: Invalid}
	fresh := HistoryView{Page: sampleSelf("history"), Outcomes: outcomes, CSVURL: "/manage/history.csv", JSONURL: "/manage/history.json", Errors: HistoryErrors{To: Invalid}}
	quiet := fresh
	quiet.Errors = HistoryErrors{}

	own := CredentialState{N: 1, Provider: kakao, Rule: method.Own, Binding: "signed", LinkedAt: sampleDay, First: true, RemoveURL: removePath(method.Simple, "x1")}
	second := CredentialState{N: 2, Provider: naver, Rule: method.Own, Binding: "transport", LinkedAt: sampleTime, RemoveURL: removePath(method.Simple, "x2")}
	mobile := CredentialState{N: 3, Rule: method.Auto, Binding: "signed", LinkedAt: sampleTime, RemoveURL: removePath(method.MobileID, "x3")}
	last := own
	last.RemoveURL = ""
	methods := MethodsView{Page: sampleSelf("methods"), Addable: true, Methods: []MethodState{
		{Method: method.MobileID, Credentials: []CredentialState{mobile}, Auto: true, BlockURL: managePath + "/methods/mobile_id/block"},
		{Method: method.Simple, Credentials: []CredentialState{own, second}, BlockURL: managePath + "/methods/simple/block",
			Blocks: []BlockState{{N: 1, Provider: authn.Provider{ID: "toss", Korean: "토스", English: "Toss"}, At: sampleTime, Liftable: true}}},
		{Method: method.JointCert, Blocks: []BlockState{{N: 2, At: sampleDay}}},
		{Method: method.FinancialCert, Blocks: []BlockState{{N: 3, At: sampleDay, Liftable: true}}},
	}}
	only := MethodsView{Page: sampleSelf("methods"), Methods: []MethodState{
		{Method: method.MobileID, Auto: true, BlockURL: managePath + "/methods/mobile_id/block"},
		{Method: method.Simple, Credentials: []CredentialState{last}, BlockURL: managePath + "/methods/simple/block"},
		{Method: method.JointCert, BlockURL: managePath + "/methods/joint_cert/block"},
	}}
	block := BlockView{Page: sampleSelf("methods"), Method: method.Simple, Providers: providers}

	sessions := SessionsView{Page: sampleSelf("sessions"), Others: 1, Sessions: []SessionState{
		{N: 1, ID: "s1", Current: true, Method: method.Simple, Provider: kakao, Level: 2, Address: "203.0.113.7", Browser: "Chrome, Windows", At: sampleTime, Until: sampleTime.Add(8 * time.Hour), Sites: []string{"큐넷(Q-Net)", "민원마당"}},
		{N: 2, ID: "s2", Method: method.MobileID, Level: 3, At: sampleDay, Until: sampleTime},
	}}
	ended := sessions
	ended.Done, ended.Sessions, ended.Others, ended.Receipt = Ended, sessions.Sessions[:1], 0, all

	notMe := NotMeView{Code: "c0de", Kind: notice.NewBrowser, Method: method.Simple, Provider: kakao, Site: &qnet, At: sampleTime, Address: "203.0.113.7", Browser: "Chrome, Windows"}
	added := NotMeView{Code: "c0de", Kind: notice.NewMethod, Method: method.FinancialCert, At: sampleTime}
	disputed := notMe
	disputed.Disputed = true

	choice := LogoutView{Site: &qnet, Sites: []Site{qnet, cert}, Choice: true, ConfirmURL: "/logout", StayURL: "/logout/stay?site=qnet", Fields: []Field{{"id_token_hint", "x1"}}}
	frames := LoggedOutView{Site: &qnet, Receipt: all, Frames: []templ.SafeURL{"https://site.example/front?sid=1", "https://site.example/front?sid=2"}, ContinueURL: "https://site.example/out?state=1"}
	onlyFrames := LoggedOutView{Frames: frames.Frames}

	return []sample{
		{"login-step-up", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, login) }},
		{"login-step-up-method", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, byMethod) }},
		{"register-choose", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, registering) }},
		{"register-choose-further", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Login(w, r, 200, adding) }},
		{"register-alone", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 200, alone) }},
		{"register-renew", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 200, renew) }},
		{"register-renew-incomplete", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Register(w, r, 422, renewAll) }},
		{"joint-cert-own", func(v *Views, w http.ResponseWriter, r *http.Request) { v.JointCert(w, r, 200, sign) }},
		{"financial-cert-own", func(v *Views, w http.ResponseWriter, r *http.Request) { v.FinancialCert(w, r, 200, cloud) }},
		{"mobile-id-own", func(v *Views, w http.ResponseWriter, r *http.Request) { v.MobileID(w, r, 200, wallets) }},
		{"failed-other-person-own", func(v *Views, w http.ResponseWriter, r *http.Request) { v.ProofFailed(w, r, 200, wrongPerson) }},
		{"failed-window", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.ProofFailed(w, r, 200, ProofFailedView{Site: Site{Name: qnet.Name, Own: true}, Method: method.IPIN, Reason: Rejected, ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"})
		}},
		{"failed-mobile-id", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.ProofFailed(w, r, 200, ProofFailedView{Site: qnet, Method: method.MobileID, Reason: NoCredential, RetryURL: "/login/a1/mobile-id", ChooseURL: "/login/a1", CancelURL: "/login/a1/cancel"})
		}},
		{"registered", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Registered(w, r, 200, RegisteredView{}) }},
		{"verify-again", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Verify(w, r, 200, VerifyView{Again: true, Ways: []VerifyWay{{method.Simple, "simple", "/login/a1/simple", false}}, CancelURL: "/login/a1/cancel"})
		}},
		{"manage", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Manage(w, r, 200, ManageView{Page: sampleSelf(""), Name: "홍길동", RegisteredAt: sampleDay, Methods: []method.Method{method.Simple, method.MobileID}})
		}},
		{"manage-closed", func(v *Views, w http.ResponseWriter, r *http.Request) { v.ManageClosed(w, r, 200, ManageClosedView{}) }},
		{"manage-lapsed", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.ManageClosed(w, r, 200, ManageClosedView{Why: Lapsed, AgainURL: "/manage/sites"})
		}},
		{"manage-declined", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.ManageClosed(w, r, 200, ManageClosedView{Why: Declined})
		}},
		{"profile", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Profile(w, r, 200, profile) }},
		{"profile-saved", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Profile(w, r, 200, saved) }},
		{"profile-wrong", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Profile(w, r, 422, wrongEmail) }},
		{"uses", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Uses(w, r, 200, UsesView{Page: sampleSelf("sites"), Sites: uses})
		}},
		{"uses-revoked", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Uses(w, r, 200, UsesView{Page: sampleSelf("sites"), Sites: uses[1:], Done: SiteRevoked, Receipt: one})
		}},
		{"uses-none", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Uses(w, r, 200, UsesView{Page: sampleSelf("sites"), Done: SiteRevoked})
		}},
		{"revoke", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Revoke(w, r, 200, RevokeView{Page: sampleSelf("sites"), Use: uses[0]})
		}},
		{"revoke-law", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Revoke(w, r, 200, RevokeView{Page: sampleSelf("sites"), Use: uses[1]})
		}},
		{"receipt", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Receipt(w, r, 200, ReceiptView{Receipt: all})
		}},
		{"receipt-complete", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Receipt(w, r, 200, ReceiptView{Receipt: one})
		}},
		{"history", func(v *Views, w http.ResponseWriter, r *http.Request) { v.History(w, r, 200, history) }},
		{"history-filtered", func(v *Views, w http.ResponseWriter, r *http.Request) { v.History(w, r, 200, filtered) }},
		{"history-none", func(v *Views, w http.ResponseWriter, r *http.Request) { v.History(w, r, 200, quiet) }},
		{"history-none-filtered", func(v *Views, w http.ResponseWriter, r *http.Request) { v.History(w, r, 422, nothing) }},
		{"history-wrong", func(v *Views, w http.ResponseWriter, r *http.Request) { v.History(w, r, 422, fresh) }},
		{"dispute", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Dispute(w, r, 200, DisputeView{Page: sampleSelf("history"), Entry: entries[0], Action: disputePath("e1")})
		}},
		{"dispute-bare", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Dispute(w, r, 200, DisputeView{Page: sampleSelf("history"), Entry: HistoryEntry{At: sampleDay, Action: audit.MethodLinked}, Action: disputePath("e1")})
		}},
		{"methods", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Methods(w, r, 200, methods) }},
		{"methods-last", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Methods(w, r, 200, only) }},
		{"methods-removed", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Methods(w, r, 200, MethodsView{Page: sampleSelf("methods"), Done: Removed, Methods: only.Methods})
		}},
		{"methods-added", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Methods(w, r, 200, MethodsView{Page: sampleSelf("methods"), Done: Added, Methods: only.Methods})
		}},
		{"methods-blocked", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Methods(w, r, 200, MethodsView{Page: sampleSelf("methods"), Done: BlockSet, Methods: methods.Methods})
		}},
		{"methods-unblocked", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Methods(w, r, 200, MethodsView{Page: sampleSelf("methods"), Done: BlockLifted, Methods: only.Methods})
		}},
		{"remove", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Remove(w, r, 200, RemoveView{Page: sampleSelf("methods"), Method: method.Simple, Credential: own, Action: own.RemoveURL})
		}},
		{"remove-auto", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Remove(w, r, 200, RemoveView{Page: sampleSelf("methods"), Method: method.MobileID, Credential: mobile, Auto: true, Action: mobile.RemoveURL})
		}},
		{"block", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Block(w, r, 200, block) }},
		{"block-one", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Block(w, r, 409, BlockView{Page: sampleSelf("methods"), Method: method.JointCert, InUse: true})
		}},
		{"sessions", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Sessions(w, r, 200, sessions) }},
		{"sessions-ended", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Sessions(w, r, 200, ended) }},
		{"sessions-none", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Sessions(w, r, 200, SessionsView{Page: sampleSelf("sessions"), Done: Ended})
		}},
		{"export", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Export(w, r, 200, ExportView{Page: sampleSelf("export")})
		}},
		{"withdraw", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Withdraw(w, r, 200, WithdrawView{Page: sampleSelf("withdraw")})
		}},
		{"withdraw-confirm", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Withdraw(w, r, 200, WithdrawView{Page: sampleSelf("withdraw"), Confirm: true})
		}},
		{"withdrawn", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.Withdrawn(w, r, 200, WithdrawnView{Number: "7F3K-9QWM-2XTA-HJ4N-8RVC-Z5PD", Receipt: all})
		}},
		{"withdrawn-plain", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Withdrawn(w, r, 200, WithdrawnView{}) }},
		{"not-me", func(v *Views, w http.ResponseWriter, r *http.Request) { v.NotMe(w, r, 200, notMe) }},
		{"not-me-method", func(v *Views, w http.ResponseWriter, r *http.Request) { v.NotMe(w, r, 200, added) }},
		{"not-me-again", func(v *Views, w http.ResponseWriter, r *http.Request) { v.NotMe(w, r, 409, disputed) }},
		{"not-me-done", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.NotMeDone(w, r, 200, NotMeDoneView{Case: "4KQ7-MX2P", Method: method.Simple})
		}},
		{"logout-choice", func(v *Views, w http.ResponseWriter, r *http.Request) { v.Logout(w, r, 200, choice) }},
		{"logged-out-left", func(v *Views, w http.ResponseWriter, r *http.Request) {
			v.LoggedOut(w, r, 200, LoggedOutView{Site: &qnet, Left: true, ReturnURL: "https://site.example/", Receipt: one})
		}},
		{"logged-out-frames", func(v *Views, w http.ResponseWriter, r *http.Request) { v.LoggedOut(w, r, 200, frames) }},
		{"logged-out-frames-only", func(v *Views, w http.ResponseWriter, r *http.Request) { v.LoggedOut(w, r, 200, onlyFrames) }},
	}
}
