// Package stage puts the whole play on one machine: the broker, the simulated counterparts and the
// relying sites, each on its own listener, talking HTTP to each other and nothing else. The command
// anyid-demo shows it to people; end-to-end tests and the benchmark drive it.
package stage

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/demo/petition"
	"github.com/anyid/anyid/internal/demo/qnet"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/sim"
	"github.com/anyid/anyid/internal/sim/agency"
	"github.com/anyid/anyid/internal/sim/ca"
	"github.com/anyid/anyid/internal/sim/fincert"
	"github.com/anyid/anyid/internal/sim/inbox"
	"github.com/anyid/anyid/internal/sim/mobileid"
	"github.com/anyid/anyid/internal/sim/simple"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// Config says where things stand. The zero value is SQLite in a temporary folder on free ports.
type Config struct {
	Data   string // folder of everything that is kept; empty: temporary, removed by Close
	Issuer string // empty: scheme and port of the broker's listener on localhost
	Addresses
	TLSCert  string // PEM files; all endpoints are https with them
	TLSKey   string
	Postgres string // DSN; empty: SQLite in Data
	Redis    string // host:port; empty: short-lived values in the SQL database
	RedisDB  int

	Sites       []site.Document  // beside the two of the play
	Retention   config.Retention // of what the broker keeps; zero fields: as it comes
	People      []Person         // nil: People()
	AutoApprove bool             // phones and wallets answer by themselves
	Log         *slog.Logger     // nil: nothing is logged
	// Ready is called once, when everything answers and the people are as they shall be; nil: nobody asks.
	Ready func()
}

// Addresses are host:port to listen on, on loopback; an empty one is any free port.
type Addresses struct {
	Broker, QNet, Petition, Phone string
	CA                            string // certification authorities: desk, OCSP responder, CI resolver
	Directory                     string // their directory, over LDAP
	FinCert                       string // the financial certificate's cloud
	Wallet                        string // the wallets with the mobile IDs, and what stands around them
	Agency                        string // the agencies that verify identities, with their windows and phones
	Inbox                         string // the messaging system, and the pages with everybody's messages
	Mail                          string // the mail server, over SMTP
}

// Stage is everything, listening. Serve answers; Close puts it away.
type Stage struct {
	App    *app.App
	Phones *simple.Simulator
	People []Person

	PKI     *npkitest.PKI // of the certificates
	CA      *ca.Simulator
	FinCert *fincert.Simulator

	MobileID *mobileid.Simulator
	Agency   *agency.Simulator
	Inbox    *inbox.Simulator

	BrokerURL, QNetURL, PetitionURL, PhoneURL, CAURL, FinCertURL, WalletURL, AgencyURL, InboxURL string
	// Client trusts the stage's certificate.
	Client *http.Client

	directoryURL string
	wallets      map[string]Wallet // by CI

	log       *slog.Logger
	ready     func()
	auto      bool // phones answer by themselves
	data      string
	temporary bool
	listeners map[string]net.Listener
	handlers  map[string]http.Handler
	tls       *tls.Config
}

// The parts of the stage.
const (
	brokerPart   = "broker"
	qnetPart     = "qnet"
	petitionPart = "petition"
	phonePart    = "phone"
	caPart       = "ca"
	ldapPart     = "directory"
	fincertPart  = "fincert"
	walletPart   = "wallet"
	agencyPart   = "agency"
	inboxPart    = "inbox"
	mailPart     = "mail"
)

