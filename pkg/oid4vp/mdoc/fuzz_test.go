package mdoc_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

// soon fails a fuzz test whose parser takes longer than hostile input may make it.
func soon(t *testing.T, start time.Time) {
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// What is accepted discloses nothing that the issuer did not sign; what is refused has a typed error.
func FuzzVerify(f *testing.F) {
	w := shared()
	f.Add(w.present(f, w.credential, nil))
	f.Add(w.present(f, w.credential, func(p *mdoctest.Presentation) { p.Elements = map[string][]string{} }))
	f.Add(w.present(f, w.credential, func(p *mdoctest.Presentation) { p.Faults = []mdoctest.Fault{mdoctest.DigestTwice} }))
	f.Add(w.present(f, w.issue(f, func(t *mdoctest.Template) { t.AuthorizedNamespaces = []string{"x"} }),
		func(p *mdoctest.Presentation) { p.DeviceElements = map[string]map[string]any{"x": {"y": 1}} }))
	vector, _ := annexD(f)
	f.Add(vector)
	f.Add([]byte(nil))
	f.Add([]byte{0xbf, 0xff})
	want := w.want(f)
	signed := map[string]bool{"family_name": true, "birth_date": true, "issuing_country": true, "ci": true}
	f.Fuzz(func(t *testing.T, response []byte) {
		defer soon(t, time.Now())
		d, err := mdoc.Verify(response, want)
		if err != nil {
			if _, ok := asError(err); !ok {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		for _, elements := range d.Elements {
			for name := range elements {
				if !signed[name] {
					t.Errorf("accepted %s", name)
				}
			}
		}
	})
}

// An issuer may sign anything: an MSO and a value are read without a crash, and what is accepted has a form for JSON.
func FuzzIssued(f *testing.F) {
	w := shared()
	auth, _ := parseItem(w.credential.IssuerAuth)
	f.Add(auth.at(2).content, []byte{0x65, 'h', 'e', 'l', 'l', 'o'})
	f.Add(auth.at(2).content, []byte("\xd9\x03\xec\x6a1995-01-12"))
	f.Add(auth.at(2).content, []byte("\xc0\x742026-01-02T03:04:05Z"))
	f.Add(auth.at(2).content, []byte("\xa1\x61a\x82\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00"))
	vector, _ := annexD(f)
	published, _ := parseItem(vector)
	f.Add(published.at("documents", 0, "issuerSigned", "issuerAuth", 2).content, []byte{0xf6})
	f.Fuzz(func(t *testing.T, mso, value []byte) {
		if len(mso) > 64<<10 || len(value) > 64<<10 {
			return
		}
		c := *w.credential
		if err := w.signer.Sign(&c, mso); err != nil {
			t.Fatal(err)
		}
		response := w.present(t, &c, nil)
		start := time.Now()
		_, err := mdoc.Verify(response, w.want(t))
		if _, ok := asError(err); err != nil && !ok {
			t.Errorf("untyped error %v", err)
		}
		elements, err := mdoc.ReadValue(value)
		soon(t, start)
		if err != nil {
			if _, ok := asError(err); !ok {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		plain(t, mdoc.Elements{"x": {"y": elements}}.Claims())
	})
}

// plain fails where a value is none of a credential's claims.
func plain(t *testing.T, value any) {
	switch v := value.(type) {
	case nil, bool, string, []byte:
	case jsonNumber:
		if f, err := v.Float64(); err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
			t.Errorf("number %s", v)
		}
	case []any:
		for _, item := range v {
			plain(t, item)
		}
	case map[string]any:
		for _, member := range v {
			plain(t, member)
		}
	default:
		t.Errorf("a claim of type %T", value)
	}
}

// No two requests share a transcript.
func FuzzTranscript(f *testing.F) {
	f.Add("x509_san_dns:example.com", "nonce", []byte(nil), "https://example.com/response", "nonce", "x509_san_dns:example.com")
	f.Add("", "", bytes.Repeat([]byte{1}, 32), "", "", "")
	f.Fuzz(func(t *testing.T, client, nonce string, thumbprint []byte, uri, nonce2, client2 string) {
		a, err := mdoc.RedirectTranscript(client, nonce, thumbprint, uri)
		if (err == nil) != (thumbprint == nil || len(thumbprint) == 32) {
			t.Fatal(err)
		}
		if err != nil {
			wantCode(t, "transcript", err, oid4vp.ErrInput)
			return
		}
		b, err := mdoc.RedirectTranscript(client2, nonce2, thumbprint, uri)
		if err != nil || bytes.Equal(a, b) != (client == client2 && nonce == nonce2) {
			t.Error(err, a, b)
		}
		other, err := mdoctest.Transcript(client, nonce, thumbprint, uri)
		if err != nil || !bytes.Equal(a, other) {
			t.Errorf("%v %x", err, other)
		}
	})
}
