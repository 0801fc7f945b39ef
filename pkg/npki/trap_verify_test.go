package npki_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// The traps into which verifiers of Korean certificates fall, one test each. Those of OCSP and CRLs are in
// package revocation.

// A certificate that has expired does not become valid because its holder, or its thief, says that the
// signature was made earlier.
func TestTrap01ChainJudgedAtSigningTime(t *testing.T) {
	t.Parallel()
	w := shared()
	message := sign(t, w.person, login, npki.SignOptions{Time: noon})
	signed, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)})
	if err != nil || !signed.SigningTime.Equal(noon) {
		t.Fatal(signed, err)
	}
	_, err = w.anchors.VerifyChain(signed.Certificate, with(loginChain, func(o *npki.ChainOptions) { o.Time = noon.AddDate(2, 0, 0) }))
	wantCode(t, err, npki.ErrExpired)
}

// A signature of a text that is always the same could be used again for ever.
func TestTrap02ConstantText(t *testing.T) {
	t.Parallel()
	constant := string(unhexed(t, "b0f8b5bfc0cec1f5bcadb7ceb1d7c0ce")) // 공동인증서로그인 in EUC-KR
	message := sign(t, shared().person, constant, npki.SignOptions{NoAttributes: true, RSAEncryption: true})
	_, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)})
	wantCode(t, err, npki.ErrContent)
}

func TestTrap08PSSAndBareSignedData(t *testing.T) {
	t.Parallel()
	message := sign(t, shared().person, login, npki.SignOptions{PSS: true, Bare: true})
	if _, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login), AllowBare: true}); err != nil {
		t.Error(err)
	}
}

