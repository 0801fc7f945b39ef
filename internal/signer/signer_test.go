package signer

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const (
	personalBank  = "1.2.410.200005.1.1.4"
	personal      = "1.2.410.200004.5.2.1.2"
	corporate     = "1.2.410.200004.5.2.1.1"
	card          = "1.2.410.200005.1.1.6.2"
	password      = "비밀 Pass1!"
	number        = "9501121234567"
	wholeContent  = "anyid-login;v=1;nonce=n1"
	ucpidContent  = "\x30\x03\x02\x01\x02"
	otherPassword = "pass1!"
)

var taken = []string{personalBank, personal}

// enroll gives somebody a certificate.
func enroll(t testing.TB, pki *npkitest.PKI, ca string, a npkitest.Applicant) *npkitest.Holder {
	t.Helper()
	authority, err := pki.CA(ca, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	h, err := authority.Enroll(a)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hong(policy string) npkitest.Applicant {
	return npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: number, Policy: policy}
}

// folder are a holder's files, in a folder of that name.
func folder(t testing.TB, name string, h *npkitest.Holder) []File {
	t.Helper()
	data, err := h.Files([]byte(password), npki.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	var list []File
	for file, content := range data {
		list = append(list, File{name + file, content})
	}
	slices.SortFunc(list, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// pfx is a file with the holders' pairs.
func pfx(t testing.TB, name string, holders ...*npkitest.Holder) File {
	t.Helper()
	var b npki.Bundle
	for _, h := range holders {
		b.Pairs = append(b.Pairs, npki.Pair{Certificate: h.Certificate, Key: h.Key})
	}
	data, err := b.MarshalPFX(npki.Encryption{}, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return File{name, data}
}

func only(files []File, part string) File {
	return files[slices.IndexFunc(files, func(f File) bool { return strings.Contains(f.Name, part) })]
}

func TestList(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	past := npkitest.New(npkitest.Options{Now: func() time.Time { return time.Now().AddDate(-2, 0, 0) }})
	future := npkitest.New(npkitest.Options{Now: func() time.Time { return time.Now().AddDate(0, 2, 0) }})
	bank := enroll(t, pki, npkitest.Yessign, hong(personalBank))
	pair := folder(t, "NPKI/a/", bank)
	certificate, key := only(pair, "Cert"), only(pair, "Pri")
	authority, err := pki.CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	encipher := hong(personalBank)
	encipher.Encipherment = true
	company := npkitest.Applicant{Name: "주식회사 하늘", Number: "1234567891", Policy: corporate}
	other := func(pki *npkitest.PKI, ca string, a npkitest.Applicant) File {
		f := only(folder(t, "NPKI/b/", enroll(t, pki, ca, a)), "Cert")
		return f
	}
	broken := File{"NPKI/a/signCert.der", certificate.Data[:500]}
	tests := map[string]struct {
		files []File
		want  string // name or file, and reason, of each entry
	}{
		"nothing":            {nil, ""},
		"a pair":             {pair, "홍길동 "},
		"other names":        {[]File{{"x", certificate.Data}, {"y", key.Data}}, "홍길동 "},
		"twice":              {append(folder(t, "copy/", bank), pair...), "홍길동 "},
		"no key":             {[]File{certificate}, "홍길동 no-key"},
		"no certificate":     {[]File{key}, ""},
		"expired":            {[]File{other(past, npkitest.Yessign, hong(personalBank)), key}, "홍길동 expired"},
		"not yet valid":      {[]File{other(future, npkitest.Yessign, hong(personalBank)), key}, "홍길동 not-yet-valid"},
		"a company's":        {[]File{other(pki, npkitest.KICA, company), key}, "주식회사 하늘 corporate"},
		"of another kind":    {[]File{other(pki, npkitest.Yessign, hong(card)), key}, "홍길동 not-accepted"},
		"governmental":       {[]File{other(pki, npkitest.Government, hong("1.2.410.100001.2.2.1")), key}, "홍길동 not-accepted"},
		"for encryption":     {[]File{other(pki, npkitest.Yessign, encipher), key}, ""},
		"an authority's":     {[]File{{"NPKI/ca.der", authority.Certificate.Raw}}, ""},
		"a whole file":       {[]File{pfx(t, "내 인증서.p12", bank)}, "내 인증서.p12 "},
		"broken":             {[]File{broken, {"x.PFX", []byte("no")}, {"x.key", []byte("no")}, {"CaPubs", []byte("no")}}, "signCert.der broken, x.PFX broken"},
		"too large":          {[]File{{"x.der", make([]byte, npki.MaxFile+1)}, {"y.p12", append([]byte("\x30\x84\x00\x10\x00\x00\x02\x01\x03\x30"), make([]byte, npki.MaxFile)...)}}, "x.der broken, y.p12 broken"},
		"usable ones first":  {[]File{other(past, npkitest.Yessign, hong(personalBank)), broken, certificate, key}, "홍길동 , 홍길동 expired, signCert.der broken"},
		"more than are read": {append(make([]File, MaxFiles), pair...), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, e := range List(tt.files, taken, time.Now()) {
				got = append(got, e.Name+e.File+" "+string(e.Reason))
			}
			if text := strings.Join(got, ", "); text != tt.want {
				t.Errorf("got %q, want %q", text, tt.want)
			}
		})
	}
	if list := List(pair, nil, time.Now()); len(list) != 1 || list[0].Reason != NotAccepted {
		t.Errorf("where no policy is taken: %+v", list)
	}
}

func TestListDescribes(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{Now: func() time.Time { return time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC) }})
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	h := enroll(t, pki, npkitest.Yessign, hong(personalBank))
	list := List(folder(t, "", h), taken, now)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	e := list[0]
	want := Entry{
		ID: "0", Name: "홍길동", Issuer: Text{"금융결제원", "Korea Financial Telecommunications and Clearings Institute (KFTC)"},
		Kind: Text{"개인 은행/보험/카드/민원", "banking (person)"}, NotBefore: e.NotBefore, NotAfter: e.NotAfter, Policy: personalBank,
	}
	if e != want || e.NotBefore.Format(time.DateOnly) != "2026-11-23" {
		t.Errorf("%+v", e)
	}
	if e := List(folder(t, "", enroll(t, pki, npkitest.Yessign, hong(card))), taken, now)[0]; e.Kind != (Text{"신용카드", "credit card"}) {
		t.Errorf("%+v", e.Kind)
	}
	// An unknown policy that the site takes, from an authority that is not in the table, without a name of its own.
	government, err := pki.CA(npkitest.Government, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	c, err := government.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "cn", Value: "055홍길동"}}}, PublicKey: &h.Key.Key.(*rsa.PrivateKey).PublicKey, Policies: []string{"1.2.3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	key := only(folder(t, "", h), "Pri")
	e = List([]File{{"x.der", c.Raw}, key}, []string{"1.2.3"}, now)[0]
	if e.Name != "055홍길동" || e.Issuer != (Text{"Government of Korea", "Government of Korea"}) || e.Policy != "1.2.3" || e.Reason != "" || e.Kind != (Text{}) {
		t.Errorf("%+v", e)
	}
}

// request asks for everything.
func request(t testing.TB, recipient *npkitest.Holder) Request {
	t.Helper()
	return Request{
		Content: wholeContent, UCPID: base64.URLEncoding.EncodeToString([]byte(ucpidContent)), Policies: taken,
		Recipient: base64.StdEncoding.EncodeToString(recipient.Certificate.Raw),
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	to := enroll(t, pki, npkitest.KICA, npkitest.Applicant{Name: "정부 통합인증", Policy: corporate, Encipherment: true})
	bank, general := enroll(t, pki, npkitest.Yessign, hong(personalBank)), enroll(t, pki, npkitest.KICA, hong(personal))
	km := hong(personal)
	km.Encipherment = true
	encipher := enroll(t, pki, npkitest.KICA, km)
	kmFiles := folder(t, "a/", encipher)
	tests := map[string]struct {
		files []File
		id    string
		by    *npkitest.Holder
	}{
		"a pair":                       {folder(t, "a/", bank), "0", bank},
		"among pairs":                  {append(folder(t, "a/", bank), folder(t, "b/", general)...), "2", general},
		"beside a pair for encryption": {append(kmFiles, folder(t, "a/", general)...), "2", general},
		// The same folder as seen by another program: composed, decomposed.
		"folders that differ in spelling": {[]File{
			{"cn=홍길동/signCert.der", general.Certificate.Raw}, {"cn=홍길동/signPri.key", only(folder(t, "", general), "Pri").Data},
		}, "0", general},
		"a file":                {[]File{pfx(t, "x.p12", bank)}, "0", bank},
		"a file with two pairs": {[]File{pfx(t, "x.p12", encipher, general)}, "0", general},
		"one of two in a file":  {[]File{pfx(t, "x.p12", bank, general)}, "0.1", general},
		"the other of the two":  {[]File{pfx(t, "x.p12", bank, general)}, "0.0", bank},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := []byte(password)
			now := time.Now()
			a, choice, err := Sign(tt.files, tt.id, secret, request(t, to), now)
			if err != nil || choice != nil {
				t.Fatal(err, choice)
			}
			if !bytes.Equal(secret, make([]byte, len(secret))) {
				t.Error("the password is still there")
			}
			for message, content := range map[string]string{a.Signed: wholeContent, a.UCPID: ucpidContent} {
				data, err := npki.DecodeMessage(message)
				if err != nil {
					t.Fatal(err)
				}
				signed, err := npki.VerifySignedData(data, npki.Want{Content: []byte(content), Attributes: npki.Required})
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(signed.Certificate.Raw, tt.by.Certificate.Raw) || !signed.SigningTime.Equal(now.Truncate(time.Second)) {
					t.Error("another certificate or time")
				}
			}
			m, err := npki.OpenVIDMsg(to.Key.Key.(*rsa.PrivateKey), a.VID)
			if err != nil || len(m.IDN) != 0 || !bytes.Equal(m.R, tt.by.Key.R) {
				t.Errorf("VidMsg: %v", err)
			}
			all := a.Signed + a.UCPID + a.VID
			if strings.Contains(all, hex.EncodeToString(tt.by.Key.R)) || strings.Contains(all, base64.RawURLEncoding.EncodeToString(tt.by.Key.R[:18])) {
				t.Error("R is in the answer")
			}
		})
	}
	t.Run("only what is asked for", func(t *testing.T) {
		t.Parallel()
		a, _, err := Sign(folder(t, "", bank), "0", []byte(password), Request{Content: wholeContent, Policies: taken}, time.Now())
		if err != nil || a.Signed == "" || a.UCPID != "" || a.VID != "" {
			t.Errorf("%+v %v", a, err)
		}
	})
	t.Run("without R", func(t *testing.T) {
		t.Parallel()
		bare, err := npki.NewPrivateKey(bank.Key.Key, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := bare.Marshal(npki.Encryption{}, []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := Sign([]File{{"a", bank.Certificate.Raw}, {"b", data}}, "0", []byte(password), request(t, to), time.Now())
		if err != nil || a.Signed == "" || a.VID != "" {
			t.Errorf("%q %v", a.VID, err)
		}
	})
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		files := []File{pfx(t, "x.p12", bank, encipher, general)}
		a, choice, err := Sign(files, "0", []byte(password), request(t, to), time.Now())
		if !errors.Is(err, Several) || a != (Answer{}) || len(choice) != 2 || choice[0].ID != "0.0" || choice[1].ID != "0.1" || choice[1].Policy != personal {
			t.Errorf("%v %+v", err, choice)
		}
	})
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	pki := npkitest.New(npkitest.Options{})
	past := npkitest.New(npkitest.Options{Now: func() time.Time { return time.Now().AddDate(-2, 0, 0) }})
	to := enroll(t, pki, npkitest.KICA, npkitest.Applicant{Name: "정부 통합인증", Policy: corporate, Encipherment: true})
	bank, general := enroll(t, pki, npkitest.Yessign, hong(personalBank)), enroll(t, pki, npkitest.KICA, hong(personal))
	expired := enroll(t, past, npkitest.Yessign, hong(personalBank))
	company := enroll(t, pki, npkitest.KICA, npkitest.Applicant{Name: "하늘", Number: "1234567891", Policy: corporate})
	km := hong(personal)
	km.Encipherment = true
	encipher := enroll(t, pki, npkitest.KICA, km)
	pair := folder(t, "a/", bank)
	damage := func(f File) File {
		f.Data = append(bytes.Clone(f.Data[:len(f.Data)-30]), make([]byte, 20)...)
		return f
	}
	certificate, key := only(pair, "Cert"), only(pair, "Pri")
	otherKey := File{"a/signPri.key", only(folder(t, "", general), "Pri").Data}
	whole := pfx(t, "x.p12", bank)
	good := request(t, to)
	with := func(change func(*Request)) Request {
		r := good
		change(&r)
		return r
	}
	tests := map[string]struct {
		files    []File
		id       string
		password string
		request  Request
		want     Code
	}{
		"wrong password":               {pair, "0", otherPassword, good, Password},
		"no password":                  {pair, "0", "", good, Password},
		"far too long a password":      {pair, "0", strings.Repeat("x", npki.MaxPassword+1), good, Password},
		"wrong password of a file":     {[]File{whole}, "0", otherPassword, good, Password},
		"damaged key":                  {[]File{certificate, damage(key)}, "0", password, good, Broken},
		"damaged file":                 {[]File{damage(whole)}, "0", password, good, Broken},
		"no certificate file":          {[]File{{"x", []byte("x")}}, "0", password, good, Broken},
		"no key":                       {[]File{certificate}, "0", password, good, NoKey},
		"key of another":               {[]File{certificate, otherKey}, "0", password, good, Mismatch},
		"key of another, and a second": {[]File{certificate, otherKey, damage(File{"a/kmPri.key", key.Data})}, "0", otherPassword, good, Password},
		"expired":                      {folder(t, "", expired), "0", password, good, Expired},
		"expired in a file":            {[]File{pfx(t, "x.p12", expired)}, "0", password, good, Expired},
		"a company's":                  {folder(t, "", company), "0", password, good, Corporate},
		"not taken":                    {pair, "0", password, with(func(r *Request) { r.Policies = []string{personal} }), NotAccepted},
		"for encryption only":          {[]File{pfx(t, "x.p12", encipher)}, "0", password, good, NoCertificate},
		"unknown entry":                {pair, "7", password, good, Failed},
		"entry of no number":           {pair, "x", password, good, Failed},
		"negative entry":               {pair, "-1", password, good, Failed},
		"unknown pair":                 {[]File{whole}, "0.1", password, good, Failed},
		"pair of no number":            {[]File{whole}, "0.x", password, good, Failed},
		"UCPID of no Base64":           {pair, "0", password, with(func(r *Request) { r.UCPID = "!" }), Failed},
		"recipient of no Base64":       {pair, "0", password, with(func(r *Request) { r.Recipient = "!" }), Failed},
		"recipient of no certificate":  {pair, "0", password, with(func(r *Request) { r.Recipient = "MAA=" }), Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := []byte(tt.password)
			a, choice, err := Sign(tt.files, tt.id, secret, tt.request, time.Now())
			if !errors.Is(err, tt.want) || a != (Answer{}) || choice != nil {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if !bytes.Equal(secret, make([]byte, len(secret))) {
				t.Error("the password is still there")
			}
		})
	}
	if text := Password.Error(); text != "signer: password" {
		t.Error(text)
	}
}

func FuzzSign(f *testing.F) {
	pki := npkitest.New(npkitest.Options{})
	h := enroll(f, pki, npkitest.Yessign, hong(personalBank))
	files := folder(f, "a/", h)
	f.Add(files[0].Data, files[1].Data, "0", "x.der")
	f.Add(pfx(f, "", h).Data, []byte{}, "0.0", "x.p12")
	f.Add([]byte("\x30\x05\x02\x01\x03\x30\x00"), []byte("\x30\xff\x02"), "0", "a/b/")
	f.Fuzz(func(t *testing.T, first, second []byte, id, name string) {
		files := []File{{name, first}, {"a/signPri.key", second}}
		r := Request{Content: wholeContent, Policies: taken}
		for _, e := range List(files, taken, time.Now()) {
			if e.File == "" && e.NotAfter.IsZero() {
				t.Fatalf("%+v", e)
			}
		}
		a, _, err := Sign(files, id, []byte(otherPassword), r, time.Now())
		if _, ok := errors.AsType[Code](err); err != nil && !ok {
			t.Fatalf("%v is no Code", err)
		}
		if (err == nil) != (a.Signed != "") {
			t.Fatal(a, err)
		}
	})
}
