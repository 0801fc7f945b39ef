package account

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
)

// cut is a store of short-lived values whose cable can be pulled.
type cut struct {
	kv.Store
	off atomic.Bool
}

func (c *cut) err() error {
	if c.off.Load() {
		return fault.New(fault.Unavailable, "the cable is out")
	}
	return nil
}

func (c *cut) Get(ctx context.Context, key string) (string, error) {
	if err := c.err(); err != nil {
		return "", err
	}
	return c.Store.Get(ctx, key)
}

func (c *cut) Add(ctx context.Context, key, value string, ttl time.Duration) (bool, error) {
	if err := c.err(); err != nil {
		return false, err
	}
	return c.Store.Add(ctx, key, value, ttl)
}

func (c *cut) Take(ctx context.Context, key string) (string, error) {
	if err := c.err(); err != nil {
		return "", err
	}
	return c.Store.Take(ctx, key)
}

func (c *cut) CompareAndSwap(ctx context.Context, key, old, next string, ttl time.Duration) (bool, error) {
	if err := c.err(); err != nil {
		return false, err
	}
	return c.Store.CompareAndSwap(ctx, key, old, next, ttl)
}

// cable puts a cable between the world and its short-lived values.
func (w *world) cable() *cut {
	c := &cut{Store: w.kv}
	w.sessions.KV, w.svc.Grants.KV = c, c
	return c
}

// pulling is a store of people that calls pull after each withdrawal.
type pulling struct {
	person.Store
	pull func()
}

func (p pulling) Withdraw(ctx context.Context, w person.Withdrawal) error {
	err := p.Store.Withdraw(ctx, w)
	p.pull()
	return err
}

// A withdrawal is done or not: what fails before its transaction leaves everything, what fails after it changes
// nothing of that.
func TestWithdrawInterrupted(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		in := w.login(c, method.Simple, "kakao", "qnet", true)
		cable := w.cable()
		cable.off.Store(true)
		_, err := w.svc.Withdraw(ctx, c.Visitor)
		w.want(err, fault.Unavailable)
		if _, err := w.svc.Profile(ctx, c.Visitor); err != nil {
			w.t.Error(err)
		}
		cable.off.Store(false)
		if session, _ := w.lives(in); !session {
			w.t.Error("a session ended, and nobody was told")
		}

		w.svc.People = pulling{w.svc.People, func() { cable.off.Store(true) }}
		gone, stop := context.WithCancel(ctx)
		stop() // and the browser is closed
		receipt, err := w.svc.Withdraw(gone, c.Visitor)
		w.check(err)
		if receipt.Number == "" || len(w.told(receipt.Batch)) != 1 {
			w.t.Errorf("receipt %+v, told %v", receipt, w.told(receipt.Batch))
		}
		if text := w.log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Contains(text, c.Person) || strings.Contains(text, "홍길동") {
			w.t.Errorf("log: %s", text)
		}
		// The session that is left serves nobody.
		cable.off.Store(false)
		live, err := w.sessions.Find(ctx, in.handle)
		w.check(err)
		event := audit.New(w.clock(), audit.SiteLogin, audit.Citizen)
		event.Site = "qnet"
		w.want(w.svc.Grants.RecordLogin(ctx, grant.Login{Event: event}, live.Authentication), fault.NotFound)
		event = audit.New(w.clock(), audit.SiteLogin, audit.Citizen)
		event.Site = "minwon"
		w.want(w.svc.Grants.RecordLogin(ctx, grant.Login{Event: event, Joins: live.Joins("minwon")}, live.Authentication), fault.NotFound)
	})
}

// A dispute that fails half way keeps its code, and what it has frozen stays frozen.
func TestDisputeFails(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		in := w.login(c, method.Simple, "naver", "qnet", true)
		cable := w.cable()
		cable.off.Store(true)
		_, err := w.svc.Dispute(ctx, in.alert, Visitor{})
		w.want(err, fault.Unavailable)
		if p, err := w.svc.People.ByID(ctx, c.Person); err != nil || !p.Blocked(method.Simple, "naver") {
			w.t.Errorf("blocks %+v, %v", p.Blocks, err)
		}
		cable.off.Store(false)
		opened, err := w.svc.Dispute(ctx, in.alert, Visitor{})
		if err != nil || opened.State != notice.Open {
			w.t.Errorf("case %+v, %v", opened, err)
		}
		if session, tokens := w.lives(in); session || tokens {
			w.t.Errorf("a session (%t) or a token (%t) lives", session, tokens)
		}
		if p, err := w.svc.People.ByID(ctx, c.Person); err != nil || len(p.Blocks) != 1 {
			w.t.Errorf("blocks %+v, %v", p.Blocks, err)
		}
	})
}

// A site whose revocation fails half way is revoked by the next click.
func TestRevokeSiteFails(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		in := w.login(c, method.Simple, "kakao", "qnet", true)
		cable := w.cable()
		cable.off.Store(true)
		_, err := w.svc.RevokeSite(ctx, c.Visitor, "qnet")
		w.want(err, fault.Unavailable)
		cable.off.Store(false)
		batch, err := w.svc.RevokeSite(ctx, c.Visitor, "qnet")
		if err != nil || len(w.told(batch)) != 1 {
			w.t.Errorf("told %v, %v", w.told(batch), err)
		}
		if _, tokens := w.lives(in); tokens {
			w.t.Error("a token lives")
		}
	})
}
