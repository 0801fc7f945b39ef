package npki

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"testing"
	"time"
)

// typed fails unless an error is one of this package's.
func typed(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		t.Errorf("%T %v", err, err)
	}
}

func FuzzParseEncryptedKey(f *testing.F) {
	for _, k := range keyFixtures {
		f.Add(unhex(f, k.file))
	}
	f.Add(resize(f, keyFixtures[0].file, "02020800", "02030186a1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEncryptedKey(data)
		typed(t, err)
		if err != nil || e.pbe.Iterations > 3000 {
			return
		}
		k, err := e.Decrypt([]byte(fixturePassword))
		typed(t, err)
		if err == nil && !bytes.Contains(k.PKCS8(), k.R) {
			t.Error("R came from nowhere")
		}
	})
}

func FuzzParsePKCS8(f *testing.F) {
	f.Add(unhex(f, fixturePKCS8))
	f.Add(hugeRSA())
	f.Add(pair(f).Key.PKCS8())
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParsePKCS8(data)
		typed(t, err)
		if err != nil {
			return
		}
		if !bytes.Equal(k.PKCS8(), data) || k.R != nil && len(k.R) != RSize {
			t.Errorf("%x would be written as %x", data, k.PKCS8())
		}
		again, err := NewPrivateKey(k.Key, k.R)
		if err != nil || !bytes.Equal(again.R, k.R) {
			t.Errorf("cannot be made anew: %v", err)
		}
	})
}

func FuzzParsePFX(f *testing.F) {
	for _, e := range []Encryption{{Iterations: 1}, {Scheme: SchemePBES2, Iterations: 1}, {Scheme: SchemePBES2, Cipher: SEED, Iterations: 1}} {
		file, err := (&Bundle{Pairs: []Pair{pair(f)}}).MarshalPFX(e, []byte("a"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParsePFX(data, []byte("a"))
		typed(t, err)
		// A mutation hardly ever keeps the MAC, so what lies below it is tried as well.
		p := &pfx{password: []byte("a")}
		typed(t, p.readAuthSafe(data))
		if err != nil {
			return
		}
		if len(b.Pairs)+len(b.Keys)+len(b.Others) > maxBags {
			t.Error("more bags than allowed")
		}
	})
}

func FuzzParsePEM(f *testing.F) {
	text, err := (&Bundle{Pairs: []Pair{pair(f)}}).MarshalPEM(Encryption{Iterations: 1}, []byte("a"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: unhex(f, fixturePKCS8)}))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := ParsePEM(text, []byte("a"))
		typed(t, err)
	})
}

func FuzzParseCertificate(f *testing.F) {
	_, certificate := recipient()
	f.Add(certificate.Raw)
	f.Add(issued(f, yessignName(f), []string{Infrastructure, "1.2.410.200005.1.1.4"}, unhex(f, sanSHA256)).Raw)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCertificate(data)
		typed(t, err)
		if err != nil {
			return
		}
		_, err = c.Identity()
		typed(t, err)
		_, err = c.SubjectName()
		typed(t, err)
		_, err = c.IssuerName()
		typed(t, err)
		c.Policy()
		if !bytes.Equal(c.Raw, data) {
			t.Error("not the whole input")
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	for _, san := range []string{sanSHA256, sanSHA1, sanCA, "3007820561622e6b72"} {
		f.Add(unhex(f, san))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := ParseIdentity(data)
		typed(t, err)
		if err != nil {
			return
		}
		again, err := id.Marshal()
		if errors.Is(err, ErrInput) { // a BMPString may be longer as UTF-8
			return
		}
		back, err := ParseIdentity(again)
		if err != nil || back.RealName != id.RealName || (back.VID == nil) != (id.VID == nil) ||
			id.VID != nil && !bytes.Equal(back.VID.Value, id.VID.Value) {
			t.Errorf("%x became %x (%v)", data, again, err)
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add(yessignName(f))
	f.Add(unhex(f, "3000"))
	f.Add(value(0x30, rdn(f, common, t61Tag, "\xc8\xab")))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseName(data)
		typed(t, err)
		if err != nil {
			return
		}
		_ = n.String()
		n.BankCode()
		if same := append(Name(nil), n...); !n.Equal(same) {
			t.Errorf("%s is not itself", n)
		}
		again, err := n.Marshal()
		if err != nil { // a type without a name
			return
		}
		back, err := ParseName(again)
		if err != nil || back.String() != n.String() && !back.Equal(n) {
			t.Errorf("%s became %s (%v)", n, back, err)
		}
	})
}

func FuzzOpenVIDMsg(f *testing.F) {
	key, _ := recipient()
	m, err := VIDMsg{R: unhex(f, r1)}.Seal(nil, &key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m)
	f.Add("")
	f.Fuzz(func(t *testing.T, message string) {
		_, err := OpenVIDMsg(key, message)
		if err != nil && !errors.Is(err, ErrDecrypt) {
			t.Error(err)
		}
	})
}

func FuzzReadHashContent(f *testing.F) {
	for _, idn := range []string{"", "1234567891", "9001011234568"} {
		content, err := hashContent([]byte(idn), unhex(f, r1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, ok := readHashContent(data)
		if !ok {
			return
		}
		if again, err := hashContent(m.IDN, m.R); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x would be written as %x", data, again)
		}
	})
}

func FuzzOpenEnvelope(f *testing.F) {
	key, certificate := recipient()
	f.Add(envelope(f, unhex(f, "308006"), nil))
	f.Add(envelope(f, certificate.RawIssuer, certificate.SerialNumber.Bytes()))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := OpenEnvelope(data, certificate, key)
		typed(t, err)
	})
}

