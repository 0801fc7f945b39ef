package account

import (
	"context"
	"time"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
	"github.com/anyid/anyid/internal/session"
)

// AlertView is what whoever holds an alert's code is shown: what happened, and nothing about the person.
type AlertView struct {
	Kind        notice.Kind
	Method      method.Method
	Provider    string
	Site        string // client id; may be empty
	SiteName    string // in Korean
	SiteEnglish string
	At          time.Time
	Origin      session.Origin
	Disputed    bool // it was disputed already
}

// Alert returns what the code's alert is about, or fault.NotFound.
func (s *Service) Alert(ctx context.Context, code string) (AlertView, error) {
	return AlertView{}, errPending
}

// Dispute says for whoever holds an alert's code that it was not them (내가 아님): sessions and tokens end, the method
// is blocked, and a case is opened for the operators. v has Address, Browser and Locale only. A code serves once: then
// it gives fault.Conflict, an unknown one fault.NotFound.
func (s *Service) Dispute(ctx context.Context, code string, v Visitor) (notice.Case, error) {
	return notice.Case{}, errPending
}

// DisputeRecord says the same of an entry of the visitor's own history (Record.ID, Record.Disputable).
func (s *Service) DisputeRecord(ctx context.Context, v Visitor, event string) (notice.Case, error) {
	return notice.Case{}, errPending
}

// CloseCase closes a case for an operator, whose name the event has, and lifts what it blocked. One that is closed
// already gives fault.Conflict.
func (s *Service) CloseCase(ctx context.Context, operator, id, note string) error { return errPending }

// errPending answers until the sessions' end is there to build on.
var errPending = fault.New(fault.Unavailable, "account: not available yet")
