package method

import (
	"fmt"
	"strings"
)

// Rule says what happens when a registered person proves themselves with a method that is not linked
// to them yet.
type Rule string

// The rules of a cell. Own stands on the diagonal: a person's first method is theirs already.
const (
	Own      Rule = "own"
	Auto     Rule = "auto"     // 사용자 등록 불필요: linked by itself, on an equal CI
	Register Rule = "register" // 사용자 등록 필요: the citizen registers the method first
)

// LinkPolicy is the linking matrix (연동 매트릭스): the rule for the method of a person's first
// registration and the method used now. The zero value has no cells; a valid policy has all of them.
type LinkPolicy struct {
	Version int // counts up with each change by an administrator, from 1
	cells   map[[2]Method]Rule
}

// Cell is one entry of the matrix.
type Cell struct {
	First, Now Method
	Rule       Rule
}

// DefaultLinkPolicy is the matrix that a new installation starts with, after the Q-Net guide's FAQ.
func DefaultLinkPolicy() LinkPolicy {
	p, err := NewLinkPolicy(1, []Cell{
		{MobileID, MobileID, Own}, {MobileID, Simple, Auto}, {MobileID, JointCert, Register}, {MobileID, FinancialCert, Register},
		{Simple, MobileID, Auto}, {Simple, Simple, Own}, {Simple, JointCert, Register}, {Simple, FinancialCert, Register},
		{JointCert, MobileID, Auto}, {JointCert, Simple, Auto}, {JointCert, JointCert, Own}, {JointCert, FinancialCert, Register},
		{FinancialCert, MobileID, Auto}, {FinancialCert, Simple, Auto}, {FinancialCert, JointCert, Register}, {FinancialCert, FinancialCert, Own},
	})
	if err != nil {
		panic(err) // the literal above is complete, and a test walks it
	}
	return p
}

// NewLinkPolicy checks that every cell is there once, that the diagonal and only the diagonal is Own,
// and returns the policy.
func NewLinkPolicy(version int, cells []Cell) (LinkPolicy, error) {
	p := LinkPolicy{Version: version, cells: make(map[[2]Method]Rule, len(cells))}
	for _, c := range cells {
		key := [2]Method{c.First, c.Now}
		if _, twice := p.cells[key]; twice {
			return LinkPolicy{}, fmt.Errorf("method: cell %s × %s stands twice", c.First, c.Now)
		}
		switch c.Rule {
		case Own, Auto, Register:
		default:
			return LinkPolicy{}, fmt.Errorf("method: cell %s × %s: unknown rule %q", c.First, c.Now, c.Rule)
		}
		if (c.Rule == Own) != (c.First == c.Now) {
			return LinkPolicy{}, fmt.Errorf("method: cell %s × %s cannot be %q", c.First, c.Now, c.Rule)
		}
		p.cells[key] = c.Rule
	}
	for _, first := range All() {
		for _, now := range All() {
			if _, ok := p.cells[[2]Method{first, now}]; !ok {
				return LinkPolicy{}, fmt.Errorf("method: cell %s × %s is missing", first, now)
			}
		}
	}
	if want := len(All()) * len(All()); len(p.cells) != want {
		return LinkPolicy{}, fmt.Errorf("method: %d cells, want %d", len(p.cells), want)
	}
	return p, nil
}

// Rule returns the cell for the method first registered with and the method used now. A pair that is
// no cell yields Register, the rule that asks the citizen.
func (p LinkPolicy) Rule(first, now Method) Rule {
	if r, ok := p.cells[[2]Method{first, now}]; ok {
		return r
	}
	return Register
}

// Cells lists the matrix row by row.
func (p LinkPolicy) Cells() []Cell {
	cells := make([]Cell, 0, len(p.cells))
	for _, first := range All() {
		for _, now := range All() {
			cells = append(cells, Cell{first, now, p.Rule(first, now)})
		}
	}
	return cells
}

// Markdown renders the matrix as the table in docs/linking-matrix.md.
func (p LinkPolicy) Markdown() string {
	var b strings.Builder
	b.WriteString("| first \\ now |")
	for _, now := range All() {
		fmt.Fprintf(&b, " %s |", now)
	}
	b.WriteString("\n|---|")
	b.WriteString(strings.Repeat("---|", len(All())))
	for _, first := range All() {
		fmt.Fprintf(&b, "\n| **%s** |", first)
		for _, now := range All() {
			fmt.Fprintf(&b, " %s |", p.Rule(first, now))
		}
	}
	b.WriteString("\n")
	return b.String()
}
