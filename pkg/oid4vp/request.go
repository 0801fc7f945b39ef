package oid4vp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// RequestObjectType is the media type of a request object, which a wallet accepts and a request_uri answers with.
const RequestObjectType = "application/oauth-authz-req+jwt"

// A Client is the verifier as wallets know it: a client identifier with its prefix (OpenID4VP §5.9), and the key
// that signs its requests. It does not change, and serves any number of callers at once.
type Client struct {
	id    string // empty for redirect_uri, where it depends on the request
	host  string // that response_uri must have; empty if it need not
	key   crypto.Signer
	chain []string // x5c
}

// RedirectURI makes a client of the prefix redirect_uri: anybody can be one, its requests cannot be signed, and go to
// the wallet by value.
func RedirectURI() *Client { return &Client{} }

// X509Hash makes a client of the prefix x509_hash, the one of HAIP: it is known by the SHA-256 of its
// certificate, the first of the chain. The key is the certificate's, on P-256, and may be anything that can sign. The
// certificate must not be self-signed, and the chain is sent without the anchor (HAIP §5). The code of its error is
// ErrInput.
func X509Hash(key crypto.Signer, chain []*x509.Certificate) (*Client, error) {
	c, err := newClient(key, chain)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(chain[0].Raw)
	c.id = "x509_hash:" + base64.RawURLEncoding.EncodeToString(hash[:])
	return c, nil
}

// X509SANDNS makes a client of the prefix x509_san_dns: it is known by a DNS name in its certificate, which must also
// be the host of every response_uri. Otherwise it is like X509Hash.
func X509SANDNS(name string, key crypto.Signer, chain []*x509.Certificate) (*Client, error) {
	c, err := newClient(key, chain)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(chain[0].DNSNames, name) {
		return nil, Fail(ErrInput, "client: the certificate has no such dNSName")
	}
	c.id, c.host = "x509_san_dns:"+name, name
	return c, nil
}

func newClient(key crypto.Signer, chain []*x509.Certificate) (*Client, error) {
	if key == nil || len(chain) == 0 {
		return nil, Fail(ErrInput, "client: no key or no certificate")
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() || !public.Equal(chain[0].PublicKey) {
		return nil, Fail(ErrInput, "client: the key is not that of the certificate, or not on P-256")
	}
	if selfSigned(chain[0]) {
		return nil, Fail(ErrInput, "client: self-signed certificate")
	}
	c := &Client{key: key}
	for i, certificate := range chain {
		if selfSigned(certificate) {
			break // the anchor, which the wallet has
		}
		if i > 0 && chain[i-1].CheckSignatureFrom(certificate) != nil {
			return nil, Fail(ErrInput, "client: certificates that do not follow each other")
		}
		c.chain = append(c.chain, base64.StdEncoding.EncodeToString(certificate.Raw))
	}
	return c, nil
}

func selfSigned(certificate *x509.Certificate) bool {
	return bytes.Equal(certificate.RawSubject, certificate.RawIssuer) &&
		certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature) == nil
}

// Signs says whether requests of this client are signed, and so need a request_uri.
func (c *Client) Signs() bool { return c.key != nil }

// ID is the client identifier for requests with this response_uri.
func (c *Client) ID(responseURI string) string {
	if c.id == "" {
		return "redirect_uri:" + responseURI
	}
	return c.id
}

// A ResponseMode says how the wallet answers (OpenID4VP §8.2, §8.3.1).
type ResponseMode string

// The two modes of a verifier with a server.
const (
	DirectPost    ResponseMode = "direct_post"
	DirectPostJWT ResponseMode = "direct_post.jwt" // encrypted; the one of HAIP
)

// RequestOptions are what a request is made of.
type RequestOptions struct {
	Query       Query
	ResponseURI string       // https, without fragment; http on the loopback only
	Mode        ResponseMode // empty is DirectPostJWT
	// State comes back with the answer. The wallet, and who has seen the QR code, know it. Empty is a new random
	// one.
	State    string
	Now      time.Time
	Lifetime time.Duration // until which an answer is taken; 0 is five minutes
}

