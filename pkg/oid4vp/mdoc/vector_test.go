package mdoc_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
)

// The worked example of ISO/IEC 18013-5:2021 Annex D: the DeviceResponse of D.4.1.2, what the device has
// authenticated (D.5.3), and the IACA root certificate (D.7), as many implementations reproduce them.
var (
	//go:embed testdata/annex-d-response.hex
	annexDResponse string
	//go:embed testdata/annex-d-device-authentication.hex
	annexDAuthentication string
	//go:embed testdata/annex-d-iaca.hex
	annexDRoot string
)

const (
	mDL          = "org.iso.18013.5.1.mDL"
	mDLNamespace = "org.iso.18013.5.1"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// annexD is the published response, and what it fits.
func annexD(t testing.TB) ([]byte, mdoc.Want) {
	t.Helper()
	root, err := x509.ParseCertificate(unhex(t, annexDRoot))
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := mdoc.NewAnchors(root)
	if err != nil {
		t.Fatal(err)
	}
	var outer cbor.Tag
	if err := cbor.Unmarshal(unhex(t, annexDAuthentication), &outer); err != nil {
		t.Fatal(err)
	}
	var authentication []cbor.RawMessage
	if err := cbor.Unmarshal(outer.Content.([]byte), &authentication); err != nil {
		t.Fatal(err)
	}
	d, _ := new(big.Int).SetString("de3b4b9e5f72dd9b58406ae3091434da48a6f9fd010d88fcb0958e2cebec947c", 16)
	reader, err := ecdh.P256().NewPrivateKey(d.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return unhex(t, annexDResponse), mdoc.Want{
		DocType: mDL, Transcript: mdoc.SessionTranscript(authentication[1]), Anchors: anchors, ReaderKey: reader,
		Now: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func TestAnnexD(t *testing.T) {
	t.Parallel()
	response, want := annexD(t)
	d, err := mdoc.Verify(response, want)
	if err != nil {
		t.Fatal(err)
	}
	if !d.MAC || d.DocType != mDL || !d.ValidUntil.Equal(time.Date(2021, 10, 1, 13, 30, 2, 0, time.UTC)) || len(d.DeviceElements) != 0 {
		t.Errorf("got %+v", d)
	}
	elements := d.Elements[mDLNamespace]
	portrait, ok := elements["portrait"].([]byte)
	if !ok || !bytes.HasPrefix(portrait, []byte{0xff, 0xd8}) || len(elements) != 6 ||
		elements["family_name"] != "Doe" || elements["expiry_date"] != mdoc.FullDate("2024-10-20") {
		t.Errorf("got %v", elements)
	}
	privileges, ok := elements["driving_privileges"].([]any)
	if !ok || len(privileges) != 2 || privileges[0].(map[string]any)["issue_date"] != mdoc.FullDate("2018-08-09") {
		t.Errorf("got %v", elements["driving_privileges"])
	}
}

// Each byte of the published response is covered by a proof or has to be as it is; every third is tried.
func TestAnnexDAltered(t *testing.T) {
	t.Parallel()
	response, want := annexD(t)
	for i := 0; i < len(response); i += 3 {
		altered := bytes.Clone(response)
		altered[i] ^= 1 << (i % 8)
		if _, err := mdoc.Verify(altered, want); err == nil {
			t.Errorf("byte %d: accepted", i)
		}
	}
}

func TestAnnexDRefused(t *testing.T) {
	t.Parallel()
	response, want := annexD(t)
	for name, c := range map[string]struct {
		edit func(*mdoc.Want)
		code oid4vp.Code
	}{
		"MAC not advertised": {func(w *mdoc.Want) { w.ReaderKey = nil }, oid4vp.ErrUnsupported},
		"another year":       {func(w *mdoc.Want) { w.Now = w.Now.AddDate(1, 0, 0) }, oid4vp.ErrExpired},
	} {
		w := want
		c.edit(&w)
		_, err := mdoc.Verify(response, w)
		wantCode(t, name, err, c.code)
	}
}

// OpenID4VP 1.0 Appendix B.2.6.1 and B.2.6.2.
func TestHandoverVectors(t *testing.T) {
	t.Parallel()
	const (
		clientID, responseURI = "x509_san_dns:example.com", "https://example.com/response"
		nonce                 = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA"
		prefix                = "83f6f682714f70656e494434565048616e646f7665725820"
	)
	x, y := "DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0", "XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc"
	thumbprint := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	if got := hex.EncodeToString(thumbprint[:]); got != "4283ec927ae0f208daaa2d026a814f2b22dca52cf85ffa8f3f8626c6bd669047" {
		t.Fatalf("thumbprint %s", got)
	}
	got, err := mdoc.RedirectTranscript(clientID, nonce, thumbprint[:], responseURI)
	if want := prefix + "048bc053c00442af9b8eed494cefdd9d95240d254b046b11b68013722aad38ac"; err != nil || hex.EncodeToString(got) != want {
		t.Errorf("redirect: %v\n got %x\nwant %s", err, got, want)
	}
	other, err := mdoctest.Transcript(clientID, nonce, thumbprint[:], responseURI)
	if err != nil || !bytes.Equal(got, other) {
		t.Errorf("mdoctest: %v %x", err, other)
	}
	got, err = mdoc.DCAPITranscript("https://example.com", nonce, thumbprint[:])
	if want := "fbece366f4212f9762c74cfdbf83b8c69e371d5d68cea09cb4c48ca6daab761a"; err != nil || !strings.HasSuffix(hex.EncodeToString(got), want) {
		t.Errorf("DC API: %v\n got %x\nwant %s", err, got, want)
	}
	for _, bad := range [][]byte{{}, thumbprint[:31], make([]byte, 33)} {
		_, err := mdoc.RedirectTranscript(clientID, nonce, bad, responseURI)
		wantCode(t, "redirect", err, oid4vp.ErrInput)
		_, err = mdoc.DCAPITranscript(clientID, nonce, bad)
		wantCode(t, "DC API", err, oid4vp.ErrInput)
	}
	unencrypted, err := mdoc.RedirectTranscript(clientID, nonce, nil, responseURI)
	if err != nil {
		t.Fatal(err)
	}
	info := "847818783530395f73616e5f646e733a6578616d706c652e636f6d782b" + hex.EncodeToString([]byte(nonce)) +
		"f6781c68747470733a2f2f6578616d706c652e636f6d2f726573706f6e7365"
	hash := sha256.Sum256(unhex(t, info))
	if !bytes.HasSuffix(unencrypted, hash[:]) {
		t.Errorf("unencrypted: got %x", unencrypted)
	}
}
