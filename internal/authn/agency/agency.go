// Package agency is identity verification (본인확인) in the window of a licensed agency (본인확인기관): by
// phone or by i-PIN, at NICE, KCB or Danal. The browser goes to the agency's window and comes back; the
// agency tells who that was, with the CI. It verifies an identity; it never logs anybody in.
//
// An Adapter is one method at one agency. What differs between the agencies is a Driver's; what they share
// (the request number, what a result must hold, how it is normalised, what is dropped) is the Adapter's.
// Keys, tickets and the agencies' transaction ids live in Started.Private and nowhere else.
//
// The agencies publish little. What their public documents and clients leave open is configuration, and
// is said where it is decided.
package agency

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// Adapter verifies identities by one method at one agency. It is safe for concurrent use and keeps nothing
// but the agency's access token, in the driver.
type Adapter struct {
	method method.Method
	level  method.Level
	driver Driver
	now    func() time.Time
}

var (
	_ authn.Window  = (*Adapter)(nil)
	_ authn.Checker = (*Adapter)(nil)
)

// Driver speaks an agency's protocol: NewNICE, NewCheckPlus, NewKCB, NewDanal. One driver may serve both
// methods.
type Driver interface {
	agency() authn.Provider
	serves(method.Method) bool
	// begin orders a window. Errors are an *authn.Error.
	begin(context.Context, order) (opening, error)
	// finish fetches and opens the result of what the browser brought back; private is that of the
	// opening. Errors are an *authn.Error.
	finish(ctx context.Context, o order, private []byte, returned url.Values) (result, error)
	check(context.Context) error
}

// order is one verification, as a driver needs it.
type order struct {
	method    method.Method
	number    string // request number: ours, 26 characters of base32, compared with the result's
	returnURL string // empty when it is finished
	now       time.Time
}

// closed marks the return of a citizen who closed the window, in URLs that we hand out.
const closed = "closed"

// closeURL is where the window's close button leads.
func (o order) closeURL() string { return o.returnURL + "?" + closed + "=1" }

// opening is a window that waits for the citizen.
type opening struct {
	window  authn.Destination
	private any           // what finish needs, as JSON
	life    time.Duration // how long the agency waits
}

// windowLife is how long a window waits where the agency does not say: NICE keeps a transaction for ten
// minutes.
const windowLife = 10 * time.Minute

// defaultLevel is the lowest: nothing that the citizen signs covers the attempt.
const defaultLevel = 1

// New returns the adapter of a method at the driver's agency. A level of 0 means 1. now is the clock; nil
// means time.Now.
func New(m method.Method, level method.Level, driver Driver, now func() time.Time) (*Adapter, error) {
	if now == nil {
		now = time.Now
	}
	if level == 0 {
		level = defaultLevel
	}
	switch {
	case driver == nil:
		return nil, errors.New("agency: a driver is needed")
	case m != method.Phone && m != method.IPIN:
		return nil, fmt.Errorf("agency: %q is no method of identity verification in a window", m)
	case !driver.serves(m):
		return nil, fmt.Errorf("agency: %s is not configured to verify by %s", driver.agency().English, m)
	case level < 1 || level > 3:
		return nil, errors.New("agency: the level goes from 1 to 3")
	}
	return &Adapter{m, level, driver, now}, nil
}

// Method implements authn.Authenticator.
func (a *Adapter) Method() method.Method { return a.method }

// Providers implements authn.Authenticator: the one agency.
func (a *Adapter) Providers() []authn.Provider { return []authn.Provider{a.driver.agency()} }

// handle is Started.Private.
type handle struct {
	Agency  string          `json:"a"`
	Number  string          `json:"n"`
	Ends    int64           `json:"e"` // Unix time
	Private json.RawMessage `json:"p"`
}

// numberPattern is what rand.Text makes: 130 random bits.
var numberPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// maxReturnURL is NICE's limit for the address with the mark of a closed window, in bytes; the other
// agencies name none.
const maxReturnURL = 250

