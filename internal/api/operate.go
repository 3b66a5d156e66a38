package api

import (
	"context"
	"errors"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type guardQuery struct {
	Pool string `query:"pool" doc:"POOL, POOL/NAMESPACE or CLUSTER:POOL; without it a list of all pools is given"`
}

// showGuard gives one status, or without ?pool= a list of all pools'.
func (s *Server) showGuard(ctx context.Context, in *guardQuery) (*answer[any], error) {
	if in.Pool != "" {
		st, err := s.cfg.Guards.Guard(ctx, in.Pool)
		return answered[any](st, err)
	}
	all := []quarantine.GuardStatus{}
	for _, pool := range s.cfg.Clusters.Pools() {
		st, err := s.cfg.Guards.Guard(ctx, pool.Cluster+":"+pool.PoolRef.String())
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			// One cluster that does not answer must not hide the others.
			st = quarantine.GuardStatus{Pool: pool, Fault: "it cannot be read: " + err.Error(), Hint: "ceph -s"}
		}
		all = append(all, st)
	}
	return answered[any](all, nil)
}

type setGuardInput struct {
	Pool string `query:"pool" required:"true" doc:"POOL, POOL/NAMESPACE or CLUSTER:POOL"`
	Body wire.GuardRequest
}

func (s *Server) setGuard(ctx context.Context, in *setGuardInput) (*answer[quarantine.GuardStatus], error) {
	st, err := s.cfg.Guards.SetGuard(ctx, exchangeOf(ctx).actor(), in.Pool, in.Body.On, in.Body.Reason)
	return answered(st, err)
}

type pauseInput struct{ Body wire.PauseRequest }

func (s *Server) pauseCollect(ctx context.Context, in *pauseInput) (*answer[quarantine.Pause], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	p, err := s.cfg.Pauser.Pause(ctx, exchangeOf(ctx).actor(), in.Body.Reason, in.Body.Until)
	return answered(p, err)
}

type resumeInput struct{ Body wire.ReasonRequest }

func (s *Server) resumeCollect(ctx context.Context, in *resumeInput) (*answer[struct{}], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(struct{}{}, s.cfg.Pauser.Resume(ctx, exchangeOf(ctx).actor(), in.Body.Reason))
}

type jobInput struct {
	Job  string `path:"job" doc:"collect, reconcile, clouds, guard or flatten"`
	Body *wire.JobRequest
}

// runJob runs a job. Only an admin's word that the clock is right counts: on
// it disks are purged.
func (s *Server) runJob(ctx context.Context, in *jobInput) (*answer[quarantine.Report], error) {
	var o quarantine.JobOptions
	if in.Body != nil {
		o = quarantine.JobOptions{DryRun: in.Body.DryRun, ConfirmClock: in.Body.ConfirmClock}
	}
	x := exchangeOf(ctx)
	if o.ConfirmClock && !x.token.Role.may(RoleAdmin) {
		return nil, forbidden("confirm_clock needs the role admin; the token " + x.token.Name + " has the role " + string(x.token.Role))
	}
	rep, err := s.cfg.Jobs.RunJob(ctx, x.actor(), in.Job, o)
	rep.Items = listed(rep.Items)
	return answered(rep, err)
}

func (s *Server) status(ctx context.Context, _ *struct{}) (*answer[wire.Status], error) {
	st, err := s.cfg.Status(ctx)
	st.Reasons, st.Totals, st.Guards = listed(st.Reasons), listed(st.Totals), listed(st.Guards)
	st.Jobs, st.Listeners, st.Watches = listed(st.Jobs), listed(st.Listeners), listed(st.Watches)
	return answered(st, err)
}

func (s *Server) doctor(ctx context.Context, _ *struct{}) (*answer[[]quarantine.Finding], error) {
	found, err := s.cfg.Doctor.Doctor(ctx)
	return answered(listed(found), err)
}

func (s *Server) rebuildCatalog(ctx context.Context, _ *struct{}) (*answer[quarantine.Report], error) {
	rep, err := s.cfg.Rebuild(ctx, exchangeOf(ctx).actor())
	rep.Items = listed(rep.Items)
	return answered(rep, err)
}

// verified is the answer when the custody log's chain holds.
type verified struct {
	OK bool `json:"ok"`
}

func (s *Server) verifyCustody(ctx context.Context, _ *struct{}) (*answer[verified], error) {
	err := s.cfg.Custody.Verify(ctx)
	if err == nil || errors.Is(err, quarantine.ErrUnavailable) || ctx.Err() != nil {
		return answered(verified{true}, err)
	}
	// Whatever the error wraps, a chain that does not hold is no fault of the
	// request.
	return nil, wire.NewProblem(http.StatusInternalServerError, wire.CodeInternal, err.Error())
}
