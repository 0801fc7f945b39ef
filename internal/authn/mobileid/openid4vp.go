package mobileid

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

// OpenID4VP is how wallets of the standard are asked, and whom they may present.
type OpenID4VP struct {
	// Key signs requests; it is on P-256. Chain is its certificate with those above it, in PEM.
	Key   crypto.Signer
	Chain []byte
	// DNSName is the name in the certificate by which wallets know the broker (x509_san_dns). Empty: they know
	// it by the certificate's hash (x509_hash), as HAIP wants it.
	DNSName string
	// Wallet is what the link to a wallet begins with; empty means "openid4vp://".
	Wallet string
	// Credentials are the kinds that are taken; the wallet presents one of them.
	Credentials []Credential
	// IssuerRoots, MdocRoots and StatusRoots are the certificates, in PEM, to which the issuers of SD-JWT VCs,
	// of mdocs, and of status lists must lead. Each is needed where such a thing is taken; without StatusRoots, a
	// credential that has a status is refused.
	IssuerRoots, MdocRoots, StatusRoots []byte
	// CrossDevice lets a phone scan the request from another device's page. HAIP advises against it: who is
	// led to scan somebody else's code logs them in.
	CrossDevice bool
}

// Credential is a kind of credential that is taken, and where it has what.
type Credential struct {
	ID          string // in the request; letters, digits, _ and -
	Format      string // "dc+sd-jwt" or "mso_mdoc"
	Type        string // vct, or document type
	Label       string // as the citizen knows it
	Nationality string // "domestic" or "foreign", where only such people have it; else empty
	Level       method.Level
	Claims      ClaimNames
}

// ClaimNames are paths of claims, with "/" between the members: "address/country", and for an mdoc
// "org.iso.18013.5.1/family_name". All that are given are asked for, and must come.
type ClaimNames struct {
	Name                           []string // parts of the name, in the order in which it is written
	BirthDate, Gender, Nationality string
	// CI is where the credential has one; the person is known by it. Empty: the person is known by Key, a claim
	// that its issuer gives to nobody else and never changes.
	CI, Key string
}

// openID4VP asks the wallets of the standard.
type openID4VP struct {
	cfg      OpenID4VP
	issuer   string
	expireIn time.Duration
	verifier *oid4vp.Verifier
	query    oid4vp.Query
	deps     Deps
}

func newOpenID4VP(cfg Config, deps Deps) (*openID4VP, error) {
	o := &openID4VP{cfg: *cfg.OpenID4VP, issuer: cfg.Issuer, expireIn: cfg.ExpireIn, deps: deps, verifier: new(oid4vp.Verifier)}
	if o.cfg.Wallet == "" {
		o.cfg.Wallet = oid4vp.WalletScheme
	}
	o.cfg.Credentials = slices.Clone(o.cfg.Credentials)
	for i := range o.cfg.Credentials {
		if o.cfg.Credentials[i].Level == 0 {
			o.cfg.Credentials[i].Level = cfg.Level
		}
	}
	err := errors.Join(o.useClient(), o.useCredentials(), o.useRoots())
	if err == nil {
		// What no wallet could be asked fails here and not at the first login.
		var request *oid4vp.Request
		if request, err = o.request(deps.Now(), deps.Now().Add(o.expireIn)); err == nil {
			_, err = o.link(request)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("OpenID4VP: %w", err)
	}
	return o, nil
}

func (o *openID4VP) useClient() error {
	chain, err := certificates(o.cfg.Chain)
	if err != nil {
		return fmt.Errorf("certificate chain: %w", err)
	}
	if o.cfg.DNSName != "" {
		o.verifier.Client, err = oid4vp.X509SANDNS(o.cfg.DNSName, o.cfg.Key, chain)
	} else {
		o.verifier.Client, err = oid4vp.X509Hash(o.cfg.Key, chain)
	}
	return err
}

// certificates reads PEM, of which nothing else is taken.
func certificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("not a certificate")
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("no certificate")
	}
	return out, nil
}

