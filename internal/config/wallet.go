package config

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Card is a kind of ID, as mobile_id.mip.cards has it.
type Card struct {
	Code, Name  string
	Nationality string // "domestic", "foreign", or empty
}

// ParseCard reads an entry of mobile_id.mip.cards.
func ParseCard(entry string) (Card, error) {
	code, name, ok := strings.Cut(entry, "=")
	code, nationality, bound := strings.Cut(code, "/")
	if !ok || code == "" || name == "" || bound && nationality != "domestic" && nationality != "foreign" {
		return Card{}, fmt.Errorf("config: %q is no card", entry)
	}
	return Card{Code: code, Name: name, Nationality: nationality}, nil
}

// Credential is a kind of credential that is taken over OpenID4VP, as the file of
// mobile_id.openid4vp.credentials has it; configs/credentials.example.yaml explains each field.
type Credential struct {
	ID          string `yaml:"id"`
	Format      string `yaml:"format"`
	Type        string `yaml:"type"`
	Name        string `yaml:"name"`
	Nationality string `yaml:"nationality"`
	Level       int    `yaml:"level"`
	Claims      struct {
		Name        []string `yaml:"name"`
		BirthDate   string   `yaml:"birth_date"`
		Gender      string   `yaml:"gender"`
		Nationality string   `yaml:"nationality"`
		CI          string   `yaml:"ci"`
		Key         string   `yaml:"key"`
	} `yaml:"claims"`
}

// ReadCredentials reads the file of mobile_id.openid4vp.credentials. Unknown fields are refused.
func ReadCredentials(path string) ([]Credential, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: credentials: %w", err)
	}
	var file struct {
		Credentials []Credential `yaml:"credentials"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("config: credentials: %s: %w", path, err)
	}
	if len(file.Credentials) == 0 {
		return nil, fmt.Errorf("config: credentials: %s lists none", path)
	}
	return file.Credentials, nil
}
