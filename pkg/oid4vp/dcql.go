package oid4vp

// Limits of what comes from a wallet.
const (
	// MaxPresentation is how long one presentation may be, in bytes. A portrait has some 30 KB.
	MaxPresentation = 256 << 10
)

// Credential format identifiers (OpenID4VP Appendix B).
const (
	FormatSDJWT = "dc+sd-jwt"
	FormatMdoc  = "mso_mdoc"
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
	Values []any  `json:"values,omitempty"` // strings, integers and booleans, of which the claim must have one
	// IntentToRetain tells the holder of an mdoc that the verifier will keep the element.
	IntentToRetain *bool `json:"intent_to_retain,omitempty"`
}

// A Path points to claims (OpenID4VP §7): a string goes to the member of that name, a non-negative int to the
// element at that place, and nil to all elements of the array. The path of an mdoc has two strings, the
// namespace and the element's name.
type Path []any
