package mobileid

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// MIP's commands.
const (
	cmdStart   = "200"
	cmdProfile = "310"
	cmdPresent = "400"
	cmdError   = "900"
)

// MIP's numbers for what a wallet does not like (message specification v1.8.0).
const (
	mipFormat     = "20001"
	mipMissing    = "20002"
	mipData       = "20100"
	mipResult     = "20101"
	mipTrxcode    = "20103"
	mipProfile    = "20300"
	mipNoVC       = "20301"
	mipNoIssuer   = "20302"
	mipNoItem     = "20303"
	mipNoNonce    = "20304"
	mipNoProof    = "20305"
	mipSignature  = "20306"
	mipNoDocument = "20307"
	mipCancelled  = "20901"
	mipOther      = "99999"
)

const maxAnswer = 512 << 10

// decodeMIP reads base64url as it travels, with or without padding.
func decodeMIP(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}

// startMessage is M200.
type startMessage struct {
	Type    string `json:"type"`
	Version string `json:"version"`
	Command string `json:"cmd"`
	Trxcode string `json:"trxcode"`
	Mode    string `json:"mode"`
	CI      bool   `json:"ci"`
	Host    string `json:"host"`
}

// parseStart reads M200, from a QR code or the app's link.
func parseStart(text string) (*startMessage, error) {
	if scheme, rest, ok := strings.Cut(text, ":"); ok {
		link, err := url.Parse(rest)
		if !strings.EqualFold(scheme, "mobileid") || err != nil {
			return nil, refuse(mipFormat, "neither a QR code of MIP nor a link of its app")
		}
		if link.Query().Get("data_type") != "byte" {
			return nil, refuse(mipFormat, "the link's data_type is not byte")
		}
		text = link.Query().Get("data")
	}
	raw, err := decodeMIP(text)
	if err != nil {
		return nil, refuse(mipFormat, "not base64url")
	}
	m := new(startMessage)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, refuse(mipFormat, "not JSON of MIP")
	}
	host, err := url.Parse(m.Host)
	switch {
	case m.Type != "mip" || m.Version != "1.0.0" || m.Command != cmdStart || m.Mode != "direct":
		return nil, refuse(mipData, "type, version, cmd or mode")
	case m.Trxcode == "" || m.Host == "":
		return nil, refuse(mipMissing, "trxcode or host")
	case err != nil || host.Scheme != "https" && host.Scheme != "http" || host.Host == "":
		return nil, refuse(mipData, "host")
	}
	m.Host = strings.TrimRight(m.Host, "/")
	return m, nil
}

// profile is what an institution asks for.
type profile struct {
	ID      string `json:"id"`
	Profile struct {
		Type        string   `json:"type"`
		Name        string   `json:"name"`
		Callback    string   `json:"callBackUrl"`
		PresentType int      `json:"presentType"`
		EncryptType int      `json:"encryptType"`
		KeyType     int      `json:"keyType"`
		AuthType    []string `json:"authType"`
		Nonce       string   `json:"nonce"`
		PublicKey   string   `json:"publicKey"`
		Filter      struct {
			Issuers    []string `json:"allowIssuerList"`
			Assertions []struct {
				Type string `json:"type"`
			} `json:"requiredAssertionList"`
			Privacy []string `json:"requiredPrivacyList"`
		} `json:"filter"`
	} `json:"profile"`
	Proof struct {
		Type    string `json:"type"`
		Creator string `json:"creator"`
	} `json:"proof"`
}

// mipJob answers a request of MIP.
type mipJob struct {
	s       *Simulator
	w       *wallet
	start   *startMessage
	profile *profile
	public  *rsa.PublicKey
	cards   []*issued // that fit, one for each choice
	sent    map[string]any
}

// askMIP reads M200, fetches the profile, and verifies who asks. A wallet that does not like what it gets says so
// to the verifier (M900).
func (s *Simulator) askMIP(ctx context.Context, w *wallet, text string) (*asked, error) {
	m, err := parseStart(text)
	if err != nil {
		return nil, err
	}
	j := &mipJob{s: s, w: w, start: m}
	a, err := j.ask(ctx)
	if r, ok := errors.AsType[*refusal](err); ok && r.code[0] != '1' { // the verifier's own numbers begin with 1
		j.fail(ctx, r.code, "request refused")
	}
	return a, err
}

