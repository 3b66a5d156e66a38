package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func runCommand(a *app) *cobra.Command {
	var r wire.JobRequest
	cmd := &cobra.Command{
		Use:   "run collect|reconcile|clouds|guard|flatten|isolate",
		Short: "Run a job of the daemon now",
		Long: `Run a job of the daemon now, and show what it did; with --dry-run, what it would
do.

  collect    marks disks whose time is over, and frees the space of marked ones
             whose grace period is over
  reconcile  compares the trash with the catalog and finishes what is half-done
  clouds     asks the clouds' own APIs for what their events did not say
  guard      checks the guard of every pool with a canary
  flatten    makes disks independent of the images they were cloned from, where
             the policy says so (quarantinectl parents)
  isolate    copies disks to the evidence pool, where a policy or a person wants
             it, and goes on with copies that were cut short

Nothing to do, or acts that failed, are exit status 5. A job that stopped before
its end failed (1), and says why.
` + exitHelp(exitDone, exitFailed, exitUsage, exitPartial, exitUnreachable),
		Example: `  quarantinectl run collect --dry-run
  quarantinectl run guard`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: jobs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
		if !slices.Contains(jobs, args[0]) {
			return fmt.Errorf("%w: %q is none of %s", errUsage, args[0], strings.Join(jobs, ", "))
		}
		rep, err := c.RunJob(ctx, args[0], r)
		if err != nil {
			return err
		}
		return a.report(rep)
	})
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "show what it would do, and do nothing")
	cmd.Flags().BoolVar(&r.ConfirmClock, "confirm-clock", false, "your word that the daemon's clock is right, after a jump (admin)")
	return cmd
}

// report prints what a job did, and says whether that is well.
func (a *app) report(rep quarantine.Report) error {
	if err := a.print(rep, func(p *page) { reportTable(p, rep) }); err != nil {
		return err
	}
	switch failed := rep.Failed(); {
	case rep.Stopped != "":
		return hint(fmt.Errorf("%w: %s stopped: %s", errFailed, rep.Job, rep.Stopped), "quarantinectl doctor")
	case failed > 0:
		return fmt.Errorf("%w: %d of %d acts of %s failed", errPartial, failed, len(rep.Items), rep.Job)
	case len(rep.Items) == 0:
		return errNothing
	}
	return nil
}

func reportTable(p *page, rep quarantine.Report) {
	for _, n := range rep.Notes {
		p.line("note: %s", n)
	}
	var rows [][]string
	var bytes int64
	for _, it := range rep.Items {
		result := it.Reason
		switch {
		case it.Error != "":
			result = "failed: " + beside(it.Error, it.Reason)
		case it.Act == "purge":
			bytes += it.Bytes
		}
		room := ""
		if it.Bytes > 0 {
			room = size(it.Bytes)
		}
		rows = append(rows, []string{it.Act, either(it.Disk), either(it.Name, it.Pool), room, result})
	}
	would, freed := "", " freed"
	if rep.DryRun {
		would, freed = "would do ", " to free"
	}
	if len(rows) == 0 {
		p.line("%s: %snothing", rep.Job, would)
		return
	}
	p.grid([]column{{title: "ACT"}, {title: "DISK"}, {title: "NAME", fit: cut}, {title: "SIZE", right: true, extra: true}, {title: "RESULT", fit: wrap}}, rows)
	line := fmt.Sprintf("%s: %s%d acts, %d failed", rep.Job, would, len(rep.Items), rep.Failed())
	if bytes > 0 {
		line += ", " + size(bytes) + freed
	}
	p.line("%s", line)
}
