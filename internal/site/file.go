package site

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/anyid/anyid/internal/fault"
)

// Document is a site as a sites file describes it.
type Document struct {
	Site `yaml:",inline"`
	// Secret is the client secret: a literal, file:/path or env:NAME. Without one, a confidential site
	// that has none yet is given a new one.
	Secret string `yaml:"client_secret,omitempty"`
}

// minSecret is the least length of a client secret that is brought along: 128 bits in base64url
// (RFC 6749 §10.10).
const minSecret = 22

// ParseFile reads a sites file: YAML with one list, sites. Unknown fields, faulty sites and repeated
// ids are refused, all of them in one fault.Invalid. Secrets that are references are read through the
// environment look-up and the file system.
func ParseFile(text []byte, env func(string) (string, bool)) ([]Document, error) {
	var file struct {
		Sites []Document `yaml:"sites"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "sites file: %w", err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "sites file: has more than one document")
	}
	var faults []string
	seen := make(map[string]bool, len(file.Sites))
	for i := range file.Sites {
		d := &file.Sites[i]
		d.Site = d.WithDefaults()
		if err := d.Validate(); err != nil {
			faults = append(faults, err.Error())
		}
		if seen[d.ID] {
			faults = append(faults, fmt.Sprintf("site %q: stands twice", d.ID))
		}
		seen[d.ID] = true
		if err := d.resolveSecret(env); err != nil {
			faults = append(faults, fmt.Sprintf("site %q: client_secret: %s", d.ID, err))
		}
	}
	if len(faults) > 0 {
		return nil, fault.New(fault.Invalid, "%s", strings.Join(faults, "\n"))
	}
	return file.Sites, nil
}

// resolveSecret replaces a reference by the secret.
func (d *Document) resolveSecret(env func(string) (string, bool)) error {
	if d.Secret == "" {
		return nil
	}
	if d.AuthMethod == Public {
		return errors.New("a public client has none")
	}
	if name, ok := strings.CutPrefix(d.Secret, "env:"); ok {
		value, set := env(name)
		if !set {
			return fmt.Errorf("the variable %s is not set", name)
		}
		d.Secret = value
	} else if path, ok := strings.CutPrefix(d.Secret, "file:"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		d.Secret = strings.TrimSpace(string(text))
	}
	if len(d.Secret) < minSecret {
		return fmt.Errorf("has %d characters, want at least %d", len(d.Secret), minSecret)
	}
	return nil
}

// Format writes a site as a sites file that ParseFile reads back.
func Format(s Site) (string, error) {
	text, err := yaml.Marshal(struct {
		Sites []Document `yaml:"sites"`
	}{[]Document{{Site: s}}})
	if err != nil {
		return "", fmt.Errorf("site: format %q: %w", s.ID, err)
	}
	return string(text), nil
}
