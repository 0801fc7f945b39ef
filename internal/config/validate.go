package config

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anyid/anyid/internal/method"
)

// Validate checks every value and how the values fit together. The error is a Faults. Files that are
// named must be readable.
func (c *Config) Validate() error {
	var faults Faults
	c.validate(&faults)
	return faults.err()
}

func (c *Config) validate(faults *Faults) {
	f := check{faults}

	if !validIssuer(c.Issuer) {
		f.add("issuer", fmt.Sprintf("is %q", c.Issuer),
			"an https URL in normal form (http for a loopback host) without path, query, fragment and trailing slash, such as https://id.example.go.kr")
	}
	f.address("listen", c.Listen)
	f.file("tls.cert", c.TLS.Cert)
	f.file("tls.key", c.TLS.Key)
	if c.TLS.Cert == "" && c.TLS.Key != "" {
		f.add("tls.cert", "is missing beside tls.key", "both or neither")
	}
	if c.TLS.Key == "" && c.TLS.Cert != "" {
		f.add("tls.key", "is missing beside tls.cert", "both or neither")
	}
	if c.TLS.Cert != "" && c.TLS.Key != "" {
		if _, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); err != nil {
			f.add("tls.cert", "cannot be used with tls.key: "+err.Error(), "both in PEM, and the key is the certificate's")
		}
	}
	f.narrow("trusted_proxies", c.TrustedProxies)
	f.present("data", c.Data, "a folder")

	f.oneOf("storage.driver", c.Storage.Driver, "sqlite", "postgres")
	if c.Storage.Driver == "postgres" {
		f.present("storage.postgres.dsn", string(c.Storage.Postgres.DSN), "a connection string, which storage.driver postgres needs")
	}
	f.between("storage.postgres.max_conns", c.Storage.Postgres.MaxConns, 2, 1000)
	f.redis(c.KV)
	f.secrets(c.Secrets)

	f.present("branding.name", c.Branding.Name, "a name")
	f.present("branding.name_en", c.Branding.NameEn, "a name")
	if ext := filepath.Ext(c.Branding.Logo); c.Branding.Logo != "" && ext != ".svg" && ext != ".png" {
		f.add("branding.logo", fmt.Sprintf("is %q", c.Branding.Logo), "a file that ends in .svg or .png")
	}
	f.file("branding.logo", c.Branding.Logo)
	if c.Branding.OfficialGovernment && (c.Branding.Institution == "" || c.Branding.Logo == "") {
		f.add("branding.official_government", "is true without an institution to vouch for it",
			"false, or branding.institution and branding.logo beside it")
	}
	if utf8.RuneCountInString(c.Branding.CallCenter) > 12 {
		f.add("branding.call_center", fmt.Sprintf("is %q", c.Branding.CallCenter), "at most 12 characters")
	}
	if c.Branding.Help != "" {
		f.url("branding.help", c.Branding.Help)
	}

	if c.Branding.Documents != "" {
		if info, err := os.Stat(c.Branding.Documents); err != nil || !info.IsDir() {
			f.add("branding.documents", fmt.Sprintf("is %q", c.Branding.Documents), "a folder")
		}
	}

	f.duration("session.idle", c.Session.Idle, time.Second, 24*time.Hour)
	f.duration("session.absolute", c.Session.Absolute, c.Session.Idle, 24*time.Hour)
	f.duration("tokens.code", c.Tokens.Code, time.Second, time.Minute)
	f.duration("tokens.access", c.Tokens.Access, time.Second, time.Hour)
	f.duration("tokens.id", c.Tokens.ID, time.Second, time.Hour)
	f.duration("tokens.refresh_absolute", c.Tokens.RefreshAbsolute, time.Second, 8760*time.Hour)
	f.duration("tokens.refresh_idle", c.Tokens.RefreshIdle, time.Second, c.Tokens.RefreshAbsolute)
	f.duration("keys.publish", c.Keys.Publish, 0, 168*time.Hour)
	f.duration("keys.retire", c.Keys.Retire, max(c.Tokens.Access, c.Tokens.ID), 720*time.Hour)
	f.duration("login.attempt", c.Login.Attempt, time.Second, time.Hour)
	f.between("login.pushes_per_phone", c.Login.PushesPerPhone, 1, 100)
	f.duration("login.push_window", c.Login.PushWindow, time.Second, 24*time.Hour)
	f.between("limits.credential", c.Limits.Credential, 1, 1_000_000)
	f.duration("limits.window", c.Limits.Window, time.Second, time.Hour)
	for _, m := range method.All() {
		f.between("levels."+string(m), int(c.Levels[m]), 1, 3)
	}

	f.simple(c.Simple, c.Levels[method.Simple])
	f.mobileID(c.MobileID, c.Levels[method.MobileID])
	f.identity(c.Identity)
	f.certificates(c)
	f.notice(c.Notice)
	f.duration("logout.within", c.Logout.Within, time.Minute, 720*time.Hour)
	f.duration("logout.timeout", c.Logout.Timeout, time.Second, 30*time.Second)
	f.duration("retention.history", c.Retention.History, 2160*time.Hour, 17520*time.Hour)
	f.duration("retention.alerts", c.Retention.Alerts, time.Hour, 8760*time.Hour)
	f.duration("retention.consents", c.Retention.Consents, 0, 87600*time.Hour)
	if c.Retention.Consents > 0 {
		f.present("retention.consents_basis", c.Retention.ConsentsBasis, "the law, which retention.consents needs")
	}
	f.narrow("outbound.allow", c.Outbound.Allow)
	f.authorities("outbound.ca", c.Outbound.CA)
	f.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	f.oneOf("log.format", c.Log.Format, "text", "json")
}

