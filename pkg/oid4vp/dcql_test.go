package oid4vp

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// theQuery is that of a login: an SD-JWT VC or an mdoc, and on top of either, if the holder likes, an address.
const theQuery = `{"credentials":[
	{"id":"sdjwt","format":"dc+sd-jwt","meta":{"vct_values":["urn:kr:identity:1"]},
	 "trusted_authorities":[{"type":"aki","values":["s9tIpPmhxdiuNkHMEWNpYim8S8Y"]}],
	 "claims":[{"id":"name","path":["family_name"]},{"id":"country","path":["nationalities",null],"values":["KR",1,true]},{"id":"ci","path":["ci"]}],
	 "claim_sets":[["name","ci"],["name","country"]]},
	{"id":"mdoc","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},
	 "claims":[{"path":["org.iso.18013.5.1","family_name"],"intent_to_retain":false}]},
	{"id":"address","format":"dc+sd-jwt","multiple":true,"meta":{"vct_values":["urn:kr:address:1"]}}],
 "credential_sets":[{"options":[["sdjwt"],["mdoc"]]},{"options":[["address"]],"required":false}]}`

func TestParseQuery(t *testing.T) {
	t.Parallel()
	q, err := ParseQuery([]byte(theQuery))
	if err != nil {
		t.Fatal(err)
	}
	country := q.Credentials[0].Claims[1]
	if !reflect.DeepEqual(country.Path, Path{"nationalities", nil}) || !reflect.DeepEqual(country.Values, []any{"KR", int64(1), true}) {
		t.Errorf("claim %+v", country)
	}
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseQuery(text)
	if err != nil || !reflect.DeepEqual(again, q) {
		t.Errorf("written and read again: %+v, %v", again, err)
	}
	var want, got any
	_ = json.Unmarshal([]byte(theQuery), &want)
	_ = json.Unmarshal(text, &got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("written as %s", text)
	}
}

