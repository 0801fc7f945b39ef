package mdoc

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// A FullDate is a date without time, in the form 2006-01-02: CBOR tag 1004 (RFC 8943).
type FullDate string

// Time is the beginning of the day in UTC.
func (d FullDate) Time() (time.Time, error) { return time.Parse(time.DateOnly, string(d)) }

// A Tag is a value with a CBOR tag that has no Go type of its own here.
type Tag struct {
	Number  uint64
	Content any
}

// Elements are data elements by namespace and element identifier. A value is one of
//
//	string, []byte, bool, nil, float64
//	int64, or *big.Int where that is too small
//	time.Time    tdate and other times: tags 0 and 1
//	FullDate     full-date: tag 1004
//	Tag          any other tag
//	[]any, map[string]any
type Elements map[string]map[string]any

// Claims gives the elements in the form of [oid4vp.Credential]: times and dates are strings, numbers json.Number, tags
// are dropped; byte strings stay []byte.
func (e Elements) Claims() map[string]any {
	claims := make(map[string]any, len(e))
	for namespace, elements := range e {
		members := make(map[string]any, len(elements))
		for name, value := range elements {
			members[name] = claim(value)
		}
		claims[namespace] = members
	}
	return claims
}

func claim(value any) any {
	switch v := value.(type) {
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case *big.Int:
		return json.Number(v.String())
	case float64:
		number, _ := json.Marshal(v) // finite: the decoder takes nothing else
		return json.Number(number)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case FullDate:
		return string(v)
	case Tag:
		return claim(v.Content)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = claim(item)
		}
		return list
	case map[string]any:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = claim(member)
		}
		return members
	}
	return value // string, []byte, bool, nil
}

// readValue decodes the value of an element.
func readValue(raw []byte, what string) (any, error) {
	switch major, length, rest, ok := head(raw); { // what most values are
	case !ok || length != uint64(len(rest)):
	case major == majorText && utf8.Valid(rest):
		return string(rest), nil
	case major == majorBytes:
		return bytes.Clone(rest), nil
	}
	var decoded any
	if err := decoder.Unmarshal(raw, &decoded); err != nil {
		return nil, refusal(err, what)
	}
	value, ok := normal(decoded)
	if !ok {
		return nil, malformed(what)
	}
	return value, nil
}

// normal turns the decoder's types into ours, in place where it can.
func normal(value any) (_ any, ok bool) {
	switch v := value.(type) {
	case FullDate:
		_, err := v.Time()
		return v, err == nil
	case time.Time:
		return v, v.Year() >= 0 && v.Year() <= 9999 // as RFC 3339 writes it
	case cbor.Tag:
		content, ok := normal(v.Content)
		return Tag{v.Number, content}, ok
	case []any:
		for i := range v {
			if v[i], ok = normal(v[i]); !ok {
				return nil, false
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], ok = normal(v[name]); !ok {
				return nil, false
			}
		}
	}
	return value, true
}
