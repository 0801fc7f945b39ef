package agency

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/korean"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

var (
	today  = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	goodCI = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 64)))
)

// TestNICEVectors has results that were encrypted with another library, by both readings of the key slices. They are
// not NICE's.
func TestNICEVectors(t *testing.T) {
	t.Parallel()
	const ticket, transaction, iterations = "TICKET-0123456789abcdef", "TX-20261122-000001", 66
	const plain = `{"name":"홍길동","birthdate":"18900315","gender":"1","national_info":"0"}`
	for _, tt := range []struct {
		raw             bool
		data, integrity string
	}{
		{false, "AAECAwQFBgcICQoLDA0OD8tvjl__uw3Hvq2TsVZy69paAJX82LAsUOvCTGLZYqfudR89bpPLr11BSc5snSGHHYjb6noXP_Pu_hvHL2HUZ0l9ObHMouJupSq4pYGIUD54ZCB3asXWAG66Fxik", "SHj8eM3m5Iwms2XXFGo8gy1d0VLAPTxRiWq1Y2I5cCA"},
		{true, "AAECAwQFBgcICQoLDA0OD47XUMuy2WTRYhgwhA7B4m3YQ5yMbCAQvbwp2hjsyedE2GJrRVADsb9xBcHu8ZbmHqYf9mvJpbVrfyKjy-geVy_unl9i-9JBJecoRW7vp5eGt56kQgC1-yOh2MTT", "zljXno6FkkbZ9wZR7Ne9wly2qgQQQiEuMwHXWPP-ujo"},
	} {
		got, err := openNICE(tt.data, tt.integrity, ticket, transaction, iterations, tt.raw)
		if err != nil || string(got) != plain {
			t.Errorf("raw %t: %q, %v", tt.raw, got, err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"the other slices": func() ([]byte, error) {
				return openNICE(tt.data, tt.integrity, ticket, transaction, iterations, !tt.raw)
			},
			"another ticket": func() ([]byte, error) {
				return openNICE(tt.data, tt.integrity, ticket+"x", transaction, iterations, tt.raw)
			},
			"another transaction": func() ([]byte, error) {
				return openNICE(tt.data, tt.integrity, ticket, transaction+"x", iterations, tt.raw)
			},
			"other iterations": func() ([]byte, error) {
				return openNICE(tt.data, tt.integrity, ticket, transaction, iterations+1, tt.raw)
			},
			"no integrity value": func() ([]byte, error) { return openNICE(tt.data, "", ticket, transaction, iterations, tt.raw) },
			"a shortened one": func() ([]byte, error) {
				return openNICE(tt.data, tt.integrity[:20], ticket, transaction, iterations, tt.raw)
			},
			"no data": func() ([]byte, error) { return openNICE("", tt.integrity, ticket, transaction, iterations, tt.raw) },
			"data with a bit more": func() ([]byte, error) {
				return openNICE(tt.data+"A", tt.integrity, ticket, transaction, iterations, tt.raw)
			},
			"data that was changed": func() ([]byte, error) {
				return openNICE("B"+tt.data[1:], tt.integrity, ticket, transaction, iterations, tt.raw)
			},
		} {
			if got, err := open(); err == nil {
				t.Errorf("raw %t, %s: %q", tt.raw, name, got)
			}
		}
	}
}

// TestCheckPlusVector has a request that was encrypted with another library.
func TestCheckPlusVector(t *testing.T) {
	t.Parallel()
	const plain = `{"requestno":"REQ0000000001"}`
	const data, integrity = "0bPDUVuKuHFg8Gblbwi2SnwJRfGlnS2S26dKhF2/5YU=", "Mz8EVmKgcCgJjyDKvGtBHpYJqF21k20vTZMJE+wVaFw="
	key := secret("20261122010203", "REQ0000000001", "TOKENVALUE")
	if key != "BvK06y7Nd6NDLEmQMxJBrI2SrecH6nW4Kuo04U9QuN8=" {
		t.Fatalf("secret %q", key)
	}
	gotData, gotIntegrity, err := sealCheckPlus([]byte(plain), key)
	if err != nil || gotData != data || gotIntegrity != integrity {
		t.Errorf("%s, %s, %v", gotData, gotIntegrity, err)
	}
	if got, err := openCheckPlus(data, integrity, key); err != nil || string(got) != plain {
		t.Errorf("%q, %v", got, err)
	}
	other := secret("20261122010204", "REQ0000000001", "TOKENVALUE")
	for _, pair := range [][2]string{{data, ""}, {"", integrity}, {data[:20], integrity}, {"!", integrity}, {data, "!"}} {
		if _, err := openCheckPlus(pair[0], pair[1], key); err == nil {
			t.Errorf("%q opens", pair)
		}
	}
	if _, err := openCheckPlus(data, integrity, other); err == nil {
		t.Error("it opens under another request's keys")
	}
	whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 20))) // no whole blocks, rightly signed
	if _, err := openCheckPlus(whole, base64.StdEncoding.EncodeToString(checkPlusMAC(whole, key)), key); err == nil {
		t.Error("half a block opens")
	}
}

