package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
)

func auditCommand() *cobra.Command {
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the whole chain and check every checkpoint's signature",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			report, err := audit.Verify(ctx, a.DB.Audit(), a.Keys)
			if err != nil {
				return fmt.Errorf("%w (%d events before it hold)", err, report.Links)
			}
			cmd.Printf("%d events and %d checkpoints hold; %d events wait to be chained\n", report.Links, report.Checkpoints, report.Backlog)
			if report.Links == 0 {
				return nil
			}
			cmd.Printf("head: position %d, hash %s\n", report.Head.Position, report.Head.Hash)
			return nil
		}),
	}
	return group("audit", "The audit chain", verify)
}
