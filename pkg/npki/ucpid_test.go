package npki_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const agreement = "본인확인 서비스 이용을 위한 개인정보 제공에 동의합니다."

func unhexed(t testing.TB, text string) []byte {
	t.Helper()
	out, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// request is the one of the vector.
func request(t testing.TB) *npki.UCPIDRequest {
	return &npki.UCPIDRequest{
		Nonce: unhexed(t, "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"), Agreement: agreement, Items: npki.UCPIDAll,
		Module: "anyid npki signer", Vendor: "ANYID", Version: npki.UCPIDVersion{Major: 1}, Site: "login.example.kr",
	}
}

const (
	vectorAll  = "3081a20201020410a0a1a2a3a4a5a6a7a8a9aaabacadaeaf30550c4febb3b8ec9db8ed9995ec9db820ec849cebb984ec8aa420ec9db4ec9aa9ec9d8420ec9c84ed959c20eab09cec9db8eca095ebb3b420eca09ceab3b5ec979020eb8f99ec9d98ed95a9eb8b88eb8ba42e030203f830220c11616e796964206e706b69207369676e65720c05414e59494430060201010201000c106c6f67696e2e6578616d706c652e6b72"
	vectorSome = "3081ac0201020410a0a1a2a3a4a5a6a7a8a9aaabacadaeaf30550c4febb3b8ec9db8ed9995ec9db820ec849cebb984ec8aa420ec9db4ec9aa9ec9d8420ec9c84ed959c20eab09cec9db8eca095ebb3b420eca09ceab3b5ec979020eb8f99ec9d98ed95a9eb8b88eb8ba42e03020390302c0c11616e796964206e706b69207369676e65720c05414e5949443010020101020100a003020107a1030201030c106c6f67696e2e6578616d706c652e6b72"
)

func TestUCPIDVectors(t *testing.T) {
	t.Parallel()
	want := request(t)
	raw, err := want.Marshal()
	if err != nil || hex.EncodeToString(raw) != vectorAll {
		t.Errorf("%x, %v", raw, err)
	}
	got, err := npki.ParseUCPIDRequest(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	build, revision := 7, 3
	want.Items, want.Version.Build, want.Version.Revision = npki.UCPIDRealName|npki.UCPIDBirthDate, &build, &revision
	got, err = npki.ParseUCPIDRequest(unhexed(t, vectorSome))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	// Ours is a named BIT STRING without zeros at the end: 04 90 in place of 03 90.
	if raw, err = want.Marshal(); err != nil || hex.EncodeToString(raw) != strings.Replace(vectorSome, "03020390", "03020490", 1) {
		t.Errorf("%x, %v", raw, err)
	}
}

func TestUCPIDItems(t *testing.T) {
	t.Parallel()
	for items := range npki.UCPIDAll + 1 {
		r := request(t)
		r.Items = items
		raw, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := npki.ParseUCPIDRequest(raw); err != nil || got.Items != items {
			t.Errorf("%05b: %05b, %v", items, got.Items, err)
		}
	}
}

func TestParseUCPIDRequestRefuses(t *testing.T) {
	t.Parallel()
	tree, err := dertree.Parse(unhexed(t, vectorSome))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	tree.Walk(func(path []int, node *dertree.Node) {
		for name, change := range map[string]func(root *dertree.Node){
			"drop":      func(root *dertree.Node) { root.Replace(path) },
			"duplicate": func(root *dertree.Node) { root.Replace(path, node, node) },
			"retype":    func(root *dertree.Node) { root.At(path...).Tag ^= 0x01 },
			"not UTF-8": func(root *dertree.Node) {
				if n := root.At(path...); n.Tag == 12 {
					n.Body[0] = 0xFF
				}
			},
			"append": func(root *dertree.Node) {
				if n := root.At(path...); n.Children != nil {
					n.Children = append(n.Children, &dertree.Node{Tag: 5})
				}
			},
		} {
			root := tree.Clone()
			change(root)
			mutant := root.Bytes()
			if bytes.Equal(mutant, unhexed(t, vectorSome)) {
				continue
			}
			_, err := npki.ParseUCPIDRequest(mutant)
			// Build and revision may be missing.
			if err == nil && (name != "drop" || len(path) != 3 || path[0] != 3) && (name != "retype" || path[0] != 1) {
				t.Errorf("%s %v: accepted", name, path)
			} else if err != nil {
				refused++
			}
		}
	})
	if refused < 50 {
		t.Errorf("only %d refused", refused)
	}
	for name, c := range map[string]struct {
		change func(r *dertree.Node)
		code   npki.Code
	}{
		"version 1":       {func(r *dertree.Node) { r.At(0).Body = []byte{1} }, npki.ErrUnsupported},
		"nonce of 4":      {func(r *dertree.Node) { r.At(1).Body = []byte{1, 2, 3, 4} }, npki.ErrMalformed},
		"ten items":       {func(r *dertree.Node) { r.At(2, 1).Body = []byte{6, 0xFF, 0xC0} }, npki.ErrUnsupported},
		"no site":         {func(r *dertree.Node) { r.At(4).Body = nil }, npki.ErrMalformed},
		"huge agreement":  {func(r *dertree.Node) { r.At(2, 0).Body = make([]byte, 20<<10) }, npki.ErrTooLarge},
		"negative number": {func(r *dertree.Node) { r.At(3, 2, 0).Body = []byte{0x80} }, npki.ErrMalformed},
	} {
		root := tree.Clone()
		c.change(root)
		_, err := npki.ParseUCPIDRequest(root.Bytes())
		if e, ok := errorsAs(err); !ok || e.Code != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
}

func TestMarshalUCPIDRequestRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *npki.UCPIDRequest){
		"nonce": func(r *npki.UCPIDRequest) { r.Nonce = nil }, "site": func(r *npki.UCPIDRequest) { r.Site = "" },
		"not UTF-8": func(r *npki.UCPIDRequest) { r.Agreement = "\xFF" }, "version": func(r *npki.UCPIDRequest) { r.Version.Major = -1 },
	} {
		r := request(t)
		change(r)
		_, err := r.Marshal()
		wantCode(t, err, npki.ErrInput)
		if _, err := npki.SignUCPIDRequest(shared().person.Key.Key, shared().person.Certificate.Raw, r, npki.SignOptions{}); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	r := request(t)
	r.Agreement = strings.Repeat("x", 20<<10)
	_, err := r.Marshal()
	wantCode(t, err, npki.ErrTooLarge)
}

func TestVerifyUCPIDRequest(t *testing.T) {
	t.Parallel()
	w := shared()
	r := request(t)
	ask := npki.UCPIDWant{Nonce: r.Nonce, Site: r.Site, Agreement: agreement, Items: npki.UCPIDAll}
	message, err := npki.SignUCPIDRequest(w.person.Key.Key, w.person.Certificate.Raw, r, npki.SignOptions{RSAEncryption: true, Time: noon})
	if err != nil {
		t.Fatal(err)
	}
	signed, got, err := npki.VerifyUCPIDRequest(message, npki.Want{Attributes: npki.Required}, ask)
	if err != nil || !reflect.DeepEqual(got, r) || !signed.Certificate.Equal(w.person.Certificate.Certificate) {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		change func(w *npki.UCPIDWant)
		code   npki.Code
	}{
		"nonce":    {func(w *npki.UCPIDWant) { w.Nonce = bytes.Repeat([]byte{1}, 16) }, npki.ErrNonce},
		"site":     {func(w *npki.UCPIDWant) { w.Site = "other.example.kr" }, npki.ErrSite},
		"text":     {func(w *npki.UCPIDWant) { w.Agreement += " " }, npki.ErrConsent},
		"items":    {func(w *npki.UCPIDWant) { w.Items &^= npki.UCPIDCI }, npki.ErrConsent},
		"no nonce": {func(w *npki.UCPIDWant) { w.Nonce = nil }, npki.ErrInput},
		"no site":  {func(w *npki.UCPIDWant) { w.Site = "" }, npki.ErrInput},
	} {
		other := ask
		c.change(&other)
		_, _, err := npki.VerifyUCPIDRequest(message, npki.Want{}, other)
		if e, ok := errorsAs(err); !ok || e.Code != c.code {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
	_, _, err = npki.VerifyUCPIDRequest(sign(t, w.person, "not a request", npki.SignOptions{}), npki.Want{}, ask)
	wantCode(t, err, npki.ErrMalformed)
	_, _, err = npki.VerifyUCPIDRequest(message[:100], npki.Want{}, ask)
	wantCode(t, err, npki.ErrMalformed)
}

// Names with a comma in them, as foreigners have, are the same name however the CA writes what stands between its parts.
func TestUCPIDResponseNames(t *testing.T) {
	t.Parallel()
	w := shared()
	for cn, dns := range map[string]map[string]bool{
		"SMITH, JOHN()0088": {
			`cn=SMITH\, JOHN()0088,o=yessign,c=kr`: true, `cn=SMITH\, JOHN()0088, o=yessign, c=kr`: true, `CN=SMITH\, JOHN()0088,O=yessign,C=KR`: true,
			`cn=SMITH\,JOHN()0088,o=yessign,c=kr`: false, `cn=JOHN()0088,o=yessign,c=kr`: false,
		},
		`A\, B`: {`cn=A\\\, B,o=yessign,c=kr`: true, `cn=A\\\, B, o=yessign, c=kr`: true, `cn=A\\, B,o=yessign,c=kr`: false},
		`A\`:    {`cn=A\\,o=yessign,c=kr`: true, `cn=A\\, o=yessign, c=kr`: true},
	} {
		c, err := w.yessign.Sign(npkitest.Template{
			Subject:   npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "o", Value: "yessign"}}, {{Type: "cn", Value: cn}}},
			PublicKey: w.person.Certificate.PublicKey.(*rsa.PublicKey), Policies: []string{"1.2.410.200005.1.1.1"},
		})
		if err != nil {
			t.Fatal(err)
		}
		for dn, same := range dns {
			r := npki.UCPIDResponse{DN: dn}
			if err := r.Check(c); (err == nil) != same {
				t.Errorf("%q as %q: %v", cn, dn, err)
			}
		}
	}
}

const (
	sampleCI = "Wn68cmM+NwcueFl0Q7JgnRnbCkNUurf1P8dd62kksNZFGZ2cqEj44mVll6C7lx2rcJcmDsvFFWRStgSDzBvuyA=="
	sampleDI = "MC0GCCqGSIb3DQIJAyEANBDB1GxPebJMV9afG4X7OwCZkiBCsIJHq6eC/AQlt5k="
)

// response is the CA's answer about a certificate, changed.
func response(t testing.TB, c *npki.Certificate, change func(m map[string]any)) []byte {
	t.Helper()
	name, err := c.SubjectName()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{
		"api_tran_id": "T1", "dn": name.String(), "ci": sampleCI, "ci2": "", "ci_update": "1", "di": sampleDI, "real_name": "홍길동",
		"gender": 1, "national_info": "0", "birth_date": "19010101",
	}
	if change != nil {
		change(m)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestUCPIDResponse(t *testing.T) {
	t.Parallel()
	person := shared().person.Certificate
	r, err := npki.ParseUCPIDResponse(response(t, person, nil))
	if err != nil {
		t.Fatal(err)
	}
	if r.CI != sampleCI || r.DI != sampleDI || r.RealName != "홍길동" || r.Gender != "1" || r.National != "0" || r.BirthDate != "19010101" || r.CIUpdate != "1" || r.Transaction != "T1" {
		t.Error("fields differ")
	}
	if err := r.Check(person); err != nil {
		t.Error(err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", r, *r, *r, r); strings.Contains(text, "홍길동") || strings.Contains(text, sampleCI) {
		t.Errorf("prints personal data: %s", text)
	}
	for name, change := range map[string]func(m map[string]any){
		"ci":            func(m map[string]any) { m["ci"] = sampleCI[:87] },
		"ci as URL":     func(m map[string]any) { m["ci"] = strings.Replace(sampleCI, "+", "-", 1) },
		"ci with space": func(m map[string]any) { m["ci"] = strings.Replace(sampleCI, "+", " ", 1) },
		"ci2":           func(m map[string]any) { m["ci2"] = "x" },
		"di":            func(m map[string]any) { m["di"] = sampleDI[1:] },
		"dn":            func(m map[string]any) { delete(m, "dn") },
		"gender":        func(m map[string]any) { m["gender"] = 2 },
		"national_info": func(m map[string]any) { m["national_info"] = "KR" },
		"birth_date":    func(m map[string]any) { m["birth_date"] = "20010229" },
		"type":          func(m map[string]any) { m["real_name"] = []int{1} },
	} {
		_, err := npki.ParseUCPIDResponse(response(t, person, change))
		if e, ok := errorsAs(err); !ok || e.Code != npki.ErrMalformed || strings.Contains(err.Error(), "홍길동") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = npki.ParseUCPIDResponse(make([]byte, 1<<17))
	wantCode(t, err, npki.ErrTooLarge)
	_, err = npki.ParseUCPIDResponse([]byte(`{"err_code":900102,"err_msg":"token expired"}`))
	if refused, ok := errors.AsType[*npki.UCPIDError](err); !ok || refused.ErrorCode != "900102" || refused.Message != "token expired" || !strings.Contains(err.Error(), "900102") {
		t.Errorf("refusal: %v", err)
	}
	little, err := npki.ParseUCPIDResponse(response(t, person, func(m map[string]any) {
		for _, key := range []string{"ci", "di", "real_name", "gender", "birth_date"} {
			m[key] = nil
		}
	}))
	if err != nil || little.Check(person) != nil || little.CI != "" {
		t.Errorf("only a DN: %v", err)
	}
}
