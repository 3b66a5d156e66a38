package main

import (
	"context"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// soon is how long before a pool is too full people are told.
const soon = 7 * 24 * time.Hour

// room tells of pools that fill up, and of those that stay too full because what is
// in them is protected.
func (d *doctor) room(ctx context.Context) ([]quarantine.Finding, error) {
	now := d.clock().UTC()
	pools, err := d.capacity.Forecasts(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Finding
	for _, p := range pools {
		subject, hint := "room in pool "+p.Pool, "quarantinectl capacity"
		bytes := quarantine.FormatBytes
		switch f := p.Forecast; {
		case p.Short > 0:
			out = append(out, fault(subject, fmt.Sprintf("%s; %s of that may not go: holds keep %s there, compliance %s, least times %s, and %s are not measured",
				p.Why, bytes(p.Short), bytes(p.Held), bytes(p.Compliance), bytes(p.Young), bytes(p.Unmeasured)), "release holds, or add room; "+hint))
		case p.Fault != "" && p.Watermarks.High > 0:
			out = append(out, fault(subject, "nothing is evicted for its fill: "+p.Fault, "ceph df detail"))
		case p.Fault != "":
			out = append(out, warn(subject, p.Fault, "ceph df detail"))
		case f != nil && !f.FullAt.IsZero() && f.FullAt.Sub(now) <= soon:
			out = append(out, warn(subject, "at the present rate it is full on "+f.FullAt.Format(time.DateOnly), hint))
		case f != nil && !f.HighAt.IsZero() && f.HighAt.Sub(now) <= soon:
			out = append(out, warn(subject, "at the present rate it is above its high watermark on "+f.HighAt.Format(time.DateOnly)+", and disks go before their time", hint))
		case p.Need > 0:
			out = append(out, warn(subject, p.Why, "quarantinectl run collect --dry-run"))
		case p.Usage != nil:
			out = append(out, ok(subject, fmt.Sprintf("%.1f %% full", 100*p.Usage.Fill())))
		}
	}
	return out, nil
}
