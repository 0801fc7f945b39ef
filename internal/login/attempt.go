package login

import (
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
)

// State is where an attempt stands. The citizen's pages follow it: a request that fits another state
// is led to that state's page.
type State string

// The states. Arrows: choosing → proving → verifying → registering → renewing → consenting → done, with failed
// and conflicted beside the way, and selecting before it; every step may be left out.
const (
	Choosing    State = "choosing"    // a method is to be chosen
	Selecting   State = "selecting"   // go on as the person signed in here, or as another (prompt=select_account)
	Proving     State = "proving"     // a request waits on the citizen's phone, or for a signature from the page
	Verifying   State = "verifying"   // one caller is fetching the proof, which is handed out once
	Proved      State = "proved"      // the proof is there, but the stores could not take it further
	Failed      State = "failed"      // the proof failed; a method may be chosen again
	Conflicted  State = "conflicted"  // the proof claims two people
	Registering State = "registering" // proved; the citizen is to register
	Renewing    State = "renewing"    // known; the citizen is to agree to new versions of the broker's texts
	Consenting  State = "consenting"  // known; the citizen is to let the site have the attributes
	Done        State = "done"        // answered
)

// Goal is what an attempt is for.
type Goal string

// The goals.
const (
	ForSite     Goal = ""         // to log in at a relying site
	ForSelf     Goal = "self"     // to manage one's own registration: no site is told
	ForRegister Goal = "register" // to register, or to add a method: no site is told
)

// Attempt is one proof of identity in one browser, as stored in kv.
type Attempt struct {
	ID        string        `json:"id"`
	Goal      Goal          `json:"goal,omitempty"`
	Expect    string        `json:"expect,omitempty"` // person id: nobody else may be proved
	Next      string        `json:"next,omitempty"`   // name of the page of 사용자 관리 to go on to
	Browser   string        `json:"browser"`          // secret.Hash of the browser's secret
	State     State         `json:"state"`
	BusySince time.Time     `json:"busy_since,omitzero"` // a caller is at work on the next state
	Again     bool          `json:"again,omitempty"`     // a caller did not finish; what it may have written is looked for
	Request   grant.Request `json:"request"`
	Asked     []string      `json:"asked"` // claims; grant.Request.Asked
	Address   string        `json:"address"`
	CreatedAt time.Time     `json:"created_at"`
	ExpiresAt time.Time     `json:"expires_at"`

	Proof    *Proof `json:"proof,omitempty"`    // from proving on
	Evidence string `json:"evidence,omitempty"` // authn.Evidence, sealed, while proved or registering
	// Failure says why the state is failed; one of authn's codes or of this package's.
	Failure authn.Code `json:"failure,omitempty"`
	// Tries counts the resident numbers that did not fit.
	Tries int `json:"tries,omitempty"`

	// Person, once known, with the authentication that the site is told of.
	Authentication *session.Authentication `json:"authentication,omitempty"`
	// Joined is the id of the browser's session that is used instead of a proof.
	Joined string `json:"joined,omitempty"`
	// Unseen is the keyed hash of a browser in which the person never logged in before, and Alert says that they
	// are to be told of it.
	Unseen string `json:"unseen,omitempty"`
	Alert  bool   `json:"alert,omitempty"`

	Outcome string `json:"outcome,omitempty"` // Outcome, sealed, when done

	stored string // the text that Load found; empty: the attempt does not come from there
}

// Proof is a request to a counterpart.
type Proof struct {
	Method    method.Method `json:"method"`
	Provider  string        `json:"provider"`
	Nonce     string        `json:"nonce"`
	Private   string        `json:"private,omitempty"` // the adapter's, sealed
	AskedAt   time.Time     `json:"asked_at"`
	ExpiresAt time.Time     `json:"expires_at"`
	PollAfter time.Duration `json:"poll_after,omitempty"` // between two questions, and before the first
	Mode      authn.Mode    `json:"mode,omitempty"`
	Shown     authn.Shown   `json:"shown,omitzero"`
	// Window is where the browser goes, and Reference the hash of what it comes back with.
	Window    *authn.Destination `json:"window,omitempty"`
	Reference string             `json:"reference,omitempty"`
	// ResponseCode is what the browser brought back from a wallet.
	ResponseCode string `json:"response_code,omitempty"`
}

// Outcome is how an attempt ended: a code, or an OAuth error for the site.
type Outcome struct {
	Code    string `json:"code,omitempty"`
	Error   string `json:"error,omitempty"`   // OAuth or OIDC error code
	Session string `json:"session,omitempty"` // handle of the session made, for the browser's cookie
	Self    string `json:"self,omitempty"`    // where no site is told: handle of what was verified
}

// Failures that are the journey's own, beside those of the counterparts.
const (
	Unproved      authn.Code = "failed"            // the counterpart says that the proof failed
	TooManyPushes authn.Code = "too_many_requests" // the cap on requests to one phone
	TooWeak       authn.Code = "too_weak"          // the proof does not reach the level that the site needs
	OtherPerson   authn.Code = "other_person"      // the site asked for somebody else
	TooYoung      authn.Code = "too_young"         // under 14: a guardian would have to agree
	NotRegistered authn.Code = "not_registered"    // with ForSelf: nobody here is who was proved
	Blocked       authn.Code = "blocked"           // the person wants no login by this way
)