// Open listens on all addresses, opens the stores, registers the sites and prepares the people. A port
// that is taken is named in the error.
func Open(ctx context.Context, c Config) (_ *Stage, err error) {
	s := &Stage{log: c.Log, ready: c.Ready, auto: c.AutoApprove, People: c.People, data: c.Data, listeners: make(map[string]net.Listener), handlers: make(map[string]http.Handler)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.People == nil {
		s.People = People()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.data == "" {
		s.temporary = true
		if s.data, err = os.MkdirTemp("", "anyid-demo-"); err != nil {
			return nil, fmt.Errorf("stage: %w", err)
		}
	}
	if err := s.listen(c.Addresses); err != nil {
		return nil, err
	}
	if err := s.name(c); err != nil {
		return nil, err
	}
	if err := s.openPhones(c); err != nil {
		return nil, err
	}
	if err := s.openCertificates(); err != nil {
		return nil, err
	}
	if err := s.openWallets(); err != nil {
		return nil, err
	}
	if err := s.openAgency(); err != nil {
		return nil, err
	}
	if err := s.openInbox(); err != nil {
		return nil, err
	}
	kept, err := s.secrets()
	if err != nil {
		return nil, err
	}
	if err := s.openBroker(ctx, c, kept); err != nil {
		return nil, err
	}
	if err := s.openSites(kept); err != nil {
		return nil, err
	}
	return s, nil
}

// listen opens the listeners.
func (s *Stage) listen(a Addresses) error {
	for part, address := range map[string]string{
		brokerPart: a.Broker, qnetPart: a.QNet, petitionPart: a.Petition, phonePart: a.Phone,
		caPart: a.CA, ldapPart: a.Directory, fincertPart: a.FinCert, walletPart: a.Wallet, agencyPart: a.Agency,
		inboxPart: a.Inbox, mailPart: a.Mail,
	} {
		if address == "" {
			address = "127.0.0.1:0"
		}
		listener, err := sim.Listen(address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s for the %s is taken: stop what listens there, or choose another address", address, part)
		}
		if err != nil {
			return fmt.Errorf("stage: %s: %w", part, err)
		}
		s.listeners[part] = listener
	}
	return nil
}

// name works out everybody's URL, and who trusts whom.
func (s *Stage) name(c Config) error {
	scheme := "http"
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if c.TLSCert != "" {
		scheme = "https"
		certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return fmt.Errorf("stage: certificate: %w", err)
		}
		s.tls = app.TLSConfig(certificate)
		pem, err := os.ReadFile(c.TLSCert)
		if err != nil {
			return fmt.Errorf("stage: certificate: %w", err)
		}
		roots.AppendCertsFromPEM(pem)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: true}
	s.Client = &http.Client{Transport: transport, Timeout: 30 * time.Second}

	host := "localhost"
	s.BrokerURL = c.Issuer
	if c.Issuer != "" {
		issuer, err := url.Parse(c.Issuer)
		if err != nil || issuer.Hostname() == "" {
			return fmt.Errorf("stage: issuer %q is no URL", c.Issuer)
		}
		host = issuer.Hostname()
	}
	address := func(scheme, part string) string {
		_, port, _ := net.SplitHostPort(s.listeners[part].Addr().String())
		return scheme + "://" + net.JoinHostPort(host, port)
	}
	if s.BrokerURL == "" {
		s.BrokerURL = address(scheme, brokerPart)
	}
	s.QNetURL, s.PetitionURL, s.PhoneURL = address(scheme, qnetPart), address(scheme, petitionPart), address(scheme, phonePart)
	s.CAURL, s.FinCertURL, s.directoryURL = address(scheme, caPart), address(scheme, fincertPart), address("ldap", ldapPart)
	s.WalletURL, s.AgencyURL, s.InboxURL = address(scheme, walletPart), address(scheme, agencyPart), address(scheme, inboxPart)
	return nil
}

// hostOf is the host and port of a URL of the stage's.
func hostOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return rest
}

// openPhones starts the simulated providers and the phones on one listener.
func (s *Stage) openPhones(c Config) (err error) {
	var people []simple.Person
	for _, p := range s.People {
		people = append(people, p.atProvider())
	}
	if s.Phones, err = simple.New(simple.Config{People: people, AutoApprove: c.AutoApprove}); err != nil {
		return fmt.Errorf("stage: phones: %w", err)
	}
	mux := http.NewServeMux()
	auth, api := s.Phones.AuthHandler(), s.Phones.APIHandler()
	for _, path := range []string{"/Time", "/BAROCERT/"} {
		mux.Handle(path, auth)
	}
	for _, path := range []string{"/KAKAO/", "/NAVER/", "/PASS/", "/TOSS/"} {
		mux.Handle(path, api)
	}
	mux.Handle("/", s.Phones.PhoneHandler())
	s.handlers[phonePart] = mux
	return nil
}

// kept are the secrets that must be the same when the play goes on with the same folder.
type kept struct {
	Sealing, CIIndex, Subject string
	QNet, Petition            string // client secrets
}

// secrets reads the play's secrets, or makes them at the first start.
func (s *Stage) secrets() (k kept, err error) {
	path := filepath.Join(s.data, "secrets.json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &k)
		return k, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return k, fmt.Errorf("stage: secrets: %w", err)
	}
	key := func() string {
		var b [secret.KeySize]byte
		_, _ = rand.Read(b[:])
		return base64.StdEncoding.EncodeToString(b[:])
	}
	k = kept{Sealing: "demo:" + key(), CIIndex: key(), Subject: key(), QNet: secret.NewHandle(), Petition: secret.NewHandle()}
	if text, err = json.Marshal(k); err != nil {
		return k, err
	}
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return k, fmt.Errorf("stage: secrets: %w", err)
	}
	return k, os.WriteFile(path, text, 0o600)
}

