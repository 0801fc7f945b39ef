package outbox

import (
	"context"
	"errors"
)

// failure is why a delivery failed.
type failure struct {
	code      string
	permanent bool
	cause     error
}

func (f *failure) Error() string { return f.code + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// Permanent says that a delivery failed, and will again: it is given up. The code is a word of ours, such as
// "status_404"; it becomes Item.Error, and is all that is logged.
func Permanent(code string, err error) error { return &failure{code, true, err} }

// Temporary says that a delivery failed, and may succeed later. The code is as with Permanent.
func Temporary(code string, err error) error { return &failure{code, false, err} }

// Outcome is the code of a handler's error, and whether it is permanent. An error without a code is temporary:
// "timeout", or "failed".
func Outcome(err error) (code string, permanent bool) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code, f.permanent
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout", false
	}
	return "failed", false
}
