package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
)

var (
	kim = someone("01000000001") // new, unless a test says otherwise
	lee = someone("01000000002")
)

// sessionOf logs the citizen in at the plain site and returns the session's handle.
func (b *broker) sessionOf(t *testing.T, who citizen) string {
	t.Helper()
	b.with[method.Simple].proves(who)
	_, o := b.login(t, asks(sitePlain), method.Simple, who, ordinary)
	return o.Session
}

// joined begins an attempt that the browser's session answers but for a page.
func (b *broker) joined(t *testing.T, handle string, r grant.Request, selects bool) *Attempt {
	t.Helper()
	s, err := b.Sessions.Find(t.Context(), handle)
	check(t, err)
	return b.begin(t, r, func(start *Start) { start.Session, start.SelectAccount = s, selects })
}

// in leads a new attempt at site-a to each state, as citizens and outages do.
var in = map[State]func(t *testing.T, b *broker) *Attempt{
	Choosing: func(t *testing.T, b *broker) *Attempt { return b.begin(t, asks(siteA)) },
	Selecting: func(t *testing.T, b *broker) *Attempt {
		return b.joined(t, b.sessionOf(t, kim), asks(siteA), true)
	},
	Proving: func(t *testing.T, b *broker) *Attempt {
		return b.proving(t, b.begin(t, asks(siteA)), method.Simple, kim)
	},
	Verifying: func(t *testing.T, b *broker) *Attempt {
		a := b.proving(t, b.begin(t, asks(siteA)), method.Simple, kim)
		b.store(t, a, func(a *Attempt) { a.State, a.BusySince = Verifying, b.clock.Now().Add(-Lease) })
		return a
	},
	Proved: func(t *testing.T, b *broker) *Attempt {
		a := b.proving(t, b.begin(t, asks(siteA)), method.Simple, kim)
		b.with[method.Simple].answer(authn.Approved)
		b.down.set("people")
		_, _, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
		wantErr(t, err, errAway)
		b.down.set()
		return b.stored(t, a.ID)
	},
	Failed: func(t *testing.T, b *broker) *Attempt {
		a := b.proving(t, b.begin(t, asks(siteA)), method.Simple, kim)
		b.with[method.Simple].answer(authn.Rejected)
		_, a, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
		check(t, err)
		return a
	},
	Conflicted: func(t *testing.T, b *broker) *Attempt {
		b.with[method.Simple].proves(lee)
		b.login(t, asks(sitePlain), method.Simple, lee, ordinary)
		b.with[method.Simple].proves(kim, func(e *authn.Evidence) { e.Subject = "simple of " + lee.ci })
		a := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
		b.with[method.Simple].proves(kim)
		return a
	},
	Registering: func(t *testing.T, b *broker) *Attempt {
		return b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
	},
	Consenting: func(t *testing.T, b *broker) *Attempt {
		a := b.prove(t, b.begin(t, asks(siteA)), method.Simple, kim, ordinary)
		a, err := b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
		check(t, err)
		return a
	},
	Done: func(t *testing.T, b *broker) *Attempt {
		a, _ := b.login(t, asks(siteA), method.Simple, kim, ordinary)
		return a
	},
}

// operations are everything that a browser can do to an attempt.
var operations = map[string]func(ctx context.Context, b *broker, id, browser string) (*Attempt, error){
	"prove": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Prove(ctx, id, browser, method.Simple, input(kim), true, "ko")
	},
	"complete": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		_, a, err := b.Complete(ctx, id, browser, ordinary)
		return a, err
	},
	"sign": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Sign(ctx, id, browser, authn.Answer{Signed: "00"}, ordinary)
	},
	"return": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Return(ctx, id, browser, "code")
	},
	"choose": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Choose(ctx, id, browser)
	},
	"decline": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Decline(ctx, id, browser, "access_denied")
	},
	"register": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Register(ctx, id, browser, agreed, noNumber, ordinary)
	},
	"select": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Select(ctx, id, browser, ordinary)
	},
	"consent": func(ctx context.Context, b *broker, id, browser string) (*Attempt, error) {
		return b.Consent(ctx, id, browser, nil, ordinary)
	},
}

