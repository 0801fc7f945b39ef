package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/config"
)

// documents are the pages by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			pages[path] = string(text)
		}
	}
	if len(pages) < 8 {
		t.Fatalf("there are %d pages only", len(pages))
	}
	return pages
}

// TestLinks follows the links of the pages to files.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)|src="([^"]+)"`)
	for path, page := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestCommands looks up every command line of anyid that stands in the pages.
func TestCommands(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile("(?m)(?:^|`)anyid ([a-z][^`#\n]*)")
	found := 0
	for path, page := range documents(t) {
		for _, m := range line.FindAllStringSubmatch(page, -1) {
			cmd, rest, err := command().Find(strings.Fields(m[1]))
			if err != nil || !cmd.HasParent() {
				t.Errorf("%s: anyid %s: no such command (%v)", path, m[1], err)
				continue
			}
			found++
			for _, word := range rest {
				name, isFlag := strings.CutPrefix(word, "--")
				if isFlag && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: anyid %s: no such flag", path, m[1])
				}
			}
			if cmd.HasSubCommands() && len(rest) > 0 {
				t.Errorf("%s: anyid %s: no such command", path, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d command lines were found", found)
	}
}

// TestSnippets checks that the configurations in the pages have keys that exist.
func TestSnippets(t *testing.T) {
	t.Parallel()
	found := 0
	for path, page := range documents(t) {
		for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[1], "sites:") || strings.Contains(m[1], "spring.") {
				continue
			}
			file := filepath.Join(t.TempDir(), "anyid.yaml")
			if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			found++
			if _, err := config.Load(config.Options{File: file}); err != nil && regexp.MustCompile("is no key|is no section|is not YAML|stands twice|is a section").MatchString(err.Error()) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d configurations were found", found)
	}
}

// TestNotice keeps the project's notice in step with that of its assets.
func TestNotice(t *testing.T) {
	t.Parallel()
	notice, err := os.ReadFile("../../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	assets, err := os.ReadFile("../../internal/web/assets/NOTICE.txt")
	if err != nil {
		t.Fatal(err)
	}
	folded := func(text []byte) string { return strings.Join(strings.Fields(string(text)), " ") }
	_, material, _ := strings.Cut(string(assets), "\n")
	licences := strings.NewReplacer(" in PretendardGOV-LICENSE", " in internal/web/assets/PretendardGOV-LICENSE", " in Go-LICENSE", " in internal/web/assets/Go-LICENSE")
	want := licences.Replace(folded([]byte(material)))
	if !strings.Contains(folded(notice), want) {
		t.Errorf("NOTICE lacks:\n%s", want)
	}
}
