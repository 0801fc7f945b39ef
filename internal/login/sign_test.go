package login

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

// certificates is an adapter whose citizens sign in the page: an answer is the challenge and the serial number
// of a certificate.
type certificates struct {
	method method.Method
	now    func() time.Time

	mu        sync.Mutex
	holders   map[string]holder // by serial number
	verifyErr error
	askErr    error // of Identify and CheckNumber

	verified, identified, numbered atomic.Int64
}

// holder is whose certificate it is, and how that comes out.
type holder struct {
	citizen
	number string // resident number; empty: none is asked for
	ucpid  bool   // the issuer tells the CI
}

var _ authn.NumberChecker = (*certificates)(nil)

func (c *certificates) Method() method.Method { return c.method }

func (c *certificates) Providers() []authn.Provider { return []authn.Provider{{ID: "npki"}} }

func (c *certificates) Begin(_ context.Context, a authn.Attempt, _ authn.Input) (authn.Started, error) {
	return authn.Started{Private: []byte("challenge " + a.Nonce + " for " + a.Site), ExpiresAt: c.now().Add(5 * time.Minute)}, nil
}

func (c *certificates) Request(a authn.Attempt) (authn.SignRequest, error) {
	return authn.SignRequest{Content: string(a.Private)}, nil
}

func (c *certificates) holder(answer authn.Answer) (holder, string) {
	_, serial, _ := strings.Cut(answer.Signed, " by ")
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.holders[serial], serial
}

func (c *certificates) Verify(_ context.Context, a authn.Attempt, answer authn.Answer) (authn.Evidence, error) {
	c.verified.Add(1)
	who, serial := c.holder(answer)
	switch signed, _, _ := strings.Cut(answer.Signed, " by "); {
	case c.verifyErr != nil:
		return authn.Evidence{}, c.verifyErr
	case signed != string(a.Private):
		return authn.Evidence{}, &authn.Error{Code: authn.WrongChallenge}
	}
	return authn.Evidence{
		Method: c.method, Provider: "kica", Subject: serial, Attributes: authn.Attributes{Name: who.name}, Level: 3, At: c.now(),
		Binding: authn.Signed, Digest: "d", Number: who.number != "", VIDDigest: "v of " + serial,
	}, nil
}

func (c *certificates) Identify(_ context.Context, _ authn.Attempt, answer authn.Answer, e authn.Evidence) (authn.Evidence, error) {
	c.identified.Add(1)
	if c.askErr != nil {
		return e, c.askErr
	}
	if who, _ := c.holder(answer); who.ucpid {
		e.CI, e.Attributes.BirthDate = who.ci, who.birthDate
	}
	return e, nil
}

func (c *certificates) CheckNumber(_ context.Context, e authn.Evidence, number authn.ResidentNumber) (authn.Evidence, error) {
	c.numbered.Add(1)
	c.mu.Lock()
	who := c.holders[e.Subject]
	c.mu.Unlock()
	switch {
	case c.askErr != nil:
		return e, c.askErr
	case string(number.Digits) != who.number || number.Message != "R of "+e.Subject:
		return e, &authn.Error{Code: authn.NumberMismatch}
	}
	e.CI, e.Attributes.BirthDate, e.Attributes.Gender = who.ci, who.birthDate, "male"
	return e, nil
}

// issue gives somebody a certificate with that serial number.
func (c *certificates) issue(serial string, h holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders[serial] = h
}

// signing is a broker whose joint and financial certificates are signatures in the page.
func signing(b *broker) (joint, financial *certificates) {
	made := make([]*certificates, 0, 2)
	for _, m := range []method.Method{method.JointCert, method.FinancialCert} {
		c := &certificates{method: m, now: b.clock.Now, holders: make(map[string]holder)}
		b.Methods[m] = c
		made = append(made, c)
	}
	return made[0], made[1]
}

