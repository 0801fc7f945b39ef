// Package oid4vp is the verifier's side of OpenID for Verifiable Presentations 1.0 (OpenID4VP) with its High
// Assurance Interoperability Profile 1.0 (HAIP): what asks a wallet for credentials, and what judges its answer.
//
// # A request
//
// A [Query] says in the Digital Credentials Query Language which credentials are wanted. A [Client] is the verifier
// as wallets know it, and a [Verifier] what it asks and trusts. [Verifier.NewRequest] makes a [Request] with a nonce,
// a state and an encryption key of its own, which the caller keeps, sealed, until it expires.
// [Verifier.RequestObject] is what the request_uri serves, as often as it is asked for, and [Request.Parameters]
// the same by value. [RequestURILink] and [ParameterLink] lead to the wallet, on the same device or as a QR code. HAIP is
// a client made with [X509Hash] and the mode [DirectPostJWT].
//
// # An answer
//
// [ParseResponse] reads what a wallet posts to the response_uri, and [Verifier.Verify] opens and verifies it before
// the wallet is answered ([Accepted], or [Error.Answer]): the encryption, the state, the structure against the query,
// each presentation by the [FormatVerifier] of its format, the trusted authorities, the claims and their values, and
// the status. Nothing in a presentation goes unchecked, and no presentation that was not asked for may stand beside it. The
// [Result] lists the claims that were asked for, with the issuer's certificates and the key binding; what a
// wallet has disclosed beyond them is verified as well.
//
// Formats are packages of their own: sdjwt for dc+sd-jwt and mdoc for mso_mdoc. Package statuslist tells whether
// a credential still holds.
//
// # Rules
//
// No function opens a connection or a file, and none keeps what it was given; a [StatusChecker] may ask the
// network, and it is the caller's. The time of judgement is an argument. Trust anchors are configuration: the package
// contains none, and never takes those of the operating system.
//
// All input is hostile. Base64url is taken only as an encoder writes it, JSON only without doubled names, and
// everything has limits of size, depth and number. Every error is an [*Error] (or a [*WalletError], which is the wallet's
// own), whose [Code] errors.Is finds,
// and which knows its OAuth error code and HTTP status. Errors hold neither claims nor keys.
//
// # What the caller owns
//
// The HTTP server, the store, and with them what ties a result to a browser. A request has one answer: the caller
// moves it on exactly once. The state is known to the wallet, and must not be what the browser shows to get the
// result. On the same device, the result belongs to the session that began, and only after the redirect came back
// into it (OpenID4VP §13.3).
//
// # Sources
//
// OpenID4VP 1.0, HAIP 1.0, RFC 9101 (request objects), RFC 7515 and 7516 (JWS, JWE), RFC 7638 (thumbprints),
// RFC 9901 (SD-JWT), SD-JWT VC, ISO/IEC 18013-5, Token Status List.
package oid4vp
