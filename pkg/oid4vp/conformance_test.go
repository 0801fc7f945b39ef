package oid4vp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
	"github.com/anyid/anyid/pkg/oid4vp/mdoc/mdoctest"
	"github.com/anyid/anyid/pkg/oid4vp/sdjwt"
)

// The tests in this file carry the names of the modules of the OpenID Foundation's plan oid4vp-1final-verifier, in
// which the test is the wallet, and of the demands that it has on every request.

// variants are those of the plan: prefix and response mode; the prefix settles the request method.
var variants = []struct {
	prefix string
	mode   oid4vp.ResponseMode
}{
	{"redirect_uri", oid4vp.DirectPost}, {"redirect_uri", oid4vp.DirectPostJWT},
	{"x509_san_dns", oid4vp.DirectPost}, {"x509_san_dns", oid4vp.DirectPostJWT},
	{"x509_hash", oid4vp.DirectPost}, {"x509_hash", oid4vp.DirectPostJWT}, // the last one is HAIP
}

var formats = []string{oid4vp.FormatSDJWT, oid4vp.FormatMdoc}

func eachVariant(t *testing.T, test func(t *testing.T, p *play)) {
	t.Helper()
	for _, variant := range variants {
		for _, format := range formats {
			t.Run(fmt.Sprintf("%s/%s/%s", variant.prefix, variant.mode, format), func(t *testing.T) {
				t.Parallel()
				test(t, newPlay(t, variant.prefix, variant.mode, format))
			})
		}
	}
}

// outcomes are what the browser sees in the end.
var outcomes = map[string]string{
	oid4vp.FormatSDJWT: vct + " of https://issuer.example/a: 홍, KR, 서울",
	oid4vp.FormatMdoc:  mDL + " of CN=IACA,C=KR: 홍, 1995-01-12",
}

// TestRequest holds every variant's request against the demands on it.
func TestRequest(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *play) {
		w := p.wallet()
		w.fetch(p.begin(p.browser(), "cross"))
		signed := p.verifier.Client.Signs()
		demand := func(name string, ok bool) {
			t.Helper()
			if !ok {
				t.Errorf("%s: %v", name, w.inner)
			}
		}
		metadata, _ := w.inner["client_metadata"].(map[string]any)
		clientID, responseURI := w.parameter("client_id"), w.parameter("response_uri")

		demand("response_type", w.parameter("response_type") == "vp_token")
		demand("response_mode", w.parameter("response_mode") == string(p.mode))
		demand("client_id is the same outside and inside", w.outer.Get("client_id") == clientID)
		for _, name := range []string{"client_id_scheme", "scope", "redirect_uri", "presentation_definition", "transaction_data", "request", "request_uri"} {
			_, there := w.inner[name]
			demand("no "+name, !there)
		}
		demand("response_uri is https", strings.HasPrefix(responseURI, "https://") && !strings.Contains(responseURI, "#"))
		nonce, err := base64.RawURLEncoding.DecodeString(w.parameter("nonce"))
		demand("nonce is URL-safe, of at least 128 bits", err == nil && len(nonce) >= 16)
		demand("state", w.parameter("state") != "")

		query, err := json.Marshal(w.inner["dcql_query"])
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := oid4vp.ParseQuery(query)
		demand("dcql_query is valid", err == nil && len(parsed.Credentials) == 1 && parsed.Credentials[0].Format == p.query.Credentials[0].Format)
		supported, _ := metadata["vp_formats_supported"].(map[string]any)
		demand("vp_formats_supported has the format", len(supported) == 1 && supported[p.query.Credentials[0].Format] != nil)

		jwks, _ := metadata["jwks"].(map[string]any)
		if p.mode == oid4vp.DirectPost {
			demand("no key without encryption", jwks == nil && metadata["encrypted_response_enc_values_supported"] == nil)
		} else {
			keys, _ := jwks["keys"].([]any)
			if len(keys) != 1 {
				t.Fatalf("jwks %v", jwks)
			}
			key := keys[0].(map[string]any)
			demand("key for encryption", key["kty"] == "EC" && key["crv"] == "P-256" && key["use"] == "enc" && key["alg"] == "ECDH-ES" && key["kid"] != "")
			demand("no private key", key["d"] == nil)
			demand("both encryptions", reflect.DeepEqual(metadata["encrypted_response_enc_values_supported"], []any{"A128GCM", "A256GCM"}))
			again := p.wallet()
			again.fetch(p.begin(p.browser(), "cross"))
			other := again.inner["client_metadata"].(map[string]any)["jwks"].(map[string]any)["keys"].([]any)[0].(map[string]any)
			demand("a fresh key per request", other["kid"] != key["kid"] && other["x"] != key["x"] && again.parameter("nonce") != w.parameter("nonce"))
		}

		if !signed {
			demand("redirect_uri is the response_uri, by value", clientID == "redirect_uri:"+responseURI && w.outer.Get("request_uri") == "")
			return
		}
		requestURI := w.outer.Get("request_uri")
		demand("request_uri is https, without fragment", strings.HasPrefix(requestURI, "https://") && !strings.Contains(requestURI, "#"))
		demand("only client_id and request_uri outside", len(w.outer) == 2)
		demand("typ", w.typ == "oauth-authz-req+jwt")
		demand("aud", w.inner["aud"] == "https://self-issued.me/v2")
		issued, _ := w.inner["iat"].(float64)
		expires, _ := w.inner["exp"].(float64)
		demand("iat and exp", int64(issued) == testca.Now.Unix() && int64(expires) == testca.Now.Add(5*time.Minute).Unix())
		_, walletNonce := w.inner["wallet_nonce"]
		demand("no wallet_nonce unless asked", !walletNonce)
		demand("x5c without anchor, leaf not self-signed", len(w.chain) == 1 && w.chain[0].Subject.String() != w.chain[0].Issuer.String())
		if prefix, name, _ := strings.Cut(clientID, ":"); prefix == "x509_hash" {
			hash := sha256.Sum256(w.chain[0].Raw)
			demand("x509_hash", name == base64.RawURLEncoding.EncodeToString(hash[:]))
		} else {
			uri, err := url.Parse(responseURI)
			demand("x509_san_dns", err == nil && prefix == "x509_san_dns" && w.chain[0].VerifyHostname(name) == nil && uri.Hostname() == name)
		}
	})
}

