package jointcert_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/authn/jointcert"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

var line = regexp.MustCompile(`^anyid-login;v=1;iss=https://id\.example\.go\.kr;txn=([A-Za-z0-9_-]{43});nonce=([A-Za-z0-9_-]{43});iat=1795143600;aud=qnet$`)

func TestChallenge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withNumber)
	at := w.begin()
	request, err := w.Request(at)
	if err != nil {
		t.Fatal(err)
	}
	first := line.FindStringSubmatch(request.Content)
	if first == nil || strings.Contains(request.Content, at.ID) || request.Cloud != nil {
		t.Fatalf("%+v", request)
	}
	again, err := w.Request(w.begin())
	if second := line.FindStringSubmatch(again.Content); err != nil || second == nil || second[1] != first[1] || second[2] == first[2] {
		t.Errorf("a second challenge: %q, %v", again.Content, err)
	}
	der, err := base64.RawURLEncoding.DecodeString(request.UCPID)
	if err != nil {
		t.Fatal(err)
	}
	ask, err := npki.ParseUCPIDRequest(der)
	if err != nil || hex.EncodeToString(ask.Nonce) != hexNonce || ask.Site != "id.example.go.kr" || ask.Items != npki.UCPIDAll ||
		ask.Agreement != request.Agreement || !strings.Contains(request.Agreement, "id.example.go.kr에 제공하는 것에 동의") {
		t.Errorf("%+v, %v", ask, err)
	}
	recipient, err := base64.StdEncoding.DecodeString(request.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(recipient)
	if err != nil || !c.PublicKey.(*rsa.PublicKey).Equal(w.recipient) {
		t.Errorf("recipient: %v", err)
	}
	if !slices.Contains(request.Policies, general) || slices.Contains(request.Policies, cloud) || slices.Contains(request.Policies, company) {
		t.Errorf("policies %v", request.Policies)
	}
	if got := at.ExpiresAt; !got.Equal(noon.Add(5 * time.Minute)) {
		t.Errorf("expires at %s", got)
	}
	if m, p := w.Method(), w.Providers(); m != method.JointCert || len(p) != 1 || p[0].Korean != "공동인증서" {
		t.Errorf("%s, %+v", m, p)
	}
	if p, ok := w.Provider("kica"); !ok || p.ID != "kica" || p.Korean != "한국정보인증" || !strings.Contains(p.English, "KICA") {
		t.Errorf("provider %+v, %t", p, ok)
	}
	if p, ok := w.Provider("nobody"); ok {
		t.Errorf("provider %+v", p)
	}
}

func TestChallengeWithout(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withNumber, withResolver, alone)
	request, err := w.Request(w.begin())
	if err != nil || request.UCPID != "" || request.Agreement != "" || request.Recipient == "" {
		t.Errorf("without an authority: %+v, %v", request, err)
	}
	w = newWorld(t)
	if request, err = w.Request(w.begin()); err != nil || request.UCPID == "" || request.Recipient != "" {
		t.Errorf("without a number: %+v, %v", request, err)
	}
}

func TestBeginRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name   string
		change func(*authn.Attempt)
		code   authn.Code
	}{
		{"short nonce", func(a *authn.Attempt) { a.Nonce = "a0" }, authn.BadRequest},
		{"no hex", func(a *authn.Attempt) { a.Nonce = strings.Repeat("z", 32) }, authn.BadRequest},
		{"attempt over", func(a *authn.Attempt) { a.ExpiresAt = noon }, authn.TooLate},
		{"kinds that the deployment takes none of", func(a *authn.Attempt) { a.Certificates = []method.CertificateKind{method.Card} }, authn.BadRequest},
	} {
		at := authn.Attempt{ID: "1", Nonce: hexNonce, Site: "qnet"}
		tt.change(&at)
		_, err := w.Begin(t.Context(), at, authn.Input{})
		if e, ok := errors.AsType[*authn.Error](err); !ok || e.Code != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	at := authn.Attempt{ID: "1", Nonce: hexNonce, Site: "qnet", ExpiresAt: noon.Add(time.Minute)}
	if started, err := w.Begin(t.Context(), at, authn.Input{}); err != nil || !started.ExpiresAt.Equal(at.ExpiresAt) {
		t.Errorf("a short attempt: %v, %v", started.ExpiresAt, err)
	}
	for _, private := range []string{"", "{}", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01a\x00\x00b"} {
		at.Private = []byte(private)
		_, err := w.Request(at)
		wantCode(t, err, authn.BadRequest)
		_, err = w.Verify(t.Context(), at, authn.Answer{})
		wantCode(t, err, authn.BadRequest)
		_, err = w.Identify(t.Context(), at, authn.Answer{}, authn.Evidence{})
		wantCode(t, err, authn.BadRequest)
	}
}

