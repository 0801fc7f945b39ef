package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/pkg/npki"
)

func certInspectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Show what a certificate, key, .p12 or signed message is, and whether a site would take it",
		Long: `Show what a certificate, key, .p12, PEM or signed message (CMS, also in hexadecimal or Base64) is, whose it
is, who issued it for what, until when, and whether a site would take it for a login.

Nothing is verified but the signature of a message: see anyid cert verify. A password is needed only to look
into a key or a .p12, and only used when it is given.`,
		Args: cobra.MinimumNArgs(1),
		RunE: spoken(func(cmd *cobra.Command, args []string, t tongue) error {
			password, err := filePassword.given(cmd)
			if err != nil {
				return err
			}
			defer clear(password)
			now := time.Now()
			first := true
			for _, path := range args {
				files, err := filesIn(path)
				if err != nil {
					return err
				}
				for _, file := range files {
					data, err := readLimited(file)
					if err != nil {
						return err
					}
					parts, err := t.inspect(data, password, now)
					if err != nil {
						return fmt.Errorf("%s: %w", file, err)
					}
					for _, p := range parts {
						if !first {
							cmd.Println()
						}
						first = false
						cmd.Printf("%s: %s\n", file, p.title)
						if err := table(cmd.OutOrStdout(), p.rows...); err != nil {
							return err
						}
					}
				}
			}
			return nil
		}),
	}
	filePassword.addFlag(cmd)
	return cmd
}

// A part is one thing in a file, as it is shown.
type part struct {
	title string
	rows  [][]string
}

func (p *part) add(label, value string) {
	if value != "" {
		p.rows = append(p.rows, []string{"  " + label, printable(value)})
	}
}

// printable keeps what a file says from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// inspect tells what a file holds.
func (t tongue) inspect(data, password []byte, now time.Time) ([]part, error) {
	switch kind := formOf(data); kind {
	case certificateForm:
		c, err := npki.ParseCertificate(data)
		if err != nil {
			return nil, err
		}
		return []part{t.certificate(c, now)}, nil
	case encryptedKeyForm:
		return t.encryptedKey(data, password)
	case clearKeyForm:
		k, err := npki.ParsePKCS8(data)
		if err != nil {
			return nil, err
		}
		defer k.Wipe()
		p := part{title: t.say("개인키 (암호화되지 않음!)", "private key (in clear!)")}
		t.addKey(&p, k)
		return []part{p}, nil
	case pfxForm:
		return t.pfx(data, password, now)
	case signedForm:
		return t.signed(data, now)
	case envelopeForm:
		return []part{{title: t.say("암호화된 메시지 (CMS EnvelopedData)", "encrypted message (CMS EnvelopedData)")}}, nil
	case crlForm:
		return t.crl(data)
	case pemForm:
		return t.pem(data, password, now)
	default:
		message, err := npki.DecodeMessage(string(data))
		if err != nil || formOf(message) != signedForm && formOf(message) != certificateForm {
			return nil, &npki.Error{Code: npki.ErrUnsupported, What: "neither certificate, key, PFX nor signed message"}
		}
		return t.inspect(message, password, now)
	}
}

// pem takes the blocks one by one.
func (t tongue) pem(data, password []byte, now time.Time) ([]part, error) {
	var parts []part
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		more, err := t.inspect(block.Bytes, password, now)
		if err != nil {
			return nil, err
		}
		parts = append(parts, more...)
		data = rest
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		return nil, &npki.Error{Code: npki.ErrMalformed, What: "PEM"}
	}
	return parts, nil
}

// kst is Korean time, in which certificates begin and end.
var kst = time.FixedZone("KST", 9*60*60)

// certificate describes a certificate.
func (t tongue) certificate(c *npki.Certificate, now time.Time) part {
	policy, known := c.Policy()
	p := part{title: t.say("인증서", "certificate")}
	switch {
	case c.IsCA:
		p.title = t.say("인증기관 인증서", "certificate of an authority")
	case known && policy.Kind == npki.Financial:
		p.title = t.say("금융인증서", "financial certificate")
	case known:
		p.title = t.say("공동인증서", "joint certificate")
	}
	id, err := c.Identity()
	if err == nil {
		p.add(t.say("이름", "name"), id.RealName)
	}
	p.add(t.say("종류", "kind"), t.kindOf(c))
	issuer := nameText(c.RawIssuer)
	if known {
		issuer = t.say(policy.CA.Name, policy.CA.English)
	}
	p.add(t.say("발급기관", "issued by"), issuer)
	p.add(t.say("유효기간", "valid"), c.NotBefore.In(kst).Format("2006-01-02 15:04:05")+" ~ "+c.NotAfter.In(kst).Format("2006-01-02 15:04:05")+
		t.say(" (한국시간", " (Korean time")+t.left(c, now)+")")
	if subject, err := c.SubjectName(); err == nil {
		p.add(t.say("금융기관 코드", "bank code"), subject.BankCode())
	}
	p.add(t.say("주체", "subject"), nameText(c.RawSubject))
	p.add(t.say("발급자", "issuer"), nameText(c.RawIssuer))
	p.add(t.say("일련번호", "serial number"), fmt.Sprintf("%d (0x%x)", c.SerialNumber, c.SerialNumber))
	p.add(t.say("공개키", "public key"), keyText(c.PublicKey))
	p.add(t.say("서명 방식", "signed with"), c.SignatureAlgorithm.String())
	p.add(t.say("키 용도", "key usage"), t.usages(c.KeyUsage))
	switch {
	case id.VID != nil:
		p.add("VID", t.say("있음 (", "yes (")+id.VID.Hash.String()+")")
	case !c.IsCA:
		p.add("VID", t.say("없음: 주민등록번호와 대조할 수 없습니다", "none: cannot be compared with a registration number"))
	}
	fingerprint := sha256.Sum256(c.Raw)
	p.add("SHA-256", hex.EncodeToString(fingerprint[:]))
	if !c.IsCA {
		p.add(t.say("로그인", "login"), t.verdict(c, now))
	}
	return p
}

