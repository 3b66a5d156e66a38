package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// resume goes on with purges that a crash cut short. Their custody entry is
// written and their row says purging; where the image is must be found out.
func (c *Collector) resume(ctx context.Context, rep *Report, _ time.Time) error {
	disks, err := c.ledger.disks.FindDisks(ctx, DiskFilter{States: []State{Purging}})
	if err != nil {
		return fmt.Errorf("find the purges to go on with: %w", err)
	}
	c.leave(ctx, disks)
	_, err = c.parallel(ctx, rep, disks, c.mayPurge, func(d Disk) ReportItem {
		item := c.item(d, "finish", "its purge was cut short")
		if err := c.resumeOrPlan(ctx, rep, d, item.Reason); err != nil {
			item.Error = err.Error()
		}
		return item
	})
	return err
}

func (c *Collector) resumeOrPlan(ctx context.Context, rep *Report, d Disk, reason string) error {
	if rep.DryRun {
		where, err := c.whereabouts(ctx, d)
		switch {
		case err != nil:
			return err
		case where == purgeToFree:
			if err := c.unwatched(ctx, d); err != nil {
				return err
			}
			return c.stillPurging(ctx, d)
		case where == purgeOver:
			if err := c.gone(ctx, d); !errors.Is(err, ErrBusy) {
				return err
			}
			return errTaken(&d)
		}
		return nil
	}
	if err := c.wait(ctx, &d); err != nil {
		return err
	}
	return c.resumeOne(ctx, d.ID, rep.Actor, reason)
}

// purgeAt is how far a purge came that was cut short.
type purgeAt int

const (
	// purgeToFree: the image is ours, and has to be freed, if it still may be.
	purgeToFree purgeAt = iota
	// purgeToEnd: Ceph was removing it. It gives such an image back to nobody, and
	// takes the same act again.
	purgeToEnd
	// purgeOver: the image is gone, or somebody else's, or was, and died again.
	purgeOver
)

// whereabouts finds out how far a purge came.
func (c *Collector) whereabouts(ctx context.Context, d Disk) (purgeAt, error) {
	e, err := c.trash.FindInTrash(ctx, d.Key)
	switch {
	case err == nil && secondLife(&d, e):
		return purgeOver, nil
	case err == nil && e.Removing:
		return purgeToEnd, nil
	case err == nil:
		return purgeToFree, nil
	case !errors.Is(err, ErrNotFound):
		return 0, fmt.Errorf("look for disk %s in the trash: %w", d.ID, err)
	}
	// Not to be asked who has it open, if it is somebody's: its VM may run for years.
	reserved := d.Key.ReservedName()
	live, err := c.images.LiveImages(ctx, d.Key.PoolRef(), reserved)
	if err != nil {
		return 0, fmt.Errorf("look for disk %s under its reserved name: %w", d.ID, err)
	}
	if live[reserved] != d.Key.ImageID {
		return purgeOver, nil
	}
	return purgeToFree, nil
}

// unwatched returns why a purge that was cut short waits: somebody has the image open,
// with which Ceph would not remove it. Mostly it is the service that died in the
// purge, which Ceph knows for 30 s.
func (c *Collector) unwatched(ctx context.Context, d Disk) error {
	in, err := c.remover.Inspect(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look who has disk %s open: %w", d.ID, err)
	case in.Watched:
		return fmt.Errorf("purge disk %s: %w: %w: %v depend on it", d.ID, errInterrupted, ErrBusy, in.Dependents)
	}
	return nil
}

func (c *Collector) resumeOne(ctx context.Context, id, actor, reason string) error {
	l := c.ledger
	unlock, err := l.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	d, err := l.disks.Disk(ctx, id)
	if err != nil || d.State != Purging {
		return err
	}
	where, err := c.whereabouts(ctx, d)
	if err != nil {
		return err
	}
	switch where {
	case purgeOver:
		err = c.conclude(ctx, d, actor)
	case purgeToEnd:
		// While Ceph still knows the service that died in it as a client of the image,
		// for 30 s, it says that it is busy.
		if err = c.remove(ctx, d); err == nil {
			err = c.conclude(ctx, d, actor)
		} else {
			err = fmt.Errorf("purge disk %s: %w: %w", d.ID, errInterrupted, err)
		}
	case purgeToFree:
		if err = c.unwatched(ctx, d); err != nil {
			break
		}
		if err = c.stillPurging(ctx, d); err != nil {
			if errors.Is(err, errKept) {
				_, undone := takeBack(ctx, l, c.trash, c.clusters, d, actor, err.Error(), false)
				err = errors.Join(err, undone)
			}
			break
		}
		err = c.free(ctx, d, actor, nil)
	}
	if err == nil {
		l.note(ctx, d, Entry{Act: "purge", Actor: actor, Reason: reason, Detail: map[string]string{"name": d.OriginalName}})
	}
	return err
}

// errKept is of a purge that does not go on, because the disk is kept.
var errKept = errors.New("its purge does not go on")

// stillPurging returns why a purge that was cut short does not go on, or nil. A row
// that says purging may be that of a backup of the catalog, made while the purge was
// under way that Ceph refused later; the disk may have been held or extended since.
// The record on the image knows. After a crash it promises what the row does: a
// purge does not write it, and it is there until Ceph removes the image itself.
// What disagrees (errKept) is protected and sealed again by the caller, and then waits, expiring, for who
// brings catalog and record together. Of what is in part removed already nothing is
// sealed: it stays as it is, and the report has it.
func (c *Collector) stillPurging(ctx context.Context, d Disk) error {
	in, err := c.remover.Inspect(ctx, d.Key)
	if errors.Is(err, ErrNotFound) {
		return nil // it is gone: free finds that out by itself
	}
	if err != nil {
		return fmt.Errorf("read the record of disk %s: %w", d.ID, err)
	}
	on, err := DecodeRecord(d.Key, in.Record)
	if err == nil {
		err = recordAllows(&on, &d, c.ledger.clock().UTC())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errKept, err)
	}
	return nil
}
