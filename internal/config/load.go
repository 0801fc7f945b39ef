package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// envPrefix starts every variable of the configuration; the rest is the key, upper case, dots as
// underscores.
const envPrefix = "ANYID_"

// envFile names the file when no flag does; it is the one variable that is no key.
const envFile = envPrefix + "CONFIG"

// Options says where a configuration is read from. The zero value reads nothing but the defaults.
type Options struct {
	File  string         // path of the YAML file; empty: the flag --config, then ANYID_CONFIG, then no file
	Env   []string       // NAME=value, as os.Environ returns it; an empty value counts as not set
	Flags *pflag.FlagSet // parsed, with the flags of AddFlags; nil: none
	Set   []string       // key=value; a list as comma-separated values
}

// AddFlags defines the flags that Load reads: --config, --listen, --issuer and --set key=value.
func AddFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "path of the configuration file (or "+envFile+")")
	flags.String("issuer", "", "issuer URL")
	flags.String("listen", "", "address and port to listen on")
	flags.StringArray("set", nil, "set any key of the configuration, as key=value; repeat for more")
}

// Load reads the configuration: the defaults, the file, the environment, the flags, later ones over
// earlier ones; then it resolves the secrets and validates the whole. The error is a Faults with
// everything that is wrong.
func Load(o Options) (*Config, error) {
	var faults Faults
	v := viper.New()
	c := Default()
	for _, l := range leaves {
		v.SetDefault(l.key, l.value(&c).Interface())
	}

	env := make(map[string]string, len(o.Env))
	for _, entry := range o.Env {
		if name, value, _ := strings.Cut(entry, "="); value != "" {
			env[name] = value
		}
	}
	set, err := fromFlags(&o)
	if err != nil {
		return nil, err
	}
	if o.File == "" {
		o.File = env[envFile]
	}
	if o.File != "" {
		readFile(v, o.File, &faults)
	}
	readEnv(v, env, &faults)
	readSet(v, set, &faults)

	for _, l := range leaves {
		value, err := decode(v, l)
		if err != nil {
			problem := "cannot be read"
			if !isSecret(l.typ) {
				problem = "is " + asWritten(v.Get(l.key))
			}
			faults.add(l.key, problem, validForm(l.typ))
			continue
		}
		l.set(&c, value)
	}
	c.resolve(env, &faults)
	c.validate(&faults)
	if err := faults.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

// fromFlags moves what the flags say into o.File and returns all assignments, in rising precedence.
func fromFlags(o *Options) ([]string, error) {
	if o.Flags == nil {
		return o.Set, nil
	}
	file, err := o.Flags.GetString("config")
	if err != nil {
		return nil, fmt.Errorf("config: read flags: %w", err)
	}
	if o.File == "" {
		o.File = file
	}
	var set []string
	for _, name := range []string{"issuer", "listen"} {
		if f := o.Flags.Lookup(name); f != nil && f.Changed {
			set = append(set, name+"="+f.Value.String())
		}
	}
	more, err := o.Flags.GetStringArray("set")
	if err != nil {
		return nil, fmt.Errorf("config: read flags: %w", err)
	}
	return slices.Concat(set, more, o.Set), nil
}

// readFile reads the YAML file into v and finds every key that is none, with its line.
func readFile(v *viper.Viper, path string, faults *Faults) {
	const valid = "one YAML document of keys and values, as in configs/anyid.example.yaml"
	content, err := os.ReadFile(path)
	if err != nil {
		faults.add("the file "+path, "cannot be read: "+err.Error(), "a readable file")
		return
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return // empty: all defaults
	} else if err != nil {
		faults.add("the file "+path, "is not YAML: "+err.Error(), valid)
		return
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		faults.add("the file "+path, "has a second document", valid)
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.Tag != "!!null" {
			faults.add("the file "+path, "has no keys", valid)
		}
		return
	}
	checkNode(root, "", path, faults)
	var values map[string]any
	err = root.Decode(&values)
	if err == nil {
		err = v.MergeConfigMap(values)
	}
	if err != nil {
		faults.add("the file "+path, "is not YAML: "+err.Error(), valid)
	}
}

// checkNode reports the keys of a mapping that are none, twice there, or a value where a section
// belongs, and takes them out of it.
func checkNode(n *yaml.Node, section, path string, faults *Faults) {
	var kept []*yaml.Node
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		key := name.Value
		if section != "" {
			key = section + "." + name.Value
		}
		at := fmt.Sprintf(" (%s line %d)", path, name.Line)
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		isLeaf := slices.ContainsFunc(leaves, func(l leaf) bool { return l.key == key })
		switch {
		case name.Kind != yaml.ScalarNode || strings.Contains(name.Value, ".") || !isLeaf && len(children(key)) == 0:
			faults.add(key, "is no key"+at, strings.Join(children(section), ", "))
			continue
		case seen[key]:
			faults.add(key, "stands twice"+at, "once")
			continue
		case isLeaf || value.Tag == "!!null":
		case value.Kind != yaml.MappingNode:
			faults.add(key, "is a section, not a value"+at, "below it "+strings.Join(children(key), ", "))
			continue
		default:
			checkNode(value, key, path, faults)
		}
		seen[key] = true
		kept = append(kept, name, value)
	}
	n.Content = kept
}