// kindOf names every policy of a certificate.
func (t tongue) kindOf(c *npki.Certificate) string {
	var kinds []string
	for _, id := range c.Policies {
		oid := id.String()
		if policy, ok := npki.PolicyByOID(oid); ok {
			kinds = append(kinds, t.kind(policy))
		} else if foreign := npki.Foreign(oid); foreign != "" {
			kinds = append(kinds, foreign+" ("+oid+")")
		} else {
			kinds = append(kinds, t.say("알 수 없는 정책 ", "unknown policy ")+oid)
		}
	}
	return strings.Join(kinds, ", ")
}

func (t tongue) kind(p npki.Policy) string {
	label := p.Label()
	if t == inEnglish && p.Kind != "" {
		label = p.Holder.English() + ", " + p.Kind.English()
	}
	return strings.TrimSpace(label + " (" + p.OID + ")")
}

// left says how long a certificate is still good.
func (t tongue) left(c *npki.Certificate, now time.Time) string {
	switch days := int(c.NotAfter.Sub(now).Hours() / 24); {
	case now.After(c.NotAfter):
		return t.say(", 만료됨", ", expired")
	case now.Before(c.NotBefore):
		return t.say(", 아직 시작되지 않음", ", not yet valid")
	default:
		return fmt.Sprintf(t.say(", %d일 남음", ", %d days left"), days)
	}
}

// verdict says whether a site of default settings takes a certificate, or the first reason why not.
func (t tongue) verdict(c *npki.Certificate, now time.Time) string {
	no := func(ko, en string) string {
		return t.say("쓸 수 없습니다: "+ko, "no: "+en)
	}
	policy, known := c.Policy()
	foreign := ""
	for _, id := range c.Policies {
		foreign += npki.Foreign(id.String())
	}
	switch {
	case foreign != "":
		return no(foreign+" 인증서입니다", "a certificate of "+foreign)
	case !known:
		return no("알 수 없는 종류의 인증서입니다", "of an unknown kind")
	case policy.CA.Defunct:
		return no("더 이상 인증서를 발급하지 않는 기관의 인증서입니다", "of an authority that has ceased")
	case now.After(c.NotAfter):
		return no("유효기간이 지났습니다", "expired")
	case now.Before(c.NotBefore):
		return no("유효기간이 시작되지 않았습니다", "not valid yet")
	case !c.Signs():
		return no("전자서명용이 아닙니다 (암호용)", "not for signatures")
	case policy.Joint:
		return t.say("공동인증서 로그인에 쓸 수 있는 종류입니다 (발급자와 폐지 여부는 확인하지 않음)",
			"of a kind that is accepted as a joint certificate (neither issuer nor revocation checked)")
	case policy.Cloud:
		return t.say("금융인증서 로그인에 쓸 수 있는 종류입니다 (발급자와 폐지 여부는 확인하지 않음)",
			"of a kind that is accepted as a financial certificate (neither issuer nor revocation checked)")
	case policy.Holder == npki.Corporation || policy.Holder == npki.Business || policy.Holder == npki.Organization:
		return no("개인 인증서가 아닙니다", "not a person's")
	}
	return no("용도가 제한된 인증서이므로, 따로 허용한 사이트에서만 받습니다", "limited in use; only sites that allow its kind take it")
}

func (t tongue) usages(usage x509.KeyUsage) string {
	var list []string
	for _, u := range []struct {
		bit    x509.KeyUsage
		ko, en string
	}{
		{x509.KeyUsageDigitalSignature, "전자서명", "digital signature"}, {x509.KeyUsageContentCommitment, "부인방지", "non-repudiation"},
		{x509.KeyUsageKeyEncipherment, "키 암호화", "key encipherment"}, {x509.KeyUsageDataEncipherment, "데이터 암호화", "data encipherment"},
		{x509.KeyUsageCertSign, "인증서 서명", "certificate signing"}, {x509.KeyUsageCRLSign, "폐지목록 서명", "CRL signing"},
	} {
		if usage&u.bit != 0 {
			list = append(list, t.say(u.ko, u.en))
		}
	}
	return strings.Join(list, ", ")
}

