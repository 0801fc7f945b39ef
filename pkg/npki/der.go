package npki

import (
	"bytes"
	"encoding/asn1"
	"math"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxFile is the size, in bytes, over which no input of any kind is looked at.
const MaxFile = 1 << 20

// maxDepth is how deep values may lie in one another; the deepest real message, a CMS with its
// certificate, has about twelve levels.
const maxDepth = 32

// checkDER refuses what is not exactly one DER value of at most limit bytes: trailing bytes, indefinite
// or non-minimal lengths, tags above 30, constructed strings, unclean integers, booleans, object
// identifiers and bit strings. After it, a parser may rely on the shape of every value in it, except for
// what lies wrapped in an OCTET STRING. The order within a SET is not looked at, because signers in the
// wild do not keep it.
func checkDER(what string, data []byte, limit int) error {
	if len(data) > min(limit, MaxFile) {
		return fail(ErrTooLarge, what)
	}
	rest, problem := walk(data, 0)
	switch {
	case problem != "":
		return fail(ErrMalformed, what+": "+problem)
	case len(rest) != 0:
		return fail(ErrMalformed, what+": trailing bytes")
	}
	return nil
}

// walk checks the first value in data and returns what follows it, or says what is wrong.
func walk(data []byte, depth int) (rest []byte, problem string) {
	if depth > maxDepth {
		return nil, "nested too deep"
	}
	tag, body, rest, problem := header(data)
	if problem != "" {
		return nil, problem
	}
	if tag&0x20 != 0 {
		if tag&0xC0 == 0 && tag != byte(der.SEQUENCE) && tag != byte(der.SET) {
			return nil, "constructed string"
		}
		for len(body) > 0 {
			if body, problem = walk(body, depth+1); problem != "" {
				return nil, problem
			}
		}
		return rest, ""
	}
	return rest, primitive(tag, body)
}

// header splits data into a tag, its content and the rest.
func header(data []byte) (tag byte, body, rest []byte, problem string) {
	if len(data) < 2 {
		return 0, nil, nil, "cut off"
	}
	tag = data[0]
	if tag&0x1F == 0x1F {
		return 0, nil, nil, "tag above 30"
	}
	length, data := int(data[1]), data[2:]
	switch {
	case length == 0x80:
		return 0, nil, nil, "indefinite length"
	case length > 0x80:
		n := length & 0x7F
		if n > 4 || n > len(data) {
			return 0, nil, nil, "length out of range"
		}
		var long uint64
		for _, b := range data[:n] {
			long = long<<8 | uint64(b)
		}
		if data[0] == 0 || long < 0x80 {
			return 0, nil, nil, "length not minimal"
		}
		if long > math.MaxInt32 {
			return 0, nil, nil, "length out of range"
		}
		length, data = int(long), data[n:]
	}
	if length > len(data) {
		return 0, nil, nil, "cut off"
	}
	return tag, data[:length], data[length:], ""
}

// primitive checks the content of a universal primitive value.
func primitive(tag byte, body []byte) (problem string) {
	switch der.Tag(tag) {
	case der.SEQUENCE &^ 0x20, der.SET &^ 0x20:
		return "primitive SEQUENCE or SET"
	case der.BOOLEAN:
		if len(body) != 1 || body[0] != 0 && body[0] != 0xFF {
			return "BOOLEAN not DER"
		}
	case der.INTEGER, der.ENUM:
		if len(body) == 0 || len(body) > 1 && (body[0] == 0 && body[1] < 0x80 || body[0] == 0xFF && body[1] >= 0x80) {
			return "INTEGER not minimal"
		}
	case der.NULL:
		if len(body) != 0 {
			return "NULL not empty"
		}
	case der.BIT_STRING:
		if len(body) == 0 || body[0] > 7 || len(body) == 1 && body[0] != 0 ||
			body[len(body)-1]&(1<<body[0]-1) != 0 {
			return "BIT STRING not DER"
		}
	case der.OBJECT_IDENTIFIER:
		if len(body) == 0 || body[len(body)-1] >= 0x80 {
			return "OBJECT IDENTIFIER not DER"
		}
		for i, b := range body {
			if b == 0x80 && (i == 0 || body[i-1] < 0x80) {
				return "OBJECT IDENTIFIER not DER"
			}
		}
	}
	return ""
}

// An algorithm is an AlgorithmIdentifier; Parameters is the complete value after the OID, or nil.
type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters cryptobyte.String
}

// readAlgorithm reads an AlgorithmIdentifier.
func readAlgorithm(s *cryptobyte.String, a *algorithm) bool {
	var sequence cryptobyte.String
	if !s.ReadASN1(&sequence, der.SEQUENCE) || !readOID(&sequence, &a.OID) {
		return false
	}
	a.Parameters = nil
	if sequence.Empty() {
		return true
	}
	var tag der.Tag
	return sequence.ReadAnyASN1Element(&a.Parameters, &tag) && sequence.Empty()
}

// plain says that the parameters are absent or NULL: for hashes and RSA both are met everywhere.
func (a algorithm) plain() bool {
	return a.Parameters == nil || bytes.Equal(a.Parameters, []byte{byte(der.NULL), 0})
}

// addAlgorithm writes an AlgorithmIdentifier whose parameters are what the function adds, if there is one.
func addAlgorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, parameters cryptobyte.BuilderContinuation) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		if parameters != nil {
			parameters(b)
		}
	})
}

// addNull writes NULL, the parameters of rsaEncryption.
func addNull(b *cryptobyte.Builder) { b.AddASN1NULL() }
