package main

import (
	"context"
	"fmt"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

// checked is what doctor --deep prints.
type checked struct {
	quarantine.CheckResult
	Findings []quarantine.CheckFinding `json:"findings"`
}

// check compares the books with Ceph. A fault is exit status 1; a warning is not.
func (a *app) check(ctx context.Context, c *client.Client) error {
	out := checked{Findings: []quarantine.CheckFinding{}}
	bar := a.newProgress("compare disks", false)
	defer bar.end()
	res, err := c.Check(ctx, func(f quarantine.CheckFinding) error {
		out.Findings = append(out.Findings, f)
		return nil
	}, bar.at)
	bar.end()
	if err != nil {
		return err
	}
	out.CheckResult = res
	if err := a.print(out, func(p *page) { out.page(p) }); err != nil {
		return err
	}
	if res.Faults > 0 {
		return fmt.Errorf("%w: the books and Ceph disagree in %d things", errFailed, res.Faults)
	}
	return nil
}

func (c *checked) page(p *page) {
	found := make([]quarantine.Finding, len(c.Findings))
	for i, f := range c.Findings {
		found[i] = quarantine.Finding{Severity: f.Severity, Subject: string(f.Kind), Problem: f.What, Hint: f.Next}
		if f.ImageID != "" {
			found[i].Subject += " disk " + f.Disk + " (" + f.Pool + "/" + f.ImageID + ")"
		}
	}
	findings(p, found)
	p.line("compared: %d disks, %d trash entries, %d names of the service's own; %d faults, %d warnings", c.Rows, c.Entries, c.Names, c.Faults, c.Warns)
	if c.Busy > 0 {
		p.line("%d were being worked on and are not judged; check again", c.Busy)
	}
}
