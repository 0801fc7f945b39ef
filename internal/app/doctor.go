package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/outbound"
	"github.com/anyid/anyid/internal/storage"
)

// Finding is one thing that Doctor looked at.
type Finding struct {
	Area   string // "config", "storage", "kv", "keys", "audit", "sites", "provider"
	Health Health
	What   string // what was found
	Advice string // what to do about it, if anything
}

// Health is the weight of a finding.
type Health string

// The weights.
const (
	OK      Health = "ok"
	Warning Health = "warning"
	Failing Health = "failing"
)

// Doctor examines an installation: its configuration, stores, keys, sites and counterparts. It does not
// migrate. Like every command that opens the stores, it gives a store that was never used its first
// signing keys and the linking matrix.
func Doctor(ctx context.Context, c *config.Config) []Finding {
	findings := examineConfig(c)
	faults := Check(c)
	for _, err := range faults {
		findings = append(findings, Finding{"config", Failing, oneLine(err), "the service does not start with it"})
	}
	schema, ready := examineSchema(ctx, c)
	findings = append(findings, schema...)
	if !ready || len(faults) > 0 {
		return findings
	}
	a, err := Open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		return append(findings, Finding{"service", Failing, "does not open: " + oneLine(err), "mend this first; the rest could not be examined"})
	}
	defer func() { _ = a.Close() }()
	if err := a.DB.Ping(ctx); err != nil {
		findings = append(findings, Finding{"storage", Failing, oneLine(err), "is this a standby? storage.postgres.dsn must lead to the primary"})
	}
	findings = append(findings, a.examineKV(ctx)...)
	findings = append(findings, a.examineKeys()...)
	findings = append(findings, a.examineAudit(ctx), a.examineSites())
	return append(findings, a.examineMethods(ctx)...)
}

func examineConfig(c *config.Config) []Finding {
	findings := []Finding{{"config", OK, "valid; issuer " + c.Issuer, ""}}
	if strings.HasPrefix(c.Issuer, "http://") {
		findings = append(findings, Finding{"config", Warning, "the issuer is plain http", "for anything but a demonstration set an https issuer"})
	}
	if strings.HasPrefix(c.Issuer, "https://") && c.TLS.Cert == "" {
		findings = append(findings, Finding{"config", Warning, "the issuer is https, but this service has no certificate of its own", "a proxy must end TLS in front; only it may reach " + c.Listen})
	}
	if c.TLS.Cert != "" {
		findings = append(findings, examineCertificate(c, time.Now()))
	}
	if c.KV.Driver == "sql" && c.Storage.Driver == "postgres" {
		findings = append(findings, Finding{"config", Warning, "short-lived values are kept in PostgreSQL", "for many logins a second set kv.driver: redis"})
	}
	return findings
}

// examineCertificate looks at the service's own certificate, which browsers and sites will look at too.
func examineCertificate(c *config.Config, now time.Time) Finding {
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return Finding{"config", Failing, "the certificate of tls.cert and tls.key cannot be used: " + err.Error(), "both are PEM, and the key is the certificate's"}
	}
	issuer, err := url.Parse(c.Issuer)
	if err != nil { // the configuration is valid
		return Finding{"config", Failing, "the issuer is no URL", ""}
	}
	left := pair.Leaf.NotAfter.Sub(now)
	found := Finding{"config", OK, "the certificate is valid until " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly), ""}
	switch err := pair.Leaf.VerifyHostname(issuer.Hostname()); {
	case left <= 0:
		found = Finding{"config", Failing, "the certificate has ended on " + pair.Leaf.NotAfter.UTC().Format(time.DateOnly), "renew it and start the service again"}
	case err != nil:
		found = Finding{"config", Failing, "the certificate is not for the issuer's host " + issuer.Hostname(), "the issuer is what sites and browsers connect to"}
	case left < 30*24*time.Hour:
		found.Health, found.Advice = Warning, "renew it; the service reads it at its start"
	}
	return found
}

// examineSchema looks at the migrations, and tells whether the service may be opened.
func examineSchema(ctx context.Context, c *config.Config) ([]Finding, bool) {
	start := time.Now()
	migrations, err := storage.Status(ctx, StorageConfig(c))
	if err != nil {
		return []Finding{{"storage", Failing, c.Storage.Driver + " does not answer: " + oneLine(err), "check storage.* and that the database runs"}}, false
	}
	pending := 0
	for _, m := range migrations {
		if m.AppliedAt.IsZero() {
			pending++
		}
	}
	if pending > 0 {
		return []Finding{{"storage", Warning, fmt.Sprintf("%s: %d of %d migrations are pending", c.Storage.Driver, pending, len(migrations)), "anyid migrate up, or anyid serve, which migrates by itself"}}, false
	}
	return []Finding{{"storage", OK, fmt.Sprintf("%s: schema %d, answered in %s", c.Storage.Driver, len(migrations), time.Since(start).Round(10*time.Microsecond)), ""}}, true
}

