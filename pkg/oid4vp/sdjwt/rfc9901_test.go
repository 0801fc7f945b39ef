package sdjwt

import (
	"crypto"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/anyid/anyid/pkg/oid4vp/internal/jws"
	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
	"github.com/anyid/anyid/pkg/oid4vp/internal/testca"
)

// example reads one of the examples of RFC 9901 from testdata, as its last draft (22) prints them: with line
// breaks.
func example(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Join(strings.Fields(string(data)), "")
}

// rfcKey is the issuer's key of RFC 9901 Appendix A.5.
func rfcKey(tb testing.TB) crypto.PublicKey {
	tb.Helper()
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON([]byte(`{"kty":"EC","crv":"P-256","x":"b28d4MwZMjw8-00CG4xfnn9SLMVMM19SlqZpVb_uNtQ",
		"y":"Xv5zWwuoaTgdS6hV43yI6gBwTnjukmFQQnJ_kCxzqk8"}`)); err != nil {
		tb.Fatal(err)
	}
	return key.Key
}

const rfcHolder = `"cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc",
	"y":"ZxjiWWbZMQGHVWKVQ4hbSIirsVfuecCE6t4jT9F2HZQ"}}`

func same(t *testing.T, got map[string]any, want string) {
	t.Helper()
	object, err := strict.Object([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, object) {
		text, _ := json.MarshalIndent(got, "", " ")
		t.Errorf("processed payload:\n%s\nwant\n%s", text, want)
	}
}

func TestRFC9901Presentations(t *testing.T) {
	t.Parallel()
	key := rfcKey(t)
	for name, c := range map[string]struct {
		typ   string
		bound bool
		want  string
	}{
		"section-5.2.txt": {typ: "example+sd-jwt", bound: true, want: `{"iss":"https://issuer.example.com","iat":1683000000,"exp":1883000000,
			"sub":"user_42","nationalities":["US"],` + rfcHolder + `,"family_name":"Doe","address":{"street_address":"123 Main St",
			"locality":"Anytown","region":"Anystate","country":"US"},"given_name":"John"}`},
		"appendix-a.1.txt": {typ: "example+sd-jwt", want: `{"iss":"https://issuer.example.com","iat":1683000000,"exp":1883000000,
			"address":{"region":"港区","country":"JP"}}`},
		"appendix-a.2.txt": {typ: "example+sd-jwt", want: `{"iss":"https://issuer.example.com","iat":1683000000,"exp":1883000000,
			"verified_claims":{"verification":{"trust_framework":"de_aml","evidence":[{"method":"pipp"}],"time":"2012-04-23T18:25Z"},
			"claims":{"given_name":"Max","family_name":"Müller","address":{"locality":"Maxstadt","postal_code":"12344","country":"DE",
			"street_address":"Weidenstraße 22"}}}}`},
		"appendix-a.3.txt": {typ: "dc+sd-jwt", bound: true, want: `{"iss":"https://pid-issuer.bund.de.example","iat":1683000000,
			"exp":1883000000,"vct":"urn:eudi:pid:de:1",` + rfcHolder + `,"age_equal_or_over":{"18":true},"nationalities":["DE"]}`},
		"appendix-a.4.txt": {typ: "example+sd-jwt", bound: true, want: `{"@context":["https://www.w3.org/2018/credentials/v1",
			"https://w3id.org/vaccination/v1"],"type":["VerifiableCredential","VaccinationCertificate"],
			"issuer":"https://example.com/issuer","issuanceDate":"2023-02-09T11:01:59Z","expirationDate":"2028-02-08T11:01:59Z",
			"name":"COVID-19 Vaccination Certificate","description":"COVID-19 Vaccination Certificate","credentialSubject":{
			"vaccine":{"type":"Vaccine","atcCode":"J07BX03","medicinalProductName":"COVID-19 Vaccine Moderna"},
			"recipient":{"type":"VaccineRecipient"},"type":"VaccinationEvent","order":"3/3",
			"dateOfVaccination":"2021-06-23T13:40:12Z"},` + rfcHolder + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := Parse(example(t, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := token.VerifySignature(key); err != nil {
				t.Error(err)
			}
			if err := token.issuer.CheckType(c.typ); err != nil {
				t.Error(err)
			}
			claims, err := token.Claims()
			if err != nil {
				t.Fatal(err)
			}
			same(t, claims, c.want)
			again, err := token.Claims()
			if err != nil || !reflect.DeepEqual(again, claims) {
				t.Errorf("a second time: %v", err)
			}
			if c.bound == (token.KeyBinding == "") {
				t.Fatalf("key binding %q", token.KeyBinding)
			}
			if !c.bound {
				return
			}
			holder, err := token.VerifyKeyBinding(KeyBindingWant{
				Audience: "https://verifier.example.org", Nonce: "1234567890", Now: time.Unix(1748537243, 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			if holder.Method != "kb+jwt" || holder.IssuedAt.Unix() != 1748537243 {
				t.Errorf("holder %+v", holder)
			}
		})
	}
}

// TestRFC9901Section5 puts all disclosures of RFC 9901 §5.1, one, and none to its issuer-signed JWT.
func TestRFC9901Section5(t *testing.T) {
	t.Parallel()
	signed, _, _ := strings.Cut(example(t, "section-5.2.txt"), "~")
	data, err := os.ReadFile("testdata/section-5.1-disclosures.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(data))
	const always = `"iss":"https://issuer.example.com","iat":1683000000,"exp":1883000000,"sub":"user_42",` + rfcHolder
	for _, c := range []struct {
		disclosures []string
		want        string
	}{
		{all, `{` + always + `,"given_name":"John","family_name":"Doe","email":"johndoe@example.com","phone_number":"+1-202-555-0101",
			"phone_number_verified":true,"address":{"street_address":"123 Main St","locality":"Anytown","region":"Anystate",
			"country":"US"},"birthdate":"1940-01-01","updated_at":1570000000,"nationalities":["US","DE"]}`},
		{all[9:], `{` + always + `,"nationalities":["DE"]}`},
		{nil, `{` + always + `,"nationalities":[]}`},
	} {
		token, err := Parse(strings.Join(append([]string{signed}, c.disclosures...), "~")+"~", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := token.VerifySignature(rfcKey(t)); err != nil {
			t.Fatal(err)
		}
		claims, err := token.Claims()
		if err != nil {
			t.Fatal(err)
		}
		same(t, claims, c.want)
	}
}

// TestRFC9901Section6 takes the payloads and disclosures of RFC 9901 §6.2 and §6.3, which are printed there without a
// signature; the signature is ours.
func TestRFC9901Section6(t *testing.T) {
	t.Parallel()
	const (
		street   = "WyIyR0xDNDJzS1F2ZUNmR2ZyeU5STjl3IiwgInN0cmVldF9hZGRyZXNzIiwgIlNjaHVsc3RyLiAxMiJd"
		locality = "WyJlbHVWNU9nM2dTTklJOEVZbnN4QV9BIiwgImxvY2FsaXR5IiwgIlNjaHVscGZvcnRhIl0"
		region   = "WyI2SWo3dE0tYTVpVlBHYm9TNXRtdlZBIiwgInJlZ2lvbiIsICJTYWNoc2VuLUFuaGFsdCJd"
		country  = "WyJlSThaV205UW5LUHBOUGVOZW5IZGhRIiwgImNvdW50cnkiLCAiREUiXQ"
		address  = "WyJRZ19PNjR6cUF4ZTQxMmExMDhpcm9BIiwgImFkZHJlc3MiLCB7Il9zZCI6IFsiNnZoOWJxLXpTNEdLTV83R3BnZ1ZiWXp6dTZvT0dYcm1OVkdQSFA3NVVkMCIsICI5" +
			"Z2pWdVh0ZEZST0NnUnJ0TmNHVVhtRjY1cmRlemlfNkVyX2o3NmttWXlNIiwgIktVUkRQaDRaQzE5LTN0aXotRGYzOVY4ZWlkeTFvVjNhM0gxRGEyTjBnODgiLCAiV045cjlk" +
			"Q0JKOEhUQ3NTMmpLQVN4VGpFeVc1bTV4NjVfWl8ycm8yamZYTSJdfV0"
	)
	nested := `{"_sd":["6vh9bq-zS4GKM_7GpggVbYzzu6oOGXrmNVGPHP75Ud0","9gjVuXtdFROCgRrtNcGUXmF65rdezi_6Er_j76kmYyM",
		"KURDPh4ZC19-3tiz-Df39V8eidy1oV3a3H1Da2N0g88","WN9r9dCBJ8HTCsS2jKASxTjEyW5m5x65_Z_2ro2jfXM"]}`
	open := `{"_sd":["6vh9bq-zS4GKM_7GpggVbYzzu6oOGXrmNVGPHP75Ud0","9gjVuXtdFROCgRrtNcGUXmF65rdezi_6Er_j76kmYyM",
		"KURDPh4ZC19-3tiz-Df39V8eidy1oV3a3H1Da2N0g88"],"country":"DE"}`
	key := testca.Key(t)
	for name, c := range map[string]struct {
		payload     string
		disclosures []string
		want        string
	}{
		"6.2 structured": {`{"address":` + nested + `,"_sd_alg":"sha-256"}`, []string{street, locality, region, country},
			`{"address":{"street_address":"Schulstr. 12","locality":"Schulpforta","region":"Sachsen-Anhalt","country":"DE"}}`},
		"6.2 one claim in the clear": {`{"address":` + open + `,"_sd_alg":"sha-256"}`, []string{region},
			`{"address":{"region":"Sachsen-Anhalt","country":"DE"}}`},
		"6.2 nothing disclosed": {`{"address":` + nested + `}`, nil, `{"address":{}}`},
		"6.3 recursive": {`{"_sd":["HvrKX6fPV0v9K_yCVFBiLFHsMaxcD_114Em6VT8x1lg"]}`, []string{country, address, street},
			`{"address":{"street_address":"Schulstr. 12","country":"DE"}}`},
	} {
		payload, err := strict.Object([]byte(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jws.Sign(map[string]any{"typ": "example+sd-jwt"}, payload, key, nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := Parse(strings.Join(append([]string{signed}, c.disclosures...), "~")+"~", nil)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := token.Claims()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, claims, c.want)
	}
}
