package config

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const exampleFile = "../../configs/anyid.example.yaml"

var update = flag.Bool("update", false, "write "+exampleFile+" from the comments and the defaults")

const exampleHead = `# Any-ID: every key with its default. What is left out keeps the default.
#
# Each key can be set by a variable too, over this file: ANYID_ and the key in upper case with dots as
# underscores (ANYID_STORAGE_POSTGRES_DSN), a list with commas, an empty variable counting as not set;
# and by --set key=value over both.
# "anyid config check" reads all three and lists everything that is wrong.
# Durations are written as 30s, 10m or 24h.
`

// exampleSecret is a key of the right length that the service refuses.
func exampleSecret(name string) string {
	key := exampleStart + name + strings.Repeat("-", KeySize-len(exampleStart)-len(name))
	return base64.StdEncoding.EncodeToString([]byte(key))
}

// example is what the example file must be: the struct's comments, the defaults, and secrets that are none.
func example(t *testing.T) []byte {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{} // by "Type.Field"
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if st, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range st.Fields.List {
				comments[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
			}
		}
		return false
	})
	c := Default()
	c.Secrets = Secrets{
		Sealing: []Secret{Secret("example:" + exampleSecret("sealing"))},
		CIIndex: Secret(exampleSecret("ci-index")),
		Subject: Secret(exampleSecret("subject")),
	}
	var b bytes.Buffer
	b.WriteString(exampleHead)
	writeSection(t, &b, comments, reflect.ValueOf(c), "")
	return b.Bytes()
}

func writeSection(t *testing.T, b *bytes.Buffer, comments map[string]string, v reflect.Value, indent string) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("key")
		doc := comments[v.Type().Name()+"."+f.Name]
		if indent == "" {
			b.WriteString("\n")
		}
		for line := range strings.Lines(doc) {
			fmt.Fprintf(b, "%s# %s\n", indent, strings.TrimSuffix(line, "\n"))
		}
		switch f.Type.Kind() {
		case reflect.Struct:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			writeSection(t, b, comments, v.Field(i), indent+"  ")
			continue
		case reflect.Map:
			fmt.Fprintf(b, "%s%s:\n", indent, key)
			for _, l := range leaves {
				if name, below := strings.CutPrefix(l.key, key+"."); below {
					fmt.Fprintf(b, "%s  %s: %v\n", indent, name, v.Field(i).MapIndex(reflect.ValueOf(l.entry)))
				}
			}
			continue
		}
		if doc == "" {
			t.Errorf("%s.%s has no comment", v.Type().Name(), f.Name)
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, key, scalar(v.Field(i)))
	}
}

// scalar writes one value, lists in one line.
func scalar(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		s := x.String() // 10m0s, 10h0m0s
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return s
	case Secret:
		return fmt.Sprintf("%q", string(x))
	case string:
		return fmt.Sprintf("%q", x)
	}
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = scalar(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v)
}

func TestExampleFileIsWhatTheCodeSays(t *testing.T) {
	t.Parallel()
	want := example(t)
	if *update {
		if err := os.WriteFile(exampleFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from the comments and defaults in config.go; write it again:\n\tgo test ./internal/config -run TestExample -update", exampleFile)
	}
}

func TestExampleFileHasEveryKey(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(content, &values); err != nil {
		t.Fatal(err)
	}
	for _, l := range leaves {
		var at any = values
		for name := range strings.SplitSeq(l.key, ".") {
			section, _ := at.(map[string]any)
			at = section[name]
		}
		if at == nil {
			t.Errorf("%s is missing", l.key)
		}
	}
}

func TestExampleSecretsAreRefusedAndNothingElse(t *testing.T) {
	t.Parallel()
	_, err := Load(Options{File: exampleFile})
	faults := faultsOf(t, err)
	var keys []string
	for _, f := range faults {
		keys = append(keys, f.Key)
		if !strings.Contains(f.Problem, "the one of the example file") {
			t.Errorf("unexpected fault: %v", f)
		}
	}
	if want := []string{"secrets.sealing", "secrets.ci_index", "secrets.subject"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("faults at %v, want %v", keys, want)
	}
}

func TestExampleFileEqualsTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{File: exampleFile, Set: goodSecrets()})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Secrets = c.Secrets
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("the example file loads as\n%+v\nwant the defaults\n%+v", *c, want)
	}
}