// moves are the arrows of the state machine: state, operation, next state. What is not here changes nothing.
// A fetch whose caller died counts as failed, so whatever leaves Failed leaves Verifying.
var moves = map[State]map[string]State{
	Choosing:    {"prove": Proving, "choose": Choosing, "decline": Done},
	Selecting:   {"select": Consenting, "choose": Choosing, "decline": Done},
	Proving:     {"return": Proving, "choose": Choosing, "decline": Done}, // complete: pending
	Verifying:   {"prove": Proving, "choose": Choosing, "decline": Done, "complete": Failed, "sign": Failed, "return": Failed, "register": Failed, "select": Failed, "consent": Failed},
	Proved:      {"complete": Registering, "choose": Choosing, "decline": Done},
	Failed:      {"prove": Proving, "choose": Choosing, "decline": Done},
	Conflicted:  {"prove": Proving, "choose": Choosing, "decline": Done},
	Registering: {"register": Consenting, "choose": Choosing, "decline": Done},
	Consenting:  {"consent": Done, "decline": Done},
	Done:        {},
}

// TestEveryStateAndOperation walks every pair.
func TestEveryStateAndOperation(t *testing.T) {
	t.Parallel()
	for state, lead := range in {
		for name, operation := range operations {
			t.Run(fmt.Sprintf("%s/%s", state, name), func(t *testing.T) {
				t.Parallel()
				b := onSQLite(t)
				b.with[method.Simple].proves(kim)
				a := lead(t, b)
				want(t, a, state)
				_, before, err := b.load(t.Context(), a.ID, browserA)
				check(t, err)

				if _, err := operation(t.Context(), b, a.ID, browserB); !errors.Is(err, ErrOtherBrowser) {
					t.Errorf("another browser: %v, want ErrOtherBrowser", err)
				}
				if _, err := operation(t.Context(), b, a.ID, ""); !errors.Is(err, ErrOtherBrowser) {
					t.Errorf("a browser without secret: %v, want ErrOtherBrowser", err)
				}
				if _, err := operation(t.Context(), b, "unknown", browserA); !errors.Is(err, ErrGone) {
					t.Errorf("unknown attempt: %v, want ErrGone", err)
				}
				if _, now, err := b.load(t.Context(), a.ID, browserA); err != nil || now != before {
					t.Fatalf("another browser changed the attempt (%v): %s", err, now)
				}

				shown, err := operation(t.Context(), b, a.ID, browserA)
				_, after, loadErr := b.load(t.Context(), a.ID, browserA)
				check(t, loadErr)
				next, moves := moves[state][name]
				switch {
				case moves:
					want(t, shown, next)
					want(t, b.stored(t, a.ID), next)
					if err != nil && !(next == Failed && errors.Is(err, ErrMoved)) {
						t.Errorf("error %v", err)
					}
				case after != before:
					t.Errorf("the attempt changed to %s", after)
				case state == Proving && name == "complete":
					check(t, err)
				case !errors.Is(err, ErrMoved):
					t.Errorf("error %v, want ErrMoved", err)
				default:
					want(t, shown, state)
				}
				if next != state && !b.stored(t, a.ID).BusySince.IsZero() {
					t.Error("the attempt is left claimed")
				}
			})
		}
		t.Run(fmt.Sprintf("%s/expired", state), func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := lead(t, b)
			if left := a.ExpiresAt.Sub(b.clock.Now()); left <= 0 || left > b.Limits.Attempt {
				t.Errorf("%s remain", left)
			}
			b.store(t, a, func(a *Attempt) { a.ExpiresAt = b.clock.Now() }) // the value itself lives on
			for name, operation := range operations {
				if _, err := operation(t.Context(), b, a.ID, browserA); !errors.Is(err, ErrGone) {
					t.Errorf("%s: %v, want ErrGone", name, err)
				}
			}
		})
	}
}

