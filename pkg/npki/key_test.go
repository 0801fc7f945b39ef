package npki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	stdpbkdf2 "crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"strings"
	"testing"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantCode fails unless an error carries a code, and only the cause's one.
func wantCode(t testing.TB, what string, err error, code Code) {
	t.Helper()
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != code || !errors.Is(err, code) {
		t.Errorf("%s: %v, want %q", what, err, string(code))
	}
}

// One P-256 key with R1, encrypted in six ways under one password, salt and number of iterations; C to F open
// with openssl as well.
const (
	fixturePassword = "Npki!Test#2026"
	fixtureR        = "000102030405060708090a0b0c0d0e0f10111213"
	fixturePKCS8    = "3081b0020100301306072a8648ce3d020106082a8648ce3d030107046d306b02010104206d27028dcabcd365635bd7fd5c0545faa24dd440f9e36b8605aaf08830ad02b8a14403420004570bf9147dc49563fa0a732a23e1ffb0ba6129daab3a1ad6ed5a9be265dbe0b14357437e38bdda1e50123758f5c62b3e97ee7d6e6de9172fbc1931768a522e49a0273025060a2a831a8c9a440a0101033117031500000102030405060708090a0b0c0d0e0f10111213"
)

var keyFixtures = []struct {
	name, file string
	encryption Encryption
}{
	{"A", "3081df301a06082a831a8c9a44010f300e0408a1b2c3d4e5f60718020208000481c0633522e814ad45e3af3dc74f56e2bb5060e3e64a7be99676137765a888a1ea6ae5b9729e9720ff74564fec508a206e32b824692cd2bb5c7a69dcd770dd88b7728891e43cde0fded221f0634e247e40de68258cd39ad43be6a2bf0c235edb62436df728f7125f4bd8939f49958fbce0b8dd87dbbb54cdb2f7d55ebeb048f712d5cd49d5b8b7dd8e88cf601e6e51734a5e8c681a42777ae7b265a6808e4dccd1936236f1a9cce9e9a899b7a03ad4623e8d364cc6dd6b4269063210d95bcd96253a",
		Encryption{Scheme: SchemeSEED, Cipher: SEED, Hash: crypto.SHA1, Iterations: 2048}},
	{"B", "3081df301a06082a831a8c9a440104300e0408a1b2c3d4e5f60718020208000481c08dc26dd4d8059a071dd0aee05adcd3ff440a7558b68f402a20981d07daaca65a82489cd708db8514a93d5d58fb0dad4c0ddaa62d2f636f7a45f4f4041dc92c5eff5aa61f13f239069da87036ae9cf51f23a99f340ebccb19c46cff8cda957718712cc9341d196b467db95376fd3ae3bd7ccb15b2d2f48d3e9f801b59bf3bcc5da94e91427eb44be72c4ecaadf3dccb5e00b0456c4abd535c2b356b459f07654b29a09386495456a05059ae159d254e6ec7dc77351d512debc602e0d0b7d4fb78",
		Encryption{Scheme: SchemeSEEDOld, Cipher: SEED, Hash: crypto.SHA1, Iterations: 2048}},
	{"C", "3082010d304806092a864886f70d01050d303b301b06092a864886f70d01050c300e0408a1b2c3d4e5f6071802020800301c06082a831a8c9a4401040410f0e1d2c3b4a5968778695a4b3c2d1e0f0481c07a59d2b4d1d9e7d26253c3d4c34712ea32799310719517e76e268f79cebb59e590cea46bc0e3d45054bdb28cd81e9ce8f3f4c0d07610178853fdc5e1666e2e2422e3123db5fe8d8d248f2df5880327e8561215a947f9523c8fd2131681d8e859d490614d479eafe05669bb27ebd3a3cdf76882440edd802063ca67bd823dcd5f403e921ca0c52cbe2381695ce9c48fd21b84b7e3b03f947f2c01a3e19ab5f62ad86db8f3a1ca57674915d6631e30eb7bbb82d74897d6245753d7278b523acab0",
		Encryption{Scheme: SchemePBES2, Cipher: SEED, Hash: crypto.SHA1, Iterations: 2048}},
	{"D", "3082011e305906092a864886f70d01050d304c302c06092a864886f70d01050c301f0408a1b2c3d4e5f6071802020800020110300c06082a864886f70d02090500301c06082a831a8c9a4401040410f0e1d2c3b4a5968778695a4b3c2d1e0f0481c034c28d2af9f755a41c58479683d1c1d063f0b9bb57b3a179983e53f1a72da2dbb8915e9de5592029edcd1e6b9df2588d9a621181b097dff1599b329d0cb1b12bd9210b93c47678f776aef1dbf09661eab601587f46de73a226807153a9f8fe3346f633377b5127d6cf4224fc4b228e25a012887a21b06735d0b6e6903b1b9d169d7bb1b06e61dc1e6bbbd728b0a47e91d4196ff291c01f0195cbdc1826bdf1d2fc2f2919a7b278a665149b4b2cc3145708c2b4a020c993d7c6331f3bf46a15dc",
		Encryption{Scheme: SchemePBES2, Cipher: SEED, Hash: crypto.SHA256, Iterations: 2048}},
	{"E", "3082011c305706092a864886f70d01050d304a302906092a864886f70d01050c301c0408a1b2c3d4e5f6071802020800300c06082a864886f70d02090500301d06092a831a8c9a6e01010c0410f0e1d2c3b4a5968778695a4b3c2d1e0f0481c0e8f1db29aac2fa70162bee9a58edd17cf9a0f0780f934d076cdee6c922e06be0a38f74d866fb278e45b9046daab7933d99fcb68767a7d3be16d5f7464907d139fc6f00c6c64bb05a3b1db469d1d3baf4ab6710c383f3bee50d47e2023f3d10802ccbd4f1c4c9329170fd452ac15b3ecf42652dff6912f4063f6e9033f7a75e98fabf5814b7f1d1853eb0e144c1466c679d0f096ef437aa8dd103bcf6e3e21accd655979a49d53c2f2494976d180f1cc2f578abd1a3b1930e8d55ae4e8558fdb3",
		Encryption{Scheme: SchemePBES2, Cipher: ARIA256, Hash: crypto.SHA256, Iterations: 2048}},
	{"F", "3082011c305706092a864886f70d01050d304a302906092a864886f70d01050c301c0408a1b2c3d4e5f6071802020800300c06082a864886f70d02090500301d060960864801650304012a0410f0e1d2c3b4a5968778695a4b3c2d1e0f0481c0d3a6dab220474061d7688427e35bfdd51cab30de267e4b693f26a2dcd870f65f1dddf60746c94648e9ef786b717df68eb020d41647754f60306123860c07714c17d365d06462954d2017592887f22394853d14885b0935e001923bd52d223064ae5cf77b711a1bc209e1bbf0907bdbd53d26c568dec1abe724dcde398a748392d1a06c6bd5d934b7486414298367670b37a3683df4d80ea040385d27ad21d3433a707d7bedaf486727fee9d5c71882a8e110ec7b8b710d72c9e6ebbab7cce32f",
		Encryption{Scheme: SchemePBES2, Cipher: AES256, Hash: crypto.SHA256, Iterations: 2048}},
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	for _, f := range keyFixtures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			file := unhex(t, f.file)
			e, err := ParseEncryptedKey(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.Encryption(); got != f.encryption {
				t.Errorf("encryption %+v, want %+v", got, f.encryption)
			}
			k, err := ParsePrivateKey(file, []byte(fixturePassword))
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(k.PKCS8()); got != fixturePKCS8 {
				t.Errorf("PKCS#8 %s", got)
			}
			if got := hex.EncodeToString(k.R); got != fixtureR {
				t.Errorf("R %s", got)
			}
			if _, ok := k.Key.(*ecdsa.PrivateKey); !ok {
				t.Errorf("key is a %T", k.Key)
			}
		})
	}
}

