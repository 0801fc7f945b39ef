package simple

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
)

const vectorKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // the bytes 0 to 31

func vectorAdapter(t testing.TB, base string) *Adapter {
	t.Helper()
	a, err := New(Config{
		AuthURL: base, APIURL: base, LinkID: "TESTER", SecretKey: vectorKey, ClientCode: "023040000001", Providers: []string{"kakao", "naver"}, CallCenter: "1600-0000",
	}, http.DefaultClient, func() time.Time { return time.Date(2026, 3, 1, 1, 2, 3, 0, time.UTC) })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSignatures computes both HMACs from the specification, with nothing of the adapter's, and compares
// them with what goes over the wire.
func TestSignatures(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString(vectorKey)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(lines ...string) string {
		h := hmac.New(sha256.New, key)
		_, _ = io.WriteString(h, strings.Join(lines, "\n"))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	sum := func(body []byte) string {
		h := sha256.Sum256(body)
		return base64.StdEncoding.EncodeToString(h[:])
	}
	const date = "2026-03-01T01:02:03Z"
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h := r.Header
		switch r.Method + " " + r.URL.Path {
		case "POST /BAROCERT/Token":
			want := "LINKHUB TESTER " + sign("POST", sum(body), date, "*", "2.0", "/BAROCERT/Token")
			if got := h.Get("Authorization"); got != want {
				t.Errorf("Authorization %q, want %q", got, want)
			}
			if h.Get("x-lh-date") != date || h.Get("x-lh-version") != "2.0" || h.Get("x-lh-forwarded") != "*" {
				t.Errorf("headers %v", h)
			}
			if want := `{"access_id":"","scope":["partner","401","402","403","404","405","421","422","423","424"]}`; string(body) != want {
				t.Errorf("body %s, want %s", body, want)
			}
			_, _ = io.WriteString(w, `{"session_token":"abc","expiration":"2026-03-01T01:32:03.000Z"}`)
		case "GET /KAKAO/Identity/023040000001/02304170230300000040000000000028":
			if h.Get("Authorization") != "Bearer abc" || h.Get("x-bc-version") != "2.1" || h.Get("x-bc-auth") != "" {
				t.Errorf("headers %v", h)
			}
			_, _ = io.WriteString(w, `{"receiptID":"02304170230300000040000000000028","state":1}`)
		case "POST /KAKAO/Identity/Verify/023040000001/02304170230300000040000000000028":
			if want := sign("POST", date, r.URL.Path, ""); h.Get("x-bc-auth") != want || len(body) != 0 {
				t.Errorf("x-bc-auth %q, want %q", h.Get("x-bc-auth"), want)
			}
			w.WriteHeader(http.StatusForbidden)
		case "POST /KAKAO/Identity/023040000001":
			if want := sign("POST", sum(body), date, r.URL.Path, ""); h.Get("x-bc-auth") != want {
				t.Errorf("x-bc-auth %q, want %q", h.Get("x-bc-auth"), want)
			}
			if h.Get("x-bc-date") != date || h.Get("x-bc-version") != "2.1" || h.Get("x-bc-encryptionmode") != "GCM" {
				t.Errorf("headers %v", h)
			}
			_, _ = io.WriteString(w, `{"receiptID":"02304170230300000040000000000028","scheme":""}`)
		default:
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
	}))
	t.Cleanup(server.Close)
	a := vectorAdapter(t, server.URL)
	at := authn.Attempt{Nonce: strings.Repeat("ab", 16), SiteName: "Q-Net", Provider: "kakao"}
	started, err := a.Begin(t.Context(), at, authn.Input{Provider: "kakao", Name: "홍길동", BirthDate: "1970-01-01", Phone: "01012341234"})
	if err != nil {
		t.Fatal(err)
	}
	at.Private = started.Private
	if got, err := a.Status(t.Context(), at); err != nil || got.State != authn.Approved {
		t.Error(got, err)
	}
	if _, err := a.Complete(t.Context(), at); err == nil {
		t.Error("a refused verification completed")
	}
	if calls != 4 {
		t.Errorf("%d calls", calls)
	}
}

