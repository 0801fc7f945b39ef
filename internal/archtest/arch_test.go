package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const pagePath = "docs/architecture.md"

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath  string
	Name        string
	Dir         string
	GoFiles     []string
	TestGoFiles []string
	Imports     []string
	Error       *struct{ Err string }
}

// code is the module as it lies on the disk.
type code struct {
	root     string // folder of go.mod
	module   string // path of the module
	requires []string
	packages []pkg
	graph    map[string][]string // package to our packages that it imports, by short name
	outside  map[string][]string // package to import paths of other modules
}

// short is the name of our package on the page: relative to internal, or to the module.
func (c *code) short(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, c.module+"/"), "internal/")
}

// load reads the module once for all tests.
var load = sync.OnceValues(func() (*code, error) {
	var module struct{ Path, Dir string }
	if err := golist(".", &module, "-m", "-json"); err != nil {
		return nil, err
	}
	c := &code{root: module.Dir, module: module.Path, graph: map[string][]string{}, outside: map[string][]string{}}
	gomod, err := os.ReadFile(filepath.Join(c.root, "go.mod"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(gomod)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.HasPrefix(fields[1], "v") {
			c.requires = append(c.requires, fields[0])
		}
	}
	if err := golist(c.root, &c.packages, "-e", "-json=ImportPath,Name,Dir,GoFiles,TestGoFiles,Imports,Error", "./..."); err != nil {
		return nil, err
	}
	for _, p := range c.packages {
		name := c.short(p.ImportPath)
		c.graph[name] = nil
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			switch {
			case strings.HasPrefix(path, c.module+"/"):
				c.graph[name] = append(c.graph[name], c.short(path))
			case strings.Contains(first, "."):
				c.outside[name] = append(c.outside[name], path)
			}
		}
		slices.Sort(c.graph[name])
	}
	return c, nil
})

// golist decodes what `go list` prints: one JSON value, or a stream of them into a slice of packages.
func golist(dir string, into any, args ...string) error {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = dir
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go list %s: %w\n%s", strings.Join(args, " "), err, &problems)
	}
	decoder := json.NewDecoder(&out)
	list, many := into.(*[]pkg)
	if !many {
		return decoder.Decode(into)
	}
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		*list = append(*list, p)
	}
}

func loaded(t *testing.T) *code {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rows(t *testing.T, c *code, name string) []row {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(c.root, filepath.FromSlash(pagePath)))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := parseBlock(string(page), name)
	if err != nil {
		t.Fatalf("%s: %v", pagePath, err)
	}
	return rows
}

// TestArrows holds the block imports against the code. With -v, or when it fails, it prints the block
// that the code needs.
func TestArrows(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for _, fault := range checkImports(rows(t, c, "imports"), c.graph) {
		t.Errorf("%s: %s", pagePath, fault)
	}
	t.Logf("the block that fits the code:\n%s", block("imports", neededImports(c.graph)))
}

// TestDoors holds the block doors against the code. With -v, or when it fails, it prints the block that
// the code needs.
func TestDoors(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for _, fault := range checkDoors(rows(t, c, "doors"), c.outside) {
		t.Errorf("%s: %s", pagePath, fault)
	}
	t.Logf("the block that fits the code:\n%s", block("doors", neededDoors(c.outside, c.requires)))
}

// reach returns all of our packages that the package imports, directly or not, each with the way there.
func reach(c *code, from string) map[string]string {
	ways := map[string]string{}
	var walk func(name, way string)
	walk = func(name, way string) {
		for _, to := range c.graph[name] {
			if _, seen := ways[to]; !seen {
				ways[to] = way + " → " + to
				walk(to, ways[to])
			}
		}
	}
	walk(from, from)
	return ways
}

