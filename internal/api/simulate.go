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

// simulated is the policy that a request is about.
func (s *Server) simulated(ctx context.Context, r wire.SimulateRequest) (quarantine.Decider, string, error) {
	switch {
	case r.OnDisk && len(r.Policies) > 0:
		return nil, "", invalidf("body: a policy is given, and on_disk")
	case r.OnDisk:
		return s.cfg.Policy.OnDisk(ctx)
	case len(r.Policies) == 0:
		return nil, "", invalidf("body.policies: no policy is given, and not on_disk")
	}
	p, err := policy.Parse("the policy", r.Policies)
	return p, "", err
}

// simulate replays the catalog's history under the policy in the request.
func (s *Server) simulate(ctx context.Context, in *simulateInput) (*answer[quarantine.Simulation], error) {
	other, digest, err := s.simulated(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	o := quarantine.SimulationOptions{From: in.Body.From, To: in.Body.To, Changes: in.Body.Changes, Apply: in.Body.Apply}
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
	sim, err := s.cfg.Simulator.Simulate(ctx, other, o)
	sim.Policy = digest
	return answered(sim, err)
}
