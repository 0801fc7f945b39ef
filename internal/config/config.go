// Package config is the broker's configuration: one documented struct, read once at the start from a
// YAML file, from ANYID_… variables and from flags, in rising precedence. What is not a key is refused,
// and all faults are reported together. The fields' comments are also the comments of
// configs/anyid.example.yaml, which a test writes from this file.
package config

import (
	"net/netip"
	"time"

	"github.com/anyid/anyid/internal/method"
)

// Config is everything that an installation may set. Default holds the defaults; Load reads the rest.
type Config struct {
	// The issuer URL, exactly as relying sites compare it: https, or http on a loopback host only;
	// without path, query, fragment and trailing slash.
	Issuer string `key:"issuer"`
	// Address and port to listen on. Without tls the service speaks plain HTTP here, so only a proxy
	// that ends TLS may reach it.
	Listen string `key:"listen"`
	// A certificate of the service's own, both files or neither.
	TLS TLS `key:"tls"`
	// Address ranges of the proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8. Empty: the
	// client is whoever connects.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	// Folder of the embedded store, created when missing.
	Data string `key:"data"`
	// What must survive: people, sites, keys, consents, audit.
	Storage Storage `key:"storage"`
	// What may be forgotten and expires: login attempts, codes, sessions, counters.
	KV KV `key:"kv"`
	// The installation's own secrets, 32 random bytes each (openssl rand -base64 32). The service does
	// not start on the values of the example file. A secret, here and below, is the value itself,
	// file:/path of a file that holds it, or env:NAME of a variable (whose name does not start with
	// ANYID_).
	Secrets Secrets `key:"secrets"`
	// What citizens see of the institution that runs the service.
	Branding Branding `key:"branding"`
	// The single sign-on session.
	Session Session `key:"session"`
	// Lifetimes of what relying sites receive.
	Tokens Tokens `key:"tokens"`
	// Rotation of the signing keys.
	Keys Keys `key:"keys"`
	// One login on its way.
	Login Login `key:"login"`
	// Rate limits.
	Limits Limits `key:"limits"`
	// The assurance level that each method reaches, 1 to 3.
	Levels map[method.Method]method.Level `key:"levels"`
	// Simple authentication (간편인증) through Barocert.
	Simple Simple `key:"simple"`
	// Mobile ID (모바일 신분증).
	MobileID MobileID `key:"mobile_id"`
	// Identity verification (본인 확인) in the windows of agencies, for whoever manages their registration.
	Identity Identity `key:"identity"`
	// What joint and financial certificates have in common: whom to trust, and how to learn what was
	// revoked.
	Certificates Certificates `key:"certificates"`
	// Joint certificates (공동인증서), with keys from files that the citizen opens in the page.
	JointCert JointCert `key:"joint_cert"`
	// Financial certificates (금융인증서), with keys at the cloud signer of KFTC.
	FinancialCert FinancialCert `key:"financial_cert"`
	// The account at KFTC's certificate service (yeskey), which tells who holds a certificate (UCPID).
	Yeskey Yeskey `key:"yeskey"`
	// Messages to citizens about what is done in their name. With neither channel they find it in 사용자 관리
	// only.
	Notice Notice `key:"notice"`
	// What relying sites are told of a session's end.
	Logout Logout `key:"logout"`
	// How long records of citizens are kept.
	Retention Retention `key:"retention"`
	// Requests that the service makes to URLs of relying sites (keys, logout) and counterparts.
	Outbound Outbound `key:"outbound"`
	// The log, on standard error.
	Log Log `key:"log"`
}

// TLS names the files of a certificate.
type TLS struct {
	// File of the certificate chain, PEM.
	Cert string `key:"cert"`
	// File of its private key, PEM.
	Key string `key:"key"`
}

// Storage chooses the SQL database.
type Storage struct {
	// sqlite: embedded, in the data folder. postgres: several instances may share it.
	Driver   string   `key:"driver"`
	Postgres Postgres `key:"postgres"`
}

// Postgres reaches a PostgreSQL server.
type Postgres struct {
	// Connection string (secret), such as postgres://user:password@host/anyid?sslmode=verify-full.
	DSN Secret `key:"dsn"`
	// Most connections that one instance opens, 2 to 1000.
	MaxConns int `key:"max_conns"`
}

// KV chooses the store of short-lived values.
type KV struct {
	// sql: in the same database as storage. redis: for many logins a second.
	Driver string `key:"driver"`
	Redis  Redis  `key:"redis"`
}

