package npki

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"
)

// What others got wrong with the files that a person holds. The numbers are those of the project's list of
// traps; the tests of the others lie with signatures, chains and revocation, and trap 20 with VidMsg.

// Trap 5: R is lost by x509.ParsePKCS8PrivateKey and by ordinary PKCS#12 readers.
func TestTrap05RIsKept(t *testing.T) {
	t.Parallel()
	plain := unhex(t, fixturePKCS8)
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		t.Fatal(err)
	}
	dropped, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil || bytes.Contains(dropped, unhex(t, fixtureR)) {
		t.Fatal("the standard library keeps R: this test is of no use any more")
	}
	k, err := ParsePKCS8(plain)
	if err != nil || hex.EncodeToString(k.R) != fixtureR {
		t.Errorf("R %x (%v)", k.R, err)
	}
	file, err := (&Bundle{Keys: []*PrivateKey{k}}).MarshalPFX(Encryption{}, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParsePFX(file, []byte("a"))
	if err != nil || hex.EncodeToString(b.Keys[0].R) != fixtureR {
		t.Errorf("PFX: %v", err)
	}
}

// Trap 6: the IV of scheme A is SHA1(DK[16:20])[0:16], not DK[8:16].
func TestTrap06IVOfSchemeA(t *testing.T) {
	t.Parallel()
	p := pbe{Encryption: Encryption{Scheme: SchemeSEED, Cipher: SEED, Iterations: 2048}, salt: unhex(t, "a1b2c3d4e5f60718")}
	key, iv, err := p.key([]byte(fixturePassword))
	if err != nil || hex.EncodeToString(key) != "84bb1e8ba1de1269e7ec704661d5c074" || hex.EncodeToString(iv) != "f69a79f76cd3acc9e6e9a8cfe08bb1cd" {
		t.Errorf("A: key %x, IV %x (%v)", key, iv, err)
	}
	p.Scheme = SchemeSEEDOld
	key, iv, err = p.key([]byte(fixturePassword))
	if err != nil || hex.EncodeToString(key) != "84bb1e8ba1de1269e7ec704661d5c074" || string(iv) != "0123456789012345" {
		t.Errorf("B: key %x, IV %q (%v)", key, iv, err)
	}
}

