package npkitest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/pkg/npki"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// A Fault is a way in which an authority's directory or responder misbehaves.
type Fault string

// The faults.
const (
	CRLDown         Fault = "crl-down"          // the directory does not answer
	CRLStale        Fault = "crl-stale"         // the list should have been replaced yesterday
	CRLOtherPoint   Fault = "crl-other-point"   // the list of another distribution point
	CRLOtherKey     Fault = "crl-other-key"     // signed by somebody else
	CRLCritical     Fault = "crl-critical"      // with a critical extension that nobody knows
	OCSPDown        Fault = "ocsp-down"         // the responder does not answer
	OCSPTryLater    Fault = "ocsp-try-later"    // it is busy
	OCSPUnknown     Fault = "ocsp-unknown"      // it does not know the certificate
	OCSPStale       Fault = "ocsp-stale"        // the answer should have been replaced yesterday
	OCSPOtherRoot   Fault = "ocsp-other-root"   // the responder is under another root
	OCSPOtherCA     Fault = "ocsp-other-ca"     // the responder is another authority's
	OCSPOtherIssuer Fault = "ocsp-other-issuer" // the answer is about another authority's certificate with that number
	OCSPBare        Fault = "ocsp-bare"         // without the responder's certificate
	OCSPNoUsage     Fault = "ocsp-no-usage"     // the responder's certificate is not for OCSP
	OCSPForged      Fault = "ocsp-forged"       // the signature does not fit
	OCSPNoNonce     Fault = "ocsp-no-nonce"     // the answer leaves the nonce out
	OCSPWrongNonce  Fault = "ocsp-wrong-nonce"  // the answer has another nonce
)

// Faults lists them all.
func Faults() []Fault {
	return []Fault{
		CRLDown, CRLStale, CRLOtherPoint, CRLOtherKey, CRLCritical, OCSPDown, OCSPTryLater, OCSPUnknown, OCSPStale,
		OCSPOtherRoot, OCSPOtherCA, OCSPOtherIssuer, OCSPBare, OCSPNoUsage, OCSPForged, OCSPNoNonce, OCSPWrongNonce,
	}
}

// Misbehave makes the authority misbehave in these ways, and in no others, from now on.
func (a *Authority) Misbehave(faults ...Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.faults)
	for _, f := range faults {
		a.faults[f] = true
	}
}

func (a *Authority) misbehaves(f Fault) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.faults[f]
}

// ErrDown is what a directory or responder gives that does not answer.
var ErrDown = errors.New("npkitest: no answer")

// how long a list or an answer is good
const (
	listLife   = 24 * time.Hour
	answerLife = time.Hour
)

// List is what a CRL is to contain. What is left out is filled in as for the list that the directory has.
type List struct {
	Point      string    // URL of the distribution point; decides which certificates are listed
	Whole      bool      // all certificates of the authority, without an issuingDistributionPoint
	ThisUpdate time.Time // zero: an hour ago
	NextUpdate time.Time // zero: one day later
	Number     int64     // 0: the next one
	Base       int64     // not 0: a delta CRL to the list of this number; Removed tells what it takes off
	Removed    []*big.Int
	Freshest   string           // URL of the delta CRL, in the freshestCRL extension
	Key        *rsa.PrivateKey  // nil: the authority's
	Extra      []pkix.Extension // in place of those with the same identifier; one without a value only removes
}

