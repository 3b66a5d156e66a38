package quarantine

import (
	"context"
	"errors"
	"fmt"
)

// lostDisks goes through the Deletions whose required disks should have
// arrived by now. A disk that is in no pool's trash and under no live name is
// recorded as lost: loud, never silent. One that is still live under its name
// is waited for (a compute host may be down; its disks die later).
func (r *Reconciler) lostDisks(ctx context.Context, w *run, dry bool) error {
	before := r.ledger.clock().Add(-r.cfg.LostAfter)
	earlier := &lives{ledger: r.ledger, pools: r.clusters.Pools()}
	for stay := 0; ; {
		page, err := r.deletions.OpenDeletions(ctx, before, lostPage, stay)
		if err != nil {
			return fmt.Errorf("find the deletions without their disks: %w", err)
		}
		for _, del := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			closed, err := r.account(ctx, w, earlier, del, dry)
			if err != nil {
				w.add(ReportItem{Act: "lost?", Name: del.ResourceID, Error: err.Error()})
			}
			if err != nil || !closed || dry {
				stay++ // open, and in front of the next page
				continue
			}
			if err := r.deletions.CloseDeletion(ctx, del.ID); err != nil {
				return fmt.Errorf("close deletion %s: %w", del.ID, err)
			}
		}
		if len(page) < lostPage {
			return nil
		}
	}
}

// lostPage is how many open deletions are read at once.
const lostPage = 500

// account looks for each required disk of the Deletion and reports whether all
// are accounted for.
func (r *Reconciler) account(ctx context.Context, w *run, earlier *lives, del Deletion, dry bool) (bool, error) {
	if ours, err := discarded(ctx, r.cfg.Marks, &del); err != nil || ours {
		return ours, err
	}
	all := true
	for _, ref := range del.Disks {
		if !ref.Required {
			continue
		}
		disks, own, err := r.found(ctx, &del, ref)
		if err != nil {
			return false, err
		}
		if own != nil {
			continue
		}
		if known, err := r.explainLost(ctx, del, ref, disks); err != nil {
			return false, err
		} else if known {
			continue
		}
		where, err := r.stillLive(ctx, del, ref)
		if err != nil {
			return false, err
		}
		if where != "" {
			all = false
			continue
		}
		if was, err := earlier.endedBy(ctx, &del, ref); err != nil {
			return false, err
		} else if was {
			continue
		}
		// All that takes time, and what dies meanwhile is adopted.
		if _, own, err := r.found(ctx, &del, ref); err != nil {
			return false, err
		} else if own != nil {
			continue
		}
		w.add(ReportItem{Disk: lostID(del.ID, ref.Name), Name: ref.Name, Act: "lost", Reason: "the " + string(del.Kind) + " of " + del.ResourceID + " destroyed it, and it is nowhere"})
		if dry {
			continue
		}
		if err := r.recordLost(ctx, del, ref); err != nil {
			return false, err
		}
	}
	return all, nil
}

// found returns the disks of the name, and the one among them that is the Deletion's, or
// nil. Also one that is known as lost by its image id: it is accounted for, and loudly.
func (r *Reconciler) found(ctx context.Context, del *Deletion, ref DiskRef) (disks []Disk, own *Disk, err error) {
	if disks, err = r.ledger.disks.FindDisks(ctx, ref.filter()); err != nil {
		return nil, nil, fmt.Errorf("find the disks named %q: %w", ref.Name, err)
	}
	for i, d := range disks {
		if d.DeletionID() == del.ID && (d.State != Lost || d.Key.ImageID != "") {
			return disks, &disks[i], nil
		}
	}
	return disks, nil, nil
}

