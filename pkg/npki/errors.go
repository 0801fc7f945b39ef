package npki

// A Code says what kind of failure an error is; it is itself an error, so that a caller can write
// errors.Is(err, npki.ErrPassword).
type Code string

// What can be wrong with something that a person holds. The codes of signatures, chains and revocation
// stand where these are checked.
const (
	ErrMalformed   Code = "malformed"      // not what the format allows, or damaged
	ErrTooLarge    Code = "too large"      // over a size, length or work limit; nothing was parsed
	ErrUnsupported Code = "unsupported"    // well formed, but an algorithm or version that is not taken
	ErrPassword    Code = "wrong password" // the file is whole as far as can be seen; the password does not open it
	ErrMismatch    Code = "mismatch"       // two things that must belong together do not: key and certificate, VID and number
	ErrMissing     Code = "missing"        // what was asked for is not in there: no VID, no R, no such recipient
	ErrDecrypt     Code = "cannot decrypt" // a message to us does not open; on purpose nobody learns why
	ErrInput       Code = "bad input"      // an argument of the caller's is not usable
)

func (c Code) Error() string { return "npki: " + string(c) }

// Error is the error of every function of this package. Its text never holds a name, a number, a
// password or key material.
type Error struct {
	Code Code
	What string // the part that failed, for a developer: "EncryptedPrivateKeyInfo: iterations 0"
	Err  error  // the cause, or nil
}

func (e *Error) Error() string {
	text := string(e.Code)
	if e.What != "" {
		text = e.What + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return "npki: " + text
}

// Unwrap gives the code and the cause, so that errors.Is and errors.As find both.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// fail makes an error without a cause.
func fail(code Code, what string) error { return &Error{Code: code, What: what} }

// because makes an error with a cause.
func because(code Code, what string, err error) error {
	return &Error{Code: code, What: what, Err: err}
}