// TestLogin is a login by a certificate of every authority and of both generations (trap 18: RSA-3072).
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withAll, withNumber, withResolver)
	for _, tt := range []struct{ organization, policy, provider, label string }{
		{npkitest.Yessign, general, "yessign", "공동인증서 (금융결제원)"},
		{npkitest.Yessign, bank, "yessign", "공동인증서 (금융결제원)"},
		{npkitest.KICA, "1.2.410.200004.5.2.1.2", "kica", "공동인증서 (한국정보인증)"},
		{npkitest.SignKorea, "1.2.410.200004.5.1.1.9", "signkorea", "공동인증서 (코스콤)"},
		{npkitest.CrossCert, "1.2.410.200004.5.4.1.101", "crosscert", "공동인증서 (한국전자인증)"},
		{npkitest.TradeSign, "1.2.410.200012.1.1.1", "tradesign", "공동인증서 (한국무역정보통신)"},
	} {
		for _, generation := range []npkitest.Generation{npkitest.RSA2048, npkitest.RSA3072} {
			who := w.enroll(w.authority(tt.organization, generation), npkitest.Applicant{Name: name, Number: number, Policy: tt.policy})
			_, answer, e := w.login(who)
			der, _ := base64.RawURLEncoding.DecodeString(answer.Signed)
			sum := sha256.Sum256(der)
			id, err := who.Certificate.Identity()
			if err != nil {
				t.Fatal(err)
			}
			vid := sha256.Sum256(id.VID.Value)
			want := authn.Evidence{
				Method: method.JointCert, Provider: tt.provider, Label: tt.label,
				Subject: hex.EncodeToString(npki.SubjectKey(who.Certificate.Certificate)), Attributes: authn.Attributes{Name: name},
				Level: 3, AMR: []string{"swk", "kr_joint_cert"}, At: noon, Binding: authn.Signed, Digest: hex.EncodeToString(sum[:]),
				Number: true, VIDDigest: hex.EncodeToString(vid[:]),
			}
			if got, want := fmt.Sprintf("%+v", e), fmt.Sprintf("%+v", want); got != want {
				t.Errorf("%s:\n got %s\nwant %s", tt.policy, got, want)
			}
		}
	}
}

// TestRenewed shows that a certificate's subject is that certificate alone: two people may have one name,
// and one person two certificates.
func TestRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.person(general)
	second, err := first.Renew()
	if err != nil {
		t.Fatal(err)
	}
	_, _, a := w.login(first)
	_, _, b := w.login(second)
	if a.Subject == b.Subject {
		t.Error("a renewed certificate has its predecessor's subject")
	}
	t.Run("trap 13: one serial number of two authorities", func(t *testing.T) {
		one := w.odd(w.ca, npkitest.Template{Serial: big.NewInt(99)})
		kica := w.authority(npkitest.KICA, npkitest.RSA2048)
		two := w.odd(kica, npkitest.Template{Serial: big.NewInt(99), Policies: []string{"1.2.410.200004.5.2.1.2"}, Subject: npki.Name{
			{{Type: "c", Value: "KR"}}, {{Type: "o", Value: "KICA"}}, {{Type: "cn", Value: name + "()1"}},
		}})
		_, _, a := w.login(one)
		_, _, b := w.login(two)
		if a.Subject == b.Subject {
			t.Error("two certificates have one subject")
		}
	})
}

