package opennebula

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

// patience is how many answers in a row may be missing. oned is gone for a
// while when it is restarted.
const patience = 5

// errWaitOver is why a wait ends by itself.
var errWaitOver = errors.New("it takes longer than is waited for")

// wait is poll that ends with ErrUnavailable after APIConfig.Wait: a resource
// that never comes to an end must not hold the caller, who may have a disk's
// lock.
func (a *API) wait(ctx context.Context, done func(context.Context) (bool, error)) error {
	ctx, cancel := a.waiting(ctx)
	defer cancel()
	return a.poll(ctx, done)
}

// waiting returns a context that ends after APIConfig.Wait.
func (a *API) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, a.cfg.Wait, errWaitOver)
}

// poll looks again and again until done says so. Its error ends that, unless no
// answer has come: then only patience of them in a row do.
func (a *API) poll(ctx context.Context, done func(context.Context) (bool, error)) error {
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
		if !pause(ctx, a.cfg.Poll) {
			return fmt.Errorf("%w: %w", quarantine.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// insist makes a call again until an answer comes. It is for calls that may be
// repeated.
func (a *API) insist(ctx context.Context, act func(context.Context) error) error {
	return a.poll(ctx, func(ctx context.Context) (bool, error) { return true, act(ctx) })
}

// pause waits, and reports whether it was for as long as that.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// nothingMade says of a failed call that the cloud has certainly nothing of it:
// its error is no ErrUnavailable, whatever it came from.
type nothingMade struct{ err error }

// Error implements error.
func (n nothingMade) Error() string { return n.err.Error() }

// Is reports whether the cause is such an error.
func (n nothingMade) Is(target error) bool {
	return target != quarantine.ErrUnavailable && errors.Is(n.err, target)
}
