package npkitest

import (
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/anyid/anyid/pkg/npki"
)

// What the desk and the authority refuse.
var (
	ErrTicket  = errors.New("npkitest: reference number and authorization code do not fit, were used, or are too old")
	ErrUnknown = errors.New("npkitest: no such certificate")
	ErrState   = errors.New("npkitest: the certificate's status does not allow this")
)

// Applicant is who comes to the registration desk, and what for.
type Applicant struct {
	Name    string    // 홍길동, or a company
	English string    // HONG GILDONG, may be empty
	Number  string    // resident or business registration number, digits only; empty: a certificate without VID
	Policy  string    // dotted: what kind of certificate
	Units   []string  // organizational units of the subject, after the first; may be empty
	Bank    string    // four characters, of a yessign subject; empty is 0088
	Years   int       // validity; 0 is one year
	Since   time.Time // when it begins; zero is now
	// Encipherment asks for a key management certificate, which decrypts but does not sign.
	Encipherment bool
}

// Ticket is what the desk hands out: 참조번호 and 인가코드. It is good for one certificate, for two weeks.
type Ticket struct {
	Reference     string // 참조번호, 10 digits
	Authorization string // 인가코드, 20 digits
}

type ticket struct {
	applicant Applicant
	code      string
	until     time.Time
	tries     int
}

const (
	ticketLife  = 14 * 24 * time.Hour
	ticketTries = 5
)

// Enrolment is what the applicant's program sends: the public key, and R (npki.RSize random bytes), which
// the authority needs for the VID and forgets.
type Enrolment struct {
	PublicKey *rsa.PublicKey
	R         []byte
}

