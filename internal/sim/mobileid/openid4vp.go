package mobileid

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
)

// The formats (OpenID4VP Appendix B).
const (
	formatSDJWT = "dc+sd-jwt"
	formatMdoc  = "mso_mdoc"
)

// OAuth's error codes that a wallet answers with (OpenID4VP §8.5).
const (
	errRequest      = "invalid_request"
	errClient       = "invalid_client"
	errDenied       = "access_denied"
	errNoFormat     = "vp_formats_not_supported"
	errPostRefused  = "invalid_request_uri_method"
	errServer       = "server_error"
	requestMedia    = "application/oauth-authz-req+jwt"
	selfIssued      = "https://self-issued.me/v2" // aud of request objects (OpenID4VP §5.8)
	modePost        = "direct_post"
	modePostJWT     = "direct_post.jwt"
	maxRequest      = 256 << 10
	prefixHash      = "x509_hash:"
	prefixSANDNS    = "x509_san_dns:"
	walletNonceSize = 16
)

// walletMetadata is what the wallet says of itself (OpenID4VP §10.1).
const walletMetadata = `{"vp_formats_supported":{"dc+sd-jwt":{"sd-jwt_alg_values":["ES256"],"kb-jwt_alg_values":["ES256"]},` +
	`"mso_mdoc":{"issuerauth_alg_values":[-7],"deviceauth_alg_values":[-7]}},"client_id_prefixes_supported":["x509_hash","x509_san_dns"],` +
	`"request_object_signing_alg_values_supported":["ES256"],"response_modes_supported":["direct_post","direct_post.jwt"],"response_types_supported":["vp_token"]}`

// requestObject is what a verifier signs.
type requestObject struct {
	Audience     string    `json:"aud"`
	ClientID     string    `json:"client_id"`
	ResponseType string    `json:"response_type"`
	ResponseMode string    `json:"response_mode"`
	ResponseURI  string    `json:"response_uri"`
	RedirectURI  string    `json:"redirect_uri"`
	Nonce        string    `json:"nonce"`
	State        string    `json:"state"`
	WalletNonce  string    `json:"wallet_nonce"`
	Expires      int64     `json:"exp"`
	Query        dcqlQuery `json:"dcql_query"`
	Metadata     struct {
		JWKS        jose.JSONWebKeySet         `json:"jwks"`
		Encryptions []jose.ContentEncryption   `json:"encrypted_response_enc_values_supported"`
		Formats     map[string]json.RawMessage `json:"vp_formats_supported"`
	} `json:"client_metadata"`
}

// vpJob answers a request of OpenID4VP.
type vpJob struct {
	s       *Simulator
	w       *wallet
	request *requestObject
	key     *jose.JSONWebKey // to encrypt to; nil: the answer goes in the clear
	choices [][]match
	sent    url.Values
}

// askVP reads a link, fetches the request object, and verifies who asks.
func (s *Simulator) askVP(ctx context.Context, w *wallet, text string) (*asked, error) {
	link, err := url.Parse(text)
	if err != nil {
		return nil, refuse(errRequest, "not a link")
	}
	query := link.Query()
	clientID, requestURI := query.Get("client_id"), query.Get("request_uri")
	if clientID == "" || requestURI == "" || query.Has("request") {
		return nil, refuse(errRequest, "the link has no client_id or no request_uri")
	}
	nonce := ""
	switch query.Get("request_uri_method") {
	case "", "get":
	case "post":
		var random [walletNonceSize]byte
		rand.Read(random[:])
		nonce = base64.RawURLEncoding.EncodeToString(random[:])
	default:
		return nil, refuse(errPostRefused, "request_uri_method")
	}
	object, err := s.fetchRequest(ctx, requestURI, nonce)
	if err != nil {
		return nil, err
	}
	request, leaf, err := s.readRequest(object, clientID, nonce)
	if err != nil {
		return nil, err
	}
	j := &vpJob{s: s, w: w, request: request}
	if request.ResponseMode == modePostJWT {
		if j.key, err = encryptionKey(request); err != nil {
			return nil, err
		}
	}
	a := &asked{protocol: protocolVP, asker: leaf.Subject.CommonName, job: j}
	if request.Expires != 0 {
		a.expires = time.Unix(request.Expires, 0)
	}
	j.choices = request.Query.choices(w, s.issuers)
	for _, matches := range j.choices {
		a.choices = append(a.choices, describe(matches))
	}
	return a, nil
}

