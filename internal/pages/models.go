package pages

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

// LoginView is the choice of a method (S1).
type LoginView struct {
	Page
	Site         Site
	SSO          bool            // 정부 통합로그인 [사용]
	Again        bool            // there is a session, but the site asks for a fresh or stronger proof
	StepUp       *StepUp         // with Again: what is there, and what is missing
	Registers    bool            // no site asks: the method is to be registered; nothing of the toggle or of a site is shown
	Further      bool            // with Registers: the person is known, and adds a method
	Methods      []method.Method // what the site accepts and the toggle leaves, in order
	MethodURL    string          // GET MethodURL/<method>, with hyphens
	ToggleURL    string          // POST sso=on or sso=off, the state wanted
	SiteLoginURL string          // the site's own login page; no card if empty
	RegisterURL  string          // 사용자 등록; no link if empty
	ManageURL    string          // 사용자 관리; no link if empty
	CancelURL    string          // POST, back to the site with access_denied
}

// StepUp is what a site asks for beyond the session that is there.
type StepUp struct {
	Have      method.Method
	HaveLevel int
	Level     int             // the least that the site takes; 0: the level suffices
	Methods   []method.Method // those that the site takes; empty: the method suffices
	Recent    bool            // the proof is too old for the site
}

// Login shows the choice of a method.
func (v *Views) Login(w http.ResponseWriter, r *http.Request, status int, m LoginView) {
	if m.Registers {
		render(v, w, r, status, registerChoosePage, &m)
		return
	}
	render(v, w, r, status, loginPage, &m)
}

// FieldError says what is wrong with a field.
type FieldError string

// What can be wrong with a field; the empty FieldError is nothing.
const (
	Missing FieldError = "missing"
	Invalid FieldError = "invalid"
)

// SimpleFields are the form's values as typed.
type SimpleFields struct {
	Provider  string // authn.Provider.ID
	Name      string
	BirthDate string
	Phone     string
}

// SimpleErrors has one place per field of SimpleFields.
type SimpleErrors struct {
	Provider, Name, BirthDate, Phone FieldError
}

// Any reports whether a field is wrong.
func (e SimpleErrors) Any() bool { return e != SimpleErrors{} }

// SimpleView asks for what simple authentication needs to reach the citizen's phone.
type SimpleView struct {
	Page
	Site       Site
	Providers  []authn.Provider
	Values     SimpleFields // shown again after an error
	Errors     SimpleErrors
	RequestURL string // POST provider, name, birthdate, phone
	ChooseURL  string // GET, back to the choice of a method
	CancelURL  string // POST
}

// Simple shows the form of simple authentication.
func (v *Views) Simple(w http.ResponseWriter, r *http.Request, status int, m SimpleView) {
	render(v, w, r, status, simplePage, &m)
}

// ProofView waits for the citizen's phone (S2).
type ProofView struct {
	Page
	Site        Site
	Method      method.Method
	Provider    authn.Provider // who asks on the phone; not used for mobile ID
	NotYet      bool           // "complete" was pressed before the phone answered
	Mode        authn.Mode     // how the phone is reached; empty: by a message
	QR          string         // content of the code that the phone scans
	QRImage     string         // the code as an image, a data: URL
	Link        string         // opens the wallet on this device
	Match       string         // digits that page and phone both show
	Remaining   time.Duration  // until the request expires
	PollEvery   time.Duration  // pause between two questions of the script
	StatusURL   string         // GET {"done": bool, "remaining": seconds}
	CompleteURL string         // POST; the script sends it too, when done
	RetryURL    string         // GET, back to the form; no link if empty
	CancelURL   string         // POST
}

// AppLink is Link for the template, which would not let a scheme of its own through. It is the
// adapter's, and held to the schemes of wallets.
func (m *ProofView) AppLink() templ.SafeURL {
	for _, scheme := range []string{"https://", "http://", "mobileid://", "openid4vp://", "haip-vp://"} {
		if strings.HasPrefix(m.Link, scheme) {
			return templ.SafeURL(m.Link) // one of these schemes
		}
	}
	return ""
}

// Proof shows that the phone is being waited for. A GET of its address moves on when the phone has answered. Without
// script the citizen presses the button: a page that loads itself again takes the words away from who reads slowly
// (WCAG 2.2.1).
func (v *Views) Proof(w http.ResponseWriter, r *http.Request, status int, m ProofView) {
	render(v, w, r, status, proofPage, &m)
}

