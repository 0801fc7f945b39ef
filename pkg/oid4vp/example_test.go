package oid4vp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
)

// A verifier asks for a name, a wallet presents it, and the verifier judges the answer. The answer is not encrypted
// here, to keep the wallet short; leave Mode out for one that is.
func Example() {
	issuer := newIssuer()
	verifier := &oid4vp.Verifier{
		Client:  oid4vp.RedirectURI(),
		Formats: []oid4vp.FormatVerifier{&sdjwt.Verifier{Roots: issuer.anchors}},
	}
	now := time.Now()
	request, err := verifier.NewRequest(oid4vp.RequestOptions{
		Query: oid4vp.Query{Credentials: []oid4vp.CredentialQuery{{
			ID: "identity", Format: oid4vp.FormatSDJWT, Meta: oid4vp.Meta{VCTValues: []string{"urn:kr:identity:1"}},
			Claims: []oid4vp.ClaimQuery{{Path: oid4vp.Path{"family_name"}}},
		}}},
		ResponseURI: "https://op.example/wallet/response/1", Mode: oid4vp.DirectPost, Now: now,
	})
	if err != nil {
		panic(err)
	}
	link, err := oid4vp.ParameterLink(oid4vp.WalletScheme, request) // a link on a phone, or a QR code
	if err != nil {
		panic(err)
	}

	body := issuer.wallet(link, now) // is posted to the response_uri

	response, err := oid4vp.ParseResponse("application/x-www-form-urlencoded", []byte(body))
	if err != nil {
		panic(err)
	}
	result, err := verifier.Verify(context.Background(), request, response, now)
	if err != nil {
		panic(err)
	}
	credential := result.Of("identity")[0]
	fmt.Println(credential.Type, "of", credential.Issuer.ID)
	for _, claim := range credential.Matched {
		fmt.Println(claim.Path, claim.Value)
	}
	// Output:
	// urn:kr:identity:1 of https://issuer.example
	// ["family_name"] 홍
}

type issuer struct {
	anchors *x509.CertPool
	chain   []*x509.Certificate
	key     *ecdsa.PrivateKey
}

func newIssuer() *issuer {
	certificate := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
		raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
		if err != nil {
			panic(err)
		}
		out, err := x509.ParseCertificate(raw)
		if err != nil {
			panic(err)
		}
		return out
	}
	rootKey, key := newKey(), newKey()
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	root = certificate(root, root, rootKey, rootKey)
	leaf := certificate(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Issuer"}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"issuer.example"},
	}, root, key, rootKey)
	out := &issuer{anchors: x509.NewCertPool(), chain: []*x509.Certificate{leaf}, key: key}
	out.anchors.AddCert(root)
	return out
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// wallet answers a request that came by value with a credential that it was just given.
func (i *issuer) wallet(link string, now time.Time) string {
	parsed, err := url.Parse(link)
	if err != nil {
		panic(err)
	}
	request, holder := parsed.Query(), newKey()
	credential, err := sdjwt.Issue(sdjwt.Issuance{
		Claims: map[string]any{
			"iss": "https://issuer.example", "vct": "urn:kr:identity:1",
			"family_name": sdjwt.Hidden{Value: "홍"}, "birthdate": sdjwt.Hidden{Value: "1995-01-12"},
		},
		Holder: holder.Public(), Decoys: 2, Key: i.key, Chain: i.chain,
	})
	if err != nil {
		panic(err)
	}
	selected, err := sdjwt.Select(credential, oid4vp.Path{"family_name"})
	if err != nil {
		panic(err)
	}
	presentation, err := sdjwt.Bind(selected, sdjwt.KeyBinding{
		Key: holder, Nonce: request.Get("nonce"), Audience: request.Get("client_id"), IssuedAt: now,
	})
	if err != nil {
		panic(err)
	}
	return url.Values{"vp_token": {`{"identity":["` + presentation + `"]}`}, "state": {request.Get("state")}}.Encode()
}