// A Request is one transaction with a wallet. The caller keeps it as JSON, sealed, because the encryption key is in
// it, until it is answered or expires. It does not change.
type Request struct {
	ClientID    string          `json:"client_id"`
	ResponseURI string          `json:"response_uri"`
	Mode        ResponseMode    `json:"response_mode"`
	Nonce       string          `json:"nonce"`
	State       string          `json:"state"`
	Query       Query           `json:"dcql_query"`
	Formats     json.RawMessage `json:"vp_formats_supported"`
	// Key is the private key of this request, as a JWK; nil if the answer is not to be encrypted.
	Key      json.RawMessage `json:"key,omitempty"`
	IssuedAt time.Time       `json:"issued_at"` // whole seconds
	Expires  time.Time       `json:"expires"`   // whole seconds
}

// Random gives 256 random bits in base64url: for a state, a transaction id or a response_code.
func Random() string {
	var bits [32]byte
	rand.Read(bits[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// NewRequest makes a request with a new nonce and, unless the mode is DirectPost, a new encryption key, so that no two
// requests share one. The code of its errors is ErrInput.
func (v *Verifier) NewRequest(o RequestOptions) (*Request, error) {
	if v.Client == nil {
		return nil, Fail(ErrInput, "request: no client")
	}
	if err := o.Query.Validate(); err != nil {
		return nil, err
	}
	if !strict.WebURL(o.ResponseURI) {
		return nil, Fail(ErrInput, "request: response_uri")
	}
	if uri, err := url.Parse(o.ResponseURI); err != nil || v.Client.host != "" && uri.Hostname() != v.Client.host {
		return nil, Fail(ErrInput, "request: response_uri is not on the client's host")
	}
	r := &Request{
		ClientID: v.Client.ID(o.ResponseURI), ResponseURI: o.ResponseURI, Mode: o.Mode, Nonce: Random(), State: o.State,
		Query: o.Query, IssuedAt: o.Now.Truncate(time.Second),
	}
	if r.State == "" {
		r.State = Random()
	} else if !isURLSafe(r.State, 512) {
		return nil, Fail(ErrInput, "request: state")
	}
	lifetime := o.Lifetime
	if lifetime == 0 {
		lifetime = 5 * time.Minute
	}
	if r.Expires = o.Now.Add(lifetime).Truncate(time.Second); o.Now.IsZero() || !r.Expires.After(r.IssuedAt) {
		return nil, Fail(ErrInput, "request: time")
	}

	formats := map[string]any{}
	for i := range o.Query.Credentials {
		format, err := v.format(o.Query.Credentials[i].Format)
		if err != nil {
			return nil, err
		}
		formats[format.Format()] = format.Metadata()
	}
	var err error
	if r.Formats, err = json.Marshal(formats); err != nil {
		return nil, Because(ErrInput, "request: metadata of a format", err)
	}
	switch r.Mode {
	case DirectPost:
	case "", DirectPostJWT:
		r.Mode = DirectPostJWT
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, Because(ErrInput, "request: key", err)
		}
		jwk := jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: string(jose.ECDH_ES), Use: "enc"}
		if r.Key, err = jwk.MarshalJSON(); err != nil {
			return nil, Because(ErrInput, "request: key", err)
		}
	default:
		return nil, Fail(ErrInput, "request: response mode")
	}
	return r, nil
}

// key is the request's private key, or nil.
func (r *Request) key() (*jose.JSONWebKey, error) {
	if r.Key == nil {
		return nil, nil
	}
	key := new(jose.JSONWebKey)
	if err := key.UnmarshalJSON(r.Key); err != nil || key.IsPublic() || key.KeyID == "" {
		return nil, Fail(ErrInput, "request: key") // the cause may quote it
	}
	return key, nil
}

// metadata is client_metadata (OpenID4VP §5.1).
func (r *Request) metadata() (map[string]any, error) {
	out := map[string]any{"vp_formats_supported": r.Formats}
	key, err := r.key()
	if key != nil {
		out["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}}
		out["encrypted_response_enc_values_supported"] = contentEncryptions
	}
	return out, err
}

// contentEncryptions are the two that HAIP §5 demands of wallets, of which they choose.
var contentEncryptions = []jose.ContentEncryption{jose.A128GCM, jose.A256GCM}

// RequestObject signs the request for the request_uri to serve, with the Content-Type RequestObjectType (RFC
// 9101, OpenID4VP §5). It may be called as often as the wallet asks. The walletNonce is the one that the wallet has
// posted (WalletRequest), or empty. The code of its errors is ErrInput: another client's request, or one
// that cannot be signed.
func (v *Verifier) RequestObject(r *Request, walletNonce string) (string, error) {
	c := v.Client
	if c == nil || !c.Signs() || c.id != r.ClientID {
		return "", Fail(ErrInput, "request object: not a request of a client that signs")
	}
	metadata, err := r.metadata()
	if err != nil {
		return "", err
	}
	claims := map[string]any{
		"aud": "https://self-issued.me/v2", "iat": r.IssuedAt.Unix(), "exp": r.Expires.Unix(),
		"client_id": r.ClientID, "response_type": "vp_token", "response_mode": r.Mode, "response_uri": r.ResponseURI,
		"nonce": r.Nonce, "state": r.State, "dcql_query": r.Query, "client_metadata": metadata,
	}
	if walletNonce != "" {
		claims["wallet_nonce"] = walletNonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", Because(ErrInput, "request object", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: cryptosigner.Opaque(c.key)},
		(&jose.SignerOptions{}).WithType("oauth-authz-req+jwt").WithHeader("x5c", c.chain))
	if err != nil {
		return "", Because(ErrInput, "request object", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", Because(ErrInput, "request object", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return "", Because(ErrInput, "request object", err)
	}
	return text, nil
}

// Parameters are the request by value, for a client that cannot sign (OpenID4VP §5.9.3). The code of its error is
// ErrInput.
func (r *Request) Parameters() (url.Values, error) {
	if !strings.HasPrefix(r.ClientID, "redirect_uri:") {
		return nil, Fail(ErrInput, "request: this client's requests are signed")
	}
	metadata, err := r.metadata()
	if err != nil {
		return nil, err
	}
	query, err := json.Marshal(r.Query)
	if err != nil {
		return nil, Because(ErrInput, "request", err)
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return nil, Because(ErrInput, "request", err)
	}
	return url.Values{
		"client_id": {r.ClientID}, "response_type": {"vp_token"}, "response_mode": {string(r.Mode)},
		"response_uri": {r.ResponseURI}, "nonce": {r.Nonce}, "state": {r.State},
		"dcql_query": {string(query)}, "client_metadata": {string(text)},
	}, nil
}

// Wallets, as what a link begins with. A wallet that has claimed an https URL is called by that.
const (
	WalletScheme = "openid4vp://" // OpenID4VP §5
	HAIPScheme   = "haip-vp://"   // HAIP §5.1
)

// RequestURILink is the link, or the text of a QR code, that leads a wallet to a request_uri. Post tells it that it
// may ask with POST and say what it can (OpenID4VP §5.10). The code of its error is ErrInput.
func RequestURILink(wallet string, r *Request, requestURI string, post bool) (string, error) {
	if !strict.WebURL(requestURI) {
		return "", Fail(ErrInput, "link: request_uri")
	}
	parameters := url.Values{"client_id": {r.ClientID}, "request_uri": {requestURI}}
	if post {
		parameters.Set("request_uri_method", "post")
	}
	return link(wallet, parameters)
}

// ParameterLink is the link that carries a request by value. The code of its error is ErrInput.
func ParameterLink(wallet string, r *Request) (string, error) {
	parameters, err := r.Parameters()
	if err != nil {
		return "", err
	}
	return link(wallet, parameters)
}

func link(wallet string, parameters url.Values) (string, error) {
	switch {
	case wallet == WalletScheme, wallet == HAIPScheme:
		return wallet + "?" + parameters.Encode(), nil
	case !strict.WebURL(wallet):
		return "", Fail(ErrInput, "link: wallet")
	case strings.Contains(wallet, "?"):
		return wallet + "&" + parameters.Encode(), nil
	}
	return wallet + "?" + parameters.Encode(), nil
}

// A WalletRequest is what a wallet posts to a request_uri (OpenID4VP §5.10).
type WalletRequest struct {
	Nonce    string // to be echoed; may be empty
	Metadata WalletMetadata
}

// WalletMetadata is what a wallet says of itself (OpenID4VP §10.1). What is nil it has not said.
type WalletMetadata struct {
	Formats           []string // of vp_formats_supported
	ClientIDPrefixes  []string
	ResponseModes     []string
	SigningAlgorithms []string // of request objects
}

// ParseWalletRequest reads the body of a POST to a request_uri. The codes of its errors are ErrMalformed and
// ErrTooLarge.
func ParseWalletRequest(contentType string, body []byte) (*WalletRequest, error) {
	form, err := parseForm(contentType, body, 64<<10)
	if err != nil {
		return nil, err
	}
	w := &WalletRequest{Nonce: form["wallet_nonce"]}
	if w.Nonce != "" && !isURLSafe(w.Nonce, 512) {
		return nil, Fail(ErrMalformed, "wallet_nonce")
	}
	text, ok := form["wallet_metadata"]
	if !ok {
		return w, nil
	}
	metadata, err := strict.Object([]byte(text))
	if err != nil {
		return nil, Because(codeOf(err), "wallet_metadata", err)
	}
	if formats, ok := metadata["vp_formats_supported"]; ok {
		object, ok := formats.(map[string]any)
		if !ok {
			return nil, Fail(ErrMalformed, "wallet_metadata: vp_formats_supported")
		}
		w.Metadata.Formats = []string{}
		for name := range object {
			w.Metadata.Formats = append(w.Metadata.Formats, name)
		}
		slices.Sort(w.Metadata.Formats)
	}
	for name, into := range map[string]*[]string{
		"client_id_prefixes_supported":                &w.Metadata.ClientIDPrefixes,
		"response_modes_supported":                    &w.Metadata.ResponseModes,
		"request_object_signing_alg_values_supported": &w.Metadata.SigningAlgorithms,
	} {
		value, ok := metadata[name]
		if !ok {
			continue
		}
		list, ok := value.([]any)
		if !ok {
			return nil, Fail(ErrMalformed, "wallet_metadata: "+name)
		}
		*into = []string{}
		for _, element := range list {
			text, ok := element.(string)
			if !ok {
				return nil, Fail(ErrMalformed, "wallet_metadata: "+name)
			}
			*into = append(*into, text)
		}
	}
	return w, nil
}

// Supports says whether a wallet can answer this request, as far as it has told: nil, or an error with the
// code ErrIncompatible.
func (m WalletMetadata) Supports(r *Request) error {
	prefix, _, _ := strings.Cut(r.ClientID, ":")
	switch {
	case m.ClientIDPrefixes != nil && !slices.Contains(m.ClientIDPrefixes, prefix):
		return Fail(ErrIncompatible, "client identifier prefix")
	case m.ResponseModes != nil && !slices.Contains(m.ResponseModes, string(r.Mode)):
		return Fail(ErrIncompatible, "response mode")
	case m.SigningAlgorithms != nil && !slices.Contains(m.SigningAlgorithms, "ES256"):
		return Fail(ErrIncompatible, "signature of the request object")
	case m.Formats != nil && !slices.ContainsFunc(r.Query.Credentials, func(c CredentialQuery) bool {
		return slices.Contains(m.Formats, c.Format)
	}):
		return Fail(ErrIncompatible, "credential format")
	}
	return nil
}

// isURLSafe says whether a text consists of unreserved characters (RFC 3986 §2.3) and some that base64 uses.
func isURLSafe(text string, limit int) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/=", c) >= 0:
		default:
			return false
		}
	}
	return text != "" && len(text) <= limit
}
