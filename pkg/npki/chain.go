package npki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Anchors are the roots and the certification authorities that the operator trusts. They are
// configuration: this package contains no certificate. The zero value trusts nobody. Anchors do not
// change, and serve any number of callers at once.
type Anchors struct {
	authorities map[string][]*authority // by the DER of their names
}

// authority is a CA under a root. The signature between the two is verified once, when the anchors are made.
type authority struct {
	certificate *x509.Certificate
	key         *issuerKey // of the certificate
	root        *x509.Certificate
	policies    []x509.OID // that it may issue under; nil: any
}

// NewAnchors makes Anchors of root certificates, compared with their published fingerprints by whoever
// installed them, and of the CAs under them that issue certificates to citizens. Every CA must be signed by
// one of the roots, with SHA-256 or stronger and with an RSA key of 2048 to 4096 bits. A root whose common
// name contains "Test" is refused with ErrTestRoot: its certificates are given to anybody.
//
// The other codes of its errors are ErrInput, ErrUnsupported (also for name constraints, policy mappings and
// unknown critical extensions), ErrUsage and ErrUntrusted. Validity is not looked at: an expired certificate
// among the anchors does no harm, and VerifyChain will not use it.
func NewAnchors(roots, subordinates []*x509.Certificate) (*Anchors, error) {
	for _, root := range roots {
		if strings.Contains(strings.ToLower(root.Subject.CommonName), "test") {
			return nil, fail(ErrTestRoot, "anchors: "+root.Subject.CommonName)
		}
	}
	return NewTestAnchors(roots, subordinates)
}

// NewTestAnchors does what NewAnchors does, for tests and demonstrations: it takes test roots too.
func NewTestAnchors(roots, subordinates []*x509.Certificate) (*Anchors, error) {
	if len(roots) == 0 || len(subordinates) == 0 {
		return nil, fail(ErrInput, "anchors: no root, or no CA")
	}
	for _, root := range roots {
		what := "anchors: root " + root.Subject.CommonName
		if !mayIssue(root) || root.MaxPathLen == 0 || !bytes.Equal(root.RawSubject, root.RawIssuer) {
			return nil, fail(ErrUsage, what)
		}
		// A root's own signature proves nothing, and the oldest are made with SHA-1.
		if !goodKey(root) || constrains(root) {
			return nil, fail(ErrUnsupported, what)
		}
	}
	a := &Anchors{authorities: map[string][]*authority{}}
	for _, ca := range subordinates {
		what := "anchors: CA " + ca.Subject.CommonName
		switch {
		case !mayIssue(ca):
			return nil, fail(ErrUsage, what)
		case !goodKey(ca) || !goodSignature(ca) || constrains(ca):
			return nil, fail(ErrUnsupported, what)
		}
		key, err := newIssuerKey(ca.PublicKey.(*rsa.PublicKey))
		if err != nil {
			return nil, because(ErrUnsupported, what, err)
		}
		var problem error = ErrUntrusted
		found := false
		for _, root := range roots { // a root that was renewed with its key stands there twice
			if !bytes.Equal(ca.RawIssuer, root.RawSubject) || bytes.Equal(ca.RawSubject, root.RawSubject) {
				continue
			}
			if err := ca.CheckSignatureFrom(root); err != nil {
				problem = err
				continue
			}
			found = true
			name := string(ca.RawSubject)
			a.authorities[name] = append(a.authorities[name], &authority{ca, key, root, mayIssueUnder(ca)})
		}
		if !found {
			return nil, because(ErrUntrusted, what, problem)
		}
	}
	return a, nil
}

// constrains says that a certificate limits those below it in a way that no CA of the NPKI does, and that
// VerifyChain does not follow.
func constrains(c *x509.Certificate) bool {
	return len(c.UnhandledCriticalExtensions) > 0 || len(c.PolicyMappings) > 0 ||
		slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidNameConstraints) })
}

var (
	oidNameConstraints = oid("2.5.29.30")
	oidAnyPolicy       = oid("2.5.29.32.0")
)

// mayIssueUnder gives the policies of a CA (RFC 5280 §6.1.3 d), nil for any; one without the extension may
// issue under none.
func mayIssueUnder(ca *x509.Certificate) []x509.OID {
	if slices.ContainsFunc(ca.Policies, func(id x509.OID) bool { return id.EqualASN1OID(oidAnyPolicy) }) {
		return nil
	}
	return append([]x509.OID{}, ca.Policies...)
}

// holds says that CA and root are valid.
func (a *authority) holds(now time.Time) bool {
	for _, c := range []*x509.Certificate{a.certificate, a.root} {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return false
		}
	}
	return true
}

// ChainOptions says which certificates are accepted.
type ChainOptions struct {
	// Policies are the certificate policies, in dotted decimals, of which the certificate must have one.
	// Each is matched exactly: no policy stands for those below it. The policy of the infrastructure and
	// those of other PKIs are never accepted.
	Policies []string
	// Holder is the kind of holder that the policy must be for; AnyHolder takes all. A company's
	// certificate is not a person's.
	Holder Holder
	// Time is the moment to judge at: the verifier's clock, never the signing time. Zero is now.
	Time time.Time
	// NonRepudiation demands this key usage too, for signatures on documents.
	NonRepudiation bool
}

// A Chain is a certificate with what makes it trusted.
type Chain struct {
	Certificate *Certificate
	CA          *x509.Certificate // that issued it, configured
	Root        *x509.Certificate // above the CA, configured
	Policy      Policy            // the accepted policy that the certificate has; only its OID where nothing more is known
}

