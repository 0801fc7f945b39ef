package npkitest_test

import (
	"fmt"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// A citizen goes to the registration desk, gets a reference number and an authorization code, and fetches the
// certificate at home.
func ExampleAuthority_Apply() {
	pki := npkitest.New(npkitest.Options{})
	ca, err := pki.CA(npkitest.KICA, npkitest.RSA3072)
	if err != nil {
		panic(err)
	}
	ticket, err := ca.Apply(npkitest.Applicant{Name: "홍길동", Number: "9001011234568", Policy: "1.2.410.200004.5.2.1.2"})
	if err != nil {
		panic(err)
	}
	fmt.Println(len(ticket.Reference), len(ticket.Authorization))

	key, err := pki.NewKey(3072)
	if err != nil {
		panic(err)
	}
	r := make([]byte, npki.RSize) // random, in earnest
	certificate, err := ca.Issue(ticket, npkitest.Enrolment{PublicKey: &key.PublicKey, R: r})
	if err != nil {
		panic(err)
	}
	identity, err := certificate.Identity()
	if err != nil {
		panic(err)
	}
	policy, _ := certificate.Policy()
	fmt.Println(identity.RealName, policy.Label(), identity.VID.Verify([]byte("9001011234568"), r))
	_, err = ca.Issue(ticket, npkitest.Enrolment{PublicKey: &key.PublicKey, R: r})
	fmt.Println(err)
	// Output:
	// 10 20
	// 홍길동 개인 범용 <nil>
	// npkitest: reference number and authorization code do not fit, were used, or are too old
}