// TestHappyFlow is oid4vp-1final-verifier-happy-flow: the QR code, on another device.
func TestHappyFlow(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *play) {
		browser := p.browser()
		link := p.begin(browser, "cross")
		if _, state := get(t, browser, base+"/poll"); state != "pending" {
			t.Errorf("before: %s", state)
		}
		got := p.wallet().follow(link)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" || len(got.body) != 0 {
			t.Errorf("answer %+v", got)
		}
		if _, state := get(t, browser, base+"/poll"); state != outcomes[p.query.Credentials[0].Format] {
			t.Errorf("after: %s", state)
		}
		if status, _ := get(t, p.browser(), base+"/poll"); status != http.StatusForbidden {
			t.Errorf("another browser: %d", status)
		}
	})
}

// TestSameDevice: the wallet sends the browser back, which alone gets the result (OpenID4VP §13.3, HAIP §5.1).
func TestSameDevice(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *play) {
		browser := p.browser()
		got := p.wallet().follow(p.begin(browser, "same"))
		if got.status != http.StatusOK || got.redirect == "" || len(got.body) != 1 {
			t.Fatalf("answer %+v", got)
		}
		if _, state := get(t, browser, base+"/poll"); state != "pending" {
			t.Errorf("without the redirect: %s", state)
		}
		other := p.browser()
		p.begin(other, "same")
		for name, stranger := range map[string]*http.Client{"no session": p.browser(), "another session": other} {
			if status, _ := get(t, stranger, got.redirect); status != http.StatusForbidden {
				t.Errorf("redirect opened in a browser with %s: %d", name, status)
			}
		}
		if status, state := get(t, browser, got.redirect); status != http.StatusOK || state != outcomes[p.query.Credentials[0].Format] {
			t.Errorf("back: %d %s", status, state)
		}
		if status, _ := get(t, browser, got.redirect); status != http.StatusForbidden {
			t.Errorf("response_code used twice: %d", status)
		}
	})
}

