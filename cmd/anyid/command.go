package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/config"
)

// command is the whole command line.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "anyid",
		Short: "Any-ID: single sign-on for government sites, over OpenID Connect",
		Long: `Any-ID is an OpenID Connect provider that stands in front of Korea's ways of proving who one is.

Every command reads the same configuration: a YAML file (--config or ANYID_CONFIG), ANYID_… variables,
and --set key=value, in rising precedence. configs/anyid.example.yaml explains each key.

Results go to standard output, the log and errors to standard error. The exit status is 0, or 1 after an
error.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(os.Stdout)
	config.AddFlags(root.PersistentFlags())
	root.AddCommand(serveCommand(), migrateCommand(), siteCommand(), keyCommand(), sessionCommand(), caseCommand(), receiptCommand(), auditCommand(), configCommand(), doctorCommand(), certCommand())
	return root
}

// group is a command that only has others below it. Called without one of them it shows its help; an
// unknown one is an error, which cobra would answer with the help alone.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:   use,
		Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			return fmt.Errorf("unknown command %q for %q; there are %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
		},
	}
	g.AddCommand(commands...)
	return g
}

// version is the module's version, as the go command stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// load reads the configuration, and lets libraries log as it says.
func load(cmd *cobra.Command) (*config.Config, error) {
	c, err := config.Load(config.Options{Env: os.Environ(), Flags: cmd.Flags()})
	if err != nil {
		return nil, err
	}
	slog.SetDefault(logger(c.Log, cmd.ErrOrStderr()))
	return c, nil
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

// table prints rows in columns.
func table(w io.Writer, rows ...[]string) error {
	columns := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(columns, strings.Join(row, "\t"))
	}
	return columns.Flush()
}
