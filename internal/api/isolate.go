package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Isolator copies disks to the evidence pool: *quarantine.Isolator.
type Isolator interface {
	Isolate(ctx context.Context, actor, id, reason string, progress quarantine.Progress) (quarantine.Disk, error)
	Preview(ctx context.Context, id string) (quarantine.PoolRef, error)
}

type isolateInput struct {
	ID   string `path:"id"`
	Body wire.IsolateRequest
}

// isolateDisk copies a disk. The answer is a stream of steps, as that of a
// restore; its last line has the copy.
func (s *Server) isolateDisk(ctx context.Context, in *isolateInput) (*huma.StreamResponse, error) {
	d, err := s.target(ctx, in.ID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	if in.Body.DryRun {
		if _, err := s.cfg.Isolator.Preview(ctx, d.ID); err != nil {
			return nil, err
		}
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		out := newSteps(x, s.cfg.Clock)
		defer out.stop() // also when the copy panics
		after := d
		if !in.Body.DryRun {
			after, err = s.cfg.Isolator.Isolate(ctx, x.actor(), d.ID, in.Body.Reason, out.progress)
		}
		out.end(after, err)
	}}, nil
}