// Redis reaches a Redis server, a Sentinel group or a cluster.
type Redis struct {
	// host:port of the server, of the sentinels, or of some nodes of the cluster.
	Addresses []string `key:"addresses"`
	// single, sentinel or cluster.
	Mode string `key:"mode"`
	// Name of the master that the sentinels watch; only with mode sentinel.
	MasterName string `key:"master_name"`
	// Name of the ACL user; empty: the default user.
	Username string `key:"username"`
	// Password (secret); empty: none.
	Password Secret `key:"password"`
	// Number of the database, 0 to 15; a cluster has 0 only.
	DB int `key:"db"`
	// Connect by TLS.
	TLS bool `key:"tls"`
	// Most connections that one instance opens to each node, 1 to 1000.
	PoolSize int `key:"pool_size"`
}

// Secrets are the keys that are not the database's to hold.
type Secrets struct {
	// Keys that seal what is stored, each as id:base64. The first seals, all open: to rotate, put a new
	// one in front. Ids are lower-case letters, digits and hyphens, at most 32.
	Sealing []Secret `key:"sealing"`
	// Key of the index that finds a person by CI, base64. Another key here makes every registered
	// person a stranger.
	CIIndex Secret `key:"ci_index"`
	// Key of the pairwise subject identifiers, base64. It never changes: with another key every
	// relying site would see new people.
	Subject Secret `key:"subject"`
}

// Branding is what the pages show of the institution.
type Branding struct {
	// Name of the service, Korean.
	Name string `key:"name"`
	// Name of the service, English.
	NameEn string `key:"name_en"`
	// Name of the institution, Korean.
	Institution string `key:"institution"`
	// Name of the institution, English.
	InstitutionEn string `key:"institution_en"`
	// File of the institution's logo, .svg or .png; empty: the name in letters.
	Logo string `key:"logo"`
	// Show the pages as an official government site. Only for an institution that is one: it needs
	// institution and logo.
	OfficialGovernment bool `key:"official_government"`
	// Telephone number of the call centre, at most 12 characters.
	CallCenter string `key:"call_center"`
	// URL of the help pages, https; empty: none.
	Help string `key:"help"`
	// Folder of the texts that citizens agree to, as internal/pages/terms: terms, privacy and unique-id, each
	// in .ko.html and .en.html with its version. A new version asks everybody again. Empty: the texts that come
	// with the product, which are samples.
	Documents string `key:"documents"`
}

// Session limits the single sign-on session.
type Session struct {
	// It ends after this time without use, 1s to 24h.
	Idle time.Duration `key:"idle"`
	// It ends this time after the login at the latest, idle to 24h.
	Absolute time.Duration `key:"absolute"`
}

// Tokens are the lifetimes of what relying sites receive.
type Tokens struct {
	// Authorization code, 1s to 60s.
	Code time.Duration `key:"code"`
	// Access token, 1s to 1h.
	Access time.Duration `key:"access"`
	// ID token, 1s to 1h.
	ID time.Duration `key:"id"`
	// A refresh token ends after this time without use, 1s to refresh_absolute.
	RefreshIdle time.Duration `key:"refresh_idle"`
	// A family of refresh tokens ends this time after the login at the latest, up to 8760h.
	RefreshAbsolute time.Duration `key:"refresh_absolute"`
}

// Keys is the rotation of signing keys.
type Keys struct {
	// How long a new key is published before it signs, 0s to 168h: relying sites' caches must have it.
	Publish time.Duration `key:"publish"`
	// How long a key stays published after it stopped signing: at least the longest token, up to 720h.
	Retire time.Duration `key:"retire"`
}

// Login limits one login.
type Login struct {
	// A login that is not finished after this time starts again, 1s to 1h.
	Attempt time.Duration `key:"attempt"`
	// Requests that one telephone number may be sent within push_window, 1 to 100.
	PushesPerPhone int `key:"pushes_per_phone"`
	// The window of pushes_per_phone, 1s to 24h.
	PushWindow time.Duration `key:"push_window"`
}

// Limits are rates by client address.
type Limits struct {
	// Requests that one client address may make within window to the routes that take credentials, at
	// least 1.
	Credential int `key:"credential"`
	// The window, 1s to 1h.
	Window time.Duration `key:"window"`
}

