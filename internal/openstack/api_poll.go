package openstack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quarantine/internal/quarantine"
)

// undoGrace is how long it may take to take back what was half made, also when
// the caller's context has ended.
const undoGrace = 2 * time.Minute

// undoing returns a context for taking something back.
func undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoGrace)
}

// patience is how many answers in a row may be missing while a resource is
// being made; requests are sent again by themselves before.
const patience = 5

// errWaitOver is why a wait ends by itself.
var errWaitOver = errors.New("it takes longer than is waited for")

// wait looks again and again until done says so. Its error ends the wait,
// unless it wraps ErrUnavailable: a service that is restarted meanwhile makes
// no difference to what becomes of the resource. It ends with ErrUnavailable
// after APIConfig.Wait: a service that never comes to an end must not hold the
// caller, who may have a disk's lock.
func (a *API) wait(ctx context.Context, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, a.cfg.Wait, errWaitOver)
	defer cancel()
	for missing := 0; ; {
		ok, err := done(ctx)
		switch {
		case err == nil && ok:
			return nil
		case err == nil:
			missing = 0
		case ctx.Err() != nil || !errors.Is(err, quarantine.ErrUnavailable):
			return err
		default:
			if missing++; missing > patience {
				return err
			}
		}
		if !sleep(ctx, a.cfg.Poll) {
			return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// gone waits until look finds the resource no more.
func (a *API) gone(ctx context.Context, look func(context.Context) (status string, err error)) error {
	return a.wait(ctx, func(ctx context.Context) (bool, error) {
		status, err := look(ctx)
		switch {
		case errors.Is(err, quarantine.ErrNotFound):
			return true, nil
		case err != nil:
			return false, err
		case status == "error_deleting" || status == "ERROR":
			return false, fmt.Errorf("%w: the cloud failed to delete it: status %s", quarantine.ErrBusy, status)
		}
		return false, nil
	})
}

// markKey is the metadata of a volume or server that says by which request it
// was made. Where the answer to the request is lost, the resource is found by
// it: names are not unique.
const markKey = "quarantine_request"

func marked(metadata map[string]string, mark string) map[string]string {
	m := map[string]string{markKey: mark}
	for k, v := range metadata {
		m[k] = v
	}
	return m
}

// unmake is for a request to make something that failed with err. If the
// service may have made it nevertheless, it is looked for and deleted. What it
// makes later than that, it makes unseen.
func (s *session) unmake(ctx context.Context, err error, mark string, find func(context.Context, string) (string, error), remove func(context.Context, string) error) error {
	if !errors.Is(err, quarantine.ErrUnavailable) {
		return err // it was refused
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	id, ferr := find(undo, mark)
	if ferr == nil && id != "" {
		ferr = remove(undo, id)
	}
	if ferr != nil {
		return fmt.Errorf("%w; whether it was made nevertheless could not be found out (it has the metadata %s=%s): %s", err, markKey, mark, ferr)
	}
	return err
}
