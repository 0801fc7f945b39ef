package mdoc

import (
	"context"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// Verifier verifies presentations of mdocs that come by redirect or QR code. It is safe for concurrent use.
type Verifier struct {
	Anchors *Anchors
	// Leeway and AllowP384 are as in [Want].
	Leeway    time.Duration
	AllowP384 bool
}

var _ oid4vp.FormatVerifier = (*Verifier)(nil)

// Format is mso_mdoc.
func (*Verifier) Format() string { return oid4vp.FormatMdoc }

// Metadata names the algorithms that are taken (OpenID4VP Appendix B.2.2). Those of a deviceMac are not among them.
func (v *Verifier) Metadata() any {
	algorithms := []int{ES256, ESP256}
	if v.AllowP384 {
		algorithms = append(algorithms, ES384, ESP384)
	}
	return map[string][]int{"issuerauth_alg_values": algorithms, "deviceauth_alg_values": algorithms}
}

// Verify verifies one presentation: a DeviceResponse in base64url. See [Verify] for its errors. The issuer is named
// by the subject of its root, since document signers change every year. The claims are those that the issuer has
// signed; what the device says itself was not asked for, and is refused with ErrQuery.
func (v *Verifier) Verify(_ context.Context, presentation string, query *oid4vp.CredentialQuery, binding oid4vp.Binding) (*oid4vp.Credential, error) {
	if len(presentation) > oid4vp.MaxPresentation {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "DeviceResponse")
	}
	response, err := strict.Base64(presentation)
	if err != nil {
		return nil, malformed("DeviceResponse: base64url")
	}
	transcript, err := RedirectTranscript(binding.ClientID, binding.Nonce, binding.JWKThumbprint, binding.ResponseURI)
	if err != nil {
		return nil, err
	}
	document, err := Verify(response, Want{
		DocType: query.Meta.DoctypeValue, Transcript: transcript, Anchors: v.Anchors, Now: binding.Now,
		Leeway: v.Leeway, AllowP384: v.AllowP384,
	})
	if err != nil {
		return nil, err
	}
	if len(document.DeviceElements) > 0 {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "DeviceNameSpaces")
	}
	root := document.Chain[len(document.Chain)-1]
	return &oid4vp.Credential{
		Format: oid4vp.FormatMdoc, Type: document.DocType,
		Issuer:   oid4vp.Issuer{ID: root.Subject.String(), Chain: document.Chain},
		Holder:   oid4vp.Holder{Key: document.DeviceKey, Method: "deviceSignature"},
		IssuedAt: document.Signed, ValidFrom: document.ValidFrom, ValidUntil: document.ValidUntil,
		Claims: document.Elements.Claims(), Status: document.Status,
	}, nil
}
