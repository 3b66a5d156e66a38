package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show how the service is: disks, guards, jobs, connections",
		Long: `Show how the service is: disks, guards, jobs, connections. It shows and does not
judge: the exit status is 0 for a service that is not ready, too. See
quarantinectl doctor.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl status",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			st, err := c.Status(ctx)
			if err != nil {
				return err
			}
			return a.print(st, func(p *page) { showStatus(p, st) })
		}),
	}
}

func showStatus(p *page, st wire.Status) {
	ready := "ready"
	if !st.Ready {
		ready = "NOT READY"
	}
	p.line("quarantined %s: %s, up since %s (%s)", st.Version, ready, moment(st.StartedAt), quarantine.FormatDuration(st.Now.Sub(st.StartedAt).Truncate(time.Minute)))
	for _, r := range st.Reasons {
		p.field("because", r)
	}
	if st.Pause != nil {
		p.field("paused", pauseWord(*st.Pause))
	}
	if s := st.Slowed; s != nil {
		p.field("slowed", fmt.Sprintf("removals go at %.0f %% since %s: %s", 100*s.Part, moment(s.Since), s.Reason))
	}
	p.field("policy", either(st.Policy.Fault, "in force, digest "+short(st.Policy.Digest)))

	p.line("")
	var rows [][]string
	for _, t := range st.Totals {
		rows = append(rows, []string{t.PoolRef.String(), string(t.State), fmt.Sprint(t.Disks), size(t.Bytes), size(t.Used)})
	}
	p.section("disks", "none", []column{{title: "POOL", fit: cut}, {title: "STATE"}, {title: "DISKS", right: true}, {title: "SIZE", right: true}, {title: "USED", right: true}}, rows)

	rows = nil
	for _, g := range st.Guards {
		rows = append(rows, []string{g.Pool.PoolRef.String(), guardWord(g), moment(g.CheckedAt), moment(g.CanaryAt), either(g.Fault)})
	}
	p.section("guards", "no pool", []column{{title: "POOL", fit: cut}, {title: "GUARD"}, {title: "CHECKED (UTC)"}, {title: "CANARY FOUND"}, {title: "FAULT", fit: wrap}}, rows)

	rows = nil
	for _, j := range st.Jobs {
		rows = append(rows, []string{j.Job, moment(j.EndedAt), moment(j.LastSuccess), fmt.Sprint(j.Acts), fmt.Sprint(j.Failed), either(j.Stopped)})
	}
	p.section("jobs", "none", []column{{title: "JOB"}, {title: "LAST RUN (UTC)"}, {title: "LAST SUCCESS"}, {title: "ACTS", right: true}, {title: "FAILED", right: true}, {title: "STOPPED", fit: wrap}}, rows)

	rows = nil
	for _, c := range st.Listeners {
		rows = append(rows, []string{"notifications of " + c.Name, upWord(c)})
	}
	for _, c := range st.Watches {
		rows = append(rows, []string{"watch of " + c.Name, upWord(c)})
	}
	if len(st.Requests) > 0 {
		requestTable(p, st.Requests)
		p.line("")
	}
	p.section("connections", "none", []column{{title: "WHAT", fit: cut}, {title: "STATE"}}, rows)
}

// section writes a grid below a line, or a word where it is empty.
func (p *page) section(name, none string, columns []column, rows [][]string) {
	if len(rows) == 0 {
		p.line("%s: %s", name, none)
		p.line("")
		return
	}
	p.grid(columns, rows)
	p.line("")
}

func upWord(c wire.Connection) string {
	if c.Up {
		return "up"
	}
	return "DOWN"
}

// short is the beginning of a digest.
func short(digest string) string { return digest[:min(len(digest), 12)] }
