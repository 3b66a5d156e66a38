package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The custody log's words for what a stranger did to a disk in quarantine.
const (
	actSealLost  = "seal-lost"
	actForcedOut = "disk-forced-out"
	// actSealOff is of a disk that came into the catalog again, without the seal that
	// it had: whose doing that was is not known.
	actSealOff = "seal-off"
)

// detailSnapshotID is the key of a custody entry's detail that has the seal's
// id.
const detailSnapshotID = "snapshot_id"

// SealRef names a snapshot of a pool. Ceph gives its ids once in a pool, all
// namespaces included.
type SealRef struct {
	FSID, Pool string
	ID         uint64
}

// RemovedSnapshots is what Ceph has removed up to an epoch of its map.
type RemovedSnapshots struct {
	Epoch     uint64
	Snapshots []SealRef
	// Gap: what was removed in between is not known in full, because the
	// monitors have forgotten the epochs, or there are too many.
	Gap bool
}

// Seals are the seals of one image: their ids, the one that counts first, and
// the pool of its data, if that is another than its own.
type Seals struct {
	IDs      []uint64
	DataPool string
}

// Snapshots tells which seals stand, and which do not any more.
type Snapshots interface {
	// RemovedSnapshots returns the snapshots that were removed from the
	// cluster's pools after the epoch since, and the epoch now; of since 0, the
	// epoch alone. It costs one small question while the epoch does not change.
	// Similar to: ceph osd stat; ceph osd dump EPOCH (new_removed_snaps).
	RemovedSnapshots(ctx context.Context, fsid string, since uint64) (RemovedSnapshots, error)
	// SealsOf returns the image's seals without opening it for writing. ErrNotFound if no image
	// has that id. Similar to: rbd snap ls --image-id ID.
	SealsOf(ctx context.Context, key Key) (Seals, error)
}

// sealID is the id of the image's seal, 0 where there is none.
func sealID(img Image) uint64 {
	if ids := img.Info().SealIDs; len(ids) > 0 {
		return ids[0]
	}
	return 0
}

func sealDetail(img Image) map[string]string {
	return map[string]string{"snapshot": SealSnapshot, detailSnapshotID: strconv.FormatUint(sealID(img), 10)}
}

