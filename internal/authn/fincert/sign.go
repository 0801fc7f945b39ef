package fincert

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/pkg/npki"
)

// ttl is the longest time between the challenge and its signature.
const ttl = 5 * time.Minute

// amr: a key that no hardware of the citizen's holds, and that it was a financial certificate. Whether a PIN, a
// pattern or a fingerprint released it, KFTC does not tell.
var amr = []string{"swk", "kr_fin_cert"}

// agreement is what the citizen agrees to by signing the request for their identity. The site stands in
// it, since the citizen knows the broker by it.
const agreement = "정부 통합인증(Any-ID)이 본인을 확인할 수 있도록, 금융인증서를 발급한 금융결제원이 나의 이름, 성별, 내·외국인 여부, " +
	"생년월일, 연계정보(CI)를 %s에 제공하는 것에 동의합니다."

// handle is Started.Private.
type handle struct {
	Nonce   []byte `json:"n"`
	Content string `json:"c,omitempty"` // the line that is signed as PKCS #1; empty: the request is signed alone
	Expires int64  `json:"e"`           // Unix seconds
}

// Begin implements authn.Authenticator: it makes the challenge, and asks nobody.
func (a *Adapter) Begin(_ context.Context, at authn.Attempt, _ authn.Input) (authn.Started, error) {
	now := a.now()
	expires := now.Add(ttl)
	if !at.ExpiresAt.IsZero() && at.ExpiresAt.Before(expires) {
		expires = at.ExpiresAt
	}
	if !expires.After(now) {
		return authn.Started{}, &authn.Error{Code: authn.TooLate}
	}
	nonce, err := hex.DecodeString(at.Nonce)
	if err != nil || len(nonce) != 16 {
		return authn.Started{}, badRequest("the nonce is not 32 hex digits")
	}
	h := handle{Nonce: nonce, Expires: expires.Unix()}
	if a.format == formatPKCS1 {
		h.Content = a.content(at, now)
	}
	private, err := json.Marshal(h)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	return authn.Started{Private: private, ExpiresAt: expires}, nil
}

// content is the line that is signed. It begins like no document's, so that a login's signature never
// serves for one, and names the attempt by a hash, since whoever sees the signature must not learn the id.
func (a *Adapter) content(at authn.Attempt, now time.Time) string {
	transaction := sha256.Sum256([]byte("anyid-login:" + at.ID))
	return fmt.Sprintf("anyid-login;v=1;iss=%s;txn=%s;nonce=%s;iat=%d;aud=%s", a.cfg.Issuer,
		base64.RawURLEncoding.EncodeToString(transaction[:]), at.Nonce, now.Unix(), at.Site)
}

// open reads the challenge that Begin has made.
func (a *Adapter) open(at authn.Attempt) (handle, error) {
	var h handle
	if json.Unmarshal(at.Private, &h) != nil || len(h.Nonce) != 16 || (h.Content == "") != (a.format == formatCMS) {
		return handle{}, badRequest("the attempt has no challenge")
	}
	return h, nil
}

func badRequest(what string) *authn.Error {
	return &authn.Error{Code: authn.BadRequest, Err: errors.New("fincert: " + what)}
}

// Request implements authn.Signer.
func (a *Adapter) Request(at authn.Attempt) (authn.SignRequest, error) {
	h, err := a.open(at)
	if err != nil {
		return authn.SignRequest{}, err
	}
	return authn.SignRequest{
		Content: h.Content, Agreement: a.agreement(), Policies: a.policies,
		Cloud: &authn.Cloud{
			Script: a.cfg.Script, Origins: a.origins, OrgCode: a.cfg.OrgCode, APIKey: a.cfg.APIKey, Format: a.format,
			Site: a.site, Nonce: hex.EncodeToString(h.Nonce),
		},
	}, nil
}

func (a *Adapter) agreement() string { return fmt.Sprintf(agreement, a.site) }

// wanted is how a request must be signed: with the attributes that our page asks for, and with or without a
// ContentInfo around it. asked is what it must say.
func (a *Adapter) wanted(h handle) (wanted npki.Want, asked npki.UCPIDWant) {
	return npki.Want{Attributes: npki.Required, AllowBare: true},
		npki.UCPIDWant{Nonce: h.Nonce, Site: a.site, Agreement: a.agreement(), Items: npki.UCPIDAll}
}

// signature verifies the login's signature.
func (a *Adapter) signature(h handle, answer authn.Answer) (*certificate.Signature, error) {
	if a.now().Unix() > h.Expires {
		return nil, &authn.Error{Code: authn.TooLate}
	}
	if a.format == formatPKCS1 {
		return a.verifier.Bare(answer.Certificate, answer.Signed, npki.PKCS1v15, []byte(h.Content), a.policies)
	}
	wanted, asked := a.wanted(h)
	return a.verifier.UCPID(answer.Signed, wanted, asked, a.policies)
}

// Verify implements authn.Signer.
func (a *Adapter) Verify(ctx context.Context, at authn.Attempt, answer authn.Answer) (authn.Evidence, error) {
	h, err := a.open(at)
	if err != nil {
		return authn.Evidence{}, err
	}
	s, err := a.signature(h, answer)
	if err != nil {
		return authn.Evidence{}, err
	}
	return a.verifier.Evidence(ctx, s, certificate.Proof{Method: method.FinancialCert, Level: a.cfg.Level, AMR: amr})
}

// Identify implements authn.Signer.
func (a *Adapter) Identify(ctx context.Context, at authn.Attempt, answer authn.Answer, e authn.Evidence) (authn.Evidence, error) {
	h, err := a.open(at)
	if err != nil {
		return e, err
	}
	s, err := a.signature(h, answer)
	if err != nil {
		return e, err
	}
	message := answer.Signed
	if a.format == formatPKCS1 {
		message = answer.UCPID
	}
	wanted, asked := a.wanted(h)
	return a.verifier.Identify(ctx, a.ucpid, s, e, message, wanted, asked)
}