// TestMinimalCnfJWK is oid4vp-1final-verifier-minimal-cnf-jwk.
func TestMinimalCnfJWK(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	w := p.wallet()
	point, err := p.holder.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	w.issue = func(i *sdjwt.Issuance) {
		i.Holder = nil
		i.Claims["cnf"] = map[string]any{"jwk": map[string]any{
			"kty": "EC", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
		}}
	}
	if got := w.follow(p.begin(p.browser(), "cross")); got.status != http.StatusOK {
		t.Errorf("answer %+v", got)
	}
}

// TestRequestURIMethodPost is oid4vp-1final-verifier-request-uri-method-post; the wallet checks the echo.
func TestRequestURIMethodPost(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"x509_hash", "x509_san_dns"} {
		p := newPlay(t, prefix, oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
		p.post = true
		link := p.begin(p.browser(), "cross")
		if !strings.Contains(link, "request_uri_method=post") {
			t.Error(link)
		}
		if got := p.wallet().follow(link); got.status != http.StatusOK {
			t.Errorf("answer %+v", got)
		}
		// A wallet that cannot answer learns so.
		w := p.wallet()
		w.fetch(p.begin(p.browser(), "cross"))
		response, err := w.client.PostForm(w.outer.Get("request_uri"), url.Values{"wallet_metadata": {`{"vp_formats_supported":{"mso_mdoc":{}}}`}})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || response.Header.Get("X-Code") != string(oid4vp.ErrIncompatible) {
			t.Errorf("incompatible: %d %s", response.StatusCode, response.Header.Get("X-Code"))
		}
	}
}

// TestRequestURIFetchedTwice is oid4vp-1final-verifier-request-uri-fetched-twice.
func TestRequestURIFetchedTwice(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"x509_hash", "x509_san_dns"} {
		p := newPlay(t, prefix, oid4vp.DirectPostJWT, oid4vp.FormatMdoc)
		link := p.begin(p.browser(), "cross")
		first, second := p.wallet(), p.wallet()
		first.fetch(link)
		second.fetch(link)
		if !reflect.DeepEqual(first.inner, second.inner) {
			t.Errorf("%v\n%v", first.inner, second.inner)
		}
		if got := second.respond(); got.status != http.StatusOK {
			t.Errorf("answer %+v", got)
		}
	}
}