// layConfig writes anyid.yaml, by which the command line finds the broker's stores. JSON is YAML too.
func (s *Stage) layConfig(c *config.Config, k kept) error {
	folder, err := filepath.Abs(c.Data)
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	redis := map[string]any{"addresses": c.KV.Redis.Addresses, "db": c.KV.Redis.DB}
	text, err := json.MarshalIndent(map[string]any{
		"issuer": c.Issuer, "data": folder,
		"secrets": map[string]any{"sealing": []string{k.Sealing}, "ci_index": k.CIIndex, "subject": k.Subject},
		"storage": map[string]any{"driver": c.Storage.Driver, "postgres": map[string]any{"dsn": string(c.Storage.Postgres.DSN)}},
		"kv":      map[string]any{"driver": c.KV.Driver, "redis": redis},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	return os.WriteFile(filepath.Join(s.data, "anyid.yaml"), append(text, '\n'), 0o600)
}

// openBroker opens the broker as `anyid serve` would, and registers the sites as `anyid site apply`
// would.
func (s *Stage) openBroker(ctx context.Context, c Config, k kept) error {
	settings := config.Default()
	settings.Issuer = s.BrokerURL
	settings.Listen = s.listeners[brokerPart].Addr().String()
	settings.TLS = config.TLS{Cert: c.TLSCert, Key: c.TLSKey}
	settings.Data = filepath.Join(s.data, "broker")
	settings.Secrets = config.Secrets{Sealing: []config.Secret{config.Secret(k.Sealing)}, CIIndex: config.Secret(k.CIIndex), Subject: config.Secret(k.Subject)}
	if c.Postgres != "" {
		settings.Storage.Driver, settings.Storage.Postgres.DSN = "postgres", config.Secret(c.Postgres)
	}
	if c.Redis != "" {
		settings.KV.Driver, settings.KV.Redis.Addresses, settings.KV.Redis.DB = "redis", []string{c.Redis}, c.RedisDB
	}
	settings.Simple.Enabled = true
	settings.Simple.AuthURL, settings.Simple.APIURL = s.PhoneURL, s.PhoneURL
	settings.Simple.LinkID, settings.Simple.ClientCode = s.Phones.LinkID(), s.Phones.ClientCode()
	settings.Simple.SecretKey = config.Secret(s.Phones.SecretKey())
	settings.Simple.TrustedRoots = filepath.Join(s.data, "providers.pem")
	if err := os.WriteFile(settings.Simple.TrustedRoots, s.Phones.Roots(), 0o600); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	settings.Outbound = config.Outbound{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, CA: c.TLSCert}
	// One machine plays all citizens, so what would be a flood elsewhere is none here.
	settings.Limits.Credential, settings.Login.PushesPerPhone = 1_000_000, 100
	settings.Login.PushWindow = time.Minute
	if err := s.trustCertificates(&settings); err != nil {
		return err
	}
	if err := s.trustWallets(&settings); err != nil {
		return err
	}
	s.trustAgency(&settings)
	s.trustInbox(&settings)
	r := &settings.Retention
	r.History, r.Alerts = cmp.Or(c.Retention.History, r.History), cmp.Or(c.Retention.Alerts, r.Alerts)
	r.Consents, r.ConsentsBasis = c.Retention.Consents, c.Retention.ConsentsBasis
	if err := settings.Validate(); err != nil {
		return fmt.Errorf("stage: %w", err)
	}
	if err := s.layConfig(&settings, k); err != nil {
		return err
	}
	broker, err := app.Open(ctx, &settings, s.log)
	if err != nil {
		return err
	}
	s.App = broker
	documents := append([]site.Document{s.qnetDocument(k), s.petitionDocument(k)}, c.Sites...)
	for i := range documents {
		documents[i].Site = documents[i].WithDefaults()
		if err := documents[i].Validate(); err != nil {
			return err
		}
	}
	if _, err := site.Apply(ctx, broker.DB.Sites(), documents, false, false, audit.Operator("demo"), time.Now()); err != nil {
		return fmt.Errorf("stage: sites: %w", err)
	}
	return broker.Sites.Refresh(ctx)
}

func (s *Stage) qnetDocument(k kept) site.Document {
	return site.Document{Secret: k.QNet, Site: site.Site{
		ID: "qnet", Name: "큐넷(Q-Net)", NameEnglish: "Q-Net",
		Institution:  site.Institution{ID: "hrdkorea", Name: "한국산업인력공단(시연)", NameEnglish: "HRD Korea (demonstration)"},
		RedirectURIs: []string{s.QNetURL + "/anyid/callback"}, PostLogoutRedirectURIs: []string{s.QNetURL + "/logged-out"},
		LoginURL: s.QNetURL + "/login", HomeURL: s.QNetURL + "/", RequirePKCE: true,
		BackchannelLogoutURI: s.QNetURL + "/logout/backchannel", BackchannelLogoutSessionRequired: true,
		SessionLifetime: 3600, // the FAQ of its guide: 60 minutes
		Scopes:          []string{site.ScopeOpenID, site.ScopeProfile, site.ScopePhone, site.ScopeCI},
		HandOver: site.HandOver{
			Version: "2026-11-01", Purpose: "국가자격시험 원서접수와 회원 확인", Retention: "회원 탈퇴 시까지",
			PurposeEnglish: "Exam applications and checking who is a member", RetentionEnglish: "Until the membership ends",
			CIBasis: "국가기술자격법 시행령 제33조의2 (시연용 문구)",
		},
	}}
}

func (s *Stage) petitionDocument(k kept) site.Document {
	return site.Document{Secret: k.Petition, Site: site.Site{
		ID: "minwon", Name: "민원마당", NameEnglish: "Petition portal",
		Institution:  site.Institution{ID: "moel", Name: "고용노동부(시연)", NameEnglish: "Ministry of Employment and Labor (demonstration)"},
		RedirectURIs: []string{s.PetitionURL + "/anyid/callback"}, PostLogoutRedirectURIs: []string{s.PetitionURL + "/logged-out"},
		LoginURL: s.PetitionURL + "/", HomeURL: s.PetitionURL + "/", RequirePKCE: true, SigningAlg: "RS256",
		BackchannelLogoutURI: s.PetitionURL + "/logout/backchannel", BackchannelLogoutSessionRequired: true,
		FrontchannelLogoutURI: s.PetitionURL + "/logout/frontchannel", FrontchannelLogoutSessionRequired: true,
		// The portal has a sector of its own, though the demonstration runs on one host: its citizens
		// are not Q-Net's.
		Sector: "minwon",
		Scopes: []string{site.ScopeOpenID, site.ScopeProfile},
		HandOver: site.HandOver{
			Version: "2026-11-01", Purpose: "민원 신청인 확인", Retention: "민원 처리 완료 후 3년",
			PurposeEnglish: "Checking who files a petition", RetentionEnglish: "3 years after the petition is closed",
			Basis: "민원 처리에 관한 법률 (시연용 문구)",
		},
	}}
}

// openSites makes the relying sites.
func (s *Stage) openSites(k kept) error {
	var members []qnet.Member
	for _, p := range s.People {
		if p.QNetID != "" {
			members = append(members, p.atQNet())
		}
	}
	exam, err := qnet.New(qnet.Config{
		BaseURL: s.QNetURL, Issuer: s.BrokerURL, ClientID: "qnet", ClientSecret: k.QNet,
		DataDir: filepath.Join(s.data, "qnet"), HTTPClient: s.Client, Members: members, Log: s.log,
	})
	if err != nil {
		return err
	}
	portal, err := petition.New(petition.Config{
		BaseURL: s.PetitionURL, Issuer: s.BrokerURL, ClientID: "minwon", ClientSecret: k.Petition, HTTPClient: s.Client, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.handlers[qnetPart], s.handlers[petitionPart] = exam, portal
	return nil
}

// Serve answers on all listeners until the context ends or one fails.
func (s *Stage) Serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	failed := make(chan error, len(s.listeners)+1)
	serve := func(part string, run func() error) {
		running.Go(func() {
			defer stop()
			if err := run(); err != nil {
				failed <- fmt.Errorf("stage: %s: %w", part, err)
			}
		})
	}
	serve(brokerPart, func() error { return s.App.Serve(ctx, s.listeners[brokerPart]) })
	serve(ldapPart, func() error { return s.CA.ServeLDAP(ctx, s.listeners[ldapPart]) })
	serve(mailPart, func() error { return s.Inbox.ServeMail(ctx, s.listeners[mailPart]) })
	for part, handler := range s.handlers {
		listener := s.listeners[part]
		if s.tls != nil {
			listener = tls.NewListener(listener, s.tls)
		}
		serve(part, func() error { return sim.Serve(ctx, listener, handler) })
	}
	switch err := s.register(ctx); {
	case ctx.Err() != nil:
	case err != nil:
		failed <- err
		stop()
	case s.ready != nil:
		s.ready()
	}
	running.Wait()
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Close closes the listeners and stores, and removes what was temporary.
func (s *Stage) Close() error {
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.App != nil {
		errs = append(errs, s.App.Close())
	}
	if s.temporary {
		errs = append(errs, os.RemoveAll(s.data))
	}
	return errors.Join(errs...)
}
