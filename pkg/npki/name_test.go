package npki

import (
	"bytes"
	"testing"
)

// rdn encodes one RDN of one attribute, whose type is 2.5.4.x, in hex.
func rdn(t testing.TB, kind byte, tag byte, text string) []byte {
	t.Helper()
	return value(0x31, value(0x30, append([]byte{6, 3, 0x55, 4, kind}, value(tag, []byte(text))...)))
}

func name(t testing.TB, rdns ...[]byte) Name {
	t.Helper()
	n, err := ParseName(value(0x30, bytes.Join(rdns, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	country, organization, unit, common = 6, 10, 11, 3
	utf8Tag, printableTag, t61Tag       = 12, 19, 20
)

func TestNameString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n    Name
		want string
	}{
		{Name{}, ""},
		{name(t, rdn(t, country, printableTag, "kr"), rdn(t, organization, utf8Tag, "yessign"), rdn(t, unit, utf8Tag, "personal4IB"),
			rdn(t, unit, utf8Tag, "KDB"), rdn(t, common, utf8Tag, "홍길동()0088046202601019")),
			"cn=홍길동()0088046202601019,ou=KDB,ou=personal4IB,o=yessign,c=kr"},
		{name(t, rdn(t, common, utf8Tag, ` #a+b,c;d<e>f"g\h `)), `cn=\ #a\+b\,c\;d\<e\>f\"g\\h\ `},
		{name(t, rdn(t, common, utf8Tag, "#hash")), `cn=\#hash`},
		{name(t, rdn(t, common, utf8Tag, "a\x00b\nc")), `cn=a\00b\0ac`},
		{name(t, rdn(t, common, 30, "\xd6\x4d\xae\x38")), "cn=홍길"},             // BMPString
		{name(t, rdn(t, common, 30, "\xd6")), "cn=#1e01d6"},                    // half a letter
		{name(t, rdn(t, common, t61Tag, "\xc8\xab")), "cn=#1402c8ab"},          // EUC-KR
		{name(t, rdn(t, common, t61Tag, "Hong")), "cn=Hong"},                   // ASCII
		{name(t, rdn(t, common, 22, "hong@example.kr")), "cn=hong@example.kr"}, // IA5String
		{name(t, rdn(t, 99, utf8Tag, "?")), "2.5.4.99=#0c013f"},                // a type without a name
		{name(t, rdn(t, common, 2, "\x05")), "cn=#020105"},                     // not a string
		{Name{{{Type: "c", Value: "kr"}}, {{Type: "cn", Value: "A,B"}}}, `cn=A\,B,c=kr`},
		{Name{{{Type: "cn", Value: "a"}, {Type: "uid", Value: "b"}}}, "cn=a+uid=b"},
	} {
		if got := c.n.String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestParseNameRefuses(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		data []byte
		code Code
	}{
		"empty":         {nil, ErrMalformed},
		"empty RDN":     {unhex(t, "30023100"), ErrMalformed},
		"no value":      {unhex(t, "300931073005060355040a"), ErrMalformed},
		"no type":       {unhex(t, "3007310530030c0161"), ErrMalformed},
		"trailing byte": {unhex(t, "300000"), ErrMalformed},
		"over 8 KiB":    {make([]byte, maxName+1), ErrTooLarge},
		"a set":         {unhex(t, "3100"), ErrMalformed},
	} {
		_, err := ParseName(c.data)
		wantCode(t, what, err, c.code)
	}
}

func TestNameMarshal(t *testing.T) {
	t.Parallel()
	want := Name{
		{{Type: "c", Value: "KR"}}, {{Type: "o", Value: "KICA"}}, {{Type: "ou", Value: "AccreditedCA"}}, {{Type: "ou", Value: "지점"}},
		{{Type: "cn", Value: "홍길동"}, {Type: "uid", Value: "1"}},
	}
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("\x13\x02KR")) || !bytes.Contains(data, []byte("\x0c\x04KICA")) || bytes.Count(data, []byte{0x31}) != 5+1 { // "1" as well
		t.Errorf("wrote %x", data)
	}
	got, err := ParseName(data)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(want) || got.String() != "uid=1+cn=홍길동,ou=지점,ou=AccreditedCA,o=KICA,c=KR" {
		t.Errorf("got %s", got)
	}
	raw := name(t, rdn(t, common, t61Tag, "\xc8\xab"))
	if data, err := raw.Marshal(); err != nil || !bytes.Contains(data, []byte("\x14\x02\xc8\xab")) {
		t.Errorf("a value that is no text became %x (%v)", data, err)
	}
	for _, bad := range []Name{{{{Type: "nickname", Value: "a"}}}, {{{Type: "cn", Value: "\xff"}}}} {
		_, err := bad.Marshal()
		wantCode(t, "Marshal", err, ErrInput)
	}
}

func TestNameLookup(t *testing.T) {
	t.Parallel()
	n := Name{{{Type: "o", Value: "yessign"}}, {{Type: "ou", Value: "personal4IB"}}, {{Type: "ou", Value: "KDB"}}}
	if got := n.All("ou"); len(got) != 2 || got[0] != "personal4IB" || n.Last("ou") != "KDB" || n.Last("cn") != "" {
		t.Errorf("All %q, Last %q", got, n.Last("ou"))
	}
}

func TestBankCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ o, cn, want string }{
		{"yessign", "홍길동(HONG GILDONG)0088046202601019", "0088"},
		{"yessign", "홍길동()0004", "0004"},
		{"yessign", "(주)길동(Gildong)0020123", "0020"},
		{"yessign", "홍길동0088", ""},
		{"yessign", "홍길동()008", ""},
		{"yessign", "홍길동()00a8", ""},
		{"yessign", "", ""},
		{"KICA", "홍길동()0088", ""},
	} {
		n := Name{{{Type: "o", Value: c.o}}, {{Type: "cn", Value: c.cn}}}
		if got := n.BankCode(); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.o, c.cn, got, c.want)
		}
	}
}
