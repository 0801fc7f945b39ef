package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anyid/anyid/internal/app"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/notice"
)

// mostCases bounds a list of cases.
const mostCases = 1000

func sessionCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list PERSON",
		Short: "List a person's sessions; that you did is written down",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			if err := looked(ctx, a, args[0], "sessions"); err != nil {
				return err
			}
			sessions, err := a.DB.Sessions().Sessions(ctx, args[0])
			if err != nil {
				return err
			}
			rows := [][]string{{"ID", "SINCE", "METHOD", "LEVEL", "SITES"}}
			for _, s := range sessions {
				rows = append(rows, []string{s.ID, s.At.Format(time.RFC3339), string(s.Method), strconv.Itoa(int(s.Level)), strings.Join(s.Sites, " ")})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	var person string
	end := &cobra.Command{
		Use:   "end [SESSION]",
		Short: "End a session, or all of a person's, and tell the sites",
		Args:  cobra.MaximumNArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			why := logout.Why{Cause: logout.Operator, Actor: actor()}
			if person != "" {
				_, n, err := a.Logout.EndAll(ctx, person, "", why)
				if err == nil {
					cmd.Printf("%d sessions have ended; the service tells their sites\n", n)
				}
				return err
			}
			_, err := a.Logout.End(ctx, args[0], why)
			if fault.Is(err, fault.NotFound) {
				return fmt.Errorf("there is no session %q", args[0])
			}
			if err == nil {
				cmd.Println("the session has ended; the service tells its sites")
			}
			return err
		}),
	}
	end.PreRunE = func(_ *cobra.Command, args []string) error {
		if (person == "") == (len(args) == 0) {
			return errors.New("name a session, or a person by --person")
		}
		return nil
	}
	end.Flags().StringVar(&person, "person", "", "end all sessions of this person")
	return group("session", "Citizens' sessions", list, end)
}

func caseCommand() *cobra.Command {
	var all bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List the open cases of people who say that it was not them (내가 아님)",
		Args:  cobra.NoArgs,
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, _ []string) error {
			state := notice.Open
			if all {
				state = ""
			}
			cases, err := a.DB.Notices().Cases(ctx, state, mostCases)
			if err != nil {
				return err
			}
			rows := [][]string{{"ID", "OPENED", "STATE", "ABOUT", "METHOD", "SITE"}}
			for _, c := range cases {
				rows = append(rows, []string{c.ID, c.OpenedAt.Format(time.RFC3339), string(c.State), string(c.Kind), string(c.Method), c.Site})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	list.Flags().BoolVar(&all, "all", false, "closed cases too")
	show := &cobra.Command{
		Use:   "show CASE",
		Short: "Show a case and its person's id; that you did is written down",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			c, err := a.DB.Notices().Case(ctx, args[0])
			if fault.Is(err, fault.NotFound) {
				return fmt.Errorf("there is no case %q", args[0])
			}
			if err != nil {
				return err
			}
			if err := looked(ctx, a, c.Person, "case"); err != nil {
				return err
			}
			rows := [][]string{
				{"id", c.ID}, {"state", string(c.State)}, {"person", c.Person}, {"about", string(c.Kind)}, {"method", string(c.Method)},
				{"provider", c.Provider}, {"site", c.Site}, {"opened", c.OpenedAt.Format(time.RFC3339)},
			}
			if c.State == notice.Closed {
				rows = append(rows, []string{"closed", c.ClosedAt.Format(time.RFC3339)}, []string{"by", c.ClosedBy}, []string{"note", c.Note})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	var note string
	closing := &cobra.Command{
		Use:   "close CASE --note TEXT",
		Short: "Close a case, and lift the block that it set",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			err := a.Account.CloseCase(ctx, actor(), args[0], note)
			switch {
			case fault.Is(err, fault.NotFound):
				return fmt.Errorf("there is no case %q", args[0])
			case fault.Is(err, fault.Conflict):
				return fmt.Errorf("the case %q is closed already", args[0])
			case err == nil:
				cmd.Println("the case is closed, and its block lifted")
			}
			return err
		}),
	}
	closing.Flags().StringVar(&note, "note", "", "what was found; nothing personal")
	_ = closing.MarkFlagRequired("note")
	return group("case", "Disputes of citizens", list, show, closing)
}

func receiptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "receipt NUMBER",
		Short: "Show what is retained of a registration that has ended, by the number of the citizen's receipt",
		Args:  cobra.ExactArgs(1),
		RunE: opened(func(ctx context.Context, a *app.App, cmd *cobra.Command, args []string) error {
			kept, err := a.Account.Retained(ctx, args[0])
			if fault.Is(err, fault.NotFound) {
				return errors.New("nothing is retained under this number")
			}
			if err != nil {
				return err
			}
			event := audit.New(time.Now(), audit.OperatorRead, actor())
			event.Detail = map[string]string{"what": "receipt"}
			if err := a.DB.Audit().Record(ctx, event); err != nil {
				return err
			}
			for _, k := range kept {
				cmd.Printf("%s: kept since %s, destroyed on %s, by %s\n%s\n", k.Class, k.KeptAt.Format(time.DateOnly), k.DestroyAt.Format(time.DateOnly), k.Basis, k.Content)
			}
			return nil
		}),
	}
}

// looked writes down that an operator reads of a person, before they do.
func looked(ctx context.Context, a *app.App, person, what string) error {
	event := audit.New(time.Now(), audit.OperatorRead, actor())
	event.Person, event.Detail = person, map[string]string{"what": what}
	return a.DB.Audit().Record(ctx, event)
}