// CRL makes a certificate revocation list (RFC 5280 §5). The serial numbers are listed that belong to the
// point and are revoked or on hold.
func (a *Authority) CRL(l List) ([]byte, error) {
	now := a.pki.options.Now()
	if l.ThisUpdate.IsZero() {
		l.ThisUpdate = now.Add(-time.Hour)
	}
	if l.NextUpdate.IsZero() {
		l.NextUpdate = l.ThisUpdate.Add(listLife)
	}
	if l.Key == nil {
		l.Key = a.Key
	}
	a.mu.Lock()
	if l.Number == 0 {
		a.number++
		l.Number = a.number
	}
	var entries []x509.RevocationListEntry
	for _, serial := range slices.Sorted(maps.Keys(a.records)) {
		r := a.records[serial]
		number := r.certificate.SerialNumber
		if r.revoked.IsZero() || !l.Whole && l.Point != a.pointOf(r.certificate) {
			continue
		}
		entries = append(entries, x509.RevocationListEntry{SerialNumber: number, RevocationTime: r.revoked, ReasonCode: r.reason})
	}
	a.mu.Unlock()
	for _, number := range l.Removed {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: number, RevocationTime: now, ReasonCode: removeFromCRL})
	}
	var extensions []pkix.Extension
	add := func(id asn1.ObjectIdentifier, critical bool, f cryptobyte.BuilderContinuation) {
		var b cryptobyte.Builder
		f(&b)
		extensions = append(extensions, pkix.Extension{Id: id, Critical: critical, Value: b.BytesOrPanic()})
	}
	if !l.Whole {
		add(oidDistributionPoint, true, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addPoint(b, l.Point) })
		})
	}
	if l.Base != 0 {
		add(oidDeltaIndicator, true, func(b *cryptobyte.Builder) { b.AddASN1Int64(l.Base) })
	}
	if l.Freshest != "" {
		add(oidFreshest, false, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addPoint(b, l.Freshest) })
			})
		})
	}
	for _, extra := range l.Extra {
		extensions = slices.DeleteFunc(extensions, func(e pkix.Extension) bool { return e.Id.Equal(extra.Id) })
		if extra.Value != nil {
			extensions = append(extensions, extra)
		}
	}
	issuer := *a.Certificate
	issuer.PublicKey = &l.Key.PublicKey
	out, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate,
		RevokedCertificateEntries: entries, ExtraExtensions: extensions, SignatureAlgorithm: x509.SHA256WithRSA,
	}, &issuer, l.Key)
	if err != nil {
		return nil, fmt.Errorf("npkitest: %w", err)
	}
	return out, nil
}

// pointOf is the distribution point of a certificate of the authority's.
func (a *Authority) pointOf(c *npki.Certificate) string {
	if len(c.CRLDistributionPoints) != 1 {
		return ""
	}
	return c.CRLDistributionPoints[0]
}

// FetchCRL gives the list at a distribution point, as the directory would, without a network.
func (p *PKI) FetchCRL(_ context.Context, point string) ([]byte, error) {
	entry, ok := strings.CutPrefix(point, p.options.Directory+"/")
	if !ok {
		return nil, fmt.Errorf("%w: another directory", ErrDown)
	}
	a := p.owner(entry)
	if a == nil {
		return nil, fmt.Errorf("%w: no such entry", ErrDown)
	}
	l := List{Point: point}
	switch {
	case a.misbehaves(CRLDown):
		return nil, ErrDown
	case a.misbehaves(CRLStale):
		l.ThisUpdate = p.options.Now().Add(-2 * listLife)
	case a.misbehaves(CRLOtherPoint):
		l.Point = a.pki.options.Directory + "/" + a.entry("999999")
	case a.misbehaves(CRLCritical):
		l.Extra = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 410, 200004, 99}, Critical: true, Value: []byte{5, 0}}}
	case a.misbehaves(CRLOtherKey):
		key, err := p.NewKey(2048)
		if err != nil {
			return nil, err
		}
		l.Key = key
	}
	return a.CRL(l)
}

// Entry finds an entry of the directory, such as ou=dp4p64,ou=AccreditedCA,o=yessign,c=kr?certificateRevocationList:
// the distribution point that lies there, for FetchCRL, and the authority or root whose list it is. The
// authority is nil where there is no such entry.
func (p *PKI) Entry(entry string) (point string, owner *Authority) {
	return p.options.Directory + "/" + entry, p.owner(entry)
}

// Asked tells which certificate of which authority an OCSP request is about; nil for a request that cannot
// be read, or is about none of the PKI's authorities.
func (p *PKI) Asked(request []byte) (*Authority, *big.Int) {
	q := readQuery(request)
	if q == nil {
		return nil, nil
	}
	a, serial, number := p.issuer(q), new(big.Int), q.serial
	if a == nil || !number.ReadASN1Integer(serial) {
		return nil, nil
	}
	return a, serial
}

// owner is the authority or the root to which an entry of the directory belongs.
func (p *PKI) owner(entry string) *Authority {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, root := range p.roots {
		if strings.HasSuffix(root.authorityPoint(), "/"+entry) {
			return root
		}
	}
	number, rest, _ := strings.Cut(entry, ",")
	for _, a := range p.authorities {
		if own := a.entry(""); strings.HasSuffix(own, ","+rest) {
			class, _, _ := strings.Cut(own, ",")
			if digits, ok := strings.CutPrefix(number, class); ok && digits != "" && strings.Trim(digits, "0123456789") == "" {
				return a
			}
		}
	}
	return nil
}

// responder answers for an authority.
type responder struct {
	certificate *npki.Certificate
	key         *rsa.PrivateKey
}

