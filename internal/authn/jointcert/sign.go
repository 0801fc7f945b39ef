package jointcert

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
)

// ttl is the longest time between the challenge and its signature.
const ttl = 5 * time.Minute

// amr: a key in software, which the password of its file opens; and that it was a joint certificate.
var amr = []string{"swk", "kr_joint_cert"}

// agreement is what the citizen agrees to by signing the request for their identity. The site stands in
// it, since the citizen knows the broker by it.
const agreement = "정부 통합인증(Any-ID)이 본인을 확인할 수 있도록, 인증서를 발급한 인증기관이 나의 이름, 성별, 내·외국인 여부, " +
	"생년월일, 연계정보(CI)를 %s에 제공하는 것에 동의합니다."

// handle is Started.Private.
type handle struct {
	expires int64 // Unix seconds
	content []byte
	ucpid   []byte // UCPIDRequestInfo in DER, or empty
}

func (h handle) marshal() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint64(uint64(h.expires))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.content) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.ucpid) })
	return b.Bytes()
}

// open reads the challenge that Begin has made.
func open(at authn.Attempt) (handle, error) {
	s := cryptobyte.String(at.Private)
	var expires uint64
	var content, ucpid cryptobyte.String
	if !s.ReadUint64(&expires) || !s.ReadUint16LengthPrefixed(&content) || !s.ReadUint16LengthPrefixed(&ucpid) || !s.Empty() || content.Empty() {
		return handle{}, badRequest("the attempt has no challenge")
	}
	return handle{int64(expires), content, ucpid}, nil
}

// Begin implements authn.Authenticator: it makes the challenge, and asks nobody.
func (a *Adapter) Begin(_ context.Context, at authn.Attempt, _ authn.Input) (authn.Started, error) {
	if len(a.taken(at.Certificates)) == 0 {
		return authn.Started{}, badRequest("the site takes no certificate that the deployment takes")
	}
	now := a.now()
	expires := now.Add(ttl)
	if !at.ExpiresAt.IsZero() && at.ExpiresAt.Before(expires) {
		expires = at.ExpiresAt
	}
	if !expires.After(now) {
		return authn.Started{}, &authn.Error{Code: authn.TooLate}
	}
	h := handle{expires: expires.Unix(), content: a.content(at, now)}
	if len(a.ucpid) > 0 {
		nonce, err := nonceOf(at)
		if err != nil {
			return authn.Started{}, err
		}
		request := npki.UCPIDRequest{
			Nonce: nonce, Agreement: fmt.Sprintf(agreement, a.site), Items: npki.UCPIDAll,
			Module: "Any-ID", Vendor: "Any-ID", Version: npki.UCPIDVersion{Major: 1}, Site: a.site,
		}
		if h.ucpid, err = request.Marshal(); err != nil {
			return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
		}
	}
	private, err := h.marshal()
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return authn.Started{Private: private, ExpiresAt: expires}, nil
}

// content is the line that is signed. It begins like no document's, so that a login's signature never
// serves for one, and names the attempt by a hash, since whoever sees the signature must not learn the id.
func (a *Adapter) content(at authn.Attempt, now time.Time) []byte {
	var nonce [32]byte
	_, _ = rand.Read(nonce[:])
	transaction := sha256.Sum256([]byte("anyid-login:" + at.ID))
	return fmt.Appendf(nil, "anyid-login;v=1;iss=%s;txn=%s;nonce=%s;iat=%d;aud=%s", a.cfg.Issuer,
		base64.RawURLEncoding.EncodeToString(transaction[:]), base64.RawURLEncoding.EncodeToString(nonce[:]), now.Unix(), at.Site)
}

// nonceOf is the attempt's nonce in bytes.
func nonceOf(at authn.Attempt) ([]byte, error) {
	nonce, err := hex.DecodeString(at.Nonce)
	if err != nil || len(nonce) != 16 {
		return nil, badRequest("the nonce is not 32 hex digits")
	}
	return nonce, nil
}

func badRequest(what string) *authn.Error {
	return &authn.Error{Code: authn.BadRequest, Err: errors.New("jointcert: " + what)}
}

// Request implements authn.Signer.
func (a *Adapter) Request(at authn.Attempt) (authn.SignRequest, error) {
	h, err := open(at)
	if err != nil {
		return authn.SignRequest{}, err
	}
	out := authn.SignRequest{Content: string(h.content), Policies: a.taken(at.Certificates), Recipient: a.encoded}
	if len(h.ucpid) > 0 {
		request, err := npki.ParseUCPIDRequest(h.ucpid)
		if err != nil {
			return authn.SignRequest{}, &authn.Error{Code: authn.BadRequest, Err: err}
		}
		out.UCPID, out.Agreement = base64.RawURLEncoding.EncodeToString(h.ucpid), request.Agreement
	}
	return out, nil
}

// signature verifies the login signature of an answer.
func (a *Adapter) signature(at authn.Attempt, h handle, answer authn.Answer) (*certificate.Signature, error) {
	if a.now().Unix() > h.expires {
		return nil, &authn.Error{Code: authn.TooLate}
	}
	policies := a.taken(at.Certificates)
	if len(policies) == 0 {
		return nil, badRequest("the site takes no certificate that the deployment takes")
	}
	return a.verifier.CMS(answer.Signed, npki.Want{Content: h.content, Attributes: npki.Required}, policies)
}

// Verify implements authn.Signer.
func (a *Adapter) Verify(ctx context.Context, at authn.Attempt, answer authn.Answer) (authn.Evidence, error) {
	h, err := open(at)
	if err != nil {
		return authn.Evidence{}, err
	}
	s, err := a.signature(at, h, answer)
	if err != nil {
		return authn.Evidence{}, err
	}
	if a.number && !numbered(s) {
		return authn.Evidence{}, &authn.Error{Code: authn.CertificateRefused, Err: errors.New("jointcert: the certificate has no VID to check a number against")}
	}
	e, err := a.verifier.Evidence(ctx, s, certificate.Proof{Method: method.JointCert, Level: a.cfg.Level, AMR: amr})
	if err != nil {
		return authn.Evidence{}, err
	}
	if a.number {
		sum := sha256.Sum256(s.VID.Value)
		e.Number, e.VIDDigest = true, hex.EncodeToString(sum[:])
	}
	return e, nil
}

// Identify implements authn.Signer. An authority that cannot be asked leaves the evidence without a CI
// where a number can bring it; elsewhere its certificates cannot be used.
func (a *Adapter) Identify(ctx context.Context, at authn.Attempt, answer authn.Answer, e authn.Evidence) (authn.Evidence, error) {
	h, err := open(at)
	if err != nil {
		return e, err
	}
	s, err := a.signature(at, h, answer)
	if err != nil {
		return e, err
	}
	client := a.ucpid[s.Chain.Policy.CA.Organization]
	if client == nil {
		if a.resolver != nil {
			return e, nil
		}
		return e, &authn.Error{Code: authn.CertificateRefused, Err: errors.New("jointcert: the authority cannot be asked who the holder is")}
	}
	request, err := npki.ParseUCPIDRequest(h.ucpid)
	if err != nil {
		return e, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return a.verifier.Identify(ctx, client, s, e, answer.UCPID, npki.Want{Attributes: npki.Required}, npki.UCPIDWant{
		Nonce: request.Nonce, Site: a.site, Agreement: request.Agreement, Items: request.Items,
	})
}