func (f check) notice(n Notice) {
	if n.Webhook.URL != "" {
		f.url("notice.webhook.url", n.Webhook.URL)
		if len(n.Webhook.Secret) < 16 {
			f.add("notice.webhook.secret", "is missing or short", "16 characters at least")
		}
	}
	f.oneOf("notice.smtp.tls", n.SMTP.TLS, "starttls", "implicit", "none")
	if n.SMTP.Address == "" {
		return
	}
	host, _, err := net.SplitHostPort(n.SMTP.Address)
	if err != nil || host == "" {
		f.add("notice.smtp.address", fmt.Sprintf("is %q", n.SMTP.Address), "host:port")
	}
	if addr, err := netip.ParseAddr(host); n.SMTP.TLS == "none" && host != "localhost" && (err != nil || !addr.IsLoopback()) {
		f.add("notice.smtp.tls", `is "none"`, "starttls or implicit, unless the mail server is on a loopback host")
	}
	if from, err := mail.ParseAddress(n.SMTP.From); err != nil || from.Address != n.SMTP.From {
		f.add("notice.smtp.from", fmt.Sprintf("is %q", n.SMTP.From), "an address, such as no-reply@id.example.go.kr")
	}
	if (n.SMTP.Username == "") != (n.SMTP.Password == "") {
		f.add("notice.smtp.password", "stands without username, or the other way round", "both or neither")
	}
}

// check collects the faults of Validate.
type check struct{ *Faults }

func (f check) present(key, value, valid string) {
	if value == "" {
		f.add(key, "is missing", valid)
	}
}

func (f check) oneOf(key, value string, valid ...string) {
	if !slices.Contains(valid, value) {
		f.add(key, fmt.Sprintf("is %q", value), strings.Join(valid, ", "))
	}
}

func (f check) between(key string, n, least, most int) {
	if n < least || n > most {
		f.add(key, fmt.Sprintf("is %d", n), fmt.Sprintf("%d to %d", least, most))
	}
}

func (f check) duration(key string, d, least, most time.Duration) {
	if d < least || d > most {
		f.add(key, fmt.Sprintf("is %s", d), fmt.Sprintf("%s to %s", least, most))
	}
}

func (f check) file(key, name string) {
	if name == "" {
		return
	}
	if _, err := os.ReadFile(name); err != nil {
		f.add(key, "cannot be read: "+err.Error(), "a readable file")
	}
}

