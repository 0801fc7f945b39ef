package simple

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/anyid/anyid/internal/authn"
)

// Barocert's error codes are a provider's two digits followed by six that mean the same at each: only
// Toss's (46) are published, and those of the others are read alike.
const (
	codePrepare    = "300001" // 본인인증 준비 실패
	codeRequest    = "300002" // 본인인증 요청 실패
	codePending    = "300016" // 서명 또는 상태확인 미완료
	codeOutOfOrder = "-99999999"
)

// isCode reports whether a provider's code is -PP followed by those six digits.
func isCode(code, six string) bool {
	return len(code) == len("-PP")+len(six) && strings.HasPrefix(code, "-4") && strings.HasSuffix(code, six)
}

// isPending reports whether a code says that the citizen has not answered yet.
func isPending(code string) bool { return isCode(code, codePending) }

// neutral translates a failed call that had no one-shot effect.
func neutral(err error) *authn.Error {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	out := &authn.Error{Code: authn.BadRequest, Provider: f.code, Err: f}
	switch {
	case f.status == http.StatusUnauthorized || f.status == http.StatusForbidden:
		out.Code = authn.ProviderAuth
	case f.status < 400, f.status == http.StatusTooManyRequests, f.status >= 500, f.code == codeOutOfOrder, f.err != nil:
		out.Code = authn.ProviderDown
	case isPending(f.code):
		out.Code = authn.NotReady
	}
	return out
}

// beginError translates a failed request. A provider that cannot prepare or send one to this person
// does not tell whether nobody has that name and number or they hold no certificate there: either way
// the citizen looks at what they typed, or chooses another.
func beginError(err error) *authn.Error {
	out := neutral(err)
	if out.Code == authn.BadRequest && (isCode(out.Provider, codePrepare) || isCode(out.Provider, codeRequest)) {
		out.Code = authn.NoCredential
	}
	return out
}

// statusError translates a failed status call.
func statusError(err error) *authn.Error { return neutral(err) }

// completeError translates a failed verification.
func (a *Adapter) completeError(ctx context.Context, p *provider, h handle, err error) *authn.Error {
	out := neutral(err)
	f, ok := errors.AsType[*failure](err)
	if !ok || out.Code == authn.ProviderAuth || out.Code == authn.NotReady || f.unsent || f.status == http.StatusTooManyRequests {
		return out
	}
	if out.Code == authn.ProviderDown {
		// No answer, or a gateway's: the proof may have been handed out behind it.
		out.Code = authn.Indeterminate
		return out
	}
	// A refusal. Its code does not tell why, and the state does.
	switch state, statusErr := a.status(ctx, p, h); {
	case statusErr != nil:
		out.Code = authn.Indeterminate
	case state == authn.Pending:
		out.Code = authn.NotReady
	case state == authn.Expired:
		out.Code = authn.TooLate
	case state == authn.Rejected:
		out.Code = authn.UserCancelled
	case state == authn.Approved:
		out.Code = authn.AlreadyUsed // completed, and handed out before or no longer
	default:
		out.Code = authn.BadEvidence // failed, where the caller saw it completed
	}
	return out
}
