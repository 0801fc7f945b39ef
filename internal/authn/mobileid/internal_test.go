package mobileid

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
)

// VerifyMIP verifies what M400 brought, beside HTTP and the store.
func (a *Adapter) VerifyMIP(ctx context.Context, nonce string, vp []byte) error {
	o, err := parseObject(vp)
	if err != nil {
		return err
	}
	m := a.drivers[0].(*mip)
	if _, refused := m.verify(ctx, &transaction{Nonce: nonce, EncryptType: 2, KeyType: 2, Mode: authn.QR}, o); refused != nil {
		return refused
	}
	return nil
}

// TestCanonical: what is signed, for values that JSON can write in more than one way.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{ "b" : 1 , "a":[ ] }`:                   `{"a":[],"b":1}`,
		`{"a":"\u0041\/\u00e9\ud83d\ude00"}`:      `{"a":"A/é😀"}`,
		`{"a":"\u0001\b\f\n\r\t\"\\\u007f<>&"}`:   "{\"a\":\"\\u0001\\b\\f\\n\\r\\t\\\"\\\\\u007f<>&\"}",
		`{"é":null,"z":true,"":false}`:            `{"":false,"z":true,"é":null}`,
		`{"a":-9007199254740991,"b":0}`:           `{"a":-9007199254740991,"b":0}`,
		`{"a":{"c":{"e":1,"d":2},"b":[{"y":1}]}}`: `{"a":{"b":[{"y":1}],"c":{"d":2,"e":1}}}`,
		"{\"a\":\"\u2028\"}":                      "{\"a\":\"\u2028\"}",
		`{"a":1.0}`:                               "",
		`{"a":1e3}`:                               "",
		`{"a":-0}`:                                "",
		`{"a":99999999999999999999}`:              "",
		`{"a":18014398509481984}`:                 "",
	} {
		o, err := parseObject([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := appendCanonical(nil, o)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestParseObjectRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "null", "1", `"x"`, "[]", "{", "}", "{}{}", "{} x", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":1 "b":2}`,
		`{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":.5}`, `{"a":1e}`, `{"a":+1}`, `{"a":NaN}`, `{"a":tru}`, `{"a":[1,]}`, `{"a":[}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":{"b":1,"b":2}}`, "{\"a\":\"\n\"}", "{\"a\":\"\x00\"}", `{"a":"\x"}`, `{"a":"\u12"}`,
		`{"a":"\ud800"}`, `{"a":"\udc00\ud800"}`, `{"a":"\ud800\u0041"}`, "{\"a\":\"\xff\"}", "\ufeff{}", `{"a":"`, `{"a":"\`, `{"a":"\"`,
		`{"a":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + `}`, `{"a":[` + strings.Repeat("1,", maxValues) + `1]}`,
	} {
		if o, err := parseObject([]byte(text)); err == nil {
			t.Errorf("%.40q is taken: %v", text, o)
		}
	}
}

// FuzzParseObject: what is taken is JSON, and its canonical form means the same and is its own.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,-2.5e+3,true,false,null,"\u00e9\ud83d\ude00\n"],"b":{"c":""}}`, `{"a":1,"a":2}`, `{"b":1,"a":{"z":0,"y":[]}}`, `{"a":"`, "{\"\xff\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := parseObject(data)
		if err != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("no JSON: %q", data)
		}
		once, err := appendCanonical(nil, o)
		if err != nil {
			return
		}
		again, err := parseObject(once)
		if err != nil {
			t.Fatalf("canonical form %q: %v", once, err)
		}
		twice, err := appendCanonical(nil, again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q and %q, %v", once, twice, err)
		}
		var theirs, ours any
		if json.Unmarshal(data, &theirs) != nil || json.Unmarshal(once, &ours) != nil {
			t.Fatal("not read")
		}
		a, _ := json.Marshal(theirs)
		b, _ := json.Marshal(ours)
		if !bytes.Equal(a, b) {
			t.Fatalf("means %s, canonically %s", a, b)
		}
	})
}

