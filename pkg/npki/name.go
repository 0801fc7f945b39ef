package npki

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxName is the size, in bytes, of the largest distinguished name.
const maxName = 8 << 10

// Name is a distinguished name, in the order of its encoding: country first.
type Name []RDN

// RDN is a relative distinguished name; in NPKI names it has one attribute.
type RDN []Attribute

// Attribute is one attribute of a name.
type Attribute struct {
	Type  string // lower-case short name: "c", "o", "ou", "cn", …; or a dotted object identifier
	Value string // the text; empty where Raw could not be read as text
	Raw   []byte // the value in DER; nil in a name that was not parsed
}

var attributeTypes = []struct {
	name string
	id   asn1.ObjectIdentifier
}{
	{"c", oid("2.5.4.6")}, {"o", oid("2.5.4.10")}, {"ou", oid("2.5.4.11")}, {"cn", oid("2.5.4.3")},
	{"st", oid("2.5.4.8")}, {"l", oid("2.5.4.7")}, {"street", oid("2.5.4.9")},
	{"serialnumber", oid("2.5.4.5")}, {"title", oid("2.5.4.12")},
	{"dc", oid("0.9.2342.19200300.100.1.25")}, {"uid", oid("0.9.2342.19200300.100.1.1")},
	{"emailaddress", oid("1.2.840.113549.1.9.1")},
}

// ParseName reads a Name in DER, such as [x509.Certificate.RawSubject].
func ParseName(data []byte) (Name, error) {
	const what = "Name"
	if err := checkDER(what, data, maxName); err != nil {
		return nil, err
	}
	s := cryptobyte.String(bytes.Clone(data))
	if !s.ReadASN1(&s, der.SEQUENCE) {
		return nil, fail(ErrMalformed, what)
	}
	name := Name{}
	for !s.Empty() {
		var set cryptobyte.String
		if !s.ReadASN1(&set, der.SET) || set.Empty() {
			return nil, fail(ErrMalformed, what)
		}
		var rdn RDN
		for !set.Empty() {
			var one, value cryptobyte.String
			var id asn1.ObjectIdentifier
			var tag der.Tag
			if !set.ReadASN1(&one, der.SEQUENCE) || !readOID(&one, &id) ||
				!one.ReadAnyASN1Element(&value, &tag) || !one.Empty() {
				return nil, fail(ErrMalformed, what)
			}
			a := Attribute{Type: id.String(), Raw: value}
			for _, t := range attributeTypes {
				if t.id.Equal(id) {
					a.Type = t.name
				}
			}
			if text, ok := readText(value); ok {
				a.Value = text
			}
			rdn = append(rdn, a)
		}
		name = append(name, rdn)
	}
	return name, nil
}

// readText reads a string of one of the types of DirectoryString, or IA5String. TeletexString counts as text
// when it is ASCII: old certificates have EUC-KR there, which only a caller with its tables can read.
func readText(element cryptobyte.String) (string, bool) {
	var body cryptobyte.String
	var tag der.Tag
	if !element.ReadAnyASN1(&body, &tag) {
		return "", false
	}
	switch tag {
	case der.UTF8String:
		return string(body), utf8.Valid(body)
	case der.PrintableString, der.IA5String, der.T61String:
		return string(body), !slices.ContainsFunc(body, func(c byte) bool { return c >= 0x80 })
	case bmpString:
		if len(body)%2 != 0 {
			return "", false
		}
		units := make([]uint16, 0, len(body)/2)
		for i := 0; i < len(body); i += 2 {
			units = append(units, uint16(body[i])<<8|uint16(body[i+1]))
		}
		return string(utf16.Decode(units)), true
	}
	return "", false
}

const bmpString = der.Tag(30)

// String renders the name as folders and directories of NPKI have it: RFC 4514, leaf first, types in lower
// case, a comma without a space, each organizational unit for itself.
//
//	cn=홍길동()0088046202601019,ou=KDB,ou=personal4IB,o=yessign,c=kr
//
// A value that is not text is shown as # and its DER in hex.
func (n Name) String() string {
	var b strings.Builder
	for i, rdn := range slices.Backward(n) {
		if i != len(n)-1 {
			b.WriteByte(',')
		}
		for j, a := range rdn {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(a.Type)
			b.WriteByte('=')
			if text, ok := readText(a.Raw); a.Raw != nil && (!ok || strings.Contains(a.Type, ".")) {
				b.WriteString("#" + hex.EncodeToString(a.Raw))
			} else if a.Raw != nil {
				escape(&b, text)
			} else {
				escape(&b, a.Value)
			}
		}
	}
	return b.String()
}

