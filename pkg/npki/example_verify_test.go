package npki_test

import (
	"errors"
	"fmt"

	"github.com/anyid/anyid/pkg/npki"
)

// A person signs a text, and the server compares what was signed with its own copy.
func ExampleVerifySignedData() {
	citizen := holder()
	content := []byte("anyid-login;v=1;nonce=DYlLWjb0VXKKGvJmDp6p3w")
	message, err := npki.SignCMS(citizen.Key.Key, citizen.Certificate.Raw, content, npki.SignOptions{})
	if err != nil {
		panic(err)
	}
	signed, err := npki.VerifySignedData(message, npki.Want{Content: content})
	if err != nil {
		panic(err)
	}
	fmt.Println(signed.Scheme, signed.Hash, signed.HadAttributes)

	_, err = npki.VerifySignedData(message, npki.Want{Content: []byte("anyid-login;v=1;nonce=another")})
	fmt.Println(errors.Is(err, npki.ErrContent))
	// Output:
	// RSASSA-PKCS1-v1_5 SHA-256 true
	// true
}

// A person lets the CA tell their name and CI to one site; another site cannot use the request.
func ExampleVerifyUCPIDRequest() {
	citizen := holder()
	nonce := []byte("0123456789abcdef") // random, in earnest
	message, err := npki.SignUCPIDRequest(citizen.Key.Key, citizen.Certificate.Raw, &npki.UCPIDRequest{
		Nonce: nonce, Agreement: "이름과 연계정보의 제공에 동의합니다.", Items: npki.UCPIDRealName | npki.UCPIDCI,
		Module: "anyid npki signer", Vendor: "ANYID", Version: npki.UCPIDVersion{Major: 1}, Site: "login.example.kr",
	}, npki.SignOptions{})
	if err != nil {
		panic(err)
	}
	for _, site := range []string{"login.example.kr", "phish.example.kr"} {
		_, _, err := npki.VerifyUCPIDRequest(message, npki.Want{Attributes: npki.Required}, npki.UCPIDWant{
			Nonce: nonce, Site: site, Agreement: "이름과 연계정보의 제공에 동의합니다.", Items: npki.UCPIDRealName | npki.UCPIDCI,
		})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// npki: UCPIDRequestInfo: made for another site
}
