package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func releaseCommand(a *app) *cobra.Command {
	var r wire.HoldRequest
	cmd := &cobra.Command{
		Use:   "release ID --case CASE --reason TEXT",
		Short: "Lift the hold of a case",
		Long: `Lift the hold of a case. It takes an admin's token. The disk expires when its
time is over, if no other hold is open. Not found (3) is a disk without an open
hold of that case, too.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl release 3fa1c09be2d47a55 --case CERT-17 --reason "case closed"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			d, err := c.Release(ctx, args[0], r)
			if err != nil {
				return err
			}
			if d.Held {
				return a.changed(d, "the hold of case %s is lifted; another is still open", r.CaseID)
			}
			return a.changed(d, "the hold of case %s is lifted; kept until %s", r.CaseID, exact(d.RetainUntil))
		}),
	}
	holdFlags(cmd, &r)
	return cmd
}
