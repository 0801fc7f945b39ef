package oid4vp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/anyid/anyid/pkg/oid4vp/internal/strict"
)

// Credential format identifiers (OpenID4VP Appendix B).
const (
	FormatSDJWT = "dc+sd-jwt"
	FormatMdoc  = "mso_mdoc"
)

// Limits of a query.
const (
	maxCredentials = 16 // also of presentations in an answer
	maxClaims      = 64
	maxSets        = 16
)

// A Query is a query of the Digital Credentials Query Language, DCQL (OpenID4VP §6).
type Query struct {
	Credentials []CredentialQuery `json:"credentials"`
	// CredentialSets says which combinations will do; without it, every credential is wanted.
	CredentialSets []CredentialSet `json:"credential_sets,omitempty"`
}

// A CredentialQuery asks for one kind of credential (OpenID4VP §6.1). Proof that the wallet holds the key of the
// credential is always demanded.
type CredentialQuery struct {
	ID       string `json:"id"` // letters, digits, _ and -; unique in the query
	Format   string `json:"format"`
	Multiple bool   `json:"multiple,omitempty"` // whether several such credentials may come
	Meta     Meta   `json:"meta"`
	// TrustedAuthorities narrows whose credentials are taken, among those that the verifier trusts.
	TrustedAuthorities []TrustedAuthority `json:"trusted_authorities,omitempty"`
	Claims             []ClaimQuery       `json:"claims,omitempty"` // nothing that can be withheld, if empty
	// ClaimSets are combinations of the ids in Claims, best first, of which one will do; without it, every claim
	// is wanted.
	ClaimSets [][]string `json:"claim_sets,omitempty"`
}

// Meta says which type of credential is asked for, in the words of the format.
type Meta struct {
	VCTValues    []string `json:"vct_values,omitempty"`    // dc+sd-jwt: the types, of which one will do
	DoctypeValue string   `json:"doctype_value,omitempty"` // mso_mdoc: the document type
}

// A TrustedAuthority names whom to trust (OpenID4VP §6.1.1). The type is always "aki": the values are
// Authority Key Identifiers in base64url, one of which a certificate of the issuer's chain must have.
type TrustedAuthority struct {
	Type   string   `json:"type"`
	Values []string `json:"values"`
}

// A CredentialSet is a list of combinations of credentials, best first, of which one will do (OpenID4VP §6.2).
type CredentialSet struct {
	Options  [][]string `json:"options"`            // each a list of ids in Credentials
	Required *bool      `json:"required,omitempty"` // nil is true
}

// A ClaimQuery asks for one claim (OpenID4VP §6.3).
type ClaimQuery struct {
	ID     string `json:"id,omitempty"` // needed for ClaimSets only
	Path   Path   `json:"path"`
	Values []any  `json:"values,omitempty"` // string, int64 or bool, of which the claim must have one
	// IntentToRetain tells the holder of an mdoc that the verifier will keep the element.
	IntentToRetain *bool `json:"intent_to_retain,omitempty"`
}

// A Path points to claims (OpenID4VP §7): a string goes to the member of that name, a non-negative int to the
// element at that place, and nil to all elements of the array. The path of an mdoc has two strings, the
// namespace and the element's name.
type Path []any

// String is the path as JSON, for messages.
func (p Path) String() string {
	text, err := json.Marshal([]any(p))
	if err != nil {
		return fmt.Sprintf("%v", []any(p))
	}
	return string(text)
}

// ParseQuery reads a query in JSON and validates it. Members that it does not know are refused. The codes of its
// errors are ErrMalformed, ErrTooLarge, and those of Validate.
func ParseQuery(data []byte) (*Query, error) {
	q := new(Query)
	if err := q.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	return q, nil
}

// UnmarshalJSON reads a query as ParseQuery does, but does not validate it.
func (q *Query) UnmarshalJSON(data []byte) error {
	if len(data) > MaxPresentation {
		return Fail(ErrTooLarge, "DCQL query")
	}
	if _, err := strict.Object(data); err != nil {
		return Because(codeOf(err), "DCQL query", err)
	}
	type plain Query // without this method
	var out plain
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(&out); err != nil {
		return Because(ErrMalformed, "DCQL query", err)
	}
	for i := range out.Credentials {
		for j := range out.Credentials[i].Claims {
			claim := &out.Credentials[i].Claims[j]
			for k, value := range claim.Values {
				number, ok := value.(json.Number)
				if !ok {
					continue
				}
				whole, err := strconv.ParseInt(string(number), 10, 64)
				if err != nil {
					return Fail(ErrMalformed, "DCQL query: a value that is no integer")
				}
				claim.Values[k] = whole
			}
		}
	}
	*q = Query(out)
	return nil
}

// UnmarshalJSON reads a path. The code of its error is ErrMalformed.
func (p *Path) UnmarshalJSON(data []byte) error {
	var list []any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&list); err != nil {
		return Because(ErrMalformed, "path", err)
	}
	for i, element := range list {
		number, ok := element.(json.Number)
		if !ok {
			continue // Validate judges the rest
		}
		place, err := strconv.Atoi(string(number))
		if err != nil {
			return Fail(ErrMalformed, "path: not a place")
		}
		list[i] = place
	}
	*p = list
	return nil
}

func codeOf(err error) Code {
	if errors.Is(err, strict.ErrDepth) {
		return ErrTooLarge
	}
	return ErrMalformed
}

