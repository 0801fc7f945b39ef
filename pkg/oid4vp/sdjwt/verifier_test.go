package sdjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp"
	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
)

const (
	clientID = "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk"
	vct      = "urn:eudi:pid:1"
)

// world is an issuer, a holder and a verifier.
type world struct {
	ca       *testca.CA
	issuance Issuance
	holder   *ecdsa.PrivateKey
	verifier Verifier
	query    oid4vp.CredentialQuery
	binding  oid4vp.Binding
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	ca := testca.New(tb, "Issuer CA")
	key := testca.Key(tb)
	holder := testca.Key(tb)
	return &world{
		ca: ca, holder: holder,
		issuance: Issuance{
			Claims: map[string]any{
				"iss": "https://issuer.example/tenant", "vct": vct, "sub": "1234",
				"iat": testca.Now.Add(-time.Hour).Unix(), "nbf": testca.Now.Add(-time.Hour).Unix(), "exp": testca.Now.AddDate(0, 0, 14).Unix(),
				"given_name": Hidden{"Erika"}, "family_name": Hidden{"Mustermann"}, "birthdate": Hidden{"1963-08-12"},
				"nationalities":  []any{Hidden{"DE"}, Hidden{"KR"}},
				"place_of_birth": Hidden{map[string]any{"country": Hidden{"DE"}, "locality": Hidden{"Berlin"}}},
			},
			Holder: holder.Public(), Decoys: 3, Key: key, Chain: ca.Issue(tb, key.Public(), "issuer.example", ""),
		},
		verifier: Verifier{Roots: ca.Pool()},
		query: oid4vp.CredentialQuery{
			ID: "pid", Format: oid4vp.FormatSDJWT, Meta: oid4vp.Meta{VCTValues: []string{"urn:other", vct}},
		},
		binding: oid4vp.Binding{
			ClientID: clientID, Nonce: "n-0S6_WzA2Mj", ResponseURI: "https://op.example/wallet/response/1", Now: testca.Now,
		},
	}
}

// change is what differs from a good presentation.
type change struct {
	issue     func(*Issuance)
	select_   func(selected string) string // between the selection of disclosures and the key binding
	bind      func(*KeyBinding)
	after     func(presentation string) string
	verifier  func(*Verifier)
	binding   func(*oid4vp.Binding)
	paths     []oid4vp.Path // nil is everything
	signedKey crypto.Signer // signs the credential in place of the certificate's
}

func (w *world) present(tb testing.TB, c change) (string, Verifier, oid4vp.Binding) {
	tb.Helper()
	issuance := w.issuance
	issuance.Claims = maps.Clone(issuance.Claims)
	if c.issue != nil {
		c.issue(&issuance)
	}
	if c.signedKey != nil {
		issuance.Key = c.signedKey
	}
	text, err := Issue(issuance)
	if err != nil {
		tb.Fatal(err)
	}
	if c.paths != nil {
		if text, err = Select(text, c.paths...); err != nil {
			tb.Fatal(err)
		}
	}
	if c.select_ != nil {
		text = c.select_(text)
	}
	kb := KeyBinding{Key: w.holder, Nonce: w.binding.Nonce, Audience: w.binding.ClientID, IssuedAt: w.binding.Now}
	if c.bind != nil {
		c.bind(&kb)
	}
	if text, err = Bind(text, kb); err != nil {
		tb.Fatal(err)
	}
	if c.after != nil {
		text = c.after(text)
	}
	verifier, binding := w.verifier, w.binding
	if c.verifier != nil {
		c.verifier(&verifier)
	}
	if c.binding != nil {
		c.binding(&binding)
	}
	return text, verifier, binding
}