// Trap 7: the hash of a VID has absent parameters or NULL; both are right.
func TestTrap07HashParameters(t *testing.T) {
	t.Parallel()
	for name, san := range map[string][]byte{
		"SHA-256, absent": unhex(t, sanSHA256),
		"SHA-256, NULL":   resize(t, sanSHA256, "0609608648016503040201", "06096086480165030402010500"),
		"SHA-1, NULL":     unhex(t, sanSHA1),
		"SHA-1, absent":   resize(t, sanSHA1, "06052b0e03021a0500", "06052b0e03021a"),
	} {
		id, err := ParseIdentity(san)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := id.VID.Verify([]byte("9001011234568"), unhex(t, r1), crypto.SHA1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// issued is a certificate with a subject, policies and a subjectAltName value.
func issued(t testing.TB, subject []byte, policies []string, san []byte) *Certificate {
	t.Helper()
	key, issuer := recipient()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: subject, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, p := range policies {
		id, err := x509.ParseOID(p)
		if err != nil {
			t.Fatal(err)
		}
		template.Policies = append(template.Policies, id)
	}
	if san != nil {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
	}
	data, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// yessignName is a subject as yessign writes it, whose common name is not the holder's name.
func yessignName(t testing.TB) []byte {
	t.Helper()
	return value(0x30, bytes.Join([][]byte{
		rdn(t, country, printableTag, "kr"), rdn(t, organization, utf8Tag, "yessign"), rdn(t, unit, utf8Tag, "personal4IB"),
		rdn(t, unit, utf8Tag, "KDB"), rdn(t, common, utf8Tag, "홍길동(HONG GILDONG)0088046202601019"),
	}, nil))
}

// Trap 11: two policies in one certificate, the first being that of infrastructure.
func TestTrap11TwoPolicies(t *testing.T) {
	t.Parallel()
	c := issued(t, yessignName(t), []string{Infrastructure, "1.2.410.200005.1.1.4"}, nil)
	if p, ok := c.Policy(); !ok || p.OID != "1.2.410.200005.1.1.4" || p.Kind != Bank || p.Holder != Person {
		t.Errorf("%v %+v", ok, p)
	}
	if p, ok := issued(t, yessignName(t), []string{Infrastructure}, nil).Policy(); ok {
		t.Errorf("infrastructure is taken for %s", p.Label())
	}
	if _, ok := issued(t, yessignName(t), nil, nil).Policy(); ok {
		t.Error("a policy came from nowhere")
	}
}

// Trap 12: pkix.Name merges organizational units.
func TestTrap12Units(t *testing.T) {
	t.Parallel()
	c := issued(t, yessignName(t), nil, nil)
	n, err := c.SubjectName()
	if err != nil {
		t.Fatal(err)
	}
	const want = "cn=홍길동(HONG GILDONG)0088046202601019,ou=KDB,ou=personal4IB,o=yessign,c=kr"
	if n.String() != want || n.BankCode() != "0088" {
		t.Errorf("%s, bank %s", n, n.BankCode())
	}
	if c.Subject.String() == want {
		t.Error("pkix.Name keeps units apart: this test is of no use any more")
	}
	if issuer, err := c.IssuerName(); err != nil || issuer.String() != "cn=km,o=Example,c=KR" {
		t.Errorf("issuer %s (%v)", issuer, err)
	}
}

// Trap 14: the check digit of a resident registration number is never a reason to reject.
func TestTrap14CheckDigit(t *testing.T) {
	t.Parallel()
	for d := range 10 {
		number := []byte("010101900000" + string(rune('0'+d)))
		r, err := CheckResident(number, time.Now())
		if err != nil || r.OldCheckDigit != (d == 1) {
			t.Errorf("%d: %+v (%v)", d, r, err)
		}
	}
}

// Trap 15: the century comes from the seventh digit.
func TestTrap15Century(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for digit, year := range map[string]int{"9": 1820, "0": 1820, "1": 1920, "2": 1920, "3": 2020, "4": 2020, "5": 1920, "6": 1920, "7": 2020, "8": 2020} {
		r, err := CheckResident([]byte("200101"+digit+"000000"), now)
		if err != nil || r.Year != year {
			t.Errorf("%s: %d (%v)", digit, r.Year, err)
		}
	}
}

// Trap 22: long notices and huge certificates have limits and crash nothing.
func TestTrap22Sizes(t *testing.T) {
	t.Parallel()
	_, err := ParseCertificate(make([]byte, MaxCertificate+1))
	wantCode(t, "huge", err, ErrTooLarge)
	notice := bytes.Repeat([]byte{0xC7, 0x74}, 200) // BMPString, half the length that RFC 5280 allows, and twice
	for _, n := range []int{1, 2, 40} {
		policy := value(0x30, append(unhex(t, "06092a831a8c9a45010101"), value(0x30,
			value(0x30, append(unhex(t, "06082b06010505070202"), value(0x30, value(30, bytes.Repeat(notice, n)))...)))...))
		key, issuer := recipient()
		data, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), RawSubject: yessignName(t),
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 32}, Critical: true, Value: value(0x30, policy)}},
		}, issuer, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseCertificate(data)
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		if p, ok := c.Policy(); !ok || p.Label() != "개인 범용" {
			t.Errorf("%d: %s", n, p.Label())
		}
	}
}

// Trap 23: a corporation is not a person, and no default lets it log in as one.
func TestTrap23Corporation(t *testing.T) {
	t.Parallel()
	for _, oid := range []string{"1.2.410.200005.1.1.5", "1.2.410.200004.5.2.1.1", "1.2.410.200004.5.1.1.7", "1.2.410.200004.5.4.1.2", "1.2.410.200012.1.1.3"} {
		p, ok := issued(t, yessignName(t), []string{oid}, nil).Policy()
		if !ok || p.Holder != Corporation || p.Kind != General || p.Joint || p.Cloud {
			t.Errorf("%s: %+v", oid, p)
		}
	}
}

// Trap 24: a certificate of the government's own PKI is known for what it is.
func TestTrap24GPKI(t *testing.T) {
	t.Parallel()
	c := issued(t, yessignName(t), []string{"1.2.410.100001.2.2.1"}, nil)
	if p, ok := c.Policy(); ok || Foreign(c.Policies[0].String()) != "GPKI" {
		t.Errorf("taken for %s", p.Label())
	}
}

// Trap 25: the name comes from the subjectAltName, not from the common name.
func TestTrap25RealName(t *testing.T) {
	t.Parallel()
	id, err := issued(t, yessignName(t), nil, unhex(t, sanSHA256)).Identity()
	if err != nil || id.RealName != "홍길동" {
		t.Errorf("%q (%v)", id.RealName, err)
	}
	id, err = issued(t, yessignName(t), nil, unhex(t, sanCA)).Identity()
	if err != nil || id.RealName != "시험인증센터" || id.VID != nil {
		t.Errorf("without a VID: %+v (%v)", id, err)
	}
	id, err = issued(t, yessignName(t), nil, nil).Identity()
	wantCode(t, "no subjectAltName", err, ErrMissing)
	if id.RealName != "" {
		t.Errorf("the name %q came from somewhere else", id.RealName)
	}
}

