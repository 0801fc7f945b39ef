package strict

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestBase64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"":         nil,
		"AA":       nil,
		"_-8":      nil,
		"AA==":     ErrBase64, // padding
		"AB":       ErrBase64, // spare bits
		"+/8":      ErrBase64, // the other alphabet
		"A A":      ErrBase64,
		"AAA\nAAA": ErrBase64, // Go's decoder would skip it
		"AAA\rA":   ErrBase64,
		"A":        ErrBase64,
		"가":        ErrBase64,
	} {
		if _, err := Base64(text); !errors.Is(err, want) {
			t.Errorf("Base64(%q): %v, want %v", text, err, want)
		}
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`null`:                      nil,
		` true `:                    true,
		"\t[\r\n] ":                 []any{},
		`{}`:                        map[string]any{},
		`{"a":{"b":[1,"x",false]}}`: map[string]any{"a": map[string]any{"b": []any{json.Number("1"), "x", false}}},
		`"\u00fc\ud83d\ude00\n\/"`:  "ü😀\n/",
		`"홍길동"`:                     "홍길동",
		`-0.5e+10`:                  json.Number("-0.5e+10"),
		`12345678901234567890`:      json.Number("12345678901234567890"),
	} {
		got, err := Value([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Value(%s) = %#v, %v", text, got, err)
		}
	}
	for text, want := range map[string]error{
		``:                    ErrSyntax,
		`{"a":1,"a":1}`:       ErrDuplicate,
		`{"a":1,"\u0061":2}`:  ErrDuplicate,
		`[{"b":{"":1,"":2}}]`: ErrDuplicate,
		`{"a":1}x`:            ErrSyntax,
		`{"a":1}{}`:           ErrSyntax,
		`{"a":1,}`:            ErrSyntax,
		`[1,]`:                ErrSyntax,
		`{a:1}`:               ErrSyntax,
		`{"a" 1}`:             ErrSyntax,
		`[1 2]`:               ErrSyntax,
		`01`:                  ErrSyntax,
		`-`:                   ErrSyntax,
		`+1`:                  ErrSyntax,
		`1.`:                  ErrSyntax,
		`1e`:                  ErrSyntax,
		`.5`:                  ErrSyntax,
		`NaN`:                 ErrSyntax,
		`tru`:                 ErrSyntax,
		`"a`:                  ErrSyntax,
		`"a\`:                 ErrSyntax,
		`"\x"`:                ErrSyntax,
		`"\u12"`:              ErrSyntax,
		`"\u12g4"`:            ErrSyntax,
		"\"a\x00\"":           ErrSyntax,
		"\"\\t\t\"":           ErrSyntax,
		"\"\xff\"":            ErrUTF8,
		"\"\\n\xc0\xaf\"":     ErrUTF8,
		`"\ud83d"`:            ErrUTF8,
		`"\ud83d\ud83d"`:      ErrUTF8,
		`"\ude00"`:            ErrUTF8,
		"\ufeff{}":            ErrSyntax,
		"'a'":                 ErrSyntax,
		"{} // x":             ErrSyntax,
		strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1): ErrDepth,
		strings.Repeat(`{"a":`, 100000):                                   ErrDepth,
	} {
		if got, err := Value([]byte(text)); !errors.Is(err, want) {
			t.Errorf("Value(%.40s) = %v, %v, want %v", text, got, err, want)
		}
	}
	if _, err := Value([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))); err != nil {
		t.Errorf("at the limit of depth: %v", err)
	}
	if _, err := Object([]byte(`[]`)); !errors.Is(err, ErrType) {
		t.Errorf("Object of an array: %v", err)
	}
}

func TestWebURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"https://op.example": true, "https://op.example:8443/a/b?c=d": true, "https://192.0.2.1/": true, "HTTPS://OP.example/": true,
		"http://127.0.0.1:8080/x": true, "http://[::1]/x": true, "http://localhost/x": true, "http://op.localhost/": true,
		"http://op.example/": false, "http://127.0.0.1.example/": false, "http://localhost.example/": false, "http://10.0.0.1/": false,
		"": false, "/": false, "op.example": false, "//op.example/": false, "https:op.example": false, "https:///x": false, "https://:80/": false,
		"https://op.example/#": false, "https://op.example/#x": false, "https://u@op.example/": false, "https://u:p@op.example/": false,
		"ftp://op.example/": false, "javascript:alert(1)": false, "https://op.example/%zz": false, "https://op.example/\n": false,
		"https://op.example/" + strings.Repeat("a", maxURL): false,
	} {
		if got := WebURL(text); got != want {
			t.Errorf("%.60q: %v", text, got)
		}
	}
}

// FuzzValue: what is accepted, encoding/json reads the same.
func FuzzValue(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e3,"\u00e9",null,true,{"b":{}}]}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `[[[[]]]]`, `-0`, `"`, `{"":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Value(data)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(string(data)))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted %q, encoding/json says %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %#v, encoding/json reads %#v", data, got, want)
		}
	})
}

// FuzzBase64: what is accepted is what an encoder writes.
func FuzzBase64(f *testing.F) {
	for _, seed := range []string{"", "AA", "AB", "A\nAA", "AA==", "-_-_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := Base64(text)
		if err == nil && base64.RawURLEncoding.EncodeToString(out) != text {
			t.Fatalf("accepted %q", text)
		}
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if IsBase64(text) != (err == nil && base64.RawURLEncoding.EncodeToString(decoded) == text) {
			t.Fatalf("%q: %v, %v", text, IsBase64(text), err)
		}
	})
}