// TestRefused is what Verify refuses, each with its own code.
func TestRefused(t *testing.T) {
	t.Parallel()
	content := func(w *world, at authn.Attempt) []byte {
		request, err := w.Request(at)
		if err != nil {
			w.t.Fatal(err)
		}
		return []byte(request.Content)
	}
	signed := func(w *world, at authn.Attempt, who *npkitest.Holder, options npki.SignOptions) authn.Answer {
		return authn.Answer{Signed: w.cms(who, content(w, at), options)}
	}
	fault := func(f npkitest.Fault) func(*world, authn.Attempt) authn.Answer {
		return func(w *world, at authn.Attempt) authn.Answer {
			who := w.person(general)
			w.ca.Misbehave(f)
			return w.sign(at, who)
		}
	}
	for _, tt := range []struct {
		name   string
		answer func(w *world, at authn.Attempt) authn.Answer
		code   authn.Code
		setups []setup
		kinds  []method.CertificateKind
	}{
		{"expired", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.Add(-time.Second)}))
		}, authn.CertificateExpired, nil, nil},
		{"trap 1: judged at the signing time", func(w *world, at authn.Attempt) authn.Answer {
			who := w.odd(w.ca, npkitest.Template{NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.Add(-time.Hour)})
			return signed(w, at, who, npki.SignOptions{Time: noon.Add(-2 * time.Hour)})
		}, authn.CertificateExpired, nil, nil},
		{"not yet valid", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{NotBefore: noon.Add(time.Hour)}))
		}, authn.CertificateNotYet, nil, nil},
		{"revoked", func(w *world, at authn.Attempt) authn.Answer {
			who := w.person(general)
			if err := w.ca.Revoke(who.Certificate.SerialNumber, 1); err != nil {
				w.t.Fatal(err)
			}
			return w.sign(at, who)
		}, authn.CertificateRevoked, nil, nil},
		{"on hold", func(w *world, at authn.Attempt) authn.Answer {
			who := w.person(general)
			if err := w.ca.Hold(who.Certificate.SerialNumber); err != nil {
				w.t.Fatal(err)
			}
			return w.sign(at, who)
		}, authn.CertificateHeld, nil, nil},
		{"trap 2: a constant text", func(w *world, _ authn.Attempt) authn.Answer {
			return authn.Answer{Signed: w.cms(w.person(general), []byte("공동인증서로그인"), npki.SignOptions{})}
		}, authn.WrongChallenge, nil, nil},
		{"replayed: another attempt's signature", func(w *world, _ authn.Attempt) authn.Answer {
			return w.sign(w.begin(), w.person(general))
		}, authn.WrongChallenge, nil, nil},
		{"a letter more than the challenge", func(w *world, at authn.Attempt) authn.Answer {
			return authn.Answer{Signed: w.cms(w.person(general), append(content(w, at), '\n'), npki.SignOptions{})}
		}, authn.WrongChallenge, nil, nil},
		{"trap 37: a signature on a document", func(w *world, at authn.Attempt) authn.Answer {
			text := bytes.Replace(content(w, at), []byte("anyid-login;"), []byte("anyid-sign;"), 1)
			return authn.Answer{Signed: w.cms(w.person(general), text, npki.SignOptions{})}
		}, authn.WrongChallenge, nil, nil},
		{"the signed request in place of the login", func(w *world, at authn.Attempt) authn.Answer {
			return authn.Answer{Signed: w.sign(at, w.person(general)).UCPID}
		}, authn.WrongChallenge, nil, nil},
		{"trap 11: two policies, ours second", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{Policies: []string{npki.Infrastructure, general}}))
		}, "", nil, nil},
		{"trap 11: the infrastructure's policy alone", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{Policies: []string{npki.Infrastructure}}))
		}, authn.CertificateRefused, nil, nil},
		{"trap 16: a plus sign as a space", func(w *world, at authn.Attempt) authn.Answer {
			who := w.person(general)
			for {
				raw, err := base64.RawURLEncoding.DecodeString(w.sign(at, who).Signed)
				text := base64.StdEncoding.EncodeToString(raw)
				if err != nil || strings.Contains(text, "+") {
					return authn.Answer{Signed: strings.ReplaceAll(text, "+", " ")}
				}
				w.advance(time.Second)
			}
		}, authn.BadEvidence, nil, nil},
		{"trap 19: attributes presented as content", func(w *world, at authn.Attempt) authn.Answer {
			return signed(w, at, w.person(general), npki.SignOptions{NoAttributes: true})
		}, authn.BadEvidence, nil, nil},
		{"bare SignedData", func(w *world, at authn.Attempt) authn.Answer {
			return signed(w, at, w.person(general), npki.SignOptions{Bare: true})
		}, authn.BadEvidence, nil, nil},
		{"detached", func(w *world, at authn.Attempt) authn.Answer {
			return signed(w, at, w.person(general), npki.SignOptions{Detached: true})
		}, authn.WrongChallenge, nil, nil},
		{"trap 10: rsaEncryption", func(w *world, at authn.Attempt) authn.Answer {
			return signed(w, at, w.person(general), npki.SignOptions{RSAEncryption: true, NoParameters: true})
		}, "", nil, nil},
		{"trap 23: a company's certificate", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.enroll(w.ca, npkitest.Applicant{Name: "주식회사 예", Number: "1234567891", Policy: company}))
		}, authn.CertificateRefused, nil, nil},
		{"trap 24: a certificate of the government's PKI", func(w *world, at authn.Attempt) authn.Answer {
			gpki := w.authority(npkitest.Government, npkitest.RSA2048)
			return w.sign(at, w.enroll(gpki, npkitest.Applicant{Name: name, Number: number, Policy: "1.2.410.100001.2.2.1"}))
		}, authn.CertificateUntrusted, nil, nil},
		{"trap 24: the government's PKI with a policy of ours", func(w *world, at authn.Attempt) authn.Answer {
			gpki := w.authority(npkitest.Government, npkitest.RSA2048)
			return w.sign(at, w.enroll(gpki, npkitest.Applicant{Name: name, Number: number, Policy: general}))
		}, authn.CertificateUntrusted, nil, nil},
		{"trap 31: a financial certificate", func(w *world, at authn.Attempt) authn.Answer { return w.sign(at, w.person(cloud)) }, authn.CertificateRefused, nil, nil},
		{"a kind that the site does not take", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.person(bank))
		}, authn.CertificateRefused, nil, []method.CertificateKind{method.General}},
		{"a kind that the site takes", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.person(bank))
		}, "", nil, []method.CertificateKind{method.General, method.Bank}},
		{"a policy that the deployment takes besides", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.person("1.2.410.200005.1.1.1.1"))
		}, "", []setup{func(w *world) { w.config.Policies = []string{"1.2.410.200005.1.1.1.1"} }}, nil},
		{"a policy that the deployment leaves out", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.person(general))
		}, authn.CertificateRefused, []setup{func(w *world) { w.config.Policies = []string{bank} }}, nil},
		{"a policy of another authority", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{Policies: []string{"1.2.410.200004.5.2.1.2"}}))
		}, authn.CertificateRefused, nil, nil},
		{"an authority that is not configured", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.person(general))
		}, authn.CertificateUntrusted, []setup{func(w *world) {
			w.trust.Authorities = w.pem("one.pem", w.authority(npkitest.KICA, npkitest.RSA2048).Certificate)
		}}, nil},
		{"a key management certificate", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.enroll(w.ca, npkitest.Applicant{Name: name, Number: number, Policy: general, Encipherment: true}))
		}, authn.CertificateRefused, nil, nil},
		{"names nobody", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{Identity: &npki.Identity{RealName: " "}}))
		}, authn.CertificateRefused, nil, nil},
		{"no VID where a number is asked for", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{}))
		}, authn.CertificateRefused, []setup{withNumber}, nil},
		{"no VID where none is", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{}))
		}, "", nil, nil},
		{"trap 21: a distribution point inside", func(w *world, at authn.Attempt) authn.Answer {
			return w.sign(at, w.odd(w.ca, npkitest.Template{Extra: []pkix.Extension{distributionPoint("http://127.0.0.1:9/latest/meta-data")}}))
		}, authn.StatusUnknown, nil, nil},
		{"directory down", fault(npkitest.CRLDown), authn.StatusUnknown, nil, nil},
		{"list out of date", fault(npkitest.CRLStale), authn.StatusUnknown, nil, nil},
		{"list of another point", fault(npkitest.CRLOtherPoint), authn.StatusUnknown, nil, nil},
		{"list by another key", fault(npkitest.CRLOtherKey), authn.StatusUnknown, nil, nil},
		{"list with an unknown critical extension", fault(npkitest.CRLCritical), authn.StatusUnknown, nil, nil},
		{"trap 30: other certificates in the message", func(w *world, at authn.Attempt) authn.Answer {
			raw, _ := base64.RawURLEncoding.DecodeString(w.sign(at, w.person(general)).Signed)
			return authn.Answer{Signed: hex.EncodeToString(withCertificate(w.t, raw, w.person(bank).Certificate.Raw))}
		}, "", nil, nil},
		{"trap 30: the authority in the message", func(w *world, at authn.Attempt) authn.Answer {
			raw, _ := base64.RawURLEncoding.DecodeString(w.sign(at, w.person(general)).Signed)
			return authn.Answer{Signed: hex.EncodeToString(withCertificate(w.t, raw, w.ca.Certificate.Raw))}
		}, authn.CertificateUntrusted, []setup{func(w *world) {
			w.trust.Authorities = w.pem("one.pem", w.authority(npkitest.KICA, npkitest.RSA2048).Certificate)
		}}, nil},
		{"too late", func(w *world, at authn.Attempt) authn.Answer {
			answer := w.sign(at, w.person(general))
			w.advance(5*time.Minute + time.Second)
			return answer
		}, authn.TooLate, nil, nil},
		{"nothing", func(*world, authn.Attempt) authn.Answer { return authn.Answer{} }, authn.BadEvidence, nil, nil},
		{"text", func(*world, authn.Attempt) authn.Answer { return authn.Answer{Signed: "서명"} }, authn.BadEvidence, nil, nil},
		{"too much", func(*world, authn.Attempt) authn.Answer {
			return authn.Answer{Signed: strings.Repeat("ab", npki.MaxMessage+1)}
		}, authn.BadEvidence, nil, nil},
		{"one bit of the signature", func(w *world, at authn.Attempt) authn.Answer {
			raw, _ := base64.RawURLEncoding.DecodeString(w.sign(at, w.person(general)).Signed)
			raw[len(raw)-1] ^= 1
			return authn.Answer{Signed: hex.EncodeToString(raw)}
		}, authn.BadEvidence, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.setups...)
			at := w.begin(tt.kinds...)
			answer := tt.answer(w, at)
			e, err := w.Verify(t.Context(), at, answer)
			wantCode(t, err, tt.code)
			if err != nil && e.Subject != "" {
				t.Error("an error with evidence")
			}
		})
	}
}

