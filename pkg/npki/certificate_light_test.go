package npki

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"testing"
)

// sameCertificate compares what readLight reads with what the standard library does.
func sameCertificate(t testing.TB, got, want *x509.Certificate) {
	t.Helper()
	key, ok := want.PublicKey.(*rsa.PublicKey)
	if !ok || !key.Equal(got.PublicKey) {
		t.Error("public key")
	}
	for name, same := range map[string]bool{
		"Raw":          bytes.Equal(got.Raw, want.Raw),
		"RawTBS":       bytes.Equal(got.RawTBSCertificate, want.RawTBSCertificate),
		"RawKey":       bytes.Equal(got.RawSubjectPublicKeyInfo, want.RawSubjectPublicKeyInfo),
		"RawSubject":   bytes.Equal(got.RawSubject, want.RawSubject),
		"RawIssuer":    bytes.Equal(got.RawIssuer, want.RawIssuer),
		"Signature":    bytes.Equal(got.Signature, want.Signature),
		"SubjectKeyId": bytes.Equal(got.SubjectKeyId, want.SubjectKeyId),
		"SerialNumber": got.SerialNumber.Cmp(want.SerialNumber) == 0,
		"validity":     got.NotBefore.Equal(want.NotBefore) && got.NotAfter.Equal(want.NotAfter),
		"algorithm":    got.PublicKeyAlgorithm == want.PublicKeyAlgorithm && (got.SignatureAlgorithm == want.SignatureAlgorithm || got.SignatureAlgorithm == 0),
		"KeyUsage":     got.KeyUsage == want.KeyUsage,
		"authority":    got.IsCA == want.IsCA && got.BasicConstraintsValid == want.BasicConstraintsValid,
		"Version":      got.Version == want.Version,
		"Policies":     slices.EqualFunc(got.Policies, want.Policies, x509.OID.Equal),
		"Extensions":   len(got.Extensions) == len(want.Extensions),
	} {
		if !same {
			t.Errorf("%s differs", name)
		}
	}
}

func TestReadLight(t *testing.T) {
	t.Parallel()
	_, certificate := recipient()
	list := [][]byte{certificate.Raw}
	for _, policies := range [][]string{nil, {"1.2.410.200005.1.1.1.10"}, {Infrastructure, "1.2.410.200005.1.1.4"}} {
		list = append(list, issued(t, yessignName(t), policies, unhex(t, sanSHA256)).Raw)
	}
	for _, data := range list {
		got, err := readLight(data)
		if err != nil {
			t.Fatal(err)
		}
		want, err := x509.ParseCertificate(data)
		if err != nil {
			t.Fatal(err)
		}
		sameCertificate(t, got, want)
		mine, err := IdentityOf(got)
		theirs, want2 := IdentityOf(want)
		if mine.RealName != theirs.RealName || (err == nil) != (want2 == nil) {
			t.Errorf("identity %q, %v", mine.RealName, err)
		}
	}
}

func TestReadLightRefuses(t *testing.T) {
	t.Parallel()
	text := hex.EncodeToString(issued(t, yessignName(t), []string{"1.2.410.200005.1.1.4"}, unhex(t, sanSHA256)).Raw)
	usage := "300e0603551d0f0101ff0404030206c0"
	for name, c := range map[string]struct {
		data []byte
		code Code
	}{
		"not RSA":        {edit(t, text, "2a864886f70d010101", "2a864886f70d010102"), ErrUnsupported},
		"version 4":      {edit(t, text, "a003020102", "a003020103"), ErrMalformed},
		"usage twice":    {resize(t, text, usage, usage+usage), ErrMalformed},
		"usage a number": {edit(t, text, "0404030206c0", "0404020206c0"), ErrMalformed},
		"empty":          {nil, ErrMalformed},
		"a key":          {unhex(t, fixturePKCS8), ErrMalformed},
	} {
		_, err := readLight(c.data)
		wantCode(t, name, err, c.code)
	}
	c, err := readLight(edit(t, text, "0603551d0f0101ff", "0603551d100101ff"))
	if err != nil || len(c.UnhandledCriticalExtensions) != 1 {
		t.Errorf("an unknown critical extension passes: %v", err)
	}
}

// What the light reader takes, the standard library reads in the same way, or refuses for reasons of its own.
func FuzzReadLight(f *testing.F) {
	_, certificate := recipient()
	f.Add(certificate.Raw)
	f.Add(issued(f, yessignName(f), []string{Infrastructure, "1.2.410.200005.1.1.4"}, unhex(f, sanSHA256)).Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkDER("Certificate", data, MaxCertificate) != nil {
			return
		}
		got, err := readLight(data)
		typed(t, err)
		if err != nil {
			return
		}
		if want, err := x509.ParseCertificate(data); err == nil {
			sameCertificate(t, got, want)
		}
	})
}
