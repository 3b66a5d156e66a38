package api

import (
	"context"

	"quarantine/internal/api/wire"
	"quarantine/internal/policy"
)

func (s *Server) listLocks(_ context.Context, _ *struct{}) (*answer[[]policy.Lock], error) {
	return answered(listed(s.cfg.Locks.Locks()), nil)
}

type unlockInput struct{ Body wire.UnlockRequest }

func (s *Server) unlockRule(ctx context.Context, in *unlockInput) (*answer[policy.Lock], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(s.cfg.Locks.Unlock(ctx, exchangeOf(ctx).actor(), in.Body.Rule, in.Body.Reason))
}

func (s *Server) relockRule(ctx context.Context, in *unlockInput) (*answer[policy.Lock], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(s.cfg.Locks.Relock(ctx, exchangeOf(ctx).actor(), in.Body.Rule, in.Body.Reason))
}