// TestMAC pins the HMAC to a value computed with another implementation (OpenSSL).
func TestMAC(t *testing.T) {
	t.Parallel()
	a := vectorAdapter(t, "http://127.0.0.1:1")
	target := "POST\n" + digest([]byte(`{"access_id":""}`)) + "\n2026-03-01T01:02:03Z\n*\n2.0\n/BAROCERT/Token"
	if got := a.mac(target); got != macVector {
		t.Errorf("mac %s, want %s", got, macVector)
	}
}

// TestForeignSignedData verifies what another implementation signed, and nothing that differs from it in
// the content or the signature.
func TestForeignSignedData(t *testing.T) {
	t.Parallel()
	a := vectorAdapter(t, "http://127.0.0.1:1")
	der, err := hex.DecodeString(signedDataVector)
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := a.verifySignedData(base64.StdEncoding.EncodeToString(der))
	if err != nil || string(content) != strings.Repeat("ab", 16) {
		t.Fatalf("%q, %v", content, err)
	}
	for _, at := range []int{bytes.Index(der, []byte("abab")), len(der) - 1} {
		spoiled := bytes.Clone(der)
		spoiled[at] ^= 1
		if _, _, err := a.verifySignedData(base64.StdEncoding.EncodeToString(spoiled)); err == nil {
			t.Errorf("verified with byte %d changed", at)
		}
	}
	if der, err = hex.DecodeString(weakSignedDataVector); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.verifySignedData(base64.StdEncoding.EncodeToString(der)); err == nil || !strings.Contains(err.Error(), "weak") {
		t.Errorf("a signature over SHA-1: %v", err)
	}
}