// Simple is the account at Linkhub's Barocert, which asks Kakao, Naver, PASS and Toss.
type Simple struct {
	// Offer the method. The account's keys are needed then.
	Enabled bool `key:"enabled"`
	// Base URL of the token service.
	AuthURL string `key:"auth_url"`
	// Base URL of the authentication service.
	APIURL string `key:"api_url"`
	// LinkID of the account.
	LinkID string `key:"link_id"`
	// SecretKey of the account (secret), base64 of 32 bytes.
	SecretKey Secret `key:"secret_key"`
	// ClientCode of the account, 12 digits, in quotes.
	ClientCode string `key:"client_code"`
	// Who is offered, in the order of the page: kakao, naver, pass, toss.
	Providers []string `key:"providers"`
	// How long a request waits on the citizen's phone, 30s to 1000s.
	ExpireIn time.Duration `key:"expire_in"`
	// Which path fetches the proof: verify (…/Identity/Verify/…) or identity (…/Identity/…).
	VerifyPath string `key:"verify_path"`
	// Most time for one call, 1s to 30s.
	Timeout time.Duration `key:"timeout"`
	// File of the providers' certificate authorities, PEM, to which a signer's certificate must chain.
	// Empty: the chain is not checked, and the channel to Barocert vouches for the certificate.
	TrustedRoots string `key:"trusted_roots"`
	// The level of a proof that is bound by its channel only, not by a signed nonce, 1 to 3 and not
	// above levels.simple.
	TransportLevel method.Level `key:"transport_level"`
}

// MobileID is the method of mobile IDs, over one protocol or both.
type MobileID struct {
	// Offer the method. It needs mip.service, openid4vp.credentials or both then.
	Enabled bool `key:"enabled"`
	// The time in which the wallet must have answered, 30s to 15m.
	ExpireIn time.Duration `key:"expire_in"`
	// The level of a proof for which the wallet asked for a PIN only, 1 to 3 and not above levels.mobile_id.
	PINLevel  method.Level `key:"pin_level"`
	MIP       MIP          `key:"mip"`
	OpenID4VP OpenID4VP    `key:"openid4vp"`
}

// MIP is the contract with the national service (KOMSCO), and where its licensed parts answer.
type MIP struct {
	// The svcCode under which the service is registered. Empty: no MIP.
	Service string `key:"service"`
	// DIDs of the issuers whose credentials are taken.
	Issuers []string `key:"issuers"`
	// Kinds of ID that are taken, each as the code of its credentials and its name, with = between, and
	// /domestic or /foreign behind the code where only such people have it: driverlicen=모바일 운전면허증.
	Cards []string `key:"cards"`
	// How the holder must have shown that it is them, beside what the profile asks: pin, bio, face.
	AuthTypes []string `key:"auth_types"`
	// Name of the private key that opens presentations, as the decrypter knows it.
	KeyName string `key:"key_name"`
	// URL of the push service. Empty: no messages to phones.
	PushURL string `key:"push_url"`
	// The mscode by which the push service knows the institution.
	PushCode string `key:"push_code"`
	// Base URL of the port to the ledger (docs/mobile-id.md), https or on a loopback host.
	LedgerURL string `key:"ledger_url"`
	// Base URL of the port that makes profiles; empty: ledger_url.
	ProfileURL string `key:"profile_url"`
	// Base URL of the port that decrypts; empty: ledger_url.
	DecrypterURL string `key:"decrypter_url"`
	// Key for the ports (secret), 16 characters at least.
	PortKey Secret `key:"port_key"`
	// Most time for one call of a port, 1s to 10s.
	Timeout time.Duration `key:"timeout"`
}

// OpenID4VP is how wallets of the standard know the service, and what is taken from them.
type OpenID4VP struct {
	// File of the credentials that are taken, YAML, as configs/credentials.example.yaml. Empty: no OpenID4VP.
	Credentials string `key:"credentials"`
	// File of the key that signs requests, PEM, on P-256.
	Key string `key:"key"`
	// File of its certificate with those above it, PEM.
	Chain string `key:"chain"`
	// A name in the certificate by which wallets know the service (x509_san_dns). Empty: they know it by the
	// certificate's hash (x509_hash), as HAIP wants it.
	DNSName string `key:"dns_name"`
	// What the link to a wallet begins with: openid4vp://, haip-vp://, or an https URL that a wallet has
	// claimed. Empty: openid4vp://.
	Wallet string `key:"wallet"`
	// File of the certificates to which issuers of SD-JWT VCs must lead, PEM.
	IssuerRoots string `key:"issuer_roots"`
	// File of the certificates to which issuers of mdocs must lead (IACA), PEM.
	MdocRoots string `key:"mdoc_roots"`
	// File of the certificates to which status lists must lead, PEM. Empty: a credential that has a status is
	// refused.
	StatusRoots string `key:"status_roots"`
	// Let a phone scan the request from another device's page. HAIP advises against it: who is led to scan
	// somebody else's code logs them in.
	CrossDevice bool `key:"cross_device"`
}

