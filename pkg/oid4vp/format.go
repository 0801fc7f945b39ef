package oid4vp

import (
	"context"
	"crypto"
	"crypto/x509"
	"time"
)

// Binding is what ties a presentation to one request: a presentation that was made for another verifier, another
// request or another encryption key does not fit it.
type Binding struct {
	ClientID      string // with its prefix, as the wallet saw it
	Nonce         string
	ResponseURI   string
	JWKThumbprint []byte    // SHA-256 (RFC 7638) of the key that the answer was encrypted to; nil if it was not encrypted
	Now           time.Time // the moment of judgement, never zero
}

// A FormatVerifier verifies presentations of one credential format. It holds the trust anchors and the policy
// for that format, keeps nothing between calls, and serves any number of callers at once.
type FormatVerifier interface {
	// Format is the credential format identifier (OpenID4VP Appendix B): "dc+sd-jwt" or "mso_mdoc".
	Format() string
	// Metadata is the value that the format has in client_metadata.vp_formats_supported; it marshals to a
	// JSON object.
	Metadata() any
	// Verify verifies one presentation: everything that this format defines, from the issuer's chain over
	// digests and validity to the binding, and that the credential is of a type that query.Meta names. What is
	// common to all formats is checked by Verifier: trusted authorities, claims and their values, status.
	//
	// The presentation is as it stood in vp_token, at most MaxPresentation bytes. The query has been validated
	// and is of this format. Errors are *Error.
	Verify(ctx context.Context, presentation string, query *CredentialQuery, binding Binding) (*Credential, error)
}

// A Credential is what a FormatVerifier has verified of one presentation.
type Credential struct {
	Format string // credential format identifier
	Type   string // vct of an SD-JWT VC, docType of an mdoc
	Issuer Issuer
	Holder Holder

	IssuedAt   time.Time // as the issuer says; zero if it does not
	ValidFrom  time.Time // zero if unlimited
	ValidUntil time.Time // zero if unlimited

	// Claims are all that the issuer signed and the wallet has disclosed, as a tree of map[string]any, []any,
	// string, json.Number, bool and nil. An SD-JWT VC has its claims at the top, its registered ones (iss, vct,
	// cnf ...) among them; an mdoc has its namespaces there, and the elements below. An mdoc's byte strings
	// are []byte, its tdate is a string in the form of RFC 3339, and its full-date one in the form 2006-01-02.
	Claims map[string]any
	// Status says where to ask whether the credential still holds; nil if it has no status. Verifier asks.
	Status *StatusReference
}

// An Issuer is who has signed a credential.
type Issuer struct {
	// ID names the issuer for good, so that it can scope a claim: iss where the credential has one that fits
	// the certificate, otherwise the subject of the certificate (RFC 2253 form).
	ID string
	// Chain is the verified path from the certificate that signed to the trust anchor.
	Chain []*x509.Certificate
}

// Certificate is the one whose key has signed the credential.
func (i Issuer) Certificate() *x509.Certificate {
	if len(i.Chain) == 0 {
		return nil
	}
	return i.Chain[0]
}

// A Holder is the proof that whoever answered holds the key to which the credential was issued.
type Holder struct {
	Key      crypto.PublicKey // *ecdsa.PublicKey or ed25519.PublicKey
	Method   string           // how it was proved: "kb+jwt" or "deviceSignature"
	IssuedAt time.Time        // when, as the wallet says; zero if the format does not tell
}

// A StatusReference is a place in a Token Status List.
type StatusReference struct {
	URI   string // of the list: https, without fragment; http on the loopback only
	Index uint64
}

// A StatusChecker says whether a credential still holds: nil for VALID, otherwise an *Error with
// ErrRevoked, ErrSuspended, ErrUnavailable, or what is wrong with the list.
type StatusChecker interface {
	CheckStatus(ctx context.Context, reference StatusReference, now time.Time) error
}
