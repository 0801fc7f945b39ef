package npki

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// VerifyUCPIDRequest verifies a signed UCPIDRequestInfo: the signature as VerifySignedData does, with the
// Content of want left out, and the request as UCPIDRequest.Check does.
func VerifyUCPIDRequest(message []byte, want Want, ask UCPIDWant) (*Signed, *UCPIDRequest, error) {
	want.Content, want.AnyContent = nil, true
	signed, err := VerifySignedData(message, want)
	if err != nil {
		return nil, nil, err
	}
	request, err := ParseUCPIDRequest(signed.Content)
	if err != nil {
		return nil, nil, err
	}
	if err := request.Check(ask); err != nil {
		return nil, nil, err
	}
	return signed, request, nil
}

// UCPIDResponse is the answer of the CA, in the form of the financial certificate's REST interface. Fields
// for items that were not asked for are empty. It is personal data throughout: it does not print.
type UCPIDResponse struct {
	Transaction string // api_tran_id
	DN          string // subject of the certificate that signed
	CI          string // 88 letters of Base64
	CI2         string // the second one, after a change of the CI; may be empty
	CIUpdate    string // counts the changes of the CI
	DI          string // 64 letters
	RealName    string
	Gender      string // "0" or "1", as the CA writes it
	National    string // "0" for a national
	BirthDate   string // YYYYMMDD
}

// String says nothing.
func (UCPIDResponse) String() string { return "UCPIDResponse{…}" }

// GoString says nothing.
func (r UCPIDResponse) GoString() string { return r.String() }

// UCPIDError is an answer of the CA that says no.
type UCPIDError struct {
	ErrorCode string // err_code: 900101 token refused, 900102 token expired, …
	Message   string
}

func (e *UCPIDError) Error() string { return "npki: UCPID: error " + e.ErrorCode + " from the CA" }

// text is a JSON string, or a number that is taken as it is written.
type text string

// UnmarshalJSON takes a string, a number or null.
func (t *text) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] != '"' {
		var n json.Number
		err := json.Unmarshal(data, &n)
		*t = text(n)
		return err
	}
	return json.Unmarshal(data, (*string)(t))
}

// ParseUCPIDResponse reads the JSON answer. An answer that reports an error gives an *UCPIDError; the codes
// of the other errors are ErrTooLarge and ErrMalformed.
func ParseUCPIDResponse(data []byte) (*UCPIDResponse, error) {
	const what = "UCPID response"
	if len(data) > MaxMessage {
		return nil, fail(ErrTooLarge, what)
	}
	var in struct {
		Transaction text `json:"api_tran_id"`
		DN          text `json:"dn"`
		CI          text `json:"ci"`
		CI2         text `json:"ci2"`
		CIUpdate    text `json:"ci_update"`
		DI          text `json:"di"`
		RealName    text `json:"real_name"`
		Gender      text `json:"gender"`
		National    text `json:"national_info"`
		BirthDate   text `json:"birth_date"`
		ErrorCode   text `json:"err_code"`
		Message     text `json:"err_msg"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fail(ErrMalformed, what) // the cause could quote personal data
	}
	if in.ErrorCode != "" {
		return nil, &UCPIDError{ErrorCode: string(in.ErrorCode), Message: string(in.Message)}
	}
	r := &UCPIDResponse{
		string(in.Transaction), string(in.DN), string(in.CI), string(in.CI2), string(in.CIUpdate), string(in.DI),
		string(in.RealName), string(in.Gender), string(in.National), string(in.BirthDate),
	}
	bit := func(s string) bool { return s == "" || s == "0" || s == "1" }
	for _, check := range []struct {
		field string
		good  bool
	}{
		{"dn", r.DN != ""},
		{"ci", r.CI == "" || ValidCI(r.CI)},
		{"ci2", r.CI2 == "" || ValidCI(r.CI2)},
		{"di", r.DI == "" || ValidDI(r.DI)},
		{"gender", bit(r.Gender)},
		{"national_info", bit(r.National)},
		{"birth_date", r.BirthDate == "" || validDate(r.BirthDate)},
	} {
		if !check.good {
			return nil, fail(ErrMalformed, what+": "+check.field)
		}
	}
	return r, nil
}

// Check says whether the answer is about the holder of the certificate that signed the request: ErrMismatch
// if its DN or its name is another one.
func (r *UCPIDResponse) Check(certificate *Certificate) error {
	name, err := certificate.SubjectName()
	if err != nil {
		return err
	}
	if !strings.EqualFold(withoutSpaces(r.DN), name.String()) {
		return fail(ErrMismatch, "UCPID response: dn")
	}
	if r.RealName == "" {
		return nil
	}
	identity, err := certificate.Identity()
	if err != nil {
		return err
	}
	if r.RealName != identity.RealName {
		return fail(ErrMismatch, "UCPID response: real_name")
	}
	return nil
}

// withoutSpaces leaves out the spaces between the parts of a name (RFC 4514), and none within one.
func withoutSpaces(dn string) string {
	var b strings.Builder
	for i := 0; i < len(dn); i++ {
		b.WriteByte(dn[i])
		switch {
		case dn[i] == '\\' && i+1 < len(dn): // what follows belongs to the value
			i++
			b.WriteByte(dn[i])
		case dn[i] == ',':
			for i+1 < len(dn) && dn[i+1] == ' ' {
				i++
			}
		}
	}
	return b.String()
}

// ValidCI says whether the text has the form of a CI (연계정보): 64 bytes in standard Base64.
func ValidCI(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == 88 && len(raw) == 64
}

// ValidDI says whether the text has the form of a DI (중복가입확인정보): 64 letters of Base64, of which the last
// may be padding.
func ValidDI(text string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(text) == 64 && len(raw) >= 47
}

// validDate says whether the text is a day as YYYYMMDD.
func validDate(text string) bool {
	_, err := time.Parse("20060102", text)
	return err == nil
}
