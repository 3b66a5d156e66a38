package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func policySimulateCommand(a *app) *cobra.Command {
	var r wire.SimulateRequest
	var path, from, to string
	cmd := &cobra.Command{
		Use:   "simulate --policies PATH",
		Short: "Replay the history under another policy, and change nothing",
		Long: `Decide about every disk that ever was in quarantine anew, under another policy,
as at its capture, and compare what would have been kept with what was.
Extensions, holds, restores and early purges that people made stay as they were.
The daemon reads its catalog for it, and changes nothing.

In the plot █ is kept by both, ▒ only by the other policy, and ░ only by
what is in force. Neither side has the grace between expire and purge.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: `  quarantinectl policy simulate --policies policies.new
  quarantinectl policy simulate --policies new.yaml --from 2026-09-01 --step 1d --changes 20
  quarantinectl policy simulate --policies new.yaml -o json`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		var err error
		for _, t := range []struct {
			text string
			to   *time.Time
		}{{from, &r.From}, {to, &r.To}} {
			if t.text == "" {
				continue
			}
			if *t.to, err = parseTime(t.text); err != nil {
				return err
			}
		}
		if r.Step != "" {
			if _, err := parseDuration(r.Step); err != nil {
				return err
			}
		}
		sim, err := simulated(ctx, c, path, r)
		if err != nil {
			return err
		}
		return a.print(sim, func(p *page) {
			plot(p, sim)
			outcome(p, sim)
			changes(p, sim)
		})
	})
	policiesFlag(cmd, &path)
	cmd.Flags().StringVar(&from, "from", "", "first `time` of the plot (90 days before the last)")
	cmd.Flags().StringVar(&to, "to", "", "last `time`; disks that died later are left out (now)")
	cmd.Flags().StringVar(&r.Step, "step", "", "`time` from point to point (some thirty points)")
	cmd.Flags().IntVar(&r.Changes, "changes", 0, "name so many changed disks, the most shortened first")
	return cmd
}

// policiesFlag adds the flag with the policy that is tried.
func policiesFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "policies", "", "policy file, or directory of them, to `try`")
	_ = cmd.MarkFlagRequired("policies") // it was just defined
}

// simulated reads the policy here, finds its mistakes, and has the daemon replay
// the history under it.
func simulated(ctx context.Context, c *client.Client, path string, r wire.SimulateRequest) (quarantine.Simulation, error) {
	var err error
	if r.Policies, err = policy.Read(path); err != nil {
		return quarantine.Simulation{}, mistakes(path, err)
	}
	if _, err := policy.Parse(path, r.Policies); err != nil {
		return quarantine.Simulation{}, mistakes(path, err)
	}
	return c.Simulate(ctx, r)
}

// plot draws what is kept over the time.
func plot(p *page, s quarantine.Simulation) {
	var most int64
	for _, at := range s.Points {
		most = max(most, at.Now.Bytes, at.Then.Bytes)
	}
	var rows [][]string
	for _, at := range s.Points {
		rows = append(rows, []string{moment(at.At), count(at.Now.Disks), count(at.Then.Disks), size(at.Now.Bytes), size(at.Then.Bytes), bars(at.Now.Bytes, at.Then.Bytes, most)})
	}
	p.grid([]column{{title: "AT (UTC)"}, {title: "DISKS", right: true}, {title: "THEN", right: true}, {title: "SIZE", right: true}, {title: "THEN", right: true},
		{title: "", extra: true}}, rows)
	p.line("")
}

// barWidth is how many characters the most is.
const barWidth = 24

// bars draws two amounts in one line.
func bars(now, then, most int64) string {
	if most == 0 {
		return ""
	}
	scale := func(n int64) int { return int((float64(n)*barWidth)/float64(most) + 0.5) }
	n, t := scale(now), scale(then)
	return strings.Repeat("█", min(n, t)) + strings.Repeat("▒", max(0, t-n)) + strings.Repeat("░", max(0, n-t))
}

// outcome says in sentences what would be different.
func outcome(p *page, s quarantine.Simulation) {
	p.line("%d disks died before %s; %d would be kept for a shorter time, %d for a longer one", s.Disks, moment(s.To), s.Shorter, s.Longer)
	if s.Stricter > 0 {
		p.line("kept as long as now, and protected more: %d disks", s.Stricter)
	}
	if s.Protected > 0 {
		p.line("kept longer than the policy would, by a hold or by compliance: %d disks", s.Protected)
	}
	if s.Gone.Disks > 0 {
		p.line("gone by now, and kept today: %d disks, %s", s.Gone.Disks, size(s.Gone.Bytes))
	}
	if s.Still.Disks > 0 {
		p.line("still kept, and gone or due today: %d disks, %s", s.Still.Disks, size(s.Still.Bytes))
	}
	if s.Holds > 0 {
		p.line("holds that would have come too late: %d", s.Holds)
	}
	if len(s.Moves) == 0 {
		return
	}
	var rows [][]string
	for _, m := range s.Moves {
		rows = append(rows, []string{m.Rule, m.ThenRule, count(m.Disks), size(m.Bytes), count(m.Shorter), count(m.Longer)})
	}
	p.line("")
	p.grid([]column{{title: "RULE", fit: cut}, {title: "THEN", fit: cut}, {title: "DISKS", right: true}, {title: "SIZE", right: true},
		{title: "SHORTER", right: true}, {title: "LONGER", right: true}}, rows)
}

// changes names disks.
func changes(p *page, s quarantine.Simulation) {
	if len(s.Changes) == 0 {
		return
	}
	var rows [][]string
	for _, c := range s.Changes {
		rows = append(rows, []string{c.Disk, c.OriginalName, c.Pool, either(c.Project), either(c.Resource), string(c.State), size(c.SizeBytes),
			c.Rule, until(c.Until), c.ThenRule, until(c.ThenUntil), difference(c)})
	}
	p.line("")
	p.grid([]column{{title: "DISK"}, {title: "NAME", fit: cut}, {title: "POOL", extra: true}, {title: "PROJECT", fit: cut, extra: true},
		{title: "RESOURCE", fit: cut, extra: true}, {title: "STATE", extra: true}, {title: "SIZE", right: true, extra: true},
		{title: "RULE", fit: cut, extra: true}, {title: "UNTIL (UTC)"}, {title: "THEN", fit: cut}, {title: "UNTIL (UTC)"}, {title: "BY", right: true}}, rows)
	if named := int64(len(s.Changes)); named < s.Shorter+s.Longer {
		p.line("%d of %d changed disks are named (--changes)", named, s.Shorter+s.Longer)
	}
}

// until is the end of a disk's time.
func until(t time.Time) string {
	if t.IsZero() {
		return "held"
	}
	return moment(t)
}

// difference is by how much a disk's time changes.
func difference(c quarantine.SimulatedChange) string {
	if c.Until.IsZero() || c.ThenUntil.IsZero() {
		return "-"
	}
	d := c.ThenUntil.Sub(c.Until)
	if d < 0 {
		return "-" + quarantine.FormatDuration(-d)
	}
	return "+" + quarantine.FormatDuration(d)
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func policyDiffCommand(a *app) *cobra.Command {
	r := wire.SimulateRequest{Apply: true, Changes: 100}
	var path string
	cmd := &cobra.Command{
		Use:   "diff --policies PATH",
		Short: "Say which disks in quarantine another policy would keep for another time",
		Long: `Decide about every disk in quarantine anew, under another policy, and say which
would be kept for another time, the most shortened first. Nothing is changed. A
policy that is put in force decides about what comes, and leaves what was
promised as it is, until it is applied (quarantinectl policy apply): that does
what is told here.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl policy diff --policies policies.new",
		Args:    cobra.NoArgs,
	}
	cmd.RunE = a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
		sim, err := simulated(ctx, c, path, r)
		if err != nil {
			return err
		}
		return a.print(sim, func(p *page) { differences(p, sim) })
	})
	policiesFlag(cmd, &path)
	cmd.Flags().IntVar(&r.Changes, "changes", r.Changes, "name so many changed disks at most")
	return cmd
}

// differences tells what applying a policy would change.
func differences(p *page, s quarantine.Simulation) {
	if s.Shorter+s.Longer+s.Stricter+s.Protected == 0 && len(s.Moves) == 0 {
		p.line("no difference for any of the %d disks in quarantine", s.Disks)
		return
	}
	outcome(p, s)
	changes(p, s)
}