// TestRefusedPresentations has the remaining modules, and the simulator's switches: each is refused while the wallet
// waits, with 4xx, nothing is stored, and the same transaction still takes a good answer.
func TestRefusedPresentations(t *testing.T) {
	t.Parallel()
	stranger := testca.Key(t)
	damage := func(part int) func(string) string { // the signature of a part between tildes
		return func(text string) string {
			parts := strings.Split(text, "~")
			at := (part + len(parts)) % len(parts)
			cut := strings.LastIndexByte(parts[at], '.') + 1
			signature, err := base64.RawURLEncoding.DecodeString(parts[at][cut:])
			if err != nil {
				panic(err)
			}
			signature[5] ^= 1
			parts[at] = parts[at][:cut] + base64.RawURLEncoding.EncodeToString(signature)
			return strings.Join(parts, "~")
		}
	}
	none := func(part int) func(string) string {
		return func(text string) string {
			parts := strings.Split(text, "~")
			at := (part + len(parts)) % len(parts)
			jwt := strings.Split(parts[at], ".")
			header, _ := base64.RawURLEncoding.DecodeString(jwt[0])
			jwt[0] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(header), `"ES256"`, `"none"`, 1)))
			jwt[2] = ""
			parts[at] = strings.Join(jwt, ".")
			return strings.Join(parts, "~")
		}
	}
	bind := func(name string, value any) func(*sdjwt.KeyBinding) {
		return func(k *sdjwt.KeyBinding) { k.Edit = func(_, payload map[string]any) { payload[name] = value } }
	}
	unknown, err := sdjwt.EncodeDisclosure("salt", "admin", true)
	if err != nil {
		t.Fatal(err)
	}
	const s, m = oid4vp.FormatSDJWT, oid4vp.FormatMdoc
	for name, c := range map[string]struct {
		format string
		wallet func(*wallet)
		play   func(*play)
		want   oid4vp.Code
	}{
		"invalid-kb-jwt-signature":     {s, func(w *wallet) { w.presented = damage(-1) }, nil, oid4vp.ErrKeyBinding},
		"invalid-credential-signature": {s, func(w *wallet) { w.presented = damage(0) }, nil, oid4vp.ErrSignature},
		"invalid-sd-hash":              {s, func(w *wallet) { w.bind = bind("sd_hash", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") }, nil, oid4vp.ErrKeyBinding},
		"invalid-kb-jwt-nonce":         {s, func(w *wallet) { w.bind = bind("nonce", oid4vp.Random()) }, nil, oid4vp.ErrNonce},
		"invalid-kb-jwt-aud":           {s, func(w *wallet) { w.bind = bind("aud", "https://wrong.example") }, nil, oid4vp.ErrAudience},
		"kb-jwt-iat-in-past":           {s, func(w *wallet) { w.bind = bind("iat", testca.Now.AddDate(-1, 0, 0).Unix()) }, nil, oid4vp.ErrTime},
		"kb-jwt-iat-in-future":         {s, func(w *wallet) { w.bind = bind("iat", testca.Now.AddDate(1, 0, 0).Unix()) }, nil, oid4vp.ErrTime},
		"invalid-session-transcript": {m, func(w *wallet) {
			w.transcript = func(_, nonce, _ *string, _ *[]byte) { *nonce = oid4vp.Random() }
		}, nil, oid4vp.ErrKeyBinding},

		"switch: alg none":                    {s, func(w *wallet) { w.presented = none(0) }, nil, oid4vp.ErrUnsupported},
		"switch: alg none of the key binding": {s, func(w *wallet) { w.presented = none(-1) }, nil, oid4vp.ErrUnsupported},
		"switch: aud without prefix": {s, func(w *wallet) {
			w.bind = func(k *sdjwt.KeyBinding) { _, k.Audience, _ = strings.Cut(k.Audience, ":") }
		}, nil, oid4vp.ErrAudience},
		"switch: sd_hash over the wrong bytes": {s, func(w *wallet) { w.selected = rebound(w) }, nil, oid4vp.ErrKeyBinding},
		"switch: duplicate digests":            {s, func(w *wallet) { w.issue = duplicate }, nil, oid4vp.ErrDigest},
		"switch: unknown disclosure":           {s, func(w *wallet) { w.selected = func(text string) string { return text + unknown + "~" } }, nil, oid4vp.ErrDigest},
		"switch: no key binding": {s, func(w *wallet) {
			w.presented = func(text string) string { return text[:strings.LastIndexByte(text, '~')+1] }
		}, nil, oid4vp.ErrMissing},
		"switch: key binding by another":         {s, func(w *wallet) { w.bind = func(k *sdjwt.KeyBinding) { k.Key = stranger } }, nil, oid4vp.ErrKeyBinding},
		"switch: another type":                   {s, func(w *wallet) { w.issue = func(i *sdjwt.Issuance) { i.Claims["vct"] = "urn:other" } }, nil, oid4vp.ErrQuery},
		"switch: a claim withheld":               {s, func(w *wallet) { w.issue = func(i *sdjwt.Issuance) { delete(i.Claims, "family_name") } }, nil, oid4vp.ErrQuery},
		"switch: another value":                  {s, func(w *wallet) { w.issue = func(i *sdjwt.Issuance) { i.Claims["nationalities"] = []any{"JP"} } }, nil, oid4vp.ErrQuery},
		"switch: revoked":                        {s, nil, func(p *play) { p.statuses[42] = 1 }, oid4vp.ErrRevoked},
		"switch: suspended":                      {s, nil, func(p *play) { p.statuses[42] = 2 }, oid4vp.ErrSuspended},
		"switch: status-list bomb":               {s, nil, func(p *play) { p.bomb = true }, oid4vp.ErrTooLarge},
		"switch: index outside the list":         {s, nil, func(p *play) { p.statuses = p.statuses[:8] }, oid4vp.ErrMalformed},
		"switch: mdoc revoked":                   {m, nil, func(p *play) { p.statuses[42] = 1 }, oid4vp.ErrRevoked},
		"switch: mdoc digest over other bytes":   {m, func(w *wallet) { w.faults = []mdoctest.Fault{mdoctest.Reencoded} }, nil, oid4vp.ErrDigest},
		"switch: mdoc by another key":            {m, func(w *wallet) { w.faults = []mdoctest.Fault{mdoctest.OtherKey} }, nil, oid4vp.ErrKeyBinding},
		"switch: mdoc for another response_uri":  {m, func(w *wallet) { w.transcript = func(_, _, uri *string, _ *[]byte) { *uri += "x" } }, nil, oid4vp.ErrKeyBinding},
		"switch: mdoc for another client":        {m, func(w *wallet) { w.transcript = func(id, _, _ *string, _ *[]byte) { *id = "x509_hash:x" } }, nil, oid4vp.ErrKeyBinding},
		"switch: mdoc thumbprint of another key": {m, func(w *wallet) { w.transcript = func(_, _, _ *string, thumb *[]byte) { *thumb = make([]byte, 32) } }, nil, oid4vp.ErrKeyBinding},
		"switch: mdoc without thumbprint":        {m, func(w *wallet) { w.transcript = func(_, _, _ *string, thumb *[]byte) { *thumb = nil } }, nil, oid4vp.ErrKeyBinding},
		"switch: encrypted to another key":       {s, func(w *wallet) { w.encrypt = func(k *jose.JSONWebKey) { k.Key = stranger.Public() } }, nil, oid4vp.ErrDecrypt},
		"switch: format of the other":            {s, func(w *wallet) { w.presented = func(string) string { return "o2d2ZXJzaW9u" } }, nil, oid4vp.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, c.format)
			browser := p.browser()
			link := p.begin(browser, "cross")
			good := slices.Clone(p.statuses)
			if c.play != nil {
				c.play(p)
			}
			w := p.wallet()
			if c.wallet != nil {
				c.wallet(w)
			}
			got := w.follow(link)
			if got.status/100 != 4 || got.code != string(c.want) || got.redirect != "" {
				t.Errorf("answer %+v, want %q", got, c.want)
			}
			if _, state := get(t, browser, base+"/poll"); state != "pending" {
				t.Errorf("stored: %s", state)
			}
			p.statuses, p.bomb = good, false
			if got := p.wallet().follow(link); got.status != http.StatusOK {
				t.Errorf("a good answer after it: %+v", got)
			}
			if got := p.wallet().follow(link); got.status != http.StatusBadRequest {
				t.Errorf("a second answer: %+v", got)
			}
		})
	}
}