func (a *App) examineKV(ctx context.Context) []Finding {
	start := time.Now()
	if err := a.KV.Set(ctx, "doctor", "1", time.Minute); err != nil {
		return []Finding{{"kv", Failing, a.Config.KV.Driver + " does not answer: " + oneLine(err), "check kv.*"}}
	}
	if _, err := a.KV.Take(ctx, "doctor"); err != nil {
		return []Finding{{"kv", Failing, a.Config.KV.Driver + " forgets what it was just told", "several servers behind one address? use mode cluster or sentinel"}}
	}
	findings := []Finding{{"kv", OK, fmt.Sprintf("%s: wrote and took in %s", a.Config.KV.Driver, time.Since(start).Round(10*time.Microsecond)), ""}}
	if a.Config.KV.Driver != "redis" {
		return findings
	}
	store, err := a.dialRedis()
	if err != nil {
		return append(findings, Finding{"kv", Failing, oneLine(err), "check kv.redis.*"})
	}
	defer func() { _ = store.Close() }()
	switch policy, err := store.Evicts(ctx); {
	case err != nil:
		findings = append(findings, Finding{"kv", Warning, "redis does not tell its maxmemory-policy: " + oneLine(err), "see to it that it is noeviction"})
	case policy != "":
		findings = append(findings, Finding{"kv", Failing, "redis gives values up when memory runs short: maxmemory-policy " + policy, "set it to noeviction: an evicted mark lets a code be used twice"})
	}
	return findings
}

func (a *App) examineKeys() []Finding {
	var findings []Finding
	for _, k := range a.Keys.List() {
		switch {
		case k.Signing:
			findings = append(findings, Finding{"keys", OK, fmt.Sprintf("%s %s signs since %s", k.Algorithm, k.ID, k.ActiveAt.Format(time.DateOnly)), ""})
			if age := time.Since(k.ActiveAt); age > 365*24*time.Hour {
				findings = append(findings, Finding{"keys", Warning, fmt.Sprintf("%s %s signs for %d days", k.Algorithm, k.ID, int(age.Hours()/24)), "anyid key rotate --alg " + string(k.Algorithm)})
			}
		case k.Published && k.Overtaken:
			findings = append(findings, Finding{"keys", OK, fmt.Sprintf("%s %s was overtaken by a newer key and will not sign", k.Algorithm, k.ID), ""})
		case k.Published && k.ActiveAt.After(time.Now()):
			findings = append(findings, Finding{"keys", OK, fmt.Sprintf("%s %s is published and signs from %s", k.Algorithm, k.ID, k.ActiveAt.Format(time.RFC3339)), ""})
		case k.Published:
			findings = append(findings, Finding{"keys", OK, fmt.Sprintf("%s %s no longer signs and is published until %s", k.Algorithm, k.ID, k.RetireAt.Format(time.RFC3339)), ""})
		}
	}
	return findings
}

func (a *App) examineAudit(ctx context.Context) Finding {
	head, err := a.DB.Audit().Head(ctx)
	if err != nil {
		return Finding{"audit", Failing, "the chain cannot be read: " + oneLine(err), ""}
	}
	backlog, err := a.DB.Audit().Backlog(ctx)
	if err != nil {
		return Finding{"audit", Failing, "the backlog cannot be read: " + oneLine(err), ""}
	}
	found := Finding{"audit", OK, fmt.Sprintf("%d events chained, %d waiting", head.Position, backlog), ""}
	if backlog > 10_000 {
		found.Health, found.Advice = Warning, "the sealer is behind: does anyid serve run?"
	}
	return found
}

func (a *App) examineSites() Finding {
	if a.Sites.Len() == 0 {
		return Finding{"sites", Warning, "no relying site is registered", "anyid site apply -f sites.yaml"}
	}
	return Finding{"sites", OK, fmt.Sprintf("%d registered", a.Sites.Len()), ""}
}

// examineMethods looks at each method and whether its counterpart can be reached.
func (a *App) examineMethods(ctx context.Context) []Finding {
	if len(a.Methods) == 0 {
		return []Finding{{"provider", Failing, "no method is configured: nobody can log in", "set simple.enabled and the account's keys"}}
	}
	var findings []Finding
	for _, m := range append(method.All(), method.Phone, method.IPIN) {
		checker, ok := a.Methods[m].(authn.Checker)
		switch {
		case a.Methods[m] == nil:
			continue
		case !ok:
			findings = append(findings, Finding{"provider", OK, string(m) + ": configured", ""})
			continue
		}
		start := time.Now()
		if err := checker.Check(ctx); err != nil {
			findings = append(findings, Finding{"provider", Failing, string(m) + ": " + oneLine(err), providerAdvice(m, err)})
			continue
		}
		findings = append(findings, Finding{"provider", OK, fmt.Sprintf("%s: accepts our credentials, answered in %s", m, time.Since(start).Round(100*time.Microsecond)), ""})
	}
	return findings
}

// providerAdvice says which side to look at.
func providerAdvice(m method.Method, err error) string {
	e, ok := errors.AsType[*authn.Error](err)
	switch {
	case errors.Is(err, outbound.ErrRefused):
		return "the address is not a public one: if it is meant, put its range in outbound.allow"
	case ok && e.Code == authn.ProviderAuth:
		return "the counterpart refuses the account: check " + section(m) + ".* and this machine's clock"
	}
	return "can this machine reach the addresses in " + section(m) + ".*?"
}

// section is where the configuration of a method stands.
func section(m method.Method) string {
	if m == method.Phone || m == method.IPIN {
		return "identity"
	}
	return string(m)
}

// oneLine is the error's text without line breaks, which drivers put between what they tried.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
