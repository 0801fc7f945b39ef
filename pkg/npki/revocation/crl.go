package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"time"

	"github.com/anyid/anyid/pkg/npki"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// List is a certificate revocation list whose signature, issuer and extensions have been verified.
type List struct {
	ThisUpdate time.Time
	NextUpdate time.Time
	Number     *big.Int // nil if it has none
	Base       *big.Int // in a delta CRL, the number of the list that it changes
	Raw        []byte   // DER

	entries  map[string]entry // by serial number
	scope    scope
	freshest []point
}

type entry struct {
	at     time.Time
	reason int
}

// Reasons of RFC 5280 §5.3.1 that are not final.
const (
	certificateHold = 6
	removeFromCRL   = 8
)

// scope is an issuingDistributionPoint; the zero value is a list of everything.
type scope struct {
	names              [][]byte // GeneralNames in DER
	onlyUsers, onlyCAs bool
}

// point is a distribution point of a certificate.
type point struct {
	names [][]byte // GeneralNames in DER
	urls  []string
}

var (
	oidNumber   = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidDelta    = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope    = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidPoints   = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidFreshest = asn1.ObjectIdentifier{2, 5, 29, 46}
)

// ParseList reads a CRL in DER (RFC 5280 §5) and verifies that the issuer made it: its name, its signature
// with SHA-256 or stronger, and its right to sign lists. Indirect lists, lists for some reasons only, and
// critical extensions that this package does not know are refused; a list must say when the next one is
// due. Whether it is up to date is not judged. The codes of its errors are npki.ErrMalformed,
// npki.ErrUnsupported, npki.ErrUntrusted and npki.ErrSignature.
func ParseList(raw []byte, issuer *x509.Certificate) (*List, error) {
	s := cryptobyte.String(raw)
	if !s.SkipASN1(der.SEQUENCE) || !s.Empty() { // crypto/x509 ignores what follows
		return nil, fail(npki.ErrMalformed, "CRL")
	}
	crl, err := x509.ParseRevocationList(raw)
	if err != nil {
		return nil, &npki.Error{Code: npki.ErrMalformed, What: "CRL", Err: err}
	}
	if !bytes.Equal(crl.RawIssuer, issuer.RawSubject) {
		return nil, fail(npki.ErrUntrusted, "CRL: of another issuer")
	}
	switch crl.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA:
	default:
		return nil, fail(npki.ErrUnsupported, "CRL: signature algorithm")
	}
	if err := crl.CheckSignatureFrom(issuer); err != nil {
		return nil, &npki.Error{Code: npki.ErrSignature, What: "CRL", Err: err}
	}
	if crl.NextUpdate.IsZero() || crl.NextUpdate.Before(crl.ThisUpdate) {
		return nil, fail(npki.ErrUnsupported, "CRL: no nextUpdate")
	}
	list := &List{
		ThisUpdate: crl.ThisUpdate, NextUpdate: crl.NextUpdate, Number: crl.Number, Raw: crl.Raw,
		entries: make(map[string]entry, len(crl.RevokedCertificateEntries)),
	}
	seen := make([]asn1.ObjectIdentifier, 0, len(crl.Extensions))
	for _, extension := range crl.Extensions {
		if slices.ContainsFunc(seen, extension.Id.Equal) {
			return nil, fail(npki.ErrMalformed, "CRL: an extension twice")
		}
		seen = append(seen, extension.Id)
		ok := true
		switch {
		case extension.Id.Equal(oidScope):
			list.scope, err = readScope(extension.Value)
		case extension.Id.Equal(oidDelta):
			list.Base = new(big.Int)
			s := cryptobyte.String(extension.Value)
			ok = s.ReadASN1Integer(list.Base) && s.Empty() && list.Number != nil
		case extension.Id.Equal(oidFreshest):
			list.freshest, err = readPoints(extension.Value)
		case extension.Id.Equal(oidNumber): // in crl.Number
		case extension.Critical:
			return nil, fail(npki.ErrUnsupported, "CRL: critical extension")
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fail(npki.ErrMalformed, "CRL: delta CRL indicator")
		}
	}
	for _, one := range crl.RevokedCertificateEntries {
		for _, extension := range one.Extensions {
			if extension.Critical {
				return nil, fail(npki.ErrUnsupported, "CRL: critical extension of an entry")
			}
		}
		// Listed twice, the graver entry counts: nothing is better than revoked for good.
		key := string(one.SerialNumber.Bytes())
		if old, twice := list.entries[key]; twice && old.reason != certificateHold && old.reason != removeFromCRL {
			continue
		}
		list.entries[key] = entry{one.RevocationTime, one.ReasonCode}
	}
	return list, nil
}

