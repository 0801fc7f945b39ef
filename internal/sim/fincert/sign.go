package fincert

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// signRequest is the argument of FinCert.Sdk.sign, without its functions.
type signRequest struct {
	SignFormat struct {
		Type    string `json:"type"` // CMS or PKCS1
		CMSInfo struct {
			SSN            string `json:"ssn"`
			Time           string `json:"time"` // YYYYMMDDHHmmSS in UTC; empty: no signed attributes
			WithoutContent bool   `json:"withoutContent"`
			IncludeR       bool   `json:"includeR"`
			GeneralSyntax  bool   `json:"generalSyntax"`
		} `json:"CMSInfo"`
	} `json:"signFormat"`
	Content struct {
		PlainText *struct {
			PlainTexts []string `json:"plainTexts"`
			Encoding   string   `json:"encoding"`
		} `json:"plainText"`
		Binary *struct {
			Binaries []string `json:"binaries"`
		} `json:"binary"`
		UCPIDInfo *struct {
			ISPURLInfo    string `json:"ispUrlInfo"`
			UCPIDNonce    string `json:"ucpidNonce"`
			UserAgreement string `json:"userAgreement"`
			UserAgreeInfo struct {
				RealName     bool `json:"realName"`
				Gender       bool `json:"gender"`
				NationalInfo bool `json:"nationalInfo"`
				BirthDate    bool `json:"birthDate"`
				CI           bool `json:"ci"`
			} `json:"userAgreeInfo"`
		} `json:"ucpidInfo"`
	} `json:"content"`
	Algorithms string `json:"algorithms"`
	View       struct {
		OID                   map[string]bool `json:"oid"`
		EnableTextView        bool            `json:"enableTextView"`
		EnableTextViewAddInfo bool            `json:"enableTextViewAddInfo"`
		CertSeqNum            string          `json:"certSeqNum"`
		LastAccessCert        bool            `json:"lastAccessCert"`
	} `json:"view"`
	Info struct {
		SignType string `json:"signType"`
	} `json:"info"`
}

// The two algorithms.
const (
	algorithmPKCS1 = "RSASSA-PKCS1-v1_5_SHA256"
	algorithmPSS   = "RSASSA-PSS_SHA256_MGF_SHA256"
)

const (
	maxTexts   = 10
	timeFormat = "20060102150405"
)

// job is a request that can be signed.
type job struct {
	format   string
	contents [][]byte
	ucpid    *npki.UCPIDRequest // nil: plain
	texts    []string           // what is signed, in words
	options  npki.SignOptions
	policies []string // of the certificates that the relying party takes; nil: all
	seq      string   // the certificate that it wants; empty: any
	purpose  string
}

var purposes = map[string]string{
	"": "전자서명", "01": "로그인", "02": "송금", "03": "상품가입", "04": "전자계약", "05": "납부", "06": "증명서 발급", "07": "자산연동",
	"08": "인증수단 관리", "12": "본인확인", "99": "전자서명",
}

// plan reads a request, or says what is wrong with it.
func (in *signRequest) plan() (*job, error) {
	j := &job{format: in.SignFormat.Type, seq: in.View.CertSeqNum}
	info := in.SignFormat.CMSInfo
	j.options = npki.SignOptions{Detached: info.WithoutContent, Bare: !info.GeneralSyntax, NoAttributes: info.Time == ""}
	if info.Time != "" {
		at, err := time.Parse(timeFormat, info.Time)
		if err != nil {
			return nil, errors.New("signFormat.CMSInfo.time")
		}
		j.options.Time = at
	}
	switch in.Algorithms {
	case algorithmPKCS1:
	case algorithmPSS:
		j.options.PSS = true
	default:
		return nil, errors.New("algorithms")
	}
	var ok bool
	if j.purpose, ok = purposes[in.Info.SignType]; !ok {
		return nil, errors.New("info.signType")
	}
	for policy, wanted := range in.View.OID {
		if wanted {
			j.policies = append(j.policies, policy)
		}
	}
	switch {
	case j.format != "CMS" && j.format != "PKCS1":
		return nil, errors.New("signFormat.type")
	case info.IncludeR:
		return nil, errors.New("signFormat.CMSInfo.includeR") // which this simulator cannot do
	}
	return j, in.fill(j)
}

