package mdoc_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

func asError(err error) (*oid4vp.Error, bool) { return errors.AsType[*oid4vp.Error](err) }

func wantCode(t testing.TB, name string, err error, code oid4vp.Code) {
	t.Helper()
	e, ok := asError(err)
	if code == "" && err != nil || code != "" && (!ok || e.Code != code) {
		t.Errorf("%s: got %v, want code %q", name, err, code)
	}
}

// A world has one of each: a root, a document signer, a device and a mobile driving licence on it.
type world struct {
	authority  *mdoctest.Authority
	signer     *mdoctest.Signer
	device     *ecdsa.PrivateKey
	credential *mdoctest.Credential
	anchors    *mdoc.Anchors
	binding    oid4vp.Binding
}

// noon is when everything happens.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var shared = sync.OnceValue(func() *world {
	w := &world{binding: oid4vp.Binding{
		ClientID: "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk", Nonce: "n-0S6_WzA2Mj", ResponseURI: "https://op.example/wallet/response/1",
		JWKThumbprint: bytes.Repeat([]byte{7}, 32), Now: noon,
	}}
	var err error
	if w.authority, err = mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: "IACA Test", NotBefore: noon.AddDate(-1, 0, 0)}); err != nil {
		panic(err)
	}
	if w.signer, err = w.authority.NewSigner(mdoctest.SignerOptions{Name: "DS Test", NotBefore: noon.AddDate(0, -1, 0)}); err != nil {
		panic(err)
	}
	if w.device, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		panic(err)
	}
	if w.anchors, err = mdoc.NewAnchors(w.authority.Certificate); err != nil {
		panic(err)
	}
	if w.credential, err = w.signer.Issue(w.template()); err != nil {
		panic(err)
	}
	return w
})

func (w *world) template() mdoctest.Template {
	return mdoctest.Template{
		DocType: mDL, DeviceKey: &w.device.PublicKey, Signed: noon.Add(-time.Hour), ValidUntil: noon.AddDate(0, 0, 14),
		Elements: []mdoctest.Element{
			{Namespace: mDLNamespace, Name: "family_name", Value: "홍"},
			{Namespace: mDLNamespace, Name: "birth_date", Value: mdoctest.Date("1995-01-12")},
			{Namespace: mDLNamespace, Name: "issuing_country", Value: "KR"},
			{Namespace: "kr.example.1", Name: "ci", Value: []byte{1, 2, 3}},
		},
		Status: &mdoctest.Status{URI: "https://status.example/1", Index: 42},
	}
}

