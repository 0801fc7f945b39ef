package npki_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// soon fails a fuzz test whose parser takes longer than hostile input may make it.
func soon(t *testing.T, start time.Time) {
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
}

// What is accepted was signed by somebody; what is refused has a typed error.
func FuzzVerifySignedData(f *testing.F) {
	for _, shape := range shapes {
		f.Add(sign(f, shared().person, login, shape.options))
	}
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, message []byte) {
		defer soon(t, time.Now())
		for _, want := range []npki.Want{{AnyContent: true, AllowBare: true}, {Content: []byte(login), Detached: true, AllowBare: true}} {
			signed, err := npki.VerifySignedData(message, want)
			if err != nil {
				if _, ok := errorsAs(err); !ok {
					t.Errorf("untyped error %v", err)
				}
				continue
			}
			if signed.Certificate == nil || want.Detached && string(signed.Content) != login || !want.Detached && !bytes.Contains(message, signed.Content) {
				t.Error("accepted without a certificate, or with other content")
			}
		}
	})
}

// A certificate is either refused, or judged without a crash.
func FuzzVerifyChain(f *testing.F) {
	w := shared()
	f.Add(w.person.Certificate.Raw)
	f.Add(w.yessign.Certificate.Raw)
	f.Add(w.yessign.Root().Certificate.Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		defer soon(t, time.Now())
		certificate, err := npki.ParseCertificate(raw)
		if err == nil {
			var chain *npki.Chain
			chain, err = w.anchors.VerifyChain(certificate, loginChain)
			if err == nil && certificate.CheckSignatureFrom(chain.CA) != nil {
				t.Error("a certificate that nobody has issued is trusted")
			}
		}
		if _, ok := errorsAs(err); err != nil && !ok {
			t.Errorf("untyped error %v", err)
		}
	})
}

// What the signer reads of a certificate never makes it crash.
func FuzzSignCMS(f *testing.F) {
	w := shared()
	f.Add(w.person.Certificate.Raw)
	f.Add(w.yessign.Certificate.Raw)
	f.Fuzz(func(t *testing.T, certificate []byte) {
		defer soon(t, time.Now())
		_, err := npki.SignCMS(w.person.Key.Key, certificate, []byte(login), npki.SignOptions{Time: noon})
		if _, ok := errorsAs(err); err != nil && !ok {
			t.Errorf("untyped error %v", err)
		}
	})
}

// What is accepted is what we would write, but for the two ways of writing the items.
func FuzzParseUCPIDRequest(f *testing.F) {
	for _, vector := range []string{vectorAll, vectorSome} {
		f.Add(unhexed(f, vector))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		defer soon(t, time.Now())
		r, err := npki.ParseUCPIDRequest(data)
		if err != nil {
			if _, ok := errorsAs(err); !ok {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		raw, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > len(data) {
			t.Errorf("%x becomes %x", data, raw)
		}
		again, err := npki.ParseUCPIDRequest(raw)
		if err != nil || again.Items != r.Items || again.Site != r.Site || !bytes.Equal(again.Nonce, r.Nonce) {
			t.Errorf("%x: %v", raw, err)
		}
	})
}

func FuzzParseUCPIDResponse(f *testing.F) {
	f.Add(response(f, shared().person.Certificate, nil))
	f.Add([]byte(`{"err_code":"900101","err_msg":"no"}`))
	f.Add([]byte(`{"dn":1e400}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		defer soon(t, time.Now())
		r, err := npki.ParseUCPIDResponse(data)
		if err == nil {
			if r.DN == "" || r.CI != "" && !npki.ValidCI(r.CI) {
				t.Error("accepted without a DN, or with a broken CI")
			}
			_ = r.Check(shared().person.Certificate) // must not crash
		}
	})
}

// What decodes is the message that was encoded.
func FuzzDecodeMessage(f *testing.F) {
	message := sign(f, shared().person, login, npki.SignOptions{})
	f.Add(hex.EncodeToString(message))
	f.Add(base64.StdEncoding.EncodeToString(message))
	f.Add(base64.RawURLEncoding.EncodeToString(message))
	f.Add("-----BEGIN PKCS7-----\nMA==\n-----END PKCS7-----\n")
	f.Add("MIIB A==")
	f.Fuzz(func(t *testing.T, text string) {
		defer soon(t, time.Now())
		raw, err := npki.DecodeMessage(text)
		if err != nil {
			if _, ok := errorsAs(err); !ok {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if len(raw) == 0 {
			return // hexadecimal would be nothing at all
		}
		if back, err := npki.DecodeMessage(hex.EncodeToString(raw)); err != nil || !bytes.Equal(back, raw) {
			t.Errorf("%x: %v", raw, err)
		}
	})
}