// foundAfterAll drops the records of what a Deletion required and nobody found, where
// its disk has come since. Who adopts it does so, too (resolveLost), unless it dies
// before, or the record was written a moment later.
func (r *Reconciler) foundAfterAll(ctx context.Context, w *run, dry bool) error {
	arrived := map[string]Disk{} // by the id of the record
	err := eachDisk(ctx, r.ledger.disks, DiskFilter{States: []State{Lost}}, func(lost *Disk) error {
		if lost.Key.ImageID != "" || lost.Deletion == nil {
			return nil
		}
		for _, ref := range lost.Deletion.Disks {
			if lostID(lost.Deletion.ID, ref.Name) != lost.ID {
				continue
			}
			_, own, err := r.found(ctx, lost.Deletion, ref)
			if err == nil && own != nil {
				arrived[lost.ID] = *own
			}
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("go through what was lost: %w", err)
	}
	for id, d := range arrived {
		w.add(ReportItem{Disk: id, Pool: d.Key.PoolRef().String(), Name: d.OriginalName, Act: "found", Reason: arrivedAfterAll})
		if dry {
			continue
		}
		if err := r.dropLost(ctx, d, id, Entry{Act: "found", Actor: "reconciler", Reason: arrivedAfterAll}); err != nil {
			return err
		}
	}
	return nil
}

// explainLost gives the Deletion to a disk that is known as lost by its image
// id and that nothing has explained yet, and reports whether there is one.
func (r *Reconciler) explainLost(ctx context.Context, del Deletion, ref DiskRef, disks []Disk) (bool, error) {
	for _, d := range disks {
		if cloud := r.cloudOf(d.Key.PoolRef()); cloud != "" && cloud != del.Cloud {
			continue
		}
		if d.State != Lost || d.Key.ImageID == "" || d.Deletion != nil || !del.mayHaveDestroyed(d, ref) {
			continue
		}
		return true, r.withDisk(ctx, d.ID, func(d Disk) error {
			if d.State != Lost || d.Deletion != nil {
				return nil
			}
			r.withDeletion(&d, &del)
			_, err := r.ledger.disks.PutDisk(ctx, d)
			return err
		})
	}
	return false, nil
}

// mayHaveDestroyed reports whether the disk, which nothing explains, may be the
// one that the reference means, by its place, its name and the time of its
// death, as Join sees it. Of an image that was missed only the time is known at
// which that was noticed; its death was before, by less than a day where
// somebody looks.
func (d *Deletion) mayHaveDestroyed(k Disk, ref DiskRef) bool {
	if !ref.Matches(k.Key.PoolRef(), k.OriginalName) || d.before(k.AliveSince) {
		return false
	}
	if _, ok := d.gapTo(k.DeletedAt); ok || k.State != Lost {
		return ok
	}
	noticed := k.DeletedAt.Sub(d.FirstSign())
	return noticed >= -ClockSkew && noticed <= MaxGap
}

// stillLive names the pool where an image of the name is live, or "".
func (r *Reconciler) stillLive(ctx context.Context, del Deletion, ref DiskRef) (string, error) {
	for _, pool := range r.clusters.Pools() {
		if pool.Cloud != "" && pool.Cloud != del.Cloud || !ref.Matches(pool.PoolRef, ref.Name) {
			continue
		}
		live, err := r.images.LiveImages(ctx, pool.PoolRef, ref.Name)
		if err != nil {
			return "", fmt.Errorf("look for %s in %s: %w", ref.Name, pool.PoolRef, err)
		}
		for name := range live {
			if ref.Matches(pool.PoolRef, name) {
				return pool.PoolRef.String(), nil
			}
		}
	}
	return "", nil
}

func (r *Reconciler) recordLost(ctx context.Context, del Deletion, ref DiskRef) error {
	id := lostID(del.ID, ref.Name)
	if _, err := r.ledger.disks.Disk(ctx, id); !errors.Is(err, ErrNotFound) {
		return err // recorded already, or the catalog does not answer
	}
	at := del.StartedAt
	if at.IsZero() {
		at = del.ReceivedAt
	}
	d := Disk{
		ID: id, Key: Key{Pool: ref.Pool, Namespace: ref.Namespace}, OriginalName: ref.Name, Capture: CaptureNone, Role: ref.Role,
		UsedBytes: -1, DeletedAt: at, Deletion: &del,
	}
	_, err := r.ledger.move(ctx, d, Lost, Entry{Act: "lost", Actor: "reconciler", Reason: "required by deletion " + del.ID + " and not found"}, nil)
	if err == nil {
		r.ledger.log.Error("disk lost: a deletion destroyed it and it is nowhere", "disk", id, "deletion", del.ID, "name", ref.Name, "vm", del.ResourceID)
	}
	return err
}
