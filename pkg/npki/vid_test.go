package npki

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"
	"testing"
)

const (
	r1 = "000102030405060708090a0b0c0d0e0f10111213"
	r2 = "00ffeeddccbbaa99887766554433221100abcd00" // begins and ends with a zero byte
)

var vidVectors = []struct {
	idn, r string
	hash   crypto.Hash
	vid    string
}{
	{"9001011234568", r1, crypto.SHA1, "2fbf6b4f11d32530d99402f1f4c3dc2fd6bc5e25"},
	{"9001011234568", r1, crypto.SHA256, "44030642077922aef464b617b2257f74e8c37e5e982fabf7df25b414bca9f098"},
	{"0101019000007", r2, crypto.SHA1, "cae2915d52af25502a59b30f0cf7cf6dd12efec5"},
	{"0101019000007", r2, crypto.SHA256, "6299f1959ad139269d9fdcc5c5d2fa98e3bf54134e291884b6ed514a2949e616"},
	{"1234567891", r1, crypto.SHA1, "19ec1f4c3e9b94e578d434a02d77cab4792f11a2"},
	{"1234567891", r1, crypto.SHA256, "b9cb214f30366293c8ed681fd050e7a554a6aba40eda1f2720f2897531eee490"},
}

func TestHashContent(t *testing.T) {
	t.Parallel()
	for idn, want := range map[string]string{
		"9001011234568": "3026130d39303031303131323334353638031500",
		"1234567891":    "3023130a31323334353637383931031500",
		"":              "30191300031500",
	} {
		content, err := hashContent([]byte(idn), unhex(t, r1))
		if got := hex.EncodeToString(content); err != nil || got != want+r1 {
			t.Errorf("%q: %s (%v)", idn, got, err)
		}
	}
}

func TestComputeVID(t *testing.T) {
	t.Parallel()
	for _, v := range vidVectors {
		got, err := ComputeVID(v.hash, []byte(v.idn), unhex(t, v.r))
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got.Value) != v.vid || got.Hash != v.hash {
			t.Errorf("%s, %v: %x, want %s", v.idn, v.hash, got.Value, v.vid)
		}
		want := VID{v.hash, unhex(t, v.vid)}
		if err := want.Verify([]byte(v.idn), unhex(t, v.r), crypto.SHA1); err != nil {
			t.Errorf("%s, %v: %v", v.idn, v.hash, err)
		}
		if v.hash == crypto.SHA1 {
			wantCode(t, "SHA-1 that nobody asked for", want.Verify([]byte(v.idn), unhex(t, v.r)), ErrUnsupported)
		}
	}
}

func TestVerifyVIDRefuses(t *testing.T) {
	t.Parallel()
	v := VID{crypto.SHA256, unhex(t, vidVectors[1].vid)}
	for name, c := range map[string]struct {
		idn, r string
		code   Code
	}{
		"other number":      {"9001011234567", r1, ErrMismatch},
		"other R":           {"9001011234568", r2, ErrMismatch},
		"business number":   {"1234567891", r1, ErrMismatch},
		"hyphen":            {"900101-1234568", r1, ErrInput},
		"letters":           {"900101123456a", r1, ErrInput},
		"wide digits":       {"９001011234568", r1, ErrInput},
		"no number":         {"", r1, ErrInput},
		"R of 19 bytes":     {"9001011234568", r1[2:], ErrInput},
		"R of 21 bytes":     {"9001011234568", r1 + "00", ErrInput},
		"no R":              {"9001011234568", "", ErrInput},
		"eleven digits":     {"90010112345", r1, ErrInput},
		"number and a NUL ": {"9001011234568\x00", r1, ErrInput},
	} {
		wantCode(t, name, v.Verify([]byte(c.idn), unhex(t, c.r)), c.code)
	}
	wantCode(t, "hash", VID{crypto.SHA512, make([]byte, 64)}.Verify([]byte("9001011234568"), unhex(t, r1)), ErrUnsupported)
	wantCode(t, "allowed, but not a VID hash", VID{crypto.SHA512, make([]byte, 64)}.Verify([]byte("9001011234568"), unhex(t, r1), crypto.SHA512), ErrUnsupported)
	wantCode(t, "cut off", VID{crypto.SHA256, v.Value[:31]}.Verify([]byte("9001011234568"), unhex(t, r1)), ErrMismatch)
	wantCode(t, "empty", VID{Hash: crypto.SHA256}.Verify([]byte("9001011234568"), unhex(t, r1)), ErrMismatch)
}

