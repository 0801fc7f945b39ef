package account

import (
	"context"
	"io"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/method"
)

// Outcome is how a thing ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success" // somebody proved who they are, or was told who came
	Refused Outcome = "refused" // a proof or a request was not let through
	Change  Outcome = "change"  // something of the registration is different since
)

// Outcomes lists them.
func Outcomes() []Outcome { return []Outcome{Success, Refused, Change} }

// Record is one thing in a person's history (인증 이력).
type Record struct {
	ID       string            `json:"id"`
	At       time.Time         `json:"at"`
	Action   audit.Action      `json:"action"`
	Outcome  Outcome           `json:"outcome"`
	Site     string            `json:"site,omitempty"`      // client id
	SiteName string            `json:"site_name,omitempty"` // in the visitor's language
	Method   method.Method     `json:"method,omitempty"`
	Provider string            `json:"provider,omitempty"` // authn.Provider.ID
	Level    method.Level      `json:"level,omitempty"`
	Address  string            `json:"address,omitempty"` // where it was done from
	Browser  string            `json:"browser,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"` // codes
	// Disputable says that the person may say that it was not them (Service.DisputeRecord).
	Disputable bool `json:"-"`
}

// Filter chooses among records. What is zero does not choose.
type Filter struct {
	From    time.Time // the first moment
	To      time.Time // the first moment after
	Site    string
	Method  method.Method
	Outcome Outcome
}

// History returns up to limit records that the filter lets through, newest first, after the cursor; and the cursor
// after which the next ones come: the zero cursor when there are none. It goes back as far as Retention.History.
func (s *Service) History(ctx context.Context, v Visitor, f Filter, after audit.Cursor, limit int) ([]Record, audit.Cursor, error) {
	return nil, audit.Cursor{}, errPending
}

// The forms of WriteHistory.
const (
	CSV  = "csv"  // RFC 4180, UTF-8 with a byte order mark, Korean words
	JSON = "json" // an array of Record
)

// WriteHistory writes all records that the filter lets through, newest first, in the format. Nothing is written
// when the format is unknown (fault.Invalid) or the first records cannot be read.
func (s *Service) WriteHistory(ctx context.Context, w io.Writer, v Visitor, f Filter, format string) error {
	return errPending
}