// Identity is the contracts with agencies (본인확인기관).
type Identity struct {
	// Whose window verifies by phone: nice, checkplus (NICE's older interface), kcb or danal. Empty: none.
	Phone string `key:"phone"`
	// Whose window verifies by i-PIN: nice. Empty: none.
	IPIN      string    `key:"ipin"`
	NICE      NICE      `key:"nice"`
	CheckPlus CheckPlus `key:"checkplus"`
	KCB       KCB       `key:"kcb"`
	Danal     Danal     `key:"danal"`
	// Most time for one call, 1s to 30s.
	Timeout time.Duration `key:"timeout"`
}

// NICE is a contract for NICE 통합인증.
type NICE struct {
	// Base URL; empty: https://auth.niceid.co.kr.
	URL string `key:"url"`
	// Identifier of the institution.
	ClientID string `key:"client_id"`
	// Its secret (secret).
	ClientSecret Secret `key:"client_secret"`
	// The svc_types of the phone; empty: M.
	PhoneService string `key:"phone_service"`
	// The svc_types of the i-PIN, which the contract tells.
	IPINService string `key:"ipin_service"`
	// Take the keys from the derived bytes, and not from their base64url text, should NICE say so.
	RawKeys bool `key:"raw_keys"`
	// Which of 0 and 1 stands for a man; empty: 1.
	Male string `key:"male"`
	// Which of 0 and 1 stands for a foreigner; empty: 1.
	Foreign string `key:"foreign"`
}

// CheckPlus is a contract for NICE's older interface.
type CheckPlus struct {
	// Base URL; empty: https://svc.niceapi.co.kr:22001.
	URL string `key:"url"`
	// URL of the window; empty: NICE's.
	WindowURL string `key:"window_url"`
	// Identifier of the institution.
	ClientID string `key:"client_id"`
	// Its secret (secret).
	ClientSecret Secret `key:"client_secret"`
	// The product under contract.
	ProductID string `key:"product_id"`
	// Which of 0 and 1 stands for a man; empty: 1.
	Male string `key:"male"`
	// Which of 0 and 1 stands for a foreigner; empty: 1.
	Foreign string `key:"foreign"`
	// Result codes that mean that the citizen cancelled.
	Cancelled []string `key:"cancelled"`
}

// KCB is a contract with KCB, behind the institution's sidecar.
type KCB struct {
	// Base URL of the sidecar, https or on a loopback host.
	URL string `key:"url"`
	// URL of the window; empty: KCB's.
	WindowURL string `key:"window_url"`
	// Key of the sidecar (secret).
	Key Secret `key:"key"`
	// Code of the institution (CP_CD), 12 characters.
	Member string `key:"member"`
	// What the citizen reads in the window.
	SiteName string `key:"site_name"`
	// What they find in their history.
	SiteURL string `key:"site_url"`
	// Result codes that mean that the citizen cancelled.
	Cancelled []string `key:"cancelled"`
}

// Danal is a contract for Danal's UAS.
type Danal struct {
	// URL of the service; empty: Danal's.
	URL string `key:"url"`
	// URL of the window; empty: Danal's.
	WindowURL string `key:"window_url"`
	// Identifier of the institution (CPID).
	Member string `key:"member"`
	// Its password (secret).
	Password Secret `key:"password"`
	// The address that the carriers' message shows.
	SiteURL string `key:"site_url"`
	// Result codes that mean that the citizen cancelled.
	Cancelled []string `key:"cancelled"`
}