// useCredentials makes the query: any one of the credentials.
func (o *openID4VP) useCredentials() error {
	if len(o.cfg.Credentials) == 0 {
		return errors.New("no Credentials")
	}
	var set oid4vp.CredentialSet
	for _, c := range o.cfg.Credentials {
		q := oid4vp.CredentialQuery{ID: c.ID, Format: c.Format}
		switch c.Format {
		case oid4vp.FormatSDJWT:
			q.Meta.VCTValues = []string{c.Type}
		case oid4vp.FormatMdoc:
			q.Meta.DoctypeValue = c.Type
		default:
			return fmt.Errorf("the credential %q has an unknown format", c.ID)
		}
		if c.Type == "" || c.Label == "" || len(c.Label) > maxLabel || c.Level < 1 || c.Level > 3 ||
			c.Nationality != "" && c.Nationality != domestic && c.Nationality != foreign {
			return fmt.Errorf("the credential %q needs a type, a label of at most %d bytes, a level from 1 to 3, and nationality domestic, foreign or none", c.ID, maxLabel)
		}
		names := c.Claims
		if len(names.Name) == 0 || names.BirthDate == "" || (names.CI == "") == (names.Key == "") {
			return fmt.Errorf("the credential %q needs the claims Name, BirthDate, and either CI or Key", c.ID)
		}
		for _, name := range append(slices.Clone(names.Name), names.BirthDate, names.Gender, names.Nationality, names.CI, names.Key) {
			if name == "" {
				continue
			}
			claim := oid4vp.ClaimQuery{Path: pathOf(name)}
			if c.Format == oid4vp.FormatMdoc {
				keep := true // the registration does
				claim.IntentToRetain = &keep
			}
			q.Claims = append(q.Claims, claim)
		}
		o.query.Credentials = append(o.query.Credentials, q)
		set.Options = append(set.Options, []string{c.ID})
	}
	o.query.CredentialSets = []oid4vp.CredentialSet{set}
	return o.query.Validate()
}

func pathOf(name string) oid4vp.Path {
	var path oid4vp.Path
	for part := range strings.SplitSeq(name, "/") {
		path = append(path, part)
	}
	return path
}

// useRoots makes the verifiers of those formats that are asked for.
func (o *openID4VP) useRoots() error {
	asks := func(format string) bool {
		return slices.ContainsFunc(o.cfg.Credentials, func(c Credential) bool { return c.Format == format })
	}
	if asks(oid4vp.FormatSDJWT) {
		roots, err := certificates(o.cfg.IssuerRoots)
		if err != nil {
			return fmt.Errorf("IssuerRoots: %w", err)
		}
		o.verifier.Formats = append(o.verifier.Formats, &sdjwt.Verifier{Roots: pool(roots)})
	}
	if asks(oid4vp.FormatMdoc) {
		roots, err := certificates(o.cfg.MdocRoots)
		if err != nil {
			return fmt.Errorf("MdocRoots: %w", err)
		}
		anchors, err := mdoc.NewAnchors(roots...)
		if err != nil {
			return fmt.Errorf("MdocRoots: %w", err)
		}
		o.verifier.Formats = append(o.verifier.Formats, &mdoc.Verifier{Anchors: anchors})
	}
	if len(o.cfg.StatusRoots) > 0 {
		roots, err := certificates(o.cfg.StatusRoots)
		if err != nil {
			return fmt.Errorf("StatusRoots: %w", err)
		}
		o.verifier.Status = &statuslist.Checker{Lists: newStatusLists(o.deps, pool(roots))}
	}
	return nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	out := x509.NewCertPool()
	for _, c := range certificates {
		out.AddCert(c)
	}
	return out
}

func (o *openID4VP) provider() authn.Provider {
	return authn.Provider{ID: ProviderOpenID4VP, Korean: "국제표준 지갑", English: "OpenID4VP wallet"}
}

