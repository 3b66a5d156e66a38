package api

import (
	"context"
	"fmt"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

type simulateInput struct {
	Body wire.SimulateRequest
}

const (
	// simulatedPeriod is how far a simulation looks back, and simulatedPoints how
	// many points it has about, where the request does not say it.
	simulatedPeriod = 90 * 24 * time.Hour
	simulatedPoints = 30
)

// simulate replays the catalog's history under the policy in the request.
func (s *Server) simulate(ctx context.Context, in *simulateInput) (*answer[quarantine.Simulation], error) {
	other, err := policy.Parse("the policy", in.Body.Policies)
	if err != nil {
		return nil, err
	}
	o := quarantine.SimulationOptions{From: in.Body.From, To: in.Body.To, Changes: in.Body.Changes, InQuarantine: in.Body.InQuarantine}
	if o.To.IsZero() {
		o.To = s.cfg.Clock().UTC().Truncate(time.Second).Add(time.Second) // with what dies just now
	}
	if o.From.IsZero() {
		o.From = o.To.Add(-simulatedPeriod)
	}
	// Whole hours, where that gives points at all.
	o.Step = max(o.To.Sub(o.From)/simulatedPoints, time.Second)
	if o.Step > time.Hour {
		o.Step = o.Step.Truncate(time.Hour)
	}
	if in.Body.Step != "" {
		if o.Step, err = quarantine.ParseDuration(in.Body.Step); err != nil {
			return nil, fmt.Errorf("step: %w", err)
		}
	}
	return answered(s.cfg.Simulator.Simulate(ctx, other, o))
}
