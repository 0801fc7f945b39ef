package npki

import (
	"encoding/asn1"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// oid reads a dotted object identifier that stands in this package's own text.
func oid(dotted string) asn1.ObjectIdentifier {
	parts := strings.Split(dotted, ".")
	id := make(asn1.ObjectIdentifier, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic("npki: " + dotted)
		}
		id[i] = n
	}
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(id)
	known[string(b.BytesOrPanic())] = id
	return id
}

// known are the object identifiers of this package by their DER. Nobody changes them.
var known = map[string]asn1.ObjectIdentifier{}

// readOID reads an object identifier. One that is known costs no memory: a login has a dozen of them.
func readOID(s *cryptobyte.String, id *asn1.ObjectIdentifier) bool {
	var element cryptobyte.String
	if !s.ReadASN1Element(&element, der.OBJECT_IDENTIFIER) {
		return false
	}
	if shared, ok := known[string(element)]; ok {
		*id = shared
		return true
	}
	return element.ReadASN1ObjectIdentifier(id)
}

// Object identifiers of the KISA arc 1.2.410.200004 and of the standards that its files use.
var (
	oidSEEDCBC      = oid("1.2.410.200004.1.4")
	oidPBESEED      = oid("1.2.410.200004.1.15") // pbeWithSHA1AndSEED-CBC
	oidIdentifyData = oid("1.2.410.200004.10.1.1")
	oidVID          = oid("1.2.410.200004.10.1.1.1")
	oidRandomNum    = oid("1.2.410.200004.10.1.1.3")

	oidARIA128CBC = oid("1.2.410.200046.1.1.2")
	oidARIA192CBC = oid("1.2.410.200046.1.1.7")
	oidARIA256CBC = oid("1.2.410.200046.1.1.12")
	oidAES128CBC  = oid("2.16.840.1.101.3.4.1.2")
	oidAES192CBC  = oid("2.16.840.1.101.3.4.1.22")
	oidAES256CBC  = oid("2.16.840.1.101.3.4.1.42")
	oidDESEDE3CBC = oid("1.2.840.113549.3.7")

	oidPBETripleDES = oid("1.2.840.113549.1.12.1.3") // pbeWithSHA1And3-KeyTripleDES-CBC
	oidPBES2        = oid("1.2.840.113549.1.5.13")
	oidPBKDF2       = oid("1.2.840.113549.1.5.12")
	oidHMACSHA1     = oid("1.2.840.113549.2.7")
	oidHMACSHA256   = oid("1.2.840.113549.2.9")
	oidHMACSHA384   = oid("1.2.840.113549.2.10")
	oidHMACSHA512   = oid("1.2.840.113549.2.11")

	oidSHA1   = oid("1.3.14.3.2.26")
	oidSHA256 = oid("2.16.840.1.101.3.4.2.1")
	oidSHA384 = oid("2.16.840.1.101.3.4.2.2")
	oidSHA512 = oid("2.16.840.1.101.3.4.2.3")

	oidRSA       = oid("1.2.840.113549.1.1.1")
	oidRSAOAEP   = oid("1.2.840.113549.1.1.7")
	oidMGF1      = oid("1.2.840.113549.1.1.8")
	oidRSAPSS    = oid("1.2.840.113549.1.1.10")
	oidSHA256RSA = oid("1.2.840.113549.1.1.11")
	oidSHA384RSA = oid("1.2.840.113549.1.1.12")
	oidSHA512RSA = oid("1.2.840.113549.1.1.13")

	oidData          = oid("1.2.840.113549.1.7.1")
	oidSignedData    = oid("1.2.840.113549.1.7.2")
	oidEnvelopedData = oid("1.2.840.113549.1.7.3")
	oidEncryptedData = oid("1.2.840.113549.1.7.6")
	oidContentType   = oid("1.2.840.113549.1.9.3")
	oidMessageDigest = oid("1.2.840.113549.1.9.4")
	oidSigningTime   = oid("1.2.840.113549.1.9.5")
)
