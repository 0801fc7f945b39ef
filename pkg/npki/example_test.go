package npki_test

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// holder is somebody with a certificate of a test authority.
func holder() *npkitest.Holder {
	ca, err := npkitest.New(npkitest.Options{}).CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		panic(err)
	}
	h, err := ca.Enroll(npkitest.Applicant{Name: "홍길동", Number: "9001011234568", Policy: "1.2.410.200005.1.1.4"})
	if err != nil {
		panic(err)
	}
	return h
}

func ExampleParsePair() {
	files, err := holder().Files([]byte("correct horse 1!"), npki.Encryption{}) // signCert.der and signPri.key
	if err != nil {
		panic(err)
	}
	for _, password := range []string{"wrong", "correct horse 1!"} {
		pair, err := npki.ParsePair(files["signCert.der"], files["signPri.key"], []byte(password))
		if errors.Is(err, npki.ErrPassword) {
			fmt.Println("wrong password")
			continue
		}
		if err != nil {
			panic(err)
		}
		identity, err := pair.Certificate.Identity()
		if err != nil {
			panic(err)
		}
		policy, _ := pair.Certificate.Policy()
		fmt.Println(identity.RealName, policy.CA.Name, policy.Label())
		fmt.Println("R:", len(pair.Key.R), "bytes")
		pair.Key.Wipe()
	}
	// Output:
	// wrong password
	// 홍길동 금융결제원 개인 은행/보험/카드/민원
	// R: 20 bytes
}

func ExampleChangePassword() {
	files, err := holder().Files([]byte("old"), npki.Encryption{})
	if err != nil {
		panic(err)
	}
	changed, err := npki.ChangePassword(files["signPri.key"], []byte("old"), []byte("new"))
	if err != nil {
		panic(err)
	}
	_, err = npki.ParsePrivateKey(changed, []byte("old"))
	fmt.Println(err)
	_, err = npki.ParsePrivateKey(changed, []byte("new"))
	fmt.Println(err)
	// Output:
	// npki: EncryptedPrivateKeyInfo: wrong password
	// <nil>
}

// A PFX that every Korean program reads becomes PEM that every other one reads.
func ExampleBundle_MarshalPEM() {
	h := holder()
	b := &npki.Bundle{Pairs: []npki.Pair{{Certificate: h.Certificate, Key: h.Key}}}
	pfx, err := b.MarshalPFX(npki.Encryption{}, []byte("password"))
	if err != nil {
		panic(err)
	}
	opened, err := npki.ParsePFX(pfx, []byte("password"))
	if err != nil {
		panic(err)
	}
	defer opened.Wipe()
	pem, err := opened.MarshalPEM(npki.Encryption{}, []byte("password"))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(pem[:27]))
	// Output:
	// -----BEGIN CERTIFICATE-----
}

func ExampleVID_Verify() {
	h := holder()
	identity, err := h.Certificate.Identity()
	if err != nil {
		panic(err)
	}
	for _, number := range []string{"9001011234568", "0101019000007"} {
		fmt.Println(identity.VID.Verify([]byte(number), h.Key.R))
	}
	// Output:
	// <nil>
	// npki: VID: mismatch
}

func ExampleComputeVID() {
	r, err := hex.DecodeString("000102030405060708090a0b0c0d0e0f10111213")
	if err != nil {
		panic(err)
	}
	vid, err := npki.ComputeVID(crypto.SHA256, []byte("9001011234568"), r)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%x\n", vid.Value)
	// Output:
	// 44030642077922aef464b617b2257f74e8c37e5e982fabf7df25b414bca9f098
}

func ExampleVIDMsg() {
	h := holder()
	server, err := npkitest.New(npkitest.Options{}).NewKey(2048)
	if err != nil {
		panic(err)
	}
	text, err := npki.VIDMsg{R: h.Key.R}.Seal(nil, &server.PublicKey)
	if err != nil {
		panic(err)
	}
	message, err := npki.OpenVIDMsg(server, text)
	if err != nil {
		panic(err)
	}
	defer message.Wipe()
	identity, err := h.Certificate.Identity()
	if err != nil {
		panic(err)
	}
	fmt.Println(message.VerifyVID(*identity.VID, []byte("9001011234568")))
	// Output:
	// <nil>
}

func ExampleName_String() {
	name, err := holder().Certificate.SubjectName()
	if err != nil {
		panic(err)
	}
	fmt.Println(name.All("ou"), name.Last("o"), name.BankCode())
	// Output:
	// [personal4IB] yessign 0088
}

func ExamplePolicyByOID() {
	for _, oid := range []string{"1.2.410.200005.1.1.1", "1.2.410.200005.1.1.1.10"} {
		policy, ok := npki.PolicyByOID(oid)
		fmt.Println(ok, policy.CA.Name, policy.Label())
	}
	// Output:
	// true 금융결제원 개인 범용
	// true 금융결제원 개인 금융인증서
}

func ExampleCheckResident() {
	person, err := npki.CheckResident([]byte("9001011234568"), time.Now())
	fmt.Println(person.Year, person.Month, person.Day, person.Sex, err)
	// Output:
	// 1990 January 1 male <nil>
}
