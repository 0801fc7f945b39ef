package npki

import (
	"testing"
	"time"
)

func TestCheckResident(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		number string
		want   Resident
	}{
		{"9001011234568", Resident{1990, time.January, 1, Male, false, true}},
		{"0101019000001", Resident{1801, time.January, 1, Male, false, true}},
		{"0101019000007", Resident{1801, time.January, 1, Male, false, false}}, // the check digit is nothing to refuse
		{"9912310000000", Resident{1899, time.December, 31, Female, false, false}},
		{"0101015000003", Resident{1901, time.January, 1, Male, true, true}},
		{"0002293000000", Resident{2000, time.February, 29, Male, false, false}},
		{"0402294000000", Resident{2004, time.February, 29, Female, false, false}},
		{"8801016000000", Resident{1988, time.January, 1, Female, true, false}},
		{"1001017000000", Resident{2010, time.January, 1, Male, true, false}},
		{"1001018000000", Resident{2010, time.January, 1, Female, true, false}},
		{"2611223000000", Resident{2026, time.November, 22, Male, false, false}}, // today
	} {
		got, err := CheckResident([]byte(c.number), now)
		got.OldCheckDigit = got.OldCheckDigit && c.want.OldCheckDigit // chance
		if err != nil || got != c.want {
			t.Errorf("%s: %+v (%v), want %+v", c.number, got, err, c.want)
		}
	}
	for _, bad := range []string{
		"", "900101-1234568", "900101123456", "90010112345678", "900101123456x", "９001011234568",
		"0002291000000", // 1900 was no leap year
		"9002301000000", "9013011000000", "9000011000000", "9001001000000", "9001321000000",
		"9912313000000", // 2099
		"2611233000000", // tomorrow
	} {
		_, err := CheckResident([]byte(bad), now)
		wantCode(t, bad, err, ErrInput)
	}
}

// The day begins in Korea nine hours before it does in Greenwich.
func TestCheckResidentToday(t *testing.T) {
	t.Parallel()
	for at, born := range map[string]bool{"2026-11-21T15:00:00Z": true, "2026-11-21T14:59:59Z": false} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := CheckResident([]byte("2611223000000"), now); (err == nil) != born {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestCheckBusiness(t *testing.T) {
	t.Parallel()
	if err := CheckBusiness([]byte("1234567891")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "1234567890", "123-45-67891", "0000000000", "123456789", "12345678911", "123456789a"} {
		wantCode(t, bad, CheckBusiness([]byte(bad)), ErrInput)
	}
}

func TestCheckCorporation(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"1101110000001", "1101110000002"} {
		if err := CheckCorporation([]byte(good)); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "110111-0000001", "110111000000", "11011100000012"} {
		wantCode(t, bad, CheckCorporation([]byte(bad)), ErrInput)
	}
}
