package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

func capacityCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "capacity",
		Short: "Show how full the pools are, and when they will be full",
		Long: `Show how full the pools are, how much of that is in quarantine, and what is used
on the coming days at the present rate, if every disk goes when its time is over
and nothing goes before. The rate is that of the last week, else of the last
day; there is none before half a day has been watched.

A pool counts with all its namespaces. What is protected is on hold, under
compliance, or younger than the least time; it goes before its time for nobody.
` + exitHelp(exitDone, exitFailed, exitUsage, exitUnreachable),
		Example: "  quarantinectl capacity\n  quarantinectl capacity -o json",
		Args:    cobra.NoArgs,
		RunE: a.withClient(func(ctx context.Context, c *client.Client, _ []string) error {
			pools, err := c.Capacity(ctx)
			if err != nil {
				return err
			}
			return a.print(pools, func(p *page) {
				capacityTable(p, pools)
				for _, st := range pools {
					forecastPlot(p, st)
				}
			})
		}),
	}
}

func capacityTable(p *page, pools []quarantine.PoolState) {
	var rows [][]string
	for _, st := range pools {
		fill, used, free, full := "-", "-", "-", "-"
		if u := st.Usage; u != nil {
			fill, used, free = fmt.Sprintf("%.1f %%", 100*u.Fill()), size(u.UsedBytes), size(u.FreeBytes)
		}
		if f := st.Forecast; f != nil && len(f.Points) > 0 {
			if full = "later"; !f.FullAt.IsZero() {
				full = f.FullAt.Format(time.DateOnly)
			}
		}
		protected := st.Held + st.Compliance + st.Young
		rows = append(rows, []string{st.Pool, fill, used, free, size(st.Staying), size(st.Going), size(protected), full})
	}
	p.section("pools", "none", []column{{title: "POOL", fit: cut}, {title: "FILL", right: true}, {title: "USED", right: true}, {title: "FREE", right: true},
		{title: "IN QUARANTINE", right: true}, {title: "GOING", right: true}, {title: "PROTECTED", right: true}, {title: "FULL ON", right: true}}, rows)
	for _, st := range pools {
		p.field(st.Pool, st.Fault)
		p.field(st.Pool, st.Why)
		if st.Short > 0 {
			p.field("", size(st.Short), "of that may not go: holds keep", size(st.Held)+", compliance", size(st.Compliance)+", least times", size(st.Young))
		}
	}
}

// forecastPlot draws what will be used in a pool.
func forecastPlot(p *page, st quarantine.PoolState) {
	if st.Forecast == nil || len(st.Forecast.Points) == 0 {
		return
	}
	full := st.Usage.CapacityBytes()
	var rows [][]string
	for i, at := range st.Forecast.Points {
		if i > 7 && i%7 != 0 && i != len(st.Forecast.Points)-1 {
			continue // the first week by days, then by weeks
		}
		used := min(at.UsedBytes, full)
		rows = append(rows, []string{at.At.UTC().Format(time.DateOnly), size(at.UsedBytes), bars(used, full, full)})
	}
	p.line("")
	p.grid([]column{{title: "ON"}, {title: "USED IN " + st.Pool, right: true}, {title: "", extra: true}}, rows)
}
