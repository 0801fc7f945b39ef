package stage

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/sim/ca"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// Wallet is what a person has to sign with.
type Wallet struct {
	Number       string             // resident registration number
	Folder       string             // of files, with NPKI in it; empty: has none
	PFX          string             // file with the first certificate that is good
	Password     string             // of both
	PIN          string             // of the financial certificate; empty: has none
	Certificates []*npkitest.Holder // joint certificates, as in Person; a renewed one comes before the one that renews it
}

// Wallet returns what a person of the play has to sign with.
func (s *Stage) Wallet(p Person) Wallet { return s.wallets[p.ci()] }

// Open opens the n-th certificate with its key, from the files.
func (w Wallet) Open(n int) (npki.Pair, error) {
	if n < 0 || n >= len(w.Certificates) {
		return npki.Pair{}, fmt.Errorf("stage: the wallet has no certificate %d", n)
	}
	folder, err := ca.Folder(w.Certificates[n])
	if err != nil {
		return npki.Pair{}, err
	}
	folder = filepath.Join(w.Folder, filepath.FromSlash(folder))
	certificate, err := os.ReadFile(filepath.Join(folder, "signCert.der"))
	if err != nil {
		return npki.Pair{}, fmt.Errorf("stage: wallet: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(folder, "signPri.key"))
	if err != nil {
		return npki.Pair{}, fmt.Errorf("stage: wallet: %w", err)
	}
	return npki.ParsePair(certificate, key, []byte(w.Password))
}

// openCertificates starts the certification authorities with what stands around them, and the financial
// certificate's cloud, and gives the people their certificates.
func (s *Stage) openCertificates() error {
	// The authorities' keys are the same at every start, and so is the trust in them. But certificates are
	// issued anew: none may have the serial number of one that the broker remembers from the last start.
	s.PKI = npkitest.New(npkitest.Options{Directory: s.directoryURL, Responder: s.CAURL + "/ocsp", Serial: time.Now().Unix()})
	folder, err := filepath.Abs(filepath.Join(s.data, "people")) // for people to find it
	if err != nil {
		return fmt.Errorf("stage: people's certificates: %w", err)
	}
	if err := os.RemoveAll(folder); err != nil { // what the authorities no longer know
		return fmt.Errorf("stage: people's certificates: %w", err)
	}
	s.wallets = map[string]Wallet{}
	names := map[string]int{}
	var known []ca.Person
	var cloud []fincert.Person
	for _, p := range s.People {
		w := Wallet{Number: p.ResidentNumber(), Password: p.Password, PIN: p.PIN}
		names[p.Name]++
		if len(p.Certificates) > 0 {
			place := strings.NewReplacer("/", "_", `\`, "_").Replace(p.Name)
			if n := names[p.Name]; n > 1 {
				place += "-" + strconv.Itoa(n)
			}
			w.Folder = filepath.Join(folder, place)
			w.PFX = w.Folder + ".p12"
			if err := s.issue(p, &w); err != nil {
				return fmt.Errorf("stage: certificates of %s: %w", p.Name, err)
			}
		}
		s.wallets[p.ci()] = w
		cloud = append(cloud, p.atCloud())
		known = append(known, ca.Person{
			Name: p.Name, English: p.NameEnglish, Number: w.Number, CI: p.ci(),
			Wallet: ca.Wallet{Folder: w.Folder, PFX: w.PFX, Password: w.Password, PIN: w.PIN, Note: p.inWords()},
		})
	}
	if s.FinCert, err = fincert.New(fincert.Config{PKI: s.PKI, People: cloud}); err != nil {
		return fmt.Errorf("stage: financial certificates: %w", err)
	}
	if s.CA, err = ca.New(ca.Config{PKI: s.PKI, People: known, Met: s.meet}); err != nil {
		return fmt.Errorf("stage: certification authorities: %w", err)
	}
	s.handlers[caPart] = s.CA.Handler()
	mux := http.NewServeMux()
	api := s.FinCert.APIHandler()
	for _, path := range []string{"/oauth/", "/v1/ucpid/"} {
		mux.Handle(path, api)
	}
	mux.Handle("/", s.FinCert.SignerHandler())
	s.handlers[fincertPart] = mux
	return nil
}

// meet lets the financial certificate's service know who came to the desk of the authorities, one of which is
// its own.
func (s *Stage) meet(p ca.Person) {
	r, err := npki.CheckResident([]byte(p.Number), time.Now())
	if err == nil {
		err = s.FinCert.Meet(fincert.Person{
			Name: p.Name, English: p.English, BirthDate: time.Date(r.Year, r.Month, r.Day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
			Gender: string(r.Sex), Foreigner: r.Foreigner, Number: p.Number, CI: p.CI,
		})
	}
	if err != nil {
		s.log.Warn("stage: a new person", "error", err)
	}
}

// issue has a person's certificates issued, and lays down the files.
func (s *Stage) issue(p Person, w *Wallet) error {
	password := []byte(p.Password)
	exported := false
	for _, c := range p.Certificates {
		holders, err := s.certify(p, c)
		if err != nil {
			return err
		}
		w.Certificates = append(w.Certificates, holders...)
		current := holders[len(holders)-1:]
		if c.Pair {
			second, err := ca.Encipherment(s.PKI, current[0])
			if err != nil {
				return err
			}
			holders = append(holders, second)
			current = holders[len(holders)-2:]
		}
		var encryption npki.Encryption
		if c.Large { // newer programs write newer files
			encryption = npki.Encryption{Scheme: npki.SchemePBES2, Cipher: npki.SEED, Iterations: 2048}
		}
		files, err := ca.Files(password, encryption, holders...)
		if err != nil {
			return err
		}
		for path, content := range files {
			if err := lay(filepath.Join(w.Folder, filepath.FromSlash(path)), content); err != nil {
				return err
			}
		}
		if exported || c.State != Good && c.State != Renewed {
			continue
		}
		exported = true
		pfx, err := ca.PFX(password, current...)
		if err != nil {
			return err
		}
		if err := lay(w.PFX, pfx); err != nil {
			return err
		}
	}
	if !exported {
		w.PFX = ""
	}
	return nil
}

// lay writes a file, and the folders above it.
func lay(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// certify issues one certificate, and has happen to it what is said to have happened.
func (s *Stage) certify(p Person, c Certificate) ([]*npkitest.Holder, error) {
	generation := npkitest.RSA2048
	if c.Large {
		generation = npkitest.RSA3072
	}
	authority, err := s.PKI.CA(c.Authority, generation)
	if err != nil {
		return nil, err
	}
	if _, known := npki.PolicyByOID(c.Policy); !known {
		return nil, fmt.Errorf("policy %q is not known", c.Policy)
	}
	applicant := npkitest.Applicant{Name: p.Name, English: p.NameEnglish, Number: p.ResidentNumber(), Policy: c.Policy, Units: []string{"ANYIDTEST"}}
	if c.State == Expired {
		applicant.Since = time.Now().AddDate(-2, 0, 0)
	}
	holder, err := authority.Enroll(applicant)
	if err != nil {
		return nil, err
	}
	holders := []*npkitest.Holder{holder}
	serial := holder.Certificate.SerialNumber
	switch c.State {
	case Good, Expired:
	case Revoked:
		const keyCompromise = 1 // RFC 5280 §5.3.1
		err = authority.Revoke(serial, keyCompromise)
	case Held:
		err = authority.Hold(serial)
	case Renewed:
		var renewed *npkitest.Holder
		renewed, err = holder.Renew()
		holders = append(holders, renewed)
	default:
		err = fmt.Errorf("state %q is not known", c.State)
	}
	return holders, err
}

// inWords lists a person's certificates.
func (p Person) inWords() string {
	states := map[State]string{Expired: "만료", Revoked: "폐지", Held: "효력정지", Renewed: "갱신, 전의 것도 있음"}
	var list []string
	for _, c := range p.Certificates {
		policy, _ := npki.PolicyByOID(c.Policy)
		words := policy.Label()
		if policy.CA != nil {
			words = policy.CA.Name + " " + words
		}
		if state := states[c.State]; state != "" {
			words += " (" + state + ")"
		}
		list = append(list, words)
	}
	return strings.Join(list, ", ")
}

// trustCertificates configures the broker for the authorities, the signers and who tells whose certificate
// it is.
func (s *Stage) trustCertificates(settings *config.Config) error {
	roots, authorities, err := s.PKI.Certificates()
	if err != nil {
		return fmt.Errorf("stage: anchors: %w", err)
	}
	settings.Certificates.Roots, settings.Certificates.Authorities = filepath.Join(s.data, "roots.pem"), filepath.Join(s.data, "authorities.pem")
	for path, list := range map[string][]*x509.Certificate{settings.Certificates.Roots: roots, settings.Certificates.Authorities: authorities} {
		var text []byte
		for _, c := range list {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
		if err := lay(path, text); err != nil {
			return fmt.Errorf("stage: anchors: %w", err)
		}
	}
	settings.Certificates.Test = true
	settings.Certificates.Directories = []string{hostOf(s.directoryURL), hostOf(s.CAURL)}
	for _, known := range npki.CAs() {
		if !known.Defunct {
			settings.Certificates.OCSP = append(settings.Certificates.OCSP, known.Organization+"="+s.CAURL+"/ocsp")
		}
	}
	settings.Certificates.OCSPNonce = true

	settings.JointCert.Enabled = true
	settings.JointCert.UCPID = []string{npkitest.Yessign}
	settings.JointCert.ResidentNumberBasis = "전자정부법 시행령 제49조제3항"
	settings.JointCert.ResolverURL, settings.JointCert.ResolverKey = s.CAURL, config.Secret(s.CA.ResolverKey())
	if settings.JointCert.RecipientCert, settings.JointCert.RecipientKey, err = s.recipient(); err != nil {
		return err
	}

	settings.FinancialCert.Enabled = true
	settings.FinancialCert.Script = s.FinCertURL + "/v1/fincert.js"
	settings.FinancialCert.OrgCode, settings.FinancialCert.APIKey = s.FinCert.OrgCode(), s.FinCert.ClientID()
	settings.Yeskey.APIURL = s.FinCertURL
	settings.Yeskey.ClientID, settings.Yeskey.ClientSecret = s.FinCert.ClientID(), config.Secret(s.FinCert.ClientSecret())
	settings.Yeskey.ServerID, settings.Yeskey.CPCode, settings.Yeskey.Male = s.FinCert.ServerID(), s.FinCert.CPCode(), "1"
	return nil
}

// recipient gives the files of the key pair to which pages encrypt R, made at the first start.
func (s *Stage) recipient() (certificate, key string, err error) {
	certificate, key = filepath.Join(s.data, "recipient.pem"), filepath.Join(s.data, "recipient.key")
	switch _, err := os.Stat(key); {
	case err == nil:
		return certificate, key, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("stage: recipient: %w", err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", fmt.Errorf("stage: recipient: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Any-ID demonstration, recipient of R"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), KeyUsage: x509.KeyUsageKeyEncipherment,
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", fmt.Errorf("stage: recipient: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", fmt.Errorf("stage: recipient: %w", err)
	}
	err = errors.Join(
		lay(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public})),
		lay(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return certificate, key, err
}
