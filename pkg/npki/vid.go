package npki

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Limits of what a subjectAltName may hold.
const (
	maxSAN      = 16 << 10
	maxRealName = 1 << 10
)

var oidSAN = oid("2.5.29.17")

// Identity is what the CA states about the holder in the subjectAltName (KISA identifyData).
type Identity struct {
	RealName string // the true name of a person or company: 홍길동; never to be cut from the common name
	VID      *VID   // nil where there is none, as in CA certificates: nothing can be proved then
}

// VID is a virtual identifier (KCAC.TS.SIVID): h(h(HashContent{number, R})). It proves that a number
// belongs to the certificate's holder to whoever knows the number and R, and shows nothing to others.
type VID struct {
	Hash  crypto.Hash // SHA-256; SHA-1 in old certificates
	Value []byte
}

// ParseIdentity reads the value of the subjectAltName extension (2.5.29.17). ErrMissing says that there is no
// identifyData in it.
func ParseIdentity(san []byte) (Identity, error) {
	const what = "subjectAltName"
	var id Identity
	if err := checkDER(what, san, maxSAN); err != nil {
		return id, err
	}
	s := cryptobyte.String(bytes.Clone(san))
	if !s.ReadASN1(&s, der.SEQUENCE) {
		return id, fail(ErrMalformed, what)
	}
	found := false
	for !s.Empty() {
		var name, data cryptobyte.String
		var tag der.Tag
		var kind asn1.ObjectIdentifier
		if !s.ReadAnyASN1(&name, &tag) {
			return id, fail(ErrMalformed, what)
		}
		if tag != der.Tag(0).ContextSpecific().Constructed() {
			continue
		}
		if !readOID(&name, &kind) ||
			!name.ReadASN1(&data, der.Tag(0).ContextSpecific().Constructed()) || !name.Empty() {
			return id, fail(ErrMalformed, what+": otherName")
		}
		if !kind.Equal(oidIdentifyData) {
			continue
		}
		if found {
			return id, fail(ErrMalformed, what+": identifyData given twice")
		}
		found = true
		if err := id.read(data); err != nil {
			return Identity{}, err
		}
	}
	if !found {
		return id, fail(ErrMissing, what+": identifyData")
	}
	return id, nil
}

// read reads IdentifyData.
func (id *Identity) read(s cryptobyte.String) error {
	const what = "identifyData"
	var data, name, info cryptobyte.String
	var tag der.Tag
	if !s.ReadASN1(&data, der.SEQUENCE) || !s.Empty() || !data.ReadAnyASN1Element(&name, &tag) {
		return fail(ErrMalformed, what)
	}
	if len(name) > maxRealName {
		return fail(ErrTooLarge, what+": realName")
	}
	var ok bool
	if id.RealName, ok = readText(name); !ok {
		return fail(ErrMalformed, what+": realName")
	}
	if data.Empty() {
		return nil
	}
	if !data.ReadASN1(&info, der.SEQUENCE) || !data.Empty() {
		return fail(ErrMalformed, what+": userInfo")
	}
	for !info.Empty() {
		var one cryptobyte.String
		var kind asn1.ObjectIdentifier
		if !info.ReadASN1(&one, der.SEQUENCE) || !readOID(&one, &kind) {
			return fail(ErrMalformed, what+": userInfo")
		}
		if !kind.Equal(oidVID) {
			continue
		}
		if id.VID != nil {
			return fail(ErrMalformed, what+": VID given twice")
		}
		var err error
		if id.VID, err = readVID(one); err != nil {
			return err
		}
	}
	return nil
}

func readVID(s cryptobyte.String) (*VID, error) {
	const what = "VID"
	var sequence, value cryptobyte.String
	var a algorithm
	if !s.ReadASN1(&sequence, der.SEQUENCE) || !s.Empty() || !readAlgorithm(&sequence, &a) ||
		!sequence.ReadASN1(&value, der.Tag(0).ContextSpecific().Constructed()) || !sequence.Empty() ||
		!value.ReadASN1(&value, der.OCTET_STRING) {
		return nil, fail(ErrMalformed, what)
	}
	hash, ok := hashOf(a)
	if !ok || hash != crypto.SHA1 && hash != crypto.SHA256 {
		return nil, fail(ErrUnsupported, what+": hash "+a.OID.String())
	}
	if len(value) != hash.Size() {
		return nil, fail(ErrMalformed, what+": length")
	}
	return &VID{Hash: hash, Value: value}, nil
}

