package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/site"
)

func siteCommand() *cobra.Command {
	return group("site", "Relying sites", applyCommand(), listCommand(), showCommand(), secretCommand(), removeCommand())
}

func applyCommand() *cobra.Command {
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
			printChanges(cmd, changes, dry)
			return err
		}),
	}
	apply.Flags().StringVarP(&file, "file", "f", "", "sites file, as configs/sites.example.yaml")
	apply.Flags().BoolVar(&prune, "prune", false, "remove sites that the file does not name")
	apply.Flags().BoolVar(&dry, "dry-run", false, "show the difference only")
	_ = apply.MarkFlagRequired("file")
	return apply
}

// printChanges shows what applying a sites file changes.
func printChanges(cmd *cobra.Command, changes []site.Change, dry bool) {
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

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the sites",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			sites, _, err := a.DB.Sites().Sites(ctx)
			if err != nil {
				return err
			}
			rows := [][]string{{"ID", "NAME", "AUTHENTICATION", "STATE"}}
			for _, s := range sites {
				state := "enabled"
				if s.Disabled {
					state = "disabled"
				}
				rows = append(rows, []string{s.ID, s.Name, string(s.AuthMethod), state})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
}

// registered returns a site as it is stored, whether it is enabled or not.
func registered(ctx context.Context, a *app.App, id string) (site.Registered, error) {
	sites, _, err := a.DB.Sites().Sites(ctx)
	if err != nil {
		return site.Registered{}, err
	}
	for _, s := range sites {
		if s.ID == id {
			return s, nil
		}
	}
	return site.Registered{}, fault.New(fault.NotFound, "site %q is not registered; anyid site list shows those that are", id)
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one site as a sites file has it",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			s, err := registered(ctx, a, args[0])
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
					until = ", ends " + secret.ExpiresAt.UTC().Format(time.RFC3339)
				}
				cmd.Printf("# a client secret since %s%s\n", secret.CreatedAt.UTC().Format(time.RFC3339), until)
			}
			return nil
		}),
	}
}

func secretCommand() *cobra.Command {
	var overlap time.Duration
	secret := &cobra.Command{
		Use:   "secret ID",
		Short: "Give a site a new client secret, and show it once",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			s, err := registered(ctx, a, args[0])
			switch {
			case err != nil:
				return err
			case s.AuthMethod == site.Public:
				return fmt.Errorf("site %q is a public client, which has no secret", s.ID)
			case overlap < 0:
				return fmt.Errorf("--overlap %s: want 0s or more", overlap)
			}
			value, err := site.NewSecret(ctx, a.DB.Sites(), s.ID, overlap, actor(), time.Now())
			if err != nil {
				return err
			}
			cmd.Println(value)
			return nil
		}),
	}
	secret.Flags().DurationVar(&overlap, "overlap", 7*24*time.Hour, "how long the older secrets live on; 0s ends them at once")
	return secret
}

func removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a site and its secrets",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			if _, err := registered(ctx, a, args[0]); err != nil {
				return err
			}
			event := audit.New(time.Now(), audit.SiteRemoved, actor())
			event.Site = args[0]
			if err := a.DB.Sites().RemoveSite(ctx, args[0], event); err != nil {
				return err
			}
			cmd.Println("removed " + args[0])
			return nil
		}),
	}
}
