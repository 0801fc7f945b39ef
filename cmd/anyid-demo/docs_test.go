package main

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/agency"
	"github.com/anyid/anyid/internal/sim/ca"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/internal/sim/inbox"
	"github.com/anyid/anyid/internal/sim/mobileid"
	"github.com/anyid/anyid/internal/sim/simple"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/stage"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// TestDemoPage keeps docs/demo.md in step with the people, the flags, the faults and its sites files.
func TestDemoPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/demo.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	people := stage.People()
	for _, p := range people {
		phone := p.Phone
		if phone == "" {
			phone = "(no phone)"
		}
		row := fmt.Sprintf("| %s | %s | %s | %s", p.Name, p.BirthDate, phone, p.Note)
		if !strings.Contains(page, row) {
			t.Errorf("the page lacks the row %q", row)
		}
		if p.QNetID != "" && !strings.Contains(page, "`"+p.QNetID+"` / `"+p.QNetSecret+"`") {
			t.Errorf("the page lacks %s's login at Q-Net", p.Name)
		}
	}
	if rows := regexp.MustCompile(`(?m)^\| .+ \| \d{4}-\d\d-\d\d \|`).FindAllString(page, -1); len(rows) != len(people) {
		t.Errorf("the page has %d people, the demonstration %d", len(rows), len(people))
	}
	for _, p := range people {
		number, pin := p.ResidentNumber(), cmp.Or(p.PIN, "–")
		row := fmt.Sprintf("| %s | %s-%s | %s | %s |", p.Name, number[:6], number[6:], "`"+p.Password+"`", pin)
		if !strings.Contains(page, row) {
			t.Errorf("the page lacks the row %q", row)
		}
	}
	command().Flags().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(page, "`--"+f.Name+"`") {
			t.Errorf("the page lacks the flag --%s", f.Name)
		}
	})
	phones, err := simple.New(simple.Config{})
	if err != nil {
		t.Fatal(err)
	}
	authorities, err := ca.New(ca.Config{PKI: npkitest.New(npkitest.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := fincert.New(fincert.Config{PKI: npkitest.New(npkitest.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	wallets, err := mobileid.New(mobileid.Config{URL: "http://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	agencies, err := agency.New(agency.Config{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := inbox.New(inbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, faults := range []*sim.Faults{phones.Faults(), authorities.Faults(), cloud.Faults(), wallets.Faults(), agencies.Faults(), messages.Faults()} {
		for _, fault := range faults.Table() {
			if !strings.Contains(page, "`"+fault.Name+"`") {
				t.Errorf("the page lacks the fault %s", fault.Name)
			}
		}
	}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1) {
		if _, err := site.ParseFile([]byte(block[1]), os.LookupEnv); err != nil {
			t.Error(err)
		}
	}
}

// TestSitesExample keeps the example file valid and complete.
func TestSitesExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/sites.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.ParseFile(text, os.LookupEnv); err != nil {
		t.Fatal(err)
	}
	// Every field is explained: also those that only a comment shows are fields.
	shown := regexp.MustCompile(`(?m)^( *)# (client_secret|basis): (.+)$`).ReplaceAllString(string(text), "$1$2: $3")
	if _, err := site.ParseFile([]byte(strings.Replace(shown, "file:/etc/anyid/exam.secret", "a-secret-of-22-characters", 1)), os.LookupEnv); err != nil {
		t.Errorf("with what is commented out: %v", err)
	}
	full, err := site.Format(site.Site{
		ID: "x", Name: "x", NameEnglish: "x", Institution: site.Institution{ID: "x", Name: "x", NameEnglish: "x"},
		RedirectURIs: []string{"x"}, PostLogoutRedirectURIs: []string{"x"}, LoginURL: "x", HomeURL: "x", AuthMethod: "x",
		GrantTypes: []string{"x"}, Scopes: []string{"x"}, RequirePKCE: true, SigningAlg: "x", SubjectType: "x", Sector: "x",
		Methods: nil, Level: 1, NoSSO: true, Disabled: true,
		BackchannelLogoutURI: "x", BackchannelLogoutSessionRequired: true, FrontchannelLogoutURI: "x", FrontchannelLogoutSessionRequired: true,
		SessionManagement: true, SessionLifetime: 1,
		HandOver: site.HandOver{Version: "x", Purpose: "x", Retention: "x", Basis: "x", CIBasis: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^[ -]*([a-z_#]+):`).FindAllStringSubmatch(full, -1) {
		if !regexp.MustCompile(`(?m)^[ #-]*` + regexp.QuoteMeta(m[1]) + `:`).Match(text) {
			t.Errorf("the example lacks %s", m[1])
		}
	}
}
