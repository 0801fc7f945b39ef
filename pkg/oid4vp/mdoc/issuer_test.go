package mdoc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

type fields = map[string]any

// What an issuer could have signed that is not as it should be.
func TestIssuedRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	mso := func(edit func(mso fields)) func(*mdoctest.Template) {
		return func(t *mdoctest.Template) { t.EditMSO = edit }
	}
	validity := func(name string, value any) func(*mdoctest.Template) {
		return mso(func(m fields) { m["validityInfo"].(fields)[name] = value })
	}
	key := func(edit func(key map[int]any)) func(*mdoctest.Template) {
		return mso(func(m fields) { edit(m["deviceKeyInfo"].(fields)["deviceKey"].(map[int]any)) })
	}
	headers := func(edit func(protected, unprotected map[any]any)) func(*mdoctest.Template) {
		return func(t *mdoctest.Template) { t.EditHeaders = edit }
	}
	digests := func(edit func(map[string]map[uint64][]byte)) func(*mdoctest.Template) {
		return mso(func(m fields) { edit(m["valueDigests"].(map[string]map[uint64][]byte)) })
	}
	first := func(edit func(*mdoctest.SignedItem)) func(*mdoctest.Template) {
		return func(t *mdoctest.Template) {
			t.EditItem = func(i *mdoctest.SignedItem) {
				if i.DigestID == uint64(0) {
					edit(i)
				}
			}
		}
	}
	status := func(value any) func(*mdoctest.Template) { return mso(func(m fields) { m["status"] = value }) }
	for name, c := range map[string]struct {
		edit func(*mdoctest.Template)
		code oid4vp.Code
	}{
		"other docType":             {mso(func(m fields) { m["docType"] = "org.iso.23220.photoid.1" }), oid4vp.ErrQuery},
		"no docType":                {mso(func(m fields) { delete(m, "docType") }), oid4vp.ErrMalformed},
		"version 2.0":               {mso(func(m fields) { m["version"] = "2.0" }), oid4vp.ErrUnsupported},
		"no version":                {mso(func(m fields) { delete(m, "version") }), oid4vp.ErrMalformed},
		"SHA-1":                     {mso(func(m fields) { m["digestAlgorithm"] = "SHA-1" }), oid4vp.ErrUnsupported},
		"sha-256":                   {mso(func(m fields) { m["digestAlgorithm"] = "sha-256" }), oid4vp.ErrUnsupported},
		"no digestAlgorithm":        {mso(func(m fields) { delete(m, "digestAlgorithm") }), oid4vp.ErrMalformed},
		"other digestAlgorithm":     {mso(func(m fields) { m["digestAlgorithm"] = "SHA-512" }), oid4vp.ErrDigest},
		"no valueDigests":           {mso(func(m fields) { delete(m, "valueDigests") }), oid4vp.ErrMalformed},
		"wrong digest":              {digests(func(d map[string]map[uint64][]byte) { d[mDLNamespace][0][0] ^= 1 }), oid4vp.ErrDigest},
		"short digest":              {digests(func(d map[string]map[uint64][]byte) { d[mDLNamespace][0] = d[mDLNamespace][0][:31] }), oid4vp.ErrDigest},
		"empty digest":              {digests(func(d map[string]map[uint64][]byte) { d[mDLNamespace][0] = []byte{} }), oid4vp.ErrDigest},
		"no such digest":            {digests(func(d map[string]map[uint64][]byte) { delete(d[mDLNamespace], 0) }), oid4vp.ErrDigest},
		"digests exchanged":         {digests(func(d map[string]map[uint64][]byte) { n := d[mDLNamespace]; n[0], n[1] = n[1], n[0] }), oid4vp.ErrDigest},
		"digests of the namespace":  {digests(func(d map[string]map[uint64][]byte) { delete(d, mDLNamespace) }), oid4vp.ErrDigest},
		"digest of text":            {mso(func(m fields) { m["valueDigests"] = fields{mDLNamespace: map[int]any{0: "x"}} }), oid4vp.ErrDigest},
		"digest IDs as text":        {mso(func(m fields) { m["valueDigests"] = fields{mDLNamespace: map[string]any{"0": []byte{}}} }), oid4vp.ErrMalformed},
		"element twice":             {func(t *mdoctest.Template) { t.Elements = append(t.Elements, t.Elements[0]) }, oid4vp.ErrDigest},
		"digest ID in two elements": {func(t *mdoctest.Template) { t.EditItem = func(i *mdoctest.SignedItem) { i.DigestID = uint64(0) } }, oid4vp.ErrDigest},
		"random as text":            {first(func(i *mdoctest.SignedItem) { i.Random = "0123456789abcdef" }), oid4vp.ErrMalformed},
		"random as an array":        {first(func(i *mdoctest.SignedItem) { i.Random = make([]int, 16) }), oid4vp.ErrMalformed},
		"random null":               {first(func(i *mdoctest.SignedItem) { i.Random = nil }), oid4vp.ErrMalformed},
		"no name":                   {first(func(i *mdoctest.SignedItem) { i.Identifier = "" }), oid4vp.ErrMalformed},
		"undefined":                 {first(func(i *mdoctest.SignedItem) { i.Value = cbor.RawMessage{0xf7} }), oid4vp.ErrMalformed},
		"simple value":              {first(func(i *mdoctest.SignedItem) { i.Value = cbor.SimpleValue(99) }), oid4vp.ErrMalformed},
		"NaN":                       {first(func(i *mdoctest.SignedItem) { i.Value = cbor.RawMessage{0xf9, 0x7e, 0} }), oid4vp.ErrMalformed},
		"infinity":                  {first(func(i *mdoctest.SignedItem) { i.Value = cbor.RawMessage{0xf9, 0x7c, 0} }), oid4vp.ErrMalformed},
		"full-date with a time":     {first(func(i *mdoctest.SignedItem) { i.Value = mdoctest.Date("1995-01-12T00:00:00Z") }), oid4vp.ErrMalformed},
		"full-date of bytes":        {first(func(i *mdoctest.SignedItem) { i.Value = cbor.Tag{Number: 1004, Content: []byte("1995-01-12")} }), oid4vp.ErrMalformed},
		"no such date":              {first(func(i *mdoctest.SignedItem) { i.Value = mdoctest.Date("1995-02-30") }), oid4vp.ErrMalformed},
		"no such date, deep": {first(func(i *mdoctest.SignedItem) {
			i.Value = []any{fields{"a": cbor.Tag{Number: 99, Content: mdoctest.Date("x")}}}
		}), oid4vp.ErrMalformed},
		"time far away":             {first(func(i *mdoctest.SignedItem) { i.Value = cbor.Tag{Number: 1, Content: int64(1 << 40)} }), oid4vp.ErrMalformed},
		"map with a number as key":  {first(func(i *mdoctest.SignedItem) { i.Value = map[int]any{1: 1} }), oid4vp.ErrMalformed},
		"map with a key twice":      {first(func(i *mdoctest.SignedItem) { i.Value = cbor.RawMessage("\xa2\x61a\x01\x61a\x02") }), oid4vp.ErrMalformed},
		"other country":             {func(t *mdoctest.Template) { t.Elements[2].Value = "US" }, oid4vp.ErrIssuer},
		"country as bytes":          {func(t *mdoctest.Template) { t.Elements[2].Value = []byte("KR") }, oid4vp.ErrIssuer},
		"expired":                   {func(t *mdoctest.Template) { t.ValidUntil = noon.Add(-time.Second) }, oid4vp.ErrExpired},
		"not yet valid":             {func(t *mdoctest.Template) { t.ValidFrom = noon.Add(time.Second) }, oid4vp.ErrNotYetValid},
		"valid before it is signed": {func(t *mdoctest.Template) { t.ValidFrom = t.Signed.Add(-time.Second) }, oid4vp.ErrMalformed},
		"ends before it begins":     {func(t *mdoctest.Template) { t.ValidUntil = t.Signed }, oid4vp.ErrMalformed},
		"signed before the signer":  {func(t *mdoctest.Template) { t.Signed = w.signer.Certificate.NotBefore.Add(-time.Second) }, oid4vp.ErrUntrusted},
		"no validityInfo":           {mso(func(m fields) { delete(m, "validityInfo") }), oid4vp.ErrMalformed},
		"no signed":                 {mso(func(m fields) { delete(m["validityInfo"].(fields), "signed") }), oid4vp.ErrMalformed},
		"no validFrom":              {mso(func(m fields) { delete(m["validityInfo"].(fields), "validFrom") }), oid4vp.ErrMalformed},
		"no validUntil":             {mso(func(m fields) { delete(m["validityInfo"].(fields), "validUntil") }), oid4vp.ErrMalformed},
		"validFrom untagged":        {validity("validFrom", "2026-11-20T11:00:00Z"), oid4vp.ErrMalformed},
		"validFrom in epoch":        {validity("validFrom", cbor.Tag{Number: 1, Content: noon.Unix()}), oid4vp.ErrMalformed},
		"validFrom as full-date":    {validity("validFrom", mdoctest.Date("2026-11-20")), oid4vp.ErrMalformed},
		"validUntil with offset":    {validity("validUntil", cbor.RawMessage("\xc0\x78\x192026-12-20T12:00:00+09:00")), oid4vp.ErrMalformed},
		"expectedUpdate untagged":   {validity("expectedUpdate", "x"), oid4vp.ErrMalformed},
		"status null":               {status(nil), oid4vp.ErrMalformed},
		"status of another kind":    {status(fields{"identifier_list": fields{"id": []byte{1}, "uri": "https://status.example"}}), oid4vp.ErrUnsupported},
		"status without index":      {status(fields{"status_list": fields{"uri": "https://status.example"}}), oid4vp.ErrMalformed},
		"status with index -1":      {status(fields{"status_list": fields{"idx": -1, "uri": "https://status.example"}}), oid4vp.ErrMalformed},
		"status without uri":        {status(fields{"status_list": fields{"idx": 0}}), oid4vp.ErrMalformed},
		"status over http":          {status(fields{"status_list": fields{"idx": 0, "uri": "http://status.example"}}), oid4vp.ErrMalformed},
		"status with a fragment":    {status(fields{"status_list": fields{"idx": 0, "uri": "https://status.example/#1"}}), oid4vp.ErrMalformed},
		"status on no host":         {status(fields{"status_list": fields{"idx": 0, "uri": "https:///1"}}), oid4vp.ErrMalformed},
		"no deviceKeyInfo":          {mso(func(m fields) { delete(m, "deviceKeyInfo") }), oid4vp.ErrMalformed},
		"no deviceKey":              {mso(func(m fields) { m["deviceKeyInfo"] = fields{} }), oid4vp.ErrMalformed},
		"deviceKey OKP":             {key(func(k map[int]any) { k[1] = 1 }), oid4vp.ErrUnsupported},
		"deviceKey P-521":           {key(func(k map[int]any) { k[-1] = 3 }), oid4vp.ErrUnsupported},
		"deviceKey P-384":           {key(func(k map[int]any) { k[-1] = 2 }), oid4vp.ErrUnsupported},
		"deviceKey compressed":      {key(func(k map[int]any) { k[-3] = true }), oid4vp.ErrUnsupported},
		"deviceKey without x":       {key(func(k map[int]any) { delete(k, -2) }), oid4vp.ErrMalformed},
		"deviceKey with short x":    {key(func(k map[int]any) { k[-2] = k[-2].([]byte)[:31] }), oid4vp.ErrMalformed},
		"deviceKey off the curve":   {key(func(k map[int]any) { k[-2], k[-3] = k[-3], k[-2] }), oid4vp.ErrMalformed},
		"deviceKey private":         {key(func(k map[int]any) { k[-4] = make([]byte, 32) }), oid4vp.ErrMalformed},
		"deviceKey for ESP256":      {key(func(k map[int]any) { k[3] = -9 }), oid4vp.ErrUnsupported},
		"deviceKey for text":        {key(func(k map[int]any) { k[3] = "ES256" }), oid4vp.ErrUnsupported},
		"deviceKey to sign":         {key(func(k map[int]any) { k[4] = []int{1} }), oid4vp.ErrUnsupported},
		"deviceKey for nothing":     {key(func(k map[int]any) { k[4] = []int{} }), oid4vp.ErrMalformed},
		"deviceKey for words":       {key(func(k map[int]any) { k[4] = []string{"verify"} }), oid4vp.ErrMalformed},
		"crit":                      {headers(func(p, _ map[any]any) { p[2] = []int{1} }), oid4vp.ErrUnsupported},
		"no alg":                    {headers(func(p, _ map[any]any) { delete(p, 1) }), oid4vp.ErrUnsupported},
		"alg unprotected":           {headers(func(p, u map[any]any) { u[1] = p[1]; delete(p, 1) }), oid4vp.ErrUnsupported},
		"alg EdDSA":                 {headers(func(p, _ map[any]any) { p[1] = -8 }), oid4vp.ErrUnsupported},
		"alg ES384":                 {headers(func(p, _ map[any]any) { p[1] = -35 }), oid4vp.ErrUnsupported},
		"alg ES512":                 {headers(func(p, _ map[any]any) { p[1] = -36 }), oid4vp.ErrUnsupported},
		"alg HMAC":                  {headers(func(p, _ map[any]any) { p[1] = 5 }), oid4vp.ErrUnsupported},
		"alg as text":               {headers(func(p, _ map[any]any) { p[1] = "ES256" }), oid4vp.ErrUnsupported},
		"x5chain protected":         {headers(func(p, u map[any]any) { p[33] = u[33]; delete(u, 33) }), oid4vp.ErrMissing},
		"x5chain in both":           {headers(func(p, u map[any]any) { p[33] = u[33] }), oid4vp.ErrMalformed},
		"another certificate":       {headers(func(_, u map[any]any) { u[33] = [][]byte{u[33].([]byte), u[33].([]byte)} }), oid4vp.ErrUntrusted},
		"root first":                {headers(func(_, u map[any]any) { u[33] = [][]byte{w.authority.Certificate.Raw, u[33].([]byte)} }), oid4vp.ErrUntrusted},
		"authorized twice": {func(t *mdoctest.Template) {
			t.AuthorizedNamespaces, t.AuthorizedElements = []string{"x"}, map[string][]string{"x": {"y"}}
		}, oid4vp.ErrMalformed},
		"authorizations null": {mso(func(m fields) { m["deviceKeyInfo"].(fields)["keyAuthorizations"] = nil }), oid4vp.ErrMalformed},
		"authorizations empty": {mso(func(m fields) {
			m["deviceKeyInfo"].(fields)["keyAuthorizations"] = fields{"nameSpaces": []string{}}
		}), oid4vp.ErrMalformed},
		"authorizations of numbers": {mso(func(m fields) {
			m["deviceKeyInfo"].(fields)["keyAuthorizations"] = fields{"dataElements": map[string][]int{"x": {1}}}
		}), oid4vp.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mdoc.Verify(w.present(t, w.issue(t, c.edit), nil), w.want(t))
			wantCode(t, name, err, c.code)
		})
	}
}