func (t tongue) encryptedKey(data, password []byte) ([]part, error) {
	e, err := npki.ParseEncryptedKey(data)
	if err != nil {
		return nil, err
	}
	p := part{title: t.say("개인키 (암호화됨)", "private key (encrypted)")}
	how := e.Encryption()
	p.add(t.say("암호화", "encryption"), how.Scheme.String())
	p.add(t.say("암호", "cipher"), how.Cipher.String())
	p.add(t.say("해시", "hash"), how.Hash.String())
	p.add(t.say("반복 횟수", "iterations"), strconv.Itoa(how.Iterations))
	if password == nil {
		return []part{p}, nil
	}
	b, _, err := openFile(encryptedKeyForm, data, password)
	if err != nil {
		return nil, err
	}
	defer b.Wipe()
	t.addKey(&p, b.Keys[0])
	return []part{p}, nil
}

// addKey describes an opened key, and shows nothing of it.
func (t tongue) addKey(p *part, k *npki.PrivateKey) {
	p.add(t.say("키", "key"), keyText(k.Key.Public()))
	if k.R != nil {
		p.add("R", t.say("있음", "yes"))
	} else {
		p.add("R", t.say("없음: 주민등록번호와 대조할 수 없습니다", "none: cannot be compared with a registration number"))
	}
}

func (t tongue) pfx(data, password []byte, now time.Time) ([]part, error) {
	title := t.say("인증서와 개인키 묶음 (PFX)", "certificates with private keys (PFX)")
	if password == nil {
		p := part{title: title}
		p.add(t.say("내용", "content"), t.say("비밀번호를 주면 볼 수 있습니다", "give the password to look inside"))
		return []part{p}, nil
	}
	b, err := npki.ParsePFX(data, password)
	if err != nil {
		return nil, err
	}
	defer b.Wipe()
	var parts []part
	for _, pair := range b.Pairs {
		p := t.certificate(pair.Certificate, now)
		p.title = title + ", " + p.title
		t.addKey(&p, pair.Key)
		parts = append(parts, p)
	}
	for _, c := range b.Others {
		p := t.certificate(c, now)
		p.title = title + ", " + p.title
		parts = append(parts, p)
	}
	for _, k := range b.Keys {
		p := part{title: title + ", " + t.say("인증서 없는 개인키", "private key without a certificate")}
		t.addKey(&p, k)
		parts = append(parts, p)
	}
	return parts, nil
}

// signed describes a message. Whether its signature holds is part of what is shown.
func (t tongue) signed(data []byte, now time.Time) ([]part, error) {
	s, err := npki.VerifySignedData(data, npki.Want{AnyContent: true, AllowBare: true, MaxSize: npki.MaxFile})
	if err != nil {
		return nil, err
	}
	p := part{title: t.say("전자서명된 메시지 (CMS SignedData)", "signed message (CMS SignedData)")}
	p.add(t.say("서명", "signature"), t.say("맞습니다", "holds")+", "+string(s.Scheme)+", "+s.Hash.String())
	if !s.SigningTime.IsZero() {
		p.add(t.say("서명 시각", "signing time"), s.SigningTime.In(kst).Format("2006-01-02 15:04:05")+t.say(" (서명자의 주장)", " (claimed)"))
	}
	p.add(t.say("내용", "content"), fmt.Sprintf(t.say("%d바이트", "%d bytes"), len(s.Content)))
	signer := t.certificate(s.Certificate, now)
	signer.title = t.say("서명자의 ", "signer's ") + signer.title
	return []part{p, signer}, nil
}

func (t tongue) crl(data []byte) ([]part, error) {
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, errors.Join(npki.ErrMalformed, err)
	}
	p := part{title: t.say("인증서 폐지목록 (CRL)", "certificate revocation list (CRL)")}
	p.add(t.say("발급자", "issuer"), nameText(list.RawIssuer))
	p.add(t.say("발급 시각", "issued"), list.ThisUpdate.In(kst).Format("2006-01-02 15:04:05"))
	p.add(t.say("다음 발급", "next"), list.NextUpdate.In(kst).Format("2006-01-02 15:04:05"))
	p.add(t.say("폐지된 인증서", "revoked certificates"), strconv.Itoa(len(list.RevokedCertificateEntries)))
	return []part{p}, nil
}

func nameText(raw []byte) string {
	name, err := npki.ParseName(raw)
	if err != nil {
		return hex.EncodeToString(raw)
	}
	return name.String()
}

func keyText(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	}
	return fmt.Sprintf("%T", key)
}