// responder gives the authority's responder, whose certificate is the root's, as the real ones are.
func (a *Authority) responder() (*responder, error) {
	a.mu.Lock()
	known := a.oracle
	a.mu.Unlock()
	if known != nil {
		return known, nil
	}
	key, err := a.pki.authorityKey(a.Generation.bits(), responderKey)
	if err != nil {
		return nil, err
	}
	made, err := a.makeResponder(key, Template{Responder: true})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.oracle == nil {
		a.oracle = made
	}
	return a.oracle, nil
}

func (a *Authority) makeResponder(key *rsa.PrivateKey, t Template) (*responder, error) {
	t.Subject = npki.Name{
		{{Type: "c", Value: "KR"}}, {{Type: "o", Value: a.Organization}},
		{{Type: "ou", Value: "AccreditedCA"}}, {{Type: "cn", Value: a.Organization + " OCSP Test"}},
	}
	now := a.pki.options.Now()
	t.NotBefore, t.NotAfter, t.PublicKey = now.AddDate(0, -6, 0), now.AddDate(1, 6, 0), &key.PublicKey
	certificate, err := a.root.Sign(t)
	if err != nil {
		return nil, err
	}
	return &responder{certificate, key}, nil
}

// QueryOCSP answers a request (RFC 6960), as the responders would, without a network.
func (p *PKI) QueryOCSP(_ context.Context, _ string, request []byte) ([]byte, error) {
	q := readQuery(request)
	if q == nil {
		return refusal(1), nil // malformedRequest
	}
	a := p.issuer(q)
	if a == nil {
		return refusal(6), nil // unauthorized
	}
	return a.answer(q)
}

// refusal is an answer that is only a status.
func refusal(status byte) []byte { return []byte{0x30, 3, 0x0A, 1, status} }

// query is what an OCSP request asks.
type query struct {
	id, nonce         cryptobyte.String // complete CertID; value of the nonce extension, or nil
	hash              crypto.Hash
	name, key, serial cryptobyte.String
}

var (
	oidSHA1     = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidNonce    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidBasic    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSHA2WRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
)

// readQuery reads a request about one certificate; nil if it is not one.
func readQuery(request []byte) *query {
	s := cryptobyte.String(request)
	var body, tbs, list, one, id, fields, algorithm, number, extensions cryptobyte.String
	var hash asn1.ObjectIdentifier
	var has bool
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadASN1(&tbs, der.SEQUENCE) ||
		!tbs.SkipOptionalASN1(explicit(0)) || !tbs.SkipOptionalASN1(explicit(1)) ||
		!tbs.ReadASN1(&list, der.SEQUENCE) || !list.ReadASN1(&one, der.SEQUENCE) || !list.Empty() ||
		!one.ReadASN1Element(&id, der.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &has, explicit(2)) {
		return nil
	}
	q := &query{id: id}
	if !id.ReadASN1(&fields, der.SEQUENCE) || !fields.ReadASN1(&algorithm, der.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&hash) ||
		!fields.ReadASN1(&q.name, der.OCTET_STRING) || !fields.ReadASN1(&q.key, der.OCTET_STRING) ||
		!fields.ReadASN1Element(&number, der.INTEGER) {
		return nil
	}
	q.serial, q.hash = number, crypto.SHA1
	if hash.Equal(oidSHA256) {
		q.hash = crypto.SHA256
	} else if !hash.Equal(oidSHA1) {
		return nil
	}
	if has {
		var items cryptobyte.String
		if !extensions.ReadASN1(&items, der.SEQUENCE) {
			return nil
		}
		for !items.Empty() {
			var extension, value cryptobyte.String
			var oid asn1.ObjectIdentifier
			if !items.ReadASN1(&extension, der.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
				!extension.SkipOptionalASN1(der.BOOLEAN) || !extension.ReadASN1(&value, der.OCTET_STRING) {
				return nil
			}
			if oid.Equal(oidNonce) {
				q.nonce = value
			}
		}
	}
	return q
}

// issuer finds the authority that a query is about.
func (p *PKI) issuer(q *query) *Authority {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.authorities {
		if bytes.Equal(sum(q.hash, a.Certificate.RawSubject), q.name) && bytes.Equal(sum(q.hash, keyBits(a.Certificate)), q.key) {
			return a
		}
	}
	return nil
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// keyBits is the content of the BIT STRING in a SubjectPublicKeyInfo.
func keyBits(c *x509.Certificate) []byte {
	s := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var body, bits cryptobyte.String
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.SkipASN1(der.SEQUENCE) || !body.ReadASN1(&bits, der.BIT_STRING) || !bits.Skip(1) {
		return nil // crypto/x509 has parsed it
	}
	return bits
}

// answer makes a response, with the authority's faults.
func (a *Authority) answer(q *query) ([]byte, error) {
	switch {
	case a.misbehaves(OCSPDown):
		return nil, ErrDown
	case a.misbehaves(OCSPTryLater):
		return refusal(3), nil
	}
	who, err := a.whoAnswers()
	if err != nil {
		return nil, err
	}
	id := q.id
	if a.misbehaves(OCSPOtherIssuer) {
		if id, err = a.foreignID(q); err != nil {
			return nil, err
		}
	}
	now := a.pki.options.Now()
	this := now.Add(-time.Minute)
	if a.misbehaves(OCSPStale) {
		this = now.Add(-25 * time.Hour)
	}
	nonce := q.nonce
	switch {
	case a.misbehaves(OCSPNoNonce):
		nonce = nil
	case a.misbehaves(OCSPWrongNonce):
		nonce = append([]byte{4, 16}, make([]byte, 16)...)
	}
	tbs, err := a.responseData(q, id, nonce, who, this)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(tbs)
	if a.misbehaves(OCSPForged) {
		digest[0] ^= 1
	}
	signature, err := who.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("npkitest: %w", err)
	}
	bare := a.misbehaves(OCSPBare)
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasic)
				b.AddASN1(der.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(oidSHA2WRSA)
							b.AddASN1NULL()
						})
						b.AddASN1BitString(signature)
						if !bare {
							b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
								b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(who.certificate.Raw) })
							})
						}
					})
				})
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("npkitest: OCSP response: %w", err)
	}
	return out, nil
}

