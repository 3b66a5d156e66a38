package quarantine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// SealWatch notices within seconds that somebody else removed a seal or forced
// a disk out of the trash.
//
// What was measured on Ceph 16.2.15: librbd takes a snapshot away by asking the
// monitors first, and only then from the image. The removal is in the OSD map's
// next epoch as new_removed_snaps (pool and id; an epoch later it is gone from
// there and, once the OSDs have trimmed it, from removed_snaps_queue too), and
// the monitors keep 500 epochs and more. Ceph pushes it to nobody: the
// watch asks for the epoch, and for each new epoch for what it removed. Librbd's
// `trash rm` and `trash restore` notify the watchers of rbd_trash: Gone.
//
// Who writes to an image's objects himself (`rados rmomapkey rbd_header.ID`)
// leaves no trace in the map and notifies nobody: the Reconciler's round over
// all seals finds that.
type SealWatch struct {
	r     *Reconciler
	snaps Snapshots
	marks Marks
	gone  chan Key

	mu    sync.Mutex
	fault string
	// again are disks that could not be dealt with, and how often they were tried.
	again map[string]int
}

// sealRetries is how many looks of the watch a disk gets whose image still lists
// the seal that the pool has not; then it is left to the reconciler's runs.
const sealRetries = 30

// NewSealWatch makes the watch; Run works.
func NewSealWatch(r *Reconciler, snaps Snapshots, marks Marks) *SealWatch {
	return &SealWatch{r: r, snaps: snaps, marks: marks, gone: make(chan Key, 1024), again: map[string]int{}}
}

// Gone tells that an image left the trash. It does not block; what is too much
// at once is found by the reconciler's listing.
func (w *SealWatch) Gone(key Key) {
	select {
	case w.gone <- key:
	default:
	}
}

// Fault says why the seals cannot be watched just now, or "".
func (w *SealWatch) Fault() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fault
}

// Run watches until ctx ends.
func (w *SealWatch) Run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case key := <-w.gone:
			w.check(ctx, key.DiskID(), 0)
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// look asks every cluster for what it has removed, and comes back to what could
// not be dealt with.
func (w *SealWatch) look(ctx context.Context) {
	for _, id := range slices.Sorted(maps.Keys(w.again)) {
		w.check(ctx, id, 0)
	}
	var errs []error
	for _, fsid := range clusterIDs(w.r.clusters) {
		if err := w.cluster(ctx, fsid); err != nil {
			errs = append(errs, err)
		}
	}
	fault := ""
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		fault = err.Error()
	}
	w.mu.Lock()
	before := w.fault
	w.fault = fault
	w.mu.Unlock()
	switch {
	case before == "" && fault != "":
		w.r.ledger.log.Error("the seals cannot be watched", "error", fault)
	case before != "" && fault == "":
		w.r.ledger.log.Info("the seals are watched again")
	}
}

// cluster looks at what one cluster has removed since the last look. The epoch
// is kept only when all of it was dealt with.
func (w *SealWatch) cluster(ctx context.Context, fsid string) error {
	mark := "seals/epoch/" + fsid
	var since uint64
	b, err := w.marks.Mark(ctx, mark)
	if err == nil {
		err = json.Unmarshal(b, &since)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("read up to where the seals of cluster %s were watched: %w", fsid, err)
	}
	removed, err := w.snaps.RemovedSnapshots(ctx, fsid, since)
	if err != nil {
		return fmt.Errorf("ask cluster %s which snapshots it has removed: %w", fsid, err)
	}
	if removed.Gap {
		w.r.ledger.log.Warn("which snapshots were removed is not known in full; every seal is looked at", "cluster", fsid, "from", since, "to", removed.Epoch)
		if err := w.r.allSeals(ctx); err != nil {
			return err
		}
	}
	for _, s := range removed.Snapshots {
		disks, err := w.r.ledger.disks.FindDisks(ctx, DiskFilter{Seal: &s})
		if err != nil {
			return fmt.Errorf("find the disk with the seal %d of pool %s: %w", s.ID, s.Pool, err)
		}
		for _, d := range disks {
			if watched(&d) && sealOfPool(&d, s.Pool) { // else it is this service's own removal
				w.check(ctx, d.ID, s.ID)
			}
		}
	}
	if removed.Epoch == since {
		return nil
	}
	if b, err = json.Marshal(removed.Epoch); err != nil {
		return fmt.Errorf("encode an epoch: %w", err)
	}
	if err := w.marks.SetMark(ctx, mark, b); err != nil {
		return fmt.Errorf("keep up to where the seals of cluster %s were watched: %w", fsid, err)
	}
	return nil
}

// check looks at one disk, and notes what must be looked at again.
func (w *SealWatch) check(ctx context.Context, id string, removed uint64) {
	if d, err := w.r.ledger.disks.Disk(ctx, id); errors.Is(err, ErrNotFound) || err == nil && !watched(&d) {
		delete(w.again, id)
		return // without waiting for the lock of what is being purged
	}
	_, _, err := w.r.checkSeal(ctx, id, removed)
	tries := w.again[id] + 1
	switch {
	case err == nil || ctx.Err() != nil:
		delete(w.again, id)
	case tries > sealRetries:
		delete(w.again, id)
		w.r.ledger.log.Error("the seal of a disk is not mended; left to the reconciler", "disk", id, "error", err)
	default:
		w.again[id] = tries
		w.r.ledger.log.Warn("look at the seal of a disk", "disk", id, "error", err)
	}
}
