package mobileid

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
	"github.com/anyid/anyid/pkg/oid4vp/statuslist"
)

func TestMain(m *testing.M) {
	code := m.Run()
	chromium.Stop()
	os.Exit(code)
}

// site is a relying party that asks wallets by OpenID4VP.
type site struct {
	t        testing.TB
	sim      *Simulator
	url      string
	verifier *oid4vp.Verifier
	redirect bool // same device

	mu      sync.Mutex
	request *oid4vp.Request
	results []*oid4vp.Result
	errs    []error
	plain   bool // whether the last answer came in the clear
	visits  int  // of the redirect_uri
}

func parsePEM(t testing.TB, text []byte) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode(text)
	if block == nil || len(rest) != 0 {
		t.Fatalf("PEM %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newSite(t testing.TB, s *Simulator, sanDNS bool) *site {
	t.Helper()
	certificate, key, err := s.AccessCertificate("큐넷(시험)", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(key)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer := private.(crypto.Signer)
	p := &site{t: t, sim: s}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	roots := x509.NewCertPool()
	roots.AddCert(parsePEM(t, s.Roots()))
	anchors, err := mdoc.NewAnchors(parsePEM(t, s.DocumentRoots()))
	if err != nil {
		t.Fatal(err)
	}
	p.verifier = &oid4vp.Verifier{
		Formats: []oid4vp.FormatVerifier{&sdjwt.Verifier{Roots: roots}, &mdoc.Verifier{Anchors: anchors}}, Status: &statuslist.Checker{Lists: p},
	}
	chain := []*x509.Certificate{parsePEM(t, certificate)}
	if sanDNS {
		p.verifier.Client, err = oid4vp.X509SANDNS("127.0.0.1", signer, chain)
	} else {
		p.verifier.Client, err = oid4vp.X509Hash(signer, chain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FetchStatusList implements statuslist.Fetcher.
func (p *site) FetchStatusList(ctx context.Context, uri string) (*statuslist.List, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != statuslist.MediaType {
		return nil, errors.New(resp.Status)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsePEM(p.t, p.sim.Roots()))
	return (&statuslist.Verifier{Roots: roots}).Verify(string(text), uri, time.Now())
}

func (p *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case "/request":
		nonce := ""
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			var asked *oid4vp.WalletRequest
			if err == nil {
				asked, err = oid4vp.ParseWalletRequest(r.Header.Get("Content-Type"), body)
			}
			if err == nil {
				err = asked.Metadata.Supports(p.request)
			}
			if err != nil || asked.Nonce == "" {
				p.t.Errorf("request by POST: %v", err)
				return
			}
			nonce = asked.Nonce
		}
		object, err := p.verifier.RequestObject(p.request, nonce)
		if err != nil || r.Header.Get("Accept") != oid4vp.RequestObjectType {
			p.t.Errorf("request object: %v, Accept %q", err, r.Header.Get("Accept"))
		}
		w.Header().Set("Content-Type", oid4vp.RequestObjectType)
		_, _ = io.WriteString(w, object)
	case "/response":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			p.t.Error(err)
		}
		p.plain = !strings.HasPrefix(string(body), "response=")
		var result *oid4vp.Result
		response, err := oid4vp.ParseResponse(r.Header.Get("Content-Type"), body)
		if err == nil {
			result, err = p.verifier.Verify(r.Context(), p.request, response, time.Now())
		}
		p.errs = append(p.errs, err)
		if e, ok := errors.AsType[*oid4vp.Error](err); ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(e.Status())
			_, _ = w.Write(e.Answer())
			return
		}
		p.results = append(p.results, result)
		redirect := ""
		if p.redirect {
			redirect = p.url + "/return?response_code=1"
		}
		answer, err := oid4vp.Accepted(redirect)
		if err != nil {
			p.t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	case "/return":
		p.visits++
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<title>back</title><p id="code">`+r.URL.Query().Get("response_code")+`</p>`)
	}
}

var (
	vcQuery = oid4vp.Query{Credentials: []oid4vp.CredentialQuery{{
		ID: "vc", Format: oid4vp.FormatSDJWT, Meta: oid4vp.Meta{VCTValues: []string{residentCard.VCT}},
		Claims: []oid4vp.ClaimQuery{{Path: oid4vp.Path{"name"}}, {Path: oid4vp.Path{"birthdate"}}, {Path: oid4vp.Path{"ci"}}},
	}}}
	mdocQuery = oid4vp.Query{Credentials: []oid4vp.CredentialQuery{{
		ID: "mdl", Format: oid4vp.FormatMdoc, Meta: oid4vp.Meta{DoctypeValue: mdlDocType},
		Claims: []oid4vp.ClaimQuery{{Path: oid4vp.Path{isoSpace, "birth_date"}}, {Path: oid4vp.Path{isoSpace, "sex"}}, {Path: oid4vp.Path{koreanSpace, "name"}}, {Path: oid4vp.Path{koreanSpace, "ci"}}},
	}}}
	anyQuery = oid4vp.Query{
		Credentials:    []oid4vp.CredentialQuery{vcQuery.Credentials[0], mdocQuery.Credentials[0]},
		CredentialSets: []oid4vp.CredentialSet{{Options: [][]string{{"vc"}, {"mdl"}}}},
	}
)

// ask makes a request and gives its link.
func (p *site) ask(query oid4vp.Query, mode oid4vp.ResponseMode, post bool, wallet string) string {
	p.t.Helper()
	request, err := p.verifier.NewRequest(oid4vp.RequestOptions{Query: query, ResponseURI: p.url + "/response", Mode: mode, Now: time.Now()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.request = request
	p.mu.Unlock()
	link, err := oid4vp.RequestURILink(wallet, request, p.url+"/request", post)
	if err != nil {
		p.t.Fatal(err)
	}
	return link
}

func (p *site) answer(query oid4vp.Query, mode oid4vp.ResponseMode) (Outcome, error) {
	p.t.Helper()
	waiting, err := p.sim.Scan(p.t.Context(), hong, p.ask(query, mode, true, oid4vp.HAIPScheme))
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := p.sim.Approve(p.t.Context(), waiting.ID, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.errs) == 0 {
		p.t.Fatalf("no answer came: %+v", out)
	}
	return out, p.errs[len(p.errs)-1]
}

func TestOpenID4VP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, c := range []struct {
		name   string
		query  oid4vp.Query
		mode   oid4vp.ResponseMode
		post   bool
		wallet string
		sanDNS bool
		claims map[string]string // path: value
	}{
		{"SD-JWT VC", vcQuery, oid4vp.DirectPostJWT, true, oid4vp.HAIPScheme, false, map[string]string{`["name"]`: "홍길동", `["birthdate"]`: "1990-03-15", `["ci"]`: people[0].CI}},
		{"mdoc", mdocQuery, oid4vp.DirectPostJWT, false, oid4vp.WalletScheme, false, map[string]string{`["org.iso.18013.5.1","birth_date"]`: "1990-03-15", `["org.iso.18013.5.1.KR","name"]`: "홍길동", `["org.iso.18013.5.1.KR","ci"]`: people[0].CI}},
		{"in the clear", vcQuery, oid4vp.DirectPost, false, s.url + "/open", true, nil},
		{"mdoc in the clear", mdocQuery, oid4vp.DirectPost, true, s.url + "/open", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, s, c.sanDNS)
			waiting, err := s.Scan(t.Context(), hong, p.ask(c.query, c.mode, c.post, c.wallet))
			if err != nil {
				t.Fatal(err)
			}
			if waiting.Asker != "큐넷(시험)" || waiting.Protocol != "openid4vp" || len(waiting.Choices) != 1 || !slices.Contains(waiting.Choices[0].Items, "연계정보(CI)") {
				t.Errorf("%+v", waiting)
			}
			out, err := s.Approve(t.Context(), waiting.ID, 0)
			if err != nil || out != (Outcome{Result: ResultSent}) {
				t.Fatalf("%+v, %v; %v", out, err, p.errs)
			}
			result := p.results[0]
			if len(result.Credentials) != 1 || result.Encrypted != (c.mode == oid4vp.DirectPostJWT) || result.Credentials[0].Status == nil {
				t.Fatalf("%+v", result)
			}
			for _, claim := range result.Credentials[0].Matched {
				if want, ok := c.claims[claim.Path.String()]; ok && claim.Value != want {
					t.Errorf("%s: %v", claim.Path, claim.Value)
				}
			}
			if _, ok := result.Credentials[0].Claims["phone_number"]; ok {
				t.Error("discloses what was not asked for")
			}
		})
	}
}

func TestChoices(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newSite(t, s, false)
	waiting, err := s.Scan(t.Context(), hong, p.ask(anyQuery, oid4vp.DirectPostJWT, true, oid4vp.HAIPScheme))
	if err != nil {
		t.Fatal(err)
	}
	if len(waiting.Choices) != 2 || waiting.Choices[0].Label != "모바일 주민등록증" || waiting.Choices[1].Label != "모바일 운전면허증(mDL)" {
		t.Fatalf("%+v", waiting.Choices)
	}
	if _, err := s.Approve(t.Context(), waiting.ID, 2); !errors.Is(err, ErrNoChoice) {
		t.Errorf("a choice that is not there: %v", err)
	}
	if out, err := s.Approve(t.Context(), waiting.ID, 1); err != nil || out.Result != ResultSent || p.results[0].Credentials[0].QueryID != "mdl" {
		t.Errorf("%+v, %v", out, err)
	}
	// A foreigner has neither.
	waiting, err = s.Scan(t.Context(), smith, p.ask(anyQuery, oid4vp.DirectPostJWT, true, oid4vp.HAIPScheme))
	if err != nil || len(waiting.Choices) != 0 {
		t.Fatalf("%+v, %v", waiting, err)
	}
	if _, err := s.Approve(t.Context(), waiting.ID, 0); !errors.Is(err, ErrNoChoice) {
		t.Errorf("approved nothing: %v", err)
	}
	if out, err := s.Deny(t.Context(), waiting.ID); err != nil || out.Result != ResultDenied {
		t.Errorf("%+v, %v", out, err)
	}
	if e, ok := errors.AsType[*oid4vp.WalletError](p.errs[1]); !ok || e.Code != "access_denied" || p.plain {
		t.Errorf("%v, plain %v", p.errs[1], p.plain)
	}
}

func TestDCQL(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key := s.issuers.vc.chain[0].AuthorityKeyId
	for _, c := range []struct {
		name, query string
		choices     int
	}{
		{"claim", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"claims":[{"path":["name"]}]}]}`, 1},
		{"two types", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1","urn:kr:mobileid:driving-licence:1"]}}]}`, 2},
		{"no such claim", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"claims":[{"path":["height"]}]}]}`, 0},
		{"a value", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"claims":[{"path":["gender"],"values":["male"]}]}]}`, 1},
		{"another value", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"claims":[{"path":["gender"],"values":["female"]}]}]}`, 0},
		{"a number", `{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},"claims":[{"path":["org.iso.18013.5.1","sex"],"values":[1]}]}]}`, 1},
		{"claim set", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"claims":[{"id":"h","path":["height"]},{"id":"n","path":["name"]}],"claim_sets":[["h"],["n"]]}]}`, 1},
		{"both", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]}},{"id":"b","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"}}]}`, 1},
		{"one is not there", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]}},{"id":"b","format":"mso_mdoc","meta":{"doctype_value":"org.example"}}]}`, 0},
		{"optional", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]}},{"id":"b","format":"mso_mdoc","meta":{"doctype_value":"org.example"}}],"credential_sets":[{"options":[["a"]]},{"options":[["b"]],"required":false}]}`, 1},
		{"another authority", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:mobileid:resident-card:1"]},"trusted_authorities":[{"type":"aki","values":["AAAA"]}]}]}`, 0},
		{"nothing", `{}`, 0},
	} {
		var query dcqlQuery
		if err := json.Unmarshal([]byte(c.query), &query); err != nil {
			t.Fatal(err)
		}
		if got := query.choices(s.byPhone[hong], s.issuers); len(got) != c.choices {
			t.Errorf("%s: %d choices, want %d", c.name, len(got), c.choices)
		}
	}
	if len(key) == 0 {
		t.Error("the issuer's certificate does not name its authority's key")
	}
}

