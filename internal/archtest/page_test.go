// Package archtest keeps docs/architecture.md true: it reads the page's table of imports and of doors
// and compares them with the code. It also keeps a few habits that no linter knows. It has tests only.
package archtest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// row is one line of a block: a name, a colon, and what stands behind it.
type row struct {
	name string
	list []string
}

// parseBlock returns the rows of the page's fenced block of that name. Empty lines and lines that
// start with # are for the reader.
func parseBlock(page, name string) ([]row, error) {
	_, rest, found := strings.Cut(page, "\n```"+name+"\n")
	block, _, closed := strings.Cut("\n"+rest, "\n```")
	if !found || !closed {
		return nil, fmt.Errorf("the page has no block ```%s", name)
	}
	var rows []row
	for line := range strings.SplitSeq(block, "\n") {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		head, list, colon := strings.Cut(line, ":")
		head = strings.TrimSpace(head)
		if !colon || head == "" || strings.Contains(head, " ") {
			return nil, fmt.Errorf("block %s: %q is not `name : name name`", name, line)
		}
		if slices.ContainsFunc(rows, func(r row) bool { return r.name == head }) {
			return nil, fmt.Errorf("block %s: %s stands twice", name, head)
		}
		rows = append(rows, row{head, strings.Fields(list)})
	}
	return rows, nil
}

// checkImports compares the drawn rows with the graph (package to what it imports of ours) and says
// what to change where.
func checkImports(rows []row, graph map[string][]string) []string {
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	position := map[string]int{}
	for i, r := range rows {
		position[r.name] = i
		if _, exists := graph[r.name]; !exists {
			fault("%s: there is no such package; take its line out of the block imports", r.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(graph)) {
		at, drawn := position[name]
		if !drawn {
			fault("%s: the package is not on the page; add the line `%s` to the block imports, above what it imports",
				name, format(row{name, graph[name]}, 0))
			continue
		}
		for _, to := range graph[name] {
			if !slices.Contains(rows[at].list, to) {
				fault("%s imports %s, which is not drawn; add %[2]s to the line of %[1]s, or do without the import", name, to)
			}
		}
		for i, to := range rows[at].list {
			below, known := position[to]
			switch {
			case slices.Contains(rows[at].list[:i], to):
				fault("%s : %s is drawn twice", name, to)
			case !slices.Contains(graph[name], to):
				fault("%s : %s is drawn but not imported; take %[2]s off the line of %[1]s", name, to)
			case known && below <= at:
				fault("%s : %s points upward; move the line of %[1]s above the line of %[2]s, or turn the dependency round", name, to)
			}
		}
	}
	return faults
}

// checkDoors compares the drawn doors with what the packages import from outside (package to import
// paths).
func checkDoors(rows []row, outside map[string][]string) []string {
	var faults []string
	used := map[string]bool{} // "module package"
	for _, name := range slices.Sorted(maps.Keys(outside)) {
		for _, path := range outside[name] {
			door, found := doorOf(rows, path)
			switch {
			case !found:
				faults = append(faults, fmt.Sprintf("%s imports %s, which has no door; add a line `module : %[1]s` to the block doors, or do without it", name, path))
			case !slices.Contains(door.list, name):
				faults = append(faults, fmt.Sprintf("%s imports %s, whose door is %s; call that package, or add %[1]s to the line of %[4]s in the block doors",
					name, path, strings.Join(door.list, ", "), door.name))
			}
			used[door.name+" "+name] = true
		}
	}
	for _, r := range rows {
		if len(r.list) == 0 {
			faults = append(faults, fmt.Sprintf("%s has no door; take its line out of the block doors", r.name))
		}
		for _, name := range r.list {
			if !used[r.name+" "+name] {
				faults = append(faults, fmt.Sprintf("%s : %s is a door that nobody walks through; take %[2]s off the line of %[1]s in the block doors", r.name, name))
			}
		}
	}
	return faults
}

// doorOf returns the row with the longest module path that contains the import path.
func doorOf(rows []row, path string) (best row, found bool) {
	for _, r := range rows {
		if (path == r.name || strings.HasPrefix(path, r.name+"/")) && len(r.name) > len(best.name) {
			best, found = r, true
		}
	}
	return best, found
}

// neededImports draws the graph as the block must have it: whoever imports stands above.
func neededImports(graph map[string][]string) []row {
	heights := map[string]int{}
	var height func(string) int
	height = func(name string) int {
		if h, known := heights[name]; known {
			return h
		}
		h := 0
		for _, to := range graph[name] {
			h = max(h, 1+height(to))
		}
		heights[name] = h
		return h
	}
	names := slices.SortedFunc(maps.Keys(graph), func(a, b string) int {
		if height(a) != height(b) {
			return height(b) - height(a)
		}
		return strings.Compare(a, b)
	})
	rows := make([]row, len(names))
	for i, name := range names {
		rows[i] = row{name, graph[name]}
	}
	return rows
}

// neededDoors draws what is imported from outside, by module.
func neededDoors(outside map[string][]string, modules []string) []row {
	candidates := make([]row, len(modules))
	for i, m := range modules {
		candidates[i] = row{name: m}
	}
	doors := map[string][]string{}
	for name, paths := range outside {
		for _, path := range paths {
			module, found := doorOf(candidates, path)
			if !found {
				module.name = path
			}
			if !slices.Contains(doors[module.name], name) {
				doors[module.name] = append(doors[module.name], name)
			}
		}
	}
	var rows []row
	for _, module := range slices.Sorted(maps.Keys(doors)) {
		slices.Sort(doors[module])
		rows = append(rows, row{module, doors[module]})
	}
	return rows
}

// format writes a row, the name padded to width.
func format(r row, width int) string {
	return strings.TrimRight(fmt.Sprintf("%-*s : %s", width, r.name, strings.Join(r.list, " ")), " ")
}

// block writes rows as the page's fenced block.
func block(name string, rows []row) string {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.name))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "```%s\n", name)
	for _, r := range rows {
		b.WriteString(format(r, width) + "\n")
	}
	return b.String() + "```"
}

