package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

func coverageCommand(a *app) *cobra.Command {
	var cloud, from, to string
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Compare what the clouds deleted with what is in quarantine",
		Long: `Compare what the clouds deleted in a period, by their events and by their own
databases, with what is in quarantine, and the pools with what was live in them
before. Everything that is not plainly captured is named, with a verdict:

  missed       a disk was destroyed and is nowhere, and that was not known yet
  lost         the same, and recorded (quarantinectl list --state lost)
  waiting      the cloud has not removed the disk yet; it is live
  unexplained  in quarantine, and no cloud tells whose it was
  orphaned     a live image of a resource that the cloud does not have
  nothing      deleted, and nothing of it was seen in the pools

Below 100 % the exit status is 5. A cloud that does not answer is a failure and
never 100 %.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitPartial, exitUnreachable),
		Example: `  quarantinectl coverage
  quarantinectl coverage --cloud prod --from 2026-11-01 --to 2026-12-01 -o json`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		var begin, end time.Time
		var err error
		if from != "" {
			if begin, err = parseTime(from); err != nil {
				return err
			}
		}
		if to != "" {
			if end, err = parseTime(to); err != nil {
				return err
			}
		}
		all, err := c.Coverage(ctx, cloud, begin, end)
		if err != nil {
			return err
		}
		return a.coverage(all)
	})
	cmd.Flags().StringVar(&cloud, "cloud", "", "`name` of the cloud; all that have an API where it is left out")
	cmd.Flags().StringVar(&from, "from", "", "deleted at this `time` or later (a day ago)")
	cmd.Flags().StringVar(&to, "to", "", "deleted before this `time` (now)")
	return cmd
}

// coverage prints the result, and says whether it is well.
func (a *app) coverage(all []quarantine.Coverage) error {
	err := a.print(all, func(p *page) {
		for i, c := range all {
			if i > 0 {
				p.line("")
			}
			coverageTable(p, c)
		}
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return hint(fmt.Errorf("%w: no cloud with an API is configured: nothing was compared", errPartial), "set clouds[].api in the daemon's configuration")
	}
	short := 0
	for _, c := range all {
		short += c.Lost + c.Missed
	}
	if short > 0 {
		return hint(fmt.Errorf("%w: %d disks were destroyed and are not in quarantine", errPartial, short), "quarantinectl doctor")
	}
	return nil
}

func coverageTable(p *page, c quarantine.Coverage) {
	var rows [][]string
	for _, v := range c.Verdicts {
		rows = append(rows, []string{v.Verdict, either(v.Image), either(v.Pool), moment(v.At), either(v.ResourceName, v.ResourceID), string(v.Kind), v.Reason})
	}
	if len(rows) > 0 {
		p.grid([]column{{title: "VERDICT"}, {title: "IMAGE", fit: cut}, {title: "POOL", extra: true}, {title: "AT (UTC)"},
			{title: "RESOURCE", fit: cut, extra: true}, {title: "KIND", extra: true}, {title: "REASON", fit: wrap}}, rows)
	}
	p.line("%s: %d of %d disks captured, %s %%, in %d deletions from %s to %s (UTC); %d lost, %d missed, %d unexplained",
		c.Cloud, c.Captured, c.Captured+c.Lost+c.Missed, percent(c), c.Deletions, moment(c.From), moment(c.To), c.Lost, c.Missed, c.Unexplained)
	if c.OrphansAt.IsZero() {
		p.line("orphans were not looked for yet: quarantinectl run clouds")
	}
}

// percent is cut, not rounded: what is not whole must not read as 100.
func percent(c quarantine.Coverage) string {
	return strconv.FormatFloat(math.Floor(c.Percent()*100)/100, 'f', -1, 64)
}
