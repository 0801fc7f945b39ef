package simple

import "github.com/anyid/anyid/internal/sim"

// The faults. Each can be limited to calls with one key: a provider ("kakao"), a phone number, a
// receipt, or an operation ("token", "request", "status", "verify").
const (
	FaultSlow           = "slow"
	FaultServerError    = "server-error"
	FaultUnreachable    = "unreachable"
	FaultTokenExpired   = "token-expired"
	FaultReject         = "reject"
	FaultExpire         = "expire"
	FaultUnprocessed    = "unprocessed"
	FaultEarlyComplete  = "early-complete"
	FaultVerifyTwice    = "verify-twice"
	FaultReplay         = "replay"
	FaultAnswerLost     = "answer-lost"
	FaultWrongSignature = "wrong-signature"
	FaultForeignToken   = "foreign-token"
	FaultWrongCI        = "wrong-ci"
	FaultMalformedCI    = "malformed-ci"
	FaultWrongTag       = "wrong-tag"
)

var faultTable = []sim.Fault{
	{Name: FaultSlow, Meaning: "every call waits delay_ms, 10 seconds unless said, before it is answered"},
	{Name: FaultServerError, Meaning: "every call answers 500 with the code -99999999, before anything is done"},
	{Name: FaultUnreachable, Meaning: "every call's connection is closed before anything is done"},
	{Name: FaultTokenExpired, Meaning: "the API answers 401, and the session token that was used is dead from then on"},
	{Name: FaultReject, Meaning: "a waiting request turns out to be refused on the phone (state 3)"},
	{Name: FaultExpire, Meaning: "a waiting request turns out to have expired (state 2)"},
	{Name: FaultUnprocessed, Meaning: "a waiting request turns out to be unprocessed (state 5, 미처리)"},
	{Name: FaultEarlyComplete, Meaning: "status says that the request is completed before the citizen has signed"},
	{Name: FaultVerifyTwice, Meaning: "a verification does not count, so that the next one answers again"},
	{Name: FaultReplay, Meaning: "a verification answers with the result of an older request at the same provider"},
	{Name: FaultAnswerLost, Meaning: "a verification counts, and the connection closes instead of the answer"},
	{Name: FaultWrongSignature, Meaning: "the signature in signedData does not verify"},
	{Name: FaultForeignToken, Meaning: "signedData is a good signature over a text that is not the institution's token"},
	{Name: FaultWrongCI, Meaning: "the answer carries the CI of another person"},
	{Name: FaultMalformedCI, Meaning: "the answer carries a CI of 80 characters"},
	{Name: FaultWrongTag, Meaning: "the answer's personal fields are in AES-256-GCM with a wrong tag"},
}
