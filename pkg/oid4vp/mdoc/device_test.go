package mdoc_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

type jsonNumber = json.Number

var query = &oid4vp.CredentialQuery{ID: "mdl", Format: oid4vp.FormatMdoc, Meta: oid4vp.Meta{DoctypeValue: mDL}}

func encode(response []byte) string { return base64.RawURLEncoding.EncodeToString(response) }

func TestVerifier(t *testing.T) {
	t.Parallel()
	w := shared()
	verifier := &mdoc.Verifier{Anchors: w.anchors}
	presentation := encode(w.present(t, w.credential, func(p *mdoctest.Presentation) {
		p.Elements = map[string][]string{mDLNamespace: {"family_name", "birth_date"}, "kr.example.1": {"ci"}}
	}))
	got, err := verifier.Verify(t.Context(), presentation, query, w.binding)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		mDLNamespace:   map[string]any{"family_name": "홍", "birth_date": "1995-01-12"},
		"kr.example.1": map[string]any{"ci": []byte{1, 2, 3}},
	}
	if !reflect.DeepEqual(got.Claims, want) {
		t.Errorf("claims %v, want %v", got.Claims, want)
	}
	if got.Format != "mso_mdoc" || got.Type != mDL || got.Issuer.ID != "CN=IACA Test,C=KR" || len(got.Issuer.Chain) != 2 ||
		!got.Issuer.Certificate().Equal(w.signer.Certificate) || !got.Issuer.Chain[1].Equal(w.authority.Certificate) {
		t.Errorf("got %+v", got)
	}
	if key, ok := got.Holder.Key.(*ecdsa.PublicKey); !ok || !key.Equal(&w.device.PublicKey) || got.Holder.Method != "deviceSignature" || !got.Holder.IssuedAt.IsZero() {
		t.Errorf("holder %+v", got.Holder)
	}
	if got.Status == nil || *got.Status != (oid4vp.StatusReference{URI: "https://status.example/1", Index: 42}) {
		t.Errorf("status %+v", got.Status)
	}
	template := w.template()
	if !got.IssuedAt.Equal(template.Signed) || !got.ValidFrom.Equal(template.Signed) || !got.ValidUntil.Equal(template.ValidUntil) {
		t.Errorf("validity %v %v %v", got.IssuedAt, got.ValidFrom, got.ValidUntil)
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	for allow, want := range map[bool]string{
		false: `{"deviceauth_alg_values":[-7,-9],"issuerauth_alg_values":[-7,-9]}`,
		true:  `{"deviceauth_alg_values":[-7,-9,-35,-51],"issuerauth_alg_values":[-7,-9,-35,-51]}`,
	} {
		got, err := json.Marshal((&mdoc.Verifier{AllowP384: allow}).Metadata())
		if err != nil || string(got) != want {
			t.Errorf("got %s %v", got, err)
		}
	}
}

// Base64url is as an encoder writes it.
func TestBase64Refused(t *testing.T) {
	t.Parallel()
	w := shared()
	verifier := &mdoc.Verifier{Anchors: w.anchors}
	response := w.present(t, w.credential, nil)
	for n := 1; len(response)%3 != 1; n++ { // so that the last letter has bits to spare
		response = w.present(t, w.issue(t, func(t *mdoctest.Template) { t.Elements[0].Value = strings.Repeat("x", n) }), nil)
	}
	good := encode(response)
	if _, err := verifier.Verify(t.Context(), good, query, w.binding); err != nil {
		t.Fatal(err)
	}
	spare := bytes.Clone([]byte(good))
	spare[len(spare)-1]++ // A to B, Q to R, g to h, w to x
	for name, c := range map[string]struct {
		presentation string
		code         oid4vp.Code
	}{
		"empty":          {"", oid4vp.ErrMalformed},
		"padding":        {good + "==", oid4vp.ErrMalformed},
		"line break":     {good[:76] + "\n" + good[76:], oid4vp.ErrMalformed},
		"CRLF":           {good[:76] + "\r\n" + good[76:], oid4vp.ErrMalformed},
		"space":          {good + " ", oid4vp.ErrMalformed},
		"base64":         {"+/" + good[2:], oid4vp.ErrMalformed},
		"bits to spare":  {string(spare), oid4vp.ErrMalformed},
		"too long":       {string(bytes.Repeat([]byte("A"), oid4vp.MaxPresentation+1)), oid4vp.ErrTooLarge},
		"CBOR as it is":  {string(response), oid4vp.ErrMalformed},
		"trailing bytes": {encode(append(bytes.Clone(response), 0)), oid4vp.ErrMalformed},
	} {
		_, err := verifier.Verify(t.Context(), c.presentation, query, w.binding)
		wantCode(t, name, err, c.code)
	}
}