func (w *world) verify(tb testing.TB, c change) (*oid4vp.Credential, error) {
	tb.Helper()
	text, verifier, binding := w.present(tb, c)
	return verifier.Verify(tb.Context(), text, &w.query, binding)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.verify(t, change{paths: []oid4vp.Path{
		{"family_name"}, {"nationalities", nil}, {"place_of_birth", "locality"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cnf := got.Claims["cnf"]
	delete(got.Claims, "cnf")
	number := func(at time.Time) json.Number {
		text, _ := json.Marshal(at.Unix())
		return json.Number(text)
	}
	if want := (map[string]any{
		"iss": "https://issuer.example/tenant", "vct": vct, "sub": "1234", "iat": number(testca.Now.Add(-time.Hour)),
		"nbf": number(testca.Now.Add(-time.Hour)), "exp": number(testca.Now.AddDate(0, 0, 14)),
		"family_name": "Mustermann", "nationalities": []any{"DE", "KR"},
		"place_of_birth": map[string]any{"locality": "Berlin"},
	}); !reflect.DeepEqual(got.Claims, want) || cnf == nil {
		t.Errorf("claims %v, want %v", got.Claims, want)
	}
	if got.Format != "dc+sd-jwt" || got.Type != vct || got.Issuer.ID != "https://issuer.example/tenant" || len(got.Issuer.Chain) != 2 ||
		!got.Issuer.Certificate().Equal(w.issuance.Chain[0]) || got.Status != nil {
		t.Errorf("credential %+v", got)
	}
	if !w.holder.PublicKey.Equal(got.Holder.Key) || got.Holder.Method != "kb+jwt" || !got.Holder.IssuedAt.Equal(testca.Now) {
		t.Errorf("holder %+v", got.Holder)
	}
	if !got.IssuedAt.Equal(testca.Now.Add(-time.Hour)) || !got.ValidFrom.Equal(got.IssuedAt) || !got.ValidUntil.Equal(testca.Now.AddDate(0, 0, 14)) {
		t.Errorf("times %v %v %v", got.IssuedAt, got.ValidFrom, got.ValidUntil)
	}
}

// edit changes the payload that the issuer signs.
func edit(change func(payload map[string]any)) func(*Issuance) {
	return func(i *Issuance) { i.Edit = func(_, payload map[string]any) { change(payload) } }
}

// with adds a disclosure, whose digest the issuer has not signed unless the payload says so.
func with(disclosure string) func(string) string {
	return func(selected string) string { return selected + disclosure + "~" }
}

func disclosure(members ...any) string {
	text, err := EncodeDisclosure(members...)
	if err != nil {
		panic(err)
	}
	return text
}

func sha(text string) string { return digest(crypto.SHA256, text) }

// flip damages the last signature in a text of JWTs, or the one before the nth tilde.
func flip(part int) func(string) string {
	return func(text string) string {
		parts := strings.Split(text, "~")
		if part < 0 {
			part += len(parts)
		}
		body, signature, _ := cutLast(parts[part], ".")
		bytes, err := base64.RawURLEncoding.DecodeString(signature)
		if err != nil {
			panic(err)
		}
		bytes[0] ^= 1
		parts[part] = body + "." + base64.RawURLEncoding.EncodeToString(bytes)
		return strings.Join(parts, "~")
	}
}

func cutLast(text, separator string) (string, string, bool) {
	i := strings.LastIndex(text, separator)
	return text[:i], text[i+1:], i >= 0
}

// unsigned gives part of a text of JWTs the algorithm none, and no signature.
func unsigned(part int, algorithm string) func(string) string {
	return func(text string) string {
		parts := strings.Split(text, "~")
		if part < 0 {
			part += len(parts)
		}
		jwt := strings.Split(parts[part], ".")
		data, _ := base64.RawURLEncoding.DecodeString(jwt[0])
		var header map[string]any
		if json.Unmarshal(data, &header) != nil {
			panic("header")
		}
		header["alg"] = algorithm
		data, _ = json.Marshal(header)
		parts[part] = base64.RawURLEncoding.EncodeToString(data) + "." + jwt[1] + "."
		return strings.Join(parts, "~")
	}
}

// TestVerifyRefuses holds the verifier against presentations that are wrong in one way each.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := testca.New(t, "Other CA")
	stranger := testca.Key(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hidden := disclosure("salt", "nickname", "x")
	element := disclosure("salt", "x")
	for name, c := range map[string]struct {
		change
		want oid4vp.Code
	}{
		// The issuer.
		"issuer signature damaged":        {change{after: flip(0)}, oid4vp.ErrSignature},
		"issuer signature by another key": {change{signedKey: stranger}, oid4vp.ErrSignature},
		"issuer alg none":                 {change{after: unsigned(0, "none")}, oid4vp.ErrUnsupported},
		"issuer alg None":                 {change{after: unsigned(0, "None")}, oid4vp.ErrUnsupported},
		"issuer alg HS256":                {change{after: unsigned(0, "HS256")}, oid4vp.ErrUnsupported},
		"issuer alg not offered": {change{issue: func(i *Issuance) {
			i.Key, i.Chain = p384, w.ca.Issue(t, p384.Public(), "issuer.example", "")
		}}, oid4vp.ErrUnsupported},
		"issuer without x5c": {change{issue: func(i *Issuance) { i.Chain = nil }}, oid4vp.ErrMissing},
		"issuer of another CA": {change{issue: func(i *Issuance) {
			i.Chain = other.Issue(t, i.Key.Public(), "issuer.example", "")
		}}, oid4vp.ErrUntrusted},
		"issuer certificate self-signed": {change{issue: func(i *Issuance) {
			i.Key, i.Chain = other.Key, []*x509.Certificate{other.Certificate}
		}}, oid4vp.ErrUntrusted},
		"issuer certificate is the anchor": {change{issue: func(i *Issuance) {
			i.Key, i.Chain = w.ca.Key, []*x509.Certificate{w.ca.Certificate}
		}}, oid4vp.ErrUntrusted},
		"issuer certificate expired": {change{issue: func(i *Issuance) {
			i.Chain = w.ca.Issue(t, i.Key.Public(), "issuer.example", "", func(c *x509.Certificate) { c.NotAfter = testca.Now.Add(-time.Second) })
		}}, oid4vp.ErrExpired},
		"issuer certificate not yet valid": {change{issue: func(i *Issuance) {
			i.Chain = w.ca.Issue(t, i.Key.Public(), "issuer.example", "", func(c *x509.Certificate) { c.NotBefore = testca.Now.Add(time.Second) })
		}}, oid4vp.ErrNotYetValid},
		"issuer certificate not for signatures": {change{issue: func(i *Issuance) {
			i.Chain = w.ca.Issue(t, i.Key.Public(), "issuer.example", "", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement })
		}}, oid4vp.ErrUntrusted},
		"issuer certificate by a leaf": {change{issue: func(i *Issuance) {
			leaf := &testca.CA{Certificate: i.Chain[0], Key: i.Key.(*ecdsa.PrivateKey)}
			key := testca.Key(t)
			i.Key, i.Chain = key, append(leaf.Issue(t, key.Public(), "issuer.example", ""), i.Chain[0])
		}}, oid4vp.ErrUntrusted},
		"issuer chain too long":      {change{after: header(0, "x5c", slices.Repeat(jws.X5C(w.issuance.Chain), 8))}, oid4vp.ErrTooLarge},
		"no anchors":                 {change{verifier: func(v *Verifier) { v.Roots = nil }}, oid4vp.ErrInput},
		"empty anchors":              {change{verifier: func(v *Verifier) { v.Roots = x509.NewCertPool() }}, oid4vp.ErrUntrusted},
		"algorithm of no signature":  {change{verifier: func(v *Verifier) { v.Algorithms = []string{"none"} }}, oid4vp.ErrInput},
		"x5c that is no certificate": {change{after: header(0, "x5c", []string{"AAAA"})}, oid4vp.ErrMalformed},
		"x5c that is no array":       {change{after: header(0, "x5c", "AAAA")}, oid4vp.ErrMalformed},
		"x5c that is empty":          {change{after: header(0, "x5c", []string{})}, oid4vp.ErrUntrusted},
		"typ of a plain JWT":         {change{issue: func(i *Issuance) { i.Type = "JWT" }}, oid4vp.ErrMalformed},
		"typ of before":              {change{issue: func(i *Issuance) { i.Type = LegacyType }}, oid4vp.ErrMalformed},
		"typ in another case":        {change{issue: func(i *Issuance) { i.Type = "DC+SD-JWT" }}, oid4vp.ErrMalformed},
		"typ of a key binding":       {change{issue: func(i *Issuance) { i.Type = "kb+jwt" }}, oid4vp.ErrMalformed},
		"crit":                       {change{after: header(0, "crit", []string{"exp"})}, oid4vp.ErrUnsupported},
		"iss of another":             {change{issue: claim("iss", "https://evil.example")}, oid4vp.ErrIssuer},
		"iss below the name":         {change{issue: claim("iss", "https://a.issuer.example")}, oid4vp.ErrIssuer},
		"iss over http":              {change{issue: claim("iss", "http://issuer.example")}, oid4vp.ErrIssuer},
		"iss with a user":            {change{issue: claim("iss", "https://x@issuer.example")}, oid4vp.ErrIssuer},
		"iss without scheme":         {change{issue: claim("iss", "issuer.example")}, oid4vp.ErrIssuer},
		"iss that is no string":      {change{issue: claim("iss", 1)}, oid4vp.ErrMalformed},
		"iss selectively":            {change{issue: claim("iss", Hidden{"https://issuer.example"})}, oid4vp.ErrMalformed},
		"exp selectively":            {change{issue: claim("exp", Hidden{testca.Now.Add(time.Hour).Unix()})}, oid4vp.ErrMalformed},
		"nbf selectively":            {change{issue: claim("nbf", Hidden{0})}, oid4vp.ErrMalformed},
		"vct selectively":            {change{issue: claim("vct", Hidden{vct})}, oid4vp.ErrMalformed},
		"status selectively":         {change{issue: claim("status", Hidden{map[string]any{}})}, oid4vp.ErrMalformed},
		"cnf selectively":            {change{issue: func(i *Issuance) { i.Holder = nil; i.Claims["cnf"] = Hidden{map[string]any{}} }}, oid4vp.ErrMalformed},
		"vct of another":             {change{issue: claim("vct", "urn:third")}, oid4vp.ErrQuery},
		"vct missing":                {change{issue: drop("vct")}, oid4vp.ErrMissing},
		"vct that is no string":      {change{issue: claim("vct", []any{vct})}, oid4vp.ErrMissing},
		"expired":                    {change{issue: claim("exp", testca.Now.Add(-DefaultSkew).Unix())}, oid4vp.ErrExpired},
		"expired long ago":           {change{issue: claim("exp", 1)}, oid4vp.ErrExpired},
		"not yet valid":              {change{issue: claim("nbf", testca.Now.Add(DefaultSkew+time.Second).Unix())}, oid4vp.ErrNotYetValid},
		"issued in the future":       {change{issue: claim("iat", testca.Now.Add(DefaultSkew+time.Second).Unix())}, oid4vp.ErrNotYetValid},
		"exp that is no number":      {change{issue: claim("exp", "2030")}, oid4vp.ErrMalformed},
		"exp that is null":           {change{issue: claim("exp", nil)}, oid4vp.ErrMalformed},
		"exp beyond all times":       {change{issue: claim("exp", json.Number("1e300"))}, oid4vp.ErrMalformed},
		"nbf below zero":             {change{issue: claim("nbf", -1)}, oid4vp.ErrMalformed},
		"status by another means":    {change{issue: claim("status", map[string]any{"list": 1})}, oid4vp.ErrUnsupported},
		"status with two means": {change{issue: claim("status", map[string]any{
			"status_list": map[string]any{"idx": 1, "uri": "https://s.example/1"}, "other": true})}, oid4vp.ErrUnsupported},
		"status without index": {change{issue: claim("status", map[string]any{
			"status_list": map[string]any{"uri": "https://s.example/1"}})}, oid4vp.ErrMalformed},
		"status over http": {change{issue: claim("status", map[string]any{
			"status_list": map[string]any{"idx": 1, "uri": "http://s.example/1"}})}, oid4vp.ErrMalformed},
		"status that is null": {change{issue: claim("status", nil)}, oid4vp.ErrMalformed},

		// Disclosures (RFC 9901 §7.1).
		"disclosure nobody has signed":    {change{select_: with(hidden)}, oid4vp.ErrDigest},
		"disclosure twice":                {change{select_: func(s string) string { return s + strings.Split(s, "~")[1] + "~" }}, oid4vp.ErrDigest},
		"disclosure changed":              {change{select_: swap("Erika", "Erik")}, oid4vp.ErrDigest},
		"disclosure with other spaces":    {change{select_: respace}, oid4vp.ErrDigest},
		"disclosure whose parent is kept": {change{select_: without("place_of_birth")}, oid4vp.ErrDigest},
		"digest twice in one _sd": {change{issue: edit(func(p map[string]any) {
			p["_sd"] = append(p["_sd"].([]string), p["_sd"].([]string)[0])
		})}, oid4vp.ErrDigest},
		"digest twice in two places": {change{issue: edit(func(p map[string]any) {
			p["nationalities"] = append(p["nationalities"].([]any), map[string]any{"...": p["_sd"].([]string)[0]})
		})}, oid4vp.ErrDigest},
		"digest twice, of a decoy": {change{issue: edit(func(p map[string]any) {
			p["_sd"] = append(p["_sd"].([]string), "decoy", "decoy")
		})}, oid4vp.ErrDigest},
		"digest twice, by way of a disclosure": {change{
			issue:   edit(func(p map[string]any) { p["_sd"] = append(p["_sd"].([]string), sha(around(hidden)), sha(hidden)) }),
			select_: with(around(hidden) + "~" + hidden)}, oid4vp.ErrDigest},
		"digest that is no string": {change{issue: edit(func(p map[string]any) { p["_sd"] = []any{1} })}, oid4vp.ErrMalformed},
		"_sd that is no array":     {change{issue: edit(func(p map[string]any) { p["_sd"] = "x" })}, oid4vp.ErrMalformed},
		"_sd that is null":         {change{issue: edit(func(p map[string]any) { p["_sd"] = nil })}, oid4vp.ErrMalformed},
		"... in an object":         {change{issue: edit(func(p map[string]any) { p["..."] = "x" })}, oid4vp.ErrMalformed},
		"... with neighbours": {change{issue: edit(func(p map[string]any) {
			p["x"] = []any{map[string]any{"...": "x", "y": 1}}
		})}, oid4vp.ErrMalformed},
		"... that is no string": {change{issue: edit(func(p map[string]any) {
			p["x"] = []any{map[string]any{"...": 1}}
		})}, oid4vp.ErrMalformed},
		"... that is null": {change{issue: edit(func(p map[string]any) {
			p["x"] = []any{map[string]any{"...": nil}}
		})}, oid4vp.ErrMalformed},
		"element disclosed as a claim": {change{
			issue:   edit(func(p map[string]any) { p["_sd"] = append(p["_sd"].([]string), sha(element)) }),
			select_: with(element)}, oid4vp.ErrDigest},
		"claim disclosed as an element": {change{
			issue:   edit(func(p map[string]any) { p["x"] = []any{map[string]any{"...": sha(hidden)}} }),
			select_: with(hidden)}, oid4vp.ErrDigest},
		"claim that is there already": {change{
			issue:   edit(func(p map[string]any) { p["_sd"] = append(p["_sd"].([]string), sha(hidden)); p["nickname"] = "y" }),
			select_: with(hidden)}, oid4vp.ErrDigest},
		"claim disclosed twice": {change{
			issue: edit(func(p map[string]any) {
				p["_sd"] = append(p["_sd"].([]string), sha(hidden), sha(disclosure("pepper", "nickname", "y")))
			}),
			select_: with(hidden + "~" + disclosure("pepper", "nickname", "y"))}, oid4vp.ErrDigest},
		"claim _sd_alg": {change{
			issue: edit(func(p map[string]any) {
				delete(p, "_sd_alg")
				p["_sd"] = append(p["_sd"].([]string), sha(disclosure("salt", "_sd_alg", "sha-256")))
			}),
			select_: with(disclosure("salt", "_sd_alg", "sha-256"))}, oid4vp.ErrDigest},
		"claim _sd": {change{
			issue: edit(func(p map[string]any) {
				p["_sd"] = append(p["_sd"].([]string), sha(disclosure("salt", "_sd", []any{})))
			}),
			after: insert(disclosure("salt", "_sd", []any{}))}, oid4vp.ErrMalformed},
		"claim ...":                  {change{after: insert(disclosure("salt", "...", "x"))}, oid4vp.ErrMalformed},
		"_sd_alg unknown":            {change{after: claims(0, "_sd_alg", "md5")}, oid4vp.ErrUnsupported},
		"_sd_alg in another case":    {change{after: claims(0, "_sd_alg", "SHA-256")}, oid4vp.ErrUnsupported},
		"_sd_alg that is no string":  {change{after: claims(0, "_sd_alg", 1)}, oid4vp.ErrUnsupported},
		"disclosure of one member":   {change{after: insert(disclosure("salt"))}, oid4vp.ErrMalformed},
		"disclosure of four members": {change{after: insert(disclosure("salt", "x", 1, 2))}, oid4vp.ErrMalformed},
		"disclosure of no array":     {change{after: insert(base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`)))}, oid4vp.ErrMalformed},
		"disclosure of no JSON":      {change{after: insert("AAAA")}, oid4vp.ErrMalformed},
		"disclosure with a doubled name": {change{
			after: insert(base64.RawURLEncoding.EncodeToString([]byte(`["s","x",{"a":1,"a":2}]`)))}, oid4vp.ErrMalformed},
		"disclosure with padding":      {change{after: insert(hidden + "=")}, oid4vp.ErrMalformed},
		"disclosure in plain base64":   {change{after: insert("+/+/")}, oid4vp.ErrMalformed},
		"disclosure with a line end":   {change{after: insert(hidden + "\n")}, oid4vp.ErrMalformed},
		"disclosure with spare bits":   {change{after: insert(spare(hidden))}, oid4vp.ErrMalformed},
		"disclosure that is empty":     {change{after: insert("")}, oid4vp.ErrMalformed},
		"disclosure whose salt is 1":   {change{after: insert(disclosure(1, "x", 1))}, oid4vp.ErrMalformed},
		"disclosure whose name is 1":   {change{after: insert(disclosure("s", 1, 1))}, oid4vp.ErrMalformed},
		"disclosure too deep":          {change{after: insert(base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 100000))))}, oid4vp.ErrTooLarge},
		"disclosures too deep in turn": {change{issue: deep}, oid4vp.ErrTooLarge},
		"disclosures too many":         {change{after: insert(strings.TrimSuffix(strings.Repeat(hidden+"~", MaxDisclosures), "~"))}, oid4vp.ErrTooLarge},
		"digests too many": {change{issue: edit(func(p map[string]any) {
			for i := range MaxDigests {
				p["_sd"] = append(p["_sd"].([]string), strconv.Itoa(i))
			}
		})}, oid4vp.ErrTooLarge},
		"presentation too long": {change{after: insert(strings.Repeat("A", oid4vp.MaxPresentation))}, oid4vp.ErrTooLarge},

		// The form (RFC 9901 §4).
		"nothing":                    {change{after: func(string) string { return "" }}, oid4vp.ErrMalformed},
		"only a tilde":               {change{after: func(string) string { return "~" }}, oid4vp.ErrMalformed},
		"only the issuer's JWT":      {change{after: func(s string) string { return strings.Split(s, "~")[0] }}, oid4vp.ErrMalformed},
		"two tildes":                 {change{after: func(s string) string { return strings.Replace(s, "~", "~~", 1) }}, oid4vp.ErrMalformed},
		"tilde before":               {change{after: func(s string) string { return "~" + s }}, oid4vp.ErrMalformed},
		"space behind":               {change{after: func(s string) string { return s + " " }}, oid4vp.ErrMalformed},
		"line end before":            {change{after: func(s string) string { return "\n" + s }}, oid4vp.ErrMalformed},
		"line end inside":            {change{after: func(s string) string { return s[:10] + "\n" + s[10:] }}, oid4vp.ErrMalformed},
		"four parts":                 {change{after: func(s string) string { return strings.Replace(s, ".", "..", 1) }}, oid4vp.ErrMalformed},
		"JWS in JSON form":           {change{after: func(string) string { return `{"payload":"","signatures":[]}~` }}, oid4vp.ErrMalformed},
		"header with a doubled name": {change{after: rawHeader(0, `{"alg":"ES256","alg":"ES256","typ":"dc+sd-jwt"}`)}, oid4vp.ErrMalformed},
		"header that is an array":    {change{after: rawHeader(0, `[]`)}, oid4vp.ErrMalformed},

		// Key binding (RFC 9901 §7.3).
		"no key binding":                 {change{after: func(s string) string { before, _, _ := cutLast(s, "~"); return before + "~" }}, oid4vp.ErrMissing},
		"key binding signature damaged":  {change{after: flip(-1)}, oid4vp.ErrKeyBinding},
		"key binding by another key":     {change{bind: func(k *KeyBinding) { k.Key = stranger }}, oid4vp.ErrKeyBinding},
		"key binding alg none":           {change{after: unsigned(-1, "none")}, oid4vp.ErrUnsupported},
		"key binding alg HS256":          {change{after: unsigned(-1, "HS256")}, oid4vp.ErrUnsupported},
		"key binding alg not the key's":  {change{bind: func(k *KeyBinding) { k.Key = p384 }, verifier: func(v *Verifier) { v.Algorithms = []string{"ES256", "ES384"} }}, oid4vp.ErrKeyBinding},
		"key binding typ JWT":            {change{bind: editHeader("typ", "JWT")}, oid4vp.ErrMalformed},
		"key binding without typ":        {change{bind: editHeader("typ", nil)}, oid4vp.ErrMalformed},
		"nonce of another request":       {change{bind: func(k *KeyBinding) { k.Nonce = "other" }}, oid4vp.ErrNonce},
		"nonce that contains ours":       {change{bind: func(k *KeyBinding) { k.Nonce += "x" }}, oid4vp.ErrNonce},
		"nonce missing":                  {change{bind: editPayload("nonce", nil)}, oid4vp.ErrNonce},
		"nonce that is an array":         {change{bind: editPayload("nonce", []string{"n-0S6_WzA2Mj"})}, oid4vp.ErrNonce},
		"nonce empty on both sides":      {change{bind: func(k *KeyBinding) { k.Nonce = "" }, binding: func(b *oid4vp.Binding) { b.Nonce = "" }}, oid4vp.ErrNonce},
		"aud of another verifier":        {change{bind: func(k *KeyBinding) { k.Audience = "x509_hash:other" }}, oid4vp.ErrAudience},
		"aud without prefix":             {change{bind: func(k *KeyBinding) { _, k.Audience, _ = strings.Cut(k.Audience, ":") }}, oid4vp.ErrAudience},
		"aud that is the response_uri":   {change{bind: func(k *KeyBinding) { k.Audience = "https://op.example/wallet/response/1" }}, oid4vp.ErrAudience},
		"aud that is an array":           {change{bind: editPayload("aud", []string{clientID})}, oid4vp.ErrAudience},
		"aud missing":                    {change{bind: editPayload("aud", nil)}, oid4vp.ErrAudience},
		"key binding of a year ago":      {change{bind: at(-365 * 24 * time.Hour)}, oid4vp.ErrTime},
		"key binding of next year":       {change{bind: at(365 * 24 * time.Hour)}, oid4vp.ErrTime},
		"key binding six minutes old":    {change{bind: at(-6 * time.Minute)}, oid4vp.ErrTime},
		"key binding in six minutes":     {change{bind: at(6 * time.Minute)}, oid4vp.ErrTime},
		"key binding without iat":        {change{bind: editPayload("iat", nil)}, oid4vp.ErrMalformed},
		"key binding iat a string":       {change{bind: editPayload("iat", "now")}, oid4vp.ErrMalformed},
		"key binding expired":            {change{bind: editPayload("exp", testca.Now.Add(-time.Hour).Unix())}, oid4vp.ErrExpired},
		"key binding not yet valid":      {change{bind: editPayload("nbf", testca.Now.Add(time.Hour).Unix())}, oid4vp.ErrNotYetValid},
		"sd_hash missing":                {change{bind: editPayload("sd_hash", nil)}, oid4vp.ErrKeyBinding},
		"sd_hash of nothing":             {change{bind: editPayload("sd_hash", sha(""))}, oid4vp.ErrKeyBinding},
		"sd_hash without the last tilde": {change{bind: w.hashOver(t, func(s string) string { return strings.TrimSuffix(s, "~") })}, oid4vp.ErrKeyBinding},
		"sd_hash of the issuer's JWT":    {change{bind: w.hashOver(t, func(s string) string { return strings.Split(s, "~")[0] })}, oid4vp.ErrKeyBinding},
		"sd_hash with SHA-512": {change{bind: func(k *KeyBinding) {
			k.Edit = func(_, p map[string]any) { p["sd_hash"] = digest(crypto.SHA512, "x") }
		}}, oid4vp.ErrKeyBinding},
		"disclosure withheld after it": {change{after: func(s string) string {
			parts := strings.Split(s, "~")
			return strings.Join(append(parts[:1], parts[2:]...), "~")
		}, issue: func(i *Issuance) {
			delete(i.Claims, "place_of_birth") // whose parts would be left over
		}}, oid4vp.ErrKeyBinding},
		"disclosures in another order after it": {change{after: func(s string) string {
			parts := strings.Split(s, "~")
			parts[1], parts[2] = parts[2], parts[1]
			return strings.Join(parts, "~")
		}}, oid4vp.ErrKeyBinding},
		"no cnf":              {change{issue: func(i *Issuance) { i.Holder = nil }}, oid4vp.ErrMissing},
		"cnf with a kid only": {change{issue: edit(func(p map[string]any) { p["cnf"] = map[string]any{"kid": "1"} })}, oid4vp.ErrMissing},
		"cnf with a private key": {change{issue: edit(func(p map[string]any) {
			p["cnf"] = map[string]any{"jwk": jose.JSONWebKey{Key: w.holder}}
		})}, oid4vp.ErrMalformed},
		"cnf with a shared key": {change{issue: edit(func(p map[string]any) {
			p["cnf"] = map[string]any{"jwk": map[string]any{"kty": "oct", "k": "AAAA"}}
		})}, oid4vp.ErrMalformed},
		"cnf off the curve": {change{issue: edit(func(p map[string]any) {
			one := base64.RawURLEncoding.EncodeToString(append(make([]byte, 31), 1))
			p["cnf"] = map[string]any{"jwk": map[string]any{"kty": "EC", "crv": "P-256", "x": one, "y": one}}
		})}, oid4vp.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := w.verify(t, c.change)
			if got != nil || !errors.Is(err, c.want) {
				t.Errorf("%v, %v; want %q", got, err, c.want)
			}
			if fault, ok := errors.AsType[*oid4vp.Error](err); !ok || c.want != oid4vp.ErrInput && fault.Status()/100 != 4 {
				t.Errorf("%T %v is not answered with 4xx", err, err)
			}
			if err != nil && strings.Contains(err.Error(), "Erika") {
				t.Errorf("a claim in the error: %v", err)
			}
		})
	}
}

// TestVerifyAccepts holds the verifier against presentations that differ in ways that are allowed.
func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	under := w.ca.Intermediate(t, "Below")
	for name, c := range map[string]change{
		"nothing disclosed": {paths: []oid4vp.Path{}},
		"cnf with kty, crv, x and y only": {issue: edit(func(p map[string]any) {
			data, _ := json.Marshal(jose.JSONWebKey{Key: w.holder.Public()})
			var all, bare map[string]any
			_ = json.Unmarshal(data, &all)
			bare = map[string]any{"kty": all["kty"], "crv": all["crv"], "x": all["x"], "y": all["y"]}
			p["cnf"] = map[string]any{"jwk": bare}
		})},
		"cnf with kid, use and alg": {issue: edit(func(p map[string]any) {
			p["cnf"] = map[string]any{"jwk": jose.JSONWebKey{Key: w.holder.Public(), KeyID: "1", Use: "sig", Algorithm: "ES256"}}
		})},
		"no _sd_alg":                   {issue: edit(func(p map[string]any) { delete(p, "_sd_alg") })},
		"SHA-384":                      {issue: func(i *Issuance) { i.Hash = "sha-384" }},
		"SHA-512":                      {issue: func(i *Issuance) { i.Hash = "sha-512" }},
		"no decoys":                    {issue: func(i *Issuance) { i.Decoys = 0 }},
		"empty _sd":                    {issue: edit(func(p map[string]any) { p["x"] = map[string]any{"_sd": []any{}} })},
		"nothing to hide":              {issue: func(i *Issuance) { i.Claims = map[string]any{"iss": i.Claims["iss"], "vct": vct} }},
		"without iss":                  {issue: drop("iss")},
		"without times":                {issue: func(i *Issuance) { delete(i.Claims, "iat"); delete(i.Claims, "nbf"); delete(i.Claims, "exp") }},
		"exp with a fraction":          {issue: claim("exp", float64(testca.Now.Unix())+10.5)},
		"expired within the tolerance": {issue: claim("exp", testca.Now.Add(-DefaultSkew+time.Second).Unix())},
		"begun within the tolerance":   {issue: claim("nbf", testca.Now.Add(DefaultSkew).Unix())},
		"key binding five minutes old": {bind: at(-5 * time.Minute)},
		"key binding in five minutes":  {bind: at(5 * time.Minute)},
		"iss as URI of the certificate": {issue: func(i *Issuance) {
			i.Claims["iss"] = "did:web:issuer.example"
			i.Chain = w.ca.Issue(t, i.Key.Public(), "", "did:web:issuer.example")
		}},
		"iss with a port": {issue: claim("iss", "https://ISSUER.example:8443/x")},
		"iss that is pinned": {issue: claim("iss", "https://elsewhere.example"), verifier: func(v *Verifier) {
			v.CheckIssuer = func(iss string, chain []*x509.Certificate) error {
				if iss != "https://elsewhere.example" || len(chain) != 2 {
					return errors.New("no")
				}
				return nil
			}
		}},
		"intermediate CA": {issue: func(i *Issuance) {
			i.Chain = append(under.Issue(t, i.Key.Public(), "issuer.example", ""), under.Certificate)
		}},
		"x5c with the anchor": {issue: func(i *Issuance) { i.Chain = append(i.Chain[:1:1], w.ca.Certificate) }},
		"type of before": {issue: func(i *Issuance) { i.Type = LegacyType },
			verifier: func(v *Verifier) { v.TakeLegacyType = true }},
		"ES384 for the issuer": {issue: func(i *Issuance) {
			i.Key, i.Chain = p384, w.ca.Issue(t, p384.Public(), "issuer.example", "")
		}, verifier: func(v *Verifier) { v.Algorithms = []string{"ES256", "ES384"} }},
		"EdDSA for the holder": {issue: func(i *Issuance) { i.Holder = edwards.Public() },
			bind: func(k *KeyBinding) { k.Key = edwards }, verifier: func(v *Verifier) { v.Algorithms = []string{"ES256", "EdDSA"} }},
		"unknown header and claims": {
			issue: func(i *Issuance) { i.Edit = func(h, p map[string]any) { h["kid"] = "1"; p["x"] = nil; p["_sd_x"] = 1 } },
			bind:  func(k *KeyBinding) { k.Edit = func(h, p map[string]any) { h["kid"] = "2"; p["transaction"] = 1 } },
		},
		"status": {issue: claim("status", map[string]any{"status_list": map[string]any{"idx": 7, "uri": "https://s.example/1"}})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := w.verify(t, c)
			if err != nil {
				t.Fatal(err)
			}
			switch name {
			case "without iss":
				if got.Issuer.ID != (pkix.Name{CommonName: "leaf", Country: []string{"KR"}}).String() {
					t.Errorf("issuer %q", got.Issuer.ID)
				}
			case "status":
				if got.Status == nil || *got.Status != (oid4vp.StatusReference{URI: "https://s.example/1", Index: 7}) {
					t.Errorf("status %+v", got.Status)
				}
			case "nothing disclosed":
				if got.Claims["given_name"] != nil || len(got.Claims["nationalities"].([]any)) != 0 {
					t.Errorf("claims %v", got.Claims)
				}
			}
		})
	}
}

func claim(name string, value any) func(*Issuance) {
	return func(i *Issuance) { i.Claims[name] = value }
}

func drop(name string) func(*Issuance) {
	return func(i *Issuance) { delete(i.Claims, name) }
}

func at(offset time.Duration) func(*KeyBinding) {
	return func(k *KeyBinding) { k.IssuedAt = k.IssuedAt.Add(offset) }
}

func editPayload(name string, value any) func(*KeyBinding) {
	return func(k *KeyBinding) { k.Edit = func(_, payload map[string]any) { payload[name] = value } }
}

func editHeader(name string, value any) func(*KeyBinding) {
	return func(k *KeyBinding) {
		k.Edit = func(header, _ map[string]any) {
			if header[name] = value; value == nil {
				delete(header, name)
			}
		}
	}
}

// hashOver makes a key binding whose sd_hash is over something else than the presentation of all disclosures.
func (w *world) hashOver(tb testing.TB, over func(selected string) string) func(*KeyBinding) {
	tb.Helper()
	issued, err := Issue(w.issuance)
	if err != nil {
		tb.Fatal(err)
	}
	return editPayload("sd_hash", sha(over(issued)))
}

// insert puts a disclosure in front of the key binding, after it was made.
func insert(disclosure string) func(string) string {
	return func(text string) string {
		before, after, _ := cutLast(text, "~")
		return before + "~" + disclosure + "~" + after
	}
}

// spare gives a text of base64url another last letter, which differs in bits that mean nothing.
func spare(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(text)%4 == 0 {
		panic("no bits to spare")
	}
	last := len(text) - 1
	return text[:last] + alphabet[strings.IndexByte(alphabet, text[last])|1:][:1]
}

// swap replaces a claim's value in its disclosure.
func swap(from, to string) func(string) string {
	return func(text string) string {
		parts := strings.Split(text, "~")
		for i, part := range parts[1:] {
			data, _ := base64.RawURLEncoding.DecodeString(part)
			if strings.Contains(string(data), from) {
				parts[i+1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), from, to, 1)))
			}
		}
		return strings.Join(parts, "~")
	}
}

// respace encodes a disclosure again, with the same meaning and other white space.
func respace(text string) string {
	parts := strings.Split(text, "~")
	data, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(data), ",", ", ", 1)))
	return strings.Join(parts, "~")
}

// without takes the disclosure of a claim away.
func without(name string) func(string) string {
	return func(text string) string {
		parts := strings.Split(text, "~")
		kept := parts[:1:1]
		for _, part := range parts[1:] {
			if data, _ := base64.RawURLEncoding.DecodeString(part); !strings.Contains(string(data), name) {
				kept = append(kept, part)
			}
		}
		return strings.Join(kept, "~")
	}
}

// around is a disclosure whose value has the digest of another.
func around(inner string) string {
	return disclosure("salt", "outer", map[string]any{"_sd": []any{sha(inner)}})
}

// deep hides a claim in a claim in a claim.
func deep(i *Issuance) {
	value := any("x")
	for range MaxDepth + 1 {
		value = map[string]any{"a": Hidden{value}}
	}
	i.Claims["deep"] = value
}

// parts changes the header or the payload of a JWT without signing it again.
func replace(part, half int, change func(map[string]any) any) func(string) string {
	return func(text string) string {
		parts := strings.Split(text, "~")
		jwt := strings.Split(parts[part], ".")
		data, _ := base64.RawURLEncoding.DecodeString(jwt[half])
		var object map[string]any
		if json.Unmarshal(data, &object) != nil {
			panic("not an object")
		}
		changed := change(object)
		if raw, ok := changed.(string); ok {
			data = []byte(raw)
		} else {
			data, _ = json.Marshal(changed)
		}
		jwt[half] = base64.RawURLEncoding.EncodeToString(data)
		parts[part] = strings.Join(jwt, ".")
		return strings.Join(parts, "~")
	}
}

func header(part int, name string, value any) func(string) string {
	return replace(part, 0, func(object map[string]any) any { object[name] = value; return object })
}

func rawHeader(part int, text string) func(string) string {
	return replace(part, 0, func(map[string]any) any { return text })
}

func claims(part int, name string, value any) func(string) string {
	return replace(part, 1, func(object map[string]any) any { object[name] = value; return object })
}

// TestSelect: a wallet discloses what a path points to, with what it lies in and what lies in it.
func TestSelect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	issued, err := Issue(w.issuance)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths []oid4vp.Path
		want  int // disclosures
	}{
		{nil, 0},
		{[]oid4vp.Path{{"nothing"}}, 0},
		{[]oid4vp.Path{{"sub"}}, 0},
		{[]oid4vp.Path{{"given_name"}}, 1},
		{[]oid4vp.Path{{"nationalities", 1}}, 1},
		{[]oid4vp.Path{{"nationalities", nil}}, 2},
		{[]oid4vp.Path{{"nationalities"}}, 2},
		{[]oid4vp.Path{{"place_of_birth", "locality"}}, 2},
		{[]oid4vp.Path{{"place_of_birth"}}, 3},
		{[]oid4vp.Path{{"given_name"}, {"family_name"}, {"birthdate"}, {"nationalities"}, {"place_of_birth"}}, 8},
	} {
		selected, err := Select(issued, c.paths...)
		if err != nil {
			t.Fatal(err)
		}
		token, err := Parse(selected, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(token.Disclosures) != c.want {
			t.Errorf("%v: %d disclosures, want %d", c.paths, len(token.Disclosures), c.want)
		}
		if _, err := token.Claims(); err != nil {
			t.Errorf("%v: %v", c.paths, err)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rsaLike := struct{ crypto.Signer }{w.holder}
	for name, change := range map[string]func(*Issuance){
		"hash":             func(i *Issuance) { i.Hash = "sha-1" },
		"no key":           func(i *Issuance) { i.Key = nil },
		"unknown key":      func(i *Issuance) { i.Key = opaque{rsaLike} },
		"hidden in hidden": func(i *Issuance) { i.Claims = map[string]any{"a": Hidden{Hidden{1}}} },
		"no JSON":          func(i *Issuance) { i.Claims = map[string]any{"a": func() {}} },
		"no JSON, hidden":  func(i *Issuance) { i.Claims = map[string]any{"a": Hidden{func() {}}} },
	} {
		issuance := w.issuance
		change(&issuance)
		if _, err := Issue(issuance); !errors.Is(err, oid4vp.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Bind("no SD-JWT", KeyBinding{Key: w.holder}); !errors.Is(err, oid4vp.ErrMalformed) {
		t.Error(err)
	}
	if _, err := Select("no SD-JWT"); !errors.Is(err, oid4vp.ErrMalformed) {
		t.Error(err)
	}
	if _, ok := jws.AlgorithmOf(nil); ok {
		t.Error("an algorithm for no key")
	}
}

type opaque struct{ crypto.Signer }

func (opaque) Public() crypto.PublicKey { return "key" }

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good, verifier, binding := w.present(f, change{})
	for _, seed := range []string{
		good, flip(0)(good), flip(-1)(good), insert(disclosure("s", "x", 1))(good), "", "~", "~~", "a.b.c~", "..~", good[:len(good)/2],
		example(f, "section-5.2.txt"), example(f, "appendix-a.1.txt"), example(f, "appendix-a.2.txt"),
		example(f, "appendix-a.3.txt"), example(f, "appendix-a.4.txt"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := verifier.Verify(t.Context(), text, &w.query, binding); err == nil && text != good {
			t.Fatalf("accepted %q", text)
		}
		token, err := Parse(text, []string{"ES256", "ES384", "EdDSA"})
		if err != nil {
			if _, ok := errors.AsType[*oid4vp.Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if parts := strings.Count(text, "~"); parts != len(token.Disclosures)+1 || !strings.HasSuffix(text, "~"+token.KeyBinding) {
			t.Fatalf("%d disclosures of %d parts", len(token.Disclosures), parts)
		}
		claims, err := token.Claims()
		if err != nil {
			return
		}
		if text, err := json.Marshal(claims); err != nil || strings.Contains(string(text), `"_sd":`) || strings.Contains(string(text), `"...":`) {
			t.Fatalf("digests left in %s, %v", text, err)
		}
	})
}

func FuzzDisclosure(f *testing.F) {
	for _, seed := range []string{
		disclosure("s", "n", 1), disclosure("s", 1), disclosure("s", "_sd", 1), disclosure("s"), disclosure(1, 2, 3), "", "AAAA",
		"WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgImdpdmVuX25hbWUiLCAiSm9obiJd",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseDisclosure(text)
		if err != nil {
			return
		}
		members := []any{got.Salt, got.Name, got.Value}
		if got.Element {
			members = []any{got.Salt, got.Value}
		}
		again, err := EncodeDisclosure(members...)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseDisclosure(again)
		back.Encoded = got.Encoded
		if err != nil || !reflect.DeepEqual(back, got) {
			t.Fatalf("%+v became %+v, %v", got, back, err)
		}
	})
}

// BenchmarkVerify is a whole presentation, beside what it cannot do without: three signatures (certificate,
// credential, key binding), and the hashes of what they are over and of the disclosures. An issuer's header is mostly
// known from other presentations, and so is a wallet's unless it names its key; new ones have to be read.
func BenchmarkVerify(b *testing.B) {
	for _, bench := range []struct {
		name             string
		issuers, wallets int // how many headers there are in turn
	}{{"known headers", 1, 1}, {"wallet's header new", 1, 200}, {"both headers new", 200, 200}} {
		b.Run(bench.name, func(b *testing.B) { benchmarkVerify(b, bench.issuers, bench.wallets) })
	}
}

func benchmarkVerify(b *testing.B, issuers, wallets int) {
	w := newWorld(b)
	texts, bare := make([]string, wallets), make([]func(), wallets)
	var verifier Verifier
	var binding oid4vp.Binding
	for i := range wallets {
		texts[i], verifier, binding = w.present(b, change{
			issue: func(issuance *Issuance) {
				issuance.Edit = func(header, _ map[string]any) { header["kid"] = strconv.Itoa(i % issuers) }
			},
			bind: editHeader("kid", strconv.Itoa(i)),
		})
		bare[i] = w.bare(b, texts[i])
	}

	b.ReportAllocs()
	var whole, least []time.Duration // in turn, and the median, so that a busy machine matters little
	for b.Loop() {
		i := len(whole) % wallets
		start := time.Now()
		if _, err := verifier.Verify(b.Context(), texts[i], &w.query, binding); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		bare[i]()
		whole, least = append(whole, middle.Sub(start)), append(least, time.Since(middle))
	}
	slices.Sort(whole)
	slices.Sort(least)
	half := len(whole) / 2
	b.ReportMetric(float64(whole[half])/float64(least[half]), "x-bare")
	b.ReportMetric(float64(time.Second)/float64(whole[half]), "presentations/s")
}

// bare makes the cryptography of a presentation, and nothing else.
func (w *world) bare(b *testing.B, text string) func() {
	token, err := Parse(text, nil)
	if err != nil {
		b.Fatal(err)
	}
	certificate := w.issuance.Chain[0]
	keys := []*ecdsa.PublicKey{w.issuance.Key.Public().(*ecdsa.PublicKey), &w.holder.PublicKey}
	var inputs, signatures [][]byte
	for _, jwt := range []string{strings.Split(text, "~")[0], token.KeyBinding} {
		input, signature, _ := cutLast(jwt, ".")
		raw, err := base64.RawURLEncoding.DecodeString(signature)
		if err != nil {
			b.Fatal(err)
		}
		inputs, signatures = append(inputs, []byte(input)), append(signatures, asn1Signature(raw))
	}
	return func() {
		hash := sha256.Sum256(certificate.RawTBSCertificate)
		if !ecdsa.VerifyASN1(&w.ca.Key.PublicKey, hash[:], certificate.Signature) {
			b.Fatal("certificate")
		}
		for i, input := range inputs {
			hash := sha256.Sum256(input)
			if !ecdsa.VerifyASN1(keys[i], hash[:], signatures[i]) {
				b.Fatal("JWT")
			}
		}
		for _, disclosure := range token.Disclosures {
			sha256.Sum256([]byte(disclosure.Encoded))
		}
		sha256.Sum256([]byte(token.bound))
	}
}

// asn1Signature turns the signature of a JWS into the form of crypto/ecdsa.
func asn1Signature(raw []byte) []byte {
	r, s := new(big.Int).SetBytes(raw[:len(raw)/2]), new(big.Int).SetBytes(raw[len(raw)/2:])
	out, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return out
}