func (o *openID4VP) modes() []authn.Mode {
	if o.cfg.CrossDevice {
		return []authn.Mode{authn.QR, authn.App}
	}
	return []authn.Mode{authn.App}
}

// check has nobody to ask: wallets call, and status lists are fetched when a credential names one.
func (o *openID4VP) check(context.Context) error { return nil }

// The states of a request.
const (
	vpRequested = "requested" // the wallet may fetch it and answer
	vpVerifying = "verifying" // it has answered
	vpVerified  = "verified"
	vpRefused   = "refused"
	vpConsumed  = "consumed" // the journey has taken the result
)

// vpRecord is a request to a wallet as it lies in the store, under a hash of its id. Who knows the id alone,
// as the wallet does and whoever has seen the code, does not get the result.
type vpRecord struct {
	State       string     `json:"state"`
	Request     string     `json:"request,omitempty"` // oid4vp.Request, sealed: the decryption key is in it
	Transaction string     `json:"transaction"`       // hash of the id that the journey alone knows
	Attempt     string     `json:"attempt"`
	Mode        authn.Mode `json:"mode"`
	Deadline    time.Time  `json:"deadline"`
	// ResponseCode is the hash of the code with which the wallet sends the browser back on the same device.
	ResponseCode string     `json:"response_code,omitempty"`
	Evidence     string     `json:"evidence,omitempty"` // authn.Evidence, sealed, while verified
	Code         authn.Code `json:"code,omitempty"`     // why the state is refused
	Detail       string     `json:"detail,omitempty"`   // the same in the protocol's words
}

// vpHandle is what the journey keeps, sealed.
type vpHandle struct {
	Request     string      `json:"request"`
	Transaction string      `json:"transaction"`
	Typed       typedPerson `json:"typed"`
}

func vpKey(request string) string      { return "oid4vp:" + secret.Hash(request) }
func vpCodeKey(response string) string { return "oid4vp-code:" + secret.Hash(response) }

// isRandom reports whether text has the form of oid4vp.Random.
func isRandom(text string) bool {
	raw, err := strictBase64(text)
	return err == nil && len(raw) == 32
}

func (o *openID4VP) request(now, deadline time.Time) (*oid4vp.Request, error) {
	id := oid4vp.Random()
	return o.verifier.NewRequest(oid4vp.RequestOptions{
		Query: o.query, ResponseURI: o.issuer + "/wallet/response/" + id, State: id, Now: now,
		// Whole seconds; that it is not too late is decided here.
		Lifetime: deadline.Sub(now) + time.Second,
	})
}

// link leads a wallet to the request.
func (o *openID4VP) link(request *oid4vp.Request) (string, error) {
	return oid4vp.RequestURILink(o.cfg.Wallet, request, o.issuer+"/wallet/request/"+request.State, true)
}

func (o *openID4VP) begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error) {
	now := o.deps.Now()
	deadline := now.Add(o.expireIn)
	if !at.ExpiresAt.IsZero() && at.ExpiresAt.Before(deadline) {
		deadline = at.ExpiresAt
	}
	request, err := o.request(now, deadline)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	text, err := json.Marshal(request)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: errors.New("mobileid: request")} // the key is in it
	}
	link, err := o.link(request)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	h := vpHandle{Request: request.State, Transaction: oid4vp.Random(), Typed: typedBy(at, in)}
	private, err := json.Marshal(h)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	key := vpKey(request.State)
	record := vpRecord{
		State: vpRequested, Request: o.deps.Box.Seal(text, key), Transaction: secret.Hash(h.Transaction), Attempt: at.ID,
		Mode: in.Mode, Deadline: deadline,
	}
	if err := kv.SetJSON(ctx, o.deps.Store, key, record, left(deadline, now)); err != nil {
		return authn.Started{}, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	out := authn.Started{Private: private, ExpiresAt: deadline.Add(pickUp), PollAfter: pollAfter}
	if in.Mode == authn.QR {
		out.Shown.QR = link
	} else {
		out.Shown.Link = link
	}
	return out, nil
}