// Trap 28: a key belongs to a certificate because their keys are one, whatever their folders are called: here
// the files of two people lie in folders whose names differ only by Unicode normal form.
func TestTrap28MatchedByCertificate(t *testing.T) {
	t.Parallel()
	mine := pair(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewPrivateKey(rsaKey, unhex(t, r1))
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]*PrivateKey{
		"cn=\uac00,o=yessign,c=kr":       other,    // 가, one letter
		"cn=\u1100\u1161,o=yessign,c=kr": mine.Key, // 가, two halves
	}
	found := ""
	for folder, key := range folders {
		if key.Matches(mine.Certificate.Certificate) == nil {
			found += folder
		}
	}
	if found != "cn=\u1100\u1161,o=yessign,c=kr" {
		t.Errorf("found %+q", found)
	}
}

// Trap 29: C=kr and C=KR are one country, and case tells nobody apart.
func TestTrap29CaseOfNames(t *testing.T) {
	t.Parallel()
	n := func(c, o string, tag byte) Name {
		return name(t, rdn(t, country, printableTag, c), rdn(t, organization, tag, o))
	}
	lower, upper := n("kr", "yessign", utf8Tag), n("KR", "YesSign", printableTag)
	if !lower.Equal(upper) || !upper.Equal(lower) {
		t.Error("kr is not KR")
	}
	for _, other := range []Name{n("kr", "KICA", utf8Tag), n("kr", "yessign2", utf8Tag), lower[:1], nil, {lower[1], lower[0]},
		name(t, rdn(t, country, printableTag, "kr"), rdn(t, unit, utf8Tag, "yessign"))} {
		if lower.Equal(other) || other.Equal(lower) {
			t.Errorf("%s is taken for %s", other, lower)
		}
	}
	if !n("kr", " yes  sign ", utf8Tag).Equal(n("kr", "yes sign", utf8Tag)) {
		t.Error("spaces matter")
	}
	a, b := name(t, rdn(t, common, t61Tag, "\xc8\xab")), name(t, rdn(t, common, t61Tag, "\xb1\xe6"))
	if a.Equal(b) || !a.Equal(name(t, rdn(t, common, t61Tag, "\xc8\xab"))) {
		t.Error("values that are not text are not compared")
	}
}

// Trap 31: a policy is matched by its whole identifier.
func TestTrap31PolicyByPrefix(t *testing.T) {
	t.Parallel()
	joint, ok := PolicyByOID("1.2.410.200005.1.1.1")
	cloud, found := PolicyByOID("1.2.410.200005.1.1.1.10")
	if !ok || !found || !joint.Joint || joint.Cloud || !cloud.Cloud || cloud.Joint {
		t.Errorf("%+v %+v", joint, cloud)
	}
	for _, p := range Policies() {
		for _, more := range []string{".99", "9"} {
			if q, ok := PolicyByOID(p.OID + more); ok && q.OID != p.OID+more {
				t.Errorf("%s is taken for %s", p.OID+more, q.OID)
			}
		}
	}
}

// Trap 33: R begins and ends with zero bytes where it likes, and has 20 bytes.
func TestTrap33ZeroBytesOfR(t *testing.T) {
	t.Parallel()
	p := pair(t) // with R2
	if hex.EncodeToString(p.Key.R) != r2 {
		t.Fatalf("R %x", p.Key.R)
	}
	file, err := p.Key.Marshal(Encryption{}, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePrivateKey(file, []byte("a"))
	if err != nil || hex.EncodeToString(k.R) != r2 {
		t.Errorf("R %x (%v)", k.R, err)
	}
	v := VID{crypto.SHA256, unhex(t, vidVectors[3].vid)}
	if err := v.Verify([]byte("0101019000007"), k.R); err != nil {
		t.Error(err)
	}
	wantCode(t, "trimmed", v.Verify([]byte("0101019000007"), bytes.Trim(k.R, "\x00")), ErrInput)
}

// Trap 38: a wrong password under which the padding happens to be right looks like any other.
func TestTrap38WrongPasswordWithRightPadding(t *testing.T) {
	t.Parallel()
	e, err := ParseEncryptedKey(resize(t, keyFixtures[0].file, "02020800", "020101")) // one iteration
	if err != nil {
		t.Fatal(err)
	}
	seen, want := 0, ""
	for i := range 3000 {
		password := []byte("wrong" + strings.Repeat("!", i%50) + string(rune('a'+i/50)))
		_, length, err := e.pbe.open(password, e.data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Decrypt(password)
		if want == "" {
			want = err.Error()
		}
		if !errors.Is(err, ErrPassword) || errors.Is(err, ErrMalformed) || err.Error() != want {
			t.Errorf("%s: %v", password, err)
		}
		if length >= 0 {
			seen++
		}
	}
	if seen == 0 {
		t.Error("no padding was right by chance")
	}
}
