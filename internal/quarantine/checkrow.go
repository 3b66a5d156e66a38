package quarantine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// lookAtRow returns what is wrong with a row, its image, its trash entry and
// what else is known of it. Without the disk's lock it may be taken in by an act
// that is under way.
func (r *checkRun) lookAtRow(ctx context.Context, d Disk) []CheckFinding {
	_, known := r.pools[d.Key.PoolRef()]
	switch {
	case d.Key.ImageID == "": // lost before it was ever seen
		return nil
	case !known && d.State.InQuarantine():
		return []CheckFinding{CheckUnreadable.of(d.Key, "its pool is not in the configuration: nobody looks after it", "put the pool back into clusters[].pools")}
	case !known:
		return nil
	}
	switch d.State {
	case Purged, Lost:
		return r.lookAtGone(ctx, d)
	case Restored:
		return r.lookAtRestored(ctx, d)
	case Quarantined, Expiring:
		return append(r.lookAtKept(ctx, d), r.lookAtPromises(ctx, d)...)
	}
	return append(r.lookAtIntent(ctx, d), r.lookAtPromises(ctx, d)...)
}

// lookAtGone: a tombstone's image is gone.
func (r *checkRun) lookAtGone(ctx context.Context, d Disk) []CheckFinding {
	there, err := r.images.HasImage(ctx, d.Key)
	switch {
	case err != nil:
		return []CheckFinding{unreadable(d.Key, err)}
	case !there:
		return nil
	}
	next := nextReconcile
	if d.State == Purged {
		next = fmt.Sprintf(nextLook, d.ID)
	}
	return []CheckFinding{CheckStillThere.of(d.Key, "the catalog says that it is "+string(d.State)+", and Ceph has an image of its id", next)}
}

// lookAtRestored: what was given back belongs to the cloud; when it dies it is
// adopted again.
func (r *checkRun) lookAtRestored(ctx context.Context, d Disk) []CheckFinding {
	e, err := r.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return []CheckFinding{unreadable(d.Key, err)}
	case !r.settled(e.DeletedAt):
		return nil
	}
	next := nextReconcile
	if d.Sealed {
		next = nextCollect + ", which takes its old seal off, and then " + nextReconcile
	}
	return []CheckFinding{CheckNotAdopted.of(d.Key, fmt.Sprintf("it was given back, and is in the trash again since %s", e.DeletedAt.UTC().Format(time.RFC3339)), next)}
}

// lookAtIntent: of what is on its way the image is there, or its removal was the
// intent.
func (r *checkRun) lookAtIntent(ctx context.Context, d Disk) []CheckFinding {
	if d.State == Pending && !r.settled(d.QuarantinedAt) || r.ledger.inUse(d.ID) {
		return nil
	}
	where, err := r.whereIs(ctx, d.Key)
	if err != nil {
		return []CheckFinding{unreadable(d.Key, err)}
	}
	next := nextReconcile
	if d.State == Purging {
		next = nextCollect
	}
	unfinished := CheckUnfinished.of(d.Key, "it is "+string(d.State)+", and nobody works on it: "+where.String(), next)
	switch {
	case where.none && d.State != Purging:
		return []CheckFinding{CheckNoImage.of(d.Key, "it is "+string(d.State)+", and Ceph has no image of its id", nextReconcile)}
	case where.entry.Removing && d.State != Purging:
		return []CheckFinding{halfRemoved(&d)}
	case where.name != "" && d.State == Purging && where.name != d.Key.ReservedName():
		return []CheckFinding{CheckNotInTrash.of(d.Key, "it is being purged, and "+where.String(), nextCollect)}
	}
	return []CheckFinding{unfinished}
}

// whereabouts of an image.
type imagePlace struct {
	none  bool       // there is none
	entry TrashEntry // where it is in the trash
	name  string     // where it is live
}

func (p imagePlace) String() string {
	switch {
	case p.none:
		return "it has no image any more"
	case p.name != "":
		return fmt.Sprintf("its image is live as %q", p.name)
	case p.entry.Removing:
		return "Ceph has begun to remove its image"
	case p.entry.Name != "":
		return "its image is in the trash"
	}
	return "its image is neither in the trash nor in the directory"
}

func (r *checkRun) whereIs(ctx context.Context, key Key) (p imagePlace, err error) {
	p.entry, err = r.trash.FindInTrash(ctx, key)
	if !errors.Is(err, ErrNotFound) {
		return p, err
	}
	there, err := r.images.HasImage(ctx, key)
	if err != nil || !there {
		p.none = true
		return p, err
	}
	live, err := r.images.LiveImages(ctx, key.PoolRef(), "")
	for name, id := range live {
		if id == key.ImageID {
			p.name = name
		}
	}
	return p, err
}