// authorities wants a file of certificates.
func (f check) authorities(key, name string) {
	f.file(key, name)
	if text, err := os.ReadFile(name); err == nil && !bytes.Contains(text, []byte("-----BEGIN CERTIFICATE-----")) {
		f.add(key, fmt.Sprintf("is %q, which holds no certificate", name), "a file of certificates, PEM")
	}
}

func (f check) address(key, value string) {
	host, port, err := net.SplitHostPort(value)
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		f.add(key, fmt.Sprintf("is %q", value), "an IP address and a port, such as 127.0.0.1:8080 or [::]:443, or :443 for every address")
	}
}

// narrow refuses the ranges that mean everybody: they would switch off what the list is for.
func (f check) narrow(key string, ranges []netip.Prefix) {
	for _, p := range ranges {
		if !p.IsValid() || p.Bits() == 0 {
			f.add(key, fmt.Sprintf("contains %s", p), "narrower ranges, each with its mask, such as 10.0.0.0/8")
		}
	}
}

func (f check) url(key, value string) {
	if u, err := url.Parse(value); err != nil || !secureURL(u) {
		f.add(key, fmt.Sprintf("is %q", value), "an https URL (http for a loopback host)")
	}
}

func (f check) redis(kv KV) {
	f.oneOf("kv.driver", kv.Driver, "sql", "redis")
	f.oneOf("kv.redis.mode", kv.Redis.Mode, "single", "sentinel", "cluster")
	f.between("kv.redis.pool_size", kv.Redis.PoolSize, 1, 1000)
	if f.between("kv.redis.db", kv.Redis.DB, 0, 15); kv.Redis.Mode == "cluster" && kv.Redis.DB != 0 {
		f.add("kv.redis.db", fmt.Sprintf("is %d with kv.redis.mode cluster", kv.Redis.DB), "0: a cluster has no other")
	}
	for _, address := range kv.Redis.Addresses {
		host, port, err := net.SplitHostPort(address)
		if n, notPort := strconv.ParseUint(port, 10, 16); err != nil || host == "" || notPort != nil || n == 0 {
			f.add("kv.redis.addresses", fmt.Sprintf("contains %q", address), "a list of host:port")
		}
	}
	if kv.Redis.Username != "" && kv.Redis.Password == "" {
		f.add("kv.redis.password", "is missing", "the password of kv.redis.username")
	}
	if kv.Driver != "redis" {
		return
	}
	switch n := len(kv.Redis.Addresses); {
	case n == 0:
		f.add("kv.redis.addresses", "is empty", "the servers, as host:port, which kv.driver redis needs")
	case n > 1 && kv.Redis.Mode == "single":
		f.add("kv.redis.addresses", fmt.Sprintf("has %d entries", n), "one, or kv.redis.mode sentinel or cluster")
	}
	if (kv.Redis.Mode == "sentinel") != (kv.Redis.MasterName != "") {
		f.add("kv.redis.master_name", fmt.Sprintf("is %q with kv.redis.mode %s", kv.Redis.MasterName, kv.Redis.Mode),
			"the master's name with mode sentinel, empty otherwise")
	}
}

// secrets checks each key, and that no two are one: what one of them protects, another would open.
func (f check) secrets(s Secrets) {
	const fresh = "32 random bytes in base64, as `openssl rand -base64 32` prints them"
	type named struct {
		key   string
		value []byte
	}
	var all []named
	sealing, err := s.SealingKeys()
	switch {
	case len(s.Sealing) == 0:
		f.add("secrets.sealing", "is missing", "a list of id:key, the key "+fresh)
	case err != nil:
		f.add("secrets.sealing", "is refused: "+err.Error(), "a list of id:key, the key "+fresh)
	}
	for _, k := range sealing {
		all = append(all, named{"secrets.sealing", k.Key})
	}
	for _, one := range []struct {
		key    string
		secret Secret
	}{{"secrets.ci_index", s.CIIndex}, {"secrets.subject", s.Subject}} {
		key, err := decodeKey(one.secret)
		switch {
		case one.secret == "":
			f.add(one.key, "is missing", fresh)
		case err != nil:
			f.add(one.key, err.Error(), fresh)
		default:
			all = append(all, named{one.key, key})
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if bytes.Equal(a.value, b.value) {
				f.add(a.key, "repeats a key of "+b.key, "a key of its own: "+fresh)
			}
		}
	}
}

