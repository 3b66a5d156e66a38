package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func collectCommand(a *app) *cobra.Command {
	return group(a, "collect", "Pause removals, and lift that", `Pause removals, and lift that. A pass is run with quarantinectl run collect.`,
		collectPauseCommand(a), collectResumeCommand(a))
}

func collectPauseCommand(a *app) *cobra.Command {
	var r wire.PauseRequest
	var until string
	cmd := &cobra.Command{
		Use:   "pause --reason TEXT",
		Short: "Remove nothing, until that is lifted",
		Long: `Remove nothing, until that is lifted or a time comes: no disk expires or is
purged, and a pass that is under way begins with no other disk. Disks are
captured, held, restored and exported as ever. A second pause replaces the
first.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl collect pause --reason "incident 17"
  quarantinectl collect pause --reason "maintenance of Ceph" --until 2026-12-01`,
		Args: cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			if until != "" {
				var err error
				if r.Until, err = parseTime(until); err != nil {
					return err
				}
			}
			p, err := c.Pause(ctx, r)
			if err != nil {
				return err
			}
			return a.print(p, func(out *page) { out.line("%s", pauseWord(p)) })
		}),
	}
	reasonFlag(cmd, &r.Reason)
	cmd.Flags().StringVar(&until, "until", "", "`time` at which the pause ends by itself")
	return cmd
}

func collectResumeCommand(a *app) *cobra.Command {
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "resume --reason TEXT",
		Short: "Lift a pause: removals go on",
		Long: `Lift a pause: the next pass removes what is due. It takes an admin's token, and
asks first. quarantinectl run collect --dry-run says what is due once it is
lifted.
` + exitHelp(exitDone, exitFailed, exitUsage, exitRefused, exitUnreachable),
		Example: `  quarantinectl collect resume --reason "incident 17 is closed"`,
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			if err := a.confirm(yes, "Let removals go on? The next pass frees the disks that are due."); err != nil {
				return err
			}
			if err := c.Resume(ctx, wire.ReasonRequest{Reason: reason}); err != nil {
				if errors.Is(err, quarantine.ErrRefused) {
					return hint(err, "quarantinectl status")
				}
				return err
			}
			return a.print(map[string]bool{"paused": false}, func(p *page) { p.line("removals go on") })
		}),
	}
	reasonFlag(cmd, &reason)
	yesFlag(cmd, &yes)
	return cmd
}

// pauseWord says a pause in a sentence.
func pauseWord(p quarantine.Pause) string {
	until := ""
	if !p.Until.IsZero() {
		until = " until " + p.Until.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("removals are paused%s, by %s since %s: %s", until, p.By, moment(p.Since), p.Reason)
}