// find loads the attempt's record.
func (o *openID4VP) find(ctx context.Context, at authn.Attempt) (h vpHandle, r vpRecord, text string, err error) {
	if json.Unmarshal(at.Private, &h) != nil || !isRandom(h.Request) || !isRandom(h.Transaction) {
		return h, r, "", &authn.Error{Code: authn.BadRequest, Err: errors.New("mobileid: no handle of ours")}
	}
	r, text, err = kv.GetJSON[vpRecord](ctx, o.deps.Store, vpKey(h.Request))
	switch {
	case errors.Is(err, kv.ErrNotFound):
		err = &authn.Error{Code: authn.TooLate, Err: errNoTransaction}
	case err != nil:
		err = &authn.Error{Code: authn.ProviderDown, Err: err}
	case !secret.Equal(r.Transaction, secret.Hash(h.Transaction)):
		err = &authn.Error{Code: authn.BadEvidence, Err: errors.New("mobileid: the request is another attempt's")}
	}
	return h, r, text, err
}

// progress is the state as the journey knows it. On the same device, an answer counts only after the wallet has
// sent this attempt's browser back: otherwise whoever began a login elsewhere could finish it here.
func (r vpRecord) progress(now time.Time, responseCode string) authn.State {
	switch r.State {
	case vpRefused:
		return progressOf(r.Code)
	case vpVerified, vpConsumed:
		if r.Mode != authn.App || responseCode != "" && secret.Equal(r.ResponseCode, secret.Hash(responseCode)) {
			return authn.Approved
		}
		if now.Before(r.Deadline.Add(pickUp)) {
			return authn.Pending
		}
	default:
		if now.Before(r.Deadline) {
			return authn.Pending
		}
	}
	return authn.Expired
}

func (o *openID4VP) status(ctx context.Context, at authn.Attempt) (authn.Progress, error) {
	_, r, _, err := o.find(ctx, at)
	if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.TooLate {
		return authn.Progress{State: authn.Expired}, nil
	}
	if err != nil {
		return authn.Progress{}, err
	}
	return authn.Progress{State: r.progress(o.deps.Now(), at.ResponseCode)}, nil
}

// complete takes the result. Of any number of callers one gets it.
func (o *openID4VP) complete(ctx context.Context, at authn.Attempt) (authn.Evidence, error) {
	h, r, text, err := o.find(ctx, at)
	if err != nil {
		return authn.Evidence{}, err
	}
	switch state := r.progress(o.deps.Now(), at.ResponseCode); {
	case r.State == vpRefused:
		return authn.Evidence{}, &authn.Error{Code: r.Code, Provider: r.Detail}
	case state == authn.Expired:
		return authn.Evidence{}, &authn.Error{Code: authn.TooLate}
	case state != authn.Approved:
		return authn.Evidence{}, &authn.Error{Code: authn.NotReady}
	case r.State == vpConsumed:
		return authn.Evidence{}, &authn.Error{Code: authn.AlreadyUsed}
	}
	sealed := r.Evidence
	r.State, r.Evidence = vpConsumed, ""
	moved, err := o.move(ctx, h.Request, text, r)
	switch {
	case err != nil:
		return authn.Evidence{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	case !moved:
		return authn.Evidence{}, &authn.Error{Code: authn.AlreadyUsed}
	}
	e, err := openEvidence(o.deps.Box, sealed, vpKey(h.Request))
	if err != nil {
		return authn.Evidence{}, err
	}
	if !h.Typed.agrees(at, e.Attributes) {
		return authn.Evidence{}, &authn.Error{Code: authn.PersonMismatch}
	}
	return e, nil
}

func (o *openID4VP) move(ctx context.Context, id, from string, to vpRecord) (bool, error) {
	text, err := json.Marshal(to)
	if err != nil {
		return false, fmt.Errorf("mobileid: request: %w", err)
	}
	return o.deps.Store.CompareAndSwap(ctx, vpKey(id), from, string(text), left(to.Deadline, o.deps.Now()))
}

// returned gives the attempt of a response code, once.
func (o *openID4VP) returned(ctx context.Context, responseCode string) (string, error) {
	if !isRandom(responseCode) {
		return "", fault.New(fault.NotFound, "mobileid: no such response code")
	}
	attempt, err := o.deps.Store.Take(ctx, vpCodeKey(responseCode))
	if errors.Is(err, kv.ErrNotFound) {
		return "", fault.New(fault.NotFound, "mobileid: no such response code")
	}
	return attempt, err
}

func (o *openID4VP) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /wallet/request/{id}", o.giveRequest)
	mux.HandleFunc("POST /wallet/request/{id}", o.giveRequest)
	mux.HandleFunc("POST /wallet/response/{id}", o.takeResponse)
}