func TestSameDevice(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newSite(t, s, false)
	p.redirect = true
	b, err := browse.New(http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(b.Open(t.Context(), p.ask(vcQuery, oid4vp.DirectPostJWT, true, s.url+"/open"))) // a link that the wallet has claimed
	do(b.Click(t.Context(), "open-"+hong))
	do(b.Click(t.Context(), "request-"+s.Waiting(hong)[0].ID+"-approve"))
	if b.Text("code") != "1" || p.visits != 1 {
		t.Errorf("%s %s, %d visits", b.URL(), b.Title(), p.visits)
	}
	fault(t, s, FaultCodeTwice)
	do(b.Open(t.Context(), p.ask(vcQuery, oid4vp.DirectPostJWT, true, s.url+"/open")))
	do(b.Click(t.Context(), "open-"+hong))
	do(b.Click(t.Context(), "request-"+s.Waiting(hong)[0].ID+"-approve"))
	if b.Text("code") != "1" || p.visits != 3 {
		t.Errorf("%s %s, %d visits", b.URL(), b.Title(), p.visits)
	}
}

// TestSameDeviceInABrowser: a form may end at another origin only if the page's policy lets it.
func TestSameDeviceInABrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newSite(t, s, false)
	p.redirect = true
	host := func(address string) string { _, host, _ := strings.Cut(address, "://"); return host }
	tab := chromium.New(t, chromium.Options{Hosts: []string{host(s.url), host(p.url)}}).Tab()
	tab.Open(p.ask(mdocQuery, oid4vp.DirectPostJWT, true, s.url+"/open"))
	tab.Follow("open-" + hong)
	tab.Follow("request-" + s.Waiting(hong)[0].ID + "-approve")
	if code := tab.Text("code"); code != "1" {
		t.Errorf("%s: %q", tab.URL(), code)
	}
}

