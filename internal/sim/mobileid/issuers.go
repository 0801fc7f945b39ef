package mobileid

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

// issuerHost is in the certificate of the SD-JWT VCs' issuer, whose name is its https URL.
const issuerHost = "issuer.mobileid.example"

// issuers are those of OpenID4VP: of SD-JWT VCs, mdocs, status lists, and of the certificates by which wallets
// know who asks.
type issuers struct {
	vc, rogue   signer
	mdoc        *mdoctest.Signer
	rogueMdoc   *mdoctest.Signer
	access      *sim.Authority
	accessRoots *x509.CertPool
}

// signer is an issuer of SD-JWT VCs and of status lists.
type signer struct {
	root  *sim.Authority
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

func newIssuers() (*issuers, error) {
	out := &issuers{accessRoots: x509.NewCertPool()}
	var err error
	if out.vc, err = newSigner("Mobile ID simulator root"); err != nil {
		return nil, err
	}
	if out.rogue, err = newSigner("Mobile ID simulator, root of nobody"); err != nil {
		return nil, err
	}
	if out.mdoc, err = newDocumentSigner("Mobile ID simulator IACA"); err != nil {
		return nil, err
	}
	if out.rogueMdoc, err = newDocumentSigner("Mobile ID simulator, IACA of nobody"); err != nil {
		return nil, err
	}
	if out.access, err = sim.NewAuthority("Mobile ID simulator root of relying parties"); err != nil {
		return nil, err
	}
	out.accessRoots.AddCert(out.access.Certificate)
	return out, nil
}

func newSigner(name string) (out signer, err error) {
	if out.root, err = sim.NewAuthority(name); err != nil {
		return out, err
	}
	var leaf *x509.Certificate
	leaf, out.key, err = out.root.Issue(pkix.Name{Country: []string{"KR"}, CommonName: "Mobile ID simulator issuer"}, func(c *x509.Certificate) {
		c.DNSNames, c.KeyUsage = []string{issuerHost}, x509.KeyUsageDigitalSignature
	})
	out.chain = []*x509.Certificate{leaf}
	return out, err
}

func newDocumentSigner(name string) (*mdoctest.Signer, error) {
	authority, err := mdoctest.NewAuthority(mdoctest.AuthorityOptions{Name: name})
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: issuers: %w", err)
	}
	out, err := authority.NewSigner(mdoctest.SignerOptions{Name: "Mobile ID simulator document signer"})
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: issuers: %w", err)
	}
	return out, nil
}

// Roots is the trust anchor of the SD-JWT VCs and of the status lists, in PEM.
func (s *Simulator) Roots() []byte { return s.issuers.vc.root.PEM() }

// DocumentRoots is the trust anchor of the mdocs, an IACA certificate, in PEM.
func (s *Simulator) DocumentRoots() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.issuers.mdoc.Authority.Certificate.Raw})
}

// Issuer names the issuer of the SD-JWT VCs: their iss.
func (s *Simulator) Issuer() string { return "https://" + issuerHost }

