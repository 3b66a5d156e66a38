package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func policyExplainCommand(a *app) *cobra.Command {
	var vm, cloud string
	cmd := &cobra.Command{
		Use:   "explain (ID | --vm VM [--cloud NAME])",
		Short: "Say which rule decided about a disk, and what the policy would say today",
		Long: `Say which rule decided about a disk, and what the policy in force would say
today, rule by rule. A change of the policy never shortens what was promised.

With --vm, say what the policy would decide about a VM (volume, image) that is
alive, if it were deleted now: by what its cloud said of it last. The sizes of
its disks are not known, and are 0 for the policy.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl policy explain 3fa1c09be2d47a55
  quarantinectl policy explain --vm web-1 --cloud openstack`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case (len(args) == 1) == (vm != ""):
				return fmt.Errorf("%w: it takes a disk's id, or --vm", errUsage)
			case cloud != "" && vm == "":
				return fmt.Errorf("%w: --cloud goes with --vm", errUsage)
			case vm != "":
				alive, err := c.ExplainAlive(ctx, cloud, vm)
				if err != nil {
					return err
				}
				return a.print(alive, func(p *page) { explainAlive(p, alive) })
			}
			if err := checkID(args[0]); err != nil {
				return err
			}
			x, err := c.Explain(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(x, func(p *page) { explain(p, x) })
		}),
	}
	cmd.Flags().StringVar(&vm, "vm", "", "id or name of a `VM` that is alive")
	cmd.Flags().StringVar(&cloud, "cloud", "", "`name` of its cloud (all)")
	return cmd
}

func explainAlive(p *page, all []wire.AliveExplanation) {
	for i, x := range all {
		if i > 0 {
			p.line("")
		}
		p.field(string(x.ResourceKind), either(x.ResourceName), x.ResourceID)
		p.field("cloud", x.Cloud)
		p.field("project", either(x.Project))
		p.field("seen", exact(x.SeenAt))
		for _, d := range x.Disks {
			p.line("")
			p.line("disk %s, deleted now, would be kept until %s", either(d.Name), exact(d.RetainUntil))
			decision(p, d.Decision)
			p.line("")
			trace(p, d.Trace)
		}
	}
}

func explain(p *page, x wire.Explanation) {
	p.summary(x.Disk)
	p.field("kept until", exact(x.Disk.RetainUntil))
	p.line("")
	p.line("decided at capture")
	decision(p, x.Recorded)
	p.line("")
	p.line("the policy in force would decide")
	decision(p, x.Now)
	p.line("")
	trace(p, x.Trace)
}

func trace(p *page, rules []policy.RuleTrace) {
	var rows [][]string
	for _, t := range rules {
		outcome := t.Outcome
		if t.Error != "" {
			outcome += ": " + t.Error
		}
		if t.Override != "" {
			outcome += "; " + t.Override
		}
		rows = append(rows, []string{t.Rule, t.File, t.Retain, outcome})
	}
	p.grid([]column{{title: "RULE", fit: cut}, {title: "FILE", fit: cut}, {title: "RETAIN", right: true}, {title: "OUTCOME", fit: wrap}}, rows)
}

func decision(p *page, d quarantine.Decision) {
	p.field("rule", d.Rule)
	p.field("retain", quarantine.FormatDuration(d.Retain))
	if d.Mode != "" {
		p.field("mode", string(d.Mode))
	}
	if d.Min > 0 {
		p.field("at least", quarantine.FormatDuration(d.Min))
	}
	p.field("because", d.Reason)
	if d.KeepLast.N > 0 {
		p.field("keeps the last", d.KeepLast.String())
	}
	if d.Hold != nil {
		p.field("hold", d.Hold.CaseID+":", d.Hold.Reason)
	}
	if d.Isolate {
		p.field("isolate", "yes")
	}
}
