package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func standingCommand(a *app) *cobra.Command {
	return group(a, "standing", "Hold what is yet to be deleted",
		`Hold what is yet to be deleted: all that somebody deletes from now on, say.`,
		standingPlaceCommand(a), standingListCommand(a), standingReleaseCommand(a))
}

func standingPlaceCommand(a *app) *cobra.Command {
	r := wire.StandingRequest{}
	var until string
	values := map[quarantine.StandingKind]*string{}
	cmd := &cobra.Command{
		Use:   "place --case CASE --user|--project|… VALUE --reason TEXT",
		Short: "Hold all that will be deleted and that a selector matches",
		Long: `Hold all that will be deleted from now on and that a selector matches, until it
is released or its time is over. A disk is held before it is in quarantine, or
as soon as it is known whose it was. What was deleted before is held with
quarantinectl hold.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl standing place --case CERT-17 --user mallory --reason "under investigation"
  quarantinectl standing place --case CERT-17 --address 192.0.2.7 --until 2027-01-01 --reason "the same"`,
		Args: cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			for kind, v := range values {
				if *v != "" {
					r.Kind, r.Value = kind, *v
				}
			}
			if until != "" {
				var err error
				if r.Until, err = parseTime(until); err != nil {
					return err
				}
			}
			s, err := c.PlaceStanding(ctx, r)
			if err != nil {
				return err
			}
			return a.print(s, func(p *page) { p.line("standing hold %s: %s %s, for case %s", s.ID, s.Kind, s.Value, s.CaseID) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.CaseID, "case", "", "`id` of the case")
	required(cmd, "case")
	reasonFlag(cmd, &r.Reason)
	flags.StringVar(&until, "until", "", "`time` at which it ends by itself")
	var names []string
	for kind, what := range map[quarantine.StandingKind]string{
		quarantine.StandingUser: "`name` or id of the owner, or of who deletes it", quarantine.StandingDeleter: "`name` or id of who deletes it",
		quarantine.StandingProject: "`name` or id of the project", quarantine.StandingVM: "`name` or id of the VM",
		quarantine.StandingAddress: "`IP` or MAC that the VM has", quarantine.StandingCloud: "`name` of the cloud",
	} {
		values[kind] = flags.String(string(kind), "", what)
		names = append(names, string(kind))
	}
	cmd.MarkFlagsOneRequired(names...)
	cmd.MarkFlagsMutuallyExclusive(names...)
	completeWith(cmd, "case", a.completeCaseFlag)
	return cmd
}

func standingListCommand(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the standing holds",
		Long:    "List the standing holds that are not released, the oldest first.\n" + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl standing list --all",
		Args:    cobra.NoArgs,
		Aliases: []string{"ls"},
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			found, err := c.StandingHolds(ctx)
			if err != nil {
				return err
			}
			if !all {
				found = slices.DeleteFunc(found, func(s quarantine.StandingHold) bool { return !s.ReleasedAt.IsZero() })
			}
			return a.print(found, func(p *page) {
				if len(found) == 0 {
					p.line("no standing hold")
					return
				}
				standingTable(p, found)
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "released ones too")
	return cmd
}

func standingTable(p *page, holds []quarantine.StandingHold) {
	var rows [][]string
	for _, s := range holds {
		end := either(day(s.Until))
		if !s.ReleasedAt.IsZero() {
			end = "released"
		}
		rows = append(rows, []string{s.ID, s.CaseID, string(s.Kind), s.Value, s.By, day(s.At), end, s.Reason})
	}
	p.grid([]column{{title: "STANDING HOLD"}, {title: "CASE", fit: cut}, {title: "OF"}, {title: "VALUE", fit: cut}, {title: "BY", fit: cut},
		{title: "SINCE", extra: true}, {title: "UNTIL", extra: true}, {title: "REASON", fit: cut, extra: true}}, rows)
}

func standingReleaseCommand(a *app) *cobra.Command {
	var r wire.ReasonRequest
	cmd := &cobra.Command{
		Use:   "release ID --reason TEXT",
		Short: "End a standing hold; what it has held stays held",
		Long: `End a standing hold: what is deleted from now on is not held by it. What it has
held stays held (quarantinectl release). It takes an admin's token.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl standing release 5b2d0c91f7e3a846 --reason "case closed"`,
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.complete(cmd, typed, func(ctx context.Context, c *client.Client, offer func(word, what string)) error {
				found, err := c.StandingHolds(ctx)
				for _, s := range found {
					if s.ReleasedAt.IsZero() {
						offer(s.ID, string(s.Kind)+" "+s.Value+", case "+s.CaseID)
					}
				}
				return err
			})
		},
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			s, err := c.ReleaseStanding(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.print(s, func(p *page) { p.line("standing hold %s is released; what it has held stays held", s.ID) })
		}),
	}
	reasonFlag(cmd, &r.Reason)
	return cmd
}

// completeCaseFlag offers the open cases as a flag's value.
func (a *app) completeCaseFlag(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return a.completeCase(cmd, nil, typed)
}