// Failure is why a proof did not come about, as far as the citizen needs to know. It is also the
// page's error code.
type Failure string

// The failures.
const (
	Rejected      Failure = "rejected"
	TimedOut      Failure = "expired"
	NotVerified   Failure = "failed"
	ProviderDown  Failure = "provider_down"
	Indeterminate Failure = "indeterminate"
	NoCredential  Failure = "no_credential"
	Mismatch      Failure = "person_mismatch"
	Limited       Failure = "limited"
	TooWeak       Failure = "too_weak"     // below the level that the site needs
	OtherPerson   Failure = "other_person" // the site asked for somebody else
	TooYoung      Failure = "too_young"
	Blocked       Failure = "blocked"        // the person wants no login by this way
	NotRegistered Failure = "not_registered" // there is nothing to manage
)

// The failures of certificates; those of authn's codes of the same name are not repeated here.
const (
	ChallengeExpired Failure = "challenge_expired" // nothing was signed in time
)

// certificateFailures are the codes of which a citizen is told as they are.
var certificateFailures = []authn.Code{
	authn.CertificateExpired, authn.CertificateNotYet, authn.CertificateRevoked, authn.CertificateHeld, authn.CertificateRefused,
	authn.CertificateUntrusted, authn.StatusUnknown, authn.WrongChallenge, authn.AlreadyUsed, authn.NumberMismatch,
}

// FailureOf returns the failure to show for an adapter's code.
func FailureOf(code authn.Code) Failure {
	switch code {
	case authn.UserCancelled:
		return Rejected
	case authn.TooLate:
		return TimedOut
	case authn.NoCredential:
		return NoCredential
	case authn.PersonMismatch:
		return Mismatch
	case authn.ProviderAuth, authn.ProviderDown:
		return ProviderDown
	case authn.Indeterminate:
		return Indeterminate
	}
	if slices.Contains(certificateFailures, code) {
		return Failure(code)
	}
	return NotVerified
}

// ProofFailedView tells why a proof did not come about, and the ways on.
type ProofFailedView struct {
	Page
	Site       Site
	Method     method.Method
	Provider   authn.Provider // may be zero
	Reason     Failure
	RetryAfter time.Duration // with Limited: when to try again; may be zero
	RetryURL   string        // GET, the same method again; no link if empty
	ChooseURL  string        // GET, the choice of a method; no link if empty
	CancelURL  string        // POST
	// RegisterURL is 사용자 등록, for who is not registered; no link if empty.
	RegisterURL string
}

// Words is the key of the page's words: the reason, or one of its own where no site asks, where nothing was asked on a
// phone, and where what is missing is no certificate.
func (m *ProofFailedView) Words() string {
	switch {
	case m.Reason == OtherPerson && m.Site.Own:
		return "other_person_own"
	case m.Reason == NoCredential && m.Method == method.MobileID:
		return "no_mobile_id"
	case m.Method == method.MobileID || m.Method == method.Simple:
	case m.Reason == Rejected, m.Reason == TimedOut, m.Reason == Indeterminate:
		return string(m.Reason) + "_window"
	}
	return string(m.Reason)
}

// ProofFailed shows a failed proof.
func (v *Views) ProofFailed(w http.ResponseWriter, r *http.Request, status int, m ProofFailedView) {
	render(v, w, r, status, proofFailedPage, &m)
}

// Choice is the state of a pair of radio buttons.
type Choice string

// The choices; the empty Choice is neither, the state before the citizen decides.
const (
	Agree    Choice = "agree"
	Disagree Choice = "disagree"
)

// RegisterView asks for the agreements of a registration (S3).
type RegisterView struct {
	Page
	Site        Site
	Method      method.Method
	Further     bool     // the person is registered, and registers this method too
	Changed     []string // documents that have a new version, which alone are asked for; empty: a registration, which asks for all
	Name        string   // of the person proved, as it should be shown
	BirthDate   string   // YYYY-MM-DD; empty where Number is to tell it
	Number      bool     // the resident number is asked for
	NumberError NumberError
	Terms       Choice
	Privacy     Choice
	UniqueID    Choice
	Incomplete  bool   // sent without all agreements
	RegisterURL string // POST terms, privacy, unique_id = agree or disagree, locale of the texts shown; rrn_front, rrn_back
	AgainURL    string // POST, back to the choice of a method; shown with NumberLost
	DeclineURL  string // POST
}