// What is read can be written again, byte by byte, given the same randomness. Files C to F were made by others,
// with 8 bytes of salt, D with an explicit key length; ours have 16 and none.
func TestMarshalWritesWhatWasRead(t *testing.T) {
	t.Parallel()
	for _, f := range keyFixtures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			file := unhex(t, f.file)
			k, err := ParsePrivateKey(file, []byte(fixturePassword))
			if err != nil {
				t.Fatal(err)
			}
			e := f.encryption
			e.Rand = bytes.NewReader(unhex(t, "a1b2c3d4e5f60718"+"a1b2c3d4e5f60718"+"f0e1d2c3b4a5968778695a4b3c2d1e0f"))
			again, err := k.Marshal(e, []byte(fixturePassword))
			if err != nil {
				t.Fatal(err)
			}
			if e.Scheme != SchemePBES2 && !bytes.Equal(again, file) {
				t.Errorf("wrote %x", again)
			}
			back, err := ParsePrivateKey(again, []byte(fixturePassword))
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(back.PKCS8()) != fixturePKCS8 {
				t.Error("the key changed on the way")
			}
		})
	}
}

func TestMarshalEveryEncryption(t *testing.T) {
	t.Parallel()
	k, err := ParsePKCS8(unhex(t, fixturePKCS8))
	if err != nil {
		t.Fatal(err)
	}
	list := []Encryption{{}, {Scheme: SchemeSEED, Iterations: 1}, {Scheme: SchemeSEEDOld}, {Scheme: SchemePKCS12}, {Scheme: SchemePBES2}}
	for c := SEED; c <= TripleDES; c++ {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			list = append(list, Encryption{Scheme: SchemePBES2, Cipher: c, Hash: h, Iterations: 10})
		}
	}
	for _, e := range list {
		file, err := k.Marshal(e, []byte("비밀번호 1!"))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		back, err := ParsePrivateKey(file, []byte("비밀번호 1!"))
		if err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		if !bytes.Equal(back.PKCS8(), k.PKCS8()) || hex.EncodeToString(back.R) != fixtureR {
			t.Errorf("%+v: the key changed on the way", e)
		}
		_, err = ParsePrivateKey(file, []byte("비밀번호 2!"))
		wantCode(t, "wrong password", err, ErrPassword)
	}
}

