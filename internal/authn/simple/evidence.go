package simple

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/smallstep/pkcs7"
	"golang.org/x/text/unicode/norm"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// ciLength is the length of a CI: 64 bytes in base64.
const ciLength = 88

// result is the answer to a verification.
type result struct {
	ReceiptID       string `json:"receiptID"`
	State           scalar `json:"state"`
	SignedData      string `json:"signedData"`
	CI              string `json:"ci"`
	ReceiverName    string `json:"receiverName"`
	ReceiverYear    scalar `json:"receiverYear"`
	ReceiverDay     scalar `json:"receiverDay"`
	ReceiverHP      string `json:"receiverHP"`
	ReceiverGender  scalar `json:"receiverGender"`
	ReceiverForeign scalar `json:"receiverForeign"`
	ReceiverEmail   string `json:"receiverEmail"`
}

// parseResult reads the answer to a verification.
func parseResult(answer []byte) (result, error) {
	var out result
	if json.Unmarshal(answer, &out) != nil {
		return result{}, errors.New("simple: the result is not readable")
	}
	return out, nil
}

// verify checks a result against the attempt and turns it into evidence.
func (a *Adapter) verify(p *provider, at authn.Attempt, h handle, r result) (authn.Evidence, error) {
	if r.ReceiptID != h.Receipt {
		return authn.Evidence{}, errors.New("simple: the result is another request's")
	}
	// Some providers leave the state out of the result; one that is there has to be 완료.
	if state, err := r.State.state(); r.State != "" && (err != nil || state != authn.Approved) {
		return authn.Evidence{}, errors.New("simple: the result is not of a completed request")
	}
	if err := a.openResult(&r); err != nil {
		return authn.Evidence{}, err
	}
	if raw, err := base64.StdEncoding.DecodeString(r.CI); err != nil || len(r.CI) != ciLength || len(raw) != 64 {
		return authn.Evidence{}, errors.New("simple: the CI has not its shape")
	}
	content, digest, err := a.verifySignedData(r.SignedData)
	if err != nil {
		return authn.Evidence{}, err
	}
	evidence := authn.Evidence{
		Method: method.Simple, Provider: p.ID, Label: p.Korean + " 인증",
		Subject: r.CI, CI: r.CI, // a person's certificates at two providers are the same person's
		Level: a.cfg.TransportLevel, AMR: slices.Clone(amrTransport), At: a.now().UTC(), Binding: authn.Transport, Digest: digest,
	}
	if p.token {
		if !bytes.Contains(content, []byte(at.Nonce)) {
			return authn.Evidence{}, errors.New("simple: the signature does not cover the nonce")
		}
		evidence.Level, evidence.AMR, evidence.Binding = a.cfg.Level, slices.Clone(amrSigned), authn.Signed
	}
	evidence.Attributes, err = attributes(r)
	return evidence, err
}

// The authentication method references (RFC 8176 §2). "mca": the request and the answer went over the
// phone's own channel, not the browser's. "mfa": the providers unlock the key on the phone with a PIN
// or biometrics; which of the two, and whether hardware holds the key, they do not tell, so neither
// "pin" nor "hwk" is claimed. "pop": the key signed our nonce, which nobody shows us for Naver.
var (
	amrSigned    = []string{"mca", "mfa", "pop"}
	amrTransport = []string{"mca", "mfa"}
)

// openResult decrypts the personal fields in place.
func (a *Adapter) openResult(r *result) error {
	fields := []*string{
		&r.ReceiverName, (*string)(&r.ReceiverYear), (*string)(&r.ReceiverDay), &r.ReceiverHP,
		(*string)(&r.ReceiverGender), (*string)(&r.ReceiverForeign), &r.ReceiverEmail,
	}
	if len(r.CI) != ciLength { // a plain CI is base64 too, and shorter than an encrypted one
		fields = append(fields, &r.CI)
	}
	for _, field := range fields {
		plain, err := a.open(*field)
		if err != nil {
			return fmt.Errorf("simple: %w", err)
		}
		*field = plain
	}
	return nil
}

