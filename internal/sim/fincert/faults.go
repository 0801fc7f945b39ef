package fincert

import "github.com/anyid/anyid/internal/sim"

// The faults. Each can be limited to calls with one key: an operation ("token", "ucpid", "sign"), or a
// certSeqNum where a signature is made.
const (
	FaultSlow            = "slow"
	FaultServerError     = "server-error"
	FaultUnreachable     = "unreachable"
	FaultTokenRefused    = "token-refused"
	FaultTokenExpired    = "token-expired"
	FaultRefused         = "ucpid-refused"
	FaultMalformed       = "malformed-answer"
	FaultWrongDN         = "wrong-dn"
	FaultWrongCI         = "wrong-ci"
	FaultMalformedCI     = "malformed-ci"
	FaultMissingCI       = "missing-ci"
	FaultMissingCI2      = "missing-ci2"
	FaultWrongName       = "wrong-name"
	FaultUserCancel      = "user-cancel"
	FaultBusy            = "busy"
	FaultWrongSignature  = "wrong-signature"
	FaultReplay          = "replay"
	FaultOtherNonce      = "other-nonce"
	FaultOtherSite       = "other-site"
	FaultOtherAgreement  = "other-agreement"
	FaultMoreItems       = "more-items"
	FaultExpired         = "expired-certificate"
	FaultNotYetValid     = "not-yet-valid-certificate"
	FaultRevoked         = "revoked-certificate"
	FaultHeld            = "held-certificate"
	FaultJoint           = "joint-certificate"
	FaultBusiness        = "business-certificate"
	FaultOtherAuthority  = "other-authority"
	FaultForgedAuthority = "forged-authority"
)

var faultTable = []sim.Fault{
	{Name: FaultSlow, Meaning: "every REST call waits delay_ms, 10 seconds unless said, before it is answered"},
	{Name: FaultServerError, Meaning: "every REST call answers 500 without JSON"},
	{Name: FaultUnreachable, Meaning: "every REST call's connection is closed before anything is done"},
	{Name: FaultTokenRefused, Meaning: "the token service answers 900101"},
	{Name: FaultTokenExpired, Meaning: "the API answers 900102, and the token that was used is dead from then on"},
	{Name: FaultRefused, Meaning: "ucpid-info answers 900401, as for a signature that it does not take"},
	{Name: FaultMalformed, Meaning: "a REST call answers 200 with half of its JSON"},
	{Name: FaultWrongDN, Meaning: "ucpid-info names the subject of another certificate"},
	{Name: FaultWrongCI, Meaning: "ucpid-info carries the CI of another person"},
	{Name: FaultMalformedCI, Meaning: "ucpid-info carries a CI of 80 characters"},
	{Name: FaultMissingCI, Meaning: "ucpid-info carries no CI"},
	{Name: FaultMissingCI2, Meaning: "ucpid-info leaves ci2 and ci_update out"},
	{Name: FaultWrongName, Meaning: "ucpid-info carries another real_name than the certificate"},
	{Name: FaultUserCancel, Meaning: "the citizen turns out to have cancelled (800000)"},
	{Name: FaultBusy, Meaning: "the signer is busy with something else (100008)"},
	{Name: FaultWrongSignature, Meaning: "the signature does not verify"},
	{Name: FaultReplay, Meaning: "the answer is the one before, by the same certificate"},
	{Name: FaultOtherNonce, Meaning: "what is signed has another ucpidNonce, or another nonce= in its text"},
	{Name: FaultOtherSite, Meaning: "what is signed names another site (ispUrlInfo)"},
	{Name: FaultOtherAgreement, Meaning: "what is signed has another userAgreement"},
	{Name: FaultMoreItems, Meaning: "what is signed agrees to all items, whatever was asked for"},
	{Name: FaultExpired, Meaning: "the certificate has expired, and the signing time lies in its validity"},
	{Name: FaultNotYetValid, Meaning: "the certificate's validity begins tomorrow"},
	{Name: FaultRevoked, Meaning: "the certificate is revoked right after it has signed"},
	{Name: FaultHeld, Meaning: "the certificate is suspended right after it has signed"},
	{Name: FaultJoint, Meaning: "a joint certificate of the same person and authority signs"},
	{Name: FaultBusiness, Meaning: "a business's financial certificate signs"},
	{Name: FaultOtherAuthority, Meaning: "a certificate with the right policy, issued by another authority, signs"},
	{Name: FaultForgedAuthority, Meaning: "a certificate signs whose issuer has yessign's name, but not its key"},
}