// fill reads what is to be signed.
func (in *signRequest) fill(j *job) error {
	plain, binary, ucpid := in.Content.PlainText, in.Content.Binary, in.Content.UCPIDInfo
	switch {
	case plain != nil && binary == nil && ucpid == nil:
		if len(plain.PlainTexts) == 0 || len(plain.PlainTexts) > maxTexts || plain.Encoding != "UTF-8" {
			return errors.New("content.plainText")
		}
		for _, text := range plain.PlainTexts {
			if text == "" || !utf8.ValidString(text) {
				return errors.New("content.plainText.plainTexts")
			}
			j.contents, j.texts = append(j.contents, []byte(text)), append(j.texts, text)
		}
	case binary != nil && plain == nil && ucpid == nil:
		if len(binary.Binaries) == 0 || len(binary.Binaries) > maxTexts {
			return errors.New("content.binary")
		}
		for _, text := range binary.Binaries {
			content, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil || len(content) == 0 {
				return errors.New("content.binary.binaries")
			}
			j.contents, j.texts = append(j.contents, content), append(j.texts, fmt.Sprintf("이진 자료 %d바이트", len(content)))
		}
	case ucpid != nil && plain == nil && binary == nil:
		nonce, err := hex.DecodeString(ucpid.UCPIDNonce)
		agreed := ucpid.UserAgreeInfo
		j.ucpid = &npki.UCPIDRequest{
			Nonce: nonce, Agreement: ucpid.UserAgreement, Module: "FinCert simulator", Vendor: "ANYID",
			Version: npki.UCPIDVersion{Major: 1}, Site: ucpid.ISPURLInfo,
		}
		for _, item := range []struct {
			agreed bool
			bit    npki.UCPIDItems
		}{
			{agreed.RealName, npki.UCPIDRealName}, {agreed.Gender, npki.UCPIDGender}, {agreed.NationalInfo, npki.UCPIDNationality},
			{agreed.BirthDate, npki.UCPIDBirthDate}, {agreed.CI, npki.UCPIDCI},
		} {
			if item.agreed {
				j.ucpid.Items |= item.bit
			}
		}
		if _, marshalErr := j.ucpid.Marshal(); err != nil || marshalErr != nil || ucpid.UserAgreement == "" || j.format != "CMS" {
			return errors.New("content.ucpidInfo")
		}
		j.texts = []string{ucpid.UserAgreement}
	default:
		return errors.New("content")
	}
	return nil
}

// takes says whether the relying party takes the person's certificate.
func (j *job) takes(a *account) bool {
	return (j.policies == nil || slices.Contains(j.policies, policyPerson)) && (j.seq == "" || j.seq == a.seq)
}

// result is what FinCert.Sdk.sign hands to success, and the certificate, which the script keeps for
// getSignerCertFromSignedVal.
type result struct {
	SignedVals  []string `json:"signedVals"` // base64url
	CertSeqNum  string   `json:"certSeqNum"`
	RValue      string   `json:"rValue"`      // base64url
	Certificate string   `json:"certificate"` // DER, base64url
}