// TestReturn: what a wallet sends back with the browser reaches its adapter, and what is to be scanned
// stays with the attempt.
func TestReturn(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	a := b.begin(t, asks(siteA))
	a, err := b.Prove(t.Context(), a.ID, browserA, method.MobileID, authn.Input{Provider: "kakao", Mode: authn.QR}, true, "ko")
	check(t, err)
	want(t, a, Proving)
	a = b.stored(t, a.ID)
	if a.Proof.Mode != authn.QR || a.Proof.Shown.QR != "scan qr" {
		t.Errorf("shown %+v", a.Proof)
	}
	_, err = b.Return(t.Context(), a.ID, browserA, "response code")
	check(t, err)
	_, _, err = b.Complete(t.Context(), a.ID, browserA, ordinary)
	check(t, err)
	if got := b.with[method.MobileID].returned.Load(); got != "response code" {
		t.Errorf("the adapter is told %q", got)
	}
}

// TestExpires: an attempt ends with its time, whatever happened to it in between.
func TestExpires(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	a := b.begin(t, asks(siteA))
	b.clock.Advance(b.Limits.Attempt - time.Second)
	a, err := b.Choose(t.Context(), a.ID, browserA) // writes it anew
	check(t, err)
	b.clock.Advance(time.Second)
	_, err = b.Load(t.Context(), a.ID, browserA)
	wantErr(t, err, ErrGone)
}

// TestTakenOver: a caller that died in any step leaves its mark behind. Until the Lease is over the attempt
// is busy, then the next caller goes on.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	for state, next := range map[State]string{
		Choosing: "prove", Selecting: "select", Proving: "choose", Proved: "complete", Failed: "prove",
		Conflicted: "prove", Registering: "register", Consenting: "consent",
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := in[state](t, b)
			b.store(t, a, func(a *Attempt) { a.BusySince = b.clock.Now() })
			b.clock.Advance(Lease - time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 4*pause)
			defer cancel()
			_, err := operations[next](ctx, b, a.ID, browserA)
			wantErr(t, err, context.DeadlineExceeded)
			b.clock.Advance(time.Millisecond)
			shown, err := operations[next](t.Context(), b, a.ID, browserA)
			check(t, err)
			want(t, shown, moves[state][next])
		})
	}
}

// TestBusy: a second click does not wait for ever.
func TestBusy(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	a := b.begin(t, asks(siteA))
	b.store(t, a, func(a *Attempt) { a.BusySince = b.clock.Now() })
	shown, err := b.Decline(t.Context(), a.ID, browserA, "access_denied")
	wantErr(t, err, ErrBusy)
	want(t, shown, Choosing)
}

// TestWaitsForTheOther: while another caller is at work a second click waits, and gets the first one's
// outcome.
func TestWaitsForTheOther(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := b.begin(t, asks(siteA))
	phone.holdBegin = make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := b.Prove(context.WithoutCancel(t.Context()), a.ID, browserA, method.Simple, input(kim), true, "ko")
		first <- err
	}()
	for phone.begun.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Choose(ctx, a.ID, browserA); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that gives up: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { close(phone.holdBegin) })
	shown, err := b.Prove(t.Context(), a.ID, browserA, method.Simple, input(kim), true, "ko")
	wantErr(t, err, ErrMoved)
	want(t, shown, Proving)
	check(t, <-first)
	if n := phone.begun.Load(); n != 1 {
		t.Errorf("%d requests went to the phone", n)
	}
}

// TestDoubleClick: the browser drops the first request when its citizen clicks again. The first click's
// work goes on, and the phone is asked once.
func TestDoubleClick(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := b.begin(t, asks(siteA))
	phone.holdBegin = make(chan struct{})
	ctx, drop := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := b.Prove(ctx, a.ID, browserA, method.Simple, input(kim), true, "ko")
		first <- err
	}()
	for phone.begun.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	drop()
	time.AfterFunc(30*time.Millisecond, func() { close(phone.holdBegin) })
	shown, err := b.Prove(t.Context(), a.ID, browserA, method.Simple, input(kim), true, "ko")
	wantErr(t, err, ErrMoved)
	want(t, shown, Proving)
	check(t, <-first)
	if n := phone.begun.Load(); n != 1 {
		t.Errorf("%d requests went to the phone", n)
	}
}