func TestMarshalRefuses(t *testing.T) {
	t.Parallel()
	k, err := ParsePKCS8(unhex(t, fixturePKCS8))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		e        Encryption
		password string
	}{
		"empty password":              {Encryption{}, ""},
		"long password":               {Encryption{}, strings.Repeat("a", MaxPassword+1)},
		"password no UTF-8 in PFX":    {Encryption{Scheme: SchemePKCS12}, "\xb0\xf8"},
		"iterations":                  {Encryption{Iterations: MaxIterations + 1}, "a"},
		"negative iterations":         {Encryption{Iterations: -1}, "a"},
		"unknown scheme":              {Encryption{Scheme: 99}, "a"},
		"unknown cipher":              {Encryption{Scheme: SchemePBES2, Cipher: 99}, "a"},
		"unknown hash":                {Encryption{Scheme: SchemePBES2, Hash: crypto.MD5}, "a"},
		"cipher against the scheme":   {Encryption{Cipher: AES256}, "a"},
		"hash against the scheme":     {Encryption{Hash: crypto.SHA256}, "a"},
		"randomness that runs dry":    {Encryption{Rand: strings.NewReader("1234567")}, "a"},
		"no randomness for the IV":    {Encryption{Scheme: SchemePBES2, Rand: strings.NewReader(strings.Repeat("1", 31))}, "a"},
		"default cipher is no cipher": {Encryption{Scheme: SchemePBES2, Cipher: TripleDES + 1}, "a"},
	} {
		_, err := k.Marshal(c.e, []byte(c.password))
		wantCode(t, name, err, ErrInput)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	for _, f := range keyFixtures {
		file := unhex(t, f.file)
		from, to := []byte(fixturePassword), []byte("new password")
		changed, err := ChangePassword(file, from, to)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		k, err := ParsePrivateKey(changed, to)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if hex.EncodeToString(k.PKCS8()) != fixturePKCS8 {
			t.Errorf("%s: the key changed", f.name)
		}
		e, err := ParseEncryptedKey(changed)
		if err != nil || e.Encryption() != f.encryption {
			t.Errorf("%s: encryption became %+v (%v)", f.name, e.Encryption(), err)
		}
		if bytes.Contains(changed, unhex(t, "a1b2c3d4e5f60718")) {
			t.Errorf("%s: the old salt is used again", f.name)
		}
		if string(from) != fixturePassword || string(to) != "new password" {
			t.Error("the caller's passwords were changed")
		}
		_, err = ChangePassword(file, to, from)
		wantCode(t, "wrong old password", err, ErrPassword)
		_, err = ChangePassword(file, from, nil)
		wantCode(t, "empty new password", err, ErrInput)
	}
}