// duplicate has one digest in two places.
func duplicate(i *sdjwt.Issuance) {
	i.Edit = func(_, payload map[string]any) {
		digests := payload["_sd"].([]string)
		payload["x"] = map[string]any{"_sd": digests[:1]}
	}
}

// rebound makes the wallet's key binding one over the presentation without its last tilde.
func rebound(w *wallet) func(string) string {
	return func(text string) string {
		hash := sha256.Sum256([]byte(strings.TrimSuffix(text, "~")))
		w.bind = func(k *sdjwt.KeyBinding) {
			k.Edit = func(_, payload map[string]any) { payload["sd_hash"] = base64.RawURLEncoding.EncodeToString(hash[:]) }
		}
		return text
	}
}

// TestWalletDeclines: the holder says no, encrypted or not, and the browser learns it.
func TestWalletDeclines(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		p := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
		browser := p.browser()
		w := p.wallet()
		w.decline, w.clear = "access_denied", plain
		if got := w.follow(p.begin(browser, "cross")); got.status != http.StatusOK || len(got.body) != 0 {
			t.Errorf("answer %+v", got)
		}
		if _, state := get(t, browser, base+"/poll"); state != "refused: access_denied" {
			t.Errorf("unencrypted %v: %s", plain, state)
		}
	}
}

// TestOneResult: of many answers at once, one is taken.
func TestOneResult(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	link := p.begin(p.browser(), "cross")
	const wallets = 8
	taken := make(chan int, wallets)
	for range wallets {
		w := p.wallet()
		w.fetch(link)
		go func() { taken <- w.respond().status }()
	}
	count := 0
	for range wallets {
		if <-taken == http.StatusOK {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d answers taken", count)
	}
}

// TestReplay: an answer to one request fits no other, of the same verifier at the same time.
func TestReplay(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *play) {
		first, second := p.wallet(), p.wallet()
		first.fetch(p.begin(p.browser(), "cross"))
		second.fetch(p.begin(p.browser(), "cross"))
		// The presentation is made for the first, and sent in an otherwise good answer to the second.
		second.inner["client_id"], second.inner["nonce"] = first.inner["client_id"], first.inner["nonce"]
		got := second.respond()
		if got.status/100 != 4 {
			t.Errorf("answer %+v", got)
		}
	})
}