func TestTrap09DigestParametersAbsentOrNull(t *testing.T) {
	t.Parallel()
	w := shared()
	tree, err := dertree.Parse(sign(t, w.person, login, npki.SignOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	for name, parameters := range map[string][]*dertree.Node{"absent": nil, "NULL": {{Tag: 5}}} {
		root := tree.Clone()
		for _, path := range [][]int{{1, 0, 1, 0}, {1, 0, 4, 0, 2}} {
			n := root.At(path...)
			n.Children = append(n.Children[:1], parameters...)
		}
		if _, err := npki.VerifySignedData(root.Bytes(), npki.Want{Content: []byte(login)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	root := tree.Clone()
	n := root.At(1, 0, 4, 0, 2)
	n.Children = append(n.Children[:1], &dertree.Node{Tag: 4})
	_, err = npki.VerifySignedData(root.Bytes(), npki.Want{Content: []byte(login)})
	wantCode(t, err, npki.ErrUnsupported)
}

func TestTrap10RSAEncryptionAsSignatureAlgorithm(t *testing.T) {
	t.Parallel()
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		message := sign(t, shared().person, login, npki.SignOptions{RSAEncryption: true, Hash: hash})
		if signed, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)}); err != nil || signed.Hash != hash {
			t.Errorf("%v: %v", hash, err)
		}
	}
}

func TestTrap11TwoPoliciesInChain(t *testing.T) {
	t.Parallel()
	w := shared()
	key := &w.person.Key.Key.(*rsa.PrivateKey).PublicKey
	for name, c := range map[string]struct {
		policies []string
		accepted []string
		code     npki.Code
	}{
		"infrastructure first": {[]string{npki.Infrastructure, personBank}, loginChain.Policies, ""},
		"infrastructure last":  {[]string{personBank, npki.Infrastructure}, loginChain.Policies, ""},
		"infrastructure alone": {[]string{npki.Infrastructure}, loginChain.Policies, npki.ErrPolicy},
		"alone, and listed":    {[]string{npki.Infrastructure}, []string{npki.Infrastructure, personBank}, npki.ErrPolicy},
	} {
		certificate, err := w.yessign.Sign(npkitest.Template{Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: key, Policies: c.policies})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := w.anchors.VerifyChain(certificate, with(loginChain, func(o *npki.ChainOptions) { o.Policies = c.accepted }))
		if e, ok := errorsAs(err); c.code == "" && (err != nil || chain.Policy.OID != personBank) || c.code != "" && (!ok || e.Code != c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Serial numbers repeat: whose certificate it is, only issuer and serial number say together.
func TestTrap13SerialNotUnique(t *testing.T) {
	t.Parallel()
	w := shared()
	kica, err := w.pki.CA(npkitest.KICA, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := kica.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "cn", Value: "x"}}}, Serial: w.person.Certificate.SerialNumber,
		PublicKey: &w.person.Key.Key.(*rsa.PrivateKey).PublicKey, Policies: []string{kicaGeneral},
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(npki.SubjectKey(twin.Certificate), npki.SubjectKey(w.person.Certificate.Certificate)) {
		t.Error("one key for two certificates")
	}
	// In a message, the signer's certificate is found by both.
	tree, err := dertree.Parse(sign(t, w.person, login, npki.SignOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	other, err := dertree.Parse(twin.Raw)
	if err != nil {
		t.Fatal(err)
	}
	tree.At(1, 0, 3).Children = []*dertree.Node{other}
	_, err = npki.VerifySignedData(tree.Bytes(), npki.Want{Content: []byte(login)})
	wantCode(t, err, npki.ErrMissing)
}

func TestTrap16PlusTurnedIntoSpace(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString([]byte{0x30, 0x0F, 0xBE, 0xFB})
	if !strings.Contains(text, "+") {
		t.Fatal(text)
	}
	_, err := npki.DecodeMessage(strings.ReplaceAll(text, "+", " "))
	wantCode(t, err, npki.ErrMalformed)
	if err == nil || !strings.Contains(err.Error(), "plus sign") {
		t.Errorf("not a clear error: %v", err)
	}
}

func TestTrap17TestRootsInProduction(t *testing.T) {
	t.Parallel()
	roots, authorities, err := shared().pki.Certificates()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		_, err := npki.NewAnchors([]*x509.Certificate{root}, authorities)
		wantCode(t, err, npki.ErrTestRoot)
	}
}

// The hierarchy of 2026: a root and CAs of RSA-3072, the CAs without a path length.
func TestTrap18RSA3072(t *testing.T) {
	t.Parallel()
	w := shared()
	ca, err := w.pki.CA(npkitest.SignKorea, npkitest.RSA3072)
	if err != nil {
		t.Fatal(err)
	}
	person := enroll(t, ca, npkitest.Applicant{Name: "홍길동", Number: residentNumber, Policy: "1.2.410.200004.5.1.1.5"})
	signed, err := npki.VerifySignedData(sign(t, person, login, npki.SignOptions{}), npki.Want{Content: []byte(login)})
	if err != nil {
		t.Fatal(err)
	}
	options := with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{"1.2.410.200004.5.1.1.5"} })
	if _, err := w.anchors.VerifyChain(signed.Certificate, options); err != nil {
		t.Error(err)
	}
	only, err := npki.NewTestAnchors([]*x509.Certificate{w.yessign.Root().Certificate}, []*x509.Certificate{w.yessign.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	_, err = only.VerifyChain(signed.Certificate, options)
	wantCode(t, err, npki.ErrUntrusted)
}

// The signature of a message with attributes is also the signature of a message without them whose content
// is the attributes, and the reverse (RFC 5652 §11).
func TestTrap19AttributesOrContent(t *testing.T) {
	t.Parallel()
	w := shared()
	with, err := dertree.Parse(sign(t, w.person, login, npki.SignOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	attributes := with.At(1, 0, 4, 0, 3).Clone()
	attributes.Tag = 0x31
	without := with.Clone()
	without.Replace([]int{1, 0, 4, 0, 3})
	without.At(1, 0, 2, 1, 0).Body = attributes.Bytes()
	for name, want := range map[string]npki.Want{"wanted": {Content: attributes.Bytes()}, "any": {AnyContent: true}} {
		_, err := npki.VerifySignedData(without.Bytes(), want)
		if e, ok := errorsAs(err); !ok || e.Code != npki.ErrSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The reverse: a person was made to sign the attributes as content.
	key := w.person.Key.Key.(*rsa.PrivateKey)
	sum := sha256.Sum256(attributes.Bytes())
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(signature, with.At(1, 0, 4, 0, 5).Body) {
		t.Fatal("the two signatures differ")
	}
	_, err = npki.VerifySignedData(with.Bytes(), npki.Want{Content: []byte(login), Attributes: npki.Forbidden})
	wantCode(t, err, npki.ErrUnsupported)
}

func TestTrap22HugeCertificates(t *testing.T) {
	t.Parallel()
	w := shared()
	huge, err := w.yessign.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: &w.person.Key.Key.(*rsa.PrivateKey).PublicKey, Policies: []string{personBank},
		Extra: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 40<<10)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &npkitest.Holder{Authority: w.yessign, Certificate: huge, Key: w.person.Key}
	message := sign(t, h, login, npki.SignOptions{})
	if _, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)}); err != nil {
		t.Errorf("42 KB: %v", err)
	}
	_, err = npki.VerifySignedData(append(message, make([]byte, 30<<10)...), npki.Want{Content: []byte(login)})
	wantCode(t, err, npki.ErrTooLarge)
	_, err = npki.VerifySignedData(make([]byte, npki.MaxFile+1), npki.Want{Content: []byte(login), MaxSize: 1 << 30})
	wantCode(t, err, npki.ErrTooLarge)
}

func TestTrap23CompanyAsPerson(t *testing.T) {
	t.Parallel()
	w := shared()
	company := enroll(t, w.yessign, npkitest.Applicant{Name: "(주)보기", Number: "1234567891", Policy: corporateBank})
	_, err := w.anchors.VerifyChain(company.Certificate, with(loginChain, func(o *npki.ChainOptions) {
		o.Policies = append([]string{corporateBank}, o.Policies...)
	}))
	wantCode(t, err, npki.ErrPolicy)
}

func TestTrap24GovernmentCertificate(t *testing.T) {
	t.Parallel()
	w := shared()
	government, err := w.pki.CA(npkitest.Government, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	official := enroll(t, government, npkitest.Applicant{Name: "홍길동", Policy: "1.2.410.100001.2.2.1"})
	_, err = w.anchors.VerifyChain(official.Certificate, loginChain)
	wantCode(t, err, npki.ErrPolicy)
	// Not even if somebody has listed the policy, or trusts the root.
	all, err := npki.NewTestAnchors(
		[]*x509.Certificate{government.Root().Certificate, w.yessign.Root().Certificate},
		[]*x509.Certificate{government.Certificate, w.yessign.Certificate},
	)
	if err != nil {
		t.Fatal(err)
	}
	_, err = all.VerifyChain(official.Certificate, with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{"1.2.410.100001.2.2.1"} }))
	wantCode(t, err, npki.ErrPolicy)
}

func TestTrap26UCPIDNonceCheckedOnlyByTheCA(t *testing.T) {
	t.Parallel()
	r := request(t)
	err := r.Check(npki.UCPIDWant{Nonce: make([]byte, 16), Site: r.Site, Agreement: agreement, Items: npki.UCPIDAll})
	wantCode(t, err, npki.ErrNonce)
}

func TestTrap27UCPIDOfAnotherSite(t *testing.T) {
	t.Parallel()
	r := request(t)
	err := r.Check(npki.UCPIDWant{Nonce: r.Nonce, Site: "phish.example.kr", Agreement: agreement, Items: npki.UCPIDAll})
	wantCode(t, err, npki.ErrSite)
}

func TestTrap36UCPIDOfAnotherCertificate(t *testing.T) {
	t.Parallel()
	w := shared()
	other := enroll(t, w.yessign, npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: "0101019000001", Policy: personGeneral})
	r, err := npki.ParseUCPIDResponse(response(t, other.Certificate, nil))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.Check(w.person.Certificate), npki.ErrMismatch)
	renamed, err := npki.ParseUCPIDResponse(response(t, w.person.Certificate, func(m map[string]any) { m["real_name"] = "김하늘" }))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, renamed.Check(w.person.Certificate), npki.ErrMismatch)
}