// Apply registers an applicant, whose identity the desk has checked.
func (a *Authority) Apply(applicant Applicant) (Ticket, error) {
	if applicant.Name == "" {
		return Ticket{}, errors.New("npkitest: an applicant without a name")
	}
	if _, err := dotted(applicant.Policy); err != nil {
		return Ticket{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t := Ticket{Reference: digits(10), Authorization: digits(20)}
	a.tickets[t.Reference] = &ticket{applicant: applicant, code: t.Authorization, until: a.pki.options.Now().Add(ticketLife)}
	return t, nil
}

// Issue takes a ticket and issues the certificate. ErrTicket says that the ticket does not serve; after five
// wrong authorization codes it never will.
func (a *Authority) Issue(t Ticket, e Enrolment) (*npki.Certificate, error) {
	a.mu.Lock()
	known := a.tickets[t.Reference]
	fits := known != nil && known.tries < ticketTries && a.pki.options.Now().Before(known.until)
	if fits && subtle.ConstantTimeCompare([]byte(known.code), []byte(t.Authorization)) != 1 {
		known.tries++
		fits = false
	}
	if fits {
		delete(a.tickets, t.Reference)
	}
	a.mu.Unlock()
	if !fits {
		return nil, ErrTicket
	}
	return a.issue(known.applicant, e)
}

// Renew issues a new certificate to the holder of a good one, with another key, serial number and VID. The
// old one stays valid until it expires, as with the real authorities.
func (a *Authority) Renew(serial *big.Int, e Enrolment) (*npki.Certificate, error) {
	a.mu.Lock()
	old := a.records[serial.String()]
	now := a.pki.options.Now()
	a.mu.Unlock()
	switch {
	case old == nil || old.applicant.Name == "":
		return nil, ErrUnknown
	case !old.revoked.IsZero() || now.After(old.certificate.NotAfter):
		return nil, ErrState
	}
	applicant := old.applicant
	applicant.Since = time.Time{}
	return a.issue(applicant, e)
}

func (a *Authority) issue(applicant Applicant, e Enrolment) (*npki.Certificate, error) {
	id, err := identity(applicant.Name, applicant.Number, e.R)
	if err != nil {
		return nil, err
	}
	begin := applicant.Since
	if begin.IsZero() {
		begin = a.pki.options.Now()
	}
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if applicant.Encipherment {
		usage = x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment
	}
	certificate, err := a.Sign(Template{
		Subject: a.subject(applicant), PublicKey: e.PublicKey, KeyUsage: usage, Policies: []string{applicant.Policy},
		Identity: id, NotBefore: begin, NotAfter: endOfDay(begin.AddDate(max(1, applicant.Years), 0, 0)),
	})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[certificate.SerialNumber.String()].applicant = applicant
	return certificate, nil
}

// subject is the name that the authority gives, in the order of the encoding.
func (a *Authority) subject(applicant Applicant) npki.Name {
	cn := applicant.Name + "(" + applicant.English + ")"
	first := "personal"
	switch a.Organization {
	case Yessign:
		first = "personal4IB"
		if len(applicant.Number) == 10 {
			first = "corporation4EC"
		}
		cn += cmp.Or(applicant.Bank, "0088") + "0046" + digits(9)
	case KICA:
		first = "licensedCA"
		cn += digits(10)
	case CrossCert:
		first = "AccreditedCA"
		cn += digits(12)
	default:
		cn += digits(12)
	}
	name := npki.Name{
		{{Type: "c", Value: profiles[authorityKey{a.Organization, a.Generation}].country}},
		{{Type: "o", Value: a.Organization}}, {{Type: "ou", Value: first}},
	}
	for _, unit := range applicant.Units {
		name = append(name, npki.RDN{{Type: "ou", Value: unit}})
	}
	return append(name, npki.RDN{{Type: "cn", Value: cn}})
}

// Revoke takes a certificate back for good, for a reason of RFC 5280 §5.3.1, such as 1 for a lost key.
func (a *Authority) Revoke(serial *big.Int, reason int) error {
	return a.change(serial, func(r *record) bool {
		if !r.revoked.IsZero() && r.reason != certificateHold {
			return false
		}
		r.revoked, r.reason = a.pki.options.Now(), reason
		return reason != certificateHold && reason != removeFromCRL
	})
}

// Hold suspends a certificate (효력정지).
func (a *Authority) Hold(serial *big.Int) error {
	return a.change(serial, func(r *record) bool {
		if !r.revoked.IsZero() {
			return false
		}
		r.revoked, r.reason = a.pki.options.Now(), certificateHold
		return true
	})
}

// Release ends a suspension (효력회복).
func (a *Authority) Release(serial *big.Int) error {
	return a.change(serial, func(r *record) bool {
		if r.revoked.IsZero() || r.reason != certificateHold {
			return false
		}
		r.revoked, r.reason = time.Time{}, 0
		return true
	})
}

// The reasons that are not final (RFC 5280 §5.3.1).
const (
	certificateHold = 6
	removeFromCRL   = 8
)

func (a *Authority) change(serial *big.Int, f func(*record) bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.records[serial.String()]
	if r == nil {
		return ErrUnknown
	}
	before := *r
	if !f(r) {
		*r = before
		return ErrState
	}
	return nil
}

// Holder is somebody who has a certificate.
type Holder struct {
	Authority   *Authority
	Certificate *npki.Certificate
	Key         *npki.PrivateKey // with R
}

// Enroll goes all the way for an applicant: to the desk, home with the ticket, and back with a key.
func (a *Authority) Enroll(applicant Applicant) (*Holder, error) {
	t, err := a.Apply(applicant)
	if err != nil {
		return nil, err
	}
	return a.enroll(func(e Enrolment) (*npki.Certificate, error) { return a.Issue(t, e) })
}

// Renew renews the holder's certificate; the old one stays as it is.
func (h *Holder) Renew() (*Holder, error) {
	return h.Authority.enroll(func(e Enrolment) (*npki.Certificate, error) {
		return h.Authority.Renew(h.Certificate.SerialNumber, e)
	})
}

func (a *Authority) enroll(issue func(Enrolment) (*npki.Certificate, error)) (*Holder, error) {
	key, err := a.pki.NewKey(a.Generation.bits())
	if err != nil {
		return nil, err
	}
	r := make([]byte, npki.RSize)
	rand.Read(r) // never fails
	certificate, err := issue(Enrolment{PublicKey: &key.PublicKey, R: r})
	if err != nil {
		return nil, err
	}
	private, err := npki.NewPrivateKey(key, r)
	if err != nil {
		return nil, err
	}
	return &Holder{Authority: a, Certificate: certificate, Key: private}, nil
}

// Sign signs content in the shape that the options give.
func (h *Holder) Sign(content []byte, options npki.SignOptions) ([]byte, error) {
	return npki.SignCMS(h.Key.Key, h.Certificate.Raw, content, options)
}

// Folder is where the holder's files lie below an NPKI folder, with the name of the subject as the real
// programs write it.
func (h *Holder) Folder() (string, error) {
	name, err := h.Certificate.SubjectName()
	if err != nil {
		return "", err
	}
	return h.Authority.Organization + "/USER/" + name.String(), nil
}

// Files are the files in that folder: the certificate, and the key under the password.
func (h *Holder) Files(password []byte, e npki.Encryption) (map[string][]byte, error) {
	key, err := h.Key.Marshal(e, password)
	if err != nil {
		return nil, err
	}
	names := [2]string{"signCert.der", "signPri.key"}
	if !h.Certificate.Signs() {
		names = [2]string{"kmCert.der", "kmPri.key"}
	}
	return map[string][]byte{names[0]: h.Certificate.Raw, names[1]: key}, nil
}

// digits gives n random digits.
func digits(n int) string {
	var b strings.Builder
	for range n {
		d, err := rand.Int(rand.Reader, big.NewInt(10))
		if err != nil {
			panic(fmt.Sprintf("npkitest: %v", err)) // crypto/rand.Reader never fails
		}
		b.WriteString(d.String())
	}
	return b.String()
}
