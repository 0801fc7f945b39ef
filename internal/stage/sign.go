package stage

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/pkg/npki"
)

// The forms that the signers' pages send.
const (
	jointForm     = "cert-form"
	financialForm = "fincert-form"
)

// Signature is what a signer's page puts into its form: each field as it is sent, or empty.
type Signature struct {
	Signed, UCPID, VID, Certificate string
}

// Sign makes what the page makes of a request with a key from a file.
func Sign(pair npki.Pair, r authn.SignRequest) (out Signature, err error) {
	cms := func(content []byte) string {
		message, problem := npki.SignCMS(pair.Key.Key, pair.Certificate.Raw, content, npki.SignOptions{})
		err = errors.Join(err, problem)
		return base64.RawURLEncoding.EncodeToString(message)
	}
	out.Signed = cms([]byte(r.Content))
	if r.UCPID != "" {
		request, problem := base64.RawURLEncoding.DecodeString(r.UCPID)
		err = errors.Join(err, problem)
		out.UCPID = cms(request)
	}
	if r.Recipient != "" {
		recipient, problem := base64.StdEncoding.DecodeString(r.Recipient)
		if problem != nil {
			return out, errors.Join(err, problem)
		}
		certificate, problem := npki.ParseCertificate(recipient)
		if problem != nil {
			return out, errors.Join(err, problem)
		}
		key, ok := certificate.PublicKey.(*rsa.PublicKey)
		if !ok {
			return out, errors.Join(err, errors.New("stage: the recipient's key is not RSA"))
		}
		out.VID, problem = npki.VIDMsg{R: pair.Key.R}.Seal(nil, key)
		err = errors.Join(err, problem)
	}
	return out, err
}

// Wallet is what the citizen has to sign with.
func (c *Citizen) Wallet() Wallet { return c.stage.Wallet(c.Person) }

// ProveJoint goes from the choice of a method through the joint certificate with the n-th certificate of the
// wallet, to whatever comes after it.
func (c *Citizen) ProveJoint(ctx context.Context, n int) error {
	r, err := c.ChooseJoint(ctx)
	if err != nil {
		return err
	}
	pair, err := c.Wallet().Open(n)
	if err != nil {
		return err
	}
	signature, err := Sign(pair, r)
	if err != nil {
		return err
	}
	return c.SendJoint(ctx, signature)
}

// ChooseJoint goes from the choice of a method to the signer for files, and reads what it is to sign.
func (c *Citizen) ChooseJoint(ctx context.Context) (authn.SignRequest, error) {
	return c.choose(ctx, "method-joint-cert", jointForm)
}

// SendJoint sends what that signer's page would send.
func (c *Citizen) SendJoint(ctx context.Context, s Signature) error { return c.send(ctx, jointForm, s) }

// ProveFinancial goes from the choice of a method through the financial certificate, with the PIN, to whatever
// comes after it.
func (c *Citizen) ProveFinancial(ctx context.Context) error {
	r, err := c.ChooseFinancial(ctx)
	if err != nil {
		return err
	}
	signature, err := c.SignInCloud(ctx, r, c.PIN)
	if err != nil {
		return err
	}
	return c.SendFinancial(ctx, signature)
}

// ChooseFinancial goes from the choice of a method to the page of the financial certificate, and reads what the
// cloud is to sign.
func (c *Citizen) ChooseFinancial(ctx context.Context) (authn.SignRequest, error) {
	return c.choose(ctx, "method-financial-cert", financialForm)
}

// SendFinancial sends what that page would send.
func (c *Citizen) SendFinancial(ctx context.Context, s Signature) error {
	return c.send(ctx, financialForm, s)
}

func (c *Citizen) choose(ctx context.Context, link, form string) (r authn.SignRequest, err error) {
	if err := c.Click(ctx, link); err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(c.Attribute(form, "data-request")), &r); err != nil {
		return r, fmt.Errorf("stage: %s (%d) asks for no signature: %w", c.URL().Path, c.Status(), err)
	}
	return r, nil
}

func (c *Citizen) send(ctx context.Context, form string, s Signature) error {
	fields := map[string]string{"signed": s.Signed}
	for name, value := range map[string]string{"ucpid": s.UCPID, "vid": s.VID, "certificate": s.Certificate} {
		if value != "" {
			fields[name] = value
		}
	}
	return c.Send(ctx, form, fields)
}

