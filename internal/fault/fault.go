// Package fault is the broker's one vocabulary of errors.
//
// Domain packages return a *fault.Error when the caller can do something about what went wrong;
// every other error is internal: it is logged without personal data and shown to nobody. Protocol
// errors (OAuth codes, HTTP statuses, pages) are born at the edge, from the Code.
package fault

import (
	"errors"
	"fmt"
)

// Code says what kind of fault it is, independent of any protocol.
type Code string

// The codes, and what each tells a caller.
const (
	Invalid     Code = "invalid"     // the input is wrong; sending it again will not help
	NotFound    Code = "not_found"   // there is no such thing, or the caller may not know of it
	Conflict    Code = "conflict"    // the thing has changed or is taken; read again and decide
	Denied      Code = "denied"      // the caller may not do this
	Expired     Code = "expired"     // it was right once and is too late now
	Limited     Code = "limited"     // too many attempts; wait
	Unavailable Code = "unavailable" // a store or a counterpart is down; the same call may work later
	Internal    Code = "internal"    // everything else
)

// Error is a fault with a message for the log and for an operator. Message holds no personal data
// and no secret; what a citizen reads is chosen at the page, from Code or from the journey's state.
type Error struct {
	Code    Code
	Message string
	cause   error
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// New returns a fault with a formatted message; %w wraps a cause as in fmt.Errorf.
func New(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// CodeOf returns the code of the first *Error in err's chain, Internal if there is none, and the
// empty code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is reports whether err carries the code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }
