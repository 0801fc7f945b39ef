package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
)

func configCommand() *cobra.Command {
	check := &cobra.Command{
		Use:   "check",
		Short: "Read the configuration and report every fault in it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			if faults := app.Check(c); len(faults) > 0 {
				text := "the service would not start:"
				for _, err := range faults {
					text += "\n  " + strings.Join(strings.Fields(err.Error()), " ")
				}
				return errors.New(text)
			}
			cmd.Print(c.String())
			cmd.Println("ok")
			return nil
		},
	}
	return group("config", "The configuration", check)
}

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Explain the state of configuration, stores, keys, sites and providers; fails if something must be mended",
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
			switch failing {
			case 0:
				return nil
			case 1:
				return errors.New("one thing must be mended")
			}
			return fmt.Errorf("%d things must be mended", failing)
		},
	}
}
