package npkitest

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anyid/anyid/pkg/npki"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Authority is a certification authority, or a root. It is safe for concurrent use.
type Authority struct {
	Certificate  *x509.Certificate
	Key          *rsa.PrivateKey
	Organization string
	Generation   Generation

	pki  *PKI
	root *Authority // nil in a root

	mu      sync.Mutex
	serial  int64
	number  int64              // of the last CRL
	records map[string]*record // by serial number
	tickets map[string]*ticket // by reference number
	faults  map[Fault]bool
	oracle  *responder
}

// record is what an authority keeps of a certificate that it has issued.
type record struct {
	certificate *npki.Certificate
	applicant   Applicant
	revoked     time.Time // zero: good
	reason      int       // RFC 5280 §5.3.1
}

func newAuthority(p *PKI, certificate *x509.Certificate, key *rsa.PrivateKey, root *Authority, name authorityKey) *Authority {
	serial := int64(firstSerial)
	if root != nil {
		serial = p.options.Serial
	}
	return &Authority{
		Certificate: certificate, Key: key, Organization: name.organization, Generation: name.generation,
		pki: p, root: root, serial: serial,
		records: map[string]*record{}, tickets: map[string]*ticket{}, faults: map[Fault]bool{},
	}
}

// Record is what an authority knows of a certificate that it has issued.
type Record struct {
	Certificate *npki.Certificate
	Applicant   Applicant // zero for a certificate without an application
	Revoked     time.Time // when it was revoked or suspended; zero: it is good, or has expired
	Reason      int       // RFC 5280 §5.3.1; 6 is a suspension
}

// Records lists the certificates that the authority has issued, by serial number.
func (a *Authority) Records() []Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Record, 0, len(a.records))
	for _, r := range a.records {
		list = append(list, Record{r.certificate, r.applicant, r.revoked, r.reason})
	}
	slices.SortFunc(list, func(x, y Record) int { return x.Certificate.SerialNumber.Cmp(y.Certificate.SerialNumber) })
	return list
}

// Root gives the root above the authority.
func (a *Authority) Root() *Authority { return a.root }

// Object identifiers of the extensions that are written by hand.
var (
	oidKeyIdentifier     = asn1.ObjectIdentifier{2, 5, 29, 35} // authorityKeyIdentifier
	oidAlternativeName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidPolicies          = asn1.ObjectIdentifier{2, 5, 29, 32}
	oidPolicyConstraints = asn1.ObjectIdentifier{2, 5, 29, 36}
	oidExtendedUsage     = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28} // issuingDistributionPoint
	oidDeltaIndicator    = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidFreshest          = asn1.ObjectIdentifier{2, 5, 29, 46}
	oidOCSPSigning       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 9}
)

const anyPolicy = "2.5.29.32.0"

// A Template says what a certificate is to contain. What is left out is filled in as the real authorities
// do it for a person's signing certificate.
type Template struct {
	Subject   npki.Name
	Serial    *big.Int // nil: the next one
	PublicKey *rsa.PublicKey
	NotBefore time.Time // zero: now
	NotAfter  time.Time // zero: one year after NotBefore, to the end of that day in Korea
	KeyUsage  x509.KeyUsage
	Policies  []string       // dotted; none: no such extension
	Identity  *npki.Identity // nil: no subjectAltName
	CA        bool           // an authority, or the authority's own certificate where it has none yet
	Responder bool           // for answering OCSP

	// Extra extensions take the place of those with the same identifier, and stand after the others. One
	// without a value only removes.
	Extra []pkix.Extension
}

// Sign issues a certificate of any shape, without an application. Its status can be changed and asked for
// like that of every other.
func (a *Authority) Sign(t Template) (*npki.Certificate, error) {
	notBefore := t.NotBefore
	if notBefore.IsZero() {
		notBefore = a.pki.options.Now()
	}
	notAfter := t.NotAfter
	if notAfter.IsZero() {
		notAfter = endOfDay(notBefore.AddDate(1, 0, 0))
	}
	a.mu.Lock()
	serial := t.Serial
	if serial == nil {
		a.serial++
		serial = big.NewInt(a.serial)
	}
	a.mu.Unlock()
	subject, err := t.Subject.Marshal()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, RawSubject: subject, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage:           cmp.Or(t.KeyUsage, x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment),
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	extensions, err := a.extensions(t, serial)
	if err != nil {
		return nil, err
	}
	parent := a.Certificate
	switch {
	case t.CA:
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		template.IsCA, template.BasicConstraintsValid = true, true
		template.MaxPathLenZero = parent != nil && a.Generation == RSA2048
		if parent == nil {
			parent = template
		}
	case !t.Responder:
		template.OCSPServer = []string{a.pki.options.Responder}
	}
	for _, extra := range t.Extra {
		extensions = slices.DeleteFunc(extensions, func(e pkix.Extension) bool { return e.Id.Equal(extra.Id) })
		if extra.Value != nil {
			extensions = append(extensions, extra)
		}
	}
	template.ExtraExtensions = extensions
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, t.PublicKey, a.Key)
	if err != nil {
		return nil, fmt.Errorf("npkitest: %w", err)
	}
	certificate, err := npki.ParseCertificate(raw)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[serial.String()] = &record{certificate: certificate}
	return certificate, nil
}

// endOfDay is 23:59:59 in Korea on the day of t.
func endOfDay(t time.Time) time.Time {
	korea := time.FixedZone("KST", 9*60*60)
	year, month, day := t.In(korea).Date()
	return time.Date(year, month, day, 23, 59, 59, 0, korea).UTC()
}

