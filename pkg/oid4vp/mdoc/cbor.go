package mdoc

import (
	"encoding/binary"
	"reflect"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/anyid/anyid/pkg/oid4vp"
)

// Limits of the CBOR that is read. Depth counts arrays, maps and tags, in one encoding: what a byte string embeds is
// counted anew.
const (
	maxDepth = 16
	maxItems = 1024 // elements of an array, pairs of a map
	maxName  = 256  // bytes of a document type, namespace or element identifier
)

const (
	majorUnsigned = 0
	majorBytes    = 2
	majorText     = 3
	majorArray    = 4
	majorMap      = 5
	majorTag      = 6
)

// CBOR tags.
const (
	tagDateTime = 0
	tagEmbedded = 24
	tagFullDate = 1004
)

// strict refuses members that it does not know: so it reads what anybody could have put together. lenient reads
// what an issuer has signed, who may know more than this package.
var strict, lenient = decoders()

func decoders() (strict, lenient cbor.DecMode) {
	var rejected []func(*cbor.SimpleValueRegistry) error
	for v := range 256 {
		switch {
		case v >= 20 && v <= 22: // false, true, null
		case v >= 24 && v <= 31: // not well-formed anyway
		default:
			rejected = append(rejected, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
		}
	}
	simple, err := cbor.NewSimpleValueRegistryFromDefaults(rejected...)
	if err != nil {
		panic(err) // constant
	}
	tags := cbor.NewTagSet()
	err = tags.Add(cbor.TagOptions{DecTag: cbor.DecTagRequired, EncTag: cbor.EncTagRequired}, reflect.TypeFor[FullDate](), tagFullDate)
	if err != nil {
		panic(err)
	}
	options := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxNestedLevels:   maxDepth,
		MaxArrayElements:  maxItems,
		MaxMapPairs:       maxItems,
		IntDec:            cbor.IntDecConvertSignedOrBigInt,
		BigIntDec:         cbor.BigIntDecodePointer,
		DefaultMapType:    reflect.TypeFor[map[string]any](),
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		SimpleValues:      simple,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		TimeTagToAny:      cbor.TimeTagToTime,
	}
	if lenient, err = options.DecModeWithTags(tags); err != nil {
		panic(err)
	}
	options.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
	if strict, err = options.DecModeWithTags(tags); err != nil {
		panic(err)
	}
	return strict, lenient
}

// head reads the head of a well-formed item of definite length.
func head(item []byte) (major byte, argument uint64, rest []byte, ok bool) {
	if len(item) == 0 {
		return 0, 0, nil, false
	}
	major, rest = item[0]>>5, item[1:]
	info := item[0] & 0x1f
	if info < 24 {
		return major, uint64(info), rest, true
	}
	if info > 27 {
		return 0, 0, nil, false
	}
	size := 1 << (info - 24)
	if len(rest) < size {
		return 0, 0, nil, false
	}
	var argument8 [8]byte
	copy(argument8[8-size:], rest)
	return major, binary.BigEndian.Uint64(argument8[:]), rest[size:], true
}

// isA says whether the item is of the major type: the decoder takes null, and sometimes more, for anything.
func isA(item []byte, major byte) bool { return len(item) > 0 && item[0]>>5 == major }

// byteString reads a byte string and nothing after it.
func byteString(item []byte) ([]byte, bool) {
	major, length, rest, ok := head(item)
	return rest, ok && major == majorBytes && length == uint64(len(rest))
}

// name reads a text that names something.
func name(item []byte) (string, bool) {
	major, length, rest, ok := head(item)
	if !ok || major != majorText || length != uint64(len(rest)) || !utf8.Valid(rest) {
		return "", false
	}
	return string(rest), isName(string(rest))
}

func isName(s string) bool { return s != "" && len(s) <= maxName }

func unsigned(item []byte) (uint64, bool) {
	major, value, rest, ok := head(item)
	return value, ok && major == majorUnsigned && len(rest) == 0
}

// embedded gives what a byte string with tag 24 holds: encoded CBOR (RFC 8949 §3.4.5.1).
func embedded(item []byte) ([]byte, bool) {
	major, tag, rest, ok := head(item)
	if !ok || major != majorTag || tag != tagEmbedded {
		return nil, false
	}
	return byteString(rest)
}

// readMap reads a map into a struct of raw members or a Go map.
func readMap(mode cbor.DecMode, item []byte, into any, what string) error {
	if !isA(item, majorMap) {
		return oid4vp.Fail(oid4vp.ErrMalformed, what)
	}
	return decode(mode, item, into, what)
}

func readArray(item []byte, what string) (items []cbor.RawMessage, err error) {
	if !isA(item, majorArray) {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, what)
	}
	if err := decode(strict, item, &items, what); err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, what+": empty")
	}
	return items, nil
}

func decode(mode cbor.DecMode, item []byte, into any, what string) error {
	err := mode.Unmarshal(item, into)
	if err == nil {
		return nil
	}
	// The decoder's errors may quote what it read, so they are not passed on.
	switch err.(type) {
	case *cbor.MaxNestedLevelError, *cbor.MaxArrayElementsError, *cbor.MaxMapPairsError:
		return oid4vp.Fail(oid4vp.ErrTooLarge, what)
	case *cbor.DupMapKeyError:
		return oid4vp.Fail(oid4vp.ErrMalformed, what+": a key twice")
	case *cbor.UnknownFieldError:
		return oid4vp.Fail(oid4vp.ErrMalformed, what+": unknown member")
	case *cbor.IndefiniteLengthError:
		return oid4vp.Fail(oid4vp.ErrMalformed, what+": indefinite length")
	case *cbor.ExtraneousDataError:
		return oid4vp.Fail(oid4vp.ErrMalformed, what+": trailing bytes")
	}
	return oid4vp.Fail(oid4vp.ErrMalformed, what)
}

// marshal encodes what this package has put together itself.
func marshal(v any) []byte {
	encoded, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encoded
}