// edit replaces text in a hex fixture, once.
func edit(t testing.TB, fixture, from, to string) []byte {
	t.Helper()
	if strings.Count(fixture, from) != 1 {
		t.Fatalf("%q occurs %d times", from, strings.Count(fixture, from))
	}
	return unhex(t, strings.Replace(fixture, from, to, 1))
}

func TestParseEncryptedKeyRefuses(t *testing.T) {
	t.Parallel()
	a, c, d := keyFixtures[0].file, keyFixtures[2].file, keyFixtures[3].file
	salt := "0408a1b2c3d4e5f60718"
	for name, c := range map[string]struct {
		file []byte
		code Code
	}{
		"empty":                           {nil, ErrMalformed},
		"text":                            {[]byte("공인인증서"), ErrMalformed},
		"cut off":                         {unhex(t, a)[:100], ErrMalformed},
		"trailing byte":                   {append(unhex(t, a), 0), ErrMalformed},
		"over 16 KiB":                     {make([]byte, MaxKeyFile+1), ErrTooLarge},
		"over 1 MB":                       {make([]byte, MaxFile+1), ErrTooLarge},
		"length not minimal":              {edit(t, a, "3081df301a", "308200df301a"), ErrMalformed},
		"indefinite length":               {append(edit(t, a, "3081df301a", "3080301a"), 0, 0), ErrMalformed},
		"iterations 0":                    {edit(t, a, "300e"+salt+"02020800", "300e"+salt+"02020000"), ErrMalformed},
		"iterations 0, minimal":           {resize(t, a, salt+"02020800", salt+"020100"), ErrMalformed},
		"iterations negative":             {edit(t, a, "02020800", "02028800"), ErrMalformed},
		"iterations 100,001":              {resize(t, a, "02020800", "02030186a1"), ErrTooLarge},
		"iterations 2^31":                 {resize(t, a, "02020800", "02050080000000"), ErrTooLarge},
		"iterations 2^200":                {resize(t, a, "02020800", "021a"+"01"+strings.Repeat("00", 25)), ErrTooLarge},
		"iterations no integer":           {edit(t, a, "02020800", "04020800"), ErrMalformed},
		"empty salt":                      {resize(t, a, salt, "0400"), ErrMalformed},
		"salt of 65":                      {resize(t, a, salt, "0441"+strings.Repeat("aa", 65)), ErrTooLarge},
		"unknown scheme":                  {edit(t, a, "2a831a8c9a44010f", "2a831a8c9a44010e"), ErrUnsupported},
		"ciphertext not of blocks":        {resize(t, a, "0481c0633522", "0481bf3522"), ErrMalformed},
		"no ciphertext":                   {unhex(t, "301e301a06082a831a8c9a44010f300e0408a1b2c3d4e5f60718020208000400"), ErrMalformed},
		"key length contradicts cipher":   {edit(t, d, "02020800020110", "02020800020120"), ErrMalformed},
		"unknown pseudorandom function":   {edit(t, d, "2a864886f70d0209", "2a864886f70d0206"), ErrUnsupported},
		"unknown derivation":              {edit(t, c, "2a864886f70d01050c", "2a864886f70d01050e"), ErrUnsupported},
		"unknown cipher":                  {edit(t, c, "2a831a8c9a440104", "2a831a8c9a440103"), ErrUnsupported},
		"IV of 15":                        {resize(t, c, "0410f0", "040f"), ErrMalformed},
		"IV absent":                       {resize(t, c, "0410f0e1d2c3b4a5968778695a4b3c2d1e0f", ""), ErrMalformed},
		"PBE parameters with something":   {resize(t, a, "02020800", "020208000500"), ErrMalformed},
		"PBES2 parameters with something": {resize(t, c, "0410f0e1d2c3b4a5968778695a4b3c2d1e0f", "0410f0e1d2c3b4a5968778695a4b3c2d1e0f0500"), ErrMalformed},
		"in clear":                        {unhex(t, fixturePKCS8), ErrMalformed},
	} {
		_, err := ParseEncryptedKey(c.file)
		wantCode(t, name, err, c.code)
	}
}