func TestParseBlock(t *testing.T) {
	t.Parallel()
	page := "# Page\n\n```imports\n# top\ncmd/a : b c/d\n\nb     : c/d\nc/d   :\n```\n\n```doors\nexample.org/x : b\n```\n"
	rows, err := parseBlock(page, "imports")
	want := []row{{"cmd/a", []string{"b", "c/d"}}, {"b", []string{"c/d"}}, {"c/d", nil}}
	if err != nil || !slices.EqualFunc(rows, want, func(a, b row) bool { return a.name == b.name && slices.Equal(a.list, b.list) }) {
		t.Errorf("got %v, %v", rows, err)
	}
	again, err := parseBlock("\n"+block("imports", rows)+"\n", "imports")
	if err != nil || len(again) != len(rows) {
		t.Errorf("what is written does not parse: %v, %v", again, err)
	}
	if rows, err := parseBlock("\n```imports\n```\n", "imports"); err != nil || len(rows) != 0 {
		t.Errorf("an empty block: %v, %v", rows, err)
	}
	for _, bad := range []string{"", "\n```imports\na : b\n", "\n```imports\na b\n```", "\n```imports\na b : c\n```", "\n```imports\na :\na :\n```"} {
		if rows, err := parseBlock(bad, "imports"); err == nil {
			t.Errorf("%q parses as %v", bad, rows)
		}
	}
}

func TestCheckImports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		rows  []row
		graph map[string][]string
		want  string // in the only fault; empty: none
	}{
		{"true", []row{{"a", []string{"b"}}, {"b", nil}}, map[string][]string{"a": {"b"}, "b": nil}, ""},
		{"not drawn", []row{{"a", nil}, {"b", nil}}, map[string][]string{"a": {"b"}, "b": nil}, "a imports b, which is not drawn"},
		{"unused", []row{{"a", []string{"b"}}, {"b", nil}}, map[string][]string{"a": nil, "b": nil}, "drawn but not imported"},
		{"upward", []row{{"b", nil}, {"a", []string{"b"}}}, map[string][]string{"a": {"b"}, "b": nil}, "points upward"},
		{"twice", []row{{"a", []string{"b", "b"}}, {"b", nil}}, map[string][]string{"a": {"b"}, "b": nil}, "drawn twice"},
		{"package not on the page", []row{{"b", nil}}, map[string][]string{"a": {"b"}, "b": nil}, "add the line `a : b`"},
		{"line without package", []row{{"a", nil}, {"b", nil}}, map[string][]string{"a": nil}, "b: there is no such package"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			faults := checkImports(tt.rows, tt.graph)
			if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)) {
				t.Errorf("got %q, want %q", faults, tt.want)
			}
			if faults := checkImports(neededImports(tt.graph), tt.graph); len(faults) > 0 {
				t.Errorf("the block that is proposed has faults: %q", faults)
			}
		})
	}
}

func TestCheckDoors(t *testing.T) {
	t.Parallel()
	doors := []row{{"example.org/x", []string{"a"}}, {"example.org/x/inner", []string{"b"}}}
	for _, tt := range []struct {
		name    string
		outside map[string][]string
		want    string
	}{
		{"true", map[string][]string{"a": {"example.org/x", "example.org/x/pkg"}, "b": {"example.org/x/inner/pkg"}}, ""},
		{"no door", map[string][]string{"a": {"example.org/x", "example.org/xy"}, "b": {"example.org/x/inner"}}, "a imports example.org/xy, which has no door"},
		{"not the door", map[string][]string{"a": {"example.org/x"}, "b": {"example.org/x/inner", "example.org/x"}}, "b imports example.org/x, whose door is a"},
		{"unused", map[string][]string{"a": {"example.org/x"}}, "example.org/x/inner : b is a door that nobody walks through"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			faults := checkDoors(doors, tt.outside)
			if tt.want == "" && len(faults) > 0 || tt.want != "" && (len(faults) != 1 || !strings.Contains(faults[0], tt.want)) {
				t.Errorf("got %q, want %q", faults, tt.want)
			}
			if faults := checkDoors(neededDoors(tt.outside, []string{"example.org/x", "example.org/x/inner"}), tt.outside); len(faults) > 0 {
				t.Errorf("the block that is proposed has faults: %q", faults)
			}
		})
	}
}
