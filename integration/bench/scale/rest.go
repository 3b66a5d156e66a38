package main

import (
	"context"
	"fmt"
	"time"

	"quarantine/internal/api/client"
	"quarantine/internal/quarantine"
)

// atRest waits until the daemon's look at its start is over.
func atRest(ctx context.Context, c *client.Client) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s, err := c.Status(ctx)
		if err != nil {
			return fmt.Errorf("ask the daemon how it is: %w", err)
		}
		for _, run := range s.Jobs {
			if run.Job != quarantine.JobReconcile || run.EndedAt.IsZero() {
				continue
			}
			if run.Stopped != "" || run.Failed > 0 || run.Acts > 0 {
				return fmt.Errorf("the daemon's look at its start: %d acts, %d failed, stopped: %q", run.Acts, run.Failed, run.Stopped)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