// lookup finds a serial number.
func (l *List) lookup(serial *big.Int) (entry, bool) {
	e, ok := l.entries[string(serial.Bytes())]
	return e, ok
}

// covers says whether the list speaks of the certificates at a distribution point (RFC 5280 §6.3.3).
func (l *List) covers(at point, authority bool) error {
	switch {
	case l.scope.onlyUsers && authority, l.scope.onlyCAs && !authority:
		return fail(npki.ErrMismatch, "CRL: of other certificates")
	case len(l.scope.names) == 0:
		return nil
	}
	for _, name := range l.scope.names {
		for _, own := range at.names {
			if bytes.Equal(name, own) {
				return nil
			}
		}
	}
	return fail(npki.ErrMismatch, "CRL: of another distribution point")
}

func constructed(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }

// readScope reads an IssuingDistributionPoint (RFC 5280 §5.2.5).
func readScope(value []byte) (scope, error) {
	var out scope
	var body, names cryptobyte.String
	s := cryptobyte.String(value)
	var has bool
	malformed := fail(npki.ErrMalformed, "issuingDistributionPoint")
	if !s.ReadASN1(&body, der.SEQUENCE) || !s.Empty() || !body.ReadOptionalASN1(&names, &has, constructed(0)) {
		return out, malformed
	}
	if has {
		var err error
		if out.names, _, err = readFullName(names); err != nil {
			return out, err
		}
	}
	var flags [6]bool
	for !body.Empty() {
		var field cryptobyte.String
		var tag der.Tag
		if !body.ReadAnyASN1(&field, &tag) {
			return out, malformed
		}
		n := uint8(tag) &^ 0x80
		switch {
		case n == 3: // reasons
			return out, fail(npki.ErrUnsupported, "issuingDistributionPoint: some reasons only")
		case n != 1 && n != 2 && n != 4 && n != 5 || flags[n] || len(field) != 1 || field[0] != 0xFF:
			return out, malformed // in DER, a FALSE by default is not written
		}
		flags[n] = true
	}
	if flags[4] || flags[5] || flags[1] && flags[2] {
		return out, fail(npki.ErrUnsupported, "issuingDistributionPoint: indirect, or of attribute certificates")
	}
	out.onlyUsers, out.onlyCAs = flags[1], flags[2]
	return out, nil
}

// readFullName reads a DistributionPointName; names relative to the issuer are not met.
func readFullName(s cryptobyte.String) (names [][]byte, urls []string, err error) {
	var full cryptobyte.String
	if !s.ReadASN1(&full, constructed(0)) || !s.Empty() || full.Empty() {
		return nil, nil, fail(npki.ErrUnsupported, "distribution point: no full name")
	}
	for !full.Empty() {
		var name cryptobyte.String
		var tag der.Tag
		if !full.ReadAnyASN1Element(&name, &tag) {
			return nil, nil, fail(npki.ErrMalformed, "distribution point")
		}
		names = append(names, name)
		if tag == der.Tag(6).ContextSpecific() {
			var text cryptobyte.String
			name.ReadASN1(&text, tag)
			urls = append(urls, string(text))
		}
	}
	return names, urls, nil
}

// readPoints reads CRLDistributionPoints or FreshestCRL. Points for some reasons, or of another issuer's
// lists, are left out.
func readPoints(value []byte) ([]point, error) {
	malformed := fail(npki.ErrMalformed, "distribution points")
	s := cryptobyte.String(value)
	var list cryptobyte.String
	if !s.ReadASN1(&list, der.SEQUENCE) || !s.Empty() {
		return nil, malformed
	}
	var out []point
	for !list.Empty() {
		var one, name cryptobyte.String
		var has bool
		if !list.ReadASN1(&one, der.SEQUENCE) || !one.ReadOptionalASN1(&name, &has, constructed(0)) {
			return nil, malformed
		}
		if !has || !one.Empty() {
			continue
		}
		names, urls, err := readFullName(name)
		if err != nil {
			return nil, err
		}
		out = append(out, point{names, urls})
	}
	return out, nil
}

// pointsOf reads where a certificate's list is.
func pointsOf(certificate *x509.Certificate) ([]point, error) {
	return extensionPoints(certificate, oidPoints)
}

// freshestOf reads where the delta CRL is, if the certificate says so.
func freshestOf(certificate *x509.Certificate) ([]point, error) {
	return extensionPoints(certificate, oidFreshest)
}

func extensionPoints(certificate *x509.Certificate, id asn1.ObjectIdentifier) ([]point, error) {
	for _, extension := range certificate.Extensions {
		if extension.Id.Equal(id) {
			return readPoints(extension.Value)
		}
	}
	return nil, nil
}