// Begin implements authn.Authenticator: it orders a window and says where it is. Nothing that the citizen
// typed is used; the window asks.
func (a *Adapter) Begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error) {
	id := a.driver.agency().ID
	if in.Provider != "" && in.Provider != id {
		return authn.Started{}, refuse(authn.BadRequest, "the agency is not offered")
	}
	o := order{method: a.method, number: rand.Text(), returnURL: at.ReturnURL, now: a.now()}
	if u, err := url.Parse(at.ReturnURL); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(o.closeURL()) > maxReturnURL {
		return authn.Started{}, refuse(authn.BadRequest, "the return URL is out of form")
	}
	if !at.ExpiresAt.IsZero() && !o.now.Before(at.ExpiresAt) {
		return authn.Started{}, &authn.Error{Code: authn.TooLate}
	}
	opened, err := a.driver.begin(ctx, o)
	if err != nil {
		return authn.Started{}, err
	}
	ends := o.now.Add(opened.life)
	if !at.ExpiresAt.IsZero() && at.ExpiresAt.Before(ends) {
		ends = at.ExpiresAt
	}
	private, err := json.Marshal(opened.private)
	if err == nil {
		private, err = json.Marshal(handle{id, o.number, ends.Unix(), private})
	}
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return authn.Started{Private: private, ExpiresAt: ends, Window: &opened.window}, nil
}

// Finish implements authn.Window. An agency hands a result out once, so of concurrent returns only one may
// come here; that is the journey's to ensure. A browser that comes back with nothing, or with the mark of the
// closed window, is a citizen who closed it.
func (a *Adapter) Finish(ctx context.Context, at authn.Attempt, returned url.Values) (authn.Evidence, error) {
	var h handle
	agency := a.driver.agency()
	if json.Unmarshal(at.Private, &h) != nil || h.Agency != agency.ID || !numberPattern.MatchString(h.Number) {
		return authn.Evidence{}, refuse(authn.BadRequest, "the attempt is not one of this adapter's")
	}
	o := order{method: a.method, number: h.Number, now: a.now()}
	switch {
	case o.now.Unix() >= h.Ends:
		return authn.Evidence{}, &authn.Error{Code: authn.TooLate}
	case len(returned) == 0, returned.Has(closed):
		return authn.Evidence{}, &authn.Error{Code: authn.UserCancelled}
	}
	r, err := a.driver.finish(ctx, o, h.Private, returned)
	if err != nil {
		return authn.Evidence{}, err
	}
	if r.number != h.Number {
		return authn.Evidence{}, refuse(authn.BadEvidence, "the result is another request's")
	}
	attributes, err := r.attributes(a.method, o.now)
	if err != nil {
		return authn.Evidence{}, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	return authn.Evidence{
		Method: a.method, Provider: agency.ID, Label: a.method.Korean(),
		Subject: r.ci, CI: r.ci, // what the agency verified is the person, not one phone or one i-PIN
		Attributes: attributes, Level: a.level, AMR: slices.Clone(amr[a.method]), At: o.now.UTC(),
		// What ties the result to the attempt is the agency's word, over TLS or under a key that it shares with
		// us: the citizen signs nothing.
		Binding: authn.Transport, Digest: r.digest,
	}, nil
}

// The authentication method references (RFC 8176 §2). "mca": the answer came from the phone, over its own
// channel; whether it was a text message or the PASS app no result tells, so "sms" is not claimed. "pwd": an
// i-PIN has an ID and a password; of the second factor that the agencies may ask for, no result tells.
var amr = map[method.Method][]string{method.Phone: {"mca"}, method.IPIN: {"pwd"}}

// Check implements authn.Checker.
func (a *Adapter) Check(ctx context.Context) error { return a.driver.check(ctx) }

// refuse makes an error without a cause of somebody else's.
func refuse(code authn.Code, reason string) *authn.Error {
	return &authn.Error{Code: code, Err: errors.New("agency: " + reason)}
}
