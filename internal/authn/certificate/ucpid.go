package certificate

import "context"

// UCPIDClient asks a certification authority who the holder of one of its certificates is (KISA UCPID
// guideline). There is one per authority that the deployment has a contract with.
type UCPIDClient interface {
	// Person presents what the holder has signed: a CMS SignedData over an UCPIDRequestInfo, in base64url
	// without padding, and the nonce in that request. The caller has verified both, and checks that the
	// answer is about the certificate that signed: the client only reads it. Errors are an *authn.Error:
	// ProviderAuth, ProviderDown, and BadEvidence where the authority refuses the signature or gives an
	// answer that cannot be read. None of them holds anything of the answer.
	Person(ctx context.Context, ucpid string, nonce []byte) (UCPIDPerson, error)
}

// UCPIDPerson is what the authority says of the holder. Fields that it leaves out are empty. It is
// personal data throughout, so it does not print.
type UCPIDPerson struct {
	DN        string // the certificate's subject, as the authority writes it
	CI        string // 88 characters
	CI2       string // the second CI, after a change of the first
	DI        string // 64 characters
	RealName  string
	Gender    string // "male" or "female"
	National  string // "domestic" or "foreign"
	BirthDate string // YYYY-MM-DD
}

// String says nothing.
func (UCPIDPerson) String() string { return "UCPIDPerson" }

// GoString says nothing.
func (p UCPIDPerson) GoString() string { return p.String() }
