package method

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/linking-matrix.md")

const (
	matrixPage = "../../docs/linking-matrix.md"
	matrixHead = `# The linking matrix (연동 매트릭스)

What happens when a registered person proves themselves by a method that is not theirs yet. Rows: the method of
their first registration. Columns: the method used now.

- **own**: the method is the person's already.
- **auto** (사용자 등록 불필요): linked at once, if the proof brings the same linking information (CI) and nothing
  else speaks against it. Name and birth date link nobody.
- **register** (사용자 등록 필요): the citizen agrees to the registration of the method first; then it is theirs.

A proof whose credential belongs to one person and whose CI belongs to another is a conflict under every
rule: nothing is linked or merged. Every link records the rule and the version of this matrix that allowed it,
and the proof.

This is the matrix that an installation starts with (version 1). It lives in the database, and a change is a new
version with an audit event. The table is written from ` + "`method.DefaultLinkPolicy`" + `:
` + "`go test ./internal/method -update`" + `.

`
)

// TestMatrixPage keeps docs/linking-matrix.md what the code says.
func TestMatrixPage(t *testing.T) {
	page := matrixHead + DefaultLinkPolicy().Markdown()
	if *update {
		if err := os.WriteFile(matrixPage, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(matrixPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(stored) != page {
		t.Error("docs/linking-matrix.md is not the matrix of the code: go test ./internal/method -update")
	}
}

// TestDefaultLinkPolicy is the table of the Q-Net guide's FAQ, row by row.
func TestDefaultLinkPolicy(t *testing.T) {
	t.Parallel()
	table := map[Method][]Rule{ // in the order of All
		MobileID:      {Own, Auto, Register, Register},
		Simple:        {Auto, Own, Register, Register},
		JointCert:     {Auto, Auto, Own, Register},
		FinancialCert: {Auto, Auto, Register, Own},
	}
	p := DefaultLinkPolicy()
	if p.Version != 1 || len(p.Cells()) != 16 {
		t.Errorf("version %d with %d cells", p.Version, len(p.Cells()))
	}
	for first, rules := range table {
		for i, now := range All() {
			if got := p.Rule(first, now); got != rules[i] {
				t.Errorf("%s × %s is %s, want %s", first, now, got, rules[i])
			}
		}
	}
	for _, unknown := range []Method{"", "phone"} {
		if p.Rule(unknown, Simple) != Register || p.Rule(Simple, unknown) != Register || (LinkPolicy{}).Rule(Simple, MobileID) != Register {
			t.Error("what is no cell must ask the citizen")
		}
	}
	again, err := NewLinkPolicy(1, p.Cells())
	if err != nil || !slices.Equal(again.Cells(), p.Cells()) {
		t.Errorf("the cells make another policy: %v", err)
	}
}

func TestNewLinkPolicyRefuses(t *testing.T) {
	t.Parallel()
	cells := DefaultLinkPolicy().Cells()
	set := func(i int, c Cell) []Cell {
		changed := slices.Clone(cells)
		changed[i] = c
		return changed
	}
	for name, bad := range map[string][]Cell{
		"nothing":                nil,
		"missing":                cells[:15],
		"twice":                  append(slices.Clone(cells), cells[0]),
		"unknown rule":           set(1, Cell{MobileID, Simple, "always"}),
		"no rule":                set(1, Cell{MobileID, Simple, ""}),
		"own off the diagonal":   set(1, Cell{MobileID, Simple, Own}),
		"other on the diagonal":  set(0, Cell{MobileID, MobileID, Auto}),
		"unknown method":         set(1, Cell{MobileID, "phone", Auto}),
		"unknown method besides": append(slices.Clone(cells), Cell{"phone", MobileID, Auto}),
	} {
		if _, err := NewLinkPolicy(2, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for _, m := range All() {
		if got, err := Parse(string(m)); err != nil || got != m {
			t.Errorf("Parse(%q) = %q, %v", m, got, err)
		}
		names[m.Korean()], names[m.English()] = true, true
	}
	if len(names) != 8 {
		t.Errorf("names %v", names)
	}
	for _, bad := range []string{"", "Simple", "simple ", "phone"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) is accepted", bad)
		}
	}
	for _, m := range Verifying() {
		if m.Korean() == string(m) || m.English() == string(m) {
			t.Errorf("%s has no name", m)
		}
	}
	if Method("passkey").Korean() != "passkey" || Method("passkey").English() != "passkey" {
		t.Error("an unknown method has a name")
	}
}

func TestACR(t *testing.T) {
	t.Parallel()
	for _, acr := range ACRs() {
		if l, ok := ParseACR(acr); !ok || l.ACR() != acr {
			t.Errorf("ParseACR(%q) = %d, %t", acr, l, ok)
		}
	}
	for m, l := range DefaultLevels() {
		if !slices.Contains(ACRs(), l.ACR()) {
			t.Errorf("%s has level %d", m, l)
		}
	}
	for _, bad := range []string{"", "1", "urn:anyid:acr:", "urn:anyid:acr:0", "urn:anyid:acr:4", "urn:anyid:acr:01", "urn:anyid:acr:1 ", "URN:anyid:acr:1"} {
		if l, ok := ParseACR(bad); ok {
			t.Errorf("ParseACR(%q) = %d", bad, l)
		}
	}
}

func TestMethodACR(t *testing.T) {
	t.Parallel()
	if list := ACRsOfMethods(); len(list) != len(All()) || list[0] != "urn:anyid:method:mobile_id" {
		t.Errorf("%v", list)
	}
	for _, m := range All() {
		if parsed, ok := ParseMethodACR(m.ACR()); !ok || parsed != m {
			t.Errorf("%s: %s, %t", m.ACR(), parsed, ok)
		}
		if _, ok := ParseACR(m.ACR()); ok {
			t.Errorf("%s is a level", m.ACR())
		}
	}
	for _, bad := range []string{"", "simple", "urn:anyid:method:", "urn:anyid:method:phone", "urn:anyid:method:SIMPLE", "urn:anyid:acr:2"} {
		if m, ok := ParseMethodACR(bad); ok {
			t.Errorf("%q is %s", bad, m)
		}
	}
}

// FuzzParseACR: a value names a level or a method, or neither, and is written as it was read.
func FuzzParseACR(f *testing.F) {
	for _, seed := range append(append(ACRs(), ACRsOfMethods()...), "", "urn:anyid:acr:0", "urn:anyid:acr:02", "urn:anyid:method:phone", "urn:anyid:method:simple ", "URN:ANYID:ACR:1", "urn:anyid:acr:10", strings.Repeat("1", 100)) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, acr string) {
		l, level := ParseACR(acr)
		m, named := ParseMethodACR(acr)
		if level && (named || l.ACR() != acr) || named && m.ACR() != acr {
			t.Errorf("%q is level %d, %t, and method %s, %t", acr, l, level, m, named)
		}
	})
}