// VerifyChain says whether the certificate is one that a citizen, or a company, may sign with now: issued by
// a configured CA directly under a configured root, valid, for digital signatures, with an RSA key of 2048 to
// 4096 bits, signed with SHA-256 or stronger, and with an accepted policy, which must be one of that CA's
// own. Certificates from the message that was signed take no part. Revocation is the task of package
// revocation.
//
// This is the path validation of RFC 5280 §6.1 for the one shape of path that there is. What it asks of a CA
// under its root does not depend on the certificate, and was looked at when the anchors were made; their
// validity is looked at each time.
//
// The codes of its errors are ErrInput (no policy is accepted at all), ErrExpired, ErrNotYetValid,
// ErrUnsupported, ErrUsage, ErrPolicy and ErrUntrusted.
func (a *Anchors) VerifyChain(certificate *Certificate, options ChainOptions) (*Chain, error) {
	if len(options.Policies) == 0 {
		return nil, fail(ErrInput, "ChainOptions: no policies")
	}
	now := options.Time
	if now.IsZero() {
		now = time.Now()
	}
	if err := mayVerify(certificate.Certificate, options.NonRepudiation); err != nil {
		return nil, err
	}
	if !personal(certificate.Certificate) {
		return nil, fail(ErrUsage, "certificate: extended key usage")
	}
	hash, ok := signatureHash(certificate.Certificate)
	if !ok {
		return nil, fail(ErrUnsupported, "certificate: signature algorithm")
	}
	if len(certificate.UnhandledCriticalExtensions) > 0 {
		return nil, fail(ErrUnsupported, "certificate: critical extension")
	}
	if now.After(certificate.NotAfter) {
		return nil, fail(ErrExpired, "certificate")
	}
	if now.Before(certificate.NotBefore) {
		return nil, fail(ErrNotYetValid, "certificate")
	}
	policies := options.matches(certificate.Certificate)
	if len(policies) == 0 {
		return nil, fail(ErrPolicy, "certificate")
	}
	if a == nil {
		return nil, fail(ErrUntrusted, "no anchors")
	}
	problem := fail(ErrUntrusted, "certificate: not issued by a CA under a root")
	sum := digest(hash, certificate.RawTBSCertificate)
	for _, ca := range a.authorities[string(certificate.RawIssuer)] {
		if !ca.holds(now) {
			continue
		}
		if !ca.key.verify(hash, sum, certificate.Signature) {
			problem = fail(ErrUntrusted, "certificate: signature")
			continue
		}
		for _, p := range policies {
			own := p.known.CA == nil || slices.Equal(ca.certificate.Subject.Organization, []string{p.known.CA.Organization})
			if own && (ca.policies == nil || slices.ContainsFunc(ca.policies, p.id.Equal)) {
				return &Chain{Certificate: certificate, CA: ca.certificate, Root: ca.root, Policy: p.known}, nil
			}
		}
		problem = fail(ErrPolicy, "certificate: a policy that its CA may not issue under")
	}
	return nil, problem
}

// match is an accepted policy of a certificate.
type match struct {
	id    x509.OID
	known Policy
}

// matches gives the accepted policies among those of the certificate.
func (o ChainOptions) matches(certificate *x509.Certificate) []match {
	var found []match
	for _, id := range certificate.Policies {
		text := id.String()
		if text == Infrastructure || Foreign(text) != "" || !slices.Contains(o.Policies, text) {
			continue
		}
		policy, known := PolicyByOID(text)
		if !known {
			policy.OID = text // the operator knows more than the table
		}
		if o.Holder == AnyHolder || o.Holder == policy.Holder {
			found = append(found, match{id, policy})
		}
	}
	return found
}

func mayIssue(ca *x509.Certificate) bool {
	return ca.IsCA && ca.BasicConstraintsValid && ca.KeyUsage&x509.KeyUsageCertSign != 0
}

// personal says that a certificate is not limited to the purposes of machines, such as serverAuth.
func personal(certificate *x509.Certificate) bool {
	if len(certificate.ExtKeyUsage)+len(certificate.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.ContainsFunc(certificate.ExtKeyUsage, func(usage x509.ExtKeyUsage) bool {
		return usage == x509.ExtKeyUsageAny || usage == x509.ExtKeyUsageClientAuth || usage == x509.ExtKeyUsageEmailProtection
	})
}

func goodKey(certificate *x509.Certificate) bool {
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	return ok && key.N.BitLen() >= minRSA && key.N.BitLen() <= maxRSA
}

func goodSignature(certificate *x509.Certificate) bool {
	_, ok := signatureHash(certificate)
	return ok
}

// signatureHash is the hash of a certificate's signature, which must be RSASSA-PKCS1-v1_5 with a strong one.
func signatureHash(certificate *x509.Certificate) (crypto.Hash, bool) {
	switch certificate.SignatureAlgorithm {
	case x509.SHA256WithRSA:
		return crypto.SHA256, true
	case x509.SHA384WithRSA:
		return crypto.SHA384, true
	case x509.SHA512WithRSA:
		return crypto.SHA512, true
	}
	return 0, false
}

// SubjectKey names a certificate for good: the DER of its IssuerAndSerialNumber (RFC 5652 §10.2.4). Serial
// numbers repeat across CAs, and names across people, so neither alone will do.
func SubjectKey(certificate *x509.Certificate) []byte {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(certificate.RawIssuer)
		b.AddASN1BigInt(certificate.SerialNumber)
	})
	return b.BytesOrPanic()
}