// TestDeadFetch: when the caller that fetched the proof died, nobody fetches blindly again: the attempt
// has failed, on record, and another proof may be asked for.
func TestDeadFetch(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := in[Verifying](t, b)
	phone.answer(authn.Approved)
	if !b.Peek(t.Context(), a) {
		t.Error("the waiting page does not learn that the fetch died")
	}
	b.down.set("audit")
	_, _, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
	wantErr(t, err, errAway)
	want(t, b.stored(t, a.ID), Verifying) // no event, no change
	b.down.set()
	_, shown, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
	wantErr(t, err, ErrMoved)
	want(t, shown, Failed)
	if shown.Failure != authn.Indeterminate {
		t.Errorf("failure %q, want %q", shown.Failure, authn.Indeterminate)
	}
	failed := b.events(t, audit.LoginFailed)
	if len(failed) != 1 || failed[0].Detail["code"] != string(authn.Indeterminate) || failed[0].Detail["method"] != "simple" {
		t.Errorf("events %+v", failed)
	}
	if n := phone.fetched.Load(); n != 0 {
		t.Errorf("the proof was fetched %d times", n)
	}
}

// TestLateAnswer: a fetch that outlives its Lease has lost the attempt; its proof goes nowhere.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := in[Proving](t, b)
	phone.answer(authn.Approved)
	phone.holdFetch = make(chan struct{})
	type result struct {
		a   *Attempt
		err error
	}
	first := make(chan result, 1)
	go func() {
		_, a, err := b.Complete(context.WithoutCancel(t.Context()), a.ID, browserA, ordinary)
		first <- result{a, err}
	}()
	for phone.fetched.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	if b.Peek(t.Context(), b.stored(t, a.ID)) {
		t.Error("the waiting page goes on while the proof is fetched")
	}
	b.clock.Advance(Lease)
	shown, err := b.Choose(t.Context(), a.ID, browserA)
	check(t, err)
	want(t, shown, Choosing)
	close(phone.holdFetch)
	late := <-first
	wantErr(t, late.err, ErrMoved)
	want(t, late.a, Choosing)
	b.count(t, audit.PersonRegistered, 0)
}

// TestLapsedClaimOnProving: a claim that was left behind does not hide the phone's answer, and does not
// stand for it.
func TestLapsedClaimOnProving(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := in[Proving](t, b)
	b.store(t, a, func(a *Attempt) { a.BusySince = b.clock.Now() })
	b.clock.Advance(Lease)
	ready, shown, err := b.Complete(t.Context(), a.ID, browserA, ordinary) // the phone has not answered
	check(t, err)
	want(t, shown, Proving)
	if ready || phone.fetched.Load() != 0 {
		t.Error("the proof was fetched before the phone answered")
	}
	if b.Peek(t.Context(), shown) {
		t.Error("something is new before the phone answered")
	}
	phone.answer(authn.Approved)
	if !b.Peek(t.Context(), shown) {
		t.Error("the waiting page does not see the answer")
	}
	_, shown, err = b.Complete(t.Context(), a.ID, browserA, ordinary)
	check(t, err)
	want(t, shown, Registering)
}

// TestOtherRequestMeanwhile: an approval counts for the request that it was given to.
func TestOtherRequestMeanwhile(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := in[Proving](t, b)
	phone.answer(authn.Approved)
	asked := a.Proof.Nonce
	_, err := b.Choose(t.Context(), a.ID, browserA)
	check(t, err)
	b.proving(t, a, method.Simple, kim)
	c, err := b.claim(t.Context(), a.ID, browserA, nil, Proving)
	check(t, err)
	ready, err := b.answered(t.Context(), c, asked, authn.Approved, ordinary)
	check(t, err)
	if ready || phone.fetched.Load() != 0 {
		t.Error("the approval of one request fetched the proof of another")
	}
	want(t, b.stored(t, a.ID), Proving)
}

