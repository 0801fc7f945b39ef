package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/keys"
)

func keyCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the keys, oldest first, and their part at present",
		Args:  cobra.NoArgs,
		RunE: opened(func(_ context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			rows := [][]string{{"ALG", "KID", "STATE"}}
			for _, k := range a.Keys.List() {
				rows = append(rows, []string{string(k.Algorithm), k.ID, keyState(k, time.Now())})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	var alg string
	var now bool
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key: published at once, signing after keys.publish, the old one kept for keys.retire",
		Args:  cobra.NoArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if !slices.Contains(keys.Algorithms(), keys.Algorithm(alg)) {
				return fmt.Errorf("--alg %q: want ES256 or RS256", alg)
			}
			return nil
		},
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			k, err := a.Keys.Rotate(ctx, keys.Algorithm(alg), now, actor())
			if err != nil {
				return err
			}
			cmd.Printf("%s %s signs from %s\n", k.Algorithm, k.ID, k.ActiveAt.UTC().Format(time.RFC3339))
			return nil
		}),
	}
	rotate.Flags().StringVar(&alg, "alg", string(keys.ES256), "ES256 or RS256")
	rotate.Flags().BoolVar(&now, "now", false, "sign with the new key at once; for a key that leaked")
	return group("key", "Signing keys", list, rotate)
}

// keyState tells an operator what a key does now, and until when.
func keyState(k keys.Status, now time.Time) string {
	until := ""
	if !k.RetireAt.IsZero() {
		until = ", published until " + k.RetireAt.UTC().Format(time.RFC3339)
	}
	switch {
	case k.Signing:
		return "signing since " + k.ActiveAt.UTC().Format(time.RFC3339) + until
	case k.Published && k.Overtaken:
		return "published, overtaken by a newer key" + until
	case k.Published && k.ActiveAt.After(now):
		return "published, signs from " + k.ActiveAt.UTC().Format(time.RFC3339)
	case k.Published:
		return "replaced" + until
	}
	return "retired " + k.RetireAt.UTC().Format(time.RFC3339)
}
