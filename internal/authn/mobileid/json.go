package mobileid

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of JSON that comes from outside.
const (
	maxDepth  = 16
	maxValues = 4096
)

// A JSON value is nil, bool, string, number, list or object.
type (
	number string // as it was written
	list   []any
	// object has its members sorted by name, each once.
	object []member
	member struct {
		name  string
		value any
	}
)

// get returns a member, nil if there is none.
func (o object) get(name string) any {
	for i := range o {
		if o[i].name == name {
			return o[i].value
		}
	}
	return nil
}

// has reports whether there is a member of that name, null among them.
func (o object) has(name string) bool {
	return slices.ContainsFunc(o, func(m member) bool { return m.name == name })
}

// text returns a member that is a string.
func (o object) text(name string) (string, bool) {
	s, ok := o.get(name).(string)
	return s, ok
}

// object returns a member that is an object, nil if it is none.
func (o object) object(name string) object {
	inner, _ := o.get(name).(object)
	return inner
}

// objects returns a member that is a list of objects.
func (o object) objects(name string) ([]object, bool) {
	l, ok := o.get(name).(list)
	if !ok {
		return nil, false
	}
	out := make([]object, len(l))
	for i, v := range l {
		if out[i], ok = v.(object); !ok {
			return nil, false
		}
	}
	return out, true
}

// texts returns a member that is a list of strings; ok also for null, and where there is none.
func (o object) texts(name string) (out []string, ok bool) {
	switch v := o.get(name).(type) {
	case nil:
		return nil, true
	case list:
		for _, e := range v {
			s, isText := e.(string)
			if !isText {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

// integer returns a member that is a small whole number, also when it was sent as a string, as some
// senders do.
func (o object) integer(name string) (int, bool) {
	var text string
	switch v := o.get(name).(type) {
	case number:
		text = string(v)
	case string:
		text = v
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil && strconv.FormatInt(n, 10) == text
}

var errJSON = errors.New("mobileid: not the JSON that is taken")

// parseObject reads one JSON object (RFC 8259) without doubled names, invalid UTF-8 or lone surrogates, and
// within the limits of depth and number.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	p := jsonParser{text: string(data)}
	p.space()
	v, ok := p.value(0)
	if p.space(); !ok || p.at != len(p.text) {
		return nil, errJSON
	}
	o, isObject := v.(object)
	if !isObject {
		return nil, errJSON
	}
	return o, nil
}

type jsonParser struct {
	text   string
	at     int
	values int
}

func (p *jsonParser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next takes a byte if it is the next one.
func (p *jsonParser) next(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *jsonParser) word(w string, v any) (any, bool) {
	if !strings.HasPrefix(p.text[p.at:], w) {
		return nil, false
	}
	p.at += len(w)
	return v, true
}

func (p *jsonParser) value(depth int) (any, bool) {
	p.values++
	if p.at >= len(p.text) || depth > maxDepth || p.values > maxValues {
		return nil, false
	}
	switch c := p.text[p.at]; c {
	case '{':
		return p.object(depth)
	case '[':
		return p.list(depth)
	case '"':
		return p.string()
	case 't':
		return p.word("true", true)
	case 'f':
		return p.word("false", false)
	case 'n':
		return p.word("null", nil)
	default:
		return p.number()
	}
}

func (p *jsonParser) object(depth int) (any, bool) {
	p.at++
	o := object{}
	if p.space(); p.next('}') {
		return o, true
	}
	for {
		p.space()
		if p.at >= len(p.text) || p.text[p.at] != '"' {
			return nil, false
		}
		name, ok := p.string()
		if !ok {
			return nil, false
		}
		if p.space(); !p.next(':') {
			return nil, false
		}
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		o = append(o, member{name.(string), v})
		if p.space(); p.next(',') {
			continue
		}
		if !p.next('}') {
			return nil, false
		}
		slices.SortFunc(o, byName)
		for i := 1; i < len(o); i++ {
			if o[i].name == o[i-1].name {
				return nil, false
			}
		}
		return o, true
	}
}

func byName(a, b member) int { return strings.Compare(a.name, b.name) }

func (p *jsonParser) list(depth int) (any, bool) {
	p.at++
	l := list{}
	if p.space(); p.next(']') {
		return l, true
	}
	for {
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		l = append(l, v)
		if p.space(); p.next(',') {
			continue
		}
		return l, p.next(']')
	}
}

func (p *jsonParser) string() (any, bool) {
	p.at++
	from := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[from:p.at]
			p.at++
			return s, true
		case c == '\\':
			return p.escaped(from)
		case c < 0x20:
			return nil, false
		}
		p.at++
	}
	return nil, false
}

// escapes are the short ones (RFC 8259 §7).
var escapes = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads on in a string that has escapes.
func (p *jsonParser) escaped(from int) (any, bool) {
	out := []byte(p.text[from:p.at])
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(out), true
		case c < 0x20:
			return nil, false
		case c != '\\':
			out = append(out, c)
			continue
		case p.at >= len(p.text):
			return nil, false
		}
		kind := p.text[p.at]
		p.at++
		if short, ok := escapes[kind]; ok {
			out = append(out, short)
			continue
		}
		if kind != 'u' {
			return nil, false
		}
		r, ok := p.hex4()
		if ok && utf16.IsSurrogate(r) {
			var low rune
			if ok = p.next('\\') && p.next('u'); ok {
				low, ok = p.hex4()
				r = utf16.DecodeRune(r, low)
				ok = ok && r != utf8.RuneError
			}
		}
		if !ok {
			return nil, false
		}
		out = utf8.AppendRune(out, r)
	}
	return nil, false
}

func (p *jsonParser) hex4() (rune, bool) {
	if p.at+4 > len(p.text) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	p.at += 4
	return r, true
}

func (p *jsonParser) digits() bool {
	from := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > from
}

func (p *jsonParser) number() (any, bool) {
	from := p.at
	p.next('-')
	if !p.next('0') && !p.digits() {
		return nil, false
	}
	if p.next('.') && !p.digits() {
		return nil, false
	}
	if p.next('e') || p.next('E') {
		if !p.next('+') {
			p.next('-')
		}
		if !p.digits() {
			return nil, false
		}
	}
	return number(p.text[from:p.at]), true
}

// appendCanonical writes a value as it is signed (RFC 8785, for names within the Basic Multilingual Plane
// and whole numbers): without white space, members sorted, strings with the shortest escapes. Numbers that are
// not whole are refused.
func appendCanonical(out []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(out, "null"...), nil
	case bool:
		return strconv.AppendBool(out, v), nil
	case string:
		return appendString(out, v), nil
	case number:
		if n, parseErr := strconv.ParseInt(string(v), 10, 54); parseErr != nil || strconv.FormatInt(n, 10) != string(v) {
			return nil, errJSON
		}
		return append(out, v...), nil
	case list:
		out = append(out, '[')
		for i, e := range v {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendCanonical(out, e); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case object:
		out = append(out, '{')
		for i := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, v[i].name), ':')
			if out, err = appendCanonical(out, v[i].value); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	}
	return nil, errJSON
}

func appendString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		out = append(append(out, s[from:i]...), '\\')
		from = i + 1
		switch c {
		case '"', '\\':
			out = append(out, c)
		case '\b':
			out = append(out, 'b')
		case '\f':
			out = append(out, 'f')
		case '\n':
			out = append(out, 'n')
		case '\r':
			out = append(out, 'r')
		case '\t':
			out = append(out, 't')
		default:
			out = append(out, 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(out, s[from:]...), '"')
}