// Certificates is the trust in certificates.
type Certificates struct {
	// File of the root certificates that are trusted, PEM: KISA's, which the installation obtains itself.
	Roots string `key:"roots"`
	// File of the certificates of the authorities below the roots, PEM.
	Authorities string `key:"authorities"`
	// The roots are those of a test hierarchy. Never true where real citizens log in.
	Test bool `key:"test"`
	// Directories and responders as host:port, from which revocation lists and status answers may be
	// fetched when a certificate names them; nothing else is asked.
	Directories []string `key:"directories"`
	// OCSP responders that are asked before the revocation list, each as the O of the authority's
	// certificate and the responder's URL, with = between: yessign=http://ocsp.example:4612.
	OCSP []string `key:"ocsp"`
	// Send a nonce to the responders, and refuse an answer without it.
	OCSPNonce bool `key:"ocsp_nonce"`
	// How long after its end the last known answer still serves when no fresh one is to be had, 0s to
	// 72h. 0s: no login without a fresh answer.
	Grace time.Duration `key:"grace"`
	// The level of a proof that rests on an answer within grace, 1 to 3.
	GraceLevel method.Level `key:"grace_level"`
	// Most time for one question about a certificate's status, 1s to 30s.
	Timeout time.Duration `key:"timeout"`
}

// JointCert is the method of joint certificates.
type JointCert struct {
	// Offer the method. It needs certificates.roots and certificates.authorities then, and ucpid,
	// resolver_url or both.
	Enabled bool `key:"enabled"`
	// File of the certificate to which the page encrypts R, PEM: RSA, of 2048 bits at least, and used for
	// nothing else. It is needed where the resident number is asked for.
	RecipientCert string `key:"recipient_cert"`
	// File of its private key, PEM.
	RecipientKey string `key:"recipient_key"`
	// Certificate policies that are taken, in dotted decimals, of persons' joint certificates; a site may
	// take fewer. Empty: those for every purpose (범용), and for banking and its like, of all authorities.
	Policies []string `key:"policies"`
	// Authorities, by the O of their certificates, whose certificates the yeskey account can ask about
	// (UCPID).
	UCPID []string `key:"ucpid"`
	// The law by which this installation may ask for the resident registration number at registration
	// (개인정보 보호법 24조의2). The number is used in memory and forgotten. Empty: it is not asked for.
	ResidentNumberBasis string `key:"resident_number_basis"`
	// Who turns a resident registration number into the CI where UCPID does not give it: the base URL of
	// the institution's connector, https or on a loopback host. Empty: nobody.
	ResolverURL string `key:"resolver_url"`
	// Key for the connector (secret).
	ResolverKey Secret `key:"resolver_key"`
}

// FinancialCert is the method of financial certificates.
type FinancialCert struct {
	// Offer the method. It needs certificates.roots and the yeskey account then.
	Enabled bool `key:"enabled"`
	// URL of the signer's script.
	Script string `key:"script"`
	// Code of the institution, 10 characters.
	OrgCode string `key:"org_code"`
	// Key of the institution for the script; it is no secret.
	APIKey string `key:"api_key"`
	// What the signer gives back: cms, or pkcs1 and a second signature.
	Format string `key:"format"`
}

// Yeskey is the account at KFTC.
type Yeskey struct {
	// Base URL of the service.
	APIURL string `key:"api_url"`
	// Identifier of the account.
	ClientID string `key:"client_id"`
	// Secret of the account (secret).
	ClientSecret Secret `key:"client_secret"`
	// Identifier of this server, as registered.
	ServerID string `key:"server_id"`
	// Code of the institution for identifiers of a person there (DI), 12 characters.
	CPCode string `key:"cp_code"`
	// Which of 0 and 1 stands for a man in its answers; KFTC's contract says it. Empty: the gender is left
	// out.
	Male string `key:"male"`
	// Most time for one call, 1s to 30s.
	Timeout time.Duration `key:"timeout"`
}

// Notice is the channels of messages to citizens.
type Notice struct {
	Webhook Webhook `key:"webhook"`
	SMTP    SMTP    `key:"smtp"`
}

// Webhook hands messages to the institution's own messaging system (docs/operations.md).
type Webhook struct {
	// URL to which messages are posted, https or on a loopback host. Empty: no webhook.
	URL string `key:"url"`
	// Key that signs them (secret), 16 characters at least.
	Secret Secret `key:"secret"`
}

// SMTP sends messages as mail, to those who gave an address.
type SMTP struct {
	// host:port of the mail server. Empty: no mail.
	Address string `key:"address"`
	// starttls: encrypted after the greeting. implicit: from the first byte. none: only to a loopback host.
	TLS string `key:"tls"`
	// Name of the account; empty: none.
	Username string `key:"username"`
	// Its password (secret).
	Password Secret `key:"password"`
	// The sender, such as no-reply@id.example.go.kr.
	From string `key:"from"`
}