// withCertificate puts a certificate into a SignedData, behind the signer's.
func withCertificate(t testing.TB, message, extra []byte) []byte {
	t.Helper()
	explicit := der.Tag(0).ContextSpecific().Constructed()
	s := cryptobyte.String(message)
	var info, oid, wrapped, data, version, digests, content, certificates cryptobyte.String
	if !s.ReadASN1(&info, der.SEQUENCE) || !info.ReadASN1Element(&oid, der.OBJECT_IDENTIFIER) || !info.ReadASN1(&wrapped, explicit) ||
		!wrapped.ReadASN1(&data, der.SEQUENCE) || !data.ReadASN1Element(&version, der.INTEGER) || !data.ReadASN1Element(&digests, der.SET) ||
		!data.ReadASN1Element(&content, der.SEQUENCE) || !data.ReadASN1(&certificates, explicit) {
		t.Fatal("no SignedData")
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(oid)
		b.AddASN1(explicit, func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(slices.Concat(version, digests, content))
				b.AddASN1(explicit, func(b *cryptobyte.Builder) { b.AddBytes(slices.Concat(certificates, extra)) })
				b.AddBytes(data) // the signers
			})
		})
	})
	return b.BytesOrPanic()
}

// distributionPoint is the extension that names where a certificate's revocation list is.
func distributionPoint(address string) pkix.Extension {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
					b.AddASN1(der.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
				})
			})
		})
	})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: b.BytesOrPanic()}
}