func TestNewRequestRefuses(t *testing.T) {
	t.Parallel()
	p := newPlay(t, "x509_san_dns", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	good := oid4vp.RequestOptions{Query: p.query, ResponseURI: base + "/r", Now: testca.Now}
	for name, change := range map[string]func(*oid4vp.RequestOptions){
		"http":                  func(o *oid4vp.RequestOptions) { o.ResponseURI = "http://login.example.com/r" },
		"fragment":              func(o *oid4vp.RequestOptions) { o.ResponseURI += "#x" },
		"another host":          func(o *oid4vp.RequestOptions) { o.ResponseURI = "https://evil.example.com/r" },
		"relative":              func(o *oid4vp.RequestOptions) { o.ResponseURI = "/r" },
		"unknown mode":          func(o *oid4vp.RequestOptions) { o.Mode = "fragment" },
		"state with a space":    func(o *oid4vp.RequestOptions) { o.State = "a b" },
		"no query":              func(o *oid4vp.RequestOptions) { o.Query = oid4vp.Query{} },
		"no time":               func(o *oid4vp.RequestOptions) { o.Now = time.Time{} },
		"lifetime of the past":  func(o *oid4vp.RequestOptions) { o.Lifetime = -time.Minute },
		"lifetime of no second": func(o *oid4vp.RequestOptions) { o.Lifetime = time.Millisecond },
	} {
		options := good
		change(&options)
		if r, err := p.verifier.NewRequest(options); r != nil || !errors.Is(err, oid4vp.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	only := &oid4vp.Verifier{Client: p.verifier.Client}
	if _, err := only.NewRequest(good); !errors.Is(err, oid4vp.ErrInput) {
		t.Errorf("no verifier for the format: %v", err)
	}
	if _, err := (&oid4vp.Verifier{}).NewRequest(good); !errors.Is(err, oid4vp.ErrInput) {
		t.Errorf("no client: %v", err)
	}
	r, err := p.verifier.NewRequest(good)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Parameters(); !errors.Is(err, oid4vp.ErrInput) {
		t.Errorf("by value, of a client that signs: %v", err)
	}
	other := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	if _, err := other.verifier.RequestObject(r, ""); !errors.Is(err, oid4vp.ErrInput) {
		t.Errorf("request of another client: %v", err)
	}
	for _, c := range []struct{ wallet, uri string }{
		{"mailto:", base + "/q"}, {"http://wallet.example", base + "/q"}, {oid4vp.WalletScheme, "http://login.example.com/q"}, {oid4vp.WalletScheme, base + "/q#x"},
	} {
		if link, err := oid4vp.RequestURILink(c.wallet, r, c.uri, false); !errors.Is(err, oid4vp.ErrInput) {
			t.Errorf("%+v: %s, %v", c, link, err)
		}
	}
	for wallet, want := range map[string]string{
		oid4vp.WalletScheme: "openid4vp://?client_id=x509_san_dns%3Alogin.example.com&request_uri=https%3A%2F%2Flogin.example.com%2Fq",
		oid4vp.HAIPScheme:   "haip-vp://?client_id=x509_san_dns%3Alogin.example.com&request_uri=https%3A%2F%2Flogin.example.com%2Fq",
		"https://wallet.example/authorize?x=1": "https://wallet.example/authorize?x=1&client_id=x509_san_dns%3Alogin.example.com" +
			"&request_uri=https%3A%2F%2Flogin.example.com%2Fq",
	} {
		if link, err := oid4vp.RequestURILink(wallet, r, base+"/q", false); err != nil || link != want {
			t.Errorf("%s, %v; want %s", link, err, want)
		}
	}
}

func TestClientRefuses(t *testing.T) {
	t.Parallel()
	ca, key := testca.New(t, "CA"), testca.Key(t)
	below := ca.Intermediate(t, "Below")
	chain := ca.Issue(t, key.Public(), host, "")
	for name, err := range map[string]error{
		"no key":               second(oid4vp.X509Hash(nil, chain)),
		"no certificate":       second(oid4vp.X509Hash(key, nil)),
		"another's key":        second(oid4vp.X509Hash(testca.Key(t), chain)),
		"self-signed":          second(oid4vp.X509Hash(ca.Key, append(chain[:0:0], ca.Certificate))),
		"certificates astray":  second(oid4vp.X509Hash(key, append(chain[:1:1], below.Certificate))),
		"a name it has not":    second(oid4vp.X509SANDNS("other.example", key, chain)),
		"a name, another case": second(oid4vp.X509SANDNS("LOGIN.example.com", key, chain)),
	} {
		if !errors.Is(err, oid4vp.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	under := append(below.Issue(t, key.Public(), host, ""), below.Certificate, ca.Certificate)
	if _, err := oid4vp.X509Hash(key, under); err != nil {
		t.Errorf("chain of three: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestParseWalletRequest: what a wallet may post to a request_uri.
func TestParseWalletRequest(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	post := func(values url.Values) []byte { return []byte(values.Encode()) }
	w, err := oid4vp.ParseWalletRequest(form, post(url.Values{"wallet_nonce": {"qPmxiNFCR3QTm19POc8u"}, "wallet_metadata": {`{"vp_formats_supported":{"dc+sd-jwt":{},
		"a":{}},"client_id_prefixes_supported":["x509_hash"],"response_types_supported":["vp_token"]}`}}))
	if err != nil || w.Nonce != "qPmxiNFCR3QTm19POc8u" || !reflect.DeepEqual(w.Metadata, oid4vp.WalletMetadata{
		Formats: []string{"a", "dc+sd-jwt"}, ClientIDPrefixes: []string{"x509_hash"}}) {
		t.Errorf("%+v, %v", w, err)
	}
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		want        oid4vp.Code
	}{
		"JSON":                {"application/json", []byte(`{}`), oid4vp.ErrMalformed},
		"no content type":     {"", nil, oid4vp.ErrMalformed},
		"nonce twice":         {form, []byte("wallet_nonce=a&wallet_nonce=b"), oid4vp.ErrMalformed},
		"nonce with a quote":  {form, post(url.Values{"wallet_nonce": {`a"b`}}), oid4vp.ErrMalformed},
		"nonce too long":      {form, post(url.Values{"wallet_nonce": {strings.Repeat("a", 1000)}}), oid4vp.ErrMalformed},
		"too long":            {form, []byte(strings.Repeat("a", 1<<20)), oid4vp.ErrTooLarge},
		"no JSON":             {form, post(url.Values{"wallet_metadata": {"x"}}), oid4vp.ErrMalformed},
		"a doubled name":      {form, post(url.Values{"wallet_metadata": {`{"a":1,"a":1}`}}), oid4vp.ErrMalformed},
		"too deep":            {form, post(url.Values{"wallet_metadata": {strings.Repeat(`[`, 99)}}), oid4vp.ErrTooLarge},
		"formats in an array": {form, post(url.Values{"wallet_metadata": {`{"vp_formats_supported":[]}`}}), oid4vp.ErrMalformed},
		"modes in a string":   {form, post(url.Values{"wallet_metadata": {`{"response_modes_supported":"x"}`}}), oid4vp.ErrMalformed},
		"modes of numbers":    {form, post(url.Values{"wallet_metadata": {`{"response_modes_supported":[1]}`}}), oid4vp.ErrMalformed},
	} {
		if w, err := oid4vp.ParseWalletRequest(c.contentType, c.body); w != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	p := newPlay(t, "x509_hash", oid4vp.DirectPostJWT, oid4vp.FormatSDJWT)
	r, err := p.verifier.NewRequest(oid4vp.RequestOptions{Query: p.query, ResponseURI: base + "/r", Now: testca.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []oid4vp.WalletMetadata{
		{Formats: []string{}}, {ClientIDPrefixes: []string{"redirect_uri"}}, {ResponseModes: []string{"direct_post"}}, {SigningAlgorithms: []string{"RS256"}},
	} {
		if err := m.Supports(r); !errors.Is(err, oid4vp.ErrIncompatible) {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if err := (oid4vp.WalletMetadata{}).Supports(r); err != nil {
		t.Error(err)
	}
}
