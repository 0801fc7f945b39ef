package npki

import "time"

// Sex is what the seventh digit of a resident registration number says.
type Sex string

// The values of Sex.
const (
	Male   Sex = "male"
	Female Sex = "female"
)

// Resident is what a resident registration number or a foreigner's registration number tells.
type Resident struct {
	Year      int // of birth
	Month     time.Month
	Day       int
	Sex       Sex
	Foreigner bool

	// OldCheckDigit says that the last digit follows the rule of numbers given before October 2020. Since
	// then the digits are random, for people of any age, so it is no reason to refuse a number.
	OldCheckDigit bool
}

// korea is Korean time; there has been no daylight saving since 1988.
var korea = time.FixedZone("KST", 9*60*60)

// CheckResident reads a resident registration number (주민등록번호) or a foreigner's registration number, 13
// digits without a hyphen: the day of birth must exist, with the century that the seventh digit says, and not
// lie after the day that now is in Korea. The check digit is not looked at. The error is ErrInput and does not
// hold the number.
func CheckResident(number []byte, now time.Time) (Resident, error) {
	const what = "resident registration number"
	if len(number) != 13 || !digits(number) {
		return Resident{}, fail(ErrInput, what)
	}
	pair := func(i int) int { return int(number[i]-'0')*10 + int(number[i+1]-'0') }
	kind := number[6] - '0'
	r := Resident{Month: time.Month(pair(2)), Day: pair(4), Sex: Female, Foreigner: kind >= 5 && kind <= 8}
	if kind%2 == 1 {
		r.Sex = Male
	}
	r.Year = pair(0) + map[byte]int{9: 1800, 0: 1800, 1: 1900, 2: 1900, 3: 2000, 4: 2000, 5: 1900, 6: 1900, 7: 2000, 8: 2000}[kind]
	born := time.Date(r.Year, r.Month, r.Day, 0, 0, 0, 0, korea)
	if born.Month() != r.Month || born.Day() != r.Day {
		return Resident{}, fail(ErrInput, what+": no such day")
	}
	if born.After(now) {
		return Resident{}, fail(ErrInput, what+": born in the future")
	}
	sum := 0
	for i, weight := range []int{2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5} {
		sum += weight * int(number[i]-'0')
	}
	check := (11 - sum%11) % 10
	if r.Foreigner {
		check = (check + 2) % 10
	}
	r.OldCheckDigit = check == int(number[12]-'0')
	return r, nil
}

// CheckBusiness checks a business registration number (사업자등록번호): 10 digits without hyphens, with its
// check digit.
func CheckBusiness(number []byte) error {
	const what = "business registration number"
	if len(number) != 10 || !digits(number) {
		return fail(ErrInput, what)
	}
	sum, zeros := int(number[8]-'0')*5/10, true
	for i, weight := range []int{1, 3, 7, 1, 3, 7, 1, 3, 5} {
		sum += weight * int(number[i]-'0')
		zeros = zeros && number[i] == '0'
	}
	if zeros || (10-sum%10)%10 != int(number[9]-'0') {
		return fail(ErrInput, what+": check digit")
	}
	return nil
}

// CheckCorporation checks a corporation registration number (법인등록번호): 13 digits without a hyphen. Its
// check digit is not looked at: it is said to be no longer given since 2025.
func CheckCorporation(number []byte) error {
	if len(number) != 13 || !digits(number) {
		return fail(ErrInput, "corporation registration number")
	}
	return nil
}