// Logout is the delivery of logout tokens (OIDC Back-Channel Logout).
type Logout struct {
	// A site that does not confirm is told again for this time, 1m to 720h.
	Within time.Duration `key:"within"`
	// Most time for one try, 1s to 30s.
	Timeout time.Duration `key:"timeout"`
}

// Retention is how long what is kept, as the institution's privacy policy says it.
type Retention struct {
	// How far back citizens see their history (인증 이력), 2160h to 17520h.
	History time.Duration `key:"history"`
	// How long a message's code serves to say that it was not oneself (내가 아님), 1h to 8760h.
	Alerts time.Duration `key:"alerts"`
	// How long the record of what was agreed to is kept after a withdrawal, found by the number of the
	// citizen's receipt only, 0s to 87600h. 0s: it goes with the rest.
	Consents time.Duration `key:"consents"`
	// The law by which it is kept; needed with consents.
	ConsentsBasis string `key:"consents_basis"`
}

// Outbound is the guard of requests to the outside.
type Outbound struct {
	// Address ranges that may be reached though they are loopback, private or otherwise not public,
	// such as 10.20.0.0/16. Public addresses need no entry.
	Allow []netip.Prefix `key:"allow"`
	// File of further certificate authorities to trust, PEM; empty: the system's only.
	CA string `key:"ca"`
}

// Log is the log's form.
type Log struct {
	// debug, info, warn or error.
	Level string `key:"level"`
	// text or json.
	Format string `key:"format"`
}

// Default returns the configuration of an installation that sets nothing. It lacks the secrets, which
// have no default, so it does not validate by itself.
func Default() Config {
	return Config{
		Issuer:  "http://127.0.0.1:8080",
		Listen:  "127.0.0.1:8080",
		Data:    "data",
		Storage: Storage{Driver: "sqlite", Postgres: Postgres{MaxConns: 20}},
		KV:      KV{Driver: "sql", Redis: Redis{Mode: "single", PoolSize: 20}},
		Branding: Branding{
			Name:       "정부 통합인증(Any-ID)",
			NameEn:     "Any-ID",
			CallCenter: "1688-0990",
		},
		Session: Session{Idle: 30 * time.Minute, Absolute: 10 * time.Hour},
		Tokens: Tokens{
			Code:            30 * time.Second,
			Access:          10 * time.Minute,
			ID:              10 * time.Minute,
			RefreshIdle:     30 * 24 * time.Hour,
			RefreshAbsolute: 90 * 24 * time.Hour,
		},
		Keys:   Keys{Publish: 24 * time.Hour, Retire: 48 * time.Hour},
		Login:  Login{Attempt: 15 * time.Minute, PushesPerPhone: 5, PushWindow: 10 * time.Minute},
		Limits: Limits{Credential: 300, Window: time.Minute},
		Levels: method.DefaultLevels(),
		Simple: Simple{
			AuthURL:        "https://auth.linkhub.co.kr",
			APIURL:         "https://barocert.linkhub.co.kr",
			Providers:      []string{"kakao", "naver", "pass", "toss"},
			ExpireIn:       5 * time.Minute,
			VerifyPath:     "verify",
			Timeout:        5 * time.Second,
			TransportLevel: 1,
		},
		MobileID: MobileID{
			ExpireIn: 3 * time.Minute, PINLevel: 3,
			MIP: MIP{KeyName: "sp.rsa.1", Timeout: 3 * time.Second, Cards: []string{
				"residentcard/domestic=모바일 주민등록증", "driverlicen=모바일 운전면허증", "aliencard/foreign=모바일 외국인등록증",
			}},
		},
		Identity:      Identity{Timeout: 5 * time.Second},
		Certificates:  Certificates{GraceLevel: 2, Timeout: 5 * time.Second},
		FinancialCert: FinancialCert{Script: "https://4user.yeskey.or.kr/v1/fincert.js", Format: "cms"},
		Yeskey:        Yeskey{APIURL: "https://certapi.yeskey.or.kr", Timeout: 5 * time.Second},
		Notice:        Notice{SMTP: SMTP{TLS: "starttls"}},
		Logout:        Logout{Within: 72 * time.Hour, Timeout: 5 * time.Second},
		Retention:     Retention{History: 365 * 24 * time.Hour, Alerts: 30 * 24 * time.Hour},
		Log:           Log{Level: "info", Format: "text"},
	}
}
