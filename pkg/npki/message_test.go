package npki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// recipient is a server's key for messages, with a certificate.
var recipient = sync.OnceValues(func() (*rsa.PrivateKey, *x509.Certificate) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	subject, err := Name{{{Type: "c", Value: "KR"}}, {{Type: "o", Value: "Example"}}, {{Type: "cn", Value: "km"}}}.Marshal()
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), RawSubject: subject, SubjectKeyId: []byte{1, 2, 3, 4}, KeyUsage: x509.KeyUsageKeyEncipherment,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return key, certificate
})

// openssl runs OpenSSL with the legacy algorithms, on input, and gives what it writes.
func openssl(t testing.TB, input []byte, arguments ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("this test needs openssl on the PATH: install the package openssl (.ci/packages does)")
	}
	cmd := exec.CommandContext(t.Context(), path, append(arguments, "-provider", "legacy", "-provider", "default")...)
	cmd.Stdin = bytes.NewReader(input)
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(arguments, " "), err, problem.Bytes())
	}
	return out
}

// write puts data into a file of the test's own.
func write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVIDMsg(t *testing.T) {
	t.Parallel()
	key, _ := recipient()
	for _, c := range []struct{ idn, symmetric string }{
		{"", "2d8f4988b14b5bc7964c324866342f6bb8622c67a0149c0f334695dc9605bf0c"},
		{"9001011234568", "20085929e88b2f166269b0fdcd7b2cb96ab13f4c7525405b81ab0f0c504e4ab4369a5b921f16e81afc7d43f3c91c7073"},
	} {
		m := VIDMsg{IDN: []byte(c.idn), R: unhex(t, r1)}
		text, err := m.Seal(bytes.NewReader(unhex(t, "00112233445566778899aabbccddeeff")), &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if text[512:] != c.symmetric {
			t.Errorf("%q: %s, want %s", c.idn, text[512:], c.symmetric)
		}
		for _, spelled := range []string{text, strings.ToUpper(text)} {
			got, err := OpenVIDMsg(key, spelled)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.IDN) != c.idn || hex.EncodeToString(got.R) != r1 {
				t.Errorf("opened %+v", got)
			}
		}
	}
	v := VID{Hash: crypto.SHA256, Value: unhex(t, vidVectors[1].vid)}
	if err := (VIDMsg{R: unhex(t, r1)}).VerifyVID(v, []byte("9001011234568")); err != nil {
		t.Error(err)
	}
	if err := (VIDMsg{IDN: []byte("9001011234568"), R: unhex(t, r1)}).VerifyVID(v, []byte("9001011234568")); err != nil {
		t.Error(err)
	}
	wantCode(t, "another number in the message", VIDMsg{IDN: []byte("0101019000007"), R: unhex(t, r1)}.VerifyVID(v, []byte("9001011234568")), ErrMismatch)
	wantCode(t, "another number", VIDMsg{R: unhex(t, r1)}.VerifyVID(v, []byte("0101019000007")), ErrMismatch)

	m := VIDMsg{IDN: []byte("9001011234568"), R: unhex(t, r1)}
	m.Wipe()
	if !bytes.Equal(m.R, make([]byte, RSize)) || m.IDN[0] != 0 {
		t.Error("not wiped")
	}
}

func TestSealVIDMsgRefuses(t *testing.T) {
	t.Parallel()
	key, _ := recipient()
	for name, m := range map[string]VIDMsg{
		"no R":          {},
		"R of 19 bytes": {R: make([]byte, 19)},
		"hyphen":        {IDN: []byte("900101-1234568"), R: make([]byte, RSize)},
		"five digits":   {IDN: []byte("12345"), R: make([]byte, RSize)},
	} {
		_, err := m.Seal(nil, &key.PublicKey)
		wantCode(t, name, err, ErrInput)
	}
	_, err := VIDMsg{R: make([]byte, RSize)}.Seal(strings.NewReader("short"), &key.PublicKey)
	wantCode(t, "randomness", err, ErrInput)
}

// sealed encrypts any text the way of a VidMsg.
func sealed(t testing.TB, block, text []byte) string {
	t.Helper()
	data, err := encryptCBC(SEED, make([]byte, 16), make([]byte, 16), text)
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(append(block, data...))
}