// TestSANName is trap 25: the name is the subjectAltName's, and not cut from the common name.
func TestSANName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	subject := npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "o", Value: "yessign"}}, {{Type: "cn", Value: "김철수()0088"}}}
	// The name comes in decomposed letters, as some programs write them.
	_, _, e := w.login(w.odd(w.ca, npkitest.Template{Subject: subject, Identity: &npki.Identity{RealName: "\u1112\u1169\u11bc\u1100\u1175\u11af\u1103\u1169\u11bc"}}))
	if e.Attributes.Name != name {
		t.Errorf("name %q", e.Attributes.Name)
	}
}

func TestGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) { w.trust.Grace = 48 * time.Hour })
	who := w.person(general)
	if _, _, e := w.login(who); e.Level != 3 || e.StatusOverdue != 0 {
		t.Fatalf("fresh: %+v", e)
	}
	w.ca.Misbehave(npkitest.CRLDown)
	w.advance(36 * time.Hour)
	_, _, e := w.login(who)
	if e.Level != 2 || e.StatusOverdue <= 0 || e.StatusOverdue > 36*time.Hour {
		t.Errorf("in grace: level %d, overdue %s", e.Level, e.StatusOverdue)
	}
	if text := w.log.String(); !strings.Contains(text, "status is overdue") || !strings.Contains(text, "authority=yessign") || strings.Contains(text, name) {
		t.Errorf("log: %s", text)
	}
	w.advance(72 * time.Hour)
	at := w.begin()
	_, err := w.Verify(t.Context(), at, w.sign(at, who))
	wantCode(t, err, authn.StatusUnknown)
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.person(general)
	at, answer, e := w.login(who)
	got, err := w.Identify(t.Context(), at, answer, e)
	if err != nil {
		t.Fatal(err)
	}
	want := e
	want.CI, want.Attributes = ci(1), authn.Attributes{Name: name, BirthDate: "1801-01-01", Gender: "male", Nationality: "domestic"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestIdentifyRefused(t *testing.T) {
	t.Parallel()
	says := func(change func(*certificate.UCPIDPerson)) setup {
		return func(w *world) { w.ucpid[npkitest.Yessign] = answers(change) }
	}
	fails := func(err error) setup {
		return func(w *world) {
			w.ucpid[npkitest.Yessign] = ucpidFunc(func(context.Context, string, []byte) (certificate.UCPIDPerson, error) {
				return certificate.UCPIDPerson{}, err
			})
		}
	}
	// asks signs another request than the one that was asked for.
	asks := func(change func(*npki.UCPIDRequest)) func(*world, authn.Attempt, *npkitest.Holder, *authn.Answer) {
		return func(w *world, at authn.Attempt, who *npkitest.Holder, answer *authn.Answer) {
			request, err := w.Request(at)
			if err != nil {
				w.t.Fatal(err)
			}
			der, _ := base64.RawURLEncoding.DecodeString(request.UCPID)
			parsed, err := npki.ParseUCPIDRequest(der)
			if err != nil {
				w.t.Fatal(err)
			}
			change(parsed)
			if der, err = parsed.Marshal(); err != nil {
				w.t.Fatal(err)
			}
			answer.UCPID = w.cms(who, der, npki.SignOptions{})
		}
	}
	for _, tt := range []struct {
		name   string
		setup  setup
		change func(*world, authn.Attempt, *npkitest.Holder, *authn.Answer)
		code   authn.Code
	}{
		{"trap 26: another nonce", nil, asks(func(r *npki.UCPIDRequest) { r.Nonce = bytes.Repeat([]byte{1}, 16) }), authn.WrongChallenge},
		{"trap 27: another site", nil, asks(func(r *npki.UCPIDRequest) { r.Site = "phish.example.kr" }), authn.WrongChallenge},
		{"another agreement", nil, asks(func(r *npki.UCPIDRequest) { r.Agreement = "동의" }), authn.WrongChallenge},
		{"another program", nil, asks(func(r *npki.UCPIDRequest) { r.Module, r.Vendor = "KSign", "vendor" }), ""},
		{"no request", nil, func(_ *world, _ authn.Attempt, _ *npkitest.Holder, a *authn.Answer) { a.UCPID = "" }, authn.BadEvidence},
		{"the login signature in its place", nil, func(_ *world, _ authn.Attempt, _ *npkitest.Holder, a *authn.Answer) { a.UCPID = a.Signed }, authn.BadEvidence},
		{"another certificate of the same person", nil, func(w *world, at authn.Attempt, who *npkitest.Holder, a *authn.Answer) {
			other, err := who.Renew()
			if err != nil {
				w.t.Fatal(err)
			}
			a.UCPID = w.sign(at, other).UCPID
		}, authn.BadEvidence},
		{"another answer than was verified", nil, func(w *world, at authn.Attempt, who *npkitest.Holder, a *authn.Answer) {
			w.advance(time.Second)
			*a = w.sign(at, who)
		}, authn.BadRequest},
		{"trap 36: the DN of another certificate", says(func(p *certificate.UCPIDPerson) { p.DN = "cn=김철수()0088,ou=personal4IB,o=yessign,c=kr" }), nil, authn.BadEvidence},
		{"no DN", says(func(p *certificate.UCPIDPerson) { p.DN = "" }), nil, authn.BadEvidence},
		{"another name", says(func(p *certificate.UCPIDPerson) { p.RealName = "김철수" }), nil, authn.BadEvidence},
		{"no CI", says(func(p *certificate.UCPIDPerson) { p.CI = "" }), nil, authn.BadEvidence},
		{"a CI with a space", says(func(p *certificate.UCPIDPerson) { p.CI = " " + p.CI[1:] }), nil, authn.BadEvidence},
		{"an odd birth date", says(func(p *certificate.UCPIDPerson) { p.BirthDate = "19010101" }), nil, authn.BadEvidence},
		{"an odd gender", says(func(p *certificate.UCPIDPerson) { p.Gender = "0" }), nil, authn.BadEvidence},
		{"an odd nationality", says(func(p *certificate.UCPIDPerson) { p.National = "KR" }), nil, authn.BadEvidence},
		{"down", fails(&authn.Error{Code: authn.ProviderDown}), nil, authn.ProviderDown},
		{"refuses our account", fails(&authn.Error{Code: authn.ProviderAuth, Provider: "900101"}), nil, authn.ProviderAuth},
		{"an error without a code", fails(errors.New("broken")), nil, authn.ProviderDown},
		{"an authority without a client", func(w *world) { w.ucpid = map[string]certificate.UCPIDClient{npkitest.KICA: answers(nil)} }, nil, authn.CertificateRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var setups []setup
			if tt.setup != nil {
				setups = append(setups, tt.setup)
			}
			w := newWorld(t, setups...)
			who := w.person(general)
			at, answer, e := w.login(who)
			if tt.change != nil {
				tt.change(w, at, who, &answer)
			}
			got, err := w.Identify(t.Context(), at, answer, e)
			wantCode(t, err, tt.code)
			if err != nil && got.CI != "" {
				t.Error("an error with a CI")
			}
		})
	}
}

