package oid4vp

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// A Claim is one that was asked for and has been verified.
type Claim struct {
	Path  Path // to this very value: with places instead of nil
	Value any  // as in Credential.Claims
}

// Lookup gives the claims that a path points to (OpenID4VP §7.1), and none if there are none or if the path meets
// something else than it expects.
func (c *Credential) Lookup(path Path) []Claim {
	selected := []Claim{{Value: any(c.Claims)}}
	for _, element := range path {
		var next []Claim
		for _, claim := range selected {
			switch element := element.(type) {
			case string:
				object, ok := claim.Value.(map[string]any)
				if !ok {
					return nil
				}
				if value, ok := object[element]; ok {
					next = append(next, claim.at(element, value))
				}
			case int:
				list, ok := claim.Value.([]any)
				if !ok {
					return nil
				}
				if 0 <= element && element < len(list) {
					next = append(next, claim.at(element, list[element]))
				}
			case nil:
				list, ok := claim.Value.([]any)
				if !ok {
					return nil
				}
				for place, value := range list {
					next = append(next, claim.at(place, value))
				}
			default:
				return nil
			}
		}
		selected = next
	}
	return selected
}

func (c Claim) at(element, value any) Claim {
	return Claim{Path: append(slices.Clip(c.Path), element), Value: value}
}

// match gives the claims that were asked for: all of them, or those of the first claim set that is there
// (OpenID4VP §6.4.1). Its code is ErrQuery.
func (q *CredentialQuery) match(c *Credential) ([]Claim, error) {
	if len(q.ClaimSets) == 0 {
		var out []Claim
		for i := range q.Claims {
			claims := q.Claims[i].match(c)
			if claims == nil {
				return nil, Fail(ErrQuery, "claim "+q.Claims[i].Path.String())
			}
			out = append(out, claims...)
		}
		return out, nil
	}
sets:
	for _, set := range q.ClaimSets {
		var out []Claim
		for _, id := range set {
			i := slices.IndexFunc(q.Claims, func(claim ClaimQuery) bool { return claim.ID == id })
			claims := q.Claims[i].match(c)
			if claims == nil {
				continue sets
			}
			out = append(out, claims...)
		}
		return out, nil
	}
	return nil, Fail(ErrQuery, "no claim set is there")
}

// match gives the claims at the path, if there are any and, where values are asked for, one has one of them.
func (q *ClaimQuery) match(c *Credential) []Claim {
	claims := c.Lookup(q.Path)
	if len(q.Values) == 0 || slices.ContainsFunc(claims, func(claim Claim) bool {
		return slices.ContainsFunc(q.Values, func(want any) bool { return equal(claim.Value, want) })
	}) {
		return claims
	}
	return nil
}

// equal compares a claim with a value of a query, types and all (OpenID4VP §6.4.1).
func equal(got, want any) bool {
	if number, ok := got.(json.Number); ok {
		whole, err := strconv.ParseInt(string(number), 10, 64)
		return err == nil && any(whole) == want
	}
	switch got.(type) {
	case string, bool:
		return got == want
	}
	return false
}

// trusts says whether the issuer is of one of the authorities that the query names (OpenID4VP §6.1.1.1).
func (q *CredentialQuery) trusts(issuer Issuer) bool {
	if len(q.TrustedAuthorities) == 0 {
		return true
	}
	for _, authority := range q.TrustedAuthorities {
		for _, value := range authority.Values {
			key, err := strict.Base64(value)
			if err != nil {
				continue
			}
			for _, certificate := range issuer.Chain {
				if len(key) > 0 && bytes.Equal(certificate.AuthorityKeyId, key) {
					return true
				}
			}
		}
	}
	return false
}