// fetchRequest gets the request object; with a nonce by POST (OpenID4VP §5.10).
func (s *Simulator) fetchRequest(ctx context.Context, address, nonce string) (string, error) {
	verb, body := http.MethodGet, ""
	if nonce != "" {
		verb, body = http.MethodPost, url.Values{"wallet_metadata": {walletMetadata}, "wallet_nonce": {nonce}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, verb, address, strings.NewReader(body))
	if err != nil {
		return "", refuse(errRequest, "request_uri")
	}
	req.Header.Set("Accept", requestMedia)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", refuse(errRequest, "the request_uri does not answer")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRequest))
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != http.StatusOK || media != requestMedia {
		return "", refuse(errRequest, "the request_uri answers %d with %q", resp.StatusCode, media)
	}
	return string(text), nil
}

// readRequest verifies a request object: signature, certificate, client identifier, and that it is for this wallet.
func (s *Simulator) readRequest(object, clientID, nonce string) (*requestObject, *x509.Certificate, error) {
	signed, err := jose.ParseSignedCompact(object, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, nil, refuse(errRequest, "the request object is no JWS with ES256")
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "oauth-authz-req+jwt" {
		return nil, nil, refuse(errRequest, "the request object's typ")
	}
	chains, err := header.Certificates(x509.VerifyOptions{
		Roots: s.issuers.accessRoots, CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, nil, refuse(errClient, "the certificate is not registered")
	}
	leaf := chains[0][0]
	payload, err := signed.Verify(leaf.PublicKey)
	if err != nil {
		return nil, nil, refuse(errClient, "the request object's signature does not verify")
	}
	r := new(requestObject)
	if err := json.Unmarshal(payload, r); err != nil {
		return nil, nil, refuse(errRequest, "the request object is not JSON of a request")
	}
	response, err := url.Parse(r.ResponseURI)
	switch {
	case r.ClientID != clientID:
		return nil, nil, refuse(errClient, "client_id is another one inside")
	case r.Audience != selfIssued || r.ResponseType != "vp_token" || r.RedirectURI != "" || r.Nonce == "":
		return nil, nil, refuse(errRequest, "aud, response_type, redirect_uri or nonce")
	case r.ResponseMode != modePost && r.ResponseMode != modePostJWT:
		return nil, nil, refuse(errRequest, "response_mode")
	case err != nil || response.Scheme != "https" && response.Scheme != "http" || response.Fragment != "":
		return nil, nil, refuse(errRequest, "response_uri")
	case r.WalletNonce != nonce:
		return nil, nil, refuse(errRequest, "wallet_nonce")
	case r.Expires != 0 && !s.now().Before(time.Unix(r.Expires, 0)):
		return nil, nil, refuse(errRequest, "expired")
	}
	if err := checkClient(r, leaf, response.Hostname()); err != nil {
		return nil, nil, err
	}
	return r, leaf, nil
}

// checkClient compares the client identifier with the certificate (OpenID4VP §5.9.3).
func checkClient(r *requestObject, leaf *x509.Certificate, host string) error {
	if hash, ok := strings.CutPrefix(r.ClientID, prefixHash); ok {
		if sum := sha256.Sum256(leaf.Raw); hash != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return refuse(errClient, "the certificate has another hash")
		}
		return nil
	}
	if name, ok := strings.CutPrefix(r.ClientID, prefixSANDNS); ok {
		if !slices.Contains(leaf.DNSNames, name) || host != name {
			return refuse(errClient, "the certificate, or response_uri, has another name")
		}
		return nil
	}
	return refuse(errClient, "the client identifier's prefix is not taken")
}

// encryptionKey is the key to encrypt the answer to (OpenID4VP §8.3).
func encryptionKey(r *requestObject) (*jose.JSONWebKey, error) {
	for _, key := range r.Metadata.JWKS.Keys {
		if public, ok := key.Key.(*ecdsa.PublicKey); ok && public.Curve == elliptic.P256() && key.Algorithm == string(jose.ECDH_ES) && key.KeyID != "" {
			return &key, nil
		}
	}
	return nil, refuse(errRequest, "no key to encrypt to")
}

// describe is a choice in the citizen's words.
func describe(matches []match) Choice {
	var labels, names []string
	for _, m := range matches {
		label, at := m.card.Label, 0
		if m.format == formatMdoc {
			label, at = label+"(mDL)", 1 // behind the namespace
		}
		labels = append(labels, label)
		for _, path := range m.paths {
			name, _ := path[at].(string)
			names = append(names, name)
		}
	}
	return Choice{strings.Join(slices.Compact(labels), ", "), inWords(names)}
}

// deny answers access_denied.
func (j *vpJob) deny(ctx context.Context) Outcome {
	payload := map[string]any{"error": errDenied, "error_description": "the holder does not consent", "state": j.request.State}
	_, plain := j.s.strike(j.w, FaultPlainError, protocolVP)
	if j.key == nil || plain {
		return j.post(ctx, url.Values{"error": {errDenied}, "error_description": {"the holder does not consent"}, "state": {j.request.State}}, ResultDenied)
	}
	text, err := j.encrypt(payload)
	if err != nil {
		return Outcome{Result: ResultRefused, Error: errServer}
	}
	return j.post(ctx, url.Values{"response": {text}}, ResultDenied)
}

// present makes the presentations and sends them.
func (j *vpJob) present(ctx context.Context, choice int) Outcome {
	matches := j.choices[choice]
	token := map[string][]string{}
	for _, m := range matches {
		presentation, err := j.presentation(m)
		if err != nil {
			return Outcome{Result: ResultRefused, Error: errServer}
		}
		token[m.id] = append(token[m.id], presentation)
	}
	_, struck := j.s.strike(j.w, FaultReplay, protocolVP)
	if before := j.s.replayed(j.w, protocolVP, sealed{token: token}); struck {
		token = before.token
	}
	var err error
	if j.sent, err = j.form(token); err != nil {
		return Outcome{Result: ResultRefused, Error: errServer}
	}
	out := j.post(ctx, j.sent, ResultSent)
	if _, struck := j.s.strike(j.w, FaultCodeTwice, protocolVP); struck && out.RedirectURI != "" {
		j.follow(ctx, out.RedirectURI)
	}
	return out
}

// form is the body of an answer.
func (j *vpJob) form(token map[string][]string) (url.Values, error) {
	if j.key != nil {
		text, err := j.encrypt(map[string]any{"vp_token": token, "state": j.request.State})
		return url.Values{"response": {text}}, err
	}
	text, err := json.Marshal(token)
	return url.Values{"vp_token": {string(text)}, "state": {j.request.State}}, err
}

func (j *vpJob) again(ctx context.Context) {
	if j.sent != nil {
		j.post(ctx, j.sent, ResultSent)
	}
}

// follow opens an address as a browser of its own.
func (j *vpJob) follow(ctx context.Context, address string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return
	}
	if resp, err := j.s.client.Do(req); err == nil {
		resp.Body.Close()
	}
}

// encrypt makes the JWE of an answer.
func (j *vpJob) encrypt(payload map[string]any) (string, error) {
	plain, err := json.Marshal(payload)
	if err != nil {
		return "", err
	}
	encryption := jose.A128GCM // the default (OpenID4VP §5.1)
	if slices.Contains(j.request.Metadata.Encryptions, jose.A256GCM) {
		encryption = jose.A256GCM
	}
	key := j.key.Key
	if _, struck := j.s.strike(j.w, FaultUndecryptable, protocolVP); struck {
		stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", err
		}
		key = &stranger.PublicKey
	}
	encrypter, err := jose.NewEncrypter(encryption, jose.Recipient{Algorithm: jose.ECDH_ES, Key: key, KeyID: j.key.KeyID}, nil)
	if err != nil {
		return "", err
	}
	jwe, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", err
	}
	return jwe.CompactSerialize()
}

