package quarantine

import (
	"context"
	"encoding/json"
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
		if err := noteDiscarded(ctx, w.marks, w.ledger.clock(), w.to.Name(), m); err != nil {
			return err
		}
		// An answer that was lost is asked for again: what is gone is success.
		return w.patiently(ctx, func() error {
			return w.ledger.around("restore.discard", func() error { return w.to.Discard(ctx, m) })
		}, func(error) bool { return true })
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
		err = w.patiently(ctx, func() error {
			return w.discarder.DiscardClone(ctx, w.actor, key, "the restore failed")
		}, func(err error) bool { return errors.Is(err, ErrBusy) })
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

// discardedMark names the mark of a resource that a restore has made and
// deleted.
func discardedMark(cloud string, kind ResourceKind, id string) string {
	return "discarded/" + cloud + "/" + string(kind) + "/" + id
}

// noteDiscarded remembers that this service itself has the cloud delete the
// resource: its disk is not missed.
func noteDiscarded(ctx context.Context, marks Marks, now time.Time, cloud string, m Made) error {
	b, err := json.Marshal(seenTime{now.UTC()})
	if err != nil {
		return fmt.Errorf("encode the time: %w", err)
	}
	if err := marks.SetMark(ctx, discardedMark(cloud, m.Kind, m.ID), b); err != nil {
		return fmt.Errorf("note that %s %s is discarded: %w", m.Kind, m.ID, err)
	}
	return nil
}

// discarded reports whether the Deletion is of a resource that a restore has
// made and deleted.
func discarded(ctx context.Context, marks Marks, del *Deletion) (bool, error) {
	if marks == nil {
		return false, nil
	}
	_, err := marks.Mark(ctx, discardedMark(del.Cloud, del.ResourceKind, del.ResourceID))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s %s was discarded: %w", del.ResourceKind, del.ResourceID, err)
	}
	return true, nil
}