// envelope builds an EnvelopedData that does not open.
func envelope(t testing.TB, issuer, serial []byte) []byte {
	t.Helper()
	recipient := value(0x30, bytes.Join([][]byte{
		{2, 1, 0}, value(0x30, append(bytes.Clone(issuer), value(2, serial)...)), unhex(t, "300d06092a864886f70d0101010500"), value(4, bytes.Repeat([]byte{1}, 256)),
	}, nil))
	content := value(0x30, bytes.Join([][]byte{
		unhex(t, "06092a864886f70d010701"), unhex(t, "301c06082a831a8c9a4401040410f0e1d2c3b4a5968778695a4b3c2d1e0f"), value(0x80, make([]byte, 32)),
	}, nil))
	body := value(0x30, bytes.Join([][]byte{{2, 1, 0}, value(0x31, recipient), content}, nil))
	return value(0x30, append(unhex(t, "06092a864886f70d010703"), value(0xa0, body)...))
}

func FuzzCheckResident(f *testing.F) {
	for _, n := range []string{"9001011234568", "0101019000007", "0002293000000", ""} {
		f.Add([]byte(n))
	}
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, number []byte) {
		r, err := CheckResident(number, now)
		typed(t, err)
		if err == nil && (r.Year < 1800 || r.Year > 2026 || r.Day < 1 || r.Day > 31) {
			t.Errorf("%q: %+v", number, r)
		}
		typed(t, CheckBusiness(number))
		typed(t, CheckCorporation(number))
	})
}

// Opening a file is what a person waits for; most of it is the checking of the RSA key.
func BenchmarkParsePrivateKey(b *testing.B) {
	p := pair(b)
	for name, e := range map[string]Encryption{
		"SEED": {}, "PBES2-SEED-SHA256": {Scheme: SchemePBES2, Cipher: SEED, Iterations: 2048}, "PBES2-AES256-SHA256": {Scheme: SchemePBES2},
	} {
		file, err := p.Key.Marshal(e, []byte(fixturePassword))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := ParsePrivateKey(file, []byte(fixturePassword)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParsePFX(b *testing.B) {
	file, err := (&Bundle{Pairs: []Pair{pair(b)}}).MarshalPFX(Encryption{}, []byte("a"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ParsePFX(file, []byte("a")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyVID(b *testing.B) {
	value, err := hex.DecodeString(vidVectors[1].vid)
	if err != nil {
		b.Fatal(err)
	}
	v, r := VID{vidVectors[1].hash, value}, unhex(b, r1)
	for b.Loop() {
		if err := v.Verify([]byte("9001011234568"), r); err != nil {
			b.Fatal(err)
		}
	}
}
