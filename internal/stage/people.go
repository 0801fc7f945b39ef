package stage

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/demo/qnet"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/internal/sim/simple"
	"github.com/anyid/anyid/pkg/npki"
)

// Person is a fictional citizen. The numbers are from the range 010-0000-… that no carrier gives out.
type Person struct {
	Name        string `json:"name"`
	BirthDate   string `json:"birth_date"`      // YYYY-MM-DD
	Phone       string `json:"phone,omitempty"` // digits; empty: has no phone
	Email       string `json:"email,omitempty"` // the inbox shows what comes there among their messages; the broker knows it when they say it
	Gender      string `json:"gender"`          // "male" or "female"
	Foreigner   bool   `json:"foreigner,omitempty"`
	CI          string `json:"ci,omitempty"`         // 88 characters; made up when empty
	Registered  bool   `json:"registered,omitempty"` // has registered with Any-ID before
	QNetID      string `json:"qnet_id,omitempty"`    // is a member of Q-Net under this login ID
	QNetSecret  string `json:"qnet_password,omitempty"`
	NameEnglish string `json:"name_english,omitempty"`
	Note        string `json:"note,omitempty"` // what to try with this person

	Number       string        `json:"resident_number,omitempty"` // 13 digits; made up when empty
	Certificates []Certificate `json:"certificates,omitempty"`    // joint certificates, in files
	Password     string        `json:"certificate_password,omitempty"`
	PIN          string        `json:"pin,omitempty"` // of the financial certificate, 6 digits; empty: has none
}

// Certificate is a joint certificate that a person has when the play begins.
type Certificate struct {
	Authority string `json:"authority"` // organization: yessign, KICA, SignKorea, CrossCert, TradeSign
	Policy    string `json:"policy"`    // what kind it is, dotted
	Large     bool   `json:"large,omitempty"`
	// Pair adds a second certificate, which decrypts (kmCert).
	Pair  bool  `json:"pair,omitempty"`
	State State `json:"state,omitempty"`
}

// State is what has happened to a certificate.
type State string

// The states.
const (
	Good    State = ""
	Expired State = "expired"
	Revoked State = "revoked"
	Held    State = "held"
	Renewed State = "renewed" // the person has the renewed one too
)