// challenged begins an attempt and its challenge, and returns the answer that the certificate would give.
func challenged(t *testing.T, b *broker, m method.Method, serial string) (*Attempt, authn.Answer) {
	t.Helper()
	a := b.begin(t, asks(siteA))
	a, err := b.Prove(t.Context(), a.ID, browserA, m, authn.Input{Provider: "npki"}, true, "ko")
	check(t, err)
	want(t, a, Proving)
	request, err := b.SignRequest(a)
	check(t, err)
	return a, authn.Answer{Signed: request.Content + " by " + serial}
}

// sign goes from the beginning to what follows the signature.
func sign(t *testing.T, b *broker, m method.Method, serial string) *Attempt {
	t.Helper()
	a, answer := challenged(t, b, m, serial)
	a, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
	check(t, err)
	return a
}

func numberOf(digits, serial string) authn.ResidentNumber {
	return authn.ResidentNumber{Digits: []byte(digits), Message: "R of " + serial}
}

// registerBy ends a registration by the number of a certificate, and returns the person.
func registerBy(t *testing.T, b *broker, a *Attempt, number authn.ResidentNumber) string {
	t.Helper()
	want(t, a, Registering)
	a, err := b.Register(t.Context(), a.ID, browserA, agreed, number, ordinary)
	check(t, err)
	if a.State == Consenting {
		a, err = b.Consent(t.Context(), a.ID, browserA, nil, ordinary)
		check(t, err)
	}
	return personOf(t, b, a)
}

func personOf(t *testing.T, b *broker, a *Attempt) string {
	t.Helper()
	want(t, a, Done)
	o, err := b.Outcome(a)
	check(t, err)
	return b.code(t, o).Authentication.Person
}

// TestCertificates: who is recognised by what, and who registers.
func TestCertificates(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		b := newWorld(t, open).instance()
		joint, financial := signing(b)
		kim := someone("01000000001")
		joint.issue("1", holder{citizen: kim, number: "9003011234567"})
		joint.issue("2", holder{citizen: kim, number: "9003011234567"})
		joint.issue("3", holder{citizen: kim, number: "9003011234567", ucpid: true})
		financial.issue("9", holder{citizen: kim, ucpid: true})

		// New: the number names the person, and brings what the certificate does not say.
		a := sign(t, b, method.JointCert, "1")
		if e, adds, err := b.Pending(t.Context(), a); err != nil || adds || !e.Number || e.CI != "" {
			t.Errorf("pending %+v, adds %t, %v", e, adds, err)
		}
		id := registerBy(t, b, a, numberOf("9003011234567", "1"))
		p, err := b.People.ByID(t.Context(), id)
		check(t, err)
		held, err := b.attributes(p)
		check(t, err)
		if p.First != method.JointCert || p.CIIndex == "" || held.BirthDate != kim.birthDate || held.Gender != "male" || held.Name != kim.name {
			t.Errorf("registered as %+v with %+v", p, held)
		}

		// Known: nobody is asked, and what the certificate does not say stays as it was.
		asked := joint.identified.Load()
		if got := personOf(t, b, sign(t, b, method.JointCert, "1")); got != id || joint.identified.Load() != asked {
			t.Errorf("the same certificate is %s, asked %d", got, joint.identified.Load()-asked)
		}
		p, err = b.People.ByID(t.Context(), id)
		check(t, err)
		if now, err := b.attributes(p); err != nil || now != held {
			t.Errorf("attributes became %+v, %v", now, err)
		}

		// Renewed, and nobody tells the CI: the number is asked again, and finds the person.
		if got := registerBy(t, b, sign(t, b, method.JointCert, "2"), numberOf("9003011234567", "2")); got != id {
			t.Errorf("the renewed certificate is %s, want %s", got, id)
		}
		// Renewed, and the issuer tells the CI: the method is the person's own.
		if got := personOf(t, b, sign(t, b, method.JointCert, "3")); got != id {
			t.Errorf("the certificate renewed again is %s, want %s", got, id)
		}
		// Another method is registered once more, without a number.
		a = sign(t, b, method.FinancialCert, "9")
		if _, adds, err := b.Pending(t.Context(), a); err != nil || !adds {
			t.Errorf("adds %t, %v", adds, err)
		}
		if got := registerBy(t, b, a, noNumber); got != id {
			t.Errorf("the financial certificate is %s, want %s", got, id)
		}
		if n := len(b.links(t, id)); n != 4 {
			t.Errorf("%d links, want 4", n)
		}
		b.count(t, audit.PersonRegistered, 1)
	})
}

