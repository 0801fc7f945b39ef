package pages

import (
	"net/http"
	"net/url"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/outbox"
)

// Verification is the time that a citizen has for managing their registration, as its pages carry it. The server's
// deadline is the truth; every page that is shown moves it on.
type Verification struct {
	Seconds int    // from now to the end
	Ends    string // the time of day in Korea, "15:04"
	Page    string // name of the page of 사용자 관리, for what leads back to it
}

// Done is what a page says about the change that has just led to it; empty: nothing.
type Done string

// What can have been done.
const (
	Saved       Done = "saved"
	SiteRevoked Done = "revoked"
	Removed     Done = "removed"
	Added       Done = "added"
	BlockSet    Done = "blocked"
	BlockLifted Done = "unblocked"
	Ended       Done = "ended"
	Reported    Done = "reported"
)

// ManageView is the way to everything that people can do with their registration (S4).
type ManageView struct {
	Page
	Name         string
	RegisteredAt time.Time
	Methods      []method.Method // their own, oldest first
}

// Manage shows the overview.
func (v *Views) Manage(w http.ResponseWriter, r *http.Request, status int, m ManageView) {
	render(v, w, r, status, managePage, &m)
}

// Closing is why managing has ended.
type Closing string

// The reasons.
const (
	Closed   Closing = ""         // the citizen has closed it
	Lapsed   Closing = "lapsed"   // its time is over
	Declined Closing = "declined" // the citizen did not register
)

// ManageClosedView says that managing has ended.
type ManageClosedView struct {
	Page
	Why      Closing
	AgainURL string // GET, with Lapsed: leads back to where the citizen was
}

// ManageClosed shows the end.
func (v *Views) ManageClosed(w http.ResponseWriter, r *http.Request, status int, m ManageClosedView) {
	render(v, w, r, status, manageClosedPage, &m)
}

// RegisteredView says that a registration that no site asked for is made.
type RegisteredView struct{ Page }

// Registered shows it.
func (v *Views) Registered(w http.ResponseWriter, r *http.Request, status int, m RegisteredView) {
	render(v, w, r, status, registeredPage, &m)
}

// ProfileView is what is held of a person: what was verified, and what they say themselves (정보 수정).
type ProfileView struct {
	Page
	Done Done

	Name, BirthDate, Phone string
	Gender, Nationality    Text
	RegisteredAt           time.Time
	UpdatedAt              time.Time

	Values     SettingsFields
	EmailError FieldError
}

// SettingsFields are the settings as the form has them.
type SettingsFields struct {
	Email      string
	Locale     string // "", "ko" or "en"
	NewBrowser bool   // notices that are wanted
	NewMethod  bool
}

// Profile shows it.
func (v *Views) Profile(w http.ResponseWriter, r *http.Request, status int, m ProfileView) {
	render(v, w, r, status, profilePage, &m)
}

// SiteUse is a person's use of a site.
type SiteUse struct {
	ID       string // client id
	Site     Site
	Since    time.Time
	LastAt   time.Time
	Logins   int64
	Items    []Text // what it receives
	Version  string // of the consent under which it does; empty: there is none
	AgreedAt time.Time
	Basis    string // the law, where there is no consent
	Active   bool   // a session is in use there
}

// RevokeURL is where the use of the site can be ended.
func (u *SiteUse) RevokeURL() string {
	return managePath + "/sites/" + url.PathEscape(u.ID) + "/revoke"
}

// UsesView lists the sites that a person uses (이용사이트 현황).
type UsesView struct {
	Page
	Done    Done
	Sites   []SiteUse
	Receipt *Receipt // with SiteRevoked
}

// Uses shows them.
func (v *Views) Uses(w http.ResponseWriter, r *http.Request, status int, m UsesView) {
	render(v, w, r, status, usesPage, &m)
}

// RevokeView asks whether the use of a site is to end.
type RevokeView struct {
	Page
	Use SiteUse
}

// Revoke asks.
func (v *Views) Revoke(w http.ResponseWriter, r *http.Request, status int, m RevokeView) {
	render(v, w, r, status, revokePage, &m)
}

// Delivery is a site that is told of a sign-out.
type Delivery struct {
	Site     Site
	State    outbox.State
	Attempts int
	NextAt   time.Time // while it waits
}

// Receipt is how far the sites are told.
type Receipt struct {
	Deliveries []Delivery
	AgainURL   string // GET, the same as it is then; no link if empty
}