// resize replaces text in a hex fixture and mends every length around it.
func resize(t testing.TB, fixture, from, to string) []byte {
	t.Helper()
	at := strings.Index(fixture, from)
	if at < 0 || at%2 != 0 || strings.Count(fixture, from) != 1 {
		t.Fatalf("%q is not there, or not once", from)
	}
	out, ok := rebuild(unhex(t, fixture), at/2, len(from)/2, unhex(t, to))
	if !ok {
		t.Fatalf("%q is not a whole part", from)
	}
	return out
}

// rebuild replaces data[at:at+n] and writes the values around it anew.
func rebuild(data []byte, at, n int, by []byte) ([]byte, bool) {
	var out []byte
	for offset := 0; offset < len(data); {
		tag, body, rest, problem := header(data[offset:])
		if problem != "" {
			return nil, false
		}
		end := len(data) - len(rest)
		start := end - len(body)
		switch {
		case at >= start && at+n <= end && tag&0x20 != 0: // inside
			inner, ok := rebuild(body, at-start, n, by)
			if !ok {
				return nil, false
			}
			out = append(out, value(tag, inner)...)
			offset = end
		case at == offset && at+n >= end, at == offset: // from here on
			out = append(append(out, data[offset:at]...), by...)
			return append(out, data[at+n:]...), true
		default:
			out = append(out, data[offset:end]...)
			offset = end
		}
	}
	return out, true
}

// value encodes one value.
func value(tag byte, body []byte) []byte {
	head := []byte{tag, byte(len(body))}
	switch {
	case len(body) > 0xFF:
		head = []byte{tag, 0x82, byte(len(body) >> 8), byte(len(body))}
	case len(body) > 0x7F:
		head = []byte{tag, 0x81, byte(len(body))}
	}
	return append(head, body...)
}

func TestParsePKCS8Refuses(t *testing.T) {
	t.Parallel()
	r := "3025060a2a831a8c9a440a0101033117031500" + fixtureR
	for name, c := range map[string]struct {
		file []byte
		code Code
	}{
		"empty":                 {nil, ErrMalformed},
		"trailing byte":         {append(unhex(t, fixturePKCS8), 0), ErrMalformed},
		"version 1":             {edit(t, fixturePKCS8, "3081b0020100", "3081b0020101"), ErrUnsupported},
		"two R attributes":      {resize(t, fixturePKCS8, r, r+r), ErrMalformed},
		"two values of R":       {resize(t, fixturePKCS8, "031500"+fixtureR, "031500"+fixtureR+"031500"+fixtureR), ErrMalformed},
		"no value of R":         {resize(t, fixturePKCS8, "031500"+fixtureR, ""), ErrMalformed},
		"R of 19 bytes":         {resize(t, fixturePKCS8, "031500"+fixtureR, "031400"+fixtureR[2:]), ErrMalformed},
		"R of 21 bytes":         {resize(t, fixturePKCS8, "031500"+fixtureR, "031600"+fixtureR+"01"), ErrMalformed},
		"R with unused bits":    {resize(t, fixturePKCS8, "031500"+fixtureR, "031504"+fixtureR[:38]+"10"), ErrMalformed},
		"R as an octet string":  {resize(t, fixturePKCS8, "031500"+fixtureR, "0414"+fixtureR), ErrMalformed},
		"unknown algorithm":     {edit(t, fixturePKCS8, "2a8648ce3d0201", "2a8648ce3d0202"), ErrMalformed},
		"trailing byte inside":  {resize(t, fixturePKCS8, "046d306b", "046e306b"), ErrMalformed},
		"something after":       {resize(t, fixturePKCS8, "a0273025", "a1273025"), ErrMalformed},
		"RSA key of 16384 bits": {hugeRSA(), ErrTooLarge},
	} {
		_, err := ParsePKCS8(c.file)
		wantCode(t, name, err, c.code)
	}
}

// hugeRSA is an RSA key whose modulus is far too long; nobody should work on it.
func hugeRSA() []byte {
	modulus := append([]byte{0}, bytes.Repeat([]byte{0xFF}, 2048)...)
	key := append([]byte{2, 1, 0}, value(2, modulus)...)
	for range 7 {
		key = append(key, 2, 1, 3)
	}
	body := append([]byte{2, 1, 0, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0}, value(4, value(0x30, key))...)
	return value(0x30, body)
}