// extensions writes those that crypto/x509 would write otherwise, or not at all.
func (a *Authority) extensions(t Template, serial *big.Int) ([]pkix.Extension, error) {
	var list []pkix.Extension
	var problem error
	add := func(id asn1.ObjectIdentifier, critical bool, f cryptobyte.BuilderContinuation) {
		var b cryptobyte.Builder
		b.AddASN1(der.SEQUENCE, f)
		value, err := b.Bytes()
		if err != nil {
			problem = fmt.Errorf("npkitest: extension %v: %w", id, err)
		}
		list = append(list, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
	if parent := a.Certificate; parent != nil {
		add(oidKeyIdentifier, false, func(b *cryptobyte.Builder) {
			b.AddASN1(implicit(0), func(b *cryptobyte.Builder) { b.AddBytes(parent.SubjectKeyId) })
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(explicit(4), func(b *cryptobyte.Builder) { b.AddBytes(parent.RawIssuer) })
			})
			b.AddASN1(implicit(2), func(b *cryptobyte.Builder) {
				b.AddBytes(parent.SerialNumber.Bytes()) // small, so never with a high first bit
			})
		})
		point := a.point(serial)
		if t.CA || t.Responder {
			point = a.authorityPoint()
		}
		add(asn1.ObjectIdentifier{2, 5, 29, 31}, false, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addPoint(b, point) })
		})
	}
	policies := t.Policies
	switch {
	case t.CA && a.Certificate != nil:
		policies = []string{anyPolicy}
		list = append(list, pkix.Extension{Id: oidPolicyConstraints, Critical: true, Value: []byte{0x30, 3, 0x80, 1, 0}})
	case t.Responder && policies == nil:
		policies = []string{npki.Infrastructure}
	}
	if len(policies) > 0 {
		notice := "이 인증서는 공동인증서입니다"
		if t.CA || t.Responder {
			notice = ""
		}
		var ids []asn1.ObjectIdentifier
		for _, policy := range policies {
			id, err := dotted(policy)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		add(oidPolicies, true, func(b *cryptobyte.Builder) {
			for _, id := range ids {
				addPolicy(b, id, notice)
			}
		})
	}
	if t.Responder {
		add(oidExtendedUsage, true, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidOCSPSigning) })
	}
	if t.Identity != nil {
		value, err := t.Identity.Marshal()
		if err != nil {
			return nil, err
		}
		list = append(list, pkix.Extension{Id: oidAlternativeName, Value: value})
	}
	return list, problem
}

// addPolicy writes a PolicyInformation, with the URL of a practice statement and a notice where there is one.
func addPolicy(b *cryptobyte.Builder, policy asn1.ObjectIdentifier, notice string) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(policy)
		if notice == "" {
			return
		}
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1})
				b.AddASN1(der.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte("http://cps.invalid/cps.html")) })
			})
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2})
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.Tag(30), func(b *cryptobyte.Builder) { // BMPString
						for _, r := range notice { // all of them in the first plane
							b.AddUint16(uint16(r))
						}
					})
				})
			})
		})
	})
}

// addPoint writes a DistributionPointName with one URL.
func addPoint(b *cryptobyte.Builder, point string) {
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(implicit(6), func(b *cryptobyte.Builder) { b.AddBytes([]byte(point)) })
		})
	})
}

func implicit(n uint8) der.Tag { return der.Tag(n).ContextSpecific() }
func explicit(n uint8) der.Tag { return implicit(n).Constructed() }

func dotted(text string) (asn1.ObjectIdentifier, error) {
	id, err := x509.ParseOID(text)
	if err != nil {
		return nil, fmt.Errorf("npkitest: object identifier %q: %w", text, err)
	}
	raw, err := id.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("npkitest: object identifier %q: %w", text, err)
	}
	var out asn1.ObjectIdentifier
	_, err = asn1.Unmarshal(append([]byte{byte(der.OBJECT_IDENTIFIER), byte(len(raw))}, raw...), &out)
	if err != nil {
		return nil, fmt.Errorf("npkitest: object identifier %q: %w", text, err)
	}
	return out, nil
}

// partition is how many certificates share a distribution point.
const partition = 64

// point is the address of the CRL for a certificate: the directory has one list for some certificates each.
func (a *Authority) point(serial *big.Int) string {
	n := new(big.Int).Div(serial, big.NewInt(partition))
	return a.pki.options.Directory + "/" + a.entry(n.String())
}

func (a *Authority) entry(n string) string {
	class := map[Generation]string{RSA2048: "dp4p", RSA3072: "dp6p"}[a.Generation]
	return "ou=" + class + n + ",ou=AccreditedCA,o=" + url.PathEscape(a.Organization) + ",c=kr?certificateRevocationList"
}

// authorityPoint is the address of the list of the authorities that a root has revoked.
func (a *Authority) authorityPoint() string {
	cn := strings.ReplaceAll(a.Certificate.Subject.CommonName, " ", "-")
	unit := strings.ReplaceAll(a.Certificate.Subject.OrganizationalUnit[0], " ", "-")
	return a.pki.options.Directory + "/CN=" + cn + ",OU=" + unit + ",O=" + url.PathEscape(a.Organization) + ",C=KR?authorityRevocationList"
}

// identity makes the SAN of an applicant.
func identity(name, number string, r []byte) (*npki.Identity, error) {
	if number == "" || r == nil {
		return &npki.Identity{RealName: name}, nil
	}
	vid, err := npki.ComputeVID(crypto.SHA256, []byte(number), r)
	if err != nil {
		return nil, err
	}
	return &npki.Identity{RealName: name, VID: &vid}, nil
}