// verifySignedData checks signedData, base64 of PKCS#7 SignedData (RFC 2315 §9) with its content inside
// and one signer, and returns the content and the SHA-256 of the whole in hex. The signature is checked
// with the embedded certificate, and the certificate against the trusted roots where there are any.
// Errors of the library are not passed on, since they quote the certificate.
func (a *Adapter) verifySignedData(signedData string) (content []byte, digest string, err error) {
	der, err := base64.StdEncoding.DecodeString(signedData)
	if err != nil {
		return nil, "", errors.New("simple: signedData is not base64")
	}
	signed, err := pkcs7.Parse(der)
	if err != nil {
		return nil, "", errors.New("simple: signedData is not PKCS#7")
	}
	if len(signed.Signers) != 1 || signed.GetOnlySigner() == nil || len(signed.Content) == 0 {
		return nil, "", errors.New("simple: signedData has not one signer, its certificate and a content")
	}
	signer := signed.Signers[0]
	if oid := signer.DigestAlgorithm.Algorithm; !oid.Equal(pkcs7.OIDDigestAlgorithmSHA256) &&
		!oid.Equal(pkcs7.OIDDigestAlgorithmSHA384) && !oid.Equal(pkcs7.OIDDigestAlgorithmSHA512) ||
		signer.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDDigestAlgorithmECDSASHA1) { // whatever the digest is, and still taken by crypto/x509
		return nil, "", errors.New("simple: signedData has a weak digest")
	}
	if signed.VerifyWithChainAtTime(a.roots, a.now()) != nil {
		return nil, "", errors.New("simple: the signature or its certificate does not verify")
	}
	sum := sha256.Sum256(der)
	return signed.Content, hex.EncodeToString(sum[:]), nil
}

// attributes normalises what the provider says of the person. A name and a birth date are needed; what
// else is missing or not understood stays empty.
func attributes(r result) (authn.Attributes, error) {
	out := authn.Attributes{
		Name: norm.NFC.String(strings.TrimSpace(r.ReceiverName)), Gender: gender(string(r.ReceiverGender)),
		Nationality: nationality(string(r.ReceiverForeign)), Phone: phone(r.ReceiverHP), Email: email(r.ReceiverEmail),
	}
	if out.Name == "" || !utf8.ValidString(out.Name) {
		return authn.Attributes{}, errors.New("simple: the result names nobody")
	}
	born, err := time.Parse("20060102", string(r.ReceiverYear+r.ReceiverDay))
	if err != nil {
		return authn.Attributes{}, errors.New("simple: the result has no birth date")
	}
	out.BirthDate = born.Format(time.DateOnly)
	return out, nil
}

// gender accepts M and F, male and female, 남 and 여 with 자 or 성, and a digit as in a resident number,
// odd for male. The providers' spelling is not published.
func gender(text string) string {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "m", "male", "남", "남자", "남성", "1", "3", "5", "7", "9":
		return "male"
	case "f", "female", "여", "여자", "여성", "0", "2", "4", "6", "8":
		return "female"
	}
	return ""
}

// nationality accepts an answer to "is this a foreigner" (외국인 여부) as Y and N, true and false, 1 and
// 0, F(oreign) and L(ocal), foreign and domestic, 외국인 and 내국인.
func nationality(text string) string {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "n", "false", "0", "l", "domestic", "내국인":
		return "domestic"
	case "y", "true", "1", "f", "foreign", "외국인":
		return "foreign"
	}
	return ""
}

var phoneMarks = strings.NewReplacer("-", "", " ", "", "+", "")

// phone turns a Korean mobile number, 010… or +82 10…, with or without hyphens and spaces, into E.164.
func phone(text string) string {
	digits := phoneMarks.Replace(text)
	if national, ok := strings.CutPrefix(digits, "82"); ok {
		digits = "0" + strings.TrimPrefix(national, "0")
	}
	if !phonePattern.MatchString(digits) {
		return ""
	}
	return "+82" + digits[1:]
}

// email keeps what can be an address.
func email(text string) string {
	local, domain, ok := strings.Cut(text, "@")
	if !ok || local == "" || domain == "" || len(text) > 254 || strings.ContainsAny(text, " \t\r\n<>") || strings.Contains(domain, "@") {
		return ""
	}
	return text
}
