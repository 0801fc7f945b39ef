package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/storage"
)

func migrateCommand() *cobra.Command {
	up := &cobra.Command{
		Use:   "up",
		Short: "Bring the schema up to date, as serve does at its start",
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
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "List the migrations; changes nothing",
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
			var rows [][]string
			for _, m := range list {
				state := "pending"
				if !m.AppliedAt.IsZero() {
					state = "applied " + m.AppliedAt.UTC().Format(time.RFC3339)
				}
				rows = append(rows, []string{fmt.Sprintf("%04d_%s", m.Version, m.Name), state})
			}
			return table(cmd.OutOrStdout(), rows...)
		},
	}
	return group("migrate", "The database's schema", up, status)
}
