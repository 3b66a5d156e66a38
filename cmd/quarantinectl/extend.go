package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
)

func extendCommand(a *app) *cobra.Command {
	var until, by, reason string
	cmd := &cobra.Command{
		Use:   "extend ID --until DATE|--by DURATION --reason TEXT",
		Short: "Keep a disk longer",
		Long: `Keep a disk longer. --until is a time or a date, --by is counted from the
present date, or from now where that has passed. A date can only grow: an
earlier one is refused (4).
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitRefused, exitUnreachable),
		Example: `  quarantinectl extend 3fa1c09be2d47a55 --by 30d --reason "case 4711"
  quarantinectl extend 3fa1c09be2d47a55 --until 2027-06-30 --reason "case 4711"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		r := wire.ExtendRequest{Reason: reason}
		err := checkID(args[0])
		if err == nil && until != "" {
			r.Until, err = parseTime(until)
		} else if err == nil {
			r.Until, err = a.later(ctx, c, args[0], by)
		}
		if err != nil {
			return err
		}
		d, err := c.Extend(ctx, args[0], r)
		if err != nil {
			return err
		}
		return a.changed(d, "kept until %s", exact(d.RetainUntil))
	})
	cmd.Flags().StringVar(&until, "until", "", "the new `date`")
	cmd.Flags().StringVar(&by, "by", "", "how much longer: a `duration` such as 30d, 36h, 2w, 1y")
	cmd.MarkFlagsOneRequired("until", "by")
	cmd.MarkFlagsMutuallyExclusive("until", "by")
	reasonFlag(cmd, &reason)
	return cmd
}

// later is the disk's date, or now where that has passed, and the duration.
func (a *app) later(ctx context.Context, c *client.Client, id, by string) (time.Time, error) {
	d, err := parseDuration(by)
	if err != nil {
		return time.Time{}, err
	}
	disk, err := c.Disk(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	from := disk.RetainUntil
	if now := a.clock().UTC().Truncate(time.Second); from.Before(now) {
		from = now
	}
	return from.Add(d), nil
}