// TestSignatureRefused: an answer that does not serve ends the challenge.
func TestSignatureRefused(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(b *broker, c *certificates, a *authn.Answer)
		code   authn.Code
	}{
		"other challenge": {func(_ *broker, _ *certificates, a *authn.Answer) { a.Signed = "x" + a.Signed }, authn.WrongChallenge},
		"revoked": {func(_ *broker, c *certificates, _ *authn.Answer) {
			c.verifyErr = &authn.Error{Code: authn.CertificateRevoked}
		}, authn.CertificateRevoked},
		"adapter breaks":    {func(_ *broker, c *certificates, _ *authn.Answer) { c.verifyErr = errors.New("broken") }, authn.ProviderDown},
		"too late":          {func(b *broker, _ *certificates, _ *authn.Answer) { b.clock.Advance(5 * time.Minute) }, authn.TooLate},
		"issuer is silent":  {func(_ *broker, c *certificates, _ *authn.Answer) { c.askErr = &authn.Error{Code: authn.ProviderDown} }, authn.ProviderDown},
		"issuer knows none": {func(_ *broker, c *certificates, _ *authn.Answer) { c.askErr = &authn.Error{Code: authn.NoCredential} }, authn.NoCredential},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := onSQLite(t)
			joint, _ := signing(b)
			joint.issue("1", holder{citizen: someone("01000000001")})
			a, answer := challenged(t, b, method.JointCert, "1")
			row.change(b, joint, &answer)
			a, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
			check(t, err)
			want(t, a, Failed)
			if a.Failure != row.code {
				t.Errorf("failed with %s, want %s", a.Failure, row.code)
			}
			if _, err := b.SignRequest(a); !errors.Is(err, ErrMoved) {
				t.Errorf("the challenge lives on: %v", err)
			}
			b.count(t, audit.LoginFailed, 1)

			a, err = b.Prove(t.Context(), a.ID, browserA, method.JointCert, authn.Input{Provider: "npki"}, true, "ko")
			check(t, err)
			want(t, a, Proving)
		})
	}
}

// TestReplayed: a signature that served once serves nowhere else, and is recognised.
func TestReplayed(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	joint, _ := signing(b)
	joint.issue("1", holder{citizen: someone("01000000001"), ucpid: true})
	a, answer := challenged(t, b, method.JointCert, "1")
	_, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
	check(t, err)
	again, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
	if !errors.Is(err, ErrMoved) {
		t.Errorf("a second answer: %v", err)
	}
	want(t, again, Registering)

	other, _ := challenged(t, b, method.JointCert, "1")
	other, err = b.Sign(t.Context(), other.ID, browserA, answer, ordinary)
	check(t, err)
	if other.State != Failed || other.Failure != authn.AlreadyUsed {
		t.Errorf("elsewhere: %s, %s", other.State, other.Failure)
	}
}