// Trap 20: whatever is wrong with a message, one and the same error comes back.
func TestTrap20PaddingOracle(t *testing.T) {
	t.Parallel()
	key, _ := recipient()
	wrapped := func(k []byte) []byte {
		block, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, k) //nolint:staticcheck // the format is what it is
		if err != nil {
			t.Fatal(err)
		}
		return block
	}
	right := wrapped(make([]byte, 16))
	content, err := hashContent(nil, unhex(t, r1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenVIDMsg(key, sealed(t, bytes.Clone(right), content)); err != nil {
		t.Fatal(err)
	}
	whole := sealed(t, bytes.Clone(right), content)
	flipped := bytes.Clone(right)
	flipped[100] ^= 1
	_, want := OpenVIDMsg(key, "")
	wantCode(t, "empty", want, ErrDecrypt)
	for name, message := range map[string]string{
		"RSA padding":            sealed(t, flipped, content),
		"RSA block zero":         sealed(t, make([]byte, 256), content),
		"RSA block too large":    sealed(t, bytes.Repeat([]byte{0xFF}, 256), content),
		"key of 15 bytes":        sealed(t, wrapped(make([]byte, 15)), content),
		"another key":            sealed(t, wrapped(bytes.Repeat([]byte{1}, 16)), content),
		"SEED padding":           whole[:len(whole)-2] + "00",
		"block left out":         whole[:len(whole)-32],
		"half a block":           whole[:len(whole)-16],
		"odd":                    whole[:len(whole)-1],
		"not hex":                "x" + whole[1:],
		"only the RSA block":     whole[:512],
		"very long":              strings.Repeat("00", 100_000),
		"no DER":                 sealed(t, bytes.Clone(right), []byte("hello")),
		"R of 19 bytes":          sealed(t, bytes.Clone(right), unhex(t, "30181300031400"+r1[2:])),
		"number with letters":    sealed(t, bytes.Clone(right), unhex(t, "301c13036162630315"+"00"+r1)),
		"number of three digits": sealed(t, bytes.Clone(right), unhex(t, "301c13033132330315"+"00"+r1)),
		"something after":        sealed(t, bytes.Clone(right), unhex(t, "301b1300031500"+r1+"0500")),
		"nothing inside":         sealed(t, bytes.Clone(right), nil),
	} {
		if _, err := OpenVIDMsg(key, message); err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

func TestOpenEnvelopeFromOpenSSL(t *testing.T) {
	t.Parallel()
	key, certificate := recipient()
	path := write(t, "km.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	content := []byte("vidRandom=공동인증서")
	for _, options := range [][]string{
		{"-seed-cbc", "-recip", path}, {"-aes-128-cbc", "-recip", path}, {"-aes-256-cbc", "-recip", path},
		{"-des3", "-recip", path}, {"-aria-128-cbc", "-recip", path}, {"-aria-256-cbc", "-recip", path},
		{"-seed-cbc", "-keyid", "-recip", path},
		{"-aes-256-cbc", "-recip", path, "-keyopt", "rsa_padding_mode:oaep"},
		{"-aes-256-cbc", "-recip", path, "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(options, " "), path, ""), func(t *testing.T) {
			t.Parallel()
			arguments := append([]string{"cms", "-encrypt", "-binary", "-outform", "DER"}, options...)
			message := openssl(t, content, arguments...)
			got, err := OpenEnvelope(message, certificate, key)
			if err != nil {
				t.Fatalf("%v\n%x", err, message)
			}
			if !bytes.Equal(got, content) {
				t.Errorf("opened %q", got)
			}
			broken := bytes.Clone(message)
			broken[len(broken)-1] ^= 1
			if got, err := OpenEnvelope(broken, certificate, key); err == nil && bytes.Equal(got, content) {
				t.Error("a flipped bit was not noticed")
			} else if err != nil {
				wantCode(t, "flipped", err, ErrDecrypt)
			}
			other := *certificate
			other.SerialNumber, other.SubjectKeyId = big.NewInt(8), nil
			_, err = OpenEnvelope(message, &other, key)
			wantCode(t, "another recipient", err, ErrMissing)
			_, err = OpenEnvelope(append(message, 0), certificate, key)
			wantCode(t, "trailing byte", err, ErrMalformed)
		})
	}
}

func TestOpenEnvelopeRefuses(t *testing.T) {
	t.Parallel()
	key, certificate := recipient()
	path := write(t, "km.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	message := hex.EncodeToString(openssl(t, []byte("R"), "cms", "-encrypt", "-binary", "-outform", "DER", "-seed-cbc", "-recip", path))
	_, info, _ := strings.Cut(message, "3182")
	info = "3182" + info
	info = info[:2*recipientLength(t, unhex(t, info))]
	wrong := strings.Replace(message, "2a864886f70d010101", "2a864886f70d010102", 1)
	block := message[strings.Index(message, "04820100")+8:][:512]
	for name, c := range map[string]struct {
		message []byte
		code    Code
	}{
		"empty":               {nil, ErrMalformed},
		"over 1 MB":           {make([]byte, MaxFile+1), ErrTooLarge},
		"signed data":         {edit(t, message, "2a864886f70d010703", "2a864886f70d010702"), ErrMalformed},
		"recipient twice":     {resize(t, message, info, "3182"+lengthOf(2*(len(info)/2-4))+info[8:]+info[8:]), ErrMalformed},
		"no recipients":       {resize(t, message, info, "3100"), ErrMissing},
		"too many recipients": {resize(t, message, info, "3122"+strings.Repeat("0500", 17)), ErrTooLarge},
		"unknown wrapping":    {unhex(t, wrong), ErrUnsupported},
		"unknown cipher":      {edit(t, message, "2a831a8c9a440104", "2a831a8c9a440103"), ErrUnsupported},
		"wrong RSA padding":   {edit(t, message, block, strings.Repeat("17", 256)), ErrDecrypt},
	} {
		_, err := OpenEnvelope(c.message, certificate, key)
		wantCode(t, name, err, c.code)
	}
}

func lengthOf(n int) string { return hex.EncodeToString([]byte{byte(n >> 8), byte(n)}) }

// recipientLength is the length of the first value.
func recipientLength(t testing.TB, data []byte) int {
	t.Helper()
	_, _, rest, problem := header(data)
	if problem != "" {
		t.Fatal(problem)
	}
	return len(data) - len(rest)
}
