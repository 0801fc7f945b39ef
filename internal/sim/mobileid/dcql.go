package mobileid

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
)

// dcqlQuery is what a verifier asks for (OpenID4VP §6), as far as a wallet looks at it.
type dcqlQuery struct {
	Credentials []credentialQuery `json:"credentials"`
	Sets        []struct {
		Options  [][]string `json:"options"`
		Required *bool      `json:"required"`
	} `json:"credential_sets"`
}

type credentialQuery struct {
	ID     string `json:"id"`
	Format string `json:"format"`
	Meta   struct {
		VCTs    []string `json:"vct_values"`
		DocType string   `json:"doctype_value"`
	} `json:"meta"`
	Authorities []struct {
		Type   string   `json:"type"`
		Values []string `json:"values"`
	} `json:"trusted_authorities"`
	Claims []struct {
		ID     string `json:"id"`
		Path   []any  `json:"path"`
		Values []any  `json:"values"`
	} `json:"claims"`
	ClaimSets [][]string `json:"claim_sets"`
}

// match is an ID that answers a query, with the claims that are disclosed.
type match struct {
	id     string // of the query
	format string
	card   *issued
	paths  [][]any
}

// maxChoices bounds the combinations that a citizen is offered.
const maxChoices = 8

// choices are the combinations of IDs in the wallet that answer the query, best first.
func (q *dcqlQuery) choices(w *wallet, by *issuers) [][]match {
	selections := [][]string{nil} // of ids
	if len(q.Sets) == 0 {
		for _, c := range q.Credentials {
			selections[0] = append(selections[0], c.ID)
		}
	}
	for _, set := range q.Sets {
		if set.Required != nil && !*set.Required {
			continue // sent to nobody who does not need it
		}
		var next [][]string
		for _, before := range selections {
			for _, option := range set.Options {
				next = append(next, append(slices.Clip(before), option...))
			}
		}
		selections = next[:min(len(next), maxChoices)]
	}
	var out [][]match
	for _, ids := range selections {
		slices.Sort(ids)
		combinations := [][]match{nil}
		for _, id := range slices.Compact(ids) {
			var next [][]match
			for _, before := range combinations {
				for _, m := range q.matches(id, w, by) {
					next = append(next, append(slices.Clip(before), m))
				}
			}
			combinations = next[:min(len(next), maxChoices)]
		}
		if len(ids) > 0 {
			out = append(out, combinations...)
		}
	}
	return out[:min(len(out), maxChoices)]
}

// matches are the IDs in the wallet that answer the credential query with this id.
func (q *dcqlQuery) matches(id string, w *wallet, by *issuers) []match {
	at := slices.IndexFunc(q.Credentials, func(c credentialQuery) bool { return c.ID == id })
	if at < 0 {
		return nil
	}
	c := &q.Credentials[at]
	var out []match
	for _, card := range w.cards {
		key := by.vc.chain[0].AuthorityKeyId
		tree := claims(w, card)
		switch {
		case c.Format == formatSDJWT && slices.Contains(c.Meta.VCTs, card.VCT):
		case c.Format == formatMdoc && card.DocType != "" && c.Meta.DocType == card.DocType:
			key, tree = by.mdoc.Certificate.AuthorityKeyId, map[string]any{}
			for space, list := range elements(w, card) {
				tree[space] = list
			}
		default:
			continue
		}
		if !c.trusts(key) {
			continue
		}
		if paths, ok := c.disclosed(tree); ok {
			out = append(out, match{id, c.Format, card, paths})
		}
	}
	return out
}

// trusts reports whether the query takes credentials under an authority with this key.
func (c *credentialQuery) trusts(key []byte) bool {
	if len(c.Authorities) == 0 {
		return true
	}
	for _, a := range c.Authorities {
		if a.Type == "aki" && slices.Contains(a.Values, base64.RawURLEncoding.EncodeToString(key)) {
			return true
		}
	}
	return false
}

// disclosed are the paths to what the query asks for, if all of it is there (OpenID4VP §6.4.1).
func (c *credentialQuery) disclosed(tree map[string]any) ([][]any, bool) {
	// Values as JSON has them, since that is what they are compared with.
	text, err := json.Marshal(tree)
	var plain any
	if err != nil || json.Unmarshal(text, &plain) != nil {
		return nil, false
	}
	sets := c.ClaimSets
	if len(sets) == 0 {
		sets = [][]string{nil} // all
	}
	for _, set := range sets {
		var paths [][]any
		complete := true
		for _, claim := range c.Claims {
			if set != nil && !slices.Contains(set, claim.ID) {
				continue
			}
			found := lookup(plain, claim.Path)
			if len(claim.Path) == 0 || len(found) == 0 || c.Format == formatMdoc && len(claim.Path) != 2 ||
				len(claim.Values) > 0 && !slices.ContainsFunc(found, func(v any) bool {
					return slices.ContainsFunc(claim.Values, func(want any) bool { return reflect.DeepEqual(v, want) })
				}) {
				complete = false
				break
			}
			paths = append(paths, wholePlaces(claim.Path))
		}
		if complete {
			return paths, true
		}
	}
	return nil, false
}

// lookup gives the values at a path (OpenID4VP §7.1).
func lookup(value any, path []any) []any {
	if len(path) == 0 {
		return []any{value}
	}
	switch step := path[0].(type) {
	case string:
		object, _ := value.(map[string]any)
		if inner, ok := object[step]; ok {
			return lookup(inner, path[1:])
		}
	case float64:
		list, _ := value.([]any)
		if place := int(step); place >= 0 && place < len(list) {
			return lookup(list[place], path[1:])
		}
	case nil:
		list, _ := value.([]any)
		var out []any
		for _, inner := range list {
			out = append(out, lookup(inner, path[1:])...)
		}
		return out
	}
	return nil
}

// wholePlaces is a path with places as int, as SD-JWTs are walked.
func wholePlaces(path []any) []any {
	out := slices.Clone(path)
	for i, step := range out {
		if number, ok := step.(float64); ok {
			out[i] = int(number)
		}
	}
	return out
}