func TestParseQueryRefuses(t *testing.T) {
	t.Parallel()
	credential := func(members string) string { return `{"credentials":[{` + members + `}]}` }
	const sdjwt = `"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["v"]}`
	const mdoc = `"id":"a","format":"mso_mdoc","meta":{"doctype_value":"d"}`
	many := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	for name, c := range map[string]struct {
		text string
		want Code
	}{
		"no JSON":                 {`x`, ErrMalformed},
		"no object":               {`[]`, ErrMalformed},
		"doubled name":            {`{"credentials":[],"credentials":[]}`, ErrMalformed},
		"unknown member":          {credential(sdjwt + `,"x":1`), ErrMalformed},
		"unknown member of meta":  {credential(`"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["v"],"x":1}`), ErrMalformed},
		"too deep":                {strings.Repeat(`[`, 100), ErrTooLarge},
		"too long":                {`{"credentials":[` + strings.Repeat(" ", MaxPresentation) + `]}`, ErrTooLarge},
		"no credentials":          {`{"credentials":[]}`, ErrInput},
		"too many credentials":    {`{"credentials":[` + many(`{`+sdjwt+`}`, maxCredentials+1) + `]}`, ErrInput},
		"id twice":                {`{"credentials":[{` + sdjwt + `},{` + sdjwt + `}]}`, ErrInput},
		"no id":                   {credential(`"format":"dc+sd-jwt","meta":{"vct_values":["v"]}`), ErrInput},
		"id with a point":         {credential(`"id":"a.b","format":"dc+sd-jwt","meta":{"vct_values":["v"]}`), ErrInput},
		"unknown format":          {credential(`"id":"a","format":"ldp_vc","meta":{}`), ErrInput},
		"no meta":                 {credential(`"id":"a","format":"dc+sd-jwt"`), ErrInput},
		"meta of the other":       {credential(`"id":"a","format":"mso_mdoc","meta":{"vct_values":["v"]}`), ErrInput},
		"meta of both":            {credential(`"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["v"],"doctype_value":"d"}`), ErrInput},
		"empty vct":               {credential(`"id":"a","format":"dc+sd-jwt","meta":{"vct_values":[""]}`), ErrInput},
		"unbound":                 {credential(sdjwt + `,"require_cryptographic_holder_binding":false`), ErrMalformed},
		"authority of no type":    {credential(sdjwt + `,"trusted_authorities":[{"type":"etsi_tl","values":["x"]}]`), ErrInput},
		"authority of nothing":    {credential(sdjwt + `,"trusted_authorities":[{"type":"aki","values":[]}]`), ErrInput},
		"authority in base64":     {credential(sdjwt + `,"trusted_authorities":[{"type":"aki","values":["AA=="]}]`), ErrInput},
		"authority that is empty": {credential(sdjwt + `,"trusted_authorities":[{"type":"aki","values":[""]}]`), ErrInput},
		"no path":                 {credential(sdjwt + `,"claims":[{}]`), ErrInput},
		"path that is empty":      {credential(sdjwt + `,"claims":[{"path":[]}]`), ErrInput},
		"path below zero":         {credential(sdjwt + `,"claims":[{"path":["a",-1]}]`), ErrInput},
		"path with a fraction":    {credential(sdjwt + `,"claims":[{"path":["a",1.5]}]`), ErrMalformed},
		"path with a boolean":     {credential(sdjwt + `,"claims":[{"path":["a",true]}]`), ErrInput},
		"path without a name":     {credential(sdjwt + `,"claims":[{"path":[null]}]`), ErrInput},
		"path that is a string":   {credential(sdjwt + `,"claims":[{"path":"a"}]`), ErrMalformed},
		"path too long":           {credential(sdjwt + `,"claims":[{"path":["a"` + strings.Repeat(`,"a"`, 30) + `]}]`), ErrInput},
		"mdoc path of one":        {credential(mdoc + `,"claims":[{"path":["a"]}]`), ErrInput},
		"mdoc path of three":      {credential(mdoc + `,"claims":[{"path":["a","b","c"]}]`), ErrInput},
		"mdoc path with a place":  {credential(mdoc + `,"claims":[{"path":["a",0]}]`), ErrInput},
		"retain an SD-JWT":        {credential(sdjwt + `,"claims":[{"path":["a"],"intent_to_retain":true}]`), ErrInput},
		"value with a fraction":   {credential(sdjwt + `,"claims":[{"path":["a"],"values":[1.5]}]`), ErrMalformed},
		"value that is an array":  {credential(sdjwt + `,"claims":[{"path":["a"],"values":[[]]}]`), ErrInput},
		"too many claims":         {credential(sdjwt + `,"claims":[` + many(`{"path":["a"]}`, maxClaims+1) + `]`), ErrInput},
		"claim id twice":          {credential(sdjwt + `,"claims":[{"id":"x","path":["a"]},{"id":"x","path":["b"]}]`), ErrInput},
		"claim id with a space":   {credential(sdjwt + `,"claims":[{"id":"x y","path":["a"]}]`), ErrInput},
		"claim sets only":         {credential(sdjwt + `,"claim_sets":[["x"]]`), ErrInput},
		"claim sets without id":   {credential(sdjwt + `,"claims":[{"path":["a"]}],"claim_sets":[["x"]]`), ErrInput},
		"claim set of another":    {credential(sdjwt + `,"claims":[{"id":"x","path":["a"]}],"claim_sets":[["y"]]`), ErrInput},
		"claim set of nothing":    {credential(sdjwt + `,"claims":[{"id":"x","path":["a"]}],"claim_sets":[[]]`), ErrInput},
		"set of another":          {`{"credentials":[{` + sdjwt + `}],"credential_sets":[{"options":[["b"]]}]}`, ErrInput},
		"set without options":     {`{"credentials":[{` + sdjwt + `}],"credential_sets":[{"options":[]}]}`, ErrInput},
		"set with nothing":        {`{"credentials":[{` + sdjwt + `}],"credential_sets":[{"options":[[]]}]}`, ErrInput},
		"credential of no set": {`{"credentials":[{` + sdjwt + `},{"id":"b","format":"mso_mdoc","meta":{"doctype_value":"d"}}],
			"credential_sets":[{"options":[["a"]]}]}`, ErrInput},
	} {
		if q, err := ParseQuery([]byte(c.text)); q != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, q, err, c.want)
		}
	}
}