// Waiting reports whether somebody is still to be told.
func (r *Receipt) Waiting() bool {
	for _, d := range r.Deliveries {
		if d.State == outbox.Waiting {
			return true
		}
	}
	return false
}

// ReceiptView shows a receipt on its own.
type ReceiptView struct {
	Page
	Receipt *Receipt
}

// Receipt shows it.
func (v *Views) Receipt(w http.ResponseWriter, r *http.Request, status int, m ReceiptView) {
	render(v, w, r, status, receiptPage, &m)
}

// HistoryEntry is one thing in a person's history.
type HistoryEntry struct {
	At         time.Time
	Action     audit.Action
	Code       string // why it was refused; may be empty
	Outcome    account.Outcome
	SiteName   string // in the visitor's language; may be empty
	Method     method.Method
	Provider   authn.Provider
	Level      method.Level
	Address    string
	Browser    string
	DisputeURL string // GET; empty: nothing to dispute
	DisputeID  string // of the link
}

// What is the key of the words for the entry's action.
func (e *HistoryEntry) What() string {
	if _, known := historyWords[e.Action]; known {
		return string(e.Action)
	}
	return "other"
}

// Why is the key of the words for the entry's code, or empty.
func (e *HistoryEntry) Why() string {
	switch e.Code {
	case string(Blocked), string(OtherPerson), string(TooWeak):
		return e.Code
	}
	return ""
}

// historyWords are the actions that have words of their own.
var historyWords = map[audit.Action]struct{}{
	audit.SiteLogin: {}, audit.SiteDenied: {}, audit.IdentityVerified: {}, audit.LoginFailed: {}, audit.LoginRefused: {}, audit.LoginConflict: {},
	audit.PersonRegistered: {}, audit.MethodLinked: {}, audit.MethodUnlinked: {}, audit.MethodBlocked: {}, audit.MethodUnblocked: {},
	audit.ConsentGiven: {}, audit.ConsentWithdrawn: {}, audit.SettingsChanged: {}, audit.DataExported: {}, audit.SiteRevoked: {},
	audit.SessionEnded: {}, audit.DisputeOpened: {}, audit.DisputeClosed: {}, audit.CIDisclosed: {},
}

// HistoryFields is the filter as the form has it.
type HistoryFields struct {
	From, To string // YYYY-MM-DD
	Site     string
	Method   method.Method
	Outcome  account.Outcome
}

// query is the filter as parameters.
func (f HistoryFields) query() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"from": f.From, "to": f.To, "site": f.Site, "method": string(f.Method), "outcome": string(f.Outcome)} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// HistoryErrors says what is wrong with the filter.
type HistoryErrors struct{ From, To FieldError }

// Any reports whether a field is wrong.
func (e HistoryErrors) Any() bool { return e != HistoryErrors{} }

// HistoryView lists what was done in a person's name (인증 이력).
type HistoryView struct {
	Page
	Done     Done
	Entries  []HistoryEntry
	Values   HistoryFields
	Errors   HistoryErrors
	Sites    []HistorySite // to choose from
	Methods  []method.Method
	Outcomes []account.Outcome
	OlderURL string // GET; empty: there are none
	NewerURL string // GET, the newest again; empty: these are the newest
	CSVURL   string // GET
	JSONURL  string // GET
}

// HistorySite is a site to choose by.
type HistorySite struct {
	ID   string
	Name Text
}

// Filtered reports whether the filter chooses at all.
func (m *HistoryView) Filtered() bool { return m.Values != HistoryFields{} }

// History shows it.
func (v *Views) History(w http.ResponseWriter, r *http.Request, status int, m HistoryView) {
	render(v, w, r, status, historyPage, &m)
}

// DisputeView asks whether it is so that an entry of the history was not the person (내가 아님).
type DisputeView struct {
	Page
	Entry  HistoryEntry
	Action string // POST
}

// Dispute asks.
func (v *Views) Dispute(w http.ResponseWriter, r *http.Request, status int, m DisputeView) {
	render(v, w, r, status, disputePage, &m)
}

// MethodsView is by what a person can log in (인증수단).
type MethodsView struct {
	Page
	Done    Done
	Methods []MethodState
	Addable bool
}

// MethodState is one method, whether it is the person's or not.
type MethodState struct {
	Method      method.Method
	Credentials []CredentialState
	Auto        bool // the matrix would link it by itself
	Blocks      []BlockState
	BlockURL    string // GET; empty: all of it is blocked
}

