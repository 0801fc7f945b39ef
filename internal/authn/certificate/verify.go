package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
)

// Signature is a verified signature by the trusted certificate of a person. Whether the certificate has
// been revoked is the question of Evidence.
type Signature struct {
	Chain    *npki.Chain
	RealName string    // of the holder, as the authority states it; NFC
	VID      *npki.VID // nil where the certificate has none
	Digest   string    // SHA-256 of what came, hex
}

// CMS verifies a SignedData, as sent by a form, by a person's certificate with one of the policies.
// Errors are an *authn.Error.
func (v *Verifier) CMS(message string, want npki.Want, policies []string) (*Signature, error) {
	der, err := npki.DecodeMessage(message)
	if err != nil {
		return nil, refused(err)
	}
	signed, err := npki.VerifySignedData(der, want)
	if err != nil {
		return nil, refused(err)
	}
	sum := sha256.Sum256(der)
	return v.trusted(signed.Certificate, policies, sum)
}

// UCPID verifies a signed request for the holder's identity, as sent by a form, where that is the login's
// signature too: the nonce in it is the challenge. Errors are an *authn.Error.
func (v *Verifier) UCPID(message string, want npki.Want, ask npki.UCPIDWant, policies []string) (*Signature, error) {
	der, err := npki.DecodeMessage(message)
	if err != nil {
		return nil, refused(err)
	}
	signed, _, err := npki.VerifyUCPIDRequest(der, want, ask)
	if err != nil {
		return nil, refused(err)
	}
	return v.trusted(signed.Certificate, policies, sha256.Sum256(der))
}

// Bare verifies a signature without a SignedData around it, beside the signer's certificate; both as sent
// by a form. Errors are an *authn.Error.
func (v *Verifier) Bare(certificate, signature string, scheme npki.SignatureScheme, content []byte, policies []string) (*Signature, error) {
	der, err := npki.DecodeMessage(certificate)
	if err != nil {
		return nil, refused(err)
	}
	signer, err := npki.ParseCertificate(der)
	if err != nil {
		return nil, refused(err)
	}
	raw, err := npki.DecodeMessage(signature)
	if err != nil {
		return nil, refused(err)
	}
	if err := npki.VerifySignature(signer.Certificate, scheme, content, raw); err != nil {
		return nil, refused(err)
	}
	return v.trusted(signer, policies, sha256.Sum256(slices.Concat(der, raw)))
}

// trusted goes on from a signature that verifies to who has made it.
func (v *Verifier) trusted(signer *npki.Certificate, policies []string, digest [sha256.Size]byte) (*Signature, error) {
	chain, err := v.anchors.VerifyChain(signer, npki.ChainOptions{Policies: policies, Holder: npki.Person, Time: v.now()})
	if err != nil {
		if errors.Is(err, npki.ErrPolicy) && foreign(signer) {
			return nil, &authn.Error{Code: authn.CertificateUntrusted, Err: err}
		}
		return nil, refused(err)
	}
	identity, err := signer.Identity()
	name := norm.NFC.String(strings.TrimSpace(identity.RealName))
	if err != nil || name == "" {
		return nil, &authn.Error{Code: authn.CertificateRefused, Err: errors.New("certificate: names nobody")}
	}
	return &Signature{Chain: chain, RealName: name, VID: identity.VID, Digest: hex.EncodeToString(digest[:])}, nil
}

// foreign says that a certificate belongs to another Korean PKI, such as the government's.
func foreign(c *npki.Certificate) bool {
	for _, id := range c.Policies {
		if npki.Foreign(id.String()) != "" {
			return true
		}
	}
	return false
}

// refused turns what package npki says into the neutral code.
func refused(err error) *authn.Error {
	for _, known := range []struct {
		npki npki.Code
		code authn.Code
	}{
		{npki.ErrContent, authn.WrongChallenge}, {npki.ErrNonce, authn.WrongChallenge},
		{npki.ErrSite, authn.WrongChallenge}, {npki.ErrConsent, authn.WrongChallenge},
		{npki.ErrExpired, authn.CertificateExpired}, {npki.ErrNotYetValid, authn.CertificateNotYet},
		{npki.ErrPolicy, authn.CertificateRefused}, {npki.ErrUsage, authn.CertificateRefused},
		{npki.ErrUntrusted, authn.CertificateUntrusted},
		{npki.ErrRevoked, authn.CertificateRevoked}, {npki.ErrHeld, authn.CertificateHeld}, {npki.ErrStatus, authn.StatusUnknown},
		{npki.ErrInput, authn.BadRequest},
	} {
		if errors.Is(err, known.npki) {
			return &authn.Error{Code: known.code, Err: err}
		}
	}
	return &authn.Error{Code: authn.BadEvidence, Err: err}
}

