package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func cephGuardCommand(a *app) *cobra.Command {
	cmd := group(a, "guard", "Show the guard of pools, and switch it on or off", `Show the guard of pools, and switch it on or off. A guarded pool has the option
rbd_move_to_trash_on_remove: every removal, by anybody, becomes a move to the
trash.`,
		guardShowCommand(a), guardOnCommand(a), guardOffCommand(a))
	return cmd
}

func guardShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show [POOL]",
		Short: "Show the guard of one pool, or of all",
		Long: `Show the guard of one pool, or of all, as it was last seen. quarantinectl run
guard looks again, and quarantinectl doctor judges.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: "  quarantinectl ceph guard show vms",
		Args:    cobra.MaximumNArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if len(args) == 0 {
				all, err := c.Guards(ctx)
				if err != nil {
					return err
				}
				return a.print(all, func(p *page) { guardTable(p, all) })
			}
			st, err := c.Guard(ctx, args[0])
			if err != nil {
				return noPool(err)
			}
			return a.print(st, func(p *page) { guardTable(p, []quarantine.GuardStatus{st}) })
		}),
	}
}

func guardOnCommand(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "on POOL",
		Short: "Switch the guard of a pool on, and verify it",
		Long: `Switch the guard of a pool on, and verify it with a canary. It takes an admin's
token. A guard that does not hold afterwards is a failure (1).
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: "  quarantinectl ceph guard on vms",
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			st, err := c.SetGuard(ctx, args[0], wire.GuardRequest{On: true, Reason: reason})
			if err != nil {
				return noPool(err)
			}
			if err := a.print(st, func(p *page) { guardTable(p, []quarantine.GuardStatus{st}) }); err != nil {
				return err
			}
			if st.Fault != "" {
				return hint(fmt.Errorf("%w: the guard does not hold: %s", errFailed, st.Fault), "quarantinectl doctor")
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the custody log")
	return cmd
}

func guardOffCommand(a *app) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "off POOL --reason TEXT",
		Short: "Switch the guard of a pool off",
		Long: `Switch the guard of a pool off: from then on a deleted disk is gone at once. It
takes an admin's token, and asks first. What is in quarantine stays there.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl ceph guard off scratch --reason "the pool is given up"`,
		Args:    cobra.ExactArgs(1),
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			if err := a.confirm(yes, fmt.Sprintf("Switch the guard of pool %s off? Disks deleted from then on are lost.", args[0])); err != nil {
				return err
			}
			st, err := c.SetGuard(ctx, args[0], wire.GuardRequest{Reason: reason})
			if err != nil {
				return noPool(err)
			}
			return a.print(st, func(p *page) { guardTable(p, []quarantine.GuardStatus{st}) })
		}),
	}
	reasonFlag(cmd, &reason)
	yesFlag(cmd, &yes)
	return cmd
}

func guardTable(p *page, all []quarantine.GuardStatus) {
	var rows [][]string
	for _, st := range all {
		rows = append(rows, []string{st.Pool.PoolRef.String(), guardWord(st), moment(st.CheckedAt), moment(st.CanaryAt), either(st.Pool.Cloud), either(st.Fault)})
	}
	p.grid([]column{{title: "POOL", fit: cut}, {title: "GUARD"}, {title: "CHECKED (UTC)"}, {title: "CANARY FOUND"},
		{title: "CLOUD", fit: cut, extra: true}, {title: "FAULT", fit: wrap}}, rows)
}

func guardWord(st quarantine.GuardStatus) string {
	switch {
	case st.CheckedAt.IsZero() && !st.Pool.Guarded:
		return "none"
	case st.CheckedAt.IsZero():
		return "unknown"
	case st.Setting.On:
		return "on"
	}
	return "off"
}

// noPool puts the right hint beside a pool that is not there.
func noPool(err error) error {
	if errors.Is(err, quarantine.ErrNotFound) {
		return hint(err, "quarantinectl ceph guard show")
	}
	return err
}
