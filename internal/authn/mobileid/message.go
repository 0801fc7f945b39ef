package mobileid

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/anyid/anyid/internal/authn"
)

// MIP's error codes (message specification v1.8.0) that a verifier answers with.
const (
	mipFormat      = 10001
	mipMissing     = 10002
	mipBase64      = 10003
	mipData        = 10100
	mipType        = 10101
	mipVersion     = 10102
	mipCommand     = 10103
	mipUnknown     = 10104 // no such trxcode
	mipPresentType = 10106
	mipEncryptType = 10107
	mipKeyType     = 10108
	mipVerifyType  = 10109
	mipAuthTypes   = 10110
	mipNonce       = 10111
	mipAuthType    = 10112 // not the one asked for
	mipSequence    = 10201
	mipTimeout     = 10202
	mipOther       = 99999
)

// mipMessages are the texts beside the codes. They say nothing that the code does not.
var mipMessages = map[int]string{
	mipFormat: "message format", mipMissing: "missing item", mipBase64: "base64", mipData: "invalid data", mipType: "type",
	mipVersion: "version", mipCommand: "cmd", mipUnknown: "trxcode not found", mipPresentType: "presentType",
	mipEncryptType: "encryptType", mipKeyType: "keyType", mipVerifyType: "vp type", mipAuthTypes: "authType unsupported",
	mipNonce: "nonce mismatch", mipAuthType: "authType mismatch", mipSequence: "sequence", mipTimeout: "timeout", mipOther: "unknown error",
}

// mipRefused is why a wallet's message, or the presentation in it, is not taken: the code for the wallet, and
// the neutral one for the journey where the transaction ends with it.
type mipRefused struct {
	mip  int
	code authn.Code
	err  error
}

func (r *mipRefused) Error() string {
	text := "mobileid: " + mipMessages[r.mip]
	if r.err != nil {
		text += ": " + r.err.Error()
	}
	return text
}

func (r *mipRefused) Unwrap() error { return r.err }

// refuse is a refusal for what the wallet has sent.
func refuse(mip int, what string) *mipRefused {
	return &mipRefused{mip: mip, code: authn.BadEvidence, err: fmt.Errorf("mobileid: %s", what)}
}

// The protocol that all messages name.
const (
	mipName     = "mip"
	mipProtocol = "1.0.0"
	// What the verifier sends.
	cmdStart = "200"
	// What wallets send.
	cmdProfile = "310"
	cmdImage   = "320"
	cmdPresent = "400"
	cmdError   = "900"
)

// header begins every message.
type header struct {
	Type    string `json:"type"`
	Version string `json:"version"`
	Command string `json:"cmd"`
	Trxcode string `json:"trxcode"`
}

func newHeader(command, trxcode string) header {
	return header{mipName, mipProtocol, command, trxcode}
}

// start is M200, which tells a wallet where to fetch the profile.
type start struct {
	header
	Mode  string `json:"mode"`
	Image string `json:"image,omitempty"`
	CI    bool   `json:"ci"`
	Host  string `json:"host"`
}

