// Package authn is the contract between the login journey and the ways a citizen can prove who they
// are. An adapter lives in a package of its own below this one (simple, mobileid, …), speaks its
// counterpart's real protocol, and holds no state between calls: what it must remember it returns as
// Started.Private, which the journey seals, stores and hands back.
//
// The rules that every adapter shares (one winner per answer, binding to the browser, caps on pushes,
// what is stored when) are the journey's, in package login, and are tested there once.
package authn

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/anyid/anyid/internal/method"
)

// Authenticator is one way of proving identity.
type Authenticator interface {
	// Method says which method this is; one adapter is registered per method.
	Method() method.Method
	// Providers lists who can be asked, in the order of the page; an adapter with one counterpart
	// returns one provider.
	Providers() []Provider
	// Begin asks the counterpart to prove the person described by in. It sends at most one request
	// to the citizen's phone. Errors are an *Error.
	Begin(ctx context.Context, a Attempt, in Input) (Started, error)
}

// Poller is an Authenticator whose counterpart is asked for the answer.
type Poller interface {
	Authenticator
	// Status asks how far the citizen is. It is cheap and may be called any number of times. An
	// answer of Approved is not a proof yet. Errors are an *Error.
	Status(ctx context.Context, a Attempt) (Progress, error)
	// Complete fetches the proof after Approved and verifies it. Counterparts hand it out once, so
	// the journey calls this from one winner only and stores the Evidence at once. Errors are an
	// *Error; Indeterminate means that the proof may have been handed out and lost.
	Complete(ctx context.Context, a Attempt) (Evidence, error)
}

// Window is an Authenticator whose counterpart asks the citizen in a window of its own (본인확인 표준창): the
// browser goes there, and comes back to Attempt.ReturnURL. Begin says where it goes in Started.Window.
type Window interface {
	Authenticator
	// Finish fetches and verifies the result of what the browser brought back. Counterparts hand it out once,
	// so the journey calls this from one winner only. Errors are an *Error; UserCancelled says that the
	// citizen closed the window.
	Finish(ctx context.Context, a Attempt, returned url.Values) (Evidence, error)
}

// Destination is where a browser is sent.
type Destination struct {
	URL    string     `json:"url"`
	Fields url.Values `json:"fields,omitempty"` // sent there by POST; nil: GET
}

// Receiver is an Authenticator whose counterparts call the broker: a wallet that fetches what it is asked
// for and brings the answer. What they call decides nothing by itself; the journey learns of it by Status
// and Complete, as if the adapter had asked.
type Receiver interface {
	Poller
	// Modes lists how the provider's wallets can be reached.
	Modes(provider string) []Mode
	// Serve puts the counterparts' endpoints on the mux.
	Serve(mux *http.ServeMux)
	// Returned finds the attempt whose wallet sent the browser back with this response code, once:
	// fault.NotFound for every other code. The caller checks that the attempt is this browser's.
	Returned(ctx context.Context, responseCode string) (attempt string, err error)
}

// Signer is an Authenticator whose proof the citizen makes in the browser: a signature, with a key that
// never leaves it or that lies at a cloud signer. Begin sends nothing; it makes the challenge.
type Signer interface {
	Authenticator
	// Request is what the browser is to sign, as the page needs it.
	Request(a Attempt) (SignRequest, error)
	// Verify verifies the answer: signature, challenge, chain, kind of certificate, revocation. The
	// Evidence names the credential and what the certificate says of its holder; it has no CI. Errors are
	// an *Error.
	Verify(ctx context.Context, a Attempt, answer Answer) (Evidence, error)
	// Identify asks the certificate's issuer who its holder is, and adds that to the verified Evidence: CI,
	// name, birth date. The journey calls it for a credential that nobody here has. Where no issuer can be
	// asked the Evidence comes back without a CI. Errors are an *Error.
	Identify(ctx context.Context, a Attempt, answer Answer, e Evidence) (Evidence, error)
}

// NumberChecker is a Signer that ties a certificate to its holder by the resident registration number.
type NumberChecker interface {
	Signer
	// CheckNumber verifies that the number is that of the certificate's holder, and adds to the Evidence
	// what follows from it: birth date, gender, nationality, and the CI where it has none yet.
	// Errors are an *Error; NumberMismatch says that it is not, or that it is no number.
	CheckNumber(ctx context.Context, e Evidence, number ResidentNumber) (Evidence, error)
}