// NumberError says what is wrong with the resident number.
type NumberError string

// What can be wrong with it; the empty NumberError is nothing.
const (
	NumberMissing NumberError = "missing"
	NumberInvalid NumberError = "invalid" // not 13 digits
	NumberWrong   NumberError = "wrong"   // not that of the certificate's holder
	NumberLost    NumberError = "lost"    // what the browser kept for it is gone: the citizen is to sign again
)

// Renewing reports whether the person is registered, and only texts have changed.
func (m *RegisterView) Renewing() bool { return len(m.Changed) > 0 }

// agreement is what the page asks about one document.
type agreement struct {
	id, field  string // of the document, and the field that answers
	title, ask string // keys of texts
	choice     Choice
}

// agreements are what the page asks for, in order.
func (m *RegisterView) agreements() []agreement {
	all := []agreement{
		{DocTerms, "terms", "register.terms", "register.terms.ask", m.Terms},
		{DocPrivacy, "privacy", "register.privacy", "register.privacy.ask", m.Privacy},
		{DocUniqueID, "unique_id", "register.unique_id", "register.unique_id.ask", m.UniqueID},
	}
	if !m.Renewing() {
		return all
	}
	return slices.DeleteFunc(all, func(a agreement) bool { return !slices.Contains(m.Changed, a.id) })
}

// lacks reports whether a page that came back incomplete came back for want of this agreement.
func (m *RegisterView) lacks(a agreement) bool { return m.Incomplete && a.choice != Agree }

// Register shows the agreements.
func (v *Views) Register(w http.ResponseWriter, r *http.Request, status int, m RegisterView) {
	render(v, w, r, status, registerPage, &m)
}

// ConsentItem is one attribute that a site asks for.
type ConsentItem struct {
	ID    string // claim name: letters, digits, _
	Label Text
	Value string // the person's own, as it should be shown; may be empty
}

// ConsentView asks whether attributes may go to a site (개인정보 보호법 제17조제2항).
type ConsentView struct {
	Page
	Site      Site
	Purpose   Text
	Retention Text
	Required  []ConsentItem
	Optional  []ConsentItem // offered unticked
	AllowURL  string        // POST claim=<ID> for each optional item ticked
	DenyURL   string        // POST
}

// Consent shows what would go to the site.
func (v *Views) Consent(w http.ResponseWriter, r *http.Request, status int, m ConsentView) {
	render(v, w, r, status, consentPage, &m)
}

// ConflictView tells that two methods claim different people.
type ConflictView struct {
	Page
	Site      Site
	Method    method.Method // the one used now
	ChooseURL string        // GET
	CancelURL string        // POST
}

// Conflict shows that nothing was linked.
func (v *Views) Conflict(w http.ResponseWriter, r *http.Request, status int, m ConflictView) {
	render(v, w, r, status, conflictPage, &m)
}

// AccountView asks which account to go on with (prompt=select_account).
type AccountView struct {
	Page
	Site        Site
	Name        string // masked: 홍*동
	Method      method.Method
	ContinueURL string // POST
	OtherURL    string // POST, ends the session and starts again
	CancelURL   string // POST
}

// Account shows who is signed in.
func (v *Views) Account(w http.ResponseWriter, r *http.Request, status int, m AccountView) {
	render(v, w, r, status, accountPage, &m)
}

// LogoutView asks before signing out.
type LogoutView struct {
	Page
	Site       *Site // who asks; nil if nobody known
	Sites      []Site
	Choice     bool    // whether to sign out of Site alone, or of all
	ConfirmURL string  // POST, with Fields, and scope=this or scope=all with Choice
	Fields     []Field // hidden
	StayURL    string  // POST, with Fields
}

// Logout asks for confirmation.
func (v *Views) Logout(w http.ResponseWriter, r *http.Request, status int, m LogoutView) {
	render(v, w, r, status, logoutPage, &m)
}

