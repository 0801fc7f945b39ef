package account

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
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
	First     bool // it is the one of the first registration
	Blocked   bool // the person wants no login by it
	Removable bool // RemoveMethod would not leave the person without a way to log in
}

// Block is a method or a provider by which the person wants nobody to log in as them.
type Block struct {
	person.Block
	// Liftable says that Unblock lifts it. What a dispute has blocked stays so until its case is closed.
	Liftable bool
}

// Methods lists the visitor's methods and blocks.
func (s *Service) Methods(ctx context.Context, v Visitor) (Methods, error) {
	return Methods{}, errPending
}

// RemoveMethod takes one of their methods from the visitor, and ends the sessions that were made by it. The last
// one, and the last one that is not blocked, stays: fault.Conflict.
func (s *Service) RemoveMethod(ctx context.Context, v Visitor, m method.Method, id string) error {
	return errPending
}

// Block lets nobody log in as the visitor by the method, or by one provider of it where provider is not empty, now
// and in future, whether it is linked or not; sessions that were made by it end. What the visitor has verified
// with just now cannot be blocked: fault.Conflict. What is no method that logs in is fault.Invalid.
func (s *Service) Block(ctx context.Context, v Visitor, m method.Method, provider string) error {
	return errPending
}

// Unblock lifts one of the visitor's own blocks. One that a dispute has set is lifted with its case only:
// fault.Conflict.
func (s *Service) Unblock(ctx context.Context, v Visitor, m method.Method, provider string) error {
	return errPending
}
