package grant

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/anyid/anyid/internal/fault"
)

// The claims about a person that a site can be given, by the scope that asks for each (OIDC Core §5.4).
// The broker holds verified attributes only, so the list is short: what nobody verified is not offered.
var scopeClaims = map[string][]string{
	"profile": {"name", "gender", "birthdate", "nationality", "updated_at"},
	"phone":   {"phone_number", "phone_number_verified"},
	"ci":      {"ci"},
}

// derived are claims that carry no personal data of their own and come along unasked.
var derived = map[string]bool{"updated_at": true, "phone_number_verified": true}

// PersonClaims lists every claim about a person, sorted.
func PersonClaims() []string {
	var all []string
	for _, claims := range scopeClaims {
		all = append(all, claims...)
	}
	slices.Sort(all)
	return all
}

// Asked returns the claims that the request asks for, sorted: by its scopes, and by its claims
// parameter among those that the site's scopes allow.
func (r *Request) Asked(allowed []string) []string {
	asked := make(map[string]bool)
	for _, scope := range r.Scopes {
		for _, c := range scopeClaims[scope] {
			asked[c] = true
		}
	}
	if len(r.Claims.UserInfo) > 0 || len(r.Claims.IDToken) > 0 {
		mayAsk := make(map[string]bool)
		for _, scope := range allowed {
			for _, c := range scopeClaims[scope] {
				mayAsk[c] = true
			}
		}
		for _, part := range []map[string]*Claim{r.Claims.UserInfo, r.Claims.IDToken} {
			for c := range part {
				if mayAsk[c] {
					asked[c] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(asked))
}

// Items returns what of the asked claims the citizen is asked to hand over: those with personal data.
func Items(asked []string) []string {
	items := make([]string, 0, len(asked))
	for _, c := range asked {
		if !derived[c] {
			items = append(items, c)
		}
	}
	return items
}

// Required returns the items that the site cannot do without: those that its scopes or an essential claim
// ask for. The rest, voluntary members of the claims parameter, the citizen may leave out (개인정보 보호법
// 16조 3항, 22조 5항).
func (r *Request) Required(asked []string) []string {
	byScope := make(map[string]bool)
	for _, scope := range r.Scopes {
		for _, c := range scopeClaims[scope] {
			byScope[c] = true
		}
	}
	return slices.DeleteFunc(Items(asked), func(c string) bool {
		for _, part := range []map[string]*Claim{r.Claims.UserInfo, r.Claims.IDToken} {
			if claim := part[c]; claim != nil && claim.Essential {
				return false
			}
		}
		return !byScope[c]
	})
}

// Covers reports whether everything in items was agreed to.
func Covers(agreed, items []string) bool {
	for _, c := range items {
		if !slices.Contains(agreed, c) {
			return false
		}
	}
	return true
}

// maxClaims bounds the claims parameter.
const maxClaims = 64

// ParseClaims reads a claims request parameter (OIDC Core §5.5). Unknown claims and members are kept
// out of the way, as the specification says; what is no such JSON gives fault.Invalid.
func ParseClaims(text string) (Claims, error) {
	var c Claims
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return Claims{}, fault.New(fault.Invalid, "grant: claims parameter is no claims request: %w", err)
	}
	if len(c.UserInfo)+len(c.IDToken) > maxClaims {
		return Claims{}, fault.New(fault.Invalid, "grant: claims parameter asks for more than %d claims", maxClaims)
	}
	return c, nil
}