// A flipped byte of ciphertext damages two blocks. Where the beginning is whole, the password is known to be
// right, and the file is said to be broken, unless R was hit: only a VID tells about that.
func TestFlippedCiphertext(t *testing.T) {
	t.Parallel()
	file := unhex(t, keyFixtures[0].file)
	start := len(file) - 192
	for i := start; i < len(file); i++ {
		broken := bytes.Clone(file)
		broken[i] ^= 0x01
		k, err := ParsePrivateKey(broken, []byte(fixturePassword))
		switch {
		case i < start+16:
			wantCode(t, "first block", err, ErrPassword)
		case err == nil:
			if same := k.PKCS8(); hex.EncodeToString(same[:157]) != fixturePKCS8[:2*157] || hex.EncodeToString(k.R) == fixtureR {
				t.Errorf("byte %d: opened, with something else than R changed", i-start)
			}
		default:
			wantCode(t, "later block", err, ErrMalformed)
		}
	}
}

func TestKeyDerivation(t *testing.T) {
	t.Parallel()
	salt := unhex(t, "a1b2c3d4e5f60718")
	if got := hex.EncodeToString(pbkdf1([]byte(fixturePassword), salt, 2048)); got != "84bb1e8ba1de1269e7ec704661d5c074c40a8cca" {
		t.Errorf("PBKDF1: %s", got)
	}
	for _, c := range []struct {
		hash crypto.Hash
		want string
	}{
		{crypto.SHA1, "44b2e334d2a3432c06673389e407e298"},
		{crypto.SHA256, "97295e7603ad373a69696a184abd25dddfc36cf81c442fc1fef8f051282458c8"},
	} {
		if got := hex.EncodeToString(pbkdf2(c.hash, []byte(fixturePassword), salt, 2048, len(c.want)/2)); got != c.want {
			t.Errorf("PBKDF2 with %v: %s", c.hash, got)
		}
	}
	// RFC 6070.
	if got := hex.EncodeToString(pbkdf2(crypto.SHA1, []byte("passwordPASSWORDpassword"), []byte("saltSALTsaltSALTsaltSALTsaltSALTsalt"), 4096, 25)); got != "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038" {
		t.Errorf("PBKDF2, RFC 6070: %s", got)
	}
	for h, f := range map[crypto.Hash]func() hash.Hash{crypto.SHA1: sha1.New, crypto.SHA256: sha256.New, crypto.SHA384: sha512.New384, crypto.SHA512: sha512.New} {
		want, err := stdpbkdf2.Key(f, "비밀번호", salt, 3, 150)
		if err != nil {
			t.Fatal(err)
		}
		if got := pbkdf2(h, []byte("비밀번호"), salt, 3, 150); !bytes.Equal(got, want) {
			t.Errorf("PBKDF2 with %v differs from the standard library's", h)
		}
	}
}

func TestUnpad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want int
	}{
		{"30303030303030303030303030303001", 15},
		{"30303030303030303030303030300202", 14},
		{"10101010101010101010101010101010", 0},
		{"30303030303030303030303030303000", -1}, // 00
		{"11111111111111111111111111111111", -1}, // more than a block
		{"30303030303030303030303030300102", -1}, // not all equal
		{"303030303030303030303030303030ff", -1},
	} {
		if got := unpad(unhex(t, c.text), 16); got != c.want {
			t.Errorf("%s: %d, want %d", c.text, got, c.want)
		}
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	k, err := ParsePrivateKey(unhex(t, keyFixtures[0].file), []byte(fixturePassword))
	if err != nil {
		t.Fatal(err)
	}
	r, text := k.R, k.pkcs8
	k.Wipe()
	if !bytes.Equal(r, make([]byte, len(r))) || !bytes.Equal(text, make([]byte, len(text))) || k.Key != nil || k.R != nil {
		t.Error("something is left")
	}
	_, err = k.Marshal(Encryption{}, []byte("a"))
	wantCode(t, "a wiped key", err, ErrInput)
	k.Wipe() // twice does no harm
}
