package mobileid

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
)

// The protocols.
const (
	protocolMIP = "mip"
	protocolVP  = "openid4vp"
)

// Waiting is a request that waits for somebody's decision.
type Waiting struct {
	ID        string    `json:"id"`
	Phone     string    `json:"phone"`
	Protocol  string    `json:"protocol"`       // "mip" or "openid4vp"
	Asker     string    `json:"asker"`          // who asks, as far as that was verified
	Code      string    `json:"code,omitempty"` // the number to match
	Choices   []Choice  `json:"choices"`        // what could be sent, best first; empty: no ID that fits
	ExpiresAt time.Time `json:"expires_at"`
}

// Choice is one way to answer a request.
type Choice struct {
	Label string   `json:"label"` // the ID, or IDs
	Items []string `json:"items"` // what is sent of it
}

// The results of a request.
const (
	ResultSent    = "sent"    // and taken
	ResultRefused = "refused" // sent, and not taken; or the request could not be read
	ResultDenied  = "denied"  // by the citizen
	ResultLater   = "later"   // not sent yet
)

// Outcome is what came of a decision.
type Outcome struct {
	Result string `json:"result"`
	// RedirectURI is where the browser goes on, if who asks wants that.
	RedirectURI string `json:"redirect_uri,omitempty"`
	Error       string `json:"error,omitempty"` // of a refusal: MIP's number, or OAuth's code
}

// Entry is a line of a wallet's history (사용이력).
type Entry struct {
	ID     string
	At     time.Time
	Asker  string
	Choice Choice // zero if nothing was sent
	Outcome
}

// ErrNotWaiting means that a request is unknown, or no longer waits for the citizen.
var ErrNotWaiting = errors.New("sim/mobileid: no such request waits")

// ErrNoChoice means that what waits cannot be answered in that way.
var ErrNoChoice = errors.New("sim/mobileid: no such choice")

const (
	maxWaiting  = 20 // on one phone
	maxHistory  = 50
	requestLife = 5 * time.Minute
	sendTimeout = 30 * time.Second
)

// request is what somebody asks of a wallet.
type request struct {
	Waiting
	wallet *wallet
	job    job
}

// job is what answers a request in its protocol.
type job interface {
	// present sends what was chosen.
	present(ctx context.Context, choice int) Outcome
	// deny tells that the citizen does not want to.
	deny(ctx context.Context) Outcome
	// again sends the last presentation a second time.
	again(ctx context.Context)
}

// asked is a request that was read and verified, before it waits.
type asked struct {
	protocol, asker, code string
	choices               []Choice
	expires               time.Time // zero: by the wallet's own rule
	job                   job
}

// A refusal is why a wallet takes no request: MIP's number or OAuth's code, and words for a developer.
type refusal struct{ code, text string }

func (r *refusal) Error() string { return "sim/mobileid: " + r.code + ": " + r.text }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// Scan has somebody's wallet read a QR code's text, or open a link, and tells what waits then.
func (s *Simulator) Scan(ctx context.Context, phone, text string) (Waiting, error) {
	w := s.byPhone[phone]
	if w == nil {
		return Waiting{}, errors.New("sim/mobileid: nobody has a wallet at that number")
	}
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, s.url+"/open?link="); ok {
		if link, err := url.QueryUnescape(inner); err == nil {
			text = link
		}
	}
	scheme, _, _ := strings.Cut(text, ":")
	var a *asked
	var err error
	switch strings.ToLower(scheme) {
	case "openid4vp", "haip-vp", "http", "https":
		a, err = s.askVP(ctx, w, text)
	default:
		a, err = s.askMIP(ctx, w, text)
	}
	if err != nil {
		return Waiting{}, err
	}
	return s.wait(ctx, w, a)
}

// wait puts a request before the citizen.
func (s *Simulator) wait(ctx context.Context, w *wallet, a *asked) (Waiting, error) {
	now := s.now()
	req := &request{wallet: w, job: a.job, Waiting: Waiting{
		ID: strings.ToLower(rand.Text()[:12]), Phone: w.person.Phone, Protocol: a.protocol, Asker: a.asker, Code: a.code,
		Choices: a.choices, ExpiresAt: now.Add(requestLife),
	}}
	if !a.expires.IsZero() && a.expires.Before(req.ExpiresAt) {
		req.ExpiresAt = a.expires
	}
	s.mu.Lock()
	here := 0
	for id, other := range s.requests {
		if !now.Before(other.ExpiresAt) {
			delete(s.requests, id)
		} else if other.wallet == w {
			here++
		}
	}
	if here < maxWaiting {
		s.requests[req.ID] = req
	}
	auto := s.auto
	s.mu.Unlock()
	if here >= maxWaiting {
		return Waiting{}, refuse("99999", "too many requests wait on this phone")
	}
	if auto && len(req.Choices) > 0 {
		_, err := s.Approve(ctx, req.ID, 0)
		return req.Waiting, err
	}
	return req.Waiting, nil
}