func (j *mipJob) ask(ctx context.Context) (*asked, error) {
	if _, struck := j.s.strike(j.w, FaultPresentFirst, protocolMIP); struck {
		// Nothing that could be verified: there is no profile yet.
		_, _ = j.post(ctx, j.start.Host+"/mip/vp", j.message(cmdPresent, map[string]any{"request": "presentation", "vp": map[string]any{
			"presentType": 1, "encryptType": 2, "keyType": keyTypeRSA, "authType": []string{pin}, "did": j.w.did,
			"nonce": strings.Repeat("0", 64), "type": "VERIFY", "data": "00",
		}}))
	}
	ask := j.message(cmdProfile, map[string]any{"request": "profile"})
	reply, err := j.post(ctx, j.start.Host+"/mip/profile", ask)
	if err != nil {
		return nil, err
	}
	if _, struck := j.s.strike(j.w, FaultProfileTwice, protocolMIP); struck {
		_, _ = j.post(ctx, j.start.Host+"/mip/profile", ask)
	}
	if reply["trxcode"] != j.start.Trxcode {
		return nil, refuse(mipTrxcode, "the profile is for another transaction")
	}
	encoded, _ := reply["profile"].(string)
	raw, err := decodeMIP(encoded)
	if err != nil || len(raw) == 0 {
		return nil, refuse(mipProfile, "no profile")
	}
	if err := j.readProfile(raw); err != nil {
		return nil, err
	}
	return j.asked()
}

// readProfile reads the profile, and verifies its proof with the institution's document.
func (j *mipJob) readProfile(raw []byte) error {
	p := new(profile)
	var document map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if json.Unmarshal(raw, p) != nil || decoder.Decode(&document) != nil {
		return refuse(mipProfile, "the profile is not JSON")
	}
	in := &p.Profile
	proof, _ := document["proof"].(map[string]any)
	switch {
	case proof == nil:
		return refuse(mipNoProof, "no proof")
	case in.Nonce == "":
		return refuse(mipNoNonce, "no nonce")
	case in.Callback == "" || in.PublicKey == "":
		return refuse(mipNoItem, "no callBackUrl or publicKey")
	case in.Type != "VERIFY" || in.PresentType != 1 || keySizes[in.EncryptType] == 0 || in.KeyType != keyTypeRSA:
		return refuse(mipProfile, "type, presentType, encryptType or keyType")
	}
	for _, kind := range in.AuthType {
		if j.w.keys[kind] == nil {
			return refuse(mipProfile, "authType")
		}
	}
	keys := j.s.ledger.keysOf(p.ID)
	at := slices.IndexFunc(keys, func(k documentKey) bool {
		return k.ID == p.Proof.Creator && k.Curve == "secp256k1" && p.Proof.Type == "Secp256k1VerificationKey2018"
	})
	if at < 0 {
		return refuse(mipNoDocument, "no such institution, or no such key")
	}
	point, err := base64.RawURLEncoding.DecodeString(keys[at].Point)
	if err != nil {
		return err
	}
	key, err := secp256k1.ParsePubKey(point)
	if err != nil {
		return err
	}
	if err := checkProfile(document, proof, key); err != nil {
		return refuse(mipSignature, "%v", err)
	}
	der, err := parseBase58(in.PublicKey)
	if err != nil {
		return refuse(mipProfile, "publicKey")
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return refuse(mipProfile, "publicKey")
	}
	var ok bool
	if j.public, ok = public.(*rsa.PublicKey); !ok {
		return refuse(mipProfile, "publicKey is not RSA")
	}
	j.profile = p
	return nil
}

// asked finds the IDs that fit the profile.
func (j *mipJob) asked() (*asked, error) {
	filter := j.profile.Profile.Filter
	allowed := false
	var choices []Choice
	for _, c := range j.w.cards {
		wanted := len(filter.Assertions) == 0
		for _, a := range filter.Assertions {
			wanted = wanted || a.Type == c.Code
		}
		if !wanted {
			continue
		}
		allowed = true
		if len(filter.Issuers) > 0 && !slices.Contains(filter.Issuers, j.s.ledger.issuers[c.Issuer].did) {
			continue
		}
		j.cards = append(j.cards, c)
		choices = append(choices, Choice{c.Label, inWords(append(j.attributes(c), j.ci()...))})
	}
	switch {
	case !allowed:
		return nil, refuse(mipNoVC, "no such ID in this wallet")
	case len(choices) == 0:
		return nil, refuse(mipNoIssuer, "no ID of these issuers in this wallet")
	}
	name, code := splitCode(j.profile.Profile.Name)
	return &asked{protocol: protocolMIP, asker: name, code: code, choices: choices, job: j}, nil
}

// ci names the CI if it is asked for.
func (j *mipJob) ci() []string {
	if j.start.CI {
		return []string{"ci"}
	}
	return nil
}

// attributes are the types that are asked for and that the ID has.
func (j *mipJob) attributes(c *issued) []string {
	var out []string
	for _, a := range attributes(j.w, c) {
		if slices.Contains(j.profile.Profile.Filter.Privacy, a.kind) {
			out = append(out, a.kind)
		}
	}
	return out
}

