package npki

// What can be wrong with a signature, with the certificate behind it, or with its status.
const (
	ErrSignature   Code = "bad signature"         // the signature or a digest in it does not fit
	ErrContent     Code = "other content"         // a good signature, perhaps, but of something else than was asked for
	ErrNonce       Code = "wrong nonce"           // an answer to another question, or to none
	ErrSite        Code = "made for another site" // a UCPID request that names another relying party
	ErrConsent     Code = "other consent"         // a UCPID request that agrees to more, or to another text, than was shown
	ErrUsage       Code = "wrong key usage"       // the certificate is not for this: an encryption key, a CA
	ErrExpired     Code = "expired"               // the certificate's validity is over
	ErrNotYetValid Code = "not yet valid"         // the certificate's validity has not begun
	ErrPolicy      Code = "policy not accepted"   // a certificate of a kind that is not taken here
	ErrUntrusted   Code = "no trusted chain"      // not issued by a configured CA under a configured root
	ErrTestRoot    Code = "test root"             // a root of a test hierarchy among the production anchors
	ErrRevoked     Code = "revoked"               // taken back for good
	ErrHeld        Code = "on hold"               // suspended by its holder or its CA
	ErrStatus      Code = "status not known"      // nobody answered reliably whether the certificate is revoked
)
