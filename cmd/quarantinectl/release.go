package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func releaseCommand(a *app) *cobra.Command {
	var r wire.HoldRequest
	var f manyFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "release ID|--all|--vm VM|… --case CASE --reason TEXT",
		Short: "Lift the hold of a case",
		Long: `Lift the hold of a case on a disk, or on all that selectors choose among what
the case holds (--all: on all of it). It takes an admin's token. A disk expires
when its time is over, if no other hold is open. Not found (3) is a disk without
an open hold of that case, too.

With selectors it asks first, with --dry-run it lists the disks only. When it
was cut short, or some disks failed (5), run it again: it goes on.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitPartial, exitUnreachable),
		Example: `  quarantinectl release 3fa1c09be2d47a55 --case CERT-17 --reason "case closed"
  quarantinectl release --project physics --case CERT-17 --reason "not concerned"`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		many := all || f.selects()
		if err := oneOrMany(args, many, f); err != nil {
			return err
		}
		if many {
			f.query.CaseID = r.CaseID
			return a.onMany(ctx, c, f, "release", func(d wire.Disk) bool { return holds(d, r.CaseID) }, func(ctx context.Context, d wire.Disk) error {
				_, err := c.Release(ctx, d.ID, r)
				return err
			})
		}
		d, err := c.Release(ctx, args[0], r)
		if err != nil {
			return err
		}
		if d.Held {
			return a.changed(d, "the hold of case %s is lifted; another is still open", r.CaseID)
		}
		return a.changed(d, "the hold of case %s is lifted; kept until %s", r.CaseID, exact(d.RetainUntil))
	})
	holdFlags(cmd, &r)
	f.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that the case holds")
	completeWith(cmd, "case", a.completeCaseFlag)
	return cmd
}
