package npki

import (
	"crypto"
	"crypto/subtle"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxUCPID is how long a UCPIDRequestInfo may be, in bytes; real ones have about 190.
const maxUCPID = 16 << 10

// UCPIDItems are what a UCPID request lets the CA tell, a set of bits.
type UCPIDItems uint8

// The items, with the bit numbers of the guideline.
const (
	UCPIDRealName    UCPIDItems = 1 << iota // bit 0
	UCPIDGender                             // bit 1
	UCPIDNationality                        // bit 2
	UCPIDBirthDate                          // bit 3
	UCPIDCI                                 // bit 4

	UCPIDAll = UCPIDRealName | UCPIDGender | UCPIDNationality | UCPIDBirthDate | UCPIDCI
)

// UCPIDRequest is a UCPIDRequestInfo (KISA UCPID guideline): what a person signs so that the CA tells the
// relying party who they are, without a resident registration number.
type UCPIDRequest struct {
	Nonce     []byte // of the relying party: 16 bytes, 8 in old versions
	Agreement string // the text that the person was shown
	Items     UCPIDItems
	Module    string // of the signing program
	Vendor    string
	Version   UCPIDVersion
	Site      string // the relying party's domain, without scheme
}

// UCPIDVersion is the version of the signing program. Build and Revision may be nil.
type UCPIDVersion struct {
	Major, Minor    int
	Build, Revision *int
}

// ucpidVersion is the version of the format.
const ucpidVersion = 2

// Marshal gives the request in DER. ErrInput says that it is not complete.
func (r *UCPIDRequest) Marshal() ([]byte, error) {
	const what = "UCPIDRequestInfo"
	if len(r.Nonce) != 16 && len(r.Nonce) != 8 || r.Site == "" || r.Version.Major < 0 || r.Version.Minor < 0 {
		return nil, fail(ErrInput, what)
	}
	text := func(b *cryptobyte.Builder, s string) {
		if !utf8.ValidString(s) {
			b.SetError(fail(ErrInput, what))
			return
		}
		b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(ucpidVersion)
		b.AddASN1OctetString(r.Nonce)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			text(b, r.Agreement)
			b.AddASN1(der.BIT_STRING, func(b *cryptobyte.Builder) { addNamedBits(b, uint8(r.Items)) })
		})
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			text(b, r.Module)
			text(b, r.Vendor)
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(int64(r.Version.Major))
				b.AddASN1Int64(int64(r.Version.Minor))
				for i, n := range []*int{r.Version.Build, r.Version.Revision} {
					if n != nil {
						b.AddASN1(explicit0+der.Tag(i), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(*n)) })
					}
				}
			})
		})
		text(b, r.Site)
	})
	out, err := built(what, &b)
	if err == nil && len(out) > maxUCPID {
		return nil, fail(ErrTooLarge, what)
	}
	return out, err
}

// addNamedBits writes the content of a named BIT STRING in DER: bit 0 is the highest, and zeros at the end
// are left out (X.690 §11.2.2).
func addNamedBits(b *cryptobyte.Builder, set uint8) {
	var reversed, unused uint8
	for i := range uint8(8) {
		if set>>i&1 == 1 {
			reversed |= 0x80 >> i
			unused = 7 - i
		}
	}
	b.AddUint8(unused)
	if set != 0 {
		b.AddUint8(reversed)
	}
}

