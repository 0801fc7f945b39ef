package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/anyid/anyid/internal/method"
)

// key is a test's own random-looking key.
func key(name string) string {
	sum := sha256.Sum256([]byte(name))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func goodSecrets() []string {
	return []string{
		"secrets.sealing=k1:" + key("sealing"),
		"secrets.ci_index=" + key("index"),
		"secrets.subject=" + key("subject"),
	}
}

func faultsOf(t *testing.T, err error) Faults {
	t.Helper()
	faults, ok := errors.AsType[Faults](err)
	if !ok {
		t.Fatalf("error is %v, want Faults", err)
	}
	return faults
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "anyid.yaml", "listen: 127.0.0.1:1\nissuer: https://file.example\nlog:\n  level: debug\n  format: json\ndata: of-file\n")
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--listen", "127.0.0.1:3", "--set", "data=of-flag", "--set", "data=of-later-flag"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{
		Env: []string{
			"ANYID_CONFIG=" + file, "ANYID_LISTEN=127.0.0.1:2", "ANYID_LOG_LEVEL=warn", "ANYID_DATA=of-env",
			"ANYID_LOG_FORMAT=", "HOME=/root",
		},
		Flags: flags,
		Set:   goodSecrets(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"file over default", c.Issuer, "https://file.example"},
		{"variable over file", c.Log.Level, "warn"},
		{"empty variable is none", c.Log.Format, "json"},
		{"flag over variable", c.Listen, "127.0.0.1:3"},
		{"--set over variable, the last one", c.Data, "of-later-flag"},
		{"default", c.Storage.Driver, "sqlite"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestFileOfFlagComesBeforeVariable(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse([]string{"--config", write(t, "a.yaml", "data: a"), "--issuer", "https://x.id.example"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{Flags: flags, Env: []string{"ANYID_CONFIG=" + write(t, "b.yaml", "data: b")}, Set: goodSecrets()})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "a" || c.Issuer != "https://x.id.example" {
		t.Errorf("data %q, issuer %q", c.Data, c.Issuer)
	}
}

// TestEveryKeyByVariable sets each key by its variable alone, with a value that is not the default.
func TestEveryKeyByVariable(t *testing.T) {
	t.Parallel()
	pem := write(t, "file.pem", selfSigned(t))
	logo := write(t, "logo.svg", "<svg/>")
	texts := map[string]string{
		"issuer": "https://id.example", "listen": "127.0.0.1:9", "tls.cert": pem, "tls.key": pem,
		"trusted_proxies": "10.0.0.0/8, 2001:db8::/32", "data": "elsewhere",
		"storage.driver": "postgres", "storage.postgres.dsn": "postgres://x", "storage.postgres.max_conns": "7",
		"kv.driver": "redis", "kv.redis.addresses": "a:1,b:2", "kv.redis.mode": "sentinel", "kv.redis.master_name": "m",
		"kv.redis.username": "u", "kv.redis.password": "p", "kv.redis.tls": "true", "kv.redis.pool_size": "3", "kv.redis.db": "4",
		"secrets.sealing": "k2:" + key("k2") + ",k1:" + key("k1"), "secrets.ci_index": key("index"), "secrets.subject": key("subject"),
		"branding.name": "이름", "branding.name_en": "Name", "branding.institution": "기관", "branding.institution_en": "Institution",
		"branding.logo": logo, "branding.official_government": "true", "branding.call_center": "110", "branding.help": "https://help.example", "branding.documents": filepath.Dir(pem),
		"session.idle": "1m", "session.absolute": "2m", "tokens.code": "10s", "tokens.access": "1m", "tokens.id": "2m",
		"tokens.refresh_idle": "1h", "tokens.refresh_absolute": "2h", "keys.publish": "1h", "keys.retire": "3h",
		"login.attempt": "5m", "login.pushes_per_phone": "2", "login.push_window": "1m", "limits.credential": "9", "limits.window": "2m",
		"levels.mobile_id": "2", "levels.simple": "3", "levels.joint_cert": "1", "levels.financial_cert": "2",
		"simple.enabled": "true", "simple.auth_url": "http://127.0.0.1:1", "simple.api_url": "http://localhost:1",
		"simple.link_id": "L", "simple.secret_key": key("linkhub"), "simple.client_code": "023040000001",
		"simple.providers": "toss,kakao", "simple.expire_in": "1m", "simple.verify_path": "identity", "simple.timeout": "2s",
		"simple.transport_level": "2", "simple.trusted_roots": pem, "mobile_id.enabled": "true", "mobile_id.expire_in": "1m", "mobile_id.pin_level": "2", "mobile_id.mip.service": "svc",
		"mobile_id.mip.issuers": "did:kr:mobileid:1", "mobile_id.mip.cards": "a=카드", "mobile_id.mip.auth_types": "face", "mobile_id.mip.key_name": "k",
		"mobile_id.mip.push_url": "https://push.example", "mobile_id.mip.push_code": "m", "mobile_id.mip.ledger_url": "https://a.example",
		"mobile_id.mip.profile_url": "https://b.example", "mobile_id.mip.decrypter_url": "https://c.example", "mobile_id.mip.port_key": "0123456789abcdef",
		"mobile_id.mip.timeout": "1s", "mobile_id.openid4vp.credentials": pem, "mobile_id.openid4vp.key": pem, "mobile_id.openid4vp.chain": pem,
		"mobile_id.openid4vp.dns_name": "id.example", "mobile_id.openid4vp.wallet": "haip-vp://", "mobile_id.openid4vp.issuer_roots": pem, "mobile_id.openid4vp.mdoc_roots": pem,
		"mobile_id.openid4vp.status_roots": pem, "mobile_id.openid4vp.cross_device": "true",
		"identity.phone": "nice", "identity.ipin": "nice", "identity.timeout": "1s", "identity.nice.url": "https://n.example", "identity.nice.client_id": "c",
		"identity.nice.client_secret": "s", "identity.nice.phone_service": "P", "identity.nice.ipin_service": "I", "identity.nice.raw_keys": "true",
		"identity.nice.male": "0", "identity.nice.foreign": "0", "identity.checkplus.url": "https://n.example", "identity.checkplus.window_url": "https://w.example",
		"identity.checkplus.client_id": "c", "identity.checkplus.client_secret": "s", "identity.checkplus.product_id": "p", "identity.checkplus.male": "0",
		"identity.checkplus.foreign": "0", "identity.checkplus.cancelled": "1", "identity.kcb.url": "https://k.example", "identity.kcb.window_url": "https://w.example",
		"identity.kcb.key": "k", "identity.kcb.member": "m", "identity.kcb.site_name": "n", "identity.kcb.site_url": "u", "identity.kcb.cancelled": "1",
		"identity.danal.url": "https://d.example", "identity.danal.window_url": "https://w.example", "identity.danal.member": "m", "identity.danal.password": "p",
		"identity.danal.site_url": "u", "identity.danal.cancelled": "1",
		"certificates.roots": pem, "certificates.authorities": pem, "certificates.test": "true",
		"certificates.directories": "ds.example:389", "certificates.ocsp": "yessign=http://ocsp.example", "certificates.ocsp_nonce": "true",
		"certificates.grace": "1h", "certificates.grace_level": "1", "certificates.timeout": "2s",
		"joint_cert.enabled": "true", "joint_cert.recipient_cert": pem, "joint_cert.recipient_key": pem, "joint_cert.ucpid": "yessign", "joint_cert.policies": "1.2.410.200005.1.1.1",
		"joint_cert.resident_number_basis": "법", "joint_cert.resolver_url": "https://ci.example", "joint_cert.resolver_key": "k",
		"financial_cert.enabled": "true", "financial_cert.script": "https://signer.example/s.js", "financial_cert.org_code": "D000000001",
		"financial_cert.api_key": "a", "financial_cert.format": "pkcs1", "yeskey.api_url": "https://api.example", "yeskey.client_id": "c",
		"yeskey.client_secret": "s", "yeskey.server_id": "v", "yeskey.cp_code": "ANYIDTEST001", "yeskey.timeout": "2s", "yeskey.male": "0",
		"notice.webhook.url": "https://hook.example", "notice.webhook.secret": "0123456789abcdef", "notice.smtp.address": "mail.example:465",
		"notice.smtp.tls": "implicit", "notice.smtp.username": "u", "notice.smtp.password": "p", "notice.smtp.from": "no-reply@id.example",
		"logout.within": "1h", "logout.timeout": "2s", "retention.history": "2400h", "retention.alerts": "48h", "retention.consents": "8760h",
		"retention.consents_basis": "법", "outbound.allow": "127.0.0.0/8", "outbound.ca": pem, "log.level": "debug", "log.format": "json",
	}
	var env []string
	variables := map[string]bool{}
	for _, l := range leaves {
		text, ok := texts[l.key]
		if !ok {
			t.Errorf("%s has no value in this test", l.key)
		}
		if variables[l.variable()] {
			t.Errorf("%s is the variable of two keys", l.variable())
		}
		variables[l.variable()] = true
		env = append(env, l.variable()+"="+text)
	}
	c, err := Load(Options{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	def := Default()
	for _, l := range leaves {
		if reflect.DeepEqual(l.value(c).Interface(), l.value(&def).Interface()) {
			t.Errorf("%s did not reach %s", l.variable(), l.key)
		}
	}
	if got := c.Simple.ClientCode; got != "023040000001" {
		t.Errorf("client code %q lost its zero", got)
	}
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}; !slices.Equal(c.TrustedProxies, want) {
		t.Errorf("trusted proxies %v", c.TrustedProxies)
	}
	if keys, err := c.Secrets.SealingKeys(); err != nil || len(keys) != 2 || keys[0].ID != "k2" || len(keys[0].Key) != KeySize {
		t.Errorf("sealing keys %v, %v", keys, err)
	}
	if c.Levels[method.JointCert] != 1 || c.Session.Idle != time.Minute || c.KV.Redis.Addresses[1] != "b:2" {
		t.Errorf("got %+v", c)
	}
}

func TestUnknownKeysAreRefused(t *testing.T) {
	t.Parallel()
	file := write(t, "anyid.yaml", `issuer: https://id.example
lissen: 127.0.0.1:1
storage:
  driver: postgres
  postgres:
    dns: "postgres://secret-of-the-test"
log: debug
Data: x
log.level: debug
branding:
data: a
data: b
levels:
  passkey: 3
`)
	_, err := Load(Options{
		File: file,
		Env:  []string{"ANYID_STORAGE_DRIVERS=x", "ANYID_PORT_8080_TCP=tcp://10.0.0.1:8080", "OTHER=1"},
		Set:  append(goodSecrets(), "nokey=1", "novalue"),
	})
	faults := faultsOf(t, err)
	for _, want := range []struct{ key, contains string }{
		{"lissen", "line 2"},
		{"storage.postgres.dns", "line 6"},
		{"storage.postgres.dns", "valid: dsn, max_conns"},
		{"log", "is a section"},
		{"Data", "line 8"},
		{"log.level", "line 9"},
		{"data", "stands twice"},
		{"levels.passkey", "valid: mobile_id, simple, joint_cert, financial_cert"},
		{"ANYID_STORAGE_DRIVERS", "variable of no key"},
		{"ANYID_PORT_8080_TCP", "enableServiceLinks"},
		{"--set nokey", "no key"},
		{"--set novalue", "no key"},
		{"storage.postgres.dsn", "is missing"}, // driver was read all the same
	} {
		if !slices.ContainsFunc(faults, func(f Fault) bool { return f.Key == want.key && strings.Contains(f.Error(), want.contains) }) {
			t.Errorf("no fault at %s with %q in:\n%v", want.key, want.contains, faults)
		}
	}
	if len(faults) != 12 {
		t.Errorf("%d faults, want 12:\n%v", len(faults), faults)
	}
	if strings.Contains(err.Error(), "secret-of-the-test") {
		t.Errorf("a value is shown: %v", err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, want string }{
		{"list", "- a\n- b\n", "has no keys"},
		{"not yaml", "a: [", "is not YAML"},
		{"two documents", "data: a\n---\ndata: b\n", "second document"},
		{"key is a list", "[a]: b\n", "is no key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Options{File: write(t, "anyid.yaml", tt.content), Set: goodSecrets()})
			if faults := faultsOf(t, err); len(faults) != 1 || !strings.Contains(faults[0].Problem, tt.want) {
				t.Errorf("got %v, want one fault with %q", err, tt.want)
			}
		})
	}
	if _, err := Load(Options{File: filepath.Join(t.TempDir(), "none.yaml"), Set: goodSecrets()}); err == nil {
		t.Error("a missing file is accepted")
	}
	for _, content := range []string{"", "# nothing\n", "---\n", "null\n", "branding:\nissuer:\n"} {
		c, err := Load(Options{File: write(t, "anyid.yaml", content), Set: goodSecrets()})
		if err != nil || c.Issuer != Default().Issuer {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestValuesOfTheWrongForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ yaml, key, valid string }{
		{"session: {idle: 30}", "session.idle", "a duration"},
		{"session: {idle: soon}", "session.idle", "a duration"},
		{"simple: {enabled: 1}", "simple.enabled", "true or false"},
		{"simple: {enabled: 'yes'}", "simple.enabled", "true or false"},
		{"simple: {client_code: 023040000001}", "simple.client_code", "quotes"},
		{"login: {pushes_per_phone: 1.5}", "login.pushes_per_phone", "whole number"},
		{"login: {pushes_per_phone: many}", "login.pushes_per_phone", "whole number"},
		{"login: {pushes_per_phone: true}", "login.pushes_per_phone", "whole number"},
		{"trusted_proxies: [10.0.0.1]", "trusted_proxies", "address ranges"},
		{"trusted_proxies: [10.0.0.1/8]", "trusted_proxies", "address ranges"},
		{"trusted_proxies: {a: b}", "trusted_proxies", "address ranges"},
		{"data: [a]", "data", "a text"},
		{"data: {a: b}", "data", "a text"},
		{"data: 2026-01-01", "data", "a text"},
		{"kv: {redis: {addresses: [1]}}", "kv.redis.addresses", "a list"},
		{"levels: {simple: high}", "levels.simple", "whole number"},
		{"storage: {postgres: {dsn: [hidden]}}", "storage.postgres.dsn", "a text"},
	} {
		t.Run(tt.yaml, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Options{File: write(t, "anyid.yaml", tt.yaml), Set: goodSecrets()})
			faults := faultsOf(t, err)
			if len(faults) != 1 || faults[0].Key != tt.key || !strings.Contains(faults[0].Valid, tt.valid) {
				t.Errorf("got %v, want one fault at %s with %q", err, tt.key, tt.valid)
			}
			if strings.Contains(err.Error(), "hidden") {
				t.Errorf("a secret is shown: %v", err)
			}
			if strings.Contains(err.Error(), "interface") || strings.Contains(err.Error(), "time.Date") {
				t.Errorf("shown as Go has it: %v", err)
			}
		})
	}
}

func TestYAMLAliases(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{File: write(t, "anyid.yaml", "session: {idle: &d 5m, absolute: *d}\n"), Set: goodSecrets()})
	if err != nil || c.Session.Absolute != 5*time.Minute {
		t.Errorf("%v, %v", c, err)
	}
}

func TestSecretReferences(t *testing.T) {
	t.Parallel()
	indexFile := write(t, "index", key("index")+"\n")
	c, err := Load(Options{
		Env: []string{"DB_DSN=postgres://from-env", "SEAL=k9:" + key("nine"), "ANYID_STORAGE_POSTGRES_DSN=env:DB_DSN"},
		Set: []string{"secrets.sealing=env:SEAL, k1:" + key("one"), "secrets.ci_index=file:" + indexFile, "secrets.subject=" + key("subject")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Storage.Postgres.DSN != "postgres://from-env" || string(c.Secrets.CIIndex) != key("index") {
		t.Error("a reference is not resolved")
	}
	if keys, err := c.Secrets.SealingKeys(); err != nil || len(keys) != 2 || keys[0].ID != "k9" {
		t.Errorf("sealing keys %v, %v", keys, err)
	}
	long := write(t, "long", strings.Repeat("x", maxSecretFile+1))
	for _, ref := range []string{"env:NOT_SET", "file:" + filepath.Join(t.TempDir(), "none"), "file:" + write(t, "empty", "\n"), "file:" + long, "file:" + t.TempDir()} {
		_, err := Load(Options{Set: append(goodSecrets(), "kv.redis.password="+ref)})
		if faults := faultsOf(t, err); len(faults) != 1 || faults[0].Key != "kv.redis.password" {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{Set: append(goodSecrets(), "storage.postgres.dsn=hush-hush", "kv.redis.password=hush-hush")})
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"String": c.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown[verb] = fmt.Sprintf(verb, *c) + fmt.Sprintf(verb, c) + fmt.Sprintf(verb, c.Secrets)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown["JSON"] = string(asJSON)
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown["YAML"] = string(asYAML)
	var text, jsonLog bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&text, nil), slog.NewJSONHandler(&jsonLog, nil)} {
		slog.New(h).Info("config", "dsn", c.Storage.Postgres.DSN, "all", c)
	}
	shown["slog text"], shown["slog JSON"] = text.String(), jsonLog.String()
	for how, s := range shown {
		for _, secret := range []string{"hush", key("index"), key("sealing"), key("subject"), fmt.Sprintf("%x", "hush")} {
			if strings.Contains(s, secret) {
				t.Errorf("%s shows a secret: %s", how, s)
			}
		}
	}
	if want := "storage.postgres.dsn: [secret]\n"; !strings.Contains(shown["String"], want) {
		t.Errorf("String lacks %q:\n%s", want, shown["String"])
	}
	if want := "simple.secret_key: \n"; !strings.Contains(shown["String"], want) {
		t.Errorf("String lacks %q:\n%s", want, shown["String"])
	}
}

func FuzzFile(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add("data: &a [*a]\n")
	f.Add("levels: {simple: 2, <<: {a: b}}\nstorage: {driver: [x]}\n")
	f.Fuzz(func(t *testing.T, content string) {
		c, err := Load(Options{File: write(t, "anyid.yaml", content), Set: goodSecrets()})
		if err == nil {
			err = c.Validate() // what loads is valid, secrets resolved
		} else {
			_ = faultsOf(t, err)
			return
		}
		if err != nil {
			t.Errorf("loads and does not validate: %v", err)
		}
	})
}