// yessign writes C=kr under a root that writes C=KR; UCPID answers write either.
func TestTrap29CountryInSmallLetters(t *testing.T) {
	t.Parallel()
	w := shared()
	if w.yessign.Certificate.Subject.Country[0] != "kr" || w.yessign.Root().Certificate.Subject.Country[0] != "KR" {
		t.Fatal("the test PKI does not write it so")
	}
	if _, err := w.anchors.VerifyChain(w.person.Certificate, loginChain); err != nil {
		t.Error(err)
	}
	r, err := npki.ParseUCPIDResponse(response(t, w.person.Certificate, func(m map[string]any) {
		m["dn"] = strings.ReplaceAll(strings.Replace(m["dn"].(string), "c=kr", "C=KR", 1), ",", ", ")
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Check(w.person.Certificate); err != nil {
		t.Error(err)
	}
}

// The other certificates in a message take no part: neither as the signer's, nor in the chain.
func TestTrap30OtherCertificatesInTheMessage(t *testing.T) {
	t.Parallel()
	w := shared()
	kica, err := w.pki.CA(npkitest.KICA, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	stranger := enroll(t, kica, npkitest.Applicant{Name: "김하늘", Policy: kicaGeneral})
	tree, err := dertree.Parse(sign(t, stranger, login, npki.SignOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range [][]byte{w.person.Certificate.Raw, kica.Certificate.Raw, kica.Root().Certificate.Raw} {
		node, err := dertree.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		set := tree.At(1, 0, 3)
		set.Children = append([]*dertree.Node{node}, set.Children...)
	}
	signed, err := npki.VerifySignedData(tree.Bytes(), npki.Want{Content: []byte(login)})
	if err != nil || !signed.Certificate.Equal(stranger.Certificate.Certificate) {
		t.Fatalf("%v", err)
	}
	anchors, err := npki.NewTestAnchors([]*x509.Certificate{w.yessign.Root().Certificate}, []*x509.Certificate{w.yessign.Certificate})
	if err != nil {
		t.Fatal(err)
	}
	_, err = anchors.VerifyChain(signed.Certificate, loginChain) // its CA is in the message, and under the root, but not configured
	wantCode(t, err, npki.ErrUntrusted)
}

// 1.2.410.200005.1.1.1 does not stand for 1.2.410.200005.1.1.1.10, nor the reverse.
func TestTrap31PolicyByPrefixInChain(t *testing.T) {
	t.Parallel()
	w := shared()
	financial := enroll(t, w.yessign, npkitest.Applicant{Name: "홍길동", Policy: personFinancial, Years: 3})
	_, err := w.anchors.VerifyChain(financial.Certificate, with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{personGeneral} }))
	wantCode(t, err, npki.ErrPolicy)
	_, err = w.anchors.VerifyChain(w.person.Certificate, with(loginChain, func(o *npki.ChainOptions) { o.Policies = []string{personFinancial} }))
	wantCode(t, err, npki.ErrPolicy)
	if _, err := w.anchors.VerifyChain(financial.Certificate, with(loginChain, func(o *npki.ChainOptions) {
		o.Policies, o.Time = []string{personFinancial}, noon.AddDate(3, 0, 0)
	})); err != nil {
		t.Error(err)
	}
}

func TestTrap32DIWithPadding(t *testing.T) {
	t.Parallel()
	if !npki.ValidDI(sampleDI) || !npki.ValidDI(strings.Repeat("A", 64)) || npki.ValidDI(sampleDI[:63]) || npki.ValidDI(sampleDI+"=") {
		t.Error("DI")
	}
	if !npki.ValidCI(sampleCI) || npki.ValidCI(sampleCI[:86]) || npki.ValidCI(strings.Repeat("A", 88)) {
		t.Error("CI")
	}
}

// A login's signature is none of a document, and the reverse: they have other first words.
func TestTrap37LoginSignatureForAPetition(t *testing.T) {
	t.Parallel()
	petition := strings.Replace(login, "anyid-login;", "anyid-sign;", 1)
	_, err := npki.VerifySignedData(sign(t, shared().person, login, npki.SignOptions{}), npki.Want{Content: []byte(petition)})
	wantCode(t, err, npki.ErrContent)
}

// The zero time stands for now, in signing and in judging.
func TestZeroTimeIsNow(t *testing.T) {
	t.Parallel()
	p := npkitest.New(npkitest.Options{})
	ca, err := p.CA(npkitest.Yessign, npkitest.RSA2048)
	if err != nil {
		t.Fatal(err)
	}
	anchors, err := p.Anchors()
	if err != nil {
		t.Fatal(err)
	}
	h := enroll(t, ca, npkitest.Applicant{Name: "홍길동", Policy: personGeneral})
	message, err := h.Sign([]byte(login), npki.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)})
	if err != nil || time.Since(signed.SigningTime).Abs() > time.Hour {
		t.Fatal(err)
	}
	options := loginChain
	options.Time = time.Time{}
	if _, err := anchors.VerifyChain(signed.Certificate, options); err != nil {
		t.Error(err)
	}
}