// TestComplete: what may come in answer to sets of credentials (OpenID4VP §6.4.2).
func TestComplete(t *testing.T) {
	t.Parallel()
	no := false
	query := func(sets ...CredentialSet) *Query {
		q := &Query{CredentialSets: sets}
		for _, id := range []string{"a", "b", "c"} {
			q.Credentials = append(q.Credentials, CredentialQuery{ID: id})
		}
		return q
	}
	either := query(CredentialSet{Options: [][]string{{"a"}, {"b", "c"}}})
	extra := query(CredentialSet{Options: [][]string{{"a"}, {"b"}}}, CredentialSet{Options: [][]string{{"c"}}, Required: &no})
	shared := query(CredentialSet{Options: [][]string{{"a"}, {"b"}}}, CredentialSet{Options: [][]string{{"b"}, {"c"}}})
	for _, c := range []struct {
		query *Query
		yes   string // combinations, of letters
	}{
		{query(), "abc"},
		{either, "a bc"},
		{extra, "a b ac bc"},
		{shared, "b ab ac bc"},
	} {
		want := strings.Fields(c.yes)
		for mask := range 8 {
			came, text := map[string]bool{}, ""
			for i, id := range []string{"a", "b", "c"} {
				if mask>>i&1 == 1 {
					came[id], text = true, text+id
				}
			}
			if got := c.query.complete(came); got != (text != "" && contains(want, text)) {
				t.Errorf("%+v with %q: %v", c.query.CredentialSets, text, got)
			}
		}
	}
}

func contains(list []string, text string) bool {
	for _, element := range list {
		if element == text {
			return true
		}
	}
	return false
}

func TestLookup(t *testing.T) {
	t.Parallel()
	c := &Credential{Claims: map[string]any{
		"name": "x", "null": nil, "address": map[string]any{"street": "s"},
		"degrees": []any{map[string]any{"type": "BA"}, map[string]any{"type": "MA", "year": json.Number("2001")}, map[string]any{}},
		"list":    []any{"a", "b"},
	}}
	for _, k := range []struct {
		path Path
		want string // the values and their paths
	}{
		{Path{"name"}, `[["name"]=x]`},
		{Path{"null"}, `[["null"]=<nil>]`},
		{Path{"address", "street"}, `[["address","street"]=s]`},
		{Path{"degrees", nil, "type"}, `[["degrees",0,"type"]=BA ["degrees",1,"type"]=MA]`},
		{Path{"degrees", nil, "year"}, `[["degrees",1,"year"]=2001]`},
		{Path{"degrees", 1, "type"}, `[["degrees",1,"type"]=MA]`},
		{Path{"list", nil}, `[["list",0]=a ["list",1]=b]`},
		{Path{"list", 1}, `[["list",1]=b]`},
		{Path{"list", 2}, `[]`},
		{Path{"list", "a"}, `[]`},
		{Path{"list", -1}, `[]`},
		{Path{"list", 1.5}, `[]`},
		{Path{"name", "x"}, `[]`},
		{Path{"name", nil}, `[]`},
		{Path{"name", 0}, `[]`},
		{Path{"other"}, `[]`},
		{Path{"address", "other"}, `[]`},
	} {
		var got []string
		for _, claim := range c.Lookup(k.path) {
			got = append(got, fmt.Sprintf("%s=%v", claim.Path, claim.Value))
		}
		if text := fmt.Sprint(got); text != k.want {
			t.Errorf("%s: %s, want %s", k.path, text, k.want)
		}
	}
}

