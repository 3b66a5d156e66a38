package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func holdCommand(a *app) *cobra.Command {
	var r wire.HoldRequest
	cmd := &cobra.Command{
		Use:   "hold ID --case CASE --reason TEXT",
		Short: "Place a legal hold: the disk never expires while one is open",
		Long: `Place a legal hold. While any hold is open the disk never expires; a disk that
was expiring goes back into quarantine. A second hold of the same case is
success and changes nothing.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl hold 3fa1c09be2d47a55 --case CERT-17 --reason "under investigation"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			d, err := c.Hold(ctx, args[0], r)
			if err != nil {
				return err
			}
			return a.changed(d, "on hold for case %s", r.CaseID)
		}),
	}
	holdFlags(cmd, &r)
	return cmd
}

// holdFlags are those of hold and release.
func holdFlags(cmd *cobra.Command, r *wire.HoldRequest) {
	cmd.Flags().StringVar(&r.CaseID, "case", "", "`id` of the case")
	required(cmd, "case")
	reasonFlag(cmd, &r.Reason)
}

// reasonFlag is the reason that the custody log keeps.
func reasonFlag(cmd *cobra.Command, reason *string) {
	cmd.Flags().StringVar(reason, "reason", "", "`why`, for the custody log")
	required(cmd, "reason")
}