// TestPeek: what the waiting page learns.
func TestPeek(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	a := in[Proving](t, b)
	phone.answer(authn.Approved)
	if b.Peek(t.Context(), a) || phone.asked.Load() != 0 {
		t.Error("the counterpart was asked right after the request")
	}
	b.clock.Advance(time.Second)
	if !b.Peek(t.Context(), a) {
		t.Error("the answer is not seen")
	}
	phone.set(func() { phone.statusErr = &authn.Error{Code: authn.ProviderDown} })
	if b.Peek(t.Context(), a) {
		t.Error("an unreachable counterpart is taken for an answer")
	}
	phone.set(func() { phone.statusErr = &authn.Error{Code: authn.NotReady} })
	if b.Peek(t.Context(), a) {
		t.Error("no answer is taken for an answer")
	}
	phone.set(func() { phone.statusErr = nil })
	a, err := b.Choose(t.Context(), a.ID, browserA)
	check(t, err)
	if !b.Peek(t.Context(), a) {
		t.Error("the page of a withdrawn request goes on waiting")
	}
}

// TestAnswers: how each answer of the counterpart ends.
func TestAnswers(t *testing.T) {
	t.Parallel()
	down := &authn.Error{Code: authn.ProviderDown}
	for _, row := range []struct {
		name    string
		prepare func(b *broker, c *counterpart)
		ready   bool
		err     error
		state   State
		failure authn.Code
	}{
		{"pending", func(*broker, *counterpart) {}, false, nil, Proving, ""},
		{"not ready by error", func(_ *broker, c *counterpart) { c.statusErr = &authn.Error{Code: authn.NotReady} }, false, nil, Proving, ""},
		{"rejected", func(_ *broker, c *counterpart) { c.answer(authn.Rejected) }, true, nil, Failed, authn.UserCancelled},
		{"expired", func(_ *broker, c *counterpart) { c.answer(authn.Expired) }, true, nil, Failed, authn.TooLate},
		{"failed", func(_ *broker, c *counterpart) { c.answer(authn.Failed) }, true, nil, Failed, Unproved},
		{"too late for us", func(b *broker, c *counterpart) { b.clock.Advance(5 * time.Minute) }, true, nil, Failed, authn.TooLate},
		{"down at the status", func(_ *broker, c *counterpart) { c.statusErr = down }, false, down, Proving, ""},
		{"down at the fetch", func(_ *broker, c *counterpart) { c.answer(authn.Approved); c.fetchErr = down }, true, nil, Failed, authn.ProviderDown},
		{"lost at the fetch", func(_ *broker, c *counterpart) {
			c.answer(authn.Approved)
			c.fetchErr = &authn.Error{Code: authn.Indeterminate}
		}, true, nil, Failed, authn.Indeterminate},
		{"not ready at the fetch", func(_ *broker, c *counterpart) {
			c.answer(authn.Approved)
			c.fetchErr = &authn.Error{Code: authn.NotReady}
		}, false, nil, Proving, ""},
		{"bad evidence", func(_ *broker, c *counterpart) {
			c.answer(authn.Approved)
			c.fetchErr = &authn.Error{Code: authn.BadEvidence}
		}, true, nil, Failed, authn.BadEvidence},
		{"no code at all", func(_ *broker, c *counterpart) { c.answer(authn.Approved); c.fetchErr = errors.New("broken") }, true, nil, Failed, authn.ProviderDown},
		{"approved", func(_ *broker, c *counterpart) { c.answer(authn.Approved) }, true, nil, Registering, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			phone := b.with[method.Simple]
			phone.proves(kim)
			a := in[Proving](t, b)
			row.prepare(b, phone)
			ready, shown, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
			if ready != row.ready || !errors.Is(err, row.err) {
				t.Errorf("ready %t, error %v, want %t, %v", ready, err, row.ready, row.err)
			}
			if err == nil {
				want(t, shown, row.state)
			}
			now := b.stored(t, a.ID)
			want(t, now, row.state)
			if now.Failure != row.failure || !now.BusySince.IsZero() {
				t.Errorf("failure %q, busy since %s", now.Failure, now.BusySince)
			}
			failed := b.events(t, audit.LoginFailed)
			if (len(failed) == 1) != (row.state == Failed) || len(failed) > 1 {
				t.Fatalf("events %+v", failed)
			}
			if row.state == Failed && (failed[0].Detail["code"] != string(row.failure) || failed[0].Detail["provider"] != "kakao") {
				t.Errorf("event %+v", failed[0])
			}
		})
	}
}