// TestMatch: claims, their values and sets of them are checked again, types and all (OpenID4VP §6.4.1).
func TestMatch(t *testing.T) {
	t.Parallel()
	c := &Credential{Claims: map[string]any{
		"a": "1", "b": json.Number("1"), "c": true, "list": []any{"KR", "DE"}, "big": json.Number("1e2"), "raw": []byte("1"), "o": map[string]any{},
	}}
	one := func(path string, values ...any) ClaimQuery { return ClaimQuery{Path: Path{path}, Values: values} }
	for i, k := range []struct {
		query CredentialQuery
		want  int // claims; -1 for none
	}{
		{CredentialQuery{}, 0},
		{CredentialQuery{Claims: []ClaimQuery{one("a"), one("b")}}, 2},
		{CredentialQuery{Claims: []ClaimQuery{one("a"), one("x")}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("a", "2", "1")}}, 1},
		{CredentialQuery{Claims: []ClaimQuery{one("a", int64(1))}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("b", int64(1))}}, 1},
		{CredentialQuery{Claims: []ClaimQuery{one("b", "1", true)}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("c", true)}}, 1},
		{CredentialQuery{Claims: []ClaimQuery{one("c", false, "true", int64(1))}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("big", int64(100))}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("raw", "1")}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("o", "1")}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{one("list", "KR")}}, -1},
		{CredentialQuery{Claims: []ClaimQuery{{Path: Path{"list", nil}, Values: []any{"KR"}}}}, 2},
		{CredentialQuery{Claims: []ClaimQuery{{Path: Path{"list", nil}, Values: []any{"JP"}}}}, -1},
		{CredentialQuery{
			Claims:    []ClaimQuery{{ID: "x", Path: Path{"x"}}, {ID: "a", Path: Path{"a"}}, {ID: "b", Path: Path{"b"}}},
			ClaimSets: [][]string{{"x", "a"}, {"a", "b"}, {"a"}}}, 2},
		{CredentialQuery{
			Claims: []ClaimQuery{{ID: "x", Path: Path{"x"}}, {ID: "a", Path: Path{"a"}}}, ClaimSets: [][]string{{"x", "a"}, {"x"}}}, -1},
	} {
		claims, err := k.query.match(c)
		if k.want < 0 && !errors.Is(err, ErrQuery) || k.want >= 0 && (err != nil || len(claims) != k.want) {
			t.Errorf("%d: %v, %v; want %d", i, claims, err, k.want)
		}
	}
}

func TestTrusts(t *testing.T) {
	t.Parallel()
	issuer := Issuer{Chain: []*x509.Certificate{{AuthorityKeyId: []byte("leaf's CA")}, {AuthorityKeyId: []byte("its CA")}, {}}}
	aki := func(ids ...string) CredentialQuery {
		authority := TrustedAuthority{Type: "aki"}
		for _, id := range ids {
			authority.Values = append(authority.Values, base64.RawURLEncoding.EncodeToString([]byte(id)))
		}
		return CredentialQuery{TrustedAuthorities: []TrustedAuthority{authority}}
	}
	for _, c := range []struct {
		query CredentialQuery
		want  bool
	}{
		{CredentialQuery{}, true}, {aki("leaf's CA"), true}, {aki("x", "its CA"), true}, {aki("another CA"), false}, {aki(""), false}, {aki(), false},
	} {
		if got := c.query.trusts(issuer); got != c.want {
			t.Errorf("%+v: %v", c.query, got)
		}
	}
}

// FuzzParseQuery: what is accepted is written so that it reads the same.
func FuzzParseQuery(f *testing.F) {
	f.Add([]byte(theQuery))
	f.Add([]byte(`{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"d"},"multiple":true}]}`))
	f.Add([]byte(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["v"]},"claims":[{"path":["x",0,null],"values":[9007199254740993]}]}]}`))
	f.Add([]byte(`{"credentials":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := ParseQuery(data)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseQuery(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if back, err := json.Marshal(again); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("%s became %s, %v", text, back, err)
		}
		came := map[string]bool{}
		for _, c := range q.Credentials {
			came[c.ID] = true
			_, _ = c.match(&Credential{Claims: map[string]any{"x": []any{[]any{"y"}}}})
		}
		q.complete(came)
	})
}
