package revocation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

// typed fails a fuzz test whose parser takes too long, or gives an error without a code.
func typed(t *testing.T, start time.Time, err error) {
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
	if _, ok := errors.AsType[*npki.Error](err); err != nil && !ok {
		t.Errorf("untyped error %v", err)
	}
}

func FuzzParseList(f *testing.F) {
	w := newWorld(f)
	point := w.person.Certificate.CRLDistributionPoints[0]
	f.Add(w.list(npkitest.List{Point: point}))
	f.Add(w.list(npkitest.List{Point: point, Number: 3, Base: 2}))
	if err := w.ca.Revoke(w.person.Certificate.SerialNumber, 1); err != nil {
		f.Fatal(err)
	}
	f.Add(w.list(npkitest.List{Whole: true, Freshest: "ldap://directory.invalid/x"}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		start := time.Now()
		list, err := revocation.ParseList(raw, w.ca.Certificate)
		typed(t, start, err)
		if err == nil && (list.NextUpdate.IsZero() || len(list.Raw) != len(raw)) {
			t.Error("accepted without nextUpdate, or in part")
		}
	})
}

func FuzzVerifyAnswer(f *testing.F) {
	w := newWorld(f)
	q := w.question()
	for _, faults := range [][]npkitest.Fault{nil, {npkitest.OCSPBare}, {npkitest.OCSPUnknown}, {npkitest.OCSPTryLater}, {npkitest.OCSPOtherIssuer}} {
		f.Add(w.answer(q, faults...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		start := time.Now()
		answer, err := q.Verify(raw, noon)
		typed(t, start, err)
		if err == nil && answer.Responder == nil {
			t.Error("accepted without a responder")
		}
	})
}

// FuzzPoints reads distribution points and scopes as an attacker's certificate, or a broken list, has them.
func FuzzPoints(f *testing.F) {
	f.Add(points("ldap://directory.invalid:389/ou=dp4p64"))
	f.Add(scope("ldap://directory.invalid:389/ou=dp4p64", 1).Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		start := time.Now()
		typed(t, start, revocation.ReadPoints(value))
		typed(t, start, revocation.ReadScope(value))
	})
}