// whoAnswers gives the responder, or the wrong one.
func (a *Authority) whoAnswers() (*responder, error) {
	other := a.Organization
	if a.misbehaves(OCSPOtherCA) {
		other = KICA
		if a.Organization == KICA {
			other = Yessign
		}
	}
	generation := a.Generation
	if a.misbehaves(OCSPOtherRoot) {
		generation = 1 - generation
	}
	from, err := a.pki.CA(other, generation)
	if err != nil {
		return nil, err
	}
	if a.misbehaves(OCSPNoUsage) {
		key, err := a.pki.authorityKey(from.Generation.bits(), responderKey)
		if err != nil {
			return nil, err
		}
		return from.makeResponder(key, Template{Responder: true, Extra: []pkix.Extension{{Id: oidExtendedUsage}}})
	}
	return from.responder()
}

// foreignID is the CertID of another authority's certificate with the same serial number.
func (a *Authority) foreignID(q *query) (cryptobyte.String, error) {
	name := CrossCert
	if a.Organization == CrossCert {
		name = TradeSign
	}
	other, err := a.pki.CA(name, a.Generation)
	if err != nil {
		return nil, err
	}
	oid := oidSHA1
	if q.hash == crypto.SHA256 {
		oid = oidSHA256
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(sum(q.hash, other.Certificate.RawSubject))
		b.AddASN1OctetString(sum(q.hash, keyBits(other.Certificate)))
		b.AddBytes(q.serial)
	})
	return b.BytesOrPanic(), nil
}

// responseData makes the part that is signed.
func (a *Authority) responseData(q *query, id, nonce cryptobyte.String, who *responder, this time.Time) ([]byte, error) {
	var serial big.Int
	number := q.serial
	if !number.ReadASN1Integer(&serial) {
		return nil, errors.New("npkitest: serial number")
	}
	a.mu.Lock()
	r := a.records[serial.String()]
	var state record
	if r != nil {
		state = *r
	}
	unknown := r == nil || a.faults[OCSPUnknown]
	a.mu.Unlock()
	produced := a.pki.options.Now()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(who.certificate.RawSubject) })
		b.AddASN1GeneralizedTime(produced.UTC())
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(id)
				switch {
				case unknown:
					b.AddASN1(implicit(2), func(*cryptobyte.Builder) {})
				case state.revoked.IsZero():
					b.AddASN1(implicit(0), func(*cryptobyte.Builder) {})
				default:
					b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
						b.AddASN1GeneralizedTime(state.revoked.UTC())
						b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(state.reason)) })
					})
				}
				b.AddASN1GeneralizedTime(this.UTC())
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(this.Add(answerLife).UTC()) })
			})
		})
		if nonce != nil {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(oidNonce)
						b.AddASN1OctetString(nonce)
					})
				})
			})
		}
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("npkitest: OCSP response data: %w", err)
	}
	return out, nil
}
