package agency

import "github.com/anyid/anyid/internal/sim"

// The faults. Each can be limited to calls with one key: an interface ("nice", "checkplus", "kcb", "danal"), an
// operation ("token", "order", "window", "result"), or a phone number where a result is told.
const (
	FaultSlow              = "slow"
	FaultServerError       = "server-error"
	FaultUnreachable       = "unreachable"
	FaultMalformed         = "malformed-answer"
	FaultTokenRefused      = "token-refused"
	FaultTokenExpired      = "token-expired"
	FaultNoPermission      = "no-permission"
	FaultUnregistered      = "unregistered-address"
	FaultClosedWindow      = "closed-window"
	FaultOtherReturn       = "other-return"
	FaultFetchedBefore     = "fetched-before"
	FaultAnswerLost        = "answer-lost"
	FaultWrongIntegrity    = "wrong-integrity"
	FaultWrongTag          = "wrong-tag"
	FaultOtherKeySlices    = "other-key-slices"
	FaultOtherRequest      = "other-request"
	FaultOtherService      = "other-service"
	FaultOtherPerson       = "other-person"
	FaultMalformedCI       = "malformed-ci"
	FaultMissingCI         = "missing-ci"
	FaultMissingName       = "missing-name"
	FaultMalformedBirth    = "malformed-birth-date"
	FaultForeigner         = "foreigner"
	FaultMVNO              = "mvno"
	FaultEUCKR             = "euc-kr"
	FaultResidentNumber    = "resident-number"
	FaultUnknownResultCode = "unknown-result-code"
)

var faultTable = []sim.Fault{
	{Name: FaultSlow, Meaning: "every call waits delay_ms, 10 seconds unless said, before it is answered"},
	{Name: FaultServerError, Meaning: "every call answers 500 without JSON, before anything is done"},
	{Name: FaultUnreachable, Meaning: "every call's connection is closed before anything is done"},
	{Name: FaultMalformed, Meaning: "every call answers 200 with half of its answer"},
	{Name: FaultTokenRefused, Meaning: "the account is refused (1002; the older interface: 1800)"},
	{Name: FaultTokenExpired, Meaning: "the access token that is used has expired (1003), and is dead from then on"},
	{Name: FaultNoPermission, Meaning: "the contract does not cover what is ordered (1006; the older interface: 0003)"},
	{Name: FaultUnregistered, Meaning: "the caller's address is not registered (1007)"},
	{Name: FaultClosedWindow, Meaning: "the window closes at the citizen's first step, as if they had pressed its button"},
	{Name: FaultOtherReturn, Meaning: "the browser returns with a transaction of another window"},
	{Name: FaultFetchedBefore, Meaning: "the result turns out to have been handed out before (3033)"},
	{Name: FaultAnswerLost, Meaning: "the result is handed out, and the connection closes instead of the answer"},
	{Name: FaultWrongIntegrity, Meaning: "the result's integrity value is wrong"},
	{Name: FaultWrongTag, Meaning: "the result does not decrypt, though its integrity value is right: GCM tag, or CBC padding"},
	{Name: FaultOtherKeySlices, Meaning: "NICE's keys are sliced the other way: raw instead of text, or text instead of raw"},
	{Name: FaultOtherRequest, Meaning: "the result has the request number of another order"},
	{Name: FaultOtherService, Meaning: "the older interface's result says that it is of a card"},
	{Name: FaultOtherPerson, Meaning: "the result has the CI of another person"},
	{Name: FaultMalformedCI, Meaning: "the result has a CI of 80 characters"},
	{Name: FaultMissingCI, Meaning: "the result has no CI"},
	{Name: FaultMissingName, Meaning: "the result has no name"},
	{Name: FaultMalformedBirth, Meaning: "the result's birth date is no day"},
	{Name: FaultForeigner, Meaning: "the result says that the person is a foreigner"},
	{Name: FaultMVNO, Meaning: "the result says that the carrier is an MVNO (알뜰폰)"},
	{Name: FaultEUCKR, Meaning: "the older interface's and Danal's results are in EUC-KR, without utf8_name"},
	{Name: FaultResidentNumber, Meaning: "the result carries a resident registration number, which nobody asked for"},
	{Name: FaultUnknownResultCode, Meaning: "the result has a code that no document has (9876)"},
}

// The interfaces.
const (
	niceAPI      = "nice"
	checkPlusAPI = "checkplus"
	kcbAPI       = "kcb"
	danalAPI     = "danal"
)

// The operations.
const (
	opToken  = "token"
	opOrder  = "order"
	opWindow = "window"
	opResult = "result"
)