func TestFaultsOfOpenID4VP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault string
		query oid4vp.Query
		code  oid4vp.Code
	}{
		{FaultWrongNonce, vcQuery, oid4vp.ErrNonce},
		{FaultOtherHolder, vcQuery, oid4vp.ErrKeyBinding},
		{FaultWrongSignature, vcQuery, oid4vp.ErrKeyBinding},
		{FaultExpired, vcQuery, oid4vp.ErrExpired},
		{FaultOtherIssuer, vcQuery, oid4vp.ErrUntrusted},
		{FaultRevoked, vcQuery, oid4vp.ErrRevoked},
		{FaultMissingCI, vcQuery, oid4vp.ErrQuery},
		{FaultAlgNone, vcQuery, oid4vp.ErrUnsupported},
		{FaultOtherAudience, vcQuery, oid4vp.ErrAudience},
		{FaultBareAudience, vcQuery, oid4vp.ErrAudience},
		{FaultWrongSDHash, vcQuery, oid4vp.ErrKeyBinding},
		{FaultDuplicateDigest, vcQuery, oid4vp.ErrDigest},
		{FaultUnknownDisclosure, vcQuery, oid4vp.ErrDigest},
		{FaultBomb, vcQuery, oid4vp.ErrTooLarge},
		{FaultUndecryptable, vcQuery, oid4vp.ErrDecrypt},
		{FaultWrongNonce, mdocQuery, oid4vp.ErrKeyBinding},
		{FaultOtherAudience, mdocQuery, oid4vp.ErrKeyBinding},
		{FaultOtherHolder, mdocQuery, oid4vp.ErrKeyBinding},
		{FaultWrongTranscript, mdocQuery, oid4vp.ErrKeyBinding},
		{FaultWrongThumbprint, mdocQuery, oid4vp.ErrKeyBinding},
		{FaultReencoded, mdocQuery, oid4vp.ErrDigest},
		{FaultExpired, mdocQuery, oid4vp.ErrExpired},
		{FaultOtherIssuer, mdocQuery, oid4vp.ErrUntrusted},
		{FaultRevoked, mdocQuery, oid4vp.ErrRevoked},
		{FaultMissingCI, mdocQuery, oid4vp.ErrQuery},
		{FaultBomb, mdocQuery, oid4vp.ErrTooLarge},
	} {
		t.Run(c.fault+" "+c.query.Credentials[0].ID, func(t *testing.T) {
			t.Parallel()
			p := newSite(t, start(t, nil), false)
			fault(t, p.sim, c.fault)
			if out, err := p.answer(c.query, oid4vp.DirectPostJWT); !errors.Is(err, c.code) || out.Result != ResultRefused {
				t.Errorf("%+v, %v; want %v", out, err, c.code)
			}
		})
	}
	t.Run(FaultMalformedCI, func(t *testing.T) {
		t.Parallel()
		p := newSite(t, start(t, nil), false)
		fault(t, p.sim, FaultMalformedCI)
		if _, err := p.answer(vcQuery, oid4vp.DirectPostJWT); err != nil || len(p.results[0].Credentials[0].Claims["ci"].(string)) != 80 {
			t.Error(err)
		}
	})
	t.Run(FaultReplay, func(t *testing.T) {
		t.Parallel()
		p := newSite(t, start(t, nil), false)
		fault(t, p.sim, FaultReplay)
		if _, err := p.answer(vcQuery, oid4vp.DirectPostJWT); err != nil {
			t.Errorf("nothing to replay: %v", err)
		}
		if _, err := p.answer(vcQuery, oid4vp.DirectPostJWT); !errors.Is(err, oid4vp.ErrNonce) {
			t.Errorf("replayed: %v", err)
		}
	})
	t.Run(FaultPlainError, func(t *testing.T) {
		t.Parallel()
		p := newSite(t, start(t, nil), false)
		fault(t, p.sim, FaultPlainError, FaultCancel)
		_, err := p.answer(vcQuery, oid4vp.DirectPostJWT)
		if e, ok := errors.AsType[*oid4vp.WalletError](err); !ok || e.Code != "access_denied" || !p.plain {
			t.Errorf("%v, plain %v", err, p.plain)
		}
	})
	t.Run(FaultTwice, func(t *testing.T) {
		t.Parallel()
		p := newSite(t, start(t, nil), false)
		fault(t, p.sim, FaultTwice)
		if _, err := p.answer(vcQuery, oid4vp.DirectPostJWT); err != nil || len(p.errs) != 2 {
			t.Errorf("%v, %d answers", err, len(p.errs))
		}
	})
}

