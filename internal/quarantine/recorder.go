package quarantine

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Recorder takes Deletions from the listeners. It commits each, joins it with
// the disks that are here already, and in pools without a guard seizes the
// disks before the cloud removes them.
type Recorder struct {
	identity
	adopter *Adopter
	trash   Trash
}

// NewRecorder makes a Recorder. It shares the adopter's ports.
func NewRecorder(a *Adopter) *Recorder {
	return &Recorder{identity: a.identity, adopter: a, trash: a.trash}
}

// Record returns nil when every Deletion is committed and joined with what is
// known. It may be called again with the same Deletions, in any order: that
// changes nothing. The error wraps ErrInvalid if a Deletion lacks what it
// needs; then none of them was recorded.
func (r *Recorder) Record(ctx context.Context, ds []Deletion) error {
	return r.each(ctx, ds, func(d Deletion, changed bool) {
		if changed && seizable(d) {
			r.seize(ctx, d)
		}
	})
}

// Learn is Record for what nobody reported: what the cloud's APIs, asked later,
// tell or leave out. Nothing is seized on its word.
func (r *Recorder) Learn(ctx context.Context, ds []Deletion) error {
	return r.each(ctx, ds, func(Deletion, bool) {})
}

func (r *Recorder) each(ctx context.Context, ds []Deletion, recorded func(d Deletion, changed bool)) error {
	for i := range ds {
		if err := ds[i].Validate(); err != nil {
			return err
		}
	}
	for _, d := range ds {
		if d.ReceivedAt.IsZero() {
			d.ReceivedAt = r.ledger.clock()
		}
		merged, changed, err := r.deletions.MergeDeletion(ctx, d.Normalize())
		if err != nil {
			return fmt.Errorf("record the %s of %s %s: %w", d.Kind, d.ResourceKind, d.ResourceID, err)
		}
		if changed {
			r.ledger.log.Info("deletion recorded", "deletion", merged.ID, "cloud", merged.Cloud, "kind", merged.Kind,
				"vm", merged.ResourceID, "name", merged.ResourceName, "project", merged.Project.Label(), "user", merged.User.Label())
		}
		// Joined even when nothing changed: an earlier delivery may have been
		// committed and then failed here, and this is its repetition.
		if err := r.joinDisks(ctx, merged); err != nil {
			return err
		}
		recorded(merged, changed)
	}
	return nil
}

// joinDisks rejoins every name of which the catalog has a disk that the
// Deletion may explain.
func (r *Recorder) joinDisks(ctx context.Context, d Deletion) error {
	names := map[string]bool{}
	for _, ref := range d.Disks {
		disks, err := r.ledger.disks.FindDisks(ctx, ref.filter())
		if err != nil {
			return fmt.Errorf("find the disks of %s %s: %w", d.ResourceKind, d.ResourceID, err)
		}
		for _, disk := range disks {
			if disk.State.InQuarantine() && ref.Matches(disk.Key.PoolRef(), disk.OriginalName) {
				names[disk.OriginalName] = true
			}
		}
	}
	for name := range names {
		changed, err := r.rejoin(ctx, name)
		if err != nil {
			return fmt.Errorf("join the disks named %q: %w", name, err)
		}
		for _, disk := range changed {
			if err := r.resolveLost(ctx, disk); err != nil {
				return err
			}
		}
	}
	return nil
}

// seizable tells the deletions after which a disk may be taken before the
// cloud removes it. Of the others the machine lives on (or may be given back),
// and taking its disk away would destroy what nobody asked to destroy.
func seizable(d Deletion) bool {
	switch d.Kind {
	case KindDelete, KindVolumeDelete, KindRecoverDelete:
		return true
	}
	return false
}

