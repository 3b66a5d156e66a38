package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func shortenCommand(a *app) *cobra.Command {
	var until, reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "shorten ID --until DATE --reason TEXT",
		Short: "Ask for a disk to be kept until an earlier date",
		Long: `Ask for a disk to be kept until an earlier date than it was promised. It takes
two people: an admin other than you approves the request (quarantinectl request
approve). It is refused (4) under a hold or compliance, and below the least time
of the disk's rule.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl shorten 3fa1c09be2d47a55 --until 2026-12-01 --reason "erasure request 12"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		at, err := parseTime(until)
		if err != nil {
			return err
		}
		d, err := a.confirmDisk(ctx, c, args[0], yes, "Have it kept until "+exact(at)+" only?")
		if err != nil {
			return err
		}
		asked, err := c.Shorten(ctx, d.ID, wire.ShortenRequest{Until: at, Reason: reason})
		if err != nil {
			return err
		}
		return a.asked(asked)
	})
	cmd.Flags().StringVar(&until, "until", "", "the new `date`")
	required(cmd, "until")
	reasonFlag(cmd, &reason)
	yesFlag(cmd, &yes)
	return cmd
}