// sealIDIn reads an id from a custody entry; entries of before have none.
func sealIDIn(e Entry, key string) uint64 {
	id, err := strconv.ParseUint(e.Detail[key], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// sealOf is the seal that a disk found without a row should have: the one that
// the log says was taken, so that another that stands in its place is noticed.
func (h history) sealOf(info ImageInfo) uint64 {
	if h.sealID != 0 || len(info.SealIDs) == 0 {
		return h.sealID
	}
	return info.SealIDs[0]
}

// sealOfPool reports whether the disk's seal counts among the snapshots of the
// pool.
func sealOfPool(d *Disk, pool string) bool {
	if d.DataPool != "" {
		return d.DataPool == pool
	}
	return d.Key.Pool == pool
}

// watched reports whether the disk's seal must be there.
func watched(d *Disk) bool { return d.State == Quarantined || d.State == Expiring }

// errSealHeld says that an image still lists a seal which Ceph has removed.
var errSealHeld = fmt.Errorf("the image still lists the seal that Ceph has removed: %w", ErrBusy)

// checkSeal looks at a disk's seal and at its image, and says loudly what a
// stranger has done to them. removed is the id of a snapshot that Ceph says is
// gone, or 0. It returns what it did, and ErrBusy when it must be called again.
//
// A seal that is lost is taken again at once, although the bytes may have been
// altered since it was lost, and maybe before: without any seal, one more
// command removes the disk. What the new seal is worth stands in the row, in the
// record and in the custody log (SealBrokenAt), for whoever reads the evidence.
func (r *Reconciler) checkSeal(ctx context.Context, id string, removed uint64) (act, reason string, err error) {
	unlock, err := r.ledger.lock(ctx, id)
	if err != nil {
		return "", "", err
	}
	defer unlock()
	d, err := r.ledger.disks.Disk(ctx, id)
	if err != nil || !watched(&d) {
		return "", "", err
	}
	e, err := r.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		if err := inCare(r.clusters, d.Key.PoolRef()); err != nil {
			return "check", "", fmt.Errorf("disk %s is not in the trash: %w", id, err)
		}
		return r.settle(ctx, r.adopter.pool(d.Key.PoolRef()), d)
	case err != nil:
		return "check", "", fmt.Errorf("look for disk %s in the trash: %w", id, err)
	case secondLife(&d, e):
		return "", "", nil // the adopter's
	}
	seals, err := r.cfg.Snapshots.SealsOf(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return r.headless(ctx, d)
	case err != nil:
		return "check", "", fmt.Errorf("look at the seal of disk %s: %w", id, err)
	}
	listed := slices.Contains(seals.IDs, d.SealID)
	switch {
	case d.SealID == 0 && len(seals.IDs) > 0: // a row of before
		d.SealID, d.DataPool = seals.IDs[0], seals.DataPool
		_, err := r.ledger.disks.PutDisk(ctx, d)
		return "", "", err
	case listed && d.Sealed && removed != d.SealID:
		return "", "", nil
	case listed && !d.Sealed:
		return "check", "", fmt.Errorf("disk %s: %w", id, errSealHeld)
	}
	reason = "somebody has removed the seal"
	switch {
	case listed:
		reason = "somebody has removed the seal's snapshot from the pool"
	case len(seals.IDs) > 0:
		reason = "somebody has put another snapshot in the place of the seal"
	}
	if d.Sealed {
		if d, err = r.sealLost(ctx, d, reason); err != nil {
			return "check", "", err
		}
	}
	if listed {
		// librbd takes a snapshot from the pool first and from the image then.
		return actSealLost, reason, fmt.Errorf("disk %s: %w", id, errSealHeld)
	}
	return actSealLost, reason, r.sealAnew(ctx, d)
}

// inCare returns ErrUnavailable for a pool that left the configuration. It may have been
// renamed: that something is not there says nothing then.
func inCare(c Clusters, p PoolRef) error {
	if slices.ContainsFunc(c.Pools(), func(pool Pool) bool { return pool.PoolRef == p }) {
		return nil
	}
	return fmt.Errorf("pool %s is not in the configuration any more (was it renamed?): %w", p, ErrUnavailable)
}

// sealLost says that the seal is lost.
func (r *Reconciler) sealLost(ctx context.Context, d Disk, reason string) (Disk, error) {
	l := r.ledger
	l.note(ctx, d, Entry{Act: actSealLost, Actor: "unknown", Reason: reason, Detail: map[string]string{
		"name": d.OriginalName, detailSnapshotID: strconv.FormatUint(d.SealID, 10)}})
	l.log.Error("the seal of a disk is broken", "disk", d.ID, "pool", d.Key.PoolRef().String(), "image_id", d.Key.ImageID, "name", d.OriginalName, "reason", reason)
	r.tampered(actSealLost)
	d.Sealed, d.SealBrokenAt, d.RecordStale = false, l.clock().UTC().Truncate(time.Second), true
	saved, err := l.disks.PutDisk(ctx, d)
	if err != nil {
		return d, fmt.Errorf("disk %s: write that its seal is broken: %w", d.ID, err)
	}
	return saved, nil
}

// sealAnew protects what is left.
func (r *Reconciler) sealAnew(ctx context.Context, d Disk) error {
	l := r.ledger
	img, err := l.images.OpenImage(ctx, d.Key)
	if err != nil {
		return fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	defer img.Close()
	if err := l.around("seal", func() error { return img.Seal(ctx) }); err != nil {
		return fmt.Errorf("seal disk %s again: %w", d.ID, err)
	}
	d.Sealed, d.SealID = true, sealID(img)
	if d, err = l.disks.PutDisk(ctx, d); err != nil {
		return fmt.Errorf("disk %s: write its new seal: %w", d.ID, err)
	}
	l.note(ctx, d, Entry{Act: "seal", Actor: "reconciler", Reason: "its first seal was broken: this one shows what is left", Detail: sealDetail(img)})
	l.softSync(ctx, d)
	return nil
}

// forcedOut says that the image of a disk in quarantine is gone, and that this
// service did not remove it.
func (r *Reconciler) forcedOut(ctx context.Context, d Disk) {
	if !watched(&d) {
		return
	}
	r.ledger.note(ctx, d, Entry{Act: actForcedOut, Actor: "unknown", Reason: "somebody has removed its image from the trash", Detail: map[string]string{"name": d.OriginalName}})
	r.tampered(actForcedOut)
}

// headless ends the stay of a disk whose trash entry is there and whose image
// is not: its header was removed as an object.
func (r *Reconciler) headless(ctx context.Context, d Disk) (act, reason string, err error) {
	r.forcedOut(ctx, d)
	reason = "its trash entry is there, and Ceph has no image of this id any more"
	d, err = r.ledger.move(ctx, d, Lost, Entry{Act: "lost", Actor: "reconciler", Reason: reason}, func(n *Disk) { n.Intent, n.Sealed = "", false })
	if err == nil {
		r.ledger.log.Error("disk lost: its image is gone, and this service did not remove it", "disk", d.ID, "pool", d.Key.PoolRef().String(), "image_id", d.Key.ImageID, "name", d.OriginalName)
	}
	return "lost", reason, err
}

func (r *Reconciler) tampered(act string) {
	if r.cfg.Tampered != nil {
		r.cfg.Tampered(act)
	}
}