// AccessCertificate registers who wants to ask wallets by OpenID4VP, under a name for the citizens and a host. It
// returns the certificate and its key, both in PEM; wallets know its authority.
func (s *Simulator) AccessCertificate(name, host string) (certificate, key []byte, err error) {
	leaf, private, err := s.issuers.access.Issue(pkix.Name{Country: []string{"KR"}, CommonName: name}, func(c *x509.Certificate) {
		c.DNSNames, c.KeyUsage = []string{host}, x509.KeyUsageDigitalSignature
	})
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("sim/mobileid: access certificate: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// The status lists. Which one a credential is in decides what its status is, so that a list that somebody
// has kept is never out of date.
const (
	listValid   = "valid"
	listRevoked = "revoked"
	listBomb    = "bomb"
)

const (
	listLife = time.Hour
	bombSize = 8 << 20 // a list of the size that verifiers should take has some 100 KB
)

func (s *Simulator) listURI(name string) string { return s.url + "/status/" + name }

// serveStatusList serves a Token Status List in the form of a JWT.
func (s *Simulator) serveStatusList(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("list")
	token := statuslist.Token{
		URI: s.listURI(name), Bits: 1, Statuses: make([]statuslist.Status, max(len(s.wallets), 8)), IssuedAt: s.now(), Expires: s.now().Add(listLife), TTL: listLife / 2,
		Key: s.issuers.vc.key, Chain: s.issuers.vc.chain,
	}
	switch name {
	case listValid:
	case listRevoked:
		for i := range token.Statuses {
			token.Statuses[i] = statuslist.Invalid
		}
	case listBomb:
		token.Edit = func(_, payload map[string]any) {
			payload["status_list"] = map[string]any{"bits": 1, "lst": bomb()}
		}
	default:
		http.NotFound(w, r)
		return
	}
	text, err := token.Sign()
	if err != nil {
		sim.WriteError(w, http.StatusInternalServerError, "status list")
		return
	}
	w.Header().Set("Content-Type", statuslist.MediaType)
	_, _ = w.Write([]byte(text))
}

// bomb is a list that is small until it is decompressed: zeros, of which one block is compressed and then stands
// there many times over.
var bomb = sync.OnceValue(func() string {
	zeros := make([]byte, 64<<10)
	var out bytes.Buffer
	writer := zlib.NewWriter(&out)
	add := func() []byte {
		before := out.Len()
		_, _ = writer.Write(zeros) // into memory
		_ = writer.Flush()
		return out.Bytes()[before:]
	}
	add()
	block := bytes.Clone(add()) // refers to zeros before it, as any later one would
	for range bombSize / len(zeros) {
		out.Write(block)
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
})

// statusList is the list that a new credential goes into.
func (s *Simulator) statusList(w *wallet, format string) string {
	if _, struck := s.strike(w, FaultBomb, protocolVP, format); struck {
		return listBomb
	}
	if _, struck := s.strike(w, FaultRevoked, protocolVP, format); struck {
		return listRevoked
	}
	return listValid
}

// validity is when a new credential was issued and when it expires.
func (s *Simulator) validity(w *wallet, format string) (from, end time.Time) {
	now := s.now()
	if _, struck := s.strike(w, FaultExpired, protocolVP, format); struck {
		return now.AddDate(0, -1, 0), now.AddDate(0, 0, -1)
	}
	return now.Add(-time.Minute), now.AddDate(0, 0, 14)
}

// ciOf is the CI in a new credential; there may be none.
func (s *Simulator) ciOf(w *wallet, format string) (string, bool) {
	if _, struck := s.strike(w, FaultMissingCI, protocolVP, format); struck {
		return "", false
	}
	if _, struck := s.strike(w, FaultMalformedCI, protocolVP, format); struck {
		return w.person.CI[:80], true
	}
	return w.person.CI, true
}

// issueVC makes an SD-JWT VC for one presentation, as HAIP advises, so that no two of them can be linked.
func (s *Simulator) issueVC(w *wallet, c *issued, device *ecdsa.PrivateKey) (string, error) {
	const format = formatSDJWT
	from, end := s.validity(w, format)
	all := claims(w, c)
	delete(all, "ci")
	if ci, ok := s.ciOf(w, format); ok {
		all["ci"] = ci
	}
	payload := map[string]any{
		"iss": s.Issuer(), "vct": c.VCT, "iat": from.Unix(), "nbf": from.Unix(), "exp": end.Unix(),
		"status": map[string]any{"status_list": map[string]any{"idx": w.index, "uri": s.listURI(s.statusList(w, format))}},
	}
	for name, value := range all {
		payload[name] = sdjwt.Hidden{Value: value}
	}
	by := s.issuers.vc
	if _, struck := s.strike(w, FaultOtherIssuer, protocolVP, format); struck {
		by = s.issuers.rogue
	}
	issuance := sdjwt.Issuance{Claims: payload, Holder: &device.PublicKey, Decoys: 2, Key: by.key, Chain: by.chain}
	if _, struck := s.strike(w, FaultDuplicateDigest, protocolVP, format); struck {
		issuance.Edit = func(_, payload map[string]any) {
			if digests, ok := payload["_sd"].([]string); ok {
				payload["_sd"] = append(digests, digests...)
			}
		}
	}
	issued, err := sdjwt.Issue(issuance)
	if err != nil {
		return "", fmt.Errorf("sim/mobileid: issue: %w", err)
	}
	if _, struck := s.strike(w, FaultAlgNone, protocolVP, format); struck {
		return withoutSignature(issued)
	}
	return issued, nil
}

// withoutSignature makes the issuer's JWT one with alg none, as RFC 7515 Appendix A.5 has it.
func withoutSignature(issued string) (string, error) {
	jwt, rest, _ := strings.Cut(issued, "~")
	parts := strings.Split(jwt, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return "", fmt.Errorf("sim/mobileid: issue: %w", err)
	}
	header := map[string]any{}
	if err := json.Unmarshal(raw, &header); err != nil {
		return "", fmt.Errorf("sim/mobileid: issue: %w", err)
	}
	header["alg"] = "none"
	if raw, err = json.Marshal(header); err != nil {
		return "", fmt.Errorf("sim/mobileid: issue: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw) + "." + parts[1] + ".~" + rest, nil
}

// issueMdoc makes an mdoc for one presentation.
func (s *Simulator) issueMdoc(w *wallet, c *issued, device *ecdsa.PrivateKey) (*mdoctest.Credential, error) {
	const format = formatMdoc
	from, end := s.validity(w, format)
	all := elements(w, c)
	delete(all[koreanSpace], "ci")
	if ci, ok := s.ciOf(w, format); ok {
		all[koreanSpace]["ci"] = ci
	}
	template := mdoctest.Template{
		DocType: c.DocType, DeviceKey: &device.PublicKey, Signed: from, ValidFrom: from, ValidUntil: end,
		Status: &mdoctest.Status{URI: s.listURI(s.statusList(w, format)), Index: w.index},
	}
	for _, space := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[space])) {
			value := all[space][name]
			if d, ok := value.(date); ok {
				value = mdoctest.Date(d)
			}
			template.Elements = append(template.Elements, mdoctest.Element{Namespace: space, Name: name, Value: value})
		}
	}
	by := s.issuers.mdoc
	if _, struck := s.strike(w, FaultOtherIssuer, protocolVP, format); struck {
		by = s.issuers.rogueMdoc
	}
	out, err := by.Issue(template)
	if err != nil {
		return nil, fmt.Errorf("sim/mobileid: issue: %w", err)
	}
	return out, nil
}
