package oid4vp

import (
	"context"
	"slices"
	"time"
)

// A Verifier asks wallets and judges their answers. It does not change, and serves any number of callers at once.
type Verifier struct {
	Client  *Client
	Formats []FormatVerifier // one for each format that is asked for
	// Status says whether a credential still holds. Without it, credentials that have a status are refused.
	Status StatusChecker
}

// A Result is what a wallet has presented, all of it verified.
type Result struct {
	Credentials []Verified // in the order of the query
	Encrypted   bool       // whether the answer was
}

// A Verified is a credential that answers a query.
type Verified struct {
	QueryID string
	Credential
	// Matched are the claims that were asked for, in the order of the query. What was disclosed beyond them has
	// been verified too, and is in Claims.
	Matched []Claim
	// Presentation is what all this was verified from, as it stood in vp_token: for who must keep evidence.
	Presentation string
}

// Of gives the credentials for the query with an id; more than one only if the query says multiple.
func (r *Result) Of(id string) []Verified {
	return slices.DeleteFunc(slices.Clone(r.Credentials), func(v Verified) bool { return v.QueryID != id })
}

func (v *Verifier) format(name string) (FormatVerifier, error) {
	for _, format := range v.Formats {
		if format.Format() == name {
			return format, nil
		}
	}
	return nil, Fail(ErrInput, "no verifier for the format "+name)
}

// Verify opens an answer to a request and verifies everything in it: that the request has not expired, encryption and
// state; that exactly what the query asks for is there, and nothing beside it; every presentation by its format;
// trusted authorities, claims and values; and last, by way of Status, whether the credentials still hold. It does
// not know whether the request was answered before: the caller moves it on once.
//
// The error is a *WalletError if the wallet presents nothing, and otherwise an *Error, whose codes are those of
// FormatVerifier and StatusChecker, ErrState, ErrExpired (the request), ErrDecrypt, ErrMalformed, ErrTooLarge,
// ErrUnsupported, ErrQuery, and ErrInput.
func (v *Verifier) Verify(ctx context.Context, request *Request, response *Response, now time.Time) (*Result, error) {
	if !now.Before(request.Expires) {
		return nil, Fail(ErrExpired, "request")
	}
	answer, err := response.open(request)
	if err != nil {
		return nil, err
	}
	if err := request.Query.fits(answer.token); err != nil {
		return nil, err
	}
	binding := Binding{
		ClientID: request.ClientID, Nonce: request.Nonce, ResponseURI: request.ResponseURI,
		JWKThumbprint: answer.thumbprint, Now: now,
	}
	result := &Result{Encrypted: answer.thumbprint != nil}
	for i := range request.Query.Credentials {
		query := &request.Query.Credentials[i]
		for _, presentation := range answer.token[query.ID] {
			verified, err := v.one(ctx, presentation, query, binding)
			if err != nil {
				return nil, err
			}
			result.Credentials = append(result.Credentials, *verified)
		}
	}
	// Asked last, so that nobody can make us fetch who has no valid credential.
	for _, credential := range result.Credentials {
		if credential.Status == nil {
			continue
		}
		if v.Status == nil {
			return nil, Fail(ErrUnsupported, credential.QueryID+": status")
		}
		if err := v.Status.CheckStatus(ctx, *credential.Status, now); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// one verifies a presentation, all but its status.
func (v *Verifier) one(ctx context.Context, presentation string, query *CredentialQuery, binding Binding) (*Verified, error) {
	format, err := v.format(query.Format)
	if err != nil {
		return nil, err
	}
	credential, err := format.Verify(ctx, presentation, query, binding)
	if err != nil {
		return nil, err
	}
	if !query.trusts(credential.Issuer) {
		return nil, Fail(ErrQuery, query.ID+": trusted authorities")
	}
	out := &Verified{QueryID: query.ID, Credential: *credential, Presentation: presentation}
	if out.Matched, err = query.match(credential); err != nil {
		return nil, err
	}
	return out, nil
}

// fits says whether vp_token has presentations for ids of the query, one for each unless it says multiple, no two
// the same, and a combination that was asked for.
func (q *Query) fits(token map[string][]string) error {
	if len(token) == 0 {
		return Fail(ErrQuery, "vp_token: empty")
	}
	came := map[string]bool{}
	for id, presentations := range token {
		query, ok := q.credential(id)
		if !ok {
			return Fail(ErrQuery, "vp_token: an id that was not asked for")
		}
		if len(presentations) > 1 && !query.Multiple {
			return Fail(ErrQuery, "vp_token: more than one presentation of "+query.ID)
		}
		for i, presentation := range presentations {
			if slices.Contains(presentations[:i], presentation) {
				return Fail(ErrQuery, "vp_token: a presentation twice")
			}
		}
		came[id] = true
	}
	if !q.complete(came) {
		return Fail(ErrQuery, "vp_token: not a combination that was asked for")
	}
	return nil
}