// FuzzParseRequest: what is taken names the protocol, the command and a trxcode of ours.
func FuzzParseRequest(f *testing.F) {
	good := `{"type":"mip","version":"1.0.0","cmd":"310","trxcode":"20260102030405678` + strings.Repeat("0a", 16) + `","request":"profile"}`
	for _, s := range []string{good, strings.Replace(good, "310", "400", 1), `{}`, `[`, good + " "} {
		f.Add([]byte(`{"data":"` + base64.RawURLEncoding.EncodeToString([]byte(s)) + `"}`))
		f.Add([]byte(`{"data":"` + base64.URLEncoding.EncodeToString([]byte(s)) + `"}`))
	}
	f.Add([]byte(`{"data":"=="}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, trxcode, err := parseRequest(body, cmdProfile)
		if err != nil {
			refused, ok := errors.AsType[*mipRefused](err)
			if !ok || mipMessages[refused.mip] == "" {
				t.Fatalf("no MIP error: %v", err)
			}
			return
		}
		for name, want := range map[string]string{"type": "mip", "version": "1.0.0", "cmd": "310"} {
			if got, _ := m.text(name); got != want {
				t.Fatalf("%s %q", name, got)
			}
		}
		if len(trxcode) != 49 {
			t.Fatalf("trxcode %q", trxcode)
		}
	})
}

// FuzzParsePresentation: what is taken has proofs of one holder, and credentials with all that is judged.
func FuzzParsePresentation(f *testing.F) {
	const vc = `{"id":"1","parentId":"1","type":["VerifiableCredential"],"issuer":{"id":"did:kr:x:i"},"assertion":{"code":"c"},"signKeyId":"k",` +
		`"issuanceDate":"2026-01-02T03:04:05","expirationDate":"2029-01-02T03:04:05Z","credentialSubject":{"id":"did:kr:x:h","privacy":[{"type":"name","value":"v"}]},"proof":{}}`
	const proof = `{"type":"Secp256r1VerificationKey2018","creator":"did:kr:x:h#PIN","nonce":"00","signatureValue":"SIG_R1_x"}`
	const rest = `"type":"VerifiablePresentation","expirationDate":"2029-01-02T03:04:05"`
	for _, s := range []string{
		`{"proof":` + proof + `,"verifiableCredential":[` + vc + `],` + rest + `}`,
		`{"proofs":[` + proof + `],"verifiableCredential":[` + vc + `,` + vc + `],` + rest + `}`,
		`{"proof":` + proof + `,"proofs":[],"verifiableCredential":[],` + rest + `}`, `{}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		p, err := parsePresentation(plain)
		if err != nil {
			return
		}
		if p.holder == "" || len(p.proofs) == 0 || len(p.proofs) > maxProofs || len(p.credentials) == 0 || len(p.credentials) > maxCredentials || p.expires.IsZero() {
			t.Fatalf("taken: %+v", p)
		}
		for _, c := range p.credentials {
			if c.id == "" || c.issuer == "" || c.subject == "" || c.card == "" || len(c.attributes) == 0 || c.expires.IsZero() || c.document.object("proof") == nil {
				t.Fatalf("credential taken: %+v", c)
			}
		}
		_ = p.checkNonce(&transaction{Nonce: "00"})
		if p.checkSignatures(nil) == nil {
			t.Fatal("signatures without keys")
		}
	})
}

// FuzzParseSignature: what is taken is 64 bytes.
func FuzzParseSignature(f *testing.F) {
	for _, s := range []string{"", "1", "SIG_R1_", "SIG_K1_KkVBAhkdwAGjBeH3Em5v", strings.Repeat("z", 89), strings.Repeat("1", 65), "0OIl"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, curve := range []string{Secp256r1, Secp256k1, ""} {
			if rs, err := parseSignature(text, curve); err == nil && len(rs) != 64 {
				t.Fatalf("%d bytes", len(rs))
			}
		}
		raw, ok := base58(text)
		if !ok || text == "" {
			return
		}
		// Base58 of a number has one text, but for zeros in front.
		n, back := new(big.Int).SetBytes(raw), []byte(nil)
		for mod := new(big.Int); n.Sign() > 0; {
			n.DivMod(n, big.NewInt(58), mod)
			back = append([]byte{base58Alphabet[mod.Int64()]}, back...)
		}
		if got := strings.TrimLeft(text, "1"); got != string(back) {
			t.Fatalf("%q comes back as %q", got, back)
		}
	})
}

// FuzzParseProfile: what is taken asks for what the adapter then demands.
func FuzzParseProfile(f *testing.F) {
	nonce := strings.Repeat("0", 64)
	good := `{"profile":{"type":"VERIFY","name":"x","callBackUrl":"https://id.example/mip/vp","presentType":1,"encryptType":2,"keyType":2,"authType":["pin"],"nonce":"` + nonce + `"},"proof":{}}`
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, `["pin"]`, "null", 1)))
	f.Add([]byte(strings.Replace(good, `"proof":{}`, `"proof":1`, 1)))
	m := &mip{issuer: "https://id.example"}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := m.parseProfile(text, nonce)
		if err == nil && (p.encryptType < 1 || p.encryptType > 2 || p.keyType < 0 || p.keyType > 2) {
			t.Fatalf("taken: %+v", p)
		}
	})
}