// The MSO comes in tag 24, exactly, and with nothing after it.
func TestMSOBytesRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	c := *w.credential
	auth, _ := parseItem(c.IssuerAuth)
	payload := auth.at(2).content
	for name, edit := range map[string]func(mso *item) *item{
		"no tag":         func(mso *item) *item { return mso.at(0) },
		"bare map":       func(mso *item) *item { inner, _ := parseItem(mso.at(0).content); return inner },
		"another tag":    func(mso *item) *item { mso.argument = 25; return mso },
		"a tag more":     func(mso *item) *item { return tagged(24, mso) },
		"text":           func(mso *item) *item { return tagged(24, text("x")) },
		"trailing bytes": func(mso *item) *item { mso.items[0].content = append(mso.items[0].content, 0); return mso },
		"indefinite":     func(mso *item) *item { mso.embedded(func(i *item) { i.indefinite = true }); return mso },
		"duplicate key":  func(mso *item) *item { mso.embedded(func(i *item) { i.add("docType", text(mDL)) }); return mso },
		"duplicate time": func(mso *item) *item {
			mso.embedded(func(i *item) { v := i.at("validityInfo"); v.add("signed", v.at("signed")) })
			return mso
		},
		"duplicate curve": func(mso *item) *item {
			mso.embedded(func(i *item) { k := i.at("deviceKeyInfo", "deviceKey"); k.items = append(k.items, k.items[:2]...) })
			return mso
		},
		"duplicate digest": func(mso *item) *item {
			mso.embedded(func(i *item) {
				d := i.at("valueDigests", mDLNamespace)
				d.items = append(d.items, number(0), octets(nil))
			})
			return mso
		},
	} {
		mso, _ := parseItem(payload)
		if err := w.signer.Sign(&c, edit(mso).bytes()); err != nil {
			t.Fatal(err)
		}
		_, err := mdoc.Verify(w.present(t, &c, nil), w.want(t))
		wantCode(t, name, err, oid4vp.ErrMalformed)
	}
}

