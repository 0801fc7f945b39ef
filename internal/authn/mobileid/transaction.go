package mobileid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/secret"
)

// The states of a transaction, with MIP's numbers. Each is moved to by compare-and-swap, from the one before;
// the error may follow any of the first three.
const (
	stateRequested = "0001" // the wallet may fetch the profile
	stateProfile   = "0002" // and has; it may bring a presentation
	stateVerifying = "0003" // and has
	stateVerified  = "0004"
	stateError     = "0005"
	stateConsumed  = "0006" // the journey has taken the result
)

// transaction is a request to a wallet of the national service, as it lies in the store, under a hash of
// its trxcode.
type transaction struct {
	State       string     `json:"state"`
	Nonce       string     `json:"nonce"`             // the profile's
	Profile     string     `json:"profile,omitempty"` // base64url, until it is given
	Mode        authn.Mode `json:"mode"`
	EncryptType int        `json:"encrypt_type"`
	KeyType     int        `json:"key_type"`
	AuthTypes   []string   `json:"auth_types,omitempty"`
	Deadline    time.Time  `json:"deadline"`
	Evidence    string     `json:"evidence,omitempty"` // authn.Evidence, sealed, while verified
	Code        authn.Code `json:"code,omitempty"`     // why the state is error
	MIP         int        `json:"mip,omitempty"`      // the same in MIP's numbers
}

func (t transaction) encode() (string, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("mobileid: transaction: %w", err)
	}
	return string(text), nil
}

// progress is the state as the journey knows it. An error that has a code of its own is handed out by
// complete, like a result.
func (t transaction) progress(now time.Time) authn.State {
	switch t.State {
	case stateVerified, stateConsumed:
		return authn.Approved
	case stateError:
		return progressOf(t.Code)
	}
	if !now.Before(t.Deadline) {
		return authn.Expired
	}
	return authn.Pending
}

// progressOf is the state of a request that a wallet has ended with the code.
func progressOf(code authn.Code) authn.State {
	switch code {
	case authn.UserCancelled:
		return authn.Rejected
	case authn.TooLate:
		return authn.Expired
	case failed:
		return authn.Failed
	}
	return authn.Approved
}

var errNoTransaction = errors.New("mobileid: no such transaction")

// recordOf is the key of a transaction in the store, and what its result is sealed for.
func recordOf(trxcode string) string { return "mip:" + secret.Hash(trxcode) }

// left is how long a record stays: past its deadline, so that whoever comes late learns that.
func left(deadline, now time.Time) time.Duration {
	return max(deadline.Add(2*pickUp).Sub(now), time.Second)
}

func (m *mip) add(ctx context.Context, trxcode string, t transaction) error {
	text, err := t.encode()
	if err != nil {
		return err
	}
	added, err := m.deps.Store.Add(ctx, recordOf(trxcode), text, left(t.Deadline, m.deps.Now()))
	if err == nil && !added {
		err = errors.New("mobileid: the trxcode is taken") // 128 random bits
	}
	return err
}

func (m *mip) load(ctx context.Context, trxcode string) (transaction, string, error) {
	t, text, err := kv.GetJSON[transaction](ctx, m.deps.Store, recordOf(trxcode))
	if errors.Is(err, kv.ErrNotFound) {
		err = errNoTransaction
	}
	return t, text, err
}

func (m *mip) move(ctx context.Context, trxcode, from string, to transaction) (bool, error) {
	text, err := to.encode()
	if err != nil {
		return false, err
	}
	return m.deps.Store.CompareAndSwap(ctx, recordOf(trxcode), from, text, left(to.Deadline, m.deps.Now()))
}

// forget removes a transaction of which no wallet has heard. It would expire anyway.
func (m *mip) forget(ctx context.Context, trxcode string) {
	_, _ = m.deps.Store.Take(context.WithoutCancel(ctx), recordOf(trxcode))
}

// sealEvidence seals a result for its record.
func sealEvidence(box *secret.Box, e authn.Evidence, record string) (string, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("mobileid: evidence: %w", err)
	}
	return box.Seal(text, record), nil
}

// openEvidence opens it. What does not open is lost.
func openEvidence(box *secret.Box, sealed, record string) (e authn.Evidence, err error) {
	text, err := box.Open(sealed, record)
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return authn.Evidence{}, &authn.Error{Code: authn.Indeterminate, Err: errors.New("mobileid: the result does not open")}
	}
	return e, nil
}
