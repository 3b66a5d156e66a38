package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func holdCommand(a *app) *cobra.Command {
	var r wire.HoldRequest
	var f manyFlags
	var isolate bool
	cmd := &cobra.Command{
		Use:   "hold ID|--vm VM|--project P|… --case CASE --reason TEXT",
		Short: "Place a legal hold: a disk never expires while one is open",
		Long: `Place a legal hold on a disk, or on all that selectors choose (all of which must
be true). While any hold is open a disk never expires; one that was expiring
goes back into quarantine. A second hold of the same case is success and changes
nothing. A case that nobody has opened is opened, with the reason as its title.

With selectors it asks first, with --dry-run it lists the disks only. When it
was cut short, or some disks failed (5), run it again: it goes on. What is
deleted later is held with quarantinectl standing place.

With --isolate each disk is copied to the evidence pool after it is held
(quarantinectl isolate).
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitPartial, exitUnreachable),
		Example: `  quarantinectl hold 3fa1c09be2d47a55 --case CERT-17 --reason "under investigation"
  quarantinectl hold --user mallory --case CERT-17 --reason "under investigation"`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if err := oneOrMany(args, f.selects(), f); err != nil {
			return err
		}
		if f.selects() {
			wanted := func(d wire.Disk) bool { return !holds(d, r.CaseID) || isolate && isolable(d) }
			return a.onMany(ctx, c, f, "hold", wanted, func(ctx context.Context, d wire.Disk) error {
				_, err := c.Hold(ctx, d.ID, r)
				if err == nil && isolate && isolable(d) {
					_, err = c.Isolate(ctx, d.ID, wire.IsolateRequest{Reason: r.Reason}, nil)
				}
				return err
			})
		}
		d, err := c.Hold(ctx, args[0], r)
		if err != nil {
			return err
		}
		if !isolate || !isolable(d) {
			return a.changed(d, "on hold for case %s", r.CaseID)
		}
		if err := a.isolate(ctx, c, d.ID, wire.IsolateRequest{Reason: r.Reason}); err != nil {
			return fmt.Errorf("disk %s is on hold for case %s, and is not copied: %w", d.ID, r.CaseID, err)
		}
		return nil
	})
	holdFlags(cmd, &r)
	cmd.Flags().BoolVar(&isolate, "isolate", false, "copy it to the evidence pool, too")
	f.add(cmd)
	completeWith(cmd, "case", a.completeCaseFlag)
	return cmd
}

// isolable reports whether the disk is no copy, and has none.
func isolable(d wire.Disk) bool { return d.CopyOf == nil && len(d.Copies) == 0 }

// oneOrMany checks that either a disk or a selection is named.
func oneOrMany(args []string, selects bool, f manyFlags) error {
	switch {
	case selects && len(args) > 0:
		return fmt.Errorf("%w: name a disk, or select many, not both", errUsage)
	case selects:
		return nil
	case len(args) == 0:
		return fmt.Errorf("%w: name a disk by its id, or select many", errUsage)
	case f.dryRun:
		return fmt.Errorf("%w: --dry-run is for many disks", errUsage)
	}
	return checkID(args[0])
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