// What may be different, and is taken.
func TestIssuedAccepted(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, edit := range map[string]func(*mdoctest.Template){
		"SHA-384":             func(t *mdoctest.Template) { t.Hash = crypto.SHA384 },
		"SHA-512":             func(t *mdoctest.Template) { t.Hash = crypto.SHA512 },
		"ESP256":              func(t *mdoctest.Template) { t.FullySpecified = true },
		"chain with the root": func(t *mdoctest.Template) { t.WithRoot = true },
		"chain of one": func(t *mdoctest.Template) {
			t.EditHeaders = func(_, u map[any]any) { u[33] = [][]byte{u[33].([]byte)} }
		},
		"no status":              func(t *mdoctest.Template) { t.Status = nil },
		"unknown member":         func(t *mdoctest.Template) { t.EditMSO = func(m fields) { m["x"] = 1 } },
		"unknown header":         func(t *mdoctest.Template) { t.EditHeaders = func(p, _ map[any]any) { p[16] = "application/mso" } },
		"valid from this second": func(t *mdoctest.Template) { t.ValidFrom = noon },
		"valid to this second":   func(t *mdoctest.Template) { t.ValidUntil = noon },
		"fraction of a second": func(t *mdoctest.Template) {
			t.EditMSO = func(m fields) {
				m["validityInfo"].(fields)["validFrom"] = cbor.RawMessage("\xc0\x78\x182026-11-20T11:30:00.123Z")
			}
		},
		"deviceKey with alg and key_ops": func(t *mdoctest.Template) {
			t.EditMSO = func(m fields) {
				k := m["deviceKeyInfo"].(fields)["deviceKey"].(map[int]any)
				k[2], k[3], k[4] = []byte("kid"), -7, []int{2}
			}
		},
	} {
		if _, err := mdoc.Verify(w.present(t, w.issue(t, edit), nil), w.want(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeeway(t *testing.T) {
	t.Parallel()
	w := shared()
	early := w.present(t, w.issue(t, func(t *mdoctest.Template) { t.ValidFrom = noon.Add(time.Minute) }), nil)
	late := w.present(t, w.issue(t, func(t *mdoctest.Template) { t.ValidUntil = noon.Add(-time.Minute) }), nil)
	want := w.want(t)
	want.Leeway = time.Minute
	_, err := mdoc.Verify(early, want)
	wantCode(t, "early", err, "")
	_, err = mdoc.Verify(late, want)
	wantCode(t, "late", err, "")
	want.Leeway = time.Minute - time.Second
	_, err = mdoc.Verify(early, want)
	wantCode(t, "too early", err, oid4vp.ErrNotYetValid)
	_, err = mdoc.Verify(late, want)
	wantCode(t, "too late", err, oid4vp.ErrExpired)
}

// What no encoder would write.
func TestValuesRefused(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"tdate as a number": "\xc0\x01", "tdate that is none": "\xc0\x63abc", "epoch as text": "\xc1\x61x", "bignum as text": "\xc2\x61x",
		"text not UTF-8": "\x61\xff", "indefinite text": "\x7f\x61a\xff", "break": "\xff", "reserved": "\x1c", "trailing": "\x01\x01", "": "",
	} {
		_, err := mdoc.ReadValue([]byte(raw))
		wantCode(t, name, err, oid4vp.ErrMalformed)
	}
}

// Values keep their CBOR type, and have a form for JSON.
func TestValues(t *testing.T) {
	t.Parallel()
	w := shared()
	moment := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	big65, _ := new(big.Int).SetString("18446744073709551616", 10)
	for name, c := range map[string]struct{ value, got, claim any }{
		"text":      {"홍길동", "홍길동", "홍길동"},
		"bytes":     {[]byte{1, 2}, []byte{1, 2}, []byte{1, 2}},
		"true":      {true, true, true},
		"null":      {nil, nil, nil},
		"number":    {5, int64(5), jsonNumber("5")},
		"negative":  {-5, int64(-5), jsonNumber("-5")},
		"uint64":    {uint64(1<<64 - 1), new(big.Int).Sub(big65, big.NewInt(1)), jsonNumber("18446744073709551615")},
		"bignum":    {big65, big65, jsonNumber("18446744073709551616")},
		"float":     {1.5, 1.5, jsonNumber("1.5")},
		"tdate":     {moment, moment, "2026-01-02T03:04:05Z"},
		"full-date": {mdoctest.Date("1995-01-12"), mdoc.FullDate("1995-01-12"), "1995-01-12"},
		"tag":       {cbor.Tag{Number: 99, Content: mdoctest.Date("1995-01-12")}, mdoc.Tag{Number: 99, Content: mdoc.FullDate("1995-01-12")}, "1995-01-12"},
		"list": {[]any{1, mdoctest.Date("1995-01-12")}, []any{int64(1), mdoc.FullDate("1995-01-12")},
			[]any{jsonNumber("1"), "1995-01-12"}},
		"map": {fields{"a": moment, "b": []byte{1}}, fields{"a": moment, "b": []byte{1}}, fields{"a": "2026-01-02T03:04:05Z", "b": []byte{1}}},
	} {
		credential := w.issue(t, func(t *mdoctest.Template) {
			t.Elements = []mdoctest.Element{{Namespace: "x", Name: "y", Value: c.value}}
		})
		d, err := mdoc.Verify(w.present(t, credential, nil), w.want(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := d.Elements["x"]["y"]; !reflect.DeepEqual(got, c.got) {
			t.Errorf("%s: got %#v, want %#v", name, got, c.got)
		}
		if got := d.Elements.Claims()["x"].(fields)["y"]; !reflect.DeepEqual(got, c.claim) {
			t.Errorf("%s: claim %#v, want %#v", name, got, c.claim)
		}
	}
	if d, err := mdoc.FullDate("1995-01-12").Time(); err != nil || !d.Equal(time.Date(1995, 1, 12, 0, 0, 0, 0, time.UTC)) {
		t.Error(d, err)
	}
}

var usageServer = pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1}}

// Certificates of document signers that are not as ISO/IEC 18013-5 Annex B has them.
func TestSignerRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	usage := func(i *x509.Certificate) *pkix.Extension {
		for k := range i.ExtraExtensions {
			if i.ExtraExtensions[k].Id.Equal(usageServer.Id) {
				return &i.ExtraExtensions[k]
			}
		}
		return nil
	}
	for name, c := range map[string]struct {
		edit func(*x509.Certificate)
		code oid4vp.Code
	}{
		"without EKU":      {func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:0] }, oid4vp.ErrUntrusted},
		"EKU not critical": {func(c *x509.Certificate) { usage(c).Critical = false }, oid4vp.ErrUntrusted},
		"EKU of a server":  {func(c *x509.Certificate) { *usage(c) = usageServer }, oid4vp.ErrUntrusted},
		"EKU of a reader":  {func(c *x509.Certificate) { v := usage(c).Value; v[len(v)-1] = 6 }, oid4vp.ErrUntrusted},
		"EKU and another": {func(c *x509.Certificate) {
			usage(c).Value, _ = asn1.Marshal([]asn1.ObjectIdentifier{{1, 0, 18013, 5, 1, 2}, {1, 3, 6, 1, 5, 5, 7, 3, 1}})
		}, oid4vp.ErrUntrusted},
		"EKU and an unknown": {func(c *x509.Certificate) {
			usage(c).Value, _ = asn1.Marshal([]asn1.ObjectIdentifier{{1, 0, 18013, 5, 1, 2}, {1, 2, 3}})
		}, oid4vp.ErrUntrusted},
		"no key usage":          {func(c *x509.Certificate) { c.KeyUsage = 0 }, oid4vp.ErrUntrusted},
		"key usage and another": {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyAgreement }, oid4vp.ErrUntrusted},
		"key usage of a CA":     {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, oid4vp.ErrUntrusted},
		"key usage not critical": {func(c *x509.Certificate) {
			c.KeyUsage = 0
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{3, 2, 7, 0x80}})
		}, oid4vp.ErrUntrusted},
		"a CA": {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, oid4vp.ErrUntrusted},
		"unknown critical": {func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}, oid4vp.ErrUntrusted},
		"known critical, but not here": {func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example"}
		}, oid4vp.ErrUntrusted},
		"other country": {func(c *x509.Certificate) { c.Subject.Country = []string{"US"} }, oid4vp.ErrUntrusted},
		"no country":    {func(c *x509.Certificate) { c.Subject.Country = nil }, oid4vp.ErrUntrusted},
		"two countries": {func(c *x509.Certificate) { c.Subject.Country = []string{"KR", "US"} }, oid4vp.ErrUntrusted},
		"expired":       {func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Minute) }, oid4vp.ErrExpired},
		"not yet valid": {func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Minute) }, oid4vp.ErrNotYetValid},
		"after the MSO": {func(c *x509.Certificate) { c.NotBefore = noon.Add(-time.Minute) }, oid4vp.ErrUntrusted},
		"fits":          {func(c *x509.Certificate) { c.BasicConstraintsValid = true }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := w.authority.NewSigner(mdoctest.SignerOptions{Name: "DS Test", NotBefore: noon.AddDate(0, -1, 0), Edit: c.edit})
			if err != nil {
				t.Fatal(err)
			}
			credential, err := signer.Issue(w.template())
			if err != nil {
				t.Fatal(err)
			}
			_, err = mdoc.Verify(w.present(t, credential, nil), w.want(t))
			wantCode(t, name, err, c.code)
		})
	}
}

