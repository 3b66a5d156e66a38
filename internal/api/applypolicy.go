package api

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// PolicyApplier applies the policy in force: *quarantine.PolicyApplier.
type PolicyApplier interface {
	Apply(ctx context.Context, actor, reason, only string, progress quarantine.Progress) (quarantine.PolicyApplication, error)
}

type applyInput struct{ Body wire.ApplyRequest }

// applyPolicy does what lengthens, and asks for what shortens. It ends when its
// client goes away.
func (s *Server) applyPolicy(ctx context.Context, in *applyInput) (*huma.StreamResponse, error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		out := &liveLines{x: x}
		res, err := s.cfg.Applier.Apply(ctx, x.actor(), in.Body.Reason, in.Body.Policy,
			func(done, total uint64) { _ = out.send(wire.ApplyLine{Done: done, Total: total}) }) // the request's context ends when the client is gone
		if err == nil && res.Shorter > 0 {
			res.Request, err = s.askToApply(ctx, x.actor(), in.Body.Reason, res.Policy)
		}
		switch {
		case err == nil:
			_ = out.send(wire.ApplyLine{Result: &res}) // whoever it was for is gone, or has it
		case !out.begun:
			x.refuse(problemOf(err))
		default:
			p := problemOf(err)
			x.fail(p)
			_ = out.send(wire.ApplyLine{Error: p}) // as above
		}
	}}, nil
}

// askToApply makes the request, or returns the one that there is.
func (s *Server) askToApply(ctx context.Context, actor, reason, digest string) (*quarantine.Request, error) {
	r, err := s.cfg.Approvals.Ask(ctx, actor, quarantine.Wish{Kind: quarantine.RequestApplyPolicy, Subject: digest, Reason: reason, MayApprove: true})
	if !errors.Is(err, quarantine.ErrExists) {
		return &r, err
	}
	open, ferr := s.cfg.Requests.FindRequests(ctx, quarantine.RequestFilter{
		States: []quarantine.RequestState{quarantine.RequestOpen, quarantine.RequestApproved}, Kind: quarantine.RequestApplyPolicy, Subject: digest, Limit: 1,
	})
	if ferr != nil || len(open) == 0 {
		return nil, errors.Join(err, ferr)
	}
	return &open[0], nil
}