// open loads a request that may still be answered, for a wallet. All that it may not know is one error.
func (o *openID4VP) open(ctx context.Context, id string) (r vpRecord, text string, request *oid4vp.Request, err error) {
	gone := oid4vp.Fail(oid4vp.ErrState, "no such request, or answered, or too late")
	if !isRandom(id) {
		return r, "", nil, gone
	}
	r, text, err = kv.GetJSON[vpRecord](ctx, o.deps.Store, vpKey(id))
	if errors.Is(err, kv.ErrNotFound) || err == nil && (r.State != vpRequested || !o.deps.Now().Before(r.Deadline)) {
		return r, "", nil, gone
	}
	if err != nil {
		return r, "", nil, err
	}
	plain, err := o.deps.Box.Open(r.Request, vpKey(id))
	if err != nil {
		return r, "", nil, err
	}
	request = new(oid4vp.Request)
	if json.Unmarshal(plain, request) != nil {
		return r, "", nil, errors.New("mobileid: a stored request does not read") // the key is in it
	}
	return r, text, request, nil
}

// giveRequest serves a request object (OpenID4VP §5.10), as often as it is asked for.
func (o *openID4VP) giveRequest(w http.ResponseWriter, r *http.Request) {
	text, err := o.requestObject(w, r)
	if err != nil {
		o.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", oid4vp.RequestObjectType)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text) //nolint:gosec // a JWT, with the type of one
}

func (o *openID4VP) requestObject(w http.ResponseWriter, r *http.Request) (string, error) {
	wallet := new(oid4vp.WalletRequest)
	if r.Method == http.MethodPost {
		body, err := readForm(w, r, 64<<10)
		if err != nil {
			return "", err
		}
		if wallet, err = oid4vp.ParseWalletRequest(r.Header.Get("Content-Type"), body); err != nil {
			return "", err
		}
	}
	_, _, request, err := o.open(r.Context(), r.PathValue("id"))
	if err != nil {
		return "", err
	}
	if err := wallet.Metadata.Supports(request); err != nil {
		return "", err
	}
	return o.verifier.RequestObject(request, wallet.Nonce)
}

func readForm(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, oid4vp.Fail(oid4vp.ErrTooLarge, "body")
	}
	if err != nil {
		return nil, oid4vp.Fail(oid4vp.ErrMalformed, "body")
	}
	return body, nil
}

// refuse answers a wallet with an error.
func (o *openID4VP) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*oid4vp.Error](err)
	if !ok {
		o.deps.Log.LogAttrs(r.Context(), slog.LevelError, "mobileid: wallet not served", slog.String("pattern", r.Pattern), slog.Any("error", err))
		e = &oid4vp.Error{Code: oid4vp.ErrUnavailable}
	}
	writeJSON(w, e.Status(), e.Answer())
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:gosec // JSON of our own, with the type of it
}