// ParseUCPIDRequest reads a UCPIDRequestInfo strictly. The items may be a named BIT STRING or, as some
// programs write it, one of fixed length. The codes of its errors are ErrTooLarge, ErrMalformed and
// ErrUnsupported.
func ParseUCPIDRequest(data []byte) (*UCPIDRequest, error) {
	const what = "UCPIDRequestInfo"
	if err := checkDER(what, data, maxUCPID); err != nil {
		return nil, err
	}
	s := cryptobyte.String(data)
	var body, person, module, version, bits cryptobyte.String
	var r UCPIDRequest
	var number int
	if !s.ReadASN1(&body, der.SEQUENCE) || !body.ReadASN1Integer(&number) {
		return nil, fail(ErrMalformed, what)
	}
	if number != ucpidVersion {
		return nil, fail(ErrUnsupported, what+": version")
	}
	if !body.ReadASN1Bytes(&r.Nonce, der.OCTET_STRING) || len(r.Nonce) != 16 && len(r.Nonce) != 8 ||
		!body.ReadASN1(&person, der.SEQUENCE) ||
		!readUTF8(&person, &r.Agreement) || !person.ReadASN1(&bits, der.BIT_STRING) || !person.Empty() ||
		!body.ReadASN1(&module, der.SEQUENCE) ||
		!readUTF8(&module, &r.Module) || !readUTF8(&module, &r.Vendor) ||
		!module.ReadASN1(&version, der.SEQUENCE) || !module.Empty() ||
		!version.ReadASN1Integer(&r.Version.Major) || !version.ReadASN1Integer(&r.Version.Minor) ||
		!readOptionalInt(&version, 0, &r.Version.Build) || !readOptionalInt(&version, 1, &r.Version.Revision) ||
		!version.Empty() ||
		!readUTF8(&body, &r.Site) || r.Site == "" || !body.Empty() ||
		r.Version.Major < 0 || r.Version.Minor < 0 {
		return nil, fail(ErrMalformed, what)
	}
	if len(bits) > 2 { // items that nobody knows
		return nil, fail(ErrUnsupported, what+": items")
	}
	if len(bits) == 2 {
		for i := range 8 {
			if bits[1]&(0x80>>i) != 0 {
				r.Items |= 1 << i
			}
		}
	}
	return &r, nil
}

func readUTF8(s *cryptobyte.String, out *string) bool {
	var text cryptobyte.String
	if !s.ReadASN1(&text, der.UTF8String) || !utf8.Valid(text) {
		return false
	}
	*out = string(text)
	return true
}

// readOptionalInt reads an optional INTEGER under an explicit tag.
func readOptionalInt(s *cryptobyte.String, tag uint8, out **int) bool {
	var wrapped cryptobyte.String
	var has bool
	if !s.ReadOptionalASN1(&wrapped, &has, explicit0+der.Tag(tag)) || !has {
		return !has
	}
	n := new(int)
	*out = n
	return wrapped.ReadASN1Integer(n) && wrapped.Empty()
}

// UCPIDWant is what a relying party has asked the person to sign.
type UCPIDWant struct {
	Nonce     []byte     // from the session, used once
	Site      string     // the own domain
	Agreement string     // the text that was shown
	Items     UCPIDItems // the most that was agreed to
}

// Check compares the request with what the relying party wanted, itself and not only by the CA: ErrNonce for
// another nonce, ErrSite for a request that was signed for another site and is now relayed, ErrConsent for
// another text or more items than the person has agreed to.
func (r *UCPIDRequest) Check(want UCPIDWant) error {
	const what = "UCPIDRequestInfo"
	switch {
	case len(want.Nonce) == 0 || want.Site == "":
		return fail(ErrInput, "UCPIDWant")
	case subtle.ConstantTimeCompare(r.Nonce, want.Nonce) != 1:
		return fail(ErrNonce, what)
	case r.Site != want.Site:
		return fail(ErrSite, what)
	case r.Agreement != want.Agreement || r.Items&^want.Items != 0:
		return fail(ErrConsent, what)
	}
	return nil
}

// SignUCPIDRequest signs the request as SignCMS does.
func SignUCPIDRequest(key crypto.Signer, certificate []byte, r *UCPIDRequest, options SignOptions) ([]byte, error) {
	content, err := r.Marshal()
	if err != nil {
		return nil, err
	}
	return SignCMS(key, certificate, content, options)
}