// SignRequest is what a page asks the citizen's signer for. Which fields are set follows from the method.
type SignRequest struct {
	Content   string   // the text to sign: one line, UTF-8
	UCPID     string   // UCPIDRequestInfo in DER, base64url, to be signed as well; empty: not asked for
	Agreement string   // what the citizen agrees to by that second signature, to be shown
	Policies  []string // certificate policies that are taken, dotted
	Recipient string   // certificate in DER, base64, to which R is encrypted (VIDMsg); empty: R is not asked for
	Cloud     *Cloud   // the cloud signer; nil: the key lies in a file of the citizen's
}

// Cloud is how the page reaches a cloud signer (FinCert.Sdk).
type Cloud struct {
	Script  string   // URL of its script; its origin serves the signer's frame too
	Origins []string // further origins from which the script loads its parts
	OrgCode string
	APIKey  string
	Format  string // "CMS" or "PKCS1"
	Site    string // ispUrlInfo of the UCPID request: our host
	Nonce   string // ucpidNonce, hex
}

// Answer is what the browser brings back, each as it was sent: hex, base64 or base64url.
type Answer struct {
	Signed      string // CMS SignedData, or a bare signature (PKCS #1) beside a Certificate
	UCPID       string // CMS SignedData over the UCPIDRequestInfo; empty where none was asked for
	Certificate string // the signer's, with a bare signature only
}

// ResidentNumber is a resident (or foreigner's) registration number as typed, and what proves whose it
// is. It lives in memory for one call, and the caller wipes Digits.
type ResidentNumber struct {
	Digits  []byte // 13 digits
	Message string // VIDMsg: R, encrypted to us by the citizen's browser; hex
}

// Provider is a counterpart that the citizen chooses by name, such as Kakao.
type Provider struct {
	ID      string // stable, lower case: "kakao"
	Korean  string // "카카오"
	English string // "Kakao"
}

// Attempt is what an adapter may know of the login it serves.
type Attempt struct {
	ID       string // the journey's id: unguessable, never shown to a counterpart
	Nonce    string // 128 random bits as 32 hex digits: what the citizen's signature must cover
	SiteName string // the relying site's name in the citizen's language, for the phone's message
	Locale   string // "ko" or "en"
	Provider string // the provider chosen at Begin
	Site     string // the relying site's client id
	// Certificates are the kinds that the site takes; empty: what the deployment takes.
	Certificates []method.CertificateKind
	// ReturnURL is where a window sends the browser back to; for Begin of a Window only. It carries a
	// reference of its own, of 128 random bits, and no query.
	ReturnURL string
	// ResponseCode is what the browser brought back from a wallet on the same device; else empty.
	ResponseCode string
	Private      []byte    // Started.Private, as returned by Begin; nil before
	ExpiresAt    time.Time // after this the proof comes too late
}

// Input is what the citizen typed: an address to send to, never an identity. It is not stored.
type Input struct {
	Provider  string
	Name      string // as typed, NFC, 1 to 50 characters
	BirthDate string // YYYY-MM-DD
	Phone     string // digits only, 010…
	Mode      Mode   // how the phone is reached, where the method knows several ways
}

// Mode is a way to reach the citizen's phone.
type Mode string

// The modes: a message to the phone, a QR code that it scans, or an app on the device that shows the page.
const (
	Push Mode = "push"
	QR   Mode = "qr"
	App  Mode = "app"
)

// Started is a request on its way to the citizen.
type Started struct {
	Private   []byte        // the adapter's handle: receipt ids and session secrets; sealed by the journey
	ExpiresAt time.Time     // when the counterpart gives up
	PollAfter time.Duration // how long to wait before the first Status, and between two
	Shown     Shown         // what the page shows meanwhile
	Window    *Destination  // where the browser is sent; nil: it stays
}

// Shown is what the waiting page shows so that the citizen's phone can answer. It is no secret of the
// browser's: who photographs it can answer in the citizen's stead, but learns nothing.
type Shown struct {
	QR   string `json:"qr,omitempty"`   // content of the QR code
	Link string `json:"link,omitempty"` // opens the app on this device
	Code string `json:"code,omitempty"` // digits that phone and page both show, to be compared
}

// State is how far the citizen is with a request.
type State string

// The states. Approved is the counterpart's word only; Complete brings the proof.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Rejected State = "rejected"
	Expired  State = "expired"
	Failed   State = "failed"
)

// Progress is the answer to a Status call.
type Progress struct {
	State State
}