// People are the citizens of the demonstration; docs/demo.md introduces them.
func People() []Person {
	return []Person{
		{Name: "김하늘", NameEnglish: "KIM HANEUL", BirthDate: "1995-01-12", Phone: "01000000001", Email: "haneul@example.kr", Gender: "female", Note: "new to Any-ID and to Q-Net",
			Password: "haneul#1995", PIN: "135790", Certificates: []Certificate{{Authority: "yessign", Policy: "1.2.410.200005.1.1.4"}}},
		{Name: "이도윤", NameEnglish: "LEE DOYUN", BirthDate: "1988-07-30", Phone: "01000000002", Email: "doyun@example.kr", Gender: "male", Registered: true, Note: "registered with Any-ID already",
			Password: "doyun#1988", PIN: "246801", Certificates: []Certificate{
				{Authority: "yessign", Policy: "1.2.410.200005.1.1.1", Large: true},
				{Authority: "yessign", Policy: "1.2.410.200005.1.1.1", State: Expired},
				{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.7.1", State: Revoked},
			}},
		{Name: "박서연", NameEnglish: "PARK SEOYEON", BirthDate: "1979-11-05", Phone: "01000000003", Email: "seoyeon@example.kr", Gender: "female", QNetID: "seoyeon79", QNetSecret: "korea123@", Note: "a member of Q-Net, new to Any-ID",
			Password: "seoyeon#1979", PIN: "112358", Certificates: []Certificate{{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.2", Pair: true}}},
		{Name: "최민준", NameEnglish: "CHOI MINJUN", BirthDate: "2001-03-21", Phone: "01000000004", Email: "minjun@example.kr", Gender: "male", Note: "shares name and birth date with the next",
			Password: "minjun#2001", PIN: "271828", Certificates: []Certificate{{Authority: "SignKorea", Policy: "1.2.410.200004.5.1.1.9", State: Renewed}}},
		{Name: "최민준", NameEnglish: "CHOI MINJUN", BirthDate: "2001-03-21", Phone: "01000000005", Email: "minjun2@example.kr", Gender: "male", Note: "another person than the one before",
			Password: "minjun#0321", PIN: "314159", Certificates: []Certificate{{Authority: "CrossCert", Policy: "1.2.410.200004.5.4.1.1", Large: true}}},
		{Name: "NGUYEN THI LAN", NameEnglish: "NGUYEN THI LAN", BirthDate: "1992-09-14", Phone: "01000000006", Email: "lan@example.kr", Gender: "female", Foreigner: true, Note: "a foreign resident",
			Password: "nguyen#1992", PIN: "161803", Certificates: []Certificate{{Authority: "CrossCert", Policy: "1.2.410.200004.5.4.1.101"}}},
		{Name: "정순자", NameEnglish: "JUNG SOONJA", BirthDate: "1948-02-08", Email: "soonja@example.kr", Gender: "female", Note: "has no phone",
			Password: "soonja#1948", Certificates: []Certificate{{Authority: "TradeSign", Policy: "1.2.410.200012.1.1.1"}}},
		{Name: "강지우", NameEnglish: "KANG JIWOO", BirthDate: "1965-05-19", Phone: "01000000008", Email: "jiwoo@example.kr", Gender: "male", Note: "one more, for the phone's 거절",
			Password: "jiwoo#1965", PIN: "141421", Certificates: []Certificate{
				{Authority: "yessign", Policy: "1.2.410.200005.1.1.4", State: Held},
				{Authority: "KICA", Policy: "1.2.410.200004.5.2.1.7.2"}, // for securities only
			}},
	}
}

// ReadPeople reads people from a JSON file: an array of Person.
func ReadPeople(path string) ([]Person, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("stage: people: %w", err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	var people []Person
	if err := decoder.Decode(&people); err != nil {
		return nil, fmt.Errorf("stage: people: %s: %w", path, err)
	}
	return people, nil
}

// ci is the person's linking information: fixed, so that a demonstration can be stopped and started.
func (p Person) ci() string {
	if p.CI != "" {
		return p.CI
	}
	sum := sha512.Sum512([]byte("any-id demonstration\n" + p.Name + "\n" + p.BirthDate + "\n" + p.Phone))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// ResidentNumber is the person's resident (or foreigner's) registration number, 13 digits. What is made up has
// the day of birth, the century and the sex in it, as every number has, for they are compared with what else is
// known of the person. The rest is clearly made up, and breaks the rule for check digits, so that it was nobody's
// before October 2020; since then the digits are random, and nobody may be refused for them.
func (p Person) ResidentNumber() string {
	if p.Number != "" {
		return p.Number
	}
	born, err := time.Parse(time.DateOnly, p.BirthDate)
	if err != nil {
		return "" // which the simulators refuse
	}
	kind := 1
	if p.Gender == "female" {
		kind++
	}
	if born.Year() >= 2000 {
		kind += 2
	}
	if p.Foreigner {
		kind += 4
	}
	sum := sha512.Sum512([]byte("resident number\n" + p.Name + "\n" + p.BirthDate + "\n" + p.Phone))
	front := fmt.Sprintf("%s%d00%03d", born.Format("060102"), kind, (int(sum[0])<<8|int(sum[1]))%1000)
	for digit := range 10 {
		number := fmt.Sprintf("%s%d", front, digit)
		if r, err := npki.CheckResident([]byte(number), time.Now()); err == nil && !r.OldCheckDigit {
			return number
		}
	}
	return "" // born in the future
}

func (p Person) atProvider() simple.Person {
	return simple.Person{
		Name: p.Name, BirthDate: p.BirthDate, Phone: p.Phone, Gender: p.Gender, Foreigner: p.Foreigner, CI: p.ci(), Telco: "SKT",
	}
}

func (p Person) atCloud() fincert.Person {
	return fincert.Person{
		Name: p.Name, English: p.NameEnglish, BirthDate: p.BirthDate, Gender: p.Gender, Foreigner: p.Foreigner, Phone: p.Phone,
		Number: p.ResidentNumber(), CI: p.ci(), PIN: p.PIN,
	}
}

func (p Person) atQNet() qnet.Member {
	nationality := "domestic"
	if p.Foreigner {
		nationality = "foreign"
	}
	return qnet.Member{
		ID: p.QNetID, Password: p.QNetSecret, Name: p.Name, NameEnglish: p.NameEnglish, BirthDate: p.BirthDate,
		Gender: p.Gender, Nationality: nationality, CI: p.ci(),
	}
}
