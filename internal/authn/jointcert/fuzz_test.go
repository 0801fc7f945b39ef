package jointcert_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/authn"
)

// FuzzAnswer holds whatever a browser may send to an *authn.Error or to evidence of the one person there is.
func FuzzAnswer(f *testing.F) {
	w := newWorld(f, withNumber, withResolver)
	who := w.person(general)
	at := w.begin()
	good := w.sign(at, who)
	message := w.vid(who)
	f.Add(good.Signed, good.UCPID, message, number)
	f.Add(good.UCPID, good.Signed, strings.ToUpper(message), "0101019000001")
	f.Add("", "", "", "")
	f.Add("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----", "3000", "00", "9912313000000")
	f.Add(good.Signed[:len(good.Signed)/2], strings.Repeat("A", 100), message[:512], "000229-3000000")
	evidence, err := w.Verify(f.Context(), at, good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signed, ucpid, vid, digits string) {
		sure := func(err error) {
			if _, ok := errors.AsType[*authn.Error](err); err != nil && !ok {
				t.Fatalf("not an *authn.Error: %v", err)
			}
		}
		answer := authn.Answer{Signed: signed, UCPID: ucpid}
		e, err := w.Verify(t.Context(), at, answer)
		sure(err)
		if err == nil && e.Subject != evidence.Subject {
			t.Fatal("somebody else")
		}
		e, err = w.Identify(t.Context(), at, answer, evidence)
		sure(err)
		if err == nil && e.CI != ci(1) {
			t.Fatal("somebody else's CI")
		}
		e, err = w.CheckNumber(t.Context(), evidence, authn.ResidentNumber{Digits: []byte(digits), Message: vid})
		sure(err)
		if err == nil && (digits != number || e.CI != ci(2)) {
			t.Fatal("another number")
		}
	})
}
