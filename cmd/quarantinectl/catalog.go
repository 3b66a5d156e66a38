package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
)

func catalogCommand(a *app) *cobra.Command {
	return group(a, "catalog", "The index of the disks", "The index of the disks.", catalogRebuildCommand(a))
}

func catalogRebuildCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Recreate the catalog from the records on the images",
		Long: `Recreate the catalog from the records on the images in Ceph. It takes an admin's
token, and asks first. Purged disks, whose images are gone, are not in the
records. Nothing to do, or records that failed, are exit status 5.
` + exitHelp(exitDone, exitFailed, exitUsage, exitPartial, exitUnreachable),
		Example: "  quarantinectl catalog rebuild --yes",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := a.confirm(yes, "Rebuild the catalog from the images?"); err != nil {
				return err
			}
			rep, err := c.RebuildCatalog(ctx)
			if err != nil {
				return err
			}
			return a.report(rep)
		}),
	}
	yesFlag(cmd, &yes)
	return cmd
}
