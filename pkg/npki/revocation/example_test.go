package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
	"github.com/anyid/anyid/pkg/npki/revocation"
)

// A whole login: the server makes a content that is used once, the citizen signs it, and the server asks
// three questions, each of which must be answered well: is the signature good, is the certificate of an
// accepted kind and trusted, and does it still hold?
func Example() {
	pki := npkitest.New(npkitest.Options{})
	ca, err := pki.CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		panic(err)
	}
	citizen, err := ca.Enroll(npkitest.Applicant{Name: "홍길동", Number: "9001011234568", Policy: "1.2.410.200005.1.1.4"})
	if err != nil {
		panic(err)
	}
	anchors, err := pki.Anchors() // a deployment uses npki.NewAnchors
	if err != nil {
		panic(err)
	}
	checker, err := revocation.New(revocation.Config{
		Fetcher: pki, // a deployment asks the directories of the CAs
		Hosts:   []string{"directory.invalid:389"},
		Grace:   2 * time.Hour,
	})
	if err != nil {
		panic(err)
	}

	login := func(content, message []byte) {
		signed, err := npki.VerifySignedData(message, npki.Want{Content: content, Attributes: npki.Required})
		if err != nil {
			fmt.Println(err)
			return
		}
		chain, err := anchors.VerifyChain(signed.Certificate, npki.ChainOptions{
			Policies: []string{"1.2.410.200005.1.1.1", "1.2.410.200005.1.1.4"}, Holder: npki.Person,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		evidence, err := checker.Check(context.Background(), chain)
		switch {
		case errors.Is(err, npki.ErrHeld):
			fmt.Println("on hold")
			return
		case err != nil:
			fmt.Println(err)
			return
		}
		identity, err := chain.Certificate.Identity()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(identity.RealName, chain.Policy.CA.Name, chain.Policy.Label(), evidence.Method, evidence.Overdue)
	}

	content := []byte("anyid-login;v=1;nonce=DYlLWjb0VXKKGvJmDp6p3w")
	message, err := citizen.Sign(content, npki.SignOptions{})
	if err != nil {
		panic(err)
	}
	login(content, message)
	login([]byte("anyid-login;v=1;nonce=another"), message)
	if err := ca.Hold(citizen.Certificate.SerialNumber); err != nil {
		panic(err)
	}
	checker.Forget() // or wait for the next list
	login(content, message)
	// Output:
	// 홍길동 금융결제원 개인 은행/보험/카드/민원 crl 0s
	// npki: SignedData: other content
	// on hold
}