// splitCode takes the number to match off an institution's name: "정부 통합로그인 [27]".
func splitCode(name string) (plain, code string) {
	plain, tail, ok := strings.Cut(name, " [")
	code, closed := strings.CutSuffix(tail, "]")
	if _, err := strconv.Atoi(code); !ok || !closed || err != nil {
		return name, ""
	}
	return plain, code
}

// message makes a message of the transaction.
func (j *mipJob) message(command string, members map[string]any) map[string]any {
	members["type"], members["version"], members["cmd"], members["trxcode"] = "mip", "1.0.0", command, j.start.Trxcode
	return members
}

// post sends a message and returns what the reply carries. A refusal of the verifier's (M900) is a *refusal
// with its number.
func (j *mipJob) post(ctx context.Context, address string, message map[string]any) (map[string]any, error) {
	text, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"data": base64.RawURLEncoding.EncodeToString(text)})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, refuse(mipOther, "address")
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	resp, err := j.s.client.Do(req)
	if err != nil {
		return nil, refuse(mipOther, "the verifier does not answer")
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, refuse(mipOther, "the verifier answers %d", resp.StatusCode)
	}
	var envelope struct {
		Result *bool  `json:"result"`
		Data   string `json:"data"`
	}
	if err := json.Unmarshal(answer, &envelope); err != nil || envelope.Result == nil {
		return nil, refuse(mipResult, "the result is not boolean")
	}
	var data map[string]any
	if envelope.Data != "" {
		raw, err := decodeMIP(envelope.Data)
		if err != nil || json.Unmarshal(raw, &data) != nil {
			return nil, refuse(mipFormat, "the reply's data")
		}
	}
	if !*envelope.Result {
		code := mipOther
		switch errcode := data["errcode"].(type) {
		case float64:
			code = strconv.Itoa(int(errcode))
		case string:
			code = errcode
		}
		text, _ := data["errmsg"].(string)
		return nil, refuse(code, "%s", text)
	}
	return data, nil
}

// fail sends M900.
func (j *mipJob) fail(ctx context.Context, code, text string) Outcome {
	number, err := strconv.Atoi(code)
	if err != nil {
		return Outcome{Result: ResultRefused, Error: mipOther}
	}
	var errcode any = number
	if _, struck := j.s.strike(j.w, FaultStringCode, protocolMIP); struck {
		errcode = code
	}
	_, err = j.post(ctx, j.start.Host+"/mip/error", j.message(cmdError, map[string]any{"errcode": errcode, "errmsg": text}))
	return outcomeOf(err, Outcome{Result: ResultDenied})
}

// outcomeOf is what an error says, or good.
func outcomeOf(err error, good Outcome) Outcome {
	if err == nil {
		return good
	}
	out := Outcome{Result: ResultRefused, Error: mipOther}
	if r, ok := errors.AsType[*refusal](err); ok {
		out.Error = r.code
	}
	return out
}

// deny tells the verifier that the citizen has cancelled.
func (j *mipJob) deny(ctx context.Context) Outcome {
	return j.fail(ctx, mipCancelled, "cancelled by the user")
}

// present makes the presentation and sends it (M400).
func (j *mipJob) present(ctx context.Context, choice int) Outcome {
	vp, err := j.answer(j.cards[choice])
	if err != nil {
		return outcomeOf(err, Outcome{})
	}
	if _, struck := j.s.strike(j.w, FaultReplay, protocolMIP); struck {
		vp = j.s.replayed(j.w, protocolMIP, sealed{vp: vp}).vp
	} else {
		j.s.replayed(j.w, protocolMIP, sealed{vp: vp})
	}
	j.sent = vp
	return outcomeOf(j.give(ctx), Outcome{Result: ResultSent})
}

func (j *mipJob) give(ctx context.Context) error {
	_, err := j.post(ctx, j.profile.Profile.Callback, j.message(cmdPresent, map[string]any{"request": "presentation", "vp": j.sent}))
	return err
}

func (j *mipJob) again(ctx context.Context) {
	if j.sent != nil {
		_ = j.give(ctx)
	}
}

// answer makes the vp of M400.
func (j *mipJob) answer(c *issued) (map[string]any, error) {
	in := j.profile.Profile
	document, err := j.presentation(c)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	public := j.public
	if _, struck := j.s.strike(j.w, FaultUndecryptable, protocolMIP); struck {
		stranger, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		public = &stranger.PublicKey
	}
	data, err := seal(public, in.EncryptType, plain)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"presentType": 1, "encryptType": in.EncryptType, "keyType": in.KeyType, "authType": j.kinds(), "did": j.w.did,
		"nonce": in.Nonce, "type": "VERIFY", "data": data,
	}, nil
}

// kinds are how the holder shows that it is them.
func (j *mipJob) kinds() []string {
	if len(j.profile.Profile.AuthType) == 0 {
		return []string{pin}
	}
	return j.profile.Profile.AuthType
}