// TestSimulatorsKnowNoAdapter: shared code would make both sides of a protocol wrong together.
func TestSimulatorsKnowNoAdapter(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for name := range c.graph {
		if name != "sim" && !strings.HasPrefix(name, "sim/") {
			continue
		}
		for to, way := range reach(c, name) {
			if to == "authn" || strings.HasPrefix(to, "authn/") {
				t.Errorf("a simulator reaches an adapter: %s; let them share the public wire format only, each with its own code", way)
			}
		}
	}
}

// TestDemoSitesAreStrangers: a site that uses the service's code proves nothing about the protocol.
func TestDemoSitesAreStrangers(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for name, imports := range c.graph {
		if !strings.HasPrefix(name, "demo/") {
			continue
		}
		for _, to := range imports {
			if !strings.HasPrefix(to, "demo/") {
				t.Errorf("the demo package %s imports %s; what is below demo may import its like and public libraries only", name, to)
			}
		}
	}
}

// TestPackageComments: each package has one map, in one file.
func TestPackageComments(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for _, p := range c.packages {
		if p.Error != nil {
			t.Errorf("%s: %s", c.short(p.ImportPath), p.Error.Err)
			continue
		}
		var in []string
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles) {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Error(err)
				continue
			}
			doc := file.Doc.Text()
			if doc == "" {
				continue
			}
			in = append(in, name)
			want := "Package " + p.Name + " "
			if p.Name == "main" {
				want = "Command " + filepath.Base(p.Dir) + " "
			}
			if !strings.HasPrefix(doc, want) {
				t.Errorf("%s: the comment of the package starts with %.30q; start it with %q", filepath.Join(p.Dir, name), doc, want)
			}
		}
		switch {
		case len(in) == 0:
			t.Errorf("%s has no package comment; write one, above the package clause of the file that leads the reader in", c.short(p.ImportPath))
		case len(in) > 1:
			t.Errorf("%s has package comments in %s; keep one", c.short(p.ImportPath), strings.Join(in, ", "))
		}
	}
}

// TestFuzzTestsHaveSeeds: without a seed, a fuzz test does nothing in an ordinary test run, and starts
// from nothing when fuzzing.
func TestFuzzTestsHaveSeeds(t *testing.T) {
	t.Parallel()
	c := loaded(t)
	for _, p := range c.packages {
		files, err := filepath.Glob(filepath.Join(p.Dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, name := range unseeded(file) {
				corpus, err := filepath.Glob(filepath.Join(p.Dir, "testdata", "fuzz", name, "*"))
				if err != nil {
					t.Fatal(err)
				}
				if len(corpus) == 0 {
					t.Errorf("%s: %s has no seed; call f.Add with an input that is accepted and one that is not, or put a corpus into testdata/fuzz/%[2]s", path, name)
				}
			}
		}
	}
}

// unseeded lists the file's fuzz tests that add no value.
func unseeded(file *ast.File) []string {
	var names []string
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
			continue
		}
		params := fn.Type.Params.List
		if len(params) != 1 || len(params[0].Names) != 1 {
			continue
		}
		star, ok := params[0].Type.(*ast.StarExpr)
		if !ok {
			continue
		}
		if sel, ok := star.X.(*ast.SelectorExpr); !ok || sel.Sel.Name != "F" {
			continue
		}
		seeded := false
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Add" {
				return true
			}
			if on, ok := sel.X.(*ast.Ident); ok && on.Name == params[0].Names[0].Name {
				seeded = true
			}
			return true
		})
		if !seeded {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

func TestUnseeded(t *testing.T) {
	t.Parallel()
	const source = `package x
	func FuzzNone(f *testing.F)   { f.Fuzz(func(t *testing.T, s string) {}) }
	func FuzzEmpty(f *testing.F)  { f.Add(); f.Fuzz(nil) }
	func FuzzOther(f *testing.F)  { wg.Add(1) }
	func FuzzSeeded(g *testing.F) { for _, s := range []string{"a"} { g.Add(s) } }
	func FuzzHelper(t *testing.T) {}
	func TestNoFuzz(f *testing.F) {}
`
	file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := unseeded(file), []string{"FuzzNone", "FuzzEmpty", "FuzzOther"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