// Validate says whether the query is one that a wallet can answer and this package can check (OpenID4VP §6): ids,
// formats with their meta, claim sets only with claims, sets of ids that exist, every credential in some set if
// there are sets. The code of its errors is ErrInput.
func (q *Query) Validate() error {
	if len(q.Credentials) == 0 || len(q.Credentials) > maxCredentials || len(q.CredentialSets) > maxSets {
		return Fail(ErrInput, "DCQL query: number of credentials or sets")
	}
	ids := map[string]bool{} // whether a set names it
	for i := range q.Credentials {
		c := &q.Credentials[i]
		if _, ok := ids[c.ID]; ok {
			return Fail(ErrInput, "DCQL query: credential id twice")
		}
		ids[c.ID] = len(q.CredentialSets) == 0
		if err := c.validate(); err != nil {
			return err
		}
	}
	for _, set := range q.CredentialSets {
		if len(set.Options) == 0 || len(set.Options) > maxSets {
			return Fail(ErrInput, "DCQL query: number of options")
		}
		for _, option := range set.Options {
			if len(option) == 0 {
				return Fail(ErrInput, "DCQL query: empty option")
			}
			for _, id := range option {
				if _, ok := ids[id]; !ok {
					return Fail(ErrInput, "DCQL query: option with an unknown id")
				}
				ids[id] = true
			}
		}
	}
	for _, named := range ids {
		if !named {
			return Fail(ErrInput, "DCQL query: a credential that no set names")
		}
	}
	return nil
}

func (q *CredentialQuery) validate() error {
	bad := func(what string) error { return Fail(ErrInput, "DCQL query: "+what) }
	if !isID(q.ID) {
		return bad("credential id")
	}
	switch q.Format {
	case FormatSDJWT:
		if len(q.Meta.VCTValues) == 0 || slices.Contains(q.Meta.VCTValues, "") || q.Meta.DoctypeValue != "" {
			return bad("meta of dc+sd-jwt")
		}
	case FormatMdoc:
		if q.Meta.DoctypeValue == "" || q.Meta.VCTValues != nil {
			return bad("meta of mso_mdoc")
		}
	default:
		return bad("format")
	}
	for _, authority := range q.TrustedAuthorities {
		if authority.Type != "aki" || len(authority.Values) == 0 {
			return bad("trusted authority")
		}
		for _, value := range authority.Values {
			if key, err := strict.Base64(value); err != nil || len(key) == 0 {
				return bad("authority key identifier")
			}
		}
	}
	if len(q.Claims) > maxClaims || len(q.ClaimSets) > maxSets {
		return bad("number of claims or claim sets")
	}
	ids := map[string]bool{}
	for _, claim := range q.Claims {
		if claim.ID != "" {
			if !isID(claim.ID) || ids[claim.ID] {
				return bad("claim id")
			}
			ids[claim.ID] = true
		} else if len(q.ClaimSets) > 0 {
			return bad("claim sets without a claim id")
		}
		if err := claim.validate(q.Format); err != nil {
			return err
		}
	}
	for _, set := range q.ClaimSets {
		if len(set) == 0 {
			return bad("empty claim set")
		}
		for _, id := range set {
			if !ids[id] {
				return bad("claim set with an unknown id")
			}
		}
	}
	return nil
}

func (q *ClaimQuery) validate(format string) error {
	bad := func(what string) error { return Fail(ErrInput, "DCQL query: "+what) }
	if len(q.Path) == 0 || len(q.Path) > strict.MaxDepth || len(q.Values) > maxClaims {
		return bad("length of a path or of values")
	}
	words := 0
	for _, element := range q.Path {
		switch element := element.(type) {
		case string:
			words++
		case int:
			if element < 0 {
				return bad("path")
			}
		case nil:
		default:
			return bad("path")
		}
	}
	switch {
	case format == FormatMdoc && (len(q.Path) != 2 || words != 2):
		return bad("path of mso_mdoc")
	case format != FormatMdoc && q.IntentToRetain != nil:
		return bad("intent_to_retain is for mso_mdoc")
	}
	if _, ok := q.Path[0].(string); !ok {
		return bad("path does not begin with a name")
	}
	for _, value := range q.Values {
		switch value.(type) {
		case string, bool, int64:
		default:
			return bad("a value that is no string, int64 or bool")
		}
	}
	return nil
}

func isID(text string) bool {
	for _, c := range []byte(text) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return text != "" && len(text) <= 64
}

// credential finds the query with an id.
func (q *Query) credential(id string) (*CredentialQuery, bool) {
	i := slices.IndexFunc(q.Credentials, func(c CredentialQuery) bool { return c.ID == id })
	if i < 0 {
		return nil, false
	}
	return &q.Credentials[i], true
}

// complete says whether the credentials with these ids answer the query: without sets, all are there; with sets,
// there is one option of every required set, and none or one of the others, so that together they are what
// came, and nothing is left over (OpenID4VP §6.4.2).
func (q *Query) complete(came map[string]bool) bool {
	if len(q.CredentialSets) == 0 {
		return len(came) == len(q.Credentials)
	}
	bits := map[string]uint32{} // at most maxCredentials
	var all uint32
	for i, c := range q.Credentials {
		bits[c.ID] = 1 << i
		if came[c.ID] {
			all |= 1 << i
		}
	}
	reached := map[uint32]bool{0: true} // what the options so far can add up to
	for _, set := range q.CredentialSets {
		next := map[uint32]bool{}
		for so := range reached {
			if set.Required != nil && !*set.Required {
				next[so] = true
			}
			for _, option := range set.Options {
				with := so
				for _, id := range option {
					with |= bits[id]
				}
				if with&^all == 0 {
					next[with] = true
				}
			}
		}
		reached = next
	}
	return reached[all]
}
