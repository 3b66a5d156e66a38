package quarantine

import (
	"context"
	"fmt"
)

// Resetter empties the catalog.
type Resetter interface {
	// Reset removes all disks and deletions from the catalog. It touches no
	// image.
	Reset(ctx context.Context) error
}

// Rebuild recreates the catalog from the records on the images alone. Every
// pool is listed before anything is thrown away; nothing else happens
// meanwhile; and what it finds it takes in as the reconciler does with an
// image that the catalog does not know. Tombstones of purged disks, and
// Deletions without a disk, are in the custody log only.
func (r *Reconciler) Rebuild(ctx context.Context, actor string, store Resetter) (Report, error) {
	for _, pool := range r.clusters.Pools() {
		if _, err := r.trash.ListTrash(ctx, pool.PoolRef); err != nil {
			return Report{}, fmt.Errorf("the catalog is left as it is: list the trash of %s: %w", pool.PoolRef, err)
		}
	}
	err := r.ledger.witnessed(ctx, Disk{}, Entry{Act: "rebuild-catalog", Actor: actor}, func() error {
		r.ledger.gate.Lock()
		defer r.ledger.gate.Unlock()
		return store.Reset(ctx)
	})
	if err != nil {
		return Report{}, fmt.Errorf("empty the catalog: %w", err)
	}
	return r.Run(ctx, actor, JobOptions{}), nil
}
