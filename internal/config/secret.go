package config

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Secret is a text that is not to be seen: printed, logged or marshalled it is "[secret]", or empty
// when there is none. string(s) is the value, as Load has resolved it.
type Secret string

const masked = "[secret]"

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format hides the value from every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText hides the value from encoders: JSON, YAML, slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSecretFile bounds what file:/path reads; the longest secret is a connection string.
const maxSecretFile = 64 << 10

// resolve returns what the configured text stands for: the content of a file without its final line
// break, a variable's value, or the text itself. Its errors never hold the secret.
func (s Secret) resolve(env map[string]string) (Secret, error) {
	if path, ok := strings.CutPrefix(string(s), "file:"); ok {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }() // only read
		content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
		switch {
		case err != nil:
			return "", err
		case len(content) > maxSecretFile:
			return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecretFile)
		}
		content = bytes.TrimRight(content, "\r\n")
		if len(content) == 0 {
			return "", fmt.Errorf("%s is empty", path)
		}
		return Secret(content), nil
	}
	if name, ok := strings.CutPrefix(string(s), "env:"); ok {
		value := env[name]
		if value == "" {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		return Secret(value), nil
	}
	return s, nil
}

// KeySize is the length in bytes of every key in Secrets.
const KeySize = 32

// SealingKey is one decoded entry of Secrets.Sealing.
type SealingKey struct {
	ID  string
	Key []byte // KeySize bytes
}

// SealingKeys decodes Sealing, in its order. Errors name no value.
func (s Secrets) SealingKeys() ([]SealingKey, error) {
	keys := make([]SealingKey, 0, len(s.Sealing))
	for _, entry := range s.Sealing {
		id, encoded, found := strings.Cut(string(entry), ":")
		if !found || id == "" || len(id) > 32 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, errors.New("an entry has no key id")
		}
		for _, k := range keys {
			if k.ID == id {
				return nil, fmt.Errorf("the key id %q stands twice", id)
			}
		}
		key, err := decodeKey(Secret(encoded))
		if err != nil {
			return nil, fmt.Errorf("the key %q %w", id, err)
		}
		keys = append(keys, SealingKey{ID: id, Key: key})
	}
	return keys, nil
}

// CIIndexKey decodes CIIndex: KeySize bytes.
func (s Secrets) CIIndexKey() ([]byte, error) { return decodeKey(s.CIIndex) }

// SubjectKey decodes Subject: KeySize bytes.
func (s Secrets) SubjectKey() ([]byte, error) { return decodeKey(s.Subject) }

// exampleStart is how the keys of the example file start, once decoded.
const exampleStart = "anyid-example-"

// leastDistinct is fewer different bytes than 32 random ones ever have (the odds are below 2^-60), and
// more than what somebody types to have a value there.
const leastDistinct = 12

// decodeKey decodes a key and refuses one that is not a secret. Its errors continue a sentence.
func decodeKey(s Secret) ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(string(s))
	if err != nil {
		return nil, errors.New("is not base64")
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("has %d bytes", len(key))
	}
	if bytes.HasPrefix(key, []byte(exampleStart)) {
		return nil, errors.New("is the one of the example file")
	}
	var seen [256]bool
	distinct := 0
	for _, b := range key {
		if !seen[b] {
			seen[b] = true
			distinct++
		}
	}
	if distinct < leastDistinct {
		return nil, errors.New("is not random")
	}
	return key, nil
}