// IdentityOf reads the identity of a certificate. Only a certificate that was verified proves it.
func IdentityOf(c *x509.Certificate) (Identity, error) {
	for _, e := range c.Extensions { // crypto/x509 refuses an extension given twice
		if e.Id.Equal(oidSAN) {
			return ParseIdentity(e.Value)
		}
	}
	return Identity{}, fail(ErrMissing, "subjectAltName")
}

// Marshal writes the subjectAltName value that a CA would issue: for SHA-256 without parameters, for SHA-1
// with NULL.
func (id Identity) Marshal() ([]byte, error) {
	explicit := der.Tag(0).ContextSpecific().Constructed()
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidIdentifyData)
			b.AddASN1(explicit, func(b *cryptobyte.Builder) {
				b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(id.RealName)) })
					if id.VID != nil {
						b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
								b.AddASN1ObjectIdentifier(oidVID)
								b.AddASN1(der.SEQUENCE, id.VID.marshal)
							})
						})
					}
				})
			})
		})
	})
	data, err := b.Bytes()
	if err != nil {
		return nil, because(ErrInput, "identifyData", err)
	}
	if _, err := ParseIdentity(data); err != nil {
		return nil, because(ErrInput, "identifyData", err)
	}
	return data, nil
}

func (v *VID) marshal(b *cryptobyte.Builder) {
	switch v.Hash {
	case crypto.SHA256:
		addAlgorithm(b, oidSHA256, nil)
	case crypto.SHA1:
		addAlgorithm(b, oidSHA1, addNull)
	default:
		b.SetError(fail(ErrUnsupported, "VID: hash"))
	}
	b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(v.Value) })
}

// ComputeVID computes the virtual identifier of a number under R. The number is a resident registration
// number or a foreigner's registration number, 13 digits, or a business registration number, 10 digits, in
// ASCII without hyphens; its check digit does not matter. R has RSize bytes. The hash is SHA-256 or SHA-1.
// Neither argument is kept; a caller wipes them with clear.
func ComputeVID(hash crypto.Hash, idn, r []byte) (VID, error) {
	if hash != crypto.SHA256 && hash != crypto.SHA1 {
		return VID{}, fail(ErrUnsupported, "VID: hash")
	}
	if len(idn) != 13 && len(idn) != 10 || !digits(idn) {
		return VID{}, fail(ErrInput, "VID: number")
	}
	content, err := hashContent(idn, r)
	if err != nil {
		return VID{}, err
	}
	defer clear(content)
	h := hash.New()
	h.Write(content)
	first := h.Sum(nil)
	h.Reset()
	h.Write(first)
	return VID{Hash: hash, Value: h.Sum(nil)}, nil
}

// Verify says, in constant time, that the VID is that of a number under R: nil, or ErrMismatch. Only SHA-256
// is taken; a caller who must also take certificates from before it names crypto.SHA1 in older.
func (v VID) Verify(idn, r []byte, older ...crypto.Hash) error {
	if v.Hash != crypto.SHA256 && !slices.Contains(older, v.Hash) {
		return fail(ErrUnsupported, "VID: hash")
	}
	computed, err := ComputeVID(v.Hash, idn, r)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(computed.Value, v.Value) != 1 {
		return fail(ErrMismatch, "VID")
	}
	return nil
}

// hashContent is HashContent{ idn PrintableString, randomNum BIT STRING }; the caller wipes it.
func hashContent(idn, r []byte) ([]byte, error) {
	if len(r) != RSize {
		return nil, fail(ErrInput, "R")
	}
	b := cryptobyte.NewFixedBuilder(make([]byte, 0, 6+len(idn)+1+RSize))
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes(idn) })
		b.AddASN1BitString(r)
	})
	return b.BytesOrPanic(), nil
}

// digits says that text consists of ASCII digits.
func digits(text []byte) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
