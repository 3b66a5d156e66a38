package quarantine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Forgetter takes rows of disks out of the catalog.
type Forgetter interface {
	// ForgetDisks removes the rows, all of them or none. It touches no image.
	ForgetDisks(ctx context.Context, ids []string) error
}

// Rebuild recreates the catalog's rows of all disks at rest from the records on
// their images, as the reconciler takes in an image that the catalog does not
// know. Rows are forgotten only of disks that the trash was seen to hold and
// whose records are up to date; what says more than an image can, stays:
// Deletions, tombstones, lost disks, disks that are out or on their way.
// Nothing else happens while the rows are forgotten.
func (r *Reconciler) Rebuild(ctx context.Context, actor string, store Forgetter) (Report, error) {
	w := &run{}
	if err := r.staleRecords(ctx, w, false); err != nil {
		return Report{}, fmt.Errorf("the catalog is left as it is: renew the records on the images: %w", err)
	}
	err := r.ledger.witnessed(ctx, Disk{}, Entry{Act: "rebuild-catalog", Actor: actor}, func() error {
		unlock, err := r.ledger.alone(ctx)
		if err != nil {
			return err
		}
		defer unlock()
		ids, err := r.rebuildable(ctx)
		if err != nil {
			return err
		}
		return store.ForgetDisks(ctx, ids)
	})
	if err != nil {
		return Report{}, fmt.Errorf("the catalog is left as it is: %w", err)
	}
	return r.Run(ctx, actor, JobOptions{}), nil
}

// rebuildable returns the ids of the disks at rest whose images are in the
// trash.
func (r *Reconciler) rebuildable(ctx context.Context) ([]string, error) {
	old, err := r.ledger.disks.FindDisks(ctx, DiskFilter{RecordStale: true, States: []State{Quarantined, Expiring}, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("find the disks whose records are old: %w", err)
	}
	if len(old) > 0 {
		return nil, fmt.Errorf("%w: the record on disk %s is old; run reconcile first", ErrBusy, old[0].ID)
	}
	var ids []string
	for _, pool := range r.clusters.Pools() {
		ref := pool.PoolRef
		rows := &stubs{disks: r.ledger.disks, pool: ref, size: stubPage, states: []State{Quarantined, Expiring}}
		err := r.trash.EachTrash(ctx, ref, func(page []TrashEntry) error {
			for _, e := range page {
				row, err := (&chores{}).upTo(ctx, rows, e.Key.ImageID)
				if err != nil {
					return err
				}
				if row != nil {
					ids = append(ids, row.ID)
					rows.take()
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("compare the trash of %s with the catalog: %w", ref, err)
		}
	}
	return ids, nil
}

// alone waits until no act is under way and keeps others from beginning until
// unlock. It does not keep them from beginning while it waits: one act that
// hangs must not stop all others.
func (l *Ledger) alone(ctx context.Context) (unlock func(), err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !l.gate.TryLock() {
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait until no act is under way: %w", ErrBusy), ctx.Err())
		case <-tick.C:
		}
	}
	return l.gate.Unlock, nil
}
