package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// undo takes back what the restore has made, last first.
func (w *cloudWork) undo(ctx context.Context) {
	if len(w.copies) == 0 {
		return
	}
	w.tell(CloudStep{Stage: StageCleanUp})
	if w.server != nil {
		if err := w.takeBack(ctx, *w.server, w.copies[0].item.disk); err != nil {
			// Its volumes are in use.
			w.result.Left = append(w.result.Left, err.Error())
			return
		}
	}
	for i := len(w.copies) - 1; i >= 0; i-- {
		if err := w.undoCopy(ctx, w.copies[i]); err != nil {
			w.result.Left = append(w.result.Left, err.Error())
		}
	}
}

func (w *cloudWork) undoCopy(ctx context.Context, c *cloudCopy) error {
	switch c.fate {
	case fateMoved:
		// It is the disk itself: it is not deleted, whatever failed.
		w.result.Made = append(w.result.Made, *c.made)
		return fmt.Errorf("disk %s was moved, and is the volume %s of cloud %s now", c.item.Disk, c.made.ID, w.to.Name())
	case fateNone:
		return nil
	case fateCopy:
		return w.discard(ctx, c)
	case fateSent:
		return w.takeBack(ctx, *c.made, c.item.disk)
	}
	return noted(ctx, w.marks, w.ledger.clock, discardedImage(c.key), func() error { return w.undoGiven(ctx, c) })
}

// undoGiven has the cloud delete what it has made of the copy, and removes what
// the guard has kept of it.
func (w *cloudWork) undoGiven(ctx context.Context, c *cloudCopy) error {
	if err := w.takeBack(ctx, *c.made, c.item.disk); err != nil {
		return err
	}
	if err := w.disown(ctx, c); err != nil {
		return err
	}
	return w.discard(ctx, c)
}

// disown marks that nobody wants the copy, which the cloud says it has deleted.
func (w *cloudWork) disown(ctx context.Context, c *cloudCopy) error {
	what := "image " + c.key.String()
	there, err := w.ledger.images.HasImage(ctx, c.key)
	if err == nil && !there {
		return nil // no guard is on
	}
	name := ""
	if err == nil {
		name, err = liveName(ctx, w.ledger.images, c.key)
	}
	if err == nil && name != "" {
		err = fmt.Errorf("the cloud says that it has deleted it, and it is live as %s: %w", name, ErrConflict)
	}
	if err == nil {
		err = w.mark(ctx, c, w.stageOf(), phaseDiscard)
	}
	if err != nil {
		return fmt.Errorf("%s was not removed: %w", what, err)
	}
	return nil
}

// takeBack has the cloud delete what it has just made.
func (w *cloudWork) takeBack(ctx context.Context, m Made, d Disk) error {
	what := fmt.Sprintf("%s %s of cloud %s", m.Kind, m.ID, w.to.Name())
	e := Entry{Act: "discard", Actor: w.actor, Reason: "the restore failed", Detail: map[string]string{"cloud": w.to.Name(), "made": m.ID, "kind": string(m.Kind)}}
	err := w.ledger.witnessed(ctx, d, e, func() error {
		return noted(ctx, w.marks, w.ledger.clock, discardedMark(w.to.Name(), m.Kind, m.ID), func() error {
			// An answer that was lost is asked for again: what is gone is success.
			return w.patiently(ctx, func() error {
				return w.ledger.around("restore.discard", func() error { return w.to.Discard(ctx, m) })
			}, func(error) bool { return true })
		})
	})
	if err != nil {
		w.result.Made = append(w.result.Made, m)
		return fmt.Errorf("%s could not be deleted: %w", what, err)
	}
	w.result.Removed = append(w.result.Removed, what)
	return nil
}

// undoTries bounds how often a step of the clean-up is tried.
const undoTries = 8

// patiently tries the act again, at growing intervals, while its error is one
// that may pass.
func (w *cloudWork) patiently(ctx context.Context, act func() error, passes func(error) bool) error {
	wait := 100 * time.Millisecond
	for try := 1; ; try++ {
		err := act()
		if err == nil || try == undoTries || !passes(err) {
			return err
		}
		if perr := w.pause(ctx, wait); perr != nil {
			return errors.Join(err, perr)
		}
		wait *= 2
	}
}

// discard removes the copy from the cloud's pool. One that is in use still is
// waited for: a flatten that was cancelled lets go of it a moment later.
func (w *cloudWork) discard(ctx context.Context, c *cloudCopy) error {
	what := "image " + c.item.dst.String() + "/" + c.name
	key, err := w.find(ctx, c)
	if errors.Is(err, ErrNotFound) {
		return nil // it was never made
	}
	if err == nil {
		// The cloud may have shown it under a name of its own meanwhile.
		err = noted(ctx, w.marks, w.ledger.clock, discardedImage(key), func() error {
			return w.patiently(ctx, func() error {
				return w.discarder.DiscardClone(ctx, w.actor, key, "the restore failed")
			}, func(err error) bool { return errors.Is(err, ErrBusy) })
		})
	}
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrConflict):
		return fmt.Errorf("%s is left: %w", what, err)
	case err != nil:
		return fmt.Errorf("%s could not be removed, and a collect run will: %w", what, err)
	}
	c.key, c.fate = Key{}, fateNone
	w.result.Removed = append(w.result.Removed, what)
	return nil
}
