package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

func policyExplainCommand(a *app) *cobra.Command {
	var vm, cloud, facts string
	cmd := &cobra.Command{
		Use:   "explain (ID | --vm VM [--cloud NAME] | --facts FILE)",
		Short: "Say which rule decided about a disk, and what the policy would say today",
		Long: `Say which rule decided about a disk, and what the policy in force would say
today, rule by rule. A change of the policy never shortens what was promised.

With --vm, say what the policy would decide about a VM (volume, image) that is
alive, if it were deleted now: by what its cloud said of it last. The sizes of
its disks are not known, and are 0 for the policy.

With --facts, say what it would decide by the facts in a JSON file (- for
standard input), of a VM that never was. They have the names that rules know
them by, and any may be left out:

  {"cloud": "openstack", "project": {"id": "p1", "name": "physics"},
   "resource_name": "web-1", "metadata": {"class": "test"},
   "addresses": [{"ip": "192.0.2.7"}], "size_bytes": 10737418240,
   "created_at": "2026-11-01T08:00:00Z", "deleted_at": "2026-11-20T08:00:00Z"}
` + exitHelp(exitDone, exitFailed, exitUsage, exitNotFound, exitUnreachable),
		Example: `  quarantinectl policy explain 3fa1c09be2d47a55
  quarantinectl policy explain --vm web-1 --cloud openstack
  quarantinectl policy explain --facts vm.json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeDisk,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case given(len(args) == 1, vm != "", facts != "") != 1:
				return fmt.Errorf("%w: it takes a disk's id, or --vm, or --facts", errUsage)
			case cloud != "" && vm == "":
				return fmt.Errorf("%w: --cloud goes with --vm", errUsage)
			case vm != "":
				alive, err := c.ExplainAlive(ctx, cloud, vm)
				if err != nil {
					return err
				}
				return a.print(alive, func(p *page) { explainAlive(p, alive) })
			case facts != "":
				f, err := a.facts(facts)
				if err != nil {
					return err
				}
				x, err := c.ExplainFacts(ctx, f)
				if err != nil {
					return err
				}
				return a.print(x, func(p *page) { explainFacts(p, x) })
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
	cmd.Flags().StringVar(&facts, "facts", "", "JSON `file` with the facts of a VM that never was")
	cmd.Flags().StringVar(&cloud, "cloud", "", "`name` of its cloud (all)")
	return cmd
}

// given counts what is true.
func given(all ...bool) (n int) {
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}

// facts reads one JSON object. A misspelt name is refused: left out, it would give
// an answer about another VM.
func (a *app) facts(name string) (wire.PolicyFacts, error) {
	var f wire.PolicyFacts
	b, err := a.read(name)
	if err != nil {
		return f, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, fmt.Errorf("%w: the facts in %s: %w", errUsage, name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return f, fmt.Errorf("%w: the facts in %s: more than one JSON value", errUsage, name)
	}
	return f, nil
}

func explainFacts(p *page, x wire.FactsExplanation) {
	p.line("deleted at %s, it would be kept until %s", exact(x.DeletedAt), exact(x.RetainUntil))
	decision(p, x.Decision)
	p.line("")
	trace(p, x.Trace)
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