// TestRequestObjects: the wallet answers nobody whom it does not know.
func TestRequestObjects(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	stranger := start(t, nil)
	p := newSite(t, s, false)
	good := p.ask(vcQuery, oid4vp.DirectPostJWT, true, oid4vp.WalletScheme)
	other := newSite(t, s, false)
	unknown := newSite(t, stranger, false).ask(vcQuery, oid4vp.DirectPostJWT, true, oid4vp.WalletScheme)
	swapped := url.Values{"client_id": {"x509_hash:AAAA"}, "request_uri": {p.url + "/request"}}.Encode()
	for name, link := range map[string]string{
		"another wallet's register": unknown,
		"another client_id":         "openid4vp://?" + swapped,
		"no request_uri":            "openid4vp://?client_id=x",
		"another method":            strings.Replace(good, "request_uri_method=post", "request_uri_method=put", 1),
		"nobody there":              "openid4vp://?client_id=x&request_uri=http%3A%2F%2F127.0.0.1%3A1%2F",
		"no request object":         "openid4vp://?client_id=x&request_uri=" + url.QueryEscape(other.url+"/return"),
		"not a link":                "https://%zz",
	} {
		if _, err := s.Scan(t.Context(), hong, link); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := s.Scan(t.Context(), hong, good); err != nil {
		t.Error(err)
	}
	if _, err := s.Scan(t.Context(), "01000000099", good); err == nil {
		t.Error("nobody's wallet took it")
	}

	object, err := p.verifier.RequestObject(p.request, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.readRequest(object, p.request.ClientID, ""); err != nil {
		t.Error(err)
	}
	if _, _, err := s.readRequest(object, p.request.ClientID, "nonce"); err == nil {
		t.Error("wallet_nonce is missing, and nobody minds")
	}
	at := strings.LastIndexByte(object, '.')
	if spoiled, err := spoil(object); err != nil {
		t.Error(err)
	} else if _, _, err := s.readRequest(spoiled, p.request.ClientID, ""); err == nil {
		t.Error("a wrong signature is taken")
	}
	if _, _, err := s.readRequest(object[:at+1], p.request.ClientID, ""); err == nil {
		t.Error("no signature is taken")
	}
}

func TestTestAPI(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := newSite(t, s, false)
	call := func(verb, path, body string, into any) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), verb, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if into != nil {
			if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode
	}
	scan := func(text string, into any) int {
		body, err := json.Marshal(map[string]string{"phone": hong, "text": text})
		if err != nil {
			t.Fatal(err)
		}
		return call("POST", "/api/scan", string(body), into)
	}
	if status := scan("nothing", nil); status != http.StatusUnprocessableEntity {
		t.Error(status)
	}
	var waiting Waiting
	if status := scan(p.ask(vcQuery, oid4vp.DirectPostJWT, true, oid4vp.HAIPScheme), &waiting); status != http.StatusOK || waiting.Phone != hong {
		t.Errorf("%d %+v", status, waiting)
	}
	var list struct{ Requests []Waiting }
	if call("GET", "/api/requests?phone="+hong, "", &list); len(list.Requests) != 1 || list.Requests[0].ID != waiting.ID {
		t.Errorf("%+v", list)
	}
	if call("GET", "/api/requests?phone="+smith, "", &list); len(list.Requests) != 0 {
		t.Errorf("%+v", list)
	}
	path := "/api/requests/" + waiting.ID
	if status := call("POST", path+"/approve", `{"choice":3}`, nil); status != http.StatusConflict {
		t.Error(status)
	}
	if status := call("POST", path+"/ignore", "", nil); status != http.StatusNotFound {
		t.Error(status)
	}
	var out Outcome
	if status := call("POST", path+"/approve", "", &out); status != http.StatusOK || out.Result != ResultSent {
		t.Errorf("%d %+v", status, out)
	}
	if status := call("POST", path+"/deny", "", nil); status != http.StatusConflict {
		t.Error(status)
	}
	if status := call("POST", "/api/auto-approve", `{"on":true}`, nil); status != http.StatusNoContent {
		t.Error(status)
	}
	if status := call("GET", "/status/another", "", nil); status != http.StatusNotFound {
		t.Error(status)
	}
	var faults struct{ Table []sim.Fault }
	if call("GET", "/api/faults", "", &faults); len(faults.Table) != len(faultTable) {
		t.Errorf("%+v", faults)
	}
}
