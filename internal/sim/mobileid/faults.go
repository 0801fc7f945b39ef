package mobileid

import "github.com/anyid/anyid/internal/sim"

// The faults. Each can be limited to calls with one key: a phone number, a protocol ("mip", "openid4vp"), for
// presentations the format too ("dc+sd-jwt", "mso_mdoc"), or an operation ("push", "documents", "statuses", "profile",
// "decrypt", "status-list").
const (
	FaultSlow        = "slow"
	FaultServerError = "server-error"
	FaultUnreachable = "unreachable"

	FaultNoReceiver = "no-receiver"
	FaultPushFails  = "push-fails"

	FaultPresentFirst     = "present-first"
	FaultProfileTwice     = "profile-twice"
	FaultStringCode       = "string-errcode"
	FaultCancel           = "cancel"
	FaultLate             = "late"
	FaultReplay           = "replay"
	FaultTwice            = "twice"
	FaultWrongNonce       = "wrong-nonce"
	FaultNonceContains    = "nonce-contains"
	FaultWrongSignature   = "wrong-signature"
	FaultOtherHolder      = "other-holder"
	FaultMixedParent      = "mixed-parent"
	FaultExpired          = "expired"
	FaultOtherIssuer      = "issuer-not-allowed"
	FaultRevoked          = "revoked"
	FaultNeedRenew        = "need-renew"
	FaultNeedRenewAddress = "need-renew-address"
	FaultMissingCI        = "ci-missing"
	FaultMalformedCI      = "ci-malformed"
	FaultUndecryptable    = "undecryptable"

	FaultAlgNone           = "alg-none"
	FaultOtherAudience     = "other-audience"
	FaultBareAudience      = "audience-without-prefix"
	FaultWrongSDHash       = "wrong-sd-hash"
	FaultDuplicateDigest   = "duplicate-digest"
	FaultUnknownDisclosure = "unknown-disclosure"
	FaultReencoded         = "re-encoded"
	FaultWrongTranscript   = "wrong-transcript"
	FaultWrongThumbprint   = "wrong-thumbprint"
	FaultBomb              = "status-list-bomb"
	FaultPlainError        = "unencrypted-error"
	FaultCodeTwice         = "response-code-twice"
)

var faultTable = []sim.Fault{
	{Name: FaultSlow, Meaning: "ports, push service and status lists wait delay_ms, 10 seconds unless said, before they answer"},
	{Name: FaultServerError, Meaning: "they answer 500"},
	{Name: FaultUnreachable, Meaning: "they close the connection"},

	{Name: FaultNoReceiver, Meaning: "the push service knows no app at that number (10305)"},
	{Name: FaultPushFails, Meaning: "the push service fails (10399)"},

	{Name: FaultPresentFirst, Meaning: "MIP: the wallet sends M400 before M310, and then goes on"},
	{Name: FaultProfileTwice, Meaning: "MIP: the wallet sends M310 twice"},
	{Name: FaultStringCode, Meaning: "MIP: errcode in M900 is a string"},
	{Name: FaultCancel, Meaning: "an approval turns out to be the opposite: 20901, access_denied"},
	{Name: FaultLate, Meaning: "the answer is sent delay_ms later, four minutes unless said"},
	{Name: FaultReplay, Meaning: "the answer is the wallet's one before, if there was one"},
	{Name: FaultTwice, Meaning: "the answer is sent a second time"},
	{Name: FaultWrongNonce, Meaning: "the holder signs another nonce"},
	{Name: FaultNonceContains, Meaning: "MIP: the holder signs a nonce that contains ours, and more in front of it"},
	{Name: FaultWrongSignature, Meaning: "the holder's signature does not verify"},
	{Name: FaultOtherHolder, Meaning: "MIP: the last credential is another holder's; OpenID4VP: another key than the credential's signs"},
	{Name: FaultMixedParent, Meaning: "MIP: the last credential has another parentId"},
	{Name: FaultExpired, Meaning: "the credential, in MIP the last one, has expired"},
	{Name: FaultOtherIssuer, Meaning: "the credential, in MIP the last one, is by an issuer who is not on the list"},
	{Name: FaultRevoked, Meaning: "the credential, in MIP the last one that is asked about, is revoked"},
	{Name: FaultNeedRenew, Meaning: "MIP: the status of the last credential is NEED_RENEW, with the memo 갱신필요"},
	{Name: FaultNeedRenewAddress, Meaning: "MIP: the same with the memo 주소변경, which is good"},
	{Name: FaultMissingCI, Meaning: "there is no CI behind the nonce, or among the claims"},
	{Name: FaultMalformedCI, Meaning: "the CI has 80 characters"},
	{Name: FaultUndecryptable, Meaning: "the answer is encrypted to somebody else"},

	{Name: FaultAlgNone, Meaning: "SD-JWT: the issuer's JWT has alg none"},
	{Name: FaultOtherAudience, Meaning: "OpenID4VP: the key binding, or the transcript, is for another verifier"},
	{Name: FaultBareAudience, Meaning: "SD-JWT: aud of the key binding lacks the client identifier's prefix"},
	{Name: FaultWrongSDHash, Meaning: "SD-JWT: sd_hash leaves the last tilde out"},
	{Name: FaultDuplicateDigest, Meaning: "SD-JWT: a digest occurs twice"},
	{Name: FaultUnknownDisclosure, Meaning: "SD-JWT: a disclosure that the issuer did not sign comes too"},
	{Name: FaultReencoded, Meaning: "mdoc: an element is encoded anew, so that its bytes are others"},
	{Name: FaultWrongTranscript, Meaning: "mdoc: the transcript has another response_uri"},
	{Name: FaultWrongThumbprint, Meaning: "mdoc: the transcript has the thumbprint of another key"},
	{Name: FaultBomb, Meaning: "OpenID4VP: the status list expands to 16 MiB"},
	{Name: FaultPlainError, Meaning: "OpenID4VP: a refusal comes unencrypted"},
	{Name: FaultCodeTwice, Meaning: "OpenID4VP: the wallet opens the redirect_uri itself before the browser does"},
}