// seize is the fallback for pools without a guard: it moves the Deletion's
// live images to the trash before the cloud's own remove does away with them.
// That is a race, and the record says so (capture: raced). A failure is logged
// and left to the reconciler, which reports what was lost: the Deletion itself
// is recorded whatever comes of this.
func (r *Recorder) seize(ctx context.Context, d Deletion) {
	for _, pool := range r.clusters.Pools() {
		if pool.Guarded || (pool.Cloud != "" && pool.Cloud != d.Cloud) {
			continue
		}
		for _, ref := range d.Disks {
			if ref.Pool != "" && ref.Pool != pool.Pool {
				continue
			}
			live, err := r.adopter.images.LiveImages(ctx, pool.PoolRef, ref.Name)
			if err != nil {
				r.ledger.log.Error("seize: look for the live images", "deletion", d.ID, "pool", pool.PoolRef.String(), "error", err)
				continue
			}
			for name, imageID := range live {
				if !ref.Matches(pool.PoolRef, name) || name != ref.Name && !ref.ownPrefix(d) {
					continue
				}
				if _, err := r.adopter.Seize(ctx, pool, name, imageID, CaptureRaced); err != nil {
					r.ledger.log.Error("seize", "deletion", d.ID, "pool", pool.PoolRef.String(), "name", name, "error", err)
				}
			}
		}
	}
}

// ownPrefix reports whether the reference, by prefix, can mean only images of
// the resource itself: it bears the id that the cloud gave the resource. A
// looser prefix joins what has died; nothing live is taken on its word.
func (r DiskRef) ownPrefix(d Deletion) bool {
	return d.CloudType != CloudGeneric && r.Prefix && hasPart(r.Name, d.ResourceID)
}

// hasPart reports whether the name has the id between two separators.
func hasPart(name, id string) bool {
	for i := 0; id != "" && i+len(id) <= len(name); i++ {
		before := i == 0 || strings.IndexByte(joinSeparators, name[i-1]) >= 0
		after := i+len(id) == len(name) || strings.IndexByte(joinSeparators, name[i+len(id)]) >= 0
		if before && after && name[i:i+len(id)] == id {
			return true
		}
	}
	return false
}

// Seize takes a live image under quarantine: the intent is committed, then the
// image is moved to the trash under full protection, then it is adopted as any
// other entry.
func (a *Adopter) Seize(ctx context.Context, pool Pool, name, imageID string, capture Capture) (Disk, error) {
	key := pool.Key(imageID)
	id := key.DiskID()
	unlock, err := a.ledger.lock(ctx, id)
	if err != nil {
		return Disk{}, err
	}
	defer unlock()
	d, err := a.ledger.disks.Disk(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return d, fmt.Errorf("seize %s: %w", key, err)
	}
	if d.State == Restored && d.Sealed {
		// It bears the seal of its earlier stay, which is not what it holds
		// now. Into the trash, and the collector and the reconciler go on.
		err := a.ledger.around("seize.trash", func() error { return a.trash.MoveToTrash(ctx, pool.PoolRef, name, pool.Protect) })
		if err != nil && !errors.Is(err, ErrNotFound) {
			return d, fmt.Errorf("seize %s: move to the trash: %w", key, err)
		}
		return d, nil
	}
	now := a.ledger.clock()
	e := TrashEntry{Key: key, Name: name, DeletedAt: now, ProtectedUntil: now.Add(pool.Protect)}
	if d.State != Pending {
		if d.State.InQuarantine() {
			return d, nil // another report was faster
		}
		if d, err = a.begin(ctx, d, id, e, ImageInfo{SizeBytes: -1}, capture); err != nil {
			return d, err
		}
	}
	err = a.ledger.around("seize.trash", func() error {
		return a.trash.MoveToTrash(ctx, pool.PoolRef, name, pool.Protect)
	})
	// Gone from its name: the cloud was faster, and either its own remove went
	// through the trash (then the image still opens by id) or it is lost.
	if err != nil && !errors.Is(err, ErrNotFound) {
		return d, fmt.Errorf("seize %s: move to the trash: %w", key, err)
	}
	img, err := a.open(ctx, key)
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			lost, lerr := a.ledger.move(ctx, d, Lost, Entry{Act: "lost", Actor: "recorder", Reason: "the cloud removed it before it could be seized"}, nil)
			if lerr != nil {
				return d, lerr
			}
			return lost, nil
		}
		return d, fmt.Errorf("seize %s: %w", key, err)
	}
	defer img.Close()
	d.SizeBytes = img.Info().SizeBytes
	return a.finish(ctx, d, e, img)
}