// A presentation that was made for anything else but this request is refused.
func TestOtherTranscriptRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	verifier := &mdoc.Verifier{Anchors: w.anchors}
	presentation := encode(w.present(t, w.credential, nil))
	for name, c := range map[string]struct {
		edit func(*oid4vp.Binding)
		code oid4vp.Code
	}{
		"as it was made":           {func(*oid4vp.Binding) {}, ""},
		"other client_id":          {func(b *oid4vp.Binding) { b.ClientID = "x509_hash:other" }, oid4vp.ErrKeyBinding},
		"client_id without prefix": {func(b *oid4vp.Binding) { b.ClientID = b.ClientID[len("x509_hash:"):] }, oid4vp.ErrKeyBinding},
		"other nonce":              {func(b *oid4vp.Binding) { b.Nonce += "x" }, oid4vp.ErrKeyBinding},
		"no nonce":                 {func(b *oid4vp.Binding) { b.Nonce = "" }, oid4vp.ErrKeyBinding},
		"other response_uri":       {func(b *oid4vp.Binding) { b.ResponseURI += "/" }, oid4vp.ErrKeyBinding},
		"key of another request":   {func(b *oid4vp.Binding) { b.JWKThumbprint = bytes.Repeat([]byte{8}, 32) }, oid4vp.ErrKeyBinding},
		"not encrypted":            {func(b *oid4vp.Binding) { b.JWKThumbprint = nil }, oid4vp.ErrKeyBinding},
		"thumbprint too short":     {func(b *oid4vp.Binding) { b.JWKThumbprint = b.JWKThumbprint[1:] }, oid4vp.ErrInput},
	} {
		binding := w.binding
		c.edit(&binding)
		_, err := verifier.Verify(t.Context(), presentation, query, binding)
		wantCode(t, name, err, c.code)
	}
	other := *query
	other.Meta.DoctypeValue = "org.iso.23220.photoid.1"
	_, err := verifier.Verify(t.Context(), presentation, &other, w.binding)
	wantCode(t, "other docType", err, oid4vp.ErrQuery)

	// The other handover does not fit either, though it has the same nonce and key.
	want := w.want(t)
	if want.Transcript, err = mdoc.DCAPITranscript("https://op.example", w.binding.Nonce, w.binding.JWKThumbprint); err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(w.present(t, w.credential, nil), want)
	wantCode(t, "DC API", err, oid4vp.ErrKeyBinding)
	_, err = mdoc.Verify(w.present(t, w.credential, func(p *mdoctest.Presentation) { p.Transcript = want.Transcript }), want)
	wantCode(t, "for the DC API", err, "")
}

func TestFaultsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	for fault, code := range map[mdoctest.Fault]oid4vp.Code{
		mdoctest.Reencoded:   oid4vp.ErrDigest,
		mdoctest.Altered:     oid4vp.ErrDigest,
		mdoctest.Unsigned:    oid4vp.ErrDigest,
		mdoctest.DigestTwice: oid4vp.ErrDigest,
		mdoctest.TwoOfThem:   oid4vp.ErrQuery,
		mdoctest.NotOK:       oid4vp.ErrQuery,
		mdoctest.OtherKey:    oid4vp.ErrKeyBinding,
		mdoctest.OtherType:   oid4vp.ErrQuery,
	} {
		response := w.present(t, w.credential, func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{fault} })
		_, err := mdoc.Verify(response, w.want(t))
		wantCode(t, string(fault), err, code)
	}
	// A document of another type, although that is the one that was asked for.
	want := w.want(t)
	want.DocType += ".other"
	_, err := mdoc.Verify(w.present(t, w.credential, func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.OtherType} }), want)
	wantCode(t, "MSO of another type", err, oid4vp.ErrQuery)
}

// One holder's document with another one's proof.
func TestOtherHolderRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	theirs := w.issue(t, func(t *mdoctest.Template) { t.DeviceKey = &other.PublicKey })
	_, err = mdoc.Verify(w.present(t, theirs, nil), w.want(t))
	wantCode(t, "other holder", err, oid4vp.ErrKeyBinding)
	_, err = mdoc.Verify(w.present(t, theirs, func(p *mdoctest.Presentation) { p.Key = other }), w.want(t))
	wantCode(t, "the holder", err, "")
}

