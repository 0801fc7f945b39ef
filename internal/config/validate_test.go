package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/method"
)

// valid returns the defaults with secrets.
func valid(t *testing.T) *Config {
	t.Helper()
	c, err := Load(Options{Set: goodSecrets()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// selfSigned returns a certificate and its key, PEM.
func selfSigned(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func TestIssuer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		issuer string
		ok     bool
	}{
		{"https://id.example.go.kr", true},
		{"https://id.example.go.kr:8443", true},
		{"https://id.example.go.kr/anyid", false},
		{"http://127.0.0.1:8080", true},
		{"http://localhost:8080", true},
		{"http://[::1]:8080", true},
		{"http://id.example.go.kr", false},
		{"http://localhost.example", false},
		{"http://10.0.0.1", false},
		{"https://id.example.go.kr/", false},
		{"https://id.example.go.kr/a/", false},
		{"https://id.example.go.kr/a//b", false},
		{"https://id.example.go.kr/a/../b", false},
		{"https://id.example.go.kr?", false},
		{"https://id.example.go.kr?a=b", false},
		{"https://id.example.go.kr#", false},
		{"https://ID.example.go.kr", false},
		{"https://id.example.go.kr:", false},
		{"HTTPS://id.example.go.kr", false},
		{"https://user@id.example.go.kr", false},
		{"https://", false},
		{"https:id.example.go.kr", false},
		{"id.example.go.kr", false},
		{"", false},
	} {
		if validIssuer(tt.issuer) != tt.ok {
			t.Errorf("%q: valid is %t", tt.issuer, !tt.ok)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	enable := func(c *Config) {
		c.Simple.Enabled, c.Simple.LinkID = true, "LINK"
		c.Simple.SecretKey, c.Simple.ClientCode = Secret(key("linkhub")), "023040000001"
	}
	redis := func(c *Config) { c.KV.Driver, c.KV.Redis.Addresses = "redis", []string{"127.0.0.1:6379"} }
	logo := write(t, "logo.png", "x")
	pair, other := write(t, "pair.pem", selfSigned(t)), write(t, "other.pem", selfSigned(t))
	account := func(c *Config) {
		c.Yeskey.ClientID, c.Yeskey.ClientSecret, c.Yeskey.ServerID, c.Yeskey.CPCode = "id", "s", "server", "ANYIDTEST001"
	}
	mip := func(c *Config) {
		c.MobileID.Enabled, c.MobileID.MIP.Service, c.MobileID.MIP.Issuers = true, "svc", []string{"did:kr:mobileid:1"}
		c.MobileID.MIP.LedgerURL, c.MobileID.MIP.PortKey = "http://127.0.0.1:1", "0123456789abcdef"
	}
	joint := func(c *Config) {
		account(c)
		c.Certificates.Roots, c.Certificates.Authorities = pair, pair
		c.JointCert.Enabled, c.JointCert.RecipientCert, c.JointCert.RecipientKey, c.JointCert.UCPID = true, logo, logo, []string{"yessign"}
	}
	financial := func(c *Config) {
		account(c)
		c.Certificates.Roots, c.Certificates.Authorities = pair, pair
		c.FinancialCert.Enabled, c.FinancialCert.OrgCode, c.FinancialCert.APIKey = true, "D000000001", "key"
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		keys   string // where the faults are; empty: valid
	}{
		{"the defaults", func(*Config) {}, ""},
		{"the zero value", func(c *Config) { *c = Config{Secrets: c.Secrets} }, "issuer listen data storage.driver storage.postgres.max_conns " +
			"kv.driver kv.redis.mode kv.redis.pool_size branding.name branding.name_en session.idle tokens.code tokens.access tokens.id " +
			"tokens.refresh_absolute tokens.refresh_idle login.attempt login.pushes_per_phone login.push_window limits.credential limits.window " +
			"levels.mobile_id levels.simple levels.joint_cert levels.financial_cert simple.auth_url simple.api_url simple.expire_in " +
			"simple.verify_path simple.timeout simple.transport_level mobile_id.expire_in mobile_id.pin_level mobile_id.mip.timeout identity.timeout certificates.grace_level certificates.timeout financial_cert.script " +
			"financial_cert.format yeskey.api_url yeskey.timeout notice.smtp.tls logout.within " +
			"logout.timeout retention.history retention.alerts log.level log.format"},
		{"a webhook with a short key", func(c *Config) { c.Notice.Webhook = Webhook{URL: "https://hook.example", Secret: "short"} }, "notice.webhook.secret"},
		{"a webhook in the clear", func(c *Config) {
			c.Notice.Webhook = Webhook{URL: "http://hook.example", Secret: "0123456789abcdef"}
		}, "notice.webhook.url"},
		{"mail", func(c *Config) {
			c.Notice.SMTP = SMTP{Address: "mail.example:587", TLS: "starttls", From: "no-reply@id.example"}
		}, ""},
		{"mail in the clear", func(c *Config) {
			c.Notice.SMTP = SMTP{Address: "mail.example:25", TLS: "none", From: "no-reply@id.example"}
		}, "notice.smtp.tls"},
		{"mail in the clear to oneself", func(c *Config) {
			c.Notice.SMTP = SMTP{Address: "127.0.0.1:25", TLS: "none", From: "no-reply@id.example"}
		}, ""},
		{"mail of nobody", func(c *Config) {
			c.Notice.SMTP = SMTP{Address: "mail.example", TLS: "starttls", From: "Any-ID <x@y>", Username: "u"}
		}, "notice.smtp.address notice.smtp.from notice.smtp.password"},
		{"texts in a file", func(c *Config) { c.Branding.Documents = logo }, "branding.documents"},
		{"consents kept by no law", func(c *Config) { c.Retention.Consents = time.Hour }, "retention.consents_basis"},
		{"history for ever", func(c *Config) { c.Retention.History = 20000 * time.Hour }, "retention.history"},
		{"listen everywhere", func(c *Config) { c.Listen = ":443" }, ""},
		{"listen without port", func(c *Config) { c.Listen = "127.0.0.1" }, "listen"},
		{"listen on a name", func(c *Config) { c.Listen = "id.example:80" }, "listen"},
		{"listen on port 65536", func(c *Config) { c.Listen = ":65536" }, "listen"},
		{"certificate without key", func(c *Config) { c.TLS.Cert = logo }, "tls.key"},
		{"key without certificate", func(c *Config) { c.TLS.Key = logo }, "tls.cert"},
		{"certificate of its own", func(c *Config) { c.TLS = TLS{Cert: pair, Key: pair} }, ""},
		{"another certificate's key", func(c *Config) { c.TLS = TLS{Cert: pair, Key: other} }, "tls.cert"},
		{"authorities without a certificate", func(c *Config) { c.Outbound.CA, c.Simple.TrustedRoots = logo, logo }, "simple.trusted_roots outbound.ca"},
		{"certificate is no file", func(c *Config) { c.TLS = TLS{Cert: t.TempDir(), Key: filepath.Join(t.TempDir(), "none")} }, "tls.cert tls.key"},
		{"every proxy", func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }, "trusted_proxies"},
		{"every outside", func(c *Config) { c.Outbound.Allow = []netip.Prefix{netip.MustParsePrefix("::/0")} }, "outbound.allow"},
		{"postgres without dsn", func(c *Config) { c.Storage.Driver = "postgres" }, "storage.postgres.dsn"},
		{"mysql", func(c *Config) { c.Storage.Driver = "mysql" }, "storage.driver"},
		{"redis", redis, ""},
		{"redis without address", func(c *Config) { c.KV.Driver = "redis" }, "kv.redis.addresses"},
		{"redis without port", func(c *Config) { redis(c); c.KV.Redis.Addresses = []string{"127.0.0.1"} }, "kv.redis.addresses"},
		{"redis with two servers", func(c *Config) { redis(c); c.KV.Redis.Addresses = []string{"a:1", "b:1"} }, "kv.redis.addresses"},
		{"cluster", func(c *Config) { redis(c); c.KV.Redis.Addresses = []string{"a:1", "b:1"}; c.KV.Redis.Mode = "cluster" }, ""},
		{"sentinel without master", func(c *Config) { redis(c); c.KV.Redis.Mode = "sentinel" }, "kv.redis.master_name"},
		{"master without sentinel", func(c *Config) { redis(c); c.KV.Redis.MasterName = "m" }, "kv.redis.master_name"},
		{"user without password", func(c *Config) { redis(c); c.KV.Redis.Username = "u" }, "kv.redis.password"},
		{"official without institution", func(c *Config) { c.Branding.OfficialGovernment = true; c.Branding.Logo = logo }, "branding.official_government"},
		{"official without logo", func(c *Config) { c.Branding.OfficialGovernment = true; c.Branding.Institution = "기관" }, "branding.official_government"},
		{"official", func(c *Config) {
			c.Branding.OfficialGovernment, c.Branding.Institution, c.Branding.Logo = true, "기관", logo
		}, ""},
		{"logo of a wrong kind", func(c *Config) { c.Branding.Logo = write(t, "logo.html", "x") }, "branding.logo"},
		{"long call centre", func(c *Config) { c.Branding.CallCenter = "02-1234-5678-9" }, "branding.call_center"},
		{"help in the clear", func(c *Config) { c.Branding.Help = "http://help.example" }, "branding.help"},
		{"help as script", func(c *Config) { c.Branding.Help = "javascript:alert(1)" }, "branding.help"},
		{"session ends before it idles", func(c *Config) { c.Session.Absolute = time.Minute }, "session.absolute"},
		{"long code", func(c *Config) { c.Tokens.Code = 61 * time.Second }, "tokens.code"},
		{"refresh idles after its end", func(c *Config) { c.Tokens.RefreshAbsolute = time.Hour }, "tokens.refresh_idle"},
		{"key retires before its tokens", func(c *Config) { c.Keys.Retire = 5 * time.Minute }, "keys.retire"},
		{"level 4", func(c *Config) { c.Levels[method.MobileID] = 4 }, "levels.mobile_id"},
		{"simple", enable, ""},
		{"simple without account", func(c *Config) { c.Simple.Enabled = true }, "simple.link_id simple.secret_key simple.client_code"},
		{"simple with a short key", func(c *Config) { enable(c); c.Simple.SecretKey = "c2hvcnQ=" }, "simple.secret_key"},
		{"simple with 11 digits", func(c *Config) { enable(c); c.Simple.ClientCode = "02304000001" }, "simple.client_code"},
		{"simple with letters", func(c *Config) { enable(c); c.Simple.ClientCode = "02304000000x" }, "simple.client_code"},
		{"simple without providers", func(c *Config) { enable(c); c.Simple.Providers = nil }, "simple.providers"},
		{"simple with an unknown provider", func(c *Config) { enable(c); c.Simple.Providers = []string{"samsung"} }, "simple.providers"},
		{"simple with a provider twice", func(c *Config) { enable(c); c.Simple.Providers = []string{"pass", "pass"} }, "simple.providers"},
		{"simple in the clear", func(c *Config) { enable(c); c.Simple.APIURL = "http://barocert.example" }, "simple.api_url"},
		{"channel above the method", func(c *Config) { c.Simple.TransportLevel = 3 }, "simple.transport_level"},
		{"mobile ID over MIP", mip, ""},
		{"mobile ID, nothing said", func(c *Config) { c.MobileID.Enabled = true }, "mobile_id.mip.service"},
		{"mobile ID without ports", func(c *Config) { c.MobileID.Enabled, c.MobileID.MIP.Service = true, "svc" },
			"mobile_id.mip.ledger_url mobile_id.mip.port_key mobile_id.mip.issuers"},
		{"ports in the clear", func(c *Config) { mip(c); c.MobileID.MIP.LedgerURL = "http://ledger.example" }, "mobile_id.mip.ledger_url"},
		{"a card without name", func(c *Config) { mip(c); c.MobileID.MIP.Cards = []string{"x"} }, "mobile_id.mip.cards"},
		{"a card of nobody", func(c *Config) { mip(c); c.MobileID.MIP.Cards = []string{"x/martian=카드"} }, "mobile_id.mip.cards"},
		{"a PIN above the method", func(c *Config) { c.Levels[method.MobileID] = 2 }, "mobile_id.pin_level"},
		{"OpenID4VP without a key", func(c *Config) { c.MobileID.Enabled, c.MobileID.OpenID4VP.Credentials = true, logo },
			"mobile_id.openid4vp.key mobile_id.openid4vp.chain"},
		{"phone by NICE", func(c *Config) {
			c.Identity.Phone, c.Identity.NICE.ClientID, c.Identity.NICE.ClientSecret = "nice", "c", "s"
		}, ""},
		{"NICE without contract", func(c *Config) { c.Identity.IPIN = "nice" },
			"identity.nice.client_id identity.nice.client_secret identity.nice.ipin_service"},
		{"an unknown agency", func(c *Config) { c.Identity.Phone = "sci" }, "identity.phone"},
		{"checkplus, nothing said", func(c *Config) { c.Identity.Phone = "checkplus" },
			"identity.checkplus.client_id identity.checkplus.client_secret identity.checkplus.product_id"},
		{"kcb, nothing said", func(c *Config) { c.Identity.Phone = "kcb" },
			"identity.kcb.url identity.kcb.key identity.kcb.member identity.kcb.site_name identity.kcb.site_url"},
		{"danal, nothing said", func(c *Config) { c.Identity.Phone = "danal" }, "identity.danal.member identity.danal.password identity.danal.site_url"},
		{"i-PIN by Danal", func(c *Config) { c.Identity.IPIN = "danal" }, "identity.ipin"},
		{"NICE in the clear", func(c *Config) { c.Identity.NICE.URL = "http://nice.example" }, "identity.nice.url"},
		{"a third nationality", func(c *Config) { c.Identity.CheckPlus.Foreign = "2" }, "identity.checkplus.foreign"},
		{"joint certificates", joint, ""},
		{"joint certificates, nothing said", func(c *Config) { c.JointCert.Enabled = true },
			"certificates.roots certificates.authorities joint_cert.ucpid"},
		{"resident number without a recipient", func(c *Config) {
			joint(c)
			c.JointCert.ResidentNumberBasis, c.JointCert.RecipientCert, c.JointCert.RecipientKey = "법", "", ""
		}, "joint_cert.recipient_cert joint_cert.recipient_key"},
		{"joint certificates by resident number", func(c *Config) {
			joint(c)
			c.Yeskey, c.JointCert.UCPID = Default().Yeskey, nil
			c.JointCert.ResolverURL, c.JointCert.ResidentNumberBasis = "https://ci.example", "법"
		}, ""},
		{"resident number without a law", func(c *Config) { joint(c); c.JointCert.ResolverURL = "https://ci.example" }, "joint_cert.resident_number_basis"},
		{"resident number in the clear", func(c *Config) {
			joint(c)
			c.JointCert.ResolverURL, c.JointCert.ResidentNumberBasis = "http://ci.example", "법"
		}, "joint_cert.resolver_url"},
		{"UCPID without account", func(c *Config) { joint(c); c.Yeskey = Default().Yeskey },
			"yeskey.client_id yeskey.client_secret yeskey.server_id yeskey.cp_code"},
		{"financial certificates", financial, ""},
		{"financial certificates, nothing said", func(c *Config) { c.FinancialCert.Enabled = true },
			"certificates.roots certificates.authorities financial_cert.org_code financial_cert.api_key yeskey.client_id yeskey.client_secret yeskey.server_id yeskey.cp_code"},
		{"financial certificates in another form", func(c *Config) { financial(c); c.FinancialCert.Format = "xml" }, "financial_cert.format"},
		{"script in the clear", func(c *Config) { financial(c); c.FinancialCert.Script = "http://4user.example/x.js" }, "financial_cert.script"},
		{"short code", func(c *Config) { financial(c); c.Yeskey.CPCode = "X" }, "yeskey.cp_code"},
		{"a third sex", func(c *Config) { c.Yeskey.Male = "M" }, "yeskey.male"},
		{"directory without port", func(c *Config) { c.Certificates.Directories = []string{"ds.example"} }, "certificates.directories"},
		{"responder without authority", func(c *Config) { c.Certificates.OCSP = []string{"http://ocsp.example"} }, "certificates.ocsp"},
		{"responder", func(c *Config) { c.Certificates.OCSP = []string{"yessign=http://ocsp.example:4612"} }, ""},
		{"long grace", func(c *Config) { c.Certificates.Grace = 73 * time.Hour }, "certificates.grace"},
		{"log", func(c *Config) { c.Log = Log{Level: "trace", Format: "xml"} }, "log.level log.format"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := valid(t)
			tt.change(c)
			err := c.Validate()
			if tt.keys == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			var keys []string
			for _, f := range faultsOf(t, err) {
				keys = append(keys, f.Key)
				if f.Problem == "" || f.Valid == "" {
					t.Errorf("%s is not explained: %v", f.Key, f)
				}
			}
			if got := strings.Join(keys, " "); got != tt.keys {
				t.Errorf("faults at\n%s\nwant\n%s", got, tt.keys)
			}
		})
	}
}

func TestSecretsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Secrets)
		key    string
		says   string
	}{
		{"none", func(s *Secrets) { s.Sealing = nil }, "secrets.sealing", "missing"},
		{"no id", func(s *Secrets) { s.Sealing = []Secret{Secret(key("a"))} }, "secrets.sealing", "no key id"},
		{"upper case id", func(s *Secrets) { s.Sealing = []Secret{Secret("K:" + key("a"))} }, "secrets.sealing", "no key id"},
		{"id twice", func(s *Secrets) { s.Sealing = []Secret{Secret("k:" + key("a")), Secret("k:" + key("b"))} }, "secrets.sealing", "twice"},
		{"key twice", func(s *Secrets) { s.Sealing = []Secret{Secret("k:" + key("a")), Secret("l:" + key("a"))} }, "secrets.sealing", "repeats"},
		{"no base64", func(s *Secrets) { s.Sealing = []Secret{"k:!"} }, "secrets.sealing", "not base64"},
		{"no index", func(s *Secrets) { s.CIIndex = "" }, "secrets.ci_index", "missing"},
		{"short", func(s *Secrets) { s.CIIndex = "c2hvcnQ=" }, "secrets.ci_index", "has 5 bytes"},
		{"index is a sealing key", func(s *Secrets) { s.CIIndex = Secret(key("sealing")) }, "secrets.ci_index", "secrets.sealing"},
		{"subject is the index", func(s *Secrets) { s.Subject = s.CIIndex }, "secrets.subject", "secrets.ci_index"},
		{"zeros", func(s *Secrets) { s.Subject = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }, "secrets.subject", "not random"},
		{"example", func(s *Secrets) { s.Subject = Secret(exampleSecret("subject")) }, "secrets.subject", "example file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := valid(t)
			tt.change(&c.Secrets)
			faults := faultsOf(t, c.Validate())
			if len(faults) != 1 || faults[0].Key != tt.key || !strings.Contains(faults[0].Problem, tt.says) {
				t.Errorf("got %v, want one fault at %s with %q", faults, tt.key, tt.says)
			}
		})
	}
}

func TestFaultsText(t *testing.T) {
	t.Parallel()
	faults := Faults{{"log.level", `is "x"`, "debug, info, warn, error"}, {"data", "is missing", "a folder"}}
	want := "config: 2 faults:\n  log.level is \"x\"; valid: debug, info, warn, error\n  data is missing; valid: a folder"
	if got := faults.Error(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := faults[:1].Error(); !strings.HasPrefix(got, "config: one fault:\n") {
		t.Errorf("got %q", got)
	}
}