func halfRemoved(d *Disk) CheckFinding {
	return CheckHalfRemoved.of(d.Key, "Ceph has begun to remove its image, and this service has not asked for that", fmt.Sprintf(nextLook, d.ID))
}

// lookAtKept: what is in quarantine is in the trash, protected, sealed, and
// explains itself.
func (r *checkRun) lookAtKept(ctx context.Context, d Disk) []CheckFinding {
	e, err := r.trash.FindInTrash(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		where, err := r.whereIs(ctx, d.Key)
		switch {
		case err != nil:
			return []CheckFinding{unreadable(d.Key, err)}
		case where.none:
			return []CheckFinding{CheckNoImage.of(d.Key, "it is "+string(d.State)+", and Ceph has no image of its id", nextReconcile+", which says that it is lost")}
		}
		return []CheckFinding{CheckNotInTrash.of(d.Key, "it is "+string(d.State)+", and not in the trash: "+where.String(), nextReconcile)}
	case err != nil:
		return []CheckFinding{unreadable(d.Key, err)}
	case e.Removing:
		return []CheckFinding{halfRemoved(&d)}
	case secondLife(&d, e):
		if !r.settled(e.DeletedAt) {
			return nil
		}
		return []CheckFinding{CheckOtherDeath.of(d.Key, fmt.Sprintf("it died at %s, and the entry in the trash is of %s",
			d.DeletedAt.UTC().Format(time.RFC3339), e.DeletedAt.UTC().Format(time.RFC3339)), nextReconcile)}
	}
	var found []CheckFinding
	if now := r.ledger.clock(); e.ProtectedUntil.Before(d.RetainUntil) || !e.ProtectedUntil.After(now) {
		found = append(found, CheckUnprotected.of(d.Key, fmt.Sprintf("its entry in the trash is protected until %s only", e.ProtectedUntil.UTC().Format(time.RFC3339)),
			fmt.Sprintf(nextLook, d.ID)+"; its seal still keeps Ceph from removing it"))
	}
	info, err := r.looker.LookAt(ctx, d.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return append(found, CheckNoImage.of(d.Key, "its entry is in the trash, and Ceph has no image of its id", nextReconcile+", which says that it is lost"))
	case err != nil:
		return append(found, unreadable(d.Key, err))
	}
	if info.SizeBytes != d.SizeBytes {
		found = append(found, CheckSize.of(d.Key, fmt.Sprintf("it had %d bytes, and its image has %d", d.SizeBytes, info.SizeBytes), fmt.Sprintf(nextLook, d.ID)))
	}
	found = append(found, lookAtSeal(&d, info)...)
	return append(found, lookAtRecord(&d, info.Record)...)
}

// lookAtSeal: the seal is the one that this service took, and the last snapshot.
func lookAtSeal(d *Disk, info ImageInfo) []CheckFinding {
	switch {
	case len(info.SealIDs) == 0:
		return []CheckFinding{CheckNoSeal.of(d.Key, "it has no seal", nextReconcile+", which seals what is left")}
	case info.SealBroken:
		return []CheckFinding{CheckBrokenSeal.of(d.Key, "its seal is listed, and cannot be cloned: a restore fails",
			"rbd snap create --image-id "+d.Key.ImageID+" --snap "+FlatSeal+", a second seal; quarantinectl export reads the first one all the same")}
	case d.SealID != 0 && !slices.Contains(info.SealIDs, d.SealID):
		return []CheckFinding{CheckOtherSeal.of(d.Key, fmt.Sprintf("its seal was snapshot %d, and is %v", d.SealID, info.SealIDs), nextReconcile)}
	case !d.Sealed:
		return []CheckFinding{CheckNoSeal.of(d.Key, "its seal was removed from the pool, and the image still lists it", nextReconcile)}
	}
	var stray []string
	for _, s := range info.Snapshots {
		if s.ID > slices.Max(info.SealIDs) {
			stray = append(stray, s.Name)
		}
	}
	if len(stray) == 0 {
		return nil
	}
	return []CheckFinding{CheckStraySnapshot.of(d.Key, "snapshots were taken after its seal: "+strings.Join(stray, ", "), fmt.Sprintf(nextLook, d.ID))}
}
