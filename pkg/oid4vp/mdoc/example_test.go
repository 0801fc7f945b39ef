package mdoc_test

import (
	"context"
	"fmt"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
)

// A verifier takes a wallet's answer to its own request, and to no other.
func ExampleVerifier() {
	w := shared()
	verifier := &mdoc.Verifier{Anchors: w.anchors}
	query := &oid4vp.CredentialQuery{ID: "mdl", Format: oid4vp.FormatMdoc, Meta: oid4vp.Meta{DoctypeValue: "org.iso.18013.5.1.mDL"}}
	credential, err := verifier.Verify(context.Background(), walletAnswer(w), query, w.binding)
	if err != nil {
		panic(err)
	}
	fmt.Println(credential.Claims["org.iso.18013.5.1"].(map[string]any)["birth_date"], credential.Issuer.ID)

	replayed := w.binding
	replayed.Nonce = "of another request"
	_, err = verifier.Verify(context.Background(), walletAnswer(w), query, replayed)
	fmt.Println(err)
	// Output:
	// 1995-01-12 CN=IACA Test,C=KR
	// oid4vp: deviceSignature: bad key binding: verification error
}
