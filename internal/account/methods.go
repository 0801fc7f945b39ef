package account

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/session"
)

// Methods is by what a person can log in.
type Methods struct {
	First  method.Method // of the first registration
	Linked []Credential  // oldest first
	Blocks []Block       // oldest first
}

// Credential is a method that is a person's own, and by which proof.
type Credential struct {
	ID        string // opaque; person.Link.Subject
	Method    method.Method
	Provider  string
	Rule      method.Rule // of the linking matrix, by which it was linked
	Binding   string      // authn.Binding of the proof
	LinkedAt  time.Time
	First     bool // it is of the method of the first registration
	Blocked   bool // the person wants no login by it
	Removable bool // RemoveMethod would leave the person a way to log in
}

// Block is a method or a provider by which the person wants nobody to log in as them.
type Block struct {
	person.Block
	// Liftable says that Unblock lifts it. What a dispute has blocked stays so until its case is closed.
	Liftable bool
}

// maxBlocks bounds a person's blocks: more than there are methods and providers.
const maxBlocks = 64

// Methods lists the visitor's methods and blocks.
func (s *Service) Methods(ctx context.Context, v Visitor) (Methods, error) {
	p, err := s.People.ByID(ctx, v.Person)
	if err != nil {
		return Methods{}, err
	}
	links, err := s.People.Links(ctx, p.ID)
	if err != nil {
		return Methods{}, err
	}
	m := Methods{First: p.First, Linked: make([]Credential, 0, len(links)), Blocks: make([]Block, 0, len(p.Blocks))}
	for _, l := range links {
		m.Linked = append(m.Linked, Credential{
			ID: l.Subject, Method: l.Method, Provider: l.Provider, Rule: l.Rule, Binding: l.Binding, LinkedAt: l.LinkedAt,
			First: l.Method == p.First, Blocked: p.Blocked(l.Method, l.Provider), Removable: p.MayLose(links, l.Method, l.Subject),
		})
	}
	for _, b := range p.Blocks {
		open, err := s.disputed(ctx, b)
		if err != nil {
			return Methods{}, err
		}
		m.Blocks = append(m.Blocks, Block{Block: b, Liftable: !open})
	}
	return m, nil
}

// RemoveMethod takes one of their methods from the visitor, and ends the sessions that were made by it. The last
// one, and the last one that is not blocked, stays: fault.Conflict.
func (s *Service) RemoveMethod(ctx context.Context, v Visitor, m method.Method, id string) error {
	ctx, done := undisturbed(ctx)
	defer done()
	links, err := s.People.Links(ctx, v.Person)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(links, func(l person.Link) bool { return l.Method == m && l.Subject == id })
	if i < 0 {
		return s.denied(ctx, v, "method")
	}
	gone := links[i]
	event := s.event(v, audit.MethodUnlinked)
	event.Detail = map[string]string{"method": string(gone.Method), "provider": gone.Provider}
	if err := s.People.RemoveLink(ctx, v.Person, m, id, person.Along{Events: []audit.Event{event}}); err != nil {
		return err
	}
	rest := slices.Delete(links, i, i+1)
	return s.endMadeBy(ctx, v, func(e session.Entry) bool {
		return e.Method == gone.Method && e.Provider == gone.Provider &&
			!slices.ContainsFunc(rest, func(l person.Link) bool { return l.Method == e.Method && l.Provider == e.Provider })
	})
}

// Block lets nobody log in as the visitor by the method, or by one provider of it where provider is not empty, now
// and in future, whether it is linked or not; sessions that were made by it end. What the visitor has verified
// with just now cannot be blocked: fault.Conflict. What does not log in is fault.Invalid.
func (s *Service) Block(ctx context.Context, v Visitor, m method.Method, provider string) error {
	ctx, done := undisturbed(ctx)
	defer done()
	if _, err := method.Parse(string(m)); err != nil || !isProvider(provider) {
		return fault.New(fault.Invalid, "account: nobody logs in so")
	}
	if m == v.Method && (provider == "" || v.Provider == "" || provider == v.Provider) {
		return fault.New(fault.Conflict, "account: the visitor has come by what they would block")
	}
	event := s.event(v, audit.MethodBlocked)
	event.Detail = map[string]string{"method": string(m), "provider": provider}
	err := s.People.Update(ctx, v.Person, func(p *person.Person) error {
		switch {
		case slices.ContainsFunc(p.Blocks, own(m, provider)):
			return errUnchanged
		case len(p.Blocks) >= maxBlocks:
			return fault.New(fault.Limited, "account: too many blocks")
		}
		p.Blocks = append(p.Blocks, person.Block{Method: m, Provider: provider, At: event.At})
		return nil
	}, person.Along{Events: []audit.Event{event}})
	if err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	return s.endMadeBy(ctx, v, func(e session.Entry) bool {
		return e.Method == m && (provider == "" || e.Provider == provider)
	})
}

// own finds the block that the person has set for exactly the method and the provider.
func own(m method.Method, provider string) func(person.Block) bool {
	return func(b person.Block) bool { return b.Method == m && b.Provider == provider && b.Case == "" }
}

// isProvider reports whether it may be an authn.Provider.ID, or empty.
func isProvider(id string) bool {
	return len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// Unblock lifts one of the visitor's own blocks. One that a dispute has set is lifted with its case only: it stays, and
// where there is no other, fault.Conflict is returned.
func (s *Service) Unblock(ctx context.Context, v Visitor, m method.Method, provider string) error {
	p, err := s.People.ByID(ctx, v.Person)
	if err != nil {
		return err
	}
	var theirs bool
	lift := map[string]bool{} // by Block.Case
	for _, b := range p.Blocks {
		if b.Method != m || b.Provider != provider {
			continue
		}
		theirs = true
		open, err := s.disputed(ctx, b)
		if err != nil {
			return err
		}
		lift[b.Case] = !open
	}
	if !theirs {
		return s.denied(ctx, v, "block")
	}
	event := s.event(v, audit.MethodUnblocked)
	event.Detail = map[string]string{"method": string(m), "provider": provider}
	err = s.People.Update(ctx, v.Person, func(p *person.Person) error {
		before := len(p.Blocks)
		p.Blocks = slices.DeleteFunc(p.Blocks, func(b person.Block) bool {
			return b.Method == m && b.Provider == provider && lift[b.Case]
		})
		if len(p.Blocks) == before {
			return errUnchanged
		}
		return nil
	}, person.Along{Events: []audit.Event{event}})
	if errors.Is(err, errUnchanged) {
		return fault.New(fault.Conflict, "account: a case has set the block")
	}
	return err
}

// disputed reports whether the block belongs to a case that is open. One whose dispute was interrupted before it
// opened its case belongs to none.
func (s *Service) disputed(ctx context.Context, b person.Block) (bool, error) {
	if b.Case == "" {
		return false, nil
	}
	c, err := s.Alerts.Case(ctx, b.Case)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && c.State == notice.Open, err
}
