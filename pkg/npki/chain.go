package npki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
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
	roots        *x509.CertPool
	subordinates *x509.CertPool
}

// NewAnchors makes Anchors of root certificates, compared with their published fingerprints by whoever
// installed them, and of the CAs under them that issue certificates to citizens. Every CA must be signed by
// one of the roots, with SHA-256 or stronger and with an RSA key of 2048 to 4096 bits. A root whose common
// name contains "Test" is refused with ErrTestRoot: its certificates are given to anybody.
//
// The other codes of its errors are ErrInput, ErrUnsupported, ErrUsage and ErrUntrusted. Validity is not
// looked at: an expired certificate among the anchors does no harm, and VerifyChain will not use it.
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
	a := &Anchors{roots: x509.NewCertPool(), subordinates: x509.NewCertPool()}
	for _, root := range roots {
		what := "anchors: root " + root.Subject.CommonName
		if !mayIssue(root) || !bytes.Equal(root.RawSubject, root.RawIssuer) {
			return nil, fail(ErrUsage, what)
		}
		// A root's own signature proves nothing, and the oldest are made with SHA-1.
		if !goodKey(root) {
			return nil, fail(ErrUnsupported, what)
		}
		a.roots.AddCert(root)
	}
	for _, ca := range subordinates {
		what := "anchors: CA " + ca.Subject.CommonName
		switch {
		case !mayIssue(ca):
			return nil, fail(ErrUsage, what)
		case !goodKey(ca) || !goodSignature(ca):
			return nil, fail(ErrUnsupported, what)
		}
		var problem error = ErrUntrusted
		for _, root := range roots {
			if !bytes.Equal(ca.RawIssuer, root.RawSubject) || bytes.Equal(ca.RawSubject, root.RawSubject) {
				continue
			}
			if problem = ca.CheckSignatureFrom(root); problem == nil {
				break
			}
		}
		if problem != nil {
			return nil, because(ErrUntrusted, what, problem)
		}
		a.subordinates.AddCert(ca)
	}
	return a, nil
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
// own. Certificates from the message that was signed take no part. Policies are processed as RFC 5280 §6.1
// demands. Revocation is the task of package revocation.
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
	if !goodSignature(certificate.Certificate) {
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
	policies, oids := options.matches(certificate.Certificate)
	if len(policies) == 0 {
		return nil, fail(ErrPolicy, "certificate")
	}
	if a == nil || a.roots == nil { // crypto/x509 would take the roots of the operating system
		return nil, fail(ErrUntrusted, "no anchors")
	}
	chains, err := certificate.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: a.subordinates, CurrentTime: now,
		// Citizens' certificates have no extended key usage, and crypto/x509 would ask for serverAuth.
		KeyUsages:           []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CertificatePolicies: oids,
	})
	if err != nil {
		return nil, because(ErrUntrusted, "certificate", err)
	}
	problem := fail(ErrUntrusted, "certificate: not issued by a CA under a root")
	for _, chain := range chains {
		if len(chain) != 3 { // the root itself issues to responders and the like
			continue
		}
		ca := chain[1]
		for _, policy := range policies {
			if policy.CA == nil || slices.Equal(ca.Subject.Organization, []string{policy.CA.Organization}) {
				return &Chain{Certificate: certificate, CA: ca, Root: chain[2], Policy: policy}, nil
			}
		}
		problem = fail(ErrPolicy, "certificate: a policy of another CA")
	}
	return nil, problem
}

// matches gives the accepted policies among those of the certificate.
func (o ChainOptions) matches(certificate *x509.Certificate) ([]Policy, []x509.OID) {
	var policies []Policy
	var oids []x509.OID
	for _, id := range certificate.Policies {
		text := id.String()
		if text == Infrastructure || Foreign(text) != "" || !slices.Contains(o.Policies, text) {
			continue
		}
		policy, known := PolicyByOID(text)
		if !known {
			policy.OID = text // the operator knows more than the table
		}
		if o.Holder != AnyHolder && o.Holder != policy.Holder {
			continue
		}
		policies, oids = append(policies, policy), append(oids, id)
	}
	return policies, oids
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
	switch certificate.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
		return true
	}
	return false
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