func (f check) simple(s Simple, level method.Level) {
	f.url("simple.auth_url", s.AuthURL)
	f.url("simple.api_url", s.APIURL)
	f.duration("simple.expire_in", s.ExpireIn, 30*time.Second, 1000*time.Second)
	f.oneOf("simple.verify_path", s.VerifyPath, "verify", "identity")
	f.duration("simple.timeout", s.Timeout, time.Second, 30*time.Second)
	f.authorities("simple.trusted_roots", s.TrustedRoots)
	f.between("simple.transport_level", int(s.TransportLevel), 1, min(3, int(level)))
	for i, p := range s.Providers {
		if !slices.Contains([]string{"kakao", "naver", "pass", "toss"}, p) || slices.Contains(s.Providers[:i], p) {
			f.add("simple.providers", fmt.Sprintf("has %q", p), "kakao, naver, pass, toss, each once")
		}
	}
	if s.ClientCode != "" && (len(s.ClientCode) != 12 || strings.Trim(s.ClientCode, "0123456789") != "") {
		f.add("simple.client_code", fmt.Sprintf("is %q", s.ClientCode), "12 digits")
	}
	if key, err := base64.StdEncoding.DecodeString(string(s.SecretKey)); s.SecretKey != "" && (err != nil || len(key) != KeySize) {
		f.add("simple.secret_key", "is not base64 of 32 bytes", "the SecretKey of the account")
	}
	if !s.Enabled {
		return
	}
	f.present("simple.link_id", s.LinkID, "the LinkID of the account, which simple.enabled needs")
	f.present("simple.secret_key", string(s.SecretKey), "the SecretKey of the account, which simple.enabled needs")
	f.present("simple.client_code", s.ClientCode, "the ClientCode of the account, which simple.enabled needs")
	if len(s.Providers) == 0 {
		f.add("simple.providers", "is empty", "kakao, naver, pass, toss: one at least, which simple.enabled needs")
	}
}

// mobileID checks what wallets need; what a part says of its own is the adapter's to check.
func (f check) mobileID(m MobileID, level method.Level) {
	f.duration("mobile_id.expire_in", m.ExpireIn, 30*time.Second, 15*time.Minute)
	f.between("mobile_id.pin_level", int(m.PINLevel), 1, min(3, int(level)))
	f.duration("mobile_id.mip.timeout", m.MIP.Timeout, time.Second, 10*time.Second)
	for key, value := range map[string]string{
		"push_url": m.MIP.PushURL, "ledger_url": m.MIP.LedgerURL, "profile_url": m.MIP.ProfileURL, "decrypter_url": m.MIP.DecrypterURL,
	} {
		if value != "" {
			f.url("mobile_id.mip."+key, value)
		}
	}
	for _, card := range m.MIP.Cards {
		if _, err := ParseCard(card); err != nil {
			f.add("mobile_id.mip.cards", fmt.Sprintf("contains %q", card), "code=name, code/domestic=name or code/foreign=name")
		}
	}
	for key, name := range map[string]string{
		"credentials": m.OpenID4VP.Credentials, "key": m.OpenID4VP.Key, "chain": m.OpenID4VP.Chain,
		"issuer_roots": m.OpenID4VP.IssuerRoots, "mdoc_roots": m.OpenID4VP.MdocRoots, "status_roots": m.OpenID4VP.StatusRoots,
	} {
		f.file("mobile_id.openid4vp."+key, name)
	}
	if !m.Enabled {
		return
	}
	if m.MIP.Service == "" && m.OpenID4VP.Credentials == "" {
		f.add("mobile_id.mip.service", "is missing, and so is mobile_id.openid4vp.credentials", "one of them, which mobile_id.enabled needs")
	}
	if m.MIP.Service != "" {
		f.present("mobile_id.mip.ledger_url", m.MIP.LedgerURL, "the port, which mobile_id.mip.service needs")
		f.present("mobile_id.mip.port_key", string(m.MIP.PortKey), "the ports' key, which mobile_id.mip.service needs")
		if len(m.MIP.Issuers) == 0 {
			f.add("mobile_id.mip.issuers", "is empty", "the DIDs of the issuers, which mobile_id.mip.service needs")
		}
	}
	if m.OpenID4VP.Credentials != "" {
		f.present("mobile_id.openid4vp.key", m.OpenID4VP.Key, "the key, which mobile_id.openid4vp.credentials needs")
		f.present("mobile_id.openid4vp.chain", m.OpenID4VP.Chain, "its certificate, which mobile_id.openid4vp.credentials needs")
	}
}

