package grant_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
)

func TestAskedAndRequired(t *testing.T) {
	t.Parallel()
	everything := []string{"openid", "profile", "phone", "ci", "offline_access"}
	for _, row := range []struct {
		name                   string
		scopes                 []string
		claims                 string
		allowed                []string
		asked, items, required string
	}{
		{"nothing", []string{"openid"}, `{}`, everything, "", "", ""},
		{"a scope", []string{"openid", "phone"}, `{}`, everything, "phone_number phone_number_verified", "phone_number", "phone_number"},
		{"a voluntary claim", []string{"openid"}, `{"userinfo":{"name":null}}`, everything, "name", "name", ""},
		{"an essential claim", []string{"openid"}, `{"userinfo":{"name":{"essential":true},"gender":null}}`, everything, "gender name", "gender name", "name"},
		{"in the ID token", []string{"openid"}, `{"id_token":{"ci":{"essential":true}}}`, everything, "ci", "ci", "ci"},
		{"not allowed", []string{"openid"}, `{"userinfo":{"ci":{"essential":true}}}`, []string{"openid", "profile"}, "", "", ""},
		{"unknown", []string{"openid"}, `{"userinfo":{"email":null,"sub":null,"acr":null}}`, everything, "", "", ""},
		{"scope and claim", []string{"openid", "profile"}, `{"userinfo":{"name":null}}`, everything,
			"birthdate gender name nationality updated_at", "birthdate gender name nationality", "birthdate gender name nationality"},
		{"derived alone", []string{"openid"}, `{"userinfo":{"updated_at":{"essential":true}}}`, everything, "updated_at", "", ""},
	} {
		claims, err := grant.ParseClaims(row.claims)
		check(t, err)
		r := grant.Request{Scopes: row.scopes, Claims: claims}
		asked := r.Asked(row.allowed)
		for what, pair := range map[string][2]string{
			"asked": {strings.Join(asked, " "), row.asked}, "items": {strings.Join(grant.Items(asked), " "), row.items},
			"required": {strings.Join(r.Required(asked), " "), row.required},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: %s %q, want %q", row.name, what, pair[0], pair[1])
			}
		}
	}
	if !slices.IsSorted(grant.PersonClaims()) || len(grant.PersonClaims()) != 8 {
		t.Errorf("claims %v", grant.PersonClaims())
	}
	if !grant.Covers([]string{"a", "b"}, []string{"b"}) || !grant.Covers(nil, nil) || grant.Covers([]string{"a"}, []string{"b"}) {
		t.Error("Covers is wrong")
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	const one, two, three = "urn:anyid:acr:1", "urn:anyid:acr:2", "urn:anyid:acr:3"
	for _, row := range []struct {
		acrValues         []string
		claims            string
		essential, wanted int
		ok                bool
		told              map[int]string // level reached → acr told
	}{
		{nil, `{}`, 0, 0, true, map[int]string{2: two}},
		{[]string{three, two}, `{}`, 0, 2, true, map[int]string{1: one, 2: two, 3: three}},
		{[]string{one}, `{}`, 0, 1, true, map[int]string{3: one}},
		{[]string{"other"}, `{}`, 0, 0, true, map[int]string{3: three}},
		{nil, `{"id_token":{"acr":null}}`, 0, 0, true, map[int]string{2: two}},
		{nil, `{"id_token":{"acr":{"essential":true}}}`, 0, 0, true, map[int]string{2: two}},
		{nil, `{"id_token":{"acr":{"value":"` + three + `"}}}`, 0, 3, true, map[int]string{2: two}},
		{nil, `{"id_token":{"acr":{"essential":true,"value":"` + three + `"}}}`, 3, 3, true, map[int]string{3: three}},
		{nil, `{"id_token":{"acr":{"essential":true,"values":["` + three + `","` + two + `"]}}}`, 2, 2, true, map[int]string{3: three, 2: two}},
		{nil, `{"id_token":{"acr":{"essential":true,"values":["other","` + three + `"]}}}`, 3, 3, true, nil},
		{[]string{three}, `{"id_token":{"acr":{"essential":true,"value":"` + one + `"}}}`, 1, 3, true, map[int]string{2: one, 3: three}},
		{nil, `{"id_token":{"acr":{"essential":true,"value":"other"}}}`, 0, 0, false, nil},
		{nil, `{"id_token":{"acr":{"essential":true,"values":[7]}}}`, 0, 0, false, nil},
		{nil, `{"id_token":{"acr":{"values":[7]}}}`, 0, 0, true, nil},
	} {
		claims, err := grant.ParseClaims(row.claims)
		check(t, err)
		r := grant.Request{ACRValues: row.acrValues, Claims: claims}
		essential, wanted, ok := r.Levels()
		if int(essential) != row.essential || int(wanted) != row.wanted || ok != row.ok {
			t.Errorf("%v %s: %d, %d, %t", row.acrValues, row.claims, essential, wanted, ok)
		}
		for level, acr := range row.told {
			if got := r.ACR(method.JointCert, method.Level(level)); got != acr {
				t.Errorf("%v %s: level %d is told as %s, want %s", row.acrValues, row.claims, level, got, acr)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	const level2, level3 = "urn:anyid:acr:2", "urn:anyid:acr:3"
	const simple, mobile, phone = "urn:anyid:method:simple", "urn:anyid:method:mobile_id", "urn:anyid:method:phone"
	essential := func(acrs ...string) string {
		text, err := json.Marshal(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": acrs}}})
		check(t, err)
		return string(text)
	}
	// What a proof of level 2 by simple, and one of level 3 by mobile_id, is worth: "-" is refused, "+" admitted though
	// something else was wished for, and else it is what is told.
	for _, row := range []struct {
		acrValues         []string
		claims            string
		essential, wanted string
		bySimple2         string
		byMobile3         string
	}{
		{nil, `{}`, "", "", level2, level3},
		{[]string{simple}, `{}`, "", "simple", simple, "+"},
		{[]string{mobile, "other", mobile}, `{}`, "", "mobile_id", "+", mobile},
		{[]string{phone}, `{}`, "", "", level2, level3}, // which never logs in
		{[]string{simple, level3}, `{}`, "", "simple", simple, level3},
		{[]string{mobile, level2}, `{}`, "", "mobile_id", level2, mobile},
		{nil, `{"id_token":{"acr":{"value":"` + mobile + `"}}}`, "", "mobile_id", "+", mobile},
		{[]string{level3}, `{"id_token":{"acr":{"value":"` + simple + `"}}}`, "", "simple", "+", "+"},
		{nil, essential(mobile), "mobile_id", "", "-", mobile},
		{nil, essential(mobile, simple), "mobile_id simple", "", simple, mobile},
		{nil, essential(simple, level3), "simple", "", simple, level3},
		{nil, essential(level2), "", "", level2, level2},
		{[]string{simple}, essential(level2), "", "simple", level2, "+"}, // what is essential is told
		{[]string{level3}, essential(simple), "simple", "", "+", "-"},
	} {
		claims, err := grant.ParseClaims(row.claims)
		check(t, err)
		r := grant.Request{ACRValues: row.acrValues, Claims: claims}
		names := func(ms []method.Method) string {
			var list []string
			for _, m := range ms {
				list = append(list, string(m))
			}
			return strings.Join(list, " ")
		}
		if essential, wanted := r.Methods(); names(essential) != row.essential || names(wanted) != row.wanted {
			t.Errorf("%v %s: %v, %v", row.acrValues, row.claims, essential, wanted)
		}
		if _, _, ok := r.Levels(); !ok {
			t.Errorf("%v %s: names nothing of ours", row.acrValues, row.claims)
		}
		for _, proof := range []struct {
			method method.Method
			level  method.Level
			want   string
		}{{method.Simple, 2, row.bySimple2}, {method.MobileID, 3, row.byMobile3}} {
			admits, prefers, told := r.Admits(proof.method, proof.level), r.Prefers(proof.method, proof.level), r.ACR(proof.method, proof.level)
			if admits != (proof.want != "-") || prefers != (len(proof.want) > 1) || prefers && told != proof.want {
				t.Errorf("%v %s: %s: admitted %t, preferred %t, told as %s; want %s", row.acrValues, row.claims, proof.method, admits, prefers, told, proof.want)
			}
		}
	}
	r := grant.Request{}
	r.Claims, _ = grant.ParseClaims(essential(phone))
	if _, _, ok := r.Levels(); ok {
		t.Error("a method that does not log in can be essential")
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	t.Parallel()
	many := make(map[string]any)
	for i := range 65 {
		many[strings.Repeat("a", i+1)] = nil
	}
	tooMany, err := json.Marshal(map[string]any{"userinfo": many})
	check(t, err)
	for _, bad := range []string{"", "null x", "[]", `"x"`, `{"userinfo":[]}`, `{"userinfo":{"name":1}}`, `{"id_token":{"acr":{"essential":"yes"}}}`, string(tooMany)} {
		if _, err := grant.ParseClaims(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
}

// FuzzParseClaims: whatever is accepted can be asked, without asking for more than the site may have.
func FuzzParseClaims(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"userinfo":{"name":null,"ci":{"essential":true}}}`, `{"id_token":{"acr":{"values":["urn:anyid:acr:2",7,null]}}}`,
		`{"userinfo":{"name":{"essential":true,"essential":false}}}`, `{"USERINFO":{"ci":{}}}`, `{"id_token":{"acr":{"essential":true,"values":["urn:anyid:method:simple","urn:anyid:acr:3"]}}}`,
		`{"x":{"y":[1,{}]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := grant.ParseClaims(text)
		if err != nil {
			return
		}
		r := grant.Request{Scopes: []string{"openid"}, Claims: claims}
		asked := r.Asked([]string{"openid", "profile"})
		if slices.Contains(asked, "ci") || slices.Contains(asked, "phone_number") {
			t.Errorf("asked %v", asked)
		}
		if !grant.Covers(asked, r.Required(asked)) {
			t.Errorf("required %v of asked %v", r.Required(asked), asked)
		}
		essential, wanted, _ := r.Levels()
		if essential < 0 || essential > 3 || wanted < essential || wanted > 3 {
			t.Errorf("levels %d, %d", essential, wanted)
		}
		for _, m := range method.All() {
			for level := range method.Level(4) {
				if r.Prefers(m, level) && !r.Admits(m, level) {
					t.Errorf("%s at level %d is preferred and not admitted", m, level)
				}
				told := r.ACR(m, level)
				if told != m.ACR() && !strings.HasPrefix(told, "urn:anyid:acr:") {
					t.Errorf("%s at level %d is told as %s", m, level, told)
				}
			}
		}
	})
}