// Whose certificate it is.
func TestOtherRootRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	issue := func(a *mdoctest.Authority, o mdoctest.SignerOptions) []byte {
		t.Helper()
		o.Name, o.NotBefore = "DS Test", noon.AddDate(0, -1, 0)
		signer, err := a.NewSigner(o)
		if err != nil {
			t.Fatal(err)
		}
		credential, err := signer.Issue(w.template())
		if err != nil {
			t.Fatal(err)
		}
		return w.present(t, credential, nil)
	}
	authority := func(o mdoctest.AuthorityOptions) *mdoctest.Authority {
		t.Helper()
		o.NotBefore = noon.AddDate(-1, 0, 0)
		a, err := mdoctest.NewAuthority(o)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	other := authority(mdoctest.AuthorityOptions{Name: "Other IACA"})
	_, err := mdoc.Verify(issue(other, mdoctest.SignerOptions{}), w.want(t))
	wantCode(t, "other root", err, oid4vp.ErrUntrusted)

	namesake := authority(mdoctest.AuthorityOptions{Name: "IACA Test"})
	_, err = mdoc.Verify(issue(namesake, mdoctest.SignerOptions{}), w.want(t))
	wantCode(t, "root of the same name", err, oid4vp.ErrUntrusted)

	imitation := authority(mdoctest.AuthorityOptions{Name: "IACA Test", Edit: func(c *x509.Certificate) { c.SubjectKeyId = w.authority.Certificate.SubjectKeyId }})
	_, err = mdoc.Verify(issue(imitation, mdoctest.SignerOptions{}), w.want(t))
	wantCode(t, "root of the same name and key identifier", err, oid4vp.ErrUntrusted)

	// A root that is replaced keeps its name, and both are trusted.
	both, err := mdoc.NewAnchors(w.authority.Certificate, namesake.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	want := w.want(t)
	want.Anchors = both
	_, err = mdoc.Verify(issue(namesake, mdoctest.SignerOptions{}), want)
	wantCode(t, "second root of a name", err, "")

	brief := authority(mdoctest.AuthorityOptions{Name: "Brief IACA", NotAfter: noon.Add(-time.Second)})
	if want.Anchors, err = mdoc.NewAnchors(brief.Certificate); err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(issue(brief, mdoctest.SignerOptions{}), want)
	wantCode(t, "expired root", err, oid4vp.ErrExpired)

	state := authority(mdoctest.AuthorityOptions{Name: "State IACA", Province: "KR-11"})
	if want.Anchors, err = mdoc.NewAnchors(state.Certificate); err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(issue(state, mdoctest.SignerOptions{}), want)
	wantCode(t, "state", err, "")
	_, err = mdoc.Verify(issue(state, mdoctest.SignerOptions{Edit: func(c *x509.Certificate) { c.Subject.Province = []string{"KR-26"} }}), want)
	wantCode(t, "other state", err, oid4vp.ErrUntrusted)

	// The issuer's own certificate serves as no document signer.
	credential, err := (&mdoctest.Signer{Certificate: w.authority.Certificate, Key: w.authority.Key, Authority: w.authority}).Issue(w.template())
	if err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(w.present(t, credential, nil), w.want(t))
	wantCode(t, "signed by the root", err, oid4vp.ErrUntrusted)
}

func TestJurisdiction(t *testing.T) {
	t.Parallel()
	w := shared()
	state, err := mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "State IACA", Province: "KR-11", NotBefore: noon.AddDate(-1, 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := state.NewSigner(mdoctest.SignerOptions{Name: "DS", NotBefore: noon.AddDate(0, -1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	want := w.want(t)
	if want.Anchors, err = mdoc.NewAnchors(state.Certificate); err != nil {
		t.Fatal(err)
	}
	for value, code := range map[string]oid4vp.Code{"KR-11": "", "KR-26": oid4vp.ErrIssuer} {
		template := w.template()
		template.Elements = append(template.Elements, mdoctest.Element{Namespace: mDLNamespace, Name: "issuing_jurisdiction", Value: value})
		credential, err := signer.Issue(template)
		if err != nil {
			t.Fatal(err)
		}
		_, err = mdoc.Verify(w.present(t, credential, nil), want)
		wantCode(t, value, err, code)
	}
}

func TestAnchorsRefused(t *testing.T) {
	t.Parallel()
	_, err := mdoc.NewAnchors()
	wantCode(t, "none", err, oid4vp.ErrInput)
	_, err = mdoc.NewAnchors(shared().signer.Certificate)
	wantCode(t, "a document signer", err, oid4vp.ErrUntrusted)
	for name, o := range map[string]mdoctest.AuthorityOptions{
		"path length 1":    {Edit: func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 1, false }},
		"any path length":  {Edit: func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = -1, false }},
		"no key usage":     {Edit: func(c *x509.Certificate) { c.KeyUsage = 0 }},
		"signs everything": {Edit: func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature }},
		"for servers":      {Edit: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }},
		"no country":       {Edit: func(c *x509.Certificate) { c.Subject.Country = nil }},
		"no name":          {Edit: func(c *x509.Certificate) { c.Subject.CommonName = "" }},
		"P-224":            {Curve: elliptic.P224()},
		"unknown critical": {Edit: func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}},
	} {
		o.Name = "IACA " + name
		a, err := mdoctest.NewAuthority(o)
		if err != nil {
			t.Fatal(name, err)
		}
		_, err = mdoc.NewAnchors(a.Certificate)
		wantCode(t, name, err, oid4vp.ErrUntrusted)
	}
	// A certificate under a root is no root, whatever it says of itself.
	w := shared()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := *w.authority.Certificate
	der, err := x509.CreateCertificate(rand.Reader, &template, w.authority.Certificate, &key.PublicKey, w.authority.Key)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.NewAnchors(forged)
	wantCode(t, "not self-signed", err, oid4vp.ErrUntrusted)
	for _, curve := range []elliptic.Curve{elliptic.P384(), elliptic.P521()} {
		a, err := mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "IACA", Curve: curve})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = mdoc.NewAnchors(a.Certificate); err != nil {
			t.Error(err)
		}
	}
}
