// Package strict reads base64url and JSON in the one form that leaves nothing to interpretation: what two
// readers could understand differently is refused.
package strict

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may lie in each other.
const MaxDepth = 24

// What can be wrong. The texts hold nothing of the input.
var (
	ErrBase64    = errors.New("not base64url as an encoder writes it")
	ErrDepth     = errors.New("JSON too deep")
	ErrDuplicate = errors.New("JSON object with a doubled name")
	ErrSyntax    = errors.New("not JSON")
	ErrUTF8      = errors.New("JSON string that is not Unicode")
	ErrType      = errors.New("not a JSON object")
)

// Base64 decodes base64url without padding (RFC 7515 §2). Go's own decoder skips line ends and, unless told
// otherwise, takes spare bits that are not zero.
func Base64(text string) ([]byte, error) {
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, ErrBase64
	}
	data, err := base64URL.DecodeString(text)
	if err != nil {
		return nil, ErrBase64
	}
	return data, nil
}

var base64URL = base64.RawURLEncoding.Strict()

// IsBase64 says whether Base64 would decode a text.
func IsBase64(text string) bool {
	for _, c := range []byte(text) {
		if sextet[c] < 0 {
			return false
		}
	}
	switch len(text) % 4 {
	case 1:
		return false
	case 2:
		return sextet[text[len(text)-1]]&0xf == 0
	case 3:
		return sextet[text[len(text)-1]]&0x3 == 0
	}
	return true
}

// sextet is what a letter of base64url stands for, or -1.
var sextet = func() (table [256]int8) {
	for i := range table {
		table[i] = -1
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[c] = int8(i)
	}
	return table
}()

// Object reads a JSON object as Value does.
func Object(data []byte) (map[string]any, error) {
	value, err := Value(data)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, ErrType
	}
	return object, nil
}

// Value reads one JSON text (RFC 8259) into map[string]any, []any, string, json.Number, bool and nil. It refuses
// doubled names in an object, which encoding/json takes, strings that are not valid Unicode (lone surrogates
// too), and more than MaxDepth levels.
func Value(data []byte) (any, error) {
	r := reader{text: string(data)}
	value, err := r.value(0)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.at != len(r.text) {
		return nil, ErrSyntax
	}
	return value, nil
}

// reader gives strings as parts of the text, so that they need no copies.
type reader struct {
	text string
	at   int
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return
		}
	}
}

// next skips white space and gives the byte after it, or 0 at the end.
func (r *reader) next() byte {
	r.space()
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *reader) value(depth int) (any, error) {
	switch c := r.next(); {
	case c == '{':
		return r.object(depth + 1)
	case c == '[':
		return r.array(depth + 1)
	case c == '"':
		return r.string()
	case c == '-' || '0' <= c && c <= '9':
		return r.number()
	case c == 't':
		return true, r.literal("true")
	case c == 'f':
		return false, r.literal("false")
	case c == 'n':
		return nil, r.literal("null")
	}
	return nil, ErrSyntax
}

func (r *reader) literal(text string) error {
	if !strings.HasPrefix(r.text[r.at:], text) {
		return ErrSyntax
	}
	r.at += len(text)
	return nil
}

func (r *reader) object(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, ErrDepth
	}
	out := map[string]any{}
	r.at++
	if r.next() == '}' {
		r.at++
		return out, nil
	}
	for {
		if r.next() != '"' {
			return nil, ErrSyntax
		}
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if _, ok := out[name]; ok {
			return nil, ErrDuplicate
		}
		if r.next() != ':' {
			return nil, ErrSyntax
		}
		r.at++
		if out[name], err = r.value(depth); err != nil {
			return nil, err
		}
		switch r.next() {
		case ',':
			r.at++
		case '}':
			r.at++
			return out, nil
		default:
			return nil, ErrSyntax
		}
	}
}

func (r *reader) array(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, ErrDepth
	}
	r.at++
	if r.next() == ']' {
		r.at++
		return []any{}, nil
	}
	out := make([]any, 0, 4)
	for {
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, value)
		switch r.next() {
		case ',':
			r.at++
		case ']':
			r.at++
			return out, nil
		default:
			return nil, ErrSyntax
		}
	}
}

// string reads from the opening quotation mark to behind the closing one.
func (r *reader) string() (string, error) {
	r.at++
	start := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			text := r.text[start:r.at]
			r.at++
			if !utf8.ValidString(text) {
				return "", ErrUTF8
			}
			return text, nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return "", ErrSyntax
		}
		r.at++
	}
	return "", ErrSyntax
}

// escaped goes on with a string that began at start, from its first backslash.
func (r *reader) escaped(start int) (string, error) {
	out := []byte(r.text[start:r.at])
	for r.at < len(r.text) {
		c := r.text[r.at]
		switch {
		case c == '"':
			r.at++
			if !utf8.Valid(out) {
				return "", ErrUTF8
			}
			return string(out), nil
		case c < ' ':
			return "", ErrSyntax
		case c != '\\':
			out = append(out, c)
			r.at++
			continue
		}
		r.at++
		if r.at == len(r.text) {
			return "", ErrSyntax
		}
		c = r.text[r.at]
		r.at++
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			letter, err := r.unit()
			if err != nil {
				return "", err
			}
			if utf16.IsSurrogate(letter) {
				if r.literal(`\u`) != nil {
					return "", ErrUTF8
				}
				low, err := r.unit()
				if err != nil {
					return "", err
				}
				if letter = utf16.DecodeRune(letter, low); letter == utf8.RuneError {
					return "", ErrUTF8
				}
			}
			out = utf8.AppendRune(out, letter)
		default:
			return "", ErrSyntax
		}
	}
	return "", ErrSyntax
}

// unit reads the four hexadecimal digits of a UTF-16 code unit.
func (r *reader) unit() (rune, error) {
	if len(r.text)-r.at < 4 {
		return 0, ErrSyntax
	}
	var unit rune
	for _, c := range r.text[r.at : r.at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, ErrSyntax
		}
		unit = unit<<4 | c
	}
	r.at += 4
	return unit, nil
}

func (r *reader) number() (any, error) {
	start := r.at
	if r.text[r.at] == '-' {
		r.at++
	}
	switch leading := r.digits(); {
	case leading == 0:
		return nil, ErrSyntax
	case leading > 1 && r.text[r.at-leading] == '0':
		return nil, ErrSyntax
	}
	if r.at < len(r.text) && r.text[r.at] == '.' {
		r.at++
		if r.digits() == 0 {
			return nil, ErrSyntax
		}
	}
	if r.at < len(r.text) && (r.text[r.at] == 'e' || r.text[r.at] == 'E') {
		r.at++
		if r.at < len(r.text) && (r.text[r.at] == '+' || r.text[r.at] == '-') {
			r.at++
		}
		if r.digits() == 0 {
			return nil, ErrSyntax
		}
	}
	return json.Number(r.text[start:r.at]), nil
}

// digits skips digits and says how many.
func (r *reader) digits() int {
	start := r.at
	for r.at < len(r.text) && '0' <= r.text[r.at] && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}