// subjectAltName values: VID with SHA-256 without parameters, VID with SHA-1 and NULL, a CA's.
const (
	sanSHA256 = "305fa05d06092a831a8c9a440a0101a050304e0c09ed998deab8b8eb8f993041303f060a2a831a8c9a440a0101013031300b0609608648016503040201a022042044030642077922aef464b617b2257f74e8c37e5e982fabf7df25b414bca9f098"
	sanSHA1   = "3051a04f06092a831a8c9a440a0101a04230400c09ed998deab8b8eb8f9930333031060a2a831a8c9a440a0101013023300906052b0e03021a0500a01604142fbf6b4f11d32530d99402f1f4c3dc2fd6bc5e25"
	sanCA     = "3025a02306092a831a8c9a440a0101a01630140c12ec8b9ced9798ec9db8eca69dec84bced84b0"
)

func TestParseIdentity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		san, name string
		vid       *VID
	}{
		{sanSHA256, "홍길동", &VID{crypto.SHA256, unhex(t, vidVectors[1].vid)}},
		{sanSHA1, "홍길동", &VID{crypto.SHA1, unhex(t, vidVectors[0].vid)}},
		{sanCA, "시험인증센터", nil},
	} {
		id, err := ParseIdentity(unhex(t, c.san))
		if err != nil {
			t.Fatal(err)
		}
		if id.RealName != c.name || (id.VID == nil) != (c.vid == nil) ||
			c.vid != nil && (id.VID.Hash != c.vid.Hash || !bytes.Equal(id.VID.Value, c.vid.Value)) {
			t.Errorf("%s: %+v", c.san, id)
		}
		again, err := id.Marshal()
		if err != nil || hex.EncodeToString(again) != c.san {
			t.Errorf("wrote %x (%v)", again, err)
		}
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	t.Parallel()
	name := "a05d06092a831a8c9a440a0101"
	_, info, _ := strings.Cut(sanSHA256, "303f060a")
	info = "303f060a" + info
	for what, c := range map[string]struct {
		san  []byte
		code Code
	}{
		"empty":                      {nil, ErrMalformed},
		"no names":                   {unhex(t, "3000"), ErrMissing},
		"a DNS name only":            {unhex(t, "3007820561622e6b72"), ErrMissing},
		"another otherName":          {edit(t, sanSHA256, name, "a05d06092a831a8c9a440a0102"), ErrMissing},
		"trailing byte":              {append(unhex(t, sanSHA256), 0), ErrMalformed},
		"over the limit":             {make([]byte, maxSAN+1), ErrTooLarge},
		"identifyData twice":         {unhex(t, "304a"+sanCA[4:]+sanCA[4:]), ErrMalformed},
		"VID twice":                  {resize(t, sanSHA256, info, info+info), ErrMalformed},
		"VID of 31 bytes":            {resize(t, sanSHA256, "0420"+vidVectors[1].vid, "041f"+vidVectors[1].vid[2:]), ErrMalformed},
		"unknown hash":               {edit(t, sanSHA256, "608648016503040201", "608648016503040203"), ErrUnsupported},
		"SHA-512":                    {resize(t, strings.Replace(sanSHA256, "608648016503040201", "608648016503040203", 1), "0420"+vidVectors[1].vid, "0440"+strings.Repeat("aa", 64)), ErrUnsupported},
		"hash parameters":            {resize(t, sanSHA1, "0500", "020100"), ErrUnsupported},
		"name is a number":           {edit(t, sanCA, "0c12", "0412"), ErrMalformed},
		"name not UTF-8":             {edit(t, sanCA, "0c12ec", "0c12ff"), ErrMalformed},
		"something after the info":   {resize(t, sanSHA256, info, info+"0500"), ErrMalformed},
		"name of a kilobyte or more": {resize(t, sanCA, "0c12ec8b9ced9798ec9db8eca69dec84bced84b0", "0c820401"+strings.Repeat("61", 1025)), ErrTooLarge},
	} {
		_, err := ParseIdentity(c.san)
		wantCode(t, what, err, c.code)
	}
}

func TestMarshalIdentityRefuses(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]Identity{
		"name not UTF-8": {RealName: "\xff"},
		"long name":      {RealName: strings.Repeat("가", 400)},
		"hash":           {RealName: "홍길동", VID: &VID{crypto.SHA512, make([]byte, 64)}},
		"length":         {RealName: "홍길동", VID: &VID{crypto.SHA256, make([]byte, 20)}},
	} {
		_, err := id.Marshal()
		wantCode(t, name, err, ErrInput)
	}
}
