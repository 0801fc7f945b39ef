package ca

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// The faults beside those of npkitest, which have the names that they have there. Each can be limited to
// calls with one key: an operation ("ocsp", "crl", "ci"), the organization of an authority ("yessign"), where
// OCSP is asked also the ID of a certificate, and where the resolver is asked a resident number.
const (
	FaultSlow           = "slow"
	FaultServerError    = "server-error"
	FaultUnreachable    = "unreachable"
	FaultRevokedNext    = "revoked-next"
	FaultResolverKey    = "resolver-key"
	FaultResolverOther  = "resolver-other-person"
	FaultResolverBroken = "resolver-malformed"
)

// usualDelay is how long a slow answer takes.
const usualDelay = 10 * time.Second

var faultTable = []sim.Fault{
	{Name: FaultSlow, Meaning: "an answer waits delay_ms, 10 seconds unless said"},
	{Name: FaultServerError, Meaning: "the answer is 500 over HTTP, and unavailable (52) over LDAP"},
	{Name: FaultUnreachable, Meaning: "the connection is closed before anything is done"},
	{Name: FaultRevokedNext, Meaning: "a certificate whose status was just answered by OCSP is revoked right after the answer"},
	{Name: FaultResolverKey, Meaning: "the CI resolver refuses the caller's key"},
	{Name: FaultResolverOther, Meaning: "the CI resolver answers with the CI of another person"},
	{Name: FaultResolverBroken, Meaning: "the CI resolver answers with a CI of 80 characters"},
	{Name: string(npkitest.CRLDown), Meaning: "the directory does not answer"},
	{Name: string(npkitest.CRLStale), Meaning: "the list should have been replaced yesterday"},
	{Name: string(npkitest.CRLOtherPoint), Meaning: "the list is another distribution point's"},
	{Name: string(npkitest.CRLOtherKey), Meaning: "the list is signed by somebody else"},
	{Name: string(npkitest.CRLCritical), Meaning: "the list has a critical extension that nobody knows"},
	{Name: string(npkitest.OCSPDown), Meaning: "the responder does not answer"},
	{Name: string(npkitest.OCSPTryLater), Meaning: "the responder says that it is busy"},
	{Name: string(npkitest.OCSPUnknown), Meaning: "the responder does not know the certificate"},
	{Name: string(npkitest.OCSPStale), Meaning: "the answer should have been replaced yesterday"},
	{Name: string(npkitest.OCSPOtherRoot), Meaning: "the responder is under another root"},
	{Name: string(npkitest.OCSPOtherCA), Meaning: "the responder is another authority's"},
	{Name: string(npkitest.OCSPOtherIssuer), Meaning: "the answer is about another authority's certificate with that number"},
	{Name: string(npkitest.OCSPBare), Meaning: "the answer lacks the responder's certificate"},
	{Name: string(npkitest.OCSPNoUsage), Meaning: "the responder's certificate is not for OCSP"},
	{Name: string(npkitest.OCSPForged), Meaning: "the answer's signature does not fit"},
	{Name: string(npkitest.OCSPNoNonce), Meaning: "the answer leaves the nonce out"},
	{Name: string(npkitest.OCSPWrongNonce), Meaning: "the answer has another nonce"},
}

// The operations, as keys of faults.
const (
	opOCSP = "ocsp"
	opCRL  = "crl"
	opCI   = "ci"
)

// trouble is what the faults about a whole call do to it.
type trouble int

const (
	noTrouble trouble = iota
	broken            // answered by an error
	cut               // not answered
)

// disturb waits as long as a call is to wait, and says what else is wrong with it.
func (s *Simulator) disturb(ctx context.Context, keys []string) trouble {
	if f, struck := s.faults.Strike(FaultSlow, keys...); struck {
		select {
		case <-ctx.Done():
			return cut
		case <-time.After(f.Delay(usualDelay)):
		}
	}
	if _, struck := s.faults.Strike(FaultUnreachable, keys...); struck {
		return cut
	}
	if _, struck := s.faults.Strike(FaultServerError, keys...); struck {
		return broken
	}
	return noTrouble
}

// disturbHTTP does so to an HTTP call, and reports whether the call is over.
func (s *Simulator) disturbHTTP(w http.ResponseWriter, r *http.Request, keys []string) bool {
	switch s.disturb(r.Context(), keys) {
	case cut:
		panic(http.ErrAbortHandler)
	case broken:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return true
	}
	return false
}

// misbehaving lets an authority answer with those of its faults with the prefix that hit the call. While it
// misbehaves nobody else is answered, so that no fault hits a call that it was not meant for.
func (s *Simulator) misbehaving(a *npkitest.Authority, prefix string, keys []string, answer func() ([]byte, error)) ([]byte, error) {
	var struck []npkitest.Fault
	for _, f := range npkitest.Faults() {
		if strings.HasPrefix(string(f), prefix) {
			if _, hit := s.faults.Strike(string(f), keys...); hit {
				struck = append(struck, f)
			}
		}
	}
	if len(struck) == 0 {
		s.answering.RLock()
		defer s.answering.RUnlock()
		return answer()
	}
	s.answering.Lock()
	defer s.answering.Unlock()
	a.Misbehave(struck...)
	defer a.Misbehave()
	return answer()
}
