package mdoc

import (
	"encoding/binary"
	"errors"
	"math"
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
	majorNegative = 1
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

// decoder decodes values, and says of everything else whether it is well-formed and within the limits.
var decoder = newDecoder()

func newDecoder() cbor.DecMode {
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
	mode, err := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  maxDepth,
		MaxArrayElements: maxItems,
		MaxMapPairs:      maxItems,
		IntDec:           cbor.IntDecConvertSignedOrBigInt,
		BigIntDec:        cbor.BigIntDecodePointer,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		SimpleValues:     simple,
		NaN:              cbor.NaNDecodeForbidden,
		Inf:              cbor.InfDecodeForbidden,
		TimeTagToAny:     cbor.TimeTagToTime,
	}.DecModeWithTags(tags)
	if err != nil {
		panic(err)
	}
	return mode
}

// wellFormed says whether the bytes are one item, within the limits. What follows in this file reads parts of such
// an item where they lie, without copying them.
func wellFormed(encoded []byte, what string) error { return refusal(decoder.Wellformed(encoded), what) }

// refusal is the decoder's error in our words. The decoder's own may quote what it has read.
func refusal(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case is[*cbor.MaxNestedLevelError](err), is[*cbor.MaxArrayElementsError](err), is[*cbor.MaxMapPairsError](err):
		return oid4vp.Fail(oid4vp.ErrTooLarge, what)
	case is[*cbor.DupMapKeyError](err):
		return malformed(what + ": a key twice")
	case is[*cbor.IndefiniteLengthError](err):
		return malformed(what + ": indefinite length")
	case is[*cbor.ExtraneousDataError](err):
		return malformed(what + ": trailing bytes")
	}
	return malformed(what)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
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

// split parts the first item from what follows it.
func split(items []byte) (first, rest []byte, ok bool) {
	rest = items
	for open := uint64(1); open > 0; open-- {
		major, argument, after, ok := head(rest)
		if !ok {
			return nil, nil, false
		}
		rest = after
		switch major {
		case majorBytes, majorText:
			if argument > uint64(len(rest)) {
				return nil, nil, false
			}
			rest = rest[argument:]
		case majorArray:
			open += argument
		case majorMap:
			open += 2 * argument
		case majorTag:
			open++
		}
	}
	return items[:len(items)-len(rest)], rest, true
}

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

// readArray gives the elements of an array, which must have some.
func readArray(item []byte, what string) ([][]byte, error) {
	major, count, rest, ok := head(item)
	if !ok || major != majorArray || count > maxItems {
		return nil, malformed(what)
	}
	if count == 0 {
		return nil, malformed(what + ": empty")
	}
	items := make([][]byte, count)
	for i := range items {
		if items[i], rest, ok = split(rest); !ok {
			return nil, malformed(what)
		}
	}
	return items, nil
}

// walkMap calls f for each pair of a map; f has to find keys that come twice.
func walkMap(item []byte, what string, f func(key, value []byte) error) error {
	major, count, rest, ok := head(item)
	if !ok || major != majorMap || count > maxItems {
		return malformed(what)
	}
	for range count {
		var key, value []byte
		if key, rest, ok = split(rest); !ok {
			return malformed(what)
		}
		if value, rest, ok = split(rest); !ok {
			return malformed(what)
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// label is a key of a map that has text or numbers for keys: it is the same for all encodings of one.
type label struct {
	name   string
	number int64
}

// readLabel gives the name of a label apart, so that it is copied only where it is kept.
func readLabel(key []byte) (l label, name []byte, ok bool) {
	major, argument, rest, ok := head(key)
	switch {
	case ok && major == majorText:
		return l, rest, len(rest) > 0 && utf8.Valid(rest)
	case ok && major <= majorNegative && argument <= math.MaxInt64:
		l.number = int64(argument)
		if major == majorNegative {
			l.number = -1 - l.number
		}
		return l, nil, true
	}
	return l, nil, false
}

// A field is a member of a map that is expected, and where its value goes. A value stays nil if there is no such
// member.
type field struct {
	label
	into *[]byte
}

func named(name string, into *[]byte) field     { return field{label{name: name}, into} }
func numbered(number int64, into *[]byte) field { return field{label{number: number}, into} }

// readClosed reads a map that has no members but these: so it reads what anybody could have put together.
func readClosed(item []byte, what string, fields ...field) error {
	return readFields(item, what, fields, func(label) error { return malformed(what + ": unknown member") })
}

// readOpen reads a map that may have more members: so it reads what an issuer has signed, who may know more than this
// package.
func readOpen(item []byte, what string, fields ...field) error {
	unknown := make(map[label]bool)
	return readFields(item, what, fields, func(l label) error {
		if unknown[l] {
			return malformed(what + ": a key twice")
		}
		unknown[l] = true
		return nil
	})
}

func readFields(item []byte, what string, fields []field, other func(label) error) error {
	return walkMap(item, what, func(key, value []byte) error {
		l, text, ok := readLabel(key)
		if !ok {
			return malformed(what)
		}
		for _, f := range fields {
			if f.number == l.number && f.name == string(text) {
				if *f.into != nil {
					return malformed(what + ": a key twice")
				}
				*f.into = value
				return nil
			}
		}
		l.name = string(text)
		return other(l)
	})
}

// readNames reads a map from names to something.
func readNames(item []byte, what string, f func(name string, value []byte) error) error {
	seen := make(map[string]bool)
	return walkMap(item, what, func(key, value []byte) error {
		text, ok := name(key)
		if !ok {
			return malformed(what)
		}
		if seen[text] {
			return malformed(what + ": a key twice")
		}
		seen[text] = true
		return f(text, value)
	})
}

// marshal encodes what this package has put together itself.
func marshal(v any) []byte {
	encoded, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encoded
}