// identity checks the agencies; what a contract says is the adapter's to check.
func (f check) identity(i Identity) {
	f.oneOf("identity.phone", i.Phone, "", "nice", "checkplus", "kcb", "danal")
	f.oneOf("identity.ipin", i.IPIN, "", "nice")
	f.duration("identity.timeout", i.Timeout, time.Second, 30*time.Second)
	for key, value := range map[string]string{
		"nice.url": i.NICE.URL, "checkplus.url": i.CheckPlus.URL, "checkplus.window_url": i.CheckPlus.WindowURL,
		"kcb.url": i.KCB.URL, "kcb.window_url": i.KCB.WindowURL, "danal.url": i.Danal.URL, "danal.window_url": i.Danal.WindowURL,
	} {
		if value != "" {
			f.url("identity."+key, value)
		}
	}
	for key, value := range map[string]string{
		"nice.male": i.NICE.Male, "nice.foreign": i.NICE.Foreign, "checkplus.male": i.CheckPlus.Male, "checkplus.foreign": i.CheckPlus.Foreign,
	} {
		f.oneOf("identity."+key, value, "", "0", "1")
	}
	if i.Phone == "nice" || i.IPIN == "nice" {
		f.present("identity.nice.client_id", i.NICE.ClientID, "the contract, which nice needs")
		f.present("identity.nice.client_secret", string(i.NICE.ClientSecret), "the contract, which nice needs")
	}
	if i.IPIN == "nice" {
		f.present("identity.nice.ipin_service", i.NICE.IPINService, "the svc_types of the i-PIN, which identity.ipin needs")
	}
	switch i.Phone {
	case "checkplus":
		f.present("identity.checkplus.client_id", i.CheckPlus.ClientID, "the contract, which checkplus needs")
		f.present("identity.checkplus.client_secret", string(i.CheckPlus.ClientSecret), "the contract, which checkplus needs")
		f.present("identity.checkplus.product_id", i.CheckPlus.ProductID, "the contract, which checkplus needs")
	case "kcb":
		f.present("identity.kcb.url", i.KCB.URL, "the sidecar, which kcb needs")
		f.present("identity.kcb.key", string(i.KCB.Key), "the sidecar's key, which kcb needs")
		f.present("identity.kcb.member", i.KCB.Member, "the institution's code, 12 characters, which kcb needs")
		f.present("identity.kcb.site_name", i.KCB.SiteName, "a name, which kcb needs")
		f.present("identity.kcb.site_url", i.KCB.SiteURL, "the site's address, which kcb needs")
	case "danal":
		f.present("identity.danal.member", i.Danal.Member, "the contract, which danal needs")
		f.present("identity.danal.password", string(i.Danal.Password), "the contract, which danal needs")
		f.present("identity.danal.site_url", i.Danal.SiteURL, "the site's address, which danal needs")
	}
}