// TestBeginFails: a counterpart that takes no request is a failure that can be tried again.
func TestBeginFails(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	phone := b.with[method.Simple]
	phone.proves(kim)
	phone.beginErr = &authn.Error{Code: authn.NoCredential, Provider: "E2001"}
	a := b.begin(t, asks(siteA))
	a, err := b.Prove(t.Context(), a.ID, browserA, method.Simple, input(kim), true, "ko")
	check(t, err)
	want(t, a, Failed)
	if a.Failure != authn.NoCredential {
		t.Errorf("failure %q", a.Failure)
	}
	failed := b.events(t, audit.LoginFailed)
	if len(failed) != 1 || failed[0].Detail["method"] != "simple" || failed[0].Detail["provider"] != "kakao" {
		t.Errorf("events %+v", failed)
	}
	phone.set(func() { phone.beginErr = nil })
	b.prove(t, a, method.Simple, kim, ordinary)
}

// TestProveRefuses: what was not offered is not asked.
func TestProveRefuses(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	delete(b.Methods, method.FinancialCert)
	a := b.begin(t, asks(siteMobile))
	for _, m := range []method.Method{method.Simple, method.FinancialCert, "phone", ""} {
		if _, err := b.Prove(t.Context(), a.ID, browserA, m, input(kim), true, "ko"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", m, err)
		}
	}
	in := input(kim)
	in.Provider = "nobody"
	if _, err := b.Prove(t.Context(), a.ID, browserA, method.MobileID, in, true, "ko"); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown provider: %v", err)
	}
	want(t, b.stored(t, a.ID), Choosing)
}

// TestAway: the stores go away in each step, and come back. Nothing is half done, nothing is lost, and the
// journey goes on.
func TestAway(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		state State
		down  string
		step  string
		kept  State // while the store is away
		next  State
	}{
		{Choosing, "audit", "decline", Choosing, Done},
		{Proving, "people", "complete", Proved, Registering},
		{Proved, "people", "complete", Proved, Registering},
		{Registering, "people", "register", Registering, Consenting},
		{Registering, "register", "register", Registering, Consenting},
		{Registering, "consents", "register", Registering, Consenting},
		{Consenting, "login", "consent", Consenting, Done},
		{Consenting, "audit", "decline", Consenting, Done},
		{Selecting, "consents", "select", Selecting, Consenting},
	} {
		t.Run(fmt.Sprintf("%s/%s without %s", row.state, row.step, row.down), func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := in[row.state](t, b)
			b.with[method.Simple].answer(authn.Approved)
			before := len(b.events(t, audit.SiteLogin))
			b.down.set(row.down)
			for range 2 {
				shown, err := operations[row.step](t.Context(), b, a.ID, browserA)
				if shown != nil || !fault.Is(err, fault.Unavailable) {
					t.Fatalf("shown %v, error %v", shown, err)
				}
				now := b.stored(t, a.ID)
				want(t, now, row.kept)
				if !now.BusySince.IsZero() {
					t.Error("the attempt is left claimed")
				}
			}
			b.down.set()
			shown, err := operations[row.step](t.Context(), b, a.ID, browserA)
			check(t, err)
			want(t, shown, row.next)
			b.count(t, audit.PersonRegistered, map[bool]int{true: 0, false: 1}[row.next == Registering || row.state == Choosing])
			if row.step == "consent" {
				b.count(t, audit.SiteLogin, before+1)
				b.count(t, audit.ConsentGiven, 1)
			}
		})
	}
}