// presentation makes the VP: one credential for each attribute, and a proof for each authType.
func (j *mipJob) presentation(c *issued) (map[string]any, error) {
	now := j.s.now()
	document := map[string]any{
		"@context": []any{"https://www.w3.org/2018/credentials/v1"}, "id": newID(), "type": "VerifiablePresentation",
		"expirationDate": now.Add(12 * time.Hour).In(korea).Format(mipTime),
	}
	var list []any
	wanted := j.attributes(c)
	for i, kind := range wanted {
		vc, err := j.credential(c, kind, i == len(wanted)-1)
		if err != nil {
			return nil, err
		}
		list = append(list, vc)
	}
	document["verifiableCredential"] = list
	var proofs []any
	for _, kind := range j.kinds() {
		proof := map[string]any{
			"type": "Secp256r1VerificationKey2018", "creator": j.w.did + "#" + keyName(kind), "created": now.In(korea).Format(mipTime),
			"nonce": j.nonce(),
		}
		digest, err := signedDigest(document, proof)
		if err != nil {
			return nil, err
		}
		signature, err := compact(j.w.keys[kind], digest)
		if err != nil {
			return nil, err
		}
		if _, struck := j.s.strike(j.w, FaultWrongSignature, protocolMIP); struck {
			signature[64] ^= 1
		}
		proof["signatureValue"] = base58(signature)
		proofs = append(proofs, proof)
	}
	if len(proofs) == 1 {
		document["proof"] = proofs[0]
	} else {
		document["proofs"] = proofs
	}
	document["uncommitted"] = map[string]any{"caInfo": map[string]any{
		"caAppId": "anyid.sim", "packageName": "kr.example.wallet", "vpId": document["id"], "walletId": j.w.did,
	}}
	return document, nil
}

// nonce is what the holder signs: the profile's, and the CI in hex behind it.
func (j *mipJob) nonce() string {
	nonce, ci := j.profile.Profile.Nonce, j.w.person.CI
	if _, struck := j.s.strike(j.w, FaultWrongNonce, protocolMIP); struck {
		nonce = strings.Repeat("5a", len(nonce)/2)
	}
	if _, struck := j.s.strike(j.w, FaultNonceContains, protocolMIP); struck {
		nonce = strings.Repeat("5a", len(nonce)/2) + nonce
	}
	if _, struck := j.s.strike(j.w, FaultMalformedCI, protocolMIP); struck {
		ci = ci[:80]
	}
	if _, struck := j.s.strike(j.w, FaultMissingCI, protocolMIP); struck || !j.start.CI {
		return nonce
	}
	return nonce + hex.EncodeToString([]byte(ci))
}

// credential makes the VC of one attribute. What faults do to one credential they do to the last.
func (j *mipJob) credential(c *issued, kind string, last bool) (map[string]any, error) {
	struck := func(fault string) bool {
		if !last {
			return false
		}
		_, struck := j.s.strike(j.w, fault, protocolMIP)
		return struck
	}
	issuer, holder, parent, end := j.s.ledger.issuers[c.Issuer], j.w.did, c.parent, c.end
	if struck(FaultOtherIssuer) {
		issuer = j.s.ledger.rogue
	}
	if struck(FaultOtherHolder) {
		holder = newDID()
	}
	if struck(FaultMixedParent) {
		parent = newID()
	}
	if struck(FaultExpired) {
		end = j.s.now().Add(-time.Hour)
	}
	all := attributes(j.w, c)
	a := all[slices.IndexFunc(all, func(a attribute) bool { return a.kind == kind })]
	vc := map[string]any{
		"id": c.vcs[kind], "issuer": map[string]any{"id": issuer.did, "name": c.Issuer}, "parentId": parent, "signKeyId": issuerKey,
		"issuanceDate": c.from.In(korea).Format(mipTime), "expirationDate": end.In(korea).Format(mipTime), "version": "3.0",
		"type":              []any{"VerifiableCredential", "OmniOneCredential"},
		"credentialSubject": map[string]any{"id": holder, "privacy": []any{map[string]any{"type": a.kind, "value": a.value}}},
		"assertion":         map[string]any{"code": c.Code, "desc": c.Label, "name": c.Label},
		"evidence":          []any{}, "vcDef": map[string]any{"id": c.Code + ".1", "version": "1.0"},
	}
	digest, err := signedDigest(vc, nil)
	if err != nil {
		return nil, err
	}
	signature, err := compact(issuer.key, digest)
	if err != nil {
		return nil, err
	}
	vc["proof"] = map[string]any{
		"type": "Secp256r1VerificationKey2018", "created": vc["issuanceDate"], "creator": issuer.did + "#" + issuerKey,
		"signatureValue": tagged(signature),
	}
	return vc, nil
}