// post sends an answer and reads what the verifier says.
func (j *vpJob) post(ctx context.Context, form url.Values, good string) Outcome {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.request.ResponseURI, strings.NewReader(form.Encode()))
	if err != nil {
		return Outcome{Result: ResultRefused, Error: errRequest}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := j.s.client.Do(req)
	if err != nil {
		return Outcome{Result: ResultRefused, Error: errServer}
	}
	defer resp.Body.Close()
	var answer struct {
		RedirectURI string `json:"redirect_uri"`
		Error       string `json:"error"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil || json.Unmarshal(body, &answer) != nil || resp.StatusCode != http.StatusOK {
		if answer.Error == "" {
			answer.Error = fmt.Sprint(resp.StatusCode)
		}
		return Outcome{Result: ResultRefused, Error: answer.Error}
	}
	return Outcome{Result: good, RedirectURI: answer.RedirectURI}
}

// presentation makes one presentation, of a credential that is issued for it.
func (j *vpJob) presentation(m match) (string, error) {
	device, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	if m.format == formatMdoc {
		return j.presentMdoc(m, device)
	}
	return j.presentVC(m, device)
}

// presentVC makes an SD-JWT with key binding.
func (j *vpJob) presentVC(m match, device *ecdsa.PrivateKey) (string, error) {
	struck := func(fault string) bool {
		_, struck := j.s.strike(j.w, fault, protocolVP, formatSDJWT)
		return struck
	}
	issued, err := j.s.issueVC(j.w, m.card, device)
	if err != nil {
		return "", err
	}
	selected := issued
	if !strings.Contains(issued, ".~") { // one without signature cannot be read, and goes as a whole
		paths := make([]oid4vp.Path, len(m.paths))
		for i, path := range m.paths {
			paths[i] = oid4vp.Path(path)
		}
		if selected, err = sdjwt.Select(issued, paths...); err != nil {
			return "", err
		}
	}
	if struck(FaultUnknownDisclosure) {
		extra, err := sdjwt.EncodeDisclosure(rand.Text(), "administrator", true)
		if err != nil {
			return "", err
		}
		selected += extra + "~"
	}
	nonce, audience, hashed := j.request.Nonce, j.request.ClientID, selected
	if struck(FaultWrongNonce) {
		nonce = rand.Text()
	}
	if struck(FaultOtherAudience) {
		audience = prefixHash + base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))
	}
	if struck(FaultBareAudience) {
		_, audience, _ = strings.Cut(audience, ":")
	}
	if struck(FaultWrongSDHash) {
		hashed = strings.TrimSuffix(hashed, "~")
	}
	if struck(FaultOtherHolder) {
		if device, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return "", err
		}
	}
	binding, err := j.bind(device, nonce, audience, hashed)
	if err != nil {
		return "", err
	}
	if struck(FaultWrongSignature) {
		if binding, err = spoil(binding); err != nil {
			return "", err
		}
	}
	return selected + binding, nil
}

// bind makes the key binding JWT (RFC 9901 §4.3).
func (j *vpJob) bind(device *ecdsa.PrivateKey, nonce, audience, hashed string) (string, error) {
	sum := sha256.Sum256([]byte(hashed))
	payload, err := json.Marshal(map[string]any{
		"iat": j.s.now().Unix(), "aud": audience, "nonce": nonce, "sd_hash": base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: device}, (&jose.SignerOptions{}).WithType("kb+jwt"))
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// spoil changes the signature of a JWT.
func spoil(jwt string) (string, error) {
	at := strings.LastIndexByte(jwt, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(jwt[at:])
	if err != nil || len(signature) == 0 {
		return "", errors.New("sim/mobileid: not a JWT")
	}
	signature[0] ^= 1
	return jwt[:at] + base64.RawURLEncoding.EncodeToString(signature), nil
}

// presentMdoc makes a DeviceResponse in base64url.
func (j *vpJob) presentMdoc(m match, device *ecdsa.PrivateKey) (string, error) {
	struck := func(fault string) bool {
		_, struck := j.s.strike(j.w, fault, protocolVP, formatMdoc)
		return struck
	}
	document, err := j.s.issueMdoc(j.w, m.card, device)
	if err != nil {
		return "", err
	}
	clientID, nonce, responseURI := j.request.ClientID, j.request.Nonce, j.request.ResponseURI
	var thumbprint []byte
	if j.key != nil {
		if thumbprint, err = j.key.Thumbprint(crypto.SHA256); err != nil {
			return "", err
		}
	}
	if struck(FaultWrongNonce) {
		nonce = rand.Text()
	}
	if struck(FaultOtherAudience) {
		clientID = prefixHash + base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))
	}
	if struck(FaultWrongTranscript) {
		responseURI += "/other"
	}
	if struck(FaultWrongThumbprint) {
		thumbprint = bytes.Repeat([]byte{0x5a}, sha256.Size)
	}
	presentation := mdoctest.Presentation{Key: device, Elements: map[string][]string{}}
	if presentation.Transcript, err = mdoctest.Transcript(clientID, nonce, thumbprint, responseURI); err != nil {
		return "", err
	}
	for _, path := range m.paths {
		space, _ := path[0].(string)
		name, _ := path[1].(string)
		presentation.Elements[space] = append(presentation.Elements[space], name)
	}
	if struck(FaultReencoded) {
		presentation.Faults = append(presentation.Faults, mdoctest.Reencoded)
	}
	if struck(FaultOtherHolder) || struck(FaultWrongSignature) {
		presentation.Faults = append(presentation.Faults, mdoctest.OtherKey)
	}
	response, err := document.Present(presentation)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(response), nil
}