func TestNothingDisclosed(t *testing.T) {
	t.Parallel()
	w := shared()
	d, err := mdoc.Verify(w.present(t, w.credential, func(p *mdoctest.Presentation) { p.Elements = map[string][]string{} }), w.want(t))
	if err != nil || len(d.Elements) != 0 {
		t.Error(d, err)
	}
}

func TestDeviceElements(t *testing.T) {
	t.Parallel()
	w := shared()
	const own = "com.example.device"
	says := func(namespace, name string) func(*mdoctest.Presentation) {
		return func(p *mdoctest.Presentation) { p.DeviceElements = map[string]map[string]any{namespace: {name: 5}} }
	}
	namespace := func(t *mdoctest.Template) { t.AuthorizedNamespaces = []string{own} }
	element := func(t *mdoctest.Template) { t.AuthorizedElements = map[string][]string{own: {"a"}} }
	for name, c := range map[string]struct {
		edit func(*mdoctest.Template)
		says func(*mdoctest.Presentation)
		code oid4vp.Code
	}{
		"namespace":            {namespace, says(own, "a"), ""},
		"element":              {element, says(own, "a"), ""},
		"not authorized":       {nil, says(own, "a"), oid4vp.ErrKeyBinding},
		"other namespace":      {namespace, says(mDLNamespace, "a"), oid4vp.ErrKeyBinding},
		"other element":        {element, says(own, "b"), oid4vp.ErrKeyBinding},
		"element without name": {namespace, says(own, ""), oid4vp.ErrMalformed},
		"the issuer's element": {
			func(t *mdoctest.Template) { t.AuthorizedNamespaces = []string{mDLNamespace} }, says(mDLNamespace, "family_name"), oid4vp.ErrDigest,
		},
	} {
		response := w.present(t, w.issue(t, c.edit), c.says)
		d, err := mdoc.Verify(response, w.want(t))
		wantCode(t, name, err, c.code)
		if err != nil {
			continue
		}
		if !reflect.DeepEqual(d.DeviceElements, mdoc.Elements{own: {"a": int64(5)}}) || d.Elements[own] != nil {
			t.Errorf("%s: %v %v", name, d.DeviceElements, d.Elements)
		}
		_, err = (&mdoc.Verifier{Anchors: w.anchors}).Verify(context.Background(), encode(response), query, w.binding)
		wantCode(t, name+", not asked for", err, oid4vp.ErrQuery)
	}
}

