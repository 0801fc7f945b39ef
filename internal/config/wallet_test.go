package config

import "testing"

// TestReadCredentials: the example file is what the reader takes, and nothing else is.
func TestReadCredentials(t *testing.T) {
	t.Parallel()
	all, err := ReadCredentials("../../configs/credentials.example.yaml")
	if err != nil || len(all) != 2 || all[0].Format != "dc+sd-jwt" || all[1].Claims.Key != "org.iso.18013.5.1/document_number" || len(all[0].Claims.Name) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for name, text := range map[string]string{
		"empty": "", "none": "credentials: []", "unknown field": "credentials: [{id: a, kind: b}]", "no list": "credentials: {id: a}", "no YAML": "\t",
	} {
		if _, err := ReadCredentials(write(t, "credentials.yaml", text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := ReadCredentials("none.yaml"); err == nil {
		t.Error("no file: taken")
	}
}
