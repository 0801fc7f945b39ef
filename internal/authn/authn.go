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

// Provider is a counterpart that the citizen chooses by name, such as Kakao.
type Provider struct {
	ID      string // stable, lower case: "kakao"
	Korean  string // "카카오"
	English string // "Kakao"
}

// Attempt is what an adapter may know of the login it serves.
type Attempt struct {
	ID        string    // the journey's id: unguessable, never shown to a counterpart
	Nonce     string    // 128 random bits as 32 hex digits: what the citizen's signature must cover
	SiteName  string    // the relying site's name in the citizen's language, for the phone's message
	Locale    string    // "ko" or "en"
	Provider  string    // the provider chosen at Begin
	Private   []byte    // Started.Private, as returned by Begin; nil before
	ExpiresAt time.Time // after this the proof comes too late
}

// Input is what the citizen typed: an address to send to, never an identity. It is not stored.
type Input struct {
	Provider  string
	Name      string // as typed, NFC, 1 to 50 characters
	BirthDate string // YYYY-MM-DD
	Phone     string // digits only, 010…
}

// Started is a request on its way to the citizen.
type Started struct {
	Private   []byte        // the adapter's handle: receipt ids and session secrets; sealed by the journey
	ExpiresAt time.Time     // when the counterpart gives up
	PollAfter time.Duration // how long to wait before the first Status, and between two
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