// TestChallengeReplaced: a page that was left alone stands in nobody's way, and its challenge ends.
func TestChallengeReplaced(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	joint, financial := signing(b)
	joint.issue("1", holder{citizen: someone("01000000001"), ucpid: true})
	financial.issue("1", holder{citizen: someone("01000000001"), ucpid: true})
	a, answer := challenged(t, b, method.JointCert, "1")
	if ready, _, err := b.Complete(t.Context(), a.ID, browserA, ordinary); ready || err != nil {
		t.Errorf("complete before the signature: %t, %v", ready, err)
	}
	if b.Peek(t.Context(), a) {
		t.Error("something is new")
	}
	a, err := b.Prove(t.Context(), a.ID, browserA, method.FinancialCert, authn.Input{Provider: "npki"}, true, "ko")
	check(t, err)
	request, err := b.SignRequest(a)
	check(t, err)
	if request.Content+" by 1" == answer.Signed {
		t.Error("the challenge is the same")
	}
	a, err = b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
	check(t, err)
	if a.Failure != authn.WrongChallenge {
		t.Errorf("the old answer: %s %s", a.State, a.Failure)
	}

	a, _ = challenged(t, b, method.JointCert, "1")
	b.clock.Advance(5 * time.Minute)
	if !b.Peek(t.Context(), a) {
		t.Error("the end of the challenge is no news")
	}
	_, a, err = b.Complete(t.Context(), a.ID, browserA, ordinary)
	check(t, err)
	if a.Failure != authn.TooLate {
		t.Errorf("after its time: %s %s", a.State, a.Failure)
	}
	// While a phone is asked, no challenge takes its place.
	b.with[method.Simple].proves(someone("01000000001"))
	a = b.begin(t, asks(siteA))
	a, err = b.Prove(t.Context(), a.ID, browserA, method.Simple, input(someone("01000000001")), true, "ko")
	check(t, err)
	if _, err := b.Prove(t.Context(), a.ID, browserA, method.JointCert, authn.Input{Provider: "npki"}, true, "ko"); !errors.Is(err, ErrMoved) {
		t.Errorf("over a phone's request: %v", err)
	}
}

// TestResidentNumber: wrong ones are counted, right ones are bound to the certificate, and none is kept.
func TestResidentNumber(t *testing.T) {
	t.Parallel()
	const digits = "9003011234567"
	begin := func(t *testing.T, who citizen) (*broker, *certificates, *Attempt) {
		b := onSQLite(t)
		joint, _ := signing(b)
		joint.issue("1", holder{citizen: who, number: digits})
		a := sign(t, b, method.JointCert, "1")
		want(t, a, Registering)
		return b, joint, a
	}
	register := func(t *testing.T, b *broker, a *Attempt, n authn.ResidentNumber) (*Attempt, error) {
		t.Helper()
		return b.Register(t.Context(), a.ID, browserA, agreed, n, ordinary)
	}

	t.Run("of somebody else", func(t *testing.T) {
		t.Parallel()
		b, _, a := begin(t, someone("01000000001"))
		for i := range mostTries - 1 {
			var err error
			if a, err = register(t, b, a, numberOf("9003011234568", "1")); !errors.Is(err, ErrNumber) || a.State != Registering {
				t.Fatalf("try %d: %v", i, err)
			}
		}
		if !b.stored(t, a.ID).BusySince.IsZero() {
			t.Error("the attempt is left claimed")
		}
		a, err := register(t, b, a, numberOf(digits, "2")) // the right number with another certificate's R
		if !errors.Is(err, ErrNumber) || a.State != Failed || a.Failure != authn.NumberMismatch || a.Evidence != "" {
			t.Errorf("the last try: %s %s, %v", a.State, a.Failure, err)
		}
		b.count(t, audit.PersonRegistered, 0)
	})
	t.Run("after a slip", func(t *testing.T) {
		t.Parallel()
		b, _, a := begin(t, someone("01000000001"))
		a, err := register(t, b, a, numberOf("9003011234568", "1"))
		if !errors.Is(err, ErrNumber) {
			t.Fatal(err)
		}
		_, text, err := b.load(t.Context(), a.ID, browserA)
		check(t, err)
		if strings.Contains(text, digits) || strings.Contains(text, "R of") || strings.Contains(b.log.String(), digits) {
			t.Error("the number is kept")
		}
		registerBy(t, b, a, numberOf(digits, "1"))
	})
	t.Run("nobody tells the CI", func(t *testing.T) {
		t.Parallel()
		b, joint, a := begin(t, someone("01000000001"))
		joint.askErr = &authn.Error{Code: authn.ProviderDown}
		if _, err := register(t, b, a, numberOf(digits, "1")); !isCode(err, authn.ProviderDown) {
			t.Fatal(err)
		}
		want(t, b.stored(t, a.ID), Registering)
		joint.askErr = nil
		registerBy(t, b, a, numberOf(digits, "1"))
	})
	t.Run("of a child", func(t *testing.T) {
		t.Parallel()
		child := someone("01000000001")
		child.birthDate = "2020-01-01"
		b, _, a := begin(t, child)
		a, err := register(t, b, a, numberOf(digits, "1"))
		check(t, err)
		if a.State != Failed || a.Failure != TooYoung {
			t.Errorf("%s %s", a.State, a.Failure)
		}
	})
	t.Run("two people are never merged", func(t *testing.T) {
		t.Parallel()
		kim, lee := someone("01000000001"), someone("01000000002")
		b, joint, a := begin(t, kim)
		first := registerBy(t, b, a, numberOf(digits, "1"))
		// The certificate's holder is another person by number, with the same name and birth date.
		lee.name, lee.birthDate = kim.name, kim.birthDate
		joint.issue("5", holder{citizen: lee, number: "9003011999999"})
		if second := registerBy(t, b, sign(t, b, method.JointCert, "5"), numberOf("9003011999999", "5")); second == first {
			t.Error("merged")
		}
		b.count(t, audit.PersonRegistered, 2)
	})
}