// encode returns a message as it travels: JSON, base64url without padding.
func encode(message any) (string, error) {
	text, err := json.Marshal(message)
	if err != nil {
		return "", fmt.Errorf("mobileid: message: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// parseRequest reads a wallet's body, {"data":"<base64 of the message>"}, whose message must be this command,
// and returns the message and its trxcode. Padding is taken, since one version of the specification wants it.
func parseRequest(body []byte, command string) (message object, trxcode string, err error) {
	envelope, err := parseObject(body)
	if err != nil {
		return nil, "", refuse(mipFormat, "the body is not JSON")
	}
	data, ok := envelope.text("data")
	if !ok {
		return nil, "", refuse(mipMissing, "the body has no data")
	}
	bare := strings.TrimRight(data, "=")
	if padding := len(data) - len(bare); padding != 0 && (padding > 2 || len(data)%4 != 0) {
		return nil, "", refuse(mipBase64, "the data is not base64url")
	}
	text, err := strictBase64(bare)
	if err != nil {
		return nil, "", refuse(mipBase64, "the data is not base64url")
	}
	if message, err = parseObject(text); err != nil {
		return nil, "", refuse(mipFormat, "the message is not JSON")
	}
	for _, f := range []struct {
		name, want string
		code       int
	}{{"type", mipName, mipType}, {"version", mipProtocol, mipVersion}, {"cmd", command, mipCommand}} {
		switch got, ok := message.text(f.name); {
		case !ok:
			return nil, "", refuse(mipMissing, "the message has no "+f.name)
		case got != f.want:
			return nil, "", refuse(f.code, "the message has another "+f.name)
		}
	}
	trxcode, ok = message.text("trxcode")
	if !ok || trxcode == "" {
		return nil, "", refuse(mipMissing, "the message has no trxcode")
	}
	if !trxcodes.MatchString(trxcode) {
		return nil, "", refuse(mipUnknown, "no trxcode of ours")
	}
	return message, trxcode, nil
}

// readBody reads a wallet's body of JSON.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, refuse(mipFormat, "the body is not application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, refuse(mipFormat, "the body is too long, or broke off")
	}
	return body, nil
}

// mipAnswer is the answer to a wallet: always status 200.
type mipAnswer struct {
	Result bool   `json:"result"`
	Data   string `json:"data,omitempty"`
}

// answer writes the answer to a wallet.
func answer(w http.ResponseWriter, a mipAnswer) {
	body, err := json.Marshal(a)
	if err != nil {
		panic(err) // a bool and a string
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}

// answerError writes M900.
func answerError(w http.ResponseWriter, trxcode string, code int) {
	data, err := encode(struct {
		header
		Code    int    `json:"errcode"`
		Message string `json:"errmsg"`
	}{newHeader(cmdError, trxcode), code, mipMessages[code]})
	if err != nil {
		panic(err) // strings and a number
	}
	answer(w, mipAnswer{Data: data})
}

// walletError is what a wallet's error code says of the proof.
func walletError(code int) authn.Code {
	switch code {
	case 20901:
		return authn.UserCancelled
	case 20202:
		return authn.TooLate
	case 20301, 20302:
		return authn.NoCredential
	case 20306:
		return authn.BadEvidence
	case 90001:
		return failed
	case 90002:
		return authn.ProviderAuth
	case 99999:
		return authn.ProviderDown
	}
	if code >= 20000 && code < 30000 {
		return authn.BadRequest // it does not like what we sent
	}
	return authn.ProviderDown
}

// failed stands for authn.Failed in a record: the wallet says that the proof failed.
const failed authn.Code = "failed"

// pushError is what the push service's error code says.
func pushError(code int) authn.Code {
	switch code {
	case 10301:
		return authn.ProviderAuth
	case 10302, 10304:
		return authn.BadRequest
	case 10303, 10305: // no such number, or nobody with the app has it
		return authn.NoCredential
	}
	return authn.ProviderDown
}

// pushMessage asks the push service to hand M200 to a phone.
type pushMessage struct {
	Code  string `json:"mscode"`
	Type  string `json:"pushType"`
	Phone string `json:"telno"`
	Name  string `json:"name,omitempty"`
	Birth string `json:"birth,omitempty"`
	Data  string `json:"data"`
}

const pushType = "MIP-USP-001"

// parsePushAnswer reads what the push service says: nil, or an *authn.Error.
func parsePushAnswer(status int, body []byte) error {
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return &authn.Error{Code: authn.ProviderAuth, Provider: strconv.Itoa(status)}
	}
	o, err := parseObject(body)
	if err != nil {
		return &authn.Error{Code: authn.ProviderDown, Provider: strconv.Itoa(status), Err: err}
	}
	if ok, _ := o.get("result").(bool); ok && status == http.StatusOK {
		return nil
	}
	code, known := o.integer("errcode")
	if !known {
		return &authn.Error{Code: authn.ProviderDown, Provider: strconv.Itoa(status)}
	}
	return &authn.Error{Code: pushError(code), Provider: strconv.Itoa(code)}
}
