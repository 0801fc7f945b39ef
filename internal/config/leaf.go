package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/method"
)

// leaf is one key that has a value, and where the value stands in a Config.
type leaf struct {
	key   string        // "storage.postgres.dsn"
	typ   reflect.Type  // of the value
	index []int         // of the field, for reflect.Value.FieldByIndex
	entry method.Method // the field is a map, and this is the entry; else empty
}

// leaves lists every key, in the order of the struct.
var leaves = leavesOf(reflect.TypeFor[Config](), "", nil)

func leavesOf(t reflect.Type, prefix string, index []int) []leaf {
	var ls []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		key, at := prefix+f.Tag.Get("key"), append(slices.Clone(index), i)
		switch f.Type.Kind() {
		case reflect.Struct:
			ls = append(ls, leavesOf(f.Type, key+".", at)...)
		case reflect.Map:
			for _, m := range method.All() {
				ls = append(ls, leaf{key: key + "." + string(m), typ: f.Type.Elem(), index: at, entry: m})
			}
		default:
			ls = append(ls, leaf{key: key, typ: f.Type, index: at})
		}
	}
	return ls
}

// variable is the name of the key in the environment.
func (l leaf) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(l.key, ".", "_"))
}

// value returns the value in c.
func (l leaf) value(c *Config) reflect.Value {
	field := reflect.ValueOf(c).Elem().FieldByIndex(l.index)
	if l.entry == "" {
		return field
	}
	if v := field.MapIndex(reflect.ValueOf(l.entry)); v.IsValid() {
		return v
	}
	return reflect.Zero(l.typ)
}

// set writes the value into c.
func (l leaf) set(c *Config, v reflect.Value) {
	field := reflect.ValueOf(c).Elem().FieldByIndex(l.index)
	if l.entry != "" {
		field.SetMapIndex(reflect.ValueOf(l.entry), v)
		return
	}
	field.Set(v)
}

// children lists the keys directly below a section ("" is the top), to tell what would be valid.
func children(section string) []string {
	if section != "" {
		section += "."
	}
	var names []string
	for _, l := range leaves {
		if rest, below := strings.CutPrefix(l.key, section); below {
			name, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// String lists every key with its value in effect, one a line, secrets masked.
func (c *Config) String() string {
	var b strings.Builder
	for _, l := range leaves {
		fmt.Fprintf(&b, "%s: %v\n", l.key, l.value(c))
	}
	return b.String()
}