// Evidence is a verified proof: who came, by which method, how strongly, and what was signed.
type Evidence struct {
	Method   method.Method `json:"method"`
	Provider string        `json:"provider"` // Provider.ID
	Label    string        `json:"label"`    // as the citizen knows it: "카카오 인증"
	// Subject identifies the credential's holder within Method: equal for every proof by the same
	// person with the same kind of credential. It is personal; stores keep only its keyed hash.
	Subject string `json:"subject"`
	// CI is the 88 character linking information (연계정보), or empty where the method has none.
	CI         string       `json:"ci"`
	Attributes Attributes   `json:"attributes"`
	Level      method.Level `json:"level"` // what this proof reached; capped when Binding is Transport
	AMR        []string     `json:"amr"`   // RFC 8176 values
	At         time.Time    `json:"at"`    // when the counterpart completed it
	Binding    Binding      `json:"binding"`
	Digest     string       `json:"digest"` // SHA-256 of the signed evidence, hex

	// Number says that the holder is to be tied to the certificate by a resident number at registration
	// (NumberChecker). VIDDigest is what it is checked against: SHA-256, hex, of the certificate's VID.
	Number    bool   `json:"number,omitempty"`
	VIDDigest string `json:"vid_digest,omitempty"`

	// StatusOverdue is for how long the answer about the certificate's revocation should have been replaced
	// when it was used: more than zero only within the grace that the deployment allows, at a lower Level.
	StatusOverdue time.Duration `json:"status_overdue,omitempty"`
}

// Binding says what ties the proof to this attempt.
type Binding string

// A proof is bound by the signed nonce, or only by the channel over which it was fetched.
const (
	Signed    Binding = "signed"
	Transport Binding = "transport"
)

// Attributes are the verified facts about the person, normalised.
type Attributes struct {
	Name        string `json:"name"`                  // NFC
	BirthDate   string `json:"birth_date"`            // YYYY-MM-DD
	Gender      string `json:"gender,omitempty"`      // "male" or "female"
	Nationality string `json:"nationality,omitempty"` // "domestic" or "foreign"
	Phone       string `json:"phone,omitempty"`       // E.164
	Email       string `json:"email,omitempty"`
}

// Code is the neutral taxonomy of what can go wrong with a proof; each has one text for the citizen.
type Code string

// The codes, common to all counterparts.
const (
	UserCancelled  Code = "user_cancelled"  // the citizen refused on the phone
	TooLate        Code = "expired"         // nobody answered in time
	NotReady       Code = "not_ready"       // not answered yet
	NoCredential   Code = "no_credential"   // the citizen has no such certificate, ID or account
	PersonMismatch Code = "person_mismatch" // what was typed is not who the counterpart knows
	AlreadyUsed    Code = "already_used"    // the proof was handed out before
	BadEvidence    Code = "bad_evidence"    // the proof does not verify: alert
	ProviderAuth   Code = "provider_auth"   // the counterpart refuses our credentials: alert
	ProviderDown   Code = "provider_down"   // unreachable, slow, or broken
	BadRequest     Code = "bad_request"     // the counterpart refuses what we sent: our bug, alert
	Indeterminate  Code = "indeterminate"   // the answer was lost after a one-shot fetch: start again
)

// The codes of certificates.
const (
	CertificateExpired   Code = "certificate_expired"
	CertificateNotYet    Code = "certificate_not_yet_valid"
	CertificateRevoked   Code = "certificate_revoked"
	CertificateHeld      Code = "certificate_held"           // 효력정지
	CertificateRefused   Code = "certificate_not_accepted"   // of a kind that is not taken here
	CertificateUntrusted Code = "certificate_untrusted"      // no chain to a configured authority
	StatusUnknown        Code = "certificate_status_unknown" // nobody says reliably whether it is revoked
	WrongChallenge       Code = "wrong_challenge"            // a signature of something else than was asked for: alert
	NumberMismatch       Code = "number_mismatch"            // the resident number is not that of the certificate's holder
)

// Error is an adapter's failure: a neutral code, the counterpart's own code for the log, and a
// cause. None of them carries personal data.
type Error struct {
	Code     Code
	Provider string // the counterpart's own code, such as "-46300016"; may be empty
	Err      error  // may be nil
}

// Error implements error.
func (e *Error) Error() string {
	s := "authn: " + string(e.Code)
	if e.Provider != "" {
		s += " (" + e.Provider + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Checker is an Authenticator that can tell whether its counterpart answers and takes our credentials,
// without asking any citizen. Errors are an *Error.
type Checker interface {
	Check(ctx context.Context) error
}

// Namer is an Authenticator whose evidence names providers that Providers does not list.
type Namer interface {
	// Provider returns the provider of that id.
	Provider(id string) (p Provider, ok bool)
}

// Korea is the zone of Korea's days, and of the times of counterparts that name none.
var Korea = time.FixedZone("KST", 9*60*60)
