package mobileid

import (
	"slices"
	"strings"
	"time"
)

// Card is a kind of ID.
type Card struct {
	Code    string // MIP: assertion.code of its credentials
	Label   string
	Issuer  string // who issues it
	Foreign bool   // for registered foreigners; the others are for citizens
	VCT     string // OpenID4VP: the type of its SD-JWT VC
	DocType string // OpenID4VP: the type of its mdoc; empty: there is none
}

// The IDs. Of their codes only the driving licence's is public.
var (
	residentCard   = &Card{Code: "residentcard", Label: "모바일 주민등록증", Issuer: "행정안전부", VCT: "urn:kr:mobileid:resident-card:1"}
	drivingLicence = &Card{Code: "driverlicen", Label: "모바일 운전면허증", Issuer: "경찰청", VCT: "urn:kr:mobileid:driving-licence:1", DocType: mdlDocType}
	alienCard      = &Card{Code: "aliencard", Label: "모바일 외국인등록증", Issuer: "법무부", Foreign: true, VCT: "urn:kr:mobileid:alien-registration-card:1"}

	cards = []*Card{residentCard, drivingLicence, alienCard}
)

// Cards lists the kinds of IDs.
func Cards() []Card {
	list := make([]Card, len(cards))
	for i, c := range cards {
		list[i] = *c
	}
	return list
}

func cardOf(code string) *Card {
	i := slices.IndexFunc(cards, func(c *Card) bool { return c.Code == code })
	if i < 0 {
		return nil
	}
	return cards[i]
}

// issued is an ID in a wallet.
type issued struct {
	*Card
	number    string // document number
	parent    string // MIP: parentId of its credentials
	vcs       map[string]string
	from, end time.Time
}

// attribute is a type and a value in a MIP credential.
type attribute struct{ kind, value string }

// attributes are what a MIP credential can say of a person, in the order in which it does.
func attributes(w *wallet, c *issued) []attribute {
	sex := "M"
	if w.person.Gender == "female" {
		sex = "F"
	}
	nationality := "KOR"
	if w.person.Foreigner {
		nationality = "XXX" // unspecified (ICAO Doc 9303-3): the play does not say
	}
	return []attribute{
		{"name", w.person.Name}, {"birth", strings.ReplaceAll(w.person.BirthDate, "-", "")}, {"sex", sex},
		{"nationality", nationality}, {"telno", w.person.Phone}, {"docno", c.number},
	}
}

// familyAndGiven splits a name: a Korean one after the first syllable, another at the first space.
func familyAndGiven(name string) (family, given string) {
	if family, given, ok := strings.Cut(name, " "); ok {
		return family, given
	}
	for i := range name {
		if i > 0 {
			return name[:i], name[i:]
		}
	}
	return name, ""
}

// claims are what an SD-JWT VC says of a person. Each can be withheld.
func claims(w *wallet, c *issued) map[string]any {
	family, given := familyAndGiven(w.person.Name)
	nationality := "KR"
	if w.person.Foreigner {
		nationality = "XX" // as above
	}
	return map[string]any{
		"name": w.person.Name, "family_name": family, "given_name": given, "birthdate": w.person.BirthDate, "gender": w.person.Gender,
		"nationality": nationality, "phone_number": "+82" + strings.TrimPrefix(w.person.Phone, "0"),
		"document_number": c.number, "issuing_authority": c.Issuer, "ci": w.person.CI,
	}
}

const (
	mdlDocType  = "org.iso.18013.5.1.mDL"
	isoSpace    = "org.iso.18013.5.1"
	koreanSpace = "org.iso.18013.5.1.KR" // domestic (ISO/IEC 18013-5 §7.2.8)
)

// elements are what an mdoc says of a person, by namespace. Its dates become full-dates.
func elements(w *wallet, c *issued) map[string]map[string]any {
	family, given := familyAndGiven(w.person.Name)
	sex := 1 // ISO/IEC 5218
	if w.person.Gender == "female" {
		sex = 2
	}
	return map[string]map[string]any{
		isoSpace: {
			"family_name": family, "given_name": given, "birth_date": date(w.person.BirthDate), "sex": sex,
			"issue_date": date(c.from.Format(time.DateOnly)), "expiry_date": date(c.end.Format(time.DateOnly)),
			"issuing_country": "KR", "issuing_authority": c.Issuer, "document_number": c.number, "un_distinguishing_sign": "ROK",
			"driving_privileges": []any{map[string]any{"vehicle_category_code": "B"}},
		},
		koreanSpace: {"name": w.person.Name, "ci": w.person.CI},
	}
}

// date is a full-date.
type date string

// claimNames are what the wallet calls claims, elements and attributes.
var claimNames = map[string]string{
	"name": "이름", "family_name": "성", "given_name": "이름", "birth": "생년월일", "birthdate": "생년월일", "birth_date": "생년월일",
	"sex": "성별", "gender": "성별", "nationality": "국적", "telno": "전화번호", "phone_number": "전화번호",
	"ci": "연계정보(CI)", "docno": "발급번호", "document_number": "발급번호", "issuing_authority": "발급기관", "issuing_country": "발급국가",
	"issue_date": "발급일", "expiry_date": "만료일",
}

// inWords names claims for the citizen, each once.
func inWords(names []string) []string {
	var out []string
	for _, name := range names {
		if word := claimNames[name]; word != "" {
			name = word
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