// SignInCloud has the cloud sign what the page's script asks it for (FinCert.Sdk), with a PIN.
func (c *Citizen) SignInCloud(ctx context.Context, r authn.SignRequest, pin string) (out Signature, err error) {
	if r.Cloud == nil {
		return out, errors.New("stage: the cloud is not asked")
	}
	identity := map[string]any{"ucpidInfo": map[string]any{
		"ispUrlInfo": r.Cloud.Site, "ucpidNonce": r.Cloud.Nonce, "userAgreement": r.Agreement,
		"userAgreeInfo": map[string]bool{"realName": true, "gender": true, "nationalInfo": true, "birthDate": true, "ci": true},
	}}
	if r.Cloud.Format == "CMS" {
		out.Signed, _, err = c.cloud(ctx, r, "CMS", identity, pin)
		return out, err
	}
	text := map[string]any{"plainText": map[string]any{"plainTexts": []string{r.Content}, "encoding": "UTF-8"}}
	if out.Signed, out.Certificate, err = c.cloud(ctx, r, "PKCS1", text, pin); err != nil {
		return out, err
	}
	out.UCPID, _, err = c.cloud(ctx, r, "CMS", identity, pin)
	return out, err
}

// account finds the person's certificate in the cloud.
func (c *Citizen) account() (fincert.Certificate, error) {
	for _, held := range c.stage.FinCert.Certificates() {
		if held.Name == c.Name && held.BirthDate == c.BirthDate && held.Phone == c.Phone {
			return held, nil
		}
	}
	return fincert.Certificate{}, errors.New("stage: the person has no financial certificate")
}

// cloud asks for one signature, and gives the PIN for it.
func (c *Citizen) cloud(ctx context.Context, r authn.SignRequest, format string, content any, pin string) (signed, certificate string, err error) {
	account, err := c.account()
	if err != nil {
		return "", "", err
	}
	policies := map[string]bool{}
	for _, policy := range r.Policies {
		policies[policy] = true
	}
	body, err := json.Marshal(map[string]any{
		"origin": c.URL().Scheme + "://" + c.URL().Host, "orgCode": r.Cloud.OrgCode, "apiKey": r.Cloud.APIKey,
		"request": map[string]any{
			"signFormat": map[string]any{"type": format, "CMSInfo": map[string]any{
				"ssn": "dummy", "time": time.Now().UTC().Format("20060102150405"), "withoutContent": false, "includeR": false, "generalSyntax": true,
			}},
			"content": content, "algorithms": "RSASSA-PKCS1-v1_5_SHA256",
			"view": map[string]any{"oid": policies, "enableTextView": true}, "info": map[string]any{"signType": "01"},
		},
	})
	if err != nil {
		return "", "", err
	}
	var asked struct{ ID string }
	if err := c.post(ctx, "/v1/requests", "application/json", body, &asked); err != nil {
		return "", "", err
	}
	var answer struct {
		Result struct {
			SignedVals  []string
			Certificate string
		}
	}
	form := url.Values{"certificate": {account.CertSeqNum}, "pin": {pin}}
	if err := c.post(ctx, "/v1/requests/"+asked.ID, "application/x-www-form-urlencoded", []byte(form.Encode()), &answer); err != nil {
		return "", "", err
	}
	if len(answer.Result.SignedVals) != 1 {
		return "", "", fmt.Errorf("stage: the cloud gives %d signatures", len(answer.Result.SignedVals))
	}
	return answer.Result.SignedVals[0], answer.Result.Certificate, nil
}

// post asks the cloud something, in the form's encoding or as JSON, and reads the JSON answer.
func (c *Citizen) post(ctx context.Context, path, kind string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.stage.FinCertURL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Accept", "application/json")
	response, err := c.stage.Client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, npki.MaxFile))
	if err != nil {
		return err
	}
	var refused struct {
		Error *struct{ Code, Message string }
	}
	if err := json.Unmarshal(text, &refused); err != nil {
		return fmt.Errorf("stage: the cloud answers %s: %w", response.Status, err)
	}
	if refused.Error != nil {
		return &CloudError{refused.Error.Code, refused.Error.Message}
	}
	return json.Unmarshal(text, into)
}

// CloudError is what the cloud says when it does not sign.
type CloudError struct{ Code, Message string }

func (e *CloudError) Error() string {
	return strings.TrimSpace("stage: the cloud refuses: " + e.Code + " " + e.Message)
}
