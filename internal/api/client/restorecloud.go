package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// cleanUpWait is how long a cancelled restore may take to clean up before the
// client leaves; the daemon goes on without it.
const cleanUpWait = 10 * time.Minute

// RestoreToCloud gives a disk back to a cloud (r.As is volume, image or server)
// and tells each step to tell, which may be nil. When ctx ends, the restore is
// cancelled, and RestoreToCloud goes on until the daemon has cleaned up: the
// result says what it took back, beside the error.
func (c *Client) RestoreToCloud(ctx context.Context, id string, r wire.RestoreRequest, tell func(wire.Step)) (wire.CloudResult, error) {
	path, err := diskPath(id, "/restore")
	if err != nil {
		return wire.CloudResult{}, err
	}
	last, err := c.restoreSteps(ctx, path, r, tell)
	return resultOf(last), err
}

// RestoreVM gives all disks of a VM back to a cloud, as RestoreToCloud does.
func (c *Client) RestoreVM(ctx context.Context, r wire.VMRestoreRequest, tell func(wire.Step)) (wire.CloudResult, error) {
	last, err := c.restoreSteps(ctx, "/v1/restore", r, tell)
	return resultOf(last), err
}

func resultOf(last wire.Step) wire.CloudResult {
	if last.Result == nil {
		return wire.CloudResult{Disks: []wire.Disk{}, Made: []quarantine.Made{}}
	}
	return *last.Result
}

// PlanRestore tells what RestoreToCloud would do.
func (c *Client) PlanRestore(ctx context.Context, id string, r wire.RestoreRequest) (quarantine.CloudPlan, error) {
	path, err := diskPath(id, "/restore")
	if err != nil {
		return quarantine.CloudPlan{}, err
	}
	r.DryRun = true
	return c.plan(ctx, path, r)
}

// PlanVM tells what RestoreVM would do.
func (c *Client) PlanVM(ctx context.Context, r wire.VMRestoreRequest) (quarantine.CloudPlan, error) {
	r.DryRun = true
	return c.plan(ctx, "/v1/restore", r)
}

func (c *Client) plan(ctx context.Context, path string, body any) (quarantine.CloudPlan, error) {
	last, err := c.restoreSteps(ctx, path, body, nil)
	if err != nil || last.Plan == nil {
		return quarantine.CloudPlan{}, err
	}
	return *last.Plan, nil
}

// CancelRestore cancels a restore to a cloud that is under way, by the id in its
// first step.
func (c *Client) CancelRestore(ctx context.Context, id string) error {
	var out struct{}
	return c.do(ctx, call{method: http.MethodPost, path: "/v1/restores/" + url.PathEscape(id) + "/cancel", changes: true}, &out)
}

// restoreSteps sends a restore to a cloud and reads its steps.
func (c *Client) restoreSteps(ctx context.Context, path string, body any, tell func(wire.Step)) (last wire.Step, err error) {
	lasting, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	k := call{method: http.MethodPost, path: path, body: body, accept: typeSteps, changes: true, long: true}
	stop := &stopper{client: c, hangUp: hangUp, id: make(chan string, 1)}
	ended := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() { defer close(ended); stop.cancel(lasting) })
	defer func() {
		hangUp()
		if !unwatch() {
			<-ended
		}
	}()
	return c.steps(lasting, k, func(s wire.Step) {
		switch {
		case s.Restore != "":
			stop.begun(s.Restore)
		case tell != nil:
			tell(s)
		}
	})
}

// idWait is how long a restore that is to be cancelled may take to tell its id,
// before the client hangs up instead.
const idWait = 2 * time.Second

// stopper ends a restore whose caller wants it to end: by a word to the daemon
// once its id is known, so that the answer goes on; else by hanging up.
type stopper struct {
	client *Client
	hangUp context.CancelFunc
	id     chan string // has the id when it is known
	once   sync.Once
}

func (s *stopper) begun(id string) { s.once.Do(func() { s.id <- id }) }

// cancel is called when the caller's context ends; ctx ends with the answer.
func (s *stopper) cancel(ctx context.Context) {
	late := time.NewTimer(idWait)
	defer late.Stop()
	select {
	case id := <-s.id:
		if err := s.client.CancelRestore(ctx, id); err != nil && !errors.Is(err, quarantine.ErrNotFound) {
			s.hangUp()
			return
		}
		late.Reset(cleanUpWait)
	case <-late.C:
		s.hangUp()
	case <-ctx.Done():
	}
	select {
	case <-late.C:
		s.hangUp()
	case <-ctx.Done():
	}
}