// TestFailureWithoutAudit: a failure that cannot be put on record does not move the attempt, and is told
// when the record is back.
func TestFailureWithoutAudit(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		prepare func(c *counterpart)
		kept    State
		err     error // of the next try
		failure authn.Code
	}{
		{"rejected", func(c *counterpart) { c.answer(authn.Rejected) }, Proving, nil, authn.UserCancelled},
		{"bad evidence", func(c *counterpart) { c.answer(authn.Approved); c.fetchErr = &authn.Error{Code: authn.BadEvidence} }, Verifying, ErrMoved, authn.BadEvidence},
		{"too weak", func(c *counterpart) { c.answer(authn.Approved); c.proves(kim, func(e *authn.Evidence) { e.Level = 0 }) }, Proved, nil, TooWeak},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			phone := b.with[method.Simple]
			phone.proves(kim)
			a := b.begin(t, asks(siteA, func(r *grant.Request) { r.Claims.IDToken = essential(1) }))
			a = b.proving(t, a, method.Simple, kim)
			row.prepare(phone)
			b.down.set("audit")
			_, _, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
			wantErr(t, err, errAway)
			now := b.stored(t, a.ID)
			want(t, now, row.kept)
			if !now.BusySince.IsZero() {
				t.Error("the attempt is left claimed")
			}
			b.down.set()
			_, shown, err := b.Complete(t.Context(), a.ID, browserA, ordinary)
			if !errors.Is(err, row.err) {
				t.Errorf("error %v, want %v", err, row.err)
			}
			want(t, shown, Failed)
			failed := b.events(t, audit.LoginFailed)
			if shown.Failure != row.failure || len(failed) != 1 || failed[0].Detail["code"] != string(row.failure) {
				t.Errorf("failure %q, events %+v", shown.Failure, failed)
			}
		})
	}
}

// essential asks for the level as an essential acr claim.
func essential(level method.Level) map[string]*grant.Claim {
	return map[string]*grant.Claim{"acr": {Essential: true, Value: level.ACR()}}
}

// TestKVAway: the short-lived store goes away between claim and settle.
func TestKVAway(t *testing.T) {
	t.Parallel()
	proving := func(t *testing.T) (*broker, *counterpart, *Attempt, chan error) {
		b := onSQLite(t)
		phone := b.with[method.Simple]
		phone.proves(kim)
		a := in[Proving](t, b)
		phone.answer(authn.Approved)
		phone.holdFetch = make(chan struct{})
		done := make(chan error, 1)
		go func() {
			_, _, err := b.Complete(context.WithoutCancel(t.Context()), a.ID, browserA, ordinary)
			done <- err
		}()
		for phone.fetched.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		return b, phone, a, done
	}
	t.Run("for a moment", func(t *testing.T) {
		t.Parallel()
		b, phone, a, done := proving(t)
		b.kv.away.Store(3)
		close(phone.holdFetch)
		check(t, <-done)
		want(t, b.stored(t, a.ID), Registering)
	})
	t.Run("and its answer is lost", func(t *testing.T) {
		t.Parallel()
		b, phone, a, done := proving(t)
		b.kv.lost.Store(1)
		close(phone.holdFetch)
		check(t, <-done)
		want(t, b.stored(t, a.ID), Registering)
	})
	t.Run("for longer than settling takes", func(t *testing.T) {
		t.Parallel()
		b, phone, a, done := proving(t)
		b.kv.away.Store(-1)
		close(phone.holdFetch)
		time.AfterFunc(settleWithin+time.Second, func() { b.kv.away.Store(0) })
		if err := <-done; !fault.Is(err, fault.Unavailable) {
			t.Errorf("error %v", err)
		}
		want(t, b.stored(t, a.ID), Registering) // the second chance stored what was fetched once
	})
	t.Run("before anything", func(t *testing.T) {
		t.Parallel()
		b := onSQLite(t)
		a := b.begin(t, asks(siteA))
		b.kv.away.Store(-1)
		for name, operation := range operations {
			if _, err := operation(t.Context(), b, a.ID, browserA); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b.kv.away.Store(0)
		want(t, b.stored(t, a.ID), Choosing)
	})
}

// TestLeftInTheMiddle: a browser that presses again gives up its first request. The step that this began goes on, so
// that the second finds it done.
func TestLeftInTheMiddle(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		state State
		step  string
		next  State
	}{
		{Choosing, "prove", Proving},
		{Choosing, "decline", Done},
		{Proving, "complete", Registering},
		{Verifying, "choose", Choosing},
		{Registering, "register", Consenting},
		{Selecting, "select", Consenting},
		{Consenting, "consent", Done},
	} {
		t.Run(fmt.Sprintf("%s/%s", row.state, row.step), func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := in[row.state](t, b)
			b.with[method.Simple].answer(authn.Approved)
			ctx, leave := context.WithCancel(t.Context())
			b.kv.left.Store(&leave)
			_, _ = operations[row.step](ctx, b, a.ID, browserA) // whose answer nobody sees
			if ctx.Err() == nil {
				t.Fatal("nobody has left")
			}
			shown, err := operations[row.step](t.Context(), b, a.ID, browserA)
			if err != nil && !errors.Is(err, ErrMoved) {
				t.Fatal(err)
			}
			want(t, shown, row.next)
		})
	}
}

