package grant

import "github.com/anyid/anyid/internal/method"

// Levels returns the assurance that the request asks for: essential is the least that an essential acr
// claim admits (OIDC Core §5.5.1.1), wanted the least of what acr_values or a voluntary acr claim
// prefers. 0 asks for nothing. ok is false when an essential acr names no level of ours.
func (r *Request) Levels() (essential, wanted method.Level, ok bool) {
	least := func(values []string) (l method.Level) {
		for _, v := range values {
			if parsed, ours := method.ParseACR(v); ours && (l == 0 || parsed < l) {
				l = parsed
			}
		}
		return l
	}
	wanted = least(r.ACRValues)
	claim := r.Claims.IDToken["acr"]
	if claim == nil {
		return 0, wanted, true
	}
	values := least(claim.texts())
	if !claim.Essential || (claim.Value == nil && len(claim.Values) == 0) {
		return 0, max(wanted, values), true
	}
	return values, max(wanted, values), values != 0
}

// ACR is the acr value that tells of the level: the strongest of those asked for that the level
// satisfies, or the level's own.
func (r *Request) ACR(level method.Level) string {
	var told method.Level
	asked := r.ACRValues
	if claim := r.Claims.IDToken["acr"]; claim != nil {
		asked = append(claim.texts(), asked...)
	}
	for _, v := range asked {
		if l, ours := method.ParseACR(v); ours && l <= level {
			told = max(told, l)
		}
	}
	if told == 0 {
		told = level
	}
	return told.ACR()
}

// texts are the values asked for that are strings.
func (c *Claim) texts() []string {
	var texts []string
	for _, v := range append([]any{c.Value}, c.Values...) {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}