// Blocked reports whether all of the method is blocked.
func (m *MethodState) Blocked() bool { return m.BlockURL == "" }

// CredentialState is a credential of theirs.
type CredentialState struct {
	N         int // for ids
	Provider  authn.Provider
	Rule      method.Rule
	Binding   string
	LinkedAt  time.Time
	First     bool
	RemoveURL string // GET; empty: it is the last way to log in
}

// How is the key of the words for how it came to be theirs.
func (c *CredentialState) How() string {
	switch {
	case c.First:
		return "methods.rule.first"
	case c.Rule == method.Auto:
		return "methods.rule.auto"
	}
	return "methods.rule.register"
}

// BlockState is a block of theirs.
type BlockState struct {
	N        int
	Provider authn.Provider // zero: all of them
	At       time.Time
	Liftable bool
}

// Methods shows them.
func (v *Views) Methods(w http.ResponseWriter, r *http.Request, status int, m MethodsView) {
	render(v, w, r, status, methodsPage, &m)
}

// RemoveView asks whether a credential is to be removed.
type RemoveView struct {
	Page
	Method     method.Method
	Credential CredentialState
	Auto       bool   // it would come back by itself
	Action     string // POST
}

// Remove asks.
func (v *Views) Remove(w http.ResponseWriter, r *http.Request, status int, m RemoveView) {
	render(v, w, r, status, removePage, &m)
}

// BlockView asks whether a method, or which provider of it, is to be blocked.
type BlockView struct {
	Page
	Method    method.Method
	Providers []authn.Provider // to choose from; empty: there is one only
	InUse     bool             // it was chosen to block what the visitor has just verified with
}

// Block asks.
func (v *Views) Block(w http.ResponseWriter, r *http.Request, status int, m BlockView) {
	render(v, w, r, status, blockPage, &m)
}

// SessionsView lists where a person is logged in (로그인 기기).
type SessionsView struct {
	Page
	Done     Done
	Sessions []SessionState
	Others   int // how many are not this browser's
	Receipt  *Receipt
}

// SessionState is one of the sessions.
type SessionState struct {
	N        int
	ID       string
	Current  bool
	Method   method.Method
	Provider authn.Provider
	Level    method.Level
	Address  string
	Browser  string
	At       time.Time
	Until    time.Time
	Sites    []string // in the visitor's language
}

// Sessions shows them.
func (v *Views) Sessions(w http.ResponseWriter, r *http.Request, status int, m SessionsView) {
	render(v, w, r, status, sessionsPage, &m)
}

// ExportView offers a person's data as a file (내 정보 내려받기).
type ExportView struct{ Page }

// Export shows it.
func (v *Views) Export(w http.ResponseWriter, r *http.Request, status int, m ExportView) {
	render(v, w, r, status, exportPage, &m)
}

// WithdrawView tells what the end of a registration means (S5), and with Confirm asks for the last time.
type WithdrawView struct {
	Page
	Confirm bool
}

// Withdraw shows it.
func (v *Views) Withdraw(w http.ResponseWriter, r *http.Request, status int, m WithdrawView) {
	if m.Confirm {
		render(v, w, r, status, withdrawConfirmPage, &m)
		return
	}
	render(v, w, r, status, withdrawPage, &m)
}

// WithdrawnView says that a registration has ended.
type WithdrawnView struct {
	Page
	Number  string // of the receipt; empty: nothing is retained
	Receipt *Receipt
}

// Withdrawn shows it.
func (v *Views) Withdrawn(w http.ResponseWriter, r *http.Request, status int, m WithdrawnView) {
	render(v, w, r, status, withdrawnPage, &m)
}

// NotMeView tells who follows the link of a notice what it is about, and takes the word that it was not them.
type NotMeView struct {
	Page
	Code     string
	Kind     notice.Kind
	Method   method.Method
	Provider authn.Provider
	Site     *Site // nil: none
	At       time.Time
	Address  string
	Browser  string
	Disputed bool // it was said already
}

// NotMe shows it.
func (v *Views) NotMe(w http.ResponseWriter, r *http.Request, status int, m NotMeView) {
	render(v, w, r, status, notMePage, &m)
}

// NotMeDoneView says what was done at that word.
type NotMeDoneView struct {
	Page
	Case   string // its number
	Method method.Method
}

// NotMeDone shows it.
func (v *Views) NotMeDone(w http.ResponseWriter, r *http.Request, status int, m NotMeDoneView) {
	render(v, w, r, status, notMeDonePage, &m)
}