// TestTrap34ParallelPosts: of 64 posts of one signature, and of one number, one wins, on every stack.
func TestTrap34ParallelPosts(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open)
		both := []*broker{w.instance(), w.instance()}
		joint, _ := signing(both[0])
		both[1].Methods[method.JointCert] = joint
		joint.issue("1", holder{citizen: someone("01000000001"), number: "9003011234567"})
		a, answer := challenged(t, both[0], method.JointCert, "1")
		if n := race(t, both, Registering, func(_ int, b *broker) (*Attempt, error) {
			return b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
		}); n != 1 || joint.verified.Load() != 1 || joint.identified.Load() != 1 {
			t.Errorf("%d winners, %d verified, %d identified", n, joint.verified.Load(), joint.identified.Load())
		}
		if n := race(t, both, Consenting, func(_ int, b *broker) (*Attempt, error) {
			return b.Register(t.Context(), a.ID, browserA, agreed, numberOf("9003011234567", "1"), ordinary)
		}); n != 1 || joint.numbered.Load() != 1 {
			t.Errorf("%d winners, %d numbers checked", n, joint.numbered.Load())
		}
		both[0].count(t, audit.PersonRegistered, 1)
	})
}

// TestOneSignatureTwoAttempts: of two attempts that are handed one signature at once, its own wins.
func TestOneSignatureTwoAttempts(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	joint, _ := signing(b)
	joint.issue("1", holder{citizen: someone("01000000001"), ucpid: true})
	a, answer := challenged(t, b, method.JointCert, "1")
	other, _ := challenged(t, b, method.JointCert, "1")
	states := make([]State, 2)
	var wg sync.WaitGroup
	for i, id := range []string{a.ID, other.ID} {
		wg.Go(func() {
			after, err := b.Sign(t.Context(), id, browserA, answer, ordinary)
			if err != nil {
				t.Error(err)
				return
			}
			states[i] = after.State
		})
	}
	wg.Wait()
	if states[0] != Registering || states[1] != Failed {
		t.Errorf("its own attempt is %s, the other %s", states[0], states[1])
	}
	if _, err := b.KV.Get(t.Context(), "signature:"+secret.Hash(answer.Signed)); err != nil {
		t.Error(err)
	}
}

// TestSignAway: while a store is away the signature is not lost.
func TestSignAway(t *testing.T) {
	t.Parallel()
	b := onSQLite(t)
	joint, _ := signing(b)
	joint.issue("1", holder{citizen: someone("01000000001"), ucpid: true})
	a, answer := challenged(t, b, method.JointCert, "1")
	b.down.set("people")
	if _, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	b.down.set()
	a, err := b.Sign(t.Context(), a.ID, browserA, answer, ordinary)
	check(t, err)
	want(t, a, Registering)
}