// issue issues another credential to the same device.
func (w *world) issue(t testing.TB, edit func(*mdoctest.Template)) *mdoctest.Credential {
	t.Helper()
	template := w.template()
	if edit != nil {
		edit(&template)
	}
	c, err := w.signer.Issue(template)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// present presents a credential as asked, or as edit says.
func (w *world) present(t testing.TB, c *mdoctest.Credential, edit func(*mdoctest.Presentation)) []byte {
	t.Helper()
	transcript, err := mdoctest.Transcript(w.binding.ClientID, w.binding.Nonce, w.binding.JWKThumbprint, w.binding.ResponseURI)
	if err != nil {
		t.Fatal(err)
	}
	p := mdoctest.Presentation{Key: w.device, Transcript: transcript}
	if edit != nil {
		edit(&p)
	}
	response, err := c.Present(p)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func (w *world) want(t testing.TB) mdoc.Want {
	t.Helper()
	transcript, err := mdoc.RedirectTranscript(w.binding.ClientID, w.binding.Nonce, w.binding.JWKThumbprint, w.binding.ResponseURI)
	if err != nil {
		t.Fatal(err)
	}
	return mdoc.Want{DocType: mDL, Transcript: transcript, Anchors: w.anchors, Now: noon}
}

// item is any CBOR, right or wrong, to be changed.
type item struct {
	major      byte
	argument   uint64
	content    []byte  // of a string
	items      []*item // of an array, of a map (keys and values in turn) or of a tag
	wide       bool    // written with eight bytes of argument
	indefinite bool    // written without length
}

func parseItem(b []byte) (*item, []byte) {
	i := &item{major: b[0] >> 5}
	info := b[0] & 0x1f
	b = b[1:]
	if info < 24 {
		i.argument = uint64(info)
	} else {
		size := 1 << (info - 24)
		var eight [8]byte
		copy(eight[8-size:], b)
		i.argument, b = binary.BigEndian.Uint64(eight[:]), b[size:]
	}
	var count uint64
	switch i.major {
	case 2, 3:
		i.content, b = bytes.Clone(b[:i.argument]), b[i.argument:]
	case 4:
		count = i.argument
	case 5:
		count = 2 * i.argument
	case 6:
		count = 1
	}
	for range count {
		var child *item
		child, b = parseItem(b)
		i.items = append(i.items, child)
	}
	return i, b
}

func (i *item) bytes() []byte {
	argument := i.argument
	switch i.major {
	case 2, 3:
		argument = uint64(len(i.content))
	case 4:
		argument = uint64(len(i.items))
	case 5:
		argument = uint64(len(i.items) / 2)
	}
	var b []byte
	switch {
	case i.indefinite:
		b = []byte{i.major<<5 | 31}
		if i.major == 2 || i.major == 3 { // one chunk
			b = append(b, (&item{major: i.major, content: i.content}).bytes()...)
			return append(b, 0xff)
		}
	case i.wide || argument > 0xffffffff:
		b = binary.BigEndian.AppendUint64([]byte{i.major<<5 | 27}, argument)
	case argument > 0xffff:
		b = binary.BigEndian.AppendUint32([]byte{i.major<<5 | 26}, uint32(argument))
	case argument > 0xff:
		b = binary.BigEndian.AppendUint16([]byte{i.major<<5 | 25}, uint16(argument))
	case argument > 23:
		b = []byte{i.major<<5 | 24, byte(argument)}
	default:
		b = []byte{i.major<<5 | byte(argument)}
	}
	b = append(b, i.content...)
	for _, child := range i.items {
		b = append(b, child.bytes()...)
	}
	if i.indefinite {
		b = append(b, 0xff)
	}
	return b
}

// at goes down: text to the member of a map, int to the element of an array.
func (i *item) at(path ...any) *item {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			i = i.items[i.member(s)+1]
		case int:
			i = i.items[s]
		}
	}
	return i
}

func (i *item) member(name string) int {
	for k := 0; k < len(i.items); k += 2 {
		if string(i.items[k].content) == name {
			return k
		}
	}
	panic("no member " + name)
}

// add adds a member to a map, whether it is there or not.
func (i *item) add(name string, value *item) { i.items = append(i.items, text(name), value) }

func (i *item) set(name string, value *item) { i.items[i.member(name)+1] = value }

func (i *item) remove(name string) {
	k := i.member(name)
	i.items = append(i.items[:k:k], i.items[k+2:]...)
}

// embedded changes what a byte string in tag 24 holds.
func (i *item) embedded(edit func(*item)) {
	inner, _ := parseItem(i.items[0].content)
	edit(inner)
	i.items[0].content = inner.bytes()
}

func text(s string) *item   { return &item{major: 3, content: []byte(s)} }
func octets(b []byte) *item { return &item{major: 2, content: b} }
func number(n uint64) *item { return &item{major: 0, argument: n} }
func list(items ...*item) *item {
	return &item{major: 4, items: items}
}
func dict(items ...*item) *item       { return &item{major: 5, items: items} }
func tagged(n uint64, of *item) *item { return &item{major: 6, argument: n, items: []*item{of}} }
func simple(n uint64) *item           { return &item{major: 7, argument: n} }
func null() *item                     { return simple(22) }
func deep(n int) *item {
	i := list()
	for range n {
		i = list(i)
	}
	return i
}

func many(n int) *item {
	i := list()
	for range n {
		i.items = append(i.items, number(0))
	}
	return i
}

// walletAnswer is what the wallet sends in vp_token.
func walletAnswer(w *world) string {
	transcript, err := mdoctest.Transcript(w.binding.ClientID, w.binding.Nonce, w.binding.JWKThumbprint, w.binding.ResponseURI)
	if err != nil {
		panic(err)
	}
	response, err := w.credential.Present(mdoctest.Presentation{Key: w.device, Transcript: transcript})
	if err != nil {
		panic(err)
	}
	return encode(response)
}