// takeResponse takes a wallet's answer (OpenID4VP §8.2). It is verified before the wallet hears of it, and the
// first one that can be read uses the request up.
func (o *openID4VP) takeResponse(w http.ResponseWriter, r *http.Request) {
	body, err := readForm(w, r, MaxBody)
	var response *oid4vp.Response
	if err == nil {
		response, err = oid4vp.ParseResponse(r.Header.Get("Content-Type"), body)
	}
	if err != nil {
		o.refuse(w, r, err)
		return
	}
	// A wallet that hangs up leaves nothing half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), verifyTimeout)
	defer cancel()
	answer, err := o.respond(ctx, r.PathValue("id"), response)
	if err != nil {
		o.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (o *openID4VP) respond(ctx context.Context, id string, response *oid4vp.Response) ([]byte, error) {
	record, text, request, err := o.open(ctx, id)
	if err != nil {
		return nil, err
	}
	claimed := record
	claimed.State = vpVerifying
	moved, err := o.move(ctx, id, text, claimed)
	if err != nil {
		return nil, err
	}
	if !moved {
		return nil, oid4vp.Fail(oid4vp.ErrState, "another answer came first")
	}
	held, err := json.Marshal(claimed)
	if err != nil {
		return nil, fmt.Errorf("mobileid: request: %w", err)
	}
	result, failure := o.verifier.Verify(ctx, request, response, o.deps.Now())
	if errors.Is(failure, oid4vp.ErrUnavailable) { // the wallet may send it again
		_, err := o.move(ctx, id, string(held), record)
		return nil, errors.Join(failure, err)
	}
	var e authn.Evidence
	if failure == nil {
		e, failure = o.evidence(result, record.Mode)
	}
	declined, isDecline := errors.AsType[*oid4vp.WalletError](failure)
	next := claimed
	next.Request = ""
	switch {
	case failure == nil:
		next.State = vpVerified
		if next.Evidence, err = sealEvidence(o.deps.Box, e, vpKey(id)); err != nil {
			return nil, err
		}
	case isDecline:
		next.State, next.Code, next.Detail = vpRefused, declinedCode(declined.Code), declined.Code
	default:
		next.State, next.Code, next.Detail = vpRefused, refusedCode(failure), refusedDetail(failure)
		o.deps.Log.LogAttrs(ctx, slog.LevelWarn, "mobileid: presentation refused", slog.Any("error", failure))
	}
	back := ""
	if next.Mode == authn.App && (failure == nil || isDecline) {
		code := oid4vp.Random()
		next.ResponseCode = secret.Hash(code)
		if err := o.deps.Store.Set(ctx, vpCodeKey(code), next.Attempt, left(next.Deadline, o.deps.Now())); err != nil {
			return nil, err
		}
		// In the query and not in the fragment, so that the way back needs no script.
		back = o.issuer + "/wallet/return?" + url.Values{"response_code": {code}}.Encode()
	}
	if moved, err := o.move(ctx, id, string(held), next); err != nil || !moved {
		return nil, errors.Join(errors.New("mobileid: the outcome was not stored"), err)
	}
	if failure != nil && !isDecline {
		return nil, failure
	}
	return oid4vp.Accepted(back)
}

// declinedCode is what a wallet's own error says of the proof (OpenID4VP §8.5). It does not tell whether the
// citizen refused or has no such credential.
func declinedCode(code string) authn.Code {
	switch code {
	case "access_denied":
		return authn.UserCancelled
	case "vp_formats_not_supported":
		return authn.NoCredential
	case "invalid_request", "invalid_client", "invalid_scope", "invalid_request_uri_method", "invalid_transaction_data":
		return authn.BadRequest
	}
	return authn.ProviderDown
}

// noCredential are the refusals of a credential that is in order, and not good enough.
var noCredential = []oid4vp.Code{
	oid4vp.ErrRevoked, oid4vp.ErrSuspended, oid4vp.ErrExpired, oid4vp.ErrNotYetValid, oid4vp.ErrUntrusted,
}

// refusedCode is what our refusal says of the proof.
func refusedCode(err error) authn.Code {
	switch {
	case slices.ContainsFunc(noCredential, func(code oid4vp.Code) bool { return errors.Is(err, code) }):
		return authn.NoCredential
	case errors.Is(err, oid4vp.ErrInput):
		return authn.BadRequest
	}
	return authn.BadEvidence
}

func refusedDetail(err error) string {
	if e, ok := errors.AsType[*oid4vp.Error](err); ok {
		return string(e.Code)
	}
	return ""
}

// evidence is what a verified presentation proves: one credential, of a kind that was asked for.
func (o *openID4VP) evidence(result *oid4vp.Result, mode authn.Mode) (authn.Evidence, error) {
	if len(result.Credentials) != 1 {
		return authn.Evidence{}, oid4vp.Fail(oid4vp.ErrQuery, "more than one credential")
	}
	v := &result.Credentials[0]
	i := slices.IndexFunc(o.cfg.Credentials, func(c Credential) bool { return c.ID == v.QueryID })
	kind := &o.cfg.Credentials[i]
	names := kind.Claims
	sum := sha256.Sum256([]byte(v.Presentation))
	e := authn.Evidence{
		Method: method.MobileID, Provider: ProviderOpenID4VP, Label: kind.Label, Level: kind.Level,
		AMR: []string{"pop"}, At: o.deps.Now().UTC(), Binding: authn.Signed, Digest: hex.EncodeToString(sum[:]),
	}
	if mode == authn.QR {
		e.AMR = append(e.AMR, "mca")
	}
	if names.CI != "" {
		if e.CI = claimText(v, names.CI); !isCI(e.CI) {
			return authn.Evidence{}, oid4vp.Fail(oid4vp.ErrQuery, "the CI has not its form")
		}
		e.Subject = e.CI
	} else {
		key := claimText(v, names.Key)
		if key == "" || v.Issuer.ID == "" {
			return authn.Evidence{}, oid4vp.Fail(oid4vp.ErrQuery, "the claim that names the holder is empty")
		}
		// The length keeps two issuers apart, whatever their names contain; no CI looks like this.
		e.Subject = "openid4vp:" + strconv.Itoa(len(v.Issuer.ID)) + ":" + v.Issuer.ID + ":" + key
	}
	parts := make([]string, len(names.Name))
	for i, name := range names.Name {
		parts[i] = claimText(v, name)
	}
	gender := claimText(v, names.Gender)
	switch gender {
	case "0", "3", "4", "5", "6", "7", "8", "9": // ISO/IEC 5218, and the PID of the EU: not known, other, …
		gender = ""
	}
	var err error
	if e.Attributes, err = attributesOf(joinName(parts), claimText(v, names.BirthDate), gender, claimText(v, names.Nationality)); err != nil {
		return authn.Evidence{}, oid4vp.Because(oid4vp.ErrQuery, "claims", err)
	}
	if kind.Nationality != "" {
		e.Attributes.Nationality = kind.Nationality
	}
	return e, nil
}

// claimText is a claim that is text or a number, empty if it is neither or there is none.
func claimText(v *oid4vp.Verified, name string) string {
	if name == "" {
		return ""
	}
	claims := v.Lookup(pathOf(name))
	if len(claims) != 1 {
		return ""
	}
	switch value := claims[0].Value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}

// joinName puts the parts of a name together: as one word in Hangul and Hanja, with spaces in other scripts.
func joinName(parts []string) string {
	korean := func(r rune) bool { return unicode.In(r, unicode.Hangul, unicode.Han) }
	between := ""
	for _, p := range parts {
		if strings.ContainsFunc(p, func(r rune) bool { return !korean(r) }) {
			between = " "
		}
	}
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == "" }), between)
}
