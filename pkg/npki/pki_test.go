package npki_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// noon is when the tests of this file's package play.
var noon = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

const (
	personGeneral   = "1.2.410.200005.1.1.1"    // 개인 범용, yessign
	personBank      = "1.2.410.200005.1.1.4"    // 개인 은행/보험, yessign
	corporateBank   = "1.2.410.200005.1.1.2"    // 법인 은행, yessign
	personFinancial = "1.2.410.200005.1.1.1.10" // 금융인증서
	kicaGeneral     = "1.2.410.200004.5.2.1.2"  // 개인 범용, KICA
	residentNumber  = "0101019000007"           // of nobody alive
)

// world is a PKI with its anchors and a person in it; nobody changes it.
type world struct {
	pki     *npkitest.PKI
	anchors *npki.Anchors
	yessign *npkitest.Authority
	person  *npkitest.Holder
}

var shared = sync.OnceValue(func() *world {
	w := &world{pki: npkitest.New(npkitest.Options{Now: func() time.Time { return noon }})}
	var err [3]error
	w.anchors, err[0] = w.pki.Anchors()
	w.yessign, err[1] = w.pki.CA(npkitest.Yessign, npkitest.RSA2048)
	w.person, err[2] = w.yessign.Enroll(npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: residentNumber, Policy: personGeneral})
	if problem := errors.Join(err[:]...); problem != nil {
		panic(problem)
	}
	return w
})

// enroll gives a new person or company with a certificate.
func enroll(t testing.TB, a *npkitest.Authority, applicant npkitest.Applicant) *npkitest.Holder {
	t.Helper()
	h, err := a.Enroll(applicant)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// sign signs as a holder.
func sign(t testing.TB, h *npkitest.Holder, content string, options npki.SignOptions) []byte {
	t.Helper()
	if options.Time.IsZero() {
		options.Time = noon
	}
	message, err := h.Sign([]byte(content), options)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// wantCode demands an error with a code.
func wantCode(t testing.TB, err error, code npki.Code) {
	t.Helper()
	if e, ok := errors.AsType[*npki.Error](err); !ok || e.Code != code {
		t.Errorf("error %v, want code %q", err, code)
	}
}

func errorsAs(err error) (*npki.Error, bool) { return errors.AsType[*npki.Error](err) }

// loginChain is what a login takes: a person's certificate for general use or for banks.
var loginChain = npki.ChainOptions{Policies: []string{personGeneral, personBank, kicaGeneral}, Holder: npki.Person, Time: noon}
