package main

import (
	"context"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func policyExplainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say which rule decided about a disk, and what the policy would say today",
		Long: `Say which rule decided about a disk, and what the policy in force would say
today, rule by rule. A change of the policy never shortens what was promised.
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example:           "  quarantinectl policy explain 3fa1c09be2d47a55",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
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
	var rows [][]string
	for _, t := range x.Trace {
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