// sign signs what the citizen has confirmed, or something else where a fault says so.
func (s *Simulator) sign(j *job, a *account) (*result, error) {
	struck := func(name string) bool {
		_, is := s.faults.Strike(name, "sign", a.seq)
		return is
	}
	signer, after, err := s.signer(a, j, struck)
	if err != nil {
		return nil, err
	}
	contents := j.contents
	if j.ucpid != nil {
		asked := *j.ucpid
		if struck(FaultOtherNonce) {
			asked.Nonce = bytes.Repeat([]byte{0xa5}, len(asked.Nonce))
		}
		if struck(FaultOtherSite) {
			asked.Site = "phishing.example"
		}
		if struck(FaultOtherAgreement) {
			asked.Agreement += " 그리고 그 밖의 모든 것에도 동의합니다."
		}
		if struck(FaultMoreItems) {
			asked.Items = npki.UCPIDAll
		}
		content, err := asked.Marshal()
		if err != nil {
			return nil, err
		}
		contents = [][]byte{content}
	} else if struck(FaultOtherNonce) {
		contents = slices.Clone(contents)
		for i := range contents {
			contents[i] = nonceInText.ReplaceAll(contents[i], []byte("nonce=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
		}
	}
	out := &result{
		CertSeqNum: a.seq, RValue: base64.RawURLEncoding.EncodeToString(signer.Key.R),
		Certificate: base64.RawURLEncoding.EncodeToString(signer.Certificate.Raw),
	}
	broken := struck(FaultWrongSignature)
	for _, content := range contents {
		value, err := signOne(j, signer, content)
		if err != nil {
			return nil, err
		}
		if broken {
			value[len(value)-1] ^= 1 // the signature stands last
		}
		out.SignedVals = append(out.SignedVals, base64.RawURLEncoding.EncodeToString(value))
	}
	s.mu.Lock()
	before := a.last
	a.last = out.SignedVals
	s.mu.Unlock()
	if before != nil && struck(FaultReplay) {
		out.SignedVals = before
	}
	return out, after()
}

// nonceInText is a nonce in a plain text.
var nonceInText = regexp.MustCompile(`nonce=[^;&]*`)

// signOne signs one content.
func signOne(j *job, signer *npkitest.Holder, content []byte) ([]byte, error) {
	if j.format == "CMS" {
		return signer.Sign(content, j.options)
	}
	sum := sha256.Sum256(content)
	if j.options.PSS {
		return signer.Key.Key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	return signer.Key.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// signer is who signs: the person, unless a fault has somebody else sign. The function is to be called once
// that is done.
func (s *Simulator) signer(a *account, j *job, struck func(string) bool) (*npkitest.Holder, func() error, error) {
	done := func() error { return nil }
	enroll := func(by *npkitest.Authority, policy string) (*npkitest.Holder, error) {
		return by.Enroll(s.applicant(a.person, policy))
	}
	now := s.now()
	switch {
	case struck(FaultExpired):
		j.options.Time = now.Add(-48 * time.Hour)
		h, err := s.reissue(s.authority, a, now.AddDate(-3, 0, -1), now.Add(-24*time.Hour))
		return h, done, err
	case struck(FaultNotYetValid):
		h, err := s.reissue(s.authority, a, now.Add(24*time.Hour), now.AddDate(3, 0, 1))
		return h, done, err
	case struck(FaultRevoked):
		h, err := enroll(s.authority, policyPerson)
		return h, func() error { return s.authority.Revoke(h.Certificate.SerialNumber, 1) }, err
	case struck(FaultHeld):
		h, err := enroll(s.authority, policyPerson)
		return h, func() error { return s.authority.Hold(h.Certificate.SerialNumber) }, err
	case struck(FaultJoint):
		h, err := enroll(s.authority, policyJoint)
		return h, done, err
	case struck(FaultBusiness):
		applicant := s.applicant(a.person, policyBusiness)
		applicant.Number = "1234567891"
		h, err := s.authority.Enroll(applicant)
		return h, done, err
	case struck(FaultOtherAuthority):
		other, err := s.pki.CA(npkitest.KICA, s.authority.Generation)
		if err != nil {
			return nil, nil, err
		}
		h, err := enroll(other, policyPerson)
		return h, done, err
	case struck(FaultForgedAuthority):
		forger := npkitest.New(npkitest.Options{Now: s.now, NewKey: freshKey})
		other, err := forger.CA(npkitest.Yessign, s.authority.Generation)
		if err != nil {
			return nil, nil, err
		}
		h, err := enroll(other, policyPerson)
		return h, done, err
	}
	return a.holder, done, nil
}

// freshKey makes a key that is nobody else's.
func freshKey(bits int) (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }

// reissue issues a certificate like the account's with another validity.
func (s *Simulator) reissue(by *npkitest.Authority, a *account, from, to time.Time) (*npkitest.Holder, error) {
	like := a.holder.Certificate
	name, err := like.SubjectName()
	if err != nil {
		return nil, err
	}
	identity, err := like.Identity()
	if err != nil {
		return nil, err
	}
	public, ok := a.holder.Key.Key.Public().(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("sim/fincert: the key is not RSA")
	}
	certificate, err := by.Sign(npkitest.Template{
		Subject: name, PublicKey: public, NotBefore: from, NotAfter: to, Policies: []string{policyPerson}, Identity: &identity,
	})
	if err != nil {
		return nil, err
	}
	return &npkitest.Holder{Authority: by, Certificate: certificate, Key: a.holder.Key}, nil
}
