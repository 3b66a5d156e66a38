package main

import (
	"context"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// holds looks for cases beyond their deadline, which hold on until somebody closes
// them, and for disks on which standing holds were not looked for.
func (d *doctor) holds(ctx context.Context) ([]quarantine.Finding, error) {
	const subject = "holds"
	cases, err := d.cases.Cases(ctx)
	if err != nil {
		return nil, err
	}
	var out []quarantine.Finding
	now, open, standing := d.clock(), 0, 0
	for _, c := range cases {
		if c.Open() {
			open++
		}
		if c.Overdue(now) {
			out = append(out, warn(subject, "the deadline of case "+c.ID+" passed at "+c.Deadline.UTC().Format(time.RFC3339)+"; it holds on", "quarantinectl case show "+c.ID))
		}
	}
	all, err := d.standing.StandingHolds(ctx)
	if err != nil {
		return append(out, fault(subject, "the standing holds cannot be read, and disks are kept until they can: "+err.Error(), "quarantinectl catalog rebuild")), nil
	}
	for _, h := range all {
		if h.Open(now) {
			standing++
		}
	}
	unchecked, err := d.disks.FindDisks(ctx, quarantine.DiskFilter{HoldsUnchecked: true, Limit: 1000})
	if err != nil {
		return nil, err
	}
	if len(unchecked) > 0 {
		out = append(out, warn(subject, fmt.Sprintf("on %d disks standing holds were not looked for yet; they are kept", len(unchecked)), "look at the daemon's log for the reason"))
	}
	if len(out) == 0 {
		out = append(out, ok(subject, fmt.Sprintf("%d cases are open, and %d standing holds", open, standing)))
	}
	return out, nil
}