// P-384 and its algorithms are taken where the caller allows it, in every place on its own.
func TestP384(t *testing.T) {
	t.Parallel()
	w := shared()
	signer, err := w.authority.NewSigner(mdoctest.SignerOptions{Name: "DS P-384", Curve: elliptic.P384(), NotBefore: noon.AddDate(0, -1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	device, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signer *mdoctest.Signer
		device *ecdsa.PrivateKey
	}{"issuer": {signer, w.device}, "device": {w.signer, device}, "both": {signer, device}} {
		for _, full := range []bool{false, true} {
			template := w.template()
			template.DeviceKey, template.FullySpecified = &c.device.PublicKey, full
			credential, err := c.signer.Issue(template)
			if err != nil {
				t.Fatal(err)
			}
			response := w.present(t, credential, func(p *mdoctest.Presentation) { p.Key, p.FullySpecified = c.device, full })
			want := w.want(t)
			_, err = mdoc.Verify(response, want)
			wantCode(t, name+" not allowed", err, oid4vp.ErrUnsupported)
			want.AllowP384 = true
			_, err = mdoc.Verify(response, want)
			wantCode(t, name, err, "")
		}
	}
	// The curve decides, not the header.
	credential := w.issue(t, func(t *mdoctest.Template) {
		t.EditHeaders = func(p, _ map[any]any) { p[1] = -35 }
	})
	want := w.want(t)
	want.AllowP384 = true
	_, err = mdoc.Verify(w.present(t, credential, nil), want)
	wantCode(t, "ES384 on P-256", err, oid4vp.ErrUnsupported)
}

func TestESP256OfTheDevice(t *testing.T) {
	t.Parallel()
	w := shared()
	full := func(p *mdoctest.Presentation) { p.FullySpecified = true }
	_, err := mdoc.Verify(w.present(t, w.credential, full), w.want(t))
	wantCode(t, "any", err, "")
	limited := w.issue(t, func(t *mdoctest.Template) {
		t.EditMSO = func(m fields) { m["deviceKeyInfo"].(fields)["deviceKey"].(map[int]any)[3] = -9 }
	})
	_, err = mdoc.Verify(w.present(t, limited, full), w.want(t))
	wantCode(t, "limited", err, "")
	_, err = mdoc.Verify(w.present(t, limited, nil), w.want(t))
	wantCode(t, "limited to the other", err, oid4vp.ErrUnsupported)
}

func TestDeviceMAC(t *testing.T) {
	t.Parallel()
	w := shared()
	reader, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asMAC := func(p *mdoctest.Presentation) { p.ReaderKey = reader.PublicKey() }
	response := w.present(t, w.credential, asMAC)
	want := w.want(t)
	_, err = mdoc.Verify(response, want)
	wantCode(t, "not advertised", err, oid4vp.ErrUnsupported)
	_, err = (&mdoc.Verifier{Anchors: w.anchors}).Verify(t.Context(), encode(response), query, w.binding)
	wantCode(t, "never advertised", err, oid4vp.ErrUnsupported)

	want.ReaderKey = reader
	d, err := mdoc.Verify(response, want)
	if err != nil || !d.MAC {
		t.Error(d, err)
	}
	d, err = mdoc.Verify(w.present(t, w.credential, nil), want)
	if err != nil || d.MAC {
		t.Error(d, err)
	}
	path := []any{"documents", 0, "deviceSigned", "deviceAuth", "deviceMac"}
	for name, c := range map[string]struct {
		edit func(mac *item)
		code oid4vp.Code
	}{
		"altered":             {func(m *item) { m.at(3).content[0] ^= 1 }, oid4vp.ErrKeyBinding},
		"truncated":           {func(m *item) { m.at(3).content = m.at(3).content[:8] }, oid4vp.ErrKeyBinding},
		"empty":               {func(m *item) { m.at(3).content = nil }, oid4vp.ErrKeyBinding},
		"three parts":         {func(m *item) { m.items = m.items[:3] }, oid4vp.ErrMalformed},
		"payload":             {func(m *item) { m.items[2] = octets(nil) }, oid4vp.ErrMalformed},
		"alg 4":               {func(m *item) { m.items[0] = octets(dict(number(1), number(4)).bytes()) }, oid4vp.ErrUnsupported},
		"alg twice":           {func(m *item) { m.items[0] = octets(dict(number(1), number(5), number(1), number(5)).bytes()) }, oid4vp.ErrMalformed},
		"no alg":              {func(m *item) { m.items[0] = octets(dict().bytes()) }, oid4vp.ErrUnsupported},
		"another header":      {func(m *item) { m.items[0] = octets(dict(number(1), number(5), number(9), number(5)).bytes()) }, oid4vp.ErrMalformed},
		"unprotected header":  {func(m *item) { m.items[1] = dict(number(9), number(5)) }, oid4vp.ErrMalformed},
		"no protected header": {func(m *item) { m.items[0] = null() }, oid4vp.ErrMalformed},
		"unprotected no map":  {func(m *item) { m.items[1] = null() }, oid4vp.ErrMalformed},
		"protected not a map": {func(m *item) { m.items[0] = octets(list().bytes()) }, oid4vp.ErrMalformed},
		"tagged":              {func(m *item) { *m = *tagged(17, list(m.items...)) }, oid4vp.ErrMalformed},
		"empty array":         {func(m *item) { m.items = nil }, oid4vp.ErrMalformed},
	} {
		r, _ := parseItem(response)
		c.edit(r.at(path...))
		_, err := mdoc.Verify(r.bytes(), want)
		wantCode(t, name, err, c.code)
	}

	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want.ReaderKey = other
	_, err = mdoc.Verify(response, want)
	wantCode(t, "other reader", err, oid4vp.ErrKeyBinding)
	if want.ReaderKey, err = ecdh.P384().GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(response, want)
	wantCode(t, "other curve", err, oid4vp.ErrUnsupported)

	want.ReaderKey = reader
	toVerify := w.issue(t, func(t *mdoctest.Template) {
		t.EditMSO = func(m fields) { m["deviceKeyInfo"].(fields)["deviceKey"].(map[int]any)[4] = []int{2} }
	})
	_, err = mdoc.Verify(w.present(t, toVerify, asMAC), want)
	wantCode(t, "key for signatures", err, oid4vp.ErrUnsupported)
	want.Transcript, err = mdoc.RedirectTranscript("other", w.binding.Nonce, nil, w.binding.ResponseURI)
	if err != nil {
		t.Fatal(err)
	}
	_, err = mdoc.Verify(response, want)
	wantCode(t, "other transcript", err, oid4vp.ErrKeyBinding)
}
