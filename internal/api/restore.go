package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type restoreInput struct {
	ID   string `path:"id"`
	Body wire.RestoreRequest
}

// restoreDisk gives a disk back. The answer is a stream of steps; a request
// that failed before the first of them is answered with a problem.
func (s *Server) restoreDisk(ctx context.Context, in *restoreInput) (*huma.StreamResponse, error) {
	req := in.Body
	if err := checkRestore(&req); err != nil {
		return nil, err
	}
	d, err := s.target(ctx, in.ID, req.Reason)
	if err != nil {
		return nil, err
	}
	switch req.As {
	case wire.RestoreVolume, wire.RestoreImage, wire.RestoreServer:
		o := orderOf(req.CloudWish)
		o.Disk, o.As, o.Name, o.Reason = d.ID, req.As, req.Name, req.Reason
		return s.restoreToCloud(ctx, o, req.DryRun)
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		out := newSteps(x, s.cfg.Clock)
		defer out.stop() // also when the restore panics
		after, err := s.restore(ctx, x.actor(), d.ID, req, out.progress)
		out.end(after, err)
	}}, nil
}

// checkRestore refuses what contradicts itself, and settles As.
func checkRestore(r *wire.RestoreRequest) error {
	if r.As == "" {
		r.As = wire.RestoreClone
		if r.InPlace {
			r.As = wire.RestoreInPlace
		}
	}
	image := r.Pool != "" || r.Namespace != "" || r.Flatten
	switch {
	case r.InPlace && r.As != wire.RestoreInPlace:
		return invalidf("body.in_place: it is not %q", r.As)
	case r.As == wire.RestoreInPlace && (image || r.Name != ""):
		return invalidf("body: a restore in place takes no pool, namespace, name or flatten")
	case r.As == wire.RestoreClone && r.Name == "":
		return invalidf("body.name: the name of the restored image is missing")
	case r.As == wire.RestoreClone && r.Namespace != "" && r.Pool == "":
		return invalidf("body.pool: it is missing beside the namespace")
	case (r.As == wire.RestoreInPlace || r.As == wire.RestoreClone) && r.CloudWish != (wire.CloudWish{}):
		return invalidf("body: what is for a cloud goes with as volume, image or server")
	case r.As != wire.RestoreInPlace && r.As != wire.RestoreClone && image:
		return invalidf("body: a restore as %s takes no pool, namespace or flatten", r.As)
	}
	r.InPlace = r.As == wire.RestoreInPlace
	return nil
}

func (s *Server) restore(ctx context.Context, actor, id string, req wire.RestoreRequest, progress quarantine.Progress) (quarantine.Disk, error) {
	if req.InPlace {
		return s.cfg.Restorer.InPlace(ctx, actor, id, req.Reason)
	}
	dst := quarantine.PoolRef{Pool: req.Pool, Namespace: req.Namespace}
	return s.cfg.Restorer.Clone(ctx, actor, id, dst, req.Name, req.Flatten, req.Reason, progress)
}

// unblock ends the writes to a client that does not read, once ctx ends.
func unblock(ctx context.Context, x *exchange) (stop func() bool) {
	conn := http.NewResponseController(x.ResponseWriter)
	return context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
}
