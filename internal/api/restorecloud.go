package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type restoreVMInput struct {
	Body wire.VMRestoreRequest
}

// restoreVM gives all disks of a VM back to a cloud.
func (s *Server) restoreVM(ctx context.Context, in *restoreVMInput) (*huma.StreamResponse, error) {
	req := in.Body
	o := orderOf(req.CloudWish)
	o.VM, o.Deletion, o.All, o.As, o.Name, o.Reason = req.VM, req.Deletion, req.All, req.As, req.Name, req.Reason
	return s.restoreToCloud(ctx, o, req.DryRun)
}

func orderOf(w wire.CloudWish) quarantine.CloudOrder {
	return quarantine.CloudOrder{
		Cloud: w.Cloud, Project: w.Project, Domain: w.Domain, Owner: w.Owner, VolumeType: w.VolumeType, Bootable: w.Bootable,
		NoFlatten: w.NoFlatten, Move: w.Move, Upload: w.Upload, Network: w.Network, Flavor: w.Flavor, Defanged: w.Defanged,
	}
}

// errCancelled is why a restore ended that somebody cancelled.
var errCancelled = errors.New("cancelled")

// restoreToCloud restores, and streams the steps. The first line has the id by
// which the restore can be cancelled: a client that wants to hear what was
// cleaned up must not hang up. One that does hang up cancels it as well.
func (s *Server) restoreToCloud(ctx context.Context, o quarantine.CloudOrder, dry bool) (*huma.StreamResponse, error) {
	plan, err := s.cfg.Clouder.Plan(ctx, o)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		out := newSteps(x, s.cfg.Clock)
		defer out.stop() // also when the restore panics
		if dry {
			out.finish(wire.Step{Plan: &plan}, nil)
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		id := s.running.add(cancel)
		defer s.running.drop(id)
		out.tell(wire.Step{Restore: id})
		res, err := s.cfg.Clouder.Restore(ctx, x.actor(), o, func(c quarantine.CloudStep) {
			out.tell(wire.Step{Stage: c.Stage, DiskID: c.Disk, Done: c.Done, Total: c.Total, Made: c.Made})
		})
		result := wire.FromCloudResult(res)
		last := wire.Step{Result: &result}
		if o.Disk != "" && len(result.Disks) == 1 {
			last.Disk = &result.Disks[0]
		}
		if err != nil && errors.Is(context.Cause(ctx), errCancelled) {
			err = wire.NewProblem(http.StatusConflict, wire.CodeCancelled, "cancelled: "+err.Error())
		}
		out.finish(last, err)
	}}, nil
}

type cancelInput struct {
	Restore string `path:"restore" doc:"the id in the first line of its answer"`
}

// cancelled is the answer to a cancel: the restore's own answer tells the end.
type cancelled struct {
	Restore string `json:"restore"`
}

func (s *Server) cancelRestore(_ context.Context, in *cancelInput) (*answer[cancelled], error) {
	if !s.running.cancel(in.Restore) {
		return nil, fmt.Errorf("restore %s is not under way: %w", in.Restore, quarantine.ErrNotFound)
	}
	return answered(cancelled{in.Restore}, nil)
}

// running are the restores under way, by their ids. Its zero value is empty.
type running struct {
	mu   sync.Mutex
	byID map[string]context.CancelCauseFunc
}

// add gives a restore an id that nobody guesses.
func (r *running) add(cancel context.CancelCauseFunc) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	id := hex.EncodeToString(b[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]context.CancelCauseFunc{}
	}
	r.byID[id] = cancel
	return id
}

func (r *running) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, id)
}

func (r *running) cancel(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	cancel := r.byID[id]
	if cancel != nil {
		cancel(errCancelled)
	}
	return cancel != nil
}
