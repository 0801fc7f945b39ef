package sdjwt

import (
	"context"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

// Types of an SD-JWT VC in the header typ. The second is the older name, before November 2024.
const (
	Type       = "dc+sd-jwt"
	LegacyType = "vc+sd-jwt"
)

// Verifier verifies presentations of SD-JWT VCs (OpenID4VP Appendix B.3, HAIP §6.1) whose issuer is known by the
// certificate in x5c. It does not change, and serves any number of callers at once.
type Verifier struct {
	// Roots are the pinned anchors of issuers. Without them, every presentation is refused with
	// oid4vp.ErrInput.
	Roots *x509.CertPool
	// Algorithms are those of the issuer's and the holder's signatures, among ES256, ES384 and EdDSA; nil is
	// ES256.
	Algorithms []string
	// TakeLegacyType takes LegacyType too.
	TakeLegacyType bool
	// Skew is how far other clocks may be from ours, for both ends of a credential's validity and for the
	// time of the key binding; 0 is DefaultSkew.
	Skew time.Duration
	// CheckIssuer says whether an issuer with this certificate chain may call itself iss, in place of
	// MatchIssuer: for issuers whose names the operator has pinned to their anchors.
	CheckIssuer func(iss string, chain []*x509.Certificate) error
}

var _ oid4vp.FormatVerifier = (*Verifier)(nil)

// Format is oid4vp.FormatSDJWT.
func (v *Verifier) Format() string { return oid4vp.FormatSDJWT }

// Metadata is the value of dc+sd-jwt in vp_formats_supported (OpenID4VP Appendix B.3.4).
func (v *Verifier) Metadata() any {
	algorithms := v.Algorithms
	if algorithms == nil {
		algorithms = []string{"ES256"}
	}
	return map[string]any{"sd-jwt_alg_values": algorithms, "kb-jwt_alg_values": algorithms}
}

// permanent are the claims that must not be selectively disclosable (SD-JWT VC §3.2.2.2).
var permanent = []string{"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"}

// Verify verifies one presentation: type, chain, issuer's signature, disclosures, validity, vct, iss, and the
// key binding to this request. Whether the status in the result holds is asked by oid4vp.Verifier.
//
// The codes of its errors are those of Parse, Chain, VerifySignature, Claims and VerifyKeyBinding,
// oid4vp.ErrExpired, ErrNotYetValid, ErrQuery (another vct), and ErrIssuer.
func (v *Verifier) Verify(_ context.Context, presentation string, query *oid4vp.CredentialQuery, binding oid4vp.Binding) (*oid4vp.Credential, error) {
	t, err := Parse(presentation, v.Algorithms)
	if err != nil {
		return nil, err
	}
	types := []string{Type, LegacyType}
	if !v.TakeLegacyType {
		types = types[:1]
	}
	if err := t.issuer.CheckType(types...); err != nil {
		return nil, err
	}
	chain, err := t.Chain(v.Roots, binding.Now)
	if err != nil {
		return nil, err
	}
	if err := t.VerifySignature(chain[0].PublicKey); err != nil {
		return nil, err
	}
	claims, err := t.Claims()
	if err != nil {
		return nil, err
	}
	for _, name := range permanent {
		if _, ok := claims[name]; !ok {
			continue
		}
		if _, ok := t.Payload[name]; !ok {
			return nil, oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT VC: "+name+" is selectively disclosed")
		}
	}

	out := &oid4vp.Credential{Format: oid4vp.FormatSDJWT, Claims: claims, Issuer: oid4vp.Issuer{Chain: chain}}
	if out.Type, _ = t.Payload["vct"].(string); out.Type == "" {
		return nil, oid4vp.Fail(oid4vp.ErrMissing, "SD-JWT VC: vct")
	}
	if !slices.Contains(query.Meta.VCTValues, out.Type) {
		return nil, oid4vp.Fail(oid4vp.ErrQuery, "SD-JWT VC: vct")
	}
	if err := v.readTimes(t, out, binding.Now); err != nil {
		return nil, err
	}
	if out.Issuer.ID, err = v.issuerID(t.Payload["iss"], chain); err != nil {
		return nil, err
	}
	if status, ok := t.Payload["status"]; ok {
		if out.Status, err = statuslist.ParseReference(status); err != nil {
			return nil, err
		}
	}
	out.Holder, err = t.VerifyKeyBinding(KeyBindingWant{
		Audience: binding.ClientID, Nonce: binding.Nonce, Algorithms: v.Algorithms, Now: binding.Now, Skew: v.Skew,
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (v *Verifier) readTimes(t *Token, out *oid4vp.Credential, now time.Time) error {
	skew := v.Skew
	if skew == 0 {
		skew = DefaultSkew
	}
	var err error
	if out.IssuedAt, err = t.issuer.Time("iat"); err != nil {
		return err
	}
	if out.IssuedAt.After(now.Add(skew)) {
		return oid4vp.Fail(oid4vp.ErrNotYetValid, "SD-JWT: iat")
	}
	out.ValidFrom, out.ValidUntil, err = t.issuer.Validity(now, skew)
	return err
}

// issuerID is iss where it is there, and fits; otherwise the certificate's subject is the issuer (SD-JWT VC §3.5).
func (v *Verifier) issuerID(claim any, chain []*x509.Certificate) (string, error) {
	if claim == nil {
		return chain[0].Subject.String(), nil
	}
	iss, ok := claim.(string)
	if !ok || iss == "" {
		return "", oid4vp.Fail(oid4vp.ErrMalformed, "SD-JWT VC: iss")
	}
	check := v.CheckIssuer
	if check == nil {
		check = MatchIssuer
	}
	if err := check(iss, chain); err != nil {
		return "", oid4vp.Because(oid4vp.ErrIssuer, "SD-JWT VC: iss", err)
	}
	return iss, nil
}

// MatchIssuer says whether the certificate names the issuer: by a uniformResourceIdentifier that is iss, or,
// if iss is an https URL, by a dNSName that is its host. The code of its error is oid4vp.ErrIssuer.
func MatchIssuer(iss string, chain []*x509.Certificate) error {
	leaf := chain[0]
	for _, uri := range leaf.URIs {
		if uri.String() == iss {
			return nil
		}
	}
	if uri, err := url.Parse(iss); err == nil && uri.Scheme == "https" && uri.User == nil {
		for _, name := range leaf.DNSNames {
			if strings.EqualFold(name, uri.Hostname()) {
				return nil
			}
		}
	}
	return oid4vp.Fail(oid4vp.ErrIssuer, "not in the certificate")
}
