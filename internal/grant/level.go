package grant

import (
	"slices"

	"github.com/anyid/anyid/internal/method"
)

// A request asks for assurance by acr values, of levels and of methods: essential ones (OIDC Core §5.5.1.1), and
// others that are merely wished for. Of several values in one place each will do. Levels and Methods tell which;
// Admits and Prefers decide.

// Levels returns the levels that the request asks for: essential is the least that an essential acr
// claim admits, wanted the least of what acr_values or a voluntary acr claim
// prefers. 0 asks for none. ok is false when an essential acr names nothing of ours, neither level nor method.
func (r *Request) Levels() (essential, wanted method.Level, ok bool) {
	demanded, wishes := r.acrs()
	essential = leastLevel(demanded)
	for _, wished := range wishes {
		wanted = max(wanted, leastLevel(wished))
	}
	return essential, max(essential, wanted), demanded == nil || essential != 0 || len(methods(demanded)) > 0
}

// Methods returns the methods that the request asks for: essential are those that an essential acr claim admits,
// beside its levels, wanted those that acr_values or a voluntary acr claim prefers.
func (r *Request) Methods() (essential, wanted []method.Method) {
	demanded, wishes := r.acrs()
	return methods(demanded), methods(slices.Concat(wishes...))
}

// Admits reports whether a proof by the method, which reached the level, satisfies what is essential.
func (r *Request) Admits(m method.Method, l method.Level) bool {
	demanded, _ := r.acrs()
	return demanded == nil || reaches(demanded, m, l)
}

// Prefers reports whether a proof by the method, which reached the level, is all that the request asks for, wishes
// included.
func (r *Request) Prefers(m method.Method, l method.Level) bool {
	_, wishes := r.acrs()
	return r.Admits(m, l) && !slices.ContainsFunc(wishes, func(wished []string) bool {
		return (leastLevel(wished) != 0 || len(methods(wished)) > 0) && !reaches(wished, m, l)
	})
}

// ACR is the acr value that tells of a proof by the method, which reached the level: the method's where it was asked
// for, else the strongest of the levels asked for that this one satisfies, or the level's own.
func (r *Request) ACR(m method.Method, level method.Level) string {
	demanded, wishes := r.acrs()
	asked := slices.Concat(wishes...)
	if acr := m.ACR(); slices.Contains(demanded, acr) || demanded == nil && slices.Contains(asked, acr) {
		return acr
	}
	var told method.Level
	for _, v := range slices.Concat(demanded, asked) {
		if l, ours := method.ParseACR(v); ours && l <= level {
			told = max(told, l)
		}
	}
	if told == 0 {
		told = level
	}
	return told.ACR()
}

// acrs are the values of an essential acr claim, nil where there is none that names values, and those wished for by
// acr_values and by a voluntary claim.
func (r *Request) acrs() (demanded []string, wishes [][]string) {
	wishes = [][]string{r.ACRValues}
	claim := r.Claims.IDToken["acr"]
	switch {
	case claim == nil:
	case claim.Essential && (claim.Value != nil || len(claim.Values) > 0):
		demanded = claim.texts()
	default:
		wishes = append(wishes, claim.texts())
	}
	return demanded, wishes
}

// leastLevel is the least level among the values, 0 if there is none.
func leastLevel(acrs []string) (least method.Level) {
	for _, v := range acrs {
		if l, ours := method.ParseACR(v); ours && (least == 0 || l < least) {
			least = l
		}
	}
	return least
}

// methods are the methods among the values.
func methods(acrs []string) (ms []method.Method) {
	for _, v := range acrs {
		if m, ours := method.ParseMethodACR(v); ours && !slices.Contains(ms, m) {
			ms = append(ms, m)
		}
	}
	return ms
}

// reaches reports whether a proof satisfies one of the values.
func reaches(acrs []string, m method.Method, l method.Level) bool {
	least := leastLevel(acrs)
	return least != 0 && l >= least || slices.Contains(methods(acrs), m)
}

// texts are the values asked for that are strings; never nil.
func (c *Claim) texts() []string {
	texts := []string{}
	for _, v := range append([]any{c.Value}, c.Values...) {
		if s, ok := v.(string); ok {
			texts = append(texts, s)
		}
	}
	return texts
}