// FuzzPortAnswers: documents have keys of their own, statuses an id and a value.
func FuzzPortAnswers(f *testing.F) {
	for _, s := range []string{
		`{"documents":[{"id":"did:x","keys":[{"id":"did:x#k","curve":"secp256r1","point":"A2sX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKW"}]}]}`,
		`{"documents":[{"id":"did:x","keys":[{"id":"did:x#k","curve":"secp256k1","point":"Anm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeY"}]}]}`,
		`{"statuses":[{"id":"1","status":"ACTIVE","memo":""}]}`, `{"documents":[],"statuses":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := parseObject(body)
		if err != nil {
			return
		}
		documents, err := parseDocuments(o)
		for _, d := range documents {
			for _, k := range d.Keys {
				if err == nil && (!strings.HasPrefix(k.ID, d.ID+"#") || k.Public == nil) {
					t.Fatalf("key %+v", k)
				}
			}
		}
		statuses, err := parseStatuses(o)
		for _, s := range statuses {
			if err == nil && (s.ID == "" || s.Status == "") {
				t.Fatalf("status %+v", s)
			}
		}
	})
}

// FuzzParsePushAnswer: only result true is a success.
func FuzzParsePushAnswer(f *testing.F) {
	for _, s := range []string{`{"key":1,"result":true,"errcode":0}`, `{"result":false,"errcode":"10305"}`, `{"result":false,"errcode":10301}`, ``, `{}`} {
		f.Add(200, []byte(s))
		f.Add(500, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		err := parsePushAnswer(status, body)
		if err == nil {
			var out struct {
				Result bool `json:"result"`
			}
			if status != 200 || json.Unmarshal(body, &out) != nil || !out.Result {
				t.Fatalf("%d %q is a success", status, body)
			}
			return
		}
		if _, ok := errors.AsType[*authn.Error](err); !ok {
			t.Fatalf("no authn error: %v", err)
		}
	})
}

func TestPoints(t *testing.T) {
	t.Parallel()
	g := "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
	good, ok := new(big.Int).SetString(g, 16)
	if !ok {
		t.Fatal("no number")
	}
	point := good.FillBytes(make([]byte, 33))
	if _, err := ParsePoint(Secp256r1, point); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		curve string
		point []byte
	}{
		"no curve": {"", point}, "another curve": {"secp384r1", point}, "empty": {Secp256r1, nil}, "infinity": {Secp256r1, []byte{0}},
		"short": {Secp256r1, point[:32]}, "hybrid": {Secp256k1, append([]byte{6}, make([]byte, 64)...)}, "off the curve": {Secp256r1, append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)},
		"off the other": {Secp256k1, append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)}, "x too large": {Secp256r1, append([]byte{2}, bytes.Repeat([]byte{255}, 32)...)},
	} {
		if _, err := ParsePoint(c.curve, c.point); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ gender, nationality, wantGender, wantNationality string }{
		{"M", "KR", male, domestic}, {"여", "USA", female, foreign}, {"2", "내국인", female, domestic}, {"x", "외국인", "", foreign},
		{"", "", "", ""}, {"여성", "VN", female, foreign}, {"female", "Republic", female, ""},
	} {
		a, err := attributesOf(" 홍길동 ", "1990.03.01", c.gender, c.nationality)
		if err != nil || a.Name != "홍길동" || a.BirthDate != "1990-03-01" || a.Gender != c.wantGender || a.Nationality != c.wantNationality {
			t.Errorf("%+v, %v", a, err)
		}
	}
	for _, born := range []string{"", "19900230", "1990", "tomorrow", "00000000"} {
		if _, err := attributesOf("홍길동", born, "", ""); err == nil {
			t.Errorf("born %q", born)
		}
	}
	if got := joinName([]string{"HONG", "", "Gil"}) + joinName([]string{"洪", "길동"}) + joinName(nil); got != "HONG Gil洪길동" {
		t.Errorf("names %q", got)
	}
	if _, err := (object{{"t", "2026-13-01T00:00:00"}}).date("t"); err == nil {
		t.Error("month 13")
	}
	at, err := object{{"t", "2026-01-01T09:00:00"}}.date("t")
	if err != nil || !at.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("in Korea it is %s, %v", at, err)
	}
}