// TestConsentTriedAgain: a consent that is on record stays what it was when the next try ticks otherwise.
func TestConsentTriedAgain(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := b.begin(t, asks(siteA, func(r *grant.Request) {
		r.Scopes = []string{"openid"}
		r.Claims.UserInfo = map[string]*grant.Claim{"name": {Essential: true}, "gender": nil, "birthdate": nil}
	}))
	a = b.prove(t, a, method.Simple, kim, ordinary)
	a, err := b.Register(t.Context(), a.ID, browserA, agreed, noNumber, ordinary)
	check(t, err)
	b.down.set("login")
	if _, err := b.Consent(t.Context(), a.ID, browserA, []string{"gender"}, ordinary); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error %v", err)
	}
	b.down.set()
	a, err = b.Consent(t.Context(), a.ID, browserA, []string{"birthdate", "gender"}, ordinary)
	check(t, err)
	o, err := b.Outcome(a)
	check(t, err)
	code := b.code(t, o)
	if got := strings.Join(code.Items, " "); got != "gender name" {
		t.Errorf("handed over: %s, on record are: gender name", got)
	}
	b.count(t, audit.ConsentGiven, 1)
}

// TestSealed: nothing of the proof can be read from the stored attempt, in any state.
func TestSealed(t *testing.T) {
	t.Parallel()
	for state, lead := range in {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			b.with[method.Simple].proves(kim)
			a := lead(t, b)
			text, err := b.kv.Get(t.Context(), key(a.ID))
			check(t, err)
			for _, secret := range []string{kim.name, kim.birthDate, kim.phone, kim.phone[1:], kim.ci, browserA, a.ID + "x"} {
				if strings.Contains(text, secret) {
					t.Errorf("the stored attempt shows %q", secret)
				}
			}
			if a.State == Done {
				o, err := b.Outcome(a)
				check(t, err)
				if strings.Contains(text, o.Code) || strings.Contains(text, o.Session) {
					t.Error("the stored attempt shows its code or session")
				}
			}
			if strings.Contains(b.log.String(), kim.name) || strings.Contains(b.log.String(), kim.phone[1:]) || strings.Contains(b.log.String(), kim.ci) {
				t.Errorf("the log tells of the person: %s", b.log)
			}
		})
	}
}

// TestMovedText: a sealed part of one attempt opens in no other.
func TestMovedText(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	b.with[method.Simple].proves(kim)
	a := in[Registering](t, b)
	other := b.begin(t, asks(siteA))
	b.store(t, other, func(o *Attempt) { o.State, o.Evidence = Registering, a.Evidence })
	if _, _, err := b.Pending(t.Context(), other); err == nil {
		t.Error("the evidence of one attempt opens in another")
	}
	if _, err := b.Register(t.Context(), other.ID, browserA, agreed, noNumber, ordinary); err == nil {
		t.Error("the evidence of one attempt registers in another")
	}
	b.store(t, other, func(o *Attempt) { o.State, o.Evidence, o.BusySince = Proved, a.Evidence, time.Time{} })
	_, shown, err := b.Complete(t.Context(), other.ID, browserA, ordinary)
	check(t, err)
	want(t, shown, Failed)
	if shown.Failure != authn.Indeterminate {
		t.Errorf("failure %q", shown.Failure)
	}
	if _, err := b.kv.Get(t.Context(), "attempt:"+a.ID); !errors.Is(err, kv.ErrNotFound) {
		t.Error("the attempt is stored under its own id, not under its hash")
	}
}