// Waiting lists what waits on the phone with that number, latest to expire last; on all phones if it is empty.
func (s *Simulator) Waiting(phone string) []Waiting {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Waiting{}
	for _, req := range s.requests {
		if (phone == "" || req.Phone == phone) && now.Before(req.ExpiresAt) {
			list = append(list, req.Waiting)
		}
	}
	slices.SortFunc(list, func(a, b Waiting) int {
		if n := a.ExpiresAt.Compare(b.ExpiresAt); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// History lists what a wallet was used for, newest first.
func (s *Simulator) History(phone string) []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Entry{}
	if w := s.byPhone[phone]; w != nil {
		for _, e := range w.history {
			list = append(list, *e)
		}
	}
	return list
}

// take takes a request away; only the first caller gets it. A choice that the request does not have leaves
// it where it is.
func (s *Simulator) take(id string, choice int) (*request, error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	req := s.requests[id]
	switch {
	case req == nil || !now.Before(req.ExpiresAt):
		return nil, ErrNotWaiting
	case choice >= len(req.Choices):
		return nil, ErrNoChoice
	}
	delete(s.requests, id)
	return req, nil
}

// Approve sends what waits under the id, with one of its choices. It returns ErrNotWaiting if nothing does, and
// ErrNoChoice.
func (s *Simulator) Approve(ctx context.Context, id string, choice int) (Outcome, error) {
	if choice < 0 {
		return Outcome{}, ErrNoChoice
	}
	req, err := s.take(id, choice)
	if err != nil {
		return Outcome{}, err
	}
	entry := s.record(req, req.Choices[choice], Outcome{Result: ResultLater})
	if _, struck := s.strike(req.wallet, FaultCancel, req.Protocol); struck {
		return s.finish(entry, s.send(ctx, req.job.deny)), nil
	}
	present := func(ctx context.Context) Outcome {
		out := s.send(ctx, func(ctx context.Context) Outcome { return req.job.present(ctx, choice) })
		if _, struck := s.strike(req.wallet, FaultTwice, req.Protocol); struck {
			req.job.again(ctx)
		}
		return s.finish(entry, out)
	}
	if on, struck := s.strike(req.wallet, FaultLate, req.Protocol); struck {
		time.AfterFunc(on.Delay(usualLateness), func() { present(context.WithoutCancel(ctx)) })
		return Outcome{Result: ResultLater}, nil
	}
	return present(ctx), nil
}

// Deny refuses what waits under the id. It returns ErrNotWaiting if nothing does.
func (s *Simulator) Deny(ctx context.Context, id string) (Outcome, error) {
	req, err := s.take(id, -1)
	if err != nil {
		return Outcome{}, err
	}
	entry := s.record(req, Choice{}, Outcome{Result: ResultLater})
	return s.finish(entry, s.send(ctx, req.job.deny)), nil
}

// send bounds how long a decision takes. Who closes the page changes nothing about it.
func (s *Simulator) send(ctx context.Context, do func(ctx context.Context) Outcome) Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	return do(ctx)
}

// record puts a request into its wallet's history.
func (s *Simulator) record(req *request, choice Choice, o Outcome) *Entry {
	entry := &Entry{ID: req.ID, At: s.now(), Asker: req.Asker, Choice: choice, Outcome: o}
	s.mu.Lock()
	defer s.mu.Unlock()
	req.wallet.history = slices.Insert(req.wallet.history, 0, entry)
	req.wallet.history = req.wallet.history[:min(len(req.wallet.history), maxHistory)]
	return entry
}

func (s *Simulator) finish(entry *Entry, o Outcome) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Outcome = o
	return o
}

// strike asks whether a fault hits what a wallet does.
func (s *Simulator) strike(w *wallet, fault string, keys ...string) (on sim.Switch, struck bool) {
	return s.faults.Strike(fault, append(keys, w.person.Phone)...)
}

// replayed gives what the wallet presented last in the protocol, and remembers what it presents now.
func (s *Simulator) replayed(w *wallet, protocol string, now sealed) sealed {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, there := w.last[protocol]
	w.last[protocol] = now
	if !there {
		return now
	}
	return before
}
