package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func purgeCommand(a *app) *cobra.Command {
	var r wire.ReasonRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge ID --reason TEXT",
		Short: "Ask for a disk to go before its time",
		Long: `Ask for a disk to go before its time. It takes two people: an admin other than
you approves the request (quarantinectl request approve). Then the disk is only
marked: the first pass of the collector after the grace period (collect.grace of
the daemon's configuration) frees its space, and until then a hold or an
extension takes it back. It asks first, and is refused (4) under a hold. Where
the daemon's configuration has approvals.required: false, an admin's own word is
enough.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl purge 3fa1c09be2d47a55 --reason "erasure request 12"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		d, err := a.confirmDisk(ctx, c, args[0], yes, "Have it purged early?")
		if err != nil {
			return err
		}
		asked, err := c.Purge(ctx, d.ID, r)
		if err != nil {
			return err
		}
		return a.asked(asked)
	})
	reasonFlag(cmd, &r.Reason)
	yesFlag(cmd, &yes)
	return cmd
}

// confirmDisk shows the disk and asks.
func (a *app) confirmDisk(ctx context.Context, c *client.Client, id string, yes bool, question string) (wire.Disk, error) {
	d, err := look(ctx, c, id)
	if err != nil {
		return wire.Disk{}, err
	}
	if !yes && a.screen.stdin {
		p := &page{width: a.screen.width}
		p.summary(d.Disk)
		showIdentity(p, d.Disk)
		showImage(p, d.Disk)
		if err := write(a.stderr, p.Bytes()); err != nil {
			return wire.Disk{}, err
		}
	}
	return d.Disk, a.confirm(yes, question)
}

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
}

// required marks a flag without which the command is a mistake in the usage.
func required(cmd *cobra.Command, flag string) {
	// It fails for a flag that the command does not have.
	_ = cmd.MarkFlagRequired(flag)
}