func TestSealedFields(t *testing.T) {
	t.Parallel()
	a := vectorAdapter(t, "http://127.0.0.1:1")
	sealed := a.seal("홍길동")
	if again := a.seal("홍길동"); again == sealed {
		t.Error("an IV came twice")
	}
	if got, err := a.open(sealed); err != nil || got != "홍길동" {
		t.Error(got, err)
	}
	for _, plain := range []string{"", "홍길동", "KIM", "HONG GILDONG", "1990", "01012345678", "a@b.kr"} {
		if got, err := a.open(plain); err != nil || got != plain {
			t.Errorf("%q became %q, %v", plain, got, err)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if _, err := a.open(base64.StdEncoding.EncodeToString(raw)); !errors.Is(err, errField) {
		t.Error(err)
	}
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	for want, texts := range map[string][]string{
		"male": {"M", "male", "MALE", " 남 ", "남자", "1", "3"}, "female": {"F", "female", "여", "여성", "2", "4", "0"}, "": {"", "X", "10", "unknown"},
	} {
		for _, text := range texts {
			if got := gender(text); got != want {
				t.Errorf("gender(%q) = %q, want %q", text, got, want)
			}
		}
	}
	for want, texts := range map[string][]string{
		"domestic": {"N", "false", "0", "L", "내국인"}, "foreign": {"Y", "true", "1", "F", "외국인"}, "": {"", "KR", "2"},
	} {
		for _, text := range texts {
			if got := nationality(text); got != want {
				t.Errorf("nationality(%q) = %q, want %q", text, got, want)
			}
		}
	}
	for text, want := range map[string]string{
		"01012345678": "+821012345678", "010-1234-5678": "+821012345678", "+82 10-1234-5678": "+821012345678", "+82 010 1234 5678": "+821012345678",
		"0111234567": "+82111234567", "0212345678": "", "": "", "12": "", "0101234567890": "",
	} {
		if got := phone(text); got != want {
			t.Errorf("phone(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"a@b.kr": "a@b.kr", "a@b@c": "", "a b@c.kr": "", "@c.kr": "", "none": ""} {
		if got := email(text); got != want {
			t.Errorf("email(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	got, err := attributes(result{ReceiverName: " " + norm.NFD.String("홍길동") + " ", ReceiverYear: "1990", ReceiverDay: "0315", ReceiverGender: "?"})
	if want := (authn.Attributes{Name: "홍길동", BirthDate: "1990-03-15"}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, r := range []result{
		{ReceiverYear: "1990", ReceiverDay: "0315"},
		{ReceiverName: "홍길동", ReceiverYear: "1990"},
		{ReceiverName: "홍길동", ReceiverYear: "1990", ReceiverDay: "1332"},
		{ReceiverName: "\xff", ReceiverYear: "1990", ReceiverDay: "0315"},
	} {
		if _, err := attributes(r); err == nil {
			t.Error("accepted an incomplete person")
		}
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	const receipt = "02304170230300000040000000000028"
	for wire, want := range map[string]authn.State{
		`0`: authn.Pending, `"0"`: authn.Pending, `1`: authn.Approved, `"1"`: authn.Approved, `2`: authn.Expired, `3`: authn.Rejected, `4`: authn.Failed, `"5"`: authn.Failed,
		`6`: "", `null`: "", `""`: "", `true`: "", `{}`: "", `[1]`: "", `01`: "",
	} {
		got, err := parseStatus([]byte(`{"receiptID":"`+receipt+`","state":`+wire+`}`), receipt)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", wire, got, err)
		}
	}
	if _, err := parseStatus([]byte(`{"receiptID":"1","state":1}`), receipt); err == nil {
		t.Error("accepted another receipt")
	}
}

func TestPackedAnswers(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, maxAnswer, maxAnswer + 1, 10 << 20} {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		_, _ = zw.Write(make([]byte, size))
		_ = zw.Close()
		if b.Len() > maxAnswer {
			t.Fatal("too long before it is unpacked")
		}
		got, err := readAnswer(&b, "gzip")
		if size <= maxAnswer && (err != nil || len(got) != size) || size > maxAnswer && err == nil {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
	}
}

func FuzzResult(f *testing.F) {
	a := vectorAdapter(f, "http://127.0.0.1:1")
	p := a.provider("kakao")
	f.Add([]byte(`{"receiptID":"02304170230300000040000000000028","state":1,"ci":"` + strings.Repeat("A", 86) + `==","signedData":"MIAGCSqGSIb3DQEHAqCAMIACAQEx","receiverYear":"1990"}`))
	f.Add([]byte(`{"state":"1","receiverYear":1990,"receiverGender":true,"receiverName":null}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		r, err := parseResult(answer)
		if err != nil {
			return
		}
		if _, err := a.verify(p, authn.Attempt{Nonce: strings.Repeat("ab", 16)}, handle{Receipt: r.ReceiptID}, r); err == nil {
			t.Error("an invented proof verified")
		}
	})
}

func FuzzSignedData(f *testing.F) {
	a := vectorAdapter(f, "http://127.0.0.1:1")
	f.Add([]byte{0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80, 0x30, 0x80, 0x02, 0x01, 0x01, 0, 0, 0, 0, 0, 0})
	if der, err := hex.DecodeString(signedDataVector); err == nil {
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		content, digest, err := a.verifySignedData(base64.StdEncoding.EncodeToString(der))
		if err == nil && (len(content) == 0 || len(digest) != 64) {
			t.Error("verified nothing")
		}
	})
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"receiptID":"02304170230300000040000000000028","state":"1"}`))
	f.Add([]byte(`{"code":-46300016,"message":"x"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		if state, err := parseStatus(answer, "02304170230300000040000000000028"); (err == nil) != (state != "") {
			t.Error(state, err)
		}
		if code := parseRefusal(answer); code != "" && !codeShape.MatchString(code) {
			t.Error(code)
		}
		if receipt, err := parseReceipt(answer); err == nil && len(receipt) != 32 {
			t.Error(receipt)
		}
	})
}

func FuzzToken(f *testing.F) {
	now := time.Date(2026, 3, 1, 1, 2, 3, 0, time.UTC)
	f.Add([]byte(`{"session_token":"abc","expiration":"2026-03-01T01:32:03.000Z"}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		s, err := parseToken(answer, now)
		if err != nil {
			return
		}
		if !json.Valid(answer) || strings.ContainsAny(s.token, "\r\n ") || s.renew.Before(now) {
			t.Errorf("%+v", s)
		}
	})
}
