package stage

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/anyid/anyid/internal/demo/qnet"
	"github.com/anyid/anyid/internal/sim/simple"
)

// Person is a fictional citizen. The numbers are from the range 010-0000-… that no carrier gives out.
type Person struct {
	Name        string `json:"name"`
	BirthDate   string `json:"birth_date"`      // YYYY-MM-DD
	Phone       string `json:"phone,omitempty"` // digits; empty: has no phone
	Gender      string `json:"gender"`          // "male" or "female"
	Foreigner   bool   `json:"foreigner,omitempty"`
	CI          string `json:"ci,omitempty"`         // 88 characters; made up when empty
	Registered  bool   `json:"registered,omitempty"` // has registered with Any-ID before
	QNetID      string `json:"qnet_id,omitempty"`    // is a member of Q-Net under this login ID
	QNetSecret  string `json:"qnet_password,omitempty"`
	NameEnglish string `json:"name_english,omitempty"`
	Note        string `json:"note,omitempty"` // what to try with this person
}

// People are the citizens of the demonstration; docs/demo.md introduces them.
func People() []Person {
	return []Person{
		{Name: "김하늘", NameEnglish: "KIM HANEUL", BirthDate: "1995-01-12", Phone: "01000000001", Gender: "female", Note: "new to Any-ID and to Q-Net"},
		{Name: "이도윤", NameEnglish: "LEE DOYUN", BirthDate: "1988-07-30", Phone: "01000000002", Gender: "male", Registered: true, Note: "registered with Any-ID already"},
		{Name: "박서연", NameEnglish: "PARK SEOYEON", BirthDate: "1979-11-05", Phone: "01000000003", Gender: "female", QNetID: "seoyeon79", QNetSecret: "korea123@", Note: "a member of Q-Net, new to Any-ID"},
		{Name: "최민준", NameEnglish: "CHOI MINJUN", BirthDate: "2001-03-21", Phone: "01000000004", Gender: "male", Note: "shares name and birth date with the next"},
		{Name: "최민준", NameEnglish: "CHOI MINJUN", BirthDate: "2001-03-21", Phone: "01000000005", Gender: "male", Note: "another person than the one before"},
		{Name: "NGUYEN THI LAN", NameEnglish: "NGUYEN THI LAN", BirthDate: "1992-09-14", Phone: "01000000006", Gender: "female", Foreigner: true, Note: "a foreign resident"},
		{Name: "정순자", NameEnglish: "JUNG SOONJA", BirthDate: "1948-02-08", Gender: "female", Note: "has no phone"},
		{Name: "강지우", NameEnglish: "KANG JIWOO", BirthDate: "1965-05-19", Phone: "01000000008", Gender: "male", Note: "one more, for the phone's 거절"},
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

func (p Person) atProvider() simple.Person {
	return simple.Person{
		Name: p.Name, BirthDate: p.BirthDate, Phone: p.Phone, Gender: p.Gender, Foreigner: p.Foreigner, CI: p.ci(), Telco: "SKT",
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
