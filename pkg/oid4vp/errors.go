package oid4vp

import (
	"encoding/json"
	"net/http"
)

// A Code says what kind of failure an error is; it is itself an error, so that a caller can write
// errors.Is(err, oid4vp.ErrNonce).
type Code string

// What can be wrong with an answer, a presentation, or what the caller gave.
const (
	ErrMalformed    Code = "malformed"             // not what the format allows
	ErrTooLarge     Code = "too large"             // over a limit of size, depth or number
	ErrUnsupported  Code = "unsupported"           // well formed, but a format, algorithm or mechanism that is not taken
	ErrMissing      Code = "missing"               // something mandatory is not there
	ErrState        Code = "state mismatch"        // the answer names another request, or none
	ErrDecrypt      Code = "cannot decrypt"        // not encrypted to this request's key; on purpose nobody learns why
	ErrQuery        Code = "not what was asked"    // the answer does not fit the query: ids, number, claims, values, type, authority
	ErrUntrusted    Code = "untrusted"             // the issuer's certificate does not lead to a trusted one, or is not for this
	ErrIssuer       Code = "issuer mismatch"       // the credential names an issuer that its certificate does not
	ErrSignature    Code = "bad signature"         // of the issuer
	ErrDigest       Code = "digest mismatch"       // a disclosed element that the issuer did not sign, or twice
	ErrExpired      Code = "expired"               // the credential, a certificate or a status list
	ErrNotYetValid  Code = "not yet valid"         // the same
	ErrKeyBinding   Code = "bad key binding"       // the holder's signature, or what it is over
	ErrNonce        Code = "nonce mismatch"        // key binding made for another request
	ErrAudience     Code = "audience mismatch"     // key binding made for another verifier
	ErrTime         Code = "time out of window"    // key binding made too long ago, or in the future
	ErrRevoked      Code = "revoked"               // the issuer says so
	ErrSuspended    Code = "suspended"             // the issuer says so, or a status that is not VALID
	ErrUnavailable  Code = "status unavailable"    // the status could not be asked; the wallet may send its answer again
	ErrIncompatible Code = "wallet not compatible" // the wallet says of itself that it cannot answer this request
	ErrInput        Code = "bad input"             // an argument of the caller's is not usable
)

func (c Code) Error() string { return "oid4vp: " + string(c) }

// Error is the error of every function of this package and of those below it. Its text never holds a claim,
// a key or anything else that a wallet has sent, except the names of members.
type Error struct {
	Code Code
	What string // the part that failed, for a developer: "KB-JWT: iat"
	Err  error  // the cause, or nil
}

// Fail makes an error without a cause. It is for verifiers of formats.
func Fail(code Code, what string) error { return &Error{Code: code, What: what} }

// Because makes an error with a cause. It is for verifiers of formats.
func Because(code Code, what string, err error) error {
	return &Error{Code: code, What: what, Err: err}
}

func (e *Error) Error() string {
	text := string(e.Code)
	if e.What != "" {
		text = e.What + ": " + text
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return "oid4vp: " + text
}

// Unwrap gives the code and the cause, so that errors.Is and errors.As find both.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// OAuth is the OAuth 2.0 error code that says it to a wallet: server_error for the caller's own faults,
// temporarily_unavailable when the answer may be sent again, and otherwise one of OpenID4VP §8.5.
func (e *Error) OAuth() string {
	switch e.Code {
	case ErrInput:
		return "server_error"
	case ErrUnavailable:
		return "temporarily_unavailable"
	case ErrUnsupported, ErrIncompatible:
		return "vp_formats_not_supported"
	case ErrUntrusted, ErrExpired, ErrNotYetValid, ErrRevoked, ErrSuspended:
		return "access_denied"
	}
	return "invalid_request"
}

// Status is the HTTP status of an answer with this error: 4xx, except that 500 and 503 stand for
// what is no fault of the wallet's.
func (e *Error) Status() int {
	switch e.Code {
	case ErrInput:
		return http.StatusInternalServerError
	case ErrUnavailable:
		return http.StatusServiceUnavailable
	case ErrTooLarge:
		return http.StatusRequestEntityTooLarge
	case ErrUntrusted, ErrExpired, ErrNotYetValid, ErrRevoked, ErrSuspended:
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

// Answer is the JSON body that says it to a wallet. It names the kind of failure and nothing else.
func (e *Error) Answer() []byte {
	body, err := json.Marshal(map[string]string{"error": e.OAuth(), "error_description": string(e.Code)})
	if err != nil {
		panic(err) // two strings
	}
	return body
}