// certificates checks what joint and financial certificates need, together and each.
func (f check) certificates(c *Config) {
	trust, joint, financial, account := c.Certificates, c.JointCert, c.FinancialCert, c.Yeskey
	f.authorities("certificates.roots", trust.Roots)
	f.authorities("certificates.authorities", trust.Authorities)
	for _, address := range trust.Directories {
		host, port, err := net.SplitHostPort(address)
		if n, notPort := strconv.ParseUint(port, 10, 16); err != nil || host == "" || notPort != nil || n == 0 {
			f.add("certificates.directories", fmt.Sprintf("contains %q", address), "a list of host:port")
		}
	}
	for _, entry := range trust.OCSP {
		authority, responder, ok := strings.Cut(entry, "=")
		u, err := url.Parse(responder)
		if !ok || authority == "" || err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			f.add("certificates.ocsp", fmt.Sprintf("contains %q", entry), "a list of authority=URL")
		}
	}
	f.duration("certificates.grace", trust.Grace, 0, 72*time.Hour)
	f.between("certificates.grace_level", int(trust.GraceLevel), 1, 3)
	f.duration("certificates.timeout", trust.Timeout, time.Second, 30*time.Second)
	f.file("joint_cert.recipient_cert", joint.RecipientCert)
	f.file("joint_cert.recipient_key", joint.RecipientKey)
	if joint.ResolverURL != "" {
		f.url("joint_cert.resolver_url", joint.ResolverURL)
	}
	f.url("financial_cert.script", financial.Script)
	f.oneOf("financial_cert.format", financial.Format, "cms", "pkcs1")
	f.url("yeskey.api_url", account.APIURL)
	f.oneOf("yeskey.male", account.Male, "", "0", "1")
	f.duration("yeskey.timeout", account.Timeout, time.Second, 30*time.Second)
	if account.CPCode != "" && len(account.CPCode) != 12 {
		f.add("yeskey.cp_code", fmt.Sprintf("is %q", account.CPCode), "12 characters")
	}

	for _, m := range []struct {
		key string
		on  bool
	}{{"joint_cert.enabled", joint.Enabled}, {"financial_cert.enabled", financial.Enabled}} {
		if m.on {
			f.present("certificates.roots", trust.Roots, "the trusted roots, which "+m.key+" needs")
			f.present("certificates.authorities", trust.Authorities, "the authorities, which "+m.key+" needs")
		}
	}
	if joint.Enabled {
		if joint.ResidentNumberBasis != "" {
			f.present("joint_cert.recipient_cert", joint.RecipientCert, "a certificate, which joint_cert.resident_number_basis needs")
			f.present("joint_cert.recipient_key", joint.RecipientKey, "its key, which joint_cert.resident_number_basis needs")
		}
		if len(joint.UCPID) == 0 && joint.ResolverURL == "" {
			f.add("joint_cert.ucpid", "is empty, and so is joint_cert.resolver_url", "one of them: nobody else gives the CI")
		}
		if joint.ResolverURL != "" && joint.ResidentNumberBasis == "" {
			f.add("joint_cert.resident_number_basis", "is missing", "the law, without which joint_cert.resolver_url must not be asked")
		}
	}
	if financial.Enabled {
		f.present("financial_cert.org_code", financial.OrgCode, "the institution's code, which financial_cert.enabled needs")
		f.present("financial_cert.api_key", financial.APIKey, "the key for the script, which financial_cert.enabled needs")
	}
	if financial.Enabled || joint.Enabled && len(joint.UCPID) > 0 {
		f.present("yeskey.client_id", account.ClientID, "the account, which financial_cert.enabled and joint_cert.ucpid need")
		f.present("yeskey.client_secret", string(account.ClientSecret), "the account's secret")
		f.present("yeskey.server_id", account.ServerID, "this server's identifier")
		f.present("yeskey.cp_code", account.CPCode, "the institution's code, 12 characters")
	}
}

// validIssuer holds the issuer to OIDC Discovery §3 (https, no query, no fragment), to the root of its
// host, where the endpoints are, and to one spelling, since relying parties compare it as a string.
func validIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && secureURL(u) &&
		u.String() == issuer && !strings.ContainsAny(issuer, "?#%") && u.Host == strings.ToLower(u.Host) &&
		!strings.HasSuffix(u.Host, ":") && u.Path == ""
}

// secureURL allows plain HTTP to this machine only.
func secureURL(u *url.URL) bool {
	if u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}
