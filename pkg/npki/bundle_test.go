package npki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
)

// pair is the certificate of recipient, with its key and R.
func pair(t testing.TB) Pair {
	t.Helper()
	key, certificate := recipient()
	// Keys are wiped, so each test has its own.
	copied, err := x509.ParsePKCS1PrivateKey(x509.MarshalPKCS1PrivateKey(key))
	if err != nil {
		t.Fatal(err)
	}
	k, err := NewPrivateKey(copied, unhex(t, r2))
	if err != nil {
		t.Fatal(err)
	}
	return Pair{&Certificate{certificate}, k}
}

func wantPair(t testing.TB, b *Bundle) {
	t.Helper()
	key, certificate := recipient()
	if len(b.Pairs) != 1 || len(b.Keys) != 0 {
		t.Fatalf("%d pairs, %d lonely keys", len(b.Pairs), len(b.Keys))
	}
	p := b.Pairs[0]
	if !bytes.Equal(p.Certificate.Raw, certificate.Raw) || !key.Equal(p.Key.Key) {
		t.Error("another pair")
	}
	if hex.EncodeToString(p.Key.R) != r2 {
		t.Errorf("R is %x", p.Key.R)
	}
}

func TestParsePair(t *testing.T) {
	t.Parallel()
	p := pair(t)
	file, err := p.Key.Marshal(Encryption{}, []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParsePair(p.Certificate.Raw, file, []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	wantPair(t, &Bundle{Pairs: []Pair{got}})

	_, err = ParsePair(p.Certificate.Raw, file, []byte("Password"))
	wantCode(t, "password", err, ErrPassword)
	_, err = ParsePair(p.Certificate.Raw, unhex(t, keyFixtures[0].file), []byte(fixturePassword))
	wantCode(t, "key of another certificate", err, ErrMismatch)
	_, err = ParsePair(file, file, []byte("password"))
	wantCode(t, "key in place of the certificate", err, ErrMalformed)
	got.Key.Wipe()
	wantCode(t, "wiped key", got.Key.Matches(p.Certificate.Certificate), ErrInput)
}

func TestPFX(t *testing.T) {
	t.Parallel()
	other, err := ParsePKCS8(unhex(t, fixturePKCS8)) // its certificate is somewhere else
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Encryption{
		{}, {Scheme: SchemePKCS12, Iterations: 1024}, {Scheme: SchemePBES2}, {Scheme: SchemePBES2, Cipher: SEED, Hash: crypto.SHA1},
		{Scheme: SchemePBES2, Cipher: ARIA256, Hash: crypto.SHA512, Iterations: 2048},
	} {
		b := &Bundle{Pairs: []Pair{pair(t)}}
		file, err := b.MarshalPFX(e, []byte("비밀번호😀"))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		got, err := ParsePFX(file, []byte("비밀번호😀"))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		wantPair(t, got)
		_, err = ParsePFX(file, []byte("비밀번호"))
		wantCode(t, "password", err, ErrPassword)

		b.Keys, b.Others = []*PrivateKey{other}, []*Certificate{b.Pairs[0].Certificate}
		file, err = b.MarshalPFX(e, []byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		got, err = ParsePFX(file, []byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Pairs) != 1 || len(got.Keys) != 1 || len(got.Others) != 1 || hex.EncodeToString(got.Keys[0].R) != fixtureR {
			t.Errorf("%d pairs, %d keys, %d others", len(got.Pairs), len(got.Keys), len(got.Others))
		}
		got.Wipe()
		if got.Pairs[0].Key.Key != nil || got.Keys[0].Key != nil {
			t.Error("not wiped")
		}
	}
}

// Given the same randomness, writing gives the same file.
func TestPFXIsDeterministic(t *testing.T) {
	t.Parallel()
	b := &Bundle{Pairs: []Pair{pair(t)}}
	var files [2][]byte
	for i := range files {
		var err error
		if files[i], err = b.MarshalPFX(Encryption{Rand: strings.NewReader("salt of key!salt of MAC!")}, []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("two files")
	}
}

func TestPFXRefuses(t *testing.T) {
	t.Parallel()
	b := &Bundle{Pairs: []Pair{pair(t)}}
	file, err := b.MarshalPFX(Encryption{}, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	text := hex.EncodeToString(file)
	mac := text[strings.LastIndex(text, "3031"+"3021"+"300906052b0e03021a0500"):]
	for name, c := range map[string]struct {
		data []byte
		code Code
	}{
		"empty":              {nil, ErrMalformed},
		"over 1 MB":          {make([]byte, MaxFile+1), ErrTooLarge},
		"trailing byte":      {append(bytes.Clone(file), 0), ErrMalformed},
		"cut off":            {file[:len(file)-1], ErrMalformed},
		"version":            {bytes.Replace(file, []byte{2, 1, 3}, []byte{2, 1, 2}, 1), ErrUnsupported},
		"no MAC":             {resize(t, text, mac, ""), ErrUnsupported},
		"MAC hash":           {bytes.Replace(file, unhex(t, "06052b0e03021a0500"), unhex(t, "06052b0e03021b0500"), 1), ErrUnsupported},
		"signed, not data":   {bytes.Replace(file, unhex(t, "06092a864886f70d010701"), unhex(t, "06092a864886f70d010702"), 1), ErrUnsupported},
		"a bit of the key":   {flip(file, bytes.Index(file, unhex(t, "2a864886f70d010c0103"))+500), ErrMalformed},
		"a bit of the MAC":   {flip(file, len(file)-len(mac)/2+24), ErrMalformed},
		"certificate, a bit": {flip(file, bytes.Index(file, b.Pairs[0].Certificate.Raw)+600), ErrMalformed},
	} {
		_, err := ParsePFX(c.data, []byte("a"))
		wantCode(t, name, err, c.code)
	}
	_, err = ParsePFX(file, []byte{0xFF})
	wantCode(t, "password not UTF-8", err, ErrInput)
	_, err = ParsePFX(file, bytes.Repeat([]byte("a"), MaxPassword+1))
	wantCode(t, "long password", err, ErrInput)
	for name, e := range map[string]Encryption{"scheme A": {Scheme: SchemeSEED}, "scheme B": {Scheme: SchemeSEEDOld}, "iterations": {Iterations: -1}, "no randomness": {Rand: strings.NewReader("")}, "none for the MAC": {Rand: strings.NewReader("12345678")}} {
		_, err := b.MarshalPFX(e, []byte("a"))
		wantCode(t, name, err, ErrInput)
	}
	_, err = (&Bundle{Others: slices.Repeat([]*Certificate{b.Pairs[0].Certificate}, maxPairs+1)}).MarshalPFX(Encryption{}, []byte("a"))
	wantCode(t, "too many", err, ErrTooLarge)
	_, err = (&Bundle{Pairs: b.Pairs}).MarshalPFX(Encryption{}, nil)
	wantCode(t, "empty password", err, ErrInput)
}

func flip(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// Nothing is worked on for longer than its limits allow: a MAC with a billion iterations is not begun.
func TestPFXIterations(t *testing.T) {
	t.Parallel()
	file, err := (&Bundle{Pairs: []Pair{pair(t)}}).MarshalPFX(Encryption{Iterations: 2047}, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	text := hex.EncodeToString(file)
	if !strings.HasSuffix(text, "020207ff") {
		t.Fatalf("ends with %s", text[len(text)-8:])
	}
	// The lengths of two sequences grow by two.
	tail := text[strings.LastIndex(text, "3031302130"):]
	hostile := resize(t, text, tail, "3033"+tail[4:len(tail)-8]+"02047fffffff")
	_, err = ParsePFX(hostile, []byte("a"))
	wantCode(t, "iterations", err, ErrTooLarge)
	once := resize(t, text, tail, "302d"+tail[4:len(tail)-8]) // DEFAULT 1
	_, err = ParsePFX(once, []byte("a"))
	wantCode(t, "one iteration", err, ErrMalformed) // the key opens, the MAC does not hold
}

func TestOpenSSLReadsPFX(t *testing.T) {
	t.Parallel()
	b := &Bundle{Pairs: []Pair{pair(t)}}
	for _, e := range []Encryption{{}, {Scheme: SchemePBES2}, {Scheme: SchemePBES2, Cipher: SEED, Hash: crypto.SHA1}, {Scheme: SchemePBES2, Cipher: ARIA128, Hash: crypto.SHA512}} {
		file, err := b.MarshalPFX(e, []byte("Npki!Test"))
		if err != nil {
			t.Fatal(err)
		}
		out := openssl(t, nil, "pkcs12", "-in", write(t, "a.p12", file), "-nodes", "-passin", "pass:Npki!Test")
		got, err := ParsePEM(out, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Pairs) != 1 || !got.Pairs[0].Key.Key.(*rsa.PrivateKey).Equal(b.Pairs[0].Key.Key) {
			t.Errorf("%+v: openssl found another pair", e)
		}
	}
}

func TestReadsOpenSSLsPFX(t *testing.T) {
	t.Parallel()
	p := pair(t)
	source := write(t, "pair.pem", append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p.Key.PKCS8()})...))
	for _, options := range [][]string{
		nil, // today's: AES-256 for both, SHA-256
		{"-keypbe", "PBE-SHA1-3DES", "-certpbe", "NONE", "-macalg", "sha1", "-iter", "1024"}, // as the banks' programs do
		{"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha512"},
		{"-keypbe", "SEED-CBC", "-certpbe", "ARIA-256-CBC", "-name", "홍길동"},
		{"-maciter", "-iter", "1"},
	} {
		arguments := append([]string{"pkcs12", "-export", "-in", source, "-passout", "pass:비밀번호"}, options...)
		file := openssl(t, nil, arguments...)
		got, err := ParsePFX(file, []byte("비밀번호"))
		if err != nil {
			t.Errorf("%q: %v", options, err)
			continue
		}
		key, _ := recipient()
		if len(got.Pairs) != 1 || !key.Equal(got.Pairs[0].Key.Key) {
			t.Errorf("%q: another pair", options)
		}
		_, err = ParsePFX(file, []byte("비번"))
		wantCode(t, strings.Join(options, " "), err, ErrPassword)
	}
	file := openssl(t, nil, "pkcs12", "-export", "-in", source, "-passout", "pass:a", "-legacy")
	_, err := ParsePFX(file, []byte("a"))
	wantCode(t, "RC2", err, ErrUnsupported)
	file = openssl(t, nil, "pkcs12", "-export", "-in", source, "-passout", "pass:a", "-nomac")
	_, err = ParsePFX(file, []byte("a"))
	wantCode(t, "no MAC", err, ErrUnsupported)
	file = openssl(t, nil, "pkcs12", "-export", "-in", source, "-passout", "pass:a", "-keypbe", "NONE")
	_, err = ParsePFX(file, []byte("a"))
	wantCode(t, "key in clear", err, ErrUnsupported)
}

func TestPEM(t *testing.T) {
	t.Parallel()
	for _, e := range []Encryption{{}, {Scheme: SchemeSEED}, {Scheme: SchemePBES2, Cipher: SEED}} {
		p := pair(t)
		b := &Bundle{Pairs: []Pair{p}, Others: []*Certificate{p.Certificate}}
		text, err := b.MarshalPEM(e, []byte("password"))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePEM(text, []byte("password"))
		if err != nil {
			t.Fatal(err)
		}
		wantPair(t, got)
		if len(got.Others) != 1 {
			t.Errorf("%d others", len(got.Others))
		}
		_, err = ParsePEM(text, []byte("Password"))
		wantCode(t, "password", err, ErrPassword)
	}
	open := pair(t)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: open.Key.PKCS8()})
	got, err := ParsePEM(text, nil)
	if err != nil || len(got.Keys) != 1 || hex.EncodeToString(got.Keys[0].R) != r2 {
		t.Errorf("a key in clear: %+v (%v)", got, err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: open.Certificate.Raw})
	for name, c := range map[string]struct {
		text []byte
		code Code
	}{
		"empty":            {nil, ErrMissing},
		"text":             {[]byte("공동인증서"), ErrMissing},
		"over 1 MB":        {make([]byte, MaxFile+1), ErrTooLarge},
		"another kind":     {[]byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"), ErrUnsupported},
		"broken":           {append(bytes.Clone(certificate), "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"...), ErrMalformed},
		"bad certificate":  {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ErrMalformed},
		"bad key":          {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), ErrMalformed},
		"many":             {bytes.Repeat(certificate, maxPairs+1), ErrTooLarge},
		"bad key, at last": {append(bytes.Clone(text), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"...), ErrMalformed},
	} {
		_, err := ParsePEM(c.text, nil)
		wantCode(t, name, err, c.code)
	}
}

func TestSigning(t *testing.T) {
	t.Parallel()
	p := pair(t) // whose key usage is encipherment
	signing := *p.Certificate.Certificate
	signing.KeyUsage = x509.KeyUsageDigitalSignature
	b := &Bundle{Pairs: []Pair{p, {&Certificate{&signing}, p.Key}}}
	if got, err := b.Signing(); err != nil || !got.Certificate.Signs() {
		t.Error("the pair for decryption was taken")
	}
	_, err := (&Bundle{Pairs: []Pair{p}}).Signing()
	wantCode(t, "none", err, ErrMissing)
}

func TestOpenSSLReadsKeys(t *testing.T) {
	t.Parallel()
	p := pair(t)
	for _, c := range []Cipher{SEED, ARIA128, ARIA192, ARIA256, AES128, AES192, AES256, TripleDES} {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			file, err := p.Key.Marshal(Encryption{Scheme: SchemePBES2, Cipher: c, Hash: h, Iterations: 1024}, []byte(fixturePassword))
			if err != nil {
				t.Fatal(err)
			}
			out, err := ParsePEM(openssl(t, file, "pkey", "-inform", "DER", "-passin", "pass:"+fixturePassword), nil)
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			k := out.Keys[0]
			wantCode(t, "another certificate", k.Matches(&x509.Certificate{}), ErrMismatch)
			if err := k.Matches(p.Certificate.Certificate); err != nil {
				t.Errorf("%v, %v: %v", c, h, err)
			}
		}
	}
}

func TestReadsOpenSSLsKeys(t *testing.T) {
	t.Parallel()
	p := pair(t)
	for _, options := range [][]string{
		{"-v2", "seed-cbc", "-v2prf", "hmacWithSHA1"}, {"-v2", "seed-cbc", "-v2prf", "hmacWithSHA256"}, {"-v2", "aria-128-cbc"},
		{"-v2", "aria-256-cbc"}, {"-v2", "aes-256-cbc"}, {"-v2", "des3"}, {"-v1", "PBE-SHA1-3DES"},
	} {
		arguments := append([]string{"pkcs8", "-topk8", "-inform", "DER", "-outform", "DER", "-iter", "2048", "-passout", "pass:" + fixturePassword}, options...)
		k, err := ParsePrivateKey(openssl(t, p.Key.PKCS8(), arguments...), []byte(fixturePassword))
		if err != nil {
			t.Errorf("%q: %v", options, err)
			continue
		}
		if err := k.Matches(p.Certificate.Certificate); err != nil || k.R != nil { // openssl drops R
			t.Errorf("%q: %v, R %x", options, err, k.R)
		}
	}
}

// Schemes A and B are unknown to OpenSSL; its SEED is not.
func TestOpenSSLDecryptsSEED(t *testing.T) {
	t.Parallel()
	for i, iv := range []string{"f69a79f76cd3acc9e6e9a8cfe08bb1cd", "30313233343536373839303132333435"} {
		e, err := ParseEncryptedKey(unhex(t, keyFixtures[i].file))
		if err != nil {
			t.Fatal(err)
		}
		out := openssl(t, e.data, "enc", "-d", "-seed-cbc", "-K", "84bb1e8ba1de1269e7ec704661d5c074", "-iv", iv)
		if hex.EncodeToString(out) != fixturePKCS8 {
			t.Errorf("%s: openssl sees %x", keyFixtures[i].name, out)
		}
		ours := openssl(t, out, "enc", "-e", "-seed-cbc", "-K", "84bb1e8ba1de1269e7ec704661d5c074", "-iv", iv)
		if !bytes.Equal(ours, e.data) {
			t.Errorf("%s: openssl encrypts otherwise", keyFixtures[i].name)
		}
	}
}

func TestNewPrivateKey(t *testing.T) {
	t.Parallel()
	key, _ := recipient()
	k, err := NewPrivateKey(key, nil)
	if err != nil || k.R != nil {
		t.Errorf("without R: %x (%v)", k.R, err)
	}
	_, err = NewPrivateKey(key, make([]byte, 16))
	wantCode(t, "R of 16 bytes", err, ErrInput)
	_, err = NewPrivateKey(nil, nil)
	wantCode(t, "no key", err, ErrInput)
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := because(ErrMalformed, "Part", cause)
	if !errors.Is(err, ErrMalformed) || !errors.Is(err, cause) || errors.Is(err, ErrPassword) || err.Error() != "npki: Part: malformed: cause" {
		t.Error(err)
	}
	if err := fail(ErrPassword, ""); err.Error() != "npki: wrong password" || ErrPassword.Error() != "npki: wrong password" {
		t.Error(err)
	}
}
