package api

import (
	"context"

	"quarantine/internal/quarantine"
)

// capacity lists the pools, each once for all its namespaces.
func (s *Server) capacity(ctx context.Context, _ *struct{}) (*answer[[]quarantine.PoolState], error) {
	pools, err := s.cfg.Capacity.Forecasts(ctx, s.cfg.Clock().UTC())
	return answered(listed(pools), err)
}