// TestIdentifyByNumber leaves a certificate to the number whose authority cannot be asked.
func TestIdentifyByNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withNumber, withResolver)
	who := w.enroll(w.authority(npkitest.KICA, npkitest.RSA2048), npkitest.Applicant{Name: name, Number: number, Policy: "1.2.410.200004.5.2.1.2"})
	at, answer, e := w.login(who)
	got, err := w.Identify(t.Context(), at, answer, e)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(e) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	file := func(w *world, text string) string {
		path := filepath.Join(w.dir, "odd.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		name   string
		setups []setup
		want   string
	}{
		{"everything", []setup{withNumber, withResolver}, ""},
		{"no issuer", []setup{func(w *world) { w.config.Issuer = "" }}, "the Issuer is no URL"},
		{"an issuer that ends the line", []setup{func(w *world) { w.config.Issuer = issuer + "\n" }}, "the Issuer is no URL"},
		{"nobody to ask", []setup{alone}, "nobody can tell"},
		{"nobody to ask, with number", []setup{withNumber, alone}, "nobody can tell"},
		{"resolver without law", []setup{withResolver}, "needs the ResidentNumberBasis"},
		{"resolver without key", []setup{withNumber, withResolver, func(w *world) { w.config.ResolverKey = "" }}, "ResolverKey"},
		{"resolver in clear", []setup{withNumber, func(w *world) { w.config.ResolverURL, w.config.ResolverKey = "http://ci.example", "k" }}, "needs https"},
		{"resolver with a query", []setup{withNumber, func(w *world) { w.config.ResolverURL, w.config.ResolverKey = "https://ci.example?a", "k" }}, "base URL"},
		{"unknown policy", []setup{func(w *world) { w.config.Policies = []string{"1.2.3"} }}, "policy 1.2.3 is not known"},
		{"a company's policy", []setup{func(w *world) { w.config.Policies = []string{company} }}, "(법인 범용) is not of persons'"},
		{"a financial policy", []setup{func(w *world) { w.config.Policies = []string{cloud} }}, "is not of persons'"},
		{"a dead authority's policy", []setup{func(w *world) { w.config.Policies = []string{"1.2.410.200004.5.3.1.9"} }}, "is not of persons'"},
		{"no recipient", []setup{withNumber, func(w *world) { w.config.RecipientKey = "" }}, "recipient"},
		{"recipient's key of another certificate", []setup{withNumber, func(w *world) {
			w.config.RecipientCertificate = w.pem("other.pem", w.ca.Certificate)
		}}, "does not match"},
		{"recipient that only signs", []setup{withNumber, func(w *world) {
			key, _ := w.pki.NewKey(2048)
			w.recipientFiles(key, &x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature, NotAfter: noon.AddDate(1, 0, 0)})
		}}, "not for encrypting"},
		{"recipient of text", []setup{withNumber, func(w *world) { w.config.RecipientCertificate = file(w, "text") }}, "recipient"},
		{"level", []setup{func(w *world) { w.config.Level = 4 }}, "Level"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, change := range tt.setups {
				change(w)
			}
			_, err := jointcert.New(w.config, w.verifier, w.ucpid, w.client, w.now)
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := jointcert.New(jointcert.Config{}, nil, nil, nil, nil); err == nil {
		t.Error("no verifier")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withNumber, withResolver)
	wantCode(t, w.Check(t.Context()), "")
	w.config.ResolverURL = strings.TrimSuffix(w.config.ResolverURL, "/ci")
	w.open()
	wantCode(t, w.Check(t.Context()), authn.BadRequest)
	w.directory.Close()
	wantCode(t, w.Check(t.Context()), authn.ProviderDown)
	w.advance(340 * 24 * time.Hour)
	wantCode(t, w.Check(t.Context()), authn.CertificateExpired)
}