// readEnv puts the variables over the file and finds those that are no key.
func readEnv(v *viper.Viper, env map[string]string, faults *Faults) {
	known := make(map[string]bool, len(leaves))
	for _, l := range leaves {
		known[l.variable()] = true
		if value, ok := env[l.variable()]; ok {
			v.Set(l.key, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, envPrefix) || name == envFile || known[name] {
			continue
		}
		valid := envPrefix + " and a key, upper case, dots as underscores"
		if strings.Contains(name, "_PORT") || strings.Contains(name, "_SERVICE_HOST") {
			valid += "; if Kubernetes sets it for a service of that name, enableServiceLinks: false on the pod"
		}
		faults.add(name, "is a variable of no key", valid)
	}
}

// readSet puts assignments over everything.
func readSet(v *viper.Viper, set []string, faults *Faults) {
	for _, assignment := range set {
		key, value, found := strings.Cut(assignment, "=")
		if !found || !slices.ContainsFunc(leaves, func(l leaf) bool { return l.key == key }) {
			faults.add("--set "+key, "is no key", "key=value with a key of configs/anyid.example.yaml, such as log.level=debug")
			continue
		}
		v.Set(key, value)
	}
}

// decode returns the leaf's value in its own type. Nothing is converted but text, which is all that
// variables and flags can hold: a number where a text belongs has lost its leading zeros already.
func decode(v *viper.Viper, l leaf) (reflect.Value, error) {
	out := reflect.New(l.typ)
	if v.Get(l.key) == nil {
		return out.Elem(), nil
	}
	err := v.UnmarshalKey(l.key, out.Interface(), func(d *mapstructure.DecoderConfig) {
		d.WeaklyTypedInput = false
		d.DecodeHook = mapstructure.DecodeHookFuncValue(fromText)
	})
	if l.typ.Kind() == reflect.Slice && out.Elem().Len() == 0 {
		return reflect.Zero(l.typ), err // an empty list and none are one value
	}
	return out.Elem(), err
}

// asWritten shows a value as it may stand in the file.
func asWritten(value any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Sprintf("%v", value)
	}
	return strings.TrimSpace(b.String())
}

// errForm says that a value has not the form of its key's type.
var errForm = errors.New("wrong form")

// fromText is the decode hook: it turns a text into the wanted type, and refuses what mapstructure
// would convert silently.
func fromText(from, to reflect.Value) (any, error) {
	if from.Type() == to.Type() {
		return from.Interface(), nil
	}
	if from.Kind() != reflect.String {
		if to.Type() == reflect.TypeFor[time.Duration]() || to.Kind() == reflect.Int && from.Kind() != reflect.Int {
			return nil, errForm
		}
		return from.Interface(), nil
	}
	text := from.String()
	switch {
	case to.Type() == reflect.TypeFor[time.Duration]():
		return time.ParseDuration(text)
	case to.Type() == reflect.TypeFor[netip.Prefix]():
		p, err := netip.ParsePrefix(text)
		if err == nil && p != p.Masked() {
			return nil, errForm
		}
		return p, err
	case to.Kind() == reflect.Int:
		return strconv.Atoi(text)
	case to.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return nil, errForm
		}
		return text == "true", nil
	case to.Kind() == reflect.Slice:
		if text == "" {
			return []string{}, nil
		}
		parts := strings.Split(text, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, nil
	}
	return text, nil
}

// isSecret reports whether values of the type may not be shown.
func isSecret(t reflect.Type) bool {
	return t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[[]Secret]()
}

// validForm says how a value of the type is written.
func validForm(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 30s, 10m or 24h"
	case t == reflect.TypeFor[[]netip.Prefix]():
		return "a list of address ranges such as 10.0.0.0/8 or 2001:db8::/32"
	case t == reflect.TypeFor[[]Secret]():
		return "a list of secrets"
	case t.Kind() == reflect.Slice:
		return "a list of texts"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	}
	return "a text; what looks like a number stands in quotes"
}

// resolve replaces the references among the secrets by what they stand for.
func (c *Config) resolve(env map[string]string, faults *Faults) {
	for _, l := range leaves {
		if !isSecret(l.typ) {
			continue
		}
		secrets := []*Secret{}
		switch at := l.value(c).Addr().Interface().(type) {
		case *Secret:
			secrets = append(secrets, at)
		case *[]Secret:
			for i := range *at {
				secrets = append(secrets, &(*at)[i])
			}
		}
		for _, s := range secrets {
			value, err := s.resolve(env)
			if err != nil {
				faults.add(l.key, "cannot be resolved: "+err.Error(), "the value itself, file:/path, or env:NAME")
			}
			*s = value
		}
	}
}
