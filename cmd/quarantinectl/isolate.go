package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func isolateCommand(a *app) *cobra.Command {
	var r wire.IsolateRequest
	cmd := &cobra.Command{
		Use:   "isolate ID --reason TEXT",
		Short: "Copy a disk to the evidence pool, out of the cloud's reach",
		Long: `Copy a disk to the evidence pool, on which no cloud's key has caps. The copy is
independent, its bytes are compared by SHA-256, and it is a disk of its own with
the original's identity, date and holds. The original is not purged before it.

An interrupted copy is gone on with by the job isolate, or by this command. What
a policy wants copied (isolate: true) the job copies by itself.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example:           `  quarantinectl isolate 3fa1c09be2d47a55 --reason "case 4711"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if err := checkID(args[0]); err != nil {
			return err
		}
		return a.isolate(ctx, c, args[0], r)
	})
	reasonFlag(cmd, &r.Reason)
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "say whether it could be copied")
	return cmd
}

// isolate copies one disk, and shows how far it is.
func (a *app) isolate(ctx context.Context, c *client.Client, id string, r wire.IsolateRequest) error {
	bar := a.newProgress("copy and compare", true)
	defer bar.end()
	d, err := c.Isolate(ctx, id, r, bar.at)
	bar.end()
	switch {
	case err != nil:
		return err
	case r.DryRun:
		return a.changed(d, "would be copied, %s", size(d.SizeBytes))
	case d.CopyOf == nil:
		return a.changed(d, "copied")
	}
	return a.changed(d, "the copy of %s in %s, SHA-256 %s", d.CopyOf.Disk, poolOf(d), d.CopyOf.SHA256)
}
