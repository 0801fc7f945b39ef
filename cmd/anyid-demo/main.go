// Command anyid-demo runs everything on one machine: the broker, the simulated providers with the
// citizens' phones, wallets and inbox, the certification authorities with the citizens' certificates, and two relying sites.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/stage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "anyid-demo: "+err.Error())
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var c stage.Config
	var sites, people string
	var verbose bool
	cmd := &cobra.Command{
		Use:           "anyid-demo",
		Short:         "Any-ID with everything around it, on this machine",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (c.TLSCert == "") != (c.TLSKey == "") {
				return errors.New("--tls-cert and --tls-key go together")
			}
			if sites != "" {
				text, err := os.ReadFile(sites)
				if err != nil {
					return err
				}
				if c.Sites, err = site.ParseFile(text, os.LookupEnv); err != nil {
					return err
				}
			}
			if people != "" {
				var err error
				if c.People, err = stage.ReadPeople(people); err != nil {
					return err
				}
			}
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelInfo
			}
			c.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			slog.SetDefault(c.Log) // for what the sites' servers tell package log: broken handshakes and the like
			return run(cmd.Context(), c, cmd.OutOrStdout())
		},
	}
	cmd.SetOut(os.Stdout)
	f := cmd.Flags()
	f.StringVar(&c.Data, "data", "", "folder of everything that is kept (default: a temporary one, removed at the end)")
	f.StringVar(&c.Issuer, "issuer", "", "issuer URL (default: http(s)://localhost and the port of --listen)")
	f.StringVar(&c.Broker, "listen", "127.0.0.1:8080", "address of the broker")
	f.StringVar(&c.QNet, "listen-qnet", "127.0.0.1:8081", "address of Q-Net")
	f.StringVar(&c.Petition, "listen-minwon", "127.0.0.1:8082", "address of the second site")
	f.StringVar(&c.Phone, "listen-phone", "127.0.0.1:8090", "address of the phones and the simulated providers")
	f.StringVar(&c.CA, "listen-ca", "127.0.0.1:8091", "address of the certification authorities")
	f.StringVar(&c.FinCert, "listen-fincert", "127.0.0.1:8092", "address of the financial certificate's cloud")
	f.StringVar(&c.Wallet, "listen-wallet", "127.0.0.1:8093", "address of the wallets with the mobile IDs")
	f.StringVar(&c.Agency, "listen-agency", "127.0.0.1:8094", "address of the agencies that verify by phone and i-PIN")
	f.StringVar(&c.Inbox, "listen-inbox", "127.0.0.1:8095", "address of the inbox, where messages to the people arrive")
	f.StringVar(&c.Mail, "listen-mail", "127.0.0.1:8025", "address of its mail server (SMTP)")
	f.StringVar(&c.Directory, "listen-directory", "127.0.0.1:8389", "address of the authorities' directory (LDAP)")
	f.StringVar(&c.TLSCert, "tls-cert", "", "certificate file (PEM) for localhost; all endpoints are https with it")
	f.StringVar(&c.TLSKey, "tls-key", "", "its private key file (PEM)")
	f.StringVar(&c.Postgres, "postgres", "", "keep what must survive in this PostgreSQL database (DSN)")
	f.StringVar(&c.Redis, "redis", "", "keep short-lived values in this Redis (host:port)")
	f.StringVar(&sites, "sites", "", "register the relying sites of this file too")
	f.StringVar(&people, "demo-people", "", "play with the people of this JSON file")
	f.BoolVar(&c.AutoApprove, "auto-approve", false, "phones and wallets answer by themselves")
	f.BoolVar(&verbose, "verbose", false, "log every request")
	return cmd
}

func run(ctx context.Context, c stage.Config, out io.Writer) (err error) {
	var s *stage.Stage
	c.Ready = func() { introduce(out, s, c) }
	if s, err = stage.Open(ctx, c); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = s.Serve(ctx)
	_, _ = fmt.Fprintln(out, "\nstopped")
	return err
}

// introduce says where everything is and what to do there.
func introduce(out io.Writer, s *stage.Stage, c stage.Config) {
	store := "SQLite"
	if c.Postgres != "" {
		store = "PostgreSQL"
	}
	if c.Redis != "" {
		store += " and Redis"
	}
	_, _ = fmt.Fprintf(out, `Any-ID is running on %s.

  %-30s Q-Net, an exam site: start here, choose 로그인, then 정부 통합로그인(Any-ID)
  %-30s the phones: approve (승인) or refuse (거절) what arrives there
  %-30s the wallets with the mobile IDs (모바일 신분증): scan, approve, refuse
  %-30s the agencies that verify by phone (문자) and i-PIN: codes, IDs and passwords
  %-30s the inbox: what people are told of logins and changes, by 알림톡 and mail
  %-30s the certification authorities: apply for a joint certificate, hold it, revoke it
  %-30s the financial certificate's cloud, which the broker's page opens by itself
  %-30s 민원마당, a second site: log in after Q-Net, and nobody asks again
  %-30s the broker (issuer); discovery at /.well-known/openid-configuration

People to play with (docs/demo.md); any provider will do:
`, store, s.QNetURL, s.PhoneURL, s.WalletURL, s.AgencyURL, s.InboxURL, s.CAURL, s.FinCertURL, s.PetitionURL, s.BrokerURL)
	for _, p := range s.People {
		phone := p.Phone
		if phone == "" {
			phone = "(no phone)"
		}
		_, _ = fmt.Fprintf(out, "  %s  %s  %-12s %s\n", p.BirthDate, phone, p.Name, p.Note)
	}
	introduceWallets(out, s)
	introduceCertificates(out, s)
	if c.AutoApprove {
		_, _ = fmt.Fprintln(out, "\nPhones and wallets approve by themselves (--auto-approve).")
	}
	_, _ = fmt.Fprintln(out, "\nCtrl-C stops everything.")
}

// introduceWallets says where everybody's wallet is.
func introduceWallets(out io.Writer, s *stage.Stage) {
	_, _ = fmt.Fprintln(out, "\nTheir wallets with mobile IDs, each on a phone's page:")
	for _, p := range s.People {
		if address := s.MobileID.WalletURL(p.Phone); address != "" {
			_, _ = fmt.Fprintf(out, "  %-45s %s\n", address, p.Name)
		}
	}
}

// introduceCertificates says where the people's certificates are and how they are opened.
func introduceCertificates(out io.Writer, s *stage.Stage) {
	_, _ = fmt.Fprintf(out, `
Their certificates, with more about them at %s/people: resident number (asked for at the registration),
password of the joint certificate, PIN of the financial certificate, and the folder of NPKI, beside which
the same lies as one file, .p12:
`, s.CAURL)
	for _, p := range s.People {
		if w := s.Wallet(p); w.Folder != "" || w.PIN != "" {
			_, _ = fmt.Fprintf(out, "  %s-%s  %-13s %-7s %s\n", w.Number[:6], w.Number[6:], cmp.Or(w.Password, "-"), cmp.Or(w.PIN, "-"), cmp.Or(w.Folder, "-"))
		}
	}
}