// Proof says what a signature is evidence of.
type Proof struct {
	Method method.Method
	Level  method.Level
	AMR    []string // RFC 8176 values
}

// Evidence asks whether the certificate still holds, and turns the signature into evidence. The Subject
// names the one certificate, by issuer and serial number: a renewed certificate of the same person is
// another one, and only a CI says whose it is. An answer about the certificate that is overdue lowers the
// Level. Errors are an *authn.Error.
func (v *Verifier) Evidence(ctx context.Context, s *Signature, p Proof) (authn.Evidence, error) {
	status, err := v.checker.Check(ctx, s.Chain)
	if err != nil {
		return authn.Evidence{}, refused(err)
	}
	ca := s.Chain.Policy.CA
	e := authn.Evidence{
		Method: p.Method, Provider: strings.ToLower(ca.ID), Label: p.Method.Korean() + " (" + ca.Name + ")",
		Subject:    subjectOf(s),
		Attributes: authn.Attributes{Name: s.RealName},
		Level:      p.Level, AMR: slices.Clone(p.AMR), At: v.now().UTC(), Binding: authn.Signed, Digest: s.Digest,
	}
	if status.Overdue > 0 {
		e.StatusOverdue = status.Overdue
		e.Level = min(e.Level, v.cfg.GraceLevel)
		v.log.LogAttrs(ctx, slog.LevelWarn, "certificate: status is overdue", slog.String("authority", e.Provider),
			slog.String("method", string(status.Method)), slog.Duration("overdue", status.Overdue.Round(time.Second)), slog.Int("level", int(e.Level)))
	}
	return e, nil
}

// subjectOf names a certificate: its issuer and serial number in DER (RFC 5652 §10.2.4), hex.
func subjectOf(s *Signature) string {
	return hex.EncodeToString(npki.SubjectKey(s.Chain.Certificate.Certificate))
}

// Identify verifies the request for the holder's identity that the same certificate has signed beside s,
// asks the authority, and adds its answer to e. want says how the request must be signed, ask what it must
// say. Errors are an *authn.Error.
func (v *Verifier) Identify(ctx context.Context, client UCPIDClient, s *Signature, e authn.Evidence, message string, want npki.Want, ask npki.UCPIDWant) (authn.Evidence, error) {
	if e.Subject != subjectOf(s) || e.Digest != s.Digest {
		return e, &authn.Error{Code: authn.BadRequest, Err: errors.New("certificate: evidence of another signature")}
	}
	der, err := npki.DecodeMessage(message)
	if err != nil {
		return e, refused(err)
	}
	signed, _, err := npki.VerifyUCPIDRequest(der, want, ask)
	if err != nil {
		return e, refused(err)
	}
	holder := s.Chain.Certificate
	if !bytes.Equal(signed.Certificate.Raw, holder.Raw) {
		return e, &authn.Error{Code: authn.BadEvidence, Err: errors.New("certificate: two signatures by two certificates")}
	}
	person, err := client.Person(ctx, base64.RawURLEncoding.EncodeToString(der), ask.Nonce)
	if err != nil {
		if _, ok := errors.AsType[*authn.Error](err); !ok {
			err = &authn.Error{Code: authn.ProviderDown, Err: err}
		}
		return e, err
	}
	if err := person.check(s); err != nil {
		return e, &authn.Error{Code: authn.BadEvidence, Err: err}
	}
	e.CI = person.CI
	e.Attributes.BirthDate, e.Attributes.Gender, e.Attributes.Nationality = person.BirthDate, person.Gender, person.National
	return e, nil
}

// check says whether the answer is about the holder of the certificate that has signed, and has its shape.
// The errors hold nothing of it.
func (p UCPIDPerson) check(s *Signature) error {
	answer := npki.UCPIDResponse{DN: p.DN}
	if err := answer.Check(s.Chain.Certificate); err != nil {
		return err
	}
	born, err := time.Parse(time.DateOnly, p.BirthDate)
	switch {
	case norm.NFC.String(strings.TrimSpace(p.RealName)) != s.RealName:
		return errors.New("certificate: the authority names somebody else than its certificate does")
	case !npki.ValidCI(p.CI):
		return errors.New("certificate: the authority's answer has no CI")
	case p.BirthDate != "" && (err != nil || born.Year() < 1800):
		return errors.New("certificate: the authority's answer has an odd birth date")
	case p.Gender != "" && p.Gender != "male" && p.Gender != "female", p.National != "" && p.National != "domestic" && p.National != "foreign":
		return errors.New("certificate: the authority's answer has an odd gender or nationality")
	}
	return nil
}
