package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/keys"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/storage"
)

// command is the whole command line.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "anyid",
		Short: "Any-ID: single sign-on for government sites, over OpenID Connect",
		Long: `Any-ID is an OpenID Connect provider that stands in front of Korea's ways of proving who one is.

Every command reads the same configuration: a YAML file (--config or ANYID_CONFIG), ANYID_… variables,
and --set key=value, in rising precedence. configs/anyid.example.yaml explains each key.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(os.Stdout)
	config.AddFlags(root.PersistentFlags())
	root.AddCommand(serveCommand(), migrateCommand(), siteCommand(), keyCommand(), auditCommand(), configCommand(), doctorCommand())
	return root
}

// version is the module's version, as the go command stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func load(cmd *cobra.Command) (*config.Config, error) {
	return config.Load(config.Options{Env: os.Environ(), Flags: cmd.Flags()})
}

func logger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// opened runs a command on the opened installation.
func opened(run func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		c, err := load(cmd)
		if err != nil {
			return err
		}
		a, err := app.Open(cmd.Context(), c, logger(c.Log, cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		return run(cmd.Context(), a, cmd, args)
	}
}

// actor is who works on the command line, for the audit.
func actor() string {
	if u, err := user.Current(); err == nil {
		return audit.Operator(u.Username)
	}
	return audit.Operator("unknown")
}

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.Listen)
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			logger(a.Config.Log, cmd.ErrOrStderr()).Info("serving", "issuer", a.Config.Issuer, "listen", listener.Addr().String())
			return a.Serve(ctx, listener)
		}),
	}
}

func migrateCommand() *cobra.Command {
	migrate := &cobra.Command{Use: "migrate", Short: "The database's schema"}
	migrate.AddCommand(&cobra.Command{
		Use:   "up",
		Short: "Bring the schema up to date",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			taken, err := storage.Migrate(cmd.Context(), app.StorageConfig(c))
			if err != nil {
				return err
			}
			for _, m := range taken {
				cmd.Printf("applied %04d_%s\n", m.Version, m.Name)
			}
			if len(taken) == 0 {
				cmd.Println("up to date")
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "status",
		Short: "List the migrations",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			list, err := storage.Status(cmd.Context(), app.StorageConfig(c))
			if err != nil {
				return err
			}
			for _, m := range list {
				state := "pending"
				if !m.AppliedAt.IsZero() {
					state = "applied " + m.AppliedAt.Format(time.RFC3339)
				}
				cmd.Printf("%04d_%s\t%s\n", m.Version, m.Name, state)
			}
			return nil
		},
	})
	return migrate
}

func keyCommand() *cobra.Command {
	key := &cobra.Command{Use: "key", Short: "Signing keys"}
	key.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the keys and their part at present",
		Args:  cobra.NoArgs,
		RunE: opened(func(_ context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, k := range a.Keys.List() {
				part := "retired"
				switch {
				case k.Signing:
					part = "signing"
				case k.Published:
					part = "published"
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\tfrom %s\n", k.Algorithm, k.ID, part, k.ActiveAt.Format(time.RFC3339))
			}
			return w.Flush()
		}),
	})
	var alg string
	var now bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key: published at once, signing after keys.publish, the old one kept for keys.retire",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			k, err := a.Keys.Rotate(ctx, keys.Algorithm(alg), now, actor())
			if err != nil {
				return err
			}
			cmd.Printf("%s %s signs from %s\n", k.Algorithm, k.ID, k.ActiveAt.Format(time.RFC3339))
			return nil
		}),
	}
	rotate.Flags().StringVar(&alg, "alg", string(keys.ES256), "ES256 or RS256")
	rotate.Flags().BoolVar(&now, "now", false, "sign with the new key at once; for a key that leaked")
	key.AddCommand(rotate)
	return key
}

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "The audit chain"}
	cmd.AddCommand(&cobra.Command{
		Use:   "verify",
		Short: "Recompute the whole chain and check every checkpoint's signature",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			report, err := audit.Verify(ctx, a.DB.Audit(), a.Keys)
			cmd.Printf("%d events and %d checkpoints hold; %d events wait to be chained\n", report.Links, report.Checkpoints, report.Backlog)
			if err != nil {
				return err
			}
			cmd.Printf("head: position %d, hash %s\n", report.Head.Position, report.Head.Hash)
			return nil
		}),
	})
	return cmd
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "The configuration"}
	cmd.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Read the configuration and report every fault in it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			cmd.Print(c.String())
			cmd.Println("ok")
			return nil
		},
	})
	return cmd
}

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Explain the state of configuration, stores, keys and providers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			failing := 0
			for _, f := range app.Doctor(cmd.Context(), c) {
				cmd.Printf("%-8s %-9s %s\n", f.Health, f.Area, f.What)
				if f.Advice != "" {
					cmd.Printf("%-8s %-9s → %s\n", "", "", f.Advice)
				}
				if f.Health == app.Failing {
					failing++
				}
			}
			if failing > 0 {
				return fmt.Errorf("%d things must be mended", failing)
			}
			return nil
		},
	}
}

func siteCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "site", Short: "Relying sites"}
	var file string
	var prune, dry bool
	apply := &cobra.Command{
		Use:   "apply -f sites.yaml",
		Short: "Make the registry as a file describes it, and show the difference",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			documents, err := site.ParseFile(text, os.LookupEnv)
			if err != nil {
				return err
			}
			changes, err := site.Apply(ctx, a.DB.Sites(), documents, prune, dry, actor(), time.Now())
			show(cmd, changes, dry)
			return err
		}),
	}
	apply.Flags().StringVarP(&file, "file", "f", "", "sites file")
	apply.Flags().BoolVar(&prune, "prune", false, "remove sites that the file does not name")
	apply.Flags().BoolVar(&dry, "dry-run", false, "show the difference only")
	_ = apply.MarkFlagRequired("file")

	list := &cobra.Command{
		Use:   "list",
		Short: "List the sites",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			sites, _, err := a.DB.Sites().Sites(ctx)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			for _, s := range sites {
				state := "enabled"
				if s.Disabled {
					state = "disabled"
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.ID, s.Name, s.AuthMethod, state)
			}
			return w.Flush()
		}),
	}
	showOne := &cobra.Command{
		Use:   "show ID",
		Short: "Show one site as a sites file has it",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(_ context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			s, err := a.Sites.Lookup(args[0])
			if err != nil {
				return err
			}
			text, err := site.Format(s.Site)
			if err != nil {
				return err
			}
			cmd.Print(text)
			for _, secret := range s.Secrets {
				until := ""
				if !secret.ExpiresAt.IsZero() {
					until = ", ends " + secret.ExpiresAt.Format(time.RFC3339)
				}
				cmd.Printf("# a client secret since %s%s\n", secret.CreatedAt.Format(time.RFC3339), until)
			}
			return nil
		}),
	}
	var overlap time.Duration
	secret := &cobra.Command{
		Use:   "secret ID",
		Short: "Give a site a new client secret, and show it once",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			value, err := site.NewSecret(ctx, a.DB.Sites(), args[0], overlap, actor(), time.Now())
			if err != nil {
				return err
			}
			cmd.Println(value)
			return nil
		}),
	}
	secret.Flags().DurationVar(&overlap, "overlap", 7*24*time.Hour, "how long the older secrets live on")
	remove := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a site",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			event := audit.New(time.Now(), audit.SiteRemoved, actor())
			event.Site = args[0]
			return a.DB.Sites().RemoveSite(ctx, args[0], event)
		}),
	}
	cmd.AddCommand(apply, list, showOne, secret, remove)
	return cmd
}

// show prints what applying a sites file changes.
func show(cmd *cobra.Command, changes []site.Change, dry bool) {
	sign := map[site.ChangeKind]string{site.Created: "+", site.Updated: "~", site.Unchanged: "=", site.Removed: "-"}
	for _, c := range changes {
		cmd.Printf("%s %s\n", sign[c.Kind], c.ID)
		for _, f := range c.Fields {
			cmd.Printf("    %s: %s → %s\n", f.Field, orNone(f.Before), orNone(f.After))
		}
		switch {
		case c.NewSecret != "":
			cmd.Printf("    client_secret: %s  (shown this once)\n", c.NewSecret)
		case c.AddSecret:
			cmd.Println("    client_secret: a new one")
		}
	}
	if dry {
		cmd.Println("nothing was written (--dry-run)")
	}
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