// TestCodes has the agencies' codes of gender and nationality; what is not on a table stays empty.
func TestCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		agency string
		table  codes
		code   string
		want   string
	}{
		{"NICE, usual", either("1", male, female), "1", male},
		{"NICE, usual", either("1", male, female), "0", female},
		{"NICE, usual", either("1", male, female), "2", ""},
		{"NICE, usual", either("1", male, female), "", ""},
		{"NICE, the other way", either("0", male, female), "0", male},
		{"NICE, the other way", either("0", male, female), "1", female},
		{"NICE, usual", either("1", foreign, domestic), "1", foreign},
		{"NICE, usual", either("1", foreign, domestic), "0", domestic},
		{"KCB", kcbGenders, "M", male},
		{"KCB", kcbGenders, "F", female},
		{"KCB", kcbGenders, "1", ""},
		{"KCB", kcbNations, "L", domestic},
		{"KCB", kcbNations, "F", foreign},
		{"KCB", kcbNations, "", ""},
		{"Danal", danalGenders, "1", male},
		{"Danal", danalGenders, "2", female},
		{"Danal", danalGenders, "3", ""},
	} {
		if got := tt.table[tt.code]; got != tt.want {
			t.Errorf("%s: %q is %q, want %q", tt.agency, tt.code, got, tt.want)
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	good := result{ci: goodCI, name: "홍길동", birthDate: "18900315", gender: male, nation: domestic, phone: "01012345678"}
	for _, tt := range []struct {
		name string
		edit func(*result)
		want authn.Attributes // zero: refused
	}{
		{"good", func(*result) {}, authn.Attributes{Name: "홍길동", BirthDate: "1890-03-15", Gender: male, Nationality: domestic, Phone: "+821012345678"}},
		{"NFD, and spaces", func(r *result) { r.name = " \u1112\u1169\u11bc  길동 " }, authn.Attributes{Name: "홍 길동", BirthDate: "1890-03-15", Gender: male, Nationality: domestic, Phone: "+821012345678"}},
		{"the least", func(r *result) { r.gender, r.nation, r.phone = "", "", "" }, authn.Attributes{Name: "홍길동", BirthDate: "1890-03-15"}},
		{"hyphens", func(r *result) { r.phone = "010-1234-5678" }, authn.Attributes{Name: "홍길동", BirthDate: "1890-03-15", Gender: male, Nationality: domestic, Phone: "+821012345678"}},
		{"no name", func(r *result) { r.name = " " }, authn.Attributes{}},
		{"a name of other bytes", func(r *result) { r.name = "\xb1\xe6" }, authn.Attributes{}},
		{"a name that lost its bytes", func(r *result) { r.name = "홍�동" }, authn.Attributes{}},
		{"a control character", func(r *result) { r.name = "홍\x00길동" }, authn.Attributes{}},
		{"a long name", func(r *result) { r.name = strings.Repeat("가", 101) }, authn.Attributes{}},
		{"no birth date", func(r *result) { r.birthDate = "" }, authn.Attributes{}},
		{"half a birth date", func(r *result) { r.birthDate = "890315" }, authn.Attributes{}},
		{"no day", func(r *result) { r.birthDate = "18900230" }, authn.Attributes{}},
		{"tomorrow", func(r *result) { r.birthDate = "20261123" }, authn.Attributes{}},
		{"a resident number for a birth date", func(r *result) { r.birthDate = "9003151000000" }, authn.Attributes{}},
		{"no CI", func(r *result) { r.ci = "" }, authn.Attributes{}},
		{"a short CI", func(r *result) { r.ci = goodCI[:84] }, authn.Attributes{}},
		{"a CI of other characters", func(r *result) { r.ci = "-" + goodCI[1:] }, authn.Attributes{}},
		{"a CI with bits to spare", func(r *result) { r.ci = goodCI[:85] + "x==" }, authn.Attributes{}},
	} {
		r := good
		tt.edit(&r)
		got, err := r.attributes(method.Phone, today)
		if got != tt.want || (err == nil) != (tt.want != authn.Attributes{}) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	if got, err := good.attributes(method.IPIN, today); err != nil || got.Phone != "" {
		t.Errorf("an i-PIN vouches for no phone: %+v, %v", got, err)
	}
}

func TestPhoneNumbers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"01012345678": "+821012345678", "010-1234-5678": "+821012345678", "+82 10 1234 5678": "+821012345678", "821012345678": "+821012345678",
		"+82 010-1234-5678": "+821012345678", "0111234567": "+82111234567", "": "", "0212345678": "", "010123456": "", "010123456789": "", "+1 202 555 0100": "", "０１０12345678": "",
	} {
		if got := phone(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestDanalAnswers(t *testing.T) {
	t.Parallel()
	euckr, err := korean.EUCKR.NewEncoder().String("홍길동")
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{
		"RETURNCODE=0000&NAME=홍길동&CI=ab+/==&X", "RETURNCODE=0000&NAME=%ED%99%8D%EA%B8%B8%EB%8F%99&CI=ab%2B%2F%3D%3D\n", "RETURNCODE=0000&NAME=" + euckr + "&CI=ab+/==", "RETURNCODE=0000&NAME=%C8%AB%B1%E6%B5%BF&CI=ab+/==",
	} {
		got, err := parseDanal([]byte(in))
		if err != nil || got["NAME"] != "홍길동" || got["CI"] != "ab+/==" {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	if got, err := parseDanal([]byte("RETURNCODE=0000&NAME=NGUYEN+THI%20LAN")); err != nil || got["NAME"] != "NGUYEN THI LAN" {
		t.Errorf("%v, %v", got, err)
	}
	for _, in := range []string{"", "NAME=x", "RETURNCODE=0000&CI=a&CI=b", "RETURNCODE=0000&NAME=%zz"} {
		if got, err := parseDanal([]byte(in)); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	good := niceReply{Code: "0000", Token: "t", Ticket: "k", Expires: scalar("1795305600000"), Iterations: "66"} // 2026-11-22
	for name, tt := range map[string]struct {
		edit func(*niceReply)
		ok   bool
	}{
		"good":            {func(*niceReply) {}, true},
		"expired":         {func(r *niceReply) { r.Expires = "1" }, false},
		"no expiry":       {func(r *niceReply) { r.Expires = "" }, false},
		"no token":        {func(r *niceReply) { r.Token = "" }, false},
		"a broken token":  {func(r *niceReply) { r.Token = "a\r\nb" }, false},
		"no ticket":       {func(r *niceReply) { r.Ticket = "" }, false},
		"no iterations":   {func(r *niceReply) { r.Iterations = "0" }, false},
		"many iterations": {func(r *niceReply) { r.Iterations = "100000000" }, false},
	} {
		r := good
		tt.edit(&r)
		got, err := r.token(time.UnixMilli(1795305600000).Add(-24 * time.Hour))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !got.renew.Equal(time.UnixMilli(1795305600000).Add(-niceMargin)) {
			t.Errorf("renewed at %s", got.renew)
		}
	}
}

// driver is NICE's, or the older interface's, for parsers that need the codes.
func driver[D Driver](t testing.TB, open func() (Driver, error)) D {
	t.Helper()
	d, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return d.(D) //nolint:forcetypeassert // the caller knows
}

// sound fails if a result that passes is not one that we would write.
func sound(t *testing.T, r result) {
	t.Helper()
	a, err := r.attributes(method.Phone, today)
	if err != nil {
		return
	}
	if !utf8.ValidString(a.Name) || a.Name == "" || len(r.ci) != ciLength || (a.Phone != "" && !strings.HasPrefix(a.Phone, "+821")) {
		t.Errorf("%+v passes", a)
	}
	if _, err := time.Parse(time.DateOnly, a.BirthDate); err != nil {
		t.Errorf("birth date %q passes", a.BirthDate)
	}
}

func FuzzNICEAnswer(f *testing.F) {
	f.Add([]byte(`{"result_code":"0000","access_token":"a","token_type":"Bearer","expires_in":1795305600000,"iterators":66,"ticket":"k","request_no":"r"}`))
	f.Add([]byte(`{"result_code":3033}`))
	f.Add([]byte(`{"result_code":{}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		reply, err := parseNICE(answer)
		if err != nil {
			return
		}
		if got, err := reply.token(today.Add(-time.Hour)); err == nil && (got.text == "" || got.ticket == "" || got.iterations < 1 || got.iterations > maxIterations) {
			t.Errorf("%+v passes", got)
		}
		if c := coded(string(reply.Code)); len(c) > 16 {
			t.Errorf("code %q passes", c)
		}
	})
}

func FuzzNICEResult(f *testing.F) {
	d := driver[*nice](f, func() (Driver, error) {
		return NewNICE(NICE{ClientID: "a", ClientSecret: "b"}, http.DefaultClient, nil)
	})
	f.Add([]byte(`{"name":"홍길동","birthdate":"18900315","gender":"1","national_info":0,"mobile_no":"01012345678","mobile_co":"1","ci":"` + goodCI + `","di":"x"}`))
	f.Add([]byte(`{"name":null,"gender":[]}`))
	f.Fuzz(func(t *testing.T, plain []byte) {
		if r, err := d.read(plain); err == nil {
			sound(t, r)
		}
	})
}

func FuzzOpenNICE(f *testing.F) {
	f.Add("AAECAwQFBgcICQoLDA0OD8tv", "SHj8eM3m5Iwms2XXFGo8gy1d0VLAPTxRiWq1Y2I5cCA")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, data, integrity string) {
		if plain, err := openNICE(data, integrity, "ticket", "transaction", 2, len(data)%2 == 0); err == nil {
			t.Errorf("%q opens", plain)
		}
	})
}

func FuzzCheckPlusAnswer(f *testing.F) {
	f.Add([]byte(`{"dataHeader":{"GW_RSLT_CD":"1200"},"dataBody":{"rsp_cd":"P000","result_cd":"0000","site_code":"s","token_version_id":"v","token_val":"t","period":3600}}`))
	f.Add([]byte(`{"dataHeader":{"GW_RSLT_CD":1800},"dataBody":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		reply, err := parseCheckPlus(answer)
		if err == nil && reply.Header.Code != checkPlusGateway {
			t.Errorf("%+v passes", reply)
		}
	})
}

func FuzzCheckPlusResult(f *testing.F) {
	d := driver[*checkPlus](f, func() (Driver, error) {
		return NewCheckPlus(CheckPlus{ClientID: "a", ClientSecret: "b", ProductID: "c"}, http.DefaultClient, nil)
	})
	text := `{"resultcode":"0000","requestno":"r","sitecode":"s","authtype":"M","name":"홍길동","utf8_name":"%ED%99%8D","birthdate":"18900315","gender":"1","nationalinfo":"0","mobileno":"01012345678","ci":"` + goodCI + `"}`
	f.Add([]byte(text))
	if euckr, err := korean.EUCKR.NewEncoder().Bytes([]byte(text)); err == nil {
		f.Add(euckr)
	}
	f.Fuzz(func(t *testing.T, plain []byte) {
		if r, err := d.read(plain, "s"); err == nil {
			sound(t, r)
		}
	})
}

func FuzzOpenCheckPlus(f *testing.F) {
	key := secret("20261122010203", "REQ0000000001", "TOKENVALUE")
	f.Add([]byte(`{"requestno":"REQ0000000001"}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		// What we encrypt we open; the bytes themselves, under a right integrity value, do no harm.
		data, integrity, err := sealCheckPlus(plain, key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := openCheckPlus(data, integrity, key); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%q, %v", got, err)
		}
		text := base64.StdEncoding.EncodeToString(plain)
		_, _ = openCheckPlus(text, base64.StdEncoding.EncodeToString(checkPlusMAC(text, key)), key)
	})
}

func FuzzKCBAnswer(f *testing.F) {
	f.Add([]byte(`{"RSLT_CD":"B000","MDL_TKN":"t","RSLT_NAME":"홍길동","RSLT_BIRTHDAY":"18900315","RSLT_SEX_CD":"M","RSLT_NTV_FRNR_CD":"L","TEL_NO":"01012345678","CI":"` + goodCI + `"}`))
	f.Add([]byte(`{"RSLT_CD":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if r, err := parseKCB(answer); err == nil {
			sound(t, result{ci: r.CI, name: r.Name, birthDate: string(r.BirthDate), phone: string(r.Phone)})
		}
	})
}

func FuzzDanalAnswer(f *testing.F) {
	f.Add([]byte("RETURNCODE=0000&RETURNMSG=No+information&TID=t&NAME=%ED%99%8D&DOB=18900315&SEX=1&CI=" + goodCI))
	f.Add([]byte("RETURNCODE=0000&NAME=\xc8\xab\xb1\xe6\xb5\xbf"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if r, err := parseDanal(answer); err == nil {
			sound(t, result{ci: r["CI"], name: r["NAME"], birthDate: r["DOB"], phone: r["PHONE"]})
		}
	})
}

func FuzzScalar(f *testing.F) {
	f.Add([]byte(`"a"`))
	f.Add([]byte(`1e9`))
	f.Add([]byte(`null`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s scalar
		if json.Unmarshal(text, &s) == nil && strings.HasPrefix(string(s), "{") && text[0] == '{' {
			t.Errorf("%q is a scalar", text)
		}
	})
}
