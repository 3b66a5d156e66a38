package main

import (
	"context"
	"fmt"

	"quarantine/internal/quarantine"
)

// pendingRequests selects what waits for an approval, or for its act.
func pendingRequests() quarantine.RequestFilter {
	return quarantine.RequestFilter{States: []quarantine.RequestState{quarantine.RequestOpen, quarantine.RequestApproved}, Limit: 100}
}

// twoPeople looks at what takes two people: whether it does, what waits, and what
// was approved and cannot be done.
func (d *doctor) twoPeople(ctx context.Context) ([]quarantine.Finding, error) {
	const subject = "approvals"
	there, err := d.requests.FindRequests(ctx, pendingRequests())
	if err != nil {
		return nil, fmt.Errorf("find the open requests: %w", err)
	}
	var out []quarantine.Finding
	if !*d.approvals.Required {
		out = append(out, warn(subject, "NOT REQUIRED: any one admin can have evidence purged before its time", "set approvals.required: true"))
	}
	open := 0
	for _, r := range there {
		if r.State == quarantine.RequestOpen {
			open++
			continue
		}
		out = append(out, warn(subject, fmt.Sprintf("request %s is approved and not done: %s", r.ID, r.Outcome), "quarantinectl request show "+r.ID))
	}
	if len(out) == 0 {
		out = append(out, ok(subject, fmt.Sprintf("required; %d requests are open", open)))
	}
	return out, nil
}
