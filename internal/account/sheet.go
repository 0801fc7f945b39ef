package account

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/anyid/anyid/internal/authn"
)

// sheet writes records in one format.
type sheet interface {
	add(r Record) error
	end() error
}

// columns are the header of a table.
var columns = []string{"일시", "구분", "결과", "이용사이트", "인증수단", "제공기관", "인증수준", "접속 주소", "브라우저", "상세"}

var outcomes = map[Outcome]string{Success: "성공", Refused: "거부", Change: "변경"}

// byteOrderMark tells spreadsheets that a table is UTF-8.
const byteOrderMark = "\ufeff"

// csvSheet is a table by RFC 4180 for people who open it in a spreadsheet.
type csvSheet struct {
	to    io.Writer
	table *csv.Writer
	begun bool
}

func newCSVSheet(w io.Writer) *csvSheet {
	table := csv.NewWriter(w)
	table.UseCRLF = true
	return &csvSheet{to: w, table: table}
}

func (c *csvSheet) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	if _, err := io.WriteString(c.to, byteOrderMark); err != nil {
		return err
	}
	return c.table.Write(columns)
}

func (c *csvSheet) add(r Record) error {
	if err := c.begin(); err != nil {
		return err
	}
	var level string
	if r.Level > 0 {
		level = strconv.Itoa(int(r.Level))
	}
	var codes []string
	for _, key := range slices.Sorted(maps.Keys(r.Detail)) {
		codes = append(codes, key+": "+r.Detail[key])
	}
	cells := []string{
		r.At.In(authn.Korea).Format(time.DateTime), entries[r.Action].korean, outcomes[r.Outcome], r.SiteName, r.Method.Korean(), r.Provider,
		level, r.Address, r.Browser, strings.Join(codes, ", "),
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return c.table.Write(cells)
}

func (c *csvSheet) end() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.table.Flush()
	return c.table.Error()
}

// harmless is a cell that no spreadsheet takes for a formula (CWE-1236). A browser names itself, so what is told of it
// is not ours: characters that cannot be seen go, which some programs skip before they look, and an apostrophe goes
// before what begins a formula, in its wide form too.
func harmless(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(cell, "\ufffd"))
	if strings.IndexFunc(strings.TrimSpace(cell), func(r rune) bool { return strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20", r) }) == 0 {
		return "'" + cell
	}
	return cell
}

// jsonSheet is an array of records.
type jsonSheet struct {
	to    io.Writer
	begun bool
}

func newJSONSheet(w io.Writer) *jsonSheet { return &jsonSheet{to: w} }

func (j *jsonSheet) add(r Record) error {
	before := ",\n"
	if !j.begun {
		j.begun, before = true, "[\n"
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("account: encode a record: %w", err)
	}
	_, err = io.WriteString(j.to, before+string(text))
	return err
}

func (j *jsonSheet) end() error {
	after := "\n]\n"
	if !j.begun {
		after = "[]\n"
	}
	_, err := io.WriteString(j.to, after)
	return err
}