// escape writes a value as RFC 4514 section 2.4 wants it.
func escape(b *strings.Builder, text string) {
	for i, r := range text {
		switch {
		case r == 0:
			b.WriteString(`\00`)
			continue
		case r < ' ' || r == 0x7F: // allowed as they are, but nobody wants them on a screen or in a log
			b.WriteString(`\` + hex.EncodeToString([]byte{byte(r)}))
			continue
		case strings.ContainsRune(`"+,;<>\`, r), r == '#' && i == 0,
			r == ' ' && (i == 0 || i == len(text)-1):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}

// All gives the values of one type, such as "ou", in the order of the encoding.
func (n Name) All(kind string) []string {
	var values []string
	for _, rdn := range n {
		for _, a := range rdn {
			if a.Type == kind {
				values = append(values, a.Value)
			}
		}
	}
	return values
}

// Last gives the value of one type that lies nearest to the leaf, or "".
func (n Name) Last(kind string) string {
	values := n.All(kind)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// BankCode gives the four characters after the last ")" of a yessign common name: "0" and the three digits of
// the financial institution. It is "" for any other name.
func (n Name) BankCode() string {
	if !slices.Equal(n.All("o"), []string{"yessign"}) {
		return ""
	}
	cn := n.Last("cn")
	code := cn[strings.LastIndexByte(cn, ')')+1:]
	if len(code) == len(cn) || len(code) < 4 {
		return ""
	}
	for _, c := range []byte(code[:4]) {
		if c < '0' || c > '9' {
			return ""
		}
	}
	return code[:4]
}

// Equal compares two names as RFC 5280 section 7.1 does, as far as their text goes: case, the string type,
// and the number of spaces do not matter, so that C=kr is C=KR. Values that are not text are compared by
// their bytes.
func (n Name) Equal(other Name) bool {
	return slices.EqualFunc(n, other, func(a, b RDN) bool {
		return len(a) == len(b) && !slices.ContainsFunc(a, func(one Attribute) bool {
			return !slices.ContainsFunc(b, one.equal)
		}) && !slices.ContainsFunc(b, func(one Attribute) bool { return !slices.ContainsFunc(a, one.equal) })
	})
}

func (a Attribute) equal(b Attribute) bool {
	if a.Type != b.Type {
		return false
	}
	if a.Value == "" || b.Value == "" {
		return a.Value == b.Value && bytes.Equal(a.Raw, b.Raw)
	}
	return strings.EqualFold(strings.Join(strings.Fields(a.Value), " "), strings.Join(strings.Fields(b.Value), " "))
}

// Marshal writes the name as today's certificates have it: the country as PrintableString, all else as
// UTF8String; a value with Raw and no text as it was. [pkix.Name] would put all units into one RDN.
//
// [pkix.Name]: https://pkg.go.dev/crypto/x509/pkix#Name
func (n Name) Marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, rdn := range n {
			b.AddASN1(der.SET, func(b *cryptobyte.Builder) {
				encoded := make([][]byte, len(rdn))
				for i, a := range rdn {
					encoded[i] = a.marshal(b)
				}
				slices.SortFunc(encoded, bytes.Compare) // a SET OF
				for _, e := range encoded {
					b.AddBytes(e)
				}
			})
		}
	})
	data, err := b.Bytes()
	if err != nil {
		return nil, because(ErrInput, "Name", err)
	}
	return data, nil
}

// marshal writes one attribute; what is wrong with it goes to outer.
func (a Attribute) marshal(outer *cryptobyte.Builder) []byte {
	var id asn1.ObjectIdentifier
	for _, t := range attributeTypes {
		if t.name == a.Type {
			id = t.id
		}
	}
	switch {
	case id == nil:
		outer.SetError(fail(ErrInput, "attribute type"))
		return nil
	case !utf8.ValidString(a.Value):
		outer.SetError(fail(ErrInput, "attribute value"))
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		switch {
		case a.Value == "" && a.Raw != nil:
			b.AddBytes(a.Raw)
		case a.Type == "c":
			b.AddASN1(der.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Value)) })
		default:
			b.AddASN1(der.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.Value)) })
		}
	})
	return b.BytesOrPanic()
}