// LoggedOutView tells that the session has ended.
type LoggedOutView struct {
	Page
	Site        *Site           // where to go back to; nil if nobody known
	ReturnURL   string          // GET on the site; no link if empty
	Stayed      bool            // the citizen chose not to sign out
	Left        bool            // signed out of Site alone
	Receipt     *Receipt        // nil: no site had to be told
	Frames      []templ.SafeURL // of sites, which sign out in them
	ContinueURL templ.SafeURL   // GET, where the site wants the browser; no link if empty
}

// LoggedOut shows the result.
func (v *Views) LoggedOut(w http.ResponseWriter, r *http.Request, status int, m LoggedOutView) {
	render(v, w, r, status, loggedOutPage, &m)
}

// Field is a hidden form field.
type Field struct {
	Name, Value string
}

// FormPostView hands an authorization response to the site by POST (OAuth 2.0 Form Post Response
// Mode). The answer must allow the redirect URI by web.AllowFormAction.
type FormPostView struct {
	Page
	Site   Site
	Action templ.SafeURL // the redirect URI, which may have a scheme of its own: it is registered
	Fields []Field
}

// FormPost shows a form that sends itself.
func (v *Views) FormPost(w http.ResponseWriter, r *http.Request, status int, m FormPostView) {
	render(v, w, r, status, formPostPage, &m)
}

// OtherBrowserView tells that the login was begun in another browser.
type OtherBrowserView struct {
	Page
	Site      *Site  // nil if not to be told
	ReturnURL string // GET, the site's start page or login; no link if empty
}

// OtherBrowser shows that this browser cannot go on.
func (v *Views) OtherBrowser(w http.ResponseWriter, r *http.Request, status int, m OtherBrowserView) {
	render(v, w, r, status, otherBrowserPage, &m)
}

// ErrorCode is the stable code of an error page.
type ErrorCode string

// The codes that have words of their own; the edge's codes are among them.
const (
	ErrRequest     ErrorCode = "invalid_request"      // the site sent a wrong authorization request
	ErrSite        ErrorCode = "unknown_site"         // unknown or not approved
	ErrRedirect    ErrorCode = "invalid_redirect_uri" // not registered for the site
	ErrExpired     ErrorCode = "login_expired"        // the journey is over or was never begun
	ErrDone        ErrorCode = "already_done"         // the step was answered before
	ErrCode        ErrorCode = "unknown_code"         // no notice has this code
	ErrNotFound    ErrorCode = web.CodeNotFound
	ErrMethod      ErrorCode = web.CodeMethod
	ErrLimited     ErrorCode = "limited"
	ErrUnavailable ErrorCode = "unavailable"
	ErrTooLarge    ErrorCode = web.CodeTooLarge
	ErrCrossOrigin ErrorCode = web.CodeCrossOrigin
	ErrInternal    ErrorCode = web.CodeInternal
)

// ErrorView is an error that does not go back to the site by itself.
type ErrorView struct {
	Page
	Site      *Site     // nil if unknown or not to be told
	Code      ErrorCode // one of the codes above
	Detail    string    // for the site's developer, in English; nothing personal; may be empty
	ReturnURL string    // a way back: GET; no link if empty
	RequestID string    // set by Error
}

// Words is the key of the page's words: the code, or the internal error's for a code without own words.
func (m *ErrorView) Words() string {
	switch m.Code {
	case ErrRequest, ErrSite, ErrRedirect, ErrExpired, ErrDone, ErrCode, ErrNotFound, ErrMethod, ErrLimited, ErrUnavailable, ErrTooLarge, ErrCrossOrigin:
		return string(m.Code)
	}
	return string(ErrInternal)
}

// Error shows an error page.
func (v *Views) Error(w http.ResponseWriter, r *http.Request, status int, m ErrorView) {
	m.RequestID = web.RequestID(r.Context())
	render(v, w, r, status, errorPage, &m)
}

// Fail is the web.FailFunc of the pages.
func (v *Views) Fail(w http.ResponseWriter, r *http.Request, status int, code string) {
	v.Error(w, r, status, ErrorView{Code: ErrorCode(code)})
}

// DocumentView shows one document as a page.
type DocumentView struct {
	Page
	ID string // DocTerms, DocPrivacy or DocUniqueID
}

// Document shows a document's text.
func (v *Views) Document(w http.ResponseWriter, r *http.Request, status int, m DocumentView) {
	render(v, w, r, status, documentPage, &m)
}
